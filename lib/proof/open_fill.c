/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weights of an opening: the forms of all claims, entry by entry. Most forms are a product of a
 * part over their first bits and one over their last ones; both are expanded once, and an entry
 * costs one multiplication. So little that the weights of vectors with few forms for an entry, as
 * those of a model are, are not kept: they are made as often as they are asked for.
 */
#include "base/intmath.h"
#include "proof/open.h"
#if MBI_HAVE_SODIUM

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define CHUNK 13u   /* bits of what a thread fills at once */
#define LOW_MIN 4u  /* bits of a form's second part */
#define LOW_CUT 10u /* ... where it is cut off */
#define LOW_MAX 12u /* ... at most, where it is a factor */

/* Entries of expanded parts at a time, if one claim's fit, and claims. */
#define FILL_ROOM ((size_t)1 << 20)
#define FILL_CLAIMS 2048u

/* The same where weights are not kept; and forms of an entry, on average: as many are made anew. */
#define MADE_ROOM ((size_t)1 << 22)
#define MADE_CLAIMS 8192u
#define MADE_FORMS 8u

/* A claim whose form is expanded; `low` is NULL for one that is not such a product. */
struct product {
    const struct mbi_claim *claim;
    struct mbi_ext power; /* of the challenge that joins the claims */
    struct mbi_form high_form, low_form;
    struct mbi_ext *high, *low;
    /* Of an index that is cut off and masked: in rows whose last bits are those of `edge`, the
     * first `rest` entries alone are there, if `rest` is not 0. */
    uint64_t edge, edge_mask;
    size_t rest;
};

/* The products of a vector that have entries in a chunk of it: list[first[chunk]] and so on up to
 * the next one's. */
struct chunks {
    uint32_t *first, *list;
};

struct fill {
    const struct mbi_opening *o;
    const struct mbi_field_kernels *kernels;
    struct mbi_ext *w; /* of one vector */
    size_t vector, reach[MBI_OPEN_VECTORS];
    unsigned log; /* of a chunk */
    struct chunks chunks;
    struct product *product;
    size_t n, done; /* claims: taken, and looked at */
    struct mbi_ext *room;
    size_t max_claims, max_room;    /* of these */
    bool skipped[MBI_OPEN_VECTORS]; /* whose claims are not taken */
};

struct mbi_open_weights {
    struct fill fill; /* with the products of the vectors that are made */
    struct chunks chunks[MBI_OPEN_VECTORS];
};

/* ---- forms as products ---- */

/* The factor that has the form's last bit, and its one free index there. */
static bool find_last(size_t *factor, size_t *index, const struct mbi_form *form)
{
    for (*factor = 0; *factor < form->n_factors; (*factor)++) {
        const struct mbi_form_factor *f = &form->factor[*factor];
        size_t free = 0;
        bool last = false;

        for (size_t v = 0; v < f->n_indices; v++) {
            if (f->index[v].at == MBI_FORM_SUMMED)
                continue;
            free++;
            if (f->index[v].bits && (unsigned)f->index[v].at + f->index[v].bits == form->bits) {
                *index = v;
                last = true;
            }
        }
        if (last)
            return free == 1;
    }
    return false;
}

/* eq(z, .), maybe masked: but for the mask, a product over the bits. */
static bool is_eq(const struct mbi_form_factor *f)
{
    const struct mbi_form_index *x = &f->index[0];

    return f->kind == MBI_FORM_RULED && f->n_indices == 1 && f->n_rules == 1 &&
           x->weight == MBI_FORM_EQ && f->rule[0].order == MBI_FORM_BELOW && !f->rule[0].low &&
           f->rule[0].high == MBI_MAX_BITS;
}

/* Factors over no bits may stand anywhere; here they stand where every form has room for them. */
static void keep_factor(struct mbi_form *form, const struct mbi_form_factor *f)
{
    struct mbi_form_factor *to = &form->factor[form->n_factors++];

    *to = *f;
    for (size_t v = 0; v < to->n_indices; v++)
        if (to->index[v].at != MBI_FORM_SUMMED && !to->index[v].bits)
            to->index[v].at = 0;
}

/* The last factor, eq(z, .) below n, leaves its last `low` bits to the low part. */
static void cut(struct product *p, const struct mbi_form_factor *f, unsigned low)
{
    const struct mbi_form_index *x = &f->index[0];
    const unsigned high = x->bits - low;
    const uint64_t n = mbi_min_u64(f->rule[0].n, (uint64_t)1 << x->bits);

    p->rest = (size_t)(n & (((uint64_t)1 << low) - 1));
    p->edge = n >> low;
    p->edge_mask = ((uint64_t)1 << high) - 1;
    p->high_form.factor[p->high_form.n_factors++] =
        MBI_EXT(form_eq)(x->at, high, p->edge + (p->rest != 0), x->z);
    p->low_form.factor[0] = MBI_EXT(form_eq)(0, low, (uint64_t)1 << low, x->z + high);
}

/* All of a small form as its second part. */
static bool keep_whole(struct product *p)
{
    const struct mbi_form *form = p->claim->form;

    if (form->bits > LOW_MAX)
        return false;
    p->rest = 0;
    p->high_form = (struct mbi_form){.scale = form->scale};
    p->low_form = *form;
    p->low_form.scale = mbi_ext_from(1);
    return true;
}

/* The two parts of a form; false if it has none, or ones that do not pay. */
static bool split(struct product *p)
{
    const struct mbi_form *form = p->claim->form;
    size_t last, index;
    unsigned low;

    if (!find_last(&last, &index, form))
        return false;
    low = form->factor[last].index[index].bits;
    if (low < LOW_MIN || (low > LOW_MAX && !is_eq(&form->factor[last])))
        return false;
    if (low > LOW_MAX)
        low = LOW_CUT;
    p->rest = 0;
    p->high_form = (struct mbi_form){.bits = form->bits - low, .scale = form->scale};
    p->low_form = (struct mbi_form){.bits = low, .scale = mbi_ext_from(1)};
    for (size_t k = 0; k < form->n_factors; k++)
        if (k != last)
            keep_factor(&p->high_form, &form->factor[k]);
    keep_factor(&p->low_form, &form->factor[last]);
    if (low < form->factor[last].index[index].bits)
        cut(p, &form->factor[last], low);
    p->low_form.factor[0].index[index].at = 0;
    return true;
}

static void expand(struct mbi_ext *out, const struct mbi_form *form)
{
    const unsigned log = form->bits < MBI_FORM_BLOCK_LOG ? form->bits : MBI_FORM_BLOCK_LOG;

    for (uint64_t begin = 0; begin >> form->bits == 0; begin += (uint64_t)1 << log)
        MBI_EXT(form_block)(out + begin, form, begin, log);
}

static void expand_products(void *arg, size_t begin, size_t end)
{
    const struct fill *a = arg;

    for (const struct product *p = a->product + begin; p < a->product + end; p++) {
        if (!p->low)
            continue;
        expand(p->low, &p->low_form);
        expand(p->high, &p->high_form);
        for (size_t i = 0; i < (size_t)1 << p->high_form.bits; i++)
            p->high[i] = mbi_ext_mul(p->high[i], p->power);
    }
}

/* ---- how far forms reach ---- */

/* So many entries that a form is zero at all others: what a rule on its first bits says. */
static uint64_t form_end(const struct mbi_form *form)
{
    uint64_t end = (uint64_t)1 << form->bits;

    for (size_t k = 0; k < form->n_factors; k++) {
        const struct mbi_form_factor *f = &form->factor[k];

        for (size_t r = 0; f->kind == MBI_FORM_RULED && r < f->n_rules; r++) {
            const struct mbi_form_rule *rule = &f->rule[r];
            const struct mbi_form_index *x = &f->index[rule->left];

            if (rule->order == MBI_FORM_BELOW && !rule->low && rule->high == MBI_MAX_BITS &&
                !x->at && !(rule->n >> x->bits))
                end = mbi_min_u64(end, rule->n << (form->bits - x->bits));
        }
    }
    return end;
}

/* log2 of what a thread fills at once of a vector. */
static unsigned chunk_log(const struct mbi_opening *o, size_t vector)
{
    const unsigned bits = mbi_open_bits(o, vector);

    return bits < CHUNK ? bits : CHUNK;
}

/* Whole chunks, and whole rows. */
void MBI_EXT(open_reach)(size_t *entries, const struct mbi_opening *o)
{
    for (size_t i = 0; i < o->n_roots; i++)
        entries[i] = (size_t)o->root[i].rows << o->code.log_columns;
    for (size_t k = 0; k < o->n_claims; k++) {
        const struct mbi_claim *c = &o->claim[k];

        entries[c->vector] = mbi_max_size(
            entries[c->vector], (size_t)((c->block << c->form->bits) + form_end(c->form)));
    }
    for (size_t i = 0; i < o->n_roots; i++) {
        const unsigned chunk = chunk_log(o, i), row = o->code.log_columns;
        const size_t unit = (size_t)1 << (chunk < row ? row : chunk);

        entries[i] = (entries[i] + unit - 1) & ~(unit - 1);
    }
}

/* ---- products that are one ---- */

static bool is_edge(const struct product *p, size_t i)
{
    return p->rest && (i & p->edge_mask) == p->edge;
}

/* Of one block and with the same eq(z, .) as low part. */
static bool have_same_low(const struct product *p, const struct product *q)
{
    const struct mbi_form_factor *a = &p->low_form.factor[0], *b = &q->low_form.factor[0];

    return p->low && q->low && p->low_form.n_factors == 1 && q->low_form.n_factors == 1 &&
           p->claim->vector == q->claim->vector && p->claim->block == q->claim->block &&
           p->claim->form->bits == q->claim->form->bits && p->low_form.bits == q->low_form.bits &&
           is_eq(a) && is_eq(b) && a->index[0].z == b->index[0].z && a->rule[0].n == b->rule[0].n;
}

/* Rows of p become ones of q, but for edges. */
static void merge(struct product *q, struct product *p)
{
    for (size_t i = 0; i >> p->high_form.bits == 0; i++) {
        if (is_edge(p, i) || is_edge(q, i))
            continue;
        q->high[i] = mbi_ext_add(q->high[i], p->high[i]);
        p->high[i] = mbi_ext_from(0);
    }
}

/* Claims about all of a vector at one point follow each other. */
static void merge_products(struct fill *a)
{
    for (size_t i = a->n; i-- > 1;)
        if (have_same_low(&a->product[i], &a->product[i - 1]))
            merge(&a->product[i - 1], &a->product[i]);
}

/* ---- what is in a chunk ---- */

/* Counts claim k for the chunks in which it has entries, or lists it there: first[chunk + 1] is
 * where a chunk's list begins, and in the end where it ends. */
static void for_chunks(struct chunks *c, const struct fill *a, uint32_t k, bool list)
{
    const struct mbi_claim *claim = a->product[k].claim;
    const unsigned bits = claim->form->bits, log = chunk_log(a->o, claim->vector);
    const size_t first = (size_t)(claim->block << bits) >> log;
    const size_t end = mbi_min_size(first + (bits > log ? (size_t)1 << (bits - log) : 1),
                                    a->reach[claim->vector] >> log);

    for (size_t chunk = first; chunk < end; chunk++)
        if (list)
            c->list[c->first[chunk + 1]++] = k;
        else
            c->first[chunk + 2]++; /* of at most MADE_CLAIMS in each of 2^17 chunks */
}

static bool chunks_init(struct chunks *c, const struct fill *a, size_t vector,
                        const struct mbi_host *host)
{
    const size_t n = a->reach[vector] >> chunk_log(a->o, vector);

    if (!(c->first = mbi_alloc(host, n + 2, sizeof(*c->first))))
        return false;
    for (uint32_t k = 0; k < a->n; k++)
        if (a->product[k].claim->vector == vector)
            for_chunks(c, a, k, false);
    for (size_t i = 1; i <= n; i++)
        c->first[i + 1] += c->first[i];
    if (!(c->list = mbi_alloc(host, (size_t)c->first[n + 1] + 1, sizeof(*c->list))))
        return false;
    for (uint32_t k = 0; k < a->n; k++)
        if (a->product[k].claim->vector == vector)
            for_chunks(c, a, k, true);
    return true;
}

static void chunks_free(struct chunks *c, const struct mbi_host *host)
{
    mbi_free(host, c->first);
    mbi_free(host, c->list);
    *c = (struct chunks){NULL, NULL};
}

/* ---- entries ---- */

/* Adds entries begin .. end of the claim's block, the first one to w[0]. */
static void add_product(const struct fill *a, struct mbi_ext *w, const struct product *p,
                        size_t begin, size_t end)
{
    const unsigned log = p->low_form.bits;

    for (size_t at = begin, next; at < end; at = next) {
        const size_t i = at >> log, from = at - (i << log);
        size_t n;

        next = mbi_min_size((i + 1) << log, end);
        n = next - at;
        if (is_edge(p, i))
            n = p->rest > from ? mbi_min_size(n, p->rest - from) : 0;
        if (n && !mbi_ext_is_zero(p->high[i]))
            mbi_ext_mul_add(a->kernels, w + (at - begin), p->low + from, p->high[i], n);
    }
}

/* The same, of a claim that is no product. */
static void add_blocks(const struct fill *a, struct mbi_ext *w, const struct product *p,
                       size_t begin, size_t end)
{
    const unsigned bits = p->claim->form->bits,
                   log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;
    struct mbi_ext more[BLOCK];

    for (; begin < end; begin += (size_t)1 << log, w += (size_t)1 << log) {
        MBI_EXT(form_block)(more, p->claim->form, begin, log);
        mbi_ext_mul_add(a->kernels, w, more, p->power, (size_t)1 << log);
    }
}

/* What a claim adds to the entries begin .. end of its vector, the first of which is at w[0]. */
static void add_claim(const struct fill *a, struct mbi_ext *w, const struct product *p,
                      size_t begin, size_t end)
{
    const unsigned bits = p->claim->form->bits;
    const size_t first = (size_t)p->claim->block << bits;
    const size_t from = mbi_max_size(begin, first);

    end = mbi_min_size(end, first + ((size_t)1 << bits));
    if (from < end)
        (p->low ? add_product : add_blocks)(a, w + (from - begin), p, from - first, end - first);
}

/* What all claims of a chunk add to the entries begin .. begin + n of it. */
static void add_claims(const struct fill *a, const struct chunks *c, struct mbi_ext *w,
                       size_t chunk, size_t begin, size_t n)
{
    for (size_t i = c->first[chunk]; i < c->first[chunk + 1]; i++)
        add_claim(a, w, &a->product[c->list[i]], begin, begin + n);
}

static void fill_chunks(void *arg, size_t chunk, size_t end)
{
    const struct fill *a = arg;

    for (; chunk < end; chunk++)
        add_claims(a, &a->chunks, a->w + (chunk << a->log), chunk, chunk << a->log,
                   (size_t)1 << a->log);
}

static void clear_chunks(void *arg, size_t begin, size_t end)
{
    const struct fill *a = arg;

    memset(a->w + (begin << a->log), 0, ((end - begin) << a->log) * sizeof(*a->w));
}

/* All chunks of a vector that can have weights. */
static void for_vector(struct fill *a, struct mbi_ext *w, size_t vector,
                       const struct mbi_host *host,
                       void (*chunks)(void *arg, size_t begin, size_t end))
{
    a->w = w;
    a->vector = vector;
    a->log = chunk_log(a->o, vector);
    mbi_parallel_for(host, a->reach[vector] >> a->log, 1, chunks, a);
}

/* ---- the whole ---- */

/* What the claim costs as a product: entries of its expanded parts, or 0 if it is none. */
static size_t size_of(struct product *p, const struct mbi_claim *claim)
{
    p->claim = claim;
    p->low = NULL;
    if ((!split(p) && !keep_whole(p)) || p->high_form.bits >= 8 * sizeof(size_t) - 2)
        return 0;
    return ((size_t)1 << p->high_form.bits) + ((size_t)1 << p->low_form.bits);
}

/* The next claims, as many as there is room for; false if there are none. *power is that of the
 * last one that was looked at. */
static bool take_claims(struct fill *a, struct mbi_ext *power, struct mbi_ext join)
{
    size_t used = 0;

    for (a->n = 0; a->n < a->max_claims && a->done < a->o->n_claims; a->done++) {
        const struct mbi_claim *claim = &a->o->claim[a->done];
        struct product *p = &a->product[a->n];
        const size_t size = a->skipped[claim->vector] ? 0 : size_of(p, claim);

        if (size <= a->max_room && used + size > a->max_room)
            break;
        if (a->done && !claim->joined)
            *power = mbi_ext_mul(*power, join);
        if (a->skipped[claim->vector])
            continue;
        a->n++;
        p->power = mbi_ext_mul(*power, mbi_claim_scale(claim));
        if (size && size <= a->max_room) {
            p->low = a->room + used;
            p->high = p->low + ((size_t)1 << p->low_form.bits);
            used += size;
        }
    }
    return a->n;
}

/* Room for n claims and the expanded parts of as many. Both are freed by the caller, also after a
 * failure. */
static bool fill_init(struct fill *a, size_t n, size_t room, const struct mbi_host *host)
{
    a->max_claims = n;
    a->max_room = room;
    a->product = mbi_alloc(host, n, sizeof(*a->product));
    a->room = mbi_alloc_huge(host, mbi_max_size(room, 1) * sizeof(*a->room));
    return a->product && a->room;
}

static void fill_free(struct fill *a, const struct mbi_host *host)
{
    mbi_free_aligned(host, a->room);
    mbi_free(host, a->product);
}

/* Adds the claims that were taken. */
static bool fill_claims(struct fill *a, struct mbi_ext *const *w, const struct mbi_host *host)
{
    bool listed = true;

    mbi_parallel_for(host, a->n, 1, expand_products, a);
    merge_products(a);
    for (size_t i = 0; i < a->o->n_roots && listed; i++) {
        if (!w[i])
            continue;
        if ((listed = chunks_init(&a->chunks, a, i, host)))
            for_vector(a, w[i], i, host, fill_chunks);
        chunks_free(&a->chunks, host);
    }
    return listed;
}

/* Claims of vectors that are not skipped, and entries of their parts: no more than is taken at a
 * time. */
static void count_claims(size_t *n, size_t *room, const struct fill *a)
{
    struct product one;

    *n = *room = 0;
    for (size_t k = 0; k < a->o->n_claims; k++) {
        const struct mbi_claim *claim = &a->o->claim[k];

        if (a->skipped[claim->vector])
            continue;
        *n = mbi_min_size(*n + 1, FILL_CLAIMS);
        *room = mbi_min_size(*room + mbi_min_size(size_of(&one, claim), FILL_ROOM), FILL_ROOM);
    }
}

bool MBI_EXT(open_fill)(struct mbi_ext *const *w, const struct mbi_opening *o, struct mbi_ext join,
                        const struct mbi_host *host, const struct mbi_field_kernels *kernels)
{
    struct mbi_ext power = mbi_ext_from(1);
    struct fill a = {.o = o, .kernels = kernels};
    size_t n, room;
    bool filled;

    MBI_EXT(open_reach)(a.reach, o);
    for (size_t i = 0; i < o->n_roots; i++) {
        a.skipped[i] = !w[i];
        if (w[i])
            for_vector(&a, w[i], i, host, clear_chunks);
    }
    count_claims(&n, &room, &a);
    filled = fill_init(&a, n, room, host);
    while (filled && take_claims(&a, &power, join))
        filled = fill_claims(&a, w, host);
    fill_free(&a, host);
    return filled;
}

/* ---- weights that are not kept ---- */

/* Which vectors have few forms for an entry, all of them products that fit in one room; their
 * claims, and entries of their parts. */
static void choose_vectors(size_t *all, size_t *room, struct fill *a)
{
    size_t entries[MBI_OPEN_VECTORS] = {0};
    struct product one;

    *all = *room = 0;

    for (size_t i = 0; i < a->o->n_roots; i++) {
        size_t used = 0, n = 0;
        bool fits = true;

        for (size_t k = 0; k < a->o->n_claims && fits; k++) {
            const struct mbi_claim *claim = &a->o->claim[k];
            size_t size;

            if (claim->vector != i)
                continue;
            size = size_of(&one, claim);
            used += size;
            entries[i] += (size_t)1 << claim->form->bits;
            fits = size && ++n + *all <= MADE_CLAIMS && used + *room <= MADE_ROOM &&
                   entries[i] <= MADE_FORMS * a->reach[i];
        }
        if ((a->skipped[i] = !fits || !n))
            continue;
        *room += used;
        *all += n;
    }
}

void MBI_EXT(open_weights_free)(struct mbi_open_weights *f, const struct mbi_host *host)
{
    if (!f)
        return;
    for (size_t i = 0; i < MBI_OPEN_VECTORS; i++)
        chunks_free(&f->chunks[i], host);
    fill_free(&f->fill, host);
    mbi_free(host, f);
}

struct mbi_open_weights *MBI_EXT(open_weights)(const struct mbi_opening *o, struct mbi_ext join,
                                               const struct mbi_host *host,
                                               const struct mbi_field_kernels *kernels)
{
    struct mbi_open_weights *f = mbi_alloc(host, 1, sizeof(*f));
    struct mbi_ext power = mbi_ext_from(1);
    size_t n, room;
    bool made;

    if (!f)
        return NULL;
    f->fill = (struct fill){.o = o, .kernels = kernels};
    MBI_EXT(open_reach)(f->fill.reach, o);
    choose_vectors(&n, &room, &f->fill);
    if ((made = fill_init(&f->fill, n, room, host))) {
        (void)take_claims(&f->fill, &power, join); /* all there are: they fit */
        mbi_parallel_for(host, f->fill.n, 1, expand_products, &f->fill);
        merge_products(&f->fill);
    }
    for (size_t i = 0; made && i < o->n_roots; i++)
        if (!f->fill.skipped[i])
            made = chunks_init(&f->chunks[i], &f->fill, i, host);
    if (made)
        return f;
    MBI_EXT(open_weights_free)(f, host);
    return NULL;
}

bool MBI_EXT(open_weights_has)(const struct mbi_open_weights *f, size_t vector)
{
    return !f->fill.skipped[vector];
}

void MBI_EXT(open_weights_make)(struct mbi_ext *w, const struct mbi_open_weights *f, size_t vector,
                                size_t begin, size_t n)
{
    memset(w, 0, n * sizeof(*w));
    add_claims(&f->fill, &f->chunks[vector], w, begin >> chunk_log(f->fill.o, vector), begin, n);
}
#endif

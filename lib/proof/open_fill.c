/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weights of an opening: the forms of all claims, entry by entry. Most forms are a product of a
 * part over their first bits and one over their last ones; both are expanded once, and an entry
 * costs one multiplication.
 */
#include "base/intmath.h"
#include "proof/open.h"
#if MBI_HAVE_SODIUM

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define CHUNK 13u              /* bits of what a thread fills at once */
#define LOW_MIN 4u             /* bits of a form's second part */
#define LOW_CUT 10u            /* ... where it is cut off */
#define LOW_MAX 12u            /* ... at most, where it is a factor */
#define ROOM ((size_t)1 << 18) /* entries of expanded parts at a time, if one claim's fit */

#define CLAIMS 256u /* ... and claims */

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

struct fill {
    const struct mbi_opening *o;
    const struct mbi_field_kernels *kernels;
    struct mbi_ext *w; /* of one vector */
    size_t vector, reach[MBI_OPEN_VECTORS];
    unsigned log; /* of a chunk */
    struct product *product;
    size_t n;
    struct mbi_ext *room;
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

    return p->low && q->low && p->claim->vector == q->claim->vector &&
           p->claim->block == q->claim->block && p->claim->form->bits == q->claim->form->bits &&
           p->low_form.bits == q->low_form.bits && is_eq(a) && is_eq(b) &&
           a->index[0].z == b->index[0].z && a->rule[0].n == b->rule[0].n;
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

/* ---- entries ---- */

/* Entries begin .. end of the claim's block, which begins at w[0]: both are multiples of the low
 * part's size. */
static void add_product(const struct fill *a, struct mbi_ext *w, const struct product *p,
                        size_t begin, size_t end)
{
    const unsigned log = p->low_form.bits;

    for (size_t i = begin >> log; i < end >> log; i++)
        if (!mbi_ext_is_zero(p->high[i]))
            mbi_ext_mul_add(a->kernels, w + (i << log), p->low, p->high[i],
                            is_edge(p, i) ? p->rest : (size_t)1 << log);
}

/* The same, of a claim that is no product. */
static void add_blocks(const struct fill *a, struct mbi_ext *w, const struct product *p,
                       size_t begin, size_t end)
{
    const unsigned bits = p->claim->form->bits,
                   log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;
    struct mbi_ext more[BLOCK];

    for (; begin < end; begin += (size_t)1 << log) {
        MBI_EXT(form_block)(more, p->claim->form, begin, log);
        mbi_ext_mul_add(a->kernels, w + begin, more, p->power, (size_t)1 << log);
    }
}

/* Blocks and chunks are aligned: one lies in the other, or they have nothing in common. */
static void fill_chunks(void *arg, size_t chunk, size_t end_chunk)
{
    const struct fill *a = arg;
    const size_t size = (size_t)1 << a->log;

    for (; chunk < end_chunk; chunk++)
        for (const struct product *p = a->product; p < a->product + a->n; p++) {
            const unsigned bits = p->claim->form->bits;
            const size_t first = (size_t)p->claim->block << bits, from = chunk << a->log;

            if (p->claim->vector != a->vector ||
                (first ^ from) >> (bits < a->log ? a->log : bits) != 0)
                continue;
            (p->low ? add_product : add_blocks)(
                a, a->w + first, p, from > first ? from - first : 0,
                from > first ? mbi_min_size(from - first + size, (size_t)1 << bits)
                             : mbi_min_size(from + size - first, (size_t)1 << bits));
        }
}

static void clear_chunks(void *arg, size_t begin, size_t end)
{
    const struct fill *a = arg;

    memset(a->w + (begin << a->log), 0, ((end - begin) << a->log) * sizeof(*a->w));
}

/* All chunks of every vector that can have weights. */
static void for_vectors(struct fill *a, struct mbi_ext *const *w, const struct mbi_host *host,
                        void (*chunks)(void *arg, size_t begin, size_t end))
{
    for (a->vector = 0; a->vector < a->o->n_roots; a->vector++) {
        a->w = w[a->vector];
        a->log = chunk_log(a->o, a->vector);
        mbi_parallel_for(host, a->reach[a->vector] >> a->log, 1, chunks, a);
    }
}

/* ---- the whole ---- */

/* Claims from `begin` on, as many as there is room for; returns how many. */
static size_t take_claims(struct fill *a, size_t begin, struct mbi_ext *power, struct mbi_ext join)
{
    size_t used = 0;

    for (a->n = 0; a->n < CLAIMS && begin + a->n < a->o->n_claims; a->n++) {
        struct product *p = &a->product[a->n];
        size_t size = 0;

        p->claim = &a->o->claim[begin + a->n];
        p->low = NULL;
        if (split(p) && p->high_form.bits < 8 * sizeof(size) - 2)
            size = ((size_t)1 << p->high_form.bits) + ((size_t)1 << p->low_form.bits);
        if (size <= ROOM && used + size > ROOM)
            break;
        if (begin + a->n && !p->claim->joined)
            *power = mbi_ext_mul(*power, join);
        p->power = mbi_ext_mul(*power, mbi_claim_scale(p->claim));
        if (size && size <= ROOM) {
            p->low = a->room + used;
            p->high = p->low + ((size_t)1 << p->low_form.bits);
            used += size;
        }
    }
    return a->n;
}

bool MBI_EXT(open_fill)(struct mbi_ext *const *w, const struct mbi_opening *o, struct mbi_ext join,
                        const struct mbi_host *host, const struct mbi_field_kernels *kernels)
{
    struct fill a = {.o = o, .kernels = kernels};
    struct mbi_ext power = mbi_ext_from(1);

    a.product = mbi_alloc(host, CLAIMS, sizeof(*a.product));
    a.room = mbi_alloc(host, ROOM, sizeof(*a.room));
    MBI_EXT(open_reach)(a.reach, o);
    if (a.product && a.room) {
        for_vectors(&a, w, host, clear_chunks);
        for (size_t begin = 0; begin < o->n_claims;) {
            begin += take_claims(&a, begin, &power, join);
            mbi_parallel_for(host, a.n, 1, expand_products, &a);
            merge_products(&a);
            for_vectors(&a, w, host, fill_chunks);
        }
    }
    mbi_free(host, a.room);
    mbi_free(host, a.product);
    return a.product && a.room;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From relations to claims. Every relation is taken at a random point; what is linear becomes a
 * claim at once, products go through sum-checks. Then the variables that are not committed are
 * replaced in all claims, the last one first, by what defines them.
 */
#include "proof/statement.h"
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

#define LEVEL 100        /* bits of soundness of profile A; of profile B with D = 3 */
#define VERSION 1        /* of the protocol */
#define HIDDEN_VERSION 2 /* of hidden proofs */

/* ---- memory ---- */

/*
 * All that is kept shares blocks, which are linked. After some small ones they are as large as the
 * system's huge pages: a fresh page costs more than what most of these are computed from.
 */
struct mbi_walk_block {
    struct mbi_walk_block *next;
    uint8_t *memory; /* by itself, so that it is as large as huge pages are */
    size_t left;
    bool lent; /* by the job */
};

#define SMALL ((size_t)1 << 15) /* bytes of a block, ... */
#define SMALL_BLOCKS 8          /* ... of which there are so many */
#define LARGE ((size_t)1 << 21)

static bool begin_block(struct mbi_walk *w, uint8_t *memory, size_t size, bool lent)
{
    struct mbi_walk_block *b = memory ? mbi_alloc(w->host, 1, sizeof(*b)) : NULL;

    if (!b)
        return false;
    *b = (struct mbi_walk_block){w->block, memory, size, lent};
    w->block = b;
    w->room = memory;
    w->n_blocks++;
    return true;
}

static bool add_block(struct mbi_walk *w, size_t least)
{
    const size_t size = mbi_max_size(least, w->n_blocks < SMALL_BLOCKS ? SMALL : LARGE);
    uint8_t *memory = mbi_alloc_huge(w->host, size);

    if (begin_block(w, memory, size, false))
        return true;
    mbi_free_aligned(w->host, memory);
    return false;
}

#define PAGE ((size_t)4096)

void MBI_EXT(walk_expect)(struct mbi_walk *w, size_t size)
{
    if (w->block || size < LARGE / 2) /* no memory: what needs it says so */
        return;
    if (w->job->room.memory)
        (void)begin_block(w, w->job->room.memory, w->job->room.size, true);
    else
        (void)add_block(w, (size + LARGE - 1) & ~(LARGE - 1));
}

void MBI_EXT(walk_touch)(uint8_t *memory, size_t size)
{
    for (size_t at = 0; at < size; at += PAGE)
        memory[at] = 0;
}

void *MBI_EXT(walk_room)(struct mbi_walk *w, size_t n, size_t size)
{
    size_t bytes;
    void *room;

    if (!mbi_mul_size(&bytes, n, size) || !mbi_add_size(&bytes, bytes, 15)) {
        w->failed = true;
        return NULL;
    }
    bytes &= ~(size_t)15; /* any type is aligned to 16 bytes */
    if ((!w->block || w->block->left < bytes) && !add_block(w, bytes)) {
        w->failed = true;
        return NULL;
    }
    room = w->room;
    w->room += bytes;
    w->block->left -= bytes;
    return room;
}

void *MBI_EXT(walk_keep)(struct mbi_walk *w, size_t n, size_t size)
{
    void *room = MBI_EXT(walk_room)(w, n, size);

    return room ? memset(room, 0, n * size) : NULL;
}

void MBI_EXT(walk_free)(struct mbi_walk *w)
{
    while (w->block) {
        struct mbi_walk_block *b = w->block;

        w->block = b->next;
        if (!b->lent)
            mbi_free_aligned(w->host, b->memory);
        mbi_free(w->host, b);
    }
    mbi_free(w->host, w->first);
    mbi_free(w->host, w->value);
    mbi_free(w->host, w->pad);
}

struct mbi_ext *MBI_EXT(walk_draw)(struct mbi_walk *w, size_t n)
{
    struct mbi_ext *z = MBI_EXT(walk_keep)(w, n, sizeof(*z));

    if (z)
        mbi_transcript_draw(z->c, n * MBI_EXT_D, w->transcript);
    return z;
}

/* ---- factors ---- */

#define KNOWN 2048u /* hashes */

static bool same_index(const struct mbi_form_index *a, const struct mbi_form_index *b)
{
    const size_t n = a->weight == MBI_FORM_ONES ? 0 : a->weight == MBI_FORM_EQ ? a->bits : 1;

    return a->bits == b->bits && a->at == b->at && a->weight == b->weight &&
           (a->z == b->z || !n || !memcmp(a->z, b->z, n * sizeof(*a->z)));
}

/* Tables and lists are the same only where they lie in the same place. */
static bool same_factor(const struct mbi_form_factor *a, const struct mbi_form_factor *b)
{
    bool same = a->kind == b->kind && a->n_indices == b->n_indices && a->n_rules == b->n_rules;

    for (unsigned k = 0; same && k < a->n_indices; k++)
        same = same_index(&a->index[k], &b->index[k]);
    for (unsigned k = 0; same && k < a->n_rules; k++)
        same = mbi_form_same_rule(&a->rule[k], &b->rule[k]);
    return same && (a->kind == MBI_FORM_RULED ||
                    (a->values.data == b->values.data && a->values.n == b->values.n &&
                     a->values.type == b->values.type && a->list == b->list));
}

/* Of equal factors the same, whatever it is of others: a point counts as its first coordinate. */
static unsigned hash_factor(const struct mbi_form_factor *f)
{
    const struct mbi_form_index *x = &f->index[f->n_indices - 1];
    uint64_t h = x->bits;

    for (unsigned k = 0; k < x->bits && x->weight == MBI_FORM_EQ; k++)
        h = 31 * h + x->z[k].c[0];
    for (unsigned k = 0; k < f->n_rules; k++)
        h = 31 * h + f->rule[k].n;
    return (unsigned)(h * UINT64_C(0x9E3779B97F4A7C15) >> 32) % KNOWN;
}

const struct mbi_form_factor *MBI_EXT(walk_factor)(struct mbi_walk *w,
                                                   const struct mbi_form_factor *f)
{
    static const struct mbi_form_factor other = {
        .kind = MBI_FORM_RULED,
        .n_indices = 1,
        .n_rules = 1,
        .rule = {{.order = MBI_FORM_BELOW, .high = MBI_MAX_BITS, .n = 1}}};
    const struct mbi_form_factor **known;
    struct mbi_form_factor *own;

    if (!w->known && !(w->known = MBI_EXT(walk_keep)(w, KNOWN, sizeof(*w->known))))
        return &other;
    known = &w->known[hash_factor(f)];
    if (*known && same_factor(*known, f))
        return *known;
    if (!(own = MBI_EXT(walk_keep)(w, 1, sizeof(*own))))
        return &other;
    *own = *f;
    return *known = own;
}

void MBI_EXT(walk_give_back)(struct mbi_walk *w, uint8_t *room, const struct mbi_form_factor *f)
{
    const uintptr_t first = w->block ? (uintptr_t)w->block->memory : 0, at = (uintptr_t)room;
    const uintptr_t end = (uintptr_t)w->room, own = (uintptr_t)f;

    if (w->failed || !w->block || at < first || at > end || (own >= at && own < end))
        return; /* in another block than now, or the factor is new */
    w->block->left += end - at;
    w->room = room;
}

/* ---- claims and their parts ---- */

uint32_t MBI_EXT(walk_claim)(struct mbi_walk *w, struct mbi_ext value)
{
    if (w->n_claims == w->claim_cap) {
        const size_t cap = 2 * w->claim_cap + 64;
        struct mbi_ext *more = mbi_realloc(w->host, w->value, cap, sizeof(*more));

        if (!more) {
            w->failed = true;
            return 0;
        }
        w->value = more;
        w->claim_cap = cap;
    }
    w->value[w->n_claims] = value;
    return (uint32_t)w->n_claims++;
}

void MBI_EXT(walk_part)(struct mbi_walk *w, const struct mbi_part *part)
{
    if (w->n_parts >= MBI_WALK_PARTS) { /* each sum of a graph may make two of one */
        mbi_walk_cannot(w, "its claims would have too many parts");
        return;
    }
    if (w->n_parts == w->part_cap) { /* of a model there are some more than its plan has terms */
        const size_t terms = w->plan->n_terms;
        const size_t cap = w->part_cap ? 2 * w->part_cap : terms + terms / 4 + 64;
        struct mbi_part *more = MBI_EXT(walk_room)(w, cap, sizeof(*more));

        if (!more)
            return;
        if (w->n_parts)
            memcpy(more, w->part, w->n_parts * sizeof(*more));
        w->part = more;
        w->part_cap = cap;
    }
    w->part[w->n_parts] = *part;
    w->part[w->n_parts].next = SIZE_MAX;
    if (part->var != MBI_NONE) {
        struct mbi_part_list *list = &w->first[part->var];

        if (list->first == SIZE_MAX)
            list->first = w->n_parts;
        else
            w->part[list->last].next = w->n_parts;
        list->last = w->n_parts;
    }
    w->n_parts++;
}

void MBI_EXT(walk_take)(struct mbi_walk *w, uint32_t claim, struct mbi_ext x)
{
    if (claim < w->n_claims)
        w->value[claim] = mbi_ext_sub(w->value[claim], x);
}

/* ---- pads ---- */

void MBI_EXT(walk_pad)(struct mbi_walk *w, uint32_t claim, size_t pad, struct mbi_ext scale)
{
    if (w->n_pads == w->pad_cap) {
        const size_t cap = 2 * w->pad_cap + 256;
        struct mbi_walk_pad *more = mbi_realloc(w->host, w->pad, cap, sizeof(*more));

        if (!more) {
            w->failed = true;
            return;
        }
        w->pad = more;
        w->pad_cap = cap;
    }
    w->pad[w->n_pads++] = (struct mbi_walk_pad){claim, {pad, scale}};
}

uint32_t MBI_EXT(walk_affine)(struct mbi_walk *w, const struct mbi_affine *value)
{
    const uint32_t claim = MBI_EXT(walk_claim)(w, value->known);

    for (size_t i = value->first; i < value->first + value->n && i < w->hidden->n_terms; i++)
        MBI_EXT(walk_pad)(w, claim, w->hidden->term[i].pad, w->hidden->term[i].scale);
    return claim;
}

void MBI_EXT(walk_zeros)(struct mbi_walk *w)
{
    if (!w->hidden)
        return;
    w->failed |= w->hidden->failed;
    for (size_t i = 0; i < w->hidden->n_zero; i++)
        (void)MBI_EXT(walk_affine)(w, &w->hidden->zero[i]);
}

uint32_t MBI_EXT(walk_end)(struct mbi_walk *w, struct mbi_ext value, size_t k)
{
    const uint32_t claim = MBI_EXT(walk_claim)(w, value);

    if (w->hidden)
        MBI_EXT(walk_pad)(w, claim, w->hidden->line.m + k, mbi_ext_neg(w->hidden->line.r));
    return claim;
}

size_t MBI_EXT(walk_pad_term)(struct mbi_claim *claim, struct mbi_walk *w,
                              const struct mbi_pad_term *term, size_t n)
{
    const unsigned bits = w->plan->pad_bits;
    struct mbi_ext *value = MBI_EXT(walk_keep)(w, n * MBI_EXT_D, sizeof(*value));
    uint32_t *list = MBI_EXT(walk_keep)(w, n * MBI_EXT_D, sizeof(*list));
    struct mbi_form *form = MBI_EXT(walk_keep)(w, 1, sizeof(*form));
    const struct mbi_table values = {MBI_TABLE_EXT, value, n * MBI_EXT_D};
    const uint64_t first = w->plan->pads_at & (((uint64_t)1 << bits) - 1); /* in their block */

    if (w->failed)
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct mbi_ext scale = mbi_ext_neg(term[i].scale);

        for (size_t k = 0; k < MBI_EXT_D; k++) {
            list[MBI_EXT_D * i + k] = (uint32_t)(first + MBI_EXT_D * term[i].pad + k);
            value[MBI_EXT_D * i + k] = scale;
            scale = mbi_ext_times_x(scale);
        }
    }
    *form = (struct mbi_form){.bits = bits, .scale = mbi_ext_from(1), .n_factors = 1};
    form->factor[0] = MBI_EXT(form_list)(0, bits, (uint64_t)1 << bits, list, values.n, &values,
                                         NULL, mbi_index_bits((uint32_t)values.n));
    claim->vector = 0;
    claim->block = w->plan->pads_at >> bits;
    claim->form = form;
    return 1;
}

/* Nothing is known of the last sum-check or lookup. */
static void forget(struct mbi_walk *w)
{
    if (!w->hidden)
        return;
    MBI_EXT(hidden_clear)(w->hidden);
    w->hidden->claim_pad = NULL;
}

/* ---- ranges ---- */

/*
 * All digits below 4, and below 2: the sums over the digits of d (d-1) (d-2) (d-3), and of d (d-1),
 * each times eq with a random point, are zero.
 */
static void check_ranges(struct mbi_walk *w)
{
    static const uint32_t table[] = {0};
    const struct mbi_plan *p = w->plan;
    const struct mbi_sum_term four[] = {{mbi_fe_from_i64(-6), 1, {0}},
                                        {11, 2, {0, 0}},
                                        {mbi_fe_from_i64(-6), 3, {0, 0, 0}},
                                        {1, 4, {0, 0, 0, 0}}};
    const struct mbi_sum_term two[] = {{mbi_fe_from_i64(-1), 1, {0}}, {1, 2, {0, 0}}};
    const struct mbi_ext *z = MBI_EXT(walk_draw)(w, p->bits);
    struct mbi_ext *point = MBI_EXT(walk_keep)(w, p->bits, sizeof(*point)), value = mbi_ext_from(0);
    struct mbi_form weight[3];
    const struct mbi_sum sum[] = {{&weight[0], 1, four, MBI_COUNT(four), table, 1, mbi_ext_from(0)},
                                  {&weight[1], 2, two, MBI_COUNT(two), table, 1, mbi_ext_from(0)}};
    const struct mbi_sum_batch batch = {p->bits, sum, p->to[1] > p->from[1] ? 2 : 1, 1, NULL};
    const struct mbi_walk_table digits = {.view = {.var = MBI_NONE}};
    struct mbi_part part = {.var = MBI_NONE, .scale = mbi_ext_from(1)};
    struct mbi_form_factor all;

    if (w->failed)
        return;
    for (int i = 0; i < 3; i++) {
        const uint64_t below = i == 0 ? p->to[2] : i == 1 ? p->end : p->from[1];
        const struct mbi_form_factor f = MBI_EXT(form_eq)(0, p->bits, below, z);

        weight[i] = (struct mbi_form){p->bits, mbi_ext_from(1), 1, {f}};
    }
    weight[2].scale = mbi_ext_neg(weight[2].scale);
    forget(w);
    w->side->sum(w, point, &value, &batch, &digits);
    MBI_EXT(walk_zeros)(w);
    all = MBI_EXT(form_eq)(0, p->bits, w->hidden ? p->end : (uint64_t)1 << p->bits, point);
    part.factor[0] = MBI_EXT(walk_factor)(w, &all);
    part.claim = MBI_EXT(walk_end)(w, value, 0);
    MBI_EXT(walk_part)(w, &part);
}

/* eq(point, .) of the witness vector's entries below `below`, times scale, as a part of a claim. */
static void add_vector(struct mbi_walk *w, uint32_t claim, const struct mbi_ext *point,
                       uint64_t below, struct mbi_ext scale)
{
    struct mbi_part part = {.claim = claim, .var = MBI_NONE, .scale = scale};
    const struct mbi_form_factor f = MBI_EXT(form_eq)(0, w->plan->bits, below, point);

    part.factor[0] = MBI_EXT(walk_factor)(w, &f);
    MBI_EXT(walk_part)(w, &part);
}

/* All digits of a large vector at once; the claims are those of the digits and of their counts. */
static void count_ranges(struct mbi_walk *w)
{
    const struct mbi_lookup *l = &w->plan->lookup;
    struct mbi_lookup_end *end = MBI_EXT(walk_keep)(w, 1, sizeof(*end));
    const struct mbi_ext one = mbi_ext_from(1);
    uint32_t claim;

    if (w->failed)
        return;
    forget(w);
    w->side->lookup(w, end, l);
    MBI_EXT(walk_zeros)(w);
    claim = w->hidden ? MBI_EXT(walk_affine)(w, &w->hidden->end[0])
                      : MBI_EXT(walk_claim)(w, end->limbs);
    add_vector(w, claim, end->point, l->counts[0], one);
    claim = w->hidden ? MBI_EXT(walk_affine)(w, &w->hidden->end[1])
                      : MBI_EXT(walk_claim)(w, end->counts);
    add_vector(w, claim, end->point, l->counts[l->n], one);
    add_vector(w, claim, end->point, l->counts[0], mbi_ext_neg(one));
}

/* ---- the whole ---- */

#define ELEMENTS ((size_t)256) /* that are absorbed at a time */

/* n elements of a table from one on. */
static void hash_elements(struct mbi_hash *h, const struct mbi_table *table, size_t begin, size_t n)
{
    uint8_t bytes[ELEMENTS * MBI_FE_BYTES];
    mbi_fe x[ELEMENTS];

    for (size_t at = 0; at < n; at += ELEMENTS) {
        const size_t here = mbi_min_size(ELEMENTS, n - at);

        MBI_EXT(table_load)(x, table, begin + at, here);
        mbi_fe_to_bytes(bytes, x, here);
        mbi_hash_add(h, bytes, here * MBI_FE_BYTES);
    }
}

/* The elements of a public variable, whatever the statement says of them. */
static void absorb_public(struct mbi_walk *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];
    struct mbi_hash h;

    mbi_transcript_absorb_begin(&h, w->transcript, "public",
                                v->n[0] * mbi_var_cols(v) * MBI_FE_BYTES);
    for (size_t r = 0; r < v->n[0]; r++)
        for (size_t m = 0; m < v->n[1]; m++)
            hash_elements(&h, &w->job->table[var], mbi_var_place(v, r, m * v->n[2]), v->n[2]);
    mbi_transcript_absorb_end(w->transcript, &h);
}

/* known: the plan's digest, or NULL. */
static void begin(struct mbi_transcript *t, const struct mbi_proof_job *job, const uint8_t *known)
{
    uint8_t digest[MBI_DIGEST_SIZE], protocol[16];

    mbi_store64(protocol, job->plan->n_pads ? HIDDEN_VERSION : VERSION);
    mbi_store64(protocol + 8, MBI_EXT_D);
    mbi_transcript_absorb(t, "protocol", protocol, sizeof(protocol));
    if (!known)
        mbi_plan_digest(digest, job->plan);
    mbi_transcript_absorb(t, "plan", known ? known : digest, sizeof(digest));
    mbi_transcript_absorb(t, "statement", job->statement, job->statement_size);
}

void MBI_EXT(proof_begin)(struct mbi_transcript *t, const struct mbi_proof_job *job)
{
    begin(t, job, NULL);
}

void MBI_EXT(walk_start)(struct mbi_walk *w)
{
    if (!w->job->begun)
        begin(w->transcript, w->job, w->digest);
    mbi_transcript_absorb(w->transcript, "weights", &w->job->weights.digest,
                          sizeof(struct mbi_digest));
    for (uint32_t i = 0; i < w->plan->n_vars; i++)
        if (w->plan->var[i].kind == MBI_VAR_PUBLIC && w->plan->var[i].input <= MBI_PUBLIC_PARAM)
            absorb_public(w, i);
}

bool MBI_EXT(proof_is_named)(const struct mbi_proof_job *job, const struct mbi_digest *root)
{
    struct mbi_digest name;

    if (!mbi_plan_links(job->plan))
        return true;
    mbi_proof_file_name(name.byte, job->bare, job->bare_size, root->byte);
    for (int side = 0; side < MBI_SIDES; side++) /* behind the one before it, and the reverse */
        if (job->plan->boundary[side] &&
            memcmp(&job->link[side].name[MBI_SIDES - 1 - side], &name, sizeof(name)) != 0)
            return false;
    return true;
}

bool MBI_EXT(walk)(struct mbi_walk *w)
{
    w->first = mbi_alloc(w->host, w->plan->n_vars, sizeof(*w->first));
    if (!w->first)
        return false;
    for (uint32_t i = 0; i < w->plan->n_vars; i++)
        w->first[i].first = SIZE_MAX;
    if (w->plan->direct) {
        MBI_EXT(walk_certificate)(w);
        return !w->failed;
    }
    MBI_EXT(walk_relations)(w);
    if (!w->failed)
        MBI_EXT(walk_replace)(w);
    if (!w->failed && w->plan->large)
        count_ranges(w);
    else if (!w->failed)
        check_ranges(w);
    if (!w->failed && w->side->open)
        MBI_EXT(walk_open)(w);
    return !w->failed;
}

/* The smallest openings of the weights and a witness, which may be longer. */
bool MBI_EXT(weight_code)(struct mbi_code *code, unsigned weight_bits)
{
    return MBI_EXT(code_of)(code, weight_bits, 2, LEVEL);
}

bool MBI_EXT(walk_code)(struct mbi_code *code, const struct mbi_plan *plan)
{
    const bool memory =
        plan->takes_tokens && (plan->boundary[MBI_BEFORE] || plan->boundary[MBI_BEHIND]);

    if (plan->public_weights && !memory)
        return MBI_EXT(code_of)(code, plan->bits, 1, LEVEL);
    return MBI_EXT(weight_code)(code, plan->weight_bits);
}

#define LINK_RATE 4u /* log2 of the lowest */

/* Of a vector so short that mostly every column is drawn, so that work would save nothing. */
static bool link_code(struct mbi_code *code, unsigned bits)
{
    uint64_t least = UINT64_MAX;

    for (unsigned rate = 1; rate <= LINK_RATE; rate++)
        for (unsigned columns = 0; columns <= bits && columns + rate <= MBI_NTT_LOG_MAX;
             columns++) {
            const struct mbi_code c = {.log_columns = columns,
                                       .log_length = columns + rate,
                                       .queries = MBI_EXT(code_queries)(rate, 0, LEVEL),
                                       .level = LEVEL};
            const unsigned log_rows = bits - columns;
            const uint64_t size = MBI_EXT(open_size_mean)(&c, &log_rows, 1);

            if (size < least) {
                least = size;
                *code = c;
            }
        }
    return least != UINT64_MAX;
}

bool MBI_EXT(boundary_code)(struct mbi_code *code, const struct mbi_plan *plan, enum mbi_side side,
                            const struct mbi_code *others)
{
    if (mbi_plan_is_linked(plan))
        return link_code(code, plan->boundary_bits[side]);
    *code = *others;
    return true;
}
#endif

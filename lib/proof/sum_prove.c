/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sum-check, the prover. Sums with the same weight share its entries; of all their linear terms one
 * table is made, so that a round is over products alone, in vectors of entries.
 */
#include "base/intmath.h"
#include "proof/alike.h"
#if MBI_HAVE_SODIUM

#define POINTS (MBI_SUM_DEGREE + 1)
#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define BLOCK_MIN ((size_t)32) /* of the last rounds, for the sake of threads */
#define SLICES 64              /* of a round: units of work, whatever the number of threads */
#define ROOM ((size_t)512)     /* entries of a sum's tables at a time: ten of each of 48 */
#define THREADS_PAY ((size_t)1 << 13) /* entries of all columns */

/* What is folded: a table of the batch, which is in `table` in the first round and then in `e`, or
 * one of our own, all of which is in `e`. NULL, NULL: a table that is in no product. */
struct column {
    const struct mbi_table *table;
    struct mbi_ext *e;
};

/* Sums of one weight: the columns of the weight and of their linear terms, SIZE_MAX if none. */
struct group {
    const struct mbi_sum *sum; /* one of them */
    size_t weight, linear;
};

/* `scale` times a weight times the products of one sum or (NULL) its group's linear terms. */
struct piece {
    const struct mbi_sum *sum;
    size_t group;
    struct mbi_ext scale;
    unsigned degree; /* with the weight */
};

struct prover {
    const struct mbi_sum_batch *batch;
    const struct mbi_table *table;
    const struct mbi_field_kernels *k;
    const struct mbi_host *host;
    unsigned degree;
    struct mbi_ext *join; /* its powers: by sum */
    struct group *group;
    size_t n_groups, *group_of; /* by sum */
    struct piece *piece;        /* by group */
    size_t n_pieces;
    struct column *column; /* of the batch's tables, then weights and linear terms */
    size_t n_columns;
    struct mbi_ext *room;        /* of all columns */
    struct mbi_ext *coefficient; /* by table: of a group's linear terms */
    size_t half, block;          /* the pairs of this round; of them at a time */
    bool first;
    struct mbi_ext r;
    struct mbi_ext *eq; /* of the point but for its last bits */
    struct mbi_ext partial[SLICES][POINTS];
};

/* ---- sums of the same weight ---- */

static bool same_index(const struct mbi_form_index *a, const struct mbi_form_index *b)
{
    return a->bits == b->bits && a->at == b->at && a->weight == b->weight && a->z == b->z;
}

static bool same_rule(const struct mbi_form_rule *a, const struct mbi_form_rule *b)
{
    return a->order == b->order && a->left == b->left && a->right == b->right && a->low == b->low &&
           a->high == b->high && a->n == b->n;
}

/* Made of the same points and values, where they lie. */
static bool same_factor(const struct mbi_form_factor *a, const struct mbi_form_factor *b)
{
    bool same = a->kind == b->kind && a->n_indices == b->n_indices && a->n_rules == b->n_rules &&
                a->values.type == b->values.type && a->values.data == b->values.data &&
                a->values.n == b->values.n && a->list == b->list;

    for (size_t i = 0; same && i < a->n_indices; i++)
        same = same_index(&a->index[i], &b->index[i]);
    for (size_t i = 0; same && i < a->n_rules; i++)
        same = same_rule(&a->rule[i], &b->rule[i]);
    return same;
}

static bool same_weight(const struct mbi_sum *s, const struct mbi_sum *t)
{
    bool same = s->n_weights == t->n_weights;

    for (size_t i = 0; same && i < s->n_weights; i++) {
        const struct mbi_form *a = &s->weight[i], *b = &t->weight[i];

        same =
            a->bits == b->bits && a->n_factors == b->n_factors && mbi_ext_equal(a->scale, b->scale);
        for (size_t k = 0; same && k < a->n_factors; k++)
            same = same_factor(&a->factor[k], &b->factor[k]);
    }
    return same;
}

static void find_groups(struct prover *a)
{
    for (size_t k = 0; k < a->batch->n_sums; k++) {
        const struct mbi_sum *s = &a->batch->sum[k];
        size_t g = 0;

        while (g < a->n_groups && !same_weight(a->group[g].sum, s))
            g++;
        if (g == a->n_groups)
            a->group[a->n_groups++] = (struct group){.sum = s, .linear = SIZE_MAX};
        a->group_of[k] = g;
    }
}

/* ---- pieces and columns ---- */

/* Of the products, with the weight; 1 if there are none. */
static unsigned product_degree(const struct mbi_sum *s)
{
    unsigned degree = 0;

    for (size_t i = 0; i < s->n_terms; i++)
        if (s->term[i].degree > 1 && s->term[i].degree > degree)
            degree = s->term[i].degree;
    return degree + 1;
}

static bool has_linear(const struct mbi_sum *s)
{
    bool linear = false;

    for (size_t i = 0; i < s->n_terms; i++)
        linear |= s->term[i].degree < 2;
    return linear;
}

/* The tables of the products of a sum, as bits of its own numbers. */
static uint64_t tables_of_products(const struct mbi_sum *s)
{
    uint64_t live = 0;

    for (size_t i = 0; i < s->n_terms; i++)
        for (unsigned k = 0; s->term[i].degree > 1 && k < s->term[i].degree; k++)
            live |= (uint64_t)1 << s->term[i].factor[k];
    return live;
}

static void add_pieces(struct prover *a, size_t g)
{
    bool linear = false;

    for (size_t k = 0; k < a->batch->n_sums; k++) {
        const struct mbi_sum *s = &a->batch->sum[k];
        const unsigned degree = product_degree(s);

        if (a->group_of[k] != g)
            continue;
        linear |= has_linear(s);
        if (degree > 1)
            a->piece[a->n_pieces++] = (struct piece){s, g, a->join[k], degree};
    }
    a->group[g].weight = a->n_columns++;
    if (linear) {
        a->group[g].linear = a->n_columns++;
        a->piece[a->n_pieces++] =
            (struct piece){NULL, g, mbi_ext_from(1), a->degree < 2 ? a->degree : 2};
    }
}

/* Tables of the batch take half of what they have in E, our own all of it. */
static bool alloc_columns(struct prover *a)
{
    const size_t own = a->n_columns - a->batch->n_tables, all = (size_t)1 << a->batch->bits;
    struct mbi_ext *next;
    size_t used = 0, size;

    for (size_t k = 0; k < a->batch->n_sums; k++) {
        const struct mbi_sum *s = &a->batch->sum[k];
        const uint64_t live = tables_of_products(s);

        for (size_t i = 0; i < s->n_tables; i++)
            if (live >> i & 1)
                a->column[s->table[i]].table = &a->table[s->table[i]];
    }
    for (size_t i = 0; i < a->batch->n_tables; i++)
        used += a->column[i].table != NULL;
    if (!mbi_mul_size(&size, used + 2 * own, sizeof(*a->room)) ||
        !mbi_mul_size(&size, size, mbi_max_size(all / 2, 1)) ||
        !(a->room = next = mbi_alloc_huge(a->host, size)))
        return false;
    for (size_t i = 0; i < a->n_columns; i++) {
        if (i < a->batch->n_tables && !a->column[i].table)
            continue;
        a->column[i].e = next;
        next += i < a->batch->n_tables ? mbi_max_size(all / 2, 1) : all;
    }
    return true;
}

/* ---- entries of tables ---- */

static void load_base(mbi_fe *out, const struct mbi_table *t, size_t begin, size_t n)
{
    MBI_EXT(table_load)(out, t, begin, n);
}

/* n <= BLOCK */
static void load_ext(struct mbi_ext *out, const struct mbi_table *t, size_t begin, size_t n)
{
    mbi_fe base[BLOCK];

    if (t->type == MBI_TABLE_EXT) {
        for (size_t x = 0; x < n; x++)
            out[x] = mbi_table_ext(t, begin + x);
        return;
    }
    load_base(base, t, begin, n);
    for (size_t x = 0; x < n; x++)
        out[x] = mbi_ext_from(base[x]);
}

/* out += s times n <= BLOCK entries of a table. */
static void add_entries(struct mbi_ext *out, const struct prover *a, const struct mbi_table *t,
                        struct mbi_ext s, size_t begin, size_t n)
{
    mbi_fe base[BLOCK];
    struct mbi_ext e[BLOCK];

    if (t->type == MBI_TABLE_EXT) {
        load_ext(e, t, begin, n);
        mbi_ext_mul_add(a->k, out, e, s, n);
        return;
    }
    load_base(base, t, begin, n);
    mbi_ext_mul_add_base(a->k, out, base, s, n);
}

/* ---- our own columns ---- */

static void fill_weight(struct mbi_ext *out, const struct mbi_sum *s, size_t begin, unsigned log)
{
    struct mbi_ext more[BLOCK];

    for (size_t x = 0; x < (size_t)1 << log; x++)
        out[x] = mbi_ext_from(0);
    for (size_t i = 0; i < s->n_weights; i++) {
        MBI_EXT(form_block)(more, &s->weight[i], begin, log);
        for (size_t x = 0; x < (size_t)1 << log; x++)
            out[x] = mbi_ext_add(out[x], more[x]);
    }
}

struct filling {
    const struct prover *a;
    const struct group *group;
    struct mbi_ext constant;
};

/* Blocks of a group's columns. */
static void fill_blocks(void *arg, size_t block, size_t end)
{
    const struct filling *f = arg;
    const struct prover *a = f->a;
    const unsigned bits = a->batch->bits;
    const unsigned log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;
    const size_t n = (size_t)1 << log;

    for (; block < end; block++) {
        fill_weight(a->column[f->group->weight].e + block * n, f->group->sum, block * n, log);
        if (f->group->linear == SIZE_MAX)
            continue;

        struct mbi_ext *out = a->column[f->group->linear].e + block * n;

        for (size_t x = 0; x < n; x++)
            out[x] = f->constant;
        for (size_t i = 0; i < a->batch->n_tables; i++)
            if (!mbi_ext_is_zero(a->coefficient[i]))
                add_entries(out, a, &a->table[i], a->coefficient[i], block * n, n);
    }
}

/* What the linear terms of a group come to: a coefficient for each table, and a constant. */
static void fill_group(struct prover *a, size_t g)
{
    struct filling f = {a, &a->group[g], mbi_ext_from(0)};

    for (size_t i = 0; i < a->batch->n_tables; i++)
        a->coefficient[i] = mbi_ext_from(0);
    for (size_t k = 0; k < a->batch->n_sums; k++) {
        const struct mbi_sum *s = &a->batch->sum[k];

        for (size_t i = 0; a->group_of[k] == g && i < s->n_terms; i++) {
            const struct mbi_sum_term *t = &s->term[i];
            struct mbi_ext *to = t->degree ? &a->coefficient[s->table[t->factor[0]]] : &f.constant;

            if (t->degree < 2)
                *to = mbi_ext_add(*to, mbi_ext_scale(a->join[k], t->c));
        }
    }
    mbi_parallel_for(a->host, mbi_max_size(((size_t)1 << a->batch->bits) / BLOCK, 1), 1,
                     fill_blocks, &f);
}

/* ---- a round ---- */

/* n pairs of a round as one piece sees them: arrays of `width` words an entry. */
struct pairs {
    size_t n, width;
    mbi_fe value[ROOM * MBI_EXT_D], rise[ROOM * MBI_EXT_D]; /* of its tables, n entries each */
    uint8_t slot[MBI_SUM_TABLES]; /* of a sum's tables: which of them it is */
    struct mbi_ext product[BLOCK], sum[BLOCK];
};

/* The weights at the points 0, 1, ..., degree. */
struct weights {
    struct mbi_ext at[POINTS][BLOCK];
};

static void load_weights(struct weights *w, const struct prover *a, const struct group *g,
                         size_t begin, size_t n)
{
    const struct mbi_ext *from = a->column[g->weight].e + begin;
    struct mbi_ext rise[BLOCK];

    memcpy(w->at[0], from, n * sizeof(*from));
    memcpy(w->at[1], from + a->half, n * sizeof(*from));
    a->k->sub((mbi_fe *)rise, (const mbi_fe *)w->at[1], (const mbi_fe *)w->at[0], n * MBI_EXT_D);
    for (unsigned i = 2; i <= a->degree; i++)
        a->k->add((mbi_fe *)w->at[i], (const mbi_fe *)w->at[i - 1], (const mbi_fe *)rise,
                  n * MBI_EXT_D);
}

/* Entries of a column from `begin` on, and how far it is to those of the other half. */
static void load_column(struct pairs *p, const struct prover *a, size_t column, size_t slot,
                        size_t begin)
{
    const struct column *c = &a->column[column];
    const size_t words = p->n * p->width;
    mbi_fe *value = p->value + slot * words, *rise = p->rise + slot * words;

    if (!a->first || !c->table) {
        memcpy(value, c->e + begin, words * sizeof(*value));
        memcpy(rise, c->e + a->half + begin, words * sizeof(*rise));
    } else if (p->width == 1) {
        load_base(value, c->table, begin, p->n);
        load_base(rise, c->table, a->half + begin, p->n);
    } else {
        load_ext((struct mbi_ext *)value, c->table, begin, p->n);
        load_ext((struct mbi_ext *)rise, c->table, a->half + begin, p->n);
    }
    a->k->sub(rise, rise, value, words);
}

/* Whether the first factors of a product are the whole product before it. */
static bool goes_on(const struct mbi_sum_term *t, const struct mbi_sum_term *before)
{
    bool same = before && before->degree <= t->degree;

    for (unsigned k = 0; same && k < before->degree; k++)
        same = t->factor[k] == before->factor[k];
    return same;
}

static void multiply(const struct pairs *p, const struct prover *a, mbi_fe *out, const mbi_fe *x,
                     const mbi_fe *y)
{
    if (p->width == 1)
        a->k->mul(out, x, y, p->n);
    else
        mbi_ext_kernels_of(a->k)->mul(out, x, y, p->n);
}

/* The sum of the products at the present values; a product that goes on where the last one ended
 * costs only what it adds. */
static void add_products(struct pairs *p, const struct prover *a, const struct mbi_sum *s)
{
    const struct mbi_sum_term *before = NULL;
    const size_t words = p->n * p->width;
    mbi_fe *product = (mbi_fe *)p->product;

    memset(p->sum, 0, words * sizeof(*product));
    for (const struct mbi_sum_term *t = s->term; t < s->term + s->n_terms; t++) {
        unsigned k = 2;

        if (t->degree < 2)
            continue;
        if (goes_on(t, before))
            k = before->degree;
        else
            multiply(p, a, product, p->value + p->slot[t->factor[0]] * words,
                     p->value + p->slot[t->factor[1]] * words);
        for (; k < t->degree; k++)
            multiply(p, a, product, product, p->value + p->slot[t->factor[k]] * words);
        if (t->c == 1)
            a->k->add((mbi_fe *)p->sum, (mbi_fe *)p->sum, product, words);
        else
            a->k->mul_add((mbi_fe *)p->sum, product, t->c, words);
        before = t;
    }
}

/* The slots of a piece's tables; returns how many. */
static size_t set_slots(struct pairs *p, const struct prover *a, const struct piece *piece)
{
    const uint64_t live = piece->sum ? tables_of_products(piece->sum) : 0;
    size_t slots = 0;

    p->width = a->first && piece->sum ? 1 : MBI_EXT_D;
    for (size_t i = 0; piece->sum && i < piece->sum->n_tables; i++)
        if (live >> i & 1) {
            p->slot[i] = (uint8_t)slots++;
            if (a->table[piece->sum->table[i]].type == MBI_TABLE_EXT)
                p->width = MBI_EXT_D;
        }
    return piece->sum ? slots : 1;
}

static void load_piece(struct pairs *p, const struct prover *a, const struct piece *piece,
                       size_t begin)
{
    const uint64_t live = piece->sum ? tables_of_products(piece->sum) : 0;

    if (!piece->sum)
        load_column(p, a, a->group[piece->group].linear, 0, begin);
    for (size_t i = 0; piece->sum && i < piece->sum->n_tables; i++)
        if (live >> i & 1)
            load_column(p, a, piece->sum->table[i], p->slot[i], begin);
}

/* q[i] += the part of n pairs at point i, weighted. The value at 1 of what has the batch's degree
 * is left out. */
static void add_points(struct mbi_ext q[POINTS], struct pairs *p, const struct prover *a,
                       const struct piece *piece, const struct weights *w, size_t at, size_t slots)
{
    const mbi_fe *sum = piece->sum ? (const mbi_fe *)p->sum : p->value;

    for (unsigned i = 0;; i++) {
        if (i != 1 || piece->degree < a->degree) {
            if (piece->sum)
                add_products(p, a, piece->sum);
            q[i] =
                mbi_ext_add(q[i], p->width == 1 ? mbi_ext_dot_base(a->k, w->at[i] + at, sum, p->n)
                                                : mbi_ext_dot(a->k, w->at[i] + at,
                                                              (const struct mbi_ext *)sum, p->n));
        }
        if (i == piece->degree)
            return;
        a->k->add(p->value, p->value, p->rise, slots * p->n * p->width);
    }
}

/* From the values at 0, ..., from to those up to `to`, of a polynomial of degree `from`. */
static void extend(struct mbi_ext q[POINTS], unsigned from, unsigned to)
{
    struct mbi_ext d[POINTS]; /* differences: d[k] is that of order k at the end of what is known */

    for (unsigned k = 0; k <= from; k++)
        d[k] = q[from - k];
    for (unsigned order = 1; order <= from; order++)
        for (unsigned k = from; k >= order; k--)
            d[k] = mbi_ext_sub(d[k - 1], d[k]);
    for (unsigned i = from + 1; i <= to; i++) {
        for (unsigned k = from; k-- > 0;)
            d[k] = mbi_ext_add(d[k], d[k + 1]);
        q[i] = d[0];
    }
}

static void add_piece(struct mbi_ext total[POINTS], const struct prover *a,
                      const struct piece *piece, const struct weights *w, size_t begin, size_t n)
{
    struct mbi_ext q[POINTS] = {{{0}}};
    struct pairs p;
    const size_t slots = set_slots(&p, a, piece),
                 most = mbi_min_size(ROOM / slots & ~(size_t)7, BLOCK);

    for (size_t at = 0; at < n; at += p.n) {
        p.n = mbi_min_size(most, n - at);
        load_piece(&p, a, piece, begin + at);
        add_points(q, &p, a, piece, w, at, slots);
    }
    if (piece->degree < a->degree)
        extend(q, piece->degree, a->degree);
    for (unsigned i = 0; i <= a->degree; i++)
        total[i] = mbi_ext_add(total[i], mbi_ext_mul(piece->scale, q[i]));
}

/* The pairs of one slice: blocks, the same for any number of threads. */
static void slice_range(size_t *begin, size_t *end, const struct prover *a, size_t slice)
{
    const size_t blocks = a->half / a->block + (a->half % a->block != 0);

    *begin = mbi_min_size(blocks * slice / SLICES * a->block, a->half);
    *end = mbi_min_size(blocks * (slice + 1) / SLICES * a->block, a->half);
}

static void round_slice(struct prover *a, size_t slice)
{
    struct mbi_ext *total = a->partial[slice];
    size_t begin, end;

    for (unsigned i = 0; i < POINTS; i++)
        total[i] = mbi_ext_from(0);
    slice_range(&begin, &end, a, slice);
    for (; begin < end; begin += a->block) {
        const size_t n = mbi_min_size(a->block, end - begin);
        struct weights w;

        for (size_t i = 0; i < a->n_pieces; i++) {
            const struct piece *piece = &a->piece[i];

            if (!i || piece->group != piece[-1].group)
                load_weights(&w, a, &a->group[piece->group], begin, n);
            add_piece(total, a, piece, &w, begin, n);
        }
    }
}

static void round_part(void *arg, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        round_slice(arg, begin);
}

/* Threads do not pay for little. */
static void for_slices(struct prover *a, void (*part)(void *arg, size_t begin, size_t end))
{
    if (a->half * a->n_columns < THREADS_PAY)
        part(a, 0, SLICES);
    else
        mbi_parallel_for(a->host, SLICES, 1, part, a);
}

/* The message of a round, then its challenge. */
static struct mbi_ext prove_round(struct prover *a, struct mbi_proof_writer *out)
{
    struct mbi_ext q[POINTS] = {{{0}}}, r;

    for_slices(a, round_part);
    for (size_t slice = 0; slice < SLICES; slice++)
        for (unsigned i = 0; i <= a->degree; i++)
            q[i] = mbi_ext_add(q[i], a->partial[slice][i]);
    q[1] = q[0]; /* the value at 1 follows from it */
    MBI_EXT(put_padded)(out, "round", &q[1], a->degree);
    mbi_transcript_draw(r.c, MBI_EXT_D, &out->transcript);
    return r;
}

/* ---- folds ---- */

/* The first round's tables: entries of F are widened by the challenge. n <= BLOCK */
static void fold_table(const struct prover *a, const struct column *c, size_t begin, size_t n)
{
    mbi_fe low[BLOCK], high[BLOCK];
    struct mbi_ext e[2][BLOCK];

    if (c->table->type == MBI_TABLE_EXT) {
        load_ext(e[0], c->table, begin, n);
        load_ext(e[1], c->table, a->half + begin, n);
        mbi_ext_fold(a->k, c->e + begin, e[0], e[1], a->r, n);
        return;
    }
    load_base(low, c->table, begin, n);
    load_base(high, c->table, a->half + begin, n);
    mbi_ext_fold_base(a->k, c->e + begin, low, high, a->r, n);
}

static void fold_slice(const struct prover *a, const struct column *c, size_t slice)
{
    size_t begin, end;

    slice_range(&begin, &end, a, slice);
    if (!a->first || !c->table)
        mbi_ext_fold(a->k, c->e + begin, c->e + begin, c->e + a->half + begin, a->r, end - begin);
    else
        for (; begin < end; begin += a->block)
            fold_table(a, c, begin, mbi_min_size(a->block, end - begin));
}

static void fold_part(void *arg, size_t slice, size_t end)
{
    const struct prover *a = arg;

    for (; slice < end; slice++)
        for (size_t i = 0; i < a->n_columns; i++)
            if (a->column[i].e)
                fold_slice(a, &a->column[i], slice);
}

static void prove_rounds(struct mbi_ext *point, struct prover *a, struct mbi_proof_writer *out)
{
    for (unsigned i = 0; i < a->batch->bits; i++) {
        a->half = (size_t)1 << (a->batch->bits - 1 - i);
        a->block = mbi_max_size(mbi_min_size(a->half / 16, BLOCK), BLOCK_MIN);
        a->first = i == 0;
        a->r = point[i] = prove_round(a, out);
        for_slices(a, fold_part);
    }
}

/* ---- the end ---- */

struct ending {
    const struct prover *a;
    struct mbi_ext *value, low[BLOCK]; /* eq of the point's last bits */
    unsigned log;
};

/* Tables that are in no product have not been folded. */
static void end_values(void *arg, size_t begin, size_t end)
{
    const struct ending *f = arg;
    const struct prover *a = f->a;
    const size_t n = (size_t)1 << f->log;
    struct mbi_ext e[BLOCK];
    mbi_fe base[BLOCK];

    for (size_t k = begin; k < end; k++) {
        const struct mbi_table *t = &a->table[k];
        struct mbi_ext sum = mbi_ext_from(0), x;

        if (a->column[k].e && a->batch->bits) {
            f->value[k] = *a->column[k].e;
            continue;
        }
        for (size_t block = 0; block << f->log < t->n; block++) {
            if (t->type == MBI_TABLE_EXT) {
                load_ext(e, t, block * n, n);
                x = mbi_ext_dot(a->k, f->low, e, n);
            } else {
                load_base(base, t, block * n, n);
                x = mbi_ext_dot_base(a->k, f->low, base, n);
            }
            sum = mbi_ext_add(sum, mbi_ext_mul(a->eq[block], x));
        }
        f->value[k] = sum;
    }
}

/* h += c times the product of the term's factors u + X m, which are numbered. */
static void add_term(struct mbi_ext h[POINTS], const uint32_t *number, const struct mbi_sum_term *t,
                     struct mbi_ext c, const struct mbi_ext *u, const struct mbi_pads *pads,
                     unsigned degree)
{
    struct mbi_ext product[POINTS] = {mbi_ext_scale(c, t->c)};

    for (unsigned f = 0; f < t->degree; f++) {
        const uint32_t k = number[t->factor[f]];
        const struct mbi_ext m = MBI_EXT(pad_ahead)(pads, degree + k);

        for (unsigned i = f + 2; i-- > 0;) {
            product[i] = mbi_ext_mul(product[i], u[k]);
            if (i)
                product[i] = mbi_ext_add(product[i], mbi_ext_mul(product[i - 1], m));
        }
    }
    for (unsigned i = 0; i <= t->degree; i++)
        h[i] = mbi_ext_add(h[i], product[i]);
}

/* The end of a hidden one, on a line: the sum of join^k w_k P_k(u + X m), of the degree of P; or of
 * families in place of sums. */
static void put_line(const struct prover *a, const struct mbi_ext *point, const struct mbi_ext *u,
                     struct mbi_proof_writer *out)
{
    const struct mbi_alike *alike = a->batch->alike;
    struct mbi_ext h[POINTS] = {{{0}}};

    for (size_t k = 0; k < (alike ? alike->n_families : a->batch->n_sums); k++) {
        const struct mbi_sum *s = &a->batch->sum[alike ? alike->family[k].first : k];
        const uint32_t *number = alike ? alike->number + alike->family[k].list : s->table;
        const struct mbi_ext c =
            alike ? alike->weight[k] : mbi_ext_mul(a->join[k], MBI_EXT(sum_weight_at)(s, point));

        for (size_t i = 0; i < s->n_terms; i++)
            add_term(h, number, &s->term[i], c, u, out->pads, a->degree - 1);
    }
    MBI_EXT(put_line)(out, h, a->degree - 1, u, MBI_EXT(sum_values)(a->batch));
}

/* False for want of memory. */
static bool put_values(struct mbi_ext *value, struct prover *a, struct mbi_ext *point,
                       struct mbi_proof_writer *out)
{
    const unsigned bits = a->batch->bits;
    struct ending f = {.a = a, .value = value};

    f.log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;
    MBI_EXT(eq_table)(a->eq, point, bits - f.log, mbi_ext_from(1));
    MBI_EXT(eq_table)(f.low, point + (bits - f.log), f.log, mbi_ext_from(1));
    mbi_parallel_for(a->host, a->batch->n_tables, 1, end_values, &f);
    if (a->batch->alike && !MBI_EXT(alike_prove)(point, value, a->batch, a->join, out, a->host))
        return false;
    if (out->pads)
        put_line(a, point, value, out);
    else
        mbi_put_elements(out, "values", (const mbi_fe *)value,
                         MBI_EXT(sum_values)(a->batch) * MBI_EXT_D);
    return true;
}

/* ---- the whole ---- */

static bool alloc_lists(struct prover *a)
{
    const size_t sums = a->batch->n_sums, tables = a->batch->n_tables;
    const size_t blocks = mbi_max_size(((size_t)1 << a->batch->bits) / BLOCK, 1);

    a->join = mbi_alloc(a->host, sums, sizeof(*a->join));
    a->group = mbi_alloc(a->host, sums, sizeof(*a->group));
    a->group_of = mbi_alloc(a->host, sums, sizeof(*a->group_of));
    a->piece = mbi_alloc(a->host, 2 * sums, sizeof(*a->piece));
    a->column = mbi_alloc(a->host, tables + 2 * sums, sizeof(*a->column));
    a->coefficient = mbi_alloc(a->host, tables, sizeof(*a->coefficient));
    a->eq = mbi_alloc(a->host, blocks, sizeof(*a->eq));
    return a->join && a->group && a->group_of && a->piece && a->column && a->coefficient && a->eq;
}

static void free_all(struct prover *a)
{
    mbi_free(a->host, a->join);
    mbi_free(a->host, a->group);
    mbi_free(a->host, a->group_of);
    mbi_free(a->host, a->piece);
    mbi_free(a->host, a->column);
    mbi_free(a->host, a->coefficient);
    mbi_free(a->host, a->eq);
    mbi_free_aligned(a->host, a->room);
}

/* The columns of the batch, which challenge `join` has joined. */
static bool arrange(struct prover *a, struct mbi_ext join)
{
    struct mbi_ext power = mbi_ext_from(1);

    for (size_t k = 0; k < a->batch->n_sums; k++, power = mbi_ext_mul(power, join))
        a->join[k] = power;
    a->n_columns = a->batch->n_tables;
    find_groups(a);
    for (size_t g = 0; g < a->n_groups; g++)
        add_pieces(a, g);
    if (!alloc_columns(a))
        return false;
    for (size_t g = 0; g < a->n_groups; g++)
        fill_group(a, g);
    return true;
}

int32_t MBI_EXT(sum_prove)(struct mbi_ext *point, struct mbi_ext *value,
                           const struct mbi_sum_batch *batch, const struct mbi_table *table,
                           struct mbi_proof_writer *out, const struct mbi_host *host,
                           mambaint_error *err)
{
    const char *fault = MBI_EXT(sum_fault)(batch);
    struct prover a = {.batch = batch, .table = table, .host = host};
    struct mbi_ext join;
    bool done;

    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a sum-check was planned wrongly: %s", fault);
    a.k = mbi_field_kernels_best();
    a.degree = MBI_EXT(sum_degree)(batch);
    if ((done = alloc_lists(&a))) {
        (void)MBI_EXT(sum_join)(&join, &out->transcript, batch);
        done = arrange(&a, join);
    }
    if (done) {
        prove_rounds(point, &a, out);
        done = put_values(value, &a, point, out);
    }
    free_all(&a);
    return done ? MAMBAINT_OK : mbi_fail_memory(err, "the tables of a sum-check");
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Openings: the prover. */
#include "base/intmath.h"
#include "proof/open.h"
#if MBI_HAVE_SODIUM

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define SLICES 64u              /* of a round: units of work, whatever the number of threads */
#define BATCH ((size_t)1 << 17) /* entries of E that are asked for at a time, or one row */

/*
 * A row of the matrix that is folded, and its weights, both times `scale`: a row whose partner is
 * not there is folded by a factor alone. Nothing is there if no vector has the row, or where one
 * has neither entries nor weights. The entries are at `v`, or if `base` is not NULL still those of
 * a vector; the weights are at `w`, or with `forms` are made of the forms. Then `v` and `w` are
 * where a fold leaves them.
 */
struct row {
    struct mbi_ext *v, *w;
    const struct mbi_table *base; /* from entry `begin` on */
    size_t begin, vector;
    bool forms;
    struct mbi_ext scale;
};

struct prover {
    const struct mbi_opening *o;
    const struct mbi_commitment *vector;
    const struct mbi_host *host;
    const struct mbi_field_kernels *kernels;
    struct mbi_proof_writer *out;
    struct mbi_ntt ntt; /* if there are further layers */
    struct mbi_open_stack stack;
    size_t reach[MBI_OPEN_VECTORS]; /* entries of each that count */
    size_t entries; /* of a hidden folded row, with those that are zero in a further layer */
    struct mbi_ext join, claim, r;
    struct mbi_ext alpha[MBI_OPEN_ROUNDS];
    unsigned rounds;
    struct mbi_open_pads pads; /* of the rounds over the vectors, if they are hidden */
    struct mbi_ext pad[2 * MBI_MAX_BITS], pads_sum;
    mbi_fe *pad_entries;
    struct mbi_ext gamma; /* what the folded row is multiplied with; 1: nothing is hidden */
    struct row *row;
    unsigned log_columns; /* entries of a row */
    size_t half;          /* pairs of rows in this round */
    struct mbi_open_weights *forms;
    struct mbi_ext *weight;          /* of the vectors whose weights are kept */
    struct mbi_ext **batch, **spare; /* rows of E: as they were asked for, and those not in use */
    size_t n_batches, n_spare;
    bool refused;            /* there is no memory for more */
    struct mbi_ext *last[2]; /* a hidden folded row and its weights */
    struct mbi_ext low[SLICES], square[SLICES];
    struct mbi_matrix matrix; /* of the present layer, if it is a further one */
    uint32_t *position;
    struct mbi_ext *sum; /* folded columns, for each position */
    size_t n;            /* positions */
    struct mbi_ext *eq;  /* of the present layer's rows */
    mbi_fe *power;       /* for each position, BLOCK of them */
};

/* ---- rounds ---- */

/* Two rows, from entry x on. */
struct pair {
    const struct row *row[2];
    const struct mbi_ext *v[2], *w[2];
    struct mbi_ext made[2][BLOCK]; /* weights */
};

static bool is_there(const struct row *row) { return row->w || row->forms; }

/* Weights of a row from entry x on; `room` is for those that have to be made. */
static const struct mbi_ext *weights(struct mbi_ext *room, const struct prover *a,
                                     const struct row *row, size_t x, size_t n)
{
    if (!row->forms)
        return row->w ? row->w + x : NULL;
    MBI_EXT(open_weights_make)(room, a->forms, row->vector, row->begin + x, n);
    return room;
}

static void pair_init(struct pair *p, const struct prover *a, size_t j, size_t x, size_t n)
{
    for (size_t h = 0; h < 2; h++) {
        const struct row *row = &a->row[j + h * a->half];

        p->row[h] = row;
        p->v[h] = row->v ? row->v + x : NULL;
        p->w[h] = weights(p->made[h], a, row, x, n);
    }
}

static void load(mbi_fe *out, const struct row *row, size_t x, size_t n)
{
    MBI_EXT(table_load)(out, row->base, row->begin + x, n);
}

static bool same_scale(const struct row *a, const struct row *b)
{
    return mbi_ext_equal(a->scale, b->scale);
}

/* out = b - a of n elements of E. */
static void rises(struct mbi_ext *out, const struct prover *a, const struct mbi_ext *const x[2],
                  size_t n)
{
    a->kernels->sub((mbi_fe *)out, (const mbi_fe *)x[1], (const mbi_fe *)x[0], n * MBI_EXT_D);
}

/* The pairs' part of a round's polynomial, but for the scale: its value at 0 and its coefficient of
 * X^2. */
static void pairs_of_base(struct mbi_ext value[2], const struct prover *a, const struct pair *p,
                          size_t x, size_t n)
{
    mbi_fe v[2][BLOCK];
    struct mbi_ext rise[BLOCK];

    for (size_t h = 0; h < 2; h++)
        load(v[h], p->row[h], x, n);
    value[0] = mbi_ext_dot_base(a->kernels, p->w[0], v[0], n);
    rises(rise, a, p->w, n);
    a->kernels->sub(v[1], v[1], v[0], n);
    value[1] = mbi_ext_dot_base(a->kernels, rise, v[1], n);
}

static void pairs_of_ext(struct mbi_ext value[2], const struct prover *a, const struct pair *p,
                         size_t n)
{
    struct mbi_ext v[BLOCK], w[BLOCK];

    value[0] = mbi_ext_dot(a->kernels, p->w[0], p->v[0], n);
    rises(v, a, p->v, n);
    rises(w, a, p->w, n);
    value[1] = mbi_ext_dot(a->kernels, w, v, n);
}

/* A row that is not there makes both the same, or the first zero. */
static void pairs_of_one(struct mbi_ext value[2], const struct prover *a, const struct pair *p,
                         size_t x, size_t n)
{
    const size_t h = is_there(p->row[0]) ? 0 : 1;
    mbi_fe v[BLOCK];

    if (p->row[h]->base) {
        load(v, p->row[h], x, n);
        value[1] = mbi_ext_dot_base(a->kernels, p->w[h], v, n);
    } else {
        value[1] = mbi_ext_dot(a->kernels, p->w[h], p->v[h], n);
    }
    value[0] = h ? mbi_ext_from(0) : value[1];
}

/* Both rows with their scales, as elements of E. */
struct scaled {
    struct mbi_ext v[2][BLOCK], w[2][BLOCK];
};

/* `weight`: those of the row from entry x on. */
static void scale_row(const struct prover *a, struct mbi_ext *v, struct mbi_ext *w,
                      const struct row *row, const struct mbi_ext *weight, size_t x, size_t n)
{
    mbi_fe base[BLOCK];

    memset(v, 0, n * sizeof(*v));
    memset(w, 0, n * sizeof(*w));
    mbi_ext_mul_add(a->kernels, w, weight, row->scale, n);
    if (!row->base) {
        mbi_ext_mul_add(a->kernels, v, row->v + x, row->scale, n);
        return;
    }
    load(base, row, x, n);
    mbi_ext_mul_add_base(a->kernels, v, base, row->scale, n);
}

static void widen(struct mbi_ext *out, const struct row *row, size_t x, size_t n)
{
    mbi_fe base[BLOCK];

    load(base, row, x, n);
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_ext_from(base[i]);
}

/* The pair becomes one of rows of E of one scale; false: it stays one of two rows of vectors. */
static bool to_ext(struct pair *p, struct scaled *s, const struct prover *a, size_t x, size_t n)
{
    const bool same = same_scale(p->row[0], p->row[1]);

    if (same && p->row[0]->base && p->row[1]->base)
        return false;
    for (size_t h = 0; h < 2; h++)
        if (!same) {
            scale_row(a, s->v[h], s->w[h], p->row[h], p->w[h], x, n);
            p->v[h] = s->v[h];
            p->w[h] = s->w[h];
        } else if (p->row[h]->base) {
            widen(s->v[h], p->row[h], x, n);
            p->v[h] = s->v[h];
        }
    return true;
}

/* Calls fn for the blocks of a slice: entries x .. x + n of the j-th pair of rows. */
static void for_blocks(struct prover *a, size_t slice,
                       void (*fn)(struct prover *a, size_t slice, size_t j, size_t x, size_t n))
{
    const size_t columns = (size_t)1 << a->log_columns, all = a->half << a->log_columns;
    const size_t end = (size_t)((uint64_t)all * (slice + 1) / SLICES);
    size_t begin = (size_t)((uint64_t)all * slice / SLICES);

    while (begin < end) {
        const size_t x = begin & (columns - 1);
        const size_t n = mbi_min_size(mbi_min_size(BLOCK, end - begin), columns - x);

        fn(a, slice, begin >> a->log_columns, x, n);
        begin += n;
    }
}

static void add_block(struct prover *a, size_t slice, size_t j, size_t x, size_t n)
{
    const struct row *low = &a->row[j], *high = low + a->half;
    const bool both = is_there(low) && is_there(high);
    struct mbi_ext value[2], scale = is_there(low) ? low->scale : high->scale;
    struct scaled s;
    struct pair p;

    if (!is_there(low) && !is_there(high))
        return;
    pair_init(&p, a, j, x, n);
    if (!both)
        pairs_of_one(value, a, &p, x, n);
    else if (to_ext(&p, &s, a, x, n))
        pairs_of_ext(value, a, &p, n);
    else
        pairs_of_base(value, a, &p, x, n);
    if (both && !same_scale(low, high))
        scale = mbi_ext_from(1);
    scale = mbi_ext_mul(scale, scale);
    a->low[slice] = mbi_ext_add(a->low[slice], mbi_ext_mul(scale, value[0]));
    a->square[slice] = mbi_ext_add(a->square[slice], mbi_ext_mul(scale, value[1]));
}

/* In place of the first row; a row alone is left as it is, for its scale to take the factor. */
static void fold_block(struct prover *a, size_t slice, size_t j, size_t x, size_t n)
{
    const struct row *low = &a->row[j], *high = low + a->half;
    mbi_fe from[2][BLOCK];
    struct scaled s;
    struct pair p;

    (void)slice;
    if (!is_there(low) || !is_there(high))
        return;
    pair_init(&p, a, j, x, n);
    if (to_ext(&p, &s, a, x, n)) {
        mbi_ext_fold(a->kernels, low->v + x, p.v[0], p.v[1], a->r, n);
    } else {
        load(from[0], low, x, n);
        load(from[1], high, x, n);
        mbi_ext_fold_base(a->kernels, low->v + x, from[0], from[1], a->r, n);
    }
    mbi_ext_fold(a->kernels, low->w + x, p.w[0], p.w[1], a->r, n);
}

/* Pairs whose rows differ in their scales: a row of E takes that of the other one. */
static void rescale_pairs(void *arg, size_t begin, size_t end)
{
    const struct prover *a = arg;
    const size_t columns = (size_t)1 << a->log_columns;

    for (size_t j = begin; j < end; j++) {
        struct row *row = &a->row[j], *other = row + a->half;
        struct mbi_ext s;

        if (!is_there(row) || !is_there(other) || same_scale(row, other))
            continue;
        if (row->base) {
            row = other;
            other = &a->row[j];
        }
        if (row->base || mbi_ext_is_zero(other->scale))
            continue;
        s = mbi_ext_mul(row->scale, mbi_ext_inv(other->scale));
        s = mbi_ext_sub(s, mbi_ext_from(1));
        mbi_ext_mul_add(a->kernels, row->v, row->v, s, columns);
        mbi_ext_mul_add(a->kernels, row->w, row->w, s, columns);
        row->scale = other->scale;
    }
}

static void round_part(void *arg, size_t slice, size_t end)
{
    struct prover *a = arg;

    for (; slice < end; slice++) {
        a->low[slice] = a->square[slice] = mbi_ext_from(0);
        for_blocks(a, slice, add_block);
    }
}

static void fold_part(void *arg, size_t slice, size_t end)
{
    for (; slice < end; slice++)
        for_blocks(arg, slice, fold_block);
}

/* Threads do not pay for a few blocks. */
static void for_slices(struct prover *a, void (*part)(void *arg, size_t begin, size_t end))
{
    if (a->half << a->log_columns < 4 * BLOCK)
        part(a, 0, SLICES);
    else
        mbi_parallel_for(a->host, SLICES, 1, part, a);
}

/* More rows of E, all of them spare. */
static bool add_rows(struct prover *a)
{
    const size_t columns = (size_t)1 << a->log_columns, n = mbi_max_size(BATCH / columns, 1);
    struct mbi_ext *more = mbi_alloc_huge(a->host, n * columns * sizeof(*more));

    if (!more)
        return false;
    a->batch[a->n_batches++] = more;
    for (size_t i = n; i-- > 0;)
        a->spare[a->n_spare++] = more + i * columns;
    return true;
}

/* Where a fold leaves what comes of two rows: at one of them, or if both are ones of vectors in a
 * new one; the other one is spare. NULL and a->refused: there is no memory for it. */
static struct mbi_ext *place(struct prover *a, struct mbi_ext *own, struct mbi_ext *other)
{
    if (own || other)
        return own ? own : other;
    if (!a->n_spare && !add_rows(a)) {
        a->refused = true;
        return NULL;
    }
    return a->spare[--a->n_spare];
}

static void place_folded(struct prover *a)
{
    for (size_t j = 0; j < a->half && !a->refused; j++) {
        struct row *low = &a->row[j], *high = low + a->half;

        if (!is_there(low) || !is_there(high))
            continue;
        low->v = place(a, low->v, high->v);
        low->w = place(a, low->w, high->w);
    }
}

/* A row whose partner has taken in what it holds. */
static void leave_row(struct prover *a, const struct mbi_ext *own, struct mbi_ext *other)
{
    if (other && other != own && a->spare)
        a->spare[a->n_spare++] = other;
}

/* The rows of the half, after the fold. */
static void keep_rows(struct prover *a)
{
    const struct mbi_ext one = mbi_ext_from(1), other = mbi_ext_sub(one, a->r);

    for (size_t j = 0; j < a->half; j++) {
        struct row *low = &a->row[j], *high = low + a->half;

        if (is_there(low) && is_there(high)) {
            low->scale = same_scale(low, high) ? low->scale : one;
            low->base = NULL;
            low->forms = false;
            leave_row(a, low->v, high->v);
            leave_row(a, low->w, high->w);
        } else if (is_there(low)) {
            low->scale = mbi_ext_mul(low->scale, other);
        } else {
            *low = *high;
            low->scale = mbi_ext_mul(low->scale, a->r);
        }
    }
}

/* Of a hidden opening's round: what its pads add to the polynomial, before they are added to its
 * message. */
static void add_pads(const struct prover *a, struct mbi_ext *q0, struct mbi_ext *square)
{
    struct mbi_ext more[2];

    MBI_EXT(open_pads_round)(more, &a->pads, a->pads_sum, a->alpha, a->rounds);
    *q0 = mbi_ext_add(*q0, more[0]);
    *square = mbi_ext_add(*square, more[1]);
}

/* The message of a round, its challenge, and the claim that is left. */
static void prove_round(struct prover *a)
{
    const bool hidden = a->o->code.masks && a->rounds < a->stack.rounds;
    struct mbi_ext q0 = mbi_ext_from(0), square = q0, q1, message[2];

    mbi_parallel_for(a->host, a->half, 1, rescale_pairs, a);
    for_slices(a, round_part);
    for (size_t i = 0; i < SLICES; i++) {
        q0 = mbi_ext_add(q0, a->low[i]);
        square = mbi_ext_add(square, a->square[i]);
    }
    if (hidden)
        add_pads(a, &q0, &square);
    q1 = mbi_ext_sub(a->claim, q0);
    message[0] = q0;
    message[1] = mbi_ext_add(mbi_ext_sub(q1, q0), mbi_ext_add(q1, mbi_ext_add(square, square)));
    for (size_t i = 0; hidden && i < 2; i++)
        message[i] = mbi_ext_add(message[i], a->pad[2 * a->rounds + i]);
    mbi_put_elements(a->out, "round", (const mbi_fe *)message, 2 * MBI_EXT_D);
    a->alpha[a->rounds++] = a->r = MBI_EXT(open_draw)(&a->out->transcript);
    place_folded(a);
    if (a->refused)
        return;
    for_slices(a, fold_part);
    keep_rows(a);
    a->claim = mbi_open_quadratic(q0, q1, square, a->r);
}

/* Of 2^log_rows rows. */
static void prove_rounds(struct prover *a, unsigned log_rows)
{
    for (a->half = (size_t)1 << log_rows >> 1; a->half && !a->refused; a->half /= 2)
        prove_round(a);
}

/* ---- the stack ---- */

/* The rows of all vectors that count. */
static bool stack_rows(struct prover *a)
{
    struct mbi_ext *w[MBI_OPEN_VECTORS], *next = a->weight;

    memset(a->row, 0, sizeof(*a->row) << a->stack.rounds);
    for (size_t i = 0; i < a->o->n_roots; i++) {
        const bool forms = MBI_EXT(open_weights_has)(a->forms, i);
        struct row *row = a->row + a->stack.first[i];

        w[i] = forms ? NULL : next;
        for (size_t r = 0; r < a->reach[i] >> a->log_columns; r++) {
            row[r] = (struct row){.w = forms ? NULL : next,
                                  .base = &a->vector[i].vector,
                                  .begin = r << a->log_columns,
                                  .vector = i,
                                  .forms = forms,
                                  .scale = mbi_ext_from(1)};
            next += forms ? 0 : (size_t)1 << a->log_columns;
        }
    }
    return MBI_EXT(open_fill)(w, a->o, a->join, a->host, a->kernels);
}

/* Rows that no fold will use. */
static void free_spare(struct prover *a)
{
    const size_t n = mbi_max_size(BATCH, (size_t)1 << a->log_columns);

    for (size_t i = 0; i < a->n_batches; i++) {
        const struct mbi_ext *from = a->batch[i], *to = from + n;

        if ((a->row->v >= from && a->row->v < to) || (a->row->w >= from && a->row->w < to))
            continue;
        mbi_free_aligned(a->host, a->batch[i]);
        a->batch[i] = NULL;
    }
    mbi_free(a->host, a->spare);
    a->spare = NULL;
}

/* The one row that is left gets its scale. */
static void finish_row(struct prover *a)
{
    const size_t columns = (size_t)1 << a->log_columns;
    struct mbi_ext *v = place(a, a->row->v, NULL);
    struct mbi_ext *w = place(a, a->row->w, NULL);
    struct mbi_ext part[2][BLOCK], made[BLOCK];

    if (a->refused)
        return;
    for (size_t x = 0; x < columns; x += BLOCK) {
        const size_t n = mbi_min_size(BLOCK, columns - x);

        scale_row(a, part[0], part[1], a->row, weights(made, a, a->row, x, n), x, n);
        memcpy(v + x, part[0], n * sizeof(*v));
        memcpy(w + x, part[1], n * sizeof(*v));
    }
    *a->row = (struct row){.v = v, .w = w, .scale = mbi_ext_from(1)};
    free_spare(a);
}

/* Entries and weights of the one row that is left as rows of a further layer, and rows that are not
 * there up to 2^log_rows of them. */
static void cut_row(struct prover *a, size_t rows, unsigned log_rows, unsigned log_columns)
{
    struct mbi_ext *v = a->row->v, *w = a->row->w;

    a->log_columns = log_columns;
    memset(a->row, 0, sizeof(*a->row) << log_rows);
    for (size_t r = 0; r < rows; r++)
        a->row[r] = (struct row){.v = v + (r << a->log_columns),
                                 .w = w + (r << a->log_columns),
                                 .scale = mbi_ext_from(1)};
}

/* ---- what hides ---- */

/* The vectors' pads; where they are not, there are zeros. */
static bool take_pads(struct prover *a)
{
    const size_t pads = a->o->code.pads;

    if (!(a->pad_entries = mbi_alloc(a->host, pads, sizeof(*a->pad_entries))))
        return false;
    mbi_mask_fill(a->pad_entries, pads, &a->vector->seed, MBI_MASK_ROUND, 0);
    memcpy(a->pad, a->pad_entries, 2 * a->stack.rounds * sizeof(*a->pad));
    a->pads_sum = MBI_EXT(open_pads_sum)(&a->pads, a->pad);
    return true;
}

/* Of the folded row, what is behind its entries, and the weights there. */
static int32_t extend_row(struct prover *a, mambaint_error *err)
{
    const struct mbi_code *code = &a->o->code;
    const size_t columns = (size_t)1 << a->log_columns, pads = columns + code->masks;
    struct mbi_ext *v = a->last[0] = mbi_alloc_huge(a->host, a->entries * sizeof(*v));
    struct mbi_ext *w = a->last[1] = mbi_alloc_huge(a->host, a->entries * sizeof(*w));

    if (!v || !w)
        return mbi_fail_memory(err, "an opening");
    memcpy(v, a->row->v, columns * sizeof(*v));
    memcpy(w, a->row->w, columns * sizeof(*w));
    MBI_EXT(eq_table)(a->eq, a->alpha, a->rounds, mbi_ext_from(1));
    memset(w + columns, 0, (a->entries - columns) * sizeof(*w));
    memset(v + columns, 0, (a->entries - columns) * sizeof(*v));
    if (!MBI_EXT(open_fold_masks)(v + columns, a->o, a->vector, &a->stack, a->eq, a->host,
                                  a->kernels))
        return mbi_fail_memory(err, "an opening");
    mbi_ext_mul_add_base(a->kernels, v + pads, a->pad_entries, a->eq[a->pads.last], code->pads);
    *a->row = (struct row){.v = v, .w = w, .scale = mbi_ext_from(1)};
    return MBI_EXT(open_pads_weights)(w + pads, &a->pads, a->alpha)
               ? MAMBAINT_OK
               : mbi_fail(err, MAMBAINT_E_INTERNAL,
                          "a challenge of an opening is one of those that no proof can answer: "
                          "prove again, with another seed");
}

/* What the n entries of the blind rows give. */
static struct mbi_ext blind_value(const struct prover *a, const mbi_fe *blind, size_t n)
{
    struct mbi_ext value = mbi_ext_from(0);

    for (size_t k = MBI_EXT_D; k-- > 0;) {
        value = mbi_ext_times_x(value);
        for (size_t i = 0; i < n; i += BLOCK)
            value =
                mbi_ext_add(value, mbi_ext_dot_base(a->kernels, a->row->w + i, blind + k * n + i,
                                                    mbi_min_size(BLOCK, n - i)));
    }
    return value;
}

/* blind + gamma times the folded row, in its place, and what that gives. */
static void add_blind(struct prover *a, const mbi_fe *blind, size_t n)
{
    const struct mbi_ext *w = a->row->w;
    struct mbi_ext *v = a->row->v;

    a->claim = mbi_ext_from(0);
    for (size_t i = 0; i < n; i++) {
        struct mbi_ext y;

        for (size_t k = 0; k < MBI_EXT_D; k++)
            y.c[k] = blind[k * n + i];
        v[i] = mbi_ext_add(y, mbi_ext_mul(a->gamma, v[i]));
    }
    for (size_t i = 0; i < n; i += BLOCK)
        a->claim = mbi_ext_add(a->claim,
                               mbi_ext_dot(a->kernels, w + i, v + i, mbi_min_size(BLOCK, n - i)));
}

/* The folded row is added to the blind one, whose value is sent before. */
static int32_t blind_row(struct prover *a, mambaint_error *err)
{
    const size_t n = mbi_code_entries(&a->o->code);
    int32_t rc = extend_row(a, err);
    struct mbi_ext value;
    mbi_fe *blind;

    if (rc < 0)
        return rc;
    if (!(blind = MBI_EXT(open_blind)(a->vector, n, a->host)))
        return mbi_fail_memory(err, "an opening");
    value = blind_value(a, blind, n);
    mbi_put_elements(a->out, "blind", value.c, MBI_EXT_D);
    a->gamma = MBI_EXT(open_draw)(&a->out->transcript);
    add_blind(a, blind, n);
    mbi_free_aligned(a->host, blind);
    return MAMBAINT_OK;
}

/* ---- columns ---- */

/* Columns of a further layer, or of a vector, whose last rows may be blind. */
enum columns { OF_LAYER, OF_VECTOR, OF_BLIND };

/* What a column folds to. */
static struct mbi_ext fold_column(const mbi_fe *column, const struct mbi_ext *eq, size_t rows,
                                  enum columns of)
{
    struct mbi_ext blind = {{0}};

    if (of == OF_LAYER)
        return MBI_EXT(open_fold)(column, eq, rows / MBI_EXT_D);
    if (of == OF_BLIND) {
        rows -= MBI_EXT_D;
        memcpy(blind.c, column + rows, sizeof(blind.c));
    }
    return mbi_ext_add(blind, MBI_EXT(open_fold_base)(column, eq, rows));
}

/* The columns at the positions, then the path that leads from them to the root. Folds them, too. */
static bool put_columns(struct prover *a, const struct mbi_matrix *m, const struct mbi_ext *eq,
                        enum columns of)
{
    const size_t length = (size_t)1 << m->log_length;
    mbi_fe *column = NULL;
    size_t all;

    if (!mbi_mul_size(&all, a->n, m->rows) || !(column = mbi_alloc(a->host, all, sizeof(*column))))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        mbi_fe *to = column + i * m->rows;

        for (size_t r = 0; r < m->rows; r++) /* of a damaged key, perhaps, and no element of F */
            to[r] = mbi_fe_reduce(0, m->codeword[r * length + a->position[i]]);
        a->sum[i] = mbi_ext_add(a->sum[i], fold_column(to, eq, m->rows, of));
    }
    mbi_put_elements(a->out, "columns", column, all);
    mbi_free(a->host, column);
    mbi_put_opening(a->out, m->tree, length, a->position, a->n);
    return true;
}

/* Work, positions and columns of layer i. The point of its rows is at alpha[from]. */
static bool put_layer(struct prover *a, unsigned i, unsigned from)
{
    const struct mbi_layer layer = mbi_code_layer(&a->o->code, i);
    const unsigned rounds = i ? mbi_open_log_rows(&a->o->code, i) : a->stack.rounds;
    bool done = true;

    mbi_put_work(a->out, layer.work);
    a->n = MBI_EXT(open_positions)(a->position, &layer, &a->out->transcript);
    MBI_EXT(eq_table)(a->eq, a->alpha + from, rounds, i ? mbi_ext_from(1) : a->gamma);
    for (size_t j = 0; j < a->n; j++)
        a->sum[j] = mbi_ext_from(0);
    if (i)
        return put_columns(a, &a->matrix, a->eq, OF_LAYER);
    for (size_t k = 0; k < a->o->n_roots && done; k++) {
        const struct mbi_commitment *c = &a->vector[k];
        const size_t blind = c->blind ? mbi_blind_rows(&c->code) : 0;
        const struct mbi_matrix m = {(size_t)c->root.rows + blind, c->code.log_length, c->codeword,
                                     c->tree};

        done = put_columns(a, &m, a->eq + a->stack.first[k], blind ? OF_BLIND : OF_VECTOR);
    }
    return done;
}

/* ---- further layers ---- */

struct powers {
    struct prover *a;
    struct mbi_ext *scale; /* join^(j+1) for each position */
    unsigned log, log_length;
    size_t n; /* entries of the row */
};

static void first_powers(void *arg, size_t begin, size_t end)
{
    const struct powers *p = arg;

    for (size_t j = begin; j < end; j++) {
        const mbi_fe x = mbi_fe_pow(mbi_fe_root(p->log_length), p->a->position[j]);
        mbi_fe *to = p->a->power + j * BLOCK;

        to[0] = 1;
        for (size_t i = 1; i < (size_t)1 << p->log; i++)
            to[i] = mbi_fe_mul(to[i - 1], x);
    }
}

/* Blocks of the weights get, for each position, scale x^i: x^i = x^(begin) x^(i - begin). */
static void add_powers(void *arg, size_t begin, size_t end)
{
    const struct powers *p = arg;
    const struct prover *a = p->a;
    const mbi_fe root = mbi_fe_root(p->log_length);

    for (size_t block = begin; block < end; block++)
        for (size_t j = 0; j < a->n; j++) {
            const mbi_fe x = mbi_fe_pow(root, ((uint64_t)block << p->log) * a->position[j]);

            mbi_ext_mul_add_base(a->kernels, a->row->w + (block << p->log), a->power + j * BLOCK,
                                 mbi_ext_scale(p->scale[j], x),
                                 mbi_min_size((size_t)1 << p->log, p->n - (block << p->log)));
        }
}

/* The folded columns of layer i become claims about the row. */
static void join_positions(struct prover *a, unsigned i)
{
    const struct mbi_ext join = MBI_EXT(open_draw)(&a->out->transcript);
    struct powers p = {.a = a,
                       .scale = a->sum,
                       .log = a->log_columns < MBI_FORM_BLOCK_LOG ? a->log_columns
                                                                  : MBI_FORM_BLOCK_LOG,
                       .log_length = mbi_code_layer(&a->o->code, i).log_length,
                       .n = mbi_layer_entries(&a->o->code, i)};
    struct mbi_ext power = join;

    a->claim = MBI_EXT(open_join_values)(a->claim, join, a->sum, a->n);
    for (size_t j = 0; j < a->n; j++, power = mbi_ext_mul(power, join))
        a->sum[j] = power;
    mbi_parallel_for(a->host, a->n, 16, first_powers, &p);
    mbi_parallel_for(a->host, ((p.n - 1) >> p.log) + 1, 8, add_powers, &p);
}

/* From layer i, whose rows are folded to one, to the next one's folded row. */
static int32_t next_layer(struct prover *a, unsigned i, unsigned from, mambaint_error *err)
{
    const unsigned log_rows = mbi_open_log_rows(&a->o->code, i + 1);
    const struct mbi_layer *layer = &a->o->code.further[i];
    const size_t rows = mbi_layer_rows(&a->o->code, i + 1);
    struct mbi_matrix next;
    int32_t rc = MBI_EXT(matrix_of)(&next, a->row->v, rows, layer, &a->ntt, err);

    if (rc >= 0) {
        mbi_put_bytes(a->out, "folded", mbi_matrix_root(&next), sizeof(struct mbi_digest));
        if (!put_layer(a, i, from))
            rc = mbi_fail_memory(err, "an opening");
    }
    MBI_EXT(matrix_free)(&a->matrix, a->host);
    a->matrix = next;
    if (rc < 0)
        return rc;
    join_positions(a, i);
    cut_row(a, rows, log_rows, layer->log_columns);
    prove_rounds(a, log_rows);
    if (!mbi_ext_equal(a->row->scale, mbi_ext_from(1)))
        finish_row(a); /* rows had no partner */
    return MAMBAINT_OK;
}

/* ---- the whole ---- */

/* Each row of each vector has masks of its own, and the first vector hides the folded row. */
static bool is_hidden(const struct mbi_opening *o, const struct mbi_commitment *vector)
{
    bool hidden = vector->blind && vector->code.pads == o->code.pads;

    for (size_t i = 0; i < o->n_roots; i++) {
        hidden &= !i || !vector[i].blind;
        for (size_t k = 0; k < i; k++)
            hidden &= memcmp(&vector[i].seed, &vector[k].seed, sizeof(vector->seed)) != 0;
    }
    return hidden;
}

/* Are these the commitments of the roots? */
static bool same_roots(const struct mbi_opening *o, const struct mbi_commitment *vector)
{
    bool same = !o->code.masks || is_hidden(o, vector);

    for (size_t i = 0; i < o->n_roots; i++)
        same &= vector[i].root.log_rows == o->root[i].log_rows &&
                vector[i].root.rows == o->root[i].rows &&
                vector[i].code.log_columns == o->code.log_columns &&
                vector[i].code.log_length == o->code.log_length &&
                vector[i].code.masks == o->code.masks &&
                !memcmp(&vector[i].root.digest, &o->root[i].digest, sizeof(struct mbi_digest));
    return same;
}

/* Of the stack, the rows that are there. Rows of E are asked for as they are needed: for two rows
 * of vectors one for entries, and one for weights that are made. */
static bool alloc_rows(struct prover *a)
{
    const size_t columns = (size_t)1 << a->log_columns;
    const size_t last = (size_t)1 << mbi_code_layer(&a->o->code, a->o->code.depth).log_columns;
    size_t rows = 2, kept = 0, most = (size_t)1 << a->stack.rounds, bytes;

    for (size_t i = 0; i < a->o->n_roots; i++) {
        rows += a->reach[i] >> a->log_columns;
        kept += MBI_EXT(open_weights_has)(a->forms, i) ? 0 : a->reach[i];
    }
    for (unsigned i = 1; i <= a->o->code.depth; i++)
        most = mbi_max_size(most, (size_t)1 << mbi_open_log_rows(&a->o->code, i));
    if (a->o->code.depth)
        most = mbi_max_size(most, last);
    if (a->o->code.depth && a->o->code.masks)
        a->entries = mbi_layer_rows(&a->o->code, 1) << a->o->code.further[0].log_columns;
    else if (a->o->code.masks)
        a->entries = mbi_code_entries(&a->o->code);
    if (!mbi_mul_size(&bytes, kept, sizeof(*a->weight)))
        return false;
    a->row = mbi_alloc(a->host, most, sizeof(*a->row));
    a->eq = mbi_alloc(a->host, most, sizeof(*a->eq));
    a->weight = mbi_alloc_huge(a->host, bytes);
    a->batch = mbi_alloc(a->host, rows, sizeof(struct mbi_ext *));
    a->spare = mbi_alloc(a->host, 2 * rows + BATCH / columns, sizeof(struct mbi_ext *));
    return a->row && a->eq && a->weight && a->batch && a->spare;
}

static bool prover_alloc(struct prover *a)
{
    size_t most = 0;

    MBI_EXT(open_stack_init)(&a->stack, a->o);
    a->log_columns = a->o->code.log_columns;
    if (a->stack.rounds + a->log_columns >= 8 * sizeof(size_t) - 1)
        return false;
    for (unsigned i = 0; i <= a->o->code.depth; i++)
        most = mbi_max_size(most, mbi_code_layer(&a->o->code, i).queries);
    a->position = mbi_alloc(a->host, most, sizeof(*a->position));
    a->sum = mbi_alloc(a->host, most, sizeof(*a->sum));
    a->power = mbi_alloc(a->host, a->o->code.depth ? most * BLOCK : 1, sizeof(*a->power));
    return a->position && a->sum && a->power;
}

static void prover_free(struct prover *a)
{
    MBI_EXT(matrix_free)(&a->matrix, a->host);
    mbi_ntt_free(&a->ntt);
    MBI_EXT(open_weights_free)(a->forms, a->host);
    for (size_t i = 0; i < a->n_batches; i++)
        mbi_free_aligned(a->host, a->batch[i]);
    mbi_free(a->host, a->batch);
    mbi_free(a->host, a->spare);
    mbi_free_aligned(a->host, a->last[0]);
    mbi_free_aligned(a->host, a->last[1]);
    mbi_free_aligned(a->host, a->weight);
    mbi_free(a->host, a->row);
    mbi_free(a->host, a->eq);
    mbi_free(a->host, a->position);
    mbi_free(a->host, a->sum);
    mbi_free(a->host, a->power);
    mbi_free(a->host, a->pad_entries);
}

/* Roots of unity for the longest of the further layers. */
static int32_t init_ntt(struct prover *a, mambaint_error *err)
{
    unsigned log = 0;

    for (unsigned i = 0; i < a->o->code.depth; i++)
        log = a->o->code.further[i].log_length > log ? a->o->code.further[i].log_length : log;
    return log ? mbi_ntt_init(&a->ntt, a->host, a->kernels, log, err) : MAMBAINT_OK;
}

static int32_t prove(struct prover *a, mambaint_error *err)
{
    const unsigned depth = a->o->code.depth;
    unsigned from = 0;
    int32_t rc = init_ntt(a, err);

    if (rc < 0)
        return rc;
    a->claim = MBI_EXT(open_join)(&a->join, &a->pads, &a->out->transcript, a->o, &a->stack);
    MBI_EXT(open_reach)(a->reach, a->o);
    a->forms = MBI_EXT(open_weights)(a->o, a->join, a->host, a->kernels);
    if (!a->forms || !alloc_rows(a) || (a->o->code.masks && !take_pads(a)) || !stack_rows(a))
        return mbi_fail_memory(err, "an opening");
    prove_rounds(a, a->stack.rounds);
    finish_row(a);
    if (a->refused)
        return mbi_fail_memory(err, "an opening");
    if (a->o->code.masks)
        rc = blind_row(a, err);
    for (unsigned i = 0; i < depth && rc >= 0; i++) {
        const unsigned next = a->rounds;

        rc = next_layer(a, i, from, err);
        from = next;
    }
    if (rc < 0)
        return rc;
    mbi_put_elements(a->out, "row", (const mbi_fe *)a->row->v,
                     MBI_EXT_D * mbi_layer_entries(&a->o->code, depth));
    if (depth) {
        const unsigned columns = a->log_columns;

        cut_row(a, (size_t)1 << columns, columns, 0);
        prove_rounds(a, columns);
    }
    return put_layer(a, depth, from) ? MAMBAINT_OK : mbi_fail_memory(err, "an opening");
}

int32_t MBI_EXT(open_prove)(const struct mbi_opening *o, const struct mbi_commitment *vector,
                            struct mbi_proof_writer *out, const struct mbi_host *host,
                            const struct mbi_field_kernels *kernels, mambaint_error *err)
{
    struct prover a = {.o = o,
                       .vector = vector,
                       .host = host,
                       .kernels = kernels,
                       .out = out,
                       .gamma = mbi_ext_from(1)};
    const char *fault = MBI_EXT(open_fault)(o);
    int32_t rc;

    if (!fault && !same_roots(o, vector))
        fault = "a root is not that of its commitment";
    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "an opening was planned wrongly: %s", fault);
    rc = prover_alloc(&a) ? prove(&a, err) : mbi_fail_memory(err, "an opening");
    prover_free(&a);
    return rc;
}
#endif

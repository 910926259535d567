/* SPDX-License-Identifier: Apache-2.0 */
/* Openings: the verifier. */
#include "base/intmath.h"
#include "proof/open.h"
#if MBI_HAVE_SODIUM

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)

/* What the positions of a layer say of the next one's vector. */
struct joined {
    mbi_fe *x; /* powers of the root */
    size_t n;
    size_t entries; /* of the vector, from the first on; others do not count */
    struct mbi_ext join;
    unsigned from; /* the first coordinate of the point that is the vector's */
};

struct verifier {
    const struct mbi_opening *o;
    const struct mbi_open_forms *forms; /* of claims that have none */
    struct mbi_proof_reader *in;
    const struct mbi_host *host;
    struct mbi_open_stack stack;
    struct mbi_ext alpha[MBI_OPEN_ROUNDS]; /* all rounds, of all layers */
    unsigned rounds;
    struct mbi_ext point[MBI_MAX_BITS]; /* those that are coordinates of the stack */
    struct mbi_ext join, claim;
    struct mbi_open_pads pads;
    struct mbi_ext gamma; /* what the folded row is multiplied with; 1: nothing is hidden */
    struct mbi_ext pad_weight[2 * MBI_EXT_D * MBI_MAX_BITS];
    struct mbi_digest root;  /* of the present layer's matrix, if it is a further one */
    struct mbi_ext *row;     /* what the rows of the last layer were folded to */
    struct mbi_ext *weight;  /* eq(alpha, .) of the present layer */
    struct mbi_ext *sum;     /* folded columns, for each position */
    uint32_t *position;      /* `queries` of them are drawn, n are left */
    mbi_fe *column;          /* of one vector */
    struct mbi_digest *leaf; /* of one vector */
    void *scratch;
    size_t n;
    struct joined joined[MBI_CODE_DEPTH];
    struct mbi_open_places *places; /* in the stack */
    struct mbi_form_memo *memo;     /* one for each part of the claims */
    const struct mbi_ext *value;    /* at the point: of forms that are not made */
};

#define PARTS 2 /* of the claims, which threads look at side by side */

/* ---- memory: the most that any layer takes ---- */

struct most {
    size_t queries, positions, rows, entries;
};

static bool most_of(struct most *m, const struct mbi_opening *o, const struct mbi_open_stack *s)
{
    uint64_t highest = 0;

    for (size_t i = 0; i < o->n_roots; i++)
        highest = o->root[i].rows > highest ? o->root[i].rows : highest;
    *m = (struct most){0};
    for (unsigned i = 0; i <= o->code.depth; i++) {
        const struct mbi_layer a = mbi_code_layer(&o->code, i);
        const unsigned rounds = i ? mbi_open_log_rows(&o->code, i) : s->rounds;
        const size_t n = mbi_min_size(a.queries, (size_t)1 << a.log_length);
        size_t entries;

        if (rounds >= 8 * sizeof(entries) - 2 ||
            !mbi_mul_size(&entries, n,
                          i ? MBI_EXT_D * mbi_layer_rows(&o->code, i)
                            : (size_t)highest + mbi_blind_rows(&o->code)))
            return false;
        m->queries = mbi_max_size(m->queries, a.queries);
        m->positions = mbi_max_size(m->positions, n);
        m->rows = mbi_max_size(m->rows, (size_t)1 << rounds);
        m->entries = mbi_max_size(m->entries, entries);
    }
    return true;
}

static bool verifier_alloc(struct verifier *v)
{
    const struct mbi_code *code = &v->o->code;
    struct most most;

    if (!most_of(&most, v->o, &v->stack))
        return false;
    for (unsigned i = 0; i < code->depth; i++)
        if (!(v->joined[i].x =
                  mbi_alloc(v->host, mbi_code_layer(code, i).queries, sizeof(*v->joined[i].x))))
            return false;
    return (v->row = mbi_alloc(v->host, mbi_layer_entries(code, code->depth), sizeof(*v->row))) &&
           (v->places = mbi_alloc(v->host, 1, sizeof(*v->places))) &&
           (v->memo = mbi_alloc(v->host, PARTS, sizeof(*v->memo))) &&
           (v->weight = mbi_alloc(v->host, most.rows, sizeof(*v->weight))) &&
           (v->sum = mbi_alloc(v->host, most.positions, sizeof(*v->sum))) &&
           (v->position = mbi_alloc(v->host, most.queries, sizeof(*v->position))) &&
           (v->column = mbi_alloc(v->host, most.entries, sizeof(*v->column))) &&
           (v->leaf = mbi_alloc(v->host, most.positions, sizeof(*v->leaf))) &&
           (v->scratch = mbi_alloc(v->host, mbi_merkle_scratch(most.positions), 1));
}

static void verifier_free(struct verifier *v)
{
    mbi_free(v->host, v->row);
    mbi_free(v->host, v->memo);
    mbi_free(v->host, v->places);
    mbi_free(v->host, v->weight);
    mbi_free(v->host, v->sum);
    mbi_free(v->host, v->position);
    mbi_free(v->host, v->column);
    mbi_free(v->host, v->leaf);
    mbi_free(v->host, v->scratch);
    for (unsigned i = 0; i < MBI_CODE_DEPTH; i++)
        mbi_free(v->host, v->joined[i].x);
}

/* ---- the claims ---- */

static void get_rounds(struct verifier *v, unsigned n)
{
    const mbi_fe half = (MBI_FIELD_P + 1) / 2;

    for (; n--; v->rounds++) {
        struct mbi_ext q[2], q1, square, r;

        mbi_get_elements((mbi_fe *)q, 2 * MBI_EXT_D, v->in, "round");
        q1 = mbi_ext_sub(v->claim, q[0]);
        square = mbi_ext_add(mbi_ext_sub(q[1], mbi_ext_add(q1, q1)), q[0]);
        v->alpha[v->rounds] = r = MBI_EXT(open_draw)(&v->in->transcript);
        v->claim = mbi_open_quadratic(q[0], q1, mbi_ext_scale(square, half), r);
    }
}

/* Claims begin .. end, which a thread joins. */
struct part {
    const struct verifier *verifier;
    /* The sum of claim k and of claims before it that it can be joined with, of one value: *k is
     * then the first of them. */
    struct mbi_ext (*run)(struct part *p, size_t *k);
    size_t number, begin, end, n_claims; /* that begin in it */
    struct mbi_ext sum, rest;
    const struct mbi_form *last; /* of the last claim that was looked at */
    struct mbi_ext last_value;   /* at alpha */
    struct mbi_open_place place; /* of the last claim */
};

/*
 * <row, W~(alpha, .)> for the form W of a claim. In the stack, the bits before those of the form
 * select its place: `before` coordinates of alpha and, of a form shorter than a row, some of the
 * column.
 */
static struct mbi_ext form_of_row(struct part *p, const struct mbi_claim *c)
{
    const struct verifier *v = p->verifier;
    const unsigned rounds = v->stack.rounds, columns = v->o->code.log_columns;
    const unsigned bits = c->form->bits, inner = bits < columns ? bits : columns;
    const unsigned log = inner < MBI_FORM_BLOCK_LOG ? inner : MBI_FORM_BLOCK_LOG;
    const unsigned before = rounds + columns - (bits > columns ? bits : columns);
    const uint64_t place = (v->stack.first[c->vector] << columns) + (c->block << bits);
    const size_t column = (size_t)(place & (((uint64_t)1 << columns) - 1));
    const struct mbi_table row = {MBI_TABLE_EXT, v->row, (size_t)1 << columns};
    struct mbi_ext sum = mbi_ext_from(0), block[BLOCK];

    for (size_t begin = 0; begin < (size_t)1 << inner; begin += (size_t)1 << log) {
        MBI_EXT(form_rest)(block, c->form, v->point + before, bits - inner, begin, log);
        sum = mbi_ext_add(sum, MBI_EXT(table_dot)(&row, column + begin, block, (size_t)1 << log));
    }
    return mbi_ext_mul(sum, MBI_EXT(open_place)(&p->place, v->places, before,
                                                place >> (rounds + columns - before)));
}

static struct mbi_ext run_of_row(struct part *p, size_t *k)
{
    const struct mbi_claim *c = &p->verifier->o->claim[*k];

    return mbi_ext_mul(form_of_row(p, c), mbi_claim_scale(c));
}

/* ---- at a point: a coordinate for every bit of the stack ---- */

/* Coordinates that select the place of a claim's block. */
static unsigned place_bits(const struct verifier *v, const struct mbi_claim *c)
{
    return v->stack.rounds + v->o->code.log_columns - mbi_claim_bits(c);
}

/* eq(alpha, .) of the place, times 2^shift. */
static struct mbi_ext place_of(struct part *p, const struct mbi_claim *c)
{
    const struct verifier *v = p->verifier;
    const uint64_t first = v->stack.first[c->vector] << v->o->code.log_columns;
    const struct mbi_ext x = MBI_EXT(open_place)(&p->place, v->places, place_bits(v, c),
                                                 (first >> mbi_claim_bits(c)) + c->block);

    return c->shift ? mbi_ext_scale(x, (mbi_fe)1 << c->shift) : x;
}

/* W~(alpha) for the form W of a claim. */
static struct mbi_ext form_at_point(struct part *p, const struct mbi_claim *c)
{
    const struct verifier *v = p->verifier;

    if (!c->form)
        return v->value[c->number];
    if (p->last != c->form) {
        p->last = c->form;
        p->last_value =
            MBI_EXT(form_at_known)(c->form, v->point + place_bits(v, c), &v->memo[p->number]);
    }
    return p->last_value;
}

static bool same_but_place(const struct mbi_claim *a, const struct mbi_claim *b)
{
    return a->form == b->form && a->scale == b->scale && a->vector == b->vector &&
           (a->form || (a->number == b->number && a->bits == b->bits));
}

/* The digits of a box differ in their places and in what they weigh: one product for all. */
static struct mbi_ext run_at_point(struct part *p, size_t *k)
{
    const struct mbi_claim *c = &p->verifier->o->claim[*k];
    struct mbi_ext sum = place_of(p, c);

    for (; c->joined && *k > p->begin && same_but_place(c - 1, c); --*k, c--)
        sum = mbi_ext_add(sum, place_of(p, c - 1));
    sum = mbi_ext_mul(sum, form_at_point(p, c));
    return c->scale ? mbi_ext_mul(sum, *c->scale) : sum;
}

/* The terms of a part: of the claims that begin in it, and of the one that began before it. */
static void join_part(struct part *p)
{
    struct mbi_ext terms = mbi_ext_from(0);

    for (size_t k = p->end; k-- > p->begin;) {
        terms = mbi_ext_add(terms, p->run(p, &k));
        if (p->verifier->o->claim[k].joined)
            continue;
        p->sum = mbi_ext_add(mbi_ext_mul(p->sum, p->verifier->join), terms);
        p->n_claims++;
        terms = mbi_ext_from(0);
    }
    p->rest = terms;
}

static void join_parts(void *arg, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        join_part((struct part *)arg + i);
}

/* All claims, each form by itself; in powers of the challenge that joined them. Sums are the same
 * in any parts. */
static struct mbi_ext join_forms(struct verifier *v,
                                 struct mbi_ext (*run)(struct part *p, size_t *k))
{
    const size_t n = mbi_pool_threads(v->host->pool) > 1 ? PARTS : 1;
    struct part part[PARTS];
    const unsigned coordinates = v->stack.rounds + (v->o->code.depth ? v->o->code.log_columns : 0);
    struct mbi_ext sum = mbi_ext_from(0), rest = sum;

    MBI_EXT(open_places_init)(v->places, v->point, coordinates);
    for (size_t i = 0; i < n; i++)
        part[i] = (struct part){.verifier = v,
                                .run = run,
                                .number = i,
                                .begin = v->o->n_claims * i / n,
                                .end = v->o->n_claims * (i + 1) / n};
    mbi_parallel_for(v->host, n, 1, join_parts, part);
    for (size_t i = n; i-- > 0;) { /* the rest of what is behind a part is of its last claim */
        const size_t before = part[i].n_claims ? part[i].n_claims - 1 : 0;

        if (part[i].n_claims) {
            sum = mbi_ext_add(mbi_ext_mul(sum, v->join), rest);
            sum = mbi_ext_add(part[i].sum, mbi_ext_mul(sum, mbi_ext_pow(v->join, before)));
            rest = mbi_ext_from(0);
        }
        rest = mbi_ext_add(rest, part[i].rest);
    }
    return sum; /* the first claim begins in the first part */
}

/* The extension of the powers of x at a point of n coordinates. */
static struct mbi_ext powers_at(mbi_fe x, const struct mbi_ext *point, unsigned n)
{
    struct mbi_ext r = mbi_ext_from(1);

    for (; n-- > 0; x = mbi_fe_mul(x, x)) {
        struct mbi_ext factor = mbi_ext_scale(point[n], mbi_fe_sub(x, 1));

        factor.c[0] = mbi_fe_add(factor.c[0], 1);
        r = mbi_ext_mul(r, factor);
    }
    return r;
}

/* The same of those powers below `end` < 2^n: from the last bit on, indices whose bits so far are
 * below those of `end` have a 0 where it has a 1 and then any, or the same bit and then such. */
static struct mbi_ext powers_below(mbi_fe x, const struct mbi_ext *point, unsigned n, size_t end)
{
    struct mbi_ext all = mbi_ext_from(1), below = mbi_ext_from(0);

    for (; n-- > 0; x = mbi_fe_mul(x, x), end >>= 1) {
        const struct mbi_ext one = mbi_ext_scale(point[n], x);
        const struct mbi_ext zero = mbi_ext_sub(mbi_ext_from(1), point[n]);

        if (end & 1)
            below = mbi_ext_add(mbi_ext_mul(zero, all), mbi_ext_mul(one, below));
        else
            below = mbi_ext_mul(zero, below);
        all = mbi_ext_mul(all, mbi_ext_add(zero, one));
    }
    return below;
}

/* What was joined after a layer: sum of join^(j+1) times the powers of x_j, at the point. */
static struct mbi_ext join_powers(const struct verifier *v, const struct joined *a)
{
    const struct mbi_ext *point = v->alpha + a->from;
    const unsigned n = v->rounds - a->from;
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t j = a->n; j-- > 0;) {
        const struct mbi_ext power = a->entries >> n ? powers_at(a->x[j], point, n)
                                                     : powers_below(a->x[j], point, n, a->entries);

        sum = mbi_ext_mul(mbi_ext_add(sum, power), a->join);
    }
    return sum;
}

/* What the pads' weights give, of the row; and of a row that is committed to, at its point. */
static struct mbi_ext pads_of_row(const struct verifier *v)
{
    const size_t first = ((size_t)1 << v->o->code.log_columns) + v->o->code.masks;
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t i = 0; i < 2 * MBI_EXT_D * (size_t)v->pads.rounds; i++)
        sum = mbi_ext_add(sum, mbi_ext_mul(v->pad_weight[i], v->row[first + i]));
    return sum;
}

static struct mbi_ext pads_at_point(const struct verifier *v)
{
    const size_t first = ((size_t)1 << v->o->code.log_columns) + v->o->code.masks;
    const struct mbi_ext *point = v->alpha + v->stack.rounds;
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t i = 0; i < 2 * MBI_EXT_D * (size_t)v->pads.rounds; i++)
        sum = mbi_ext_add(
            sum, mbi_ext_mul(v->pad_weight[i],
                             MBI_EXT(eq_index)(point, v->rounds - v->stack.rounds, first + i)));
    return sum;
}

/* The claims at a point; entries of the vectors are those of the row whose first bits, of which
 * masks have some more, are 0. */
static struct mbi_ext claims_at_point(struct verifier *v)
{
    const unsigned rounds = v->stack.rounds, columns = v->o->code.log_columns;
    const unsigned more = v->rounds - rounds - columns;
    struct mbi_ext sum;

    memcpy(v->point + rounds, v->alpha + rounds + more, columns * sizeof(*v->point));
    if (v->forms && !(v->value = v->forms->at(v->forms->user, v->point + rounds + columns))) {
        mbi_refuse(v->in, "the forms of an opening cannot be evaluated");
        return mbi_ext_from(0);
    }
    sum = join_forms(v, run_at_point);
    sum = mbi_ext_mul(sum, MBI_EXT(eq_index)(v->alpha + rounds, more, 0));
    return v->o->code.masks ? mbi_ext_add(sum, pads_at_point(v)) : sum;
}

/* The row gives what is left of the claims: entry by entry, or where there are further layers at
 * one point more. */
static void check_claims(struct verifier *v)
{
    const unsigned columns = mbi_code_layer(&v->o->code, v->o->code.depth).log_columns;
    const struct mbi_table row = {MBI_TABLE_EXT, v->row, (size_t)1 << columns};
    struct mbi_ext sum;

    memcpy(v->point, v->alpha, v->stack.rounds * sizeof(*v->point));
    if (v->o->code.depth) {
        get_rounds(v, columns);
        sum = claims_at_point(v);
        for (unsigned i = 0; i < v->o->code.depth; i++)
            sum = mbi_ext_add(sum, join_powers(v, &v->joined[i]));
        sum = mbi_ext_mul(sum, MBI_EXT(table_at)(&row, v->alpha + (v->rounds - columns), columns));
    } else {
        sum = join_forms(v, run_of_row);
        if (v->o->code.masks)
            sum = mbi_ext_add(sum, pads_of_row(v));
    }
    if (!mbi_ext_equal(sum, v->claim))
        mbi_refuse(v->in, "the folded row of an opening does not give its claims");
}

/* ---- the columns ---- */

/* n columns of `width` elements for each of the rows, and of `blind` rows behind them: they are
 * under a root, and their folds go to the sums. */
static void get_columns(struct verifier *v, const struct mbi_digest *root, unsigned log_length,
                        const struct mbi_ext *weight, size_t rows, size_t width, size_t blind)
{
    const size_t size = rows * width + blind;
    struct mbi_columns one = {v->column, size, 1, 1, NULL};

    mbi_get_elements(v->column, v->n * size, v->in, "columns");
    for (size_t i = 0; i < v->n && !v->in->fault; i++, one.data += size) {
        struct mbi_ext last = {{0}};

        mbi_hash_columns(&one, &v->leaf[i], 0, 1);
        memcpy(last.c, one.data + rows * width, blind * sizeof(*last.c));
        v->sum[i] = mbi_ext_add(v->sum[i], last);
        v->sum[i] =
            mbi_ext_add(v->sum[i], width == 1 ? MBI_EXT(open_fold_base)(one.data, weight, rows)
                                              : MBI_EXT(open_fold)(one.data, weight, rows));
    }
    mbi_get_opening(v->in, root, (size_t)1 << log_length, v->position, v->leaf, v->n, v->scratch);
}

/* Work, positions and columns of layer i, whose rows were folded by the last rounds but `since`. */
static void get_layer(struct verifier *v, unsigned i, unsigned since)
{
    const struct mbi_layer a = mbi_code_layer(&v->o->code, i);
    const unsigned rounds = i ? mbi_open_log_rows(&v->o->code, i) : v->stack.rounds;

    mbi_get_work(v->in, a.work);
    if (v->in->fault)
        return;
    v->n = MBI_EXT(open_positions)(v->position, &a, &v->in->transcript);
    MBI_EXT(eq_table)
    (v->weight, v->alpha + (v->rounds - since - rounds), rounds, i ? mbi_ext_from(1) : v->gamma);
    for (size_t j = 0; j < v->n; j++)
        v->sum[j] = mbi_ext_from(0);
    if (i)
        get_columns(v, &v->root, a.log_length, v->weight, mbi_layer_rows(&v->o->code, i), MBI_EXT_D,
                    0);
    for (size_t k = 0; !i && k < v->o->n_roots && !v->in->fault; k++)
        get_columns(v, &v->o->root[k].digest, a.log_length, v->weight + v->stack.first[k],
                    (size_t)v->o->root[k].rows, 1, k ? 0 : mbi_blind_rows(&v->o->code));
}

#define ABREAST 4 /* powers, so that none waits for the one before it */

/* The polynomial with the row as its coefficients, at x: sums of 2^27 products at most. */
static struct mbi_ext row_at(const struct verifier *v, mbi_fe x, size_t n)
{
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};
    mbi_fe power[ABREAST], step = 1;
    struct mbi_ext r;

    for (size_t i = 0; i < ABREAST; i++) {
        power[i] = step;
        step = mbi_fe_mul(step, x);
    }
    for (size_t c = 0; c < n; c += ABREAST)
        for (size_t i = 0; i < ABREAST && c + i < n; i++) {
            for (int k = 0; k < MBI_EXT_D; k++)
                mbi_fe_sum_add(&sum[k], v->row[c + i].c[k], power[i]);
            power[i] = mbi_fe_mul(power[i], step);
        }
    for (int k = 0; k < MBI_EXT_D; k++)
        r.c[k] = mbi_fe_sum_value(&sum[k]);
    return r;
}

/* Every opened column folds to the row's value at its place. */
static void check_columns(const struct verifier *v)
{
    const struct mbi_layer a = mbi_code_layer(&v->o->code, v->o->code.depth);
    const size_t entries = mbi_layer_entries(&v->o->code, v->o->code.depth);
    const mbi_fe root = mbi_fe_root(a.log_length);

    for (size_t i = 0; i < v->n; i++)
        if (!mbi_ext_equal(row_at(v, mbi_fe_pow(root, v->position[i]), entries), v->sum[i])) {
            mbi_refuse(v->in, "an opened column does not fold to the row of an opening");
            return;
        }
}

/* ---- the whole ---- */

/* The folded columns of layer i become claims about the row, which is now a vector of its own. */
static void join_layer(struct verifier *v, unsigned i)
{
    const mbi_fe root = mbi_fe_root(mbi_code_layer(&v->o->code, i).log_length);
    struct joined *a = &v->joined[i];

    a->join = MBI_EXT(open_draw)(&v->in->transcript);
    a->n = v->n;
    a->entries = mbi_layer_entries(&v->o->code, i);
    a->from = v->rounds;
    for (size_t j = 0; j < v->n; j++)
        a->x[j] = mbi_fe_pow(root, v->position[j]);
    v->claim = MBI_EXT(open_join_values)(v->claim, a->join, v->sum, v->n);
}

/* From here on the row is the sum of a blind one and gamma times the folded one. */
static void get_blind(struct verifier *v)
{
    struct mbi_ext value;

    mbi_get_elements(value.c, MBI_EXT_D, v->in, "blind");
    v->gamma = MBI_EXT(open_draw)(&v->in->transcript);
    v->claim = mbi_ext_add(value, mbi_ext_mul(v->gamma, v->claim));
    if (!MBI_EXT(open_pads_weights)(v->pad_weight, &v->pads, v->alpha))
        mbi_refuse(v->in, "a challenge of an opening is one that no proof can answer");
}

static void verify(struct verifier *v)
{
    const unsigned depth = v->o->code.depth,
                   columns = mbi_code_layer(&v->o->code, depth).log_columns;

    v->claim = MBI_EXT(open_join)(&v->join, &v->pads, &v->in->transcript, v->o, &v->stack);
    get_rounds(v, v->stack.rounds);
    if (v->o->code.masks)
        get_blind(v);
    for (unsigned i = 0; i < depth && !v->in->fault; i++) {
        struct mbi_digest root;

        mbi_get_bytes(&root, sizeof(root), v->in, "folded");
        get_layer(v, i, 0);
        if (v->in->fault)
            return;
        v->root = root;
        join_layer(v, i);
        get_rounds(v, mbi_open_log_rows(&v->o->code, i + 1));
    }
    mbi_get_elements((mbi_fe *)v->row, MBI_EXT_D * mbi_layer_entries(&v->o->code, depth), v->in,
                     "row");
    if (!v->in->fault)
        check_claims(v);
    if (!v->in->fault)
        get_layer(v, depth, depth ? columns : 0);
    if (!v->in->fault)
        check_columns(v);
}

bool MBI_EXT(open_verify)(const struct mbi_opening *o, struct mbi_proof_reader *in,
                          const struct mbi_host *host)
{
    return MBI_EXT(open_verify_at)(o, NULL, in, host);
}

bool MBI_EXT(open_verify_at)(const struct mbi_opening *o, const struct mbi_open_forms *forms,
                             struct mbi_proof_reader *in, const struct mbi_host *host)
{
    const char *fault = MBI_EXT(open_fault_of)(o, forms != NULL);
    struct verifier v = {.o = o, .forms = forms, .in = in, .host = host, .gamma = mbi_ext_from(1)};

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    MBI_EXT(open_stack_init)(&v.stack, o);
    if (verifier_alloc(&v))
        verify(&v);
    else
        mbi_refuse(in, "there is not enough memory to check an opening");
    verifier_free(&v);
    return !in->fault;
}
#endif

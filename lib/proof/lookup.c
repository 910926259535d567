/* SPDX-License-Identifier: Apache-2.0 */
/* Range of limbs by a tree of fractions, prover and verifier. */
#include "proof/lookup.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* The lowest bits of an index, at most this many, are the first variables of the tree. */
#define TILE_LOG 12u

/* ---- the statement ---- */

static uint64_t limbs(const struct mbi_lookup *l) { return l->begin[l->n]; }

static uint64_t counts_end(const struct mbi_lookup *l) { return l->counts[l->n]; }

/* The counts of a class: none if it has no limbs. */
static uint64_t counts_of(const struct mbi_lookup *l, unsigned k)
{
    return l->begin[k + 1] > l->begin[k] ? l->size[k] : 0;
}

void MBI_EXT(lookup_place)(struct mbi_lookup *lookup, uint64_t first)
{
    lookup->counts[0] = first;
    for (unsigned k = 0; k < lookup->n; k++)
        lookup->counts[k + 1] = lookup->counts[k] + counts_of(lookup, k);
}

const char *MBI_EXT(lookup_fault)(const struct mbi_lookup *l)
{
    if (l->bits > MBI_LOOKUP_BITS)
        return "a lookup has too many bits";
    if (l->n > MBI_LOOKUP_CLASSES)
        return "a lookup has too many classes";
    for (unsigned k = 0; k < l->n; k++)
        if (l->size[k] <= (k ? l->size[k - 1] : 0) || l->size[k] > MBI_LOOKUP_SIZE)
            return "the sizes of a lookup are not in order";
    if (l->begin[0])
        return "the limbs of a lookup do not begin at 0";
    for (unsigned k = 0; k < l->n; k++)
        if (l->begin[k + 1] < l->begin[k])
            return "the limbs of a lookup are not in order";
    if (l->counts[0] < limbs(l))
        return "the counts of a lookup are not behind its limbs";
    for (unsigned k = 0; k < l->n; k++)
        if (l->counts[k + 1] < l->counts[k] || l->counts[k + 1] - l->counts[k] != counts_of(l, k))
            return "the counts of a lookup are not those of its classes";
    return counts_end(l) > (uint64_t)1 << l->bits ? "a lookup does not fit its vector" : NULL;
}

/* The product, and of layer k two values a round and four at its end. */
size_t MBI_EXT(lookup_size)(const struct mbi_lookup *l)
{
    return MBI_EXT_D * (1 + (size_t)l->bits * (l->bits + 3));
}

/* The product and its inverse with a line of two coefficients and two points; of layer k two values
 * a round, and a line of two coefficients and four points. */
size_t MBI_EXT(lookup_pads)(const struct mbi_lookup *l)
{
    return 2 + 4 + (size_t)l->bits * (l->bits - (size_t)1 + 2 + 4);
}

size_t MBI_EXT(lookup_hidden_size)(const struct mbi_lookup *l)
{
    return MBI_EXT_D * MBI_EXT(lookup_pads)(l);
}

bool MBI_EXT(lookup_count)(int32_t *vector, const struct mbi_lookup *l)
{
    bool fits = true;

    for (uint64_t x = l->counts[0]; x < counts_end(l); x++)
        vector[x] = 0;
    for (unsigned k = 0; k < l->n; k++)
        for (uint64_t x = l->begin[k]; x < l->begin[k + 1]; x++) {
            const uint32_t v = (uint32_t)vector[x];

            if (v >= l->size[k])
                fits = false;
            else
                vector[l->counts[k] + v]++; /* at most 2^27 */
        }
    return fits;
}

/* ---- what both sides do ---- */

static struct mbi_ext draw(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

/* A limb x of a class of size s has the denominator alpha - gamma s - f(x). */
struct challenge {
    struct mbi_ext alpha, gamma;
};

static struct challenge draw_challenge(struct mbi_transcript *t)
{
    struct mbi_ext both[2];

    mbi_transcript_draw((mbi_fe *)both, 2 * MBI_EXT_D, t);
    return (struct challenge){both[0], both[1]};
}

/* alpha - gamma s */
static struct mbi_ext of_size(const struct challenge *c, uint32_t size)
{
    return mbi_ext_sub(c->alpha, mbi_ext_scale(c->gamma, size));
}

/* a + r (b - a) */
static struct mbi_ext between(struct mbi_ext a, struct mbi_ext b, struct mbi_ext r)
{
    return mbi_ext_add(a, mbi_ext_mul(r, mbi_ext_sub(b, a)));
}

/* What a layer's sum-check leaves: the numerators and denominators of two children. */
struct children {
    struct mbi_ext p[2], q[2];
};

/* p0 q1 + p1 q0 + lambda q0 q1 */
static struct mbi_ext joined(const struct children *c, struct mbi_ext lambda)
{
    const struct mbi_ext p = mbi_ext_add(c->p[0], mbi_ext_mul(lambda, c->q[0]));

    return mbi_ext_add(mbi_ext_mul(p, c->q[1]), mbi_ext_mul(c->p[1], c->q[0]));
}

/* h(s) for h of degree 2 with h(0) and these two coefficients. */
static struct mbi_ext parabola(struct mbi_ext h0, const struct mbi_ext h[2], struct mbi_ext s)
{
    return mbi_ext_add(h0, mbi_ext_mul(s, mbi_ext_add(h[0], mbi_ext_mul(s, h[1]))));
}

/* ---- the end ---- */

/* The sums over x < m of eq(r, x) and of x eq(r, x). */
struct below {
    struct mbi_ext one, index;
};

/* The sum over x < m of eq(r, x) (x + added) where r has n coordinates. */
static struct below sums_below(const struct mbi_ext *r, unsigned n, uint64_t m)
{
    struct mbi_ext mean[MBI_LOOKUP_BITS + 1]; /* of the bits from k on, with the weights of eq */
    struct mbi_ext prefix = mbi_ext_from(1);
    struct below sum = {{{0}}, {{0}}};

    mean[n] = mbi_ext_from(0);
    for (unsigned k = n; k-- > 0;)
        mean[k] = mbi_ext_add(mean[k + 1], mbi_ext_scale(r[k], (uint64_t)1 << (n - 1 - k)));
    if (m >> n)
        return (struct below){prefix, mean[0]};
    for (unsigned k = 0; k < n; k++) {
        const uint64_t bit = (uint64_t)1 << (n - 1 - k), before = m & ~(2 * bit - 1);
        const struct mbi_ext one = mbi_ext_mul(prefix, r[k]), zero = mbi_ext_sub(prefix, one);

        if (m & bit) { /* all x that agree with m before this bit and have 0 here */
            const struct mbi_ext index = mbi_ext_add(mbi_ext_from(before), mean[k + 1]);

            sum.one = mbi_ext_add(sum.one, zero);
            sum.index = mbi_ext_add(sum.index, mbi_ext_mul(zero, index));
        }
        prefix = m & bit ? one : zero;
    }
    return sum;
}

/* The sum over counts v of a class of eq(r, counts + v) (a - v), and that without a - v. */
static struct mbi_ext counts_at(struct mbi_ext *one, const struct mbi_lookup *l, unsigned k,
                                const struct mbi_ext *r, struct mbi_ext a)
{
    const struct below from = sums_below(r, l->bits, l->counts[k]);
    const struct below to = sums_below(r, l->bits, l->counts[k + 1]);
    const struct mbi_ext all = mbi_ext_sub(to.one, from.one);
    const struct mbi_ext index = mbi_ext_sub(to.index, from.index);

    *one = mbi_ext_add(*one, all);
    return mbi_ext_sub(mbi_ext_mul(mbi_ext_add(a, mbi_ext_from(l->counts[k])), all), index);
}

/* The claims about f from those about the leaves, p~ and q~ at end->point. */
static void finish(struct mbi_lookup_end *end, const struct mbi_lookup *l,
                   const struct challenge *c, struct mbi_ext p, struct mbi_ext q)
{
    struct mbi_ext sum = mbi_ext_from(0), limb = sum, count = sum;

    for (unsigned k = 0; k < l->n; k++) {
        const struct mbi_ext a = of_size(c, l->size[k]);
        struct mbi_ext here, before = limb;

        if (!counts_of(l, k))
            continue;
        limb = sums_below(end->point, l->bits, l->begin[k + 1]).one;
        here = mbi_ext_mul(a, mbi_ext_sub(limb, before));
        sum = mbi_ext_add(sum, mbi_ext_add(here, counts_at(&count, l, k, end->point, a)));
    }
    end->counts = mbi_ext_sub(limb, p);
    sum = mbi_ext_add(sum, mbi_ext_sub(mbi_ext_from(1), mbi_ext_add(limb, count)));
    end->limbs = mbi_ext_sub(sum, q);
}

static unsigned tile_log(const struct mbi_lookup *l)
{
    return l->bits < TILE_LOG ? l->bits : TILE_LOG;
}

/* The tree's first variables are the last ones of the vector's index. */
static void set_point(struct mbi_lookup_end *end, const struct mbi_lookup *l,
                      const struct mbi_ext *tree)
{
    const unsigned low = tile_log(l), high = l->bits - low;

    for (unsigned k = 0; k < l->bits; k++)
        end->point[k] = tree[k < high ? low + k : k - high];
}

/* ---- the verifier ---- */

/* A layer of k variables, at whose point p + lambda q is `claim`; its sum-check's point is put
 * behind the place of the variable that is drawn last. */
static bool verify_layer(struct children *end, struct mbi_ext *point, unsigned k,
                         struct mbi_ext claim, struct mbi_ext lambda, struct mbi_proof_reader *in)
{
    struct mbi_ext s[MBI_LOOKUP_BITS], h[2];

    for (unsigned i = 0; i < k; i++) {
        mbi_get_elements((mbi_fe *)h, 2 * MBI_EXT_D, in, "round");
        claim = mbi_ext_sub(claim, mbi_ext_mul(point[i], mbi_ext_add(h[0], h[1])));
        s[i] = draw(&in->transcript);
        claim = parabola(claim, h, s[i]);
    }
    mbi_get_elements((mbi_fe *)end, 4 * MBI_EXT_D, in, "values");
    for (unsigned i = 0; i < k; i++)
        point[i + 1] = s[i];
    if (!in->fault && !mbi_ext_equal(joined(end, lambda), claim))
        mbi_refuse(in, "a layer of the fractions does not fit its children");
    return !in->fault;
}

bool MBI_EXT(lookup_verify)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                            struct mbi_proof_reader *in)
{
    const char *fault = MBI_EXT(lookup_fault)(lookup);
    struct mbi_ext p = mbi_ext_from(0), q, tree[MBI_LOOKUP_BITS];
    struct challenge c;

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    c = draw_challenge(&in->transcript);
    mbi_get_elements(q.c, MBI_EXT_D, in, "product");
    if (mbi_ext_is_zero(q))
        mbi_refuse(in, "a denominator of the fractions is zero");
    for (unsigned k = 0; k < lookup->bits; k++) {
        const struct mbi_ext lambda = draw(&in->transcript);
        struct children v;

        if (!verify_layer(&v, tree, k, mbi_ext_add(p, mbi_ext_mul(lambda, q)), lambda, in))
            return false;
        tree[0] = draw(&in->transcript);
        p = between(v.p[0], v.p[1], tree[0]);
        q = between(v.q[0], v.q[1], tree[0]);
    }
    if (in->fault)
        return false;
    set_point(end, lookup, tree);
    finish(end, lookup, &c, p, q);
    return true;
}

/* ---- a hidden end ---- */

/* What is known of a fraction's p or q, and what is not: scale[i] times pad first + i, i < n. */
struct partly {
    struct mbi_ext known, scale[2];
    size_t first, n;
};

static void add_terms(struct mbi_hidden *h, const struct partly *x, struct mbi_ext scale)
{
    for (size_t i = 0; i < x->n; i++)
        MBI_EXT(hidden_term)(h, x->first + i, mbi_ext_mul(scale, x->scale[i]));
}

/* From points v of a line, of which v[0] has the pad `first`: between() of their values. */
static struct partly partly_between(const struct mbi_ext v[2], const struct mbi_line *line,
                                    size_t first, struct mbi_ext mu)
{
    const struct mbi_ext one = mbi_ext_mul(line->r, mu);
    const struct mbi_ext zero = mbi_ext_sub(line->r, one);

    return (struct partly){
        between(v[0], v[1], mu), {mbi_ext_neg(zero), mbi_ext_neg(one)}, first, 2};
}

/* The product q and its inverse: both are fixed before their line is, whose points are theirs, and
 * the product on it is 1 at 0. */
static struct partly read_product(struct mbi_hidden *h, struct mbi_proof_reader *in)
{
    const struct mbi_ext one = mbi_ext_from(1);
    const size_t sent = h->next;
    struct mbi_ext both[2], point[2], known;
    struct mbi_line line;
    size_t first;

    mbi_get_elements((mbi_fe *)both, 2 * MBI_EXT_D, in, "product");
    h->next += 2;
    first = h->n_terms;
    if (MBI_EXT(get_line)(&line, point, 2, 2, h, in)) {
        known = mbi_ext_sub(mbi_ext_add(one, line.sum), mbi_ext_mul(point[0], point[1]));
        MBI_EXT(hidden_zero)(h, first, known);
    }
    for (size_t i = 0; i < 2 && !in->fault; i++) {
        first = h->n_terms;
        MBI_EXT(hidden_term)(h, sent + i, mbi_ext_neg(one));
        MBI_EXT(hidden_term)(h, line.m + i, line.r);
        MBI_EXT(hidden_zero)(h, first, mbi_ext_sub(both[i], point[i]));
    }
    return (struct partly){both[0], {mbi_ext_neg(one)}, sent, 1};
}

/* As verify_layer(): the claim is p + lambda q, and every round adds to it. */
static bool read_layer(struct mbi_line *line, struct children *end, struct mbi_ext *point,
                       unsigned k, const struct partly *p, const struct partly *q,
                       struct mbi_hidden *hidden, struct mbi_proof_reader *in)
{
    const struct mbi_ext lambda = draw(&in->transcript);
    struct mbi_ext claim = mbi_ext_add(p->known, mbi_ext_mul(lambda, q->known));
    const size_t first = hidden->n_terms;
    struct mbi_ext s[MBI_LOOKUP_BITS], h[2], scale[2];

    add_terms(hidden, p, mbi_ext_from(1));
    add_terms(hidden, q, lambda);
    for (unsigned i = 0; i < k; i++) {
        mbi_get_elements((mbi_fe *)h, 2 * MBI_EXT_D, in, "round");
        s[i] = draw(&in->transcript);
        scale[0] = mbi_ext_sub(s[i], point[i]);
        scale[1] = mbi_ext_sub(mbi_ext_mul(s[i], s[i]), point[i]);
        claim = mbi_ext_add(claim, mbi_ext_mul(scale[0], h[0]));
        claim = mbi_ext_add(claim, mbi_ext_mul(scale[1], h[1]));
        MBI_EXT(hidden_pads)(hidden, scale, 2);
    }
    for (unsigned i = 0; i < k; i++)
        point[i + 1] = s[i];
    if (!MBI_EXT(get_line)(line, (struct mbi_ext *)end, 2, 4, hidden, in))
        return false;
    claim = mbi_ext_add(claim, line->sum);
    MBI_EXT(hidden_zero)(hidden, first, mbi_ext_sub(claim, joined(end, lambda)));
    return true;
}

/* A claim that has x with the factor -1 in it. */
static void set_end(struct mbi_affine *end, struct mbi_hidden *h, struct mbi_ext known,
                    const struct partly *x)
{
    const size_t first = h->n_terms;

    add_terms(h, x, mbi_ext_neg(mbi_ext_from(1)));
    *end = (struct mbi_affine){known, first, h->n_terms - first};
}

bool MBI_EXT(lookup_verify_hidden)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                                   struct mbi_hidden *hidden, struct mbi_proof_reader *in)
{
    const char *fault = MBI_EXT(lookup_fault)(lookup);
    struct partly p = {.n = 0}, q;
    struct mbi_ext tree[MBI_LOOKUP_BITS];
    struct challenge c;

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    c = draw_challenge(&in->transcript);
    q = read_product(hidden, in);
    for (unsigned k = 0; k < lookup->bits; k++) {
        struct mbi_line line;
        struct children v;

        if (!read_layer(&line, &v, tree, k, &p, &q, hidden, in))
            return false;
        tree[0] = draw(&in->transcript);
        p = partly_between(v.p, &line, line.m, tree[0]);
        q = partly_between(v.q, &line, line.m + 2, tree[0]);
    }
    if (hidden->failed)
        mbi_refuse(in, "there is not enough memory to check it");
    if (in->fault)
        return false;
    set_point(end, lookup, tree);
    finish(end, lookup, &c, p.known, q.known);
    set_end(&hidden->end[0], hidden, end->limbs, &q);
    set_end(&hidden->end[1], hidden, end->counts, &p);
    if (hidden->failed)
        mbi_refuse(in, "there is not enough memory to check it");
    return !in->fault;
}

/* ---- the prover: leaves ---- */

#define CHUNK ((size_t)256) /* entries that are worked on at a time, on the stack */
#define SLICES 64           /* of the tiles: units of work, whatever the number of threads */
#define LAST 3u /* variables of a tile that are left to all tiles together: a vector's */
#define RUNS (2 * MBI_LOOKUP_CLASSES + 2)

enum run_kind { LIMB, COUNT, NOTHING };

/* Leaves up to `end` of one kind: a limb is 1/(a - f(x)), the count of v is -f(x)/(a - v), and
 * nothing is 0/1. */
struct run {
    enum run_kind kind;
    uint64_t begin, end;
    struct mbi_ext a;
};

/*
 * The leaves are cut into tiles of 2^low, entries of the vector in their order, so that a tile has
 * its own small tree. Tiles beyond the last limb or count are not stored.
 */
struct prover {
    const struct mbi_lookup *lookup;
    struct mbi_table f;
    const struct mbi_field_kernels *k;
    const struct mbi_host *host;
    struct run run[RUNS];
    size_t n_runs;
    unsigned low, high;
    size_t tiles;                               /* stored */
    bool stored;                                /* the leaves are a layer too */
    struct mbi_ext *layer[MBI_LOOKUP_BITS + 1]; /* all p, then all q */
    struct mbi_ext *scratch, *weight, *tile_weight, *root;
};

static void add_run(struct prover *a, enum run_kind kind, uint64_t begin, uint64_t end,
                    struct mbi_ext value)
{
    if (begin < end)
        a->run[a->n_runs++] = (struct run){kind, begin, end, value};
}

static void set_runs(struct prover *a, const struct challenge *c)
{
    const struct mbi_lookup *l = a->lookup;
    const struct mbi_ext none = mbi_ext_from(0);

    a->n_runs = 0;
    for (unsigned k = 0; k < l->n; k++)
        add_run(a, LIMB, l->begin[k], l->begin[k + 1], of_size(c, l->size[k]));
    add_run(a, NOTHING, limbs(l), l->counts[0], none);
    for (unsigned k = 0; k < l->n; k++)
        add_run(a, COUNT, l->counts[k], l->counts[k + 1], of_size(c, l->size[k]));
    add_run(a, NOTHING, counts_end(l), (uint64_t)1 << l->bits, none);
}

static const struct run *run_at(const struct prover *a, size_t x)
{
    const struct run *run = a->run;

    while (run->end <= x)
        run++;
    return run;
}

static void load(mbi_fe *out, const struct mbi_table *table, size_t x, size_t n)
{
    const struct mbi_table t = *table; /* that no store to `out` can change */

    for (size_t i = 0; i < n; i++)
        out[i] = mbi_table_field(&t, x + i);
}

static void fill(struct mbi_ext *out, struct mbi_ext value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = value;
}

/* out[i] = from - f[i], n <= CHUNK */
static void subtract_from(struct mbi_ext *out, const struct prover *a, struct mbi_ext from,
                          const mbi_fe *f, size_t n)
{
    mbi_fe first[CHUNK] = {0};

    for (size_t i = 0; i < n; i++)
        first[i] = from.c[0];
    a->k->sub(first, first, f, n);
    for (size_t i = 0; i < n; i++) {
        from.c[0] = first[i];
        out[i] = from;
    }
}

/* n <= CHUNK leaves of one run. */
static void leaves_of_run(struct mbi_ext *p, struct mbi_ext *q, const struct prover *a,
                          const struct run *run, size_t x, size_t n)
{
    mbi_fe f[CHUNK], v[CHUNK];

    if (run->kind == NOTHING) {
        fill(p, mbi_ext_from(0), n);
        fill(q, mbi_ext_from(1), n);
        return;
    }
    load(f, &a->f, x, n);
    if (run->kind == LIMB) {
        fill(p, mbi_ext_from(1), n);
        subtract_from(q, a, run->a, f, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = x + i - run->begin;
    subtract_from(p, a, mbi_ext_from(0), f, n);
    subtract_from(q, a, run->a, v, n);
}

/* n <= CHUNK leaves from x on. */
static void leaves(struct mbi_ext *p, struct mbi_ext *q, const struct prover *a, size_t x, size_t n)
{
    while (n) {
        const struct run *run = run_at(a, x);
        const size_t part = mbi_min_size(n, (size_t)(run->end - x));

        leaves_of_run(p, q, a, run, x, part);
        p += part;
        q += part;
        x += part;
        n -= part;
    }
}

/* Entries of the vector of which all are limbs of one class: q is b - f. */
struct piece {
    struct mbi_ext b;
    mbi_fe f[CHUNK];
};

/* False if they are not. */
static bool get_piece(struct piece *l, const struct prover *a, size_t x, size_t n)
{
    const struct run *run = run_at(a, x);

    if (run->kind != LIMB || run->end < x + n)
        return false;
    l->b = run->a;
    load(l->f, &a->f, x, n);
    return true;
}

/* ---- the tree ---- */

/* Entries of a layer of m variables that are stored; one per tile and above, all of them. */
static size_t layer_size(const struct prover *a, unsigned m)
{
    return m > a->high ? a->tiles << (m - a->high) : (size_t)1 << m;
}

static void add(const struct prover *a, struct mbi_ext *out, const struct mbi_ext *x,
                const struct mbi_ext *y, size_t n)
{
    a->k->add((mbi_fe *)out, (const mbi_fe *)x, (const mbi_fe *)y, n * MBI_EXT_D);
}

static void sub(const struct prover *a, struct mbi_ext *out, const struct mbi_ext *x,
                const struct mbi_ext *y, size_t n)
{
    a->k->sub((mbi_fe *)out, (const mbi_fe *)x, (const mbi_fe *)y, n * MBI_EXT_D);
}

/* out = a0 b1 + a1 b0, n <= CHUNK */
static void cross(const struct prover *a, struct mbi_ext *out, const struct mbi_ext *a0,
                  const struct mbi_ext *b1, const struct mbi_ext *a1, const struct mbi_ext *b0,
                  size_t n)
{
    struct mbi_ext other[CHUNK];

    mbi_ext_mul_array(a->k, out, a0, b1, n);
    mbi_ext_mul_array(a->k, other, a1, b0, n);
    add(a, out, out, other, n);
}

/* Sums of fractions: (p, q)[i] of (p0, q0)[i] and (p1, q1)[i]. */
static void combine(const struct prover *a, struct mbi_ext *p, struct mbi_ext *q,
                    const struct mbi_ext *p0, const struct mbi_ext *q0, const struct mbi_ext *p1,
                    const struct mbi_ext *q1, size_t n)
{
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t part = mbi_min_size(CHUNK, n - i);

        cross(a, p + i, p0 + i, q1 + i, p1 + i, q0 + i, part);
        mbi_ext_mul_array(a->k, q + i, q0 + i, q1 + i, part);
    }
}

/* The sums of n <= CHUNK pairs of leaves. */
static void combine_chunk(const struct prover *a, struct mbi_ext *p, struct mbi_ext *q, size_t x0,
                          size_t x1, size_t n)
{
    struct mbi_ext p0[CHUNK], q0[CHUNK], p1[CHUNK], q1[CHUNK];
    struct piece l0, l1;

    if (get_piece(&l0, a, x0, n) && get_piece(&l1, a, x1, n)) { /* p0 = p1 = 1 */
        subtract_from(q0, a, l0.b, l0.f, n);
        subtract_from(q1, a, l1.b, l1.f, n);
        add(a, p, q0, q1, n);
        mbi_ext_mul_array(a->k, q, q0, q1, n);
        return;
    }
    leaves(p0, q0, a, x0, n);
    leaves(p1, q1, a, x1, n);
    combine(a, p, q, p0, q0, p1, q1, n);
}

/* The first layer of a tile whose leaves are not stored. */
static void combine_leaves(const struct prover *a, struct mbi_ext *p, struct mbi_ext *q,
                           size_t tile)
{
    const size_t half = (size_t)1 << (a->low - 1), x = tile << a->low;

    for (size_t i = 0; i < half; i += CHUNK)
        combine_chunk(a, p + i, q + i, x + i, x + half + i, CHUNK);
}

/* The entries of a tile in a layer of m > high variables, or the one in that of high variables. */
static struct mbi_ext *numerators(const struct prover *a, unsigned m, size_t tile)
{
    return a->layer[m] + (tile << (m - a->high));
}

static void tile_tree(const struct prover *a, size_t tile)
{
    const unsigned top = a->lookup->bits;

    for (unsigned m = top; m-- > a->high;) {
        const size_t half = (size_t)1 << (m - a->high), above = layer_size(a, m + 1);
        struct mbi_ext *p = numerators(a, m, tile), *q = p + layer_size(a, m);
        const struct mbi_ext *from;

        if (m + 1 == top && !a->stored) {
            combine_leaves(a, p, q, tile);
            continue;
        }
        from = numerators(a, m + 1, tile);
        combine(a, p, q, from, from + above, from + half, from + above + half, half);
    }
}

static void tile_trees(void *arg, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        tile_tree(arg, begin);
}

static void build(struct prover *a)
{
    const size_t all = (size_t)1 << a->high;

    if (a->stored)
        for (size_t x = 0, n = (size_t)1 << a->lookup->bits; x < n; x += CHUNK)
            leaves(a->layer[a->low] + x, a->layer[a->low] + n + x, a, x,
                   mbi_min_size(CHUNK, n - x));
    mbi_parallel_for(a->host, a->tiles, 1, tile_trees, a);
    fill(a->layer[a->high] + a->tiles, mbi_ext_from(0), all - a->tiles);
    fill(a->layer[a->high] + all + a->tiles, mbi_ext_from(1), all - a->tiles);
    for (unsigned m = a->high; m-- > 0;) {
        const size_t half = (size_t)1 << m;
        const struct mbi_ext *p = a->layer[m + 1], *q = p + 2 * half;

        combine(a, a->layer[m], a->layer[m] + half, p, q, p + half, q + half, half);
    }
}

/* ---- the sum-check of a layer ----
 *
 * With u = p + lambda/2 q, the layer's sum is over u0 q1 + u1 q0. In a tile of limbs alone, where
 * p = 1, it is over lambda q0 q1 - 1/lambda with 1/lambda added to each q, and u is not needed.
 */

/* Row b of tile i begins at entry (2 i + b) width of u and of q; u = NULL: leaves of the vector. */
struct sheet {
    struct mbi_ext *u, *q;
    size_t width;
};

struct sums {
    struct mbi_ext u[2], plain[2]; /* the values at 0, and the coefficients of X^2 */
};

/* One round's pass over the tiles: fold by the last challenge, then sum. */
struct pass {
    const struct prover *a;
    struct mbi_ext lambda, half, inverse; /* lambda/2, 1/lambda */
    size_t tiles, plain;                  /* so many of the first tiles are limbs alone */
    const struct mbi_ext *tile_weight;    /* NULL: 1 */
    struct sheet from, to;
    bool join, fold, sum; /* make u of p; from -> to; sum */
    struct mbi_ext r;
    const struct mbi_ext *weight; /* of the pairs of a row: width / 2 */
    struct sums partial[SLICES];
};

/* n <= CHUNK entries of both rows of a tile. */
struct view {
    const struct mbi_ext *u[2], *q[2];
};

struct view_room {
    struct mbi_ext u[2][CHUNK], q[2][CHUNK];
};

static size_t place(const struct sheet *sheet, size_t tile, int row, size_t at)
{
    return (2 * tile + (size_t)row) * sheet->width + at;
}

static void view(struct view *v, struct view_room *room, const struct pass *s,
                 const struct sheet *sheet, size_t tile, size_t at, size_t n)
{
    for (int row = 0; row < 2; row++) {
        const size_t x = place(sheet, tile, row, at);

        if (sheet->u) {
            v->u[row] = sheet->u + x;
            v->q[row] = sheet->q + x;
            continue;
        }
        leaves(room->u[row], room->q[row], s->a, x, n);
        if (tile >= s->plain)
            mbi_ext_mul_add(s->a->k, room->u[row], room->q[row], s->half, n);
        else
            for (size_t i = 0; i < n; i++)
                room->q[row][i] = mbi_ext_add(room->q[row][i], s->inverse);
        v->u[row] = room->u[row];
        v->q[row] = room->q[row];
    }
}

/* A row of limbs of one class each, low and high: a fold of q, with 1/lambda added. */
static bool fold_piece(struct mbi_ext *out, const struct pass *s, size_t low, size_t high, size_t n)
{
    struct mbi_ext b[CHUNK], f[CHUNK];
    struct piece l, h;

    if (!get_piece(&l, s->a, low, n) || !get_piece(&h, s->a, high, n))
        return false;
    fill(b, mbi_ext_add(between(l.b, h.b, s->r), s->inverse), n);
    mbi_ext_fold_base(s->a->k, f, l.f, h.f, s->r, n);
    sub(s->a, out, b, f, n);
    return true;
}

static bool fold_leaves(const struct pass *s, size_t tile, size_t at, size_t n)
{
    for (int row = 0; row < 2; row++) {
        const size_t x = place(&s->from, tile, row, at);

        if (!fold_piece(s->to.q + place(&s->to, tile, row, at), s, x, x + s->to.width, n))
            return false;
    }
    return true;
}

static void fold_chunk(const struct pass *s, size_t tile, size_t at, size_t n)
{
    const struct mbi_field_kernels *k = s->a->k;
    struct view_room room[2];
    struct view low, high;

    if (!s->from.u && tile < s->plain && fold_leaves(s, tile, at, n))
        return;
    view(&low, &room[0], s, &s->from, tile, at, n);
    view(&high, &room[1], s, &s->from, tile, at + s->to.width, n);
    for (int row = 0; row < 2; row++) {
        const size_t x = place(&s->to, tile, row, at);

        mbi_ext_fold(k, s->to.q + x, low.q[row], high.q[row], s->r, n);
        if (tile >= s->plain)
            mbi_ext_fold(k, s->to.u + x, low.u[row], high.u[row], s->r, n);
    }
}

/* The sum of weight (b0 - f0)(b1 - f1), where all weights together are `all`. */
static struct mbi_ext sum_pieces(const struct prover *a, const struct piece l[2],
                                 const struct mbi_ext *w, struct mbi_ext all, size_t n)
{
    struct mbi_ext sum, f0, f1;
    mbi_fe both[CHUNK];

    a->k->mul(both, l[0].f, l[1].f, n);
    sum = mbi_ext_dot_base(a->k, w, both, n);
    if (mbi_ext_is_zero(l[0].b) && mbi_ext_is_zero(l[1].b))
        return sum;
    f0 = mbi_ext_dot_base(a->k, w, l[0].f, n);
    f1 = mbi_ext_dot_base(a->k, w, l[1].f, n);
    all = mbi_ext_sub(mbi_ext_mul(all, l[0].b), f0); /* of b0 - f0 */
    sum = mbi_ext_add(sum, mbi_ext_mul(l[1].b, all));
    return mbi_ext_sub(sum, mbi_ext_mul(l[0].b, f1));
}

/* sum_chunk() of leaves, if each of the four pieces is of limbs of one class. */
static bool sum_leaves(struct mbi_ext sum[2], const struct pass *s, size_t tile, size_t at,
                       size_t n)
{
    const struct mbi_ext *w = s->weight + at;
    struct mbi_ext all = mbi_ext_from(0);
    struct piece low[2], high[2];

    for (int row = 0; row < 2; row++) {
        const size_t x = place(&s->from, tile, row, at);

        if (!get_piece(&low[row], s->a, x, n) ||
            !get_piece(&high[row], s->a, x + s->from.width / 2, n))
            return false;
        high[row].b = mbi_ext_sub(high[row].b, low[row].b);
        s->a->k->sub(high[row].f, high[row].f, low[row].f, n);
        low[row].b = mbi_ext_add(low[row].b, s->inverse);
    }
    for (size_t i = 0; i < n; i++)
        all = mbi_ext_add(all, w[i]);
    sum[0] = mbi_ext_add(sum[0], sum_pieces(s->a, low, w, all, n));
    sum[1] = mbi_ext_add(sum[1], sum_pieces(s->a, high, w, all, n));
    return true;
}

/* The part of n pairs: sums of weight g(0), and of weight times the coefficient of X^2 of g. */
static void sum_chunk(struct mbi_ext sum[2], const struct pass *s, const struct sheet *sheet,
                      size_t tile, size_t at, size_t n)
{
    const struct prover *a = s->a;
    const struct mbi_ext *w = s->weight + at;
    struct mbi_ext u[2][CHUNK], q[2][CHUNK], g[CHUNK];
    const bool plain = tile < s->plain;
    struct view_room room[2];
    struct view low, high;

    if (!sheet->u && plain && sum_leaves(sum, s, tile, at, n))
        return;
    view(&low, &room[0], s, sheet, tile, at, n);
    view(&high, &room[1], s, sheet, tile, at + sheet->width / 2, n);
    if (plain)
        mbi_ext_mul_array(a->k, g, low.q[0], low.q[1], n);
    else
        cross(a, g, low.u[0], low.q[1], low.u[1], low.q[0], n);
    sum[0] = mbi_ext_add(sum[0], mbi_ext_dot(a->k, g, w, n));
    for (int row = 0; row < 2; row++) {
        sub(a, q[row], high.q[row], low.q[row], n);
        if (!plain)
            sub(a, u[row], high.u[row], low.u[row], n);
    }
    if (plain)
        mbi_ext_mul_array(a->k, g, q[0], q[1], n);
    else
        cross(a, g, u[0], q[1], u[1], q[0], n);
    sum[1] = mbi_ext_add(sum[1], mbi_ext_dot(a->k, g, w, n));
}

static void join_chunk(const struct pass *s, size_t tile, size_t at, size_t n)
{
    for (int row = 0; row < 2; row++) {
        const size_t x = place(&s->from, tile, row, at);

        mbi_ext_mul_add(s->a->k, s->from.u + x, s->from.q + x, s->half, n);
    }
}

/* Entries of a row that a pass goes through: with sums, each with the one half a row behind it. */
static size_t span_of(const struct pass *s)
{
    const size_t width = s->fold ? s->to.width : s->from.width;

    return s->sum ? width / 2 : width;
}

static void pass_chunk(const struct pass *s, struct sums *sums, size_t tile, size_t at)
{
    const struct sheet *sheet = s->fold ? &s->to : &s->from;
    const size_t span = span_of(s), n = mbi_min_size(CHUNK, span - at);
    struct mbi_ext sum[2] = {{{0}}, {{0}}}, *total = tile < s->plain ? sums->plain : sums->u;

    for (size_t i = at; i < sheet->width; i += span) {
        if (s->join)
            join_chunk(s, tile, i, n);
        if (s->fold)
            fold_chunk(s, tile, i, n);
    }
    if (!s->sum)
        return;
    sum_chunk(sum, s, sheet, tile, at, n);
    for (int i = 0; i < 2; i++) {
        if (s->tile_weight)
            sum[i] = mbi_ext_mul(sum[i], s->tile_weight[tile]);
        total[i] = mbi_ext_add(total[i], sum[i]);
    }
}

/* Chunks of a row, for which every tile is cut. */
static size_t chunks_of(const struct pass *s) { return (span_of(s) + CHUNK - 1) / CHUNK; }

static void pass_slices(void *arg, size_t begin, size_t end)
{
    struct pass *s = arg;
    const size_t chunks = chunks_of(s), all = s->tiles * chunks;

    for (; begin < end; begin++) {
        s->partial[begin] = (struct sums){{{{0}}}, {{{0}}}};
        for (size_t i = all * begin / SLICES; i < all * (begin + 1) / SLICES; i++)
            pass_chunk(s, &s->partial[begin], i / chunks, i % chunks * CHUNK);
    }
}

static struct sums pass(struct pass *s)
{
    struct sums all = {{{{0}}}, {{{0}}}};

    if (s->tiles * span_of(s) < 4 * CHUNK) /* threads do not pay */
        pass_slices(s, 0, SLICES);
    else
        mbi_parallel_for(s->a->host, SLICES, 1, pass_slices, s);
    for (size_t i = 0; i < SLICES; i++)
        for (int k = 0; k < 2; k++) {
            all.u[k] = mbi_ext_add(all.u[k], s->partial[i].u[k]);
            all.plain[k] = mbi_ext_add(all.plain[k], s->partial[i].plain[k]);
        }
    return all;
}

/* What a layer's rounds share. */
struct layer {
    struct pass pass;
    const struct mbi_ext *z; /* the point of the layer's claim; those of its variables to come */
    struct mbi_ext *s;       /* the point of its sum-check, so far */
    struct mbi_ext claim;
    struct mbi_ext plain_weight, beyond; /* of the tiles of limbs alone, and of those not stored */
};

/* The coefficients of X and X^2 of the round's polynomial h, for which (1 - z) h(0) + z h(1) is the
 * claim. A z or lambda of 0, which has the probability 1/|E|, gives a proof that is refused. */
static void put_round(struct layer *l, const struct sums *sums, struct mbi_proof_writer *out)
{
    const struct pass *s = &l->pass;
    struct mbi_ext h[2], h0;

    h0 = mbi_ext_add(sums->u[0], mbi_ext_mul(s->lambda, mbi_ext_add(sums->plain[0], l->beyond)));
    h0 = mbi_ext_sub(h0, mbi_ext_mul(s->inverse, l->plain_weight));
    h[1] = mbi_ext_add(sums->u[1], mbi_ext_mul(s->lambda, sums->plain[1]));
    h[0] = mbi_ext_mul(mbi_ext_sub(l->claim, h0), mbi_ext_inv(*l->z++));
    h[0] = mbi_ext_sub(h[0], h[1]);
    MBI_EXT(put_padded)(out, "round", h, 2);
    *l->s = draw(&out->transcript);
    l->claim = parabola(h0, h, *l->s++);
}

/* The weights of one variable less: eq is summed over its first one. */
static void halve_weights(const struct prover *a, size_t n)
{
    add(a, a->weight, a->weight, a->weight + n, n);
}

/*
 * The first rounds of the n variables within a row. A fold halves a sheet and goes to room[0], the
 * next one to room[1], where the first sheet may be, and so on.
 */
static void run_rounds(struct layer *l, unsigned n, unsigned rounds, struct mbi_ext *const room[2],
                       struct mbi_proof_writer *out)
{
    struct pass *s = &l->pass;
    const size_t size = 2 * s->tiles * s->from.width;
    const struct prover *a = s->a;

    if (n)
        MBI_EXT(eq_table)(a->weight, l->z + 1, n - 1, mbi_ext_from(1));
    s->weight = a->weight;
    for (unsigned i = 0; i <= rounds; i++) {
        struct sums sums;

        s->fold = i > 0;
        s->sum = i < rounds;
        if (s->fold) {
            struct mbi_ext *to = room[(i - 1) % 2];

            s->to = (struct sheet){to, to + (size >> i), s->from.width / 2};
            s->r = l->s[-1];
        }
        sums = pass(s);
        s->join = false;
        if (s->fold)
            s->from = s->to;
        if (s->sum) {
            put_round(l, &sums, out);
            halve_weights(a, (size_t)1 << (n - 1 - i) >> 1);
        }
    }
}

/* Entry i of row b of a tile, as u and q; a tile that is not stored is 0/1. */
static void entry(struct mbi_ext *u, struct mbi_ext *q, const struct pass *s, size_t tile, int row,
                  size_t i)
{
    const size_t x = place(&s->from, tile, row, i);

    if (tile < s->plain) {
        *q = mbi_ext_sub(s->from.q[x], s->inverse);
        *u = mbi_ext_add(mbi_ext_from(1), mbi_ext_mul(s->half, *q));
    } else if (tile < s->tiles) {
        *q = s->from.q[x];
        *u = s->from.u[x];
    } else {
        *q = mbi_ext_from(1);
        *u = s->half;
    }
}

/* All tiles become one, which has the tiles' entry 0 first, then their entry 1, and so on. */
static void gather(struct layer *l, unsigned high)
{
    struct pass *s = &l->pass;
    const size_t all = (size_t)1 << high, width = s->from.width;
    const struct sheet to = {s->a->root, s->a->root + 2 * width * all, width * all};

    for (int row = 0; row < 2; row++)
        for (size_t i = 0; i < width; i++)
            for (size_t tile = 0; tile < all; tile++) {
                const size_t x = place(&to, 0, row, i * all + tile);

                entry(&to.u[x], &to.q[x], s, tile, row, i);
            }
    s->from = to;
    s->tiles = 1;
    s->plain = 0;
    s->tile_weight = NULL;
    l->plain_weight = l->beyond = mbi_ext_from(0);
}

/* The weights of tiles, of those of limbs alone and of those not stored. */
static void weigh_tiles(struct layer *l, const struct mbi_ext *z, unsigned high)
{
    struct pass *s = &l->pass;
    struct mbi_ext *w = s->a->tile_weight;

    MBI_EXT(eq_table)(w, z, high, mbi_ext_from(1));
    s->tile_weight = w;
    for (size_t i = 0; i < s->plain; i++)
        l->plain_weight = mbi_ext_add(l->plain_weight, w[i]);
    for (size_t i = s->tiles; i < (size_t)1 << high; i++)
        l->beyond = mbi_ext_add(l->beyond, w[i]);
}

/* The sheet of a layer of k variables: its children, in the layer below it or leaves that are not
 * stored. */
static void start_layer(struct layer *l, const struct prover *a, unsigned k, unsigned low,
                        struct mbi_ext lambda)
{
    struct pass *s = &l->pass;

    *s = (struct pass){.a = a, .lambda = lambda, .inverse = mbi_ext_inv(lambda)};
    s->half = mbi_ext_scale(lambda, (MBI_FIELD_P + 1) / 2);
    s->tiles = k + 1 > a->high ? a->tiles : 1;
    s->from.width = (size_t)1 << low;
    if (a->layer[k + 1]) {
        s->from.u = a->layer[k + 1];
        s->from.q = a->layer[k + 1] + layer_size(a, k + 1);
        s->join = true;
    } else {
        s->plain = (size_t)(limbs(a->lookup) >> a->low);
    }
}

/* On a line, where joined() is a parabola: its last coefficient is joined() of the pads. */
static void put_children(const struct children *end, struct mbi_ext lambda,
                         struct mbi_proof_writer *out)
{
    struct mbi_ext m[4], h[3];
    struct children pads, both;

    for (size_t i = 0; i < 4; i++)
        m[i] = MBI_EXT(pad_ahead)(out->pads, 2 + i);
    pads = (struct children){{m[0], m[1]}, {m[2], m[3]}};
    for (int i = 0; i < 2; i++) {
        both.p[i] = mbi_ext_add(end->p[i], pads.p[i]);
        both.q[i] = mbi_ext_add(end->q[i], pads.q[i]);
    }
    h[0] = joined(end, lambda);
    h[2] = joined(&pads, lambda);
    h[1] = mbi_ext_sub(joined(&both, lambda), mbi_ext_add(h[0], h[2]));
    MBI_EXT(put_line)(out, h, 2, (const struct mbi_ext *)end, 4);
}

/* The product of all denominators; if it is hidden with its inverse, and a line of both. */
static void put_product(struct mbi_ext q, struct mbi_proof_writer *out)
{
    const struct mbi_ext u[2] = {q, mbi_ext_inv(q)};
    struct mbi_ext m[2], h[3];

    if (!out->pads) {
        mbi_put_elements(out, "product", q.c, MBI_EXT_D);
        return;
    }
    MBI_EXT(put_padded)(out, "product", u, 2);
    for (size_t i = 0; i < 2; i++)
        m[i] = MBI_EXT(pad_ahead)(out->pads, 2 + i);
    h[1] = mbi_ext_add(mbi_ext_mul(u[0], m[1]), mbi_ext_mul(u[1], m[0]));
    h[2] = mbi_ext_mul(m[0], m[1]);
    MBI_EXT(put_line)(out, h, 2, u, 2);
}

/* The sum-check of a layer of k variables. Where the children are not stored, the memory of the
 * layer itself, which is needed no longer, is taken. */
static void prove_layer(struct children *end, struct prover *a, struct mbi_ext *point, unsigned k,
                        struct mbi_ext claim, struct mbi_ext lambda, struct mbi_proof_writer *out)
{
    const unsigned high = k + 1 > a->high ? a->high : 0, low = k - high;
    const unsigned last = low < LAST ? low : LAST;
    struct mbi_ext *const children_room[2] = {a->scratch, a->layer[k + 1]};
    struct mbi_ext *const leaves_room[2] = {a->layer[k], a->scratch};
    struct mbi_ext *const root_room[2] = {a->scratch, a->root};
    struct mbi_ext s[MBI_LOOKUP_BITS];
    struct layer l = {.z = point, .s = s, .claim = claim};

    start_layer(&l, a, k, low, lambda);
    weigh_tiles(&l, point + low, high);
    run_rounds(&l, low, low - last, a->layer[k + 1] ? children_room : leaves_room, out);
    gather(&l, high);
    run_rounds(&l, last + high, last + high, root_room, out);
    for (int row = 0; row < 2; row++) {
        end->q[row] = l.pass.from.q[row];
        end->p[row] = mbi_ext_sub(l.pass.from.u[row], mbi_ext_mul(l.pass.half, end->q[row]));
    }
    if (out->pads)
        put_children(end, lambda, out);
    else
        mbi_put_elements(out, "values", (const mbi_fe *)end, 4 * MBI_EXT_D);
    for (unsigned i = 0; i < k; i++)
        point[i + 1] = s[i];
}

/* ---- the whole proof ---- */

static void free_all(struct prover *a)
{
    for (unsigned m = 0; m <= MBI_LOOKUP_BITS; m++)
        mbi_free_aligned(a->host, a->layer[m]);
    mbi_free_aligned(a->host, a->scratch);
    mbi_free_aligned(a->host, a->weight);
}

static bool take(struct mbi_ext **out, const struct prover *a, size_t n)
{
    size_t size;

    *out = mbi_mul_size(&size, n, sizeof(**out)) ? mbi_alloc_huge(a->host, size) : NULL;
    return *out;
}

/* The layers, 2^27 fractions at most in one, and room for half of the longest. */
static bool allocate(struct prover *a)
{
    const unsigned layers = a->lookup->bits + a->stored;
    const size_t tiles = (size_t)1 << a->high, root = tiles << LAST; /* a row of it */
    const size_t half = layer_size(a, layers - 1), tile = (size_t)1 << a->low;
    const size_t weights = tile > root ? tile : root;

    for (unsigned m = 0; m < layers; m++)
        if (!take(&a->layer[m], a, 2 * layer_size(a, m)))
            return false;
    if (!take(&a->scratch, a, half > 2 * root ? half : 2 * root) ||
        !take(&a->weight, a, weights + tiles + 4 * root))
        return false;
    a->tile_weight = a->weight + weights;
    a->root = a->tile_weight + tiles;
    return true;
}

static void prove(struct mbi_lookup_end *end, struct prover *a, struct mbi_proof_writer *out)
{
    struct mbi_ext p = mbi_ext_from(0), q, tree[MBI_LOOKUP_BITS];
    const struct challenge c = draw_challenge(&out->transcript);
    struct children v;

    set_runs(a, &c);
    build(a);
    q = a->layer[0][1];
    put_product(q, out);
    for (unsigned k = 0; k < a->lookup->bits; k++) {
        const struct mbi_ext lambda = draw(&out->transcript);

        prove_layer(&v, a, tree, k, mbi_ext_add(p, mbi_ext_mul(lambda, q)), lambda, out);
        tree[0] = draw(&out->transcript);
        p = between(v.p[0], v.p[1], tree[0]);
        q = between(v.q[0], v.q[1], tree[0]);
        mbi_free_aligned(a->host, a->layer[k]);
        a->layer[k] = NULL;
    }
    set_point(end, a->lookup, tree);
    finish(end, a->lookup, &c, p, q);
}

int32_t MBI_EXT(lookup_prove)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                              const struct mbi_table *f, struct mbi_proof_writer *out,
                              const struct mbi_host *host, const struct mbi_field_kernels *kernels,
                              mambaint_error *err)
{
    const char *fault = MBI_EXT(lookup_fault)(lookup);
    struct prover a = {.lookup = lookup, .f = *f, .k = kernels, .host = host};
    int32_t rc = MAMBAINT_OK;
    uint64_t used;

    if (!fault && f->type == MBI_TABLE_EXT)
        fault = "its vector is not over F";
    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a lookup was planned wrongly: %s", fault);
    used = counts_end(lookup);
    a.low = tile_log(lookup);
    a.high = lookup->bits - a.low;
    a.stored = lookup->bits < TILE_LOG;
    used = counts_end(lookup);
    a.tiles = used ? (size_t)((used - 1) >> a.low) + 1 : 1;
    if (allocate(&a))
        prove(end, &a, out);
    else
        rc = mbi_fail_memory(err, "the fractions of a lookup");
    free_all(&a);
    return rc;
}
#endif

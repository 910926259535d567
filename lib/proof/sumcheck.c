/* SPDX-License-Identifier: Apache-2.0 */
/* Sum-check for batches of weighted sums of products, prover and verifier. */
#include "proof/sumcheck.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define POINTS (MBI_SUM_DEGREE + 1) /* that fix a round's polynomial */

/* ---- what both sides do ---- */

/* Of the polynomial that a round sends: of w P, the largest of the batch. */
static unsigned degree_of(const struct mbi_sum_batch *batch)
{
    unsigned degree = 0;

    for (size_t k = 0; k < batch->n_sums; k++)
        for (size_t i = 0; i < batch->sum[k].n_terms; i++)
            if (batch->sum[k].term[i].degree > degree)
                degree = batch->sum[k].term[i].degree;
    return degree + 1;
}

static const char *sum_fault(const struct mbi_sum *s, const struct mbi_sum_batch *batch)
{
    if (s->n_tables > MBI_SUM_TABLES)
        return "a sum has too many tables";
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->table[i] >= batch->n_tables)
            return "a sum names a table that is not there";
    for (size_t i = 0; i < s->n_terms; i++) {
        if (s->term[i].degree >= MBI_SUM_DEGREE)
            return "a term has too many factors";
        for (unsigned k = 0; k < s->term[i].degree; k++)
            if (s->term[i].factor[k] >= s->n_tables)
                return "a term names a table that is not there";
    }
    for (size_t i = 0; i < s->n_weights; i++) {
        const char *fault = MBI_EXT(form_fault)(&s->weight[i]);

        if (fault || s->weight[i].bits != batch->bits)
            return fault ? fault : "a weight has the bits of another sum";
    }
    return NULL;
}

const char *MBI_EXT(sum_fault)(const struct mbi_sum_batch *batch)
{
    const char *fault = batch->bits > MBI_MAX_BITS ? "a sum has too many bits" : NULL;

    for (size_t k = 0; k < batch->n_sums && !fault; k++)
        fault = sum_fault(&batch->sum[k], batch);
    return fault;
}

size_t MBI_EXT(sum_size)(const struct mbi_sum_batch *batch)
{
    return MBI_EXT_D * ((size_t)batch->bits * degree_of(batch) + batch->n_tables);
}

static struct mbi_ext draw(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

static void absorb_claim(struct mbi_transcript *t, const struct mbi_ext *claim)
{
    uint8_t bytes[MBI_EXT_D * 8];

    for (int k = 0; k < MBI_EXT_D; k++)
        mbi_store64(bytes + 8 * k, claim->c[k]);
    mbi_transcript_absorb(t, "claim", bytes, sizeof(bytes));
}

/* Absorbs the claims, draws *join and returns the sum of join^k claim_k. */
static struct mbi_ext join_claims(struct mbi_ext *join, struct mbi_transcript *t,
                                  const struct mbi_sum_batch *batch)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t k = 0; k < batch->n_sums; k++)
        absorb_claim(t, &batch->sum[k].claim);
    *join = draw(t);
    for (size_t k = batch->n_sums; k-- > 0;)
        sum = mbi_ext_add(mbi_ext_mul(sum, *join), batch->sum[k].claim);
    return sum;
}

/* inverse[k] = 1/k for 0 < k < POINTS: p = k (p div k) + p mod k is 0, and p mod k is not */
static void set_inverses(mbi_fe inverse[POINTS])
{
    inverse[0] = 0;
    inverse[1] = 1;
    for (unsigned k = 2; k < POINTS; k++)
        inverse[k] = mbi_fe_mul(mbi_fe_neg(MBI_FIELD_P / k), inverse[MBI_FIELD_P % k]);
}

/*
 * The polynomial of this degree with the values q[0], ..., q[degree] at 0, ..., degree, at r:
 * d_0 + r (d_1 + (r - 1)/2 (d_2 + (r - 2)/3 (...))) with the differences d_k of order k at 0.
 */
static struct mbi_ext interpolate(const struct mbi_ext *q, unsigned degree, struct mbi_ext r,
                                  const mbi_fe inverse[POINTS])
{
    struct mbi_ext d[POINTS], sum;

    for (unsigned k = 0; k <= degree; k++)
        d[k] = q[k];
    for (unsigned order = 1; order <= degree; order++)
        for (unsigned k = degree; k >= order; k--)
            d[k] = mbi_ext_sub(d[k], d[k - 1]);
    sum = d[degree];
    for (unsigned k = degree; k-- > 0;) {
        const struct mbi_ext step = mbi_ext_sub(r, mbi_ext_from(k));

        sum = mbi_ext_add(d[k], mbi_ext_mul(mbi_ext_scale(step, inverse[k + 1]), sum));
    }
    return sum;
}

/* The number of first factors of term i of a sum that are the whole term before it. */
static inline unsigned shared_factors(const struct mbi_sum_term *term, size_t i)
{
    const unsigned n = i ? term[i - 1].degree : 0;

    if (n > term[i].degree)
        return 0;
    for (unsigned k = 0; k < n; k++)
        if (term[i].factor[k] != term[i - 1].factor[k])
            return 0;
    return n;
}

/* P at the values g of a sum's own tables. A term that goes on where the last one ended costs only
 * what it adds. */
static inline struct mbi_ext polynomial(const struct mbi_sum *s, const struct mbi_ext *g)
{
    struct mbi_ext sum = mbi_ext_from(0), product = mbi_ext_from(1);

    for (size_t i = 0; i < s->n_terms; i++) {
        const struct mbi_sum_term *t = &s->term[i];
        unsigned k = shared_factors(s->term, i);

        if (!k)
            product = t->degree ? g[t->factor[k++]] : mbi_ext_from(1);
        for (; k < t->degree; k++)
            product = mbi_ext_mul(product, g[t->factor[k]]);
        sum = mbi_ext_add(sum, t->c == 1 ? product : mbi_ext_scale(product, t->c));
    }
    return sum;
}

/* ---- the verifier ---- */

static struct mbi_ext weight_at(const struct mbi_sum *s, const struct mbi_ext *point)
{
    struct mbi_ext w = mbi_ext_from(0);

    for (size_t i = 0; i < s->n_weights; i++)
        w = mbi_ext_add(w, MBI_EXT(form_at)(&s->weight[i], point));
    return w;
}

/* The sum of join^k w_k P_k at the point. */
static struct mbi_ext end_value(const struct mbi_sum_batch *batch, struct mbi_ext join,
                                const struct mbi_ext *point, const struct mbi_ext *value)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t k = batch->n_sums; k-- > 0;) {
        const struct mbi_sum *s = &batch->sum[k];
        struct mbi_ext g[MBI_SUM_TABLES];

        for (size_t i = 0; i < s->n_tables; i++)
            g[i] = value[s->table[i]];
        sum = mbi_ext_mul(sum, join);
        sum = mbi_ext_add(sum, mbi_ext_mul(weight_at(s, point), polynomial(s, g)));
    }
    return sum;
}

bool MBI_EXT(sum_verify)(struct mbi_ext *point, struct mbi_ext *value,
                         const struct mbi_sum_batch *batch, struct mbi_proof_reader *in)
{
    const char *fault = MBI_EXT(sum_fault)(batch);
    const unsigned degree = degree_of(batch);
    struct mbi_ext q[POINTS], claim, join;
    mbi_fe inverse[POINTS];

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    set_inverses(inverse);
    claim = join_claims(&join, &in->transcript, batch);
    for (unsigned i = 0; i < batch->bits; i++) {
        mbi_get_elements((mbi_fe *)&q[1], (size_t)degree * MBI_EXT_D, in, "round");
        q[0] = q[1];
        q[1] = mbi_ext_sub(claim, q[0]);
        point[i] = draw(&in->transcript);
        claim = interpolate(q, degree, point[i], inverse);
    }
    mbi_get_elements((mbi_fe *)value, batch->n_tables * MBI_EXT_D, in, "values");
    if (in->fault)
        return false;
    if (!mbi_ext_equal(end_value(batch, join, point, value), claim)) {
        mbi_refuse(in, "the end of a sum-check does not fit its values");
        return false;
    }
    return true;
}

/* ---- the prover ---- */

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define SLICES 64 /* of a round: units of work, whatever the number of threads */

struct prover {
    const struct mbi_sum_batch *batch;
    unsigned degree;
    struct mbi_ext join;
    const struct mbi_table *table;
    struct mbi_ext *folded; /* after the first round: the tables, then the weights, `stride` each */
    size_t stride;
    size_t half; /* the pairs of this round */
    bool first;
    struct mbi_ext r;
    struct mbi_ext partial[SLICES][POINTS];
};

static struct mbi_ext *folded_table(const struct prover *a, size_t k)
{
    return a->folded + k * a->stride;
}

static struct mbi_ext *folded_weight(const struct prover *a, size_t k)
{
    return folded_table(a, a->batch->n_tables + k);
}

/* The weights of n entries from `begin` on; n is a power of two, at most BLOCK. */
static void weight_block(struct mbi_ext *out, const struct mbi_sum *s, size_t begin, size_t n)
{
    struct mbi_ext more[BLOCK];
    unsigned log = 0;

    while ((size_t)1 << log < n)
        log++;
    for (size_t x = 0; x < n; x++)
        out[x] = mbi_ext_from(0);
    for (size_t i = 0; i < s->n_weights; i++) {
        MBI_EXT(form_block)(more, &s->weight[i], begin, log);
        for (size_t x = 0; x < n; x++)
            out[x] = mbi_ext_add(out[x], more[x]);
    }
}

/* n pairs of a round from pair `begin` on, as one sum sees them. */
struct pairs {
    const struct mbi_sum *sum;
    const struct mbi_table *table;    /* the sum's own */
    const struct mbi_ext *low, *high; /* its weights */
    size_t begin, half, n;
    unsigned degree;
};

/* The same for values in F. */
static inline mbi_fe polynomial_base(const struct mbi_sum *s, const mbi_fe *g)
{
    mbi_fe sum = 0, product = 1;

    for (size_t i = 0; i < s->n_terms; i++) {
        const struct mbi_sum_term *t = &s->term[i];
        unsigned k = shared_factors(s->term, i);

        if (!k)
            product = t->degree ? g[t->factor[k++]] : 1;
        for (; k < t->degree; k++)
            product = mbi_fe_mul(product, g[t->factor[k]]);
        sum = mbi_fe_add(sum, mbi_fe_mul(product, t->c));
    }
    return sum;
}

/* Adds the pairs' part of the round's polynomial at 0, 2, ..., degree; q[1] is left out. */
static void add_pairs_base(struct mbi_ext q[POINTS], const struct pairs *p)
{
    const size_t n = p->sum->n_tables;
    mbi_fe g[MBI_SUM_TABLES], rise[MBI_SUM_TABLES];

    for (size_t x = 0; x < p->n; x++) {
        struct mbi_ext w = p->low[x];
        const struct mbi_ext w_rise = mbi_ext_sub(p->high[x], w);

        for (size_t k = 0; k < n; k++) {
            g[k] = mbi_table_field(&p->table[k], p->begin + x);
            rise[k] = mbi_fe_sub(mbi_table_field(&p->table[k], p->half + p->begin + x), g[k]);
        }
        for (unsigned i = 0;; i++) {
            if (i != 1)
                q[i] = mbi_ext_add(q[i], mbi_ext_scale(w, polynomial_base(p->sum, g)));
            if (i == p->degree)
                break;
            w = mbi_ext_add(w, w_rise);
            for (size_t k = 0; k < n; k++)
                g[k] = mbi_fe_add(g[k], rise[k]);
        }
    }
}

static void add_pairs(struct mbi_ext q[POINTS], const struct pairs *p)
{
    const size_t n = p->sum->n_tables;
    struct mbi_ext g[MBI_SUM_TABLES], rise[MBI_SUM_TABLES];

    for (size_t x = 0; x < p->n; x++) {
        struct mbi_ext w = p->low[x];
        const struct mbi_ext w_rise = mbi_ext_sub(p->high[x], w);

        for (size_t k = 0; k < n; k++) {
            g[k] = mbi_table_ext(&p->table[k], p->begin + x);
            rise[k] = mbi_ext_sub(mbi_table_ext(&p->table[k], p->half + p->begin + x), g[k]);
        }
        for (unsigned i = 0;; i++) {
            if (i != 1)
                q[i] = mbi_ext_add(q[i], mbi_ext_mul(w, polynomial(p->sum, g)));
            if (i == p->degree)
                break;
            w = mbi_ext_add(w, w_rise);
            for (size_t k = 0; k < n; k++)
                g[k] = mbi_ext_add(g[k], rise[k]);
        }
    }
}

/* Table k of the batch as it is in this round. */
static struct mbi_table current_table(const struct prover *a, size_t k)
{
    if (a->first)
        return a->table[k];
    return (struct mbi_table){MBI_TABLE_EXT, folded_table(a, k), 2 * a->half};
}

/* q += the part of sum k in n pairs from `begin` on. */
static void add_sum(struct mbi_ext q[POINTS], const struct prover *a, size_t k, size_t begin,
                    size_t n)
{
    const struct mbi_sum *s = &a->batch->sum[k];
    struct mbi_table table[MBI_SUM_TABLES];
    struct mbi_ext low[BLOCK], high[BLOCK];
    struct pairs p = {s, table, low, high, begin, a->half, n, a->degree};
    bool base = true;

    for (size_t i = 0; i < s->n_tables; i++) {
        table[i] = current_table(a, s->table[i]);
        base &= table[i].type != MBI_TABLE_EXT;
    }
    if (a->first) {
        weight_block(low, s, begin, n);
        weight_block(high, s, a->half + begin, n);
    } else {
        p.low = folded_weight(a, k) + begin;
        p.high = p.low + a->half;
    }
    if (base)
        add_pairs_base(q, &p);
    else
        add_pairs(q, &p);
}

/* The pairs of one slice: blocks, the same for any number of threads. */
static void slice_range(size_t *begin, size_t *end, const struct prover *a, size_t slice)
{
    const size_t blocks = a->half / BLOCK + (a->half % BLOCK != 0);

    *begin = mbi_min_size(blocks * slice / SLICES * BLOCK, a->half);
    *end = mbi_min_size(blocks * (slice + 1) / SLICES * BLOCK, a->half);
}

/* The sum over k of join^k times the part of sum k, block by block. */
static void round_slice(struct prover *a, size_t slice)
{
    struct mbi_ext *total = a->partial[slice];
    size_t begin, end;

    for (unsigned i = 0; i < POINTS; i++)
        total[i] = mbi_ext_from(0);
    slice_range(&begin, &end, a, slice);
    for (; begin < end; begin += BLOCK) {
        struct mbi_ext q[POINTS] = {{{0}}};

        for (size_t k = a->batch->n_sums; k-- > 0;) {
            for (unsigned i = 0; i <= a->degree; i++)
                q[i] = mbi_ext_mul(q[i], a->join);
            add_sum(q, a, k, begin, mbi_min_size(BLOCK, end - begin));
        }
        for (unsigned i = 0; i <= a->degree; i++)
            total[i] = mbi_ext_add(total[i], q[i]);
    }
}

static void round_part(void *arg, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        round_slice(arg, begin);
}

/* Threads do not pay for a few blocks. */
static void for_slices(struct prover *a, const struct mbi_host *host,
                       void (*part)(void *arg, size_t begin, size_t end))
{
    if (a->half < 4 * BLOCK)
        part(a, 0, SLICES);
    else
        mbi_parallel_for(host, SLICES, 1, part, a);
}

/* The message of a round, then its challenge. */
static struct mbi_ext prove_round(struct prover *a, struct mbi_proof_writer *out,
                                  const struct mbi_host *host)
{
    struct mbi_ext q[POINTS] = {{{0}}};

    for_slices(a, host, round_part);
    for (size_t slice = 0; slice < SLICES; slice++)
        for (unsigned i = 0; i <= a->degree; i++)
            q[i] = mbi_ext_add(q[i], a->partial[slice][i]);
    q[1] = q[0]; /* the value at 1 follows from it */
    mbi_put_elements(out, "round", (const mbi_fe *)&q[1], (size_t)a->degree * MBI_EXT_D);
    return draw(&out->transcript);
}

/* The first round's tables: entries of F are widened by the challenge. */
static void fold_table(const struct prover *a, size_t k, size_t begin, size_t n)
{
    const struct mbi_table *t = &a->table[k];
    struct mbi_ext *out = folded_table(a, k) + begin;

    for (size_t x = 0; x < n; x++)
        if (t->type == MBI_TABLE_EXT) {
            const struct mbi_ext low = mbi_table_ext(t, begin + x);
            const struct mbi_ext high = mbi_table_ext(t, a->half + begin + x);

            MBI_EXT(table_fold)(out + x, &low, &high, 1, a->r);
        } else {
            const mbi_fe low = mbi_table_field(t, begin + x);
            const mbi_fe rise = mbi_fe_sub(mbi_table_field(t, a->half + begin + x), low);

            out[x] = mbi_ext_scale(a->r, rise);
            out[x].c[0] = mbi_fe_add(out[x].c[0], low);
        }
}

static void fold_first(const struct prover *a, size_t begin, size_t n)
{
    struct mbi_ext low[BLOCK], high[BLOCK];

    for (size_t k = 0; k < a->batch->n_tables; k++)
        fold_table(a, k, begin, n);
    for (size_t k = 0; k < a->batch->n_sums; k++) {
        weight_block(low, &a->batch->sum[k], begin, n);
        weight_block(high, &a->batch->sum[k], a->half + begin, n);
        MBI_EXT(table_fold)(folded_weight(a, k) + begin, low, high, n, a->r);
    }
}

static void fold_part(void *arg, size_t slice, size_t end_slice)
{
    const struct prover *a = arg;
    const size_t all = a->batch->n_tables + a->batch->n_sums;

    for (; slice < end_slice; slice++) {
        size_t begin, end;

        slice_range(&begin, &end, a, slice);
        if (a->first)
            for (; begin < end; begin += BLOCK)
                fold_first(a, begin, mbi_min_size(BLOCK, end - begin));
        else
            for (size_t k = 0; k < all; k++) {
                struct mbi_ext *t = folded_table(a, k) + begin;

                MBI_EXT(table_fold)(t, t, t + a->half, end - begin, a->r);
            }
    }
}

static void prove_rounds(struct mbi_ext *point, struct prover *a, struct mbi_proof_writer *out,
                         const struct mbi_host *host)
{
    for (unsigned i = 0; i < a->batch->bits; i++) {
        a->half = (size_t)1 << (a->batch->bits - 1 - i);
        a->first = i == 0;
        a->r = point[i] = prove_round(a, out, host);
        for_slices(a, host, fold_part);
    }
}

int32_t MBI_EXT(sum_prove)(struct mbi_ext *point, struct mbi_ext *value,
                           const struct mbi_sum_batch *batch, const struct mbi_table *table,
                           struct mbi_proof_writer *out, const struct mbi_host *host,
                           mambaint_error *err)
{
    const char *fault = MBI_EXT(sum_fault)(batch);
    struct prover a = {.batch = batch, .table = table};
    size_t size;

    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a sum-check was planned wrongly: %s", fault);
    a.degree = degree_of(batch);
    if (batch->bits)
        a.stride = (size_t)1 << (batch->bits - 1);
    if (!mbi_mul_size(&size, batch->n_tables + batch->n_sums, sizeof(*a.folded)) ||
        !mbi_mul_size(&size, size, a.stride) || !(a.folded = mbi_alloc_huge(host, size)))
        return mbi_fail_memory(err, "the tables of a sum-check");
    join_claims(&a.join, &out->transcript, batch);
    prove_rounds(point, &a, out, host);
    for (size_t k = 0; k < batch->n_tables; k++)
        value[k] = batch->bits ? *folded_table(&a, k) : mbi_table_ext(&table[k], 0);
    mbi_put_elements(out, "values", (const mbi_fe *)value, batch->n_tables * MBI_EXT_D);
    mbi_free_aligned(host, a.folded);
    return MAMBAINT_OK;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Sum-check for batches of weighted sums of products: what both sides do, and the verifier. */
#include "proof/alike.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define POINTS (MBI_SUM_DEGREE + 1) /* that fix a round's polynomial */

/* ---- what both sides do ---- */

unsigned MBI_EXT(sum_degree)(const struct mbi_sum_batch *batch)
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

unsigned MBI_EXT(sum_rounds)(const struct mbi_sum_batch *batch)
{
    return batch->bits + (batch->alike ? batch->alike->bits : 0);
}

size_t MBI_EXT(sum_values)(const struct mbi_sum_batch *batch)
{
    return batch->alike ? batch->alike->n_lists : batch->n_tables;
}

size_t MBI_EXT(sum_size)(const struct mbi_sum_batch *batch)
{
    return MBI_EXT_D * ((size_t)MBI_EXT(sum_rounds)(batch) * MBI_EXT(sum_degree)(batch) +
                        MBI_EXT(sum_values)(batch));
}

size_t MBI_EXT(sum_pads)(const struct mbi_sum_batch *batch)
{
    const size_t degree = MBI_EXT(sum_degree)(batch);

    return MBI_EXT(sum_rounds)(batch) * degree + degree - 1 + MBI_EXT(sum_values)(batch);
}

size_t MBI_EXT(sum_hidden_size)(const struct mbi_sum_batch *batch)
{
    return MBI_EXT_D * MBI_EXT(sum_pads)(batch);
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

struct mbi_ext MBI_EXT(sum_join)(struct mbi_ext *join, struct mbi_transcript *t,
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

/* A term that goes on where the last one ended costs only what it adds. */
struct mbi_ext MBI_EXT(sum_polynomial)(const struct mbi_sum *s, const struct mbi_ext *g)
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

struct mbi_ext MBI_EXT(sum_weight_at)(const struct mbi_sum *s, const struct mbi_ext *point)
{
    struct mbi_ext w = mbi_ext_from(0);

    for (size_t i = 0; i < s->n_weights; i++)
        w = mbi_ext_add(w, MBI_EXT(form_at)(&s->weight[i], point));
    return w;
}

/* P of a sum whose own tables have these numbers among the values. */
static struct mbi_ext value_of(const struct mbi_sum *s, const uint32_t *number,
                               const struct mbi_ext *value)
{
    struct mbi_ext g[MBI_SUM_TABLES];

    for (size_t i = 0; i < s->n_tables; i++)
        g[i] = value[number[i]];
    return MBI_EXT(sum_polynomial)(s, g);
}

/* The sum of the families' polynomials at the values of their lists. */
static struct mbi_ext gathered_value(const struct mbi_sum_batch *batch, struct mbi_ext join,
                                     const struct mbi_ext *point, const struct mbi_ext *value)
{
    const struct mbi_alike *a = batch->alike;
    struct mbi_ext sum = mbi_ext_from(0);

    MBI_EXT(alike_weights)(a, batch, join, point);
    for (uint32_t f = 0; f < a->n_families; f++) {
        const struct mbi_family *of = &a->family[f];
        const struct mbi_ext p = value_of(&batch->sum[of->first], a->number + of->list, value);

        sum = mbi_ext_add(sum, mbi_ext_mul(a->weight[f], p));
    }
    return sum;
}

/* The sum of join^k w_k P_k at the point. */
static struct mbi_ext end_value(const struct mbi_sum_batch *batch, struct mbi_ext join,
                                const struct mbi_ext *point, const struct mbi_ext *value)
{
    struct mbi_ext sum = mbi_ext_from(0), weight = sum;
    const struct mbi_sum *last = NULL;

    if (batch->alike)
        return gathered_value(batch, join, point, value);
    for (size_t k = batch->n_sums; k-- > 0;) {
        const struct mbi_sum *s = &batch->sum[k];

        if (!last || last->weight != s->weight || last->n_weights != s->n_weights)
            weight = MBI_EXT(sum_weight_at)(s, point); /* many sums share it with the one before */
        last = s;
        sum = mbi_ext_mul(sum, join);
        sum = mbi_ext_add(sum, mbi_ext_mul(weight, value_of(s, s->table, value)));
    }
    return sum;
}

bool MBI_EXT(sum_verify)(struct mbi_ext *point, struct mbi_ext *value,
                         const struct mbi_sum_batch *batch, struct mbi_proof_reader *in)
{
    const char *fault = MBI_EXT(sum_fault)(batch);
    const unsigned degree = MBI_EXT(sum_degree)(batch);
    struct mbi_ext q[POINTS], claim, join;
    mbi_fe inverse[POINTS];

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    set_inverses(inverse);
    claim = MBI_EXT(sum_join)(&join, &in->transcript, batch);
    for (unsigned i = 0; i < MBI_EXT(sum_rounds)(batch); i++) {
        mbi_get_elements((mbi_fe *)&q[1], (size_t)degree * MBI_EXT_D, in, "round");
        q[0] = q[1];
        q[1] = mbi_ext_sub(claim, q[0]);
        point[i] = draw(&in->transcript);
        claim = interpolate(q, degree, point[i], inverse);
    }
    mbi_get_elements((mbi_fe *)value, MBI_EXT(sum_values)(batch) * MBI_EXT_D, in, "values");
    if (in->fault)
        return false;
    if (!mbi_ext_equal(end_value(batch, join, point, value), claim)) {
        mbi_refuse(in, "the end of a sum-check does not fit its values");
        return false;
    }
    return true;
}

/* ---- a hidden end ---- */

/* Minus the pads of the claims, times powers of join. */
static void claim_pads(struct mbi_hidden *h, const struct mbi_sum_batch *batch, struct mbi_ext join)
{
    struct mbi_ext power = mbi_ext_from(1);

    for (size_t k = 0; k < batch->n_sums; k++) {
        if (h->claim_pad && h->claim_pad[k] != SIZE_MAX)
            MBI_EXT(hidden_term)(h, h->claim_pad[k], mbi_ext_neg(power));
        power = mbi_ext_mul(power, join);
    }
}

/*
 * The pads of a round whose claim C becomes l_1 C + (l_0 - l_1) q(0) + l_2 q(2) + ..., with the
 * Lagrange coefficients l_k at r. Returns l_1, by which all terms before are multiplied.
 */
static struct mbi_ext round_pads(struct mbi_hidden *h, unsigned degree, struct mbi_ext r,
                                 const mbi_fe inverse[POINTS])
{
    struct mbi_ext l[POINTS];

    for (unsigned k = 0; k <= degree; k++) {
        struct mbi_ext unit[POINTS] = {{{0}}};

        unit[k] = mbi_ext_from(1);
        l[k] = interpolate(unit, degree, r, inverse);
    }
    l[0] = mbi_ext_sub(l[0], l[1]);
    MBI_EXT(hidden_pads)(h, l, 1);
    MBI_EXT(hidden_pads)(h, l + 2, degree - 1);
    return l[1];
}

/* The terms of each round, and those before the first one, times the factors of the rounds after
 * it. */
static void scale_terms(struct mbi_hidden *h, size_t claims, size_t rounds,
                        const struct mbi_sum_batch *batch, const struct mbi_ext *factor)
{
    const unsigned degree = MBI_EXT(sum_degree)(batch);
    struct mbi_ext product = mbi_ext_from(1);

    if (h->failed)
        return;
    for (unsigned i = MBI_EXT(sum_rounds)(batch); i-- > 0;) {
        for (size_t k = 0; k < degree; k++) {
            struct mbi_pad_term *t = &h->term[rounds + (size_t)i * degree + k];

            t->scale = mbi_ext_mul(t->scale, product);
        }
        product = mbi_ext_mul(product, factor[i]);
    }
    for (size_t k = claims; k < rounds; k++)
        h->term[k].scale = mbi_ext_mul(h->term[k].scale, product);
}

bool MBI_EXT(sum_verify_hidden)(struct mbi_ext *point, struct mbi_ext *value,
                                const struct mbi_sum_batch *batch, struct mbi_hidden *hidden,
                                struct mbi_proof_reader *in)
{
    const char *fault = MBI_EXT(sum_fault)(batch);
    const unsigned degree = MBI_EXT(sum_degree)(batch);
    const size_t claims = hidden->n_terms;
    struct mbi_ext q[POINTS], claim, join, factor[MBI_MAX_BITS + MBI_ALIKE_BITS];
    mbi_fe inverse[POINTS];
    size_t rounds;

    if (fault) {
        mbi_refuse(in, fault);
        return false;
    }
    set_inverses(inverse);
    claim = MBI_EXT(sum_join)(&join, &in->transcript, batch);
    claim_pads(hidden, batch, join);
    rounds = hidden->n_terms;
    for (unsigned i = 0; i < MBI_EXT(sum_rounds)(batch); i++) {
        mbi_get_elements((mbi_fe *)&q[1], (size_t)degree * MBI_EXT_D, in, "round");
        q[0] = q[1];
        q[1] = mbi_ext_sub(claim, q[0]);
        point[i] = draw(&in->transcript);
        factor[i] = round_pads(hidden, degree, point[i], inverse);
        claim = interpolate(q, degree, point[i], inverse);
    }
    scale_terms(hidden, claims, rounds, batch, factor);
    if (!MBI_EXT(get_line)(&hidden->line, value, degree - 1, MBI_EXT(sum_values)(batch), hidden,
                           in))
        return false;
    claim = mbi_ext_add(claim, hidden->line.sum);
    claim = mbi_ext_sub(claim, end_value(batch, join, point, value));
    MBI_EXT(hidden_zero)(hidden, claims, claim);
    if (hidden->failed)
        mbi_refuse(in, "there is not enough memory to check it");
    return !in->fault;
}
#endif

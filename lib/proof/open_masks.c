/* SPDX-License-Identifier: Apache-2.0 */
/* Openings that hide: the pads of the rounds, and masks of the folded row. */
#include "base/intmath.h"
#include "proof/open.h"
#if MBI_HAVE_SODIUM

/* ---- both sides ---- */

void MBI_EXT(open_pads_draw)(struct mbi_open_pads *p, struct mbi_transcript *t,
                             const struct mbi_opening *o, const struct mbi_open_stack *stack)
{
    struct mbi_ext drawn[MBI_MAX_BITS + 2];

    p->rounds = stack->rounds;
    p->last = o->root[0].rows - 1;
    mbi_transcript_draw((mbi_fe *)drawn, MBI_EXT_D * ((size_t)p->rounds + 2), t);
    memcpy(p->z, drawn, p->rounds * sizeof(*drawn));
    p->power = drawn[p->rounds];
    p->factor = drawn[p->rounds + 1];
}

/* The numbers a_i of the pads in what is left of the claim, times -1: those of a round at its
 * challenge r, times the number that q(1) has at each challenge after it. */
static void pad_scales(struct mbi_ext *scale, const struct mbi_open_pads *p,
                       const struct mbi_ext *alpha)
{
    const struct mbi_ext one = mbi_ext_from(1), two = mbi_ext_from(2);
    const mbi_fe half = (MBI_FIELD_P + 1) / 2;
    struct mbi_ext after = one;

    for (unsigned i = p->rounds; i-- > 0;) {
        const struct mbi_ext r = alpha[i], r1 = mbi_ext_sub(r, one), r2 = mbi_ext_sub(r, two);
        const struct mbi_ext at0 = mbi_ext_scale(mbi_ext_mul(r1, r2), half);
        const struct mbi_ext at1 = mbi_ext_neg(mbi_ext_mul(r, r2));
        const struct mbi_ext at2 = mbi_ext_scale(mbi_ext_mul(r, r1), half);

        scale[2 * i] = mbi_ext_mul(after, mbi_ext_sub(at0, at1));
        scale[2 * i + 1] = mbi_ext_mul(after, at2);
        after = mbi_ext_mul(after, at1);
    }
}

bool MBI_EXT(open_pads_weights)(struct mbi_ext *w, const struct mbi_open_pads *p,
                                const struct mbi_ext *alpha)
{
    const struct mbi_ext last = MBI_EXT(eq_index)(alpha, p->rounds, p->last);
    const struct mbi_ext inverse = mbi_ext_inv(last);
    struct mbi_ext scale[2 * MBI_MAX_BITS], other;

    if (mbi_ext_is_zero(last))
        return false;
    /* the claim that there are none in other rows, at the point */
    other = mbi_ext_mul(last, MBI_EXT(eq_index)(p->z, p->rounds, p->last));
    other = mbi_ext_sub(MBI_EXT(eq_points)(alpha, p->z, p->rounds), other);
    other = mbi_ext_mul(other, p->factor);
    pad_scales(scale, p, alpha);
    for (unsigned i = 0; i < 2 * p->rounds; i++, w += MBI_EXT_D) {
        w[0] = mbi_ext_add(other, mbi_ext_mul(scale[i], inverse));
        for (int k = 1; k < MBI_EXT_D; k++)
            w[k] = mbi_ext_times_x(w[k - 1]);
        other = mbi_ext_mul(other, p->power);
    }
    return true;
}

/* ---- the prover ---- */

struct mbi_ext MBI_EXT(open_pads_sum)(const struct mbi_open_pads *p, const struct mbi_ext *pad)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (unsigned i = 2 * p->rounds; i-- > 0;)
        sum = mbi_ext_add(mbi_ext_mul(sum, p->power), pad[i]);
    return sum;
}

/*
 * Pads are in row `last` alone, so the sum over rows has one term: the row's factor A, times the
 * weight of rows, A' of all of them and A times what is left out. All are linear in X.
 */
void MBI_EXT(open_pads_round)(struct mbi_ext value[2], const struct mbi_open_pads *p,
                              struct mbi_ext sum, const struct mbi_ext *alpha, unsigned round)
{
    const struct mbi_ext one = mbi_ext_from(1), z = p->z[round];
    const unsigned after = p->rounds - round - 1;
    const bool bit = p->last >> after & 1;
    const struct mbi_ext row = MBI_EXT(eq_index)(alpha, round, p->last >> after >> 1);
    const struct mbi_ext skip = mbi_ext_mul(row, MBI_EXT(eq_index)(p->z, p->rounds, p->last));
    const struct mbi_ext all = mbi_ext_mul(
        MBI_EXT(eq_points)(alpha, p->z, round),
        MBI_EXT(eq_index)(p->z + round + 1, after, p->last & (((uint64_t)1 << after) - 1)));
    /* 1 - X or X, and 1 - z + (2 z - 1) X */
    const struct mbi_ext weight[2] = {
        mbi_ext_sub(mbi_ext_mul(all, mbi_ext_sub(one, z)), bit ? mbi_ext_from(0) : skip),
        mbi_ext_add(mbi_ext_mul(all, mbi_ext_sub(mbi_ext_add(z, z), one)),
                    bit ? mbi_ext_neg(skip) : skip)};

    sum = mbi_ext_mul(mbi_ext_mul(sum, p->factor), row);
    value[0] = bit ? mbi_ext_from(0) : mbi_ext_mul(sum, weight[0]);
    value[1] = mbi_ext_mul(bit ? sum : mbi_ext_neg(sum), weight[1]);
}

/* ---- masks of the folded row ---- */

struct folding {
    const struct mbi_opening *o;
    const struct mbi_commitment *vector;
    const struct mbi_open_stack *stack;
    const struct mbi_ext *eq;
    const struct mbi_field_kernels *kernels;
    size_t parts;
    struct mbi_ext *sum; /* of each part */
    mbi_fe *mask;        /* room of each part */
};

/* Every `parts`-th row of all vectors. */
static void fold_parts(void *arg, size_t part, size_t end)
{
    const struct folding *a = arg;
    const size_t masks = a->o->code.masks;

    for (; part < end; part++) {
        mbi_fe *mask = a->mask + part * masks;

        for (size_t i = 0; i < a->o->n_roots; i++)
            for (size_t r = part; r < a->o->root[i].rows; r += a->parts) {
                mbi_mask_fill(mask, masks, &a->vector[i].seed, MBI_MASK_ROW, r);
                mbi_ext_mul_add_base(a->kernels, a->sum + part * masks, mask,
                                     a->eq[a->stack->first[i] + r], masks);
            }
    }
}

bool MBI_EXT(open_fold_masks)(struct mbi_ext *out, const struct mbi_opening *o,
                              const struct mbi_commitment *vector,
                              const struct mbi_open_stack *stack, const struct mbi_ext *eq,
                              const struct mbi_host *host, const struct mbi_field_kernels *kernels)
{
    const size_t masks = o->code.masks, parts = mbi_pool_threads(host->pool);
    struct folding a = {o, vector, stack, eq, kernels, parts, NULL, NULL};
    size_t n;

    if (!mbi_mul_size(&n, parts, masks))
        return false;
    a.sum = mbi_alloc(host, n, sizeof(*a.sum));
    a.mask = mbi_alloc(host, n, sizeof(*a.mask));
    if (a.sum && a.mask) {
        mbi_parallel_for(host, parts, 1, fold_parts, &a);
        memcpy(out, a.sum, masks * sizeof(*out));
        for (size_t part = 1; part < parts; part++)
            mbi_ext_mul_add(kernels, out, a.sum + part * masks, mbi_ext_from(1), masks);
    }
    mbi_free(host, a.sum);
    mbi_free(host, a.mask);
    return a.sum && a.mask;
}

struct blinding {
    mbi_fe *row;
    size_t n;
    const struct mbi_commitment *c;
};

static void fill_blind(void *arg, size_t begin, size_t end)
{
    const struct blinding *a = arg;

    for (; begin < end; begin++)
        mbi_mask_fill(a->row + begin * a->n, a->n, &a->c->seed, MBI_MASK_BLIND, begin);
}

mbi_fe *MBI_EXT(open_blind)(const struct mbi_commitment *c, size_t n, const struct mbi_host *host)
{
    struct blinding a = {NULL, n, c};
    size_t size;

    if (!mbi_mul_size(&size, n, MBI_EXT_D * sizeof(*a.row)))
        return NULL;
    a.row = mbi_alloc_huge(host, size);
    if (a.row)
        mbi_parallel_for(host, MBI_EXT_D, 1, fill_blind, &a);
    return a.row;
}
#endif

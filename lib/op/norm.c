/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms: every group of a vector is divided by its root mean square, exactly scaled
 * (norm_rms: one square root and one division per group) or by the nearest power of two
 * (norm_shift: neither). Gains are folded into the next matrix, or follow as a product.
 */
#include "op/element.h"
#include "op/formula.h"

/* Shift that brings a group into 16 bits. max(r, -1-r) is the magnitude with -2^k counted as
 * 2^k - 1, so that -2^15 needs no shift. */
static int headroom_shift(const void *r, uint32_t dtype, size_t at, size_t d)
{
    int64_t max = 0;

    for (size_t i = 0; i < d; i++) {
        const int64_t v = mbi_get(r, dtype, at + i);

        max = mbi_max_i64(max, mbi_max_i64(v, -1 - v));
    }
    return (int)mbi_max_i64(0, mbi_bitlen((uint64_t)max) - 15);
}

/* ss = sum q_i^2 <= d 2^30, below 2^45 for d <= 2^15. */
static uint64_t sum_of_squares(const void *r, uint32_t dtype, size_t at, size_t d, int b)
{
    uint64_t ss = 0;

    for (size_t i = 0; i < d; i++) {
        const int64_t v = mbi_rshift_half_up(mbi_get(r, dtype, at + i), b);

        ss += (uint64_t)(v * v);
    }
    return ss;
}

static int32_t norm_infer(struct mbi_infer *q, const char *op)
{
    const struct mbi_norm_attr *at = q->attr;
    const struct mbi_type *r = q->in[0];
    const int64_t top = (int64_t)1 << (at->bits == 8 ? 7 : 15);

    if (r->dtype < MBI_I8 || r->dtype > MBI_I32 || (at->bits != 8 && at->bits != 16) ||
        at->frac < 0 || at->frac > 14)
        return mbi_infer_mismatch(q, op, "needs an integer vector and an 8 or 16 bit result");
    if (at->groups < 1 || r->cols % (uint32_t)at->groups || r->cols / (uint32_t)at->groups > 32768)
        return mbi_infer_mismatch(q, op,
                                  "groups must divide the vector into parts of at most 32768");
    return mbi_infer_result(q, r->cols, at->frac, -top, top - 1, -top, top - 1);
}

static size_t norm_units(const struct mbi_op_args *a)
{
    return a->lanes * (size_t)((const struct mbi_norm_attr *)a->attr)->groups;
}

static void normalise(const struct mbi_op_args *a,
                      struct mbi_norm_factor (*find)(uint64_t ss, size_t d))
{
    const struct mbi_norm_attr *at = a->attr;
    const size_t d = a->out_type->cols / (size_t)at->groups;
    const uint32_t dtype = a->in_type[0]->dtype;

    for (size_t u = a->begin; u < a->end; u++) {
        const int b = headroom_shift(a->in[0], dtype, u * d, d);
        const struct mbi_norm_factor f = find(sum_of_squares(a->in[0], dtype, u * d, d, b), d);

        for (size_t i = u * d; i < (u + 1) * d; i++) {
            const int64_t v = mbi_rshift_half_up(mbi_get(a->in[0], dtype, i), b);
            const int64_t y = mbi_rshift_half_up(v * f.mul, f.shift - at->frac);

            mbi_put(a->out, a->out_type->dtype, i, mbi_sat(y, at->bits));
        }
    }
}

/* ---- norm_rms                                                   arithmetic.md, norm_rms ---- */

static int32_t norm_rms_infer(struct mbi_infer *q) { return norm_infer(q, "norm_rms"); }

static void norm_rms_eval(const struct mbi_op_args *a) { normalise(a, mbi_norm_rms_factor); }

static const struct mbi_op_case norm_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .lo = {-9}, .hi = {9}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .attr = {3, 8, 16}},
    {.cols = {48}, .dtype = {MBI_I16}, .attr = {2, 14, 16}},
    {.cols = {48}, .dtype = {MBI_I32}, .attr = {1, 10, 16}},
};

const struct mbi_op_def mbi_op_norm_rms = {
    .n_attr = 3,
    .infer = norm_rms_infer,
    .units = norm_units,
    .eval = norm_rms_eval,
    .grad = &mbi_grad_norm_rms,
    .cases = norm_cases,
    .n_cases = MBI_COUNT(norm_cases),
};

/* ---- norm_shift                                                arithmetic.md, norm_shift ---- */

static int32_t norm_shift_infer(struct mbi_infer *q) { return norm_infer(q, "norm_shift"); }

static void norm_shift_eval(const struct mbi_op_args *a) { normalise(a, mbi_norm_shift_factor); }

const struct mbi_op_def mbi_op_norm_shift = {
    .n_attr = 3,
    .infer = norm_shift_infer,
    .units = norm_units,
    .eval = norm_shift_eval,
    .grad = &mbi_grad_norm_shift,
    .cases = norm_cases,
    .n_cases = MBI_COUNT(norm_cases),
};

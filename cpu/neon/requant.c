/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways back to a narrower integer, for NEON.
 *                                  arithmetic.md, requant, requant_rows and requant_mul
 */
#include "cpu/neon/simd.h"

/* ---- requant ---- */

/* The types are constants where this is called, so that the loop holds no choice. */
static inline void requant_loop(const struct mbi_op_args *a, size_t end, uint32_t in, uint32_t out)
{
    const struct mbi_requant_attr *q = a->attr;
    const int32x4_t lo = vdupq_n_s32(q->lo), hi = vdupq_n_s32(q->hi), left = vdupq_n_s32(-q->shift);

    for (size_t i = a->begin; i < end; i += LANES) {
        int32x4x2_t x = load8(a->in[0], in, i);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = shift_clamp4(x.val[h], left, lo, hi);
        store8(a->out, out, i, x);
    }
}

void mbi_neon_requant(const struct mbi_op_args *a)
{
    const uint32_t in = a->in_type[0]->dtype, out = a->out_type->dtype;
    const size_t end = vector_end(a);

    if (!loadable(in) || !loadable(out)) {
        mbi_op_requant.eval(a);
        return;
    }
    if (in == MBI_I32 && out == MBI_I8)
        requant_loop(a, end, MBI_I32, MBI_I8);
    else if (in == MBI_I32 && out == MBI_I16)
        requant_loop(a, end, MBI_I32, MBI_I16);
    else
        requant_loop(a, end, in, out);
    reference_part(mbi_op_requant.eval, a, end, a->end);
}

/* ---- requant_rows ---- */

/* Elements [i, i + n) of one lane, whose first exponent is e[0]; n is a multiple of 8. */
static inline void rows_loop(const struct mbi_op_args *a, const int8_t *e, size_t i, size_t n,
                             uint32_t out)
{
    const struct mbi_requant_attr *q = a->attr;
    const int32x4_t lo = vdupq_n_s32(q->lo), hi = vdupq_n_s32(q->hi), left = vdupq_n_s32(-q->shift);

    for (size_t c = 0; c < n; c += LANES) {
        int32x4x2_t x = load8(a->in[0], a->in_type[0]->dtype, i + c);
        const int32x4x2_t exponent = load8(e, MBI_I8, c);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = shift_clamp4(x.val[h], vsubq_s32(left, exponent.val[h]), lo, hi);
        store8(a->out, out, i + c, x);
    }
}

void mbi_neon_requant_rows(const struct mbi_op_args *a)
{
    const size_t cols = a->out_type->cols;
    const uint32_t out = a->out_type->dtype;

    if (!loadable(a->in_type[0]->dtype) || !loadable(out)) {
        mbi_op_requant_rows.eval(a);
        return;
    }
    for (size_t i = a->begin; i < a->end;) {
        const size_t c = i % cols, row_end = mbi_min_size(i - c + cols, a->end);
        const size_t n = (row_end - i) / LANES * LANES;
        const int8_t *exponent = (const int8_t *)a->in[1] + c;

        if (out == MBI_I16)
            rows_loop(a, exponent, i, n, MBI_I16);
        else if (out == MBI_I32)
            rows_loop(a, exponent, i, n, MBI_I32);
        else
            rows_loop(a, exponent, i, n, out);
        reference_part(mbi_op_requant_rows.eval, a, i + n, row_end);
        i = row_end;
    }
}

/* ---- requant_mul ---- */

/*
 * rsh(x m, -left) of four lanes: |x| <= 2^31 and m < 2^15, so a product is below 2^46; inference
 * keeps a shift to the left below 2^62. The narrowing saturates to 32 bits, lo and hi lie inside.
 */
static inline int32x4_t mul_shift4(int32x4_t x, int32x2_t m, int64x2_t left)
{
    const int64x2_t low = vrshlq_s64(vmull_s32(vget_low_s32(x), m), left);
    const int64x2_t high = vrshlq_s64(vmull_s32(vget_high_s32(x), m), left);

    return vqmovn_high_s64(vqmovn_s64(low), high);
}

void mbi_neon_requant_mul(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const int32x2_t m = vdup_n_s32(*(const int16_t *)a->in[1]);
    const int64x2_t left = vdupq_n_s64(-(q->shift + *(const int8_t *)a->in[2]));
    const int32x4_t lo = vdupq_n_s32(q->lo), hi = vdupq_n_s32(q->hi);
    const size_t end = vector_end(a);

    if (!loadable(a->in_type[0]->dtype) || !loadable(a->out_type->dtype)) {
        mbi_op_requant_mul.eval(a);
        return;
    }
    for (size_t i = a->begin; i < end; i += LANES) {
        int32x4x2_t x = load8(a->in[0], a->in_type[0]->dtype, i);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = clamp4(mul_shift4(x.val[h], m, left), lo, hi);
        store8(a->out, a->out_type->dtype, i, x);
    }
    reference_part(mbi_op_requant_mul.eval, a, end, a->end);
}

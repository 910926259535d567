/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways back to a narrower integer, for AVX2. The reference works in 64 bits; here every step
 * is exact in 32, or done in 64 where a product needs it.
 *                                  arithmetic.md, requant, requant_rows and requant_mul
 */
#include "cpu/x86/narrow.h"

/* ---- requant ---- */

/* The types are constants where this is called, so that the loop holds no choice. */
static inline void requant_loop(const struct mbi_op_args *a, size_t end, uint32_t in, uint32_t out)
{
    const struct mbi_requant_attr *q = a->attr;
    const __m256i lo = _mm256_set1_epi32(q->lo), hi = _mm256_set1_epi32(q->hi);
    const __m256i s = _mm256_set1_epi32(q->shift);

    for (size_t i = a->begin; i < end; i += LANES)
        store8(a->out, out, i, shift_clamp8(load8(a->in[0], in, i), s, lo, hi));
}

void MBI_X86(requant)(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const uint32_t in = a->in_type[0]->dtype, out = a->out_type->dtype;
    const size_t end = vector_end(a);

    if (!loadable(in) || q->shift < -32 || q->shift > 31) {
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
    const __m256i lo = _mm256_set1_epi32(q->lo), hi = _mm256_set1_epi32(q->hi);
    const __m256i shift = _mm256_set1_epi32(q->shift);
    const uint32_t in = a->in_type[0]->dtype;

    for (size_t c = 0; c < n; c += LANES)
        store8(a->out, out, i + c,
               shift_clamp8(load8(a->in[0], in, i + c), _mm256_add_epi32(shift, load8_i8(e + c)),
                            lo, hi));
}

void MBI_X86(requant_rows)(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const struct mbi_type *e = a->in_type[1];
    const size_t cols = a->out_type->cols;
    const uint32_t out = a->out_type->dtype;

    if (!loadable(a->in_type[0]->dtype) || q->shift + e->lo < -32 || q->shift + e->hi > 31) {
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

void MBI_X86(requant_mul)(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const int32_t s = q->shift + *(const int8_t *)a->in[2];
    const __m256i m = _mm256_set1_epi32(*(const int16_t *)a->in[1]);
    const __m256i lo = _mm256_set1_epi64x(q->lo), hi = _mm256_set1_epi64x(q->hi);
    const size_t end = vector_end(a);

    if (!loadable(a->in_type[0]->dtype) || s < 1 || s > 62) {
        mbi_op_requant_mul.eval(a);
        return;
    }
    for (size_t i = a->begin; i < end; i += LANES)
        store8(a->out, a->out_type->dtype, i,
               mul_shift_clamp8(load8(a->in[0], a->in_type[0]->dtype, i), m, s, lo, hi));
    reference_part(mbi_op_requant_mul.eval, a, end, a->end);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways back to a narrower integer, for AVX2. The reference works in 64 bits; here every step
 * is exact in 32, or done in 64 where a product needs it.
 *                                  arithmetic.md, requant, requant_rows and requant_mul
 */
#include "cpu/avx2/simd.h"

/* ceil(lo / 2^n): the floor, and one more if it dropped a bit. Shifts beyond 31 leave the sign. */
static inline __m256i ceil_shift(__m256i lo, __m256i n)
{
    const __m256i floor = _mm256_srav_epi32(lo, n);
    const __m256i exact = _mm256_cmpeq_epi32(_mm256_sllv_epi32(floor, n), lo);

    return _mm256_add_epi32(floor, _mm256_andnot_si256(exact, _mm256_set1_epi32(1)));
}

/*
 * clamp(x 2^n, lo, hi), 0 <= n <= 32. x 2^n > hi is x > floor(hi / 2^n), x 2^n < lo is
 * x < ceil(lo / 2^n); what is left lies in [lo, hi], so its shift in 32 bits is exact.
 */
static inline __m256i lshift_clamp(__m256i x, __m256i n, __m256i lo, __m256i hi)
{
    const __m256i over = _mm256_cmpgt_epi32(x, _mm256_srav_epi32(hi, n));
    const __m256i under = _mm256_cmpgt_epi32(ceil_shift(lo, n), x);
    const __m256i y = _mm256_blendv_epi8(_mm256_sllv_epi32(x, n), hi, over);

    return _mm256_blendv_epi8(y, lo, under);
}

/* clamp(rsh(x, s), lo, hi) with a shift for each lane, -32 <= s <= 31. */
static inline __m256i shift_clamp8(__m256i x, __m256i s, __m256i lo, __m256i hi)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i y = clamp8(rsh8(x, _mm256_max_epi32(s, zero)), lo, hi);
    const __m256i left = _mm256_cmpgt_epi32(zero, s);

    if (_mm256_testz_si256(left, left))
        return y;
    return _mm256_blendv_epi8(y, lshift_clamp(x, _mm256_sub_epi32(zero, s), lo, hi), left);
}

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

void mbi_avx2_requant(const struct mbi_op_args *a)
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

void mbi_avx2_requant_rows(const struct mbi_op_args *a)
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

/*
 * rsh(v, s) of four 64-bit v, 1 <= s <= 62, |v| <= 2^46: v + 2^62 + 2^(s-1) is positive and
 * below 2^63, so a logical shift floors it; 2^62 is a multiple of 2^s.
 */
static inline __m256i rsh_i64(__m256i v, int s)
{
    const int64_t offset = (int64_t)1 << 62, half = (int64_t)1 << (s - 1);
    const __m256i moved = _mm256_add_epi64(v, _mm256_set1_epi64x(offset + half));

    return _mm256_sub_epi64(_mm256_srl_epi64(moved, _mm_cvtsi32_si128(s)),
                            _mm256_set1_epi64x(offset >> s));
}

static inline __m256i clamp_i64(__m256i v, __m256i lo, __m256i hi)
{
    v = _mm256_blendv_epi8(v, hi, _mm256_cmpgt_epi64(v, hi));
    return _mm256_blendv_epi8(v, lo, _mm256_cmpgt_epi64(lo, v));
}

/* |x| <= 2^31 and m < 2^15, so a product is below 2^46. */
void mbi_avx2_requant_mul(const struct mbi_op_args *a)
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
    for (size_t i = a->begin; i < end; i += LANES) {
        const __m256i x = load8(a->in[0], a->in_type[0]->dtype, i);
        const __m256i even = clamp_i64(rsh_i64(_mm256_mul_epi32(x, m), s), lo, hi);
        const __m256i odd = clamp_i64(rsh_i64(_mm256_mul_epi32(odd_lanes(x), m), s), lo, hi);

        store8(a->out, a->out_type->dtype, i,
               _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA));
    }
    reference_part(mbi_op_requant_mul.eval, a, end, a->end);
}

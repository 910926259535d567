/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways back to a narrower integer on eight lanes. The reference works in 64 bits; here every
 * step is exact in 32, or done in 64 where a product needs it.
 *                                  arithmetic.md, requant, requant_rows, requant_mul, addsat
 */
#ifndef MBI_CPU_X86_NARROW_H
#define MBI_CPU_X86_NARROW_H

#include "cpu/x86/simd.h"

/* ---- clamp(rsh(x, s), lo, hi) ---- */

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

/* ---- clamp(rsh(x m, s), lo, hi) ---- */

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

/* |x| <= 2^31 and m < 2^15, so a product is below 2^46. lo and hi are 64-bit lanes. */
static inline __m256i mul_shift_clamp8(__m256i x, __m256i m, int s, __m256i lo, __m256i hi)
{
    const __m256i even = clamp_i64(rsh_i64(_mm256_mul_epi32(x, m), s), lo, hi);
    const __m256i odd = clamp_i64(rsh_i64(_mm256_mul_epi32(odd_lanes(x), m), s), lo, hi);

    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

/* ---- sat(a + b, bits) ---- */

/*
 * The second term is first cut to [lo - a.hi, hi - a.lo]: beyond that the result is saturated
 * whatever the first is, and stays so. What is left must fit i32.
 */
struct cut {
    int64_t lo, hi; /* of the result */
    int64_t b_lo, b_hi;
};

static inline bool cut_fits(struct cut *cut, const struct mbi_type *a, const struct mbi_type *b,
                            int bits)
{
    cut->lo = -((int64_t)1 << (bits - 1));
    cut->hi = -cut->lo - 1;
    cut->b_lo = mbi_max_i64(b->lo, cut->lo - a->hi);
    cut->b_hi = mbi_min_i64(b->hi, cut->hi - a->lo);
    return mbi_clamp_i64(cut->b_lo, INT32_MIN, INT32_MAX) == cut->b_lo &&
           mbi_clamp_i64(cut->b_hi, INT32_MIN, INT32_MAX) == cut->b_hi &&
           mbi_min_i64(cut->b_lo, cut->b_hi) + a->lo >= INT32_MIN &&
           mbi_max_i64(cut->b_lo, cut->b_hi) + a->hi <= INT32_MAX;
}

static inline __m256i add_cut8(__m256i a, __m256i b, const struct cut *cut)
{
    b = clamp8(b, _mm256_set1_epi32((int32_t)cut->b_lo), _mm256_set1_epi32((int32_t)cut->b_hi));
    return clamp8(_mm256_add_epi32(a, b), _mm256_set1_epi32((int32_t)cut->lo),
                  _mm256_set1_epi32((int32_t)cut->hi));
}

#endif

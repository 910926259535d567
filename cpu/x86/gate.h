/* SPDX-License-Identifier: Apache-2.0 */
/* The gates on eight lanes. Quotient and root are made digit by digit: exact, and no floats.
 *                                                                       arithmetic.md, gate */
#ifndef MBI_CPU_X86_GATE_H
#define MBI_CPU_X86_GATE_H

#include "cpu/x86/simd.h"

/* |x clamp(x + 512, 0, 1024)| <= 2^25, and 2^30 after the shift. */
static inline __m256i gate_hard(__m256i x)
{
    const __m256i c = clamp8(_mm256_add_epi32(x, _mm256_set1_epi32(512)), _mm256_setzero_si256(),
                             _mm256_set1_epi32(1024));

    return _mm256_slli_epi32(mul_i16(x, c), 5);
}

/* floor((m << 14) / (256 + m)), 0 <= m <= 2^15: below 2^14, so fourteen digits; the dividend is at
 * most 2^29, the divisor times 2^13 below 2^29. */
static inline __m256i sigmoid_half(__m256i m)
{
    const __m256i divisor = _mm256_add_epi32(m, _mm256_set1_epi32(256));
    __m256i rest = _mm256_slli_epi32(m, 14), quotient = _mm256_setzero_si256();

    for (int digit = 13; digit >= 0; digit--) {
        const __m256i part = _mm256_slli_epi32(divisor, digit);
        const __m256i small = _mm256_cmpgt_epi32(part, rest);

        rest = _mm256_sub_epi32(rest, _mm256_andnot_si256(small, part));
        quotient =
            _mm256_or_si256(quotient, _mm256_andnot_si256(small, _mm256_set1_epi32(1 << digit)));
    }
    return quotient;
}

/* s = 2^14 +- the quotient is in [1, 2^15 - 1], so it fits 16 bits and |x s| < 2^30. */
static inline __m256i gate_algebraic(__m256i x)
{
    const __m256i half = _mm256_sign_epi32(sigmoid_half(_mm256_abs_epi32(x)), x);

    return mul_i16(x, _mm256_add_epi32(_mm256_set1_epi32(1 << 14), half));
}

/* isqrt(v), 0 <= v < 2^31: sixteen digits, as mbi_isqrt; r + bit <= 2^31 - 1 by the size of v. */
static inline __m256i isqrt8(__m256i v)
{
    __m256i r = _mm256_setzero_si256();

    for (int place = 30; place >= 0; place -= 2) {
        const __m256i bit = _mm256_set1_epi32(1 << place), try = _mm256_add_epi32(r, bit);
        const __m256i small = _mm256_cmpgt_epi32(try, v);

        v = _mm256_sub_epi32(v, _mm256_andnot_si256(small, try));
        r = _mm256_add_epi32(_mm256_srli_epi32(r, 1), _mm256_andnot_si256(small, bit));
    }
    return r;
}

/* x^2 + 2^18 < 2^31; the squareplus is at most 32771, in Q23 below 2^31. */
static inline __m256i gate_squareplus(__m256i x)
{
    const __m256i root =
        isqrt8(_mm256_add_epi32(_mm256_mullo_epi32(x, x), _mm256_set1_epi32(4 << 16)));

    return _mm256_slli_epi32(_mm256_srai_epi32(_mm256_add_epi32(x, root), 1), 15);
}

/* Eight i16 as i32; the result is Q23. `kind` is a constant where this is called. */
static inline __m256i gate8(__m256i x, int32_t kind)
{
    return kind == MBI_GATE_HARD        ? gate_hard(x)
           : kind == MBI_GATE_ALGEBRAIC ? gate_algebraic(x)
                                        : gate_squareplus(x);
}

#endif

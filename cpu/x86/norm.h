/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a norm: the size of a group, its sum of squares, the factor that follows, and the
 * scaling. Roots are made digit by digit, of several groups at a time.
 *                                                     arithmetic.md, norm_rms and norm_shift
 */
#ifndef MBI_CPU_X86_NORM_H
#define MBI_CPU_X86_NORM_H

#include "cpu/x86/simd.h"

#define NORM_GROUPS 8 /* groups whose factors are found together */

/* What the elements of a group go through: rsh(x, headroom) m, then rsh by shift. A shift below 1
 * is left to the reference. */
struct factor {
    int headroom;
    int32_t m;
    int shift;
};

/* The magnitudes max(v, -1 - v) of eight elements, or-ed: only their highest bit is wanted. */
static inline __m256i add_magnitudes(__m256i any, __m256i v)
{
    return _mm256_or_si256(any, _mm256_xor_si256(v, _mm256_srai_epi32(v, 31)));
}

static inline int headroom_of(__m256i any)
{
    uint32_t bits[LANES], all = 0;

    store(bits, any);
    for (size_t i = 0; i < LANES; i++)
        all |= bits[i];
    return (int)mbi_max_i64(0, mbi_bitlen(all) - 15);
}

/* |q| <= 2^15 and groups have at most 2^15 elements: squares are at most 2^30 and 64-bit sums below
 * 2^45. */
static inline __m256i add_squares(__m256i sum, __m256i q)
{
    const __m256i odd = odd_lanes(q);

    sum = _mm256_add_epi64(sum, _mm256_mul_epi32(q, q));
    return _mm256_add_epi64(sum, _mm256_mul_epi32(odd, odd));
}

static inline uint64_t squares_of(__m256i sum)
{
    uint64_t part[4];

    store(part, sum);
    return part[0] + part[1] + part[2] + part[3];
}

/* isqrt of four v < 2^48, digit by digit as mbi_isqrt: r + bit < 2^48. */
static inline __m256i isqrt4(__m256i v)
{
    __m256i r = _mm256_setzero_si256();

    for (int place = 46; place >= 0; place -= 2) {
        const __m256i bit = _mm256_set1_epi64x(1LL << place);
        const __m256i try = _mm256_add_epi64(r, bit), small = _mm256_cmpgt_epi64(try, v);

        v = _mm256_sub_epi64(v, _mm256_andnot_si256(small, try));
        r = _mm256_add_epi64(_mm256_srli_epi64(r, 1), _mm256_andnot_si256(small, bit));
    }
    return r;
}

/* Factors of n <= NORM_GROUPS groups of d elements from their sums of squares; headroom is set. */
static inline void factors_rms(struct factor *f, uint64_t ss[NORM_GROUPS], size_t n, size_t d,
                               int frac)
{
    uint64_t root[NORM_GROUPS];

    for (size_t g = 0; g < n; g++)
        ss[g] = (ss[g] << 16) / d; /* <= 2^46 */
    for (size_t g = 0; g < n; g += 4)
        store(root + g, isqrt4(load(ss + g)));
    for (size_t g = 0; g < n; g++) {
        const uint32_t s = root[g] ? (uint32_t)root[g] : 1;
        const int k = mbi_bitlen(s);

        f[g].m = (int32_t)mbi_min_i64(32767, (int64_t)(((uint64_t)1 << (14 + k)) / s));
        f[g].shift = k + 6 - frac;
    }
}

static inline void factors_shift(struct factor *f, uint64_t ss[NORM_GROUPS], size_t n, size_t d,
                                 int frac)
{
    for (size_t g = 0; g < n; g++) {
        int e = 0;

        while (ss[g] << 16 >= (uint64_t)d << (2 * e + 1))
            e++;
        f[g].m = 1;
        f[g].shift = e - 8 - frac;
    }
}

/* A factor on all lanes. */
struct scaling {
    __m256i headroom, m, half;
    __m128i shift;
};

static inline struct scaling scaling_of(const struct factor *f)
{
    return (struct scaling){_mm256_set1_epi32(f->headroom), _mm256_set1_epi32(f->m),
                            _mm256_set1_epi32(1 << (f->shift - 1)), _mm_cvtsi32_si128(f->shift)};
}

/* Before saturation. |q m| <= 2^15 * 32767 < 2^30, and half of 2^s, s <= 30, is at most 2^29: no
 * sum wraps. */
static inline __m256i scale8(__m256i x, const struct scaling *s)
{
    const __m256i q = rsh8(x, s->headroom);

    return _mm256_sra_epi32(_mm256_add_epi32(_mm256_mullo_epi32(q, s->m), s->half), s->shift);
}

#endif

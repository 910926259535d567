/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the AVX2 kernels share: loads and stores by type, the rounding shift and the dyadic
 * polynomials on eight lanes. Every function gives the integers of its namesake in
 * base/intmath.h. Include it only in files that are compiled for AVX2.
 */
#ifndef MBI_CPU_AVX2_SIMD_H
#define MBI_CPU_AVX2_SIMD_H

#include "base/intmath.h"
#include "cpu/x86/x86.h"
#include <immintrin.h>
#include <string.h>

#define LANES 8 /* of int32 */

static inline __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void store(void *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline __m128i load_half(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline void store_half(void *p, __m128i v) { _mm_storeu_si128((__m128i *)p, v); }
static inline __m128i low_half(__m256i v) { return _mm256_castsi256_si128(v); }
static inline __m128i high_half(__m256i v) { return _mm256_extracti128_si256(v, 1); }

/* Sixteen i8 or eight i8 as wider integers. */
static inline __m256i load16_i8(const void *p) { return _mm256_cvtepi8_epi16(load_half(p)); }
static inline __m256i load8_i8(const void *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* The i32 at p in every lane: a pair of i16 as _mm256_madd_epi16 wants it. */
static inline __m256i broadcast_pair(const void *p)
{
    int32_t pair;

    memcpy(&pair, p, sizeof(pair));
    return _mm256_set1_epi32(pair);
}

static inline const void *element_at(const void *array, uint32_t dtype, size_t i)
{
    return (const char *)array + i * (dtype == MBI_I8 ? 1 : dtype == MBI_I16 ? 2 : 4);
}

/* What load8() can read. */
static inline bool loadable(uint32_t dtype) { return dtype >= MBI_I8 && dtype <= MBI_I32; }

/* Elements i .. i+7 of an array of i8, i16 or i32, as i32. */
static inline __m256i load8(const void *array, uint32_t dtype, size_t i)
{
    const void *p = element_at(array, dtype, i);

    return dtype == MBI_I8    ? load8_i8(p)
           : dtype == MBI_I16 ? _mm256_cvtepi16_epi32(load_half(p))
                              : load(p);
}

/* The opposite; a value outside a narrower type saturates. */
static inline void store8(void *array, uint32_t dtype, size_t i, __m256i v)
{
    const __m128i narrow = _mm_packs_epi32(low_half(v), high_half(v));

    if (dtype == MBI_I8)
        _mm_storel_epi64((__m128i *)(void *)((char *)array + i), _mm_packs_epi16(narrow, narrow));
    else if (dtype == MBI_I16)
        store_half((char *)array + 2 * i, narrow);
    else
        store((char *)array + 4 * i, v);
}

/* a b of eight lanes whose values fit 16 bits: the upper half of b is cleared, so that of a adds
 * nothing. One instruction where the 32-bit product takes two. */
static inline __m256i mul_i16(__m256i a, __m256i b)
{
    return _mm256_madd_epi16(a, _mm256_and_si256(b, _mm256_set1_epi32(65535)));
}

/* The reference on a part: what is left of a loop in steps of eight. */
static inline void reference_part(void (*eval)(const struct mbi_op_args *),
                                  const struct mbi_op_args *a, size_t begin, size_t end)
{
    struct mbi_op_args part = *a;

    part.begin = begin;
    part.end = end;
    if (begin < end)
        eval(&part);
}

/* End of the whole steps of eight from a->begin on. */
static inline size_t vector_end(const struct mbi_op_args *a)
{
    return a->begin + (a->end - a->begin) / LANES * LANES;
}

/* Sums of four vectors, each over its eight lanes. */
static inline __m128i sum_lanes4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    const __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));

    return _mm_add_epi32(low_half(s), high_half(s));
}

/* Keeps the compiler from regrouping sums and reloading factors, which costs it registers. */
#if defined(__AVX512F__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define IN_REGISTER(v) __asm__("" : "+x"(v))
#endif

/*
 * rsh(x, s), a shift for each lane, 0 <= s <= 31: the floor plus the highest bit that it drops,
 * which is bit s of 2x. Exact for every x: nothing is added before the shift, and after it the
 * floor is at most 2^30 - 1 if s > 0; for s = 0 bit 0 of 2x is 0.
 */
static inline __m256i rsh8(__m256i x, __m256i s)
{
    const __m256i bit =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_add_epi32(x, x), s), _mm256_set1_epi32(1));

    return _mm256_add_epi32(_mm256_srav_epi32(x, s), bit);
}

static inline __m256i clamp8(__m256i x, __m256i lo, __m256i hi)
{
    return _mm256_min_epi32(_mm256_max_epi32(x, lo), hi);
}

/* The four products of the even lanes and the four of the odd ones, in order, from 64 bits to
 * the 32 that begin at bit `at` (1..31): even lanes shifted down, odd ones up. */
#define SELECT_BITS(even, odd, at)                                                                 \
    _mm256_blend_epi32(_mm256_srli_epi64(even, at), _mm256_slli_epi64(odd, 32 - (at)), 0xAA)

static inline __m256i odd_lanes(__m256i x) { return _mm256_srli_epi64(x, 32); }

/*
 * ex2 of eight L. The bracket of the polynomial is one multiply-add of (f, q) moved to signed
 * 16 bits: |3526 * 2^15| + |466 * 2^15| < 2^27, and with the constant it is back in
 * [829563230, 1030100796]. The 64-bit products and sums are those of mbi_ex2. Shifts by 32 and
 * more give 0 here as they do there, where 30 already empties the 15 bits.
 */
static inline __m256i ex2_8(__m256i L)
{
    const __m256i f = _mm256_and_si256(L, _mm256_set1_epi32(65535)), e = _mm256_srli_epi32(L, 16);
    const __m256i q = _mm256_mulhi_epu16(f, f); /* the upper halves of f are 0 */
    const __m256i fq = _mm256_xor_si256(_mm256_or_si256(f, _mm256_slli_epi32(q, 16)),
                                        _mm256_set1_epi32((int32_t)0x80008000u));
    const __m256i bracket =
        _mm256_add_epi32(_mm256_madd_epi16(fq, _mm256_set1_epi32(466 * 65536 + (65536 - 3526))),
                         _mm256_set1_epi32(1030100796 - (3526 - 466) * 32768));
    const __m256i one = _mm256_set1_epi64x(((int64_t)1 << 48) - 1);
    const __m256i slope = _mm256_set1_epi64x(2977044472);
    const __m256i even = _mm256_add_epi64(_mm256_sub_epi64(one, _mm256_mul_epu32(f, slope)),
                                          _mm256_mul_epu32(q, bracket));
    const __m256i odd =
        _mm256_add_epi64(_mm256_sub_epi64(one, _mm256_mul_epu32(odd_lanes(f), slope)),
                         _mm256_mul_epu32(odd_lanes(q), odd_lanes(bracket)));
    const __m256i top = _mm256_blend_epi32(odd_lanes(even), odd, 0xAA); /* P >> 32 */

    return _mm256_srlv_epi32(_mm256_srli_epi32(top, 1), e);
}

/* One step of ex2w: c - (t f >> 16). t <= 2^30 and f < 2^16, so the product is below 2^46. */
static inline __m256i ex2w_step(__m256i t, __m256i f, int64_t c)
{
    return _mm256_sub_epi64(_mm256_set1_epi64x(c), _mm256_srli_epi64(_mm256_mul_epu32(t, f), 16));
}

static inline __m256i ex2w_t(__m256i f)
{
    __m256i t = _mm256_set1_epi64x(1021409);

    t = ex2w_step(t, f, 9900009);
    t = ex2w_step(t, f, 59386118);
    t = ex2w_step(t, f, 257893817);
    t = ex2w_step(t, f, 744257211);
    return ex2w_step(t, f, 1073741824);
}

/* ex2w of eight L below 2^21 (e <= 31). t is in (0, 2^30]. */
static inline __m256i ex2w_8(__m256i L)
{
    const __m256i f = _mm256_and_si256(L, _mm256_set1_epi32(65535)), e = _mm256_srli_epi32(L, 16);
    const __m256i t =
        _mm256_blend_epi32(ex2w_t(f), _mm256_slli_epi64(ex2w_t(odd_lanes(f)), 32), 0xAA);

    return rsh8(t, e);
}

#endif

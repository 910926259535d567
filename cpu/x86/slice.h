/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices: sixteen columns of a product of i16 matrices. The right matrix is stored in pairs of
 * rows: one i32 holds the rows 2k and 2k+1 of a column, so that one instruction multiplies a pair
 * and adds it to the column's sum. The caller answers for the sums.
 */
#ifndef MBI_CPU_X86_SLICE_H
#define MBI_CPU_X86_SLICE_H

#include "cpu/x86/simd.h"

#define SLICE 16

#if defined(__AVX512VNNI__)

#define SLICE_ROWS 8 /* rows that share a pass over the right matrix */

struct slice {
    __m512i v;
};

static inline struct slice slice_zero(void) { return (struct slice){_mm512_setzero_si512()}; }
static inline struct slice slice_load(const int32_t *p)
{
    return (struct slice){_mm512_loadu_si512(p)};
}

static inline void slice_store(int32_t *p, struct slice s) { _mm512_storeu_si512(p, s.v); }

/* Two rows of sixteen i16, column by column. */
static inline struct slice slice_pairs(__m256i even, __m256i odd)
{
    return (struct slice){_mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                          _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16))};
}

/* acc += a pair of the left matrix times a row of pairs. */
static inline struct slice slice_dot(struct slice acc, const int16_t *factor, struct slice x)
{
    int32_t pair;

    memcpy(&pair, factor, sizeof(pair));
    acc.v = _mm512_dpwssd_epi32(acc.v, x.v, _mm512_set1_epi32(pair));
    __asm__("" : "+v"(acc.v)); /* stays in its register */
    return acc;
}

/* The same where x is read once: straight from memory. */
static inline struct slice slice_dot_at(struct slice acc, const int16_t *factor, const int32_t *x)
{
    int32_t pair;

    memcpy(&pair, factor, sizeof(pair));
    acc.v = _mm512_dpwssd_epi32(acc.v, _mm512_set1_epi32(pair), _mm512_loadu_si512(x));
    __asm__("" : "+v"(acc.v));
    return acc;
}

static inline __m256i slice_low(struct slice s) { return _mm512_castsi512_si256(s.v); }
static inline __m256i slice_high(struct slice s) { return _mm512_extracti64x4_epi64(s.v, 1); }

#else

#define SLICE_ROWS 4

struct slice {
    __m256i v[2];
};

static inline struct slice slice_zero(void)
{
    return (struct slice){{_mm256_setzero_si256(), _mm256_setzero_si256()}};
}

static inline struct slice slice_load(const int32_t *p)
{
    return (struct slice){{load(p), load(p + LANES)}};
}

static inline void slice_store(int32_t *p, struct slice s)
{
    store(p, s.v[0]);
    store(p + LANES, s.v[1]);
}

static inline struct slice slice_pairs(__m256i even, __m256i odd)
{
    const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);

    return (struct slice){
        {_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)}};
}

static inline struct slice slice_dot(struct slice acc, const int16_t *factor, struct slice x)
{
    const __m256i pair = broadcast_pair(factor);

    for (size_t i = 0; i < 2; i++) {
        acc.v[i] = _mm256_add_epi32(acc.v[i], _mm256_madd_epi16(pair, x.v[i]));
        IN_REGISTER(acc.v[i]);
    }
    return acc;
}

static inline struct slice slice_dot_at(struct slice acc, const int16_t *factor, const int32_t *x)
{
    return slice_dot(acc, factor, slice_load(x));
}

static inline __m256i slice_low(struct slice s) { return s.v[0]; }
static inline __m256i slice_high(struct slice s) { return s.v[1]; }

#endif

/*
 * acc[r] += pair k of row r of the left matrix times pair k of x, for each k. Row r begins at
 * r * row_step, its pairs lie pair_step apart; the rows of x lie x_step apart.
 */
MBI_ALWAYS_INLINE void slice_product(struct slice *acc, size_t rows, const int16_t *factor,
                                     size_t row_step, size_t pair_step, const int32_t *x,
                                     size_t x_step, size_t pairs)
{
    for (size_t k = 0; k < pairs; k++) {
        const struct slice row = slice_load(x + k * x_step);

        for (size_t r = 0; r < rows; r++)
            acc[r] = slice_dot(acc[r], factor + r * row_step + k * pair_step, row);
    }
}

#endif

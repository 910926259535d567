/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of the machine's peaks for AVX2. */
#include "cpu/measure.h"
#include <immintrin.h>

#define SUMS 8 /* independent ones, so that no sum waits for the one before */
#define STEPS 64
#define VECTORS 3 /* of weights; times TOKENS sums in registers */
#define TOKENS 3

/* Keeps a sum where it is; the compiler would move and spill the others around it. */
#define IN_REGISTER(v) __asm__("" : "+x"(v))

static inline __m256i load(const void *p) { return _mm256_load_si256((const __m256i *)p); }

static uint64_t fold_one(__m256i v)
{
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    uint64_t part[2];

    _mm_storeu_si128((__m128i *)(void *)part, half);
    return part[0] + part[1];
}

static inline uint64_t fold(const __m256i sum[SUMS])
{
    __m256i all = sum[0];

#pragma GCC unroll 8
    for (size_t i = 1; i < SUMS; i++)
        all = _mm256_add_epi64(all, sum[i]);
    return fold_one(all);
}

static uint64_t read_all(const void *data, size_t bytes)
{
    __m256i sum[SUMS] = {_mm256_setzero_si256()};

    for (const char *p = data, *end = p + bytes; p < end; p += sizeof(sum))
#pragma GCC unroll 8
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = _mm256_add_epi64(sum[i], load(p + i * sizeof(*sum)));
    return fold(sum);
}

/* |x| times w with the sign of x: a pair of products is at most 2 * 127 * 127: none saturates. */
static uint64_t matvec(const void *weights, size_t bytes)
{
    const __m256i x = load(weights), magnitude = _mm256_abs_epi8(x), one = _mm256_set1_epi16(1);
    __m256i sum[SUMS] = {_mm256_setzero_si256()};

    for (const char *w = weights, *end = w + bytes; w < end; w += sizeof(sum))
#pragma GCC unroll 8
        for (size_t i = 0; i < SUMS; i++) {
            const __m256i pairs =
                _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(load(w + i * sizeof(*sum)), x));

            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, one));
            IN_REGISTER(sum[i]);
        }
    return fold(sum);
}

/*
 * Pairs of i16 as they stand after widening, which is not timed. Bytes are read as if they were
 * such pairs: the time of a product does not depend on its factors, and sums may wrap.
 */
static uint64_t matmul(const void *operands, size_t rounds)
{
    const __m256i *w = operands;
    const int32_t *x = (const int32_t *)(const void *)(w + STEPS * VECTORS);
    __m256i sum[TOKENS][VECTORS];

#pragma GCC unroll 3
    for (size_t t = 0; t < TOKENS; t++)
#pragma GCC unroll 3
        for (size_t v = 0; v < VECTORS; v++)
            sum[t][v] = _mm256_setzero_si256();
    for (size_t i = 0; i < rounds; i++)
        for (size_t k = 0; k < STEPS; k++) {
            __m256i in[TOKENS];

#pragma GCC unroll 3
            for (size_t t = 0; t < TOKENS; t++)
                in[t] = _mm256_set1_epi32(x[k * TOKENS + t]);
#pragma GCC unroll 3
            for (size_t v = 0; v < VECTORS; v++) {
                const __m256i row = load(w + k * VECTORS + v);

#pragma GCC unroll 3
                for (size_t t = 0; t < TOKENS; t++) {
                    sum[t][v] = _mm256_add_epi32(sum[t][v], _mm256_madd_epi16(row, in[t]));
                    IN_REGISTER(sum[t][v]);
                }
            }
        }
#pragma GCC unroll 3
    for (size_t t = 1; t < TOKENS; t++)
#pragma GCC unroll 3
        for (size_t v = 0; v < VECTORS; v++)
            sum[0][v] = _mm256_add_epi64(sum[0][v], sum[t][v]);
    return fold_one(_mm256_add_epi64(_mm256_add_epi64(sum[0][0], sum[0][1]), sum[0][2]));
}

const struct mbi_cpu_peaks mbi_cpu_peaks_avx2 = {
    .read = read_all,
    .matvec = matvec,
    .matmul = matmul,
    .matmul_macs = (size_t)STEPS * VECTORS * TOKENS * 16,
};

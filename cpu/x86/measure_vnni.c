/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of the machine's peaks for AVX-512 with VNNI. */
#include "cpu/measure.h"
#include <immintrin.h>

#define SUMS 8 /* independent ones, so that no sum waits for the one before */
#define STEPS 32
#define VECTORS 4 /* of weights in registers; times TOKENS sums */
#define TOKENS 6

/* Keeps a sum where it is; the compiler would move and spill the others around it. */
#define IN_REGISTER(v) __asm__("" : "+v"(v))

static inline __m512i load(const void *p) { return _mm512_load_si512(p); }

/* The compiler's own reduction adds signed numbers, which may not wrap. */
static inline uint64_t lanes_sum(__m512i v)
{
    uint64_t part[8], sum = 0;

    _mm512_storeu_si512(part, v);
    for (size_t i = 0; i < 8; i++)
        sum += part[i];
    return sum;
}

static inline uint64_t fold(const __m512i sum[SUMS])
{
    __m512i all = sum[0];

#pragma GCC unroll 8
    for (size_t i = 1; i < SUMS; i++)
        all = _mm512_add_epi64(all, sum[i]);
    return lanes_sum(all);
}

static uint64_t read_all(const void *data, size_t bytes)
{
    __m512i sum[SUMS] = {_mm512_setzero_si512()};

    for (const char *p = data, *end = p + bytes; p < end; p += sizeof(sum))
#pragma GCC unroll 8
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = _mm512_add_epi64(sum[i], load(p + i * sizeof(*sum)));
    return fold(sum);
}

/* Weights with 128 added are unsigned bytes; what that adds to a sum is known before. */
static uint64_t matvec(const void *weights, size_t bytes)
{
    const __m512i x = load(weights);
    __m512i sum[SUMS] = {_mm512_setzero_si512()};

    for (const char *w = weights, *end = w + bytes; w < end; w += sizeof(sum))
#pragma GCC unroll 8
        for (size_t i = 0; i < SUMS; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], load(w + i * sizeof(*sum)), x);
            IN_REGISTER(sum[i]);
        }
    return fold(sum);
}

/* Four vectors of weights, each the same four columns of 16 rows, times the same of six tokens. */
static uint64_t matmul(const void *operands, size_t rounds)
{
    const __m512i *w = operands;
    const int32_t *x = (const int32_t *)(const void *)(w + STEPS * VECTORS);
    __m512i sum[TOKENS][VECTORS];

#pragma GCC unroll 6
    for (size_t t = 0; t < TOKENS; t++)
#pragma GCC unroll 4
        for (size_t v = 0; v < VECTORS; v++)
            sum[t][v] = _mm512_setzero_si512();
    for (size_t i = 0; i < rounds * STEPS; i++) {
        const size_t k = i % STEPS;
        __m512i row[VECTORS];

#pragma GCC unroll 4
        for (size_t v = 0; v < VECTORS; v++) {
            row[v] = load(w + k * VECTORS + v);
            IN_REGISTER(row[v]);
        }
#pragma GCC unroll 6
        for (size_t t = 0; t < TOKENS; t++) {
            const __m512i in = _mm512_set1_epi32(x[k * TOKENS + t]);

#pragma GCC unroll 4
            for (size_t v = 0; v < VECTORS; v++) {
                sum[t][v] = _mm512_dpbusd_epi32(sum[t][v], row[v], in);
                IN_REGISTER(sum[t][v]);
            }
        }
    }
#pragma GCC unroll 6
    for (size_t t = 1; t < TOKENS; t++)
#pragma GCC unroll 4
        for (size_t v = 0; v < VECTORS; v++)
            sum[0][v] = _mm512_add_epi64(sum[0][v], sum[t][v]);
    return lanes_sum(_mm512_add_epi64(_mm512_add_epi64(sum[0][0], sum[0][1]),
                                      _mm512_add_epi64(sum[0][2], sum[0][3])));
}

const struct mbi_cpu_peaks mbi_cpu_peaks_avx512 = {
    .read = read_all,
    .matvec = matvec,
    .matmul = matmul,
    .matmul_macs = (size_t)STEPS * VECTORS * TOKENS * 64,
};

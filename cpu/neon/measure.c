/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of the machine's peaks for NEON. */
#include "cpu/neon/neon.h"
#include <arm_neon.h>

#define SUMS 8 /* independent ones, so that no sum waits for the one before */
#define STEPS 64
#define VECTORS 4 /* of weights */
#define TOKENS 2

uint64_t mbi_neon_read(const void *data, size_t bytes)
{
    uint64x2_t sum[SUMS], all = vdupq_n_u64(0);

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vdupq_n_u64(0);
    for (const uint64_t *p = data, *end = p + bytes / sizeof(*p); p < end; p += 2 * SUMS)
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = vaddq_u64(sum[i], vld1q_u64(p + 2 * i));
    for (size_t i = 0; i < SUMS; i++)
        all = vaddq_u64(all, sum[i]);
    return vaddvq_u64(all);
}

/* acc += the products of v and w with x, by pairs: two of them are at most 2 * 127 * 127 and fit 16
 * bits. */
static inline int32x4_t add_products(int32x4_t acc, int8x16_t v, int8x16_t w, int8x16_t x)
{
    const int16x8_t low =
        vmlal_s8(vmull_s8(vget_low_s8(v), vget_low_s8(x)), vget_low_s8(w), vget_low_s8(x));
    const int16x8_t high = vmlal_high_s8(vmull_high_s8(v, x), w, x);

    return vpadalq_s16(vpadalq_s16(acc, low), high);
}

static uint64_t fold(const int32x4_t *sum, size_t n)
{
    int32x4_t all = sum[0];

    for (size_t i = 1; i < n; i++)
        all = vaddq_s32(all, sum[i]);
    return (uint64_t)vaddvq_s32(all);
}

static uint64_t matvec(const void *weights, size_t bytes)
{
    const int8x16_t x = vld1q_s8(weights);
    int32x4_t sum[SUMS];

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vdupq_n_s32(0);
    for (const int8_t *w = weights, *end = w + bytes; w < end; w += 32 * SUMS)
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = add_products(sum[i], vld1q_s8(w + 32 * i), vld1q_s8(w + 32 * i + 16), x);
    return fold(sum, SUMS);
}

static uint64_t matmul(const void *operands, size_t rounds)
{
    const int8_t *w = operands, *x = w + 32 * (size_t)STEPS * VECTORS;
    int32x4_t sum[TOKENS * VECTORS];

    for (size_t i = 0; i < TOKENS * VECTORS; i++)
        sum[i] = vdupq_n_s32(0);
    for (size_t k = 0; k < rounds * STEPS; k++)
        for (size_t v = 0; v < VECTORS; v++) {
            const int8_t *row = w + (k % STEPS * VECTORS + v) * 32;
            const int8x16_t even = vld1q_s8(row), odd = vld1q_s8(row + 16);

            for (size_t t = 0; t < TOKENS; t++) {
                int32x4_t *const acc = &sum[t * VECTORS + v];

                *acc = add_products(*acc, even, odd, vld1q_s8(x + (k % STEPS * TOKENS + t) * 16));
            }
        }
    return fold(sum, TOKENS * VECTORS);
}

const struct mbi_cpu_peaks mbi_neon_peaks = {
    .read = mbi_neon_read,
    .matvec = matvec,
    .matmul = matmul,
    .matmul_macs = (size_t)STEPS * VECTORS * TOKENS * 32,
};

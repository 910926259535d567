/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of the machine's peaks for the dot product instructions. */
#include "cpu/neon/neon.h"
#include <arm_neon.h>

#define SUMS 16 /* independent ones, so that no sum waits for the one before */
#define STEPS 64
#define VECTORS 4 /* of weights; times TOKENS sums in registers */
#define TOKENS 4

static uint64_t fold(const int32x4_t *sum)
{
    int32x4_t all = sum[0];

    for (size_t i = 1; i < SUMS; i++)
        all = vaddq_s32(all, sum[i]);
    return (uint64_t)vaddvq_s32(all);
}

static uint64_t matvec(const void *weights, size_t bytes)
{
    const int8x16_t x = vld1q_s8(weights);
    int32x4_t sum[SUMS];

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vdupq_n_s32(0);
    for (const int8_t *w = weights, *end = w + bytes; w < end; w += 16 * SUMS)
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = vdotq_s32(sum[i], vld1q_s8(w + 16 * i), x);
    return fold(sum);
}

/* Four vectors of weights, each the same four columns of four rows, times those of four tokens. */
static uint64_t matmul(const void *operands, size_t rounds)
{
    const int8_t *w = operands, *x = w + 16 * (size_t)STEPS * VECTORS;
    int32x4_t sum[SUMS];

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vdupq_n_s32(0);
    for (size_t k = 0; k < rounds * STEPS; k++) {
        const int8x16_t in = vld1q_s8(x + k % STEPS * 4 * TOKENS);

        for (size_t v = 0; v < VECTORS; v++) {
            const int8x16_t row = vld1q_s8(w + (k % STEPS * VECTORS + v) * 16);

            sum[v] = vdotq_laneq_s32(sum[v], row, in, 0);
            sum[4 + v] = vdotq_laneq_s32(sum[4 + v], row, in, 1);
            sum[8 + v] = vdotq_laneq_s32(sum[8 + v], row, in, 2);
            sum[12 + v] = vdotq_laneq_s32(sum[12 + v], row, in, 3);
        }
    }
    return fold(sum);
}

const struct mbi_cpu_peaks mbi_neon_peaks_dot = {
    .read = mbi_neon_read,
    .matvec = matvec,
    .matmul = matmul,
    .matmul_macs = (size_t)STEPS * VECTORS * TOKENS * 16,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of the machine's peaks in plain C: what the compiler makes of them. */
#include "cpu/measure.h"

#define COLUMNS 1024 /* of a product of vectors; matmul's are half as long */
#define ROWS 4
#define TOKENS 4

static uint64_t read_all(const void *data, size_t bytes)
{
    const uint64_t *p = data;
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes / sizeof(*p); i++)
        sum += p[i];
    return sum;
}

/* |w x| <= 2^14 for bytes and 1024 columns: at most 2^24. */
static int32_t dot(const int8_t *w, const int16_t *x, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += w[i] * x[i];
    return sum;
}

static uint64_t matvec(const void *weights, size_t bytes)
{
    const int8_t *w = weights;
    int16_t x[COLUMNS];
    uint64_t sum = 0;

    for (size_t i = 0; i < COLUMNS; i++)
        x[i] = w[i];
    for (size_t k = 0; k < bytes; k += COLUMNS)
        sum += (uint64_t)dot(w + k, x, COLUMNS);
    return sum;
}

/* Values that fit a byte, as i16: the products and sums of dot() above. */
static int32_t dot_wide(const int16_t *w, const int16_t *x, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += w[i] * x[i];
    return sum;
}

static uint64_t matmul(const void *operands, size_t rounds)
{
    const int8_t *bytes = operands;
    int16_t w[ROWS * COLUMNS / 2], x[TOKENS * COLUMNS / 2];
    uint64_t sum = 0;

    for (size_t i = 0; i < ROWS * COLUMNS / 2; i++)
        w[i] = bytes[i];
    for (size_t i = 0; i < TOKENS * COLUMNS / 2; i++)
        x[i] = bytes[i];
    for (size_t k = 0; k < rounds; k++)
        for (size_t r = 0; r < ROWS; r++)
            for (size_t t = k; t < k + TOKENS; t++) /* so that no round is plainly another's */
                sum += (uint64_t)dot_wide(w + r * COLUMNS / 2, x + t % TOKENS * COLUMNS / 2,
                                          COLUMNS / 2);
    return sum;
}

const struct mbi_cpu_peaks mbi_cpu_peaks_scalar = {
    .read = read_all,
    .matvec = matvec,
    .matmul = matmul,
    .matmul_macs = (size_t)ROWS * TOKENS * COLUMNS / 2,
};

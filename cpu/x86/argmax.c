/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for AVX2: the largest value first, then its first place.    arithmetic.md, argmax */
#include "cpu/x86/simd.h"

static int32_t largest(const int32_t *x, size_t n)
{
    __m256i best = load(x);
    int32_t part[LANES], max;

    for (size_t i = 0; i < n; i += LANES)
        best = _mm256_max_epi32(best, load(x + mbi_min_size(i, n - LANES)));
    store(part, best);
    max = part[0];
    for (size_t i = 1; i < LANES; i++)
        max = part[i] > max ? part[i] : max;
    return max;
}

static size_t first_of(const int32_t *x, size_t n, int32_t value)
{
    const __m256i wanted = _mm256_set1_epi32(value);
    size_t i = 0;

    while (i + LANES <= n &&
           _mm256_testz_si256(_mm256_cmpeq_epi32(load(x + i), wanted), _mm256_set1_epi32(-1)))
        i += LANES;
    while (x[i] != value)
        i++;
    return i;
}

void MBI_X86(argmax)(const struct mbi_op_args *a)
{
    const size_t n = a->in_type[0]->cols;
    int32_t *y = a->out;

    if (a->in_type[0]->dtype != MBI_I32 || n < LANES) {
        mbi_op_argmax.eval(a);
        return;
    }
    for (size_t t = a->begin; t < a->end; t++) {
        const int32_t *x = (const int32_t *)a->in[0] + t * n;

        y[t] = (int32_t)first_of(x, n, largest(x, n));
    }
}

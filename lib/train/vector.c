/* SPDX-License-Identifier: Apache-2.0 */
/* The plainest float loops. */
#include "train/vector.h"

MBI_CLONES void mbi_add_to(float *MBI_RESTRICT y, const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

MBI_CLONES void mbi_scale(float *MBI_RESTRICT y, const float *MBI_RESTRICT x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = s * x[i];
}

MBI_CLONES float mbi_dot(const float *x, const float *y, size_t n)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

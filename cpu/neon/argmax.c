/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for NEON: the largest value first, then its first place.    arithmetic.md, argmax */
#include "cpu/neon/simd.h"

#define WIDTH 4

static int32_t largest(const int32_t *x, size_t n)
{
    int32x4_t best = vld1q_s32(x);

    for (size_t i = 0; i < n; i += WIDTH)
        best = vmaxq_s32(best, vld1q_s32(x + mbi_min_size(i, n - WIDTH)));
    return vmaxvq_s32(best);
}

static size_t first_of(const int32_t *x, size_t n, int32_t value)
{
    const int32x4_t wanted = vdupq_n_s32(value);
    size_t i = 0;

    while (i + WIDTH <= n && !vmaxvq_u32(vceqq_s32(vld1q_s32(x + i), wanted)))
        i += WIDTH;
    while (x[i] != value)
        i++;
    return i;
}

void mbi_neon_argmax(const struct mbi_op_args *a)
{
    const size_t n = a->in_type[0]->cols;
    int32_t *y = a->out;

    if (a->in_type[0]->dtype != MBI_I32 || n < WIDTH) {
        mbi_op_argmax.eval(a);
        return;
    }
    for (size_t t = a->begin; t < a->end; t++) {
        const int32_t *x = (const int32_t *)a->in[0] + t * n;

        y[t] = (int32_t)first_of(x, n, largest(x, n));
    }
}

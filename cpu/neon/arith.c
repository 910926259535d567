/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products for NEON.                          arithmetic.md, add, addsat and mul */
#include "cpu/neon/simd.h"

/* ---- add ---- */

/* The sum of two intervals fits i32 by inference. The row of a parameter, which serves
 * every lane, is the reference's. */
void mbi_neon_add(const struct mbi_op_args *a)
{
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;
    const bool fits = loadable(first) && loadable(second) && !a->in_is_param[1];
    const size_t end = fits ? vector_end(a) : a->begin;

    for (size_t i = a->begin; i < end; i += LANES) {
        int32x4x2_t x = load8(a->in[0], first, i);
        const int32x4x2_t y = load8(a->in[1], second, i);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = vaddq_s32(x.val[h], y.val[h]);
        store8(a->out, MBI_I32, i, x);
    }
    reference_part(mbi_op_add.eval, a, end, a->end);
}

/* ---- addsat ---- */

/* The processor's sum saturates to 32 bits, and at most 32 are asked for. */
void mbi_neon_addsat(const struct mbi_op_args *a)
{
    const int bits = ((const struct mbi_addsat_attr *)a->attr)->bits;
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;
    const size_t end = loadable(first) && loadable(second) ? vector_end(a) : a->begin;
    const int32x4_t lo = vdupq_n_s32((int32_t)mbi_sat(INT32_MIN, bits)),
                    hi = vdupq_n_s32((int32_t)mbi_sat(INT32_MAX, bits));

    for (size_t i = a->begin; i < end; i += LANES) {
        int32x4x2_t x = load8(a->in[0], first, i);
        const int32x4x2_t y = load8(a->in[1], second, i);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = clamp4(vqaddq_s32(x.val[h], y.val[h]), lo, hi);
        store8(a->out, MBI_I32, i, x);
    }
    reference_part(mbi_op_addsat.eval, a, end, a->end);
}

/* ---- mul ---- */

/* Products fit i32 by inference. A lane of n >= 8 elements; the last step overlaps the one before
 * it. */
static inline void mul_lane(int32_t *y, const void *a, uint32_t first, const void *b,
                            uint32_t second, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t at = mbi_min_size(i, n - LANES);
        int32x4x2_t p = load8(a, first, at);
        const int32x4x2_t q = load8(b, second, at);

        for (size_t h = 0; h < 2; h++)
            p.val[h] = vmulq_s32(p.val[h], q.val[h]);
        store8(y, MBI_I32, at, p);
    }
}

/* A factor for each group of a multiple of eight elements. */
static inline void mul_groups(int32_t *y, const void *a, uint32_t first, const void *b,
                              uint32_t second, size_t n, size_t group)
{
    for (size_t i = 0; i < n; i += group) {
        const int32_t factor =
            second == MBI_I8 ? ((const int8_t *)b)[i / group] : ((const int16_t *)b)[i / group];

        for (size_t k = i; k < i + group; k += LANES) {
            int32x4x2_t p = load8(a, first, k);

            for (size_t h = 0; h < 2; h++)
                p.val[h] = vmulq_n_s32(p.val[h], factor);
            store8(y, MBI_I32, k, p);
        }
    }
}

static inline void mul_loop(const struct mbi_op_args *a, uint32_t first, uint32_t second)
{
    const size_t n = a->out_type->cols,
                 group = (size_t)((const struct mbi_mul_attr *)a->attr)->group;
    const size_t step = a->in_is_param[1] ? 0 : a->in_type[1]->cols;

    for (size_t t = a->begin; t < a->end; t++) {
        const void *p = element_at(a->in[0], first, t * n);
        const void *q = element_at(a->in[1], second, t * step);
        int32_t *y = (int32_t *)a->out + t * n;

        if (group == 1)
            mul_lane(y, p, first, q, second, n);
        else
            mul_groups(y, p, first, q, second, n, group);
    }
}

void mbi_neon_mul(const struct mbi_op_args *a)
{
    const struct mbi_mul_attr *at = a->attr;
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;

    if (!loadable(first) || a->out_type->cols < LANES || (at->group > 1 && at->group % LANES))
        mbi_op_mul.eval(a);
    else if (first == MBI_I16 && second == MBI_I16)
        mul_loop(a, MBI_I16, MBI_I16);
    else if (first == MBI_I8 && second == MBI_I16)
        mul_loop(a, MBI_I8, MBI_I16);
    else
        mul_loop(a, first, second);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms for x86: two passes over a group, with a root and a division, or a few comparisons,
 * between them.                                       arithmetic.md, norm_rms and norm_shift
 */
#include "cpu/x86/norm.h"

/* Headroom and sum of squares of a group. */
static inline uint64_t weigh_group(struct factor *f, const void *r, uint32_t dtype, size_t at,
                                   size_t d)
{
    __m256i any = _mm256_setzero_si256(), sum = any, b;

    for (size_t i = 0; i < d; i += LANES)
        any = add_magnitudes(any, load8(r, dtype, at + i));
    f->headroom = headroom_of(any);
    b = _mm256_set1_epi32(f->headroom);
    for (size_t i = 0; i < d; i += LANES)
        sum = add_squares(sum, rsh8(load8(r, dtype, at + i), b));
    return squares_of(sum);
}

/* The narrowing store saturates to 16 bits and then, for an i8 result, to 8: what sat() does. */
static inline void scale_group(const struct mbi_op_args *a, size_t at, size_t d,
                               const struct factor *f, uint32_t in, uint32_t out)
{
    const struct scaling s = scaling_of(f);

    for (size_t i = at; i < at + d; i += LANES)
        store8(a->out, out, i, scale8(load8(a->in[0], in, i), &s));
}

typedef void (*find_factors)(struct factor *f, uint64_t ss[NORM_GROUPS], size_t n, size_t d,
                             int frac);

static inline void norm_groups(const struct mbi_op_args *a, find_factors find,
                               void (*reference)(const struct mbi_op_args *), uint32_t in,
                               uint32_t out)
{
    const struct mbi_norm_attr *at = a->attr;
    const size_t d = a->out_type->cols / (size_t)at->groups;

    for (size_t u = a->begin; u < a->end; u += NORM_GROUPS) {
        const size_t n = mbi_min_size(NORM_GROUPS, a->end - u);
        struct factor f[NORM_GROUPS];
        uint64_t ss[NORM_GROUPS] = {0};

        for (size_t g = 0; g < n; g++)
            ss[g] = weigh_group(&f[g], a->in[0], in, (u + g) * d, d);
        find(f, ss, n, d, at->frac);
        for (size_t g = 0; g < n; g++)
            if (f[g].shift < 1)
                reference_part(reference, a, u + g, u + g + 1);
            else
                scale_group(a, (u + g) * d, d, &f[g], in, out);
    }
}

static void norm(const struct mbi_op_args *a, find_factors find,
                 void (*reference)(const struct mbi_op_args *))
{
    const struct mbi_norm_attr *at = a->attr;
    const uint32_t in = a->in_type[0]->dtype, out = a->out_type->dtype;

    if (a->out_type->cols / (size_t)at->groups % LANES)
        reference(a);
    else if (in == MBI_I32 && out == MBI_I8)
        norm_groups(a, find, reference, MBI_I32, MBI_I8);
    else
        norm_groups(a, find, reference, in, out);
}

void MBI_X86(norm_rms)(const struct mbi_op_args *a) { norm(a, factors_rms, mbi_op_norm_rms.eval); }

void MBI_X86(norm_shift)(const struct mbi_op_args *a)
{
    norm(a, factors_shift, mbi_op_norm_shift.eval);
}

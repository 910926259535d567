/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms for NEON: two passes over a group, with a root and a division, or a few comparisons,
 * between them.                                       arithmetic.md, norm_rms and norm_shift
 */
#include "cpu/neon/simd.h"

/* The magnitudes max(v, -1 - v) of a group, or-ed: only their highest bit is wanted, which the
 * largest part of the or has too. */
static int headroom_shift(const void *r, uint32_t dtype, size_t at, size_t d)
{
    int32x4_t any = vdupq_n_s32(0);

    for (size_t i = 0; i < d; i += LANES) {
        const int32x4x2_t v = load8(r, dtype, at + i);

        for (size_t h = 0; h < 2; h++)
            any = vorrq_s32(any, veorq_s32(v.val[h], vshrq_n_s32(v.val[h], 31)));
    }
    return (int)mbi_max_i64(0, mbi_bitlen(vmaxvq_u32(vreinterpretq_u32_s32(any))) - 15);
}

/* |q| <= 2^15, d <= 2^15: squares are at most 2^30 and their 64-bit sums below 2^45. */
static uint64_t sum_of_squares(const void *r, uint32_t dtype, size_t at, size_t d, int32x4_t b)
{
    int64x2_t low = vdupq_n_s64(0), high = low;

    for (size_t i = 0; i < d; i += LANES) {
        const int32x4x2_t v = load8(r, dtype, at + i);

        for (size_t h = 0; h < 2; h++) {
            const int32x4_t q = rsh4(v.val[h], b);

            low = vmlal_s32(low, vget_low_s32(q), vget_low_s32(q));
            high = vmlal_high_s32(high, q, q);
        }
    }
    return (uint64_t)vaddvq_s64(vaddq_s64(low, high));
}

/* What the elements of a group go through: rsh(x, headroom) m, then rsh by shift. */
struct factor {
    int32_t m;
    int shift;
};

/* |q m| <= 2^15 * 32767 < 2^30. The narrowing store saturates to 16 bits and then, for an i8
 * result, to 8: what sat() does. A shift below 1 is left to the reference. */
static void scale(const struct mbi_op_args *a, size_t at, size_t d, int32x4_t b,
                  const struct factor *f)
{
    const int32x4_t shift = vdupq_n_s32(f->shift);

    for (size_t i = at; i < at + d; i += LANES) {
        int32x4x2_t v = load8(a->in[0], a->in_type[0]->dtype, i);

        for (size_t h = 0; h < 2; h++)
            v.val[h] = rsh4(vmulq_n_s32(rsh4(v.val[h], b), f->m), shift);
        store8(a->out, a->out_type->dtype, i, v);
    }
}

static struct factor factor_rms(uint64_t ss, size_t d, int frac)
{
    const uint32_t root = mbi_isqrt((ss << 16) / d), s = root ? root : 1;
    const int k = mbi_bitlen(s);

    return (struct factor){(int32_t)mbi_min_i64(32767, (int64_t)(((uint64_t)1 << (14 + k)) / s)),
                           k + 6 - frac};
}

static struct factor factor_shift(uint64_t ss, size_t d, int frac)
{
    int e = 0;

    while (ss << 16 >= (uint64_t)d << (2 * e + 1))
        e++;
    return (struct factor){1, e - 8 - frac};
}

static void norm(const struct mbi_op_args *a, struct factor (*find)(uint64_t, size_t, int),
                 void (*reference)(const struct mbi_op_args *))
{
    const struct mbi_norm_attr *at = a->attr;
    const size_t d = a->out_type->cols / (size_t)at->groups;
    const uint32_t dtype = a->in_type[0]->dtype;

    if (d % LANES) {
        reference(a);
        return;
    }
    for (size_t u = a->begin; u < a->end; u++) {
        const int32x4_t b = vdupq_n_s32(headroom_shift(a->in[0], dtype, u * d, d));
        const struct factor f = find(sum_of_squares(a->in[0], dtype, u * d, d, b), d, at->frac);

        if (f.shift < 1)
            reference_part(reference, a, u, u + 1);
        else
            scale(a, u * d, d, b, &f);
    }
}

void mbi_neon_norm_rms(const struct mbi_op_args *a) { norm(a, factor_rms, mbi_op_norm_rms.eval); }

void mbi_neon_norm_shift(const struct mbi_op_args *a)
{
    norm(a, factor_shift, mbi_op_norm_shift.eval);
}

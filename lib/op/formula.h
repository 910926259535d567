/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formulas of single elements that more than one kernel follows to the bit: gates, the factor
 * of a norm, the rotation of a pair. Compiles as C and as CUDA; docs/arithmetic.md is the normative
 * text.
 */
#ifndef MBI_OP_FORMULA_H
#define MBI_OP_FORMULA_H

#include "base/intmath.h"
#include "graph/op_attr.h"

/* |x| <= 2^15 and the other factor <= 2^15, so |y| <= 2^30; squareplus(x) <= 32768 as well. */
MBI_INLINE int32_t mbi_gate_of(int32_t x, int32_t kind)
{
    switch (kind) {
    case MBI_GATE_HARD:
        return x * (int32_t)mbi_clamp_i64(x + 512, 0, 1024) * 32;
    case MBI_GATE_ALGEBRAIC:
        return x * mbi_sigmoid(x);
    default:
        return (int32_t)mbi_squareplus(x, 8) * 32768;
    }
}

/* What the 16-bit elements of a group are multiplied with, then shifted by for a result in Q0. */
struct mbi_norm_factor {
    int64_t mul;
    int shift;
};

/*
 * norm_rms. s = 2^8 rms is below 2^24 (ss << 16 below 2^61), k <= 24, the dividend below 2^39, m in
 * [2^14, 32767] by the choice of k, |q m| < 2^30. A shift to the left (s = 1) stays below 2^48.
 */
MBI_INLINE struct mbi_norm_factor mbi_norm_rms_factor(uint64_t ss, size_t d)
{
    const uint32_t root = mbi_isqrt((ss << 16) / d);
    const uint32_t s = root ? root : 1;
    const int k = mbi_bitlen(s);
    const int64_t m = (int64_t)(((uint64_t)1 << (14 + k)) / s);
    struct mbi_norm_factor f;

    f.mul = mbi_min_i64(32767, m);
    f.shift = k + 6;
    return f;
}

/*
 * norm_shift. 2^(e-8) is the power of two nearest to rms in octaves: the smallest e >= 0 with
 * 2^16 ss < d 2^(2e+1), so rms < 2^(e-8) sqrt(2). ss <= d 2^30, so e <= 23 and d << 47 <= 2^62.
 * |v| <= 2^15 and a shift to the left is at most 8 + 14: below 2^38.
 */
MBI_INLINE struct mbi_norm_factor mbi_norm_shift_factor(uint64_t ss, size_t d)
{
    struct mbi_norm_factor f;
    int e = 0;

    while (ss << 16 >= (uint64_t)d << (2 * e + 1))
        e++;
    f.mul = 1;
    f.shift = e - 8;
    return f;
}

/*
 * Turn (x, y), both in Q8 with |.| <= 2^10, by phi / 256 of a full turn: three shears and a
 * quadrant. |t| <= 13573 and |s| <= 23170, and the pair stays below 1449 (over all 2^16 i8 pairs
 * and 256 phases), so each product is below 2^26.
 */
MBI_INLINE void mbi_rotate_pair(int32_t *x, int32_t *y, int32_t phi)
{
    const int32_t turned = phi + 32;
    const int32_t rho = (turned & 63) - 32;
    const int32_t t = mbi_shear_t(rho), s = mbi_shear_s(rho);

    *x -= (int32_t)mbi_rshift_half_up((int64_t)t * *y, 15);
    *y += (int32_t)mbi_rshift_half_up((int64_t)s * *x, 15);
    *x -= (int32_t)mbi_rshift_half_up((int64_t)t * *y, 15);
    for (int32_t quadrant = (turned >> 6) & 3; quadrant > 0; quadrant--) {
        const int32_t old = *x;

        *x = -*y;
        *y = old;
    }
}

/* Give back exactly what mbi_rotate_pair() was given. */
MBI_INLINE void mbi_rotate_pair_back(int32_t *x, int32_t *y, int32_t phi)
{
    const int32_t turned = phi + 32;
    const int32_t rho = (turned & 63) - 32;
    const int32_t t = mbi_shear_t(rho), s = mbi_shear_s(rho);

    for (int32_t quadrant = (turned >> 6) & 3; quadrant > 0; quadrant--) {
        const int32_t old = *x;

        *x = *y;
        *y = -old;
    }
    *x += (int32_t)mbi_rshift_half_up((int64_t)t * *y, 15);
    *y -= (int32_t)mbi_rshift_half_up((int64_t)s * *x, 15);
    *x += (int32_t)mbi_rshift_half_up((int64_t)t * *y, 15);
}

/* A pair of an i8 vector in Q5, turned in Q8 and rounded back. */
MBI_INLINE void mbi_rotate_bytes(int8_t *pair, int32_t phi)
{
    int32_t x = pair[0] * 8, y = pair[1] * 8;

    mbi_rotate_pair(&x, &y, phi);
    pair[0] = (int8_t)mbi_sat(mbi_rshift_half_up(x, 3), 8);
    pair[1] = (int8_t)mbi_sat(mbi_rshift_half_up(y, 3), 8);
}

/* decay: l = 2^v, v = sat16(dt + bias) in Q8 clamped to [-11, 3]; with hold, 0 at the lower
 * clamp. */
MBI_INLINE int32_t mbi_decay_of(int32_t dt, int32_t bias, int32_t hold)
{
    const int32_t v = (int32_t)mbi_sat(dt + bias, 16);

    return hold && v <= MBI_DECAY_V_MIN ? 0 : (int32_t)mbi_ell(v);
}

/* conv of one channel over four inputs, oldest first. |sum| <= 4 2^15 127 < 2^24. */
MBI_INLINE int16_t mbi_conv_of(const int16_t x[4], const int8_t w[4], int32_t e, int32_t bias)
{
    int64_t sum = 0;

    for (int j = 0; j < 4; j++)
        sum += w[j] * x[j];
    return (int16_t)mbi_sat(bias + mbi_rshift_half_up(sum, e), 16);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact integer arithmetic: rounding shifts, saturation, square root and the dyadic
 * polynomials. docs/arithmetic.md, section 1, is the normative text. No function here reads a
 * table and none can overflow inside its stated range. Compiles as C and as CUDA.
 */
#ifndef MBI_BASE_INTMATH_H
#define MBI_BASE_INTMATH_H

#include "base/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

MBI_INLINE int64_t mbi_clamp_i64(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

MBI_INLINE int64_t mbi_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
MBI_INLINE int64_t mbi_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
MBI_INLINE size_t mbi_min_size(size_t a, size_t b) { return a < b ? a : b; }
MBI_INLINE uint64_t mbi_min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
MBI_INLINE size_t mbi_max_size(size_t a, size_t b) { return a > b ? a : b; }

/* Saturate to `bits` bits, two's complement. */
MBI_INLINE int64_t mbi_sat(int64_t x, int bits)
{
    return mbi_clamp_i64(x, -((int64_t)1 << (bits - 1)), ((int64_t)1 << (bits - 1)) - 1);
}

/* x * 2^s without a left shift of a negative number. 0 <= s <= 62 and the result fits. */
MBI_INLINE int64_t mbi_lshift(int64_t x, int s) { return x * ((int64_t)1 << s); }

/* floor(x / 2^s). 0 <= s <= 63. */
MBI_INLINE int64_t mbi_rshift_floor(int64_t x, int s) { return x >> s; }

/*
 * rsh: floor(x / 2^s + 1/2), halves go up; s <= 0 is x * 2^-s. -32 <= s <= 62.
 * |x| < 2^62 for s > 0, |x| * 2^-s < 2^63 for s <= 0.
 */
MBI_INLINE int64_t mbi_rshift_half_up(int64_t x, int s)
{
    return s > 0 ? (x + ((int64_t)1 << (s - 1))) >> s : mbi_lshift(x, -s);
}

/* The 16-bit rounding product rsh(a * b, 15). The pair (-32768, -32768) must not occur. */
MBI_INLINE int32_t mbi_mulr(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

/* Number of bits of x: 0 for 0, else 1 + floor(log2 x). */
MBI_INLINE int mbi_bitlen(uint64_t x)
{
    int n = 0;

    for (int s = 32; s > 0; s >>= 1)
        if (x >> s) {
            x >>= s;
            n += s;
        }
    return n + (int)x; /* x is 0 or 1 here */
}

/* Largest r with r * r <= x. Digit by digit, from the top pair of bits of x: two bits of x for one
 * bit of r. */
MBI_INLINE uint32_t mbi_isqrt(uint64_t x)
{
    uint64_t r = 0;

    for (uint64_t bit = (uint64_t)1 << ((mbi_bitlen(x | 1) - 1) & ~1); bit; bit >>= 2) {
        if (x >= r + bit) {
            x -= r + bit;
            r = (r >> 1) + bit;
        } else {
            r >>= 1;
        }
    }
    return (uint32_t)r;
}

/*
 * ex2: 2^-L for L in Q16, as Q15 in [0, 32767]. Never above the true value, never rising.
 * 0 <= true - ex2 < 1.31 over every L. P falls strictly from 2^48-1 to 1.00001 * 2^47 and the
 * bracket stays in [829563230, 1030100796], so nothing wraps.
 */
MBI_INLINE uint32_t mbi_ex2(uint32_t L)
{
    const uint64_t f = L & 65535, e = L >> 16;
    const uint64_t q = (f * f) >> 16;
    const uint64_t p =
        (((uint64_t)1 << 48) - 1) - 2977044472u * f + q * (1030100796u - 3526u * f + 466u * q);

    return (uint32_t)(p >> (33 + (e < 30 ? e : 30)));
}

/*
 * ex2w: 2^-L for L in Q16, as Q30. Never rising; error -0.77 .. +128.5 units over every L.
 * Every t is in (0, 2^30] and every product below 2^46.
 */
MBI_INLINE uint32_t mbi_ex2w(uint32_t L)
{
    const uint64_t f = L & 65535;
    const uint32_t e = L >> 16;
    uint64_t t = 1021409;

    t = 9900009 - ((t * f) >> 16);
    t = 59386118 - ((t * f) >> 16);
    t = 257893817 - ((t * f) >> 16);
    t = 744257211 - ((t * f) >> 16);
    t = 1073741824 - ((t * f) >> 16);
    return (uint32_t)mbi_rshift_half_up((int64_t)t, e < 32 ? (int)e : 32);
}

#define MBI_DECAY_V_MIN (-11 * 256) /* half-life 2048 tokens */
#define MBI_DECAY_V_MAX (3 * 256)   /* half-life 1/8 token */

/* ell: the decay exponent 2^v, v in Q8 clamped to [-11, 3], as Q16: 32 .. 2^19. */
MBI_INLINE uint32_t mbi_ell(int32_t v)
{
    const int32_t c = (int32_t)mbi_clamp_i64(v, MBI_DECAY_V_MIN, MBI_DECAY_V_MAX);

    return (uint32_t)mbi_rshift_half_up(mbi_ex2w((uint32_t)(MBI_DECAY_V_MAX - c) << 8), 11);
}

/* Input weight 1 - 2^-l of a decay l in [0, 2^19], as Q18; at most 1 - 2^-l + 2^-19; 0 at l = 0. */
MBI_INLINE uint32_t mbi_input_weight(uint32_t l)
{
    return (uint32_t)(((int64_t)1 << 18) - mbi_rshift_half_up(mbi_ex2w(l), 12));
}

/* 2^15 * tan(pi * rho / 256), correctly rounded, rho in [-32, 31]; `wide` before its rounding. */
MBI_INLINE int64_t mbi_shear_t_wide(int64_t rho)
{
    const int64_t r2 = rho * rho;

    return rho * (3373226304 + r2 * (169203 + 11 * r2));
}

MBI_INLINE int32_t mbi_shear_t(int32_t rho)
{
    return (int32_t)mbi_rshift_half_up(mbi_shear_t_wide(rho), 23);
}

/* 2^15 * sin(2 * pi * rho / 256), correctly rounded, rho in [-32, 31]; `wide` as above. */
MBI_INLINE int64_t mbi_shear_s_wide(int64_t rho)
{
    const int64_t r2 = rho * rho;

    return rho * (1686634269 - r2 * (169312 - 5 * r2));
}

MBI_INLINE int32_t mbi_shear_s(int32_t rho)
{
    return (int32_t)mbi_rshift_half_up(mbi_shear_s_wide(rho), 21);
}

/* Squareplus (x + sqrt(x^2 + 4)) / 2 in Q`frac`, floored. |x| < 2^30, 0 <= frac <= 14. */
MBI_INLINE int64_t mbi_squareplus(int64_t x, int frac)
{
    return (x + (int64_t)mbi_isqrt((uint64_t)(x * x) + ((uint64_t)4 << (2 * frac)))) >> 1;
}

/* Algebraic sigmoid of x in Q8, as Q15: 1/2 + x / (2 * (1 + |x|)), the division floored. */
MBI_INLINE int32_t mbi_sigmoid(int32_t x)
{
    const int32_t m = x < 0 ? -x : x;
    const int32_t d = (int32_t)(((int64_t)m << 14) / (256 + m));

    return (1 << 14) + (x < 0 ? -d : d);
}

/* Checked size arithmetic for every number that came from outside: false on overflow. */
MBI_INLINE bool mbi_mul_size(size_t *out, size_t a, size_t b)
{
    if (a && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

MBI_INLINE bool mbi_add_size(size_t *out, size_t a, size_t b)
{
    if (b > SIZE_MAX - a)
        return false;
    *out = a + b;
    return true;
}

/* Smallest multiple of the power of two `align` that is at least n; n <= SIZE_MAX - align. */
MBI_INLINE size_t mbi_align_size(size_t n, size_t align) { return (n + align - 1) & ~(align - 1); }

#endif

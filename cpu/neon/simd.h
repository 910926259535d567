/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the NEON kernels share: loads and stores by type, the rounding shift and the dyadic
 * polynomials on four lanes. Every function gives the integers of its namesake in base/intmath.h.
 * The rounding shifts of the processor add their half without a bound on the sum, so they are
 * exact for every operand.
 */
#ifndef MBI_CPU_NEON_SIMD_H
#define MBI_CPU_NEON_SIMD_H

#include "base/intmath.h"
#include "cpu/neon/neon.h"
#include <arm_neon.h>
#include <string.h>

#define LANES 8 /* of int32, in two vectors */

static inline const void *element_at(const void *array, uint32_t dtype, size_t i)
{
    return (const char *)array + i * (dtype == MBI_I8 ? 1 : dtype == MBI_I16 ? 2 : 4);
}

/* What load8() can read. */
static inline bool loadable(uint32_t dtype) { return dtype >= MBI_I8 && dtype <= MBI_I32; }

static inline int32x4x2_t widen8(int16x8_t v)
{
    return (int32x4x2_t){{vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v)}};
}

/* Elements i .. i+7 of an array of i8, i16 or i32, as i32. */
static inline int32x4x2_t load8(const void *array, uint32_t dtype, size_t i)
{
    const void *p = element_at(array, dtype, i);

    if (dtype == MBI_I8)
        return widen8(vmovl_s8(vld1_s8(p)));
    if (dtype == MBI_I16)
        return widen8(vld1q_s16(p));
    return (int32x4x2_t){{vld1q_s32(p), vld1q_s32((const int32_t *)p + 4)}};
}

/* The opposite; a value outside a narrower type saturates. */
static inline void store8(void *array, uint32_t dtype, size_t i, int32x4x2_t v)
{
    const int16x8_t narrow = vqmovn_high_s32(vqmovn_s32(v.val[0]), v.val[1]);

    if (dtype == MBI_I8) {
        vst1_s8((int8_t *)array + i, vqmovn_s16(narrow));
    } else if (dtype == MBI_I16) {
        vst1q_s16((int16_t *)array + i, narrow);
    } else {
        vst1q_s32((int32_t *)array + i, v.val[0]);
        vst1q_s32((int32_t *)array + i + 4, v.val[1]);
    }
}

/* The reference on a part: what is left of a loop in steps of eight. */
static inline void reference_part(void (*eval)(const struct mbi_op_args *),
                                  const struct mbi_op_args *a, size_t begin, size_t end)
{
    struct mbi_op_args part = *a;

    part.begin = begin;
    part.end = end;
    if (begin < end)
        eval(&part);
}

/* End of the whole steps of eight from a->begin on. */
static inline size_t vector_end(const struct mbi_op_args *a)
{
    return a->begin + (a->end - a->begin) / LANES * LANES;
}

static inline int32x4_t clamp4(int32x4_t x, int32x4_t lo, int32x4_t hi)
{
    return vminq_s32(vmaxq_s32(x, lo), hi);
}

/* rsh(x, s), a shift for each lane, 0 <= s <= 31. */
static inline int32x4_t rsh4(int32x4_t x, int32x4_t s) { return vrshlq_s32(x, vnegq_s32(s)); }

/*
 * clamp(rsh(x, -left), lo, hi), a shift for each lane, -62 <= left <= 32. The processor's shift
 * saturates to 32 bits; lo and hi lie inside them, so the clamp sees no difference.
 */
static inline int32x4_t shift_clamp4(int32x4_t x, int32x4_t left, int32x4_t lo, int32x4_t hi)
{
    return clamp4(vqrshlq_s32(x, left), lo, hi);
}

/* v where `negative` is 0, -v where it is -1. */
static inline int32x4_t negate_where(int32x4_t v, int32x4_t negative)
{
    return vsubq_s32(veorq_s32(v, negative), negative);
}

/* High halves of the 64-bit words of both. */
static inline uint32x4_t high_halves(uint64x2_t a, uint64x2_t b)
{
    return vshrn_high_n_u64(vshrn_n_u64(a, 32), b, 32);
}

/* q bracket - 2977044472 f + 2^48 - 1 of two lanes: as mbi_ex2(), so nothing wraps. */
static inline uint64x2_t ex2_sum(uint32x2_t f, uint32x2_t q, uint32x2_t bracket)
{
    const uint64x2_t falling =
        vmlsl_u32(vdupq_n_u64(((uint64_t)1 << 48) - 1), f, vdup_n_u32(2977044472u));

    return vmlal_u32(falling, q, bracket);
}

/* ex2 of four L. P >> 33 is below 2^15, so shifts by more than 15 all leave 0. */
static inline uint32x4_t ex2_4(uint32x4_t L)
{
    const uint32x4_t f = vandq_u32(L, vdupq_n_u32(65535)), e = vshrq_n_u32(L, 16);
    const uint32x4_t q = vshrq_n_u32(vmulq_u32(f, f), 16);
    const uint32x4_t bracket = vmlaq_n_u32(vmlsq_n_u32(vdupq_n_u32(1030100796), f, 3526), q, 466);
    const uint32x4_t top =
        high_halves(ex2_sum(vget_low_u32(f), vget_low_u32(q), vget_low_u32(bracket)),
                    ex2_sum(vget_high_u32(f), vget_high_u32(q), vget_high_u32(bracket)));
    const int32x4_t right = vreinterpretq_s32_u32(vminq_u32(e, vdupq_n_u32(31)));

    return vshlq_u32(vshrq_n_u32(top, 1), vnegq_s32(right));
}

/* One step of ex2w: c - (t f >> 16). t <= 2^30 and f < 2^16, so the product is below 2^46 and what
 * is left of it below 2^30. */
static inline uint32x4_t ex2w_step(uint32x4_t t, uint32x4_t f, uint32_t c)
{
    const uint64x2_t low = vmull_u32(vget_low_u32(t), vget_low_u32(f));
    const uint64x2_t high = vmull_high_u32(t, f);

    return vsubq_u32(vdupq_n_u32(c), vshrn_high_n_u64(vshrn_n_u64(low, 16), high, 16));
}

/* ex2w of four L below 2^21 (e <= 31). t is in (0, 2^30]. */
static inline int32x4_t ex2w_4(uint32x4_t L)
{
    const uint32x4_t f = vandq_u32(L, vdupq_n_u32(65535)), e = vshrq_n_u32(L, 16);
    uint32x4_t t = vdupq_n_u32(1021409);

    t = ex2w_step(t, f, 9900009);
    t = ex2w_step(t, f, 59386118);
    t = ex2w_step(t, f, 257893817);
    t = ex2w_step(t, f, 744257211);
    t = ex2w_step(t, f, 1073741824);
    return rsh4(vreinterpretq_s32_u32(t), vreinterpretq_s32_u32(e));
}

#endif

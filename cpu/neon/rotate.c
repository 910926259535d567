/* SPDX-License-Identifier: Apache-2.0 */
/* rotate for NEON: eight pairs at a time.                             arithmetic.md, rotate */
#include "cpu/neon/simd.h"

/*
 * rho times the bracket, rounded: t and s are odd in rho and no bracket meets a tie, so the sign
 * may wait. |rho| <= 32 times 32 bits is below 2^37; 32 bits from `at` on hold the result.
 */
#define TIMES_RHO(bracket, rho, at)                                                                \
    vreinterpretq_s32_u32(                                                                         \
        vrshrn_high_n_u64(vrshrn_n_u64(vmull_u32(vget_low_u32(bracket), vget_low_u32(rho)), at),   \
                          vmull_high_u32(bracket, rho), at))

/* The brackets of mbi_shear_t and mbi_shear_s fit u32, their products with rho^2 <= 2^10 too. */
static inline int32x4_t shear_t4(int32x4_t rho)
{
    const uint32x4_t m = vreinterpretq_u32_s32(vabsq_s32(rho)), r2 = vmulq_u32(m, m);
    const uint32x4_t inner = vmlaq_n_u32(vdupq_n_u32(169203), r2, 11);
    const uint32x4_t bracket = vmlaq_u32(vdupq_n_u32(3373226304u), r2, inner);

    return negate_where(TIMES_RHO(bracket, m, 23), vshrq_n_s32(rho, 31));
}

static inline int32x4_t shear_s4(int32x4_t rho)
{
    const uint32x4_t m = vreinterpretq_u32_s32(vabsq_s32(rho)), r2 = vmulq_u32(m, m);
    const uint32x4_t inner = vmlsq_n_u32(vdupq_n_u32(169312), r2, 5);
    const uint32x4_t bracket = vmlsq_u32(vdupq_n_u32(1686634269), r2, inner);

    return negate_where(TIMES_RHO(bracket, m, 21), vshrq_n_s32(rho, 31));
}

struct turn {
    int16x8_t t, s;
    uint16x8_t swap, negate; /* masks: odd quadrants; quadrants 2 and 3 */
};

/* |t| <= 13573 and |s| <= 23170 fit 16 bits. */
static struct turn turn_by(const int16_t *phi)
{
    const int16x8_t turned = vaddq_s16(vld1q_s16(phi), vdupq_n_s16(32));
    const int32x4x2_t rho = widen8(vsubq_s16(vandq_s16(turned, vdupq_n_s16(63)), vdupq_n_s16(32)));

    return (struct turn){vmovn_high_s32(vmovn_s32(shear_t4(rho.val[0])), shear_t4(rho.val[1])),
                         vmovn_high_s32(vmovn_s32(shear_s4(rho.val[0])), shear_s4(rho.val[1])),
                         vtstq_s16(turned, vdupq_n_s16(64)), vtstq_s16(turned, vdupq_n_s16(128))};
}

/* rsh(f v, 15) is the processor's doubling product; f = v = -2^15 does not occur. */
static inline int16x8_t shear(int16x8_t f, int16x8_t v) { return vqrdmulhq_s16(f, v); }

/* Eight pairs. In Q8 the coordinates stay below 1449. */
static void rotate8(int8_t *v, const struct turn *r)
{
    int8x8x2_t pairs = vld2_s8(v);
    int16x8_t x = vshll_n_s8(pairs.val[0], 3), y = vshll_n_s8(pairs.val[1], 3), old;

    x = vsubq_s16(x, shear(r->t, y));
    y = vaddq_s16(y, shear(r->s, x));
    x = vsubq_s16(x, shear(r->t, y));
    old = x;
    x = vbslq_s16(r->swap, vnegq_s16(y), x);
    y = vbslq_s16(r->swap, old, y);
    x = vbslq_s16(r->negate, vnegq_s16(x), x);
    y = vbslq_s16(r->negate, vnegq_s16(y), y);
    pairs.val[0] = vqrshrn_n_s16(x, 3);
    pairs.val[1] = vqrshrn_n_s16(y, 3);
    vst2_s8(v, pairs);
}

void mbi_neon_rotate(const struct mbi_op_args *a)
{
    const size_t pairs = (size_t)((const struct mbi_rotate_attr *)a->attr)->pairs;
    const size_t n = a->out_type->cols;
    int8_t *y = a->out;

    if (pairs % LANES) {
        mbi_op_rotate.eval(a);
        return;
    }
    for (size_t t = a->begin; t < a->end; t++) {
        memcpy(y + t * n, (const int8_t *)a->in[0] + t * n, n);
        for (size_t k = 0; k < pairs; k += LANES) {
            const struct turn r = turn_by((const int16_t *)a->in[1] + t * pairs + k);

            rotate8(y + t * n + 2 * k, &r);
            rotate8(y + t * n + n / 2 + 2 * k, &r);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* decay for NEON.                                                      arithmetic.md, decay */
#include "cpu/neon/simd.h"

/* ell of four v in [MIN, MAX]: the exponent is at most 3584 << 8, below 2^21. */
static inline int32x4_t ell4(int32x4_t v)
{
    const int32x4_t L = vshlq_n_s32(vsubq_s32(vdupq_n_s32(MBI_DECAY_V_MAX), v), 8);

    return vrshrq_n_s32(ex2w_4(vreinterpretq_u32_s32(L)), 11);
}

/* Saturating addition of i16 is sat16 of the sum. */
void mbi_neon_decay(const struct mbi_op_args *a)
{
    const struct mbi_decay_attr *at = a->attr;
    const int32x4_t lowest = vdupq_n_s32(MBI_DECAY_V_MIN), highest = vdupq_n_s32(MBI_DECAY_V_MAX);
    const int32x4_t none = vdupq_n_s32(at->hold ? 0 : -1);
    const size_t n = a->out_type->cols, end = vector_end(a);
    const int16_t *dt = a->in[0], *bias = a->in[1];
    size_t c = a->begin % n;

    for (size_t i = a->begin; i < end; i += LANES) {
        int16_t b[LANES];
        int32x4x2_t v;

        for (size_t k = 0; k < LANES; k++, c = c + 1 < n ? c + 1 : 0)
            b[k] = bias[c];
        v = widen8(vqaddq_s16(vld1q_s16(dt + i), vld1q_s16(b)));
        for (size_t h = 0; h < 2; h++) {
            const int32x4_t live =
                vorrq_s32(vreinterpretq_s32_u32(vcgtq_s32(v.val[h], lowest)), none);

            v.val[h] = vandq_s32(ell4(clamp4(v.val[h], lowest, highest)), live);
        }
        store8(a->out, MBI_I32, i, v);
    }
    reference_part(mbi_op_decay.eval, a, end, a->end);
}

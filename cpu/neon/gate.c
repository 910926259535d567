/* SPDX-License-Identifier: Apache-2.0 */
/* gate for NEON. Quotient and root are made digit by digit, four at a time: exact, and no floats.
 *                                                                       arithmetic.md, gate */
#include "cpu/neon/simd.h"

/* |x clamp(x + 512, 0, 1024)| <= 2^25, and 2^30 after the shift. */
static inline int32x4_t gate_hard(int32x4_t x)
{
    const int32x4_t c = clamp4(vaddq_s32(x, vdupq_n_s32(512)), vdupq_n_s32(0), vdupq_n_s32(1024));

    return vshlq_n_s32(vmulq_s32(x, c), 5);
}

/* floor((m << 14) / (256 + m)), 0 <= m <= 2^15: below 2^14, so fourteen digits; the dividend is at
 * most 2^29, the divisor times 2^13 below 2^29. */
static inline int32x4_t sigmoid_half(int32x4_t m)
{
    const int32x4_t divisor = vaddq_s32(m, vdupq_n_s32(256));
    int32x4_t rest = vshlq_n_s32(m, 14), quotient = vdupq_n_s32(0);

    for (int digit = 13; digit >= 0; digit--) {
        const int32x4_t part = vshlq_s32(divisor, vdupq_n_s32(digit));
        const int32x4_t fits = vreinterpretq_s32_u32(vcgeq_s32(rest, part));

        rest = vsubq_s32(rest, vandq_s32(part, fits));
        quotient = vorrq_s32(quotient, vandq_s32(vdupq_n_s32(1 << digit), fits));
    }
    return quotient;
}

/* s = 2^14 +- the quotient is in [1, 2^15 - 1], so |x s| < 2^30. */
static inline int32x4_t gate_algebraic(int32x4_t x)
{
    const int32x4_t half = negate_where(sigmoid_half(vabsq_s32(x)), vshrq_n_s32(x, 31));

    return vmulq_s32(x, vaddq_s32(vdupq_n_s32(1 << 14), half));
}

/* isqrt(v), 0 <= v < 2^31: sixteen digits, as mbi_isqrt; r + bit <= 2^31 - 1 by the size of v. */
static inline int32x4_t isqrt4(int32x4_t v)
{
    int32x4_t r = vdupq_n_s32(0);

    for (int place = 30; place >= 0; place -= 2) {
        const int32x4_t bit = vdupq_n_s32(1 << place), try = vaddq_s32(r, bit);
        const int32x4_t fits = vreinterpretq_s32_u32(vcgeq_s32(v, try));

        v = vsubq_s32(v, vandq_s32(try, fits));
        r = vaddq_s32(vshrq_n_s32(r, 1), vandq_s32(bit, fits));
    }
    return r;
}

/* x^2 + 2^18 < 2^31; the squareplus is at most 32771, in Q23 below 2^31. */
static inline int32x4_t gate_squareplus(int32x4_t x)
{
    const int32x4_t root = isqrt4(vmlaq_s32(vdupq_n_s32(4 << 16), x, x));

    return vshlq_n_s32(vshrq_n_s32(vaddq_s32(x, root), 1), 15);
}

static inline void gate_loop(const struct mbi_op_args *a, size_t end, int32x4_t (*gate)(int32x4_t))
{
    for (size_t i = a->begin; i < end; i += LANES) {
        int32x4x2_t x = load8(a->in[0], MBI_I16, i);

        for (size_t h = 0; h < 2; h++)
            x.val[h] = gate(x.val[h]);
        store8(a->out, MBI_I32, i, x);
    }
}

void mbi_neon_gate(const struct mbi_op_args *a)
{
    const struct mbi_gate_attr *at = a->attr;
    const size_t end = vector_end(a);

    if (at->kind == MBI_GATE_HARD)
        gate_loop(a, end, gate_hard);
    else if (at->kind == MBI_GATE_ALGEBRAIC)
        gate_loop(a, end, gate_algebraic);
    else
        gate_loop(a, end, gate_squareplus);
    reference_part(mbi_op_gate.eval, a, end, a->end);
}

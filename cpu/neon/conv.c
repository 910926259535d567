/* SPDX-License-Identifier: Apache-2.0 */
/* conv for NEON: eight channels at a time, their last three inputs in registers while the tokens
 * of a tile pass.                                                       arithmetic.md, conv */
#include "cpu/neon/simd.h"

#define TAPS 4
#define TILE 32 /* tokens between two groups of channels, so that rows stay in a cache */

/* Everything that belongs to eight channels. */
struct channels {
    int16x8_t old[TAPS - 1]; /* inputs, oldest first */
    int16x8_t w[TAPS];
    int32x4x2_t left, bias; /* left: the exponents negated */
};

static void load_channels(struct channels *ch, const struct mbi_op_args *a, size_t c)
{
    const int8x8x4_t w = vld4_s8((const int8_t *)a->in[1] + c * TAPS);

    ch->left = load8(a->in[2], MBI_I8, c);
    ch->bias = load8(a->in[3], MBI_I16, c);
    for (size_t h = 0; h < 2; h++)
        ch->left.val[h] = vnegq_s32(ch->left.val[h]);
    for (size_t j = 0; j < TAPS; j++)
        ch->w[j] = vmovl_s8(w.val[j]);
    for (size_t j = 0; j < TAPS - 1; j++)
        ch->old[j] = vld1q_s16((const int16_t *)a->state[0] + j * a->out_type->cols + c);
}

/*
 * bias + rsh(sum, e), saturated. |sum| <= 4 * 2^15 * 128 = 2^24. The shift saturates to 32 bits and
 * so does the sum: whatever is cut lies beyond 16 bits with any bias.
 */
static inline int16x4_t finish_sum(int32x4_t sum, const struct channels *ch, size_t h)
{
    return vqmovn_s32(vqaddq_s32(vqrshlq_s32(sum, ch->left.val[h]), ch->bias.val[h]));
}

static inline int32x4_t taps_low(const struct channels *ch, int16x8_t x)
{
    int32x4_t sum = vmull_s16(vget_low_s16(ch->w[3]), vget_low_s16(x));

    for (size_t j = 0; j < TAPS - 1; j++)
        sum = vmlal_s16(sum, vget_low_s16(ch->w[j]), vget_low_s16(ch->old[j]));
    return sum;
}

static inline int32x4_t taps_high(const struct channels *ch, int16x8_t x)
{
    int32x4_t sum = vmull_high_s16(ch->w[3], x);

    for (size_t j = 0; j < TAPS - 1; j++)
        sum = vmlal_high_s16(sum, ch->w[j], ch->old[j]);
    return sum;
}

/* One token: its eight outputs. */
static inline int16x8_t convolve(struct channels *ch, int16x8_t x)
{
    const int16x8_t u =
        vcombine_s16(finish_sum(taps_low(ch, x), ch, 0), finish_sum(taps_high(ch, x), ch, 1));

    ch->old[0] = ch->old[1];
    ch->old[1] = ch->old[2];
    ch->old[2] = x;
    return u;
}

static void conv_tile(const struct mbi_op_args *a, size_t c, size_t from, size_t to)
{
    const size_t n = a->out_type->cols;
    struct channels ch;

    load_channels(&ch, a, c);
    for (size_t t = from; t < to; t++)
        vst1q_s16((int16_t *)a->out + t * n + c,
                  convolve(&ch, vld1q_s16((const int16_t *)a->in[0] + t * n + c)));
    for (size_t j = 0; j < TAPS - 1; j++)
        vst1q_s16((int16_t *)a->state[0] + j * n + c, ch.old[j]);
}

void mbi_neon_conv(const struct mbi_op_args *a)
{
    const size_t end = vector_end(a);

    for (size_t t = 0; t < a->lanes; t += TILE)
        for (size_t c = a->begin; c < end; c += LANES)
            conv_tile(a, c, t, mbi_min_size(t + TILE, a->lanes));
    reference_part(mbi_op_conv.eval, a, end, a->end);
}

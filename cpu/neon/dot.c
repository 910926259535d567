/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of packed matrices by the dot product instructions (Armv8.2): one of them multiplies
 * four weights of each of four rows with four inputs and adds them to the rows' sums, modulo 2^32.
 * Nothing else is compiled with them.                                   arithmetic.md, matvec
 */
#include "cpu/neon/matvec.h"

#define LANES_MAX 4 /* lanes that share a pass over the weights: 16 sums in registers */

MBI_ALWAYS_INLINE void begin_sums(int32x4_t acc[][QUADS], const struct product *p, size_t t,
                                  size_t lanes)
{
    for (size_t i = 0; i < lanes; i++)
        for (size_t q = 0; q < QUADS; q++)
            acc[i][q] = vdupq_n_s32(p->offset[t + i]);
}

/* ---- i8 weights ---- */

MBI_ALWAYS_INLINE void bytes_step(int32x4_t acc[][QUADS], const uint8_t *w, const int8_t *const *x,
                                  size_t at, size_t lanes)
{
    int8x16_t quad[QUADS];

    for (size_t q = 0; q < QUADS; q++)
        quad[q] = signed_quad(w + 16 * q);
    for (size_t i = 0; i < lanes; i++) {
        const int8x16_t in = four_bytes(x[i] + at);

        for (size_t q = 0; q < QUADS; q++)
            acc[i][q] = vdotq_s32(acc[i][q], quad[q], in);
    }
}

MBI_ALWAYS_INLINE void bytes_group(const struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    int32x4_t acc[LANES_MAX][QUADS];
    const int8_t *x[LANES_MAX];

    begin_sums(acc, p, t, lanes);
    for (size_t i = 0; i < lanes; i++)
        x[i] = lane_at(p, t + i);
    for (size_t k = 0; k < p->steps; k++)
        bytes_step(acc, w + k * MBI_PACK_VECTOR, x, 4 * k, lanes);
    for (size_t i = 0; i < lanes; i++)
        put_sums(p, t + i, group, acc[i]);
}

/* One lane has too few sums to hide the latency of the product: two steps, two sets of them. */
static void bytes_one(const struct product *p, size_t group, size_t t)
{
    const uint8_t *w = group_at(p, group);
    const int8_t *const x = lane_at(p, t);
    int32x4_t even[1][QUADS], odd[1][QUADS];
    size_t k = 0;

    begin_sums(even, p, t, 1);
    for (size_t q = 0; q < QUADS; q++)
        odd[0][q] = vdupq_n_s32(0);
    for (; k + 2 <= p->steps; k += 2) {
        bytes_step(even, w + k * MBI_PACK_VECTOR, &x, 4 * k, 1);
        bytes_step(odd, w + (k + 1) * MBI_PACK_VECTOR, &x, 4 * k + 4, 1);
    }
    if (k < p->steps)
        bytes_step(even, w + k * MBI_PACK_VECTOR, &x, 4 * k, 1);
    for (size_t q = 0; q < QUADS; q++)
        even[0][q] = vaddq_s32(even[0][q], odd[0][q]);
    put_sums(p, t, group, even[0]);
}

static void bytes_multiply(const struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        for (; t + LANES_MAX <= p->lanes; t += LANES_MAX)
            bytes_group(p, group, t, LANES_MAX);
        for (; t + 2 <= p->lanes; t += 2)
            bytes_group(p, group, t, 2);
        if (t < p->lanes)
            bytes_one(p, group, t);
    }
}

const struct way mbi_neon_way_dot_bytes = {mbi_neon_bytes_size, mbi_neon_bytes_prepare,
                                           bytes_multiply};

/* ---- ternary weights ---- */

/* Sixteen columns: four planes of weights 0 to 2. */
MBI_ALWAYS_INLINE void trits_step(int32x4_t acc[][QUADS], const uint8_t *w, const int8_t *const *x,
                                  size_t at, size_t lanes)
{
    uint8x16_t four[QUADS];

    for (size_t q = 0; q < QUADS; q++)
        four[q] = vld1q_u8(w + 16 * q);
    for (size_t plane = 0; plane < 4; plane++) {
        int8x16_t quad[QUADS];

        for (size_t q = 0; q < QUADS; q++) {
            quad[q] = vreinterpretq_s8_u8(vandq_u8(four[q], vdupq_n_u8(3)));
            four[q] = vshrq_n_u8(four[q], 2);
        }
        for (size_t i = 0; i < lanes; i++) {
            const int8x16_t in = four_bytes(x[i] + at + 4 * plane);

            for (size_t q = 0; q < QUADS; q++)
                acc[i][q] = vdotq_s32(acc[i][q], quad[q], in);
        }
    }
}

MBI_ALWAYS_INLINE void trits_group(const struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    int32x4_t acc[LANES_MAX][QUADS];
    const int8_t *x[LANES_MAX];

    begin_sums(acc, p, t, lanes);
    for (size_t i = 0; i < lanes; i++)
        x[i] = lane_at(p, t + i);
    for (size_t k = 0; k < p->steps; k++)
        trits_step(acc, w + k * MBI_PACK_VECTOR, x, 16 * k, lanes);
    for (size_t i = 0; i < lanes; i++)
        put_sums(p, t + i, group, acc[i]);
}

static void trits_multiply(const struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        for (; t + LANES_MAX <= p->lanes; t += LANES_MAX)
            trits_group(p, group, t, LANES_MAX);
        for (; t < p->lanes; t++)
            trits_group(p, group, t, 1);
    }
}

const struct way mbi_neon_way_dot_trits = {mbi_neon_bytes_size, mbi_neon_trits_prepare,
                                           trits_multiply};

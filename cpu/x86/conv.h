/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution on sixteen channels, whose last three inputs are in registers.
 *                                                                       arithmetic.md, conv */
#ifndef MBI_CPU_X86_CONV_H
#define MBI_CPU_X86_CONV_H

#include "cpu/x86/simd.h"

#define TAPS 4
#define WIDTH 16 /* channels of a step */
#define TILE 32  /* tokens between two groups of channels, so that rows stay in a cache */

/* Everything that belongs to sixteen channels, in the order of unpacking: [0] has the channels
 * 0-3 and 8-11, [1] the others. */
struct channels {
    __m256i old[TAPS - 1];     /* inputs, oldest first */
    __m256i w01[2], w23[2];    /* pairs of taps */
    __m256i right[2], left[2]; /* shifts; one of the two is 0 */
    __m256i limit[2], bias[2];
};

/* Sixteen values, eight and eight, in the order that unpacking gives their i16. */
static inline void unpack_order(__m256i to[2], __m256i a, __m256i b)
{
    to[0] = _mm256_permute2x128_si256(a, b, 0x20);
    to[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

/* Four taps of four channels as i16: the first pairs of taps below, the second above. */
static inline __m256i pair_taps(const int8_t *w)
{
    return _mm256_permutevar8x32_epi32(load16_i8(w), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

static inline void load_taps(struct channels *ch, const int8_t *w)
{
    for (size_t k = 0; k < 2; k++) {
        const __m256i a = pair_taps(w + 4 * k * TAPS), b = pair_taps(w + (8 + 4 * k) * TAPS);

        ch->w01[k] = _mm256_permute2x128_si256(a, b, 0x20);
        ch->w23[k] = _mm256_permute2x128_si256(a, b, 0x31);
    }
}

static inline void load_channels(struct channels *ch, const struct mbi_op_args *a, size_t c)
{
    const int8_t *e = (const int8_t *)a->in[2] + c;
    const int16_t *bias = (const int16_t *)a->in[3] + c, *old = (const int16_t *)a->state[0] + c;
    const __m256i zero = _mm256_setzero_si256();
    __m256i exponent[2];

    load_taps(ch, (const int8_t *)a->in[1] + c * TAPS);
    unpack_order(exponent, load8_i8(e), load8_i8(e + LANES));
    unpack_order(ch->bias, load8(bias, MBI_I16, 0), load8(bias, MBI_I16, LANES));
    for (size_t k = 0; k < 2; k++) {
        ch->right[k] = _mm256_max_epi32(exponent[k], zero);
        ch->left[k] = _mm256_max_epi32(_mm256_sub_epi32(zero, exponent[k]), zero);
        ch->limit[k] = _mm256_blendv_epi8(_mm256_set1_epi32(INT32_MAX), _mm256_set1_epi32(1 << 17),
                                          _mm256_cmpgt_epi32(zero, exponent[k]));
    }
    for (size_t j = 0; j < TAPS - 1; j++)
        ch->old[j] = load(old + j * a->out_type->cols);
}

static inline void store_channels(const struct channels *ch, const struct mbi_op_args *a, size_t c)
{
    int16_t *old = (int16_t *)a->state[0] + c;

    for (size_t j = 0; j < TAPS - 1; j++)
        store(old + j * a->out_type->cols, ch->old[j]);
}

/*
 * bias + rsh(sum, e) before saturation. |sum| <= 4 * 2^15 * 127 < 2^24. Where e is negative the sum
 * is first cut to 2^17, which any bias leaves saturated, so up to 13 bits to the left still fit.
 */
static inline __m256i finish_sum(__m256i sum, const struct channels *ch, size_t k)
{
    const __m256i lowest = _mm256_sub_epi32(_mm256_setzero_si256(), ch->limit[k]);
    const __m256i cut = clamp8(sum, lowest, ch->limit[k]);

    return _mm256_add_epi32(_mm256_sllv_epi32(rsh8(cut, ch->right[k]), ch->left[k]), ch->bias[k]);
}

/* One token: its sixteen outputs, which packing saturates and brings back to memory order. */
static inline __m256i convolve(struct channels *ch, __m256i x)
{
    __m256i u[2];

    for (size_t k = 0; k < 2; k++) {
        const __m256i p01 = k ? _mm256_unpackhi_epi16(ch->old[0], ch->old[1])
                              : _mm256_unpacklo_epi16(ch->old[0], ch->old[1]);
        const __m256i p23 =
            k ? _mm256_unpackhi_epi16(ch->old[2], x) : _mm256_unpacklo_epi16(ch->old[2], x);

        u[k] = finish_sum(_mm256_add_epi32(_mm256_madd_epi16(p01, ch->w01[k]),
                                           _mm256_madd_epi16(p23, ch->w23[k])),
                          ch, k);
    }
    ch->old[0] = ch->old[1];
    ch->old[1] = ch->old[2];
    ch->old[2] = x;
    return _mm256_packs_epi32(u[0], u[1]);
}

#endif

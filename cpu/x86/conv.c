/* SPDX-License-Identifier: Apache-2.0 */
/* conv for AVX2: sixteen channels at a time, their last three inputs in registers while the
 * tokens of a tile pass.                                                arithmetic.md, conv */
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

/* Sixteen i32 in the order that unpacking gives their i16. */
static void unpack_order(__m256i to[2], const int32_t v[WIDTH])
{
    const __m256i a = load(v), b = load(v + LANES);

    to[0] = _mm256_permute2x128_si256(a, b, 0x20);
    to[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

static int32_t pair(int32_t low, int32_t high)
{
    return (int32_t)((uint32_t)high << 16 | ((uint32_t)low & 65535));
}

static void load_channels(struct channels *ch, const struct mbi_op_args *a, size_t c)
{
    const int8_t *w = (const int8_t *)a->in[1] + c * TAPS, *e = (const int8_t *)a->in[2] + c;
    const int16_t *bias = (const int16_t *)a->in[3] + c, *old = (const int16_t *)a->state[0] + c;
    int32_t w01[WIDTH], w23[WIDTH], right[WIDTH], left[WIDTH], limit[WIDTH], b[WIDTH];

    for (size_t i = 0; i < WIDTH; i++) {
        w01[i] = pair(w[i * TAPS], w[i * TAPS + 1]);
        w23[i] = pair(w[i * TAPS + 2], w[i * TAPS + 3]);
        right[i] = e[i] > 0 ? e[i] : 0;
        left[i] = e[i] < 0 ? -e[i] : 0;
        limit[i] = e[i] < 0 ? 1 << 17 : INT32_MAX;
        b[i] = bias[i];
    }
    unpack_order(ch->w01, w01);
    unpack_order(ch->w23, w23);
    unpack_order(ch->right, right);
    unpack_order(ch->left, left);
    unpack_order(ch->limit, limit);
    unpack_order(ch->bias, b);
    for (size_t j = 0; j < TAPS - 1; j++)
        ch->old[j] = load(old + j * a->out_type->cols);
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
static inline __m256i step(struct channels *ch, __m256i x)
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

static void conv_tile(const struct mbi_op_args *a, size_t c, size_t from, size_t to)
{
    const size_t n = a->out_type->cols;
    int16_t *old = (int16_t *)a->state[0] + c;
    struct channels ch;

    load_channels(&ch, a, c);
    for (size_t t = from; t < to; t++)
        store((int16_t *)a->out + t * n + c,
              step(&ch, load((const int16_t *)a->in[0] + t * n + c)));
    for (size_t j = 0; j < TAPS - 1; j++)
        store(old + j * n, ch.old[j]);
}

void MBI_X86(conv)(const struct mbi_op_args *a)
{
    const size_t end = a->begin + (a->end - a->begin) / WIDTH * WIDTH;

    if (a->in_type[2]->lo < -13) {
        mbi_op_conv.eval(a);
        return;
    }
    for (size_t t = 0; t < a->lanes; t += TILE)
        for (size_t c = a->begin; c < end; c += WIDTH)
            conv_tile(a, c, t, mbi_min_size(t + TILE, a->lanes));
    reference_part(mbi_op_conv.eval, a, end, a->end);
}

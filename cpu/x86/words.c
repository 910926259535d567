/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed matrices for AVX2 alone. i8 weights: bytes become 16-bit words on their way from memory
 * and are multiplied with 16-bit inputs, which cannot saturate. Ternary weights: planes of 0 to 2
 * times i8 inputs by byte products, summed in 16 bits as long as they fit.      arithmetic.md,
 * matvec
 */
#include "cpu/x86/matvec.h"

#define WORD_LANES 6 /* lanes that share a pass over i8 weights */
#define LANES_MAX 3  /* and over ternary ones */

static inline void put(const struct product *p, size_t t, size_t group, __m256i a, __m256i b)
{
    const __m256i sums[2] = {a, b};

    MBI_X86(finish_sums)(&p->finish, group * MBI_PACK_ROWS, 1, t, 1, sums);
}

/* ---- i8 weights ---- */

static size_t words_size(const struct mbi_type *x)
{
    return mbi_align_size((size_t)x->cols * sizeof(int16_t), 64);
}

/* Inputs as i16, zeros behind them. */
static uint32_t words_prepare(void *to, const void *x, const struct mbi_type *type)
{
    const size_t n = type->cols;
    int16_t *word = to;
    uint32_t sum = 0;

    if (type->dtype == MBI_I16)
        memcpy(word, x, n * sizeof(*word));
    else
        for (size_t k = 0; k < n; k++)
            word[k] = ((const int8_t *)x)[k];
    for (size_t k = 0; k < n; k++) {
        const int32_t v = word[k];

        sum += (uint32_t)v;
    }
    memset(word + n, 0, words_size(type) - n * sizeof(*word));
    return sum;
}

/* Four inputs in every 64 bits. */
static inline __m256i four_words(const void *p)
{
    int64_t four;

    memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi64x(four);
}

/*
 * Eight rows of a group (half a vector) against `lanes` inputs. acc[i][r] has four rows, two lanes
 * a row. A pair of products is below 2 * 255 * 2^15 < 2^24, so the instruction is exact.
 */
MBI_ALWAYS_INLINE void words_half(__m256i *sum, const uint8_t *w, const char *const *x,
                                  size_t steps, size_t lanes, const char *later)
{
    __m256i acc[WORD_LANES][2];

    for (size_t i = 0; i < lanes; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_si256();
    for (size_t k = 0; k < steps; k++) {
        const __m256i a = _mm256_cvtepu8_epi16(load_half(w + k * MBI_PACK_VECTOR));
        const __m256i b = _mm256_cvtepu8_epi16(load_half(w + k * MBI_PACK_VECTOR + 16));

        fetch_step(later, 1, k);
        for (size_t i = 0; i < lanes; i++) {
            const __m256i in = four_words(x[i] + k * 4 * sizeof(int16_t));

            acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(a, in));
            acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(b, in));
            IN_REGISTER(acc[i][0]);
            IN_REGISTER(acc[i][1]);
        }
    }
    for (size_t i = 0; i < lanes; i++)
        sum[i] = _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[i][0], acc[i][1]), 0xD8);
}

MBI_ALWAYS_INLINE void words_group(struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    __m256i a[WORD_LANES], b[WORD_LANES];
    const char *x[WORD_LANES];

    for (size_t i = 0; i < lanes; i++)
        x[i] = lane_at(p, t + i);
    words_half(a, w, x, p->steps, lanes, fetch_next(p, 1));
    words_half(b, w + 32, x, p->steps, lanes, NULL);
    for (size_t i = 0; i < lanes; i++) {
        const __m256i offset = _mm256_set1_epi32(p->offset[t + i]);

        put(p, t + i, group, _mm256_add_epi32(a[i], offset), _mm256_add_epi32(b[i], offset));
    }
}

/* One lane reads the weights once, from front to back. */
static void words_one(const struct product *p, size_t group)
{
    const __m256i offset = _mm256_set1_epi32(p->offset[0]);
    const uint8_t *w = group_at(p, group);
    const char *x = lane_at(p, 0);
    __m256i acc[4], a, b;

    for (size_t r = 0; r < 4; r++)
        acc[r] = _mm256_setzero_si256();
    for (size_t k = 0; k < p->steps; k++) {
        const __m256i in = four_words(x + k * 4 * sizeof(int16_t));

        for (size_t r = 0; r < 4; r++) {
            const __m256i row = _mm256_cvtepu8_epi16(load_half(w + k * MBI_PACK_VECTOR + 16 * r));

            acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(row, in));
        }
    }
    a = _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[0], acc[1]), 0xD8);
    b = _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[2], acc[3]), 0xD8);
    put(p, 0, group, _mm256_add_epi32(a, offset), _mm256_add_epi32(b, offset));
}

static void words_multiply(struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        if (p->lanes == 1) {
            words_one(p, group);
            continue;
        }
        for (; t + WORD_LANES <= p->lanes; t += WORD_LANES)
            words_group(p, group, t, WORD_LANES);
        for (; t + 2 <= p->lanes; t += 2)
            words_group(p, group, t, 2);
        if (t < p->lanes)
            words_group(p, group, t, 1);
    }
}

const struct way MBI_X86(way_words) = {words_size, words_prepare, words_multiply};

/* ---- ternary weights ---- */

#define TRIT_STEPS 16 /* steps whose sums fit 16 bits */

/* A step is sixteen columns; byte j of a row holds 4j .. 4j+3, so plane q needs the inputs q, 4
 * + q, 8 + q, 12 + q side by side. */
static size_t trits_size(const struct mbi_type *x) { return mbi_align_size(x->cols, 64); }

static uint32_t trits_prepare(void *to, const void *x, const struct mbi_type *type)
{
    const __m128i planes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const size_t n = type->cols, size = trits_size(type);
    const int8_t *in = x;
    int8_t *out = to;
    uint32_t sum = 0;

    for (size_t k = 0; k < n; k++) {
        const int32_t v = in[k];

        sum += (uint32_t)v;
    }
    memcpy(out, in, n);
    memset(out + n, 0, size - n);
    for (size_t k = 0; k < size; k += 16)
        store_half(out + k, _mm_shuffle_epi8(load_half(out + k), planes));
    return sum;
}

static inline __m256i four_bytes(const char *p)
{
    int32_t four;

    memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi32(four);
}

/*
 * Up to TRIT_STEPS steps of eight rows (half a vector) for `lanes` inputs. With weights of 0 to 2 a
 * pair of products is in [-512, 508]; a 16-bit lane takes four pairs a step, 64 in all:
 * [-32768, 32512], so it cannot wrap.
 */
MBI_ALWAYS_INLINE void trits_half(__m256i *acc, const uint8_t *w, const char *const *x,
                                  size_t steps, size_t lanes)
{
    const __m256i three = _mm256_set1_epi8(3), one = _mm256_set1_epi16(1);
    __m256i sum[LANES_MAX];

    for (size_t i = 0; i < lanes; i++)
        sum[i] = _mm256_setzero_si256();
    for (size_t k = 0; k < steps; k++) {
        __m256i four = load(w + k * MBI_PACK_VECTOR);

        for (int q = 0; q < 4; q++) {
            const __m256i plane = _mm256_and_si256(four, three);

            four = _mm256_srli_epi16(four, 2);
            for (size_t i = 0; i < lanes; i++)
                sum[i] = _mm256_add_epi16(
                    sum[i], _mm256_maddubs_epi16(plane, four_bytes(x[i] + 16 * k + 4 * q)));
        }
    }
    for (size_t i = 0; i < lanes; i++)
        acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(sum[i], one));
}

MBI_ALWAYS_INLINE void trits_group(const struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    __m256i acc[2][LANES_MAX];

    for (size_t i = 0; i < lanes; i++)
        acc[0][i] = acc[1][i] = _mm256_set1_epi32(p->offset[t + i]);
    for (size_t k = 0; k < p->steps; k += TRIT_STEPS) {
        const size_t steps = mbi_min_size(TRIT_STEPS, p->steps - k);
        const char *x[LANES_MAX];

        for (size_t i = 0; i < lanes; i++)
            x[i] = (const char *)lane_at(p, t + i) + 16 * k;
        trits_half(acc[0], w + k * MBI_PACK_VECTOR, x, steps, lanes);
        trits_half(acc[1], w + k * MBI_PACK_VECTOR + 32, x, steps, lanes);
    }
    for (size_t i = 0; i < lanes; i++)
        put(p, t + i, group, acc[0][i], acc[1][i]);
}

static void trits_multiply(struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        for (; t + LANES_MAX <= p->lanes; t += LANES_MAX)
            trits_group(p, group, t, LANES_MAX);
        for (; t < p->lanes; t++)
            trits_group(p, group, t, 1);
    }
}

const struct way MBI_X86(way_trits) = {trits_size, trits_prepare, trits_multiply};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed matrices for VNNI: one instruction multiplies four unsigned weights of each of sixteen
 * rows with four inputs and adds them to the rows' sums, modulo 2^32 and without saturation.
 *                                                                       arithmetic.md, matvec
 */
#include "cpu/x86/matvec.h"

#if defined(__AVX512VNNI__)

#define MANY 6  /* lanes that share a pass over four groups: 24 sums in registers */
#define AHEAD 2 /* lines of the next block fetched in a step, half of the block in a pass */
#define LATER 3 /* lines for a later kernel in a step: as many as memory gives meanwhile */

static inline __m512i load64(const void *p) { return _mm512_loadu_si512(p); }

static inline __m512i four_bytes(const char *p)
{
    int32_t four;

    memcpy(&four, p, sizeof(four));
    return _mm512_set1_epi32(four);
}

/* Sums stay in registers: the compiler neither regroups them nor reloads factors. */
#define KEEP(v) __asm__("" : "+v"(v))

/* Inputs as they are, zeros behind them, and their sum. */
static size_t bytes_size(const struct mbi_type *x) { return mbi_align_size(x->cols, 64); }

static uint32_t bytes_prepare(void *to, const void *x, const struct mbi_type *type)
{
    const size_t n = type->cols, size = bytes_size(type);
    __m512i sum = _mm512_setzero_si512();
    uint32_t part[16], all = 0;

    memcpy(to, x, n);
    memset((char *)to + n, 0, size - n);
    for (size_t k = 0; k < size; k += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), load64((const char *)to + k));
    _mm512_storeu_si512(part, sum);
    for (size_t i = 0; i < MBI_COUNT(part); i++)
        all += part[i];
    return all;
}

/* ---- i8 weights ---- */

/*
 * `groups` groups against `lanes` inputs; both are constants where this is called. While sums are
 * made from weights in a cache, the memory would idle: lines are fetched in passing, those of the
 * next block from `ahead` on and those of a later kernel from `later` on, unless they are NULL.
 */
MBI_ALWAYS_INLINE void bytes_tile(const struct product *p, size_t group, size_t groups, size_t t,
                                  size_t lanes, const char *ahead, const char *later)
{
    const size_t stride = p->steps * MBI_PACK_VECTOR;
    const uint8_t *w = group_at(p, group);
    __m512i acc[MANY][BLOCK_GROUPS], sums[MANY * BLOCK_GROUPS];
    const char *x[MANY];

    for (size_t i = 0; i < lanes; i++) {
        x[i] = lane_at(p, t + i);
        for (size_t g = 0; g < groups; g++)
            acc[i][g] = _mm512_set1_epi32(p->offset[t + i]);
    }
    for (size_t k = 0; k < p->steps; k++) {
        __m512i row[BLOCK_GROUPS];

        for (size_t g = 0; g < groups; g++)
            row[g] = load64(w + g * stride + k * MBI_PACK_VECTOR);
        fetch_step(ahead, AHEAD, k);
        fetch_step(later, ahead ? LATER - AHEAD : LATER, k);
        for (size_t i = 0; i < lanes; i++) {
            const __m512i in = four_bytes(x[i] + 4 * k);

            for (size_t g = 0; g < groups; g++) {
                acc[i][g] = _mm512_dpbusd_epi32(acc[i][g], row[g], in);
                KEEP(acc[i][g]);
            }
        }
    }
    for (size_t i = 0; i < lanes; i++)
        for (size_t g = 0; g < groups; g++)
            sums[i * groups + g] = acc[i][g];
    MBI_X86(finish_sums)(&p->finish, group * MBI_PACK_ROWS, groups, t, lanes, sums);
}

/*
 * One lane: the weights are read once, from front to back, as memory likes best. Four sums, so that
 * the product's latency is hidden.
 */
MBI_ALWAYS_INLINE __m512i bytes_row(const struct product *p, size_t group)
{
    const uint8_t *w = group_at(p, group);
    const char *x = lane_at(p, 0);
    __m512i acc[4];
    size_t k = 0;

    for (size_t i = 0; i < 4; i++)
        acc[i] = i ? _mm512_setzero_si512() : _mm512_set1_epi32(p->offset[0]);
    for (; k + 4 <= p->steps; k += 4)
        for (size_t i = 0; i < 4; i++)
            acc[i] = _mm512_dpbusd_epi32(acc[i], load64(w + (k + i) * MBI_PACK_VECTOR),
                                         four_bytes(x + 4 * (k + i)));
    for (; k < p->steps; k++)
        acc[0] =
            _mm512_dpbusd_epi32(acc[0], load64(w + k * MBI_PACK_VECTOR), four_bytes(x + 4 * k));
    return _mm512_add_epi32(_mm512_add_epi32(acc[0], acc[1]), _mm512_add_epi32(acc[2], acc[3]));
}

static void bytes_one(const struct product *p)
{
    __m512i sums[BLOCK_GROUPS];

    for (size_t group = p->begin; group < p->end; group += BLOCK_GROUPS) {
        const size_t n = mbi_min_size(BLOCK_GROUPS, p->end - group);

        for (size_t g = 0; g < n; g++)
            sums[g] = bytes_row(p, group + g);
        MBI_X86(finish_sums)(&p->finish, group * MBI_PACK_ROWS, n, 0, 1, sums);
    }
}

/* One pass over a block; the second fetches the first half of the next one, the third the other. A
 * pass without anything to fetch has a loop of its own. */
MBI_ALWAYS_INLINE void bytes_pass(struct product *p, size_t group, size_t groups, size_t t,
                                  size_t lanes)
{
    const bool more = groups == BLOCK_GROUPS && group + 2 * BLOCK_GROUPS <= p->end &&
                      (t == MANY || t == 2 * MANY);
    const size_t half = t == MANY ? 0 : AHEAD * p->steps * MBI_PACK_VECTOR;
    const char *ahead = more ? (const char *)group_at(p, group + groups) + half : NULL;
    const char *later = fetch_next(p, more ? LATER - AHEAD : LATER);

    if (ahead && later)
        bytes_tile(p, group, groups, t, lanes, ahead, later);
    else if (ahead)
        bytes_tile(p, group, groups, t, lanes, ahead, NULL);
    else if (later)
        bytes_tile(p, group, groups, t, lanes, NULL, later);
    else
        bytes_tile(p, group, groups, t, lanes, NULL, NULL);
}

MBI_ALWAYS_INLINE void bytes_lanes(struct product *p, size_t group, size_t groups)
{
    size_t t = 0;

    for (; t + MANY <= p->lanes; t += MANY)
        bytes_pass(p, group, groups, t, MANY);
    if (t + 4 <= p->lanes) {
        bytes_pass(p, group, groups, t, 4);
        t += 4;
    }
    for (; t + 2 <= p->lanes; t += 2)
        bytes_tile(p, group, groups, t, 2, NULL, NULL);
    if (t < p->lanes)
        bytes_tile(p, group, groups, t, 1, NULL, NULL);
}

static void bytes_multiply(struct product *p)
{
    size_t group = p->begin;

    if (p->lanes == 1) {
        bytes_one(p);
        return;
    }
    for (; group + BLOCK_GROUPS <= p->end; group += BLOCK_GROUPS)
        bytes_lanes(p, group, BLOCK_GROUPS);
    for (; group < p->end; group++)
        bytes_lanes(p, group, 1);
}

const struct way MBI_X86(way_bytes) = {bytes_size, bytes_prepare, bytes_multiply};

/* ---- ternary weights ---- */

#define PLANES_STEPS ((size_t)1 << 15) /* whose sums stay exact below, 64 times too large */
#define FEW 4                          /* lanes that share the unpacked planes of four groups */
#define PLANES_LATER 6                 /* as LATER: a step takes four times as long */

static uint32_t planes_prepare(void *to, const void *x, const struct mbi_type *type)
{
    const __m512i planes =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const uint32_t sum = bytes_prepare(to, x, type);

    for (size_t k = 0; k < bytes_size(type); k += 64)
        _mm512_storeu_si512((char *)to + k,
                            _mm512_shuffle_epi8(load64((const char *)to + k), planes));
    return sum;
}

/* The four planes of one step, where they stand in the bytes. */
MBI_ALWAYS_INLINE void planes_step(__m512i acc[4], const __m512i mask[4], const uint8_t *w,
                                   const char *x)
{
    const __m512i row = load64(w);

    for (size_t q = 0; q < 4; q++) {
        acc[q] = _mm512_dpbusd_epi32(acc[q], _mm512_and_si512(row, mask[q]), four_bytes(x + 4 * q));
        KEEP(acc[q]);
    }
}

/*
 * One lane: nothing is shifted, so the sums of the four planes come out 1, 4, 16 and 64 times too
 * large. |64 * 2 * 128 * k| over k <= cols / 4 products stays below 2^31 up to 2^19 columns, so
 * each is an exact multiple and the shifts that bring them back are exact.
 */
MBI_ALWAYS_INLINE __m512i planes_row(const struct product *p, size_t group)
{
    const uint8_t *w = group_at(p, group);
    const char *x = lane_at(p, 0);
    __m512i acc[2][4], mask[4], sum = _mm512_set1_epi32(p->offset[0]);
    size_t k = 0;

    for (int q = 0; q < 4; q++) {
        mask[q] = _mm512_set1_epi8((char)(3 << 2 * q));
        acc[0][q] = acc[1][q] = _mm512_setzero_si512();
    }
    for (; k + 2 <= p->steps; k += 2)
        for (size_t i = 0; i < 2; i++)
            planes_step(acc[i], mask, w + (k + i) * MBI_PACK_VECTOR, x + 16 * (k + i));
    if (k < p->steps)
        planes_step(acc[0], mask, w + k * MBI_PACK_VECTOR, x + 16 * k);
    for (int q = 0; q < 4; q++)
        sum = _mm512_add_epi32(sum, _mm512_sra_epi32(_mm512_add_epi32(acc[0][q], acc[1][q]),
                                                     _mm_cvtsi32_si128(2 * q)));
    return sum;
}

static void planes_one(const struct product *p)
{
    __m512i sums[BLOCK_GROUPS];

    for (size_t group = p->begin; group < p->end; group += BLOCK_GROUPS) {
        const size_t n = mbi_min_size(BLOCK_GROUPS, p->end - group);

        for (size_t g = 0; g < n; g++)
            sums[g] = planes_row(p, group + g);
        MBI_X86(finish_sums)(&p->finish, group * MBI_PACK_ROWS, n, 0, 1, sums);
    }
}

/* Several lanes: planes are unpacked once for all of them. */
MBI_ALWAYS_INLINE void planes_tile(const struct product *p, size_t group, size_t groups, size_t t,
                                   size_t lanes, const char *later)
{
    const size_t stride = p->steps * MBI_PACK_VECTOR;
    const __m512i three = _mm512_set1_epi8(3);
    const uint8_t *w = group_at(p, group);
    __m512i acc[FEW][BLOCK_GROUPS], sums[FEW * BLOCK_GROUPS];
    const char *x[FEW];

    for (size_t i = 0; i < lanes; i++) {
        x[i] = lane_at(p, t + i);
        for (size_t g = 0; g < groups; g++)
            acc[i][g] = _mm512_set1_epi32(p->offset[t + i]);
    }
    for (size_t k = 0; k < p->steps; k++) {
        __m512i row[BLOCK_GROUPS];

        for (size_t g = 0; g < groups; g++)
            row[g] = load64(w + g * stride + k * MBI_PACK_VECTOR);
        fetch_step(later, PLANES_LATER, k);
        for (int q = 0; q < 4; q++) {
            __m512i plane[BLOCK_GROUPS];

            for (size_t g = 0; g < groups; g++) {
                plane[g] = _mm512_and_si512(row[g], three);
                row[g] = _mm512_srli_epi16(row[g], 2);
            }
            for (size_t i = 0; i < lanes; i++) {
                const __m512i in = four_bytes(x[i] + 16 * k + 4 * q);

                for (size_t g = 0; g < groups; g++) {
                    acc[i][g] = _mm512_dpbusd_epi32(acc[i][g], plane[g], in);
                    KEEP(acc[i][g]);
                }
            }
        }
    }
    for (size_t i = 0; i < lanes; i++)
        for (size_t g = 0; g < groups; g++)
            sums[i * groups + g] = acc[i][g];
    MBI_X86(finish_sums)(&p->finish, group * MBI_PACK_ROWS, groups, t, lanes, sums);
}

MBI_ALWAYS_INLINE void planes_lanes(struct product *p, size_t group, size_t groups)
{
    size_t t = 0;

    for (; t + FEW <= p->lanes; t += FEW)
        planes_tile(p, group, groups, t, FEW, fetch_next(p, PLANES_LATER));
    for (; t < p->lanes; t++)
        planes_tile(p, group, groups, t, 1, NULL);
}

static void planes_multiply(struct product *p)
{
    size_t group = p->begin;

    if (p->lanes == 1 && p->steps <= PLANES_STEPS) {
        planes_one(p);
        return;
    }
    for (; group + BLOCK_GROUPS <= p->end; group += BLOCK_GROUPS)
        planes_lanes(p, group, BLOCK_GROUPS);
    for (; group < p->end; group++)
        planes_lanes(p, group, 1);
}

const struct way MBI_X86(way_planes) = {bytes_size, planes_prepare, planes_multiply};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec for AVX2. A few lanes: four rows of weights as they are stored, read once. Many lanes:
 * weights widened into panels that every lane uses. All sums are exact, so their order is free.
 *                                                                       arithmetic.md, matvec
 */
#include "cpu/avx2/simd.h"

#define ROWS 4          /* rows of a block */
#define TRIT_CHUNK 2048 /* ternary columns summed in 16 bits */
#define MANY_LANES 48   /* from here on panels repay their making */
#define PANELS 2        /* of SLICE rows each, in the first cache at once */
#define PANEL_COLS 256
#define PANEL_LANES 4

/* Four row pointers; behind the last row it is repeated and its sums are dropped. */
struct rows {
    const char *w[ROWS];
    size_t n;
};

static struct rows rows_at(const struct mbi_op_args *a, size_t row_size, size_t r)
{
    struct rows rows = {.n = mbi_min_size(ROWS, a->end - r)};

    for (size_t i = 0; i < ROWS; i++)
        rows.w[i] = (const char *)a->in[1] + (r + mbi_min_size(i, rows.n - 1)) * row_size;
    return rows;
}

static void put_sums(int32_t *y, size_t n, __m128i sums)
{
    int32_t all[ROWS];

    if (n == ROWS) {
        store_half(y, sums);
        return;
    }
    store_half(all, sums);
    memcpy(y, all, n * sizeof(*y));
}

/* ---- i8 x i8, |w| <= 127 ---- */

/*
 * |x| <= 128 as an unsigned byte times w with the sign of x: a pair of products is at most
 * 2 * 128 * 127 = 32512, so _mm256_maddubs_epi16 cannot saturate, and -w cannot wrap.
 */
static inline __m256i mac8(__m256i acc, __m256i x, __m256i magnitude, const char *w)
{
    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(load(w), x));

    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    IN_REGISTER(acc);
    return acc;
}

/* Bytes of the last 32 columns that the whole steps of 32 have not covered. */
static __m256i tail_mask(size_t cols)
{
    const __m256i index =
        _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);

    return _mm256_cmpgt_epi8(index, _mm256_set1_epi8((char)(31 - cols % 32)));
}

static inline void block8(int32_t *const *y, const struct rows *rows, const int8_t *const *x,
                          size_t cols, size_t lanes)
{
    __m256i acc[2][ROWS];

    for (size_t t = 0; t < lanes; t++)
        for (size_t r = 0; r < ROWS; r++)
            acc[t][r] = _mm256_setzero_si256();
    for (size_t k = 0; k + 32 <= cols; k += 32)
        for (size_t t = 0; t < lanes; t++) {
            const __m256i v = load(x[t] + k), magnitude = _mm256_abs_epi8(v);

            for (size_t r = 0; r < ROWS; r++)
                acc[t][r] = mac8(acc[t][r], v, magnitude, rows->w[r] + k);
        }
    if (cols % 32)
        for (size_t t = 0; t < lanes; t++) {
            const __m256i v = _mm256_and_si256(load(x[t] + cols - 32), tail_mask(cols));
            const __m256i magnitude = _mm256_abs_epi8(v);

            for (size_t r = 0; r < ROWS; r++)
                acc[t][r] = mac8(acc[t][r], v, magnitude, rows->w[r] + cols - 32);
        }
    for (size_t t = 0; t < lanes; t++)
        put_sums(y[t], rows->n, sum_lanes4(acc[t][0], acc[t][1], acc[t][2], acc[t][3]));
}

static void matvec8(const struct mbi_op_args *a)
{
    const size_t cols = a->in_type[1]->cols, n = a->in_type[1]->rows;
    const int8_t *x = a->in[0];
    int32_t *out = a->out;

    for (size_t r = a->begin; r < a->end; r += ROWS) {
        const struct rows rows = rows_at(a, cols, r);

        for (size_t t = 0; t < a->lanes; t += 2) {
            const int8_t *const in[2] = {x + t * cols, x + (t + 1) * cols};
            int32_t *const y[2] = {out + t * n + r, out + (t + 1) * n + r};

            if (t + 1 < a->lanes)
                block8(y, &rows, in, cols, 2);
            else
                block8(y, &rows, in, cols, 1);
        }
    }
}

/* ---- i8 or i16 x i8, any weights ---- */

static inline __m256i load_x16(const void *x, bool wide, size_t i)
{
    return wide ? load((const int16_t *)x + i) : load16_i8((const int8_t *)x + i);
}

/* A pair of products is at most 2 * 2^15 * 128 = 2^23, the whole sum fits by inference. */
static inline void block16(int32_t *y, const struct rows *rows, const void *x, bool wide,
                           size_t cols)
{
    __m256i acc[ROWS];

    for (size_t r = 0; r < ROWS; r++)
        acc[r] = _mm256_setzero_si256();
    for (size_t k = 0; k < cols; k += 16) {
        const size_t from = mbi_min_size(k, cols - 16);
        __m256i v = load_x16(x, wide, from);

        if (from < k) { /* the last step begins earlier: leave out what is done */
            const __m256i index =
                _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

            v = _mm256_and_si256(
                v, _mm256_cmpgt_epi16(index, _mm256_set1_epi16((int16_t)(k - from - 1))));
        }
        for (size_t r = 0; r < ROWS; r++)
            acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(v, load16_i8(rows->w[r] + from)));
    }
    put_sums(y, rows->n, sum_lanes4(acc[0], acc[1], acc[2], acc[3]));
}

static void matvec16(const struct mbi_op_args *a)
{
    const size_t cols = a->in_type[1]->cols, n = a->in_type[1]->rows;
    const bool wide = a->in_type[0]->dtype == MBI_I16;
    int32_t *y = a->out;

    for (size_t r = a->begin; r < a->end; r += ROWS) {
        const struct rows rows = rows_at(a, cols, r);

        for (size_t t = 0; t < a->lanes; t++)
            block16(y + t * n + r, &rows, (const char *)a->in[0] + t * cols * (wide ? 2 : 1), wide,
                    cols);
    }
}

/* ---- i8 or i16 x i8, many lanes ---- */

/* Weights of SLICE rows, widened: for each pair of columns the rows' pairs side by side. */
struct panel {
    _Alignas(64) int32_t pair[PANEL_COLS / 2][SLICE];
};

/* Sixteen columns of eight rows: a transposition of column pairs, then widening. */
static void pack8(int32_t (*to)[SLICE], const char *const row[8])
{
    __m128i a[8], b[8];

    for (size_t i = 0; i < 8; i += 2) {
        const __m128i even = load_half(row[i]), odd = load_half(row[i + 1]);

        a[i] = _mm_unpacklo_epi16(even, odd);
        a[i + 1] = _mm_unpackhi_epi16(even, odd);
    }
    for (size_t i = 0; i < 2; i++) {
        b[2 * i] = _mm_unpacklo_epi32(a[i], a[i + 2]);
        b[2 * i + 1] = _mm_unpackhi_epi32(a[i], a[i + 2]);
        b[2 * i + 4] = _mm_unpacklo_epi32(a[i + 4], a[i + 6]);
        b[2 * i + 5] = _mm_unpackhi_epi32(a[i + 4], a[i + 6]);
    }
    for (size_t i = 0; i < 4; i++) {
        store(to[2 * i], _mm256_cvtepi8_epi16(_mm_unpacklo_epi64(b[i], b[i + 4])));
        store(to[2 * i + 1], _mm256_cvtepi8_epi16(_mm_unpackhi_epi64(b[i], b[i + 4])));
    }
}

/* The columns [k, k + cols) of the rows from r on. Columns behind the last become 0, rows behind
 * the last are repeated. */
static void pack(struct panel *panel, const struct mbi_op_args *a, size_t r, size_t k, size_t cols)
{
    const size_t row_size = a->in_type[1]->cols;

    for (size_t c = 0; c < cols; c += 16)
        for (size_t half = 0; half < SLICE; half += 8) {
            char rest[8][16];
            const char *row[8];

            for (size_t i = 0; i < 8; i++) {
                row[i] = (const char *)a->in[1] +
                         mbi_min_size(r + half + i, a->end - 1) * row_size + k + c;
                if (c + 16 > cols) {
                    store_half(rest[i], _mm_setzero_si128());
                    row[i] = memcpy(rest[i], row[i], cols - c);
                }
            }
            pack8((int32_t(*)[SLICE])(void *)&panel->pair[c / 2][half], row);
        }
}

/* `cols` inputs as i16, the rest of a step of 16 as 0. */
static void widen(int16_t *to, const void *x, bool wide, size_t cols)
{
    const size_t whole = cols / 16 * 16;
    int16_t rest[16] = {0};

    for (size_t k = 0; k < whole; k += 16)
        store(to + k, load_x16(x, wide, k));
    if (whole == cols)
        return;
    for (size_t k = whole; k < cols; k++)
        rest[k - whole] = wide ? ((const int16_t *)x)[k] : ((const int8_t *)x)[k];
    store(to + whole, load(rest));
}

/* Add one chunk's sums of a lane to those of the chunks before it. */
static void put_panel(int32_t *y, size_t n, bool first, __m256i s0, __m256i s1)
{
    int32_t all[SLICE] = {0};

    if (!first)
        memcpy(all, y, n * sizeof(*y));
    store(all, _mm256_add_epi32(load(all), s0));
    store(all + LANES, _mm256_add_epi32(load(all + LANES), s1));
    memcpy(y, all, n * sizeof(*y));
}

/* A panel against the lanes t .. t+lanes-1. Pairs are at most 2^23, sums fit by inference. */
static inline void panel_lanes(const struct mbi_op_args *a, const struct panel *panel, size_t r,
                               const int16_t *x, size_t pairs, size_t t, size_t lanes, bool first)
{
    const size_t n = a->in_type[1]->rows, rows = mbi_min_size(SLICE, a->end - r);
    __m256i acc[PANEL_LANES][2];

    for (size_t i = 0; i < lanes; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_si256();
    mac_pairs(acc, lanes, x, PANEL_COLS, 2, panel->pair[0], pairs);
    for (size_t i = 0; i < lanes; i++) {
        int32_t *y = (int32_t *)a->out + (t + i) * n + r;

        if (rows == SLICE && first) {
            store(y, acc[i][0]);
            store(y + LANES, acc[i][1]);
        } else {
            put_panel(y, rows, first, acc[i][0], acc[i][1]);
        }
    }
}

/* The rows from r on, as many as the panels hold, and the columns [k, k + cols) of all lanes. */
static void panel_pass(const struct mbi_op_args *a, size_t r, size_t k, size_t cols)
{
    const bool wide = a->in_type[0]->dtype == MBI_I16;
    const size_t size = wide ? 2 : 1, row_size = a->in_type[1]->cols * size;
    struct panel panel[PANELS];
    _Alignas(64) int16_t x[PANEL_LANES][PANEL_COLS];

    for (size_t p = 0; p < PANELS && r + p * SLICE < a->end; p++)
        pack(&panel[p], a, r + p * SLICE, k, cols);
    for (size_t t = 0; t < a->lanes; t += PANEL_LANES) {
        const size_t lanes = mbi_min_size(PANEL_LANES, a->lanes - t);

        for (size_t i = 0; i < lanes; i++)
            widen(x[i], (const char *)a->in[0] + (t + i) * row_size + k * size, wide, cols);
        for (size_t p = 0; p < PANELS && r + p * SLICE < a->end; p++)
            if (lanes == PANEL_LANES)
                panel_lanes(a, &panel[p], r + p * SLICE, x[0], (cols + 1) / 2, t, PANEL_LANES, !k);
            else
                for (size_t i = 0; i < lanes; i++)
                    panel_lanes(a, &panel[p], r + p * SLICE, x[i], (cols + 1) / 2, t + i, 1, !k);
    }
}

static void matvec_panels(const struct mbi_op_args *a)
{
    const size_t cols = a->in_type[1]->cols;

    for (size_t r = a->begin; r < a->end; r += PANELS * SLICE)
        for (size_t k = 0; k < cols; k += PANEL_COLS)
            panel_pass(a, r, k, mbi_min_size(PANEL_COLS, cols - k));
}

/* ---- i8 x ternary ---- */

/*
 * One chunk of an input, ready for packed weights: block of 128 columns by block, plane p holds
 * the columns 4j + p, as bits 2p of weight byte j do. Behind the last column it is 0.
 */
struct planes {
    int8_t x[TRIT_CHUNK];
    int32_t sum; /* of the inputs: weights are stored with 1 added */
};

static void spread(struct planes *p, const int8_t *x, size_t n)
{
    const size_t whole = (n + 127) / 128 * 128;

    memset(p->x, 0, whole);
    p->sum = 0;
    for (size_t k = 0; k < n; k++) {
        p->x[k / 128 * 128 + k % 4 * 32 + k % 128 / 4] = x[k];
        p->sum += x[k];
    }
}

/*
 * With weights of 0 to 2 a pair of products is in [-512, 508]. A 16-bit lane takes 4 pairs from
 * each block of 128 columns, 64 from a chunk: [-32768, 32512], so it cannot wrap.
 */
static inline void add_planes(__m256i acc[2][ROWS], const __m256i w[ROWS], const struct planes *x,
                              size_t at, size_t lanes)
{
    const __m256i three = _mm256_set1_epi8(3);

    for (size_t r = 0; r < ROWS; r++) {
        const __m256i plane[4] = {_mm256_and_si256(w[r], three),
                                  _mm256_and_si256(_mm256_srli_epi16(w[r], 2), three),
                                  _mm256_and_si256(_mm256_srli_epi16(w[r], 4), three),
                                  _mm256_and_si256(_mm256_srli_epi16(w[r], 6), three)};

        for (size_t t = 0; t < lanes; t++)
            for (size_t p = 0; p < 4; p++)
                acc[t][r] = _mm256_add_epi16(
                    acc[t][r], _mm256_maddubs_epi16(plane[p], load(x[t].x + at + 32 * p)));
    }
}

static inline void trit_block(__m128i out[2], const struct rows *rows, const struct planes *x,
                              size_t cols, size_t lanes)
{
    const __m256i one = _mm256_set1_epi16(1);
    __m256i acc[2][ROWS], w[ROWS];
    size_t k = 0;

    for (size_t t = 0; t < lanes; t++)
        for (size_t r = 0; r < ROWS; r++)
            acc[t][r] = _mm256_setzero_si256();
    for (; k + 128 <= cols; k += 128) {
        for (size_t r = 0; r < ROWS; r++)
            w[r] = load(rows->w[r] + k / 4);
        add_planes(acc, w, x, k, lanes);
    }
    if (k < cols) {
        for (size_t r = 0; r < ROWS; r++) {
            char rest[32] = {0};

            memcpy(rest, rows->w[r] + k / 4, (cols - k + 3) / 4);
            w[r] = load(rest);
        }
        add_planes(acc, w, x, k, lanes);
    }
    for (size_t t = 0; t < lanes; t++)
        out[t] = _mm_sub_epi32(
            sum_lanes4(_mm256_madd_epi16(acc[t][0], one), _mm256_madd_epi16(acc[t][1], one),
                       _mm256_madd_epi16(acc[t][2], one), _mm256_madd_epi16(acc[t][3], one)),
            _mm_set1_epi32(x[t].sum));
}

/* Add one chunk's sums to those of the chunks before it. */
static void put_chunk(int32_t *y, size_t n, size_t k, __m128i sums)
{
    int32_t old[ROWS] = {0};

    if (k)
        memcpy(old, y, n * sizeof(*y));
    put_sums(y, n, _mm_add_epi32(sums, load_half(old)));
}

static void matvec_ternary(const struct mbi_op_args *a)
{
    const size_t cols = a->in_type[1]->cols, n = a->in_type[1]->rows;
    const size_t row_size = mbi_type_row_size(a->in_type[1]);
    const int8_t *x = a->in[0];
    int32_t *y = a->out;
    struct planes planes[2];

    for (size_t t = 0; t < a->lanes; t += 2)
        for (size_t k = 0; k < cols; k += TRIT_CHUNK) {
            const size_t lanes = mbi_min_size(2, a->lanes - t),
                         part = mbi_min_size(TRIT_CHUNK, cols - k);

            for (size_t i = 0; i < lanes; i++)
                spread(&planes[i], x + (t + i) * cols + k, part);
            for (size_t r = a->begin; r < a->end; r += ROWS) {
                struct rows rows = rows_at(a, row_size, r);
                __m128i sums[2];

                for (size_t i = 0; i < ROWS; i++)
                    rows.w[i] += k / 4;
                if (lanes == 2)
                    trit_block(sums, &rows, planes, part, 2);
                else
                    trit_block(sums, &rows, planes, part, 1);
                for (size_t i = 0; i < lanes; i++)
                    put_chunk(y + (t + i) * n + r, rows.n, k, sums[i]);
            }
        }
}

void mbi_avx2_matvec(const struct mbi_op_args *a)
{
    const struct mbi_type *x = a->in_type[0], *w = a->in_type[1];

    if (w->dtype == MBI_TERNARY && x->dtype == MBI_I8)
        matvec_ternary(a);
    else if (w->dtype != MBI_I8 || (w->cols < 32 && a->lanes < MANY_LANES))
        mbi_op_matvec.eval(a);
    else if (a->lanes >= MANY_LANES)
        matvec_panels(a);
    else if (x->dtype == MBI_I8 && w->lo >= -127)
        matvec8(a);
    else
        matvec16(a);
}

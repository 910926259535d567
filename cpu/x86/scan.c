/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan for AVX2: the rows that a run brings to one chunk are done together, as products of small
 * matrices of i16. The sums and roundings are those of lib/op/scan.c, whose head comment proves
 * the bounds: all sums of magnitudes stay below 2^31, so partial sums in any order do too, and a
 * pair of i16 products can reach 2^31 only from four times -32768, which no factor here takes:
 * M and xe are at most 32767 in magnitude (products with ex2 <= 32767), B and C are i8.
 *
 * Beside h the memory keeps h16, what y reads of it, in the order of the products: for each head and
 * slice of sixteen columns, rows n in pairs. It changes when h does, at the end of a chunk.
 *                                                                       arithmetic.md, scan
 */
#include "cpu/x86/slice.h"

#define MAX_CHUNK 256
#define MAX_STATE 512
#define MAX_HEAD 256
#define TILE 4096 /* elements of a tile of S, C, M or B: rows are chosen to fit */
#define ONE_SLICES 4 /* slices done at a time for a row alone */

enum { FIELD_H, FIELD_B, FIELD_XW, FIELD_L };

/* The rows [from, to) of one chunk, brought by the lanes from `lane` on. */
struct part {
    const struct mbi_op_args *a;
    const struct mbi_scan_attr *at;
    size_t lane, from, to;
    size_t chunk, heads, dim, n; /* Q, H, P, N */
    size_t s_cols;               /* a row of S and M: Q, at least 16 */
};

/* What one head knows of the chunk. Rows without a token have L = 0. */
struct head {
    size_t index;
    uint32_t L[MAX_CHUNK + LANES];
    int32_t keep[MAX_CHUNK + LANES]; /* what is left of h after L, in Q15 */
    int16_t last[2][MAX_HEAD];       /* xw of row Q - 1, which has no slot, and a row of zeros */
};

struct work {
    int16_t s[TILE]; /* S of a tile of rows, 0 above the diagonal */
    int16_t c[TILE]; /* C of the same rows; while folding: B, rows in pairs */
    int16_t m[TILE]; /* M of one head */
    _Alignas(64) int32_t x[MAX_CHUNK / 2][SLICE]; /* xw or xe of one slice, rows j in pairs */
    struct head head;
};

static const int8_t *b_row(const struct part *p, size_t j)
{
    return j >= p->from ? (const int8_t *)p->a->in[1] + (p->lane + j - p->from) * 2 * p->n
                        : (const int8_t *)p->a->state[FIELD_B] + j * p->n;
}

static const int8_t *c_row(const struct part *p, size_t i)
{
    return (const int8_t *)p->a->in[1] + ((p->lane + i - p->from) * 2 + 1) * p->n;
}

static int16_t *xw_slot(const struct part *p, size_t head, size_t j)
{
    return (int16_t *)p->a->state[FIELD_XW] + (j * p->heads + head) * p->dim;
}

static int32_t *l_slot(const struct part *p, size_t head, size_t j)
{
    return (int32_t *)p->a->state[FIELD_L] + j * p->heads + head;
}

static int32_t l_input(const struct part *p, size_t head, size_t j)
{
    return ((const int32_t *)p->a->in[2])[(p->lane + j - p->from) * p->heads + head];
}

static const int16_t *xw_row(const struct part *p, const struct head *hd, size_t j)
{
    return j + 1 < p->chunk ? xw_slot(p, hd->index, j) : hd->last[j + 1 - p->chunk];
}

/* h16 of one slice: [N / 2][SLICE] pairs. */
static int32_t *h_slice(const struct part *p, size_t head, size_t col)
{
    return (int32_t *)p->a->copy + (head * p->dim + col) * p->n / 2;
}

static int s_shift(const struct part *p) { return mbi_bitlen(p->n) - 2; } /* log2(N) - 1 */

/* ---- taking in the tokens of the part ---- */

/* xw of one row: |x w| <= 2^7 2^18, and after the shift it fits 16 bits but for a saturation. */
static void weigh(int16_t *xw, const int8_t *x, uint32_t w, size_t dim)
{
    const __m256i factor = _mm256_set1_epi32((int32_t)w), half = _mm256_set1_epi32(512);

    for (size_t p = 0; p < dim; p += LANES) {
        const __m256i v = _mm256_mullo_epi32(load8_i8(x + p), factor);

        store8(xw, MBI_I16, p, _mm256_srai_epi32(_mm256_add_epi32(v, half), 10));
    }
}

/* 1 - 2^-l of the rows j .. j+7, as mbi_input_weight: ex2w >= 2^22, the sum stays below 2^31. */
static void input_weights(uint32_t w[LANES], const struct part *p, size_t head, size_t j)
{
    int32_t l[LANES] = {0};

    for (size_t k = 0; k < LANES && j + k < p->to; k++)
        l[k] = l_input(p, head, j + k);
    store(w, _mm256_sub_epi32(_mm256_set1_epi32(1 << 18),
                              rsh8(ex2w_8(load(l)), _mm256_set1_epi32(12))));
}

static void enter(const struct part *p, struct head *last, size_t head, size_t j, uint32_t w)
{
    const int8_t *x =
        (const int8_t *)p->a->in[0] + ((p->lane + j - p->from) * p->heads + head) * p->dim;

    weigh(j + 1 < p->chunk ? xw_slot(p, head, j) : last->last[0], x, w, p->dim);
}

/* Write the slots of the part's rows. Row Q - 1 has none: load_head() makes it again. */
static void enter_rows(const struct part *p, size_t head)
{
    uint32_t L = p->from ? (uint32_t)*l_slot(p, head, p->from - 1) : 0, w[LANES];
    const size_t end = mbi_min_size(p->to, p->chunk - 1);

    for (size_t j = p->from; j < end; j++) {
        if ((j - p->from) % LANES == 0)
            input_weights(w, p, head, j);
        enter(p, NULL, head, j, w[(j - p->from) % LANES]);
        L += (uint32_t)l_input(p, head, j);
        *l_slot(p, head, j) = (int32_t)L;
    }
}

/* L of the rows below `to`, and what is left of h at the rows from `first` on. */
static void load_head(struct head *hd, const struct part *p, size_t head, size_t first)
{
    const size_t last = p->chunk - 1, end = mbi_align_size(p->to, 16);

    hd->index = head;
    for (size_t j = 0; j < mbi_min_size(p->to, last); j++)
        hd->L[j] = (uint32_t)*l_slot(p, head, j);
    for (size_t j = p->to; j < end; j++)
        hd->L[j] = 0;
    memset(hd->last, 0, sizeof(hd->last));
    if (p->to == p->chunk) {
        const uint32_t l = (uint32_t)l_input(p, head, last);

        enter(p, hd, head, last, mbi_input_weight(l));
        hd->L[last] = l + (last ? hd->L[last - 1] : 0);
    }
    for (size_t j = first / LANES * LANES; j < p->to; j += LANES) {
        const __m256i L = load(hd->L + j);
        const __m256i held = _mm256_cmpeq_epi32(L, _mm256_set1_epi32(p->at->hold ? 0 : -1));

        store(hd->keep + j, _mm256_blendv_epi8(ex2_8(L), _mm256_set1_epi32(1 << 15), held));
    }
}

/* ---- S and C of a tile, the same for every head ---- */

static void load_c(struct work *w, const struct part *p, size_t i, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < p->n; n += 16)
            store(w->c + r * p->n + n, load16_i8(c_row(p, i + r) + n));
}

/* S of row i against the rows j .. j+3: |C . B| <= 256 * 2^14, narrowed with saturation. */
static void s_block(int16_t *s, const struct part *p, const int16_t *c, size_t i, size_t j)
{
    const __m128i half = _mm_set1_epi32(1 << (s_shift(p) - 1));
    const __m128i limit = _mm_set1_epi16((int16_t)(i - j)),
                  index = _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7);
    const int8_t *b[4];
    __m256i acc[4];
    __m128i sum;

    for (size_t k = 0; k < 4; k++) {
        b[k] = b_row(p, mbi_min_size(j + k, i));
        acc[k] = _mm256_setzero_si256();
    }
    for (size_t n = 0; n < p->n; n += 16) {
        const __m256i v = load(c + n);

        for (size_t k = 0; k < 4; k++)
            acc[k] = _mm256_add_epi32(acc[k], _mm256_madd_epi16(v, load16_i8(b[k] + n)));
    }
    sum = sum_lanes4(acc[0], acc[1], acc[2], acc[3]);
    sum = _mm_sra_epi32(_mm_add_epi32(sum, half), _mm_cvtsi32_si128(s_shift(p)));
    _mm_storel_epi64((__m128i *)(void *)(s + j),
                     _mm_andnot_si128(_mm_cmpgt_epi16(index, limit), _mm_packs_epi32(sum, sum)));
}

static void make_s(struct work *w, const struct part *p, size_t i, size_t rows)
{
    memset(w->s, 0, rows * p->s_cols * sizeof(*w->s));
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j <= i + r; j += 4)
            s_block(w->s + r * p->s_cols, p, w->c + r * p->n, i + r, j);
}

/* ---- one head ---- */

/* M of row i for the columns below `cols`. Above the diagonal S is 0, so M is, whatever ex2 says
 * of the difference there. */
static void make_m(int16_t *m, const int16_t *s, const struct head *hd, size_t i, size_t cols)
{
    const __m256i L = _mm256_set1_epi32((int32_t)hd->L[i]);

    for (size_t j = 0; j < cols; j += 16) {
        const __m256i low = ex2_8(_mm256_sub_epi32(L, load(hd->L + j)));
        const __m256i high = ex2_8(_mm256_sub_epi32(L, load(hd->L + j + LANES)));
        const __m256i decay = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);

        store(m + j, _mm256_mulhrs_epi16(load(s + j), decay));
    }
}

/* h16 of eight columns: (h + 2^15) >> 16 of the rows n and n + 1 in one lane. |h| < 18 2^26, so
 * the sums fit. */
static inline __m256i pair_h(__m256i even, __m256i odd)
{
    const __m256i half = _mm256_set1_epi32(1 << 15);

    return _mm256_blend_epi16(_mm256_srli_epi32(_mm256_add_epi32(even, half), 16),
                              _mm256_add_epi32(odd, half), 0xAA);
}

/* Pairs that lie in slots are a plain walk; the last pair may hold row Q - 1. */
static void load_xw(struct work *w, const struct part *p, size_t col, size_t rows)
{
    const size_t step = p->heads * p->dim;
    const int16_t *row = xw_slot(p, w->head.index, 0) + col;
    size_t j = 0;

    for (; j + 2 < p->chunk && j < rows; j += 2, row += 2 * step)
        slice_store(w->x[j / 2], slice_pairs(load(row), load(row + step)));
    if (j < rows)
        slice_store(w->x[j / 2], slice_pairs(load(xw_row(p, &w->head, j) + col),
                                             load(xw_row(p, &w->head, j + 1) + col)));
}

/* rsh(inside, 9 - sN) + rsh(carried keep, 16): |inside| + 2^8 < 2^31; the 64-bit product is below
 * 2^46 and bits 16 to 47 of it are the whole result. */
static inline __m256i join(__m256i inside, __m256i carried, int32_t kept, int s)
{
    const __m256i factor = _mm256_set1_epi32(kept), half = _mm256_set1_epi64x(1 << 15);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(carried, factor), half);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(odd_lanes(carried), factor), half);
    const __m256i near = _mm256_sra_epi32(_mm256_add_epi32(inside, _mm256_set1_epi32(1 << (s - 1))),
                                          _mm_cvtsi32_si128(s));

    return _mm256_add_epi32(near, SELECT_BITS(even, odd, 16));
}

static inline void put_y(const struct part *p, size_t head, size_t i, size_t col, int32_t kept,
                         struct slice inside, struct slice carried)
{
    int32_t *y =
        (int32_t *)p->a->out + ((p->lane + i - p->from) * p->heads + head) * p->dim + col;
    const int s = 9 - s_shift(p);

    store(y, join(slice_low(inside), slice_low(carried), kept, s));
    store(y + LANES, join(slice_high(inside), slice_high(carried), kept, s));
}

/* y of the rows i .. i+rows-1 (r0 counts inside the tile) and of one slice. */
MBI_ALWAYS_INLINE void y_rows(const struct work *w, const struct part *p, size_t i, size_t r0,
                              size_t rows, size_t col)
{
    struct slice inside[SLICE_ROWS], carried[SLICE_ROWS];
    const size_t head = w->head.index;

    for (size_t r = 0; r < rows; r++)
        inside[r] = carried[r] = slice_zero();
    slice_product(inside, rows, w->m + r0 * p->s_cols, p->s_cols, 2, w->x[0], (i + rows + 1) / 2);
    slice_product(carried, rows, w->c + r0 * p->n, p->n, 2, h_slice(p, head, col), p->n / 2);
    for (size_t r = 0; r < rows; r++)
        put_y(p, head, i + r, col, w->head.keep[i + r], inside[r], carried[r]);
}

/*
 * One row alone, as when decoding: up to four slices at once, so that their sums are independent
 * and the factor is read once for all.
 */
MBI_ALWAYS_INLINE void y_one(const struct work *w, const struct part *p, size_t i, size_t col,
                             size_t slices)
{
    struct slice inside[ONE_SLICES], carried[ONE_SLICES];
    const size_t head = w->head.index, step = p->n / 2 * SLICE;
    const int32_t *h = h_slice(p, head, col);

    for (size_t k = 0; k < slices; k++)
        inside[k] = carried[k] = slice_zero();
    for (size_t n = 0; n < p->n / 2; n++)
        for (size_t k = 0; k < slices; k++)
            carried[k] = slice_dot(carried[k], w->c + 2 * n, slice_load(h + k * step + n * SLICE));
    for (size_t j = 0; j <= i; j += 2) {
        const int16_t *even = xw_row(p, &w->head, j) + col, *odd = xw_row(p, &w->head, j + 1) + col;

        for (size_t k = 0; k < slices; k++)
            inside[k] = slice_dot(inside[k], w->m + j,
                                  slice_pairs(load(even + k * SLICE), load(odd + k * SLICE)));
    }
    for (size_t k = 0; k < slices; k++)
        put_y(p, head, i, col + k * SLICE, w->head.keep[i], inside[k], carried[k]);
}

/* M of row i is 0 behind the diagonal, so the row behind it may be any. */
static void head_one(struct work *w, const struct part *p, size_t head, size_t i)
{
    size_t col = 0;

    load_head(&w->head, p, head, i);
    make_m(w->m, w->s, &w->head, i, mbi_align_size(i + 1, 16));
    for (; col + ONE_SLICES * SLICE <= p->dim; col += ONE_SLICES * SLICE)
        y_one(w, p, i, col, ONE_SLICES);
    for (; col < p->dim; col += SLICE)
        y_one(w, p, i, col, 1);
}

/* All rows of a tile for one head. Rows are made in blocks, the last ones singly. */
static void head_tile(struct work *w, const struct part *p, size_t head, size_t i, size_t rows)
{
    load_head(&w->head, p, head, i);
    for (size_t r = 0; r < rows; r++) {
        const size_t block_end = mbi_min_size(r / SLICE_ROWS * SLICE_ROWS + SLICE_ROWS, rows);

        make_m(w->m + r * p->s_cols, w->s + r * p->s_cols, &w->head, i + r,
               mbi_align_size(i + block_end, 16));
    }
    for (size_t col = 0; col < p->dim; col += SLICE) {
        size_t r = 0;

        load_xw(w, p, col, i + rows);
        for (; r + SLICE_ROWS <= rows; r += SLICE_ROWS)
            y_rows(w, p, i + r, r, SLICE_ROWS, col);
        for (; r < rows; r++)
            y_rows(w, p, i + r, r, 1, col);
    }
}

/* ---- folding a full chunk into h ---- */

/* B of the columns n0 .. n0+cols-1, the chunk's rows in pairs: [Q / 2][cols] pairs. A chunk of one
 * row has a row of zeros beside it. */
static void load_b(struct work *w, const struct part *p, size_t n0, size_t cols)
{
    for (size_t j = 0; j < p->chunk; j += 2)
        for (size_t n = 0; n < cols; n += 16) {
            const __m256i zero = _mm256_setzero_si256();
            const __m256i even = load16_i8(b_row(p, j) + n0 + n);
            const __m256i odd = j + 1 < p->chunk ? load16_i8(b_row(p, j + 1) + n0 + n) : zero;

            slice_store((int32_t *)(void *)(w->c + j * cols + 2 * n), slice_pairs(even, odd));
        }
}

/* xe of one slice: xw times what is left of it at the chunk's end. */
static void load_xe(struct work *w, const struct part *p, const int16_t *decay, size_t col)
{
    for (size_t j = 0; j < p->chunk; j += 2) {
        const __m256i a = load(xw_row(p, &w->head, j) + col);
        const __m256i b = load(xw_row(p, &w->head, j + 1) + col);

        slice_store(w->x[j / 2],
                    slice_pairs(_mm256_mulhrs_epi16(a, _mm256_set1_epi16(decay[j])),
                                _mm256_mulhrs_epi16(b, _mm256_set1_epi16(decay[j + 1]))));
    }
}

/* h = rsh(h kept + sum 2^23, 15) of eight lanes, in 64 bits; |sum| < 2^23, the result < 2^31, so
 * bits 15 to 46 are all of it. */
static inline __m256i fold_lanes(const int32_t *h, __m256i sum, int32_t kept)
{
    const __m256i factor = _mm256_set1_epi32(kept), up = _mm256_set1_epi32(1 << 23);
    const __m256i half = _mm256_set1_epi64x(1 << 14), old = load(h);
    const __m256i even = _mm256_add_epi64(
        half, _mm256_add_epi64(_mm256_mul_epi32(old, factor), _mm256_mul_epi32(sum, up)));
    const __m256i odd =
        _mm256_add_epi64(half, _mm256_add_epi64(_mm256_mul_epi32(odd_lanes(old), factor),
                                                _mm256_mul_epi32(odd_lanes(sum), up)));

    return SELECT_BITS(even, odd, 15);
}

/* Two rows of h and what y reads of them. */
static inline void fold_pair(int32_t *h, int32_t *h16, size_t dim, struct slice even,
                             struct slice odd, int32_t kept)
{
    const __m256i a = fold_lanes(h, slice_low(even), kept);
    const __m256i b = fold_lanes(h + LANES, slice_high(even), kept);
    const __m256i c = fold_lanes(h + dim, slice_low(odd), kept);
    const __m256i d = fold_lanes(h + dim + LANES, slice_high(odd), kept);

    store(h, a);
    store(h + LANES, b);
    store(h + dim, c);
    store(h + dim + LANES, d);
    store(h16, pair_h(a, c));
    store(h16 + LANES, pair_h(b, d));
}

/* Some rows of h and one slice; n counts inside the loaded columns, n0 + n in the state. */
static void fold_rows(const struct work *w, const struct part *p, size_t n0, size_t n, size_t cols,
                      size_t col)
{
    const int32_t kept = w->head.keep[p->chunk - 1];
    int32_t *h = (int32_t *)p->a->state[FIELD_H] +
                 (w->head.index * p->n + n0 + n) * p->dim + col;
    int32_t *h16 = h_slice(p, w->head.index, col) + (n0 + n) / 2 * SLICE;
    struct slice sum[SLICE_ROWS];

    for (size_t r = 0; r < SLICE_ROWS; r++)
        sum[r] = slice_zero();
    slice_product(sum, SLICE_ROWS, w->c + 2 * n, 2, 2 * cols, w->x[0], (p->chunk + 1) / 2);
    for (size_t r = 0; r < SLICE_ROWS; r += 2)
        fold_pair(h + r * p->dim, h16 + r / 2 * SLICE, p->dim, sum[r], sum[r + 1], kept);
}

/* One head, the state columns n0 .. n0+cols-1. */
static void fold_head(struct work *w, const struct part *p, size_t head, size_t n0, size_t cols)
{
    int16_t decay[MAX_CHUNK + LANES];
    __m256i end;

    load_head(&w->head, p, head, p->chunk - 1);
    end = _mm256_set1_epi32((int32_t)w->head.L[p->chunk - 1]);
    for (size_t j = 0; j < p->chunk; j += LANES)
        store8(decay, MBI_I16, j, ex2_8(_mm256_sub_epi32(end, load(w->head.L + j))));
    for (size_t col = 0; col < p->dim; col += SLICE) {
        load_xe(w, p, decay, col);
        for (size_t n = 0; n < cols; n += SLICE_ROWS)
            fold_rows(w, p, n0, n, cols, col);
    }
}

static void fold(struct work *w, const struct part *p)
{
    const size_t cols = mbi_min_size(p->n, TILE / mbi_max_size(p->chunk, 2));

    for (size_t n = 0; n < p->n; n += cols) {
        load_b(w, p, n, cols);
        for (size_t head = p->a->begin; head < p->a->end; head++)
            fold_head(w, p, head, n, cols);
    }
    for (size_t head = p->a->begin; head < p->a->end; head++)
        for (size_t j = 0; j + 1 < p->chunk; j++) {
            memset(xw_slot(p, head, j), 0, p->dim * sizeof(int16_t));
            *l_slot(p, head, j) = 0;
        }
}

/* ---- */

static void run_part(struct work *w, const struct part *p)
{
    const size_t tile = mbi_min_size(TILE / p->s_cols, TILE / p->n);

    for (size_t head = p->a->begin; head < p->a->end; head++)
        enter_rows(p, head);
    for (size_t i = p->from; i < p->to; i += tile) {
        const size_t rows = mbi_min_size(tile, p->to - i);

        load_c(w, p, i, rows);
        make_s(w, p, i, rows);
        for (size_t head = p->a->begin; head < p->a->end; head++)
            if (rows == 1)
                head_one(w, p, head, i);
            else
                head_tile(w, p, head, i, rows);
    }
    if (p->to == p->chunk)
        fold(w, p);
}

static struct part part_of(const struct mbi_op_args *a)
{
    const struct mbi_scan_attr *at = a->attr;

    return (struct part){.a = a,
                         .at = at,
                         .chunk = (size_t)at->chunk,
                         .heads = (size_t)at->heads,
                         .dim = (size_t)at->head_dim,
                         .n = (size_t)at->d_state,
                         .s_cols = mbi_max_size((size_t)at->chunk, 16)};
}

/* Other shapes go to the reference. */
static bool shape_fits(const struct part *p) { return p->n >= 16 && p->dim % SLICE == 0; }

static void eval(const struct mbi_op_args *a)
{
    struct part p = part_of(a);
    struct work work;

    if (!shape_fits(&p)) {
        mbi_op_scan.eval(a);
        return;
    }
    for (; p.lane < a->lanes; p.lane += p.to - p.from) {
        p.from = (size_t)((a->pos + p.lane) % p.chunk);
        p.to = mbi_min_size(p.chunk, p.from + a->lanes - p.lane);
        run_part(&work, &p);
    }
}

static size_t copy_size(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);

    return shape_fits(&p) ? p.heads * p.dim * p.n * sizeof(int16_t) : 0;
}

static void copy_make(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);

    for (size_t head = 0; shape_fits(&p) && head < p.heads; head++)
        for (size_t n = 0; n < p.n; n += 2) {
            const int32_t *h = (const int32_t *)a->state[FIELD_H] + (head * p.n + n) * p.dim;

            for (size_t col = 0; col < p.dim; col += LANES)
                store(h_slice(&p, head, col / SLICE * SLICE) + n / 2 * SLICE + col % SLICE,
                      pair_h(load(h + col), load(h + p.dim + col)));
        }
}

const struct mbi_cpu_op MBI_X86(scan) = {
    .name = "scan", .eval = eval, .copy_size = copy_size, .copy_make = copy_make};

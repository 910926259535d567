/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan for AVX2: the rows that a run brings to one chunk are done together, as products of small
 * matrices of i16. The sums and roundings are those of lib/op/scan.c, whose head comment proves the
 * bounds: all sums of magnitudes stay below 2^31, so partial sums in any order do too, and a pair
 * of i16 products can reach 2^31 only from four times -32768, which no factor here takes: M and xe
 * are at most 32767 in magnitude (products with ex2 <= 32767), B and C are i8.
 *
 * The memory keeps a copy of the state in the order of the products: h16, what y reads of h, with
 * its rows n in pairs, head by head; then L; then xw with its rows j in pairs, all heads of a pair
 * side by side, so that what a token reads is the front of the copy. Row Q - 1, which the state has
 * no slot for, is there until the chunk is folded. What a head has forgotten (its decay rounds to
 * 0) is not read.
 *                                                                       arithmetic.md, scan
 */
#include "cpu/scan.h"
#include "cpu/x86/slice.h"

_Static_assert(SLICE == SCAN_SLICE, "a slice is what its head file says");

#define ONE_SLICES 4 /* slices done at a time for a row alone */
#define ONE_PAIRS 4  /* and rows of pairs of the chunk */

struct work {
    int16_t s[TILE]; /* S of a tile of rows, 0 above the diagonal */
    int16_t c[TILE]; /* C of the same rows; while folding: B, rows in pairs */
    int16_t m[TILE]; /* M of one head; for one row: of many */
    _Alignas(64) int32_t x[MAX_CHUNK / 2][SLICE]; /* xw or xe of one slice, rows j in pairs */
    _Alignas(64) int32_t inside[TILE];            /* for one row: sums over the chunk */
    int32_t keep[MAX_CHUNK + LANES];              /* of one head: what is left of h, in Q15 */
};

/* The parts of the copy: h16, L, xw. */
static size_t chunk_pairs(const struct part *p) { return (p->chunk + 1) / 2; }

/* From column `col` on: [N / 2][P] pairs. */
static int32_t *h_pairs(const struct part *p, size_t head, size_t col)
{
    return (int32_t *)p->a->copy + head * p->dim * (p->n / 2) + col;
}

/* s_cols entries, zero behind the last token. */
static uint32_t *l_copy(const struct part *p, size_t head)
{
    return (uint32_t *)h_pairs(p, p->heads, 0) + head * p->s_cols;
}

/* [(Q + 1) / 2][H][P] pairs; a row without a token is zero. */
static size_t xw_step(const struct part *p) { return p->heads * p->dim; }

static int32_t *xw_pairs(const struct part *p, size_t head, size_t col)
{
    return (int32_t *)l_copy(p, p->heads) + head * p->dim + col;
}

/* ex2 is 0 from here on: its Q48 polynomial is below 2^48, and the shift is at least 48. */
static bool gone(uint32_t L) { return L >= (uint32_t)15 << 16; }

/* First row of the chunk, even, that row i and those behind it still see: L does not fall, so the
 * rows that are gone are the first ones. */
static size_t first_seen(const uint32_t *L, size_t i)
{
    size_t low = 0, high = i;

    if (!gone(L[i] - L[0]))
        return 0;
    while (high - low > 1) { /* low is gone, high is not */
        const size_t middle = (low + high) / 2;

        if (gone(L[i] - L[middle]))
            low = middle;
        else
            high = middle;
    }
    return high & ~(size_t)1;
}

/* ---- taking in the tokens of the part ---- */

/* Eight columns of row j, in their pairs. */
static inline void put_pair(int32_t *to, size_t j, __m256i v)
{
    const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(65535));

    store(to, j % 2 ? _mm256_or_si256(load(to), _mm256_slli_epi32(v, 16)) : low);
}

/* xw of one row: |x w| <= 2^7 2^18, and after the shift it fits 16 bits but for a saturation. */
static void enter(const struct part *p, size_t head, size_t j, uint32_t w)
{
    const __m256i factor = _mm256_set1_epi32((int32_t)w), half = _mm256_set1_epi32(512);
    const __m256i highest = _mm256_set1_epi32(32767);
    const int8_t *x = x_row(p, head, j);

    for (size_t col = 0; col < p->dim; col += LANES) {
        const __m256i product = _mm256_mullo_epi32(load8_i8(x + col), factor);
        const __m256i v =
            _mm256_min_epi32(_mm256_srai_epi32(_mm256_add_epi32(product, half), 10), highest);

        put_pair(xw_pairs(p, head, col) + j / 2 * xw_step(p), j, v);
        if (j + 1 < p->chunk)
            store8(xw_slot(p, head, j), MBI_I16, col, v);
    }
}

/* 1 - 2^-l of up to eight heads at one row, as mbi_input_weight: ex2w >= 2^22, the sum stays below
 * 2^31. */
static void input_weights(uint32_t w[LANES], const struct part *p, size_t head, size_t n, size_t j)
{
    int32_t l[LANES] = {0};

    for (size_t k = 0; k < n; k++)
        l[k] = l_input(p, head + k, j);
    store(w, _mm256_sub_epi32(_mm256_set1_epi32(1 << 18),
                              rsh8(ex2w_8(load(l)), _mm256_set1_epi32(12))));
}

/* Row j of n heads into the slots of the state and into the copy. */
static void enter_row(const struct part *p, size_t head, size_t n, size_t j)
{
    uint32_t w[LANES];

    input_weights(w, p, head, n, j);
    for (size_t k = head; k < head + n; k++) {
        uint32_t *L = l_copy(p, k);

        enter(p, k, j, w[k - head]);
        L[j] = (uint32_t)l_input(p, k, j) + (j ? L[j - 1] : 0);
        if (j + 1 < p->chunk)
            *l_slot(p, k, j) = (int32_t)L[j];
    }
}

static void enter_rows(const struct part *p)
{
    for (size_t head = p->a->begin; head < p->a->end; head += LANES)
        for (size_t j = p->from; j < p->to; j++)
            enter_row(p, head, mbi_min_size(LANES, p->a->end - head), j);
}

/* What is left of h at the rows [from, to). */
static void make_keep(struct work *w, const struct part *p, size_t head, size_t from, size_t to)
{
    const uint32_t *copy = l_copy(p, head);

    for (size_t j = from / LANES * LANES; j < to; j += LANES) {
        const __m256i L = load(copy + j);
        const __m256i held = _mm256_cmpeq_epi32(L, _mm256_set1_epi32(p->at->hold ? 0 : -1));

        store(w->keep + j, _mm256_blendv_epi8(ex2_8(L), _mm256_set1_epi32(1 << 15), held));
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
static void make_m(int16_t *m, const int16_t *s, const uint32_t *l, size_t i, size_t cols)
{
    const __m256i L = _mm256_set1_epi32((int32_t)l[i]);

    for (size_t j = 0; j < cols; j += 16) {
        const __m256i low = ex2_8(_mm256_sub_epi32(L, load(l + j)));
        const __m256i high = ex2_8(_mm256_sub_epi32(L, load(l + j + LANES)));
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
    int32_t *y = y_row(p, head, i) + col;
    const int s = 9 - s_shift(p);

    store(y, join(slice_low(inside), slice_low(carried), kept, s));
    store(y + LANES, join(slice_high(inside), slice_high(carried), kept, s));
}

/* y of the rows i .. i+rows-1 (r0 counts inside the tile) and of one slice. */
MBI_ALWAYS_INLINE void y_rows(const struct work *w, const struct part *p, size_t head, size_t i,
                              size_t r0, size_t rows, size_t col)
{
    struct slice inside[SLICE_ROWS], carried[SLICE_ROWS];

    const size_t seen = first_seen(l_copy(p, head), i);

    for (size_t r = 0; r < rows; r++)
        inside[r] = carried[r] = slice_zero();
    slice_product(inside, rows, w->m + r0 * p->s_cols + seen, p->s_cols, 2, w->x[seen / 2], SLICE,
                  (i + rows + 1 - seen) / 2);
    if (w->keep[i]) /* it does not rise either */
        slice_product(carried, rows, w->c + r0 * p->n, p->n, 2, h_pairs(p, head, col), p->dim,
                      p->n / 2);
    for (size_t r = 0; r < rows; r++)
        put_y(p, head, i + r, col, w->keep[i + r], inside[r], carried[r]);
}

/* acc[k] += a row of pairs times neighbouring slices: independent sums for a row alone, a factor
 * is read once for all, and x once from front to back. */
MBI_ALWAYS_INLINE void slices_product(struct slice *acc, size_t slices, const int16_t *factor,
                                      const int32_t *x, size_t step, size_t pairs)
{
    for (size_t n = 0; n < pairs; n++)
        for (size_t k = 0; k < slices; k++)
            acc[k] = slice_dot_at(acc[k], factor + 2 * n, x + n * step + k * SLICE);
}

/*
 * One row alone, as when decoding, in two passes over the heads, so that each reads one long run of
 * memory: the sums over h16, which wait where y will be, then those over the chunk.
 */
MBI_ALWAYS_INLINE void carry_one(const struct work *w, const struct part *p, size_t head, size_t i,
                                 size_t col, size_t slices)
{
    struct slice carried[ONE_SLICES];

    for (size_t k = 0; k < slices; k++)
        carried[k] = slice_zero();
    if (w->keep[i])
        slices_product(carried, slices, w->c, h_pairs(p, head, col), p->dim, p->n / 2);
    for (size_t k = 0; k < slices; k++)
        slice_store(y_row(p, head, i) + col + k * SLICE, carried[k]);
}

/* Some rows of pairs of the chunk and some slices, behind what is inside already. */
MBI_ALWAYS_INLINE void add_inside(int32_t *inside, const int16_t *m, const struct part *p,
                                  const int32_t *xw, size_t pairs, bool first, size_t slices)
{
    struct slice acc[ONE_SLICES];

    for (size_t k = 0; k < slices; k++)
        acc[k] = first ? slice_zero() : slice_load(inside + k * SLICE);
    slices_product(acc, slices, m, xw, xw_step(p), pairs);
    for (size_t k = 0; k < slices; k++)
        slice_store(inside + k * SLICE, acc[k]);
}

/* The rows of pairs [j, j + pairs) of n heads, which lie side by side. */
static void add_rows(struct work *w, const struct part *p, size_t head, size_t n, size_t j,
                     size_t pairs)
{
    const size_t many = p->dim / (ONE_SLICES * SLICE) * (ONE_SLICES * SLICE);

    for (size_t k = 0; k < n; k++) {
        const int32_t *xw = xw_pairs(p, head + k, 0) + j * xw_step(p);
        const int16_t *m = w->m + k * p->s_cols + 2 * j;
        int32_t *inside = w->inside + k * p->dim;

        for (size_t col = 0; col < many; col += ONE_SLICES * SLICE)
            add_inside(inside + col, m, p, xw + col, pairs, j == 0, ONE_SLICES);
        for (size_t col = many; col < p->dim; col += SLICE)
            add_inside(inside + col, m, p, xw + col, pairs, j == 0, 1);
    }
}

/* n heads, as many as the work holds: the sums over the chunk, then y. */
static void inside_one(struct work *w, const struct part *p, size_t i, size_t head, size_t n)
{
    for (size_t k = 0; k < n; k++)
        make_m(w->m + k * p->s_cols, w->s, l_copy(p, head + k), i, mbi_align_size(i + 1, 16));
    for (size_t j = 0; j < i / 2 + 1; j += ONE_PAIRS)
        add_rows(w, p, head, n, j, mbi_min_size(ONE_PAIRS, i / 2 + 1 - j));
    for (size_t k = 0; k < n; k++) {
        make_keep(w, p, head + k, i, i + 1);
        for (size_t col = 0; col < p->dim; col += SLICE)
            put_y(p, head + k, i, col, w->keep[i], slice_load(w->inside + k * p->dim + col),
                  slice_load(y_row(p, head + k, i) + col));
    }
}

static void heads_one(struct work *w, const struct part *p, size_t i)
{
    const size_t many = p->dim / (ONE_SLICES * SLICE) * (ONE_SLICES * SLICE);
    const size_t batch = TILE / mbi_max_size(p->dim, p->s_cols);

    for (size_t head = p->a->begin; head < p->a->end; head++) {
        make_keep(w, p, head, i, i + 1);
        for (size_t col = 0; col < many; col += ONE_SLICES * SLICE)
            carry_one(w, p, head, i, col, ONE_SLICES);
        for (size_t col = many; col < p->dim; col += SLICE)
            carry_one(w, p, head, i, col, 1);
    }
    for (size_t head = p->a->begin; head < p->a->end; head += batch)
        inside_one(w, p, i, head, mbi_min_size(batch, p->a->end - head));
}

/* xw of the chunk's first rows and one slice, side by side for many passes. */
static void load_xw(struct work *w, const struct part *p, size_t head, size_t col, size_t rows)
{
    const int32_t *xw = xw_pairs(p, head, col);

    for (size_t j = 0; j < (rows + 1) / 2; j++)
        slice_store(w->x[j], slice_load(xw + j * xw_step(p)));
}

/* All rows of a tile for one head. Rows are made in blocks, the last ones singly. */
static void head_tile(struct work *w, const struct part *p, size_t head, size_t i, size_t rows)
{
    make_keep(w, p, head, i, i + rows);
    for (size_t r = 0; r < rows; r++) {
        const size_t block_end = mbi_min_size(r / SLICE_ROWS * SLICE_ROWS + SLICE_ROWS, rows);

        make_m(w->m + r * p->s_cols, w->s + r * p->s_cols, l_copy(p, head), i + r,
               mbi_align_size(i + block_end, 16));
    }
    for (size_t col = 0; col < p->dim; col += SLICE) {
        size_t r = 0;

        load_xw(w, p, head, col, i + rows);
        for (; r + SLICE_ROWS <= rows; r += SLICE_ROWS)
            y_rows(w, p, head, i + r, r, SLICE_ROWS, col);
        for (; r < rows; r++)
            y_rows(w, p, head, i + r, r, 1, col);
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
static void load_xe(struct work *w, const struct part *p, size_t head, const int16_t *decay,
                    size_t col)
{
    const int32_t *xw = xw_pairs(p, head, col);

    for (size_t j = 0; j < chunk_pairs(p); j++)
        for (size_t k = 0; k < SLICE; k += LANES)
            store(w->x[j] + k, _mm256_mulhrs_epi16(load(xw + j * xw_step(p) + k),
                                                   broadcast_pair(decay + 2 * j)));
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
static void fold_rows(const struct work *w, const struct part *p, size_t head, size_t n0, size_t n,
                      size_t cols, size_t col)
{
    const int32_t kept = w->keep[p->chunk - 1];
    int32_t *h = h_rows(p, head) + (n0 + n) * p->dim + col;
    int32_t *h16 = h_pairs(p, head, col) + (n0 + n) / 2 * p->dim;
    struct slice sum[SLICE_ROWS];

    for (size_t r = 0; r < SLICE_ROWS; r++)
        sum[r] = slice_zero();
    slice_product(sum, SLICE_ROWS, w->c + 2 * n, 2, 2 * cols, w->x[0], SLICE, chunk_pairs(p));
    for (size_t r = 0; r < SLICE_ROWS; r += 2)
        fold_pair(h + r * p->dim, h16 + r / 2 * p->dim, p->dim, sum[r], sum[r + 1], kept);
}

/* One head, the state columns n0 .. n0+cols-1. A row behind the chunk (Q = 1) has xw = 0. */
static void fold_head(struct work *w, const struct part *p, size_t head, size_t n0, size_t cols)
{
    const uint32_t *L = l_copy(p, head);
    const __m256i end = _mm256_set1_epi32((int32_t)L[p->chunk - 1]);
    int16_t decay[MAX_CHUNK + LANES];

    make_keep(w, p, head, p->chunk - 1, p->chunk);
    for (size_t j = 0; j < p->chunk; j += LANES)
        store8(decay, MBI_I16, j, ex2_8(_mm256_sub_epi32(end, load(L + j))));
    for (size_t col = 0; col < p->dim; col += SLICE) {
        load_xe(w, p, head, decay, col);
        for (size_t n = 0; n < cols; n += SLICE_ROWS)
            fold_rows(w, p, head, n0, n, cols, col);
    }
}

/* The copy of a chunk without tokens. */
static void clear_copy(const struct part *p, size_t head)
{
    for (size_t j = 0; j < chunk_pairs(p); j++)
        memset(xw_pairs(p, head, 0) + j * xw_step(p), 0, p->dim * sizeof(int32_t));
    memset(l_copy(p, head), 0, p->s_cols * sizeof(int32_t));
}

static void fold(struct work *w, const struct part *p)
{
    const size_t cols = mbi_min_size(p->n, TILE / mbi_max_size(p->chunk, 2));

    for (size_t n = 0; n < p->n; n += cols) {
        load_b(w, p, n, cols);
        for (size_t head = p->a->begin; head < p->a->end; head++)
            fold_head(w, p, head, n, cols);
    }
    for (size_t head = p->a->begin; head < p->a->end; head++) {
        clear_slots(p, head);
        clear_copy(p, head);
    }
}

/* ---- */

static void run_part(struct work *w, const struct part *p)
{
    const size_t tile = tile_rows(p);

    enter_rows(p);
    for (size_t i = p->from; i < p->to; i += tile) {
        const size_t rows = mbi_min_size(tile, p->to - i);

        load_c(w, p, i, rows);
        make_s(w, p, i, rows);
        if (rows == 1)
            heads_one(w, p, i);
        for (size_t head = p->a->begin; rows > 1 && head < p->a->end; head++)
            head_tile(w, p, head, i, rows);
    }
    if (p->to == p->chunk)
        fold(w, p);
}

static void eval(const struct mbi_op_args *a)
{
    struct part p = part_of(a);
    struct work work;

    if (!shape_fits(&p)) {
        mbi_op_scan.eval(a);
        return;
    }
    while (next_part(&p))
        run_part(&work, &p);
}

static size_t copy_size(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);
    const size_t words = p.heads * (p.dim * (p.n / 2 + chunk_pairs(&p)) + p.s_cols);

    return shape_fits(&p) ? words * sizeof(int32_t) : 0;
}

/* h16, L, and of xw the rows up to this token's. */
static size_t copy_front(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);
    const size_t rows = (size_t)(a->pos % p.chunk) / 2 + 1;
    const size_t words = p.heads * (p.dim * (p.n / 2) + p.s_cols) + xw_step(&p) * rows;

    return shape_fits(&p) ? words * sizeof(int32_t) : 0;
}

static void copy_h(const struct part *p, size_t head)
{
    for (size_t n = 0; n < p->n; n += 2) {
        const int32_t *h = h_rows(p, head) + n * p->dim;

        for (size_t col = 0; col < p->dim; col += LANES)
            store(h_pairs(p, head, col) + n / 2 * p->dim,
                  pair_h(load(h + col), load(h + p->dim + col)));
    }
}

static void copy_rows(const struct part *p, size_t head)
{
    clear_copy(p, head);
    for (size_t j = 0; j + 1 < p->chunk; j++) {
        l_copy(p, head)[j] = (uint32_t)*l_slot(p, head, j);
        for (size_t col = 0; col < p->dim; col += LANES)
            put_pair(xw_pairs(p, head, col) + j / 2 * xw_step(p), j,
                     load8(xw_slot(p, head, j), MBI_I16, col));
    }
}

static void copy_make(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);

    for (size_t head = 0; shape_fits(&p) && head < p.heads; head++) {
        copy_h(&p, head);
        copy_rows(&p, head);
    }
}

const struct mbi_cpu_op MBI_X86(scan) = {.name = "scan",
                                         .eval = eval,
                                         .copy_size = copy_size,
                                         .copy_make = copy_make,
                                         .copy_front = copy_front};

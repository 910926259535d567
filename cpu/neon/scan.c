/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan for NEON: the rows that a run brings to one chunk are done together, as products of small
 * matrices of i16. The sums and roundings are those of lib/op/scan.c, whose head comment proves the
 * bounds: all sums of magnitudes stay below 2^31, so partial sums in any order do too. The doubling
 * products saturate for twice -32768 alone, which no ex2 is.
 *
 * The memory keeps a copy of what y reads of h: h16, in the order of h.
 *                                                                       arithmetic.md, scan
 */
#include "cpu/neon/simd.h"
#include "cpu/scan.h"

#define MAX_HEAD 256
#define ROWS 4 /* rows that share a pass over the right matrix */
/* What one head knows of the chunk. Rows without a token have L = 0. */
struct head {
    size_t index;
    uint32_t L[MAX_CHUNK + LANES];
    int32_t keep[MAX_CHUNK + LANES]; /* what is left of h after L, in Q15 */
    int16_t last[MAX_HEAD];          /* xw of row Q - 1, which has no slot */
};

struct work {
    int16_t s[TILE]; /* S of a tile of rows, 0 above the diagonal */
    int16_t c[TILE]; /* C of the same rows; while folding: B */
    int16_t m[TILE]; /* M of one head */
    int16_t xe[MAX_CHUNK][SCAN_SLICE];
    struct head head;
};

static int16_t *h16_rows(const struct part *p, size_t head)
{
    return (int16_t *)p->a->copy + head * p->n * p->dim;
}

/* ---- products of i16 matrices ---- */

/* A left matrix: row r begins at row_step * r, its elements lie `step` apart. */
struct left {
    const int16_t *at;
    size_t row_step, step;
};

/* acc[r] += sum_k left[r][k] right[k] over sixteen columns. The caller answers for the sums. */
MBI_ALWAYS_INLINE void product(int32x4_t acc[][4], size_t rows, struct left left,
                               const int16_t *right, size_t right_step, size_t n)
{
    for (size_t k = 0; k < n; k++, right += right_step, left.at += left.step) {
        const int16x8_t a = vld1q_s16(right), b = vld1q_s16(right + 8);

        for (size_t r = 0; r < rows; r++) {
            const int16_t factor = left.at[r * left.row_step];

            acc[r][0] = vmlal_n_s16(acc[r][0], vget_low_s16(a), factor);
            acc[r][1] = vmlal_high_n_s16(acc[r][1], a, factor);
            acc[r][2] = vmlal_n_s16(acc[r][2], vget_low_s16(b), factor);
            acc[r][3] = vmlal_high_n_s16(acc[r][3], b, factor);
        }
    }
}

MBI_ALWAYS_INLINE void clear_sums(int32x4_t acc[][4], size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < 4; k++)
            acc[r][k] = vdupq_n_s32(0);
}

/* ---- taking in the tokens of the part ---- */

/* xw of one row: |x w| <= 2^7 2^18; the narrowing saturates to 16 bits. */
static void weigh(int16_t *xw, const int8_t *x, uint32_t w, size_t dim)
{
    for (size_t p = 0; p < dim; p += LANES) {
        const int32x4x2_t v = load8(x, MBI_I8, p);
        const int16x4_t low = vqrshrn_n_s32(vmulq_n_s32(v.val[0], (int32_t)w), 10);

        vst1q_s16(xw + p, vqrshrn_high_n_s32(low, vmulq_n_s32(v.val[1], (int32_t)w), 10));
    }
}

/* 1 - 2^-l of the rows j .. j+3, as mbi_input_weight: ex2w >= 2^22. */
static void input_weights(uint32_t w[4], const struct part *p, size_t head, size_t j)
{
    uint32_t l[4] = {0};

    for (size_t k = 0; k < 4 && j + k < p->to; k++)
        l[k] = (uint32_t)l_input(p, head, j + k);
    vst1q_u32(w, vreinterpretq_u32_s32(
                     vsubq_s32(vdupq_n_s32(1 << 18), vrshrq_n_s32(ex2w_4(vld1q_u32(l)), 12))));
}

/* Write the slots of the part's rows. Row Q - 1 has none: load_head() makes it again. */
static void enter_rows(const struct part *p, size_t head)
{
    uint32_t L = p->from ? (uint32_t)*l_slot(p, head, p->from - 1) : 0, w[4];
    const size_t end = mbi_min_size(p->to, p->chunk - 1);

    for (size_t j = p->from; j < end; j++) {
        if ((j - p->from) % 4 == 0)
            input_weights(w, p, head, j);
        weigh(xw_slot(p, head, j), x_row(p, head, j), w[(j - p->from) % 4], p->dim);
        L += (uint32_t)l_input(p, head, j);
        *l_slot(p, head, j) = (int32_t)L;
    }
}

static void load_head(struct head *hd, const struct part *p, size_t head)
{
    const size_t last = p->chunk - 1;
    const uint32x4_t hold = vdupq_n_u32(p->at->hold ? UINT32_MAX : 0);

    hd->index = head;
    memset(hd->L, 0, sizeof(hd->L));
    for (size_t j = 0; j < mbi_min_size(p->to, last); j++)
        hd->L[j] = (uint32_t)*l_slot(p, head, j);
    if (p->to == p->chunk) {
        const uint32_t l = (uint32_t)l_input(p, head, last);

        weigh(hd->last, x_row(p, head, last), mbi_input_weight(l), p->dim);
        hd->L[last] = l + (last ? hd->L[last - 1] : 0);
    }
    for (size_t j = 0; j < p->to; j += 4) {
        const uint32x4_t L = vld1q_u32(hd->L + j), held = vandq_u32(vceqzq_u32(L), hold);
        const uint32x4_t kept = vbslq_u32(held, vdupq_n_u32(1 << 15), ex2_4(L));

        vst1q_s32(hd->keep + j, vreinterpretq_s32_u32(kept));
    }
}

/* ---- S and C of a tile, the same for every head ---- */

static void widen_row(int16_t *to, const int8_t *from, size_t n)
{
    for (size_t k = 0; k < n; k += 8)
        vst1q_s16(to + k, vmovl_s8(vld1_s8(from + k)));
}

static void load_c(struct work *w, const struct part *p, size_t i, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        widen_row(w->c + r * p->n, c_row(p, i + r), p->n);
}

/* C . B over n columns of i8, four partial sums. Products are at most 2^14. */
static inline int32x4_t dot_rows(const int8_t *c, const int8_t *b, size_t n)
{
    int32x4_t acc = vdupq_n_s32(0);

    for (size_t k = 0; k < n; k += 16) {
        const int8x16_t x = vld1q_s8(c + k), y = vld1q_s8(b + k);

        acc = vpadalq_s16(acc, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
        acc = vpadalq_s16(acc, vmull_high_s8(x, y));
    }
    return acc;
}

/* S of row i against the rows j .. j+3: |C . B| <= 512 * 2^14, narrowed with saturation. */
static void s_block(int16_t *s, const struct part *p, size_t i, size_t j)
{
    static const uint16_t index[4] = {0, 1, 2, 3};
    const uint16x4_t inside = vcle_u16(vld1_u16(index), vdup_n_u16((uint16_t)(i - j)));
    const int8_t *c = c_row(p, i);
    int32x4_t acc[4], sum;

    for (size_t k = 0; k < 4; k++)
        acc[k] = dot_rows(c, b_row(p, mbi_min_size(j + k, i)), p->n);
    sum = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
    sum = rsh4(sum, vdupq_n_s32(s_shift(p)));
    vst1_s16(s + j, vand_s16(vqmovn_s32(sum), vreinterpret_s16_u16(inside)));
}

static void make_s(struct work *w, const struct part *p, size_t i, size_t rows)
{
    memset(w->s, 0, rows * p->s_cols * sizeof(*w->s));
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j <= i + r; j += 4)
            s_block(w->s + r * p->s_cols, p, i + r, j);
}

/* ---- one head ---- */

/* ex2 of eight differences end - L, at most 2^15 - 1. */
static inline int16x8_t decay8(uint32x4_t end, const uint32_t *L)
{
    const uint32x4_t low = ex2_4(vsubq_u32(end, vld1q_u32(L)));
    const uint32x4_t high = ex2_4(vsubq_u32(end, vld1q_u32(L + 4)));

    return vreinterpretq_s16_u16(vmovn_high_u32(vmovn_u32(low), high));
}

/* M of row i for the columns below `cols`. Above the diagonal S is 0, so M is, whatever ex2 says
 * of the difference there. */
static void make_m(int16_t *m, const int16_t *s, const struct head *hd, size_t i, size_t cols)
{
    const uint32x4_t L = vdupq_n_u32(hd->L[i]);

    for (size_t j = 0; j < cols; j += LANES)
        vst1q_s16(m + j, vqrdmulhq_s16(vld1q_s16(s + j), decay8(L, hd->L + j)));
}

/* rsh(inside, s) + rsh(carried keep, 16) of four lanes: the 64-bit product is below 2^46, what the
 * shift leaves of it below 2^30. */
static inline int32x4_t join(int32x4_t inside, int32x4_t carried, int32_t kept, int32x4_t s)
{
    const int32x2_t low = vrshrn_n_s64(vmull_n_s32(vget_low_s32(carried), kept), 16);

    return vaddq_s32(rsh4(inside, s), vrshrn_high_n_s64(low, vmull_high_n_s32(carried, kept), 16));
}

/* y of the rows i .. i+rows-1 (r0 counts inside the tile) and of one slice. */
MBI_ALWAYS_INLINE void y_rows(const struct work *w, const struct part *p, size_t i, size_t r0,
                              size_t rows, size_t col)
{
    const struct head *hd = &w->head;
    const int16_t *m = w->m + r0 * p->s_cols;
    const int32x4_t s = vdupq_n_s32(9 - s_shift(p));
    int32x4_t inside[ROWS][4], carried[ROWS][4];

    clear_sums(inside, rows);
    clear_sums(carried, rows);
    product(inside, rows, (struct left){m, p->s_cols, 1}, xw_slot(p, hd->index, 0) + col,
            p->heads * p->dim, mbi_min_size(i + rows, p->chunk - 1));
    if (i + rows == p->chunk)
        product(inside, rows, (struct left){m + p->chunk - 1, p->s_cols, 1}, hd->last + col, 0, 1);
    product(carried, rows, (struct left){w->c + r0 * p->n, p->n, 1}, h16_rows(p, hd->index) + col,
            p->dim, p->n);
    for (size_t r = 0; r < rows; r++) {
        int32_t *y = y_row(p, hd->index, i + r) + col;

        for (size_t k = 0; k < 4; k++)
            vst1q_s32(y + 4 * k, join(inside[r][k], carried[r][k], hd->keep[i + r], s));
    }
}

/* All rows of a tile for one head. Rows are made in blocks of four, the last ones singly. */
static void head_tile(struct work *w, const struct part *p, size_t head, size_t i, size_t rows)
{
    load_head(&w->head, p, head);
    for (size_t r = 0; r < rows; r++) {
        const size_t block_end = mbi_min_size(r / ROWS * ROWS + ROWS, rows);

        make_m(w->m + r * p->s_cols, w->s + r * p->s_cols, &w->head, i + r, i + block_end);
    }
    for (size_t col = 0; col < p->dim; col += SCAN_SLICE) {
        size_t r = 0;

        for (; r + ROWS <= rows; r += ROWS)
            y_rows(w, p, i + r, r, ROWS, col);
        for (; r < rows; r++)
            y_rows(w, p, i + r, r, 1, col);
    }
}

/* ---- folding a full chunk into h ---- */

/* xe of one slice: xw times what is left of it at the chunk's end. */
static void load_xe(struct work *w, const struct part *p, const int16_t *decay, size_t col)
{
    for (size_t j = 0; j < p->chunk; j++) {
        const int16_t *xw = j + 1 < p->chunk ? xw_slot(p, w->head.index, j) : w->head.last;

        for (size_t k = 0; k < SCAN_SLICE; k += 8)
            vst1q_s16(w->xe[j] + k, vqrdmulhq_n_s16(vld1q_s16(xw + col + k), decay[j]));
    }
}

/* h = rsh(h kept + sum 2^23, 15) of four lanes, in 64 bits, and what y will read of it; |sum| <
 * 2^23, the result < 2^31. */
static inline void fold_lanes(int32_t *h, int16_t *h16, int32x4_t sum, int32_t kept)
{
    const int32x4_t old = vld1q_s32(h);
    const int64x2_t low = vmlal_n_s32(vshll_n_s32(vget_low_s32(sum), 23), vget_low_s32(old), kept);
    const int64x2_t high = vmlal_high_n_s32(vshll_high_n_s32(sum, 23), old, kept);
    const int32x4_t now = vrshrn_high_n_s64(vrshrn_n_s64(low, 15), high, 15);

    vst1q_s32(h, now);
    vst1_s16(h16, vrshrn_n_s32(now, 16));
}

/* Four rows of h (the first at n0 + n, n inside the loaded columns) and one slice. */
static void fold_rows(const struct work *w, const struct part *p, size_t n0, size_t n, size_t cols,
                      size_t col)
{
    const int32_t kept = w->head.keep[p->chunk - 1];
    const size_t at = (n0 + n) * p->dim + col;
    int32x4_t sum[ROWS][4];

    clear_sums(sum, ROWS);
    product(sum, ROWS, (struct left){w->c + n, 1, cols}, w->xe[0], SCAN_SLICE, p->chunk);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t k = 0; k < 4; k++)
            fold_lanes(h_rows(p, w->head.index) + at + r * p->dim + 4 * k,
                       h16_rows(p, w->head.index) + at + r * p->dim + 4 * k, sum[r][k], kept);
}

/* One head, the state columns n0 .. n0+cols-1. */
static void fold_head(struct work *w, const struct part *p, size_t head, size_t n0, size_t cols)
{
    int16_t decay[MAX_CHUNK + LANES];
    uint32x4_t end;

    load_head(&w->head, p, head);
    end = vdupq_n_u32(w->head.L[p->chunk - 1]);
    for (size_t j = 0; j < p->chunk; j += LANES)
        vst1q_s16(decay + j, decay8(end, w->head.L + j));
    for (size_t col = 0; col < p->dim; col += SCAN_SLICE) {
        load_xe(w, p, decay, col);
        for (size_t n = 0; n < cols; n += ROWS)
            fold_rows(w, p, n0, n, cols, col);
    }
}

static void fold(struct work *w, const struct part *p)
{
    const size_t cols = mbi_min_size(p->n, TILE / p->chunk);

    for (size_t n = 0; n < p->n; n += cols) {
        for (size_t j = 0; j < p->chunk; j++)
            widen_row(w->c + j * cols, b_row(p, j) + n, cols);
        for (size_t head = p->a->begin; head < p->a->end; head++)
            fold_head(w, p, head, n, cols);
    }
    for (size_t head = p->a->begin; head < p->a->end; head++)
        clear_slots(p, head);
}

/* ---- */

static void run_part(struct work *w, const struct part *p)
{
    const size_t tile = tile_rows(p);

    for (size_t head = p->a->begin; head < p->a->end; head++)
        enter_rows(p, head);
    for (size_t i = p->from; i < p->to; i += tile) {
        const size_t rows = mbi_min_size(tile, p->to - i);

        load_c(w, p, i, rows);
        make_s(w, p, i, rows);
        for (size_t head = p->a->begin; head < p->a->end; head++)
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

    return shape_fits(&p) ? p.heads * p.n * p.dim * sizeof(int16_t) : 0;
}

static void copy_make(const struct mbi_op_args *a)
{
    const struct part p = part_of(a);

    for (size_t i = 0; shape_fits(&p) && i < p.heads * p.n * p.dim; i += 4)
        vst1_s16(h16_rows(&p, 0) + i, vrshrn_n_s32(vld1q_s32(h_rows(&p, 0) + i), 16));
}

const struct mbi_cpu_op mbi_neon_scan = {
    .name = "scan", .eval = eval, .copy_size = copy_size, .copy_make = copy_make};

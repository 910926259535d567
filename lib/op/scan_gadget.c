/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How scan is proved: chunk by chunk, as it is computed (arithmetic.md, scan). Rows are filled up
 * to whole chunks with tokens of zeros, for which all that is said here holds too; the result does
 * not read them. A proof of one chunk has rows for as many tokens as its own power of two.
 */
#include "op/scan_gadget.h"
#include "op/element.h"
#include <string.h>

/*
 * Counted from the node's first. There are those from KEEP on where h is kept, from XE on where a
 * chunk is folded, from BOUNDARY on where the memory before is not zero, and from H16 on where h is
 * read; what is not there leaves no gap, see var().
 */
enum {
    WEIGHT,
    XW = WEIGHT + MBI_EX2W_VARS,
    XW_REST,
    LEVEL,   /* L */
    PRODUCT, /* C . B */
    S,
    S_ABOVE,
    S_REST,
    PAIR, /* ex2(L_i - L_j) */
    M = PAIR + MBI_EX2_VARS,
    M_REST,
    IN,
    Y_IN,
    Y_IN_REST,
    KEEP,                       /* ex2(L) */
    IDLE = KEEP + MBI_EX2_VARS, /* with hold: [L = 0], and what shows it */
    BUSY,
    KEPT,
    XE,
    XE_REST,
    FOLD, /* sum B xe */
    H,    /* behind the chunks that are folded */
    H_REST,
    BOUNDARY,
    MEMORY,
    BEFORE, /* derived: h before each chunk */
    H16,
    H16_REST,
    OUT,
    Y_OUT,
    Y_OUT_REST
};

#define MAX_HEAD 256

struct scan {
    struct mbi_scan_attr at;
    uint32_t lanes, heads, dim, n, width; /* T, H, P, N, H P */
    uint32_t chunks, len, rows;           /* of len rows each; rows = chunks len */
    uint8_t log_len, log_dim;
    int s_shift, y_shift; /* sN, 9 - sN */
    int64_t s_above;      /* how far S may exceed 16 bits */
    bool begins;          /* with the memory of a boundary, which the first chunk reads */
    uint32_t folds;       /* the first chunks, whose h is needed behind them */
    uint32_t reads;       /* the last chunks, which read the h before them */
    uint32_t first;
};

static struct scan scan_of(const struct mbi_node *node, uint32_t lanes, const struct mbi_type *bc,
                           const bool boundary[MBI_SIDES])
{
    struct scan s = {.lanes = lanes};
    int64_t mag = mbi_max_i64(bc->lo * bc->lo, bc->hi * bc->hi);

    memcpy(&s.at, node->attr, sizeof(s.at));
    s.heads = (uint32_t)s.at.heads;
    s.dim = (uint32_t)s.at.head_dim;
    s.n = (uint32_t)s.at.d_state;
    s.width = node->type.cols;
    s.chunks = (lanes - 1) / (uint32_t)s.at.chunk + 1;
    s.log_len = (uint8_t)mbi_bitlen((s.chunks > 1 ? (uint32_t)s.at.chunk : lanes) - 1);
    s.len = (uint32_t)1 << s.log_len;
    s.rows = s.chunks << s.log_len;
    s.begins = boundary[MBI_BEFORE];
    s.reads = s.begins ? s.chunks : s.chunks - 1;
    s.folds = boundary[MBI_BEHIND] ? s.chunks : s.chunks - 1;
    s.log_dim = (uint8_t)mbi_bitlen(s.dim - 1);
    s.s_shift = mbi_bitlen(s.n) - 2;
    s.y_shift = 9 - s.s_shift;
    mag = mbi_rshift_half_up(mag * s.n, s.s_shift);
    s.s_above = mbi_max_i64(mag - INT16_MAX, 0);
    return s;
}

/* A variable by its name; those of a fold are there from BOUNDARY on. */
static uint32_t var(const struct scan *s, uint32_t name)
{
    const uint32_t folds = s->folds || name < BOUNDARY ? 0 : BOUNDARY - XE;
    const uint32_t begins = s->begins || name < H16 ? 0 : H16 - BOUNDARY;

    return s->first + name - folds - begins;
}

/* ---- what the relations are made of ---- */

static struct mbi_shape shape(uint32_t rows, uint32_t mid, uint32_t cols)
{
    return (struct mbi_shape){{rows, mid, cols}};
}

/* Row i of a chunk; element p of a head. A letter of one value has no bits to be a field of. */
static struct mbi_axis row_of(const struct scan *s, uint8_t chunk, uint8_t i)
{
    return s->log_len ? mbi_pair(chunk, s->log_len, i) : mbi_along(chunk, 0);
}

static struct mbi_axis last_row(const struct scan *s, uint8_t chunk)
{
    return mbi_every(chunk, s->log_len, (int32_t)s->len - 1);
}

static struct mbi_axis element_of(const struct scan *s, uint8_t h, uint8_t p)
{
    if (s->heads == 1)
        return mbi_along(p, 0);
    return s->log_dim ? mbi_pair(h, s->log_dim, p) : mbi_along(h, 0);
}

/* Of a table without a middle index. */
static struct mbi_view flat(uint32_t var, struct mbi_axis row, struct mbi_axis col)
{
    return mbi_view(var, row, mbi_fixed(0), col);
}

/* B of a row is the first half of its input, C the second one. */
static struct mbi_view b_of(const struct mbi_gadget *g, struct mbi_axis row, uint8_t n)
{
    return flat(g->in[1], row, mbi_along(n, 0));
}

static struct mbi_view c_of(const struct mbi_gadget *g, const struct scan *s, struct mbi_axis row,
                            uint8_t n)
{
    return flat(g->in[1], row, mbi_along(n, (int32_t)s->n));
}

static void relate(struct mbi_gadget *g, uint32_t n, const uint32_t *range)
{
    mbi_gadget_relate(g, 1);
    mbi_gadget_letters(g, n, range);
}

/* Of the pairs j <= i of a chunk. */
static void relate_pairs(struct mbi_gadget *g, const struct scan *s, uint32_t n,
                         const uint32_t *range, uint8_t i, uint8_t j)
{
    relate(g, n, range);
    if (s->len > 1)
        mbi_gadget_upto(g, j, i);
}

/* Adds + 2^(shift-1) - 2^shift q - r to the relation that was begun: what stands there is
 * shifted to q. The rest lies behind q. */
static void shifted_to(struct mbi_gadget *g, int shift, uint32_t q, struct mbi_axis row,
                       struct mbi_axis mid, struct mbi_axis col)
{
    mbi_gadget_view(g, -mbi_lshift(1, shift), mbi_view(q, row, mid, col));
    if (!shift)
        return;
    mbi_gadget_constant(g, mbi_lshift(1, shift - 1));
    mbi_gadget_view(g, -1, mbi_view(q + 1, row, mid, col));
}

/* q in [lo, hi] and its rest. */
static void quotient(struct mbi_gadget *g, struct mbi_shape of, int shift, int64_t lo, int64_t hi)
{
    mbi_gadget_table(g, of, lo, hi, true);
    mbi_gadget_table(g, of, 0, mbi_lshift(1, shift) - 1, false);
}

/* ---- tokens: their weighted inputs and how far they have decayed ---- */

static struct mbi_gadget_ex2w weight_of(const struct scan *s)
{
    return (struct mbi_gadget_ex2w){.shape = shape(s->rows, 1, s->heads),
                                    .log_f = 16,
                                    .octaves = 9,
                                    .down = 12,
                                    .first = s->first + WEIGHT};
}

/* xw = rsh(x (2^18 - w), 10), w = rsh(ex2w(l), 12); it never leaves 16 bits. */
static void declare_tokens(struct mbi_gadget *g, struct scan *s)
{
    enum { T, HEAD, P, LETTERS };
    const uint32_t n[LETTERS] = {s->rows, s->heads, s->dim};
    const struct mbi_axis t = mbi_along(T, 0), element = element_of(s, HEAD, P);
    struct mbi_gadget_ex2w w = weight_of(s);

    mbi_gadget_ex2w_vars(g, &w);
    s->first = w.first;
    mbi_gadget_ex2w_relations(g, &w, 0, 1, mbi_gadget_entry(g->in[2]));
    quotient(g, shape(s->rows, 1, s->width), 10, INT16_MIN, INT16_MAX);
    relate(g, LETTERS, n);
    mbi_gadget_view(g, 1 << 18, flat(g->in[0], t, element));
    mbi_gadget_views(g, -1, flat(g->in[0], t, element),
                     flat(mbi_gadget_ex2w_result(&w), t, mbi_along(HEAD, 0)));
    shifted_to(g, 10, s->first + XW, t, mbi_fixed(0), element);
    mbi_gadget_define_table(g, shape(s->rows, 1, s->heads));
    mbi_gadget_view(
        g, 1, flat(g->in[2], mbi_prefix(MBI_LETTER_ROW, s->log_len), mbi_along(MBI_LETTER_COL, 0)));
}

/* ---- inside of a chunk ---- */

/* S = rsh(C_i . B_j, sN) less what lies above 16 bits: nothing lies below them. */
static void declare_scores(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, I, J, N, LETTERS };
    const uint32_t n[LETTERS] = {s->chunks, s->len, s->len, s->n};
    const struct mbi_shape of = shape(s->rows, 1, s->len);
    const struct mbi_axis row = row_of(s, CHUNK, I), col = mbi_along(J, 0);
    const struct mbi_view y = flat(s->first + S, row, col);
    const struct mbi_view u = flat(s->first + S_ABOVE, row, col);

    mbi_gadget_define_table(g, of);
    mbi_gadget_letters(g, LETTERS, n);
    mbi_gadget_result(g, row, mbi_fixed(0), col);
    mbi_gadget_views(g, 1, c_of(g, s, row, N), b_of(g, row_of(s, CHUNK, J), N));
    mbi_gadget_table(g, of, INT16_MIN, INT16_MAX, false);
    mbi_gadget_table(g, of, 0, s->s_above, true);
    mbi_gadget_table(g, of, 0, mbi_lshift(1, s->s_shift) - 1, false);
    mbi_gadget_triangle(g, s->first + S, 3, s->log_len);
    relate_pairs(g, s, N, n, I, J);
    mbi_gadget_view(g, 1, flat(s->first + PRODUCT, row, col));
    mbi_gadget_view(g, -mbi_lshift(1, s->s_shift), y);
    mbi_gadget_view(g, -mbi_lshift(1, s->s_shift), u);
    if (s->s_shift) {
        mbi_gadget_constant(g, mbi_lshift(1, s->s_shift - 1));
        mbi_gadget_view(g, -1, flat(s->first + S_REST, row, col));
    }
    if (!s->s_above)
        return;
    relate_pairs(g, s, N, n, I, J);
    mbi_gadget_views(g, 1, u, y);
    mbi_gadget_view(g, -INT16_MAX, u);
}

/* ex2(L_i - L_j) and M = mulr(S, that) for j <= i: nobody reads those for j > i. */
static void declare_pairs(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, I, HEAD, J, LETTERS };
    const struct mbi_shape of = shape(s->rows, s->heads, s->len);
    struct mbi_gadget_ex2 x = {.shape = of,
                               .n_letters = LETTERS,
                               .range = {s->chunks, s->len, s->heads, s->len},
                               .at = {row_of(s, CHUNK, I), mbi_along(HEAD, 0), mbi_along(J, 0)}};

    if (s->len > 1) {
        x.small = J;
        x.large = I;
    }
    x.plus = flat(s->first + LEVEL, row_of(s, CHUNK, I), mbi_along(HEAD, 0));
    x.minus = flat(s->first + LEVEL, row_of(s, CHUNK, J), mbi_along(HEAD, 0));
    mbi_gadget_ex2(g, &x);
    quotient(g, of, 15, INT16_MIN, INT16_MAX);
    mbi_gadget_triangle(g, s->first + M, 2, s->log_len);
    relate_pairs(g, s, LETTERS, x.range, I, J);
    mbi_gadget_views(g, 1, flat(s->first + S, x.at[0], x.at[2]),
                     mbi_view(mbi_gadget_ex2_result(s->first + PAIR), x.at[0], x.at[1], x.at[2]));
    shifted_to(g, 15, s->first + M, x.at[0], x.at[1], x.at[2]);
}

/* in = sum over j <= i of M xw, |in| < 2^31; its part of y. */
static void declare_inside(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, I, HEAD, P, J, LETTERS };
    const uint32_t n[LETTERS] = {s->chunks, s->len, s->heads, s->dim, s->len};
    const struct mbi_shape of = shape(s->lanes, 1, s->width);

    mbi_gadget_define_table(g, shape(s->rows, 1, s->width));
    mbi_gadget_letters(g, LETTERS, n);
    mbi_gadget_result(g, row_of(s, CHUNK, I), mbi_fixed(0), element_of(s, HEAD, P));
    if (s->len > 1)
        mbi_gadget_upto(g, J, I);
    mbi_gadget_views(
        g, 1, mbi_view(s->first + M, row_of(s, CHUNK, I), mbi_along(HEAD, 0), mbi_along(J, 0)),
        flat(s->first + XW, row_of(s, CHUNK, J), element_of(s, HEAD, P)));
    quotient(g, of, s->y_shift, INT32_MIN >> s->y_shift, INT32_MAX >> s->y_shift);
    relate(g, MBI_AXES, of.n);
    mbi_gadget_view(g, 1, mbi_gadget_entry(s->first + IN));
    shifted_to(g, s->y_shift, s->first + Y_IN, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
}

/* ---- from chunk to chunk ---- */

/* keep = ex2(L), with hold one more at L = 0, which makes 32767 to 2^15. */
static void declare_keep(struct mbi_gadget *g, const struct scan *s)
{
    const struct mbi_shape of = shape(s->rows, 1, s->heads);
    const struct mbi_view level = mbi_gadget_entry(s->first + LEVEL);
    const struct mbi_view idle = mbi_gadget_entry(s->first + IDLE);
    struct mbi_gadget_ex2 x = {.shape = of,
                               .n_letters = MBI_AXES,
                               .range = {of.n[0], of.n[1], of.n[2]},
                               .at = {mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0)},
                               .plus = level,
                               .minus = {.var = MBI_NONE}};

    mbi_gadget_ex2(g, &x);
    mbi_gadget_table(g, of, 0, s->at.hold, false);
    mbi_gadget_table(g, of, 0, s->at.hold ? (1 << 28) - 1 : 0, false);
    if (s->at.hold) { /* idle L = 0; L - 1 + idle = busy >= 0 */
        relate(g, MBI_AXES, of.n);
        mbi_gadget_views(g, 1, idle, level);
        relate(g, MBI_AXES, of.n);
        mbi_gadget_view(g, 1, level);
        mbi_gadget_constant(g, -1);
        mbi_gadget_view(g, 1, idle);
        mbi_gadget_view(g, -1, mbi_gadget_entry(s->first + BUSY));
    }
    mbi_gadget_define_table(g, of);
    mbi_gadget_linear(g, 1, mbi_gadget_ex2_result(x.first));
    if (s->at.hold)
        mbi_gadget_linear(g, 1, s->first + IDLE);
}

/* xe_j = mulr(xw_j, ex2(L_(Q-1) - L_j)) of the chunks that are folded, and sum B_j xe_j. */
static void declare_fold(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, J, HEAD, P, LETTERS };
    enum { F_CHUNK, F_N, F_HEAD, F_P, F_J, F_LETTERS };
    const uint32_t n[LETTERS] = {s->folds, s->len, s->heads, s->dim};
    const uint32_t fold[F_LETTERS] = {s->folds, s->n, s->heads, s->dim, s->len};

    quotient(g, shape(s->folds << s->log_len, 1, s->width), 15, INT16_MIN, INT16_MAX);
    relate(g, LETTERS, n);
    mbi_gadget_views(g, 1, flat(s->first + XW, row_of(s, CHUNK, J), element_of(s, HEAD, P)),
                     mbi_view(mbi_gadget_ex2_result(s->first + PAIR), last_row(s, CHUNK),
                              mbi_along(HEAD, 0), mbi_along(J, 0)));
    shifted_to(g, 15, s->first + XE, row_of(s, CHUNK, J), mbi_fixed(0), element_of(s, HEAD, P));
    mbi_gadget_define_table(g, shape(s->folds, s->n, s->width));
    mbi_gadget_letters(g, F_LETTERS, fold);
    mbi_gadget_result(g, mbi_along(F_CHUNK, 0), mbi_along(F_N, 0), element_of(s, F_HEAD, F_P));
    mbi_gadget_views(g, 1, b_of(g, row_of(s, F_CHUNK, F_J), F_N),
                     flat(s->first + XE, row_of(s, F_CHUNK, F_J), element_of(s, F_HEAD, F_P)));
}

/* h before every chunk: that of the memory, then that behind the chunk before. */
static void declare_before(struct mbi_gadget *g, const struct scan *s)
{
    const struct mbi_shape of = shape(s->chunks, s->n, s->width);

    mbi_gadget_before(g, shape(1, s->n, s->width), INT32_MIN, INT32_MAX);
    mbi_gadget_define_table(g, of);
    mbi_gadget_letters(g, MBI_AXES, of.n);
    mbi_gadget_result(g, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
    mbi_gadget_view(g, 1, mbi_gadget_entry(var(s, MEMORY)));
    if (s->folds)
        mbi_gadget_view(g, 1,
                        mbi_view(var(s, H), mbi_along(0, -1), mbi_along(1, 0), mbi_along(2, 0)));
}

/* h before a chunk, by the letters of the chunk, of n and of the element; without a memory before,
 * that of the first chunk is outside of the variable, and zero. */
static struct mbi_view before(const struct scan *s, uint8_t chunk, uint8_t n,
                              struct mbi_axis element)
{
    return mbi_view(var(s, s->begins ? BEFORE : H), mbi_along(chunk, s->begins ? 0 : -1),
                    mbi_along(n, 0), element);
}

/* h behind a chunk: rsh(h keep + 2^23 fold, 15); below 2^55. */
static void relate_state(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, N, HEAD, P, LETTERS };
    const uint32_t n[LETTERS] = {s->folds, s->n, s->heads, s->dim};
    const struct mbi_axis element = element_of(s, HEAD, P);

    relate(g, LETTERS, n);
    mbi_gadget_views(g, 1, before(s, CHUNK, N, element),
                     flat(s->first + KEPT, last_row(s, CHUNK), mbi_along(HEAD, 0)));
    mbi_gadget_view(g, 1 << 23,
                    mbi_view(s->first + FOLD, mbi_along(CHUNK, 0), mbi_along(N, 0), element));
    shifted_to(g, 15, s->first + H, mbi_along(CHUNK, 0), mbi_along(N, 0), element);
}

/* h of the folded chunks, and h16 of what is read: of h before each chunk, or behind. */
static void declare_state(struct mbi_gadget *g, const struct scan *s)
{
    const struct mbi_shape of = shape(s->reads, s->n, s->width);

    if (s->folds)
        quotient(g, shape(s->folds, s->n, s->width), 15, INT32_MIN, INT32_MAX);
    if (s->begins)
        declare_before(g, s);
    if (s->folds)
        relate_state(g, s);
    if (!s->reads)
        return;
    quotient(g, of, 16, INT16_MIN, INT16_MAX);
    relate(g, MBI_AXES, of.n);
    mbi_gadget_view(g, 1, mbi_gadget_entry(var(s, s->begins ? BEFORE : H)));
    shifted_to(g, 16, var(s, H16), mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
}

/* Tokens that read no h. */
static uint32_t first_reading(const struct scan *s) { return s->begins ? 0 : s->len; }

/* out = C . h16 before the chunk, and rsh(out keep, 16) of the tokens that read h; |out| < N 2^22.
 */
static void declare_outside(struct mbi_gadget *g, const struct scan *s)
{
    enum { CHUNK, I, HEAD, P, N, LETTERS };
    enum { R_T, R_HEAD, R_P, R_LETTERS };
    const uint32_t n[LETTERS] = {s->chunks, s->len, s->heads, s->dim, s->n};
    const uint32_t rest[R_LETTERS] = {s->lanes - first_reading(s), s->heads, s->dim};
    const struct mbi_axis behind = mbi_along(R_T, (int32_t)first_reading(s));
    const struct mbi_axis element = element_of(s, R_HEAD, R_P);
    const int64_t most = mbi_lshift(s->n, 21);

    mbi_gadget_define_table(g, shape(s->rows, 1, s->width));
    mbi_gadget_letters(g, LETTERS, n);
    mbi_gadget_result(g, row_of(s, CHUNK, I), mbi_fixed(0), element_of(s, HEAD, P));
    mbi_gadget_views(g, 1, c_of(g, s, row_of(s, CHUNK, I), N),
                     mbi_view(var(s, H16), mbi_along(CHUNK, s->begins ? 0 : -1), mbi_along(N, 0),
                              element_of(s, HEAD, P)));
    quotient(g, shape(rest[R_T], 1, s->width), 16, -most, most - 1);
    relate(g, R_LETTERS, rest);
    mbi_gadget_views(g, 1, flat(var(s, OUT), behind, element),
                     flat(s->first + KEPT, behind, mbi_along(R_HEAD, 0)));
    shifted_to(g, 16, var(s, Y_OUT), mbi_along(R_T, 0), mbi_fixed(0), element);
}

static void scan_declare(struct mbi_gadget *g)
{
    struct scan s = scan_of(g->node, g->lanes, g->in_type[1], g->boundary);

    if (g->boundary[MBI_BEHIND] && s.lanes % (uint32_t)s.at.chunk)
        mbi_gadget_fault(g, "its memory is handed on within a chunk");
    if (s.heads > 1 && (s.dim & (s.dim - 1))) {
        mbi_gadget_fault(g, "its heads have a size that is no power of two");
        return;
    }
    declare_tokens(g, &s);
    declare_scores(g, &s);
    declare_pairs(g, &s);
    declare_inside(g, &s);
    g->out = s.first + Y_IN;
    if (!s.folds && !s.reads)
        return;
    declare_keep(g, &s);
    if (s.folds)
        declare_fold(g, &s);
    declare_state(g, &s);
    if (s.reads)
        declare_outside(g, &s);
    if (g->boundary[MBI_BEHIND])
        mbi_gadget_behind(g, shape(1, s.n, s.width), INT32_MIN, INT32_MAX,
                          mbi_view(s.first + H, mbi_fixed((int32_t)s.chunks - 1), mbi_along(1, 0),
                                   mbi_along(2, 0)));
    if (!s.reads)
        return;
    g->out = mbi_gadget_define(g, s.width);
    mbi_gadget_linear(g, 1, s.first + Y_IN);
    mbi_gadget_view(g, 1,
                    flat(var(&s, Y_OUT), mbi_along(MBI_LETTER_ROW, -(int32_t)first_reading(&s)),
                         mbi_along(MBI_LETTER_COL, 0)));
}

/* ---- a run ---- */

struct scan_run {
    struct scan s;
    const struct mbi_gadget_fill *f;
    const int8_t *x, *bc;
    const int32_t *l;
};

static void put(const struct scan_run *r, uint32_t name, size_t row, size_t col, int64_t v)
{
    mbi_gadget_set(r->f, var(&r->s, name), row, col, v);
}

static int64_t get(const struct scan_run *r, uint32_t name, size_t row, size_t col)
{
    return mbi_gadget_get(r->f, var(&r->s, name), row, col);
}

/* rsh(x, shift) and what it drops, which lies behind it. */
static int64_t put_shifted(const struct scan_run *r, uint32_t name, size_t row, size_t col,
                           int64_t x, int shift)
{
    const int64_t q = mbi_rshift_half_up(x, shift);

    put(r, name, row, col, q);
    put(r, name + 1, row, col, x + mbi_lshift(1, shift - 1) - mbi_lshift(q, shift));
    return q;
}

static void fill_token(const struct scan_run *r, size_t t, size_t h)
{
    const struct scan *s = &r->s;
    const struct mbi_gadget_ex2w w = weight_of(s);
    const int32_t l = t < s->lanes ? r->l[t * s->heads + h] : 0;
    const int64_t weight = (1 << 18) - mbi_gadget_fill_ex2w(r->f, &w, t, h, (uint32_t)l);

    for (size_t p = h * s->dim; p < (h + 1) * s->dim; p++)
        put_shifted(r, XW, t, p, t < s->lanes ? weight * r->x[t * s->width + p] : 0, 10);
    put(r, LEVEL, t, h, l + (t & (s->len - 1) ? get(r, LEVEL, t - 1, h) : 0));
}

static void fill_score(const struct scan_run *r, size_t t, size_t j, size_t place)
{
    const struct scan *s = &r->s;
    int64_t sum = 0, y;

    for (size_t n = 0; t < s->lanes && j < s->lanes && n < s->n; n++)
        sum += r->bc[(2 * t + 1) * s->n + n] * r->bc[2 * j * s->n + n];
    y = mbi_rshift_half_up(sum, s->s_shift);
    put(r, PRODUCT, t, place, sum);
    if (place > (t & (s->len - 1)))
        return;
    put(r, S, t, place, mbi_min_i64(y, INT16_MAX));
    put(r, S_ABOVE, t, place, mbi_max_i64(y - INT16_MAX, 0));
    if (s->s_shift)
        put(r, S_REST, t, place, sum + mbi_lshift(1, s->s_shift - 1) - mbi_lshift(y, s->s_shift));
}

/* All pairs of a token's row, and of one head, M. */
static void fill_pairs(const struct scan_run *r, size_t t, size_t h)
{
    const struct scan *s = &r->s;
    const size_t begin = t & ~((size_t)s->len - 1);
    const int64_t level = get(r, LEVEL, t, h);

    for (size_t j = 0; j <= t - begin; j++) {
        const int64_t m = mbi_gadget_fill_ex2(r->f, s->first + PAIR, t, h * s->len + j,
                                              (uint32_t)(level - get(r, LEVEL, begin + j, h)));

        put_shifted(r, M, t, h * s->len + j, get(r, S, t, j) * m, 15);
    }
}

static void fill_inside(const struct scan_run *r, size_t t, size_t h)
{
    const struct scan *s = &r->s;
    const size_t begin = t & ~((size_t)s->len - 1);
    int64_t sum[MAX_HEAD] = {0};

    for (size_t j = begin; j <= t; j++) {
        const int64_t m = get(r, M, t, h * s->len + j - begin);

        for (size_t p = 0; m && p < s->dim; p++)
            sum[p] += m * get(r, XW, j, h * s->dim + p);
    }
    for (size_t p = 0; p < s->dim; p++) {
        put(r, IN, t, h * s->dim + p, sum[p]);
        if (t < s->lanes)
            put_shifted(r, Y_IN, t, h * s->dim + p, sum[p], s->y_shift);
    }
}

static void fill_keep(const struct scan_run *r, size_t t, size_t h)
{
    const bool hold = r->s.at.hold;
    const int64_t level = get(r, LEVEL, t, h);
    const int64_t m = mbi_gadget_fill_ex2(r->f, r->s.first + KEEP, t, h, (uint32_t)level);

    put(r, IDLE, t, h, hold && !level);
    put(r, BUSY, t, h, hold ? level - 1 + !level : 0);
    put(r, KEPT, t, h, m + (hold && !level));
}

/* xe of one token of a chunk that is folded. */
static void fill_faded(const struct scan_run *r, size_t t, size_t h)
{
    const struct scan *s = &r->s;
    const size_t j = t & (s->len - 1), last = t | (s->len - 1);
    const int64_t m = get(r, mbi_gadget_ex2_result(PAIR), last, h * s->len + j);

    for (size_t p = h * s->dim; p < (h + 1) * s->dim; p++)
        put_shifted(r, XE, t, p, get(r, XW, t, p) * m, 15);
}

static int64_t h_before(const struct scan_run *r, size_t c, size_t col)
{
    if (c)
        return get(r, H, c - 1, col);
    return r->s.begins ? get(r, MEMORY, 0, col) : 0;
}

/* One row of h behind chunk c, for one head. */
static void fill_state(const struct scan_run *r, size_t c, size_t n, size_t h)
{
    const struct scan *s = &r->s;
    const int64_t kept = get(r, KEPT, (c << s->log_len) + s->len - 1, h);
    int64_t sum[MAX_HEAD] = {0};

    for (size_t t = c << s->log_len; t < (c + 1) << s->log_len; t++) {
        const int64_t b = r->bc[2 * t * s->n + n];

        for (size_t p = 0; b && p < s->dim; p++)
            sum[p] += b * get(r, XE, t, h * s->dim + p);
    }
    for (size_t p = 0; p < s->dim; p++) {
        const size_t col = n * s->width + h * s->dim + p;

        put(r, FOLD, c, col, sum[p]);
        put_shifted(r, H, c, col, h_before(r, c, col) * kept + mbi_lshift(sum[p], 23), 15);
    }
}

/* What the last chunks read. */
static void fill_read(const struct scan_run *r)
{
    const struct scan *s = &r->s;

    for (size_t row = 0; row < s->reads; row++)
        for (size_t col = 0; col < (size_t)s->n * s->width; col++)
            put_shifted(r, H16, row, col, h_before(r, s->begins ? row : row + 1, col), 16);
}

static void fill_outside(const struct scan_run *r, size_t t, size_t h)
{
    const struct scan *s = &r->s;
    const size_t c = t >> s->log_len;
    const int64_t kept = get(r, KEPT, t, h);
    const bool reads = c || s->begins;
    int64_t sum[MAX_HEAD] = {0};

    for (size_t n = 0; reads && t < s->lanes && n < s->n; n++) {
        const int64_t weight = r->bc[(2 * t + 1) * s->n + n];

        for (size_t p = 0; weight && p < s->dim; p++)
            sum[p] += weight * get(r, H16, s->begins ? c : c - 1, n * s->width + h * s->dim + p);
    }
    for (size_t p = 0; p < s->dim; p++) {
        put(r, OUT, t, h * s->dim + p, sum[p]);
        if (reads && t < s->lanes)
            put_shifted(r, Y_OUT, t - first_reading(s), h * s->dim + p, sum[p] * kept, 16);
    }
}

static void for_rows(const struct scan_run *r, size_t rows,
                     void (*fill)(const struct scan_run *r, size_t t, size_t h))
{
    for (size_t t = 0; t < rows; t++)
        for (size_t h = 0; h < r->s.heads; h++)
            fill(r, t, h);
}

static void fill_chunks(const struct scan_run *r)
{
    const struct scan *s = &r->s;

    for_rows(r, s->rows, fill_keep);
    mbi_gadget_ex2_done(r->f, s->first + KEEP);
    mbi_gadget_computed(r->f, s->first + KEPT);
    for_rows(r, (size_t)s->folds << s->log_len, fill_faded);
    for (size_t c = 0; c < s->folds; c++)
        for (size_t n = 0; n < s->n; n++)
            for (size_t h = 0; h < s->heads; h++)
                fill_state(r, c, n, h);
    if (s->folds)
        mbi_gadget_computed(r->f, s->first + FOLD);
    if (!s->reads)
        return;
    fill_read(r);
    for_rows(r, s->rows, fill_outside);
    mbi_gadget_computed(r->f, var(s, OUT));
}

static void scan_fill(const struct mbi_gadget_fill *f)
{
    static const uint32_t derived[] = {LEVEL, PRODUCT, IN};
    struct scan_run r = {.s = scan_of(f->node, f->lanes, f->in_type[1], f->boundary), .f = f};

    r.s.first = f->first;
    r.x = f->in[0];
    r.bc = f->in[1];
    r.l = f->in[2];
    for_rows(&r, r.s.rows, fill_token);
    for (size_t t = 0; t < r.s.rows; t++)
        for (size_t j = 0; j < r.s.len; j++)
            fill_score(&r, t, (t & ~((size_t)r.s.len - 1)) + j, j);
    for_rows(&r, r.s.rows, fill_pairs);
    for_rows(&r, r.s.rows, fill_inside);
    mbi_gadget_ex2_done(f, r.s.first + PAIR);
    for (size_t k = 0; k < MBI_COUNT(derived); k++)
        mbi_gadget_computed(f, r.s.first + derived[k]);
    if (r.s.folds || r.s.reads)
        fill_chunks(&r);
}

const struct mbi_op_gadget mbi_scan_proof = {scan_declare, scan_fill};

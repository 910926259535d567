/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: the selective recurrence of H heads over chunks of Q tokens, rounded once per chunk
 * (arithmetic.md, scan). For the token at row i of its chunk, per head:
 *
 *   w_i = 1 - 2^-l_i,  xw_i = sat16(rsh(x_i w_i, 10)),  L_i = l_0 + ... + l_i
 *   S_ij = sat16(rsh(C_i . B_j, sN)),  sN = log2(N) - 1,  M_ij = mulr(S_ij, ex2(L_i - L_j))
 *   y_i = rsh(sum_(j<=i) M_ij xw_j, 9 - sN) + rsh((C_i . h16) keep(L_i), 16),  h16 = rsh(h, 16)
 *
 * and after row Q - 1: xe_j = mulr(xw_j, ex2(L_(Q-1) - L_j)),
 *   h = rsh(h keep(L_(Q-1)) + ((sum_j B_j xe_j) << 23), 15).
 *
 * keep is ex2; with `hold`, keep(0) = 2^15, which leaves h as it was.
 *
 * Bounds, for l = 0 or 32 <= l <= 2^19. ex2 never exceeds 2^-L and w_j <= 1 - 2^-l_j + 2^-19, so
 * the weights of all past tokens sum to at most 1.006 and |h| < 18 in Q26 (below 2^31), |h16| <
 * 18 2^10. |sum M xw| <= 2^30 + 2^22 for Q <= 128, 2^30 + 2^23 for Q = 256; |C . h16| <= N 2^7 18
 * 2^10 < 2^31 for N <= 512; the int64 terms stay below 2^50.
 */
#include "op/element.h"
#include "op/scan_gadget.h"
#include <string.h>

#define MAX_CHUNK 256
#define MAX_STATE 512
#define MAX_HEAD 256
#define MIN_L 32 /* of a decay that is not 0: what `decay` makes */
#define MAX_L ((int64_t)1 << 19)

enum { FIELD_H, FIELD_B, FIELD_XW, FIELD_L };

static bool power_of_two(int32_t v) { return v > 0 && !(v & (v - 1)); }

static int log2_exact(int32_t v) { return mbi_bitlen((uint64_t)v) - 1; }

/* |y|: the first term is at most (2^30 + 2^23) 2^(sN - 9) = N 2^20 129/128, the second N 18 2^16,
 * each + 1; for N = 512 their sum is below 2^30.2. */
static int32_t scan_infer(struct mbi_infer *q)
{
    const struct mbi_scan_attr *at = q->attr;
    const struct mbi_type *x = q->in[0], *bc = q->in[1], *l = q->in[2];
    int64_t bound;

    if (!power_of_two(at->chunk) || at->chunk > MAX_CHUNK || !power_of_two(at->d_state) ||
        at->d_state < 2 || at->d_state > MAX_STATE || at->heads < 1 || at->head_dim < 1 ||
        at->head_dim > MAX_HEAD || at->hold < 0 || at->hold > 1)
        return mbi_infer_mismatch(q, "scan", "chunk, heads or state size outside the range");
    if (x->dtype != MBI_I8 || bc->dtype != MBI_I8 || l->dtype != MBI_I32 || x->frac != 5 ||
        bc->frac != 5 || l->lo < 0 || l->hi > MAX_L)
        return mbi_infer_mismatch(q, "scan", "needs i8 Q5 inputs and decays up to 8");
    if (x->cols != (uint64_t)at->heads * (uint32_t)at->head_dim ||
        bc->cols != 2 * (uint32_t)at->d_state || l->cols != (uint32_t)at->heads)
        return mbi_infer_mismatch(q, "scan", "inputs do not match heads and state size");
    bound = ((int64_t)at->d_state << 20) * 129 / 128 + at->d_state * ((int64_t)18 << 16) + 2;
    if (bound > INT32_MAX)
        return mbi_infer_overflow(q, "scan");
    return mbi_infer_result(q, x->cols, 14, INT32_MIN, INT32_MAX, -bound, bound);
}

static size_t scan_state(struct mbi_state_field field[MBI_MAX_STATE_FIELDS],
                         const struct mbi_type *const in[MBI_MAX_IN], const void *attr)
{
    const struct mbi_scan_attr *at = attr;
    const size_t slots = (size_t)at->chunk - 1, heads = (size_t)at->heads;
    const size_t width = in[0]->cols, n = (size_t)at->d_state;
    const int64_t h_max = ((int64_t)18 << 26) - 1;

    field[FIELD_H] = (struct mbi_state_field){"h", MBI_I32, n * width, -h_max, h_max};
    field[FIELD_B] = (struct mbi_state_field){"slots.B", MBI_I8, slots * n, -128, 127};
    field[FIELD_XW] = (struct mbi_state_field){"slots.xw", MBI_I16, slots * width, -32768, 32767};
    field[FIELD_L] =
        (struct mbi_state_field){"slots.L", MBI_I32, slots * heads, 0, MAX_L * at->chunk};
    return 4;
}

/* At the end of a chunk the slots are empty. */
static uint32_t scan_period(const void *attr)
{
    return (uint32_t)((const struct mbi_scan_attr *)attr)->chunk;
}

static int16_t weighted_input(int32_t x, int32_t l)
{
    return (int16_t)mbi_sat(mbi_rshift_half_up(x * (int64_t)mbi_input_weight((uint32_t)l), 10), 16);
}

static bool all_zero(const void *block, size_t size)
{
    const uint8_t *p = block;

    while (size && !p[size - 1])
        size--;
    return !size;
}

/*
 * The convexity that bounds eval: within the open chunk L rises by 0 or by 32 to 2^19 a token and
 * no |xw| exceeds what that token's decay allows. Unused slots are zero.
 */
static bool scan_state_valid(void *const state[MBI_MAX_STATE_FIELDS], const void *attr,
                             uint64_t pos)
{
    const struct mbi_scan_attr *at = attr;
    const size_t heads = (size_t)at->heads, dim = (size_t)at->head_dim, width = heads * dim;
    const size_t slots = (size_t)at->chunk - 1, used = (size_t)(pos % (uint64_t)at->chunk);
    const int8_t *b = state[FIELD_B];
    const int16_t *xw = state[FIELD_XW];
    const int32_t *sum = state[FIELD_L];

    for (size_t j = 0; j < used; j++)
        for (size_t h = 0; h < heads; h++) {
            const int64_t l = (int64_t)sum[j * heads + h] - (j ? sum[(j - 1) * heads + h] : 0);

            if ((l && l < MIN_L) || l > MAX_L)
                return false;
            for (size_t p = h * dim; p < (h + 1) * dim; p++)
                if (xw[j * width + p] < weighted_input(-128, (int32_t)l) ||
                    xw[j * width + p] > weighted_input(127, (int32_t)l))
                    return false;
        }
    return all_zero(b + used * (size_t)at->d_state, (slots - used) * (size_t)at->d_state) &&
           all_zero(xw + used * width, (slots - used) * width * sizeof(*xw)) &&
           all_zero(sum + used * heads, (slots - used) * heads * sizeof(*sum));
}

/* What is left of h after a decay L, in Q15. */
static int64_t keep(uint32_t L, int32_t hold) { return hold && !L ? 1 << 15 : mbi_ex2(L); }

/* One head of one stream at one token: where everything lies. Row j < i comes from a slot of the
 * state; B of a token of this run comes from the input. */
struct row {
    const struct mbi_op_args *a;
    const struct mbi_scan_attr *at;
    size_t head, t, i;    /* head, lane of the run, row of the chunk */
    int16_t xw[MAX_HEAD]; /* of this token */
    uint32_t L;           /* including this token */
};

static const int8_t *b_row(const struct row *r, size_t j)
{
    const size_t n = (size_t)r->at->d_state, back = r->i - j;

    return back <= r->t ? (const int8_t *)r->a->in[1] + (r->t - back) * 2 * n
                        : (const int8_t *)r->a->state[FIELD_B] + j * n;
}

static const int16_t *xw_row(const struct row *r, size_t j)
{
    const size_t dim = (size_t)r->at->head_dim, width = dim * (size_t)r->at->heads;

    return j == r->i ? r->xw : (const int16_t *)r->a->state[FIELD_XW] + j * width + r->head * dim;
}

static uint32_t l_row(const struct row *r, size_t j)
{
    return j == r->i ? r->L
                     : ((const uint32_t *)r->a->state[FIELD_L])[j * (size_t)r->at->heads + r->head];
}

static int32_t *h_row(const struct row *r, size_t n)
{
    const size_t dim = (size_t)r->at->head_dim;

    return (int32_t *)r->a->state[FIELD_H] + (r->head * (size_t)r->at->d_state + n) * dim;
}

/* Take in this token: its weighted input and the decay so far. */
static void enter(struct row *r)
{
    const size_t dim = (size_t)r->at->head_dim, heads = (size_t)r->at->heads;
    const int8_t *x = (const int8_t *)r->a->in[0] + (r->t * heads + r->head) * dim;
    const int32_t l = ((const int32_t *)r->a->in[2])[r->t * heads + r->head];

    for (size_t p = 0; p < dim; p++)
        r->xw[p] = weighted_input(x[p], l);
    r->L = (uint32_t)l + (r->i ? l_row(r, r->i - 1) : 0);
}

/* y of this token. */
static void leave(const struct row *r)
{
    const size_t n_state = (size_t)r->at->d_state, dim = (size_t)r->at->head_dim;
    const int s_n = log2_exact(r->at->d_state) - 1;
    const int8_t *c = (const int8_t *)r->a->in[1] + (r->t * 2 + 1) * n_state;
    int32_t *y = (int32_t *)r->a->out + (r->t * (size_t)r->at->heads + r->head) * dim;
    int32_t inside[MAX_HEAD] = {0}, carried[MAX_HEAD] = {0};

    for (size_t j = 0; j <= r->i; j++) {
        const int8_t *b = b_row(r, j);
        const int16_t *xw = xw_row(r, j);
        int32_t s = 0, m;

        for (size_t n = 0; n < n_state; n++)
            s += c[n] * b[n];
        m = mbi_mulr((int32_t)mbi_sat(mbi_rshift_half_up(s, s_n), 16),
                     (int32_t)mbi_ex2(r->L - l_row(r, j)));
        for (size_t p = 0; p < dim; p++)
            inside[p] += m * xw[p];
    }
    for (size_t n = 0; n < n_state; n++)
        for (size_t p = 0; p < dim; p++)
            carried[p] += c[n] * (int32_t)mbi_rshift_half_up(h_row(r, n)[p], 16);
    for (size_t p = 0; p < dim; p++)
        y[p] = (int32_t)(mbi_rshift_half_up(inside[p], 9 - s_n) +
                         mbi_rshift_half_up(carried[p] * keep(r->L, r->at->hold), 16));
}

/* The chunk is full: fold its rows into h. */
static void fold(const struct row *r)
{
    const size_t n_state = (size_t)r->at->d_state, dim = (size_t)r->at->head_dim;
    const int64_t kept = keep(r->L, r->at->hold);

    for (size_t n = 0; n < n_state; n++) {
        int32_t *h = h_row(r, n);
        int32_t sum[MAX_HEAD] = {0};

        for (size_t j = 0; j <= r->i; j++) {
            const int32_t decay = (int32_t)mbi_ex2(r->L - l_row(r, j));
            const int32_t b = b_row(r, j)[n];

            for (size_t p = 0; p < dim; p++)
                sum[p] += b * mbi_mulr(xw_row(r, j)[p], decay);
        }
        for (size_t p = 0; p < dim; p++)
            h[p] = (int32_t)mbi_rshift_half_up(h[p] * kept + mbi_lshift(sum[p], 23), 15);
    }
}

/* Keep this token's row for the rest of the chunk, or empty this head's rows after a fold. */
static void store(const struct row *r)
{
    const size_t heads = (size_t)r->at->heads, dim = (size_t)r->at->head_dim;
    int16_t *xw = (int16_t *)r->a->state[FIELD_XW] + r->head * dim;
    int32_t *sum = (int32_t *)r->a->state[FIELD_L] + r->head;

    if (r->i + 1 < (size_t)r->at->chunk) {
        memcpy(xw + r->i * heads * dim, r->xw, dim * sizeof(*xw));
        sum[r->i * heads] = (int32_t)r->L;
        return;
    }
    for (size_t j = 0; j < r->i; j++) {
        memset(xw + j * heads * dim, 0, dim * sizeof(*xw));
        sum[j * heads] = 0;
    }
}

static size_t scan_units(const struct mbi_op_args *a)
{
    return (size_t)((const struct mbi_scan_attr *)a->attr)->heads;
}

static void scan_eval(const struct mbi_op_args *a)
{
    struct row r = {.a = a, .at = a->attr};

    for (r.head = a->begin; r.head < a->end; r.head++)
        for (r.t = 0; r.t < a->lanes; r.t++) {
            r.i = (size_t)((a->pos + r.t) % (uint64_t)r.at->chunk);
            enter(&r);
            leave(&r);
            if (r.i + 1 == (size_t)r.at->chunk)
                fold(&r);
            store(&r);
        }
}

/* B is shared by the heads, so its slots change only when every head is done: those of the open
 * chunk are this run's last tokens, the rest are empty. */
static void scan_finish(const struct mbi_op_args *a)
{
    const struct mbi_scan_attr *at = a->attr;
    const size_t n = (size_t)at->d_state, slots = (size_t)at->chunk - 1;
    const size_t used = (size_t)((a->pos + a->lanes) % (uint64_t)at->chunk);
    const size_t fresh = mbi_min_size(used, a->lanes);
    int8_t *b = a->state[FIELD_B];

    for (size_t k = 0; k < fresh; k++)
        memcpy(b + (used - fresh + k) * n,
               (const int8_t *)a->in[1] + (a->lanes - fresh + k) * 2 * n, n);
    memset(b + used * n, 0, (slots - used) * n);
}

/* clang-format off */
#define SCAN_CASE(Q, H, P, N, HOLD, LMAX)                                                          \
    {.cols = {(H) * (P), 2 * (N), (H)}, .dtype = {MBI_I8, MBI_I8, MBI_I32}, .frac = {5, 5, 16},    \
     .lo = {-128, -128, (HOLD) ? 0 : MIN_L}, .hi = {127, 127, LMAX}, .attr = {Q, H, P, N, HOLD}}
static const struct mbi_op_case scan_cases[] = {
    SCAN_CASE(1, 1, 1, 2, 0, 1 << 19),
    SCAN_CASE(1, 2, 16, 16, 0, 1 << 19),
    SCAN_CASE(8, 2, 16, 16, 0, 1 << 19),
    SCAN_CASE(8, 2, 24, 16, 1, 3000),
    SCAN_CASE(16, 3, 7, 4, 0, 64),
    SCAN_CASE(64, 2, 64, 64, 0, 1 << 14),
    SCAN_CASE(64, 1, 32, 32, 1, 1 << 12),
    SCAN_CASE(128, 1, 8, 512, 0, 1 << 10),
    SCAN_CASE(256, 1, 16, 2, 0, 40),
};
/* clang-format on */

const struct mbi_op_def mbi_op_scan = {
    .n_attr = 5,
    .infer = scan_infer,
    .state = scan_state,
    .state_valid = scan_state_valid,
    .period = scan_period,
    .units = MBI_KERNEL(scan_units),
    .eval = MBI_KERNEL(scan_eval),
    .finish = MBI_KERNEL(scan_finish),
    .grad = MBI_GRAD(scan),
    .gadget = &mbi_scan_proof,
    .cases = MBI_CASES(scan_cases),
    .n_cases = MBI_COUNT(scan_cases),
};

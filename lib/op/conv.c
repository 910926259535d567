/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conv: u_t[c] = sat16(bias_c + rsh(sum_j w[c][j] p_(t-3+j)[c], e_c)), j = 0..3, for each
 * channel. The memory is the last three inputs, oldest first.             arithmetic.md, conv
 */
#include "op/element.h"
#include "op/formula.h"
#include <string.h>

#define TAPS 4

/* |sum| <= 4 2^15 127 < 2^24; at e = -8 the shifted sum is below 2^32, in int64. */
static int32_t conv_infer(struct mbi_infer *q)
{
    const struct mbi_type *p = q->in[0], *w = q->in[1], *e = q->in[2], *bias = q->in[3];

    if (p->dtype != MBI_I16 || w->dtype != MBI_I8 || e->dtype != MBI_I8 || bias->dtype != MBI_I16)
        return mbi_infer_mismatch(q, "conv", "needs i16 input and bias, i8 taps and exponents");
    if (w->cols != TAPS || w->rows != p->cols || e->cols != p->cols || bias->cols != p->cols)
        return mbi_infer_mismatch(q, "conv", "needs four taps, an exponent and a bias a channel");
    if (e->lo < -30 || e->hi > 30)
        return mbi_infer_overflow(q, "conv");
    return mbi_infer_result(q, p->cols, p->frac, -32768, 32767, -32768, 32767);
}

static size_t conv_state(struct mbi_state_field field[MBI_MAX_STATE_FIELDS],
                         const struct mbi_type *const in[MBI_MAX_IN], const void *attr)
{
    (void)attr;
    /* The start value is zero, whatever the input may be. */
    field[0] = (struct mbi_state_field){"conv", MBI_I16, (size_t)(TAPS - 1) * in[0]->cols,
                                        mbi_min_i64(in[0]->lo, 0), mbi_max_i64(in[0]->hi, 0)};
    return 1;
}

static size_t conv_units(const struct mbi_op_args *a) { return a->out_type->cols; }

static void conv_eval(const struct mbi_op_args *a)
{
    const size_t n = a->out_type->cols;
    const int16_t *p = a->in[0], *bias = a->in[3];
    const int8_t *w = a->in[1], *e = a->in[2];
    int16_t *old = a->state[0], *u = a->out;

    for (size_t t = 0; t < a->lanes; t++)
        for (size_t c = a->begin; c < a->end; c++) {
            const int16_t x[TAPS] = {old[c], old[n + c], old[2 * n + c], p[t * n + c]};

            u[t * n + c] = mbi_conv_of(x, w + c * TAPS, e[c], bias[c]);
            for (size_t j = 0; j < TAPS - 1; j++)
                old[j * n + c] = x[j + 1];
        }
}

/* ---- proof ---- */

/* An interval of what one tap of one channel adds; what is before the first token is zero. */
static void tap_interval(int64_t *lo, int64_t *hi, const int64_t p[2], const int64_t w[2])
{
    *lo = *hi = 0;
    for (int i = 0; i < 4; i++) {
        *lo = mbi_min_i64(*lo, p[i & 1] * w[i >> 1]);
        *hi = mbi_max_i64(*hi, p[i & 1] * w[i >> 1]);
    }
}

/*
 * y = sat16(rsh(x, K)) of x = 2^K bias + sum 2^(K-e): the same integer for every K >= e, if K >= 1.
 * lo and hi: of p, w, e and bias. False where x might leave 62 bits.
 */
static bool conv_gadget(struct mbi_shift_clamp *q, const int64_t lo[], const int64_t hi[])
{
    const int32_t top = (int32_t)mbi_max_i64(hi[2], 1);
    const int64_t one = (int64_t)1 << (top - lo[2]), half = (int64_t)1 << 31;
    const int64_t reach = ((int64_t)1 << 61) / one;

    *q = (struct mbi_shift_clamp){.shift = top, .lo = -32768, .hi = 32767};
    if (lo[0] < -half || hi[0] > half)
        return false;
    tap_interval(&q->x_lo, &q->x_hi, (int64_t[]){lo[0], hi[0]}, (int64_t[]){lo[1], hi[1]});
    q->x_lo *= TAPS;
    q->x_hi *= TAPS;
    if (-q->x_lo >= reach || q->x_hi >= reach)
        return false;
    q->x_lo = q->x_lo * one + mbi_lshift(lo[3], top);
    q->x_hi = q->x_hi * one + mbi_lshift(hi[3], top);
    return true;
}

static struct mbi_shape memory_shape(const struct mbi_gadget *g)
{
    return (struct mbi_shape){{TAPS - 1, 1, g->node->type.cols}};
}

/* The inputs with those before them, of the memory: *before of them. */
static uint32_t declare_all(struct mbi_gadget *g, int32_t *before)
{
    const uint32_t p = g->in[0], cols = g->node->type.cols;
    const uint32_t memory =
        mbi_gadget_before(g, memory_shape(g), mbi_min_i64(mbi_gadget_lo(g, p), 0),
                          mbi_max_i64(mbi_gadget_hi(g, p), 0));
    const struct mbi_shape shape = {{g->lanes + TAPS - 1, 1, cols}};
    const uint32_t all = mbi_gadget_define_table(g, shape);

    *before = TAPS - 1;
    mbi_gadget_view(g, 1,
                    mbi_view(p, mbi_along(MBI_LETTER_ROW, -*before), mbi_fixed(0),
                             mbi_along(MBI_LETTER_COL, 0)));
    mbi_gadget_linear(g, 1, memory);
    return all;
}

static void conv_declare(struct mbi_gadget *g)
{
    enum { ROW, MID, COL };
    const struct mbi_shape shape = {{g->lanes, 1, g->node->type.cols}};
    const struct mbi_axis channel = mbi_along(COL, 0), one = mbi_fixed(0);
    struct mbi_shifted y;
    struct mbi_shift_clamp q;
    int64_t lo[MBI_MAX_IN], hi[MBI_MAX_IN];
    uint32_t power, all = g->in[0];
    int32_t before = 0;

    for (int k = 0; k < MBI_MAX_IN; k++) {
        lo[k] = mbi_gadget_lo(g, g->in[k]);
        hi[k] = mbi_gadget_hi(g, g->in[k]);
    }
    if (!conv_gadget(&q, lo, hi)) {
        mbi_gadget_fault(g, "its sums may leave 62 bits");
        return;
    }
    power = mbi_gadget_powers(g, 2, q.shift);
    if (g->boundary[MBI_BEFORE])
        all = declare_all(g, &before);
    y = mbi_gadget_shifted(g, shape, &q);
    g->out = y.y;
    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    for (int32_t j = 0; j < TAPS; j++)
        mbi_gadget_term(
            g, 1, 3,
            (struct mbi_view[]){mbi_view(g->in[1], channel, one, mbi_fixed(j)),
                                mbi_view(all, mbi_along(ROW, before + j - TAPS + 1), one, channel),
                                mbi_view(power, one, one, channel)});
    mbi_gadget_view(g, (int64_t)1 << q.shift, mbi_view(g->in[3], one, one, channel));
    mbi_gadget_shifted_terms(g, &q, &y);
    mbi_gadget_shifted_ends(g, shape, &q, &y);
    if (g->boundary[MBI_BEHIND]) /* the last inputs, as the memory has them */
        mbi_gadget_behind(
            g, memory_shape(g), mbi_min_i64(lo[0], 0), mbi_max_i64(hi[0], 0),
            mbi_view(all, mbi_along(ROW, (int32_t)g->lanes + before - TAPS + 1), one, channel));
}

static void conv_fill(const struct mbi_gadget_fill *f)
{
    const size_t n = f->node->type.cols;
    const int16_t *p = f->in[0], *bias = f->in[3];
    const int8_t *w = f->in[1], *e = f->in[2];
    const uint32_t memory = f->first + MBI_BEFORE_VARS; /* behind the powers */
    struct mbi_shift_clamp q;

    (void)conv_gadget(&q, f->in_lo, f->in_hi);
    q.first = f->first + 1 + (f->boundary[MBI_BEFORE] ? MBI_BEFORE_VARS + 1 : 0);
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t c = 0; c < n; c++) {
            int64_t sum = 0;

            for (size_t j = 0; f->boundary[MBI_BEFORE] && t + j < TAPS - 1; j++)
                sum += w[c * TAPS + j] * mbi_gadget_get(f, memory, t + j, c);
            for (size_t j = t < TAPS - 1 ? TAPS - 1 - t : 0; j < TAPS; j++)
                sum += w[c * TAPS + j] * p[(t + j + 1 - TAPS) * n + c];
            mbi_gadget_fill_requant(f, &q, t, c,
                                    mbi_lshift(bias[c], q.shift) + mbi_lshift(sum, q.shift - e[c]));
        }
}

static const struct mbi_op_gadget conv_proof = {conv_declare, conv_fill};

/* clang-format off */
static const struct mbi_op_case conv_cases[] = {
    {.cols = {1, 4, 1, 1}, .rows = {0, 1, 1, 1}, .dtype = {MBI_I16, MBI_I8, MBI_I8, MBI_I16}, .frac = {8},
     .lo = {0, -127, -8, 0}, .hi = {0, 127, 10, 0}},
    {.cols = {67, 4, 67, 67}, .rows = {0, 67, 1, 1}, .dtype = {MBI_I16, MBI_I8, MBI_I8, MBI_I16}, .frac = {8},
     .lo = {0, -127, -8, 0}, .hi = {0, 127, 10, 0}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_conv = {
    .params = 1u << 1 | 1u << 2 | 1u << 3,
    .infer = conv_infer,
    .state = conv_state,
    .units = MBI_KERNEL(conv_units),
    .eval = MBI_KERNEL(conv_eval),
    .grad = MBI_GRAD(conv),
    .gadget = &conv_proof,
    .cases = MBI_CASES(conv_cases),
    .n_cases = MBI_COUNT(conv_cases),
};

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
    .units = conv_units,
    .eval = conv_eval,
    .grad = &mbi_grad_conv,
    .cases = conv_cases,
    .n_cases = MBI_COUNT(conv_cases),
};

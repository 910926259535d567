/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decay: l = 2^v, v = sat16(dt + bias) in Q8 clamped to [-11, 3], l in Q16. With `hold`, v at or
 * below the lower clamp means l = 0: the state is kept.                 arithmetic.md, decay
 */
#include "op/element.h"
#include "op/formula.h"

static int32_t decay_infer(struct mbi_infer *q)
{
    const struct mbi_decay_attr *at = q->attr;
    const struct mbi_type *dt = q->in[0], *bias = q->in[1];

    if (dt->dtype != MBI_I16 || bias->dtype != MBI_I16 || dt->frac != 8 || bias->frac != 8 ||
        dt->cols != bias->cols || at->hold < 0 || at->hold > 1)
        return mbi_infer_mismatch(q, "decay", "needs i16 Q8 values and one bias for each");
    return mbi_infer_result(q, dt->cols, 16, INT32_MIN, INT32_MAX, 0, 1 << 19);
}

static void decay_eval(const struct mbi_op_args *a)
{
    const struct mbi_decay_attr *at = a->attr;
    const size_t n = a->out_type->cols;
    const int16_t *dt = a->in[0], *bias = a->in[1];
    int32_t *l = a->out;

    for (size_t i = a->begin; i < a->end; i++)
        l[i] = mbi_decay_of(dt[i], bias[i % n], at->hold);
}

/* clang-format off */
static const struct mbi_op_case decay_cases[] = {
    {.cols = {1, 1}, .rows = {0, 1}, .dtype = {MBI_I16, MBI_I16}, .frac = {8, 8}, .attr = {0}},
    {.cols = {37, 37}, .rows = {0, 1}, .dtype = {MBI_I16, MBI_I16}, .frac = {8, 8},
     .lo = {-1800, -1800}, .hi = {900, 900}, .attr = {0}},
    {.cols = {37, 37}, .rows = {0, 1}, .dtype = {MBI_I16, MBI_I16}, .frac = {8, 8},
     .lo = {-1800, -1800}, .hi = {900, 900}, .attr = {1}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_decay = {
    .n_attr = 1,
    .params = 1u << 1,
    .infer = decay_infer,
    .units = mbi_units_elements,
    .eval = decay_eval,
    .grad = &mbi_grad_decay,
    .cases = decay_cases,
    .n_cases = MBI_COUNT(decay_cases),
};

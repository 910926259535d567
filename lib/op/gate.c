/* SPDX-License-Identifier: Apache-2.0 */
/* gate: y = x s(x), x in Q8, y in Q23                                   arithmetic.md, gate */
#include "op/element.h"

static int32_t gate_infer(struct mbi_infer *q)
{
    const struct mbi_gate_attr *at = q->attr;
    const struct mbi_type *x = q->in[0];
    const int64_t m = mbi_type_magnitude(x);

    if (x->dtype != MBI_I16 || x->frac != 8 || at->kind < MBI_GATE_HARD ||
        at->kind > MBI_GATE_SQUAREPLUS)
        return mbi_infer_mismatch(q, "gate", "needs an i16 Q8 value and a known kind");
    /* s <= 1 gives |y| <= m 2^15; squareplus is at most |x| + 1, in Q8: m + 256. */
    return mbi_infer_result(q, x->cols, 23, INT32_MIN, INT32_MAX, -(m << 15), (m + 256) << 15);
}

/* |x| <= 2^15 and the other factor <= 2^15, so |y| <= 2^30; squareplus(x) <= 32768 as well. */
static int32_t gate(int32_t x, int32_t kind)
{
    switch (kind) {
    case MBI_GATE_HARD:
        return x * (int32_t)mbi_clamp_i64(x + 512, 0, 1024) * 32;
    case MBI_GATE_ALGEBRAIC:
        return x * mbi_sigmoid(x);
    default:
        return (int32_t)mbi_squareplus(x, 8) * 32768;
    }
}

static void gate_eval(const struct mbi_op_args *a)
{
    const struct mbi_gate_attr *at = a->attr;
    const int16_t *x = a->in[0];
    int32_t *y = a->out;

    for (size_t i = a->begin; i < a->end; i++)
        y[i] = gate(x[i], at->kind);
}

/* clang-format off */
static const struct mbi_op_case gate_cases[] = {
    {.cols = {67}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_HARD}},
    {.cols = {67}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_ALGEBRAIC}},
    {.cols = {67}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_SQUAREPLUS}},
    {.cols = {67}, .dtype = {MBI_I16}, .frac = {8}, .lo = {-2047}, .hi = {2047}, .attr = {MBI_GATE_HARD}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_gate = {
    .n_attr = 1,
    .infer = gate_infer,
    .units = mbi_units_elements,
    .eval = gate_eval,
    .grad = &mbi_grad_gate,
    .cases = gate_cases,
    .n_cases = MBI_COUNT(gate_cases),
};

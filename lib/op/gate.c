/* SPDX-License-Identifier: Apache-2.0 */
/* gate: y = x s(x), x in Q8, y in Q23                                   arithmetic.md, gate */
#include "op/element.h"
#include "op/formula.h"

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

static void gate_eval(const struct mbi_op_args *a)
{
    const struct mbi_gate_attr *at = a->attr;
    const int16_t *x = a->in[0];
    int32_t *y = a->out;

    for (size_t i = a->begin; i < a->end; i++)
        y[i] = mbi_gate_of(x[i], at->kind);
}

#define HARD_STEP 32 /* s in Q15 is 32 clamp(x + 512, 0, 1024) */

static struct mbi_shift_clamp hard_gadget(int64_t lo, int64_t hi)
{
    return (struct mbi_shift_clamp){.x_lo = lo + 512, .x_hi = hi + 512, .lo = 0, .hi = 1024};
}

/* x + 512, its clamp, and 32 x times that. */
static void gate_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols;
    const struct mbi_shift_clamp q =
        hard_gadget(mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));
    uint32_t moved, s;

    if (g->node->attr[0] != MBI_GATE_HARD) { /* struct mbi_gate_attr */
        mbi_gadget_fault(g, "of the gates, only the hard one can be proved yet");
        return;
    }
    moved = mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_constant(g, 512);
    s = mbi_gadget_requant(g, moved, cols, &q);
    g->out = mbi_gadget_define(g, cols);
    mbi_gadget_product(g, HARD_STEP, g->in[0], s);
}

static void gate_fill(const struct mbi_gadget_fill *f)
{
    struct mbi_shift_clamp q = hard_gadget(f->in_lo[0], f->in_hi[0]);
    const size_t cols = f->node->type.cols;

    q.first = f->first + 1;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++) {
            const int64_t moved = mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i) + 512;

            mbi_gadget_set(f, f->first, t, i, moved);
            mbi_gadget_fill_requant(f, &q, t, i, moved);
        }
}

static const struct mbi_op_gadget gate_proof = {gate_declare, gate_fill};

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
    .gadget = &gate_proof,
    .cases = gate_cases,
    .n_cases = MBI_COUNT(gate_cases),
};

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

/* ---- the proof ---- */

/* Counted from the node's first: those of ex2w; with hold, whether v is at its lower clamp, and
 * what shows it; dt + bias and those of its clamp. */
enum { ELL, AT_END = MBI_EX2W_VARS, ABOVE_END, SUM, CLAMPED };

#define LOWEST 32 /* ell(MBI_DECAY_V_MIN) */

static struct mbi_gadget_ex2w decay_ell(const struct mbi_node *node, uint32_t lanes)
{
    return (struct mbi_gadget_ex2w){
        .shape = {{lanes, 1, node->type.cols}}, .log_f = 8, .octaves = 15, .down = 11};
}

/* sat(., 16) changes nothing that the narrower clamp does not. */
static struct mbi_shift_clamp decay_clamp(int64_t lo, int64_t hi)
{
    return (struct mbi_shift_clamp){
        .x_lo = lo, .x_hi = hi, .lo = MBI_DECAY_V_MIN, .hi = MBI_DECAY_V_MAX};
}

/* at (c - end) = 0 and c - end - 1 + at = above >= 0: at is [c = end]. */
static void declare_end(struct mbi_gadget *g, uint32_t c, uint32_t at, uint32_t above)
{
    const uint32_t cols = g->node->type.cols;

    mbi_gadget_relate(g, cols);
    mbi_gadget_product(g, 1, at, c);
    mbi_gadget_linear(g, -MBI_DECAY_V_MIN, at);
    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, 1, c);
    mbi_gadget_constant(g, -MBI_DECAY_V_MIN - 1);
    mbi_gadget_linear(g, 1, at);
    mbi_gadget_linear(g, -1, above);
}

/* At the lower clamp ell is 32, so that with hold the result is ell less 32 times that. */
static void decay_declare(struct mbi_gadget *g)
{
    const bool hold = g->node->attr[0]; /* struct mbi_decay_attr */
    const uint32_t cols = g->node->type.cols;
    struct mbi_gadget_ex2w ell = decay_ell(g->node, g->lanes);
    struct mbi_shift_clamp q;
    uint32_t at, above, sum, c;

    mbi_gadget_ex2w_vars(g, &ell);
    at = mbi_gadget_var(g, cols, 0, hold, false);
    above = mbi_gadget_var(g, cols, 0, hold ? 4095 : 0, false);
    sum = mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_view(g, 1, mbi_gadget_input(g, 1));
    q = decay_clamp(mbi_gadget_lo(g, sum), mbi_gadget_hi(g, sum));
    c = mbi_gadget_requant(g, sum, cols, &q);
    mbi_gadget_ex2w_relations(g, &ell, MBI_DECAY_V_MAX, -1, mbi_gadget_entry(c));
    if (hold)
        declare_end(g, c, at, above);
    g->out = mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1, mbi_gadget_ex2w_result(&ell));
    if (hold)
        mbi_gadget_linear(g, -LOWEST, at);
}

static void decay_fill(const struct mbi_gadget_fill *f)
{
    const bool hold = f->node->attr[0];
    struct mbi_gadget_ex2w ell = decay_ell(f->node, f->lanes);
    struct mbi_shift_clamp q = decay_clamp(f->in_lo[0] + f->in_lo[1], f->in_hi[0] + f->in_hi[1]);
    const size_t cols = f->node->type.cols;
    const int16_t *dt = f->in[0], *bias = f->in[1];

    ell.first = f->first + ELL;
    q.first = f->first + CLAMPED;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++) {
            const int64_t sum = dt[t * cols + i] + bias[i];
            const int64_t c = mbi_clamp_i64(sum, q.lo, q.hi);

            mbi_gadget_fill_requant(f, &q, t, i, sum);
            mbi_gadget_fill_ex2w(f, &ell, t, i, (uint32_t)(MBI_DECAY_V_MAX - c));
            mbi_gadget_set(f, f->first + AT_END, t, i, hold && c == q.lo);
            mbi_gadget_set(f, f->first + ABOVE_END, t, i, hold ? c - q.lo - 1 + (c == q.lo) : 0);
        }
}

static const struct mbi_op_gadget decay_proof = {decay_declare, decay_fill};

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
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(decay_eval),
    .grad = MBI_GRAD(decay),
    .gadget = &decay_proof,
    .cases = MBI_CASES(decay_cases),
    .n_cases = MBI_COUNT(decay_cases),
};

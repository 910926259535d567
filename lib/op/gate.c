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

/* ---- proof of the hard gate: x + 512, its clamp, and 32 x times that ---- */

#define HARD_STEP 32 /* s in Q15 is 32 clamp(x + 512, 0, 1024) */

static struct mbi_shift_clamp hard_gadget(int64_t lo, int64_t hi)
{
    return (struct mbi_shift_clamp){.x_lo = lo + 512, .x_hi = hi + 512, .lo = 0, .hi = 1024};
}

static void hard_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols, moved = mbi_gadget_define(g, cols);
    const struct mbi_shift_clamp q =
        hard_gadget(mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));
    uint32_t s;

    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_constant(g, 512);
    s = mbi_gadget_requant(g, moved, cols, &q);
    g->out = mbi_gadget_define(g, cols);
    mbi_gadget_product(g, HARD_STEP, g->in[0], s);
}

static void hard_fill(const struct mbi_gadget_fill *f, size_t lane, size_t col, int64_t x)
{
    struct mbi_shift_clamp q = hard_gadget(f->in_lo[0], f->in_hi[0]);

    q.first = f->first + 1;
    mbi_gadget_fill_requant(f, &q, lane, col, x + 512);
}

/* ---- of the algebraic one ---- */

/*
 * m = |x| because m m = x x and m >= 0. The division of 2^14 m by 256 + m has the quotient q and
 * the remainder 0 <= r <= 255 + m. x sigmoid(x) = 2^14 x + m q, where m q is what the division
 * says: 2^14 m - 256 q - r.
 */
enum { ABS, QUOTIENT, REST, REST_LEFT };

static void algebraic_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols, x = g->in[0];
    const int64_t top = mbi_max_i64(-mbi_gadget_lo(g, x), mbi_gadget_hi(g, x));
    const uint32_t m = mbi_gadget_var(g, cols, 0, top, true);
    const uint32_t q = mbi_gadget_var(g, cols, 0, (1 << 14) - 1, true);
    const uint32_t r = mbi_gadget_var(g, cols, 0, 255 + top, true);
    const uint32_t left = mbi_gadget_var(g, cols, 0, 255 + top, true);

    mbi_gadget_relate(g, cols);
    mbi_gadget_product(g, 1, m, m);
    mbi_gadget_product(g, -1, x, x);
    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, 1 << 14, m);
    mbi_gadget_linear(g, -256, q);
    mbi_gadget_product(g, -1, m, q);
    mbi_gadget_linear(g, -1, r);
    mbi_gadget_relate(g, cols);
    mbi_gadget_constant(g, 255);
    mbi_gadget_linear(g, 1, m);
    mbi_gadget_linear(g, -1, r);
    mbi_gadget_linear(g, -1, left);
    g->out = mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1 << 14, x);
    mbi_gadget_linear(g, 1 << 14, m);
    mbi_gadget_linear(g, -256, q);
    mbi_gadget_linear(g, -1, r);
}

static void algebraic_fill(const struct mbi_gadget_fill *f, size_t lane, size_t col, int64_t x)
{
    const int64_t m = x < 0 ? -x : x, q = (m << 14) / (256 + m), r = (m << 14) % (256 + m);

    mbi_gadget_set(f, f->first + ABS, lane, col, m);
    mbi_gadget_set(f, f->first + QUOTIENT, lane, col, q);
    mbi_gadget_set(f, f->first + REST, lane, col, r);
    mbi_gadget_set(f, f->first + REST_LEFT, lane, col, 255 + m - r);
}

/* ---- of squareplus ---- */

/*
 * z = (x + isqrt(x x + 2^18)) >> 1 is floor((x + sqrt(x x + 2^18)) / 2), the root of
 * z (z - x) = 2^16 rounded down: below = 2^16 - z (z - x) >= 0, and the same at z + 1 is negative,
 * that is above = (z + 1) (z + 1 - x) - 2^16 - 1 = 2 z - x - below >= 0.
 * Their sum is 2 z - x >= 0, so that z is on the branch of the positive root.
 */
enum { ROOT, BELOW, ABOVE };

static void squareplus_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols, x = g->in[0];
    const int64_t top = mbi_max_i64(-mbi_gadget_lo(g, x), mbi_gadget_hi(g, x));
    const uint32_t z = mbi_gadget_var(g, cols, 0, top + 256, true);
    const uint32_t below = mbi_gadget_var(g, cols, 0, top + 512, true);
    const uint32_t above = mbi_gadget_var(g, cols, 0, top + 512, true);

    mbi_gadget_relate(g, cols);
    mbi_gadget_product(g, 1, z, z);
    mbi_gadget_product(g, -1, z, x);
    mbi_gadget_linear(g, 1, below);
    mbi_gadget_constant(g, -(1 << 16));
    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, 2, z);
    mbi_gadget_linear(g, -1, x);
    mbi_gadget_linear(g, -1, below);
    mbi_gadget_linear(g, -1, above);
    g->out = mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1 << 15, z);
}

static void squareplus_fill(const struct mbi_gadget_fill *f, size_t lane, size_t col, int64_t x)
{
    const int64_t z = mbi_squareplus(x, 8), below = (1 << 16) - z * (z - x);

    mbi_gadget_set(f, f->first + ROOT, lane, col, z);
    mbi_gadget_set(f, f->first + BELOW, lane, col, below);
    mbi_gadget_set(f, f->first + ABOVE, lane, col, 2 * z - x - below);
}

/* ---- */

static void gate_declare(struct mbi_gadget *g)
{
    switch (g->node->attr[0]) { /* struct mbi_gate_attr */
    case MBI_GATE_HARD:
        hard_declare(g);
        break;
    case MBI_GATE_ALGEBRAIC:
        algebraic_declare(g);
        break;
    default:
        squareplus_declare(g);
    }
}

static void gate_fill(const struct mbi_gadget_fill *f)
{
    const int32_t kind = f->node->attr[0];
    void (*const fill)(const struct mbi_gadget_fill *, size_t, size_t, int64_t) =
        kind == MBI_GATE_HARD        ? hard_fill
        : kind == MBI_GATE_ALGEBRAIC ? algebraic_fill
                                     : squareplus_fill;
    const size_t cols = f->node->type.cols;

    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++)
            fill(f, t, i, mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i));
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
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(gate_eval),
    .grad = MBI_GRAD(gate),
    .gadget = &gate_proof,
    .cases = MBI_CASES(gate_cases),
    .n_cases = MBI_COUNT(gate_cases),
};

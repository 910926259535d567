/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three ways back to a narrower integer: one rounding shift, then a clamp. The shift is the
 * same for all elements, or has a row's exponent added, or follows a product with a scale.
 */
#include "op/element.h"

/* Shifts to the left only widen: |x| 2^-s must stay below 2^62. */
static bool shift_fits(int64_t magnitude, int64_t shift)
{
    return shift > 0 ? shift <= 62 && magnitude < (int64_t)1 << 62
                     : shift >= -32 && magnitude < (int64_t)1 << (62 + shift);
}

static int64_t shift_clamp(int64_t x, int32_t shift, const struct mbi_requant_attr *q)
{
    return mbi_clamp_i64(mbi_rshift_half_up(x, shift), q->lo, q->hi);
}

/* Rounding and clamping are monotonic and a smaller shift spreads further, so the ends of the
 * input at the smallest and at the largest shift bound the result. */
static int32_t infer_shifts(struct mbi_infer *q, const char *op, int64_t lo, int64_t hi,
                            int64_t min_shift, int64_t max_shift)
{
    const struct mbi_requant_attr *at = q->attr;
    const int64_t magnitude = mbi_max_i64(-lo, hi);
    int64_t min, max;

    if (at->lo > at->hi)
        return mbi_infer_mismatch(q, op, "the clamp is empty");
    if (!shift_fits(magnitude, min_shift) || !shift_fits(magnitude, max_shift))
        return mbi_infer_overflow(q, op);
    min = mbi_min_i64(shift_clamp(lo, (int32_t)min_shift, at),
                      shift_clamp(lo, (int32_t)max_shift, at));
    max = mbi_max_i64(shift_clamp(hi, (int32_t)min_shift, at),
                      shift_clamp(hi, (int32_t)max_shift, at));
    return mbi_infer_result(q, q->in[0]->cols, at->frac, at->lo, at->hi, min, max);
}

/* ---- requant: y = clamp(rsh(x, shift), lo, hi)                     arithmetic.md, requant ---- */

static int32_t requant_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;

    return infer_shifts(q, "requant", q->in[0]->lo, q->in[0]->hi, at->shift, at->shift);
}

static void requant_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x, q->shift, q));
    }
}

static struct mbi_shift_clamp requant_gadget(const struct mbi_node *node, int64_t lo, int64_t hi)
{
    const int32_t *at = node->attr; /* struct mbi_requant_attr */

    return (struct mbi_shift_clamp){
        .x_lo = lo, .x_hi = hi, .shift = at[0], .lo = at[1], .hi = at[2]};
}

static void requant_declare(struct mbi_gadget *g)
{
    const struct mbi_shift_clamp q =
        requant_gadget(g->node, mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));

    g->out = mbi_gadget_requant(g, g->in[0], g->node->type.cols, &q);
}

static void requant_fill(const struct mbi_gadget_fill *f)
{
    struct mbi_shift_clamp q = requant_gadget(f->node, f->in_lo[0], f->in_hi[0]);
    const size_t cols = f->node->type.cols;

    q.first = f->first;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++)
            mbi_gadget_fill_requant(f, &q, t, i,
                                    mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i));
}

static const struct mbi_op_gadget requant_proof = {requant_declare, requant_fill};

/* clang-format off */
static const struct mbi_op_case requant_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}, .attr = {18, -128, 127, 5}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {15, -128, 127, 4}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {12, -32768, 32767, 11}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {0, 0, 127, 5}},
    {.cols = {67}, .dtype = {MBI_I16}, .attr = {0, -2047, 2047, 8}},
    {.cols = {67}, .dtype = {MBI_I8}, .attr = {-5, -8388608, 8388607, 10}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {31, -128, 127, 4}},
    {.cols = {16}, .dtype = {MBI_I32}, .lo = {-4194304}, .hi = {4194304}, .attr = {-1, -16777216, 16777216, 14}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant = {
    .n_attr = 4,
    .infer = requant_infer,
    .units = mbi_units_elements,
    .eval = requant_eval,
    .grad = &mbi_grad_requant,
    .gadget = &requant_proof,
    .cases = requant_cases,
    .n_cases = MBI_COUNT(requant_cases),
};

/* ---- requant_rows: y_i = clamp(rsh(x_i, shift + e_i), lo, hi) arithmetic.md, requant_rows ---- */

static int32_t requant_rows_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;
    const struct mbi_type *x = q->in[0], *e = q->in[1];

    if (e->dtype != MBI_I8 || (size_t)e->rows * e->cols != x->cols)
        return mbi_infer_mismatch(q, "requant_rows", "needs one i8 exponent for each element");
    return infer_shifts(q, "requant_rows", x->lo, x->hi, at->shift + e->lo, at->shift + e->hi);
}

static void requant_rows_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const size_t cols = a->out_type->cols;
    const int8_t *e = a->in[1];

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x, q->shift + e[i % cols], q));
    }
}

/* clang-format off */
static const struct mbi_op_case requant_rows_cases[] = {
    {.cols = {1, 1}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 67}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 67}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-6, INT32_MIN, INT32_MAX, 10}},
    {.cols = {40, 40}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-7, -134217728, 134217727, 12}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant_rows = {
    .n_attr = 4,
    .params = 1u << 1,
    .infer = requant_rows_infer,
    .units = mbi_units_elements,
    .eval = requant_rows_eval,
    .grad = &mbi_grad_requant_rows,
    .cases = requant_rows_cases,
    .n_cases = MBI_COUNT(requant_rows_cases),
};

/* ---- requant_mul: y = clamp(rsh(x * m, shift + s), lo, hi)     arithmetic.md, requant_mul ---- */

static int32_t requant_mul_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;
    const struct mbi_type *x = q->in[0], *m = q->in[1], *s = q->in[2];

    if (m->dtype != MBI_I16 || s->dtype != MBI_I8 || m->cols != 1 || s->cols != 1 || m->lo < 0)
        return mbi_infer_mismatch(q, "requant_mul", "needs one i16 scale and one i8 exponent");
    return infer_shifts(q, "requant_mul", mbi_min_i64(x->lo, 0) * m->hi,
                        mbi_max_i64(x->hi, 0) * m->hi, at->shift + s->lo, at->shift + s->hi);
}

static void requant_mul_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const int64_t m = *(const int16_t *)a->in[1];
    const int32_t shift = q->shift + *(const int8_t *)a->in[2];

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x * m, shift, q));
    }
}

/* clang-format off */
static const struct mbi_op_case requant_mul_cases[] = {
    {.cols = {1, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-6, INT32_MIN, INT32_MAX, 10}},
    {.cols = {67, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-3, -32768, 32767, 8}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant_mul = {
    .n_attr = 4,
    .params = 1u << 1 | 1u << 2,
    .infer = requant_mul_infer,
    .units = mbi_units_elements,
    .eval = requant_mul_eval,
    .grad = &mbi_grad_requant_mul,
    .cases = requant_mul_cases,
    .n_cases = MBI_COUNT(requant_mul_cases),
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Element by element: sums, products, parts. None of these rounds. */
#include "op/element.h"
#include <string.h>

/* ---- add: y = a + b, b a value or a parameter                         arithmetic.md, add ---- */

/* The fixed point of a matvec does not tell what its weights stand for; a parameter behind it does,
 * so the sum stands where that stands. */
static int32_t add_infer(struct mbi_infer *q)
{
    const struct mbi_type *a = q->in[0], *b = q->in[1];
    const int64_t lo = a->lo + b->lo, hi = a->hi + b->hi;

    if (a->cols != b->cols || b->rows != 1 || (a->frac != b->frac && !q->in_is_param[1]))
        return mbi_infer_mismatch(q, "add", "the terms differ in size or in fixed-point position");
    if (b->dtype == MBI_TERNARY)
        return mbi_infer_mismatch(q, "add", "a ternary parameter is no term");
    if (lo < INT32_MIN || hi > INT32_MAX)
        return mbi_infer_overflow(q, "add");
    return mbi_infer_result(q, a->cols, b->frac, INT32_MIN, INT32_MAX, lo, hi);
}

/* A parameter serves every lane; a value has a row for each. */
static void add_eval(const struct mbi_op_args *a)
{
    const size_t n = a->out_type->cols;
    int32_t *y = a->out;

    for (size_t i = a->begin; i < a->end; i++)
        y[i] = (int32_t)(mbi_get(a->in[0], a->in_type[0]->dtype, i) +
                         mbi_get(a->in[1], a->in_type[1]->dtype, a->in_is_param[1] ? i % n : i));
}

/* A parameter has one row, for every lane. */
static void add_declare(struct mbi_gadget *g)
{
    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_view(g, 1, mbi_gadget_input(g, 1));
}

static const struct mbi_op_gadget add_proof = {add_declare, NULL};

static const struct mbi_op_case add_cases[] = {
    {.cols = {1, 1}, .dtype = {MBI_I16, MBI_I8}},
    {.cols = {67, 67},
     .dtype = {MBI_I32, MBI_I32},
     .lo = {-1073741824, -1073741824},
     .hi = {1073741823, 1073741823}},
    {.cols = {67, 67},
     .rows = {0, 1},
     .dtype = {MBI_I32, MBI_I16},
     .lo = {-16777216, -32767},
     .hi = {16777216, 32767}},
    {.cols = {5, 5}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_I8}},
};

const struct mbi_op_def mbi_op_add = {
    .either = 1u << 1,
    .infer = add_infer,
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(add_eval),
    .grad = MBI_GRAD(add),
    .gadget = &add_proof,
    .cases = MBI_CASES(add_cases),
    .n_cases = MBI_COUNT(add_cases),
};

/* ---- addsat: y = sat(a + b, bits)                                  arithmetic.md, addsat ---- */

static int32_t addsat_infer(struct mbi_infer *q)
{
    const struct mbi_addsat_attr *at = q->attr;
    const struct mbi_type *a = q->in[0], *b = q->in[1];

    if (a->cols != b->cols || a->frac != b->frac || at->bits < 2 || at->bits > 32)
        return mbi_infer_mismatch(q, "addsat", "the terms differ in size or fixed-point position");
    return mbi_infer_result(q, a->cols, a->frac, INT32_MIN, INT32_MAX,
                            mbi_sat(a->lo + b->lo, at->bits), mbi_sat(a->hi + b->hi, at->bits));
}

static void addsat_eval(const struct mbi_op_args *a)
{
    const struct mbi_addsat_attr *at = a->attr;
    int32_t *y = a->out;

    for (size_t i = a->begin; i < a->end; i++)
        y[i] = (int32_t)mbi_sat(mbi_get(a->in[0], a->in_type[0]->dtype, i) +
                                    mbi_get(a->in[1], a->in_type[1]->dtype, i),
                                at->bits);
}

static struct mbi_shift_clamp addsat_gadget(const struct mbi_node *node, int64_t lo, int64_t hi)
{
    const int64_t top = (int64_t)1 << (node->attr[0] - 1); /* struct mbi_addsat_attr */

    return (struct mbi_shift_clamp){.x_lo = lo, .x_hi = hi, .lo = -top, .hi = top - 1};
}

/* The sum is a variable of its own, which is not committed. */
static void addsat_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols, sum = mbi_gadget_define(g, cols);
    struct mbi_shift_clamp q;

    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_linear(g, 1, g->in[1]);
    q = addsat_gadget(g->node, mbi_gadget_lo(g, sum), mbi_gadget_hi(g, sum));
    g->out = mbi_gadget_requant(g, sum, cols, &q);
}

static void addsat_fill(const struct mbi_gadget_fill *f)
{
    struct mbi_shift_clamp q =
        addsat_gadget(f->node, f->in_lo[0] + f->in_lo[1], f->in_hi[0] + f->in_hi[1]);
    const size_t cols = f->node->type.cols;

    q.first = f->first + 1;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++) {
            const int64_t sum = mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i) +
                                mbi_get(f->in[1], f->in_type[1]->dtype, t * cols + i);

            mbi_gadget_set(f, f->first, t, i, sum);
            mbi_gadget_fill_requant(f, &q, t, i, sum);
        }
}

static const struct mbi_op_gadget addsat_proof = {addsat_declare, addsat_fill};

static const struct mbi_op_case addsat_cases[] = {
    {.cols = {67, 67}, .dtype = {MBI_I32, MBI_I32}, .attr = {24}},
    {.cols = {67, 67},
     .dtype = {MBI_I32, MBI_I32},
     .attr = {24},
     .lo = {-9000000, -9000000},
     .hi = {9000000, 9000000}},
};

const struct mbi_op_def mbi_op_addsat = {
    .n_attr = 1,
    .infer = addsat_infer,
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(addsat_eval),
    .grad = MBI_GRAD(addsat),
    .gadget = &addsat_proof,
    .cases = MBI_CASES(addsat_cases),
    .n_cases = MBI_COUNT(addsat_cases),
};

/* ---- mul: y_i = a_i * b_(i / group), b a value or a parameter         arithmetic.md, mul ---- */

static int32_t mul_infer(struct mbi_infer *q)
{
    const struct mbi_mul_attr *at = q->attr;
    const struct mbi_type *a = q->in[0], *b = q->in[1];
    const int64_t bound = mbi_type_magnitude(a) * mbi_type_magnitude(b);

    if (a->dtype > MBI_I32 || b->dtype > MBI_I16 || b->dtype == MBI_TERNARY)
        return mbi_infer_mismatch(q, "mul", "the second factor must be i8 or i16");
    if (at->group < 1 || (uint64_t)b->cols * (uint32_t)at->group != a->cols || b->rows != 1)
        return mbi_infer_mismatch(q, "mul", "the groups do not cover the first factor");
    if (bound > INT32_MAX)
        return mbi_infer_overflow(q, "mul");
    return mbi_infer_result(q, a->cols, a->frac + b->frac, INT32_MIN, INT32_MAX, -bound, bound);
}

/* A parameter serves every lane; a value has a row for each. */
static void mul_eval(const struct mbi_op_args *a)
{
    const struct mbi_mul_attr *at = a->attr;
    const size_t n = a->out_type->cols, nb = a->in_type[1]->cols, group = (size_t)at->group;
    int32_t *y = a->out;

    for (size_t t = a->begin; t < a->end; t++)
        for (size_t i = 0; i < n; i++)
            y[t * n + i] = (int32_t)(mbi_get(a->in[0], a->in_type[0]->dtype, t * n + i) *
                                     mbi_get(a->in[1], a->in_type[1]->dtype,
                                             (a->in_is_param[1] ? 0 : t * nb) + i / group));
}

/* Element i of group c is (c << log) + i. */
static void declare_groups(struct mbi_gadget *g, uint32_t group)
{
    enum { ROW, COL, IN, LETTERS };
    const uint8_t log = (uint8_t)mbi_bitlen(group - 1);
    const uint32_t n[LETTERS] = {g->lanes, g->in_type[1]->cols, group};
    const struct mbi_axis element = mbi_pair(COL, log, IN);

    if (group & (group - 1))
        mbi_gadget_fault(g, "it multiplies in groups that are no power of two");
    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_letters(g, LETTERS, n);
    mbi_gadget_result(g, mbi_along(ROW, 0), mbi_fixed(0), element);
    mbi_gadget_views(g, 1, mbi_view(g->in[0], mbi_along(ROW, 0), mbi_fixed(0), element),
                     mbi_gadget_input(g, 1));
}

static void mul_declare(struct mbi_gadget *g)
{
    const uint32_t group = (uint32_t)g->node->attr[0]; /* struct mbi_mul_attr */

    if (group > 1) {
        declare_groups(g, group);
        return;
    }
    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_views(g, 1, mbi_element(g->in[0]), mbi_gadget_input(g, 1));
}

static const struct mbi_op_gadget mul_proof = {mul_declare, NULL};

static const struct mbi_op_case mul_cases[] = {
    {.cols = {67, 67},
     .dtype = {MBI_I16, MBI_I16},
     .lo = {0, -16384},
     .hi = {0, 16384},
     .attr = {1}},
    {.cols = {64, 4}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_I16}, .attr = {16}},
    {.cols = {33, 33},
     .rows = {0, 1},
     .dtype = {MBI_I16, MBI_I16},
     .lo = {0, -32767},
     .hi = {0, 32767},
     .attr = {1}},
    {.cols = {24, 8}, .dtype = {MBI_I8, MBI_I8}, .attr = {3}},
};

const struct mbi_op_def mbi_op_mul = {
    .n_attr = 1,
    .either = 1u << 1,
    .infer = mul_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(mul_eval),
    .grad = MBI_GRAD(mul),
    .gadget = &mul_proof,
    .cases = MBI_CASES(mul_cases),
    .n_cases = MBI_COUNT(mul_cases),
};

/* ---- slice: y = x[offset, offset + count)                           arithmetic.md, slice ---- */

static int32_t slice_infer(struct mbi_infer *q)
{
    const struct mbi_slice_attr *at = q->attr;
    const struct mbi_type *x = q->in[0];

    if (at->offset < 0 || at->count < 1 || (int64_t)at->offset + at->count > x->cols)
        return mbi_infer_mismatch(q, "slice", "the part lies outside the value");
    *q->out = *x;
    q->out->cols = (uint32_t)at->count;
    return MAMBAINT_OK;
}

static void slice_eval(const struct mbi_op_args *a)
{
    const struct mbi_slice_attr *at = a->attr;
    const size_t size = mbi_dtype_size(a->in_type[0]->dtype);
    const size_t from = a->in_type[0]->cols * size, to = a->out_type->cols * size;

    for (size_t t = a->begin; t < a->end; t++)
        memcpy((char *)a->out + t * to,
               (const char *)a->in[0] + t * from + (size_t)at->offset * size, to);
}

static void slice_declare(struct mbi_gadget *g)
{
    const int32_t from = g->node->attr[0]; /* struct mbi_slice_attr */

    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_view(g, 1,
                    mbi_view(g->in[0], mbi_along(MBI_LETTER_ROW, 0), mbi_fixed(0),
                             mbi_along(MBI_LETTER_COL, from)));
}

static const struct mbi_op_gadget slice_proof = {slice_declare, NULL};

static const struct mbi_op_case slice_cases[] = {
    {.cols = {67}, .dtype = {MBI_I16}, .attr = {3, 40}},
    {.cols = {9}, .dtype = {MBI_I8}, .attr = {8, 1}},
};

const struct mbi_op_def mbi_op_slice = {
    .n_attr = 2,
    .infer = slice_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(slice_eval),
    .grad = MBI_GRAD(slice),
    .gadget = &slice_proof,
    .cases = MBI_CASES(slice_cases),
    .n_cases = MBI_COUNT(slice_cases),
};

/* ---- concat: y = a, then b                                         arithmetic.md, concat ---- */

static int32_t concat_infer(struct mbi_infer *q)
{
    const struct mbi_type *a = q->in[0], *b = q->in[1];

    if (a->dtype != b->dtype || a->frac != b->frac || a->cols > UINT32_MAX - b->cols)
        return mbi_infer_mismatch(q, "concat", "the parts differ in type");
    *q->out = *a;
    q->out->cols = a->cols + b->cols;
    q->out->lo = mbi_min_i64(a->lo, b->lo);
    q->out->hi = mbi_max_i64(a->hi, b->hi);
    return MAMBAINT_OK;
}

static void concat_eval(const struct mbi_op_args *a)
{
    const size_t na = mbi_type_row_size(a->in_type[0]), nb = mbi_type_row_size(a->in_type[1]);
    char *y = a->out;

    for (size_t t = a->begin; t < a->end; t++) {
        memcpy(y + t * (na + nb), (const char *)a->in[0] + t * na, na);
        memcpy(y + t * (na + nb) + na, (const char *)a->in[1] + t * nb, nb);
    }
}

static void concat_declare(struct mbi_gadget *g)
{
    const int32_t begin = -(int32_t)g->in_type[0]->cols;

    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_linear(g, 1, g->in[0]); /* zero from its end on */
    mbi_gadget_view(g, 1,
                    mbi_view(g->in[1], mbi_along(MBI_LETTER_ROW, 0), mbi_fixed(0),
                             mbi_along(MBI_LETTER_COL, begin)));
}

static const struct mbi_op_gadget concat_proof = {concat_declare, NULL};

static const struct mbi_op_case concat_cases[] = {
    {.cols = {5, 9}, .dtype = {MBI_I16, MBI_I16}},
    {.cols = {33, 1}, .dtype = {MBI_I8, MBI_I8}},
};

const struct mbi_op_def mbi_op_concat = {
    .infer = concat_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(concat_eval),
    .grad = MBI_GRAD(concat),
    .gadget = &concat_proof,
    .cases = MBI_CASES(concat_cases),
    .n_cases = MBI_COUNT(concat_cases),
};

/* SPDX-License-Identifier: Apache-2.0 */
/* matvec: acc_i = sum_k W_ik x_k, exact                                arithmetic.md, matvec */
#include "op/element.h"

/* The sum of magnitudes bounds every partial sum, so any order of summation stays in int32. */
static int32_t matvec_infer(struct mbi_infer *q)
{
    const struct mbi_type *x = q->in[0], *w = q->in[1];
    int64_t bound;

    if ((x->dtype != MBI_I8 && x->dtype != MBI_I16) ||
        (w->dtype != MBI_I8 && w->dtype != MBI_TERNARY))
        return mbi_infer_mismatch(q, "matvec", "needs an i8 or i16 vector and i8 or ternary rows");
    if (x->cols != w->cols)
        return mbi_infer_mismatch(q, "matvec", "vector and matrix differ in columns");
    bound = mbi_type_magnitude(x) * mbi_type_magnitude(w) * (int64_t)x->cols;
    if (bound > INT32_MAX)
        return mbi_infer_overflow(q, "matvec");
    *q->out = (struct mbi_type){MBI_I32, x->frac, 1, w->rows, -bound, bound};
    return MAMBAINT_OK;
}

static int32_t dot_i8(const void *x, const void *row, size_t n)
{
    const int8_t *a = x, *w = row;
    int32_t acc = 0;

    for (size_t k = 0; k < n; k++)
        acc += w[k] * a[k];
    return acc;
}

static int32_t dot_i16(const void *x, const void *row, size_t n)
{
    const int16_t *a = x;
    const int8_t *w = row;
    int32_t acc = 0;

    for (size_t k = 0; k < n; k++)
        acc += w[k] * a[k];
    return acc;
}

static int32_t dot_ternary_i8(const void *x, const void *row, size_t n)
{
    const int8_t *a = x;
    int32_t acc = 0;

    for (size_t k = 0; k < n; k++)
        acc += mbi_trit(row, k) * a[k];
    return acc;
}

static int32_t dot_ternary_i16(const void *x, const void *row, size_t n)
{
    const int16_t *a = x;
    int32_t acc = 0;

    for (size_t k = 0; k < n; k++)
        acc += mbi_trit(row, k) * a[k];
    return acc;
}

static void matvec_eval(const struct mbi_op_args *a)
{
    const struct mbi_type *x = a->in_type[0], *w = a->in_type[1];
    const size_t x_size = mbi_type_row_size(x), w_size = mbi_type_row_size(w);
    int32_t (*const dot)(const void *, const void *, size_t) =
        w->dtype == MBI_TERNARY ? (x->dtype == MBI_I8 ? dot_ternary_i8 : dot_ternary_i16)
                                : (x->dtype == MBI_I8 ? dot_i8 : dot_i16);
    int32_t *y = a->out;

    for (size_t r = a->begin; r < a->end; r++)
        for (size_t t = 0; t < a->lanes; t++)
            y[t * w->rows + r] = dot((const char *)a->in[0] + t * x_size,
                                     (const char *)a->in[1] + r * w_size, w->cols);
}

static size_t matvec_units(const struct mbi_op_args *a) { return a->in_type[1]->rows; }

/* Not committed: the sum itself is claimed wherever it is read. */
static void matvec_declare(struct mbi_gadget *g)
{
    enum { ROW, COL, SUM, LETTERS };
    const uint32_t n[LETTERS] = {g->lanes, g->in_type[1]->rows, g->in_type[1]->cols};

    g->out = mbi_gadget_define(g, g->in_type[1]->rows);
    mbi_gadget_letters(g, LETTERS, n);
    mbi_gadget_views(g, 1, mbi_view(g->in[1], mbi_along(COL, 0), mbi_fixed(0), mbi_along(SUM, 0)),
                     mbi_view(g->in[0], mbi_along(ROW, 0), mbi_fixed(0), mbi_along(SUM, 0)));
}

static const struct mbi_op_gadget matvec_proof = {matvec_declare, NULL};

/* clang-format off */
static const struct mbi_op_case matvec_cases[] = {
    {.cols = {1, 1}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {31, 31}, .rows = {0, 9}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {64, 64}, .rows = {0, 16}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {33, 33}, .rows = {0, 17}, .dtype = {MBI_I16, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {129, 129}, .rows = {0, 37}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {1000, 1000}, .rows = {0, 5}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127}, .hi = {0, 127}},
    {.cols = {131072, 131072}, .rows = {0, 2}, .dtype = {MBI_I8, MBI_I8}, .lo = {0, -127},
     .hi = {0, 127}, .lanes = 1},
    {.cols = {1, 1}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1}, .hi = {0, 1}},
    {.cols = {31, 31}, .rows = {0, 9}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1}, .hi = {0, 1}},
    {.cols = {128, 128}, .rows = {0, 16}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1}, .hi = {0, 1}},
    {.cols = {257, 257}, .rows = {0, 19}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1}, .hi = {0, 1}},
    {.cols = {8192, 8192}, .rows = {0, 3}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1}, .hi = {0, 1},
     .lanes = 2},
    {.cols = {1048576, 1048576}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_TERNARY}, .lo = {0, -1},
     .hi = {0, 1}, .lanes = 1},
};
/* clang-format on */

const struct mbi_op_def mbi_op_matvec = {
    .params = 1u << 1,
    .infer = matvec_infer,
    .units = MBI_KERNEL(matvec_units),
    .eval = MBI_KERNEL(matvec_eval),
    .grad = MBI_GRAD(matvec),
    .gadget = &matvec_proof,
    .cases = MBI_CASES(matvec_cases),
    .n_cases = MBI_COUNT(matvec_cases),
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Training facet of sums, products and parts. Only addsat has a clamp. */
#include "train/op/op_grad.h"
#include "train/op/straight.h"
#include "train/vector.h"

/* ---- add, addsat ---- */

MBI_CLONES static void sum_loop(float *MBI_RESTRICT y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static size_t n_values(const struct mbi_grad_args *a) { return a->lanes * a->out_type->cols; }

/* Row of the second input (or of its gradient) for lane t: a parameter has one for all. */
static size_t second_row(const struct mbi_grad_args *a, size_t t)
{
    return a->in_is_param[1] ? 0 : t * a->in_type[1]->cols;
}

static void add_forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    for (size_t t = 0; t < a->lanes; t++)
        sum_loop(a->out + t * n, a->in[0] + t * n, a->in[1] + second_row(a, t), n);
}

static void add_backward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    if (a->d_in[0])
        mbi_add_to(a->d_in[0], a->d_out, n_values(a));
    for (size_t t = 0; a->d_in[1] && t < a->lanes; t++)
        mbi_add_to(a->d_in[1] + second_row(a, t), a->d_out + t * n, n);
}

static void addsat_backward(const struct mbi_grad_args *a)
{
    const struct mbi_addsat_attr *at = a->attr;
    const struct mbi_clamped c = {a->out_int, a->out_type->dtype,
                                  (int32_t)mbi_sat(INT64_MIN, at->bits),
                                  (int32_t)mbi_sat(INT64_MAX, at->bits)};

    if (!a->integers) {
        add_backward(a);
        return;
    }
    for (size_t k = 0; k < 2; k++)
        if (a->d_in[k])
            mbi_straight_add(a->d_in[k], a->d_out, &c, 0, n_values(a));
}

const struct mbi_op_grad mbi_grad_add = {
    .forward = add_forward,
    .backward = add_backward,
};

const struct mbi_op_grad mbi_grad_addsat = {
    .forward = add_forward,
    .backward = addsat_backward,
};

/* ---- mul: y_i = a_i b_(i / group) ---- */

/* y = a b; y += a b, element by element or with one factor. */
MBI_CLONES static void product(float *MBI_RESTRICT y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

MBI_CLONES static void product_add(float *MBI_RESTRICT y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a[i] * b[i];
}

MBI_CLONES static void scaled_add(float *MBI_RESTRICT y, const float *a, float b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a[i] * b;
}

static void mul_forward(const struct mbi_grad_args *a)
{
    const struct mbi_mul_attr *at = a->attr;
    const size_t n = a->out_type->cols, group = (size_t)at->group;

    for (size_t t = 0; t < a->lanes; t++) {
        const float *x = a->in[0] + t * n, *b = a->in[1] + second_row(a, t);
        float *y = a->out + t * n;

        if (group == 1)
            product(y, x, b, n);
        else
            for (size_t g = 0; g * group < n; g++)
                mbi_scale(y + g * group, x + g * group, b[g], group);
    }
}

static void mul_backward(const struct mbi_grad_args *a)
{
    const struct mbi_mul_attr *at = a->attr;
    const size_t n = a->out_type->cols, group = (size_t)at->group;

    for (size_t t = 0; t < a->lanes; t++) {
        const float *x = a->in[0] + t * n, *b = a->in[1] + second_row(a, t), *d = a->d_out + t * n;
        float *dx = a->d_in[0] ? a->d_in[0] + t * n : NULL;
        float *db = a->d_in[1] ? a->d_in[1] + second_row(a, t) : NULL;

        if (group == 1) {
            if (dx)
                product_add(dx, d, b, n);
            if (db)
                product_add(db, d, x, n);
            continue;
        }
        for (size_t g = 0, i = 0; i < n; g++, i += group) {
            if (dx)
                scaled_add(dx + i, d + i, b[g], group);
            if (db)
                db[g] += mbi_dot(d + i, x + i, group);
        }
    }
}

const struct mbi_op_grad mbi_grad_mul = {
    .needs_in = 3,
    .forward = mul_forward,
    .backward = mul_backward,
};

/* ---- slice, concat ---- */

static void slice_forward(const struct mbi_grad_args *a)
{
    const struct mbi_slice_attr *at = a->attr;
    const size_t n = a->in_type[0]->cols, count = a->out_type->cols;

    for (size_t t = 0; t < a->lanes; t++)
        memcpy(a->out + t * count, a->in[0] + t * n + at->offset, count * sizeof(*a->out));
}

static void slice_backward(const struct mbi_grad_args *a)
{
    const struct mbi_slice_attr *at = a->attr;
    const size_t n = a->in_type[0]->cols, count = a->out_type->cols;

    if (!a->d_in[0])
        return;
    for (size_t t = 0; t < a->lanes; t++)
        mbi_add_to(a->d_in[0] + t * n + at->offset, a->d_out + t * count, count);
}

const struct mbi_op_grad mbi_grad_slice = {
    .forward = slice_forward,
    .backward = slice_backward,
};

static void concat_forward(const struct mbi_grad_args *a)
{
    const size_t na = a->in_type[0]->cols, nb = a->in_type[1]->cols;

    for (size_t t = 0; t < a->lanes; t++) {
        memcpy(a->out + t * (na + nb), a->in[0] + t * na, na * sizeof(*a->out));
        memcpy(a->out + t * (na + nb) + na, a->in[1] + t * nb, nb * sizeof(*a->out));
    }
}

static void concat_backward(const struct mbi_grad_args *a)
{
    const size_t na = a->in_type[0]->cols, nb = a->in_type[1]->cols;

    for (size_t t = 0; t < a->lanes; t++) {
        if (a->d_in[0])
            mbi_add_to(a->d_in[0] + t * na, a->d_out + t * (na + nb), na);
        if (a->d_in[1])
            mbi_add_to(a->d_in[1] + t * nb, a->d_out + t * (na + nb) + na, nb);
    }
}

const struct mbi_op_grad mbi_grad_concat = {
    .forward = concat_forward,
    .backward = concat_backward,
};

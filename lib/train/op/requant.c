/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the three roundings. In real numbers they change nothing: exponents and scales
 * belong to the real weights already. Clamps are those of number formats and vanish in the float
 * twin, but a clamp from 0 on is a ReLU and stays.
 */
#include "train/op/op_grad.h"
#include "train/op/straight.h"
#include "train/vector.h"

MBI_CLONES static void relu(float *MBI_RESTRICT y, const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

MBI_CLONES static void relu_back(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                 const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += x[i] > 0 ? d[i] : 0;
}

static void forward(const struct mbi_grad_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const size_t n = a->lanes * a->out_type->cols;

    if (q->lo == 0)
        relu(a->out, a->in[0], n);
    else
        memcpy(a->out, a->in[0], n * sizeof(*a->out));
}

/* The whole of int32 is no clamp. */
static void backward(const struct mbi_grad_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const struct mbi_clamped c = {a->out_int, a->out_type->dtype, q->lo, q->hi};
    const size_t n = a->lanes * a->out_type->cols;

    if (!a->d_in[0])
        return;
    if (a->integers && (q->lo != INT32_MIN || q->hi != INT32_MAX))
        mbi_straight_add(a->d_in[0], a->d_out, &c, 0, n);
    else if (!a->integers && q->lo == 0)
        relu_back(a->d_in[0], a->d_out, a->in[0], n);
    else
        mbi_add_to(a->d_in[0], a->d_out, n);
}

const struct mbi_op_grad mbi_grad_requant = {.forward = forward, .backward = backward};
const struct mbi_op_grad mbi_grad_requant_rows = {.forward = forward, .backward = backward};
const struct mbi_op_grad mbi_grad_requant_mul = {.forward = forward, .backward = backward};

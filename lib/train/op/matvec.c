/* SPDX-License-Identifier: Apache-2.0 */
/* Training facet of the projections: one matrix product each way. */
#include "train/linalg.h"
#include "train/op/op_grad.h"

/* Y = X W^T. */
static void forward(const struct mbi_grad_args *a)
{
    const size_t rows = a->in_type[1]->rows, cols = a->in_type[1]->cols;

    mbi_sgemm(a->linalg, false, true, a->lanes, rows, cols, 1, a->in[0], cols, a->in[1], cols, 0,
              a->out, rows);
}

/* dX += dY W,  dW += dY^T X. */
static void backward(const struct mbi_grad_args *a)
{
    const size_t rows = a->in_type[1]->rows, cols = a->in_type[1]->cols;

    if (a->d_in[0])
        mbi_sgemm(a->linalg, false, false, a->lanes, cols, rows, 1, a->d_out, rows, a->in[1], cols,
                  1, a->d_in[0], cols);
    if (a->d_in[1])
        mbi_sgemm(a->linalg, true, false, rows, cols, a->lanes, 1, a->d_out, rows, a->in[0], cols,
                  1, a->d_in[1], cols);
}

const struct mbi_op_grad mbi_grad_matvec = {
    .needs_in = 3,
    .forward = forward,
    .backward = backward,
};

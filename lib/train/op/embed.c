/* SPDX-License-Identifier: Apache-2.0 */
/* Training facet of both ends of a model: the row of a token, the token of the largest logit. */
#include "train/op/op_grad.h"
#include "train/vector.h"

/* ---- embed ---- */

static void embed_forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;
    const int32_t *id = a->in_int[0];

    for (size_t t = 0; t < a->lanes; t++)
        memcpy(a->out + t * n, a->in[1] + (size_t)id[t] * n, n * sizeof(*a->out));
}

static void embed_backward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;
    const int32_t *id = a->in_int[0];

    if (!a->d_in[1])
        return;
    for (size_t t = 0; t < a->lanes; t++)
        mbi_add_to(a->d_in[1] + (size_t)id[t] * n, a->d_out + t * n, n);
}

const struct mbi_op_grad mbi_grad_embed = {
    .forward = embed_forward,
    .backward = embed_backward,
};

/* ---- argmax ---- */

static void argmax_forward(const struct mbi_grad_args *a)
{
    const size_t n = a->in_type[0]->cols;

    for (size_t t = 0; t < a->lanes; t++) {
        const float *x = a->in[0] + t * n;
        size_t best = 0;

        for (size_t i = 1; i < n; i++)
            if (x[i] > x[best])
                best = i;
        a->out[t] = (float)best;
    }
}

/* A choice has no slope: nothing is added. */
static void argmax_backward(const struct mbi_grad_args *a) { (void)a; }

const struct mbi_op_grad mbi_grad_argmax = {
    .no_grad = true,
    .forward = argmax_forward,
    .backward = argmax_backward,
};

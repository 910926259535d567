/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the decay exponent: l = 2^v, v = dt + bias clamped to [-11, 3], in integers and
 * in the float twin alike: the clamp bounds the memory and is part of the model. dl/dv = l ln 2.
 */
#include "train/op/op_grad.h"
#include "train/vector.h"
#include <math.h>

#define V_MIN ((float)MBI_DECAY_V_MIN / 256)
#define V_MAX ((float)MBI_DECAY_V_MAX / 256)

static bool held(const struct mbi_grad_args *a, float v)
{
    return ((const struct mbi_decay_attr *)a->attr)->hold && v <= V_MIN;
}

static void forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    for (size_t i = 0; i < a->lanes * n; i++) {
        const float v = a->in[0][i] + a->in[1][i % n];

        a->out[i] = held(a, v) ? 0 : exp2f(fminf(fmaxf(v, V_MIN), V_MAX));
    }
}

static void backward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    for (size_t i = 0; i < a->lanes * n; i++) {
        const float v = a->in[0][i] + a->in[1][i % n];
        const float d = a->d_out[i] * MBI_LN2 * exp2f(v);

        if (v < V_MIN || v > V_MAX || held(a, v))
            continue;
        if (a->d_in[0])
            a->d_in[0][i] += d;
        if (a->d_in[1])
            a->d_in[1][i % n] += d;
    }
}

const struct mbi_op_grad mbi_grad_decay = {
    .needs_in = 3,
    .forward = forward,
    .backward = backward,
};

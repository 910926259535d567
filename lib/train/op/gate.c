/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the gates. The float twin of hard and algebraic is SiLU, x sigmoid(x), which
 * they approximate; squareplus is itself. In integers each has its own derivative, exact away from
 * the two corners of hard.
 */
#include "train/op/op_grad.h"
#include "train/vector.h"
#include <math.h>

#define LOG2_E 1.44269504f

static inline float sigmoid(float x)
{
    const float y = x > 60 ? 60 : x;

    return 1 / (1 + mbi_exp2_fast((y < -60 ? -60 : y) * -LOG2_E));
}

MBI_CLONES static void silu(float *MBI_RESTRICT y, const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * sigmoid(x[i]);
}

MBI_CLONES static void silu_back(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                 const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float s = sigmoid(x[i]);

        dx[i] += d[i] * s * (1 + x[i] * (1 - s));
    }
}

MBI_CLONES static void squareplus(float *MBI_RESTRICT y, const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 0.5f * (x[i] + sqrtf(x[i] * x[i] + 4));
}

static inline float squareplus_slope(float x) { return 0.5f + 0.5f * x / sqrtf(x * x + 4); }

MBI_CLONES static void squareplus_back(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                       const float *MBI_RESTRICT x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += d[i] * squareplus_slope(x[i]);
}

/* The three from the integer input, Q8. */
MBI_CLONES static void squareplus_back_int(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                           const int16_t *MBI_RESTRICT q, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += d[i] * squareplus_slope((float)q[i] * (1.0f / 256));
}

/* x (x + 2) / 4 inside [-2, 2]; 0 below, x above. */
MBI_CLONES static void hard_back_int(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                     const int16_t *MBI_RESTRICT q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float inside = (float)q[i] * (1.0f / 512) + 0.5f;

        dx[i] += d[i] * (q[i] <= -512 ? 0 : q[i] >= 512 ? 1 : inside);
    }
}

/* y = x / 2 + x |x| / (2 (1 + |x|)); with r = 1 / (1 + |x|) the slope is 1/2 + x (r + r^2) / 2. */
MBI_CLONES static void algebraic_back_int(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                                          const int16_t *MBI_RESTRICT q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float x = (float)q[i] * (1.0f / 256);
        const float r = 1 / (1 + fabsf(x));

        dx[i] += d[i] * (0.5f + 0.5f * x * (r + r * r));
    }
}

static int32_t kind_of(const struct mbi_grad_args *a)
{
    return ((const struct mbi_gate_attr *)a->attr)->kind;
}

static void forward(const struct mbi_grad_args *a)
{
    const size_t n = a->lanes * a->out_type->cols;

    if (kind_of(a) == MBI_GATE_SQUAREPLUS)
        squareplus(a->out, a->in[0], n);
    else
        silu(a->out, a->in[0], n);
}

static void backward(const struct mbi_grad_args *a)
{
    const size_t n = a->lanes * a->out_type->cols;
    const int32_t kind = kind_of(a);

    if (!a->d_in[0])
        return;
    if (!a->integers)
        (kind == MBI_GATE_SQUAREPLUS ? squareplus_back : silu_back)(a->d_in[0], a->d_out, a->in[0],
                                                                    n);
    else
        (kind == MBI_GATE_HARD        ? hard_back_int
         : kind == MBI_GATE_ALGEBRAIC ? algebraic_back_int
                                      : squareplus_back_int)(a->d_in[0], a->d_out, a->in_int[0], n);
}

const struct mbi_op_grad mbi_grad_gate = {
    .forward = forward,
    .backward = backward,
};

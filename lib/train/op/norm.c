/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the norms. The float twin of both is RMS norm, y = x / sqrt(mean x^2 + eps).
 *
 * norm_shift in integers multiplies by the power of two s nearest to 1 / rms. Its derivative as it
 * stands would be s I, blind to the division. We write y = (x / rms) (s rms), hold the second
 * factor (between sqrt(1/2) and sqrt 2) and differentiate the first: the Jacobian of RMS norm with
 * s in the place of 1 / rms. s is found again from the real input; that differs from the integer
 * kernel only where rms is within its rounding of the border between two powers.
 */
#include "train/op/op_grad.h"
#include "train/op/straight.h"
#include "train/vector.h"
#include <math.h>

#define EPS 1e-6f

MBI_CLONES static void combine(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,
                               const float *MBI_RESTRICT x, float s, float along, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += s * d[i] - along * x[i];
}

/* 2^-k for the smallest k with ms < 2^(2k+1): ms is below 2^e and not below 2^(e-1). */
static float power_of_two_scale(float ms)
{
    int e;

    frexpf(ms, &e);
    return ldexpf(1, -(e >= 0 ? e / 2 : -((1 - e) / 2)));
}

static size_t group_size(const struct mbi_grad_args *a)
{
    return a->out_type->cols / (size_t)((const struct mbi_norm_attr *)a->attr)->groups;
}

static void forward(const struct mbi_grad_args *a)
{
    const size_t d = group_size(a), n = a->lanes * a->out_type->cols;

    for (size_t i = 0; i < n; i += d) {
        const float ms = mbi_dot(a->in[0] + i, a->in[0] + i, d) / (float)d + EPS;

        mbi_scale(a->out + i, a->in[0] + i, 1 / sqrtf(ms), d);
    }
}

/* dx = s (dy - x mean(dy x) / ms). */
static void backward(const struct mbi_grad_args *a, bool shift)
{
    const struct mbi_norm_attr *at = a->attr;
    const struct mbi_clamped c = {a->out_int, a->out_type->dtype,
                                  (int32_t)mbi_sat(INT64_MIN, at->bits),
                                  (int32_t)mbi_sat(INT64_MAX, at->bits)};
    const size_t d = group_size(a), n = a->lanes * a->out_type->cols;

    if (!a->d_in[0])
        return;
    for (size_t i = 0; i < n; i += d) {
        const float *x = a->in[0] + i, *dy = a->d_out + i;
        const float ms = mbi_dot(x, x, d) / (float)d + EPS;
        const float s = shift ? power_of_two_scale(ms) : 1 / sqrtf(ms);

        if (a->integers) {
            mbi_straight_copy(a->scratch, dy, &c, i, d);
            dy = a->scratch;
        }
        combine(a->d_in[0] + i, dy, x, s, s * mbi_dot(dy, x, d) / (float)d / ms, d);
    }
}

static void backward_rms(const struct mbi_grad_args *a) { backward(a, false); }
static void backward_shift(const struct mbi_grad_args *a) { backward(a, a->integers); }

static size_t scratch(const struct mbi_grad_args *a)
{
    return a->integers ? group_size(a) * sizeof(float) : 0;
}

const struct mbi_op_grad mbi_grad_norm_rms = {
    .needs_in = 1,
    .forward = forward,
    .backward = backward_rms,
    .scratch = scratch,
};

const struct mbi_op_grad mbi_grad_norm_shift = {
    .needs_in = 1,
    .forward = forward,
    .backward = backward_shift,
    .scratch = scratch,
};

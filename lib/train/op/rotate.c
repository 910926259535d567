/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the rotation. Angles are in turns: p = 1 is a quarter turn. The float twin's
 * running angle does not wrap; nothing else in it depends on that.
 */
#include "train/op/op_grad.h"
#include "train/op/straight.h"
#include "train/vector.h"
#include <math.h>

#define TWO_PI 6.28318531f

/* ---- turn: phi_t = sum of p_s / 4, s <= t ---- */

static void turn_forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    for (size_t t = 0; t < a->lanes; t++)
        for (size_t k = 0; k < n; k++)
            a->out[t * n + k] =
                0.25f * a->in[0][t * n + k] + (t % a->tokens ? a->out[(t - 1) * n + k] : 0);
}

static void turn_backward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    if (!a->d_in[0])
        return;
    for (size_t s = 0; s < a->streams; s++)
        for (size_t k = 0; k < n; k++) {
            float sum = 0;

            for (size_t t = (s + 1) * a->tokens; t-- > s * a->tokens;) {
                sum += a->d_out[t * n + k];
                a->d_in[0][t * n + k] += 0.25f * sum;
            }
        }
}

const struct mbi_op_grad mbi_grad_turn = {
    .forward = turn_forward,
    .backward = turn_backward,
};

/* ---- rotate: x' = x cos - y sin, y' = x sin + y cos ---- */

static void cos_sin(float *c, float *s, float turns)
{
    const float angle = TWO_PI * (turns - floorf(turns));

    *c = cosf(angle);
    *s = sinf(angle);
}

static void rotate_forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols, pairs = a->in_type[1]->cols;

    memcpy(a->out, a->in[0], a->lanes * n * sizeof(*a->out));
    for (size_t t = 0; t < a->lanes; t++)
        for (size_t k = 0; k < pairs; k++) {
            float c, s;

            cos_sin(&c, &s, a->in[1][t * pairs + k]);
            for (size_t i = t * n + 2 * k; i < (t + 1) * n; i += n / 2) {
                const float x = a->in[0][i], y = a->in[0][i + 1];

                a->out[i] = c * x - s * y;
                a->out[i + 1] = s * x + c * y;
            }
        }
}

/* One pair: gradient of the pair to dxy, result: gradient of the angle in turns. */
static float pair_back(float *dxy, const float *xy, const float *d, float c, float s)
{
    if (dxy) {
        dxy[0] += c * d[0] + s * d[1];
        dxy[1] += c * d[1] - s * d[0];
    }
    return TWO_PI * (d[1] * (c * xy[0] - s * xy[1]) - d[0] * (s * xy[0] + c * xy[1]));
}

static void lane_back(const struct mbi_grad_args *a, const float *d, size_t t)
{
    const size_t n = a->out_type->cols, pairs = a->in_type[1]->cols;
    float *dbc = a->d_in[0] ? a->d_in[0] + t * n : NULL;
    const float *bc = a->in[0] + t * n;

    for (size_t k = 0; k < pairs; k++) {
        float c, s, sum = 0;

        cos_sin(&c, &s, a->in[1][t * pairs + k]);
        for (size_t i = 2 * k; i < n; i += n / 2)
            sum += pair_back(dbc ? dbc + i : NULL, bc + i, d + i, c, s);
        if (a->d_in[1])
            a->d_in[1][t * pairs + k] += sum;
    }
    if (!dbc)
        return;
    for (size_t half = 0; half < n; half += n / 2)
        mbi_add_to(dbc + half + 2 * pairs, d + half + 2 * pairs, n / 2 - 2 * pairs);
}

/* The integer result is clamped to 8 bits. What is not rotated passed no clamp here. */
static void rotate_backward(const struct mbi_grad_args *a)
{
    const struct mbi_clamped clamp = {a->out_int, a->out_type->dtype, INT8_MIN, INT8_MAX};
    const size_t n = a->out_type->cols, rotated = 2 * (size_t)a->in_type[1]->cols;
    float *masked = a->scratch;

    for (size_t t = 0; t < a->lanes; t++) {
        const float *d = a->d_out + t * n;

        if (a->integers) {
            memcpy(masked, d, n * sizeof(*d));
            for (size_t half = 0; half < n; half += n / 2)
                mbi_straight_copy(masked + half, d + half, &clamp, t * n + half, rotated);
            d = masked;
        }
        lane_back(a, d, t);
    }
}

static size_t rotate_scratch(const struct mbi_grad_args *a)
{
    return a->integers ? a->out_type->cols * sizeof(float) : 0;
}

const struct mbi_op_grad mbi_grad_rotate = {
    .needs_in = 3,
    .forward = rotate_forward,
    .backward = rotate_backward,
    .scratch = rotate_scratch,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the causal convolution: u_t = bias + sum_j w_j p_(t-3+j), zero before the
 * first token of a stream. Taps are turned to [tap][channel]: every loop runs over channels.
 */
#include "train/op/op_grad.h"
#include "train/op/straight.h"
#include "train/vector.h"

#define TAPS 4

struct work {
    float *w[TAPS], *dw[TAPS]; /* [tap][channel] */
    float *zero;               /* a row before the first token, or after the last */
    float *ring[TAPS];         /* gradients of the outputs t .. t+3, by t mod 4 */
};

static size_t lay_out(struct work *k, const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;
    struct mbi_carve c = {a->scratch, 0};

    for (size_t j = 0; j < TAPS; j++) {
        k->w[j] = mbi_carve(&c, n);
        k->dw[j] = mbi_carve(&c, n);
        k->ring[j] = mbi_carve(&c, n);
    }
    k->zero = mbi_carve(&c, n);
    return c.used * sizeof(float);
}

static size_t scratch(const struct mbi_grad_args *a)
{
    struct mbi_grad_args count = *a;
    struct work k;

    count.scratch = NULL;
    return lay_out(&k, &count);
}

static void begin(struct work *k, const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;

    lay_out(k, a);
    memset(k->zero, 0, n * sizeof(float));
    for (size_t j = 0; j < TAPS; j++) {
        memset(k->dw[j], 0, n * sizeof(float));
        for (size_t c = 0; c < n; c++)
            k->w[j][c] = a->in[1][c * TAPS + j];
    }
}

/* The four inputs that output t of a stream saw. `p` is the stream's first row. */
static void inputs_of(const float *row[TAPS], const struct work *k, const float *p, size_t t,
                      size_t n)
{
    for (size_t j = 0; j < TAPS; j++)
        row[j] = t + j >= TAPS - 1 ? p + (t + j - (TAPS - 1)) * n : k->zero;
}

MBI_CLONES static void weigh(float *MBI_RESTRICT y, const float *MBI_RESTRICT bias,
                             const float *const row[TAPS], float *const w[TAPS], size_t n)
{
    const float *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];

    for (size_t c = 0; c < n; c++)
        y[c] = bias[c] + w0[c] * r0[c] + w1[c] * r1[c] + w2[c] * r2[c] + w3[c] * r3[c];
}

/* No two of these rows overlap. */
MBI_CLONES static void gather_taps(float *const dw[TAPS], const float *d,
                                   const float *const row[TAPS], size_t n)
{
    const float *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    float *w0 = dw[0], *w1 = dw[1], *w2 = dw[2], *w3 = dw[3];

#pragma omp simd
    for (size_t c = 0; c < n; c++) {
        w0[c] += d[c] * r0[c];
        w1[c] += d[c] * r1[c];
        w2[c] += d[c] * r2[c];
        w3[c] += d[c] * r3[c];
    }
}

MBI_CLONES static void weigh_add(float *MBI_RESTRICT dp, const float *const row[TAPS],
                                 float *const w[TAPS], size_t n)
{
    const float *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];

    for (size_t c = 0; c < n; c++)
        dp[c] += w0[c] * r0[c] + w1[c] * r1[c] + w2[c] * r2[c] + w3[c] * r3[c];
}

static void forward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;
    const float *row[TAPS];
    struct work k;

    begin(&k, a);
    for (size_t s = 0; s < a->streams; s++)
        for (size_t t = 0; t < a->tokens; t++) {
            inputs_of(row, &k, a->in[0] + s * a->tokens * n, t, n);
            weigh(a->out + (s * a->tokens + t) * n, a->in[3], row, k.w, n);
        }
}

/* Backwards over time: dp_t = sum_j w_j d_(t+3-j), from the ring of the last four d. */
static void stream_back(const struct work *k, const struct mbi_grad_args *a, size_t s)
{
    const struct mbi_clamped sat = {a->out_int, a->out_type->dtype, INT16_MIN, INT16_MAX};
    const size_t n = a->out_type->cols, first = s * a->tokens;
    const float *row[TAPS], *later[TAPS];

    for (size_t t = a->tokens; t-- > 0;) {
        const float *d = a->d_out + (first + t) * n;

        if (a->integers) {
            mbi_straight_copy(k->ring[t % TAPS], d, &sat, (first + t) * n, n);
            d = k->ring[t % TAPS];
        }
        if (a->d_in[3])
            mbi_add_to(a->d_in[3], d, n);
        inputs_of(row, k, a->in[0] + first * n, t, n);
        gather_taps(k->dw, d, row, n);
        for (size_t j = 0; j < TAPS; j++) {
            const size_t u = t + TAPS - 1 - j;

            later[j] = u >= a->tokens ? k->zero
                       : a->integers  ? k->ring[u % TAPS]
                                      : a->d_out + (first + u) * n;
        }
        if (a->d_in[0])
            weigh_add(a->d_in[0] + (first + t) * n, later, k->w, n);
    }
}

static void backward(const struct mbi_grad_args *a)
{
    const size_t n = a->out_type->cols;
    struct work k;

    begin(&k, a);
    for (size_t s = 0; s < a->streams; s++)
        stream_back(&k, a, s);
    if (a->d_in[1])
        for (size_t c = 0; c < n; c++)
            for (size_t j = 0; j < TAPS; j++)
                a->d_in[1][c * TAPS + j] += k.dw[j][c];
}

const struct mbi_op_grad mbi_grad_conv = {
    .needs_in = 3,
    .forward = forward,
    .backward = backward,
    .scratch = scratch,
};

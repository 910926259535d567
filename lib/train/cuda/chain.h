/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradients of values as sums of products. An operation that works element by element multiplies
 * its gradient by a factor that the forward pass left behind, and a value that is read several
 * times gets a sum. So such gradients are not stored: a chain says how an element is made from
 * gradients that are, and whoever needs it makes it in passing.
 *
 *   d[lane][col] = product of the factors of its own stages *
 *                  sum over terms t with col in [begin, end) of
 *                  t.d[lane][col + t.shift] * product of the factors of t's stages
 *
 * Types and kinds are known only when a kernel runs, so it makes elements of several lanes at a
 * time: what it asks about a term and a stage it asks once for all of them.
 */
#ifndef MBI_TRAIN_CUDA_CHAIN_H
#define MBI_TRAIN_CUDA_CHAIN_H

#include "train/cuda/math.h"

#define MBI_CHAIN_TERMS 5
#define MBI_CHAIN_ROWS 4   /* lanes at a time, where there are many */
#define MBI_CHAIN_STAGES 7 /* the last is for who evaluates: a clamp of its own result */

enum mbi_stage_kind {
    MBI_STAGE_INSIDE, /* 1 strictly inside [lo, hi], where the clamp passes; else 0 */
    MBI_STAGE_VALUE,  /* the integer times unit */
    MBI_STAGE_REAL,   /* the float */
    MBI_STAGE_GATE,   /* the slope of gate `lo` at the integer */
    MBI_STAGE_DECAY   /* ln 2 2^v inside the clamp, v = integer times unit + bias */
};

/* Element col of the factor's row is element (col + shift) / group of q. */
struct mbi_stage {
    const void *q;
    const float *bias; /* MBI_STAGE_DECAY alone: by column */
    int32_t kind, dtype;
    int32_t lo, hi; /* MBI_STAGE_DECAY: lo = hold */
    int32_t shift;
    uint32_t cols; /* of a row of q; 0: one row for all lanes */
    uint32_t group;
    float unit;
};

struct mbi_term {
    const void *d; /* NULL: the gradient of the loss by the logits */
    bool narrow;   /* d is of operands, else of floats */
    uint32_t cols;
    int32_t shift;
    uint32_t begin, end;
    uint32_t n_stages;
    struct mbi_stage stage[MBI_CHAIN_STAGES];
};

/* Softmax of a lane as the loss left it: p = part 2^((x - most) log2 e), minus `whole` at the
 * target. A lane that does not count has part = 0 and target -1. */
struct mbi_softmax {
    float most, part, whole;
    int32_t target;
};

struct mbi_chain {
    uint32_t lanes, cols; /* of the result */
    uint32_t n_terms, n_stages;
    const void *logits; /* where a term is the loss */
    const struct mbi_softmax *softmax;
    int32_t logits_dtype;
    float logits_unit;
    struct mbi_stage stage[MBI_CHAIN_STAGES];
    struct mbi_term term[MBI_CHAIN_TERMS];
};

static __device__ __forceinline__ float mbi_gate_slope(int32_t kind, int32_t q)
{
    const float x = (float)q * (1.0f / 256);

    if (kind == MBI_GATE_HARD)
        return q <= -512 ? 0.0f : q >= 512 ? 1.0f : x * 0.5f + 0.5f;
    if (kind == MBI_GATE_ALGEBRAIC) {
        const float r = 1 / (1 + fabsf(x));

        return 0.5f + 0.5f * x * (r + r * r);
    }
    return 0.5f + 0.5f * x / sqrtf(x * x + 4);
}

static __device__ __forceinline__ float mbi_decay_slope(float v, bool hold)
{
    const float lo = (float)MBI_DECAY_V_MIN / 256, hi = (float)MBI_DECAY_V_MAX / 256;

    return v < lo || v > hi || (hold && v <= lo) ? 0.0f : MBI_LN2F * exp2f(v);
}

/* A factor that is not element by element: a parameter, or one of a group of columns. */
template <int W, int R>
static __device__ __forceinline__ void mbi_group_times(float v[R][W], const struct mbi_stage &s,
                                                       const uint32_t lane[R], uint32_t c)
{
    uint32_t at[W];

    for (int k = 0; k < W; k++)
        at[k] = (c + (uint32_t)k) / s.group;
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        for (int k = 0; k < W; k++) {
            const size_t i = (size_t)lane[r] * s.cols + at[k];

            v[r][k] *= s.kind == MBI_STAGE_REAL ? ((const float *)s.q)[i]
                                                : s.unit * mbi_real_at(s.q, s.dtype, i);
        }
}

template <int W, int R>
static __device__ __forceinline__ void mbi_stage_times(float v[R][W], const struct mbi_stage &s,
                                                       const uint32_t lane[R], uint32_t col)
{
    const uint32_t c = (uint32_t)((int32_t)col + s.shift);
    size_t at[R];
    int32_t q[R][W];

    if (s.kind == MBI_STAGE_REAL || s.group != 1) {
        mbi_group_times<W, R>(v, s, lane, c);
        return;
    }
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        at[r] = (size_t)lane[r] * s.cols + c;
    if (s.kind == MBI_STAGE_VALUE) {
        float x[R][W];

        mbi_reals_rows<W, R>(x, s.q, s.dtype, at);
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++)
                v[r][k] *= s.unit * x[r][k];
        return;
    }
    mbi_ints_rows<W, R>(q, s.q, s.dtype, at);
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        for (int k = 0; k < W; k++)
            if (s.kind == MBI_STAGE_INSIDE)
                v[r][k] = q[r][k] != s.lo && q[r][k] != s.hi ? v[r][k] : 0.0f;
            else if (s.kind == MBI_STAGE_GATE)
                v[r][k] *= mbi_gate_slope(s.lo, q[r][k]);
            else
                v[r][k] *=
                    mbi_decay_slope((float)q[r][k] * s.unit + s.bias[c + (uint32_t)k], s.lo != 0);
}

template <int W, int R>
static __device__ __forceinline__ void mbi_loss_slope(float v[R][W], const struct mbi_chain &c,
                                                      const size_t at[R], const uint32_t lane[R],
                                                      uint32_t col)
{
    mbi_reals_rows<W, R>(v, c.logits, c.logits_dtype, at);
    MBI_UNROLL
    for (int r = 0; r < R; r++) {
        const struct mbi_softmax s = c.softmax[lane[r]];

        for (int k = 0; k < W; k++) {
            v[r][k] = s.part * exp2f((v[r][k] * c.logits_unit - s.most) * MBI_LOG2E);
            if ((int32_t)col + k == s.target)
                v[r][k] -= s.whole;
        }
    }
}

/* W elements of each lane from column col on, a multiple of W. */
template <int W, int R>
static __device__ __forceinline__ void mbi_chain_eval(float out[R][W], const struct mbi_chain &c,
                                                      const uint32_t lane[R], uint32_t col)
{
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        for (int k = 0; k < W; k++)
            out[r][k] = 0;
    for (uint32_t t = 0; t < c.n_terms; t++) {
        const struct mbi_term &term = c.term[t];
        const uint32_t from = (uint32_t)((int32_t)col + term.shift);
        size_t at[R];
        float v[R][W];

        if (col < term.begin || col >= term.end)
            continue;
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            at[r] = (size_t)lane[r] * term.cols + from;
        if (!term.d) {
            mbi_loss_slope<W, R>(v, c, at, lane, from);
        } else if (term.narrow) {
            MBI_UNROLL
            for (int r = 0; r < R; r++)
                mbi_load<W>(v[r], (const mbi_operand *)term.d + at[r]);
        } else {
            MBI_UNROLL
            for (int r = 0; r < R; r++)
                mbi_load<W>(v[r], (const float *)term.d + at[r]);
        }
        for (uint32_t i = 0; i < term.n_stages; i++)
            mbi_stage_times<W, R>(v, term.stage[i], lane, col);
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++)
                out[r][k] += v[r][k];
    }
    for (uint32_t i = 0; i < c.n_stages; i++)
        mbi_stage_times<W, R>(out, c.stage[i], lane, col);
}

/* The lanes [first, first + R step) that there are, and again the last where there are none. */
template <int R>
static __device__ __forceinline__ void mbi_chain_lanes(uint32_t lane[R], uint32_t first,
                                                       uint32_t step, uint32_t lanes)
{
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        lane[r] = first + (uint32_t)r * step < lanes ? first + (uint32_t)r * step : lanes - 1;
}

/* Whether elements can be made four at a time: every row starts at a multiple of four elements. */
bool mbi_chain_wide(const struct mbi_chain *c);

/* One more factor for all of it; there is always room for one that was not there before. */
void mbi_chain_times(struct mbi_chain *c, const struct mbi_stage *s);

/* Factors that every term has become the chain's own. */
void mbi_chain_gather(struct mbi_chain *c);

/* dst[lane][col] = d. */
cudaError_t mbi_chain_store(const struct mbi_chain *c, float *dst, cudaStream_t stream);
cudaError_t mbi_chain_operand(const struct mbi_chain *c, mbi_operand *dst, cudaStream_t stream);

/*
 * dst[g] = sum over lanes and over the columns [g group, (g + 1) group) of d, or += that. `partial`
 * holds mbi_chain_partials(c) floats.
 */
size_t mbi_chain_partials(const struct mbi_chain *c);
cudaError_t mbi_chain_columns(const struct mbi_chain *c, float *dst, uint32_t group, bool add,
                              float *partial, cudaStream_t stream);

/* dst[lane][g] = the same sum within a lane. */
cudaError_t mbi_chain_groups(const struct mbi_chain *c, float *dst, uint32_t group,
                             cudaStream_t stream);

#endif

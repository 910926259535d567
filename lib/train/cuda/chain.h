/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradients of values as sums of products. An operation that works element by element multiplies
 * its gradient by a factor that the forward pass left behind, and a value that is read several
 * times gets a sum. So such gradients are not stored: a chain says how an element is made from
 * gradients that are, and whoever needs it makes it in passing.
 *
 *   d[lane][col] = sum over terms t with col in [begin, end) of
 *                  t.d[lane][col + t.shift] * product of the factors of t's stages
 */
#ifndef MBI_TRAIN_CUDA_CHAIN_H
#define MBI_TRAIN_CUDA_CHAIN_H

#include "train/cuda/math.h"

#define MBI_CHAIN_TERMS 5
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
    const float *d; /* NULL: the gradient of the loss by the logits */
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
    uint32_t n_terms;
    const void *logits; /* where a term is the loss */
    const struct mbi_softmax *softmax;
    int32_t logits_dtype;
    float logits_unit;
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

template <int W>
static __device__ __forceinline__ void mbi_stage_times(float v[W], const struct mbi_stage &s,
                                                       uint32_t lane, uint32_t col)
{
    const uint32_t c = (uint32_t)((int32_t)col + s.shift);
    const size_t row = (size_t)lane * s.cols;

    if (s.kind == MBI_STAGE_REAL) {
        for (int k = 0; k < W; k++)
            v[k] *= ((const float *)s.q)[row + (c + (uint32_t)k) / s.group];
        return;
    }
    if (s.kind == MBI_STAGE_VALUE) {
        float x[W];

        if (s.group == 1)
            mbi_reals_at<W>(x, s.q, s.dtype, row + c);
        for (int k = 0; k < W; k++)
            v[k] *= s.unit * (s.group == 1
                                  ? x[k]
                                  : mbi_real_at(s.q, s.dtype, row + (c + (uint32_t)k) / s.group));
        return;
    }
    int32_t q[W];

    mbi_ints_at<W>(q, s.q, s.dtype, row + c);
    for (int k = 0; k < W; k++)
        if (s.kind == MBI_STAGE_INSIDE)
            v[k] = q[k] != s.lo && q[k] != s.hi ? v[k] : 0.0f;
        else if (s.kind == MBI_STAGE_GATE)
            v[k] *= mbi_gate_slope(s.lo, q[k]);
        else
            v[k] *= mbi_decay_slope((float)q[k] * s.unit + s.bias[c + (uint32_t)k], s.lo != 0);
}

template <int W>
static __device__ __forceinline__ void mbi_loss_slope(float v[W], const struct mbi_chain &c,
                                                      uint32_t lane, uint32_t col, uint32_t cols)
{
    const struct mbi_softmax s = c.softmax[lane];

    mbi_reals_at<W>(v, c.logits, c.logits_dtype, (size_t)lane * cols + col);
    for (int k = 0; k < W; k++) {
        v[k] = s.part * exp2f((v[k] * c.logits_unit - s.most) * MBI_LOG2E);
        if ((int32_t)col + k == s.target)
            v[k] -= s.whole;
    }
}

/* W elements from column col on, a multiple of W. */
template <int W>
static __device__ __forceinline__ void mbi_chain_eval(float out[W], const struct mbi_chain &c,
                                                      uint32_t lane, uint32_t col)
{
    for (int k = 0; k < W; k++)
        out[k] = 0;
    for (uint32_t t = 0; t < c.n_terms; t++) {
        const struct mbi_term &term = c.term[t];
        const uint32_t at = (uint32_t)((int32_t)col + term.shift);
        float v[W];

        if (col < term.begin || col >= term.end)
            continue;
        if (!term.d) {
            mbi_loss_slope<W>(v, c, lane, at, term.cols);
        } else if (W == 4) {
            const float4 d = *(const float4 *)(term.d + (size_t)lane * term.cols + at);

            v[0] = d.x;
            v[W > 1 ? 1 : 0] = d.y;
            v[W > 2 ? 2 : 0] = d.z;
            v[W > 3 ? 3 : 0] = d.w;
        } else {
            v[0] = term.d[(size_t)lane * term.cols + at];
        }
        for (uint32_t i = 0; i < term.n_stages; i++)
            mbi_stage_times<W>(v, term.stage[i], lane, col);
        for (int k = 0; k < W; k++)
            out[k] += v[k];
    }
}

/* Whether elements can be made four at a time: every row starts at a multiple of four elements. */
bool mbi_chain_wide(const struct mbi_chain *c);

/* One more factor for all of it; there is always room for one that was not there before. */
void mbi_chain_times(struct mbi_chain *c, const struct mbi_stage *s);

/* dst[lane][col] = d, or += d. */
cudaError_t mbi_chain_store(const struct mbi_chain *c, float *dst, bool add, cudaStream_t stream);
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

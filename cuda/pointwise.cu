/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations whose elements do not depend on each other, and those over a group of elements: norms
 * and argmax. Formulas and bounds are those of lib/op/.
 */
#include "cuda/node.h"
#include "cuda/norm.h"

extern "C" {
#include "graph/element.h"
#include "op/formula.h"
}

#define THREADS 256

static __device__ int64_t requantised(int64_t x, int32_t shift, const int32_t *attr)
{
    return mbi_clamp_i64(mbi_rshift_half_up(x, shift), attr[1], attr[2]);
}

/* Element i of lane t. */
static __device__ int64_t element(const struct mbi_cuda_node *n, size_t t, uint32_t i)
{
    const size_t at = t * n->in_cols[0] + i;

    switch (n->op) {
    case MBI_OP_embed:
        return mbi_get(n->in[1], n->dtype, (size_t)((const int32_t *)n->in[0])[t] * n->cols + i);
    case MBI_OP_requant:
        return requantised(mbi_get(n->in[0], n->in_dtype[0], at), n->attr[0], n->attr);
    case MBI_OP_requant_rows:
        return requantised(mbi_get(n->in[0], n->in_dtype[0], at),
                           n->attr[0] + ((const int8_t *)n->in[1])[i], n->attr);
    case MBI_OP_requant_mul:
        return requantised(mbi_get(n->in[0], n->in_dtype[0], at) * *(const int16_t *)n->in[1],
                           n->attr[0] + *(const int8_t *)n->in[2], n->attr);
    case MBI_OP_add:
        return mbi_get(n->in[0], n->in_dtype[0], at) +
               mbi_get(n->in[1], n->in_dtype[1], n->in_is_param[1] ? i : at);
    case MBI_OP_addsat:
        return mbi_sat(mbi_get(n->in[0], n->in_dtype[0], at) +
                           mbi_get(n->in[1], n->in_dtype[1], at),
                       n->attr[0]);
    case MBI_OP_mul:
        return mbi_get(n->in[0], n->in_dtype[0], at) *
               mbi_get(n->in[1], n->in_dtype[1],
                       (n->in_is_param[1] ? 0 : t * n->in_cols[1]) + i / (uint32_t)n->attr[0]);
    case MBI_OP_slice:
        return mbi_get(n->in[0], n->in_dtype[0], at + (uint32_t)n->attr[0]);
    case MBI_OP_concat:
        return i < n->in_cols[0]
                   ? mbi_get(n->in[0], n->in_dtype[0], at)
                   : mbi_get(n->in[1], n->in_dtype[1], t * n->in_cols[1] + (i - n->in_cols[0]));
    case MBI_OP_gate:
        return mbi_gate_of(((const int16_t *)n->in[0])[at], n->attr[0]);
    case MBI_OP_decay:
        return mbi_decay_of(((const int16_t *)n->in[0])[at], ((const int16_t *)n->in[1])[i],
                            n->attr[0]);
    default: { /* rotate: the even element of a pair works out both */
        const uint32_t half = n->cols / 2, k = i % half / 2;
        const int8_t *v = (const int8_t *)n->in[0] + t * n->cols + (i & ~1u);
        int8_t pair[2] = {v[0], v[1]};

        if (k < (uint32_t)n->attr[0])
            mbi_rotate_bytes(pair, ((const int16_t *)n->in[1])[t * (uint32_t)n->attr[0] + k]);
        return pair[i & 1];
    }
    }
}

static __global__ void pointwise_kernel(struct mbi_cuda_node n, size_t lanes)
{
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;

    for (size_t t = blockIdx.y; i < n.cols && t < lanes; t += gridDim.y)
        mbi_put(n.out, n.dtype, t * n.cols + i, element(&n, t, i));
}

/* The second dimension of a grid ends here. */
#define MOST_BLOCKS 65535

cudaError_t mbi_cuda_pointwise(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream)
{
    return mbi_launch(
        pointwise_kernel,
        dim3((n->cols + THREADS - 1) / THREADS, (unsigned)mbi_min_size(lanes, MOST_BLOCKS)),
        THREADS, 0, stream, *n, lanes);
}

/* ---- norms ---- */

/*
 * As in lib/op/norm.c: the shift into 16 bits, the sum of squares, the factor, the product. A team a
 * group: a warp for short groups, a block for long ones. A thread keeps `held` elements; what a group
 * has beyond that is read again.
 */
template <bool block, int held>
static __global__ void norm_kernel(struct mbi_cuda_node n, uint32_t groups, uint64_t inverse)
{
    uint64_t *const shared = (uint64_t *)mbi_shared();
    const unsigned team = block ? blockDim.x : MBI_WARP;
    const unsigned me = threadIdx.x % team;
    const size_t group = blockIdx.x * (size_t)(blockDim.x / team) + threadIdx.x / team;
    const uint32_t d = n.cols / (uint32_t)n.attr[0];
    const bool wanted = group < groups; /* a whole warp or a whole block of them */
    const size_t at = (wanted ? group : 0) * d;
    int32_t v[held], most = 0;
    uint64_t ss = 0;

#pragma unroll
    for (int k = 0; k < held; k++) {
        const uint32_t i = me + (uint32_t)k * team;

        v[k] = i < d ? (int32_t)mbi_get(n.in[0], n.in_dtype[0], at + i) : 0;
        most = mbi_max_i32(most, v[k] < 0 ? -1 - v[k] : v[k]);
    }
    for (uint32_t i = me + held * team; i < d; i += team) {
        const int32_t w = (int32_t)mbi_get(n.in[0], n.in_dtype[0], at + i);

        most = mbi_max_i32(most, w < 0 ? -1 - w : w);
    }
    const int b = mbi_norm_headroom(mbi_team_max(most, block, shared));

#pragma unroll
    for (int k = 0; k < held; k++) {
        v[k] = (int32_t)mbi_rsh_i32(v[k], b);
        ss += (uint64_t)((int64_t)v[k] * v[k]);
    }
    for (uint32_t i = me + held * team; i < d; i += team) {
        const int32_t w = (int32_t)mbi_rsh_i32((int32_t)mbi_get(n.in[0], n.in_dtype[0], at + i), b);

        ss += (uint64_t)((int64_t)w * w);
    }
    const struct mbi_norm_factor f = mbi_team_norm_factor(n.op, ss, d, inverse, block, shared);

#pragma unroll
    for (int k = 0; k < held; k++) {
        const uint32_t i = me + (uint32_t)k * team;

        if (wanted && i < d)
            mbi_put(n.out, n.dtype, at + i, mbi_normed(v[k], &f, n.attr[1], n.attr[2]));
    }
    for (uint32_t i = me + held * team; wanted && i < d; i += team) {
        const int32_t w = (int32_t)mbi_rsh_i32((int32_t)mbi_get(n.in[0], n.in_dtype[0], at + i), b);

        mbi_put(n.out, n.dtype, at + i, mbi_normed(w, &f, n.attr[1], n.attr[2]));
    }
}

cudaError_t mbi_cuda_norm(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream)
{
    const uint32_t groups = (uint32_t)(lanes * (size_t)n->attr[0]);
    const unsigned warps = THREADS / MBI_WARP;
    const uint32_t d = n->cols / (uint32_t)n->attr[0];

    if (d > 4 * MBI_WARP)
        return mbi_launch(norm_kernel<true, 8>, dim3(groups), THREADS,
                          MBI_TEAM_WORDS(warps) * sizeof(uint64_t), stream, *n, groups,
                          mbi_inverse(d));
    return mbi_launch(norm_kernel<false, 4>, dim3((groups + warps - 1) / warps), THREADS, 0, stream,
                      *n, groups, mbi_inverse(d));
}

/* ---- argmax: one block a lane ---- */

/* Larger is better; of equals the lower index. */
struct candidate {
    int64_t value;
    int32_t index;
};

static __device__ struct candidate better(struct candidate a, struct candidate b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

/* `wide`: i32 that can be read four at a time. */
static __global__ void argmax_kernel(struct mbi_cuda_node n, bool wide)
{
    struct candidate *const shared = (struct candidate *)mbi_shared();
    const uint32_t cols = n.in_cols[0];
    const size_t at = blockIdx.x * (size_t)cols;
    struct candidate best = {INT64_MIN, INT32_MAX};

    for (uint32_t i = 4 * threadIdx.x; wide && i < cols; i += 4 * blockDim.x) {
        const int4 v = *(const int4 *)((const int32_t *)n.in[0] + at + i);

        best = better(better(best, {v.x, (int32_t)i}), {v.y, (int32_t)i + 1});
        best = better(better(best, {v.z, (int32_t)i + 2}), {v.w, (int32_t)i + 3});
    }
    for (uint32_t i = threadIdx.x; !wide && i < cols; i += blockDim.x) {
        const int64_t v = mbi_get(n.in[0], n.in_dtype[0], at + i);

        best = better(best, {v, (int32_t)i});
    }
    for (int d = MBI_WARP / 2; d; d /= 2) {
        const struct candidate other = {__shfl_xor_sync(MBI_FULL, (long long)best.value, d),
                                        __shfl_xor_sync(MBI_FULL, best.index, d)};

        best = better(best, other);
    }
    if (threadIdx.x % MBI_WARP == 0)
        shared[threadIdx.x / MBI_WARP] = best;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (unsigned w = 1; w < blockDim.x / MBI_WARP; w++)
            best = better(best, shared[w]);
        ((int32_t *)n.out)[blockIdx.x] = best.index;
    }
}

cudaError_t mbi_cuda_argmax(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream)
{
    const bool wide =
        n->in_dtype[0] == MBI_I32 && n->in_cols[0] % 4 == 0 && (uintptr_t)n->in[0] % 16 == 0;

    return mbi_launch(argmax_kernel, dim3((unsigned)lanes), 4 * THREADS,
                      4 * THREADS / MBI_WARP * sizeof(struct candidate), stream, *n, wide);
}

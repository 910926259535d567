/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a norm for kernels: sums and maxima of a team, and its factor, made by a whole warp.
 * The formulas are those of lib/op/formula.h; root and quotient are searched for five bits at a
 * time, each lane trying one candidate, as a chain of single bits would wait for itself.
 */
#ifndef MBI_CUDA_NORM_H
#define MBI_CUDA_NORM_H

#include "cuda/device.h"

extern "C" {
#include "op/formula.h"
}

/* ---- teams: a whole block, or one warp of it ---- */

/* Words of shared memory that a team of `warps` warps needs. Free again after the next barrier. */
#define MBI_TEAM_WORDS(warps) ((warps) + 2)

/* Of values from 0 on. */
static __device__ __forceinline__ int32_t mbi_team_max(int32_t v, bool block, uint64_t *shared)
{
    const unsigned warps = blockDim.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;

    v = mbi_warp_max(v);
    if (!block)
        return v;
    if (lane == 0)
        shared[threadIdx.x / MBI_WARP] = (uint64_t)(uint32_t)v;
    __syncthreads();
    v = mbi_warp_max(lane < warps ? (int32_t)shared[lane] : 0);
    __syncthreads();
    return v;
}

/* ---- the factor ---- */

/* floor(2^64 / d), d > 1: what mbi_divide() wants. */
static __host__ __device__ inline uint64_t mbi_inverse(uint32_t d)
{
    return d > 1 ? UINT64_MAX / d + ((d & (d - 1)) == 0) : 0;
}

/* floor(x / d): the high word of x inverse is at most one too small. */
static __device__ __forceinline__ uint64_t mbi_divide(uint64_t x, uint32_t d, uint64_t inverse)
{
    const uint64_t q = __umul64hi(x, inverse);

    return d > 1 ? q + (x - q * d >= d) : x;
}

/* floor(sqrt(x)), x < 2^50. */
static __device__ __forceinline__ uint32_t mbi_warp_isqrt(uint64_t x)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;
    uint32_t r = 0;

    for (int s = 20; s >= 0; s -= 5) {
        const uint32_t t = r + (lane << s);

        r += (uint32_t)(__popc(__ballot_sync(MBI_FULL, (uint64_t)t * t <= x)) - 1) << s;
    }
    return r;
}

/* min(32767, floor(2^(14 + k) / s)), s of k bits, k <= 24. */
static __device__ __forceinline__ int32_t mbi_warp_reciprocal(uint32_t s, int k)
{
    const uint64_t one = (uint64_t)1 << (14 + k);
    const uint32_t lane = threadIdx.x % MBI_WARP;
    uint32_t q = 0;

    for (int b = 10; b >= 0; b -= 5) {
        const uint32_t t = q + (lane << b);

        q += (uint32_t)(__popc(__ballot_sync(MBI_FULL, (uint64_t)t * s <= one)) - 1) << b;
    }
    return (int32_t)q;
}

/* Of norm_rms or norm_shift over d elements; every lane has the same ss. */
static __device__ __forceinline__ struct mbi_norm_factor mbi_warp_norm_factor(uint32_t op,
                                                                              uint64_t ss,
                                                                              uint32_t d,
                                                                              uint64_t inverse)
{
    struct mbi_norm_factor f;

    if (op == MBI_OP_norm_rms) {
        const uint32_t root = mbi_warp_isqrt(mbi_divide(ss << 16, d, inverse));
        const uint32_t s = root ? root : 1;
        const int k = MBI_WARP - __clz((int)s);

        f.mul = mbi_warp_reciprocal(s, k);
        f.shift = k + 6;
    } else {
        const uint32_t e = threadIdx.x % MBI_WARP;
        const unsigned fits =
            __ballot_sync(MBI_FULL, e < 24 && ss << 16 < (uint64_t)d << (2 * e + 1));

        f.mul = 1;
        f.shift = __ffs((int)fits) - 1 - 8;
    }
    return f;
}

/* The same from the part of the sum of squares that each thread has; in a block one warp works
 * it out for all. */
static __device__ __forceinline__ struct mbi_norm_factor mbi_team_norm_factor(
    uint32_t op, uint64_t ss, uint32_t d, uint64_t inverse, bool block, uint64_t *shared)
{
    const unsigned warps = blockDim.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;
    struct mbi_norm_factor f;

    ss = mbi_warp_sum_u48(ss);
    if (!block)
        return mbi_warp_norm_factor(op, ss, d, inverse);
    if (lane == 0)
        shared[threadIdx.x / MBI_WARP] = ss;
    __syncthreads();
    if (threadIdx.x < MBI_WARP) {
        f = mbi_warp_norm_factor(op, mbi_warp_sum_u48(lane < warps ? shared[lane] : 0), d, inverse);
        if (lane == 0) {
            shared[warps] = (uint64_t)f.mul;
            shared[warps + 1] = (uint64_t)(int64_t)f.shift;
        }
    }
    __syncthreads();
    f.mul = (int64_t)shared[warps];
    f.shift = (int)(int64_t)shared[warps + 1];
    return f;
}

/* The shift that brings values of this largest magnitude (-2^k counted as 2^k - 1) into 16 bits. */
static __device__ __forceinline__ int mbi_norm_headroom(int32_t most)
{
    const int bits = MBI_WARP - __clz(most);

    return bits > 15 ? bits - 15 : 0;
}

/* One element: v is in 16 bits, the factor below 2^15. */
static __device__ __forceinline__ int32_t mbi_normed(int32_t v, const struct mbi_norm_factor *f,
                                                     int32_t frac, int32_t bits)
{
    const int s = f->shift - frac;
    const int32_t top = (1 << (bits - 1)) - 1;

    if (s > 0) { /* below 2^30 before it, and s <= 30 */
        const int32_t p = v * (int32_t)f->mul;

        return mbi_clamp_i32((p >> s) + ((p >> (s - 1)) & 1), -top - 1, top);
    }
    return (int32_t)mbi_clamp_i64(mbi_rshift_half_up(v * f->mul, s), -top - 1, top);
}

#endif

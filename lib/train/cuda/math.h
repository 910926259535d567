/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floats on the device: what matrix products take in, products of small tiles, sums over a warp,
 * and roundings that no compiler fuses. Beside the emulator of tests/cuda the same in plain loops;
 * with MBI_TRAIN_FP32 products take floats as they are, so that a test can tell rounding from
 * error.
 */
#ifndef MBI_TRAIN_CUDA_MATH_H
#define MBI_TRAIN_CUDA_MATH_H

#include "cuda/device.h"

/* Before a loop whose arrays are to lie in registers. */
#ifdef MBI_EMULATE
#include <cmath>
#define __grid_constant__
#define MBI_UNROLL
#else
#include <cuda_bf16.h>
#define MBI_UNROLL _Pragma("unroll")
#endif

#define MBI_LN2F 0.693147181f
#define MBI_LOG2E 1.44269504f

/* ---- what a matrix product takes in ---- */

#if defined(MBI_TRAIN_FP32)
struct mbi_operand {
    float value;
};
static __device__ __forceinline__ mbi_operand mbi_to_operand(float x) { return {x}; }
static __host__ __device__ __forceinline__ float mbi_from_operand(mbi_operand x) { return x.value; }
#elif defined(MBI_EMULATE)
struct mbi_operand {
    uint16_t bits;
};
/* To the nearest, ties to even; finite values. */
static inline mbi_operand mbi_to_operand(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
static inline float mbi_from_operand(mbi_operand x)
{
    const uint32_t bits = (uint32_t)x.bits << 16;
    float y;

    memcpy(&y, &bits, sizeof(y));
    return y;
}
#else
typedef __nv_bfloat16 mbi_operand;
static __device__ __forceinline__ mbi_operand mbi_to_operand(float x)
{
    return __float2bfloat16_rn(x);
}
static __device__ __forceinline__ float mbi_from_operand(mbi_operand x)
{
    return __bfloat162float(x);
}
#endif
/* ---- tiles ---- */

/*
 * C[16 x 8] += A[16 x 8] B[8 x 8] by a whole warp, inputs rounded to 11 significant bits. Lane l
 * holds, with g = l / 4 and t = l % 4: a[0] = A[g][t], a[1] = A[g + 8][t], a[2] = A[g][t + 4],
 * a[3] = A[g + 8][t + 4]; b[0] = B[t][g], b[1] = B[t + 4][g]; c[0..1] = C[g][2 t..],
 * c[2..3] = C[g + 8][2 t..].
 */
#ifdef MBI_EMULATE
static inline uint32_t mbi_tf32_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
#ifndef MBI_TRAIN_FP32
    bits = (bits + 0x1000) & ~(uint32_t)0x1fff;
#endif
    return bits;
}

static inline float mbi_bits_float(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline void mbi_mma_tf32(float c[4], const float a[4], const float b[2])
{
    mbi_emu_thread *self = mbi_emu_self;
    const unsigned g = self->lane / 4, t = self->lane % 4;

    for (int i = 0; i < 4; i++)
        self->a[i] = mbi_tf32_bits(a[i]);
    for (int i = 0; i < 2; i++)
        self->b[i] = mbi_tf32_bits(b[i]);
    mbi_emu_yield(MBI_EMU_WARP);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned col = 2 * t + i % 2;
        float sum = 0;

        for (unsigned k = 0; k < 8; k++)
            sum += mbi_bits_float(mbi_emu_lane(g * 4 + k % 4)->a[i / 2 + 2 * (k / 4)]) *
                   mbi_bits_float(mbi_emu_lane(col * 4 + k % 4)->b[k / 4]);
        c[i] += sum;
    }
    mbi_emu_yield(MBI_EMU_WARP);
}
#else
static __device__ __forceinline__ uint32_t mbi_tf32_bits(float x)
{
    uint32_t bits;

    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

static __device__ __forceinline__ void mbi_mma_tf32(float c[4], const float a[4], const float b[2])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(mbi_tf32_bits(a[0])), "r"(mbi_tf32_bits(a[1])), "r"(mbi_tf32_bits(a[2])),
          "r"(mbi_tf32_bits(a[3])), "r"(mbi_tf32_bits(b[0])), "r"(mbi_tf32_bits(b[1])));
}
#endif

/* ---- sums of floats; every lane gets the result, always in the same order ---- */

static __device__ __forceinline__ float mbi_warp_sumf(float v)
{
    for (int d = MBI_WARP / 2; d; d /= 2)
        v += __shfl_xor_sync(MBI_FULL, v, d);
    return v;
}

static __device__ __forceinline__ double mbi_warp_sumd(double v)
{
    for (int d = MBI_WARP / 2; d; d /= 2)
        v += __shfl_xor_sync(MBI_FULL, v, d);
    return v;
}

static __device__ __forceinline__ float mbi_warp_maxf(float v)
{
    for (int d = MBI_WARP / 2; d; d /= 2) {
        const float w = __shfl_xor_sync(MBI_FULL, v, d);

        v = w > v ? w : v;
    }
    return v;
}

/* ---- roundings of their own ---- */

#ifdef MBI_EMULATE
static inline float mbi_mul_rn(float a, float b) { return a * b; }
static inline float mbi_add_rn(float a, float b) { return a + b; }
static inline double mbi_addd_rn(double a, double b) { return a + b; }
#else
static __device__ __forceinline__ float mbi_mul_rn(float a, float b) { return __fmul_rn(a, b); }
static __device__ __forceinline__ float mbi_add_rn(float a, float b) { return __fadd_rn(a, b); }
static __device__ __forceinline__ double mbi_addd_rn(double a, double b) { return __dadd_rn(a, b); }
#endif

/* ---- elements of arrays whose type is known only at run time ---- */

static __device__ __forceinline__ float mbi_real_at(const void *q, int32_t dtype, size_t i)
{
    switch (dtype) {
    case MBI_I8:
        return (float)((const int8_t *)q)[i];
    case MBI_I16:
        return (float)((const int16_t *)q)[i];
    case MBI_I32:
        return (float)((const int32_t *)q)[i];
    default:
        return (float)((const int64_t *)q)[i];
    }
}

static __device__ __forceinline__ int32_t mbi_int_at(const void *q, int32_t dtype, size_t i)
{
    switch (dtype) {
    case MBI_I8:
        return ((const int8_t *)q)[i];
    case MBI_I16:
        return ((const int16_t *)q)[i];
    default:
        return ((const int32_t *)q)[i];
    }
}

/*
 * W elements from each at[r] on; for W = 4 they start at a multiple of four elements' size. The
 * type is asked for once, and all that is read is asked for before any of it is used.
 */
template <int W, int R>
static __device__ __forceinline__ void mbi_ints_rows(int32_t v[R][W], const void *q, int32_t dtype,
                                                     const size_t at[R])
{
    if (W == 1) {
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            v[r][0] = mbi_int_at(q, dtype, at[r]);
    } else if (dtype == MBI_I8) {
        uint32_t bits[R];

        MBI_UNROLL
        for (int r = 0; r < R; r++)
            bits[r] = *(const uint32_t *)((const int8_t *)q + at[r]);
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++)
                v[r][k] = (int8_t)(bits[r] >> 8 * k);
    } else if (dtype == MBI_I16) {
        uint2 bits[R];

        MBI_UNROLL
        for (int r = 0; r < R; r++)
            bits[r] = *(const uint2 *)((const int16_t *)q + at[r]);
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++)
                v[r][k] = (int16_t)((k < 2 ? bits[r].x : bits[r].y) >> 16 * (k % 2));
    } else {
        MBI_UNROLL
        for (int r = 0; r < R; r++) {
            const int4 bits = *(const int4 *)((const int32_t *)q + at[r]);

            v[r][0] = bits.x;
            v[r][W > 1 ? 1 : 0] = bits.y;
            v[r][W > 2 ? 2 : 0] = bits.z;
            v[r][W > 3 ? 3 : 0] = bits.w;
        }
    }
}

template <int W, int R>
static __device__ __forceinline__ void mbi_reals_rows(float v[R][W], const void *q, int32_t dtype,
                                                      const size_t at[R])
{
    int32_t n[R][W];

    if (dtype == MBI_I64) {
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++)
                v[r][k] = (float)((const int64_t *)q)[at[r] + (size_t)k];
        return;
    }
    mbi_ints_rows<W, R>(n, q, dtype, at);
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        for (int k = 0; k < W; k++)
            v[r][k] = (float)n[r][k];
}

/* The same of one row. */
template <int W>
static __device__ __forceinline__ void mbi_reals_at(float v[W], const void *q, int32_t dtype,
                                                    size_t i)
{
    mbi_reals_rows<W, 1>((float(*)[W])v, q, dtype, &i);
}

/* ---- W floats or operands at once; for W = 4 aligned to all four ---- */

template <int W> struct alignas(W * sizeof(mbi_operand)) mbi_operands {
    mbi_operand v[W];
};

template <int W> static __device__ __forceinline__ void mbi_load(float v[W], const mbi_operand *x)
{
    const mbi_operands<W> all = *(const mbi_operands<W> *)x;

    for (int k = 0; k < W; k++)
        v[k] = mbi_from_operand(all.v[k]);
}
template <int W> static __device__ __forceinline__ void mbi_load(float v[W], const float *x)
{
    const float4 all = W == 4 ? *(const float4 *)x : float4{x[0], 0, 0, 0};

    v[0] = all.x;
    v[W > 1 ? 1 : 0] = W > 1 ? all.y : all.x;
    v[W > 2 ? 2 : 0] = W > 1 ? all.z : all.x;
    v[W > 3 ? 3 : 0] = W > 1 ? all.w : all.x;
}

template <int W> static __device__ __forceinline__ void mbi_store(mbi_operand *to, const float v[W])
{
    mbi_operands<W> all;

    for (int k = 0; k < W; k++)
        all.v[k] = mbi_to_operand(v[k]);
    *(mbi_operands<W> *)to = all;
}
template <int W> static __device__ __forceinline__ void mbi_store(float *to, const float v[W])
{
    if (W == 4)
        *(float4 *)to = {v[0], v[W > 1 ? 1 : 0], v[W > 2 ? 2 : 0], v[W > 3 ? 3 : 0]};
    else
        *to = v[0];
}

/* A gradient by lanes, of floats or, if it is narrow, of operands. */
struct mbi_gradient {
    void *at;
    bool narrow;
};

/* Elements i .. i + W - 1; with W = 2 and floats one by one. */
template <int W>
static __device__ __forceinline__ void mbi_put(const struct mbi_gradient &g, size_t i,
                                               const float v[W])
{
    if (g.narrow) {
        mbi_store<W>((mbi_operand *)g.at + i, v);
    } else if (W == 4) {
        mbi_store<W>((float *)g.at + i, v);
    } else {
        for (int k = 0; k < W; k++)
            ((float *)g.at)[i + (size_t)k] = v[k];
    }
}

#endif

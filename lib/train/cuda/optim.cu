/* SPDX-License-Identifier: Apache-2.0 */
/* The norm of a gradient, AdamW, and masters to integers. */
#include "train/cuda/optim.h"

#define BLOCK 256
#define WARPS (BLOCK / MBI_WARP)
#define EPSILON 1e-8f
#define SUMS 256          /* parts of a mean, as in lib/train/master.c */
#define ROW_LIMIT 127     /* largest magnitude of a weight with a power of two per row */
#define MAGIC 12582912.0f /* 1.5 2^23: adding it rounds a float below 2^22 to an integer */

static uint32_t blocks_of(size_t n, size_t per) { return (uint32_t)((n + per - 1) / per); }

/* ---- norm ---- */

static __global__ void __launch_bounds__(BLOCK) squares(double *sums, const float *x, size_t n)
{
    double *part = (double *)mbi_shared(), sum = 0;
    const size_t begin = (size_t)blockIdx.x * MBI_SQUARES;
    const size_t end = begin + MBI_SQUARES < n ? begin + MBI_SQUARES : n;

    for (size_t i = begin + threadIdx.x; i < end; i += BLOCK)
        sum += (double)x[i] * (double)x[i];
    sum = mbi_warp_sumd(sum);
    if (threadIdx.x % MBI_WARP == 0)
        part[threadIdx.x / MBI_WARP] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < WARPS; i++)
            sum += part[i];
        sums[blockIdx.x] = sum;
    }
}

cudaError_t mbi_squares(double *sums, const float *x, size_t n, cudaStream_t stream)
{
    return mbi_launch(squares, dim3(blocks_of(n, MBI_SQUARES)), BLOCK, WARPS * sizeof(double),
                      stream, sums, x, n);
}

/* ---- AdamW ---- */

static __device__ __forceinline__ float adam_one(const struct mbi_adam_args &a, float w, float g,
                                                 float *m, float *v, float shrink)
{
    g *= a.scale;
    *m = a.beta1 * *m + (1 - a.beta1) * g;
    *v = a.beta2 * *v + (1 - a.beta2) * g * g;
    return w * shrink - a.rate * *m / (sqrtf(*v * a.unbias2) + EPSILON);
}

/* Four floats a thread; blocks of floats are multiples of 16. */
static __global__ void __launch_bounds__(BLOCK) adam(struct mbi_adam_args a)
{
    const size_t i = ((size_t)blockIdx.x * BLOCK + threadIdx.x) * 4;

    if (i >= a.n)
        return;
    const float shrink = a.decays[i / 16] ? a.shrink : 1.0f;
    const float4 g = *(const float4 *)(a.gradient + i);
    float4 w = *(const float4 *)(a.master + i), m = *(const float4 *)(a.moment1 + i),
           v = *(const float4 *)(a.moment2 + i);

    w.x = adam_one(a, w.x, g.x, &m.x, &v.x, shrink);
    w.y = adam_one(a, w.y, g.y, &m.y, &v.y, shrink);
    w.z = adam_one(a, w.z, g.z, &m.z, &v.z, shrink);
    w.w = adam_one(a, w.w, g.w, &m.w, &v.w, shrink);
    *(float4 *)(a.master + i) = w;
    *(float4 *)(a.moment1 + i) = m;
    *(float4 *)(a.moment2 + i) = v;
}

cudaError_t mbi_adam(const struct mbi_adam_args *a, cudaStream_t stream)
{
    return mbi_launch(adam, dim3(blocks_of(a->n, 4 * BLOCK)), BLOCK, 0, stream, *a);
}

/* ---- masters to integers ---- */

/* Not a number becomes lo. */
static __device__ __forceinline__ float clamp(float x, float lo, float hi)
{
    return x > lo ? (x < hi ? x : hi) : lo;
}

/* Nearest integer of w * scale in [lo, hi], ties to even; |lo|, |hi| < 2^22. Nothing is fused. */
static __device__ __forceinline__ float nearest(float w, float scale, float lo, float hi)
{
    const float moved = mbi_add_rn(clamp(mbi_mul_rn(w, scale), lo, hi), MAGIC);

    return mbi_add_rn(moved, -MAGIC);
}

/* floor(log2(127 / most)), exact: 127 = 0.9921875 2^7 and most = f 2^k with f in [1/2, 1). */
static __device__ __forceinline__ int32_t row_exponent(float most, int32_t lo, int32_t hi)
{
    int k = 0, e;
    float f;

    if (!(most > 0))
        return hi;
    f = frexpf(clamp(most, 0, 1e30f), &k);
    e = f <= 0.9921875f ? 7 - k : 6 - k;
    return e < lo ? lo : e > hi ? hi : e;
}

/* A thread for each part of the mean, in the CPU's order. */
static __global__ void __launch_bounds__(MBI_WARP)
    magnitudes(double *sums, const float *w, size_t n)
{
    const size_t s = (size_t)blockIdx.x * MBI_WARP + threadIdx.x, rest = n % SUMS;
    const size_t begin = n / SUMS * s + (s < rest ? s : rest);
    const size_t end = n / SUMS * (s + 1) + (s + 1 < rest ? s + 1 : rest);
    double sum = 0;

#ifndef MBI_EMULATE
#pragma unroll 8
#endif
    for (size_t i = begin; i < end; i++)
        sum = mbi_addd_rn(sum, fabs((double)w[i]));
    sums[s] = sum;
}

/* mean|W| = m 2^-s with 2^14 <= m < 2^15. One thread. */
static __global__ void __launch_bounds__(MBI_WARP) ternary_scale(struct mbi_quantise_args a)
{
    double mean = 0;
    int k = 0, e;
    long long m;

    if (threadIdx.x)
        return;
    for (int i = 0; i < SUMS; i++)
        mean = mbi_addd_rn(mean, a.sum[i]);
    mean /= (double)a.rows * a.cols;
    if (!(mean > 1e-30)) /* all zero, or not a number */
        mean = 1e-30;
    if (mean > 1e30)
        mean = 1e30;
    m = llrint(frexp(mean, &k) * 32768);
    m = m < 1 << 14 ? 1 << 14 : m > (1 << 15) - 1 ? (1 << 15) - 1 : m;
    e = 15 - k;
    e = e < a.exponent_lo ? a.exponent_lo : e > a.exponent_hi ? a.exponent_hi : e;
    *a.scale = (int16_t)m;
    *a.exponent = (int8_t)e;
    a.sum[SUMS] = (double)(float)(1 / mean);
    *a.unit = ldexpf((float)m, -e);
}

static __device__ __forceinline__ void give(const struct mbi_quantise_args &a, size_t i, float q,
                                            float unit)
{
    if (a.real)
        a.real[i] = q * unit;
    if (a.operand)
        a.operand[i] = mbi_to_operand(a.quant == MBI_QUANT_TERNARY ? q : q * unit);
}

/* A warp for each row. */
static __global__ void __launch_bounds__(BLOCK) rows(struct mbi_quantise_args a)
{
    const size_t r = ((size_t)blockIdx.x * BLOCK + threadIdx.x) / MBI_WARP;
    const uint32_t lane = threadIdx.x % MBI_WARP;
    const float *w = a.master + r * a.cols;
    float scale = a.factor, unit = a.fixed;

    if (r >= a.rows)
        return;
    if (a.quant == MBI_QUANT_ROWS) {
        float most = 0;
        int32_t e;

        for (uint32_t k = lane; k < a.cols; k += MBI_WARP)
            most = fabsf(w[k]) > most ? fabsf(w[k]) : most;
        e = row_exponent(mbi_warp_maxf(most), a.exponent_lo, a.exponent_hi);
        if (lane == 0)
            a.exponent[r] = (int8_t)e;
        scale = ldexpf(1, e);
        unit = ldexpf(1, -e);
    }
    for (uint32_t k = lane; k < a.cols; k += MBI_WARP) {
        const float q = nearest(w[k], scale, -a.limit, a.limit);
        const size_t i = r * a.cols + k;

        if (a.dtype == MBI_I8)
            ((int8_t *)a.integer)[i] = (int8_t)(int32_t)q;
        else
            ((int16_t *)a.integer)[i] = (int16_t)(int32_t)q;
        give(a, i, q, unit);
    }
}

/* A thread for each byte of four weights; a row ends with zeros. */
static __global__ void __launch_bounds__(BLOCK) trits(struct mbi_quantise_args a)
{
    const uint32_t per = (a.cols + 3) / 4;
    const size_t i = (size_t)blockIdx.x * BLOCK + threadIdx.x, r = i / per;
    const uint32_t first = (uint32_t)(i % per) * 4;
    const float scale = (float)a.sum[SUMS];
    uint32_t byte = 0x55;

    if (r >= a.rows)
        return;
    for (uint32_t j = 0; j < 4 && first + j < a.cols; j++) {
        const size_t at = r * a.cols + first + j;
        const float t = nearest(a.master[at], scale, -1, 1);

        byte += (uint32_t)(int32_t)t << 2 * j;
        give(a, at, t, *a.unit);
    }
    ((uint8_t *)a.integer)[i] = (uint8_t)byte;
}

cudaError_t mbi_quantise_device(const struct mbi_quantise_args *a, cudaStream_t stream)
{
    cudaError_t e;

    if (a->quant != MBI_QUANT_TERNARY)
        return mbi_launch(rows, dim3(blocks_of(a->rows, WARPS)), BLOCK, 0, stream, *a);
    e = mbi_launch(magnitudes, dim3(SUMS / MBI_WARP), MBI_WARP, 0, stream, a->sum, a->master,
                   (size_t)a->rows * a->cols);
    if (!e)
        e = mbi_launch(ternary_scale, dim3(1), MBI_WARP, 0, stream, *a);
    if (!e)
        e = mbi_launch(trits, dim3(blocks_of((size_t)a->rows * ((a->cols + 3) / 4), BLOCK)), BLOCK,
                       0, stream, *a);
    return e;
}

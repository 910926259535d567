/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's peaks: memory read once and in order, a matrix in the cache read for one vector, and
 * products of bytes in registers. What the kernels reach is held against them.
 */
#include "cuda/backend.h"
#include <time.h>

#define THREADS 512
#define SECOND UINT64_C(1000000000) /* nanoseconds */
#define TRIALS 7
#define READ_BYTES ((size_t)1 << 30)  /* far beyond the cache */
#define CACHE_BYTES ((size_t)8 << 20) /* well inside it */

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Reads all of it `times` times; somebody has to look at the sum. */
static __global__ void read_kernel(const uint4 *data, size_t n, uint32_t times, int32_t *sink)
{
    const size_t step = (size_t)gridDim.x * THREADS,
                 me = blockIdx.x * (size_t)THREADS + threadIdx.x;
    uint32_t sum = 0;

    for (uint32_t k = 0; k < times; k++)
        for (size_t i = me; i + 3 * step < n; i += 4 * step) {
            const uint4 a = mbi_stream(data + i), b = mbi_stream(data + i + step);
            const uint4 c = mbi_stream(data + i + 2 * step), d = mbi_stream(data + i + 3 * step);

            sum += (a.x ^ a.y ^ a.z ^ a.w) + (b.x ^ b.y ^ b.z ^ b.w) + (c.x ^ c.y ^ c.z ^ c.w) +
                   (d.x ^ d.y ^ d.z ^ d.w);
        }
    if (sum == 1)
        *sink = (int32_t)sum;
}

#define CHAINS 8 /* products of a warp that do not wait for each other */

static __global__ void product_kernel(uint32_t times, int32_t *sink)
{
    uint32_t a[4], b[2];
    int32_t c[CHAINS][4] = {};

    for (uint32_t i = 0; i < 4; i++)
        a[i] = threadIdx.x * 0x01010101u + i;
    for (uint32_t i = 0; i < 2; i++)
        b[i] = threadIdx.x * 0x03050709u + i;
    for (uint32_t k = 0; k < times; k++)
        for (int i = 0; i < CHAINS; i++)
            mbi_mma(c[i], a, b);
    for (int i = 1; i < CHAINS; i++)
        c[0][0] += c[i][0] + c[i][1] + c[i][2] + c[i][3];
    if (c[0][0] == 1)
        *sink = c[0][0];
}

/* Work of one launch. */
static uint64_t amount(uint32_t what, uint32_t blocks, uint32_t times)
{
    if (what == MBI_MEASURE_MATMUL)
        return (uint64_t)blocks * (THREADS / MBI_WARP) * times * CHAINS * (16 * 8 * 32);
    return (uint64_t)(what == MBI_MEASURE_READ ? READ_BYTES : CACHE_BYTES) * times;
}

static cudaError_t start(uint32_t what, const char *data, uint32_t blocks, uint32_t times)
{
    const size_t n = (what == MBI_MEASURE_READ ? READ_BYTES : CACHE_BYTES) / sizeof(uint4);

    if (what == MBI_MEASURE_MATMUL)
        return mbi_launch(product_kernel, dim3(blocks), THREADS, 0, MBI_STREAM, times,
                          (int32_t *)data);
    return mbi_launch(read_kernel, dim3(blocks), THREADS, 0, MBI_STREAM, (const uint4 *)data, n,
                      times, (int32_t *)data);
}

/* The best of some launches, after one that warms up. */
static cudaError_t best_rate(uint64_t *value, uint32_t what, const char *data, uint32_t blocks)
{
    const uint32_t times = what == MBI_MEASURE_READ ? 8 : what == MBI_MEASURE_MATVEC ? 1000 : 20000;
    const uint64_t work = amount(what, blocks, times);

    *value = 0;
    for (int k = 0; k <= TRIALS; k++) {
        const uint64_t begin = now();
        cudaError_t e = start(what, data, blocks, times);

        if (e == cudaSuccess)
            e = cudaStreamSynchronize(MBI_STREAM);
        if (e != cudaSuccess)
            return e;
        const uint64_t ns = now() - begin;

        /* work / ns * 10^9 without leaving 64 bits */
        if (k && ns)
            *value = (uint64_t)mbi_max_i64((int64_t)*value,
                                           (int64_t)(work / ns * SECOND + work % ns * SECOND / ns));
    }
    return cudaSuccess;
}

extern "C" int32_t mbi_cuda_measure(uint64_t *value, const struct mbi_host *host, uint32_t what,
                                    mambaint_error *err)
{
    char *data = NULL;
    int device = 0, units = 0;
    cudaError_t e;

    (void)host;
    e = cudaGetDevice(&device);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&units, cudaDevAttrMultiProcessorCount, device);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&data, READ_BYTES);
    if (e == cudaSuccess)
        e = cudaMemset(data, 0x5a, READ_BYTES);
    if (e == cudaSuccess)
        e = best_rate(value, what, data, (uint32_t)units * 4);
    cudaFree(data);
    return mbi_cuda_check(e, err, "measuring the device");
}

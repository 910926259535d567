/* SPDX-License-Identifier: Apache-2.0 */
/* Operations along a stream but the recurrence: the convolution and the running angle. */
#include "cuda/node.h"

extern "C" {
#include "op/formula.h"
}

#define THREADS 128
#define STRETCH 16 /* tokens that a thread does */
#define TAPS 4
#ifdef MBI_EMULATE
#define TURN_THREADS 64
#else
#define TURN_THREADS 1024
#endif

/* Input of channel c at token t of a run, t >= -3: from the run, or from the ring. */
static __device__ int16_t input_at(const struct mbi_cuda_run *run, const struct mbi_cuda_node *n,
                                   int32_t t, uint32_t c)
{
    if (t >= 0)
        return ((const int16_t *)n->in[0])[(run->first + (size_t)t) * n->cols + c];
    const size_t row = (size_t)(run->pos + (uint64_t)(int64_t)t) % TAPS;

    return ((const int16_t *)(run->memory + n->memory))[row * n->cols + c];
}

static __global__ void conv_kernel(struct mbi_cuda_node n, const struct mbi_cuda_run *runs)
{
    const struct mbi_cuda_run run = runs[blockIdx.z];
    const uint32_t c = blockIdx.x * THREADS + threadIdx.x;
    const int32_t begin = (int32_t)(blockIdx.y * STRETCH);
    const int32_t end = (int32_t)mbi_min_size(run.n, (size_t)begin + STRETCH);
    int16_t x[TAPS];

    if (c >= n.cols || begin >= end)
        return;
    for (int j = 1; j < TAPS; j++)
        x[j] = input_at(&run, &n, begin + j - TAPS, c);
    for (int32_t t = begin; t < end; t++) {
        for (int j = 0; j < TAPS - 1; j++)
            x[j] = x[j + 1];
        x[TAPS - 1] = input_at(&run, &n, t, c);
        ((int16_t *)n.out)[(run.first + (size_t)t) * n.cols + c] =
            mbi_conv_of(x, (const int8_t *)n.in[1] + (size_t)c * TAPS, ((const int8_t *)n.in[2])[c],
                        ((const int16_t *)n.in[3])[c]);
    }
}

/* The ring takes in the last inputs of the run. */
static __global__ void conv_keep_kernel(struct mbi_cuda_node n, const struct mbi_cuda_run *runs)
{
    const struct mbi_cuda_run run = runs[blockIdx.y];
    const uint32_t c = blockIdx.x * THREADS + threadIdx.x;
    int16_t *ring = (int16_t *)(run.memory + n.memory);

    if (c >= n.cols)
        return;
    for (uint32_t t = run.n < TAPS ? 0 : run.n - TAPS; t < run.n; t++)
        ring[(size_t)((run.pos + t) % TAPS) * n.cols + c] =
            ((const int16_t *)n.in[0])[(run.first + (size_t)t) * n.cols + c];
}

cudaError_t mbi_cuda_conv(const struct mbi_cuda_node *n, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, cudaStream_t stream)
{
    const unsigned across = (n->cols + THREADS - 1) / THREADS;
    const cudaError_t e =
        mbi_launch(conv_kernel, dim3(across, (max_n + STRETCH - 1) / STRETCH, n_runs), THREADS, 0,
                   stream, *n, runs);

    if (e != cudaSuccess)
        return e;
    return mbi_launch(conv_keep_kernel, dim3(across, n_runs), THREADS, 0, stream, *n, runs);
}

/* A block follows one angle through the run, a token a thread: sums modulo 256, in any order. */
static __global__ void turn_kernel(const int16_t *p, size_t stride, int16_t *phi, uint32_t cols,
                                   size_t memory, const struct mbi_cuda_run *runs)
{
    const struct mbi_cuda_run run = runs[blockIdx.y];
    const uint32_t k = blockIdx.x, warp = threadIdx.x / MBI_WARP, warps = blockDim.x / MBI_WARP;
    uint32_t *const total = (uint32_t *)mbi_shared();
    uint8_t *ring = (uint8_t *)(run.memory + memory);
    uint32_t phase = ring[(size_t)((run.pos + 1) % 2) * cols + k];

    for (uint32_t begin = 0; begin < run.n; begin += blockDim.x) {
        const uint32_t t = begin + threadIdx.x;
        const size_t row = run.first + (size_t)t;
        const uint32_t sum = mbi_warp_prefix_sum(
            t < run.n ? (uint32_t)mbi_rshift_half_up(p[row * stride + k], 2) : 0);

        __syncthreads();
        if (threadIdx.x % MBI_WARP == MBI_WARP - 1)
            total[warp] = sum;
        __syncthreads();
        uint32_t before = phase;

        for (uint32_t w = 0; w < warps; w++) {
            before += w < warp ? total[w] : 0;
            phase += total[w];
        }
        if (t < run.n)
            phi[row * cols + k] = (int16_t)((before + sum) & 255);
    }
    if (threadIdx.x == 0)
        ring[(size_t)((run.pos + run.n - 1) % 2) * cols + k] = (uint8_t)phase;
}

cudaError_t mbi_cuda_turn_at(const int16_t *p, size_t stride, int16_t *phi, uint32_t cols,
                             size_t memory, const struct mbi_cuda_run *runs, uint32_t n_runs,
                             uint32_t max_n, cudaStream_t stream)
{
    const uint32_t warps =
        max_n < TURN_THREADS ? (max_n + MBI_WARP - 1) / MBI_WARP : TURN_THREADS / MBI_WARP;

    return mbi_launch(turn_kernel, dim3(cols, n_runs), warps * MBI_WARP, warps * sizeof(uint32_t),
                      stream, p, stride, phi, cols, memory, runs);
}

cudaError_t mbi_cuda_turn(const struct mbi_cuda_node *n, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, cudaStream_t stream)
{
    return mbi_cuda_turn_at((const int16_t *)n->in[0], n->cols, (int16_t *)n->out, n->cols,
                            n->memory, runs, n_runs, max_n, stream);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA on the host, as much of it as cuda/ and lib/train/cuda/ use: every thread of a block is a
 * fiber that runs until it waits. So the kernels themselves, not models of them, are compared with
 * the reference where there is no GPU, and sanitizers see their memory. It is slow.
 *
 * A stream does everything at once, in order; while it is captured it writes down what it is given.
 * Device memory is host memory, filled with a pattern when it is new. A block whose threads wait at
 * different places for ever stops the program with a sentence.
 */
#ifndef MBI_TESTS_CUDA_EMULATE_H
#define MBI_TESTS_CUDA_EMULATE_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict
#define __constant__ static const
#define __ldg(p) (*(p))
#define __ldcs(p) (*(p))
#define __stwb(p, v) ((void)(*(p) = (v)))
#define MBI_UNROLL
#define MBI_NO_UNROLL
#define MBI_CALLED

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return uint4{x, y, z, w};
}

/* ---- fibers ---- */

/* A copy in the background: it is done when its group is waited for, and no sooner. */
struct mbi_emu_copy {
    void *to;
    const void *from;
    size_t size;
    unsigned group;
};

struct mbi_emu_thread {
    dim3 thread, block, block_size, grid;
    char *shared;
    uint64_t exchange;    /* what this lane gives to its warp */
    const uint64_t *warp; /* what the lanes of its warp gave, after a warp's barrier */
    unsigned lane;
    uint32_t a[4], b[2]; /* of a matrix product */
    std::vector<mbi_emu_copy> copies;
    unsigned groups; /* of copies that were closed */
};

enum mbi_emu_wait { MBI_EMU_WARP = 1, MBI_EMU_BLOCK, MBI_EMU_WORD };

extern mbi_emu_thread *mbi_emu_self;
void mbi_emu_yield(mbi_emu_wait at);
void mbi_emu_run(dim3 grid, unsigned block, size_t shared, bool together,
                 const std::function<void()> &body);
/* Other lanes of this warp, by number; valid until this lane's next exchange. */
mbi_emu_thread *mbi_emu_lane(unsigned lane);

#define threadIdx (mbi_emu_self->thread)
#define blockIdx (mbi_emu_self->block)
#define blockDim (mbi_emu_self->block_size)
#define gridDim (mbi_emu_self->grid)

static inline void __syncthreads(void) { mbi_emu_yield(MBI_EMU_BLOCK); }
static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    (void)mask;
    mbi_emu_yield(MBI_EMU_WARP);
}
static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}

static inline char *mbi_shared(void) { return mbi_emu_self->shared; }

/* The lanes give, all wait, each takes, all wait again before the next gives. */
template <class T> static inline T mbi_emu_take(T v, unsigned from)
{
    uint64_t bits = 0;
    T out;

    memcpy(&bits, &v, sizeof(v));
    mbi_emu_self->exchange = bits;
    mbi_emu_yield(MBI_EMU_WARP);
    bits = mbi_emu_lane(from)->exchange;
    memcpy(&out, &bits, sizeof(out));
    mbi_emu_yield(MBI_EMU_WARP);
    return out;
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int d, int width = 32)
{
    (void)width;
    return mbi_emu_take(v, mbi_emu_self->lane ^ (unsigned)d);
}
template <class T> static inline T __shfl_sync(unsigned, T v, int from, int width = 32)
{
    return mbi_emu_take(v, (mbi_emu_self->lane & ~(unsigned)(width - 1)) |
                               ((unsigned)from & (unsigned)(width - 1)));
}
template <class T> static inline T __shfl_up_sync(unsigned, T v, unsigned d, int width = 32)
{
    const unsigned in = mbi_emu_self->lane & (unsigned)(width - 1);

    return mbi_emu_take(v, in >= d ? mbi_emu_self->lane - d : mbi_emu_self->lane);
}
template <class T> static inline T __shfl_down_sync(unsigned, T v, unsigned d, int width = 32)
{
    const unsigned in = mbi_emu_self->lane & (unsigned)(width - 1);

    return mbi_emu_take(v, in + d < (unsigned)width ? mbi_emu_self->lane + d : mbi_emu_self->lane);
}
static inline unsigned __ballot_sync(unsigned, int pred)
{
    unsigned bits = 0;

    mbi_emu_self->exchange = pred != 0;
    mbi_emu_yield(MBI_EMU_WARP);
    for (unsigned i = 0; i < 32; i++)
        bits |= (unsigned)mbi_emu_lane(i)->exchange << i;
    mbi_emu_yield(MBI_EMU_WARP);
    return bits;
}

template <class T> static inline T atomicAdd(T *p, T v)
{
    const T old = *p;

    *p = old + v;
    return old;
}
template <class T> static inline T atomicMax(T *p, T v)
{
    const T old = *p;

    *p = v > old ? v : old;
    return old;
}
static inline uint64_t __umul64hi(uint64_t a, uint64_t b)
{
    return (uint64_t)(((unsigned __int128)a * b) >> 64);
}
static inline uint32_t __umulhi(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a * b) >> 32);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }

/* ---- the instructions of cuda/device.h ---- */

static inline int32_t mbi_dot4(int32_t a, int32_t b, int32_t c)
{
    for (int i = 0; i < 4; i++)
        c += (int8_t)((uint32_t)a >> 8 * i) * (int8_t)((uint32_t)b >> 8 * i);
    return c;
}

static inline int32_t mbi_emu_byte(uint32_t word, unsigned k, bool u8)
{
    const uint32_t v = word >> 8 * (k % 4);

    return u8 ? (int32_t)(uint8_t)v : (int32_t)(int8_t)v;
}

static inline int64_t mbi_mul_add(int32_t a, int32_t b, int64_t c) { return (int64_t)a * b + c; }
static inline int32_t mbi_add_sat(int32_t a, int32_t b)
{
    const int64_t sum = (int64_t)a + b;

    return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

static inline void mbi_emu_mma(int32_t c[4], const uint32_t a[4], const uint32_t b[2], bool a_u8,
                               bool b_u8)
{
    mbi_emu_thread *self = mbi_emu_self;
    const unsigned g = self->lane / 4, t = self->lane % 4;

    memcpy(self->a, a, sizeof(self->a));
    memcpy(self->b, b, sizeof(self->b));
    mbi_emu_yield(MBI_EMU_WARP);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = g + 8 * (i / 2), col = 2 * t + i % 2;
        int32_t sum = 0;

        for (unsigned k = 0; k < 32; k++) {
            const mbi_emu_thread *x = mbi_emu_lane(row % 8 * 4 + k % 16 / 4);
            const mbi_emu_thread *y = mbi_emu_lane(col * 4 + k % 16 / 4);

            sum += mbi_emu_byte(x->a[row / 8 + 2 * (k / 16)], k, a_u8) *
                   mbi_emu_byte(y->b[k / 16], k, b_u8);
        }
        c[i] = (int32_t)((uint32_t)c[i] + (uint32_t)sum);
    }
    mbi_emu_yield(MBI_EMU_WARP);
}
static inline void mbi_mma(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    mbi_emu_mma(c, a, b, false, false);
}
static inline void mbi_mma_u8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    mbi_emu_mma(c, a, b, false, true);
}
static inline void mbi_mma_u8_s8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    mbi_emu_mma(c, a, b, true, false);
}
static inline void mbi_mma_u8_u8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    mbi_emu_mma(c, a, b, true, true);
}
static inline uint32_t mbi_bytes(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t all = (uint64_t)b << 32 | a;
    uint32_t out = 0;

    for (unsigned k = 0; k < 4; k++)
        out |= (uint32_t)(uint8_t)(all >> 8 * ((selector >> 4 * k) & 7)) << 8 * k;
    return out;
}

static inline void mbi_load_matrices(uint32_t r[4], const void *row)
{
    mbi_emu_thread *self = mbi_emu_self;

    if ((uintptr_t)row % 16) {
        fprintf(stderr, "emulated CUDA: a row of a matrix that is not aligned\n");
        abort();
    }
    self->exchange = (uint64_t)(uintptr_t)row;
    mbi_emu_yield(MBI_EMU_WARP);
    for (unsigned i = 0; i < 4; i++)
        memcpy(&r[i],
               (const char *)(uintptr_t)mbi_emu_lane(8 * i + self->lane / 4)->exchange +
                   4 * (self->lane % 4),
               4);
    mbi_emu_yield(MBI_EMU_WARP);
}

#define MBI_WIDE
static inline void mbi_wide_mma(int32_t c[16][4], const uint32_t a[4], const void *b)
{
    const unsigned g = mbi_emu_self->lane / 4, t = mbi_emu_self->lane % 4;

    for (unsigned j = 0; j < 16; j++) {
        uint32_t v[2];

        for (unsigned i = 0; i < 2; i++) {
            const uintptr_t at = (uintptr_t)b + 128 * (8 * j + g) + 16 * i + 4 * t;

            memcpy(&v[i], (const void *)(at ^ (at >> 7 & 7) << 4), 4);
        }
        mbi_emu_mma(c[j], a, v, false, false);
    }
}
static inline void mbi_wide_publish(void) {}
static inline void mbi_wide_begin(void) {}
static inline void mbi_wide_commit(void) {}
template <int n> static inline void mbi_wide_wait(void) {}
static inline void mbi_wide_made(uint32_t[4]) {}
static inline void mbi_wide_read(int32_t[16][4]) {}

static inline void mbi_prefetch(const void *p) { (void)*(const volatile char *)p; }
static inline uint4 mbi_stream(const uint4 *p) { return *p; }
static inline void mbi_emu_copy_later(void *shared, const void *global, size_t size)
{
    if ((uintptr_t)shared % size || (uintptr_t)global % size) {
        fprintf(stderr, "emulated CUDA: a copy of %zu bytes that is not aligned\n", size);
        abort();
    }
    mbi_emu_self->copies.push_back({shared, global, size, mbi_emu_self->groups});
}
static inline void mbi_copy16(void *shared, const void *global, bool wanted)
{
    alignas(16) static const char zero[16] = {0};

    mbi_emu_copy_later(shared, wanted ? global : zero, 16);
}
static inline void mbi_copy4(void *shared, const void *global)
{
    mbi_emu_copy_later(shared, global, 4);
}
static inline void mbi_copy_commit(void) { mbi_emu_self->groups++; }
template <int n> static inline void mbi_copy_wait(void)
{
    std::vector<mbi_emu_copy> &c = mbi_emu_self->copies;
    size_t done = 0;

    for (; done < c.size() && c[done].group + n < mbi_emu_self->groups; done++)
        memcpy(c[done].to, c[done].from, c[done].size);
    c.erase(c.begin(), c.begin() + (std::ptrdiff_t)done);
}

static inline void mbi_word_put(uint64_t *word, int32_t v, uint32_t tag)
{
    *word = (uint64_t)tag << 32 | (uint32_t)v;
}
static inline uint64_t mbi_word_look(const uint64_t *word) { return *word; }
static inline void mbi_word_pause(void) { mbi_emu_yield(MBI_EMU_WORD); }

/* ---- the runtime ---- */

typedef int cudaError_t;
enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorNoDevice = 100,
    cudaErrorInsufficientDriver = 35
};
struct mbi_emu_stream {
    bool capturing;
    std::vector<std::function<void()>> work;
};
typedef mbi_emu_stream *cudaStream_t;
typedef std::vector<std::function<void()>> *cudaGraph_t;
typedef std::vector<std::function<void()>> *cudaGraphExec_t;
typedef struct mbi_emu_event *cudaEvent_t;
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrMaxSharedMemoryPerBlockOptin,
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrCooperativeLaunch
};

const char *cudaGetErrorString(cudaError_t e);
const char *cudaGetErrorName(cudaError_t e);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaMalloc(void **p, size_t size);
cudaError_t cudaFree(void *p);
cudaError_t cudaHostAlloc(void **p, size_t size, unsigned flags);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind kind,
                            cudaStream_t s);
cudaError_t cudaMemset(void *p, int v, size_t size);
cudaError_t cudaMemsetAsync(void *p, int v, size_t size, cudaStream_t s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaEventDestroy(cudaEvent_t e);

template <class F> static inline cudaError_t cudaFuncSetAttribute(F *, cudaFuncAttribute, int)
{
    return cudaSuccess;
}
template <class F>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, F *, int, size_t)
{
    *n = 1;
    return cudaSuccess;
}

cudaError_t mbi_emu_do(cudaStream_t s, std::function<void()> work);

template <class... A, class... B>
static inline cudaError_t mbi_launch(void (*kernel)(A...), dim3 grid, unsigned block, size_t shared,
                                     cudaStream_t stream, B... args)
{
    return mbi_emu_do(
        stream, [=] { mbi_emu_run(grid, block, shared, false, [=] { kernel(A(args)...); }); });
}
template <class... A, class... B>
static inline cudaError_t mbi_launch_together(void (*kernel)(A...), dim3 grid, unsigned block,
                                              size_t shared, cudaStream_t stream, B... args)
{
    return mbi_emu_do(stream,
                      [=] { mbi_emu_run(grid, block, shared, true, [=] { kernel(A(args)...); }); });
}

#endif

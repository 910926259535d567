/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the CUDA backend starts from: CUDA itself, or tests/cuda/emulate.h, which runs
 * the same kernels on the host, thread by thread, where there is no GPU. The differences between
 * the two end here: how a kernel is started, its shared memory, and the instructions that C++
 * lacks.
 *
 * Kernels take whole warps into every exchange (the mask is always full) and whole blocks to every
 * barrier; the emulator stops where one does not.
 */
#ifndef MBI_CUDA_DEVICE_H
#define MBI_CUDA_DEVICE_H

#ifdef MBI_EMULATE
#include "tests/cuda/emulate.h"
#else
#include <cuda_runtime.h>
#endif

extern "C" {
#include "base/intmath.h"
#include "base/module.h"
#include "exec/backend.h"
#include "exec/profile.h"
#include "op/op_list.h"
}

#define MBI_WARP 32
#define MBI_FULL 0xffffffffu

#ifndef MBI_EMULATE

/* Before a loop: write out all of its turns, which keeps arrays in registers; or none. */
#define MBI_UNROLL _Pragma("unroll")
#define MBI_NO_UNROLL _Pragma("unroll 1")

/* A function that is seldom or never waited for, and takes no room where it is called. */
#define MBI_CALLED __noinline__

/* Start a kernel; the error is that of the start alone. */
template <class... A, class... B>
static inline cudaError_t mbi_launch(void (*kernel)(A...), dim3 grid, unsigned block, size_t shared,
                                     cudaStream_t stream, B... args)
{
    kernel<<<grid, block, shared, stream>>>(A(args)...);
    return cudaGetLastError();
}

/* The same with all blocks on the device at once, so that they can wait for each other. */
template <class... A, class... B>
static inline cudaError_t mbi_launch_together(void (*kernel)(A...), dim3 grid, unsigned block,
                                              size_t shared, cudaStream_t stream, B... args)
{
    void *pointer[sizeof...(A)] = {(void *)&args...};

    return cudaLaunchCooperativeKernel((const void *)kernel, grid, dim3(block), pointer, shared,
                                       stream);
}

/* The shared memory of a block that its start asked for; aligned to 16 bytes. */
static __device__ __forceinline__ char *mbi_shared(void)
{
    extern __shared__ __align__(16) char shared[];
    return shared;
}

/* Sums of products of four signed bytes each, added to c. */
static __device__ __forceinline__ int32_t mbi_dot4(int32_t a, int32_t b, int32_t c)
{
    return __dp4a(a, b, c);
}

/* a b + c, which must fit. */
static __device__ __forceinline__ int64_t mbi_mul_add(int32_t a, int32_t b, int64_t c)
{
    asm("mad.wide.s32 %0, %1, %2, %0;" : "+l"(c) : "r"(a), "r"(b));
    return c;
}

/* a + b, at the ends of the int32 where it is beyond them. */
static __device__ __forceinline__ int32_t mbi_add_sat(int32_t a, int32_t b)
{
    asm("add.sat.s32 %0, %0, %1;" : "+r"(a) : "r"(b));
    return a;
}

/*
 * C[16 x 8] += A[16 x 32] B[32 x 8], bytes, by a whole warp. Lane l holds, with g = l / 4 and
 * t = 4 (l % 4): a[0] = A[g][t..], a[1] = A[g + 8][t..], a[2] = A[g][t + 16..],
 * a[3] = A[g + 8][t + 16..]; b[0] = B[t..][g], b[1] = B[t + 16..][g]; c[0..1] = C[g][2 (l % 4)..],
 * c[2..3] = C[g + 8][2 (l % 4)..]. Before compute 8.0 the same from products of half the size.
 */
static __device__ __forceinline__ void mbi_mma(int32_t c[4], const uint32_t a[4],
                                               const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+r"(c[2 * (i & 1)]), "+r"(c[2 * (i & 1) + 1])
            : "r"(a[i]), "r"(b[i >> 1]));
#endif
}

/* The same with the bytes of B unsigned. */
static __device__ __forceinline__ void mbi_mma_u8(int32_t c[4], const uint32_t a[4],
                                                  const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.u8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+r"(c[2 * (i & 1)]), "+r"(c[2 * (i & 1) + 1])
            : "r"(a[i]), "r"(b[i >> 1]));
#endif
}

/* The same with the bytes of A unsigned, and those of B signed. */
static __device__ __forceinline__ void mbi_mma_u8_s8(int32_t c[4], const uint32_t a[4],
                                                     const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+r"(c[2 * (i & 1)]), "+r"(c[2 * (i & 1) + 1])
            : "r"(a[i]), "r"(b[i >> 1]));
#endif
}

/* The same with all bytes unsigned. */
static __device__ __forceinline__ void mbi_mma_u8_u8(int32_t c[4], const uint32_t a[4],
                                                     const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; i++)
        asm("mma.sync.aligned.m8n8k16.row.col.s32.u8.u8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
            : "+r"(c[2 * (i & 1)]), "+r"(c[2 * (i & 1) + 1])
            : "r"(a[i]), "r"(b[i >> 1]));
#endif
}

/*
 * Four matrices of 8 rows of 16 bytes from shared memory, by a whole warp: lane l gives the
 * address of row l % 8 of matrix l / 8 and gets bytes 4 (l % 4).. of row l / 4 of each. Rows are
 * aligned to 16 bytes and may coincide.
 */
static __device__ __forceinline__ void mbi_load_matrices(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* Byte k of the result is byte (selector >> 4 k) & 7 of the eight of a, then b. */
static __device__ __forceinline__ uint32_t mbi_bytes(uint32_t a, uint32_t b, uint32_t selector)
{
    return __byte_perm(a, b, selector);
}

/*
 * C[64 x 128] += A[64 x 32] B[32 x 128], bytes, by four warps that belong together, in the
 * background. Warp w has rows 16 w .. of A and C as mbi_mma() has them, c[j] for columns 8 j ..; b
 * is the first byte of column 0 in shared memory. Columns are 128 bytes apart, in a region that
 * starts at a multiple of 1024, and bits 4 .. 6 of the address of a byte are those of its offset
 * xor bits 7 .. 9. Before the first: mbi_wide_begin(); after the last: mbi_wide_commit() closes a
 * group, and mbi_wide_wait<n>() waits until at most the n youngest groups are under way. Until then
 * neither a, b nor c may be touched. Only where MBI_WIDE is defined.
 */
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define MBI_WIDE
static __device__ __forceinline__ void mbi_wide_mma(int32_t c[16][4], const uint32_t a[4],
                                                    const void *b)
{
    const uint64_t where = (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 16 |
                           ((uint32_t)__cvta_generic_to_shared(b) & 0x3ffff) >> 4;

    asm volatile("{ .reg .pred add; setp.ne.b32 add, 1, 0; "
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "
                 "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "
                 "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "
                 "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
                 "}, {%64, %65, %66, %67}, %68, add; }"
                 : "+r"(c[0][0]), "+r"(c[0][1]), "+r"(c[0][2]), "+r"(c[0][3]), "+r"(c[1][0]),
                   "+r"(c[1][1]), "+r"(c[1][2]), "+r"(c[1][3]), "+r"(c[2][0]), "+r"(c[2][1]),
                   "+r"(c[2][2]), "+r"(c[2][3]), "+r"(c[3][0]), "+r"(c[3][1]), "+r"(c[3][2]),
                   "+r"(c[3][3]), "+r"(c[4][0]), "+r"(c[4][1]), "+r"(c[4][2]), "+r"(c[4][3]),
                   "+r"(c[5][0]), "+r"(c[5][1]), "+r"(c[5][2]), "+r"(c[5][3]), "+r"(c[6][0]),
                   "+r"(c[6][1]), "+r"(c[6][2]), "+r"(c[6][3]), "+r"(c[7][0]), "+r"(c[7][1]),
                   "+r"(c[7][2]), "+r"(c[7][3]), "+r"(c[8][0]), "+r"(c[8][1]), "+r"(c[8][2]),
                   "+r"(c[8][3]), "+r"(c[9][0]), "+r"(c[9][1]), "+r"(c[9][2]), "+r"(c[9][3]),
                   "+r"(c[10][0]), "+r"(c[10][1]), "+r"(c[10][2]), "+r"(c[10][3]), "+r"(c[11][0]),
                   "+r"(c[11][1]), "+r"(c[11][2]), "+r"(c[11][3]), "+r"(c[12][0]), "+r"(c[12][1]),
                   "+r"(c[12][2]), "+r"(c[12][3]), "+r"(c[13][0]), "+r"(c[13][1]), "+r"(c[13][2]),
                   "+r"(c[13][3]), "+r"(c[14][0]), "+r"(c[14][1]), "+r"(c[14][2]), "+r"(c[14][3]),
                   "+r"(c[15][0]), "+r"(c[15][1]), "+r"(c[15][2]), "+r"(c[15][3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(where));
}

/* What copies wrote to shared memory is visible to the products after the next barrier. */
static __device__ __forceinline__ void mbi_wide_publish(void)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
static __device__ __forceinline__ void mbi_wide_begin(void)
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
static __device__ __forceinline__ void mbi_wide_commit(void)
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int n> static __device__ __forceinline__ void mbi_wide_wait(void)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}
/* The compiler may not make a after here. */
static __device__ __forceinline__ void mbi_wide_made(uint32_t a[4])
{
    asm volatile("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3])::"memory");
}
/* The compiler may not read c before here. */
static __device__ __forceinline__ void mbi_wide_read(int32_t c[16][4])
{
#pragma unroll
    for (int i = 0; i < 64; i++)
        asm volatile("" : "+r"(c[i / 4][i % 4])::"memory");
}
#endif

/* Asks for a line of device memory to come nearer. */
static __device__ __forceinline__ void mbi_prefetch(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

/* Reads data that no kernel under way writes and that is used once. */
static __device__ __forceinline__ uint4 mbi_stream(const uint4 *p) { return __ldcs(p); }

/*
 * 16 bytes from device to shared memory in the background, or 16 zero bytes. A commit closes a
 * group of them; mbi_copy_wait<n>() waits until at most the n youngest groups are under way. Before
 * compute 8.0 they are plain copies.
 */
static __device__ __forceinline__ void mbi_copy16(void *shared, const void *global, bool wanted)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(wanted ? 16 : 0));
#else
    *(uint4 *)shared = wanted ? *(const uint4 *)global : make_uint4(0, 0, 0, 0);
#endif
}

static __device__ __forceinline__ void mbi_copy_commit(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;");
#endif
}

template <int n> static __device__ __forceinline__ void mbi_copy_wait(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(n));
#endif
}

/* 4 bytes in the background, as mbi_copy16(). */
static __device__ __forceinline__ void mbi_copy4(void *shared, const void *global)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global));
#else
    *(uint32_t *)shared = *(const uint32_t *)global;
#endif
}

/*
 * A word in device memory with which one block tells others a value: the value below, above it a
 * tag that says which. As both go in one piece, who sees the tag has the value, and no barrier is
 * needed; but nothing else that was written before is promised to be seen.
 */
static __device__ __forceinline__ void mbi_word_put(uint64_t *word, int32_t v, uint32_t tag)
{
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(word),
                 "l"((uint64_t)tag << 32 | (uint32_t)v));
}

static __device__ __forceinline__ uint64_t mbi_word_look(const uint64_t *word)
{
    uint64_t w;

    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(w) : "l"(word));
    return w;
}

/* Between two looks. */
static __device__ __forceinline__ void mbi_word_pause(void)
{
#ifdef MBI_WORD_PAUSE
    __nanosleep(MBI_WORD_PAUSE);
#endif
}

#endif /* !MBI_EMULATE */

/* The value of a word that was looked at, once it has this tag. Only in kernels whose blocks were
 * started together. */
static __device__ __forceinline__ int32_t mbi_word_take(uint64_t seen, const uint64_t *word,
                                                        uint32_t tag)
{
    while ((uint32_t)(seen >> 32) != tag) {
        mbi_word_pause();
        seen = mbi_word_look(word);
    }
    return (int32_t)(uint32_t)seen;
}

static __device__ __forceinline__ int32_t mbi_max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static __device__ __forceinline__ int32_t mbi_clamp_i32(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* rsh by 0 to 31, without the sum that could leave 32 bits, and without a branch. */
static __device__ __forceinline__ int32_t mbi_rsh_any(int32_t v, int s)
{
    return (v >> s) + (int32_t)(((uint32_t)v << 1 >> s) & 1);
}

/* rsh in 32 bits where nothing can leave them: half up without the sum that could. */
static __device__ __forceinline__ int64_t mbi_rsh_i32(int32_t v, int s)
{
    return s > 0 && s < 32 ? (v >> s) + ((v >> (s - 1)) & 1) : mbi_rshift_half_up(v, s);
}

/* ---- sums and extremes over a warp; but for the first, every lane gets the result ---- */

/* Sum over the lanes up to this one, modulo 2^32. */
static __device__ __forceinline__ uint32_t mbi_warp_prefix_sum(uint32_t v)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;

    for (unsigned d = 1; d < MBI_WARP; d *= 2) {
        const uint32_t before = __shfl_up_sync(MBI_FULL, v, d);

        v += lane >= d ? before : 0;
    }
    return v;
}

/* Of values below 2^48: from compute 8.0 on in two halves of 24 bits, whose sums fit 32. */
static __device__ __forceinline__ uint64_t mbi_warp_sum_u48(uint64_t v)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(MBI_FULL, (uint32_t)v & 0xffffff) +
           ((uint64_t)__reduce_add_sync(MBI_FULL, (uint32_t)(v >> 24)) << 24);
#else
    for (int d = MBI_WARP / 2; d; d /= 2)
        v += __shfl_xor_sync(MBI_FULL, (unsigned long long)v, d);
    return v;
#endif
}

static __device__ __forceinline__ int32_t mbi_warp_max(int32_t v)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(MBI_FULL, v);
#else
    for (int d = MBI_WARP / 2; d; d /= 2) {
        const int32_t w = __shfl_xor_sync(MBI_FULL, v, d);

        v = w > v ? w : v;
    }
    return v;
#endif
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with matrices on a GPU: compares every kernel of cuda/matrix.cu with a plain one on the
 * device, then times them by events, many in a graph, on copies of the matrix in turn so that the
 * cache holds none. Prints shares of what the device reaches at best, and in the end a short table.
 *
 *   nvcc -std=c++17 -O3 -arch=sm_90a -DMBI_CUDA_SM90A -I. -Ilib -Iinclude \
 *       tests/cuda/bench_matrix.cu
 */
#include "cuda/matrix.cu"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

static void must(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}
#define MUST(call) must(call, #call)

static const char *const choice_name[] = {"dot1",   "dot2",  "dot4", "dot8",      "large",
                                          "middle", "small", "wide", "wide-small"};

/* ---- plain kernels ---- */

static __global__ void fill_kernel(uint8_t *p, size_t n, uint32_t seed, bool ternary)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        uint64_t h = (i + seed) * 0x9e3779b97f4a7c15u;

        h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
        p[i] = (uint8_t)h;
        if (ternary) {
            uint32_t v = 0;

            for (int k = 0; k < 4; k++)
                v |= ((uint32_t)(h >> 8 * k) & 255) % 3 << 2 * k;
            p[i] = (uint8_t)v;
        }
    }
}

/* One thread an output; counts those that differ. */
static __global__ void compare_kernel(struct product p, const uint8_t *raw, unsigned *differ)
{
    const size_t n = (size_t)p.lanes * p.m.rows;
    const size_t size = p.m.dtype == MBI_TERNARY ? (p.m.cols + 3) / 4 : p.m.cols;

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        const uint32_t row = (uint32_t)(i % p.m.rows);
        const size_t lane = i / p.m.rows;
        int32_t sum = 0;
        int64_t v, got;

        for (uint32_t k = 0; k < p.m.cols; k++) {
            const int32_t w = p.m.dtype == MBI_TERNARY
                                  ? (raw[row * size + k / 4] >> 2 * (k % 4) & 3) - 1
                                  : (int8_t)raw[row * size + k];
            const int32_t x = p.x_dtype == MBI_I16 ? ((const int16_t *)p.x)[lane * p.m.cols + k]
                                                   : ((const int8_t *)p.x)[lane * p.m.cols + k];

            sum += w * x;
        }
        v = mbi_finished(&p.finish, sum, row, i);
        got = p.finish.dtype == MBI_I8    ? ((const int8_t *)p.finish.out)[i]
              : p.finish.dtype == MBI_I16 ? ((const int16_t *)p.finish.out)[i]
                                          : ((const int32_t *)p.finish.out)[i];
        v = p.finish.dtype == MBI_I8 ? (int8_t)v : p.finish.dtype == MBI_I16 ? (int16_t)v : v;
        if (v != got)
            atomicAdd(differ, 1u);
    }
}

static __global__ void read_kernel(const uint4 *p, size_t n, uint32_t *out)
{
    uint32_t v = 0;
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

    for (; i + 3 * stride < n; i += 4 * stride) {
        uint4 w[4];

#pragma unroll
        for (int k = 0; k < 4; k++)
            w[k] = mbi_stream(p + i + k * stride);
#pragma unroll
        for (int k = 0; k < 4; k++)
            v ^= w[k].x ^ w[k].y ^ w[k].z ^ w[k].w;
    }
    if (v == 0x12345678)
        *out = v;
}

/* Products of registers alone. */
static __global__ __launch_bounds__(256) void peak_kernel(int32_t *out, int n)
{
    int32_t c[16][4] = {};
    const uint32_t a[4] = {threadIdx.x, 1, 2, 3};
    const uint32_t b[2] = {threadIdx.x, 5};
    int32_t v = 0;

    for (int i = 0; i < n; i++)
#pragma unroll
        for (int k = 0; k < 16; k++)
            mbi_mma(c[k], a, b);
    for (int k = 0; k < 16; k++)
        for (int i = 0; i < 4; i++)
            v += c[k][i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = v;
}

/* The same with the products of four warps together; x is any bytes in shared memory. */
static __global__ __launch_bounds__(256) void wide_peak_kernel(int32_t *out, int n)
{
#ifdef MBI_WIDE
    char *const base = mbi_shared();
    uint8_t *const x = (uint8_t *)base + (1024 - (uintptr_t)base % 1024) % 1024;
    uint32_t a[4] = {threadIdx.x * 0x9e3779b9u, 0x85ebca6bu, 0xc2b2ae35u, 0x27d4eb2fu};
    int32_t c[16][4] = {};
    int32_t v = 0;

    for (uint32_t i = threadIdx.x; i < 128 * 128; i += blockDim.x)
        x[i] = (uint8_t)(i * 0x9e3779b9u >> 24);
    mbi_wide_publish();
    __syncthreads();
    for (int i = 0; i < n; i++) {
        mbi_wide_begin();
#pragma unroll
        for (int q = 0; q < 4; q++)
            mbi_wide_mma(c, a, x + 32 * q);
        mbi_wide_commit();
        mbi_wide_wait<0>();
    }
    mbi_wide_read(c);
    for (int j = 0; j < 64; j++)
        v += c[j / 4][j % 4];
    out[blockIdx.x * blockDim.x + threadIdx.x] = v;
#endif
}

/* ---- timing ---- */

static cudaStream_t stream;
static struct device device_info;

/* Median time of a call of `work`, in seconds: `calls` of them in a graph, nine times. */
template <class F> static double seconds(int calls, F work)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t from, to;
    std::vector<float> ms;

    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < calls; i++)
        work(i);
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&exec, graph, 0));
    MUST(cudaEventCreate(&from));
    MUST(cudaEventCreate(&to));
    for (int i = 0; i < 9; i++) {
        float t;

        MUST(cudaEventRecord(from, stream));
        MUST(cudaGraphLaunch(exec, stream));
        MUST(cudaEventRecord(to, stream));
        MUST(cudaEventSynchronize(to));
        MUST(cudaEventElapsedTime(&t, from, to));
        if (i > 1)
            ms.push_back(t);
    }
    std::sort(ms.begin(), ms.end());
    MUST(cudaGraphExecDestroy(exec));
    MUST(cudaGraphDestroy(graph));
    MUST(cudaEventDestroy(from));
    MUST(cudaEventDestroy(to));
    return ms[ms.size() / 2] * 1e-3 / calls;
}

static uint8_t *allocate(size_t n)
{
    void *p = NULL;

    MUST(cudaMalloc(&p, n));
    return (uint8_t *)p;
}

static void fill(uint8_t *p, size_t n, uint32_t seed, bool ternary)
{
    fill_kernel<<<2048, 256, 0, stream>>>(p, n, seed, ternary);
    MUST(cudaGetLastError());
}

/* ---- what the device reaches ---- */

static double best_read, best_mma, best_wide;

static void measure_device(void)
{
    const size_t n = (size_t)1 << 30;
    uint8_t *const a = allocate(n), *const b = allocate(n);
    double t;

    fill(a, n, 1, false);
    t = seconds(2, [&](int) { MUST(cudaMemcpyAsync(b, a, n, cudaMemcpyDeviceToDevice, stream)); });
    printf("copy: %.0f GB/s read and written\n", 2 * n / t * 1e-9);
    for (unsigned blocks = 4; blocks <= 16; blocks *= 2) {
        t = seconds(2, [&](int) {
            read_kernel<<<device_info.processors * blocks, 256, 0, stream>>>((const uint4 *)a,
                                                                             n / 16, (uint32_t *)b);
        });
        best_read = std::max(best_read, n / t);
    }
    printf("read: %.0f GB/s\n", best_read * 1e-9);
    for (unsigned blocks = 1; blocks <= 4; blocks *= 2) {
        const int rounds = 4000;

        t = seconds(1, [&](int) {
            peak_kernel<<<device_info.processors * blocks, 256, 0, stream>>>((int32_t *)b, rounds);
        });
        best_mma =
            std::max(best_mma, device_info.processors * blocks * 8.0 * rounds * 16 * 4096 * 2 / t);
    }
    printf("mma.sync int8: %.0f TOPS, %.0f %% of 1979\n", best_mma * 1e-12,
           best_mma / 1979e12 * 100);
    if (device_info.wide) {
        const int rounds = 4000;
        const unsigned blocks = 2 * device_info.processors;

        t = seconds(1, [&](int) {
            wide_peak_kernel<<<blocks, 256, 1024 + 128 * 128, stream>>>((int32_t *)b, rounds);
        });
        best_wide = blocks * 2.0 * rounds * 4 * 64 * 128 * 32 * 2 / t;
        printf("wgmma int8, 64 x 128: %.0f TOPS, %.0f %% of 1979\n", best_wide * 1e-12,
               best_wide / 1979e12 * 100);
    }
    MUST(cudaFree(a));
    MUST(cudaFree(b));
}

/* ---- matrices ---- */

struct matrix {
    uint8_t *raw;
    std::vector<uint8_t *> packed;
    struct mbi_cuda_matrix m;
};

static struct matrix matrix_new(uint32_t dtype, uint32_t rows, uint32_t cols, bool once)
{
    const size_t size = mbi_cuda_packed_size(dtype, rows, cols);
    const size_t raw = (size_t)rows * (dtype == MBI_TERNARY ? (cols + 3) / 4 : cols);
    const size_t copies = once ? 1 : std::min<size_t>(64, ((size_t)200 << 20) / size + 2);
    struct matrix w = {allocate(raw), {}, {NULL, dtype, rows, cols}};

    fill(w.raw, raw, 77, dtype == MBI_TERNARY);
    for (size_t i = 0; i < copies; i++) {
        w.packed.push_back(allocate(size));
        MUST(mbi_cuda_pack(w.packed[i], w.raw, dtype, rows, cols, stream));
    }
    w.m.packed = w.packed[0];
    return w;
}

static void matrix_free(struct matrix *w)
{
    MUST(cudaStreamSynchronize(stream));
    MUST(cudaFree(w->raw));
    for (uint8_t *p : w->packed)
        MUST(cudaFree(p));
}

/* What products have in common: room for x, out, add, and the numbers of requant_rows and _mul. */
static uint8_t *x_memory, *out_memory, *add_memory, *exponents, *scale;

static struct product product_new(const struct matrix *w, uint32_t x_dtype, uint32_t lanes,
                                  int kind, uint32_t dtype, bool add)
{
    struct product p = {};

    p.m = w->m;
    p.x = x_memory;
    p.x_dtype = x_dtype;
    p.lanes = lanes;
    p.finish.out = out_memory;
    p.finish.add = add ? (const int32_t *)add_memory : NULL;
    p.finish.exponent = (const int8_t *)exponents;
    p.finish.scale = (const int16_t *)scale;
    p.finish.dtype = dtype;
    p.finish.kind = kind;
    p.finish.shift = kind == MBI_FINISH_MUL ? 25 : 10;
    p.finish.lo = dtype == MBI_I8 ? -128 : dtype == MBI_I16 ? -32768 : -(1 << 23);
    p.finish.hi = -p.finish.lo - 1;
    p.finish.bits = dtype == MBI_I8 ? 8 : dtype == MBI_I16 ? 16 : 24;
    return p;
}

/* ---- right ---- */

static int compare_all(const struct product *p, const uint8_t *raw, unsigned *differ, int *done)
{
    const bool many = product_aligned(p);
    int wrong = 0;

    for (int choice = 0; choice < (many ? CHOICE_END : CHOICE_LARGE); choice++) {
        unsigned n = 0;

        if ((p->lanes > 600 && choice < CHOICE_DOT_8) ||
            (choice >= CHOICE_WIDE && !device_info.wide))
            continue;
        MUST(cudaMemsetAsync(out_memory, 0x5a, (size_t)p->lanes * p->m.rows * 4, stream));
        MUST(cudaMemsetAsync(differ, 0, 4, stream));
        MUST(product_start(p, choice, &device_info, stream));
        compare_kernel<<<1024, 256, 0, stream>>>(*p, raw, differ);
        MUST(cudaMemcpyAsync(&n, differ, 4, cudaMemcpyDeviceToHost, stream));
        MUST(cudaStreamSynchronize(stream));
        *done += 1;
        if (n) {
            printf("WRONG: %s, matrix of type %u, %u x %u, x of type %u, lanes %u, finish %d of "
                   "type %u, add %d: %u of %zu differ\n",
                   choice_name[choice], p->m.dtype, p->m.rows, p->m.cols, p->x_dtype, p->lanes,
                   p->finish.kind, p->finish.dtype, p->finish.add != NULL, n,
                   (size_t)p->lanes * p->m.rows);
            wrong++;
        }
    }
    return wrong;
}

static int check_all(void)
{
    static const uint32_t shape[][3] = {{3232, 768, 1},   {3232, 768, 8},  {768, 1536, 67},
                                        {8392, 2048, 17}, {515, 656, 300}, {1000, 333, 40},
                                        {80, 128, 5},     {136, 112, 513}, {2048, 4096, 129}};
    unsigned *const differ = (unsigned *)allocate(4);
    int wrong = 0, done = 0, turn = 0;

    for (const auto &s : shape)
        for (uint32_t dtype = MBI_TERNARY; dtype <= MBI_I8; dtype++) {
            struct matrix w = matrix_new(dtype, s[0], s[1], true);

            for (int kind = MBI_FINISH_NONE; kind <= MBI_FINISH_MUL; kind++, turn++) {
                const uint32_t out =
                    kind == MBI_FINISH_NONE ? (uint32_t)MBI_I32 : MBI_I8 + (uint32_t)turn % 3;
                const struct product p =
                    product_new(&w, turn % 5 == 4 && s[1] <= 512 ? MBI_I16 : MBI_I8, s[2], kind,
                                out, kind != MBI_FINISH_NONE && turn % 2);

                wrong += compare_all(&p, w.raw, differ, &done);
            }
            matrix_free(&w);
        }
    MUST(cudaFree(differ));
    printf("%d products compared with a plain kernel, %d wrong\n", done, wrong);
    return wrong;
}

/* ---- fast ---- */

struct line {
    std::string text;
};
static std::vector<line> table;

static double time_choice(const struct matrix *w, struct product p, int choice, int calls)
{
    return seconds(calls, [&](int i) {
        p.m.packed = w->packed[(size_t)i % w->packed.size()];
        MUST(product_start(&p, choice, &device_info, stream));
    });
}

/* One shape by every kernel that makes sense; the best, and the one chosen, go to the table. */
static void time_shape(const struct matrix *w, uint32_t lanes, int kind, uint32_t out, bool add)
{
    const struct product p = product_new(w, MBI_I8, lanes, kind, out, add);
    const int chosen = product_choice(&p, &device_info);
    const double bytes = (double)mbi_cuda_packed_size(p.m.dtype, p.m.rows, p.m.cols);
    const double ops = 2.0 * p.m.rows * p.m.cols * lanes;
    double best = 1e9, mine = 1e9;
    char text[256];
    int fastest = chosen;

    printf("%s %5u x %4u, lanes %4u%s:", p.m.dtype == MBI_TERNARY ? "ternary" : "int8   ", p.m.rows,
           p.m.cols, lanes, add ? ", add" : "");
    for (int choice = 0; choice < CHOICE_END; choice++) {
        const bool dot = choice < CHOICE_LARGE;
        const uint32_t room = dot ? 8u << choice : UINT32_MAX;
        double t;

        if (choice >= CHOICE_WIDE && !device_info.wide)
            continue;
        if (choice != chosen &&
            (lanes > 4 * room || (dot && lanes < room / 2 + 1) || (!dot && lanes <= 16)))
            continue;
        t = time_choice(w, p, choice, lanes <= 64 ? 32 : 6);
        printf(" %s %.2f us", choice_name[choice], t * 1e6);
        if (t < best) {
            best = t;
            fastest = choice;
        }
        if (choice == chosen)
            mine = t;
    }
    printf("\n");
    snprintf(
        text, sizeof(text),
        "%-7s %5u x %4u %5u%s %9.2f us  read %3.0f %%  mma %3.0f %%  of 1979 TOPS %4.1f %%  %s",
        p.m.dtype == MBI_TERNARY ? "ternary" : "int8", p.m.rows, p.m.cols, lanes, add ? "+" : " ",
        mine * 1e6, bytes / mine / best_read * 100, ops / mine / best_mma * 100,
        ops / mine / 1979e12 * 100, choice_name[chosen]);
    table.push_back({text});
    if (best < 0.97 * mine) {
        snprintf(text, sizeof(text), "        (%s: %.2f us)", choice_name[fastest], best * 1e6);
        table.push_back({text});
    }
}

static void time_all(void)
{
    static const uint32_t shape[][2] = {{3232, 768},  {768, 1536},  {50280, 768},
                                        {8392, 2048}, {2048, 4096}, {50280, 2048}};
    static const uint32_t lanes[] = {1, 8, 64, 512, 2048, 4096};

    for (uint32_t dtype = MBI_I8; dtype >= MBI_TERNARY; dtype--)
        for (const auto &s : shape) {
            struct matrix w = matrix_new(dtype, s[0], s[1], false);
            const double t = seconds(4, [&](int i) {
                MUST(mbi_cuda_pack(w.packed[(size_t)i % w.packed.size()], w.raw, dtype, s[0], s[1],
                                   stream));
            });

            printf("pack: %.1f us, %.0f GB/s of raw rows\n", t * 1e6,
                   (double)s[0] * s[1] / (dtype == MBI_TERNARY ? 4 : 1) / t * 1e-9);
            for (uint32_t n : lanes)
                time_shape(&w, n, MBI_FINISH_SHIFT, MBI_I8, false);
            if (s[0] <= 2048)
                for (uint32_t n : lanes)
                    time_shape(&w, n, MBI_FINISH_ROWS, MBI_I32, true);
            matrix_free(&w);
        }
}

int main(void)
{
    cudaDeviceProp prop;
    int wrong;

    MUST(cudaGetDeviceProperties(&prop, 0));
    MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    MUST(device_get(&device_info));
    printf("%s, %u processors, %u bytes shared\n", prop.name, device_info.processors,
           device_info.shared);
    x_memory = allocate((size_t)4096 * 4096 * 2);
    out_memory = allocate((size_t)4096 * 50288 * 4);
    add_memory = allocate((size_t)4096 * 8400 * 4);
    exponents = allocate(1 << 16);
    scale = allocate(16);
    fill(x_memory, (size_t)4096 * 4096 * 2, 5, false);
    fill(add_memory, (size_t)4096 * 8400 * 4, 6, false);
    MUST(cudaMemset(exponents, 3, 1 << 16));
    MUST(cudaMemset(scale, 0x5f, 16));
    MUST(cudaDeviceSynchronize());
    measure_device();
    wrong = check_all();
    time_all();
    printf("\n%s, read %.0f GB/s, mma.sync %.0f TOPS, wgmma %.0f; + is with an add of int32\n",
           prop.name, best_read * 1e-9, best_mma * 1e-12, best_wide * 1e-12);
    for (const line &l : table)
        printf("%s\n", l.text.c_str());
    printf("%s\n", wrong ? "SOME PRODUCTS ARE WRONG" : "all products are right");
    return wrong ? 1 : 0;
}

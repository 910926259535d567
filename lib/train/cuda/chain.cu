/* SPDX-License-Identifier: Apache-2.0 */
/* Chains made into arrays, and their sums over lanes or over neighbours. */
#include "train/cuda/chain.h"

#define BLOCK 256
#define SUM_LANES 128 /* lanes of one partial sum */
#define SUM_COLS 32
#define SUM_ROWS 32 /* of them at once; a thread has four columns, or one */

static bool aligned(const void *p, size_t size) { return (uintptr_t)p % size == 0; }

static size_t width_of(int32_t dtype)
{
    return dtype == MBI_I8 ? 1 : dtype == MBI_I16 ? 2 : dtype == MBI_I32 ? 4 : 8;
}

static bool stage_wide(const struct mbi_stage *s)
{
    if (s->shift % 4 || s->cols % 4)
        return false;
    if (s->kind == MBI_STAGE_REAL || s->group != 1)
        return true; /* element by element in any case */
    return aligned(s->q, s->dtype == MBI_I64 ? 8 : 4 * width_of(s->dtype));
}

bool mbi_chain_wide(const struct mbi_chain *c)
{
    if (c->cols % 4)
        return false;
    for (uint32_t t = 0; t < c->n_terms; t++) {
        const struct mbi_term *term = &c->term[t];

        if (term->cols % 4 || term->shift % 4 || term->begin % 4 || term->end % 4)
            return false;
        if (term->d ? !aligned(term->d, 16)
                    : !aligned(c->logits,
                               c->logits_dtype == MBI_I64 ? 8 : 4 * width_of(c->logits_dtype)))
            return false;
        for (uint32_t i = 0; i < term->n_stages; i++)
            if (!stage_wide(&term->stage[i]))
                return false;
    }
    return true;
}

void mbi_chain_times(struct mbi_chain *c, const struct mbi_stage *s)
{
    for (uint32_t t = 0; t < c->n_terms; t++)
        c->term[t].stage[c->term[t].n_stages++] = *s;
}

/* ---- to arrays ---- */

template <int W> static __device__ __forceinline__ void put(float *dst, const float v[W], bool add)
{
    if (W == 4) {
        float4 out = {v[0], v[W > 1 ? 1 : 0], v[W > 2 ? 2 : 0], v[W > 3 ? 3 : 0]};

        if (add) {
            const float4 old = *(const float4 *)dst;

            out.x += old.x;
            out.y += old.y;
            out.z += old.z;
            out.w += old.w;
        }
        *(float4 *)dst = out;
    } else {
        dst[0] = add ? dst[0] + v[0] : v[0];
    }
}

template <int W>
static __device__ __forceinline__ void put(mbi_operand *dst, const float v[W], bool)
{
    struct alignas(W == 4 ? 4 * sizeof(mbi_operand) : sizeof(mbi_operand)) {
        mbi_operand x[W];
    } out;

    for (int k = 0; k < W; k++)
        out.x[k] = mbi_to_operand(v[k]);
    *(decltype(out) *)dst = out;
}

template <class T, int W>
static __global__ void __launch_bounds__(BLOCK)
    store(const __grid_constant__ struct mbi_chain c, T *dst, bool add)
{
    const uint32_t per = c.cols / W, i = blockIdx.x * BLOCK + threadIdx.x;

    if (i < c.lanes * per) {
        const uint32_t lane = i / per, col = i % per * W;
        float v[W];

        mbi_chain_eval<W>(v, c, lane, col);
        put<W>(dst + (size_t)lane * c.cols + col, v, add);
    }
}

template <class T>
static cudaError_t store_any(const struct mbi_chain *c, T *dst, bool add, cudaStream_t stream)
{
    if (mbi_chain_wide(c))
        return mbi_launch(store<T, 4>, dim3((c->lanes * (c->cols / 4) + BLOCK - 1) / BLOCK), BLOCK,
                          0, stream, *c, dst, add);
    return mbi_launch(store<T, 1>, dim3((c->lanes * c->cols + BLOCK - 1) / BLOCK), BLOCK, 0, stream,
                      *c, dst, add);
}

cudaError_t mbi_chain_store(const struct mbi_chain *c, float *dst, bool add, cudaStream_t stream)
{
    return store_any(c, dst, add, stream);
}

cudaError_t mbi_chain_operand(const struct mbi_chain *c, mbi_operand *dst, cudaStream_t stream)
{
    return store_any(c, dst, false, stream);
}

/* ---- sums ---- */

/* partial[block][col]: a block takes SUM_LANES lanes of SUM_COLS columns, a thread every
 * SUM_ROWS-th of these lanes in W columns. */
template <int W>
static __global__ void __launch_bounds__(SUM_ROWS *SUM_COLS / W)
    columns(const __grid_constant__ struct mbi_chain c, float *partial)
{
    float *part = (float *)mbi_shared(); /* [SUM_ROWS][SUM_COLS] */
    const uint32_t x = threadIdx.x % (SUM_COLS / W) * W, y = threadIdx.x / (SUM_COLS / W);
    const uint32_t col = blockIdx.x * SUM_COLS + x, first = blockIdx.y * SUM_LANES;
    const uint32_t end = first + SUM_LANES < c.lanes ? first + SUM_LANES : c.lanes;
    float sum[W];

    for (int k = 0; k < W; k++)
        sum[k] = 0;
    for (uint32_t lane = first + y; col < c.cols && lane < end; lane += SUM_ROWS) {
        float v[W];

        mbi_chain_eval<W>(v, c, lane, col);
        for (int k = 0; k < W; k++)
            sum[k] += v[k];
    }
    for (int k = 0; k < W; k++)
        part[y * SUM_COLS + x + (uint32_t)k] = sum[k];
    __syncthreads();
    if (threadIdx.x < SUM_COLS && blockIdx.x * SUM_COLS + threadIdx.x < c.cols) {
        float all = 0;

        for (uint32_t i = 0; i < SUM_ROWS; i++)
            all += part[i * SUM_COLS + threadIdx.x];
        partial[(size_t)blockIdx.y * c.cols + blockIdx.x * SUM_COLS + threadIdx.x] = all;
    }
}

/* A warp for each result. */
static __global__ void __launch_bounds__(BLOCK)
    columns_end(float *dst, const float *partial, uint32_t blocks, uint32_t cols, uint32_t group,
                bool add)
{
    const uint32_t g = (blockIdx.x * BLOCK + threadIdx.x) / MBI_WARP, n = blocks * group;
    float sum = 0;

    if (g >= cols / group)
        return;
    for (uint32_t i = threadIdx.x % MBI_WARP; i < n; i += MBI_WARP)
        sum += partial[(size_t)(i / group) * cols + g * group + i % group];
    sum = mbi_warp_sumf(sum);
    if (threadIdx.x % MBI_WARP == 0)
        dst[g] = add ? dst[g] + sum : sum;
}

static uint32_t sum_blocks(const struct mbi_chain *c)
{
    return (c->lanes + SUM_LANES - 1) / SUM_LANES;
}

size_t mbi_chain_partials(const struct mbi_chain *c) { return (size_t)sum_blocks(c) * c->cols; }

cudaError_t mbi_chain_columns(const struct mbi_chain *c, float *dst, uint32_t group, bool add,
                              float *partial, cudaStream_t stream)
{
    const uint32_t blocks = sum_blocks(c), warps = BLOCK / MBI_WARP;
    const dim3 grid((c->cols + SUM_COLS - 1) / SUM_COLS, blocks);
    const size_t shared = SUM_ROWS * SUM_COLS * sizeof(float);
    const cudaError_t e =
        mbi_chain_wide(c)
            ? mbi_launch(columns<4>, grid, SUM_ROWS * SUM_COLS / 4, shared, stream, *c, partial)
            : mbi_launch(columns<1>, grid, SUM_ROWS * SUM_COLS, shared, stream, *c, partial);

    if (e)
        return e;
    return mbi_launch(columns_end, dim3((c->cols / group + warps - 1) / warps), BLOCK, 0, stream,
                      dst, partial, blocks, c->cols, group, add);
}

static __global__ void __launch_bounds__(BLOCK)
    groups(const __grid_constant__ struct mbi_chain c, float *dst, uint32_t group)
{
    const uint32_t per = c.cols / group, i = blockIdx.x * BLOCK + threadIdx.x;
    float sum = 0;

    if (i >= c.lanes * per)
        return;
    for (uint32_t k = 0; k < group; k++) {
        float v[1];

        mbi_chain_eval<1>(v, c, i / per, i % per * group + k);
        sum += v[0];
    }
    dst[i] = sum;
}

cudaError_t mbi_chain_groups(const struct mbi_chain *c, float *dst, uint32_t group,
                             cudaStream_t stream)
{
    return mbi_launch(groups, dim3((c->lanes * (c->cols / group) + BLOCK - 1) / BLOCK), BLOCK, 0,
                      stream, *c, dst, group);
}

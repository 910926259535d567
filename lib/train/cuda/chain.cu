/* SPDX-License-Identifier: Apache-2.0 */
/* Chains made into arrays, and their sums over lanes or over neighbours. */
#include "train/cuda/chain.h"

#include <cstring>

#define BLOCK 256
#define WARPS (BLOCK / MBI_WARP)
#define SUM_COLS 32
#define SUM_ROWS 32                           /* lanes at once; a thread has four columns, or one */
#define SUM_LANES (SUM_ROWS * MBI_CHAIN_ROWS) /* of one partial sum */

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
    for (uint32_t i = 0; i < c->n_stages; i++)
        if (!stage_wide(&c->stage[i]))
            return false;
    return true;
}

void mbi_chain_times(struct mbi_chain *c, const struct mbi_stage *s)
{
    c->stage[c->n_stages++] = *s;
}

/*
 * Has every term the same first factor, and are the first and the last column of the result some
 * term's? Then all columns have such a factor: a value's columns have no gaps. Beyond the terms there
 * may be none. A single term keeps its own.
 */
static bool all_share(const struct mbi_chain *c)
{
    uint32_t begin = UINT32_MAX, end = 0;

    for (uint32_t t = 0; t < c->n_terms; t++) {
        begin = c->term[t].begin < begin ? c->term[t].begin : begin;
        end = c->term[t].end > end ? c->term[t].end : end;
    }
    if (begin || end != c->cols)
        return false;
    for (uint32_t t = 0; t < c->n_terms; t++)
        if (!c->term[t].n_stages ||
            memcmp(&c->term[t].stage[0], &c->term[0].stage[0], sizeof(c->term[0].stage[0])))
            return false;
    return c->n_terms > 1;
}

void mbi_chain_gather(struct mbi_chain *c)
{
    while (all_share(c)) {
        mbi_chain_times(c, &c->term[0].stage[0]);
        for (uint32_t t = 0; t < c->n_terms; t++) {
            struct mbi_term *term = &c->term[t];

            term->n_stages--;
            memmove(term->stage, term->stage + 1, term->n_stages * sizeof(term->stage[0]));
        }
    }
}

/* ---- to arrays ---- */

template <class T, int W>
static __global__ void __launch_bounds__(BLOCK)
    store(const __grid_constant__ struct mbi_chain c, T *dst)
{
    const uint32_t per = c.cols / W, i = blockIdx.x * BLOCK + threadIdx.x;
    const uint32_t first = i / per * MBI_CHAIN_ROWS, col = i % per * W;
    uint32_t lane[MBI_CHAIN_ROWS];
    float v[MBI_CHAIN_ROWS][W];

    if (first >= c.lanes)
        return;
    mbi_chain_lanes<MBI_CHAIN_ROWS>(lane, first, 1, c.lanes);
    mbi_chain_eval<W, MBI_CHAIN_ROWS>(v, c, lane, col);
    MBI_UNROLL
    for (uint32_t r = 0; r < MBI_CHAIN_ROWS; r++)
        if (first + r < c.lanes)
            mbi_store<W>(dst + (size_t)lane[r] * c.cols + col, v[r]);
}

template <class T>
static cudaError_t store_any(const struct mbi_chain *c, T *dst, cudaStream_t stream)
{
    const bool wide = mbi_chain_wide(c);
    const uint32_t rows = (c->lanes + MBI_CHAIN_ROWS - 1) / MBI_CHAIN_ROWS;
    const uint32_t threads = rows * (wide ? c->cols / 4 : c->cols);

    return mbi_launch(wide ? store<T, 4> : store<T, 1>, dim3((threads + BLOCK - 1) / BLOCK), BLOCK,
                      0, stream, *c, dst);
}

cudaError_t mbi_chain_store(const struct mbi_chain *c, float *dst, cudaStream_t stream)
{
    return store_any(c, dst, stream);
}

cudaError_t mbi_chain_operand(const struct mbi_chain *c, mbi_operand *dst, cudaStream_t stream)
{
    return store_any(c, dst, stream);
}

/* ---- sums ---- */

/* partial[block][col]: a block takes SUM_LANES lanes of SUM_COLS columns, a thread every
 * SUM_ROWS-th of these lanes in W columns; all of them at once. */
template <int W>
static __global__ void __launch_bounds__(SUM_ROWS *SUM_COLS / W)
    columns(const __grid_constant__ struct mbi_chain c, float *partial)
{
    float *part = (float *)mbi_shared(); /* [SUM_ROWS][SUM_COLS] */
    const uint32_t x = threadIdx.x % (SUM_COLS / W) * W, y = threadIdx.x / (SUM_COLS / W);
    const uint32_t col = blockIdx.x * SUM_COLS + x, first = blockIdx.y * SUM_LANES;
    uint32_t lane[MBI_CHAIN_ROWS];
    float v[MBI_CHAIN_ROWS][W], sum[W];

    for (int k = 0; k < W; k++)
        sum[k] = 0;
    if (col < c.cols && first + y < c.lanes) {
        mbi_chain_lanes<MBI_CHAIN_ROWS>(lane, first + y, SUM_ROWS, c.lanes);
        mbi_chain_eval<W, MBI_CHAIN_ROWS>(v, c, lane, col);
        MBI_UNROLL
        for (uint32_t r = 0; r < MBI_CHAIN_ROWS; r++)
            for (int k = 0; k < W; k++)
                sum[k] += first + y + r * SUM_ROWS < c.lanes ? v[r][k] : 0;
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

/* A block for each result. */
static __global__ void __launch_bounds__(BLOCK)
    columns_end(float *dst, const float *partial, uint32_t blocks, uint32_t cols, uint32_t group,
                bool add)
{
    const uint32_t g = blockIdx.x, n = blocks * group;
    float *part = (float *)mbi_shared(), sum = 0;

    for (uint32_t i = threadIdx.x; i < n; i += BLOCK)
        sum += partial[(size_t)(i / group) * cols + g * group + i % group];
    sum = mbi_warp_sumf(sum);
    if (threadIdx.x % MBI_WARP == 0)
        part[threadIdx.x / MBI_WARP] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < WARPS; i++)
            sum += part[i];
        dst[g] = add ? dst[g] + sum : sum;
    }
}

static uint32_t sum_blocks(const struct mbi_chain *c)
{
    return (c->lanes + SUM_LANES - 1) / SUM_LANES;
}

size_t mbi_chain_partials(const struct mbi_chain *c) { return (size_t)sum_blocks(c) * c->cols; }

cudaError_t mbi_chain_columns(const struct mbi_chain *c, float *dst, uint32_t group, bool add,
                              float *partial, cudaStream_t stream)
{
    const uint32_t blocks = sum_blocks(c);
    const dim3 grid((c->cols + SUM_COLS - 1) / SUM_COLS, blocks);
    const size_t shared = SUM_ROWS * SUM_COLS * sizeof(float);
    const cudaError_t e =
        mbi_chain_wide(c)
            ? mbi_launch(columns<4>, grid, SUM_ROWS * SUM_COLS / 4, shared, stream, *c, partial)
            : mbi_launch(columns<1>, grid, SUM_ROWS * SUM_COLS, shared, stream, *c, partial);

    if (e)
        return e;
    return mbi_launch(columns_end, dim3(c->cols / group), BLOCK, WARPS * sizeof(float), stream, dst,
                      partial, blocks, c->cols, group, add);
}

static __global__ void __launch_bounds__(BLOCK)
    groups(const __grid_constant__ struct mbi_chain c, float *dst, uint32_t group)
{
    const uint32_t per = c.cols / group, i = blockIdx.x * BLOCK + threadIdx.x;
    float sum = 0;

    if (i >= c.lanes * per)
        return;
    const uint32_t lane[1] = {i / per};

    for (uint32_t k = 0; k < group; k++) {
        float v[1][1];

        mbi_chain_eval<1, 1>(v, c, lane, i % per * group + k);
        sum += v[0][0];
    }
    dst[i] = sum;
}

cudaError_t mbi_chain_groups(const struct mbi_chain *c, float *dst, uint32_t group,
                             cudaStream_t stream)
{
    return mbi_launch(groups, dim3((c->lanes * (c->cols / group) + BLOCK - 1) / BLOCK), BLOCK, 0,
                      stream, *c, dst, group);
}

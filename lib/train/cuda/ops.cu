/* SPDX-License-Identifier: Apache-2.0 */
/* The way back through norms, convolution, rotation and table, and the loss. */
#include "train/cuda/ops.h"

#define BLOCK 256
#define WARPS (BLOCK / MBI_WARP)
#define ROWS MBI_CHAIN_ROWS
#define NORM_EPS 1e-6f
#define TWO_PI 6.28318531f

static uint32_t blocks_of(size_t n, size_t per) { return (uint32_t)((n + per - 1) / per); }

/* ---- sums over a block ---- */

/* Every thread gets the sum; `part` has WARPS elements and is free again after it. */
template <class T> static __device__ __forceinline__ T block_sum(T v, T *part)
{
    T sum = 0;

    for (int d = MBI_WARP / 2; d; d /= 2)
        v += __shfl_xor_sync(MBI_FULL, v, d);
    if (threadIdx.x % MBI_WARP == 0)
        part[threadIdx.x / MBI_WARP] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        sum += part[i];
    __syncthreads();
    return sum;
}

static __device__ __forceinline__ float block_max(float v, float *part)
{
    v = mbi_warp_maxf(v);
    if (threadIdx.x % MBI_WARP == 0)
        part[threadIdx.x / MBI_WARP] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        v = part[i] > v ? part[i] : v;
    __syncthreads();
    return v;
}

static __global__ void __launch_bounds__(BLOCK)
    sum_doubles(double *dst, const double *x, size_t n, bool root)
{
    double sum = 0;

    for (size_t i = threadIdx.x; i < n; i += BLOCK)
        sum += x[i];
    sum = block_sum(sum, (double *)mbi_shared());
    if (threadIdx.x == 0)
        *dst = root ? sqrt(sum) : sum;
}

cudaError_t mbi_sum_doubles(double *dst, const double *x, size_t n, bool root, cudaStream_t stream)
{
    return mbi_launch(sum_doubles, dim3(1), BLOCK, WARPS * sizeof(double), stream, dst, x, n, root);
}

/* ---- loss ---- */

/* The largest logit so far, and the sum of all e^(x - most). */
static __device__ __forceinline__ void add_logit(float x, float *most, float *sum)
{
    if (x > *most) {
        *sum = *sum * exp2f((*most - x) * MBI_LOG2E) + 1;
        *most = x;
    } else {
        *sum += exp2f((x - *most) * MBI_LOG2E);
    }
}

/* A block for each lane, W logits a thread at a time. */
template <int W> static __global__ void __launch_bounds__(BLOCK) loss(struct mbi_loss_args a)
{
    float *part = (float *)mbi_shared();
    const size_t row = (size_t)blockIdx.x * a.logits.cols;
    const float weight = a.weight[blockIdx.x];
    float own = -1e30f, most, sum = 0;

    if (weight <= 0) {
        if (threadIdx.x == 0) {
            a.softmax[blockIdx.x] = {0, 0, 0, -1};
            a.nats[blockIdx.x] = 0;
        }
        return;
    }
    for (uint32_t i = threadIdx.x * W; i < a.logits.cols; i += BLOCK * W) {
        float x[W];

        mbi_reals_at<W>(x, a.logits.q, a.logits.dtype, row + i);
        for (int k = 0; k < W; k++)
            add_logit(x[k] * a.logits.unit, &own, &sum);
    }
    most = block_max(own, part);
    sum = block_sum(sum * exp2f((own - most) * MBI_LOG2E), part);
    if (threadIdx.x == 0) {
        const int32_t target = a.target[blockIdx.x];
        const float x =
            mbi_real_at(a.logits.q, a.logits.dtype, row + (size_t)target) * a.logits.unit;
        const float whole = weight * *a.scale;

        a.softmax[blockIdx.x] = {most, whole / sum, whole, target};
        a.nats[blockIdx.x] = (double)weight * (log((double)sum) + (double)most - (double)x);
    }
}

cudaError_t mbi_loss(const struct mbi_loss_args *a, cudaStream_t stream)
{
    const bool wide = a->logits.cols % 4 == 0 && (uintptr_t)a->logits.q % 16 == 0;

    return mbi_launch(wide ? loss<4> : loss<1>, dim3(a->lanes), BLOCK, WARPS * sizeof(float),
                      stream, *a);
}

/* ---- operands ---- */

static __global__ void __launch_bounds__(BLOCK)
    ints_operand(mbi_operand *dst, struct mbi_ints x, size_t n, bool wide)
{
    const size_t i = ((size_t)blockIdx.x * BLOCK + threadIdx.x) * 4;

    if (wide && i + 4 <= n) {
        struct alignas(4 * sizeof(mbi_operand)) {
            mbi_operand v[4];
        } out;
        float v[4];

        mbi_reals_at<4>(v, x.q, x.dtype, i);
        for (int k = 0; k < 4; k++)
            out.v[k] = mbi_to_operand(v[k] * x.unit);
        *(decltype(out) *)(dst + i) = out;
    } else {
        for (size_t k = i; k < n && k < i + 4; k++)
            dst[k] = mbi_to_operand(mbi_real_at(x.q, x.dtype, k) * x.unit);
    }
}

cudaError_t mbi_ints_operand(mbi_operand *dst, const struct mbi_ints *x, uint32_t lanes,
                             cudaStream_t stream)
{
    const size_t n = (size_t)lanes * x->cols;

    return mbi_launch(ints_operand, dim3(blocks_of(n, 4 * BLOCK)), BLOCK, 0, stream, dst, *x, n,
                      (uintptr_t)x->q % 16 == 0);
}

/* ---- norms ---- */

/* 2^-k for the smallest k with ms < 2^(2k+1): ms is below 2^e and not below 2^(e-1). */
static __device__ __forceinline__ float power_of_two_scale(float ms)
{
    int e;

    frexpf(ms, &e);
    return ldexpf(1, -(e >= 0 ? e / 2 : -((1 - e) / 2)));
}

template <int W, int R>
static __device__ __forceinline__ void norm_load(float v[R][W], float x[R][W],
                                                 const struct mbi_chain &d,
                                                 const struct mbi_ints &ints,
                                                 const uint32_t lane[R], uint32_t col)
{
    size_t at[R];

    for (int r = 0; r < R; r++)
        at[r] = (size_t)lane[r] * d.cols + col;
    mbi_chain_eval<W, R>(v, d, lane, col);
    mbi_reals_rows<W, R>(x, ints.q, ints.dtype, at);
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        for (int k = 0; k < W; k++)
            x[r][k] *= ints.unit;
}

/* dx = s (d - x mean(d x) / ms); `team` threads of a warp for the same group of R lanes. A thread
 * that has more than its first elements makes all of them again. */
template <int W, int R>
static __global__ void __launch_bounds__(BLOCK)
    norm(const __grid_constant__ struct mbi_chain d, struct mbi_gradient dx, struct mbi_ints ints,
         uint32_t groups, uint32_t team, bool shift)
{
    const size_t i = ((size_t)blockIdx.x * BLOCK + threadIdx.x) / team;
    const uint32_t from = (uint32_t)(i / groups) * R, size = d.cols / groups;
    const uint32_t begin = (uint32_t)(i % groups) * size, end = begin + size, step = team * W;
    const uint32_t first = begin + threadIdx.x % team * W;
    float v[R][W], x[R][W], squares[R], along[R], s[R];
    uint32_t lane[R];

    mbi_chain_lanes<R>(lane, from, 1, d.lanes);
    MBI_UNROLL
    for (int r = 0; r < R; r++)
        squares[r] = along[r] = 0;
    for (uint32_t c = first; from < d.lanes && c < end; c += step) {
        norm_load<W, R>(v, x, d, ints, lane, c);
        MBI_UNROLL
        for (int r = 0; r < R; r++)
            for (int k = 0; k < W; k++) {
                squares[r] += x[r][k] * x[r][k];
                along[r] += v[r][k] * x[r][k];
            }
    }
    MBI_UNROLL
    for (int r = 0; r < R; r++) {
        for (uint32_t n = team / 2; n; n /= 2) {
            squares[r] += __shfl_xor_sync(MBI_FULL, squares[r], (int)n);
            along[r] += __shfl_xor_sync(MBI_FULL, along[r], (int)n);
        }
        const float ms = squares[r] / (float)size + NORM_EPS;

        s[r] = shift ? power_of_two_scale(ms) : 1 / sqrtf(ms);
        along[r] = s[r] * along[r] / (float)size / ms;
    }
    for (uint32_t c = first; from < d.lanes && c < end; c += step) {
        if (step < size)
            norm_load<W, R>(v, x, d, ints, lane, c);
        MBI_UNROLL
        for (uint32_t r = 0; r < R; r++) {
            for (int k = 0; k < W; k++)
                v[r][k] = s[r] * v[r][k] - along[r] * x[r][k];
            if (from + r < d.lanes)
                mbi_put<W>(dx, (size_t)lane[r] * d.cols + c, v[r]);
        }
    }
}

cudaError_t mbi_norm_back(const struct mbi_chain *d, struct mbi_gradient dx,
                          const struct mbi_ints *x, uint32_t groups, bool shift,
                          cudaStream_t stream)
{
    const uint32_t size = d->cols / groups;
    const bool wide =
        mbi_chain_wide(d) && size % 4 == 0 && x->dtype != MBI_I64 && (uintptr_t)x->q % 16 == 0;
    const size_t rows = blocks_of(d->lanes, ROWS);
    uint32_t team = MBI_WARP;

    while (team > 1 && team / 2 * (wide ? 4 : 1) >= size)
        team /= 2;
    return mbi_launch(wide ? norm<4, ROWS> : norm<1, ROWS>,
                      dim3(blocks_of(rows * groups * team, BLOCK)), BLOCK, 0, stream, *d, dx, *x,
                      groups, team, shift);
}

/* ---- conv ---- */

#define TAPS 4
#define SEGMENT 32
#define CONV_BLOCK 128
static_assert(SEGMENT % ROWS == 0 && ROWS >= TAPS - 1, "a batch of tokens hands on TAPS - 1");

static uint32_t segments_of(uint32_t tokens) { return blocks_of(tokens, SEGMENT); }

size_t mbi_conv_partials(uint32_t streams, uint32_t tokens, uint32_t cols)
{
    return (size_t)streams * segments_of(tokens) * (TAPS + 1) * cols;
}

/* d of ROWS tokens from t on; zero where the stream ends. */
template <int W>
static __device__ __forceinline__ void conv_d(float v[ROWS][W], const struct mbi_conv_args &a,
                                              uint32_t first, uint32_t t, uint32_t col)
{
    uint32_t lane[ROWS];

    for (uint32_t r = 0; r < ROWS; r++)
        lane[r] = first + (t + r < a.tokens ? t + r : a.tokens - 1);
    mbi_chain_eval<W, ROWS>(v, a.d, lane, col);
    MBI_UNROLL
    for (uint32_t r = 0; r < ROWS; r++)
        for (int k = 0; k < W; k++)
            v[r][k] = t + r < a.tokens ? v[r][k] : 0;
}

/* Inputs of ROWS tokens from t on; zero where there are none. */
template <int W>
static __device__ __forceinline__ void conv_p(float v[ROWS][W], const struct mbi_conv_args &a,
                                              uint32_t first, int32_t t, uint32_t col)
{
    const int32_t tokens = (int32_t)a.tokens;
    size_t at[ROWS];

    for (int32_t r = 0; r < ROWS; r++) {
        const int32_t there = t + r < 0 ? 0 : t + r < tokens ? t + r : tokens - 1;

        at[r] = (size_t)(first + (uint32_t)there) * a.p.cols + col;
    }
    mbi_reals_rows<W, ROWS>(v, a.p.q, a.p.dtype, at);
    MBI_UNROLL
    for (int32_t r = 0; r < ROWS; r++)
        for (int k = 0; k < W; k++)
            v[r][k] = t + r >= 0 && t + r < tokens ? v[r][k] * a.p.unit : 0;
}

/* A thread goes backwards over a segment of W channels, ROWS tokens at a time: dp_t = sum_j w_j
 * d_(t+3-j), dw_j gets d_t p_(t-3+j). partial: [segment][4 taps, bias][channel]. */
template <int W>
static __global__ void __launch_bounds__(CONV_BLOCK)
    conv(const __grid_constant__ struct mbi_conv_args a, uint32_t segments)
{
    const uint32_t col = (blockIdx.x * CONV_BLOCK + threadIdx.x) * W, n = a.d.cols;
    const uint32_t begin = blockIdx.y % segments * SEGMENT;
    const uint32_t first = blockIdx.y / segments * a.tokens;
    const uint32_t left = a.tokens - begin < SEGMENT ? a.tokens - begin : SEGMENT;
    const uint32_t batches = (left + ROWS - 1) / ROWS;
    float *const partial = a.partial + (size_t)blockIdx.y * (TAPS + 1) * n + col;
    float w[TAPS][W], dw[TAPS][W], bias[W];
    float d[ROWS + TAPS - 1][W], p[ROWS + TAPS - 1][W]; /* d_t .., p_(t-3) .. */

    if (col >= n)
        return;
    MBI_UNROLL
    for (int j = 0; j < TAPS; j++)
        for (int k = 0; k < W; k++) {
            w[j][k] = a.w[(size_t)(col + (uint32_t)k) * TAPS + (uint32_t)j];
            dw[j][k] = bias[k] = 0;
        }
    conv_d<W>(d, a, first, begin + batches * ROWS, col);
    conv_p<W>(p, a, first, (int32_t)(begin + batches * ROWS) - TAPS + 1, col);
    for (uint32_t t = begin + batches * ROWS; t > begin;) {
        t -= ROWS;
        MBI_UNROLL
        for (int j = TAPS - 2; j >= 0; j--)
            for (int k = 0; k < W; k++) {
                d[ROWS + j][k] = d[j][k];
                p[ROWS + j][k] = p[j][k];
            }
        conv_d<W>(d, a, first, t, col);
        conv_p<W>(p, a, first, (int32_t)t - TAPS + 1, col);
        MBI_UNROLL
        for (int r = ROWS - 1; r >= 0; r--) {
            float sum[W];

            for (int k = 0; k < W; k++) {
                bias[k] += d[r][k];
                sum[k] = 0;
            }
            MBI_UNROLL
            for (int j = 0; j < TAPS; j++)
                for (int k = 0; k < W; k++) {
                    dw[j][k] += d[r][k] * p[r + j][k];
                    sum[k] += w[j][k] * d[r + TAPS - 1 - j][k];
                }
            if (a.dp.at && t + (uint32_t)r < a.tokens)
                mbi_put<W>(a.dp, (size_t)(first + t + (uint32_t)r) * n + col, sum);
        }
    }
    MBI_UNROLL
    for (int j = 0; j < TAPS; j++)
        mbi_store<W>(partial + (size_t)j * n, dw[j]);
    mbi_store<W>(partial + (size_t)TAPS * n, bias);
}

/* A block for MBI_WARP channels of a tap or of the bias, a thread every WARPS-th partial sum. */
static __global__ void __launch_bounds__(BLOCK)
    conv_end(float *dw, float *dbias, const float *partial, uint32_t blocks, uint32_t n, bool add_w,
             bool add_bias)
{
    const uint32_t x = threadIdx.x % MBI_WARP, y = threadIdx.x / MBI_WARP;
    const uint32_t col = blockIdx.x * MBI_WARP + x, j = blockIdx.y;
    float *part = (float *)mbi_shared(); /* [WARPS][MBI_WARP] */
    float *to = j < TAPS ? dw : dbias, sum = 0;
    const bool add = j < TAPS ? add_w : add_bias;

    for (uint32_t b = y; col < n && b < blocks; b += WARPS)
        sum += partial[((size_t)b * (TAPS + 1) + j) * n + col];
    part[threadIdx.x] = sum;
    __syncthreads();
    if (y || !to || col >= n)
        return;
    for (uint32_t i = 1; i < WARPS; i++)
        sum += part[i * MBI_WARP + x];
    to += j < TAPS ? (size_t)col * TAPS + j : col;
    *to = add ? *to + sum : sum;
}

cudaError_t mbi_conv_back(const struct mbi_conv_args *a, cudaStream_t stream)
{
    const uint32_t segments = segments_of(a->tokens), n = a->d.cols;
    const bool wide = mbi_chain_wide(&a->d) && (uintptr_t)a->p.q % 16 == 0;
    const dim3 grid(blocks_of(n, CONV_BLOCK * (wide ? 4 : 1)), a->streams * segments);
    const cudaError_t e = wide ? mbi_launch(conv<4>, grid, CONV_BLOCK, 0, stream, *a, segments)
                               : mbi_launch(conv<1>, grid, CONV_BLOCK, 0, stream, *a, segments);

    if (e)
        return e;
    return mbi_launch(conv_end, dim3(blocks_of(n, MBI_WARP), TAPS + 1), BLOCK,
                      BLOCK * sizeof(float), stream, a->dw, a->dbias, (const float *)a->partial,
                      a->streams * segments, n, a->add_w, a->add_bias);
}

/* ---- turn ---- */

/* A warp for one angle of a stream, from the last tokens to the first, ROWS for each thread. */
static __global__ void __launch_bounds__(MBI_WARP)
    turn(const __grid_constant__ struct mbi_chain d, float *dp, uint32_t tokens)
{
    const uint32_t col = blockIdx.x, first = blockIdx.y * tokens;
    float later = 0;

    for (uint32_t done = 0; done < tokens; done += ROWS * MBI_WARP) {
        const uint32_t back = done + threadIdx.x * ROWS; /* tokens behind the first of these */
        uint32_t lane[ROWS];
        float v[ROWS][1], own = 0, sum;

        for (uint32_t r = 0; r < ROWS; r++)
            lane[r] = first + (back + r < tokens ? tokens - 1 - back - r : 0);
        mbi_chain_eval<1, ROWS>(v, d, lane, col);
        MBI_UNROLL
        for (uint32_t r = 0; r < ROWS; r++)
            own += back + r < tokens ? v[r][0] : 0;
        sum = own;
        for (int s = 1; s < MBI_WARP; s *= 2) {
            const float x = __shfl_up_sync(MBI_FULL, sum, (unsigned)s);

            sum += (int)threadIdx.x >= s ? x : 0;
        }
        const float all = __shfl_sync(MBI_FULL, sum, MBI_WARP - 1);

        sum += later - own;
        MBI_UNROLL
        for (uint32_t r = 0; r < ROWS; r++) {
            sum += v[r][0];
            if (back + r < tokens)
                dp[(size_t)lane[r] * d.cols + col] = 0.25f * sum;
        }
        later += all;
    }
}

cudaError_t mbi_turn_back(const struct mbi_chain *d, float *dp, uint32_t streams, uint32_t tokens,
                          cudaStream_t stream)
{
    return mbi_launch(turn, dim3(d->cols, streams), MBI_WARP, 0, stream, *d, dp, tokens);
}

/* ---- rotate ---- */

static __device__ __forceinline__ float inside8(const struct mbi_ints &out, size_t i)
{
    const int32_t q = mbi_int_at(out.q, out.dtype, i);

    return q != INT8_MIN && q != INT8_MAX ? 1.0f : 0.0f;
}

/* A thread for the same pair of B and of C. */
static __global__ void __launch_bounds__(BLOCK)
    rotate(const __grid_constant__ struct mbi_chain d, float *dbc, float *dphi, struct mbi_ints bc,
           struct mbi_ints phi, struct mbi_ints out)
{
    const uint32_t half = d.cols / 2, per = half / 2, i = blockIdx.x * BLOCK + threadIdx.x;
    const uint32_t lane = i / per, k = i % per, at_lane[1] = {lane};
    const bool rotated = k < phi.cols;
    float c = 1, s = 0, sum = 0;

    if (lane >= d.lanes)
        return;
    if (rotated) {
        const float turns = mbi_real_at(phi.q, phi.dtype, (size_t)lane * phi.cols + k) * phi.unit;

        sincosf(TWO_PI * (turns - floorf(turns)), &s, &c);
    }
    for (uint32_t at = 2 * k; at < d.cols; at += half) {
        const size_t e = (size_t)lane * d.cols + at;
        float d0[1][1], d1[1][1];

        mbi_chain_eval<1, 1>(d0, d, at_lane, at);
        mbi_chain_eval<1, 1>(d1, d, at_lane, at + 1);
        if (rotated) {
            const float x = mbi_real_at(bc.q, bc.dtype, e) * bc.unit;
            const float y = mbi_real_at(bc.q, bc.dtype, e + 1) * bc.unit;

            d0[0][0] *= inside8(out, e);
            d1[0][0] *= inside8(out, e + 1);
            sum += TWO_PI * (d1[0][0] * (c * x - s * y) - d0[0][0] * (s * x + c * y));
        }
        if (dbc) {
            dbc[e] = c * d0[0][0] + s * d1[0][0];
            dbc[e + 1] = c * d1[0][0] - s * d0[0][0];
        }
    }
    if (dphi && rotated)
        dphi[(size_t)lane * phi.cols + k] = sum;
}

cudaError_t mbi_rotate_back(const struct mbi_chain *d, float *dbc, float *dphi,
                            const struct mbi_ints *bc, const struct mbi_ints *phi,
                            const struct mbi_ints *out, cudaStream_t stream)
{
    return mbi_launch(rotate, dim3(blocks_of((size_t)d->lanes * (d->cols / 4), BLOCK)), BLOCK, 0,
                      stream, *d, dbc, dphi, *bc, *phi, *out);
}

/* ---- embed ---- */

#define EMBED_ROWS 4
#define EMBED_COLS (BLOCK / EMBED_ROWS) /* threads, of W columns each */

/* A block for some columns of one id, EMBED_ROWS of its lanes at a time; blocks beyond the number of
 * ids do nothing. */
template <int W>
static __global__ void __launch_bounds__(BLOCK)
    embed(const __grid_constant__ struct mbi_chain d, float *dtable, const int32_t *id,
          const uint32_t *order, const uint32_t *first, const uint32_t *n_ids)
{
    float *part = (float *)mbi_shared(); /* [EMBED_ROWS][EMBED_COLS][W] */
    const uint32_t x = threadIdx.x % EMBED_COLS, y = threadIdx.x / EMBED_COLS;
    const uint32_t col = (blockIdx.y * EMBED_COLS + x) * W;
    float sum[W];

    if (blockIdx.x >= *n_ids)
        return;
    for (int k = 0; k < W; k++)
        sum[k] = 0;
    for (uint32_t i = first[blockIdx.x] + y; col < d.cols && i < first[blockIdx.x + 1];
         i += EMBED_ROWS) {
        const uint32_t lane[1] = {order[i]};
        float v[1][W];

        mbi_chain_eval<W, 1>(v, d, lane, col);
        for (int k = 0; k < W; k++)
            sum[k] += v[0][k];
    }
    for (int k = 0; k < W; k++)
        part[threadIdx.x * W + (uint32_t)k] = sum[k];
    __syncthreads();
    if (y == 0 && col < d.cols) {
        float *to = dtable + (size_t)id[order[first[blockIdx.x]]] * d.cols + col;

        for (uint32_t r = 1; r < EMBED_ROWS; r++)
            for (int k = 0; k < W; k++)
                sum[k] += part[(r * EMBED_COLS + x) * W + (uint32_t)k];
        for (int k = 0; k < W; k++)
            to[k] += sum[k];
    }
}

cudaError_t mbi_embed_back(const struct mbi_chain *d, float *dtable, const int32_t *id,
                           const uint32_t *order, const uint32_t *first, const uint32_t *n_ids,
                           cudaStream_t stream)
{
    const uint32_t w = mbi_chain_wide(d) ? 4 : 1;
    const dim3 grid(d->lanes, blocks_of(d->cols, EMBED_COLS * w));

    return mbi_launch(w == 4 ? embed<4> : embed<1>, grid, BLOCK, BLOCK * w * sizeof(float), stream,
                      *d, dtable, id, order, first, n_ids);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The way back through norms, convolution, rotation and table, and the loss. */
#include "train/cuda/ops.h"

#define BLOCK 256
#define WARPS (BLOCK / MBI_WARP)
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

/* A block for each lane. */
static __global__ void __launch_bounds__(BLOCK) loss(struct mbi_loss_args a)
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
    for (uint32_t i = threadIdx.x; i < a.logits.cols; i += BLOCK)
        add_logit(mbi_real_at(a.logits.q, a.logits.dtype, row + i) * a.logits.unit, &own, &sum);
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
    return mbi_launch(loss, dim3(a->lanes), BLOCK, WARPS * sizeof(float), stream, *a);
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

template <int W> static __device__ __forceinline__ void put_floats(float *to, const float v[W])
{
    if (W == 4)
        *(float4 *)to = {v[0], v[W > 1 ? 1 : 0], v[W > 2 ? 2 : 0], v[W > 3 ? 3 : 0]};
    else
        *to = v[0];
}

template <int W>
static __device__ __forceinline__ void norm_load(float v[W], float r[W], const struct mbi_chain &d,
                                                 const struct mbi_ints &x, uint32_t lane,
                                                 uint32_t col)
{
    mbi_chain_eval<W>(v, d, lane, col);
    mbi_reals_at<W>(r, x.q, x.dtype, (size_t)lane * d.cols + col);
    for (int k = 0; k < W; k++)
        r[k] *= x.unit;
}

/* dx = s (d - x mean(d x) / ms); `team` threads of a warp for each group of a lane. A thread keeps
 * its first elements and makes the others again. */
template <int W>
static __global__ void __launch_bounds__(BLOCK)
    norm(const __grid_constant__ struct mbi_chain d, float *dx, struct mbi_ints x, uint32_t groups,
         uint32_t team, bool shift)
{
    const size_t i = ((size_t)blockIdx.x * BLOCK + threadIdx.x) / team;
    const uint32_t lane = (uint32_t)(i / groups), size = d.cols / groups;
    const uint32_t begin = (uint32_t)(i % groups) * size, end = begin + size, step = team * W;
    const uint32_t first = begin + threadIdx.x % team * W;
    float v[W], r[W], squares = 0, along = 0, s, ms;

    for (int k = 0; k < W; k++)
        v[k] = r[k] = 0;
    for (uint32_t c = first; lane < d.lanes && c < end; c += step) {
        float v2[W], r2[W];

        norm_load<W>(v2, r2, d, x, lane, c);
        for (int k = 0; k < W; k++) {
            squares += r2[k] * r2[k];
            along += v2[k] * r2[k];
            v[k] = c == first ? v2[k] : v[k];
            r[k] = c == first ? r2[k] : r[k];
        }
    }
    for (uint32_t n = team / 2; n; n /= 2) {
        squares += __shfl_xor_sync(MBI_FULL, squares, (int)n);
        along += __shfl_xor_sync(MBI_FULL, along, (int)n);
    }
    ms = squares / (float)size + NORM_EPS;
    s = shift ? power_of_two_scale(ms) : 1 / sqrtf(ms);
    along = s * along / (float)size / ms;
    for (uint32_t c = first; lane < d.lanes && c < end; c += step) {
        if (c != first)
            norm_load<W>(v, r, d, x, lane, c);
        for (int k = 0; k < W; k++)
            v[k] = s * v[k] - along * r[k];
        put_floats<W>(dx + (size_t)lane * d.cols + c, v);
    }
}

cudaError_t mbi_norm_back(const struct mbi_chain *d, float *dx, const struct mbi_ints *x,
                          uint32_t groups, bool shift, cudaStream_t stream)
{
    const uint32_t size = d->cols / groups;
    const bool wide =
        mbi_chain_wide(d) && size % 4 == 0 && x->dtype != MBI_I64 && (uintptr_t)x->q % 16 == 0;
    uint32_t team = MBI_WARP;

    while (team > 1 && team / 2 * (wide ? 4 : 1) >= size)
        team /= 2;
    return mbi_launch(wide ? norm<4> : norm<1>,
                      dim3(blocks_of((size_t)d->lanes * groups * team, BLOCK)), BLOCK, 0, stream,
                      *d, dx, *x, groups, team, shift);
}

/* ---- conv ---- */

#define TAPS 4
#define SEGMENT 32
#define CONV_BLOCK 128

static uint32_t segments_of(uint32_t tokens) { return blocks_of(tokens, SEGMENT); }

size_t mbi_conv_partials(uint32_t streams, uint32_t tokens, uint32_t cols)
{
    return (size_t)streams * segments_of(tokens) * (TAPS + 1) * cols;
}

template <int W>
static __device__ __forceinline__ void conv_d(float v[W], const struct mbi_conv_args &a,
                                              uint32_t first, uint32_t t, uint32_t col)
{
    if (t < a.tokens)
        mbi_chain_eval<W>(v, a.d, first + t, col);
    else
        for (int k = 0; k < W; k++)
            v[k] = 0;
}

template <int W>
static __device__ __forceinline__ void conv_p(float v[W], const struct mbi_conv_args &a,
                                              uint32_t first, int32_t t, uint32_t col)
{
    for (int k = 0; k < W; k++)
        v[k] = 0;
    if (t < 0)
        return;
    mbi_reals_at<W>(v, a.p.q, a.p.dtype, (size_t)(first + (uint32_t)t) * a.p.cols + col);
    for (int k = 0; k < W; k++)
        v[k] *= a.p.unit;
}

/* A thread goes backwards over a segment of W channels: dp_t = sum_j w_j d_(t+3-j), dw_j gets
 * d_t p_(t-3+j). partial: [segment][4 taps, bias][channel]. */
template <int W>
static __global__ void __launch_bounds__(CONV_BLOCK)
    conv(const __grid_constant__ struct mbi_conv_args a, uint32_t segments)
{
    const uint32_t col = (blockIdx.x * CONV_BLOCK + threadIdx.x) * W, n = a.d.cols;
    const uint32_t begin = blockIdx.y % segments * SEGMENT;
    const uint32_t first = blockIdx.y / segments * a.tokens;
    const uint32_t end = begin + SEGMENT < a.tokens ? begin + SEGMENT : a.tokens;
    float *const partial = a.partial + (size_t)blockIdx.y * (TAPS + 1) * n + col;
    float w[TAPS][W], dw[TAPS][W], p[TAPS][W], later[TAPS][W], bias[W];

    if (col >= n)
        return;
    MBI_UNROLL
    for (int j = 0; j < TAPS; j++)
        for (int k = 0; k < W; k++) {
            w[j][k] = a.w[(size_t)(col + (uint32_t)k) * TAPS + (uint32_t)j];
            dw[j][k] = bias[k] = p[j][k] = later[j][k] = 0;
        }
    /* later[j] is d_(t+j), p[j] is p_(t-3+j); both are full once t is in the segment. */
    for (uint32_t t = end + TAPS - 1; t-- > begin;) {
        float sum[W];

        MBI_UNROLL
        for (int j = TAPS - 1; j > 0; j--)
            for (int k = 0; k < W; k++) {
                later[j][k] = later[j - 1][k];
                p[j][k] = p[j - 1][k];
            }
        conv_d<W>(later[0], a, first, t, col);
        conv_p<W>(p[0], a, first, (int32_t)t - TAPS + 1, col);
        if (t >= end)
            continue;
        for (int k = 0; k < W; k++) {
            bias[k] += later[0][k];
            sum[k] = 0;
        }
        MBI_UNROLL
        for (int j = 0; j < TAPS; j++)
            for (int k = 0; k < W; k++) {
                dw[j][k] += later[0][k] * p[j][k];
                sum[k] += w[j][k] * later[TAPS - 1 - j][k];
            }
        if (a.dp)
            put_floats<W>(a.dp + (size_t)(first + t) * n + col, sum);
    }
    MBI_UNROLL
    for (int j = 0; j < TAPS; j++)
        put_floats<W>(partial + (size_t)j * n, dw[j]);
    put_floats<W>(partial + (size_t)TAPS * n, bias);
}

static __global__ void __launch_bounds__(BLOCK)
    conv_end(float *dw, float *dbias, const float *partial, uint32_t blocks, uint32_t n, bool add_w,
             bool add_bias)
{
    const uint32_t i = blockIdx.x * BLOCK + threadIdx.x, j = i / n, col = i % n;
    float sum = 0, *to;
    bool add;

    if (j > TAPS)
        return;
    for (uint32_t b = 0; b < blocks; b++)
        sum += partial[((size_t)b * (TAPS + 1) + j) * n + col];
    to = j < TAPS ? dw : dbias;
    add = j < TAPS ? add_w : add_bias;
    if (to) {
        to += j < TAPS ? (size_t)col * TAPS + j : col;
        *to = add ? *to + sum : sum;
    }
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
    return mbi_launch(conv_end, dim3(blocks_of((size_t)n * (TAPS + 1), BLOCK)), BLOCK, 0, stream,
                      a->dw, a->dbias, (const float *)a->partial, a->streams * segments, n,
                      a->add_w, a->add_bias);
}

/* ---- turn ---- */

/* A warp for one angle of a stream, from the last tokens to the first. */
static __global__ void __launch_bounds__(MBI_WARP)
    turn(const __grid_constant__ struct mbi_chain d, float *dp, uint32_t tokens)
{
    const uint32_t col = blockIdx.x, first = blockIdx.y * tokens;
    float later = 0;

    for (uint32_t done = 0; done < tokens; done += MBI_WARP) {
        const uint32_t back = done + threadIdx.x; /* tokens behind this one */
        float v[1] = {0}, sum;

        if (back < tokens)
            mbi_chain_eval<1>(v, d, first + tokens - 1 - back, col);
        sum = v[0];
        for (int s = 1; s < MBI_WARP; s *= 2) {
            const float x = __shfl_up_sync(MBI_FULL, sum, (unsigned)s);

            sum += (int)threadIdx.x >= s ? x : 0;
        }
        sum += later;
        if (back < tokens)
            dp[(size_t)(first + tokens - 1 - back) * d.cols + col] = 0.25f * sum;
        later = __shfl_sync(MBI_FULL, sum, MBI_WARP - 1);
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
    const uint32_t lane = i / per, k = i % per;
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
        float d0[1], d1[1];

        mbi_chain_eval<1>(d0, d, lane, at);
        mbi_chain_eval<1>(d1, d, lane, at + 1);
        if (rotated) {
            const float x = mbi_real_at(bc.q, bc.dtype, e) * bc.unit;
            const float y = mbi_real_at(bc.q, bc.dtype, e + 1) * bc.unit;

            d0[0] *= inside8(out, e);
            d1[0] *= inside8(out, e + 1);
            sum += TWO_PI * (d1[0] * (c * x - s * y) - d0[0] * (s * x + c * y));
        }
        if (dbc) {
            dbc[e] = c * d0[0] + s * d1[0];
            dbc[e + 1] = c * d1[0] - s * d0[0];
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
        float v[W];

        mbi_chain_eval<W>(v, d, order[i], col);
        for (int k = 0; k < W; k++)
            sum[k] += v[k];
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

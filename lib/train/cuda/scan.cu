/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back through the recurrence, in the notation of lib/train/op/scan.c. A stream is cut into
 * chunks of TILE tokens; heads wider than TILE and states longer than TILE are cut as well.
 *
 * Three steps: every chunk's own part of the state behind it and of the gradient before it; a walk
 * over the chunks, forwards and backwards, that makes of these the state h before each chunk and
 * the gradient of the state behind it; then every chunk by itself. Products are of tiles in shared
 * memory, eight warps wide; rows and columns beyond the edges are zero.
 */
#include "train/cuda/ops.h"

#define TILE 64
#define BLOCK 256
#define ELEMENTS 16 /* of a tile, in one thread */
#define AHEAD 8     /* chunks that the walk reads at a time */

struct scan {
    struct mbi_scan_args a;
    uint32_t chunks, slices_p, slices_n;
    uint32_t groups, per_group; /* heads that one block does in a row */
    bool wide;                  /* rows can be read four elements at a time */
    mbi_operand *h, *v;         /* [stream][chunk][head][n][dim] */
    float *end;                 /* [stream][chunk][head]: 2^-L_end */
    float *part;                /* [group][lane][2 n]; dbc if there is one group */
};

/* Where a block is: a chunk of a stream. */
struct place {
    uint32_t index, first, q; /* chunk of its stream, first lane, tokens */
    size_t at;                /* number of the chunk */
};

/* One head's decays in a chunk. */
struct decays {
    float w[TILE], L[TILE], keep[TILE], rest[TILE];
    float end;
};

/* ---- tiles ---- */

static __device__ __forceinline__ uint32_t row_of(int i)
{
    const uint32_t warp = threadIdx.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;

    return 16 * (warp % 4) + lane / 4 + 8 * ((uint32_t)i / 2 % 2);
}

static __device__ __forceinline__ uint32_t col_of(int i)
{
    const uint32_t warp = threadIdx.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;

    return 32 * (warp / 4) + 8 * ((uint32_t)i / 4) + 2 * (lane % 4) + (uint32_t)i % 2;
}

/*
 * Element (r, c) of a tile. Groups of four columns are mixed by the row, so that the lanes of a warp
 * read different banks, whether rows are its quads and columns its lanes within one or the other way
 * round.
 */
static __device__ __forceinline__ uint32_t cell(uint32_t r, uint32_t c)
{
    return r * TILE + (c ^ (8 * (r % 4) + r % 8 / 4 * 4));
}

static __device__ __forceinline__ void clear(float x[ELEMENTS])
{
    for (int i = 0; i < ELEMENTS; i++)
        x[i] = 0;
}

/* c += op(A)[m x k] op(B)[k x n]; a tile that is transposed is stored as [k x m] or [n x k]. */
template <bool TA, bool TB>
static __device__ __forceinline__ void product(float c[ELEMENTS], const float *a, const float *b,
                                               uint32_t m, uint32_t n, uint32_t k)
{
    const uint32_t warp = threadIdx.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;
    const uint32_t g = lane / 4, t = lane % 4, row = 16 * (warp % 4), col = 32 * (warp / 4);

    if (row >= m || col >= n)
        return;
    for (uint32_t k0 = 0; k0 < k; k0 += 8) {
        float x[4];

        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t r = row + g + 8 * (i % 2), p = k0 + t + 4 * (i / 2);

            x[i] = TA ? a[cell(p, r)] : a[cell(r, p)];
        }
        for (uint32_t j = 0; j < 4; j++) {
            const uint32_t s = col + 8 * j + g;
            float y[2];

            if (col + 8 * j >= n)
                break;
            for (uint32_t i = 0; i < 2; i++)
                y[i] = TB ? b[cell(s, k0 + t + 4 * i)] : b[cell(k0 + t + 4 * i, s)];
            mbi_mma_tf32(c + 4 * j, x, y);
        }
    }
}

/* The elements of a thread are pairs of neighbours: one to a tile, and all times those of one. */
static __device__ __forceinline__ void put_pair(float *tile, int i, const float v[2])
{
    *(float2 *)(tile + cell(row_of(i), col_of(i))) = {v[0], v[1]};
}

static __device__ __forceinline__ void times_pairs(float v[ELEMENTS], const float *tile)
{
    MBI_UNROLL
    for (int i = 0; i < ELEMENTS; i += 2) {
        const float2 f = *(const float2 *)(tile + cell(row_of(i), col_of(i)));

        v[i] *= f.x;
        v[i + 1] *= f.y;
    }
}

/* Four elements of a tile, from column c on; those from `cols` on are zero. */
static __device__ __forceinline__ void put4(float *tile, uint32_t r, uint32_t c, const float v[4])
{
    *(float4 *)(tile + cell(r, c)) = {v[0], v[1], v[2], v[3]};
}

/* Rows [first, first + rows) of integers, columns [col, col + cols). */
static __device__ __forceinline__ void load_ints(float *tile, const struct mbi_ints &x,
                                                 uint32_t first, uint32_t rows, uint32_t col,
                                                 uint32_t cols, bool wide)
{
    for (uint32_t i = threadIdx.x; i < TILE * TILE / 4; i += BLOCK) {
        const uint32_t r = i / (TILE / 4), c = i % (TILE / 4) * 4;
        const size_t at = (size_t)(first + r) * x.cols + col + c;
        float v[4] = {0, 0, 0, 0};

        if (wide && r < rows && c < cols)
            mbi_reals_at<4>(v, x.q, x.dtype, at);
        for (uint32_t k = 0; !wide && k < 4; k++)
            if (r < rows && c + k < cols)
                v[k] = mbi_real_at(x.q, x.dtype, at + k);
        for (int k = 0; k < 4; k++)
            v[k] *= x.unit;
        put4(tile, r, c, v);
    }
}

/* Four elements of a row, zero beyond the edges. */
static __device__ __forceinline__ void reals_at(float v[4], const mbi_operand *x, size_t stride,
                                                uint32_t r, uint32_t c, uint32_t rows,
                                                uint32_t cols, bool wide)
{
    for (int k = 0; k < 4; k++)
        v[k] = 0;
    if (wide && r < rows && c < cols)
        mbi_load<4>(v, x + r * stride + c);
    for (uint32_t k = 0; !wide && k < 4; k++)
        if (r < rows && c + k < cols)
            v[k] = mbi_from_operand(x[r * stride + c + k]);
}

static __device__ __forceinline__ void load_reals(float *tile, const mbi_operand *x, size_t stride,
                                                  uint32_t rows, uint32_t cols, bool wide)
{
    for (uint32_t i = threadIdx.x; i < TILE * TILE / 4; i += BLOCK) {
        const uint32_t r = i / (TILE / 4), c = i % (TILE / 4) * 4;
        float v[4];

        reals_at(v, x, stride, r, c, rows, cols, wide);
        put4(tile, r, c, v);
    }
}

/* Rows of a tile times a factor of each. */
static __device__ __forceinline__ void scale_rows(float *tile, const float *a, const float *b)
{
    for (uint32_t i = threadIdx.x; i < TILE * TILE / 4; i += BLOCK) {
        const uint32_t r = i / (TILE / 4), c = i % (TILE / 4) * 4;
        const float f = a[r] * (b ? b[r] : 1.0f);
        float4 *to = (float4 *)(tile + cell(r, c)), v = *to;

        *to = {v.x * f, v.y * f, v.z * f, v.w * f};
    }
}

static __device__ __forceinline__ uint32_t part_of(uint32_t n, uint32_t slice)
{
    return n - slice * TILE < TILE ? n - slice * TILE : TILE;
}

static __device__ __forceinline__ struct place place_of(const struct scan &s)
{
    struct place p;

    p.at = blockIdx.x;
    p.index = blockIdx.x % s.chunks;
    p.first = blockIdx.x / s.chunks * s.a.tokens + p.index * TILE;
    p.q = part_of(s.a.tokens, p.index);
    return p;
}

static __device__ __forceinline__ size_t state_at(const struct scan &s, size_t chunk, uint32_t head,
                                                  uint32_t n, uint32_t p)
{
    return ((chunk * s.a.heads + head) * s.a.n + n) * s.a.dim + p;
}

/* By one warp, two tokens a lane; expm1 keeps small w exact. Rows beyond q do not decay. */
static __device__ __forceinline__ void find_decays(struct decays *d, const struct scan &s,
                                                   const struct place &p, uint32_t head)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;
    float l[2], sum[2], all;

    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t r = lane + MBI_WARP * i;

        l[i] = sum[i] = r < p.q ? s.a.l.unit * mbi_real_at(s.a.l.q, s.a.l.dtype,
                                                           (size_t)(p.first + r) * s.a.heads + head)
                                : 0;
        for (int step = 1; step < MBI_WARP; step *= 2) {
            const float x = __shfl_up_sync(MBI_FULL, sum[i], (unsigned)step);

            sum[i] += (int)lane >= step ? x : 0;
        }
    }
    sum[1] += __shfl_sync(MBI_FULL, sum[0], MBI_WARP - 1);
    all = __shfl_sync(MBI_FULL, sum[1], MBI_WARP - 1);
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t r = lane + MBI_WARP * i;

        d->w[r] = -expm1f(-MBI_LN2F * l[i]);
        d->L[r] = sum[i];
        d->keep[r] = exp2f(-sum[i]);
        d->rest[r] = exp2f(sum[i] - all);
    }
    if (lane == 0)
        d->end = exp2f(-all);
}

/* ---- the parts of states and of their gradients ---- */

/* h gets sum_j B_j 2^-(L_end - L_j) w_j x_j, v gets sum_i C_i 2^-L_i dy_i: of this chunk alone. */
static __global__ void __launch_bounds__(BLOCK) parts(const __grid_constant__ struct scan s)
{
    float *x = (float *)mbi_shared(), *y = x + TILE * TILE;
    struct decays *d = (struct decays *)(y + TILE * TILE);
    const struct place p = place_of(s);
    const uint32_t head = blockIdx.y / s.slices_p, col = blockIdx.y % s.slices_p * TILE;
    const uint32_t row = blockIdx.z * TILE;
    const uint32_t cols = part_of(s.a.dim, blockIdx.y % s.slices_p);
    const uint32_t rows = part_of(s.a.n, blockIdx.z);
    const size_t to = state_at(s, p.at, head, row, col);
    const size_t at = (size_t)p.first * s.a.x.cols + head * s.a.dim + col;

    if (threadIdx.x < MBI_WARP)
        find_decays(d, s, p, head);
    for (int back = 0; back < 2; back++) {
        const bool wanted = back ? p.index > 0 : p.index + 1 < s.chunks;
        float c[ELEMENTS];

        __syncthreads();
        if (!wanted)
            continue;
        load_ints(x, s.a.bc, p.first, p.q, row + (back ? s.a.n : 0), rows, s.wide);
        if (back)
            load_reals(y, s.a.dy + at, s.a.x.cols, p.q, cols, s.wide);
        else
            load_ints(y, s.a.x, p.first, p.q, head * s.a.dim + col, cols, s.wide);
        scale_rows(y, back ? d->keep : d->rest, back ? NULL : d->w); /* what this thread loaded */
        __syncthreads();
        clear(c);
        product<true, false>(c, x, y, rows, cols, p.q);
        for (int i = 0; i < ELEMENTS; i++)
            if (row_of(i) < rows && col_of(i) < cols)
                (back ? s.v : s.h)[to + (size_t)row_of(i) * s.a.dim + col_of(i)] =
                    mbi_to_operand(c[i]);
    }
    if (threadIdx.x == 0 && blockIdx.z == 0 && col == 0)
        s.end[p.at * s.a.heads + head] = d->end;
}

/* A thread for an element of the state: h becomes the state before each chunk, v the gradient of
 * the state behind it. Reading some chunks before writing them hides the way to memory. */
static __global__ void __launch_bounds__(BLOCK) walk(const __grid_constant__ struct scan s)
{
    const uint32_t state = s.a.n * s.a.dim, i = blockIdx.x * BLOCK + threadIdx.x;
    const size_t step = (size_t)s.a.heads * state;
    const uint32_t head = i / state;
    mbi_operand *h = s.h + blockIdx.y * s.chunks * step + i;
    mbi_operand *v = s.v + blockIdx.y * s.chunks * step + i;
    const float *end = s.end + (size_t)blockIdx.y * s.chunks * s.a.heads + head;
    float carried = 0;

    if (i >= step)
        return;
    for (uint32_t from = 0; from < s.chunks; from += AHEAD) {
        float own[AHEAD], keep[AHEAD];

        for (uint32_t k = 0; k < AHEAD; k++) {
            const bool has_next = from + k + 1 < s.chunks;

            own[k] = has_next ? mbi_from_operand(h[(from + k) * step]) : 0;
            keep[k] = has_next ? end[(size_t)(from + k) * s.a.heads] : 0;
        }
        for (uint32_t k = 0; k < AHEAD && from + k < s.chunks; k++) {
            h[(from + k) * step] = mbi_to_operand(carried);
            carried = keep[k] * carried + own[k];
        }
    }
    carried = 0;
    for (uint32_t to = s.chunks; to > 0; to -= to < AHEAD ? to : AHEAD) {
        float own[AHEAD], keep[AHEAD];

        for (uint32_t k = 0; k < AHEAD; k++) {
            const bool has_state = to > k + 1; /* chunk to - 1 - k is not the first */

            own[k] = has_state ? mbi_from_operand(v[(to - 1 - k) * step]) : 0;
            keep[k] = has_state ? end[(size_t)(to - 1 - k) * s.a.heads] : 0;
        }
        for (uint32_t k = 0; k < AHEAD && k < to; k++) {
            v[(to - 1 - k) * step] = mbi_to_operand(carried);
            carried = keep[k] * carried + own[k];
        }
    }
}

/* ---- one chunk ---- */

enum { SUM_ROWS, SUM_SLOPE, SUM_CARRIED, SUM_W, SUMS };

/* Sums of rows of tiles, by the two halves of their columns, and of columns, by quarters of the
 * rows. Each place belongs to one thread, which alone writes it. */
struct sums {
    float row[SUMS][2][TILE];
    float col[4][TILE];
    float kept[BLOCK / MBI_WARP];
};

struct shared {
    float x[TILE * TILE], dy[TILE * TILE], b[TILE * TILE], c[TILE * TILE];
    float state[TILE * TILE], m[TILE * TILE];
    struct decays d, next; /* of this head and of the one behind it */
    struct sums sum;
};

/* The decays of the next head become those of this one. */
static __device__ __forceinline__ void take_next(struct shared *sh)
{
    for (uint32_t i = threadIdx.x; i < sizeof(sh->d) / sizeof(float); i += BLOCK)
        ((float *)&sh->d)[i] = ((const float *)&sh->next)[i];
}

static __device__ __forceinline__ void add_rows(struct sums *sum, int which,
                                                const float v[ELEMENTS])
{
    for (int half = 0; half < 2; half++) {
        float r = 0;

        for (int i = 0; i < ELEMENTS; i++)
            if (i / 2 % 2 == half)
                r += v[i];
        r += __shfl_xor_sync(MBI_FULL, r, 1);
        r += __shfl_xor_sync(MBI_FULL, r, 2);
        if (threadIdx.x % 4 == 0)
            sum->row[which][threadIdx.x / MBI_WARP / 4][row_of(2 * half)] += r;
    }
}

static __device__ __forceinline__ void add_cols(struct sums *sum, const float v[ELEMENTS])
{
    for (int i = 0; i < ELEMENTS; i++) {
        float c = 0;

        if (i / 2 % 2)
            continue;
        c = v[i] + v[i + 2];
        c += __shfl_xor_sync(MBI_FULL, c, 4);
        c += __shfl_xor_sync(MBI_FULL, c, 8);
        c += __shfl_xor_sync(MBI_FULL, c, 16);
        if (threadIdx.x % MBI_WARP < 4)
            sum->col[threadIdx.x / MBI_WARP % 4][col_of(i)] += c;
    }
}

static __device__ __forceinline__ void clear_sums(struct sums *sum)
{
    const uint32_t warp = threadIdx.x / MBI_WARP;

    for (int half = 0; half < 2 && threadIdx.x % 4 == 0; half++)
        for (int which = 0; which < SUMS; which++)
            sum->row[which][warp / 4][row_of(2 * half)] = 0;
    for (int i = 0; i < ELEMENTS; i++)
        if (i / 2 % 2 == 0 && threadIdx.x % MBI_WARP < 4)
            sum->col[warp % 4][col_of(i)] = 0;
    if (threadIdx.x % MBI_WARP == 0)
        sum->kept[warp] = 0;
}

/* Elements of the chunk's gradient of B or of C, which this thread alone adds up. */
static __device__ __forceinline__ void give_bc(const struct scan &s, const struct place &p,
                                               uint32_t slice, bool c, float v[ELEMENTS], bool add)
{
    float *to = s.part + (size_t)blockIdx.y * s.a.streams * s.a.tokens * 2 * s.a.n;
    const uint32_t first = slice * TILE, cols = part_of(s.a.n, slice);

    for (int i = 0; i < ELEMENTS; i++)
        if (row_of(i) < p.q && col_of(i) < cols) {
            float *at = to + (size_t)(p.first + row_of(i)) * 2 * s.a.n + (c ? s.a.n : 0) + first +
                        col_of(i);

            *at = add ? *at + v[i] : v[i];
        }
}

static __device__ __forceinline__ void load_bc(struct shared *sh, const struct scan &s,
                                               const struct place &p, uint32_t slice)
{
    load_ints(sh->b, s.a.bc, p.first, p.q, slice * TILE, part_of(s.a.n, slice), s.wide);
    load_ints(sh->c, s.a.bc, p.first, p.q, s.a.n + slice * TILE, part_of(s.a.n, slice), s.wide);
}

/* Token to token. In: dM = dy x^T. ds gets its part of the gradient of S = C B^T, m becomes
 * S 2^-(L_i - L_j), and the slopes of the decays are summed; the diagonal has none. */
static __device__ __forceinline__ void square_back(struct shared *sh, const float dm[ELEMENTS],
                                                   const float S[ELEMENTS], float ds[ELEMENTS],
                                                   uint32_t q)
{
    float slope[ELEMENTS], m[2];

    MBI_UNROLL
    for (int i = 0; i < ELEMENTS; i++) {
        const uint32_t r = row_of(i), c = col_of(i);
        const float decay = c <= r && r < q ? exp2f(sh->d.L[c] - sh->d.L[r]) : 0;
        const float e = dm[i] * sh->d.w[c] * decay;

        slope[i] = c < r ? e * S[i] : 0;
        ds[i] += e;
        m[i % 2] = S[i] * decay;
        if (i % 2)
            put_pair(sh->m, i - 1, m);
    }
    add_rows(&sh->sum, SUM_ROWS, slope);
    add_cols(&sh->sum, slope);
}

/* The writing of the next state: to xw, to B, to the decays. */
static __device__ __forceinline__ void written_back(struct shared *sh, const struct scan &s,
                                                    const struct place &p, uint32_t head,
                                                    uint32_t slice_p, uint32_t slice,
                                                    float dxw[ELEMENTS], float db[ELEMENTS])
{
    const uint32_t cols = part_of(s.a.dim, slice_p), rows = part_of(s.a.n, slice);
    float c[ELEMENTS];

    load_reals(sh->state, s.v + state_at(s, p.at, head, slice * TILE, slice_p * TILE), s.a.dim,
               rows, cols, s.wide);
    __syncthreads();
    clear(c);
    product<false, false>(c, sh->b, sh->state, p.q, cols, rows);
    for (int i = 0; i < ELEMENTS; i++)
        dxw[i] += sh->d.rest[row_of(i)] * c[i];
    clear(c);
    product<false, true>(c, sh->x, sh->state, p.q, rows, cols);
    for (int i = 0; i < ELEMENTS; i++) {
        c[i] *= sh->d.rest[row_of(i)] * sh->d.w[row_of(i)];
        db[i] += c[i];
    }
    times_pairs(c, sh->b);
    add_rows(&sh->sum, SUM_SLOPE, c);
    __syncthreads();
}

/* The reading of the carried state: to C and to the decays; and its own decay over the chunk. */
static __device__ __forceinline__ void carried_back(struct shared *sh, const struct scan &s,
                                                    const struct place &p, uint32_t head,
                                                    uint32_t slice_p, uint32_t slice,
                                                    float dc[ELEMENTS])
{
    const uint32_t cols = part_of(s.a.dim, slice_p), rows = part_of(s.a.n, slice);
    const size_t from = state_at(s, p.at, head, slice * TILE, slice_p * TILE);
    const bool has_next = p.index + 1 < s.chunks;
    float c[ELEMENTS], kept = 0;

    for (uint32_t i = threadIdx.x; i < TILE * TILE / 4; i += BLOCK) {
        const uint32_t r = i / (TILE / 4), k = i % (TILE / 4) * 4;
        float h[4], v[4];

        reals_at(h, s.h + from, s.a.dim, r, k, rows, cols, s.wide);
        put4(sh->state, r, k, h);
        if (!has_next)
            continue;
        reals_at(v, s.v + from, s.a.dim, r, k, rows, cols, s.wide);
        kept += h[0] * v[0] + h[1] * v[1] + h[2] * v[2] + h[3] * v[3];
    }
    kept = mbi_warp_sumf(kept);
    if (threadIdx.x % MBI_WARP == 0)
        sh->sum.kept[threadIdx.x / MBI_WARP] += kept;
    __syncthreads();
    clear(c);
    product<false, true>(c, sh->dy, sh->state, p.q, rows, cols);
    for (int i = 0; i < ELEMENTS; i++) {
        c[i] *= sh->d.keep[row_of(i)];
        dc[i] += c[i];
    }
    times_pairs(c, sh->c);
    add_rows(&sh->sum, SUM_CARRIED, c);
    __syncthreads();
}

/* From dxw to x; the products with x wait for the gradient of w. */
static __device__ __forceinline__ void inputs_back(struct shared *sh, const struct scan &s,
                                                   const struct place &p, uint32_t head,
                                                   uint32_t slice_p, float dxw[ELEMENTS])
{
    const uint32_t cols = part_of(s.a.dim, slice_p);

    for (int i = 0; i < ELEMENTS; i += 2) {
        const uint32_t r = row_of(i), c = col_of(i);
        const float v[2] = {sh->d.w[r] * dxw[i], sh->d.w[r] * dxw[i + 1]};
        const size_t at = (size_t)(p.first + r) * s.a.x.cols + head * s.a.dim + slice_p * TILE + c;

        if (s.wide && r < p.q && c < cols)
            mbi_put<2>(s.a.dx, at, v);
        for (uint32_t k = 0; !s.wide && k < 2; k++)
            if (r < p.q && c + k < cols)
                mbi_put<1>(s.a.dx, at + k, v + k);
    }
    times_pairs(dxw, sh->x);
    add_rows(&sh->sum, SUM_W, dxw);
}

/*
 * From the sums to l, by the first warp, two tokens a lane: l_j is in every L_i from i = j on, and
 * dw/dl = 2^-l ln 2. The last row has no decay between itself and the end.
 */
static __device__ __forceinline__ void decays_back(const struct shared *sh, const struct scan &s,
                                                   const struct place &p, uint32_t head)
{
    const struct sums *sum = &sh->sum;
    const uint32_t lane = threadIdx.x;
    float d[2], own[2], slopes = 0, kept = 0, later;

    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t r = lane + MBI_WARP * i;
        const float slope = r + 1 < p.q ? sum->row[SUM_SLOPE][0][r] + sum->row[SUM_SLOPE][1][r] : 0;

        d[i] = sum->col[0][r] + sum->col[1][r] + sum->col[2][r] + sum->col[3][r] + slope;
        for (int half = 0; half < 2; half++)
            d[i] -= sum->row[SUM_ROWS][half][r] + sum->row[SUM_CARRIED][half][r];
        slopes += slope;
        own[i] = (1 - sh->d.w[r]) * (sum->row[SUM_W][0][r] + sum->row[SUM_W][1][r]);
    }
    slopes = mbi_warp_sumf(slopes);
    for (int i = 0; i < BLOCK / MBI_WARP; i++)
        kept += sum->kept[i];
    for (uint32_t i = 0; i < 2; i++)
        if (lane + MBI_WARP * i == p.q - 1)
            d[i] -= slopes + sh->d.end * kept;
    for (uint32_t i = 2; i-- > 0;)
        for (int step = 1; step < MBI_WARP; step *= 2) {
            const float x = __shfl_down_sync(MBI_FULL, d[i], (unsigned)step);

            d[i] += (int)lane + step < MBI_WARP ? x : 0;
        }
    later = __shfl_sync(MBI_FULL, d[1], 0);
    d[0] += later;
    for (uint32_t i = 0; i < 2; i++)
        if (lane + MBI_WARP * i < p.q)
            s.a.dl[(size_t)(p.first + lane + MBI_WARP * i) * s.a.heads + head] =
                MBI_LN2F * (d[i] + own[i]);
}

/* A block for a chunk and some heads in a row. With one slice of the state, B and C stay in shared
 * memory and their gradients in registers. */
static __global__ void __launch_bounds__(BLOCK, 2) chunk(const __grid_constant__ struct scan s)
{
    struct shared *sh = (struct shared *)mbi_shared();
    const struct place p = place_of(s);
    const uint32_t first = blockIdx.y * s.per_group;
    const uint32_t last = first + s.per_group < s.a.heads ? first + s.per_group : s.a.heads;
    const bool alone = s.slices_n == 1;
    float S[ELEMENTS], ds[ELEMENTS], db[ELEMENTS], dc[ELEMENTS], dxw[ELEMENTS];

    clear(S);
    clear(ds);
    clear(db);
    clear(dc);
    if (threadIdx.x < MBI_WARP)
        find_decays(&sh->next, s, p, first);
    for (uint32_t n = 0; n < s.slices_n; n++) {
        load_bc(sh, s, p, n);
        __syncthreads();
        product<false, true>(S, sh->c, sh->b, p.q, p.q, part_of(s.a.n, n));
        __syncthreads();
        if (!alone) {
            give_bc(s, p, n, false, db, false);
            give_bc(s, p, n, true, dc, false);
        }
    }
    for (uint32_t head = first; head < last; head++) {
        take_next(sh);
        clear_sums(&sh->sum);
        for (uint32_t k = 0; k < s.slices_p; k++) {
            const uint32_t cols = part_of(s.a.dim, k), at = head * s.a.dim + k * TILE;

            load_ints(sh->x, s.a.x, p.first, p.q, at, cols, s.wide);
            load_reals(sh->dy, s.a.dy + (size_t)p.first * s.a.x.cols + at, s.a.x.cols, p.q, cols,
                       s.wide);
            __syncthreads();
            clear(dxw);
            product<false, true>(dxw, sh->dy, sh->x, p.q, p.q, cols);
            square_back(sh, dxw, S, ds, p.q);
            __syncthreads();
            clear(dxw);
            product<true, false>(dxw, sh->m, sh->dy, p.q, cols, p.q);
            for (uint32_t n = 0; n < s.slices_n; n++) {
                if (!alone) {
                    clear(db);
                    clear(dc);
                    load_bc(sh, s, p, n);
                }
                if (p.index + 1 < s.chunks)
                    written_back(sh, s, p, head, k, n, dxw, db);
                if (p.index > 0)
                    carried_back(sh, s, p, head, k, n, dc);
                if (!alone) {
                    give_bc(s, p, n, false, db, true);
                    give_bc(s, p, n, true, dc, true);
                    __syncthreads();
                }
            }
            inputs_back(sh, s, p, head, k, dxw);
            __syncthreads();
        }
        if (threadIdx.x < MBI_WARP)
            decays_back(sh, s, p, head);
        else if (threadIdx.x < 2 * MBI_WARP && head + 1 < last)
            find_decays(&sh->next, s, p, head + 1);
        __syncthreads();
    }
    MBI_UNROLL
    for (int i = 0; i < ELEMENTS; i += 2)
        put_pair(sh->m, i, ds + i);
    for (uint32_t n = 0; n < s.slices_n; n++) {
        if (!alone) {
            clear(db);
            clear(dc);
            load_bc(sh, s, p, n);
        }
        __syncthreads();
        product<true, false>(db, sh->m, sh->c, p.q, part_of(s.a.n, n), p.q);
        product<false, false>(dc, sh->m, sh->b, p.q, part_of(s.a.n, n), p.q);
        give_bc(s, p, n, false, db, !alone);
        give_bc(s, p, n, true, dc, !alone);
        __syncthreads();
    }
}

static __global__ void __launch_bounds__(BLOCK)
    add_groups(float *dst, const float *part, uint32_t groups, size_t n)
{
    const size_t i = (size_t)blockIdx.x * BLOCK + threadIdx.x;
    float sum = 0;

    if (i >= n)
        return;
    for (uint32_t g = 0; g < groups; g++)
        sum += part[g * n + i];
    dst[i] = sum;
}

/* ---- all of it ---- */

/* Parts of the heads for `blocks` chunks: the least rounds of all processors, two blocks each, where
 * what a block does once takes as long as a head. */
static uint32_t choose_groups(size_t blocks, uint32_t heads, uint32_t processors)
{
    const size_t slots = 2 * (size_t)processors;
    uint32_t best = 1;
    size_t least = SIZE_MAX;

    for (uint32_t groups = 1; groups <= heads; groups++) {
        const size_t rounds = (blocks * groups + slots - 1) / slots;
        const size_t cost = rounds * ((heads + groups - 1) / groups + 1);

        best = cost < least ? groups : best;
        least = cost < least ? cost : least;
    }
    return best;
}

/* Without memory it only counts the bytes. */
static size_t lay_out(struct scan *s, const struct mbi_scan_args *a, uint32_t processors)
{
    const uint32_t tokens = a->tokens;
    size_t states, ends, blocks, bc;

    *s = {};
    s->a = *a;
    s->wide = a->dim % 4 == 0 && a->n % 4 == 0 && (uintptr_t)a->x.q % 16 == 0 &&
              (uintptr_t)a->bc.q % 16 == 0 && (uintptr_t)a->dy % 16 == 0;
    s->chunks = (tokens + TILE - 1) / TILE;
    s->slices_p = (a->dim + TILE - 1) / TILE;
    s->slices_n = (a->n + TILE - 1) / TILE;
    blocks = (size_t)a->streams * s->chunks;
    s->groups = choose_groups(blocks, a->heads, processors);
    s->per_group = (a->heads + s->groups - 1) / s->groups;
    s->groups = (a->heads + s->per_group - 1) / s->per_group;
    states = (blocks * a->heads * a->n * a->dim + 63) / 64 * 64;
    ends = (blocks * a->heads + 63) / 64 * 64;
    bc = (size_t)a->streams * tokens * 2 * a->n;
    s->h = (mbi_operand *)a->work;
    s->v = s->h + states;
    s->end = (float *)(s->v + states);
    s->part = s->groups == 1 ? a->dbc : s->end + ends;
    return 2 * states * sizeof(*s->h) +
           (ends + (s->groups == 1 ? 0 : s->groups * bc)) * sizeof(float);
}

size_t mbi_scan_work(const struct mbi_scan_args *a, uint32_t processors)
{
    struct scan s;

    return lay_out(&s, a, processors);
}

cudaError_t mbi_scan_prepare(void)
{
    return cudaFuncSetAttribute(chunk, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                (int)sizeof(struct shared));
}

cudaError_t mbi_scan_back(const struct mbi_scan_args *a, uint32_t processors, int step,
                          cudaStream_t stream)
{
    const size_t bc = (size_t)a->streams * a->tokens * 2 * a->n;
    struct scan s;
    cudaError_t e;
    uint32_t blocks;

    lay_out(&s, a, processors);
    blocks = a->streams * s.chunks;
    if (step == 0)
        return mbi_launch(parts, dim3(blocks, a->heads * s.slices_p, s.slices_n), BLOCK,
                          2 * TILE * TILE * sizeof(float) + sizeof(struct decays), stream, s);
    if (step == 1)
        return mbi_launch(walk, dim3((a->heads * a->n * a->dim + BLOCK - 1) / BLOCK, a->streams),
                          BLOCK, 0, stream, s);
    e = mbi_launch(chunk, dim3(blocks, s.groups), BLOCK, sizeof(struct shared), stream, s);
    if (!e && s.groups > 1)
        e = mbi_launch(add_groups, dim3((uint32_t)((bc + BLOCK - 1) / BLOCK)), BLOCK, 0, stream,
                       a->dbc, (const float *)s.part, s.groups, bc);
    return e;
}

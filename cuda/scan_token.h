/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recurrence of one head for one token, by one block: what decoding does for each token. Also
 * the formulas of lib/op/scan.c for a single element, with the bounds that make 32 bits enough.
 */
#ifndef MBI_CUDA_SCAN_TOKEN_H
#define MBI_CUDA_SCAN_TOKEN_H

#include "cuda/scan.h"

/* ---- elements ---- */

/* mbi_ex2() in 32-bit steps: only the upper word of its polynomial counts. */
static __device__ __forceinline__ uint32_t mbi_scan_ex2(uint32_t L)
{
    const uint32_t f = L & 65535, e = L >> 16, q = (f * f) >> 16;
    const uint64_t p = (((uint64_t)1 << 48) - 1) - (uint64_t)2977044472u * f +
                       (uint64_t)q * (1030100796u - 3526u * f + 466u * q);

    return (uint32_t)(p >> 32) >> (1 + (e < 30 ? e : 30));
}

/* What is left of h after a decay L, in Q15. */
static __device__ __forceinline__ int32_t mbi_scan_keep(uint32_t L, int32_t hold)
{
    return hold && !L ? 1 << 15 : (int32_t)mbi_scan_ex2(L);
}

/* xw of an input; w <= 2^18 is its weight, so it stays in [-2^15, 127 2^8] and never saturates. */
static __device__ __forceinline__ int32_t mbi_scan_xw(int32_t x, int32_t w)
{
    return (x * w + (1 << 9)) >> 10;
}

/* M of C . B: the sum is at least -N 127 128, so only the upper end of 16 bits can be passed. */
static __device__ __forceinline__ int32_t mbi_scan_m(int32_t dot, int32_t s_n, uint32_t decay)
{
    const int32_t half = s_n ? 1 << (s_n - 1) : 0, s = (dot + half) >> s_n;

    return mbi_mulr(s < 32767 ? s : 32767, (int32_t)decay);
}

/*
 * h after a chunk. rsh(h kept + (delta << 23), 15) without the carry between the two terms, as the
 * second is a multiple of 2^15; |delta| <= 2^7 1.006 2^15, so each fits int32 as their sum does.
 */
static __device__ __forceinline__ int32_t mbi_scan_fold(int32_t h, int32_t kept, int32_t delta)
{
    return (int32_t)(mbi_mul_add(h, kept, 1 << 14) >> 15) + delta * 256;
}

/* |h| < 18 2^26, so the sum with a half fits. */
static __device__ __forceinline__ int32_t mbi_scan_h16(int32_t h) { return (h + (1 << 15)) >> 16; }

static __device__ __forceinline__ int32_t mbi_scan_y(int32_t inside, int32_t carried, int32_t s_n,
                                                     int32_t kept)
{
    return ((inside + (1 << (8 - s_n))) >> (9 - s_n)) +
           (int32_t)(mbi_mul_add(carried, kept, 1 << 15) >> 16);
}

/* log2(N) - 1 */
static __host__ __device__ inline int32_t mbi_scan_s_n_of(uint32_t n)
{
    return mbi_bitlen((uint64_t)n) - 2;
}

static __host__ __device__ inline int32_t mbi_scan_s_n(const struct mbi_scan_attr *at)
{
    return mbi_scan_s_n_of((uint32_t)at->d_state);
}

/* ---- rows ---- */

/* V elements of 16 bits in their registers. */
template <int V> struct mbi_scan_row;

template <> struct mbi_scan_row<1> {
    int32_t v;

    __device__ __forceinline__ void load(const int16_t *p) { v = *p; }
    __device__ __forceinline__ int32_t at(int) const { return v; }
};

template <> struct mbi_scan_row<2> {
    uint32_t v;

    __device__ __forceinline__ void load(const int16_t *p) { v = *(const uint32_t *)p; }
    __device__ __forceinline__ int32_t at(int k) const
    {
        return k % 2 ? (int32_t)v >> 16 : (int16_t)v;
    }
};

template <> struct mbi_scan_row<4> {
    uint2 v;

    __device__ __forceinline__ void load(const int16_t *p) { v = *(const uint2 *)p; }
    __device__ __forceinline__ int32_t at(int k) const
    {
        const uint32_t w = k / 2 ? v.y : v.x;

        return k % 2 ? (int32_t)w >> 16 : (int16_t)w;
    }
};

template <> struct mbi_scan_row<8> {
    uint4 v;

    __device__ __forceinline__ void load(const int16_t *p) { v = *(const uint4 *)p; }
    __device__ __forceinline__ int32_t at(int k) const
    {
        const uint32_t w = k / 2 == 0 ? v.x : k / 2 == 1 ? v.y : k / 2 == 2 ? v.z : v.w;

        return k % 2 ? (int32_t)w >> 16 : (int16_t)w;
    }
};

/* C . B of two rows of n bytes, a power of two; rows are aligned to 16 bytes, or to n if less. */
static __device__ __forceinline__ int32_t mbi_scan_dot(const int8_t *c, const int8_t *b, int32_t n)
{
    int32_t s = 0;

    if (n < 4)
        return c[0] * b[0] + c[1] * b[1];
    for (int32_t k = 0; n < 16 && k < n; k += 4)
        s = mbi_dot4(*(const int32_t *)(c + k), *(const int32_t *)(b + k), s);
    for (int32_t k = 0; n >= 16 && k < n; k += 16) {
        const uint4 v = *(const uint4 *)(c + k), w = *(const uint4 *)(b + k);

        s = mbi_dot4((int32_t)v.x, (int32_t)w.x, s);
        s = mbi_dot4((int32_t)v.y, (int32_t)w.y, s);
        s = mbi_dot4((int32_t)v.z, (int32_t)w.z, s);
        s = mbi_dot4((int32_t)v.w, (int32_t)w.w, s);
    }
    return s;
}

/* ---- one token ---- */

/*
 * What a head has from before this token, wherever it lies: rows of the open chunk, and h16. B's
 * rows are N apart and begin at the same alignment as this token's.
 */
struct mbi_scan_before {
    const int16_t *h16; /* [N][P] */
    const int8_t *b;    /* [i][N] */
    const int16_t *xw;  /* [i][P], rows `width` apart */
    const uint32_t *l;  /* [i], `l_step` apart */
    size_t width, l_step;
};

struct mbi_scan_token {
    const struct mbi_scan_attr *at;
    struct mbi_scan_before before;
    const int8_t *b, *c; /* of this token */
    int8_t *slot_b;      /* row 0 of the slots; the others from this head on */
    int16_t *slot_xw;
    uint32_t *slot_l;
    int32_t *h;
    int16_t *h16;
    int32_t *m;                /* shared, [Q]: M_j, later decays */
    int32_t *inside, *carried; /* shared, [P] */
    int16_t *xw;               /* shared, [P]: of this token */
    uint32_t i, L;
    size_t width;
};

/* Shared memory that a token takes. */
static __host__ __device__ inline size_t mbi_scan_token_shared(const struct mbi_scan_attr *at)
{
    const size_t p = (size_t)at->head_dim;

    return mbi_align_size(p * 2, 16) + mbi_align_size((size_t)at->chunk * 4 + p * 8, 16);
}

/* How the threads of a block share rows of P elements, V to a thread. */
struct mbi_scan_share {
    uint32_t width, groups, col, group;
};

static __device__ __forceinline__ struct mbi_scan_share mbi_scan_share(uint32_t columns)
{
    struct mbi_scan_share s;

    s.width = columns < blockDim.x ? columns : blockDim.x;
    s.groups = blockDim.x / s.width;
    s.col = threadIdx.x % s.width;
    s.group = threadIdx.x / s.width;
    return s;
}

/*
 * M of every row of the chunk, for the threads' next barrier. A row is the work of N / 16 lanes
 * that lie side by side, so that a warp reads rows without gaps.
 */
static __device__ __forceinline__ void mbi_scan_token_m(const struct mbi_scan_token *k, uint32_t n)
{
    const uint32_t team = n > 16 ? n / 16 : 1;
    const uint32_t piece = threadIdx.x % team, length = n / team;
    const uint32_t all = mbi_align_size((k->i + 1) * team, MBI_WARP);
    const int32_t s_n = mbi_scan_s_n(k->at);

    for (uint32_t t = threadIdx.x; t < all; t += blockDim.x) {
        const uint32_t j = t / team;
        const int8_t *b = j < k->i ? k->before.b + (size_t)j * n : k->b;
        const uint32_t L = j < k->i ? k->before.l[j * k->before.l_step] : k->L;
        int32_t dot = mbi_scan_dot(k->c + piece * length, b + piece * length, (int32_t)length);

        for (uint32_t d = 1; d < team; d *= 2)
            dot += __shfl_xor_sync(MBI_FULL, dot, (int)d);
        if (piece == 0 && j <= k->i)
            k->m[j] = mbi_scan_m(dot, s_n, mbi_scan_ex2(k->L - L));
    }
}

/*
 * Adds the threads' sums to `to`. With several elements to a thread, P / V is a power of two, so
 * first over the lanes of a warp that have the same columns.
 */
template <int V>
static __device__ __forceinline__ void mbi_scan_token_add(int32_t *to, int32_t sum[V],
                                                          uint32_t width)
{
    if (V > 1)
        for (uint32_t d = width; d < MBI_WARP; d *= 2)
            for (int v = 0; v < V; v++)
                sum[v] += __shfl_xor_sync(MBI_FULL, sum[v], (int)d);
    if (V == 1 || threadIdx.x % MBI_WARP < width)
        for (int v = 0; v < V; v++)
            atomicAdd(to + v, sum[v]);
}

/* sum += weight[row] times V elements of a row, for rows begin, begin + step, .. */
template <int V, class W>
static __device__ __forceinline__ void mbi_scan_token_rows(int32_t sum[V], const W *weight,
                                                           const int16_t *base, size_t stride,
                                                           uint32_t begin, uint32_t end,
                                                           uint32_t step)
{
    for (uint32_t row = begin; row < end; row += step) {
        struct mbi_scan_row<V> r;

        r.load(base + row * stride);
        for (int v = 0; v < V; v++)
            sum[v] += weight[row] * r.at(v);
    }
}

/* Take in this token: xw and L, here and as row i of the slots; B's row if this block writes it. */
static __device__ __forceinline__ void mbi_scan_token_enter(struct mbi_scan_token *k,
                                                            const int8_t *x, int32_t l,
                                                            bool writes_b)
{
    const uint32_t p_dim = (uint32_t)k->at->head_dim, n_state = (uint32_t)k->at->d_state;
    const int32_t weight = (int32_t)mbi_input_weight((uint32_t)l);

    k->L = (uint32_t)l + (k->i ? k->before.l[(k->i - 1) * k->before.l_step] : 0);
    for (uint32_t p = threadIdx.x; p < p_dim; p += blockDim.x) {
        k->inside[p] = k->carried[p] = 0;
        k->xw[p] = (int16_t)mbi_scan_xw(x[p], weight);
        k->slot_xw[k->i * k->width + p] = k->xw[p];
    }
    for (uint32_t n = threadIdx.x; writes_b && n < n_state; n += blockDim.x)
        k->slot_b[(size_t)k->i * n_state + n] = k->b[n];
    if (threadIdx.x == 0)
        k->slot_l[k->i * (size_t)k->at->heads] = k->L;
}

/*
 * Enter, and the sums of y over the slots and over h16, V columns to a thread. What they read does
 * not depend on the token, so the first `ahead` rows are asked for before all else; the barrier in
 * between is that of M. V is 1, or P / V a power of two.
 */
template <int V, int ahead>
static __device__ __forceinline__ void mbi_scan_token_sums(struct mbi_scan_token *k,
                                                           const int8_t *token_x, int32_t l,
                                                           bool writes_b)
{
    const uint32_t p = (uint32_t)k->at->head_dim, n_state = (uint32_t)k->at->d_state;
    const struct mbi_scan_before *const o = &k->before;
    const struct mbi_scan_share s = mbi_scan_share(p / V);
    const bool works = s.group < s.groups;
    struct mbi_scan_row<V> h[ahead ? ahead : 1] = {}, x[ahead ? ahead : 1] = {
    };

    MBI_UNROLL
    for (int a = 0; a < ahead; a++) {
        const uint32_t row = s.group + (uint32_t)a * s.groups;

        if (works && row < n_state)
            h[a].load(o->h16 + row * p + s.col * V);
        if (works && row < k->i)
            x[a].load(o->xw + row * o->width + s.col * V);
    }
    mbi_scan_token_enter(k, token_x, l, writes_b);
    mbi_scan_token_m(k, n_state);
    __syncthreads();
    for (uint32_t col = s.col; works && col < p / V; col += s.width) {
        const uint32_t begin = s.group + (col == s.col ? ahead * s.groups : 0);
        int32_t inside[V] = {0}, carried[V] = {0};

        MBI_UNROLL
        for (int a = 0; a < ahead; a++) {
            const uint32_t row = s.group + (uint32_t)a * s.groups;

            MBI_UNROLL
            for (int v = 0; col == s.col && row < n_state && v < V; v++)
                carried[v] += k->c[row] * h[a].at(v);
            MBI_UNROLL
            for (int v = 0; col == s.col && row < k->i && v < V; v++)
                inside[v] += k->m[row] * x[a].at(v);
        }
        mbi_scan_token_rows<V>(carried, k->c, o->h16 + col * V, p, begin, n_state, s.groups);
        mbi_scan_token_rows<V>(inside, k->m, o->xw + col * V, o->width, begin, k->i, s.groups);
        mbi_scan_token_add<V>(k->inside + col * V, inside, s.width);
        mbi_scan_token_add<V>(k->carried + col * V, carried, s.width);
    }
    __syncthreads();
}

/* y of one column, behind the sums. */
static __device__ __forceinline__ int32_t mbi_scan_token_y(const struct mbi_scan_token *k,
                                                           uint32_t p, int32_t kept)
{
    return mbi_scan_y(k->inside[p] + k->m[k->i] * k->xw[p], k->carried[p], mbi_scan_s_n(k->at),
                      kept);
}

/* The chunk goes into h, NV x PV elements to a thread. m holds the decays. */
template <int NV, int PV>
static __device__ void mbi_scan_token_fold_tiles(const struct mbi_scan_token *k)
{
    const uint32_t p_dim = (uint32_t)k->at->head_dim, n_state = (uint32_t)k->at->d_state;
    const uint32_t across = p_dim / PV, tiles = n_state / NV * across;
    const int32_t kept = mbi_scan_keep(k->L, k->at->hold);

    for (uint32_t tile = threadIdx.x; tile < tiles; tile += blockDim.x) {
        const uint32_t n = tile / across * NV, p = tile % across * PV;
        int32_t sum[NV][PV] = {};

        for (uint32_t j = 0; j <= k->i; j++) {
            const int8_t *b = (j < k->i ? k->before.b + (size_t)j * n_state : k->b) + n;
            struct mbi_scan_row<PV> x;

            x.load((j < k->i ? k->before.xw + j * k->before.width : k->xw) + p);
            for (int v = 0; v < PV; v++) {
                const int32_t xe = mbi_mulr(x.at(v), k->m[j]);

                for (int u = 0; u < NV; u++)
                    sum[u][v] += b[u] * xe;
            }
        }
        for (int u = 0; u < NV; u++)
            for (int v = 0; v < PV; v++) {
                const size_t at = (size_t)(n + (uint32_t)u) * p_dim + p + (uint32_t)v;
                const int32_t h = mbi_scan_fold(k->h[at], kept, sum[u][v]);

                k->h[at] = h;
                k->h16[at] = (int16_t)mbi_scan_h16(h);
            }
    }
}

/* P / 8 and P / 2 columns may be shared by threads. */
static __host__ __device__ inline bool mbi_scan_token_wide(const struct mbi_scan_attr *at)
{
    return at->head_dim % 8 == 0 && (at->head_dim & (at->head_dim - 1)) == 0;
}

static __device__ __forceinline__ bool mbi_scan_token_full(const struct mbi_scan_token *k)
{
    return k->i + 1 == (uint32_t)k->at->chunk;
}

/* The chunk is full: fold it into h. Ends with a barrier; before it there has to be one. */
static __device__ __forceinline__ void mbi_scan_token_fold(const struct mbi_scan_token *k)
{
    for (uint32_t j = threadIdx.x; j <= k->i; j += blockDim.x)
        k->m[j] =
            (int32_t)mbi_scan_ex2(k->L - (j < k->i ? k->before.l[j * k->before.l_step] : k->L));
    __syncthreads();
    if (mbi_scan_token_wide(k->at) && k->at->d_state >= 4)
        mbi_scan_token_fold_tiles<4, 4>(k);
    else
        mbi_scan_token_fold_tiles<1, 1>(k);
    __syncthreads();
}

/* Of one head; what is from before lies where it always does. */
static __device__ __forceinline__ struct mbi_scan_token mbi_scan_token_at(
    char *shared, const struct mbi_scan_attr *at, const struct mbi_cuda_scan_layout *layout,
    char *memory, uint64_t pos, uint32_t head, const int8_t *bc)
{
    const size_t n = (size_t)at->d_state, p = (size_t)at->head_dim;
    struct mbi_scan_token k;

    k.at = at;
    k.b = bc;
    k.c = bc + n;
    k.width = (size_t)at->heads * p;
    k.slot_b = (int8_t *)(memory + layout->b);
    k.slot_xw = (int16_t *)(memory + layout->xw) + head * p;
    k.slot_l = (uint32_t *)(memory + layout->sum) + head;
    k.h = (int32_t *)(memory + layout->h) + head * n * p;
    k.h16 = (int16_t *)(memory + layout->h16) + head * n * p;
    k.before.h16 = k.h16;
    k.before.b = k.slot_b;
    k.before.xw = k.slot_xw;
    k.before.l = k.slot_l;
    k.before.width = k.width;
    k.before.l_step = (size_t)at->heads;
    k.xw = (int16_t *)shared;
    k.m = (int32_t *)(shared + mbi_align_size(p * 2, 16));
    k.inside = k.m + at->chunk;
    k.carried = k.inside + p;
    k.i = (uint32_t)(pos & (uint64_t)(at->chunk - 1));
    return k;
}

/*
 * One head of one stream at one token, by a whole block of 64 to 512 threads, whole warps. `memory`
 * is the scan's part of the stream's, aligned to 16 bytes; x (P), bc (2 N) and y (P) are in shared
 * memory, visible to all threads, bc aligned to 16; `shared` has mbi_scan_token_shared() bytes
 * aligned to 16. The block of one head writes B's row (`writes_b`), which no block reads at this
 * token. Ends with a barrier: y may be read, and everything in shared memory may be written again.
 */
static __device__ __forceinline__ void mbi_scan_token(char *shared, const struct mbi_scan_attr *at,
                                                      const struct mbi_cuda_scan_layout *layout,
                                                      char *memory, uint64_t pos, uint32_t head,
                                                      const int8_t *x, const int8_t *bc, int32_t l,
                                                      int32_t *y, bool writes_b)
{
    struct mbi_scan_token k = mbi_scan_token_at(shared, at, layout, memory, pos, head, bc);
    const uint32_t p_dim = (uint32_t)at->head_dim;
    int32_t kept;

    if (mbi_scan_token_wide(at))
        mbi_scan_token_sums<8, 4>(&k, x, l, writes_b);
    else
        mbi_scan_token_sums<1, 4>(&k, x, l, writes_b);
    kept = mbi_scan_keep(k.L, at->hold);
    for (uint32_t p = threadIdx.x; p < p_dim; p += blockDim.x)
        y[p] = mbi_scan_token_y(&k, p, kept);
    __syncthreads();
    if (mbi_scan_token_full(&k))
        mbi_scan_token_fold(&k);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of scan.cu with byte products of whole warps, for N 32, 64 or 128, P a multiple of
 * 16, Q from 8 to 128. A number of 16 bits is 2^8 high + low, high a signed and low an unsigned
 * byte; the partial sums are added modulo 2^32, in which the whole is exact.
 *
 * Operands lie in shared memory as words of four bytes along the summed index, a row for each
 * column of the product and four words between rows, so that the 32 words of a fragment (8 rows, 4
 * words) are in 32 banks.
 */
#ifndef MBI_CUDA_SCAN_MMA_H
#define MBI_CUDA_SCAN_MMA_H

#include "cuda/scan_chunk.h"

/* The low and the high bytes of four numbers of 16 bits. */
struct planes {
    uint32_t lo, hi;
};

static __device__ __forceinline__ struct planes split4(uint32_t a, uint32_t b, uint32_t c,
                                                       uint32_t d)
{
    const uint32_t ab = mbi_bytes(a, b, 0x5140), cd = mbi_bytes(c, d, 0x5140);

    return {mbi_bytes(ab, cd, 0x5410), mbi_bytes(ab, cd, 0x7632)};
}

/* Rows of four bytes become columns. */
static __device__ __forceinline__ void turn4(uint32_t out[4], const uint32_t in[4])
{
    const uint32_t a = mbi_bytes(in[0], in[1], 0x5140), b = mbi_bytes(in[2], in[3], 0x5140);
    const uint32_t c = mbi_bytes(in[0], in[1], 0x7362), d = mbi_bytes(in[2], in[3], 0x7362);

    out[0] = mbi_bytes(a, b, 0x5410);
    out[1] = mbi_bytes(a, b, 0x7632);
    out[2] = mbi_bytes(c, d, 0x5410);
    out[3] = mbi_bytes(c, d, 0x7632);
}

/* ---- states ---- */

/*
 * A block of 8 or 4 warps takes 16 columns p of a head, and as many chunks at once, one a warp:
 * delta of a chunk is the product of B^T (rows n) and xe (columns p), summed over the chunk's
 * tokens j. Each warp puts its delta into shared memory, then all threads go through the chunks
 * with their part of h.
 *
 * Lane 4 g + t of a warp holds, of products with rows 0..7 and columns 0..7 (mbi_mma), rows g and
 * columns 2 t, 2 t + 1. Which n and p these stand for is free, and chosen so that loads are wide:
 * of the four row groups of a pair of products, group s is n = 4 g + s, and column c of product s
 * of two is p = 2 c + s. So the four numbers of one row group are p = 4 t .. 4 t + 3.
 */
static constexpr uint32_t STATES_COLUMNS = 16;

/* So that delta of a chunk for each fits into 48 KB. */
static __host__ __device__ constexpr uint32_t states_warps(uint32_t n) { return n > 64 ? 4 : 8; }

struct weight {
    int32_t w, decay;
};

static inline size_t states_shared(const struct mbi_scan_attr *at)
{
    const size_t n = (size_t)at->d_state, q = (size_t)at->chunk;

    return states_warps((uint32_t)n) *
           (n * STATES_COLUMNS * 4 + sizeof(struct weight) * mbi_max_size(q, MBI_WARP) + 4);
}

/* w and the decay to the end of the chunk, for 32 KK rows by a warp; rows from Q on count nothing.
 * Returns L of the whole chunk. */
template <int KK>
static __device__ __forceinline__ uint32_t warp_rows(struct weight *to, const struct scan *k,
                                                     const struct head *o, const struct part *t)
{
    const size_t heads = (size_t)k->s.at.heads;
    const uint32_t lane = threadIdx.x % MBI_WARP;
    uint32_t l[KK], L[KK], before = 0;

    MBI_UNROLL
    for (int i = 0; i < KK; i++) {
        const uint32_t j = (uint32_t)i * MBI_WARP + lane;

        l[i] = j >= t->end     ? 0
               : j >= t->begin ? (uint32_t)o->l[(t->lane + j) * heads]
                               : o->slot_l[j * heads];
    }
    MBI_UNROLL
    for (int i = 0; i < KK; i++) {
        const uint32_t j = (uint32_t)i * MBI_WARP + lane;

        L[i] = mbi_warp_prefix_sum(j + 1 >= t->begin ? l[i] : 0) + before;
        before = __shfl_sync(MBI_FULL, L[i], MBI_WARP - 1);
        if (j < t->begin)
            L[i] = l[i];
    }
    MBI_UNROLL
    for (int i = 0; i < KK; i++) {
        const uint32_t j = (uint32_t)i * MBI_WARP + lane;

        to[j] = {(int32_t)mbi_input_weight(l[i]),
                 j < t->end ? (int32_t)mbi_scan_ex2(before - L[i]) : 0};
    }
    __syncwarp();
    return before;
}

/* Rows of a completed chunk: all that a product sums up, but for Q < 32. */
template <int KK> static __device__ __forceinline__ bool is_row(const struct part *t, uint32_t j)
{
    return KK > 1 || j < t->end;
}

/*
 * The operands of a chunk are read straight into their registers. A chunk with OLD rows is rare:
 * there the warp waits now and then, which keeps its loads from taking all registers.
 */
template <int KK, bool OLD> struct operands {
    const struct scan *k;
    const struct head *o;
    const struct part *t;
    const struct weight *rows;
    int32_t x[KK * 2][4];                /* two columns of this lane's tokens, as they come */
    uint32_t lo[KK][2][2], hi[KK][2][2]; /* xe of 32 tokens; product s; half of the tokens */

    /* Before anything that waits. */
    __device__ __forceinline__ void read_x(void)
    {
        const uint32_t width = width_of(k);
        const uint32_t lane = threadIdx.x % MBI_WARP, column = lane / 4 * 2;
        const size_t at = row_at(t, width, lane % 4 * 4) + column;

        MBI_UNROLL
        for (uint32_t i = 0; i < KK * 8; i++) {
            const uint32_t from = i / 4 * 16 + i % 4, j = from + lane % 4 * 4;
            const bool is = is_row<KK>(t, j) && !(OLD && j < t->begin);

            x[i / 4][i % 4] = is ? *(const int16_t *)(o->x + (at + (uint64_t)from * width)) : 0;
        }
    }

    /* xe of two columns of this lane's four tokens of 16. */
    __device__ __forceinline__ void xe_pair(struct planes out[2], int i) const
    {
        const uint32_t lane = threadIdx.x % MBI_WARP, j = (uint32_t)i * 16 + lane % 4 * 4;
        uint32_t xe[2][4];

        MBI_UNROLL
        for (uint32_t u = 0; u < 4; u++) {
            const struct weight r = rows[j + u];
            int32_t a = mbi_scan_xw((int8_t)x[i][u], r.w), b = mbi_scan_xw(x[i][u] >> 8, r.w);

            if (OLD && j + u < t->begin) {
                const uint32_t width = width_of(k);
                const int16_t *p = o->slot_xw + (size_t)(j + u) * width + lane / 4 * 2;

                a = p[0];
                b = p[1];
            }
            xe[0][u] = (uint32_t)mbi_mulr(a, r.decay);
            xe[1][u] = (uint32_t)mbi_mulr(b, r.decay);
        }
        MBI_UNROLL
        for (int s = 0; s < 2; s++)
            out[s] = split4(xe[s][0], xe[s][1], xe[s][2], xe[s][3]);
    }

    __device__ __forceinline__ void make_xe(void)
    {
        MBI_UNROLL
        for (int i = 0; i < KK * 2; i++) {
            struct planes v[2];

            xe_pair(v, i);
            MBI_UNROLL
            for (int s = 0; s < 2; s++) {
                lo[i / 2][s][i % 2] = v[s].lo;
                hi[i / 2][s][i % 2] = v[s].hi;
            }
            if (OLD || KK > 2)
                __syncwarp();
        }
    }

    /* B^T of 32 rows from n on: two left operands for each 32 tokens. */
    __device__ __forceinline__ void read_b(uint32_t a[KK][2][4], uint32_t n_state, uint32_t n) const
    {
        const uint32_t lane = threadIdx.x % MBI_WARP, at = n + lane / 4 * 4;
        const int8_t *b = k->s.bc + (t->lane + lane % 4 * 4) * 2 * n_state + at;

        MBI_UNROLL
        for (int i = 0; i < KK * 2; i++) {
            uint32_t in[4], out[4];

            MBI_UNROLL
            for (uint32_t u = 0; u < 4; u++) {
                const uint32_t j = (uint32_t)i * 16 + lane % 4 * 4 + u;

                if (OLD && j < t->begin)
                    in[u] = *(const uint32_t *)(o->slot_b + j * n_state + at);
                else if (is_row<KK>(t, j))
                    in[u] = *(const uint32_t *)(b + ((uint32_t)i * 16 + u) * 2 * n_state);
                else
                    in[u] = 0;
            }
            turn4(out, in);
            MBI_UNROLL
            for (int s = 0; s < 4; s++)
                a[i / 2][s / 2][s % 2 + i % 2 * 2] = out[s];
            if (OLD || KK > 2)
                __syncwarp();
        }
    }
};

/* Delta of one chunk by one warp: [row group][lane] of four columns. Returns L of the chunk. */
template <int N, int KK, bool OLD>
static __device__ __forceinline__ uint32_t make_delta(int4 *delta, struct weight *rows,
                                                      const struct scan *k, const struct head *o,
                                                      const struct part *t)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;
    struct operands<KK, OLD> x;
    uint32_t L;

    x.k = k;
    x.o = o;
    x.t = t;
    x.rows = rows;
    x.read_x();
    L = warp_rows<KK>(rows, k, o, t);
    x.make_xe();
    MBI_NO_UNROLL
    for (uint32_t n = 0; n < N; n += 32) {
        uint32_t a[KK][2][4];
        int32_t sum[2][2][4] = {};

        x.read_b(a, N, n);
        MBI_UNROLL
        for (int e = 0; e < 4; e++) {
            int32_t(&v)[4] = sum[e / 2][e % 2];

            MBI_UNROLL
            for (int i = 0; i < KK; i++)
                mbi_mma(v, a[i][e / 2], x.hi[i][e % 2]);
            MBI_UNROLL
            for (int c = 0; c < 4; c++)
                v[c] = (int32_t)((uint32_t)v[c] << 8);
            MBI_UNROLL
            for (int i = 0; i < KK; i++)
                mbi_mma_u8(v, a[i][e / 2], x.lo[i][e % 2]);
        }
        MBI_UNROLL
        for (uint32_t s = 0; s < 4; s++) {
            const int32_t(*u)[4] = sum[s / 2];
            const uint32_t c = s % 2 * 2;

            delta[(n / 8 + s) * MBI_WARP + lane] = {u[0][c], u[1][c], u[0][c + 1], u[1][c + 1]};
        }
    }
    return L;
}

static __device__ __forceinline__ uint2 h16_of(int4 h)
{
    return {mbi_bytes((uint32_t)mbi_scan_h16(h.x), (uint32_t)mbi_scan_h16(h.y), 0x5410),
            mbi_bytes((uint32_t)mbi_scan_h16(h.z), (uint32_t)mbi_scan_h16(h.w), 0x5410)};
}

template <int N, int KK>
static __global__ void __launch_bounds__(states_warps(N) * MBI_WARP, 2) states_mma(struct scan k)
{
    constexpr uint32_t WARPS = states_warps(N), GROUPS = N / 8;
    constexpr uint32_t EACH = GROUPS < WARPS ? 1 : GROUPS / WARPS;
    const uint32_t q = (uint32_t)k.s.at.chunk, dim = (uint32_t)k.s.at.head_dim;
    const uint32_t warp = threadIdx.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;
    const struct head o = head_of(&k);
    int4 *const delta = (int4 *)mbi_shared(); /* [warp][group][lane] */
    struct weight *const all_rows = (struct weight *)(delta + WARPS * GROUPS * MBI_WARP);
    struct weight *const rows = all_rows + warp * 32 * KK;
    int32_t *const kept = (int32_t *)(all_rows + WARPS * 32 * KK);
    const size_t entry = h16_entry(&k.s.at);
    uint32_t at[EACH];
    int4 h[EACH];

    if (!o.done)
        return;
    keep_old(&k, &o);
    MBI_UNROLL
    for (uint32_t e = 0; e < EACH; e++) {
        const uint32_t group = warp + e * WARPS;

        at[e] = (group / 4 * 32 + lane / 4 * 4 + group % 4) * dim + lane % 4 * 4;
        if (group < GROUPS)
            h[e] = *(const int4 *)(o.h + at[e]);
    }
    for (uint32_t c0 = 0; c0 < o.done; c0 += WARPS) {
        const uint32_t together = o.done - c0 < WARPS ? o.done - c0 : WARPS;

        if (warp < together) {
            const struct part t = part_of(&o, q, c0 + warp);
            int4 *const to = delta + warp * GROUPS * MBI_WARP;
            const uint32_t L = t.begin ? make_delta<N, KK, true>(to, rows, &k, &o, &t)
                                       : make_delta<N, KK, false>(to, rows, &k, &o, &t);

            kept[warp] = mbi_scan_keep(L, k.s.at.hold);
        }
        __syncthreads();
        for (uint32_t c = 0; c < together; c++) {
            MBI_UNROLL
            for (uint32_t e = 0; e < EACH && warp + e * WARPS < GROUPS; e++) {
                const int4 d = delta[(c * GROUPS + warp + e * WARPS) * MBI_WARP + lane];

                *(uint2 *)(o.h16_work + (c0 + c) * entry + at[e]) = h16_of(h[e]);
                h[e] = {mbi_scan_fold(h[e].x, kept[c], d.x), mbi_scan_fold(h[e].y, kept[c], d.y),
                        mbi_scan_fold(h[e].z, kept[c], d.z), mbi_scan_fold(h[e].w, kept[c], d.w)};
            }
        }
        __syncthreads();
    }
    MBI_UNROLL
    for (uint32_t e = 0; e < EACH && warp + e * WARPS < GROUPS; e++) {
        *(int4 *)(o.h + at[e]) = h[e];
        *(uint2 *)(o.h16 + at[e]) = h16_of(h[e]);
    }
}

/* ---- outputs ---- */

/*
 * A block of 4 warps takes a chunk, and `cut` columns p of a head; a warp takes 16 tokens i, or
 * more warps share them and divide the columns. S = C B^T, summed over n, becomes M in registers,
 * which are at once the left operand of M xw: byte b of word t of the first half of 32 tokens is j
 * = 8 (b / 2) + 2 t + b % 2, of the second half 16 more. xw lies in shared memory in that order.
 */
static constexpr uint32_t OUTPUTS_WARPS = 4;

/*
 * xw and h16 lie as the right operands that a lane takes at once: low bytes of the words w and w +
 * 4 of eight, then high bytes, 16 bytes for w = 0 .. 3. Quad w of eights e of column p, of a sum
 * over `SIZE`: the exclusive or puts the quads of what is read, and of what is written, into
 * different banks.
 */
template <int SIZE>
static __device__ __forceinline__ uint32_t quad_at(uint32_t p, uint32_t e, uint32_t w)
{
    return p * (SIZE / 8) + ((e * 4 + w) ^ (SIZE > 32 ? (p ^ p / 4) % 2 * 4 : 0));
}

struct tiles {
    int8_t *bc; /* rows of 2 N bytes and 16 more */
    uint4 *x;   /* columns of 32 KK tokens */
    uint4 *h;   /* columns of N */
    struct rows r;
};

template <int N, int KK>
static __device__ __forceinline__ struct tiles tiles_at(char *shared, uint32_t q, uint32_t cut)
{
    const uint32_t b_rows = q < 16 ? 16 : q;
    struct tiles s;

    s.bc = (int8_t *)shared;
    s.x = (uint4 *)(s.bc + b_rows * (2 * N + 16));
    s.h = s.x + cut * (4 * KK);
    s.r = rows_at((char *)(s.h + cut * (N / 8)), q);
    return s;
}

static inline size_t outputs_shared(const struct mbi_scan_attr *at, uint32_t cut)
{
    const uint32_t n = (uint32_t)at->d_state, q = (uint32_t)at->chunk;

    return (q < 16 ? 16 : q) * (2 * n + 16) + cut * 2 * ((q < 32 ? 32 : q) + n) + rows_shared(at);
}

/* log2(cut / 4), of a cut of 16, 32 or 64. */
static __device__ __forceinline__ uint32_t log2_across(uint32_t cut)
{
    return cut == 64 ? 4 : cut == 32 ? 3 : 2;
}

/* Rows of B and C, in the background; C of old rows is not used. */
template <int N>
static __device__ __forceinline__ void fetch_bc(const struct tiles *s, const struct scan *k,
                                                const struct head *o, const struct part *t)
{
    const int8_t *slots = o->done ? o->old_b : o->slot_b;

    for (uint32_t e = threadIdx.x; e < t->end * (N / 8); e += blockDim.x) {
        const uint32_t j = e / (N / 8), at = e % (N / 8) * 16;

        if (at < N || j >= t->begin)
            mbi_copy16(s->bc + j * (2 * N + 16) + at, b_at(k, t, slots, j) + at, true);
    }
    mbi_copy_commit();
}

static __device__ __forceinline__ uint4 quad_of(const uint32_t c[8])
{
    const struct planes a = split4(c[0], c[1], c[2], c[3]), b = split4(c[4], c[5], c[6], c[7]);

    return {a.lo, b.lo, a.hi, b.hi};
}

/* h16, turned: eight n and four p to a thread. */
template <int N>
static __device__ __forceinline__ void fetch_h16(const struct tiles *s, const struct scan *k,
                                                 const int16_t *h16)
{
    const uint32_t dim = (uint32_t)k->s.at.head_dim, across = log2_across(k->cut);

    for (uint32_t e = threadIdx.x; e < N / 8u << across; e += blockDim.x) {
        const uint32_t p = e / 4 % (1u << across) * 4, eight = e / 4 >> across, w = e % 4;
        uint2 v[8];

        MBI_UNROLL
        for (uint32_t i = 0; i < 8; i++)
            v[i] = *(const uint2 *)(h16 + (eight * 32 + i / 4 * 16 + w * 4 + i % 4) * dim + p);
        MBI_UNROLL
        for (uint32_t u = 0; u < 4; u++) {
            uint32_t c[8];

            MBI_UNROLL
            for (int i = 0; i < 8; i++)
                c[i] = (u < 2 ? v[i].x : v[i].y) >> u % 2 * 16;
            s->h[quad_at<N>(p + u, eight, w)] = quad_of(c);
        }
    }
}

/* xw of the chunk, eight tokens and four columns to a thread at once. */
template <int KK> struct xw_maker {
    const struct scan *k;
    const struct head *o;
    const struct part *t;
    uint32_t eight, w, p;
    uint32_t x[8]; /* four columns of each token */

    __device__ __forceinline__ uint32_t row(uint32_t i) const
    {
        return eight * 32 + i / 2 * 8 + w * 2 + i % 2;
    }

    /* Number e of these. */
    __device__ __forceinline__ void read(uint32_t e)
    {
        const uint32_t width = width_of(k);
        const uint32_t across = log2_across(k->cut);

        p = e / 4 % (1u << across) * 4;
        eight = e / 4 >> across;
        w = e % 4;
        if (t->begin == 0 && t->end == 32 * KK) {
            const int8_t *first = o->x + (row_at(t, width, row(0)) + p);

            MBI_UNROLL
            for (uint32_t i = 0; i < 8; i++)
                x[i] = *(const uint32_t *)(first + (uint64_t)(i / 2 * 8 + i % 2) * width);
            return;
        }
        MBI_UNROLL
        for (uint32_t i = 0; i < 8; i++)
            x[i] = row(i) - t->begin < t->end - t->begin
                       ? *(const uint32_t *)(o->x + (row_at(t, width, row(i)) + p))
                       : 0;
    }

    __device__ __forceinline__ void old(uint32_t v[4], uint32_t j) const
    {
        const uint32_t width = width_of(k);
        const uint2 both = *(const uint2 *)(o->slot_xw + (size_t)j * width + p);

        v[0] = both.x;
        v[1] = both.x >> 16;
        v[2] = both.y;
        v[3] = both.y >> 16;
    }

    __device__ __forceinline__ void make(const struct tiles *s) const
    {
        uint32_t v[8][4];

        MBI_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            const int32_t weight = s->r.w[KK > 1 || row(i) < t->end ? row(i) : 0];

            MBI_UNROLL
            for (int u = 0; u < 4; u++)
                v[i][u] = (uint32_t)mbi_scan_xw((int8_t)(x[i] >> 8 * u), weight);
        }
        MBI_UNROLL
        for (uint32_t i = 0; t->begin && i < 8; i++)
            if (row(i) < t->begin)
                old(v[i], row(i));
        MBI_UNROLL
        for (uint32_t u = 0; u < 4; u++) {
            const uint32_t c[8] = {v[0][u], v[1][u], v[2][u], v[3][u],
                                   v[4][u], v[5][u], v[6][u], v[7][u]};

            s->x[quad_at<32 * KK>(p + u, eight, w)] = quad_of(c);
        }
    }
};

/* What a warp knows of its 16 tokens: this lane's are rows i and i + 8. KA of the KK products over
 * tokens are not 0. */
template <int N, int KK, int KA> struct tokens {
    uint32_t first, i;
    uint32_t c[N / 32][4]; /* left operands: C, M */
    uint32_t m_lo[KA][4], m_hi[KA][4];

    __device__ __forceinline__ void read_c(const struct tiles *s)
    {
        const uint32_t g = threadIdx.x % MBI_WARP / 4, word = threadIdx.x % 4 * 4;

        i = first + g;
        MBI_UNROLL
        for (int e = 0; e < N / 8; e++)
            c[e / 4][e % 4] = *(const uint32_t *)(s->bc + (i + e % 2 * 8) * (2 * N + 16) + N +
                                                  word + e / 4 * 32 + e / 2 % 2 * 16);
    }

    /*
     * M of tokens j0 + 2 t, + 1 for both rows, each pair as low, low, high, high bytes. For a later
     * token j > i, L_i - L_j is 2^32 less a sum of decays, of which ex2 is 0; unless the sum is 0,
     * and then xw_j is 0, as it is from the end on.
     */
    __device__ __forceinline__ void m_of(uint32_t out[2], const struct tiles *s, uint32_t j0,
                                         int32_t s_n, const uint32_t L[2]) const
    {
        const uint32_t g = threadIdx.x % MBI_WARP / 4;
        const int8_t *b_row = s->bc + (j0 + g) * (2 * N + 16) + threadIdx.x % 4 * 4;
        const uint2 Lj = *(const uint2 *)(s->r.L + j0 + threadIdx.x % 4 * 2);
        int32_t dot[4] = {0, 0, 0, 0};

        MBI_UNROLL
        for (int n = 0; n < N / 32; n++) {
            const uint32_t b[2] = {*(const uint32_t *)(b_row + n * 32),
                                   *(const uint32_t *)(b_row + n * 32 + 16)};

            mbi_mma(dot, c[n], b);
        }
        MBI_UNROLL
        for (uint32_t r = 0; r < 2; r++) {
            const int32_t m0 = mbi_scan_m(dot[2 * r], s_n, mbi_scan_ex2(L[r] - Lj.x));
            const int32_t m1 = mbi_scan_m(dot[2 * r + 1], s_n, mbi_scan_ex2(L[r] - Lj.y));

            out[r] = mbi_bytes((uint32_t)m0, (uint32_t)m1, 0x5140);
        }
    }

    __device__ __forceinline__ void make_m(const struct tiles *s, int32_t s_n, const uint32_t L[2])
    {
        MBI_UNROLL
        for (int e = 0; e < KA * 2; e++) {
            const uint32_t j0 = (uint32_t)e * 16;
            uint32_t a[2] = {0, 0}, b[2] = {0, 0};

            if (j0 <= first) {
                m_of(a, s, j0, s_n, L);
                m_of(b, s, j0 + 8, s_n, L);
            }
            MBI_UNROLL
            for (int r = 0; r < 2; r++) {
                m_lo[e / 2][r + e % 2 * 2] = mbi_bytes(a[r], b[r], 0x5410);
                m_hi[e / 2][r + e % 2 * 2] = mbi_bytes(a[r], b[r], 0x7632);
            }
        }
    }

    /* M xw for 8 columns from p on. */
    __device__ __forceinline__ void inside(int32_t sum[4], const struct tiles *s, uint32_t p) const
    {
        const uint32_t column = p + threadIdx.x % MBI_WARP / 4, word = threadIdx.x % 4;
        int32_t hi[4] = {0, 0, 0, 0}, mid[4] = {0, 0, 0, 0}, lo[4] = {0, 0, 0, 0};

        MBI_UNROLL
        for (uint32_t e = 0; e < KA; e++) {
            const uint4 v = s->x[quad_at<32 * KK>(column, e, word)];
            const uint32_t x_lo[2] = {v.x, v.y}, x_hi[2] = {v.z, v.w};

            mbi_mma_u8(mid, m_hi[e], x_lo);
            mbi_mma_u8_u8(lo, m_lo[e], x_lo);
            mbi_mma(hi, m_hi[e], x_hi);
            mbi_mma_u8_s8(mid, m_lo[e], x_hi);
        }
        MBI_UNROLL
        for (int c = 0; c < 4; c++)
            sum[c] = (int32_t)(((uint32_t)hi[c] << 16) + ((uint32_t)mid[c] << 8) + (uint32_t)lo[c]);
    }

    /* C . h16 for 8 columns from p on. */
    __device__ __forceinline__ void carried(int32_t sum[4], const struct tiles *s, uint32_t p) const
    {
        const uint32_t column = p + threadIdx.x % MBI_WARP / 4, word = threadIdx.x % 4;
        int32_t hi[4] = {0, 0, 0, 0}, lo[4] = {0, 0, 0, 0};

        MBI_UNROLL
        for (uint32_t n = 0; n < N / 32; n++) {
            const uint4 v = s->h[quad_at<N>(column, n, word)];
            const uint32_t h_lo[2] = {v.x, v.y}, h_hi[2] = {v.z, v.w};

            mbi_mma_u8(lo, c[n], h_lo);
            mbi_mma(hi, c[n], h_hi);
        }
        MBI_UNROLL
        for (int u = 0; u < 4; u++)
            sum[u] = (int32_t)(((uint32_t)hi[u] << 8) + (uint32_t)lo[u]);
    }
};

/* y of 16 tokens, every `step`-th 16 columns. */
template <int N, int KK, int KA>
static __device__ __forceinline__ void tokens_y(const struct tiles *s, const struct scan *k,
                                                const struct head *o, const struct part *t,
                                                uint32_t first, uint32_t begin, uint32_t step)
{
    const uint32_t width = width_of(k);
    const int32_t s_n = mbi_scan_s_n(&k->s.at);
    struct tokens<N, KK, KA> w;
    uint32_t L[2];
    int32_t kept[2];
    int32_t *y[2];
    bool is[2];

    w.first = first;
    w.read_c(s);
    MBI_UNROLL
    for (uint32_t r = 0; r < 2; r++) {
        is[r] = w.i + 8 * r >= t->begin && w.i + 8 * r < t->end;
        L[r] = is[r] ? s->r.L[w.i + 8 * r] : 0;
        kept[r] = mbi_scan_keep(L[r], k->s.at.hold);
        y[r] = is[r] ? o->y + (row_at(t, width, w.i + 8 * r) + threadIdx.x % 4 * 2) : NULL;
    }
    w.make_m(s, s_n, L);
    MBI_NO_UNROLL
    for (uint32_t p0 = begin * 16; p0 < k->cut; p0 += step * 16) {
        MBI_UNROLL
        for (uint32_t p = p0; p < p0 + 16; p += 8) {
            int32_t inside[4], carried[4];

            w.inside(inside, s, p);
            w.carried(carried, s, p);
            MBI_UNROLL
            for (uint32_t r = 0; r < 2; r++)
                if (is[r])
                    *(int2 *)(y[r] + p) = {
                        mbi_scan_y(inside[2 * r], carried[2 * r], s_n, kept[r]),
                        mbi_scan_y(inside[2 * r + 1], carried[2 * r + 1], s_n, kept[r])};
        }
    }
}

template <int N, int KK>
static __device__ __forceinline__ void tile_y(const struct tiles *s, const struct scan *k,
                                              const struct head *o, const struct part *t,
                                              uint32_t first, uint32_t begin, uint32_t step)
{
    constexpr int TWO = KK > 1 ? 2 : 1;

    if (first < 32)
        tokens_y<N, KK, 1>(s, k, o, t, first, begin, step);
    else if (KK == 2 || first < 64)
        tokens_y<N, KK, TWO>(s, k, o, t, first, begin, step);
    else
        tokens_y<N, KK, KK>(s, k, o, t, first, begin, step);
}

template <int N, int KK>
static __global__ void __launch_bounds__(128, KK > 2 ? 5 : 6) outputs_mma(struct scan k)
{
    const uint32_t q = (uint32_t)k.s.at.chunk, all = q < 16 ? 1 : q / 16;
    const uint32_t log2_step = all == 1 ? 2 : all == 2 ? 1 : 0, step = 1u << log2_step;
    /* Later tokens are more work, and a warp's number chooses its part of the processor. */
    const uint32_t warp = (threadIdx.x / MBI_WARP + blockIdx.x + blockIdx.y) % OUTPUTS_WARPS;
    const struct head o = head_of(&k);
    const uint32_t c = blockIdx.y;
    const struct part t = part_of(&o, q, c);
    const struct tiles s = tiles_at<N, KK>(mbi_shared(), q, k.cut);
    struct xw_maker<KK> x;
    uint32_t l = 0;

    if (c * q >= o.row0 + o.n)
        return;
    x.k = &k;
    x.o = &o;
    x.t = &t;
    /* First ask for everything. */
    if (threadIdx.x < t.end)
        l = l_at(&k, &o, &t, o.done ? o.old_l : o.slot_l, threadIdx.x);
    fetch_bc<N>(&s, &k, &o, &t);
    if (threadIdx.x < KK * k.cut)
        x.read(threadIdx.x);
    fetch_h16<N>(&s, &k, c < o.done ? o.h16_work + c * h16_entry(&k.s.at) : o.h16);
    if (threadIdx.x < t.end)
        put_row(&s.r, &t, threadIdx.x, l);
    sum_rows(&s.r, &t);
    for (uint32_t e = threadIdx.x; e < KK * k.cut;) {
        if (x.eight * 32 < t.end)
            x.make(&s);
        e += OUTPUTS_WARPS * MBI_WARP;
        if (e < KK * k.cut)
            x.read(e);
    }
    mbi_copy_wait<0>();
    __syncthreads();
    for (uint32_t tile = warp >> log2_step; tile < all; tile += OUTPUTS_WARPS)
        if (tile * 16 < t.end && tile * 16 + 16 > t.begin)
            tile_y<N, KK>(&s, &k, &o, &t, tile * 16, warp & (step - 1), step);
    if (c == 0)
        store_rows(&s.r, &k, &o);
}

/* ---- start ---- */

static inline bool aligned_to(const void *p, uintptr_t n) { return (uintptr_t)p % n == 0; }

static bool scan_mma_takes(const struct mbi_cuda_scan *s)
{
    const struct mbi_scan_attr *at = &s->at;

    return (at->d_state == 32 || at->d_state == 64 || at->d_state == 128) &&
           at->head_dim % STATES_COLUMNS == 0 && at->chunk >= 8 && at->chunk <= 128 &&
           aligned_to(s->x, 4) && aligned_to(s->bc, 16) && aligned_to(s->y, 8);
}

/* As many columns as 48 KB of shared memory take, up to 64: 32 for N = Q = 128. */
static uint32_t outputs_cut(const struct mbi_scan_attr *at)
{
    uint32_t cut = 64;

    while ((uint32_t)at->head_dim % cut || outputs_shared(at, cut) > (size_t)48 << 10)
        cut /= 2;
    return cut;
}

template <int N, int KK>
static cudaError_t scan_mma_of(struct scan k, uint32_t n_runs, cudaStream_t stream)
{
    const uint32_t dim = (uint32_t)k.s.at.head_dim;
    const uint32_t columns = (uint32_t)k.s.at.heads * dim;
    cudaError_t e;

    k.cut = STATES_COLUMNS;
    e = mbi_launch(states_mma<N, KK>, dim3(columns / k.cut, 1, n_runs), states_warps(N) * MBI_WARP,
                   states_shared(&k.s.at), stream, k);
    k.cut = outputs_cut(&k.s.at);
    if (e == cudaSuccess)
        e = mbi_launch(outputs_mma<N, KK>, dim3(columns / k.cut, k.most, n_runs),
                       OUTPUTS_WARPS * MBI_WARP, outputs_shared(&k.s.at, k.cut), stream, k);
    return e;
}

template <int N>
static cudaError_t scan_mma_n(const struct scan *k, uint32_t n_runs, cudaStream_t stream)
{
    return k->s.at.chunk <= 32   ? scan_mma_of<N, 1>(*k, n_runs, stream)
           : k->s.at.chunk == 64 ? scan_mma_of<N, 2>(*k, n_runs, stream)
                                 : scan_mma_of<N, 4>(*k, n_runs, stream);
}

static cudaError_t scan_mma(const struct scan *k, uint32_t n_runs, cudaStream_t stream)
{
    return k->s.at.d_state == 32   ? scan_mma_n<32>(k, n_runs, stream)
           : k->s.at.d_state == 64 ? scan_mma_n<64>(k, n_runs, stream)
                                   : scan_mma_n<128>(k, n_runs, stream);
}

#endif

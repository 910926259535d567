/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single tokens in one launch. The kernel fills the device once and walks the phases of a step; its
 * blocks meet at a barrier behind each. Layers of this kind need three phases: a product, the mixer,
 * a product.
 *
 * A product is cut evenly over all warps, wherever rows end: the parts add their sums into an array
 * (exact, so in any order), and whoever reads the array next finishes them. The first weights of a
 * product are on their way before the barrier in front of it; while the mixer runs on some of the
 * blocks, the others bring the weights behind it into the cache.
 */
#include "cuda/decode.h"
#include "cuda/matrix_dot.h"
#include "cuda/mixer.h"
#include "cuda/norm.h"
#include "cuda/scan_token.h"
#include <string.h>

#define MOST_LANES 8 /* a tile of a product */

#ifdef MBI_EMULATE
#define THREADS 64
#else
#ifndef THREADS
#define THREADS 384
#endif
#endif
#define WARPS (THREADS / MBI_WARP)
#define TEAM_SPACE mbi_align_size(MBI_TEAM_WORDS(WARPS) * sizeof(uint64_t), 16)

enum phase_kind { PHASE_EMBED, PHASE_PRODUCT, PHASE_MIX, PHASE_HEAD, PHASE_ARGMAX };

/* The best logit of a warp. */
struct candidate {
    int32_t value, row;
};

/* Memory that may come nearer. */
struct region {
    const uint8_t *base;
    size_t size;
};

struct alignas(16) phase {
    int32_t kind;
    int32_t *clear; /* sums to be set to 0, of all lanes */
    uint32_t n_clear;
    struct region ahead[2];

    /* embed: rows of the table, requantised into residual_out */
    const int32_t *token;
    const int8_t *table;
    struct mbi_cuda_clamp embed;

    /* product and head: x is bytes, or the norm of the residual stream with what was last added */
    struct mbi_cuda_matrix matrix;
    const int8_t *bytes;
    const int32_t *residual;
    int32_t *residual_out;      /* NULL: nobody reads it any more */
    const int32_t *before_sums; /* NULL: nothing to add */
    struct mbi_cuda_finish before;
    uint32_t norm_op;
    int32_t norm_frac, norm_bits;
    uint64_t norm_inverse;
    int32_t *sums;                 /* product */
    struct mbi_cuda_finish finish; /* head */

    /* mix: p is made of the sums of the product in front */
    struct mbi_cuda_mixer mixer;
    struct mbi_cuda_finish p_finish;
    const int32_t *p_sums;

    int32_t *argmax;
};

struct mbi_cuda_decode {
    struct phase *phase; /* on the device */
    uint32_t n_phases, blocks, most_lanes;
    size_t shared;
    unsigned *counters; /* arrived, left */
    int32_t *sums;      /* of the first and of the second product of a layer */
    int32_t *residual;  /* two, taken in turn */
    struct candidate *candidates;
};

/* ---- a block's share ---- */

struct share {
    uint32_t block, blocks, warp, lane;
};

static __device__ __forceinline__ void clear_sums(const struct phase *p, const struct share *me,
                                                  uint32_t lanes)
{
    const uint32_t all = p->clear ? p->n_clear * lanes : 0;

    for (uint32_t i = me->block * THREADS + threadIdx.x; i < all; i += me->blocks * THREADS)
        p->clear[i] = 0;
}

/*
 * Brings a region nearer while others work, a line a thread and then the next: as loads that are
 * waited for, so that the memory's queues stay short for those who work. Ends early when `arrived`
 * tells that they are done. Few threads of a block are enough.
 */
#define FETCHERS 128

static __device__ __forceinline__ void bring(const struct region *r, uint32_t block,
                                             uint32_t blocks, const unsigned *arrived,
                                             unsigned done)
{
    const size_t step = (size_t)blocks * FETCHERS * 256;
    uint32_t sum = 0;

    for (size_t at = ((size_t)block * FETCHERS + threadIdx.x) * 256; at < r->size; at += step) {
        const uint32_t a = *(const volatile uint32_t *)(r->base + at);
        const uint32_t b = *(const volatile uint32_t *)(r->base + at + 128);

        sum += a ^ b;
        if (*(const volatile unsigned *)arrived + (sum == 0x9e3779b9u) >= done)
            return;
    }
}

/* ---- embed ---- */

static __device__ void embed(const struct phase *p, const struct share *me, uint32_t lanes,
                             const int32_t *token)
{
    const uint32_t cols = p->matrix.cols;

    for (uint32_t i = me->block * THREADS + threadIdx.x; i < cols * lanes;
         i += me->blocks * THREADS) {
        const uint32_t lane = i / cols, k = i % cols;

        p->residual_out[i] = mbi_clamped(&p->embed, p->table[(size_t)token[lane] * cols + k]);
    }
}

/* ---- what a product is fed with ---- */

/* The residual stream of one lane with what the last product adds to it, element `at` of all lanes. */
static __device__ __forceinline__ int32_t residual_at(const int32_t *residual, const int32_t *sums,
                                                      const struct mbi_cuda_finish *before,
                                                      uint32_t i, size_t at)
{
    return sums ? (int32_t)mbi_finished(before, sums[at], i, at) : residual[at];
}

/*
 * norm_rms or norm_shift of one lane into x by the whole block, as in lib/op/norm.c. A thread holds
 * `held` elements, so all that comes from memory is asked for at once.
 */
template <int held>
static __device__ __forceinline__ void feed_held(const struct phase *p, int8_t *x, bool writes,
                                                 uint64_t *scratch)
{
    const uint32_t cols = p->matrix.cols;
    const struct mbi_cuda_finish before = p->before;
    const int32_t *const sums = p->before_sums, *const residual = p->residual;
    const int32_t frac = p->norm_frac, bits = p->norm_bits;
    int32_t v[held], most = 0;
    uint64_t ss = 0;

#pragma unroll
    for (uint32_t k = 0; k < held; k++) {
        const uint32_t i = threadIdx.x + k * THREADS;

        v[k] = i < cols ? residual_at(residual, sums, &before, i, i) : 0;
        most = mbi_max_i32(most, v[k] < 0 ? -1 - v[k] : v[k]);
    }
    const int b = mbi_norm_headroom(mbi_team_max(most, true, scratch));

#pragma unroll
    for (uint32_t k = 0; k < held; k++) {
        const uint32_t i = threadIdx.x + k * THREADS;

        if (writes && i < cols)
            p->residual_out[i] = v[k];
        v[k] = (int32_t)mbi_rsh_i32(v[k], b);
        ss += (uint64_t)((int64_t)v[k] * v[k]);
    }
    const struct mbi_norm_factor f =
        mbi_team_norm_factor(p->norm_op, ss, cols, p->norm_inverse, true, scratch);

#pragma unroll
    for (uint32_t k = 0; k < held; k++) {
        const uint32_t i = threadIdx.x + k * THREADS;

        if (i < cols)
            x[i] = (int8_t)mbi_normed(v[k], &f, frac, bits);
    }
}

/* The same through shared memory, by a warp or by the block. */
static __device__ __forceinline__ void feed_normed(const struct phase *p, int8_t *x, int32_t *r,
                                                   uint32_t lane, bool block, bool writes,
                                                   uint64_t *scratch)
{
    const uint32_t cols = p->matrix.cols, team = block ? THREADS : MBI_WARP;
    const uint32_t me = threadIdx.x % team;
    const struct mbi_cuda_finish before = p->before;
    const int32_t *const sums = p->before_sums, *const residual = p->residual;
    int32_t most = 0;
    uint64_t ss = 0;

#pragma unroll 4
    for (uint32_t i = me; i < cols; i += team) {
        const size_t at = (size_t)lane * cols + i;
        const int32_t v = residual_at(residual, sums, &before, i, at);

        r[i] = v;
        most = mbi_max_i32(most, v < 0 ? -1 - v : v);
    }
    const int b = mbi_norm_headroom(mbi_team_max(most, block, scratch));

#pragma unroll 4
    for (uint32_t i = me; i < cols; i += team) {
        const int32_t v = (int32_t)mbi_rsh_i32(r[i], b);

        if (writes)
            p->residual_out[(size_t)lane * cols + i] = r[i];
        ss += (uint64_t)((int64_t)v * v);
    }
    const struct mbi_norm_factor f =
        mbi_team_norm_factor(p->norm_op, ss, cols, p->norm_inverse, block, scratch);

#pragma unroll 4
    for (uint32_t i = me; i < cols; i += team)
        x[i] = (int8_t)mbi_normed((int32_t)mbi_rsh_i32(r[i], b), &f, p->norm_frac, p->norm_bits);
}

/* Bytes as they are, 16 at a time where their place allows. */
static __device__ __forceinline__ void feed_bytes(const int8_t *from, int8_t *x, uint32_t cols)
{
    const bool wide = cols % 16 == 0 && (uintptr_t)from % 16 == 0;

    if (wide)
        for (uint32_t i = threadIdx.x; i < cols / 16; i += THREADS)
            ((uint4 *)x)[i] = ((const uint4 *)from)[i];
    else
        for (uint32_t i = threadIdx.x; i < cols; i += THREADS)
            x[i] = from[i];
}

/* The vectors of all lanes in shared memory, zero up to whole column blocks. Ends with a barrier. */
static __device__ void feed(const struct phase *p, const struct share *me, uint32_t lanes,
                            int8_t *x, uint32_t pitch, char *scratch)
{
    const uint32_t cols = p->matrix.cols;
    const bool writes = p->residual_out && !me->block;
    uint64_t *const team = (uint64_t *)scratch;
    int32_t *const r = (int32_t *)(scratch + TEAM_SPACE);

    for (uint32_t lane = 0; lane < lanes; lane++) {
        for (uint32_t i = cols + threadIdx.x; i < pitch; i += THREADS)
            x[(size_t)lane * pitch + i] = 0;
        if (p->bytes)
            feed_bytes(p->bytes + (size_t)lane * cols, x + (size_t)lane * pitch, cols);
    }
    if (!p->bytes && lanes == 1 && cols <= 2 * THREADS)
        feed_held<2>(p, x, writes, team);
    else if (!p->bytes && lanes == 1 && cols <= 4 * THREADS)
        feed_held<4>(p, x, writes, team);
    else if (!p->bytes && lanes == 1)
        feed_normed(p, x, r, 0, true, writes, team);
    else if (!p->bytes)
        for (uint32_t lane = me->warp; lane < lanes; lane += WARPS)
            feed_normed(p, x + (size_t)lane * pitch, r + (size_t)lane * cols, lane, false, writes,
                        team);
    __syncthreads();
}

/* ---- products ---- */

/* The n-th of the pieces that tiles [begin, end) of a matrix have, by rows of blocks. */
struct pieces {
    const struct mbi_cuda_matrix *m;
    uint32_t begin, end, across;
};

static __device__ __forceinline__ struct mbi_dot_range piece_at(const struct pieces *p,
                                                                uint32_t tile)
{
    const uint32_t row = tile / p->across, from = tile % p->across;
    const uint32_t left = p->end > tile ? p->end - tile : 0;
    const uint32_t most = p->across - from;
    struct mbi_dot_range r;

    r.row_block = p->m->packed + (size_t)row * p->across * mbi_block_size(p->m->dtype);
    r.from = left ? from : 0;
    r.step = 1;
    r.end = left ? from + (left < most ? left : most) : 0;
    return r;
}

static __device__ __forceinline__ struct pieces pieces_of(const struct mbi_cuda_matrix *m,
                                                          const struct share *me, bool whole_rows)
{
    const uint32_t across = mbi_col_blocks(m), rows = mbi_row_blocks(m);
    const uint32_t warps = me->blocks * WARPS, warp = me->warp * me->blocks + me->block;
    const uint32_t all = whole_rows ? rows : rows * across;
    struct pieces p;

    p.m = m;
    p.across = across;
    p.begin = (uint32_t)((uint64_t)all * warp / warps) * (whole_rows ? across : 1);
    p.end = (uint32_t)((uint64_t)all * (warp + 1) / warps) * (whole_rows ? across : 1);
    return p;
}

/* Sums of a piece go to where they are collected. */
template <bool ternary>
static __device__ __forceinline__ void add_sums(const mbi_dot_sums<ternary, false, 1> &s,
                                                const struct phase *p, uint32_t row_block,
                                                uint32_t lanes)
{
    const uint32_t l = threadIdx.x % MBI_WARP, rows = p->matrix.rows;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t row = row_block * MBI_BLOCK_ROWS + l / 4 + (uint32_t)(i / 2) * 8;
        const uint32_t lane = 2 * (l % 4) + (uint32_t)(i % 2);

        if (row < rows && lane < lanes)
            atomicAdd(&p->sums[(size_t)lane * rows + row], s.sum(0, i));
    }
}

/* Whole rows: the logit is written, and the best of this thread kept for each of its two lanes. */
template <bool ternary>
static __device__ __forceinline__ void finish_sums(const mbi_dot_sums<ternary, false, 1> &s,
                                                   const struct phase *p, uint32_t row_block,
                                                   uint32_t lanes, struct candidate best[2])
{
    const uint32_t l = threadIdx.x % MBI_WARP, rows = p->matrix.rows;

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t row = row_block * MBI_BLOCK_ROWS + l / 4 + (uint32_t)(i / 2) * 8;
        const uint32_t lane = 2 * (l % 4) + (uint32_t)(i % 2);
        const size_t at = (size_t)lane * rows + row;

        if (row >= rows || lane >= lanes)
            continue;
        const int32_t v = (int32_t)mbi_finished(&p->finish, s.sum(0, i), row, at);

        ((int32_t *)p->finish.out)[at] = v;
        if (v > best[i % 2].value || (v == best[i % 2].value && (int32_t)row < best[i % 2].row))
            best[i % 2] = {v, (int32_t)row};
    }
}

static __device__ __forceinline__ struct candidate better(struct candidate a, struct candidate b)
{
    return b.value > a.value || (b.value == a.value && b.row < a.row) ? b : a;
}

/* The best of the warp for every lane of the tile. */
static __device__ __forceinline__ void keep_best(struct candidate best[2], struct candidate *to)
{
    const uint32_t l = threadIdx.x % MBI_WARP;

    for (int i = 0; i < 2; i++) {
        for (int d = 4; d < MBI_WARP; d *= 2)
            best[i] = better(best[i], {__shfl_xor_sync(MBI_FULL, best[i].value, d),
                                       __shfl_xor_sync(MBI_FULL, best[i].row, d)});
        if (l < 4)
            to[2 * l + (uint32_t)i] = best[i];
    }
}

template <bool ternary>
static __device__ __forceinline__ void multiply(const struct phase *p, const struct share *me,
                                                const struct pieces *pieces,
                                                mbi_dot_unit<ternary> &u, uint32_t lanes,
                                                const int8_t *x, uint32_t pitch,
                                                struct candidate *candidates)
{
    const uint8_t *const vector[1] = {mbi_dot_vector((const uint8_t *)x, pitch, lanes, 0)};
    struct candidate best[2] = {{INT32_MIN, INT32_MAX}, {INT32_MIN, INT32_MAX}};

    for (uint32_t tile = pieces->begin; tile < pieces->end;) {
        const struct mbi_dot_range range = piece_at(pieces, tile);
        const uint32_t after = tile + (range.end - range.from);
        mbi_dot_sums<ternary, false, 1> s;

        s.clear();
        mbi_dot_blocks<ternary, false, 1>(s, u, range, piece_at(pieces, after), vector, 0, 0);
        if (p->kind == PHASE_PRODUCT)
            add_sums<ternary>(s, p, tile / pieces->across, lanes);
        else
            finish_sums<ternary>(s, p, tile / pieces->across, lanes, best);
        tile = after;
    }
    if (p->kind == PHASE_HEAD)
        keep_best(best, candidates + (size_t)(me->warp * me->blocks + me->block) * MOST_LANES);
}

/* ---- the mixer ---- */

#define MIX_SPACE (TEAM_SPACE + 256 * 4 + 256 + 512 + 256 * 2 + 256 + 16)

struct mix_memory {
    int32_t *y;     /* [P] */
    int8_t *x, *bc; /* [P], [2 N] */
    int16_t *gz;    /* [P] */
    uint8_t *phase; /* [pairs] */
    int32_t *l;     /* of this head; behind it its factor of the direct path */
    char *scan;
    uint64_t *team;
};

static __device__ __forceinline__ int32_t p_at(const struct phase *p, uint32_t lane, uint32_t i)
{
    const size_t at = (size_t)lane * p->mixer.p_cols + i;

    return (int32_t)mbi_finished(&p->p_finish, p->p_sums[at], i, at);
}

/* Convolution and gate of one channel; its input is kept where this position's belongs. */
static __device__ __forceinline__ int8_t channel_at(const struct phase *p,
                                                    const struct mbi_cuda_run *run, uint32_t lane,
                                                    uint32_t c, bool keeps)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    int16_t *ring = (int16_t *)(run->memory + m->conv_memory);
    int32_t x[4], w[4];

    for (int j = 0; j < 4; j++)
        w[j] = m->taps[(size_t)c * 4 + (size_t)j];
    for (uint64_t j = 0; j < 3; j++)
        x[j] = ring[(size_t)((run->pos + 1 + j) % 4) * m->channels + c];
    x[3] = p_at(p, lane, m->at_channels + c);
    if (keeps)
        ring[(size_t)(run->pos % 4) * m->channels + c] = (int16_t)x[3];
    return (int8_t)mbi_clamped(
        &m->channel,
        mbi_gate_at(mbi_conv_at(x, w, m->taps_exponent[c], m->taps_bias[c]), m->conv_gate));
}

/* Angle k of this token. */
static __device__ __forceinline__ uint8_t phase_at(const struct phase *p,
                                                   const struct mbi_cuda_run *run, uint32_t lane,
                                                   uint32_t k, bool keeps)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    uint8_t *ring = (uint8_t *)(run->memory + m->turn_memory);
    const uint8_t phase = (uint8_t)(ring[(size_t)((run->pos + 1) % 2) * m->pairs + k] +
                                    mbi_rshift_half_up(p_at(p, lane, m->at_turn + k), 2));

    if (keeps)
        ring[(size_t)(run->pos % 2) * m->pairs + k] = phase;
    return phase;
}

/* The direct path, the norm of the head and its gate. */
static __device__ __forceinline__ void leave_head(const struct phase *p, const struct mix_memory *s,
                                                  uint32_t lane, uint32_t head)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    const uint32_t dim = (uint32_t)m->scan.head_dim;
    const bool block = dim > MBI_WARP * 4;
    const uint32_t team = block ? THREADS : MBI_WARP;
    const uint32_t me = threadIdx.x % team;
    int32_t most = 0;
    uint64_t ss = 0;

    if (!block && threadIdx.x >= MBI_WARP)
        return;
    for (uint32_t i = me; i < dim; i += team) {
        const int32_t v = s->y[i] + mbi_clamped(&m->direct, s->x[i] * s->l[1]);
        const int32_t a = v < 0 ? -1 - v : v;

        s->y[i] = v;
        most = a > most ? a : most;
    }
    const int b = mbi_norm_headroom(mbi_team_max(most, block, s->team));

    for (uint32_t i = me; i < dim; i += team) {
        const int32_t v = (int32_t)mbi_rsh_i32(s->y[i], b);

        ss += (uint64_t)((int64_t)v * v);
    }
    const struct mbi_norm_factor f =
        mbi_team_norm_factor(m->norm_op, ss, dim, m->norm_inverse, block, s->team);

    for (uint32_t i = me; i < dim; i += team) {
        const int32_t yn =
            mbi_normed((int32_t)mbi_rsh_i32(s->y[i], b), &f, m->norm_frac, m->norm_bits);

        m->g[((size_t)lane * (uint32_t)m->scan.heads + head) * dim + i] =
            (int8_t)mbi_clamped(&m->out, yn * s->gz[i]);
    }
}

/* What the gate of z leaves for one element of a head, |.| < 2^15. */
static __device__ __forceinline__ int16_t gated_z(const struct phase *p, uint32_t lane, uint32_t i)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    const int32_t z = mbi_clamped(&m->z, p_at(p, lane, m->at_z + i));

    return (int16_t)mbi_clamped(&m->gated_z, mbi_gate_at(z, m->z_gate));
}

static __device__ void mix_head(const struct phase *p, const struct mix_memory *s,
                                const struct mbi_cuda_scan_layout *layout,
                                const struct mbi_cuda_run *run, uint32_t lane, uint32_t head)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    const uint32_t dim = (uint32_t)m->scan.head_dim, n = 2 * (uint32_t)m->scan.d_state;

    for (uint32_t i = threadIdx.x; i < 2 * dim + n + m->pairs + 2; i += THREADS) {
        if (i < dim)
            s->x[i] = channel_at(p, run, lane, m->at_x + head * dim + i, true);
        else if (i < dim + n)
            s->bc[i - dim] = channel_at(p, run, lane, m->at_bc + i - dim, head == 0);
        else if (i < 2 * dim + n)
            s->gz[i - dim - n] = gated_z(p, lane, head * dim + i - dim - n);
        else if (i < 2 * dim + n + m->pairs)
            s->phase[i - 2 * dim - n] = phase_at(p, run, lane, i - 2 * dim - n, head == 0);
        else if (i == 2 * dim + n + m->pairs)
            s->l[1] = m->skip[head];
        else
            s->l[0] = mbi_decay_of(p_at(p, lane, m->at_dt + head), m->dt_bias[head], m->hold);
    }
    __syncthreads();
    for (uint32_t k = threadIdx.x; k < 2 * m->pairs; k += THREADS)
        mbi_rotate_bytes(s->bc + k / m->pairs * (n / 2) + k % m->pairs * 2, s->phase[k % m->pairs]);
    __syncthreads();
    mbi_scan_token(s->scan, &m->scan, layout, run->memory + m->scan_memory, run->pos, head, s->x,
                   s->bc, *s->l, s->y, head == 0);
    leave_head(p, s, lane, head);
    __syncthreads();
}

static __device__ void mix(const struct phase *p, const struct share *me, uint32_t lanes,
                           const struct mbi_cuda_run *runs, char *shared, const unsigned *arrived,
                           unsigned round)
{
    const struct mbi_cuda_mixer *m = &p->mixer;
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(&m->scan);
    const uint32_t heads = (uint32_t)m->scan.heads, work = heads * lanes;
    struct mix_memory s;

    s.team = (uint64_t *)shared;
    s.y = (int32_t *)(shared + TEAM_SPACE);
    s.x = (int8_t *)(s.y + 256);
    s.bc = s.x + 256;
    s.gz = (int16_t *)(s.bc + 512);
    s.phase = (uint8_t *)(s.gz + 256);
    s.l = (int32_t *)(s.phase + 256);
    s.scan = (char *)(s.l + 4);
    for (uint32_t w = me->block; w < work; w += me->blocks)
        mix_head(p, &s, &layout, &runs[w / heads], w / heads, w % heads);
    /* Blocks without a head fetch until the others have arrived at the barrier behind. */
    if (work < me->blocks && me->block >= work && threadIdx.x < FETCHERS)
        for (int i = 0; i < 2; i++)
            bring(&p->ahead[i], me->block - work, me->blocks - work, arrived,
                  round * me->blocks + work);
}

/* ---- the last choice ---- */

static __device__ void choose(const struct phase *p, const struct share *me, uint32_t lanes,
                              const struct candidate *candidates)
{
    const uint32_t n = me->blocks * WARPS;

    if (me->block)
        return;
    for (uint32_t lane = me->warp; lane < lanes; lane += WARPS) {
        struct candidate best = {INT32_MIN, INT32_MAX};

        for (uint32_t i = me->lane; i < n; i += MBI_WARP)
            best = better(best, candidates[(size_t)i * MOST_LANES + lane]);
        for (int d = MBI_WARP / 2; d; d /= 2)
            best = better(best, {__shfl_xor_sync(MBI_FULL, best.value, d),
                                 __shfl_xor_sync(MBI_FULL, best.row, d)});
        if (!me->lane)
            p->argmax[lane] = best.row;
    }
}

/* ---- the step ---- */

/* Shared memory: the phase, the vectors of a product, and what feeding or mixing needs. */
static size_t phase_space(void) { return 2 * sizeof(struct phase); }

/* Leaves the counters at 0 for the next launch: the last block to leave does it. */
static __device__ void leave(unsigned *counters)
{
    if (threadIdx.x == 0 && atomicAdd(&counters[1], 1u) == gridDim.x - 1) {
        counters[0] = 0;
        counters[1] = 0;
        __threadfence();
    }
}

/* In the background: what a phase is lies in shared memory before its barrier. */
static __device__ __forceinline__ void copy_phase(struct phase *to, const struct phase *from)
{
    for (uint32_t i = threadIdx.x; i < sizeof(*to) / 16; i += THREADS)
        mbi_copy16((char *)to + 16 * i, (const char *)from + 16 * i, true);
    mbi_copy_commit();
}

/* Lines of a head's memory that the next phase reads are asked for. */
static __device__ __forceinline__ void bring_head(const struct mbi_cuda_mixer *m,
                                                  const struct mbi_cuda_run *run, uint32_t head)
{
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(&m->scan);
    const char *const memory = run->memory + m->scan_memory;
    const uint32_t dim = (uint32_t)m->scan.head_dim, n = (uint32_t)m->scan.d_state;
    const uint32_t used = (uint32_t)(run->pos & (uint64_t)(m->scan.chunk - 1));
    const uint32_t heads = (uint32_t)m->scan.heads, h16 = dim * n * 2 / 128;

    for (uint32_t i = threadIdx.x; i < h16 + 2 * used; i += THREADS) {
        const uint32_t j = (i - h16) / 2;
        const char *p;

        if (i < h16)
            p = memory + layout.h16 + ((size_t)head * h16 + i) * 128;
        else if ((i - h16) % 2)
            p = memory + layout.sum + ((size_t)j * heads + head) * 4;
        else
            p = memory + layout.xw + ((size_t)j * heads + head) * dim * 2;
        mbi_prefetch(p);
    }
}

/* The first weights are asked for before the others are waited for. */
template <bool ternary>
static __device__ void product_phase(const struct phase *p, const struct share *me, uint32_t lanes,
                                     char *shared, struct candidate *candidates, unsigned *counters,
                                     unsigned round)
{
    const struct pieces pieces = pieces_of(&p->matrix, me, p->kind == PHASE_HEAD);
    const struct mbi_dot_range first = piece_at(&pieces, pieces.begin);
    const uint32_t pitch = mbi_dot_pitch(mbi_col_blocks(&p->matrix));
    mbi_dot_unit<ternary> u;

    u.fetch(first, first.from);
    mbi_grid_wait(counters, round);
    clear_sums(p, me, lanes);
    feed(p, me, lanes, (int8_t *)shared, pitch, shared + mbi_align_size((size_t)lanes * pitch, 16));
    multiply<ternary>(p, me, &pieces, u, lanes, (const int8_t *)shared, pitch, candidates);
}

static __global__ void __launch_bounds__(THREADS, 1)
    decode_kernel(const struct phase *phases, uint32_t n_phases, const struct mbi_cuda_run *runs,
                  uint32_t lanes, struct candidate *candidates, unsigned *counters,
                  const uint32_t *live, const int32_t *drawn)
{
    struct phase *const both = (struct phase *)mbi_shared();
    char *const space = (char *)(both + 2);
    struct share me;

    if (live && !*live) /* written before this launch: all blocks leave */
        return;
    me.block = blockIdx.x;
    me.blocks = gridDim.x;
    me.warp = threadIdx.x / MBI_WARP;
    me.lane = threadIdx.x % MBI_WARP;
    copy_phase(both, phases);
    for (uint32_t k = 0; k < n_phases; k++) {
        const struct phase *const p = &both[k % 2];

        mbi_copy_wait<0>();
        if (k)
            mbi_grid_arrive(counters); /* and a barrier of the block */
        else
            __syncthreads();
        if (k + 1 < n_phases)
            copy_phase(&both[(k + 1) % 2], &phases[k + 1]);
        if (p->kind == PHASE_PRODUCT || p->kind == PHASE_HEAD) {
            if (p->matrix.dtype == MBI_TERNARY)
                product_phase<true>(p, &me, lanes, space, candidates, counters, k);
            else
                product_phase<false>(p, &me, lanes, space, candidates, counters, k);
            continue;
        }
        if (p->kind == PHASE_MIX && me.block < lanes * (uint32_t)p->mixer.scan.heads)
            bring_head(&p->mixer, &runs[me.block / (uint32_t)p->mixer.scan.heads],
                       me.block % (uint32_t)p->mixer.scan.heads);
        if (k)
            mbi_grid_wait(counters, k);
        clear_sums(p, &me, lanes);
        if (p->kind == PHASE_EMBED)
            embed(p, &me, lanes, drawn ? drawn : p->token);
        else if (p->kind == PHASE_MIX)
            mix(p, &me, lanes, runs, space, counters, k);
        else
            choose(p, &me, lanes, candidates);
    }
    leave(counters);
}

/* ---- finding the phases ---- */

struct plan {
    const struct mbi_image *image;
    struct phase *phase;
    uint32_t n, cap;
    uint32_t s;       /* the order up to here is done */
    mbi_ref residual; /* the value that flows from layer to layer */
    bool pending;     /* its last addition is still in the second sums */
    struct mbi_cuda_finish last;
    uint32_t most_first, most_second; /* columns of the sums */
};

static const struct mbi_node *order_at(const struct plan *pl, uint32_t s)
{
    const struct mbi_program *p = pl->image->program;

    return s < p->n_order ? &p->graph->node[p->order[s]] : NULL;
}

static bool is_op(const struct mbi_node *node, uint32_t op) { return node && node->op == op; }

static struct phase *add_phase(struct plan *pl, enum phase_kind kind)
{
    struct phase *p = &pl->phase[pl->n++];

    p->kind = kind;
    return p;
}

/* embed, requant */
static bool plan_embed(struct plan *pl)
{
    const struct mbi_image *image = pl->image;
    const struct mbi_graph *g = image->program->graph;
    const struct mbi_node *e = order_at(pl, 0), *q = order_at(pl, 1);
    struct phase *p;

    if (!is_op(e, MBI_OP_embed) || !is_op(q, MBI_OP_requant) || e->in[0] != 0 ||
        q->in[0] != image->program->order[0] || e->type.dtype != MBI_I8 || q->type.dtype != MBI_I32)
        return false;
    p = add_phase(pl, PHASE_EMBED);
    p->token = (const int32_t *)(image->scratch + image->program->value[0].offset);
    p->table = (const int8_t *)image->weights->raw[g->node[e->in[1]].param];
    p->matrix.cols = e->type.cols;
    p->embed = {q->attr[0], q->attr[1], q->attr[2]};
    pl->residual = image->program->order[1];
    pl->s = 2;
    return true;
}

/* The step of a product that begins at s; NULL if it is something else. */
static const struct mbi_cuda_step *product_at(const struct plan *pl, uint32_t s)
{
    for (uint32_t i = 0; i < pl->image->n_steps; i++)
        if (pl->image->step[i].first == s)
            return pl->image->step[i].kind == MBI_STEP_MATMUL ? &pl->image->step[i] : NULL;
    return NULL;
}

/* norm of the residual stream and a product: of a layer, or the head. */
static bool plan_normed(struct plan *pl, enum phase_kind kind, struct mbi_cuda_finish *finish)
{
    const struct mbi_node *n = order_at(pl, pl->s);
    const struct mbi_cuda_step *step = product_at(pl, pl->s + 1);
    struct phase *p;

    if (!n || (n->op != MBI_OP_norm_rms && n->op != MBI_OP_norm_shift) || n->attr[0] != 1 ||
        n->in[0] != pl->residual || n->type.dtype != MBI_I8 || !step || step->n != 2 ||
        order_at(pl, pl->s + 1)->in[0] != pl->image->program->order[pl->s])
        return false;
    p = add_phase(pl, kind);
    p->matrix = step->matrix;
    p->norm_op = n->op;
    p->norm_frac = n->attr[1];
    p->norm_bits = n->attr[2];
    p->norm_inverse = mbi_inverse(n->type.cols);
    if (pl->pending)
        p->before = pl->last;
    *finish = step->finish;
    pl->s += 3;
    return true;
}

/* mixer, product, addition to the residual stream */
static bool plan_mixed(struct plan *pl, const struct mbi_cuda_finish *p_finish)
{
    const struct mbi_program *program = pl->image->program;
    struct phase *p = add_phase(pl, PHASE_MIX);
    const struct mbi_cuda_step *step;
    const struct mbi_node *sum;
    uint32_t n, before;

    if (!(n = mbi_cuda_mixer_match(&p->mixer, &before, pl->image, pl->s)) ||
        (const void *)p->mixer.p != p_finish->out)
        return false;
    p->p_finish = *p_finish;
    pl->s += n;
    if (!(step = product_at(pl, pl->s)) || step->n != 3 ||
        (const void *)p->mixer.g != step->node.in[0])
        return false;
    sum = order_at(pl, pl->s + 2);
    if ((sum->in[0] != pl->residual && sum->in[1] != pl->residual) || sum->type.dtype != MBI_I32)
        return false;
    p = add_phase(pl, PHASE_PRODUCT);
    p->matrix = step->matrix;
    p->bytes = (const int8_t *)step->node.in[0];
    pl->last = step->finish;
    pl->pending = true;
    pl->residual = program->order[pl->s + 2];
    pl->s += 3;
    return true;
}

static bool plan_head(struct plan *pl)
{
    const struct mbi_graph *g = pl->image->program->graph;
    const struct mbi_node *last = order_at(pl, pl->s);
    struct phase *head = &pl->phase[pl->n - 1], *p;

    if (!is_op(last, MBI_OP_argmax) || last->in[0] != g->logits || head->finish.dtype != MBI_I32 ||
        pl->s + 1 != pl->image->program->n_order)
        return false;
    p = add_phase(pl, PHASE_ARGMAX);
    p->argmax = (int32_t *)(pl->image->scratch +
                            pl->image->program->value[pl->image->program->order[pl->s]].offset);
    return true;
}

/* A layer or the head from pl->s on; false: neither. *done when it was the head. */
static bool plan_next(struct plan *pl, bool *done)
{
    const struct mbi_program *program = pl->image->program;
    struct mbi_cuda_finish finish;

    if (!plan_normed(pl, PHASE_PRODUCT, &finish))
        return false;
    if (program->order[pl->s - 1] == program->graph->logits) {
        pl->phase[pl->n - 1].kind = PHASE_HEAD;
        pl->phase[pl->n - 1].finish = finish;
        *done = true;
        return plan_head(pl);
    }
    return plan_mixed(pl, &finish);
}

static bool plan_phases(struct plan *pl)
{
    bool done = false;

    if (pl->image->program->graph->link != MBI_NONE || !plan_embed(pl))
        return false;
    while (!done)
        if (pl->n + 4 > pl->cap || pl->s + 3 > pl->image->program->n_order || !plan_next(pl, &done))
            return false;
    return true;
}

/* ---- pointing the phases at their buffers ---- */

static size_t matrix_size(const struct mbi_cuda_matrix *m)
{
    return (size_t)mbi_row_blocks(m) * mbi_col_blocks(m) * mbi_block_size(m->dtype);
}

/* Sums are cleared by a phase that lies between their last reader and their next use. */
static void connect(struct plan *pl, const struct mbi_cuda_decode *d)
{
    int32_t *const first = d->sums;
    int32_t *const second = d->sums + (size_t)pl->most_first * MOST_LANES;
    const size_t half = (size_t)pl->phase[0].matrix.cols * MOST_LANES;
    uint32_t turn = 0;

    pl->phase[0].residual_out = d->residual;
    for (uint32_t k = 1; k < pl->n; k++) {
        struct phase *p = &pl->phase[k];
        const bool normed = (p->kind == PHASE_PRODUCT && !p->bytes) || p->kind == PHASE_HEAD;

        if (normed) {
            p->residual = d->residual + turn * half;
            if (k > 1) {
                p->before_sums = second;
                p->before.add = p->residual;
                turn ^= 1;
                p->residual_out = p->kind == PHASE_HEAD ? NULL : d->residual + turn * half;
            }
            p->sums = first;
        } else if (p->kind == PHASE_MIX) {
            p->p_sums = first;
            p->clear = second;
            p->n_clear = pl->most_second;
            p->ahead[0] = {pl->phase[k + 1].matrix.packed, matrix_size(&pl->phase[k + 1].matrix)};
            if (pl->phase[k + 2].kind == PHASE_PRODUCT)
                p->ahead[1] = {pl->phase[k + 2].matrix.packed,
                               matrix_size(&pl->phase[k + 2].matrix)};
        } else if (p->kind == PHASE_PRODUCT) {
            p->sums = second;
            p->clear = first;
            p->n_clear = pl->most_first;
        } else if (p->kind == PHASE_ARGMAX) {
            p->clear = second;
            p->n_clear = pl->most_second;
        }
    }
}

/* Room that feeding and mixing take for `lanes` lanes. */
static size_t shared_for(const struct plan *pl, uint32_t lanes)
{
    size_t most = 0;

    for (uint32_t k = 0; k < pl->n; k++) {
        const struct phase *p = &pl->phase[k];
        size_t size = 0;

        if (p->kind == PHASE_PRODUCT || p->kind == PHASE_HEAD)
            size = mbi_align_size((size_t)lanes * mbi_dot_pitch(mbi_col_blocks(&p->matrix)), 16) +
                   TEAM_SPACE + (p->bytes ? 0 : (size_t)lanes * p->matrix.cols * 4);
        else if (p->kind == PHASE_MIX)
            size = MIX_SPACE + mbi_scan_token_shared(&p->mixer.scan);
        most = mbi_max_size(most, size);
    }
    return phase_space() + most + 64;
}

static cudaError_t make_buffers(struct mbi_cuda_decode *d, struct plan *pl)
{
    const size_t sums = (size_t)(pl->most_first + pl->most_second) * MOST_LANES * 4;
    const size_t warps = (size_t)d->blocks * WARPS;
    cudaError_t e = cudaMalloc((void **)&d->phase, pl->n * sizeof(*d->phase));

    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->counters, 256);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->sums, sums);
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->residual,
                       (size_t)pl->phase[0].matrix.cols * MOST_LANES * 2 * sizeof(int32_t));
    if (e == cudaSuccess)
        e = cudaMalloc((void **)&d->candidates, warps * MOST_LANES * sizeof(*d->candidates));
    if (e == cudaSuccess)
        e = cudaMemset(d->counters, 0, 256);
    if (e == cudaSuccess)
        e = cudaMemset(d->sums, 0, sums);
    if (e != cudaSuccess)
        return e;
    connect(pl, d);
    return cudaMemcpy(d->phase, pl->phase, pl->n * sizeof(*d->phase), cudaMemcpyHostToDevice);
}

/* The device's size; false where blocks cannot wait for each other. */
static bool size_up(struct mbi_cuda_decode *d, const struct plan *pl)
{
    int device = 0, blocks = 0, together = 0, shared = 0, fit = 0;

    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&together, cudaDevAttrCooperativeLaunch, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
            cudaSuccess ||
        !together)
        return false;
    d->blocks = (uint32_t)blocks;
    d->most_lanes = MOST_LANES;
    while (d->most_lanes && shared_for(pl, d->most_lanes) > (size_t)shared)
        d->most_lanes--;
    if (!d->most_lanes)
        return false;
    d->shared = shared_for(pl, d->most_lanes);
    /* The limit is the process's, and the same for every program. */
    return cudaFuncSetAttribute(decode_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                shared) == cudaSuccess &&
           cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, decode_kernel, THREADS, d->shared) ==
               cudaSuccess &&
           fit > 0;
}

int32_t mbi_cuda_decode_new(struct mbi_cuda_decode **out, const struct mbi_image *image,
                            mambaint_error *err)
{
    const struct mbi_host *host = image->program->host;
    struct plan pl = {};
    struct mbi_cuda_decode *d = (struct mbi_cuda_decode *)mbi_cuda_alloc(host, 1, sizeof(*d));
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    pl.image = image;
    pl.cap = image->program->n_order + 4;
    pl.phase = (struct phase *)mbi_cuda_alloc(host, pl.cap, sizeof(*pl.phase));
    if (!d || !pl.phase) {
        rc = mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a program");
    } else if (plan_phases(&pl)) {
        for (uint32_t k = 0; k < pl.n; k++) {
            uint32_t *most = pl.phase[k].bytes ? &pl.most_second : &pl.most_first;

            if (pl.phase[k].kind == PHASE_PRODUCT && pl.phase[k].matrix.rows > *most)
                *most = pl.phase[k].matrix.rows;
        }
        d->n_phases = pl.n;
        if (pl.most_second != pl.phase[0].matrix.cols || !size_up(d, &pl)) {
            cudaGetLastError(); /* of a device that blocks cannot wait on; steps are started singly */
        } else {
            if ((rc = mbi_cuda_check(make_buffers(d, &pl), err, "room for a program")) >= 0) {
                *out = d;
                d = NULL;
            }
        }
    }
    mbi_cuda_free(host, pl.phase);
    mbi_cuda_decode_free(d, host);
    return rc;
}

void mbi_cuda_decode_free(struct mbi_cuda_decode *d, const struct mbi_host *host)
{
    if (!d)
        return;
    cudaFree(d->phase);
    cudaFree(d->counters);
    cudaFree(d->sums);
    cudaFree(d->residual);
    cudaFree(d->candidates);
    mbi_cuda_free(host, d);
}

bool mbi_cuda_decode_takes(const struct mbi_cuda_decode *d, uint32_t lanes)
{
    return lanes <= d->most_lanes;
}

cudaError_t mbi_cuda_decode_run(struct mbi_cuda_decode *d, const struct mbi_image *image,
                                uint32_t lanes, const uint32_t *live, const int32_t *drawn)
{
    return mbi_launch_together(decode_kernel, dim3(d->blocks), THREADS, d->shared, MBI_STREAM,
                               (const struct phase *)d->phase, d->n_phases,
                               (const struct mbi_cuda_run *)image->runs, lanes, d->candidates,
                               d->counters, live, drawn);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixer of one head and one stream, by a whole block. Its parts of p come as words. All that
 * does not depend on them lies in shared memory by then, if its size and place allow: what the
 * recurrence and the convolution have from before, and the head's own parameters. What is done
 * between the last word that comes and the first that goes is what a token waits for, so it is
 * short: few barriers, and sizes known when it is compiled, for most models.
 */
#ifndef MBI_CUDA_DECODE_MIX_H
#define MBI_CUDA_DECODE_MIX_H

#include "cuda/decode_ring.h"
#include "cuda/norm.h"
#include "cuda/scan_token.h"

/* ---- what is there before the token ---- */

/* By channel, the x of the head and then B and C; angles by pair. Rows of the ring are those of the
 * last three positions, the oldest first. */
struct mbi_mix_before {
    struct mbi_scan_before scan;
    const int16_t *ring[3], *bias;
    const int8_t *taps, *exponent;
    const uint8_t *angle;
    const int16_t *dt_bias, *skip; /* of the head */
    const uint32_t *sum;           /* L of the row before this token's, if there is one */
};

/* Where the parts of the above begin in shared memory, a multiple of 16 each. */
struct mbi_mix_layout {
    size_t h16, xw, b, l, ring, taps, exponent, bias, angle, dt_bias, skip, size;
};

static __host__ __device__ __forceinline__ struct mbi_mix_layout mbi_mix_layout(
    const struct mbi_cuda_mixer *m, size_t p, size_t n)
{
    const size_t q = (size_t)m->scan.chunk, channels = p + 2 * n;
    struct mbi_mix_layout o;

    o.h16 = 0;
    o.xw = o.h16 + n * p * 2;
    o.b = o.xw + q * p * 2;
    o.l = o.b + q * n;
    o.ring = o.l + mbi_align_size(q * 4, 16);
    o.taps = o.ring + 3 * channels * 2;
    o.exponent = o.taps + channels * 4;
    o.bias = o.exponent + channels;
    o.angle = o.bias + channels * 2;
    o.dt_bias = o.angle + mbi_align_size(m->pairs, 16);
    o.skip = o.dt_bias + 16;
    o.size = o.skip + 16;
    return o;
}

/* Bytes of shared memory in which a block has what a head has from before; 0: it is read where it
 * lies, as it is large, not made of pieces of 16 bytes, or rounded in an unusual way. */
#define MBI_MIX_BEFORE_MOST ((size_t)48 << 10)

static inline uint32_t mbi_mix_near_size(const struct mbi_cuda_mixer *m)
{
    const size_t n = (size_t)m->scan.d_state, p = (size_t)m->scan.head_dim;
    const size_t size = mbi_mix_layout(m, p, n).size;
    const struct mbi_cuda_clamp *const clamp[] = {&m->channel, &m->z, &m->gated_z, &m->out};

    for (int i = 0; i < 4; i++)
        if (clamp[i]->shift < 0 || clamp[i]->shift > 31)
            return 0;
    return p / 2 <= MBI_DECODE_THREADS && p % 16 == 0 && (p & (p - 1)) == 0 && n % 16 == 0 &&
                   m->channels % 16 == 0 && m->at_x % 16 == 0 && m->at_bc % 16 == 0 &&
                   m->pairs % 4 == 0 && size <= MBI_MIX_BEFORE_MOST
               ? (uint32_t)size
               : 0;
}

/* ---- copying it ---- */

/* `rows` rows of `pieces` pieces of 16 bytes from every `stride` bytes, in the background, by a
 * warp. */
struct mbi_mix_rows {
    const char *from;
    uint32_t to, rows, pieces, stride;
};

static __device__ __forceinline__ void mbi_mix_copy(char *shared, const struct mbi_mix_rows *r)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;
    uint32_t row = 0, piece = lane, at = r->to + 16 * lane;

    MBI_NO_UNROLL
    while (row < r->rows) {
        if (piece >= r->pieces) {
            piece -= r->pieces;
            row++;
            continue;
        }
        mbi_copy16(shared + at, r->from + row * (size_t)r->stride + 16 * piece, true);
        piece += MBI_WARP;
        at += 16 * MBI_WARP;
    }
}

/* Row `back` positions ago of a ring of 4. */
static __device__ __forceinline__ const int16_t *mbi_mix_ring(const struct mbi_cuda_mixer *m,
                                                              const struct mbi_cuda_run *run,
                                                              uint32_t back)
{
    return (const int16_t *)(run->memory + m->conv_memory) +
           (size_t)(((uint32_t)run->pos - back) % 4) * m->channels;
}

static __device__ __forceinline__ const uint8_t *mbi_mix_angles(const struct mbi_cuda_mixer *m,
                                                                const struct mbi_cuda_run *run,
                                                                uint32_t back)
{
    return (const uint8_t *)(run->memory + m->turn_memory) +
           (size_t)(((uint32_t)run->pos - back) % 2) * m->pairs;
}

/* Where a row by channel lies: the part of x, then that of B and C, elements of `size` bytes. */
static __device__ __forceinline__ void mbi_mix_copy_channels(char *shared, uint32_t to,
                                                             const void *row, uint32_t x,
                                                             uint32_t bc, uint32_t p, uint32_t n,
                                                             uint32_t size)
{
    const struct mbi_mix_rows of_x = {(const char *)row + (size_t)x * size, to, 1, p * size / 16,
                                      0};
    const struct mbi_mix_rows of_bc = {(const char *)row + (size_t)bc * size, to + p * size, 1,
                                       2 * n * size / 16, 0};

    mbi_mix_copy(shared, &of_x);
    mbi_mix_copy(shared, &of_bc);
}

/* The aligned word that an element of 16 bits lies in. */
static __device__ __forceinline__ void mbi_mix_copy_half(char *shared, const int16_t *from)
{
    if (threadIdx.x % MBI_WARP == 0)
        mbi_copy4(shared, (const void *)((uintptr_t)from & ~(uintptr_t)3));
}

static __device__ __forceinline__ const int16_t *mbi_mix_half(const char *shared,
                                                              const int16_t *from)
{
    return (const int16_t *)(shared + ((uintptr_t)from & 2));
}

/* A job of one warp: a part of what a head has from before. */
enum { MBI_MIX_JOBS = 10 };

static __device__ __forceinline__ void mbi_mix_bring_job(char *shared,
                                                         const struct mbi_cuda_mixer *m,
                                                         const struct mbi_cuda_run *run,
                                                         uint32_t head, uint32_t job)
{
    const struct mbi_scan_attr *at = &m->scan;
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(at);
    const char *const memory = run->memory + m->scan_memory;
    const uint32_t n = (uint32_t)at->d_state, p = (uint32_t)at->head_dim, h = (uint32_t)at->heads;
    const uint32_t x = m->at_x + head * p, i = (uint32_t)run->pos % (uint32_t)at->chunk;
    const struct mbi_mix_layout o = mbi_mix_layout(m, p, n);
    struct mbi_mix_rows r = {NULL, 0, 0, 1, 0};

    if (job < 2) { /* halves of h16 */
        r = {memory + layout.h16 + ((size_t)head * 2 + job) * n * p, (uint32_t)o.h16 + job * n * p,
             1, n * p / 16, 0};
    } else if (job == 2) {
        r = {memory + layout.b, (uint32_t)o.b, 1, i * n / 16, 0};
    } else if (job == 3) {
        r = {memory + layout.xw + (size_t)head * p * 2, (uint32_t)o.xw, i, p / 8, h * p * 2};
    } else if (job == 4) {
        for (uint32_t j = threadIdx.x % MBI_WARP; j < i; j += MBI_WARP)
            mbi_copy4(shared + o.l + 4 * j, memory + layout.sum + ((size_t)j * h + head) * 4);
    } else if (job < 8) {
        mbi_mix_copy_channels(shared, (uint32_t)o.ring + (job - 5) * (p + 2 * n) * 2,
                              mbi_mix_ring(m, run, 8 - job), x, m->at_bc, p, n, 2);
    } else if (job == 8) {
        mbi_mix_copy_channels(shared, (uint32_t)o.taps, m->taps, x, m->at_bc, p, n, 4);
        mbi_mix_copy_channels(shared, (uint32_t)o.exponent, m->taps_exponent, x, m->at_bc, p, n, 1);
    } else {
        mbi_mix_copy_channels(shared, (uint32_t)o.bias, m->taps_bias, x, m->at_bc, p, n, 2);
        for (uint32_t j = threadIdx.x % MBI_WARP; j < m->pairs / 4; j += MBI_WARP)
            mbi_copy4(shared + o.angle + 4 * j, mbi_mix_angles(m, run, 1) + 4 * j);
        mbi_mix_copy_half(shared + o.dt_bias, m->dt_bias + head);
        mbi_mix_copy_half(shared + o.skip, m->skip + head);
    }
    mbi_mix_copy(shared, &r);
}

/* Ask for all of it; the caller closes the group. */
static __device__ MBI_CALLED void mbi_mix_bring(char *shared, const struct mbi_cuda_mixer *m,
                                                const struct mbi_cuda_run *run, uint32_t head)
{
    MBI_NO_UNROLL
    for (uint32_t job = threadIdx.x / MBI_WARP; job < MBI_MIX_JOBS; job += MBI_DECODE_WARPS)
        mbi_mix_bring_job(shared, m, run, head, job);
}

/* In shared memory, for the row `i` of the chunk. */
static __device__ __forceinline__ struct mbi_mix_before mbi_mix_near(const char *shared,
                                                                     const struct mbi_cuda_mixer *m,
                                                                     uint32_t head, uint32_t i,
                                                                     size_t p, size_t n)
{
    const struct mbi_mix_layout o = mbi_mix_layout(m, p, n);
    struct mbi_mix_before b;

    b.scan.h16 = (const int16_t *)(shared + o.h16);
    b.scan.xw = (const int16_t *)(shared + o.xw);
    b.scan.b = (const int8_t *)(shared + o.b);
    b.scan.l = (const uint32_t *)(shared + o.l);
    b.scan.width = p;
    b.scan.l_step = 1;
    for (int j = 0; j < 3; j++)
        b.ring[j] = (const int16_t *)(shared + o.ring) + (size_t)j * (p + 2 * n);
    b.taps = (const int8_t *)(shared + o.taps);
    b.exponent = (const int8_t *)(shared + o.exponent);
    b.bias = (const int16_t *)(shared + o.bias);
    b.angle = (const uint8_t *)(shared + o.angle);
    b.dt_bias = mbi_mix_half(shared + o.dt_bias, m->dt_bias + head);
    b.skip = mbi_mix_half(shared + o.skip, m->skip + head);
    b.sum = i ? b.scan.l + i - 1 : NULL;
    return b;
}

/* The same where it lies; by channel of the mixer. */
static __device__ __forceinline__ struct mbi_mix_before mbi_mix_far(const struct mbi_cuda_mixer *m,
                                                                    const struct mbi_cuda_run *run,
                                                                    uint32_t head,
                                                                    const struct mbi_scan_token *k)
{
    struct mbi_mix_before b;

    b.scan = k->before;
    for (uint32_t j = 0; j < 3; j++)
        b.ring[j] = mbi_mix_ring(m, run, 3 - j);
    b.taps = m->taps;
    b.exponent = m->taps_exponent;
    b.bias = m->taps_bias;
    b.angle = m->pairs ? mbi_mix_angles(m, run, 1) : NULL;
    b.dt_bias = m->dt_bias + head;
    b.skip = m->skip + head;
    b.sum = k->i ? b.scan.l + (k->i - 1) * b.scan.l_step : NULL;
    return b;
}

/* ---- what a block has of a head ---- */

struct mbi_mix_room {
    int8_t *x, *bc; /* [P], [2 N] */
    int16_t *gz;    /* [P] */
    int32_t *l, *L, *weight, *kept, *skip;
    int32_t *m;                /* [Q] */
    int32_t *inside, *carried; /* [groups][P]: sums of some rows; at most [threads][2] */
    char *scan;                /* what the recurrence takes besides */
};

static __host__ __device__ inline size_t mbi_mix_room_size(const struct mbi_scan_attr *at)
{
    return mbi_scan_token_shared(at) + mbi_align_size(2 * (size_t)at->d_state, 16) +
           4 * MBI_DECODE_THREADS * sizeof(int32_t) + 8 * sizeof(int32_t) +
           (size_t)at->head_dim * 3;
}

static __device__ __forceinline__ struct mbi_mix_room mbi_mix_room_at(
    char *shared, const struct mbi_scan_attr *at, uint32_t p, uint32_t n)
{
    struct mbi_mix_room s;

    s.l = (int32_t *)shared;
    s.L = s.l + 1;
    s.weight = s.l + 2;
    s.kept = s.l + 3;
    s.skip = s.l + 4;
    s.inside = s.l + 8;
    s.carried = s.inside + 2 * MBI_DECODE_THREADS;
    s.bc = (int8_t *)(s.carried + 2 * MBI_DECODE_THREADS);
    s.scan = (char *)s.bc + mbi_align_size(2 * n, 16);
    s.m = (int32_t *)(s.scan + mbi_align_size(p * 2, 16)); /* as mbi_scan_token_at() has it */
    s.gz = (int16_t *)(s.scan + mbi_scan_token_shared(at));
    s.x = (int8_t *)(s.gz + p);
    return s;
}

/* ---- the parts of p ---- */

/* The shears of a rotation by rho - 32, for mbi_mix_turn(): t below, s above. */
#define MBI_SHEARS 64

static inline uint32_t mbi_mix_shear(uint32_t rho)
{
    const int32_t r = (int32_t)rho - 32;

    return (uint32_t)mbi_shear_s(r) << 16 | (uint16_t)mbi_shear_t(r);
}

/* One of a pair as mbi_rotate_bytes() leaves it, in 32 bits and with the shears from a table. */
static __device__ __forceinline__ int32_t mbi_mix_turn(int32_t first, int32_t second, uint32_t phi,
                                                       const uint32_t *shears, bool odd)
{
    const uint32_t turned = phi + 32, both = shears[turned % MBI_SHEARS];
    const int32_t t = (int16_t)both, s = (int32_t)both >> 16, half = 1 << 14;
    int32_t x = first * 8, y = second * 8;

    x -= (t * y + half) >> 15;
    y += (s * x + half) >> 15;
    x -= (t * y + half) >> 15;
    if (turned & 64) {
        const int32_t old = x;

        x = -y;
        y = old;
    }
    x = odd ? y : x;
    return mbi_clamp_i32(((turned & 128 ? -x : x) + 4) >> 3, -128, 127);
}

/* What all of a head's threads do with their words of p. */
struct mbi_mix_task {
    const struct mbi_cuda_mixer *m;
    const struct mbi_mix_room *room;
    const struct mbi_mix_before *before;
    const struct mbi_cuda_run *run;
    const uint64_t *words; /* of p */
    const uint32_t *shears;
    uint32_t tag, head, dim, n; /* P and N */
    uint32_t i;                 /* the token's row in the chunk */
    bool near;
};

static __device__ __forceinline__ int32_t mbi_mix_clamped(const struct mbi_mix_task *t,
                                                          const struct mbi_cuda_clamp *c, int32_t v)
{
    return t->near ? mbi_clamped_right(c, v) : mbi_clamped(c, v);
}

/* Channel `c` of the mixer, `at` in what is from before: its input is kept where this position's
 * belongs. That of B and C by the block of one head. */
static __device__ __forceinline__ int32_t mbi_mix_channel(const struct mbi_mix_task *t, uint32_t c,
                                                          uint32_t at, uint64_t seen, bool keeps)
{
    const struct mbi_cuda_mixer *m = t->m;
    const struct mbi_mix_before *b = t->before;
    const int32_t taps = ((const int32_t *)b->taps)[at];
    const int32_t exponent = b->exponent[at], bias = b->bias[at];
    int32_t x[4] = {b->ring[0][at], b->ring[1][at], b->ring[2][at], 0}, w[4];

    MBI_UNROLL
    for (int j = 0; j < 4; j++)
        w[j] = (int8_t)(taps >> 8 * j);
    x[3] = mbi_word_take(seen, t->words + m->at_channels + c, t->tag);
    if (keeps)
        ((int16_t *)mbi_mix_ring(m, t->run, 0))[c] = (int16_t)x[3];
    return mbi_mix_clamped(t, &m->channel,
                           mbi_gate_at(mbi_conv_at(x, w, exponent, bias), m->conv_gate));
}

static __device__ __forceinline__ void mbi_mix_x(const struct mbi_mix_task *t, uint32_t i)
{
    const uint32_t c = t->m->at_x + t->head * t->dim + i;
    const uint64_t seen = mbi_word_look(t->words + t->m->at_channels + c);

    t->room->x[i] = (int8_t)mbi_mix_channel(t, c, t->near ? i : c, seen, true);
}

/* Element i of B, then C, by whole warps. Neighbours are the two of a pair. */
static __device__ __forceinline__ void mbi_mix_bc(const struct mbi_mix_task *t, uint32_t index)
{
    const struct mbi_cuda_mixer *m = t->m;
    const bool there = index < 2 * t->n, first = there && t->head == 0;
    const uint32_t i = there ? index : 0, c = m->at_bc + i, pair = i % t->n / 2;
    const bool turned = pair < m->pairs;
    const uint64_t *const turn = t->words + m->at_turn + (turned ? pair : 0);
    const uint64_t seen = mbi_word_look(t->words + m->at_channels + c);
    const uint64_t seen_turn = turned ? mbi_word_look(turn) : 0;
    uint32_t angle = 0;

    if (turned) {
        angle = t->before->angle[pair] +
                (uint32_t)mbi_rsh_any(mbi_word_take(seen_turn, turn, t->tag), 2);
        if (first && i < t->n && i % 2 == 0)
            ((uint8_t *)mbi_mix_angles(m, t->run, 0))[pair] = (uint8_t)angle;
    }
    int32_t v = mbi_mix_channel(t, c, t->near ? t->dim + i : c, seen, first);
    const int32_t other = __shfl_xor_sync(MBI_FULL, v, 1);

    if (turned)
        v = mbi_mix_turn(i % 2 ? other : v, i % 2 ? v : other, angle, t->shears, i % 2);
    if (there)
        t->room->bc[i] = (int8_t)v;
}

static __device__ __forceinline__ void mbi_mix_z(const struct mbi_mix_task *t, uint32_t i)
{
    const struct mbi_cuda_mixer *m = t->m;
    const uint64_t *const word = t->words + m->at_z + t->head * t->dim + i;
    const int32_t v = mbi_word_take(mbi_word_look(word), word, t->tag);

    t->room->gz[i] = (int16_t)mbi_mix_clamped(t, &m->gated_z,
                                              mbi_gate_at(mbi_mix_clamped(t, &m->z, v), m->z_gate));
}

/* What comes of the head's decay, by a warp each: L, the weight of the input, what h keeps. */
static __device__ __forceinline__ void mbi_mix_dt(const struct mbi_mix_task *t, uint32_t which)
{
    const struct mbi_cuda_mixer *m = t->m;
    const uint64_t *const word = t->words + m->at_dt + t->head;
    const uint64_t seen = mbi_word_look(word);
    const uint32_t before = t->before->sum ? *t->before->sum : 0;
    const int32_t bias = *t->before->dt_bias, skip = *t->before->skip;
    const int32_t l = mbi_decay_of(mbi_word_take(seen, word, t->tag), bias, m->hold);

    if (which == 0) {
        *t->room->skip = skip;
        *t->room->l = l;
        *t->room->L = (int32_t)((uint32_t)l + before);
    } else if (which == 1) {
        *t->room->weight = (int32_t)mbi_input_weight((uint32_t)l);
    } else {
        *t->room->kept = mbi_scan_keep((uint32_t)l + before, m->scan.hold);
    }
}

/* All of them: x, B and C, z, dt, whole warps for each. */
static __device__ __forceinline__ void mbi_mix_enter(const struct mbi_mix_task *t)
{
    const uint32_t bc = (uint32_t)mbi_align_size(t->dim, MBI_WARP);
    const uint32_t z = bc + (uint32_t)mbi_align_size(2 * t->n, MBI_WARP);
    const uint32_t dt = z + (uint32_t)mbi_align_size(t->dim, MBI_WARP);

    MBI_NO_UNROLL
    for (uint32_t i = threadIdx.x; i < dt + 3 * MBI_WARP; i += MBI_DECODE_THREADS) {
        if (i < bc) {
            if (i < t->dim)
                mbi_mix_x(t, i);
        } else if (i < z) {
            mbi_mix_bc(t, i - bc);
        } else if (i < dt) {
            if (i - z < t->dim)
                mbi_mix_z(t, i - z);
        } else if (i % MBI_WARP == 0) {
            mbi_mix_dt(t, (i - dt) / MBI_WARP);
        }
    }
}

/* ---- the recurrence, of what is near ---- */

/*
 * The sums of y by groups of threads, each two columns of some rows: a third of the groups does
 * what is carried, while the others make M and then, behind a barrier, what is inside. They are
 * left in parts, which are added by whoever takes y. A part is bounded as the whole is, by the sum
 * of magnitudes, which fits (lib/op/scan.c).
 */
struct mbi_mix_groups {
    uint32_t all, carried, inside;
};

static __device__ __forceinline__ struct mbi_mix_groups mbi_mix_groups(uint32_t dim)
{
    struct mbi_mix_groups g;

    g.all = MBI_DECODE_THREADS / (dim / 2);
    g.carried = g.all < 3 ? g.all : g.all / 3;
    g.inside = g.all < 3 ? g.all : g.all - g.carried;
    return g;
}

/* Two columns of the sum of weight[row] times a row, over rows first, first + step .. */
template <class W>
static __device__ __forceinline__ void mbi_mix_add_rows(int32_t *to, const W *weight,
                                                        const int16_t *rows, uint32_t dim,
                                                        uint32_t first, uint32_t end, uint32_t step)
{
    int32_t sum[2] = {0, 0};

#pragma unroll 4
    for (uint32_t row = first; row < end; row += step) {
        struct mbi_scan_row<2> r;

        r.load(rows + row * dim);
        sum[0] += weight[row] * r.at(0);
        sum[1] += weight[row] * r.at(1);
    }
    *(int2 *)to = {sum[0], sum[1]};
}

static __device__ __forceinline__ void mbi_mix_sums(const struct mbi_mix_task *t)
{
    const struct mbi_mix_room *s = t->room;
    const uint32_t dim = t->dim, width = dim / 2;
    const struct mbi_mix_groups g = mbi_mix_groups(dim);
    const uint32_t group = threadIdx.x / width, col = threadIdx.x % width * 2;
    struct mbi_scan_token k = {};

    k.at = &t->m->scan;
    k.before = t->before->scan;
    k.b = s->bc;
    k.c = s->bc + t->n;
    k.m = s->m;
    k.i = t->i;
    k.L = (uint32_t)*s->L;
    mbi_scan_token_m(&k, t->n);
    if (group >= g.all - g.carried)
        mbi_mix_add_rows(s->carried + (group - (g.all - g.carried)) * dim + col, k.c,
                         k.before.h16 + col, dim, group - (g.all - g.carried), t->n, g.carried);
    __syncthreads();
    if (group < g.inside)
        mbi_mix_add_rows(s->inside + group * dim + col, k.m, k.before.xw + col, dim, group, k.i,
                         g.inside);
    __syncthreads();
}

/* Two columns of y. */
static __device__ __forceinline__ int2 mbi_mix_y(const struct mbi_mix_task *t, uint32_t p)
{
    const struct mbi_mix_room *s = t->room;
    const struct mbi_mix_groups groups = mbi_mix_groups(t->dim);
    const int32_t m = s->m[t->i], s_n = mbi_scan_s_n_of(t->n);
    int32_t inside[2], carried[2] = {0, 0};

    inside[0] = m * mbi_scan_xw(s->x[p], *s->weight);
    inside[1] = m * mbi_scan_xw(s->x[p + 1], *s->weight);
    MBI_UNROLL
    for (uint32_t g = 0; g < groups.inside; g++) {
        const int2 a = *(const int2 *)(s->inside + g * t->dim + p);

        inside[0] += a.x;
        inside[1] += a.y;
    }
    MBI_UNROLL
    for (uint32_t g = 0; g < groups.carried; g++) {
        const int2 c = *(const int2 *)(s->carried + g * t->dim + p);

        carried[0] += c.x;
        carried[1] += c.y;
    }
    return {mbi_scan_y(inside[0], carried[0], s_n, *s->kept),
            mbi_scan_y(inside[1], carried[1], s_n, *s->kept)};
}

/* ---- behind the recurrence ---- */

/* The direct path, the norm of the head and its gate, by one warp: two columns side by side to a
 * lane, four results to a word; HELD times 64 columns. `far` has y, or is NULL. */
template <int HELD>
static __device__ __forceinline__ void mbi_mix_leave(const struct mbi_mix_task *t,
                                                     const struct mbi_scan_token *far,
                                                     uint64_t *words, uint32_t tag)
{
    const struct mbi_cuda_mixer *m = t->m;
    const struct mbi_mix_room *s = t->room;
    const uint32_t dim = t->dim, lane = threadIdx.x % MBI_WARP;
    int32_t y[HELD][2], most = 0;
    uint64_t ss = 0;

    MBI_UNROLL
    for (uint32_t r = 0; r < HELD; r++) {
        const uint32_t i = r * 2 * MBI_WARP + 2 * lane;
        int2 v = {0, 0};

        if (i < dim) {
            v = far ? int2{mbi_scan_token_y(far, i, *s->kept),
                           mbi_scan_token_y(far, i + 1, *s->kept)}
                    : mbi_mix_y(t, i);
            v.x += mbi_clamped(&m->direct, s->x[i] * *s->skip);
            v.y += mbi_clamped(&m->direct, s->x[i + 1] * *s->skip);
        }
        y[r][0] = v.x;
        y[r][1] = v.y;
        most = mbi_max_i32(most, mbi_max_i32(v.x < 0 ? ~v.x : v.x, v.y < 0 ? ~v.y : v.y));
    }
    const int b = mbi_norm_headroom(mbi_warp_max(most));

    MBI_UNROLL
    for (uint32_t r = 0; r < HELD; r++)
        MBI_UNROLL
    for (uint32_t e = 0; e < 2; e++) {
        y[r][e] = mbi_rsh_any(y[r][e], b);
        ss += (uint32_t)(y[r][e] * y[r][e]); /* at most 2^30 */
    }
    const struct mbi_norm_factor f =
        mbi_warp_norm_factor(m->norm_op, mbi_warp_sum_u48(ss), dim, m->norm_inverse);

    MBI_UNROLL
    for (uint32_t r = 0; r < HELD; r++) {
        const uint32_t i = r * 2 * MBI_WARP + 2 * lane;
        uint32_t g = 0;

        MBI_UNROLL
        for (uint32_t e = 0; e < 2 && i < dim; e++) {
            const int32_t yn = mbi_normed(y[r][e], &f, m->norm_frac, m->norm_bits);

            g |= (uint32_t)(uint8_t)mbi_mix_clamped(t, &m->out, yn * s->gz[i + e]) << 8 * e;
        }
        g |= __shfl_xor_sync(MBI_FULL, g, 1) << 16;
        if (lane % 2 == 0 && i < dim)
            mbi_word_put(words + i / 4, (int32_t)g, tag);
    }
}

/* ---- all of it ---- */

static __device__ __forceinline__ struct mbi_scan_token mbi_mix_token(
    const struct mbi_cuda_mixer *m, const struct mbi_cuda_run *run, uint32_t head,
    const struct mbi_mix_room *room)
{
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(&m->scan);

    return mbi_scan_token_at(room->scan, &m->scan, &layout, run->memory + m->scan_memory, run->pos,
                             head, room->bc);
}

/* The token becomes row i of the slots, and a full chunk is folded; nobody waits for that. */
static __device__ MBI_CALLED void mbi_mix_keep(const struct mbi_cuda_mixer *m,
                                               const struct mbi_cuda_run *run, uint32_t head,
                                               char *shared, const char *near)
{
    const struct mbi_scan_attr *at = &m->scan;
    const uint32_t dim = (uint32_t)at->head_dim, n_state = (uint32_t)at->d_state;
    const struct mbi_mix_room s = mbi_mix_room_at(shared, at, dim, n_state);
    struct mbi_scan_token k = mbi_mix_token(m, run, head, &s);

    k.before = mbi_mix_near(near, m, head, k.i, dim, n_state).scan;
    k.L = (uint32_t)*s.L;
    MBI_NO_UNROLL
    for (uint32_t p = threadIdx.x; p < dim; p += MBI_DECODE_THREADS) {
        k.xw[p] = (int16_t)mbi_scan_xw(s.x[p], *s.weight);
        k.slot_xw[k.i * k.width + p] = k.xw[p];
    }
    MBI_NO_UNROLL
    for (uint32_t n = threadIdx.x; head == 0 && n < n_state; n += MBI_DECODE_THREADS)
        k.slot_b[(size_t)k.i * n_state + n] = k.b[n];
    if (threadIdx.x == 0)
        k.slot_l[k.i * (size_t)at->heads] = k.L;
    if (mbi_scan_token_full(&k)) {
        __syncthreads();
        mbi_scan_token_fold(&k);
    }
}

/* A head at one token, by a whole block, for sizes `dim` and `n`. Behind the next barrier all that
 * it has in shared memory may be written again. */
static __device__ __forceinline__ void mbi_mix_head(const struct mbi_mix_task *given, char *shared,
                                                    const char *near, uint64_t *g, uint32_t g_tag)
{
    struct mbi_mix_task t = *given;
    const struct mbi_mix_room room = mbi_mix_room_at(shared, &t.m->scan, t.dim, t.n);
    const struct mbi_mix_before before = mbi_mix_near(near, t.m, t.head, t.i, t.dim, t.n);

    t.room = &room;
    t.before = &before;
    t.near = true;
    mbi_mix_enter(&t);
    __syncthreads();
    mbi_mix_sums(&t);
    if (threadIdx.x < MBI_WARP) {
        if (t.dim <= 2 * MBI_WARP)
            mbi_mix_leave<1>(&t, NULL, g, g_tag);
        else
            mbi_mix_leave<4>(&t, NULL, g, g_tag);
    }
    mbi_mix_keep(t.m, t.run, t.head, shared, near);
}

/* The same with everything read where it lies. */
static __device__ MBI_CALLED void mbi_mix_head_far(struct mbi_mix_task t, char *shared, uint64_t *g,
                                                   uint32_t g_tag)
{
    const struct mbi_mix_room room = mbi_mix_room_at(shared, &t.m->scan, t.dim, t.n);
    struct mbi_scan_token k = mbi_mix_token(t.m, t.run, t.head, &room);
    const struct mbi_mix_before before = mbi_mix_far(t.m, t.run, t.head, &k);

    t.room = &room;
    t.before = &before;
    t.near = false;
    mbi_mix_enter(&t);
    __syncthreads();
    if (mbi_scan_token_wide(&t.m->scan))
        mbi_scan_token_sums<8, 4>(&k, room.x, *room.l, t.head == 0);
    else
        mbi_scan_token_sums<1, 4>(&k, room.x, *room.l, t.head == 0);
    if (threadIdx.x < MBI_WARP)
        mbi_mix_leave<4>(&t, &k, g, g_tag); /* P is at most 256 */
    if (mbi_scan_token_full(&k)) {
        __syncthreads();
        mbi_scan_token_fold(&k);
    }
}

#endif

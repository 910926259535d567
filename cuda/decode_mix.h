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
 * lies, as it is large or not made of pieces of 16 bytes. */
#define MBI_MIX_BEFORE_MOST ((size_t)48 << 10)

static __host__ __device__ inline size_t mbi_mix_before_size(const struct mbi_cuda_mixer *m)
{
    const size_t n = (size_t)m->scan.d_state, p = (size_t)m->scan.head_dim;
    const size_t size = mbi_mix_layout(m, p, n).size;

    return p / 2 <= MBI_DECODE_THREADS && p % 16 == 0 && (p & (p - 1)) == 0 && n % 16 == 0 &&
                   m->channels % 16 == 0 && m->at_x % 16 == 0 && m->at_bc % 16 == 0 &&
                   m->pairs % 4 == 0 && size <= MBI_MIX_BEFORE_MOST
               ? size
               : 0;
}

/* `pieces` of 16 bytes in the background. */
static __device__ __forceinline__ void mbi_mix_copy(char *shared, const void *from, uint32_t pieces)
{
    for (uint32_t i = threadIdx.x; i < pieces; i += MBI_DECODE_THREADS)
        mbi_copy16(shared + 16 * i, (const char *)from + 16 * i, true);
}

/* A row by channel: the part of x, then that of B and C, elements of `size` bytes. */
static __device__ __forceinline__ void mbi_mix_copy_channels(char *shared, const void *row,
                                                             uint32_t x, uint32_t bc, uint32_t p,
                                                             uint32_t n, uint32_t size)
{
    mbi_mix_copy(shared, (const char *)row + (size_t)x * size, p * size / 16);
    mbi_mix_copy(shared + p * size, (const char *)row + (size_t)bc * size, 2 * n * size / 16);
}

/* The aligned word that an element of 16 bits lies in. */
static __device__ __forceinline__ void mbi_mix_copy_half(char *shared, const int16_t *from)
{
    if (threadIdx.x == 0)
        mbi_copy4(shared, (const void *)((uintptr_t)from & ~(uintptr_t)3));
}

static __device__ __forceinline__ const int16_t *mbi_mix_half(const char *shared,
                                                              const int16_t *from)
{
    return (const int16_t *)(shared + ((uintptr_t)from & 2));
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

/* Ask for all of it; the caller closes the group. */
static __device__ void mbi_mix_bring(char *shared, const struct mbi_cuda_mixer *m,
                                     const struct mbi_cuda_run *run, uint32_t head)
{
    const struct mbi_scan_attr *at = &m->scan;
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(at);
    const struct mbi_scan_token k = mbi_scan_token_at(
        shared, at, &layout, run->memory + m->scan_memory, run->pos, head, (const int8_t *)shared);
    const uint32_t n = (uint32_t)at->d_state, p = (uint32_t)at->head_dim, row = p / 8;
    const uint32_t x = m->at_x + head * p;
    const struct mbi_mix_layout o = mbi_mix_layout(m, p, n);

    mbi_mix_copy(shared + o.h16, k.before.h16, n * row);
    mbi_mix_copy(shared + o.b, k.before.b, k.i * n / 16);
    for (uint32_t i = threadIdx.x; i < k.i * row; i += MBI_DECODE_THREADS)
        mbi_copy16(shared + o.xw + 16 * i, k.before.xw + i / row * k.before.width + i % row * 8,
                   true);
    for (uint32_t i = threadIdx.x; i < k.i; i += MBI_DECODE_THREADS)
        mbi_copy4(shared + o.l + 4 * i, k.before.l + i * k.before.l_step);
    for (uint32_t j = 0; j < 3; j++)
        mbi_mix_copy_channels(shared + o.ring + j * (p + 2 * n) * 2, mbi_mix_ring(m, run, 3 - j), x,
                              m->at_bc, p, n, 2);
    mbi_mix_copy_channels(shared + o.taps, m->taps, x, m->at_bc, p, n, 4);
    mbi_mix_copy_channels(shared + o.exponent, m->taps_exponent, x, m->at_bc, p, n, 1);
    mbi_mix_copy_channels(shared + o.bias, m->taps_bias, x, m->at_bc, p, n, 2);
    for (uint32_t i = threadIdx.x; i < m->pairs / 4; i += MBI_DECODE_THREADS)
        mbi_copy4(shared + o.angle + 4 * i, mbi_mix_angles(m, run, 1) + 4 * i);
    mbi_mix_copy_half(shared + o.dt_bias, m->dt_bias + head);
    mbi_mix_copy_half(shared + o.skip, m->skip + head);
}

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
    int32_t *inside, *carried; /* [threads][2]: sums of groups of rows, [P] to a group */
    char *scan;
};

static __host__ __device__ inline size_t mbi_mix_room_size(const struct mbi_scan_attr *at)
{
    return mbi_scan_token_shared(at) + mbi_align_size(2 * (size_t)at->d_state, 16) +
           4 * MBI_DECODE_THREADS * sizeof(int32_t) + 5 * sizeof(int32_t) +
           (size_t)at->head_dim * 3;
}

static __device__ __forceinline__ struct mbi_mix_room mbi_mix_room_at(
    char *shared, const struct mbi_scan_attr *at)
{
    struct mbi_mix_room s;

    s.scan = shared;
    s.bc = (int8_t *)(shared + mbi_scan_token_shared(at));
    s.inside = (int32_t *)(s.bc + mbi_align_size(2 * (size_t)at->d_state, 16));
    s.carried = s.inside + 2 * MBI_DECODE_THREADS;
    s.l = s.carried + 2 * MBI_DECODE_THREADS;
    s.L = s.l + 1;
    s.weight = s.l + 2;
    s.kept = s.l + 3;
    s.skip = s.l + 4;
    s.gz = (int16_t *)(s.l + 5);
    s.x = (int8_t *)(s.gz + at->head_dim);
    return s;
}

/* ---- the parts of p ---- */

/* The shears of a rotation by rho - 32, for mbi_mix_turn(): t below, s above. */
#define MBI_SHEARS 64

static __device__ __forceinline__ uint32_t mbi_mix_shear(uint32_t rho)
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
    if (turned & 128) {
        x = -x;
        y = -y;
    }
    if (turned & 64) {
        const int32_t old = x;

        x = -y;
        y = old;
    }
    return mbi_clamp_i32(((odd ? y : x) + 4) >> 3, -128, 127);
}

/* Channel `c` of the mixer, `at` in what is from before: its input v is kept where this position's
 * belongs. Also of B and C, by the block of one head. */
static __device__ __forceinline__ int32_t mbi_mix_channel(const struct mbi_cuda_mixer *m,
                                                          const struct mbi_mix_before *b,
                                                          const struct mbi_cuda_run *run,
                                                          uint32_t c, uint32_t at, int32_t v,
                                                          bool keeps)
{
    const int32_t x[4] = {b->ring[0][at], b->ring[1][at], b->ring[2][at], v};
    const int32_t taps = ((const int32_t *)b->taps)[at];
    int32_t w[4];

    MBI_UNROLL
    for (int j = 0; j < 4; j++)
        w[j] = (int8_t)(taps >> 8 * j);
    if (keeps)
        ((int16_t *)mbi_mix_ring(m, run, 0))[c] = (int16_t)v;
    return mbi_clamped(&m->channel,
                       mbi_gate_at(mbi_conv_at(x, w, b->exponent[at], b->bias[at]), m->conv_gate));
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
    bool near;
};

static __device__ __forceinline__ void mbi_mix_x(const struct mbi_mix_task *t, uint32_t i)
{
    const uint32_t c = t->m->at_x + t->head * t->dim + i;
    const uint64_t *const word = t->words + t->m->at_channels + c;
    const int32_t v = mbi_word_take(mbi_word_look(word), word, t->tag);

    t->room->x[i] = (int8_t)mbi_mix_channel(t->m, t->before, t->run, c, t->near ? i : c, v, true);
}

/* Element i of B, then C, by whole warps. Neighbours are the two of a pair. */
static __device__ __forceinline__ void mbi_mix_bc(const struct mbi_mix_task *t, uint32_t index)
{
    const struct mbi_cuda_mixer *m = t->m;
    const bool there = index < 2 * t->n, first = there && t->head == 0;
    const uint32_t i = there ? index : 0, c = m->at_bc + i, pair = i % t->n / 2;
    const bool turned = pair < m->pairs;
    const uint64_t *const word = t->words + m->at_channels + c;
    const uint64_t *const turn = t->words + m->at_turn + (turned ? pair : 0);
    const uint64_t seen = mbi_word_look(word), seen_turn = turned ? mbi_word_look(turn) : 0;
    uint32_t angle = 0;

    if (turned) {
        angle = t->before->angle[pair] +
                (uint32_t)mbi_rsh_i32(mbi_word_take(seen_turn, turn, t->tag), 2);
        if (first && i < t->n && i % 2 == 0)
            ((uint8_t *)mbi_mix_angles(m, t->run, 0))[pair] = (uint8_t)angle;
    }
    int32_t v = mbi_mix_channel(m, t->before, t->run, c, t->near ? t->dim + i : c,
                                mbi_word_take(seen, word, t->tag), first);
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

    t->room->gz[i] =
        (int16_t)mbi_clamped(&m->gated_z, mbi_gate_at(mbi_clamped(&m->z, v), m->z_gate));
}

static __device__ __forceinline__ void mbi_mix_dt(const struct mbi_mix_task *t)
{
    const struct mbi_cuda_mixer *m = t->m;
    const uint64_t *const word = t->words + m->at_dt + t->head;
    const uint32_t before = t->before->sum ? *t->before->sum : 0;
    const int32_t bias = *t->before->dt_bias;
    const int32_t l = mbi_decay_of(mbi_word_take(mbi_word_look(word), word, t->tag), bias, m->hold);

    *t->room->skip = *t->before->skip;
    *t->room->l = l;
    *t->room->L = (int32_t)((uint32_t)l + before);
}

/* All of them: x, B and C, z, dt, whole warps for each but the last. */
static __device__ __forceinline__ void mbi_mix_enter(const struct mbi_mix_task *t)
{
    const uint32_t bc = (uint32_t)mbi_align_size(t->dim, MBI_WARP);
    const uint32_t z = bc + (uint32_t)mbi_align_size(2 * t->n, MBI_WARP);
    const uint32_t dt = z + (uint32_t)mbi_align_size(t->dim, MBI_WARP);

    for (uint32_t i = threadIdx.x; i < dt + MBI_WARP; i += MBI_DECODE_THREADS) {
        if (i < bc) {
            if (i < t->dim)
                mbi_mix_x(t, i);
        } else if (i < z) {
            mbi_mix_bc(t, i - bc);
        } else if (i < dt) {
            if (i - z < t->dim)
                mbi_mix_z(t, i - z);
        } else if (i == dt) {
            mbi_mix_dt(t);
        }
    }
}

/* ---- the recurrence, of what is near ---- */

/*
 * The sums of y by groups of threads, each two columns of some rows: first what is carried, and M
 * beside it; behind a barrier what is inside. They are left in parts, which are added by whoever
 * takes y. Each part is below its whole, which fits (lib/op/scan.c).
 */
static __device__ __forceinline__ void mbi_mix_sums(const struct mbi_mix_task *t,
                                                    struct mbi_scan_token *k)
{
    const struct mbi_mix_room *s = t->room;
    const struct mbi_scan_before *o = &k->before;
    const uint32_t dim = t->dim, width = dim / 2, groups = MBI_DECODE_THREADS / width;
    const uint32_t group = threadIdx.x / width, col = threadIdx.x % width * 2;
    int32_t carried[2] = {0, 0}, inside[2] = {0, 0};

    k->L = (uint32_t)*s->L;
    mbi_scan_token_m(k, t->n);
    if (threadIdx.x / MBI_WARP == MBI_DECODE_WARPS - 1) {
        const int32_t weight = (int32_t)mbi_input_weight((uint32_t)*s->l);
        const int32_t kept = mbi_scan_keep(k->L, k->at->hold);

        if (threadIdx.x % MBI_WARP == 0) {
            *s->weight = weight;
            *s->kept = kept;
        }
    }
#pragma unroll 4
    for (uint32_t row = group; row < t->n; row += groups) {
        struct mbi_scan_row<2> r;

        r.load(o->h16 + row * dim + col);
        carried[0] += k->c[row] * r.at(0);
        carried[1] += k->c[row] * r.at(1);
    }
    *(int2 *)(s->carried + group * dim + col) = {carried[0], carried[1]};
    __syncthreads();
#pragma unroll 4
    for (uint32_t row = group; row < k->i; row += groups) {
        struct mbi_scan_row<2> r;

        r.load(o->xw + row * dim + col);
        inside[0] += k->m[row] * r.at(0);
        inside[1] += k->m[row] * r.at(1);
    }
    *(int2 *)(s->inside + group * dim + col) = {inside[0], inside[1]};
    __syncthreads();
}

/* The token becomes row i of the slots. */
static __device__ __forceinline__ void mbi_mix_keep(const struct mbi_mix_task *t,
                                                    const struct mbi_scan_token *k)
{
    const int32_t weight = *t->room->weight;

    for (uint32_t p = threadIdx.x; p < t->dim; p += MBI_DECODE_THREADS) {
        k->xw[p] = (int16_t)mbi_scan_xw(t->room->x[p], weight);
        k->slot_xw[k->i * k->width + p] = k->xw[p];
    }
    for (uint32_t n = threadIdx.x; t->head == 0 && n < t->n; n += MBI_DECODE_THREADS)
        k->slot_b[(size_t)k->i * t->n + n] = k->b[n];
    if (threadIdx.x == 0)
        k->slot_l[k->i * (size_t)k->at->heads] = k->L;
}

/* Two columns of y. */
static __device__ __forceinline__ int2 mbi_mix_y(const struct mbi_mix_task *t,
                                                 const struct mbi_scan_token *k, uint32_t p)
{
    const struct mbi_mix_room *s = t->room;
    const uint32_t groups = MBI_DECODE_THREADS / (t->dim / 2);
    const int32_t m = k->m[k->i], s_n = mbi_scan_s_n(k->at);
    int32_t inside[2], carried[2] = {0, 0}, y[2];

    inside[0] = m * mbi_scan_xw(s->x[p], *s->weight);
    inside[1] = m * mbi_scan_xw(s->x[p + 1], *s->weight);
    MBI_UNROLL
    for (uint32_t g = 0; g < groups; g++) {
        const int2 a = *(const int2 *)(s->inside + g * t->dim + p);
        const int2 c = *(const int2 *)(s->carried + g * t->dim + p);

        inside[0] += a.x;
        inside[1] += a.y;
        carried[0] += c.x;
        carried[1] += c.y;
    }
    for (int e = 0; e < 2; e++)
        y[e] = mbi_scan_y(inside[e], carried[e], s_n, *s->kept);
    return {y[0], y[1]};
}

/* ---- behind the recurrence ---- */

/* The direct path, the norm of the head and its gate, by one warp: two columns side by side to a
 * lane, four results to a word; HELD times 64 columns. */
template <int HELD>
static __device__ __forceinline__ void mbi_mix_leave(const struct mbi_mix_task *t,
                                                     const struct mbi_scan_token *k,
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
        const bool there = i < dim;
        int2 v = {0, 0};

        if (there && t->near)
            v = mbi_mix_y(t, k, i);
        else if (there)
            v = {mbi_scan_token_y(k, i, *s->kept), mbi_scan_token_y(k, i + 1, *s->kept)};
        y[r][0] = there ? v.x + mbi_clamped(&m->direct, s->x[i] * *s->skip) : 0;
        y[r][1] = there ? v.y + mbi_clamped(&m->direct, s->x[i + 1] * *s->skip) : 0;
        for (int e = 0; e < 2; e++)
            most = mbi_max_i32(most, y[r][e] < 0 ? -1 - y[r][e] : y[r][e]);
    }
    const int b = mbi_norm_headroom(mbi_warp_max(most));

    MBI_UNROLL
    for (uint32_t r = 0; r < HELD; r++)
        MBI_UNROLL
    for (uint32_t e = 0; e < 2; e++) {
        y[r][e] = (int32_t)mbi_rsh_i32(y[r][e], b);
        ss += (uint64_t)(uint32_t)(y[r][e] * y[r][e]); /* at most 2^30 */
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

            g |= (uint32_t)(uint8_t)mbi_clamped(&m->out, yn * s->gz[i + e]) << 8 * e;
        }
        g |= __shfl_xor_sync(MBI_FULL, g, 1) << 16;
        if (lane % 2 == 0 && i < dim)
            mbi_word_put(words + i / 4, (int32_t)g, tag);
    }
}

/* ---- all of it ---- */

/* A head at one token, by a whole block; the mixer's sizes are `dim` and `n`. Behind the next
 * barrier all that it has in shared memory may be written again. */
static __device__ __forceinline__ void mbi_mix_head(struct mbi_mix_task *t, const char *near,
                                                    uint64_t *g, uint32_t g_tag)
{
    const struct mbi_cuda_mixer *m = t->m;
    const struct mbi_mix_room *s = t->room;
    const struct mbi_cuda_scan_layout layout = mbi_cuda_scan_layout(&m->scan);
    struct mbi_scan_token k = mbi_scan_token_at(
        s->scan, &m->scan, &layout, t->run->memory + m->scan_memory, t->run->pos, t->head, s->bc);
    const struct mbi_mix_before before = t->near ? mbi_mix_near(near, m, t->head, k.i, t->dim, t->n)
                                                 : mbi_mix_far(m, t->run, t->head, &k);

    t->before = &before;
    k.before = before.scan;
    mbi_mix_enter(t);
    __syncthreads();
    if (t->near) {
        mbi_mix_sums(t, &k);
    } else {
        if (mbi_scan_token_wide(&m->scan))
            mbi_scan_token_sums<8, 4>(&k, s->x, *s->l, t->head == 0);
        else
            mbi_scan_token_sums<1, 4>(&k, s->x, *s->l, t->head == 0);
        if (threadIdx.x < MBI_WARP)
            *s->kept = mbi_scan_keep(k.L, m->scan.hold);
        __syncwarp();
    }
    if (threadIdx.x < MBI_WARP) {
        if (t->dim <= 2 * MBI_WARP)
            mbi_mix_leave<1>(t, &k, g, g_tag);
        else
            mbi_mix_leave<4>(t, &k, g, g_tag); /* P is at most 256 */
    }
    if (t->near)
        mbi_mix_keep(t, &k);
    if (mbi_scan_token_full(&k)) {
        __syncthreads();
        mbi_scan_token_fold(&k);
    }
}

#endif

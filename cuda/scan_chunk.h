/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels of scan.cu share: where a run's tokens, states and slots lie, chunk by chunk. */
#ifndef MBI_CUDA_SCAN_CHUNK_H
#define MBI_CUDA_SCAN_CHUNK_H

#include "cuda/scan_token.h"

#define MAX_GRID 65535u /* blocks in the second direction */

/* Chunks that a run of at most n tokens can touch. */
static __host__ __device__ inline uint32_t most_chunks(uint32_t chunk, uint32_t n)
{
    return (uint32_t)(((uint64_t)n + 2 * (uint64_t)chunk - 2) / chunk);
}

/*
 * Scratch: h16 i16 [..][H][N][P], an entry for each completed chunk, then slots that
 * `outputs` changes: B i8 [n_runs][Q][N], L u32 [n_runs][Q][H].
 * Runs follow each other, and one of n tokens completes at most n / Q + 1 chunks: entries of run r
 * begin at first / Q + r.
 */
static __host__ __device__ inline size_t h16_entry(const struct mbi_scan_attr *at)
{
    return (size_t)at->heads * (size_t)at->head_dim * (size_t)at->d_state;
}

static inline size_t h16_size(const struct mbi_scan_attr *at, uint32_t n_runs, size_t lanes)
{
    return mbi_align_size((lanes / (size_t)at->chunk + n_runs) * h16_entry(at) * 2, 64);
}

static inline size_t old_b_size(const struct mbi_scan_attr *at, uint32_t n_runs)
{
    return mbi_align_size(n_runs * (size_t)at->chunk * (size_t)at->d_state, 64);
}

/* What every kernel gets. Its grid is slices (P / cut) of heads, chunks, runs. */
struct scan {
    struct mbi_cuda_scan s;
    struct mbi_cuda_scan_layout layout;
    const struct mbi_cuda_run *runs;
    uint32_t most; /* chunks a run can touch */
    uint32_t cut;  /* columns of a head that a block takes, a divisor of P */
    int16_t *h16;
    uint32_t *old_l;
    int8_t *old_b;
};

/* One block's columns of a run: their part of memory and of the scratch. */
struct head {
    uint32_t row0, n, done; /* row of the first token; tokens; chunks it completes */
    uint32_t index;         /* of the head */
    bool first_slice;       /* the one that writes for the whole head */
    size_t lane;            /* of the first token */
    const int8_t *x;        /* of lane 0; a token is H P further */
    const int32_t *l;       /* the same; a token is H further */
    int32_t *y;
    int8_t *slot_b, *old_b;   /* of all heads */
    int16_t *slot_xw;         /* the rest is these columns' */
    uint32_t *slot_l, *old_l; /* of the head */
    int32_t *h;
    int16_t *h16, *h16_work; /* in memory; entry 0 of this run */
};

static __device__ __forceinline__ struct head head_of(const struct scan *k)
{
    const struct mbi_scan_attr *at = &k->s.at;
    const uint32_t q = (uint32_t)at->chunk, dim = (uint32_t)at->head_dim;
    const int log2_q = 31 - __clz(at->chunk);
    const uint32_t heads = (uint32_t)at->heads, run = blockIdx.z;
    const uint32_t head = k->cut == dim ? blockIdx.x : blockIdx.x / (dim / k->cut);
    const uint32_t slice = k->cut == dim ? 0 : blockIdx.x % (dim / k->cut);
    const struct mbi_cuda_run r = k->runs[run];
    const size_t n = (size_t)at->d_state, column = blockIdx.x * (size_t)k->cut;
    const size_t state = head * n * dim + slice * k->cut;
    char *memory = r.memory + k->s.memory;
    struct head o;

    o.row0 = (uint32_t)(r.pos & (q - 1));
    o.n = r.n;
    o.done = (o.row0 + r.n) >> log2_q;
    o.index = head;
    o.first_slice = slice == 0;
    o.lane = r.first;
    o.x = k->s.x + column;
    o.l = k->s.l + head;
    o.y = k->s.y + column;
    o.slot_b = (int8_t *)(memory + k->layout.b);
    o.old_b = k->old_b + (size_t)run * q * n;
    o.slot_xw = (int16_t *)(memory + k->layout.xw) + column;
    o.slot_l = (uint32_t *)(memory + k->layout.sum) + head;
    o.old_l = k->old_l + (size_t)run * q * heads + head;
    o.h = (int32_t *)(memory + k->layout.h) + state;
    o.h16 = (int16_t *)(memory + k->layout.h16) + state;
    o.h16_work = k->h16 + ((r.first >> log2_q) + run) * h16_entry(at) + state;
    return o;
}

/* The slots change when `outputs` runs: keep for its other blocks what they share. */
static __device__ __forceinline__ void keep_old(const struct scan *k, const struct head *o)
{
    const uint32_t n_state = (uint32_t)k->s.at.d_state;
    const size_t heads = (size_t)k->s.at.heads;

    for (uint32_t j = threadIdx.x; o->first_slice && j < o->row0; j += blockDim.x)
        o->old_l[j * heads] = o->slot_l[j * heads];
    for (uint32_t e = threadIdx.x; o->first_slice && !o->index && e < o->row0 * n_state;
         e += blockDim.x)
        o->old_b[e] = o->slot_b[e];
}

/* Rows [begin, end) of chunk c of a run are its tokens, rows before begin are in the slots;
 * `lane` is that of row 0, if it were a token of the run (it may wrap). */
struct part {
    uint32_t begin, end;
    size_t lane;
};

/* Where row j begins in an array of `width` elements for each lane. */
static __device__ __forceinline__ size_t row_at(const struct part *t, uint32_t width, uint32_t j)
{
    return t->lane * width + (uint64_t)j * width;
}

static __device__ __forceinline__ uint32_t width_of(const struct scan *k)
{
    return (uint32_t)k->s.at.heads * (uint32_t)k->s.at.head_dim;
}

static __device__ __forceinline__ struct part part_of(const struct head *o, uint32_t q, uint32_t c)
{
    const uint32_t left = o->row0 + o->n - c * q;
    struct part t;

    t.begin = c ? 0 : o->row0;
    t.end = left < q ? left : q;
    t.lane = o->lane + (size_t)c * q - o->row0;
    return t;
}

/* Shared memory of a chunk's rows: the weights of its tokens, L of all rows, one number more. */
struct rows {
    int32_t *w;
    uint32_t *L;
    int32_t *m;
};

static inline size_t rows_shared(const struct mbi_scan_attr *at) { return (size_t)at->chunk * 12; }

static __device__ __forceinline__ struct rows rows_at(char *shared, uint32_t q)
{
    return {(int32_t *)shared, (uint32_t *)shared + q, (int32_t *)shared + 2 * q};
}

/* l of row j < t->end, or L of an old one, from `slots`. */
static __device__ __forceinline__ uint32_t l_at(const struct scan *k, const struct head *o,
                                                const struct part *t, const uint32_t *slots,
                                                uint32_t j)
{
    const uint32_t heads = (uint32_t)k->s.at.heads;

    return j < t->begin ? slots[(size_t)j * heads] : (uint32_t)o->l[row_at(t, heads, j)];
}

static __device__ __forceinline__ void put_row(const struct rows *r, const struct part *t,
                                               uint32_t j, uint32_t l)
{
    r->w[j] = j < t->begin ? 0 : (int32_t)mbi_input_weight(l);
    r->L[j] = l;
}

/* Rows [0, t->end) are put: sum up L. By the whole block. */
static __device__ __forceinline__ void sum_rows(const struct rows *r, const struct part *t)
{
    __syncthreads();
    if (threadIdx.x < MBI_WARP) {
        uint32_t before = 0;

        for (uint32_t j = threadIdx.x; j - threadIdx.x < t->end; j += MBI_WARP) {
            /* The last old row holds the sum of all of them. */
            const uint32_t l = j < t->end && j + 1 >= t->begin ? r->L[j] : 0;
            const uint32_t L = mbi_warp_prefix_sum(l) + before;

            if (j < t->end && j >= t->begin)
                r->L[j] = L;
            before = __shfl_sync(MBI_FULL, L, MBI_WARP - 1);
        }
    }
    __syncthreads();
}

/* Both, when the last readers of r are done. */
static __device__ __forceinline__ void read_rows(const struct rows *r, const struct scan *k,
                                                 const struct head *o, const struct part *t,
                                                 const uint32_t *slots)
{
    for (uint32_t j = threadIdx.x; j < t->end; j += blockDim.x)
        put_row(r, t, j, l_at(k, o, t, slots, j));
    sum_rows(r, t);
}

static __device__ __forceinline__ int32_t xw_at(const struct rows *r, const struct scan *k,
                                                const struct head *o, const struct part *t,
                                                uint32_t j, uint32_t p)
{
    const uint32_t width = width_of(k);

    return j < t->begin ? o->slot_xw[(size_t)j * width + p]
                        : mbi_scan_xw(o->x[row_at(t, width, j) + p], r->w[j]);
}

/* Row of B; old rows are in `slots`. */
static __device__ __forceinline__ const int8_t *b_at(const struct scan *k, const struct part *t,
                                                     const int8_t *slots, uint32_t j)
{
    const uint32_t n = (uint32_t)k->s.at.d_state;

    return j < t->begin ? slots + (size_t)j * n : k->s.bc + row_at(t, 2 * n, j);
}

/*
 * Put the tokens of the open chunk, the run's last, into the slots. By the block of the run's first
 * chunk, whose rows are in r: no other reads these slots.
 */
static __device__ __forceinline__ void store_rows(const struct rows *r, const struct scan *k,
                                                  const struct head *o)
{
    const struct mbi_scan_attr *at = &k->s.at;
    const uint32_t n_state = (uint32_t)at->d_state, cut = k->cut;
    const struct part open = part_of(o, (uint32_t)at->chunk, o->done);
    const size_t heads = (size_t)at->heads, width = (size_t)at->head_dim * heads;

    if (o->done && open.end) {
        __syncthreads();
        read_rows(r, k, o, &open, NULL);
    }
    for (uint32_t e = open.begin * cut + threadIdx.x; e < open.end * cut; e += blockDim.x)
        o->slot_xw[(size_t)(e / cut) * width + e % cut] =
            (int16_t)xw_at(r, k, o, &open, e / cut, e % cut);
    if (!o->first_slice)
        return;
    for (uint32_t j = open.begin + threadIdx.x; j < open.end; j += blockDim.x)
        o->slot_l[j * heads] = r->L[j];
    for (uint32_t e = open.begin * n_state + threadIdx.x; !o->index && e < open.end * n_state;
         e += blockDim.x)
        o->slot_b[e] = b_at(k, &open, NULL, e / n_state)[e % n_state];
}

#endif

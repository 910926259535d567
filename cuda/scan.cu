/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan on the device: runs are cut where chunks end, and only the states between chunks are made
 * one after the other.
 *
 *   states   a block for each head of a run that completes a chunk: h from chunk to chunk. Leaves
 *            the h16 that every completed chunk began with in `work`, h and h16 after the last of
 *            them in the stream's memory, and in `work` a copy of the slots of B and L.
 *   outputs  a block for each head of each chunk that a run touches: y, and the rows of the chunk
 *            that stays open into the slots.
 *
 * Columns of a head do not depend on each other, so a block may take a slice of them. Nothing that
 * a block of a kernel reads is written by another: blocks of `outputs` read h16 as it was from
 * `work` and as it is from memory; B and L of old tokens from `work` if the run leaves their chunk;
 * xw of old tokens concerns the run's first chunk alone, whose block also writes that of the last.
 *
 * The kernels here take any attributes; those of scan_mma.h the shapes that models have. A run of
 * one token is one block a head, which needs nothing of another: scan_token.h.
 */
#include "cuda/scan_chunk.h"
#include "cuda/scan_mma.h"

size_t mbi_cuda_scan_work(const struct mbi_scan_attr *at, uint32_t n_runs, uint32_t max_n,
                          size_t lanes)
{
    if (max_n <= 1)
        return 0;
    return h16_size(at, n_runs, lanes) + old_b_size(at, n_runs) +
           (size_t)n_runs * (size_t)at->chunk * (size_t)at->heads * 4;
}

/* ---- any attributes ---- */

static __global__ void states_any(struct scan k)
{
    const struct mbi_scan_attr *at = &k.s.at;
    const uint32_t q = (uint32_t)at->chunk, n_state = (uint32_t)at->d_state;
    const uint32_t dim = (uint32_t)at->head_dim;
    const struct head o = head_of(&k);
    const struct rows r = rows_at(mbi_shared(), q);

    if (!o.done)
        return;
    keep_old(&k, &o);
    for (uint32_t c = 0; c < o.done; c++) {
        const struct part t = part_of(&o, q, c);
        int32_t kept;

        __syncthreads();
        read_rows(&r, &k, &o, &t, o.slot_l);
        kept = mbi_scan_keep(r.L[q - 1], at->hold);
        for (uint32_t j = threadIdx.x; j < q; j += blockDim.x)
            r.m[j] = (int32_t)mbi_scan_ex2(r.L[q - 1] - r.L[j]);
        __syncthreads();
        for (uint32_t e = threadIdx.x; e < n_state * dim; e += blockDim.x) {
            int32_t sum = 0, h;

            for (uint32_t j = 0; j < q; j++)
                sum += b_at(&k, &t, o.slot_b, j)[e / dim] *
                       mbi_mulr(xw_at(&r, &k, &o, &t, j, e % dim), r.m[j]);
            h = mbi_scan_fold(o.h[e], kept, sum);
            o.h16_work[c * h16_entry(at) + e] = o.h16[e];
            o.h[e] = h;
            o.h16[e] = (int16_t)mbi_scan_h16(h);
        }
    }
}

/* y of one chunk, whose rows are in r. */
static __device__ void chunk_y(const struct rows *r, const struct scan *k, const struct head *o,
                               const struct part *t, const int16_t *h16)
{
    const struct mbi_scan_attr *at = &k->s.at;
    const uint32_t n_state = (uint32_t)at->d_state, dim = (uint32_t)at->head_dim;
    const int32_t s_n = mbi_scan_s_n(at);

    for (uint32_t i = t->begin; i < t->end; i++) {
        const int8_t *c = b_at(k, t, NULL, i) + n_state;
        const int32_t kept = mbi_scan_keep(r->L[i], at->hold);

        for (uint32_t j = threadIdx.x; j <= i; j += blockDim.x) {
            const int8_t *b = b_at(k, t, o->done ? o->old_b : o->slot_b, j);

            r->m[j] =
                mbi_scan_m(mbi_scan_dot(c, b, at->d_state), s_n, mbi_scan_ex2(r->L[i] - r->L[j]));
        }
        __syncthreads();
        for (uint32_t p = threadIdx.x; p < dim; p += blockDim.x) {
            int32_t inside = 0, carried = 0;

            for (uint32_t j = 0; j <= i; j++)
                inside += r->m[j] * xw_at(r, k, o, t, j, p);
            for (uint32_t n = 0; n < n_state; n++)
                carried += c[n] * h16[n * dim + p];
            o->y[row_at(t, width_of(k), i) + p] = mbi_scan_y(inside, carried, s_n, kept);
        }
        __syncthreads();
    }
}

static __global__ void outputs_any(struct scan k)
{
    const uint32_t q = (uint32_t)k.s.at.chunk;
    const struct head o = head_of(&k);
    const struct rows r = rows_at(mbi_shared(), q);

    for (uint32_t c = blockIdx.y; c * q < o.row0 + o.n; c += gridDim.y) {
        const struct part t = part_of(&o, q, c);

        __syncthreads();
        read_rows(&r, &k, &o, &t, o.done ? o.old_l : o.slot_l);
        chunk_y(&r, &k, &o, &t, c < o.done ? o.h16_work + c * h16_entry(&k.s.at) : o.h16);
        if (c == 0)
            store_rows(&r, &k, &o);
    }
}

/* ---- one token ---- */

/* Ask for what mbi_scan_token() reads, while its inputs are on their way. */
static __device__ __forceinline__ void bring_near(const struct scan *k,
                                                  const struct mbi_cuda_run *r, uint32_t head)
{
    enum { LINE = 64 }; /* elements */
    const uint32_t dim = (uint32_t)k->s.at.head_dim, state = dim * (uint32_t)k->s.at.d_state;
    const char *memory = r->memory + k->s.memory;
    const int16_t *h16 = (const int16_t *)(memory + k->layout.h16) + (size_t)head * state;
    const int16_t *xw = (const int16_t *)(memory + k->layout.xw) + (size_t)head * dim;
    const uint32_t i = (uint32_t)(r->pos & (uint64_t)(k->s.at.chunk - 1));

    for (uint32_t e = threadIdx.x * LINE; e < state; e += blockDim.x * LINE)
        mbi_prefetch(h16 + e);
    for (uint32_t j = threadIdx.x; j < i; j += blockDim.x)
        mbi_prefetch(xw + (size_t)j * width_of(k));
}

static __global__ void __launch_bounds__(128, 5) one_token(struct scan k)
{
    const struct mbi_scan_attr *at = &k.s.at;
    const uint32_t n = (uint32_t)at->d_state, dim = (uint32_t)at->head_dim;
    const uint32_t heads = (uint32_t)at->heads;
    const uint32_t head = blockIdx.x % heads;
    const struct mbi_cuda_run r = k.runs[blockIdx.x / heads];
    const size_t lane = r.first;
    int32_t *y = (int32_t *)mbi_shared();
    int8_t *x = (int8_t *)(y + dim), *bc = (int8_t *)(y + mbi_align_size(dim + dim / 4 + 1, 4));

    bring_near(&k, &r, head);
    for (uint32_t e = threadIdx.x; e < dim; e += blockDim.x)
        x[e] = k.s.x[(lane * heads + head) * dim + e];
    for (uint32_t e = threadIdx.x; e < 2 * n; e += blockDim.x)
        bc[e] = k.s.bc[lane * 2 * n + e];
    __syncthreads();
    mbi_scan_token((char *)bc + mbi_align_size(2 * n, 16), at, &k.layout, r.memory + k.s.memory,
                   r.pos, head, x, bc, k.s.l[lane * heads + head], y, head == 0);
    for (uint32_t e = threadIdx.x; e < dim; e += blockDim.x)
        k.s.y[(lane * heads + head) * dim + e] = y[e];
}

static size_t one_token_shared(const struct mbi_scan_attr *at)
{
    const size_t dim = (size_t)at->head_dim;

    return mbi_align_size(dim + dim / 4 + 1, 4) * 4 + mbi_align_size(2 * (size_t)at->d_state, 16) +
           mbi_scan_token_shared(at);
}

static cudaError_t scan_any(const struct scan *k, uint32_t n_runs, cudaStream_t stream)
{
    const unsigned block = 128, heads = (unsigned)k->s.at.heads;
    const size_t shared = rows_shared(&k->s.at);
    const cudaError_t e = mbi_launch(states_any, dim3(heads, 1, n_runs), block, shared, stream, *k);

    return e != cudaSuccess
               ? e
               : mbi_launch(outputs_any,
                            dim3(heads, k->most < MAX_GRID ? k->most : MAX_GRID, n_runs), block,
                            shared, stream, *k);
}

static struct scan scan_of(const struct mbi_cuda_scan *s, const struct mbi_cuda_run *runs,
                           uint32_t n_runs, uint32_t max_n, size_t lanes, void *work)
{
    const struct mbi_scan_attr *at = &s->at;
    struct scan k = {};

    k.s = *s;
    k.layout = mbi_cuda_scan_layout(at);
    k.runs = runs;
    k.most = most_chunks((uint32_t)at->chunk, max_n);
    k.cut = (uint32_t)at->head_dim;
    if (max_n <= 1)
        return k;
    k.h16 = (int16_t *)work;
    k.old_b = (int8_t *)work + h16_size(at, n_runs, lanes);
    k.old_l = (uint32_t *)(k.old_b + old_b_size(at, n_runs));
    return k;
}

cudaError_t mbi_cuda_scan(const struct mbi_cuda_scan *s, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, size_t lanes, void *work,
                          cudaStream_t stream)
{
    const struct scan k = scan_of(s, runs, n_runs, max_n, lanes, work);

    if (max_n <= 1)
        return mbi_launch(one_token, dim3(n_runs * (unsigned)s->at.heads), 128,
                          one_token_shared(&s->at), stream, k);
    return scan_mma_takes(s) && k.most <= MAX_GRID ? scan_mma(&k, n_runs, stream)
                                                   : scan_any(&k, n_runs, stream);
}

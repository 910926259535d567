/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler on the device: the walks of sample/choose.h by all threads of a block. */
#include "cuda/draw.h"
#include <string.h>

#define MBI_CHOOSE static __device__
extern "C" {
#include "sample/choose.h"
}

#ifdef MBI_EMULATE
#define THREADS 64
#else
#define THREADS 1024
#endif
#define WARPS (THREADS / MBI_WARP)
#define KEEPERS 8 /* blocks that put the logits of a stream away while one draws */

/* Shared memory: parts of two sums, a word for every warp, and three that a block agrees on. */
#define SPACE ((2 * MBI_PARTS + WARPS + 3) * sizeof(uint64_t))

static __device__ __forceinline__ uint64_t *warp_words(void)
{
    return (uint64_t *)mbi_shared() + 2 * MBI_PARTS;
}

static __device__ __forceinline__ uint64_t *agreed(void) { return warp_words() + WARPS; }

static __device__ __forceinline__ uint64_t warp_sum(uint64_t v)
{
    for (int d = MBI_WARP / 2; d; d /= 2)
        v += (uint64_t)__shfl_xor_sync(MBI_FULL, (unsigned long long)v, d);
    return v;
}

/* Sum over the lanes up to this one. */
static __device__ __forceinline__ uint64_t warp_prefix(uint64_t v)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;

    for (unsigned d = 1; d < MBI_WARP; d *= 2) {
        const uint64_t before = (uint64_t)__shfl_up_sync(MBI_FULL, (unsigned long long)v, d);

        v += lane >= d ? before : 0;
    }
    return v;
}

/* use(id, logit) for all of a vocabulary, a thread's share of it; some are on their way at a time. */
template <class F>
static __device__ __forceinline__ void each_logit(const int32_t *z, size_t n, F use)
{
    for (size_t begin = threadIdx.x; begin < n; begin += 8 * THREADS) {
        int32_t v[8];

        MBI_UNROLL
        for (uint32_t k = 0; k < 8; k++)
            v[k] = begin + k * THREADS < n ? z[begin + k * THREADS] : 0;
        MBI_UNROLL
        for (uint32_t k = 0; k < 8; k++)
            if (begin + k * THREADS < n)
                use(begin + k * THREADS, v[k]);
    }
}

/* ---- sums along the order; every thread of the block calls them ---- */

/* Sums may be made in any order: they are exact. */
static __device__ void mbi_sums_fill(const struct mbi_sums *s, const struct mbi_field *f, bool ones)
{
    __syncthreads(); /* who still reads the parts */
    for (uint32_t k = threadIdx.x; k < MBI_PARTS; k += THREADS)
        s->part[k] = 0;
    __syncthreads();
    each_logit(f->z, f->n, [&](size_t, int32_t z) {
        const uint64_t at = (uint32_t)(f->best - z) - s->lo; /* wraps around below lo */

        if (at < s->size)
            atomicAdd((unsigned long long *)&s->part[at >> s->shift],
                      (unsigned long long)(ones ? 1 : mbi_field_weight(f, s->lo + at)));
    });
    __syncthreads();
}

static __device__ uint64_t mbi_sums_total(const struct mbi_sums *s)
{
    uint64_t total = 0;

    if (threadIdx.x < MBI_WARP) {
        for (uint32_t k = threadIdx.x; k < MBI_PARTS; k += MBI_WARP)
            total += s->part[k];
        total = warp_sum(total);
        if (!threadIdx.x)
            agreed()[0] = total;
    }
    __syncthreads();
    total = agreed()[0];
    __syncthreads();
    return total;
}

/* One warp goes over the parts, 32 at a time. */
static __device__ uint32_t mbi_sums_part(uint64_t *before, uint64_t *here, const struct mbi_sums *s,
                                         uint64_t goal)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;
    uint64_t *const word = agreed();

    if (threadIdx.x < MBI_WARP) {
        uint64_t sum = *before, v = 0, upto = 0;
        uint32_t k = 0, reached = 0;

        for (; k < MBI_PARTS && !reached; k += MBI_WARP) {
            v = s->part[k + lane];
            upto = sum + warp_prefix(v);
            reached = __ballot_sync(MBI_FULL, upto >= goal);
            sum = (uint64_t)__shfl_sync(MBI_FULL, (unsigned long long)upto, MBI_WARP - 1);
        }
        if (reached && lane == (uint32_t)__ffs((int)reached) - 1) {
            word[0] = upto - v;
            word[1] = v;
            word[2] = k - MBI_WARP + lane;
        }
    }
    __syncthreads();
    const uint32_t part = (uint32_t)word[2];

    *before = word[0];
    *here = word[1];
    __syncthreads();
    return part;
}

/* Every warp has a piece of the vocabulary: they count, and the one that has the id finds it. */
static __device__ int32_t mbi_field_nth(const struct mbi_field *f, int32_t z, uint64_t nth)
{
    const uint32_t warp = threadIdx.x / MBI_WARP, lane = threadIdx.x % MBI_WARP;
    const size_t each = (f->n + THREADS - 1) / THREADS * MBI_WARP;
    const size_t begin = warp * each, end = mbi_min_size(begin + each, f->n);
    uint64_t *const count = warp_words();
    uint64_t mine = 0, before = 0;

    for (size_t i = begin; i < end; i += MBI_WARP)
        mine += (uint64_t)__popc(__ballot_sync(MBI_FULL, i + lane < end && f->z[i + lane] == z));
    if (!lane)
        count[warp] = mine;
    __syncthreads();
    for (uint32_t w = 0; w < warp; w++)
        before += count[w];
    if (before < nth && before + mine >= nth)
        for (size_t i = begin; i < end && before < nth; i += MBI_WARP) {
            uint32_t equal = __ballot_sync(MBI_FULL, i + lane < end && f->z[i + lane] == z);

            for (; equal && before < nth; equal &= equal - 1)
                if (++before == nth && !lane)
                    agreed()[0] = i + (uint32_t)__ffs((int)equal) - 1;
        }
    __syncthreads();
    const int32_t id = (int32_t)agreed()[0];

    __syncthreads();
    return id;
}

static __device__ int32_t best_of(const int32_t *z, size_t n)
{
    uint64_t *const word = warp_words();
    int32_t best = INT32_MIN;

    each_logit(z, n, [&](size_t, int32_t v) { best = mbi_max_i32(best, v); });
    best = mbi_warp_max(best);
    if (threadIdx.x % MBI_WARP == 0)
        word[threadIdx.x / MBI_WARP] = (uint32_t)best;
    __syncthreads();
    for (uint32_t w = 0; w < WARPS; w++)
        best = mbi_max_i32(best, (int32_t)(uint32_t)word[w]);
    __syncthreads();
    return best;
}

/* ---- a draw ---- */

/* Ids may be recent twice: each is set from its logit, so the penalty is subtracted once. */
static __device__ void penalise(const struct mbi_cuda_drawing *d, const int32_t *z, uint32_t vocab,
                                uint64_t pos, uint32_t n_recent)
{
    each_logit(z, vocab, [&](size_t i, int32_t v) { d->work[i] = v; });
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n_recent; i += THREADS) {
        const int32_t id = d->history[(pos - 1 - i) % MBI_RECENT_MAX];

        d->work[id] = z[id] - d->set.repeat_penalty;
    }
    __syncthreads();
}

/* The token of position `pos`. */
static __device__ int32_t draw(const struct mbi_cuda_choice *c, const struct mbi_cuda_drawing *d,
                               const int32_t *z, uint32_t stream, uint64_t pos)
{
    uint64_t *const part = (uint64_t *)mbi_shared();
    const uint32_t n_recent =
        (uint32_t)mbi_min_u64(mbi_min_size(d->repeat_last, MBI_RECENT_MAX), pos);
    const bool penalised = d->set.repeat_penalty && n_recent;
    struct mbi_sums s = {part, 0, 0, 0}, finer = {part + MBI_PARTS, 0, 0, 0};
    struct mbi_field f = {z, c->vocab, 0, 0};

    if (!d->set.temperature && !penalised && c->argmax)
        return c->argmax[stream];
    if (penalised) {
        penalise(d, z, c->vocab, pos, n_recent);
        f.z = d->work;
    }
    f.best = best_of(f.z, f.n);
    return mbi_choose(&f, &s, &finer, &d->set, pos);
}

/* The row of a position is the one that nobody reads any more. */
static __device__ void keep(const struct mbi_cuda_drawing *d, const int32_t *z, uint32_t vocab,
                            uint64_t pos, uint32_t part)
{
    const uint32_t begin = (uint32_t)((uint64_t)vocab * part / KEEPERS);
    const uint32_t end = (uint32_t)((uint64_t)vocab * (part + 1) / KEEPERS);
    int32_t *const row = d->rows + (size_t)(pos % MBI_ROWS) * vocab + begin;

    each_logit(z + begin, end - begin, [&](size_t i, int32_t v) { row[i] = v; });
}

/* Blocks of one column are a stream: the first draws, and tells the next step token and position;
 * the others keep the logits. What they all read is written by none of them. */
static __global__ void __launch_bounds__(THREADS) choose_kernel(struct mbi_cuda_choice c)
{
    struct mbi_cuda_batch *const b = c.batch;
    const uint32_t stream = blockIdx.x;
    struct mbi_cuda_drawing *const d = &b->drawing[stream];
    const int32_t *const z = c.logits + (size_t)stream * c.vocab;
    const uint64_t pos = d->pos + c.step;

    if (!b->live[c.step])
        return;
    if (blockIdx.y) {
        keep(d, z, c.vocab, pos, blockIdx.y - 1);
        return;
    }
    const int32_t id = draw(&c, d, z, stream, pos + 1);

    __syncthreads();
    if (threadIdx.x)
        return;
    b->next[stream] = id;
    b->ids[stream * c.n_steps + c.step] = id;
    d->history[(pos + 1) % MBI_RECENT_MAX] = id;
    c.runs[stream].pos = pos + 1;
    d->stopped |= id == b->stop[0] || id == b->stop[1];
    if (!d->stopped)
        atomicAdd(&b->live[c.step + 1], 1u);
}

cudaError_t mbi_cuda_choose(const struct mbi_cuda_choice *c, uint32_t streams, cudaStream_t stream)
{
    return mbi_launch(choose_kernel, dim3(streams, 1 + KEEPERS), THREADS, SPACE, stream, *c);
}

void mbi_cuda_fill_batch(struct mbi_cuda_batch *to, const struct mbi_draws *draws, bool early)
{
    memset(to->live, 0, sizeof(to->live));
    to->live[0] = (uint32_t)draws->n_draws;
    for (uint32_t i = 0; i < MBI_DRAW_STOPS; i++)
        to->stop[i] = early ? draws->stop[i] : -1;
    for (size_t k = 0; k < draws->n_draws; k++) {
        const struct mbi_draw *from = &draws->draw[k];
        struct mbi_cuda_drawing *d = &to->drawing[k];

        d->set = *from->sampler;
        d->rows = from->rows->device;
        d->work = d->rows + MBI_ROWS * from->rows->vocab;
        d->pos = from->pos;
        d->repeat_last = from->repeat_last;
        d->stopped = 0;
        memcpy(d->history, from->history, sizeof(d->history));
        d->history[from->pos % MBI_RECENT_MAX] = from->id;
    }
}

/* ---- rows ---- */

extern "C" void mbi_cuda_rows_free(struct mbi_rows *rows)
{
    if (!rows)
        return;
    cudaFree(rows->device);
    mbi_cuda_free(rows->host, rows);
}

extern "C" int32_t mbi_cuda_rows_new(struct mbi_rows **out, const struct mbi_program *program,
                                     mambaint_error *err)
{
    const struct mbi_graph *g = program->graph;
    struct mbi_rows *rows = (struct mbi_rows *)mbi_cuda_alloc(program->host, 1, sizeof(*rows));
    cudaError_t e;

    *out = NULL;
    if (!rows)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a stream's logits");
    rows->host = program->host;
    rows->vocab = g->node[g->logits].type.cols;
    e = cudaMalloc((void **)&rows->device, (MBI_ROWS + 1) * rows->vocab * sizeof(*rows->device));
    if (e != cudaSuccess) {
        mbi_cuda_rows_free(rows);
        return mbi_cuda_check(e, err, "room for a stream's logits");
    }
    *out = rows;
    return MAMBAINT_OK;
}

extern "C" int32_t mbi_cuda_rows_read(int32_t *logits, const struct mbi_rows *rows, uint64_t pos,
                                      mambaint_error *err)
{
    cudaError_t e =
        cudaMemcpyAsync(logits, rows->device + (size_t)(pos % MBI_ROWS) * rows->vocab,
                        rows->vocab * sizeof(*logits), cudaMemcpyDeviceToHost, MBI_STREAM);

    if (e == cudaSuccess)
        e = cudaStreamSynchronize(MBI_STREAM);
    return mbi_cuda_check(e, err, "fetching logits");
}

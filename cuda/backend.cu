/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA backend: its vtable, and a run from the upload of the tokens to the last launch. */
#include "cuda/backend.h"
#include "cuda/decode.h"
#include "cuda/draw.h"
#include "cuda/mixer.h"
#include <string.h>
#include <time.h>

/* ---- what a module cannot take from the library ---- */

int32_t mbi_cuda_check(cudaError_t e, mambaint_error *err, const char *doing)
{
    if (e == cudaSuccess)
        return MAMBAINT_OK;
    cudaGetLastError(); /* or the next start of a kernel would report it again */
    if (e == cudaErrorMemoryAllocation)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY,
                               "cuda: the device has too little memory: %s", doing);
    return mbi_module_fail(err, MAMBAINT_E_INTERNAL, "cuda: %s failed: %s", doing,
                           cudaGetErrorString(e));
}

void *mbi_cuda_alloc(const struct mbi_host *host, size_t n, size_t size)
{
    void *p;
    size_t all;

    if (!mbi_mul_size(&all, n, size) || !(p = host->alloc(host->alloc_user, NULL, all ? all : 1)))
        return NULL;
    return memset(p, 0, all);
}

void mbi_cuda_free(const struct mbi_host *host, void *p)
{
    if (p)
        host->alloc(host->alloc_user, p, 0);
}

size_t mbi_cuda_row_size(const struct mbi_type *t)
{
    switch (t->dtype) {
    case MBI_TERNARY:
        return ((size_t)t->cols + 3) / 4;
    case MBI_I8:
        return t->cols;
    case MBI_I16:
        return (size_t)t->cols * 2;
    case MBI_I32:
        return (size_t)t->cols * 4;
    default:
        return (size_t)t->cols * 8;
    }
}

uint32_t mbi_cuda_inputs(uint32_t op)
{
    switch (op) {
#define OP_INPUTS(num, name, n_in)                                                                 \
    case num:                                                                                      \
        return n_in;
        MBI_OP_LIST(OP_INPUTS)
#undef OP_INPUTS
    default:
        return 0;
    }
}

bool mbi_cuda_is_param(const struct mbi_node *node)
{
    return !node->op && node->leaf == MBI_LEAF_PARAM;
}

/* ---- one step ---- */

struct shape {
    uint32_t n_runs, lanes, max_n, out_lanes;
};

static cudaError_t run_scan(struct mbi_image *image, const struct mbi_cuda_node *n,
                            const struct shape *sh, cudaStream_t stream)
{
    struct mbi_cuda_scan scan;

    memcpy(&scan.at, n->attr, sizeof(scan.at));
    scan.memory = n->memory;
    scan.x = (const int8_t *)n->in[0];
    scan.bc = (const int8_t *)n->in[1];
    scan.l = (const int32_t *)n->in[2];
    scan.y = (int32_t *)n->out;
    return mbi_cuda_scan(&scan, image->runs, sh->n_runs, sh->max_n, sh->lanes, image->work, stream);
}

static cudaError_t run_node(struct mbi_image *image, const struct mbi_cuda_node *n,
                            const struct shape *sh, uint32_t lanes, cudaStream_t stream)
{
    switch (n->op) {
    case MBI_OP_norm_rms:
    case MBI_OP_norm_shift:
        return mbi_cuda_norm(n, lanes, stream);
    case MBI_OP_argmax:
        return mbi_cuda_argmax(n, lanes, stream);
    case MBI_OP_conv:
        return mbi_cuda_conv(n, image->runs, sh->n_runs, sh->max_n, stream);
    case MBI_OP_turn:
        return mbi_cuda_turn(n, image->runs, sh->n_runs, sh->max_n, stream);
    case MBI_OP_scan:
        return run_scan(image, n, sh, stream);
    default:
        return mbi_cuda_pointwise(n, lanes, stream);
    }
}

static cudaError_t run_step(struct mbi_image *image, const struct mbi_cuda_step *step,
                            const struct shape *sh, uint32_t lanes, cudaStream_t stream)
{
    switch (step->kind) {
    case MBI_STEP_MATMUL:
        return mbi_cuda_matmul(&step->matrix, step->node.in[0], step->node.in_dtype[0], lanes,
                               &step->finish, &step->kept, stream);
    case MBI_STEP_ENTER:
        return mbi_cuda_mixer_enter(step->mixer, step->values, image->runs, sh->n_runs, sh->max_n,
                                    stream);
    case MBI_STEP_LEAVE:
        return mbi_cuda_mixer_leave(step->mixer, step->values, lanes, stream);
    default:
        return run_node(image, &step->node, sh, lanes, stream);
    }
}

/* ---- from the body to the tail ---- */

/* A thread moves four bytes of the last lane of each run to the front, run by run: a row that one
 * run goes to may be the row that a run before it comes from. */
static __global__ void gather_kernel(char *value, size_t row, const struct mbi_cuda_run *runs,
                                     uint32_t n_runs)
{
    const size_t begin = 4 * (blockIdx.x * (size_t)blockDim.x + threadIdx.x);

    for (size_t i = begin; i < mbi_min_size(begin + 4, row); i++)
        for (uint32_t r = 0; r < n_runs; r++)
            value[r * row + i] = value[(runs[r].first + (size_t)runs[r].n - 1) * row + i];
}

static cudaError_t gather_last(struct mbi_image *image, const struct shape *sh, cudaStream_t stream)
{
    const struct mbi_program *p = image->program;
    cudaError_t e = cudaSuccess;

    for (mbi_ref i = 0; i < p->graph->n_nodes && e == cudaSuccess; i++) {
        const size_t row = p->value[i].row_size;

        if (p->value[i].crosses)
            e = mbi_launch(gather_kernel, dim3((unsigned)((row + 511) / 512)), 128, 0, stream,
                           image->scratch + p->value[i].offset, row, image->runs, sh->n_runs);
    }
    return e;
}

/* ---- a run ---- */

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const char *op_name(uint32_t op)
{
    switch (op) {
#define OP_NAME(num, name, n_in)                                                                   \
    case num:                                                                                      \
        return #name;
        MBI_OP_LIST(OP_NAME)
#undef OP_NAME
    default:
        return "-";
    }
}

static const char *step_name(const struct mbi_cuda_step *step)
{
    switch (step->kind) {
    case MBI_STEP_ENTER:
        return "conv .. decay";
    case MBI_STEP_LEAVE:
        return "norm .. gate";
    default:
        return op_name(step->node.op);
    }
}

static cudaError_t run_steps(struct mbi_image *image, const struct shape *sh, cudaStream_t stream)
{
    cudaError_t e = cudaSuccess;

    for (uint32_t s = 0; s < image->n_steps && e == cudaSuccess; s++) {
        const uint64_t begin = image->profiling ? now() : 0;

        if (s == image->n_body && sh->out_lanes < sh->lanes)
            e = gather_last(image, sh, stream);
        if (e == cudaSuccess)
            e = run_step(image, &image->step[s], sh, s < image->n_body ? sh->lanes : sh->out_lanes,
                         stream);
        if (image->profiling && e == cudaSuccess) {
            e = cudaStreamSynchronize(stream);
            mbi_profile_add(image->profile, step_name(&image->step[s]), now() - begin);
        }
    }
    return e;
}

static bool same_shape(const struct mbi_cuda_recorded *r, const struct shape *sh)
{
    return r->n_runs == sh->n_runs && r->lanes == sh->lanes && r->max_n == sh->max_n &&
           r->out_lanes == sh->out_lanes;
}

static void forget(struct mbi_cuda_recorded *r)
{
    if (r->exec)
        cudaGraphExecDestroy(r->exec);
    r->exec = NULL;
}

void mbi_cuda_forget_records(struct mbi_image *image)
{
    for (uint32_t i = 0; i < MBI_RECORDED; i++) {
        forget(&image->recorded[i]);
        image->recorded[i].lanes = 0;
    }
}

/* The entry of a shape; a shape that is new takes the place of the one that came longest ago. */
static struct mbi_cuda_recorded *entry_of(struct mbi_image *image, const struct shape *sh,
                                          bool *seen)
{
    struct mbi_cuda_recorded *r;

    for (uint32_t i = 0; i < MBI_RECORDED; i++)
        if (image->recorded[i].lanes && same_shape(&image->recorded[i], sh)) {
            *seen = true;
            return &image->recorded[i];
        }
    *seen = false;
    r = &image->recorded[image->next_record++ % MBI_RECORDED];
    forget(r);
    *r = {sh->n_runs, sh->lanes, sh->max_n, sh->out_lanes, NULL};
    return r;
}

/* Without a record the steps are started one by one, so a failure here is none. */
static void record(struct mbi_image *image, struct mbi_cuda_recorded *r, const struct shape *sh)
{
    cudaGraph_t graph = NULL;
    cudaError_t e, end;

    if (cudaStreamBeginCapture(image->recorder, cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
        e = run_steps(image, sh, image->recorder);
        end = cudaStreamEndCapture(image->recorder, &graph);
        if (e != cudaSuccess || end != cudaSuccess ||
            cudaGraphInstantiate(&r->exec, graph, 0) != cudaSuccess)
            r->exec = NULL;
    }
    if (graph)
        cudaGraphDestroy(graph);
    if (!r->exec)
        cudaGetLastError();
}

static bool decodes(const struct mbi_image *image, const struct shape *sh)
{
    return !image->profiling && image->decode && sh->max_n == 1 && sh->lanes == sh->out_lanes &&
           sh->lanes == sh->n_runs && mbi_cuda_decode_takes(image->decode, sh->lanes);
}

/* Steps of a shape that was seen before are recorded, and started as a whole. */
static cudaError_t run_or_replay(struct mbi_image *image, const struct shape *sh)
{
    struct mbi_cuda_recorded *r;
    bool seen;

    if (image->profiling)
        return run_steps(image, sh, MBI_STREAM);
    if (decodes(image, sh))
        return mbi_cuda_decode_run(image->decode, image, sh->lanes, NULL, NULL);
    r = entry_of(image, sh, &seen);
    if (seen && !r->exec)
        record(image, r, sh);
    return r->exec ? cudaGraphLaunch(r->exec, MBI_STREAM) : run_steps(image, sh, MBI_STREAM);
}

/* The recurrence's scratch grows with the longest run; what was recorded points at the old one. */
static cudaError_t make_work(struct mbi_image *image, const struct shape *sh)
{
    size_t size = 0;

    for (uint32_t s = 0; s < image->n_steps; s++)
        if (image->step[s].node.op == MBI_OP_scan) {
            struct mbi_scan_attr at;

            memcpy(&at, image->step[s].node.attr, sizeof(at));
            size = mbi_max_size(size, mbi_cuda_scan_work(&at, sh->n_runs, sh->max_n, sh->lanes));
        }
    if (size <= image->work_size)
        return cudaSuccess;
    cudaStreamSynchronize(MBI_STREAM);
    mbi_cuda_forget_records(image);
    cudaFree(image->work);
    image->work = NULL;
    image->work_size = 0;
    const cudaError_t e = cudaMalloc(&image->work, size);

    if (e == cudaSuccess)
        image->work_size = size;
    return e;
}

/* Runs and inputs, one copy to the device; then the inputs to where value 0 lies. */
static cudaError_t send(struct mbi_image *image, const struct mbi_batch *batch, uint32_t lanes)
{
    const struct mbi_program *p = image->program;
    const size_t row = p->value[0].row_size, head = batch->n_runs * sizeof(struct mbi_cuda_run);
    struct mbi_cuda_run *runs = (struct mbi_cuda_run *)image->upload;
    uint32_t first = 0;
    cudaError_t e;

    if (image->pending && (e = cudaStreamSynchronize(MBI_STREAM)) != cudaSuccess)
        return e;
    for (size_t r = 0; r < batch->n_runs; r++) {
        const struct mbi_run *run = &batch->run[r];

        runs[r] = {run->memory->device, run->pos, first, (uint32_t)run->n};
        memcpy(image->upload + head + first * row, run->in, run->n * row);
        first += (uint32_t)run->n;
    }
    image->pending = true;
    e = cudaMemcpyAsync(image->runs, image->upload, head + lanes * row, cudaMemcpyHostToDevice,
                        MBI_STREAM);
    if (e != cudaSuccess)
        return e;
    return cudaMemcpyAsync(image->scratch + p->value[0].offset, (char *)image->runs + head,
                           lanes * row, cudaMemcpyDeviceToDevice, MBI_STREAM);
}

#define MOST_RUNS 65535 /* the second and third dimension of a grid */

static int32_t take_shape(struct shape *sh, const struct mbi_image *image,
                          const struct mbi_batch *batch, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    size_t lanes = 0, max_n = 0;

    if (batch->n_runs > MOST_RUNS)
        return mbi_module_fail(err, MAMBAINT_E_UNSUPPORTED,
                               "cuda: a run of %zu streams; no more than %d at a time",
                               batch->n_runs, MOST_RUNS);

    for (size_t r = 0; r < batch->n_runs; r++) {
        if (batch->run[r].n > p->lanes - lanes)
            return mbi_module_fail(err, MAMBAINT_E_INTERNAL,
                                   "more tokens than the program has lanes");
        lanes += batch->run[r].n;
        max_n = mbi_max_size(max_n, batch->run[r].n);
    }
    *sh = {(uint32_t)batch->n_runs, (uint32_t)lanes, (uint32_t)max_n,
           (uint32_t)(batch->all_outputs || p->keep ? lanes : batch->n_runs)};
    if (sh->out_lanes > p->out_lanes)
        return mbi_module_fail(err, MAMBAINT_E_INTERNAL,
                               "more outputs than the program has room for");
    return MAMBAINT_OK;
}

/* Before a run: its shape, and memories that hold what was written to them. */
static int32_t prepare(struct shape *sh, struct mbi_image *image, const struct mbi_batch *batch,
                       mambaint_error *err)
{
    int32_t rc = take_shape(sh, image, batch, err);

    image->fetched = false;
    image->out_lanes = 0;
    for (size_t r = 0; r < batch->n_runs && rc >= 0; r++)
        rc = mbi_cuda_memory_settle(batch->run[r].memory, batch->run[r].pos, err);
    return rc;
}

/* After it: where the memories are, `by` tokens further each, or lost. */
static void conclude(struct mbi_image *image, const struct mbi_batch *batch, const struct shape *sh,
                     size_t by, bool started, cudaError_t e)
{
    for (size_t r = 0; r < batch->n_runs; r++) {
        struct mbi_memory *m = batch->run[r].memory;

        m->lost |= started && e != cudaSuccess;
        m->pos = batch->run[r].pos + (e == cudaSuccess ? by * batch->run[r].n : 0);
        m->ran |= e == cudaSuccess;
    }
    if (e == cudaSuccess)
        image->out_lanes = sh->out_lanes;
}

static int32_t cuda_run(struct mbi_image *image, const struct mbi_batch *batch, mambaint_error *err)
{
    struct shape sh;
    const int32_t rc = prepare(&sh, image, batch, err);
    bool started = false;
    cudaError_t e;

    if (rc < 0)
        return rc;
    if ((e = make_work(image, &sh)) == cudaSuccess &&
        (e = send(image, batch, sh.lanes)) == cudaSuccess) {
        started = true;
        e = run_or_replay(image, &sh);
    }
    if (e == cudaSuccess && image->program->keep) {
        e = cudaStreamSynchronize(MBI_STREAM);
        image->pending = false;
    }
    conclude(image, batch, &sh, 1, started, e);
    return mbi_cuda_check(e, err, "a run");
}

/* ---- drawing ---- */

static cudaError_t make_batch(struct mbi_image *image)
{
    cudaError_t e = cudaSuccess;

    if (!image->batch)
        e = cudaMalloc((void **)&image->batch, sizeof(*image->batch));
    if (e == cudaSuccess && !image->batch_upload)
        e = cudaHostAlloc((void **)&image->batch_upload, sizeof(*image->batch_upload),
                          cudaHostAllocDefault);
    return e;
}

/* The step behind a draw finds its tokens in the batch. */
static cudaError_t run_drawn(struct mbi_image *image, const struct shape *sh, uint32_t step)
{
    struct mbi_cuda_batch *const b = image->batch;
    cudaError_t e = cudaSuccess;

    if (decodes(image, sh))
        return mbi_cuda_decode_run(image->decode, image, sh->lanes, &b->live[step],
                                   step ? b->next : NULL);
    if (step)
        e = cudaMemcpyAsync(image->scratch + image->program->value[0].offset, b->next,
                            sh->lanes * sizeof(*b->next), cudaMemcpyDeviceToDevice, MBI_STREAM);
    return e == cudaSuccess ? run_or_replay(image, sh) : e;
}

/* A token of each stream through the model, and the draw of the next. */
static cudaError_t draw_step(struct mbi_image *image, const struct shape *sh, uint32_t step,
                             uint32_t n_steps)
{
    const struct mbi_program *p = image->program;
    const struct mbi_graph *g = p->graph;
    const cudaError_t e = run_drawn(image, sh, step);
    struct mbi_cuda_choice c = {};

    c.batch = image->batch;
    c.runs = image->runs;
    c.logits = (const int32_t *)(image->scratch + p->value[g->logits].offset);
    if (g->argmax != MBI_NONE)
        c.argmax = (const int32_t *)(image->scratch + p->value[g->argmax].offset);
    c.vocab = g->node[g->logits].type.cols;
    c.step = step;
    c.n_steps = n_steps;
    return e == cudaSuccess ? mbi_cuda_choose(&c, sh->lanes, MBI_STREAM) : e;
}

/* All steps, one behind the other; the host waits for the tokens alone. */
static cudaError_t draw_steps(struct mbi_image *image, const struct shape *sh,
                              const struct mbi_draws *draws)
{
    struct mbi_cuda_batch *const up = image->batch_upload;
    const size_t ids = draws->n_draws * draws->n_steps * sizeof(*up->ids);
    cudaError_t e;

    mbi_cuda_fill_batch(up, draws, decodes(image, sh));
    e = cudaMemcpyAsync(image->batch, up, sizeof(*up), cudaMemcpyHostToDevice, MBI_STREAM);
    for (uint32_t i = 0; i < draws->n_steps && e == cudaSuccess; i++)
        e = draw_step(image, sh, i, (uint32_t)draws->n_steps);
    if (e == cudaSuccess)
        e = cudaMemcpyAsync(up->ids, image->batch->ids, ids, cudaMemcpyDeviceToHost, MBI_STREAM);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(MBI_STREAM);
    image->pending = false;
    return e;
}

/* Steps up to the one with which every stream had drawn a stop, where the device ends there. */
static size_t steps_made(const int32_t *ids, const struct mbi_draws *draws, bool early)
{
    size_t made = early ? 0 : draws->n_steps;

    for (size_t d = 0; d < draws->n_draws; d++) {
        size_t i = 0;

        while (i < draws->n_steps && ids[d * draws->n_steps + i] != draws->stop[0] &&
               ids[d * draws->n_steps + i] != draws->stop[1])
            i++;
        made = mbi_max_size(made, mbi_min_size(i + 1, draws->n_steps));
    }
    return made;
}

static int32_t cuda_draw(int32_t *ids, size_t *made, struct mbi_image *image,
                         const struct mbi_draws *draws, mambaint_error *err)
{
    struct mbi_run run[MBI_DRAW_STREAMS];
    const struct mbi_batch batch = {run, draws->n_draws, false};
    bool started = false;
    struct shape sh;
    cudaError_t e;
    int32_t rc;

    *made = 0;
    if (draws->n_draws > MBI_DRAW_STREAMS || draws->n_steps > MBI_DRAW_STEPS || !draws->n_steps ||
        image->program->value[0].row_size != sizeof(int32_t) || image->program->keep)
        return mbi_module_fail(err, MAMBAINT_E_INTERNAL, "cuda: a draw that cannot be");
    for (size_t d = 0; d < draws->n_draws; d++)
        run[d] = {draws->draw[d].memory, draws->draw[d].pos, &draws->draw[d].id, 1};
    if ((rc = prepare(&sh, image, &batch, err)) < 0)
        return rc;
    if ((e = make_work(image, &sh)) == cudaSuccess && (e = make_batch(image)) == cudaSuccess &&
        (e = send(image, &batch, sh.lanes)) == cudaSuccess) {
        started = true;
        e = draw_steps(image, &sh, draws);
    }
    if (e == cudaSuccess) {
        memcpy(ids, image->batch_upload->ids, draws->n_draws * draws->n_steps * sizeof(*ids));
        *made = steps_made(ids, draws, decodes(image, &sh));
    }
    conclude(image, &batch, &sh, *made, started, e);
    return mbi_cuda_check(e, err, "drawing tokens");
}

/* ---- outputs ---- */

/* Rows that are fetched at once are no more than this: outputs of every lane may be many. */
#define MOST_FETCHED ((size_t)32 << 20)

/*
 * The logits of a step, all lanes with one copy into memory that the device writes to directly: many
 * sessions ask for theirs one by one. False where that is not done, or not possible.
 */
static bool fetch_logits(struct mbi_image *image)
{
    const struct mbi_program *p = image->program;
    const struct mbi_value_plan *v = &p->value[p->graph->logits];

    if (p->keep || !image->out_lanes || p->out_lanes * v->row_size > MOST_FETCHED)
        return false;
    if (image->fetched)
        return true;
    if (!image->logits && cudaHostAlloc((void **)&image->logits, p->out_lanes * v->row_size,
                                        cudaHostAllocDefault) != cudaSuccess) {
        image->logits = NULL;
        cudaGetLastError(); /* it was not asked for; a plain copy does */
        return false;
    }
    image->fetched =
        cudaMemcpyAsync(image->logits, image->scratch + v->offset, image->out_lanes * v->row_size,
                        cudaMemcpyDeviceToHost, MBI_STREAM) == cudaSuccess &&
        cudaStreamSynchronize(MBI_STREAM) == cudaSuccess;
    image->pending &= !image->fetched;
    return image->fetched;
}

static int32_t cuda_peek(void *out, struct mbi_image *image, mbi_ref value, size_t lane, size_t n,
                         mambaint_error *err)
{
    const struct mbi_value_plan *v = &image->program->value[value];

    if (value == image->program->graph->logits && lane + n <= image->out_lanes &&
        fetch_logits(image)) {
        memcpy(out, image->logits + lane * v->row_size, n * v->row_size);
        return MAMBAINT_OK;
    }
    cudaError_t e = cudaMemcpyAsync(out, image->scratch + v->offset + lane * v->row_size,
                                    n * v->row_size, cudaMemcpyDeviceToHost, MBI_STREAM);

    if (e == cudaSuccess)
        e = cudaStreamSynchronize(MBI_STREAM);
    image->pending = false;
    return mbi_cuda_check(e, err, "fetching a value");
}

static const void *cuda_device_view(const struct mbi_image *image, mbi_ref value)
{
    return image->scratch + image->program->value[value].offset;
}

static const struct mbi_profile *cuda_profile(struct mbi_image *image, bool on)
{
    if (on && !image->profile)
        image->profile =
            (struct mbi_profile *)mbi_cuda_alloc(image->program->host, 1, sizeof(*image->profile));
    image->profiling = on && image->profile;
    return image->profile;
}

/* ---- the device ---- */

#define OLDEST 75 /* compute capability times 10 */

static const char *cuda_why(void)
{
    int n = 0, major = 0, minor = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);

    if (e == cudaErrorInsufficientDriver)
        return "the NVIDIA driver is missing or older than this build needs";
    if (e != cudaSuccess || !n)
        return "no NVIDIA GPU was found";
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    if (10 * major + minor < OLDEST)
        return "the GPU is older than compute capability 7.5";
    return NULL;
}

static int32_t cuda_probe(void) { return cuda_why() ? 0 : 100; }

static const struct mbi_backend backend = {
    MBI_BACKEND_ABI,
    sizeof(struct mbi_backend),
    MBI_OP_LIST_TEXT,
    "cuda",
    cuda_probe,
    cuda_why,
    mbi_cuda_weights_new,
    mbi_cuda_weights_update,
    mbi_cuda_weights_free,
    mbi_cuda_image_new,
    mbi_cuda_image_free,
    mbi_cuda_memory_new,
    mbi_cuda_memory_free,
    mbi_cuda_memory_read,
    mbi_cuda_memory_write,
    mbi_cuda_memory_copy,
    cuda_run,
    cuda_peek,
    NULL, /* values are not the host's to look at */
    cuda_device_view,
    mbi_cuda_device_param,
    mbi_cuda_device_changed,
    cuda_profile,
    mbi_cuda_measure,
    mbi_cuda_rows_new,
    mbi_cuda_rows_free,
    mbi_cuda_rows_read,
    cuda_draw,
};

extern "C" MBI_EXPORT const struct mbi_backend *mbi_backend_module(void);

extern "C" const struct mbi_backend *mbi_backend_module(void) { return &backend; }

/* SPDX-License-Identifier: Apache-2.0 */
/* The module that trains beside the backend "cuda": memory, batches, steps, and the table of it
 * all. */
#include "train/cuda/state.h"

#include <cmath>
#include <cstring>

static const char op_list[] =
#define OP_TEXT(num, name, n_in) #num ":" #name ":" #n_in ";"
    MBI_OP_LIST(OP_TEXT)
#undef OP_TEXT
        "";

/* ---- memory ---- */

void *mbi_train_alloc(const struct mbi_host *host, size_t n, size_t size)
{
    void *p = n <= SIZE_MAX / size ? host->alloc(host->alloc_user, NULL, n * size + 1) : NULL;

    if (p)
        memset(p, 0, n * size);
    return p;
}

void mbi_train_free(const struct mbi_host *host, void *block)
{
    if (block)
        host->alloc(host->alloc_user, block, 0);
}

static size_t place(size_t *end, size_t size)
{
    const size_t at = *end;

    *end += (size + 15) / 16 * 16;
    return at;
}

struct mbi_batch_layout mbi_batch_layout(uint32_t lanes)
{
    struct mbi_batch_layout b;

    b.size = 0;
    b.id = place(&b.size, lanes * sizeof(int32_t));
    b.target = place(&b.size, lanes * sizeof(int32_t));
    b.weight = place(&b.size, lanes * sizeof(float));
    b.order = place(&b.size, lanes * sizeof(uint32_t));
    b.first = place(&b.size, ((size_t)lanes + 1) * sizeof(uint32_t));
    b.n_ids = place(&b.size, sizeof(uint32_t));
    b.scale = place(&b.size, sizeof(float));
    return b;
}

struct mbi_ints mbi_ints_of(const struct mbi_train_state *st, mbi_ref ref)
{
    const struct mbi_type *t = &st->graph->node[ref].type;

    return {st->view[ref], (int32_t)t->dtype, t->cols, ldexpf(1, -t->frac)};
}

/* Zeroed memory of the device. */
template <class T>
static int32_t device_alloc(T **out, size_t n, const char *what, mambaint_error *err)
{
    const size_t size = n * sizeof(T) + 64;
    int32_t rc = mbi_train_check(cudaMalloc((void **)out, size), what, err);

    if (rc < 0) {
        *out = NULL;
        return rc;
    }
    return mbi_train_check(cudaMemset(*out, 0, size), what, err);
}

static size_t param_floats(const struct mbi_param *p)
{
    return ((size_t)p->type.rows * p->type.cols + 63) / 64 * 64;
}

static int32_t make_params(struct mbi_train_state *st, mambaint_error *err)
{
    const struct mbi_graph *g = st->graph;
    const float one[] = {0, 1};
    size_t reals = 0, operands = 0;
    float *ones;
    int32_t rc;

    mbi_train_mark_params(st);
    for (uint32_t i = 0; i < g->n_params; i++) {
        if (st->real_at[i] != SIZE_MAX) {
            st->real_at[i] = reals;
            reals += param_floats(&g->param[i]);
        }
        if (st->operand_at[i] != SIZE_MAX) {
            st->operand_at[i] = operands;
            operands += param_floats(&g->param[i]);
        }
    }
    if ((rc = device_alloc(&st->real, reals, "weights", err)) < 0 ||
        (rc = device_alloc(&st->operand, operands, "weights", err)) < 0 ||
        (rc = device_alloc(&st->unit, g->n_params, "weights", err)) < 0 ||
        (rc = device_alloc(&st->sum, (size_t)g->n_params * MBI_QUANTISE_SUMS, "weights", err)) <
            0 ||
        (rc = device_alloc(&st->one, 2, "weights", err)) < 0 ||
        (rc = mbi_train_check(cudaMemcpy(st->one, one, sizeof(one), cudaMemcpyHostToDevice),
                              "weights", err)) < 0)
        return rc;
    if (!(ones = (float *)mbi_train_alloc(st->host, g->n_params, sizeof(*ones))))
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory");
    for (uint32_t i = 0; i < g->n_params; i++)
        ones[i] = 1;
    rc = mbi_train_check(
        cudaMemcpy(st->unit, ones, g->n_params * sizeof(*ones), cudaMemcpyHostToDevice), "weights",
        err);
    mbi_train_free(st->host, ones);
    return rc;
}

static int32_t make_host(struct mbi_train_state *st, mambaint_error *err)
{
    const size_t n = st->graph->n_params;

    st->memory = (struct mbi_memory **)mbi_train_alloc(st->host, st->streams, sizeof(*st->memory));
    st->run = (struct mbi_run *)mbi_train_alloc(st->host, st->streams, sizeof(*st->run));
    st->view = (const void **)mbi_train_alloc(st->host, st->graph->n_nodes, sizeof(*st->view));
    st->real_at = (size_t *)mbi_train_alloc(st->host, n, sizeof(*st->real_at));
    st->operand_at = (size_t *)mbi_train_alloc(st->host, n, sizeof(*st->operand_at));
    st->staging = (char *)mbi_train_alloc(st->host, 1, mbi_batch_layout(st->lanes).size);
    st->count = (uint32_t *)mbi_train_alloc(st->host, (size_t)st->graph->node[0].type.hi + 2,
                                            sizeof(*st->count));
    if (!st->memory || !st->run || !st->view || !st->real_at || !st->operand_at || !st->staging ||
        !st->count)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory");
    return MAMBAINT_OK;
}

static int32_t make_forward(struct mbi_train_state *st, mambaint_error *err)
{
    const struct mbi_tape_plan *plan = st->plan;
    int32_t rc = st->backend->image_new(&st->image, plan->program, plan->weights, err);

    if (rc >= 0)
        rc = st->backend->memory_new(&st->zero, plan->program, err);
    for (uint32_t s = 0; rc >= 0 && s < st->streams; s++)
        rc = st->backend->memory_new(&st->memory[s], plan->program, err);
    return rc;
}

/* Where the backend has its values; true: somewhere else than before. */
static bool look_at_values(struct mbi_train_state *st)
{
    bool moved = false;

    for (mbi_ref i = 0; i < st->graph->n_nodes; i++) {
        const void *at = st->graph->node[i].op ? st->backend->device_view(st->image, i) : NULL;

        moved |= at != st->view[i];
        st->view[i] = at;
    }
    return moved;
}

static int32_t make_blocks(struct mbi_train_state *st, const struct mbi_train_setup *setup,
                           mambaint_error *err)
{
    const size_t total = st->layout->total;
    int32_t rc;

    for (int i = 0; i < MBI_TRAIN_BLOCKS; i++)
        if ((rc = device_alloc(&st->block[i], total, "masters and moments", err)) < 0)
            return rc;
    if ((rc = device_alloc(&st->decays, total / MBI_LAYOUT_STEP, "marks", err)) < 0 ||
        (rc = mbi_train_check(
             cudaMemcpy(st->decays, setup->decays, total / MBI_LAYOUT_STEP, cudaMemcpyHostToDevice),
             "marks", err)) < 0 ||
        (rc = device_alloc(&st->squares, total / MBI_SQUARES + 1, "sums", err)) < 0 ||
        (rc = device_alloc(&st->nats, st->lanes, "sums", err)) < 0 ||
        (rc = device_alloc(&st->result, 2, "sums", err)) < 0 ||
        (rc = device_alloc(&st->softmax, st->lanes, "sums", err)) < 0)
        return rc;
    return device_alloc(&st->batch, mbi_batch_layout(st->lanes).size, "a batch", err);
}

static int32_t make(struct mbi_train_state *st, const struct mbi_train_setup *setup,
                    mambaint_error *err)
{
    int32_t rc;
    int device = 0, processors = 1;

    if (!st->backend->device_view || !st->backend->device_param || !st->backend->device_changed)
        return mbi_module_fail(err, MAMBAINT_E_UNSUPPORTED,
                               "train-cuda: backend '%s' does not show its values",
                               st->backend->name);
    if ((rc = mbi_train_check(cudaGetDevice(&device), "the device", err)) < 0 ||
        (rc = mbi_train_check(
             cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
             "the device", err)) < 0 ||
        (rc = mbi_train_check(mbi_scan_prepare(), "the device", err)) < 0 ||
        (rc = mbi_train_check(cudaStreamCreateWithFlags(&st->stream, cudaStreamNonBlocking),
                              "a stream", err)) < 0 ||
        (rc = mbi_gemm_create(&st->gemm, st->host, st->stream, err)) < 0)
        return rc;
    st->processors = (uint32_t)processors;
    if ((rc = make_host(st, err)) < 0 || (rc = make_blocks(st, setup, err)) < 0 ||
        (rc = make_params(st, err)) < 0 || (rc = make_forward(st, err)) < 0)
        return rc;
    look_at_values(st);
    if ((rc = mbi_train_compile(st, err)) < 0 ||
        (rc = device_alloc(&st->pool, st->pool_size, "gradients of values", err)) < 0)
        return rc;
    mbi_train_bind(st);
    /* What was zeroed or copied so far was not on the stream. */
    return mbi_train_check(cudaDeviceSynchronize(), "the device", err);
}

static void train_free(struct mbi_train_state *st)
{
    const struct mbi_host *host;

    if (!st)
        return;
    host = st->host;
    if (st->stream)
        cudaStreamSynchronize(st->stream);
    for (uint32_t s = 0; st->memory && s < st->streams; s++)
        if (st->memory[s])
            st->backend->memory_free(st->memory[s]);
    if (st->zero)
        st->backend->memory_free(st->zero);
    if (st->image)
        st->backend->image_free(st->image);
    mbi_gemm_free(st->gemm);
    mbi_clock_free(st->clock);
    for (float *block : st->block)
        cudaFree(block);
    cudaFree(st->decays);
    cudaFree(st->real);
    cudaFree(st->operand);
    cudaFree(st->unit);
    cudaFree(st->sum);
    cudaFree(st->one);
    cudaFree(st->squares);
    cudaFree(st->nats);
    cudaFree(st->result);
    cudaFree(st->softmax);
    cudaFree(st->pool);
    cudaFree(st->batch);
    if (st->stream)
        cudaStreamDestroy(st->stream);
    mbi_train_free(host, st->memory);
    mbi_train_free(host, st->run);
    mbi_train_free(host, st->view);
    mbi_train_free(host, st->real_at);
    mbi_train_free(host, st->operand_at);
    mbi_train_free(host, st->staging);
    mbi_train_free(host, st->count);
    mbi_train_free(host, st->action);
    mbi_train_free(host, st->buffer);
    mbi_train_free(host, st);
}

static int32_t train_create(struct mbi_train_state **out, const struct mbi_train_setup *setup,
                            mambaint_error *err)
{
    const struct mbi_tape_plan *plan = setup->plan;
    struct mbi_train_state *st;
    uint64_t elements = 0;
    int device = 0, major = 0;
    int32_t rc;

    *out = NULL;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
        major < 8)
        return mbi_module_fail(err, MAMBAINT_E_UNSUPPORTED,
                               "train-cuda: training needs a GPU of compute capability 8.0 or "
                               "newer; train on the processor with --backend auto");
    for (mbi_ref i = 0; i < plan->graph->n_nodes; i++)
        elements = mbi_max_size(elements, (uint64_t)plan->graph->node[i].type.cols * plan->streams *
                                              setup->tokens);
    if (elements >= (uint64_t)UINT32_MAX - 1024)
        return mbi_module_fail(
            err, MAMBAINT_E_RANGE,
            "train-cuda: a batch of %zu x %zu tokens is too large for a value of "
            "this model; make it smaller",
            plan->streams, setup->tokens);
    if (!(st = (struct mbi_train_state *)mbi_train_alloc(plan->host, 1, sizeof(*st))))
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory");
    st->host = plan->host;
    st->plan = plan;
    st->graph = plan->graph;
    st->layout = plan->layout;
    st->backend = plan->backend;
    st->streams = (uint32_t)plan->streams;
    st->tokens = (uint32_t)setup->tokens;
    st->lanes = st->streams * st->tokens;
    if ((rc = make(st, setup, err)) < 0) {
        train_free(st);
        return rc;
    }
    *out = st;
    return MAMBAINT_OK;
}

/* ---- one batch ---- */

/* The lanes in the order of their ids, and where each id begins. */
static void sort_ids(struct mbi_train_state *st, const int32_t *id)
{
    const struct mbi_batch_layout b = mbi_batch_layout(st->lanes);
    const size_t vocab = (size_t)st->graph->node[0].type.hi + 1;
    uint32_t *order = (uint32_t *)(st->staging + b.order);
    uint32_t *first = (uint32_t *)(st->staging + b.first), n = 0, at = 0;

    memset(st->count, 0, vocab * sizeof(*st->count));
    for (uint32_t t = 0; t < st->lanes; t++)
        st->count[id[t]]++;
    for (size_t i = 0; i < vocab; i++) {
        const uint32_t count = st->count[i];

        st->count[i] = at;
        if (count)
            first[n++] = at;
        at += count;
    }
    first[n] = at;
    for (uint32_t t = 0; t < st->lanes; t++)
        order[st->count[id[t]]++] = t;
    memcpy(st->staging + b.n_ids, &n, sizeof(n));
}

static int32_t send_batch(struct mbi_train_state *st, const struct mbi_train_batch *batch,
                          mambaint_error *err)
{
    const struct mbi_batch_layout b = mbi_batch_layout(st->lanes);

    for (uint32_t t = 0; t < st->lanes; t++)
        if (batch->id[t] < 0 || batch->id[t] > st->graph->node[0].type.hi)
            return mbi_module_fail(err, MAMBAINT_E_INTERNAL, "train-cuda: id %d at lane %u",
                                   batch->id[t], t);
    memcpy(st->staging + b.id, batch->id, st->lanes * sizeof(int32_t));
    memcpy(st->staging + b.target, batch->target, st->lanes * sizeof(int32_t));
    memcpy(st->staging + b.weight, batch->weight, st->lanes * sizeof(float));
    memcpy(st->staging + b.scale, &batch->scale, sizeof(float));
    sort_ids(st, batch->id);
    return mbi_train_check(
        cudaMemcpyAsync(st->batch, st->staging, b.size, cudaMemcpyHostToDevice, st->stream),
        "a batch", err);
}

/* Every stream from the zero state, which is copied where it is. */
static int32_t forward(struct mbi_train_state *st, const int32_t *id, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (uint32_t s = 0; rc >= 0 && s < st->streams; s++) {
        st->run[s] = {st->memory[s], 0, id + (size_t)s * st->tokens, st->tokens};
        rc = st->backend->memory_copy(st->memory[s], st->zero, err);
    }
    if (rc >= 0) {
        const struct mbi_batch batch = {st->run, st->streams, true};

        rc = st->backend->run(st->image, &batch, err);
    }
    if (rc >= 0 && look_at_values(st)) {
        const size_t size = st->pool_size;

        rc = mbi_train_compile(st, err);
        if (rc >= 0 && st->pool_size != size)
            rc = mbi_module_fail(err, MAMBAINT_E_INTERNAL, "train-cuda: another plan than before");
        if (rc >= 0)
            mbi_train_bind(st);
    }
    return rc;
}

static int32_t find_loss(struct mbi_train_state *st, mambaint_error *err)
{
    const struct mbi_batch_layout b = mbi_batch_layout(st->lanes);
    const struct mbi_loss_args loss = {mbi_ints_of(st, st->graph->logits),
                                       st->lanes,
                                       (const int32_t *)(st->batch + b.target),
                                       (const float *)(st->batch + b.weight),
                                       (const float *)(st->batch + b.scale),
                                       st->softmax,
                                       st->nats};
    const int32_t rc = mbi_train_check(mbi_loss(&loss, st->stream), "the loss", err);

    return rc < 0 ? rc
                  : mbi_train_check(
                        mbi_sum_doubles(st->result, st->nats, st->lanes, false, st->stream),
                        "the loss", err);
}

static int32_t find_norm(struct mbi_train_state *st, mambaint_error *err)
{
    const size_t n = st->layout->total;
    int32_t rc = mbi_train_check(
        mbi_squares(st->squares, st->block[MBI_TRAIN_GRADIENT], n, st->stream), "the norm", err);

    if (rc >= 0)
        rc = mbi_train_check(mbi_sum_doubles(st->result + 1, st->squares,
                                             (n + MBI_SQUARES - 1) / MBI_SQUARES, true, st->stream),
                             "the norm", err);
    return rc;
}

static int32_t train_batch(struct mbi_train_state *st, struct mbi_train_batch *batch,
                           mambaint_error *err)
{
    double result[2] = {0, 0};
    int32_t rc = send_batch(st, batch, err);

    if (rc < 0 || (rc = forward(st, batch->id, err)) < 0)
        return rc;
    mbi_train_time(st, NULL);
    if ((rc = find_loss(st, err)) < 0)
        return rc;
    mbi_train_time(st, "loss");
    if ((rc = mbi_train_backward(st, err)) < 0 || (rc = find_norm(st, err)) < 0)
        return rc;
    mbi_train_time(st, "norm");
    if ((rc = mbi_train_check(cudaMemcpyAsync(result, st->result, sizeof(result),
                                              cudaMemcpyDeviceToHost, st->stream),
                              "the loss", err)) < 0 ||
        (rc = mbi_train_check(cudaStreamSynchronize(st->stream), "a way back", err)) < 0)
        return rc;
    batch->loss = result[0];
    batch->norm = result[1];
    return MAMBAINT_OK;
}

/* ---- the optimiser ---- */

static int32_t train_step(struct mbi_train_state *st, double norm, uint64_t step,
                          const struct mbi_adam_settings *set, mambaint_error *err)
{
    struct mbi_adam_args a = {};

    a.master = st->block[MBI_TRAIN_MASTER];
    a.moment1 = st->block[MBI_TRAIN_MOMENT1];
    a.moment2 = st->block[MBI_TRAIN_MOMENT2];
    a.gradient = st->block[MBI_TRAIN_GRADIENT];
    a.decays = st->decays;
    a.n = st->layout->total;
    a.beta1 = (float)set->beta1;
    a.beta2 = (float)set->beta2;
    a.rate = (float)(set->rate / (1 - pow(set->beta1, (double)step)));
    a.unbias2 = (float)(1 / (1 - pow(set->beta2, (double)step)));
    a.shrink = (float)(1 - set->rate * set->decay);
    a.scale = set->clip > 0 && norm > set->clip ? (float)(set->clip / norm) : 1.0f;
    mbi_train_time(st, NULL);
    const int32_t rc = mbi_train_check(mbi_adam(&a, st->stream), "a step", err);

    mbi_train_time(st, "AdamW");
    return rc;
}

static int32_t quantise_one(struct mbi_train_state *st, uint32_t i, mambaint_error *err)
{
    const struct mbi_param *p = &st->graph->param[i];
    struct mbi_weights *w = st->plan->weights;
    struct mbi_quantise_args a = {};

    a.dtype = p->type.dtype;
    a.quant = p->quant;
    a.rows = p->type.rows;
    a.cols = p->type.cols;
    a.master = st->block[MBI_TRAIN_MASTER] + st->layout->at[i];
    a.integer = st->backend->device_param(w, i);
    a.limit = p->quant == MBI_QUANT_ROWS ? 127.0f : (float)p->type.hi;
    a.factor = ldexpf(1, p->type.frac);
    a.fixed = ldexpf(1, -p->type.frac);
    if (p->quant != MBI_QUANT_FIXED) {
        const struct mbi_type *range = &st->graph->param[p->exponent].type;

        a.exponent = (int8_t *)st->backend->device_param(w, p->exponent);
        a.exponent_lo = (int32_t)range->lo;
        a.exponent_hi = (int32_t)range->hi;
    }
    if (p->quant == MBI_QUANT_TERNARY) {
        a.scale = (int16_t *)st->backend->device_param(w, p->scale);
        a.unit = st->unit + i;
        a.sum = st->sum + (size_t)i * MBI_QUANTISE_SUMS;
    }
    if (!a.integer || (p->quant != MBI_QUANT_FIXED && !a.exponent) ||
        (p->quant == MBI_QUANT_TERNARY && !a.scale))
        return mbi_train_check(cudaErrorMemoryAllocation, "integers of masters", err);
    a.real = st->real_at[i] == SIZE_MAX ? NULL : st->real + st->real_at[i];
    a.operand = st->operand_at[i] == SIZE_MAX ? NULL : st->operand + st->operand_at[i];
    return mbi_train_check(mbi_quantise_device(&a, st->stream), "integers of masters", err);
}

static int32_t train_quantise(struct mbi_train_state *st, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    mbi_train_time(st, NULL);
    for (uint32_t i = 0; rc >= 0 && i < st->graph->n_params; i++)
        if (st->layout->at[i] != SIZE_MAX)
            rc = quantise_one(st, i, err);
    mbi_train_time(st, "integers of masters");
    if (rc < 0 ||
        (rc = mbi_train_check(cudaStreamSynchronize(st->stream), "integers of masters", err)) < 0)
        return rc;
    return st->backend->device_changed(st->plan->weights, err);
}

/* ---- blocks and integers ---- */

/* To or from the host's memory, which may be any. */
static int32_t copy(struct mbi_train_state *st, void *to, const void *from, size_t size,
                    cudaMemcpyKind kind, const char *what, mambaint_error *err)
{
    const int32_t rc =
        mbi_train_check(cudaMemcpyAsync(to, from, size, kind, st->stream), what, err);

    return rc < 0 ? rc : mbi_train_check(cudaStreamSynchronize(st->stream), what, err);
}

static int32_t train_read(struct mbi_train_state *st, enum mbi_train_block block, float *out,
                          mambaint_error *err)
{
    return copy(st, out, st->block[block], st->layout->total * sizeof(float),
                cudaMemcpyDeviceToHost, "a block", err);
}

static int32_t train_write(struct mbi_train_state *st, enum mbi_train_block block, const float *in,
                           mambaint_error *err)
{
    return copy(st, st->block[block], in, st->layout->total * sizeof(float), cudaMemcpyHostToDevice,
                "a block", err);
}

static size_t param_size(const struct mbi_type *t)
{
    const size_t row = t->dtype == MBI_TERNARY ? ((size_t)t->cols + 3) / 4
                       : t->dtype == MBI_I8    ? t->cols
                       : t->dtype == MBI_I16   ? 2 * (size_t)t->cols
                       : t->dtype == MBI_I32   ? 4 * (size_t)t->cols
                                               : 8 * (size_t)t->cols;

    return row * t->rows;
}

static int32_t train_params(struct mbi_train_state *st, void *const *param, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (uint32_t i = 0; rc >= 0 && i < st->graph->n_params; i++)
        rc = copy(st, param[i], st->backend->device_param(st->plan->weights, i),
                  param_size(&st->graph->param[i].type), cudaMemcpyDeviceToHost, "the integers",
                  err);
    return rc;
}

/* ---- where the time goes ---- */

static const struct mbi_profile *train_profile(struct mbi_train_state *st, bool on)
{
    cudaStreamSynchronize(st->stream);
    if (on && !st->clock)
        mbi_clock_create(&st->clock, st->host);
    st->timed = on && st->clock;
    return st->clock ? mbi_clock_read(st->clock) : NULL;
}

/* ---- the table ---- */

extern "C" {
extern __attribute__((visibility("default"))) const struct mbi_train_device mbi_train_module;
const struct mbi_train_device mbi_train_module = {
    MBI_TRAIN_ABI,  sizeof(struct mbi_train_device),
    op_list,        "cuda",
    train_create,   train_free,
    train_batch,    train_step,
    train_quantise, train_read,
    train_write,    train_params,
    train_profile,
};
}

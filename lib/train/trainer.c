/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a training run, cut into slices whose borders do not depend on the number of threads. */
#include "train/trainer.h"
#include "base/intmath.h"
#include "train/device.h"
#include "train/linalg.h"
#include "train/optim.h"
#include "train/tape.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define PARTS 4         /* sums of gradients; slice i goes to sum i mod PARTS */
#define SLICE_LANES 256 /* positions of a slice: enough for matrix products, small for caches */
#define LN2 0.6931471805599453

struct mbi_trainer {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    const struct mbi_backend *backend;
    struct mbi_batch_source source;
    struct mbi_trainer_settings set;
    struct mbi_layout layout;

    /* NULL on the host; else masters, moments and integers are there, and those here are copies of
     * a moment: what a checkpoint and an export are made of. */
    const struct mbi_train_device *device;
    struct mbi_train_state *state;

    float *master, *moment1, *moment2, *real; /* blocks; real: of the integers */
    void **param;
    bool stale;         /* the integers are older than the masters, or than those of the device */
    bool weights_stale; /* the backend's weights are older than the integers */
    struct mbi_weights *weights;
    uint8_t *decays;
    double *partial;
    float *gradient[PARTS];

    struct mbi_tape_plan *plan;
    struct mbi_tape *tape[PARTS]; /* as many as threads can use at once */
    size_t n_tapes;
    atomic_uint tapes_used; /* a bit each */

    size_t slice_streams, n_slices;
    int32_t *input, *target;
    float *weight;
    uint64_t step;

    /* of the step that runs */
    float scale; /* 1 / number of counted positions */
    double loss[PARTS];
    int32_t status[PARTS];
    mambaint_error error[PARTS];
};

static double from_q40(uint64_t v) { return (double)v / 1099511627776.0; }

/* Not above 2^43 in units of one, so that nothing overflows. */
static uint64_t to_fixed(double v, int frac)
{
    return v > 0 ? (uint64_t)(ldexp(fmin(v, 8388608.0), frac) + 0.5) : 0;
}

/* ---- creation ---- */

/* At least one slice for each sum where the batch allows it. */
static void cut_slices(struct mbi_trainer *tr)
{
    const size_t batch = tr->set.batch;
    const size_t by_lanes = mbi_max_size(1, SLICE_LANES / tr->set.context);

    tr->slice_streams = mbi_min_size(by_lanes, (batch + PARTS - 1) / PARTS);
    tr->n_slices = (batch + tr->slice_streams - 1) / tr->slice_streams;
}

/* What only the host's own steps need. */
static int32_t allocate_sums(struct mbi_trainer *tr, mambaint_error *err)
{
    tr->real = tr->set.integers ? mbi_layout_block(&tr->layout) : tr->master;
    tr->partial = mbi_alloc(tr->host, mbi_gradient_partials(&tr->layout), sizeof(*tr->partial));
    if (!tr->real || !tr->partial)
        return mbi_fail_memory(err, "masters and moments");
    for (size_t i = 0; i < PARTS; i++)
        if (!(tr->gradient[i] = mbi_layout_block(&tr->layout)))
            return mbi_fail_memory(err, "gradients");
    return MAMBAINT_OK;
}

static int32_t allocate(struct mbi_trainer *tr, mambaint_error *err)
{
    int32_t rc;
    size_t n;

    if (!mbi_mul_size(&n, tr->set.batch, tr->set.context) || n > UINT32_MAX)
        return mbi_fail_memory(err, "a batch of this size");
    tr->input = mbi_alloc(tr->host, n, sizeof(*tr->input));
    tr->target = mbi_alloc(tr->host, n, sizeof(*tr->target));
    tr->weight = mbi_alloc(tr->host, n, sizeof(*tr->weight));
    tr->master = mbi_layout_block(&tr->layout);
    tr->moment1 = mbi_layout_block(&tr->layout);
    tr->moment2 = mbi_layout_block(&tr->layout);
    tr->decays = mbi_alloc(tr->host, tr->layout.total / MBI_LAYOUT_STEP + 1, 1);
    if (!tr->input || !tr->target || !tr->weight || !tr->master || !tr->moment1 || !tr->moment2 ||
        !tr->decays)
        return mbi_fail_memory(err, "masters and moments");
    if (!tr->device && (rc = allocate_sums(tr, err)) < 0)
        return rc;
    mbi_decay_marks(tr->decays, &tr->layout);
    return mbi_params_create(&tr->param, tr->host, tr->graph, err);
}

/* The device takes the whole batch at once. */
static int32_t create_state(struct mbi_trainer *tr, mambaint_error *err)
{
    const struct mbi_tape_setup setup = {
        .mode = MBI_TAPE_INTEGERS,
        .layout = &tr->layout,
        .param = tr->param,
        .backend = tr->backend,
        .weights = tr->weights,
        .streams = tr->set.batch,
        .lanes = (size_t)tr->set.batch * tr->set.context,
        .elsewhere = true,
    };
    int32_t rc = mbi_tape_plan_create(&tr->plan, &setup, err);

    if (rc < 0)
        return rc;
    rc = tr->device->create(&tr->state,
                            &(struct mbi_train_setup){tr->plan, tr->decays, tr->set.context}, err);
    return rc < 0 ? rc : tr->device->write(tr->state, MBI_TRAIN_MASTER, tr->master, err);
}

static int32_t create_tapes(struct mbi_trainer *tr, mambaint_error *err)
{
    const struct mbi_tape_setup setup = {
        .mode = tr->set.integers ? MBI_TAPE_INTEGERS : MBI_TAPE_FLOAT,
        .layout = &tr->layout,
        .real = tr->real,
        .param = tr->param,
        .backend = tr->backend,
        .weights = tr->weights,
        .streams = tr->slice_streams,
        .lanes = tr->slice_streams * tr->set.context,
    };
    int32_t rc = mbi_tape_plan_create(&tr->plan, &setup, err);

    tr->n_tapes = mbi_min_size(PARTS, mbi_pool_threads(tr->host->pool));
    for (size_t i = 0; rc >= 0 && i < tr->n_tapes; i++)
        rc = mbi_tape_create(&tr->tape[i], tr->plan, err);
    return rc;
}

/* The integers follow the masters. */
static int32_t quantise(struct mbi_trainer *tr, mambaint_error *err)
{
    if (tr->device) {
        tr->stale = true;
        return tr->device->quantise(tr->state, err);
    }
    mbi_quantise_all(tr->param, tr->set.integers ? tr->real : NULL, &tr->layout, tr->master);
    tr->stale = tr->weights_stale = false;
    return tr->backend->weights_update(tr->weights, err);
}

static int32_t build(struct mbi_trainer *tr, mambaint_error *err)
{
    int32_t rc = mbi_layout_create(&tr->layout, tr->host, tr->graph, err);

    if (rc >= 0)
        rc = allocate(tr, err);
    if (rc >= 0)
        rc = tr->backend->weights_new(&tr->weights, tr->host, tr->graph,
                                      (const void *const *)tr->param, err);
    if (rc < 0)
        return rc;
    mbi_init_masters(tr->master, &tr->layout, &tr->set.init);
    if (tr->device)
        return (rc = create_state(tr, err)) < 0 ? rc : quantise(tr, err);
    if ((rc = quantise(tr, err)) < 0)
        return rc;
    cut_slices(tr);
    return create_tapes(tr, err);
}

int32_t mbi_trainer_create(struct mbi_trainer **out, const struct mbi_host *host,
                           const struct mbi_graph *graph, const struct mbi_backend *backend,
                           const struct mbi_batch_source *source,
                           const struct mbi_trainer_settings *set, mambaint_error *err)
{
    const struct mbi_train_device *device = NULL;
    const int32_t rc = set->integers ? mbi_train_device_find(&device, backend, err) : MAMBAINT_OK;

    *out = NULL;
    return rc < 0 ? rc : mbi_trainer_create_on(out, host, graph, backend, device, source, set, err);
}

int32_t mbi_trainer_create_on(struct mbi_trainer **out, const struct mbi_host *host,
                              const struct mbi_graph *graph, const struct mbi_backend *backend,
                              const struct mbi_train_device *device,
                              const struct mbi_batch_source *source,
                              const struct mbi_trainer_settings *set, mambaint_error *err)
{
    struct mbi_trainer *tr = mbi_alloc(host, 1, sizeof(*tr));
    int32_t rc;

    *out = NULL;
    if (!tr)
        return mbi_fail_memory(err, "a trainer");
    tr->host = host;
    tr->graph = graph;
    tr->backend = backend;
    tr->device = device;
    tr->source = *source;
    tr->set = *set;
    if ((rc = build(tr, err)) < 0) {
        mbi_trainer_free(tr);
        return rc;
    }
    *out = tr;
    return MAMBAINT_OK;
}

void mbi_trainer_free(struct mbi_trainer *tr)
{
    if (!tr)
        return;
    for (size_t i = 0; i < PARTS; i++) {
        mbi_tape_free(tr->tape[i]);
        mbi_free_aligned(tr->host, tr->gradient[i]);
    }
    if (tr->state)
        tr->device->free(tr->state);
    mbi_tape_plan_free(tr->plan);
    if (tr->weights)
        tr->backend->weights_free(tr->weights);
    mbi_params_free(tr->host, tr->graph, tr->param);
    if (tr->real != tr->master)
        mbi_free_aligned(tr->host, tr->real);
    mbi_free_aligned(tr->host, tr->master);
    mbi_free_aligned(tr->host, tr->moment1);
    mbi_free_aligned(tr->host, tr->moment2);
    mbi_free(tr->host, tr->decays);
    mbi_free(tr->host, tr->partial);
    mbi_free(tr->host, tr->input);
    mbi_free(tr->host, tr->target);
    mbi_free(tr->host, tr->weight);
    mbi_layout_free(&tr->layout);
    mbi_free(tr->host, tr);
}

/* ---- one step ---- */

/* There are as many tapes as loops run at once, so one is always free. */
static size_t borrow_tape(struct mbi_trainer *tr)
{
    for (size_t i = 0;; i = (i + 1) % tr->n_tapes)
        if (!(atomic_fetch_or(&tr->tapes_used, 1u << i) >> i & 1))
            return i;
}

static void return_tape(struct mbi_trainer *tr, size_t i)
{
    atomic_fetch_and(&tr->tapes_used, ~(1u << i));
}

static int32_t run_slice(struct mbi_trainer *tr, struct mbi_tape *tape, size_t part, size_t slice)
{
    const size_t first = slice * tr->slice_streams, context = tr->set.context;
    const size_t streams = mbi_min_size(tr->slice_streams, tr->set.batch - first);
    mambaint_error *err = &tr->error[part];
    int32_t rc = mbi_tape_forward(tape, tr->input + first * context, streams, context, err);

    if (rc < 0)
        return rc;
    tr->loss[part] +=
        mbi_tape_loss(tape, tr->target + first * context, tr->weight + first * context, tr->scale);
    return mbi_tape_backward(tape, tr->gradient[part], err);
}

static void run_parts(void *arg, size_t begin, size_t end)
{
    struct mbi_trainer *tr = arg;
    const size_t tape = borrow_tape(tr);

    for (size_t part = begin; part < end; part++) {
        memset(tr->gradient[part], 0, tr->layout.total * sizeof(float));
        tr->loss[part] = 0;
        tr->status[part] = MAMBAINT_OK;
        for (size_t s = part; s < tr->n_slices && tr->status[part] >= 0; s += PARTS)
            tr->status[part] = run_slice(tr, tr->tape[tape], part, s);
    }
    return_tape(tr, tape);
}

/* Gradient and loss of the present batch; both are sums over the parts in order. */
static int32_t run_slices(struct mbi_trainer *tr, double *loss, double *norm, mambaint_error *err)
{
    mbi_parallel_for(tr->host, PARTS, 1, run_parts, tr);
    *loss = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (tr->status[i] < 0) {
            if (err)
                *err = tr->error[i];
            return tr->status[i];
        }
        *loss += tr->loss[i];
    }
    *norm = mbi_gradient_sum(&tr->layout, tr->gradient, PARTS, tr->partial);
    return MAMBAINT_OK;
}

static int32_t run_device(struct mbi_trainer *tr, double *loss, double *norm, mambaint_error *err)
{
    struct mbi_train_batch batch = {
        .id = tr->input, .target = tr->target, .weight = tr->weight, .scale = tr->scale};
    const int32_t rc = tr->device->batch(tr->state, &batch, err);

    *loss = batch.loss;
    *norm = batch.norm;
    return rc;
}

static int32_t run_batch(struct mbi_trainer *tr, double *loss, double *norm, mambaint_error *err)
{
    const int32_t rc = (tr->device ? run_device : run_slices)(tr, loss, norm, err);

    if (rc < 0)
        return rc;
    if (!isfinite(*loss) || !isfinite(*norm))
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "step %llu: the loss or its gradient is no finite number; lower the "
                        "learning rate",
                        (unsigned long long)tr->step + 1);
    return MAMBAINT_OK;
}

static double fill_batch(struct mbi_trainer *tr)
{
    const size_t n = (size_t)tr->set.batch * tr->set.context;
    double total = 0;

    tr->source.fill(tr->source.self, tr->step, tr->input, tr->target, tr->weight);
    for (size_t i = 0; i < n; i++)
        total += (double)tr->weight[i];
    return total;
}

int32_t mbi_trainer_step(struct mbi_trainer *tr, struct mbi_train_report *report,
                         mambaint_error *err)
{
    const struct mbi_adam_settings adam = {
        .rate = mbi_learning_rate(from_q40(tr->set.rate_q40), tr->step + 1, tr->set.warmup,
                                  tr->set.steps),
        .beta1 = from_q40(tr->set.beta1_q40),
        .beta2 = from_q40(tr->set.beta2_q40),
        .decay = from_q40(tr->set.decay_q40),
        .clip = from_q40(tr->set.clip_q40),
    };
    double total, loss = 0, norm = 0;
    int32_t rc;

    if (tr->step >= tr->set.steps)
        return MAMBAINT_END;
    total = fill_batch(tr);
    tr->scale = total > 0 ? (float)(1 / total) : 1;
    if ((rc = run_batch(tr, &loss, &norm, err)) < 0)
        return rc;
    tr->step++;
    if (!tr->device)
        mbi_adam_step(&tr->layout, tr->master, tr->moment1, tr->moment2, tr->gradient[0],
                      tr->decays, norm, tr->step, &adam);
    else if ((rc = tr->device->step(tr->state, norm, tr->step, &adam, err)) < 0)
        return rc;
    if (tr->set.integers)
        rc = quantise(tr, err);
    else
        tr->stale = true;
    *report = (struct mbi_train_report){
        .step = tr->step,
        .tokens = tr->step * tr->set.batch * tr->set.context,
        .counted = (uint64_t)total,
        .loss_q20 = to_fixed(total > 0 ? loss / total : 0, 20),
        .rate_q40 = to_fixed(adam.rate, 40),
        .norm_q20 = to_fixed(norm, 20),
    };
    return rc;
}

uint64_t mbi_trainer_steps_made(const struct mbi_trainer *tr) { return tr->step; }

/* ---- what was learnt ---- */

const void *const *mbi_trainer_params(struct mbi_trainer *tr, mambaint_error *err)
{
    if (tr->stale && tr->device) {
        if (tr->device->params(tr->state, tr->param, err) < 0)
            return NULL;
        tr->stale = false;
    } else if (tr->stale) {
        mbi_quantise_all(tr->param, NULL, &tr->layout, tr->master);
        tr->stale = false;
        tr->weights_stale = true;
    }
    return (const void *const *)tr->param;
}

struct mbi_weights *mbi_trainer_weights(struct mbi_trainer *tr, mambaint_error *err)
{
    if (!tr->device && (tr->stale || tr->weights_stale) && quantise(tr, err) < 0)
        return NULL;
    return tr->weights;
}

/* ---- documents under the float twins ---- */

static int32_t score_one(struct mbi_tape *tape, struct mbi_document *doc, const float *ones,
                         mambaint_error *err)
{
    int32_t rc;

    doc->bits_q16 = 0;
    if (doc->n < 2)
        return MAMBAINT_OK;
    if ((rc = mbi_tape_forward(tape, doc->ids, 1, doc->n - 1, err)) < 0)
        return rc;
    doc->bits_q16 = llrint(mbi_tape_loss(tape, doc->ids + 1, ones, 0) / LN2 * 65536);
    return MAMBAINT_OK;
}

/* One after the other: a document is long enough to be the unit, and floats need much memory. */
int32_t mbi_trainer_score_float(struct mbi_trainer *tr, struct mbi_document *doc, size_t n,
                                mambaint_error *err)
{
    struct mbi_tape_setup setup = {
        .mode = MBI_TAPE_FLOAT_FORWARD, .layout = &tr->layout, .real = tr->master, .streams = 1};
    struct mbi_tape_plan *plan = NULL;
    struct mbi_tape *tape = NULL;
    float *ones = NULL;
    int32_t rc;

    for (size_t i = 0; i < n; i++)
        setup.lanes = mbi_max_size(setup.lanes, doc[i].n);
    if ((rc = mbi_tape_plan_create(&plan, &setup, err)) >= 0 &&
        (rc = mbi_tape_create(&tape, plan, err)) >= 0 &&
        !(ones = mbi_alloc(tr->host, setup.lanes + 1, sizeof(*ones))))
        rc = mbi_fail_memory(err, "validation");
    for (size_t i = 0; ones && i < setup.lanes; i++)
        ones[i] = 1;
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = score_one(tape, &doc[i], ones, err);
    mbi_free(tr->host, ones);
    mbi_tape_free(tape);
    mbi_tape_plan_free(plan);
    return rc;
}

/* ---- checkpoints ---- */

#define KEY_STEP "mambaint.train.step"
#define KEY_GRAPH "mambaint.train.graph"

static const char *const block_name[] = {"train.master", "train.moment1", "train.moment2"};

static float *block_at(const struct mbi_trainer *tr, size_t i)
{
    return i == 0 ? tr->master : i == 1 ? tr->moment1 : tr->moment2;
}

/* Blocks in the order of their names. */
static const enum mbi_train_block block_kind[] = {MBI_TRAIN_MASTER, MBI_TRAIN_MOMENT1,
                                                  MBI_TRAIN_MOMENT2};

int32_t mbi_trainer_write(struct mbi_trainer *tr, struct mbi_container_writer *w,
                          mambaint_error *err)
{
    char hex[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(hex, tr->graph->digest, MBI_DIGEST_SIZE);
    mbi_container_add_u64(w, KEY_STEP, tr->step);
    mbi_container_add_text(w, KEY_GRAPH, hex, 2 * MBI_DIGEST_SIZE);
    for (size_t i = 0; i < MBI_COUNT(block_name); i++) {
        const int32_t rc = tr->device
                               ? tr->device->read(tr->state, block_kind[i], block_at(tr, i), err)
                               : MAMBAINT_OK;

        if (rc < 0)
            return rc;
        mbi_container_add_tensor(w, block_name[i], MBI_TENSOR_F32, 0, tr->layout.total,
                                 block_at(tr, i));
    }
    return MAMBAINT_OK;
}

static int32_t read_block(struct mbi_trainer *tr, struct mbi_container *c, size_t i,
                          mambaint_error *err)
{
    const struct mbi_tensor *t = mbi_container_tensor(c, block_name[i]);
    float *block = block_at(tr, i);

    if (!t || t->type != MBI_TENSOR_F32 || t->rows != 1 || t->cols != tr->layout.total)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "checkpoint: '%s' is missing or has another shape",
                        block_name[i]);
    mbi_copy_le(block, t->data, tr->layout.total, sizeof(float));
    if (!mbi_block_finite(&tr->layout, block))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "checkpoint: '%s' holds something that is no number", block_name[i]);
    for (size_t k = 0; i == 2 && k < tr->layout.total; k++)
        if (block[k] < 0)
            return mbi_fail(err, MAMBAINT_E_FORMAT, "checkpoint: '%s' holds a negative value",
                            block_name[i]);
    return tr->device ? tr->device->write(tr->state, block_kind[i], block, err) : MAMBAINT_OK;
}

int32_t mbi_trainer_read(struct mbi_trainer *tr, struct mbi_container *c, mambaint_error *err)
{
    char want[2 * MBI_DIGEST_SIZE + 1], got[2 * MBI_DIGEST_SIZE + 1];
    uint64_t step = 0;
    int32_t rc = mbi_container_u64(&step, c, KEY_STEP, err);

    if (rc < 0 || (rc = mbi_container_word(got, sizeof(got), c, KEY_GRAPH, err)) < 0)
        return rc;
    mbi_hex(want, tr->graph->digest, MBI_DIGEST_SIZE);
    if (strcmp(want, got))
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "the checkpoint belongs to another model shape");
    if (step > tr->set.steps)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "checkpoint: more steps made than the run has");
    for (size_t i = 0; i < MBI_COUNT(block_name); i++)
        if ((rc = read_block(tr, c, i, err)) < 0)
            return rc;
    tr->step = step;
    return quantise(tr, err);
}

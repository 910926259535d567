/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the CPU backends: walks a program's order and calls a kernel for each node. */
#include "cpu/cpu.h"
#include "base/intmath.h"
#include "graph/element.h"
#include <string.h>

/* Below this many bytes touched a node is not worth waking a second thread for. */
#define PARALLEL_BYTES ((size_t)1 << 18)

struct mbi_weights {
    const struct mbi_host *host;
    const void *const *param;
};

struct mbi_memory {
    const struct mbi_host *host;
    size_t size;
    char *live;
};

struct mbi_image {
    const struct mbi_program *program;
    const struct mbi_weights *weights;
    struct mbi_cpu_kernels kernels;
    char *scratch;
};

int32_t mbi_cpu_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                            const struct mbi_graph *graph, const void *const *param,
                            mambaint_error *err)
{
    (void)graph;
    if (!(*out = mbi_alloc(host, 1, sizeof(**out))))
        return mbi_fail_memory(err, "weights");
    **out = (struct mbi_weights){host, param};
    return MAMBAINT_OK;
}

int32_t mbi_cpu_weights_update(struct mbi_weights *w, mambaint_error *err)
{
    (void)w, (void)err; /* the kernels read the caller's arrays */
    return MAMBAINT_OK;
}

void mbi_cpu_weights_free(struct mbi_weights *w)
{
    if (w)
        mbi_free(w->host, w);
}

int32_t mbi_cpu_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                           mambaint_error *err)
{
    struct mbi_memory *m = mbi_alloc(program->host, 1, sizeof(*m));

    if (m) {
        *m = (struct mbi_memory){program->host, program->state_size, NULL};
        m->live = mbi_alloc_aligned(m->host, m->size + 1);
    }
    if (!m || !m->live) {
        mbi_cpu_memory_free(m);
        *out = NULL;
        return mbi_fail_memory(err, "a stream's state");
    }
    *out = m;
    return MAMBAINT_OK;
}

void mbi_cpu_memory_free(struct mbi_memory *m)
{
    if (!m)
        return;
    mbi_free_aligned(m->host, m->live);
    mbi_free(m->host, m);
}

int32_t mbi_cpu_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err)
{
    (void)err;
    memcpy(live, m->live, m->size);
    return MAMBAINT_OK;
}

int32_t mbi_cpu_memory_write(struct mbi_memory *m, const void *live, mambaint_error *err)
{
    (void)err;
    memcpy(m->live, live, m->size);
    return MAMBAINT_OK;
}

int32_t mbi_cpu_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                            mambaint_error *err)
{
    return mbi_cpu_memory_write(to, from->live, err);
}

int32_t mbi_cpu_image_new(struct mbi_image **out, const struct mbi_program *program,
                          struct mbi_weights *w, const struct mbi_cpu_kernels *kernels,
                          mambaint_error *err)
{
    struct mbi_image *image = mbi_alloc(program->host, 1, sizeof(*image));

    if (image) {
        image->program = program;
        image->weights = w;
        image->kernels = *kernels;
        image->scratch = mbi_alloc_aligned(program->host, program->scratch_size + 1);
    }
    if (!image || !image->scratch) {
        mbi_cpu_image_free(image);
        *out = NULL;
        return mbi_fail_memory(err, "scratch memory of a program");
    }
    *out = image;
    return MAMBAINT_OK;
}

void mbi_cpu_image_free(struct mbi_image *image)
{
    if (!image)
        return;
    mbi_free_aligned(image->program->host, image->scratch);
    mbi_free(image->program->host, image);
}

/* ---- one node ---- */

struct call {
    mbi_kernel eval;
    struct mbi_op_args args;
};

static void call_part(void *arg, size_t begin, size_t end)
{
    const struct call *c = arg;
    struct mbi_op_args args = c->args;

    args.begin = begin;
    args.end = end;
    c->eval(&args);
}

static const struct mbi_node *node_of(const struct mbi_image *image, mbi_ref ref)
{
    return &image->program->graph->node[ref];
}

/* Inputs and output of a node for the lanes from `lane` on; returns the bytes it touches. */
static size_t bind(struct mbi_op_args *a, const struct mbi_image *image, mbi_ref ref, size_t lane,
                   size_t lanes)
{
    const struct mbi_value_plan *value = image->program->value;
    const struct mbi_node *node = node_of(image, ref);
    size_t bytes = value[ref].row_size * lanes;

    *a = (struct mbi_op_args){.attr = node->attr, .out_type = &node->type, .lanes = lanes};
    a->out = image->scratch + value[ref].offset + lane * value[ref].row_size;
    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        const mbi_ref in = node->in[k];
        const struct mbi_node *source = node_of(image, in);

        a->in_type[k] = &source->type;
        a->in_is_param[k] = mbi_node_is_param(source);
        if (a->in_is_param[k]) {
            a->in[k] = image->weights->param[source->param];
            bytes += mbi_type_row_size(&source->type) * source->type.rows * lanes;
        } else {
            a->in[k] = image->scratch + value[in].offset + lane * value[in].row_size;
            bytes += value[in].row_size * lanes;
        }
    }
    return bytes;
}

static void evaluate(const struct mbi_image *image, mbi_ref ref, struct mbi_op_args *a,
                     size_t bytes)
{
    const uint32_t op = node_of(image, ref)->op;
    const struct mbi_op_def *def = mbi_op_table[op].def;
    struct call c = {image->kernels.eval[op], *a};
    const size_t units = def->units(a);

    if (bytes < PARALLEL_BYTES)
        call_part(&c, 0, units);
    else
        mbi_parallel_for(image->program->host, units, 1, call_part, &c);
    if (def->finish)
        def->finish(a);
}

/* ---- -Dverify=true: what was proven when the graph was built, looked at while it runs ---- */

#ifndef MBI_VERIFY
#define MBI_VERIFY 0
#endif

static bool inside(const void *array, uint32_t dtype, size_t n, int64_t lo, int64_t hi)
{
    for (size_t i = 0; i < n; i++)
        if (mbi_get(array, dtype, i) < lo || mbi_get(array, dtype, i) > hi)
            return false;
    return true;
}

static int32_t verify_state(const struct mbi_image *image, mbi_ref ref,
                            const struct mbi_batch *batch, mambaint_error *err)
{
    const struct mbi_program *p = image->program;

    for (size_t i = p->first_part[ref]; i < p->n_parts && p->part[i].node == ref; i++)
        for (size_t r = 0; r < batch->n_runs; r++) {
            const struct mbi_state_field *f = &p->part[i].field;

            if (!inside(batch->run[r].memory->live + p->part[i].offset, f->dtype, f->count, f->lo,
                        f->hi))
                return mbi_fail(err, MAMBAINT_E_INTERNAL, "node %u (%s): %s left its interval", ref,
                                mbi_op_table[node_of(image, ref)->op].name, f->name);
        }
    return MAMBAINT_OK;
}

static int32_t verify_value(const struct mbi_image *image, mbi_ref ref, size_t lanes,
                            mambaint_error *err)
{
    const struct mbi_node *node = node_of(image, ref);
    const struct mbi_type *t = &node->type;

    if (inside(mbi_cpu_view(image, ref), t->dtype, lanes * t->cols, t->lo, t->hi))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_INTERNAL, "node %u (%s, \"%s\") left its interval", ref,
                    mbi_op_table[node->op].name, node->label);
}

/* ---- a run ---- */

/* A node with memory runs stream by stream. */
static void run_stateful(const struct mbi_image *image, mbi_ref ref, const struct mbi_batch *batch)
{
    const struct mbi_program *p = image->program;
    size_t lane = 0;

    for (size_t r = 0; r < batch->n_runs; r++) {
        const struct mbi_run *run = &batch->run[r];
        struct mbi_op_args a;
        const size_t bytes = bind(&a, image, ref, lane, run->n);

        a.pos = run->pos;
        for (size_t i = p->first_part[ref]; i < p->n_parts && p->part[i].node == ref; i++)
            a.state[p->part[i].index] = run->memory->live + p->part[i].offset;
        evaluate(image, ref, &a, bytes * 8); /* a recurrence does more per byte */
        lane += run->n;
    }
}

static int32_t run_nodes(const struct mbi_image *image, uint32_t from, uint32_t to, size_t lanes,
                         const struct mbi_batch *batch, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    int32_t rc = MAMBAINT_OK;

    for (uint32_t s = from; s < to && rc == MAMBAINT_OK; s++) {
        const mbi_ref ref = p->order[s];
        struct mbi_op_args a;

        if (p->first_part[ref] != MBI_NONE) {
            run_stateful(image, ref, batch);
            if (MBI_VERIFY)
                rc = verify_state(image, ref, batch, err);
        } else {
            evaluate(image, ref, &a, bind(&a, image, ref, 0, lanes));
        }
        if (MBI_VERIFY && rc == MAMBAINT_OK)
            rc = verify_value(image, ref, lanes, err);
    }
    return rc;
}

/* Move the last lane of each run to the front of every value that the tail reads. */
static void gather_last(const struct mbi_image *image, const struct mbi_batch *batch)
{
    const struct mbi_program *p = image->program;

    for (mbi_ref i = 0; i < p->graph->n_nodes; i++) {
        const size_t row = p->value[i].row_size;
        char *base = image->scratch + p->value[i].offset;
        size_t lane = 0;

        if (!p->value[i].crosses)
            continue;
        for (size_t r = 0; r < batch->n_runs; r++) {
            lane += batch->run[r].n;
            memmove(base + r * row, base + (lane - 1) * row, row);
        }
    }
}

int32_t mbi_cpu_run(struct mbi_image *image, const struct mbi_batch *batch, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    int32_t *ids = (int32_t *)(void *)(image->scratch + p->value[0].offset);
    size_t lanes = 0, out_lanes;
    int32_t rc;

    for (size_t r = 0; r < batch->n_runs; r++) {
        if (batch->run[r].n > p->lanes - lanes)
            return mbi_fail(err, MAMBAINT_E_INTERNAL, "more tokens than the program has lanes");
        memcpy(ids + lanes, batch->run[r].ids, batch->run[r].n * sizeof(*ids));
        lanes += batch->run[r].n;
    }
    out_lanes = batch->all_outputs || p->keep ? lanes : batch->n_runs;
    if (out_lanes > p->out_lanes)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "more outputs than the program has room for");
    if ((rc = run_nodes(image, 0, p->n_body, lanes, batch, err)) < 0)
        return rc;
    if (out_lanes < lanes)
        gather_last(image, batch);
    return run_nodes(image, p->n_body, p->n_order, out_lanes, batch, err);
}

const void *mbi_cpu_view(const struct mbi_image *image, mbi_ref value)
{
    return image->scratch + image->program->value[value].offset;
}

int32_t mbi_cpu_peek(void *out, struct mbi_image *image, mbi_ref value, size_t lane, size_t n,
                     mambaint_error *err)
{
    const size_t row = image->program->value[value].row_size;

    (void)err;
    memcpy(out, (const char *)mbi_cpu_view(image, value) + lane * row, n * row);
    return MAMBAINT_OK;
}

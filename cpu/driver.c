/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the CPU backends: walks the steps of an image and calls their kernels. */
#include "cpu/driver.h"
#include "exec/profile.h"
#include "graph/element.h"
#include <string.h>

/* Below this many products and bytes a step is not worth waking a second thread for. */
#define PARALLEL_WORK ((size_t)1 << 17)

/* More than this would push itself out of the caches before it is read. */
#define FETCH_MOST ((size_t)8 << 20)

/* ---- one step ---- */

struct call {
    mbi_kernel eval;
    const struct mbi_op_args *args;
};

static void call_part(void *arg, size_t begin, size_t end)
{
    const struct call *c = arg;
    struct mbi_op_args args = *c->args;

    args.begin = begin;
    args.end = end;
    c->eval(&args);
}

/* Point the nodes of a step at the lanes from `lane` on. */
static void place(const struct mbi_image *image, struct mbi_step *step, size_t lane, size_t lanes)
{
    const struct mbi_value_plan *value = image->program->value;
    const struct mbi_graph *g = image->program->graph;

    if (step->lane == lane && step->lanes == lanes)
        return;
    step->lane = lane;
    step->lanes = lanes;
    for (uint32_t i = 0; i < step->n; i++) {
        struct mbi_op_args *a = &step->args[i];
        const struct mbi_node *node = &g->node[step->node[i]];

        a->lanes = lanes;
        a->out =
            image->scratch + value[step->node[i]].offset + lane * value[step->node[i]].row_size;
        for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++)
            if (!a->in_is_param[k])
                a->in[k] =
                    image->scratch + value[node->in[k]].offset + lane * value[node->in[k]].row_size;
    }
}

/* Point them at a stream's state. */
static void enter_stream(const struct mbi_image *image, struct mbi_step *step,
                         const struct mbi_run *run)
{
    const struct mbi_program *p = image->program;

    for (uint32_t i = 0; i < step->n; i++)
        step->args[i].pos = run->pos;
    if (step->live == run->memory->live)
        return;
    step->live = run->memory->live;
    for (uint32_t i = 0; i < step->n; i++) {
        struct mbi_op_args *a = &step->args[i];
        const mbi_ref ref = step->node[i];

        a->copy = run->memory->live + image->copy_offset[ref];
        for (size_t k = p->first_part[ref]; k < p->n_parts && p->part[k].node == ref; k++)
            a->state[p->part[k].index] = run->memory->live + p->part[k].offset;
    }
}

static const struct mbi_op_def *def_of(const struct mbi_image *image, mbi_ref ref)
{
    return mbi_op_table[image->program->graph->node[ref].op].def;
}

/* The parts of a step, then what its nodes do once at the end. */
static void evaluate(const struct mbi_image *image, struct mbi_step *step)
{
    struct mbi_op_args *a = step->args;
    const struct mbi_cpu_op *kernel = step->kernel;
    struct call c = {kernel->eval, a};
    const size_t units = step->units(a);
    const uint64_t begin = image->profiling ? mbi_cpu_now() : 0;

    if (kernel->prepare)
        kernel->prepare(a);
    if (!image->program->host->pool || step->lane_work * a->lanes < PARALLEL_WORK) {
        a->begin = 0;
        a->end = units;
        kernel->eval(a);
    } else {
        mbi_parallel_for(image->program->host, units, 1, call_part, &c);
    }
    for (uint32_t i = 0; step->finishes && i < step->n; i++)
        if (def_of(image, step->node[i])->finish)
            def_of(image, step->node[i])->finish(&a[i]);
    if (image->profiling)
        mbi_profile_add(image->profile, kernel->name, mbi_cpu_now() - begin);
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
                                mbi_op_table[p->graph->node[ref].op].name, f->name);
        }
    return MAMBAINT_OK;
}

static int32_t verify_value(const struct mbi_image *image, mbi_ref ref, size_t lanes,
                            mambaint_error *err)
{
    const struct mbi_node *node = &image->program->graph->node[ref];
    const struct mbi_type *t = &node->type;

    if (inside(mbi_cpu_view(image, ref), t->dtype, lanes * t->cols, t->lo, t->hi))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_INTERNAL, "node %u (%s, \"%s\") left its interval", ref,
                    mbi_op_table[node->op].name, node->label);
}

/* ---- a run ---- */

/* Nodes with memory run stream by stream. */
static void run_stateful(const struct mbi_image *image, struct mbi_step *step,
                         const struct mbi_batch *batch)
{
    size_t lane = 0;

    for (size_t r = 0; r < batch->n_runs; r++) {
        place(image, step, lane, batch->run[r].n);
        enter_stream(image, step, &batch->run[r]);
        evaluate(image, step);
        lane += batch->run[r].n;
    }
}

/* What is brought near during a step: a part of what its reader will read of all streams. */
static void set_fetch(const struct mbi_image *image, struct mbi_step *step,
                      const struct mbi_batch *batch)
{
    struct mbi_step *reader = step->reader;
    struct mbi_fetch *f = &step->args->fetch;
    size_t lines;

    *f = (struct mbi_fetch){.base = image->fetch};
    if (!reader || batch->n_runs == 1)
        return;
    for (size_t r = 0; r < batch->n_runs; r++) {
        image->fetch[r] = batch->run[r].memory->live + image->copy_offset[reader->node[0]];
        reader->args->pos = batch->run[r].pos;
        f->size = mbi_max_size(f->size, reader->kernel->copy_front(reader->args));
    }
    f->size = mbi_align_size(f->size, MBI_LINE);
    lines = mbi_min_size(batch->n_runs * f->size, FETCH_MOST) / MBI_LINE;
    f->begin = lines * step->fetch_begin / step->fetch_all * MBI_LINE;
    f->end = lines * step->fetch_end / step->fetch_all * MBI_LINE;
}

static int32_t run_steps(const struct mbi_image *image, uint32_t from, uint32_t to, size_t lanes,
                         const struct mbi_batch *batch, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (uint32_t s = from; s < to && rc == MAMBAINT_OK; s++) {
        struct mbi_step *step = &image->step[s];

        if (step->stateful) {
            run_stateful(image, step, batch);
        } else {
            place(image, step, 0, lanes);
            set_fetch(image, step, batch);
            evaluate(image, step);
        }
        for (uint32_t i = 0; MBI_VERIFY && i < step->n && rc == MAMBAINT_OK; i++) {
            if (image->program->first_part[step->node[i]] != MBI_NONE)
                rc = verify_state(image, step->node[i], batch, err);
            if (rc == MAMBAINT_OK)
                rc = verify_value(image, step->node[i], lanes, err);
        }
    }
    return rc;
}

/* Copies of a state that was put in from outside, or that is new. */
static void make_copies(const struct mbi_image *image, const struct mbi_batch *batch)
{
    for (size_t r = 0; r < batch->n_runs; r++) {
        if (!batch->run[r].memory->stale)
            continue;
        for (uint32_t s = 0; s < image->n_steps; s++)
            if (image->step[s].kernel->copy_make) {
                enter_stream(image, &image->step[s], &batch->run[r]);
                image->step[s].kernel->copy_make(image->step[s].args);
            }
        batch->run[r].memory->stale = false;
    }
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
    const size_t row = p->value[0].row_size;
    char *in = image->scratch + p->value[0].offset;
    size_t lanes = 0, out_lanes;
    int32_t rc;

    for (size_t r = 0; r < batch->n_runs; r++) {
        if (batch->run[r].n > p->lanes - lanes)
            return mbi_fail(err, MAMBAINT_E_INTERNAL, "more tokens than the program has lanes");
        memcpy(in + lanes * row, batch->run[r].in, batch->run[r].n * row);
        lanes += batch->run[r].n;
    }
    out_lanes = batch->all_outputs || p->keep ? lanes : batch->n_runs;
    if (out_lanes > p->out_lanes)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "more outputs than the program has room for");
    make_copies(image, batch);
    if ((rc = run_steps(image, 0, image->n_body, lanes, batch, err)) < 0)
        return rc;
    if (out_lanes < lanes)
        gather_last(image, batch);
    return run_steps(image, image->n_body, image->n_steps, out_lanes, batch, err);
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

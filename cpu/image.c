/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: a program made ready for one table of kernels. Everything that does not change from run
 * to run is looked up here once: which kernel does which nodes, types, attributes, parameters.
 */
#include "cpu/driver.h"

#ifndef MBI_VERIFY
#define MBI_VERIFY 0 /* looks at every value, so nothing is fused */
#endif

struct mbi_op_args mbi_node_args(const struct mbi_graph *graph, mbi_ref ref)
{
    const struct mbi_node *node = &graph->node[ref];
    struct mbi_op_args a = {.attr = node->attr, .out_type = &node->type};

    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        const struct mbi_node *source = &graph->node[node->in[k]];

        a.in_type[k] = &source->type;
        a.in_is_param[k] = mbi_node_is_param(source);
    }
    return a;
}

/* ---- which nodes one kernel does ---- */

static const struct mbi_node *node_at(const struct mbi_program *p, uint32_t s)
{
    return &p->graph->node[p->order[s]];
}

/* Chain the arguments of n nodes; what they were chained to before is forgotten. */
static void chain(struct mbi_op_args *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        args[i].next = i + 1 < n ? &args[i + 1] : NULL;
}

/* Inner values are read by the pattern alone, at the place it says. */
static bool pattern_matches(struct mbi_image *image, const struct mbi_cpu_pattern *pattern,
                            uint32_t s, uint32_t end, const uint32_t *readers)
{
    const struct mbi_program *p = image->program;

    if (pattern->n > end - s)
        return false;
    for (uint32_t i = 0; i < pattern->n; i++)
        if (node_at(p, s + i)->op != pattern->op[i])
            return false;
    for (uint32_t i = 0; i + 1 < pattern->n; i++)
        if (readers[p->order[s + i]] != 1 ||
            node_at(p, s + pattern->reader[i])->in[pattern->slot[i]] != p->order[s + i])
            return false;
    chain(&image->args[s], pattern->n);
    if (!pattern->fits || pattern->fits(&image->args[s]))
        return true;
    chain(&image->args[s], 1);
    return false;
}

/* How often each value is read; an output counts as read from outside. */
static void count_readers(uint32_t *readers, const struct mbi_program *p)
{
    const struct mbi_graph *g = p->graph;

    for (uint32_t s = 0; s < p->n_order; s++)
        for (size_t k = 0; k < mbi_op_table[node_at(p, s)->op].n_in; k++)
            readers[node_at(p, s)->in[k]]++;
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        readers[i] += mbi_graph_gives(g, i) ? 2 : 0;
}

static const struct mbi_cpu_pattern *find_pattern(struct mbi_image *image, uint32_t s,
                                                  const uint32_t *readers)
{
    const struct mbi_program *p = image->program;
    const uint32_t end = s < p->n_body ? p->n_body : p->n_order;

    const struct mbi_cpu_pattern *const *pattern = image->kernels.pattern;

    if (!pattern || p->keep || MBI_VERIFY)
        return NULL;
    while (*pattern && !pattern_matches(image, *pattern, s, end, readers))
        pattern++;
    return *pattern;
}

/* ---- steps ---- */

/* Products and bytes of a lane: what decides whether a second thread is worth waking. */
static size_t node_work(const struct mbi_program *p, mbi_ref ref)
{
    const struct mbi_node *node = &p->graph->node[ref];
    size_t work = p->value[ref].row_size;

    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        const struct mbi_type *t = &p->graph->node[node->in[k]].type;

        work += mbi_type_row_size(t) * t->rows;
    }
    for (size_t i = p->first_part[ref]; i < p->n_parts && p->part[i].node == ref; i++)
        work += p->part[i].field.count;
    return work;
}

static void make_step(struct mbi_image *image, uint32_t s, const struct mbi_cpu_pattern *pattern)
{
    const struct mbi_program *p = image->program;
    struct mbi_step *step = &image->step[image->n_steps++];

    *step = (struct mbi_step){.kernel = pattern ? &pattern->kernel
                                                : &image->kernels.op[node_at(p, s)->op],
                              .args = &image->args[s],
                              .node = &p->order[s],
                              .n = pattern ? pattern->n : 1};
    for (uint32_t i = 0; i < step->n; i++) {
        step->lane_work += node_work(p, step->node[i]);
        step->stateful |= p->first_part[step->node[i]] != MBI_NONE;
        step->finishes |= mbi_op_table[node_at(p, s + i)->op].def->finish != NULL;
    }
    step->units =
        step->kernel->units ? step->kernel->units : mbi_op_table[node_at(p, s)->op].def->units;
}

static int32_t make_steps(struct mbi_image *image, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    uint32_t *readers = mbi_alloc(p->host, p->graph->n_nodes, sizeof(*readers));

    if (!readers)
        return mbi_fail_memory(err, "a program's steps");
    count_readers(readers, p);
    for (uint32_t s = 0; s < p->n_order; s += image->step[image->n_steps - 1].n) {
        if (s == p->n_body)
            image->n_body = image->n_steps;
        make_step(image, s, find_pattern(image, s, readers));
    }
    if (p->n_body == p->n_order)
        image->n_body = image->n_steps;
    mbi_free(p->host, readers);
    return MAMBAINT_OK;
}

/*
 * While the products before the recurrence are made from weights in a cache, its copies can be on
 * their way from memory. Which part of them in which step: as the weights have it.
 */
static void plan_fetches(struct mbi_image *image)
{
    size_t first = 0, all = 0;

    for (size_t s = 0; s < image->n_steps; s++) {
        struct mbi_step *reader = &image->step[s];
        const mbi_ref ref = reader->node[0];

        if (image->program->graph->node[ref].op == MBI_OP_matvec) {
            reader->fetch_begin = all;
            reader->fetch_end = all += reader->lane_work;
        }
        if (!reader->kernel->copy_front || !all)
            continue;
        for (; first < s; first++) {
            image->step[first].reader = image->step[first].fetch_end ? reader : NULL;
            image->step[first].fetch_all = all;
        }
        all = 0;
    }
}

/* ---- arguments and scratch ---- */

static void make_args(struct mbi_image *image)
{
    const struct mbi_program *p = image->program;

    for (uint32_t s = 0; s < p->n_order; s++) {
        struct mbi_op_args *a = &image->args[s];
        const struct mbi_node *node = node_at(p, s);

        *a = mbi_node_args(p->graph, p->order[s]);
        for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++)
            if (a->in_is_param[k]) {
                const uint32_t param = p->graph->node[node->in[k]].param;

                a->in[k] = image->weights->param[param];
                if (node->op == MBI_OP_matvec)
                    a->packed = mbi_weights_packed(image->weights, param);
            }
    }
}

/* The kernels' scratch for the longest run that any step can get. */
static int32_t make_work(struct mbi_image *image, mambaint_error *err)
{
    const struct mbi_program *p = image->program;
    size_t size = 1;

    for (uint32_t i = 0; i < image->n_steps; i++) {
        struct mbi_op_args first = *image->step[i].args;

        first.lanes = p->lanes;
        if (image->step[i].kernel->work_size)
            size = mbi_max_size(size, image->step[i].kernel->work_size(&first));
    }
    if (!(image->work = mbi_alloc_aligned(p->host, size)))
        return mbi_fail_memory(err, "scratch memory of a program");
    for (uint32_t i = 0; i < image->n_steps; i++)
        image->step[i].args->work = image->work;
    return MAMBAINT_OK;
}

int32_t mbi_cpu_image_new(struct mbi_image **out, const struct mbi_program *program,
                          struct mbi_weights *w, const struct mbi_cpu_kernels *kernels,
                          mambaint_error *err)
{
    const struct mbi_host *host = program->host;
    const size_t n = (size_t)program->n_order + 1;
    struct mbi_image *image = mbi_alloc(host, 1, sizeof(*image));
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    if (!image)
        return mbi_fail_memory(err, "a program");
    image->program = program;
    image->weights = w;
    image->kernels = *kernels;
    image->scratch = mbi_alloc_aligned(host, program->scratch_size + 1);
    image->args = mbi_alloc(host, n, sizeof(*image->args));
    image->step = mbi_alloc(host, n, sizeof(*image->step));
    image->copy_offset = mbi_alloc(host, program->graph->n_nodes, sizeof(*image->copy_offset));
    image->fetch = mbi_alloc(host, program->lanes + 1, sizeof(*image->fetch));
    if (!image->scratch || !image->args || !image->step || !image->copy_offset || !image->fetch) {
        rc = mbi_fail_memory(err, "scratch memory of a program");
    } else {
        mbi_copy_layout(image->copy_offset, program, kernels);
        make_args(image);
        if ((rc = make_steps(image, err)) >= 0)
            rc = make_work(image, err);
        if (rc >= 0)
            plan_fetches(image);
    }
    if (rc < 0) {
        mbi_cpu_image_free(image);
        return rc;
    }
    *out = image;
    return MAMBAINT_OK;
}

void mbi_cpu_image_free(struct mbi_image *image)
{
    const struct mbi_host *host;

    if (!image)
        return;
    host = image->program->host;
    mbi_free_aligned(host, image->scratch);
    mbi_free_aligned(host, image->work);
    mbi_free(host, image->args);
    mbi_free(host, image->step);
    mbi_free(host, image->copy_offset);
    mbi_free(host, image->fetch);
    mbi_free(host, image->profile);
    mbi_free(host, image);
}

const struct mbi_profile *mbi_cpu_profile(struct mbi_image *image, bool on)
{
    if (on && !image->profile)
        image->profile = mbi_alloc(image->program->host, 1, sizeof(*image->profile));
    image->profiling = on && image->profile;
    return image->profile;
}

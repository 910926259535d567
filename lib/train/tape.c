/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a graph for training: plan of the buffers, forward, loss, backward. */
#include "train/tape.h"
#include "base/intmath.h"
#include "train/op/op_grad.h"
#include "train/vector.h"
#include <math.h>
#include <string.h>

#define LOG2_E 1.44269504f

struct mbi_tape {
    const struct mbi_tape_plan *plan;
    struct mbi_image *image;    /* integers alone, as the next two */
    struct mbi_memory **memory; /* one a stream */
    struct mbi_run *run;
    float *value;                /* of the twins */
    float *d;                    /* gradients of values */
    float *row;                  /* one lane of logits, where there is no gradient to keep it */
    float *in[MBI_MAX_IN], *out; /* values as floats, while one node's backward runs */
    char *scratch;
    size_t scratch_size;
    const int32_t *ids;
    size_t streams, tokens;
};

static size_t n_inputs(const struct mbi_node *node) { return mbi_op_table[node->op].n_in; }

static const struct mbi_op_grad *grad_of(const struct mbi_node *node)
{
    return mbi_op_table[node->op].def->grad;
}

/* ---- the plan ---- */

/* A value's gradient is wanted if it depends on a parameter and the logits depend on it. */
static void mark_wanted(struct mbi_tape_plan *plan)
{
    const struct mbi_graph *g = plan->graph;
    bool *reach = plan->wanted; /* first: the logits depend on it */

    reach[g->logits] = true;
    for (mbi_ref i = g->n_nodes; i-- > 0;)
        if (g->node[i].op && reach[i] && !grad_of(&g->node[i])->no_grad)
            for (size_t k = 0; k < n_inputs(&g->node[i]); k++)
                reach[g->node[i].in[k]] = true;
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];
        bool depends = mbi_node_is_param(node) && plan->layout->at[node->param] != SIZE_MAX;

        if (node->op && !grad_of(node)->no_grad)
            for (size_t k = 0; k < n_inputs(node); k++)
                depends |= plan->wanted[node->in[k]];
        plan->wanted[i] = reach[i] && depends;
    }
}

/* Blocks of a growing space that are free again, to be taken by the next value that fits. */
struct space {
    size_t *offset, *size, n;
    size_t end;
};

static size_t take(struct space *s, size_t size)
{
    size_t best = s->n, at = s->end;

    for (size_t i = 0; i < s->n; i++)
        if (s->size[i] >= size && (best == s->n || s->size[i] < s->size[best]))
            best = i;
    if (best == s->n) {
        s->end += size;
        return at;
    }
    at = s->offset[best];
    s->offset[best] += size;
    s->size[best] -= size;
    if (!s->size[best]) {
        s->n--;
        s->offset[best] = s->offset[s->n];
        s->size[best] = s->size[s->n];
    }
    return at;
}

static void give(struct space *s, size_t offset, size_t size)
{
    s->offset[s->n] = offset;
    s->size[s->n++] = size;
}

/* Floats of one lane, so that every value starts at a multiple of 64 bytes. */
static size_t lane_size(const struct mbi_tape_plan *plan, mbi_ref ref)
{
    return mbi_align_size(plan->graph->node[ref].type.cols, 16);
}

/* Gradients live from the first node (in reverse) that adds to them to their own node. */
static void plan_gradients(struct mbi_tape_plan *plan, struct space *s)
{
    const struct mbi_graph *g = plan->graph;
    const struct mbi_program *p = plan->program;

    for (mbi_ref i = 0; i < g->n_nodes; i++)
        plan->d_first[i] = UINT32_MAX;
    plan->d_at[g->logits] = take(s, lane_size(plan, g->logits));
    for (uint32_t step = p->n_order; step-- > 0;) {
        const mbi_ref ref = p->order[step];
        const struct mbi_node *node = &g->node[ref];

        if (!plan->wanted[ref])
            continue;
        for (size_t k = 0; k < n_inputs(node); k++) {
            const mbi_ref in = node->in[k];

            if (!plan->wanted[in] || mbi_node_is_param(&g->node[in]) ||
                plan->d_first[in] != UINT32_MAX)
                continue;
            plan->d_first[in] = step;
            plan->d_at[in] = take(s, lane_size(plan, in));
        }
        give(s, plan->d_at[ref], lane_size(plan, ref));
    }
    plan->d_cols = s->end;
}

/* The twins' values: all kept, or each until its last reader. */
static void plan_values(struct mbi_tape_plan *plan, struct space *s, uint32_t *last)
{
    const struct mbi_graph *g = plan->graph;
    const struct mbi_program *p = plan->program;

    for (uint32_t step = 0; step < p->n_order; step++)
        for (size_t k = 0; k < n_inputs(&g->node[p->order[step]]); k++)
            last[g->node[p->order[step]].in[k]] = step;
    last[g->logits] = UINT32_MAX;
    for (uint32_t step = 0; step < p->n_order; step++) {
        const struct mbi_node *node = &g->node[p->order[step]];

        plan->value_at[p->order[step]] = take(s, lane_size(plan, p->order[step]));
        if (plan->mode != MBI_TAPE_FLOAT_FORWARD)
            continue;
        for (size_t k = 0; k < n_inputs(node); k++) {
            const mbi_ref in = node->in[k];

            if (g->node[in].op && last[in] == step) {
                give(s, plan->value_at[in], lane_size(plan, in));
                last[in] = UINT32_MAX; /* a value that is read twice dies once */
            }
        }
    }
    plan->value_cols = s->end;
}

/* Widest input and output that some backward reads as floats although they are integers. */
static void plan_reads(struct mbi_tape_plan *plan)
{
    const struct mbi_graph *g = plan->graph;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (!node->op || !plan->wanted[i])
            continue;
        for (size_t k = 0; k < n_inputs(node); k++)
            if (grad_of(node)->needs_in >> k & 1 && !mbi_node_is_param(&g->node[node->in[k]]))
                plan->in_cols[k] = mbi_max_size(plan->in_cols[k], lane_size(plan, node->in[k]));
        if (grad_of(node)->needs_out)
            plan->out_cols = mbi_max_size(plan->out_cols, lane_size(plan, i));
    }
}

static int32_t plan_buffers(struct mbi_tape_plan *plan, mambaint_error *err)
{
    const size_t n = (size_t)plan->graph->n_nodes + 1;
    struct space d = {.offset = mbi_alloc(plan->host, n, sizeof(size_t)),
                      .size = mbi_alloc(plan->host, n, sizeof(size_t))};
    uint32_t *last = mbi_alloc(plan->host, n, sizeof(*last));
    int32_t rc = MAMBAINT_OK;

    if (!d.offset || !d.size || !last) {
        rc = mbi_fail_memory(err, "a training plan");
    } else {
        struct space v = {.offset = d.offset, .size = d.size};

        if (plan->mode != MBI_TAPE_FLOAT_FORWARD)
            plan_gradients(plan, &d);
        if (plan->mode != MBI_TAPE_INTEGERS)
            plan_values(plan, &v, last);
        else
            plan_reads(plan);
    }
    mbi_free(plan->host, d.offset);
    mbi_free(plan->host, d.size);
    mbi_free(plan->host, last);
    return rc;
}

static int32_t plan_fill(struct mbi_tape_plan *plan, const struct mbi_tape_setup *setup,
                         mambaint_error *err)
{
    const bool integers = setup->mode == MBI_TAPE_INTEGERS;
    const size_t n = (size_t)plan->graph->n_nodes + 1;
    int32_t rc;

    if (mbi_graph_takes_features(plan->graph))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "a graph of features cannot be trained yet");
    if (integers && !setup->elsewhere && !setup->backend->view)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "backend '%s' keeps its values elsewhere; train with another one",
                        setup->backend->name);
    if ((rc = mbi_program_create(&plan->program, plan->host, plan->graph,
                                 integers ? plan->lanes : 1, 1, integers, err)) < 0)
        return rc;
    plan->wanted = mbi_alloc(plan->host, n, sizeof(*plan->wanted));
    plan->d_at = mbi_alloc(plan->host, n, sizeof(*plan->d_at));
    plan->value_at = mbi_alloc(plan->host, n, sizeof(*plan->value_at));
    plan->d_first = mbi_alloc(plan->host, n, sizeof(*plan->d_first));
    plan->zero_state = mbi_alloc_aligned(plan->host, plan->program->state_size + 1);
    if (!plan->wanted || !plan->d_at || !plan->value_at || !plan->d_first || !plan->zero_state)
        return mbi_fail_memory(err, "a training plan");
    mark_wanted(plan);
    return plan_buffers(plan, err);
}

int32_t mbi_tape_plan_create(struct mbi_tape_plan **out, const struct mbi_tape_setup *setup,
                             mambaint_error *err)
{
    struct mbi_tape_plan *plan = mbi_alloc(setup->layout->host, 1, sizeof(*plan));
    int32_t rc;

    *out = NULL;
    if (!plan)
        return mbi_fail_memory(err, "a training plan");
    plan->host = setup->layout->host;
    plan->graph = setup->layout->graph;
    plan->layout = setup->layout;
    plan->mode = setup->mode;
    plan->streams = setup->streams;
    plan->lanes = setup->lanes;
    plan->backend = setup->backend;
    plan->weights = setup->weights;
    plan->real = setup->real;
    plan->param = setup->param;
    plan->linalg = mbi_linalg_open();
    if ((rc = plan_fill(plan, setup, err)) < 0) {
        mbi_tape_plan_free(plan);
        return rc;
    }
    *out = plan;
    return MAMBAINT_OK;
}

void mbi_tape_plan_free(struct mbi_tape_plan *plan)
{
    if (!plan)
        return;
    mbi_program_free(plan->program);
    mbi_free(plan->host, plan->wanted);
    mbi_free(plan->host, plan->d_at);
    mbi_free(plan->host, plan->value_at);
    mbi_free(plan->host, plan->d_first);
    mbi_free_aligned(plan->host, plan->zero_state);
    mbi_free(plan->host, plan);
}

/* ---- the memory of one walk ---- */

static float *lanes_of(const struct mbi_tape_plan *plan, size_t cols)
{
    size_t n;

    if (!mbi_mul_size(&n, cols, plan->lanes) || n > SIZE_MAX / 8)
        return NULL;
    return mbi_alloc_aligned(plan->host, n * sizeof(float) + 1);
}

static bool tape_buffers(struct mbi_tape *t)
{
    const struct mbi_tape_plan *plan = t->plan;

    for (size_t k = 0; k < MBI_MAX_IN; k++)
        if (plan->in_cols[k] && !(t->in[k] = lanes_of(plan, plan->in_cols[k])))
            return false;
    if (plan->out_cols && !(t->out = lanes_of(plan, plan->out_cols)))
        return false;
    if (plan->d_cols && !(t->d = lanes_of(plan, plan->d_cols)))
        return false;
    if (plan->value_cols && !(t->value = lanes_of(plan, plan->value_cols)))
        return false;
    t->row = mbi_alloc_aligned(plan->host, lane_size(plan, plan->graph->logits) * sizeof(float));
    return t->row;
}

static int32_t tape_device(struct mbi_tape *t, mambaint_error *err)
{
    const struct mbi_tape_plan *plan = t->plan;
    int32_t rc;

    if (plan->mode != MBI_TAPE_INTEGERS)
        return MAMBAINT_OK;
    t->memory = mbi_alloc(plan->host, plan->streams, sizeof(struct mbi_memory *));
    t->run = mbi_alloc(plan->host, plan->streams, sizeof(*t->run));
    if (!t->memory || !t->run)
        return mbi_fail_memory(err, "a training tape");
    rc = plan->backend->image_new(&t->image, plan->program, plan->weights, err);
    for (size_t s = 0; rc == MAMBAINT_OK && s < plan->streams; s++)
        rc = plan->backend->memory_new(&t->memory[s], plan->program, err);
    return rc;
}

int32_t mbi_tape_create(struct mbi_tape **out, const struct mbi_tape_plan *plan,
                        mambaint_error *err)
{
    struct mbi_tape *t = mbi_alloc(plan->host, 1, sizeof(*t));
    int32_t rc;

    *out = NULL;
    if (!t)
        return mbi_fail_memory(err, "a training tape");
    t->plan = plan;
    rc = tape_buffers(t) ? tape_device(t, err) : mbi_fail_memory(err, "a training tape");
    if (rc < 0) {
        mbi_tape_free(t);
        return rc;
    }
    *out = t;
    return MAMBAINT_OK;
}

void mbi_tape_free(struct mbi_tape *t)
{
    const struct mbi_tape_plan *plan;

    if (!t)
        return;
    plan = t->plan;
    for (size_t s = 0; t->memory && s < plan->streams; s++)
        plan->backend->memory_free(t->memory[s]);
    if (t->image)
        plan->backend->image_free(t->image);
    mbi_free(plan->host, t->memory);
    mbi_free(plan->host, t->run);
    for (size_t k = 0; k < MBI_MAX_IN; k++)
        mbi_free_aligned(plan->host, t->in[k]);
    mbi_free_aligned(plan->host, t->out);
    mbi_free_aligned(plan->host, t->d);
    mbi_free_aligned(plan->host, t->value);
    mbi_free_aligned(plan->host, t->row);
    mbi_free_aligned(plan->host, t->scratch);
    mbi_free(plan->host, t);
}

/* ---- one node ---- */

static float *gradient_of(const struct mbi_tape *t, mbi_ref ref)
{
    return t->d + t->plan->d_at[ref] * t->plan->lanes;
}

static float *value_of(const struct mbi_tape *t, mbi_ref ref)
{
    return t->value + t->plan->value_at[ref] * t->plan->lanes;
}

static void bind_input(struct mbi_grad_args *a, const struct mbi_tape *t, size_t k, mbi_ref in)
{
    const struct mbi_tape_plan *plan = t->plan;
    const struct mbi_node *source = &plan->graph->node[in];
    const bool integers = plan->mode == MBI_TAPE_INTEGERS;

    a->in_type[k] = &source->type;
    a->in_is_param[k] = mbi_node_is_param(source);
    if (a->in_is_param[k]) {
        const size_t at = plan->layout->at[source->param];

        a->in[k] = at != SIZE_MAX ? plan->real + at : NULL;
        a->in_int[k] = integers ? plan->param[source->param] : NULL;
    } else if (!source->op) {
        a->in_int[k] = t->ids;
    } else if (integers) {
        a->in_int[k] = plan->backend->view(t->image, in);
    } else {
        a->in[k] = value_of(t, in);
    }
}

static void bind(struct mbi_grad_args *a, const struct mbi_tape *t, mbi_ref ref)
{
    const struct mbi_tape_plan *plan = t->plan;
    const struct mbi_node *node = &plan->graph->node[ref];

    *a = (struct mbi_grad_args){.out_type = &node->type,
                                .attr = node->attr,
                                .streams = t->streams,
                                .tokens = t->tokens,
                                .lanes = t->streams * t->tokens,
                                .integers = plan->mode == MBI_TAPE_INTEGERS,
                                .scratch = t->scratch,
                                .linalg = &plan->linalg};
    for (size_t k = 0; k < n_inputs(node); k++)
        bind_input(a, t, k, node->in[k]);
    if (a->integers)
        a->out_int = plan->backend->view(t->image, ref);
    else
        a->out = value_of(t, ref);
}

/* Scratch memory for every node at the present shape. */
static int32_t fit_scratch(struct mbi_tape *t, mambaint_error *err)
{
    const struct mbi_graph *g = t->plan->graph;
    size_t most = 0;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        struct mbi_grad_args a;

        if (!g->node[i].op || !grad_of(&g->node[i])->scratch)
            continue;
        bind(&a, t, i);
        most = mbi_max_size(most, grad_of(&g->node[i])->scratch(&a));
    }
    if (most <= t->scratch_size)
        return MAMBAINT_OK;
    mbi_free_aligned(t->plan->host, t->scratch);
    t->scratch_size = 0;
    if (!(t->scratch = mbi_alloc_aligned(t->plan->host, most)))
        return mbi_fail_memory(err, "a training tape");
    t->scratch_size = most;
    return MAMBAINT_OK;
}

/* ---- forward ---- */

static int32_t forward_integers(struct mbi_tape *t, mambaint_error *err)
{
    const struct mbi_backend *backend = t->plan->backend;

    for (size_t s = 0; s < t->streams; s++) {
        const int32_t rc = backend->memory_write(t->memory[s], t->plan->zero_state, err);

        if (rc < 0)
            return rc;
        t->run[s] = (struct mbi_run){t->memory[s], 0, t->ids + s * t->tokens, t->tokens};
    }
    return backend->run(t->image, &(struct mbi_batch){t->run, t->streams, true}, err);
}

static void forward_float(struct mbi_tape *t)
{
    const struct mbi_program *p = t->plan->program;

    for (uint32_t step = 0; step < p->n_order; step++) {
        const struct mbi_op_grad *grad = grad_of(&t->plan->graph->node[p->order[step]]);
        struct mbi_grad_args a;

        if (grad->no_grad)
            continue;
        bind(&a, t, p->order[step]);
        grad->forward(&a);
    }
}

int32_t mbi_tape_forward(struct mbi_tape *t, const int32_t *ids, size_t streams, size_t tokens,
                         mambaint_error *err)
{
    int32_t rc;

    if (!streams || streams > t->plan->streams || !tokens || tokens > t->plan->lanes / streams)
        return mbi_fail(err, MAMBAINT_E_INTERNAL,
                        "more tokens than the training tape has room for");
    t->ids = ids;
    t->streams = streams;
    t->tokens = tokens;
    if ((rc = fit_scratch(t, err)) < 0)
        return rc;
    if (t->plan->mode == MBI_TAPE_INTEGERS)
        return forward_integers(t, err);
    forward_float(t);
    return MAMBAINT_OK;
}

/* ---- values as floats ---- */

#define TO_FLOAT(name, type)                                                                       \
    MBI_CLONES static void name(float *y, const type *x, size_t n, float unit)                     \
    {                                                                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            y[i] = (float)x[i] * unit;                                                             \
    }
TO_FLOAT(from_i8, int8_t)
TO_FLOAT(from_i16, int16_t)
TO_FLOAT(from_i32, int32_t)
TO_FLOAT(from_i64, int64_t)
#undef TO_FLOAT

/* Elements [first, first + n) of an integer value. */
static void to_float(float *y, const void *x, const struct mbi_type *type, size_t first, size_t n)
{
    const float unit = ldexpf(1, -type->frac);

    switch (type->dtype) {
    case MBI_I8:
        from_i8(y, (const int8_t *)x + first, n, unit);
        break;
    case MBI_I16:
        from_i16(y, (const int16_t *)x + first, n, unit);
        break;
    case MBI_I32:
        from_i32(y, (const int32_t *)x + first, n, unit);
        break;
    default:
        from_i64(y, (const int64_t *)x + first, n, unit);
    }
}

void mbi_tape_logits(float *out, const struct mbi_tape *t, size_t lane)
{
    const mbi_ref ref = t->plan->graph->logits;
    const struct mbi_type *type = &t->plan->graph->node[ref].type;
    const size_t n = type->cols;

    if (t->plan->mode == MBI_TAPE_INTEGERS)
        to_float(out, t->plan->backend->view(t->image, ref), type, lane * n, n);
    else
        memcpy(out, value_of(t, ref) + lane * n, n * sizeof(*out));
}

/* ---- loss ---- */

/* Sixteen running maxima, because the compiler may not reorder one. */
MBI_CLONES static float row_most(const float *x, size_t n)
{
    float m[16], most = x[0];
    size_t i = 0;

    for (size_t j = 0; j < 16; j++)
        m[j] = x[0];
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++)
            m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
    for (; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (size_t j = 0; j < 16; j++)
        most = m[j] > most ? m[j] : most;
    return most;
}

/* x = exp(x - most); returns the sum. */
MBI_CLONES static float row_exp(float *x, size_t n, float most)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        x[i] = mbi_exp2_fast((x[i] - most) * LOG2_E);
        sum += x[i];
    }
    return sum;
}

MBI_CLONES static void row_scale(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

double mbi_tape_loss(struct mbi_tape *t, const int32_t *target, const float *weight, float scale)
{
    const mbi_ref ref = t->plan->graph->logits;
    const size_t n = t->plan->graph->node[ref].type.cols;
    double loss = 0;

    for (size_t lane = 0; lane < t->streams * t->tokens; lane++) {
        float *x = scale > 0 ? gradient_of(t, ref) + lane * n : t->row;
        float most, wanted, sum;

        if (weight[lane] <= 0) {
            if (scale > 0)
                memset(x, 0, n * sizeof(*x));
            continue;
        }
        mbi_tape_logits(x, t, lane);
        most = row_most(x, n);
        wanted = x[target[lane]];
        sum = row_exp(x, n, most);
        loss += weight[lane] * (log(sum) + (double)most - (double)wanted);
        if (scale > 0) {
            row_scale(x, n, weight[lane] * scale / sum);
            x[target[lane]] -= weight[lane] * scale;
        }
    }
    return loss;
}

/* ---- backward ---- */

/* Gradients of the inputs: zeroed by the first node that adds to them. */
static void bind_gradients(struct mbi_grad_args *a, const struct mbi_tape *t, uint32_t step,
                           float *gradient)
{
    const struct mbi_tape_plan *plan = t->plan;
    const struct mbi_node *node = &plan->graph->node[plan->program->order[step]];

    for (size_t k = 0; k < n_inputs(node); k++) {
        const mbi_ref in = node->in[k];
        const struct mbi_node *source = &plan->graph->node[in];

        if (!plan->wanted[in])
            continue;
        if (mbi_node_is_param(source)) {
            a->d_in[k] = gradient + plan->layout->at[source->param];
            continue;
        }
        a->d_in[k] = gradient_of(t, in);
        if (plan->d_first[in] == step && (k == 0 || in != node->in[k - 1]))
            memset(a->d_in[k], 0, a->lanes * source->type.cols * sizeof(float));
    }
    a->d_out = gradient_of(t, plan->program->order[step]);
}

static void bind_floats(struct mbi_grad_args *a, const struct mbi_tape *t,
                        const struct mbi_node *node)
{
    const struct mbi_op_grad *grad = grad_of(node);

    for (size_t k = 0; k < n_inputs(node); k++)
        if (grad->needs_in >> k & 1 && !a->in_is_param[k] && t->plan->graph->node[node->in[k]].op) {
            to_float(t->in[k], a->in_int[k], a->in_type[k], 0, a->lanes * a->in_type[k]->cols);
            a->in[k] = t->in[k];
        }
    if (grad->needs_out) {
        to_float(t->out, a->out_int, a->out_type, 0, a->lanes * a->out_type->cols);
        a->out = t->out;
    }
}

int32_t mbi_tape_backward(struct mbi_tape *t, float *gradient, mambaint_error *err)
{
    const struct mbi_program *p = t->plan->program;

    if (t->plan->mode == MBI_TAPE_FLOAT_FORWARD)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "this training tape has no way back");
    for (uint32_t step = p->n_order; step-- > 0;) {
        const mbi_ref ref = p->order[step];
        const struct mbi_node *node = &t->plan->graph->node[ref];
        struct mbi_grad_args a;

        if (!t->plan->wanted[ref])
            continue;
        bind(&a, t, ref);
        bind_gradients(&a, t, step, gradient);
        if (a.integers)
            bind_floats(&a, t, node);
        grad_of(node)->backward(&a);
    }
    return MAMBAINT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a graph to a list of actions: which gradients are stored, how the others are made of them,
 * and where all of it lies. What works element by element is never stored unless two read a sum of
 * it.
 */
#include "train/cuda/state.h"

#include <cmath>
#include <cstring>

#define ALIGN 256
#define STAGES (MBI_CHAIN_STAGES - 1)

/* A reader of a value: input k of a node. Lists by value. */
struct edge {
    mbi_ref node;
    uint32_t k, next;
};

struct planner {
    struct mbi_train_state *st;
    const struct mbi_graph *g;
    const struct mbi_program *program;
    const bool *wanted;
    struct edge *edge;
    uint32_t *first;  /* by value: its first reader */
    uint32_t *part;   /* by node and input: buffer of what it gives to that input */
    uint32_t *stored; /* by value: buffer of its whole gradient */
    bool *store;      /* by value: it has one */
    bool *written;    /* by parameter: something was given to its gradient */
    bool failed;      /* no memory */
};

/* ---- lists that grow ---- */

static bool grow(const struct mbi_host *host, void **list, uint32_t n, uint32_t *cap, size_t size)
{
    const uint32_t more = *cap ? 2 * *cap : 64;
    void *p;

    if (n < *cap)
        return true;
    if (!(p = host->alloc(host->alloc_user, *list, more * size)))
        return false;
    *list = p;
    *cap = more;
    return true;
}

static uint32_t new_buffer(struct planner *p, size_t size)
{
    struct mbi_train_state *st = p->st;

    if (!grow(st->host, (void **)&st->buffer, st->n_buffers, &st->buffer_cap,
              sizeof(*st->buffer))) {
        p->failed = true;
        return 0;
    }
    st->buffer[st->n_buffers] = {(size + ALIGN) / ALIGN * ALIGN, 0, st->n_actions, st->n_actions,
                                 false};
    return st->n_buffers++;
}

static uint32_t lane_buffer(struct planner *p, size_t cols, bool narrow)
{
    const size_t size = narrow ? sizeof(mbi_operand) : sizeof(float);
    const uint32_t b = new_buffer(p, cols * p->st->lanes * size);

    if (!p->failed)
        p->st->buffer[b].narrow = narrow;
    return b;
}

/* ---- chains ---- */

/* From a column of the result along elementwise readers. */
struct path {
    int32_t shift;
    int64_t begin, end;
    uint32_t n;
    struct mbi_stage stage[STAGES];
};

static struct mbi_stage stage_of(const struct planner *p, mbi_ref ref, int32_t kind, int32_t shift)
{
    const struct mbi_ints x = mbi_ints_of(p->st, ref);
    struct mbi_stage s = {};

    s.q = x.q;
    s.kind = kind;
    s.dtype = x.dtype;
    s.shift = shift;
    s.cols = x.cols;
    s.group = 1;
    s.unit = x.unit;
    return s;
}

static struct mbi_stage clamp_stage(const struct planner *p, mbi_ref ref, int64_t lo, int64_t hi,
                                    int32_t shift)
{
    struct mbi_stage s = stage_of(p, ref, MBI_STAGE_INSIDE, shift);

    s.lo = (int32_t)lo;
    s.hi = (int32_t)hi;
    return s;
}

static struct mbi_stage bits_stage(const struct planner *p, mbi_ref ref, int32_t bits,
                                   int32_t shift)
{
    return clamp_stage(p, ref, mbi_sat(INT64_MIN, bits), mbi_sat(INT64_MAX, bits), shift);
}

static const float *real_of(const struct planner *p, mbi_ref ref)
{
    return p->st->real + p->st->real_at[p->g->node[ref].param];
}

/* The other factor of a product, from the side of input k. */
static struct mbi_stage factor_stage(const struct planner *p, const struct mbi_node *node,
                                     uint32_t k, int32_t shift)
{
    const mbi_ref other = node->in[1 - k];
    const bool param = mbi_train_is_param(&p->g->node[other]);
    struct mbi_stage s = {};

    if (param) {
        s.q = real_of(p, other);
        s.kind = MBI_STAGE_REAL;
        s.shift = shift;
    } else {
        s = stage_of(p, other, MBI_STAGE_VALUE, shift);
    }
    s.group = k == 0 ? (uint32_t)node->attr[0] : 1;
    return s;
}

static struct mbi_stage decay_stage(const struct planner *p, const struct mbi_node *node,
                                    int32_t shift)
{
    struct mbi_stage s = stage_of(p, node->in[0], MBI_STAGE_DECAY, shift);

    s.lo = node->attr[0];
    s.bias = real_of(p, node->in[1]);
    return s;
}

/* Does input k of this node get d_out times a factor, element by element? */
static bool elementwise(const struct planner *p, const struct mbi_node *node, uint32_t k)
{
    switch (node->op) {
    case MBI_OP_requant:
    case MBI_OP_requant_rows:
    case MBI_OP_requant_mul:
    case MBI_OP_decay:
    case MBI_OP_gate:
    case MBI_OP_slice:
        return k == 0;
    case MBI_OP_add:
    case MBI_OP_addsat:
    case MBI_OP_concat:
        return true;
    case MBI_OP_mul:
        return k == 0 || node->attr[0] == 1;
    default:
        (void)p;
        return false;
    }
}

/* Extend a path by a node of elements, from its input k to its result; false: too long. */
static bool pass(const struct planner *p, struct path *path, mbi_ref ref, uint32_t k)
{
    const struct mbi_node *node = &p->g->node[ref];
    struct mbi_stage s = {};

    switch (node->op) {
    case MBI_OP_add:
        return true;
    case MBI_OP_slice:
        path->begin = mbi_max_i64(path->begin, node->attr[0] - path->shift);
        path->end = mbi_min_i64(path->end, (int64_t)node->attr[0] + node->attr[1] - path->shift);
        path->shift -= node->attr[0];
        return true;
    case MBI_OP_concat:
        path->shift += k ? (int32_t)p->g->node[node->in[0]].type.cols : 0;
        return true;
    case MBI_OP_addsat:
        s = bits_stage(p, ref, node->attr[0], path->shift);
        break;
    case MBI_OP_mul:
        s = factor_stage(p, node, k, path->shift);
        break;
    case MBI_OP_gate:
        s = stage_of(p, node->in[0], MBI_STAGE_GATE, path->shift);
        s.lo = node->attr[0];
        break;
    case MBI_OP_decay:
        s = decay_stage(p, node, path->shift);
        break;
    default: /* the three roundings; the whole of int32 is no clamp */
        if (node->attr[1] == INT32_MIN && node->attr[2] == INT32_MAX)
            return true;
        s = clamp_stage(p, ref, node->attr[1], node->attr[2], path->shift);
    }
    if (path->n == STAGES)
        return false;
    path->stage[path->n++] = s;
    return true;
}

/* A term from a gradient that is stored. */
static bool add_term(struct mbi_chain *c, uint32_t from[MBI_CHAIN_TERMS], const struct path *path,
                     uint32_t buffer, uint32_t cols)
{
    struct mbi_term *t = &c->term[c->n_terms];

    if (path->begin >= path->end)
        return true;
    if (c->n_terms == MBI_CHAIN_TERMS)
        return false;
    from[c->n_terms++] = buffer;
    *t = {};
    t->cols = cols;
    t->shift = path->shift;
    t->begin = (uint32_t)path->begin;
    t->end = (uint32_t)path->end;
    t->n_stages = path->n;
    memcpy(t->stage, path->stage, path->n * sizeof(t->stage[0]));
    return true;
}

/* Add the gradient of value v, times what is on the path, to the chain; false: too much. */
static bool expand(const struct planner *p, mbi_ref v, const struct path *path, struct mbi_chain *c,
                   uint32_t from[MBI_CHAIN_TERMS])
{
    const uint32_t cols = p->g->node[v].type.cols;

    if (v == p->g->logits && !add_term(c, from, path, MBI_NO_BUFFER, cols))
        return false;
    for (uint32_t i = p->first[v]; i != MBI_NONE; i = p->edge[i].next) {
        const mbi_ref m = p->edge[i].node;
        const uint32_t k = p->edge[i].k;
        struct path longer = *path;
        bool fits;

        if (!elementwise(p, &p->g->node[m], k))
            fits = add_term(c, from, path, p->part[m * MBI_MAX_IN + k], cols);
        else if (!pass(p, &longer, m, k))
            fits = false;
        else if (p->store[m])
            fits = add_term(c, from, &longer, p->stored[m], p->g->node[m].type.cols);
        else
            fits = expand(p, m, &longer, c, from);
        if (!fits)
            return false;
    }
    return true;
}

/* The chain of a value's gradient. */
static bool chain_of(const struct planner *p, mbi_ref v, struct mbi_chain *c,
                     uint32_t from[MBI_CHAIN_TERMS])
{
    const struct mbi_node *logits = &p->g->node[p->g->logits];
    struct path path = {};

    path.end = p->g->node[v].type.cols;
    *c = {};
    c->lanes = p->st->lanes;
    c->cols = p->g->node[v].type.cols;
    c->logits = p->st->view[p->g->logits];
    c->logits_dtype = (int32_t)logits->type.dtype;
    c->logits_unit = ldexpf(1, -logits->type.frac);
    c->softmax = p->st->softmax;
    if (!expand(p, v, &path, c, from))
        return false;
    mbi_chain_gather(c);
    return true;
}

/* ---- which gradients are stored ---- */

static uint32_t uses(const struct planner *p, mbi_ref ref)
{
    const struct mbi_node *node = &p->g->node[ref];
    uint32_t n = 0;

    for (uint32_t k = 0; k < mbi_train_inputs(node->op); k++)
        n += p->wanted[node->in[k]];
    return n;
}

/* If it takes too much to make a gradient in passing, those of its readers are stored. */
static int32_t choose(struct planner *p, mbi_ref ref, mambaint_error *err)
{
    uint32_t from[MBI_CHAIN_TERMS];
    struct mbi_chain c;

    if (!chain_of(p, ref, &c, from)) {
        for (uint32_t i = p->first[ref]; i != MBI_NONE; i = p->edge[i].next)
            if (elementwise(p, &p->g->node[p->edge[i].node], p->edge[i].k))
                p->store[p->edge[i].node] = true;
        if (!chain_of(p, ref, &c, from))
            return mbi_module_fail(err, MAMBAINT_E_UNSUPPORTED,
                                   "train-cuda: node %u is read by more than %d others", ref,
                                   MBI_CHAIN_TERMS);
    }
    p->store[ref] =
        p->store[ref] || (c.n_terms > 1 && uses(p, ref) > 1 && elementwise(p, &p->g->node[ref], 0));
    return MAMBAINT_OK;
}

/* ---- actions ---- */

static struct mbi_action *new_action(struct planner *p, enum mbi_action_kind kind, mbi_ref node,
                                     const struct mbi_chain *d,
                                     const uint32_t from[MBI_CHAIN_TERMS])
{
    struct mbi_train_state *st = p->st;
    struct mbi_action *a;

    if (!grow(st->host, (void **)&st->action, st->n_actions, &st->action_cap, sizeof(*a))) {
        p->failed = true;
        return NULL;
    }
    a = &st->action[st->n_actions];
    *a = {};
    a->kind = kind;
    a->node = node;
    a->d = *d;
    memcpy(a->from, from, sizeof(a->from));
    for (uint32_t &b : a->dst)
        b = MBI_NO_BUFFER;
    for (uint32_t &b : a->work)
        b = MBI_NO_BUFFER;
    for (size_t &at : a->param)
        at = SIZE_MAX;
    return a;
}

static void use(struct planner *p, uint32_t buffer)
{
    if (buffer != MBI_NO_BUFFER)
        p->st->buffer[buffer].last = p->st->n_actions;
}

/* The action is complete: its buffers live at least until now. */
static void end_action(struct planner *p, struct mbi_action *a)
{
    for (uint32_t t = 0; t < a->d.n_terms; t++)
        use(p, a->from[t]);
    for (uint32_t b : a->dst)
        use(p, b);
    for (uint32_t b : a->work)
        use(p, b);
    p->st->n_actions++;
}

/* Input k, a parameter: where its gradient goes, and whether something is there already. */
static void give_param(struct planner *p, struct mbi_action *a, uint32_t k)
{
    const mbi_ref in = p->g->node[a->node].in[k];
    const uint32_t param = p->g->node[in].param;

    if (!p->wanted[in])
        return;
    a->param[k] = p->st->layout->at[param];
    a->add[k] = p->written[param];
    p->written[param] = true;
}

/* What one wide action gives to one input is rounded as an operand would be; sums of several stay
 * floats. So does what has few columns: it takes little memory, and the sums over it that gradients
 * of parameters are have few terms for the roundings to vanish in. */
#define FEW_COLUMNS 64

static bool gives_narrow(const struct mbi_action *a, uint32_t k, uint32_t cols)
{
    return cols >= FEW_COLUMNS && (a->kind == MBI_DO_MATVEC || a->kind == MBI_DO_NORM ||
                                   a->kind == MBI_DO_CONV || (a->kind == MBI_DO_SCAN && k == 0));
}

/* Input k, a value: a buffer for what it is given. `always`: the kernel writes it in any case. */
static void give_value(struct planner *p, struct mbi_action *a, uint32_t k, bool always)
{
    const struct mbi_node *node = &p->g->node[a->node];
    const uint32_t cols = p->g->node[node->in[k]].type.cols;

    if (p->wanted[node->in[k]] || always)
        a->dst[k] = p->part[a->node * MBI_MAX_IN + k] =
            lane_buffer(p, cols, gives_narrow(a, k, cols));
}

static bool param_wanted(const struct planner *p, const struct mbi_node *node, uint32_t k)
{
    return mbi_train_is_param(&p->g->node[node->in[k]]) && p->wanted[node->in[k]];
}

/* d_in[1] of sums and products with a parameter, or with a narrow value. */
static void emit_elements(struct planner *p, mbi_ref ref, struct mbi_chain *d,
                          const uint32_t from[MBI_CHAIN_TERMS])
{
    const struct mbi_node *node = &p->g->node[ref];
    struct mbi_action *a;

    if (node->op == MBI_OP_mul && node->attr[0] != 1 && p->wanted[node->in[1]] &&
        !mbi_train_is_param(&p->g->node[node->in[1]])) {
        if (!(a = new_action(p, MBI_DO_GROUPS, ref, d, from)))
            return;
        const struct mbi_stage s = factor_stage(p, node, 1, 0);

        mbi_chain_times(&a->d, &s);
        a->group = (uint32_t)node->attr[0];
        give_value(p, a, 1, false);
        end_action(p, a);
        return;
    }
    if ((node->op != MBI_OP_mul && node->op != MBI_OP_add && node->op != MBI_OP_decay) ||
        !param_wanted(p, node, 1) || !(a = new_action(p, MBI_DO_COLUMNS, ref, d, from)))
        return;
    a->group = 1;
    if (node->op == MBI_OP_mul) {
        const struct mbi_stage s = factor_stage(p, node, 1, 0);

        mbi_chain_times(&a->d, &s);
        a->group = (uint32_t)node->attr[0];
    } else if (node->op == MBI_OP_decay) {
        const struct mbi_stage s = decay_stage(p, node, 0);

        mbi_chain_times(&a->d, &s);
    }
    give_param(p, a, 1);
    a->work[0] = new_buffer(p, mbi_chain_partials(&a->d) * sizeof(float));
    end_action(p, a);
}

static void emit_matvec(struct planner *p, mbi_ref ref, struct mbi_chain *d,
                        const uint32_t from[MBI_CHAIN_TERMS])
{
    const struct mbi_node *node = &p->g->node[ref];
    struct mbi_action *a = new_action(p, MBI_DO_MATVEC, ref, d, from);
    const size_t lanes = p->st->lanes;

    if (!a)
        return;
    give_value(p, a, 0, false);
    give_param(p, a, 1);
    a->work[0] = new_buffer(p, lanes * node->type.cols * sizeof(mbi_operand));
    if (a->param[1] != SIZE_MAX)
        a->work[1] = new_buffer(p, lanes * p->g->node[node->in[0]].type.cols * sizeof(mbi_operand));
    end_action(p, a);
}

static void emit_conv(struct planner *p, mbi_ref ref, struct mbi_chain *d,
                      const uint32_t from[MBI_CHAIN_TERMS])
{
    struct mbi_action *a = new_action(p, MBI_DO_CONV, ref, d, from);
    const struct mbi_stage s = clamp_stage(p, ref, INT16_MIN, INT16_MAX, 0);

    if (!a)
        return;
    mbi_chain_times(&a->d, &s);
    give_value(p, a, 0, false);
    give_param(p, a, 1);
    give_param(p, a, 3);
    a->work[0] =
        new_buffer(p, mbi_conv_partials(p->st->streams, p->st->tokens, d->cols) * sizeof(float));
    end_action(p, a);
}

static struct mbi_scan_args scan_args(const struct mbi_train_state *st, mbi_ref ref)
{
    const struct mbi_node *node = &st->graph->node[ref];
    struct mbi_scan_args a = {};

    a.x = mbi_ints_of(st, node->in[0]);
    a.bc = mbi_ints_of(st, node->in[1]);
    a.l = mbi_ints_of(st, node->in[2]);
    a.streams = st->streams;
    a.tokens = st->tokens;
    a.heads = (uint32_t)node->attr[1];
    a.dim = (uint32_t)node->attr[2];
    a.n = (uint32_t)node->attr[3];
    return a;
}

/* Its d_out has to be an array of operands: one that is there, or a new one in work[1]. */
static void emit_scan(struct planner *p, mbi_ref ref, struct mbi_chain *d,
                      const uint32_t from[MBI_CHAIN_TERMS])
{
    const bool there = d->n_terms == 1 && from[0] != MBI_NO_BUFFER &&
                       p->st->buffer[from[0]].narrow && !d->term[0].n_stages && !d->n_stages &&
                       d->term[0].cols == d->cols && !d->term[0].shift && !d->term[0].begin &&
                       d->term[0].end == d->cols;
    const struct mbi_scan_args args = scan_args(p->st, ref);
    struct mbi_action *a = new_action(p, MBI_DO_SCAN, ref, d, from);

    if (!a)
        return;
    if (!there)
        a->work[1] = lane_buffer(p, d->cols, true);
    for (uint32_t k = 0; k < 3; k++)
        give_value(p, a, k, true);
    a->work[0] = new_buffer(p, mbi_scan_work(&args, p->st->processors));
    end_action(p, a);
}

static void emit_simple(struct planner *p, enum mbi_action_kind kind, mbi_ref ref,
                        struct mbi_chain *d, const uint32_t from[MBI_CHAIN_TERMS])
{
    const struct mbi_node *node = &p->g->node[ref];
    struct mbi_action *a = new_action(p, kind, ref, d, from);

    if (!a)
        return;
    if (kind == MBI_DO_NORM) {
        const struct mbi_stage s = bits_stage(p, ref, node->attr[2], 0);

        mbi_chain_times(&a->d, &s);
    }
    for (uint32_t k = 0; k < mbi_train_inputs(node->op); k++)
        if (mbi_train_is_param(&p->g->node[node->in[k]]))
            give_param(p, a, k);
        else if (p->g->node[node->in[k]].op)
            give_value(p, a, k, false);
    end_action(p, a);
}

static void emit(struct planner *p, mbi_ref ref)
{
    uint32_t from[MBI_CHAIN_TERMS] = {};
    struct mbi_chain d;

    chain_of(p, ref, &d, from);
    if (p->store[ref]) {
        struct mbi_action *a = new_action(p, MBI_DO_STORE, ref, &d, from);

        if (!a)
            return;
        a->dst[0] = p->stored[ref] = lane_buffer(p, d.cols, false);
        end_action(p, a);
        d.n_terms = d.n_stages = 0;
        struct path path = {};

        path.end = d.cols;
        add_term(&d, from, &path, p->stored[ref], d.cols);
    }
    switch (p->g->node[ref].op) {
    case MBI_OP_matvec:
        emit_matvec(p, ref, &d, from);
        break;
    case MBI_OP_conv:
        emit_conv(p, ref, &d, from);
        break;
    case MBI_OP_scan:
        emit_scan(p, ref, &d, from);
        break;
    case MBI_OP_norm_rms:
    case MBI_OP_norm_shift:
        emit_simple(p, MBI_DO_NORM, ref, &d, from);
        break;
    case MBI_OP_turn:
        emit_simple(p, MBI_DO_TURN, ref, &d, from);
        break;
    case MBI_OP_rotate:
        emit_simple(p, MBI_DO_ROTATE, ref, &d, from);
        break;
    case MBI_OP_embed:
        emit_simple(p, MBI_DO_EMBED, ref, &d, from);
        break;
    default:
        emit_elements(p, ref, &d, from);
    }
}

/* ---- memory ---- */

/* First fit: the lowest gap between the buffers that live at the same time. */
static void place(struct mbi_train_state *st, uint32_t *live)
{
    uint32_t n = 0;

    st->pool_size = 0;
    for (uint32_t b = 0; b < st->n_buffers; b++) { /* in the order of their first use */
        size_t at = 0;
        uint32_t i, kept = 0;

        for (i = 0; i < n; i++)
            if (st->buffer[live[i]].last >= st->buffer[b].first)
                live[kept++] = live[i];
        n = kept;
        for (i = 0; i < n && st->buffer[live[i]].offset < at + st->buffer[b].size; i++)
            at = st->buffer[live[i]].offset + st->buffer[live[i]].size;
        memmove(live + i + 1, live + i, (n - i) * sizeof(*live));
        live[i] = b;
        n++;
        st->buffer[b].offset = at;
        st->pool_size = mbi_max_size(st->pool_size, at + st->buffer[b].size);
    }
}

void mbi_train_bind(struct mbi_train_state *st)
{
    for (uint32_t i = 0; i < st->n_actions; i++) {
        struct mbi_action *a = &st->action[i];

        for (uint32_t t = 0; t < a->d.n_terms; t++) {
            const bool loss = a->from[t] == MBI_NO_BUFFER;

            a->d.term[t].d = loss ? NULL : st->pool + st->buffer[a->from[t]].offset;
            a->d.term[t].narrow = !loss && st->buffer[a->from[t]].narrow;
        }
    }
}

/* ---- all of it ---- */

static void read_edges(struct planner *p)
{
    uint32_t n = 0;

    for (mbi_ref i = 0; i < p->g->n_nodes; i++)
        p->first[i] = MBI_NONE;
    for (mbi_ref i = p->g->n_nodes; i-- > 0;) {
        const struct mbi_node *node = &p->g->node[i];

        for (uint32_t k = mbi_train_inputs(node->op); k-- > 0 && p->wanted[i];)
            if (p->wanted[node->in[k]] && !mbi_train_is_param(&p->g->node[node->in[k]])) {
                p->edge[n] = {i, k, p->first[node->in[k]]};
                p->first[node->in[k]] = n++;
            }
    }
}

static int32_t plan_actions(struct planner *p, mambaint_error *err)
{
    uint32_t *live;

    p->st->n_actions = p->st->n_buffers = 0;
    read_edges(p);
    for (uint32_t step = p->program->n_order; step-- > 0;)
        if (p->wanted[p->program->order[step]]) {
            const int32_t rc = choose(p, p->program->order[step], err);

            if (rc < 0)
                return rc;
        }
    for (uint32_t step = p->program->n_order; step-- > 0 && !p->failed;)
        if (p->wanted[p->program->order[step]])
            emit(p, p->program->order[step]);
    live = (uint32_t *)mbi_train_alloc(p->st->host, (size_t)p->st->n_buffers + 1, sizeof(*live));
    if (p->failed || !live) {
        mbi_train_free(p->st->host, live);
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory for a plan");
    }
    place(p->st, live);
    mbi_train_free(p->st->host, live);
    return MAMBAINT_OK;
}

int32_t mbi_train_compile(struct mbi_train_state *st, mambaint_error *err)
{
    const struct mbi_host *host = st->host;
    const size_t n = (size_t)st->graph->n_nodes + 1;
    struct planner p = {};
    int32_t rc;

    p.st = st;
    p.g = st->graph;
    p.program = st->plan->program;
    p.wanted = st->plan->wanted;
    p.edge = (struct edge *)mbi_train_alloc(host, n * MBI_MAX_IN, sizeof(*p.edge));
    p.first = (uint32_t *)mbi_train_alloc(host, n, sizeof(*p.first));
    p.part = (uint32_t *)mbi_train_alloc(host, n * MBI_MAX_IN, sizeof(*p.part));
    p.stored = (uint32_t *)mbi_train_alloc(host, n, sizeof(*p.stored));
    p.store = (bool *)mbi_train_alloc(host, n, sizeof(*p.store));
    p.written = (bool *)mbi_train_alloc(host, (size_t)p.g->n_params + 1, sizeof(*p.written));
    rc = p.edge && p.first && p.part && p.stored && p.store && p.written
             ? plan_actions(&p, err)
             : mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "train-cuda: no memory for a plan");
    mbi_train_free(host, p.edge);
    mbi_train_free(host, p.first);
    mbi_train_free(host, p.part);
    mbi_train_free(host, p.stored);
    mbi_train_free(host, p.store);
    mbi_train_free(host, p.written);
    return rc;
}

void mbi_train_mark_params(struct mbi_train_state *st)
{
    const struct mbi_graph *g = st->graph;

    for (uint32_t i = 0; i < g->n_params; i++)
        st->real_at[i] = st->operand_at[i] = SIZE_MAX;
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        for (uint32_t k = 1; k < mbi_train_inputs(node->op) && st->plan->wanted[i]; k++) {
            const struct mbi_node *in = &g->node[node->in[k]];

            if (!mbi_train_is_param(in))
                continue;
            if (node->op == MBI_OP_matvec)
                st->operand_at[in->param] = 0;
            else if (node->op == MBI_OP_mul || node->op == MBI_OP_decay ||
                     (node->op == MBI_OP_conv && k == 1))
                st->real_at[in->param] = 0;
        }
    }
}

/* ---- doing it ---- */

static float *at_buffer(const struct mbi_train_state *st, uint32_t b)
{
    return b == MBI_NO_BUFFER ? NULL : (float *)(st->pool + st->buffer[b].offset);
}

static struct mbi_gradient at_gradient(const struct mbi_train_state *st, uint32_t b)
{
    return {at_buffer(st, b), b != MBI_NO_BUFFER && st->buffer[b].narrow};
}

static mbi_operand *at_narrow(const struct mbi_train_state *st, uint32_t b)
{
    return (mbi_operand *)at_buffer(st, b);
}

static float *at_param(const struct mbi_train_state *st, const struct mbi_action *a, uint32_t k)
{
    return a->param[k] == SIZE_MAX ? NULL : st->block[MBI_TRAIN_GRADIENT] + a->param[k];
}

/* dX = dY W, dW = dY^T X; a ternary matrix is its trits times its unit. */
static int32_t do_matvec(struct mbi_train_state *st, const struct mbi_action *a,
                         mambaint_error *err)
{
    const struct mbi_node *node = &st->graph->node[a->node];
    const uint32_t param = st->graph->node[node->in[1]].param;
    const struct mbi_ints x = mbi_ints_of(st, node->in[0]);
    mbi_operand *dy = at_narrow(st, a->work[0]), *in = at_narrow(st, a->work[1]);
    struct mbi_gemm_call call = {};
    int32_t rc = mbi_train_check(mbi_chain_operand(&a->d, dy, st->stream), "a gradient", err);

    mbi_train_time(st, "operands of gradients");
    if (rc >= 0 && a->dst[0] != MBI_NO_BUFFER) {
        call = {false,
                st->lanes,
                x.cols,
                node->type.cols,
                st->unit + param,
                dy,
                st->operand + st->operand_at[param],
                st->one,
                at_buffer(st, a->dst[0]),
                st->buffer[a->dst[0]].narrow};
        rc = mbi_gemm_run(st->gemm, &call, err);
    }
    if (rc < 0 || a->param[1] == SIZE_MAX)
        return rc;
    mbi_train_time(st, "products to inputs");
    rc = mbi_train_check(mbi_ints_operand(in, &x, st->lanes, st->stream), "an input", err);
    mbi_train_time(st, "operands of inputs");
    call = {true,      node->type.cols,     x.cols,
            st->lanes, st->one + 1,         dy,
            in,        st->one + a->add[1], at_param(st, a, 1),
            false};
    return rc < 0 ? rc : mbi_gemm_run(st->gemm, &call, err);
}

static cudaError_t do_conv(const struct mbi_train_state *st, const struct mbi_action *a)
{
    const struct mbi_node *node = &st->graph->node[a->node];
    struct mbi_conv_args c = {};

    c.d = a->d;
    c.p = mbi_ints_of(st, node->in[0]);
    c.streams = st->streams;
    c.tokens = st->tokens;
    c.w = st->real + st->real_at[st->graph->node[node->in[1]].param];
    c.dp = at_gradient(st, a->dst[0]);
    c.dw = at_param(st, a, 1);
    c.dbias = at_param(st, a, 3);
    c.add_w = a->add[1];
    c.add_bias = a->add[3];
    c.partial = at_buffer(st, a->work[0]);
    return mbi_conv_back(&c, st->stream);
}

static cudaError_t do_rotate(const struct mbi_train_state *st, const struct mbi_action *a)
{
    const struct mbi_node *node = &st->graph->node[a->node];
    const struct mbi_ints bc = mbi_ints_of(st, node->in[0]), phi = mbi_ints_of(st, node->in[1]);
    const struct mbi_ints out = mbi_ints_of(st, a->node);

    return mbi_rotate_back(&a->d, at_buffer(st, a->dst[0]), at_buffer(st, a->dst[1]), &bc, &phi,
                           &out, st->stream);
}

static cudaError_t do_scan(struct mbi_train_state *st, const struct mbi_action *a)
{
    static const char *const name[MBI_SCAN_STEPS - 1] = {"recurrences: parts", "recurrences: walk"};
    cudaError_t e = cudaSuccess;

    struct mbi_scan_args s = scan_args(st, a->node);

    s.dy = a->work[1] == MBI_NO_BUFFER ? (const mbi_operand *)a->d.term[0].d
                                       : at_narrow(st, a->work[1]);
    s.dx = at_gradient(st, a->dst[0]);
    s.dbc = at_buffer(st, a->dst[1]);
    s.dl = at_buffer(st, a->dst[2]);
    s.work = (char *)at_buffer(st, a->work[0]);
    if (a->work[1] != MBI_NO_BUFFER)
        e = mbi_chain_operand(&a->d, at_narrow(st, a->work[1]), st->stream);
    for (int step = 0; !e && step < MBI_SCAN_STEPS; step++) {
        e = mbi_scan_back(&s, st->processors, step, st->stream);
        if (step + 1 < MBI_SCAN_STEPS)
            mbi_train_time(st, name[step]);
    }
    return e;
}

/* The table gets rows here and there, so it has to be zero before. */
static cudaError_t do_embed(const struct mbi_train_state *st, const struct mbi_action *a)
{
    const struct mbi_batch_layout b = mbi_batch_layout(st->lanes);
    const struct mbi_node *table = &st->graph->node[st->graph->node[a->node].in[1]];
    cudaError_t e = cudaSuccess;

    if (a->param[1] == SIZE_MAX)
        return e;
    if (!a->add[1])
        e = cudaMemsetAsync(at_param(st, a, 1), 0,
                            (size_t)table->type.rows * table->type.cols * sizeof(float),
                            st->stream);
    return e ? e
             : mbi_embed_back(&a->d, at_param(st, a, 1), (const int32_t *)(st->batch + b.id),
                              (const uint32_t *)(st->batch + b.order),
                              (const uint32_t *)(st->batch + b.first),
                              (const uint32_t *)(st->batch + b.n_ids), st->stream);
}

static cudaError_t do_action(struct mbi_train_state *st, const struct mbi_action *a)
{
    const struct mbi_node *node = &st->graph->node[a->node];

    switch (a->kind) {
    case MBI_DO_STORE:
        return mbi_chain_store(&a->d, at_buffer(st, a->dst[0]), st->stream);
    case MBI_DO_COLUMNS:
        return mbi_chain_columns(&a->d, at_param(st, a, 1), a->group, a->add[1],
                                 at_buffer(st, a->work[0]), st->stream);
    case MBI_DO_GROUPS:
        return mbi_chain_groups(&a->d, at_buffer(st, a->dst[1]), a->group, st->stream);
    case MBI_DO_NORM: {
        const struct mbi_ints x = mbi_ints_of(st, node->in[0]);

        return mbi_norm_back(&a->d, at_gradient(st, a->dst[0]), &x, (uint32_t)node->attr[0],
                             node->op == MBI_OP_norm_shift, st->stream);
    }
    case MBI_DO_CONV:
        return do_conv(st, a);
    case MBI_DO_TURN:
        return mbi_turn_back(&a->d, at_buffer(st, a->dst[0]), st->streams, st->tokens, st->stream);
    case MBI_DO_ROTATE:
        return do_rotate(st, a);
    case MBI_DO_SCAN:
        return do_scan(st, a);
    default:
        return do_embed(st, a);
    }
}

static const char *const action_name[] = {
    "sums of gradients", "sums of columns", "sums of groups", "products to weights", "norms",
    "convolutions",      "turns",           "rotations",      "recurrences",         "table"};

int32_t mbi_train_backward(struct mbi_train_state *st, mambaint_error *err)
{
    for (uint32_t i = 0; i < st->n_actions; i++) {
        const struct mbi_action *a = &st->action[i];
        const int32_t rc = a->kind == MBI_DO_MATVEC
                               ? do_matvec(st, a, err)
                               : mbi_train_check(do_action(st, a), action_name[a->kind], err);

        if (rc < 0)
            return rc;
        mbi_train_time(st, action_name[a->kind]);
    }
    return MAMBAINT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* From graphs to variables, relations and the layout of what is committed. */
#include "proof/plan.h"
#include "base/intmath.h"
#include "proof/boundary.h"
#include "proof/layout.h"
#include "proof/known.h"
#include "proof/relation.h"
#include <string.h>

/* ---- stages ---- */

static bool takes_tokens(const struct mbi_graph *g) { return g->node[0].leaf == MBI_LEAF_TOKEN; }

/* The value of a stage that the next one, or the statement, reads. */
static mbi_ref stage_output(const struct mbi_plan *p, size_t s)
{
    const struct mbi_graph *g = p->stage[s].graph;

    if (takes_tokens(g))
        return g->argmax;
    return s + 1 < p->n_stages || p->boundary[MBI_BEHIND] ? g->link : g->logits;
}

static bool has_memory(const struct mbi_graph *g, mbi_ref i)
{
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];

    return mbi_node_state(field, g, i) > 0;
}

/* Marks what the output of a stage depends on, and what the memory that it hands on does: var 0
 * stands for "needed". */
static void mark_needed(const struct mbi_plan *p, struct mbi_stage_plan *s, mbi_ref output)
{
    const bool claims = !p->takes_tokens || p->n_outputs;

    for (mbi_ref i = 0; i < s->graph->n_nodes; i++)
        s->node[i].var = MBI_NONE;
    for (mbi_ref i = s->graph->n_nodes; i-- > 0;)
        if ((i == output && claims) ||
            (p->takes_tokens && p->boundary[MBI_BEHIND] && has_memory(s->graph, i)))
            s->node[i].var = 0;
    for (mbi_ref i = s->graph->n_nodes; i-- > 0;) {
        const struct mbi_node *node = &s->graph->node[i];

        if (s->node[i].var == MBI_NONE || !node->op)
            continue;
        for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++)
            s->node[node->in[k]].var = 0;
    }
}

/* The interval of what a public parameter holds; without it the declared one stays. */
static void narrow(struct mbi_plan *p, struct mbi_var *v, const struct mbi_type *t)
{
    const void *data = p->param && p->param[v->stage] ? p->param[v->stage][v->param] : NULL;

    if (!data)
        return;
    mbi_typed_ends(&v->lo, &v->hi, t, data);
    if (v->lo < t->lo || v->hi > t->hi)
        mbi_plan_fault(p, "a public parameter leaves its interval");
}

const struct mbi_type *mbi_plan_narrow(struct mbi_type *known, const struct mbi_plan *p,
                                       uint32_t var, const struct mbi_type *t)
{
    if (var >= p->n_vars || p->var[var].kind != MBI_VAR_PUBLIC ||
        p->var[var].input != MBI_PUBLIC_PARAM)
        return t;
    *known = *t;
    known->lo = p->var[var].lo;
    known->hi = p->var[var].hi;
    return known;
}

/* Pieces lie in the order of stages and parameters: the first that does not come before these. */
static uint32_t find_piece(const struct mbi_plan *p, uint32_t stage, uint32_t param)
{
    uint32_t first = 0, end = p->n_pieces;

    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        const struct mbi_piece *piece = &p->piece[middle];

        if (piece->stage < stage || (piece->stage == stage && piece->param < param))
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static uint32_t weight_var(struct mbi_plan *p, uint32_t stage, uint32_t param)
{
    const struct mbi_type *t = &p->stage[stage].graph->param[param].type;
    struct mbi_var v = {.kind = MBI_VAR_WEIGHT,
                        .n = {t->rows, 1, t->cols},
                        .lo = t->lo,
                        .hi = t->hi,
                        .stage = stage,
                        .param = param};

    if (!mbi_weight_is_committed(&p->stage[stage].graph->param[param])) {
        v.kind = MBI_VAR_PUBLIC;
        v.input = MBI_PUBLIC_PARAM;
        narrow(p, &v, t);
        return mbi_plan_add_var(p, &v);
    }
    v.first_piece = find_piece(p, stage, param);
    for (uint32_t i = v.first_piece;
         i < p->n_pieces && p->piece[i].stage == stage && p->piece[i].param == param; i++)
        v.n_pieces++;
    if (t->lo < INT16_MIN || t->hi > INT16_MAX)
        mbi_plan_fault(p, "a weight has more than 16 bits");
    return mbi_plan_add_var(p, &v);
}

static uint32_t public_var(struct mbi_plan *p, enum mbi_public which, const struct mbi_type *t)
{
    const struct mbi_var v = {.kind = MBI_VAR_PUBLIC,
                              .n = {p->lanes, 1, t->cols},
                              .lo = t->lo,
                              .hi = t->hi,
                              .input = which};

    return mbi_plan_add_var(p, &v);
}

/* Of a value of features or of a link. */
static struct mbi_shape shape_of(const struct mbi_plan *p, const struct mbi_type *t)
{
    return (struct mbi_shape){{p->lanes, 1, t->cols}};
}

/* What the first stage takes in, if the models of another proof hand it on. */
static uint32_t linked_input(struct mbi_plan *p, struct mbi_node_plan *node,
                             const struct mbi_type *t)
{
    struct mbi_gadget g = {.plan = p,
                           .node = &p->stage[0].graph->node[0],
                           .lanes = p->lanes,
                           .boundary = {true, false}};
    uint32_t var;

    node->first = p->n_vars;
    var = mbi_gadget_before(&g, shape_of(p, t), t->lo, t->hi);
    node->end = p->n_vars;
    return var;
}

/* What a stage takes in: the statement's features, or the link of the stage before it. */
static uint32_t input_var(struct mbi_plan *p, size_t s, mbi_ref ref)
{
    const struct mbi_node *leaf = &p->stage[s].graph->node[ref];
    const struct mbi_var *link;
    mbi_ref from;

    if (!s && !p->takes_tokens && p->boundary[MBI_BEFORE])
        return linked_input(p, &p->stage[s].node[ref], &leaf->type);
    if (!s)
        return p->input = public_var(p, MBI_PUBLIC_INPUT, &leaf->type);
    from = p->stage[s - 1].node[stage_output(p, s - 1)].var;
    link = &p->var[from];
    if (link->n[2] != leaf->type.cols || link->lo < leaf->type.lo || link->hi > leaf->type.hi) {
        mbi_plan_fault(p, "a stage takes another input than the one before it gives");
        return MBI_NONE;
    }
    return from;
}

/* What claims a token is not the variable of its number. */
static bool is_value(const struct mbi_plan *p, uint32_t var, const struct mbi_type *t)
{
    const struct mbi_var *v = &p->var[var];

    return v->n[0] == p->lanes && v->n[1] == 1 && v->n[2] == t->cols;
}

static void declare_op(struct mbi_plan *p, struct mbi_stage_plan *s, mbi_ref ref)
{
    const struct mbi_node *node = &s->graph->node[ref];
    const struct mbi_op_row *row = &mbi_op_table[node->op];
    struct mbi_gadget g = {.plan = p, .node = node, .out = MBI_NONE};

    g.lanes = p->lanes;
    g.n_outputs = p->n_outputs;
    g.takes_tokens = p->takes_tokens;
    if (p->takes_tokens) /* else it is not one of memory */
        memcpy(g.boundary, p->boundary, sizeof(g.boundary));
    if (!row->def->gadget) {
        mbi_gadget_fault(&g, "it cannot be proved yet");
        return;
    }
    for (size_t k = 0; k < row->n_in; k++) {
        g.in_type[k] = &s->graph->node[node->in[k]].type;
        g.in[k] = s->node[node->in[k]].var;
        g.in_is_param[k] = mbi_node_is_param(&s->graph->node[node->in[k]]);
        g.in_type[k] = mbi_plan_narrow(&g.known[k], p, g.in[k], g.in_type[k]);
        if (!g.in_is_param[k] && !is_value(p, g.in[k], g.in_type[k]))
            mbi_gadget_fault(&g, "it reads an answer, which stands in the statement alone");
    }
    s->node[ref].first = p->n_vars;
    row->def->gadget->declare(&g);
    s->node[ref].var = g.out;
    s->node[ref].end = p->n_vars;
    if (has_memory(s->graph, ref) && !mbi_boundary_is_said(p, s->node[ref].first))
        mbi_gadget_fault(&g, "its memory cannot be handed on yet");
}

static void declare_stage(struct mbi_plan *p, size_t index)
{
    struct mbi_stage_plan *s = &p->stage[index];
    const struct mbi_graph *g = s->graph;

    mark_needed(p, s, stage_output(p, index));
    for (mbi_ref i = 0; i < g->n_nodes && !p->fault; i++) {
        const struct mbi_node *node = &g->node[i];

        if (s->node[i].var == MBI_NONE)
            continue;
        if (node->op)
            declare_op(p, s, i);
        else if (node->leaf == MBI_LEAF_PARAM)
            s->node[i].var = weight_var(p, (uint32_t)index, node->param);
        else
            s->node[i].var = input_var(p, index, i);
    }
}

static bool claims_tokens(const struct mbi_plan *p, const struct mbi_node_plan *node)
{
    for (uint32_t i = node->first; i < node->end; i++)
        if (p->var[i].kind == MBI_VAR_PUBLIC && p->var[i].input == MBI_PUBLIC_LESS)
            return true;
    return false;
}

/* What the last stage hands on to the models of another proof; its variable follows all others. */
static void declare_link(struct mbi_plan *p, const struct mbi_stage_plan *s, mbi_ref link)
{
    const struct mbi_type *t = &s->graph->node[link].type;
    struct mbi_gadget g = {
        .plan = p, .node = &s->graph->node[link], .lanes = p->lanes, .boundary = {false, true}};

    mbi_gadget_behind(&g, shape_of(p, t), t->lo, t->hi, mbi_gadget_entry(s->node[link].var));
}

/* The last stage's output is the statement's, or that of a boundary. */
static void declare_output(struct mbi_plan *p)
{
    const mbi_ref output = stage_output(p, p->n_stages - 1);
    const struct mbi_stage_plan *s = &p->stage[p->n_stages - 1];
    struct mbi_gadget g = {.plan = p, .lanes = p->lanes};

    if (takes_tokens(s->graph)) { /* argmax has said it */
        if (p->n_outputs && !claims_tokens(p, &s->node[output]))
            mbi_plan_fault(p, "the answers of a model are not those of its largest logits");
        return;
    }
    if (p->boundary[MBI_BEHIND]) {
        declare_link(p, s, output);
        return;
    }
    p->output = public_var(p, MBI_PUBLIC_OUTPUT, &s->graph->node[output].type);
    mbi_gadget_relate(&g, s->graph->node[output].type.cols);
    mbi_gadget_linear(&g, 1, s->node[output].var);
    mbi_gadget_linear(&g, -1, p->output);
}

/* Every weight of a stage, equal to a variable of its interval. */
static void declare_certificate(struct mbi_plan *p, uint32_t stage)
{
    const struct mbi_graph *g = p->stage[stage].graph;

    for (uint32_t i = 0; i < g->n_params && !p->fault; i++) {
        const struct mbi_type *t = &g->param[i].type;
        struct mbi_gadget d = {.plan = p, .lanes = t->rows};
        uint32_t copy;

        if (!mbi_weight_is_committed(&g->param[i]))
            continue;
        copy = mbi_gadget_var(&d, t->cols, t->lo, t->hi, false);
        mbi_gadget_relate(&d, t->cols);
        mbi_gadget_linear(&d, 1, weight_var(p, stage, i));
        mbi_gadget_linear(&d, -1, copy);
    }
}

/* ---- the whole ---- */

static int32_t check_request(const struct mbi_plan_request *q, mambaint_error *err)
{
    if (!q->n_stages || q->n_stages > MBI_PLAN_STAGES)
        return mbi_fail(err, MAMBAINT_E_RANGE, "a proof is of 1 to %d models", MBI_PLAN_STAGES);
    if (!q->lanes || q->lanes > MBI_PLAN_MAX_LANES)
        return mbi_fail(err, MAMBAINT_E_RANGE, "a proof is of 1 to %d tokens", MBI_PLAN_MAX_LANES);
    if (!q->certificate && takes_tokens(q->graph[0]) &&
        ((!q->n_outputs && !q->boundary[MBI_BEHIND]) || q->n_outputs > q->lanes))
        return mbi_fail(err, MAMBAINT_E_RANGE, "a proof of %u tokens is of 1 to as many answers",
                        q->lanes);
    if ((q->boundary[MBI_BEFORE] || q->boundary[MBI_BEHIND]) && q->certificate)
        return mbi_fail(err, MAMBAINT_E_RANGE, "a certificate begins and ends nowhere");
    for (size_t s = 0; s < q->n_stages && !q->certificate; s++) {
        if (takes_tokens(q->graph[s]) && q->n_stages > 1)
            return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                            "model %zu takes tokens: only models of features form a chain", s + 1);
        if (!takes_tokens(q->graph[s]) && (s + 1 < q->n_stages || q->boundary[MBI_BEHIND]) &&
            q->graph[s]->link == MBI_NONE)
            return mbi_fail(err, MAMBAINT_E_MISMATCH, "model %zu of the chain feeds no other one",
                            s + 1);
    }
    return MAMBAINT_OK;
}

static int32_t plan_failed(const struct mbi_plan *p, mambaint_error *err)
{
    if (p->no_memory)
        return mbi_fail_memory(err, "the plan of a proof");
    if (p->fault_op)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "this model cannot be proved: operation '%s': %s",
                        mbi_op_table[p->fault_op].name, p->fault);
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: %s", p->fault);
}

static int32_t init_stages(struct mbi_plan *p, const struct mbi_plan_request *q,
                           mambaint_error *err)
{
    for (size_t s = 0; s < q->n_stages; s++) {
        p->stage[s].graph = q->graph[s];
        p->stage[s].node = mbi_alloc(p->host, q->graph[s]->n_nodes, sizeof(*p->stage[s].node));
        if (!p->stage[s].node)
            return mbi_fail_memory(err, "the plan of a proof");
        p->n_stages++;
    }
    p->piece = mbi_weight_pieces(&p->n_pieces, &p->weight_bits, p->host, q->graph, q->n_stages);
    if (!p->piece)
        return mbi_fail_memory(err, "the plan of a proof");
    if (p->weight_bits > MBI_PLAN_MAX_BITS)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: too many weights");
    return MAMBAINT_OK;
}

static int32_t fill_plan(struct mbi_plan *p, const struct mbi_plan_request *q, mambaint_error *err)
{
    const int32_t rc = init_stages(p, q, err);
    size_t nodes = 0;

    if (rc < 0)
        return rc;
    if (q->certificate && mbi_plan_lay_out_direct(p))
        return MAMBAINT_OK;
    for (size_t s = 0; s < p->n_stages && !q->certificate; s++)
        nodes += p->stage[s].graph->n_nodes;
    mbi_plan_expect(p, nodes);
    for (uint32_t s = 0; s < p->n_stages && !p->fault; s++)
        if (q->certificate)
            declare_certificate(p, s);
        else
            declare_stage(p, s);
    if (!q->certificate && !p->fault)
        declare_output(p);
    mbi_plan_lay_out(p);
    mbi_boundary_lay_out(p);
    mbi_plan_compare_relations(p);
    return p->fault ? plan_failed(p, err) : MAMBAINT_OK;
}

int32_t mbi_plan_create(struct mbi_plan **out, const struct mbi_host *host,
                        const struct mbi_plan_request *request, mambaint_error *err)
{
    int32_t rc = check_request(request, err);
    struct mbi_plan *p;

    *out = NULL;
    if (rc < 0)
        return rc;
    if (!(p = mbi_alloc(host, 1, sizeof(*p))))
        return mbi_fail_memory(err, "the plan of a proof");
    p->host = host;
    p->lanes = request->lanes;
    p->takes_tokens = !request->certificate && takes_tokens(request->graph[0]);
    p->n_outputs = takes_tokens(request->graph[0]) ? request->n_outputs : 0;
    memcpy(p->boundary, request->boundary, sizeof(p->boundary));
    p->public_weights = request->public_weights;
    p->certificate = request->certificate;
    p->param = request->param;
    p->small_bits = MBI_DIGITS_BITS;
    p->input = p->output = MBI_NONE;
    if ((rc = fill_plan(p, request, err)) < 0) {
        mbi_plan_free(p);
        return rc;
    }
    p->param = NULL;
    *out = p;
    return MAMBAINT_OK;
}

void mbi_plan_free(struct mbi_plan *plan)
{
    if (!plan)
        return;
    for (size_t s = 0; s < plan->n_stages; s++)
        mbi_free(plan->host, plan->stage[s].node);
    mbi_plan_free_relations(plan);
    mbi_free(plan->host, plan->piece);
    mbi_free(plan->host, plan->box);
    mbi_free(plan->host, plan);
}

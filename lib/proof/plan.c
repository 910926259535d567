/* SPDX-License-Identifier: Apache-2.0 */
/* From graphs to variables, relations and the layout of what is committed. */
#include "proof/plan.h"
#include "base/blake2b.h"
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
    for (uint32_t i = 0; i < p->n_pieces; i++)
        if (p->piece[i].stage == stage && p->piece[i].param == param) {
            v.first_piece = v.n_pieces ? v.first_piece : i;
            v.n_pieces++;
        }
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
    mbi_free_aligned(plan->host, plan->var);
    mbi_free_aligned(plan->host, plan->relation);
    mbi_free_aligned(plan->host, plan->term);
    mbi_free(plan->host, plan->piece);
    mbi_free(plan->host, plan->box);
    mbi_free(plan->host, plan);
}

/* ---- the digest ---- */

#define ROOM ((size_t)1 << 12) /* bytes that are hashed at a time */

/* Numbers on their way into the hash. */
struct digest {
    struct mbi_blake2b hash;
    size_t n;
    uint8_t bytes[ROOM];
};

static void hash_bytes(struct digest *s)
{
    mbi_blake2b_add(&s->hash, s->bytes, s->n);
    s->n = 0;
}

static void add32(struct digest *s, uint32_t v)
{
    if (s->n + sizeof(v) > ROOM)
        hash_bytes(s);
    mbi_store32(s->bytes + s->n, v);
    s->n += sizeof(v);
}

static void add64(struct digest *s, uint64_t v)
{
    add32(s, (uint32_t)v);
    add32(s, (uint32_t)(v >> 32));
}

/* Where the digits of a committed variable lie. */
static void add_digits(struct digest *s, const struct mbi_plan *p, const struct mbi_var *v)
{
    add32(s, v->bits);
    if (p->large) {
        add32(s, v->digit_bits);
        add32(s, v->exact);
        add32(s, v->n_boxes);
    }
    for (uint32_t k = 0; k < v->n_boxes; k++) {
        const struct mbi_box *box = &p->box[v->first_box + k];

        if (p->large) {
            add32(s, box->row);
            add32(s, box->log_rows);
            add32(s, box->col);
            add32(s, box->log_cols);
        }
        add64(s, box->digits);
        add64(s, box->odd);
    }
    if (!p->large && !v->n_boxes) {
        add64(s, 0);
        add64(s, 0);
    }
}

/* The regions of the witness vector. */
static void add_regions(struct digest *s, const struct mbi_plan *p)
{
    const struct mbi_lookup *l = &p->lookup;

    add32(s, p->large ? MBI_DIGIT_MAX : MBI_DIGIT_MIN);
    for (uint32_t k = MBI_DIGIT_MIN; !p->large && k > 0; k--) {
        add64(s, p->from[k]);
        add64(s, p->to[k]);
    }
    if (p->large)
        add32(s, l->n);
    for (uint32_t k = 0; p->large && k < l->n; k++) {
        add32(s, l->size[k]);
        add64(s, l->begin[k + 1]);
        add64(s, l->counts[k + 1]);
    }
    add32(s, p->bits);
    if (p->n_pads) {
        add64(s, p->pads_at);
        add64(s, p->n_pads);
    }
}

static void add_var(struct digest *s, const struct mbi_plan *p, const struct mbi_var *v)
{
    add32(s, v->kind);
    for (int k = 0; k < MBI_AXES; k++)
        add32(s, v->n[k]);
    add64(s, (uint64_t)v->lo);
    add64(s, (uint64_t)v->hi);
    if (v->kind == MBI_VAR_PUBLIC) {
        add32(s, v->input);
        add32(s, v->stage);
        add32(s, v->param);
        add32(s, (uint32_t)v->from);
    }
    if (v->kind == MBI_VAR_WEIGHT) {
        add32(s, v->first_piece);
        add32(s, v->n_pieces);
    }
    if (v->kind == MBI_VAR_DERIVED)
        add32(s, v->relation);
    if (v->kind == MBI_VAR_BOUNDARY) {
        add32(s, v->side);
        add64(s, v->block);
    }
    if (v->kind == MBI_VAR_COMMITTED)
        add_digits(s, p, v);
}

#define NO_FIELD 7u /* as a letter */

/* Kind, log and fields in one number: 2, 5 and 8 bits each. There are as many views as of anything,
 * and a verifier hashes them all. */
static uint32_t packed_axis(const struct mbi_axis *a)
{
    uint32_t fields = 0;

    for (uint32_t f = MBI_FIELDS; f-- > 0;) {
        const struct mbi_field *of = &a->field[f];

        fields <<= 8;
        fields |= f < a->n_fields ? (uint32_t)of->letter | (uint32_t)of->shift << 3 : NO_FIELD;
    }
    return (uint32_t)a->kind | (uint32_t)a->log << 2 | fields << 7;
}

static void add_view(struct digest *s, const struct mbi_view *w)
{
    add32(s, w->var);
    for (int k = 0; k < MBI_AXES; k++) {
        add32(s, (uint32_t)w->axis[k].from);
        add32(s, packed_axis(&w->axis[k]));
    }
}

static void add_relation(struct digest *s, const struct mbi_plan *p, const struct mbi_relation *r)
{
    add32(s, r->n_letters);
    for (uint32_t k = 0; k < r->n_letters; k++)
        add32(s, r->n[k]);
    add32(s, r->small);
    add32(s, r->large);
    add32(s, r->defines);
    if (r->defines != MBI_NONE)
        add_view(s, &r->result);
    add32(s, r->n_terms);
    for (uint32_t i = 0; i < r->n_terms; i++) {
        const struct mbi_term *t = &p->term[r->first_term + i];

        add64(s, (uint64_t)t->c);
        add32(s, t->n);
        for (uint32_t k = 0; k < t->n; k++)
            add_view(s, &t->view[k]);
    }
}

static void end_digest(uint8_t out[MBI_DIGEST_SIZE], struct digest *s)
{
    hash_bytes(s);
    mbi_blake2b_end(&s->hash, out);
}

static void begin_digest(struct digest *s, const char *what)
{
    s->n = 0;
    mbi_blake2b_init(&s->hash);
    mbi_blake2b_add(&s->hash, what, strlen(what));
}

static size_t share_begin(size_t n, size_t k) { return n * k / MBI_PLAN_SHARES; }

void mbi_plan_share(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan, size_t k)
{
    const size_t vars = share_begin(plan->n_vars, k + 1);
    const size_t relations = share_begin(plan->n_relations, k + 1);
    struct digest s;

    begin_digest(&s, "mambaint-share");
    for (size_t i = share_begin(plan->n_vars, k); i < vars; i++)
        add_var(&s, plan, &plan->var[i]);
    for (size_t i = share_begin(plan->n_relations, k); i < relations; i++)
        add_relation(&s, plan, &plan->relation[i]);
    end_digest(out, &s);
}

void mbi_plan_join(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan,
                   const uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE])
{
    struct digest s;

    begin_digest(&s, "mambaint-plan");
    add32(&s, (uint32_t)plan->n_stages);
    add32(&s, plan->lanes);
    add32(&s, plan->n_outputs);
    add32(&s, plan->public_weights);
    add32(&s, plan->n_vars);
    add32(&s, plan->n_pieces);
    for (uint32_t i = 0; i < plan->n_pieces; i++) {
        add32(&s, plan->piece[i].row);
        add32(&s, plan->piece[i].log_rows);
        add32(&s, plan->piece[i].col_bits);
        add64(&s, plan->piece[i].block);
    }
    add32(&s, plan->weight_bits);
    add32(&s, plan->n_relations);
    add_regions(&s, plan);
    hash_bytes(&s);
    mbi_blake2b_add(&s.hash, share, MBI_PLAN_SHARES * MBI_DIGEST_SIZE);
    end_digest(out, &s);
}

void mbi_plan_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan)
{
    uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE];

    for (size_t k = 0; k < MBI_PLAN_SHARES; k++)
        mbi_plan_share(share[k], plan, k);
    mbi_plan_join(out, plan, (const uint8_t(*)[MBI_DIGEST_SIZE])share);
}

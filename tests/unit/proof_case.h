/* SPDX-License-Identifier: Apache-2.0 */
/* A model, or a chain of them, with random weights, run by the reference kernels and ready to be
 * proved; compiled for each MBI_EXT_D. */
#ifndef MBI_TESTS_PROOF_CASE_H
#define MBI_TESTS_PROOF_CASE_H

#include "arch/arch.h"
#include "ext_test.h"
#include "op/build.h"
#include "proof/hash.h"
#include "proof/layout.h"
#include "proof/walk.h"
#include "proof/witness.h"

/* Where digit k of an element lies in the witness vector, whose columns run over middle and last
 * index together; UINT64_MAX: it has none. */
static inline uint64_t case_digit(const struct mbi_plan *p, const struct mbi_var *v, unsigned k,
                                  size_t row, size_t col)
{
    const size_t mid = col / v->n[2], last = col % v->n[2];

    for (uint32_t b = 0; b < v->n_boxes; b++) {
        const struct mbi_box *box = &p->box[v->first_box + b];

        if (row >= box->row && row - box->row < (size_t)1 << box->log_rows && last >= box->col &&
            last - box->col < (size_t)1 << box->log_cols)
            return (mbi_box_digit(v, box, k) << box->bits) + mbi_box_place(v, box, row, mid, last);
    }
    return UINT64_MAX;
}

#define CASE_STAGES 4
#define CASE_STATEMENT "a statement"

struct proof_stage {
    struct mbi_graph *graph;
    void **value; /* by mbi_ref */
    void **param; /* by index: some of the values */
};

struct proof_case {
    struct mbi_host host;
    struct proof_stage stage[CASE_STAGES];
    struct mbi_stage_run run[CASE_STAGES];
    const struct mbi_graph *graph[CASE_STAGES];
    struct mbi_table vector;
    struct mbi_commitment weights;
    size_t n_stages;
    uint32_t lanes, n_outputs;
    uint32_t *token; /* of a model of tokens: lanes + 1 */
    bool certificate;
    struct mbi_plan *plan;
    struct mbi_witness *witness;
    struct mbi_proof_job job;
    const char *type; /* of the transcript */
};

/* A parameter that nobody trains. */
static inline mbi_ref case_param(struct mbi_build *b, const char *name, struct mbi_type type)
{
    struct mbi_param p = {.type = type,
                          .is_vector = type.rows == 1,
                          .quant = MBI_QUANT_FIXED,
                          .init = MBI_INIT_ZERO,
                          .exponent = MBI_NONE,
                          .scale = MBI_NONE};

    snprintf(p.name, sizeof(p.name), "%s", name);
    return mbi_build_param(b, &p);
}

#define MIXED_WIDTH 12

/* A graph with every operation that can be proved, saturating and not. */
static inline void mixed_graph(struct mbi_build *b)
{
    const struct mbi_type w = {MBI_I8, 0, MIXED_WIDTH, 10, -127, 127};
    const struct mbi_type gain = {MBI_I16, 8, 1, MIXED_WIDTH, -32767, 32767};
    const struct mbi_type head = {MBI_I8, 0, 7, MIXED_WIDTH, -127, 127};
    const mbi_ref x = mbi_build_features(b, 10, 5);
    mbi_ref a = mbi_matvec(b, "a", x, case_param(b, "a.weight", w));
    mbi_ref y, g, p;

    a = mbi_requant(b, "a", a, 7, -128, 127, 5);
    y = mbi_build_node(b, MBI_OP_concat, "y", (mbi_ref[]){a, x}, NULL);
    y = mbi_slice(b, "y", y, 3, MIXED_WIDTH);
    y = mbi_addsat(b, "y", a, y, 8);
    g = mbi_requant(b, "wide", y, -4, -32768, 32767, 8);
    g = mbi_gate(b, "gate", g, MBI_GATE_HARD);
    g = mbi_requant(b, "gate", g, 18, -128, 127, 5);
    p = mbi_requant(b, "product", mbi_mul(b, "product", y, g, 1), 5, -128, 127, 5);
    g = mbi_mul(b, "gain", g, case_param(b, "gain", gain), 1);
    g = mbi_requant(b, "gain", g, 8, -128, 127, 5);
    g = mbi_requant(b, "sum", mbi_add(b, "sum", g, p), 1, -128, 127, 4);
    g = mbi_matvec(b, "head", g, case_param(b, "head.weight", head));
    p = mbi_argmax(b, "argmax", g);
    (void)mbi_build_end(b, g, p);
}

/* One matrix: with public weights there is nothing that is not public. */
static inline void direct_graph(struct mbi_build *b)
{
    const struct mbi_type w = {MBI_I8, 0, 5, 10, -127, 127};
    const mbi_ref x = mbi_build_features(b, 10, 5);
    const mbi_ref y = mbi_matvec(b, "y", x, case_param(b, "weight", w));

    (void)mbi_build_end(b, y, mbi_argmax(b, "argmax", y));
}

#define WIDTH_MIXED 0
#define WIDTH_DIRECT UINT32_MAX

static inline void graph_stage(struct proof_stage *s, uint32_t kind, const struct mbi_host *host)
{
    struct mbi_build b;
    mambaint_error err;

    ck_assert_int_eq(mbi_graph_create(&s->graph, host, NULL), MAMBAINT_OK);
    mbi_build_begin(&b, s->graph, &err);
    if (kind == WIDTH_DIRECT)
        direct_graph(&b);
    else
        mixed_graph(&b);
    test_check(b.status >= 0, "%s", err.message);
}

/* hidden: the width of the stage, or WIDTH_MIXED or WIDTH_DIRECT. */
static inline void case_graph(struct proof_stage *s, uint32_t hidden, const struct mbi_host *host)
{
    const struct mbi_arch *arch = mbi_arch_find("simple");
    struct mbi_config c;
    bool known;
    char text[16];

    mbi_config_init(&c, arch);
    snprintf(text, sizeof(text), "%u", hidden);
    if (hidden != WIDTH_MIXED && hidden != WIDTH_DIRECT) {
        ck_assert_int_eq(mbi_config_set(&c, "hidden", text, &known, NULL), MAMBAINT_OK);
        ck_assert_int_eq(mbi_arch_graph(&s->graph, host, &c, NULL), MAMBAINT_OK);
    } else {
        graph_stage(s, hidden, host);
    }
    s->value = calloc(s->graph->n_nodes, sizeof(*s->value));
    s->param = calloc(s->graph->n_params, sizeof(*s->param));
    test_that(s->value && s->param);
}

/* That of a model of tokens from settings "key=value", one after the other. */
static inline void token_config(struct mbi_config *c, const char *settings)
{
    mambaint_error err;
    char text[256], *at = text, *word;

    mbi_config_init(c, mbi_arch_find("mamba-integer"));
    snprintf(text, sizeof(text), "%s", settings);
    while ((word = strtok_r(at, " ", &at))) {
        char *value = strchr(word, '=');
        bool known;

        test_that(value);
        *value++ = '\0';
        test_check(mbi_config_set(c, word, value, &known, &err) == MAMBAINT_OK && known, "%s",
                   word);
    }
    test_check(c->arch->resolve(c, true, &err) == MAMBAINT_OK, "%s", err.message);
}

static inline void token_graph(struct proof_stage *s, const char *settings,
                               const struct mbi_host *host)
{
    struct mbi_config c;
    mambaint_error err;

    token_config(&c, settings);
    test_check(mbi_arch_graph(&s->graph, host, &c, &err) == MAMBAINT_OK, "%s", err.message);
    s->value = calloc(s->graph->n_nodes, sizeof(*s->value));
    s->param = calloc(s->graph->n_params, sizeof(*s->param));
    test_that(s->value && s->param);
}

/* Element i of a parameter or value; `out` was zero where it is ternary. */
static inline void put_element(void *out, const struct mbi_type *t, size_t i, int64_t v)
{
    const size_t row = i / t->cols, col = i % t->cols;

    if (t->dtype == MBI_TERNARY) {
        uint8_t *four = (uint8_t *)out + row * mbi_type_row_size(t) + col / 4;

        *four = (uint8_t)(*four | (unsigned)(v + 1) << (2 * (col % 4)));
    } else {
        mbi_put(out, t->dtype, i, v);
    }
}

/* n integers of a type, anywhere in its interval; some at its ends. */
static inline void random_elements(void *out, const struct mbi_type *t, size_t n,
                                   struct test_random *r)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t kind = test_random_below(r, 8);

        put_element(out, t, i,
                    kind == 0   ? t->lo
                    : kind == 1 ? t->hi
                                : test_random_between(r, t->lo, t->hi));
    }
}

/* One node by its reference kernel, from position 0 and the zero state. */
static inline void run_node(struct proof_stage *s, mbi_ref ref, size_t lanes)
{
    const struct mbi_node *node = &s->graph->node[ref];
    const struct mbi_op_row *row = &mbi_op_table[node->op];
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    const size_t fields = mbi_node_state(field, s->graph, ref);
    struct mbi_op_args a = {
        .out = s->value[ref], .out_type = &node->type, .attr = node->attr, .lanes = lanes};

    for (size_t k = 0; k < fields; k++)
        test_that(a.state[k] = calloc(field[k].count + 1, 8));
    for (size_t k = 0; k < row->n_in; k++) {
        a.in[k] = s->value[node->in[k]];
        a.in_type[k] = &s->graph->node[node->in[k]].type;
        a.in_is_param[k] = mbi_node_is_param(&s->graph->node[node->in[k]]);
    }
    a.end = row->def->units(&a);
    row->def->eval(&a);
    if (row->def->finish)
        row->def->finish(&a);
    for (size_t k = 0; k < fields; k++)
        free(a.state[k]);
}

static inline void run_stage(struct proof_case *c, size_t index, struct test_random *r)
{
    struct proof_stage *s = &c->stage[index];

    for (mbi_ref i = 0; i < s->graph->n_nodes; i++) {
        const struct mbi_node *node = &s->graph->node[i];
        const bool is_param = mbi_node_is_param(node);
        const size_t n = (is_param ? node->type.rows : c->lanes) * (size_t)node->type.cols;

        s->value[i] = calloc(n, 8);
        test_that(s->value[i]);
        if (is_param)
            s->param[node->param] = s->value[i];
        if (node->op)
            run_node(s, i, c->lanes);
        else if (is_param || !index)
            random_elements(s->value[i], &node->type, n, r);
        else
            memcpy(s->value[i], c->stage[index - 1].value[c->stage[index - 1].graph->link], n);
    }
    c->run[index].value = (const void *const *)s->value;
}

static inline void case_commit(struct proof_case *c)
{
    const void *const *param[CASE_STAGES];
    struct mbi_ntt ntt;
    struct mbi_code code;
    struct mbi_piece *piece;
    struct mbi_table used;
    uint32_t n;
    unsigned bits;

    for (size_t i = 0; i < c->n_stages; i++)
        param[i] = (const void *const *)c->stage[i].param;
    ck_assert_int_eq(
        mbi_weight_vector(&c->vector, &bits, &c->host, c->graph, param, c->n_stages, NULL),
        MAMBAINT_OK);
    test_that(MBI_EXT(weight_code)(&code, bits));
    ck_assert_int_eq(mbi_ntt_init(&ntt, &c->host, mbi_field_kernels_best(), code.log_length, NULL),
                     MAMBAINT_OK);
    piece = mbi_weight_pieces(&n, &bits, &c->host, c->graph, c->n_stages);
    test_that(piece);
    used = c->vector;
    used.n = (size_t)mbi_weight_end(piece, n);
    mbi_free(&c->host, piece);
    ck_assert_int_eq(MBI_EXT(commit)(&c->weights, &used, bits, &code, NULL, &ntt, NULL),
                     MAMBAINT_OK);
    mbi_ntt_free(&ntt);
}

static inline void case_uncommit(struct proof_case *c)
{
    MBI_EXT(commitment_free)(&c->weights);
    mbi_free_aligned(&c->host, (void *)(uintptr_t)c->vector.data);
}

/* The plan, the witness and the job of a case whose stages have run. */
static inline void case_plan(struct proof_case *c, bool public_weights)
{
    const void *const *param[CASE_STAGES];
    struct mbi_plan_request q = {.graph = c->graph,
                                 .n_stages = c->n_stages,
                                 .lanes = c->lanes,
                                 .public_weights = public_weights,
                                 .certificate = c->certificate,
                                 .n_outputs = c->n_outputs,
                                 .param = param};
    mambaint_error err;

    for (size_t i = 0; i < c->n_stages; i++)
        param[i] = (const void *const *)c->stage[i].param;
    test_check(mbi_plan_create(&c->plan, &c->host, &q, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(mbi_witness_create(&c->witness, c->plan, c->run, NULL, NULL), MAMBAINT_OK);
    c->job = (struct mbi_proof_job){.plan = c->plan,
                                    .statement = CASE_STATEMENT,
                                    .statement_size = sizeof(CASE_STATEMENT),
                                    .weights = c->weights.root,
                                    .table = c->witness->table,
                                    .token = c->token};
    test_that(MBI_EXT(walk_code)(&c->job.code, c->plan));
}

struct case_settings {
    const uint32_t *hidden; /* of each stage */
    size_t n_stages;
    uint32_t lanes;
    bool public_weights, certificate;
};

static inline void case_init(struct proof_case *c, const struct case_settings *set,
                             struct test_random *r)
{
    memset(c, 0, sizeof(*c));
    mbi_host_default(&c->host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    c->n_stages = set->n_stages;
    c->lanes = set->lanes;
    c->certificate = set->certificate;
    c->type = set->certificate ? "cert" : "wit";
    for (size_t i = 0; i < c->n_stages; i++) {
        case_graph(&c->stage[i], set->hidden[i], &c->host);
        c->graph[i] = c->stage[i].graph;
        run_stage(c, i, r);
    }
    case_commit(c);
    case_plan(c, set->public_weights);
}

struct token_settings {
    const char *model; /* settings */
    uint32_t lanes, n_outputs;
    bool public_weights;
};

/* The tokens that are claimed are the model's own answers, the others are random. */
static inline void run_tokens(struct proof_case *c, struct test_random *r)
{
    struct proof_stage *s = &c->stage[0];
    const struct mbi_graph *g = s->graph;
    const uint32_t prompt = c->lanes - c->n_outputs + 1;

    for (uint32_t t = 0; t <= c->lanes; t++)
        c->token[t] = (uint32_t)test_random_below(r, g->node[g->logits].type.cols);
    for (uint32_t n = prompt; n <= c->lanes; n++) {
        for (mbi_ref i = 0; i < g->n_nodes; i++)
            if (g->node[i].op)
                run_node(s, i, c->lanes);
            else if (!i)
                memcpy(s->value[0], c->token, c->lanes * sizeof(*c->token));
        c->token[n] = (uint32_t)((const int32_t *)s->value[g->argmax])[n - 1];
    }
    memcpy(s->value[0], c->token, c->lanes * sizeof(*c->token));
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        if (g->node[i].op)
            run_node(s, i, c->lanes);
}

static inline void case_init_tokens(struct proof_case *c, const struct token_settings *set,
                                    struct test_random *r)
{
    struct proof_stage *s = &c->stage[0];

    memset(c, 0, sizeof(*c));
    mbi_host_default(&c->host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    c->n_stages = 1;
    c->lanes = set->lanes;
    c->n_outputs = set->n_outputs;
    c->type = "wit";
    c->token = calloc(set->lanes + 1, sizeof(*c->token));
    test_that(c->token);
    token_graph(s, set->model, &c->host);
    c->graph[0] = s->graph;
    for (mbi_ref i = 0; i < s->graph->n_nodes; i++) {
        const struct mbi_type *t = &s->graph->node[i].type;
        const bool is_param = mbi_node_is_param(&s->graph->node[i]);
        const size_t n = (is_param ? t->rows : c->lanes) * (size_t)t->cols;

        test_that(s->value[i] = calloc(n, 8));
        if (is_param) {
            s->param[s->graph->node[i].param] = s->value[i];
            random_elements(s->value[i], t, n, r);
        }
    }
    run_tokens(c, r);
    c->run[0] = (struct mbi_stage_run){(const void *const *)s->value, c->token, NULL};
    case_commit(c);
    case_plan(c, set->public_weights);
}

/* Small and fast openings, for tests of what is before them: their errors are no matter. */
static inline void case_weaken(struct proof_case *c)
{
    c->job.code.queries = 3;
    c->job.code.work = 0;
    c->job.code.level = 0;
}

static inline void case_free(struct proof_case *c)
{
    mbi_witness_free(c->witness);
    mbi_plan_free(c->plan);
    for (size_t i = 0; i < c->n_stages; i++) {
        for (mbi_ref k = 0; k < c->stage[i].graph->n_nodes; k++)
            free(c->stage[i].value[k]);
        free(c->stage[i].value);
        free(c->stage[i].param);
        mbi_graph_free(c->stage[i].graph);
    }
    free(c->token);
    case_uncommit(c);
}

/* A table of the witness as elements of F that a test may write. */
static inline mbi_fe *case_widen(struct proof_case *c, struct mbi_table *t)
{
    mbi_fe *wide = mbi_alloc_aligned(&c->host, t->n * sizeof(*wide));

    test_that(wide);
    for (size_t i = 0; i < t->n; i++)
        wide[i] = mbi_table_field(t, i);
    mbi_free_aligned(&c->host, (void *)(uintptr_t)t->data);
    *t = (struct mbi_table){MBI_TABLE_FIELD, wide, t->n};
    return wide;
}

static inline mbi_fe case_view(const struct proof_case *c, const struct mbi_view *view,
                               const struct mbi_letters *at)
{
    const struct mbi_var *v = &c->plan->var[view->var];
    int64_t x[MBI_AXES];

    for (int k = 0; k < MBI_AXES; k++) {
        const struct mbi_axis *a = &view->axis[k];

        ck_assert_int_eq(a->kind, MBI_AXIS_PLAIN);
        x[k] = a->from;
        for (uint32_t f = 0; f < a->n_fields; f++)
            x[k] += (int64_t)at->at[a->field[f].letter] << a->field[f].shift;
        if (x[k] < 0 || x[k] >= v->n[k])
            return 0;
    }
    return mbi_table_field(&c->witness->table[view->var],
                           mbi_var_place(v, (size_t)x[0], (size_t)(x[1] * v->n[2] + x[2])));
}

/* The sum of the terms of a relation at some letters, in F. */
static inline mbi_fe case_relation(const struct proof_case *c, const struct mbi_relation *r,
                                   struct mbi_letters at)
{
    mbi_fe sum = 0;

    do
        for (uint32_t i = 0; i < r->n_terms; i++) {
            const struct mbi_term *t = &c->plan->term[r->first_term + i];
            mbi_fe x = mbi_fe_from_i64(t->c);

            for (uint32_t k = 0; k < t->n; k++)
                x = mbi_fe_mul(x, case_view(c, &t->view[k], &at));
            sum = mbi_fe_add(sum, x);
        }
    while (r->defines != MBI_NONE && mbi_letters_next(&at, r, false));
    return sum;
}

/* What follows from the committed variables and the input, anew: all that is derived, and the
 * output, whose relation is logits - output = 0. All of it becomes FIELD. */
static inline void case_derive(struct proof_case *c)
{
    const struct mbi_plan *p = c->plan;

    for (uint32_t i = 0; i < p->n_relations; i++) {
        const struct mbi_relation *r = &p->relation[i];
        const bool is_output = r->defines == MBI_NONE && r->n_terms == 2 &&
                               p->term[r->first_term + 1].view[0].var == p->output;
        const uint32_t var = is_output ? p->output : r->defines;
        struct mbi_letters at = {{0}};
        mbi_fe *table;

        if (var == MBI_NONE)
            continue;
        table = case_widen(c, &c->witness->table[var]);
        do {
            const size_t place = mbi_var_place(&p->var[var], at.at[0], at.at[1]);
            const mbi_fe x = case_relation(c, r, at);

            table[place] = is_output ? mbi_fe_add(table[place], x) : x;
        } while (mbi_letters_next(&at, r, true));
    }
}

/* Proves a case, with a commitment to `other` in place of its digits if that is not NULL. */
static inline void case_prove_with(struct mbi_proof_writer *w, const struct proof_case *c,
                                   const struct mbi_table *other)
{
    struct mbi_commitment vector[2] = {{0}, c->weights};
    struct mbi_witness witness = *c->witness;
    mambaint_error err;

    if (other)
        witness.vector = *other;
    mbi_proof_writer_init(w, &c->host, c->type);
    test_check(
        MBI_EXT(proof_commit)(&vector[0], &c->job, &witness, NULL, &c->host, &err) == MAMBAINT_OK &&
            MBI_EXT(proof_prove)(&c->job, c->witness, vector, w, &c->host, &err) == MAMBAINT_OK,
        "%s", err.message);
    MBI_EXT(commitment_free)(&vector[0]);
}

static inline void case_prove(struct mbi_proof_writer *w, const struct proof_case *c)
{
    case_prove_with(w, c, NULL);
}

/* NULL, or why the bytes are refused. */
static inline const char *case_verify(const struct proof_case *c, const void *data, size_t n)
{
    struct mbi_proof_reader in;

    mbi_proof_reader_init(&in, data, n, c->type);
    return MBI_EXT(proof_verify)(&c->job, &in, &c->host) ? NULL : in.fault;
}

/* Proves a case as it is; NULL if the verifier accepts it. */
static inline const char *verdict(const struct proof_case *c)
{
    struct mbi_proof_writer w;
    const char *fault;

    case_prove(&w, c);
    fault = case_verify(c, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    return fault;
}

/* A proof of a plan with boundaries: of what it has in common with others, and what is its own. */
static inline void prove_part(struct mbi_proof_writer *w, const struct mbi_proof_job *job,
                              const struct mbi_witness *witness,
                              const struct mbi_commitment *weights,
                              const struct mbi_commitment boundary[MBI_SIDES],
                              const struct mbi_host *host)
{
    struct mbi_commitment vector[2 + MBI_SIDES] = {{0}};
    size_t n = 1;
    mambaint_error err;

    if (!job->plan->public_weights)
        vector[n++] = *weights;
    for (int side = 0; side < MBI_SIDES; side++)
        if (mbi_plan_has_boundary(job->plan, (enum mbi_side)side))
            vector[n++] = boundary[side];
    mbi_proof_writer_init(w, host, "wit");
    test_check(MBI_EXT(proof_commit)(&vector[0], job, witness, NULL, host, &err) >= 0 &&
                   MBI_EXT(proof_prove)(job, witness, vector, w, host, &err) >= 0,
               "%s", err.message);
    MBI_EXT(commitment_free)(&vector[0]);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* One operation in a graph of its own, run by the reference kernel, with the plan and the witness
 * of its gadget; and what an attacker may do to that witness. */
#ifndef MBI_TESTS_GADGET_CASE_H
#define MBI_TESTS_GADGET_CASE_H

#include "base/intmath.h"
#include "graph/element.h"
#include "op/build.h"
#include "proof/witness.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

struct gadget_set {
    uint32_t op;
    struct mbi_op_case shape; /* as the operation's own cases have it; lanes is not read */
    uint32_t lanes;
    uint32_t derived; /* bit k: parameter k is one of exponents or scales, which are public */
    bool tokens;      /* input 0 is the token; n_outputs of the last lanes are claimed */
    uint32_t n_outputs;
    /* The integers of input k, [rows][cols], which are clamped to its interval; NULL:
     * gadget_elements() */
    void (*input)(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                  struct test_random *r);
};

struct gadget_case {
    struct mbi_host host;
    struct mbi_graph *graph;
    mbi_ref in[MBI_MAX_IN], node; /* its inputs; the operation */
    void **value;                 /* by mbi_ref */
    uint32_t *token;
    struct mbi_stage_run run;
    struct mbi_plan *plan;
    struct mbi_witness *witness;
    int64_t **honest;  /* by variable, [row][middle and last index], those of the run */
    uint8_t *is_other; /* by variable: the complement of another one */
    uint8_t *is_own;   /* by relation: it says something of the node's variables */
};

/* ---- integers ---- */

static inline int64_t gadget_element(struct test_random *r, int kind, int64_t lo, int64_t hi,
                                     unsigned bits)
{
    const int64_t top = (int64_t)1 << bits;

    switch (kind) {
    case 0:
        return test_random_below(r, 2) ? lo : hi;
    case 1:
        return lo;
    case 2:
        return hi;
    case 3:
        return test_random_between(r, -2, 2);
    case 4: /* all of one size */
        return test_random_between(r, -top, top - 1);
    case 5: /* around powers of two */
        return (test_random_below(r, 2) ? -top : top) + test_random_between(r, -2, 2);
    case 6: /* of any size */
        return test_random_between(r, -top, top) >> test_random_below(r, bits + 1);
    case 7:
        return test_random_below(r, 50) ? 0 : test_random_between(r, lo, hi);
    default:
        return test_random_between(r, lo, hi);
    }
}

/* Every row in a manner of its own: anywhere, at the ends, small, of one size, almost zero. */
static inline void gadget_elements(int64_t *x, size_t rows, size_t cols, int64_t lo, int64_t hi,
                                   struct test_random *r)
{
    for (size_t i = 0; i < rows; i++) {
        const int kind = (int)test_random_below(r, 10);
        const unsigned bits = (unsigned)test_random_below(
            r, (uint64_t)mbi_bitlen((uint64_t)mbi_max_i64(hi, -1 - lo)) + 1);

        for (size_t k = 0; k < cols; k++)
            x[i * cols + k] = mbi_clamp_i64(gadget_element(r, kind, lo, hi, bits), lo, hi);
    }
}

/* ---- the graph ---- */

static inline struct mbi_type gadget_type(const struct mbi_op_case *s, size_t k)
{
    static const int64_t top[] = {
        [MBI_TERNARY] = 1, [MBI_I8] = INT8_MAX, [MBI_I16] = INT16_MAX, [MBI_I32] = INT32_MAX};
    struct mbi_type t = {.dtype = s->dtype[k],
                         .frac = s->frac[k],
                         .rows = s->rows[k] ? s->rows[k] : 1,
                         .cols = s->cols[k],
                         .lo = s->lo[k],
                         .hi = s->hi[k]};

    if (!t.lo && !t.hi) {
        t.hi = top[t.dtype];
        t.lo = t.dtype == MBI_TERNARY ? -1 : -1 - t.hi;
    }
    return t;
}

static inline mbi_ref gadget_param(struct mbi_build *b, size_t k, struct mbi_type type,
                                   bool derived)
{
    struct mbi_param p = {.type = type,
                          .is_vector = type.rows == 1,
                          .quant = derived ? MBI_QUANT_DERIVED : MBI_QUANT_FIXED,
                          .init = MBI_INIT_ZERO,
                          .exponent = MBI_NONE,
                          .scale = MBI_NONE};

    snprintf(p.name, sizeof(p.name), "param%zu", k);
    return mbi_build_param(b, &p);
}

/* Columns of the leaf from `at` on, in the wanted type and interval. */
static inline mbi_ref gadget_value(struct mbi_build *b, mbi_ref leaf, uint32_t at,
                                   struct mbi_type t)
{
    mbi_ref x = mbi_slice(b, "input", leaf, at, t.cols);

    x = mbi_requant(b, "input", x, 0, (int32_t)t.lo, (int32_t)t.hi, t.frac);
    if (mbi_build_type(b, x)->dtype != t.dtype) {
        const int32_t top = t.dtype == MBI_I16 ? INT16_MAX : INT32_MAX;

        x = mbi_requant(b, "input", x, 0, -1 - top, top, t.frac);
    }
    return x;
}

static inline mbi_ref gadget_leaf(struct mbi_build *b, const struct gadget_set *set)
{
    uint32_t cols = 0;
    mbi_ref leaf;

    if (set->tokens)
        return mbi_build_token(b, set->shape.rows[1]);
    for (size_t k = 0; k < mbi_op_table[set->op].n_in; k++)
        cols += set->shape.rows[k] ? 0 : set->shape.cols[k];
    leaf = mbi_build_features(b, cols, 0);
    b->graph->node[leaf].type = (struct mbi_type){MBI_I32, 0, 1, cols, INT32_MIN, INT32_MAX};
    return leaf;
}

static inline void gadget_graph(struct gadget_case *c, const struct gadget_set *set)
{
    struct mbi_build b;
    mambaint_error err;
    uint32_t at = 0;
    mbi_ref leaf;

    ck_assert_int_eq(mbi_graph_create(&c->graph, &c->host, NULL), MAMBAINT_OK);
    mbi_build_begin(&b, c->graph, &err);
    leaf = gadget_leaf(&b, set);
    for (size_t k = 0; k < mbi_op_table[set->op].n_in; k++) {
        const struct mbi_type t = gadget_type(&set->shape, k);

        if (set->tokens && !k) {
            c->in[k] = leaf;
        } else if (set->shape.rows[k]) {
            c->in[k] = gadget_param(&b, k, t, set->derived >> k & 1);
        } else {
            c->in[k] = gadget_value(&b, leaf, at, t);
            at += t.cols;
        }
    }
    c->node = mbi_build_node(&b, set->op, "node", c->in, set->shape.attr);
    (void)mbi_build_end(&b, c->node, mbi_argmax(&b, "argmax", c->node));
    test_check(b.status >= 0, "%s", err.message);
}

/* ---- the run ---- */

/* The integers of the leaf: those of the values side by side. */
static inline void gadget_fill_leaf(struct gadget_case *c, const struct gadget_set *set,
                                    struct test_random *r)
{
    const size_t n = c->graph->node[0].type.cols;
    size_t at = 0;

    for (size_t k = 0; k < mbi_op_table[set->op].n_in; k++) {
        const struct mbi_type t = gadget_type(&set->shape, k);
        int64_t *x = calloc((size_t)set->lanes * t.cols, sizeof(*x));

        test_that(x);
        if (!set->shape.rows[k]) {
            gadget_elements(x, set->lanes, t.cols, t.lo, t.hi, r);
            if (set->input)
                set->input(set, k, x, set->lanes, t.cols, r);
            for (size_t i = 0; i < (size_t)set->lanes * t.cols; i++)
                mbi_put(c->value[0], MBI_I32, i / t.cols * n + at + i % t.cols, x[i]);
            at += t.cols;
        }
        free(x);
    }
}

static inline void gadget_fill_tokens(struct gadget_case *c, const struct gadget_set *set,
                                      struct test_random *r)
{
    for (size_t i = 0; i <= set->lanes; i++) {
        c->token[i] = (uint32_t)test_random_below(r, set->shape.rows[1]);
        if (i < set->lanes)
            ((int32_t *)c->value[0])[i] = (int32_t)c->token[i];
    }
}

static inline void gadget_fill_param(void *out, const struct gadget_set *set, size_t k,
                                     struct test_random *r)
{
    const struct mbi_type t = gadget_type(&set->shape, k);
    int64_t *x = calloc((size_t)t.rows * t.cols, sizeof(*x));

    test_that(x);
    gadget_elements(x, t.rows, t.cols, t.lo, t.hi, r);
    if (t.rows == 1) /* one manner would be too little */
        for (size_t i = 0; i < t.cols; i++)
            gadget_elements(x + i, 1, 1, t.lo, t.hi, r);
    if (set->input)
        set->input(set, k, x, t.rows, t.cols, r);
    for (size_t i = 0; i < (size_t)t.rows * t.cols; i++) {
        const int64_t v = mbi_clamp_i64(x[i], t.lo, t.hi);

        if (t.dtype == MBI_TERNARY) {
            uint8_t *four = (uint8_t *)out + i / t.cols * mbi_type_row_size(&t) + i % t.cols / 4;

            *four = (uint8_t)(*four | (unsigned)(v + 1) << (2 * (i % t.cols % 4)));
        } else {
            mbi_put(out, t.dtype, i, v);
        }
    }
    free(x);
}

/* One node by its reference kernel, from position 0 and the zero state. */
static inline void gadget_eval(struct gadget_case *c, mbi_ref ref, size_t lanes)
{
    const struct mbi_node *node = &c->graph->node[ref];
    const struct mbi_op_row *row = &mbi_op_table[node->op];
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    const size_t fields = mbi_node_state(field, c->graph, ref);
    struct mbi_op_args a = {
        .out = c->value[ref], .out_type = &node->type, .attr = node->attr, .lanes = lanes};

    for (size_t k = 0; k < row->n_in; k++) {
        a.in[k] = c->value[node->in[k]];
        a.in_type[k] = &c->graph->node[node->in[k]].type;
        a.in_is_param[k] = mbi_node_is_param(&c->graph->node[node->in[k]]);
    }
    for (size_t k = 0; k < fields; k++)
        test_that(a.state[k] = calloc(field[k].count + 1, 8));
    a.end = row->def->units(&a);
    row->def->eval(&a);
    if (row->def->finish)
        row->def->finish(&a);
    for (size_t k = 0; k < fields; k++)
        free(a.state[k]);
}

static inline void gadget_run(struct gadget_case *c, const struct gadget_set *set,
                              struct test_random *r)
{
    c->value = calloc(c->graph->n_nodes, sizeof(*c->value));
    c->token = calloc((size_t)set->lanes + 1, sizeof(*c->token));
    test_that(c->value && c->token);
    for (mbi_ref i = 0; i < c->graph->n_nodes; i++) {
        const struct mbi_node *node = &c->graph->node[i];
        const size_t rows = mbi_node_is_param(node) ? node->type.rows : set->lanes;

        test_that(c->value[i] = calloc(rows * node->type.cols, 8));
        if (node->op)
            gadget_eval(c, i, set->lanes);
        else if (set->tokens && !i)
            gadget_fill_tokens(c, set, r);
        else if (!i)
            gadget_fill_leaf(c, set, r);
        for (size_t k = 0; k < mbi_op_table[set->op].n_in; k++)
            if (mbi_node_is_param(node) && c->in[k] == i)
                gadget_fill_param(c->value[i], set, k, r);
    }
    c->run = (struct mbi_stage_run){(const void *const *)c->value, c->token, NULL};
}

/* ---- the witness ---- */

static inline uint32_t gadget_first(const struct gadget_case *c)
{
    return c->plan->stage[0].node[c->node].first;
}

static inline uint32_t gadget_end(const struct gadget_case *c)
{
    return c->plan->stage[0].node[c->node].end;
}

/* The variable of the node's value. */
static inline uint32_t gadget_out(const struct gadget_case *c)
{
    return c->plan->stage[0].node[c->node].var;
}

static inline const struct mbi_var *gadget_var(const struct gadget_case *c, uint32_t var)
{
    return &c->plan->var[var];
}

static inline size_t gadget_size(const struct gadget_case *c, uint32_t var)
{
    return gadget_var(c, var)->n[0] * mbi_var_cols(gadget_var(c, var));
}

static inline int64_t gadget_get(const struct gadget_case *c, uint32_t var, size_t row, size_t col)
{
    return mbi_witness_get(c->witness, var, row, col);
}

static inline void gadget_put(const struct gadget_case *c, uint32_t var, size_t row, size_t col,
                              int64_t x)
{
    mbi_witness_set(c->witness, var, row, col, x);
}

/* Does a value lie where the ranges of a variable admit it? What they do not is no lie to try. */
static inline bool gadget_admits(const struct gadget_case *c, uint32_t var, int64_t x)
{
    return x >= gadget_var(c, var)->lo && x <= gadget_var(c, var)->hi;
}

/* The relations that read a variable of the node; not those of complements, which only say a
 * range, nor the one that says the output. */
static inline void gadget_find_relations(struct gadget_case *c)
{
    const struct mbi_plan *p = c->plan;

    for (uint32_t i = 0; i < p->n_vars; i++)
        if (p->var[i].kind == MBI_VAR_COMMITTED && p->var[i].complement != MBI_NONE)
            c->is_other[p->var[i].complement] = 1;
    for (uint32_t i = 0; i < p->n_relations; i++) {
        const struct mbi_relation *l = &p->relation[i];
        bool own = false, other = l->defines != MBI_NONE;

        for (uint32_t k = 0; k < l->n_terms; k++)
            for (uint32_t v = 0; v < p->term[l->first_term + k].n; v++) {
                const uint32_t var = p->term[l->first_term + k].view[v].var;

                own |= var >= gadget_first(c) && var < gadget_end(c);
                other |= var == p->output || c->is_other[var];
            }
        c->is_own[i] = own && !other;
    }
}

/* Tables that hold any integer, as a lie may be one that no digits stand for. */
static inline void gadget_widen(const struct gadget_case *c)
{
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++) {
        struct mbi_table *t = &c->witness->table[i];
        mbi_fe *wide = mbi_alloc_aligned(&c->host, t->n * sizeof(*wide));

        test_that(wide);
        for (size_t k = 0; k < t->n; k++)
            wide[k] = mbi_table_field(t, k);
        mbi_free_aligned(&c->host, (void *)(uintptr_t)t->data);
        *t = (struct mbi_table){MBI_TABLE_FIELD, wide, t->n};
    }
}

/* Every variable as the run has it. */
static inline void gadget_remember(struct gadget_case *c)
{
    for (uint32_t i = 0; i < c->plan->n_vars; i++) {
        const size_t cols = mbi_var_cols(gadget_var(c, i));

        test_that(c->honest[i] = calloc(gadget_size(c, i), sizeof(int64_t)));
        for (size_t k = 0; k < gadget_size(c, i); k++)
            c->honest[i][k] = gadget_get(c, i, k / cols, k % cols);
    }
}

static inline void gadget_restore(const struct gadget_case *c, uint32_t var)
{
    const size_t cols = mbi_var_cols(gadget_var(c, var));

    for (size_t k = 0; k < gadget_size(c, var); k++)
        gadget_put(c, var, k / cols, k % cols, c->honest[var][k]);
}

/* All of the node's variables as the run has them. */
static inline void gadget_reset(const struct gadget_case *c)
{
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        gadget_restore(c, i);
}

static inline bool gadget_is_honest(const struct gadget_case *c, uint32_t var)
{
    const size_t cols = mbi_var_cols(gadget_var(c, var));

    for (size_t k = 0; k < gadget_size(c, var); k++)
        if (gadget_get(c, var, k / cols, k % cols) != c->honest[var][k])
            return false;
    return true;
}

/* MAMBAINT_OK, or why there is no plan. */
static inline int32_t gadget_plan(struct gadget_case *c, const struct gadget_set *set,
                                  mambaint_error *err)
{
    const struct mbi_graph *graph[] = {c->graph};
    const struct mbi_plan_request q = {
        .graph = graph, .n_stages = 1, .lanes = set->lanes, .n_outputs = set->n_outputs};

    return mbi_plan_create(&c->plan, &c->host, &q, err);
}

static inline void gadget_free(struct gadget_case *c)
{
    for (uint32_t i = 0; c->honest && i < c->plan->n_vars; i++)
        free(c->honest[i]);
    free(c->honest);
    free(c->is_other);
    free(c->is_own);
    mbi_witness_free(c->witness);
    mbi_plan_free(c->plan);
    for (mbi_ref i = 0; c->value && i < c->graph->n_nodes; i++)
        free(c->value[i]);
    free(c->value);
    free(c->token);
    mbi_graph_free(c->graph);
}

/* A case with its witness, which has to hold. */
static inline void gadget_init(struct gadget_case *c, const struct gadget_set *set,
                               struct test_random *r)
{
    mambaint_error err;
    uint32_t fault;

    *c = (struct gadget_case){0};
    mbi_host_default(&c->host);
    gadget_graph(c, set);
    gadget_run(c, set, r);
    test_check(gadget_plan(c, set, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(mbi_witness_create(&c->witness, c->plan, &c->run, NULL, NULL), MAMBAINT_OK);
    fault = mbi_witness_check(c->witness);
    test_check(fault == MBI_NONE, "%s, %u lanes: %s %u does not hold", mbi_op_table[set->op].name,
               set->lanes, fault < c->plan->n_relations ? "relation" : "range of variable",
               fault < c->plan->n_relations ? fault : fault - c->plan->n_relations);
    c->honest = calloc(c->plan->n_vars, sizeof(*c->honest));
    c->is_other = calloc(c->plan->n_vars, 1);
    c->is_own = calloc(c->plan->n_relations + 1, 1);
    test_that(c->honest && c->is_other && c->is_own);
    gadget_find_relations(c);
    gadget_remember(c);
    gadget_widen(c);
}

/* A case that no plan is made for; the sentence has to say `why`. */
static inline void gadget_refused(const struct gadget_set *set, const char *why)
{
    struct gadget_case c = {0};
    mambaint_error err;

    mbi_host_default(&c.host);
    gadget_graph(&c, set);
    ck_assert_int_eq(gadget_plan(&c, set, &err), MAMBAINT_E_UNSUPPORTED);
    test_check(strstr(err.message, why), "%s", err.message);
    gadget_free(&c);
}

/* ---- verdicts ---- */

/* All that the node derives, anew. */
static inline void gadget_derive(const struct gadget_case *c)
{
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        if (gadget_var(c, i)->kind == MBI_VAR_DERIVED) {
            c->witness->done[i] = false;
            mbi_witness_compute(c->witness, i);
        }
}

static inline bool gadget_relation_holds(const struct gadget_case *c, uint32_t relation)
{
    const struct mbi_relation *l = &c->plan->relation[relation];
    struct mbi_letters at = {{0}};

    do
        if (mbi_relation_value(c->witness, l, &at))
            return false;
    while (mbi_letters_next(&at, l, true));
    return true;
}

static inline bool gadget_in_range(const struct gadget_case *c, uint32_t var)
{
    const size_t cols = mbi_var_cols(gadget_var(c, var));

    if (gadget_var(c, var)->kind != MBI_VAR_COMMITTED)
        return true;
    for (size_t k = 0; k < gadget_size(c, var); k++)
        if (!gadget_admits(c, var, gadget_get(c, var, k / cols, k % cols)))
            return false;
    return true;
}

/* The first relation of the node that does not hold, with all that it derives anew, or n_relations
 * plus the variable that leaves its range; MBI_NONE: the witness would be accepted, as far as the
 * node goes. */
static inline uint32_t gadget_broken(const struct gadget_case *c)
{
    gadget_derive(c);
    for (uint32_t i = 0; i < c->plan->n_relations; i++)
        if (c->is_own[i] && !gadget_relation_holds(c, i))
            return i;
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        if (!gadget_in_range(c, i))
            return c->plan->n_relations + i;
    return MBI_NONE;
}

static inline bool gadget_accepted(const struct gadget_case *c)
{
    return gadget_broken(c) == MBI_NONE;
}

/* A lie that all relations admit: it has to fall because this variable of the node (counted from
 * its first) leaves its range. The node is then as the run has it again. */
static inline void gadget_falls_at(const struct gadget_case *c, uint32_t var, const char *lie)
{
    const uint32_t broken = gadget_broken(c), n = c->plan->n_relations;

    test_check(broken != MBI_NONE, "%s is accepted", lie);
    test_check(broken >= n, "%s: falls at relation %u, not at the range of variable %u", lie,
               broken, var);
    test_check(broken - n == gadget_first(c) + var, "%s: falls at variable %u, not at %u", lie,
               broken - n - gadget_first(c), var);
    gadget_reset(c);
}

/* A lie that some relation does not admit. */
static inline void gadget_falls(const struct gadget_case *c, const char *lie)
{
    test_check(gadget_broken(c) < c->plan->n_relations, "%s: no relation refuses it", lie);
    gadget_reset(c);
}

/* A lie that all relations admit but one. */
static inline void gadget_falls_once(const struct gadget_case *c, const char *lie)
{
    const uint32_t first = gadget_broken(c);

    test_check(first < c->plan->n_relations, "%s: no relation refuses it", lie);
    for (uint32_t i = first + 1; i < c->plan->n_relations; i++)
        test_check(!c->is_own[i] || gadget_relation_holds(c, i),
                   "%s: falls at relation %u, and at %u", lie, first, i);
    gadget_reset(c);
}

/* ---- one element ---- */

/* May an element of a variable (counted from the node's first) have another value? Then the
 * node's value must not depend on it. NULL: never. */
typedef bool gadget_free_element(const struct gadget_case *c, uint32_t var, size_t row, size_t col);

static inline int64_t gadget_another(const struct mbi_var *v, int64_t was, int kind,
                                     struct test_random *r)
{
    switch (kind) {
    case 0:
        return was + 1;
    case 1:
        return was - 1;
    case 2:
        return was + ((int64_t)1 << test_random_below(r, v->bits + 1));
    case 3:
        return was - ((int64_t)1 << test_random_below(r, v->bits + 1));
    case 4:
        return v->lo;
    case 5:
        return v->hi;
    case 6:
        return -was;
    default:
        return test_random_between(r, v->lo, v->hi);
    }
}

/* One element of a committed variable is another one: it is refused, or is known to be free. */
static inline void gadget_try_element(const struct gadget_case *c, uint32_t var, size_t row,
                                      size_t col, gadget_free_element *is_free,
                                      struct test_random *r)
{
    const uint32_t index = var - gadget_first(c);
    const int64_t was = gadget_get(c, var, row, col);

    for (int kind = 0; kind < 8; kind++) {
        const int64_t x = gadget_another(gadget_var(c, var), was, kind, r);

        if (x == was || !gadget_admits(c, var, x))
            continue;
        gadget_put(c, var, row, col, x);
        if (gadget_accepted(c)) {
            test_check(is_free && is_free(c, index, row, col),
                       "variable %u of the node at %zu, %zu: %lld is accepted for %lld", index, row,
                       col, (long long)x, (long long)was);
            test_check(gadget_is_honest(c, gadget_out(c)),
                       "variable %u of the node at %zu, %zu: %lld for %lld changes the result",
                       index, row, col, (long long)x, (long long)was);
        }
        gadget_put(c, var, row, col, was);
    }
}

/* Every variable that the node commits, at `samples` places each. */
static inline void gadget_other_elements(const struct gadget_case *c, size_t samples,
                                         gadget_free_element *is_free, struct test_random *r)
{
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++) {
        const size_t cols = mbi_var_cols(gadget_var(c, i));

        if (gadget_var(c, i)->kind != MBI_VAR_COMMITTED ||
            gadget_var(c, i)->lo == gadget_var(c, i)->hi)
            continue;
        for (size_t k = 0; k < samples; k++) {
            const size_t at = test_random_below(r, gadget_size(c, i));

            gadget_try_element(c, i, at / cols, at % cols, is_free, r);
        }
    }
    gadget_derive(c);
}

/* ---- a pair that one linear relation ties together ---- */

/* q +- 1 with r -+ 2^k, and whatever else a relation of single views lets move. */
static inline bool gadget_move_two(const struct gadget_case *c, gadget_free_element *is_free,
                                   struct test_random *r)
{
    const struct mbi_plan *p = c->plan;
    const uint32_t relation = (uint32_t)test_random_below(r, p->n_relations);
    const struct mbi_relation *l = &p->relation[relation];
    struct mbi_letters at = {{0}};
    const struct mbi_term *t[2];
    size_t row[2], col[2];
    int64_t was[2], by[2];

    if (!c->is_own[relation] || l->is_product || l->n_terms < 2)
        return false;
    for (uint32_t k = 0; k < l->n_letters; k++)
        at.at[k] = (uint32_t)test_random_below(r, l->n[k]);
    for (int i = 0; i < 2; i++) {
        int64_t x[MBI_AXES];

        t[i] = &p->term[l->first_term + test_random_below(r, l->n_terms)];
        if (t[i]->n != 1 || p->var[t[i]->view[0].var].kind != MBI_VAR_COMMITTED ||
            t[i]->view[0].var < gadget_first(c) || t[i]->view[0].var >= gadget_end(c))
            return false;
        for (int k = 0; k < MBI_AXES; k++) {
            const struct mbi_axis *a = &t[i]->view[0].axis[k];

            x[k] = a->from;
            for (uint32_t m = 0; m < a->n_fields; m++)
                x[k] += (int64_t)at.at[a->field[m].letter] << a->field[m].shift;
            if (a->kind != MBI_AXIS_PLAIN || x[k] < 0 || x[k] >= p->var[t[i]->view[0].var].n[k])
                return false;
        }
        row[i] = (size_t)x[0];
        col[i] = (size_t)x[1] * p->var[t[i]->view[0].var].n[2] + (size_t)x[2];
        was[i] = gadget_get(c, t[i]->view[0].var, row[i], col[i]);
    }
    if (t[0] == t[1] || t[1]->c % t[0]->c)
        return false;
    by[1] = (int64_t)(1 << test_random_below(r, 4)) * (test_random_below(r, 2) ? 1 : -1);
    by[0] = -(t[1]->c / t[0]->c) * by[1];
    for (int i = 0; i < 2; i++)
        if (!gadget_admits(c, t[i]->view[0].var, was[i] + by[i]))
            return false;
    for (int i = 0; i < 2; i++)
        gadget_put(c, t[i]->view[0].var, row[i], col[i], was[i] + by[i]);
    if (gadget_accepted(c)) {
        bool known = is_free != NULL;

        for (int i = 0; i < 2 && known; i++)
            known = is_free(c, t[i]->view[0].var - gadget_first(c), row[i], col[i]);
        test_check(known, "variables %u and %u of the node at %zu, %zu move together",
                   t[0]->view[0].var - gadget_first(c), t[1]->view[0].var - gadget_first(c), row[0],
                   col[0]);
        test_check(gadget_is_honest(c, gadget_out(c)), "a moved pair changes the result");
    }
    for (int i = 0; i < 2; i++)
        gadget_put(c, t[i]->view[0].var, row[i], col[i], was[i]);
    return true;
}

static inline void gadget_other_pairs(const struct gadget_case *c, size_t samples,
                                      gadget_free_element *is_free, struct test_random *r)
{
    for (size_t tries = 0, done = 0; tries < 100 * samples && done < samples; tries++)
        done += gadget_move_two(c, is_free, r);
    gadget_derive(c);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof on random graphs of all operations that can be proved: what is true is accepted, and
 * nothing else. */
#include "base/intmath.h"
#include "graph/element.h"
#include "op/op_list.h"
#include "proof_case.h"

/* ---- random graphs ---- */

#define VALUES 16 /* of one graph */

/* A graph that grows by operations on any of its values. */
struct maker {
    struct mbi_build b;
    struct test_random *r;
    mbi_ref value[VALUES];
    size_t n;
};

static uint32_t below(struct maker *m, uint32_t n) { return (uint32_t)test_random_below(m->r, n); }

static int32_t between(struct maker *m, int64_t lo, int64_t hi)
{
    return (int32_t)test_random_between(m->r, lo, hi);
}

/* The newer half of the values more often than the older one. */
static mbi_ref any_value(struct maker *m)
{
    const size_t from = below(m, 2) ? m->n / 2 : 0;

    return m->value[from + below(m, (uint32_t)(m->n - from))];
}

static const struct mbi_type *type_of(const struct maker *m, mbi_ref ref)
{
    return mbi_build_type(&m->b, ref);
}

/* Another value of the same type and maybe columns, if a few tries find one. */
static mbi_ref partner(struct maker *m, mbi_ref x, bool same_cols)
{
    mbi_ref y = any_value(m);

    for (int i = 0; i < 8; i++, y = any_value(m))
        if (type_of(m, y)->frac == type_of(m, x)->frac &&
            (!same_cols || type_of(m, y)->cols == type_of(m, x)->cols))
            break;
    return y;
}

/* A parameter with a random interval of the type. */
static mbi_ref any_param(struct maker *m, uint32_t dtype, uint32_t rows, uint32_t cols)
{
    const int32_t top = dtype == MBI_TERNARY ? 1 : dtype == MBI_I8 ? INT8_MAX : INT16_MAX;
    const int32_t end = below(m, 3) ? top : between(m, 0, top);
    char name[16];

    snprintf(name, sizeof(name), "w%u", m->b.graph->n_params);
    return case_param(&m->b, name,
                      (struct mbi_type){dtype, below(m, 2) ? 5 : 8, rows, cols, -end,
                                        below(m, 3) ? end : between(m, -end, end)});
}

static mbi_ref any_matvec(struct maker *m)
{
    const mbi_ref x = any_value(m);
    const uint32_t dtype = below(m, 3) ? MBI_I8 : MBI_TERNARY;

    return mbi_matvec(&m->b, "y", x, any_param(m, dtype, 1 + below(m, 40), type_of(m, x)->cols));
}

/* Clamps that hold everything, cut one end, both, all, or leave one value. */
static mbi_ref any_requant(struct maker *m)
{
    const mbi_ref x = any_value(m);
    const int32_t shift = between(m, -8, 12), frac = below(m, 2) ? 5 : 8;
    const int64_t a =
        mbi_clamp_i64(mbi_rshift_half_up(type_of(m, x)->lo, shift), INT32_MIN / 2, INT32_MAX / 2);
    const int64_t b =
        mbi_clamp_i64(mbi_rshift_half_up(type_of(m, x)->hi, shift), INT32_MIN / 2, INT32_MAX / 2);
    const int32_t lo = between(m, a, b), hi = between(m, lo, b);

    switch (below(m, 8)) {
    case 0:
        return mbi_requant(&m->b, "y", x, shift, lo, hi, frac);
    case 1:
        return mbi_requant(&m->b, "y", x, shift, lo, lo, frac);
    case 2:
        return mbi_requant(&m->b, "y", x, shift, (int32_t)b + 1, (int32_t)b + 9, frac);
    case 3:
        return mbi_requant(&m->b, "y", x, shift, (int32_t)a - 9, (int32_t)a - 1, frac);
    case 4:
        return mbi_requant(&m->b, "y", x, shift, lo, INT32_MAX, frac);
    case 5:
        return mbi_requant(&m->b, "y", x, shift, INT32_MIN, INT32_MAX, frac);
    case 6:
        return mbi_requant(&m->b, "y", x, shift, INT16_MIN, INT16_MAX, 8);
    default:
        return mbi_requant(&m->b, "y", x, shift, INT8_MIN, INT8_MAX, frac);
    }
}

/* Often the begin or the end of a value, and often the most of it. */
static mbi_ref any_slice(struct maker *m)
{
    const mbi_ref x = any_value(m);
    const uint32_t cols = type_of(m, x)->cols, from = below(m, 2) ? 0 : below(m, cols);
    const uint32_t some = 1 + below(m, cols - from), most = cols - from - (cols - from > 1);

    return mbi_slice(&m->b, "y", x, from, below(m, 2) ? some : most);
}

static mbi_ref any_node(struct maker *m)
{
    const mbi_ref x = any_value(m);
    const uint32_t cols = type_of(m, x)->cols;
    mbi_ref y;

    switch (below(m, 14)) {
    case 0:
    case 1:
        return any_matvec(m);
    case 2:
    case 8:
        return any_slice(m);
    case 3:
    case 9:
        y = partner(m, x, false);
        return mbi_build_node(&m->b, MBI_OP_concat, "y", (mbi_ref[]){x, y}, NULL);
    case 4:
        return mbi_add(&m->b, "y", x,
                       below(m, 2) ? partner(m, x, true) : any_param(m, MBI_I16, 1, cols));
    case 5:
        return mbi_addsat(&m->b, "y", x, partner(m, x, true), between(m, 2, 32));
    case 6:
        return mbi_mul(&m->b, "y", x,
                       below(m, 2) ? partner(m, x, true) : any_param(m, MBI_I8, 1, cols), 1);
    case 7:
        return mbi_gate(&m->b, "y", x, MBI_GATE_HARD);
    default:
        return any_requant(m);
    }
}

/* What the types do not allow is left out. The last value is the output, an older one the link. */
static void random_graph(struct proof_stage *s, const struct mbi_host *host, uint32_t features,
                         struct test_random *r)
{
    struct maker m = {.r = r};
    const size_t n = 2 + random_size(r, VALUES - 1);
    mambaint_error err;

    ck_assert_int_eq(mbi_graph_create(&s->graph, host, NULL), MAMBAINT_OK);
    mbi_build_begin(&m.b, s->graph, &err);
    m.value[m.n++] = mbi_build_features(&m.b, features, 5);
    for (int tries = 0; tries < 200 && m.n < n; tries++) {
        const mbi_ref y = any_node(&m);

        if (m.b.status >= 0 && type_of(&m, y)->cols <= 100)
            m.value[m.n++] = y;
        m.b.status = MAMBAINT_OK;
    }
    for (int tries = 0; tries < 20 && s->graph->link == MBI_NONE; tries++) {
        const mbi_ref y = any_value(&m);

        if (type_of(&m, y)->dtype == MBI_I8)
            ck_assert_int_eq(mbi_build_link(&m.b, y), MAMBAINT_OK);
    }
    if (s->graph->link == MBI_NONE)
        ck_assert_int_eq(mbi_build_link(&m.b, 0), MAMBAINT_OK);
    ck_assert_int_eq(mbi_build_end(&m.b, m.value[m.n - 1], m.value[m.n - 1]), MAMBAINT_OK);
    s->value = calloc(s->graph->n_nodes, sizeof(*s->value));
    s->param = calloc(s->graph->n_params + 1, sizeof(*s->param));
    test_that(s->value && s->param);
}

/* ---- cases ---- */

static void random_case(struct proof_case *c, size_t n_stages, struct test_random *r)
{
    *c = (struct proof_case){
        .n_stages = n_stages, .lanes = 1 + (uint32_t)random_size(r, 9), .type = "wit"};
    mbi_host_default(&c->host);
    for (size_t i = 0; i < c->n_stages; i++) {
        const struct mbi_graph *before = i ? c->graph[i - 1] : NULL;

        random_graph(
            &c->stage[i], &c->host,
            before ? before->node[before->link].type.cols : 1 + (uint32_t)random_size(r, 40), r);
        c->graph[i] = c->stage[i].graph;
        run_stage(c, i, r);
    }
    case_commit(c);
}

/* False, and a sentence, if there is no plan for it. */
static bool can_be_proved(const struct proof_case *c, bool public_weights)
{
    const struct mbi_plan_request q = {.graph = c->graph,
                                       .n_stages = c->n_stages,
                                       .lanes = c->lanes,
                                       .public_weights = public_weights};
    struct mbi_plan *plan;
    mambaint_error err;
    const int32_t rc = mbi_plan_create(&plan, &c->host, &q, &err);
    struct mbi_proof_shape shape;
    const bool has_shape = !plan || MBI_EXT(proof_shape)(&shape, plan, &c->host);

    mbi_plan_free(plan);
    test_check(has_shape, "a plan has no walk");
    test_check(rc == MAMBAINT_OK || (rc == MAMBAINT_E_UNSUPPORTED && strlen(err.message) > 20),
               "%d: %s", rc, err.message);
    return rc == MAMBAINT_OK;
}

/* ---- what is false ---- */

/* A committed element of the case, and one of its digits. */
static uint64_t any_digit(unsigned *base, const struct proof_case *c, struct test_random *r)
{
    const struct mbi_plan *p = c->plan;

    for (;;) {
        const struct mbi_var *v = &p->var[random_size(r, p->n_vars)];
        const size_t row = random_size(r, v->n[0]), col = random_size(r, v->n[2]);
        const unsigned digits = v->kind == MBI_VAR_COMMITTED ? mbi_var_digits(v) : 0;
        unsigned k;

        if (!digits || !mbi_var_has(v, row, col))
            continue;
        k = (unsigned)random_size(r, digits);
        *base = mbi_var_digit(v, k).size;
        return case_digit(p, v, k, row, col);
    }
}

static void other_digits(const struct proof_case *c, mbi_fe *digit, struct test_random *r)
{
    for (int i = 0; i < 3 && c->plan->end; i++) {
        unsigned base;
        const uint64_t at = any_digit(&base, c, r);
        const mbi_fe was = digit[at];

        digit[at] = (was + 1 + test_random_below(r, base - 1)) % base;
        test_check(verdict(c), "digit %u of %u is free", (unsigned)at, (unsigned)c->plan->end);
        digit[at] = was;
    }
}

/* Would the digits alone admit it? */
static bool has_digits(const struct mbi_var *v, int64_t x)
{
    return x >= v->lo && (v->exact ? x <= v->hi : (uint64_t)(x - v->lo) >> v->bits == 0);
}

/* Where digits are counted, the counts follow. */
static void count_again(const struct proof_case *c, mbi_fe *digit)
{
    const struct mbi_lookup *l = &c->plan->lookup;

    if (!c->plan->large)
        return;
    memset(digit + l->counts[0], 0, (c->plan->end - l->counts[0]) * sizeof(*digit));
    for (uint32_t k = 0; k < l->n; k++)
        for (uint64_t x = l->begin[k]; x < l->begin[k + 1]; x++)
            if (digit[x] < l->size[k])
                digit[l->counts[k] + digit[x]]++;
}

/* Another value of a committed element with its digits, and its complement if it can have one. */
static void set_element(const struct proof_case *c, mbi_fe *digit, uint32_t var, size_t row,
                        size_t col, int64_t x)
{
    const struct mbi_var *v = &c->plan->var[var];
    uint64_t left = (uint64_t)(x - v->lo);

    mbi_witness_set(c->witness, var, row, col, x);
    for (unsigned k = 0; k < mbi_var_digits(v); k++, left >>= v->digit_bits)
        digit[case_digit(c->plan, v, k, row, col)] = left & (((uint64_t)1 << v->digit_bits) - 1);
    if (v->complement != MBI_NONE)
        set_element(c, digit, v->complement, row, col, mbi_max_i64(v->hi - x, 0));
    count_again(c, digit);
}

/* A term of a relation that is a committed variable, or NULL if the one drawn is none. */
static const struct mbi_term *any_term(const struct mbi_plan *p, const struct mbi_relation *l,
                                       struct test_random *r)
{
    const struct mbi_term *t = &p->term[l->first_term + random_size(r, l->n_terms)];

    return t->n == 1 && p->var[t->view[0].var].kind == MBI_VAR_COMMITTED ? t : NULL;
}

/* ---- derived variables, from their definitions ---- */

/* The values of all derived variables; the output is then what the committed ones say. */
static void derive(const struct proof_case *c)
{
    const struct mbi_plan *p = c->plan;
    const struct mbi_stage_plan *last = &p->stage[p->n_stages - 1];
    const uint32_t logits = last->node[last->graph->logits].var;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        c->witness->done[i] = false;
        mbi_witness_compute(c->witness, i);
    }
    for (size_t row = 0; row < p->var[logits].n[0]; row++)
        for (size_t col = 0; col < p->var[logits].n[2]; col++)
            mbi_witness_set(c->witness, p->output, row, col,
                            mbi_witness_get(c->witness, logits, row, col));
}

/* Is the output that of the run? */
static bool is_right(const struct proof_case *c)
{
    const struct proof_stage *s = &c->stage[c->n_stages - 1];
    const struct mbi_node *node = &s->graph->node[s->graph->logits];

    for (size_t i = 0; i < (size_t)c->lanes * node->type.cols; i++)
        if (mbi_get(s->value[s->graph->logits], node->type.dtype, i) !=
            mbi_witness_get(c->witness, c->plan->output, i / node->type.cols, i % node->type.cols))
            return false;
    return true;
}

/* ---- lies that go on to hold for a linear relation ---- */

/* Two variables are moved so that their relation holds, with digits that are digits, and the output
 * with them. Coefficients are powers of two. False if there is nothing to move. */
static bool move_two(const struct proof_case *c, mbi_fe *digit, struct test_random *r)
{
    const struct mbi_plan *p = c->plan;
    const struct mbi_relation *l = &p->relation[random_size(r, p->n_relations)];
    const struct mbi_term *s = l->is_product ? NULL : any_term(p, l, r);
    const struct mbi_term *t = l->is_product ? NULL : any_term(p, l, r);
    size_t row, col;
    int64_t x, y, unit;
    const char *fault;
    bool holds;

    if (l->defines != MBI_NONE || !s || !t || s == t)
        return false;
    row = random_size(r, l->n[0]);
    col = random_size(r, l->n[s->view[0].axis[2].field[0].letter]);
    unit = mbi_min_i64(llabs(s->c), llabs(t->c)) * (test_random_below(r, 2) ? 1 : -1);
    x = mbi_witness_get(c->witness, s->view[0].var, row, col);
    y = mbi_witness_get(c->witness, t->view[0].var, row, col);
    if (!has_digits(&p->var[s->view[0].var], x + t->c / unit) ||
        !has_digits(&p->var[t->view[0].var], y - s->c / unit))
        return false;
    set_element(c, digit, s->view[0].var, row, col, x + t->c / unit);
    set_element(c, digit, t->view[0].var, row, col, y - s->c / unit);
    derive(c);
    holds = mbi_witness_check(c->witness) == MBI_NONE;
    fault = verdict(c);
    test_check(holds == !fault, "moved variables: %s", fault ? fault : "accepted");
    test_check(is_right(c) || fault, "moved variables: a false output is accepted");
    set_element(c, digit, s->view[0].var, row, col, x);
    set_element(c, digit, t->view[0].var, row, col, y);
    derive(c);
    return true;
}

static void other_pairs(const struct proof_case *c, mbi_fe *digit, struct test_random *r)
{
    for (int tries = 0, done = 0; tries < 500 && done < 4; tries++)
        done += move_two(c, digit, r);
}

/* One more or less, where the type of the table holds it. */
static int64_t other(const struct mbi_var *v, int64_t x) { return x < v->hi ? x + 1 : x - 1; }

/* The output is what all else says: another one has no proof, be it that both sides believe it or
 * that the proof is one of the right output. */
static void other_output(const struct proof_case *c, struct test_random *r)
{
    const uint32_t var = c->plan->output;
    const struct mbi_var *v = &c->plan->var[var];
    const size_t row = random_size(r, v->n[0]), col = random_size(r, v->n[2]);
    const int64_t was = mbi_witness_get(c->witness, var, row, col);
    struct mbi_proof_writer w;

    if (v->lo == v->hi)
        return;
    case_prove(&w, c);
    mbi_witness_set(c->witness, var, row, col, other(v, was)); /* the job has these tables */
    test_check(case_verify(c, w.bytes.data, w.bytes.size), "output %zu, %zu is not bound", row,
               col);
    test_check(verdict(c), "output %zu, %zu is free", row, col);
    mbi_witness_set(c->witness, var, row, col, was);
    mbi_proof_writer_free(&w);
}

static void run_again(struct proof_case *c, size_t index)
{
    const struct proof_stage *s = &c->stage[index];

    if (index)
        memcpy(s->value[0], c->stage[index - 1].value[c->graph[index - 1]->link],
               (size_t)c->lanes * s->graph->node[0].type.cols);
    for (mbi_ref i = 0; i < s->graph->n_nodes; i++)
        if (s->graph->node[i].op)
            run_node(&c->stage[index], i, c->lanes);
}

static bool same_output(const struct proof_case *c, const struct mbi_witness *a,
                        const struct mbi_witness *b)
{
    const uint32_t var = c->plan->output;

    for (size_t row = 0; row < c->lanes; row++)
        for (size_t col = 0; col < c->plan->var[var].n[2]; col++)
            if (mbi_witness_get(a, var, row, col) != mbi_witness_get(b, var, row, col))
                return false;
    return true;
}

/* Another input with the output of the first: a lie, if it has another one. The prover tries the
 * proof of the first, and the best witness of both. */
static void other_input(struct proof_case *c, struct test_random *r)
{
    int8_t *input = c->stage[0].value[0];
    const struct mbi_witness *before = c->witness;
    const struct mbi_var *v = &c->plan->var[c->plan->output];
    struct mbi_witness *after;
    struct mbi_proof_writer w;
    bool same;

    case_prove(&w, c);
    for (size_t i = 0; i < (size_t)c->lanes * c->graph[0]->node[0].type.cols; i++)
        input[i] = (int8_t)test_random_u64(r);
    for (size_t i = 0; i < c->n_stages; i++)
        run_again(c, i);
    ck_assert_int_eq(mbi_witness_create(&after, c->plan, c->run, NULL, NULL), MAMBAINT_OK);
    same = same_output(c, before, after);
    for (size_t row = 0; row < v->n[0]; row++)
        for (size_t col = 0; col < v->n[2]; col++)
            mbi_witness_set(after, c->plan->output, row, col,
                            mbi_witness_get(before, c->plan->output, row, col));
    mbi_witness_free(c->witness);
    c->witness = after;
    c->job.table = after->table;
    test_check(same || case_verify(c, w.bytes.data, w.bytes.size), "the input is not bound");
    test_check(same == !verdict(c), "another input: the output is %s", same ? "the same" : "wrong");
    mbi_proof_writer_free(&w);
}

static void check_case(struct proof_case *c, bool public_weights, struct test_random *r)
{
    const char *fault;
    mbi_fe *digit;
    uint32_t wrong;

    case_plan(c, public_weights);
    case_weaken(c);
    wrong = mbi_witness_check(c->witness);
    test_check(wrong == MBI_NONE, "relation %u of %u", wrong, c->plan->n_relations);
    fault = verdict(c);
    test_check(!fault, "what is true: %s", fault);
    other_output(c, r);
    digit = case_widen(c, &c->witness->vector);
    other_digits(c, digit, r);
    other_pairs(c, digit, r);
    other_input(c, r);
}

#define CASES 150

START_TEST(random_graphs_are_proved)
{
    struct test_random r;
    unsigned proved = 0;

    test_random_init(&r, "random_graphs_are_proved");
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    for (int i = 0; i < CASES; i++) {
        const bool public_weights = test_random_below(&r, 3) == 0;
        struct proof_case c;

        random_case(&c, 1 + random_size(&r, 2), &r);
        if (can_be_proved(&c, public_weights)) {
            check_case(&c, public_weights, &r);
            proved++;
        }
        case_free(&c);
    }
    test_check(proved > CASES / 2, "%u of %u can be proved", proved, CASES);
}
END_TEST

/* ---- certificates ---- */

/* One weight leaves its interval, but not its type: there is room on one side. */
static void spoil_weight(const struct proof_case *c, struct test_random *r)
{
    const uint32_t number = (uint32_t)random_size(r, c->graph[0]->n_params);
    const struct mbi_type *t = &c->graph[0]->param[number].type;
    const size_t i = random_size(r, (size_t)t->rows * t->cols);
    const int64_t top = t->dtype == MBI_I8 ? INT8_MAX : INT16_MAX;

    /* of a ternary one, 2 sets all bits */
    put_element(c->stage[0].param[number], t, i,
                t->dtype == MBI_TERNARY ? 2
                : t->hi < top           ? t->hi + 1
                                        : t->lo - 1);
}

static void certify(struct proof_case *c, bool holds)
{
    const char *fault;

    c->certificate = true;
    c->type = "cert";
    case_plan(c, false);
    case_weaken(c);
    test_check(holds == (mbi_witness_check(c->witness) == MBI_NONE), "the weights are %s",
               holds ? "right" : "wrong");
    fault = verdict(c);
    test_check(holds == !fault, "the certificate: %s", fault ? fault : "accepted");
}

START_TEST(random_weights_are_certified)
{
    struct test_random r;

    test_random_init(&r, "random_weights_are_certified");
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    for (int i = 0; i < CASES; i++) {
        struct proof_case c;

        random_case(&c, 1, &r);
        if (c.graph[0]->n_params) {
            certify(&c, true);
            other_digits(&c, case_widen(&c, &c.witness->vector), &r);
            spoil_weight(&c, &r);
            mbi_witness_free(c.witness);
            mbi_plan_free(c.plan);
            case_uncommit(&c);
            case_commit(&c);
            certify(&c, false);
        }
        case_free(&c);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof_graphs");
    TCase *t = tcase_create("proof_graphs");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, random_graphs_are_proved);
    tcase_add_test(t, random_weights_are_certified);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: models of tokens, from the graph to the bytes. */
#include "graph/element.h"
#include "proof_case.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW) || MBI_EXT_D == 3
#define STRIDE 6 /* fewer of the random lies */
#else
#define STRIDE 1
#endif

#define TINY "layers=1 d-model=8 vocab=11 heads=2 head-dim=4 d-state=4 chunk=4 "
#define SMALL "layers=1 d-model=3 vocab=5 heads=1 head-dim=4 d-state=2 chunk=4 rotation-pairs=0 "

static const char *const models[] = {
    TINY "rotation-pairs=1",
    TINY "rotation-pairs=2 hold=on gate=algebraic tied-head=on",
    TINY "rotation-pairs=0 gate=squareplus norm=bitshift",
    TINY "chunk=1 layers=2",
    "layers=1 d-model=12 vocab=7 heads=3 head-dim=2 d-state=8 chunk=2 rotation-pairs=1",
    TINY "weights=ternary head-weights=ternary",
    "layers=1 d-model=1 vocab=2 heads=1 head-dim=1 d-state=2 chunk=1 rotation-pairs=1 hold=on",
    SMALL "tied-head=on weights=ternary gate=squareplus norm=bitshift",
    "layers=1 d-model=5 vocab=9 heads=4 head-dim=1 d-state=4 chunk=2 rotation-pairs=2",
};

START_TEST(models_of_tokens_are_proved)
{
    static const uint32_t lanes[] = {1, 2, 5, 3, 17, 4, 8, 9};
    struct test_random r;

    test_random_init(&r, "models_of_tokens_are_proved");
    for (size_t m = 0; m < MBI_COUNT(models); m++)
        for (size_t i = 0; i<MBI_COUNT(lanes); i += STRIDE> 1 ? 2 : 1) {
            const struct token_settings set = {
                models[m], lanes[i], 1 + (uint32_t)test_random_below(&r, lanes[i]), i % 3 == 2};
            struct proof_case c;
            const char *fault;
            uint32_t wrong;

            case_init_tokens(&c, &set, &r);
            case_weaken(&c);
            wrong = mbi_witness_check(c.witness);
            test_check(wrong == MBI_NONE, "%s, %u lanes: relation %u of %u", models[m], lanes[i],
                       wrong, c.plan->n_relations);
            fault = verdict(&c);
            test_check(!fault, "%s, %u lanes, %u claimed: %s", models[m], lanes[i], set.n_outputs,
                       fault);
            case_free(&c);
        }
}
END_TEST

/* Settings within what the architecture allows and the gadgets have. */
static void random_settings(char *text, size_t cap, struct test_random *r)
{
    static const char *const gates[] = {"hard", "algebraic", "squareplus"};
    static const char *const norms[] = {"rms", "bitshift"};
    const bool tied = test_random_below(r, 2);
    const unsigned log_state = 1 + (unsigned)test_random_below(r, 5);

    snprintf(text, cap,
             "layers=%u d-model=%u vocab=%u heads=%u head-dim=%u d-state=%u chunk=%u "
             "rotation-pairs=%u hold=%s gate=%s norm=%s weights=%s head-weights=%s tied-head=%s",
             1 + (unsigned)test_random_below(r, 2), 1 + (unsigned)test_random_below(r, 14),
             2 + (unsigned)test_random_below(r, 14), 1 + (unsigned)test_random_below(r, 4),
             1u << test_random_below(r, 4), 1u << log_state, 1u << test_random_below(r, 5),
             (unsigned)test_random_below(r, (1u << (log_state - 1)) + 1),
             test_random_below(r, 2) ? "on" : "off", gates[test_random_below(r, 3)],
             norms[test_random_below(r, 2)], test_random_below(r, 2) ? "ternary" : "int8",
             !tied && test_random_below(r, 2) ? "ternary" : "int8", tied ? "on" : "off");
}

START_TEST(random_models_are_proved)
{
    struct test_random r;

    test_random_init(&r, "random_models_are_proved");
    for (size_t i = 0; i < 24 / STRIDE; i++) {
        char text[256];
        struct token_settings set = {text, 1 + (uint32_t)test_random_below(&r, 12), 1,
                                     test_random_below(&r, 2)};
        struct mbi_proof_shape shape;
        struct proof_case c;
        const char *fault;
        uint32_t wrong;

        random_settings(text, sizeof(text), &r);
        case_init_tokens(&c, &set, &r);
        case_weaken(&c);
        wrong = mbi_witness_check(c.witness);
        test_check(wrong == MBI_NONE, "%s, %u lanes: relation %u of %u", text, set.lanes, wrong,
                   c.plan->n_relations);
        test_check(MBI_EXT(proof_shape)(&shape, c.plan, &c.host), "%s: %s", text,
                   shape.fault ? shape.fault : "no memory");
        fault = verdict(&c);
        test_check(!fault, "%s, %u lanes: %s", text, set.lanes, fault);
        case_free(&c);
    }
}
END_TEST

/* The witness of the same run with another token in the list, which the model is said to answer. */
static void claim_token(struct proof_case *c, uint32_t place, uint32_t token, bool public_weights)
{
    const struct mbi_graph *g = c->graph[0];

    mbi_witness_free(c->witness);
    mbi_plan_free(c->plan);
    c->token[place] = token;
    ((int32_t *)c->stage[0].value[g->argmax])[place - 1] = (int32_t)token;
    case_plan(c, public_weights);
    case_weaken(c);
}

/* Neither can another answer be proved, nor is a proof of this one a proof of another. */
START_TEST(another_answer_is_refused)
{
    struct test_random r;

    test_random_init(&r, "another_answer_is_refused");
    for (size_t i = 0; i < 12 / STRIDE; i++) {
        const uint32_t lanes = 1 + (uint32_t)test_random_below(&r, 6);
        const uint32_t claimed = 1 + (uint32_t)test_random_below(&r, lanes);
        const struct token_settings set = {models[i % MBI_COUNT(models)], lanes, claimed, i % 2};
        struct mbi_proof_writer w;
        struct proof_case c;
        uint32_t vocab, place;

        case_init_tokens(&c, &set, &r);
        case_weaken(&c);
        vocab = c.graph[0]->node[c.graph[0]->logits].type.cols;
        case_prove(&w, &c);
        test_that(!case_verify(&c, w.bytes.data, w.bytes.size));
        for (place = 0; place <= lanes; place++) {
            const uint32_t was = c.token[place];

            c.token[place] = (was + 1 + (uint32_t)test_random_below(&r, vocab - 1)) % vocab;
            if (place < lanes) /* as the verifier of the statement makes it */
                mbi_witness_set(c.witness, c.plan->input, place, 0, c.token[place]);
            test_check(case_verify(&c, w.bytes.data, w.bytes.size), "%s: token %u of %u", set.model,
                       place, lanes);
            c.token[place] = was;
            if (place < lanes)
                mbi_witness_set(c.witness, c.plan->input, place, 0, was);
        }
        test_that(!case_verify(&c, w.bytes.data, w.bytes.size));
        mbi_proof_writer_free(&w);
        for (uint32_t token = 0, right = c.token[lanes]; token < vocab; token++) {
            claim_token(&c, lanes, token, set.public_weights);
            test_check(!verdict(&c) == (token == right), "%s: token %u in place of %u", set.model,
                       token, right);
        }
        case_free(&c);
    }
}
END_TEST

/* Exponents and scales of one value, of two, or anywhere; the run and the plan follow them. */
static void change_public(struct proof_case *c, bool public_weights, struct test_random *r)
{
    struct proof_stage *s = &c->stage[0];

    mbi_witness_free(c->witness);
    mbi_plan_free(c->plan);
    case_uncommit(c);
    for (uint32_t i = 0; i < s->graph->n_params; i++) {
        const struct mbi_type *t = &s->graph->param[i].type;
        const uint64_t kind = test_random_below(r, 6);
        const int64_t some[] = {kind == 0 ? t->lo : test_random_between(r, t->lo, t->hi),
                                kind == 1 ? t->hi : test_random_between(r, t->lo, t->hi)};

        for (size_t k = 0;
             s->graph->param[i].quant == MBI_QUANT_DERIVED && k < (size_t)t->rows * t->cols; k++)
            put_element(s->param[i], t, k,
                        kind < 2   ? some[kind]
                        : kind < 4 ? some[test_random_below(r, kind - 1)]
                                   : test_random_between(r, t->lo, t->hi));
    }
    run_tokens(c, r);
    case_commit(c);
    case_plan(c, public_weights);
}

/* Whatever is public, there is a plan, and what a run gives satisfies it. */
START_TEST(every_public_parameter_has_a_plan)
{
    static const uint32_t lanes[] = {1, 4, 6};
    struct test_random r;

    test_random_init(&r, "every_public_parameter_has_a_plan");
    for (size_t m = 0; m < MBI_COUNT(models); m++)
        for (size_t i = 0; i < (6 / STRIDE) * MBI_COUNT(lanes); i++) {
            const struct token_settings set = {models[m], lanes[i % MBI_COUNT(lanes)], 1, false};
            struct proof_case c;
            uint32_t wrong;

            case_init_tokens(&c, &set, &r);
            change_public(&c, i % 2, &r);
            wrong = mbi_witness_check(c.witness);
            test_check(wrong == MBI_NONE, "%s, %u lanes: relation %u of %u", models[m], set.lanes,
                       wrong, c.plan->n_relations);
            if (i % 20 == 0) {
                const char *fault;

                case_weaken(&c);
                fault = verdict(&c);
                test_check(!fault, "%s, %u lanes: %s", models[m], set.lanes, fault);
            }
            case_free(&c);
        }
}
END_TEST

/* ---- what is false ---- */

/* Another value of a committed element and of its complement, with their digits or without, and all
 * that follows from it by definitions. */
static void set_element(const struct proof_case *c, uint32_t var, size_t row, size_t col, int64_t x,
                        bool digits)
{
    const struct mbi_var *v = &c->plan->var[var];

    mbi_witness_set(c->witness, var, row, col, x);
    if (digits)
        mbi_witness_digits(c->witness, var);
    if (v->complement != MBI_NONE) {
        mbi_witness_set(c->witness, v->complement, row, col, v->hi - x);
        if (digits)
            mbi_witness_digits(c->witness, v->complement);
    }
    for (uint32_t i = 0; i < c->plan->n_vars; i++) {
        if (c->plan->var[i].kind != MBI_VAR_DERIVED)
            continue;
        c->witness->done[i] = false;
        mbi_witness_compute(c->witness, i);
    }
    if (digits)
        mbi_witness_count(c->witness);
}

static void change(const struct proof_case *c, uint32_t var, size_t row, size_t col, int64_t x)
{
    set_element(c, var, row, col, x, true);
}

/* The prover goes on with one other value. It is refused unless all relations hold, which only what
 * nothing depends on can do. */
static void change_one(const struct proof_case *c, const char *model, struct test_random *r)
{
    const uint32_t var = (uint32_t)random_size(r, c->plan->n_vars);
    const struct mbi_var *v = &c->plan->var[var];
    size_t row, col;
    int64_t was, x;
    const char *fault;

    if (v->kind != MBI_VAR_COMMITTED || v->lo == v->hi)
        return;
    row = random_size(r, v->n[0]);
    col = random_size(r, mbi_var_cols(v));
    was = mbi_witness_get(c->witness, var, row, col);
    x = test_random_below(r, 2) ? test_random_between(r, v->lo, v->hi) : was + 1;
    if (x == was || x > v->hi)
        return;
    change(c, var, row, col, x);
    fault = verdict(c);
    test_check((mbi_witness_check(c->witness) == MBI_NONE) == !fault,
               "%s: variable %u, row %zu, column %zu: %s", model, var, row, col,
               fault ? fault : "accepted");
    change(c, var, row, col, was);
}

START_TEST(every_value_is_bound)
{
    struct test_random r;

    test_random_init(&r, "every_value_is_bound");
    for (size_t m = 0; m < MBI_COUNT(models); m++) {
        const struct token_settings set = {models[m], 6, 3, false};
        struct proof_case c;

        case_init_tokens(&c, &set, &r);
        case_weaken(&c);
        for (int i = 0; i < 40 / STRIDE; i++)
            change_one(&c, models[m], &r);
        ck_assert_ptr_null(verdict(&c));
        case_free(&c);
    }
}
END_TEST

/* Sum-checks over tables that are true, of another vector than the committed one: only the claims
 * about their ends refuse it, of tables one by one or of layers together. */
START_TEST(tables_are_the_committed_ones)
{
    const struct token_settings set = {TINY "rotation-pairs=1 layers=2", 6, 3, false};
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "tables_are_the_committed_ones");
    case_init_tokens(&c, &set, &r);
    case_weaken(&c);
    for (uint32_t var = (uint32_t)test_random_below(&r, 3 * STRIDE); var < c.plan->n_vars;
         var += 3 * STRIDE) {
        const struct mbi_var *v = &c.plan->var[var];
        const size_t row = random_size(&r, v->n[0]), col = random_size(&r, mbi_var_cols(v));
        bool read;
        int64_t was;

        if (v->kind != MBI_VAR_COMMITTED || v->lo == v->hi)
            continue;
        was = mbi_witness_get(c.witness, var, row, col);
        set_element(&c, var, row, col, was < v->hi ? was + 1 : was - 1, true);
        read = mbi_witness_check(c.witness) != MBI_NONE;
        set_element(&c, var, row, col, was, false);
        test_check(verdict(&c) || !read, "variable %u, row %zu, column %zu", var, row, col);
        set_element(&c, var, row, col, was, true);
    }
    ck_assert_ptr_null(verdict(&c));
    case_free(&c);
}
END_TEST

/* Entry of the vector that is digit k of an element in one of its variable's boxes. */
static int32_t *digit_of(const struct proof_case *c, const struct mbi_var *v,
                         const struct mbi_box *b, unsigned k, size_t place)
{
    return (int32_t *)(uintptr_t)c->witness->vector.data +
           ((size_t)mbi_box_digit(v, b, k) << b->bits) + place;
}

/* A whole digit too many in one digit, and one less in the next: the element is the same, all
 * relations hold, and nothing but the counts of digits refuses it. */
START_TEST(digits_are_counted)
{
    const struct token_settings set = {TINY "rotation-pairs=1", 17, 3, false};
    struct test_random r;
    struct proof_case c;
    size_t lies = 0;

    test_random_init(&r, "digits_are_counted");
    case_init_tokens(&c, &set, &r);
    test_that(c.plan->large && c.witness->vector.type == MBI_TABLE_I32);
    case_weaken(&c);
    for (uint32_t var = 0; var < c.plan->n_vars; var++) {
        const struct mbi_var *v = &c.plan->var[var];
        const struct mbi_box *b;
        int32_t *low, *high, more;
        size_t place;

        if (v->kind != MBI_VAR_COMMITTED || mbi_var_digits(v) < 2)
            continue;
        b = &c.plan->box[v->first_box + random_size(&r, v->n_boxes)];
        place = random_size(&r, (size_t)1 << b->bits);
        low = digit_of(&c, v, b, 0, place);
        high = digit_of(&c, v, b, 1, place);
        more = *high ? 1 : -1;
        *low += more * (1 << v->digit_bits);
        *high -= more;
        mbi_witness_count(c.witness);
        test_check(verdict(&c), "variable %u, place %zu: %d and %d are accepted", var, place, *low,
                   *high);
        *low -= more * (1 << v->digit_bits);
        *high += more;
        mbi_witness_count(c.witness);
        lies++;
    }
    ck_assert_uint_gt(lies, 5);
    ck_assert_ptr_null(verdict(&c));
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof of tokens");
    TCase *t = tcase_create("tokens");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, models_of_tokens_are_proved);
    tcase_add_test(t, every_value_is_bound);
    tcase_add_test(t, tables_are_the_committed_ones);
    tcase_add_test(t, digits_are_counted);
    tcase_add_test(t, random_models_are_proved);
    tcase_add_test(t, another_answer_is_refused);
    tcase_add_test(t, every_public_parameter_has_a_plan);
    suite_add_tcase(s, t);
    return test_main(s);
}

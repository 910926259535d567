/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hidden proofs of models with random weights, for another verifier: a line of words for each, as
 * tests/golden/hidden_proofs.py reads them. Usage: hidden-proofs-dD
 */
#include "graph/element.h"
#include "model/model.h"
#include "../unit/proof_case.h"

#define SMALL "layers=1 d-model=8 vocab=11 heads=2 head-dim=4 d-state=4 chunk=4 rotation-pairs=1"
#define MANY "layers=1 d-model=96 vocab=2100 heads=2 head-dim=16 d-state=16 chunk=8"

static const uint32_t widths[] = {16, 24, 20};

/* Numbers, with commas, or a line for none. */
static void put_list(const char *name, const int64_t *x, size_t n)
{
    printf(" %s=", name);
    for (size_t i = 0; i < n; i++)
        printf("%s%lld", i ? "," : "", (long long)x[i]);
}

static void put_bytes(const char *name, const void *data, size_t n)
{
    printf(" %s=", name);
    for (size_t i = 0; i < n; i++)
        printf("%02x", ((const uint8_t *)data)[i]);
}

/* A public variable, row by row. */
static void put_public(const char *name, const struct proof_case *c, uint32_t var)
{
    const bool there = var != MBI_NONE;
    const struct mbi_var *v = there ? &c->plan->var[var] : NULL;
    const size_t cols = there ? mbi_var_cols(v) : 0, n = there ? v->n[0] * cols : 0;
    int64_t *x = calloc(n + 1, sizeof(*x));

    test_that(x);
    for (size_t i = 0; i < n; i++)
        x[i] = mbi_witness_get(c->witness, var, i / cols, i % cols);
    put_list(name, x, n);
    free(x);
}

/* The numbers of inputs, hidden ones and outputs of `simple`, or those of a configuration. */
static void put_models(const struct proof_case *c, const char *settings)
{
    struct mbi_config config;

    for (size_t s = 0; s < c->n_stages; s++) {
        const struct mbi_graph *g = c->stage[s].graph;
        int64_t x[MBI_MAX_CONFIG] = {g->param[0].type.cols, g->param[0].type.rows,
                                     g->node[g->logits].type.cols};
        size_t n = 3;

        if (settings) {
            token_config(&config, settings);
            n = config.arch->n_fields;
            for (size_t i = 0; i < n; i++)
                x[i] = config.v[i];
        }
        put_list(settings ? "tokens-model" : "model", x, n);
        printf(" open=");
        for (uint32_t i = 0; i < g->n_params; i++)
            if (!mbi_weight_is_committed(&g->param[i]))
                for (size_t k = 0; k < mbi_param_size(&g->param[i]); k++)
                    printf("%02x", ((const uint8_t *)c->stage[s].param[i])[k]);
    }
}

static void put_case(struct proof_case *c, const char *name, const char *settings,
                     struct test_random *r)
{
    struct mbi_mask_seed seed;
    struct mbi_proof_writer w;
    mambaint_error err;
    const char *fault;
    int64_t token[65];

    mbi_witness_free(c->witness);
    test_check(MBI_EXT(plan_hide)(c->plan, &err) == MAMBAINT_OK, "%s", err.message);
    test_random_bytes(r, seed.byte, sizeof(seed.byte));
    ck_assert_int_eq(mbi_witness_create(&c->witness, c->plan, c->run, &seed, NULL), MAMBAINT_OK);
    c->job.table = c->witness->table;
    case_prove(&w, c);
    fault = case_verify(c, w.bytes.data, w.bytes.size);
    test_check(!fault, "%s: %s", name, fault);
    printf("name=%s degree=%d type=%s lanes=%u claimed=%u pads=%llu", name, MBI_EXT_D, c->type,
           c->lanes, c->n_outputs, (unsigned long long)c->plan->n_pads);
    for (uint32_t i = 0; c->token && i <= c->lanes; i++)
        token[i] = c->token[i];
    put_list("tokens", token, c->token ? c->lanes + 1 : 0);
    put_public("input", c, c->plan->input);
    put_public("output", c, c->plan->output);
    put_models(c, settings);
    put_bytes("root", &c->weights.root.digest, sizeof(c->weights.root.digest));
    put_bytes("statement", CASE_STATEMENT, sizeof(CASE_STATEMENT));
    put_bytes("proof", w.bytes.data, w.bytes.size);
    printf("\n");
    mbi_proof_writer_free(&w);
    case_free(c);
}

static void put_features(const char *name, const struct case_settings *set, struct test_random *r)
{
    struct proof_case c;

    case_init(&c, set, r);
    put_case(&c, name, NULL, r);
}

static void put_tokens(const char *name, const char *settings, uint32_t lanes, uint32_t n_outputs,
                       struct test_random *r)
{
    const struct token_settings set = {settings, lanes, n_outputs, false};
    struct proof_case c;

    case_init_tokens(&c, &set, r);
    test_that(c.plan->large == (lanes > 1));
    put_case(&c, name, settings, r);
}

/* Of all weights of a model of tokens, which need not run. */
static void put_certificate(const char *name, const char *settings, struct test_random *r)
{
    struct proof_case c = {.n_stages = 1, .lanes = 1, .certificate = true, .type = "cert"};
    struct proof_stage *s = &c.stage[0];

    mbi_host_default(&c.host);
    token_graph(s, settings, &c.host);
    c.graph[0] = s->graph;
    for (mbi_ref i = 0; i < s->graph->n_nodes; i++) {
        const struct mbi_type *t = &s->graph->node[i].type;

        test_that(s->value[i] = calloc((size_t)t->rows * t->cols, 8));
        if (!mbi_node_is_param(&s->graph->node[i]))
            continue;
        s->param[s->graph->node[i].param] = s->value[i];
        random_elements(s->value[i], t, (size_t)t->rows * t->cols, r);
    }
    c.run[0].value = (const void *const *)s->value;
    case_commit(&c);
    case_plan(&c, false);
    test_that(c.plan->direct == !strcmp(settings, MANY));
    put_case(&c, name, settings, r);
}

START_TEST(hidden_proofs)
{
    const struct case_settings one = {widths, 1, 1, false, false};
    const struct case_settings chain = {widths, 3, 2, false, false};
    const struct case_settings weights = {widths, 1, 1, false, true};
    struct test_random r;

    test_random_init(&r, "hidden_proofs");
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    put_features("one", &one, &r);
    put_features("chain", &chain, &r);
    put_features("certificate", &weights, &r);
    put_tokens("token", SMALL, 1, 1, &r);
    put_tokens("tokens", SMALL, 24, 2, &r); /* whose digits are counted */
    put_certificate("many-weights", MANY, &r);
    fflush(stdout);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hidden_proofs");
    TCase *t = tcase_create("hidden_proofs");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, hidden_proofs);
    suite_add_tcase(s, t);
    return test_main(s);
}

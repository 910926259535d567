/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api/proof_run.c, proof_tokens.c: all values of a run, and greedy answers. */
#include "api/chain.h"
#include "api/proof.h"
#include "base/intmath.h"
#include "tiny.h"

/* ---- runs ---- */

#define MOST 130 /* steps: two borders of the parts that a run is made in */

/* What single steps on the scalar backend give, by mbi_ref. */
static void **step_by_step(const mambaint_model *m, const void *in, size_t lanes)
{
    const struct mbi_graph *g = m->model->graph;
    const size_t in_row = mbi_type_row_size(&g->node[0].type);
    void **value = calloc(g->n_nodes, sizeof(*value));
    const struct mbi_backend *scalar;
    mambaint_error err = {0, ""};
    struct mbi_stage s;

    test_that(value);
    OK(mbi_backend_find(&scalar, "scalar", &err));
    OK(mbi_stage_open(&s, m, scalar, 1, true, &err));
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        test_that((value[i] = malloc(lanes * mbi_type_row_size(&g->node[i].type) + 1)));
    memcpy(value[0], in, lanes * in_row);
    for (size_t t = 0; t < lanes; t++) {
        OK(mbi_stage_run(&s, (const char *)in + t * in_row, t, 1, &err));
        for (mbi_ref i = 0; i < g->n_nodes; i++) {
            const size_t row = mbi_type_row_size(&g->node[i].type);

            if (g->node[i].op)
                OK(scalar->peek((char *)value[i] + t * row, s.image, i, 0, 1, &err));
        }
    }
    mbi_stage_close(&s);
    return value;
}

static void check_run(const mambaint_model *m, const void *in, size_t lanes,
                      const struct mbi_backend *backend, void *const *want)
{
    const struct mbi_graph *g = m->model->graph;
    struct mbi_kept_run run = {.graph = NULL};
    mambaint_error err = {0, ""};

    ck_assert_msg(mbi_kept_run_make(&run, m, in, lanes, backend, &err) >= 0, "%s", err.message);
    ck_assert_ptr_eq(run.stage.value, run.value);
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (mbi_node_is_param(node))
            test_that(run.value[i] == m->model->param[node->param]);
        else
            test_check(!memcmp(run.value[i], want[i], lanes * mbi_type_row_size(&node->type)),
                       "value %u (%s) of %zu steps on %s", i, node->label ? node->label : "", lanes,
                       backend->name);
    }
    mbi_kept_run_close(&run);
    mbi_kept_run_close(&run); /* nothing is left */
}

/* Values of a model for several lengths, on every backend that runs here. Frees the options. */
static void check_model(mambaint_options *o, struct test_random *r)
{
    static const size_t lanes[] = {1, 5, 63, 64, 65, MOST};
    const struct mbi_graph *g;
    const struct mbi_backend *b;
    mambaint_model *m;
    int32_t ids[MOST];
    struct tiny t;
    void **want;

    tiny_make(&t, o);
    m = tiny_open(&t, NULL);
    g = m->model->graph;
    ck_assert_uint_eq(mbi_type_row_size(&g->node[0].type), sizeof(*ids));
    for (size_t i = 0; i < MOST; i++)
        ids[i] = (int32_t)test_random_below(r, (uint64_t)g->node[0].type.hi + 1);
    want = step_by_step(m, ids, MOST);
    for (size_t i = 0; (b = mbi_backend_at(i)); i++)
        for (size_t k = 0; k < MBI_COUNT(lanes) && b->probe(); k++)
            check_run(m, ids, lanes[k], b, want);
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        free(want[i]);
    free(want);
    mambaint_model_unref(m);
    tiny_free(&t);
}

START_TEST(values_are_those_of_single_steps)
{
    struct test_random r;

    test_random_init(&r, "values_are_those_of_single_steps");
    check_model(tiny_options("preset", "mi-tiny", NULL), &r);
    check_model(tiny_options("preset", "mi-tiny-ternary", "layers", "1", NULL), &r);
    check_model(
        tiny_options("preset", "mi-tiny", "layers", "1", "gate", "algebraic", "hold", "on", NULL),
        &r);
    check_model(tiny_options("preset", "mi-tiny", "layers", "1", "gate", "squareplus", "norm",
                             "bitshift", "rotation-pairs", "0", NULL),
                &r);
    check_model(
        tiny_options("preset", "mi-tiny", "layers", "1", "chunk", "1", "norm", "bitshift", NULL),
        &r);
    check_model(tiny_options("preset", "mi-tiny", "layers", "1", "chunk", "64", "tied-head", "off",
                             "head-weights", "ternary", NULL),
                &r);
    check_model(tiny_options("preset", "mi-tiny", "layers", "1", "chunk", "256", NULL), &r);
}
END_TEST

START_TEST(values_of_features_too)
{
    static const int8_t x[] = {5, -7};
    mambaint_options *o =
        tiny_options("preset", "simple", "features-in", "2", "hidden", "3", "outputs", "4", NULL);
    const struct mbi_backend *b;
    mambaint_model *m;
    struct tiny t;
    void **want;

    tiny_make(&t, o);
    m = tiny_open(&t, NULL);
    want = step_by_step(m, x, 1);
    for (size_t i = 0; (b = mbi_backend_at(i)); i++)
        if (b->probe())
            check_run(m, x, 1, b, want);
    for (mbi_ref i = 0; i < m->model->graph->n_nodes; i++)
        free(want[i]);
    free(want);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

/* ---- answers ---- */

/* Ids as text: "1,2,3". */
static void write_ids(char *out, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out += sprintf(out, "%s%d", i ? "," : "", ids[i]);
}

static int32_t answer_to(struct mbi_buf *list, uint32_t *n_outputs, mambaint_model *m,
                         mambaint_options *o, mambaint_error *err)
{
    const int32_t rc = mbi_proof_answer(list, n_outputs, m, o, MBI_STATEMENT_LANES, err);

    mambaint_options_free(o);
    return rc;
}

/* What is fed, and each answered token as the argmax of all before it, computed at once. */
static void check_answer(mambaint_model *m, const struct mbi_buf *list, uint32_t n_outputs)
{
    const int32_t *ids = (const int32_t *)(const void *)list->data;
    const size_t lanes = list->size / sizeof(*ids) - 1;
    const struct mbi_graph *g = m->model->graph;
    struct mbi_kept_run run = {.graph = NULL};
    const struct mbi_backend *backend;
    const int32_t *logits;
    mambaint_error err;
    int32_t *changed;

    OK(mbi_backend_find(&backend, NULL, &err));
    OK(mbi_kept_run_make(&run, m, ids, lanes, backend, &err));
    ck_assert_uint_eq(g->node[g->logits].type.dtype, MBI_I32);
    logits = run.value[g->logits];
    for (size_t t = lanes - n_outputs; t < lanes; t++) {
        const size_t v = g->node[g->logits].type.cols;
        size_t best = 0;

        for (size_t i = 1; i < v; i++)
            if (logits[t * v + i] > logits[t * v + best])
                best = i;
        ck_assert_int_eq((int64_t)best, ids[t + 1]);
    }
    OK(mbi_proof_answer_check(&run, ids, lanes, n_outputs, &err));
    test_that(changed = malloc(list->size));
    memcpy(changed, ids, list->size);
    for (size_t t = lanes - n_outputs; t < lanes; t++) {
        changed[t + 1] ^= 1;
        ck_assert_int_eq(mbi_proof_answer_check(&run, changed, lanes, n_outputs, &err),
                         MAMBAINT_E_INTERNAL);
        changed[t + 1] ^= 1;
    }
    free(changed);
    mbi_kept_run_close(&run);
}

START_TEST(answers_are_greedy)
{
    static const char prompt[] = "A cat\nsat: ";
    const struct mbi_backend *b;
    mambaint_error err = {0, ""};
    struct mbi_buf list, ids;
    mambaint_model *m;
    uint32_t n;
    struct tiny t;
    char text[512];

    tiny_make(&t, tiny_options("preset", "mi-tiny", "seed", "3", NULL));
    m = tiny_open(&t, NULL);
    for (size_t i = 0; (b = mbi_backend_at(i)); i++) {
        const int32_t eot = mbi_tokenizer_eot(m->model->tokenizer);

        if (!b->probe())
            continue;
        mbi_buf_init(&list, &m->ctx->host);
        OK(answer_to(&list, &n, m,
                     tiny_options("prompt", prompt, "tokens", "9", "backend", b->name, NULL),
                     &err));
        mbi_buf_init(&ids, &m->ctx->host);
        mbi_buf_add(&ids, &eot, sizeof(eot));
        OK(mbi_tokenizer_encode(&ids, m->model->tokenizer, prompt, strlen(prompt), 0, &err));
        test_that(n >= 1 && n <= 9 && list.size == ids.size + n * sizeof(eot));
        ck_assert_mem_eq(list.data, ids.data, ids.size);
        check_answer(m, &list, n);

        /* The same from ids, and one token of it alone. */
        write_ids(text, (const int32_t *)(const void *)ids.data, ids.size / sizeof(eot));
        ids.size = 0;
        OK(answer_to(&ids, &n, m,
                     tiny_options("ids", text, "tokens", "9", "backend", b->name, NULL), &err));
        ck_assert_uint_eq(ids.size, list.size);
        ck_assert_mem_eq(list.data, ids.data, ids.size);
        ids.size = 0;
        OK(answer_to(&ids, &n, m, tiny_options("ids", text, "tokens", "1", NULL), &err));
        ck_assert_uint_eq(n, 1);
        ck_assert_mem_eq(list.data, ids.data, ids.size);
        mbi_buf_free(&list);
        mbi_buf_free(&ids);
    }
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

/* What ends a text or a turn ends the answer, and is its last token. */
START_TEST(answers_end_where_the_text_ends)
{
    size_t texts = 0, turns = 0;
    mambaint_error err = {0, ""};

    for (int seed = 1; seed <= 4 || ((!texts || !turns) && seed <= 40); seed++) {
        struct mbi_buf list;
        mambaint_model *m;
        struct tiny t;
        char number[16];

        snprintf(number, sizeof(number), "%d", seed);
        tiny_make(&t, tiny_options("preset", "mi-tiny", "layers", "1", "seed", number, NULL));
        m = tiny_open(&t, NULL);
        mbi_buf_init(&list, &m->ctx->host);
        for (int first = 0; first < 300; first += 7) {
            const struct mbi_tokenizer *tok = m->model->tokenizer;
            uint32_t n;
            int32_t last = -1;
            bool ended = false;

            snprintf(number, sizeof(number), "%d", first);
            list.size = 0;
            OK(answer_to(&list, &n, m, tiny_options("ids", number, "tokens", "6", NULL), &err));
            ck_assert_uint_eq(list.size, (1 + n) * sizeof(last));
            for (uint32_t i = 1; i <= n; i++) {
                memcpy(&last, list.data + i * sizeof(last), sizeof(last));
                ended =
                    last == mbi_tokenizer_eot(tok) || last == mbi_tokenizer_role(tok, MBI_ROLE_END);
                test_check(ended ? i == n : i < n || n == 6, "seed %d, first %d: %u of %u is %d",
                           seed, first, i, n, last);
            }
            texts += last == mbi_tokenizer_eot(tok);
            turns += last == mbi_tokenizer_role(tok, MBI_ROLE_END);
            if (ended)
                check_answer(m, &list, n);
        }
        mbi_buf_free(&list);
        mambaint_model_unref(m);
        tiny_free(&t);
    }
    test_check(texts && turns, "%zu ends of text and %zu of a turn", texts, turns);
}
END_TEST

static void no_answer(mambaint_model *m, int32_t want, const char *word, mambaint_options *o)
{
    mambaint_error err = {0, ""};
    struct mbi_buf list;
    uint32_t n;
    int32_t rc;

    mbi_buf_init(&list, &m->ctx->host);
    rc = answer_to(&list, &n, m, o, &err);
    test_check(rc == want && err.code == rc && strstr(err.message, word),
               "%d, not %d: '%s' lacks '%s'", rc, want, err.message, word);
    mbi_buf_free(&list);
}

START_TEST(wrong_prompts_are_errors)
{
    static const struct {
        const char *ids;
        int32_t code;
        const char *says;
    } cases[] = {
        {"", MAMBAINT_E_INVALID, "there is none"},
        {"  ", MAMBAINT_E_INVALID, "there is none"},
        {"1,", MAMBAINT_E_INVALID, "last comma"},
        {",1", MAMBAINT_E_INVALID, "number 1, ''"},
        {"1,,2", MAMBAINT_E_INVALID, "number 2, ''"},
        {"1 2", MAMBAINT_E_INVALID, "number 1, '1 2'"},
        {"-1", MAMBAINT_E_INVALID, "'-1'"},
        {"0x1", MAMBAINT_E_INVALID, "'0x1'"},
        {"1,2.0", MAMBAINT_E_INVALID, "number 2, '2.0'"},
        {"1,300", MAMBAINT_E_RANGE, "number 2, 300, is outside the vocabulary of 300"},
        {"4294967296", MAMBAINT_E_RANGE, "outside"},
        {"99999999999999999999999999", MAMBAINT_E_RANGE, "outside"},
    };
    mambaint_error err = {0, ""};
    char *many, *text;
    struct mbi_buf list;
    mambaint_model *m;
    uint32_t n;
    struct tiny t;

    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    m = tiny_open(&t, NULL);
    for (size_t i = 0; i < MBI_COUNT(cases); i++)
        no_answer(m, cases[i].code, cases[i].says, tiny_options("ids", cases[i].ids, NULL));
    no_answer(m, MAMBAINT_E_INVALID, "what is the model to answer", tiny_options(NULL));
    no_answer(m, MAMBAINT_E_INVALID, "one of them", tiny_options("ids", "1", "prompt", "a", NULL));
    no_answer(m, MAMBAINT_E_MISMATCH, "takes text", tiny_options("features", "1", NULL));
    no_answer(m, MAMBAINT_E_RANGE, "tokens", tiny_options("ids", "1", "tokens", "0", NULL));
    no_answer(m, MAMBAINT_E_RANGE, "tokens", tiny_options("ids", "1", "tokens", "4097", NULL));
    no_answer(m, MAMBAINT_E_INVALID, "tokens", tiny_options("ids", "1", "tokens", "some", NULL));
    no_answer(m, MAMBAINT_E_NO_BACKEND, "abacus",
              tiny_options("ids", "1", "backend", "abacus", NULL));

    /* 4096 steps and no more. */
    test_that((many = malloc(2 * 4097 + 1)) && (text = malloc(4097)));
    for (size_t i = 0; i < 4097; i++)
        memcpy(many + 2 * i, "1,", 3);
    many[2 * 4097 - 1] = '\0';
    no_answer(m, MAMBAINT_E_RANGE, "4097 steps", tiny_options("ids", many, "tokens", "1", NULL));
    many[2 * 4096 - 1] = '\0';
    no_answer(m, MAMBAINT_E_RANGE, "4097 steps", tiny_options("ids", many, "tokens", "2", NULL));
    mbi_buf_init(&list, &m->ctx->host);
    OK(answer_to(&list, &n, m, tiny_options("ids", many, "tokens", "1", NULL), &err));
    ck_assert_uint_eq(list.size, 4097 * sizeof(int32_t));
    mbi_buf_free(&list);
    memset(text, 'x', 4096);
    text[4096] = '\0';
    no_answer(m, MAMBAINT_E_RANGE, "steps", tiny_options("prompt", text, "tokens", "4096", NULL));
    free(many);
    free(text);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

/* ---- memory and progress ---- */

struct told {
    const char *stage[16];
    uint64_t done[16], total[16];
    size_t n;
};

static void tell(void *user, const char *stage, uint64_t done, uint64_t total)
{
    struct told *t = user;

    test_that(total > 0 && done <= total);
    if (!t->n || strcmp(t->stage[t->n - 1], stage) != 0) {
        test_that(t->n < MBI_COUNT(t->stage));
        t->stage[t->n] = stage;
        t->total[t->n] = total;
        t->n++;
    } else {
        test_that(done > t->done[t->n - 1] && total == t->total[t->n - 1]);
    }
    t->done[t->n - 1] = done;
}

static void expect_stages(const struct told *t, const char *const *stage)
{
    for (size_t i = 0; i < t->n; i++)
        ck_assert_str_eq(t->stage[i], stage[i] ? stage[i] : "");
    test_that(!stage[t->n]);
}

START_TEST(progress_is_told)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx = NULL;
    mambaint_error err = {0, ""};
    struct told told = {.n = 0};
    mambaint_proof *p = NULL;
    mambaint_options *o;
    mambaint_model *m;
    struct tiny t;

    setup.progress = tell;
    setup.progress_user = &told;
    OK(mambaint_context_create(&ctx, &setup, NULL));
    tiny_make(&t, tiny_options("preset", "simple", NULL));
    m = tiny_open(&t, ctx);
    o = tiny_options("features", "0,0,0,0,0,0,0,0,0,1", NULL);
    ck_assert_msg(mambaint_proof_create(&p, &m, 1, o, &err) == MAMBAINT_OK, "%s", err.message);
    expect_stages(
        &told, (const char *const[]){"weights", "run", "witness", "commit", "sums", "open", NULL});
    for (size_t i = 0; i < told.n; i++)
        ck_assert_uint_eq(told.done[i], told.total[i]);
    mambaint_proof_free(p);
    mambaint_options_free(o);
    mambaint_model_unref(m);
    tiny_free(&t);

    told.n = 0;
    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    m = tiny_open(&t, ctx);
    o = tiny_options("prompt", "a", "tokens", "2", NULL);
    mambaint_proof_create(&p, &m, 1, o, &err);
    expect_stages(&told, (const char *const[]){"weights", "answer", "run", "witness", "commit",
                                               "sums", "lookup", "open", NULL});
    mambaint_proof_free(p);
    mambaint_options_free(o);
    mambaint_model_unref(m);
    tiny_free(&t);
    mambaint_context_unref(ctx);
}
END_TEST

static int32_t answer_on(const struct mbi_host *host, void *arg)
{
    const struct tiny *t = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_options *o = tiny_options("prompt", "ab", "tokens", "3", NULL);
    struct mbi_kept_run run = {.graph = NULL};
    const struct mbi_backend *backend;
    mambaint_model *m = NULL;
    mambaint_error err;
    uint32_t n;
    int32_t rc = ctx ? mambaint_model_open_memory(&m, ctx, t->bytes, t->size, NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    OK(mbi_backend_find(&backend, "scalar", &err));
    if (rc >= 0) {
        struct mbi_buf list;

        mbi_buf_init(&list, &ctx->host);
        rc = mbi_proof_answer(&list, &n, m, o, MBI_STATEMENT_LANES, &err);
        if (rc >= 0)
            rc = mbi_kept_run_make(&run, m, list.data, list.size / sizeof(int32_t), backend, &err);
        mbi_kept_run_close(&run);
        mbi_buf_free(&list);
    }
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

START_TEST(refused_memory_is_an_error)
{
    struct tiny t;

    tiny_make(&t, tiny_options("preset", "mi-tiny", "layers", "1", NULL));
    ck_assert_uint_gt(test_refuse_each(answer_on, &t), 50);
    tiny_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof_run");
    TCase *t = tcase_create("proof_run");

    tcase_set_timeout(t, 280);
    tcase_add_test(t, values_are_those_of_single_steps);
    tcase_add_test(t, values_of_features_too);
    tcase_add_test(t, answers_are_greedy);
    tcase_add_test(t, answers_end_where_the_text_ends);
    tcase_add_test(t, wrong_prompts_are_errors);
    tcase_add_test(t, progress_is_told);
    tcase_add_test(t, refused_memory_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Models that take features: their numbers from text, the graph, the file, the evaluation. */
#include "api/features.h"
#include "base/intmath.h"
#include "exec/backend.h"
#include "model/model.h"
#include "op/build.h"
#include "tiny.h"
#include <math.h>

#define OUT 1000 /* no integer of a feature: refused as out of range */

/* ---- decimals ---- */

START_TEST(decimals_become_the_nearest_integer)
{
    static const struct {
        const char *text;
        int want;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"1", 32},
        {"-1.25", -40},
        {"+.75", 24},
        {"-.5", -16},
        {" \t2.50\t ", 80},
        {"0000000000000000000000000000000000000001.000", 32},
        {"3.96875", 127},
        {"-4", -128},
        {"0.015625", 1}, /* half a unit goes up, below zero too */
        {"-0.015625", 0},
        {"0.046875", 2},
        {"-0.046875", -1},
        {"0.015624999999999999999999999999999999999999999999999999999999999999999999", 0},
        {"-0.01562500000000000000000000000000000000000000000000000000000000000000001", -1},
        {"3.984374999999999999999999999999999999999999", 127},
        {"-4.015625", -128},
        {"3.984375", OUT},
        {"-4.015625000000000000000000000000000000000001", OUT},
        {"4", OUT},
        {"-5.5", OUT},
        {"128", OUT},
        {"99999999999999999999999999", OUT},
        {"-99999999999999999999999999.5", OUT},
    };

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const int32_t want = cases[i].want == OUT ? MAMBAINT_E_RANGE : MAMBAINT_OK;
        mambaint_error err = {0, ""};
        int8_t v = 99;
        const int32_t rc = mbi_features_read(&v, 1, cases[i].text, &err);

        ck_assert_msg(rc == want, "'%s': %d: %s", cases[i].text, rc, err.message);
        ck_assert_msg(rc < 0 || v == cases[i].want, "'%s' is %d", cases[i].text, v);
        ck_assert(rc == MAMBAINT_OK || strstr(err.message, "number 1"));
    }
}
END_TEST

/* Every integer and all halves between, of -5 to 5, against floor(64ths / 2 + 1/2). */
START_TEST(every_sixty_fourth_is_right)
{
    for (int k = -320; k <= 320; k++) {
        const int want = (k + 1 + 1024) / 2 - 512; /* floor((k + 1) / 2) */
        const bool fits = want >= -128 && want <= 127;
        char text[32];
        int8_t v = 99;

        snprintf(text, sizeof(text), "%.6f", k / 64.0); /* exact: six decimals are enough */
        test_that(mbi_features_read(&v, 1, text, NULL) == (fits ? MAMBAINT_OK : MAMBAINT_E_RANGE));
        test_check(!fits || v == want, "'%s' is %d, not %d", text, v, want);
    }
}
END_TEST

START_TEST(lists_have_exactly_as_many_numbers)
{
    static const char *const bad[] = {
        "",        "1",       "1,2",    "1,2,3,4",      "1,2,",      ",1,2",
        "1,,2",    "1 2,3",   "1;2;3",  "1,2,3,",       "1,2,x",     "1,2,3x",
        "1,2,1.",  "1,2,.",   "1,2,-",  "1,2,+-1",      "1,2,--1",   "1,2,1e0",
        "1,2,0x1", "1,2,nan", "1,2,\n", "1,2,\xc2\xbd", "1,2,1.5.5", "1.,2,3",
    };
    int8_t v[4] = {9, 9, 9, 9};

    OK(mbi_features_read(v, 3, "1, -0.5 ,.25", NULL));
    ck_assert(v[0] == 32 && v[1] == -16 && v[2] == 8 && v[3] == 9);
    for (size_t i = 0; i < MBI_COUNT(bad); i++) {
        mambaint_error err = {0, ""};

        ck_assert_msg(mbi_features_read(v, 3, bad[i], &err) == MAMBAINT_E_INVALID, "'%s'", bad[i]);
        ck_assert(strstr(err.message, "option features") && v[3] == 9);
    }
}
END_TEST

/* Whatever the bytes: a status, and nothing is read or written beyond the ends. */
START_TEST(junk_is_refused)
{
    static const char letters[] = "0123456789.,,,+-- \te\xff";
    struct test_random r;

    test_random_init(&r, "junk_is_refused");
    for (int round = 0; round < 20000; round++) {
        const size_t n = (size_t)test_random_below(&r, 24);
        char *text = malloc(n + 1);
        int8_t *v = malloc(3);
        int32_t rc;

        ck_assert(text && v);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[test_random_below(&r, sizeof(letters) - 1)];
        text[n] = 0;
        rc = mbi_features_read(v, 3, text, NULL);
        test_check(rc == MAMBAINT_OK || rc == MAMBAINT_E_INVALID || rc == MAMBAINT_E_RANGE,
                   "'%s': %d", text, rc);
        free(text);
        free(v);
    }
}
END_TEST

/* ---- graphs ---- */

static void build_graph(struct mbi_graph **g, const struct mbi_host *host, bool link)
{
    struct mbi_build b;
    mbi_ref x, y;

    OK(mbi_graph_create(g, host, NULL));
    mbi_build_begin(&b, *g, NULL);
    x = mbi_build_features(&b, 7, 5);
    y = mbi_requant(&b, "y", x, 1, -128, 127, 4);
    if (link)
        OK(mbi_build_link(&b, y));
    OK(mbi_build_end(&b, x, mbi_argmax(&b, "argmax", y)));
}

/* The link stands behind the other outputs, and without one there is nothing. */
START_TEST(a_link_is_canonical_where_there_is_one)
{
    struct mbi_graph *with, *without;
    struct mbi_buf a, b;
    struct test_host t;

    test_host_init(&t);
    build_graph(&with, &t.host, true);
    build_graph(&without, &t.host, false);
    ck_assert_uint_eq(with->link, 1);
    ck_assert_uint_eq(without->link, MBI_NONE);
    ck_assert(mbi_graph_takes_features(with));
    mbi_buf_init(&a, &t.host);
    mbi_buf_init(&b, &t.host);
    mbi_graph_canonical(&a, with);
    mbi_graph_canonical(&b, without);
    ck_assert_uint_eq(a.size, b.size + 4);
    ck_assert_mem_eq(a.data, b.data, b.size);
    ck_assert_uint_eq(mbi_load32(a.data + b.size), 1);
    ck_assert_uint_eq(mbi_load32(a.data + 26), MBI_LEAF_FEATURES); /* of node 0 */
    ck_assert_mem_ne(with->digest, without->digest, MBI_DIGEST_SIZE);
    mbi_buf_free(&a);
    mbi_buf_free(&b);
    mbi_graph_free(with);
    mbi_graph_free(without);
    test_host_check(&t);
}
END_TEST

START_TEST(links_are_values)
{
    const struct mbi_param p = {.name = "p", .type = {MBI_I8, 5, 1, 7, -1, 1}};
    struct mbi_graph *g;
    struct mbi_build b;
    struct mbi_host host;

    mbi_host_default(&host);
    for (int beyond = 0; beyond < 2; beyond++) {
        mambaint_error err = {0, ""};
        mbi_ref param;

        OK(mbi_graph_create(&g, &host, NULL));
        mbi_build_begin(&b, g, &err);
        mbi_build_features(&b, 7, 5);
        param = mbi_build_param(&b, &p);
        ck_assert_int_lt(mbi_build_link(&b, beyond ? param + 1 : param), 0);
        ck_assert(strstr(err.message, "link"));
        ck_assert_int_lt(mbi_build_end(&b, 0, 0), 0);
        mbi_graph_free(g);
    }
}
END_TEST

enum { LINK_ROWS = 24, LINK_COLS = 32 };

/* The link and the outputs of a product whose requant a backend may do in the same go. */
static void run_linked(int32_t *link, int8_t *outputs, const struct mbi_backend *b,
                       const struct mbi_graph *g, const int8_t *w, const int8_t *x)
{
    const void *const param[] = {w};
    struct mbi_program *p;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct mbi_memory *memory;

    OK(mbi_program_create(&p, g->host, g, 1, 1, false, NULL));
    OK(b->weights_new(&weights, g->host, g, param, NULL));
    OK(b->image_new(&image, p, weights, NULL));
    OK(b->memory_new(&memory, p, NULL));
    OK(b->run(image, &(struct mbi_batch){&(struct mbi_run){memory, 0, x, 1}, 1, true}, NULL));
    OK(b->peek(link, image, g->link, 0, 1, NULL));
    OK(b->peek(outputs, image, g->logits, 0, 1, NULL));
    b->memory_free(memory);
    b->image_free(image);
    b->weights_free(weights);
    mbi_program_free(p);
}

/* A value that only its neighbour reads is written where it is the link as well. */
START_TEST(a_link_is_kept_where_kernels_do_several_nodes)
{
    const struct mbi_param p = {.name = "w", .type = {MBI_I8, 7, LINK_ROWS, LINK_COLS, -127, 127}};
    int8_t w[LINK_ROWS * LINK_COLS], x[LINK_COLS], outputs[LINK_ROWS];
    int32_t want[LINK_ROWS] = {0}, link[LINK_ROWS];
    struct mbi_graph *g;
    struct mbi_build b;
    struct mbi_host host;
    struct test_random r;
    mbi_ref in, y, z;

    test_random_init(&r, "a_link_is_kept_where_kernels_do_several_nodes");
    for (size_t i = 0; i < LINK_ROWS * LINK_COLS; i++) {
        w[i] = (int8_t)test_random_between(&r, -127, 127);
        x[i % LINK_COLS] = (int8_t)test_random_between(&r, -128, 127);
    }
    for (size_t i = 0; i < LINK_ROWS * LINK_COLS; i++)
        want[i / LINK_COLS] += w[i] * x[i % LINK_COLS];
    mbi_host_default(&host);
    OK(mbi_graph_create(&g, &host, NULL));
    mbi_build_begin(&b, g, NULL);
    in = mbi_build_features(&b, LINK_COLS, 5);
    y = mbi_matvec(&b, "y", in, mbi_build_param(&b, &p));
    z = mbi_requant(&b, "z", y, 12, -128, 127, 0);
    OK(mbi_build_link(&b, y));
    OK(mbi_build_end(&b, z, mbi_argmax(&b, "argmax", z)));
    for (size_t i = 0; mbi_backend_at(i); i++) {
        if (!mbi_backend_at(i)->probe())
            continue;
        memset(link, 0x55, sizeof(link));
        run_linked(link, outputs, mbi_backend_at(i), g, w, x);
        test_same_bytes(link, want, sizeof(want));
        for (size_t k = 0; k < LINK_ROWS; k++)
            test_that(outputs[k] ==
                      mbi_clamp_i64(mbi_rshift_half_up(want[k], 12), INT8_MIN, INT8_MAX));
    }
    mbi_graph_free(g);
}
END_TEST

/* ---- models whose weights come from their whole intervals ---- */

struct wild {
    struct mbi_host host;
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_config config;
    struct mbi_graph *graph;
    void *param[4]; /* hidden.weight, hidden.bias, output.weight, output.bias */
    mambaint_model *model;
};

static void set_field(struct mbi_config *c, const char *flag, uint32_t v)
{
    char text[16];
    bool known;

    snprintf(text, sizeof(text), "%u", v);
    OK(mbi_config_set(c, flag, text, &known, NULL));
    ck_assert(known);
}

/* Half of the parameters hold the ends of their interval alone. */
static void fill(void *array, const struct mbi_type *t, struct test_random *r)
{
    const bool ends = test_random_below(r, 2);

    for (size_t i = 0; i < (size_t)t->rows * t->cols; i++) {
        const int64_t v = !ends                     ? test_random_between(r, t->lo, t->hi)
                          : test_random_below(r, 2) ? t->lo
                                                    : t->hi;

        if (t->dtype == MBI_I8)
            ((int8_t *)array)[i] = (int8_t)v;
        else
            ((int16_t *)array)[i] = (int16_t)v;
    }
}

static void wild_make(struct wild *w, uint32_t features, uint32_t hidden, uint32_t outputs,
                      struct test_random *r)
{
    struct mbi_model_parts parts = {.config = &w->config, .param = (const void *const *)w->param};
    mambaint_error err = {0, ""};

    mbi_host_default(&w->host);
    test_dir_make(w->dir);
    test_path(w->path, w->dir, "wild.gguf");
    mbi_config_init(&w->config, mbi_arch_find("simple"));
    set_field(&w->config, "features-in", features);
    set_field(&w->config, "hidden", hidden);
    set_field(&w->config, "outputs", outputs);
    OK(mbi_arch_graph(&w->graph, &w->host, &w->config, NULL));
    ck_assert_uint_eq(w->graph->n_params, 4);
    for (uint32_t i = 0; i < 4; i++) {
        w->param[i] = malloc(mbi_param_size(&w->graph->param[i]));
        ck_assert_ptr_nonnull(w->param[i]);
        fill(w->param[i], &w->graph->param[i].type, r);
    }
    parts.graph = w->graph;
    OK(mbi_model_save(&w->host, w->path, &parts, NULL));
    ck_assert_msg(mambaint_model_open(&w->model, NULL, w->path, NULL, &err) == MAMBAINT_OK, "%s",
                  err.message);
}

static void wild_free(struct wild *w)
{
    for (uint32_t i = 0; i < 4; i++)
        free(w->param[i]);
    mambaint_model_unref(w->model);
    mbi_graph_free(w->graph);
    test_dir_remove(w->dir);
}

/* docs/arithmetic.md, "The simple step", from the text: 64 bits, and floors by division. */
static int64_t back(int64_t x, int64_t lo, int64_t hi)
{
    const int64_t up = x + 64, y = up / 128 - (up % 128 < 0);

    return y < lo ? lo : y > hi ? hi : y;
}

static void layer(int64_t *y, const int64_t *x, const void *weight, const void *bias, size_t rows,
                  size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        y[i] = ((const int16_t *)bias)[i];
        for (size_t k = 0; k < cols; k++)
            y[i] += ((const int8_t *)weight)[i * cols + k] * x[k];
    }
}

/* x: the features, and then what is handed on. */
static void plain(int64_t *y, int64_t *x, const struct wild *w)
{
    const uint32_t *size = w->config.v; /* features, hidden, outputs */
    int64_t h[1024];

    layer(h, x, w->param[0], w->param[1], size[1], size[0]);
    for (size_t i = 0; i < size[1]; i++)
        h[i] = back(h[i], 0, 127);
    layer(y, h, w->param[2], w->param[3], size[2], size[1]);
    for (size_t i = 0; i < size[0] && i < size[2]; i++)
        x[i] = back(y[i], -128, 127);
}

/* Random features, as integers and as the option. */
static mambaint_options *draw_features(int64_t *x, size_t n, struct test_random *r)
{
    mambaint_options *o;
    char text[256 * 12] = "", *at = text;

    OK(mambaint_options_create(&o));
    for (size_t i = 0; i < n; i++) {
        x[i] = test_random_below(r, 4)   ? test_random_between(r, -128, 127)
               : test_random_below(r, 2) ? -128
                                         : 127;
        at += snprintf(at, 12, "%s%.5f", i ? "," : "", (double)x[i] / 32);
    }
    OK(mambaint_options_set(o, "features", text, NULL));
    return o;
}

/* ---- evaluation ---- */

static void compare(const int32_t *got, const int64_t *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        test_check(got[i] == want[i], "output %zu is %d, not %lld", i, got[i], (long long)want[i]);
}

START_TEST(outputs_equal_the_text)
{
    static const uint32_t shape[][3] = {{10, 16, 69}, {10, 24, 69}, {1, 1, 1},
                                        {33, 31, 20}, {7, 130, 7},  {256, 1024, 4096}};
    static int32_t got[4096];
    static int64_t want[4096];
    struct test_random r;

    test_random_init(&r, "outputs_equal_the_text");
    for (size_t i = 0; i < MBI_COUNT(shape); i++)
        for (int round = 0; round < 4; round++) {
            const size_t n = shape[i][2];
            mambaint_options *o;
            mambaint_error err = {0, ""};
            struct wild w;
            int64_t x[256];
            int32_t ints[256];
            size_t need = 0;

            wild_make(&w, shape[i][0], shape[i][1], shape[i][2], &r);
            o = draw_features(x, shape[i][0], &r);
            OK(mambaint_model_features(ints, 256, &need, w.model, o, NULL));
            ck_assert_uint_eq(need, shape[i][0]);
            compare(ints, x, need);
            plain(want, x, &w);
            for (size_t b = 0; mbi_backend_at(b); b++) {
                if (!mbi_backend_at(b)->probe())
                    continue;
                memset(got, 0x55, sizeof(got));
                OK(mambaint_options_set(o, "backend", mbi_backend_at(b)->name, NULL));
                ck_assert_msg(mambaint_model_evaluate(got, n, &need, &w.model, 1, o, &err) ==
                                  MAMBAINT_OK,
                              "%s", err.message);
                ck_assert_uint_eq(need, n);
                compare(got, want, n);
            }
            mambaint_options_free(o);
            wild_free(&w);
        }
}
END_TEST

START_TEST(chains_hand_on_what_the_next_takes)
{
    static const uint32_t shape[3][3] = {{10, 16, 69}, {10, 24, 12}, {10, 5, 3}};
    struct test_random r;

    test_random_init(&r, "chains_hand_on_what_the_next_takes");
    for (int round = 0; round < 20; round++) {
        mambaint_model *model[3];
        mambaint_options *o;
        struct wild w[3];
        int64_t x[256], want[69];
        int32_t got[69];
        size_t need;

        for (size_t i = 0; i < 3; i++) {
            wild_make(&w[i], shape[i][0], shape[i][1], shape[i][2], &r);
            model[i] = w[i].model;
        }
        o = draw_features(x, 10, &r);
        for (size_t n = 1; n <= 3; n++) {
            plain(want, x, &w[n - 1]);
            OK(mambaint_model_evaluate(got, 69, &need, model, n, o, NULL));
            ck_assert_uint_eq(need, shape[n - 1][2]);
            compare(got, want, need);
        }
        mambaint_options_free(o);
        for (size_t i = 0; i < 3; i++)
            wild_free(&w[i]);
    }
}
END_TEST

/* ---- refusals ---- */

static void refused(int32_t want, const char *word, mambaint_model *const *model, size_t n,
                    const mambaint_options *o)
{
    mambaint_error err = {0, ""};
    int32_t out[69] = {7};
    const int32_t rc = mambaint_model_evaluate(out, 69, NULL, model, n, o, &err);

    ck_assert_msg(rc == want && strstr(err.message, word), "%d: %s", rc, err.message);
    ck_assert_int_eq(out[0], 7);
}

START_TEST(models_that_do_not_fit_are_refused)
{
    mambaint_options *o = tiny_options("features", "1,2,3", NULL);
    mambaint_model *text, *no_model = NULL;
    struct wild three, small, four;
    struct test_random r;
    struct tiny t;

    test_random_init(&r, "models_that_do_not_fit_are_refused");
    wild_make(&three, 3, 4, 3, &r);
    wild_make(&small, 3, 4, 2, &r); /* hands nothing on */
    wild_make(&four, 4, 4, 4, &r);
    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    text = tiny_open(&t, NULL);
    refused(MAMBAINT_E_MISMATCH, "text", &text, 1, o);
    refused(MAMBAINT_E_MISMATCH, "model 2", (mambaint_model *[]){three.model, text}, 2, o);
    refused(MAMBAINT_E_MISMATCH, "nothing", (mambaint_model *[]){small.model, three.model}, 2, o);
    refused(MAMBAINT_E_MISMATCH, "4", (mambaint_model *[]){three.model, four.model}, 2, o);
    refused(MAMBAINT_E_INVALID, "model", NULL, 1, o);
    refused(MAMBAINT_E_INVALID, "model", &three.model, 0, o);
    refused(MAMBAINT_E_INVALID, "NULL", &no_model, 1, o);
    refused(MAMBAINT_E_INVALID, "features", &three.model, 1, NULL);
    refused(MAMBAINT_E_INVALID, "4", &four.model, 1, o);
    OK(mambaint_options_set(o, "features", "1,2,4", NULL));
    refused(MAMBAINT_E_RANGE, "number 3", &three.model, 1, o);
    OK(mambaint_options_set(o, "features", "1,2,3", NULL));
    OK(mambaint_options_set(o, "backend", "abacus", NULL));
    refused(MAMBAINT_E_NO_BACKEND, "abacus", &three.model, 1, o);
    mambaint_options_free(o);
    mambaint_model_unref(text);
    tiny_free(&t);
    wild_free(&three);
    wild_free(&small);
    wild_free(&four);
}
END_TEST

START_TEST(too_little_room_stores_the_need_alone)
{
    mambaint_options *o = tiny_options("features", "1,2,3", NULL);
    int32_t out[3] = {7, 7, 7};
    struct test_random r;
    size_t need = 0;
    struct wild w;

    test_random_init(&r, "too_little_room_stores_the_need_alone");
    wild_make(&w, 3, 4, 5, &r);
    ck_assert_int_eq(mambaint_model_evaluate(NULL, 0, &need, &w.model, 1, o, NULL),
                     MAMBAINT_E_SPACE);
    ck_assert_uint_eq(need, 5);
    ck_assert_int_eq(mambaint_model_evaluate(out, 3, &need, &w.model, 1, o, NULL),
                     MAMBAINT_E_SPACE);
    ck_assert_int_eq(mambaint_model_evaluate(NULL, 5, &need, &w.model, 1, o, NULL),
                     MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_model_features(out, 2, &need, w.model, o, NULL), MAMBAINT_E_SPACE);
    ck_assert_uint_eq(need, 3);
    ck_assert(out[0] == 7 && out[1] == 7 && out[2] == 7);
    ck_assert_int_eq(mambaint_model_features(out, 3, NULL, NULL, o, NULL), MAMBAINT_E_INVALID);
    OK(mambaint_model_features(out, 3, NULL, w.model, o, NULL));
    ck_assert(out[0] == 32 && out[1] == 64 && out[2] == 96);
    mambaint_options_free(o);
    wild_free(&w);
}
END_TEST

static void text_is(const mambaint_model *m, const char *key, const char *want)
{
    char text[128];

    OK(mambaint_model_text(text, sizeof(text), NULL, m, key));
    ck_assert_str_eq(text, want);
}

/* What is for text says so. */
START_TEST(nothing_of_text_takes_them)
{
    static const char bytes[] = "MBISTATE";
    mambaint_options *o = tiny_options("preset", "simple", "data", "none.txt", NULL);
    mambaint_tokenizer *tokenizer = (void *)o;
    mambaint_session *session = (void *)o;
    mambaint_trainer *trainer = (void *)o;
    mambaint_state *state = (void *)o;
    mambaint_error err = {0, ""};
    mambaint_model *m;
    struct tiny t;

    tiny_make(&t, tiny_options("preset", "simple", NULL));
    m = tiny_open(&t, NULL);
    ck_assert_int_eq(mambaint_tokenizer_of(&tokenizer, m), MAMBAINT_E_UNSUPPORTED);
    ck_assert_ptr_null(tokenizer);
    ck_assert_int_eq(mambaint_session_create(&session, m, NULL, &err), MAMBAINT_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "features, not text") && !session);
    err.message[0] = 0;
    ck_assert_int_eq(mambaint_state_load(&state, m, bytes, sizeof(bytes), &err),
                     MAMBAINT_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "features, not text") && !state);
    err.message[0] = 0;
    ck_assert_int_eq(mambaint_trainer_create(&trainer, NULL, o, &err), MAMBAINT_E_UNSUPPORTED);
    ck_assert(strstr(err.message, "features, not text") && !trainer);
    text_is(m, "architecture", "simple");
    text_is(m, "vocab", "0");
    text_is(m, "state-size", "0");
    text_is(m, "tokenizer-digest", "");
    text_is(m, "parameters", "1349"); /* 16 (10 + 1) + 69 (16 + 1) */
    text_is(m, "token-macs", "1264"); /* 16 x 10 + 69 x 16 */
    text_is(m, "config", "features-in = 10\nhidden = 16\noutputs = 69\n");
    mambaint_model_unref(m);
    mambaint_options_free(o);
    tiny_free(&t);
}
END_TEST

/* ---- files ---- */

START_TEST(presets_bring_their_architecture)
{
    static const struct {
        const char *preset, *hidden;
    } cases[] = {{"simple", "hidden = 16"},
                 {"simple-rwkv", "hidden = 16"},
                 {"simple-mamba", "hidden = 24"},
                 {"simple-xlstm", "hidden = 20"}};

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        char config[128];
        mambaint_model *m;
        struct tiny t;

        tiny_make(&t, tiny_options("preset", cases[i].preset, NULL));
        m = tiny_open(&t, NULL);
        OK(mambaint_model_text(config, sizeof(config), NULL, m, "config"));
        ck_assert(strstr(config, cases[i].hidden));
        OK(mambaint_artefact_check(config, sizeof(config), NULL, t.path, NULL));
        ck_assert_str_eq(config, "model");
        mambaint_model_unref(m);
        tiny_free(&t);
    }
}
END_TEST

/* Random weights use the range of their bytes without sticking to its ends. */
START_TEST(synthetic_weights_are_spread)
{
    struct mbi_container *file;
    struct mbi_model *m;
    struct mbi_host host;
    struct tiny t;

    mbi_host_default(&host);
    tiny_make(&t, tiny_options("preset", "simple", "hidden", "200", "features-in", "40", NULL));
    OK(mbi_container_open_memory(&file, &host, t.bytes, t.size, 0, NULL));
    OK(mbi_model_create(&m, &host, file, NULL));
    for (uint32_t p = 0; p < 4; p += 2) {
        const int8_t *w = m->param[p];
        const size_t n = mbi_param_size(&m->graph->param[p]);
        double sum = 0;
        size_t ends = 0;

        for (size_t i = 0; i < n; i++) {
            sum += w[i] * w[i];
            ends += w[i] == 127 || w[i] == -127;
        }
        test_that(fabs(sum / (double)n - 44.8 * 44.8) <= 200); /* 0.35 of 2^7 */
        ck_assert_uint_lt(ends, n / 50);
    }
    mbi_model_free(m);
    tiny_free(&t);
}
END_TEST

/* A container of the model with one further key of text, if any, opened as a model. */
static int32_t open_with_key(const struct wild *w, const char *key, uint8_t digest[MBI_DIGEST_SIZE],
                             mambaint_error *err)
{
    struct mbi_container_writer *writer;
    struct mbi_container *file;
    struct mbi_buf bytes;
    struct mbi_model *m;
    int32_t rc;

    OK(mbi_container_writer_create(&writer, &w->host, NULL));
    mbi_container_add_text(writer, "general.architecture", "simple", 6);
    mbi_container_add_u32(writer, "mambaint.arithmetic", 1);
    mbi_config_write(writer, &w->config);
    if (key)
        mbi_container_add_text(writer, key, "gpt2", 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct mbi_type *t = &w->graph->param[i].type;

        mbi_container_add_tensor(writer, w->graph->param[i].name,
                                 t->dtype == MBI_I8 ? MBI_TENSOR_I8 : MBI_TENSOR_I16,
                                 t->dtype == MBI_I8 ? t->rows : 0, t->cols, w->param[i]);
    }
    mbi_buf_init(&bytes, &w->host);
    OK(mbi_container_save_memory(writer, &bytes, NULL));
    mbi_container_writer_free(writer);
    OK(mbi_container_open_memory(&file, &w->host, bytes.data, bytes.size, 0, NULL));
    mbi_buf_free(&bytes);
    if ((rc = mbi_model_create(&m, &w->host, file, err)) >= 0) {
        OK(mbi_model_digest(digest, m, NULL));
        mbi_model_free(m);
    }
    return rc;
}

START_TEST(a_tokenizer_is_where_text_is)
{
    static const char *const keys[] = {"tokenizer.ggml.model", "tokenizer.other",
                                       "mambaint.role.end", "mambaint.unicode", "simple.other"};
    uint8_t digest[MBI_DIGEST_SIZE];
    struct mbi_model_parts parts = {.name = NULL};
    struct mbi_container *file;
    mambaint_error err = {0, ""};
    struct mbi_model *m;
    struct test_random r;
    struct wild w;
    struct tiny t;

    test_random_init(&r, "a_tokenizer_is_where_text_is");
    wild_make(&w, 3, 4, 3, &r);
    OK(open_with_key(&w, NULL, digest, NULL));
    OK(open_with_key(&w, "somebody.else", digest, NULL));
    for (size_t i = 0; i < MBI_COUNT(keys); i++) {
        ck_assert_int_eq(open_with_key(&w, keys[i], digest, &err), MAMBAINT_E_FORMAT);
        ck_assert(strstr(err.message, keys[i]));
    }
    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    OK(mbi_container_open_memory(&file, &w.host, t.bytes, t.size, 0, NULL));
    OK(mbi_model_create(&m, &w.host, file, NULL));
    parts.config = &m->config;
    parts.graph = m->graph;
    parts.param = m->param;
    OK(mbi_model_save(&w.host, w.path, &parts, NULL)); /* text without a tokenizer */
    OK(mbi_container_open(&file, &w.host, w.path, 0, NULL));
    mbi_model_free(m);
    ck_assert_int_eq(mbi_model_create(&m, &w.host, file, &err), MAMBAINT_E_FORMAT);
    ck_assert(strstr(err.message, "tokenizer"));
    tiny_free(&t);
    wild_free(&w);
}
END_TEST

/* docs/container.md, "Model digest": 32 zero bytes stand where the tokenizer's digest would. */
START_TEST(the_digest_has_zeros_for_the_tokenizer)
{
    static const uint32_t by_name[] = {1, 0, 3, 2}; /* "hidden.bias" first */
    uint8_t want[MBI_DIGEST_SIZE], got[MBI_DIGEST_SIZE], hash[MBI_DIGEST_SIZE] = {0};
    struct mbi_blake2b s;
    struct test_random r;
    struct wild w;

    test_random_init(&r, "the_digest_has_zeros_for_the_tokenizer");
    wild_make(&w, 3, 4, 3, &r);
    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, w.graph->digest, MBI_DIGEST_SIZE);
    mbi_blake2b_add(&s, hash, MBI_DIGEST_SIZE);
    for (size_t k = 0; k < 4; k++) {
        const struct mbi_param *p = &w.graph->param[by_name[k]];
        const size_t size = mbi_param_size(p), width = mbi_dtype_size(p->type.dtype);
        uint8_t bytes[64], length[8];

        ck_assert_uint_le(size, sizeof(bytes));
        mbi_copy_le(bytes, w.param[by_name[k]], size / width, width);
        mbi_blake2b(hash, bytes, size);
        mbi_store64(length, strlen(p->name));
        mbi_blake2b_add(&s, length, sizeof(length));
        mbi_blake2b_add(&s, p->name, strlen(p->name));
        mbi_blake2b_add(&s, hash, MBI_DIGEST_SIZE);
    }
    mbi_blake2b_end(&s, want);
    OK(open_with_key(&w, NULL, got, NULL));
    ck_assert_mem_eq(got, want, MBI_DIGEST_SIZE);
    OK(mambaint_model_digest(got, w.model));
    ck_assert_mem_eq(got, want, MBI_DIGEST_SIZE);
    wild_free(&w);
}
END_TEST

/* ---- memory ---- */

static int32_t open_and_evaluate(const struct mbi_host *host, void *arg)
{
    const struct tiny *t = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_options *o = tiny_options("features", "1,2,3", NULL);
    mambaint_model *m[2] = {NULL};
    int32_t out[3];
    int32_t rc = ctx ? mambaint_model_open_memory(&m[0], ctx, t->bytes, t->size, NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    m[1] = m[0];
    if (rc >= 0)
        rc = mambaint_model_evaluate(out, 3, NULL, m, 2, o, NULL);
    if (rc >= 0)
        rc = mambaint_model_features(out, 3, NULL, m[0], o, NULL);
    mambaint_model_unref(m[0]);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

START_TEST(refused_memory_leaves_nothing)
{
    struct tiny t;

    tiny_make(&t, tiny_options("preset", "simple", "features-in", "3", "outputs", "3", NULL));
    ck_assert_uint_gt(test_refuse_each(open_and_evaluate, &t), 20);
    tiny_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("features");
    TCase *t = tcase_create("features");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, decimals_become_the_nearest_integer);
    tcase_add_test(t, every_sixty_fourth_is_right);
    tcase_add_test(t, lists_have_exactly_as_many_numbers);
    tcase_add_test(t, junk_is_refused);
    tcase_add_test(t, a_link_is_canonical_where_there_is_one);
    tcase_add_test(t, links_are_values);
    tcase_add_test(t, a_link_is_kept_where_kernels_do_several_nodes);
    tcase_add_test(t, outputs_equal_the_text);
    tcase_add_test(t, chains_hand_on_what_the_next_takes);
    tcase_add_test(t, models_that_do_not_fit_are_refused);
    tcase_add_test(t, too_little_room_stores_the_need_alone);
    tcase_add_test(t, nothing_of_text_takes_them);
    tcase_add_test(t, presets_bring_their_architecture);
    tcase_add_test(t, synthetic_weights_are_spread);
    tcase_add_test(t, a_tokenizer_is_where_text_is);
    tcase_add_test(t, the_digest_has_zeros_for_the_tokenizer);
    tcase_add_test(t, refused_memory_leaves_nothing);
    suite_add_tcase(s, t);
    return test_main(s);
}

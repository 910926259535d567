/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trainer: masters and their integers, data and masks, the gradient of a whole model, and runs
 * that are the same bytes for any number of threads and across stop and resume.
 */
#include "base/philox.h"
#include "op/op_list.h"
#include "tiny.h"
#include "train/data.h"
#include "train/jsonl.h"
#include "train/optim.h"
#include "train/tape.h"
#include "train/trainer.h"
#include "arch/arch.h"
#include <mambaint/train.h>
#include <math.h>
#if MBI_HAVE_LZMA
#include <lzma.h>
#endif

static mambaint_error err;

#define OK_(call) ck_assert_msg((call) >= 0, "%s", err.message)

/* A host on malloc with this many threads. */
static struct mbi_host *host_with(uint32_t threads)
{
    struct mbi_host *host = calloc(1, sizeof(*host));

    mbi_host_default(host);
    OK_(mbi_pool_create(&host->pool, host, threads, &err));
    return host;
}

static void host_free(struct mbi_host *host)
{
    mbi_pool_free(host, host->pool);
    free(host);
}

/* ---- quantisation ---- */

enum { ROWS_WEIGHT = 2, TERNARY_WEIGHT = 5, FIXED_WEIGHT = 6, N_PARAMS = 7 };

/* A bare table of parameters: what quantisation reads of a graph. */
static void weights_graph(struct mbi_graph *g, struct mbi_param p[N_PARAMS], uint32_t rows,
                          uint32_t cols)
{
    memset(p, 0, N_PARAMS * sizeof(*p));
    for (int i = 0; i < N_PARAMS; i++) {
        p[i].exponent = p[i].scale = MBI_NONE;
        p[i].quant = MBI_QUANT_DERIVED;
        p[i].type = (struct mbi_type){MBI_I8, 0, 1, 1, 4, 40};
    }
    p[1].type = (struct mbi_type){MBI_I8, 0, 1, rows, -8, 15};
    p[ROWS_WEIGHT].type = (struct mbi_type){MBI_I8, 0, rows, cols, -127, 127};
    p[ROWS_WEIGHT].quant = MBI_QUANT_ROWS;
    p[ROWS_WEIGHT].exponent = 1;
    p[4].type = (struct mbi_type){MBI_I16, 0, 1, 1, 16384, 32767};
    p[TERNARY_WEIGHT].type = (struct mbi_type){MBI_TERNARY, 0, rows, cols, -1, 1};
    p[TERNARY_WEIGHT].quant = MBI_QUANT_TERNARY;
    p[TERNARY_WEIGHT].exponent = 3;
    p[TERNARY_WEIGHT].scale = 4;
    p[FIXED_WEIGHT].type = (struct mbi_type){MBI_I16, 8, rows, cols, -32767, 32767};
    p[FIXED_WEIGHT].quant = MBI_QUANT_FIXED;
    *g = (struct mbi_graph){.param = p, .n_params = N_PARAMS};
}

static float *random_floats(struct test_random *r, size_t n, float scale)
{
    float *w = malloc(n * sizeof(*w));

    for (size_t i = 0; i < n; i++)
        w[i] = scale * (float)test_random_between(r, -1000000, 1000000) / 1e6f;
    return w;
}

/* The exponent is the largest in its range that keeps the row within 127, and no weight is further
 * than half a unit from its integer. */
START_TEST(rows_get_the_largest_exponent_that_fits)
{
    enum { ROWS = 40, COLS = 37 };
    struct mbi_param p[N_PARAMS];
    struct mbi_graph g;
    struct test_random r;
    struct mbi_host *host = host_with(3);
    void **q;
    float *w, real[ROWS * COLS];

    test_random_init(&r, "rows");
    weights_graph(&g, p, ROWS, COLS);
    w = random_floats(&r, ROWS * COLS, 1);
    for (int i = 0; i < ROWS; i++) /* from far below to far above what exponents can reach */
        for (int k = 0; k < COLS; k++)
            w[i * COLS + k] = ldexpf(w[i * COLS + k], i - 22);
    w[3 * COLS] = NAN;
    OK_(mbi_params_create(&q, host, &g, &err));
    mbi_quantise(q, real, host, &g, ROWS_WEIGHT, w);
    for (int i = 0; i < ROWS; i++) {
        const int e = ((int8_t *)q[1])[i];
        double most = 0;

        for (int k = 0; k < COLS; k++)
            most = fmax(most, isnan(w[i * COLS + k]) ? 0 : fabs((double)w[i * COLS + k]));
        ck_assert_int_ge(e, -8);
        ck_assert_int_le(e, 15);
        ck_assert(e == -8 || ldexp(most, e) <= 127);
        ck_assert(e == 15 || ldexp(most, e + 1) > 127);
        for (int k = 0; k < COLS; k++) {
            const int v = ((int8_t *)q[ROWS_WEIGHT])[i * COLS + k];

            ck_assert_int_le(abs(v), 127);
            ck_assert(real[i * COLS + k] == ldexpf((float)v, -e));
            if (!isnan(w[i * COLS + k]) && ldexp(most, e) <= 127)
                ck_assert(fabs(ldexp((double)w[i * COLS + k], e) - v) <= 0.5);
        }
    }
    mbi_params_free(host, &g, q);
    free(w);
    host_free(host);
}
END_TEST

START_TEST(fixed_point_rounds_and_clamps)
{
    const float w[] = {0, 1, -1, 0.001953125f * 3, 127.99f, 1000, -1000, NAN, INFINITY};
    const int16_t want[] = {0, 256, -256, 2, 32765, 32767, -32767, -32767, 32767};
    struct mbi_param p[N_PARAMS];
    struct mbi_graph g;
    struct mbi_host *host = host_with(1);
    float real[9];
    void **q;

    weights_graph(&g, p, 1, 9);
    OK_(mbi_params_create(&q, host, &g, &err));
    mbi_quantise(q, real, host, &g, FIXED_WEIGHT, w);
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(((int16_t *)q[FIXED_WEIGHT])[i], want[i]);
        ck_assert(real[i] == (float)want[i] / 256);
    }
    mbi_params_free(host, &g, q);
    host_free(host);
}
END_TEST

static int trit(const uint8_t *row, size_t k) { return (row[k / 4] >> (2 * (k % 4)) & 3) - 1; }

START_TEST(ternary_weights_are_packed_with_the_mean_as_scale)
{
    enum { ROWS = 9, COLS = 7 };
    struct mbi_param p[N_PARAMS];
    struct mbi_graph g;
    struct test_random r;
    struct mbi_host *host = host_with(2);
    double mean = 0, unit;
    float *w, real[ROWS * COLS];
    void **q;

    test_random_init(&r, "ternary");
    weights_graph(&g, p, ROWS, COLS);
    w = random_floats(&r, ROWS * COLS, 0.3f);
    for (int i = 0; i < ROWS * COLS; i++)
        mean += fabs((double)w[i]) / (ROWS * COLS);
    OK_(mbi_params_create(&q, host, &g, &err));
    mbi_quantise(q, real, host, &g, TERNARY_WEIGHT, w);
    ck_assert_int_ge(*(int16_t *)q[4], 1 << 14);
    unit = ldexp(*(int16_t *)q[4], -*(int8_t *)q[3]);
    ck_assert(fabs(unit / mean - 1) < 1.0 / (1 << 14));
    for (size_t i = 0; i < ROWS; i++) {
        const uint8_t *row = (uint8_t *)q[TERNARY_WEIGHT] + 2 * i; /* 7 elements: 2 bytes */

        for (size_t k = 0; k < COLS; k++) {
            const double x = (double)w[i * COLS + k] / mean;

            ck_assert_int_eq(trit(row, k), x > 0.5 ? 1 : x < -0.5 ? -1 : 0);
            ck_assert(real[i * COLS + k] == (float)(trit(row, k) * unit));
        }
        ck_assert_int_eq(row[1] >> 6, 1); /* padding stands for 0 */
    }
    mbi_params_free(host, &g, q);
    free(w);
    host_free(host);
}
END_TEST

START_TEST(ternary_scale_survives_extreme_means)
{
    static const float scale[] = {0, 1e-38f, 1e-6f, 1, 1e6f, 1e38f};
    struct mbi_param p[N_PARAMS];
    struct mbi_graph g;
    struct test_random r;
    struct mbi_host *host = host_with(1);

    test_random_init(&r, "extreme means");
    weights_graph(&g, p, 4, 8);
    for (size_t i = 0; i < 6; i++) {
        float *w = random_floats(&r, 32, scale[i]);
        void **q;

        OK_(mbi_params_create(&q, host, &g, &err));
        mbi_quantise(q, NULL, host, &g, TERNARY_WEIGHT, w);
        ck_assert_int_ge(*(int16_t *)q[4], 1 << 14);
        ck_assert_int_ge(*(int8_t *)q[3], 4);
        ck_assert_int_le(*(int8_t *)q[3], 40);
        mbi_params_free(host, &g, q);
        free(w);
    }
    host_free(host);
}
END_TEST

/* ---- first weights ---- */

static struct mbi_graph *graph_of(const struct mbi_host *host, const char *const *flags)
{
    struct mbi_config c;
    struct mbi_graph *g;
    bool known;

    mbi_config_init(&c, mbi_arch_at(0));
    OK_(mbi_config_preset(&c, "mi-tiny", &err));
    for (; flags && *flags; flags += 2)
        OK_(mbi_config_set(&c, flags[0], flags[1], &known, &err));
    OK_(c.arch->resolve(&c, true, &err));
    OK_(mbi_arch_graph(&g, host, &c, &err));
    return g;
}

static void moments(const float *w, size_t n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
    }
    *mean = sum / (double)n;
    *deviation = sqrt(squares / (double)n);
}

/* Bands of the input projection: 1, 0.3 for the decays, 0.1 for the turns. */
START_TEST(first_weights_have_the_stated_spread)
{
    const char *const flags[] = {"d-model",        "128", "heads", "8", "d-state", "64",
                                 "rotation-pairs", "8",   NULL};
    const struct mbi_init_settings set = {7, 512, MBI_DECAY_OCTAVES};
    struct mbi_host *host = host_with(2);
    struct mbi_graph *g = graph_of(host, flags);
    const uint32_t in = mbi_graph_find_param(g, "blk.0.ssm_in.weight");
    const uint32_t rows = g->param[in].type.rows;
    float *w = malloc((size_t)rows * 128 * sizeof(*w)), *again = malloc((size_t)rows * 128 * 4);
    struct mbi_host *alone = host_with(1);
    double mean, deviation;

    mbi_init_param(w, host, g, in, &set);
    mbi_init_param(again, alone, g, in, &set);
    test_same_bytes(again, w, (size_t)rows * 128 * sizeof(*w));
    moments(w, (size_t)(rows - 16) * 128, &mean, &deviation);
    ck_assert(fabs(mean) < 0.002 && fabs(deviation * sqrt(128) - 1) < 0.02);
    moments(w + (size_t)(rows - 16) * 128, (size_t)8 * 128, &mean, &deviation);
    ck_assert(fabs(deviation * sqrt(128) / 0.3 - 1) < 0.1);
    moments(w + (size_t)(rows - 8) * 128, (size_t)8 * 128, &mean, &deviation);
    ck_assert(fabs(deviation * sqrt(128) / 0.1 - 1) < 0.1);
    free(w);
    free(again);
    mbi_graph_free(g);
    host_free(host);
    host_free(alone);
}
END_TEST

START_TEST(decays_start_log_uniform_or_in_arithmetic_progression)
{
    const char *const flags[] = {"heads", "5", NULL};
    const struct mbi_init_settings octaves = {0, 256, MBI_DECAY_OCTAVES};
    const struct mbi_init_settings hippo = {0, 256, MBI_DECAY_HIPPO};
    const struct mbi_init_settings longer = {0, 1 << 20, MBI_DECAY_OCTAVES};
    struct mbi_host *host = host_with(1);
    struct mbi_graph *g = graph_of(host, flags);
    const uint32_t bias = mbi_graph_find_param(g, "blk.1.ssm_dt.bias");
    float w[5];

    mbi_init_param(w, host, g, bias, &octaves);
    for (int h = 0; h < 5; h++)
        ck_assert(fabsf(w[h] + 2 * (float)h) < 1e-6f); /* half-lives 1, 4, 16, 64, 256 */
    mbi_init_param(w, host, g, bias, &hippo);
    for (int h = 0; h < 5; h++)
        ck_assert(fabs(exp2((double)w[h]) * 256 - (h + 1)) < 1e-4); /* 256, 128, 85.3, 64, 51.2 */
    mbi_init_param(w, host, g, bias, &longer);
    ck_assert(fabsf(w[4] + 11) < 1e-6f); /* the parameter's own limit */
    mbi_graph_free(g);
    host_free(host);
}
END_TEST

/* ---- data ---- */

/* Special tokens and bytes only: byte b has id 16 + b. */
static struct mbi_tokenizer *byte_tokenizer(const struct mbi_host *host)
{
    struct mbi_tokenizer_trainer *tr;
    struct mbi_tokenizer *t;

    OK_(mbi_tokenizer_trainer_create(&tr, host, MBI_PRE_GPT2, &err));
    OK_(mbi_tokenizer_trainer_build(&t, tr, 272, NULL, NULL, &err));
    mbi_tokenizer_trainer_free(tr);
    return t;
}

enum { EOT = 0, SYSTEM = 1, USER = 2, ASSISTANT = 3, END = 4 };

START_TEST(the_order_of_windows_is_a_permutation)
{
    struct test_random r;

    test_random_init(&r, "permutation");
    for (uint64_t n = 1; n < 300; n += n < 20 ? 1 : 31) {
        const uint64_t seed = test_random_u64(&r), pass = test_random_below(&r, 1000);
        uint8_t seen[300] = {0};

        for (uint64_t k = 0; k < n; k++) {
            const uint64_t at = mbi_permute(k, n, seed, 3, pass);

            ck_assert_uint_lt(at, n);
            ck_assert(!seen[at]);
            seen[at] = 1;
        }
    }
    ck_assert_uint_lt(mbi_permute(123456789, (uint64_t)1 << 40, 5, 0, 9), (uint64_t)1 << 40);
}
END_TEST

static struct mbi_source *source_of(const struct mbi_host *host, const struct mbi_tokenizer *t,
                                    enum mbi_data_kind kind, const char *text, uint32_t context)
{
    struct mbi_source *s = NULL;
    const int32_t rc =
        mbi_source_create(&s, host, t, kind, text, strlen(text), "test.data", context, &err);

    return rc < 0 ? NULL : s;
}

START_TEST(text_is_a_ring_of_documents)
{
    struct mbi_host *host = host_with(1);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    struct mbi_source *s =
        source_of(host, t, MBI_DATA_TEXT, "ab\n<|endoftext|>\ncd\ne\n<|endoftext|>\n", 4);
    const int32_t want[] = {EOT, 16 + 'a', 16 + 'b', EOT, 16 + 'c', 16 + 'd', 16 + '\n', 16 + 'e'};

    ck_assert_uint_eq(s->n, 8);
    ck_assert_uint_eq(s->n_windows, 2);
    test_same_bytes(s->input, want, sizeof(want));
    mbi_source_free(s);
    ck_assert_ptr_null(source_of(host, t, MBI_DATA_TEXT, "", 4));
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

/* Text with a running number, so that every place of it is different. */
static char *long_text(size_t documents)
{
    char *text = malloc(documents * 64 + 1), *at = text;

    for (size_t i = 0; i < documents; i++)
        at += sprintf(at, "document %zu of many\n<|endoftext|>\n", i);
    return text;
}

/* One pass shows every token at least once; tokens that the last window repeats are fewer than a
 * window. What follows what is never changed. */
START_TEST(a_pass_over_text_covers_every_token)
{
    enum { CONTEXT = 16, BATCH = 4 };
    struct mbi_host *host = host_with(2);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    char *text = long_text(50);
    struct mbi_mix mix = {
        .n_sources = 1, .seed = 3, .batch = BATCH, .context = CONTEXT, .weight_q16 = {1 << 16}};
    int32_t input[BATCH * CONTEXT], target[BATCH * CONTEXT];
    float weight[BATCH * CONTEXT];
    struct mbi_source *s = mix.source[0] = source_of(host, t, MBI_DATA_TEXT, text, CONTEXT);
    uint32_t *seen = calloc(s->n, sizeof(*seen)), repeated = 0;

    /* Mark each token by its place, so that a window tells where it came from. */
    for (size_t i = 0; i < s->n; i++)
        s->input[i] = (int32_t)i;
    for (uint64_t step = 0; step * BATCH < s->n_windows; step++) {
        mbi_mix_fill(&mix, step, input, target, weight);
        for (size_t i = 0; i < BATCH * CONTEXT; i++) {
            ck_assert_int_eq(target[i], (input[i] + 1) % (int32_t)s->n);
            ck_assert(weight[i] == 1);
            if (i % CONTEXT)
                ck_assert_int_eq(input[i], target[i - 1]);
            if (step * BATCH + i / CONTEXT < s->n_windows)
                seen[target[i]]++;
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        ck_assert_uint_ge(seen[i], 1);
        repeated += seen[i] - 1;
    }
    ck_assert_uint_lt(repeated, CONTEXT);
    free(seen);
    free(text);
    mbi_mix_clear(&mix);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

START_TEST(encoding_does_not_depend_on_threads)
{
    char *text = long_text(30000); /* several groups */
    uint8_t digest[MBI_DIGEST_SIZE];
    size_t n = 0;

    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct mbi_host *host = host_with(threads);
        struct mbi_tokenizer *t = byte_tokenizer(host);
        struct mbi_source *s = source_of(host, t, MBI_DATA_TEXT, text, 64);

        if (threads == 1)
            memcpy(digest, s->digest, sizeof(digest));
        test_same_bytes(s->digest, digest, sizeof(digest));
        ck_assert(n == 0 || n == s->n);
        n = s->n;
        mbi_source_free(s);
        mbi_tokenizer_unref(t);
        host_free(host);
    }
    ck_assert_uint_gt(n, 30000 * 18);
    free(text);
}
END_TEST

/* What a step gets depends on the step alone: forwards, backwards, after a jump. */
START_TEST(batches_depend_on_the_step_alone)
{
    enum { CONTEXT = 8, BATCH = 3, STEPS = 40 };
    struct mbi_host *host = host_with(1);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    char *text = long_text(20), *other = long_text(7);
    struct mbi_mix mix = {.n_sources = 2,
                          .seed = 11,
                          .batch = BATCH,
                          .context = CONTEXT,
                          .weight_q16 = {3 << 16, 1 << 16}};
    static int32_t input[STEPS][BATCH * CONTEXT], target[BATCH * CONTEXT], now[BATCH * CONTEXT];
    static float weight[BATCH * CONTEXT];
    size_t second = 0;

    mix.source[0] = source_of(host, t, MBI_DATA_TEXT, text, CONTEXT);
    mix.source[1] = source_of(host, t, MBI_DATA_TEXT, other, CONTEXT);
    for (uint64_t s = 0; s < STEPS; s++)
        mbi_mix_fill(&mix, s, input[s], target, weight);
    for (uint64_t k = 0; k < STEPS; k++) {
        const uint64_t s = k * 7 % STEPS;

        mbi_mix_fill(&mix, s, now, target, weight);
        test_same_bytes(now, input[s], sizeof(now));
    }
    mbi_mix_fill(&mix, 4000, now, target, weight);
    second = (size_t)mix.drawn[1]; /* a quarter of 12003 draws */
    ck_assert_uint_eq(mix.drawn[0] + mix.drawn[1], 4001 * BATCH);
    ck_assert_uint_gt(second, 2800);
    ck_assert_uint_lt(second, 3200);
    mbi_mix_clear(&mix);
    free(text);
    free(other);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

#if MBI_HAVE_JANSSON
struct expected {
    const char *line;
    size_t n;
    int32_t id[32];
    uint8_t loss[32]; /* of predicting id[i], so of the position before it */
};

/* clang-format off */
static const struct expected expected[] = {
    {"{\"instruction\":\"a\",\"input\":\"\",\"output\":\"bc\"}", 8,
     {EOT, USER, 16 + 'a', END, ASSISTANT, 16 + 'b', 16 + 'c', END}, {0, 0, 0, 0, 0, 1, 1, 1}},
    {"{\"instruction\":\"a\",\"input\":\"x\",\"output\":\"b\",\"output2\":\"no\"}", 10,
     {EOT, USER, 16 + 'a', 16 + '\n', 16 + '\n', 16 + 'x', END, ASSISTANT, 16 + 'b', END},
     {0, 0, 0, 0, 0, 0, 0, 0, 1, 1}},
    {"{\"system\":\"s\",\"turns\":[\"q\",\"r\",\"<|user|>\",\"\",\"left out\"]}", 22,
     {EOT, SYSTEM, 16 + 's', END, USER, 16 + 'q', END, ASSISTANT, 16 + 'r', END, USER,
      16 + '<', 16 + '|', 16 + 'u', 16 + 's', 16 + 'e', 16 + 'r', 16 + '|', 16 + '>', END,
      ASSISTANT, END},
     {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
};
/* clang-format on */

START_TEST(answers_alone_count_in_the_loss)
{
    const struct expected *want = &expected[_i];
    struct mbi_host *host = host_with(1);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    struct mbi_source *s = source_of(host, t, MBI_DATA_JSONL, want->line, 64);

    ck_assert_msg(s != NULL, "%s", err.message);
    ck_assert_uint_eq(s->n, want->n);
    ck_assert_uint_eq(s->n_windows, 1);
    test_same_bytes(s->input, want->id, want->n * sizeof(*want->id));
    test_same_bytes(s->target, want->id + 1, (want->n - 1) * sizeof(*want->id));
    test_same_bytes(s->loss, want->loss + 1, want->n - 1);
    ck_assert_int_eq(s->loss[want->n - 1], 0);
    mbi_source_free(s);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

/* Whole conversations share windows as long as they fit; what is left of one does not count. */
START_TEST(conversations_are_packed_whole)
{
    enum { CONTEXT = 20 };
    const char *text = "{\"instruction\":\"aaaaa\",\"output\":\"bbbbbb\"}\n" /* 16 tokens */
                       "{\"instruction\":\"c\",\"output\":\"d\"}\n"          /* 7 */
                       "\n"
                       "{\"instruction\":\"eeeee\",\"output\":\"\"}\n" /* 10 */
                       "{\"instruction\":\"f\",\"output\":\"ggggggggggggggggggggggggggg\"}";
    struct mbi_host *host = host_with(2);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    struct mbi_mix mix = {.n_sources = 1, .batch = 1, .context = CONTEXT, .weight_q16 = {1}};
    struct mbi_source *s = mix.source[0] = source_of(host, t, MBI_DATA_JSONL, text, CONTEXT);
    size_t counted = 0, first_is_eot = 0;

    ck_assert_msg(s != NULL, "%s", err.message);
    ck_assert_uint_eq(s->n_windows, 3); /* 33 cut to 21, 16, 7 + 10 */
    ck_assert_uint_eq(s->n_cut, 1);
    for (uint64_t step = 0; step < 3; step++) {
        int32_t input[CONTEXT], target[CONTEXT];
        float weight[CONTEXT];

        mbi_mix_fill(&mix, step, input, target, weight);
        first_is_eot += input[0] == EOT;
        for (int i = 0; i < CONTEXT; i++) {
            counted += weight[i] > 0;
            ck_assert(weight[i] == 0 || (target[i] >= 16 || target[i] == END));
            if (i + 1 < CONTEXT)
                ck_assert_int_eq(target[i], input[i + 1]);
        }
    }
    ck_assert_uint_eq(first_is_eot, 3);
    /* 6 + 1, 1 + 1, 0 + 1, and of the cut one: 20 targets less 4 tokens of the user's turn. */
    ck_assert_uint_eq(counted, 7 + 2 + 1 + 16);
    mbi_mix_clear(&mix);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

START_TEST(ids_and_targets_are_taken_as_they_are)
{
    const char *text = "{\"ids\":[1,2,3],\"targets\":[-1,9,-1]}\n{\"ids\":[5],\"targets\":[6]}\n";
    struct mbi_host *host = host_with(1);
    struct mbi_tokenizer *t = byte_tokenizer(host);
    struct mbi_mix mix = {.n_sources = 1, .batch = 2, .context = 4, .weight_q16 = {1}};
    struct mbi_source *s = mix.source[0] = source_of(host, t, MBI_DATA_JSONL, text, 4);
    const int32_t three[] = {1, 2, 3, EOT}, one[] = {5, EOT, EOT, EOT};
    int32_t input[8], target[8];
    float weight[8];

    ck_assert_uint_eq(s->n_windows, 2);
    mbi_mix_fill(&mix, 0, input, target, weight);
    for (size_t w = 0; w < 8; w += 4) {
        const bool first = input[w] == 1;

        test_same_bytes(input + w, first ? three : one, sizeof(three));
        for (size_t i = 0; i < 4; i++)
            ck_assert(weight[w + i] == (i == (first ? 1 : 0) ? 1.0f : 0.0f));
        ck_assert_int_eq(target[w + first], first ? 9 : 6);
    }
    mbi_mix_clear(&mix);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST

static const char *const bad_lines[] = {
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{]\n",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"instruction\":1,\"output\":\"b\"}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"turns\":[\"a\"]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"turns\":[\"a\",2]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n[1]",
    ("{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"instruction\":\"a\",\"instruction\":\"a\","
     "\"output\":\"\"}"),
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"ids\":[272],\"targets\":[0]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"ids\":[1,2],\"targets\":[0]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"ids\":[1],\"targets\":[-2]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"ids\":[1.5],\"targets\":[1]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n\n{\"instruction\":\"a\",\"output\":\"\xff\"}",
};

START_TEST(a_bad_line_is_named)
{
    struct mbi_host *host = host_with(1);
    struct mbi_tokenizer *t = byte_tokenizer(host);

    ck_assert_ptr_null(source_of(host, t, MBI_DATA_JSONL, bad_lines[_i], 64));
    ck_assert_int_eq(err.code, MAMBAINT_E_FORMAT);
    ck_assert_msg(strstr(err.message, "line 3") != NULL, "%s", err.message);
    mbi_tokenizer_unref(t);
    host_free(host);
}
END_TEST
#endif

/* ---- files ---- */

#if MBI_HAVE_SODIUM && MBI_HAVE_LZMA
START_TEST(files_are_found_checked_and_unpacked)
{
    static const uint8_t abc[] = /* SHA-256 of "abc", FIPS 180-2 */
        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
    struct mbi_host *host = host_with(1);
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_text text;
    uint8_t packed[256];
    size_t size = 0;

    test_dir_make(dir);
    test_path(path, dir, "plain.txt");
    test_file_write(path, "abc", 3);
    OK_(mbi_text_open(&text, host, dir, "plain.txt", abc, &err));
    ck_assert_uint_eq(text.size, 3);
    mbi_text_close(&text);
    ck_assert_int_eq(mbi_text_open(&text, host, dir, "plain.txt", packed, &err),
                     MAMBAINT_E_MISMATCH);
    mbi_text_close(&text);
    ck_assert_int_eq(mbi_text_open(&text, host, dir, "none.txt", NULL, &err), MAMBAINT_E_IO);
    mbi_text_close(&text);

    ck_assert_int_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL,
                                             (const uint8_t *)"packed text", 11, packed, &size,
                                             sizeof(packed)),
                     LZMA_OK);
    test_path(path, dir, "packed.txt.xz");
    test_file_write(path, packed, size);
    OK_(mbi_text_open(&text, host, dir, "packed.txt", NULL, &err));
    ck_assert_uint_eq(text.size, 11);
    test_same_bytes(text.data, "packed text", 11);
    mbi_text_close(&text);
    for (size_t n = 0; n < size; n++) { /* every truncation is refused */
        test_file_write(path, packed, n);
        ck_assert_int_lt(mbi_text_open(&text, host, dir, "packed.txt", NULL, &err), 0);
        mbi_text_close(&text);
    }
    for (size_t i = 0; i < size; i++) { /* and every flipped byte */
        packed[i] ^= 0x10;
        test_file_write(path, packed, size);
        ck_assert_int_eq(mbi_text_open(&text, host, dir, "packed.txt", NULL, &err),
                         MAMBAINT_E_FORMAT);
        mbi_text_close(&text);
        packed[i] ^= 0x10;
    }
    test_dir_remove(dir);
    host_free(host);
}
END_TEST
#endif

/* ---- a float run's integers ---- */

static void fill_counting(void *self, uint64_t step, int32_t *input, int32_t *target, float *weight)
{
    (void)self;
    for (size_t i = 0; i < 8; i++) {
        input[i] = (int32_t)((step + i) % 20);
        target[i] = (int32_t)((step + i + 1) % 20);
        weight[i] = 1;
    }
}

/* Logits of one token under the trainer's weights on the best backend. */
static void logits_of(int32_t logits[20], struct mbi_trainer *tr, const struct mbi_host *host,
                      const struct mbi_graph *graph, const struct mbi_backend *backend)
{
    struct mbi_weights *weights = mbi_trainer_weights(tr, &err);
    struct mbi_program *program;
    struct mbi_memory *memory;
    struct mbi_image *image;
    int32_t id = 7;

    ck_assert_ptr_nonnull(weights);
    OK_(mbi_program_create(&program, host, graph, 1, 1, false, &err));
    OK_(backend->image_new(&image, program, weights, &err));
    OK_(backend->memory_new(&memory, program, &err));
    OK_(backend->run(image, &(struct mbi_batch){&(struct mbi_run){memory, 0, &id, 1}, 1, true},
                     &err));
    OK_(backend->peek(logits, image, graph->logits, 0, 1, &err));
    backend->memory_free(memory);
    backend->image_free(image);
    mbi_program_free(program);
}

/* Whoever asks for the parameters first, the backend gets the same ones. */
START_TEST(weights_follow_the_parameters_of_a_float_run)
{
    static const char *const flags[] = {"d-model", "16", "heads",     "2",   "head-dim", "8",
                                        "d-state", "8",  "layers",    "1",   "vocab",    "20",
                                        "chunk",   "4",  "tied-head", "off", NULL};
    const struct mbi_batch_source source = {fill_counting, NULL};
    const struct mbi_trainer_settings set = {.batch = 2,
                                             .context = 4,
                                             .steps = 3,
                                             .warmup = 1,
                                             .rate_q40 = (uint64_t)1 << 38,
                                             .clip_q40 = (uint64_t)1 << 40,
                                             .beta1_q40 = (uint64_t)9 << 36,
                                             .beta2_q40 = (uint64_t)9 << 36,
                                             .init = {5, 16, MBI_DECAY_OCTAVES}};
    struct mbi_host *host = host_with(1);
    struct mbi_graph *graph = graph_of(host, flags);
    const struct mbi_backend *backend;
    struct mbi_train_report report;
    int32_t logits[2][20];

    OK_(mbi_backend_find(&backend, NULL, &err));
    for (size_t i = 0; i < 2; i++) {
        struct mbi_trainer *tr;

        OK_(mbi_trainer_create(&tr, host, graph, backend, &source, &set, &err));
        OK_(mbi_trainer_step(tr, &report, &err));
        if (i)
            mbi_trainer_params(tr, &err);
        logits_of(logits[i], tr, host, graph, backend);
        mbi_trainer_free(tr);
    }
    test_same_bytes(logits[1], logits[0], sizeof(logits[0]));
    mbi_graph_free(graph);
    host_free(host);
}
END_TEST

/* ---- the gradient of a whole model ---- */

struct model {
    struct mbi_host *host;
    struct mbi_graph *graph;
    struct mbi_layout layout;
    float *master, *gradient;
    struct mbi_tape_plan *plan;
    struct mbi_tape *tape;
    int32_t ids[64], target[64];
    float weight[64];
    size_t streams, tokens;
};

static void model_make(struct model *m, const char *const *flags)
{
    const struct mbi_init_settings set = {5, 16, MBI_DECAY_OCTAVES};
    struct mbi_tape_setup setup = {.mode = MBI_TAPE_FLOAT, .layout = &m->layout};
    struct test_random r;

    test_random_init(&r, "gradient");
    *m = (struct model){.host = host_with(1), .streams = 3, .tokens = 11};
    m->graph = graph_of(m->host, flags);
    OK_(mbi_layout_create(&m->layout, m->host, m->graph, &err));
    m->master = mbi_layout_block(&m->layout);
    m->gradient = mbi_layout_block(&m->layout);
    mbi_init_masters(m->master, &m->layout, &set);
    setup.real = m->master;
    setup.streams = m->streams;
    setup.lanes = m->streams * m->tokens;
    OK_(mbi_tape_plan_create(&m->plan, &setup, &err));
    OK_(mbi_tape_create(&m->tape, m->plan, &err));
    for (size_t i = 0; i < setup.lanes; i++) {
        m->ids[i] = (int32_t)test_random_below(&r, 20);
        m->target[i] = (int32_t)test_random_below(&r, 20);
        m->weight[i] = (float)test_random_below(&r, 3);
    }
}

static void model_free(struct model *m)
{
    mbi_tape_free(m->tape);
    mbi_tape_plan_free(m->plan);
    mbi_free_aligned(m->host, m->master);
    mbi_free_aligned(m->host, m->gradient);
    mbi_layout_free(&m->layout);
    mbi_graph_free(m->graph);
    host_free(m->host);
}

static double model_loss(struct model *m, float scale)
{
    OK_(mbi_tape_forward(m->tape, m->ids, m->streams, m->tokens, &err));
    return mbi_tape_loss(m->tape, m->target, m->weight, scale);
}

/* Derivative along a random direction in one parameter's space, by central differences. */
static double slope(struct model *m, uint32_t param, const float *direction, double step)
{
    const struct mbi_type *t = &m->graph->param[param].type;
    const size_t n = (size_t)t->rows * t->cols;
    float *w = m->master + m->layout.at[param], *old = malloc(n * sizeof(*old));
    double loss[2];

    memcpy(old, w, n * sizeof(*w));
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            w[i] = old[i] + (float)(side ? step : -step) * direction[i];
        loss[side] = model_loss(m, 0);
    }
    memcpy(w, old, n * sizeof(*w));
    free(old);
    return (loss[1] - loss[0]) / (2 * step);
}

/* clang-format off */
#define SMALL "d-model", "16", "heads", "2", "head-dim", "8", "d-state", "8", "vocab", "20",  \
              "chunk", "4"
static const char *const shapes[][24] = {
    {SMALL, "gate", "algebraic", "rotation-pairs", "2", "tied-head", "on"},
    {SMALL, "gate", "hard", "rotation-pairs", "0", "tied-head", "off"},
    {SMALL, "gate", "squareplus", "norm", "bitshift", "rotation-pairs", "4", "tied-head", "off"},
    {SMALL, "gate", "algebraic", "chunk", "1", "weights", "ternary", "tied-head", "off"},
};
/* clang-format on */

/*
 * Along the gradient itself the loss must rise by its squared norm, parameter by parameter: a wrong
 * factor or a lost path shows as another slope. The step is large enough for floats and small
 * enough for the curvature.
 */
START_TEST(the_gradient_is_the_slope_of_the_loss)
{
    struct model m;

    model_make(&m, shapes[_i]);
    ck_assert(isfinite(model_loss(&m, 1)));
    OK_(mbi_tape_backward(m.tape, m.gradient, &err));
    for (uint32_t p = 0; p < m.graph->n_params; p++) {
        const struct mbi_type *t = &m.graph->param[p].type;
        const size_t n = (size_t)t->rows * t->cols;
        double squares = 0, got;
        float *direction;

        if (m.layout.at[p] == SIZE_MAX)
            continue;
        direction = malloc(n * sizeof(*direction));
        memcpy(direction, m.gradient + m.layout.at[p], n * sizeof(*direction));
        for (size_t i = 0; i < n; i++)
            squares += (double)direction[i] * (double)direction[i];
        ck_assert_msg(squares > 1e-8, "%s has no gradient", m.graph->param[p].name);
        for (size_t i = 0; i < n; i++)
            direction[i] /= (float)sqrt(squares);
        got = slope(&m, p, direction, 4e-3);
        ck_assert_msg(fabs(got - sqrt(squares)) < 0.01 * sqrt(squares) + 2e-3,
                      "%s: slope %g, gradient %g", m.graph->param[p].name, got, sqrt(squares));
        free(direction);
    }
    model_free(&m);
}
END_TEST

/* Forward alone, with less memory, gives the same loss. */
START_TEST(the_forward_tape_agrees_with_the_full_one)
{
    struct mbi_tape_setup setup = {.mode = MBI_TAPE_FLOAT_FORWARD};
    struct mbi_tape_plan *plan;
    struct mbi_tape *tape;
    struct model m;

    model_make(&m, shapes[_i]);
    setup.layout = &m.layout;
    setup.real = m.master;
    setup.streams = m.streams;
    setup.lanes = m.streams * m.tokens;
    OK_(mbi_tape_plan_create(&plan, &setup, &err));
    OK_(mbi_tape_create(&tape, plan, &err));
    OK_(mbi_tape_forward(tape, m.ids, m.streams, m.tokens, &err));
    ck_assert(mbi_tape_loss(tape, m.target, m.weight, 0) == model_loss(&m, 0));
    ck_assert_uint_lt(plan->value_cols, m.plan->value_cols);
    ck_assert_int_lt(mbi_tape_backward(tape, m.gradient, &err), 0);
    mbi_tape_free(tape);
    mbi_tape_plan_free(plan);
    model_free(&m);
}
END_TEST

/* ---- the optimiser ---- */

START_TEST(the_rate_rises_and_falls_as_stated)
{
    ck_assert(fabs(mbi_learning_rate(2, 1, 4, 104) - 0.5) < 1e-12);
    ck_assert(mbi_learning_rate(2, 4, 4, 104) == 2);
    ck_assert(fabs(mbi_learning_rate(2, 54, 4, 104) - 1.05) < 1e-12);
    ck_assert(fabs(mbi_learning_rate(2, 104, 4, 104) - 0.1) < 1e-12);
    ck_assert(mbi_learning_rate(2, 1, 0, 1) == 0.1);
}
END_TEST

/* Two steps of AdamW against the formulas in double precision; decay on the matrix alone. */
START_TEST(adam_follows_its_formulas)
{
    struct mbi_param p[2] = {{.type = {MBI_I8, 0, 1, 3, -127, 127}, .quant = MBI_QUANT_FIXED},
                             {.type = {MBI_I8, 0, 1, 2, -127, 127}, .quant = MBI_QUANT_FIXED}};
    struct mbi_graph g = {.param = p, .n_params = 2};
    const struct mbi_adam_settings set = {0.1, 0.9, 0.97, 0.5, 1};
    struct mbi_host *host = host_with(2);
    struct mbi_layout layout;
    float *w, *m1, *m2, *grad;
    double w0 = 0.25, w1 = -0.5, a = 0, b = 0, c = 0, d = 0, partial[4];
    uint8_t marks[8] = {0};

    p[0].is_matrix = 1;
    OK_(mbi_layout_create(&layout, host, &g, &err));
    ck_assert_uint_eq(layout.total, 32);
    mbi_decay_marks(marks, &layout);
    w = mbi_layout_block(&layout);
    m1 = mbi_layout_block(&layout);
    m2 = mbi_layout_block(&layout);
    grad = mbi_layout_block(&layout);
    w[0] = 0.25f;
    w[16] = -0.5f;
    for (uint64_t step = 1; step <= 2; step++) {
        const double g0 = 3 * 0.2, g1 = 4 * 0.2; /* norm 5 is clipped to 1 */
        double norm;

        grad[0] = 3;
        grad[16] = 4;
        norm = mbi_gradient_sum(&layout, &grad, 1, partial);
        ck_assert(fabs(norm - 5) < 1e-12);
        mbi_adam_step(&layout, w, m1, m2, grad, marks, norm, step, &set);
        a = 0.9 * a + 0.1 * g0;
        b = 0.97 * b + 0.03 * g0 * g0;
        c = 0.9 * c + 0.1 * g1;
        d = 0.97 * d + 0.03 * g1 * g1;
        w0 = w0 * (1 - 0.1 * 0.5) - 0.1 * (a / (1 - pow(0.9, (double)step))) /
                                        (sqrt(b / (1 - pow(0.97, (double)step))) + 1e-8);
        w1 = w1 - 0.1 * (c / (1 - pow(0.9, (double)step))) /
                      (sqrt(d / (1 - pow(0.97, (double)step))) + 1e-8);
        ck_assert(fabs((double)w[0] - w0) < 1e-6);
        ck_assert(fabs((double)w[16] - w1) < 1e-6);
    }
    ck_assert(w[1] == 0 && w[17] == 0);
    mbi_free_aligned(host, w);
    mbi_free_aligned(host, m1);
    mbi_free_aligned(host, m2);
    mbi_free_aligned(host, grad);
    mbi_layout_free(&layout);
    host_free(host);
}
END_TEST

/* ---- runs, through the API ---- */

struct place {
    char dir[TEST_PATH], text[TEST_PATH], checkpoint[TEST_PATH], model[TEST_PATH];
};

static void place_make(struct place *p)
{
    char *text = long_text(60);

    test_dir_make(p->dir);
    test_path(p->text, p->dir, "data.txt");
    test_path(p->checkpoint, p->dir, "run.checkpoint");
    test_path(p->model, p->dir, "model.gguf");
    test_file_write(p->text, text, strlen(text));
    free(text);
}

static mambaint_options *run_options(const struct place *p, const char *arithmetic,
                                     const char *threads)
{
    return tiny_options("data", p->text, "preset", "mi-tiny", "vocab", "290", "batch", "9",
                        "context", "24", "steps", "12", "lr", "0.01", "warmup", "3", "seed", "4",
                        "arithmetic", arithmetic, "threads", threads, NULL);
}

static void set(mambaint_options *o, const char *key, const char *value)
{
    OK_(mambaint_options_set(o, key, value, &err));
}

/* Run until `stop` steps are made (0: to the end), save and export; frees the options. */
static void run(const struct place *p, mambaint_options *o, uint64_t stop,
                mambaint_train_report *report)
{
    mambaint_trainer *tr;
    int32_t rc = MAMBAINT_OK;

    OK_(mambaint_trainer_create(&tr, NULL, o, &err));
    while (rc == MAMBAINT_OK && (!stop || report->step < stop))
        OK_(rc = mambaint_trainer_step(report, tr, &err));
    OK_(mambaint_trainer_save(tr, p->checkpoint, &err));
    OK_(mambaint_trainer_export(tr, p->model, &err));
    mambaint_trainer_free(tr);
    mambaint_options_free(o);
}

struct files {
    uint8_t *checkpoint, *model;
    size_t checkpoint_size, model_size;
};

static struct files take(const struct place *p)
{
    struct files f;

    f.checkpoint = test_file_read(&f.checkpoint_size, p->checkpoint);
    f.model = test_file_read(&f.model_size, p->model);
    return f;
}

static void same_files(const struct files *a, const struct files *b)
{
    ck_assert_uint_eq(a->checkpoint_size, b->checkpoint_size);
    ck_assert_uint_eq(a->model_size, b->model_size);
    test_same_bytes(a->checkpoint, b->checkpoint, a->checkpoint_size);
    test_same_bytes(a->model, b->model, a->model_size);
}

static void files_free(struct files *f)
{
    free(f->checkpoint);
    free(f->model);
}

static const char *const arithmetics[] = {"integer", "float"};

START_TEST(threads_and_stops_do_not_change_a_byte)
{
    static const char *const threads[] = {"1", "2", "3", "4"};
    struct place p;
    struct files want;

    place_make(&p);
    for (int i = 0; i < 4; i++) {
        mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
        struct files got;

        run(&p, run_options(&p, arithmetics[_i], threads[i]), 0, &report);
        got = take(&p);
        if (!i) {
            want = got;
            continue;
        }
        same_files(&got, &want);
        files_free(&got);
    }
    for (uint64_t stop = 1; stop < 12; stop += 3) {
        mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
        mambaint_options *o = run_options(&p, arithmetics[_i], "2");
        struct files got;

        run(&p, run_options(&p, arithmetics[_i], "1"), stop, &report);
        ck_assert_uint_eq(report.step, stop);
        set(o, "resume", p.checkpoint);
        run(&p, o, 0, &report);
        ck_assert_uint_eq(report.step, 12);
        got = take(&p);
        same_files(&got, &want);
        files_free(&got);
    }
    files_free(&want);
    test_dir_remove(p.dir);
}
END_TEST

START_TEST(a_tiny_model_learns)
{
    static const char *const changes[][2] = {{"weights", "int8"},
                                             {"weights", "ternary"},
                                             {"gate", "algebraic"},
                                             {"norm", "bitshift"},
                                             {"arithmetic", "float"}};
    struct place p;
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    mambaint_trainer *tr;
    mambaint_options *o;
    uint64_t first = 0;

    place_make(&p);
    o = run_options(&p, "integer", "2");
    set(o, "steps", "60");
    set(o, changes[_i][0], changes[_i][1]);
    OK_(mambaint_trainer_create(&tr, NULL, o, &err));
    while (mambaint_trainer_step(&report, tr, &err) == MAMBAINT_OK)
        if (!first)
            first = report.loss_q20;
    ck_assert_uint_gt(first, 5 << 20);           /* about the logarithm of 290 */
    ck_assert_uint_lt(report.loss_q20, 5 << 19); /* "document N of many" is soon known */
    mambaint_trainer_free(tr);
    mambaint_options_free(o);
    test_dir_remove(p.dir);
}
END_TEST

/* The number of a validation is that of mambaint_session_score() on the exported model. */
START_TEST(validation_is_the_score_of_the_exported_model)
{
    static const char text[] = "document 7 of many\n<|endoftext|>\nunlike the others\nentirely"
                               "\n<|endoftext|>\n\n<|endoftext|>\nno separator";
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    char held_out[TEST_PATH];
    struct place p;
    mambaint_options *o;
    mambaint_model *m;
    mambaint_session *s;
    int64_t bits;
    uint64_t tokens, bytes;

    place_make(&p);
    test_path(held_out, p.dir, "valid.txt");
    test_file_write(held_out, text, sizeof(text) - 1);
    o = run_options(&p, arithmetics[_i], "2");
    set(o, "valid", held_out);
    set(o, "valid-every", "5");
    set(o, "valid-limit", "2");
    run(&p, o, 0, &report);
    ck_assert_uint_eq(report.step, 12);

    OK_(mambaint_model_open(&m, NULL, p.model, NULL, &err));
    OK_(mambaint_session_create(&s, m, NULL, &err));
    OK_(mambaint_session_score(&bits, &tokens, &bytes, s, text, sizeof(text) - 1, &err));
    o = run_options(&p, arithmetics[_i], "1");
    set(o, "valid", held_out);
    set(o, "valid-every", "1");
    set(o, "valid-limit", "2");
    {
        mambaint_trainer *tr;

        OK_(mambaint_trainer_create(&tr, NULL, o, &err));
        while (report.step == 12 || report.step < 11) {
            OK_(mambaint_trainer_step(&report, tr, &err));
            ck_assert_uint_eq(report.flags & MAMBAINT_TRAIN_VALIDATED, MAMBAINT_TRAIN_VALIDATED);
            ck_assert_uint_eq(report.flags & MAMBAINT_TRAIN_WHOLE, 0);
            ck_assert_uint_eq(report.valid_bytes, 18 + 26);
        }
        OK_(mambaint_trainer_step(&report, tr, &err));
        mambaint_trainer_free(tr);
    }
    ck_assert_uint_eq(report.flags,
                      MAMBAINT_TRAIN_VALIDATED | MAMBAINT_TRAIN_WHOLE | MAMBAINT_TRAIN_DONE);
    ck_assert_uint_eq(report.valid_tokens, tokens);
    ck_assert_uint_eq(report.valid_bytes, bytes);
    if (!_i)
        ck_assert_int_eq(report.valid_bits_q16, bits);
    else /* the float twin: close to its own quantisation, but not it */
        ck_assert(llabs(report.valid_bits_q16 - bits) < bits / 10);
    ck_assert_uint_eq(report.valid_bits_per_byte_q20,
                      ((uint64_t)report.valid_bits_q16 * 16 + bytes / 2) / bytes);
    mambaint_options_free(o);
    mambaint_session_free(s);
    mambaint_model_unref(m);
    test_dir_remove(p.dir);
}
END_TEST

START_TEST(damaged_checkpoints_are_refused)
{
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    struct test_random r;
    struct place p;
    mambaint_options *o;
    uint8_t *bytes;
    size_t size;

    test_random_init(&r, "damage");
    place_make(&p);
    run(&p, run_options(&p, "integer", "1"), 2, &report);
    bytes = test_file_read(&size, p.checkpoint);
    o = run_options(&p, "integer", "1");
    set(o, "resume", p.checkpoint);
    for (int i = 0; i < 60; i++) {
        const size_t at =
            i < 30 ? (size_t)test_random_below(&r, size) : (size_t)test_random_below(&r, 4096);
        const uint8_t flip = (uint8_t)(1u << test_random_below(&r, 8));
        mambaint_trainer *tr = (void *)&r;

        bytes[at] ^= flip;
        test_file_write(p.checkpoint, bytes, i % 3 ? size : at);
        ck_assert_int_lt(mambaint_trainer_create(&tr, NULL, o, &err), 0);
        ck_assert_ptr_null(tr);
        bytes[at] ^= flip;
    }
    free(bytes);
    set(o, "resume", p.model);
    {
        mambaint_trainer *tr;

        ck_assert_int_eq(mambaint_trainer_create(&tr, NULL, o, &err), MAMBAINT_E_FORMAT);
        ck_assert(strstr(err.message, "no checkpoint") != NULL);
    }
    mambaint_options_free(o);
    test_dir_remove(p.dir);
}
END_TEST

/* A checkpoint goes on under the settings it was made with; the sentence names what differs. */
START_TEST(checkpoints_of_other_runs_are_refused)
{
    static const char *const changes[][3] = {
        {"lr", "0.02", "'lr'"},
        {"steps", "13", "'steps'"},
        {"seed", "5", "'seed'"},
        {"batch", "8", "'batch'"},
        {"layers", "3", "'layers'"},
        {"beta2", "0.98", "'beta2'"},
        {"arithmetic", "float", "'arithmetic'"},
        {"decay-init", "hippo", "'decay-init'"},
        {"vocab", "291", "vocab"},
    };
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    struct place p;
    mambaint_trainer *tr;
    mambaint_options *o;

    place_make(&p);
    run(&p, run_options(&p, "integer", "1"), 2, &report);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        o = run_options(&p, "integer", "1");
        set(o, "resume", p.checkpoint);
        set(o, changes[i][0], changes[i][1]);
        ck_assert_int_eq(mambaint_trainer_create(&tr, NULL, o, &err), MAMBAINT_E_MISMATCH);
        ck_assert_msg(strstr(err.message, changes[i][2]) != NULL, "%s", err.message);
        mambaint_options_free(o);
    }
    test_file_write(p.text, "another text\n", 13);
    o = run_options(&p, "integer", "1");
    set(o, "resume", p.checkpoint);
    ck_assert_int_eq(mambaint_trainer_create(&tr, NULL, o, &err), MAMBAINT_E_MISMATCH);
    ck_assert_msg(strstr(err.message, "'data'") != NULL, "%s", err.message);
    mambaint_options_free(o);
    test_dir_remove(p.dir);
}
END_TEST

START_TEST(wrong_options_are_named)
{
    static const char *const changes[][3] = {
        {"data", " ", "data"},
        {"data", "x weight=0", "weight"},
        {"data", "x weight=1e3", "weight=1e3"},
        {"data", "x kind=csv", "kind=csv"},
        {"data", "x sha256=12", "sha256=12"},
        {"data", "nothing-of-this-name", "nothing-of-this-name"},
        {"valid", "x.jsonl", "valid"},
        {"lr", "fast", "lr"},
        {"lr", "2", "lr"},
        {"beta1", "1", "beta1"},
        {"arithmetic", "decimal", "arithmetic"},
        {"tokens", "1000", "steps"},
        {"batch", "0", "batch"},
        {"context", "100000", "context"},
        {"backend", "abacus", "backend"},
        {"preset", "mi-none", "mi-none"},
        {"d-state", "12", "powers of two"},
        {"tokenizer", "nothing", "nothing"},
        {"resume", "nothing", "nothing"},
        {"vocab", "271", "27"},
    };
    struct place p;
    mambaint_trainer *tr;

    place_make(&p);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        mambaint_options *o = run_options(&p, "integer", "1");

        set(o, changes[i][0], changes[i][1]);
        tr = (void *)&p;
        err.message[0] = 0;
        ck_assert_msg(mambaint_trainer_create(&tr, NULL, o, &err) < 0, "%s", changes[i][2]);
        ck_assert_ptr_null(tr);
        ck_assert_msg(strstr(err.message, changes[i][2]) != NULL, "%s=%s: %s", changes[i][0],
                      changes[i][1], err.message);
        mambaint_options_free(o);
    }
    ck_assert_int_eq(mambaint_trainer_create(&tr, NULL, NULL, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_trainer_create(NULL, NULL, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_trainer_step(NULL, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_trainer_save(NULL, "x", NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_trainer_export(NULL, "x", NULL), MAMBAINT_E_INVALID);
    mambaint_trainer_free(NULL);
    test_dir_remove(p.dir);
}
END_TEST

/* A caller that knows less of the report gets less, one that knows more gets zeros. */
START_TEST(reports_fit_older_and_newer_callers)
{
    struct {
        mambaint_train_report report;
        uint64_t more[2];
    } longer = {.more = {1, 2}};
    struct place p;
    mambaint_trainer *tr;
    mambaint_options *o;

    place_make(&p);
    o = run_options(&p, "integer", "1");
    OK_(mambaint_trainer_create(&tr, NULL, o, &err));
    ck_assert_int_eq(mambaint_trainer_status(&longer.report, tr), MAMBAINT_E_INVALID);
    longer.report.struct_size = sizeof(longer);
    OK_(mambaint_trainer_step(&longer.report, tr, &err));
    ck_assert_uint_eq(longer.report.step, 1);
    ck_assert_uint_eq(longer.more[0] | longer.more[1], 0);
    ck_assert_uint_eq(longer.report.step_tokens, 9 * 24);
    longer.report.struct_size = offsetof(mambaint_train_report, tokens);
    longer.report.tokens = 77;
    OK_(mambaint_trainer_status(&longer.report, tr));
    ck_assert_uint_eq(longer.report.steps, 12);
    ck_assert_uint_eq(longer.report.tokens, 77);
    mambaint_trainer_free(tr);
    mambaint_options_free(o);
    test_dir_remove(p.dir);
}
END_TEST

/* Memory that is refused at any moment of a short run: an error, and nothing left behind. */
static int32_t short_run(const struct mbi_host *host, void *arg)
{
    const struct place *p = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_options *o = tiny_options("data", p->text, "valid", p->text, "preset", "mi-tiny",
                                       "vocab", "272", "layers", "1", "batch", "2", "context", "8",
                                       "steps", "1", "valid-limit", "1", NULL);
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    mambaint_trainer *tr = NULL;
    int32_t rc = ctx ? mambaint_trainer_create(&tr, ctx, o, &err) : MAMBAINT_E_NO_MEMORY;

    if (rc == MAMBAINT_OK)
        rc = mambaint_trainer_step(&report, tr, &err);
    if (rc == MAMBAINT_OK)
        rc = mambaint_trainer_save(tr, p->checkpoint, &err);
    if (rc == MAMBAINT_OK)
        rc = mambaint_trainer_export(tr, p->model, &err);
    mambaint_trainer_free(tr);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

START_TEST(refused_memory_leaves_nothing)
{
    struct place p;

    place_make(&p);
    test_file_write(p.text, "a\n<|endoftext|>\nb", 17);
    ck_assert_uint_gt(test_refuse_each(short_run, &p), 50);
    test_dir_remove(p.dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *master = tcase_create("masters"), *data = tcase_create("data");
    TCase *gradient = tcase_create("gradient"), *runs = tcase_create("runs");

    tcase_add_test(master, rows_get_the_largest_exponent_that_fits);
    tcase_add_test(master, fixed_point_rounds_and_clamps);
    tcase_add_test(master, ternary_weights_are_packed_with_the_mean_as_scale);
    tcase_add_test(master, ternary_scale_survives_extreme_means);
    tcase_add_test(master, first_weights_have_the_stated_spread);
    tcase_add_test(master, decays_start_log_uniform_or_in_arithmetic_progression);
    suite_add_tcase(suite, master);

    tcase_set_timeout(data, 60);
    tcase_add_test(data, the_order_of_windows_is_a_permutation);
    tcase_add_test(data, text_is_a_ring_of_documents);
    tcase_add_test(data, a_pass_over_text_covers_every_token);
    tcase_add_test(data, encoding_does_not_depend_on_threads);
    tcase_add_test(data, batches_depend_on_the_step_alone);
#if MBI_HAVE_JANSSON
    tcase_add_loop_test(data, answers_alone_count_in_the_loss, 0,
                        sizeof(expected) / sizeof(expected[0]));
    tcase_add_test(data, conversations_are_packed_whole);
    tcase_add_test(data, ids_and_targets_are_taken_as_they_are);
    tcase_add_loop_test(data, a_bad_line_is_named, 0, sizeof(bad_lines) / sizeof(bad_lines[0]));
#endif
#if MBI_HAVE_SODIUM && MBI_HAVE_LZMA
    tcase_add_test(data, files_are_found_checked_and_unpacked);
#endif
    suite_add_tcase(suite, data);

    tcase_set_timeout(gradient, 60);
    tcase_add_loop_test(gradient, the_gradient_is_the_slope_of_the_loss, 0, 4);
    tcase_add_loop_test(gradient, the_forward_tape_agrees_with_the_full_one, 0, 4);
    tcase_add_test(gradient, weights_follow_the_parameters_of_a_float_run);
    tcase_add_test(gradient, the_rate_rises_and_falls_as_stated);
    tcase_add_test(gradient, adam_follows_its_formulas);
    suite_add_tcase(suite, gradient);

    tcase_set_timeout(runs, 300);
    tcase_add_loop_test(runs, threads_and_stops_do_not_change_a_byte, 0, 2);
    tcase_add_loop_test(runs, a_tiny_model_learns, 0, 5);
    tcase_add_loop_test(runs, validation_is_the_score_of_the_exported_model, 0, 2);
    tcase_add_test(runs, damaged_checkpoints_are_refused);
    tcase_add_test(runs, checkpoints_of_other_runs_are_refused);
    tcase_add_test(runs, wrong_options_are_named);
    tcase_add_test(runs, reports_fit_older_and_newer_callers);
    tcase_add_test(runs, refused_memory_leaves_nothing);
    suite_add_tcase(suite, runs);
    return test_main(suite);
}

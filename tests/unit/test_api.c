/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls at their edges: options, contexts, questions, artefacts, misuse. */
#include "api/model.h"
#include "base/cores.h"
#include "base/intmath.h"
#include "tiny.h"

static struct tiny tiny;

static void setup(void) { tiny_make(&tiny, tiny_options("preset", "mi-tiny", NULL)); }
static void teardown(void) { tiny_free(&tiny); }

static int32_t set(const char *key, const char *value, mambaint_error *err)
{
    mambaint_options *o;
    int32_t rc;

    OK(mambaint_options_create(&o));
    rc = mambaint_options_set(o, key, value, err);
    mambaint_options_free(o);
    return rc;
}

/* ---- options ---- */

START_TEST(unknown_options_name_the_nearest)
{
    static const char *const cases[][2] = {
        {"temprature", "'temperature'"}, {"topp", "'top-p'"},   {"thread", "'threads'"},
        {"d_modle", "'d-model'"},        {"sead", "'seed'"},    {"", "'"},
        {"backends", "'backend'"},       {"chunks", "'chunk'"},
    };

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_error err = {0, ""};

        ck_assert_int_eq(set(cases[i][0], "1", &err), MAMBAINT_E_INVALID);
        ck_assert_int_eq(err.code, MAMBAINT_E_INVALID);
        ck_assert_msg(strstr(err.message, cases[i][1]), "%s", err.message);
    }
    OK(set("top_k", "1", NULL));
    OK(set("top-k", "anything: the call that reads it checks it", NULL));
}
END_TEST

START_TEST(option_values_are_checked)
{
    static const struct {
        const char *key, *value;
        int32_t rc;
    } cases[] = {
        {"temperature", "0", MAMBAINT_OK},
        {"temperature", "255", MAMBAINT_OK},
        {"temperature", "255.1", MAMBAINT_E_RANGE},
        {"temperature", "-1", MAMBAINT_E_RANGE},
        {"temperature", "warm", MAMBAINT_E_INVALID},
        {"temperature", "0,8", MAMBAINT_E_INVALID},
        {"temperature", "", MAMBAINT_E_INVALID},
        {"temperature", "nan", MAMBAINT_E_INVALID},
        {"top-k", "0", MAMBAINT_OK},
        {"top-k", "-1", MAMBAINT_E_INVALID},
        {"top-k", "1.5", MAMBAINT_E_INVALID},
        {"top-k", "2147483647", MAMBAINT_OK},
        {"top-k", "2147483648", MAMBAINT_E_RANGE},
        {"top-p", "1", MAMBAINT_OK},
        {"top-p", "1.0", MAMBAINT_OK},
        {"top-p", "1.1", MAMBAINT_E_RANGE},
        {"min-p", "0.05", MAMBAINT_OK},
        {"min_p", "2", MAMBAINT_E_RANGE},
        {"repeat-penalty", "1000", MAMBAINT_OK},
        {"repeat-penalty", "1001", MAMBAINT_E_RANGE},
        {"repeat-penalty", "-1", MAMBAINT_E_RANGE},
        {"repeat-last", "256", MAMBAINT_OK},
        {"repeat-last", "257", MAMBAINT_E_RANGE},
        {"seed", "18446744073709551615", MAMBAINT_OK},
        {"seed", "18446744073709551616", MAMBAINT_E_INVALID},
        {"seed", "-1", MAMBAINT_E_INVALID},
        {"prefill-chunk", "0", MAMBAINT_E_RANGE},
        {"prefill-chunk", "1", MAMBAINT_OK},
        {"prefill-chunk", "4096", MAMBAINT_OK},
        {"prefill-chunk", "4097", MAMBAINT_E_RANGE},
        {"backend", "scalar", MAMBAINT_OK},
        {"backend", "auto", MAMBAINT_OK},
        {"backend", "quantum", MAMBAINT_E_NO_BACKEND},
        {"profile", "on", MAMBAINT_OK},
        {"profile", "off", MAMBAINT_OK},
        {"profile", "maybe", MAMBAINT_E_INVALID},
        {"stop", "", MAMBAINT_E_RANGE},
        {"stop", "x", MAMBAINT_OK},
        {"preset", "of another call", MAMBAINT_OK},
    };
    mambaint_model *m = tiny_open(&tiny, NULL);

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_options *o = tiny_options(cases[i].key, cases[i].value, NULL);
        mambaint_error err = {0, ""};
        mambaint_session *s;
        const int32_t rc = mambaint_session_create(&s, m, o, &err);

        ck_assert_msg(rc == cases[i].rc, "%s = %s: %d: %s", cases[i].key, cases[i].value, rc,
                      err.message);
        ck_assert((rc == MAMBAINT_OK) == (s != NULL));
        if (rc < 0)
            ck_assert_msg(strlen(err.message) > 10, "%s", err.message);
        if (rc == MAMBAINT_E_NO_BACKEND)
            ck_assert_msg(strstr(err.message, "backend"), "%s", err.message);
        mambaint_session_free(s);
        mambaint_options_free(o);
    }
    mambaint_model_unref(m);
}
END_TEST

START_TEST(the_last_value_counts_and_stops_add_up)
{
    mambaint_model *m = tiny_open(&tiny, NULL);
    mambaint_options *o = tiny_options("seed", "1", "seed", "23", "top-k", "x", "top_k", "3", NULL);
    mambaint_session *s;
    char text[32], stop[300];

    OK(mambaint_session_create(&s, m, o, NULL));
    OK(mambaint_session_text(text, sizeof(text), NULL, s, "seed"));
    ck_assert_str_eq(text, "23");
    mambaint_session_free(s);
    for (int i = 0; i < 16; i++)
        OK(mambaint_options_set(o, "stop", "y", NULL));
    OK(mambaint_session_create(&s, m, o, NULL));
    mambaint_session_free(s);
    OK(mambaint_options_set(o, "stop", "one too many", NULL));
    ck_assert_int_eq(mambaint_session_create(&s, m, o, NULL), MAMBAINT_E_RANGE);
    mambaint_options_free(o);
    memset(stop, 'z', sizeof(stop));
    stop[257] = 0;
    o = tiny_options("stop", stop, NULL);
    ck_assert_int_eq(mambaint_session_create(&s, m, o, NULL), MAMBAINT_E_RANGE);
    mambaint_options_free(o);
    stop[256] = 0;
    mambaint_session_free(tiny_session(m, tiny_options("stop", stop, NULL)));
    mambaint_model_unref(m);
}
END_TEST

/* ---- contexts ---- */

struct longer {
    mambaint_context_setup setup;
    uint64_t more;
};

START_TEST(setups_of_other_sizes)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT, by_call;
    struct longer longer = {MAMBAINT_CONTEXT_SETUP_INIT, 0};
    mambaint_context *ctx;

    memset(&by_call, 0xFF, sizeof(by_call));
    mambaint_context_setup_init(&by_call, sizeof(by_call));
    ck_assert_mem_eq(&setup, &by_call, sizeof(setup));
    mambaint_context_setup_init(NULL, 0);
    OK(mambaint_context_create(&ctx, NULL, NULL));
    mambaint_context_unref(ctx);
    OK(mambaint_context_create(&ctx, &setup, NULL));
    mambaint_context_ref(ctx);
    mambaint_context_unref(ctx);
    mambaint_context_unref(ctx);

    setup.struct_size = sizeof(size_t); /* the shortest: what lies behind is not read */
    setup.threads = 100000;
    OK(mambaint_context_create(&ctx, &setup, NULL));
    mambaint_context_unref(ctx);
    setup.struct_size = sizeof(size_t) - 1;
    ck_assert_int_eq(mambaint_context_create(&ctx, &setup, NULL), MAMBAINT_E_INVALID);
    ck_assert(ctx == NULL);
    setup.struct_size = sizeof(setup);
    ck_assert_int_eq(mambaint_context_create(&ctx, &setup, NULL), MAMBAINT_E_RANGE);
    setup.threads = 3;
    OK(mambaint_context_create(&ctx, &setup, NULL));
    mambaint_context_unref(ctx);
    setup.reserved = 1;
    ck_assert_int_eq(mambaint_context_create(&ctx, &setup, NULL), MAMBAINT_E_INVALID);

    longer.setup.struct_size = sizeof(longer);
    OK(mambaint_context_create(&ctx, &longer.setup, NULL));
    mambaint_context_unref(ctx);
    longer.more = 1;
    ck_assert_int_eq(mambaint_context_create(&ctx, &longer.setup, NULL), MAMBAINT_E_VERSION);
    ck_assert_int_eq(mambaint_context_create(NULL, NULL, NULL), MAMBAINT_E_INVALID);
}
END_TEST

static int32_t make_context(const struct mbi_host *host, void *arg)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx;
    int32_t rc;

    (void)arg;
    setup.alloc = host->alloc;
    setup.alloc_user = host->alloc_user;
    setup.threads = 2;
    rc = mambaint_context_create(&ctx, &setup, NULL);
    mambaint_context_unref(ctx);
    return rc;
}

START_TEST(contexts_survive_without_memory)
{
    ck_assert_uint_ge(test_refuse_each(make_context, NULL), 2);
}
END_TEST

/* Without a context, `threads` is read where a context would be taken. */
START_TEST(private_contexts_have_threads)
{
    mambaint_options *o = tiny_options("threads", "2", NULL);
    mambaint_model *m;

    OK(mambaint_model_open(&m, NULL, tiny.path, o, NULL));
    ck_assert_uint_eq(mbi_pool_threads(m->ctx->host.pool), mbi_min_size(2, mbi_usable_cores()));
    mambaint_model_unref(m);
    OK(mambaint_options_set(o, "threads", "auto", NULL));
    OK(mambaint_model_open(&m, NULL, tiny.path, o, NULL));
    ck_assert_uint_eq(mbi_pool_threads(m->ctx->host.pool), mbi_min_size(64, mbi_usable_cores()));
    mambaint_model_unref(m);
    OK(mambaint_options_set(o, "threads", "0", NULL));
    ck_assert_int_eq(mambaint_model_open(&m, NULL, tiny.path, o, NULL), MAMBAINT_E_RANGE);
    ck_assert(m == NULL);
    OK(mambaint_options_set(o, "threads", "many", NULL));
    ck_assert_int_eq(mambaint_model_open(&m, NULL, tiny.path, o, NULL), MAMBAINT_E_INVALID);
    mambaint_options_free(o);
}
END_TEST

/* ---- models ---- */

START_TEST(models_tell_about_themselves)
{
    static const struct {
        const char *key, *want; /* NULL: anything but nothing */
    } cases[] = {
        {"architecture", "mamba-integer"},
        {"name", "a name"},
        {"license", ""},
        {"vocab", "300"},
        {"parameters", NULL},
        {"state-size", NULL},
        {"state_size", NULL},
        {"file-size", NULL},
        {"weight-bytes", NULL},
        {"token-bytes", NULL},
        {"token-macs", "18048"}, /* 2 (100 + 32) 32 + 300 x 32 */
        {"head-macs", "10624"},  /* 32 x 32 + 300 x 32 */
        {"digest", NULL},
        {"model-digest", NULL},
        {"graph-digest", NULL},
        {"tokenizer-digest", NULL},
        {"config", NULL},
        {"metadata", NULL},
        {"tensors", NULL},
        {"graph", NULL},
        {"intervals", NULL},
        {"ternary-zeros", ""},
        {"decay-spectrum", "blk.0.ssm_dt.bias: 1.00 2048.00\nblk.1.ssm_dt.bias: 1.00 2048.00\n"},
    };
    struct tiny t;
    mambaint_model *m;
    char small[4] = "abc", *text;
    size_t need;

    tiny_make(&t, tiny_options("preset", "mi-tiny", "name", "a name", NULL));
    m = tiny_open(&t, NULL);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const int32_t rc = mambaint_model_text(NULL, 0, &need, m, cases[i].key);

        ck_assert_int_eq(rc, MAMBAINT_E_SPACE);
        ck_assert_uint_ge(need, 1);
        text = malloc(need);
        OK(mambaint_model_text(text, need, NULL, m, cases[i].key));
        ck_assert_uint_eq(strlen(text), need - 1);
        if (cases[i].want)
            ck_assert_str_eq(text, cases[i].want);
        else
            ck_assert(text[0]);
        ck_assert_int_eq(mambaint_model_text(text, need - 1, NULL, m, cases[i].key),
                         MAMBAINT_E_SPACE);
        free(text);
    }
    ck_assert_int_eq(mambaint_model_text(small, sizeof(small), &need, m, "architecture"),
                     MAMBAINT_E_SPACE);
    ck_assert_str_eq(small, "abc"); /* nothing is stored */
    ck_assert_int_eq(mambaint_model_text(small, sizeof(small), &need, m, "colour"),
                     MAMBAINT_E_INVALID);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

/* The same options give the same file; another seed another model. */
START_TEST(synthetic_models_depend_on_their_options)
{
    uint8_t one[32], other[32];
    mambaint_model *m;
    struct tiny t;

    tiny_make(&t, tiny_options("preset", "mi-tiny", "threads", "2", NULL));
    ck_assert_uint_eq(t.size, tiny.size);
    ck_assert_mem_eq(t.bytes, tiny.bytes, t.size);
    m = tiny_open(&t, NULL);
    OK(mambaint_model_digest(one, m));
    mambaint_model_unref(m);
    tiny_free(&t);
    tiny_make(&t, tiny_options("preset", "mi-tiny", "seed", "1", NULL));
    m = tiny_open(&t, NULL);
    OK(mambaint_model_digest(other, m));
    ck_assert_mem_ne(one, other, 32);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

START_TEST(impossible_shapes_are_refused)
{
    static const struct {
        const char *key, *value;
        int32_t rc;
    } cases[] = {
        {"preset", "mi-huge", MAMBAINT_E_INVALID}, {"architecture", "llama", MAMBAINT_E_INVALID},
        {"layers", "0", MAMBAINT_E_RANGE},         {"vocab", "271", MAMBAINT_E_RANGE},
        {"vocab", "131073", MAMBAINT_E_RANGE},     {"d-state", "48", MAMBAINT_E_RANGE},
        {"chunk", "3", MAMBAINT_E_RANGE},          {"rotation-pairs", "9", MAMBAINT_E_RANGE},
        {"gate", "silu", MAMBAINT_E_INVALID},      {"hold", "maybe", MAMBAINT_E_INVALID},
        {"seed", "x", MAMBAINT_E_INVALID},
    };
    char path[TEST_PATH];

    test_path(path, tiny.dir, "never.gguf");
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_options *o = tiny_options("preset", "mi-tiny", cases[i].key, cases[i].value, NULL);
        mambaint_error err = {0, ""};
        const int32_t rc = mambaint_model_synth(NULL, path, o, &err);

        ck_assert_msg(rc == cases[i].rc, "%s = %s: %d: %s", cases[i].key, cases[i].value, rc,
                      err.message);
        mambaint_options_free(o);
    }
    ck_assert_uint_eq(test_dir_count(tiny.dir), 1); /* nothing was left behind */
    ck_assert_int_eq(mambaint_model_synth(NULL, "/nonexistent/x.gguf", NULL, NULL), MAMBAINT_E_IO);
}
END_TEST

START_TEST(a_deferred_digest_is_checked_at_first_use)
{
    mambaint_options *o = tiny_options("check-digest", "off", NULL);
    mambaint_model *m;
    mambaint_session *s;
    mambaint_state *st;
    uint8_t digest[32];

    tiny.bytes[tiny.size - 70] ^= 1; /* a weight */
    ck_assert_int_eq(mambaint_model_open_memory(&m, NULL, tiny.bytes, tiny.size, NULL, NULL),
                     MAMBAINT_E_FORMAT);
    OK(mambaint_model_open_memory(&m, NULL, tiny.bytes, tiny.size, o, NULL));
    ck_assert_int_eq(mambaint_model_digest(digest, m), MAMBAINT_E_FORMAT);
    s = tiny_session(m, NULL);
    ck_assert_int_eq(mambaint_state_get(&st, s, NULL), MAMBAINT_E_FORMAT);
    ck_assert(st == NULL);
    mambaint_session_free(s);
    mambaint_model_unref(m);
    tiny.bytes[tiny.size - 70] ^= 1;
    OK(mambaint_model_open_memory(&m, NULL, tiny.bytes, tiny.size, o, NULL));
    OK(mambaint_model_digest(digest, m));
    mambaint_model_unref(m);
    mambaint_options_free(o);
}
END_TEST

/* ---- tokenizers ---- */

START_TEST(tokenizers_through_the_api)
{
    static const char text[] =
        "low lower lowest, low lower lowest\n<|endoftext|>\nnew newer newest";
    mambaint_options *o = tiny_options("vocab", "280", "pre", "cl100k", NULL);
    mambaint_tokenizer *t, *again, *from_model;
    mambaint_model *m = tiny_open(&tiny, NULL);
    char path[TEST_PATH], back[128];
    uint8_t x[32], y[32];
    int32_t ids[128];
    size_t n, len;

    OK(mambaint_tokenizer_train(&t, NULL, text, sizeof(text) - 1, o, NULL));
    ck_assert_int_eq(mambaint_tokenizer_vocab(t), 280);
    ck_assert_int_eq(mambaint_tokenizer_end_of_text(t), 0);
    for (int32_t role = -1; role < 7; role++)
        ck_assert_int_eq(mambaint_tokenizer_role(t, role), role >= 1 && role <= 4 ? role : -1);
    test_path(path, tiny.dir, "t.gguf");
    OK(mambaint_tokenizer_save(t, path, NULL));
    OK(mambaint_tokenizer_open(&again, NULL, path, NULL));
    OK(mambaint_tokenizer_digest(x, t));
    OK(mambaint_tokenizer_digest(y, again));
    ck_assert_mem_eq(x, y, 32);
    OK(mambaint_tokenizer_open(&from_model, NULL, tiny.path, NULL));
    OK(mambaint_tokenizer_digest(x, from_model));
    mambaint_tokenizer_unref(from_model);
    OK(mambaint_tokenizer_of(&from_model, m));
    mambaint_model_unref(m); /* it outlives its model */
    OK(mambaint_tokenizer_digest(y, from_model));
    ck_assert_mem_eq(x, y, 32);

    ck_assert_int_eq(mambaint_tokenizer_encode(NULL, 0, &n, t, text, sizeof(text) - 1, 0),
                     MAMBAINT_E_SPACE);
    ck_assert(n > 0 && n < sizeof(text) - 1);
    ck_assert_int_eq(mambaint_tokenizer_encode(ids, n - 1, NULL, t, text, sizeof(text) - 1, 0),
                     MAMBAINT_E_SPACE);
    OK(mambaint_tokenizer_encode(ids, n, NULL, t, text, sizeof(text) - 1, 0));
    ck_assert_int_eq(mambaint_tokenizer_decode(back, sizeof(text) - 2, &len, t, ids, n),
                     MAMBAINT_E_SPACE);
    ck_assert_uint_eq(len, sizeof(text) - 1);
    OK(mambaint_tokenizer_decode(back, sizeof(back), &len, t, ids, n));
    ck_assert_mem_eq(back, text, len);
    OK(mambaint_tokenizer_encode(ids, 128, &n, t, "<|endoftext|>", 13, MAMBAINT_ENCODE_SPECIAL));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ids[0], 0);
    OK(mambaint_tokenizer_encode(ids, 128, &n, t, NULL, 0, 0));
    ck_assert_uint_eq(n, 0);
    ids[0] = 280;
    ck_assert_int_eq(mambaint_tokenizer_decode(back, sizeof(back), &len, t, ids, 1),
                     MAMBAINT_E_RANGE);
    ck_assert_int_eq(mambaint_tokenizer_encode(ids, 128, &n, t, "x", 1, 2), MAMBAINT_E_INVALID);
    mambaint_tokenizer_unref(t);
    mambaint_tokenizer_unref(again);
    mambaint_tokenizer_unref(from_model);
    ck_assert_int_eq(mambaint_tokenizer_train(&t, NULL, NULL, 0, o, NULL), MAMBAINT_E_INVALID);
    mambaint_options_free(o);
}
END_TEST

/* The same documents from memory and from a file are the same tokenizer. */
START_TEST(tokenizers_learn_from_files)
{
    static const char text[] = "ab ab ab cd cd cd\n<|endoftext|>\nab cd ab cd";
    static const char lines[] = "{\"instruction\": \"ab cd\", \"output\": \"ab ab\"}\n"
                                "{\"turns\": [\"ab\", \"cd cd\"]}\n";
    char path[TEST_PATH];
    mambaint_options *o;
    mambaint_tokenizer *t;
    uint8_t x[32], y[32];

    test_path(path, tiny.dir, "text.txt");
    test_file_write(path, text, sizeof(text) - 1);
    o = tiny_options("vocab", "274", NULL);
    OK(mambaint_tokenizer_train(&t, NULL, text, sizeof(text) - 1, o, NULL));
    OK(mambaint_tokenizer_digest(x, t));
    mambaint_tokenizer_unref(t);
    OK(mambaint_options_set(o, "data", path, NULL));
    OK(mambaint_tokenizer_train(&t, NULL, NULL, 0, o, NULL));
    OK(mambaint_tokenizer_digest(y, t));
    mambaint_tokenizer_unref(t);
    ck_assert_mem_eq(x, y, 32);
    mambaint_options_free(o);

    test_path(path, tiny.dir, "turns.jsonl");
    test_file_write(path, lines, sizeof(lines) - 1);
    o = tiny_options("vocab", "273", "data", path, NULL);
    if (mambaint_tokenizer_train(&t, NULL, NULL, 0, o, NULL) ==
        MAMBAINT_OK) { /* JSON is optional */
        int32_t ids[4];
        size_t n;

        OK(mambaint_tokenizer_encode(ids, 4, &n, t, "ab", 2, 0));
        ck_assert_uint_eq(n, 1);
        mambaint_tokenizer_unref(t);
    }
    mambaint_options_free(o);
    o = tiny_options("data", "/nonexistent/file", NULL);
    ck_assert_int_eq(mambaint_tokenizer_train(&t, NULL, NULL, 0, o, NULL), MAMBAINT_E_IO);
    mambaint_options_free(o);
}
END_TEST

/* ---- artefacts ---- */

static int32_t check(const char *path, const char *want)
{
    mambaint_error err = {0, ""};
    char kind[16] = "";
    const int32_t rc = mambaint_artefact_check(kind, sizeof(kind), NULL, path, &err);

    ck_assert_str_eq(kind, want);
    ck_assert((rc < 0) == (err.message[0] != 0));
    return rc;
}

START_TEST(artefacts_are_told_apart)
{
    char path[TEST_PATH], kind[16];
    mambaint_model *m = tiny_open(&tiny, NULL);
    mambaint_session *s = tiny_session(m, NULL);
    mambaint_tokenizer *t;
    mambaint_state *st;
    uint8_t *bytes;
    size_t size;

    OK(check(tiny.path, "model"));
    test_path(path, tiny.dir, "a.state");
    OK(mambaint_state_get(&st, s, NULL));
    mambaint_state_save(NULL, 0, &size, st);
    bytes = malloc(size);
    OK(mambaint_state_save(bytes, size, NULL, st));
    test_file_write(path, bytes, size);
    OK(check(path, "state"));
    bytes[size / 2] ^= 1;
    test_file_write(path, bytes, size);
    ck_assert_int_eq(check(path, "state"), MAMBAINT_E_FORMAT);
    free(bytes);
    test_path(path, tiny.dir, "a.tokenizer");
    OK(mambaint_tokenizer_of(&t, m));
    OK(mambaint_tokenizer_save(t, path, NULL));
    OK(check(path, "tokenizer"));
    tiny.bytes[tiny.size - 70] ^= 1;
    test_file_write(path, tiny.bytes, tiny.size);
    ck_assert_int_eq(check(path, "model"), MAMBAINT_E_FORMAT);
    test_file_write(path, "not a file of ours", 18);
    ck_assert_int_eq(check(path, "unknown"), MAMBAINT_E_FORMAT);
    test_file_write(path, "", 0);
    ck_assert_int_eq(check(path, "unknown"), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(check("/nonexistent", "unknown"), MAMBAINT_E_IO);
    ck_assert_int_eq(check(tiny.dir, "unknown"), MAMBAINT_E_IO);
    ck_assert_int_eq(mambaint_artefact_check(kind, 3, NULL, tiny.path, NULL), MAMBAINT_E_SPACE);
    OK(mambaint_artefact_check(NULL, 0, NULL, tiny.path, NULL));
    mambaint_tokenizer_unref(t);
    mambaint_state_free(st);
    mambaint_session_free(s);
    mambaint_model_unref(m);
}
END_TEST

/* ---- the machine ---- */

/* Every backend that runs here can be measured, on one thread and on two. */
START_TEST(the_machine_can_be_measured)
{
    static const char *const whats[] = {"read-bandwidth", "matvec", "mat_mul", "matmul"};
    static const char *const backends[] = {"scalar", "auto"};

    for (size_t b = 0; b < MBI_COUNT(backends); b++)
        for (size_t i = b ? 1 : 0; i < MBI_COUNT(whats); i++) {
            mambaint_options *o =
                tiny_options("backend", backends[b], "threads", b ? "2" : "1", NULL);
            mambaint_error err = {0, ""};
            int64_t value = -1;
            const int32_t rc = mambaint_machine_measure(&value, NULL, whats[i], o, &err);

            if (i == 2) {
                ck_assert_int_eq(rc, MAMBAINT_E_INVALID);
                ck_assert_msg(strstr(err.message, "matmul"), "%s", err.message);
                ck_assert_int_eq(value, -1);
            } else {
                ck_assert_msg(rc == MAMBAINT_OK, "%s", err.message);
                ck_assert_int_gt(value, 1000); /* a count, and no time of this machine */
            }
            mambaint_options_free(o);
        }
}
END_TEST

START_TEST(measurements_are_refused_with_a_reason)
{
    mambaint_options *o = tiny_options("backend", "quantum", NULL);
    int64_t value;

    ck_assert_int_eq(mambaint_machine_measure(&value, NULL, "matmul", o, NULL),
                     MAMBAINT_E_NO_BACKEND);
    mambaint_options_free(o);
    o = tiny_options("threads", "0", NULL);
    ck_assert_int_eq(mambaint_machine_measure(&value, NULL, "matmul", o, NULL), MAMBAINT_E_RANGE);
    mambaint_options_free(o);
}
END_TEST

static int32_t measure_scenario(const struct mbi_host *host, void *arg)
{
    mambaint_context *ctx = tiny_context(host, 1);
    int64_t value;
    const int32_t rc =
        ctx ? mambaint_machine_measure(&value, ctx, arg, NULL, NULL) : MAMBAINT_E_NO_MEMORY;

    mambaint_context_unref(ctx);
    return rc;
}

START_TEST(measuring_survives_without_memory)
{
    char matmul[] = "matmul";

    ck_assert_uint_ge(test_refuse_each(measure_scenario, matmul), 2);
}
END_TEST

/* A block that is refused is tried smaller, and a host that gives nothing ends it. */
START_TEST(reading_takes_what_memory_there_is)
{
    struct test_host t;
    mambaint_context *ctx;
    int64_t value = 0;

    test_host_init(&t);
    ctx = tiny_context(&t.host, 1);
    test_host_fail(&t, 1, true);
    ck_assert_int_eq(mambaint_machine_measure(&value, ctx, "read-bandwidth", NULL, NULL),
                     MAMBAINT_E_NO_MEMORY);
    test_host_fail(&t, 1, false);
    OK(mambaint_machine_measure(&value, ctx, "read-bandwidth", NULL, NULL));
    ck_assert_int_gt(value, 1000);
    test_host_fail(&t, 0, false);
    mambaint_context_unref(ctx);
    test_host_check(&t);
}
END_TEST

/* ---- misuse ---- */

#define BAD(call) ck_assert_int_eq((call), MAMBAINT_E_INVALID)

START_TEST(null_is_refused_everywhere)
{
    static const int32_t id = 0;
    mambaint_model *m = tiny_open(&tiny, NULL), *no_model;
    mambaint_session *s = tiny_session(m, NULL), *no_session;
    mambaint_tokenizer *t, *no_tokenizer;
    mambaint_options *o = tiny_options("seed", "1", NULL);
    mambaint_state *st, *no_state;
    uint8_t digest[32];
    char text[2048];
    int32_t ids[4], v;
    int64_t bits;
    size_t n;

    OK(mambaint_tokenizer_of(&t, m));
    OK(mambaint_session_feed(s, &id, 1, NULL));
    OK(mambaint_state_get(&st, s, NULL));

    BAD(mambaint_options_create(NULL));
    BAD(mambaint_options_set(NULL, "seed", "1", NULL));
    BAD(mambaint_options_set(o, NULL, "1", NULL));
    BAD(mambaint_options_set(o, "seed", NULL, NULL));
    BAD(mambaint_model_open(NULL, NULL, tiny.path, NULL, NULL));
    BAD(mambaint_model_open(&no_model, NULL, NULL, NULL, NULL));
    BAD(mambaint_model_open_memory(NULL, NULL, tiny.bytes, tiny.size, NULL, NULL));
    BAD(mambaint_model_open_memory(&no_model, NULL, NULL, 0, NULL, NULL));
    BAD(mambaint_model_text(text, sizeof(text), &n, NULL, "name"));
    BAD(mambaint_model_text(text, sizeof(text), &n, m, NULL));
    BAD(mambaint_model_text(NULL, 100, &n, m, "name"));
    BAD(mambaint_model_digest(NULL, m));
    BAD(mambaint_model_digest(digest, NULL));
    BAD(mambaint_model_synth(NULL, NULL, NULL, NULL));
    BAD(mambaint_artefact_check(text, 16, NULL, NULL, NULL));
    BAD(mambaint_artefact_check(NULL, 16, NULL, tiny.path, NULL));
    BAD(mambaint_tokenizer_of(NULL, m));
    BAD(mambaint_tokenizer_of(&no_tokenizer, NULL));
    BAD(mambaint_tokenizer_open(NULL, NULL, tiny.path, NULL));
    BAD(mambaint_tokenizer_open(&no_tokenizer, NULL, NULL, NULL));
    BAD(mambaint_tokenizer_open_memory(NULL, NULL, tiny.bytes, 1, NULL));
    BAD(mambaint_tokenizer_open_memory(&no_tokenizer, NULL, NULL, 1, NULL));
    BAD(mambaint_tokenizer_train(NULL, NULL, "x", 1, NULL, NULL));
    BAD(mambaint_tokenizer_train(&no_tokenizer, NULL, NULL, 1, NULL, NULL));
    BAD(mambaint_tokenizer_train(&no_tokenizer, NULL, NULL, 0, NULL, NULL));
    BAD(mambaint_tokenizer_import(NULL, NULL, "a", "b", NULL));
    BAD(mambaint_tokenizer_import(&no_tokenizer, NULL, NULL, "b", NULL));
    BAD(mambaint_tokenizer_import(&no_tokenizer, NULL, "a", NULL, NULL));
    BAD(mambaint_tokenizer_save(NULL, "x", NULL));
    BAD(mambaint_tokenizer_save(t, NULL, NULL));
    BAD(mambaint_tokenizer_encode(ids, 4, &n, NULL, "x", 1, 0));
    BAD(mambaint_tokenizer_encode(ids, 4, &n, t, NULL, 1, 0));
    BAD(mambaint_tokenizer_encode(NULL, 4, &n, t, "x", 1, 0));
    BAD(mambaint_tokenizer_decode(text, 4, &n, NULL, &id, 1));
    BAD(mambaint_tokenizer_decode(text, 4, &n, t, NULL, 1));
    ids[0] = 50;
    BAD(mambaint_tokenizer_decode(NULL, 4, &n, t, ids, 1));
    BAD(mambaint_tokenizer_digest(NULL, t));
    BAD(mambaint_tokenizer_digest(digest, NULL));
    ck_assert_int_eq(mambaint_tokenizer_vocab(NULL), 0);
    ck_assert_int_eq(mambaint_tokenizer_end_of_text(NULL), -1);
    ck_assert_int_eq(mambaint_tokenizer_role(NULL, 1), -1);
    BAD(mambaint_session_create(NULL, m, NULL, NULL));
    BAD(mambaint_session_create(&no_session, NULL, NULL, NULL));
    BAD(mambaint_session_say(NULL, 1, "x", 1, NULL));
    BAD(mambaint_session_say(s, 1, NULL, 1, NULL));
    BAD(mambaint_session_say(s, 0, "x", 1, NULL));
    BAD(mambaint_session_say(s, 4, "x", 1, NULL));
    BAD(mambaint_session_say(s, INT32_MIN, "x", 1, NULL));
    BAD(mambaint_session_feed(NULL, &id, 1, NULL));
    BAD(mambaint_session_feed(s, NULL, 1, NULL));
    BAD(mambaint_session_next(text, sizeof(text), &n, NULL, NULL));
    BAD(mambaint_session_next(text, sizeof(text), NULL, s, NULL));
    BAD(mambaint_session_next(NULL, 1, &n, s, NULL));
    BAD(mambaint_session_next_many(&v, NULL, 1, NULL));
    BAD(mambaint_session_piece(text, sizeof(text), &n, NULL));
    BAD(mambaint_session_piece(text, sizeof(text), NULL, s));
    BAD(mambaint_session_piece(NULL, 1, &n, s));
    BAD(mambaint_session_token(NULL, &v, s));
    BAD(mambaint_session_token(ids, &v, NULL));
    BAD(mambaint_session_logits(ids, 4, &n, NULL));
    BAD(mambaint_session_logits(NULL, 400, &n, s));
    BAD(mambaint_session_force(NULL, 0, NULL));
    BAD(mambaint_session_score(NULL, NULL, NULL, s, "x", 1, NULL));
    BAD(mambaint_session_score(&bits, NULL, NULL, NULL, "x", 1, NULL));
    BAD(mambaint_session_score(&bits, NULL, NULL, s, NULL, 1, NULL));
    BAD(mambaint_session_text(text, sizeof(text), &n, NULL, "seed"));
    BAD(mambaint_session_text(text, sizeof(text), &n, s, NULL));
    BAD(mambaint_session_text(text, sizeof(text), &n, s, "colour"));
    BAD(mambaint_machine_measure(NULL, NULL, "matmul", NULL, NULL));
    BAD(mambaint_machine_measure(&bits, NULL, NULL, NULL, NULL));
    BAD(mambaint_state_get(NULL, s, NULL));
    BAD(mambaint_state_get(&no_state, NULL, NULL));
    BAD(mambaint_state_set(NULL, st, NULL));
    BAD(mambaint_state_set(s, NULL, NULL));
    BAD(mambaint_state_digest(NULL, st));
    BAD(mambaint_state_digest(digest, NULL));
    BAD(mambaint_state_save(text, sizeof(text), &n, NULL));
    BAD(mambaint_state_save(NULL, 1, &n, st));
    BAD(mambaint_state_load(NULL, m, text, 1, NULL));
    BAD(mambaint_state_load(&no_state, NULL, text, 1, NULL));
    BAD(mambaint_state_load(&no_state, m, NULL, 1, NULL));

    mambaint_options_free(NULL);
    mambaint_context_ref(NULL);
    mambaint_context_unref(NULL);
    mambaint_model_ref(NULL);
    mambaint_model_unref(NULL);
    mambaint_tokenizer_ref(NULL);
    mambaint_tokenizer_unref(NULL);
    mambaint_session_cancel(NULL);
    mambaint_session_free(NULL);
    mambaint_state_free(NULL);

    mambaint_state_free(st);
    mambaint_options_free(o);
    mambaint_tokenizer_unref(t);
    mambaint_session_free(s);
    mambaint_model_unref(m);
}
END_TEST

START_TEST(ids_and_orders_out_of_range)
{
    static const int32_t bad[] = {-1, 300, INT32_MAX, INT32_MIN};
    mambaint_model *m = tiny_open(&tiny, NULL);
    mambaint_session *s = tiny_session(m, NULL);
    char text[2048];
    int32_t ids[3] = {1, 2, 0}, v;
    size_t n;

    BAD(mambaint_session_next(text, sizeof(text), &n, s, NULL)); /* nothing fed */
    BAD(mambaint_session_force(s, 1, NULL));
    BAD(mambaint_session_logits(&v, 1, &n, s));
    BAD(mambaint_session_token(&v, NULL, s));
    OK(mambaint_session_piece(text, sizeof(text), &n, s));
    ck_assert_uint_eq(n, 0);
    OK(mambaint_session_feed(s, NULL, 0, NULL));
    for (size_t i = 0; i < MBI_COUNT(bad); i++) {
        ids[2] = bad[i];
        ck_assert_int_eq(mambaint_session_feed(s, ids, 3, NULL), MAMBAINT_E_RANGE);
        ck_assert_int_eq(mambaint_session_force(s, bad[i], NULL), MAMBAINT_E_RANGE);
    }
    OK(mambaint_session_text(text, sizeof(text), NULL, s, "position"));
    ck_assert_str_eq(text, "0"); /* all or nothing */
    OK(mambaint_session_feed(s, ids, 1, NULL));
    ck_assert_int_eq(mambaint_session_logits(&v, 1, &n, s), MAMBAINT_E_SPACE);
    ck_assert_uint_eq(n, 300);
    mambaint_session_free(s);
    mambaint_model_unref(m);
}
END_TEST

/* An imported vocabulary has no roles: turns are refused, everything else works. */
START_TEST(turns_need_roles)
{
    struct mbi_host host;
    mambaint_options *o = tiny_options("preset", "mi-tiny", NULL);
    mambaint_error err = {0, ""};
    mambaint_model *m;
    mambaint_session *s;
    struct tiny t;

    mbi_host_default(&host);
    tiny_make(&t, o);
    for (size_t i = 0; i + 20 < t.size; i++) /* the keys become somebody else's */
        if (!memcmp(t.bytes + i, "mambaint.role.", 14))
            memcpy(t.bytes + i, "somebody.role.", 14);
    o = tiny_options("check-digest", "off", NULL);
    OK(mambaint_model_open_memory(&m, NULL, t.bytes, t.size, o, &err));
    mambaint_options_free(o);
    s = tiny_session(m, NULL);
    ck_assert_int_eq(mambaint_session_say(s, MAMBAINT_ROLE_USER, "x", 1, &err),
                     MAMBAINT_E_UNSUPPORTED);
    OK(mambaint_session_feed(s, &(int32_t){50}, 1, NULL));
    mambaint_session_free(s);
    mambaint_model_unref(m);
    tiny_free(&t);
}
END_TEST

START_TEST(versions_and_names)
{
    ck_assert(mambaint_version()[0]);
    ck_assert_str_eq(mambaint_status_name(MAMBAINT_E_MISMATCH), "E_MISMATCH");
    ck_assert_uint_eq(sizeof(mambaint_error), 256);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tc = tcase_create("api");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, unknown_options_name_the_nearest);
    tcase_add_test(tc, option_values_are_checked);
    tcase_add_test(tc, the_last_value_counts_and_stops_add_up);
    tcase_add_test(tc, setups_of_other_sizes);
    tcase_add_test(tc, contexts_survive_without_memory);
    tcase_add_test(tc, private_contexts_have_threads);
    tcase_add_test(tc, models_tell_about_themselves);
    tcase_add_test(tc, synthetic_models_depend_on_their_options);
    tcase_add_test(tc, impossible_shapes_are_refused);
    tcase_add_test(tc, a_deferred_digest_is_checked_at_first_use);
    tcase_add_test(tc, tokenizers_through_the_api);
    tcase_add_test(tc, tokenizers_learn_from_files);
    tcase_add_test(tc, artefacts_are_told_apart);
    tcase_add_test(tc, the_machine_can_be_measured);
    tcase_add_test(tc, measurements_are_refused_with_a_reason);
    tcase_add_test(tc, measuring_survives_without_memory);
    tcase_add_test(tc, reading_takes_what_memory_there_is);
    tcase_add_test(tc, null_is_refused_everywhere);
    tcase_add_test(tc, ids_and_orders_out_of_range);
    tcase_add_test(tc, turns_need_roles);
    tcase_add_test(tc, versions_and_names);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

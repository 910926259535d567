/* SPDX-License-Identifier: Apache-2.0 */
/* lib/model: what a model file must hold, its digest, saving. */
#include "base/intmath.h"
#include "model/check.h"
#include "model/model.h"
#include "tiny.h"

/* ---- what the tests share ---- */

static void tiny_setup(struct tiny *t, const char *weights)
{
    tiny_make(t,
              tiny_options("preset", "mi-tiny", "layers", "1", "d-model", "8", "heads", "2",
                           "head-dim", "3", "d-state", "4", "vocab", "272", "rotation-pairs", "1",
                           "weights", weights, "head-weights", weights, "tied-head", "off", NULL));
}

static struct mbi_model *load(const struct mbi_host *host, const struct tiny *t)
{
    struct mbi_container *file;
    struct mbi_model *m;

    OK(mbi_container_open_memory(&file, host, t->bytes, t->size, 0, NULL));
    OK(mbi_model_create(&m, host, file, NULL));
    return m;
}

/* A model taken apart, whose parameters may be changed and saved again. */
struct apart {
    struct mbi_host host;
    struct mbi_model *m;
    void **param;
    struct mbi_model_parts parts;
    char path[TEST_PATH];
};

static void take_apart(struct apart *a, const struct tiny *t)
{
    const struct mbi_graph *g;

    mbi_host_default(&a->host);
    a->m = load(&a->host, t);
    g = a->m->graph;
    a->param = calloc(g->n_params, sizeof(*a->param));
    ck_assert(a->param != NULL);
    for (uint32_t i = 0; i < g->n_params; i++) {
        const size_t n = mbi_param_size(&g->param[i]);

        a->param[i] = mbi_alloc_aligned(&a->host, n);
        memcpy(a->param[i], a->m->param[i], n);
    }
    a->parts = (struct mbi_model_parts){
        &a->m->config, g, a->m->tokenizer, (const void *const *)a->param, "n", "l"};
    test_path(a->path, t->dir, "changed.gguf");
}

static void put_away(struct apart *a)
{
    for (uint32_t i = 0; i < a->m->graph->n_params; i++)
        mbi_free_aligned(&a->host, a->param[i]);
    free(a->param);
    mbi_model_free(a->m);
}

/* Status of opening what was changed; the digest of the model in *digest if that is not NULL. */
static int32_t reopen(struct apart *a, uint8_t *digest, mambaint_error *err)
{
    struct mbi_container *file;
    struct mbi_model *m;
    int32_t rc;

    OK(mbi_model_save(&a->host, a->path, &a->parts, NULL));
    OK(mbi_container_open(&file, &a->host, a->path, 0, NULL));
    if ((rc = mbi_model_create(&m, &a->host, file, err)) < 0)
        return rc;
    if (digest)
        OK(mbi_model_digest(digest, m, NULL));
    mbi_model_free(m);
    return rc;
}

/* ---- saving and the digest ---- */

START_TEST(saved_again_is_the_same_model)
{
    static const char *const weights[] = {"int8", "ternary"};

    for (size_t i = 0; i < 2; i++) {
        uint8_t want[32], got[32];
        struct apart a;
        struct tiny t;

        tiny_setup(&t, weights[i]);
        take_apart(&a, &t);
        OK(mbi_model_digest(want, a.m, NULL));
        OK(reopen(&a, got, NULL));
        ck_assert_mem_eq(got, want, 32);
        put_away(&a);
        tiny_free(&t);
    }
}
END_TEST

/* A new name or licence is the same model; another weight, anywhere, is another. */
START_TEST(digest_names_what_is_computed)
{
    uint8_t first[32], got[32];
    struct apart a;
    struct tiny t;

    tiny_setup(&t, "int8");
    take_apart(&a, &t);
    OK(reopen(&a, first, NULL));
    a.parts.name = "another name";
    a.parts.license = "another licence";
    OK(reopen(&a, got, NULL));
    ck_assert_mem_eq(got, first, 32);
    for (uint32_t i = 0; i < a.m->graph->n_params; i++) {
        const size_t last = mbi_param_size(&a.m->graph->param[i]) - 1;
        int8_t *x = (int8_t *)a.param[i];
        const int8_t old = x[last];

        x[last] = (int8_t)(old > 0 ? old - 1 : old + 1);
        OK(reopen(&a, got, NULL));
        ck_assert_mem_ne(got, first, 32);
        x[last] = old;
    }
    put_away(&a);
    tiny_free(&t);
}
END_TEST

/* A parameter's digest: of its bytes as a file has them, little end first. */
static void param_digest(uint8_t out[32], const struct mbi_param *p, const void *array)
{
    const size_t size = mbi_param_size(p), element = mbi_dtype_size(p->type.dtype);
    const size_t width = element ? element : 1;
    uint8_t *bytes = malloc(size);

    ck_assert_ptr_nonnull(bytes);
    mbi_copy_le(bytes, array, size / width, width);
    mbi_blake2b(out, bytes, size);
    free(bytes);
}

/* The digest as decisions say it: graph, tokenizer, then name and hash of each tensor by name. */
START_TEST(digest_is_the_hash_of_its_parts)
{
    uint8_t want[32], got[32], part[32];
    const char *name[64], *last = "";
    struct mbi_blake2b s;
    struct apart a;
    struct tiny t;
    uint32_t n;

    tiny_setup(&t, "ternary");
    take_apart(&a, &t);
    n = a.m->graph->n_params;
    for (uint32_t i = 0; i < n; i++)
        name[i] = a.m->graph->param[i].name;
    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, a.m->graph->digest, 32);
    mbi_tokenizer_digest(part, a.m->tokenizer);
    mbi_blake2b_add(&s, part, 32);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t next = n, index;
        uint8_t length[8] = {0};

        for (uint32_t k = 0; k < n; k++)
            if (strcmp(name[k], last) > 0 && (next == n || strcmp(name[k], name[next]) < 0))
                next = k;
        last = name[next];
        index = mbi_graph_find_param(a.m->graph, last);
        length[0] = (uint8_t)strlen(last);
        mbi_blake2b_add(&s, length, 8);
        mbi_blake2b_add(&s, last, strlen(last));
        param_digest(part, &a.m->graph->param[index], a.param[index]);
        mbi_blake2b_add(&s, part, 32);
    }
    mbi_blake2b_end(&s, want);
    OK(mbi_model_digest(got, a.m, NULL));
    ck_assert_mem_eq(got, want, 32);
    put_away(&a);
    tiny_free(&t);
}
END_TEST

/* ---- weights outside their intervals ---- */

static void set_element(void *param, const struct mbi_type *t, size_t i, int64_t v)
{
    if (t->dtype == MBI_I16)
        ((int16_t *)param)[i] = (int16_t)v;
    else
        ((int8_t *)param)[i] = (int8_t)v;
}

/* Every parameter, at its first and last element: each side of the interval. */
START_TEST(values_outside_their_interval_are_refused)
{
    static const char *const weights[] = {"int8", "ternary"};

    for (size_t w = 0; w < 2; w++) {
        struct apart a;
        struct tiny t;

        tiny_setup(&t, weights[w]);
        take_apart(&a, &t);
        for (uint32_t i = 0; i < a.m->graph->n_params; i++) {
            const struct mbi_param *p = &a.m->graph->param[i];
            const struct mbi_type *type = &p->type;
            const int bits = 8 * (int)mbi_dtype_size(type->dtype);
            const size_t n = (size_t)type->rows * type->cols;
            uint8_t copy[8192];

            if (type->dtype == MBI_TERNARY)
                continue;
            ck_assert_uint_le(mbi_param_size(p), sizeof(copy));
            memcpy(copy, a.param[i], mbi_param_size(p));
            for (int k = 0; k < 8; k++) {
                const int64_t v =
                    k & 2 ? (k & 1 ? type->lo - 1 : type->lo) : (k & 1 ? type->hi + 1 : type->hi);
                mambaint_error err = {0, ""};

                if (mbi_sat(v, bits) != v)
                    continue;
                set_element(a.param[i], type, k & 4 ? 0 : n - 1, v);
                ck_assert_int_eq(reopen(&a, NULL, &err), k & 1 ? MAMBAINT_E_FORMAT : MAMBAINT_OK);
                if (k & 1)
                    ck_assert_msg(strstr(err.message, p->name) && strstr(err.message, "interval"),
                                  "%s", err.message);
                memcpy(a.param[i], copy, mbi_param_size(p));
            }
        }
        put_away(&a);
        tiny_free(&t);
    }
}
END_TEST

/* -128 is a legal byte and no legal weight. */
START_TEST(minus_128_is_refused)
{
    struct apart a;
    struct tiny t;

    tiny_setup(&t, "int8");
    take_apart(&a, &t);
    for (uint32_t i = 0; i < a.m->graph->n_params; i++)
        if (a.m->graph->param[i].is_matrix) {
            int8_t *x = a.param[i];
            const int8_t old = x[3];

            x[3] = -128;
            ck_assert_int_eq(reopen(&a, NULL, NULL), MAMBAINT_E_FORMAT);
            x[3] = old;
        }
    OK(reopen(&a, NULL, NULL));
    put_away(&a);
    tiny_free(&t);
}
END_TEST

/* Packed rows of 6 columns: two bytes, the upper half of the second is padding. */
START_TEST(ternary_bytes_are_checked)
{
    struct mbi_param p = {.type = {MBI_TERNARY, 0, 3, 6, -1, 1}};
    struct mbi_host host;
    uint8_t good[6] = {0x55, 0x55, 0x00, 0x50, 0xAA, 0x5A}, bad[6];

    mbi_host_default(&host);
    ck_assert(mbi_param_valid(&host, &p, good));
    for (size_t i = 0; i < 6; i++)
        for (int field = 0; field < 4; field++)
            for (int v = 0; v < 4; v++) {
                const bool pad = i % 2 == 1 && field >= 2;

                memcpy(bad, good, sizeof(bad));
                bad[i] = (uint8_t)((bad[i] & ~(3 << (2 * field))) | v << (2 * field));
                ck_assert_int_eq(mbi_param_valid(&host, &p, bad), pad ? v == 1 : v != 3);
            }
    p.type.cols = 8; /* no padding */
    ck_assert(mbi_param_valid(&host, &p, good));
    good[5] = 0xC5;
    ck_assert(!mbi_param_valid(&host, &p, good));
}
END_TEST

START_TEST(ternary_zeros_are_counted)
{
    struct test_random r;
    uint8_t bytes[7 * 3];

    test_random_init(&r, "ternary_zeros_are_counted");
    for (int round = 0; round < 2000; round++) {
        struct mbi_param p = {.type = {MBI_TERNARY, 0, 3, 1, -1, 1}};
        uint64_t zeros = 0;
        size_t row;

        p.type.cols = (uint32_t)test_random_between(&r, 1, 28);
        row = (p.type.cols + 3) / 4;
        memset(bytes, 0x55, sizeof(bytes));
        for (size_t y = 0; y < 3; y++)
            for (size_t x = 0; x < p.type.cols; x++) {
                const unsigned v = (unsigned)test_random_below(&r, 3), at = 2 * (x % 4);
                uint8_t *byte = &bytes[y * row + x / 4];

                *byte = (uint8_t)((*byte & ~(3u << at)) | v << at);
                zeros += v == 1;
            }
        test_that(mbi_ternary_zeros(&p, bytes) == zeros);
    }
}
END_TEST

/* ---- files that are sound containers and no sound models ---- */

struct change {
    const char *drop, *add_u32, *replace_text, *text; /* keys; NULL: leave */
    const char *drop_tensor, *add_tensor, *reshape, *retype;
    uint32_t vocab;              /* 0: leave */
    const char *label, *wording; /* a further key of text */
};

/* The model as a container, with one thing changed. */
static int32_t open_changed(struct apart *a, const struct change *c, mambaint_error *err)
{
    static const int8_t extra[4] = {0};
    const struct mbi_graph *g = a->m->graph;
    struct mbi_container_writer *w;
    struct mbi_container *file;
    struct mbi_config config = a->m->config;
    struct mbi_tokenizer *plain = NULL;
    struct mbi_model *m;
    struct mbi_buf bytes;
    int32_t rc;

    OK(mbi_container_writer_create(&w, &a->host, NULL));
    if (!c->drop || strcmp(c->drop, "general.architecture")) {
        const char *name = c->replace_text ? c->text : config.arch->name;

        mbi_container_add_text(w, "general.architecture", name, strlen(name));
    }
    if (!c->drop || strcmp(c->drop, "mambaint.arithmetic"))
        mbi_container_add_u32(w, "mambaint.arithmetic",
                              c->add_u32 && !strcmp(c->add_u32, "version") ? 2 : 1);
    if (c->add_u32 && strcmp(c->add_u32, "version"))
        mbi_container_add_u32(w, c->add_u32, 7);
    if (c->label)
        mbi_container_add_text(w, c->label, c->wording, strlen(c->wording));
    mbi_config_write(w, &config);
    if (c->vocab) {
        OK(mbi_tokenizer_plain(&plain, &a->host, MBI_PRE_GPT2, c->vocab, NULL));
        mbi_tokenizer_write(w, plain);
    } else {
        mbi_tokenizer_write(w, a->m->tokenizer);
    }
    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_param *p = &g->param[i];
        uint64_t rows = p->is_vector ? 0 : p->type.rows, cols = p->type.cols;
        uint32_t type = p->type.dtype == MBI_I16 ? MBI_TENSOR_I16 : MBI_TENSOR_I8;

        if (c->drop_tensor && !strcmp(c->drop_tensor, p->name))
            continue;
        if (c->reshape && !strcmp(c->reshape, p->name)) {
            if (rows) /* turned round */
                rows = p->type.cols, cols = p->type.rows;
            else /* one dimension too many */
                rows = 1;
        }
        if (c->retype && !strcmp(c->retype, p->name)) {
            type = MBI_TENSOR_I16; /* as many bytes */
            cols /= 2;
        }
        mbi_container_add_tensor(w, p->name, type, rows, cols, a->param[i]);
    }
    if (c->add_tensor)
        mbi_container_add_tensor(w, c->add_tensor, MBI_TENSOR_I8, 0, sizeof(extra), extra);
    mbi_buf_init(&bytes, &a->host);
    OK(mbi_container_save_memory(w, &bytes, NULL));
    mbi_container_writer_free(w);
    mbi_tokenizer_unref(plain);
    OK(mbi_container_open_memory(&file, &a->host, bytes.data, bytes.size, 0, NULL));
    mbi_buf_free(&bytes);
    if ((rc = mbi_model_create(&m, &a->host, file, err)) >= 0)
        mbi_model_free(m);
    return rc;
}

START_TEST(unsound_models_are_refused)
{
    static const struct {
        struct change change;
        int32_t rc;
        const char *word;
    } cases[] = {
        {{.text = NULL}, MAMBAINT_OK, ""},
        {{.add_u32 = "somebody.else"}, MAMBAINT_OK, ""},
        {{.add_u32 = "general.version"}, MAMBAINT_OK, ""},
        {{.add_u32 = "mambaint.surprise"}, MAMBAINT_E_FORMAT, "mambaint.surprise"},
        {{.add_u32 = "mamba-integer.surprise"}, MAMBAINT_E_FORMAT, "mamba-integer.surprise"},
        {{.add_u32 = "version"}, MAMBAINT_E_VERSION, "arithmetic"},
        {{.drop = "mambaint.arithmetic"}, MAMBAINT_E_FORMAT, "mambaint.arithmetic"},
        {{.drop = "general.architecture"}, MAMBAINT_E_FORMAT, "general.architecture"},
        {{.replace_text = "y", .text = "llama"}, MAMBAINT_E_UNSUPPORTED, "llama"},
        {{.vocab = 273}, MAMBAINT_E_FORMAT, "273"},
        {{.label = "general.name", .wording = ""}, MAMBAINT_OK, ""},
        {{.label = "general.name", .wording = "caf\xc3\xa9 \xf4\x8f\xbf\xbf"}, MAMBAINT_OK, ""},
        {{.label = "general.name", .wording = "caf\xe9"}, MAMBAINT_E_FORMAT, "general.name"},
        {{.label = "general.name", .wording = "cut \xe2\x82"}, MAMBAINT_E_FORMAT, "general.name"},
        {{.label = "general.license", .wording = "\xed\xa0\x80"}, /* a surrogate */
         MAMBAINT_E_FORMAT,
         "general.license"},
        {{.label = "somebody.else", .wording = "\xff"}, MAMBAINT_OK, ""},
        {{.add_u32 = "general.name"}, MAMBAINT_E_FORMAT, "general.name"},
        {{.drop_tensor = "token_embd.weight"}, MAMBAINT_E_FORMAT, "token_embd.weight"},
        {{.drop_tensor = "blk.0.ssm_d"}, MAMBAINT_E_FORMAT, "blk.0.ssm_d"},
        {{.add_tensor = "blk.1.ssm_d"}, MAMBAINT_E_FORMAT, "tensors"},
        {{.reshape = "blk.0.ssm_out.weight"}, MAMBAINT_E_FORMAT, "blk.0.ssm_out.weight"},
        {{.reshape = "blk.0.ssm_d"}, MAMBAINT_E_FORMAT, "blk.0.ssm_d"},
        {{.retype = "token_embd.weight"}, MAMBAINT_E_FORMAT, "token_embd.weight"},
    };
    struct apart a;
    struct tiny t;

    tiny_setup(&t, "int8");
    take_apart(&a, &t);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_error err = {0, ""};
        const int32_t rc = open_changed(&a, &cases[i].change, &err);

        ck_assert_msg(rc == cases[i].rc && strstr(err.message, cases[i].word),
                      "case %zu: %d instead of %d: %s", i, rc, cases[i].rc, err.message);
    }
    put_away(&a);
    tiny_free(&t);
}
END_TEST

START_TEST(names_that_are_not_utf8_are_not_saved)
{
    struct apart a;
    struct tiny t;

    tiny_setup(&t, "int8");
    take_apart(&a, &t);
    for (int i = 0; i < 3; i++) {
        mambaint_error err = {0, ""};
        FILE *f;

        a.parts.name = i == 1 ? "\xc3" : "\xc3\xa9";
        a.parts.license = i == 2 ? "\xff" : NULL;
        ck_assert_int_eq(mbi_model_save(&a.host, a.path, &a.parts, &err),
                         i ? MAMBAINT_E_INVALID : MAMBAINT_OK);
        ck_assert_msg(!i || strstr(err.message, i == 1 ? "general.name" : "general.license"), "%s",
                      err.message);
        f = fopen(a.path, "rb");
        ck_assert_int_eq(f != NULL, i == 0);
        if (f)
            fclose(f);
        remove(a.path);
    }
    put_away(&a);
    tiny_free(&t);
}
END_TEST

/* ---- damaged files ---- */

static int32_t open_bytes(const struct mbi_host *host, const uint8_t *bytes, size_t n,
                          mambaint_error *err)
{
    struct mbi_container *file;
    struct mbi_model *m;
    int32_t rc = mbi_container_open_memory(&file, host, bytes, n, 0, err);

    if (rc >= 0 && (rc = mbi_model_create(&m, host, file, err)) >= 0)
        mbi_model_free(m);
    return rc;
}

START_TEST(every_flipped_byte_and_every_cut_is_refused)
{
    struct test_random r;
    struct test_host host;
    struct tiny t;

    tiny_setup(&t, "int8");
    test_host_init(&host);
    test_random_init(&r, "every_flipped_byte_and_every_cut_is_refused");
    for (size_t i = 0; i < t.size; i++) {
        const uint8_t bit = (uint8_t)(1u << test_random_below(&r, 8));
        mambaint_error err = {0, ""};

        t.bytes[i] ^= bit;
        test_check(open_bytes(&host.host, t.bytes, t.size, &err) < 0 && err.message[0],
                   "byte %zu, bit %u is not noticed", i, bit);
        t.bytes[i] ^= bit;
        test_check(open_bytes(&host.host, t.bytes, i, NULL) < 0, "cut to %zu bytes is accepted", i);
    }
    OK(open_bytes(&host.host, t.bytes, t.size, NULL));
    test_host_check(&host);
    tiny_free(&t);
}
END_TEST

static int32_t open_scenario(const struct mbi_host *host, void *arg)
{
    const struct tiny *t = arg;
    struct mbi_container *file;
    uint8_t digest[32];
    struct mbi_model *m;
    int32_t rc = mbi_container_open_memory(&file, host, t->bytes, t->size, 0, NULL);

    if (rc < 0 || (rc = mbi_model_create(&m, host, file, NULL)) < 0)
        return rc;
    rc = mbi_model_digest(digest, m, NULL);
    mbi_model_free(m);
    return rc;
}

START_TEST(out_of_memory_leaves_nothing)
{
    struct tiny t;

    tiny_setup(&t, "ternary");
    ck_assert_uint_gt(test_refuse_each(open_scenario, &t), 10);
    tiny_free(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("model");

    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, saved_again_is_the_same_model);
    tcase_add_test(tc, digest_names_what_is_computed);
    tcase_add_test(tc, digest_is_the_hash_of_its_parts);
    tcase_add_test(tc, values_outside_their_interval_are_refused);
    tcase_add_test(tc, minus_128_is_refused);
    tcase_add_test(tc, ternary_bytes_are_checked);
    tcase_add_test(tc, ternary_zeros_are_counted);
    tcase_add_test(tc, unsound_models_are_refused);
    tcase_add_test(tc, names_that_are_not_utf8_are_not_saved);
    tcase_add_test(tc, every_flipped_byte_and_every_cut_is_refused);
    tcase_add_test(tc, out_of_memory_leaves_nothing);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

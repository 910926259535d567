/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs, keys and statements through the public calls, and their files byte by byte. */
#include "base/intmath.h"
#include "api/model.h"
#include "exec/backend.h"
#include "proof/layout.h"
#include "proof/public.h"
#include "proof/statement.h"
#include "tiny.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW)
#define STRIDE 13 /* of the bytes that are damaged one by one */
#else
#define STRIDE 1
#endif

static uint8_t *copy_of(const void *data, size_t n)
{
    uint8_t *copy = malloc(n + !n); /* a read behind its end is seen */

    test_that(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

/* The digest at the end of a file of either kind. */
MBI_NEVER_INLINE void seal(uint8_t *data, size_t n) /* else gcc warns of it */
{
    uint8_t digest[MBI_DIGEST_SIZE];

    if (n < sizeof(digest))
        return;
    mbi_blake2b(digest, data, n - sizeof(digest));
    memcpy(data + n - sizeof(digest), digest, sizeof(digest));
}

/* ---- models, proofs and keys to look at ---- */

#define FEATURES "1,-0.5"
#define MODELS 3

struct case_of {
    struct tiny file[MODELS];
    mambaint_model *model[MODELS]; /* of one shape each, so that chains fit */
    mambaint_context *ctx;
};

static void case_make(struct case_of *c, mambaint_context *ctx)
{
    static const char *const hidden[] = {"2", "3", "2"};
    static const char *const seed[] = {"1", "1", "2"};

    c->ctx = ctx;
    for (size_t i = 0; i < MODELS; i++) {
        tiny_make(&c->file[i], tiny_options("preset", "simple", "features-in", "2", "hidden",
                                            hidden[i], "outputs", "3", "seed", seed[i], NULL));
        c->model[i] = tiny_open(&c->file[i], ctx);
    }
}

static void case_free(struct case_of *c)
{
    for (size_t i = 0; i < MODELS; i++) {
        mambaint_model_unref(c->model[i]);
        tiny_free(&c->file[i]);
    }
    mambaint_context_unref(c->ctx);
}

/* A proof file as malloc'd bytes; frees the options. */
static uint8_t *prove(size_t *n, mambaint_model *const *model, size_t n_models, mambaint_options *o)
{
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    const void *data;
    uint8_t *copy;

    ck_assert_msg(mambaint_proof_create(&p, model, n_models, o, &err) == MAMBAINT_OK, "%s",
                  err.message);
    mambaint_options_free(o);
    data = mambaint_proof_data(p, n);
    copy = copy_of(data, *n);
    mambaint_proof_free(p);
    return copy;
}

static mambaint_key *key_of(mambaint_model *const *model, size_t n, const char *weights)
{
    mambaint_options *o = tiny_options("weights", weights, NULL);
    mambaint_error err = {0, ""};
    mambaint_key *k = NULL;

    ck_assert_msg(mambaint_key_create(&k, model, n, o, &err) == MAMBAINT_OK, "%s", err.message);
    mambaint_options_free(o);
    return k;
}

static uint8_t *save_key(size_t *n, const mambaint_key *k)
{
    uint8_t *data;

    ck_assert_int_eq(mambaint_key_save(NULL, 0, n, k), MAMBAINT_E_SPACE);
    test_that(data = malloc(*n));
    ck_assert_int_eq(mambaint_key_save(data, *n - 1, NULL, k), MAMBAINT_E_SPACE);
    OK(mambaint_key_save(data, *n, NULL, k));
    return data;
}

static mambaint_statement *statement_of(const void *data, size_t n)
{
    mambaint_error err = {0, ""};
    mambaint_statement *s = NULL;

    ck_assert_msg(mambaint_statement_read(&s, NULL, data, n, &err) == MAMBAINT_OK, "%s",
                  err.message);
    return s;
}

static char *text_of(const mambaint_statement *s, const char *key)
{
    size_t need = 0;
    char *text;

    ck_assert_int_eq(mambaint_statement_text(NULL, 0, &need, s, key), MAMBAINT_E_SPACE);
    test_that(text = malloc(need));
    ck_assert_int_eq(mambaint_statement_text(text, need - 1, NULL, s, key), MAMBAINT_E_SPACE);
    OK(mambaint_statement_text(text, need, NULL, s, key));
    ck_assert_uint_eq(strlen(text), need - 1);
    return text;
}

/* Not accepted, with this code and a sentence that has the word. */
static void refused(int32_t want, const char *word, const mambaint_key *k,
                    const mambaint_statement *expected, const void *data, size_t n)
{
    mambaint_statement *parsed = (void *)(uintptr_t)k;
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_verify(&parsed, k, expected, data, n, &err);

    test_check(rc == want, "%d, not %d: %s", rc, want, err.message);
    test_check(err.code == rc && strstr(err.message, word), "'%s' lacks '%s'", err.message, word);
    ck_assert_ptr_null(parsed);
}

/* Damaged, whatever the reason. */
static void not_accepted(const mambaint_key *k, const void *data, size_t n, size_t at)
{
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_verify(NULL, k, NULL, data, n, &err);

    test_check(rc < 0 && rc != MAMBAINT_E_INTERNAL && rc != MAMBAINT_E_NO_MEMORY, "byte %zu: %d",
               at, rc);
    test_check(err.code == rc && err.message[0], "byte %zu: no sentence", at);
}

static void accepted(const mambaint_key *k, const mambaint_statement *expected, const void *data,
                     size_t n)
{
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_verify(NULL, k, expected, data, n, &err);

    test_check(rc == MAMBAINT_ACCEPTED, "%d: %s", rc, err.message);
}

/* ---- what is true ---- */

/* "name": [..., as it has to stand in the JSON. */
static void add_list(char *out, size_t cap, const char *name, const int32_t *v, size_t n)
{
    size_t at = (size_t)snprintf(out, cap, "\"%s\": [", name);

    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%d", i ? ", " : "", v[i]);
    snprintf(out + at, cap - at, "]");
}

static void check_text(const mambaint_statement *s, mambaint_model *const *model, size_t n,
                       const char *weights, const mambaint_key *k)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    char *json = text_of(s, "json"), *words = text_of(s, "text"), want[256], hex[65];
    int32_t outputs[3];
    uint8_t id[32];

    OK(mambaint_model_evaluate(outputs, 3, NULL, model, n, o, NULL));
    add_list(want, sizeof(want), "outputs", outputs, 3);
    test_check(strstr(json, want), "%s lacks %s", json, want);
    test_that(strstr(json, "\"features\": [32, -16]"));
    snprintf(want, sizeof(want), "\"weights\": \"%s\"", weights);
    test_that(strstr(json, want));
    OK(mambaint_key_digest(id, k));
    mbi_hex(hex, id, sizeof(id));
    test_that(strstr(json, hex) && strstr(words, hex));
    test_that(strstr(words, "features: 1, -0.5\n") && strstr(words, "(largest)") &&
              strstr(words, weights) && strstr(words, "hidden 2"));
    free(json);
    free(words);
    mambaint_options_free(o);
}

START_TEST(proofs_are_accepted_and_say_what_was_run)
{
    static const char *const modes[] = {"committed", "public"};
    struct case_of c;

    case_make(&c, NULL);
    for (size_t mode = 0; mode < 2; mode++)
        for (size_t n = 1; n <= MODELS; n++) {
            mambaint_key *k = key_of(c.model, n, modes[mode]);
            mambaint_statement *parsed = NULL, *read;
            mambaint_error err = {0, ""};
            size_t size;
            uint8_t *data = prove(
                &size, c.model, n,
                tiny_options("features", FEATURES, "weights", modes[mode], "zk", "off", NULL));

            test_check(mambaint_proof_verify(&parsed, k, NULL, data, size, &err) ==
                           MAMBAINT_ACCEPTED,
                       "%zu models, %s: %s", n, modes[mode], err.message);
            check_text(parsed, c.model, n, modes[mode], k);
            accepted(k, parsed, data, size);
            read = statement_of(data, size);
            accepted(k, read, data, size);
            OK(mambaint_statement_match(parsed, "1, -0.5", NULL));
            mambaint_statement_free(read);
            mambaint_statement_free(parsed);
            mambaint_key_free(k);
            free(data);
        }
    case_free(&c);
}
END_TEST

START_TEST(numbers_are_told)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    mambaint_proof *p = NULL;
    int64_t v = -1;
    struct case_of c;

    case_make(&c, NULL);
    OK(mambaint_proof_create(&p, c.model, 1, o, NULL));
    OK(mambaint_proof_number(p, "log2_trace", &v));
    ck_assert(v > 3 && v < 20);
    OK(mambaint_proof_number(p, "soundness-bits", &v));
    ck_assert(v >= 100 && v <= 128);
    ck_assert_int_eq(mambaint_proof_number(p, "size", &v), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_number(NULL, "log2-trace", &v), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_number(p, NULL, &v), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_number(p, "log2-trace", NULL), MAMBAINT_E_INVALID);
    ck_assert_ptr_nonnull(mambaint_proof_data(p, NULL));
    mambaint_proof_free(p);
    mambaint_options_free(o);
    case_free(&c);
}
END_TEST

/* The same bytes for 1 and 2 threads and on each backend that runs here. */
START_TEST(proofs_are_the_same_everywhere)
{
    size_t want_size = 0;
    uint8_t *want = NULL;
    struct mbi_host host;

    mbi_host_default(&host);
    for (uint32_t threads = 1; threads <= 2; threads++) {
        const struct mbi_backend *b;
        struct case_of c;

        case_make(&c, tiny_context(&host, threads));
        for (size_t i = 0; (b = mbi_backend_at(i)); i++) {
            size_t n;
            uint8_t *data;

            if (!b->probe())
                continue;
            data =
                prove(&n, c.model, 2, tiny_options("features", FEATURES, "backend", b->name, NULL));
            if (!want) {
                want = copy_of(data, n);
                want_size = n;
            }
            ck_assert_uint_eq(n, want_size);
            test_same_bytes(data, want, n);
            free(data);
        }
        case_free(&c);
    }
    free(want);
}
END_TEST

/* ---- what is not ---- */

/* Every byte of a file, as it is and with a right digest. */
START_TEST(every_byte_of_a_file_counts)
{
    static const char *const modes[] = {"committed", "public"};
    struct test_random r;
    struct case_of c;

    test_random_init(&r, "every_byte_of_a_file_counts");
    case_make(&c, NULL);
    for (size_t mode = 0; mode < 2; mode++) {
        mambaint_key *k = key_of(c.model, 1, modes[mode]);
        size_t n;
        uint8_t *data =
            prove(&n, c.model, 1, tiny_options("features", FEATURES, "weights", modes[mode], NULL));
        uint8_t *copy = copy_of(data, n);

        accepted(k, NULL, data, n);
        for (size_t at = 0; at < n; at += at < 512 ? 1 : STRIDE) {
            const uint8_t flip = (uint8_t)(1 + test_random_below(&r, 255));

            copy[at] ^= flip;
            not_accepted(k, copy, n, at);
            if (at < n - MBI_DIGEST_SIZE) {
                seal(copy, n);
                not_accepted(k, copy, n, at);
            }
            memcpy(copy + n - MBI_DIGEST_SIZE, data + n - MBI_DIGEST_SIZE, MBI_DIGEST_SIZE);
            copy[at] = data[at];
        }
        accepted(k, NULL, copy, n);
        for (size_t cut = 0; cut < n; cut += 1 + cut / 32 * STRIDE) {
            uint8_t *shorter = copy_of(data, cut);

            not_accepted(k, shorter, cut, cut);
            seal(shorter, cut);
            not_accepted(k, shorter, cut, cut);
            free(shorter);
        }
        free(copy);
        copy = malloc(n + 1);
        test_that(copy);
        memcpy(copy, data, n);
        copy[n] = 0;
        not_accepted(k, copy, n + 1, n);
        seal(copy, n + 1);
        not_accepted(k, copy, n + 1, n);
        free(copy);
        free(data);
        mambaint_key_free(k);
    }
    case_free(&c);
}
END_TEST

/* Where the statement's fields lie in a proof of one model "simple" with 3 values: the head is 16;
 * 20 length, 24 name, 30 values, 34 value, 46 graph, 78 weights, 110 t0, 118 lanes, 122 kind, 126
 * count, 130 features (2), 132 kind, 136 count, 140 outputs. */
START_TEST(each_part_of_the_head_has_its_sentence)
{
    static const struct {
        size_t at;
        uint16_t value;
        int32_t code;
        const char *says;
    } cases[] = {
        {0, 0x494c, MAMBAINT_E_FORMAT, "no proof file"},
        {4, 2, MAMBAINT_E_VERSION, "version 2"},
        {4, 0, MAMBAINT_E_VERSION, "version 0"},
        {6, 2, MAMBAINT_E_VERSION, "profile 2"},
        {8, 0, MAMBAINT_E_FORMAT, "type 0"},
        {8, 3, MAMBAINT_E_FORMAT, "has a body"},
        {8, 4, MAMBAINT_E_FORMAT, "type 4"},
        {8, 2, MAMBAINT_E_FORMAT, "steps"}, /* a certificate has none */
        {10, 4, MAMBAINT_E_FORMAT, "flags 4"},
        {10, 0x8000, MAMBAINT_E_FORMAT, "flags"},
        {10, 3, MAMBAINT_E_FORMAT, "public and hidden"},
        {10, 2, MAMBAINT_E_FORMAT, "roots"}, /* whose number is another field */
        {10, 1, MAMBAINT_E_MISMATCH, "public"},
        {12, 0xffff, MAMBAINT_E_FORMAT, "statement should have"},
        {14, 0xffff, MAMBAINT_E_FORMAT, "statement should have"},
        {12, 0, MAMBAINT_E_FORMAT, "early"},
        {12, 137, MAMBAINT_E_FORMAT, "left behind"},
        {12, 135, MAMBAINT_E_FORMAT, "more values"},
        {16, 2, MAMBAINT_E_FORMAT, "in its statement"},
        {24, 0x6a6a, MAMBAINT_E_MISMATCH, "architecture of model 1"},
        {38, 3, MAMBAINT_E_MISMATCH, "configuration of model 1"},
        {46, 0, MAMBAINT_E_MISMATCH, "graph of model 1"},
        {78, 0, MAMBAINT_E_MISMATCH, "weights are other ones"},
        {118, 2, MAMBAINT_E_UNSUPPORTED, "2 steps"},
        {130, 0, MAMBAINT_E_REFUSED, "refused"}, /* other features */
        {140, 0, MAMBAINT_E_REFUSED, "refused"}, /* other outputs */
        {142, 0x7fff, MAMBAINT_E_RANGE, "output 0"},
    };
    struct case_of c;
    mambaint_key *k;
    uint8_t *data;
    size_t n;

    case_make(&c, NULL);
    k = key_of(c.model, 1, "committed");
    data = prove(&n, c.model, 1, tiny_options("features", FEATURES, NULL));
    ck_assert_uint_eq(mbi_load32(data + 12), 136);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        uint8_t *copy = copy_of(data, n);

        mbi_store16(copy + cases[i].at, cases[i].value);
        test_check(memcmp(copy, data, n) != 0, "case %zu changes nothing", i);
        seal(copy, n);
        refused(cases[i].code, cases[i].says, k, NULL, copy, n);
        free(copy);
    }
    data[n - 1] ^= 1;
    refused(MAMBAINT_E_FORMAT, "digest", k, NULL, data, n);
    data[n - 1] ^= 1;
    refused(MAMBAINT_E_FORMAT, "too few", k, NULL, data, 16);
    refused(MAMBAINT_E_FORMAT, "no proof file", k, NULL, data, 0);
    accepted(k, NULL, data, n);
    free(data);
    mambaint_key_free(k);
    case_free(&c);
}
END_TEST

START_TEST(other_keys_and_other_statements_are_told_apart)
{
    mambaint_statement *expected[4];
    uint8_t *data, *other, *chain, *swapped, *file;
    size_t n, n_other, n_chain, n_swapped, size;
    mambaint_model *back[2];
    mambaint_key *k[5];
    struct case_of c;

    case_make(&c, NULL);
    back[0] = c.model[2];
    back[1] = c.model[0];
    k[0] = key_of(c.model, 1, "committed");
    k[1] = key_of(&c.model[2], 1, "committed"); /* the same shape, other weights */
    k[2] = key_of(c.model, 1, "public");
    k[3] = key_of(back, 2, "committed");
    k[4] = key_of((mambaint_model *[]){c.model[0], c.model[2]}, 2, "committed");
    data = prove(&n, c.model, 1, tiny_options("features", FEATURES, NULL));
    other = prove(&n_other, c.model, 1, tiny_options("features", "1,-0.25", NULL));
    chain = prove(&n_chain, (mambaint_model *[]){c.model[0], c.model[2]}, 2,
                  tiny_options("features", FEATURES, NULL));
    swapped = prove(&n_swapped, back, 2, tiny_options("features", FEATURES, NULL));
    refused(MAMBAINT_E_MISMATCH, "weights", k[1], NULL, data, n);
    refused(MAMBAINT_E_MISMATCH, "committed, not public", k[2], NULL, data, n);
    refused(MAMBAINT_E_MISMATCH, "models", k[3], NULL, data, n);
    refused(MAMBAINT_E_MISMATCH, "weights", k[3], NULL, chain, n_chain);
    refused(MAMBAINT_E_MISMATCH, "weights", k[4], NULL, swapped, n_swapped);
    accepted(k[4], NULL, chain, n_chain);
    accepted(k[3], NULL, swapped, n_swapped);

    /* Replay: a good proof where another one was expected. */
    expected[0] = statement_of(data, n);
    expected[1] = statement_of(other, n_other);
    expected[2] = statement_of(chain, n_chain);
    accepted(k[0], expected[0], data, n);
    accepted(k[0], expected[1], other, n_other);
    refused(MAMBAINT_E_MISMATCH, "features are other", k[0], expected[1], data, n);
    refused(MAMBAINT_E_MISMATCH, "models", k[0], expected[2], data, n);
    OK(mambaint_statement_match(expected[1], "1,-.25", NULL));
    ck_assert_int_eq(mambaint_statement_match(expected[1], FEATURES, NULL), MAMBAINT_E_MISMATCH);
    ck_assert_int_eq(mambaint_statement_match(expected[1], "1", NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_match(expected[1], "1,9", NULL), MAMBAINT_E_RANGE);

    /* A statement with other outputs; saved, and read again. */
    other[140] ^= 1;
    seal(other, n_other);
    expected[3] = statement_of(other, n_other);
    other[140] ^= 1;
    seal(other, n_other);
    refused(MAMBAINT_E_MISMATCH, "outputs are other", k[0], expected[3], other, n_other);
    ck_assert_int_eq(mambaint_statement_save(NULL, 0, &size, expected[3]), MAMBAINT_E_SPACE);
    test_that(file = malloc(size));
    ck_assert_int_eq(mambaint_statement_save(file, size - 1, NULL, expected[3]), MAMBAINT_E_SPACE);
    OK(mambaint_statement_save(file, size, NULL, expected[3]));
    mambaint_statement_free(expected[3]);
    expected[3] = statement_of(file, size);
    refused(MAMBAINT_E_MISMATCH, "outputs are other", k[0], expected[3], other, n_other);
    refused(MAMBAINT_E_FORMAT, "statement alone", k[0], NULL, file, size);
    for (size_t i = 0; i < 4; i++)
        mambaint_statement_free(expected[i]);
    for (size_t i = 0; i < 5; i++)
        mambaint_key_free(k[i]);
    free(file);
    free(data);
    free(other);
    free(chain);
    free(swapped);
    case_free(&c);
}
END_TEST

/* ---- statements without a key ---- */

static void unread(int32_t want, const char *word, const uint8_t *data, size_t n)
{
    mambaint_statement *s = (void *)(uintptr_t)data;
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_statement_read(&s, NULL, data, n, &err);

    test_check(rc == want && strstr(err.message, word), "%d, not %d: '%s' lacks '%s'", rc, want,
               err.message, word);
    ck_assert_ptr_null(s);
}

START_TEST(statements_have_to_be_of_models_that_exist)
{
    static const struct {
        size_t at;
        uint32_t value;
        int32_t code;
        const char *says;
    } cases[] = {
        {24, 0x65656565, MAMBAINT_E_UNSUPPORTED, "proves nothing"},
        {34, 0, MAMBAINT_E_RANGE, "features-in"},
        {34, 257, MAMBAINT_E_RANGE, "features-in"},
        {38, UINT32_MAX, MAMBAINT_E_RANGE, "hidden"},
        {38, 3, MAMBAINT_E_MISMATCH, "another graph"},
        {42, 4097, MAMBAINT_E_RANGE, "outputs"},
        {46, 0, MAMBAINT_E_MISMATCH, "another graph"},
        {118, 2, MAMBAINT_E_FORMAT, "features"},
        {140, 0x7fffffff, MAMBAINT_E_RANGE, "output 0"},
    };
    struct case_of c;
    uint8_t *data;
    size_t n;

    case_make(&c, NULL);
    data = prove(&n, c.model, 1, tiny_options("features", FEATURES, NULL));
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        uint8_t *copy = copy_of(data, n);

        mbi_store32(copy + cases[i].at, cases[i].value);
        seal(copy, n);
        unread(cases[i].code, cases[i].says, copy, n);
        free(copy);
    }
    mbi_store32(data + 30, 2); /* values */
    seal(data, n);
    unread(MAMBAINT_E_FORMAT, "in its statement", data, n);
    free(data);
    case_free(&c);
}
END_TEST

/* ---- keys ---- */

static int32_t load_key(mambaint_key **k, const uint8_t *data, size_t n, mambaint_error *err)
{
    uint8_t *copy = copy_of(data, n);
    const int32_t rc = mambaint_key_load(k, NULL, copy, n, err);

    free(copy);
    return rc;
}

static void bad_key(int32_t want, const char *word, const uint8_t *data, size_t n)
{
    mambaint_key *k = (void *)(uintptr_t)data;
    mambaint_error err = {0, ""};
    const int32_t rc = load_key(&k, data, n, &err);

    test_check(rc == want || !want, "%d, not %d: %s", rc, want, err.message);
    test_check(rc < 0 && rc != MAMBAINT_E_INTERNAL && rc != MAMBAINT_E_NO_MEMORY && !k, "%d", rc);
    test_check(err.code == rc && strstr(err.message, word), "'%s' lacks '%s'", err.message, word);
}

START_TEST(keys_are_saved_and_loaded)
{
    struct case_of c;

    case_make(&c, NULL);
    for (size_t n = 1; n <= MODELS; n++) {
        mambaint_key *made = key_of(c.model, n, "committed"), *loaded = NULL;
        mambaint_key *open = key_of(c.model, n, "public");
        mambaint_error err = {0, ""};
        size_t size, again, proof_size;
        uint8_t *file = save_key(&size, made), *file2;
        uint8_t *proof = prove(&proof_size, c.model, n, tiny_options("features", FEATURES, NULL));
        uint8_t id[2][32];

        ck_assert_msg(load_key(&loaded, file, size, &err) == MAMBAINT_OK, "%s", err.message);
        accepted(loaded, NULL, proof, proof_size);
        file2 = save_key(&again, loaded);
        ck_assert_uint_eq(again, size);
        test_same_bytes(file2, file, size);
        OK(mambaint_key_digest(id[0], made));
        OK(mambaint_key_digest(id[1], loaded));
        ck_assert_mem_eq(id[0], id[1], 32);
        OK(mambaint_key_digest(id[1], open));
        ck_assert_mem_ne(id[0], id[1], 32);
        ck_assert_int_eq(mambaint_key_save(NULL, 0, &again, open), MAMBAINT_E_UNSUPPORTED);
        free(file);
        free(file2);
        free(proof);
        mambaint_key_free(open);
        mambaint_key_free(made);
        mambaint_key_free(loaded);
    }
    case_free(&c);
}
END_TEST

/* Behind the models' part of one model (94 bytes): the length of the certificate at 110, its file
 * from 114 on. */
#define KEY_MODELS 16
#define KEY_CERTIFICATE 114

/* Both digests of a key. */
static void seal_key(uint8_t *data, size_t n)
{
    seal(data + KEY_CERTIFICATE, n - MBI_DIGEST_SIZE - KEY_CERTIFICATE);
    seal(data, n);
}

START_TEST(damaged_keys_are_refused)
{
    static const struct {
        size_t at;
        uint16_t value;
        int32_t code;
        const char *says;
    } cases[] = {
        {0, 0x4c4c, MAMBAINT_E_FORMAT, "no key"},
        {4, 9, MAMBAINT_E_VERSION, "version 9"},
        {6, 9, MAMBAINT_E_VERSION, "profile 9"},
        {8, 1, MAMBAINT_E_FORMAT, "neither committed"},
        {8, 2, MAMBAINT_E_FORMAT, "in its models"}, /* there are no roots */
        {12, 93, MAMBAINT_E_FORMAT, "lengths"},
        {12, 0, MAMBAINT_E_FORMAT, "lengths"},
        {14, 0xffff, MAMBAINT_E_FORMAT, "lengths"},
        {110, 0, MAMBAINT_E_FORMAT, "lengths"},
        {KEY_MODELS, 0, MAMBAINT_E_FORMAT, "models"},
        {KEY_MODELS + 22, 3, MAMBAINT_E_MISMATCH, "certificate"},
        {KEY_MODELS + 70, 0, MAMBAINT_E_MISMATCH, "certificate"},
        {KEY_CERTIFICATE + 8, 1, MAMBAINT_E_FORMAT, "statement"},
        {KEY_CERTIFICATE + 10, 1, MAMBAINT_E_FORMAT, "certificate of public"},
        {KEY_CERTIFICATE + 78, 0, MAMBAINT_E_MISMATCH, "certificate"},
    };
    uint8_t *file, *other, *copy;
    size_t n, n_other;
    struct test_random r;
    mambaint_key *k[2];
    struct case_of c;

    test_random_init(&r, "damaged_keys_are_refused");
    case_make(&c, NULL);
    k[0] = key_of(c.model, 1, "committed");
    k[1] = key_of(&c.model[2], 1, "committed");
    file = save_key(&n, k[0]);
    other = save_key(&n_other, k[1]);
    ck_assert_uint_eq(mbi_load32(file + 12), 94);
    ck_assert_mem_eq(file + KEY_CERTIFICATE, "MIPF", 4);
    copy = copy_of(file, n);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mbi_store16(copy + cases[i].at, cases[i].value);
        test_check(memcmp(copy, file, n) != 0, "case %zu changes nothing", i);
        seal_key(copy, n);
        bad_key(cases[i].code, cases[i].says, copy, n);
        memcpy(copy, file, n);
    }
    for (size_t at = 0; at < n; at += at < 400 ? 1 : 7 * STRIDE) {
        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        bad_key(0, "", copy, n);
        seal_key(copy, n);
        if (at < n - 2 * MBI_DIGEST_SIZE) /* the digests are right again */
            bad_key(0, "", copy, n);
        memcpy(copy, file, n);
    }
    for (size_t cut = 0; cut < n; cut += 1 + cut / 32 * STRIDE)
        bad_key(0, "", file, cut);

    /* Weights that nobody certified, with the certificate of others; both of the same shape. */
    memcpy(copy + KEY_MODELS + 62, other + KEY_MODELS + 62, 32);
    seal_key(copy, n);
    bad_key(MAMBAINT_E_MISMATCH, "certificate", copy, n);
    memcpy(copy + KEY_CERTIFICATE + 78, other + KEY_MODELS + 62 + 0, 32);
    seal_key(copy, n);
    bad_key(0, "certificate", copy, n);
    free(copy);
    free(file);
    free(other);
    mambaint_key_free(k[0]);
    mambaint_key_free(k[1]);
    case_free(&c);
}
END_TEST

/* A proof of a run is no certificate, nor the other way round. */
START_TEST(kinds_are_not_mixed_up)
{
    uint8_t *file, *proof;
    mambaint_statement *s;
    struct mbi_host host;
    size_t n, n_proof;
    struct mbi_buf b;
    struct case_of c;
    mambaint_key *k;
    char *text;

    case_make(&c, NULL);
    k = key_of(c.model, 1, "committed");
    file = save_key(&n, k);
    proof = prove(&n_proof, c.model, 1, tiny_options("features", FEATURES, NULL));
    refused(MAMBAINT_E_FORMAT, "certificate", k, NULL, file + KEY_CERTIFICATE,
            n - MBI_DIGEST_SIZE - KEY_CERTIFICATE);
    refused(MAMBAINT_E_FORMAT, "no proof file", k, NULL, file, n);
    s = statement_of(file + KEY_CERTIFICATE, n - MBI_DIGEST_SIZE - KEY_CERTIFICATE);
    refused(MAMBAINT_E_MISMATCH, "certificate", k, s, proof, n_proof);
    text = text_of(s, "json");
    test_that(strstr(text, "\"type\": \"certificate\"") && strstr(text, "\"argmax\": null"));
    free(text);
    text = text_of(s, "text");
    test_that(strstr(text, "intervals"));
    free(text);
    ck_assert_int_eq(mambaint_statement_match(s, FEATURES, NULL), MAMBAINT_E_MISMATCH);
    mambaint_statement_free(s);

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    mbi_buf_add(&b, file, KEY_CERTIFICATE - 4);
    mbi_buf_add32(&b, (uint32_t)n_proof);
    mbi_buf_add(&b, proof, n_proof);
    mbi_buf_add_zero(&b, MBI_DIGEST_SIZE);
    seal(b.data, b.size);
    bad_key(MAMBAINT_E_FORMAT, "run", b.data, b.size);
    mbi_buf_free(&b);
    free(file);
    free(proof);
    mambaint_key_free(k);
    case_free(&c);
}
END_TEST

/* ---- models of text ---- */

struct text_model {
    struct tiny file;
    mambaint_model *model;
    mambaint_tokenizer *tokenizer;
    mambaint_key *key;
    uint8_t *data; /* the key's file */
    size_t n;
    struct mbi_statement_models said;
    const uint8_t *parameters; /* in the file */
    size_t n_parameters;
};

static void text_make(struct text_model *t, const char *preset)
{
    struct mbi_key_file file;

    tiny_make(&t->file, tiny_options("preset", preset, "layers", "1", "vocab", "290", NULL));
    t->model = tiny_open(&t->file, NULL);
    OK(mambaint_tokenizer_of(&t->tokenizer, t->model));
    t->key = key_of(&t->model, 1, "committed");
    t->data = save_key(&t->n, t->key);
    OK(mbi_key_file_read(&file, t->data, t->n, NULL));
    t->said = file.models;
    t->parameters = file.parameters;
    t->n_parameters = file.n_parameters;
}

static void text_free(struct text_model *t)
{
    free(t->data);
    mambaint_key_free(t->key);
    mambaint_tokenizer_unref(t->tokenizer);
    mambaint_model_unref(t->model);
    tiny_free(&t->file);
}

/* Exponents and scales of the model, one behind the other, as they are stored. */
static uint8_t *plain_parameters(size_t *n, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;
    uint8_t *out = malloc(1 << 16);

    test_that(out);
    *n = 0;
    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_type *t = &g->param[i].type;
        const void *from = m->model->param[i];

        if (g->param[i].quant != MBI_QUANT_DERIVED)
            continue;
        test_that(t->dtype == MBI_I8 || t->dtype == MBI_I16);
        for (size_t k = 0; k < (size_t)t->rows * t->cols; k++) {
            const int v =
                t->dtype == MBI_I8 ? ((const int8_t *)from)[k] : ((const int16_t *)from)[k];

            out[(*n)++] = (uint8_t)v;
            if (t->dtype == MBI_I16)
                out[(*n)++] = (uint8_t)(v >> 8);
        }
    }
    return out;
}

START_TEST(keys_have_the_public_parameters)
{
    static const char *const presets[] = {"mi-tiny", "mi-tiny-ternary"};

    for (size_t i = 0; i < 2; i++) {
        static const char domain[] = "mambaint-public";
        uint8_t digest[MBI_DIGEST_SIZE], id[2][32];
        mambaint_error err = {0, ""};
        mambaint_key *back = NULL;
        struct mbi_blake2b h;
        struct text_model t;
        uint8_t *plain, *again;
        size_t n, n_again;

        text_make(&t, presets[i]);
        plain = plain_parameters(&n, t.model);
        ck_assert_uint_gt(n, 50);
        ck_assert_uint_eq(n, t.n_parameters);
        ck_assert_uint_eq(n, mbi_public_size(t.model->model->graph));
        test_same_bytes(t.parameters, plain, n);
        ck_assert_ptr_eq(t.parameters + n + MBI_DIGEST_SIZE, t.data + t.n);
        mbi_blake2b_init(&h);
        mbi_blake2b_add(&h, domain, strlen(domain));
        mbi_blake2b_add(&h, plain, n);
        mbi_blake2b_end(&h, digest);
        test_that(t.said.n == 1 && t.said.model[0].has_public);
        test_same_bytes(t.said.model[0].parameters, digest, sizeof(digest));

        ck_assert_msg(load_key(&back, t.data, t.n, &err) == MAMBAINT_OK, "%s", err.message);
        OK(mambaint_key_digest(id[0], t.key));
        OK(mambaint_key_digest(id[1], back));
        test_same_bytes(id[0], id[1], sizeof(id[0]));
        again = save_key(&n_again, back);
        ck_assert_uint_eq(n_again, t.n);
        test_same_bytes(again, t.data, t.n);
        free(again);
        free(plain);
        mambaint_key_free(back);
        back = key_of(&t.model, 1, "public");
        OK(mambaint_key_digest(id[1], back));
        ck_assert_mem_ne(id[0], id[1], sizeof(id[0]));
        ck_assert_int_eq(mambaint_key_save(NULL, 0, NULL, back), MAMBAINT_E_UNSUPPORTED);
        mambaint_key_free(back);
        text_free(&t);
    }
}
END_TEST

/* A key with other public parameters and their digest at every place where it stands. */
static void forge(uint8_t *data, size_t n, const struct text_model *t)
{
    const size_t models = KEY_MODELS, size = mbi_load32(data + 12);
    const size_t at = models + size - 2 * MBI_DIGEST_SIZE, certificate = models + size + 4;
    const size_t certified = certificate + 16 + size - 2 * MBI_DIGEST_SIZE;
    const size_t end = certificate + mbi_load32(data + certificate - 4);

    ck_assert_mem_eq(data + certificate, "MIPF", 4);
    ck_assert_mem_eq(data + certified, data + at, MBI_DIGEST_SIZE);
    mbi_public_digest(data + at, data + (t->parameters - t->data), t->n_parameters);
    memcpy(data + certified, data + at, MBI_DIGEST_SIZE);
    mbi_blake2b(data + end - MBI_DIGEST_SIZE, data + certificate,
                end - certificate - MBI_DIGEST_SIZE);
    seal(data, n);
}

START_TEST(public_parameters_are_bound)
{
    struct test_random r;
    struct text_model t;
    uint8_t *copy;
    size_t first, length;

    test_random_init(&r, "public_parameters_are_bound");
    text_make(&t, "mi-tiny");
    first = (size_t)(t.parameters - t.data);
    length = first - 4;
    copy = copy_of(t.data, t.n);
    for (size_t at = first; at < t.n - MBI_DIGEST_SIZE; at += STRIDE) {
        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        seal(copy, t.n);
        bad_key(MAMBAINT_E_FORMAT, "not those of its digest", copy, t.n);
        copy[at] = t.data[at];
    }
    copy[first] ^= 1; /* within its interval */
    forge(copy, t.n, &t);
    bad_key(MAMBAINT_E_REFUSED, "certificate", copy, t.n);
    copy[first] = 100; /* of -8 to 15 */
    forge(copy, t.n, &t);
    bad_key(MAMBAINT_E_RANGE, "is 100, outside its interval [-8, 15]", copy, t.n);
    copy[first] = t.data[first];
    forge(copy, t.n, &t);
    test_same_bytes(copy, t.data, t.n);
    for (int change = -1; change <= 1; change += 2) {
        mbi_store32(copy + length, (uint32_t)((int)t.n_parameters + change));
        seal(copy, t.n);
        bad_key(MAMBAINT_E_FORMAT, "lengths", copy, t.n);
    }
    mbi_store32(copy + length, 0);
    seal(copy, t.n);
    bad_key(MAMBAINT_E_FORMAT, "lengths", copy, t.n);
    mbi_store32(copy + length, (uint32_t)t.n_parameters - 1); /* one byte less of them */
    seal(copy, t.n - 1);
    bad_key(MAMBAINT_E_FORMAT, "public parameters of model 1 have", copy, t.n - 1);
    seal(copy, length + MBI_DIGEST_SIZE); /* none at all */
    bad_key(MAMBAINT_E_FORMAT, "lengths", copy, length + MBI_DIGEST_SIZE);
    free(copy);
    test_that(copy = malloc(t.n + 1));
    memcpy(copy, t.data, t.n);
    mbi_store32(copy + length, (uint32_t)t.n_parameters + 1);
    seal(copy, t.n + 1);
    bad_key(MAMBAINT_E_FORMAT, "1 bytes are left behind", copy, t.n + 1);
    free(copy);
    text_free(&t);
}
END_TEST

/* ---- statements of tokens ---- */

/* A proof file with a body of so many zeros. */
static uint8_t *statement_file(size_t *n, const struct mbi_statement *s, size_t body)
{
    struct mbi_host host;
    struct mbi_buf b;
    uint8_t *copy;

    mbi_host_default(&host);
    mbi_buf_init(&b, &host);
    mbi_proof_file_begin(&b, MBI_PROOF_RUN, false, s);
    mbi_buf_add_zero(&b, body);
    mbi_proof_file_end(&b);
    copy = copy_of(b.data, b.size);
    *n = b.size;
    mbi_buf_free(&b);
    return copy;
}

/* The same of tokens. */
static uint8_t *tokens_file(size_t *n, const struct mbi_statement_models *said, const int32_t *ids,
                            size_t n_ids, uint32_t n_outputs, size_t body)
{
    uint8_t bytes[4 * 64];
    const struct mbi_statement s = {.models = *said,
                                    .lanes = (uint32_t)n_ids - 1,
                                    .input_kind = MBI_STATEMENT_TOKENS,
                                    .output_kind = MBI_STATEMENT_TOKENS,
                                    .n_inputs = (uint32_t)n_ids,
                                    .n_outputs = n_outputs,
                                    .input = bytes};

    test_that(n_ids <= 64);
    for (size_t i = 0; i < n_ids; i++)
        mbi_store32(bytes + 4 * i, (uint32_t)ids[i]);
    return statement_file(n, &s, body);
}

static char *text_with(const mambaint_statement *s, const mambaint_tokenizer *t, const char *key)
{
    size_t need = 0;
    char *text;

    ck_assert_int_eq(mambaint_statement_text_with(NULL, 0, &need, s, t, key), MAMBAINT_E_SPACE);
    test_that(text = malloc(need));
    ck_assert_int_eq(mambaint_statement_text_with(text, need - 1, NULL, s, t, key),
                     MAMBAINT_E_SPACE);
    OK(mambaint_statement_text_with(text, need, NULL, s, t, key));
    ck_assert_uint_eq(strlen(text), need - 1);
    return text;
}

static void has(char *text, const char *word)
{
    test_check(strstr(text, word), "%s lacks %s", text, word);
}

/* Ids of a prompt, then of a text, then the end of text. */
static size_t make_list(int32_t *ids, size_t *n_prompt, const struct text_model *t,
                        const char *prompt, const char *answer)
{
    size_t n = 0, m = 0;

    ids[0] = mambaint_tokenizer_end_of_text(t->tokenizer);
    OK(mambaint_tokenizer_encode(ids + 1, 60, &n, t->tokenizer, prompt, strlen(prompt), 0));
    *n_prompt = 1 + n;
    OK(mambaint_tokenizer_encode(ids + 1 + n, 60 - n, &m, t->tokenizer, answer, strlen(answer), 0));
    ids[1 + n + m] = ids[0];
    return n + m + 2;
}

START_TEST(statements_of_tokens_are_told)
{
    static const char prompt[] = "\"A\\\n", answer[] = "\033[2J\xe2\x80\xae\xff\xc3\xbc.";
    char want[512], hex[65];
    int32_t ids[64], back[64];
    mambaint_statement *s;
    struct text_model t;
    size_t n, n_ids, n_prompt, need, n_answer;
    uint8_t *data, id[32];
    char *text;

    text_make(&t, "mi-tiny");
    n_ids = make_list(ids, &n_prompt, &t, prompt, answer);
    data = tokens_file(&n, &t.said, ids, n_ids, (uint32_t)(n_ids - n_prompt), 7);
    s = statement_of(data, n);
    ck_assert_int_eq(mambaint_statement_ids(back, n_ids - 1, &need, &n_answer, s),
                     MAMBAINT_E_SPACE);
    ck_assert(need == n_ids && n_answer == n_ids - n_prompt);
    OK(mambaint_statement_ids(back, n_ids, NULL, NULL, s));
    ck_assert_mem_eq(back, ids, n_ids * sizeof(*ids));

    text = text_with(s, NULL, "text");
    has(text, "answered greedily");
    has(text, "mamba-integer, layers 1");
    snprintf(want, sizeof(want), "prompt, %zu tokens: %d %d", n_prompt, ids[0], ids[1]);
    has(text, want);
    snprintf(want, sizeof(want), "answer, %zu tokens: %d", n_ids - n_prompt, ids[n_prompt]);
    has(text, want);
    test_that(!strstr(text, "as text") && !strstr(text, "features:"));
    OK(mambaint_key_digest(id, t.key));
    mbi_hex(hex, id, sizeof(id));
    has(text, hex);
    free(text);
    text = text_with(s, t.tokenizer, "text");
    has(text, "prompt as text: <|endoftext|> \"\\\"A\\\\\\n\"\n");
    has(text, "answer as text: \"\\u{1b}[2J\\u{202e}\\xff\xc3\xbc.\" <|endoftext|>\n");
    free(text);
    text = text_of(s, "json");
    has(text, "\"prompt\": null, \"text\": null}");
    add_list(want, sizeof(want), "ids", ids, n_ids);
    has(text, want);
    snprintf(want, sizeof(want), "\"tokens\": %zu, \"n_outputs\": %zu", n_ids - 1,
             n_ids - n_prompt);
    has(text, want);
    mbi_hex(hex, t.said.model[0].parameters, 32);
    snprintf(want, sizeof(want), "\"public_digest\": \"%s\"", hex);
    has(text, want);
    free(text);
    text = text_with(s, t.tokenizer, "json");
    has(text, "\"prompt\": \"\\\"A\\\\\\u000a\", \"text\": "
              "\"\\u001b[2J\xe2\x80\xae\\ufffd\xc3\xbc.\"}");
    free(text);
    ck_assert_int_eq(mambaint_statement_text_with(NULL, 0, &need, s, t.tokenizer, "xml"),
                     MAMBAINT_E_INVALID);
    mambaint_statement_free(s);
    free(data);
    text_free(&t);
}
END_TEST

static void mismatch(int32_t rc, const mambaint_error *err, const char *word)
{
    test_check(rc == MAMBAINT_E_MISMATCH && err->code == rc && strstr(err->message, word),
               "%d: '%s' lacks '%s'", rc, err->message, word);
}

START_TEST(tokens_are_compared)
{
    static const char prompt[] = "ab", answer[] = "cde";
    mambaint_statement *s, *other[3];
    mambaint_tokenizer *more;
    mambaint_error err = {0, ""};
    struct text_model t;
    struct tiny larger;
    struct case_of c;
    int32_t ids[64];
    size_t n, n_other, n_ids, n_prompt, k;
    uint8_t *data, *file;

    case_make(&c, NULL);
    text_make(&t, "mi-tiny");
    n_ids = make_list(ids, &n_prompt, &t, prompt, answer);
    k = n_ids - n_prompt;
    data = tokens_file(&n, &t.said, ids, n_ids, (uint32_t)k, 9);
    s = statement_of(data, n);
    OK(mambaint_statement_match_ids(s, NULL, 0, NULL, 0, &err));
    OK(mambaint_statement_match_ids(s, ids, n_prompt, ids + n_prompt, k, &err));
    mismatch(mambaint_statement_match_ids(s, ids, n_prompt - 1, NULL, 0, &err), &err,
             "prompt of the proof has 3 tokens, not 2");
    mismatch(mambaint_statement_match_ids(s, NULL, 0, ids, k + 1, &err), &err, "answer");
    mismatch(mambaint_statement_match_ids(s, NULL, 0, ids, 0, &err), &err, "not 0");
    ids[n_ids - 1]++;
    mismatch(mambaint_statement_match_ids(s, ids, n_prompt, ids + n_prompt, k, &err), &err,
             "token 4 of the answer");
    ids[n_ids - 1]--;
    OK(mambaint_statement_match_text(s, t.tokenizer, prompt, 2, answer, 3, &err));
    OK(mambaint_statement_match_text(s, t.tokenizer, NULL, 0, NULL, 0, &err));
    mismatch(mambaint_statement_match_text(s, t.tokenizer, "ac", 2, NULL, 0, &err), &err,
             "token 3 of the prompt");
    mismatch(mambaint_statement_match_text(s, t.tokenizer, "a", 1, NULL, 0, &err), &err, "not 2");
    mismatch(mambaint_statement_match_text(s, t.tokenizer, "", 0, NULL, 0, &err), &err, "not 1");
    mismatch(mambaint_statement_match_text(s, t.tokenizer, NULL, 0, "cdf", 3, &err), &err,
             "up to byte 2");
    mismatch(mambaint_statement_match_text(s, t.tokenizer, NULL, 0, "cdef", 4, &err), &err,
             "3 bytes, not 4");
    mismatch(mambaint_statement_match_text(s, t.tokenizer, NULL, 0, "", 0, &err), &err, "not 0");
    mismatch(mambaint_statement_match(s, FEATURES, &err), &err, "no features");
    tiny_make(&larger, tiny_options("preset", "mi-tiny", "vocab", "300", NULL));
    OK(mambaint_tokenizer_open_memory(&more, NULL, larger.bytes, larger.size, &err));
    tiny_free(&larger);
    mismatch(mambaint_statement_match_text(s, more, NULL, 0, NULL, 0, &err), &err, "300 tokens");
    ck_assert_int_eq(mambaint_statement_text_with(NULL, 0, NULL, s, more, "text"),
                     MAMBAINT_E_MISMATCH);
    mambaint_tokenizer_unref(more);

    /* Whoever expects something else is told before the body is looked at. */
    ids[1] ^= 1;
    file = tokens_file(&n_other, &t.said, ids, n_ids, (uint32_t)k, 0);
    other[0] = statement_of(file, n_other);
    free(file);
    ids[1] ^= 1;
    file = tokens_file(&n_other, &t.said, ids, n_ids, (uint32_t)k - 1, 0);
    other[1] = statement_of(file, n_other);
    free(file);
    file = tokens_file(&n_other, &t.said, ids, n_ids - 1, (uint32_t)k - 1, 0);
    other[2] = statement_of(file, n_other);
    refused(MAMBAINT_E_FORMAT, "statement alone", t.key, NULL, file, n_other);
    free(file);
    refused(MAMBAINT_E_MISMATCH, "tokens are other", t.key, other[0], data, n);
    refused(MAMBAINT_E_MISMATCH, "answer has another length", t.key, other[1], data, n);
    refused(MAMBAINT_E_MISMATCH, "steps are other", t.key, other[2], data, n);
    not_accepted(t.key, data, n, n); /* zeros prove nothing */
    for (size_t i = 0; i < 3; i++)
        mambaint_statement_free(other[i]);

    /* Of features, and misuse. */
    file = prove(&n_other, &c.model[1], 1, tiny_options("features", FEATURES, NULL));
    other[0] = statement_of(file, n_other);
    free(file);
    mismatch(mambaint_statement_match_ids(other[0], NULL, 0, NULL, 0, &err), &err, "not of tokens");
    mismatch(mambaint_statement_match_text(other[0], NULL, NULL, 0, NULL, 0, &err), &err,
             "not of tokens");
    OK(mambaint_statement_ids(NULL, 0, &n_ids, &k, other[0]));
    ck_assert(!n_ids && !k);
    mambaint_statement_free(other[0]);
    ck_assert_int_eq(mambaint_statement_match_ids(NULL, NULL, 0, NULL, 0, NULL),
                     MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_match_text(s, NULL, NULL, 0, NULL, 0, NULL),
                     MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_ids(NULL, 1, NULL, NULL, s), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_ids(NULL, 0, NULL, NULL, NULL), MAMBAINT_E_INVALID);
    mambaint_statement_free(s);
    free(data);
    text_free(&t);
    case_free(&c);
}
END_TEST

/* What the bytes alone do not show, but the graph. */
START_TEST(statements_of_tokens_have_to_fit_their_model)
{
    const int32_t ids[] = {0, 289, 1, 2}, wrong[] = {0, 1, 290, 2}, last[] = {0, 1, 2, -1};
    struct mbi_statement_models said;
    mambaint_key *key;
    struct text_model t;
    struct case_of c;
    uint8_t *data, *proof;
    size_t n, at;

    case_make(&c, NULL);
    text_make(&t, "mi-tiny");
    data = tokens_file(&n, &t.said, ids, 4, 1, 0);
    mambaint_statement_free(statement_of(data, n));
    at = mbi_load32(data + 12) + 16 - 4 * 4 - 16; /* of the kind of what goes in */
    mbi_store32(data + at + 8, 290);
    seal(data, n);
    unread(MAMBAINT_E_RANGE, "id 0 is 290, outside the vocabulary of 290", data, n);
    free(data);
    data = tokens_file(&n, &t.said, wrong, 4, 1, 0);
    unread(MAMBAINT_E_RANGE, "id 2 is 290", data, n);
    free(data);
    data = tokens_file(&n, &t.said, last, 4, 1, 0);
    unread(MAMBAINT_E_RANGE, "id 3 is 4294967295", data, n);
    free(data);

    said = t.said;
    said.model[0].has_public = false;
    data = tokens_file(&n, &said, ids, 4, 1, 0);
    unread(MAMBAINT_E_FORMAT, "some public parameters", data, n);
    free(data);
    said = t.said;
    said.model[0].value[0]++; /* layers */
    data = tokens_file(&n, &said, ids, 4, 1, 0);
    unread(MAMBAINT_E_MISMATCH, "another graph", data, n);
    free(data);
    said.model[0].value[0] = UINT32_MAX;
    data = tokens_file(&n, &said, ids, 4, 1, 0);
    unread(MAMBAINT_E_RANGE, "layers", data, n);
    free(data);
    said = t.said;
    said.model[0].value[3]++; /* the inner width, which follows from heads */
    data = tokens_file(&n, &said, ids, 4, 1, 0);
    unread(MAMBAINT_E_FORMAT, "contradicts itself", data, n);
    free(data);

    /* A chain of models of text, fed with features. */
    {
        const struct mbi_statement s = {
            .models = {.n = 2, .model = {t.said.model[0], t.said.model[0]}},
            .lanes = 1,
            .input_kind = MBI_STATEMENT_CLEAR,
            .output_kind = MBI_STATEMENT_CLEAR,
            .n_inputs = 1,
            .n_outputs = 1,
            .input = (const uint8_t *)ids,
            .output = (const uint8_t *)ids};

        data = statement_file(&n, &s, 0);
        unread(MAMBAINT_E_UNSUPPORTED, "is in a chain", data, n);
        free(data);
    }

    /* A model that takes features, fed with tokens; with public parameters that it has not. */
    key = key_of(c.model, 1, "committed");
    proof = prove(&n, c.model, 1, tiny_options("features", FEATURES, NULL));
    {
        struct mbi_proof_file file;

        OK(mbi_proof_file_read(&file, proof, n, NULL));
        said = file.statement.models;
    }
    free(proof);
    data = tokens_file(&n, &said, ids, 4, 1, 1);
    unread(MAMBAINT_E_FORMAT, "of tokens, but the model takes features", data, n);
    refused(MAMBAINT_E_FORMAT, "of tokens, but the model takes features", key, NULL, data, n);
    free(data);
    said.model[0].has_public = true;
    data = tokens_file(&n, &said, ids, 4, 1, 1);
    unread(MAMBAINT_E_FORMAT, "no public parameters", data, n);
    refused(MAMBAINT_E_MISMATCH, "public parameters of model 1", key, NULL, data, n);
    free(data);
    mambaint_key_free(key);
    text_free(&t);
    case_free(&c);
}
END_TEST

/* ---- check ---- */

static void check_kind(const char *dir, const char *want, const void *data, size_t n, int32_t code)
{
    char path[TEST_PATH], kind[16];

    test_path(path, dir, "artefact");
    test_file_write(path, data, n);
    ck_assert_int_eq(mambaint_artefact_check(kind, sizeof(kind), NULL, path, NULL), code);
    ck_assert_str_eq(kind, want);
}

START_TEST(files_are_known_by_their_kind)
{
    mambaint_statement *s;
    uint8_t *file, *proof, saved[256];
    char dir[TEST_PATH];
    size_t n, n_proof, n_saved;
    struct case_of c;
    mambaint_key *k;

    test_dir_make(dir);
    case_make(&c, NULL);
    k = key_of(c.model, 1, "committed");
    file = save_key(&n, k);
    proof = prove(&n_proof, c.model, 1, tiny_options("features", FEATURES, NULL));
    s = statement_of(proof, n_proof);
    OK(mambaint_statement_save(saved, sizeof(saved), &n_saved, s));
    check_kind(dir, "proof", proof, n_proof, MAMBAINT_OK);
    check_kind(dir, "key", file, n, MAMBAINT_OK);
    check_kind(dir, "statement", saved, n_saved, MAMBAINT_OK);
    proof[200] ^= 1;
    check_kind(dir, "proof", proof, n_proof, MAMBAINT_E_FORMAT);
    seal(proof, n_proof);
    check_kind(dir, "proof", proof, n_proof, MAMBAINT_OK); /* whole, and false */
    file[n - 100] ^= 1;
    seal_key(file, n);
    check_kind(dir, "key", file, n, MAMBAINT_E_REFUSED);
    check_kind(dir, "key", file, n - 1, MAMBAINT_E_FORMAT);
    mambaint_statement_free(s);
    mambaint_key_free(k);
    free(file);
    free(proof);
    case_free(&c);
    test_dir_remove(dir);
}
END_TEST

/* ---- misuse ---- */

static void no_proof(int32_t want, const char *word, mambaint_model *const *model, size_t n,
                     mambaint_options *o)
{
    mambaint_proof *p = (void *)o;
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_create(&p, model, n, o, &err);

    test_check(rc == want && strstr(err.message, word), "%d, not %d: '%s' lacks '%s'", rc, want,
               err.message, word);
    ck_assert_ptr_null(p);
    mambaint_options_free(o);
}

START_TEST(misuse_is_an_error)
{
    mambaint_model *none[2] = {NULL, NULL}, *text, *many[17];
    mambaint_statement *s = (void *)none;
    mambaint_proof *p = NULL;
    mambaint_key *k = (void *)none;
    uint8_t byte = 0, id[32];
    mambaint_error err = {0, ""};
    struct case_of c;
    struct tiny t;
    size_t n = 7;

    case_make(&c, NULL);
    for (size_t i = 0; i < MBI_COUNT(many); i++)
        many[i] = c.model[0];
    tiny_make(&t, tiny_options("preset", "mi-tiny", NULL));
    text = tiny_open(&t, NULL);
    no_proof(MAMBAINT_E_INVALID, "model", NULL, 1, tiny_options(NULL));
    no_proof(MAMBAINT_E_INVALID, "model", c.model, 0, tiny_options(NULL));
    no_proof(MAMBAINT_E_INVALID, "NULL", none, 1, tiny_options(NULL));
    no_proof(MAMBAINT_E_RANGE, "17", many, 17, tiny_options(NULL));
    no_proof(MAMBAINT_E_INVALID, "option prompt", &text, 1, tiny_options(NULL));
    no_proof(MAMBAINT_E_MISMATCH, "takes text", &text, 1, tiny_options("features", "1", NULL));
    no_proof(MAMBAINT_E_RANGE, "vocabulary", &text, 1, tiny_options("ids", "1,300", NULL));
    no_proof(MAMBAINT_E_RANGE, "tokens", &text, 1, tiny_options("ids", "1", "tokens", "0", NULL));
    no_proof(MAMBAINT_E_NO_BACKEND, "abacus", &text, 1,
             tiny_options("ids", "1", "backend", "abacus", NULL));
    no_proof(MAMBAINT_E_MISMATCH, "takes features", c.model, 1,
             tiny_options("features", FEATURES, "prompt", "a", NULL));
    no_proof(MAMBAINT_E_MISMATCH, "option ids", c.model, 1, tiny_options("ids", "1", NULL));
    many[1] = text;
    no_proof(MAMBAINT_E_MISMATCH, "model 2 (mamba-integer) takes text", many, 3,
             tiny_options("features", FEATURES, NULL));
    many[1] = c.model[0];
    no_proof(MAMBAINT_E_INVALID, "features", c.model, 1, tiny_options(NULL));
    no_proof(MAMBAINT_E_INVALID, "features", c.model, 1, tiny_options("features", "1", NULL));
    no_proof(MAMBAINT_E_RANGE, "number 2", c.model, 1, tiny_options("features", "1,4", NULL));
    no_proof(MAMBAINT_E_INVALID, "zk", c.model, 1,
             tiny_options("features", FEATURES, "zk", "on", NULL));
    no_proof(MAMBAINT_E_INVALID, "zk", c.model, 1,
             tiny_options("features", FEATURES, "zk", "maybe", NULL));
    no_proof(MAMBAINT_E_INVALID, "committed nor public", c.model, 1,
             tiny_options("features", FEATURES, "weights", "int8", NULL));
    no_proof(MAMBAINT_E_NO_BACKEND, "abacus", c.model, 1,
             tiny_options("features", FEATURES, "backend", "abacus", NULL));
    ck_assert_int_eq(mambaint_proof_create(NULL, c.model, 1, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_create(&p, c.model, 1, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_ptr_null(mambaint_proof_data(NULL, &n));
    ck_assert_uint_eq(n, 0);

    ck_assert_int_eq(mambaint_key_create(NULL, c.model, 1, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_create(&k, NULL, 1, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_ptr_null(k);
    ck_assert_int_eq(mambaint_key_create(&k, none, 1, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_create(&k, c.model, 0, NULL, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_load(NULL, NULL, &byte, 1, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_load(&k, NULL, NULL, 1, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_load(&k, NULL, &byte, 1, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mambaint_key_save(&byte, 1, &n, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_digest(id, NULL), MAMBAINT_E_INVALID);
    OK(mambaint_key_create(&k, c.model, 1, NULL, NULL));
    ck_assert_int_eq(mambaint_key_digest(NULL, k), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_key_save(NULL, 1, &n, k), MAMBAINT_E_INVALID);

    ck_assert_int_eq(mambaint_statement_read(NULL, NULL, &byte, 1, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_read(&s, NULL, NULL, 1, NULL), MAMBAINT_E_INVALID);
    ck_assert_ptr_null(s);
    ck_assert_int_eq(mambaint_statement_read(&s, NULL, &byte, 1, NULL), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mambaint_statement_save(&byte, 1, &n, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_text((char *)&byte, 1, &n, NULL, "text"),
                     MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_statement_match(NULL, "1", NULL), MAMBAINT_E_INVALID);

    ck_assert_int_eq(mambaint_proof_verify(&s, NULL, NULL, &byte, 1, &err), MAMBAINT_E_INVALID);
    ck_assert(strstr(err.message, "whose weights"));
    ck_assert_int_eq(mambaint_proof_verify(&s, k, NULL, NULL, 0, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_proof_verify(NULL, k, NULL, &byte, 0, NULL), MAMBAINT_E_FORMAT);
    mambaint_key_free(k);
    mambaint_proof_free(NULL);
    mambaint_key_free(NULL);
    mambaint_statement_free(NULL);
    mambaint_model_unref(text);
    tiny_free(&t);
    case_free(&c);
}
END_TEST

/* A key may outlive its models, and everything its context. */
START_TEST(the_order_of_freeing_does_not_matter)
{
    mambaint_statement *parsed = NULL;
    struct test_host host;
    mambaint_key *k;
    struct case_of c;
    uint8_t *proof;
    size_t n;
    char *text;

    test_host_init(&host);
    case_make(&c, tiny_context(&host.host, 1));
    k = key_of(c.model, 2, "public");
    proof = prove(&n, c.model, 2, tiny_options("features", FEATURES, "weights", "public", NULL));
    case_free(&c);
    ck_assert_int_eq(mambaint_proof_verify(&parsed, k, NULL, proof, n, NULL), MAMBAINT_ACCEPTED);
    mambaint_key_free(k);
    text = text_of(parsed, "text");
    free(text);
    free(proof);
    mambaint_statement_free(parsed);
    test_host_check(&host);
}
END_TEST

/* ---- memory ---- */

struct scene {
    const struct case_of *c;
    const struct tiny *model;
    const char *weights;
    uint8_t *key, *proof;
    size_t key_size, proof_size;
};

static int32_t create_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_options *o = tiny_options("features", FEATURES, "weights", s->weights, NULL);
    mambaint_model *m = NULL;
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    int32_t rc = ctx ? mambaint_model_open_memory(&m, ctx, s->c->file[0].bytes, s->c->file[0].size,
                                                  NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0)
        rc = mambaint_proof_create(&p, &m, 1, o, &err);
    ck_assert(rc == MAMBAINT_OK || !p);
    mambaint_proof_free(p);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

static int32_t save_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_model *m = NULL;
    mambaint_key *k = NULL;
    int32_t rc = ctx ? mambaint_model_open_memory(&m, ctx, s->c->file[0].bytes, s->c->file[0].size,
                                                  NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0)
        rc = mambaint_key_create(&k, &m, 1, NULL, NULL);
    if (rc >= 0 && (rc = mambaint_key_save(NULL, 0, NULL, k)) == MAMBAINT_E_SPACE)
        rc = MAMBAINT_OK;
    mambaint_key_free(k);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    return rc;
}

static int32_t verify_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_statement *parsed = NULL;
    mambaint_key *k = NULL;
    char *text = malloc(8192);
    int32_t rc = ctx ? mambaint_key_load(&k, ctx, s->key, s->key_size, NULL) : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0 && (rc = mambaint_proof_verify(&parsed, k, NULL, s->proof, s->proof_size, NULL)) ==
                       MAMBAINT_ACCEPTED)
        rc = mambaint_statement_text(text, 8192, NULL, parsed, "json");
    free(text);
    mambaint_statement_free(parsed);
    mambaint_key_free(k);
    mambaint_context_unref(ctx);
    return rc;
}

/* A key of a model of text, and a statement about it in words. */
static int32_t text_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_statement *said = NULL;
    mambaint_model *m = NULL;
    mambaint_key *k = NULL;
    char *text = malloc(8192);
    int32_t rc = ctx ? mambaint_key_load(&k, ctx, s->key, s->key_size, NULL) : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0)
        rc = mambaint_model_open_memory(&m, ctx, s->model->bytes, s->model->size, NULL, NULL);
    if (rc >= 0)
        rc = mambaint_tokenizer_of(&tokenizer, m);
    if (rc >= 0)
        rc = mambaint_statement_read(&said, ctx, s->proof, s->proof_size, NULL);
    if (rc >= 0)
        rc = mambaint_statement_match_text(said, tokenizer, "a", 1, "b", 1, NULL);
    if (rc >= 0)
        rc = mambaint_statement_text_with(text, 8192, NULL, said, tokenizer, "text");
    if (rc >= 0)
        rc = mambaint_statement_text_with(text, 8192, NULL, said, tokenizer, "json");
    free(text);
    mambaint_statement_free(said);
    mambaint_tokenizer_unref(tokenizer);
    mambaint_key_free(k);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    return rc;
}

static void refuse_text(void)
{
    struct text_model t;
    struct scene s;
    int32_t ids[64];
    size_t n, n_prompt;

    text_make(&t, "mi-tiny");
    n = make_list(ids, &n_prompt, &t, "a", "b");
    s = (struct scene){.model = &t.file, .key = t.data, .key_size = t.n};
    s.proof = tokens_file(&s.proof_size, &t.said, ids, n, (uint32_t)(n - n_prompt), 0);
    ck_assert_uint_gt(test_refuse_each(text_on, &s), 50);
    free(s.proof);
    text_free(&t);
}

START_TEST(refused_memory_is_an_error)
{
    struct scene s = {.weights = "committed"};
    struct case_of c;
    mambaint_key *k;

    case_make(&c, NULL);
    s.c = &c;
    k = key_of(c.model, 1, "committed");
    s.key = save_key(&s.key_size, k);
    s.proof = prove(&s.proof_size, c.model, 1, tiny_options("features", FEATURES, NULL));
    ck_assert_uint_gt(test_refuse_each(create_on, &s), 50);
    s.weights = "public";
    ck_assert_uint_gt(test_refuse_each(create_on, &s), 50);
    ck_assert_uint_gt(test_refuse_each(save_on, &s), 50);
    ck_assert_uint_gt(test_refuse_each(verify_on, &s), 50);
    refuse_text();
    free(s.key);
    free(s.proof);
    mambaint_key_free(k);
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof_api");
    TCase *t = tcase_create("proof_api");

    tcase_set_timeout(t, 280);
    tcase_add_test(t, proofs_are_accepted_and_say_what_was_run);
    tcase_add_test(t, numbers_are_told);
    tcase_add_test(t, proofs_are_the_same_everywhere);
    tcase_add_test(t, every_byte_of_a_file_counts);
    tcase_add_test(t, each_part_of_the_head_has_its_sentence);
    tcase_add_test(t, other_keys_and_other_statements_are_told_apart);
    tcase_add_test(t, statements_have_to_be_of_models_that_exist);
    tcase_add_test(t, keys_are_saved_and_loaded);
    tcase_add_test(t, damaged_keys_are_refused);
    tcase_add_test(t, kinds_are_not_mixed_up);
    tcase_add_test(t, keys_have_the_public_parameters);
    tcase_add_test(t, public_parameters_are_bound);
    tcase_add_test(t, statements_of_tokens_are_told);
    tcase_add_test(t, tokens_are_compared);
    tcase_add_test(t, statements_of_tokens_have_to_fit_their_model);
    tcase_add_test(t, files_are_known_by_their_kind);
    tcase_add_test(t, misuse_is_an_error);
    tcase_add_test(t, the_order_of_freeing_does_not_matter);
    tcase_add_test(t, refused_memory_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}

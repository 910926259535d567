/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: they hold wherever they are run again, and are refused when anything is changed. */
#include "api/receipt.h"
#include "tiny.h"

#define VOCAB 300
#define DIGEST 32
#define ACCEPTED(call) ck_assert_int_eq((call), MAMBAINT_ACCEPTED)

static struct tiny tiny;
static mambaint_model *model;

static void setup(void)
{
    tiny_make(&tiny, tiny_options("preset", "mi-tiny", "seed", "3", NULL));
    model = tiny_open(&tiny, NULL);
}

static void teardown(void)
{
    mambaint_model_unref(model);
    tiny_free(&tiny);
}

struct bytes {
    uint8_t *data; /* malloc'd */
    size_t size;
};

static struct bytes receipt_of(mambaint_session *s)
{
    struct bytes b;
    mambaint_error err = {0, ""};

    ck_assert_int_eq(mambaint_receipt_create(NULL, 0, &b.size, s, NULL), MAMBAINT_E_SPACE);
    ck_assert(b.size > 0);
    b.data = malloc(b.size);
    ck_assert(b.data != NULL);
    ck_assert_int_eq(mambaint_receipt_create(b.data, b.size - 1, NULL, s, NULL), MAMBAINT_E_SPACE);
    ck_assert_msg(mambaint_receipt_create(b.data, b.size, NULL, s, &err) == MAMBAINT_OK, "%s",
                  err.message);
    return b;
}

static void next(mambaint_session *s, int steps)
{
    char piece[2048];
    size_t n;

    for (int i = 0; i < steps; i++)
        test_that(mambaint_session_next(piece, sizeof(piece), &n, s, NULL) >= 0);
}

static void say(mambaint_session *s, int32_t role, const char *text)
{
    OK(mambaint_session_say(s, role, text, strlen(text), NULL));
}

static mambaint_session *recording(const char *backend)
{
    return tiny_session(model, tiny_options("record", "on", "seed", "7", "backend", backend,
                                            "repeat-penalty", "0.5", "top-k", "40", "min-p",
                                            "0.001", "stop", "zq", "stop", "\xc3\xa9", NULL));
}

/* Everything that a session can do, turns answered to their end among it. */
static void converse(mambaint_session *s)
{
    const int32_t ids[] = {20, 30, 40};

    say(s, MAMBAINT_ROLE_SYSTEM, "Be brief.");
    say(s, MAMBAINT_ROLE_USER, "Hello");
    next(s, 9);
    say(s, MAMBAINT_ROLE_USER, "And now?"); /* closes the answer that was left open */
    next(s, 4);
    mambaint_session_force(s, 77, NULL);
    mambaint_session_force(s, 78, NULL);
    next(s, 3);
    ck_assert_int_eq(mambaint_session_force(s, 4, NULL), MAMBAINT_END); /* end of turn */
    next(s, 2);                                                         /* nothing to do */
    say(s, MAMBAINT_ROLE_ASSISTANT, "as if said");
    OK(mambaint_session_feed(s, ids, 3, NULL));
    OK(mambaint_session_feed(s, ids, 1, NULL));
    next(s, 20);
    ck_assert_int_eq(mambaint_session_force(s, 0, NULL), MAMBAINT_END); /* end of text, not fed */
    OK(mambaint_session_feed(s, ids, 2, NULL));
    next(s, 1);
}

static struct bytes conversation(const char *backend)
{
    mambaint_session *s = recording(backend);
    struct bytes b;

    converse(s);
    b = receipt_of(s);
    mambaint_session_free(s);
    return b;
}

static const char *const backends[] = {"scalar", "avx2", "avx512", "neon", "auto"};

/* The same bytes wherever it ran, and it holds wherever it is run again. */
START_TEST(holds_on_every_backend)
{
    const struct bytes want = conversation("scalar");
    uint8_t digest[DIGEST];
    char hex[2 * DIGEST + 1];
    mambaint_error err = {0, ""};

    for (size_t i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
        mambaint_options *o = tiny_options("backend", backends[i], "prefill-chunk",
                                           i % 2 ? "1" : "7", "seed", "99", NULL);
        const int32_t rc = mambaint_receipt_check(model, NULL, want.data, want.size, o, &err);

        mambaint_options_free(o);
        if (rc == MAMBAINT_E_NO_BACKEND)
            continue;
        ck_assert_msg(rc == MAMBAINT_ACCEPTED, "%s: %s", backends[i], err.message);
        if (strcmp(backends[i], "scalar")) {
            struct bytes got = conversation(backends[i]);

            ck_assert_uint_eq(got.size, want.size);
            ck_assert_mem_eq(got.data, want.data, want.size);
            free(got.data);
        }
    }
    mbi_blake2b(digest, want.data, want.size);
    mbi_hex(hex, digest, DIGEST);
    ck_assert_str_eq(hex, "88dca3636e1c1ceb41e6aa746bcba3772d9818d9150c095dd4e591751654b3e2");
    free(want.data);
}
END_TEST

/* However calls cut the tokens, in a batch or alone. */
START_TEST(canonical)
{
    int32_t ids[50];
    struct test_random r;
    mambaint_session *a = recording("auto"), *b[2] = {recording("auto"), recording("scalar")};
    struct bytes want, got;
    int32_t status[1];
    char piece[2048];
    size_t n;

    mambaint_session_free(b[1]);
    test_random_init(&r, "canonical");
    for (size_t i = 0; i < 50; i++)
        ids[i] = (int32_t)test_random_below(&r, VOCAB);
    OK(mambaint_session_feed(a, ids, 50, NULL));
    for (size_t i = 0; i < 50; i++)
        OK(mambaint_session_feed(b[0], ids + i, 1, NULL));
    for (int i = 0; i < 10; i++) {
        ck_assert_int_ge(mambaint_session_next(piece, sizeof(piece), &n, a, NULL), 0);
        ck_assert_int_ge(mambaint_session_next_many(status, b, 1, NULL), 0);
    }
    want = receipt_of(a);
    got = receipt_of(b[0]);
    ck_assert_uint_eq(got.size, want.size);
    ck_assert_mem_eq(got.data, want.data, want.size);
    ACCEPTED(mambaint_receipt_check(model, NULL, got.data, got.size, NULL, NULL));
    free(want.data);
    free(got.data);
    mambaint_session_free(a);
    mambaint_session_free(b[0]);
}
END_TEST

/* An empty run, and one that goes on from a state, in the middle of an answer. */
START_TEST(starts)
{
    mambaint_session *s = recording("auto");
    mambaint_state *at, *other;
    struct bytes empty = receipt_of(s), b;
    mambaint_error err = {0, ""};
    char piece[1];
    size_t n;

    ACCEPTED(mambaint_receipt_check(model, NULL, empty.data, empty.size, NULL, NULL));
    say(s, MAMBAINT_ROLE_USER, "Hello");
    OK(mambaint_state_get(&other, s, NULL));
    next(s, 3);
    while (mambaint_session_next(piece, 0, &n, s, NULL) == MAMBAINT_OK) /* until one has text */
        continue;
    ck_assert_int_eq(mambaint_receipt_create(NULL, 0, NULL, s, &err), MAMBAINT_E_INVALID);
    ck_assert(strstr(err.message, "mambaint_session_piece"));
    OK(mambaint_state_get(&at, s, NULL)); /* with a piece that was not taken */
    OK(mambaint_state_set(s, at, NULL));
    next(s, 6);
    b = receipt_of(s);
    ACCEPTED(mambaint_receipt_check(model, at, b.data, b.size, NULL, NULL));
    ck_assert_int_eq(mambaint_receipt_check(model, NULL, b.data, b.size, NULL, &err),
                     MAMBAINT_E_INVALID);
    ck_assert(strstr(err.message, "from a state"));
    ck_assert_int_eq(mambaint_receipt_check(model, other, b.data, b.size, NULL, &err),
                     MAMBAINT_E_MISMATCH);
    ck_assert_int_eq(mambaint_receipt_check(model, at, empty.data, empty.size, NULL, &err),
                     MAMBAINT_E_INVALID);
    free(empty.data);
    free(b.data);
    mambaint_state_free(at);
    mambaint_state_free(other);
    mambaint_session_free(s);
}
END_TEST

static int32_t check(const struct bytes *b, mambaint_error *err)
{
    uint8_t *exact = malloc(b->size ? b->size : 1); /* its end is the block's */
    int32_t rc;

    ck_assert(exact != NULL);
    memcpy(exact, b->data, b->size);
    *err = (mambaint_error){0, ""};
    rc = mambaint_receipt_check(model, NULL, exact, b->size, NULL, err);
    test_that(rc != 0 && (rc > 0 || (err->code == rc && err->message[0])));
    test_that(rc != MAMBAINT_E_INTERNAL && rc != MAMBAINT_E_NO_MEMORY);
    free(exact);
    return rc;
}

static void seal(struct bytes *b)
{
    mbi_blake2b(b->data + b->size - DIGEST, b->data, b->size - DIGEST);
}

/* Where the settings of the sampler lie. */
#define SETTINGS (16 + 4 * DIGEST + 8)
#define SETTINGS_END (SETTINGS + 8 + 6 * 4)

/* Does byte i, which was another one, now say that drawn tokens were forced? */
static bool says_forced(const struct bytes *b, size_t i, uint8_t was)
{
    return was == MBI_RECEIPT_DRAWN && b->data[i] == MBI_RECEIPT_FORCED && i > SETTINGS_END;
}

/*
 * Every byte, as it is and with a right digest behind it. With one, another setting may give the
 * same tokens, and tokens that were drawn could have been forced: then the receipt says something
 * true. Every other change is found.
 */
START_TEST(every_byte_counts)
{
    struct bytes b = conversation("auto");
    struct test_random r;
    mambaint_error err;

    test_random_init(&r, "every_byte_counts");
    for (size_t i = 0; i < b.size; i++) {
        const uint8_t old = b.data[i];
        const bool stops = i >= MBI_RECEIPT_HEAD && i < MBI_RECEIPT_HEAD + 2 * 4 + 4;

        b.data[i] = (uint8_t)(old ^ (1 + test_random_below(&r, 255)));
        test_check(check(&b, &err) == MAMBAINT_E_FORMAT, "byte %zu may change", i);
        if (i < b.size - DIGEST) {
            seal(&b);
            test_check(check(&b, &err) < 0 || (i >= SETTINGS && i < SETTINGS_END) || stops ||
                           says_forced(&b, i, old),
                       "byte %zu may change with the digest", i);
        }
        b.data[i] = old;
        seal(&b);
    }
    for (size_t n = 0; n < b.size; n++) {
        struct bytes cut = {b.data, n};

        test_that(check(&cut, &err) < 0);
    }
    ck_assert_int_eq(check(&b, &err), MAMBAINT_ACCEPTED);
    free(b.data);
}
END_TEST

/* A drawn token that was not drawn, a seed that draws others, another end. */
START_TEST(lies)
{
    struct bytes b = conversation("auto");
    struct mbi_receipt r;
    struct mbi_receipt_part p;
    mambaint_error err = {0, ""};
    uint8_t *id;

    OK(mbi_receipt_read(&r, b.data, b.size, NULL));
    do
        p = mbi_receipt_next(&r.parts);
    while (p.kind != MBI_RECEIPT_DRAWN);
    id = b.data + (p.ids - b.data) + 4;
    mbi_store32(id, mbi_load32(id) ^ 1);
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_REFUSED);
    ck_assert_msg(strstr(err.message, "drawn token 2 is"), "%s", err.message);
    mbi_store32(id, VOCAB);
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_RANGE);
    mbi_store32(id, mbi_receipt_id(&p, 1));
    free(b.data);

    b = conversation("auto");
    b.data[SETTINGS] ^= 1; /* the seed */
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_REFUSED);
    b.data[SETTINGS] ^= 1;
    b.data[16 + 3 * DIGEST] ^= 1;
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_REFUSED);
    ck_assert(strstr(err.message, "the state at the end"));
    b.data[16 + 3 * DIGEST] ^= 1;
    b.data[16] ^= 1;
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_MISMATCH);
    b.data[16] ^= 1;
    b.data[8] = 2;
    seal(&b);
    ck_assert_int_eq(check(&b, &err), MAMBAINT_E_VERSION);
    free(b.data);
}
END_TEST

START_TEST(another_model)
{
    struct bytes b = conversation("auto");
    struct tiny other;
    mambaint_model *m;
    mambaint_error err;

    tiny_make(&other, tiny_options("preset", "mi-tiny", "seed", "4", NULL));
    m = tiny_open(&other, NULL);
    ck_assert_int_eq(mambaint_receipt_check(m, NULL, b.data, b.size, NULL, &err),
                     MAMBAINT_E_MISMATCH);
    ck_assert(strstr(err.message, "another model"));
    mambaint_model_unref(m);
    tiny_free(&other);
    tiny_make(&other, tiny_options("preset", "simple", NULL));
    m = tiny_open(&other, NULL);
    ck_assert_int_eq(mambaint_receipt_check(m, NULL, b.data, b.size, NULL, &err),
                     MAMBAINT_E_UNSUPPORTED);
    mambaint_model_unref(m);
    tiny_free(&other);
    free(b.data);
}
END_TEST

START_TEST(told)
{
    mambaint_session *s =
        tiny_session(model, tiny_options("record", "on", "temperature", "0.75", "seed",
                                         "18446744073709551615", "stop", "a\"b", NULL));
    mambaint_tokenizer *t;
    struct bytes b;
    char text[8192];
    size_t need;

    OK(mambaint_tokenizer_of(&t, model));
    say(s, MAMBAINT_ROLE_USER, "Hi\n");
    next(s, 2);
    b = receipt_of(s);
    OK(mambaint_receipt_text(text, sizeof(text), &need, b.data, b.size, t, "text"));
    ck_assert_uint_eq(need, strlen(text) + 1);
    ck_assert_msg(strstr(text, "start: nothing in memory, state ") &&
                      strstr(text, "seed 18446744073709551615, temperature 0.75, top-k 0") &&
                      strstr(text, ", stop \"a\\\"b\"\n") &&
                      strstr(text, "said by user, 5 tokens: 0 2 88 121 4\n") &&
                      strstr(text, "said by user as text: <|endoftext|> <|user|> \"Hi\" "
                                   "<|endofturn|>\n") &&
                      strstr(text, "drawn, 2 tokens: ") && strstr(text, "not shown: who ran it"),
                  "%s", text);
    OK(mambaint_receipt_text(text, sizeof(text), NULL, b.data, b.size, NULL, "json"));
    ck_assert_msg(strstr(text, "{\"kind\": \"said\", \"role\": \"user\", \"ids\": [0, 2, 88, 121, "
                               "4], \"text\": null}, {\"kind\": \"drawn\", \"role\": null") &&
                      strstr(text, "\"stop\": [\"a\\\"b\"]") && strstr(text, "\"tokens\": 2"),
                  "%s", text);
    ck_assert_int_eq(mambaint_receipt_text(text, 5, &need, b.data, b.size, t, "json"),
                     MAMBAINT_E_SPACE);
    ck_assert_int_eq(mambaint_receipt_text(text, 5, NULL, b.data, b.size, t, "words"),
                     MAMBAINT_E_INVALID);
    b.data[16 + DIGEST] ^= 1; /* the digest of the tokenizer */
    ck_assert_int_eq(mambaint_receipt_text(text, 5, NULL, b.data, b.size, t, "text"),
                     MAMBAINT_E_FORMAT);
    seal(&b);
    ck_assert_int_eq(mambaint_receipt_text(text, 5, NULL, b.data, b.size, t, "text"),
                     MAMBAINT_E_MISMATCH);
    free(b.data);
    mambaint_tokenizer_unref(t);
    mambaint_session_free(s);
}
END_TEST

START_TEST(wrong_calls)
{
    mambaint_session *s = tiny_session(model, NULL);
    mambaint_error err;
    uint8_t byte = 0;
    size_t need;

    ck_assert_int_eq(mambaint_receipt_create(NULL, 0, &need, NULL, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_receipt_create(NULL, 1, &need, s, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_receipt_create(NULL, 0, &need, s, &err), MAMBAINT_E_INVALID);
    ck_assert(strstr(err.message, "option record"));
    ck_assert_int_eq(mambaint_receipt_check(NULL, NULL, &byte, 1, NULL, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_receipt_check(model, NULL, NULL, 1, NULL, &err), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_receipt_check(model, NULL, &byte, 1, NULL, &err), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(mambaint_receipt_text(NULL, 0, NULL, NULL, 0, NULL, "text"),
                     MAMBAINT_E_INVALID);
    mambaint_session_free(s);
}
END_TEST

/* Making and checking, with each allocation refused. */
static int32_t scenario(const struct mbi_host *host, void *arg)
{
    struct bytes *b = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_model *m = NULL;
    mambaint_session *s = NULL;
    mambaint_options *o = tiny_options("record", "on", NULL);
    static uint8_t out[4096];
    char piece[2048];
    size_t n;
    int32_t rc = ctx ? MAMBAINT_OK : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0)
        rc = mambaint_model_open_memory(&m, ctx, tiny.bytes, tiny.size, NULL, NULL);
    if (rc >= 0)
        rc = mambaint_session_create(&s, m, o, NULL);
    if (rc >= 0)
        rc = mambaint_session_say(s, MAMBAINT_ROLE_USER, "Hello", 5, NULL);
    for (int i = 0; i < 40 && rc == MAMBAINT_OK; i++)
        rc = mambaint_session_next(piece, sizeof(piece), &n, s, NULL);
    if (rc >= 0)
        rc = mambaint_receipt_create(out, sizeof(out), &n, s, NULL);
    if (rc >= 0)
        rc = mambaint_receipt_check(m, NULL, b->data, b->size, NULL, NULL);
    mambaint_session_free(s);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc < 0 ? rc : MAMBAINT_OK;
}

START_TEST(memory_refused)
{
    struct bytes b = conversation("auto");

    ck_assert_uint_gt(test_refuse_each(scenario, &b), 20);
    free(b.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receipt");
    TCase *c = tcase_create("receipt");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, holds_on_every_backend);
    tcase_add_test(c, canonical);
    tcase_add_test(c, starts);
    tcase_add_test(c, every_byte_counts);
    tcase_add_test(c, lies);
    tcase_add_test(c, another_model);
    tcase_add_test(c, told);
    tcase_add_test(c, wrong_calls);
    tcase_add_test(c, memory_refused);
    suite_add_tcase(suite, c);
    return test_main(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden proofs through the public calls: accepted, never the same twice, and every byte counts. */
#include "exec/backend.h"
#include "proof/statement.h"
#include "tiny.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW)
#define STRIDE 61 /* of the bytes that are damaged one by one */
#else
#define STRIDE 1
#endif

#define FEATURES "1,-0.5"
#define PROOFS 30 /* as make() says it */
#define FLAGS 10  /* where they are in a file */

/* A model, a prover's key of it as it was new, what others have of it, and a proof. */
struct scene {
    struct tiny file;
    mambaint_model *model;
    char path[TEST_PATH];
    uint8_t *prover, *key, *proof;
    size_t prover_size, key_size, proof_size;
    mambaint_key *k;
};

static mambaint_options *options(const struct scene *s)
{
    return tiny_options("zk", "on", "prover-key", s->path, "features", FEATURES, NULL);
}

static uint8_t *copy_of(const void *data, size_t n)
{
    uint8_t *copy = malloc(n);

    test_that(copy);
    memcpy(copy, data, n);
    return copy;
}

/* A proof file as malloc'd bytes; frees the options. */
static uint8_t *prove(size_t *n, mambaint_model *model, mambaint_options *o)
{
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    const void *data;
    uint8_t *copy;

    test_check(mambaint_proof_create(&p, &model, 1, o, &err) == MAMBAINT_OK, "%s", err.message);
    data = mambaint_proof_data(p, n);
    copy = copy_of(data, *n);
    mambaint_proof_free(p);
    mambaint_options_free(o);
    return copy;
}

static void make(struct scene *s)
{
    mambaint_options *o = tiny_options("zk", "on", "proofs", "30", NULL);
    mambaint_error err = {0, ""};

    memset(s, 0, sizeof(*s));
    tiny_make(&s->file, tiny_options("preset", "simple", "features-in", "2", "hidden", "2",
                                     "outputs", "3", NULL));
    s->model = tiny_open(&s->file, NULL);
    test_path(s->path, s->file.dir, "hidden.mipk");
    test_check(mambaint_prover_key_save(NULL, s->path, &s->model, 1, o, &err) == MAMBAINT_OK, "%s",
               err.message);
    mambaint_options_free(o);
    s->prover = test_file_read(&s->prover_size, s->path);
    o = tiny_options("zk", "on", "prover-key", s->path, NULL);
    test_check(mambaint_key_create(&s->k, &s->model, 1, o, &err) == MAMBAINT_OK, "%s", err.message);
    mambaint_options_free(o);
    ck_assert_int_eq(mambaint_key_save(NULL, 0, &s->key_size, s->k), MAMBAINT_E_SPACE);
    test_that(s->key = malloc(s->key_size));
    OK(mambaint_key_save(s->key, s->key_size, NULL, s->k));
    s->proof = prove(&s->proof_size, s->model, options(s));
}

static void unmake(struct scene *s)
{
    mambaint_key_free(s->k);
    mambaint_model_unref(s->model);
    free(s->prover);
    free(s->key);
    free(s->proof);
    tiny_free(&s->file);
}

static void seal(uint8_t *data, size_t n)
{
    mbi_blake2b(data + n - MBI_DIGEST_SIZE, data, n - MBI_DIGEST_SIZE);
}

static mambaint_statement *accepted(const mambaint_key *k, const mambaint_statement *expected,
                                    const void *data, size_t n)
{
    mambaint_statement *parsed = NULL;
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_verify(&parsed, k, expected, data, n, &err);

    test_check(rc == MAMBAINT_ACCEPTED && parsed, "%d: %s", rc, err.message);
    return parsed;
}

/* Not accepted; returns with which code. */
static int32_t refused(const struct scene *s, const mambaint_statement *expected, const void *data,
                       size_t n, size_t at)
{
    mambaint_error err = {0, ""};
    const int32_t rc = mambaint_proof_verify(NULL, s->k, expected, data, n, &err);

    test_check(rc < 0 && rc != MAMBAINT_E_INTERNAL && rc != MAMBAINT_E_NO_MEMORY &&
                   err.code == rc && err.message[0],
               "byte %zu: %d: %s", at, rc, err.message);
    return rc;
}

static size_t body_of(const uint8_t *proof) { return 16 + (size_t)mbi_load32(proof + 12); }

/* Which root of its key a proof opens. */
static uint32_t number_of(const uint8_t *proof) { return mbi_load32(proof + body_of(proof)); }

/* ---- what is true ---- */

START_TEST(hidden_proofs_say_what_was_run)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    mambaint_statement *s, *read = NULL;
    char text[4096], want[80];
    int32_t outputs[3];
    struct scene c;
    uint8_t id[32];
    char hex[65];

    make(&c);
    ck_assert_uint_eq(mbi_load16(c.proof + FLAGS), MBI_PROOF_ZK);
    s = accepted(c.k, NULL, c.proof, c.proof_size);
    OK(mambaint_model_evaluate(outputs, 3, NULL, &c.model, 1, o, NULL));
    snprintf(want, sizeof(want), "\"outputs\": [%d, %d, %d]", outputs[0], outputs[1], outputs[2]);
    OK(mambaint_statement_text(text, sizeof(text), NULL, s, "json"));
    test_check(strstr(text, want) && strstr(text, "\"weights\": \"hidden\"") &&
                   strstr(text, "\"features\": [32, -16]"),
               "%s lacks %s", text, want);
    OK(mambaint_key_digest(id, c.k));
    mbi_hex(hex, id, sizeof(id));
    test_that(strstr(text, hex));
    OK(mambaint_statement_text(text, sizeof(text), NULL, s, "text"));
    test_check(strstr(text, "weights: hidden") && strstr(text, "\nhidden: the weights, and all") &&
                   !strstr(text, "not hidden") && strstr(text, hex),
               "%s", text);
    OK(mambaint_statement_match(s, "1, -0.5", NULL));
    OK(mambaint_statement_read(&read, NULL, c.proof, c.proof_size, NULL));
    mambaint_statement_free(accepted(c.k, read, c.proof, c.proof_size));
    mambaint_statement_free(read);
    mambaint_statement_free(s);
    mambaint_options_free(o);
    unmake(&c);
}
END_TEST

/* A second proof of the same: another root, and no part of the body that is the same. */
START_TEST(no_proof_is_made_twice)
{
    bool seen[4096] = {false};
    struct scene c;
    size_t same = 0, begin;

    make(&c);
    begin = body_of(c.proof);
    seen[0] = true; /* that of the certificate */
    ck_assert_uint_lt(number_of(c.proof), MBI_COUNT(seen));
    seen[number_of(c.proof)] = true;
    for (int i = 1; i < PROOFS; i++) {
        size_t n;
        uint8_t *data = prove(&n, c.model, options(&c));
        const uint32_t number = number_of(data);

        mambaint_statement_free(accepted(c.k, NULL, data, n));
        test_check(number < MBI_COUNT(seen) && !seen[number], "root %u again", number);
        seen[number] = true;
        ck_assert_mem_eq(data, c.proof, begin);
        if (i == 1) /* behind the number, 8 bytes at a time: of noise none are equal */
            for (size_t at = begin + 4; at + 8 < n && at + 8 < c.proof_size; at += 8)
                same += !memcmp(data + at, c.proof + at, 8);
        free(data);
    }
    /* Of paths, which end where the roots' tree does, and are as long as that is high. */
    test_check(same <= 4 * 12, "%zu words of two proofs are the same", same);
    unmake(&c);
}
END_TEST

/* What a copy of a key does; its masks are the same, but what is drawn for the proof is not. */
START_TEST(a_copied_key_repeats_its_numbers)
{
    struct scene c;
    uint8_t *data;
    size_t n;

    make(&c);
    test_file_write(c.path, c.prover, c.prover_size);
    data = prove(&n, c.model, options(&c));
    mambaint_statement_free(accepted(c.k, NULL, data, n));
    ck_assert_uint_eq(number_of(data), number_of(c.proof));
    {
        const size_t begin = body_of(data);
        size_t at = begin;

        while (at < n && at < c.proof_size && data[at] == c.proof[at])
            at++;
        /* Root and path are equal, and nothing behind them: at the next root they differ. */
        test_check(at >= begin + 36 && at < begin + 36 + 12 * 32 + 8, "byte %zu", at - begin);
    }
    free(data);
    unmake(&c);
}
END_TEST

START_TEST(every_backend_and_number_of_threads_makes_proofs)
{
    struct mbi_host host;
    struct scene c;

    make(&c);
    mbi_host_default(&host);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        mambaint_context *ctx = tiny_context(&host, threads);
        mambaint_model *model = tiny_open(&c.file, ctx);
        const struct mbi_backend *b;
        mambaint_key *k = NULL;

        OK(mambaint_key_load(&k, ctx, c.key, c.key_size, NULL));
        mambaint_statement_free(accepted(k, NULL, c.proof, c.proof_size));
        for (size_t i = 0; (b = mbi_backend_at(i)); i++) {
            mambaint_options *o;
            uint8_t *data;
            size_t n;

            if (!b->probe())
                continue;
            o = options(&c);
            OK(mambaint_options_set(o, "backend", b->name, NULL));
            data = prove(&n, model, o);
            mambaint_statement_free(accepted(k, NULL, data, n));
            mambaint_statement_free(accepted(c.k, NULL, data, n));
            free(data);
        }
        mambaint_key_free(k);
        mambaint_model_unref(model);
        mambaint_context_unref(ctx);
    }
    unmake(&c);
}
END_TEST

/* ---- what is not ---- */

/* Every byte of a proof, with a right digest. */
START_TEST(every_byte_of_a_hidden_proof_counts)
{
    struct test_random r;
    struct scene c;
    uint8_t *copy;

    test_random_init(&r, "every_byte_of_a_hidden_proof_counts");
    make(&c);
    copy = copy_of(c.proof, c.proof_size);
    for (size_t at = 0; at < c.proof_size - MBI_DIGEST_SIZE; at += at < 512 ? 1 : STRIDE) {
        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        seal(copy, c.proof_size);
        if (refused(&c, NULL, copy, c.proof_size, at) != MAMBAINT_E_REFUSED)
            ck_assert_uint_lt(at, body_of(c.proof));
        copy[at] = c.proof[at];
    }
    seal(copy, c.proof_size);
    mambaint_statement_free(accepted(c.k, NULL, copy, c.proof_size));
    copy[c.proof_size - 1] ^= 1;
    refused(&c, NULL, copy, c.proof_size, c.proof_size);
    for (size_t n = 0; n < c.proof_size; n += 1 + n / 8) {
        memcpy(copy, c.proof, c.proof_size);
        if (n > MBI_DIGEST_SIZE)
            seal(copy, n);
        refused(&c, NULL, copy, n, n);
    }
    free(copy);
    unmake(&c);
}
END_TEST

/* Of a key: each of its head, and some of its certificate. */
START_TEST(damaged_hidden_keys_are_refused)
{
    struct test_random r;
    struct scene c;
    uint8_t *copy;
    size_t inner;

    test_random_init(&r, "damaged_hidden_keys_are_refused");
    make(&c);
    inner = 20 + (size_t)mbi_load32(c.key + 12);
    ck_assert_uint_eq(mbi_load32(c.key + 8), MBI_STATEMENT_HIDDEN);
    copy = copy_of(c.key, c.key_size);
    for (size_t at = 0; at < c.key_size - 2 * MBI_DIGEST_SIZE; at += at < 512 ? 1 : 7 * STRIDE) {
        mambaint_key *k = NULL;
        mambaint_error err = {0, ""};
        int32_t rc;

        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        seal(copy + inner, c.key_size - inner - MBI_DIGEST_SIZE);
        seal(copy, c.key_size);
        rc = mambaint_key_load(&k, NULL, copy, c.key_size, &err);
        test_check(rc < 0 && rc != MAMBAINT_E_INTERNAL && !k && err.message[0], "byte %zu: %d", at,
                   rc);
        copy[at] = c.key[at];
    }
    free(copy);
    unmake(&c);
}
END_TEST

/* Whoever expects a hidden proof of a key gets that, and the reverse. */
START_TEST(hidden_and_clear_are_told_apart)
{
    mambaint_options *o = tiny_options("features", FEATURES, NULL);
    mambaint_statement *hidden = NULL, *clear = NULL;
    mambaint_error err = {0, ""};
    mambaint_key *k = NULL;
    struct scene c;
    uint8_t *data;
    size_t n;

    make(&c);
    OK(mambaint_key_create(&k, &c.model, 1, o, NULL));
    data = prove(&n, c.model, o);
    OK(mambaint_statement_read(&hidden, NULL, c.proof, c.proof_size, NULL));
    OK(mambaint_statement_read(&clear, NULL, data, n, NULL));
    mambaint_statement_free(accepted(k, clear, data, n));
    ck_assert_int_eq(refused(&c, clear, c.proof, c.proof_size, 0), MAMBAINT_E_MISMATCH);
    ck_assert_int_eq(refused(&c, NULL, data, n, 0), MAMBAINT_E_MISMATCH);
    ck_assert_int_eq(mambaint_proof_verify(NULL, k, hidden, data, n, &err), MAMBAINT_E_MISMATCH);
    ck_assert_int_eq(mambaint_proof_verify(NULL, k, NULL, c.proof, c.proof_size, &err),
                     MAMBAINT_E_MISMATCH);
    for (uint8_t flags = 0; flags < 4; flags++) /* no proof is one of another mode */
        if (flags != MBI_PROOF_ZK) {
            uint8_t *copy = copy_of(c.proof, c.proof_size);

            copy[FLAGS] = flags;
            seal(copy, c.proof_size);
            refused(&c, NULL, copy, c.proof_size, FLAGS);
            free(copy);
            copy = copy_of(data, n);
            copy[FLAGS] = MBI_PROOF_ZK;
            seal(copy, n);
            refused(&c, NULL, copy, n, FLAGS);
            free(copy);
        }
    mambaint_statement_free(hidden);
    mambaint_statement_free(clear);
    mambaint_key_free(k);
    free(data);
    unmake(&c);
}
END_TEST

/* ---- memory ---- */

/* From the key as it was new, as each try uses up a proof. */
static int32_t create_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_options *o = options(s);
    mambaint_model *m = NULL;
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    int32_t rc = ctx ? mambaint_model_open_memory(&m, ctx, s->file.bytes, s->file.size, NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    test_file_write(s->path, s->prover, s->prover_size);
    if (rc >= 0)
        rc = mambaint_proof_create(&p, &m, 1, o, &err);
    ck_assert((rc == MAMBAINT_OK) == (p != NULL));
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
    mambaint_options *o = tiny_options("zk", "on", "proofs", "1", NULL);
    mambaint_model *m = NULL;
    char path[TEST_PATH];
    int32_t rc = ctx ? mambaint_model_open_memory(&m, ctx, s->file.bytes, s->file.size, NULL, NULL)
                     : MAMBAINT_E_NO_MEMORY;

    test_path(path, s->file.dir, "other.mipk");
    if (rc >= 0)
        rc = mambaint_prover_key_save(NULL, path, &m, 1, o, NULL);
    ck_assert_uint_eq(test_dir_count(s->file.dir), 2u + (rc == MAMBAINT_OK));
    remove(path);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    mambaint_options_free(o);
    return rc;
}

static int32_t verify_on(const struct mbi_host *host, void *arg)
{
    const struct scene *s = arg;
    mambaint_context *ctx = tiny_context(host, 1);
    mambaint_key *k = NULL;
    int32_t rc = ctx ? mambaint_key_load(&k, ctx, s->key, s->key_size, NULL) : MAMBAINT_E_NO_MEMORY;

    if (rc >= 0) {
        rc = mambaint_proof_verify(NULL, k, NULL, s->proof, s->proof_size, NULL);
        if (rc == MAMBAINT_ACCEPTED)
            rc = MAMBAINT_OK;
        else
            ck_assert_int_eq(rc, MAMBAINT_E_NO_MEMORY); /* not "refused" */
    }
    mambaint_key_free(k);
    mambaint_context_unref(ctx);
    return rc;
}

START_TEST(refused_memory_is_an_error)
{
    struct scene c;

    make(&c);
    ck_assert_uint_gt(test_refuse_each(verify_on, &c), 50);
    ck_assert_uint_gt(test_refuse_each(create_on, &c), 50);
    ck_assert_uint_gt(test_refuse_each(save_on, &c), 50);
    unmake(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof_hidden");
    TCase *t = tcase_create("proof_hidden");

    tcase_set_timeout(t, 280);
    tcase_add_test(t, hidden_proofs_say_what_was_run);
    tcase_add_test(t, no_proof_is_made_twice);
    tcase_add_test(t, a_copied_key_repeats_its_numbers);
    tcase_add_test(t, every_backend_and_number_of_threads_makes_proofs);
    tcase_add_test(t, every_byte_of_a_hidden_proof_counts);
    tcase_add_test(t, damaged_hidden_keys_are_refused);
    tcase_add_test(t, hidden_and_clear_are_told_apart);
    tcase_add_test(t, refused_memory_is_an_error);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of provers: the proof stays what it was, and no key makes a false one. */
#include "api/model.h"
#include "base/intmath.h"
#include "proof/statement.h"
#include "tiny.h"

#define OTHER_SEED 1
#define OTHER_SHAPE 2
#define MODELS 3

struct made {
    struct tiny file[MODELS];
    mambaint_model *model[MODELS];
    char path[TEST_PATH]; /* of the key under test */
    uint8_t *key;         /* of the first model */
    size_t n;
    uint8_t *proof; /* without a key */
    size_t n_proof;
};

static int32_t prove(mambaint_proof **out, const struct made *m, size_t i, const char *key,
                     mambaint_error *err)
{
    mambaint_options *o = tiny_options("features", "1,-0.5", "prover-key", key, NULL);
    const int32_t rc = mambaint_proof_create(out, &m->model[i], 1, o, err);

    mambaint_options_free(o);
    return rc;
}

static void make(struct made *m)
{
    static const char *const seed[] = {"1", "2", "1"}, *const hidden[] = {"2", "2", "3"};
    mambaint_options *o = tiny_options("features", "1,-0.5", NULL);
    uint8_t id[32], want[32];
    mambaint_key *k = NULL;
    mambaint_proof *p;

    for (size_t i = 0; i < MODELS; i++) {
        tiny_make(&m->file[i], tiny_options("preset", "simple", "features-in", "2", "hidden",
                                            hidden[i], "outputs", "3", "seed", seed[i], NULL));
        m->model[i] = tiny_open(&m->file[i], NULL);
    }
    test_path(m->path, m->file[0].dir, "model.mipk");
    OK(mambaint_prover_key_save(id, m->path, m->model, 1, NULL, NULL));
    m->key = test_file_read(&m->n, m->path);
    OK(mambaint_key_create(&k, m->model, 1, NULL, NULL));
    OK(mambaint_key_digest(want, k));
    ck_assert_mem_eq(id, want, sizeof(id));
    mambaint_key_free(k);
    OK(mambaint_proof_create(&p, m->model, 1, o, NULL));
    m->proof = malloc(mambaint_proof_data(p, &m->n_proof) ? m->n_proof : 0);
    test_that(m->proof);
    memcpy(m->proof, mambaint_proof_data(p, NULL), m->n_proof);
    mambaint_proof_free(p);
    mambaint_options_free(o);
}

static void unmake(struct made *m)
{
    remove(m->path);
    for (size_t i = 0; i < MODELS; i++) {
        mambaint_model_unref(m->model[i]);
        tiny_free(&m->file[i]);
    }
    free(m->key);
    free(m->proof);
}

/* No proof: this code (0: any) and a word of the sentence. */
static void refuse(const struct made *m, int32_t code, const char *word, const uint8_t *key,
                   size_t n)
{
    mambaint_error err = {0, ""};
    mambaint_proof *p = NULL;
    int32_t rc;

    test_file_write(m->path, key, n);
    rc = prove(&p, m, 0, m->path, &err);
    test_check(rc < 0 && !p && (!code || rc == code) && strstr(err.message, word),
               "%d, not %d with '%s': %s", rc, code, word, err.message);
}

/* The digest at the end of a head of one model. */
#define HEAD (16 + 94 + 32 + 16 + 32)

static void seal(uint8_t *key)
{
    mbi_blake2b(key + HEAD - MBI_DIGEST_SIZE, key, HEAD - MBI_DIGEST_SIZE);
}

START_TEST(proofs_are_the_same)
{
    struct made m;
    mambaint_proof *p;
    char kind[16];
    size_t n;

    make(&m);
    OK(prove(&p, &m, 0, m.path, NULL));
    test_that(mambaint_proof_data(p, &n) && n == m.n_proof);
    ck_assert_mem_eq(mambaint_proof_data(p, NULL), m.proof, n);
    mambaint_proof_free(p);
    OK(mambaint_artefact_check(kind, sizeof(kind), NULL, m.path, NULL));
    ck_assert_str_eq(kind, "prover-key");
    unmake(&m);
}
END_TEST

START_TEST(other_models_are_refused)
{
    mambaint_error err;
    mambaint_options *o;
    mambaint_proof *p;
    struct made m;

    make(&m);
    ck_assert_int_eq(prove(&p, &m, OTHER_SEED, m.path, &err), MAMBAINT_E_MISMATCH);
    test_that(strstr(err.message, "other weights"));
    ck_assert_int_eq(prove(&p, &m, OTHER_SHAPE, m.path, &err), MAMBAINT_E_MISMATCH);
    test_that(strstr(err.message, "another model"));
    ck_assert_int_eq(prove(&p, &m, 0, m.file[0].path, &err), MAMBAINT_E_FORMAT);
    ck_assert_int_eq(prove(&p, &m, 0, "/nowhere/at/all", &err), MAMBAINT_E_IO);
    o = tiny_options("features", "1,-0.5", "prover-key", m.path, "weights", "public", NULL);
    ck_assert_int_eq(mambaint_proof_create(&p, m.model, 1, o, &err), MAMBAINT_E_INVALID);
    mambaint_options_free(o);
    o = tiny_options("weights", "public", NULL);
    ck_assert_int_eq(mambaint_prover_key_save(NULL, m.path, m.model, 1, o, &err),
                     MAMBAINT_E_UNSUPPORTED);
    mambaint_options_free(o);
    ck_assert_int_eq(mambaint_prover_key_save(NULL, NULL, m.model, 1, NULL, &err),
                     MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_prover_key_save(NULL, "/nowhere/at/all", m.model, 1, NULL, &err),
                     MAMBAINT_E_IO);
    unmake(&m);
}
END_TEST

START_TEST(damaged_keys_are_refused)
{
    struct test_random r;
    struct made m;
    uint8_t *copy;

    test_random_init(&r, "damaged_keys_are_refused");
    make(&m);
    ck_assert_uint_eq(mbi_load32(m.key + 12), 94);
    test_that((copy = malloc(m.n + 1)));
    for (size_t at = 0; at < HEAD; at++) {
        memcpy(copy, m.key, m.n);
        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        refuse(&m, 0, "", copy, m.n);
        if (at < HEAD - MBI_DIGEST_SIZE) { /* and with a digest that is right */
            seal(copy);
            refuse(&m, 0, "", copy, m.n);
        }
    }
    for (size_t cut = 0; cut < m.n; cut += 1 + cut / 3)
        refuse(&m, 0, "", m.key, cut);
    refuse(&m, MAMBAINT_E_FORMAT, "size", m.key, m.n - 1);
    memcpy(copy, m.key, m.n);
    copy[m.n] = 0;
    refuse(&m, MAMBAINT_E_FORMAT, "size", copy, m.n + 1);
    copy[m.n - 1] ^= 1;
    refuse(&m, MAMBAINT_E_FORMAT, "another root", copy, m.n);
    free(copy);
    unmake(&m);
}
END_TEST

/* What the head does not vouch for: codeword and tree. */
START_TEST(false_codewords_make_no_proof)
{
    struct mbi_prover_key_head head;
    char kind[16];
    mambaint_error err;
    struct made m;
    uint8_t *copy, *other;
    size_t n;

    make(&m);
    OK(mbi_prover_key_read(&head, m.key, m.n, NULL));
    test_that((copy = malloc(m.n)));
    memcpy(copy, m.key, m.n);
    memset(copy + head.size, 0xff, (size_t)8 << (head.log_rows + head.log_length)); /* none of F */
    refuse(&m, MAMBAINT_E_FORMAT, "damaged", copy, m.n);
    ck_assert_int_eq(mambaint_artefact_check(kind, sizeof(kind), NULL, m.path, &err),
                     MAMBAINT_E_FORMAT);
    memcpy(copy, m.key, m.n);
    memset(copy + head.size, 0, (size_t)8 << (head.log_rows + head.log_length));
    refuse(&m, MAMBAINT_E_FORMAT, "damaged", copy, m.n);

    /* So few leaves that all are opened: no proof has a digest of theirs. */
    memcpy(copy, m.key, m.n);
    copy[m.n - 2 * MBI_DIGEST_SIZE] ^= 1;
    test_file_write(m.path, copy, m.n);
    ck_assert_int_eq(mambaint_artefact_check(kind, sizeof(kind), NULL, m.path, &err),
                     MAMBAINT_E_FORMAT);
    test_that(strstr(err.message, "root in its head"));

    /* A sound key of other weights that says it is of these. */
    OK(mambaint_prover_key_save(NULL, m.path, &m.model[OTHER_SEED], 1, NULL, NULL));
    other = test_file_read(&n, m.path);
    ck_assert_uint_eq(n, m.n);
    memcpy(other + 16 + 94, m.key + 16 + 94, MBI_DIGEST_SIZE);
    seal(other);
    refuse(&m, MAMBAINT_E_FORMAT, "damaged", other, n);
    free(other);
    free(copy);
    unmake(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prover_key");
    TCase *t = tcase_create("prover_key");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, proofs_are_the_same);
    tcase_add_test(t, other_models_are_refused);
    tcase_add_test(t, damaged_keys_are_refused);
    tcase_add_test(t, false_codewords_make_no_proof);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of provers: the proof stays what it was, and no key makes a false one. */
#include "api/model.h"
#include "base/intmath.h"
#include "api/proof.h"
#include "tiny.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- keys with hidden weights: the counter ---- */

#define HIDDEN_MODELS (94 + 8 + 16) /* bytes of the models' part */
#define HIDDEN_ROOTS 8
#define HIDDEN_OPENINGS 4
#define HIDDEN_ALL (HIDDEN_ROOTS * HIDDEN_OPENINGS)
#define HIDDEN_HEAD (16 + HIDDEN_MODELS + 32 + 16 + 32 + 32 * HIDDEN_ROOTS + 4 + 5 + 32)

/* A file as of a key whose roots are noise: what the counter is about. */
struct counted {
    char dir[TEST_PATH], path[TEST_PATH];
    struct mbi_buf file;
    struct mbi_prover_key_head head;
};

static void put_counter(struct counted *c, uint64_t taken)
{
    struct mbi_counter counter;

    mbi_counter_put(&counter, taken, c->head.digest);
    memcpy(c->file.data + c->head.size, &counter, sizeof(counter));
    test_file_write(c->path, c->file.data, c->file.size);
}

static void count_make(struct counted *c)
{
    static const uint8_t noise[32 * HIDDEN_ROOTS] = {1, 2, 3, 200};
    static struct mbi_host host;
    struct mbi_digest tree[MBI_ROOTS_NODES(HIDDEN_ROOTS)], root[HIDDEN_ROOTS];
    struct mbi_prover_key_head h = {
        .models = {.n = 1,
                   .model = {{.name = "simple", .n_values = 3, .value = {2, 2, 3}}},
                   .roots = {.n = HIDDEN_ROOTS, .openings = HIDDEN_OPENINGS, .value = {5, 7}}},
        .vector = {9},
        .log_rows = 1,
        .log_columns = 4,
        .log_length = 6,
        .rows = 2,
        .seed = noise,
        .root = noise,
        .certificate = noise,
        .n_certificate = 5};

    mbi_host_default(&host);
    test_dir_make(c->dir);
    test_path(c->path, c->dir, "counted.mipk");
    OK(mbi_hash_setup(NULL));
    memcpy(root, noise, sizeof(root));
    mbi_roots_tree(tree, root, HIDDEN_ROOTS);
    mbi_statement_hidden_digest(h.models.weights, &h.models.roots, tree[MBI_COUNT(tree) - 1].byte);
    mbi_buf_init(&c->file, &host);
    mbi_prover_key_write(&c->file, &h);
    mbi_buf_add_zero(&c->file, MBI_PROVER_KEY_ALIGN);
    OK(mbi_prover_key_read(&c->head, c->file.data, c->file.size, NULL));
    ck_assert_uint_eq(c->head.sealed, HIDDEN_HEAD);
    ck_assert_uint_eq(c->head.size, MBI_PROVER_KEY_ALIGN);
    test_that(!memcmp(&c->head.models, &h.models, sizeof(h.models)));
    ck_assert_mem_eq(c->head.seed, noise, 32);
    ck_assert_mem_eq(c->head.root, noise, sizeof(noise));
    ck_assert_mem_eq(c->head.certificate, noise, 5);
    put_counter(c, 1);
}

static void count_free(struct counted *c)
{
    mbi_buf_free(&c->file);
    test_dir_remove(c->dir);
}

static int32_t take(uint64_t *number, const struct counted *c, mambaint_error *err)
{
    return mbi_budget_take(number, c->path, &c->head, err);
}

/* What the file says that is left. */
static uint64_t left(const struct counted *c)
{
    struct mbi_prover_key_head head;
    uint64_t n = UINT64_MAX;
    size_t size;
    uint8_t *data = test_file_read(&size, c->path);

    ck_assert_uint_eq(size, 2 * MBI_PROVER_KEY_ALIGN);
    OK(mbi_prover_key_read(&head, data, size, NULL));
    OK(mbi_budget_left(&n, &head, data, size, NULL));
    free(data);
    return n;
}

START_TEST(each_number_is_given_once)
{
    mambaint_error err;
    struct counted c;
    char kind[16], text[1024];
    uint64_t n;

    count_make(&c);
    for (uint64_t i = 1; i < HIDDEN_ALL; i++) {
        ck_assert_uint_eq(left(&c), HIDDEN_ALL - i);
        OK(take(&n, &c, NULL));
        ck_assert_uint_eq(n, i);
    }
    ck_assert_uint_eq(left(&c), 0);
    for (int again = 0; again < 2; again++) {
        ck_assert_int_eq(take(&n, &c, &err), MAMBAINT_E_RANGE);
        test_check(strstr(err.message, "used up") && strstr(err.message, "31 proofs") &&
                       strstr(err.message, "make a new key"),
                   "%s", err.message);
    }
    OK(mambaint_artefact_check(kind, sizeof(kind), NULL, c.path, NULL));
    ck_assert_str_eq(kind, "prover-key");
    OK(mambaint_prover_key_text(text, sizeof(text), NULL, c.path, "text", NULL));
    test_check(strstr(text, "hidden") && strstr(text, "0 of 31 are left"), "%s", text);
    put_counter(&c, 4);
    OK(mambaint_prover_key_text(text, sizeof(text), NULL, c.path, "json", NULL));
    test_check(strstr(text, "\"weights\": \"hidden\"") &&
                   strstr(text, "\"proofs\": 31, \"proofs_left\": 28}"),
               "%s", text);
    ck_assert_int_eq(mambaint_prover_key_text(text, 3, NULL, c.path, "json", &err),
                     MAMBAINT_E_SPACE);
    ck_assert_int_eq(mambaint_prover_key_text(text, sizeof(text), NULL, c.path, "xml", &err),
                     MAMBAINT_E_INVALID);
    count_free(&c);
}
END_TEST

/* Several processes at once: as many numbers as there are, each of them once. */
START_TEST(processes_share_a_key)
{
    enum { CHILDREN = 4 };
    bool seen[HIDDEN_ALL] = {false};
    int pipes[2], status;
    struct counted c;
    uint64_t n;

    count_make(&c);
    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t child = fork();

        ck_assert_int_ge(child, 0);
        if (child)
            continue;
        while (take(&n, &c, NULL) == MAMBAINT_OK)
            if (write(pipes[1], &n, sizeof(n)) != sizeof(n))
                _exit(1);
        _exit(0);
    }
    close(pipes[1]);
    for (int i = 1; i < HIDDEN_ALL; i++) {
        ck_assert_int_eq(read(pipes[0], &n, sizeof(n)), sizeof(n));
        test_check(n >= 1 && n < HIDDEN_ALL && !seen[n], "number %d", (int)n);
        seen[n] = true;
    }
    ck_assert_int_eq(read(pipes[0], &n, sizeof(n)), 0);
    close(pipes[0]);
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_int_gt(wait(&status), 0);
        test_that(WIFEXITED(status) && !WEXITSTATUS(status));
    }
    count_free(&c);
}
END_TEST

/* A process that is killed has taken its number, and holds nobody up. */
START_TEST(a_lost_number_is_not_given_again)
{
    struct counted c;
    uint64_t n;
    int status;
    pid_t child;

    count_make(&c);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        if (take(&n, &c, NULL) == MAMBAINT_OK && n == 1)
            raise(SIGKILL);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    test_that(WIFSIGNALED(status));
    OK(take(&n, &c, NULL));
    ck_assert_uint_eq(n, 2);
    count_free(&c);
}
END_TEST

static void take_nothing(const struct counted *c, int32_t code, const char *word)
{
    mambaint_error err = {0, ""};
    uint64_t n;
    const int32_t rc = take(&n, c, &err);

    test_check(rc == code && strstr(err.message, word), "%d, not %d with '%s': %s", rc, code, word,
               err.message);
}

START_TEST(odd_counters_give_nothing)
{
    struct counted c;
    char kind[16];

    count_make(&c);
    for (size_t i = 0; i < sizeof(struct mbi_counter); i++) {
        c.file.data[c.head.size + i] ^= 1;
        test_file_write(c.path, c.file.data, c.file.size);
        take_nothing(&c, MAMBAINT_E_FORMAT, "nobody knows how many");
        ck_assert_int_eq(mambaint_artefact_check(kind, sizeof(kind), NULL, c.path, NULL),
                         MAMBAINT_E_FORMAT);
        c.file.data[c.head.size + i] ^= 1;
    }
    put_counter(&c, 0); /* the certificate has one */
    take_nothing(&c, MAMBAINT_E_FORMAT, "nobody knows how many");
    put_counter(&c, HIDDEN_ALL + 1);
    take_nothing(&c, MAMBAINT_E_FORMAT, "nobody knows how many");
    put_counter(&c, UINT64_MAX);
    take_nothing(&c, MAMBAINT_E_FORMAT, "nobody knows how many");
    put_counter(&c, HIDDEN_ALL);
    take_nothing(&c, MAMBAINT_E_RANGE, "used up");
    put_counter(&c, 1);
    test_file_write(c.path, c.file.data, c.head.size + 39);
    take_nothing(&c, MAMBAINT_E_FORMAT, "nobody knows how many");
    c.file.data[c.head.sealed - 1] ^= 1; /* another key has come in its place */
    test_file_write(c.path, c.file.data, c.file.size);
    c.file.data[c.head.sealed - 1] ^= 1;
    {
        struct counted old = c;
        uint8_t digest[MBI_DIGEST_SIZE];

        memcpy(digest, c.head.digest, sizeof(digest));
        old.head.digest = digest;
        take_nothing(&old, MAMBAINT_E_FORMAT, "was replaced");
    }
    remove(c.path);
    take_nothing(&c, MAMBAINT_E_IO, "is counted in the prover key");
    ck_assert_int_eq(mkdir(c.path, 0700), 0); /* what cannot be written to */
    take_nothing(&c, MAMBAINT_E_IO, "is counted in the prover key");
    rmdir(c.path);
    count_free(&c);
}
END_TEST

/* Any head that was changed or cut, with a right digest, too: an answer, and no read beyond it. */
START_TEST(hidden_heads_are_read_to_the_end)
{
    struct mbi_prover_key_head head;
    struct test_random r;
    struct counted c;
    mambaint_error err;
    uint8_t *copy;

    test_random_init(&r, "hidden_heads_are_read_to_the_end");
    count_make(&c);
    for (size_t n = 0; n < HIDDEN_HEAD; n++) {
        test_that((copy = malloc(n + !n)));
        memcpy(copy, c.file.data, n);
        ck_assert_int_eq(mbi_prover_key_read(&head, copy, n, &err), MAMBAINT_E_FORMAT);
        free(copy);
    }
    for (size_t at = 0; at < HIDDEN_HEAD; at++) {
        test_that((copy = malloc(HIDDEN_HEAD)));
        memcpy(copy, c.file.data, HIDDEN_HEAD);
        copy[at] ^= (uint8_t)(1 + test_random_below(&r, 255));
        test_check(mbi_prover_key_read(&head, copy, HIDDEN_HEAD, &err) < 0, "byte %zu", at);
        mbi_blake2b(copy + HIDDEN_HEAD - 32, copy, HIDDEN_HEAD - 32);
        mbi_prover_key_read(&head, copy, HIDDEN_HEAD, &err);
        free(copy);
    }
    count_free(&c);
}
END_TEST

/* As many roots and openings as are asked for, and the certificate. */
START_TEST(budgets_are_enough)
{
    static const uint32_t proofs[] = {1, 2, 3, 7, 8, 1000, 4095};
    mambaint_error err;

    for (unsigned bits = 6; bits <= 27; bits += 3)
        for (size_t i = 0; i < MBI_COUNT(proofs); i++) {
            const uint64_t end = ((uint64_t)1 << bits) - (i % 2 ? 0 : 9), want = proofs[i] + 1u;
            struct mbi_statement_roots r;
            struct mbi_blur blur;
            struct mbi_code code;

            if (mbi_hidden_budget(&r, end, bits, proofs[i], &err) < 0) {
                test_check(bits == 27 && i % 2, "%u bits: %s", bits, err.message);
                continue;
            }
            test_check(mbi_statement_openings(&r) >= want && r.n <= MBI_STATEMENT_ROOTS &&
                           !(r.n & (r.n - 1)) && !(r.openings & (r.openings - 1)),
                       "%u bits: %u of %u for %u", bits, r.n, r.openings, proofs[i]);
            test_that(r.n == 1 || mbi_statement_openings(&r) < 2 * want || r.n == 2);
            blur = mbi_blur_of(end, bits, r.n, MBI_EXT_D);
            ck_assert_uint_eq(blur.bits, bits + (r.n > 1 && i % 2));
            ck_assert_uint_eq(blur.entries, r.n > 1 ? 8 : 0);
            test_that(mbi_hidden_code(&code, blur.bits, r.openings) &&
                      mbi_hidden_fits(&code, r.openings));
        }
    {
        struct mbi_statement_roots r;

        ck_assert_int_eq(mbi_hidden_budget(&r, 50, 6, 4096, &err), MAMBAINT_E_RANGE);
        test_check(strstr(err.message, "at most 4095"), "%s", err.message);
    }
}
END_TEST

/* ---- keys with hidden weights: proofs ---- */

static mambaint_options *zk(const char *key, const char *features)
{
    return key ? tiny_options("features", features, "prover-key", key, "zk", "on", NULL)
               : tiny_options("features", features, "zk", "on", NULL);
}

static void prove_not(struct made *m, mambaint_options *o, int32_t code, const char *word)
{
    mambaint_error err = {0, ""};
    mambaint_proof *p = NULL;
    const int32_t rc = mambaint_proof_create(&p, m->model, 1, o, &err);

    test_check(rc == code && !p && strstr(err.message, word), "%d, not %d with '%s': %s", rc, code,
               word, err.message);
    mambaint_options_free(o);
}

static const char features[] = "1,-0.5";

/* What is refused before anything else. */
START_TEST(hidden_proofs_take_a_key_of_their_own)
{
    mambaint_options *o;
    mambaint_error err;
    struct counted c;
    struct made m;

    make(&m);
    count_make(&c);
    prove_not(&m, zk(NULL, features), MAMBAINT_E_INVALID, "zk: it takes a prover key");
    prove_not(&m, tiny_options("features", features, "zk", "on", "weights", "public", NULL),
              MAMBAINT_E_UNSUPPORTED, "public weights");
    prove_not(&m, tiny_options("features", features, "prover-key", c.path, NULL),
              MAMBAINT_E_MISMATCH, "set zk to on");
    o = tiny_options("proofs", "5", NULL);
    ck_assert_int_eq(mambaint_prover_key_save(NULL, c.path, m.model, 1, o, &err),
                     MAMBAINT_E_INVALID);
    test_that(strstr(err.message, "option proofs"));
    mambaint_options_free(o);
    count_free(&c);
    unmake(&m);
}
END_TEST

/* A proof, which a key has to accept; returns how many are left. Frees the options. */
static int64_t prove_hidden(uint8_t **data, size_t *n, const struct made *m, mambaint_options *o,
                            const mambaint_key *k)
{
    mambaint_statement *s = NULL;
    mambaint_error err = {0, ""};
    mambaint_proof *p = NULL;
    int64_t is, left_over;
    char text[4096];
    int32_t rc = mambaint_proof_create(&p, m->model, 1, o, &err);

    test_check(rc == MAMBAINT_OK, "%s", err.message);
    test_that((*data = malloc(mambaint_proof_data(p, n) ? *n : 0)));
    memcpy(*data, mambaint_proof_data(p, NULL), *n);
    OK(mambaint_proof_number(p, "zk", &is));
    OK(mambaint_proof_number(p, "proofs-left", &left_over));
    ck_assert_int_eq(is, 1);
    rc = mambaint_proof_verify(&s, k, NULL, *data, *n, &err);
    test_check(rc == MAMBAINT_ACCEPTED, "%s", err.message);
    OK(mambaint_statement_text(text, sizeof(text), NULL, s, "json"));
    test_that(strstr(text, "\"weights\": \"hidden\""));
    mambaint_statement_free(s);
    mambaint_proof_free(p);
    mambaint_options_free(o);
    return left_over;
}

/* Makes a key with hidden weights. */
static void make_hidden(const struct made *m, const char *path, mambaint_key **key,
                        const char *proofs)
{
    mambaint_options *o = tiny_options("zk", "on", "proofs", proofs, NULL);
    mambaint_error err = {0, ""};
    uint8_t id[32], got[32];
    uint8_t *file;
    struct stat st;
    size_t n;
    const int32_t rc = mambaint_prover_key_save(id, path, m->model, 1, o, &err);

    mambaint_options_free(o);
    test_check(rc == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    o = tiny_options("zk", "on", "prover-key", path, NULL);
    OK(mambaint_key_create(key, m->model, 1, o, NULL));
    mambaint_options_free(o);
    ck_assert_int_eq(mambaint_key_save(NULL, 0, &n, *key), MAMBAINT_E_SPACE);
    test_that((file = malloc(n)));
    OK(mambaint_key_save(file, n, NULL, *key));
    mambaint_key_free(*key);
    test_check(mambaint_key_load(key, NULL, file, n, &err) == MAMBAINT_OK, "%s", err.message);
    OK(mambaint_key_digest(got, *key));
    ck_assert_mem_eq(got, id, sizeof(id));
    free(file);
}

START_TEST(hidden_proofs_are_counted)
{
    uint8_t *data[2];
    size_t n[2];
    mambaint_key *key = NULL, *clear = NULL;
    char path[TEST_PATH], kind[16];
    mambaint_error err;
    struct made m;

    make(&m);
    test_path(path, m.file[0].dir, "hidden.mipk");
    make_hidden(&m, path, &key, "6");
    for (int64_t i = 0; i < 2; i++)
        ck_assert_int_eq(prove_hidden(&data[i], &n[i], &m, zk(path, features), key), 6 - i);
    test_that(n[0] != n[1] || memcmp(data[0], data[1], n[0]) != 0);
    OK(mambaint_key_create(&clear, m.model, 1, NULL, NULL));
    ck_assert_int_eq(mambaint_proof_verify(NULL, clear, NULL, data[0], n[0], &err),
                     MAMBAINT_E_MISMATCH);
    test_that(strstr(err.message, "hidden, not committed"));
    ck_assert_int_eq(mambaint_proof_verify(NULL, key, NULL, m.proof, m.n_proof, &err),
                     MAMBAINT_E_MISMATCH);
    test_that(strstr(err.message, "committed, not hidden"));
    for (size_t at = 0; at < 36 + 96; at++) { /* number, root and path of the body */
        const size_t place = 16 + mbi_load32(data[1] + 12) + at;

        data[1][place] ^= 1;
        mbi_blake2b(data[1] + n[1] - 32, data[1], n[1] - 32);
        ck_assert_int_eq(mambaint_proof_verify(NULL, key, NULL, data[1], n[1], &err),
                         MAMBAINT_E_REFUSED);
        data[1][place] ^= 1;
    }
    free(data[0]);
    free(data[1]);
    for (int64_t i = 4; i >= 0; i--) {
        ck_assert_int_eq(prove_hidden(data, n, &m, zk(path, features), key), i);
        free(data[0]);
    }
    prove_not(&m, zk(path, features), MAMBAINT_E_RANGE, "used up");
    prove_not(&m, zk(m.path, features), MAMBAINT_E_MISMATCH, "hide nothing");
    OK(mambaint_artefact_check(kind, sizeof(kind), NULL, path, NULL));
    mambaint_key_free(clear);
    mambaint_key_free(key);
    unmake(&m);
}
END_TEST

/* One that has another seed makes other roots, and nothing leaves it. */
START_TEST(hidden_keys_that_are_damaged_make_no_proof)
{
    mambaint_key *key = NULL;
    struct mbi_prover_key_head head;
    struct mbi_counter counter;
    char path[TEST_PATH];
    struct made m;
    uint8_t *file;
    size_t n, seed;

    make(&m);
    test_path(path, m.file[0].dir, "hidden.mipk");
    make_hidden(&m, path, &key, "6");
    file = test_file_read(&n, path);
    OK(mbi_prover_key_read(&head, file, n, NULL));
    seed = (size_t)(head.seed - file);
    file[seed] ^= 1;
    mbi_blake2b(file + head.sealed - 32, file, head.sealed - 32);
    mbi_counter_put(&counter, 1, head.digest);
    memcpy(file + head.size, &counter, sizeof(counter));
    test_file_write(path, file, n);
    prove_not(&m, zk(path, features), MAMBAINT_E_FORMAT, "damaged");
    free(file);
    mambaint_key_free(key);
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
    tcase_add_test(t, each_number_is_given_once);
    tcase_add_test(t, processes_share_a_key);
    tcase_add_test(t, a_lost_number_is_not_given_again);
    tcase_add_test(t, odd_counters_give_nothing);
    tcase_add_test(t, hidden_heads_are_read_to_the_end);
    tcase_add_test(t, budgets_are_enough);
    tcase_add_test(t, hidden_proofs_take_a_key_of_their_own);
    tcase_add_test(t, hidden_proofs_are_counted);
    tcase_add_test(t, hidden_keys_that_are_damaged_make_no_proof);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile files. Small honest files of every kind are made, then damaged in thousands of ways (and
 * half of the time given a right digest again, so that the checks behind it are reached); the kept
 * corpus is read too. Whatever the bytes, the answer is a status and a sentence; nothing crashes,
 * leaks or takes memory beyond a bound. What is still accepted has to run.
 * Usage: replay CORPUS; MBI_FUZZ_CASES and MBI_TEST_SEED change number and seed.
 */
#include "base/bytes.h"
#include "base/intmath.h"
#include "noise.h"
#include "container/head.h"
#include <dirent.h>
#include <inttypes.h>
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILE ((size_t)1 << 20)
#define MAX_EXTRA ((size_t)48 << 20) /* bytes that a refused or accepted small file may cost */

/* ---- memory that is counted ---- */

struct meter {
    size_t live, peak, blocks;
};

/* The size of a block lies in front of it. */
static void *metered(void *user, void *old, size_t size)
{
    struct meter *m = user;
    size_t *block = old ? (size_t *)old - 2 : NULL;
    const size_t before = block ? block[0] : 0;

    if (!size) {
        m->live -= before;
        m->blocks -= old ? 1 : 0;
        free(block);
        return NULL;
    }
    if (m->live - before + size > MAX_EXTRA || !(block = realloc(block, size + 2 * sizeof(*block))))
        return NULL;
    m->live += size - before;
    m->blocks += old ? 0 : 1;
    m->peak = m->live > m->peak ? m->live : m->peak;
    block[0] = size;
    return block + 2;
}

/* ---- the kinds of files ---- */

struct run {
    mambaint_context *ctx;
    struct meter meter;
    mambaint_model *model; /* an honest one, for states */
    char folder[64];
};

static void die(const char *what, const mambaint_error *err)
{
    fprintf(stderr, "replay: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

/* As many ones as the model takes features. */
static int32_t evaluate(mambaint_model *model, mambaint_error *err)
{
    static int32_t outputs[4096];
    mambaint_options *options = NULL;
    char ones[2 * 256 + 1] = "";
    size_t n = 0;
    int32_t rc = mambaint_model_features(NULL, 0, &n, model, NULL, err);

    if (rc != MAMBAINT_E_SPACE || n > 256 || mambaint_options_create(&options))
        die("a model of features must say how many", err);
    for (size_t i = 0; i < n; i++)
        memcpy(ones + 2 * i, i + 1 < n ? "1," : "1", 3 - (i + 1 == n));
    if ((rc = mambaint_options_set(options, "features", ones, err)) >= 0)
        rc = mambaint_model_evaluate(outputs, 4096, NULL, &model, 1, options, err);
    mambaint_options_free(options);
    return rc;
}

static int32_t load_model(struct run *r, const uint8_t *data, size_t n, mambaint_error *err)
{
    const int32_t ids[] = {0, 1, 1, 0, 1, 0, 0, 1, 1, 1};
    mambaint_model *model = NULL;
    mambaint_session *session = NULL;
    mambaint_tokenizer *tokenizer = NULL;
    char piece[2048];
    size_t len;
    int32_t rc = mambaint_model_open_memory(&model, r->ctx, data, n, NULL, err);

    if (rc == MAMBAINT_OK && mambaint_tokenizer_of(&tokenizer, model) == MAMBAINT_E_UNSUPPORTED) {
        if ((rc = evaluate(model, err)) < 0)
            die("a model of features that opens must evaluate", err);
    } else if (rc == MAMBAINT_OK) {
        if ((rc = mambaint_session_create(&session, model, NULL, err)) < 0 ||
            (rc = mambaint_session_feed(session, ids, sizeof(ids) / sizeof(*ids), err)) < 0 ||
            (rc = mambaint_session_next(piece, sizeof(piece), &len, session, err)) < 0)
            die("a model that opens must run", err);
    } else if (model) {
        die("a failed open must leave NULL", err);
    }
    mambaint_session_free(session);
    mambaint_tokenizer_unref(tokenizer);
    mambaint_model_unref(model);
    return rc < 0 ? rc : MAMBAINT_OK;
}

static int32_t load_tokenizer(struct run *r, const uint8_t *data, size_t n, mambaint_error *err)
{
    static const char text[] = "Once upon a time \xe2\x82 <|endoftext|>\0 1234";
    mambaint_tokenizer *t = NULL;
    int32_t ids[sizeof(text)];
    char back[4 * sizeof(text)];
    size_t n_ids = 0, n_back = 0;
    const int32_t rc = mambaint_tokenizer_open_memory(&t, r->ctx, data, n, err);

    if (rc == MAMBAINT_OK) {
        if (mambaint_tokenizer_encode(ids, sizeof(text), &n_ids, t, text, sizeof(text), 0) ==
                MAMBAINT_OK &&
            mambaint_tokenizer_decode(back, sizeof(back), &n_back, t, ids, n_ids) != MAMBAINT_OK)
            die("ids of an opened tokenizer must decode", NULL);
    } else if (t) {
        die("a failed open must leave NULL", err);
    }
    mambaint_tokenizer_unref(t);
    return rc;
}

static int32_t load_state(struct run *r, const uint8_t *data, size_t n, mambaint_error *err)
{
    mambaint_state *state = NULL;
    mambaint_session *session = NULL;
    char piece[2048];
    size_t len;
    const int32_t rc = mambaint_state_load(&state, r->model, data, n, err);

    if (rc == MAMBAINT_OK) {
        if (mambaint_session_create(&session, r->model, NULL, err) < 0 ||
            mambaint_state_set(session, state, err) < 0)
            die("a state that loads must be accepted", err);
        mambaint_session_next(piece, sizeof(piece), &len, session, err);
    } else if (state) {
        die("a failed load must leave NULL", err);
    }
    mambaint_session_free(session);
    mambaint_state_free(state);
    return rc;
}

/* Run again on the honest model; OK only if it holds. */
static int32_t load_receipt(struct run *r, const uint8_t *data, size_t n, mambaint_error *err)
{
    const int32_t rc = mambaint_receipt_check(r->model, NULL, data, n, NULL, err);

    if (!rc)
        die("a receipt is neither accepted nor refused", err);
    return rc == MAMBAINT_ACCEPTED ? MAMBAINT_OK : rc;
}

/* A new file each time: some systems wait for the disk when an old one is emptied and closed. */
static void write_file(const char *path, const uint8_t *data, size_t n)
{
    FILE *f;

    remove(path);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        die(path, NULL);
}

/* Any kind, through the file system. */
static int32_t load_artefact(struct run *r, const uint8_t *data, size_t n, mambaint_error *err)
{
    char path[96], kind[16];

    snprintf(path, sizeof(path), "%s/artefact", r->folder);
    write_file(path, data, n);
    return mambaint_artefact_check(kind, sizeof(kind), r->ctx, path, err);
}

/* Give a container whose header and sizes still agree its right digest. */
static void seal_container(uint8_t *data, size_t n)
{
    struct mbi_host host;
    struct mbi_head head;
    uint8_t digest[MBI_DIGEST_SIZE];
    char digits[MBI_DIGEST_DIGITS + 1];

    mbi_host_default(&host);
    if (mbi_head_parse(&head, &host, data, n, NULL) == MAMBAINT_OK && n >= head.data_at &&
        n - head.data_at >= head.data_size) {
        size_t at = head.data_at;

        for (size_t i = 0; i < head.n_tensors; i++) {
            head.tensor[i].data = data + at;
            at += mbi_align_size(head.tensor[i].size, MBI_CONTAINER_ALIGN);
        }
        mbi_container_digest(digest, &head, data, false);
        mbi_hex(digits, digest, sizeof(digest));
        memcpy(data + head.digest_at, digits, MBI_DIGEST_DIGITS);
    }
    mbi_head_free(&head);
}

/* A state or a receipt ends with the hash of what stands before it. */
static void seal_state(uint8_t *data, size_t n)
{
    if (n >= MBI_DIGEST_SIZE)
        mbi_blake2b(data + n - MBI_DIGEST_SIZE, data, n - MBI_DIGEST_SIZE);
}

/* ---- damage ---- */

/* Numbers that break careless arithmetic. */
static uint64_t extreme(struct noise *z)
{
    static const uint64_t value[] = {
        0,
        1,
        2,
        63,
        64,
        65,
        127,
        128,
        255,
        256,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        INT64_MAX,
        UINT64_MAX,
        UINT64_MAX - 7,
        UINT64_MAX - 63,
    };

    return value[draw(z, sizeof(value) / sizeof(*value))];
}

/* One change to data[0..n); the buffer holds MAX_FILE bytes. Most fall on the first 2 KiB. */
static size_t damage(uint8_t *data, size_t n, struct noise *z)
{
    const uint64_t kind = draw(z, 8);
    const size_t at = n ? (size_t)draw(z, draw(z, 2) && n > 2048 ? 2048 : n) : 0;
    const size_t left = n - at, some = left ? 1 + (size_t)draw(z, left < 64 ? left : 64) : 0;
    uint8_t wide[8];

    switch (kind) {
    case 0: /* cut */
        return at;
    case 1: /* append */
        memset(data + n, (int)draw(z, 256), 64);
        return n + 64;
    case 2: /* take a part out */
        memmove(data + at, data + at + some, left - some);
        return n - some;
    case 3: /* repeat a part */
        memmove(data + at + some, data + at, left);
        return n + some;
    case 4:
    case 5: /* a number */
        mbi_store64(wide, extreme(z));
        memcpy(data + at, wide, left < 8 ? left : (size_t)1 << draw(z, 4));
        return n;
    default: /* a bit */
        if (n)
            data[at] ^= (uint8_t)(1u << draw(z, 8));
        return n;
    }
}

/* ---- one file, one surface ---- */

struct surface {
    const char *name;
    int32_t (*load)(struct run *r, const uint8_t *data, size_t n, mambaint_error *err);
    void (*seal)(uint8_t *data, size_t n);
};

static const struct surface surfaces[] = {
    {"model", load_model, seal_container}, {"tokenizer", load_tokenizer, seal_container},
    {"state", load_state, seal_state},     {"artefact", load_artefact, seal_container},
    {"receipt", load_receipt, seal_state},
};

#define N_SURFACES (sizeof(surfaces) / sizeof(*surfaces))

/* Load and look at the answer; true if it was accepted. */
static bool attempt(struct run *r, const struct surface *s, const uint8_t *data, size_t n)
{
    const struct meter before = r->meter;
    mambaint_error err = {0, ""};
    int32_t rc;

    r->meter.peak = before.live;
    rc = s->load(r, data, n, &err);
    if (rc > 0 || (rc < 0 && (err.code != rc || !err.message[0])))
        die("a refusal needs a code and a sentence", &err);
    if (rc == MAMBAINT_E_INTERNAL)
        die("a file may not cause an internal error", &err);
    if (rc == MAMBAINT_E_NO_MEMORY)
        die("a small file asks for too much memory", &err);
    if (r->meter.live != before.live || r->meter.blocks != before.blocks)
        die("something was not freed", &err);
    return rc == MAMBAINT_OK;
}

/* Where to look after a crash: the last case lies in the scratch folder. */
static void keep(const struct run *r, const uint8_t *data, size_t n)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/last-case", r->folder);
    write_file(path, data, n);
}

static void mutate(struct run *r, const struct surface *s, const uint8_t *honest, size_t size,
                   uint64_t cases, struct noise *z)
{
    uint8_t *data = malloc(MAX_FILE);
    uint64_t accepted = 0;
    const bool keeping = getenv("MBI_FUZZ_KEEP") != NULL;

    if (!data || size > MAX_FILE / 2)
        die("the honest file is too large", NULL);
    if (!attempt(r, s, honest, size))
        die("the honest file is refused", NULL);
    for (uint64_t i = 0; i < cases; i++) {
        size_t n = size;

        memcpy(data, honest, size);
        for (uint64_t k = 1 + draw(z, 3); k; k--)
            n = damage(data, n, z);
        if (draw(z, 2))
            s->seal(data, n);
        if (keeping)
            keep(r, data, n);
        accepted += attempt(r, s, data, n);
    }
    printf("%s: %" PRIu64 " damaged files, %" PRIu64 " still sound\n", s->name, cases, accepted);
    free(data);
}

/* ---- honest files ---- */

static uint8_t *read_file(size_t *n, const char *path)
{
    uint8_t *data = malloc(MAX_FILE);
    FILE *f = fopen(path, "rb");

    if (!data || !f)
        die(path, NULL);
    *n = fread(data, 1, MAX_FILE, f);
    fclose(f);
    return data;
}

static uint8_t *make_model(size_t *n, struct run *r, const char *preset, const char *weights)
{
    mambaint_options *options = NULL;
    mambaint_error err = {0, ""};
    char path[96];

    snprintf(path, sizeof(path), "%s/model", r->folder);
    if (mambaint_options_create(&options) ||
        mambaint_options_set(options, "preset", preset, &err) ||
        mambaint_options_set(options, "weights", weights, &err) ||
        mambaint_model_synth(r->ctx, path, options, &err))
        die("synth", &err);
    mambaint_options_free(options);
    return read_file(n, path);
}

static uint8_t *make_tokenizer(size_t *n, struct run *r)
{
    static const char text[] = "the cat and the boat and the cat in the boat on the water";
    mambaint_options *options = NULL;
    mambaint_tokenizer *t = NULL;
    mambaint_error err = {0, ""};
    char path[96];

    snprintf(path, sizeof(path), "%s/tokenizer", r->folder);
    if (mambaint_options_create(&options) || mambaint_options_set(options, "vocab", "280", &err) ||
        mambaint_tokenizer_train(&t, r->ctx, text, sizeof(text) - 1, options, &err) ||
        mambaint_tokenizer_save(t, path, &err))
        die("tokenizer", &err);
    mambaint_tokenizer_unref(t);
    mambaint_options_free(options);
    return read_file(n, path);
}

/* The state after a few tokens, with a chunk border behind it. */
static uint8_t *make_state(size_t *n, struct run *r)
{
    const int32_t ids[] = {0, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109};
    mambaint_session *session = NULL;
    mambaint_state *state = NULL;
    mambaint_error err = {0, ""};
    uint8_t *data = malloc(MAX_FILE);

    if (!data || mambaint_session_create(&session, r->model, NULL, &err) ||
        mambaint_session_feed(session, ids, sizeof(ids) / sizeof(*ids), &err) ||
        mambaint_state_get(&state, session, &err) || mambaint_state_save(data, MAX_FILE, n, state))
        die("state", &err);
    mambaint_state_free(state);
    mambaint_session_free(session);
    return data;
}

static uint8_t *make_receipt(size_t *n, struct run *r)
{
    mambaint_options *options = NULL;
    mambaint_session *session = NULL;
    mambaint_error err = {0, ""};
    uint8_t *data = malloc(MAX_FILE);
    char piece[2048];
    size_t len;

    if (!data || mambaint_options_create(&options) ||
        mambaint_options_set(options, "record", "on", &err) ||
        mambaint_session_create(&session, r->model, options, &err) ||
        mambaint_session_say(session, MAMBAINT_ROLE_USER, "Hello", 5, &err))
        die("receipt", &err);
    for (int i = 0; i < 10; i++)
        mambaint_session_next(piece, sizeof(piece), &len, session, NULL);
    if (mambaint_session_force(session, 100, &err) < 0 ||
        mambaint_receipt_create(data, MAX_FILE, n, session, &err))
        die("receipt", &err);
    mambaint_session_free(session);
    mambaint_options_free(options);
    return data;
}

/* ---- the whole ---- */

static void replay_corpus(struct run *r, const char *folder)
{
    struct dirent **entry;
    const int count = scandir(folder, &entry, NULL, alphasort);
    size_t files = 0;

    for (int i = 0; i < count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.') {
            size_t n;
            uint8_t *data = read_file(&n, path);

            for (size_t s = 0; s < N_SURFACES; s++)
                if (attempt(r, &surfaces[s], data, n))
                    die("a file of the corpus is accepted", NULL);
            files++;
            free(data);
        }
        free(entry[i]);
    }
    if (count < 0 || !files)
        die("no corpus", NULL);
    free(entry);
    printf("corpus: %zu files\n", files);
}

static void remove_files(const struct run *r)
{
    static const char *const name[] = {"model", "tokenizer", "artefact", "last-case"};
    char path[96];

    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        snprintf(path, sizeof(path), "%s/%s", r->folder, name[i]);
        remove(path);
    }
    rmdir(r->folder);
}

int main(int argc, char **argv)
{
    const char *text = getenv("MBI_FUZZ_CASES");
    const uint64_t cases = text ? strtoull(text, NULL, 10) : 4000;
    struct noise z = {(uint64_t)time(NULL), 0};
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    struct run r = {.folder = "/tmp/mambaint-replay-XXXXXX"};
    mambaint_error err = {0, ""};
    uint8_t *file[6];
    size_t size[6];

    if ((text = getenv("MBI_TEST_SEED")))
        z.seed = strtoull(text, NULL, 10);
    printf("MBI_TEST_SEED=%" PRIu64 "\n", z.seed);
    setup.alloc = metered;
    setup.alloc_user = &r.meter;
    if (argc != 2 || !mkdtemp(r.folder) || mambaint_context_create(&r.ctx, &setup, &err))
        die("set-up", &err);

    file[0] = make_model(&size[0], &r, "mi-tiny", "int8");
    file[1] = make_model(&size[1], &r, "mi-tiny", "ternary");
    file[4] = make_model(&size[4], &r, "simple", "int8");
    file[2] = make_tokenizer(&size[2], &r);
    if (mambaint_model_open_memory(&r.model, r.ctx, file[0], size[0], NULL, &err))
        die("model", &err);
    file[3] = make_state(&size[3], &r);
    file[5] = make_receipt(&size[5], &r);

    replay_corpus(&r, argv[1]);
    mutate(&r, &surfaces[0], file[0], size[0], cases, &z);
    mutate(&r, &surfaces[0], file[1], size[1], cases, &z);
    mutate(&r, &surfaces[0], file[4], size[4], cases, &z);
    mutate(&r, &surfaces[1], file[2], size[2], cases, &z);
    mutate(&r, &surfaces[1], file[0], size[0], cases / 4, &z);
    mutate(&r, &surfaces[2], file[3], size[3], cases, &z);
    mutate(&r, &surfaces[4], file[5], size[5], cases / 4, &z);
    for (size_t i = 0; i < 6; i++)
        mutate(&r, &surfaces[3], file[i], size[i], cases / 10, &z);

    for (size_t i = 0; i < 6; i++)
        free(file[i]);
    mambaint_model_unref(r.model);
    mambaint_context_unref(r.ctx);
    if (r.meter.live || r.meter.blocks)
        die("something was not freed", NULL);
    remove_files(&r);
    return 0;
}

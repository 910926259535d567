/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof files, keys and statements. First against a second reader: random files are made from the
 * text of docs/proof-files.md, damaged at their fields, mostly given right digests again, and read
 * by the library and by the plain reader below: both must say the same. Then through the public
 * calls: real files are damaged in the same way, and whatever is not the honest proof must not be
 * accepted; every refusal has a code and a sentence, nothing leaks, and memory is bounded.
 * Usage: mutate_proof_file [CASES [SEED]]
 */
#include "base/bytes.h"
#include "noise.h"
#include "proof/statement.h"
#include <inttypes.h>
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CAP ((size_t)1 << 20)
#define MAX_FIELDS 2000
#define MAX_EXTRA ((size_t)64 << 20) /* bytes that a file may cost */
#define MAX_MADE                                                                                   \
    ((size_t)256 << 20) /* bytes that an honest one may: openings have room for forms */

/* ---- a file under way: bytes, and where its fields are ---- */

struct file {
    uint8_t data[CAP];
    size_t n;
    struct {
        size_t at, width;
    } field[MAX_FIELDS];
    size_t n_fields;
    size_t inner, inner_end; /* the certificate of a key, its digest included */
    bool any_public;         /* a model of the last models' part has public parameters */
};

static void put(struct file *f, uint64_t v, size_t width)
{
    if (f->n_fields < MAX_FIELDS) {
        f->field[f->n_fields].at = f->n;
        f->field[f->n_fields++].width = width;
    }
    for (size_t i = 0; i < width; i++)
        f->data[f->n++] = (uint8_t)(v >> 8 * i);
}

static void put_noise(struct file *f, struct noise *z, size_t n)
{
    while (n--)
        f->data[f->n++] = (uint8_t)draw(z, 256);
}

static void put_text(struct file *f, const char *text)
{
    while (*text)
        f->data[f->n++] = (uint8_t)*text++;
}

static void put_digest(struct file *f, size_t begin)
{
    mbi_blake2b(f->data + f->n, f->data + begin, f->n - begin);
    f->n += MBI_DIGEST_SIZE;
}

/* Two elements of the field. */
static void put_value(struct file *f, struct noise *z)
{
    for (int i = 0; i < 2; i++) {
        put(f, draw(z, UINT32_MAX), 4);
        put(f, draw(z, UINT32_MAX), 4); /* below 2^32 - 1 */
    }
}

/* What a key says of its roots; the statement of a chain, of type 3, says of one. */
static void put_roots(struct file *f, struct noise *z, unsigned type)
{
    const uint64_t n = (uint64_t)1 << (type == 3 ? 0 : draw(z, 13));

    put(f, n, 4);
    put(f, (uint64_t)1 << (type == 3 ? 0 : draw(z, 13)), 4);
    if (n > 1)
        put_value(f, z);
}

/* A root, or a link of what is hidden; nothing where there is none. */
static void put_boundary(struct file *f, struct noise *z, bool there, bool hidden)
{
    put_noise(f, z, !there ? 0 : hidden ? 64 : 32);
    if (there && hidden)
        put_value(f, z);
}

static void put_models(struct file *f, struct noise *z, uint64_t n, bool hidden, unsigned type)
{
    f->any_public = false;
    put(f, n, 4);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t length = 1 + draw(z, chance(z, 10) ? 64 : 8);
        const uint64_t values = draw(z, chance(z, 10) ? 25 : 5);

        put(f, length, 4);
        for (uint64_t k = 0; k < length; k++)
            put(f, (uint8_t) "az09-bcd"[draw(z, 8)], 1);
        put(f, values, 2);
        put(f, chance(z, 4), 2);
        f->any_public |= f->data[f->n - 2];
        for (uint64_t k = 0; k < values; k++)
            put(f, draw(z, 1000), 4);
        put_noise(f, z, MBI_DIGEST_SIZE);
        if (f->data[f->n - MBI_DIGEST_SIZE - 4 * values - 2])
            put_noise(f, z, MBI_DIGEST_SIZE);
    }
    put_noise(f, z, MBI_DIGEST_SIZE);
    if (hidden)
        put_roots(f, z, type);
}

/* The statement of a chain is of features in clear; else they may be under a root on a side. */
static void put_features(struct file *f, struct noise *z, unsigned type, bool hidden)
{
    const bool before = type == 1 && chance(z, 3), behind = type == 1 && chance(z, 3);
    const uint64_t n_in = 1 + draw(z, 12), n_out = 1 + draw(z, 12);

    put(f, 0, 8);
    put(f, 1 + draw(z, 4096), 4);
    put(f, before ? 4 : 1, 4);
    put(f, n_in, 4);
    put_boundary(f, z, before, hidden);
    put_noise(f, z, before ? 0 : n_in);
    put(f, behind ? 4 : 1, 4);
    put(f, n_out, 4);
    put_boundary(f, z, behind, hidden);
    put_noise(f, z, behind ? 0 : 4 * n_out);
}

/* What a run of a type is about: 2 tokens of one model; 0 nothing of a certificate. */
static void put_run(struct file *f, struct noise *z, unsigned kind, bool hidden)
{
    const uint64_t steps = !kind ? 0 : 1 + draw(z, kind == 2 && chance(z, 2) ? 12 : 4096);
    const uint64_t n_in = kind == 2 ? steps + 1 : 0;
    const uint64_t n_out = kind == 2 ? 1 + draw(z, steps) : 0;
    const bool before = kind == 2 && chance(z, 3), behind = kind == 2 && chance(z, 3);

    put(f, before ? 1 + draw(z, 100) : 0, 8);
    put(f, steps, 4);
    put(f, kind + before, 4);
    put(f, n_in, 4);
    put_boundary(f, z, before, hidden);
    put_noise(f, z, 4 * n_in);
    put(f, kind + behind, 4);
    put(f, behind && chance(z, 2) ? 0 : n_out, 4);
    put_boundary(f, z, behind, hidden);
}

static uint64_t some_models(struct noise *z) { return 1 + draw(z, chance(z, 10) ? 15 : 3); }

/* A proof file; with `models` its models' part is that. */
static void put_proof(struct file *f, struct noise *z, unsigned type, bool hidden,
                      const uint8_t *models, size_t n_models)
{
    const unsigned kind = type == 1 ? 1 + (unsigned)draw(z, 2) : type == 3;
    const size_t begin = f->n;
    size_t length;

    put_text(f, "MIPF");
    put(f, 1, 2);
    put(f, 1, 2);
    put(f, type, 2);
    put(f, hidden ? 2 : type != 2 ? draw(z, 2) : 0, 2);
    put(f, 0, 4);
    if (models) {
        memcpy(f->data + f->n, models, n_models);
        f->n += n_models;
    } else {
        put_models(f, z, kind == 2 ? 1 : some_models(z) + (type == 3), hidden, type);
    }
    if (kind == 1)
        put_features(f, z, type, hidden);
    else
        put_run(f, z, kind, hidden);
    length = f->n - begin - 16;
    mbi_store32(f->data + begin + 12, (uint32_t)length);
    put_noise(f, z, type == 3 || chance(z, 4) ? 0 : draw(z, 50));
    put_digest(f, begin);
}

static void put_key(struct file *f, struct noise *z)
{
    const bool hidden = chance(z, 3);
    const size_t begin = f->n;
    size_t models, length;

    put_text(f, "MIVK");
    put(f, 1, 2);
    put(f, 1, 2);
    put(f, hidden ? 2 : 0, 4);
    put(f, 0, 4);
    models = f->n;
    put_models(f, z, some_models(z), hidden, 2);
    length = f->n - models;
    mbi_store32(f->data + models - 4, (uint32_t)length);
    put(f, 0, 4);
    f->inner = f->n;
    put_proof(f, z, 2, hidden, f->data + models, length);
    f->inner_end = f->n;
    mbi_store32(f->data + f->inner - 4, (uint32_t)(f->n - f->inner));
    if (f->any_public) {
        const uint64_t n = 1 + draw(z, 40);

        put(f, n, 4);
        put_noise(f, z, n);
    }
    put_digest(f, begin);
}

static void make(struct file *f, struct noise *z)
{
    unsigned type;

    f->n = f->n_fields = f->inner = f->inner_end = 0;
    if (chance(z, 3)) {
        put_key(f, z);
        return;
    }
    type = 1 + (unsigned)draw(z, 3);
    put_proof(f, z, type, chance(z, 3), NULL, 0);
}

/* ---- damage ---- */

static uint64_t extreme(struct noise *z)
{
    static const uint64_t value[] = {0,  1,  2,  3,   16,   17,         64,         65,
                                     24, 25, 48, 255, 4096, 0x7fffffff, 0xffffffff, UINT64_MAX};

    return value[draw(z, sizeof(value) / sizeof(*value))];
}

static void damage(struct file *f, struct noise *z)
{
    const size_t at = (size_t)draw(z, f->n + 1), some = (size_t)draw(z, 9);
    const size_t i = f->n_fields ? (size_t)draw(z, f->n_fields) : 0;
    uint64_t v;

    switch (draw(z, 7)) {
    case 0: /* cut, at the end or in the middle */
        memmove(f->data + at - (at < some ? 0 : some), f->data + at, f->n - at);
        f->n -= at < some ? 0 : some;
        return;
    case 1: /* append, or repeat a part */
        memmove(f->data + at + some, f->data + at, f->n - at);
        f->n += some;
        return;
    case 2:
        if (at < f->n)
            f->data[at] ^= (uint8_t)(1u << draw(z, 8));
        return;
    default: /* a field */
        if (!f->n_fields || f->field[i].at + f->field[i].width > f->n)
            return;
        v = chance(z, 2) ? extreme(z) : (uint64_t)f->data[f->field[i].at] + 1 - 2 * draw(z, 2);
        for (size_t k = 0; k < f->field[i].width; k++)
            f->data[f->field[i].at + k] = (uint8_t)(v >> 8 * k);
    }
}

static void seal(uint8_t *data, size_t n)
{
    if (n >= MBI_DIGEST_SIZE)
        mbi_blake2b(data + n - MBI_DIGEST_SIZE, data, n - MBI_DIGEST_SIZE);
}

static void seal_all(struct file *f)
{
    if (f->inner && f->inner_end <= f->n)
        seal(f->data + f->inner, f->inner_end - f->inner);
    seal(f->data, f->n);
}

/* ---- the plain reader: what docs/proof-files.md says, line by line ---- */

struct plain {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

static uint64_t take(struct plain *p, size_t width)
{
    uint64_t v = 0;

    if (p->bad || p->n - p->at < width) {
        p->bad = true;
        return 0;
    }
    for (size_t i = width; i-- > 0;)
        v = v << 8 | p->p[p->at + i];
    p->at += width;
    return v;
}

static void skip(struct plain *p, uint64_t n)
{
    if (p->bad || n > p->n - p->at)
        p->bad = true;
    else
        p->at += (size_t)n;
}

static void need(struct plain *p, bool so) { p->bad |= !so; }

static bool is_power(uint64_t n) { return n && !(n & (n - 1)) && n <= 4096; }

static void read_value(struct plain *p)
{
    for (int i = 0; i < 2; i++)
        need(p, take(p, 8) < 0xffffffff00000001u);
}

static void read_boundary(struct plain *p, bool there, bool hidden)
{
    skip(p, !there ? 0 : hidden ? 64 : 32);
    if (there && hidden)
        read_value(p);
}

/* Whether a model has public parameters. */
static bool read_models(struct plain *p, uint64_t *n_models, bool hidden, unsigned type)
{
    const uint64_t n = *n_models = take(p, 4);
    bool any = false;

    need(p, n >= 1 && n <= 16);
    for (uint64_t i = 0; i < n && !p->bad; i++) {
        const uint64_t length = take(p, 4);
        uint64_t values, marks;

        need(p, length >= 1 && length <= 64);
        for (uint64_t k = 0; k < length && !p->bad; k++) {
            const char c = (char)take(p, 1);

            need(p, c && strchr("abcdefghijklmnopqrstuvwxyz0123456789-", c));
        }
        values = take(p, 2);
        marks = take(p, 2);
        need(p, values <= 24);
        need(p, marks <= 1);
        skip(p, 4 * values);
        skip(p, 32);
        skip(p, 32 * marks);
        any |= marks == 1;
    }
    skip(p, 32);
    if (hidden) {
        const uint64_t roots = take(p, 4), openings = take(p, 4);

        need(p, is_power(roots) && is_power(openings));
        need(p, type != 3 || (roots == 1 && openings == 1));
        if (roots > 1)
            read_value(p);
    }
    return any;
}

/* The same of features, from the first kind on; no chain has parts. */
static void read_features(struct plain *p, uint64_t kind, bool parts, bool hidden)
{
    uint64_t n = take(p, 4);

    need(p, n >= 1);
    read_boundary(p, kind == 4, hidden);
    skip(p, kind == 4 ? 0 : n);
    kind = take(p, 4);
    need(p, kind == 1 || (kind == 4 && parts));
    n = take(p, 4);
    need(p, n >= 1);
    read_boundary(p, kind == 4, hidden);
    skip(p, kind == 4 ? 0 : 4 * n);
}

/* From t0 on, of a run or chain. */
static void read_run(struct plain *p, uint64_t n_models, unsigned type, bool hidden)
{
    uint64_t t0, steps, kind, out, n;

    t0 = take(p, 8);
    steps = take(p, 4);
    kind = take(p, 4);
    need(p, type == 1 ? kind >= 1 && kind <= 4 : kind == 1 && n_models >= 2);
    if (kind == 1 || kind == 4) {
        need(p, t0 == 0 && steps >= 1 && steps <= 4096);
        read_features(p, kind, type == 1, hidden);
        return;
    }
    need(p, kind == 3 ? t0 > 0 && t0 >> 48 == 0 : t0 == 0);
    need(p, steps >= 1 && steps <= 1 << 20);
    n = take(p, 4);
    need(p, n == steps + 1 && n_models == 1);
    read_boundary(p, kind == 3, hidden);
    skip(p, 4 * n);
    out = take(p, 4);
    need(p, out == 2 || out == 3);
    n = take(p, 4);
    need(p, (n >= 1 || out == 3) && n <= steps);
    read_boundary(p, out == 3, hidden);
}

static bool digest_right(const uint8_t *p, size_t n)
{
    uint8_t d[MBI_DIGEST_SIZE];

    mbi_blake2b(d, p, n - MBI_DIGEST_SIZE);
    return !memcmp(d, p + n - MBI_DIGEST_SIZE, sizeof(d));
}

/* The type of a whole proof file, 0 if it is none. */
static unsigned read_proof(const uint8_t *p, size_t n)
{
    struct plain r = {.p = p, .n = n};
    uint64_t type, flags, length, n_models;

    need(&r, take(&r, 4) == 0x4650494d);
    need(&r, take(&r, 2) == 1);
    need(&r, take(&r, 2) == 1);
    type = take(&r, 2);
    flags = take(&r, 2);
    length = take(&r, 4);
    need(&r, type >= 1 && type <= 3);
    need(&r, flags <= (type != 2) || flags == 2);
    need(&r, type != 3 || length + 48 == n);
    if (r.bad || n < 48 || length > n - 48 || !digest_right(p, n))
        return 0;
    r.n = 16 + (size_t)length;
    read_models(&r, &n_models, flags == 2, (unsigned)type);
    if (type != 2)
        read_run(&r, n_models, (unsigned)type, flags == 2);
    for (int i = 0; i < 7 && type == 2; i++) /* t0, steps, kinds and counts */
        need(&r, take(&r, 4) == 0);
    return !r.bad && r.at == r.n ? (unsigned)type : 0;
}

static bool read_key(const uint8_t *p, size_t n)
{
    struct plain r = {.p = p, .n = n};
    uint64_t length, n_models, mode;
    size_t models, size, at;
    bool any_public;

    need(&r, take(&r, 4) == 0x4b56494d);
    need(&r, take(&r, 2) == 1);
    need(&r, take(&r, 2) == 1);
    mode = take(&r, 4);
    need(&r, mode == 0 || mode == 2);
    if (r.bad || n < 48 || !digest_right(p, n))
        return false;
    r.n = n - MBI_DIGEST_SIZE;
    length = take(&r, 4);
    models = r.at;
    any_public = read_models(&r, &n_models, mode == 2, 2);
    size = r.at - models;
    need(&r, size == length);
    length = take(&r, 4);
    at = r.at;
    skip(&r, length);
    if (r.bad || read_proof(p + at, (size_t)length) != 2 || p[at + 10] != mode ||
        memcmp(p + at + 16, p + models, size) != 0) /* the same models */
        return false;
    if (any_public) {
        length = take(&r, 4);
        need(&r, length > 0);
        skip(&r, length);
    }
    return !r.bad && r.at == r.n;
}

static const char *reader_case(struct file *f, struct noise *z, uint64_t *sound)
{
    static struct mbi_proof_file proof;
    static struct mbi_key_file key;
    const uint64_t changes = draw(z, 4);
    bool theirs, ours;
    uint8_t *data;

    make(f, z);
    for (uint64_t i = 0; i < changes; i++)
        damage(f, z);
    if (!chance(z, 8))
        seal_all(f);
    if (!(data = malloc(f->n + 1)))
        return "out of memory";
    memcpy(data + 1, f->data, f->n); /* odd, and its end is seen */
    if (f->inner) {
        theirs = mbi_key_file_read(&key, data + 1, f->n, NULL) == MAMBAINT_OK;
        ours = read_key(data + 1, f->n);
    } else {
        theirs = mbi_proof_file_read(&proof, data + 1, f->n, NULL) == MAMBAINT_OK;
        ours = read_proof(data + 1, f->n) != 0;
    }
    free(data);
    *sound += theirs;
    if (theirs != ours)
        return theirs ? "the library accepts what the text refuses"
                      : "the library refuses what the text accepts";
    return changes || theirs || f->n_fields == MAX_FIELDS ? NULL : "an honest file is refused";
}

/* ---- through the public calls ---- */

struct meter {
    size_t live, blocks, most;
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
    if (m->live - before + size > m->most || !(block = realloc(block, size + 2 * sizeof(*block))))
        return NULL;
    m->live += size - before;
    m->blocks += old ? 0 : 1;
    block[0] = size;
    return block + 2;
}

static void die(const char *what, const mambaint_error *err)
{
    fprintf(stderr, "mutate_proof_file: %s: %s\n", what, err ? err->message : "");
    exit(1);
}

/* Honest files and the keys that they are for. */
struct honest {
    mambaint_context *ctx;
    struct meter meter;
    mambaint_key *key;
    uint8_t *data[3]; /* a proof, a statement, a key */
    size_t n[3];
};

static void make_model(mambaint_model **model, mambaint_context *ctx, const char *const set[9],
                       const char *seed)
{
    char path[] = "/tmp/mambaint-proof-XXXXXX";
    mambaint_options *o = NULL;
    mambaint_error err = {0, ""};
    const int fd = mkstemp(path);

    if (fd < 0 || mambaint_options_create(&o))
        die("set-up", NULL);
    close(fd);
    for (size_t i = 0; i < 8; i += 2)
        if (mambaint_options_set(o, set[i], set[i + 1], &err))
            die("options", &err);
    if (mambaint_options_set(o, set[8], seed, &err) || mambaint_model_synth(NULL, path, o, &err) ||
        mambaint_model_open(model, ctx, path, NULL, &err))
        die("a model", &err);
    remove(path);
    mambaint_options_free(o);
}

static const char *const of_features[] = {"preset", "simple",      "hidden", "3",   "outputs",
                                          "2",      "features-in", "2",      "seed"};
static const char *const of_text[] = {"preset", "mi-tiny", "layers", "1",   "vocab",
                                      "280",    "d-model", "16",     "seed"};

/* A proof that the model answers some tokens to three; steps: a series of proofs. */
static void prove_text(struct honest *h, mambaint_model *model, const char *tokens,
                       const char *steps)
{
    mambaint_options *o = NULL;
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    const void *data;

    if (mambaint_options_create(&o) || mambaint_options_set(o, "ids", "0,7,279", &err) ||
        mambaint_options_set(o, "tokens", tokens, &err) ||
        (steps && mambaint_options_set(o, "chunk-steps", steps, &err)) ||
        mambaint_proof_create(&p, &model, 1, o, &err))
        die("a proof of tokens", &err);
    data = mambaint_proof_data(p, &h->n[0]);
    if (h->n[0] > CAP - 64 || !(h->data[0] = calloc(h->n[0] + 1, 1)))
        die("out of memory", NULL);
    memcpy(h->data[0], data, h->n[0]);
    mambaint_proof_free(p);
    mambaint_options_free(o);
}

/* Of a model of text: a proof, its key, and a statement of some tokens without a proof. */
static void make_text(struct honest *h, const char *tokens, const char *steps)
{
    static const uint8_t rest[] = {0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0,    0,
                                   0, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0x17, 1,
                                   0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0};
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_error err = {0, ""};
    mambaint_model *model;
    size_t part;

    setup.alloc = metered;
    setup.alloc_user = &h->meter;
    h->meter.most = MAX_MADE;
    if (mambaint_context_create(&h->ctx, &setup, &err))
        die("set-up", &err);
    make_model(&model, h->ctx, of_text, "1");
    if (mambaint_key_create(&h->key, &model, 1, NULL, &err))
        die("a key", &err);
    mambaint_key_save(NULL, 0, &h->n[2], h->key);
    if (h->n[2] > CAP - 64 || !(h->data[2] = calloc(h->n[2] + 1, 1)) ||
        mambaint_key_save(h->data[2], h->n[2], NULL, h->key))
        die("saving", NULL);
    part = mbi_load32(h->data[2] + 12);
    h->n[1] = 16 + part + sizeof(rest) + MBI_DIGEST_SIZE;
    if (!(h->data[1] = calloc(h->n[1], 1)))
        die("out of memory", NULL);
    memcpy(h->data[1], "MIPF\1\0\1\0\1", 9);
    mbi_store32(h->data[1] + 12, (uint32_t)(part + sizeof(rest)));
    memcpy(h->data[1] + 16, h->data[2] + 16, part);
    memcpy(h->data[1] + 16 + part, rest, sizeof(rest));
    seal(h->data[1], h->n[1]);
    prove_text(h, model, tokens, steps);
    h->meter.most = MAX_EXTRA;
    mambaint_model_unref(model);
}

/* Prover keys of hidden weights, as options: of each model, or one of both. */
static void make_keys(char path[2][32], mambaint_options *o, mambaint_model *const *model,
                      bool linked)
{
    mambaint_options *keys = NULL;
    mambaint_error err = {0, ""};

    if (mambaint_options_create(&keys) || mambaint_options_set(keys, "zk", "on", &err) ||
        mambaint_options_set(keys, "proofs", "1", &err) ||
        mambaint_options_set(o, "zk", "on", &err))
        die("options", &err);
    for (size_t i = 0; i < (linked ? 2 : 1); i++) {
        const int fd = mkstemp(strcpy(path[i], "/tmp/mambaint-key-XXXXXX"));

        if (fd < 0)
            die("set-up", NULL);
        close(fd);
        if (mambaint_prover_key_save(NULL, path[i], model + i, linked ? 1 : 2, keys, &err) ||
            mambaint_options_set(o, "prover-key", path[i], &err))
            die("a prover key", &err);
    }
    mambaint_options_free(keys);
}

/* weights: committed or public, or hidden. */
static void make_honest(struct honest *h, const char *weights, const char *chain)
{
    const bool hidden = !strcmp(weights, "hidden");
    char path[2][32] = {"", ""};
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_statement *s = NULL;
    mambaint_model *model[2];
    mambaint_options *o = NULL;
    mambaint_proof *p = NULL;
    mambaint_error err = {0, ""};
    const void *data;

    setup.alloc = metered;
    setup.alloc_user = &h->meter;
    h->meter.most = MAX_MADE;
    if (mambaint_context_create(&h->ctx, &setup, &err) || mambaint_options_create(&o) ||
        mambaint_options_set(o, "features", "1,-2", &err) ||
        mambaint_options_set(o, "weights", hidden ? "committed" : weights, &err) ||
        mambaint_options_set(o, "chain", chain, &err))
        die("set-up", &err);
    make_model(&model[0], h->ctx, of_features, "1");
    make_model(&model[1], h->ctx, of_features, "2");
    if (hidden)
        make_keys(path, o, model, !strcmp(chain, "linked"));
    if (mambaint_proof_create(&p, model, 2, o, &err) ||
        mambaint_key_create(&h->key, model, 2, o, &err))
        die("a proof", &err);
    data = mambaint_proof_data(p, &h->n[0]);
    if (mambaint_statement_read(&s, h->ctx, data, h->n[0], &err))
        die("a statement", &err);
    mambaint_statement_save(NULL, 0, &h->n[1], s);
    mambaint_key_save(NULL, 0, &h->n[2], h->key);
    for (size_t i = 0; i < 3; i++)
        if (h->n[i] > CAP - 64 || !(h->data[i] = calloc(h->n[i] + 1, 1)))
            die("out of memory", NULL);
    memcpy(h->data[0], data, h->n[0]);
    if (mambaint_statement_save(h->data[1], h->n[1], NULL, s) ||
        (h->n[2] && mambaint_key_save(h->data[2], h->n[2], NULL, h->key)))
        die("saving", NULL);
    mambaint_statement_free(s);
    mambaint_proof_free(p);
    mambaint_options_free(o);
    mambaint_model_unref(model[0]);
    mambaint_model_unref(model[1]);
    for (size_t i = 0; i < 2; i++)
        if (path[i][0])
            remove(path[i]);
    h->meter.most = MAX_EXTRA;
}

static void free_honest(struct honest *h)
{
    for (size_t i = 0; i < 3; i++)
        free(h->data[i]);
    mambaint_key_free(h->key);
    mambaint_context_unref(h->ctx);
    if (h->meter.live || h->meter.blocks)
        die("something was not freed", NULL);
}

/* A real file with its fields: words everywhere in head and statement, of which many are some. */
static void take_honest(struct file *f, const struct honest *h, size_t which, struct noise *z)
{
    const size_t start = which == 2 ? 46 + (size_t)mbi_load32(h->data[2] + 12) : 0;

    memcpy(f->data, h->data[which], h->n[which]);
    f->n = h->n[which];
    f->inner = which == 2 ? 20 + (size_t)mbi_load32(h->data[2] + 12) : 0;
    f->inner_end = f->inner ? f->n - MBI_DIGEST_SIZE : 0;
    if (!memcmp(f->data, "MIPS", 4)) { /* its first proof, or the second */
        f->inner = 16;
        f->inner_end = 16 + (size_t)mbi_load32(f->data + 12);
        if (chance(z, 2)) {
            f->inner = f->inner_end + 4;
            f->inner_end = f->inner + mbi_load32(f->data + f->inner - 4);
        }
    }
    for (f->n_fields = 0; f->n_fields < 60; f->n_fields++) {
        f->field[f->n_fields].at = 2 * (size_t)draw(z, chance(z, 2) ? 150 : f->n / 2 - 8);
        f->field[f->n_fields].at += chance(z, 4) && start < f->n / 4 ? start : 0;
        if (f->inner > 16 && which != 2 && chance(z, 2)) /* in head and statement of the second */
            f->field[f->n_fields].at = f->inner + 2 * (size_t)draw(z, 150);
        f->field[f->n_fields].width = (size_t)1 << draw(z, 4);
    }
}

/* Every surface has a look at it; what each answers has to be in order. */
static const char *try_all(const struct honest *h, const uint8_t *data, size_t n, uint64_t *read)
{
    mambaint_statement *s = NULL, *parsed = NULL;
    mambaint_error err[3] = {{0, ""}, {0, ""}, {0, ""}};
    mambaint_key *k = NULL;
    int32_t rc[3];
    char text[16384];

    rc[0] = mambaint_proof_verify(&parsed, h->key, NULL, data, n, &err[0]);
    rc[1] = mambaint_statement_read(&s, h->ctx, data, n, &err[1]);
    rc[2] = mambaint_key_load(&k, h->ctx, data, n, &err[2]);
    for (int i = 0; i < 3; i++)
        if (rc[i] < 0 && (err[i].code != rc[i] || !err[i].message[0] ||
                          rc[i] == MAMBAINT_E_INTERNAL || rc[i] == MAMBAINT_E_NO_MEMORY))
            return "a refusal without a code and a sentence, or an odd one";
    if (!rc[0])
        return "a verification returned 0";
    if ((rc[0] == MAMBAINT_ACCEPTED) != (parsed != NULL) || (rc[1] == 0) != (s != NULL) ||
        (rc[2] == 0) != (k != NULL))
        return "a handle where there is none, or none where there is one";
    if (rc[0] > 0 && (n != h->n[0] || memcmp(data, h->data[0], n) != 0))
        return "a damaged proof is accepted";
    if (!rc[2] && (n != h->n[2] || memcmp(data, h->data[2], n) != 0))
        return "a damaged key is accepted";
    if (s && (mambaint_statement_text(text, sizeof(text), NULL, s, "text") ||
              mambaint_statement_text(text, sizeof(text), NULL, s, "json")))
        return "a statement that is read tells nothing";
    *read += !rc[1];
    mambaint_statement_free(parsed);
    mambaint_statement_free(s);
    mambaint_key_free(k);
    return NULL;
}

static const char *public_case(struct file *f, const struct honest *h, struct noise *z,
                               uint64_t *read)
{
    const size_t which = (size_t)draw(z, h->n[2] ? 3 : 2);
    const struct meter before = h->meter;
    const char *fault;
    uint8_t *data;

    take_honest(f, h, which, z);
    for (uint64_t k = draw(z, 4); k; k--)
        damage(f, z);
    if (!chance(z, 8))
        seal_all(f);
    if (!(data = malloc(f->n + 1)))
        return "out of memory";
    memcpy(data + 1, f->data, f->n);
    fault = try_all(h, data + 1, f->n, read);
    free(data);
    if (!fault && (h->meter.live != before.live || h->meter.blocks != before.blocks))
        fault = "something was not freed";
    return fault;
}

/* ---- the whole ---- */

#define HONEST 8 /* sets of real files */

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    struct noise z = {argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL), 0};
    struct honest h[HONEST] = {{.ctx = NULL}};
    mambaint_statement *s = NULL;
    struct file *f = malloc(sizeof(*f));
    uint64_t sound = 0, read = 0;

    printf("mutate_proof_file %" PRIu64 " %" PRIu64 "\n", cases, z.seed);
    if (!f)
        die("out of memory", NULL);
    make_honest(&h[0], "committed", "merged");
    make_honest(&h[1], "public", "merged");
    make_honest(&h[4], "committed", "linked");
    make_honest(&h[5], "public", "linked");
    make_honest(&h[6], "hidden", "linked");
    make_honest(&h[7], "hidden", "merged");
    make_text(&h[2], "2", NULL);
    make_text(&h[3], "7", "8");
    for (int i = 0; i < HONEST; i++)
        if (mambaint_proof_verify(NULL, h[i].key, NULL, h[i].data[0], h[i].n[0], NULL) !=
            MAMBAINT_ACCEPTED)
            die("an honest proof is refused", NULL);
    if (mambaint_statement_read(&s, h[2].ctx, h[2].data[1], h[2].n[1], NULL))
        die("an honest statement of tokens is refused", NULL);
    mambaint_statement_free(s);
    for (uint64_t i = 0; i < cases; i++) {
        const char *fault = reader_case(f, &z, &sound);

        if (!fault && i % 8 == 0)
            fault = public_case(f, &h[i / 8 % HONEST], &z, &read);
        if (fault) {
            fprintf(stderr, "case %" PRIu64 ": %s\n", i, fault);
            return 1;
        }
    }
    printf("%" PRIu64 " of %" PRIu64 " files sound, %" PRIu64 " of %" PRIu64
           " statements of real ones read\n",
           sound, cases, read, (cases + 7) / 8);
    for (int i = 0; i < HONEST; i++)
        free_honest(&h[i]);
    free(f);
    return 0;
}

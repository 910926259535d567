/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokenizer against everything that was published for it, whole: the reference vectors of
 * GPT-2, the golden ids of GPT-2 and GPT-NeoX, and the Universal Declaration in all its languages
 * there and back. conformance.sh unpacks the files; the unit tests hold parts of them.
 */
#include "base/file.h"
#include "convert/gpt2_tokenizer.h"
#include "tokenizer/build.h"
#include "tokenizer/normalize.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define SKIPPED 77

#if MBI_HAVE_JANSSON && MBI_HAVE_UTF8PROC

#include <jansson.h>

struct context {
    struct mbi_host host;
    const char *folder;
    int bad;
};

static void need(const struct context *c, bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "conformance: %s: cannot use %s\n", c->folder, what);
    exit(2);
}

static void report(struct context *c, const char *what, size_t n, size_t wanted, size_t wrong)
{
    printf("%-40s %4zu of %zu, %zu wrong\n", what, n, wanted, wrong);
    c->bad |= n != wanted || wrong;
}

static void path_of(const struct context *c, char *out, size_t cap, const char *name)
{
    need(c, snprintf(out, cap, "%s/%s", c->folder, name) < (int)cap, name);
}

static struct mbi_map open_file(const struct context *c, const char *name)
{
    struct mbi_map map;
    char path[4096];

    path_of(c, path, sizeof(path), name);
    need(c, mbi_map_open(&map, &c->host, path, NULL) >= 0, name);
    return map;
}

/* ---- the two tokenizers ---- */

static struct mbi_tokenizer *open_gpt2(const struct context *c)
{
    char encoder[4096], merges[4096];
    struct mbi_tokenizer *t;

    path_of(c, encoder, sizeof(encoder), "gpt2-encoder.json");
    path_of(c, merges, sizeof(merges), "gpt2-vocab.bpe");
    need(c, mbi_convert_gpt2(&t, &c->host, encoder, merges, NULL) >= 0, "gpt2-encoder.json");
    return t;
}

/*
 * Token by id; the added ones, control tokens here, are found under SPECIAL. Three runs of spaces
 * and dashes are longer than a token may be, and take no part: NULL.
 */
struct neox {
    const char *token[MBI_MAX_VOCAB];
    uint32_t kind[MBI_MAX_VOCAB];
    uint32_t n;
};

/* How many bytes a spelling stands for: as many as it has characters. */
static size_t spelled_bytes(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((uint8_t)*text & 0xc0) != 0x80;
    return n;
}

static void put_token(const struct context *c, struct neox *x, json_int_t id, const char *text,
                      uint32_t kind)
{
    need(c, text && id >= 0 && id < (json_int_t)MBI_MAX_VOCAB, "a NeoX token");
    x->token[id] = spelled_bytes(text) <= MBI_MAX_TOKEN_BYTES ? text : NULL;
    x->kind[id] = kind;
    x->n = (uint32_t)id >= x->n ? (uint32_t)id + 1 : x->n;
}

static void read_neox(const struct context *c, struct neox *x, json_t *file)
{
    const char *spelled;
    json_t *id, *added;
    size_t i;

    json_object_foreach(json_object_get(json_object_get(file, "model"), "vocab"), spelled, id)
    {
        put_token(c, x, json_integer_value(id), spelled, MBI_TOKEN_NORMAL);
    }
    json_array_foreach(json_object_get(file, "added_tokens"), i, added)
    {
        put_token(c, x, json_integer_value(json_object_get(added, "id")),
                  json_string_value(json_object_get(added, "content")), MBI_TOKEN_CONTROL);
    }
}

/* The 13 bytes that are never in UTF-8 have no token: they get ids behind all others. */
static bool never_in_utf8(uint32_t byte) { return byte == 0xc0 || byte == 0xc1 || byte >= 0xf5; }

static int32_t add_token(struct mbi_tokenizer_build *b, const struct neox *x, uint32_t id,
                         mambaint_error *err)
{
    char name[24];

    if (x->token[id])
        return mbi_tokenizer_build_spelled(b, x->token[id], strlen(x->token[id]), x->kind[id], err);
    snprintf(name, sizeof(name), "<|unused%u|>", id);
    return mbi_tokenizer_build_token(b, name, strlen(name), MBI_TOKEN_UNUSED, err);
}

static int32_t build_neox(struct mbi_tokenizer **out, const struct context *c, const struct neox *x,
                          json_t *merges, mambaint_error *err)
{
    static const int32_t no_role[5] = {-1, -1, -1, -1, -1};
    struct mbi_tokenizer_build b;
    json_t *merge;
    size_t k;
    int32_t rc = mbi_tokenizer_build_begin(&b, &c->host, MBI_PRE_GPT2, true, x->n + 13, err);

    for (uint32_t i = 0; rc >= 0 && i < x->n; i++)
        rc = add_token(&b, x, i, err);
    for (uint32_t byte = 0; rc >= 0 && byte < 256; byte++)
        if (never_in_utf8(byte))
            rc = mbi_tokenizer_build_token(&b, &(uint8_t){(uint8_t)byte}, 1, MBI_TOKEN_NORMAL, err);
    if (rc >= 0)
        rc = mbi_tokenizer_build_seal(&b, err);
    json_array_foreach(merges, k, merge)
    {
        const char *pair = json_string_value(merge);

        need(c, pair != NULL, "a NeoX merge");
        if (rc >= 0 && spelled_bytes(pair) <= MBI_MAX_TOKEN_BYTES + 1) /* with the space */
            rc = mbi_tokenizer_build_merge_text(&b, pair, strlen(pair), err);
    }
    if (rc >= 0)
        return mbi_tokenizer_build_finish(out, &b, 0, no_role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}

static struct mbi_tokenizer *open_neox(const struct context *c)
{
    struct mbi_map map = open_file(c, "gpt-neox-20b-tokenizer.json");
    json_t *const file = json_loadb((const char *)map.data, map.size, 0, NULL);
    struct neox *const x = calloc(1, sizeof(*x));
    struct mbi_tokenizer *t = NULL;
    mambaint_error err = {0};
    size_t left_out = 0;

    need(c, file && x, "gpt-neox-20b-tokenizer.json");
    read_neox(c, x, file);
    for (uint32_t i = 0; i < x->n; i++)
        left_out += !x->token[i];
    need(c, left_out == 3, "the ids of NeoX");
    if (build_neox(&t, c, x, json_object_get(json_object_get(file, "model"), "merges"), &err) < 0)
        fprintf(stderr, "conformance: %s\n", err.message);
    need(c, t != NULL, "gpt-neox-20b-tokenizer.json");
    free(x);
    json_decref(file);
    mbi_map_close(&map, &c->host);
    return t;
}

/* ---- the four sets ---- */

static bool same_ids(const struct context *c, const struct mbi_tokenizer *t, json_t *row,
                     const char *member, uint32_t flags)
{
    const json_t *const text = json_object_get(row, "text"), *const want =
                                                                 json_object_get(row, member);
    struct mbi_buf ids;
    bool same;

    need(c, json_is_string(text) && json_is_array(want), member);
    mbi_buf_init(&ids, &c->host);
    same = mbi_tokenizer_encode(&ids, t, json_string_value(text), json_string_length(text), flags,
                                NULL) >= 0 &&
           ids.size == json_array_size(want) * sizeof(int32_t);
    for (size_t i = 0; same && i < json_array_size(want); i++)
        same = ((const int32_t *)(const void *)ids.data)[i] ==
               json_integer_value(json_array_get(want, i));
    mbi_buf_free(&ids);
    return same;
}

static void check_vectors(struct context *c, const struct mbi_tokenizer *t, const char *name,
                          const char *member, uint32_t flags, size_t wanted)
{
    struct mbi_map map = open_file(c, name);
    const char *at = (const char *)map.data, *const end = at + map.size;
    size_t n = 0, wrong = 0;
    char what[128];

    while (at < end) {
        const char *const newline = memchr(at, '\n', (size_t)(end - at));
        const char *const stop = newline ? newline : end;
        json_t *row = json_loadb(at, (size_t)(stop - at), JSON_ALLOW_NUL, NULL);

        need(c, row != NULL, name);
        wrong += !same_ids(c, t, row, member, flags);
        n++;
        json_decref(row);
        at = stop + 1;
    }
    snprintf(what, sizeof(what), "%s, %s", name, member);
    report(c, what, n, wanted, wrong);
    mbi_map_close(&map, &c->host);
}

/* Under a tokenizer without a normal form the bytes come back, otherwise the normal form. */
static bool comes_back(const struct context *c, const struct mbi_tokenizer *t, const char *text,
                       size_t len)
{
    struct mbi_buf ids, back, want;
    bool same;

    mbi_buf_init(&ids, &c->host);
    mbi_buf_init(&back, &c->host);
    mbi_buf_init(&want, &c->host);
    if (!t->nfc)
        mbi_buf_add(&want, text, len);
    else if (mbi_normalize_nfc(&want, text, len, NULL) < 0)
        want.failed = true;
    same = !want.failed && mbi_tokenizer_encode(&ids, t, text, len, 0, NULL) >= 0 &&
           mbi_tokenizer_decode(&back, t, (const int32_t *)(const void *)ids.data,
                                ids.size / sizeof(int32_t), NULL) >= 0 &&
           back.size == want.size && (!want.size || !memcmp(back.data, want.data, want.size));
    mbi_buf_free(&ids);
    mbi_buf_free(&back);
    mbi_buf_free(&want);
    return same;
}

static void check_declarations(struct context *c, const struct mbi_tokenizer *const *t,
                               size_t n_tokenizers, size_t wanted)
{
    size_t n = 0, wrong = 0;
    char path[4096], name[4096];
    const struct dirent *entry;
    DIR *dir;

    path_of(c, path, sizeof(path), "udhr");
    dir = opendir(path);
    need(c, dir != NULL, "udhr");
    while ((entry = readdir(dir))) {
        struct mbi_map map;

        if (!strstr(entry->d_name, ".txt"))
            continue;
        need(c, snprintf(name, sizeof(name), "udhr/%s", entry->d_name) < (int)sizeof(name), "udhr");
        map = open_file(c, name);
        for (size_t i = 0; i < n_tokenizers; i++)
            wrong += !comes_back(c, t[i], (const char *)map.data, map.size);
        n++;
        mbi_map_close(&map, &c->host);
    }
    closedir(dir);
    report(c, "declarations there and back", n, wanted, wrong);
}

int main(int argc, char **argv)
{
    struct context c = {.folder = argc == 2 ? argv[1] : NULL};
    struct mbi_tokenizer *t[2];

    if (!c.folder) {
        fprintf(stderr, "usage: conformance FOLDER\n");
        return 2;
    }
    mbi_host_default(&c.host);
    t[0] = open_gpt2(&c);
    t[1] = open_neox(&c);
    check_vectors(&c, t[0], "gpt2-reference-vectors.jsonl", "ids", 0, 47);
    check_vectors(&c, t[0], "bpe-golden-ids.jsonl", "gpt2", 0, 79);
    check_vectors(&c, t[1], "bpe-golden-ids.jsonl", "neox", MBI_ENCODE_SPECIAL, 79);
    check_declarations(&c, (const struct mbi_tokenizer *const *)t, 2, 388);
    mbi_tokenizer_unref(t[0]);
    mbi_tokenizer_unref(t[1]);
    return c.bad ? 1 : 0;
}

#else

int main(void)
{
    puts("conformance: this build has no jansson or no utf8proc");
    return SKIPPED;
}

#endif

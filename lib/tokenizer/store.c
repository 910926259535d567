/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from and to the keys of a container (docs/container.md). */
#include "base/intmath.h"
#include "tokenizer/build.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/spelling.h"
#include "tokenizer/unicode.h"

#define KEY_MODEL "tokenizer.ggml.model"
#define KEY_PRE "tokenizer.ggml.pre"
#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES "tokenizer.ggml.token_type"
#define KEY_MERGES "tokenizer.ggml.merges"
#define KEY_BOS "tokenizer.ggml.bos_token_id"
#define KEY_EOS "tokenizer.ggml.eos_token_id"
#define KEY_UNICODE "mambaint.unicode"
#define KEY_NFC "mambaint.nfc"

static const char *const role_key[5] = {
    [MBI_ROLE_SYSTEM] = "mambaint.role.system",
    [MBI_ROLE_USER] = "mambaint.role.user",
    [MBI_ROLE_ASSISTANT] = "mambaint.role.assistant",
    [MBI_ROLE_END] = "mambaint.role.end",
};

/* Settings and sizes; each is in its range afterwards. */
struct header {
    enum mbi_pretokenizer pre;
    bool nfc;
    size_t vocab, merges;
    int32_t eot, role[5];
};

static int32_t read_words(struct header *h, struct mbi_container *c, mambaint_error *err)
{
    char word[32];
    int32_t rc;
    int pre;

    if ((rc = mbi_container_word(word, sizeof(word), c, KEY_MODEL, err)) < 0)
        return rc;
    if (strcmp(word, "gpt2"))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "%s is '%s'; known is 'gpt2'", KEY_MODEL,
                        word);
    if ((rc = mbi_container_word(word, sizeof(word), c, KEY_PRE, err)) < 0)
        return rc;
    if (!(pre = mbi_pretokenizer_from_name(word)))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "%s is '%s'; known are 'gpt-2' and 'cl100k'",
                        KEY_PRE, word);
    h->pre = (enum mbi_pretokenizer)pre;
    if ((rc = mbi_container_word(word, sizeof(word), c, KEY_UNICODE, err)) < 0)
        return rc;
    if (strcmp(word, MBI_UNICODE_VERSION))
        return mbi_fail(err, MAMBAINT_E_VERSION, "%s is '%s'; this library has %s", KEY_UNICODE,
                        word, MBI_UNICODE_VERSION);
    return mbi_container_bool(&h->nfc, c, KEY_NFC, err);
}

static int32_t read_ids(struct header *h, struct mbi_container *c, mambaint_error *err)
{
    const uint32_t last = (uint32_t)h->vocab - 1;
    uint32_t bos, eos;
    int32_t rc;

    if ((rc = mbi_container_u32(&bos, c, KEY_BOS, 0, last, err)) < 0 ||
        (rc = mbi_container_u32(&eos, c, KEY_EOS, 0, last, err)) < 0)
        return rc;
    if (bos != eos)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "%s is %u and %s is %u; both must be the end of text", KEY_BOS, bos,
                        KEY_EOS, eos);
    h->eot = (int32_t)eos;
    h->role[0] = -1;
    for (int i = MBI_ROLE_SYSTEM; i <= MBI_ROLE_END; i++) {
        uint32_t id;

        h->role[i] = -1;
        if (!mbi_container_has(c, role_key[i]))
            continue;
        if ((rc = mbi_container_u32(&id, c, role_key[i], 0, last, err)) < 0)
            return rc;
        h->role[i] = (int32_t)id;
    }
    return MAMBAINT_OK;
}

static int32_t read_sizes(struct header *h, struct mbi_container *c, mambaint_error *err)
{
    size_t types;
    int32_t rc;

    if ((rc = mbi_container_array_size(&h->vocab, c, KEY_TOKENS, err)) < 0 ||
        (rc = mbi_container_array_size(&types, c, KEY_TYPES, err)) < 0 ||
        (rc = mbi_container_array_size(&h->merges, c, KEY_MERGES, err)) < 0)
        return rc;
    if (h->vocab < 1 || h->vocab > MBI_MAX_VOCAB)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%s has %zu entries; allowed are up to %u",
                        KEY_TOKENS, h->vocab, MBI_MAX_VOCAB);
    if (types != h->vocab)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "%s has %zu entries and %s has %zu", KEY_TOKENS,
                        h->vocab, KEY_TYPES, types);
    return MAMBAINT_OK;
}

static int32_t read_tokens(struct mbi_tokenizer_build *b, struct mbi_container *c, size_t vocab,
                           mambaint_error *err)
{
    uint32_t *const kind = mbi_alloc(b->host, vocab, sizeof(*kind));
    int32_t rc;

    if (!kind)
        return mbi_fail_memory(err, "the token types");
    rc = mbi_container_array_u32(kind, vocab, c, KEY_TYPES, err);
    for (size_t i = 0; rc >= 0 && i < vocab; i++) {
        const char *text;
        size_t len;

        if ((rc = mbi_container_array_text(&text, &len, c, KEY_TOKENS, i, err)) >= 0)
            rc = mbi_tokenizer_build_spelled(b, text, len, kind[i], err);
    }
    mbi_free(b->host, kind);
    return rc < 0 ? rc : mbi_tokenizer_build_seal(b, err);
}

static int32_t read_merges(struct mbi_tokenizer_build *b, struct mbi_container *c, size_t merges,
                           mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; rc >= 0 && i < merges; i++) {
        const char *text;
        size_t len;

        if ((rc = mbi_container_array_text(&text, &len, c, KEY_MERGES, i, err)) >= 0)
            rc = mbi_tokenizer_build_merge_text(b, text, len, err);
    }
    return rc;
}

int32_t mbi_tokenizer_read(struct mbi_tokenizer **out, const struct mbi_host *host,
                           struct mbi_container *c, mambaint_error *err)
{
    struct mbi_tokenizer_build b;
    struct header h;
    int32_t rc;

    *out = NULL;
    if ((rc = read_words(&h, c, err)) < 0 || (rc = read_sizes(&h, c, err)) < 0 ||
        (rc = read_ids(&h, c, err)) < 0)
        return rc;
    if ((rc = mbi_tokenizer_build_begin(&b, host, h.pre, h.nfc, (uint32_t)h.vocab, err)) >= 0 &&
        (rc = read_tokens(&b, c, h.vocab, err)) >= 0 &&
        (rc = read_merges(&b, c, h.merges, err)) >= 0)
        return mbi_tokenizer_build_finish(out, &b, h.eot, h.role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}

/* Stored spelling of a token; returns its length, at most 2 * MBI_MAX_TOKEN_BYTES. */
static size_t stored(char *out, const struct mbi_tokenizer *t, uint32_t id)
{
    const uint32_t len = mbi_token_len(t, id);

    if (t->kind[id] == MBI_TOKEN_NORMAL)
        return mbi_spell(out, mbi_token_bytes(t, id), len);
    memcpy(out, mbi_token_bytes(t, id), len);
    return len;
}

static void write_tokens(struct mbi_container_writer *w, const struct mbi_tokenizer *t)
{
    char text[2 * MBI_MAX_TOKEN_BYTES];

    mbi_container_add_array_text(w, KEY_TOKENS, t->vocab);
    for (uint32_t i = 0; i < t->vocab; i++)
        mbi_container_add_array_entry(w, text, stored(text, t, i));
}

static void write_merges(struct mbi_container_writer *w, const struct mbi_tokenizer *t)
{
    char text[4 * MBI_MAX_TOKEN_BYTES + 1];

    mbi_container_add_array_text(w, KEY_MERGES, t->n_merges);
    for (size_t i = 0; i < t->n_merges; i++) {
        size_t n = stored(text, t, t->merge[2 * i]);

        text[n++] = ' ';
        n += stored(text + n, t, t->merge[2 * i + 1]);
        mbi_container_add_array_entry(w, text, n);
    }
}

static void add_word(struct mbi_container_writer *w, const char *key, const char *word)
{
    mbi_container_add_text(w, key, word, strlen(word));
}

void mbi_tokenizer_write(struct mbi_container_writer *w, const struct mbi_tokenizer *t)
{
    add_word(w, KEY_MODEL, "gpt2");
    add_word(w, KEY_PRE, mbi_pretokenizer_name(t->pre));
    write_tokens(w, t);
    mbi_container_add_array_u32(w, KEY_TYPES, t->kind, t->vocab);
    write_merges(w, t);
    mbi_container_add_u32(w, KEY_BOS, (uint32_t)t->eot);
    mbi_container_add_u32(w, KEY_EOS, (uint32_t)t->eot);
    add_word(w, KEY_UNICODE, MBI_UNICODE_VERSION);
    mbi_container_add_bool(w, KEY_NFC, t->nfc);
    for (int i = MBI_ROLE_SYSTEM; i <= MBI_ROLE_END; i++)
        if (t->role[i] >= 0)
            mbi_container_add_u32(w, role_key[i], (uint32_t)t->role[i]);
}

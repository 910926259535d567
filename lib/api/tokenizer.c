/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: opened, trained, imported, saved, used. */
#include "api/model.h"
#include "api/options.h"
#include "api/tokenizer_data.h"
#include "convert/gpt2_tokenizer.h"
#include <mambaint/tokenizer.h>

#define VOCAB_MIN 272
#define VOCAB_DEFAULT 2048

int32_t mbi_tokenizer_wrap(mambaint_tokenizer **out, mambaint_context *ctx,
                           struct mbi_tokenizer *tokenizer, mambaint_error *err)
{
    mambaint_tokenizer *t = mbi_alloc(&ctx->host, 1, sizeof(*t));

    if (!t) {
        mbi_tokenizer_unref(tokenizer);
        return mbi_fail_memory(err, "a tokenizer");
    }
    atomic_init(&t->refs, 1);
    t->ctx = ctx;
    mambaint_context_ref(ctx);
    t->tokenizer = tokenizer;
    *out = t;
    return MAMBAINT_OK;
}

void mambaint_tokenizer_ref(mambaint_tokenizer *tokenizer)
{
    if (tokenizer)
        atomic_fetch_add_explicit(&tokenizer->refs, 1, memory_order_relaxed);
}

void mambaint_tokenizer_unref(mambaint_tokenizer *tokenizer)
{
    mambaint_context *ctx;

    if (!tokenizer || atomic_fetch_sub_explicit(&tokenizer->refs, 1, memory_order_acq_rel) != 1)
        return;
    ctx = tokenizer->ctx;
    mbi_tokenizer_unref(tokenizer->tokenizer);
    mbi_free(&ctx->host, tokenizer);
    mambaint_context_unref(ctx);
}

/* ---- making one: each maker gives an inner tokenizer on the host of a context ---- */

struct maker {
    int32_t (*make)(struct mbi_tokenizer **out, const struct mbi_host *host,
                    const struct maker *from, mambaint_error *err);
    const char *path, *second_path;
    const void *data;
    size_t size;
    const mambaint_options *options;
};

static int32_t make(mambaint_tokenizer **out, mambaint_context *ctx, const struct maker *from,
                    mambaint_error *err)
{
    struct mbi_tokenizer *inner;
    mambaint_context *own;
    int32_t rc = mbi_context_take(&own, ctx, from->options, err);

    if (rc < 0)
        return rc;
    if ((rc = from->make(&inner, &own->host, from, err)) >= 0)
        rc = mbi_tokenizer_wrap(out, own, inner, err);
    mambaint_context_unref(own);
    return rc;
}

/* From a tokenizer file or from a model file, whose other keys are then somebody else's. */
static int32_t make_opened(struct mbi_tokenizer **out, const struct mbi_host *host,
                           const struct maker *from, mambaint_error *err)
{
    struct mbi_container *file;
    int32_t rc = from->path
                     ? mbi_container_open(&file, host, from->path, 0, err)
                     : mbi_container_open_memory(&file, host, from->data, from->size, 0, err);

    if (rc < 0)
        return rc;
    rc = mbi_tokenizer_read(out, host, file, err);
    mbi_container_close(file);
    return rc;
}

int32_t mambaint_tokenizer_open(mambaint_tokenizer **out, mambaint_context *ctx, const char *path,
                                mambaint_error *err)
{
    const struct maker from = {.make = make_opened, .path = path};

    if (out)
        *out = NULL;
    if (!out || !path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and path must not be NULL");
    return make(out, ctx, &from, err);
}

int32_t mambaint_tokenizer_open_memory(mambaint_tokenizer **out, mambaint_context *ctx,
                                       const void *data, size_t size, mambaint_error *err)
{
    const struct maker from = {.make = make_opened, .data = data, .size = size};

    if (out)
        *out = NULL;
    if (!out || !data)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and data must not be NULL");
    return make(out, ctx, &from, err);
}

static int32_t make_imported(struct mbi_tokenizer **out, const struct mbi_host *host,
                             const struct maker *from, mambaint_error *err)
{
    return mbi_convert_gpt2(out, host, from->path, from->second_path, err);
}

int32_t mambaint_tokenizer_import(mambaint_tokenizer **out, mambaint_context *ctx,
                                  const char *encoder, const char *merges, mambaint_error *err)
{
    const struct maker from = {.make = make_imported, .path = encoder, .second_path = merges};

    if (out)
        *out = NULL;
    if (!out || !encoder || !merges)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and both paths must not be NULL");
    return make(out, ctx, &from, err);
}

static int32_t read_pre(enum mbi_pretokenizer *out, const mambaint_options *o, mambaint_error *err)
{
    const char *text = mbi_option(o, "pre");

    *out = MBI_PRE_GPT2;
    if (!text || !strcmp(text, "gpt-2"))
        return MAMBAINT_OK;
    *out = MBI_PRE_CL100K;
    if (!strcmp(text, "cl100k"))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_INVALID, "option pre: '%.40s' is neither gpt-2 nor cl100k",
                    text);
}

static int32_t make_trained(struct mbi_tokenizer **out, const struct mbi_host *host,
                            const struct maker *from, mambaint_error *err)
{
    struct mbi_tokenizer_trainer *tr;
    enum mbi_pretokenizer pre;
    uint32_t vocab = VOCAB_DEFAULT;
    const char *path;
    int32_t rc;

    if ((rc = mbi_option_u32(&vocab, from->options, "vocab", VOCAB_MIN, MBI_MAX_VOCAB, err)) < 0 ||
        (rc = read_pre(&pre, from->options, err)) < 0 ||
        (rc = mbi_tokenizer_trainer_create(&tr, host, pre, err)) < 0)
        return rc;
    if (!from->size && !mbi_option(from->options, "data"))
        rc = mbi_fail(
            err, MAMBAINT_E_INVALID,
            "there is no text to learn from; give some, or name a file with the option data");
    if (rc >= 0)
        rc = mbi_tokenizer_add_text(tr, from->data, from->size, err);
    for (size_t i = 0; rc >= 0 && (path = mbi_option_at(from->options, "data", i)); i++)
        rc = mbi_tokenizer_add_file(tr, host, path, err);
    if (rc >= 0)
        rc = mbi_tokenizer_trainer_build(out, tr, vocab, NULL, NULL, err);
    mbi_tokenizer_trainer_free(tr);
    return rc;
}

int32_t mambaint_tokenizer_train(mambaint_tokenizer **out, mambaint_context *ctx, const char *text,
                                 size_t len, const mambaint_options *options, mambaint_error *err)
{
    const struct maker from = {.make = make_trained, .data = text, .size = len, .options = options};

    if (out)
        *out = NULL;
    if (!out || (!text && len))
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and text must not be NULL");
    return make(out, ctx, &from, err);
}

int32_t mambaint_tokenizer_save(const mambaint_tokenizer *tokenizer, const char *path,
                                mambaint_error *err)
{
    static const char architecture[] = "tokenizer";
    struct mbi_container_writer *w;
    int32_t rc;

    if (!tokenizer || !path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer and path must not be NULL");
    if ((rc = mbi_container_writer_create(&w, &tokenizer->ctx->host, err)) < 0)
        return rc;
    mbi_container_add_text(w, "general.architecture", architecture, sizeof(architecture) - 1);
    mbi_tokenizer_write(w, tokenizer->tokenizer);
    rc = mbi_container_save(w, path, err);
    mbi_container_writer_free(w);
    return rc;
}

/* ---- using one ---- */

int32_t mambaint_tokenizer_encode(int32_t *ids, size_t cap, size_t *need,
                                  const mambaint_tokenizer *tokenizer, const char *text, size_t len,
                                  uint32_t flags)
{
    struct mbi_buf found;
    size_t n;
    int32_t rc;

    if (!tokenizer || (!text && len) || (flags & ~(uint32_t)MAMBAINT_ENCODE_SPECIAL))
        return MAMBAINT_E_INVALID;
    mbi_buf_init(&found, &tokenizer->ctx->host);
    rc = mbi_tokenizer_encode(&found, tokenizer->tokenizer, text ? text : "", len, flags, NULL);
    n = found.size / sizeof(*ids);
    if (rc >= 0) {
        if (need)
            *need = n;
        rc = n > cap ? MAMBAINT_E_SPACE
                     : mbi_give_bytes(ids, found.size, NULL, found.data, found.size);
    }
    mbi_buf_free(&found);
    return rc;
}

int32_t mambaint_tokenizer_decode(char *buf, size_t cap, size_t *need,
                                  const mambaint_tokenizer *tokenizer, const int32_t *ids, size_t n)
{
    struct mbi_buf text;
    int32_t rc;

    if (!tokenizer || (!ids && n))
        return MAMBAINT_E_INVALID;
    mbi_buf_init(&text, &tokenizer->ctx->host);
    rc = mbi_tokenizer_decode(&text, tokenizer->tokenizer, ids, n, NULL);
    if (rc >= 0)
        rc = mbi_give_bytes(buf, cap, need, text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

int32_t mambaint_tokenizer_vocab(const mambaint_tokenizer *tokenizer)
{
    return tokenizer ? (int32_t)mbi_tokenizer_vocab(tokenizer->tokenizer) : 0;
}

int32_t mambaint_tokenizer_end_of_text(const mambaint_tokenizer *tokenizer)
{
    return tokenizer ? mbi_tokenizer_eot(tokenizer->tokenizer) : -1;
}

int32_t mambaint_tokenizer_role(const mambaint_tokenizer *tokenizer, int32_t role)
{
    if (!tokenizer || role < MAMBAINT_ROLE_SYSTEM || role > MAMBAINT_ROLE_END)
        return -1;
    return mbi_tokenizer_role(tokenizer->tokenizer, (enum mbi_role)role);
}

int32_t mambaint_tokenizer_digest(uint8_t out[32], const mambaint_tokenizer *tokenizer)
{
    if (!out || !tokenizer)
        return MAMBAINT_E_INVALID;
    mbi_tokenizer_digest(out, tokenizer->tokenizer);
    return MAMBAINT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening models, and what their sessions share. */
#include "api/model.h"
#include "api/options.h"
#include <pthread.h>

struct mbi_model_shared {
    pthread_mutex_t lock;
    struct mbi_weights *weights[MBI_MAX_BACKENDS]; /* by index of the backend */
};

/* ---- what is shared ---- */

static int32_t create_shared(struct mbi_model_shared **out, const struct mbi_host *host,
                             mambaint_error *err)
{
    struct mbi_model_shared *s = mbi_alloc(host, 1, sizeof(*s));

    if (!s)
        return mbi_fail_memory(err, "a model");
    if (pthread_mutex_init(&s->lock, NULL)) {
        mbi_free(host, s);
        return mbi_fail_memory(err, "the lock of a model");
    }
    *out = s;
    return MAMBAINT_OK;
}

static void free_shared(struct mbi_model_shared *s, const struct mbi_host *host)
{
    if (!s)
        return;
    for (size_t i = 0; i < MBI_MAX_BACKENDS; i++)
        if (s->weights[i])
            mbi_backend_at(i)->weights_free(s->weights[i]);
    pthread_mutex_destroy(&s->lock);
    mbi_free(host, s);
}

int32_t mbi_model_weights(struct mbi_weights **out, const mambaint_model *model,
                          const struct mbi_backend *backend, mambaint_error *err)
{
    struct mbi_model_shared *s = model->shared;
    const struct mbi_model *m = model->model;
    int32_t rc = MAMBAINT_OK;
    size_t i = 0;

    while (i < MBI_MAX_BACKENDS && mbi_backend_at(i) != backend)
        i++;
    if (i == MBI_MAX_BACKENDS)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "more backends than a model has room for");
    pthread_mutex_lock(&s->lock);
    if (!s->weights[i] &&
        (rc = backend->weights_new(&s->weights[i], m->host, m->graph, m->param, err)) >= 0)
        mbi_container_release(m->file);
    *out = s->weights[i];
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int32_t mbi_model_locked_digest(uint8_t out[MBI_DIGEST_SIZE], const mambaint_model *model,
                                mambaint_error *err)
{
    int32_t rc;

    pthread_mutex_lock(&model->shared->lock);
    rc = mbi_model_digest(out, model->model, err);
    pthread_mutex_unlock(&model->shared->lock);
    return rc;
}

int32_t mbi_model_needs_text(const mambaint_model *model, mambaint_error *err)
{
    if (model->model->tokenizer)
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "this model takes features, not text; mambaint_model_evaluate() and 'mambaint "
                    "generate --features' evaluate it");
}

/* ---- opening ---- */

static void free_model(mambaint_model *m)
{
    mambaint_context *ctx = m->ctx;

    free_shared(m->shared, &ctx->host);
    mbi_program_free(m->layout);
    mambaint_tokenizer_unref(m->tokenizer);
    mbi_model_free(m->model);
    mbi_free(&ctx->host, m);
    mambaint_context_unref(ctx);
}

/* Everything behind the container, which becomes the model's. */
static int32_t fill_model(mambaint_model *m, struct mbi_container *file, bool check,
                          mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    if ((rc = mbi_model_create(&m->model, host, file, err)) < 0 ||
        (rc = mbi_program_create(&m->layout, host, m->model->graph, 1, 1, false, err)) < 0 ||
        (rc = create_shared(&m->shared, host, err)) < 0)
        return rc;
    if (m->model->tokenizer) {
        mbi_tokenizer_ref(m->model->tokenizer);
        if ((rc = mbi_tokenizer_wrap(&m->tokenizer, m->ctx, m->model->tokenizer, err)) < 0)
            return rc;
    }
    return check ? mbi_model_digest(digest, m->model, err) : MAMBAINT_OK;
}

/* A file by path, or if that is NULL by its bytes. */
static int32_t open_model(mambaint_model **out, mambaint_context *ctx, const char *path,
                          const void *data, size_t size, const mambaint_options *options,
                          mambaint_error *err)
{
    struct mbi_container *file;
    mambaint_context *own;
    mambaint_model *m;
    bool check = true;
    uint32_t flags;
    int32_t rc;

    if ((rc = mbi_option_bool(&check, options, "check-digest", err)) < 0 ||
        (rc = mbi_context_take(&own, ctx, options, err)) < 0)
        return rc;
    if (!(m = mbi_alloc(&own->host, 1, sizeof(*m)))) {
        mambaint_context_unref(own);
        return mbi_fail_memory(err, "a model");
    }
    m->ctx = own;
    atomic_init(&m->refs, 1);
    flags = check ? 0 : MBI_CONTAINER_DEFER_DIGEST;
    rc = path ? mbi_container_open(&file, &own->host, path, flags, err)
              : mbi_container_open_memory(&file, &own->host, data, size, flags, err);
    if (rc < 0 || (rc = fill_model(m, file, check, err)) < 0) {
        free_model(m);
        return rc;
    }
    *out = m;
    return MAMBAINT_OK;
}

int32_t mambaint_model_open(mambaint_model **out, mambaint_context *ctx, const char *path,
                            const mambaint_options *options, mambaint_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and path must not be NULL");
    return open_model(out, ctx, path, NULL, 0, options, err);
}

int32_t mambaint_model_open_memory(mambaint_model **out, mambaint_context *ctx, const void *data,
                                   size_t size, const mambaint_options *options,
                                   mambaint_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !data)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and data must not be NULL");
    return open_model(out, ctx, NULL, data, size, options, err);
}

void mambaint_model_ref(mambaint_model *model)
{
    if (model)
        atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
}

void mambaint_model_unref(mambaint_model *model)
{
    if (model && atomic_fetch_sub_explicit(&model->refs, 1, memory_order_acq_rel) == 1)
        free_model(model);
}

/* ---- questions ---- */

int32_t mambaint_model_digest(uint8_t out[32], const mambaint_model *model)
{
    if (!out || !model)
        return MAMBAINT_E_INVALID;
    return mbi_model_locked_digest(out, model, NULL);
}

int32_t mambaint_model_text(char *buf, size_t cap, size_t *need, const mambaint_model *model,
                            const char *key)
{
    struct mbi_buf text;
    int32_t rc;

    if (!model || !key)
        return MAMBAINT_E_INVALID;
    mbi_buf_init(&text, &model->ctx->host);
    rc = mbi_model_describe(&text, model, key);
    if (rc >= 0)
        rc = text.failed ? MAMBAINT_E_NO_MEMORY
                         : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

int32_t mambaint_tokenizer_of(mambaint_tokenizer **out, const mambaint_model *model)
{
    if (out)
        *out = NULL;
    if (!out || !model)
        return MAMBAINT_E_INVALID;
    if (!model->tokenizer)
        return MAMBAINT_E_UNSUPPORTED;
    mambaint_tokenizer_ref(model->tokenizer);
    *out = model->tokenizer;
    return MAMBAINT_OK;
}

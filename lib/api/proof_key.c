/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of verifiers: which models and which weights a proof has to be about. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/options.h"
#include "proof/public.h"

static mambaint_key *new_key(const struct mbi_host *host)
{
    mambaint_key *k = mbi_alloc(host, 1, sizeof(*k));

    if (!k)
        return NULL;
    atomic_init(&k->refs, 1);
    mbi_buf_init(&k->file, host);
    return k;
}

/* The memory is the context's, which may go with the key. */
static void free_key(mambaint_key *k, mambaint_context *ctx)
{
    mambaint_context_ref(ctx);
    for (size_t i = 0; i < k->n_stages; i++)
        mambaint_key_free(k->stage[i]);
    mbi_buf_free(&k->file);
    mbi_proof_models_close(&k->models);
    mbi_free(&ctx->host, k);
    mambaint_context_unref(ctx);
}

/* The file of a key with this certificate. */
static int32_t write_file(struct mbi_buf *out, const struct mbi_proof_models *m,
                          const struct mbi_buf *certificate)
{
    struct mbi_buf parameters;

    mbi_buf_init(&parameters, &m->ctx->host);
    for (size_t i = 0; i < m->n; i++)
        mbi_public_put(&parameters, m->graph[i], m->param[i]);
    mbi_key_file_write(out, &m->said, certificate, &parameters);
    mbi_buf_free(&parameters);
    return out->failed ? MAMBAINT_E_NO_MEMORY : MAMBAINT_OK;
}

/* Of hidden weights: the certificate is in the prover's key, and is not made again. */
static int32_t take_hidden(mambaint_key *k, mambaint_error *err)
{
    struct mbi_proof_models *m = &k->models;

    if (!mbi_statement_is_hidden(&m->said))
        return MAMBAINT_OK;
    return write_file(&k->file, m, &m->hidden.certificate) < 0 ? mbi_fail_memory(err, "a key")
                                                               : MAMBAINT_OK;
}

static int32_t key_of_models(mambaint_key **out, mambaint_model *const *model, size_t n_models,
                             const char *prover_key, const mambaint_options *options,
                             mambaint_error *err)
{
    mambaint_key *k;
    bool zk = false;
    int32_t rc;

    *out = NULL;
    if (!model[0])
        return mbi_fail(err, MAMBAINT_E_INVALID, "a model is NULL");
    if (!(k = new_key(&model[0]->ctx->host)))
        return mbi_fail_memory(err, "a key");
    if (mbi_option_bool(&zk, options, "zk", NULL) >= 0 && zk) /* of others it would be no help */
        k->models.prover_key = prover_key;
    if ((rc = mbi_proof_models_open(&k->models, model, n_models, options, err)) >= 0)
        rc = take_hidden(k, err);
    mbi_prover_key_close(&k->models);
    k->models.prover_key = NULL;
    if (rc < 0) {
        free_key(k, model[0]->ctx);
        return rc;
    }
    *out = k;
    return MAMBAINT_OK;
}

/* ---- chains of keys ---- */

/* Does what the models of a key hand on fit what those of the next one take? */
static int32_t check_fit(const mambaint_key *a, const mambaint_key *b, size_t i,
                         mambaint_error *err)
{
    const struct mbi_graph *from = a->models.graph[a->models.n - 1], *to = b->models.graph[0];
    const struct mbi_type *have, *want = &to->node[0].type;

    if (!mbi_graph_takes_features(from) || !mbi_graph_takes_features(to))
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "keys %zu and %zu: a model of text is in no chain", i, i + 1);
    if (from->link == MBI_NONE)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "the model of key %zu hands nothing on", i);
    have = &from->node[from->link].type;
    if (have->cols != want->cols || have->dtype != want->dtype || have->lo < want->lo ||
        have->hi > want->hi)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the model of key %zu hands %u numbers on, but that of key %zu takes %u", i,
                        have->cols, i + 1, want->cols);
    return MAMBAINT_OK;
}

/* One key more, which is taken over also by a failure. */
static int32_t add_stage(mambaint_key *k, struct mbi_blake2b *weights, mambaint_key *next,
                         mambaint_error *err)
{
    const char *fault = NULL;
    int32_t rc = MAMBAINT_OK;

    k->stage[k->n_stages++] = next;
    if (next->n_stages)
        return mbi_fail(err, MAMBAINT_E_INVALID, "key %zu is of a chain of keys itself",
                        k->n_stages);
    if (k->n_stages > 1) {
        const char *mode = mbi_statement_mode_name(&next->models.said, next->models.public_weights);
        const char *before = mbi_statement_mode_name(&k->models.said, k->models.public_weights);

        if (mode != before)
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "the weights of key %zu are %s, those of the keys before it are %s",
                            k->n_stages, mode, before);
        rc = check_fit(k->stage[k->n_stages - 2], next, k->n_stages - 1, err);
    }
    k->models.public_weights = next->models.public_weights;
    if (rc >= 0)
        fault = mbi_chain_models_add(weights, &k->models.said, &next->models.said);
    return fault ? mbi_fail(err, MAMBAINT_E_RANGE, "keys: %s", fault) : rc;
}

static int32_t begin_chain(mambaint_key **out, struct mbi_blake2b *weights, mambaint_context *ctx,
                           mambaint_error *err)
{
    mambaint_key *k = new_key(&ctx->host);

    *out = k;
    if (!k)
        return mbi_fail_memory(err, "a key");
    k->models.ctx = ctx;
    mambaint_context_ref(ctx);
    mbi_chain_models_begin(weights, &k->models.said);
    return MAMBAINT_OK;
}

/* After a failure the key is gone. */
static int32_t end_chain(mambaint_key **out, struct mbi_blake2b *weights, int32_t rc)
{
    if (rc >= 0) {
        mbi_chain_models_end(weights, &(*out)->models.said);
        return rc;
    }
    mambaint_key_free(*out);
    *out = NULL;
    return rc;
}

int32_t mambaint_key_join(mambaint_key **out, mambaint_key *const *key, size_t n_keys,
                          mambaint_error *err)
{
    struct mbi_blake2b weights;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !key || n_keys < 2)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "out must not be NULL, and there must be two keys at least");
    if (n_keys > MBI_STATEMENT_MODELS)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%zu keys; a chain is of at most %d models", n_keys,
                        MBI_STATEMENT_MODELS);
    for (size_t i = 0; i < n_keys; i++)
        if (!key[i])
            return mbi_fail(err, MAMBAINT_E_INVALID, "key %zu is NULL", i + 1);
    if ((rc = begin_chain(out, &weights, key[0]->models.ctx, err)) < 0)
        return rc;
    for (size_t i = 0; i < n_keys && rc >= 0; i++) {
        atomic_fetch_add_explicit(&key[i]->refs, 1, memory_order_relaxed);
        rc = add_stage(*out, &weights, key[i], err);
    }
    return end_chain(out, &weights, rc);
}

/* A key for each of the models. */
static int32_t chain_of_models(mambaint_key **out, mambaint_model *const *model, size_t n,
                               const mambaint_options *options, mambaint_error *err)
{
    struct mbi_blake2b weights;
    int32_t rc;

    if (n > MBI_STATEMENT_MODELS)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%zu models; a chain is of at most %d", n,
                        MBI_STATEMENT_MODELS);
    if ((rc = mbi_proof_chain_keys(options, n, err)) < 0 ||
        (rc = begin_chain(out, &weights, model[0]->ctx, err)) < 0)
        return rc;
    for (size_t i = 0; i < n && rc >= 0; i++) {
        const char *prover_key = mbi_option_at(options, "prover-key", i);
        mambaint_key *one;

        if ((rc = key_of_models(&one, model + i, 1, prover_key, options, err)) >= 0)
            rc = add_stage(*out, &weights, one, err);
    }
    return end_chain(out, &weights, rc);
}

int32_t mambaint_key_create(mambaint_key **out, mambaint_model *const *model, size_t n_models,
                            const mambaint_options *options, mambaint_error *err)
{
    enum mbi_chain chain;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !model || !n_models || !model[0])
        return mbi_fail(err, MAMBAINT_E_INVALID, "out must not be NULL, and there must be a model");
    if ((rc = mbi_proof_chain(&chain, options, err)) < 0)
        return rc;
    if (chain != MBI_CHAIN_LINKED || n_models == 1)
        return key_of_models(out, model, n_models, mbi_option(options, "prover-key"), options, err);
    return chain_of_models(out, model, n_models, options, err);
}

/* ---- certificates ---- */

static int32_t check_certificate(const struct mbi_proof_models *m,
                                 const struct mbi_proof_file *certificate, mambaint_error *err)
{
    struct mbi_proof_plan plan = {.plan = NULL};
    int32_t rc;

    if (!certificate->body_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "key: its certificate has no proof");
    if ((rc = mbi_statement_check(&certificate->statement, m->graph, err)) < 0)
        return rc;
    if ((rc = mbi_proof_plan_certificate(&plan, m, err)) >= 0)
        rc = mbi_proof_check(m, &plan, certificate, err);
    mbi_proof_plan_close(&plan);
    if (rc == MAMBAINT_E_REFUSED) {
        mambaint_error why = err ? *err : (mambaint_error){0, ""};

        return mbi_fail(err, rc, "key: its certificate does not hold: %.180s", why.message);
    }
    return rc;
}

/* The parameters of a stage by the nodes that stand for them. */
static const void **node_params(const struct mbi_proof_models *m, size_t s)
{
    const struct mbi_graph *g = m->graph[s];
    const void **value = mbi_alloc(&m->ctx->host, g->n_nodes, sizeof(*value));

    for (mbi_ref i = 0; value && i < g->n_nodes; i++)
        if (mbi_node_is_param(&g->node[i]))
            value[i] = m->model[s]->model->param[g->node[i].param];
    return value;
}

int32_t mbi_proof_write_certificate(struct mbi_buf *out, const struct mbi_proof_models *m,
                                    mambaint_error *err)
{
    const struct mbi_statement s = {.models = m->said};
    const void **value[MBI_PLAN_STAGES] = {NULL};
    struct mbi_stage_run run[MBI_PLAN_STAGES];
    struct mbi_proof_plan plan = {.plan = NULL};
    int32_t rc = mbi_proof_plan_certificate(&plan, m, err);

    if (rc >= 0)
        rc = mbi_proof_plan_try(&plan, &m->ctx->host, err);
    for (size_t i = 0; i < m->n && rc >= 0; i++) {
        run[i].value = (const void *const *)(value[i] = node_params(m, i));
        if (!value[i])
            rc = mbi_fail_memory(err, "a certificate");
    }
    if (rc >= 0)
        rc = mbi_proof_write(out, m, &plan, &s, run, err);
    for (size_t i = 0; i < m->n; i++)
        mbi_free(&m->ctx->host, value[i]);
    mbi_proof_plan_close(&plan);
    return rc;
}

/* ---- files ---- */

static int32_t load(mambaint_key *k, mambaint_context *ctx, const void *buf, size_t len,
                    mambaint_error *err)
{
    struct mbi_key_file file;
    int32_t rc;

    if ((rc = mbi_key_file_read(&file, buf, len, err)) < 0 ||
        (rc = mbi_proof_models_rebuild(&k->models, ctx, &file, err)) < 0 ||
        (rc = check_certificate(&k->models, &file.certificate, err)) < 0)
        return rc;
    mbi_buf_add(&k->file, buf, len);
    return k->file.failed ? mbi_fail_memory(err, "a key") : MAMBAINT_OK;
}

int32_t mambaint_key_load(mambaint_key **out, mambaint_context *ctx, const void *buf, size_t len,
                          mambaint_error *err)
{
    mambaint_context *own;
    mambaint_key *k;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !buf)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and buf must not be NULL");
    if ((rc = mbi_context_take(&own, ctx, NULL, err)) < 0)
        return rc;
    if (!(k = new_key(&own->host)))
        rc = mbi_fail_memory(err, "a key");
    else if ((rc = load(k, own, buf, len, err)) < 0)
        free_key(k, own);
    mambaint_context_unref(own); /* the models keep theirs */
    if (rc >= 0)
        *out = k;
    return rc;
}

int32_t mambaint_key_save(void *buf, size_t cap, size_t *need, const mambaint_key *key)
{
    const struct mbi_proof_models *m;
    struct mbi_buf certificate, file;
    int32_t rc;

    if (!key || (!buf && cap))
        return MAMBAINT_E_INVALID;
    if (key->models.public_weights || key->n_stages)
        return MAMBAINT_E_UNSUPPORTED;
    if (key->file.size)
        return mbi_give_bytes(buf, cap, need, key->file.data, key->file.size);
    m = &key->models;
    mbi_buf_init(&certificate, &m->ctx->host);
    mbi_buf_init(&file, &m->ctx->host);
    if ((rc = mbi_proof_write_certificate(&certificate, m, NULL)) >= 0 &&
        (rc = write_file(&file, m, &certificate)) >= 0)
        rc = mbi_give_bytes(buf, cap, need, file.data, file.size);
    mbi_buf_free(&certificate);
    mbi_buf_free(&file);
    return rc;
}

int32_t mambaint_key_digest(uint8_t out[32], const mambaint_key *key)
{
    if (!out || !key)
        return MAMBAINT_E_INVALID;
    mbi_statement_model_id(out, &key->models.said, key->models.public_weights);
    return MAMBAINT_OK;
}

void mambaint_key_free(mambaint_key *key)
{
    if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1)
        free_key(key, key->models.ctx);
}

/* ---- check ---- */

static int32_t check_proof(mambaint_context *ctx, const void *data, size_t n, mambaint_error *err)
{
    struct mbi_proof_file file;
    const int32_t rc = mbi_proof_file_read(&file, data, n, err);

    return rc < 0 ? rc : mbi_proof_check_statement(&file.statement, &ctx->host, err);
}

/* Each of them, and that they follow each other. */
static int32_t check_series(mambaint_context *ctx, const void *data, size_t n, mambaint_error *err)
{
    struct mbi_buf said;
    struct mbi_proof_count count;
    int32_t rc;

    mbi_buf_init(&said, &ctx->host);
    rc = mbi_proof_series(&said, &count, NULL, ctx, data, n, err);
    mbi_buf_free(&said);
    return rc < 0 ? rc : MAMBAINT_OK;
}

int32_t mbi_proof_file_check(mambaint_context *ctx, const void *data, size_t n, mambaint_error *err)
{
    mambaint_key *key;
    int32_t rc;

    if (mbi_series_is(data, n))
        return check_series(ctx, data, n, err);
    if (!mbi_key_file_is(data, n))
        return check_proof(ctx, data, n, err);
    if ((rc = mambaint_key_load(&key, ctx, data, n, err)) >= 0)
        mambaint_key_free(key);
    return rc;
}
#endif

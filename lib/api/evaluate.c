/* SPDX-License-Identifier: Apache-2.0 */
/* One evaluation of models that take features: of one, or of a chain. */
#include "api/chain.h"
#include "api/features.h"
#include "api/options.h"
#include "base/intmath.h"

/* ---- which models fit together ---- */

static const struct mbi_graph *graph_of(const mambaint_model *m) { return m->model->graph; }

static size_t features_of(const mambaint_model *m) { return graph_of(m)->node[0].type.cols; }

static size_t outputs_of(const mambaint_model *m)
{
    return graph_of(m)->node[graph_of(m)->logits].type.cols;
}

static int32_t check_takes_features(const mambaint_model *m, size_t i, mambaint_error *err)
{
    if (mbi_graph_takes_features(graph_of(m)))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_MISMATCH,
                    "model %zu (%s) takes text, not features; a session reads and writes text",
                    i + 1, m->model->config.arch->name);
}

/* What model i hands on is what the next one takes. */
static int32_t check_link(const mambaint_model *m, const mambaint_model *next, size_t i,
                          mambaint_error *err)
{
    const struct mbi_type *want = &graph_of(next)->node[0].type, *have;

    if (graph_of(m)->link == MBI_NONE)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "model %zu hands nothing on to model %zu: it has fewer outputs than "
                        "features",
                        i + 1, i + 2);
    have = &graph_of(m)->node[graph_of(m)->link].type;
    if (have->cols != want->cols || have->dtype != want->dtype || have->lo < want->lo ||
        have->hi > want->hi)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "model %zu hands %u numbers on, but model %zu takes %u", i + 1, have->cols,
                        i + 2, want->cols);
    return MAMBAINT_OK;
}

int32_t mbi_chain_check(mambaint_model *const *model, size_t n, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; i < n; i++)
        if (!model[i])
            return mbi_fail(err, MAMBAINT_E_INVALID, "model %zu is NULL", i + 1);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = check_takes_features(model[i], i, err);
    for (size_t i = 0; rc >= 0 && i + 1 < n; i++)
        rc = check_link(model[i], model[i + 1], i, err);
    return rc;
}

/* ---- one model ---- */

void mbi_stage_close(struct mbi_stage *s)
{
    s->backend->memory_free(s->memory);
    s->backend->image_free(s->image);
    mbi_program_free(s->program);
}

int32_t mbi_stage_open(struct mbi_stage *s, const mambaint_model *m,
                       const struct mbi_backend *backend, size_t lanes, bool keep,
                       mambaint_error *err)
{
    struct mbi_weights *weights;
    int32_t rc;

    *s = (struct mbi_stage){.backend = backend};
    if ((rc = mbi_model_weights(&weights, m, backend, err)) < 0 ||
        (rc = mbi_program_create(&s->program, &m->ctx->host, graph_of(m), lanes, lanes, keep,
                                 err)) < 0 ||
        (rc = backend->image_new(&s->image, s->program, weights, err)) < 0)
        return rc;
    return backend->memory_new(&s->memory, s->program, err);
}

int32_t mbi_stage_run(struct mbi_stage *s, const void *in, uint64_t pos, size_t n,
                      mambaint_error *err)
{
    const struct mbi_run run = {s->memory, pos, in, n};

    return s->backend->run(s->image, &(struct mbi_batch){&run, 1, true}, err);
}

/* x: the features; then, if there are no outputs to give, what is handed on in their place. */
static int32_t stage_evaluate(struct mbi_stage *s, int8_t *x, int32_t *outputs, mambaint_error *err)
{
    const struct mbi_graph *g = s->program->graph;
    const int32_t rc = mbi_stage_run(s, x, 0, 1, err);

    if (rc < 0)
        return rc;
    return outputs ? s->backend->peek(outputs, s->image, g->logits, 0, 1, err)
                   : s->backend->peek(x, s->image, g->link, 0, 1, err);
}

/* ---- the calls ---- */

int32_t mbi_chain_features(int8_t *x, const mambaint_model *m, const mambaint_options *options,
                           mambaint_error *err)
{
    const char *text = mbi_option(options, "features");

    if (!text)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option features: the model takes %zu numbers, with commas between",
                        features_of(m));
    return mbi_features_read(x, features_of(m), text, err);
}

/* *need, and whether that many numbers fit. */
static int32_t check_space(size_t count, const void *buf, size_t cap, size_t *need,
                           mambaint_error *err)
{
    if (need)
        *need = count;
    if (!buf && cap)
        return mbi_fail(err, MAMBAINT_E_INVALID, "a buffer with room must not be NULL");
    if (cap < count)
        return mbi_fail(err, MAMBAINT_E_SPACE, "there is room for %zu numbers; there are %zu", cap,
                        count);
    return MAMBAINT_OK;
}

static int32_t evaluate(int32_t *outputs, mambaint_model *const *model, size_t n, int8_t *x,
                        const struct mbi_backend *backend, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; rc >= 0 && i < n; i++) {
        struct mbi_stage s;

        if ((rc = mbi_stage_open(&s, model[i], backend, 1, false, err)) >= 0)
            rc = stage_evaluate(&s, x, i + 1 == n ? outputs : NULL, err);
        mbi_stage_close(&s);
    }
    return rc;
}

/* Room for the features of any of the models. */
static int8_t *new_features(mambaint_model *const *model, size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = mbi_max_size(most, features_of(model[i]));
    return mbi_alloc(&model[0]->ctx->host, most, sizeof(int8_t));
}

int32_t mambaint_model_evaluate(int32_t *outputs, size_t cap, size_t *need,
                                mambaint_model *const *model, size_t n_models,
                                const mambaint_options *options, mambaint_error *err)
{
    const struct mbi_backend *backend;
    int8_t *x;
    int32_t rc;

    if (!model || !n_models)
        return mbi_fail(err, MAMBAINT_E_INVALID, "there must be a model");
    if ((rc = mbi_backend_find(&backend, mbi_option(options, "backend"), err)) < 0 ||
        (rc = mbi_chain_check(model, n_models, err)) < 0 ||
        (rc = check_space(outputs_of(model[n_models - 1]), outputs, cap, need, err)) < 0)
        return rc;
    if (!(x = new_features(model, n_models)))
        return mbi_fail_memory(err, "features");
    if ((rc = mbi_chain_features(x, model[0], options, err)) >= 0)
        rc = evaluate(outputs, model, n_models, x, backend, err);
    mbi_free(&model[0]->ctx->host, x);
    return rc;
}

int32_t mambaint_model_features(int32_t *features, size_t cap, size_t *need,
                                const mambaint_model *model, const mambaint_options *options,
                                mambaint_error *err)
{
    int8_t *x;
    int32_t rc;

    if (!model)
        return mbi_fail(err, MAMBAINT_E_INVALID, "model must not be NULL");
    if ((rc = check_takes_features(model, 0, err)) < 0 ||
        (rc = check_space(features_of(model), features, cap, need, err)) < 0)
        return rc;
    if (!(x = mbi_alloc(&model->ctx->host, features_of(model), sizeof(*x))))
        return mbi_fail_memory(err, "features");
    if ((rc = mbi_chain_features(x, model, options, err)) >= 0)
        for (size_t i = 0; i < features_of(model); i++)
            features[i] = x[i];
    mbi_free(&model->ctx->host, x);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A model of any shape with the weights that training would start from. */
#include "api/config.h"
#include "api/context.h"
#include "api/options.h"
#include "model/model.h"
#include "train/init.h"
#include <mambaint/model.h>

/* What half-lives reach to in a model that nobody trained; the parameters' own limit holds too. */
#define LONGEST_HALF_LIFE 2048

static int32_t draw_and_save(const struct mbi_host *host, const char *path,
                             struct mbi_model_parts *parts, uint64_t seed, mambaint_error *err)
{
    const struct mbi_init_settings set = {seed, LONGEST_HALF_LIFE, MBI_DECAY_OCTAVES};
    void **param;
    int32_t rc = mbi_params_create(&param, host, parts->graph, err);

    if (rc < 0)
        return rc;
    parts->param = (const void *const *)param;
    if ((rc = mbi_synth_params(param, host, parts->graph, &set, err)) >= 0)
        rc = mbi_model_save(host, path, parts, err);
    mbi_params_free(host, parts->graph, param);
    return rc;
}

/* A model that takes features has none. */
static int32_t make_tokenizer(struct mbi_tokenizer **out, const struct mbi_host *host,
                              const struct mbi_config *c, mambaint_error *err)
{
    *out = NULL;
    if (!mbi_arch_has_vocab(c->arch))
        return MAMBAINT_OK;
    return mbi_tokenizer_plain(out, host, MBI_PRE_GPT2, c->v[c->arch->vocab_field], err);
}

static int32_t synth(const struct mbi_host *host, const char *path, const mambaint_options *options,
                     mambaint_error *err)
{
    struct mbi_tokenizer *tokenizer = NULL;
    struct mbi_graph *graph = NULL;
    struct mbi_config config;
    struct mbi_model_parts parts = {.config = &config};
    uint64_t seed = 0;
    int32_t rc;

    if ((rc = mbi_option_u64(&seed, options, "seed", 0, UINT64_MAX, err)) < 0 ||
        (rc = mbi_config_options(&config, options, err)) < 0)
        return rc;
    if ((rc = mbi_arch_graph(&graph, host, &config, err)) >= 0 &&
        (rc = make_tokenizer(&tokenizer, host, &config, err)) >= 0) {
        parts.graph = graph;
        parts.tokenizer = tokenizer;
        parts.name = mbi_option(options, "name");
        parts.license = mbi_option(options, "license");
        rc = draw_and_save(host, path, &parts, seed, err);
    }
    mbi_tokenizer_unref(tokenizer);
    mbi_graph_free(graph);
    return rc;
}

int32_t mambaint_model_synth(mambaint_context *ctx, const char *path,
                             const mambaint_options *options, mambaint_error *err)
{
    mambaint_context *own;
    int32_t rc;

    if (!path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "path must not be NULL");
    if ((rc = mbi_context_take(&own, ctx, options, err)) < 0)
        return rc;
    rc = synth(&own->host, path, options, err);
    mambaint_context_unref(own);
    return rc;
}

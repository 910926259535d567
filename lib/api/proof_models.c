/* SPDX-License-Identifier: Apache-2.0 */
/* The models of a proof: from model objects, or rebuilt from what a file says of them. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/chain.h"
#include "api/options.h"
#include "base/intmath.h"
#include "proof/hash.h"
#include "proof/layout.h"
#include "proof/public.h"

/* ---- from a statement ---- */

static bool in_range(const struct mbi_config_field *f, uint32_t v)
{
    uint32_t words = 0;

    if (f->kind == MBI_CONFIG_NUMBER)
        return v >= f->lo && v <= f->hi;
    if (f->kind == MBI_CONFIG_BOOL)
        return v <= 1;
    while (f->word[words])
        words++;
    return v >= 1 && v <= words;
}

/* Fields with a flag are taken, the others follow from them and have to be what is said. */
int32_t mbi_proof_config(struct mbi_config *c, const struct mbi_statement_models *said, size_t i,
                         mambaint_error *err)
{
    const struct mbi_statement_model *m = &said->model[i];
    const struct mbi_arch *arch = mbi_arch_find(m->name);
    int32_t rc;

    if (!arch)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "statement: model %zu is a '%s', of which this library proves nothing yet",
                        i + 1, m->name);
    if (mbi_arch_has_vocab(arch) && said->n > 1)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "statement: model %zu (%s) takes text, and is in a chain; those are of "
                        "models that take features",
                        i + 1, m->name);
    mbi_config_init(c, arch);
    if (m->n_values != arch->n_fields)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "statement: model %zu has %u configuration values, but a '%s' has %zu",
                        i + 1, m->n_values, m->name, arch->n_fields);
    for (size_t k = 0; k < arch->n_fields; k++) {
        if (arch->field[k].flag && !in_range(&arch->field[k], m->value[k]))
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "statement: model %zu: %s is %u, which no '%s' can have", i + 1,
                            arch->field[k].flag, m->value[k], m->name);
        if (arch->field[k].flag)
            c->v[k] = m->value[k];
    }
    if ((rc = arch->resolve(c, true, err)) < 0)
        return rc;
    if (memcmp(c->v, m->value, arch->n_fields * sizeof(*c->v)) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "statement: the configuration of model %zu contradicts itself", i + 1);
    return MAMBAINT_OK;
}

int32_t mbi_proof_graph(struct mbi_graph **out, const struct mbi_host *host,
                        const struct mbi_statement_models *said, size_t i, mambaint_error *err)
{
    struct mbi_config config;
    int32_t rc = mbi_proof_config(&config, said, i, err);

    *out = NULL;
    if (rc < 0 || (rc = mbi_arch_graph(out, host, &config, err)) < 0)
        return rc;
    if (!memcmp((*out)->digest, said->model[i].graph, MBI_DIGEST_SIZE))
        return MAMBAINT_OK;
    mbi_graph_free(*out);
    *out = NULL;
    return mbi_fail(err, MAMBAINT_E_MISMATCH,
                    "statement: model %zu (%s) computes another graph than this library does for "
                    "its configuration",
                    i + 1, said->model[i].name);
}

int32_t mbi_proof_check_statement(const struct mbi_statement *s, const struct mbi_host *host,
                                  mambaint_error *err)
{
    struct mbi_graph *graph[MBI_PLAN_STAGES] = {NULL};
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; i < s->models.n && rc >= 0; i++)
        rc = mbi_proof_graph(&graph[i], host, &s->models, i, err);
    if (rc >= 0)
        rc = mbi_statement_check(s, (const struct mbi_graph *const *)graph, err);
    for (size_t i = 0; i < s->models.n; i++)
        mbi_graph_free(graph[i]);
    return rc;
}

/* ---- weights ---- */

static int32_t make_vector(struct mbi_proof_models *m, mambaint_error *err)
{
    const void *const *param[MBI_PLAN_STAGES];
    unsigned bits;

    for (size_t i = 0; i < m->n; i++)
        param[i] = (const void *const *)m->model[i]->model->param;
    return mbi_weight_vector(&m->vector, &bits, &m->ctx->host, m->graph, param, m->n, err);
}

static int32_t no_code(mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "models of this size cannot be committed to");
}

/* The same of hidden weights: it follows from the openings of a root, too, and there may be more
 * behind the weights. */
static int32_t find_hidden_code(struct mbi_proof_models *m, uint64_t end, mambaint_error *err)
{
    const struct mbi_statement_roots *roots = &m->said.roots;

    m->blur = mbi_blur_of(end, m->weight_bits, roots->n, MBI_EXT_D);
    if (m->blur.bits > MBI_PLAN_MAX_BITS ||
        !mbi_hidden_code(&m->code, m->blur.bits, roots->openings))
        return no_code(err);
    if (!mbi_hidden_fits(&m->code, roots->openings))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "the key's roots have %u openings each, which are too many for models of "
                        "this size",
                        roots->openings);
    m->root.log_rows = mbi_code_log_rows(&m->code, m->blur.bits);
    m->root.rows = mbi_code_rows(&m->code, end + m->blur.entries);
    return MAMBAINT_OK;
}

/* How the vector of the weights is committed to, which follows from the graphs. */
static int32_t find_code(struct mbi_proof_models *m, mambaint_error *err)
{
    uint32_t n;
    uint64_t end;
    struct mbi_piece *piece = mbi_weight_pieces(&n, &m->weight_bits, &m->ctx->host, m->graph, m->n);

    if (!piece)
        return mbi_fail_memory(err, "the weights of a proof");
    end = mbi_weight_end(piece, n);
    mbi_free(&m->ctx->host, piece);
    if (m->weight_bits > MBI_PLAN_MAX_BITS)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: too many weights");
    if (m->public_weights)
        return MAMBAINT_OK;
    if (m->makes_key && m->proofs) {
        const int32_t rc = mbi_hidden_budget(&m->said.roots, end, m->weight_bits, m->proofs, err);

        if (rc < 0)
            return rc;
    }
    if (mbi_statement_is_hidden(&m->said))
        return find_hidden_code(m, end, err);
    if (!MBI_EXT(weight_code)(&m->code, m->weight_bits))
        return no_code(err);
    m->root.log_rows =
        m->weight_bits > m->code.log_columns ? m->weight_bits - m->code.log_columns : 0;
    m->root.rows = mbi_rows_in_use(end, m->code.log_columns);
    return MAMBAINT_OK;
}

/* Plan and code of what can be planned before a run is known. */
static int32_t prepare(struct mbi_proof_models *m, mambaint_error *err)
{
    const int32_t rc = find_code(m, err);

    m->takes_tokens = !mbi_graph_takes_features(m->graph[0]);
    if (rc < 0 || m->takes_tokens || m->public_weights)
        return rc;
    return mbi_proof_plan_run(&m->features, m, 1, 0, err);
}

static int32_t commit_weights(struct mbi_proof_models *m, mambaint_error *err)
{
    struct mbi_table used = m->vector;
    struct mbi_ntt ntt;
    int32_t rc =
        mbi_ntt_init(&ntt, &m->ctx->host, mbi_field_kernels_best(), m->code.log_length, err);

    if (rc < 0)
        return rc;
    used.n = mbi_min_size(used.n, (size_t)m->root.rows << m->code.log_columns);
    mbi_progress(&m->ctx->host, "weights", 0, 1);
    rc = MBI_EXT(commit)(&m->commitment, &used, m->weight_bits, &m->code, NULL, &ntt, err);
    mbi_progress(&m->ctx->host, "weights", 1, 1);
    mbi_ntt_free(&ntt);
    if (rc >= 0)
        m->root = m->commitment.root;
    return rc;
}

#define HASHED 4096 /* weights at a time */

void mbi_proof_hash_weights(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_proof_models *m)
{
    const int16_t *w = m->vector.data;
    struct mbi_blake2b h;
    uint8_t bytes[2 * HASHED];

    mbi_blake2b_init(&h);
    for (size_t i = 0, n; i < m->vector.n; i += n) {
        n = mbi_min_size(m->vector.n - i, HASHED);
        mbi_copy_le(bytes, w + i, n, sizeof(*w));
        mbi_blake2b_add(&h, bytes, n * sizeof(*w));
    }
    mbi_blake2b_end(&h, out);
}

/* ---- the whole ---- */

#define PROOFS 1000u           /* of a prover's key, without the option */
#define MOST_PROOFS (1u << 24) /* of any */

/* What zk=on takes: a prover's key, which is there or is made. */
static int32_t read_zk(struct mbi_proof_models *m, const mambaint_options *options,
                       mambaint_error *err)
{
    if (m->public_weights)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "option zk: with public weights there is nothing to hide, as who verifies "
                        "computes all with them; leave out zk, or weights");
    if (!m->makes_key && !m->prover_key)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option zk: it takes a prover key; set prover-key to one that was made "
                        "with zk on (mambaint_prover_key_save(), 'mambaint proof key')");
    m->proofs = PROOFS;
    if (m->makes_key && mbi_option(options, "proofs"))
        return mbi_option_u32(&m->proofs, options, "proofs", 1, MOST_PROOFS, err);
    return MAMBAINT_OK;
}

static int32_t read_options(struct mbi_proof_models *m, const mambaint_options *options,
                            mambaint_error *err)
{
    const char *weights = mbi_option(options, "weights");
    bool zk = false;
    const int32_t rc = mbi_option_bool(&zk, options, "zk", err);

    if (rc < 0)
        return rc;
    if (weights && strcmp(weights, "committed") && strcmp(weights, "public"))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option weights: '%.40s' is neither committed nor public", weights);
    m->public_weights = weights && !strcmp(weights, "public");
    if (zk)
        return read_zk(m, options, err);
    if (m->makes_key && mbi_option(options, "proofs"))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option proofs: without zk a key makes any number of proofs");
    if (m->public_weights && m->prover_key)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option prover-key: public weights are not committed to, and need no key");
    return MAMBAINT_OK;
}

/* The digest of the public parameters. */
static int32_t say_public(struct mbi_statement_model *said, const struct mbi_model *model,
                          mambaint_error *err)
{
    struct mbi_buf bytes;
    int32_t rc = MAMBAINT_OK;

    if (!(said->has_public = mbi_public_size(model->graph) > 0))
        return rc;
    mbi_buf_init(&bytes, model->host);
    mbi_public_put(&bytes, model->graph, model->param);
    if (bytes.failed)
        rc = mbi_fail_memory(err, "the statement of a proof");
    else
        mbi_public_digest(said->parameters, bytes.data, bytes.size);
    mbi_buf_free(&bytes);
    return rc;
}

static int32_t say_model(struct mbi_statement_model *said, const struct mbi_model *model,
                         mambaint_error *err)
{
    const struct mbi_config *c = &model->config;

    memcpy(said->name, c->arch->name, mbi_min_size(strlen(c->arch->name), MBI_STATEMENT_NAME));
    said->n_values = (uint32_t)c->arch->n_fields;
    memcpy(said->value, c->v, c->arch->n_fields * sizeof(*c->v));
    memcpy(said->graph, model->graph->digest, MBI_DIGEST_SIZE);
    return say_public(said, model, err);
}

/* One model that takes text, or models that take features and fit together. */
static int32_t check_models(mambaint_model *const *model, size_t n, mambaint_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!model[i])
            return mbi_fail(err, MAMBAINT_E_INVALID, "model %zu is NULL", i + 1);
    for (size_t i = 0; i < n && n > 1; i++)
        if (!mbi_graph_takes_features(model[i]->model->graph))
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "model %zu (%s) takes text: it is proved alone, not in a chain", i + 1,
                            model[i]->model->config.arch->name);
    return n > 1 ? mbi_chain_check(model, n, err) : MAMBAINT_OK;
}

/* Plan, vector and commitment of weights that are not hidden. */
static int32_t open_weights(struct mbi_proof_models *m, mambaint_error *err)
{
    int32_t rc;

    if ((rc = prepare(m, err)) < 0 || (rc = make_vector(m, err)) < 0)
        return rc;
    if (!m->public_weights)
        rc = m->prover_key ? mbi_prover_key_use(m, err) : commit_weights(m, err);
    else if (m->takes_tokens || (rc = mbi_proof_plan_run(&m->features, m, 1, 0, err)) >= 0)
        mbi_proof_hash_weights(m->root.digest.byte, m);
    memcpy(m->said.weights, m->root.digest.byte, MBI_DIGEST_SIZE);
    return rc >= 0 && m->features.plan ? mbi_proof_plan_try(&m->features, &m->ctx->host, err) : rc;
}

/* The same of hidden ones: how they are committed to is in the key, or found for a new one. */
static int32_t open_hidden(struct mbi_proof_models *m, mambaint_error *err)
{
    int32_t rc = m->makes_key ? MAMBAINT_OK : mbi_prover_key_roots(m, err);

    if (rc < 0 || (rc = prepare(m, err)) < 0 || (rc = make_vector(m, err)) < 0)
        return rc;
    rc = m->makes_key ? mbi_hidden_make(m, err) : mbi_prover_key_use(m, err);
    return rc >= 0 && m->features.plan ? mbi_proof_plan_try(&m->features, &m->ctx->host, err) : rc;
}

int32_t mbi_proof_models_open(struct mbi_proof_models *m, mambaint_model *const *model, size_t n,
                              const mambaint_options *options, mambaint_error *err)
{
    int32_t rc;

    if (!model || !n)
        return mbi_fail(err, MAMBAINT_E_INVALID, "there must be a model");
    if (n > MBI_PLAN_STAGES)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%zu models; a proof is of at most %d", n,
                        MBI_PLAN_STAGES);
    if ((rc = check_models(model, n, err)) < 0 || (rc = read_options(m, options, err)) < 0 ||
        (rc = mbi_hash_setup(err)) < 0)
        return rc;
    m->ctx = model[0]->ctx;
    mambaint_context_ref(m->ctx);
    m->said.n = (uint32_t)n;
    m->unref = mambaint_model_unref;
    for (; m->n < n; m->n++) {
        mambaint_model_ref(model[m->n]);
        m->model[m->n] = model[m->n];
        m->graph[m->n] = model[m->n]->model->graph;
        m->param[m->n] = model[m->n]->model->param;
    }
    for (size_t i = 0; i < n; i++)
        if ((rc = say_model(&m->said.model[i], model[i]->model, err)) < 0)
            return rc;
    return m->proofs ? open_hidden(m, err) : open_weights(m, err);
}

/* The public parameters of model i, out of what is left of a key's. */
static int32_t take_public(struct mbi_proof_models *m, size_t i, struct mbi_reader *left,
                           mambaint_error *err)
{
    const struct mbi_statement_model *said = &m->said.model[i];
    const uint64_t size = said->has_public ? mbi_public_size(m->graph[i]) : 0;
    uint8_t digest[MBI_DIGEST_SIZE];
    const uint8_t *bytes;
    int32_t rc;

    if (!said->has_public)
        return MAMBAINT_OK;
    if (size > mbi_read_left(left))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "key: the public parameters of model %zu have %llu bytes, but %zu are left",
                        i + 1, (unsigned long long)size, mbi_read_left(left));
    bytes = mbi_read_bytes(left, (size_t)size);
    mbi_public_digest(digest, bytes, (size_t)size);
    if (memcmp(digest, said->parameters, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "key: the public parameters of model %zu are not those of its digest",
                        i + 1);
    rc = mbi_public_read(&m->own_param[i], m->graph[i], bytes, err);
    m->param[i] = m->own_param[i];
    return rc;
}

int32_t mbi_proof_models_rebuild(struct mbi_proof_models *m, mambaint_context *ctx,
                                 const struct mbi_key_file *key, mambaint_error *err)
{
    const struct mbi_statement_models *said = &key->models;
    struct mbi_reader left = {.data = key->parameters, .size = key->n_parameters};
    int32_t rc = mbi_hash_setup(err);

    m->ctx = ctx;
    mambaint_context_ref(ctx);
    m->said = *said;
    for (; m->n < said->n && rc >= 0; m->n++) {
        rc = mbi_proof_graph(&m->own[m->n], &ctx->host, said, m->n, err);
        m->graph[m->n] = m->own[m->n];
    }
    for (size_t i = 0; i < said->n && rc >= 0; i++)
        rc = take_public(m, i, &left, err);
    if (rc >= 0 && mbi_read_left(&left))
        rc = mbi_fail(err, MAMBAINT_E_FORMAT,
                      "key: %zu bytes are left behind the public parameters", mbi_read_left(&left));
    if (rc < 0 || (rc = prepare(m, err)) < 0)
        return rc;
    memcpy(m->root.digest.byte, said->weights, MBI_DIGEST_SIZE);
    return MAMBAINT_OK;
}

void mbi_proof_models_close(struct mbi_proof_models *m)
{
    if (!m->ctx)
        return;
    mbi_proof_plan_close(&m->features);
    MBI_EXT(commitment_free)(&m->commitment); /* nothing, of a prover's key */
    mbi_free_aligned(&m->ctx->host, (void *)(uintptr_t)m->vector.data);
    for (size_t i = 0; i < m->n; i++) {
        if (m->own_param[i])
            mbi_public_free(m->own_param[i], m->own[i]);
        mbi_graph_free(m->own[i]);
        if (m->unref)
            m->unref(m->model[i]);
    }
    mambaint_context_unref(m->ctx);
}
#endif

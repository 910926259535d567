/* SPDX-License-Identifier: Apache-2.0 */
/* The models of a proof: from model objects, or rebuilt from what a file says of them. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/chain.h"
#include "api/options.h"
#include "base/intmath.h"
#include "proof/hash.h"

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

    if (!arch || mbi_arch_has_vocab(arch))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "statement: model %zu is a '%s', of which this library proves nothing yet",
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
        c->v[k] = arch->field[k].flag ? m->value[k] : 0;
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

/* ---- plans ---- */

/* What falls short of the profile's level is refused. */
static int32_t find_level(unsigned *level, const struct mbi_plan *plan, const struct mbi_code *code,
                          const struct mbi_host *host, const char *what, mambaint_error *err)
{
    struct mbi_proof_shape shape;

    if (!MBI_EXT(proof_shape)(&shape, plan, host))
        return mbi_fail_memory(err, "a proof");
    *level = MBI_EXT(proof_level)(plan, &shape, code);
    if (*level < MBI_PROOF_LEVEL)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "a %s of models of this size would not reach %d bits of soundness", what,
                        MBI_PROOF_LEVEL);
    return MAMBAINT_OK;
}

/* Plan and code of a run. */
static int32_t make_plan(struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_plan_request q = {m->graph, m->n, 1, m->public_weights, false};
    int32_t rc = mbi_plan_create(&m->plan, &m->ctx->host, &q, err);

    if (rc < 0)
        return rc;
    if (!MBI_EXT(walk_code)(&m->code, m->plan))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "models of this size cannot be committed to");
    if ((rc = find_level(&m->level, m->plan, &m->code, &m->ctx->host, "proof", err)) < 0)
        return rc;
    m->root.log_rows =
        m->plan->weight_bits > m->code.log_columns ? m->plan->weight_bits - m->code.log_columns : 0;
    return MAMBAINT_OK;
}

int32_t mbi_proof_certificate_plan(struct mbi_plan **out, const struct mbi_proof_models *m,
                                   mambaint_error *err)
{
    const struct mbi_plan_request q = {m->graph, m->n, 1, false, true};
    int32_t rc = mbi_plan_create(out, &m->ctx->host, &q, err);
    unsigned level;

    if (rc < 0 || (rc = find_level(&level, *out, &m->code, &m->ctx->host, "certificate", err)) >= 0)
        return rc;
    mbi_plan_free(*out);
    *out = NULL;
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

static int32_t commit_weights(struct mbi_proof_models *m, mambaint_error *err)
{
    struct mbi_ntt ntt;
    int32_t rc =
        mbi_ntt_init(&ntt, &m->ctx->host, mbi_field_kernels_best(), m->code.log_length, err);

    if (rc < 0)
        return rc;
    rc = MBI_EXT(commit)(&m->commitment, &m->vector, m->plan->weight_bits, &m->code, &ntt, err);
    mbi_ntt_free(&ntt);
    if (rc >= 0)
        m->root = m->commitment.root;
    return rc;
}

/* The hash of the vector's bytes. */
static void hash_weights(struct mbi_proof_models *m)
{
    const int16_t *w = m->vector.data;
    struct mbi_blake2b h;

    mbi_blake2b_init(&h);
    for (size_t i = 0; i < m->vector.n; i++) {
        uint8_t bytes[2];

        mbi_store16(bytes, (uint16_t)w[i]);
        mbi_blake2b_add(&h, bytes, sizeof(bytes));
    }
    mbi_blake2b_end(&h, m->root.digest.byte);
}

/* The rows of a weight, taken out of the vector piece by piece. */
static bool fill_table(struct mbi_table *t, const struct mbi_proof_models *m,
                       const struct mbi_var *v)
{
    const int16_t *from = m->vector.data;
    int16_t *to;

    t->type = MBI_TABLE_I16;
    t->n = (size_t)v->rows << v->col_bits;
    if (!(t->data = to = mbi_alloc(&m->ctx->host, t->n, sizeof(*to))))
        return false;
    for (uint32_t k = 0; k < v->n_pieces; k++) {
        const struct mbi_piece *p = &m->plan->piece[v->first_piece + k];
        const unsigned bits = (unsigned)p->log_rows + p->col_bits;

        memcpy(to + ((size_t)p->row << v->col_bits), from + (p->block << bits),
               sizeof(*to) << bits);
    }
    return true;
}

static int32_t make_tables(struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_plan *p = m->plan;

    if (!(m->table = mbi_alloc(&m->ctx->host, p->n_vars, sizeof(*m->table))))
        return mbi_fail_memory(err, "the weights of a proof");
    for (uint32_t i = 0; i < p->n_vars; i++)
        if (p->var[i].kind == MBI_VAR_WEIGHT && !fill_table(&m->table[i], m, &p->var[i]))
            return mbi_fail_memory(err, "the weights of a proof");
    return MAMBAINT_OK;
}

/* ---- the whole ---- */

static int32_t read_options(struct mbi_proof_models *m, const mambaint_options *options,
                            mambaint_error *err)
{
    const char *weights = mbi_option(options, "weights");
    bool zk = false;
    const int32_t rc = mbi_option_bool(&zk, options, "zk", err);

    if (rc < 0)
        return rc;
    if (zk)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "option zk: zero-knowledge proofs are not there yet; set it to off");
    if (weights && strcmp(weights, "committed") && strcmp(weights, "public"))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option weights: '%.40s' is neither committed nor public", weights);
    m->public_weights = weights && !strcmp(weights, "public");
    return MAMBAINT_OK;
}

static void say_model(struct mbi_statement_model *said, const struct mbi_model *model)
{
    const struct mbi_config *c = &model->config;

    memcpy(said->name, c->arch->name, mbi_min_size(strlen(c->arch->name), MBI_STATEMENT_NAME));
    said->n_values = (uint32_t)c->arch->n_fields;
    memcpy(said->value, c->v, c->arch->n_fields * sizeof(*c->v));
    memcpy(said->graph, model->graph->digest, MBI_DIGEST_SIZE);
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
    if ((rc = mbi_chain_check(model, n, err)) < 0 || (rc = read_options(m, options, err)) < 0 ||
        (rc = mbi_hash_setup(err)) < 0)
        return rc;
    m->ctx = model[0]->ctx;
    mambaint_context_ref(m->ctx);
    m->said.n = (uint32_t)n;
    for (m->n = 0; m->n < n; m->n++) {
        mambaint_model_ref(model[m->n]);
        m->model[m->n] = model[m->n];
        m->graph[m->n] = model[m->n]->model->graph;
        say_model(&m->said.model[m->n], model[m->n]->model);
    }
    if ((rc = make_plan(m, err)) < 0 || (rc = make_vector(m, err)) < 0)
        return rc;
    if (!m->public_weights)
        rc = commit_weights(m, err);
    else if ((rc = make_tables(m, err)) >= 0)
        hash_weights(m);
    memcpy(m->said.weights, m->root.digest.byte, MBI_DIGEST_SIZE);
    return rc;
}

int32_t mbi_proof_models_rebuild(struct mbi_proof_models *m, mambaint_context *ctx,
                                 const struct mbi_statement_models *said, mambaint_error *err)
{
    int32_t rc = mbi_hash_setup(err);

    m->ctx = ctx;
    mambaint_context_ref(ctx);
    m->said = *said;
    for (; m->n < said->n && rc >= 0; m->n++) {
        rc = mbi_proof_graph(&m->own[m->n], &ctx->host, said, m->n, err);
        m->graph[m->n] = m->own[m->n];
    }
    if (rc < 0 || (rc = make_plan(m, err)) < 0)
        return rc;
    memcpy(m->root.digest.byte, said->weights, MBI_DIGEST_SIZE);
    return MAMBAINT_OK;
}

static void free_tables(struct mbi_proof_models *m)
{
    for (uint32_t i = 0; m->table && i < m->plan->n_vars; i++)
        mbi_free(&m->ctx->host, (void *)(uintptr_t)m->table[i].data);
    mbi_free(&m->ctx->host, m->table);
}

void mbi_proof_models_close(struct mbi_proof_models *m)
{
    if (!m->ctx)
        return;
    free_tables(m);
    MBI_EXT(commitment_free)(&m->commitment);
    mbi_free_aligned(&m->ctx->host, (void *)(uintptr_t)m->vector.data);
    mbi_plan_free(m->plan);
    for (size_t i = 0; i < m->n; i++) {
        mbi_graph_free(m->own[i]);
        mambaint_model_unref(m->model[i]);
    }
    mambaint_context_unref(m->ctx);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Making proofs of runs, and checking them. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/chain.h"
#include "api/options.h"
#include "base/intmath.h"
#include "base/text.h"

struct mambaint_proof {
    mambaint_context *ctx;
    struct mbi_buf file;
    unsigned log2_trace, level;
};

/* ---- a run whose values are kept ---- */

struct kept_run {
    struct mbi_stage_run stage[MBI_PLAN_STAGES];
    void **value[MBI_PLAN_STAGES]; /* by mbi_ref; parameters stay the model's */
};

static void free_run(struct kept_run *run, const struct mbi_proof_models *m)
{
    const struct mbi_host *host = &m->ctx->host;

    for (size_t s = 0; s < m->n; s++) {
        for (mbi_ref i = 0; run->value[s] && i < m->graph[s]->n_nodes; i++)
            if (!mbi_node_is_param(&m->graph[s]->node[i]))
                mbi_free(host, run->value[s][i]);
        mbi_free(host, run->value[s]);
    }
}

/* Room for every value of a stage; its features are copied in. */
static bool make_values(struct kept_run *run, const struct mbi_proof_models *m, size_t s,
                        const int8_t *x)
{
    const struct mbi_host *host = &m->ctx->host;
    const struct mbi_graph *g = m->graph[s];
    void **value = mbi_alloc(host, g->n_nodes, sizeof(*value));

    run->value[s] = value;
    run->stage[s].value = (const void *const *)value;
    for (mbi_ref i = 0; value && i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (mbi_node_is_param(node))
            value[i] = (void *)(uintptr_t)m->model[s]->model->param[node->param];
        else if (!(value[i] = mbi_alloc(host, 1, mbi_type_row_size(&node->type))))
            return false;
    }
    if (value)
        memcpy(value[0], x, mbi_type_row_size(&g->node[0].type));
    return value != NULL;
}

static int32_t run_stage(struct kept_run *run, const struct mbi_proof_models *m, size_t s,
                         const struct mbi_backend *backend, mambaint_error *err)
{
    const struct mbi_graph *g = m->graph[s];
    struct mbi_stage stage;
    int32_t rc = mbi_stage_open(&stage, m->model[s], backend, true, err);

    if (rc >= 0)
        rc = mbi_stage_run(&stage, run->value[s][0], err);
    for (mbi_ref i = 0; i < g->n_nodes && rc >= 0; i++)
        if (g->node[i].op)
            rc = backend->peek(run->value[s][i], stage.image, i, 0, 1, err);
    mbi_stage_close(&stage);
    return rc;
}

static int32_t run_models(struct kept_run *run, const struct mbi_proof_models *m, const int8_t *x,
                          const struct mbi_backend *backend, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t s = 0; s < m->n && rc >= 0; s++) {
        if (s)
            x = run->value[s - 1][m->graph[s - 1]->link];
        rc = make_values(run, m, s, x) ? run_stage(run, m, s, backend, err)
                                       : mbi_fail_memory(err, "the values of a proof");
    }
    return rc;
}

/* ---- the statement of a run ---- */

/* `input` and `output` become views of x and of a block that the caller frees. */
static int32_t say_run(struct mbi_statement *s, uint8_t **outputs, const struct kept_run *run,
                       const struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_graph *last = m->graph[m->n - 1];
    const size_t n = last->node[last->logits].type.cols;

    if (last->node[last->logits].type.dtype != MBI_I32)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "this cannot be proved yet: the outputs are not of 32 bits");
    if (!(*outputs = mbi_alloc(&m->ctx->host, n, sizeof(int32_t))))
        return mbi_fail_memory(err, "the statement of a proof");
    mbi_copy_le(*outputs, run->value[m->n - 1][last->logits], n, sizeof(int32_t));
    *s = (struct mbi_statement){.models = m->said,
                                .lanes = 1,
                                .input_kind = MBI_STATEMENT_CLEAR,
                                .output_kind = MBI_STATEMENT_CLEAR,
                                .n_inputs = m->graph[0]->node[0].type.cols,
                                .n_outputs = (uint32_t)n,
                                .input = run->value[0][0],
                                .output = *outputs};
    return mbi_statement_check(s, m->graph, err);
}

/* ---- memory ---- */

/* A host that remembers whether it refused: then neither a proof nor a verdict counts. */
struct watch {
    struct mbi_host host;
    const struct mbi_host *from;
    atomic_bool refused;
};

static void *watched(void *user, void *old, size_t size)
{
    struct watch *w = user;
    void *block = w->from->alloc(w->from->alloc_user, old, size);

    if (size && !block)
        atomic_store(&w->refused, true);
    return block;
}

static void watch_begin(struct watch *w, const struct mbi_host *from)
{
    w->host = *from;
    w->host.alloc = watched;
    w->host.alloc_user = w;
    w->from = from;
    atomic_init(&w->refused, false);
}

/* ---- writing ---- */

int32_t mbi_proof_write(struct mbi_buf *out, const struct mbi_proof_models *m,
                        const struct mbi_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, mambaint_error *err)
{
    const bool is_run = plan->output != MBI_NONE;
    struct mbi_proof_job job = {.plan = plan, .code = m->code, .weights = m->root};
    struct mbi_commitment vector[2] = {{0}, m->commitment}; /* the witness's, the weights' */
    struct mbi_witness *witness = NULL;
    struct mbi_proof_writer body;
    struct watch watch;
    int32_t rc;

    mbi_proof_file_begin(out, is_run ? MBI_PROOF_RUN : MBI_PROOF_CERTIFICATE, m->public_weights, s);
    if (out->failed)
        return mbi_fail_memory(err, "a proof");
    job.statement = out->data;
    job.statement_size = out->size;
    if ((rc = mbi_witness_create(&witness, plan, run, err)) < 0)
        return rc;
    job.table = witness->table;
    mbi_proof_writer_init(&body, &m->ctx->host, is_run ? "wit" : "cert");
    watch_begin(&watch, &m->ctx->host);
    rc = MBI_EXT(proof_commit)(&vector[0], &job, witness, &watch.host, err);
    if (rc >= 0)
        rc = MBI_EXT(proof_prove)(&job, witness, vector, &body, &watch.host, err);
    MBI_EXT(commitment_free)(&vector[0]);
    mbi_witness_free(witness);
    if (atomic_load(&watch.refused))
        rc = mbi_fail_memory(err, "a proof");
    if (rc >= 0) {
        mbi_buf_add(out, body.bytes.data, body.bytes.size);
        mbi_proof_file_end(out);
        rc = out->failed ? mbi_fail_memory(err, "a proof") : MAMBAINT_OK;
    }
    mbi_proof_writer_free(&body);
    return rc;
}

/* ---- checking ---- */

/* What is public of a run: its features and outputs (of one step), beside public weights. */
static struct mbi_table *public_tables(int32_t **outputs, const struct mbi_proof_models *m,
                                       const struct mbi_plan *plan, const struct mbi_statement *s)
{
    const struct mbi_host *host = &m->ctx->host;
    struct mbi_table *table = mbi_alloc(host, plan->n_vars, sizeof(*table));

    *outputs = mbi_alloc(host, (size_t)s->n_outputs + 1, sizeof(**outputs));
    if (!table || !*outputs) {
        mbi_free(host, table);
        return NULL;
    }
    if (m->table && plan == m->plan)
        memcpy(table, m->table, plan->n_vars * sizeof(*table));
    for (size_t i = 0; i < s->n_outputs; i++)
        (*outputs)[i] = mbi_statement_output(s, i);
    if (plan->input != MBI_NONE)
        table[plan->input] = (struct mbi_table){MBI_TABLE_I8, s->input, s->n_inputs};
    if (plan->output != MBI_NONE)
        table[plan->output] = (struct mbi_table){MBI_TABLE_I32, *outputs, s->n_outputs};
    return table;
}

int32_t mbi_proof_check(const struct mbi_proof_models *m, const struct mbi_plan *plan,
                        const struct mbi_proof_file *file, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    int32_t *outputs = NULL;
    struct mbi_table *table = public_tables(&outputs, m, plan, &file->statement);
    const struct mbi_proof_job job = {.plan = plan,
                                      .statement = file->bound,
                                      .statement_size = file->bound_size,
                                      .code = m->code,
                                      .weights = m->root,
                                      .table = table};
    struct mbi_proof_reader in;
    struct watch watch;
    int32_t rc = MAMBAINT_OK;
    bool holds;

    if (!table) {
        mbi_free(host, outputs);
        return mbi_fail_memory(err, "a verification");
    }
    mbi_proof_reader_init(&in, file->body, file->body_size,
                          file->type == MBI_PROOF_RUN ? "wit" : "cert");
    watch_begin(&watch, host);
    holds = MBI_EXT(proof_verify)(&job, &in, &watch.host);
    if (atomic_load(&watch.refused))
        rc = mbi_fail_memory(err, "a verification");
    else if (!holds)
        rc = mbi_fail(err, MAMBAINT_E_REFUSED, "the proof is refused: %s", in.fault);
    mbi_free(host, table);
    mbi_free(host, outputs);
    return rc;
}

/* All that has to hold before the proof itself is looked at. */
static int32_t check_claims(struct mbi_proof_file *file, const mambaint_key *key,
                            const mambaint_statement *expected, const void *proof, size_t len,
                            mambaint_error *err)
{
    const struct mbi_proof_models *m = &key->models;
    int32_t rc;

    if ((rc = mbi_proof_file_read(file, proof, len, err)) < 0)
        return rc;
    if (file->type != MBI_PROOF_RUN)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "proof: it is a certificate of weights, and says nothing of a run");
    if (!file->body_size)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "proof: it is a statement alone, without a proof");
    if ((rc = mbi_statement_same_models(&file->statement.models, file->public_weights, &m->said,
                                        m->public_weights,
                                        "the proof is of another model than the "
                                        "key",
                                        err)) < 0)
        return rc;
    if (file->statement.lanes != 1)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "proof: it is of %u steps; proofs of several are not there yet",
                        file->statement.lanes);
    if ((rc = mbi_statement_check(&file->statement, m->graph, err)) < 0)
        return rc;
    return expected ? mbi_statement_same(file, mbi_statement_file(expected), err) : MAMBAINT_OK;
}

int32_t mambaint_proof_verify(mambaint_statement **parsed, const mambaint_key *key,
                              const mambaint_statement *expected, const void *proof, size_t len,
                              mambaint_error *err)
{
    struct mbi_proof_file file;
    int32_t rc;

    if (parsed)
        *parsed = NULL;
    if (!key || !proof)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "key and proof must not be NULL: without a key nothing says whose weights "
                        "a proof is about");
    if ((rc = check_claims(&file, key, expected, proof, len, err)) < 0)
        return rc;
    if ((rc = mbi_proof_check(&key->models, key->models.plan, &file, err)) < 0)
        return rc;
    if (parsed && (rc = mbi_statement_wrap(parsed, key->models.ctx, &file, err)) < 0)
        return rc;
    return MAMBAINT_ACCEPTED;
}

/* ---- proofs of runs ---- */

static int32_t prove(mambaint_proof *p, const struct mbi_proof_models *m, const int8_t *x,
                     const struct mbi_backend *backend, mambaint_error *err)
{
    struct kept_run run = {.value = {NULL}};
    uint8_t *outputs = NULL;
    struct mbi_statement s;
    int32_t rc;

    if ((rc = run_models(&run, m, x, backend, err)) >= 0 &&
        (rc = say_run(&s, &outputs, &run, m, err)) >= 0)
        rc = mbi_proof_write(&p->file, m, m->plan, &s, run.stage, err);
    mbi_free(&m->ctx->host, outputs);
    free_run(&run, m);
    p->log2_trace = m->plan->bits;
    p->level = m->level;
    return rc;
}

static int32_t prove_features(mambaint_proof *p, const struct mbi_proof_models *m,
                              const mambaint_options *options, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    const struct mbi_backend *backend;
    int32_t rc = mbi_backend_find(&backend, mbi_option(options, "backend"), err);
    int8_t *x;

    if (rc < 0)
        return rc;
    if (!(x = mbi_alloc(host, m->graph[0]->node[0].type.cols, sizeof(*x))))
        return mbi_fail_memory(err, "features");
    if ((rc = mbi_chain_features(x, m->model[0], options, err)) >= 0)
        rc = prove(p, m, x, backend, err);
    mbi_free(host, x);
    return rc;
}

/* A proof of the API, empty; takes a reference of ctx. */
static mambaint_proof *new_proof(mambaint_context *ctx)
{
    mambaint_proof *p = mbi_alloc(&ctx->host, 1, sizeof(*p));

    if (p) {
        p->ctx = ctx;
        mambaint_context_ref(ctx);
        mbi_buf_init(&p->file, &ctx->host);
    }
    return p;
}

int32_t mambaint_proof_create(mambaint_proof **out, mambaint_model *const *model, size_t n_models,
                              const mambaint_options *options, mambaint_error *err)
{
    struct mbi_proof_models m = {.ctx = NULL};
    mambaint_proof *p = NULL;
    int32_t rc;

    if (!out)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out must not be NULL");
    *out = NULL;
    if ((rc = mbi_proof_models_open(&m, model, n_models, options, err)) >= 0) {
        p = new_proof(m.ctx);
        rc = p ? prove_features(p, &m, options, err) : mbi_fail_memory(err, "a proof");
    }
    mbi_proof_models_close(&m);
    if (rc < 0) {
        mambaint_proof_free(p);
        return rc;
    }
    *out = p;
    return MAMBAINT_OK;
}

const void *mambaint_proof_data(const mambaint_proof *proof, size_t *size)
{
    if (size)
        *size = proof ? proof->file.size : 0;
    return proof ? proof->file.data : NULL;
}

int32_t mambaint_proof_number(const mambaint_proof *proof, const char *key, int64_t *value)
{
    if (!proof || !key || !value)
        return MAMBAINT_E_INVALID;
    if (mbi_key_equal(key, "log2-trace"))
        *value = proof->log2_trace;
    else if (mbi_key_equal(key, "soundness-bits"))
        *value = proof->level;
    else
        return MAMBAINT_E_INVALID;
    return MAMBAINT_OK;
}

void mambaint_proof_free(mambaint_proof *proof)
{
    mambaint_context *ctx;

    if (!proof)
        return;
    ctx = proof->ctx;
    mbi_buf_free(&proof->file);
    mbi_free(&ctx->host, proof);
    mambaint_context_unref(ctx);
}
#endif

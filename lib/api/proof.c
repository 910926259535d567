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
    bool hidden;
    int64_t left; /* proofs of the key; -1: any number */
};

/* ---- a run whose values are kept ---- */

struct chain_run {
    struct mbi_kept_run kept[MBI_PLAN_STAGES];
    struct mbi_stage_run stage[MBI_PLAN_STAGES]; /* the same, as an engine takes it */
};

static void free_run(struct chain_run *run, const struct mbi_proof_models *m)
{
    for (size_t s = 0; s < m->n; s++)
        mbi_kept_run_close(&run->kept[s]);
}

/* `in`: what the first model takes; each other one takes what the one before hands on. */
static int32_t run_models(struct chain_run *run, const struct mbi_proof_models *m, const void *in,
                          size_t lanes, const struct mbi_backend *backend, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t s = 0; s < m->n && rc >= 0; s++) {
        if (s)
            in = run->kept[s - 1].value[m->graph[s - 1]->link];
        rc = mbi_kept_run_make(&run->kept[s], m->model[s], in, lanes, backend, err);
        run->stage[s] = run->kept[s].stage;
    }
    return rc;
}

/* ---- the statement of a run ---- */

/* On features: `input` and `output` become views of them and of a block that the caller frees. */
static int32_t say_run(struct mbi_statement *s, uint8_t **outputs, const struct chain_run *run,
                       const struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_graph *last = m->graph[m->n - 1];
    const size_t n = last->node[last->logits].type.cols;

    if (last->node[last->logits].type.dtype != MBI_I32)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "this cannot be proved yet: the outputs are not of 32 bits");
    if (!(*outputs = mbi_alloc(&m->ctx->host, n, sizeof(int32_t))))
        return mbi_fail_memory(err, "the statement of a proof");
    mbi_copy_le(*outputs, run->kept[m->n - 1].value[last->logits], n, sizeof(int32_t));
    *s = (struct mbi_statement){.models = m->said,
                                .lanes = 1,
                                .input_kind = MBI_STATEMENT_CLEAR,
                                .output_kind = MBI_STATEMENT_CLEAR,
                                .n_inputs = m->graph[0]->node[0].type.cols,
                                .n_outputs = (uint32_t)n,
                                .input = run->kept[0].value[0],
                                .output = *outputs};
    return mbi_statement_check(s, m->graph, err);
}

/* On a list of lanes + 1 tokens: `input` becomes a view of a block that the caller frees. */
static int32_t say_answer(struct mbi_statement *s, uint8_t **input, const struct mbi_buf *list,
                          uint32_t n_outputs, const struct mbi_proof_models *m, mambaint_error *err)
{
    const size_t n = list->size / sizeof(int32_t);

    if (!(*input = mbi_alloc(&m->ctx->host, n, sizeof(int32_t))))
        return mbi_fail_memory(err, "the statement of a proof");
    mbi_copy_le(*input, list->data, n, sizeof(int32_t));
    *s = (struct mbi_statement){.models = m->said,
                                .lanes = (uint32_t)n - 1, /* at most MBI_STATEMENT_LANES */
                                .input_kind = MBI_STATEMENT_TOKENS,
                                .output_kind = MBI_STATEMENT_TOKENS,
                                .n_inputs = (uint32_t)n,
                                .n_outputs = n_outputs,
                                .input = *input};
    return mbi_statement_check(s, m->graph, err);
}

/* ---- checking ---- */

/* What is public of a run on features: these and the outputs (of one step), beside public weights.
 */
static struct mbi_table *public_tables(int32_t **outputs, const struct mbi_proof_models *m,
                                       const struct mbi_proof_plan *p,
                                       const struct mbi_statement *s)
{
    const struct mbi_host *host = &m->ctx->host;
    const struct mbi_plan *plan = p->plan;
    const size_t n = s->output_kind == MBI_STATEMENT_CLEAR ? s->n_outputs : 0;
    struct mbi_table *table = mbi_alloc(host, plan->n_vars, sizeof(*table));

    *outputs = mbi_alloc(host, n + 1, sizeof(**outputs));
    if (!table || !*outputs) {
        mbi_free(host, table);
        return NULL;
    }
    if (p->table)
        memcpy(table, p->table, plan->n_vars * sizeof(*table));
    for (size_t i = 0; i < n; i++)
        (*outputs)[i] = mbi_statement_output(s, i);
    if (mbi_statement_is_of_tokens(s))
        return table; /* the others follow from parameters and tokens */
    if (plan->input != MBI_NONE)
        table[plan->input] = (struct mbi_table){MBI_TABLE_I8, s->input, s->n_inputs};
    if (plan->output != MBI_NONE)
        table[plan->output] = (struct mbi_table){MBI_TABLE_I32, *outputs, s->n_outputs};
    return table;
}

/* Of hidden weights: the root that the proof is about, which is one of the key's. */
static bool get_root(struct mbi_proof_job *job, struct mbi_claim term[2],
                     struct mbi_root_claim *claim, const struct mbi_proof_models *m,
                     enum mbi_proof_type type, struct mbi_proof_reader *in)
{
    struct mbi_root_part part;

    if (!mbi_statement_is_hidden(&m->said))
        return true;
    MBI_EXT(proof_begin)(&in->transcript, job);
    job->begun = true;
    if (!mbi_get_root(&part, &m->said, type, in))
        return false;
    job->weights.digest = part.root;
    MBI_EXT(root_claim)(claim, &m->said, &part.tree, &m->blur);
    mbi_proof_know_roots(job, term, claim, m);
    return true;
}

/* The job but for what depends on the models is complete. */
static int32_t check_body(struct mbi_proof_job *job, const struct mbi_proof_models *m,
                          const struct mbi_proof_file *file, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    struct mbi_root_claim claim;
    struct mbi_claim term[2];
    struct mbi_proof_reader in;
    struct mbi_watch watch;
    bool holds;

    mbi_proof_reader_init(&in, file->body, file->body_size,
                          file->type == MBI_PROOF_RUN ? "wit" : "cert");
    mbi_watch_begin(&watch, host);
    holds = get_root(job, term, &claim, m, file->type, &in) &&
            MBI_EXT(proof_verify)(job, &in, &watch.host);
    if (atomic_load(&watch.refused))
        return mbi_fail_memory(err, "a verification");
    if (!holds)
        return mbi_fail(err, MAMBAINT_E_REFUSED, "the proof is refused: %s", in.fault);
    return MAMBAINT_OK;
}

int32_t mbi_proof_check(const struct mbi_proof_models *m, const struct mbi_proof_plan *plan,
                        const struct mbi_proof_file *file, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    struct mbi_proof_job job = {.plan = plan->plan,
                                .statement = file->bound,
                                .statement_size = file->bound_size,
                                .code = plan->code,
                                .weights = m->root,
                                .room = plan->room};
    int32_t *outputs = NULL;
    struct mbi_table *table;
    struct mbi_buf bare;
    uint32_t *ids;
    int32_t rc = mbi_proof_ids(&ids, &file->statement, host, err);

    if (rc < 0)
        return rc;
    job.token = ids;
    mbi_buf_init(&bare, host);
    mbi_proof_say_boundaries(&job, &bare, file->type, m->public_weights, &file->statement);
    job.table = table = public_tables(&outputs, m, plan, &file->statement);
    rc = table && !bare.failed ? MAMBAINT_OK : mbi_fail_memory(err, "a verification");
    if (rc >= 0 && file->type == MBI_PROOF_RUN)
        rc = mbi_known_tables(table, plan->plan, &(struct mbi_known){m->param, ids}, err);
    if (rc >= 0)
        rc = check_body(&job, m, file, err);
    mbi_known_free(table, plan->plan);
    mbi_free(host, table);
    mbi_free(host, outputs);
    mbi_free(host, ids);
    mbi_buf_free(&bare);
    return rc;
}

/* All that has to hold before the proof itself is looked at. */
static int32_t check_claims(const struct mbi_proof_file *file, const mambaint_key *key,
                            mambaint_error *err)
{
    const struct mbi_proof_models *m = &key->models;
    int32_t rc;

    if (file->type == MBI_PROOF_CERTIFICATE)
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
    if (!mbi_statement_is_of_tokens(&file->statement) && file->statement.lanes != 1)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "proof: it is of %u steps; proofs of several are not there yet",
                        file->statement.lanes);
    return mbi_statement_check(&file->statement, m->graph, err);
}

/* A plan, and beside it memory for what is checked with it: clearing its pages takes long. */
struct plan_ahead {
    struct mbi_proof_plan *plan;
    const struct mbi_proof_models *models;
    const struct mbi_proof_part *part;
    struct mbi_walk_room room;
    mambaint_error *err;
    int32_t rc;
};

static void plan_or_touch(void *arg, size_t begin, size_t end)
{
    struct plan_ahead *a = arg;

    for (size_t i = begin; i < end; i++)
        if (i == 0)
            a->rc = mbi_proof_plan_part(a->plan, a->models, a->part, a->err);
        else
            MBI_EXT(walk_touch)(a->room.memory, a->room.size);
}

static int32_t plan_part(struct mbi_proof_check *c, const struct mbi_proof_models *m,
                         mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    struct plan_ahead a = {.plan = &c->plan, .models = m, .part = &c->part, .err = err};
    size_t operations = 0;

    for (size_t i = 0; i < m->n; i++)
        operations += m->graph[i]->n_nodes;
    if (mbi_pool_threads(host->pool) > 1)
        a.room.size = MBI_EXT(verify_room)(operations);
    if (a.room.size)
        a.room.memory = mbi_alloc_huge(host, a.room.size);
    mbi_parallel_for(host, a.room.memory ? 2 : 1, 1, plan_or_touch, &a);
    c->plan.room = a.room;
    return a.rc;
}

/* Runs on tokens are planned by their length, which the statement has, and parts by their ends. */
static int32_t check_run(struct mbi_proof_check *c, const struct mbi_proof_models *m,
                         const struct mbi_proof_file *file, mambaint_error *err)
{
    const struct mbi_statement *s = &file->statement;
    const struct mbi_proof_part part = {
        s->lanes,
        m->takes_tokens ? s->n_outputs : 0,
        {s->boundary[MBI_BEFORE] != NULL, s->boundary[MBI_BEHIND] != NULL}};
    int32_t rc = MAMBAINT_OK;

    if (!m->takes_tokens && !part.boundary[MBI_BEFORE] && !part.boundary[MBI_BEHIND])
        return mbi_proof_check(m, &m->features, file, err);
    if (!c->plan.plan || c->part.lanes != part.lanes || c->part.n_outputs != part.n_outputs ||
        memcmp(c->part.boundary, part.boundary, sizeof(part.boundary)) != 0) {
        mbi_proof_plan_close(&c->plan);
        c->part = part;
        rc = plan_part(c, m, err);
    }
    return rc < 0 ? rc : mbi_proof_check(m, &c->plan, file, err);
}

int32_t mbi_proof_accept(struct mbi_proof_check *c, const mambaint_key *key,
                         const struct mbi_proof_file *file, mambaint_error *err)
{
    int32_t rc = check_claims(file, key, err);

    if (rc >= 0)
        rc = check_run(c, &key->models, file, err);
    return rc < 0 ? rc : MAMBAINT_ACCEPTED;
}

/* One proof, as it was read. */
static int32_t verify_one(const mambaint_key *key, const mambaint_statement *expected,
                          const struct mbi_proof_file *file, mambaint_error *err)
{
    struct mbi_proof_check check = {.plan = {.plan = NULL}};
    int32_t rc = check_claims(file, key, err);

    if (rc >= 0 && expected)
        rc = mbi_statement_same(file, mbi_statement_file(expected), err);
    if (rc >= 0)
        rc = check_run(&check, &key->models, file, err);
    mbi_proof_plan_close(&check.plan);
    return rc;
}

/* A series of proofs, which say together what one would. */
static int32_t verify_series(mambaint_statement **parsed, const mambaint_key *key,
                             const mambaint_statement *expected, const void *proof, size_t len,
                             mambaint_error *err)
{
    struct mbi_proof_file file;
    struct mbi_proof_count count;
    struct mbi_buf said;
    int32_t rc;

    mbi_buf_init(&said, &key->models.ctx->host);
    rc = mbi_proof_series(&said, &count, key, key->models.ctx, proof, len, err);
    if (rc >= 0)
        rc = mbi_proof_file_read(&file, said.data, said.size, err);
    if (rc >= 0 && expected)
        rc = mbi_statement_same(&file, mbi_statement_file(expected), err);
    if (rc >= 0 && parsed && (rc = mbi_statement_wrap(parsed, key->models.ctx, &file, err)) >= 0)
        (*parsed)->proofs = count;
    mbi_buf_free(&said);
    return rc < 0 ? rc : MAMBAINT_ACCEPTED;
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
    if (mbi_series_is(proof, len))
        return verify_series(parsed, key, expected, proof, len, err);
    if ((rc = mbi_proof_file_read(&file, proof, len, err)) < 0)
        return rc;
    if (key->n_stages)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the key is of a chain with a proof for each of its models; this is no "
                        "series of those");
    if ((rc = verify_one(key, expected, &file, err)) < 0)
        return rc;
    if (parsed && (rc = mbi_statement_wrap(parsed, key->models.ctx, &file, err)) < 0)
        return rc;
    return MAMBAINT_ACCEPTED;
}

/* ---- proofs of runs ---- */

static int32_t find_backend(const struct mbi_backend **out, const mambaint_options *options,
                            mambaint_error *err)
{
    return mbi_backend_find(out, mbi_option(options, "backend"), err);
}

static int32_t write_run(mambaint_proof *p, const struct mbi_proof_models *m,
                         const struct mbi_proof_plan *plan, const struct mbi_statement *s,
                         const struct chain_run *run, mambaint_error *err)
{
    int32_t rc;

    p->log2_trace = plan->plan->bits;
    p->level = plan->level;
    rc = mbi_proof_write(&p->file, m, plan, s, run->stage, err);
    return rc < 0 ? rc : mbi_prover_key_check(m, plan, &p->file, err);
}

/* From features. */
static int32_t prove_run(mambaint_proof *p, const struct mbi_proof_models *m, const int8_t *x,
                         const struct mbi_backend *backend, mambaint_error *err)
{
    struct chain_run run = {.kept = {{.graph = NULL}}};
    uint8_t *outputs = NULL;
    struct mbi_statement s;
    int32_t rc;

    if ((rc = run_models(&run, m, x, 1, backend, err)) >= 0 &&
        (rc = say_run(&s, &outputs, &run, m, err)) >= 0)
        rc = write_run(p, m, &m->features, &s, &run, err);
    mbi_free(&m->ctx->host, outputs);
    free_run(&run, m);
    return rc;
}

static int32_t prove_features(mambaint_proof *p, const struct mbi_proof_models *m,
                              const mambaint_options *options, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    const struct mbi_backend *backend;
    int32_t rc = find_backend(&backend, options, err);
    int8_t *x;

    if (rc < 0)
        return rc;
    if (mbi_option(options, "chunk-steps"))
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "option chunk-steps: the model takes features, and has one step");
    if (mbi_option(options, "prompt") || mbi_option(options, "ids"))
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "option %s: the model takes features, not text",
                        mbi_option(options, "prompt") ? "prompt" : "ids");
    if (!(x = mbi_alloc(host, m->graph[0]->node[0].type.cols, sizeof(*x))))
        return mbi_fail_memory(err, "features");
    if ((rc = mbi_chain_features(x, m->model[0], options, err)) >= 0)
        rc = prove_run(p, m, x, backend, err);
    mbi_free(host, x);
    return rc;
}

/* From a list of tokens, of which the last n_outputs are the answer. What cannot be planned is
 * refused before all values are computed. */
static int32_t prove_answer(mambaint_proof *p, const struct mbi_proof_models *m,
                            const struct mbi_buf *list, uint32_t n_outputs,
                            const struct mbi_backend *backend, mambaint_error *err)
{
    const int32_t *ids = (const int32_t *)(const void *)list->data;
    struct chain_run run = {.kept = {{.graph = NULL}}};
    struct mbi_proof_plan plan = {.plan = NULL};
    uint8_t *input = NULL;
    struct mbi_statement s;
    int32_t rc;

    if ((rc = say_answer(&s, &input, list, n_outputs, m, err)) >= 0 &&
        (rc = mbi_proof_plan_run(&plan, m, s.lanes, n_outputs, err)) >= 0 &&
        (rc = mbi_proof_plan_try(&plan, &m->ctx->host, err)) >= 0 &&
        (rc = run_models(&run, m, ids, s.lanes, backend, err)) >= 0 &&
        (rc = mbi_proof_answer_check(&run.kept[0], ids, s.lanes, n_outputs, err)) >= 0)
        rc = write_run(p, m, &plan, &s, &run, err);
    mbi_free(&m->ctx->host, input);
    free_run(&run, m);
    mbi_proof_plan_close(&plan);
    return rc;
}

/* One proof, or several if one may have fewer steps. */
static int32_t prove_list(mambaint_proof *p, const struct mbi_proof_models *m,
                          const struct mbi_buf *list, uint32_t n_outputs, uint32_t steps,
                          const struct mbi_backend *backend, mambaint_error *err)
{
    struct mbi_proof_made made = {.file = &p->file};
    int32_t rc;

    if (!steps || list->size / sizeof(int32_t) - 1 <= steps)
        return prove_answer(p, m, list, n_outputs, backend, err);
    rc = mbi_proof_write_series(&made, m, list, n_outputs, steps, backend, err);
    p->log2_trace = made.log2_trace;
    p->level = made.level;
    return rc;
}

static int32_t prove_text(mambaint_proof *p, const struct mbi_proof_models *m,
                          const mambaint_options *options, mambaint_error *err)
{
    const struct mbi_backend *backend;
    uint32_t n_outputs, steps, most;
    struct mbi_buf list;
    int32_t rc = find_backend(&backend, options, err);

    if (rc < 0 || (rc = mbi_proof_part_steps(&steps, m, options, err)) < 0)
        return rc;
    most = steps ? MBI_STATEMENT_STEPS : MBI_STATEMENT_LANES;
    mbi_buf_init(&list, &m->ctx->host);
    if ((rc = mbi_proof_answer(&list, &n_outputs, m->model[0], options, most, err)) >= 0)
        rc = prove_list(p, m, &list, n_outputs, steps, backend, err);
    mbi_buf_free(&list);
    return rc;
}

/* A proof of the API, empty; takes a reference of ctx. */
static mambaint_proof *new_proof(mambaint_context *ctx)
{
    mambaint_proof *p = mbi_alloc(&ctx->host, 1, sizeof(*p));

    if (p) {
        p->ctx = ctx;
        p->left = -1;
        mambaint_context_ref(ctx);
        mbi_buf_init(&p->file, &ctx->host);
    }
    return p;
}

/* How many proofs a key makes yet, by what its file says now: others may have made some at the same
 * time. The proof is there, and is none the worse if the file is not: then -1. */
static int64_t left_of(const char *prover_key, const struct mbi_host *host)
{
    struct mbi_prover_key_head head;
    struct mbi_map map;
    uint64_t left;
    bool said;

    if (mbi_map_open(&map, host, prover_key, NULL) < 0)
        return -1;
    said = mbi_prover_key_read(&head, map.data, map.size, NULL) >= 0 &&
           mbi_budget_left(&left, &head, map.data, map.size, NULL) >= 0;
    mbi_map_close(&map, host);
    return said ? (int64_t)left : -1;
}

/* Of a hidden proof; with several keys the fewest. */
static void say_left(mambaint_proof *p, const mambaint_options *options, size_t n)
{
    const struct mbi_host *host = &p->ctx->host;

    p->hidden = true;
    p->left = left_of(
        n > 1 ? mbi_option_at(options, "prover-key", 0) : mbi_option(options, "prover-key"), host);
    for (size_t i = 1; i < n; i++) {
        const int64_t left = left_of(mbi_option_at(options, "prover-key", i), host);

        p->left = left < p->left ? left : p->left;
    }
}

/* A proof for each model of a chain, or of one of them. */
static int32_t create_chain(mambaint_proof **out, mambaint_model *const *model, size_t n,
                            enum mbi_chain chain, const mambaint_options *options,
                            mambaint_error *err)
{
    struct mbi_proof_made made;
    bool zk = false;
    int32_t rc = mbi_chain_check(model, n, err);

    if (rc < 0)
        return rc;
    if (!(*out = new_proof(model[0]->ctx)))
        return mbi_fail_memory(err, "a proof");
    made = (struct mbi_proof_made){.file = &(*out)->file};
    rc = mbi_proof_write_chain(&made, model, n, chain, options, err);
    (*out)->log2_trace = made.log2_trace;
    (*out)->level = made.level;
    if (rc >= 0 && mbi_option_bool(&zk, options, "zk", NULL) >= 0 && zk)
        say_left(*out, options, n);
    if (rc < 0) {
        mambaint_proof_free(*out);
        *out = NULL;
    }
    return rc;
}

int32_t mambaint_proof_create(mambaint_proof **out, mambaint_model *const *model, size_t n_models,
                              const mambaint_options *options, mambaint_error *err)
{
    enum mbi_chain chain;
    struct mbi_proof_models m = {.prover_key = mbi_option(options, "prover-key")};
    mambaint_proof *p = NULL;
    int32_t rc;

    if (!out)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out must not be NULL");
    *out = NULL;
    if ((rc = mbi_proof_chain(&chain, options, err)) < 0)
        return rc;
    if (model && n_models > (chain == MBI_CHAIN_LINKED) && chain != MBI_CHAIN_MERGED)
        return create_chain(out, model, n_models, chain, options, err);
    if ((rc = mbi_proof_models_open(&m, model, n_models, options, err)) >= 0) {
        p = new_proof(m.ctx);
        rc = !p               ? mbi_fail_memory(err, "a proof")
             : m.takes_tokens ? prove_text(p, &m, options, err)
                              : prove_features(p, &m, options, err);
    }
    if (rc >= 0 && mbi_statement_is_hidden(&m.said))
        say_left(p, options, 1);
    mbi_prover_key_close(&m);
    mbi_proof_models_close(&m);
    if (rc < 0) {
        mambaint_proof_free(p);
        return rc;
    }
    *out = p;
    return MAMBAINT_OK;
}

/* The series of some proofs, of which it is seen here that they follow each other. */
static int32_t join_proofs(struct mbi_buf *out, const struct mbi_host *host,
                           const void *const *proof, const size_t *size, size_t n,
                           mambaint_error *err)
{
    struct mbi_proof_file file;
    struct mbi_joined j;
    struct mbi_buf said;
    int32_t rc = MAMBAINT_OK;

    mbi_joined_init(&j, host);
    mbi_buf_init(&said, host);
    mbi_series_begin(out, (uint32_t)n);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = mbi_proof_file_read(&file, proof[i], size[i], err);
        if (rc >= 0 && !file.body_size)
            rc = mbi_fail(err, MAMBAINT_E_FORMAT, "proof %zu is a statement alone", i + 1);
        if (rc >= 0)
            rc = mbi_joined_add(&j, &file, err);
        mbi_series_add(out, proof[i], size[i]);
    }
    mbi_series_end(out);
    if (rc >= 0)
        rc = mbi_joined_end(&said, &j, err);
    mbi_buf_free(&said);
    mbi_joined_free(&j);
    return rc >= 0 && out->failed ? mbi_fail_memory(err, "a proof") : rc;
}

int32_t mambaint_proof_join(mambaint_proof **out, mambaint_context *ctx, const void *const *proof,
                            const size_t *size, size_t n_proofs, mambaint_error *err)
{
    mambaint_context *own;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !proof || !size || !n_proofs)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out must not be NULL, and there must be a proof");
    for (size_t i = 0; i < n_proofs; i++)
        if (!proof[i])
            return mbi_fail(err, MAMBAINT_E_INVALID, "proof %zu is NULL", i + 1);
    if (n_proofs > MBI_SERIES_PROOFS)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%zu proofs; a series has at most %u", n_proofs,
                        MBI_SERIES_PROOFS);
    if ((rc = mbi_context_take(&own, ctx, NULL, err)) < 0)
        return rc;
    if (!(*out = new_proof(own)))
        rc = mbi_fail_memory(err, "a proof");
    else if ((rc = join_proofs(&(*out)->file, &own->host, proof, size, n_proofs, err)) < 0) {
        mambaint_proof_free(*out);
        *out = NULL;
    }
    mambaint_context_unref(own);
    return rc;
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
    else if (mbi_key_equal(key, "zk"))
        *value = proof->hidden;
    else if (mbi_key_equal(key, "proofs-left"))
        *value = proof->left;
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

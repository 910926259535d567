/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of models that take features, with a proof for each: what one hands on is under a root. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/chain.h"
#include "api/options.h"
#include "base/intmath.h"

int32_t mbi_proof_chain(enum mbi_chain *chain, const mambaint_options *options, mambaint_error *err)
{
    static const char *const name[] = {"merged", "linked", "first", "middle", "last"};
    const char *text = mbi_option(options, "chain");

    *chain = MBI_CHAIN_MERGED;
    for (size_t i = 0; text && i < MBI_COUNT(name); i++)
        if (!strcmp(text, name[i])) {
            *chain = (enum mbi_chain)i;
            return MAMBAINT_OK;
        }
    if (text)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option chain: '%.40s' is none of merged, linked, first, middle and last",
                        text);
    return MAMBAINT_OK;
}

/* One model of a chain, its proof, and what that is made from. */
struct link {
    size_t number;
    struct mbi_proof_models m;
    struct mbi_proof_plan plan;
    struct mbi_kept_run run;
    uint8_t *outputs; /* of the last one, little end first */
    struct mbi_boundaries b;
    struct mbi_proof_draft draft;
};

struct chain {
    struct mbi_proof_made *made;
    mambaint_model *const *model;
    size_t n;
    bool linked;         /* all of it, else one model ... */
    bool before, behind; /* ... out of a longer one */
    const mambaint_options *options;
    const struct mbi_backend *backend;
    int8_t *x; /* what the next model takes */
};

static bool begins(const struct chain *c, const struct link *l) { return !l->number && !c->before; }

static bool ends(const struct chain *c, const struct link *l)
{
    return l->number + 1 == c->n && !c->behind;
}

/* There is nothing in it, if it was closed before. */
static void close_link(struct link *l)
{
    mbi_proof_draft_close(&l->draft);
    mbi_kept_run_close(&l->run);
    mbi_boundaries_free(&l->b);
    if (l->m.ctx) {
        mbi_free(&l->m.ctx->host, l->outputs);
        mbi_proof_plan_close(&l->plan);
    }
    mbi_prover_key_close(&l->m);
    mbi_proof_models_close(&l->m);
    *l = (struct link){.number = 0};
}

/* What the model computes, and in x what it hands on. */
static int32_t run_link(struct link *l, struct chain *c, mambaint_error *err)
{
    const struct mbi_graph *g = l->m.graph[0];
    int32_t rc = mbi_kept_run_make(&l->run, c->model[l->number], c->x, 1, c->backend, err);

    if (rc >= 0 && l->number + 1 < c->n)
        memcpy(c->x, l->run.value[g->link], g->node[g->link].type.cols);
    return rc;
}

/* `input` and `output` become views of the run and of l->outputs; roots come later. */
static int32_t say_link(struct mbi_statement *s, struct link *l, const struct chain *c,
                        mambaint_error *err)
{
    const struct mbi_graph *g = l->m.graph[0];
    const bool last = ends(c, l);
    const struct mbi_type *out = &g->node[last ? g->logits : g->link].type;

    *s = (struct mbi_statement){.models = l->m.said,
                                .lanes = 1,
                                .input_kind =
                                    begins(c, l) ? MBI_STATEMENT_CLEAR : MBI_STATEMENT_LINKED,
                                .output_kind = last ? MBI_STATEMENT_CLEAR : MBI_STATEMENT_LINKED,
                                .n_inputs = g->node[0].type.cols,
                                .n_outputs = out->cols,
                                .input = l->run.value[0]};
    if (!last)
        return mbi_statement_check(s, l->m.graph, err);
    if (out->dtype != MBI_I32)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "this cannot be proved yet: the outputs are not of 32 bits");
    if (!(l->outputs = mbi_alloc(&l->m.ctx->host, out->cols, sizeof(int32_t))))
        return mbi_fail_memory(err, "the statement of a proof");
    mbi_copy_le(l->outputs, l->run.value[g->logits], out->cols, sizeof(int32_t));
    s->output = l->outputs;
    return mbi_statement_check(s, l->m.graph, err);
}

/* A model, from what the one before it hands on; NULL: from features. */
static int32_t begin_link(struct link *l, struct chain *c, size_t number,
                          struct mbi_boundaries *from, mambaint_error *err)
{
    struct mbi_proof_part part = {.lanes = 1};
    struct mbi_statement s;
    int32_t rc;

    *l = (struct link){.number = number};
    l->m.prover_key = c->linked ? mbi_option_at(c->options, "prover-key", number)
                                : mbi_option(c->options, "prover-key");
    part.boundary[MBI_BEFORE] = !begins(c, l);
    part.boundary[MBI_BEHIND] = !ends(c, l);
    if ((rc = mbi_proof_models_open(&l->m, c->model + number, 1, c->options, err)) < 0)
        return rc;
    if (from)
        mbi_boundaries_hand_on(&l->b, from);
    if ((rc = mbi_proof_plan_part(&l->plan, &l->m, &part, err)) < 0 ||
        (rc = mbi_proof_plan_try(&l->plan, &l->m.ctx->host, err)) < 0 ||
        (rc = run_link(l, c, err)) < 0 || (rc = say_link(&s, l, c, err)) < 0)
        return rc;
    return mbi_proof_begin(&l->draft, &l->m, &l->plan, &s, &l->run.stage, &l->b, err);
}

static int32_t end_link(struct link *l, struct mbi_buf *file, struct mbi_proof_made *made,
                        mambaint_error *err)
{
    int32_t rc;

    if ((rc = mbi_proof_end(file, &l->draft, err)) < 0 ||
        (rc = mbi_prover_key_check(&l->m, &l->plan, file, err)) < 0)
        return rc;
    made->log2_trace = (unsigned)mbi_max_size(made->log2_trace, l->plan.plan->bits);
    made->level = l->number ? (unsigned)mbi_min_size(made->level, l->plan.level) : l->plan.level;
    return rc;
}

/* The proof of a model, and the beginning of the next one. Hidden proofs name each other, so that
 * it is begun before this one is ended; else this one is gone by then, but for what it hands on. */
static int32_t step(struct link *l, struct link *next, struct chain *c, struct mbi_buf *file,
                    mambaint_error *err)
{
    const bool more = l->number + 1 < c->n, hidden = mbi_statement_is_hidden(&l->m.said);
    const size_t number = l->number + 1;
    struct mbi_boundaries kept;
    int32_t rc = MAMBAINT_OK;

    if (more && hidden && (rc = begin_link(next, c, number, &l->b, err)) >= 0)
        rc = mbi_proof_link(&l->draft, &next->draft, err);
    if (rc < 0 || (rc = end_link(l, file, c->made, err)) < 0 || !more || hidden)
        return rc;
    kept = l->b;
    l->b = (struct mbi_boundaries){.vector = {NULL}};
    close_link(l);
    rc = begin_link(next, c, number, &kept, err);
    mbi_boundaries_free(&kept);
    return rc;
}

static int32_t prove_links(struct chain *c, const struct mbi_host *host, mambaint_error *err)
{
    struct link link[2] = {{.number = 0}};
    int32_t rc = begin_link(&link[0], c, 0, NULL, err);

    mbi_series_begin(c->made->file, (uint32_t)c->n);
    for (size_t i = 0; i < c->n && rc >= 0; i++) {
        struct mbi_buf file;

        mbi_buf_init(&file, host);
        if ((rc = step(&link[i & 1], &link[~i & 1], c, &file, err)) >= 0) {
            mbi_series_add(c->made->file, file.data, file.size);
            mbi_progress(host, "chain", i + 1, c->n);
        }
        mbi_buf_free(&file);
        close_link(&link[i & 1]);
    }
    close_link(&link[0]);
    close_link(&link[1]);
    mbi_series_end(c->made->file);
    return rc >= 0 && c->made->file->failed ? mbi_fail_memory(err, "a proof") : rc;
}

/* One model of a chain whose others are proved elsewhere: its proof alone. */
static int32_t prove_link(struct chain *c, mambaint_error *err)
{
    struct link link;
    int32_t rc = begin_link(&link, c, 0, NULL, err);

    if (rc >= 0)
        rc = end_link(&link, c->made->file, c->made, err);
    close_link(&link);
    return rc;
}

/* Room for what any of the models takes. */
static int8_t *new_features(mambaint_model *const *model, size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = mbi_max_size(most, model[i]->model->graph->node[0].type.cols);
    return mbi_alloc(&model[0]->ctx->host, most, sizeof(int8_t));
}

int32_t mbi_proof_chain_keys(const mambaint_options *options, size_t n, mambaint_error *err)
{
    size_t keys = 0;

    while (mbi_option_at(options, "prover-key", keys))
        keys++;
    if (!keys || keys == n)
        return MAMBAINT_OK;
    return mbi_fail(
        err, MAMBAINT_E_MISMATCH,
        "option prover-key: %zu of them, but %zu models are proved one by one; it takes "
        "one of each, in their order",
        keys, n);
}

static const char *foreign_option(const mambaint_options *options)
{
    static const char *const key[] = {"chunk-steps", "prompt", "ids"};

    for (size_t i = 0; i < MBI_COUNT(key); i++)
        if (mbi_option(options, key[i]))
            return key[i];
    return NULL;
}

int32_t mbi_proof_write_chain(struct mbi_proof_made *made, mambaint_model *const *model, size_t n,
                              enum mbi_chain chain, const mambaint_options *options,
                              mambaint_error *err)
{
    const struct mbi_host *host = &model[0]->ctx->host;
    const char *foreign = foreign_option(options);
    struct chain c = {.made = made,
                      .model = model,
                      .n = n,
                      .linked = chain == MBI_CHAIN_LINKED,
                      .before = chain == MBI_CHAIN_MIDDLE || chain == MBI_CHAIN_LAST,
                      .behind = chain == MBI_CHAIN_MIDDLE || chain == MBI_CHAIN_FIRST,
                      .options = options};
    bool zk = false;
    int32_t rc = mbi_option_bool(&zk, options, "zk", err);

    if (rc < 0)
        return rc;
    if (zk && chain != MBI_CHAIN_LINKED)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "option chain: hidden proofs of a chain name each other, so that they are "
                        "made together: '%s' is not for them, but linked is",
                        mbi_option(options, "chain"));
    if (foreign)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "option %s: a linked chain is of models that take features, and of several "
                        "proofs",
                        foreign);
    if (n > MBI_PLAN_STAGES)
        return mbi_fail(err, MAMBAINT_E_RANGE, "%zu models; a chain is of at most %d", n,
                        MBI_PLAN_STAGES);
    if (chain != MBI_CHAIN_LINKED && n > 1)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "option chain: '%s' is for one model of a chain, not for %zu",
                        mbi_option(options, "chain"), n);
    if ((c.linked && (rc = mbi_proof_chain_keys(options, n, err)) < 0) ||
        (rc = mbi_backend_find(&c.backend, mbi_option(options, "backend"), err)) < 0)
        return rc;
    if (!(c.x = new_features(model, n)))
        return mbi_fail_memory(err, "features");
    if ((rc = mbi_chain_features(c.x, model[0], options, err)) >= 0)
        rc = chain == MBI_CHAIN_LINKED ? prove_links(&c, host, err) : prove_link(&c, err);
    mbi_free(host, c.x);
    return rc;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A long run in parts: a proof for each, one behind the other, with the memory of one, or of two
 * that are hidden. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/options.h"
#include "base/intmath.h"
#include "proof/boundary.h"

int32_t mbi_proof_part_steps(uint32_t *steps, const struct mbi_proof_models *m,
                             const mambaint_options *options, mambaint_error *err)
{
    const uint32_t chunk = mbi_boundary_chunk(m->graph[0]);
    int32_t rc;

    *steps = 0;
    if (!mbi_option(options, "chunk-steps"))
        return MAMBAINT_OK;
    if ((rc = mbi_option_u32(steps, options, "chunk-steps", 1, MBI_STATEMENT_LANES, err)) < 0)
        return rc;
    if (*steps % chunk)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "option chunk-steps: %u is no multiple of %u, the steps between which this "
                        "model rounds its memory",
                        *steps, chunk);
    return MAMBAINT_OK;
}

/* ---- making them ---- */

struct series {
    struct mbi_proof_made *made;
    const struct mbi_proof_models *m;
    const int32_t *ids; /* total + 1 */
    uint32_t total, n_outputs, steps;
    struct mbi_stage stage;
};

/* One of its proofs, from where it begins. */
struct part {
    uint32_t at, end;
    struct mbi_proof_plan plan;
    struct mbi_boundaries b;
    struct mbi_proof_draft draft;
    uint8_t *input;
};

static void close_part(struct part *p, const struct mbi_host *host)
{
    mbi_proof_draft_close(&p->draft);
    mbi_boundaries_free(&p->b);
    mbi_proof_plan_close(&p->plan);
    mbi_free(host, p->input);
    *p = (struct part){.at = 0};
}

/* Whether a part begins and ends within the run, and which of its tokens answer. */
static struct mbi_proof_part size_of(const struct series *s, const struct part *p)
{
    const uint32_t first = s->total - s->n_outputs;
    const uint32_t from = first > p->at ? first : p->at;

    return (struct mbi_proof_part){.lanes = p->end - p->at,
                                   .n_outputs = p->end > first ? p->end - from : 0,
                                   .boundary = {p->at > 0, p->end < s->total}};
}

static struct mbi_statement say_part(const struct series *s, const struct part *p,
                                     const struct mbi_proof_part *size)
{
    return (struct mbi_statement){.models = s->m->said,
                                  .t0 = p->at,
                                  .lanes = size->lanes,
                                  .input_kind = MBI_STATEMENT_TOKENS,
                                  .output_kind = MBI_STATEMENT_TOKENS,
                                  .n_inputs = size->lanes + 1,
                                  .n_outputs = size->n_outputs,
                                  .input = p->input};
}

/* Its steps, and what the proof commits to. */
static int32_t run_part(struct series *s, struct part *p, mambaint_error *err)
{
    const struct mbi_proof_part size = size_of(s, p);
    const struct mbi_statement said = say_part(s, p, &size);
    const int32_t *ids = s->ids + p->at;
    struct mbi_kept_run run = {.graph = NULL};
    int32_t rc;

    if ((rc = mbi_statement_check(&said, s->m->graph, err)) >= 0 &&
        (rc = mbi_proof_plan_part(&p->plan, s->m, &size, err)) >= 0 &&
        (rc = mbi_kept_run_part(&run, s->m->model[0], ids, p->at, size.lanes, &s->stage, err)) >=
            0 &&
        (rc = mbi_proof_answer_check(&run, ids, size.lanes, size.n_outputs, err)) >= 0)
        rc = mbi_proof_begin(&p->draft, s->m, &p->plan, &said, &run.stage, &p->b, err);
    mbi_kept_run_close(&run);
    return rc;
}

/* The part behind another one, whose memory it takes; NULL: the first. */
static int32_t begin_part(struct series *s, struct part *p, struct part *last, mambaint_error *err)
{
    size_t n;

    *p = (struct part){.at = last ? last->end : 0};
    p->end = p->at + (uint32_t)mbi_min_size(s->steps, s->total - p->at);
    if (last)
        mbi_boundaries_hand_on(&p->b, &last->b);
    n = (size_t)(p->end - p->at) + 1;
    if (!(p->input = mbi_alloc(&s->m->ctx->host, n, sizeof(*s->ids))))
        return mbi_fail_memory(err, "the statement of a proof");
    mbi_copy_le(p->input, s->ids + p->at, n, sizeof(*s->ids));
    return run_part(s, p, err);
}

/* Its proof, behind those before it. */
static int32_t end_part(struct series *s, struct part *p, mambaint_error *err)
{
    struct mbi_proof_made *made = s->made;
    struct mbi_buf file;
    int32_t rc;

    mbi_buf_init(&file, &s->m->ctx->host);
    if ((rc = mbi_proof_end(&file, &p->draft, err)) >= 0 &&
        (rc = mbi_prover_key_check(s->m, &p->plan, &file, err)) >= 0) {
        made->log2_trace = (unsigned)mbi_max_size(made->log2_trace, p->plan.plan->bits);
        made->level = p->at ? (unsigned)mbi_min_size(made->level, p->plan.level) : p->plan.level;
        mbi_series_add(made->file, file.data, file.size);
        mbi_progress(&s->m->ctx->host, "chunks", p->end, s->total);
    }
    mbi_buf_free(&file);
    return rc;
}

/* A hidden proof names the next one, which has to be begun before it is ended: then there are two
 * at a time. */
static int32_t step(struct series *s, struct part *p, struct part *next, mambaint_error *err)
{
    const bool more = p->end < s->total, hidden = mbi_statement_is_hidden(&s->m->said);
    int32_t rc = MAMBAINT_OK;

    if (more && hidden && (rc = begin_part(s, next, p, err)) >= 0)
        rc = mbi_proof_link(&p->draft, &next->draft, err);
    if (rc >= 0)
        rc = end_part(s, p, err);
    if (rc >= 0 && more && !hidden) {
        mbi_proof_draft_close(&p->draft);
        rc = begin_part(s, next, p, err);
    }
    return rc;
}

static int32_t prove_parts(struct series *s, mambaint_error *err)
{
    const struct mbi_host *host = &s->m->ctx->host;
    struct part part[2] = {{.at = 0}};
    int32_t rc = begin_part(s, &part[0], NULL, err);

    mbi_series_begin(s->made->file, (s->total - 1) / s->steps + 1);
    for (size_t i = 0; rc >= 0 && part[i & 1].end; i++) { /* there is none behind the last one */
        rc = step(s, &part[i & 1], &part[~i & 1], err);
        close_part(&part[i & 1], host);
    }
    close_part(&part[0], host);
    close_part(&part[1], host);
    mbi_series_end(s->made->file);
    return rc >= 0 && s->made->file->failed ? mbi_fail_memory(err, "a proof") : rc;
}

int32_t mbi_proof_write_series(struct mbi_proof_made *made, const struct mbi_proof_models *m,
                               const struct mbi_buf *list, uint32_t n_outputs, uint32_t steps,
                               const struct mbi_backend *backend, mambaint_error *err)
{
    struct series s = {.made = made,
                       .m = m,
                       .ids = (const int32_t *)(const void *)list->data,
                       .total = (uint32_t)(list->size / sizeof(int32_t)) - 1, /* at most 2^20 */
                       .n_outputs = n_outputs,
                       .steps = steps};
    int32_t rc = mbi_stage_open(&s.stage, m->model[0], backend,
                                mbi_min_size(steps, MBI_KEPT_AT_ONCE), true, err);

    if (rc >= 0)
        rc = prove_parts(&s, err);
    mbi_stage_close(&s.stage);
    return rc;
}

/* ---- checking them ---- */

/* One proof of a series: with a key whether it is right, else whether a model can be what it says.
 */
static int32_t check_one(struct mbi_proof_check *c, const mambaint_key *key, mambaint_context *ctx,
                         const struct mbi_proof_file *file, uint32_t number, mambaint_error *err)
{
    mambaint_error why = {0, ""};
    const int32_t rc = key ? mbi_proof_accept(c, key, file, &why)
                           : mbi_proof_check_statement(&file->statement, &ctx->host, &why);

    return rc < 0 ? mbi_fail(err, rc, "series: proof %u: %.200s", number, why.message) : rc;
}

/* The key that the proof that was joined last is checked with, *of; NULL: with none. */
static int32_t find_key(const mambaint_key **of, const struct mbi_joined *j,
                        const mambaint_key *key, mambaint_error *err)
{
    *of = key;
    if (!key || j->chain == (key->n_stages > 0)) {
        if (!key || !j->chain)
            return MAMBAINT_OK;
        if (j->n > key->n_stages)
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "series: it has more proofs than the chain of the key has keys, %zu",
                            key->n_stages);
        *of = key->stage[j->n - 1];
        return MAMBAINT_OK;
    }
    return mbi_fail(err, MAMBAINT_E_MISMATCH,
                    j->chain ? "series: each of its proofs is of other models of a chain, but the "
                               "key is for one proof; it takes a key of each"
                             : "series: it is of a run on tokens, but the key is of a chain");
}

static int32_t check_all(struct mbi_joined *j, struct mbi_series *left, const mambaint_key *key,
                         mambaint_context *ctx, mambaint_error *err)
{
    struct mbi_proof_check check = {.plan = {.plan = NULL}};
    struct mbi_proof_file file;
    const mambaint_key *of;
    int32_t rc;

    while ((rc = mbi_series_next(&file, left, err)) == MAMBAINT_OK) {
        if ((rc = mbi_joined_add(j, &file, err)) < 0 || (rc = find_key(&of, j, key, err)) < 0 ||
            (rc = check_one(&check, of, ctx, &file, j->n, err)) < 0)
            break;
        if (j->chain) /* the next one is of other models */
            mbi_proof_plan_close(&check.plan);
    }
    mbi_proof_plan_close(&check.plan);
    return rc == MAMBAINT_END ? MAMBAINT_OK : rc;
}

int32_t mbi_proof_series(struct mbi_buf *out, struct mbi_proof_count *count,
                         const mambaint_key *key, mambaint_context *ctx, const void *data,
                         size_t size, mambaint_error *err)
{
    struct mbi_series left;
    struct mbi_joined j;
    int32_t rc = mbi_series_read(&left, data, size, err);

    if (rc < 0)
        return rc;
    mbi_joined_init(&j, &ctx->host);
    if ((rc = check_all(&j, &left, key, ctx, err)) >= 0)
        rc = mbi_joined_end(out, &j, err);
    if (rc >= 0 && key && key->n_stages > j.n)
        rc = mbi_fail(err, MAMBAINT_E_MISMATCH,
                      "series: it has %u proofs, but the chain of the key has %zu keys", j.n,
                      key->n_stages);
    count->n = j.n;
    memcpy(count->size, j.size, sizeof(count->size));
    mbi_joined_free(&j);
    return rc;
}
#endif

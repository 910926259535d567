/* SPDX-License-Identifier: Apache-2.0 */
/* A long run in parts: a proof for each, one behind the other, with the memory of one. */
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
    uint32_t at; /* steps that are done */
    struct mbi_stage stage;
    struct mbi_boundaries b;
};

/* The next part: whether it begins and ends within the run, and which of its tokens answer. */
static struct mbi_proof_part next_part(const struct series *s)
{
    const uint32_t lanes = (uint32_t)mbi_min_size(s->steps, s->total - s->at);
    const uint32_t end = s->at + lanes, first = s->total - s->n_outputs;

    return (struct mbi_proof_part){.lanes = lanes,
                                   .n_outputs =
                                       end > first ? end - (first > s->at ? first : s->at) : 0,
                                   .boundary = {s->at > 0, end < s->total}};
}

/* The memory that was handed on is that of the next part. */
static void hand_on(struct series *s, const struct mbi_host *host)
{
    struct mbi_boundaries next = {
        .vector = {s->b.vector[MBI_BEHIND]},
        .commitment = {s->b.commitment[MBI_BEHIND]},
    };

    s->b.vector[MBI_BEHIND] = NULL;
    s->b.commitment[MBI_BEHIND] = (struct mbi_commitment){.host = NULL};
    mbi_boundaries_free(&s->b, host);
    s->b = next;
}

static int32_t write_part(struct series *s, struct mbi_buf *file, const struct mbi_proof_part *part,
                          const struct mbi_kept_run *run, const uint8_t *ids, mambaint_error *err)
{
    const struct mbi_statement said = {.models = s->m->said,
                                       .t0 = s->at,
                                       .lanes = part->lanes,
                                       .input_kind = MBI_STATEMENT_TOKENS,
                                       .output_kind = MBI_STATEMENT_TOKENS,
                                       .n_inputs = part->lanes + 1,
                                       .n_outputs = part->n_outputs,
                                       .input = ids};
    struct mbi_proof_plan plan = {.plan = NULL};
    int32_t rc;

    if ((rc = mbi_statement_check(&said, s->m->graph, err)) >= 0 &&
        (rc = mbi_proof_plan_part(&plan, s->m, part, err)) >= 0)
        rc = mbi_proof_write(file, s->m, &plan, &said, &run->stage, &s->b, err);
    if (rc >= 0)
        rc = mbi_prover_key_check(s->m, &plan, file, err);
    if (rc >= 0) {
        struct mbi_proof_made *made = s->made;

        made->log2_trace = (unsigned)mbi_max_size(made->log2_trace, plan.plan->bits);
        made->level = s->at ? (unsigned)mbi_min_size(made->level, plan.level) : plan.level;
    }
    mbi_proof_plan_close(&plan, &s->m->ctx->host);
    return rc;
}

static int32_t prove_part(struct series *s, const struct mbi_proof_part *part, mambaint_error *err)
{
    const struct mbi_host *host = &s->m->ctx->host;
    const int32_t *ids = s->ids + s->at;
    struct mbi_kept_run run = {.graph = NULL};
    uint8_t *input = mbi_alloc(host, (size_t)part->lanes + 1, sizeof(*ids));
    struct mbi_buf file;
    int32_t rc;

    mbi_buf_init(&file, host);
    if (!input) {
        rc = mbi_fail_memory(err, "the statement of a proof");
    } else {
        mbi_copy_le(input, ids, (size_t)part->lanes + 1, sizeof(*ids));
        if ((rc = mbi_kept_run_part(&run, s->m->model[0], ids, s->at, part->lanes, &s->stage,
                                    err)) >= 0 &&
            (rc = mbi_proof_answer_check(&run, ids, part->lanes, part->n_outputs, err)) >= 0)
            rc = write_part(s, &file, part, &run, input, err);
    }
    if (rc >= 0)
        mbi_series_add(s->made->file, file.data, file.size);
    mbi_kept_run_close(&run);
    mbi_buf_free(&file);
    mbi_free(host, input);
    return rc;
}

static int32_t prove_parts(struct series *s, mambaint_error *err)
{
    const struct mbi_host *host = &s->m->ctx->host;
    int32_t rc = MAMBAINT_OK;

    mbi_series_begin(s->made->file, (s->total - 1) / s->steps + 1);
    while (s->at < s->total && rc >= 0) {
        const struct mbi_proof_part part = next_part(s);

        if ((rc = prove_part(s, &part, err)) < 0)
            break;
        s->at += part.lanes;
        hand_on(s, host);
        mbi_progress(host, "chunks", s->at, s->total);
    }
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
    mbi_boundaries_free(&s.b, &m->ctx->host);
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
            mbi_proof_plan_close(&check.plan, &ctx->host);
    }
    mbi_proof_plan_close(&check.plan, &ctx->host);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of proofs: read, saved, and told in words and as JSON. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/features.h"
#include "base/text.h"

/* ---- making one ---- */

const struct mbi_proof_file *mbi_statement_file(const mambaint_statement *s) { return &s->file; }

/* Where the points of the decimals stand. */
static int32_t read_types(mambaint_statement *s, mambaint_error *err)
{
    const struct mbi_statement *said = &s->file.statement;
    struct mbi_graph *first = NULL, *last = NULL;
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; i < said->models.n && rc >= 0; i++)
        rc = mbi_proof_config(&s->config[i], &said->models, i, err);
    if (rc >= 0 && (rc = mbi_proof_graph(&first, &s->ctx->host, &said->models, 0, err)) >= 0 &&
        (rc = mbi_proof_graph(&last, &s->ctx->host, &said->models, said->models.n - 1, err)) >= 0) {
        s->input_frac = first->node[0].type.frac;
        s->output_frac = last->node[last->logits].type.frac;
    }
    mbi_graph_free(first);
    mbi_graph_free(last);
    return rc;
}

static int32_t fill(mambaint_statement *s, const struct mbi_proof_file *file, mambaint_error *err)
{
    const int32_t rc = mbi_proof_check_statement(&file->statement, &s->ctx->host, err);

    if (rc < 0)
        return rc;
    mbi_buf_add(&s->saved, file->bound, file->bound_size);
    mbi_proof_file_end(&s->saved);
    if (s->saved.failed)
        return mbi_fail_memory(err, "a statement");
    if (mbi_proof_file_read(&s->file, s->saved.data, s->saved.size, err) < 0)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a statement does not read back");
    return read_types(s, err);
}

int32_t mbi_statement_wrap(mambaint_statement **out, mambaint_context *ctx,
                           const struct mbi_proof_file *file, mambaint_error *err)
{
    mambaint_statement *s = mbi_alloc(&ctx->host, 1, sizeof(*s));
    int32_t rc;

    if (!s)
        return mbi_fail_memory(err, "a statement");
    s->ctx = ctx;
    s->proofs.n = 1;
    mambaint_context_ref(ctx);
    mbi_buf_init(&s->saved, &ctx->host);
    if ((rc = fill(s, file, err)) < 0) {
        mambaint_statement_free(s);
        return rc;
    }
    *out = s;
    return MAMBAINT_OK;
}

/* What the proofs of a series say together. */
static int32_t read_series(mambaint_statement **out, mambaint_context *ctx, const void *buf,
                           size_t len, mambaint_error *err)
{
    struct mbi_proof_file file;
    struct mbi_buf said;
    struct mbi_proof_count count;
    int32_t rc;

    mbi_buf_init(&said, &ctx->host);
    if ((rc = mbi_proof_series(&said, &count, NULL, ctx, buf, len, err)) >= 0 &&
        (rc = mbi_proof_file_read(&file, said.data, said.size, err)) >= 0 &&
        (rc = mbi_statement_wrap(out, ctx, &file, err)) >= 0)
        (*out)->proofs = count;
    mbi_buf_free(&said);
    return rc;
}

int32_t mambaint_statement_read(mambaint_statement **out, mambaint_context *ctx, const void *buf,
                                size_t len, mambaint_error *err)
{
    struct mbi_proof_file file;
    mambaint_context *own;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !buf)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and buf must not be NULL");
    if ((rc = mbi_context_take(&own, ctx, NULL, err)) < 0)
        return rc;
    if (mbi_series_is(buf, len))
        rc = read_series(out, own, buf, len, err);
    else if ((rc = mbi_proof_file_read(&file, buf, len, err)) >= 0)
        rc = mbi_statement_wrap(out, own, &file, err);
    mambaint_context_unref(own);
    return rc;
}

void mambaint_statement_free(mambaint_statement *statement)
{
    mambaint_context *ctx;

    if (!statement)
        return;
    ctx = statement->ctx;
    mbi_buf_free(&statement->saved);
    mbi_free(&ctx->host, statement);
    mambaint_context_unref(ctx);
}

int32_t mambaint_statement_save(void *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement)
{
    if (!statement || (!buf && cap))
        return MAMBAINT_E_INVALID;
    return mbi_give_bytes(buf, cap, need, statement->saved.data, statement->saved.size);
}

/* ---- its tokens ---- */

bool mbi_statement_fits(const mambaint_statement *s, const struct mbi_tokenizer *t)
{
    const struct mbi_config *c = &s->config[0];

    return mbi_arch_has_vocab(c->arch) && c->v[c->arch->vocab_field] == mbi_tokenizer_vocab(t);
}

int32_t mambaint_statement_ids(int32_t *ids, size_t cap, size_t *need, size_t *n_answer,
                               const mambaint_statement *statement)
{
    const struct mbi_statement *said;
    size_t n;

    if (!statement || (!ids && cap))
        return MAMBAINT_E_INVALID;
    said = &statement->file.statement;
    n = mbi_statement_is_of_tokens(said) ? said->n_inputs : 0;
    if (need)
        *need = n;
    if (n_answer)
        *n_answer = n ? said->n_outputs : 0;
    if (n > cap)
        return MAMBAINT_E_SPACE;
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)mbi_statement_id(said, i); /* below the vocabulary */
    return MAMBAINT_OK;
}

/* ---- against what somebody expects ---- */

int32_t mambaint_statement_match(const mambaint_statement *statement, const char *features,
                                 mambaint_error *err)
{
    const struct mbi_statement *said;
    int8_t *x;
    int32_t rc;

    if (!statement || !features)
        return mbi_fail(err, MAMBAINT_E_INVALID, "statement and features must not be NULL");
    said = &statement->file.statement;
    if (said->input_kind != MBI_STATEMENT_CLEAR)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "%s has no features",
                        said->input_kind == MBI_STATEMENT_LINKED ? "a later part of a chain"
                        : said->lanes                            ? "a proof of tokens"
                                                                 : "a certificate");
    if (!(x = mbi_alloc(&statement->ctx->host, said->n_inputs, sizeof(*x))))
        return mbi_fail_memory(err, "features");
    rc = mbi_features_read(x, said->n_inputs, features, err);
    for (size_t i = 0; i < said->n_inputs && rc >= 0; i++)
        if (x[i] != mbi_statement_feature(statement, i))
            rc = mbi_fail(err, MAMBAINT_E_MISMATCH,
                          "feature %zu of the proof is %d/32, but %d/32 is expected", i + 1,
                          mbi_statement_feature(statement, i), x[i]);
    mbi_free(&statement->ctx->host, x);
    return rc;
}

/* Ids [begin, begin + n) of a statement against those of `want`. */
static int32_t match_part(const mambaint_statement *s, const char *what, size_t begin, size_t n,
                          const int32_t *want, size_t n_want, mambaint_error *err)
{
    if (n != n_want)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "the %s of the proof has %zu tokens, not %zu",
                        what, n, n_want);
    for (size_t i = 0; i < n; i++) {
        const int64_t id = mbi_statement_id(&s->file.statement, begin + i);

        if (id != want[i])
            return mbi_fail(err, MAMBAINT_E_MISMATCH,
                            "token %zu of the %s of the proof is %lld, but %d is expected", i + 1,
                            what, (long long)id, want[i]);
    }
    return MAMBAINT_OK;
}

/* `compares`: a prompt or an answer, which has to have begun with nothing in memory. */
static int32_t needs_tokens(const mambaint_statement *s, bool compares, mambaint_error *err)
{
    if (!s)
        return mbi_fail(err, MAMBAINT_E_INVALID, "statement must not be NULL");
    if (!mbi_statement_is_of_tokens(&s->file.statement))
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "the proof is not of tokens");
    if (compares && mbi_statement_is_rest(s))
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the proof is of the end of a run alone, from position %llu on: what was "
                        "said before is in others",
                        (unsigned long long)s->file.statement.t0);
    return MAMBAINT_OK;
}

int32_t mambaint_statement_match_ids(const mambaint_statement *statement, const int32_t *prompt,
                                     size_t n_prompt, const int32_t *answer, size_t n_answer,
                                     mambaint_error *err)
{
    int32_t rc = needs_tokens(statement, prompt || answer, err);
    size_t split;

    if (rc < 0)
        return rc;
    split = mbi_statement_prompt(statement);
    if (prompt)
        rc = match_part(statement, "prompt", 0, split, prompt, n_prompt, err);
    if (rc >= 0 && answer)
        rc = match_part(statement, "answer", split, statement->file.statement.n_outputs, answer,
                        n_answer, err);
    return rc;
}

/* A prompt as mambaint_proof_create() makes ids of it. */
static int32_t match_prompt(const mambaint_statement *s, const struct mbi_tokenizer *t,
                            const char *prompt, size_t len, mambaint_error *err)
{
    const int32_t eot = mbi_tokenizer_eot(t);
    struct mbi_buf ids;
    int32_t rc;

    mbi_buf_init(&ids, &s->ctx->host);
    mbi_buf_add(&ids, &eot, sizeof(eot));
    rc = mbi_tokenizer_encode(&ids, t, prompt, len, 0, err);
    if (rc >= 0 && ids.failed)
        rc = mbi_fail_memory(err, "the tokens of a prompt");
    if (rc >= 0)
        rc = match_part(s, "prompt", 0, mbi_statement_prompt(s),
                        (const int32_t *)(const void *)ids.data, ids.size / sizeof(int32_t), err);
    mbi_buf_free(&ids);
    return rc;
}

/* The bytes that the answer stands for. */
static int32_t match_answer(const mambaint_statement *s, const struct mbi_tokenizer *t,
                            const char *text, size_t len, mambaint_error *err)
{
    const struct mbi_statement *said = &s->file.statement;
    int32_t rc = MAMBAINT_OK;
    struct mbi_buf got;
    size_t same = 0;

    mbi_buf_init(&got, &s->ctx->host);
    for (size_t i = mbi_statement_prompt(s); i < said->n_inputs && rc >= 0; i++) {
        const int32_t id = (int32_t)mbi_statement_id(said, i);

        rc = mbi_tokenizer_decode(&got, t, &id, 1, err);
    }
    if (rc >= 0 && got.failed)
        rc = mbi_fail_memory(err, "the text of an answer");
    while (rc >= 0 && same < got.size && same < len && got.data[same] == (uint8_t)text[same])
        same++;
    if (rc >= 0 && (same < got.size || same < len))
        rc = mbi_fail(err, MAMBAINT_E_MISMATCH,
                      "the answer of the proof is another text than the expected one: it has %zu "
                      "bytes, not %zu, and they are equal up to byte %zu",
                      got.size, len, same);
    mbi_buf_free(&got);
    return rc;
}

int32_t mambaint_statement_match_text(const mambaint_statement *statement,
                                      const mambaint_tokenizer *tokenizer, const char *prompt,
                                      size_t n_prompt, const char *answer, size_t n_answer,
                                      mambaint_error *err)
{
    int32_t rc = needs_tokens(statement, prompt || answer, err);

    if (rc < 0)
        return rc;
    if (!tokenizer)
        return mbi_fail(err, MAMBAINT_E_INVALID, "tokenizer must not be NULL");
    if (!mbi_statement_fits(statement, tokenizer->tokenizer))
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the tokenizer has %u tokens, but the model of the proof has %u",
                        mbi_tokenizer_vocab(tokenizer->tokenizer),
                        statement->config[0].v[statement->config[0].arch->vocab_field]);
    if (prompt)
        rc = match_prompt(statement, tokenizer->tokenizer, prompt, n_prompt, err);
    if (rc >= 0 && answer)
        rc = match_answer(statement, tokenizer->tokenizer, answer, n_answer, err);
    return rc;
}
#endif

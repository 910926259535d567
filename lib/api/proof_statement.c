/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of proofs: read, saved, and told in words and as JSON. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/features.h"
#include "base/text.h"

struct mambaint_statement {
    mambaint_context *ctx;
    struct mbi_buf saved; /* a proof file with an empty body */
    struct mbi_proof_file file;
    struct mbi_config config[MBI_STATEMENT_MODELS];
    int32_t input_frac, output_frac;
};

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
    mambaint_context_ref(ctx);
    mbi_buf_init(&s->saved, &ctx->host);
    if ((rc = fill(s, file, err)) < 0) {
        mambaint_statement_free(s);
        return rc;
    }
    *out = s;
    return MAMBAINT_OK;
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
    if ((rc = mbi_proof_file_read(&file, buf, len, err)) >= 0)
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

/* ---- what it says ---- */

static bool is_run(const mambaint_statement *s) { return s->file.type == MBI_PROOF_RUN; }

static int8_t feature(const mambaint_statement *s, size_t i)
{
    return (int8_t)s->file.statement.input[i];
}

/* The first of the largest outputs. */
static size_t largest(const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;
    size_t best = 0;

    for (size_t i = 1; i < said->n_outputs; i++)
        if (mbi_statement_output(said, i) > mbi_statement_output(said, best))
            best = i;
    return best;
}

/* ---- in words ---- */

/* v / 2^frac with all its digits, 0 <= frac <= 32. */
static void add_decimal(struct mbi_buf *out, int64_t v, int32_t frac)
{
    const uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v, one = (uint64_t)1 << frac;
    uint64_t rest = size & (one - 1);

    mbi_buf_addf(out, "%s%llu", v < 0 ? "-" : "", (unsigned long long)(size >> frac));
    if (rest)
        mbi_buf_add8(out, '.');
    for (; rest; rest &= one - 1) {
        rest *= 10; /* below 10 * 2^32 */
        mbi_buf_add8(out, (uint8_t)('0' + (rest >> frac)));
    }
}

static void add_hex(struct mbi_buf *out, const uint8_t digest[MBI_DIGEST_SIZE])
{
    char text[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(text, digest, MBI_DIGEST_SIZE);
    mbi_buf_add_text(out, text);
}

static void add_model_id(struct mbi_buf *out, const mambaint_statement *s)
{
    uint8_t id[MBI_DIGEST_SIZE];

    mbi_statement_model_id(id, &s->file.statement.models, s->file.public_weights);
    add_hex(out, id);
}

static void add_config_value(struct mbi_buf *out, const struct mbi_config_field *f, uint32_t v,
                             const char *quote)
{
    if (f->kind == MBI_CONFIG_NUMBER)
        mbi_buf_addf(out, "%u", v);
    else if (f->kind == MBI_CONFIG_BOOL)
        mbi_buf_add_text(out, *quote ? (v ? "true" : "false") : (v ? "on" : "off"));
    else
        mbi_buf_addf(out, "%s%s%s", quote, f->word[v - 1], quote);
}

static void say_models(struct mbi_buf *out, const mambaint_statement *s)
{
    const uint32_t n = s->file.statement.models.n;

    for (uint32_t i = 0; i < n; i++) {
        const struct mbi_config *c = &s->config[i];

        mbi_buf_addf(out, n > 1 ? "model %u: " : "model: ", i + 1);
        mbi_buf_add_text(out, c->arch->name);
        for (size_t k = 0; k < c->arch->n_fields; k++)
            if (c->arch->field[k].flag) {
                mbi_buf_addf(out, ", %s ", c->arch->field[k].flag);
                add_config_value(out, &c->arch->field[k], c->v[k], "");
            }
        mbi_buf_add8(out, '\n');
    }
    mbi_buf_add_text(out, "model id: ");
    add_model_id(out, s);
    mbi_buf_add_text(out, s->file.public_weights
                              ? "\nweights: public; whoever verifies has them\n"
                              : "\nweights: committed; the proof is about those that this id "
                                "stands for\n");
}

static void say_values(struct mbi_buf *out, const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;
    const size_t best = largest(s);

    mbi_buf_add_text(out, "features:");
    for (size_t i = 0; i < said->n_inputs; i++) {
        mbi_buf_add_text(out, i ? ", " : " ");
        add_decimal(out, feature(s, i), s->input_frac);
    }
    mbi_buf_add_text(out, "\noutputs:");
    for (size_t i = 0; i < said->n_outputs; i++) {
        mbi_buf_add_text(out, i ? ", " : " ");
        add_decimal(out, mbi_statement_output(said, i), s->output_frac);
        if (i == best)
            mbi_buf_add_text(out, " (largest)");
    }
    mbi_buf_addf(out, "\nlargest output: %zu (the first is 0)\n", best);
}

static int32_t add_words(struct mbi_buf *out, const mambaint_statement *s)
{
    const uint32_t n = s->file.statement.models.n;

    if (!is_run(s)) {
        mbi_buf_add_text(out, "All weights lie in the intervals that their models declare.\n");
        say_models(out, s);
        mbi_buf_add_text(out, "not shown: anything that was computed with them\n");
        return MAMBAINT_OK;
    }
    if (n > 1)
        mbi_buf_addf(out,
                     "A chain of %u models, run once on these features, gives these "
                     "outputs.\n",
                     n);
    else
        mbi_buf_add_text(out, "A model, run once on these features, gives these outputs.\n");
    say_models(out, s);
    say_values(out, s);
    mbi_buf_add_text(out, "not shown: who ran it and when, where the features come from, and "
                          "how good the model is\n");
    if (!s->file.public_weights)
        mbi_buf_add_text(out,
                         "not hidden: the weights; the proof is not zero-knowledge, and they can "
                         "be computed from it\n");
    return MAMBAINT_OK;
}

/* ---- as JSON ---- */

/* "key": with '_' for '-', as everywhere in the JSON of the tool. Keys are words of our own. */
static void add_key(struct mbi_buf *out, const char *key)
{
    mbi_buf_add8(out, '"');
    for (; *key; key++)
        mbi_buf_add8(out, (uint8_t)(*key == '-' ? '_' : *key));
    mbi_buf_add_text(out, "\": ");
}

static void add_json_model(struct mbi_buf *out, const mambaint_statement *s, size_t i)
{
    const struct mbi_config *c = &s->config[i];

    mbi_buf_addf(out, "%s{\"architecture\": \"%s\", \"graph_digest\": \"", i ? ", " : "",
                 c->arch->name);
    add_hex(out, s->file.statement.models.model[i].graph);
    mbi_buf_add8(out, '"');
    for (size_t k = 0; k < c->arch->n_fields; k++)
        if (c->arch->field[k].flag) {
            mbi_buf_add_text(out, ", ");
            add_key(out, c->arch->field[k].flag);
            add_config_value(out, &c->arch->field[k], c->v[k], "\"");
        }
    mbi_buf_add8(out, '}');
}

static int32_t add_json(struct mbi_buf *out, const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;

    mbi_buf_addf(out, "{\"type\": \"%s\", \"version\": %d, \"profile\": %d, \"weights\": \"%s\", ",
                 is_run(s) ? "run" : "certificate", MBI_PROOF_VERSION, MBI_PROOF_PROFILE,
                 s->file.public_weights ? "public" : "committed");
    mbi_buf_add_text(out, "\"model_id\": \"");
    add_model_id(out, s);
    mbi_buf_add_text(out, "\", \"weights_digest\": \"");
    add_hex(out, said->models.weights);
    mbi_buf_add_text(out, "\", \"models\": [");
    for (size_t i = 0; i < said->models.n; i++)
        add_json_model(out, s, i);
    mbi_buf_addf(out, "], \"tokens\": %u, \"features\": [", said->lanes);
    for (size_t i = 0; i < said->n_inputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", feature(s, i));
    mbi_buf_add_text(out, "], \"outputs\": [");
    for (size_t i = 0; i < said->n_outputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_statement_output(said, i));
    mbi_buf_addf(out, "], \"feature_frac\": %d, \"frac\": %d, \"argmax\": ", s->input_frac,
                 s->output_frac);
    if (is_run(s))
        mbi_buf_addf(out, "%zu}", largest(s));
    else
        mbi_buf_add_text(out, "null}");
    return MAMBAINT_OK;
}

int32_t mambaint_statement_text(char *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement, const char *key)
{
    struct mbi_buf text;
    int32_t rc = MAMBAINT_E_INVALID;

    if (!statement || !key)
        return MAMBAINT_E_INVALID;
    mbi_buf_init(&text, &statement->ctx->host);
    if (mbi_key_equal(key, "text"))
        rc = add_words(&text, statement);
    else if (mbi_key_equal(key, "json"))
        rc = add_json(&text, statement);
    if (rc >= 0)
        rc = text.failed ? MAMBAINT_E_NO_MEMORY
                         : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
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
    if (!is_run(statement))
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "a certificate has no features");
    if (!(x = mbi_alloc(&statement->ctx->host, said->n_inputs, sizeof(*x))))
        return mbi_fail_memory(err, "features");
    rc = mbi_features_read(x, said->n_inputs, features, err);
    for (size_t i = 0; i < said->n_inputs && rc >= 0; i++)
        if (x[i] != feature(statement, i))
            rc = mbi_fail(err, MAMBAINT_E_MISMATCH,
                          "feature %zu of the proof is %d/32, but %d/32 is expected", i + 1,
                          feature(statement, i), x[i]);
    mbi_free(&statement->ctx->host, x);
    return rc;
}
#endif

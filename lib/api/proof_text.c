/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of proofs told in words and as JSON. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/text.h"
#include "base/utf8.h"

/* ---- what it says ---- */

static bool is_run(const mambaint_statement *s) { return s->file.type == MBI_PROOF_RUN; }

static bool is_of_tokens(const mambaint_statement *s)
{
    return mbi_statement_is_of_tokens(&s->file.statement);
}

/* The ids of a part of the list. */
struct span {
    size_t begin, end;
};

static struct span prompt_of(const mambaint_statement *s)
{
    return (struct span){0, mbi_statement_prompt(s)};
}

static struct span answer_of(const mambaint_statement *s)
{
    return (struct span){mbi_statement_prompt(s), s->file.statement.n_inputs};
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
        add_decimal(out, mbi_statement_feature(s, i), s->input_frac);
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

/* Of what a terminal or a reader could take for something else, its number: controls, what turns
 * the direction of writing, what cannot be seen. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
           c >= 0xe0000;
}

/* Text that can be read only as what it is. */
static void add_escaped(struct mbi_buf *out, const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const int len = mbi_utf8_decode(&c, text + i, n - i);

        if (len <= 0)
            mbi_buf_addf(out, "\\x%02x", text[i]);
        else if (c == '\n')
            mbi_buf_add_text(out, "\\n");
        else if (c == '"' || c == '\\')
            mbi_buf_addf(out, "\\%c", (char)c);
        else if (is_hidden(c))
            mbi_buf_addf(out, "\\u{%x}", c);
        else
            mbi_buf_add(out, text + i, (size_t)len);
        i += len > 0 ? (size_t)len : 1;
    }
}

static int32_t token_id(const mambaint_statement *s, size_t i)
{
    return (int32_t)mbi_statement_id(&s->file.statement, i); /* below the vocabulary */
}

/* Ordinary tokens from i on give their bytes; *i becomes the next special one, or the end. */
static void add_ordinary(struct mbi_buf *out, const mambaint_statement *s, size_t *i, size_t end,
                         const struct mbi_tokenizer *t)
{
    const char *text;
    size_t len;
    bool special;

    for (; *i < end; ++*i) {
        if (!mbi_tokenizer_token(&text, &len, &special, t, token_id(s, *i)) || special)
            return;
        mbi_buf_add(out, text, len);
    }
}

/* Text in quotes, special tokens by their spelling outside of them. */
static void say_text(struct mbi_buf *out, const mambaint_statement *s, struct span span,
                     const struct mbi_tokenizer *t)
{
    struct mbi_buf part;

    mbi_buf_init(&part, &s->ctx->host);
    for (size_t i = span.begin; i < span.end;) {
        const size_t before = i;
        const char *text = "";
        size_t len = 0;
        bool special;

        part.size = 0;
        add_ordinary(&part, s, &i, span.end, t);
        mbi_buf_add8(out, ' ');
        if (i > before) {
            mbi_buf_add8(out, '"');
            add_escaped(out, part.data, part.size);
            mbi_buf_add8(out, '"');
        } else if (mbi_tokenizer_token(&text, &len, &special, t, token_id(s, i++))) {
            add_escaped(out, (const uint8_t *)text, len);
        }
    }
    out->failed |= part.failed;
    mbi_buf_free(&part);
    mbi_buf_add8(out, '\n');
}

static void say_span(struct mbi_buf *out, const mambaint_statement *s, const char *what,
                     struct span span, const struct mbi_tokenizer *t)
{
    const size_t n = span.end - span.begin;

    mbi_buf_addf(out, "%s, %zu token%s:", what, n, n == 1 ? "" : "s");
    for (size_t i = span.begin; i < span.end; i++)
        mbi_buf_addf(out, " %d", token_id(s, i));
    mbi_buf_add8(out, '\n');
    if (t) {
        mbi_buf_addf(out, "%s as text:", what);
        say_text(out, s, span, t);
    }
}

static void say_not_hidden(struct mbi_buf *out, const mambaint_statement *s)
{
    if (!s->file.public_weights)
        mbi_buf_add_text(out,
                         "not hidden: the weights; the proof is not zero-knowledge, and they can "
                         "be computed from it\n");
}

static void add_answer_words(struct mbi_buf *out, const mambaint_statement *s,
                             const struct mbi_tokenizer *t)
{
    mbi_buf_add_text(out, "A model with nothing in its memory was fed this prompt and answered "
                          "greedily: each token of the\nanswer is the likeliest one after all that "
                          "stands before it, and of equally likely ones the first.\n");
    say_models(out, s);
    say_span(out, s, "prompt", prompt_of(s), t);
    say_span(out, s, "answer", answer_of(s), t);
    mbi_buf_addf(out,
                 "steps: %u\nnot shown: who ran it and when, who wrote the prompt, how good "
                 "the model is, and what text the tokens\nstand for: the proof is about their "
                 "numbers\n",
                 s->file.statement.lanes);
    say_not_hidden(out, s);
}

static void add_words(struct mbi_buf *out, const mambaint_statement *s,
                      const struct mbi_tokenizer *t)
{
    const uint32_t n = s->file.statement.models.n;

    if (!is_run(s)) {
        mbi_buf_add_text(out, "All weights lie in the intervals that their models declare.\n");
        say_models(out, s);
        mbi_buf_add_text(out, "not shown: anything that was computed with them\n");
        return;
    }
    if (is_of_tokens(s)) {
        add_answer_words(out, s, t);
        return;
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
    say_not_hidden(out, s);
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
    if (s->file.statement.models.model[i].has_public) {
        mbi_buf_add_text(out, ", \"public_digest\": \"");
        add_hex(out, s->file.statement.models.model[i].parameters);
        mbi_buf_add8(out, '"');
    }
    for (size_t k = 0; k < c->arch->n_fields; k++)
        if (c->arch->field[k].flag) {
            mbi_buf_add_text(out, ", ");
            add_key(out, c->arch->field[k].flag);
            add_config_value(out, &c->arch->field[k], c->v[k], "\"");
        }
    mbi_buf_add8(out, '}');
}

/* The text of ids, without special tokens; bytes that are no UTF-8 become U+FFFD. */
static void add_json_text(struct mbi_buf *out, const mambaint_statement *s, struct span span,
                          const struct mbi_tokenizer *t)
{
    struct mbi_buf text;

    if (!t) {
        mbi_buf_add_text(out, "null");
        return;
    }
    mbi_buf_init(&text, &s->ctx->host);
    for (size_t i = span.begin; i < span.end; i++) /* one that is special, and on from there */
        add_ordinary(&text, s, &i, span.end, t);
    mbi_buf_add8(out, '"');
    for (size_t i = 0; i < text.size;) {
        uint32_t c;
        const int len = mbi_utf8_decode(&c, text.data + i, text.size - i);

        if (len <= 0)
            mbi_buf_add_text(out, "\\ufffd");
        else if (c == '"' || c == '\\')
            mbi_buf_addf(out, "\\%c", (char)c);
        else if (c < 0x20 || c == 0x7f)
            mbi_buf_addf(out, "\\u%04x", c);
        else
            mbi_buf_add(out, text.data + i, (size_t)len);
        i += len > 0 ? (size_t)len : 1;
    }
    mbi_buf_add8(out, '"');
    out->failed |= text.failed;
    mbi_buf_free(&text);
}

static void add_json_answer(struct mbi_buf *out, const mambaint_statement *s,
                            const struct mbi_tokenizer *t)
{
    const struct mbi_statement *said = &s->file.statement;

    mbi_buf_addf(out, "], \"tokens\": %u, \"n_outputs\": %u, \"ids\": [", said->lanes,
                 said->n_outputs);
    for (size_t i = 0; i < said->n_inputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", token_id(s, i));
    mbi_buf_add_text(out, "], \"prompt\": ");
    add_json_text(out, s, prompt_of(s), t);
    mbi_buf_add_text(out, ", \"text\": ");
    add_json_text(out, s, answer_of(s), t);
    mbi_buf_add8(out, '}');
}

static void add_json(struct mbi_buf *out, const mambaint_statement *s,
                     const struct mbi_tokenizer *t)
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
    if (is_of_tokens(s)) {
        add_json_answer(out, s, t);
        return;
    }
    mbi_buf_addf(out, "], \"tokens\": %u, \"features\": [", said->lanes);
    for (size_t i = 0; i < said->n_inputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_statement_feature(s, i));
    mbi_buf_add_text(out, "], \"outputs\": [");
    for (size_t i = 0; i < said->n_outputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_statement_output(said, i));
    mbi_buf_addf(out, "], \"feature_frac\": %d, \"frac\": %d, \"argmax\": ", s->input_frac,
                 s->output_frac);
    if (is_run(s))
        mbi_buf_addf(out, "%zu}", largest(s));
    else
        mbi_buf_add_text(out, "null}");
}

int32_t mambaint_statement_text(char *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement, const char *key)
{
    return mambaint_statement_text_with(buf, cap, need, statement, NULL, key);
}

int32_t mambaint_statement_text_with(char *buf, size_t cap, size_t *need,
                                     const mambaint_statement *statement,
                                     const mambaint_tokenizer *tokenizer, const char *key)
{
    const struct mbi_tokenizer *t = tokenizer ? tokenizer->tokenizer : NULL;
    struct mbi_buf text;
    int32_t rc;

    if (!statement || !key || (!mbi_key_equal(key, "text") && !mbi_key_equal(key, "json")))
        return MAMBAINT_E_INVALID;
    if (t && is_of_tokens(statement) && !mbi_statement_fits(statement, t))
        return MAMBAINT_E_MISMATCH;
    mbi_buf_init(&text, &statement->ctx->host);
    if (mbi_key_equal(key, "text"))
        add_words(&text, statement, t);
    else
        add_json(&text, statement, t);
    rc = text.failed ? MAMBAINT_E_NO_MEMORY
                     : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}
#endif

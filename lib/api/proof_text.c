/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of proofs told in words and as JSON. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/spell.h"
#include "base/text.h"

/* ---- what it says ---- */

static bool is_run(const mambaint_statement *s) { return s->file.type != MBI_PROOF_CERTIFICATE; }

/* What goes in or comes out is what a chain's other proofs hand on and take. */
static bool is_linked(const mambaint_statement *s, enum mbi_side side)
{
    return !mbi_statement_is_of_tokens(&s->file.statement) &&
           s->file.statement.boundary[side] != NULL;
}

static bool is_hidden(const mambaint_statement *s)
{
    return mbi_statement_is_hidden(&s->file.statement.models);
}

static bool is_of_tokens(const mambaint_statement *s)
{
    return mbi_statement_is_of_tokens(&s->file.statement);
}

/* Ids [begin, end) of the list. */
static struct mbi_spelled span(const mambaint_statement *s, size_t begin, size_t end)
{
    return (struct mbi_spelled){s->file.statement.input + 4 * begin, end - begin};
}

static struct mbi_spelled prompt_of(const mambaint_statement *s)
{
    return span(s, 0, mbi_statement_prompt(s));
}

static struct mbi_spelled answer_of(const mambaint_statement *s)
{
    return span(s, mbi_statement_prompt(s), s->file.statement.n_inputs);
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

static void add_model_id(struct mbi_buf *out, const mambaint_statement *s)
{
    uint8_t id[MBI_DIGEST_SIZE];

    mbi_statement_model_id(id, &s->file.statement.models, s->file.public_weights);
    mbi_spell_digest(out, id);
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
    mbi_buf_add_text(out,
                     s->file.public_weights ? "\nweights: public; whoever verifies has them\n"
                     : is_hidden(s)
                         ? "\nweights: hidden; the proof is about those that this id stands for\n"
                         : "\nweights: committed; the proof is about those that this id "
                           "stands for\n");
}

/* What a boundary is known by: its root, or the link's digest. */
static const char *boundary_word(const mambaint_statement *s)
{
    return is_hidden(s) ? "link" : "root";
}

static void spell_boundary(struct mbi_buf *out, const mambaint_statement *s, enum mbi_side side)
{
    const uint8_t *boundary = s->file.statement.boundary[side];
    uint8_t digest[MBI_DIGEST_SIZE];

    if (is_hidden(s))
        mbi_blake2b(digest, boundary, MBI_STATEMENT_LINK);
    mbi_spell_digest(out, is_hidden(s) ? digest : boundary);
}

/* Values that a chain's other proofs have, too, by their root. */
static void say_link(struct mbi_buf *out, const mambaint_statement *s, const char *what, uint32_t n,
                     enum mbi_side side)
{
    mbi_buf_addf(out, "%s the %s model: %u numbers, by their %s ", what,
                 side == MBI_BEFORE ? "previous" : "next", n, boundary_word(s));
    spell_boundary(out, s, side);
}

static void say_values(struct mbi_buf *out, const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;
    const size_t best = is_linked(s, MBI_BEHIND) ? 0 : largest(s);

    if (is_linked(s, MBI_BEFORE))
        say_link(out, s, "taken from", said->n_inputs, MBI_BEFORE);
    else
        mbi_buf_add_text(out, "features:");
    for (size_t i = 0; !is_linked(s, MBI_BEFORE) && i < said->n_inputs; i++) {
        mbi_buf_add_text(out, i ? ", " : " ");
        mbi_spell_decimal(out, mbi_statement_feature(s, i), s->input_frac);
    }
    mbi_buf_add8(out, '\n');
    if (is_linked(s, MBI_BEHIND)) {
        say_link(out, s, "handed on to", said->n_outputs, MBI_BEHIND);
        mbi_buf_add8(out, '\n');
        return;
    }
    mbi_buf_add_text(out, "outputs:");
    for (size_t i = 0; i < said->n_outputs; i++) {
        mbi_buf_add_text(out, i ? ", " : " ");
        mbi_spell_decimal(out, mbi_statement_output(said, i), s->output_frac);
        if (i == best)
            mbi_buf_add_text(out, " (largest)");
    }
    mbi_buf_addf(out, "\nlargest output: %zu (the first is 0)\n", best);
}

static void say_hidden(struct mbi_buf *out, const mambaint_statement *s)
{
    const bool linked =
        s->file.type == MBI_PROOF_CHAIN || is_linked(s, MBI_BEFORE) || is_linked(s, MBI_BEHIND);

    if (is_hidden(s) &&
        (s->file.statement.boundary[MBI_BEFORE] || s->file.statement.boundary[MBI_BEHIND]))
        mbi_buf_add_text(out, "not shown: what a link stands for; that says only the proof at its "
                              "other end, together with this one\n");
    if (is_hidden(s))
        mbi_buf_add_text(out, "hidden: the weights, and all that was computed with them but for "
                              "what stands here\n");
    else if (linked)
        mbi_buf_addf(out,
                     "not hidden: %swhat is handed on; the proofs are not zero-knowledge, and it "
                     "can be computed from them\n",
                     s->file.public_weights ? "" : "the weights, and ");
    else if (!s->file.public_weights)
        mbi_buf_add_text(out,
                         "not hidden: the weights; the proof is not zero-knowledge, and they can "
                         "be computed from it\n");
}

/* Of a run that neither begins nor ends there: what is in memory, which nothing is said of. */
static bool is_part(const mambaint_statement *s)
{
    const uint8_t *const *root = s->file.statement.boundary;

    return root[MBI_BEFORE] || root[MBI_BEHIND];
}

static void say_memory(struct mbi_buf *out, const mambaint_statement *s, const char *what,
                       enum mbi_side side, uint64_t position)
{
    if (!s->file.statement.boundary[side])
        return;
    mbi_buf_addf(out, "memory %s, at position %llu, by its %s: ", what,
                 (unsigned long long)position, boundary_word(s));
    spell_boundary(out, s, side);
    mbi_buf_add8(out, '\n');
}

static void add_part_words(struct mbi_buf *out, const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;

    mbi_buf_addf(out,
                 "A part of a run: a model with %s%s%s in its memory was fed these tokens, from "
                 "position %llu on.\n",
                 said->boundary[MBI_BEFORE] ? "what has the " : "nothing",
                 said->boundary[MBI_BEFORE] ? boundary_word(s) : "",
                 said->boundary[MBI_BEFORE] ? " below" : "", (unsigned long long)said->t0);
    if (said->n_outputs)
        mbi_buf_add_text(out, "It answered greedily: each token of the answer is the likeliest one "
                              "after all that stands before it,\nand of equally likely ones the "
                              "first.\n");
    say_memory(out, s, "before", MBI_BEFORE, said->t0);
    say_memory(out, s, "behind", MBI_BEHIND, said->t0 + said->lanes);
}

static void add_answer_words(struct mbi_buf *out, const mambaint_statement *s,
                             const struct mbi_lexicon *t)
{
    const struct mbi_spelled prompt = prompt_of(s), answer = answer_of(s);

    if (is_part(s))
        add_part_words(out, s);
    else
        mbi_buf_add_text(out, "A model with nothing in its memory was fed this prompt and answered "
                              "greedily: each token of the\nanswer is the likeliest one after all "
                              "that stands before it, and of equally likely ones the first.\n");
    if (s->proofs.n > 1)
        mbi_buf_addf(out,
                     "proofs: %u, each of which begins with what the one before it left in "
                     "memory\n",
                     s->proofs.n);
    say_models(out, s);
    mbi_spell_tokens(out, is_part(s) ? "fed" : "prompt", &prompt, t);
    if (s->file.statement.n_outputs)
        mbi_spell_tokens(out, "answer", &answer, t);
    mbi_buf_addf(out,
                 "steps: %u\nnot shown: who ran it and when, who wrote the prompt, how good "
                 "the model is, and what text the tokens\nstand for: the proof is about their "
                 "numbers\n",
                 s->file.statement.lanes);
    say_hidden(out, s);
}

static void add_chain_words(struct mbi_buf *out, const mambaint_statement *s)
{
    const bool before = is_linked(s, MBI_BEFORE), behind = is_linked(s, MBI_BEHIND);
    const uint32_t n = s->file.statement.models.n;

    if (before || behind)
        mbi_buf_add_text(out, "A part of a chain: ");
    mbi_buf_add_text(out, before || behind ? "a" : "A");
    if (n > 1)
        mbi_buf_addf(out, " chain of %u models", n);
    else
        mbi_buf_add_text(out, " model");
    mbi_buf_addf(out, ", run once on %s%s%s, gives ", before ? "what has the " : "these features",
                 before ? boundary_word(s) : "", before ? " below" : "");
    mbi_buf_addf(out, "%s%s%s.\n", behind ? "what has the " : "these outputs",
                 behind ? boundary_word(s) : "", behind ? " below" : "");
    if (s->file.type == MBI_PROOF_CHAIN)
        mbi_buf_addf(out,
                     "Its models are proved one by one, and what one hands on to the next has a "
                     "%s that both proofs name.\n",
                     boundary_word(s));
    if (s->proofs.n > 1)
        mbi_buf_addf(out, "proofs: %u, each of which takes what the one before it hands on\n",
                     s->proofs.n);
}

static void add_words(struct mbi_buf *out, const mambaint_statement *s, const struct mbi_lexicon *t)
{
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
    add_chain_words(out, s);
    say_models(out, s);
    say_values(out, s);
    mbi_buf_add_text(out, "not shown: who ran it and when, where the features come from, and "
                          "how good the model is\n");
    say_hidden(out, s);
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
    mbi_spell_digest(out, s->file.statement.models.model[i].graph);
    mbi_buf_add8(out, '"');
    if (s->file.statement.models.model[i].has_public) {
        mbi_buf_add_text(out, ", \"public_digest\": \"");
        mbi_spell_digest(out, s->file.statement.models.model[i].parameters);
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

static void add_json_boundary(struct mbi_buf *out, const char *key, const mambaint_statement *s,
                              enum mbi_side side)
{
    const bool there = s->file.statement.boundary[side] != NULL;

    mbi_buf_addf(out, ", \"%s\": %s", key, there ? "\"" : "null");
    if (there) {
        spell_boundary(out, s, side);
        mbi_buf_add8(out, '"');
    }
}

static void add_json_answer(struct mbi_buf *out, const mambaint_statement *s,
                            const struct mbi_lexicon *t)
{
    const struct mbi_statement *said = &s->file.statement;
    const struct mbi_spelled all = span(s, 0, said->n_inputs);
    const struct mbi_spelled prompt = prompt_of(s), answer = answer_of(s);

    mbi_buf_addf(out, "], \"tokens\": %u, \"n_outputs\": %u, \"ids\": [", said->lanes,
                 said->n_outputs);
    mbi_spell_ids(out, &all);
    mbi_buf_add_text(out, "], \"prompt\": ");
    mbi_spell_json_text(out, &prompt, t);
    mbi_buf_add_text(out, ", \"text\": ");
    mbi_spell_json_text(out, &answer, t);
    if (is_part(s)) {
        mbi_buf_addf(out, ", \"t0\": %llu", (unsigned long long)said->t0);
        add_json_boundary(out, "memory_before", s, MBI_BEFORE);
        add_json_boundary(out, "memory_behind", s, MBI_BEHIND);
    }
    if (s->proofs.n > 1)
        mbi_buf_addf(out, ", \"proofs\": %u", s->proofs.n);
    mbi_buf_add8(out, '}');
}

/* Features and outputs; null: those of a boundary. */
static void add_json_values(struct mbi_buf *out, const mambaint_statement *s)
{
    const struct mbi_statement *said = &s->file.statement;

    mbi_buf_add_text(out, ", \"features\": ");
    mbi_buf_add_text(out, is_linked(s, MBI_BEFORE) ? "null" : "[");
    for (size_t i = 0; !is_linked(s, MBI_BEFORE) && i < said->n_inputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_statement_feature(s, i));
    mbi_buf_add_text(out, is_linked(s, MBI_BEFORE) ? ", \"outputs\": " : "], \"outputs\": ");
    mbi_buf_add_text(out, is_linked(s, MBI_BEHIND) ? "null" : "[");
    for (size_t i = 0; !is_linked(s, MBI_BEHIND) && i < said->n_outputs; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_statement_output(said, i));
    if (!is_linked(s, MBI_BEHIND))
        mbi_buf_add8(out, ']');
}

/* Of a chain whose models are proved one by one, and how many bytes each proof has if they are at
 * hand. */
static void add_json_proofs(struct mbi_buf *out, const mambaint_statement *s)
{
    if (s->file.type != MBI_PROOF_CHAIN)
        return;
    mbi_buf_add_text(out, ", \"chain\": \"linked\"");
    if (s->proofs.n <= 1)
        return;
    mbi_buf_addf(out, ", \"proofs\": %u, \"proof_sizes\": [", s->proofs.n);
    for (uint32_t i = 0; i < s->proofs.n; i++)
        mbi_buf_addf(out, "%s%zu", i ? ", " : "", s->proofs.size[i]);
    mbi_buf_add8(out, ']');
}

static void add_json(struct mbi_buf *out, const mambaint_statement *s, const struct mbi_lexicon *t)
{
    const struct mbi_statement *said = &s->file.statement;

    mbi_buf_addf(out, "{\"type\": \"%s\", \"version\": %d, \"profile\": %d, \"weights\": \"%s\", ",
                 is_run(s) ? "run" : "certificate", MBI_PROOF_VERSION, MBI_PROOF_PROFILE,
                 mbi_statement_mode_name(&said->models, s->file.public_weights));
    mbi_buf_add_text(out, "\"model_id\": \"");
    add_model_id(out, s);
    mbi_buf_add_text(out, "\", \"weights_digest\": \"");
    mbi_spell_digest(out, said->models.weights);
    mbi_buf_add_text(out, "\", \"models\": [");
    for (size_t i = 0; i < said->models.n; i++)
        add_json_model(out, s, i);
    if (is_of_tokens(s)) {
        add_json_answer(out, s, t);
        return;
    }
    mbi_buf_addf(out, "], \"tokens\": %u", said->lanes);
    add_json_values(out, s);
    mbi_buf_addf(out, ", \"feature_frac\": %d, \"frac\": %d, \"argmax\": ", s->input_frac,
                 s->output_frac);
    if (is_run(s) && !is_linked(s, MBI_BEHIND))
        mbi_buf_addf(out, "%zu", largest(s));
    else
        mbi_buf_add_text(out, "null");
    if (is_linked(s, MBI_BEFORE) || is_linked(s, MBI_BEHIND)) {
        add_json_boundary(out, "link_before", s, MBI_BEFORE);
        add_json_boundary(out, "link_behind", s, MBI_BEHIND);
    }
    add_json_proofs(out, s);
    mbi_buf_add8(out, '}');
}

static int32_t tell(char *buf, size_t cap, size_t *need, const mambaint_statement *s,
                    const struct mbi_lexicon *t, const char *key)
{
    struct mbi_buf text;
    int32_t rc;

    mbi_buf_init(&text, &s->ctx->host);
    if (mbi_key_equal(key, "text"))
        add_words(&text, s, t);
    else
        add_json(&text, s, t);
    rc = text.failed ? MAMBAINT_E_NO_MEMORY
                     : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

static bool is_key(const char *key)
{
    return key && (mbi_key_equal(key, "text") || mbi_key_equal(key, "json"));
}

int32_t mambaint_statement_text(char *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement, const char *key)
{
    if (!statement || !is_key(key))
        return MAMBAINT_E_INVALID;
    return tell(buf, cap, need, statement, NULL, key);
}

int32_t mambaint_statement_text_with(char *buf, size_t cap, size_t *need,
                                     const mambaint_statement *statement,
                                     const mambaint_tokenizer *tokenizer, const char *key)
{
    const struct mbi_lexicon lexicon = {mbi_tokenizer_token,
                                        tokenizer ? tokenizer->tokenizer : NULL};

    if (!statement || !is_key(key))
        return MAMBAINT_E_INVALID;
    if (!tokenizer)
        return tell(buf, cap, need, statement, NULL, key);
    if (is_of_tokens(statement) && !mbi_statement_fits(statement, lexicon.of))
        return MAMBAINT_E_MISMATCH;
    return tell(buf, cap, need, statement, &lexicon, key);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* prove: run models on features, or one on a text, and save the proof of what came out. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

/* ---- what was proved, for the report ---- */

#define MOST_PROOFS 16 /* of a chain */

struct said {
    char model_id[65];
    long tokens, n_outputs; /* steps; outputs of features, or tokens of an answer */
    int32_t *outputs;       /* of features */
    size_t n, cap;
    long proof_size[MOST_PROOFS]; /* of a linked chain */
    size_t n_proofs;
    int32_t *ids; /* of a text: the answer's */
    char *text;
    size_t n_ids, text_size;
    bool failed;
};

static void free_said(struct said *s)
{
    free(s->outputs);
    free(s->ids);
    free(s->text);
}

static void take(void *user, const char *path, const char *text)
{
    struct said *s = user;

    if (!strcmp(path, "model_id"))
        snprintf(s->model_id, sizeof(s->model_id), "%s", text);
    if (!strcmp(path, "tokens"))
        s->tokens = strtol(text, NULL, 10);
    if (!strcmp(path, "n_outputs"))
        s->n_outputs = strtol(text, NULL, 10);
    if (!strncmp(path, "proof_sizes[", 12) && s->n_proofs < MOST_PROOFS)
        s->proof_size[s->n_proofs++] = strtol(text, NULL, 10);
    if (strncmp(path, "outputs[", 8) || s->failed)
        return;
    if (s->n == s->cap) {
        int32_t *more = realloc(s->outputs, (s->cap = 2 * s->cap + 64) * sizeof(*more));

        if (!more) {
            s->failed = true;
            return;
        }
        s->outputs = more;
    }
    s->outputs[s->n++] = (int32_t)strtol(text, NULL, 10);
}

/* The ids of the answer and their text. */
static bool read_answer(struct said *s, const mambaint_statement *statement,
                        const mambaint_tokenizer *tokenizer)
{
    size_t n, n_answer;
    bool ok = false;
    int32_t *all;

    mambaint_statement_ids(NULL, 0, &n, &n_answer, statement);
    if ((all = malloc(n * sizeof(*all))) && (s->ids = malloc(n_answer * sizeof(*all))) &&
        mambaint_statement_ids(all, n, NULL, NULL, statement) == MAMBAINT_OK) {
        memcpy(s->ids, all + n - n_answer, n_answer * sizeof(*all));
        s->n_ids = n_answer;
        mambaint_tokenizer_decode(NULL, 0, &s->text_size, tokenizer, s->ids, n_answer);
        ok = (s->text = malloc(s->text_size + 1)) &&
             mambaint_tokenizer_decode(s->text, s->text_size, NULL, tokenizer, s->ids, n_answer) ==
                 MAMBAINT_OK;
    }
    free(all);
    return ok;
}

static int read_statement(struct said *s, const void *data, size_t size,
                          const mambaint_tokenizer *tokenizer)
{
    mambaint_statement *statement = NULL;
    char *json = NULL;
    mambaint_error err;
    int32_t rc = mambaint_statement_read(&statement, NULL, data, size, &err);
    int status = rc < 0 ? fail_error(rc, &err) : CLI_DONE;

    if (status == CLI_DONE &&
        (!(json = statement_text(statement, NULL, "json")) || !json_read(json, take, s) ||
         s->failed || (tokenizer && !read_answer(s, statement, tokenizer))))
        status = fail_memory();
    if (!tokenizer)
        s->n_outputs = (long)s->n;
    free(json);
    mambaint_statement_free(statement);
    return status;
}

/* ---- the report ---- */

/* Of the proof itself: mambaint_proof_number(). */
struct numbers {
    int64_t trace, bits, zk, left;
};

static void print_json(const struct said *said, size_t size, double seconds,
                       const struct stages *stages, const struct numbers *n)
{
    int32_t sizes[MOST_PROOFS]; /* far below 2^31 */
    struct json j;

    json_open(&j, stdout);
    json_number(&j, "prove_ms", 1e3 * seconds);
    stages_json(&j, stages);
    json_integer(&j, "proof_bytes", (long long)size);
    if (said->n_proofs)
        json_integer(&j, "proofs", (long long)said->n_proofs);
    for (size_t i = 0; i < said->n_proofs; i++)
        sizes[i] = (int32_t)said->proof_size[i];
    if (said->n_proofs)
        json_ids(&j, "proof_sizes", sizes, said->n_proofs);
    json_integer(&j, "peak_rss_bytes", peak_bytes());
    json_integer(&j, "log2_trace", n->trace);
    json_integer(&j, "soundness_bits", n->bits);
    json_bool(&j, "zk", n->zk);
    if (n->zk)
        json_integer(&j, "proofs_left", n->left);
    json_string(&j, "model_id", said->model_id);
    json_integer(&j, "tokens", said->tokens);
    json_integer(&j, "n_outputs", said->n_outputs);
    if (said->text) {
        json_text(&j, "text", said->text, said->text_size);
        json_ids(&j, "token_ids", said->ids, said->n_ids);
    } else {
        json_ids(&j, "outputs", said->outputs, said->n);
    }
    json_close(&j);
}

static int report(const struct args *args, const char *out, const mambaint_proof *proof,
                  const mambaint_tokenizer *tokenizer, double seconds, const struct stages *stages)
{
    struct said said = {.n = 0};
    struct numbers n = {0};
    size_t size;
    const void *data = mambaint_proof_data(proof, &size);
    const int status = read_statement(&said, data, size, tokenizer);

    mambaint_proof_number(proof, "log2-trace", &n.trace);
    mambaint_proof_number(proof, "soundness-bits", &n.bits);
    mambaint_proof_number(proof, "zk", &n.zk);
    mambaint_proof_number(proof, "proofs-left", &n.left);
    if (status == CLI_DONE && args_switch(args, "json"))
        print_json(&said, size, seconds, stages, &n);
    if (status == CLI_DONE && said.text)
        fprintf(stderr, "%s: %ld steps, of which %ld answer\n", out, said.tokens, said.n_outputs);
    for (size_t i = 0; status == CLI_DONE && i < said.n_proofs; i++)
        fprintf(stderr, "%s: proof %zu of %zu: %ld bytes\n", out, i + 1, said.n_proofs,
                said.proof_size[i]);
    if (status == CLI_DONE)
        fprintf(stderr,
                "%s: %zu bytes in %.0f ms; 2^%d values committed, %d bits of soundness\n"
                "model id: %s\n",
                out, size, 1e3 * seconds, (int)n.trace, (int)n.bits, said.model_id);
    if (status == CLI_DONE && n.zk && args_count(args, "prover-key") > 1)
        fprintf(stderr, "proofs left of the key that has the fewest: %lld\n", (long long)n.left);
    else if (status == CLI_DONE && n.zk)
        fprintf(stderr, "%s: proofs left: %lld\n", args_text(args, "prover-key", ""),
                (long long)n.left);
    free_said(&said);
    return status;
}

/* ---- the whole ---- */

/* What a model of text begins with, as an option of the library. */
static int set_prompt(const struct args *args)
{
    mambaint_error err;
    char *text = NULL;
    int32_t rc;
    size_t len;
    int status;

    if (args_text(args, "ids", NULL) && !args_text(args, "prompt", NULL))
        return CLI_DONE;
    if ((status = prompt_text(&text, &len, args, false)) == CLI_DONE && strlen(text) < len)
        status = fail("the prompt has a NUL in it; --ids takes any tokens");
    if (status == CLI_DONE) {
        text[len] = '\0'; /* a line end was dropped */
        if ((rc = mambaint_options_set(args->options, "prompt", text, &err)) < 0)
            status = fail_error(rc, &err);
    }
    free(text);
    return status;
}

/* Flags of the tool that are options of the library, and the prompt. */
static int set_options(const struct args *args, const mambaint_tokenizer *tokenizer)
{
    static const char *const key[] = {"tokens", "ids", "features"};
    const char *chain = args_text(args, "part", args_switch(args, "linked") ? "linked" : NULL);
    mambaint_error err;

    for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++) {
        const char *value = args_text(args, key[i], NULL);

        if (value && mambaint_options_set(args->options, key[i], value, &err) < 0)
            return fail_memory();
    }
    if (chain && mambaint_options_set(args->options, "chain", chain, &err) < 0)
        return fail_memory();
    for (size_t i = 0; i < args->n_given; i++)
        if (!strcmp(args->given[i]->name, "prover-key") &&
            mambaint_options_set(args->options, "prover-key", args->value[i], &err) < 0)
            return fail_memory();
    if (args_text(args, "features", NULL) || (!tokenizer && !args_text(args, "prompt", NULL)))
        return CLI_DONE;
    return set_prompt(args);
}

static int prove(const struct args *args, const char *out, const struct models *models,
                 const mambaint_tokenizer *tokenizer, struct stages *stages)
{
    const double start = now_seconds();
    mambaint_proof *proof = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_proof_create(&proof, models->model, models->n, args->options, &err);
    const double seconds = now_seconds() - start;
    const void *data;
    size_t size;
    int status;

    stages_end(stages);
    if (rc < 0)
        return fail_option(rc, &err);
    data = mambaint_proof_data(proof, &size);
    if ((status = write_all(out, data, size)) == CLI_DONE)
        status = report(args, out, proof, tokenizer, seconds, stages);
    mambaint_proof_free(proof);
    return status;
}

static int run(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    mambaint_tokenizer *tokenizer = NULL; /* NULL: the model takes features */
    struct stages stages = {.now = NULL};
    struct models models = {.n = 0};
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) == CLI_DONE &&
        (status = stages_context(&models.ctx, &stages, args)) == CLI_DONE &&
        (status = open_models(&models, args)) == CLI_DONE) {
        mambaint_tokenizer_of(&tokenizer, models.model[0]);
        if ((status = set_options(args, tokenizer)) == CLI_DONE)
            status = prove(args, out, &models, tokenizer, &stages);
    }
    mambaint_tokenizer_unref(tokenizer);
    close_models(&models);
    mambaint_context_unref(models.ctx);
    return status;
}

static const struct flag flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file; repeated: a chain, in that order"},
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text to answer to (default: standard input)"},
    {"ids", 0, FLAG_TEXT, "A,B,...", "or the tokens, all of them, by their numbers"},
    {"tokens", 'n', FLAG_TEXT, "N", "most tokens to answer (64)"},
    {"features", 0, FLAG_TEXT, "A,B,...",
     "no text: what goes into a model of numbers, or a chain: decimals from -4 to 3.96875"},
    {"linked", 0, FLAG_SWITCH, NULL,
     "a proof for each model of a chain, for the keys of each (else one of all together)"},
    {"part", 0, FLAG_TEXT, "NAME",
     "the proof of one model of a linked chain: first, middle or last; --features is what it "
     "takes"},
    {"chunk-steps", 0, FLAG_OPTION, "N",
     "a proof for every N steps of a text (none: one for all); memory is that of one, with --zk on "
     "of two"},
    {"weights", 0, FLAG_OPTION, "NAME",
     "committed: who verifies needs a key alone (default); public: the model"},
    {"prover-key", 0, FLAG_TEXT, "FILE",
     "what 'mambaint proof key --prover' made of the model: saves the time of its commitment; "
     "repeated: of each model with --linked"},
    {"zk", 0, FLAG_OPTION, "off",
     "on, to hide the weights; it takes the --prover-key of a key that was made with it"},
    {"backend", 0, FLAG_OPTION, "NAME",
     "auto, scalar, avx2, avx512, neon or cuda (the proof is the same)"},
    {"threads", 0, FLAG_TEXT, "N", "threads to use, or auto (default; the proof is the same)"},
    {0},
};

const struct command command_prove = {
    .name = "prove",
    .summary = "Run a model, or a chain of models of numbers, and prove what came out.",
    .operands = "",
    .many_models = true,
    .flags = (const struct flag *const[]){flags_out, flags, flags_json, flags_help, NULL},
    .examples =
        "  mambaint prove -m storyteller.gguf -p \"Once upon a time\" -n 32 --out story.proof\n"
        "  mambaint prove -m simple.gguf --features 0.5,-1.25,0,0,0,0,0,0,0,1 --out run.proof\n"
        "  mambaint prove -m one.gguf -m two.gguf --features 1,1,1,1,1,1,1,1,1,1 \\\n"
        "      --weights public --out chain.proof --json\n"
        "  mambaint prove -m one.gguf -m two.gguf --features 1,1,1,1,1,1,1,1,1,1 \\\n"
        "      --linked --out chain.proof\n",
    .run = run,
};

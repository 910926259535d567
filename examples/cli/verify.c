/* SPDX-License-Identifier: Apache-2.0 */
/* verify: is a proof right, and what does it say? */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

/* ---- what both sides bring ---- */

struct sides {
    char *proof;
    size_t size;
    mambaint_key *key;
    mambaint_statement *expected;  /* NULL: any */
    mambaint_tokenizer *tokenizer; /* NULL: none is at hand */
};

static void free_sides(struct sides *s)
{
    free(s->proof);
    mambaint_key_free(s->key);
    mambaint_statement_free(s->expected);
    mambaint_tokenizer_unref(s->tokenizer);
}

/* A series is of one model of text, or of the models of a linked chain. */
static bool is_series(const struct sides *s) { return s->size > 4 && !memcmp(s->proof, "MIPS", 4); }

/* The proof says whether it is about public weights (docs/proof-files.md: flag 1 at byte 10; of a
 * series the first proof, which begins at byte 16). */
static bool is_public(const struct sides *s)
{
    const size_t at = is_series(s) ? 26 : 10;

    return s->size > at && (s->proof[at] & 1);
}

/* The models are a key either way. */
static int key_of_models(struct sides *s, const struct args *args)
{
    struct models models = {.n = 0};
    mambaint_error err;
    int32_t rc;
    int status;

    if (mambaint_options_set(args->options, "weights", is_public(s) ? "public" : "committed",
                             &err) < 0 ||
        mambaint_options_set(args->options, "chain", is_series(s) ? "linked" : "merged", &err) < 0)
        return fail_memory();
    if ((status = open_models(&models, args)) == CLI_DONE &&
        (rc = mambaint_key_create(&s->key, models.model, models.n, args->options, &err)) < 0)
        status = fail_error(rc, &err);
    if (status == CLI_DONE && !s->tokenizer && models.n == 1)
        mambaint_tokenizer_of(&s->tokenizer, models.model[0]); /* none of one that takes features */
    close_models(&models);
    return status;
}

static int read_key(mambaint_key **key, mambaint_context *ctx, const char *path)
{
    size_t size;
    char *data = read_all(path, &size);
    mambaint_error err;
    int32_t rc;

    if (!data)
        return CLI_FAILED;
    rc = mambaint_key_load(key, ctx, data, size, &err);
    free(data);
    return rc < 0 ? fail("%s: %s", path, err.message) : CLI_DONE;
}

/* One, or one for each proof of a linked chain. */
static int key_of_files(struct sides *s, const struct args *args)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_key **key = calloc(args->n_given, sizeof(mambaint_key *));
    int status = key ? CLI_DONE : fail_memory();
    mambaint_context *ctx = NULL;
    mambaint_error err;
    int32_t rc;
    size_t n = 0;

    setup.threads = (uint32_t)args->threads;
    if (status == CLI_DONE && (rc = mambaint_context_create(&ctx, &setup, &err)) < 0)
        status = fail_error(rc, &err);
    for (size_t i = 0; status == CLI_DONE && i < args->n_given; i++)
        if (!strcmp(args->given[i]->name, "key") &&
            (status = read_key(&key[n], ctx, args->value[i])) == CLI_DONE)
            n++;
    if (status == CLI_DONE && n > 1 && (rc = mambaint_key_join(&s->key, key, n, &err)) < 0)
        status = fail_error(rc, &err);
    if (status == CLI_DONE && n == 1)
        s->key = key[--n];
    while (n > 0)
        mambaint_key_free(key[--n]);
    mambaint_context_unref(ctx); /* a key keeps its own */
    free(key);
    return status;
}

static int read_expected(struct sides *s, const char *path)
{
    size_t size;
    char *data = path ? read_all(path, &size) : NULL;
    mambaint_error err;
    int32_t rc;

    if (!path)
        return CLI_DONE;
    if (!data)
        return CLI_FAILED;
    rc = mambaint_statement_read(&s->expected, NULL, data, size, &err);
    free(data);
    return rc < 0 ? fail("%s: %s", path, err.message) : CLI_DONE;
}

static int read_sides(struct sides *s, const struct args *args)
{
    const char *key = args_text(args, "key", NULL);
    const char *tokenizer = args_text(args, "tokenizer", NULL);
    mambaint_error err;
    int32_t rc;
    int status;

    if (!(s->proof = read_all(args->operand[0], &s->size)))
        return CLI_FAILED;
    if (tokenizer && (rc = mambaint_tokenizer_open(&s->tokenizer, NULL, tokenizer, &err)) < 0)
        return fail_error(rc, &err);
    status = key ? key_of_files(s, args) : key_of_models(s, args);
    return status == CLI_DONE ? read_expected(s, args_text(args, "expect", NULL)) : status;
}

/* ---- the verdict ---- */

static int print_json(int32_t rc, double seconds, const mambaint_statement *said,
                      const struct sides *s, const char *message)
{
    const bool ok = rc == MAMBAINT_ACCEPTED;
    char *json = ok ? statement_text(said, s->tokenizer, "json") : NULL;
    struct json j;

    if (ok && !json)
        return fail_memory();
    json_open(&j, stdout);
    json_bool(&j, "ok", ok);
    json_number(&j, "verify_ms", 1e3 * seconds);
    json_raw(&j, "statement", json);
    json_string(&j, "message", ok ? "accepted" : message);
    json_close(&j);
    free(json);
    return ok ? CLI_DONE : CLI_FAILED;
}

static int print_words(int32_t rc, double seconds, const mambaint_statement *said,
                       const struct sides *s, const char *message, const char *path)
{
    char *words;

    if (rc != MAMBAINT_ACCEPTED)
        return fail("%s: NOT accepted: %s", path, message);
    if (!(words = statement_text(said, s->tokenizer, "text")))
        return fail_memory();
    printf("%s: accepted\n%s", path, words);
    fprintf(stderr, "verified in %.1f ms\n", 1e3 * seconds);
    free(words);
    return CLI_DONE;
}

static int32_t match_text(const mambaint_statement *said, const mambaint_tokenizer *tokenizer,
                          const char *prompt, const char *text, mambaint_error *err)
{
    return mambaint_statement_match_text(said, tokenizer, prompt, prompt ? strlen(prompt) : 0, text,
                                         text ? strlen(text) : 0, err);
}

/* An accepted proof of another run than that of --features, --prompt, --text is not what was asked.
 */
static int32_t check_wanted(int32_t rc, const mambaint_statement *said, const struct sides *s,
                            const struct args *args, mambaint_error *err)
{
    const char *features = args_text(args, "features", NULL);
    const char *prompt = args_text(args, "prompt", NULL), *text = args_text(args, "text", NULL);
    int32_t match = MAMBAINT_OK;

    if (rc != MAMBAINT_ACCEPTED)
        return rc;
    if (features)
        match = mambaint_statement_match(said, features, err);
    if (match >= 0 && (prompt || text || s->tokenizer))
        match = match_text(said, s->tokenizer, prompt, text, err);
    return match < 0 ? match : rc;
}

static int verify(const struct sides *s, const struct args *args)
{
    const double start = now_seconds();
    mambaint_statement *said = NULL;
    mambaint_error err = {0, ""};
    int32_t rc = mambaint_proof_verify(&said, s->key, s->expected, s->proof, s->size, &err);
    const double seconds = now_seconds() - start;
    int status;

    rc = check_wanted(rc, said, s, args, &err);
    status = args_switch(args, "json")
                 ? print_json(rc, seconds, said, s, err.message)
                 : print_words(rc, seconds, said, s, err.message, args->operand[0]);
    mambaint_statement_free(said);
    return rc == MAMBAINT_E_INVALID ? CLI_USAGE : status;
}

static int run(struct args *args)
{
    const bool models = args_text(args, "model", NULL), key = args_text(args, "key", NULL);
    const bool text = args_text(args, "prompt", NULL) || args_text(args, "text", NULL);
    struct sides s = {.size = 0};
    int status;

    if (models == key) {
        fputs(key ? "mambaint verify: name the models with -m or a key with --key, not both\n"
                  : "mambaint verify: a proof means nothing without knowing whose weights it is "
                    "about.\nName the models with -m FILE, or their key with --key FILE.\n",
              stderr);
        return CLI_USAGE;
    }
    if (key && text && !args_text(args, "tokenizer", NULL)) {
        fputs("mambaint verify: a key has no tokenizer; name one with --tokenizer FILE to compare "
              "text\n",
              stderr);
        return CLI_USAGE;
    }
    if ((status = read_sides(&s, args)) == CLI_DONE)
        status = verify(&s, args);
    free_sides(&s);
    return status;
}

static const struct flag flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file; repeated: a chain, in that order"},
    {"key", 'k', FLAG_TEXT, "FILE",
     "or a key that 'mambaint proof key' made of them; repeated: of each of a linked chain"},
    {"expect", 0, FLAG_TEXT, "FILE", "the statement that it has to show, or a proof of that"},
    {"features", 0, FLAG_TEXT, "A,B,...", "the features that it has to be about"},
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text that the model has to have answered to"},
    {"text", 0, FLAG_TEXT, "TEXT", "the whole answer that it has to have given"},
    {"tokenizer", 0, FLAG_TEXT, "FILE", "what tokens mean as text (default: that of the model)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use, or auto (default)"},
    {0},
};

const struct command command_verify = {
    .name = "verify",
    .summary = "Check a proof, and say what it shows. The status is 0 only if it is right.",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .many_models = true,
    .flags = (const struct flag *const[]){flags, flags_json, flags_help, NULL},
    .examples = "  mambaint verify run.proof -m simple.gguf\n"
                "  mambaint verify run.proof --key simple.mivk --expect run.statement --json\n"
                "  mambaint verify chain.proof --key one.mivk --key two.mivk\n"
                "  mambaint verify story.proof -m storyteller.gguf -p \"Once upon a time\"\n",
    .run = run,
};

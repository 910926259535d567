/* SPDX-License-Identifier: Apache-2.0 */
/* proof: what a proof says without checking it, and keys for those who check. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

#define HEAD 16   /* bytes of a file before the statement (docs/proof-files.md) */
#define DIGEST 32 /* ... and at its end */

char *statement_text(const mambaint_statement *statement, const mambaint_tokenizer *tokenizer,
                     const char *key)
{
    size_t need = 0;
    char *text;

    if (mambaint_statement_text_with(NULL, 0, &need, statement, tokenizer, key) !=
            MAMBAINT_E_SPACE ||
        !(text = malloc(need)))
        return NULL;
    if (mambaint_statement_text_with(text, need, &need, statement, tokenizer, key) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- inspect ---- */

/* saved: bytes of the statement alone, saved as a file; 0: of several proofs. */
static int print_json(const mambaint_statement *s, const mambaint_tokenizer *tokenizer, size_t size,
                      size_t saved)
{
    char *json = statement_text(s, tokenizer, "json");
    struct json j;

    if (!json)
        return fail_memory();
    json_open(&j, stdout);
    json_raw(&j, "statement", json);
    json_integer(&j, "file_bytes", (long long)size);
    if (saved) {
        json_integer(&j, "head_bytes", HEAD);
        json_integer(&j, "statement_bytes", (long long)(saved - HEAD - DIGEST));
        json_integer(&j, "body_bytes", (long long)(size - saved));
    }
    json_close(&j);
    free(json);
    return CLI_DONE;
}

static int print_words(const mambaint_statement *s, const mambaint_tokenizer *tokenizer,
                       size_t size, size_t saved)
{
    char *words = statement_text(s, tokenizer, "text");

    if (!words)
        return fail_memory();
    printf("This is what the file says; 'mambaint verify' finds out whether it is true.\n%s"
           "bytes: %zu",
           words, size);
    if (saved)
        printf(" = head %d + statement %zu + body %zu + digest %d", HEAD, saved - HEAD - DIGEST,
               size - saved, DIGEST);
    putchar('\n');
    free(words);
    return CLI_DONE;
}

static int save_statement(const char *path, const mambaint_statement *s, size_t size)
{
    void *data = malloc(size);
    int status = CLI_FAILED;

    if (data && mambaint_statement_save(data, size, NULL, s) == MAMBAINT_OK)
        status = write_all(path, data, size);
    else
        fail_memory();
    free(data);
    return status;
}

/* One that is named has to fit the tokens of the statement. */
static int open_tokenizer(mambaint_tokenizer **out, const char *path, const mambaint_statement *s)
{
    mambaint_error err;
    int32_t rc;

    if (!path)
        return CLI_DONE;
    if ((rc = mambaint_tokenizer_open(out, NULL, path, &err)) < 0)
        return fail_error(rc, &err);
    rc = mambaint_statement_match_text(s, *out, NULL, 0, NULL, 0, &err);
    return rc < 0 ? fail("%s: %s", path, err.message) : CLI_DONE;
}

static int inspect(struct args *args)
{
    const char *out = args_text(args, "statement", NULL);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_statement *s = NULL;
    size_t size, saved = 0;
    char *data = read_all(args->operand[0], &size);
    bool series; /* of proofs: several heads, bodies, ... */
    mambaint_error err;
    int32_t rc;
    int status;

    if (!data)
        return CLI_FAILED;
    rc = mambaint_statement_read(&s, NULL, data, size, &err);
    series = size >= 4 && !memcmp(data, "MIPS", 4);
    free(data);
    if (rc < 0)
        return fail("%s: %s", args->operand[0], err.message);
    mambaint_statement_save(NULL, 0, &saved, s);
    status = open_tokenizer(&tokenizer, args_text(args, "tokenizer", NULL), s);
    if (status == CLI_DONE && out)
        status = save_statement(out, s, saved);
    if (series)
        saved = 0;
    if (status == CLI_DONE)
        status = args_switch(args, "json") ? print_json(s, tokenizer, size, saved)
                                           : print_words(s, tokenizer, size, saved);
    mambaint_tokenizer_unref(tokenizer);
    mambaint_statement_free(s);
    return status;
}

static const struct flag inspect_flags[] = {
    {"statement", 0, FLAG_TEXT, "FILE", "also save the statement, for 'verify --expect'"},
    {"tokenizer", 0, FLAG_TEXT, "FILE", "a tokenizer, or the model with it: show tokens as text"},
    {0},
};

const struct command command_proof_inspect = {
    .name = "proof inspect",
    .summary = "Show what a proof says, without checking it.",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = (const struct flag *const[]){inspect_flags, flags_json, flags_help, NULL},
    .examples = "  mambaint proof inspect run.proof\n"
                "  mambaint proof inspect run.proof --statement run.statement --json\n",
    .run = inspect,
};

/* ---- key ---- */

static int save_key(const struct args *args, const char *out, const mambaint_key *key,
                    struct stages *stages)
{
    const double start = now_seconds();
    size_t size = 0;
    int32_t rc = mambaint_key_save(NULL, 0, &size, key);
    void *data = rc == MAMBAINT_E_SPACE ? malloc(size) : NULL;
    uint8_t digest[32];
    struct json j;
    char hex[65];
    int status;

    if (data)
        rc = mambaint_key_save(data, size, &size, key);
    stages_end(stages);
    if (!data || rc < 0) {
        free(data);
        return fail("cannot make the key: %s",
                    mambaint_status_name(rc == MAMBAINT_E_SPACE ? MAMBAINT_E_NO_MEMORY : rc));
    }
    status = write_all(out, data, size);
    free(data);
    if (status != CLI_DONE || mambaint_key_digest(digest, key) < 0)
        return status;
    digest_hex(hex, digest);
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_string(&j, "model_id", hex);
        json_integer(&j, "key_bytes", (long long)size);
        json_number(&j, "certify_ms", 1e3 * (now_seconds() - start));
        stages_json(&j, stages);
        json_close(&j);
    } else {
        printf("%s: %zu bytes, model id %s\n", out, size, hex);
    }
    return CLI_DONE;
}

static int make_verifier_key(const struct args *args, const char *out, const struct models *models,
                             struct stages *stages)
{
    mambaint_key *key = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_key_create(&key, models->model, models->n, NULL, &err);
    const int status = rc < 0 ? fail_error(rc, &err) : save_key(args, out, key, stages);

    mambaint_key_free(key);
    return status;
}

/* The library saves it: it is too large to be handed over. */
static int make_prover_key(const struct args *args, const char *out, const struct models *models,
                           struct stages *stages)
{
    const double start = now_seconds();
    uint8_t digest[32];
    mambaint_error err;
    const int32_t rc = mambaint_prover_key_save(digest, out, models->model, models->n, NULL, &err);
    struct json j;
    char hex[65];
    long long size;

    stages_end(stages);
    if (rc < 0)
        return fail_error(rc, &err);
    digest_hex(hex, digest);
    if ((size = file_size(out)) < 0)
        return CLI_FAILED;
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_string(&j, "model_id", hex);
        json_integer(&j, "key_bytes", size);
        json_number(&j, "commit_ms", 1e3 * (now_seconds() - start));
        stages_json(&j, stages);
        json_integer(&j, "peak_rss_bytes", peak_bytes());
        json_close(&j);
    } else {
        printf("%s: %lld bytes, for the prover alone; model id %s\n", out, size, hex);
    }
    return CLI_DONE;
}

static int make_key(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    struct stages stages = {.now = NULL};
    struct models models = {.n = 0};
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) == CLI_DONE &&
        (status = stages_context(&models.ctx, &stages, args)) == CLI_DONE &&
        (status = open_models(&models, args)) == CLI_DONE)
        status = (args_switch(args, "prover") ? make_prover_key
                                              : make_verifier_key)(args, out, &models, &stages);
    stages_end(&stages);
    close_models(&models);
    mambaint_context_unref(models.ctx);
    return status;
}

static const struct flag key_flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file; repeated: a chain, in that order"},
    {"prover", 0, FLAG_SWITCH, NULL,
     "instead the prover's own key, for 'prove --prover-key': large, and it has the weights"},
    {"threads", 0, FLAG_TEXT, "N", "threads to use, or auto (default; the key is the same)"},
    {0},
};

const struct command command_proof_key = {
    .name = "proof key",
    .summary = "Make the key with which others verify proofs, without the weights.",
    .operands = "",
    .many_models = true,
    .flags = (const struct flag *const[]){flags_out, key_flags, flags_json, flags_help, NULL},
    .examples = "  mambaint proof key -m simple.gguf --out simple.mivk\n"
                "  mambaint proof key -m one.gguf -m two.gguf --out chain.mivk --json\n"
                "  mambaint proof key --prover -m simple.gguf --out simple.mipk\n",
    .run = make_key,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* generate: continue a text, or evaluate a model that takes features. */
#include "answer.h"
#include <stdlib.h>

#define FEED 4096 /* tokens of a long prompt between two looks at the progress bar */

/* What goes in, and where the session starts. */
struct job {
    const struct args *args;
    mambaint_model *model;
    mambaint_tokenizer *tokenizer;
    const char *load, *save, *receipt;
    long tokens;
    bool json;
    char *prompt;
    size_t len;
};

static int feed(mambaint_session *session, const int32_t *ids, size_t n)
{
    struct progress p;
    mambaint_error err;
    int32_t rc = MAMBAINT_OK;

    progress_begin(&p, "reading the prompt");
    for (size_t at = 0; at < n && rc >= 0; at += FEED) {
        rc = mambaint_session_feed(session, ids + at, n - at < FEED ? n - at : FEED, &err);
        progress_show(&p, (double)at, (double)n, "");
    }
    progress_end(&p);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

/* A fresh session starts with the end-of-text token; then the prompt goes in as text. */
static int feed_prompt(mambaint_session *session, const struct job *job)
{
    const size_t skip = job->load ? 1 : 0;
    int32_t *ids;
    size_t n;
    int status;

    if ((ids = encode_text(&n, job->tokenizer, job->prompt, job->len, 0)))
        ids[0] = mambaint_tokenizer_end_of_text(job->tokenizer);
    status = ids ? feed(session, ids + skip, n + 1 - skip) : CLI_FAILED;
    free(ids);
    return status;
}

static int print_json(const struct answer *a, mambaint_session *session)
{
    mambaint_state *state = NULL;
    mambaint_error err;
    uint8_t digest[32];
    char hex[65];
    struct json j;
    const int32_t rc = mambaint_state_get(&state, session, &err);

    if (rc < 0)
        return fail_error(rc, &err);
    mambaint_state_digest(digest, state);
    mambaint_state_free(state);
    digest_hex(hex, digest);
    json_open(&j, stdout);
    json_text(&j, "text", a->text ? a->text : "", a->size);
    json_ids(&j, "token_ids", a->ids, a->n_ids);
    json_string(&j, "state_digest", hex);
    json_string(&j, "stop_reason", a->stop_reason);
    json_close(&j);
    return CLI_DONE;
}

/* What was generated is given out, and the state saved, also after an interrupt. */
static int finish(const struct answer *a, mambaint_session *session, const struct job *job,
                  int status)
{
    int more = CLI_DONE;

    if (status != CLI_DONE && status != CLI_INTERRUPTED)
        return status;
    if (job->json)
        more = print_json(a, session);
    else if (a->last && a->last != '\n')
        putchar('\n');
    if (job->save && more == CLI_DONE)
        more = session_save(session, job->save);
    if (job->receipt && more == CLI_DONE)
        more = receipt_save(session, job->receipt);
    return more == CLI_DONE ? status : more;
}

/* Can both files be saved? Asked before long work. */
static int check_files(const struct job *job)
{
    const int status = job->save ? check_writable(job->save) : CLI_DONE;

    return status == CLI_DONE && job->receipt ? check_writable(job->receipt) : status;
}

static int generate(const struct job *job)
{
    struct answer answer = {.echo = job->json ? NULL : stdout};
    mambaint_session *session = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_session_create(&session, job->model, job->args->options, &err);
    int status = CLI_DONE;

    if (rc < 0)
        return fail_option(rc, &err);
    interrupts_session(session);
    if (job->load)
        status = session_load(session, job->model, job->load);
    if (status == CLI_DONE)
        status = feed_prompt(session, job);
    if (status == CLI_DONE)
        status = finish(&answer, session, job, answer_stream(&answer, session, job->tokens));
    interrupts_session(NULL);
    answer_free(&answer);
    mambaint_session_free(session);
    return status;
}

static int run(struct args *args)
{
    const char *features = args_text(args, "features", NULL);
    struct job job = {
        .args = args,
        .load = args_text(args, "load-state", NULL),
        .save = args_text(args, "save-state", NULL),
        .receipt = args_text(args, "receipt", NULL),
        .json = args_switch(args, "json"),
    };
    int status;

    if (features && job.receipt) {
        fputs("mambaint generate: a receipt is of text; 'mambaint prove' proves --features\n",
              stderr);
        return CLI_USAGE;
    }
    if (features)
        return generate_features(args, features);
    if (args_count(args, "model") > 1) {
        fputs("mambaint generate: several models are a chain of --features; text has one\n",
              stderr);
        return CLI_USAGE;
    }
    if (!args_number(&job.tokens, args, "tokens", 256, 0, 1000000000))
        return CLI_USAGE;
    if ((status = check_files(&job)) != CLI_DONE)
        return status;
    if (job.receipt && mambaint_options_set(args->options, "record", "on", NULL) < 0)
        return fail_memory();
    if ((status = open_model(&job.model, args)) == CLI_DONE &&
        (status = model_tokenizer(&job.tokenizer, job.model)) == CLI_DONE &&
        (status = prompt_text(&job.prompt, &job.len, args, job.load != NULL)) == CLI_DONE)
        status = generate(&job);
    free(job.prompt);
    mambaint_tokenizer_unref(job.tokenizer);
    mambaint_model_unref(job.model);
    return status;
}

static const struct flag flags[] = {
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text to continue (default: standard input)"},
    {"tokens", 'n', FLAG_TEXT, "N", "most tokens to write (256)"},
    {"load-state", 0, FLAG_TEXT, "FILE", "go on from a saved state"},
    {"save-state", 0, FLAG_TEXT, "FILE", "save the state afterwards"},
    {"receipt", 0, FLAG_TEXT, "FILE",
     "save a receipt, with which others check it ('mambaint receipt')"},
    {"features", 0, FLAG_TEXT, "A,B,...",
     "no text: evaluate a model that takes these numbers, or a chain of such models (-m repeated)"},
    {0},
};

const struct command command_generate = {
    .name = "generate",
    .summary = "Continue a text, or evaluate a model of numbers.",
    .operands = "",
    .many_models = true,
    .flags = (const struct flag *const[]){flags, flags_model, flags_sampler, flags_json, flags_help,
                                          NULL},
    .examples =
        "  mambaint generate -m storyteller.gguf -p \"Once upon a time\" -n 200 --seed 7\n"
        "  echo \"The little boat\" | mambaint generate -m storyteller.gguf --temperature 0\n"
        "  mambaint generate -m storyteller.gguf -p Hello --json --save-state hello.state\n"
        "  mambaint generate -m storyteller.gguf -p \" again\" --load-state hello.state\n"
        "  mambaint generate -m storyteller.gguf -p Hello --receipt hello.receipt\n"
        "  mambaint generate -m simple.gguf --features 0.5,-1.25,0,0,0,0,0,0,0,1\n",
    .run = run,
};

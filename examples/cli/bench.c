/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how fast a model loads, reads and writes on this machine. */
#include "cli.h"
#include <stdlib.h>
#include <sys/resource.h>

#define REPEATS 3

struct result {
    double load_s, first_token_s, prefill_s, decode_s; /* the best of the repeats */
    long prompt_tokens, tokens;
    long long token_bytes;
    char backend[32];
};

static void keep_best(double *best, double seconds)
{
    if (seconds < *best)
        *best = seconds;
}

/* Ids that differ from step to step; which ones does not matter. */
static int32_t *make_prompt(long n, int32_t vocab)
{
    int32_t *ids = malloc((size_t)n * sizeof(*ids));

    for (long i = 0; ids && i < n; i++)
        ids[i] = (int32_t)(i * 104729 % vocab);
    return ids;
}

/* Writing: token by token, forced, so that no sampler is timed and no answer ends early. */
static int32_t write_tokens(mambaint_session *s, long n, int32_t vocab, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (long i = 0; i < n && rc >= 0; i++)
        rc = mambaint_session_force(s, (int32_t)(i * 7919 % vocab), err);
    return rc;
}

/* Reading: the prompt in one call, and then the first token. */
static int32_t measure_once(struct result *r, mambaint_session *s, const int32_t *prompt,
                            int32_t vocab, mambaint_error *err)
{
    double begin = now_seconds();
    char piece[2048];
    int32_t rc;
    size_t n;

    if ((rc = mambaint_session_feed(s, prompt, (size_t)r->prompt_tokens, err)) < 0)
        return rc;
    keep_best(&r->prefill_s, now_seconds() - begin);
    if ((rc = mambaint_session_next(piece, sizeof(piece), &n, s, err)) < 0)
        return rc;
    keep_best(&r->first_token_s, now_seconds() - begin);
    begin = now_seconds();
    if ((rc = write_tokens(s, r->tokens, vocab, err)) < 0)
        return rc;
    keep_best(&r->decode_s, now_seconds() - begin);
    return rc;
}

static int measure(struct result *r, mambaint_session *s, int32_t vocab)
{
    int32_t *prompt = make_prompt(r->prompt_tokens, vocab), rc;
    mambaint_state *start = NULL;
    mambaint_error err;

    if (!prompt)
        return fail_memory();
    r->prefill_s = r->first_token_s = r->decode_s = 1e9;
    rc = mambaint_state_get(&start, s, &err);
    for (int i = 0; rc >= 0 && i < REPEATS; i++)
        if ((rc = mambaint_state_set(s, start, &err)) >= 0)
            rc = measure_once(r, s, prompt, vocab, &err);
    mambaint_state_free(start);
    free(prompt);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static void print_text(const struct result *r, double decode, double prefill, double peak)
{
    printf("backend      %s\n", r->backend);
    printf("load         %10.1f ms\n", r->load_s * 1e3);
    printf("first token  %10.1f ms after %ld tokens of prompt\n", r->first_token_s * 1e3,
           r->prompt_tokens);
    printf("prefill      %10.1f tokens/s\n", prefill);
    printf("decode       %10.1f tokens/s, %lld bytes of weights a token (%.2f GB/s)\n", decode,
           r->token_bytes, decode * (double)r->token_bytes / 1e9);
    printf("peak memory  %10.1f MiB\n", peak / 1048576);
}

static void print_result(const struct result *r, bool json)
{
    const double decode = (double)r->tokens / r->decode_s;
    const double prefill = (double)r->prompt_tokens / r->prefill_s;
    struct rusage usage;
    struct json j;

    getrusage(RUSAGE_SELF, &usage);
    if (!json) {
        print_text(r, decode, prefill, (double)usage.ru_maxrss * 1024);
        return;
    }
    json_open(&j, stdout);
    json_number(&j, "decode_tokens_per_s", decode);
    json_number(&j, "prefill_tokens_per_s", prefill);
    json_number(&j, "first_token_ms", r->first_token_s * 1e3);
    json_number(&j, "load_ms", r->load_s * 1e3);
    json_integer(&j, "peak_rss_bytes", (long long)usage.ru_maxrss * 1024);
    json_integer(&j, "bytes_per_token", r->token_bytes);
    json_integer(&j, "prompt_tokens", r->prompt_tokens);
    json_integer(&j, "tokens", r->tokens);
    json_string(&j, "backend", r->backend);
    json_close(&j);
}

static int bench(struct result *r, mambaint_model *model, const struct args *args)
{
    char *bytes = model_text(model, "token-bytes"), *vocab = model_text(model, "vocab");
    mambaint_session *session = NULL;
    mambaint_error err;
    int32_t rc;
    int status;

    if (!bytes || !vocab) {
        status = fail_memory();
    } else if ((rc = mambaint_session_create(&session, model, args->options, &err)) < 0) {
        status = fail_option(rc, &err);
    } else {
        r->token_bytes = strtoll(bytes, NULL, 10);
        mambaint_session_text(r->backend, sizeof(r->backend), NULL, session, "backend");
        if ((status = measure(r, session, (int32_t)strtol(vocab, NULL, 10))) == CLI_DONE)
            print_result(r, args_switch(args, "json"));
    }
    mambaint_session_free(session);
    free(bytes);
    free(vocab);
    return status;
}

static int run(struct args *args)
{
    struct result r = {0};
    mambaint_model *model = NULL;
    const double begin = now_seconds();
    int status;

    if (!args_number(&r.prompt_tokens, args, "prompt-tokens", 512, 1, 10000000) ||
        !args_number(&r.tokens, args, "tokens", 128, 1, 10000000))
        return CLI_USAGE;
    if ((status = open_model(&model, args)) == CLI_DONE) {
        r.load_s = now_seconds() - begin;
        status = bench(&r, model, args);
    }
    mambaint_model_unref(model);
    return status;
}

static const struct flag flags[] = {
    {"prompt-tokens", 0, FLAG_TEXT, "N", "tokens of the prompt (512)"},
    {"tokens", 'n', FLAG_TEXT, "N", "tokens to write (128)"},
    {0},
};

const struct command command_bench = {
    .name = "bench",
    .summary = "Measure how fast a model loads, reads and writes here.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_model, flags_json, flags_help, NULL},
    .examples = "  mambaint bench -m storyteller.gguf\n"
                "  mambaint bench -m mi-130m.gguf --threads 1 --backend avx2 --json\n",
    .run = run,
};

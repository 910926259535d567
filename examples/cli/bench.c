/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how fast a model loads, reads and writes on this machine. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define REPEATS 3

struct result {
    double load_s, first_token_s, prefill_s, decode_s; /* the best of the repeats */
    long prompt_tokens, tokens;
    long long token_bytes;
    char backend[32];
};

static int32_t advance(mambaint_session *s, long n, int32_t vocab, mambaint_error *err)
{
    for (long i = 0; i < n; i++) {
        const int32_t rc = mambaint_session_force(s, (int32_t)(i * 7919 % vocab), err);

        if (rc < 0)
            return rc;
    }
    return MAMBAINT_OK;
}

/* Reading: the prompt in one call, and then the first token. Writing: token by token, forced, so
 * that no sampler is timed and no answer ends early. */
static int measure(struct result *r, mambaint_model *model, const struct args *args)
{
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_session *session = NULL;
    mambaint_state *start = NULL;
    mambaint_error err = {0};
    int32_t rc = mambaint_tokenizer_of(&tokenizer, model), vocab = 0, *ids = NULL;
    int status = CLI_DONE;

    if (rc == MAMBAINT_OK) {
        vocab = mambaint_tokenizer_vocab(tokenizer);
        rc = mambaint_session_create(&session, model, args->options, &err);
    }
    ids = malloc((size_t)(r->prompt_tokens + 1) * sizeof(*ids));
    for (long i = 0; ids && i < r->prompt_tokens; i++)
        ids[i] = (int32_t)(i * 104729 % vocab);
    if (rc == MAMBAINT_OK)
        rc = ids ? mambaint_state_get(&start, session, &err) : MAMBAINT_E_NO_MEMORY;
    r->first_token_s = r->prefill_s = r->decode_s = 1e9;
    for (int i = 0; rc == MAMBAINT_OK && i < REPEATS && !interrupted(); i++) {
        double t = now_seconds();
        char piece[2048];
        size_t n;

        if ((rc = mambaint_state_set(session, start, &err)) < 0 ||
            (rc = mambaint_session_feed(session, ids, (size_t)r->prompt_tokens, &err)) < 0)
            break;
        r->prefill_s = now_seconds() - t < r->prefill_s ? now_seconds() - t : r->prefill_s;
        if ((rc = mambaint_session_next(piece, sizeof(piece), &n, session, &err)) < 0)
            break;
        r->first_token_s =
            now_seconds() - t < r->first_token_s ? now_seconds() - t : r->first_token_s;
        t = now_seconds();
        rc = advance(session, r->tokens, vocab, &err);
        r->decode_s = now_seconds() - t < r->decode_s ? now_seconds() - t : r->decode_s;
    }
    if (rc < 0)
        status = err.message[0] ? fail_error(&err) : fail("%s", mambaint_status_name(rc));
    else if (interrupted())
        status = CLI_INTERRUPTED;
    if (session)
        mambaint_session_text(r->backend, sizeof(r->backend), NULL, session, "backend");
    free(ids);
    mambaint_state_free(start);
    mambaint_session_free(session);
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

static void print_result(const struct result *r, bool json)
{
    const double decode = (double)r->tokens / r->decode_s;
    const double prefill = (double)r->prompt_tokens / r->prefill_s;
    struct rusage usage;
    struct json j;

    getrusage(RUSAGE_SELF, &usage);
    if (!json) {
        printf("backend      %s\n", r->backend);
        printf("load         %10.1f ms\n", r->load_s * 1e3);
        printf("first token  %10.1f ms after %ld tokens of prompt\n", r->first_token_s * 1e3,
               r->prompt_tokens);
        printf("prefill      %10.1f tokens/s\n", prefill);
        printf("decode       %10.1f tokens/s, %lld bytes of weights a token (%.2f GB/s)\n", decode,
               r->token_bytes, decode * (double)r->token_bytes / 1e9);
        printf("peak memory  %10.1f MiB\n", (double)usage.ru_maxrss / 1024);
        return;
    }
    json_open(&j, stdout, "{");
    json_number(&j, "decode_tokens_per_s", decode);
    json_number(&j, "prefill_tokens_per_s", prefill);
    json_number(&j, "first_token_ms", r->first_token_s * 1e3);
    json_number(&j, "load_ms", r->load_s * 1e3);
    json_integer(&j, "peak_rss_bytes", (long long)usage.ru_maxrss * 1024);
    json_integer(&j, "bytes_per_token", r->token_bytes);
    json_integer(&j, "prompt_tokens", r->prompt_tokens);
    json_integer(&j, "tokens", r->tokens);
    json_text(&j, "backend", r->backend, strlen(r->backend));
    json_close(&j, "}");
}

static int run(struct args *args)
{
    struct result r = {0};
    mambaint_model *model = NULL;
    const double t = now_seconds();
    char *text;
    int status;

    if (!args_number(&r.prompt_tokens, args, "prompt-tokens", 512, 1, 10000000) ||
        !args_number(&r.tokens, args, "tokens", 128, 1, 10000000))
        return CLI_USAGE;
    interrupts_begin();
    if ((status = open_model(&model, args)) == CLI_DONE) {
        r.load_s = now_seconds() - t;
        if ((text = model_text(model, "token-bytes")))
            r.token_bytes = strtoll(text, NULL, 10);
        free(text);
        status = measure(&r, model, args);
    }
    if (status == CLI_DONE)
        print_result(&r, args_switch(args, "json"));
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

/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how fast a model loads, reads and writes here, and what share of the machine that is. */
#include "bench.h"
#include <stdlib.h>

#define MAX_THREADS 256
#define MAX_TOKENS 10000000
#define MAX_SESSIONS 256

void bench_name(char out[32], const struct bench_run *run)
{
    if (run->kind == BENCH_DECODE)
        snprintf(out, 32, "decode");
    else
        snprintf(out, 32, "%s %ld", run->kind == BENCH_PREFILL ? "prefill" : "batch", run->size);
}

static bool read_flags(struct bench *b)
{
    const struct args *args = b->args;

    b->json = args_switch(args, "json");
    b->profile = args_switch(args, "profile");
    b->batches.n = 0;
    return args_list(&b->threads, args, "threads", args_processors(), 1, MAX_THREADS) &&
           args_list(&b->prompts, args, "prompt-tokens", 512, 1, MAX_TOKENS) &&
           args_number(&b->tokens, args, "tokens", 128, 1, MAX_TOKENS) &&
           (!args_text(args, "batch", NULL) ||
            args_list(&b->batches, args, "batch", 1, 1, MAX_SESSIONS));
}

static int measure_all(struct bench *b)
{
    int status = CLI_DONE;

    b->sections = (double)(b->threads.n * (3 + b->prompts.n + b->batches.n) + (b->profile ? 1 : 0));
    progress_begin(&b->progress, "bench");
    interrupts_hold(NULL);
    while (status == CLI_DONE && b->n_settings < b->threads.n) {
        struct bench_setting *set = &b->setting[b->n_settings];

        set->threads = b->threads.at[b->n_settings];
        if ((status = bench_measure(b, set)) == CLI_DONE)
            b->n_settings++;
    }
    progress_end(&b->progress);
    return status;
}

static int run(struct args *args)
{
    struct bench *b = calloc(1, sizeof(*b));
    const char *path = args_text(args, "compare", NULL);
    struct bench_old *old = NULL;
    int status = CLI_DONE;

    if (!b)
        return fail_memory();
    b->args = args;
    b->model.path = args_needed(args, "model", "which model?");
    if (!b->model.path || !read_flags(b))
        status = CLI_USAGE;
    if (status == CLI_DONE && path)
        status = bench_old_read(&old, path);
    if (status == CLI_DONE && (status = measure_all(b)) == CLI_DONE) {
        if (old)
            bench_old_warn(old, b);
        bench_print(b, old);
    }
    bench_old_free(old);
    free(b->model.architecture);
    free(b->model.digest);
    free(b);
    return status;
}

static const struct flag flags[] = {
    {"prompt-tokens", 0, FLAG_TEXT, "N,...", "tokens of the prompts to read (512)"},
    {"tokens", 'n', FLAG_TEXT, "N", "tokens to write (128)"},
    {"batch", 0, FLAG_TEXT, "N,...", "also write that many texts together"},
    {"threads", 0, FLAG_TEXT, "N,...", "threads to use (default: every processor it may use)"},
    {"profile", 0, FLAG_SWITCH, NULL, "also show which kernels take the time"},
    {"compare", 0, FLAG_TEXT, "FILE", "an earlier output of --json to compare with"},
    {0},
};

const struct command command_bench = {
    .name = "bench",
    .summary = "Measure how fast a model loads, reads and writes here.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_model, flags_json, flags_help, NULL},
    .examples =
        "  mambaint bench -m storyteller.gguf\n"
        "  mambaint bench -m mi-130m.gguf --threads 1,2 --prompt-tokens 64,512 --batch 4,16\n"
        "  mambaint bench -m mi-130m.gguf --threads 1 --backend avx2 --profile\n"
        "  mambaint bench -m mi-130m.gguf --json >before.json\n"
        "  mambaint bench -m mi-130m.gguf --compare before.json\n",
    .run = run,
};

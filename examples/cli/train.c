/* SPDX-License-Identifier: Apache-2.0 */
/* train: make a model from text. Ctrl-C saves a checkpoint and leaves things whole. */
#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>


struct run {
    mambaint_trainer *trainer;
    const char *out, *checkpoint;
    bool json;
    double start, loss; /* loss: a running mean, so that the eye sees the trend */
    uint64_t start_tokens;
};

static double q20(uint64_t v) { return (double)v / 1048576; }

static double nats_to_bits(double nats) { return nats / M_LN2; }

static double speed(const struct run *r, const mambaint_train_report *report)
{
    return (double)(report->tokens - r->start_tokens) / (now_seconds() - r->start + 1e-9);
}

/* One line of metrics: the result of the command with --json. */
static void print_metrics(const struct run *r, const mambaint_train_report *report)
{
    struct json j;

    json_open(&j, stdout, "{");
    json_integer(&j, "step", (long long)report->step);
    json_integer(&j, "tokens", (long long)report->tokens);
    json_number(&j, "loss", q20(report->loss_q20));
    if (report->flags & MAMBAINT_TRAIN_VALIDATED) {
        json_number(&j, "bits_per_byte", (double)report->valid_bits_q16 / 65536 /
                                             (double)report->valid_bytes);
        json_bool(&j, "whole", report->flags & MAMBAINT_TRAIN_WHOLE);
    }
    json_number(&j, "grad_norm", q20(report->grad_norm_q20));
    json_number(&j, "lr", (double)report->lr_q40 / 1099511627776.0);
    json_number(&j, "tokens_per_s", speed(r, report));
    json_number(&j, "seconds", now_seconds() - r->start);
    json_close(&j, "}");
}

static void print_validation(const mambaint_train_report *report)
{
    fprintf(stderr, "%sstep %llu: %.6f bits per byte on the held-out text (%llu tokens, %llu bytes)%s\n",
            stderr_is_terminal() ? "\r\033[K" : "", (unsigned long long)report->step,
            (double)report->valid_bits_q16 / 65536 / (double)report->valid_bytes,
            (unsigned long long)report->valid_tokens, (unsigned long long)report->valid_bytes,
            report->flags & MAMBAINT_TRAIN_WHOLE ? ", the whole file" : "");
}

static void show(struct run *r, struct progress *p, const mambaint_train_report *report)
{
    char detail[80];

    r->loss = r->loss > 0 ? 0.95 * r->loss + 0.05 * q20(report->loss_q20) : q20(report->loss_q20);
    snprintf(detail, sizeof(detail), "step %llu  loss %.3f (%.3f bits)  %.0f tokens/s",
             (unsigned long long)report->step, r->loss, nats_to_bits(r->loss), speed(r, report));
    if (report->flags & MAMBAINT_TRAIN_VALIDATED)
        print_validation(report);
    progress_show(p, (double)report->step, (double)report->steps, detail);
    if (r->json)
        print_metrics(r, report);
}

static int save(const struct run *r)
{
    mambaint_error err;

    return mambaint_trainer_save(r->trainer, r->checkpoint, &err) < 0 ? fail_error(&err) : CLI_DONE;
}

static int finish(const struct run *r, bool done)
{
    mambaint_error err;
    int status = save(r);

    if (status == CLI_DONE && mambaint_trainer_export(r->trainer, r->out, &err) < 0)
        status = fail_error(&err);
    if (status != CLI_DONE)
        return status;
    fprintf(stderr, "model: %s\ncheckpoint: %s\n", r->out, r->checkpoint);
    if (done)
        return CLI_DONE;
    fprintf(stderr, "interrupted; the same command with --resume %s goes on\n", r->checkpoint);
    return CLI_INTERRUPTED;
}

static int loop(struct run *r)
{
    mambaint_train_report report = MAMBAINT_TRAIN_REPORT_INIT;
    mambaint_error err;
    struct progress p;
    int32_t rc = MAMBAINT_OK;
    int status = CLI_DONE;

    mambaint_trainer_status(&report, r->trainer);
    r->start_tokens = report.tokens;
    r->start = now_seconds();
    progress_begin(&p, "train");
    while (status == CLI_DONE && !interrupted()) {
        if ((rc = mambaint_trainer_step(&report, r->trainer, &err)) != MAMBAINT_OK)
            break;
        show(r, &p, &report);
        if (report.flags & MAMBAINT_TRAIN_SAVE_DUE)
            status = save(r);
    }
    progress_end(&p);
    if (rc < 0)
        return fail_error(&err);
    return status == CLI_DONE ? finish(r, rc == MAMBAINT_END) : status;
}

static void describe(const struct run *r)
{
    size_t need = 0;
    char *text;

    mambaint_trainer_text(NULL, 0, &need, r->trainer);
    if ((text = malloc(need + 1)) && mambaint_trainer_text(text, need, &need, r->trainer) == MAMBAINT_OK)
        fputs(text, stderr);
    free(text);
}

static int run(struct args *args)
{
    struct run r = {.out = args_text(args, "out", NULL), .json = args_switch(args, "json")};
    char checkpoint[4096];
    mambaint_error err;
    int status;

    if (!r.out) {
        fputs("mambaint train: where to? Name the model file with --out FILE.\n", stderr);
        return CLI_USAGE;
    }
    snprintf(checkpoint, sizeof(checkpoint), "%s.checkpoint", r.out);
    r.checkpoint = args_text(args, "checkpoint", checkpoint);
    interrupts_begin();
    if (mambaint_trainer_create(&r.trainer, NULL, args->options, &err) < 0)
        return fail_error(&err);
    describe(&r);
    status = loop(&r);
    mambaint_trainer_free(r.trainer);
    return status;
}

static const struct flag flags[] = {
    {"config", 0, FLAG_TEXT, "FILE", "lines 'key = value', keys as the flags here; flags given win"},
    {"data", 0, FLAG_OPTION, "FILE", "text or .jsonl, also .xz; 'FILE weight=2 sha256=HEX'; may be repeated"},
    {"valid", 0, FLAG_OPTION, "FILE", "held-out text for bits per byte"},
    {"data-dir", 0, FLAG_OPTION, "DIR", "where files are looked up first"},
    {"out", 'o', FLAG_TEXT, "FILE", "where the model goes"},
    {"checkpoint", 0, FLAG_TEXT, "FILE", "where checkpoints go (the model's name and .checkpoint)"},
    {"resume", 0, FLAG_OPTION, "FILE", "go on from a checkpoint, to the same bits"},
    {"arithmetic", 0, FLAG_OPTION, "NAME", "integer, or float for the twin without roundings"},
    {"tokenizer", 0, FLAG_OPTION, "FILE", "a tokenizer (default: trained on the text)"},
    {"vocab", 0, FLAG_OPTION, "N", "number of tokens (2048)"},
    {"preset", 0, FLAG_OPTION, "NAME", "a shape by name; or --layers --d-model --heads ... as in synth"},
    {"steps", 0, FLAG_OPTION, "N", "steps of the run; or --tokens N"},
    {"tokens", 'n', FLAG_OPTION, "N", "positions of the run"},
    {"batch", 0, FLAG_OPTION, "N", "streams of a step (32)"},
    {"context", 0, FLAG_OPTION, "N", "tokens of a stream (256)"},
    {"lr", 0, FLAG_OPTION, "X", "highest learning rate (0.004)"},
    {"seed", 0, FLAG_OPTION, "N", "of weights and data (0)"},
    {"valid-every", 0, FLAG_OPTION, "N", "steps between validations (0: at the end alone)"},
    {"save-every", 0, FLAG_OPTION, "N", "steps between checkpoints (0: at the end alone)"},
    {"backend", 0, FLAG_OPTION, "NAME", "auto, scalar or avx2"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (same result)"},
    {0},
};

const struct command command_train = {
    .name = "train",
    .summary = "Train a model on text, instructions and dialogues.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_json, flags_help, NULL},
    .any_option = true,
    .examples =
        "  mambaint train --config storyteller.conf --data-dir data --out storyteller.gguf\n"
        "  mambaint train --data stories.txt --valid held-out.txt --steps 2000 --out small.gguf\n"
        "  mambaint train --config storyteller.conf --data-dir data --out s.gguf \\\n"
        "      --resume s.gguf.checkpoint\n",
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* train: make a model from text. Ctrl-C saves a checkpoint and leaves things whole. */
#include "cli.h"
#include <math.h>
#include <stdlib.h>

struct run {
    mambaint_trainer *trainer;
    const char *out, *checkpoint;
    bool json;
    double start, loss; /* loss: a running mean, so that the eye sees the trend */
    uint64_t start_tokens;
};

static double q20(uint64_t v) { return (double)v / 1048576; }

static double bits_per_byte(const mambaint_train_report *report)
{
    return report->flags & MAMBAINT_TRAIN_VALIDATED
               ? (double)report->valid_bits_q16 / 65536 / (double)report->valid_bytes
               : NAN;
}

static double speed(const struct run *r, const mambaint_train_report *report)
{
    return (double)(report->tokens - r->start_tokens) / (now_seconds() - r->start + 1e-9);
}

/* ---- what is told ---- */

/* One line of metrics: the result of the command with --json. Without a validation bits_per_byte
 * is null. */
static void print_metrics(const struct run *r, const mambaint_train_report *report)
{
    struct json j;

    json_open(&j, stdout);
    json_integer(&j, "step", (long long)report->step);
    json_integer(&j, "tokens", (long long)report->tokens);
    json_number(&j, "loss", q20(report->loss_q20));
    json_number(&j, "bits_per_byte", bits_per_byte(report));
    if (report->flags & MAMBAINT_TRAIN_VALIDATED)
        json_bool(&j, "whole", report->flags & MAMBAINT_TRAIN_WHOLE);
    json_number(&j, "grad_norm", q20(report->grad_norm_q20));
    json_number(&j, "lr", (double)report->lr_q40 / 1099511627776.0);
    json_number(&j, "tokens_per_s", speed(r, report));
    json_number(&j, "seconds", now_seconds() - r->start);
    json_close(&j);
    fflush(stdout); /* somebody may follow the run */
}

static void print_validation(const mambaint_train_report *report)
{
    fprintf(stderr, "step %llu: %.6f bits per byte on %s (%llu tokens, %llu bytes)\n",
            (unsigned long long)report->step, bits_per_byte(report),
            report->flags & MAMBAINT_TRAIN_WHOLE ? "the whole held-out text"
                                                 : "part of the held-out text",
            (unsigned long long)report->valid_tokens, (unsigned long long)report->valid_bytes);
}

static void show(struct run *r, struct progress *p, const mambaint_train_report *report)
{
    const double loss = q20(report->loss_q20);
    char detail[96];

    r->loss = r->loss > 0 ? 0.95 * r->loss + 0.05 * loss : loss;
    snprintf(detail, sizeof(detail), "step %llu  loss %.3f (%.3f bits)  %.0f tokens/s",
             (unsigned long long)report->step, r->loss, r->loss / M_LN2, speed(r, report));
    if (report->flags & MAMBAINT_TRAIN_VALIDATED) {
        progress_end(p);
        print_validation(report);
    }
    progress_show(p, (double)report->step, (double)report->steps, detail);
    if (r->json)
        print_metrics(r, report);
}

static void describe(const struct run *r)
{
    size_t need = 0;
    char *text;

    mambaint_trainer_text(NULL, 0, &need, r->trainer);
    if ((text = malloc(need + 1)) &&
        mambaint_trainer_text(text, need, &need, r->trainer) == MAMBAINT_OK)
        fputs(text, stderr);
    free(text);
}

/* ---- the run ---- */

static int save(const struct run *r)
{
    mambaint_error err;
    const int32_t rc = mambaint_trainer_save(r->trainer, r->checkpoint, &err);

    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static int finish(const struct run *r, bool done)
{
    mambaint_error err;
    int status = save(r);
    int32_t rc;

    if (status != CLI_DONE)
        return status;
    if ((rc = mambaint_trainer_export(r->trainer, r->out, &err)) < 0)
        return fail_error(rc, &err);
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
        return fail_error(rc, &err);
    return status == CLI_DONE ? finish(r, report.flags & MAMBAINT_TRAIN_DONE) : status;
}

/* Reading the data may take a while; until the first step Ctrl-C just ends. */
static int train(struct run *r, const struct args *args)
{
    mambaint_error err;
    struct busy busy;
    int32_t rc;
    int status;

    busy_begin(&busy, "reading the data");
    rc = mambaint_trainer_create(&r->trainer, NULL, args->options, &err);
    busy_end(&busy);
    if (rc < 0)
        return fail_input(rc, &err);
    describe(r);
    interrupts_hold("\nsaving after this step; once more ends at once\n");
    status = loop(r);
    mambaint_trainer_free(r->trainer);
    return status;
}

static int run(struct args *args)
{
    struct run r = {.out = args_needed(args, "out", "where to?"),
                    .json = args_switch(args, "json")};
    char checkpoint[4096];
    int status;

    if (!r.out)
        return CLI_USAGE;
    snprintf(checkpoint, sizeof(checkpoint), "%s.checkpoint", r.out);
    r.checkpoint = args_text(args, "checkpoint", checkpoint);
    if ((status = check_writable(r.out)) == CLI_DONE &&
        (status = check_writable(r.checkpoint)) == CLI_DONE)
        status = train(&r, args);
    return status;
}

static const struct flag flags[] = {
    {"config", 0, FLAG_TEXT, "FILE", "lines 'key = value', keys as the flags here; flags win"},
    {"data", 0, FLAG_OPTION, "FILE",
     "text or .jsonl, also .xz; 'FILE weight=2 sha256=HEX'; may be repeated"},
    {"valid", 0, FLAG_OPTION, "FILE", "held-out text for bits per byte"},
    {"data-dir", 0, FLAG_OPTION, "DIR", "where data is looked up first"},
    {"out", 'o', FLAG_TEXT, "FILE", "where the model goes"},
    {"checkpoint", 0, FLAG_TEXT, "FILE", "where checkpoints go (the model's name .checkpoint)"},
    {"resume", 0, FLAG_OPTION, "FILE", "go on from a checkpoint, to the same bits"},
    {"steps", 0, FLAG_OPTION, "N", "steps of the run (1000); or"},
    {"tokens", 'n', FLAG_OPTION, "N", "its positions, rounded up to steps"},
    {"batch", 0, FLAG_OPTION, "N", "streams of a step (32)"},
    {"context", 0, FLAG_OPTION, "N", "tokens of a stream (256)"},
    {"valid-every", 0, FLAG_OPTION, "N", "steps between validations (0: at the end alone)"},
    {"valid-limit", 0, FLAG_OPTION, "N", "documents of a validation before the last (0: all)"},
    {"save-every", 0, FLAG_OPTION, "N", "steps between checkpoints (0: at the end alone)"},
    {0},
};

static const struct flag flags_tokenizer[] = {
    {"tokenizer", 0, FLAG_OPTION, "FILE", "a tokenizer, or a model with one (trained on the text)"},
    {"pre", 0, FLAG_OPTION, "NAME", "how a tokenizer trained here cuts text: gpt-2 or cl100k"},
    {0},
};

static const struct flag flags_optimiser[] = {
    {"arithmetic", 0, FLAG_OPTION, "NAME", "integer, or float for the twin without roundings"},
    {"lr", 0, FLAG_OPTION, "X", "highest learning rate (0.004)"},
    {"warmup", 0, FLAG_OPTION, "N", "steps over which it rises (40)"},
    {"weight-decay", 0, FLAG_OPTION, "X", "of matrices (0.05)"},
    {"clip", 0, FLAG_OPTION, "X", "largest norm of a gradient, 0: any (1)"},
    {"beta1", 0, FLAG_OPTION, "X", "of AdamW (0.9)"},
    {"beta2", 0, FLAG_OPTION, "X", "of AdamW (0.97)"},
    {"decay-init", 0, FLAG_OPTION, "NAME", "first half-lives: octaves or hippo"},
    {"seed", 0, FLAG_OPTION, "N", "of first weights and of the order of the data (0)"},
    {"name", 0, FLAG_OPTION, "TEXT", "name of the model"},
    {"license", 0, FLAG_OPTION, "TEXT", "its licence"},
    {"backend", 0, FLAG_OPTION, "NAME", "auto, scalar, avx2, avx512, neon or cuda"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (same result)"},
    {0},
};

const struct command command_train = {
    .name = "train",
    .summary = "Train a model on text, instructions and dialogues.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_tokenizer, flags_shape, flags_optimiser,
                                          flags_json, flags_help, NULL},
    .examples =
        "  mambaint train --config storyteller.conf --data-dir data --out storyteller.gguf\n"
        "  mambaint train --data stories.txt --valid held-out.txt --steps 2000 --out small.gguf\n"
        "  mambaint train --config storyteller.conf --data-dir data --out storyteller.gguf \\\n"
        "      --resume storyteller.gguf.checkpoint\n",
    .run = run,
};

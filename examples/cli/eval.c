/* SPDX-License-Identifier: Apache-2.0 */
/* eval: how well a model predicts a file, in bits per byte. */
#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATOR "\n<|endoftext|>\n"
#define PART_BYTES 65536

struct score {
    int64_t bits_q16;
    uint64_t tokens, bytes;
};

static double bits(const struct score *s) { return (double)s->bits_q16 / 65536; }

static double per(double sum, uint64_t n) { return n ? sum / (double)n : 0; }

/* The end of a part: behind the first separator that lies PART_BYTES on, or the end of the text.
 * Scores of parts that end with separators add up exactly. */
static size_t part_end(const char *text, size_t at, size_t size)
{
    const char *found = NULL;

    if (size - at > PART_BYTES)
        found =
            memmem(text + at + PART_BYTES, size - at - PART_BYTES, SEPARATOR, strlen(SEPARATOR));
    return found ? (size_t)(found - text) + strlen(SEPARATOR) : size;
}

static int score_text(struct score *s, mambaint_session *session, const char *text, size_t size)
{
    struct progress p;
    mambaint_error err;
    int32_t rc = MAMBAINT_OK;

    progress_begin(&p, "eval");
    for (size_t at = 0, end; at < size && rc >= 0; at = end) {
        struct score part = {0};
        char detail[48];

        end = part_end(text, at, size);
        rc = mambaint_session_score(&part.bits_q16, &part.tokens, &part.bytes, session, text + at,
                                    end - at, &err);
        s->bits_q16 += part.bits_q16;
        s->tokens += part.tokens;
        s->bytes += part.bytes;
        snprintf(detail, sizeof(detail), "%.4f bits/byte", per(bits(s), s->bytes));
        progress_show(&p, (double)end, (double)size, detail);
    }
    progress_end(&p);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static void print_score(const struct score *s, bool json)
{
    const double per_byte = per(bits(s), s->bytes), per_token = per(bits(s) * M_LN2, s->tokens);
    struct json j;

    if (!json) {
        printf("%.6f bits per byte, %.6f nats per token (%llu tokens, %llu bytes)\n", per_byte,
               per_token, (unsigned long long)s->tokens, (unsigned long long)s->bytes);
        return;
    }
    json_open(&j, stdout);
    json_number(&j, "bits_per_byte", per_byte);
    json_number(&j, "nats_per_token", per_token);
    json_integer(&j, "tokens", (long long)s->tokens);
    json_integer(&j, "bytes", (long long)s->bytes);
    json_integer(&j, "bits_q16", (long long)s->bits_q16);
    json_close(&j);
}

static int eval(const struct args *args, mambaint_model *model, const char *text, size_t size)
{
    mambaint_session *session = NULL;
    struct score score = {0};
    mambaint_error err;
    const int32_t rc = mambaint_session_create(&session, model, args->options, &err);
    int status;

    if (rc < 0)
        return fail_option(rc, &err);
    interrupts_session(session);
    if ((status = score_text(&score, session, text, size)) == CLI_DONE)
        print_score(&score, args_switch(args, "json"));
    interrupts_session(NULL);
    mambaint_session_free(session);
    return status;
}

static int run(struct args *args)
{
    mambaint_model *model = NULL;
    char *text = NULL;
    size_t size = 0;
    int status = open_model(&model, args);

    if (status == CLI_DONE && !(text = read_all(args->operand[0], &size)))
        status = CLI_FAILED;
    if (status == CLI_DONE && !size)
        status = fail("'%s' is empty: there is nothing to predict", args->operand[0]);
    if (status == CLI_DONE)
        status = eval(args, model, text, size);
    free(text);
    mambaint_model_unref(model);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "Measure how well a model predicts a text file ('-': standard input).",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = (const struct flag *const[]){flags_model, flags_json, flags_help, NULL},
    .examples = "  mambaint eval -m storyteller.gguf tinystories-valid.txt\n"
                "  xz -dc tinystories-valid.txt.xz | mambaint eval -m storyteller.gguf - --json\n",
    .run = run,
};

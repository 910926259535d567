/* SPDX-License-Identifier: Apache-2.0 */
/* receipt: run again what a receipt says, and compare. Also how generate saves one. */
#include "answer.h"
#include <stdlib.h>

/* ---- saving ---- */

int receipt_save(mambaint_session *session, const char *path)
{
    mambaint_error err;
    size_t need = 0;
    void *data = NULL;
    int32_t rc = mambaint_receipt_create(NULL, 0, &need, session, &err);
    int status;

    if (rc != MAMBAINT_E_SPACE)
        return fail_error(rc, &err);
    if (!(data = malloc(need)))
        return fail_memory();
    if ((rc = mambaint_receipt_create(data, need, &need, session, &err)) < 0)
        status = fail_error(rc, &err);
    else if ((status = write_all(path, data, need)) == CLI_DONE)
        fprintf(stderr, "saved the receipt (%zu bytes) to %s\n", need, path);
    free(data);
    return status;
}

/* ---- checking ---- */

struct paper {
    const char *path;
    char *data;
    size_t size;
    mambaint_model *model;
    mambaint_tokenizer *tokenizer;
    mambaint_state *start; /* NULL: nothing in memory */
};

static int read_start(struct paper *p, const char *path)
{
    size_t size;
    char *data = path ? read_all(path, &size) : NULL;
    mambaint_error err;
    int32_t rc;

    if (!path)
        return CLI_DONE;
    if (!data)
        return CLI_FAILED;
    rc = mambaint_state_load(&p->start, p->model, data, size, &err);
    free(data);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

/* On the heap; NULL if it cannot be told. */
static char *tell(const struct paper *p, const char *key)
{
    size_t need = 0;
    char *text;

    if (mambaint_receipt_text(NULL, 0, &need, p->data, p->size, p->tokenizer, key) !=
            MAMBAINT_E_SPACE ||
        !(text = malloc(need)))
        return NULL;
    if (mambaint_receipt_text(text, need, &need, p->data, p->size, p->tokenizer, key) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int print_json(const struct paper *p, bool ok, double seconds, const char *message)
{
    char *json = ok ? tell(p, "json") : NULL;
    struct json j;

    if (ok && !json)
        return fail_memory();
    json_open(&j, stdout);
    json_bool(&j, "ok", ok);
    json_number(&j, "check_ms", 1e3 * seconds);
    json_raw(&j, "receipt", json);
    json_string(&j, "message", ok ? "holds" : message);
    json_close(&j);
    free(json);
    return ok ? CLI_DONE : CLI_FAILED;
}

static int print_words(const struct paper *p, bool ok, double seconds, const char *message)
{
    char *words;

    if (!ok)
        return fail("%s: does NOT hold: %s", p->path, message);
    if (!(words = tell(p, "text")))
        return fail_memory();
    printf("%s: holds; run again, it gives the same tokens and the same state\n%s", p->path, words);
    fprintf(stderr, "checked in %.1f ms\n", 1e3 * seconds);
    free(words);
    return CLI_DONE;
}

static int check(const struct paper *p, const struct args *args)
{
    const double begin = now_seconds();
    mambaint_error err = {0, ""};
    const int32_t rc =
        mambaint_receipt_check(p->model, p->start, p->data, p->size, args->options, &err);
    const double seconds = now_seconds() - begin;
    const bool ok = rc == MAMBAINT_ACCEPTED;
    const int status = args_switch(args, "json") ? print_json(p, ok, seconds, err.message)
                                                 : print_words(p, ok, seconds, err.message);

    return rc == MAMBAINT_E_INVALID ? CLI_USAGE : status;
}

static int run(struct args *args)
{
    struct paper p = {.path = args->operand[0]};
    int status = open_model(&p.model, args);

    if (status == CLI_DONE && (status = model_tokenizer(&p.tokenizer, p.model)) == CLI_DONE &&
        (p.data = read_all(p.path, &p.size)) == NULL)
        status = CLI_FAILED;
    if (status == CLI_DONE &&
        (status = read_start(&p, args_text(args, "load-state", NULL))) == CLI_DONE)
        status = check(&p, args);
    free(p.data);
    mambaint_state_free(p.start);
    mambaint_tokenizer_unref(p.tokenizer);
    mambaint_model_unref(p.model);
    return status;
}

static const struct flag flags[] = {
    {"load-state", 0, FLAG_TEXT, "FILE", "the saved state that it starts from, if it does"},
    {0},
};

const struct command command_receipt = {
    .name = "receipt",
    .summary = "Run again what a receipt says. The status is 0 only if the same comes out.",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = (const struct flag *const[]){flags, flags_model, flags_json, flags_help, NULL},
    .examples =
        "  mambaint generate -m storyteller.gguf -p \"Once upon a time\" --receipt story.receipt\n"
        "  mambaint receipt story.receipt -m storyteller.gguf\n"
        "  mambaint receipt more.receipt -m storyteller.gguf --load-state hello.state --json\n",
    .run = run,
};

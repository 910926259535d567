/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, and what several commands ask of the library. */
#include "cli.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fail(const char *fmt, ...)
{
    va_list args;

    fputs("mambaint: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int fail_memory(void) { return fail("out of memory"); }

int fail_error(int32_t rc, const mambaint_error *err)
{
    return rc == MAMBAINT_E_CANCELLED ? CLI_INTERRUPTED : fail("%s", err->message);
}

int fail_option(int32_t rc, const mambaint_error *err)
{
    const int status = fail_error(rc, err);

    return rc == MAMBAINT_E_INVALID || rc == MAMBAINT_E_RANGE ? CLI_USAGE : status;
}

int fail_input(int32_t rc, const mambaint_error *err)
{
    return rc == MAMBAINT_E_RANGE && strncmp(err->message, "option", 6) ? fail_error(rc, err)
                                                                        : fail_option(rc, err);
}

int fail_output(void)
{
    return errno == EPIPE ? CLI_FAILED
                          : fail("cannot write to standard output: %s", strerror(errno));
}

int open_model(mambaint_model **out, const struct args *args)
{
    const char *path = args_needed(args, "model", "which model?");
    mambaint_error err;
    int32_t rc;

    if (!path)
        return CLI_USAGE;
    rc = mambaint_model_open(out, NULL, path, args->options, &err);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

int open_models(struct models *m, const struct args *args)
{
    if (!args_needed(args, "model", "which model?"))
        return CLI_USAGE;
    if (!(m->model = calloc(args->n_given, sizeof(*m->model))))
        return fail_memory();
    for (size_t i = 0; i < args->n_given; i++) {
        mambaint_error err;
        int32_t rc;

        if (strcmp(args->given[i]->name, "model"))
            continue;
        rc = mambaint_model_open(&m->model[m->n], m->ctx, args->value[i], args->options, &err);
        if (rc < 0)
            return fail_error(rc, &err);
        m->n++;
    }
    return CLI_DONE;
}

void close_models(struct models *m)
{
    for (size_t i = 0; i < m->n; i++)
        mambaint_model_unref(m->model[i]);
    free(m->model);
}

char *model_text(const mambaint_model *model, const char *key)
{
    size_t need = 0;
    char *text;

    if (mambaint_model_text(NULL, 0, &need, model, key) != MAMBAINT_E_SPACE ||
        !(text = malloc(need)))
        return NULL;
    if (mambaint_model_text(text, need, &need, model, key) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

int model_tokenizer(mambaint_tokenizer **out, const mambaint_model *model)
{
    switch (mambaint_tokenizer_of(out, model)) {
    case MAMBAINT_OK:
        return CLI_DONE;
    case MAMBAINT_E_UNSUPPORTED:
        return fail("this model takes features, not text; try 'mambaint generate --features'");
    default:
        return fail_memory();
    }
}

int prompt_text(char **text, size_t *len, const struct args *args, bool may_be_none)
{
    const char *given = args_text(args, "prompt", NULL);

    if (!given && isatty(STDIN_FILENO)) {
        if (may_be_none)
            given = "";
        else
            fputs("(type the text to continue; Ctrl-D ends it)\n", stderr);
    }
    if (given) {
        *len = strlen(given);
        *text = strdup(given);
        return *text ? CLI_DONE : fail_memory();
    }
    if (!(*text = read_all("-", len)))
        return CLI_FAILED;
    if (*len && (*text)[*len - 1] == '\n')
        *len -= *len > 1 && (*text)[*len - 2] == '\r' ? 2 : 1;
    return CLI_DONE;
}

void digest_hex(char out[65], const uint8_t digest[32])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

int32_t *encode_text(size_t *n, const mambaint_tokenizer *tokenizer, const char *text, size_t len,
                     uint32_t flags)
{
    int32_t rc = mambaint_tokenizer_encode(NULL, 0, n, tokenizer, text, len, flags), *ids = NULL;

    if (rc == MAMBAINT_OK || rc == MAMBAINT_E_SPACE) {
        ids = malloc((*n + 1) * sizeof(*ids));
        rc = ids ? mambaint_tokenizer_encode(ids + 1, *n, n, tokenizer, text, len, flags)
                 : MAMBAINT_E_NO_MEMORY;
    }
    if (rc < 0) {
        fail("cannot encode the text: %s", mambaint_status_name(rc));
        free(ids);
        return NULL;
    }
    return ids;
}

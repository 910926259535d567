/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny synthetic model for tests of what lies above models: made once, as a file and as bytes. */
#ifndef MBI_TESTS_TINY_H
#define MBI_TESTS_TINY_H

#include "support.h"
#include <mambaint.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct tiny {
    char dir[TEST_PATH], path[TEST_PATH];
    uint8_t *bytes; /* malloc'd */
    size_t size;
};

/* Options from keys and values, ended by NULL. */
static inline mambaint_options *tiny_options(const char *key, ...)
{
    mambaint_options *o;
    mambaint_error err = {0, ""};
    va_list args;

    ck_assert_int_eq(mambaint_options_create(&o), MAMBAINT_OK);
    va_start(args, key);
    for (; key; key = va_arg(args, const char *))
        ck_assert_msg(mambaint_options_set(o, key, va_arg(args, const char *), &err) == MAMBAINT_OK,
                      "%s", err.message);
    va_end(args);
    return o;
}

/* Saves a model of these options, which it frees. */
static inline void tiny_make(struct tiny *t, mambaint_options *o)
{
    mambaint_error err = {0, ""};

    test_dir_make(t->dir);
    test_path(t->path, t->dir, "tiny.gguf");
    ck_assert_msg(mambaint_model_synth(NULL, t->path, o, &err) == MAMBAINT_OK, "%s", err.message);
    mambaint_options_free(o);
    t->bytes = test_file_read(&t->size, t->path);
}

static inline void tiny_free(struct tiny *t)
{
    free(t->bytes);
    test_dir_remove(t->dir);
}

static inline mambaint_model *tiny_open(const struct tiny *t, mambaint_context *ctx)
{
    mambaint_error err = {0, ""};
    mambaint_model *m;

    ck_assert_msg(mambaint_model_open_memory(&m, ctx, t->bytes, t->size, NULL, &err) == MAMBAINT_OK,
                  "%s", err.message);
    return m;
}

/* A session with these options, which it frees; NULL: defaults. */
static inline mambaint_session *tiny_session(mambaint_model *m, mambaint_options *o)
{
    mambaint_error err = {0, ""};
    mambaint_session *s;

    ck_assert_msg(mambaint_session_create(&s, m, o, &err) == MAMBAINT_OK, "%s", err.message);
    mambaint_options_free(o);
    return s;
}

/* A context on the memory of a test host. */
static inline mambaint_context *tiny_context(const struct mbi_host *host, uint32_t threads)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx = NULL;

    setup.alloc = host->alloc;
    setup.alloc_user = host->alloc_user;
    setup.threads = threads;
    mambaint_context_create(&ctx, &setup, NULL);
    return ctx;
}

#define OK(call) ck_assert_int_eq((call), MAMBAINT_OK)

#endif

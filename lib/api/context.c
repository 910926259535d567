/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, the version, and giving results to buffers of the caller. */
#include "api/context.h"
#include "api/options.h"
#include "base/cores.h"
#include "base/intmath.h"
#include <string.h>

#ifndef MBI_VERSION
#define MBI_VERSION "0.1.0"
#endif

const char *mambaint_version(void) { return MBI_VERSION; }

void mambaint_context_setup_init(mambaint_context_setup *setup, size_t size)
{
    if (!setup)
        return;
    memset(setup, 0, size);
    if (size >= sizeof(setup->struct_size))
        setup->struct_size = size;
}

/* The caller's structure may be shorter or longer: what it lacks is zero, what we lack must be. */
static int32_t read_setup(mambaint_context_setup *out, const mambaint_context_setup *setup,
                          mambaint_error *err)
{
    const size_t size = setup->struct_size;

    memset(out, 0, sizeof(*out));
    if (size < sizeof(setup->struct_size))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "context: struct_size is not set; use MAMBAINT_CONTEXT_SETUP_INIT");
    for (size_t i = sizeof(*out); i < size; i++)
        if (((const unsigned char *)setup)[i])
            return mbi_fail(err, MAMBAINT_E_VERSION,
                            "context: the set-up uses fields that this library does not know");
    memcpy(out, setup, mbi_min_size(size, sizeof(*out)));
    if (out->reserved)
        return mbi_fail(err, MAMBAINT_E_INVALID, "context: the reserved field must be zero");
    if (out->threads > MBI_MAX_THREADS)
        return mbi_fail(err, MAMBAINT_E_RANGE, "context: %u threads, but at most %d are possible",
                        out->threads, MBI_MAX_THREADS);
    return MAMBAINT_OK;
}

/* More threads than the process may use cores would wait for each other. */
static int32_t create(mambaint_context **out, const struct mbi_host *host, uint32_t threads,
                      mambaint_error *err)
{
    mambaint_context *ctx = mbi_alloc(host, 1, sizeof(*ctx));
    int32_t rc;

    if (!ctx)
        return mbi_fail_memory(err, "a context");
    ctx->host = *host;
    atomic_init(&ctx->refs, 1);
    if (threads > 1)
        threads = (uint32_t)mbi_min_size(threads, mbi_usable_cores());
    if ((rc = mbi_pool_create(&ctx->host.pool, &ctx->host, threads, err)) < 0) {
        mambaint_context_unref(ctx);
        return rc;
    }
    *out = ctx;
    return MAMBAINT_OK;
}

int32_t mambaint_context_create(mambaint_context **out, const mambaint_context_setup *setup,
                                mambaint_error *err)
{
    mambaint_context_setup known = MAMBAINT_CONTEXT_SETUP_INIT;
    struct mbi_host host;
    int32_t rc;

    if (!out)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out must not be NULL");
    *out = NULL;
    if (setup && (rc = read_setup(&known, setup, err)) < 0)
        return rc;
    mbi_host_default(&host);
    if (known.alloc) {
        host.alloc = known.alloc;
        host.alloc_user = known.alloc_user;
    }
    host.log = known.log;
    host.log_user = known.log_user;
    host.progress = known.progress;
    host.progress_user = known.progress_user;
    return create(out, &host, known.threads, err);
}

void mambaint_context_ref(mambaint_context *ctx)
{
    if (ctx)
        atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
}

void mambaint_context_unref(mambaint_context *ctx)
{
    struct mbi_host host;

    if (!ctx || atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
        return;
    mbi_pool_free(&ctx->host, ctx->host.pool);
    host = ctx->host;
    mbi_free(&host, ctx);
}

static int32_t read_threads(uint32_t *out, const mambaint_options *options, mambaint_error *err)
{
    const char *text = mbi_option(options, "threads");

    *out = MBI_MAX_THREADS;
    if (text && !strcmp(text, "auto"))
        return MAMBAINT_OK;
    *out = 1;
    return mbi_option_u32(out, options, "threads", 1, MBI_MAX_THREADS, err);
}

int32_t mbi_context_take(mambaint_context **out, mambaint_context *given,
                         const mambaint_options *options, mambaint_error *err)
{
    struct mbi_host host;
    uint32_t threads;
    int32_t rc;

    *out = given;
    mambaint_context_ref(given);
    if (given)
        return MAMBAINT_OK;
    if ((rc = read_threads(&threads, options, err)) < 0)
        return rc;
    mbi_host_default(&host);
    return create(out, &host, threads, err);
}

int32_t mbi_give_bytes(void *buf, size_t cap, size_t *need, const void *bytes, size_t n)
{
    if (need)
        *need = n;
    if (n > cap)
        return MAMBAINT_E_SPACE;
    if (n && !buf)
        return MAMBAINT_E_INVALID;
    if (n)
        memcpy(buf, bytes, n);
    return MAMBAINT_OK;
}

int32_t mbi_give_text(char *buf, size_t cap, size_t *need, const char *text, size_t n)
{
    if (need)
        *need = n + 1;
    if (cap <= n)
        return MAMBAINT_E_SPACE;
    if (!buf)
        return MAMBAINT_E_INVALID;
    if (n)
        memcpy(buf, text, n);
    buf[n] = 0;
    return MAMBAINT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and log of the embedding program. */
#include "base/host.h"
#include "base/intmath.h"
#include "base/scratch.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CACHE_LINE 64

static void *alloc_default(void *user, void *old, size_t size)
{
    (void)user;
    if (size)
        return realloc(old, size);
    free(old);
    return NULL;
}

void mbi_host_default(struct mbi_host *host) { *host = (struct mbi_host){.alloc = alloc_default}; }

/* Asking for nothing still gives a block, because NULL has to mean "refused". */
void *mbi_realloc(const struct mbi_host *host, void *old, size_t n, size_t size)
{
    size_t bytes;

    if (!mbi_mul_size(&bytes, n, size))
        return NULL;
    return host->alloc(host->alloc_user, old, bytes ? bytes : 1);
}

void *mbi_alloc(const struct mbi_host *host, size_t n, size_t size)
{
    void *block = mbi_realloc(host, NULL, n, size);

    return block ? memset(block, 0, n * size) : NULL;
}

/* The block's own address is kept just below the aligned one. */
static void *alloc_at(const struct mbi_host *host, size_t size, size_t align)
{
    size_t bytes;
    uint8_t *block, *aligned;
    void **back;

    if (!mbi_add_size(&bytes, size, align + sizeof(void *)) ||
        !(block = mbi_realloc(host, NULL, bytes, 1)))
        return NULL;
    aligned = block + sizeof(void *);
    aligned += (align - (uintptr_t)aligned % align) % align;
    back = (void **)(void *)aligned;
    back[-1] = block;
    return aligned;
}

void *mbi_alloc_aligned(const struct mbi_host *host, size_t size)
{
    void *block = alloc_at(host, size, CACHE_LINE);

    return block ? memset(block, 0, size) : NULL;
}

/* A refusal costs nothing but speed. The verifier alone calls nothing but the library of C. */
static void advise(void *block, size_t size)
{
#if !defined(MBI_VERIFIER)
    madvise(block, size, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}

/* Whole pages inside the block alone are advised about. */
void *mbi_alloc_huge(const struct mbi_host *host, size_t size)
{
    void *block;

    if (size < MBI_HUGE_PAGE)
        return alloc_at(host, size, CACHE_LINE);
    if (host->scratch)
        return mbi_scratch_take(host, size);
    if ((block = alloc_at(host, size, MBI_HUGE_PAGE)))
        advise(block, size / MBI_HUGE_PAGE * MBI_HUGE_PAGE);
    return block;
}

void mbi_free(const struct mbi_host *host, void *block)
{
    if (block)
        host->alloc(host->alloc_user, block, 0);
}

void mbi_free_aligned(const struct mbi_host *host, void *block)
{
    if (!block || (host->scratch && mbi_scratch_give(host, block)))
        return;
    mbi_free(host, ((void **)block)[-1]);
}

char *mbi_strndup(const struct mbi_host *host, const char *text, size_t len)
{
    size_t bytes;
    char *copy;

    if (!mbi_add_size(&bytes, len, 1) || !(copy = mbi_alloc(host, bytes, 1)))
        return NULL;
    if (len)
        memcpy(copy, text, len);
    return copy;
}

void mbi_progress(const struct mbi_host *host, const char *stage, uint64_t done, uint64_t total)
{
    if (host->progress)
        host->progress(host->progress_user, stage, done, total);
}

void mbi_log(const struct mbi_host *host, int32_t level, const char *fmt, ...)
{
    char text[512];
    va_list args;

    if (!host->log)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    host->log(host->log_user, level, text);
}

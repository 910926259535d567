/* SPDX-License-Identifier: Apache-2.0 */
/* In place of pool.c, cores.c and scratch.c where a library starts no threads: the caller works
 * alone. */
#include "base/cores.h"
#include "base/scratch.h"

void mbi_parallel_for(const struct mbi_host *host, size_t n, size_t grain,
                      void (*fn)(void *arg, size_t begin, size_t end), void *arg)
{
    (void)host;
    (void)grain;
    if (n)
        fn(arg, 0, n);
}

int32_t mbi_pool_create(struct mbi_pool **out, const struct mbi_host *host, uint32_t threads,
                        mambaint_error *err)
{
    (void)host;
    (void)threads;
    (void)err;
    *out = NULL;
    return MAMBAINT_OK;
}

void mbi_pool_free(const struct mbi_host *host, struct mbi_pool *pool)
{
    (void)host;
    (void)pool;
}

uint32_t mbi_pool_threads(const struct mbi_pool *pool)
{
    (void)pool;
    return 1;
}

uint32_t mbi_usable_cores(void) { return 1; }

void *mbi_scratch_take(const struct mbi_host *host, size_t size)
{
    (void)host;
    (void)size;
    return NULL; /* no host has one */
}

bool mbi_scratch_give(const struct mbi_host *host, void *block)
{
    (void)host;
    (void)block;
    return false;
}

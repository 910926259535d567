/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: what the embedding program lends to the library (memory, log, worker threads).
 * Every object keeps a pointer to the host it was created with; a context owns one host.
 */
#ifndef MBI_BASE_HOST_H
#define MBI_BASE_HOST_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbi_pool;
struct mbi_scratch;

struct mbi_host {
    void *(*alloc)(void *user, void *old, size_t size); /* like realloc; size 0 frees */
    void *alloc_user;
    void (*log)(void *user, int32_t level, const char *text); /* NULL: silent */
    void *log_user;
    struct mbi_pool *pool; /* NULL: the calling thread works alone */
    /* How far a long call is; NULL: nobody asks. */
    void (*progress)(void *user, const char *stage, uint64_t done, uint64_t total);
    void *progress_user;
    struct mbi_scratch *scratch; /* keeps large blocks for the next step; NULL: nobody does */
};

#define MBI_HUGE_PAGE ((size_t)2 << 20) /* bytes */

#define MBI_LOG_ERROR 1
#define MBI_LOG_WARNING 2
#define MBI_LOG_INFO 3

/* A silent host on malloc with no worker threads. */
void mbi_host_default(struct mbi_host *host);

/* n * size zeroed bytes, aligned for any type; NULL if refused or if the product overflows. */
void *mbi_alloc(const struct mbi_host *host, size_t n, size_t size);

/* Change a block to n * size bytes; new bytes are not zeroed. NULL leaves the old block alone. */
void *mbi_realloc(const struct mbi_host *host, void *old, size_t n, size_t size);

/* Zeroed and aligned to 64 bytes; free with mbi_free_aligned(). */
void *mbi_alloc_aligned(const struct mbi_host *host, size_t size);

/*
 * Not zeroed. A large block is aligned to 2 MiB and the system is asked for huge pages, which read
 * faster than small ones beyond the last cache; free with mbi_free_aligned().
 */
void *mbi_alloc_huge(const struct mbi_host *host, size_t size);

void mbi_free(const struct mbi_host *host, void *block);         /* NULL is fine */
void mbi_free_aligned(const struct mbi_host *host, void *block); /* NULL is fine */

/* A NUL-terminated copy of len bytes. */
char *mbi_strndup(const struct mbi_host *host, const char *text, size_t len);

/*
 * Tell how far a long call is, from the thread that made it: `stage` is static text, `done` of
 * `total` (> 0) of it is done. Cheap, so that it may be told often.
 */
void mbi_progress(const struct mbi_host *host, const char *stage, uint64_t done, uint64_t total);

void mbi_log(const struct mbi_host *host, int32_t level, const char *fmt, ...) MBI_PRINTF(3, 4);

/*
 * Call fn(arg, begin, end) on disjoint parts that cover [0, n), on the host's threads, and wait.
 * Parts begin at multiples of `grain` (> 0). Results must not depend on the cut.
 */
void mbi_parallel_for(const struct mbi_host *host, size_t n, size_t grain,
                      void (*fn)(void *arg, size_t begin, size_t end), void *arg);

/* Worker threads: `threads` counts the caller, so 1 makes no thread and stores NULL. */
int32_t mbi_pool_create(struct mbi_pool **out, const struct mbi_host *host, uint32_t threads,
                        mambaint_error *err);
void mbi_pool_free(const struct mbi_host *host, struct mbi_pool *pool);
uint32_t mbi_pool_threads(const struct mbi_pool *pool); /* 1 for NULL */

#endif

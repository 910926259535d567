/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedding program lends to the library: memory, log, worker threads. */
#ifndef MAMBAINT_CONTEXT_H
#define MAMBAINT_CONTEXT_H

#include <mambaint/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup context Contexts
 *
 * A context carries the allocator, the log and the worker threads, so that the library needs no
 * globals. Wherever a call takes a context, NULL stands for a private, silent one on malloc().
 * Everything made with a context keeps a reference, so the order of destruction does not matter.
 *
 * Threads: a context is immutable and may be shared; its callbacks may be called from any thread
 * that uses the context and from its worker threads, also at the same time. Never more threads
 * work than the process may use cores (affinity and control groups, as they are when the context is
 * made), and fewer do while other processes keep the cores busy; results do not depend on it. After
 * fork() the child may go on with what no other thread was using; there the caller works alone.
 * @{
 */

/** Memory, log and threads of the embedding program. */
typedef struct mambaint_context mambaint_context;

#define MAMBAINT_LOG_ERROR 1   /**< level of a log line: something failed */
#define MAMBAINT_LOG_WARNING 2 /**< level of a log line: something is odd, work goes on */
#define MAMBAINT_LOG_INFO 3    /**< level of a log line: progress */

/** Set-up for mambaint_context_create(). Zero in any field but the first asks for its default. */
typedef struct mambaint_context_setup {
    size_t struct_size; /**< sizeof(mambaint_context_setup) as the caller compiled it */
    /**
     * Like realloc(): `old` is NULL or a block from here; size 0 frees. Blocks are aligned for any
     * type. NULL means refused, and the old block stays. Default: malloc() and its kin.
     */
    void *(*alloc)(void *user, void *old, size_t size);
    void *alloc_user;                                         /**< first argument of `alloc` */
    void (*log)(void *user, int32_t level, const char *text); /**< one line; default: silent */
    void *log_user;                                           /**< first argument of `log` */
    uint32_t threads;  /**< most threads that work, the caller included: 1 to 256; default 1 */
    uint32_t reserved; /**< zero */
    /**
     * How far a long call is, told by the thread that made it: `done` of `total` of a stage, whose
     * name is static text. Stages follow each other, and their number depends on the call: so far
     * mambaint_proof_create() tells. It may be called thousands of times. Default: nobody is told.
     */
    void (*progress)(void *user, const char *stage, uint64_t done, uint64_t total);
    void *progress_user; /**< first argument of `progress` */
} mambaint_context_setup;

/** A set-up that asks for every default. */
#define MAMBAINT_CONTEXT_SETUP_INIT                                                                \
    {                                                                                              \
        sizeof(mambaint_context_setup), 0, 0, 0, 0, 0, 0, 0, 0                                     \
    }

/**
 * The same for languages without macros: store a set-up of defaults.
 *
 * @param[out] setup  NULL is fine
 * @param[in]  size   size of `*setup` in bytes as the caller knows it; becomes `struct_size`
 */
MAMBAINT_API void mambaint_context_setup_init(mambaint_context_setup *setup, size_t size);

/**
 * Create a context.
 *
 * @param[out] out    the context, NULL on failure; give it back with mambaint_context_unref()
 * @param[in]  setup  what to use, or NULL for all defaults; not kept
 * @param[out] err    detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           `*out` is ready
 * @retval MAMBAINT_E_INVALID    `out` is NULL, or `struct_size` is too small to be one
 * @retval MAMBAINT_E_VERSION    `setup` is longer than this library knows and its tail is not zero
 * @retval MAMBAINT_E_RANGE      `threads` is above 256
 * @retval MAMBAINT_E_UNSUPPORTED  the system does not start that many threads
 * @retval MAMBAINT_E_NO_MEMORY  out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_context_create(mambaint_context **out,
                                             const mambaint_context_setup *setup,
                                             mambaint_error *err);

/** Take one more reference. NULL is fine. */
MAMBAINT_API void mambaint_context_ref(mambaint_context *ctx);

/** Give a reference back; the last one frees the context. NULL is fine. */
MAMBAINT_API void mambaint_context_unref(mambaint_context *ctx);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

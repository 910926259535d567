/* SPDX-License-Identifier: Apache-2.0 */
/* The context behind every object of the API. */
#ifndef MBI_API_CONTEXT_H
#define MBI_API_CONTEXT_H

#include "base/host.h"
#include <mambaint/context.h>
#include <mambaint/options.h>
#include <stdatomic.h>

#define MBI_MAX_THREADS 256

struct mambaint_context {
    atomic_uint refs;
    struct mbi_host host; /* objects point to it, so it stays where it is */
};

/*
 * A reference for a new object: the caller's context, or without one a private, silent one with as
 * many threads as the option `threads` says.
 */
int32_t mbi_context_take(mambaint_context **out, mambaint_context *given,
                         const mambaint_options *options, mambaint_error *err);

/*
 * Give `text` of n bytes and a NUL to a caller's buffer: the shape of every call that returns text.
 * E_SPACE stores nothing but the size.
 */
int32_t mbi_give_text(char *buf, size_t cap, size_t *need, const char *text, size_t n);
/* The same for bytes without a NUL. */
int32_t mbi_give_bytes(void *buf, size_t cap, size_t *need, const void *bytes, size_t n);

#endif

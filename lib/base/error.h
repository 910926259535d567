/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the caller's error block. */
#ifndef MBI_BASE_ERROR_H
#define MBI_BASE_ERROR_H

#include "base/compiler.h"
#include <mambaint/common.h>

/* Store `code` and a formatted sentence in *err (which may be NULL) and return `code`. */
int32_t mbi_fail(mambaint_error *err, int32_t code, const char *fmt, ...) MBI_PRINTF(3, 4);

/* mbi_fail() for a refused allocation; `what` names the thing that was to be built. */
int32_t mbi_fail_memory(mambaint_error *err, const char *what);

/* mbi_fail(E_IO) that adds the path and strerror(errno). */
int32_t mbi_fail_errno(mambaint_error *err, const char *doing, const char *path);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What a module has of its own, as it calls nothing of the library: filling the error block. */
#ifndef MBI_BASE_MODULE_H
#define MBI_BASE_MODULE_H

#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>

/* mbi_fail() for modules. */
static inline int32_t mbi_module_fail(mambaint_error *err, int32_t code, const char *fmt, ...)
    MBI_PRINTF(3, 4);

static inline int32_t mbi_module_fail(mambaint_error *err, int32_t code, const char *fmt, ...)
{
    va_list args;

    if (err) {
        err->code = code;
        va_start(args, fmt);
        vsnprintf(err->message, sizeof(err->message), fmt, args);
        va_end(args);
    }
    return code;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the caller's error block, and the names of the status codes. */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t mbi_fail(mambaint_error *err, int32_t code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return code;
    err->code = code;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return code;
}

int32_t mbi_fail_memory(mambaint_error *err, const char *what)
{
    return mbi_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for %s", what);
}

int32_t mbi_fail_errno(mambaint_error *err, const char *doing, const char *path)
{
    const int cause = errno;
    char text[96] = "unknown cause";

#if defined(_GNU_SOURCE) && defined(__GLIBC__)
    const char *p = strerror_r(cause, text, sizeof(text));
    return mbi_fail(err, MAMBAINT_E_IO, "cannot %s '%s': %s", doing, path, p);
#else
    if (strerror_r(cause, text, sizeof(text)))
        snprintf(text, sizeof(text), "error %d", cause);
    return mbi_fail(err, MAMBAINT_E_IO, "cannot %s '%s': %s", doing, path, text);
#endif
}

/* clang-format off */
#define STATUS_LIST(S)                                                                       \
    S(OK) S(END) S(ACCEPTED) S(E_INVALID) S(E_NO_MEMORY) S(E_IO) S(E_FORMAT) S(E_VERSION)    \
    S(E_RANGE) S(E_SPACE) S(E_NO_BACKEND) S(E_UNSUPPORTED) S(E_CANCELLED) S(E_MISMATCH)      \
    S(E_REFUSED) S(E_INTERNAL)
/* clang-format on */

const char *mambaint_status_name(int32_t status)
{
    switch (status) {
#define STATUS_CASE(name)                                                                          \
    case MAMBAINT_##name:                                                                          \
        return #name;
        STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "unknown";
    }
}

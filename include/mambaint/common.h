/* SPDX-License-Identifier: Apache-2.0 */
/* Export macro, status codes, error block and version: what every other header needs. */
#ifndef MAMBAINT_COMMON_H
#define MAMBAINT_COMMON_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define MAMBAINT_API
#elif defined(__GNUC__)
#define MAMBAINT_API __attribute__((visibility("default")))
#else
#define MAMBAINT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup common Status codes and errors
 *
 * Every fallible call returns an `int32_t`: MAMBAINT_OK, a positive note, or a negative
 * `MAMBAINT_E_...` code. Numbers are never reused. The last parameter of most calls is an
 * optional ::mambaint_error that receives a sentence: what failed, where, and what to do.
 *
 * Threads: everything here may be called from any thread.
 * @{
 */

#define MAMBAINT_OK 0       /**< done */
#define MAMBAINT_END 1      /**< a note: the answer is complete */
#define MAMBAINT_ACCEPTED 2 /**< a note: a verified proof, a receipt that holds; on one path */

#define MAMBAINT_E_INVALID (-1)    /**< an argument or option is wrong */
#define MAMBAINT_E_NO_MEMORY (-2)  /**< the allocator refused; nothing stays allocated */
#define MAMBAINT_E_IO (-3)         /**< the system refused to open, read, write or sync */
#define MAMBAINT_E_FORMAT (-4)     /**< the bytes are not what they claim to be */
#define MAMBAINT_E_VERSION (-5)    /**< made by or for another version */
#define MAMBAINT_E_RANGE (-6)      /**< a number is outside its stated range */
#define MAMBAINT_E_SPACE (-7)      /**< the buffer is too small; the needed size was stored */
#define MAMBAINT_E_NO_BACKEND (-8) /**< the named backend is not in this build or on this machine */
#define MAMBAINT_E_UNSUPPORTED (-9) /**< legal, but this build or model cannot do it */
#define MAMBAINT_E_CANCELLED (-10)  /**< mambaint_session_cancel() was called */
#define MAMBAINT_E_MISMATCH (-11)   /**< belongs to another model or tokenizer */
#define MAMBAINT_E_REFUSED (-12)    /**< checked and found false */
#define MAMBAINT_E_INTERNAL (-13)   /**< a bug of the library */

/** Detail of a failure: caller-owned, frozen layout of 256 bytes, nothing to free. */
typedef struct mambaint_error {
    int32_t code;      /**< the returned status */
    char message[252]; /**< one sentence in UTF-8, always NUL-terminated */
} mambaint_error;

/** Version of the library that runs, as "major.minor.patch"; static, never NULL. */
MAMBAINT_API const char *mambaint_version(void);

/** Short name of a status code, such as "E_FORMAT"; static, never NULL, "unknown" if it is none. */
MAMBAINT_API const char *mambaint_status_name(int32_t status);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

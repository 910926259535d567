/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the training module, which calls nothing of the library. */
#ifndef MBI_TRAIN_CUDA_FAIL_H
#define MBI_TRAIN_CUDA_FAIL_H

#include "cuda/device.h"
#include <cstdarg>
#include <cstdio>

static inline int32_t mbi_train_fail(mambaint_error *err, int32_t code, const char *fmt, ...)
    MBI_PRINTF(3, 4);
static inline int32_t mbi_train_fail(mambaint_error *err, int32_t code, const char *fmt, ...)
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

/* What CUDA said, as an error of the library. */
static inline int32_t mbi_train_check(cudaError_t e, const char *doing, mambaint_error *err)
{
    if (e == cudaSuccess)
        return MAMBAINT_OK;
    cudaGetLastError(); /* or the next start of a kernel would report it again */
    return mbi_train_fail(
        err, e == cudaErrorMemoryAllocation ? MAMBAINT_E_NO_MEMORY : MAMBAINT_E_INTERNAL,
        e == cudaErrorMemoryAllocation ? "train-cuda: %s: %s; make the batch or the context smaller"
                                       : "train-cuda: %s: %s",
        doing, cudaGetErrorString(e));
}

#endif

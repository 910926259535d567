/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the training module, which calls nothing of the library. */
#ifndef MBI_TRAIN_CUDA_FAIL_H
#define MBI_TRAIN_CUDA_FAIL_H

#include "cuda/device.h"

/* What CUDA said, as an error of the library. */
static inline int32_t mbi_train_check(cudaError_t e, const char *doing, mambaint_error *err)
{
    if (e == cudaSuccess)
        return MAMBAINT_OK;
    cudaGetLastError(); /* or the next start of a kernel would report it again */
    return mbi_module_fail(
        err, e == cudaErrorMemoryAllocation ? MAMBAINT_E_NO_MEMORY : MAMBAINT_E_INTERNAL,
        e == cudaErrorMemoryAllocation ? "train-cuda: %s: %s; make the batch or the context smaller"
                                       : "train-cuda: %s: %s",
        doing, cudaGetErrorString(e));
}

#endif

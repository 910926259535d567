/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of operands with sums in floats: cuBLAS, or plain loops beside the emulator. */
#ifndef MBI_TRAIN_CUDA_GEMM_H
#define MBI_TRAIN_CUDA_GEMM_H

#include "train/cuda/math.h"

struct mbi_gemm; /* a handle with its workspace, on one stream */

int32_t mbi_gemm_create(struct mbi_gemm **out, const struct mbi_host *host, cudaStream_t stream,
                        mambaint_error *err);
void mbi_gemm_free(struct mbi_gemm *g); /* NULL is fine */

/*
 * C[m x n] = alpha op(A)[m x k] B[k x n] + beta C, all row major without gaps; with `trans`, A is
 * stored as [k x m]. alpha is 1 or read from device memory. C is of floats, or with `narrow` of
 * operands. The sums are floats and have the same order every time.
 */
struct mbi_gemm_call {
    bool trans;
    size_t m, n, k;
    const float *alpha; /* device memory */
    const mbi_operand *a, *b;
    const float *beta; /* device memory: 0 or 1 */
    void *c;
    bool narrow;
};
/* A sentence is in `err` if it could not be started. */
int32_t mbi_gemm_run(struct mbi_gemm *g, const struct mbi_gemm_call *call, mambaint_error *err);

#endif

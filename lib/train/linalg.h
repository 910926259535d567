/* SPDX-License-Identifier: Apache-2.0 */
/* Single-threaded float matrix products: OpenBLAS where it was found, own loops otherwise. */
#ifndef MBI_TRAIN_LINALG_H
#define MBI_TRAIN_LINALG_H

#include <stdbool.h>
#include <stddef.h>

/* C[m x n] = alpha op(A)[m x k] op(B)[k x n] + beta C, row major; lda.. are row strides. */
void mbi_sgemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, float alpha,
               const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
               size_t ldc);

/* Make the BLAS library use the calling thread alone; the trainer cuts the work itself. */
void mbi_linalg_init(void);

/* "OpenBLAS" or "own loops". */
const char *mbi_linalg_name(void);

#endif

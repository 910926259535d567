/* SPDX-License-Identifier: Apache-2.0 */
/* Single-threaded float matrix products: OpenBLAS where it is there, own loops otherwise. */
#ifndef MBI_TRAIN_LINALG_H
#define MBI_TRAIN_LINALG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where products are computed: by OpenBLAS, if the library was built for it and it is there when a
 * trainer begins, else by own loops. It is loaded then and not with the library, because it starts
 * a thread for every core, which waits in a loop for a while: no other use of the library pays.
 */
struct mbi_linalg {
    void (*blas)(void); /* cblas_sgemm(); NULL: own loops */
};

/* Loads OpenBLAS and makes it use the calling thread alone; the trainer cuts the work itself. */
struct mbi_linalg mbi_linalg_open(void);

/* C[m x n] = alpha op(A)[m x k] op(B)[k x n] + beta C, row major; lda.. are row strides. `l` may
 * be NULL: own loops. */
void mbi_sgemm(const struct mbi_linalg *l, bool trans_a, bool trans_b, size_t m, size_t n, size_t k,
               float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta,
               float *c, size_t ldc);

#endif

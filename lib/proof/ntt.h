/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Number-theoretic transforms: the coefficients of polynomials to their values on a subgroup, and
 * back. With w = mbi_fe_root(k) and L = 2^k, value j is that at w^j, in natural order.
 *                                                                             proof.md, transforms
 */
#ifndef MBI_PROOF_NTT_H
#define MBI_PROOF_NTT_H

#include "base/host.h"
#include "proof/kernels.h"

#define MBI_NTT_LOG_MAX 27 /* of the length */

/* Roots of unity for all lengths up to one, and who does the work. Immutable: threads share it. */
struct mbi_ntt {
    const struct mbi_host *host;
    const struct mbi_field_kernels *kernels;
    unsigned log_max;
    mbi_fe *root[2]; /* forward, inverse: w^i at [2^k + i], w of order 2^(k+1), i < 2^k */
};

/* The tables take 16 bytes times the square root of the greatest length. */
int32_t mbi_ntt_init(struct mbi_ntt *t, const struct mbi_host *host,
                     const struct mbi_field_kernels *kernels, unsigned log_max,
                     mambaint_error *err);
void mbi_ntt_free(struct mbi_ntt *t); /* zeroed is fine */

/* Many polynomials at once. Element i of polynomial r is at [r * row + i * step]. */
struct mbi_ntt_job {
    const mbi_fe *in;
    size_t in_row, in_step;
    mbi_fe *out; /* 2^log_n elements of each; all are written */
    size_t out_row, out_step;
    size_t rows;
    size_t ell; /* elements of `in` for each; those from ell to 2^log_n are 0 */
    unsigned log_n;
    bool inverse; /* from values to coefficients */
};

/*
 * On the host's threads; the result does not depend on their number. `out` may be `in` if both have
 * the same layout with room for 2^log_n elements of every row; otherwise they do not overlap.
 * MAMBAINT_E_INVALID if the roots are for shorter ones or ell is above 2^log_n.
 */
int32_t mbi_ntt_run(const struct mbi_ntt *t, const struct mbi_ntt_job *job, mambaint_error *err);

/*
 * Rows of ell coefficients, one after the other, to codewords of 2^log_n values: row after row, or
 * position after position (leaf j is the j-th value of every row).
 */
int32_t mbi_ntt_encode_rows(const struct mbi_ntt *t, mbi_fe *out, const mbi_fe *in, size_t rows,
                            size_t ell, unsigned log_n, mambaint_error *err);
int32_t mbi_ntt_encode_leaves(const struct mbi_ntt *t, mbi_fe *out, const mbi_fe *in, size_t rows,
                              size_t ell, unsigned log_n, mambaint_error *err);

#endif

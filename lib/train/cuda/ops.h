/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back through operations that do not work element by element, and the loss. Each is the
 * same as lib/train/op, with d_out as a chain. No sum has an order that changes from run to run.
 */
#ifndef MBI_TRAIN_CUDA_OPS_H
#define MBI_TRAIN_CUDA_OPS_H

#include "train/cuda/chain.h"

/* An array of integers that stand for reals: rows of lanes, or of a parameter. */
struct mbi_ints {
    const void *q;
    int32_t dtype;
    uint32_t cols;
    float unit;
};

/* Loss of a batch: what chains of the logits read, and the weighted nats of each lane. */
struct mbi_loss_args {
    struct mbi_ints logits;
    uint32_t lanes;
    const int32_t *target;
    const float *weight, *scale; /* device memory; scale: one number */
    struct mbi_softmax *softmax;
    double *nats;
};
cudaError_t mbi_loss(const struct mbi_loss_args *a, cudaStream_t stream);

/* dst = sum of n doubles, in an order that depends on n alone. With `root` its square root. */
cudaError_t mbi_sum_doubles(double *dst, const double *x, size_t n, bool root, cudaStream_t stream);

/* Operands of integers: the real values, or the integers as they are where unit is 1. */
cudaError_t mbi_ints_operand(mbi_operand *dst, const struct mbi_ints *x, uint32_t lanes,
                             cudaStream_t stream);

/* dx of both norms: the chain must already have the clamp of the result as a factor. */
cudaError_t mbi_norm_back(const struct mbi_chain *d, struct mbi_gradient dx,
                          const struct mbi_ints *x, uint32_t groups, bool shift,
                          cudaStream_t stream);

/* The causal convolution; the chain has the clamp. dp.at may be NULL, as may the other two. */
struct mbi_conv_args {
    struct mbi_chain d;
    struct mbi_ints p;
    uint32_t streams, tokens;
    const float *w; /* [channel][4] */
    struct mbi_gradient dp;
    float *dw, *dbias;
    bool add_w, add_bias;
    float *partial; /* mbi_conv_partials() floats */
};
size_t mbi_conv_partials(uint32_t streams, uint32_t tokens, uint32_t cols);
cudaError_t mbi_conv_back(const struct mbi_conv_args *a, cudaStream_t stream);

/* dp of the running angle. */
cudaError_t mbi_turn_back(const struct mbi_chain *d, float *dp, uint32_t streams, uint32_t tokens,
                          cudaStream_t stream);

/* dbc and dphi (either may be NULL). `out` are the results, clamped to 8 bits where rotated. */
cudaError_t mbi_rotate_back(const struct mbi_chain *d, float *dbc, float *dphi,
                            const struct mbi_ints *bc, const struct mbi_ints *phi,
                            const struct mbi_ints *out, cudaStream_t stream);

/*
 * dtable[id] += the rows of d at the lanes of id, in their order. `order` holds the lanes sorted by
 * id, and `first` where each of *n_ids different ids begins in it, one more at the end; `id` by
 * lane.
 */
cudaError_t mbi_embed_back(const struct mbi_chain *d, float *dtable, const int32_t *id,
                           const uint32_t *order, const uint32_t *first, const uint32_t *n_ids,
                           cudaStream_t stream);

/* The recurrence. All rows are dense; a gradient that nobody wants is made all the same. */
struct mbi_scan_args {
    struct mbi_ints x, bc, l;
    uint32_t streams, tokens, heads, dim, n; /* dim of a head, n = d_state */
    const mbi_operand *dy;
    struct mbi_gradient dx;
    float *dbc, *dl;
    char *work; /* mbi_scan_work() bytes */
};
size_t mbi_scan_work(const struct mbi_scan_args *a, uint32_t processors);
/* One of MBI_SCAN_STEPS steps, in their order. */
#define MBI_SCAN_STEPS 3
cudaError_t mbi_scan_back(const struct mbi_scan_args *a, uint32_t processors, int step,
                          cudaStream_t stream);
cudaError_t mbi_scan_prepare(void); /* once for the device */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes on the device, one kernel a node: what a kernel is told, and the launches. This is how any
 * graph runs; what is fused instead is in cuda/mixer.h and cuda/decode.h.
 */
#ifndef MBI_CUDA_NODE_H
#define MBI_CUDA_NODE_H

#include "cuda/scan.h"

struct mbi_cuda_node {
    const void *in[MBI_MAX_IN]; /* values: [lanes][cols]; parameters: [rows][cols] */
    void *out;                  /* [lanes][cols] */
    uint32_t in_dtype[MBI_MAX_IN], in_cols[MBI_MAX_IN];
    bool in_is_param[MBI_MAX_IN];
    uint32_t op, dtype, cols; /* dtype and cols of out */
    int32_t attr[MBI_MAX_ATTR];
    size_t memory; /* of an operation with memory: where its part of a stream's begins */
};

/* Element by element; a norm or an argmax by groups. */
cudaError_t mbi_cuda_pointwise(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream);
cudaError_t mbi_cuda_norm(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream);
cudaError_t mbi_cuda_argmax(const struct mbi_cuda_node *n, size_t lanes, cudaStream_t stream);

/* conv keeps a ring of 4 inputs, turn one of 2 phases: the value of position p lies in row p mod 4
 * or p mod 2, so that a token writes no row that it reads. */
cudaError_t mbi_cuda_conv(const struct mbi_cuda_node *n, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, cudaStream_t stream);
cudaError_t mbi_cuda_turn(const struct mbi_cuda_node *n, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, cudaStream_t stream);

/* turn of `cols` values in each row of `stride`; phi has no gaps. */
cudaError_t mbi_cuda_turn_at(const int16_t *p, size_t stride, int16_t *phi, uint32_t cols,
                             size_t memory, const struct mbi_cuda_run *runs, uint32_t n_runs,
                             uint32_t max_n, cudaStream_t stream);

#endif

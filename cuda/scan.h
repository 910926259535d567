/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on the device, and the recurrence over them (lib/op/scan.c has the formulas). */
#ifndef MBI_CUDA_SCAN_H
#define MBI_CUDA_SCAN_H

#include "cuda/device.h"

/* struct mbi_run as kernels see it: consecutive lanes are consecutive tokens of one stream. */
struct mbi_cuda_run {
    char *memory; /* of the stream */
    uint64_t pos; /* absolute position of its first token */
    uint32_t first, n;
};

/*
 * A scan's part of a stream's memory, as offsets from where it begins: h is i32 [H][N][P], h16 the
 * same rounded to i16 (rsh(h, 16)) and always equal to it, then the rows of the open chunk: B i8
 * [Q][N], xw i16 [Q][H P], L u32 [Q][H]. Rows from pos % Q on hold anything.
 */
struct mbi_cuda_scan_layout {
    size_t h, h16, b, xw, sum, size; /* each a multiple of 64 */
};

static __host__ __device__ inline struct mbi_cuda_scan_layout mbi_cuda_scan_layout(
    const struct mbi_scan_attr *at)
{
    const size_t q = (size_t)at->chunk, n = (size_t)at->d_state;
    const size_t width = (size_t)at->heads * (size_t)at->head_dim;
    struct mbi_cuda_scan_layout l;

    l.h = 0;
    l.h16 = l.h + mbi_align_size(n * width * 4, 64);
    l.b = l.h16 + mbi_align_size(n * width * 2, 64);
    l.xw = l.b + mbi_align_size(q * n, 64);
    l.sum = l.xw + mbi_align_size(q * width * 2, 64);
    l.size = l.sum + mbi_align_size(q * (size_t)at->heads * 4, 64);
    return l;
}

struct mbi_cuda_scan {
    struct mbi_scan_attr at;
    size_t memory;    /* where its part begins in a stream's memory */
    const int8_t *x;  /* [lanes][H P] */
    const int8_t *bc; /* [lanes][2 N]: B, C */
    const int32_t *l; /* [lanes][H] */
    int32_t *y;       /* [lanes][H P] */
};

/* Bytes of scratch for n_runs runs of at most max_n tokens and `lanes` lanes in all. */
size_t mbi_cuda_scan_work(const struct mbi_scan_attr *at, uint32_t n_runs, uint32_t max_n,
                          size_t lanes);

/*
 * Advances every run. `runs` is in device memory; positions are known to the device alone, so the
 * same launches serve every position.
 */
cudaError_t mbi_cuda_scan(const struct mbi_cuda_scan *s, const struct mbi_cuda_run *runs,
                          uint32_t n_runs, uint32_t max_n, size_t lanes, void *work,
                          cudaStream_t stream);

#endif

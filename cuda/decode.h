/* SPDX-License-Identifier: Apache-2.0 */
/* Single tokens of a few streams in one launch: a kernel that stays on the device for the step. */
#ifndef MBI_CUDA_DECODE_H
#define MBI_CUDA_DECODE_H

#include "cuda/backend.h"

struct mbi_cuda_decode;

/* NULL in *out where the program has a part that this kernel does not do. */
int32_t mbi_cuda_decode_new(struct mbi_cuda_decode **out, const struct mbi_image *image,
                            mambaint_error *err);
void mbi_cuda_decode_free(struct mbi_cuda_decode *d, const struct mbi_host *host);

bool mbi_cuda_decode_takes(const struct mbi_cuda_decode *d, uint32_t lanes);

/*
 * The runs and tokens of the image, one token a run. On the device, or NULL: `drawn` has other
 * tokens instead, and nothing is done if *live is 0.
 */
cudaError_t mbi_cuda_decode_run(struct mbi_cuda_decode *d, const struct mbi_image *image,
                                uint32_t lanes, const uint32_t *live, const int32_t *drawn);

#endif

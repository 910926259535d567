/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masters: the float values behind a graph's integer parameters, and their quantisation. Masters,
 * gradients and moments are blocks of floats with one layout, so that an optimiser sees an array.
 */
#ifndef MBI_TRAIN_MASTER_H
#define MBI_TRAIN_MASTER_H

#include "graph/graph.h"

#define MBI_LAYOUT_STEP 16 /* every parameter starts at a multiple of this many floats */

/* Where the floats of each parameter lie in a block. */
struct mbi_layout {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    size_t *at;   /* by parameter; SIZE_MAX if it is derived and has none */
    size_t total; /* floats of a block, a multiple of MBI_LAYOUT_STEP */
};

int32_t mbi_layout_create(struct mbi_layout *out, const struct mbi_host *host,
                          const struct mbi_graph *graph, mambaint_error *err);
void mbi_layout_free(struct mbi_layout *layout);
float *mbi_layout_block(const struct mbi_layout *layout); /* zeroed; free: mbi_free_aligned() */

/* Integer parameters of a graph, by index, host byte order, 64-byte aligned, zeroed. */
int32_t mbi_params_create(void ***out, const struct mbi_host *host, const struct mbi_graph *graph,
                          mambaint_error *err);
void mbi_params_free(const struct mbi_host *host, const struct mbi_graph *graph, void **param);

/*
 * Quantise one parameter that is not derived, and with it the exponents and the scale derived from
 * it. `real` (rows x cols, or NULL) receives what the integers stand for. Runs on the host's
 * threads; the result does not depend on their number. Values that are not numbers give integers
 * inside the interval.
 */
void mbi_quantise(void *const *param, float *real, const struct mbi_host *host,
                  const struct mbi_graph *graph, uint32_t index, const float *master);

/* All of them; `real` is a block or NULL. */
void mbi_quantise_all(void *const *param, float *real, const struct mbi_layout *layout,
                      const float *master);

/* False if a block holds a value that is not a finite number. */
bool mbi_block_finite(const struct mbi_layout *layout, const float *block);

#endif

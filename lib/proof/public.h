/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters that are public in every proof: exponents and scales. Statements bind them by a digest
 * of their bytes, and a verifier's key has the bytes.                      proof-files.md
 */
#ifndef MBI_PROOF_PUBLIC_H
#define MBI_PROOF_PUBLIC_H

#include "base/bytes.h"
#include "graph/graph.h"

/* Bytes of all such parameters of a graph; 0: it has none. */
uint64_t mbi_public_size(const struct mbi_graph *g);

/* Appends them: in the graph's order, each row major, two's complement, little end first. `param`:
 * host byte order, by index in the graph. */
void mbi_public_put(struct mbi_buf *out, const struct mbi_graph *g, const void *const *param);

/* What statements have of them. */
void mbi_public_digest(uint8_t out[MBI_DIGEST_SIZE], const void *bytes, size_t n);

/*
 * By index in the graph, host byte order, from mbi_public_size() bytes that may be hostile; NULL
 * for the other parameters. E_RANGE for a value outside the interval that the graph declares: what
 * is proved rests on it. The caller frees them.
 */
int32_t mbi_public_read(const void ***out, const struct mbi_graph *g, const uint8_t *bytes,
                        mambaint_error *err);
void mbi_public_free(const void **param, const struct mbi_graph *g); /* NULL is fine */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a model between two proofs of one run, or what a model hands on to the next one
 * between two proofs of a chain: a vector of integers in an order of its own, committed to apart
 * from what a proof commits, so that the proof that ends there and the one that begins there have
 * the same root.                                                proof.md, plan and proof-gadgets.md
 */
#ifndef MBI_PROOF_BOUNDARY_H
#define MBI_PROOF_BOUNDARY_H

#include "proof/plan.h"

struct mbi_witness;

/* Steps between two boundaries are a multiple of this: the chunk of the graph's recurrences. */
uint32_t mbi_boundary_chunk(const struct mbi_graph *g);

/* Has a node, whose variables begin at `first` and which has memory, said what it is at every
 * boundary of the plan? */
bool mbi_boundary_is_said(const struct mbi_plan *p, uint32_t first);

/* Blocks of the boundaries' variables, and boundary_bits; after all were declared. */
void mbi_boundary_lay_out(struct mbi_plan *p);

/* Fills what variables [first, end) have of the boundary before, from its vector; NULL: zeros. */
void mbi_boundary_read(const struct mbi_witness *w, uint32_t first, uint32_t end,
                       const int32_t *vector);
/* The same of features, which are there, in the committed copies. */
void mbi_boundary_copy(const struct mbi_witness *w, uint32_t first, uint32_t end);
/* The same variables behind, from what they are tied to. */
void mbi_boundary_fill(const struct mbi_witness *w, uint32_t first, uint32_t end);

/* The vector of one side of a complete witness: 2^boundary_bits[side] entries, all of which are
 * written. */
void mbi_boundary_vector(int32_t *vector, const struct mbi_witness *w, enum mbi_side side);

#endif

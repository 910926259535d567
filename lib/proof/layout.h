/* SPDX-License-Identifier: Apache-2.0 */
/* Where variables lie in the vectors that are committed to.             proof.md, plan */
#ifndef MBI_PROOF_LAYOUT_H
#define MBI_PROOF_LAYOUT_H

#include "proof/plan.h"

/* Exponents and scales are public, all other parameters are in the vector of weights. */
bool mbi_weight_is_committed(const struct mbi_param *param);

/* The pieces of all parameters of the graphs that are committed, in their order, and log2 of the
 * size of the vector of weights. Of many weights, columns are cut where that makes it shorter.
 * NULL: no memory. The caller frees them. */
struct mbi_piece *mbi_weight_pieces(uint32_t *n, unsigned *bits, const struct mbi_host *host,
                                    const struct mbi_graph *const *graph, size_t n_graphs);

/* The end of the last one: all entries after it are zero. */
uint64_t mbi_weight_end(const struct mbi_piece *piece, uint32_t n);

/* Adds the complements of variables, and finds where the digits of what is committed lie. */
void mbi_plan_lay_out(struct mbi_plan *p);

/* Weights from which on a certificate counts them where they are. */
#define MBI_DIRECT_BITS 17u

/* Of such a certificate: where the weights of each class lie, and their counts. false: there are
 * too few weights, or two intervals of one size, and the weights need variables. */
bool mbi_plan_lay_out_direct(struct mbi_plan *p);
/* Its counts, for as many bits as the vectors have: the second half of the lookup. */
void mbi_plan_place_counts(struct mbi_plan *p);

/* The lookup's index of the first count, where the witness vector begins. */
static inline uint64_t mbi_direct_counts(const struct mbi_plan *p)
{
    return (uint64_t)1 << (p->lookup.bits - 1);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over the boundary between two hidden proofs: both have it in what they commit anyway,
 * and show the same value of it at a point that is drawn when both are known. Needs
 * MBI_HAVE_SODIUM.                                                          proof.md, Links
 */
#ifndef MBI_PROOF_LINK_H
#define MBI_PROOF_LINK_H

#include "proof/hash.h"
#include "proof/plan.h"
#include "proof/poly.h"

/* Of the proofs before and behind the boundary. */
struct mbi_link {
    struct mbi_digest name[MBI_SIDES];
    struct mbi_ext value;
};

/* A boundary of 2^boundary_bits entries is half of a vector whose other half is zero: else all
 * entries and the pad could be moved against each other. */
static inline unsigned mbi_link_bits(const struct mbi_plan *p, enum mbi_side side)
{
    return p->boundary_bits[side] + 1;
}

/* tau, mbi_link_bits() of it, from both names. */
void MBI_EXT(link_point)(struct mbi_ext *tau, const struct mbi_link *l, unsigned bits);
/* <vector, eq(tau)> of 2^(bits - 1) entries: the value, less the pad that hides it. */
struct mbi_ext MBI_EXT(link_sum)(const struct mbi_ext *tau, unsigned bits, const int32_t *vector);

#endif

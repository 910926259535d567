/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range: the limbs of a committed vector lie below a size, by a sum of fractions that is zero only
 * if each limb is in a table that the vector counts itself (LogUp), proved layer by layer down a
 * binary tree of fractions. Needs MBI_HAVE_SODIUM.                                 proof.md, lookup
 */
#ifndef MBI_PROOF_LOOKUP_H
#define MBI_PROOF_LOOKUP_H

#include "proof/pads.h"
#include "proof/poly.h"

#define MBI_LOOKUP_BITS 28u       /* of the vector */
#define MBI_LOOKUP_CLASSES 34     /* of limbs */
#define MBI_LOOKUP_SIZE (1 << 18) /* values of a limb, at most */

/*
 * Where limbs and counts lie in a vector of 2^bits entries; all others may hold anything. Limbs of
 * class k lie in [0, size[k]), sizes rise; they are the entries [begin[k], begin[k + 1]), those of
 * all n classes [0, begin[n]). How often the value v occurs among them is entry counts[k] + v; a
 * class without limbs has no counts, and the counts of all are [counts[0], counts[n]), behind the
 * limbs.
 */
struct mbi_lookup {
    unsigned bits, n;
    uint32_t size[MBI_LOOKUP_CLASSES];
    uint64_t begin[MBI_LOOKUP_CLASSES + 1];
    uint64_t counts[MBI_LOOKUP_CLASSES + 1];
};

/* What is left to prove of the vector f: limbs is the sum over x < begin[n] of eq(point, x) f(x),
 * counts that over counts[0] <= x < counts[n]. */
struct mbi_lookup_end {
    struct mbi_ext point[MBI_LOOKUP_BITS];
    struct mbi_ext limbs, counts;
};

/* Sets the places of the counts, from `first` on. */
void MBI_EXT(lookup_place)(struct mbi_lookup *lookup, uint64_t first);

/* NULL, or what is wrong with a lookup, as a part of a sentence: both sides refuse it. */
const char *MBI_EXT(lookup_fault)(const struct mbi_lookup *lookup);

/* How many elements of F a lookup adds to a proof, of 8 bytes each. */
size_t MBI_EXT(lookup_size)(const struct mbi_lookup *lookup);
/* How many pads it takes if it hides what it sends, and how many elements of F it adds then. */
size_t MBI_EXT(lookup_pads)(const struct mbi_lookup *lookup);
size_t MBI_EXT(lookup_hidden_size)(const struct mbi_lookup *lookup);

/* Writes the counts of a prover's vector of 2^bits entries, whose limbs are there; false if a limb
 * is not below its size, which is not counted then. */
bool MBI_EXT(lookup_count)(int32_t *vector, const struct mbi_lookup *lookup);

/*
 * Proves a lookup in the vector f, of any type but MBI_TABLE_EXT, whose root was absorbed before.
 * The memory is 2.5 elements of E for every entry of the vector, and little more. With the
 * writer's pads everything is sent hidden, and the end is for lookup_verify_hidden() to say.
 */
int32_t MBI_EXT(lookup_prove)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                              const struct mbi_table *f, struct mbi_proof_writer *out,
                              const struct mbi_host *host, const struct mbi_field_kernels *kernels,
                              mambaint_error *err);

/* The same end from the proof; false and a fault of the reader if it proves nothing. */
bool MBI_EXT(lookup_verify)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                            struct mbi_proof_reader *in);

/* The point of a hidden one; limbs and counts are hidden->end[0] and [1], and all of hidden->zero
 * is to be proved, too. */
bool MBI_EXT(lookup_verify_hidden)(struct mbi_lookup_end *end, const struct mbi_lookup *lookup,
                                   struct mbi_hidden *hidden, struct mbi_proof_reader *in);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys with hidden weights: their roots, each of the same weights with other masks, are the leaves
 * of a tree. A proof begins with the one that it opens, and shows by one claim about the weights
 * that they are those of all the others. Needs MBI_HAVE_SODIUM.
 *                                                                  proof-files.md, Hidden weights
 */
#ifndef MBI_PROOF_ROOTS_H
#define MBI_PROOF_ROOTS_H

#include "proof/commit.h"
#include "proof/masks.h"
#include "proof/plan.h"
#include "proof/statement.h"

/* ---- the tree ---- */

/* Digests of the tree of n roots, n a power of two. */
#define MBI_ROOTS_NODES(n) (2 * (size_t)(n)-1)

/* The last one is the root of all. */
void mbi_roots_tree(struct mbi_digest *tree, const struct mbi_digest *root, uint32_t n);

/* Bytes of a proof before anything else: number, root and path. */
size_t mbi_root_size(uint32_t n);

/* The root that a proof is about. */
struct mbi_root_part {
    uint32_t number;
    struct mbi_digest root; /* of the vector of weights */
    struct mbi_digest tree; /* of all roots: what they are compared by follows from it */
};

/* Number `number` of n, with the tag "key". */
void mbi_put_root(struct mbi_proof_writer *w, const struct mbi_digest *root,
                  const struct mbi_digest *tree, uint32_t n, uint32_t number);
/* False, and a fault of the reader, if it is none of those that the weights digest stands for. A
 * certificate has number 0. */
bool mbi_get_root(struct mbi_root_part *out, const struct mbi_statement_models *m,
                  enum mbi_proof_type type, struct mbi_proof_reader *r);

/* ---- what all roots have in common ---- */

#define MBI_BLUR_PARTS 4 /* entries of 16 bits that an element of F is spread over */

/* Entries behind the weights, of which the last piece ends at `end`, and log2 of those of the whole
 * vector; a key of one root has no more than the weights have. */
struct mbi_blur {
    uint64_t end;
    unsigned entries, bits;
};
struct mbi_blur mbi_blur_of(uint64_t end, unsigned weight_bits, uint32_t n_roots, unsigned degree);

/* The entries of beta, uniform in E: entry 4 i + k, less -2^15, is digit k of coordinate i. */
void mbi_blur_fill(int16_t *entry, const struct mbi_blur *b, const struct mbi_mask_seed *seed);

/* Of a seed that was drawn, the key's, the unit that was taken and a statement: two proofs have
 * the same masks only if all of them are equal. */
void mbi_mask_seed_mix(struct mbi_mask_seed *seed, const struct mbi_mask_seed *key, uint64_t unit,
                       const void *data, size_t n);

/*
 * <weights, eq(tau)> + beta = value, in two terms. tau is drawn when the tree is known, so that
 * vectors of which two differ have different values, but with a probability below 2^5 / |E| for
 * each pair. Its address stays what it is.
 */
struct mbi_root_claim {
    struct mbi_ext value;
    struct mbi_ext tau[MBI_MAX_BITS];
    struct mbi_ext weight[MBI_BLUR_PARTS * MBI_EXT_D];
    uint32_t entry[MBI_BLUR_PARTS * MBI_EXT_D];
    struct mbi_form form[2];
    size_t n_terms; /* 2; of a key of one root 0 */
};

/* `m`: names and counts; the value is taken from there, too. */
void MBI_EXT(root_claim)(struct mbi_root_claim *out, const struct mbi_statement_models *m,
                         const struct mbi_digest *tree, const struct mbi_blur *b);
/* Its terms, n_terms of them, about vector number `vector` of an opening. */
void MBI_EXT(root_claim_terms)(struct mbi_claim *out, const struct mbi_root_claim *c,
                               size_t vector);
/* The value of a vector, of which there are at least end + entries: what a key publishes. */
struct mbi_ext MBI_EXT(root_value)(const struct mbi_root_claim *c, const struct mbi_blur *b,
                                   const struct mbi_table *vector);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merkle trees: a commitment to n leaves, of which some are opened later. Level 0 holds the
 * digests of the leaves; a node above is the hash of its two children, and one without a sibling
 * goes up unchanged. An opening of several positions leaves out every node that can be computed
 * from them; which are left is known from the positions alone. Needs MBI_HAVE_SODIUM.
 *                                                                          proof.md, Merkle trees
 */
#ifndef MBI_PROOF_MERKLE_H
#define MBI_PROOF_MERKLE_H

#include "proof/hash.h"
#include "proof/stream.h"

#define MBI_MERKLE_MAX ((uint64_t)1 << 32) /* leaves */

/* ---- building ---- */

/* Digests of a whole tree, level 0 first, the root last. 0 for no leaf or too many of them. */
size_t mbi_merkle_size(size_t n);

/* Hashes leaves begin .. end-1 to out[0 .. end-begin-1]; called on the host's threads. */
typedef void mbi_leaf_fn(void *arg, struct mbi_digest *out, size_t begin, size_t end);

/* Level 0 of tree[mbi_merkle_size(n)]; `grain` leaves are worth a thread's while. */
void mbi_merkle_leaves(struct mbi_digest *tree, size_t n, const struct mbi_host *host, size_t grain,
                       mbi_leaf_fn *leaf, void *arg);
/* The levels above it; returns the root, which is in the tree. The same for any threads. */
const struct mbi_digest *mbi_merkle_build(struct mbi_digest *tree, size_t n,
                                          const struct mbi_host *host);

/*
 * Leaves that are columns of a matrix: entry (r, j) is the `width` elements of F (coordinates of
 * one of E) at data[r * stride + j * width]. Leaf j is the entries of column j, first row first, 8
 * bytes for each element; its salt is at salt + MBI_SALT_SIZE j, if there is one. Also for a single
 * column that was opened: stride = width. 1 <= width <= 8.
 */
struct mbi_columns {
    const mbi_fe *data;
    size_t rows, stride, width;
    const uint8_t *salt;
};

/* A mbi_leaf_fn; arg: const struct mbi_columns *. */
void mbi_hash_columns(void *arg, struct mbi_digest *out, size_t begin, size_t end);

/* ---- opening ---- */

/*
 * Positions are ascending; equal ones count once. False if they are not, if one is not below n or
 * if there is none; else *count is how many digests their opening has.
 */
bool mbi_merkle_count(size_t *count, size_t n, const uint32_t *pos, size_t m);

/* Those digests, for positions that mbi_merkle_count() accepts. */
void mbi_merkle_open(struct mbi_digest *out, const struct mbi_digest *tree, size_t n,
                     const uint32_t *pos, size_t m);

/* Bytes of scratch, aligned for any type, to verify m positions; 0 if that is too much. */
size_t mbi_merkle_scratch(size_t m);

/*
 * leaf[i], the digest of the leaf at pos[i], computed by the caller from what he was shown, and
 * the n_path digests at `path` lead to the root. False for whatever is not so, for any bytes;
 * leaves at equal positions must be equal.
 */
bool mbi_merkle_verify(const struct mbi_digest *root, size_t n, const uint32_t *pos,
                       const struct mbi_digest *leaf, size_t m, const uint8_t *path, size_t n_path,
                       void *scratch);

/* The same in a proof, with the tag "path". The positions must be ones that can be counted. */
void mbi_put_opening(struct mbi_proof_writer *w, const struct mbi_digest *tree, size_t n,
                     const uint32_t *pos, size_t m);
void mbi_get_opening(struct mbi_proof_reader *r, const struct mbi_digest *root, size_t n,
                     const uint32_t *pos, const struct mbi_digest *leaf, size_t m, void *scratch);

#endif

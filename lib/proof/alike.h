/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of a batch that have the same polynomial, as layers of a model have: where a sum-check ends,
 * what they say of many tables is gathered into one value of each of its factors by some more
 * rounds, over the numbers of the sums. Needs MBI_HAVE_SODIUM.                    proof.md, alike
 */
#ifndef MBI_PROOF_ALIKE_H
#define MBI_PROOF_ALIKE_H

#include "proof/sumcheck.h"

#define MBI_ALIKE_BITS 20 /* the most rounds more */

/* Sums with the same polynomial, the first one of which stands for all. */
struct mbi_family {
    uint32_t first, last, n; /* of its sums; how many */
    uint32_t list;           /* its own tables' lists are number[list], number[list + 1], ... */
    uint32_t chain;          /* the family before it with the same hash */
};

/* The tables of an own table's members, from table[first] on. */
struct mbi_alike_list {
    uint32_t first, n;
    uint32_t chain;
};

#define MBI_NO_SUM UINT32_MAX

struct mbi_alike {
    unsigned bits;             /* of the largest family's members: so many rounds more */
    struct mbi_family *family; /* in the order of their first sums */
    uint32_t n_families;
    /* By sum: its family, its number there, and the sum that is the next one, or MBI_NO_SUM. */
    uint32_t *family_of, *member, *next;
    struct mbi_alike_list *list; /* each once, in the order of their first use */
    uint32_t n_lists;
    uint32_t *number; /* of lists, see mbi_family */
    uint32_t *table;  /* of lists, see mbi_alike_list */
    uint32_t n_tables;
    struct mbi_ext *weight; /* by family, see alike_weights() */
    uint32_t *bucket;       /* of hashes, while families and lists are found */
    size_t n_buckets;
};

/* Finds what is alike in a batch without faults. False for want of memory. */
bool MBI_EXT(alike_find)(struct mbi_alike *out, const struct mbi_sum_batch *batch,
                         const struct mbi_host *host);
void MBI_EXT(alike_free)(struct mbi_alike *a, const struct mbi_host *host);

/* Whether a proof is smaller if the batch is gathered: then it has to be. */
bool MBI_EXT(alike_pays)(const struct mbi_alike *a, const struct mbi_sum_batch *batch);

/* a->weight: of every family the sum over its members y of eq(point, y) join^k w_k, k its sum; at
 * the first coordinates of the batch's point, of which the last ones are those of members. */
void MBI_EXT(alike_weights)(const struct mbi_alike *a, const struct mbi_sum_batch *batch,
                            struct mbi_ext join, const struct mbi_ext *point);

/*
 * The prover's rounds, after those of a batch that is gathered: `value` has the values of its
 * tables at the first coordinates of the point, and gets those of its lists; the point gets its
 * last coordinates, and a->weight what alike_weights() says. join: the powers, by sum. False for
 * want of memory.
 */
bool MBI_EXT(alike_prove)(struct mbi_ext *point, struct mbi_ext *value,
                          const struct mbi_sum_batch *batch, const struct mbi_ext *join,
                          struct mbi_proof_writer *out, const struct mbi_host *host);

#endif

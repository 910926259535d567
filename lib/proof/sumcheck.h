/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prod: sum over x in {0,1}^n of w(x) P(g_1(x), ..., g_s(x)) = v, by sum-check: n rounds that turn
 * the claims v of a batch of sums into the values of the g's extensions at one random point. The
 * weights w are forms, which the verifier evaluates itself. Needs MBI_HAVE_SODIUM.
 *                                                                             proof.md, sum-check
 */
#ifndef MBI_PROOF_SUMCHECK_H
#define MBI_PROOF_SUMCHECK_H

#include "proof/form.h"
#include "proof/pads.h"

#define MBI_SUM_DEGREE 5  /* of w P */
#define MBI_SUM_TABLES 48 /* of one sum */

/* c times the product of `degree` of a sum's tables, any of them several times; degree 0 is c. */
struct mbi_sum_term {
    mbi_fe c;
    uint8_t degree, factor[MBI_SUM_DEGREE - 1];
};

struct mbi_sum {
    const struct mbi_form *weight; /* w is the sum of them, all of the batch's bits */
    size_t n_weights;
    const struct mbi_sum_term *term; /* P is the sum of them */
    size_t n_terms;
    const uint32_t *table; /* the g's, as numbers of the batch's tables */
    size_t n_tables;
    struct mbi_ext claim; /* v */
};

struct mbi_alike;

/* Sums of one size; a table of several of them is claimed once. */
struct mbi_sum_batch {
    unsigned bits;
    const struct mbi_sum *sum;
    size_t n_sums, n_tables;
    const struct mbi_alike *alike; /* if it is gathered (alike.h), or NULL */
};

/* NULL, or what is wrong with a batch, as a part of a sentence: both sides refuse it. */
const char *MBI_EXT(sum_fault)(const struct mbi_sum_batch *batch);

/* The degree of the polynomial that a round sends: of w P, the largest of the batch. */
unsigned MBI_EXT(sum_degree)(const struct mbi_sum_batch *batch);

/* Absorbs the claims, draws *join and returns the sum of join^k claim_k. */
struct mbi_ext MBI_EXT(sum_join)(struct mbi_ext *join, struct mbi_transcript *t,
                                 const struct mbi_sum_batch *batch);

/* How many coordinates the point has where it ends, and how many values: of tables, or lists. */
unsigned MBI_EXT(sum_rounds)(const struct mbi_sum_batch *batch);
size_t MBI_EXT(sum_values)(const struct mbi_sum_batch *batch);

/* P of a sum at the values g of its own tables. */
struct mbi_ext MBI_EXT(sum_polynomial)(const struct mbi_sum *s, const struct mbi_ext *g);

/* The weight of a sum at a point. */
struct mbi_ext MBI_EXT(sum_weight_at)(const struct mbi_sum *s, const struct mbi_ext *point);

/* How many elements of F a batch adds to a proof, of 8 bytes each. */
size_t MBI_EXT(sum_size)(const struct mbi_sum_batch *batch);
/* How many pads it takes if it hides what it sends, and how many elements of F it adds then. */
size_t MBI_EXT(sum_pads)(const struct mbi_sum_batch *batch);
size_t MBI_EXT(sum_hidden_size)(const struct mbi_sum_batch *batch);

/*
 * Proves a batch over these tables of at most 2^bits entries, and gives its end: value[k] is the
 * extension of table k at `point`, of batch->bits coordinates; or, if it is gathered, of list k at
 * sum_rounds() coordinates. Both are claims that the caller has to prove; `value` has room for all
 * tables. The memory is half an element of E for every entry of the tables that are in products,
 * and two for every entry of each weight that is not another sum's.
 * With the writer's pads everything is sent hidden, and what follows from it is for
 * sum_verify_hidden() to say, over the same bytes: claims are their known parts, values those of
 * the tables.
 */
int32_t MBI_EXT(sum_prove)(struct mbi_ext *point, struct mbi_ext *value,
                           const struct mbi_sum_batch *batch, const struct mbi_table *table,
                           struct mbi_proof_writer *out, const struct mbi_host *host,
                           mambaint_error *err);

/* The same end from the proof; false and a fault of the reader if it proves nothing. */
bool MBI_EXT(sum_verify)(struct mbi_ext *point, struct mbi_ext *value,
                         const struct mbi_sum_batch *batch, struct mbi_proof_reader *in);

/*
 * The end of a hidden one: value[k] is a point of a line, hidden->line, so that table (or list) k
 * has the value value[k] - r pad_(m + k) at `point`; and hidden->zero has one entry, to be proved,
 * too.
 */
bool MBI_EXT(sum_verify_hidden)(struct mbi_ext *point, struct mbi_ext *value,
                                const struct mbi_sum_batch *batch, struct mbi_hidden *hidden,
                                struct mbi_proof_reader *in);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What prover and verifier of an opening do the same way: the stack of the vectors, what is
 * absorbed and drawn, and the sums that both compute. Internal to the files open*.c.
 *                                                                          proof.md, commitment
 */
#ifndef MBI_PROOF_OPEN_H
#define MBI_PROOF_OPEN_H

#include "proof/commit.h"

/* Of an opening, at most: those over a stack, and over the bits that masks add to its rows. */
#define MBI_OPEN_ROUNDS (MBI_MAX_BITS + MBI_CODE_RATE_MAX)

/* ---- matrices under a root (commit.c) ---- */

/* Encoded rows, over F: one of E is D of them, coordinate by coordinate. Row r's value at the j-th
 * power is at codeword[r L + j]. */
struct mbi_matrix {
    size_t rows;
    unsigned log_length;
    mbi_fe *codeword;
    struct mbi_digest *tree;
};

static inline const struct mbi_digest *mbi_matrix_root(const struct mbi_matrix *m)
{
    return m->tree + (mbi_merkle_size((size_t)1 << m->log_length) - 1);
}

/* Memory for it; on failure, too, there is something to free. */
bool MBI_EXT(matrix_alloc)(struct mbi_matrix *m, const struct mbi_host *host);
void MBI_EXT(matrix_free)(struct mbi_matrix *m, const struct mbi_host *host);

/* Encodes the rows, of so many entries that lie at the begin of their codewords, and hashes. */
int32_t MBI_EXT(matrix_encode)(struct mbi_matrix *m, size_t entries, const struct mbi_ntt *ntt,
                               mambaint_error *err);

/* The matrix of a further layer: rows of the layer's columns, over E. */
int32_t MBI_EXT(matrix_of)(struct mbi_matrix *m, const struct mbi_ext *entry, size_t rows,
                           const struct mbi_layer *layer, const struct mbi_ntt *ntt,
                           mambaint_error *err);

/* ---- openings (open.c) ---- */

/* The rows of all vectors as one matrix of 2^rounds rows; rows that no vector has are zero. */
struct mbi_open_stack {
    uint64_t first[MBI_OPEN_VECTORS];
    unsigned rounds;
};

/* open_fault(); with `formless`, claims may lack their form. */
const char *MBI_EXT(open_fault_of)(const struct mbi_opening *o, bool formless);

void MBI_EXT(open_stack_init)(struct mbi_open_stack *s, const struct mbi_opening *o);

/* log2 of the entries of a vector. */
static inline unsigned mbi_open_bits(const struct mbi_opening *o, size_t vector)
{
    return o->root[vector].log_rows + o->code.log_columns;
}

/* Entries of the row that layer i is folded to. */
static inline size_t mbi_layer_entries(const struct mbi_code *code, unsigned i)
{
    return i ? (size_t)1 << code->further[i - 1].log_columns : mbi_code_entries(code);
}

/* Rows of a further layer i > 0, over E, and log2 of them. */
static inline size_t mbi_layer_rows(const struct mbi_code *code, unsigned i)
{
    return ((mbi_layer_entries(code, i - 1) - 1) >> code->further[i - 1].log_columns) + 1;
}

static inline unsigned mbi_open_log_rows(const struct mbi_code *code, unsigned i)
{
    return (unsigned)mbi_bitlen(mbi_layer_rows(code, i) - 1);
}

/* Bits of an index of the row that layer 0 is folded to, if it is committed to: its rows in the
 * first further layer are as long as those of all others. */
static inline unsigned mbi_layer_bits(const struct mbi_code *code)
{
    return (unsigned)mbi_bitlen(mbi_code_entries(code) - 1);
}

/* Rows behind those of the first vector: an element of E, to which the folded row is added. */
static inline size_t mbi_blind_rows(const struct mbi_code *code)
{
    return code->masks ? MBI_EXT_D : 0;
}

struct mbi_ext MBI_EXT(open_draw)(struct mbi_transcript *t);

/*
 * Of a hidden opening: 2 elements of E for each round over the rows, which pad its message. They
 * are entries behind the masks of one row, `last`; all other rows have to have zeros there, which
 * is a claim besides the others: sum of eq(z, r) power^i pad_i(r) over r != last, times factor.
 */
struct mbi_open_pads {
    unsigned rounds;
    uint64_t last;
    struct mbi_ext z[MBI_MAX_BITS], power, factor;
};

/* Absorbs the statement, draws the numbers of *pads if it is hidden and then *join, and returns the
 * sum of join^k value_k. Further terms do not count: they share the power of their claim. */
struct mbi_ext MBI_EXT(open_join)(struct mbi_ext *join, struct mbi_open_pads *pads,
                                  struct mbi_transcript *t, const struct mbi_opening *o,
                                  const struct mbi_open_stack *stack);

/* At r, the polynomial of degree 2 with the values q0 and q1 at 0 and 1, q2 that of X^2. */
static inline struct mbi_ext mbi_open_quadratic(struct mbi_ext q0, struct mbi_ext q1,
                                                struct mbi_ext q2, struct mbi_ext r)
{
    const struct mbi_ext linear = mbi_ext_sub(mbi_ext_sub(q1, q0), q2);

    return mbi_ext_add(q0, mbi_ext_mul(r, mbi_ext_add(linear, mbi_ext_mul(r, q2))));
}

/* The positions of a layer, of which `queries` are drawn; returns how many are left. */
size_t MBI_EXT(open_positions)(uint32_t *position, const struct mbi_layer *layer,
                               struct mbi_transcript *t);

/* Sum over r of weight[r] column[r], over F; and over E, D elements of F each. */
struct mbi_ext MBI_EXT(open_fold_base)(const mbi_fe *column, const struct mbi_ext *weight,
                                       size_t rows);
struct mbi_ext MBI_EXT(open_fold)(const mbi_fe *column, const struct mbi_ext *weight, size_t rows);

/* claim + sum over j < n of join^(j+1) value[j]. */
struct mbi_ext MBI_EXT(open_join_values)(struct mbi_ext claim, struct mbi_ext join,
                                         const struct mbi_ext *value, size_t n);

/* ---- what hides (open_masks.c) ---- */

void MBI_EXT(open_pads_draw)(struct mbi_open_pads *p, struct mbi_transcript *t,
                             const struct mbi_opening *o, const struct mbi_open_stack *stack);

/*
 * The weights of the folded row's 2 D `rounds` entries of pads, after the rounds: with them the row
 * gives the claim that the padded messages leave. False if the row `last` has no weight in the
 * fold.
 */
bool MBI_EXT(open_pads_weights)(struct mbi_ext *w, const struct mbi_open_pads *p,
                                const struct mbi_ext *alpha);

/* Sum of power^i pad_i. With it, what the claim about other rows adds to a round's polynomial: its
 * value at 0 and its coefficient of X^2. */
struct mbi_ext MBI_EXT(open_pads_sum)(const struct mbi_open_pads *p, const struct mbi_ext *pad);
void MBI_EXT(open_pads_round)(struct mbi_ext value[2], const struct mbi_open_pads *p,
                              struct mbi_ext sum, const struct mbi_ext *alpha, unsigned round);

/* out: the masks of the folded row; eq: of the rows of the stack. False for want of memory. */
bool MBI_EXT(open_fold_masks)(struct mbi_ext *out, const struct mbi_opening *o,
                              const struct mbi_commitment *vector,
                              const struct mbi_open_stack *stack, const struct mbi_ext *eq,
                              const struct mbi_host *host, const struct mbi_field_kernels *kernels);

/* The n entries of each blind row, one row after the other; for mbi_free_aligned(). NULL for want
 * of memory. */
mbi_fe *MBI_EXT(open_blind)(const struct mbi_commitment *c, size_t n, const struct mbi_host *host);
/* ---- places of blocks (open_place.c) ---- */

#define MBI_PLACE_GROUP 8u /* coordinates of one table */

/* eq(alpha, place) for the first coordinates of alpha, of any number up to n and any place of as
 * many bits: by tables for every begin of each group of coordinates. */
struct mbi_open_places {
    struct mbi_ext table[MBI_MAX_BITS / MBI_PLACE_GROUP][2 << MBI_PLACE_GROUP];
};

void MBI_EXT(open_places_init)(struct mbi_open_places *p, const struct mbi_ext *alpha, unsigned n);

/* What was found last: all but the last group of its bits. Start it with zeros. */
struct mbi_open_place {
    unsigned bits; /* 0: nothing */
    uint64_t place;
    struct mbi_ext value;
};

/* Mostly one multiplication where a place is a neighbour of the last one. */
struct mbi_ext MBI_EXT(open_place)(struct mbi_open_place *last, const struct mbi_open_places *p,
                                   unsigned bits, uint64_t place);

/* ---- the prover's weights (open_fill.c) ---- */

/* entries[i]: of vector i, so many from the first one on that all others are zero and have no
 * weight. A multiple of a row. */
void MBI_EXT(open_reach)(size_t *entries, const struct mbi_opening *o);

/* w[i]: for each of these entries the joined forms, the k-th claim times join^k; nothing where it
 * is NULL. False for want of memory. */
bool MBI_EXT(open_fill)(struct mbi_ext *const *w, const struct mbi_opening *o, struct mbi_ext join,
                        const struct mbi_host *host, const struct mbi_field_kernels *kernels);

/*
 * The same for vectors with few forms for an entry, whose weights are made when they are asked for
 * and take no memory. NULL for want of it.
 */
struct mbi_open_weights;
struct mbi_open_weights *MBI_EXT(open_weights)(const struct mbi_opening *o, struct mbi_ext join,
                                               const struct mbi_host *host,
                                               const struct mbi_field_kernels *kernels);
void MBI_EXT(open_weights_free)(struct mbi_open_weights *f, const struct mbi_host *host);
/* Is this vector one of them? */
bool MBI_EXT(open_weights_has)(const struct mbi_open_weights *f, size_t vector);
/* Its weights of the entries begin .. begin + n, which lie between two multiples of
 * 2^MBI_FORM_BLOCK_LOG and below its reach. */
void MBI_EXT(open_weights_make)(struct mbi_ext *w, const struct mbi_open_weights *f, size_t vector,
                                size_t begin, size_t n);

#endif

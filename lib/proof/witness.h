/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the prover knows and the verifier does not: the integers of all variables of a plan, and the
 * digits of those that it commits.                                       proof.md, plan
 */
#ifndef MBI_PROOF_WITNESS_H
#define MBI_PROOF_WITNESS_H

#include "proof/plan.h"
#include "proof/poly.h"

/* All values of one stage in one run, by mbi_ref: [lanes][cols] as the node's type has them, and
 * the parameters. Those that the stage's output does not depend on may be missing. */
struct mbi_stage_run {
    const void *const *value;
};

struct mbi_witness {
    const struct mbi_plan *plan;
    /* By variable: rows of 2^col_bits entries, zero outside the real ranges. */
    struct mbi_table *table;
    struct mbi_table vector; /* the digits: 2^plan->bits entries of one byte */
};

/* Fills everything in: `run` has one entry for each stage. Of a certificate the parameters alone
 * are read. */
int32_t mbi_witness_create(struct mbi_witness **out, const struct mbi_plan *plan,
                           const struct mbi_stage_run *run, mambaint_error *err);
void mbi_witness_free(struct mbi_witness *w); /* NULL is fine; erases what it held */

/* One integer of a variable; the digits are left as they are. */
int64_t mbi_witness_get(const struct mbi_witness *w, uint32_t var, size_t row, size_t col);
void mbi_witness_set(const struct mbi_witness *w, uint32_t var, size_t row, size_t col, int64_t v);
/* The digits of one committed variable from its integers. */
void mbi_witness_digits(const struct mbi_witness *w, uint32_t var);

/* MBI_NONE if every relation holds over the integers and every range, else the relation (or
 * n_relations plus the variable) that does not. As slow as the reference. */
uint32_t mbi_witness_check(const struct mbi_witness *w);

/* The vector of the weights of graphs (param: by graph, each as in struct mbi_backend) as a table
 * of 2^*bits entries, whose data the caller frees with mbi_free_aligned(). */
int32_t mbi_weight_vector(struct mbi_table *out, unsigned *bits, const struct mbi_host *host,
                          const struct mbi_graph *const *graph, const void *const *const *param,
                          size_t n_graphs, mambaint_error *err);

#endif

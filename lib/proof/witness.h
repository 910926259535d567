/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the prover knows and the verifier does not: the integers of all variables of a plan, and the
 * digits of those that it commits.                                       proof.md, plan
 */
#ifndef MBI_PROOF_WITNESS_H
#define MBI_PROOF_WITNESS_H

#include "proof/masks.h"
#include "proof/plan.h"
#include "proof/poly.h"
#include "proof/known.h"

/* All values of one stage in one run, by mbi_ref: [lanes][cols] as the node's type has them, and
 * the parameters. Those that the stage's output does not depend on may be missing. */
struct mbi_stage_run {
    const void *const *value;
    const uint32_t *token; /* of the first stage of a model of tokens: lanes + 1 of them */
    const int32_t *before; /* of tokens: the vector of the boundary before, if the plan has one */
};

struct mbi_witness {
    const struct mbi_plan *plan;
    /* By variable: rows of 2^col_bits entries, zero outside the real ranges. */
    struct mbi_table *table;
    struct mbi_table vector; /* the digits: 2^plan->bits entries; if hidden, in F, with the pads */
    struct mbi_table looked; /* weights and counts, if the plan is direct */
    bool *done;              /* by variable: its integers are there */
    const void **param[MBI_PLAN_STAGES]; /* of the run, by parameter */
    struct mbi_known known;
};

/* Fills everything in: `run` has one entry for each stage. Of a certificate the parameters alone
 * are read. A hidden plan takes a seed, of this proof alone, of which its pads are made; any other
 * one none: NULL. */
int32_t mbi_witness_create(struct mbi_witness **out, const struct mbi_plan *plan,
                           const struct mbi_stage_run *run, const struct mbi_mask_seed *seed,
                           mambaint_error *err);
void mbi_witness_free(struct mbi_witness *w); /* NULL is fine; erases its pads */

/* n elements of the pads of a hidden one, from element `at` on: another proof has the same. */
void mbi_witness_pads_get(mbi_fe *out, const struct mbi_witness *w, uint64_t at, size_t n);
void mbi_witness_pads_set(const struct mbi_witness *w, uint64_t at, const mbi_fe *x, size_t n);

/* One integer of a variable; the digits are left as they are. */
int64_t mbi_witness_get(const struct mbi_witness *w, uint32_t var, size_t row, size_t col);
void mbi_witness_set(const struct mbi_witness *w, uint32_t var, size_t row, size_t col, int64_t v);
/* The digits of one committed variable from its integers. */
void mbi_witness_digits(const struct mbi_witness *w, uint32_t var);
/* The counts of all digits, where they are counted. */
void mbi_witness_count(const struct mbi_witness *w);

/* A derived variable from its definition, if that has not been done. */
void mbi_witness_compute(const struct mbi_witness *w, uint32_t var);

/* ---- relations ---- */

struct mbi_letters {
    uint32_t at[MBI_LETTERS];
};

/* The next values of the letters of a relation: of those that its result has, or (of one that is
 * zero) of all if `outer`, else of those that are summed. False at the end; then all are 0. */
bool mbi_letters_next(struct mbi_letters *l, const struct mbi_relation *r, bool outer);
int64_t mbi_view_value(const struct mbi_witness *w, const struct mbi_view *view,
                       const struct mbi_letters *at);
/* The sum of terms at the outer letters, 0 outside of a mask. Bounded by the plan: below 2^62. */
int64_t mbi_relation_value(const struct mbi_witness *w, const struct mbi_relation *r,
                           const struct mbi_letters *outer);

/* MBI_NONE if every relation holds over the integers and every range, else the relation (or
 * n_relations plus the variable) that does not. As slow as the reference. */
uint32_t mbi_witness_check(const struct mbi_witness *w);

/* The vector of the weights of graphs (param: by graph, each as in struct mbi_backend) as a table
 * of 2^*bits entries, whose data the caller frees with mbi_free_aligned(). */
int32_t mbi_weight_vector(struct mbi_table *out, unsigned *bits, const struct mbi_host *host,
                          const struct mbi_graph *const *graph, const void *const *const *param,
                          size_t n_graphs, mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The integers of a plan's variables that the verifier knows by itself: parameters of exponents and
 * scales, and tokens.                                                          proof.md, plan */
#ifndef MBI_PROOF_KNOWN_H
#define MBI_PROOF_KNOWN_H

#include "proof/plan.h"
#include "proof/poly.h"

struct mbi_known {
    const void *const *const *param; /* by stage, parameter: those that are public */
    const uint32_t *token;           /* lanes + 1 */
};

/* Element (row, col) of a parameter of a graph, or of a value. */
int64_t mbi_typed_at(const struct mbi_type *t, const void *data, size_t row, size_t col);

/* The smallest and the largest one. */
void mbi_typed_ends(int64_t *lo, int64_t *hi, const struct mbi_type *t, const void *data);

/* Is it one of the variables that this file fills? */
bool mbi_is_known(const struct mbi_plan *p, const struct mbi_var *v);
/* One integer of such a variable. */
int64_t mbi_known_at(const struct mbi_plan *p, const struct mbi_var *v,
                     const struct mbi_known *from, size_t row, size_t col);
/* Their tables, but for LESS, which the verifier needs no table of; to be freed also after a
 * failure. */
int32_t mbi_known_tables(struct mbi_table *table, const struct mbi_plan *p,
                         const struct mbi_known *from, mambaint_error *err);
void mbi_known_free(struct mbi_table *table, const struct mbi_plan *p); /* NULL is fine */

#endif

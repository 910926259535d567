/* SPDX-License-Identifier: Apache-2.0 */
/* Variables and relations as the plan keeps them: what gadgets' calls end in. */
#ifndef MBI_PROOF_RELATION_H
#define MBI_PROOF_RELATION_H

#include "proof/plan.h"

/* The first mistake stays. */
void mbi_plan_fault(struct mbi_plan *p, const char *fault);

/* Room for what so many operations of a large plan declare, so that it does not move when it grows;
 * before there is any. */
void mbi_plan_expect(struct mbi_plan *p, size_t operations);

/* Frees variables, relations, terms and their views. */
void mbi_plan_free_relations(struct mbi_plan *p);

/* MBI_NONE after a fault. Index bits are filled in here. */
uint32_t mbi_plan_add_var(struct mbi_plan *p, const struct mbi_var *v);

/* Whether whole bits are as much as it may hold. */
bool mbi_var_is_tight(const struct mbi_var *v);

/* The variables hi - value of ranges that have to be tight, and the relations that say so. */
void mbi_plan_add_complements(struct mbi_plan *p);

/* The type of a variable's node: of a public parameter it is as narrow as what it holds. */
const struct mbi_type *mbi_plan_narrow(struct mbi_type *known, const struct mbi_plan *p,
                                       uint32_t var, const struct mbi_type *t);

/* Which relations are like each other. */
void mbi_plan_compare_relations(struct mbi_plan *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms of an opening for a verifier that asks for their forms at one point: no form is made.
 * Those that are alike, as the same ones of many layers are, share a number and are evaluated once;
 * of a box, rows, middle and columns are evaluated apart, and those that several have, once.
 */
#ifndef MBI_PROOF_WALK_TERMS_H
#define MBI_PROOF_WALK_TERMS_H

#include "proof/walk_parts.h"
#include <stdatomic.h>

#define MBI_TERM_HASHES 1024u

/* A part of the walk in a box or a piece of its variable: its factors, of which the entries count
 * that begin at `row` and `col`. */
struct mbi_walk_term {
    const struct mbi_form_factor *factor[MBI_AXES]; /* NULL: of no bits, and 1 */
    const struct mbi_box *list; /* factor[0] is a list of places, of which this box has its own */
    uint32_t var, row, col;     /* var: of a list */
    uint8_t log[MBI_AXES];      /* of the variable */
    uint8_t log_rows, log_cols; /* of the box */
};

struct mbi_walk_terms {
    struct mbi_walk *walk;
    struct mbi_walk_term *term; /* by number */
    struct mbi_ext *value;      /* the same, at the point that was asked for */
    uint32_t n, cap;
    struct mbi_walk_numbered {
        const struct mbi_part *part; /* of the walk, which has no more of them; NULL: none yet */
        uint32_t number;
    } last[MBI_TERM_HASHES]; /* the last part of each hash */
    atomic_flag busy;        /* somebody uses the walk's memory */
};

/* With the same factors, of variables of one shape, which have the same boxes or pieces: they have
 * the same forms. A list of places is a variable's own. */
bool MBI_EXT(walk_alike)(const struct mbi_walk *w, const struct mbi_part *a,
                         const struct mbi_part *b);

void MBI_EXT(walk_terms_init)(struct mbi_walk_terms *t, struct mbi_walk *w);
void MBI_EXT(walk_terms_free)(struct mbi_walk_terms *t);

/* The number of a part of the walk in its first box (or piece); those of the others, of n in all,
 * follow it. A failure is noted in the walk. */
uint32_t MBI_EXT(walk_terms_add)(struct mbi_walk_terms *t, const struct mbi_part *part, uint32_t n);

/* What mbi_open_forms.at() is: `user` is the terms. The parts' scales are not in it. */
const struct mbi_ext *MBI_EXT(walk_terms_at)(void *user, const struct mbi_ext *end);

#endif

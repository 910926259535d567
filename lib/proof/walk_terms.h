/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms of an opening for a verifier that asks for their forms at one point: no form is made.
 * Rows, middle and columns of a box are evaluated apart, and those that several have, once.
 */
#ifndef MBI_PROOF_WALK_TERMS_H
#define MBI_PROOF_WALK_TERMS_H

#include "proof/walk_parts.h"
#include <stdatomic.h>

/* An axis of a box, or of a piece of a weight, at a point. */
struct mbi_known_axis {
    const struct mbi_form_factor *factor;
    const struct mbi_ext *point;
    uint32_t from;
    uint8_t bits, log;
    struct mbi_ext value;
};

/* What several threads share. */
struct mbi_walk_terms {
    struct mbi_walk *walk;
    /* By number: a part, and which of its boxes or pieces. */
    struct mbi_term_place {
        uint32_t part, box;
    } * place;
    uint32_t n;
    atomic_flag busy; /* somebody uses the walk's memory */
};

/* What one of them has found. */
struct mbi_walk_found {
    struct mbi_walk_terms *terms;
    struct mbi_known_axis *known; /* the last one of each hash */
    uint32_t last;                /* the number that was asked for last, ... */
    const struct mbi_ext *last_point;
    struct mbi_ext last_value; /* ... and what it was */
};

/* Room for n numbers; false for want of memory, which the walk notes. */
bool MBI_EXT(walk_terms_init)(struct mbi_walk_terms *t, struct mbi_walk *w, size_t n);
bool MBI_EXT(walk_found_init)(struct mbi_walk_found *f, struct mbi_walk_terms *t);

/* The next number, for a box (or piece; 0 if there are none) of a part of the walk. */
uint32_t MBI_EXT(walk_terms_add)(struct mbi_walk_terms *t, const struct mbi_part *part,
                                 uint32_t box);

/* What mbi_open_forms.at() is: `user` is what was found. The part's scale is not in it. A fault
 * is the walk's. */
struct mbi_ext MBI_EXT(walk_terms_at)(void *user, uint32_t number, const struct mbi_ext *point);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the walk share: claims and their parts, and the weights of letters. */
#ifndef MBI_PROOF_WALK_PARTS_H
#define MBI_PROOF_WALK_PARTS_H

#include "base/intmath.h"
#include "proof/walk.h"

/* ---- memory that lives as long as the walk; a failure is noted in it ---- */

/* The first with zeros, the second with anything. */
void *MBI_EXT(walk_keep)(struct mbi_walk *w, size_t n, size_t size);
void *MBI_EXT(walk_room)(struct mbi_walk *w, size_t n, size_t size);
struct mbi_ext *MBI_EXT(walk_draw)(struct mbi_walk *w, size_t n);

/* The protocol has no step for it: then neither side goes on. */
static inline void mbi_walk_cannot(struct mbi_walk *w, const char *why)
{
    if (!w->failed)
        w->fault = why;
    w->failed = true;
}

/* ---- claims ---- */

uint32_t MBI_EXT(walk_claim)(struct mbi_walk *w, struct mbi_ext value);
void MBI_EXT(walk_part)(struct mbi_walk *w, const struct mbi_part *part);
/* The value of a claim, less x. */
void MBI_EXT(walk_take)(struct mbi_walk *w, uint32_t claim, struct mbi_ext x);

/* Adds scale times a pad to the value of a claim. */
void MBI_EXT(walk_pad)(struct mbi_walk *w, uint32_t claim, size_t pad, struct mbi_ext scale);
/* A claim with an affine value of the last sum-check or lookup; and all those that are 0. */
uint32_t MBI_EXT(walk_affine)(struct mbi_walk *w, const struct mbi_affine *value);
void MBI_EXT(walk_zeros)(struct mbi_walk *w);
/* A claim about table k of the last sum-check, which has this value, or a point of its line. */
uint32_t MBI_EXT(walk_end)(struct mbi_walk *w, struct mbi_ext value, size_t k);

/* Minus n pads as a term of a claim about the witness vector. Returns 1; 0 for want of memory. */
size_t MBI_EXT(walk_pad_term)(struct mbi_claim *claim, struct mbi_walk *w,
                              const struct mbi_pad_term *term, size_t n);

static inline struct mbi_ext mbi_ext_times(struct mbi_ext a, int64_t c)
{
    return mbi_ext_scale(a, mbi_fe_from_i64(c));
}

/* ---- factors ---- */

static inline unsigned mbi_index_bits(uint32_t n) { return (unsigned)mbi_bitlen(n - 1); }

/* The factor in the walk's memory: mostly the same for equal ones, so that few are kept and few
 * evaluated. After a failure it is another one. */
const struct mbi_form_factor *MBI_EXT(walk_factor)(struct mbi_walk *w,
                                                   const struct mbi_form_factor *f);
/* If it was there before: what has been kept since the room was what it is said to be, for a factor
 * that it was equal to. */
void MBI_EXT(walk_give_back)(struct mbi_walk *w, uint8_t *room, const struct mbi_form_factor *f);
/* The sum of a factor's entries; of a factor in the walk's memory, which keeps it. */
struct mbi_ext MBI_EXT(factor_total)(const struct mbi_form_factor *f, unsigned bits);
struct mbi_ext MBI_EXT(walk_total)(struct mbi_walk *w, const struct mbi_form_factor *f,
                                   unsigned bits);
/* The sum of the entries below n <= 2^bits; false if the factor is not so simple. */
bool MBI_EXT(factor_below)(struct mbi_ext *out, const struct mbi_form_factor *f, unsigned bits,
                           uint64_t n);
/* The factor moved so that its free indices begin `at` bits later. */
struct mbi_form_factor MBI_EXT(factor_moved)(const struct mbi_form_factor *f, unsigned at);

/* The entries [row, row + 2^log) of a factor, of which `bits` is the length, times scale. */
struct mbi_form_factor MBI_EXT(walk_cut)(struct mbi_walk *w, struct mbi_ext *scale,
                                         const struct mbi_form_factor *f, unsigned bits,
                                         uint32_t row, unsigned log);
/* The list of places in a variable, as places in a box. */
struct mbi_form_factor MBI_EXT(walk_list)(struct mbi_walk *w, const struct mbi_form_factor *f,
                                          const struct mbi_var *v, const struct mbi_box *box);

/* ---- letters ---- */

/* What each letter of a relation is weighted with, over its own bits from 0 on. */
struct mbi_weights {
    const struct mbi_relation *relation;
    struct mbi_ext scale; /* of indices of a result that no letter leads to */
    /* Of the walk: see mbi_walk_factor(). */
    const struct mbi_form_factor *factor[MBI_LETTERS];
    /* Letters that are fields of one index of a result whose factor does not fall apart: bits of
     * letters, and the factor of all of them. */
    uint32_t whole[MBI_AXES];
    const struct mbi_form_factor *whole_factor[MBI_AXES];
};

/* The part of a view whose letters are weighted; `live`: the letters that are summed here, of which
 * the view may lack some. */
struct mbi_part MBI_EXT(part_of_view)(struct mbi_walk *w, const struct mbi_view *view,
                                      const struct mbi_weights *l, uint32_t live);
/* The weights of a definition's letters where its variable is weighted as in a part. */
struct mbi_weights MBI_EXT(weights_of_part)(struct mbi_walk *w, const struct mbi_relation *r,
                                            const struct mbi_part *part);
/* The weight of a sum over some letters, which are the fields of its index in their order. */
struct mbi_form MBI_EXT(sum_weight)(struct mbi_walk *w, const struct mbi_weights *l,
                                    uint32_t letters);

/* ---- steps ---- */

void MBI_EXT(walk_relations)(struct mbi_walk *w);
/* Of a hidden proof: is it the relation of a boundary variable? Then the links say what it does. */
bool MBI_EXT(walk_is_tie)(const struct mbi_walk *w, const struct mbi_relation *r);
void MBI_EXT(walk_links)(struct mbi_walk *w);
void MBI_EXT(walk_replace)(struct mbi_walk *w);
void MBI_EXT(walk_open)(struct mbi_walk *w);
/* In place of all of them: a certificate whose weights are counted where they are. */
void MBI_EXT(walk_certificate)(struct mbi_walk *w);

#endif

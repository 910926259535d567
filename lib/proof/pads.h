/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pads: random elements of E at the end of the witness vector, one for each message that hides
 * something. What is sent is the value plus its pad, so that both sides know a value as what was
 * sent less a pad; of such values only sums with public factors are taken, and products on a random
 * line, whose points are sent in clear. Needs MBI_HAVE_SODIUM.                  proof.md, pads
 */
#ifndef MBI_PROOF_PADS_H
#define MBI_PROOF_PADS_H

#include "proof/ext.h"
#include "proof/stream.h"

/* The prover's: n elements of E, coordinate by coordinate, of which `next` are used. */
struct mbi_pads {
    size_t next, n;
    const mbi_fe *at;
};

/* scale times the pad of this number */
struct mbi_pad_term {
    size_t pad;
    struct mbi_ext scale;
};

/* known plus n terms from number `first` on */
struct mbi_affine {
    struct mbi_ext known;
    size_t first, n;
};

/* A point u + r m of a line: u has the value of what was sent, less r times the pads m, m + 1, ...;
 * `sum` is the known part of the sum of r^i H_i, i > 0. */
struct mbi_line {
    struct mbi_ext r, sum;
    size_t m;
};

/*
 * What a verifier learns of pads; the terms are those of one sum-check or lookup. Both sides number
 * the pads in the order of the messages, of a line first its coefficients, then m.
 */
struct mbi_hidden {
    const struct mbi_host *host;
    size_t next; /* pads that have been given out */
    struct mbi_pad_term *term;
    struct mbi_affine *zero; /* what has to be 0 */
    size_t n_terms, term_cap, n_zero, zero_cap;
    const size_t *claim_pad; /* of a sum-check, by sum: what is taken off its claim; SIZE_MAX: none.
                                NULL: of no sum */
    struct mbi_line line;    /* the one that a sum-check ends with */
    struct mbi_affine end[2]; /* of a lookup: what it leaves to prove of limbs and counts */
    bool failed;              /* for want of memory */
};

/* ---- the prover ---- */

/* Elements with a pad each; without pads as they stand. */
void MBI_EXT(put_padded)(struct mbi_proof_writer *w, const char *tag, const struct mbi_ext *x,
                         size_t n);
/* The pad `ahead` places behind the next one. */
struct mbi_ext MBI_EXT(pad_ahead)(const struct mbi_pads *p, size_t ahead);
/* The coefficients h[1], ..., h[degree] of a product on the line u + X m, where m begins `degree`
 * places ahead; then n of its points, in clear. */
void MBI_EXT(put_line)(struct mbi_proof_writer *w, const struct mbi_ext *h, unsigned degree,
                       const struct mbi_ext *u, size_t n);

/* ---- both sides ---- */

void MBI_EXT(hidden_free)(struct mbi_hidden *h);
/* No terms, for the next sum-check or lookup. */
void MBI_EXT(hidden_clear)(struct mbi_hidden *h);
void MBI_EXT(hidden_term)(struct mbi_hidden *h, size_t pad, struct mbi_ext scale);
/* n messages with pads from h->next on: terms of minus their scales. */
void MBI_EXT(hidden_pads)(struct mbi_hidden *h, const struct mbi_ext *scale, size_t n);
/* `known` and the terms from `first` on are 0 together. */
void MBI_EXT(hidden_zero)(struct mbi_hidden *h, size_t first, struct mbi_ext known);

/* The line's sum, and terms of it, from the coefficients that were sent; false if line->r is 0. */
bool MBI_EXT(line_join)(struct mbi_line *line, const struct mbi_ext *h, unsigned degree,
                        struct mbi_hidden *hidden);
/* Reads a line of this degree and n of its points. */
bool MBI_EXT(get_line)(struct mbi_line *line, struct mbi_ext *u, unsigned degree, size_t n,
                       struct mbi_hidden *hidden, struct mbi_proof_reader *in);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the random elements of hidden proofs come from: a seed of 32 bytes, expanded by the hash.
 * What is asked for is named by a use and a number, so that it can be made again, and in any order.
 * The seed is the system's, new for every proof and every key; tests give one. Only with
 * MBI_HAVE_SODIUM.                                                       proof.md, hidden proofs
 */
#ifndef MBI_PROOF_MASKS_H
#define MBI_PROOF_MASKS_H

#include "proof/field.h"
#include "proof/hash.h"

enum mbi_mask_use {
    MBI_MASK_ROW,   /* the masks of a row; number: the row */
    MBI_MASK_BLIND, /* the rows that the folded row is added to; number: the coordinate of E */
    MBI_MASK_ROUND, /* the pads of the rounds of an opening */
    MBI_MASK_PAD,   /* the pads of the messages of a walk */
    MBI_MASK_BLUR,  /* the element of E that hides the value that all roots of a key have */
    MBI_MASK_SEED,  /* 4 elements whose bytes are a seed of its own; number: the vector */
};

struct mbi_mask_seed {
    uint8_t byte[32];
};

/* A seed out of the system's generator. Waits for nothing but the generator's start. */
int32_t mbi_mask_seed_draw(struct mbi_mask_seed *seed, mambaint_error *err);

/* A seed for one vector, tree or other part of what a seed is for. */
void mbi_mask_seed_of(struct mbi_mask_seed *out, const struct mbi_mask_seed *seed, uint64_t number);

/*
 * n elements, uniform below p: the eight words of H(seed | use u32 | number u64 | block u64), block
 * = 0, 1, .., but for words of p or more, of which one in 2^32 is.
 */
void mbi_mask_fill(mbi_fe *out, size_t n, const struct mbi_mask_seed *seed, enum mbi_mask_use use,
                   uint64_t number);

/* Zeros that no compiler leaves out. */
void mbi_mask_seed_forget(struct mbi_mask_seed *seed);

#endif

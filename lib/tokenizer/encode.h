/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding a piece of any length, and how much work an encoding was. */
#ifndef MBI_TOKENIZER_ENCODE_H
#define MBI_TOKENIZER_ENCODE_H

#include "tokenizer/build.h"

#define MBI_LONG_LEVELS 8 /* 16^8 = 2^32 positions */

/*
 * Memory for pieces that are too long to look at every pair again after every merge. It is kept
 * from piece to piece; begin with {.host = host}.
 */
struct mbi_long_piece {
    const struct mbi_host *host;
    uint32_t *id;    /* of the symbol that begins here */
    uint32_t *start; /* first byte of the symbol that ends here */
    uint32_t *rank;  /* the tree; level 0 holds the rank of (symbol here, next symbol) */
    uint32_t *level[MBI_LONG_LEVELS]; /* each node is the minimum of its children */
    size_t level_size[MBI_LONG_LEVELS];
    int levels;
    size_t cap;
    uint64_t nodes; /* of the tree that were looked at, in all pieces so far */
};

void mbi_long_piece_free(struct mbi_long_piece *p); /* all but the count */

/* Append the ids of one piece. O(n log n), where the logarithm is to the base 16. */
int32_t mbi_encode_long(struct mbi_buf *out, struct mbi_long_piece *p,
                        const struct mbi_tokenizer *t, const uint8_t *text, size_t n,
                        mambaint_error *err);

/*
 * mbi_tokenizer_encode(), and *steps grows by the pairs and tree nodes that were looked at while
 * merging: a measure of the work that is the same on every machine.
 */
int32_t mbi_tokenizer_encode_counted(struct mbi_buf *out, const struct mbi_tokenizer *t,
                                     const char *text, size_t len, uint32_t flags, uint64_t *steps,
                                     mambaint_error *err);

#endif

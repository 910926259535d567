/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A series: proofs of one run on tokens, one behind the other, each of which begins with the memory
 * that the one before it hands on; or of a chain of models, each of which takes what the one before
 * it hands on. As bytes; and what they say together.                            proof-files.md
 */
#ifndef MBI_PROOF_SERIES_H
#define MBI_PROOF_SERIES_H

#include "proof/statement.h"

#define MBI_SERIES_PROOFS MBI_STATEMENT_STEPS /* at most: each has a step */

/* What is left of a file's proofs. */
struct mbi_series {
    uint32_t n; /* proofs that it has, ... */
    uint32_t next;
    struct mbi_reader left;
};

bool mbi_series_is(const void *data, size_t n);

/* The head, and the digest at the end. The proofs themselves are not looked at. */
int32_t mbi_series_read(struct mbi_series *out, const void *data, size_t n, mambaint_error *err);
/* MAMBAINT_END behind the last one; the errors of mbi_proof_file_read(), which say which. */
int32_t mbi_series_next(struct mbi_proof_file *out, struct mbi_series *s, mambaint_error *err);

/* `out` holds nothing else before; add proofs' bytes; and the digest. */
void mbi_series_begin(struct mbi_buf *out, uint32_t n);
void mbi_series_add(struct mbi_buf *out, const void *proof, size_t n);
void mbi_series_end(struct mbi_buf *out);

/* What the proofs so far say together: a run from the beginning on, or a chain from its first model
 * on. */
struct mbi_joined {
    uint32_t n; /* proofs */
    bool public_weights;
    bool chain;
    struct mbi_statement said;         /* without ids */
    struct mbi_buf ids;                /* u32, little end first */
    struct mbi_blake2b weights;        /* of a chain: of the weights digests so far */
    size_t size[MBI_STATEMENT_MODELS]; /* of a chain's proofs, each of one model at least */
};

void mbi_joined_init(struct mbi_joined *j, const struct mbi_host *host);
void mbi_joined_free(struct mbi_joined *j);
/* One more proof; E_REFUSED if it does not follow the ones before. Its bytes have to stay. That the
 * models of a chain fit together, and are as many as a chain may have, is looked at here; that each
 * is what its statement says, is not. */
int32_t mbi_joined_add(struct mbi_joined *j, const struct mbi_proof_file *file,
                       mambaint_error *err);
/* The statement of the whole, as the bytes of a file without a body; E_REFUSED if the last proof
 * hands something on. */
int32_t mbi_joined_end(struct mbi_buf *out, struct mbi_joined *j, mambaint_error *err);

/* The models of a chain, each proof's behind those of the ones before, and then the digest that
 * stands for their weights. mbi_chain_models_add() says why it cannot be, or NULL. */
void mbi_chain_models_begin(struct mbi_blake2b *weights, struct mbi_statement_models *m);
const char *mbi_chain_models_add(struct mbi_blake2b *weights, struct mbi_statement_models *m,
                                 const struct mbi_statement_models *next);
void mbi_chain_models_end(struct mbi_blake2b *weights, struct mbi_statement_models *m);

#endif

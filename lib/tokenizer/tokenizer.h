/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-level byte-pair encoding: training, encoding, decoding. A tokenizer is immutable and
 * reference-counted; it is stored in a container under the tokenizer.ggml.* and mambaint.role.*
 * keys (docs/container.md).
 */
#ifndef MBI_TOKENIZER_TOKENIZER_H
#define MBI_TOKENIZER_TOKENIZER_H

#include "base/blake2b.h"
#include "base/bytes.h"
#include "container/container.h"

#define MBI_MAX_VOCAB 131072u
#define MBI_MAX_TOKEN_BYTES 256u /* longest token, and longest spelling of a special one */

enum mbi_pretokenizer { MBI_PRE_GPT2 = 1, MBI_PRE_CL100K = 2 };

/* Roles of the turn format; the values of the first three are the public MAMBAINT_ROLE_... */
enum mbi_role { MBI_ROLE_SYSTEM = 1, MBI_ROLE_USER = 2, MBI_ROLE_ASSISTANT = 3, MBI_ROLE_END = 4 };

struct mbi_tokenizer; /* opaque outside lib/tokenizer */

/* Encode flag: spellings of special tokens in the text become their ids (default: stay text). */
#define MBI_ENCODE_SPECIAL 1u

void mbi_tokenizer_ref(struct mbi_tokenizer *t);
void mbi_tokenizer_unref(struct mbi_tokenizer *t); /* NULL is fine */

uint32_t mbi_tokenizer_vocab(const struct mbi_tokenizer *t);
int32_t mbi_tokenizer_eot(const struct mbi_tokenizer *t);                      /* end of text */
int32_t mbi_tokenizer_role(const struct mbi_tokenizer *t, enum mbi_role role); /* -1: none */
void mbi_tokenizer_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_tokenizer *t);

/*
 * Bytes of one token. Special tokens have their spelling in *text and *special = true (decode
 * leaves them out). False if id is outside the vocabulary.
 */
bool mbi_tokenizer_token(const char **text, size_t *len, bool *special,
                         const struct mbi_tokenizer *t, int32_t id);

/* Append the ids of text[0..len) to `out` as int32 in host order. O(n log n) for any bytes. */
int32_t mbi_tokenizer_encode(struct mbi_buf *out, const struct mbi_tokenizer *t, const char *text,
                             size_t len, uint32_t flags, mambaint_error *err);
/* Append the bytes of ids; special tokens give nothing. E_RANGE on an id outside the vocabulary. */
int32_t mbi_tokenizer_decode(struct mbi_buf *out, const struct mbi_tokenizer *t, const int32_t *ids,
                             size_t n, mambaint_error *err);

/* From and to a container (keys only). read marks every key it knows as read. */
int32_t mbi_tokenizer_read(struct mbi_tokenizer **out, const struct mbi_host *host,
                           struct mbi_container *c, mambaint_error *err);
void mbi_tokenizer_write(struct mbi_container_writer *w, const struct mbi_tokenizer *t);

/*
 * Training. Feed documents, then build. The result depends on the text alone, not on the number
 * of threads. Merges are chosen by count; ties go to the pair of smaller ids (left, then right).
 */
struct mbi_tokenizer_trainer;
int32_t mbi_tokenizer_trainer_create(struct mbi_tokenizer_trainer **out,
                                     const struct mbi_host *host, enum mbi_pretokenizer pre,
                                     mambaint_error *err);
int32_t mbi_tokenizer_trainer_add(struct mbi_tokenizer_trainer *tr, const char *text, size_t len,
                                  mambaint_error *err);
/* progress may be NULL; it is called now and then with (user, merges done, merges wanted). */
int32_t mbi_tokenizer_trainer_build(struct mbi_tokenizer **out, struct mbi_tokenizer_trainer *tr,
                                    uint32_t vocab,
                                    void (*progress)(void *user, uint32_t done, uint32_t of),
                                    void *user, mambaint_error *err);
void mbi_tokenizer_trainer_free(struct mbi_tokenizer_trainer *tr); /* NULL is fine */

/* Special tokens and bytes without merges; ids from 272 on are unused. */
int32_t mbi_tokenizer_plain(struct mbi_tokenizer **out, const struct mbi_host *host,
                            enum mbi_pretokenizer pre, uint32_t vocab, mambaint_error *err);

/*
 * From parts, for importers: `tokens` in id order (raw bytes), kinds (1 normal, 3 control,
 * 5 unused), merges as pairs of ids in rank order. Checks everything; copies everything.
 */
struct mbi_tokenizer_parts {
    enum mbi_pretokenizer pre;
    uint32_t vocab, n_merges;
    const char *const *token;
    const size_t *token_len;
    const uint8_t *kind;
    const int32_t *merge; /* 2 * n_merges ids */
    int32_t eot;
    int32_t role[5]; /* by enum mbi_role; -1: none */
    bool nfc;
};
int32_t mbi_tokenizer_from_parts(struct mbi_tokenizer **out, const struct mbi_host *host,
                                 const struct mbi_tokenizer_parts *parts, mambaint_error *err);

#endif

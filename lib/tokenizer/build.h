/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tokenizer holds, and the one way to make one: begin, put every token in id order, seal,
 * add every merge in rank order, finish. Each step checks what it is given, so that readers and
 * importers of any format share the checks. After a failure only abort may follow.
 */
#ifndef MBI_TOKENIZER_BUILD_H
#define MBI_TOKENIZER_BUILD_H

#include "tokenizer/rank_map.h"
#include "tokenizer/tokenizer.h"
#include <stdatomic.h>

#define MBI_TOKEN_NORMAL 1
#define MBI_TOKEN_CONTROL 3
#define MBI_TOKEN_UNUSED 5

#define MBI_TOKEN_PADDING 16u /* bytes that may be read behind a token */

#define MBI_MAX_MERGES (1u << MBI_RANK_BITS) /* a token may be made in several ways */

_Static_assert(MBI_MAX_VOCAB == 1u << MBI_ID_BITS, "ids have as many bits as the table of merges");

struct mbi_tokenizer {
    const struct mbi_host *host;
    atomic_uint refs;
    enum mbi_pretokenizer pre;
    bool nfc;
    uint32_t vocab, n_merges;
    uint8_t *bytes;    /* of all tokens, one after the other, and MBI_TOKEN_PADDING more */
    uint32_t *begin;   /* vocab + 1 offsets into bytes */
    uint32_t *kind;    /* MBI_TOKEN_... of each token */
    int32_t byte[256]; /* id of the token that is this byte */
    uint32_t *merge;   /* left and right id, in rank order */
    uint32_t *result;  /* id made by each merge */
    struct mbi_rank_map rank;
    uint32_t *control; /* ids of control tokens, sorted by their bytes */
    uint32_t n_control;
    bool begins_control[256]; /* by byte */
    int32_t eot, role[5];
    uint8_t digest[MBI_DIGEST_SIZE];
    uint8_t inside[65536 / 8]; /* bit (a << 8 | b): some normal token has byte a before byte b */
};

static inline uint32_t mbi_token_len(const struct mbi_tokenizer *t, uint32_t id)
{
    return t->begin[id + 1] - t->begin[id];
}

static inline const uint8_t *mbi_token_bytes(const struct mbi_tokenizer *t, uint32_t id)
{
    return t->bytes + t->begin[id];
}

/* False: no merge ever joins what ends with byte a and what begins with byte b. */
static inline bool mbi_token_inside(const struct mbi_tokenizer *t, uint8_t a, uint8_t b)
{
    return t->inside[(size_t)a << 5 | b >> 3] >> (b & 7) & 1;
}

struct mbi_token_order; /* private to build.c */

struct mbi_tokenizer_build {
    const struct mbi_host *host;
    struct mbi_tokenizer *t;
    struct mbi_buf bytes;          /* raw, becomes t->bytes */
    struct mbi_buf spelled;        /* stored spelling of every token */
    uint32_t *spelled_begin;       /* vocab + 1 offsets */
    struct mbi_token_order *order; /* ids sorted by stored spelling */
    uint32_t n_tokens;
    uint32_t merge_cap;
};

int32_t mbi_tokenizer_build_begin(struct mbi_tokenizer_build *b, const struct mbi_host *host,
                                  enum mbi_pretokenizer pre, bool nfc, uint32_t vocab,
                                  mambaint_error *err);
/* The next token: raw bytes of a normal one, the spelling of a special one. */
int32_t mbi_tokenizer_build_token(struct mbi_tokenizer_build *b, const void *bytes, size_t len,
                                  uint32_t kind, mambaint_error *err);
/* The next token as it is stored: byte spelling of a normal one. */
int32_t mbi_tokenizer_build_spelled(struct mbi_tokenizer_build *b, const char *text, size_t len,
                                    uint32_t kind, mambaint_error *err);
/* All tokens are there: check bytes and duplicates, make them findable. */
int32_t mbi_tokenizer_build_seal(struct mbi_tokenizer_build *b, mambaint_error *err);
/* The next merge, by ids or as "left right" in byte spelling. */
int32_t mbi_tokenizer_build_merge(struct mbi_tokenizer_build *b, int32_t left, int32_t right,
                                  mambaint_error *err);
int32_t mbi_tokenizer_build_merge_text(struct mbi_tokenizer_build *b, const char *text, size_t len,
                                       mambaint_error *err);
/* role[5] by enum mbi_role, -1 for none. Frees the builder, either way. */
int32_t mbi_tokenizer_build_finish(struct mbi_tokenizer **out, struct mbi_tokenizer_build *b,
                                   int32_t eot, const int32_t role[5], mambaint_error *err);
void mbi_tokenizer_build_abort(struct mbi_tokenizer_build *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The model and tokenizer objects of the API: counted references around what lib/ computes with. */
#ifndef MBI_API_MODEL_H
#define MBI_API_MODEL_H

#include "api/context.h"
#include "exec/backend.h"
#include "model/model.h"
#include <mambaint/model.h>

struct mambaint_tokenizer {
    atomic_uint refs;
    mambaint_context *ctx;
    struct mbi_tokenizer *tokenizer;
};

/* What sessions of one model share and make on demand, behind a lock. */
struct mbi_model_shared;

struct mambaint_model {
    atomic_uint refs;
    mambaint_context *ctx;
    struct mbi_model *model;
    mambaint_tokenizer *tokenizer; /* handed out by mambaint_tokenizer_of(); NULL: takes features */
    struct mbi_program *layout;    /* for one lane: the layout of a state */
    struct mbi_model_shared *shared;
};

/* Wraps a tokenizer and takes over the reference, also on failure; takes a reference of ctx. */
int32_t mbi_tokenizer_wrap(mambaint_tokenizer **out, mambaint_context *ctx,
                           struct mbi_tokenizer *tokenizer, mambaint_error *err);

/* The model's parameters on a backend, made by whoever asks first; they stay the model's. */
int32_t mbi_model_weights(struct mbi_weights **out, const mambaint_model *model,
                          const struct mbi_backend *backend, mambaint_error *err);

/* mbi_model_digest() behind the lock. */
int32_t mbi_model_locked_digest(uint8_t out[MBI_DIGEST_SIZE], const mambaint_model *model,
                                mambaint_error *err);

/* Does the model read and write text? If not, E_UNSUPPORTED with a sentence. */
int32_t mbi_model_needs_text(const mambaint_model *model, mambaint_error *err);

/* Append what mambaint_model_text() has under a key; E_INVALID if there is no such key. */
int32_t mbi_model_describe(struct mbi_buf *out, const mambaint_model *model, const char *key);

#endif

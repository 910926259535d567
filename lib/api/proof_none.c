/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs in a build without libsodium: every call says so. No object of them can come to be. */
#include "api/proof.h"

int32_t mbi_proof_unsupported(mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "this build makes and checks no proofs: it was built without libsodium");
}

#if !MBI_HAVE_SODIUM
int32_t mambaint_proof_create(mambaint_proof **out, mambaint_model *const *model, size_t n_models,
                              const mambaint_options *options, mambaint_error *err)
{
    (void)model;
    (void)n_models;
    (void)options;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_proof_join(mambaint_proof **out, mambaint_context *ctx, const void *const *proof,
                            const size_t *size, size_t n_proofs, mambaint_error *err)
{
    (void)ctx;
    (void)proof;
    (void)size;
    (void)n_proofs;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

const void *mambaint_proof_data(const mambaint_proof *proof, size_t *size)
{
    (void)proof;
    if (size)
        *size = 0;
    return NULL;
}

int32_t mambaint_proof_number(const mambaint_proof *proof, const char *key, int64_t *value)
{
    (void)proof;
    (void)key;
    (void)value;
    return MAMBAINT_E_INVALID;
}

void mambaint_proof_free(mambaint_proof *proof) { (void)proof; }

int32_t mambaint_key_create(mambaint_key **out, mambaint_model *const *model, size_t n_models,
                            const mambaint_options *options, mambaint_error *err)
{
    (void)model;
    (void)n_models;
    (void)options;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_key_load(mambaint_key **out, mambaint_context *ctx, const void *buf, size_t len,
                          mambaint_error *err)
{
    (void)ctx;
    (void)buf;
    (void)len;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_key_join(mambaint_key **out, mambaint_key *const *key, size_t n_keys,
                          mambaint_error *err)
{
    (void)key;
    (void)n_keys;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_key_save(void *buf, size_t cap, size_t *need, const mambaint_key *key)
{
    (void)buf;
    (void)cap;
    (void)need;
    (void)key;
    return MAMBAINT_E_INVALID;
}

int32_t mambaint_key_digest(uint8_t out[32], const mambaint_key *key)
{
    (void)out;
    (void)key;
    return MAMBAINT_E_INVALID;
}

void mambaint_key_free(mambaint_key *key) { (void)key; }

int32_t mambaint_statement_read(mambaint_statement **out, mambaint_context *ctx, const void *buf,
                                size_t len, mambaint_error *err)
{
    (void)ctx;
    (void)buf;
    (void)len;
    if (out)
        *out = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_statement_save(void *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement)
{
    (void)buf;
    (void)cap;
    (void)need;
    (void)statement;
    return MAMBAINT_E_INVALID;
}

int32_t mambaint_statement_text(char *buf, size_t cap, size_t *need,
                                const mambaint_statement *statement, const char *key)
{
    (void)buf;
    (void)cap;
    (void)need;
    (void)statement;
    (void)key;
    return MAMBAINT_E_INVALID;
}

int32_t mambaint_statement_match(const mambaint_statement *statement, const char *features,
                                 mambaint_error *err)
{
    (void)statement;
    (void)features;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_statement_text_with(char *buf, size_t cap, size_t *need,
                                     const mambaint_statement *statement,
                                     const mambaint_tokenizer *tokenizer, const char *key)
{
    (void)tokenizer;
    return mambaint_statement_text(buf, cap, need, statement, key);
}

int32_t mambaint_statement_ids(int32_t *ids, size_t cap, size_t *need, size_t *n_answer,
                               const mambaint_statement *statement)
{
    (void)ids;
    (void)cap;
    (void)need;
    (void)n_answer;
    (void)statement;
    return MAMBAINT_E_INVALID;
}

int32_t mambaint_statement_match_ids(const mambaint_statement *statement, const int32_t *prompt,
                                     size_t n_prompt, const int32_t *answer, size_t n_answer,
                                     mambaint_error *err)
{
    (void)statement;
    (void)prompt;
    (void)n_prompt;
    (void)answer;
    (void)n_answer;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_statement_match_text(const mambaint_statement *statement,
                                      const mambaint_tokenizer *tokenizer, const char *prompt,
                                      size_t n_prompt, const char *answer, size_t n_answer,
                                      mambaint_error *err)
{
    (void)statement;
    (void)tokenizer;
    (void)prompt;
    (void)n_prompt;
    (void)answer;
    (void)n_answer;
    return mbi_proof_unsupported(err);
}

void mambaint_statement_free(mambaint_statement *statement) { (void)statement; }

int32_t mambaint_proof_verify(mambaint_statement **parsed, const mambaint_key *key,
                              const mambaint_statement *expected, const void *proof, size_t len,
                              mambaint_error *err)
{
    (void)key;
    (void)expected;
    (void)proof;
    (void)len;
    if (parsed)
        *parsed = NULL;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_prover_key_save(uint8_t model_id[32], const char *path,
                                 mambaint_model *const *model, size_t n_models,
                                 const mambaint_options *options, mambaint_error *err)
{
    (void)model_id;
    (void)path;
    (void)model;
    (void)n_models;
    (void)options;
    return mbi_proof_unsupported(err);
}

int32_t mambaint_prover_key_text(char *buf, size_t cap, size_t *need, const char *path,
                                 const char *key, mambaint_error *err)
{
    (void)buf;
    (void)cap;
    (void)need;
    (void)path;
    (void)key;
    return mbi_proof_unsupported(err);
}

int32_t mbi_prover_key_file_check(const struct mbi_host *host, const void *data, size_t n,
                                  mambaint_error *err)
{
    (void)host;
    (void)data;
    (void)n;
    return mbi_proof_unsupported(err);
}

int32_t mbi_proof_file_check(mambaint_context *ctx, const void *data, size_t n, mambaint_error *err)
{
    (void)ctx;
    (void)data;
    (void)n;
    return mbi_proof_unsupported(err);
}
#endif

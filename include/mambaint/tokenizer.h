/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: text to ids and back, with or without a model. */
#ifndef MAMBAINT_TOKENIZER_H
#define MAMBAINT_TOKENIZER_H

#include <mambaint/context.h>
#include <mambaint/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup tokenizer Tokenizers
 *
 * A byte-level byte-pair tokenizer takes any bytes and gives them back unchanged: the text may
 * hold NUL and broken UTF-8. Ids are int32, from 0 to mambaint_tokenizer_vocab() - 1. Special
 * tokens (end of text, roles) have no bytes; a text that spells one stays text unless the caller
 * asks with ::MAMBAINT_ENCODE_SPECIAL.
 *
 * Threads: a tokenizer is immutable and may be shared; the last reference may be given back on
 * any thread.
 * @{
 */

/** A tokenizer: immutable, counted by references. */
typedef struct mambaint_tokenizer mambaint_tokenizer;

#define MAMBAINT_ROLE_SYSTEM 1    /**< who speaks: instructions to the model */
#define MAMBAINT_ROLE_USER 2      /**< who speaks: the user */
#define MAMBAINT_ROLE_ASSISTANT 3 /**< who speaks: the model; for restoring a history */
#define MAMBAINT_ROLE_END 4       /**< no speaker: the token that ends a turn */

/** Flag for mambaint_tokenizer_encode(): spellings such as `<|endoftext|>` become their ids. */
#define MAMBAINT_ENCODE_SPECIAL 1

/**
 * Open a tokenizer file, or take the tokenizer out of a model file.
 *
 * @param[out] out   the tokenizer, NULL on failure; give it back with mambaint_tokenizer_unref()
 * @param[in]  ctx   context, or NULL
 * @param[in]  path  NUL-terminated path
 * @param[out] err   detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `path` is NULL
 * @retval MAMBAINT_E_IO           the file cannot be read
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound tokenizer
 * @retval MAMBAINT_E_VERSION      made for a later version
 * @retval MAMBAINT_E_RANGE        a number in the file is outside its range
 * @retval MAMBAINT_E_UNSUPPORTED  it needs an optional part that this build lacks
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_tokenizer_open(mambaint_tokenizer **out, mambaint_context *ctx,
                                             const char *path, mambaint_error *err);

/**
 * mambaint_tokenizer_open() on bytes in memory.
 *
 * @param[out] out   the tokenizer, NULL on failure
 * @param[in]  ctx   context, or NULL
 * @param[in]  data  the file's bytes; copied
 * @param[in]  size  number of bytes
 * @param[out] err   detail of a failure, or NULL
 * @return as mambaint_tokenizer_open(), without E_IO
 */
MAMBAINT_API int32_t mambaint_tokenizer_open_memory(mambaint_tokenizer **out, mambaint_context *ctx,
                                                    const void *data, size_t size,
                                                    mambaint_error *err);

/**
 * Train a tokenizer. The result depends on the text alone, not on the number of threads. Merges
 * are chosen by count; ties go to the pair of smaller ids.
 *
 * Options: `vocab` (number of ids, 272 to 131072; default 2048), `pre` (`gpt-2` or `cl100k`;
 * default `gpt-2`), `data` (path of a file with further text; may be repeated), `threads`. Text is
 * cut into documents at each "\n<|endoftext|>\n"; a file whose name holds `.jsonl` is read as
 * dialogues, as the trainer reads it.
 *
 * @param[out] out      the tokenizer, NULL on failure; give it back with mambaint_tokenizer_unref()
 * @param[in]  ctx      context, or NULL
 * @param[in]  text     text to learn from, or NULL if `len` is 0
 * @param[in]  len      its length in bytes
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           `*out` is ready
 * @retval MAMBAINT_E_INVALID    `out` is NULL, an option is wrong, or there is no text
 * @retval MAMBAINT_E_RANGE      a number is outside its range, or the text has too few merges
 * @retval MAMBAINT_E_IO         a `data` file cannot be read
 * @retval MAMBAINT_E_NO_MEMORY  out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_tokenizer_train(mambaint_tokenizer **out, mambaint_context *ctx,
                                              const char *text, size_t len,
                                              const mambaint_options *options, mambaint_error *err);

/**
 * Import a tokenizer in the two files of GPT-2: `encoder.json` (token to id) and `vocab.bpe`
 * (merges). Ids are kept. Such a tokenizer has no roles, so mambaint_session_say() is unsupported.
 *
 * @param[out] out      the tokenizer, NULL on failure; give it back with mambaint_tokenizer_unref()
 * @param[in]  ctx      context, or NULL
 * @param[in]  encoder  path of `encoder.json`
 * @param[in]  merges   path of `vocab.bpe`
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or a path is NULL
 * @retval MAMBAINT_E_IO           a file cannot be read
 * @retval MAMBAINT_E_FORMAT       a file is not what it should be
 * @retval MAMBAINT_E_UNSUPPORTED  this build has no JSON reader
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_tokenizer_import(mambaint_tokenizer **out, mambaint_context *ctx,
                                               const char *encoder, const char *merges,
                                               mambaint_error *err);

/**
 * Save a tokenizer file. The old file or the new one exists at every moment, never a mixture.
 *
 * @param[in]  tokenizer  the tokenizer
 * @param[in]  path       where to
 * @param[out] err        detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           saved
 * @retval MAMBAINT_E_INVALID    an argument is NULL
 * @retval MAMBAINT_E_IO         the system refused; the old file is untouched
 * @retval MAMBAINT_E_NO_MEMORY  out of memory; the old file is untouched
 */
MAMBAINT_API int32_t mambaint_tokenizer_save(const mambaint_tokenizer *tokenizer, const char *path,
                                             mambaint_error *err);

/**
 * Text to ids, in O(n log n) for any bytes.
 *
 * @param[out] ids        receives the ids if all of them fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `ids`
 * @param[out] need       number of ids, also after E_SPACE; may be NULL
 * @param[in]  tokenizer  the tokenizer
 * @param[in]  text       any bytes, or NULL if `len` is 0
 * @param[in]  len        their number
 * @param[in]  flags      0 or ::MAMBAINT_ENCODE_SPECIAL
 *
 * @retval MAMBAINT_OK           all ids are stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL, or a flag is unknown
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_tokenizer_encode(int32_t *ids, size_t cap, size_t *need,
                                               const mambaint_tokenizer *tokenizer,
                                               const char *text, size_t len, uint32_t flags);

/**
 * Ids to bytes. Special tokens give nothing. The bytes need not be whole characters.
 *
 * @param[out] buf        receives the bytes if all of them fit, without a NUL
 * @param[in]  cap        room in `buf`
 * @param[out] need       number of bytes, also after E_SPACE; may be NULL
 * @param[in]  tokenizer  the tokenizer
 * @param[in]  ids        the ids, or NULL if `n` is 0
 * @param[in]  n          their number
 *
 * @retval MAMBAINT_OK           all bytes are stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL
 * @retval MAMBAINT_E_RANGE      an id is outside the vocabulary
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_tokenizer_decode(char *buf, size_t cap, size_t *need,
                                               const mambaint_tokenizer *tokenizer,
                                               const int32_t *ids, size_t n);

/** Number of ids; 0 for NULL. */
MAMBAINT_API int32_t mambaint_tokenizer_vocab(const mambaint_tokenizer *tokenizer);

/** Id of the token that begins and ends a text; -1 for NULL. */
MAMBAINT_API int32_t mambaint_tokenizer_end_of_text(const mambaint_tokenizer *tokenizer);

/** Id of the token of a `MAMBAINT_ROLE_...`; -1 if the tokenizer has none. */
MAMBAINT_API int32_t mambaint_tokenizer_role(const mambaint_tokenizer *tokenizer, int32_t role);

/**
 * Digest of the vocabulary and its rules: equal digests encode and decode equally.
 *
 * @param[out] out        32 bytes
 * @param[in]  tokenizer  the tokenizer
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_tokenizer_digest(uint8_t out[32],
                                               const mambaint_tokenizer *tokenizer);

/** Take one more reference. NULL is fine. */
MAMBAINT_API void mambaint_tokenizer_ref(mambaint_tokenizer *tokenizer);

/** Give a reference back; the last one frees the tokenizer. NULL is fine. */
MAMBAINT_API void mambaint_tokenizer_unref(mambaint_tokenizer *tokenizer);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

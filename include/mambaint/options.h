/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as text: the same keys as the long flags of the command line. */
#ifndef MAMBAINT_OPTIONS_H
#define MAMBAINT_OPTIONS_H

#include <mambaint/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup options Options
 *
 * Settings travel as keys and values in text, so that every language passes them alike and a
 * decimal such as `0.8` is the same number everywhere: it is read into fixed point, never through
 * a float. In keys `-` and `_` are equal. One object may serve several calls: each call reads the
 * keys it knows and leaves the others alone. An option that is not set has its default.
 *
 * | key | value | default | read by |
 * |---|---|---|---|
 * | `threads` | 1 to 256, the caller included, or `auto`: one for every core; only without a context | 1 | calls that take a context |
 * | `check-digest` | `on`, `off` (at first use instead) | `on` | opening models |
 * | `backend` | `auto` (the best of the processor), `scalar`, `avx2`, `avx512`, `neon`, `cuda` (a GPU, if its module is installed) | `auto` | sessions, trainer, mambaint_model_evaluate(), mambaint_proof_create(), mambaint_receipt_check() |
 * | `prefill-chunk` | tokens that go through the model at once, 1 to 4096 | 64 | sessions, mambaint_receipt_check() |
 * | `temperature` | decimal, 0 (take the likeliest) to 255 | 0.8 | sessions |
 * | `top-k` | keep this many tokens; 0 keeps all | 0 | sessions |
 * | `top-p` | decimal, 0 to 1 | 0.95 | sessions |
 * | `min-p` | decimal, 0 to 1, of the likeliest token's probability | 0 | sessions |
 * | `repeat-penalty` | decimal, 0 to 1000, subtracted from logits | 0 | sessions |
 * | `repeat-last` | how many of the last ids are penalised, 0 to 256 | 64 | sessions |
 * | `seed` | 0 to 2^64-1 | 0 | sessions, synth, trainer |
 * | `stop` | 1 to 256 bytes that end an answer; repeating the key adds one, at most 16 | none | sessions |
 * | `features` | decimals with commas between, as many as the model takes, each from -4 to 3.96875 | none | mambaint_model_evaluate(), mambaint_proof_create() |
 * | `weights` | `committed`, `public` | `committed` | mambaint_proof_create(), mambaint_key_create() |
 * | `zk` | `on`, `off` | `off` | mambaint_proof_create(), mambaint_key_create(), mambaint_prover_key_save() |
 * | `prover-key` | a file of mambaint_prover_key_save(); repeating the key adds one: a `linked` chain takes one of each model, any other call the last | none | mambaint_proof_create(), with `zk` mambaint_key_create() |
 * | `proofs` | 1 to 16777216, with `zk` | 1000 | mambaint_prover_key_save() |
 * | `record` | `on`: keep what is run, for mambaint_receipt_create(); `off` | `off` | sessions |
 * | `chain` | `merged`: one proof of several models; `linked`: one of each; `first`, `middle`, `last`: that of one model of a linked chain | `merged` | mambaint_proof_create(), mambaint_key_create() |
 * | `chunk-steps` | 1 to 4096, a multiple of the model's `chunk` | none: one proof | mambaint_proof_create() |
 * | `profile` | `on`: count the time of every kernel, for mambaint_session_text(); `off` | `off` | sessions |
 *
 * The options of mambaint_model_synth(), mambaint_tokenizer_train() and of the trainer are listed
 * with them.
 *
 * Threads: one thread at a time changes an options object; calls that only read it may share it.
 * @{
 */

/** Settings for any call: keys and values. */
typedef struct mambaint_options mambaint_options;

/**
 * Create an empty set of options. Its memory comes from malloc().
 *
 * @param[out] out  the options, NULL on failure; free them with mambaint_options_free()
 *
 * @retval MAMBAINT_OK           `*out` is ready
 * @retval MAMBAINT_E_INVALID    `out` is NULL
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_options_create(mambaint_options **out);

/**
 * Set one option. Setting a key again replaces its value, but `stop`, `data` and `prover-key` gain
 * a further one. The value is checked by the call that reads it.
 *
 * @param[in]  options  the options to change
 * @param[in]  key      NUL-terminated; `-` and `_` are equal
 * @param[in]  value    NUL-terminated; copied
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           set
 * @retval MAMBAINT_E_INVALID    an argument is NULL, or no call knows the key; the message
 *                               names the nearest one
 * @retval MAMBAINT_E_NO_MEMORY  out of memory; nothing has changed
 */
MAMBAINT_API int32_t mambaint_options_set(mambaint_options *options, const char *key,
                                          const char *value, mambaint_error *err);

/** Free options. NULL is fine. No call keeps them, so they may go at any time. */
MAMBAINT_API void mambaint_options_free(mambaint_options *options);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

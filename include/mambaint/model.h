/* SPDX-License-Identifier: Apache-2.0 */
/* Models: opened from files, asked about, made of random weights; and checks of any artefact. */
#ifndef MAMBAINT_MODEL_H
#define MAMBAINT_MODEL_H

#include <mambaint/context.h>
#include <mambaint/options.h>
#include <mambaint/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup model Models
 *
 * A model is an immutable file of integers. Most models read and write text: their tokenizer and
 * the tokens of their turns are inside, and sessions run them. Others take a vector of features
 * (architecture `simple`): they have no tokenizer, and mambaint_model_evaluate() runs them.
 * Opening checks everything before the first use: structure, digest, shapes, the declared interval
 * of every weight, and that no sum can overflow.
 *
 * Threads: a model is immutable and may be shared by any number of sessions on any threads.
 * @{
 */

/** A model: immutable, counted by references. */
typedef struct mambaint_model mambaint_model;

/**
 * Open a model file. It is mapped read-only where the system can; it must not be changed in place
 * while the model lives (saving over it is fine, because a save makes a new file).
 *
 * Options: `check-digest` (off: a file that is trusted opens faster; the digest is checked when a
 * state or a digest is first asked for), and `threads` if there is no context.
 *
 * @param[out] out      the model, NULL on failure; give it back with mambaint_model_unref()
 * @param[in]  ctx      context, or NULL; the model keeps its own reference
 * @param[in]  path     NUL-terminated path
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `path` is NULL, or an option is wrong
 * @retval MAMBAINT_E_IO           the file cannot be read
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound model
 * @retval MAMBAINT_E_VERSION      made for a later version
 * @retval MAMBAINT_E_RANGE        a number in the file is outside its range, or sums could overflow
 * @retval MAMBAINT_E_UNSUPPORTED  an architecture or part that this build lacks
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_model_open(mambaint_model **out, mambaint_context *ctx,
                                         const char *path, const mambaint_options *options,
                                         mambaint_error *err);

/**
 * mambaint_model_open() on bytes in memory.
 *
 * @param[out] out      the model, NULL on failure
 * @param[in]  ctx      context, or NULL
 * @param[in]  data     the file's bytes; copied
 * @param[in]  size     number of bytes
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 * @return as mambaint_model_open(), without E_IO
 */
MAMBAINT_API int32_t mambaint_model_open_memory(mambaint_model **out, mambaint_context *ctx,
                                                const void *data, size_t size,
                                                const mambaint_options *options,
                                                mambaint_error *err);

/**
 * Something about a model as text, with a NUL. In keys `-` and `_` are equal.
 *
 * | key | text |
 * |---|---|
 * | `architecture`, `name`, `license` | a word; a name; a licence, "" if not stated |
 * | `vocab`, `parameters`, `state-size`, `file-size`, `weight-bytes` | a number: ids, weights, bytes of a saved state, bytes of the file, bytes of all parameters; `vocab` and `state-size` are 0 if the model takes features |
 * | `token-bytes` | a number: bytes of parameters that one token must touch |
 * | `token-macs`, `head-macs` | a number: multiply-adds of the matrices for one token; those of them that only the logits need (the head, the last projection of the last block), so that a prompt pays them once |
 * | `digest` (also `model-digest`), `graph-digest`, `tokenizer-digest` | 64 hex digits; no tokenizer: "" |
 * | `config` | lines `key = value` of the architecture's configuration |
 * | `metadata` | lines `key = value` of the file |
 * | `tensors` | a line per tensor: name, type, shape, bytes |
 * | `graph` | the step graph, one line a node |
 * | `intervals` | a line per operation of the graph: its declared interval and spare bits |
 * | `decay-spectrum` | a line per layer with decays: its heads' half-lives in tokens at rest, shortest first |
 * | `ternary-zeros` | a line per ternary parameter: its zeros of its weights; "" without such |
 *
 * @param[out] buf    receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap    room in `buf` in bytes
 * @param[out] need   bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  model  the model
 * @param[in]  key    what to tell
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_model_text(char *buf, size_t cap, size_t *need,
                                         const mambaint_model *model, const char *key);

/**
 * The model's digest: what a state and a receipt are bound to.
 *
 * @param[out] out    32 bytes
 * @param[in]  model  the model
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_model_digest(uint8_t out[32], const mambaint_model *model);

/** Take one more reference. NULL is fine. */
MAMBAINT_API void mambaint_model_ref(mambaint_model *model);

/** Give a reference back; the last one frees the model. NULL is fine. */
MAMBAINT_API void mambaint_model_unref(mambaint_model *model);

/**
 * The tokenizer of a model.
 *
 * @param[out] out    the tokenizer, NULL on failure; give it back with mambaint_tokenizer_unref()
 * @param[in]  model  the model; need not outlive the tokenizer
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      an argument is NULL
 * @retval MAMBAINT_E_UNSUPPORTED  the model takes features, not text
 * @retval MAMBAINT_E_NO_MEMORY    out of memory
 */
MAMBAINT_API int32_t mambaint_tokenizer_of(mambaint_tokenizer **out, const mambaint_model *model);

/**
 * Evaluate a model that takes features, once: by itself, or at the end of a chain of models, of
 * which each hands its first outputs on as the features of the next. Nothing is kept between calls.
 *
 * Options: `features` (those of the first model: decimals with commas between, such as
 * `0.5,-1.25`, rounded to the nearest 1/32, halves up), `backend`.
 *
 * @param[out] outputs   the last model's outputs, each in units of 2^-12; may be NULL if `cap` is 0
 * @param[in]  cap       room in `outputs` in numbers
 * @param[out] need      how many outputs there are, also after E_SPACE; may be NULL
 * @param[in]  model     the models in the order in which they are evaluated
 * @param[in]  n_models  how many, at least 1
 * @param[in]  options   options; not kept
 * @param[out] err       detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             stored
 * @retval MAMBAINT_E_SPACE        `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID      a pointer is NULL, there is no model, or an option is wrong, such
 *                                 as `features` with more or fewer decimals than the model takes
 * @retval MAMBAINT_E_RANGE        a feature is outside [-4, 3.96875] after rounding
 * @retval MAMBAINT_E_MISMATCH     a model takes text, or one does not hand on what the next takes
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_model_evaluate(int32_t *outputs, size_t cap, size_t *need,
                                             mambaint_model *const *model, size_t n_models,
                                             const mambaint_options *options, mambaint_error *err);

/**
 * The integers that the option `features` of mambaint_model_evaluate() stands for.
 *
 * @param[out] features  each in units of 1/32, in [-128, 127]; may be NULL if `cap` is 0
 * @param[in]  cap       room in `features` in numbers
 * @param[out] need      how many features the model takes, also after E_SPACE; may be NULL
 * @param[in]  model     the model
 * @param[in]  options   options; not kept
 * @param[out] err       detail of a failure, or NULL
 *
 * @return as mambaint_model_evaluate()
 */
MAMBAINT_API int32_t mambaint_model_features(int32_t *features, size_t cap, size_t *need,
                                             const mambaint_model *model,
                                             const mambaint_options *options, mambaint_error *err);

/**
 * Save a model of any shape with random weights: those a training run would start from. Its
 * tokenizer has the special tokens and the bytes; ids beyond them are unused. A model that takes
 * features has none.
 *
 * Options: `preset` (a shape by name, such as `mi-tiny`, `mi-1m` or `simple`), `architecture`
 * (`mamba-integer` or `simple`; without it that of the preset), the fields of the architecture that
 * replace the preset's (`layers d-model vocab heads head-dim d-state chunk rotation-pairs hold norm
 * gate weights head-weights tied-head`; `features-in hidden outputs`), `seed`, `name`, `license`,
 * `threads`.
 *
 * @param[in]  ctx      context, or NULL
 * @param[in]  path     where to save
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             saved
 * @retval MAMBAINT_E_INVALID      `path` is NULL, or an option is wrong
 * @retval MAMBAINT_E_RANGE        a number is outside its range, or a sum could overflow
 * @retval MAMBAINT_E_IO           the system refused; an old file is untouched
 * @retval MAMBAINT_E_UNSUPPORTED  a thread of a private context cannot be started
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_model_synth(mambaint_context *ctx, const char *path,
                                          const mambaint_options *options, mambaint_error *err);

/**
 * Say what a file is and whether it is whole. Whole means that opening it would succeed; states and
 * checkpoints are checked by structure and digest, without their model or run. So are proofs,
 * statements and receipts: **a whole proof or receipt may be false**, mambaint_proof_verify() and
 * mambaint_receipt_check() find out. Of a key its certificate is checked, too.
 *
 * @param[out] kind  receives `model`, `tokenizer`, `checkpoint`, `state`, `proof`, `key`,
 *                   `prover-key`, `statement`, `receipt` or `unknown` and a NUL, after a
 *                   failure too; may be NULL
 * @param[in]  cap   room in `kind`; 16 bytes always do
 * @param[in]  ctx   context, or NULL
 * @param[in]  path  NUL-terminated path
 * @param[out] err   what is wrong with it, or NULL
 *
 * @retval MAMBAINT_OK         it is whole
 * @retval MAMBAINT_E_INVALID  `path` is NULL
 * @retval MAMBAINT_E_SPACE    `cap` is too small
 * @retval MAMBAINT_E_IO       the file cannot be read
 * @retval MAMBAINT_E_FORMAT   it is damaged or of no known kind
 * @return otherwise what opening it would return
 */
MAMBAINT_API int32_t mambaint_artefact_check(char *kind, size_t cap, mambaint_context *ctx,
                                             const char *path, mambaint_error *err);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

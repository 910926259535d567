/* SPDX-License-Identifier: Apache-2.0 */
/* Training: data in, checkpoints and model files out. */
#ifndef MAMBAINT_TRAIN_H
#define MAMBAINT_TRAIN_H

#include <mambaint/context.h>
#include <mambaint/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup train Training
 *
 * A trainer makes a model from text. Its forward pass is the integer step that the model will run,
 * its backward pass straight through the roundings. On one machine and build the same options give
 * the same bytes for any number of threads, and across stop and resume at any step.
 *
 * | key | value | default |
 * |---|---|---|
 * | `data` | `FILE [weight=W] [kind=K] [sha256=HEX]`; may be repeated, up to 16 | needed |
 * | `valid` | `FILE [sha256=HEX]`: held-out text for bits per byte | none |
 * | `data-dir` | folder in which files are looked up first | none |
 * | `tokenizer` | file of a tokenizer or a model | trained on the text |
 * | `pre` | `gpt-2` or `cl100k`: how a tokenizer trained here cuts text | `gpt-2` |
 * | `architecture` | family of the model | `mamba-integer` |
 * | `preset`, `vocab`, `layers` ... | shape, as for mambaint_model_synth() | the family's |
 * | `batch`, `context` | streams of a step, tokens of each | 32, 256 |
 * | `steps` or `tokens` | length of the run; tokens are rounded up to steps | 1000 steps |
 * | `lr` | decimal: highest learning rate | 0.004 |
 * | `warmup` | steps over which it rises; then a cosine falls to 1/20 of it | 40 |
 * | `weight-decay` | decimal: of matrices | 0.05 |
 * | `clip` | decimal: largest norm of a gradient, 0: any | 1 |
 * | `beta1`, `beta2` | decimals below 1: of AdamW | 0.9, 0.97 |
 * | `seed` | of first weights and of the order of the data | 0 |
 * | `arithmetic` | `integer`, or `float` for the twin without roundings | `integer` |
 * | `decay-init` | first half-lives: `octaves` (log-uniform) or `hippo` (as 1/n) | `octaves` |
 * | `valid-every` | steps between validations, 0: after the last step alone | 0 |
 * | `valid-limit` | documents of a validation before the last step, 0: all | 0 |
 * | `save-every` | steps after which a report says that a save is due, 0: never | 0 |
 * | `resume` | checkpoint to go on from | none |
 * | `backend`, `threads` | as for sessions; threads without a context | `auto`, 1 |
 * | `name`, `license` | go into the exported model | `model`, none |
 *
 * Files: `NAME` or `NAME.xz`, in `data-dir` and then by itself; a sha256 is that of the stored
 * file. Kinds: `text` is cut into documents at each `"\n<|endoftext|>\n"`. `jsonl`, the kind of
 * names that end in .jsonl or .jsonl.xz, has an object a line with `instruction`, `input` and
 * `output`, or with `turns` (texts of user and assistant in turn), either with `system` if wanted;
 * answers alone count in the loss. Or it has `ids` and `targets`: tokens as they are, -1 for no
 * target.
 *
 * A window of a batch comes from a file with probability weight / sum of weights (default 1). Text
 * is cut anew in every pass; windows of conversations hold whole ones, and what is longer than a
 * window is cut short.
 *
 * Threads: one thread at a time per trainer; it uses the threads of its context.
 * @{
 */

/** A training run. */
typedef struct mambaint_trainer mambaint_trainer;

#define MAMBAINT_TRAIN_VALIDATED 1 /**< flag: the `valid_` fields are of this step */
#define MAMBAINT_TRAIN_WHOLE 2     /**< flag: ... and of every document of the file */
#define MAMBAINT_TRAIN_SAVE_DUE 4  /**< flag: `save-every` asks for a save now */
#define MAMBAINT_TRAIN_DONE 8      /**< flag: this was the last step */

/** What one step did. Fixed point: a name that ends in `_qN` holds value * 2^N, rounded. */
typedef struct mambaint_train_report {
    size_t struct_size;     /**< sizeof(mambaint_train_report), set by the caller */
    uint32_t flags;         /**< MAMBAINT_TRAIN_... */
    uint32_t reserved;      /**< zero */
    uint64_t step;          /**< steps made, this one included */
    uint64_t steps;         /**< steps of the whole run */
    uint64_t tokens;        /**< positions seen since the first step */
    uint64_t step_tokens;   /**< positions of this step */
    uint64_t counted;       /**< those of them that count in the loss */
    uint64_t loss_q20;      /**< cross entropy of this step's batch, nats per counted token */
    uint64_t lr_q40;        /**< learning rate of this step */
    uint64_t grad_norm_q20; /**< norm of the gradient before clipping */
    int64_t valid_bits_q16; /**< as mambaint_session_score(): sum over the held-out text */
    uint64_t valid_tokens;  /**< its predictions */
    uint64_t valid_bytes;   /**< its bytes */
    uint64_t valid_bits_per_byte_q20; /**< bits / bytes */
} mambaint_train_report;

/** A report for mambaint_trainer_step() to fill. */
#define MAMBAINT_TRAIN_REPORT_INIT                                                                 \
    {                                                                                              \
        sizeof(mambaint_train_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                    \
    }

/**
 * Prepare a run: read and encode the data, make or load the tokenizer, draw the first weights or
 * take them from a checkpoint.
 *
 * @param[out] out      the trainer, NULL on failure; free it with mambaint_trainer_free()
 * @param[in]  ctx      context, or NULL
 * @param[in]  options  the options above; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `options` is NULL, or an option is missing or wrong
 * @retval MAMBAINT_E_RANGE        a number is outside its range, or a sum could overflow
 * @retval MAMBAINT_E_IO           a file cannot be read
 * @retval MAMBAINT_E_FORMAT       a file is not what it claims to be
 * @retval MAMBAINT_E_MISMATCH     a sha256 differs, or the checkpoint is of other settings or data
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_UNSUPPORTED  this build cannot read such a file, or the architecture takes
 *                                 features, not text
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_trainer_create(mambaint_trainer **out, mambaint_context *ctx,
                                             const mambaint_options *options, mambaint_error *err);

/**
 * One step of the optimiser, and a validation where one is due (after the last step always).
 *
 * @param[out] report   what happened; `struct_size` must be set. May be NULL
 * @param[in]  trainer  the trainer
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           the step is made
 * @retval MAMBAINT_END          all steps were made before; `*report` says where the run stands
 * @retval MAMBAINT_E_INVALID    `trainer` is NULL, or `struct_size` is no size of a report
 * @retval MAMBAINT_E_RANGE      loss or gradient is no finite number; the step is not made
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_trainer_step(mambaint_train_report *report, mambaint_trainer *trainer,
                                           mambaint_error *err);

/**
 * Where the run stands, without a step: `step`, `steps`, `tokens`, flags.
 *
 * @param[out] report   `struct_size` must be set
 * @param[in]  trainer  the trainer
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL, or `struct_size` is no size of a report
 */
MAMBAINT_API int32_t mambaint_trainer_status(mambaint_train_report *report,
                                             const mambaint_trainer *trainer);

/**
 * The run in text, for people: shape, parameters, data, tokenizer, settings; lines `key = value`.
 *
 * @param[out] buf      receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap      room in `buf` in bytes
 * @param[out] need     bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  trainer  the trainer
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID  `trainer` is NULL
 */
MAMBAINT_API int32_t mambaint_trainer_text(char *buf, size_t cap, size_t *need,
                                           const mambaint_trainer *trainer);

/**
 * Save a checkpoint: all that is needed to go on with the same bits. The old file or the new one
 * is there at any moment, never a mixture.
 *
 * @param[in]  trainer  the trainer
 * @param[in]  path     where to save
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           saved
 * @retval MAMBAINT_E_INVALID    an argument is NULL
 * @retval MAMBAINT_E_IO         the system refused; an old file is untouched
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_trainer_save(mambaint_trainer *trainer, const char *path,
                                           mambaint_error *err);

/**
 * Save the model as it is now: integers, tokenizer and configuration. As safe as a checkpoint.
 *
 * @param[in]  trainer  the trainer
 * @param[in]  path     where to save
 * @param[out] err      detail of a failure, or NULL
 * @return as mambaint_trainer_save()
 */
MAMBAINT_API int32_t mambaint_trainer_export(mambaint_trainer *trainer, const char *path,
                                             mambaint_error *err);

/** Free a trainer. NULL is fine. */
MAMBAINT_API void mambaint_trainer_free(mambaint_trainer *trainer);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

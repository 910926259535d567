/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: what a session ran, to be checked by running it again. */
#ifndef MAMBAINT_RECEIPT_H
#define MAMBAINT_RECEIPT_H

#include <mambaint/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup receipt Receipts
 *
 * A receipt says what a session ran: the model, where it started (with nothing in its memory, or
 * from a state), the settings of its sampler with the seed, every token that was put in, every
 * token that was drawn, and the state at the end. Whoever has the model checks it by running the
 * same again: the arithmetic is the same to the bit on every backend and machine, so the tokens
 * and the state have to be, too. It takes as long as the run; a proof (mambaint_proof_create())
 * takes long to make and is checked without running and without the weights.
 *
 * A session keeps what a receipt needs from its creation on if the option `record` is `on`: four
 * bytes for each token. mambaint_state_set() begins anew, from that state.
 *
 * ```c
 * mambaint_options_set(options, "record", "on", &err);
 * mambaint_session_create(&session, model, options, &err);
 * ...                                                             // feed, say, next, force
 * mambaint_receipt_create(buf, sizeof(buf), &size, session, &err);
 *
 * if (mambaint_receipt_check(model, NULL, buf, size, NULL, &err) == MAMBAINT_ACCEPTED)
 *     mambaint_receipt_text(words, sizeof(words), NULL, buf, size, tokenizer, "text");
 * ```
 *
 * A receipt that holds says that this model, so started and so asked, gives these tokens. It is no
 * signature: anybody who has the model can make it, for any prompt and any seed, and it does not
 * say who ran it, when or where, that nothing else was tried before, or that the text is true. A
 * token that the caller chose (mambaint_session_force()) is in it as such.
 *
 * The bytes are canonical: the same run gives the same bytes on every machine and backend, however
 * its tokens were cut into calls. They are in docs/container.md.
 *
 * Threads: as sessions and models; the bytes are the caller's.
 * @{
 */

/**
 * The receipt of all that a session ran since it was created or its state was set.
 *
 * @param[out] buf      receives the bytes if all fit; may be NULL if `cap` is 0
 * @param[in]  cap      room in `buf`
 * @param[out] need     number of bytes, also after E_SPACE; may be NULL
 * @param[in]  session  the session, created with the option `record`
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL, the session keeps no record, or the piece of
 *                               its last step was not taken yet (mambaint_session_piece() does)
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_receipt_create(void *buf, size_t cap, size_t *need,
                                             mambaint_session *session, mambaint_error *err);

/**
 * Run again what a receipt says, and compare: each drawn token and the state at the end.
 *
 * Options: `backend` and `prefill-chunk`, with which it is run here; the sampler's settings are
 * those of the receipt.
 *
 * @param[in]  model    the model that it has to be about
 * @param[in]  start    the state that it starts from, or NULL if it starts with nothing in memory
 *                      (mambaint_receipt_text() says which)
 * @param[in]  receipt  its bytes, which may be hostile; not kept
 * @param[in]  len      their number
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_ACCEPTED       it holds; returned on one path only, and never 0
 * @retval MAMBAINT_E_INVALID      `model` or `receipt` is NULL, an option is wrong, or the receipt
 *                                 starts from a state and `start` is NULL, or the other way round
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound receipt
 * @retval MAMBAINT_E_VERSION      made by a later version
 * @retval MAMBAINT_E_RANGE        a number in it, or an option's, is outside its range
 * @retval MAMBAINT_E_MISMATCH     it is about another model or tokenizer, or `start` is another
 *                                 state than it starts from
 * @retval MAMBAINT_E_REFUSED      run again, something else comes out
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_UNSUPPORTED  the model takes features, not text
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_receipt_check(mambaint_model *model, const mambaint_state *start,
                                            const void *receipt, size_t len,
                                            const mambaint_options *options, mambaint_error *err);

/**
 * A receipt as text, with a NUL. **This runs nothing**: the receipt says so, no more.
 *
 * | key | text |
 * |---|---|
 * | `text` | lines for people: model, start, settings, what was put in and drawn, end, and what a receipt does not show |
 * | `json` | an object: `version`, `model_digest`, `tokenizer_digest`, `start` (`position`, the number of tokens fed before it, and `state_digest`), `end` (`state_digest`), `sampler` (`seed` as text, `temperature`, `top_p`, `min_p` and `repeat_penalty` as decimals, `top_k`, `repeat_last`, `stop`, a list), `parts` (of each `kind`: `fed`, `said`, `drawn` or `forced`, `role` of what was said, else null, `ids`, and `text`), `tokens` (number of drawn ones), `text` (of the drawn ones) |
 *
 * Text is null without a tokenizer, and without special tokens; in the lines for people it stands
 * in quotes, with what a terminal could take for something else as escapes.
 *
 * @param[out] buf        receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `buf` in bytes
 * @param[out] need       bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  receipt    its bytes, which may be hostile
 * @param[in]  len        their number
 * @param[in]  tokenizer  the tokenizer of the model, or NULL; not kept
 * @param[in]  key        what to tell
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_FORMAT     the bytes are no whole and sound receipt
 * @retval MAMBAINT_E_VERSION    made by a later version
 * @retval MAMBAINT_E_RANGE      a number in it is outside its range
 * @retval MAMBAINT_E_MISMATCH   the tokenizer is not that of the receipt
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_receipt_text(char *buf, size_t cap, size_t *need, const void *receipt,
                                           size_t len, const mambaint_tokenizer *tokenizer,
                                           const char *key);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

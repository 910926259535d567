/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, which run a model, and states, which are their memory as values. */
#ifndef MAMBAINT_SESSION_H
#define MAMBAINT_SESSION_H

#include <mambaint/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup session Sessions
 *
 * A session is one conversation or text on one backend. It owns the loaded program and all scratch
 * memory, so stepping never allocates, never slows down and never fills up (but with the option
 * `record`, when four bytes are kept for each token); on one thread it takes no lock and makes no
 * system call. Model, state, tokens and options give the same bytes on every
 * backend, for every number of threads, every `prefill-chunk`, alone or in a batch.
 *
 * Text is fed in one of two ways. mambaint_session_say() keeps turns: `endoftext`, then per turn
 * the role's token, the text and `endofturn`. mambaint_session_feed() adds ids and nothing else.
 * After either, mambaint_session_next() gives the next piece.
 *
 * A call that fails or is cancelled leaves the session where it was before the call.
 *
 * Threads: one thread at a time per session, except mambaint_session_cancel(); sessions are
 * independent.
 * @{
 */

/** One conversation on one backend. */
typedef struct mambaint_session mambaint_session;

/** A session's memory as an immutable value. */
typedef struct mambaint_state mambaint_state;

/**
 * Create a session at the zero state. Options: `backend prefill-chunk temperature top-k top-p min-p
 * repeat-penalty repeat-last seed stop profile record`.
 *
 * @param[out] out      the session, NULL on failure; free it with mambaint_session_free()
 * @param[in]  model    the model to run; the session keeps its own reference
 * @param[in]  options  options, or NULL for all defaults; not kept
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `model` is NULL, or an option is wrong
 * @retval MAMBAINT_E_RANGE        an option's number is outside its range
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_UNSUPPORTED  the model takes features, not text, or the backend cannot run it
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_session_create(mambaint_session **out, mambaint_model *model,
                                             const mambaint_options *options, mambaint_error *err);

/**
 * Add a whole turn. A fresh session gets the end-of-text token first; an answer that was left open
 * (cancelled, or ended by a stop string) is closed. One line end at the end of the text is dropped.
 * The text is only text: it cannot spell special tokens.
 *
 * @param[in]  session  the session
 * @param[in]  role     `MAMBAINT_ROLE_SYSTEM`, `MAMBAINT_ROLE_USER` (mambaint_session_next() then
 *                      answers) or `MAMBAINT_ROLE_ASSISTANT` (an earlier answer)
 * @param[in]  text     any bytes, or NULL if `len` is 0
 * @param[in]  len      their number
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             said
 * @retval MAMBAINT_E_INVALID      `session` or `text` is NULL, or the role is none of the three
 * @retval MAMBAINT_E_UNSUPPORTED  the model's tokenizer has no such role
 * @retval MAMBAINT_E_CANCELLED    mambaint_session_cancel() was called
 * @retval MAMBAINT_E_NO_MEMORY    out of memory
 */
MAMBAINT_API int32_t mambaint_session_say(mambaint_session *session, int32_t role, const char *text,
                                          size_t len, mambaint_error *err);

/**
 * Add ids, and nothing else. After mambaint_session_say(), feeding the assistant role's id first
 * opens the answer, for callers that sample themselves.
 *
 * @param[in]  session  the session
 * @param[in]  ids      token ids, or NULL if `n` is 0
 * @param[in]  n        their number
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           fed
 * @retval MAMBAINT_E_INVALID    `session` or `ids` is NULL
 * @retval MAMBAINT_E_RANGE      an id is outside the vocabulary
 * @retval MAMBAINT_E_CANCELLED  mambaint_session_cancel() was called
 * @retval MAMBAINT_E_NO_MEMORY  out of memory for the record (option `record` alone)
 */
MAMBAINT_API int32_t mambaint_session_feed(mambaint_session *session, const int32_t *ids, size_t n,
                                           mambaint_error *err);

/**
 * Choose the next token, feed it, and give the text that is now whole: valid UTF-8, without a NUL,
 * possibly empty (while a character is unfinished, or a stop string may have begun). Bytes that are
 * no UTF-8 become U+FFFD. After mambaint_session_say() the first call opens the answer.
 *
 * The answer is complete when the model chooses `endofturn` (which is fed) or `endoftext` (which is
 * not), or when a stop string appears (which is never given out). Then the call returns
 * ::MAMBAINT_END with `*len` = 0, and so do further calls until something is said, fed or set.
 *
 * If `buf` is too small, the step is kept: the next call, or mambaint_session_piece(), delivers it.
 *
 * @param[out] buf      receives the piece; may be NULL if `cap` is 0
 * @param[in]  cap      room in `buf`; 2048 bytes always do
 * @param[out] len      bytes of the piece; after E_SPACE the room that is needed
 * @param[in]  session  the session; something must have been fed
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           a piece is stored
 * @retval MAMBAINT_END          the answer is complete
 * @retval MAMBAINT_E_SPACE      `cap` is too small
 * @retval MAMBAINT_E_INVALID    an argument is NULL, or nothing was fed yet
 * @retval MAMBAINT_E_CANCELLED  mambaint_session_cancel() was called
 * @retval MAMBAINT_E_NO_MEMORY  out of memory for the record (option `record` alone)
 */
MAMBAINT_API int32_t mambaint_session_next(char *buf, size_t cap, size_t *len,
                                           mambaint_session *session, mambaint_error *err);

/**
 * mambaint_session_next() for several sessions of one model and backend, sixteen of them with one
 * pass over the weights. The results equal separate calls; mambaint_session_piece() has the pieces.
 * Every session is stepped once. One that is cancelled, over or failing leaves the others alone; a
 * cancel that comes while others are stepped holds for those that have not begun.
 *
 * @param[out] status    n codes, one for each session, as mambaint_session_next() returns them
 * @param[in]  sessions  n different sessions
 * @param[in]  n         their number; 0 is fine
 * @param[out] err       detail of the first failure, or NULL
 *
 * @retval MAMBAINT_OK         every status is OK or END
 * @retval MAMBAINT_E_INVALID  an argument is NULL, or the sessions are not different ones of one
 *                             model and backend; nothing was done
 * @return otherwise the first negative status
 */
MAMBAINT_API int32_t mambaint_session_next_many(int32_t *status, mambaint_session *const *sessions,
                                                size_t n, mambaint_error *err);

/**
 * The piece of the last step again (of mambaint_session_next(), _next_many() or _force()).
 *
 * @param[out] buf      receives the piece; may be NULL if `cap` is 0
 * @param[in]  cap      room in `buf`
 * @param[out] len      bytes of the piece, also after E_SPACE
 * @param[in]  session  the session
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_session_piece(char *buf, size_t cap, size_t *len,
                                            const mambaint_session *session);

/**
 * The token of the last step, and what the model gave for it before temperature and penalties.
 *
 * @param[out] id           the token
 * @param[out] logprob_q16  base-2 logarithm of its probability, times 65536, at most 0; may be NULL
 * @param[in]  session      the session
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL, or no step was made since the session was
 *                             created, fed or set
 */
MAMBAINT_API int32_t mambaint_session_token(int32_t *id, int32_t *logprob_q16,
                                            const mambaint_session *session);

/**
 * The logits after the last token, as 16.16 fixed point, one for each id.
 *
 * @param[out] q16      receives them if all fit; may be NULL if `cap` is 0
 * @param[in]  cap      room in `q16`, in numbers
 * @param[out] need     their number, also after E_SPACE; may be NULL
 * @param[in]  session  the session
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small
 * @retval MAMBAINT_E_INVALID  an argument is NULL, or nothing was fed yet
 */
MAMBAINT_API int32_t mambaint_session_logits(int32_t *q16, size_t cap, size_t *need,
                                             const mambaint_session *session);

/**
 * A step with a token of the caller's choice instead of a drawn one; mambaint_session_piece() has
 * the text. For callers that sample from mambaint_session_logits() themselves.
 *
 * @param[in]  session  the session
 * @param[in]  id       the token
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           the step is made
 * @retval MAMBAINT_END          the step is made and the answer is complete
 * @retval MAMBAINT_E_INVALID    `session` is NULL
 * @retval MAMBAINT_E_RANGE      the id is outside the vocabulary
 * @retval MAMBAINT_E_CANCELLED  mambaint_session_cancel() was called
 * @retval MAMBAINT_E_NO_MEMORY  out of memory for the record (option `record` alone)
 */
MAMBAINT_API int32_t mambaint_session_force(mambaint_session *session, int32_t id,
                                            mambaint_error *err);

/**
 * Cancel the call that runs on the session, or else the next one: it returns
 * ::MAMBAINT_E_CANCELLED, once. Any thread may call this at any time, a signal handler too. NULL is
 * fine.
 */
MAMBAINT_API void mambaint_session_cancel(mambaint_session *session);

/**
 * How well the model predicts a text. The text is cut at each "\n<|endoftext|>\n"; every part is a
 * document that starts from the zero state with the end-of-text token fed; every token of it is
 * predicted, and after it an end-of-text token where the text has a separator. Costs are integers
 * and their sum is exact, so a text may be scored in parts that end with separators.
 *
 * bits per byte = bits_q16 / 65536 / bytes. The session's own conversation is not touched.
 *
 * @param[out] bits_q16  sum of -log2(probability) over all predictions, times 65536
 * @param[out] tokens    number of predictions; may be NULL
 * @param[out] bytes     bytes of the documents without separators; may be NULL
 * @param[in]  session   gives model and backend; mambaint_session_cancel() stops the call
 * @param[in]  text      any bytes, or NULL if `len` is 0
 * @param[in]  len       their number
 * @param[out] err       detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_INVALID    an argument is NULL
 * @retval MAMBAINT_E_CANCELLED  mambaint_session_cancel() was called
 * @retval MAMBAINT_E_NO_MEMORY  out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_session_score(int64_t *bits_q16, uint64_t *tokens, uint64_t *bytes,
                                            mambaint_session *session, const char *text, size_t len,
                                            mambaint_error *err);

/**
 * Something about a session as text, with a NUL: `backend` (its name), `position` (tokens fed),
 * `seed`, `prefill-chunk`, `stop-reason` (after END `end-of-turn`, `end-of-text` or `stop`; before
 * that ""), `profile` (with the option `profile`: a line `kernel calls nanoseconds` for each kernel
 * that has run, the longest first, in time of the calling thread; what
 * mambaint_session_next_many() runs counts in one session of each group).
 *
 * @param[out] buf      receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap      room in `buf` in bytes; 32 always do, but for `profile`
 * @param[out] need     bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  session  the session
 * @param[in]  key      what to tell
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID  an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_NO_MEMORY  out of memory (`profile` alone)
 */
MAMBAINT_API int32_t mambaint_session_text(char *buf, size_t cap, size_t *need,
                                           const mambaint_session *session, const char *key);

/** Free a session. NULL is fine. */
MAMBAINT_API void mambaint_session_free(mambaint_session *session);

/** @} */

/**
 * @defgroup state States
 *
 * A state is a session's memory as a value: small, of one size for a model, with a digest. Going
 * back is exact: fork, undo and resume are a state taken and later set. A state belongs to the
 * model and the tokenizer it was taken from; sampler settings are the session's and not in it.
 *
 * Threads: a state is immutable and may be shared; it is freed once.
 * @{
 */

/**
 * Take the state of a session.
 *
 * @param[out] out      the state, NULL on failure; free it with mambaint_state_free()
 * @param[in]  session  the session
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           `*out` is ready
 * @retval MAMBAINT_E_INVALID    `out` or `session` is NULL
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_state_get(mambaint_state **out, mambaint_session *session,
                                        mambaint_error *err);

/**
 * Put a state into a session, which then goes on exactly as the one it was taken from.
 *
 * @param[in]  session  the session
 * @param[in]  state    the state; copied
 * @param[out] err      detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK           set
 * @retval MAMBAINT_E_INVALID    `session` or `state` is NULL
 * @retval MAMBAINT_E_MISMATCH   the state is of another model or tokenizer
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_state_set(mambaint_session *session, const mambaint_state *state,
                                        mambaint_error *err);

/**
 * The digest of a state: equal digests, equal states of equal models.
 *
 * @param[out] out    32 bytes
 * @param[in]  state  the state
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_state_digest(uint8_t out[32], const mambaint_state *state);

/**
 * A state as bytes, the same on every machine.
 *
 * @param[out] buf    receives the bytes if all fit; may be NULL if `cap` is 0
 * @param[in]  cap    room in `buf`
 * @param[out] need   number of bytes, also after E_SPACE; may be NULL
 * @param[in]  state  the state
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_state_save(void *buf, size_t cap, size_t *need,
                                         const mambaint_state *state);

/**
 * A state from bytes. Everything in it is checked.
 *
 * @param[out] out    the state, NULL on failure; free it with mambaint_state_free()
 * @param[in]  model  the model it must belong to; need not outlive the state
 * @param[in]  buf    the bytes; copied
 * @param[in]  len    their number
 * @param[out] err    detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      an argument is NULL
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound state
 * @retval MAMBAINT_E_VERSION      made by a later version
 * @retval MAMBAINT_E_MISMATCH     of another model or tokenizer
 * @retval MAMBAINT_E_UNSUPPORTED  the model takes features, not text: it has no states
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_state_load(mambaint_state **out, const mambaint_model *model,
                                         const void *buf, size_t len, mambaint_error *err);

/** Free a state. NULL is fine. */
MAMBAINT_API void mambaint_state_free(mambaint_state *state);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs: that models, from what they were fed, gave these results, checked without running. */
#ifndef MAMBAINT_PROOF_H
#define MAMBAINT_PROOF_H

#include <mambaint/context.h>
#include <mambaint/model.h>
#include <mambaint/options.h>
#include <mambaint/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup proof Proofs
 *
 * A proof is a file of some ten kilobytes. It shows that a model, or a chain of them, was run on
 * the features that it names and gave the outputs that it names, bit for bit. Or that a model of
 * text, with nothing in its memory, was fed the tokens that it names, and that the tokens at their
 * end are its greedy answer: each is the likeliest after those before it, of equally likely ones
 * that of the lowest id. Whoever checks it needs a key: the models themselves, or a file that
 * stands for their weights.
 *
 * A long run on text may be proved in parts, with the memory that one of them takes: the file is
 * then a *series*, proofs one behind the other, each of which begins with what the one before it
 * has left in the model's memory. It is checked like one proof, and says what one would. A proof
 * out of a series may be checked alone, too: then its statement names that memory by a digest, and
 * nothing says where it comes from.
 *
 * A chain of models can be proved in two ways. *Merged*, it is one proof, and has a key of its own.
 * *Linked*, it is a series, too: a proof for each model, and what one model hands on to the next is
 * a digest that both proofs name. Each of them is for the key of its own model, so that keys of
 * models serve in any chain, and may be checked alone; together they are about twice as long. The
 * key of the whole is made of theirs: mambaint_key_join().
 *
 * A proof is about ids, not about text: which text they stand for is the tokenizer's to say, and
 * no part of it.
 *
 * Weights are *committed*: who verifies knows a digest of them, or *public*: who verifies has them.
 * **Without `zk`, proofs and keys hide nothing**: committed weights can be computed from them.
 * Equal models, features and options give the same bytes on every backend and for any number of
 * threads.
 *
 * With `zk` on, weights are *hidden*: neither proofs
 * nor keys tell them, nor anything else that was computed. Such proofs are made with a prover key,
 * which is good for as many as it was made for: one more could tell the weights. So each is counted
 * in the file of the key before it is made, also one that fails, and **the file must not be copied
 * or put back**: two copies make proofs with the same numbers. Processes may use one file at once.
 * Two hidden proofs of the same are never alike. What is not hidden: the sizes of the models, their
 * exponents and scales, and what the statement says. Enough outputs to chosen features may give the
 * weights of a small model, whatever the proof hides; and weights of which a proof or key without
 * `zk` was ever handed out are no secret. Hidden proofs of one series name each other, and are made
 * together. Public weights cannot be hidden (E_UNSUPPORTED). With the options `zk`: "on" and
 * `prover-key`: a path,
 *
 * ```c
 * mambaint_prover_key_save(NULL, path, &model, 1, zk_and_proofs, &err);  // once; `proofs`: "1000"
 * mambaint_key_create(&key, &model, 1, zk_and_prover_key, &err);         // for those who verify
 * mambaint_proof_create(&proof, &model, 1, zk_prover_key_and_features, &err);
 * ```
 *
 * A proof is sound to at least 100 bits; what that means and rests on is in
 * docs/proof.md, and the bytes of the files are in docs/proof-files.md.
 *
 * Proving and checking:
 *
 * ```c
 * mambaint_proof_create(&proof, &model, 1, options, &err);   // option features: "0.5,-1.25,..."
 *                                             // or options prompt: "Once upon", tokens: "64"
 * data = mambaint_proof_data(proof, &size);
 *
 * mambaint_key_load(&key, NULL, key_file, key_size, &err);
 * if (mambaint_proof_verify(&statement, key, NULL, data, size, &err) == MAMBAINT_ACCEPTED)
 *     mambaint_statement_text(words, sizeof(words), NULL, statement, "text");
 * ```
 *
 * An accepted proof says that the statement in it is true of the models of the key. Whether that is
 * what you wanted to know is yours to look at: read the statement, or give the one you expect.
 *
 * A program that only checks proofs needs neither the library nor a model: libmambaint-verify.a has
 * what is here but for what makes proofs and keys and what needs a tokenizer (docs/abi.md); the
 * whole of such a program is examples/verify.c.
 *
 * A build without libsodium answers each call that makes or reads something with E_UNSUPPORTED.
 *
 * Threads: proofs, keys and statements are immutable; any number of threads may use one.
 * @{
 */

/** A proof: the bytes of its file. */
typedef struct mambaint_proof mambaint_proof;

/** A verifier's key: which models, and which weights, a proof has to be about. */
typedef struct mambaint_key mambaint_key;

/** What a proof claims: models, and features and outputs, or tokens. */
typedef struct mambaint_statement mambaint_statement;

/**
 * Run models and prove what came out. Models that take features: as mambaint_model_evaluate(), and
 * the same outputs. A model of text: as a session at temperature 0, and the same tokens; the one
 * that ends the turn or the text is part of the answer.
 *
 * Options: `backend`; `weights` (`committed`, the default, or `public`); `zk` (`off`, the default,
 * or `on`, which takes a `prover-key` that was made with it, and no public weights); for features
 * `features` as there; for text
 * - `prompt`, a text, before which the end-of-text token is fed, or `ids`, whole numbers with
 *   commas between, before which nothing is;
 * - `tokens`, the most that are answered, 64 without it. Prompt and answer take at most 4096 steps,
 *   one less than they have tokens;
 * - `chunk-steps`, the most steps of one proof, at most 4096 and a multiple of the model's `chunk`.
 *   A run with more of them gets a series of proofs, made with the memory of one, or of two that
 *   are hidden, and may have 1048576 steps.
 *
 * For several models `chain` says whether they are proved together (`merged`, the default) or each
 * by itself, with memory for one, or for two hidden ones (`linked`, which makes a series of proofs;
 * with prover keys it takes one of each model, in their order). One model of a linked chain may be
 * proved where the others are not, from what is handed on to it, in `features`: as its `first`,
 * `middle` or `last` one; not if it is to be hidden. mambaint_proof_join() makes the series.
 *
 * With the option `prover-key`, a file of mambaint_prover_key_save(), the weights are not committed
 * to anew; the proof is the same, and is checked before it is handed out, so that a damaged key
 * makes an error and no proof. With `zk` on the file is written to, and has to be where it can be.
 *
 * The context's `progress` is told of the stages `weights` (their commitment), `answer`, `run`, and
 * those of the proof: `witness`, `commit`, `sums`, `lookup`, `open`, and
 * `check` with a prover key; of a series also `chunks`, the steps that are proved, or `chain`, the
 * models.
 *
 * @param[out] out       the proof, NULL on failure; free it with mambaint_proof_free()
 * @param[in]  model     the models in the order in which they are run; the first one's context
 *                       lends memory and threads
 * @param[in]  n_models  how many, 1 to 16
 * @param[in]  options   options; not kept
 * @param[out] err       detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      a pointer is NULL, there is no model, or an option is wrong
 * @retval MAMBAINT_E_RANGE        too many models or tokens, a feature is outside [-4, 3.96875], an
 *                                 id outside the vocabulary, `chunk-steps` no multiple, or all
 *                                 proofs of a prover key were made
 * @retval MAMBAINT_E_MISMATCH     text for a model that takes features, or the other way round; a
 *                                 model of text in a chain; or one that does not hand on what the
 *                                 next takes
 * @retval MAMBAINT_E_NO_BACKEND   the named backend is not in this build or on this machine
 * @retval MAMBAINT_E_UNSUPPORTED  `zk` is on with public weights, or for one model of a linked
 *                                 chain; the models are too large, or there is no libsodium
 * @retval MAMBAINT_E_IO           the prover key cannot be read, or with `zk` on not be written to
 * @retval MAMBAINT_E_FORMAT       it is none, or damaged; one of other models, or made with another
 *                                 `zk`, is E_MISMATCH
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_proof_create(mambaint_proof **out, mambaint_model *const *model,
                                           size_t n_models, const mambaint_options *options,
                                           mambaint_error *err);

/**
 * A series of proofs that were made one by one: of the models of a linked chain, or of the parts of
 * a run on tokens. They have to follow each other; nothing of what they claim is checked.
 *
 * @param[out] out       the series, NULL on failure; free it with mambaint_proof_free(). The
 *                       numbers of mambaint_proof_number() are 0
 * @param[in]  ctx       context, or NULL; the series keeps its own reference
 * @param[in]  proof     bytes of proofs of runs, which may be hostile, in order; not kept
 * @param[in]  size      their numbers
 * @param[in]  n_proofs  how many, 1 to 1048576
 * @param[out] err       detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      a pointer is NULL, or there is no proof
 * @retval MAMBAINT_E_RANGE        there are too many
 * @retval MAMBAINT_E_FORMAT       the bytes of one are no whole and sound proof of a run
 * @retval MAMBAINT_E_VERSION      made for another version or profile
 * @retval MAMBAINT_E_MISMATCH     parts of a run are of different models, or the weights of some
 *                                 are public and of others committed
 * @retval MAMBAINT_E_REFUSED      they do not follow each other, or are not the whole
 * @retval MAMBAINT_E_UNSUPPORTED  one is of a kind that is not there yet, or there is no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_proof_join(mambaint_proof **out, mambaint_context *ctx,
                                         const void *const *proof, const size_t *size,
                                         size_t n_proofs, mambaint_error *err);

/**
 * The bytes of a proof, to be saved or sent.
 *
 * @param[in]  proof  the proof
 * @param[out] size   number of bytes; may be NULL
 *
 * @return the bytes, which live as long as the proof; NULL for NULL
 */
MAMBAINT_API const void *mambaint_proof_data(const mambaint_proof *proof, size_t *size);

/**
 * A number of a proof that was made here. In keys `-` and `_` are equal.
 *
 * | key | number |
 * |---|---|
 * | `log2-trace` | log2 of the entries of what was committed beside the weights; of a series the largest |
 * | `soundness-bits` | a false statement passes with a probability below 2^-this for each try; of a series the lowest |
 * | `zk` | 1 if the weights are hidden, else 0 |
 * | `proofs-left` | with hidden weights, how many proofs the prover key could still make then, with several keys the fewest (-1 if a file was gone); else -1 |
 *
 * @param[in]  proof  the proof
 * @param[in]  key    which number
 * @param[out] value  the number
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL or the key is unknown
 */
MAMBAINT_API int32_t mambaint_proof_number(const mambaint_proof *proof, const char *key,
                                           int64_t *value);

/** Free a proof. NULL is fine. */
MAMBAINT_API void mambaint_proof_free(mambaint_proof *proof);

/**
 * A key from models. Nothing has to be believed: the digest of the weights is computed here.
 *
 * Options: `weights` (`committed`, the default, or `public`) and, for several models, `chain`
 * (`merged`, the default, or `linked`): a key is for proofs of one kind. With `zk` on it is for
 * proofs with hidden weights that are made with the prover key of the option `prover-key`: it is in
 * there, is not made anew, and takes none of its proofs.
 *
 * @param[out] out       the key, NULL on failure; free it with mambaint_key_free()
 * @param[in]  model     the models in the order of the chain; the key keeps references
 * @param[in]  n_models  how many, 1 to 16
 * @param[in]  options   options, or NULL for all defaults; not kept
 * @param[out] err       detail of a failure, or NULL
 *
 * @return as mambaint_proof_create()
 */
MAMBAINT_API int32_t mambaint_key_create(mambaint_key **out, mambaint_model *const *model,
                                         size_t n_models, const mambaint_options *options,
                                         mambaint_error *err);

/**
 * A key from a key file. The graphs are built again from what the file says of the models, and its
 * certificate, a proof that all weights lie in their intervals, is checked.
 *
 * What the file cannot show is *whose* weights these are: take it from somebody you believe, or
 * compare mambaint_key_digest() with a digest that you have from there.
 *
 * @param[out] out  the key, NULL on failure; free it with mambaint_key_free()
 * @param[in]  ctx  context, or NULL; the key keeps its own reference
 * @param[in]  buf  bytes of the file, which may be hostile; not kept
 * @param[in]  len  their number
 * @param[out] err  detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `buf` is NULL
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound key
 * @retval MAMBAINT_E_VERSION      made for another version or profile
 * @retval MAMBAINT_E_RANGE        a number in it is outside its range
 * @retval MAMBAINT_E_MISMATCH     its models compute another graph than here, or its certificate is
 *                                 of something else
 * @retval MAMBAINT_E_REFUSED      the certificate is false
 * @retval MAMBAINT_E_UNSUPPORTED  models that cannot be proved yet, or no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_key_load(mambaint_key **out, mambaint_context *ctx, const void *buf,
                                       size_t len, mambaint_error *err);

/**
 * A key for a linked chain from keys for each of its proofs. mambaint_key_create() makes one from
 * the models, with the option `chain`. Its digest is that of the chain, and no file of it is
 * needed: mambaint_key_save() refuses it.
 *
 * @param[out] out     the key, NULL on failure; free it with mambaint_key_free()
 * @param[in]  key     the keys in the order of the chain; they are shared, and may be freed
 * @param[in]  n_keys  how many, 2 to 16
 * @param[out] err     detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      a pointer is NULL, there are fewer than two keys, or one of them
 *                                 is of a chain of keys itself
 * @retval MAMBAINT_E_RANGE        together they have more than 16 models
 * @retval MAMBAINT_E_MISMATCH     the models do not take what those before them hand on, or the
 *                                 weights of one are committed, public or hidden where those of
 *                                 another are not
 * @retval MAMBAINT_E_UNSUPPORTED  no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_key_join(mambaint_key **out, mambaint_key *const *key, size_t n_keys,
                                       mambaint_error *err);

/**
 * The file of a key with committed weights. For a key from models its certificate is proved in each
 * such call, which takes about as long as a proof; the bytes are the same each time. That of hidden
 * weights was made with their prover key.
 *
 * @param[out] buf   receives the bytes if all of them fit; may be NULL if `cap` is 0
 * @param[in]  cap   room in `buf` in bytes
 * @param[out] need  number of bytes, also after E_SPACE; may be NULL
 * @param[in]  key   the key
 *
 * @retval MAMBAINT_OK             stored
 * @retval MAMBAINT_E_SPACE        `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID      an argument is NULL
 * @retval MAMBAINT_E_UNSUPPORTED  the weights are public: then the models are the key; or it is of
 *                                 a linked chain: then the keys of its parts are
 * @retval MAMBAINT_E_NO_MEMORY    out of memory
 */
MAMBAINT_API int32_t mambaint_key_save(void *buf, size_t cap, size_t *need,
                                       const mambaint_key *key);

/**
 * The model id: a digest of the models, their weights and whether these are public. It is in every
 * statement, too.
 *
 * @param[out] out  32 bytes
 * @param[in]  key  the key
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_key_digest(uint8_t out[32], const mambaint_key *key);

/** Free a key. NULL is fine. */
MAMBAINT_API void mambaint_key_free(mambaint_key *key);

/**
 * Commit to the weights of models once, for many proofs: the option `prover-key` of
 * mambaint_proof_create() takes the file, which is large (16 to 48 bytes for each weight) and is
 * mapped, not read. It is the prover's own: it has all weights in it and shows nothing to anybody
 * who verifies. The context's `progress` is told of the stages `weights` and `write`.
 *
 * With the option `zk` on it is a key for proofs with hidden weights, readable by its owner only,
 * and mostly small: large where one root is enough for all proofs. Each such key has another model
 * id, and its proofs are verified by its own key alone: mambaint_key_create(). The option `proofs`
 * says how many proofs it has to make (1000); it may make more.
 *
 * @param[out] model_id  the model id of the proofs, or NULL
 * @param[in]  path      the file; an old one is replaced when the new one is complete
 * @param[in]  model     the models in the order of the chain
 * @param[in]  n_models  how many, 1 to 16
 * @param[in]  options   options as of mambaint_key_create(), or NULL
 * @param[out] err       detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             the file is there
 * @retval MAMBAINT_E_INVALID      `path` is NULL, there is no model, or an option is wrong
 * @retval MAMBAINT_E_IO           the file cannot be written
 * @retval MAMBAINT_E_UNSUPPORTED  the weights are public, the models are too large, or there is no
 *                                 libsodium
 * @retval MAMBAINT_E_MISMATCH     the models are no chain
 * @retval MAMBAINT_E_RANGE        too many models, or more `proofs` than one key makes
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_prover_key_save(uint8_t model_id[32], const char *path,
                                              mambaint_model *const *model, size_t n_models,
                                              const mambaint_options *options, mambaint_error *err);

/**
 * What a prover key says of itself, as text with a NUL. Nothing secret is in it.
 *
 * | key | text |
 * |---|---|
 * | `text` | lines for people: the kind of weights, the model id, and how many proofs are left |
 * | `json` | an object: `type` (`prover-key`), `weights` (`committed` or `hidden`), `model_id`, `proofs` (that it makes in all) and `proofs_left`, both null if it makes any number |
 *
 * @param[out] buf   receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap   room in `buf` in bytes
 * @param[out] need  bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  path  the file, of which the beginning is checked, but no weights (`check` does that)
 * @param[in]  key   what to tell
 * @param[out] err   detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             stored
 * @retval MAMBAINT_E_SPACE        `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID      an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_IO           the file cannot be read
 * @retval MAMBAINT_E_FORMAT       it is no prover key, or damaged
 * @retval MAMBAINT_E_VERSION      made for another version or profile
 * @retval MAMBAINT_E_UNSUPPORTED  no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_prover_key_text(char *buf, size_t cap, size_t *need, const char *path,
                                              const char *key, mambaint_error *err);

/**
 * Read the statement of a proof file, or a saved statement. **This does not check the proof**: the
 * file says so, no more.
 *
 * @param[out] out  the statement, NULL on failure; free it with mambaint_statement_free()
 * @param[in]  ctx  context, or NULL; the statement keeps its own reference
 * @param[in]  buf  bytes of the file, which may be hostile; not kept
 * @param[in]  len  their number
 * @param[out] err  detail of a failure, or NULL
 *
 * @retval MAMBAINT_OK             `*out` is ready
 * @retval MAMBAINT_E_INVALID      `out` or `buf` is NULL
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound file
 * @retval MAMBAINT_E_VERSION      made for another version or profile
 * @retval MAMBAINT_E_RANGE        a number in it is outside its range
 * @retval MAMBAINT_E_MISMATCH     its models compute another graph than here
 * @retval MAMBAINT_E_UNSUPPORTED  it speaks of what cannot be proved yet, or no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_statement_read(mambaint_statement **out, mambaint_context *ctx,
                                             const void *buf, size_t len, mambaint_error *err);

/**
 * Save a statement, to expect it of a proof later.
 *
 * @param[out] buf        receives the bytes if all of them fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `buf` in bytes
 * @param[out] need       number of bytes, also after E_SPACE; may be NULL
 * @param[in]  statement  the statement
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_statement_save(void *buf, size_t cap, size_t *need,
                                             const mambaint_statement *statement);

/**
 * A statement as text, with a NUL.
 *
 * | key | text |
 * |---|---|
 * | `text` | a few lines for people: the models, the model id, features and outputs as exact decimals or the tokens, and what is not shown |
 * | `json` | an object: `type` (`run` or `certificate`), `version`, `profile`, `weights` (`committed`, `public` or `hidden`), `model_id`, `weights_digest`, `models` (of each `architecture`, `graph_digest` and its configuration), `tokens` (steps), `features` in units of 2^-`feature_frac`, `outputs` in units of 2^-`frac`, `argmax`; of tokens in place of these `tokens` (steps), `n_outputs` (answered tokens), `ids` (those last), `prompt` and `text` (null: mambaint_statement_text_with() has them); in `models` then also `public_digest`; of a part of a run also `t0`, `memory_before` and `memory_behind` (digests, of hidden proofs those of links, or null); of a series also `proofs`, how many; of a linked chain also `chain` (`linked`) and `proof_sizes`, how many bytes each of the `proofs` has, if they are there; of a part of one `features` or `outputs` may be null, and `link_before` and `link_behind` are their digests, or null |
 *
 * @param[out] buf        receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `buf` in bytes
 * @param[out] need       bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  statement  the statement
 * @param[in]  key        what to tell
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_statement_text(char *buf, size_t cap, size_t *need,
                                             const mambaint_statement *statement, const char *key);

/**
 * mambaint_statement_text() that also says what text the tokens stand for. Nothing of that is shown
 * by a proof: it is what this tokenizer says.
 *
 * In the lines for people a text is between quotes, with what a terminal could take for something
 * else as escapes, and special tokens stand outside of quotes. In JSON `prompt` and `text` are
 * strings without special tokens, in which bytes that are no UTF-8 are U+FFFD.
 *
 * @param[out] buf        receives the text and a NUL if both fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `buf` in bytes
 * @param[out] need       bytes of the text and its NUL, also after E_SPACE; may be NULL
 * @param[in]  statement  the statement
 * @param[in]  tokenizer  the tokenizer of the model, or NULL; not kept
 * @param[in]  key        what to tell
 *
 * @retval MAMBAINT_OK           stored
 * @retval MAMBAINT_E_SPACE      `cap` is too small; nothing is stored but `*need`
 * @retval MAMBAINT_E_INVALID    an argument is NULL or the key is unknown
 * @retval MAMBAINT_E_MISMATCH   the tokenizer has not as many tokens as the model
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_statement_text_with(char *buf, size_t cap, size_t *need,
                                                  const mambaint_statement *statement,
                                                  const mambaint_tokenizer *tokenizer,
                                                  const char *key);

/**
 * The tokens of a statement: the prompt, then the answer. None if it is of features.
 *
 * @param[out] ids        receives them if all fit; may be NULL if `cap` is 0
 * @param[in]  cap        room in `ids`
 * @param[out] need       their number, also after E_SPACE; may be NULL
 * @param[out] n_answer   how many of them, the last ones, are the answer; also after E_SPACE; may
 *                        be NULL
 * @param[in]  statement  the statement
 *
 * @retval MAMBAINT_OK         stored
 * @retval MAMBAINT_E_SPACE    `cap` is too small; no id is stored
 * @retval MAMBAINT_E_INVALID  an argument is NULL
 */
MAMBAINT_API int32_t mambaint_statement_ids(int32_t *ids, size_t cap, size_t *need,
                                            size_t *n_answer, const mambaint_statement *statement);

/**
 * Are these the features of a statement? They are read as the option `features` of
 * mambaint_model_evaluate().
 *
 * @param[in]  statement  the statement
 * @param[in]  features   decimals with commas between, as many as the statement has
 * @param[out] err        which one differs, or detail of another failure, or NULL
 *
 * @retval MAMBAINT_OK           they are
 * @retval MAMBAINT_E_MISMATCH   they are not, or it has none
 * @retval MAMBAINT_E_INVALID    an argument is NULL, or the text is no such list
 * @retval MAMBAINT_E_RANGE      a number is outside [-4, 3.96875] after rounding
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_statement_match(const mambaint_statement *statement,
                                              const char *features, mambaint_error *err);

/**
 * Are these the tokens of a statement? An answer that is empty is that of no statement. A statement
 * that begins with a memory has neither a prompt nor an answer that could be compared: E_MISMATCH.
 *
 * @param[in]  statement  the statement
 * @param[in]  prompt     ids of the whole prompt, or NULL: any
 * @param[in]  n_prompt   their number
 * @param[in]  answer     ids of the whole answer, or NULL: any
 * @param[in]  n_answer   their number
 * @param[out] err        what differs, or NULL
 *
 * @retval MAMBAINT_OK          they are
 * @retval MAMBAINT_E_MISMATCH  they are not, or it has none
 * @retval MAMBAINT_E_INVALID   `statement` is NULL
 */
MAMBAINT_API int32_t mambaint_statement_match_ids(const mambaint_statement *statement,
                                                  const int32_t *prompt, size_t n_prompt,
                                                  const int32_t *answer, size_t n_answer,
                                                  mambaint_error *err);

/**
 * The same of text. The prompt is one that mambaint_proof_create() took as the option `prompt`: its
 * ids have to be those that this tokenizer makes of it, behind the end-of-text token. The answer
 * has to be, byte for byte, what its ids stand for; special tokens stand for nothing.
 *
 * @param[in]  statement  the statement
 * @param[in]  tokenizer  the tokenizer of the model
 * @param[in]  prompt     the prompt, or NULL: any
 * @param[in]  n_prompt   its bytes
 * @param[in]  answer     the answer, or NULL: any
 * @param[in]  n_answer   its bytes
 * @param[out] err        what differs, or NULL
 *
 * @retval MAMBAINT_OK           they are
 * @retval MAMBAINT_E_MISMATCH   they are not, it has none, or the tokenizer has not as many tokens
 *                               as the model
 * @retval MAMBAINT_E_INVALID    `statement` or `tokenizer` is NULL
 * @retval MAMBAINT_E_NO_MEMORY  out of memory
 */
MAMBAINT_API int32_t mambaint_statement_match_text(const mambaint_statement *statement,
                                                   const mambaint_tokenizer *tokenizer,
                                                   const char *prompt, size_t n_prompt,
                                                   const char *answer, size_t n_answer,
                                                   mambaint_error *err);

/** Free a statement. NULL is fine. */
MAMBAINT_API void mambaint_statement_free(mambaint_statement *statement);

/**
 * Check a proof against a key. A pure function of its arguments: it reads no file, no clock and no
 * chance, and takes memory by the size of the key's models, and of tokens by their number. It never
 * returns MAMBAINT_OK: compare with MAMBAINT_ACCEPTED.
 *
 * @param[out] parsed    receives the statement if the proof is accepted, else NULL; may be NULL
 * @param[in]  key       which models and weights the proof has to be about
 * @param[in]  expected  the statement that it has to show, or NULL: any of these models
 * @param[in]  proof     bytes of the file, which may be hostile; not kept
 * @param[in]  len       their number
 * @param[out] err       why it is not accepted, or NULL
 *
 * @retval MAMBAINT_ACCEPTED       the proof shows its statement
 * @retval MAMBAINT_E_REFUSED      it does not; the sentence says which step failed
 * @retval MAMBAINT_E_MISMATCH     it is of other models, weights or mode than the key, or of
 *                                 another statement than the expected one
 * @retval MAMBAINT_E_INVALID      `key` or `proof` is NULL
 * @retval MAMBAINT_E_FORMAT       the bytes are no whole and sound proof of a run
 * @retval MAMBAINT_E_VERSION      made for another version or profile
 * @retval MAMBAINT_E_RANGE        a value in it is outside its interval
 * @retval MAMBAINT_E_UNSUPPORTED  it is of a kind that is not there yet, or there is no libsodium
 * @retval MAMBAINT_E_NO_MEMORY    out of memory; nothing stays allocated
 */
MAMBAINT_API int32_t mambaint_proof_verify(mambaint_statement **parsed, const mambaint_key *key,
                                           const mambaint_statement *expected, const void *proof,
                                           size_t len, mambaint_error *err);

/** @} */

#ifdef __cplusplus
}
#endif
#endif

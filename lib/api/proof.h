/* SPDX-License-Identifier: Apache-2.0 */
/* What proofs, keys and statements of the API share: the models that they speak of. */
#ifndef MBI_API_PROOF_H
#define MBI_API_PROOF_H

#include "api/model.h"
#include "api/chain.h"
#include "base/file.h"
#include "base/scratch.h"
#include "exec/backend.h"
#include "proof/roots.h"
#include "proof/series.h"
#include "proof/statement.h"
#include "proof/walk.h"
#include "proof/witness.h"
#include <mambaint/proof.h>

/* The sentence of a build without libsodium. */
int32_t mbi_proof_unsupported(mambaint_error *err);

/* ---- models ---- */

/* What both sides derive from models and the size of a run. */
struct mbi_proof_plan {
    const struct mbi_host *host; /* whose memory it is: that of the models it was made for */
    struct mbi_plan *plan;
    struct mbi_code code;
    unsigned level;            /* bits of soundness */
    struct mbi_table *table;   /* by variable of the plan: weights, if they are public; or NULL */
    struct mbi_walk_room room; /* of who verifies with it */
};

/* What a prover has of hidden weights, out of his key; empty of others. */
struct mbi_hidden_key {
    struct mbi_mask_seed seed;       /* of all masks */
    struct mbi_digest *root;         /* said.roots.n of them; the caller's memory, like the tree */
    struct mbi_digest *tree;         /* MBI_ROOTS_NODES() */
    struct mbi_buf certificate;      /* the bytes of its file */
    uint8_t vector[MBI_DIGEST_SIZE]; /* what mbi_proof_hash_weights() made of the weights alone */
};

/*
 * The models of a proof with all that prover and verifier derive from them. Immutable once it is
 * made, so that threads share it; its address stays what it is.
 */
struct mbi_proof_models {
    mambaint_context *ctx; /* a reference */
    size_t n;
    mambaint_model *model[MBI_PLAN_STAGES]; /* references; NULL: weights are not there */
    void (*unref)(mambaint_model *model);   /* gives them back; NULL: there are none */
    struct mbi_graph *own[MBI_PLAN_STAGES]; /* graphs that were made here; NULL: a model's */
    const struct mbi_graph *graph[MBI_PLAN_STAGES];
    /* By index in the graph: of models all parameters; rebuilt those that are public, else NULL. */
    const void *const *param[MBI_PLAN_STAGES];
    const void **own_param[MBI_PLAN_STAGES]; /* what of it was made here */
    struct mbi_statement_models said;
    bool public_weights;
    bool takes_tokens;                /* then there is one model */
    unsigned weight_bits;             /* log2 of the entries of the vector of weights */
    struct mbi_code code;             /* of that vector, if it is committed */
    struct mbi_table vector;          /* of all weights, if they are there */
    struct mbi_commitment commitment; /* to it, if they are committed */
    struct mbi_root root;
    struct mbi_proof_plan features; /* of runs on features, which all have one step; else empty */
    const char *prover_key;    /* set before they are opened: a file with the commitment; or NULL */
    struct mbi_map prover_map; /* of it: the commitment is a view of this */
    mbi_fe *swapped;           /* its codeword, on big-endian machines */
    /* Of hidden weights. Their root is another one in each proof, so that root has its size only,
     * and there is a commitment only if all proofs have the same. */
    bool makes_key;  /* set before they are opened: for a new prover's key; options: proofs */
    uint32_t proofs; /* that it makes at least; not 0 with the option zk */
    struct mbi_blur blur;
    struct mbi_hidden_key hidden;
};

/* From models. Options: weights, zk. Close it after a failure, too, if *m was zero before but for
 * prover_key and makes_key. */
int32_t mbi_proof_models_open(struct mbi_proof_models *m, mambaint_model *const *model, size_t n,
                              const mambaint_options *options, mambaint_error *err);
/* From a key file, with committed weights that are not there. The certificate is not checked. */
int32_t mbi_proof_models_rebuild(struct mbi_proof_models *m, mambaint_context *ctx,
                                 const struct mbi_key_file *key, mambaint_error *err);
void mbi_proof_models_close(struct mbi_proof_models *m);

/* Of runs with so many steps, the last n_outputs of which answer; and of the certificate of all
 * weights. Close it after a failure, too, if it was zero before. */
int32_t mbi_proof_plan_run(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                           uint32_t lanes, uint32_t n_outputs, mambaint_error *err);
/* The same of a part of a run, with boundaries. */
struct mbi_proof_part {
    uint32_t lanes, n_outputs;
    bool boundary[MBI_SIDES];
};
int32_t mbi_proof_plan_part(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                            const struct mbi_proof_part *part, mambaint_error *err);
int32_t mbi_proof_plan_certificate(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                                   mambaint_error *err);
/* For provers: E_UNSUPPORTED if the protocol has no step for something in it. Verifiers find that
 * on their way. */
int32_t mbi_proof_plan_try(const struct mbi_proof_plan *p, const struct mbi_host *host,
                           mambaint_error *err);
void mbi_proof_plan_close(struct mbi_proof_plan *p); /* also an empty one */

/* The configuration and the graph of model i of a statement; E_UNSUPPORTED, E_RANGE or E_MISMATCH
 * if this library has no such model. */
int32_t mbi_proof_config(struct mbi_config *c, const struct mbi_statement_models *said, size_t i,
                         mambaint_error *err);
int32_t mbi_proof_graph(struct mbi_graph **out, const struct mbi_host *host,
                        const struct mbi_statement_models *said, size_t i, mambaint_error *err);

/* Are statement, configurations and graphs one? For whoever has no key. */
int32_t mbi_proof_check_statement(const struct mbi_statement *s, const struct mbi_host *host,
                                  mambaint_error *err);

/* ---- jobs, of both sides (proof_job.c) ---- */

/* The ids of a statement of tokens; of any other one NULL. */
int32_t mbi_proof_ids(uint32_t **ids, const struct mbi_statement *s, const struct mbi_host *host,
                      mambaint_error *err);
/* What a job has to know of hidden weights. `term` and `claim` stay where they are. */
void mbi_proof_know_roots(struct mbi_proof_job *job, struct mbi_claim term[2],
                          const struct mbi_root_claim *claim, const struct mbi_proof_models *m);
/* Roots, or links and what the proof has its name of, for which `bare` is memory, and has failed
 * without it. */
void mbi_proof_say_boundaries(struct mbi_proof_job *job, struct mbi_buf *bare,
                              enum mbi_proof_type type, bool public_weights,
                              const struct mbi_statement *s);

/* A host that remembers whether it refused: then neither a proof nor a verdict counts. */
struct mbi_watch {
    struct mbi_host host;
    const struct mbi_host *from;
    atomic_bool refused;
};
void mbi_watch_begin(struct mbi_watch *w, const struct mbi_host *from);

/* ---- proofs (proof_write.c) ---- */

/* What is at the ends of a part of a run or chain: a memory that it begins with is given; features
 * that it begins with, and what it hands on, are made, and belong to the caller also after a
 * failure, if the structure was zero there. */
struct mbi_boundaries {
    const struct mbi_host *host[MBI_SIDES]; /* that lent the vector */
    int32_t *vector[MBI_SIDES];
    size_t bytes[MBI_SIDES];
    struct mbi_commitment commitment[MBI_SIDES]; /* to it, unless it is hidden */
    struct mbi_ext pad[MBI_SIDES]; /* of a hidden one, which both its proofs have ... */
    uint8_t link[MBI_SIDES][MBI_STATEMENT_LINK]; /* ... and the link, when both are there */
};
void mbi_boundaries_free(struct mbi_boundaries *b); /* erases what it held */
/* What one part hands on becomes what the next one begins with. */
void mbi_boundaries_hand_on(struct mbi_boundaries *next, struct mbi_boundaries *b);

/* One opening of a key: what a proof is made with. Zero it first. */
struct mbi_hidden_use {
    uint32_t number;              /* of the root */
    struct mbi_mask_seed seed;    /* of this proof alone: the witness's masks and all pads */
    struct mbi_mask_seed weights; /* of the root */
    struct mbi_commitment opened; /* to the weights, by that root */
    struct mbi_root_claim claim;  /* that they are the weights of all roots */
};

/*
 * A proof in the making. Between its two halves its witness is committed to, and nothing has been
 * drawn: a hidden one has its name then, and what it hands on or begins with can be linked. It
 * stays where it is from the one to the other. Zero it first.
 */
struct mbi_proof_draft {
    const struct mbi_proof_models *m;
    const struct mbi_proof_plan *plan;
    struct mbi_statement said; /* its boundaries are views of b */
    struct mbi_boundaries *b;
    uint32_t *ids; /* of tokens: lanes + 1 of them */
    struct mbi_hidden_use use;
    struct mbi_witness *witness;
    struct mbi_commitment vector; /* to the witness */
    struct mbi_watch watch;
    struct mbi_scratch scratch;
};

/* `plan` and `run`: of a run, or of a certificate. `b`: NULL, or of a plan with boundaries. The run
 * is not needed any more behind it; all else is. Close the draft after a failure, too. */
int32_t mbi_proof_begin(struct mbi_proof_draft *d, const struct mbi_proof_models *m,
                        const struct mbi_proof_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, struct mbi_boundaries *b,
                        mambaint_error *err);
/* Of two hidden ones: what the first hands on is what the second begins with, which has been begun
 * with its vector. */
int32_t mbi_proof_link(struct mbi_proof_draft *left, struct mbi_proof_draft *right,
                       mambaint_error *err);
/* Appends the proof file. */
int32_t mbi_proof_end(struct mbi_buf *out, struct mbi_proof_draft *d, mambaint_error *err);
void mbi_proof_draft_close(struct mbi_proof_draft *d);

/* All of it at once. */
int32_t mbi_proof_write(struct mbi_buf *out, const struct mbi_proof_models *m,
                        const struct mbi_proof_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, mambaint_error *err);

/* Is the body a proof of the statement? The models were compared before. Any memory that it takes
 * follows from the plan. */
int32_t mbi_proof_check(const struct mbi_proof_models *m, const struct mbi_proof_plan *plan,
                        const struct mbi_proof_file *file, mambaint_error *err);

/* ---- keys of provers (proof_prover.c) ---- */

/* Hidden weights: what m->prover_key, a file of these models, says of its roots. Comes first. */
int32_t mbi_prover_key_roots(struct mbi_proof_models *m, mambaint_error *err);
/* The commitment to the vector of weights out of m->prover_key, which has to be of these; of
 * hidden ones what a prover has of them. */
int32_t mbi_prover_key_use(struct mbi_proof_models *m, mambaint_error *err);
/* Before the models are closed; nothing, if there is no such key. */
void mbi_prover_key_close(struct mbi_proof_models *m);
/* Does a proof hold that was made with such a key? Nothing is asked of one that was not. */
int32_t mbi_prover_key_check(const struct mbi_proof_models *m, const struct mbi_proof_plan *plan,
                             const struct mbi_buf *proof, mambaint_error *err);
/* All of a file: the codeword is hashed again. */
int32_t mbi_prover_key_file_check(const struct mbi_host *host, const void *data, size_t n,
                                  mambaint_error *err);

/* ---- hidden weights (proof_hidden.c) ---- */

/* How a vector of 2^bits entries is committed to whose root is opened so many times. */
bool mbi_hidden_code(struct mbi_code *code, unsigned bits, uint32_t openings);

/* Masks may make a row longer by an eighth, unless one opening takes more. */
bool mbi_hidden_fits(const struct mbi_code *code, uint32_t openings);

/* How many roots, and openings of each, `proofs` proofs take and a certificate. The weights end at
 * entry `end` of 2^weight_bits. */
int32_t mbi_hidden_budget(struct mbi_statement_roots *r, uint64_t end, unsigned weight_bits,
                          uint32_t proofs, mambaint_error *err);

/* The seed, the entries behind the weights, all roots and what they have in common; said is
 * complete then. Progress is told as the stage "weights". */
int32_t mbi_hidden_make(struct mbi_proof_models *m, mambaint_error *err);
/* beta, behind the weights in m->vector, for which this may take other memory. */
int32_t mbi_hidden_fill(struct mbi_proof_models *m, mambaint_error *err);
void mbi_hidden_forget(struct mbi_hidden_key *k, const struct mbi_host *host);

/* Takes the next opening of the key, for good, or for a certificate the first. b: NULL, or what it
 * begins with, which its seed depends on, as on the statement. End it after a failure, too. */
int32_t mbi_hidden_begin(struct mbi_hidden_use *u, const struct mbi_proof_models *m,
                         const struct mbi_statement *s, const struct mbi_boundaries *b,
                         mambaint_error *err);
void mbi_hidden_end(struct mbi_hidden_use *u, const struct mbi_proof_models *m);

/* ---- the counter of a prover's key (proof_budget.c) ---- */

/* Raises the counter in the file of a key with this head, durably, before it returns the number
 * that it had, which nobody else gets. E_RANGE if there is none left. */
int32_t mbi_budget_take(uint64_t *number, const char *path, const struct mbi_prover_key_head *head,
                        mambaint_error *err);
/* Openings that are left, by the bytes of the file. */
int32_t mbi_budget_left(uint64_t *left, const struct mbi_prover_key_head *head, const void *data,
                        size_t n, mambaint_error *err);

/* Makes a certificate of all weights, as a file (proof_key.c). */
int32_t mbi_proof_write_certificate(struct mbi_buf *out, const struct mbi_proof_models *m,
                                    mambaint_error *err);

/* The hash of the bytes of the vector of weights: the weights digest, if they are public. */
void mbi_proof_hash_weights(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_proof_models *m);

/* ---- runs (proof_run.c) ---- */

/* All values of a model in `lanes` steps from the zero state at position 0. */
struct mbi_kept_run {
    const struct mbi_graph *graph;
    struct mbi_stage_run stage;
    void **value; /* by mbi_ref: [lanes][cols]; of parameters the model's own */
};

/* `in`: rows of value 0, int32 ids or i8 features. Close it after a failure, too, if it was zero
 * before. Progress is told as the stage "run". */
int32_t mbi_kept_run_make(struct mbi_kept_run *run, const mambaint_model *m, const void *in,
                          size_t lanes, const struct mbi_backend *backend, mambaint_error *err);
/* The same of steps from position `pos` on, of a stage that has run all before and keeps values. */
int32_t mbi_kept_run_part(struct mbi_kept_run *run, const mambaint_model *m, const void *in,
                          uint64_t pos, size_t lanes, struct mbi_stage *stage, mambaint_error *err);
void mbi_kept_run_close(struct mbi_kept_run *run);
#define MBI_KEPT_AT_ONCE 64 /* steps of such a stage: what the device holds of all values */

/* ---- what is answered (proof_tokens.c) ---- */

/*
 * The list of ids of a proof, T + 1 of them as int32: those of the option `prompt` or `ids`, then
 * the *n_outputs that the model answers greedily, at most as many as the option `tokens` says; the
 * one that ends text or turn is the last. All together are at most `most` steps. Progress is told
 * as the stage "answer".
 */
int32_t mbi_proof_answer(struct mbi_buf *list, uint32_t *n_outputs, mambaint_model *m,
                         const mambaint_options *options, uint32_t most, mambaint_error *err);

/* Is each of the last n_outputs ids the argmax of its step in this run? E_INTERNAL otherwise. */
int32_t mbi_proof_answer_check(const struct mbi_kept_run *run, const int32_t *ids, size_t lanes,
                               uint32_t n_outputs, mambaint_error *err);

/* ---- runs in parts (proof_parts.c) ---- */

/* The option `chunk-steps`: how many steps a proof has at most, 0 without it. */
int32_t mbi_proof_part_steps(uint32_t *steps, const struct mbi_proof_models *m,
                             const mambaint_options *options, mambaint_error *err);

/* What came out of making proofs, one or several. */
struct mbi_proof_made {
    struct mbi_buf *file;
    unsigned log2_trace, level; /* the largest, and the lowest */
};
/* A series of proofs of `steps` steps each, but for the last one, of a list as of
 * mbi_proof_answer(), which has more of them. Needs the memory of one, or of two hidden ones. */
int32_t mbi_proof_write_series(struct mbi_proof_made *made, const struct mbi_proof_models *m,
                               const struct mbi_buf *list, uint32_t n_outputs, uint32_t steps,
                               const struct mbi_backend *backend, mambaint_error *err);

/* ---- chains whose models are proved one by one (proof_linked.c) ---- */

/* The option `chain`: one proof, or one for each model; or that of one model out of a chain. */
enum mbi_chain {
    MBI_CHAIN_MERGED,
    MBI_CHAIN_LINKED,
    MBI_CHAIN_FIRST,
    MBI_CHAIN_MIDDLE,
    MBI_CHAIN_LAST
};
int32_t mbi_proof_chain(enum mbi_chain *chain, const mambaint_options *options,
                        mambaint_error *err);
/* Are the prover keys of the options as many as these models, or none? */
int32_t mbi_proof_chain_keys(const mambaint_options *options, size_t n, mambaint_error *err);
/* A series of one proof for each of several models; or the proof of one. */
int32_t mbi_proof_write_chain(struct mbi_proof_made *made, mambaint_model *const *model, size_t n,
                              enum mbi_chain chain, const mambaint_options *options,
                              mambaint_error *err);

/* A plan that serves the proofs of a file, made anew for one that it does not fit. */
struct mbi_proof_check {
    struct mbi_proof_plan plan;
    struct mbi_proof_part part;
};
/* Is a proof, as it was read, accepted? Of statement, models and body; not MAMBAINT_OK, but
 * MAMBAINT_ACCEPTED. */
int32_t mbi_proof_accept(struct mbi_proof_check *c, const mambaint_key *key,
                         const struct mbi_proof_file *file, mambaint_error *err);
/* How many proofs say a statement; and of a chain's, how many bytes each has. */
struct mbi_proof_count {
    uint32_t n;
    size_t size[MBI_STATEMENT_MODELS]; /* 0 where there is none */
};
/* The statement of a series of proofs, as a file without a body that is added to `out`. With a key
 * they are checked, else read. */
int32_t mbi_proof_series(struct mbi_buf *out, struct mbi_proof_count *count,
                         const mambaint_key *key, mambaint_context *ctx, const void *data,
                         size_t size, mambaint_error *err);

/* ---- objects ---- */

struct mambaint_key {
    atomic_uint refs;
    struct mbi_proof_models models;            /* of a chain of keys: what they say, and no model */
    struct mbi_buf file;                       /* as it was loaded; else empty */
    size_t n_stages;                           /* of a chain of keys, ... */
    mambaint_key *stage[MBI_STATEMENT_MODELS]; /* ... of which each is for one proof */
};

struct mambaint_statement {
    mambaint_context *ctx;
    struct mbi_buf saved; /* a proof file with an empty body */
    struct mbi_proof_file file;
    struct mbi_config config[MBI_STATEMENT_MODELS];
    int32_t input_frac, output_frac; /* of features and outputs */
    struct mbi_proof_count proofs;   /* that say it together: of a series; else 1 */
};

/* Feature i of a statement of features, which are there. */
static inline int8_t mbi_statement_feature(const mambaint_statement *s, size_t i)
{
    return (int8_t)s->file.statement.input[i];
}

/* Is it of the end of a run, which began with a memory that nothing is said of? */
static inline bool mbi_statement_is_rest(const mambaint_statement *s)
{
    return s->file.statement.boundary[MBI_BEFORE] != NULL;
}

/* Of a statement of tokens: ids that nobody answered, the first ones. */
static inline size_t mbi_statement_prompt(const mambaint_statement *s)
{
    return s->file.statement.n_inputs - s->file.statement.n_outputs;
}

/* Has the tokenizer as many tokens as the model of a statement? */
bool mbi_statement_fits(const mambaint_statement *s, const struct mbi_tokenizer *t);

/* Wraps head and statement of a proof file. */
int32_t mbi_statement_wrap(mambaint_statement **out, mambaint_context *ctx,
                           const struct mbi_proof_file *file, mambaint_error *err);
/* The file that a statement is saved as: an empty body. */
const struct mbi_proof_file *mbi_statement_file(const mambaint_statement *s);

/* Structure, digests, and of a key the certificate: what `check` asks. */
int32_t mbi_proof_file_check(mambaint_context *ctx, const void *data, size_t n,
                             mambaint_error *err);

#endif

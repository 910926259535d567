/* SPDX-License-Identifier: Apache-2.0 */
/* What proofs, keys and statements of the API share: the models that they speak of. */
#ifndef MBI_API_PROOF_H
#define MBI_API_PROOF_H

#include "api/model.h"
#include "proof/statement.h"
#include "proof/walk.h"
#include "proof/witness.h"
#include <mambaint/proof.h>

/* The sentence of a build without libsodium. */
int32_t mbi_proof_unsupported(mambaint_error *err);

/* ---- models ---- */

/*
 * The models of a proof with all that prover and verifier derive from them. Immutable once it is
 * made, so that threads share it; its address stays what it is.
 */
struct mbi_proof_models {
    mambaint_context *ctx; /* a reference */
    size_t n;
    mambaint_model *model[MBI_PLAN_STAGES]; /* references; NULL: weights are not there */
    struct mbi_graph *own[MBI_PLAN_STAGES]; /* graphs that were made here; NULL: a model's */
    const struct mbi_graph *graph[MBI_PLAN_STAGES];
    struct mbi_statement_models said;
    bool public_weights;
    struct mbi_plan *plan; /* of a run */
    struct mbi_code code;
    unsigned level;                   /* bits of soundness of a run */
    struct mbi_table vector;          /* of all weights, if they are there */
    struct mbi_commitment commitment; /* to it, if they are committed */
    struct mbi_root root;
    struct mbi_table *table; /* by variable of the plan: weights, if they are public */
};

/* From models. Options: weights, zk. Close it after a failure, too, if *m was zero before. */
int32_t mbi_proof_models_open(struct mbi_proof_models *m, mambaint_model *const *model, size_t n,
                              const mambaint_options *options, mambaint_error *err);
/* From what a file says, with committed weights that are not there. */
int32_t mbi_proof_models_rebuild(struct mbi_proof_models *m, mambaint_context *ctx,
                                 const struct mbi_statement_models *said, mambaint_error *err);
void mbi_proof_models_close(struct mbi_proof_models *m);

/* The configuration and the graph of model i of a statement; E_UNSUPPORTED, E_RANGE or E_MISMATCH
 * if this library has no such model. */
int32_t mbi_proof_config(struct mbi_config *c, const struct mbi_statement_models *said, size_t i,
                         mambaint_error *err);
int32_t mbi_proof_graph(struct mbi_graph **out, const struct mbi_host *host,
                        const struct mbi_statement_models *said, size_t i, mambaint_error *err);

/* Are statement, configurations and graphs one? For whoever has no key. */
int32_t mbi_proof_check_statement(const struct mbi_statement *s, const struct mbi_host *host,
                                  mambaint_error *err);

/* ---- proofs ---- */

/* Appends a whole proof file. `plan` and `run`: of a run, or of a certificate. */
int32_t mbi_proof_write(struct mbi_buf *out, const struct mbi_proof_models *m,
                        const struct mbi_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, mambaint_error *err);

/* Is the body a proof of the statement? The models were compared before. Any memory that it takes
 * follows from the plan. */
int32_t mbi_proof_check(const struct mbi_proof_models *m, const struct mbi_plan *plan,
                        const struct mbi_proof_file *file, mambaint_error *err);

/* The plan of the certificate of all weights. */
int32_t mbi_proof_certificate_plan(struct mbi_plan **out, const struct mbi_proof_models *m,
                                   mambaint_error *err);

/* ---- objects ---- */

struct mambaint_key {
    struct mbi_proof_models models;
    struct mbi_buf file; /* as it was loaded; else empty */
};

/* Wraps head and statement of a proof file. */
int32_t mbi_statement_wrap(mambaint_statement **out, mambaint_context *ctx,
                           const struct mbi_proof_file *file, mambaint_error *err);
/* The file that a statement is saved as: an empty body. */
const struct mbi_proof_file *mbi_statement_file(const mambaint_statement *s);

/* Structure, digests, and of a key the certificate: what `check` asks. */
int32_t mbi_proof_file_check(mambaint_context *ctx, const void *data, size_t n,
                             mambaint_error *err);

#endif

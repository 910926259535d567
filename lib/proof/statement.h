/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proof claims, as a structure and as bytes, and the files around it. Reading is total: any
 * bytes give a structure or an error, and no memory is taken. It knows no architecture: whoever
 * does rebuilds the graphs and holds the statement against them.               proof-files.md
 */
#ifndef MBI_PROOF_STATEMENT_H
#define MBI_PROOF_STATEMENT_H

#include "base/blake2b.h"
#include "base/bytes.h"
#include "graph/graph.h"
#include "proof/gadget.h"

#define MBI_STATEMENT_MODELS 16
#define MBI_STATEMENT_NAME 64   /* bytes of an architecture's name */
#define MBI_STATEMENT_VALUES 24 /* of a configuration */
#define MBI_STATEMENT_LANES 4096
/* Steps of what several proofs say together; and what a first step is below. */
#define MBI_STATEMENT_STEPS (1u << 20)
#define MBI_STATEMENT_T0 ((uint64_t)1 << 48)

#define MBI_PROOF_VERSION 1
#define MBI_PROOF_PROFILE 1 /* A: degree 2, at least MBI_PROOF_LEVEL bits */
#define MBI_PROOF_LEVEL 100

enum mbi_proof_type {
    MBI_PROOF_RUN = 1,         /* transcript "wit" */
    MBI_PROOF_CERTIFICATE = 2, /* transcript "cert": the weights lie in their intervals */
    MBI_PROOF_CHAIN = 3        /* none: a statement alone, that of a series of linked models */
};

#define MBI_PROOF_PUBLIC_WEIGHTS 1u /* a flag; else they are committed */
#define MBI_PROOF_ZK 2u             /* a flag: the weights are hidden, as is what is computed */

/* ---- the statement ---- */

struct mbi_statement_model {
    char name[MBI_STATEMENT_NAME + 1]; /* of the architecture */
    uint32_t n_values;
    uint32_t value[MBI_STATEMENT_VALUES]; /* zero behind n_values */
    uint8_t graph[MBI_DIGEST_SIZE];
    bool has_public;                     /* it has parameters that are public in any proof */
    uint8_t parameters[MBI_DIGEST_SIZE]; /* their digest (proof/public.h); else zero */
};

/* How the weights are there for whoever verifies. Public ones are no matter of the models' part. */
enum mbi_statement_mode { MBI_STATEMENT_COMMITTED, MBI_STATEMENT_PUBLIC, MBI_STATEMENT_HIDDEN };

#define MBI_STATEMENT_ROOTS 4096u    /* of a key with hidden weights, a power of two */
#define MBI_STATEMENT_OPENINGS 4096u /* of each of them, a power of two */
#define MBI_STATEMENT_DEGREE 2       /* elements of F of a value: that of the profile */

/* What says that all roots of a key are of the same weights. A value of one root is zero. */
struct mbi_statement_roots {
    uint32_t n;        /* roots; 0: the weights are not hidden */
    uint32_t openings; /* of each */
    uint64_t value[MBI_STATEMENT_DEGREE];
};

/* The part that names the models: a chain in its order, and the digest of all their weights. */
struct mbi_statement_models {
    uint32_t n; /* models */
    struct mbi_statement_model model[MBI_STATEMENT_MODELS];
    uint8_t weights[MBI_DIGEST_SIZE];
    struct mbi_statement_roots roots;
};

static inline bool mbi_statement_is_hidden(const struct mbi_statement_models *m)
{
    return m->roots.n != 0;
}

/* Of a certificate; features in, outputs out; tokens in, the last of which are the answer; what is
 * handed on between models, of which a statement has the root alone. */
enum mbi_statement_kind {
    MBI_STATEMENT_NONE,
    MBI_STATEMENT_CLEAR,
    MBI_STATEMENT_TOKENS,
    MBI_STATEMENT_LINKED = 4 /* 3 is, in files, that of tokens with a boundary */
};

/*
 * Values stay bytes, as they lie in the file: i8, and i32 with the little end first. Of tokens the
 * input is one list of lanes + 1 ids, and n_outputs of them, the last ones, are each the argmax of
 * the step before; the output has no bytes of its own. A part of a run on tokens begins with the
 * memory of a boundary, or hands its own on, or both: then it says the root of it. A part of a
 * chain has the root of what goes in or comes out, or of both, in place of the values. Hidden ones
 * have links in the place of roots.
 */
struct mbi_statement {
    struct mbi_statement_models models;
    uint64_t t0;
    uint32_t lanes;                   /* T; 0 in a certificate */
    uint32_t input_kind, output_kind; /* enum mbi_statement_kind */
    uint32_t n_inputs, n_outputs;     /* values */
    const uint8_t *input, *output;
    /* Roots, or links if it is hidden; NULL: nothing in memory before, any behind; of features:
     * values in clear. */
    const uint8_t *boundary[MBI_SIDES];
};

#define MBI_STATEMENT_LINK (2 * MBI_DIGEST_SIZE + 8 * MBI_STATEMENT_DEGREE) /* bytes of a link */

/* Bytes of what stands for a boundary. */
static inline size_t mbi_statement_boundary_size(const struct mbi_statement_models *m)
{
    return mbi_statement_is_hidden(m) ? MBI_STATEMENT_LINK : MBI_DIGEST_SIZE;
}

void mbi_statement_put_models(struct mbi_buf *out, const struct mbi_statement_models *m);
void mbi_statement_put(struct mbi_buf *out, const struct mbi_statement *s);

/* NULL, or what is wrong, as a part of a sentence. Whether weights are hidden is said before the
 * part. The reader goes on behind it; of a whole statement nothing may be left. Views point into
 * the reader's bytes. */
const char *mbi_statement_get_models(struct mbi_statement_models *m, bool hidden,
                                     struct mbi_reader *r);
const char *mbi_statement_get(struct mbi_statement *s, enum mbi_proof_type type, bool hidden,
                              struct mbi_reader *r);

static inline bool mbi_statement_is_of_tokens(const struct mbi_statement *s)
{
    return s->input_kind == MBI_STATEMENT_TOKENS;
}

/* Output i of a statement. */
static inline int32_t mbi_statement_output(const struct mbi_statement *s, size_t i)
{
    return (int32_t)mbi_load32(s->output + 4 * i);
}

/* Id i of a statement of tokens. */
static inline uint32_t mbi_statement_id(const struct mbi_statement *s, size_t i)
{
    return mbi_load32(s->input + 4 * i);
}

/* Does it speak of these graphs, with as many values as they take and give, each within its
 * interval? `graph` has one for each model of the statement. */
int32_t mbi_statement_check(const struct mbi_statement *s, const struct mbi_graph *const *graph,
                            mambaint_error *err);

/* What names models and weights for people: a hash of the models' part and of the mode. */
void mbi_statement_model_id(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_models *m,
                            bool public_weights);

/* "committed", "public" or "hidden". */
const char *mbi_statement_mode_name(const struct mbi_statement_models *m, bool public_weights);

/* The weights digest of a key whose roots have this tree. */
void mbi_statement_hidden_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_roots *r,
                                 const uint8_t tree[MBI_DIGEST_SIZE]);

/* A hash of all that the models' part says but for the weights. */
void mbi_statement_names_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_statement_models *m);

/* ---- files ---- */

/* A proof; with an empty body it is a saved statement. */
struct mbi_proof_file {
    enum mbi_proof_type type;
    bool public_weights;
    const uint8_t *bound; /* head and statement: what the transcript absorbs */
    size_t bound_size;
    struct mbi_statement statement;
    const uint8_t *body;
    size_t body_size;
};

bool mbi_proof_file_is(const void *data, size_t n); /* do the bytes begin as one? */

/* Structure, digest and statement. E_FORMAT; E_VERSION for another version or profile;
 * E_UNSUPPORTED for what is legal, but not there yet. */
int32_t mbi_proof_file_read(struct mbi_proof_file *out, const void *data, size_t n,
                            mambaint_error *err);

/* Head and statement; then the caller adds the body, if any, and calls the end. `out` holds nothing
 * else before. */
void mbi_proof_file_begin(struct mbi_buf *out, enum mbi_proof_type type, bool public_weights,
                          const struct mbi_statement *s);
void mbi_proof_file_end(struct mbi_buf *out);
/* Version and profile at bytes 4 and 6, and the digest at the end, of any of these files. */
int32_t mbi_proof_file_ends(const uint8_t *data, size_t n, const char *what, mambaint_error *err);

/* The same without the links of a hidden statement, whose places need not be set; and the name of
 * the proof of it whose witness vector has this root (proof.md, Links). */
void mbi_proof_file_bare(struct mbi_buf *out, enum mbi_proof_type type, bool public_weights,
                         const struct mbi_statement *s);
void mbi_proof_file_name(uint8_t out[MBI_DIGEST_SIZE], const void *bare, size_t n,
                         const uint8_t root[MBI_DIGEST_SIZE]);

/* What differs between two models' parts: E_MISMATCH with a sentence that begins with `what`. */
int32_t mbi_statement_same_models(const struct mbi_statement_models *a, bool a_public,
                                  const struct mbi_statement_models *b, bool b_public,
                                  const char *what, mambaint_error *err);
/* The same of whole statements: `got` of a proof, `want` of who asks. */
int32_t mbi_statement_same(const struct mbi_proof_file *got, const struct mbi_proof_file *want,
                           mambaint_error *err);

/* A verifier's key: models with committed weights, the certificate of these, and the bytes of the
 * public parameters of those models that have some, one model behind the other. */
struct mbi_key_file {
    struct mbi_statement_models models;
    struct mbi_proof_file certificate;
    const uint8_t *parameters;
    size_t n_parameters;
};

bool mbi_key_file_is(const void *data, size_t n);
/* Structure and the digests at the ends of both, and that the certificate speaks of the same
 * models. */
int32_t mbi_key_file_read(struct mbi_key_file *out, const void *data, size_t n,
                          mambaint_error *err);
/* `certificate`: the bytes of its file. */
void mbi_key_file_write(struct mbi_buf *out, const struct mbi_statement_models *m,
                        const struct mbi_buf *certificate, const struct mbi_buf *parameters);

/*
 * The head of a prover's key, behind which the codeword and the tree of a commitment lie; of a
 * hidden one first the page of its counter, and a codeword only if it has one root.
 */
struct mbi_prover_key_head {
    struct mbi_statement_models models;
    uint8_t vector[MBI_DIGEST_SIZE]; /* digest of the weights, as if they were public */
    uint32_t log_rows, log_columns, log_length;
    uint32_t rows; /* of the codeword: those in use */
    /* Of hidden weights; else zero. Views of the file's bytes. */
    const uint8_t *seed; /* 32 bytes, which all masks come from */
    const uint8_t *root; /* roots.n of them, 32 bytes each */
    const uint8_t *certificate;
    size_t n_certificate;
    const uint8_t *digest; /* of the head */
    size_t sealed;         /* bytes up to its end */
    size_t size;           /* where the codeword begins, or the counter's page */
};

#define MBI_PROVER_KEY_ALIGN 4096u /* of the codeword and the counter in the file */

/* The counter's page: openings that were taken, and a digest of that and of the head. */
struct mbi_counter {
    uint8_t byte[8 + MBI_DIGEST_SIZE];
};
void mbi_counter_put(struct mbi_counter *c, uint64_t taken, const uint8_t head[MBI_DIGEST_SIZE]);
bool mbi_counter_get(uint64_t *taken, const struct mbi_counter *c,
                     const uint8_t head[MBI_DIGEST_SIZE]); /* false: damaged */

/* Openings that a key has, of which its certificate takes the first. */
static inline uint64_t mbi_statement_openings(const struct mbi_statement_roots *r)
{
    return (uint64_t)r->n * r->openings; /* at most 2^24 */
}

bool mbi_prover_key_is(const void *data, size_t n);
/* Structure and digest of the head; what lies behind it is not looked at. */
int32_t mbi_prover_key_read(struct mbi_prover_key_head *out, const void *data, size_t n,
                            mambaint_error *err);
void mbi_prover_key_write(struct mbi_buf *out, const struct mbi_prover_key_head *head);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol, once for both sides: from the relations of a plan to claims about what is
 * committed. Prover and verifier walk the same way; where one writes a value, the other reads it.
 *                                                                             proof.md, protocol
 */
#ifndef MBI_PROOF_WALK_H
#define MBI_PROOF_WALK_H

#include "proof/commit.h"
#include "proof/link.h"
#include "proof/plan.h"
#include "proof/sumcheck.h"

/* Memory for one walk at a time, whose pages the system has found before. */
struct mbi_walk_room {
    uint8_t *memory; /* NULL: none */
    size_t size;
};

/* What both sides know of a proof. */
struct mbi_proof_job {
    const struct mbi_plan *plan;
    const void *statement; /* bytes that are absorbed first */
    size_t statement_size;
    struct mbi_code code;
    struct mbi_root weights; /* of the vector of weights; of public ones the digest is a hash */
    const struct mbi_table *table; /* by variable: those that are public */
    const uint32_t *token;         /* of a model of tokens: lanes + 1 of them */
    /* Roots of the plan's boundaries; of a hidden one links, and head and statement without them:
     * with its root they make the name of the proof. */
    struct mbi_digest boundary[MBI_SIDES];
    struct mbi_link link[MBI_SIDES];
    const void *bare;
    size_t bare_size;
    bool begun; /* mbi_proof_begin() has been called for it, and more may have been written */
    /* Of the vector of weights, if it has more entries than weights: how many, and log2 of its
     * size. 0: as the plan has it. */
    uint64_t weights_end;
    unsigned weights_bits;
    /* About the weights, besides those that the proof itself makes: opened last. Whoever makes them
     * has absorbed what they are made of, by the statement. */
    const struct mbi_claim *claim;
    size_t n_claims;
    struct mbi_walk_room room; /* that its walk may begin with */
};

/* The root, but for its digest, of a vector of 2^bits entries of which those from `end` on are
 * zero, in a proof with this code: it is not shorter than a row. */
static inline struct mbi_root mbi_walk_root(const struct mbi_code *code, unsigned bits,
                                            uint64_t end)
{
    return (struct mbi_root){
        .log_rows = mbi_code_log_rows(code, bits),
        .rows = mbi_code_rows(code, end),
    };
}

/*
 * <variable, scale (x) factors>: a part of a claim. Each factor is over the bits of one index of
 * the variable, from bit 0 of its own on; a joint one is over all of them. var = MBI_NONE is the
 * witness vector, with one factor.
 */
struct mbi_part {
    uint32_t claim; /* MBI_NONE: gone */
    uint32_t var;
    size_t next; /* of the same variable; SIZE_MAX: none */
    bool joint;
    struct mbi_ext scale;
    /* Of the walk: see mbi_walk_factor(). Those that are not there are NULL. */
    const struct mbi_form_factor *factor[MBI_AXES];
};

/* A table of a sum-check: a view of the letters of a relation, some of which may be summed over
 * before, with weights of their own. The others are fields of the table's index. */
struct mbi_walk_table {
    struct mbi_view view;
    const struct mbi_relation *relation;
    uint32_t summed;                             /* a bit for each letter */
    const struct mbi_form_factor *const *weight; /* by letter: of those */
    uint8_t shift[MBI_LETTERS]; /* of a letter's field; MBI_MAX_BITS: it has none */
};

struct mbi_walk;

/* A term of a claim's value: scale times a pad. */
struct mbi_walk_pad {
    uint32_t claim;
    struct mbi_pad_term term;
};

/* The parts of a variable. */
struct mbi_part_list {
    size_t first, last;
};

/* What the sides do differently. Each keeps its faults. What they say of a hidden proof's values is
 * in w->hidden. */
struct mbi_walk_side {
    /* A value of the prover. */
    struct mbi_ext (*value)(struct mbi_walk *w, const struct mbi_part *part);
    void (*sum)(struct mbi_walk *w, struct mbi_ext *point, struct mbi_ext *value,
                const struct mbi_sum_batch *batch, const struct mbi_walk_table *table);
    void (*lookup)(struct mbi_walk *w, struct mbi_lookup_end *end, const struct mbi_lookup *l);
    void (*open)(struct mbi_walk *w, const struct mbi_opening *o); /* NULL: it ends before */
    /* A claim that nothing is left of, but a value that is not zero. */
    void (*contradiction)(struct mbi_walk *w);
    /* Of a code with further layers it asks for claims at one point: terms need no forms. */
    bool at_point;
};

struct mbi_walk {
    const struct mbi_proof_job *job;
    const struct mbi_plan *plan;
    const struct mbi_host *host;
    const struct mbi_walk_side *side;
    struct mbi_transcript *transcript;
    void *user;
    const uint8_t *digest;              /* of the plan; NULL: nobody has it yet */
    const struct mbi_open_forms *forms; /* for a side that asks for them at one point */
    struct mbi_root witness;            /* the witness vector's */
    struct mbi_part *part;
    struct mbi_part_list *first; /* by variable */
    struct mbi_ext *value;       /* by claim; if it is hidden, the known part */
    size_t n_parts, part_cap, n_claims, claim_cap;
    struct mbi_hidden *hidden; /* of a hidden proof, else NULL */
    struct mbi_walk_pad *pad;
    size_t n_pads, pad_cap;
    size_t opened; /* vectors of openings that are done: the next one's are those behind them */
    struct mbi_walk_block *block; /* memory for points and tables: the last one, and ... */
    uint8_t *room;                /* ... what is left of it */
    size_t n_blocks;
    const struct mbi_form_factor **known; /* of each hash the last factor, ... */
    struct mbi_walk_axes *axes;           /* ... and the last axis of a view */
    struct mbi_walk_known *of_factors;    /* NULL: nothing yet */
    bool failed;                          /* for want of memory, ... */
    const char *fault;                    /* ... or if not NULL for this, as a part of a sentence */
};

/* Memory that a large walk will need, more or less, before it keeps any: the job's, if it has
 * some. */
void MBI_EXT(walk_expect)(struct mbi_walk *w, size_t size);
/* The system finds the pages of some memory, and clears them. */
void MBI_EXT(walk_touch)(uint8_t *memory, size_t size);
/* Protocol, plan and statement, before anything else. */
void MBI_EXT(proof_begin)(struct mbi_transcript *t, const struct mbi_proof_job *job);
/* The rest of what is known, and the former if it was not yet; then comes the root. */
void MBI_EXT(walk_start)(struct mbi_walk *w);
/* Is the proof with this root of its witness vector the one that its links name? */
bool MBI_EXT(proof_is_named)(const struct mbi_proof_job *job, const struct mbi_digest *root);
/* All the rest. False after a failure of the walk itself; the faults of a side are its own. */
bool MBI_EXT(walk)(struct mbi_walk *w);
void MBI_EXT(walk_free)(struct mbi_walk *w);

/* <table of the variable, form> of a part. */
struct mbi_ext MBI_EXT(walk_part_value)(struct mbi_walk *w, const struct mbi_part *part,
                                        const struct mbi_table *table);
/* The same of a public variable. */
struct mbi_ext MBI_EXT(walk_public_value)(struct mbi_walk *w, const struct mbi_part *part);

/* The entries of a factor: out[x], x < 2^bits of its free index. */
void MBI_EXT(walk_expand)(struct mbi_ext *out, const struct mbi_form_factor *f, unsigned bits);

/* How the vectors of a proof are encoded: by the size of its weights alone, so that their root is
 * the same for every proof. False if there is no such code. */
bool MBI_EXT(weight_code)(struct mbi_code *code, unsigned weight_bits);
/* The same, or if the weights are public that of the witness; but of a run on tokens with a
 * boundary, whose root is that of another proof, too, always the same. */
bool MBI_EXT(walk_code)(struct mbi_code *code, const struct mbi_plan *plan);
/* How the vector of a boundary is: as the others, of memory; or, of what models of features hand
 * on, by its own size alone, as the models on both sides have weights of their own. */
bool MBI_EXT(boundary_code)(struct mbi_code *code, const struct mbi_plan *plan, enum mbi_side side,
                            const struct mbi_code *others);

#define MBI_WALK_PARTS ((size_t)1 << 20) /* of all claims; more of them are a fault */

/* What a proof consists of. */
struct mbi_proof_shape {
    size_t batches, rounds; /* of sum-checks */
    size_t sums;            /* most of one */
    size_t claims, terms;   /* of the opening */
    uint64_t bytes;         /* before the opening */
    uint64_t pads;          /* of a hidden one */
    const char *fault;      /* why there is none */
};

/* False if there is none: for a fault, or for want of memory. It takes a walk of its own, which
 * provers make so that they need not begin with what they cannot end. */
bool MBI_EXT(proof_shape)(struct mbi_proof_shape *out, const struct mbi_plan *plan,
                          const struct mbi_host *host);
/* The same without the opening, which has no pads of these: claims and terms are 0. */
bool MBI_EXT(proof_pads)(struct mbi_proof_shape *out, const struct mbi_plan *plan,
                         const struct mbi_host *host);

/* The most that the sums and claims of any walk can be, which no walk is needed for; the other
 * numbers are zero. */
struct mbi_proof_shape MBI_EXT(proof_shape_most)(const struct mbi_plan *plan);
/* Makes a plan one of hidden proofs: its witness vector gets pads, which a walk of its own counts.
 * Both sides do it, behind mbi_plan_create(). E_UNSUPPORTED where the vector is too large, or the
 * walk has no step for something. */
int32_t MBI_EXT(plan_hide)(struct mbi_plan *plan, mambaint_error *err);

/* Bits that the soundness error of a proof stays below 2^- of: the worst step counts. */
unsigned MBI_EXT(proof_level)(const struct mbi_plan *plan, const struct mbi_proof_shape *shape,
                              const struct mbi_code *code);

struct mbi_witness;

/* The commitment to the digits of a witness that is complete; it keeps a view of them. `seed` if
 * the job's code has masks, else NULL. */
int32_t MBI_EXT(proof_commit)(struct mbi_commitment *out, const struct mbi_proof_job *job,
                              const struct mbi_witness *witness, const struct mbi_mask_seed *seed,
                              const struct mbi_host *host, mambaint_error *err);
/* Proves a job. vector: the commitments to the witness, to the weights unless they are public, and
 * to the plan's boundaries, in this order. */
int32_t MBI_EXT(proof_prove)(const struct mbi_proof_job *job, const struct mbi_witness *witness,
                             const struct mbi_commitment *vector, struct mbi_proof_writer *out,
                             const struct mbi_host *host, mambaint_error *err);
/* What a verifier will keep, more or less, where models of so many operations are large; else 0.
 * Whoever has a thread to spare may touch as much beforehand. */
size_t MBI_EXT(verify_room)(size_t operations);
/* False, and a fault of the reader, unless the proof shows the statement of the job. Nothing may
 * follow it. */
bool MBI_EXT(proof_verify)(const struct mbi_proof_job *job, struct mbi_proof_reader *in,
                           const struct mbi_host *host);

#endif

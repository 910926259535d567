/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a proof: its variables, the relations between them, and where the digits of what is
 * committed lie. Both sides make it from the graphs alone, so that nothing of it is read from a
 * proof. It does not depend on a weight, an input or a result.             proof.md, plan
 */
#ifndef MBI_PROOF_PLAN_H
#define MBI_PROOF_PLAN_H

#include "proof/gadget.h"

#define MBI_PLAN_STAGES 16      /* models of a chain */
#define MBI_PLAN_MAX_BITS 27    /* of a vector: what the transforms reach at the lowest rate */
#define MBI_PLAN_MAX_LANES 4096 /* tokens of one proof */

/* Both sides of a relation stay below this, so that it holds in F only if it holds in Z. */
#define MBI_PLAN_BOUND ((int64_t)1 << 62)

enum mbi_var_kind {
    MBI_VAR_PUBLIC,    /* in the statement */
    MBI_VAR_WEIGHT,    /* a parameter of a stage */
    MBI_VAR_COMMITTED, /* by the prover, within a range that is proved */
    MBI_VAR_DERIVED    /* the sum of the terms of a relation */
};

enum mbi_public { MBI_PUBLIC_INPUT, MBI_PUBLIC_OUTPUT, MBI_PUBLIC_END };

/* A table of rows x cols integers. Where it is committed or a weight, its place is an index of
 * row_bits + col_bits bits, the column last. */
struct mbi_var {
    enum mbi_var_kind kind;
    uint32_t rows, cols;
    uint8_t row_bits, col_bits; /* smallest that hold them */
    int64_t lo, hi;             /* whatever the checks admit lies in it */

    enum mbi_public input;          /* PUBLIC: which */
    uint32_t relation;              /* DERIVED: its definition */
    uint32_t first_piece, n_pieces; /* WEIGHT: of the plan's */

    /* COMMITTED: value = lo + sum of 4^k d_k, of which the last is 0 or 1 if `bits` is odd. */
    uint32_t bits;
    bool loose;          /* [lo, lo + 2^bits) may exceed what was asked for */
    uint32_t complement; /* the variable hi - value, if 2^bits exceeds a range that has to be tight;
                            MBI_NONE */
    uint64_t digits;     /* blocks of the first bits / 2 digits in the witness vector ... */
    uint64_t odd;        /* ... and of the last one, in units of the variable's size */
};

/* The sum of terms is a variable, or zero, for all rows and columns. */
struct mbi_relation {
    uint32_t defines; /* a variable, or MBI_NONE: zero */
    uint32_t rows, cols, sum;
    uint32_t first_term, n_terms;
    bool is_product; /* a term has two views */
};

/* What a node of a stage became. */
struct mbi_node_plan {
    uint32_t var;   /* of its value; MBI_NONE: not needed */
    uint32_t first; /* the first variable that its gadget declared */
};

struct mbi_stage_plan {
    const struct mbi_graph *graph;
    struct mbi_node_plan *node; /* by mbi_ref */
    uint32_t first_piece;       /* of its parameters */
};

/*
 * Rows [row, row + 2^log_rows) of a parameter, one of those that its rows are cut into: powers of
 * two, the largest first. They are `block` of the vector of weights, in units of their own size.
 */
struct mbi_piece {
    uint32_t stage, param, row;
    uint8_t log_rows, col_bits;
    uint64_t block;
};

struct mbi_plan {
    const struct mbi_host *host;
    struct mbi_stage_plan stage[MBI_PLAN_STAGES];
    size_t n_stages;
    uint32_t lanes;
    bool public_weights;
    struct mbi_var *var;
    struct mbi_relation *relation;
    struct mbi_term *term;
    struct mbi_piece *piece;
    uint32_t n_pieces;
    unsigned weight_bits; /* of the vector of all weights of all stages */
    uint32_t n_vars, n_relations, n_terms;
    uint32_t var_cap, relation_cap, term_cap;
    uint32_t input, output; /* public variables; MBI_NONE in a certificate */

    /* The witness vector: digits below 4 at [0, fours), below 2 at [twos, end). */
    uint64_t fours, twos, end;
    unsigned bits;  /* 2^bits entries */
    bool no_memory; /* a fault of its own */
    const char *fault;
    uint32_t fault_op;
};

/* What the statement of a proof asks for. */
struct mbi_plan_request {
    const struct mbi_graph *const *graph; /* of the stages */
    size_t n_stages;
    uint32_t lanes;
    bool public_weights;
    bool certificate; /* of all stages: their weights lie in their intervals */
};

/* E_UNSUPPORTED if a stage has an operation that cannot be proved yet. */
int32_t mbi_plan_create(struct mbi_plan **out, const struct mbi_host *host,
                        const struct mbi_plan_request *request, mambaint_error *err);
void mbi_plan_free(struct mbi_plan *plan); /* NULL is fine */

/* What both sides have planned, as 32 bytes: another layout is another proof. */
void mbi_plan_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a proof: its variables, the relations between them, and where the digits of what is
 * committed lie. Both sides make it from the graphs alone, so that nothing of it is read from a
 * proof. It does not depend on a weight, an input or a result.             proof.md, plan
 */
#ifndef MBI_PROOF_PLAN_H
#define MBI_PROOF_PLAN_H

#include "proof/gadget.h"
#include "proof/lookup.h"

#define MBI_PLAN_STAGES 16      /* models of a chain */
#define MBI_PLAN_MAX_BITS 27    /* of a vector: what the transforms reach at the lowest rate */
#define MBI_PLAN_MAX_LANES 4096 /* tokens of one proof */
#define MBI_PLAN_LINK_BITS 16   /* of what is handed on between models */

#define MBI_DIGIT_MIN 2   /* bits of a digit of a small vector, ... */
#define MBI_DIGIT_MAX 16  /* ... and of one that would have more than 2^MBI_DIGITS_BITS of them */
#define MBI_DIGIT_WIDE 18 /* of the only digit of a variable, where there are many of its width */
#define MBI_DIGITS_BITS 16

/* Both sides of a relation stay below this, so that it holds in F only if it holds in Z. */
#define MBI_PLAN_BOUND ((int64_t)1 << 62)

enum mbi_var_kind {
    MBI_VAR_PUBLIC,    /* in the statement */
    MBI_VAR_WEIGHT,    /* a parameter of a stage */
    MBI_VAR_COMMITTED, /* by the prover, within a range that is proved */
    MBI_VAR_DERIVED,   /* the sum of the terms of a relation */
    MBI_VAR_BOUNDARY   /* committed in a vector that another proof reads, too */
};

enum mbi_public {
    MBI_PUBLIC_INPUT,  /* features, or tokens */
    MBI_PUBLIC_OUTPUT, /* logits */
    MBI_PUBLIC_PARAM,  /* a parameter of exponents or scales */
    MBI_PUBLIC_POWER,  /* 2^(top - e) for every e of such a parameter */
    MBI_PUBLIC_LESS,   /* [col < token number from + row] */
    MBI_PUBLIC_END
};

/* A table of n[0] x n[1] x n[2] integers. Where it is committed or a weight, its place is an index
 * of the sum of `bits`, that of the first one first. */
struct mbi_var {
    enum mbi_var_kind kind;
    uint32_t n[MBI_AXES];
    uint8_t log[MBI_AXES]; /* smallest that hold them */
    int64_t lo, hi;        /* whatever the checks admit lies in it */

    enum mbi_public input;          /* PUBLIC: which */
    uint32_t stage, param;          /* PARAM, POWER: of which parameter */
    int32_t from;                   /* POWER: top; LESS: number of the first token */
    uint32_t relation;              /* DERIVED: its definition; BOUNDARY: what ties it */
    uint32_t first_piece, n_pieces; /* WEIGHT: of the plan's */
    enum mbi_side side;             /* BOUNDARY: of which, and ... */
    uint64_t block;                 /* ... where in its vector, in units of the variable's size */

    /* COMMITTED: value = lo + sum of 2^(digit_bits k) d_k, of which the last has the bits that are
     * left. */
    uint32_t bits;
    bool loose;         /* [lo, lo + 2^bits) may exceed what was asked for */
    bool exact;         /* the only digit is counted in [0, hi - lo], which is no power of two */
    uint8_t digit_bits; /* of a whole digit */
    uint8_t triangle;   /* log: entries with columns beyond the row mod 2^log are lo; 0: none are */
    uint32_t complement; /* the variable hi - value, if 2^bits exceeds a range that has to be tight
                            and is not exact; MBI_NONE */
    uint32_t first_box, n_boxes; /* of the plan's: the parts of its table that have digits */
};

/*
 * A part of a committed variable's table: rows [row, row + 2^log_rows), all middle indices, columns
 * [col, col + 2^log_cols). Its digits are blocks of the witness vector, in units of their own size:
 * the whole ones from `digits` on, and the last one, of the bits that are left, at `odd`.
 */
struct mbi_box {
    uint32_t row, col;
    uint8_t log_rows, log_cols, bits; /* log2 of its size */
    uint64_t digits, odd;
};

/* For all values of its letters, the sum of terms is zero; or, summed over the letters that
 * `result` does not have, it is a variable. */
struct mbi_relation {
    uint32_t defines; /* a variable, or MBI_NONE: zero */
    struct mbi_view result;
    uint32_t n_letters, n[MBI_LETTERS]; /* ranges */
    uint8_t small, large;               /* letters with small <= large; equal: no mask */
    uint32_t first_term, n_terms, n_views;
    bool is_product;   /* a term has two views or more, or there is a mask */
    int64_t magnitude; /* that its terms stay below, together */
    uint32_t like;     /* of a zero one with products: the first whose letters have as many bits */
};

static inline bool mbi_is_masked(const struct mbi_relation *r) { return r->small != r->large; }

/* log2 of the size of a variable's block, and of the last two axes. */
static inline unsigned mbi_var_bits(const struct mbi_var *v)
{
    return (unsigned)v->log[0] + v->log[1] + v->log[2];
}

static inline unsigned mbi_row_log(const struct mbi_var *v)
{
    return (unsigned)v->log[1] + v->log[2];
}

/* Columns: middle and last index together; and where an element lies in the variable's block. */
static inline size_t mbi_var_cols(const struct mbi_var *v) { return (size_t)v->n[1] * v->n[2]; }

static inline bool mbi_var_has(const struct mbi_var *v, size_t row, size_t col)
{
    return !v->triangle || col % v->n[2] <= (row & (((size_t)1 << v->triangle) - 1));
}

static inline size_t mbi_var_place(const struct mbi_var *v, size_t row, size_t col)
{
    if (v->n[1] > 1)
        col = (col / v->n[2] << v->log[2]) + col % v->n[2];
    return (row << mbi_row_log(v)) + col;
}

/* Digit k of n: its weight is 2^shift, and it lies in [0, size). */
struct mbi_digit {
    unsigned shift;
    uint32_t size;
};

static inline unsigned mbi_var_digits(const struct mbi_var *v)
{
    return v->bits ? (v->bits + v->digit_bits - 1) / v->digit_bits : 0;
}

static inline struct mbi_digit mbi_var_digit(const struct mbi_var *v, unsigned k)
{
    const unsigned shift = k * v->digit_bits, left = v->bits - shift;

    if (v->exact)
        return (struct mbi_digit){0, (uint32_t)(v->hi - v->lo + 1)};
    return (struct mbi_digit){shift, (uint32_t)1 << (left < v->digit_bits ? left : v->digit_bits)};
}

/* The block of digit k of a box. */
static inline uint64_t mbi_box_digit(const struct mbi_var *v, const struct mbi_box *b, unsigned k)
{
    return k < v->bits / v->digit_bits ? b->digits + k : b->odd;
}

/* Where an element of it lies in its block. */
static inline size_t mbi_box_place(const struct mbi_var *v, const struct mbi_box *b, size_t row,
                                   size_t mid, size_t col)
{
    return (((row - b->row) << v->log[1] | mid) << b->log_cols) + (col - b->col);
}

/* What a node of a stage became. */
struct mbi_node_plan {
    uint32_t var;        /* of its value; MBI_NONE: not needed */
    uint32_t first, end; /* the variables that its gadget declared */
};

struct mbi_stage_plan {
    const struct mbi_graph *graph;
    struct mbi_node_plan *node; /* by mbi_ref */
    uint32_t first_piece;       /* of its parameters */
};

/*
 * Rows [row, row + 2^log_rows) and columns [col, col + 2^col_bits) of a parameter, one of those
 * that its rows, and maybe its columns, are cut into: powers of two, the largest first. They are
 * `block` of the vector of weights, in units of their own size.
 */
struct mbi_piece {
    uint32_t stage, param, row, col;
    uint8_t log_rows, col_bits;
    uint64_t size; /* of the interval of its weights */
    uint64_t block;
};

struct mbi_plan {
    const struct mbi_host *host;
    struct mbi_stage_plan stage[MBI_PLAN_STAGES];
    size_t n_stages;
    uint32_t lanes;
    uint32_t n_outputs; /* of the last lanes: tokens that are claimed */
    bool takes_tokens;  /* else it is of features, or a certificate */
    bool public_weights, certificate;
    bool boundary[MBI_SIDES];
    unsigned boundary_bits[MBI_SIDES]; /* of the vectors of boundaries; of memory the same */
    struct mbi_var *var;
    struct mbi_relation *relation;
    struct mbi_term *term;
    struct mbi_view_block *views; /* of the terms; the last block */
    struct mbi_piece *piece;
    struct mbi_box *box; /* by variable */
    uint32_t n_pieces, n_boxes;
    unsigned weight_bits; /* of the vector of all weights of all stages */
    uint32_t n_vars, n_relations, n_terms;
    uint32_t var_cap, relation_cap, term_cap, box_cap;
    uint32_t input, output; /* public variables; MBI_NONE in a certificate */

    /* The witness vector. Small ones have digits of two bits and less, those below 2^width at
     * [from[width], to[width]), the widest first, which are checked one by one; large ones have
     * wide ones, the narrowest first, and count them. */
    unsigned small_bits; /* log2 of the largest small one */
    bool large;
    uint64_t from[MBI_DIGIT_MIN + 1], to[MBI_DIGIT_MIN + 1];
    struct mbi_lookup lookup;
    uint64_t end;  /* all entries from here on are zero, but pads */
    unsigned bits; /* 2^bits entries */
    /* Of a hidden proof: n_pads elements of E, from pads_at to pads_end, in one block of 2^pad_bits
     * entries; n_pads is 0 of another one. */
    uint64_t pads_at, pads_end, n_pads;
    unsigned pad_bits;
    /* A certificate of many weights: the lookup is in the vector of weights, less the smallest one
     * of each class, with the counts, which are all of the witness vector, behind it. */
    bool direct;
    int32_t weight_lo[MBI_LOOKUP_CLASSES]; /* by class */
    bool no_memory;                        /* a fault of its own */
    const char *fault;
    uint32_t fault_op;
    const void *const *const *param; /* the request's, while the plan is made */
};

/* Of the witness vector: everything from there on is zero. */
static inline uint64_t mbi_witness_end(const struct mbi_plan *p)
{
    return p->n_pads ? p->pads_end : p->end;
}

/* Is there a vector of a boundary? A hidden proof has a link there instead, and none. */
static inline bool mbi_plan_has_boundary(const struct mbi_plan *p, enum mbi_side side)
{
    return p->boundary[side] && !p->n_pads;
}

/* Links of a hidden proof, of which each has one of its first pads. */
static inline size_t mbi_plan_links(const struct mbi_plan *p)
{
    return p->n_pads ? (size_t)p->boundary[MBI_BEFORE] + p->boundary[MBI_BEHIND] : 0;
}

/* Models of features that stand in a chain of proofs, each of models of its own: what one hands on
 * lies in a vector with a code of its own, whatever the weights on both sides are. */
static inline bool mbi_plan_is_linked(const struct mbi_plan *p)
{
    return !p->takes_tokens &&
           (mbi_plan_has_boundary(p, MBI_BEFORE) || mbi_plan_has_boundary(p, MBI_BEHIND));
}

/* What the statement of a proof asks for. */
struct mbi_plan_request {
    const struct mbi_graph *const *graph; /* of the stages */
    size_t n_stages;
    uint32_t lanes;
    bool public_weights;
    bool certificate;   /* of all stages: their weights lie in their intervals */
    uint32_t n_outputs; /* a model of tokens: how many of the last lanes' answers are claimed */
    /* By stage and parameter, those that are public: the plan rests on how large they are, and no
     * more on them. NULL, also of one of them: as large as their types admit. */
    const void *const *const *param;
    /* A model of tokens: the steps begin with the memory of a boundary; they hand theirs on. Then
     * no answer has to be claimed. Boundaries lie between whole chunks of the recurrence. Models of
     * features: these are what another proof's models hand on; so is what comes out. */
    bool boundary[MBI_SIDES];
};

/* E_UNSUPPORTED if a stage has an operation that cannot be proved yet. */
int32_t mbi_plan_create(struct mbi_plan **out, const struct mbi_host *host,
                        const struct mbi_plan_request *request, mambaint_error *err);
void mbi_plan_free(struct mbi_plan *plan); /* NULL is fine */

#define MBI_PLAN_SHARES ((size_t)16)

/* What both sides have planned, as 32 bytes: another layout is another proof. Also in steps: the
 * digests of shares of its variables and relations, in any order, and then the whole. */
void mbi_plan_share(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan, size_t k);
void mbi_plan_join(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan,
                   const uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE]);
void mbi_plan_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan);

#endif

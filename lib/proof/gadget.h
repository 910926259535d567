/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an operation is proved: integer variables that stand beside its values, and relations between
 * them that hold over the integers. A gadget declares both for one node; it is data, and lives with
 * its operation. Who proves and who verifies declares the same.          proof.md, relations
 */
#ifndef MBI_PROOF_GADGET_H
#define MBI_PROOF_GADGET_H

#include "graph/graph.h"

struct mbi_plan;
struct mbi_witness;

/*
 * A view of a variable in a relation: each of its two indices is a letter, the column plus an
 * offset, or (of an index with one value) left out. Outside of the variable a view is zero.
 */
enum mbi_letter {
    MBI_LETTER_ROW, /* of the relation's result: a lane */
    MBI_LETTER_COL, /* of the relation's result: an element */
    MBI_LETTER_SUM, /* summed over in every term that has it */
    MBI_LETTERS,
    MBI_LETTER_NONE = MBI_LETTERS
};

struct mbi_view {
    uint32_t var;
    uint8_t row, col; /* enum mbi_letter */
    int32_t col_from; /* added to the letter of the column */
};

#define MBI_TERM_VIEWS 2

/* c times the product of n views; n = 0 is the constant c. */
struct mbi_term {
    int64_t c;
    uint32_t n;
    struct mbi_view view[MBI_TERM_VIEWS];
};

/* One node under declaration. `out` is the variable of its value: the gadget sets it. */
struct mbi_gadget {
    struct mbi_plan *plan;
    const struct mbi_node *node;
    const struct mbi_type *in_type[MBI_MAX_IN];
    uint32_t in[MBI_MAX_IN]; /* variables */
    bool in_is_param[MBI_MAX_IN];
    uint32_t lanes;
    uint32_t out;
};

/* The integers of one node in a run, and where those of its variables go. */
struct mbi_gadget_fill {
    struct mbi_witness *witness;
    const struct mbi_node *node;
    const struct mbi_type *in_type[MBI_MAX_IN];
    const void *in[MBI_MAX_IN];                   /* as in struct mbi_op_args */
    int64_t in_lo[MBI_MAX_IN], in_hi[MBI_MAX_IN]; /* of the inputs' variables */
    const void *out;
    uint32_t lanes;
    uint32_t first; /* the first variable that the node declared */
};

struct mbi_op_gadget {
    void (*declare)(struct mbi_gadget *g);
    void (*fill)(const struct mbi_gadget_fill *f); /* NULL: no variable but the result */
};

/*
 * A variable of [lanes][cols] integers that the prover commits, each proved to lie in [lo, hi].
 * With `loose` the range may be any that holds [lo, hi] and is cheaper; then nothing may rest on
 * its ends. A mistake in a declaration is kept by the plan, as in mbi_build.
 */
uint32_t mbi_gadget_var(struct mbi_gadget *g, uint32_t cols, int64_t lo, int64_t hi, bool loose);

/* A variable of [lanes][cols] that is the sum of the terms added next, and not committed. */
uint32_t mbi_gadget_define(struct mbi_gadget *g, uint32_t cols);
/* A relation: the sum of the terms added next is zero for every row and column. */
void mbi_gadget_relate(struct mbi_gadget *g, uint32_t cols);
/* The range of MBI_LETTER_SUM in the definition or relation that was begun last. */
void mbi_gadget_sum_to(struct mbi_gadget *g, uint32_t n);
void mbi_gadget_term(struct mbi_gadget *g, struct mbi_term term);

/* Usual terms: c; c v; c v w, element by element. */
void mbi_gadget_constant(struct mbi_gadget *g, int64_t c);
void mbi_gadget_linear(struct mbi_gadget *g, int64_t c, uint32_t var);
void mbi_gadget_product(struct mbi_gadget *g, int64_t c, uint32_t var, uint32_t other);

/* The node cannot be proved; `why` goes on behind "operation ...: ". */
void mbi_gadget_fault(struct mbi_gadget *g, const char *why);

/* Interval of what the proof admits for a variable. */
int64_t mbi_gadget_lo(const struct mbi_gadget *g, uint32_t var);
int64_t mbi_gadget_hi(const struct mbi_gadget *g, uint32_t var);

/* Element (lane, col) of a variable; `col` is any column, one after the other. */
void mbi_gadget_set(const struct mbi_gadget_fill *f, uint32_t var, size_t lane, size_t col,
                    int64_t v);

/* A narrowing shift with its clamp, which several operations end with: y = clamp(rsh(x, shift),
 * lo, hi) for x in [x_lo, x_hi]. */
struct mbi_shift_clamp {
    int64_t x_lo, x_hi;
    int32_t shift;
    int64_t lo, hi;
    uint32_t first; /* to fill: the variable of y */
};

/* Declares it for a variable x; returns the variable of y, behind which lie those that only the
 * relations need. */
uint32_t mbi_gadget_requant(struct mbi_gadget *g, uint32_t x, uint32_t cols,
                            const struct mbi_shift_clamp *q);
/* Fills one element of all of them. */
void mbi_gadget_fill_requant(const struct mbi_gadget_fill *f, const struct mbi_shift_clamp *q,
                             size_t lane, size_t col, int64_t x);

#endif

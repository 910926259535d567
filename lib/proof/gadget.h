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
 * Letters are the indices of a relation, each with a range of its own; the relation holds for all
 * of their values. A definition is summed over those that the defined variable does not have.
 */
#define MBI_LETTERS 6
enum { MBI_LETTER_ROW, MBI_LETTER_COL, MBI_LETTER_SUM }; /* the usual ones: lane, element, inner */

/* A variable is a table of up to three indices, of which the one in the middle is rare. */
#define MBI_AXES 3

enum mbi_axis_kind {
    MBI_AXIS_PLAIN,  /* the index x; a view is zero where it is outside of the variable */
    MBI_AXIS_PREFIX, /* the sum over all indices up to x in x's block of 2^log */
    MBI_AXIS_PICK    /* the index that the public list has for x: the token of a lane */
};

/*
 * How letters lead to one index of a variable: x = from + sum of letter << shift. Several letters,
 * or shifted ones, are fields of bits that do not overlap, nor does `from` then.
 */
#define MBI_FIELDS 3
struct mbi_axis {
    uint8_t kind, log, n_fields;
    struct mbi_field {
        uint8_t letter, shift;
    } field[MBI_FIELDS];
    int32_t from;
};

struct mbi_view {
    uint32_t var;
    struct mbi_axis axis[MBI_AXES];
};

/* A bit for each letter that leads to an index, or to a view. */
static inline uint32_t mbi_axis_letters(const struct mbi_axis *a)
{
    uint32_t letters = 0;

    for (uint32_t f = 0; f < a->n_fields; f++)
        letters |= 1u << a->field[f].letter;
    return letters;
}

static inline uint32_t mbi_view_letters(const struct mbi_view *v)
{
    return mbi_axis_letters(&v->axis[0]) | mbi_axis_letters(&v->axis[1]) |
           mbi_axis_letters(&v->axis[2]);
}

/* The index is the letter, plus a number. */
static inline struct mbi_axis mbi_along(uint8_t letter, int32_t from)
{
    return (struct mbi_axis){MBI_AXIS_PLAIN, 0, 1, {{letter, 0}}, from};
}

/* A fixed index; of an axis of one entry it is 0. */
static inline struct mbi_axis mbi_fixed(int32_t at) { return (struct mbi_axis){.from = at}; }

/* high 2^shift + low, low < 2^shift */
static inline struct mbi_axis mbi_pair(uint8_t high, uint8_t shift, uint8_t low)
{
    return (struct mbi_axis){MBI_AXIS_PLAIN, 0, 2, {{high, shift}, {low, 0}}, 0};
}

/* letter 2^shift + from, from < 2^shift */
static inline struct mbi_axis mbi_every(uint8_t letter, uint8_t shift, int32_t from)
{
    return (struct mbi_axis){MBI_AXIS_PLAIN, 0, 1, {{letter, shift}}, from};
}

/* All indices up to the letter that are in its block of 2^log. */
static inline struct mbi_axis mbi_prefix(uint8_t letter, uint8_t log)
{
    return (struct mbi_axis){MBI_AXIS_PREFIX, log, 1, {{letter, 0}}, 0};
}

/* The token number letter + from of the statement. */
static inline struct mbi_axis mbi_pick(uint8_t letter, int32_t from)
{
    return (struct mbi_axis){MBI_AXIS_PICK, 0, 1, {{letter, 0}}, from};
}

static inline struct mbi_view mbi_view(uint32_t var, struct mbi_axis row, struct mbi_axis mid,
                                       struct mbi_axis col)
{
    return (struct mbi_view){var, {row, mid, col}};
}

/* An element of [lanes][cols] by the usual letters. */
static inline struct mbi_view mbi_element(uint32_t var)
{
    return mbi_view(var, mbi_along(MBI_LETTER_ROW, 0), mbi_fixed(0), mbi_along(MBI_LETTER_COL, 0));
}

#define MBI_TERM_VIEWS 4

/* c times the product of n views, which are the plan's; n = 0 is the constant c. */
struct mbi_term {
    int64_t c;
    uint32_t n;
    const struct mbi_view *view;
};

/* Where a proof of some steps of a long run has a boundary: the memory before its first lane, and
 * that behind its last one. Elsewhere the memory is zero before, and nobody's concern behind. */
enum mbi_side { MBI_BEFORE, MBI_BEHIND, MBI_SIDES };

/* One node under declaration. `out` is the variable of its value: the gadget sets it. */
struct mbi_gadget {
    struct mbi_plan *plan;
    const struct mbi_node *node;
    const struct mbi_type *in_type[MBI_MAX_IN];
    uint32_t in[MBI_MAX_IN]; /* variables */
    bool in_is_param[MBI_MAX_IN];
    struct mbi_type known[MBI_MAX_IN]; /* in_type of those that are public: narrower */
    uint32_t lanes;
    uint32_t n_outputs; /* of the last lanes: whose tokens are claimed */
    bool takes_tokens;
    bool boundary[MBI_SIDES];
    uint32_t out;
};

/* The integers of one node in a run, and where those of its variables go. */
struct mbi_gadget_fill {
    struct mbi_witness *witness;
    const struct mbi_node *node;
    const struct mbi_type *in_type[MBI_MAX_IN];
    const void *in[MBI_MAX_IN]; /* as in struct mbi_op_args */
    uint32_t in_var[MBI_MAX_IN];
    int64_t in_lo[MBI_MAX_IN], in_hi[MBI_MAX_IN]; /* of the inputs' variables */
    const void *out;
    struct mbi_type known[MBI_MAX_IN];
    uint32_t lanes, n_outputs;
    bool boundary[MBI_SIDES];
    uint32_t first; /* the first variable that the node declared, in the order of its calls */
};

struct mbi_op_gadget {
    void (*declare)(struct mbi_gadget *g);
    void (*fill)(const struct mbi_gadget_fill *f); /* NULL: no variable but the result */
};

/*
 * A variable of [lanes][cols] integers that the prover commits, each proved to lie in [lo, hi].
 * With `loose` the upper end may be any that is not below hi and cheaper; then nothing may rest on
 * it. The lower end is lo. One of a single value (lo = hi) costs nothing, so that a gadget may
 * declare the same variables whatever its attributes are. A mistake in a declaration is kept by the
 * plan, as in mbi_build.
 */
uint32_t mbi_gadget_var(struct mbi_gadget *g, uint32_t cols, int64_t lo, int64_t hi, bool loose);

/* The same of [row][mid][col]. */
struct mbi_shape {
    uint32_t n[MBI_AXES];
};
uint32_t mbi_gadget_table(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi,
                          bool loose);

/*
 * Of `n` committed variables from the first one on, which have 2^log columns: nothing reads an
 * entry whose column is beyond the place of its row in a block of 2^log rows. It is lo, and has no
 * digits where that saves some.
 */
void mbi_gadget_triangle(struct mbi_gadget *g, uint32_t first, uint32_t n, uint8_t log);

/*
 * A variable of [lanes][cols], or of any shape, that is the sum of the terms added next, and not
 * committed: one term of two views, or any number of terms of at most one. Its letters are those
 * of the relation; see below. It has to read variables that were declared before.
 */
uint32_t mbi_gadget_define(struct mbi_gadget *g, uint32_t cols);
uint32_t mbi_gadget_define_table(struct mbi_gadget *g, struct mbi_shape shape);
/* A relation: the sum of the terms added next is zero for every row and column. */
void mbi_gadget_relate(struct mbi_gadget *g, uint32_t cols);

/*
 * Of the definition or relation that was begun last, before its terms: other letters than
 * {lanes, cols, 1}, letter k with the range n[k]; the index of the defined variable by letters
 * (whole fields: they have to reach every entry, each once); and the mask small <= large of two
 * letters that must have the same power of two as their range, outside of which nothing is said or
 * summed.
 */
void mbi_gadget_letters(struct mbi_gadget *g, uint32_t n, const uint32_t *range);
void mbi_gadget_result(struct mbi_gadget *g, struct mbi_axis row, struct mbi_axis mid,
                       struct mbi_axis col);
void mbi_gadget_upto(struct mbi_gadget *g, uint8_t small, uint8_t large);

/* c times n views, at most MBI_TERM_VIEWS of them, which are copied. */
void mbi_gadget_term(struct mbi_gadget *g, int64_t c, uint32_t n, const struct mbi_view *view);

/* Usual terms: c; c v; c v w, element by element or of any views. */
void mbi_gadget_constant(struct mbi_gadget *g, int64_t c);
void mbi_gadget_linear(struct mbi_gadget *g, int64_t c, uint32_t var);
void mbi_gadget_product(struct mbi_gadget *g, int64_t c, uint32_t var, uint32_t other);
void mbi_gadget_view(struct mbi_gadget *g, int64_t c, struct mbi_view a);
void mbi_gadget_views(struct mbi_gadget *g, int64_t c, struct mbi_view a, struct mbi_view b);

/* An entry by letters 0 to 2; and input k by the usual letters, where a parameter is a row. */
struct mbi_view mbi_gadget_entry(uint32_t var);
struct mbi_view mbi_gadget_input(const struct mbi_gadget *g, size_t k);

/* The node cannot be proved; `why` goes on behind "operation ...: ". */
void mbi_gadget_fault(struct mbi_gadget *g, const char *why);

/* Interval of what the proof admits for a variable. */
int64_t mbi_gadget_lo(const struct mbi_gadget *g, uint32_t var);
int64_t mbi_gadget_hi(const struct mbi_gadget *g, uint32_t var);

/*
 * What the verifier knows of a node, as variables: 2^(top - e) for every e of input k, a parameter
 * of public exponents; and [col < token number from + row] of [lanes][cols].
 */
uint32_t mbi_gadget_powers(struct mbi_gadget *g, size_t k, int32_t top);
uint32_t mbi_gadget_less(struct mbi_gadget *g, uint32_t cols, int32_t from);

/*
 * A part of the node's memory at a boundary (boundary.c), of the same shape and in the same order
 * on both sides. Before: two variables are declared, that of the boundary and a committed one in
 * [lo, hi] that is equal to it, which is returned; it is filled before the gadget is. Behind: one,
 * that of the boundary, which is equal to what `value` leads to by the letters 0 to 2 of the shape.
 */
uint32_t mbi_gadget_before(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi);
void mbi_gadget_behind(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi,
                       struct mbi_view value);
#define MBI_BEFORE_VARS 2 /* of which the second is the committed one */

/*
 * Filling: element (row, col) of a committed variable, where col runs over middle and last index
 * together. `get` reads what was filled, or inputs by their variable. Derived variables are
 * computed from their definitions behind the gadget's filling, or as soon as it asks for one.
 */
void mbi_gadget_set(const struct mbi_gadget_fill *f, uint32_t var, size_t row, size_t col,
                    int64_t v);
int64_t mbi_gadget_get(const struct mbi_gadget_fill *f, uint32_t var, size_t row, size_t col);
void mbi_gadget_compute(const struct mbi_gadget_fill *f, uint32_t var);
/* A derived variable that the gadget has filled by itself, where that is faster. */
void mbi_gadget_computed(const struct mbi_gadget_fill *f, uint32_t var);

/* A narrowing shift with its clamp, which several operations end with: y = clamp(rsh(x, shift),
 * lo, hi) for x in [x_lo, x_hi]. */
struct mbi_shift_clamp {
    int64_t x_lo, x_hi;
    int32_t shift;
    int64_t lo, hi;
    uint32_t first; /* to fill: the variable of y */
    bool joined;    /* what is cut off is one number, u, and a bit for its side: narrower, but the
                       relation of x gets a product */
};

/* Its variables, of one shape: MBI_NONE where the interval of x needs none. They are numbered from
 * that of y on, in this order. */
struct mbi_shifted {
    uint32_t y, u[2], v[2], side, r;
    unsigned low; /* u and v in two parts: u = u[0] + u[1] 2^low */
};
struct mbi_shifted mbi_gadget_shifted(struct mbi_gadget *g, struct mbi_shape shape,
                                      const struct mbi_shift_clamp *q);
/*
 * x 2^max(0, -shift) + 2^(shift-1) = 2^shift (y + u - v) + r: adds all of it but x to the relation
 * that was begun, whose letters 0 to 2 are the three indices of the shape. The relations that
 * clamp are apart, and begin new ones.
 */
void mbi_gadget_shifted_terms(struct mbi_gadget *g, const struct mbi_shift_clamp *q,
                              const struct mbi_shifted *x);
/* The same where other letters lead to the element: as in the view `at`, whatever its variable. */
void mbi_gadget_shifted_at(struct mbi_gadget *g, const struct mbi_shift_clamp *q,
                           const struct mbi_shifted *x, const struct mbi_view *at);
void mbi_gadget_shifted_ends(struct mbi_gadget *g, struct mbi_shape shape,
                             const struct mbi_shift_clamp *q, const struct mbi_shifted *x);

/* Declares it for a variable x; returns the variable of y, behind which lie those that only the
 * relations need. */
uint32_t mbi_gadget_requant(struct mbi_gadget *g, uint32_t x, uint32_t cols,
                            const struct mbi_shift_clamp *q);
/* Fills one element of all of them. */
void mbi_gadget_fill_requant(const struct mbi_gadget_fill *f, const struct mbi_shift_clamp *q,
                             size_t lane, size_t col, int64_t x);

/*
 * One of shape.n[2] cases for each row and middle index: bits, of which a relation says that one is
 * set. Letters 0 and 1 lead to row and middle index. Then the sum of c[i] times the bit of case i,
 * which is c of the case that is chosen, as terms of what was begun.
 */
uint32_t mbi_gadget_choice(struct mbi_gadget *g, struct mbi_shape shape);
struct mbi_view mbi_gadget_case(uint32_t var, uint32_t i);
void mbi_gadget_chosen(struct mbi_gadget *g, uint32_t var, const int64_t *c, uint32_t cases);

/*
 * 2^-L where few are needed: z = rsh(ex2w(L), down), with L = 2^log_f e + f in units of 2^-log_f
 * (log_f 8 or 16) and e in [0, octaves).                                arithmetic.md, ex2w
 */
struct mbi_gadget_ex2w {
    struct mbi_shape shape; /* [rows][1][cols] */
    uint32_t log_f, octaves, down;
    uint32_t first; /* the first of its variables, which lie one behind the other */
};
#define MBI_EX2W_VARS 16

/* Declares the variables; then, of L = a + b times a variable by letters 0 to 2, what holds. */
void mbi_gadget_ex2w_vars(struct mbi_gadget *g, struct mbi_gadget_ex2w *x);
void mbi_gadget_ex2w_relations(struct mbi_gadget *g, const struct mbi_gadget_ex2w *x, int64_t a,
                               int64_t b, struct mbi_view l);
/* The variable of z. */
static inline uint32_t mbi_gadget_ex2w_result(const struct mbi_gadget_ex2w *x)
{
    return x->first + 14;
}
/* One element of all of them; returns z. */
int64_t mbi_gadget_fill_ex2w(const struct mbi_gadget_fill *f, const struct mbi_gadget_ex2w *x,
                             size_t row, size_t col, uint32_t level);

/*
 * 2^-L where there are very many: m = ex2(L), L = the sum of `plus` less that of `minus` (of no
 * variable: nothing), in Q16. With a mask it is m inside of it, and its variables are triangles.
 *                                                                          arithmetic.md, ex2
 */
struct mbi_gadget_ex2 {
    struct mbi_shape shape;
    uint32_t n_letters, range[MBI_LETTERS];
    uint8_t small, large;         /* the mask small <= large; equal: none */
    struct mbi_axis at[MBI_AXES]; /* an element of m by the letters */
    struct mbi_view plus, minus;  /* what L is made of, by the letters */
    uint32_t first;               /* the first of its variables */
};
#define MBI_EX2_VARS 13

void mbi_gadget_ex2(struct mbi_gadget *g, struct mbi_gadget_ex2 *x);
/* The variable of m. */
static inline uint32_t mbi_gadget_ex2_result(uint32_t first) { return first + 11; }
/* One element of all of them, inside of a mask; returns m. Then, of all of them: they are done. */
int64_t mbi_gadget_fill_ex2(const struct mbi_gadget_fill *f, uint32_t first, size_t row, size_t col,
                            uint32_t level);
void mbi_gadget_ex2_done(const struct mbi_gadget_fill *f, uint32_t first);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear forms: the public weights w of a claim <f, w> = v. A form is a constant times a product of
 * factors, each over its own bits of the index; the prover expands it into a table, the verifier
 * evaluates its multilinear extension without one.                         proof.md, linear forms
 */
#ifndef MBI_PROOF_FORM_H
#define MBI_PROOF_FORM_H

#include "proof/poly.h"

#define MBI_FORM_FACTORS 6
#define MBI_FORM_INDICES 3 /* of a factor */
#define MBI_FORM_RULES 4   /* of a factor, at most three of them other than EQUAL */
#define MBI_FORM_SUMMED UINT8_MAX
#define MBI_FORM_BLOCK_LOG 8 /* what one call expands, on the stack */

enum mbi_form_weight {
    MBI_FORM_ONES,  /* 1 */
    MBI_FORM_EQ,    /* eq(z, index), z of as many coordinates as the index has bits */
    MBI_FORM_POWER, /* z[0]^index */
};

/*
 * An index of a factor: bits `at` .. at + bits of the form's index, counted from the most
 * significant one, or (MBI_FORM_SUMMED) an index over which the factor is summed. Indices of a
 * factor may differ in length: they are compared as integers.
 */
struct mbi_form_index {
    uint8_t bits, at;
    enum mbi_form_weight weight;
    const struct mbi_ext *z;
};

enum mbi_form_order {
    MBI_FORM_BELOW, /* left < n */
    MBI_FORM_LESS,  /* left < right */
    MBI_FORM_UPTO,  /* left <= right */
    MBI_FORM_SUM,   /* left = right + n */
    MBI_FORM_EQUAL, /* left = right */
};

/*
 * A condition on the indices left and right of a factor, of which it sees the bits of weight
 * 2^low .. 2^(high - 1), as integers of high - low bits; high = MBI_MAX_BITS takes all from low on.
 */
struct mbi_form_rule {
    enum mbi_form_order order;
    uint8_t left, right, low, high;
    uint64_t n;
};

static inline bool mbi_form_same_rule(const struct mbi_form_rule *a, const struct mbi_form_rule *b)
{
    return a->order == b->order && a->left == b->left && a->right == b->right && a->low == b->low &&
           a->high == b->high && a->n == b->n;
}

enum mbi_form_kind {
    MBI_FORM_RULED, /* the sum of the products of all weights, where all rules hold */
    MBI_FORM_ROWS,  /* one index: the same times values(index); 0 from the end of the values on */
    MBI_FORM_LIST,  /* index 0 free, index 1 the place in the list: see mbi_form_list() */
};

struct mbi_form_factor {
    enum mbi_form_kind kind;
    uint8_t n_indices, n_rules;
    struct mbi_form_index index[MBI_FORM_INDICES];
    struct mbi_form_rule rule[MBI_FORM_RULES];
    struct mbi_table values; /* ROWS; LIST: data NULL stands for ones */
    const uint32_t *list;    /* LIST: values.n indices */
};

struct mbi_form {
    unsigned bits; /* each of them in exactly one factor */
    struct mbi_ext scale;
    unsigned n_factors;
    struct mbi_form_factor factor[MBI_FORM_FACTORS];
};

/*
 * The usual factors. `at` and `bits` place the free index; `below` is the end of its real range or,
 * where an index i is summed over, of that one's, so that no entry outside ever has a weight.
 */
struct mbi_form_factor MBI_EXT(form_ones)(unsigned at, unsigned bits, uint64_t below);
struct mbi_form_factor MBI_EXT(form_eq)(unsigned at, unsigned bits, uint64_t below,
                                        const struct mbi_ext *z);
/* w(c) = x^c */
struct mbi_form_factor MBI_EXT(form_power)(unsigned at, unsigned bits, uint64_t below,
                                           const struct mbi_ext *x);
/* w(x) = eq(z, x + s) where 0 <= x + s < z_below and x < below; z has z_bits coordinates. */
struct mbi_form_factor MBI_EXT(form_shift)(unsigned at, unsigned bits, uint64_t below,
                                           const struct mbi_ext *z, unsigned z_bits,
                                           uint64_t z_below, int32_t s);
/*
 * In the next three, the first bits - low_bits bits of an index are the number of a block (0 of
 * them: no blocks), low_bits are the place in it; all indices of a factor are in the same block.
 */
/* w(j) = sum over j <= i < below of eq(z, i) */
struct mbi_form_factor MBI_EXT(form_upto)(unsigned at, unsigned bits, unsigned low_bits,
                                          uint64_t below, const struct mbi_ext *z);
/* w(i, j) = eq(z, i) eq(y, j) where j <= i < below, j and y of low_bits: the place alone. y = NULL
 * leaves eq(y, j) out. */
struct mbi_form_factor MBI_EXT(form_triangle)(unsigned at_i, unsigned bits, unsigned at_j,
                                              unsigned low_bits, uint64_t below,
                                              const struct mbi_ext *z, const struct mbi_ext *y);
/* w(m) = sum over j < m <= i < below of eq(z, i) eq(y, j), j and y of low_bits. */
struct mbi_form_factor MBI_EXT(form_band)(unsigned at, unsigned bits, unsigned low_bits,
                                          uint64_t below, const struct mbi_ext *z,
                                          const struct mbi_ext *y);
/* w(i) = eq(z, i) rows(i); z = NULL leaves eq(z, i) out. */
struct mbi_form_factor MBI_EXT(form_rows)(unsigned at, unsigned bits, const struct mbi_table *rows,
                                          const struct mbi_ext *z);
/* w(x) = sum over l < n, list[l] = x < below, of eq(z, l) values(l); values = NULL and z = NULL
 * leave their part out. z has z_bits coordinates, n <= 2^z_bits. */
struct mbi_form_factor MBI_EXT(form_list)(unsigned at, unsigned bits, uint64_t below,
                                          const uint32_t *list, size_t n,
                                          const struct mbi_table *values, const struct mbi_ext *z,
                                          unsigned z_bits);

/* NULL, or what is wrong with a form, as a part of a sentence. The functions below take only forms
 * without a fault. */
const char *MBI_EXT(form_fault)(const struct mbi_form *form);

/* The form's multilinear extension at a point of form->bits coordinates: O(bits) for each factor of
 * rules, O(values) for the others. No allocation. */
struct mbi_ext MBI_EXT(form_at)(const struct mbi_form *form, const struct mbi_ext *point);

/* What factors were at a point. Start it with zeros; the factors stay where they are. */
#define MBI_FORM_KNOWN 512
struct mbi_form_memo {
    struct mbi_form_known {
        const struct mbi_form_factor *factor;
        const struct mbi_ext *point; /* of its form */
        struct mbi_ext value;
    } last[MBI_FORM_KNOWN]; /* of each hash */
};

/* The same of many forms at parts of one point, which mostly have factors that others had. */
struct mbi_ext MBI_EXT(form_at_known)(const struct mbi_form *form, const struct mbi_ext *point,
                                      struct mbi_form_memo *memo);

/* out[k] = w(begin + k) for k < 2^log, log <= MBI_FORM_BLOCK_LOG, begin a multiple of 2^log. */
void MBI_EXT(form_block)(struct mbi_ext *out, const struct mbi_form *form, uint64_t begin,
                         unsigned log);

/* The same of the form with its first `fixed` bits at a point: out[k] = w~(point, begin + k), for
 * begin + 2^log <= 2^(form->bits - fixed). */
void MBI_EXT(form_rest)(struct mbi_ext *out, const struct mbi_form *form,
                        const struct mbi_ext *point, unsigned fixed, uint64_t begin, unsigned log);

#endif

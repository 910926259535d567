/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation is: the facets through which every reader of a graph meets it. Readers go
 * through mbi_op_table and know no operation by name.
 */
#ifndef MBI_GRAPH_OP_H
#define MBI_GRAPH_OP_H

#include "base/error.h"
#include "graph/op_attr.h"
#include "graph/type.h"
#include <stdbool.h>
#include <stddef.h>

/* A library that only verifies proofs has what an operation claims, not what it computes. */
#ifdef MBI_VERIFIER
#define MBI_KERNEL(function) NULL
#define MBI_GRAD(name) NULL
#define MBI_CASES(list) NULL
#else
#define MBI_KERNEL(function) (function)
#define MBI_GRAD(name) (&mbi_grad_##name)
#define MBI_CASES(list) (list)
#endif

#define MBI_MAX_IN 4
#define MBI_MAX_STATE_FIELDS 4

struct mbi_op_grad;   /* train/grad.h */
struct mbi_op_gadget; /* proof/gadget.h */

/* What inference sees: the inputs' types and kinds, attributes; it fills the output's type. */
struct mbi_infer {
    const struct mbi_type *in[MBI_MAX_IN];
    bool in_is_param[MBI_MAX_IN];
    const void *attr;
    struct mbi_type *out;
    mambaint_error *err;
};

/* A part of an operation's memory between tokens. Zero is the start value of every element. */
struct mbi_state_field {
    const char *name;
    uint32_t dtype;
    size_t count;
    int64_t lo, hi;
};

#define MBI_LINE 64 /* bytes of a cache's line */

/*
 * Memory that a later step reads, of many streams: the first `size` bytes at every base, one behind
 * the other, and of these the bytes [begin, end). All are whole lines. Nothing if size is 0.
 */
struct mbi_fetch {
    const char *const *base;
    size_t size, begin, end;
};

/*
 * One evaluation: `lanes` tokens. A stateful operation gets consecutive tokens of one stream from
 * absolute position `pos` and must give the integers that single tokens would give.
 * Work is cut into units() independent parts; eval does the parts [begin, end).
 */
struct mbi_op_args {
    const void *in[MBI_MAX_IN]; /* a value: [lanes][cols]; a parameter: [rows][cols] */
    void *out;                  /* [lanes][cols] */
    bool in_is_param[MBI_MAX_IN];
    const struct mbi_type *in_type[MBI_MAX_IN];
    const struct mbi_type *out_type;
    const void *attr;
    size_t lanes;
    uint64_t pos;
    void *state[MBI_MAX_STATE_FIELDS];
    size_t begin, end;

    /* A backend's own, for its kernels alone; the reference looks at none of them. */
    const void *packed;             /* the matrix in the backend's layout; NULL: only as in[] */
    void *work;                     /* scratch of one evaluation */
    void *copy;                     /* what the backend keeps beside state[], made from it */
    struct mbi_fetch fetch;         /* what a kernel with memory to spare may bring near */
    const struct mbi_op_args *next; /* the node behind this one, where a kernel does several */
};

/* Shapes and attributes that the bit-exactness tests must visit. */
struct mbi_op_case {
    uint32_t cols[MBI_MAX_IN];  /* of each input */
    uint32_t rows[MBI_MAX_IN];  /* 0: a value; else a parameter */
    uint32_t dtype[MBI_MAX_IN]; /* enum mbi_dtype */
    int32_t frac[MBI_MAX_IN];
    int64_t lo[MBI_MAX_IN], hi[MBI_MAX_IN]; /* both 0: the whole type */
    int32_t attr[MBI_MAX_ATTR];
    uint32_t lanes; /* 0: the harness chooses several */
};

struct mbi_op_def {
    size_t n_attr;   /* int32 fields of the attribute structure */
    uint32_t params; /* bit k: input k is a parameter; the others are values */
    uint32_t either; /* bit k: input k may be one or the other */

    /* Check shapes, types and attributes; derive type and interval. An interval that may leave
     * its type, in the result or in any accumulator, is E_RANGE. */
    int32_t (*infer)(struct mbi_infer *q);

    /* Stateful operations only: describe the memory of one stream; returns the number of fields. */
    size_t (*state)(struct mbi_state_field field[MBI_MAX_STATE_FIELDS],
                    const struct mbi_type *const in[MBI_MAX_IN], const void *attr);
    /* Relations inside a loaded state that the bounds of eval rest on (beyond lo and hi);
     * NULL: none. `pos` is the position of the next token. */
    bool (*state_valid)(void *const state[MBI_MAX_STATE_FIELDS], const void *attr, uint64_t pos);
    /* The state is smallest at positions that are a multiple of this power of two; NULL: of 1. */
    uint32_t (*period)(const void *attr);

    size_t (*units)(const struct mbi_op_args *args);
    void (*eval)(const struct mbi_op_args *args);   /* the reference kernel */
    void (*finish)(const struct mbi_op_args *args); /* once after all units; NULL: nothing */

    const struct mbi_op_grad *grad;
    const struct mbi_op_gadget *gadget; /* NULL: it cannot be proved yet */

    const struct mbi_op_case *cases;
    size_t n_cases;
};

struct mbi_op_row {
    const char *name;
    uint8_t n_in;
    const struct mbi_op_def *def;
};

extern const struct mbi_op_row mbi_op_table[]; /* indexed by number; row 0 is empty */
extern const uint32_t mbi_op_count;            /* one past the last number */
extern const char mbi_op_list_text[];          /* numbers and names, to compare builds */

#endif

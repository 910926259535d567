/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bit-identity harness. It knows no operation and no backend by name: operations come from
 * the table with their cases, inputs from the intervals of their types, backends from the list of
 * the build. Everything random follows from one printed seed.
 */
#ifndef MBI_TESTS_BITEXACT_H
#define MBI_TESTS_BITEXACT_H

#include "base/host.h"
#include "base/intmath.h"
#include "cpu/cpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *op;      /* NULL: all */
    const char *backend; /* NULL: all */
    const char *module;  /* a shared object with one more backend, or NULL */
    int64_t only;        /* one case, -1: all */
    uint32_t rounds;     /* repetitions with other seeds and sizes, at least */
    uint64_t count;      /* comparisons of each kind that every operation needs */
    int64_t round;       /* this round alone, -1: all */
    uint32_t graphs;     /* random graphs */
    int64_t kind;        /* of graphs: this one alone, -1: all in turn */
    uint64_t seed;
    const struct mbi_host *host;       /* works alone */
    const struct mbi_host *threaded;   /* two threads */
    const struct mbi_backend *planted; /* the self-test's, in place of those of the build */
    bool quiet;                        /* it expects failures and prints none */
};

/* ---- random numbers and values ---- */

struct source {
    uint64_t seed, count;
};

uint64_t source_u64(struct source *s);
uint64_t source_below(struct source *s, uint64_t n);              /* 0 .. n-1 */
int64_t source_between(struct source *s, int64_t lo, int64_t hi); /* both included */

/* Stops the program when memory is out; zeroed. */
void *need(size_t n, size_t size);

enum fill {
    FILL_LO,
    FILL_HI,
    FILL_ALTERNATING, /* lo, hi, lo ... */
    FILL_ZERO,
    FILL_ONE_HOT,
    FILL_EXTREMES, /* lo or hi by chance */
    FILL_UNIFORM,
    FILL_SPARSE,
    FILL_NEAR,    /* within 2 of lo, 0 or hi */
    FILL_ALIGNED, /* signs follow the first row of a matrix, so that its sum peaks */
    FILL_COUNT
};

const char *fill_name(enum fill f);
int64_t array_get(const void *array, uint32_t dtype, size_t i);

/* rows x t->cols elements; `matrix` (its first row) is what FILL_ALIGNED follows, or NULL. */
void fill_array(void *array, const struct mbi_type *t, size_t rows, enum fill f, struct source *s,
                const void *matrix, const struct mbi_type *matrix_type);

/* Type of input k of a case; the whole type where the case names no interval. */
struct mbi_type case_type(const struct mbi_op_case *c, size_t k);

/* ---- the checks; each returns the number of failures ---- */

struct subject {
    const char *name, *variant; /* of the backend, and which of its tables: "" or as " with VNNI" */
    struct mbi_cpu_kernels kernels;
};

/* Kernel tables of this build that can run here; returns how many. */
#define MAX_SUBJECTS 6
size_t subject_list(struct subject out[MAX_SUBJECTS], const struct options *o);

/* What a kernel gets beside the operation's arguments: made as the driver makes it. */
struct extra {
    void *packed, *work, *copy;
    size_t copy_size;
};

/* Allocates for `lanes` lanes and packs the matrix; the copy is made by extra_copy(). */
void extra_make(struct extra *x, struct mbi_op_args *a, const struct mbi_cpu_kernels *kernels,
                uint32_t op, const struct mbi_host *host);
void extra_free(struct extra *x, const struct mbi_host *host);
/* Parts of a call. */
size_t kernel_units(const struct mbi_cpu_op *kernel, const struct mbi_op_def *def,
                    const struct mbi_op_args *a);

/* Comparisons of one operation's kernel with the reference. */
struct tally {
    uint64_t random, extreme; /* by the inputs */
};

/* Every case of every operation, a kernel table against the reference; adds to tally[op]. */
size_t check_kernels(const struct options *o, const struct subject *subject, struct tally *tally);

#define VOCAB 50 /* of random graphs */

/* Operations joined at random, models, and products with what follows them. */
enum graph_kind { GRAPH_JOINED, GRAPH_MODEL, GRAPH_PRODUCTS, GRAPH_KINDS };

/* NULL with an error if the generator is wrong. */
struct mbi_graph *make_random(const struct options *o, uint32_t number, struct source *s,
                              mambaint_error *err);

/* Not a parameter. */
static inline bool is_value(const struct mbi_graph *g, mbi_ref i)
{
    return g->node[i].op || g->node[i].leaf != MBI_LEAF_PARAM;
}

/* Runs of random graphs: with every value kept and read, and as models are run. */
struct graph_tally {
    uint64_t kept, plain;
    uint64_t node[MBI_OP_END]; /* of each operation, in the graphs of those runs */
};

/* Random graphs through the vtables: every way to run one gives the same values and state. Adds to
 * tally[index of the backend]. */
size_t check_graphs(const struct options *o, struct graph_tally *tally);

/* Planted errors must be found. */
size_t check_self(const struct options *o);

/* Prints the speed of every operation and of products of common sizes. */
void bench(const struct options *o);

#endif

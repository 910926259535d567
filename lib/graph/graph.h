/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step graph: (token, state) -> (logits, new state) for one token, or (features, state) ->
 * (outputs, new state) for one vector of features. An append-only array of nodes in evaluation
 * order; a value is the index of its node. Built through struct mbi_build, which checks shapes and
 * proves intervals node by node.
 */
#ifndef MBI_GRAPH_GRAPH_H
#define MBI_GRAPH_GRAPH_H

#include "base/blake2b.h"
#include "base/bytes.h"
#include "graph/op.h"

typedef uint32_t mbi_ref;
#define MBI_NONE UINT32_MAX
#define MBI_PARAM_NAME 48
#define MBI_ARITHMETIC_VERSION 1 /* raised when an output bit changes */

/* How a parameter's integers come from float masters; read by lib/train and lib/convert alone. */
enum mbi_quant {
    MBI_QUANT_FIXED = 1, /* value * 2^frac */
    MBI_QUANT_ROWS,      /* a power of two per row, stored in `exponent` */
    MBI_QUANT_TERNARY,   /* {-1, 0, 1}, one `scale` = m and `exponent` = s for all: m * 2^-s */
    MBI_QUANT_DERIVED    /* exponents and scales: set together with their weights */
};

enum mbi_init {
    MBI_INIT_ZERO = 1,
    MBI_INIT_CONST,   /* value */
    MBI_INIT_NORMAL,  /* normal with standard deviation value / sqrt(cols), times the band's */
    MBI_INIT_UNIFORM, /* uniform in +-value / sqrt(cols) */
    MBI_INIT_SPECTRUM /* -linspace(0, log2 of the longest half-life, count): log-uniform decays */
};

/* Rows [previous band's end, end) are scaled by scale_q8 / 256 at initialisation. */
struct mbi_band {
    uint32_t end;
    uint32_t scale_q8;
};

#define MBI_MAX_BANDS 6

struct mbi_param {
    char name[MBI_PARAM_NAME]; /* as in the container */
    struct mbi_type type;
    uint8_t is_vector;                   /* stored with one dimension */
    uint8_t quant;                       /* enum mbi_quant */
    uint8_t init;                        /* enum mbi_init */
    uint8_t is_matrix;                   /* weight decay applies */
    int32_t init_q16;                    /* the init's value in Q16 */
    struct mbi_band band[MBI_MAX_BANDS]; /* unused bands have end = 0 */
    uint32_t exponent, scale;            /* indices of the derived parameters, or MBI_NONE */
};

#define MBI_LEAF_TOKEN 1
#define MBI_LEAF_PARAM 2
#define MBI_LEAF_FEATURES 3

struct mbi_node {
    uint32_t op;    /* 0: a leaf */
    uint32_t leaf;  /* MBI_LEAF_... if op is 0 */
    uint32_t param; /* leaf: index of the parameter */
    uint32_t layer; /* for people: MBI_NONE outside the layers */
    mbi_ref in[MBI_MAX_IN];
    int32_t attr[MBI_MAX_ATTR];
    struct mbi_type type;
    const char *label; /* for people; static text */
};

struct mbi_graph {
    const struct mbi_host *host;
    struct mbi_node *node;
    struct mbi_param *param;
    uint32_t n_nodes, n_params;
    uint32_t node_cap, param_cap;
    mbi_ref logits, argmax; /* the outputs */
    mbi_ref link;           /* an output that feeds the next model of a chain; MBI_NONE: none */
    uint8_t digest[MBI_DIGEST_SIZE];
};

/* A graph under construction. The first mistake is kept; later calls return MBI_NONE. */
struct mbi_build {
    struct mbi_graph *graph;
    mambaint_error *err;
    int32_t status;
    uint32_t layer;
};

int32_t mbi_graph_create(struct mbi_graph **out, const struct mbi_host *host, mambaint_error *err);
void mbi_graph_free(struct mbi_graph *g); /* NULL is fine */

void mbi_build_begin(struct mbi_build *b, struct mbi_graph *g, mambaint_error *err);
/* What goes in, node 0 of every graph: a token, or `cols` features in i8. */
mbi_ref mbi_build_token(struct mbi_build *b, uint32_t vocab);
mbi_ref mbi_build_features(struct mbi_build *b, uint32_t cols, int32_t frac);
mbi_ref mbi_build_param(struct mbi_build *b, const struct mbi_param *param);
mbi_ref mbi_build_node(struct mbi_build *b, uint32_t op, const char *label, const mbi_ref *in,
                       const void *attr);
int32_t mbi_build_fail(struct mbi_build *b, int32_t code, const char *what);
/* The value that the next model of a chain takes as its features; before mbi_build_end(). */
int32_t mbi_build_link(struct mbi_build *b, mbi_ref link);
/* Sets the outputs and computes the digest. */
int32_t mbi_build_end(struct mbi_build *b, mbi_ref logits, mbi_ref argmax);

/* Type of a value; a harmless empty type if the build has failed. */
const struct mbi_type *mbi_build_type(const struct mbi_build *b, mbi_ref ref);

/* The bytes that name the computation; their BLAKE2b is graph->digest. */
void mbi_graph_canonical(struct mbi_buf *out, const struct mbi_graph *g);

/* One line a node, for people. */
void mbi_graph_dump(struct mbi_buf *out, const struct mbi_graph *g);

bool mbi_node_is_param(const struct mbi_node *node);

/* Is this value read from outside: the logits, the argmax or the link? */
bool mbi_graph_gives(const struct mbi_graph *g, mbi_ref ref);

/* Does the graph take features, not tokens? */
bool mbi_graph_takes_features(const struct mbi_graph *g);

/* Memory of a stateful node: the number of fields, 0 if it has none. */
size_t mbi_node_state(struct mbi_state_field field[MBI_MAX_STATE_FIELDS], const struct mbi_graph *g,
                      mbi_ref ref);

/* Index of a parameter by name, MBI_NONE if there is none. */
uint32_t mbi_graph_find_param(const struct mbi_graph *g, const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program: a graph made ready to run for a number of lanes. It fixes the order of evaluation,
 * where each value lies in the scratch memory, and the layout of a stream's state. Backends share
 * it, so none of them plans anything.
 *
 * Body and tail: the tail is what no memory depends on (the end of the last layer and the head).
 * In a long run it is evaluated only for the lanes whose outputs are wanted.
 */
#ifndef MBI_EXEC_PROGRAM_H
#define MBI_EXEC_PROGRAM_H

#include "graph/graph.h"

/*
 * Neighbours in the order that a backend may do at once. Until the last of them is written, what
 * any of them reads stays where it is: values live this much longer than their last reader.
 */
#define MBI_FUSE_MAX 10

struct mbi_value_plan {
    size_t offset;   /* in the scratch memory; multiple of 64 */
    size_t row_size; /* bytes of a lane */
    bool in_tail;    /* evaluated for wanted lanes only */
    bool crosses;    /* of the body, read by the tail or an output */
};

/* One field of one node's memory. */
struct mbi_state_part {
    mbi_ref node;
    uint32_t index; /* of the field inside the node */
    struct mbi_state_field field;
    size_t offset; /* in live memory; multiple of 64 */
};

struct mbi_program {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    size_t lanes;     /* most lanes of one run */
    size_t out_lanes; /* most lanes with outputs */
    bool keep;        /* every value stays readable; then out_lanes = lanes */
    mbi_ref *order;   /* operations: the body, then the tail */
    uint32_t n_order, n_body;
    struct mbi_value_plan *value; /* by mbi_ref; parameters have none */
    size_t scratch_size;
    struct mbi_state_part *part;
    uint32_t *first_part; /* by mbi_ref: index of the node's first part, MBI_NONE if it has none */
    size_t n_parts;
    size_t state_size;  /* live memory of a stream, host byte order, fields aligned to 64 */
    size_t packed_size; /* the same without gaps */
};

int32_t mbi_program_create(struct mbi_program **out, const struct mbi_host *host,
                           const struct mbi_graph *graph, size_t lanes, size_t out_lanes, bool keep,
                           mambaint_error *err);
void mbi_program_free(struct mbi_program *p); /* NULL is fine */

/* Live memory to little-endian bytes without gaps (packed_size of them), and back. */
void mbi_state_pack(uint8_t *packed, const struct mbi_program *p, const void *live);
/* Checks every element and relation that the kernels' bounds rest on; E_FORMAT if one fails.
 * `pos` is the position of the next token. `live` is unspecified after a failure. */
int32_t mbi_state_unpack(void *live, const struct mbi_program *p, const uint8_t *packed,
                         uint64_t pos, mambaint_error *err);

#endif

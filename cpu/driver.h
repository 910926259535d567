/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the CPU driver share: weights, memories and images from the inside. */
#ifndef MBI_CPU_DRIVER_H
#define MBI_CPU_DRIVER_H

#include "base/intmath.h"
#include "cpu/cpu.h"

struct mbi_weights {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    const void *const *param;
    uint8_t *packed; /* NULL: the kernels read the caller's arrays */
    size_t *offset;  /* by parameter, into packed; SIZE_MAX: not packed */
};

/* NULL if this parameter is not packed. */
const void *mbi_weights_packed(const struct mbi_weights *w, uint32_t param);

/* A stream's state in the live layout, and behind it the kernels' copies. */
struct mbi_memory {
    const struct mbi_host *host;
    size_t state_size, size;
    char *live;
    bool stale; /* the copies do not follow from the state yet */
};

/* Place of each node's copy in a memory, by mbi_ref; returns the size of the whole. `offset` may be
 * NULL. */
size_t mbi_copy_layout(size_t *offset, const struct mbi_program *program,
                       const struct mbi_cpu_kernels *kernels);

/* Types and attributes of a node, nothing that moves. */
struct mbi_op_args mbi_node_args(const struct mbi_graph *graph, mbi_ref ref);

/* One call of a kernel: a node, or the neighbours of a pattern. */
struct mbi_step {
    const struct mbi_cpu_op *kernel;
    struct mbi_op_args *args; /* of its nodes, chained */
    uint32_t n;
    const mbi_ref *node;
    size_t lane_work;        /* products and bytes that one lane takes, for cutting */
    bool stateful, finishes; /* some node has memory; some has an end of its own */
    size_t (*units)(const struct mbi_op_args *a);

    /* The step behind this one that reads the streams' copies next, if their front is known, and
     * which part of them is fetched during this step: by what the products before it weigh. */
    struct mbi_step *reader;
    size_t fetch_begin, fetch_end, fetch_all;

    /* What the arguments point at now. */
    size_t lane, lanes;
    const char *live;
};

struct mbi_image {
    const struct mbi_program *program;
    const struct mbi_weights *weights;
    struct mbi_cpu_kernels kernels;
    char *scratch;
    void *work;
    struct mbi_step *step; /* in order */
    uint32_t n_steps, n_body;
    struct mbi_op_args *args; /* of all nodes, as in order */
    size_t *copy_offset;
    const char **fetch;          /* of every run: the copy that is read next */
    struct mbi_profile *profile; /* NULL: never asked for */
    bool profiling;
};

#endif

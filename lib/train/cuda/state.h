/* SPDX-License-Identifier: Apache-2.0 */
/* What the training module holds, and the list of what a way back does. */
#ifndef MBI_TRAIN_CUDA_STATE_H
#define MBI_TRAIN_CUDA_STATE_H

#include "train/cuda/clock.h"
#include "train/cuda/fail.h"
#include "train/cuda/gemm.h"
#include "train/cuda/ops.h"
#include "train/cuda/optim.h"

extern "C" {
#include "train/device.h"
}

#define MBI_NO_BUFFER UINT32_MAX

/* A part of the memory for gradients of values and for what is only needed in between. */
struct mbi_buffer {
    size_t size, offset;
    uint32_t first, last; /* actions that use it */
    bool narrow;          /* a gradient in operands, else in floats */
};

enum mbi_action_kind {
    MBI_DO_STORE,   /* chain to dst */
    MBI_DO_COLUMNS, /* sums over lanes to a parameter */
    MBI_DO_GROUPS,  /* sums of neighbours to dst */
    MBI_DO_MATVEC,
    MBI_DO_NORM,
    MBI_DO_CONV,
    MBI_DO_TURN,
    MBI_DO_ROTATE,
    MBI_DO_SCAN,
    MBI_DO_EMBED
};

/* Buffers by number; MBI_NO_BUFFER: none. Parameters are offsets in a block. */
struct mbi_action {
    enum mbi_action_kind kind;
    mbi_ref node;
    struct mbi_chain d; /* gradient of the node's result, with factors as the kind needs */
    uint32_t from[MBI_CHAIN_TERMS]; /* where the terms lie; MBI_NO_BUFFER: the loss */
    uint32_t dst[3], work[2];
    uint32_t group;
    size_t param[MBI_MAX_IN]; /* offset of the gradient of input k; SIZE_MAX: not wanted */
    bool add[MBI_MAX_IN];     /* something was written there before */
};

struct mbi_train_state {
    const struct mbi_host *host;
    const struct mbi_tape_plan *plan;
    const struct mbi_graph *graph;
    const struct mbi_layout *layout;
    const struct mbi_backend *backend;
    uint32_t streams, tokens, lanes, processors;

    /* forward */
    struct mbi_image *image;
    struct mbi_memory **memory, *zero;
    struct mbi_run *run;
    const void **view; /* by value, where the backend keeps it */

    /* on the device */
    cudaStream_t stream;
    struct mbi_gemm *gemm;
    struct mbi_clock *clock; /* NULL: time was never counted */
    bool timed;
    float *block[MBI_TRAIN_BLOCKS];
    uint8_t *decays;
    float *real;                     /* parameters that kernels read as floats */
    mbi_operand *operand;            /* matrices */
    float *unit;                     /* by parameter: of a ternary matrix, else 1 */
    double *sum;                     /* of ternary matrices, while they are quantised */
    float *one;                      /* {0, 1} */
    double *squares, *nats, *result; /* result: loss, norm */
    struct mbi_softmax *softmax;
    char *pool, *batch; /* batch: see struct mbi_batch_layout */
    size_t pool_size;

    /* on the host */
    size_t *real_at, *operand_at; /* by parameter; SIZE_MAX: none */
    char *staging;
    uint32_t *count; /* by id, for sorting */
    struct mbi_action *action;
    struct mbi_buffer *buffer;
    uint32_t n_actions, action_cap, n_buffers, buffer_cap;
};

/* What goes up with a batch, one block: arrays of lanes, `first` of lanes + 1. */
struct mbi_batch_layout {
    size_t id, target, weight, order, first, n_ids, scale, size;
};
struct mbi_batch_layout mbi_batch_layout(uint32_t lanes);

void *mbi_train_alloc(const struct mbi_host *host, size_t n, size_t size); /* zeroed */
void mbi_train_free(const struct mbi_host *host, void *block);

/* The integers of a value or a parameter's node as the backend has them. */
struct mbi_ints mbi_ints_of(const struct mbi_train_state *st, mbi_ref ref);

/* The time since the last call goes to this name; NULL: to none. */
static inline void mbi_train_time(struct mbi_train_state *st, const char *name)
{
    if (st->timed)
        mbi_clock_mark(st->clock, name, st->stream);
}

static inline uint32_t mbi_train_inputs(uint32_t op)
{
    switch (op) {
#define MBI_INPUTS(num, name, n)                                                                   \
    case num:                                                                                      \
        return n;
        MBI_OP_LIST(MBI_INPUTS)
#undef MBI_INPUTS
    default:
        return 0;
    }
}

static inline bool mbi_train_is_param(const struct mbi_node *node)
{
    return !node->op && node->leaf == MBI_LEAF_PARAM;
}

/*
 * Marks which parameters are read as floats or as operands (real_at, operand_at become 0, which
 * whoever allocates them replaces). Then the actions from st->view and these, and the size of the
 * pool; may be done again when views have moved.
 */
void mbi_train_mark_params(struct mbi_train_state *st);
int32_t mbi_train_compile(struct mbi_train_state *st, mambaint_error *err);
/* Pointers into the pool, once it is there. */
void mbi_train_bind(struct mbi_train_state *st);
/* All actions in order. */
int32_t mbi_train_backward(struct mbi_train_state *st, mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tape: a few streams of tokens through the step graph and back. Forward is the integer program
 * of a backend with every value kept, or the float twins; backward walks the nodes in reverse and
 * adds the gradients of the parameters to a block. It knows no operation by name.
 */
#ifndef MBI_TRAIN_TAPE_H
#define MBI_TRAIN_TAPE_H

#include "exec/backend.h"
#include "train/linalg.h"
#include "train/master.h"

enum mbi_tape_mode {
    MBI_TAPE_INTEGERS = 1, /* integer step forward, straight-through backward */
    MBI_TAPE_FLOAT,        /* float twins both ways */
    MBI_TAPE_FLOAT_FORWARD /* float twins, no way back: less memory */
};

/* What tapes of one graph share: immutable while they run, but for the parameters' values. */
struct mbi_tape_plan {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    const struct mbi_layout *layout;
    enum mbi_tape_mode mode;
    size_t streams, lanes;             /* most of one run */
    const struct mbi_backend *backend; /* integers alone, as the next two */
    struct mbi_weights *weights;
    void *zero_state;
    struct mbi_program *program;          /* of the float twins only the order counts */
    struct mbi_linalg linalg;             /* of matrix products */
    const float *real;                    /* block: real values of the parameters */
    void *const *param;                   /* integers */
    bool *wanted;                         /* by value: its gradient leads to a parameter */
    size_t *d_at, *value_at;              /* by value: offset in floats a lane */
    uint32_t *d_first;                    /* by value: step of the order that adds to it first */
    size_t d_cols, value_cols;            /* floats a lane in all */
    size_t in_cols[MBI_MAX_IN], out_cols; /* widest value that backward reads as floats */
};

/* `real` and `param` must outlive the plan; `weights` are those of `param`. */
struct mbi_tape_setup {
    enum mbi_tape_mode mode;
    const struct mbi_layout *layout;
    const float *real;
    void *const *param; /* integers alone, as the next two */
    const struct mbi_backend *backend;
    struct mbi_weights *weights;
    size_t streams, lanes;
    bool elsewhere; /* a module on the backend's device walks; there will be no tape */
};

int32_t mbi_tape_plan_create(struct mbi_tape_plan **out, const struct mbi_tape_setup *setup,
                             mambaint_error *err);
void mbi_tape_plan_free(struct mbi_tape_plan *plan); /* NULL is fine */

struct mbi_tape; /* the memory of one walk: one thread at a time */

int32_t mbi_tape_create(struct mbi_tape **out, const struct mbi_tape_plan *plan,
                        mambaint_error *err);
void mbi_tape_free(struct mbi_tape *tape); /* NULL is fine */

/* streams x tokens ids, each stream from the zero state. `ids` must stay until backward. */
int32_t mbi_tape_forward(struct mbi_tape *tape, const int32_t *ids, size_t streams, size_t tokens,
                         mambaint_error *err);

/*
 * Cross entropy in nats of the last forward's logits: the sum of weight x -log(p of target).
 * Lanes of weight 0 are not looked at. With `scale` > 0 their gradient times `scale` is left for
 * backward.
 */
double mbi_tape_loss(struct mbi_tape *tape, const int32_t *target, const float *weight,
                     float scale);

/* Add the gradients of the last loss to the block. */
int32_t mbi_tape_backward(struct mbi_tape *tape, float *gradient, mambaint_error *err);

/* The logits of the last forward as floats, for tests and for scores: row `lane`. */
void mbi_tape_logits(float *out, const struct mbi_tape *tape, size_t lane);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training on another device: whole steps beside a backend that has its values in memory of its
 * own. Ids, targets and weights go up; loss and norm come down. What a step means is that of the
 * tape, the optimiser and the masters, but for the order and the width of float sums: a run is the
 * same bytes on one kind of device, and close to that of the CPU.
 */
#ifndef MBI_TRAIN_DEVICE_H
#define MBI_TRAIN_DEVICE_H

#include "train/optim.h"
#include "train/tape.h"

#define MBI_TRAIN_ABI 1
#define MBI_TRAIN_SYMBOL "mbi_train_module"

struct mbi_train_state; /* masters, moments, gradients and the values' gradients: one thread */

/* Blocks of floats in the layout of struct mbi_layout. */
enum mbi_train_block {
    MBI_TRAIN_MASTER,
    MBI_TRAIN_MOMENT1,
    MBI_TRAIN_MOMENT2,
    MBI_TRAIN_GRADIENT, /* of the last batch, before clipping: for tests */
    MBI_TRAIN_BLOCKS
};

/* `plan` is one of integers for all streams and lanes of a batch; it must outlive the state. */
struct mbi_train_setup {
    const struct mbi_tape_plan *plan;
    const uint8_t *decays; /* of mbi_decay_marks() */
    size_t tokens;         /* of each of the plan's streams */
};

/* Ids, targets and loss weights of plan->streams x tokens positions; scale as of
 * mbi_tape_loss(). */
struct mbi_train_batch {
    const int32_t *id, *target;
    const float *weight;
    float scale;
    double loss, norm; /* results: the sum of weighted nats; of the whole gradient */
};

struct mbi_train_device {
    uint32_t abi; /* MBI_TRAIN_ABI */
    uint32_t struct_size;
    const char *op_list; /* mbi_op_list_text of its build */
    const char *name;    /* of the backend that it works beside */

    /* Blocks are zero at first. */
    int32_t (*create)(struct mbi_train_state **out, const struct mbi_train_setup *setup,
                      mambaint_error *err);
    void (*free)(struct mbi_train_state *state);

    /* Forward, loss, backward. Masters and integers stay as they are. */
    int32_t (*batch)(struct mbi_train_state *state, struct mbi_train_batch *batch,
                     mambaint_error *err);

    /* The step-th step of the optimiser, counted from 1, with the last batch's gradient. The
     * integers do not follow before quantise(). */
    int32_t (*step)(struct mbi_train_state *state, double norm, uint64_t step,
                    const struct mbi_adam_settings *set, mambaint_error *err);

    /* The integers follow the masters, and the backend's weights the integers. */
    int32_t (*quantise)(struct mbi_train_state *state, mambaint_error *err);

    /* A whole block to the host's memory, and from it (a gradient is only read). */
    int32_t (*read)(struct mbi_train_state *state, enum mbi_train_block block, float *out,
                    mambaint_error *err);
    int32_t (*write)(struct mbi_train_state *state, enum mbi_train_block block, const float *in,
                     mambaint_error *err);

    /* The integer parameters, by index, as mbi_quantise() leaves them. */
    int32_t (*params)(struct mbi_train_state *state, void *const *param, mambaint_error *err);

    /* Count the device's time by kind of work from now on, or stop; it costs a little. Returns the
     * counts so far, which are the state's; NULL if it never counted. */
    const struct mbi_profile *(*profile)(struct mbi_train_state *state, bool on);
};

/*
 * The module that trains beside this backend: the file train-<name>.so in the folder that the
 * backend's own code was loaded from. NULL and OK where the backend's values are the host's memory.
 */
int32_t mbi_train_device_find(const struct mbi_train_device **out,
                              const struct mbi_backend *backend, mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trainer: batches through tapes, gradients into AdamW, masters into integers. Everything it
 * sums has an order that does not depend on threads, and its only memory of the data is the step,
 * so a run is the same bytes for any number of threads and across stop and resume.
 */
#ifndef MBI_TRAIN_TRAINER_H
#define MBI_TRAIN_TRAINER_H

#include "container/container.h"
#include "exec/backend.h"
#include "train/data.h"
#include "train/init.h"

/* All numbers are integers, so that callers need no floats: value * 2^40 is named q40. */
struct mbi_trainer_settings {
    bool integers;           /* the forward pass is the integer step; else the float twins */
    uint32_t batch, context; /* streams and tokens of a step */
    uint64_t steps, warmup;
    uint64_t rate_q40, decay_q40, clip_q40, beta1_q40, beta2_q40;
    struct mbi_init_settings init;
};

struct mbi_train_report {
    uint64_t step;     /* steps made */
    uint64_t tokens;   /* positions seen in all */
    uint64_t counted;  /* of this step: those that counted in the loss */
    uint64_t loss_q20; /* nats a counted token */
    uint64_t rate_q40;
    uint64_t norm_q20; /* of the gradient before clipping */
};

struct mbi_trainer;
struct mbi_train_device; /* train/device.h */

/* `graph` and what `source` points at must outlive the trainer. The backend is ignored by the float
 * twins, but not by mbi_trainer_weights(). */
int32_t mbi_trainer_create(struct mbi_trainer **out, const struct mbi_host *host,
                           const struct mbi_graph *graph, const struct mbi_backend *backend,
                           const struct mbi_batch_source *source,
                           const struct mbi_trainer_settings *set, mambaint_error *err);
/* The same on a given device, not on the one that is found for the backend. NULL: on the host. */
int32_t mbi_trainer_create_on(struct mbi_trainer **out, const struct mbi_host *host,
                              const struct mbi_graph *graph, const struct mbi_backend *backend,
                              const struct mbi_train_device *device,
                              const struct mbi_batch_source *source,
                              const struct mbi_trainer_settings *set, mambaint_error *err);
void mbi_trainer_free(struct mbi_trainer *tr); /* NULL is fine */

/* One step of the optimiser. E_RANGE if loss or gradient are no finite numbers; nothing has changed
 * then. MAMBAINT_END if all steps are made. */
int32_t mbi_trainer_step(struct mbi_trainer *tr, struct mbi_train_report *report,
                         mambaint_error *err);

uint64_t mbi_trainer_steps_made(const struct mbi_trainer *tr);

/* The integer parameters as they are now, by index; of a float run this call quantises them, of a
 * device it fetches them. NULL if that failed. */
const void *const *mbi_trainer_params(struct mbi_trainer *tr, mambaint_error *err);
/* The same on the backend, for scoring. */
struct mbi_weights *mbi_trainer_weights(struct mbi_trainer *tr, mambaint_error *err);

/*
 * Bits of a document under the float twins: ids[0] is fed, each of ids[1..n) predicted; the cost of
 * all of it, rounded to Q16. For validation of float runs.
 */
struct mbi_document {
    const int32_t *ids;
    size_t n;
    int64_t bits_q16; /* the result */
};
int32_t mbi_trainer_score_float(struct mbi_trainer *tr, struct mbi_document *doc, size_t n,
                                mambaint_error *err);

/* The state of a run as tensors and keys; the writer must be saved before the next step. */
int32_t mbi_trainer_write(struct mbi_trainer *tr, struct mbi_container_writer *w,
                          mambaint_error *err);
int32_t mbi_trainer_read(struct mbi_trainer *tr, struct mbi_container *c, mambaint_error *err);

#endif

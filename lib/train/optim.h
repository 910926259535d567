/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW over blocks of floats, with the gradient clipped by its norm. */
#ifndef MBI_TRAIN_OPTIM_H
#define MBI_TRAIN_OPTIM_H

#include "train/master.h"

struct mbi_adam_settings {
    double rate; /* of this step */
    double beta1, beta2;
    double decay; /* on matrices alone */
    double clip;  /* 0: no limit */
};

/* part[0] += part[1] + ... in this order, for every element; returns the norm of the sum. */
double mbi_gradient_sum(const struct mbi_layout *layout, float *const *part, size_t n_parts,
                        double *partial);

/* Number of doubles that `partial` needs. */
size_t mbi_gradient_partials(const struct mbi_layout *layout);

/* One step, the step-th counted from 1. `decays` from mbi_decay_marks(). */
void mbi_adam_step(const struct mbi_layout *layout, float *master, float *moment1, float *moment2,
                   const float *gradient, const uint8_t *decays, double norm, uint64_t step,
                   const struct mbi_adam_settings *set);

/* One byte for each MBI_LAYOUT_STEP floats: 1 where weight decay applies. `out` is zeroed. */
void mbi_decay_marks(uint8_t *out, const struct mbi_layout *layout);

/* Linear from 0 to `rate` over `warmup` steps, then a cosine down to a twentieth at `steps`. */
double mbi_learning_rate(double rate, uint64_t step, uint64_t warmup, uint64_t steps);

#endif

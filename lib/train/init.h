/* SPDX-License-Identifier: Apache-2.0 */
/* The weights a training run starts from, drawn from a counter-based generator. */
#ifndef MBI_TRAIN_INIT_H
#define MBI_TRAIN_INIT_H

#include "train/master.h"

/*
 * How decay rates start. With H heads and a slowest half-life of 2^x tokens, head h gets v_h =
 *   octaves: -x h / (H - 1), so half-lives are log-uniform from 1 token to 2^x;
 *   hippo:   log2(h + 1) - x, the eigenvalues -(h + 1) of HiPPO-LegS as S4D-Real keeps them, with
 *            the step that gives the first head the half-life 2^x: equal distances of decays.
 */
enum mbi_decay_init { MBI_DECAY_OCTAVES = 1, MBI_DECAY_HIPPO };

struct mbi_init_settings {
    uint64_t seed;
    uint32_t longest; /* x = log2 of this, at most what the parameter's init allows */
    enum mbi_decay_init decay;
};

/* Masters of one parameter that is not derived. */
void mbi_init_param(float *master, const struct mbi_host *host, const struct mbi_graph *graph,
                    uint32_t index, const struct mbi_init_settings *set);

/* Masters of all of them: a block. */
void mbi_init_masters(float *master, const struct mbi_layout *layout,
                      const struct mbi_init_settings *set);

/* Integer parameters (mbi_params_create) of a model that was never trained, one at a time, so that
 * no more than the largest one exists in floats. */
int32_t mbi_synth_params(void *const *param, const struct mbi_host *host,
                         const struct mbi_graph *graph, const struct mbi_init_settings *set,
                         mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing tokens on the device: the sampler of lib/sample by one block a stream, which leaves the
 * token where the next step takes it, so that steps follow each other without the host.
 */
#ifndef MBI_CUDA_DRAW_H
#define MBI_CUDA_DRAW_H

#include "cuda/backend.h"

extern "C" {
#include "sample/sampler.h"
}

/* What a kernel finds about one stream. */
struct mbi_cuda_drawing {
    struct mbi_sampler set;
    int32_t *rows, *work; /* the stream's last logits; [vocab] for those with the penalty */
    uint64_t pos;         /* of the token that step 0 feeds */
    uint32_t repeat_last;
    uint32_t stopped; /* a stop was drawn */
    int32_t history[MBI_RECENT_MAX];
};

/* What a batch of steps needs on the device, sent in one piece. */
struct mbi_cuda_batch {
    uint32_t live[MBI_DRAW_STEPS + 1]; /* streams that have drawn no stop before step i */
    int32_t stop[MBI_DRAW_STOPS];
    int32_t next[MBI_DRAW_STREAMS]; /* drawn last */
    int32_t ids[MBI_DRAW_STREAMS * MBI_DRAW_STEPS];
    struct mbi_cuda_drawing drawing[MBI_DRAW_STREAMS];
};

/* One draw of every stream from its row of logits. */
struct mbi_cuda_choice {
    struct mbi_cuda_batch *batch;
    struct mbi_cuda_run *runs; /* positions go on by one */
    const int32_t *logits;     /* [streams][vocab] */
    const int32_t *argmax;     /* [streams]; NULL: not known */
    uint32_t vocab, step, n_steps;
};

#define MBI_ROWS 16 /* at least MBI_ROWS_MIN; the row of position p is p mod them */

struct mbi_rows {
    const struct mbi_host *host;
    int32_t *device; /* MBI_ROWS of them, then one to work in */
    size_t vocab;
};

cudaError_t mbi_cuda_choose(const struct mbi_cuda_choice *c, uint32_t streams, cudaStream_t stream);

/* In pinned memory of the image: what is sent for a batch of steps. */
void mbi_cuda_fill_batch(struct mbi_cuda_batch *to, const struct mbi_draws *draws, bool early);

extern "C" {
int32_t mbi_cuda_rows_new(struct mbi_rows **out, const struct mbi_program *program,
                          mambaint_error *err);
void mbi_cuda_rows_free(struct mbi_rows *rows);
int32_t mbi_cuda_rows_read(int32_t *logits, const struct mbi_rows *rows, uint64_t pos,
                           mambaint_error *err);
}

#endif

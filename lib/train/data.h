/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training data: files become windows of tokens, and a batch is a choice of windows that depends on
 * nothing but seed, step and stream, so that a resumed run needs no other memory than its step.
 */
#ifndef MBI_TRAIN_DATA_H
#define MBI_TRAIN_DATA_H

#include "tokenizer/tokenizer.h"
#include "train/read.h"

#define MBI_WEIGHT_MAX_Q16 ((uint64_t)1000 << 16) /* largest weight of a source */
#define MBI_MAX_SOURCES 16

enum mbi_data_kind { MBI_DATA_TEXT = 1, MBI_DATA_JSONL };

/*
 * One source. Text is a ring: an end-of-text token, a document, an end-of-text token, ...; each
 * token predicts the next one. JSON lines are packed: windows of whole sequences.
 */
struct mbi_source {
    const struct mbi_host *host;
    int32_t *input, *target; /* target and loss: packed alone, NULL for a ring */
    uint8_t *loss;
    size_t n;                        /* tokens */
    size_t n_windows;                /* of one pass */
    size_t *window;                  /* packed: n_windows + 1 borders */
    size_t n_cut;                    /* sequences that were longer than a window */
    uint8_t digest[MBI_DIGEST_SIZE]; /* of all of this */
};

/* `name` is for errors and the log; windows have `context` positions. */
int32_t mbi_source_create(struct mbi_source **out, const struct mbi_host *host,
                          const struct mbi_tokenizer *t, enum mbi_data_kind kind, const char *text,
                          size_t len, const char *name, uint32_t context, mambaint_error *err);
void mbi_source_free(struct mbi_source *s); /* NULL is fine */

/* Sources with weights: a window is of source s with probability weight / sum of weights. */
struct mbi_mix {
    struct mbi_source *source[MBI_MAX_SOURCES]; /* owned */
    uint64_t weight_q16[MBI_MAX_SOURCES];
    size_t n_sources;
    uint64_t seed;
    uint32_t batch, context;
    int32_t eot;
    uint64_t next, drawn[MBI_MAX_SOURCES]; /* windows given so far, counted again after a jump */
};

void mbi_mix_clear(struct mbi_mix *mix); /* frees the sources */

/* The batch of a step: batch x context inputs, targets and loss weights. */
void mbi_mix_fill(struct mbi_mix *mix, uint64_t step, int32_t *input, int32_t *target,
                  float *weight);

/* Where batches come from: batch x context inputs, targets and loss weights of a step (from 0). */
struct mbi_batch_source {
    void (*fill)(void *self, uint64_t step, int32_t *input, int32_t *target, float *weight);
    void *self;
};
struct mbi_batch_source mbi_mix_batches(struct mbi_mix *mix);

/* Where the k-th window of a pass lies in the order of that pass: a permutation of [0, n). */
uint64_t mbi_permute(uint64_t k, uint64_t n, uint64_t seed, uint32_t source, uint64_t pass);

#endif

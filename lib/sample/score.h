/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well a model predicts documents: runs them through a backend, many lanes at once, and adds up
 * what each token costs. Sums are integers, so they do not depend on lanes, order or threads.
 * docs/arithmetic.md, "Evaluation".
 */
#ifndef MBI_SAMPLE_SCORE_H
#define MBI_SAMPLE_SCORE_H

#include "exec/backend.h"
#include <stdatomic.h>

struct mbi_score {
    int64_t bits_q16; /* sum of -log2(probability), Q16 */
    uint64_t tokens;  /* predictions */
};

struct mbi_scorer;

/* Lanes that keep the memory for logits small for this graph's vocabulary. */
size_t mbi_score_lanes(const struct mbi_graph *graph);

/* Weights stay the caller's, may change between finish and the next document, and must outlive the
 * scorer. */
int32_t mbi_scorer_create(struct mbi_scorer **out, const struct mbi_host *host,
                          const struct mbi_backend *backend, const struct mbi_graph *graph,
                          struct mbi_weights *weights, size_t lanes, mambaint_error *err);
void mbi_scorer_free(struct mbi_scorer *sc); /* NULL is fine */

/* While *cancel (which may be NULL) is true, work ends with E_CANCELLED and it becomes false. */
void mbi_scorer_watch(struct mbi_scorer *sc, atomic_bool *cancel);

/*
 * A document of n ids: ids[0], which is end of text, is fed to the zero state; each of ids[1..n) is
 * predicted from those before it. Where the text has a separator, the last id is end of text. Ids
 * are below the vocabulary. Work may be deferred; the ids are copied.
 */
int32_t mbi_scorer_add(struct mbi_scorer *sc, const int32_t *ids, size_t n, mambaint_error *err);

/* The sum since the last finish (or failure), and back to zero. */
int32_t mbi_scorer_finish(struct mbi_score *sum, struct mbi_scorer *sc, mambaint_error *err);

/* All in one for a single document: adds to *sum. */
int32_t mbi_score_ids(struct mbi_score *sum, struct mbi_scorer *sc, const int32_t *ids, size_t n,
                      mambaint_error *err);

#endif

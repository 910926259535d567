/* SPDX-License-Identifier: Apache-2.0 */
/* Scoring documents in batches of lanes. */
#include "sample/score.h"
#include "base/intmath.h"
#include "sample/lg2.h"
#include <string.h>

#define MAX_RUNS 16                     /* documents in one batch */
#define LOGITS_BYTES ((size_t)16 << 20) /* memory for the logits of a batch */

struct mbi_scorer {
    const struct mbi_host *host;
    const struct mbi_backend *backend;
    struct mbi_program *program;
    struct mbi_image *image;
    struct mbi_memory *zero;
    struct mbi_memory *memory[MAX_RUNS]; /* the i-th run of the batch uses the i-th */
    struct mbi_run run[MAX_RUNS];
    size_t n_runs;
    int32_t *id, *target; /* by lane */
    size_t lanes, used, vocab;
    int32_t *copy;         /* logits, where the backend's memory is elsewhere */
    const int32_t *logits; /* of the batch that is being added up */
    int64_t *cost;         /* by lane */
    struct mbi_score sum;
    atomic_bool *cancel;
};

static size_t vocab_of(const struct mbi_graph *graph)
{
    return graph->node[graph->logits].type.cols;
}

size_t mbi_score_lanes(const struct mbi_graph *graph)
{
    const size_t fit = LOGITS_BYTES / (vocab_of(graph) * sizeof(int32_t));

    return (size_t)mbi_clamp_i64((int64_t)fit, 16, 256);
}

static int32_t create_memories(struct mbi_scorer *sc, mambaint_error *err)
{
    int32_t rc = sc->backend->memory_new(&sc->zero, sc->program, err);

    for (size_t i = 0; rc == MAMBAINT_OK && i < MAX_RUNS; i++)
        rc = sc->backend->memory_new(&sc->memory[i], sc->program, err);
    return rc;
}

int32_t mbi_scorer_create(struct mbi_scorer **out, const struct mbi_host *host,
                          const struct mbi_backend *backend, const struct mbi_graph *graph,
                          struct mbi_weights *weights, size_t lanes, mambaint_error *err)
{
    struct mbi_scorer *sc = mbi_alloc(host, 1, sizeof(*sc));
    int32_t rc;

    *out = NULL;
    if (!sc)
        return mbi_fail_memory(err, "scoring");
    sc->host = host;
    sc->backend = backend;
    sc->lanes = lanes;
    sc->vocab = vocab_of(graph);
    sc->id = mbi_alloc(host, lanes, sizeof(*sc->id));
    sc->target = mbi_alloc(host, lanes, sizeof(*sc->target));
    sc->cost = mbi_alloc(host, lanes, sizeof(*sc->cost));
    if (!sc->id || !sc->target || !sc->cost)
        rc = mbi_fail_memory(err, "scoring");
    else if ((rc = mbi_program_create(&sc->program, host, graph, lanes, lanes, false, err)) >= 0 &&
             (rc = backend->image_new(&sc->image, sc->program, weights, err)) >= 0)
        rc = create_memories(sc, err);
    if (rc >= 0 && (!backend->view || !backend->view(sc->image, graph->logits)) &&
        !(sc->copy = mbi_alloc(host, lanes * sc->vocab, sizeof(*sc->copy))))
        rc = mbi_fail_memory(err, "scoring");
    if (rc < 0) {
        mbi_scorer_free(sc);
        return rc;
    }
    *out = sc;
    return MAMBAINT_OK;
}

void mbi_scorer_free(struct mbi_scorer *sc)
{
    if (!sc)
        return;
    sc->backend->memory_free(sc->zero);
    for (size_t i = 0; i < MAX_RUNS; i++)
        sc->backend->memory_free(sc->memory[i]);
    sc->backend->image_free(sc->image);
    mbi_program_free(sc->program);
    mbi_free(sc->host, sc->id);
    mbi_free(sc->host, sc->target);
    mbi_free(sc->host, sc->cost);
    mbi_free(sc->host, sc->copy);
    mbi_free(sc->host, sc);
}

void mbi_scorer_watch(struct mbi_scorer *sc, atomic_bool *cancel) { sc->cancel = cancel; }

static void add_costs(void *arg, size_t begin, size_t end)
{
    struct mbi_scorer *sc = arg;

    for (size_t i = begin; i < end; i++)
        sc->cost[i] = mbi_token_cost(sc->logits + i * sc->vocab, sc->vocab, sc->target[i]);
}

static int32_t run_batch(struct mbi_scorer *sc, mambaint_error *err)
{
    const struct mbi_batch batch = {sc->run, sc->n_runs, true};
    const mbi_ref logits = sc->program->graph->logits;
    int32_t rc;

    if (sc->cancel && atomic_exchange(sc->cancel, false))
        return mbi_fail(err, MAMBAINT_E_CANCELLED, "scoring was cancelled");
    if ((rc = sc->backend->run(sc->image, &batch, err)) < 0)
        return rc;
    sc->logits = sc->copy ? sc->copy : sc->backend->view(sc->image, logits);
    if (sc->copy && (rc = sc->backend->peek(sc->copy, sc->image, logits, 0, sc->used, err)) < 0)
        return rc;
    mbi_parallel_for(sc->host, sc->used, 1, add_costs, sc);
    for (size_t i = 0; i < sc->used; i++)
        sc->sum.bits_q16 += sc->cost[i];
    sc->sum.tokens += sc->used;
    return MAMBAINT_OK;
}

/* A failure drops what was added since the last finish. */
static int32_t flush(struct mbi_scorer *sc, mambaint_error *err)
{
    const int32_t rc = sc->used ? run_batch(sc, err) : MAMBAINT_OK;

    sc->n_runs = sc->used = 0;
    if (rc < 0)
        sc->sum = (struct mbi_score){0, 0};
    return rc;
}

/* A run of n lanes on the next memory of the batch. */
static void add_run(struct mbi_scorer *sc, const int32_t *ids, size_t n, uint64_t pos)
{
    memcpy(sc->id + sc->used, ids, n * sizeof(*ids));
    memcpy(sc->target + sc->used, ids + 1, n * sizeof(*ids));
    sc->run[sc->n_runs] = (struct mbi_run){sc->memory[sc->n_runs], pos, sc->id + sc->used, n};
    sc->n_runs++;
    sc->used += n;
}

int32_t mbi_scorer_add(struct mbi_scorer *sc, const int32_t *ids, size_t n, mambaint_error *err)
{
    size_t done = 0;
    int32_t rc;

    if (n < 2)
        return MAMBAINT_OK;
    if (sc->n_runs == MAX_RUNS && (rc = flush(sc, err)) < 0)
        return rc;
    if ((rc = sc->backend->memory_copy(sc->memory[sc->n_runs], sc->zero, err)) < 0)
        return rc;
    while (done < n - 1) {
        const size_t part = mbi_min_size(n - 1 - done, sc->lanes - sc->used);
        const size_t slot = sc->n_runs;

        add_run(sc, ids + done, part, done);
        done += part;
        if (sc->used < sc->lanes)
            break;
        if ((rc = flush(sc, err)) < 0)
            return rc;
        /* What is left of the document becomes the first run of the next batch. */
        struct mbi_memory *const own = sc->memory[slot];

        sc->memory[slot] = sc->memory[0];
        sc->memory[0] = own;
    }
    return MAMBAINT_OK;
}

int32_t mbi_scorer_finish(struct mbi_score *sum, struct mbi_scorer *sc, mambaint_error *err)
{
    const int32_t rc = flush(sc, err);

    *sum = sc->sum;
    sc->sum = (struct mbi_score){0, 0};
    return rc;
}

int32_t mbi_score_ids(struct mbi_score *sum, struct mbi_scorer *sc, const int32_t *ids, size_t n,
                      mambaint_error *err)
{
    struct mbi_score one = {0, 0};
    int32_t rc = mbi_scorer_add(sc, ids, n, err);

    if (rc == MAMBAINT_OK && (rc = mbi_scorer_finish(&one, sc, err)) == MAMBAINT_OK) {
        sum->bits_q16 += one.bits_q16;
        sum->tokens += one.tokens;
    }
    return rc;
}

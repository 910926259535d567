/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module for test_sessions.c: the scalar backend as a device that draws, as plainly as the
 * contract of struct mbi_backend has it. With MBI_DRAW_FAIL set, a draw fails: one of several steps
 * half-way, with memories left in between.
 */
#include "cpu/cpu.h"
#include "sample/sampler.h"
#include <stdlib.h>
#include <string.h>

MBI_CPU_BACKEND_TABLE(mbi_cpu_kernels_scalar, &mbi_cpu_peaks_scalar)

#define ROWS MBI_ROWS_MIN /* no more than what has to be kept */

struct mbi_rows {
    const struct mbi_program *program;
    int32_t *logits, *work; /* ROWS of them; one */
    uint64_t pos[ROWS];     /* that a row is of */
};

static size_t vocab_of(const struct mbi_program *p)
{
    return p->graph->node[p->graph->logits].type.cols;
}

static void rows_free(struct mbi_rows *rows)
{
    if (!rows)
        return;
    mbi_free(rows->program->host, rows->logits);
    mbi_free(rows->program->host, rows->work);
    mbi_free(rows->program->host, rows);
}

static int32_t rows_new(struct mbi_rows **out, const struct mbi_program *program,
                        mambaint_error *err)
{
    struct mbi_rows *rows = mbi_alloc(program->host, 1, sizeof(*rows));

    *out = NULL;
    if (!rows)
        return mbi_fail_memory(err, "rows");
    rows->program = program;
    rows->logits = mbi_alloc(program->host, ROWS * vocab_of(program), sizeof(*rows->logits));
    rows->work = mbi_alloc(program->host, vocab_of(program), sizeof(*rows->work));
    if (!rows->logits || !rows->work) {
        rows_free(rows);
        return mbi_fail_memory(err, "rows");
    }
    memset(rows->pos, 0xff, sizeof(rows->pos));
    *out = rows;
    return MAMBAINT_OK;
}

static int32_t *row_at(const struct mbi_rows *rows, uint64_t pos)
{
    return rows->logits + (size_t)(pos % ROWS) * vocab_of(rows->program);
}

static int32_t rows_read(int32_t *logits, const struct mbi_rows *rows, uint64_t pos,
                         mambaint_error *err)
{
    if (rows->pos[pos % ROWS] != pos)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "there is no row of this position");
    memcpy(logits, row_at(rows, pos), vocab_of(rows->program) * sizeof(*logits));
    return MAMBAINT_OK;
}

/* ---- drawing ---- */

/* The token behind `pos`, which is of step `step`. */
static int32_t draw_one(const struct mbi_draw *d, const int32_t *drawn, uint64_t pos)
{
    int32_t recent[MBI_RECENT_MAX];
    size_t n = 0;

    for (; n < d->repeat_last && n <= pos; n++) {
        const uint64_t at = pos - n;

        recent[n] = at < d->pos    ? d->history[at % MBI_RECENT_MAX]
                    : at == d->pos ? d->id
                                   : drawn[at - d->pos - 1];
    }
    return mbi_sample(d->sampler, d->rows->work, row_at(d->rows, pos), vocab_of(d->rows->program),
                      recent, n, pos + 1);
}

static int32_t do_step(int32_t *ids, struct mbi_image *image, const struct mbi_draws *draws,
                       size_t step, mambaint_error *err)
{
    struct mbi_run run[MBI_DRAW_STREAMS];
    const struct mbi_batch batch = {run, draws->n_draws, false};
    int32_t rc;

    for (size_t k = 0; k < draws->n_draws; k++) {
        const struct mbi_draw *d = &draws->draw[k];

        run[k] = (struct mbi_run){d->memory, d->pos + step,
                                  step ? &ids[k * draws->n_steps + step - 1] : &d->id, 1};
    }
    rc = mbi_cpu_run(image, &batch, err);
    for (size_t k = 0; rc >= 0 && k < draws->n_draws; k++) {
        const struct mbi_draw *d = &draws->draw[k];
        const uint64_t pos = d->pos + step;
        int32_t *const drawn = ids + k * draws->n_steps;

        d->rows->pos[pos % ROWS] = pos;
        rc = mbi_cpu_peek(row_at(d->rows, pos), image, d->rows->program->graph->logits, k, 1, err);
        drawn[step] = draw_one(d, drawn, pos);
    }
    return rc;
}

static bool all_stopped(const int32_t *ids, const struct mbi_draws *draws, size_t made)
{
    for (size_t k = 0; k < draws->n_draws; k++) {
        bool stopped = false;

        for (size_t i = 0; i < made; i++)
            stopped |= ids[k * draws->n_steps + i] == draws->stop[0] ||
                       ids[k * draws->n_steps + i] == draws->stop[1];
        if (!stopped)
            return false;
    }
    return true;
}

/* It may end at stops, and does at every other place. */
static int32_t draw(int32_t *ids, size_t *made, struct mbi_image *image,
                    const struct mbi_draws *draws, mambaint_error *err)
{
    const size_t fails = getenv("MBI_DRAW_FAIL") ? draws->n_steps / 2 : SIZE_MAX;
    const bool early = draws->draw[0].pos % 2;
    int32_t rc;

    for (*made = 0; *made < draws->n_steps; ++*made) {
        if (*made == fails)
            return mbi_fail(err, MAMBAINT_E_INTERNAL, "a draw fails as it is told");
        if (early && all_stopped(ids, draws, *made))
            break;
        if ((rc = do_step(ids, image, draws, *made, err)) < 0)
            return rc;
    }
    return MAMBAINT_OK;
}

static int32_t probe(void) { return 1; }

static const struct mbi_backend drawing = {
    MBI_CPU_BACKEND_COMMON, .name = "drawing",      .probe = probe, .rows_new = rows_new,
    .rows_free = rows_free, .rows_read = rows_read, .draw = draw,
};

mbi_backend_module_fn mbi_backend_module;

MBI_EXPORT const struct mbi_backend *mbi_backend_module(void) { return &drawing; }

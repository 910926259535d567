/* SPDX-License-Identifier: Apache-2.0 */
/* A run of a model whose values are kept, all of them: what a proof is made from. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* Room for every value; the rows of value 0 are copied in. */
static int32_t make_values(struct mbi_kept_run *run, const mambaint_model *m, const void *in,
                           size_t lanes, mambaint_error *err)
{
    const struct mbi_graph *g = m->model->graph;
    void **value = mbi_alloc(g->host, g->n_nodes, sizeof(*value));

    *run = (struct mbi_kept_run){.graph = g, .value = value};
    run->stage.value = (const void *const *)value;
    for (mbi_ref i = 0; value && i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (mbi_node_is_param(node))
            value[i] = (void *)(uintptr_t)m->model->param[node->param];
        else if (!(value[i] = mbi_alloc(g->host, lanes, mbi_type_row_size(&node->type))))
            return mbi_fail_memory(err, "the values of a proof");
    }
    if (!value)
        return mbi_fail_memory(err, "the values of a proof");
    memcpy(value[0], in, lanes * mbi_type_row_size(&g->node[0].type));
    return MAMBAINT_OK;
}

static void *row(const struct mbi_kept_run *run, mbi_ref i, size_t lane)
{
    return (char *)run->value[i] + lane * mbi_type_row_size(&run->graph->node[i].type);
}

/* Steps [at, at + n) of those from pos on, and what they computed. */
static int32_t run_part(const struct mbi_kept_run *run, struct mbi_stage *stage, uint64_t pos,
                        size_t at, size_t n, mambaint_error *err)
{
    int32_t rc = mbi_stage_run(stage, row(run, 0, at), pos + at, n, err);

    for (mbi_ref i = 0; i < run->graph->n_nodes && rc >= 0; i++)
        if (run->graph->node[i].op)
            rc = stage->backend->peek(row(run, i, at), stage->image, i, 0, n, err);
    return rc;
}

/* Room is there, also of a run that failed before. */
static int32_t run_parts(const struct mbi_kept_run *run, struct mbi_stage *stage, uint64_t pos,
                         size_t lanes, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t at = 0, n; at < lanes && rc >= 0; at += n) {
        n = mbi_min_size(lanes - at, MBI_KEPT_AT_ONCE);
        rc = run_part(run, stage, pos, at, n, err);
        mbi_progress(run->graph->host, "run", at + n, lanes);
    }
    return rc;
}

int32_t mbi_kept_run_part(struct mbi_kept_run *run, const mambaint_model *m, const void *in,
                          uint64_t pos, size_t lanes, struct mbi_stage *stage, mambaint_error *err)
{
    const int32_t rc = make_values(run, m, in, lanes, err);

    return rc < 0 ? rc : run_parts(run, stage, pos, lanes, err);
}

int32_t mbi_kept_run_make(struct mbi_kept_run *run, const mambaint_model *m, const void *in,
                          size_t lanes, const struct mbi_backend *backend, mambaint_error *err)
{
    struct mbi_stage stage;
    int32_t rc = make_values(run, m, in, lanes, err);

    if (rc < 0)
        return rc;
    rc = mbi_stage_open(&stage, m, backend, mbi_min_size(lanes, MBI_KEPT_AT_ONCE), true, err);
    if (rc >= 0)
        rc = run_parts(run, &stage, 0, lanes, err);
    mbi_stage_close(&stage);
    return rc;
}

void mbi_kept_run_close(struct mbi_kept_run *run)
{
    const struct mbi_graph *g = run->graph;

    for (mbi_ref i = 0; run->value && i < g->n_nodes; i++)
        if (!mbi_node_is_param(&g->node[i]))
            mbi_free(g->host, run->value[i]);
    if (run->value)
        mbi_free(g->host, run->value);
    *run = (struct mbi_kept_run){.graph = NULL};
}
#endif

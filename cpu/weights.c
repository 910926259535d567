/* SPDX-License-Identifier: Apache-2.0 */
/* A graph's parameters as the kernels read them: the caller's arrays, and the matrices packed. */
#include "cpu/driver.h"
#include "cpu/pack.h"

/* Every matrix that some matvec multiplies with gets a place. */
static int32_t plan(struct mbi_weights *w, mambaint_error *err)
{
    const struct mbi_graph *g = w->graph;
    bool *matrix = mbi_alloc(w->host, (size_t)g->n_params + 1, sizeof(*matrix));
    size_t size = 0;
    bool fits = matrix != NULL;

    for (mbi_ref i = 0; fits && i < g->n_nodes; i++)
        if (g->node[i].op == MBI_OP_matvec)
            matrix[g->node[g->node[i].in[1]].param] = true;
    for (uint32_t i = 0; fits && i < g->n_params; i++)
        if (matrix[i]) {
            w->offset[i] = size;
            fits = mbi_add_size(&size, size, mbi_packed_size(&g->param[i].type));
        }
    mbi_free(w->host, matrix);
    if (!fits || !(w->packed = mbi_alloc_huge(w->host, size + 1)))
        return mbi_fail_memory(err, "the packed weights");
    return MAMBAINT_OK;
}

int32_t mbi_cpu_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                            const struct mbi_graph *graph, const void *const *param,
                            const struct mbi_cpu_kernels *kernels, mambaint_error *err)
{
    struct mbi_weights *w = mbi_alloc(host, 1, sizeof(*w));
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    if (!w)
        return mbi_fail_memory(err, "weights");
    *w = (struct mbi_weights){.host = host, .graph = graph, .param = param};
    if (kernels->packs) {
        w->offset = mbi_alloc(host, (size_t)graph->n_params + 1, sizeof(*w->offset));
        for (uint32_t i = 0; w->offset && i < graph->n_params; i++)
            w->offset[i] = SIZE_MAX;
        rc = w->offset ? plan(w, err) : mbi_fail_memory(err, "weights");
        if (rc >= 0)
            rc = mbi_cpu_weights_update(w, err);
    }
    if (rc < 0) {
        mbi_cpu_weights_free(w);
        return rc;
    }
    *out = w;
    return MAMBAINT_OK;
}

int32_t mbi_cpu_weights_update(struct mbi_weights *w, mambaint_error *err)
{
    (void)err;
    for (uint32_t i = 0; w->packed && i < w->graph->n_params; i++)
        if (w->offset[i] != SIZE_MAX)
            mbi_pack(w->packed + w->offset[i], &w->graph->param[i].type, w->param[i], w->host);
    return MAMBAINT_OK;
}

void mbi_cpu_weights_free(struct mbi_weights *w)
{
    if (!w)
        return;
    mbi_free_aligned(w->host, w->packed);
    mbi_free(w->host, w->offset);
    mbi_free(w->host, w);
}

const void *mbi_weights_packed(const struct mbi_weights *w, uint32_t param)
{
    return w->packed && w->offset[param] != SIZE_MAX ? w->packed + w->offset[param] : NULL;
}

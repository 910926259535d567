/* SPDX-License-Identifier: Apache-2.0 */
/* A graph's parameters on the device: matrices packed, everything else as it is. */
#include "cuda/backend.h"

static size_t raw_size(const struct mbi_weights *w, uint32_t i)
{
    const struct mbi_type *t = &w->graph->param[i].type;

    return mbi_cuda_row_size(t) * t->rows;
}

struct mbi_cuda_matrix mbi_cuda_matrix_of(const struct mbi_weights *w, uint32_t param)
{
    const struct mbi_type *t = &w->graph->param[param].type;

    return {w->packed[param], t->dtype, t->rows, t->cols};
}

/* Which parameters some product packs, and which some node reads as they are. */
static void find_readers(const struct mbi_weights *w, bool *packed)
{
    const struct mbi_graph *g = w->graph;

    for (mbi_ref i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; g->node[i].op && k < mbi_cuda_inputs(g->node[i].op); k++) {
            const struct mbi_node *in = &g->node[g->node[i].in[k]];

            if (mbi_cuda_is_param(in))
                *(g->node[i].op == MBI_OP_matvec ? &packed[in->param] : &w->wants_raw[in->param]) =
                    true;
        }
}

static int32_t make_arrays(struct mbi_weights *w, const bool *packed, mambaint_error *err)
{
    cudaError_t e = cudaSuccess;

    for (uint32_t i = 0; i < w->graph->n_params && e == cudaSuccess; i++) {
        const struct mbi_type *t = &w->graph->param[i].type;

        if (w->wants_raw[i])
            e = cudaMalloc((void **)&w->raw[i], raw_size(w, i) + 16);
        if (e == cudaSuccess && packed[i])
            e = cudaMalloc((void **)&w->packed[i],
                           mbi_cuda_packed_size(t->dtype, t->rows, t->cols));
    }
    return mbi_cuda_check(e, err, "room for the weights");
}

static int32_t pack(struct mbi_weights *w, uint32_t i, const void *raw, mambaint_error *err)
{
    const struct mbi_type *t = &w->graph->param[i].type;

    return mbi_cuda_check(mbi_cuda_pack(w->packed[i], raw, t->dtype, t->rows, t->cols, MBI_STREAM),
                          err, "packing the weights");
}

/* What is only packed passes through a buffer. */
static int32_t upload(struct mbi_weights *w, mambaint_error *err)
{
    size_t most = 16;
    char *buffer = NULL;
    int32_t rc;

    for (uint32_t i = 0; i < w->graph->n_params; i++)
        if (w->packed[i] && !w->raw[i])
            most = mbi_max_size(most, raw_size(w, i));
    rc = mbi_cuda_check(cudaMalloc((void **)&buffer, most), err, "room for the weights");
    for (uint32_t i = 0; i < w->graph->n_params && rc >= 0; i++) {
        char *const to = w->raw[i] ? w->raw[i] : buffer;

        if (!w->raw[i] && !w->packed[i])
            continue;
        rc = mbi_cuda_check(
            cudaMemcpyAsync(to, w->param[i], raw_size(w, i), cudaMemcpyHostToDevice, MBI_STREAM),
            err, "sending the weights");
        if (rc >= 0 && w->packed[i])
            rc = pack(w, i, to, err);
    }
    if (rc >= 0)
        rc = mbi_cuda_check(cudaStreamSynchronize(MBI_STREAM), err, "sending the weights");
    cudaFree(buffer);
    return rc;
}

extern "C" void mbi_cuda_weights_free(struct mbi_weights *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->graph->n_params; i++) {
        if (w->raw)
            cudaFree(w->raw[i]);
        if (w->packed)
            cudaFree(w->packed[i]);
    }
    mbi_cuda_free(w->host, w->raw);
    mbi_cuda_free(w->host, w->packed);
    mbi_cuda_free(w->host, w->wants_raw);
    mbi_cuda_free(w->host, w);
}

extern "C" int32_t mbi_cuda_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                                        const struct mbi_graph *graph, const void *const *param,
                                        mambaint_error *err)
{
    const size_t n = (size_t)graph->n_params + 1;
    struct mbi_weights *w = (struct mbi_weights *)mbi_cuda_alloc(host, 1, sizeof(*w));
    bool *packed = (bool *)mbi_cuda_alloc(host, n, sizeof(*packed));
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    if (w) {
        w->host = host;
        w->graph = graph;
        w->param = param;
        w->raw = (char **)mbi_cuda_alloc(host, n, sizeof(*w->raw));
        w->packed = (uint8_t **)mbi_cuda_alloc(host, n, sizeof(*w->packed));
        w->wants_raw = (bool *)mbi_cuda_alloc(host, n, sizeof(*w->wants_raw));
    }
    if (!w || !packed || !w->raw || !w->packed || !w->wants_raw) {
        rc = mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for weights");
    } else {
        find_readers(w, packed);
        if ((rc = make_arrays(w, packed, err)) >= 0)
            rc = upload(w, err);
    }
    mbi_cuda_free(host, packed);
    if (rc < 0) {
        mbi_cuda_weights_free(w);
        return rc;
    }
    *out = w;
    return MAMBAINT_OK;
}

extern "C" int32_t mbi_cuda_weights_update(struct mbi_weights *w, mambaint_error *err)
{
    return upload(w, err);
}

/* A trainer's integers: made when it first asks. */
extern "C" void *mbi_cuda_device_param(struct mbi_weights *w, uint32_t param)
{
    if (!w->raw[param] && cudaMalloc((void **)&w->raw[param], raw_size(w, param) + 16))
        w->raw[param] = NULL;
    if (!w->raw[param])
        cudaGetLastError(); /* the caller sees that there is none */
    return w->raw[param];
}

extern "C" int32_t mbi_cuda_device_changed(struct mbi_weights *w, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (uint32_t i = 0; i < w->graph->n_params && rc >= 0; i++)
        if (w->packed[i] && w->raw[i])
            rc = pack(w, i, w->raw[i], err);
    return rc < 0 ? rc
                  : mbi_cuda_check(cudaStreamSynchronize(MBI_STREAM), err, "packing the weights");
}

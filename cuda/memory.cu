/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a stream on the device. Its layout there serves kernels: rings by position, the
 * rounded copy of h. The live layout of the program is made of it when somebody asks, on the host.
 */
#include "cuda/backend.h"
#include <string.h>

/* ---- layouts ---- */

static size_t part_size(const struct mbi_node *node)
{
    switch (node->op) {
    case MBI_OP_conv:
        return (size_t)node->type.cols * 4 * sizeof(int16_t);
    case MBI_OP_turn:
        return (size_t)node->type.cols * 2;
    case MBI_OP_scan:
        return mbi_cuda_scan_layout((const struct mbi_scan_attr *)node->attr).size;
    default:
        return 0;
    }
}

size_t mbi_cuda_memory_layout(size_t *offset, const struct mbi_program *program)
{
    const struct mbi_graph *g = program->graph;
    size_t size = 0;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        if (offset)
            offset[i] = size;
        size += mbi_align_size(part_size(&g->node[i]), 256);
    }
    return size;
}

/* Field k of a node's state in the live layout. */
static char *field_of(const struct mbi_program *p, mbi_ref ref, uint32_t k, char *live)
{
    for (size_t i = p->first_part[ref]; i < p->n_parts && p->part[i].node == ref; i++)
        if (p->part[i].index == k)
            return live + p->part[i].offset;
    return NULL;
}

/* Between the device's layout and the live one. */
static void move(char *device, char *live, size_t size, bool to_device)
{
    memcpy(to_device ? device : live, to_device ? live : device, size);
}

/* The last three inputs, oldest first; in the ring by position. */
static void move_conv(char *ring, char *old, const struct mbi_node *node, uint64_t pos,
                      bool to_device)
{
    const size_t row = (size_t)node->type.cols * sizeof(int16_t);

    for (uint64_t j = 0; j < 3; j++)
        move(ring + (size_t)((pos - 3 + j) % 4) * row, old + j * row, row, to_device);
}

static void move_turn(char *ring, char *phase, const struct mbi_node *node, uint64_t pos,
                      bool to_device)
{
    move(ring + (size_t)((pos - 1) % 2) * node->type.cols, phase, node->type.cols, to_device);
}

static void move_scan(char *part, const struct mbi_program *p, mbi_ref ref, char *live,
                      uint64_t pos, bool to_device)
{
    const struct mbi_node *node = &p->graph->node[ref];
    const struct mbi_scan_attr *at = (const struct mbi_scan_attr *)node->attr;
    const struct mbi_cuda_scan_layout l = mbi_cuda_scan_layout(at);
    const size_t width = (size_t)at->heads * (size_t)at->head_dim, n = (size_t)at->d_state;
    const size_t used = (size_t)(pos % (uint64_t)at->chunk);
    int16_t *h16 = (int16_t *)(part + l.h16);
    const int32_t *h = (const int32_t *)(part + l.h);

    move(part + l.h, field_of(p, ref, 0, live), n * width * 4, to_device);
    move(part + l.b, field_of(p, ref, 1, live), used * n, to_device);
    move(part + l.xw, field_of(p, ref, 2, live), used * width * 2, to_device);
    move(part + l.sum, field_of(p, ref, 3, live), used * (size_t)at->heads * 4, to_device);
    for (size_t i = 0; to_device && i < n * width; i++)
        h16[i] = (int16_t)mbi_rshift_half_up(h[i], 16);
}

/* Between the device's layout, in a block of the host, and the live layout. */
static void convert(char *block, const struct mbi_program *p, char *live, uint64_t pos,
                    bool to_device)
{
    size_t at = 0;

    for (mbi_ref i = 0; i < p->graph->n_nodes; i++) {
        const struct mbi_node *node = &p->graph->node[i];

        if (node->op == MBI_OP_conv)
            move_conv(block + at, field_of(p, i, 0, live), node, pos, to_device);
        else if (node->op == MBI_OP_turn)
            move_turn(block + at, field_of(p, i, 0, live), node, pos, to_device);
        else if (node->op == MBI_OP_scan)
            move_scan(block + at, p, i, live, pos, to_device);
        at += mbi_align_size(part_size(node), 256);
    }
}

/* ---- the vtable's ---- */

static int32_t lost_state(mambaint_error *err)
{
    return mbi_module_fail(err, MAMBAINT_E_INTERNAL,
                           "cuda: a run failed on the device half-way, so this stream's state is "
                           "lost; put a saved one in, or start again");
}

extern "C" void mbi_cuda_memory_free(struct mbi_memory *m)
{
    if (!m)
        return;
    cudaFree(m->device);
    mbi_cuda_free(m->host, m->live);
    mbi_cuda_free(m->host, m);
}

extern "C" int32_t mbi_cuda_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                                       mambaint_error *err)
{
    struct mbi_memory *m = (struct mbi_memory *)mbi_cuda_alloc(program->host, 1, sizeof(*m));
    cudaError_t e;

    *out = NULL;
    if (!m)
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a stream's state");
    m->host = program->host;
    m->program = program;
    m->size = mbi_cuda_memory_layout(NULL, program);
    e = cudaMalloc((void **)&m->device, m->size + 256);
    if (e == cudaSuccess)
        e = cudaMemsetAsync(m->device, 0, m->size + 256, MBI_STREAM);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(MBI_STREAM);
    if (e != cudaSuccess) {
        mbi_cuda_memory_free(m);
        return mbi_cuda_check(e, err, "room for a stream's state");
    }
    *out = m;
    return MAMBAINT_OK;
}

extern "C" int32_t mbi_cuda_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err)
{
    char *block;
    int32_t rc;

    memset(live, 0, m->program->state_size);
    if (m->lost)
        return lost_state(err);
    if (m->live) {
        memcpy(live, m->live, m->program->state_size);
        return MAMBAINT_OK;
    }
    if (!m->ran)
        return MAMBAINT_OK;
    if (!(block = (char *)mbi_cuda_alloc(m->host, m->size + 1, 1)))
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a stream's state");
    rc = mbi_cuda_check(
        cudaMemcpyAsync(block, m->device, m->size, cudaMemcpyDeviceToHost, MBI_STREAM), err,
        "fetching a state");
    if (rc >= 0)
        rc = mbi_cuda_check(cudaStreamSynchronize(MBI_STREAM), err, "fetching a state");
    if (rc >= 0)
        convert(block, m->program, (char *)live, m->pos, false);
    mbi_cuda_free(m->host, block);
    return rc;
}

/* Is it the start value? Most states that are put in are. */
static bool all_zero(const void *block, size_t size)
{
    const char *p = (const char *)block;

    return !size || (!*p && !memcmp(p, p + 1, size - 1));
}

extern "C" int32_t mbi_cuda_memory_write(struct mbi_memory *m, const void *live,
                                         mambaint_error *err)
{
    if (all_zero(live, m->program->state_size)) {
        mbi_cuda_free(m->host, m->live);
        m->live = NULL;
        m->ran = m->lost = false;
        return mbi_cuda_check(cudaMemsetAsync(m->device, 0, m->size, MBI_STREAM), err,
                              "clearing a state");
    }
    if (!m->live && !(m->live = (char *)mbi_cuda_alloc(m->host, m->program->state_size + 1, 1)))
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a stream's state");
    memcpy(m->live, live, m->program->state_size);
    m->lost = false;
    return MAMBAINT_OK;
}

extern "C" int32_t mbi_cuda_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                                        mambaint_error *err)
{
    if (from->live)
        return mbi_cuda_memory_write(to, from->live, err);
    mbi_cuda_free(to->host, to->live);
    to->live = NULL;
    to->pos = from->pos;
    to->ran = from->ran;
    to->lost = from->lost;
    /* Nobody waits: what comes after it happens after it. */
    return mbi_cuda_check(
        cudaMemcpyAsync(to->device, from->device, from->size, cudaMemcpyDeviceToDevice, MBI_STREAM),
        err, "copying a state");
}

int32_t mbi_cuda_memory_settle(struct mbi_memory *m, uint64_t pos, mambaint_error *err)
{
    char *block;
    int32_t rc;

    if (m->lost)
        return lost_state(err);
    if (!m->live)
        return MAMBAINT_OK;
    if (!(block = (char *)mbi_cuda_alloc(m->host, m->size + 1, 1)))
        return mbi_module_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for a stream's state");
    convert(block, m->program, m->live, pos, true);
    rc = mbi_cuda_check(
        cudaMemcpyAsync(m->device, block, m->size, cudaMemcpyHostToDevice, MBI_STREAM), err,
        "sending a state");
    if (rc >= 0)
        rc = mbi_cuda_check(cudaStreamSynchronize(MBI_STREAM), err, "sending a state");
    mbi_cuda_free(m->host, block);
    if (rc >= 0) {
        mbi_cuda_free(m->host, m->live);
        m->live = NULL;
        m->pos = pos; /* what the device has now, also if the run to come fails */
        m->ran = true;
    }
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a stream: its state, and copies of parts of it in the kernels' own layouts. */
#include "cpu/driver.h"
#include <string.h>

size_t mbi_copy_layout(size_t *offset, const struct mbi_program *program,
                       const struct mbi_cpu_kernels *kernels)
{
    const struct mbi_graph *g = program->graph;
    size_t size = program->state_size;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_cpu_op *kernel = &kernels->op[g->node[i].op];

        if (!g->node[i].op || !kernel->copy_size)
            continue;
        const struct mbi_op_args args = mbi_node_args(g, i);

        if (offset)
            offset[i] = size;
        size += mbi_align_size(kernel->copy_size(&args), 64);
    }
    return size;
}

int32_t mbi_cpu_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                           const struct mbi_cpu_kernels *kernels, mambaint_error *err)
{
    struct mbi_memory *m = mbi_alloc(program->host, 1, sizeof(*m));

    if (m) {
        *m = (struct mbi_memory){.host = program->host, .state_size = program->state_size};
        m->size = mbi_copy_layout(NULL, program, kernels);
        m->stale = true;
        if ((m->live = mbi_alloc_huge(m->host, m->size + 1)))
            memset(m->live, 0, m->state_size); /* copies are made when they are first read */
    }
    if (!m || !m->live) {
        mbi_cpu_memory_free(m);
        *out = NULL;
        return mbi_fail_memory(err, "a stream's state");
    }
    *out = m;
    return MAMBAINT_OK;
}

void mbi_cpu_memory_free(struct mbi_memory *m)
{
    if (!m)
        return;
    mbi_free_aligned(m->host, m->live);
    mbi_free(m->host, m);
}

int32_t mbi_cpu_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err)
{
    (void)err;
    memcpy(live, m->live, m->state_size);
    return MAMBAINT_OK;
}

int32_t mbi_cpu_memory_write(struct mbi_memory *m, const void *live, mambaint_error *err)
{
    (void)err;
    memcpy(m->live, live, m->state_size);
    m->stale = true;
    return MAMBAINT_OK;
}

int32_t mbi_cpu_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                            mambaint_error *err)
{
    (void)err;
    memcpy(to->live, from->live, from->state_size);
    to->stale = true; /* most are kept for a rollback that never comes: their copies stay unmade */
    return MAMBAINT_OK;
}

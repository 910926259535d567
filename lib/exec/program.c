/* SPDX-License-Identifier: Apache-2.0 */
/* Making a graph ready to run: order, buffers, state layout. */
#include "exec/program.h"
#include "base/intmath.h"
#include "graph/element.h"
#include <string.h>

#define ALIGN 64

/* A node belongs to the body if it has memory or if a node of the body reads it. */
static void mark_tail(struct mbi_program *p)
{
    const struct mbi_graph *g = p->graph;
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];

    for (mbi_ref i = 0; i < g->n_nodes; i++)
        p->value[i].in_tail = g->node[i].op && !mbi_node_state(field, g, i);
    for (mbi_ref i = g->n_nodes; i-- > 0;)
        if (!p->value[i].in_tail)
            for (size_t k = 0; k < mbi_op_table[g->node[i].op].n_in; k++)
                p->value[g->node[i].in[k]].in_tail = false;
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        if (p->value[i].in_tail)
            for (size_t k = 0; k < mbi_op_table[g->node[i].op].n_in; k++) {
                const mbi_ref in = g->node[i].in[k];

                p->value[in].crosses |= !p->value[in].in_tail && !mbi_node_is_param(&g->node[in]);
            }
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        p->value[i].crosses |= !p->value[i].in_tail && mbi_graph_gives(g, i);
}

static void fill_order(struct mbi_program *p)
{
    for (int tail = 0; tail < 2; tail++) {
        for (mbi_ref i = 0; i < p->graph->n_nodes; i++)
            if (p->graph->node[i].op && p->value[i].in_tail == (tail == 1))
                p->order[p->n_order++] = i;
        if (!tail)
            p->n_body = p->n_order;
    }
}

/* Step at which each value is read last, or would be if a backend did its reader together with the
 * nodes behind it; the outputs and, with keep, all values live for ever. */
static void last_reads(const struct mbi_program *p, uint32_t *last)
{
    const struct mbi_graph *g = p->graph;

    for (uint32_t s = 0; s < p->n_order; s++) {
        const mbi_ref node = p->order[s];

        last[node] = s;
        for (size_t k = 0; k < mbi_op_table[g->node[node].op].n_in; k++)
            last[g->node[node].in[k]] = s + MBI_FUSE_MAX - 1;
    }
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        if (p->keep || mbi_graph_gives(g, i))
            last[i] = UINT32_MAX;
}

struct block {
    size_t offset, size;
    uint32_t last;
};

/* First fit: the lowest gap between the blocks that still live at `step`. Blocks are sorted. */
static size_t place(struct block *block, size_t *n, size_t size, uint32_t step, uint32_t last)
{
    size_t at = 0, live = 0, i;

    for (i = 0; i < *n; i++)
        if (block[i].last >= step)
            block[live++] = block[i];
    *n = live;
    for (i = 0; i < *n && block[i].offset < at + size; i++)
        at = block[i].offset + block[i].size;
    memmove(block + i + 1, block + i, (*n - i) * sizeof(*block));
    block[i] = (struct block){at, size, last};
    ++*n;
    return at;
}

static int32_t plan_values(struct mbi_program *p, mambaint_error *err)
{
    const struct mbi_graph *g = p->graph;
    uint32_t *last = mbi_alloc(p->host, g->n_nodes, sizeof(*last));
    struct block *block = mbi_alloc(p->host, (size_t)g->n_nodes + 1, sizeof(*block));
    size_t n_blocks = 0;
    int32_t rc = last && block ? MAMBAINT_OK : mbi_fail_memory(err, "a program");

    if (rc == MAMBAINT_OK)
        last_reads(p, last);
    for (uint32_t s = 0; rc == MAMBAINT_OK && s <= p->n_order; s++) {
        /* Step 0 places what goes in as well, which is node 0 of every graph. */
        const mbi_ref node = s ? p->order[s - 1] : 0;
        struct mbi_value_plan *v = &p->value[node];
        const size_t lanes = v->in_tail ? p->out_lanes : p->lanes;
        size_t size;

        v->row_size = mbi_type_row_size(&g->node[node].type);
        if (!mbi_mul_size(&size, v->row_size, lanes) || size > SIZE_MAX / 4) {
            rc = mbi_fail_memory(err, "a program of this many lanes");
            break;
        }
        v->offset =
            place(block, &n_blocks, mbi_align_size(size + 1, ALIGN), s ? s - 1 : 0, last[node]);
        p->scratch_size =
            mbi_max_size(p->scratch_size, v->offset + mbi_align_size(size + 1, ALIGN));
    }
    mbi_free(p->host, last);
    mbi_free(p->host, block);
    return rc;
}

static int32_t plan_state(struct mbi_program *p, mambaint_error *err)
{
    const struct mbi_graph *g = p->graph;
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    size_t n = 0;

    for (mbi_ref i = 0; i < g->n_nodes; i++)
        n += mbi_node_state(field, g, i);
    if (!(p->part = mbi_alloc(p->host, n + 1, sizeof(*p->part))))
        return mbi_fail_memory(err, "a program");
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const size_t count = mbi_node_state(field, g, i);

        p->first_part[i] = count ? (uint32_t)p->n_parts : MBI_NONE;
        for (uint32_t k = 0; k < count; k++) {
            const size_t size = field[k].count * mbi_dtype_size(field[k].dtype);

            p->part[p->n_parts++] = (struct mbi_state_part){i, k, field[k], p->state_size};
            p->state_size += mbi_align_size(size, ALIGN);
            p->packed_size += size;
        }
    }
    return MAMBAINT_OK;
}

int32_t mbi_program_create(struct mbi_program **out, const struct mbi_host *host,
                           const struct mbi_graph *graph, size_t lanes, size_t out_lanes, bool keep,
                           mambaint_error *err)
{
    struct mbi_program *p = mbi_alloc(host, 1, sizeof(*p));
    int32_t rc = MAMBAINT_OK;

    *out = NULL;
    if (!p)
        return mbi_fail_memory(err, "a program");
    p->host = host;
    p->graph = graph;
    p->lanes = lanes;
    p->out_lanes = keep ? lanes : out_lanes;
    p->keep = keep;
    p->order = mbi_alloc(host, graph->n_nodes, sizeof(*p->order));
    p->value = mbi_alloc(host, graph->n_nodes, sizeof(*p->value));
    p->first_part = mbi_alloc(host, graph->n_nodes, sizeof(*p->first_part));
    if (!p->order || !p->value || !p->first_part) {
        rc = mbi_fail_memory(err, "a program");
    } else {
        mark_tail(p);
        fill_order(p);
        if ((rc = plan_values(p, err)) == MAMBAINT_OK)
            rc = plan_state(p, err);
    }
    if (rc < 0) {
        mbi_program_free(p);
        return rc;
    }
    *out = p;
    return MAMBAINT_OK;
}

void mbi_program_free(struct mbi_program *p)
{
    if (!p)
        return;
    mbi_free(p->host, p->order);
    mbi_free(p->host, p->value);
    mbi_free(p->host, p->first_part);
    mbi_free(p->host, p->part);
    mbi_free(p->host, p);
}

void mbi_state_pack(uint8_t *packed, const struct mbi_program *p, const void *live)
{
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct mbi_state_part *part = &p->part[i];
        const size_t width = mbi_dtype_size(part->field.dtype);

        mbi_copy_le(packed, (const char *)live + part->offset, part->field.count, width);
        packed += part->field.count * width;
    }
}

static bool field_valid(const struct mbi_state_field *f, const void *array)
{
    for (size_t i = 0; i < f->count; i++) {
        const int64_t v = mbi_get(array, f->dtype, i);

        if (v < f->lo || v > f->hi)
            return false;
    }
    return true;
}

static bool node_valid(const struct mbi_program *p, mbi_ref node, char *live, uint64_t pos)
{
    const struct mbi_node *n = &p->graph->node[node];
    const struct mbi_op_def *def = mbi_op_table[n->op].def;
    void *state[MBI_MAX_STATE_FIELDS] = {NULL};

    for (uint32_t i = p->first_part[node]; i < p->n_parts && p->part[i].node == node; i++)
        state[p->part[i].index] = live + p->part[i].offset;
    return !def->state_valid || def->state_valid(state, n->attr, pos);
}

int32_t mbi_state_unpack(void *live, const struct mbi_program *p, const uint8_t *packed,
                         uint64_t pos, mambaint_error *err)
{
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct mbi_state_part *part = &p->part[i];
        const size_t width = mbi_dtype_size(part->field.dtype);
        char *to = (char *)live + part->offset;

        mbi_copy_le(to, packed, part->field.count, width);
        packed += part->field.count * width;
        if (!field_valid(&part->field, to))
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "state: '%s' of node %u holds a value outside its interval",
                            part->field.name, part->node);
    }
    for (mbi_ref i = 0; i < p->graph->n_nodes; i++)
        if (p->first_part[i] != MBI_NONE && !node_valid(p, i, live, pos))
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "state: the memory of node %u contradicts itself", i);
    return MAMBAINT_OK;
}

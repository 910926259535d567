/* SPDX-License-Identifier: Apache-2.0 */
/* Building a step graph, its canonical bytes and its text form. */
#include "graph/graph.h"
#include "base/intmath.h"
#include <string.h>

int32_t mbi_graph_create(struct mbi_graph **out, const struct mbi_host *host, mambaint_error *err)
{
    if (!(*out = mbi_alloc(host, 1, sizeof(**out))))
        return mbi_fail_memory(err, "a graph");
    (*out)->host = host;
    (*out)->logits = (*out)->argmax = (*out)->link = MBI_NONE;
    return MAMBAINT_OK;
}

void mbi_graph_free(struct mbi_graph *g)
{
    if (!g)
        return;
    mbi_free(g->host, g->node);
    mbi_free(g->host, g->param);
    mbi_free(g->host, g);
}

void mbi_build_begin(struct mbi_build *b, struct mbi_graph *g, mambaint_error *err)
{
    *b = (struct mbi_build){.graph = g, .err = err, .layer = MBI_NONE};
}

int32_t mbi_build_fail(struct mbi_build *b, int32_t code, const char *what)
{
    if (b->status == MAMBAINT_OK)
        b->status = mbi_fail(b->err, code, "graph, node %u: %s", b->graph->n_nodes, what);
    return b->status;
}

/* Make room for one more element of an array that doubles. */
static bool grow(const struct mbi_host *host, void **array, uint32_t *cap, uint32_t n, size_t size)
{
    const uint32_t want = *cap ? 2 * *cap : 64;
    void *p;

    if (n < *cap)
        return true;
    if (want > UINT32_MAX / 4 || !(p = mbi_realloc(host, *array, want, size)))
        return false;
    *array = p;
    *cap = want;
    return true;
}

static struct mbi_node *append(struct mbi_build *b)
{
    struct mbi_graph *g = b->graph;
    void *array = g->node;
    struct mbi_node *node;

    if (b->status < 0)
        return NULL;
    if (!grow(g->host, &array, &g->node_cap, g->n_nodes, sizeof(*g->node))) {
        b->status = mbi_fail_memory(b->err, "graph nodes");
        return NULL;
    }
    g->node = array;
    node = &g->node[g->n_nodes];
    memset(node, 0, sizeof(*node));
    for (size_t k = 0; k < MBI_MAX_IN; k++)
        node->in[k] = MBI_NONE;
    node->layer = b->layer;
    return node;
}

mbi_ref mbi_build_token(struct mbi_build *b, uint32_t vocab)
{
    struct mbi_node *node = append(b);

    if (!node)
        return MBI_NONE;
    node->leaf = MBI_LEAF_TOKEN;
    node->label = "token";
    node->type = (struct mbi_type){MBI_I32, 0, 1, 1, 0, (int64_t)vocab - 1};
    return b->graph->n_nodes++;
}

mbi_ref mbi_build_features(struct mbi_build *b, uint32_t cols, int32_t frac)
{
    struct mbi_node *node = append(b);

    if (!node)
        return MBI_NONE;
    node->leaf = MBI_LEAF_FEATURES;
    node->label = "features";
    node->type = (struct mbi_type){MBI_I8, frac, 1, cols, INT8_MIN, INT8_MAX};
    return b->graph->n_nodes++;
}

mbi_ref mbi_build_param(struct mbi_build *b, const struct mbi_param *param)
{
    struct mbi_graph *g = b->graph;
    struct mbi_node *node = append(b);
    void *array = g->param;

    if (!node)
        return MBI_NONE;
    if (!grow(g->host, &array, &g->param_cap, g->n_params, sizeof(*g->param))) {
        b->status = mbi_fail_memory(b->err, "graph parameters");
        return MBI_NONE;
    }
    g->param = array;
    g->param[g->n_params] = *param;
    node->leaf = MBI_LEAF_PARAM;
    node->param = g->n_params++;
    node->label = "parameter";
    node->type = param->type;
    return g->n_nodes++;
}

bool mbi_node_is_param(const struct mbi_node *node)
{
    return !node->op && node->leaf == MBI_LEAF_PARAM;
}

bool mbi_graph_gives(const struct mbi_graph *g, mbi_ref ref)
{
    return ref == g->logits || ref == g->argmax || ref == g->link;
}

bool mbi_graph_takes_features(const struct mbi_graph *g)
{
    return g->n_nodes && !g->node[0].op && g->node[0].leaf == MBI_LEAF_FEATURES;
}

mbi_ref mbi_build_node(struct mbi_build *b, uint32_t op, const char *label, const mbi_ref *in,
                       const void *attr)
{
    const struct mbi_op_row *row = &mbi_op_table[op];
    struct mbi_infer q = {.err = b->err};
    struct mbi_node *node = append(b);

    if (!node)
        return MBI_NONE;
    node->op = op;
    node->label = label;
    if (row->def->n_attr)
        memcpy(node->attr, attr, row->def->n_attr * sizeof(int32_t));
    for (size_t k = 0; k < row->n_in; k++) {
        if (in[k] >= b->graph->n_nodes) {
            mbi_build_fail(b, MAMBAINT_E_INTERNAL, "an input does not exist yet");
            return MBI_NONE;
        }
        if (!(row->def->either >> k & 1) &&
            mbi_node_is_param(&b->graph->node[in[k]]) != (row->def->params >> k & 1)) {
            mbi_build_fail(b, MAMBAINT_E_INVALID, "a parameter stands for a value, or the reverse");
            return MBI_NONE;
        }
        node->in[k] = in[k];
        q.in[k] = &b->graph->node[in[k]].type;
        q.in_is_param[k] = mbi_node_is_param(&b->graph->node[in[k]]);
    }
    q.attr = node->attr;
    q.out = &node->type;
    if ((b->status = row->def->infer(&q)) < 0)
        return MBI_NONE;
    return b->graph->n_nodes++;
}

const struct mbi_type *mbi_build_type(const struct mbi_build *b, mbi_ref ref)
{
    static const struct mbi_type empty = {MBI_I8, 0, 1, 1, 0, 0};

    return b->status < 0 || ref >= b->graph->n_nodes ? &empty : &b->graph->node[ref].type;
}

int32_t mbi_build_link(struct mbi_build *b, mbi_ref link)
{
    if (b->status < 0)
        return b->status;
    if (link >= b->graph->n_nodes || mbi_node_is_param(&b->graph->node[link]))
        return mbi_build_fail(b, MAMBAINT_E_INTERNAL, "the link is no value of the graph");
    b->graph->link = link;
    return MAMBAINT_OK;
}

int32_t mbi_build_end(struct mbi_build *b, mbi_ref logits, mbi_ref argmax)
{
    struct mbi_graph *g = b->graph;
    struct mbi_buf bytes;

    if (b->status < 0)
        return b->status;
    g->logits = logits;
    g->argmax = argmax;
    mbi_buf_init(&bytes, g->host);
    mbi_graph_canonical(&bytes, g);
    if (bytes.failed)
        b->status = mbi_fail_memory(b->err, "canonical graph bytes");
    else
        mbi_blake2b(g->digest, bytes.data, bytes.size);
    mbi_buf_free(&bytes);
    return b->status;
}

static void add_type(struct mbi_buf *out, const struct mbi_type *t)
{
    mbi_buf_add32(out, t->dtype);
    mbi_buf_add32(out, (uint32_t)t->frac);
    mbi_buf_add32(out, t->rows);
    mbi_buf_add32(out, t->cols);
    mbi_buf_add64(out, (uint64_t)t->lo);
    mbi_buf_add64(out, (uint64_t)t->hi);
}

/*
 * Text "mambaint-graph", then u32: arithmetic version, number of nodes; per node: op, then for a
 * leaf its kind and (parameter) the name as u32 length and bytes, for an operation its inputs and
 * attributes; then the type. Last the two outputs, and the link where there is one. All little
 * endian.
 */
void mbi_graph_canonical(struct mbi_buf *out, const struct mbi_graph *g)
{
    mbi_buf_add_text(out, "mambaint-graph");
    mbi_buf_add32(out, MBI_ARITHMETIC_VERSION);
    mbi_buf_add32(out, g->n_nodes);
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];
        const struct mbi_op_row *row = &mbi_op_table[node->op];

        mbi_buf_add32(out, node->op);
        if (!node->op) {
            const char *name = node->leaf == MBI_LEAF_PARAM ? g->param[node->param].name : "";

            mbi_buf_add32(out, node->leaf);
            mbi_buf_add32(out, (uint32_t)strlen(name));
            mbi_buf_add_text(out, name);
        } else {
            for (size_t k = 0; k < row->n_in; k++)
                mbi_buf_add32(out, node->in[k]);
            for (size_t k = 0; k < row->def->n_attr; k++)
                mbi_buf_add32(out, (uint32_t)node->attr[k]);
        }
        add_type(out, &node->type);
    }
    mbi_buf_add32(out, g->logits);
    mbi_buf_add32(out, g->argmax);
    if (g->link != MBI_NONE)
        mbi_buf_add32(out, g->link);
}

static void dump_leaf(struct mbi_buf *out, const struct mbi_graph *g, const struct mbi_node *node)
{
    if (node->leaf == MBI_LEAF_PARAM)
        mbi_buf_addf(out, "%-12s %s", "param", g->param[node->param].name);
    else
        mbi_buf_addf(out, "%-12s", node->label);
}

static void dump_op(struct mbi_buf *out, const struct mbi_node *node)
{
    const struct mbi_op_row *row = &mbi_op_table[node->op];

    mbi_buf_addf(out, "%-12s", row->name);
    for (size_t k = 0; k < row->n_in; k++)
        mbi_buf_addf(out, " %%%u", node->in[k]);
    for (size_t k = 0; k < row->def->n_attr; k++)
        mbi_buf_addf(out, "%s%d", k ? " " : "  [", node->attr[k]);
    mbi_buf_add_text(out, row->def->n_attr ? "]" : "");
}

void mbi_graph_dump(struct mbi_buf *out, const struct mbi_graph *g)
{
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];
        const struct mbi_type *t = &node->type;

        mbi_buf_addf(out, "%%%-4u ", i);
        if (node->op)
            dump_op(out, node);
        else
            dump_leaf(out, g, node);
        mbi_buf_addf(out, "  : %s", mbi_dtype_name(t->dtype));
        if (t->rows > 1)
            mbi_buf_addf(out, " %u x", t->rows);
        mbi_buf_addf(out, " %u Q%d [%lld, %lld]", t->cols, t->frac, (long long)t->lo,
                     (long long)t->hi);
        if (node->op && node->label)
            mbi_buf_addf(out, "  ; %s", node->label);
        mbi_buf_add8(out, '\n');
    }
}

size_t mbi_node_state(struct mbi_state_field field[MBI_MAX_STATE_FIELDS], const struct mbi_graph *g,
                      mbi_ref ref)
{
    const struct mbi_node *node = &g->node[ref];
    const struct mbi_op_row *row = &mbi_op_table[node->op];
    const struct mbi_type *in[MBI_MAX_IN] = {NULL};

    if (!node->op || !row->def->state)
        return 0;
    for (size_t k = 0; k < row->n_in; k++)
        in[k] = &g->node[node->in[k]].type;
    return row->def->state(field, in, node->attr);
}

uint32_t mbi_graph_find_param(const struct mbi_graph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_params; i++)
        if (!strcmp(g->param[i].name, name))
            return i;
    return MBI_NONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A model told as text, key by key: what `inspect` shows. */
#include "api/model.h"
#include "api/state.h"
#include "base/intmath.h"
#include "base/text.h"
#include "model/check.h"
#include "op/op_list.h"

typedef int32_t (*describer)(struct mbi_buf *out, const mambaint_model *m);

static int32_t add_number(struct mbi_buf *out, uint64_t n)
{
    mbi_buf_addf(out, "%llu", (unsigned long long)n);
    return MAMBAINT_OK;
}

static int32_t add_digest(struct mbi_buf *out, const uint8_t digest[MBI_DIGEST_SIZE])
{
    char text[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(text, digest, MBI_DIGEST_SIZE);
    mbi_buf_add_text(out, text);
    return MAMBAINT_OK;
}

/* A key of the file, or nothing if the file has no such key. */
static int32_t add_value(struct mbi_buf *out, const mambaint_model *m, const char *key)
{
    const struct mbi_container *file = m->model->file;

    for (size_t i = 0; i < mbi_container_n_keys(file); i++)
        if (!strcmp(mbi_container_key(file, i), key))
            mbi_container_value_text(out, file, i);
    return MAMBAINT_OK;
}

static int32_t architecture(struct mbi_buf *out, const mambaint_model *m)
{
    mbi_buf_add_text(out, m->model->config.arch->name);
    return MAMBAINT_OK;
}

static int32_t name(struct mbi_buf *out, const mambaint_model *m)
{
    return add_value(out, m, "general.name");
}

static int32_t license(struct mbi_buf *out, const mambaint_model *m)
{
    return add_value(out, m, "general.license");
}

static int32_t vocab(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, m->model->tokenizer ? mbi_tokenizer_vocab(m->model->tokenizer) : 0);
}

static int32_t parameters(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, mbi_model_parameters(m->model->graph));
}

static int32_t state_size(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, mbi_state_saved_size(m));
}

static int32_t file_size(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, mbi_container_file_size(m->model->file));
}

static int32_t weight_bytes(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n_params; i++)
        n += mbi_param_size(&g->param[i]);
    return add_number(out, n);
}

/* Does an operation other than a look-up read this parameter? */
static bool read_whole(const struct mbi_graph *g, uint32_t param)
{
    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (!node->op || node->op == MBI_OP_embed)
            continue;
        for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
            const struct mbi_node *in = &g->node[node->in[k]];

            if (!in->op && in->leaf == MBI_LEAF_PARAM && in->param == param)
                return true;
        }
    }
    return false;
}

/* A table that is only looked up costs one row. */
static int32_t token_bytes(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n_params; i++)
        n += read_whole(g, i) ? mbi_param_size(&g->param[i]) : mbi_type_row_size(&g->param[i].type);
    return add_number(out, n);
}

/* Multiply-adds of the matrices for one token; in the tail alone, which a prompt runs once. */
static uint64_t macs(const mambaint_model *m, bool tail_alone)
{
    const struct mbi_graph *g = m->model->graph;
    uint64_t n = 0;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];

        if (node->op == MBI_OP_matvec && (!tail_alone || m->layout->value[i].in_tail)) {
            const struct mbi_type *matrix = &g->node[node->in[1]].type;

            n += (uint64_t)matrix->rows * matrix->cols;
        }
    }
    return n;
}

static int32_t token_macs(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, macs(m, false));
}

static int32_t head_macs(struct mbi_buf *out, const mambaint_model *m)
{
    return add_number(out, macs(m, true));
}

static int32_t digest(struct mbi_buf *out, const mambaint_model *m)
{
    uint8_t d[MBI_DIGEST_SIZE];
    const int32_t rc = mbi_model_locked_digest(d, m, NULL);

    return rc < 0 ? rc : add_digest(out, d);
}

static int32_t graph_digest(struct mbi_buf *out, const mambaint_model *m)
{
    return add_digest(out, m->model->graph->digest);
}

static int32_t tokenizer_digest(struct mbi_buf *out, const mambaint_model *m)
{
    uint8_t d[MBI_DIGEST_SIZE];

    if (!m->model->tokenizer)
        return MAMBAINT_OK;
    mbi_tokenizer_digest(d, m->model->tokenizer);
    return add_digest(out, d);
}

static int32_t config(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_config *c = &m->model->config;

    for (size_t i = 0; i < c->arch->n_fields; i++) {
        const struct mbi_config_field *f = &c->arch->field[i];

        if (!f->flag)
            continue;
        if (f->kind == MBI_CONFIG_NUMBER)
            mbi_buf_addf(out, "%s = %u\n", f->flag, c->v[i]);
        else
            mbi_buf_addf(out, "%s = %s\n", f->flag,
                         f->kind == MBI_CONFIG_WORD ? f->word[c->v[i] - 1]
                         : c->v[i]                  ? "on"
                                                    : "off");
    }
    return MAMBAINT_OK;
}

static int32_t metadata(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_container *file = m->model->file;

    for (size_t i = 0; i < mbi_container_n_keys(file); i++) {
        mbi_buf_addf(out, "%s = ", mbi_container_key(file, i));
        mbi_container_value_text(out, file, i);
        mbi_buf_add8(out, '\n');
    }
    return MAMBAINT_OK;
}

static int32_t tensors(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;

    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_param *p = &g->param[i];

        mbi_buf_addf(out, "%-32s %-8s %6u x %-6u %zu bytes\n", p->name,
                     mbi_dtype_name(p->type.dtype), p->type.rows, p->type.cols, mbi_param_size(p));
    }
    return MAMBAINT_OK;
}

static int32_t graph(struct mbi_buf *out, const mambaint_model *m)
{
    mbi_graph_dump(out, m->model->graph);
    return MAMBAINT_OK;
}

/* Bits that a declared interval leaves unused in its type. */
static int spare_bits(const struct mbi_type *t)
{
    const uint64_t low = t->lo < 0 ? (uint64_t)(-(t->lo + 1)) : 0;
    const uint64_t high = t->hi < 0 ? 0 : (uint64_t)t->hi;
    const int used = 1 + mbi_bitlen(low > high ? low : high);

    return 8 * (int)mbi_dtype_size(t->dtype) - used;
}

static int32_t intervals(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_node *node = &g->node[i];
        const struct mbi_type *t = &node->type;

        if (!node->op)
            continue;
        mbi_buf_addf(out, "%%%-4u %-12s %-12s %-4s Q%-3d [%lld, %lld], %d spare bits\n", i,
                     mbi_op_table[node->op].name, node->label ? node->label : "",
                     mbi_dtype_name(t->dtype), t->frac, (long long)t->lo, (long long)t->hi,
                     spare_bits(t));
    }
    return MAMBAINT_OK;
}

/*
 * A head whose bias is v (Q8) loses 2^v (Q16: l) octaves a token while its input is silent, so its
 * half-life is 2^16 / l tokens, at most 2^16 / 32. Shown in hundredths.
 */
static void add_half_life(struct mbi_buf *out, int32_t bias)
{
    const uint64_t hundredths = (100u << 16) / mbi_ell(bias);

    mbi_buf_addf(out, " %u.%02u", (unsigned)(hundredths / 100), (unsigned)(hundredths % 100));
}

/* Biases from the largest, which forgets first, to the smallest: each round finds the next ones. */
static void add_half_lives(struct mbi_buf *out, const int16_t *bias, size_t n)
{
    int32_t below = INT32_MAX;

    for (size_t shown = 0; shown < n;) {
        int32_t next = INT32_MIN;

        for (size_t i = 0; i < n; i++)
            if (bias[i] < below && bias[i] > next)
                next = bias[i];
        for (size_t i = 0; i < n; i++)
            if (bias[i] == next) {
                add_half_life(out, next);
                shown++;
            }
        below = next;
    }
}

static int32_t decay_spectrum(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;

    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_param *p = &g->param[i];

        if (p->init != MBI_INIT_SPECTRUM || p->type.dtype != MBI_I16)
            continue;
        mbi_buf_addf(out, "%s:", p->name);
        add_half_lives(out, m->model->param[i], p->type.cols);
        mbi_buf_add8(out, '\n');
    }
    return MAMBAINT_OK;
}

static int32_t ternary_zeros(struct mbi_buf *out, const mambaint_model *m)
{
    const struct mbi_graph *g = m->model->graph;

    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_param *p = &g->param[i];
        const uint64_t n = (uint64_t)p->type.rows * p->type.cols;
        uint64_t zeros;

        if (p->type.dtype != MBI_TERNARY)
            continue;
        zeros = mbi_ternary_zeros(p, m->model->param[i]);
        mbi_buf_addf(out, "%s: %llu of %llu (%llu %%)\n", p->name, (unsigned long long)zeros,
                     (unsigned long long)n, (unsigned long long)(100 * zeros / n));
    }
    return MAMBAINT_OK;
}

static const struct {
    const char *key;
    describer add;
} texts[] = {
    {"architecture", architecture},
    {"name", name},
    {"license", license},
    {"vocab", vocab},
    {"parameters", parameters},
    {"state-size", state_size},
    {"file-size", file_size},
    {"weight-bytes", weight_bytes},
    {"token-bytes", token_bytes},
    {"token-macs", token_macs},
    {"head-macs", head_macs},
    {"digest", digest},
    {"model-digest", digest},
    {"graph-digest", graph_digest},
    {"tokenizer-digest", tokenizer_digest},
    {"config", config},
    {"metadata", metadata},
    {"tensors", tensors},
    {"graph", graph},
    {"intervals", intervals},
    {"decay-spectrum", decay_spectrum},
    {"ternary-zeros", ternary_zeros},
};

int32_t mbi_model_describe(struct mbi_buf *out, const mambaint_model *model, const char *key)
{
    for (size_t i = 0; i < MBI_COUNT(texts); i++)
        if (mbi_key_equal(texts[i].key, key))
            return texts[i].add(out, model);
    return MAMBAINT_E_INVALID;
}

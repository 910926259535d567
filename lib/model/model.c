/* SPDX-License-Identifier: Apache-2.0 */
/* The model object: a container checked against the graph that its configuration asks for. */
#include "model/model.h"
#include "base/intmath.h"
#include "base/utf8.h"
#include "model/check.h"
#include <string.h>

#define MAX_WORD 64

/* ---- what the file says about itself ---- */

static const char *const text_key[] = {"general.name", "general.license"};

static bool is_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, (const uint8_t *)text + i, len - i);

        if (step <= 0)
            return false;
        i += (size_t)step;
    }
    return true;
}

int32_t mbi_model_check_names(const char *name, const char *license, mambaint_error *err)
{
    const char *const text[] = {name, license};

    for (size_t i = 0; i < MBI_COUNT(text); i++)
        if (text[i] && !is_utf8(text[i], strlen(text[i])))
            return mbi_fail(err, MAMBAINT_E_INVALID, "model: the text for %s is not valid UTF-8",
                            text_key[i]);
    return MAMBAINT_OK;
}

/* Text for people; both keys may be absent. */
static int32_t check_texts(struct mbi_model *m, mambaint_error *err)
{
    for (size_t i = 0; i < MBI_COUNT(text_key); i++) {
        const char *text;
        size_t len;
        int32_t rc;

        if (!mbi_container_has(m->file, text_key[i]))
            continue;
        if ((rc = mbi_container_text(&text, &len, m->file, text_key[i], err)) < 0)
            return rc;
        if (!is_utf8(text, len))
            return mbi_fail(err, MAMBAINT_E_FORMAT, "model: key '%s' is not valid UTF-8",
                            text_key[i]);
    }
    return MAMBAINT_OK;
}

/* A checkpoint has the same keys and floats besides; absent means model. */
static int32_t check_type(struct mbi_model *m, mambaint_error *err)
{
    char type[MAX_WORD];
    int32_t rc;

    if (!mbi_container_has(m->file, "general.type"))
        return MAMBAINT_OK;
    if ((rc = mbi_container_word(type, sizeof(type), m->file, "general.type", err)) < 0)
        return rc;
    if (strcmp(type, "model"))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "model: the file is a %s; 'train --resume' takes those", type);
    return MAMBAINT_OK;
}

static int32_t read_config(struct mbi_model *m, mambaint_error *err)
{
    const struct mbi_arch *arch;
    char name[MAX_WORD];
    uint32_t version;
    int32_t rc;

    if ((rc = check_type(m, err)) < 0 || (rc = check_texts(m, err)) < 0)
        return rc;
    if ((rc = mbi_container_word(name, sizeof(name), m->file, "general.architecture", err)) < 0)
        return rc;
    if (!(arch = mbi_arch_find(name)))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "model: architecture '%s' is not in this build", name);
    if ((rc = mbi_container_u32(&version, m->file, "mambaint.arithmetic", 0, UINT32_MAX, err)) < 0)
        return rc;
    if (version != MBI_ARITHMETIC_VERSION)
        return mbi_fail(err, MAMBAINT_E_VERSION,
                        "model: made for arithmetic version %u; this library has version %u",
                        version, (unsigned)MBI_ARITHMETIC_VERSION);
    return mbi_config_read(&m->config, arch, m->file, err);
}

/* A model that takes features has no key of a tokenizer. */
static int32_t refuse_tokenizer(struct mbi_model *m, mambaint_error *err)
{
    static const char prefix[] = "tokenizer.";

    for (size_t i = 0; i < mbi_container_n_keys(m->file); i++)
        if (!strncmp(mbi_container_key(m->file, i), prefix, sizeof(prefix) - 1))
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "model: key '%s', but architecture '%s' takes features and has no "
                            "tokenizer",
                            mbi_container_key(m->file, i), m->config.arch->name);
    return mbi_container_refuse_unread(m->file, "mambaint.", err);
}

static int32_t read_tokenizer(struct mbi_model *m, mambaint_error *err)
{
    uint32_t want;
    int32_t rc;

    if (!mbi_arch_has_vocab(m->config.arch))
        return refuse_tokenizer(m, err);
    want = m->config.v[m->config.arch->vocab_field];
    if ((rc = mbi_tokenizer_read(&m->tokenizer, m->host, m->file, err)) < 0)
        return rc;
    if (mbi_tokenizer_vocab(m->tokenizer) != want)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "model: the tokenizer has %u tokens, the configuration %u",
                        mbi_tokenizer_vocab(m->tokenizer), want);
    return mbi_container_refuse_unread(m->file, "mambaint.", err);
}

/* ---- parameters ---- */

size_t mbi_param_size(const struct mbi_param *p)
{
    return (size_t)p->type.rows * mbi_type_row_size(&p->type);
}

uint64_t mbi_model_parameters(const struct mbi_graph *g)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n_params; i++)
        if (g->param[i].quant != MBI_QUANT_DERIVED)
            n += (uint64_t)g->param[i].type.rows * g->param[i].type.cols;
    return n;
}

/* Packed weights are stored as bytes. */
static uint32_t tensor_type(const struct mbi_type *t)
{
    return t->dtype == MBI_I16   ? MBI_TENSOR_I16
           : t->dtype == MBI_I32 ? MBI_TENSOR_I32
                                 : MBI_TENSOR_I8;
}

static size_t tensor_cols(const struct mbi_type *t)
{
    return t->dtype == MBI_TERNARY ? mbi_type_row_size(t) : t->cols;
}

/* Bytes of a stored element. */
static size_t tensor_width(const struct mbi_type *t)
{
    return t->dtype == MBI_TERNARY ? 1 : mbi_dtype_size(t->dtype);
}

static int32_t check_shape(const struct mbi_param *p, const struct mbi_tensor *t,
                           mambaint_error *err)
{
    const uint64_t cols = tensor_cols(&p->type);

    if (!t)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "model: tensor '%s' is missing", p->name);
    if (t->type != tensor_type(&p->type))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "model: tensor '%s' has type %u instead of %u",
                        p->name, t->type, tensor_type(&p->type));
    if (t->n_dims != (p->is_vector ? 1u : 2u) || t->rows != p->type.rows || t->cols != cols ||
        t->size != mbi_param_size(p))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "model: tensor '%s' is %llu x %llu; the configuration asks for %llu x %llu",
                        p->name, (unsigned long long)t->rows, (unsigned long long)t->cols,
                        (unsigned long long)p->type.rows, (unsigned long long)cols);
    return MAMBAINT_OK;
}

/* Point to a tensor's data in host byte order, converting a copy if the host needs one. */
static int32_t bind_param(struct mbi_model *m, uint32_t i, const struct mbi_tensor *t,
                          mambaint_error *err)
{
    const size_t width = tensor_width(&m->graph->param[i].type);

    m->param[i] = t->data;
    if (!MBI_BIG_ENDIAN || width == 1)
        return MAMBAINT_OK;
    if (!(m->param_owned[i] = mbi_alloc_aligned(m->host, t->size)))
        return mbi_fail_memory(err, "the weights of a model");
    mbi_copy_le(m->param_owned[i], t->data, t->size / width, width);
    m->param[i] = m->param_owned[i];
    return MAMBAINT_OK;
}

static int32_t bind_params(struct mbi_model *m, mambaint_error *err)
{
    const struct mbi_graph *g = m->graph;
    int32_t rc = MAMBAINT_OK;

    m->param = mbi_alloc(m->host, g->n_params, sizeof(*m->param));
    m->param_owned = mbi_alloc(m->host, g->n_params, sizeof(*m->param_owned));
    if (!m->param || !m->param_owned)
        return mbi_fail_memory(err, "a model");
    for (uint32_t i = 0; rc >= 0 && i < g->n_params; i++) {
        const struct mbi_tensor *t = mbi_container_tensor(m->file, g->param[i].name);

        if ((rc = check_shape(&g->param[i], t, err)) >= 0 && (rc = bind_param(m, i, t, err)) >= 0 &&
            !mbi_param_valid(m->host, &g->param[i], m->param[i]))
            rc =
                mbi_fail(err, MAMBAINT_E_FORMAT,
                         "model: tensor '%s' holds a value outside its interval", g->param[i].name);
    }
    /* Names are unique in a file and in a graph, so equal numbers mean that none is left over. */
    if (rc >= 0 && mbi_container_n_tensors(m->file) != g->n_params)
        rc = mbi_fail(err, MAMBAINT_E_FORMAT,
                      "model: %zu tensors, but the configuration asks for %u",
                      mbi_container_n_tensors(m->file), g->n_params);
    return rc;
}

int32_t mbi_model_create(struct mbi_model **out, const struct mbi_host *host,
                         struct mbi_container *file, mambaint_error *err)
{
    struct mbi_model *m = mbi_alloc(host, 1, sizeof(*m));
    int32_t rc;

    *out = NULL;
    if (!m) {
        mbi_container_close(file);
        return mbi_fail_memory(err, "a model");
    }
    m->host = host;
    m->file = file;
    if ((rc = read_config(m, err)) < 0 || (rc = read_tokenizer(m, err)) < 0 ||
        (rc = mbi_arch_graph(&m->graph, host, &m->config, err)) < 0 ||
        (rc = bind_params(m, err)) < 0) {
        mbi_model_free(m);
        return rc;
    }
    *out = m;
    return MAMBAINT_OK;
}

void mbi_model_free(struct mbi_model *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; m->param_owned && i < m->graph->n_params; i++)
        mbi_free_aligned(m->host, m->param_owned[i]);
    mbi_free(m->host, m->param_owned);
    mbi_free(m->host, m->param);
    mbi_graph_free(m->graph);
    mbi_tokenizer_unref(m->tokenizer);
    mbi_container_close(m->file);
    mbi_free(m->host, m);
}

/* ---- the digest ---- */

/* Parameter indices in the order of their names: a shell sort, for at most a few thousand. */
static void sort_by_name(uint32_t *index, const struct mbi_graph *g)
{
    for (uint32_t i = 0; i < g->n_params; i++)
        index[i] = i;
    for (uint32_t gap = g->n_params / 2; gap; gap /= 2)
        for (uint32_t i = gap; i < g->n_params; i++) {
            const uint32_t x = index[i];
            uint32_t k = i;

            for (; k >= gap && strcmp(g->param[index[k - gap]].name, g->param[x].name) > 0;
                 k -= gap)
                index[k] = index[k - gap];
            index[k] = x;
        }
}

/*
 * What the model computes, whatever its name: the graph's digest, the tokenizer's digest (zeros
 * where there is none), then for each tensor in the order of names the name's length (u64), the
 * name and the hash of the data.
 */
int32_t mbi_model_digest(uint8_t out[MBI_DIGEST_SIZE], struct mbi_model *m, mambaint_error *err)
{
    uint8_t tokenizer[MBI_DIGEST_SIZE] = {0};
    struct mbi_blake2b s;
    uint32_t *index;
    int32_t rc;

    if (!m->digest_checked) {
        if ((rc = mbi_container_check_digest(m->file, err)) < 0)
            return rc;
        if (!(index = mbi_alloc(m->host, m->graph->n_params, sizeof(*index))))
            return mbi_fail_memory(err, "a digest");
        sort_by_name(index, m->graph);
        if (m->tokenizer)
            mbi_tokenizer_digest(tokenizer, m->tokenizer);
        mbi_blake2b_init(&s);
        mbi_blake2b_add(&s, m->graph->digest, MBI_DIGEST_SIZE);
        mbi_blake2b_add(&s, tokenizer, MBI_DIGEST_SIZE);
        for (uint32_t i = 0; i < m->graph->n_params; i++) {
            const char *name = m->graph->param[index[i]].name;

            mbi_blake2b_add_field(&s, name, strlen(name));
            mbi_blake2b_add(&s, mbi_container_tensor(m->file, name)->hash, MBI_DIGEST_SIZE);
        }
        mbi_blake2b_end(&s, m->digest);
        mbi_free(m->host, index);
        m->digest_checked = true;
    }
    memcpy(out, m->digest, MBI_DIGEST_SIZE);
    return MAMBAINT_OK;
}

/* ---- saving ---- */

static void add_word(struct mbi_container_writer *w, const char *key, const char *text)
{
    mbi_container_add_text(w, key, text, strlen(text));
}

int32_t mbi_model_save(const struct mbi_host *host, const char *path,
                       const struct mbi_model_parts *parts, mambaint_error *err)
{
    struct mbi_container_writer *w;
    int32_t rc = mbi_model_check_names(parts->name, parts->license, err);

    if (rc < 0 || (rc = mbi_container_writer_create(&w, host, err)) < 0)
        return rc;
    add_word(w, "general.architecture", parts->config->arch->name);
    add_word(w, text_key[0], parts->name ? parts->name : "");
    add_word(w, text_key[1], parts->license ? parts->license : "");
    mbi_container_add_u32(w, "mambaint.arithmetic", MBI_ARITHMETIC_VERSION);
    mbi_config_write(w, parts->config);
    if (parts->tokenizer)
        mbi_tokenizer_write(w, parts->tokenizer);
    for (uint32_t i = 0; i < parts->graph->n_params; i++) {
        const struct mbi_param *p = &parts->graph->param[i];

        mbi_container_add_tensor(w, p->name, tensor_type(&p->type), p->is_vector ? 0 : p->type.rows,
                                 tensor_cols(&p->type), parts->param[i]);
    }
    rc = mbi_container_save(w, path, err);
    mbi_container_writer_free(w);
    return rc;
}

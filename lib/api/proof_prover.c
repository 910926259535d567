/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of provers: the commitment to a model's weights, made once and mapped for every proof. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/hash.h"

#define PIECE ((size_t)1 << 16) /* elements that are written at a time */
#define HASHED 16               /* columns, worth a thread's while */

/* ---- sizes ---- */

/* Rows of the codeword of a commitment to these weights. */
static uint32_t rows_of(const struct mbi_proof_models *m)
{
    return (uint32_t)m->root.rows; /* at most 2^MBI_PLAN_MAX_BITS */
}

/* Elements of the codeword and nodes of the tree; false if this machine cannot hold them. */
static bool sizes_of(size_t *elements, size_t *nodes, uint32_t rows, uint32_t log_length)
{
    size_t bytes;

    *elements = *nodes = 0;
    if (log_length > MBI_NTT_LOG_MAX || !mbi_mul_size(elements, rows, (size_t)1 << log_length) ||
        !mbi_mul_size(&bytes, *elements, sizeof(mbi_fe)))
        return false;
    *nodes = mbi_merkle_size((size_t)1 << log_length);
    return rows && *nodes;
}

/* Is the file the head, the codeword and the tree, and nothing more? */
static bool has_size(size_t *elements, size_t *nodes, const struct mbi_prover_key_head *head,
                     size_t n)
{
    return sizes_of(elements, nodes, head->rows, head->log_length) && n >= head->size &&
           (n - head->size) / sizeof(mbi_fe) >= *elements &&
           n - head->size - *elements * sizeof(mbi_fe) == *nodes * sizeof(struct mbi_digest);
}

/* ---- reading ---- */

/* The key is of these models and of these weights; said.weights becomes the key's root. */
static int32_t check_models(struct mbi_proof_models *m, const struct mbi_prover_key_head *head,
                            mambaint_error *err)
{
    uint8_t vector[MBI_DIGEST_SIZE];
    int32_t rc;

    memcpy(m->said.weights, head->models.weights, MBI_DIGEST_SIZE);
    if ((rc = mbi_statement_same_models(&head->models, false, &m->said, false,
                                        "the prover key is of another model", err)) < 0)
        return rc;
    if (head->log_rows != m->root.log_rows || head->rows != rows_of(m) ||
        head->log_columns != m->code.log_columns || head->log_length != m->code.log_length)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the prover key has another code than this library makes for its model; "
                        "make it anew");
    mbi_proof_hash_weights(vector, m);
    if (memcmp(vector, head->vector, sizeof(vector)) != 0)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "the prover key is of a model with other weights; make one of this model");
    return MAMBAINT_OK;
}

/* On big-endian machines the elements are copied to be read. */
static mbi_fe *find_codeword(struct mbi_proof_models *m, const uint8_t *data, size_t elements)
{
    if (!MBI_BIG_ENDIAN)
        return (mbi_fe *)(uintptr_t)data; /* only read */
    if ((m->swapped = mbi_alloc_huge(&m->ctx->host, elements * sizeof(mbi_fe))))
        mbi_copy_le(m->swapped, data, elements, sizeof(mbi_fe));
    return m->swapped;
}

static int32_t use_map(struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_map *map = &m->prover_map;
    struct mbi_prover_key_head head;
    size_t elements, nodes;
    int32_t rc = mbi_prover_key_read(&head, map->data, map->size, err);

    if (rc < 0)
        return rc;
    if (!has_size(&elements, &nodes, &head, map->size))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the prover key has another size than its head says; it was cut");
    if ((rc = check_models(m, &head, err)) < 0)
        return rc;
    m->commitment = (struct mbi_commitment){
        .code = m->code,
        .root = {.log_rows = head.log_rows, .rows = head.rows},
        .vector = m->vector,
        .codeword = find_codeword(m, map->data + head.size, elements),
        .tree = (struct mbi_digest *)(uintptr_t)(map->data + map->size -
                                                 nodes * sizeof(struct mbi_digest))};
    if (!m->commitment.codeword)
        return mbi_fail_memory(err, "a prover key");
    m->commitment.root.digest = m->commitment.tree[nodes - 1];
    if (memcmp(&m->commitment.root.digest, head.models.weights, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the prover key is damaged: its tree has another root than its head");
    m->commitment.vector.n = mbi_min_size(m->vector.n, (size_t)m->root.rows << m->code.log_columns);
    m->root = m->commitment.root;
    return MAMBAINT_OK;
}

int32_t mbi_prover_key_use(struct mbi_proof_models *m, mambaint_error *err)
{
    mambaint_error why = {0, ""};
    int32_t rc = mbi_map_open(&m->prover_map, &m->ctx->host, m->prover_key, err);

    if (rc < 0)
        return rc;
    if ((rc = use_map(m, &why)) < 0)
        return mbi_fail(err, rc, "'%.80s': %.160s", m->prover_key, why.message);
    return MAMBAINT_OK;
}

void mbi_prover_key_close(struct mbi_proof_models *m)
{
    if (!m->ctx)
        return;
    mbi_free_aligned(&m->ctx->host, m->swapped);
    mbi_map_close(&m->prover_map, &m->ctx->host);
}

/* What the opening reads of a key's codeword is not looked at before: a proof that comes of a
 * damaged one is refused here. */
int32_t mbi_prover_key_check(const struct mbi_proof_models *m, const struct mbi_proof_plan *plan,
                             const struct mbi_buf *proof, mambaint_error *err)
{
    struct mbi_proof_file file;
    int32_t rc;

    if (!m->prover_key)
        return MAMBAINT_OK;
    mbi_progress(&m->ctx->host, "check", 0, 1);
    if ((rc = mbi_proof_file_read(&file, proof->data, proof->size, err)) >= 0)
        rc = mbi_proof_check(m, plan, &file, err);
    mbi_progress(&m->ctx->host, "check", 1, 1);
    return rc != MAMBAINT_E_REFUSED
               ? rc
               : mbi_fail(err, MAMBAINT_E_FORMAT,
                          "the prover key '%.80s' is damaged: the proof that it made does not "
                          "hold. 'check' says more; make the key anew",
                          m->prover_key);
}

/* ---- the whole file ---- */

int32_t mbi_prover_key_file_check(const struct mbi_host *host, const void *data, size_t n,
                                  mambaint_error *err)
{
    struct mbi_prover_key_head head;
    size_t elements, nodes, length;
    struct mbi_columns columns;
    struct mbi_digest *tree;
    bool same;
    int32_t rc = mbi_prover_key_read(&head, data, n, err);

    if (rc < 0)
        return rc;
    if (!has_size(&elements, &nodes, &head, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "prover key: it has another size than its head says; it was cut");
    length = (size_t)1 << head.log_length;
    if (MBI_BIG_ENDIAN)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "prover key: the head is sound; the rest is not checked on this machine");
    columns = (struct mbi_columns){(const void *)((const uint8_t *)data + head.size), head.rows,
                                   length, 1, NULL};
    if (!(tree = mbi_alloc(host, nodes, sizeof(*tree))))
        return mbi_fail_memory(err, "the tree of a prover key");
    mbi_merkle_leaves(tree, length, host, HASHED, mbi_hash_columns, &columns);
    (void)mbi_merkle_build(tree, length, host);
    same = !memcmp(tree, (const uint8_t *)data + head.size + elements * sizeof(mbi_fe),
                   nodes * sizeof(*tree)) &&
           !memcmp(&tree[nodes - 1], head.models.weights, MBI_DIGEST_SIZE);
    mbi_free(host, tree);
    return same ? MAMBAINT_OK
                : mbi_fail(err, MAMBAINT_E_FORMAT,
                           "prover key: codeword and tree do not lead to the root in its head; it "
                           "was damaged");
}

/* ---- writing ---- */

static int32_t write_codeword(struct mbi_save *save, const struct mbi_proof_models *m, size_t n,
                              mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    uint8_t *bytes = mbi_alloc(host, mbi_min_size(n, PIECE), sizeof(mbi_fe));
    int32_t rc = bytes ? MAMBAINT_OK : mbi_fail_memory(err, "a prover key");

    for (size_t at = 0, part; at < n && rc >= 0; at += part) {
        part = mbi_min_size(n - at, PIECE);
        mbi_copy_le(bytes, m->commitment.codeword + at, part, sizeof(mbi_fe));
        rc = mbi_save_write(save, bytes, part * sizeof(mbi_fe), err);
        mbi_progress(host, "write", at + part, n);
    }
    mbi_free(host, bytes);
    return rc;
}

static int32_t write_head(struct mbi_save *save, const struct mbi_proof_models *m,
                          mambaint_error *err)
{
    struct mbi_prover_key_head head = {.models = m->said,
                                       .log_rows = m->root.log_rows,
                                       .log_columns = m->code.log_columns,
                                       .log_length = m->code.log_length,
                                       .rows = rows_of(m)};
    struct mbi_buf bytes;
    int32_t rc;

    mbi_proof_hash_weights(head.vector, m);
    mbi_buf_init(&bytes, &m->ctx->host);
    mbi_prover_key_write(&bytes, &head);
    rc = bytes.failed ? mbi_fail_memory(err, "a prover key")
                      : mbi_save_write(save, bytes.data, bytes.size, err);
    mbi_buf_free(&bytes);
    return rc;
}

static int32_t save_key(const struct mbi_proof_models *m, const char *path, mambaint_error *err)
{
    struct mbi_save *save;
    size_t elements, nodes;
    int32_t rc;

    if (!sizes_of(&elements, &nodes, rows_of(m), m->code.log_length))
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a commitment has no size");
    if ((rc = mbi_save_begin(&save, &m->ctx->host, path, err)) < 0)
        return rc;
    if ((rc = write_head(save, m, err)) < 0 || (rc = write_codeword(save, m, elements, err)) < 0 ||
        (rc = mbi_save_write(save, m->commitment.tree, nodes * sizeof(struct mbi_digest), err)) < 0)
        mbi_save_abort(save);
    else
        rc = mbi_save_commit(save, err);
    return rc;
}

int32_t mambaint_prover_key_save(uint8_t model_id[32], const char *path,
                                 mambaint_model *const *model, size_t n_models,
                                 const mambaint_options *options, mambaint_error *err)
{
    struct mbi_proof_models m = {.ctx = NULL};
    int32_t rc;

    if (!path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "path must not be NULL");
    rc = mbi_proof_models_open(&m, model, n_models, options, err);
    if (rc >= 0 && m.public_weights)
        rc = mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                      "option weights: public weights are not committed to, and need no key");
    if (rc >= 0)
        rc = save_key(&m, path, err);
    if (rc >= 0 && model_id)
        mbi_statement_model_id(model_id, &m.said, false);
    mbi_proof_models_close(&m);
    return rc;
}
#endif

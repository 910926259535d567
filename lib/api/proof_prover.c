/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of provers: the commitment to a model's weights, made once and mapped for every proof. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "base/text.h"
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

/* Where the codeword begins: behind the page of a counter, if there is one. */
static size_t codeword_at(const struct mbi_prover_key_head *head)
{
    return head->size + (mbi_statement_is_hidden(&head->models) ? MBI_PROVER_KEY_ALIGN : 0);
}

/* Is there a codeword, which all proofs open? */
static bool has_codeword(const struct mbi_statement_models *m) { return m->roots.n < 2; }

/* Is the file the head, the counter, the codeword and the tree, and nothing more? */
static bool has_size(size_t *elements, size_t *nodes, const struct mbi_prover_key_head *head,
                     size_t n)
{
    const size_t begin = codeword_at(head);

    *elements = *nodes = 0;
    if (!has_codeword(&head->models))
        return n == begin;
    return sizes_of(elements, nodes, head->rows, head->log_length) && n >= begin &&
           (n - begin) / sizeof(mbi_fe) >= *elements &&
           n - begin - *elements * sizeof(mbi_fe) == *nodes * sizeof(struct mbi_digest);
}

/* ---- reading ---- */

/* The key is of these models, what said has of weights apart: that becomes the key's. */
static int32_t check_models(struct mbi_proof_models *m, const struct mbi_prover_key_head *head,
                            mambaint_error *err)
{
    const bool hidden = m->proofs > 0;

    if (mbi_statement_is_hidden(&head->models) != hidden)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        hidden ? "the prover key is of proofs that hide nothing: set zk to off, or "
                                 "make one with zk on"
                               : "the prover key is of proofs that hide the weights: set zk to on");
    memcpy(m->said.weights, head->models.weights, MBI_DIGEST_SIZE);
    m->said.roots = head->models.roots;
    return mbi_statement_same_models(&head->models, false, &m->said, false,
                                     "the prover key is of another model", err);
}

/* ... and of these weights, in the code that they have here. */
static int32_t check_weights(const struct mbi_proof_models *m,
                             const struct mbi_prover_key_head *head, mambaint_error *err)
{
    uint8_t vector[MBI_DIGEST_SIZE];

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

/* The commitment as a view of the file, whose root has to be `root`. */
static int32_t view_commitment(struct mbi_proof_models *m, const struct mbi_prover_key_head *head,
                               size_t elements, size_t nodes, const uint8_t *root,
                               mambaint_error *err)
{
    const struct mbi_map *map = &m->prover_map;

    m->commitment = (struct mbi_commitment){
        .code = m->code,
        .root = {.log_rows = head->log_rows, .rows = head->rows},
        .vector = m->vector,
        .codeword = find_codeword(m, map->data + codeword_at(head), elements),
        .tree = (struct mbi_digest *)(uintptr_t)(map->data + map->size -
                                                 nodes * sizeof(struct mbi_digest))};
    if (!m->commitment.codeword)
        return mbi_fail_memory(err, "a prover key");
    if (mbi_statement_is_hidden(&m->said))
        mbi_mask_seed_of(&m->commitment.seed, &m->hidden.seed, 0);
    m->commitment.root.digest = m->commitment.tree[nodes - 1];
    if (memcmp(&m->commitment.root.digest, root, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the prover key is damaged: its tree has another root than its head");
    m->commitment.vector.n = mbi_min_size(m->vector.n, (size_t)m->root.rows << m->code.log_columns);
    m->root = m->commitment.root;
    return MAMBAINT_OK;
}

/* Seed, roots, certificate, and what lies behind the weights. */
static int32_t take_hidden(struct mbi_proof_models *m, const struct mbi_prover_key_head *head,
                           mambaint_error *err)
{
    struct mbi_hidden_key *k = &m->hidden;
    const struct mbi_host *host = &m->ctx->host;
    const uint32_t n = head->models.roots.n;
    uint8_t digest[MBI_DIGEST_SIZE];

    memcpy(k->seed.byte, head->seed, sizeof(k->seed.byte));
    k->root = mbi_alloc(host, n, sizeof(*k->root));
    k->tree = mbi_alloc(host, MBI_ROOTS_NODES(n), sizeof(*k->tree));
    mbi_buf_init(&k->certificate, host);
    mbi_buf_add(&k->certificate, head->certificate, head->n_certificate);
    if (!k->root || !k->tree || k->certificate.failed)
        return mbi_fail_memory(err, "a prover key");
    memcpy(k->root, head->root, n * sizeof(*k->root));
    mbi_roots_tree(k->tree, k->root, n);
    mbi_statement_hidden_digest(digest, &head->models.roots, k->tree[MBI_ROOTS_NODES(n) - 1].byte);
    if (memcmp(digest, head->models.weights, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the prover key is damaged: its roots are not those of its head");
    return mbi_hidden_fill(m, err);
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
    if ((rc = check_models(m, &head, err)) < 0 || (rc = check_weights(m, &head, err)) < 0)
        return rc;
    if (mbi_statement_is_hidden(&head.models) && (rc = take_hidden(m, &head, err)) < 0)
        return rc;
    return has_codeword(&head.models)
               ? view_commitment(m, &head, elements, nodes,
                                 head.root ? head.root : head.models.weights, err)
               : MAMBAINT_OK;
}

static int32_t roots_of_map(struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_map *map = &m->prover_map;
    struct mbi_prover_key_head head;
    const int32_t rc = mbi_prover_key_read(&head, map->data, map->size, err);

    return rc < 0 ? rc : check_models(m, &head, err);
}

/* The file is opened once; what is said of it names it. */
static int32_t with_map(struct mbi_proof_models *m,
                        int32_t (*look)(struct mbi_proof_models *m, mambaint_error *err),
                        mambaint_error *err)
{
    mambaint_error why = {0, ""};
    int32_t rc = MAMBAINT_OK;

    if (!m->prover_map.data)
        rc = mbi_map_open(&m->prover_map, &m->ctx->host, m->prover_key, err);
    if (rc < 0)
        return rc;
    if ((rc = look(m, &why)) < 0)
        return mbi_fail(err, rc, "'%.80s': %.160s", m->prover_key, why.message);
    return MAMBAINT_OK;
}

int32_t mbi_prover_key_roots(struct mbi_proof_models *m, mambaint_error *err)
{
    return with_map(m, roots_of_map, err);
}

int32_t mbi_prover_key_use(struct mbi_proof_models *m, mambaint_error *err)
{
    return with_map(m, use_map, err);
}

void mbi_prover_key_close(struct mbi_proof_models *m)
{
    if (!m->ctx)
        return;
    mbi_free_aligned(&m->ctx->host, m->swapped);
    mbi_map_close(&m->prover_map, &m->ctx->host);
    mbi_hidden_forget(&m->hidden, &m->ctx->host);
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

/* Does the tree of the roots lead to the weights digest? */
static int32_t check_roots(const struct mbi_host *host, const struct mbi_prover_key_head *head,
                           mambaint_error *err)
{
    const uint32_t n = head->models.roots.n;
    struct mbi_digest *tree = mbi_alloc(host, MBI_ROOTS_NODES(n), sizeof(*tree));
    uint8_t digest[MBI_DIGEST_SIZE];

    if (!tree)
        return mbi_fail_memory(err, "the tree of a prover key");
    mbi_roots_tree(tree, (const struct mbi_digest *)(const void *)head->root, n);
    mbi_statement_hidden_digest(digest, &head->models.roots, tree[MBI_ROOTS_NODES(n) - 1].byte);
    mbi_free(host, tree);
    return memcmp(digest, head->models.weights, sizeof(digest)) != 0
               ? mbi_fail(err, MAMBAINT_E_FORMAT,
                          "prover key: its roots do not lead to the weights digest in its head")
               : MAMBAINT_OK;
}

static int32_t check_codeword(const struct mbi_host *host, const struct mbi_prover_key_head *head,
                              const uint8_t *data, size_t elements, size_t nodes,
                              mambaint_error *err)
{
    const size_t length = (size_t)1 << head->log_length, begin = codeword_at(head);
    const uint8_t *root = head->root ? head->root : head->models.weights;
    struct mbi_columns columns;
    struct mbi_digest *tree;
    bool same;

    if (MBI_BIG_ENDIAN)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "prover key: the head is sound; the rest is not checked on this machine");
    columns = (struct mbi_columns){(const void *)(data + begin), head->rows, length, 1, NULL};
    if (!(tree = mbi_alloc(host, nodes, sizeof(*tree))))
        return mbi_fail_memory(err, "the tree of a prover key");
    mbi_merkle_leaves(tree, length, host, HASHED, mbi_hash_columns, &columns);
    (void)mbi_merkle_build(tree, length, host);
    same = !memcmp(tree, data + begin + elements * sizeof(mbi_fe), nodes * sizeof(*tree)) &&
           !memcmp(&tree[nodes - 1], root, MBI_DIGEST_SIZE);
    mbi_free(host, tree);
    return same ? MAMBAINT_OK
                : mbi_fail(err, MAMBAINT_E_FORMAT,
                           "prover key: codeword and tree do not lead to the root in its head; it "
                           "was damaged");
}

int32_t mbi_prover_key_file_check(const struct mbi_host *host, const void *data, size_t n,
                                  mambaint_error *err)
{
    struct mbi_prover_key_head head;
    size_t elements, nodes;
    uint64_t left;
    int32_t rc = mbi_prover_key_read(&head, data, n, err);

    if (rc < 0)
        return rc;
    if (!has_size(&elements, &nodes, &head, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "prover key: it has another size than its head says; it was cut");
    if (mbi_statement_is_hidden(&head.models) &&
        ((rc = mbi_budget_left(&left, &head, data, n, err)) < 0 ||
         (rc = check_roots(host, &head, err)) < 0))
        return rc;
    return has_codeword(&head.models) ? check_codeword(host, &head, data, elements, nodes, err)
                                      : MAMBAINT_OK;
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

/* A page, behind the head: the certificate has taken the first opening. */
static void add_counter(struct mbi_buf *bytes)
{
    struct mbi_prover_key_head head;
    struct mbi_counter c;

    if (bytes->failed || mbi_prover_key_read(&head, bytes->data, bytes->size, NULL) < 0)
        return;
    mbi_counter_put(&c, 1, head.digest);
    mbi_buf_add(bytes, &c, sizeof(c));
    mbi_buf_add_zero(bytes, MBI_PROVER_KEY_ALIGN - sizeof(c));
}

static int32_t write_head(struct mbi_save *save, const struct mbi_proof_models *m,
                          mambaint_error *err)
{
    struct mbi_prover_key_head head = {.models = m->said,
                                       .log_rows = m->root.log_rows,
                                       .log_columns = m->code.log_columns,
                                       .log_length = m->code.log_length,
                                       .rows = rows_of(m),
                                       .seed = m->hidden.seed.byte,
                                       .root = (const uint8_t *)m->hidden.root,
                                       .certificate = m->hidden.certificate.data,
                                       .n_certificate = m->hidden.certificate.size};
    struct mbi_buf bytes;
    int32_t rc;

    if (mbi_statement_is_hidden(&m->said))
        memcpy(head.vector, m->hidden.vector, sizeof(head.vector));
    else
        mbi_proof_hash_weights(head.vector, m);
    mbi_buf_init(&bytes, &m->ctx->host);
    mbi_prover_key_write(&bytes, &head);
    if (mbi_statement_is_hidden(&m->said))
        add_counter(&bytes);
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
    if (mbi_statement_is_hidden(&m->said))
        rc = mbi_save_private(save, err);
    if (rc >= 0)
        rc = write_head(save, m, err);
    if (rc >= 0 && has_codeword(&m->said) && (rc = write_codeword(save, m, elements, err)) >= 0)
        rc = mbi_save_write(save, m->commitment.tree, nodes * sizeof(struct mbi_digest), err);
    if (rc < 0)
        mbi_save_abort(save);
    else
        rc = mbi_save_commit(save, err);
    return rc;
}

/* The one certificate of hidden weights: another one would be another opening of its root. */
static int32_t certify(struct mbi_proof_models *m, mambaint_error *err)
{
    if (!mbi_statement_is_hidden(&m->said))
        return MAMBAINT_OK;
    mbi_buf_init(&m->hidden.certificate, &m->ctx->host);
    return mbi_proof_write_certificate(&m->hidden.certificate, m, err);
}

int32_t mambaint_prover_key_save(uint8_t model_id[32], const char *path,
                                 mambaint_model *const *model, size_t n_models,
                                 const mambaint_options *options, mambaint_error *err)
{
    struct mbi_proof_models m = {.makes_key = true};
    int32_t rc;

    if (!path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "path must not be NULL");
    rc = mbi_proof_models_open(&m, model, n_models, options, err);
    if (rc >= 0 && m.public_weights)
        rc = mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                      "option weights: public weights are not committed to, and need no key");
    if (rc >= 0 && (rc = certify(&m, err)) >= 0)
        rc = save_key(&m, path, err);
    if (rc >= 0 && model_id)
        mbi_statement_model_id(model_id, &m.said, false);
    mbi_prover_key_close(&m);
    mbi_proof_models_close(&m);
    return rc;
}

/* ---- what a key says of itself ---- */

#define COPIES                                                                                     \
    "Each is counted in this file: copies of it, or an old one that is put back, make proofs "     \
    "with\n"                                                                                       \
    "the same numbers, and those together can tell the weights.\n"

static void add_words(struct mbi_buf *out, const struct mbi_prover_key_head *head, const char *id,
                      uint64_t left)
{
    mbi_buf_addf(out, "A key of a prover, for proofs whose weights are %s.\nmodel id: %s\n",
                 mbi_statement_mode_name(&head->models, false), id);
    if (!mbi_statement_is_hidden(&head->models))
        mbi_buf_add_text(out, "proofs: any number\n");
    else
        mbi_buf_addf(out, "proofs: %llu of %llu are left. " COPIES, (unsigned long long)left,
                     (unsigned long long)mbi_statement_openings(&head->models.roots) - 1);
}

static void add_json(struct mbi_buf *out, const struct mbi_prover_key_head *head, const char *id,
                     uint64_t left)
{
    mbi_buf_addf(out, "{\"type\": \"prover-key\", \"weights\": \"%s\", \"model_id\": \"%s\", ",
                 mbi_statement_mode_name(&head->models, false), id);
    if (!mbi_statement_is_hidden(&head->models))
        mbi_buf_add_text(out, "\"proofs\": null, \"proofs_left\": null}");
    else
        mbi_buf_addf(out, "\"proofs\": %llu, \"proofs_left\": %llu}",
                     (unsigned long long)mbi_statement_openings(&head->models.roots) - 1,
                     (unsigned long long)left);
}

static int32_t tell(struct mbi_buf *out, const struct mbi_map *map, bool json, mambaint_error *err)
{
    char id[2 * MBI_DIGEST_SIZE + 1];
    struct mbi_prover_key_head head;
    uint8_t digest[MBI_DIGEST_SIZE];
    uint64_t left = 0;
    int32_t rc = mbi_prover_key_read(&head, map->data, map->size, err);

    if (rc >= 0 && mbi_statement_is_hidden(&head.models))
        rc = mbi_budget_left(&left, &head, map->data, map->size, err);
    if (rc < 0)
        return rc;
    mbi_statement_model_id(digest, &head.models, false);
    mbi_hex(id, digest, sizeof(digest));
    (json ? add_json : add_words)(out, &head, id, left);
    return out->failed ? mbi_fail_memory(err, "a text") : MAMBAINT_OK;
}

int32_t mambaint_prover_key_text(char *buf, size_t cap, size_t *need, const char *path,
                                 const char *key, mambaint_error *err)
{
    const bool json = key && mbi_key_equal(key, "json");
    struct mbi_buf text;
    struct mbi_host host;
    struct mbi_map map;
    int32_t rc;

    if (!path || (!buf && cap) || !key || (!json && !mbi_key_equal(key, "text")))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "path must not be NULL, and key has to be text or json");
    mbi_host_default(&host);
    if ((rc = mbi_map_open(&map, &host, path, err)) < 0)
        return rc;
    mbi_buf_init(&text, &host);
    if ((rc = tell(&text, &map, json, err)) >= 0)
        rc = mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    mbi_map_close(&map, &host);
    return rc;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Hidden weights: the roots of a key, how many it needs, and the one that a proof opens. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* ---- how many ---- */

bool mbi_hidden_code(struct mbi_code *code, unsigned bits, uint32_t openings)
{
    return MBI_EXT(code_of_hidden)(code, bits, 2, MBI_PROOF_LEVEL, openings);
}

bool mbi_hidden_fits(const struct mbi_code *code, uint32_t openings)
{
    return openings == 1 || code->masks <= ((uint64_t)1 << code->log_columns) / 8;
}

/* The most openings of a root, a power of two, of which no more than `want` are needed; 0: there is
 * no code. */
static uint32_t most_openings(unsigned bits, uint64_t want)
{
    struct mbi_code code;
    uint32_t n = 1;

    if (bits > MBI_PLAN_MAX_BITS || !mbi_hidden_code(&code, bits, n))
        return 0;
    while (n < want && n < MBI_STATEMENT_OPENINGS && mbi_hidden_code(&code, bits, 2 * n) &&
           mbi_hidden_fits(&code, 2 * n))
        n *= 2;
    return n;
}

int32_t mbi_hidden_budget(struct mbi_statement_roots *r, uint64_t end, unsigned weight_bits,
                          uint32_t proofs, mambaint_error *err)
{
    const uint64_t want = (uint64_t)proofs + 1; /* the certificate is one, too */
    const struct mbi_blur blur = mbi_blur_of(end, weight_bits, MBI_STATEMENT_ROOTS, MBI_EXT_D);

    *r = (struct mbi_statement_roots){.n = 1, .openings = most_openings(weight_bits, want)};
    if (r->openings && r->openings < want)
        *r = (struct mbi_statement_roots){.n = 2, .openings = most_openings(blur.bits, want)};
    if (!r->openings)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "models of this size cannot be committed to");
    while (r->n < MBI_STATEMENT_ROOTS && mbi_statement_openings(r) < want)
        r->n *= 2;
    if (mbi_statement_openings(r) < want)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "option proofs: %u, but a key of these models makes at most %llu; make "
                        "several keys",
                        proofs, (unsigned long long)mbi_statement_openings(r) - 1);
    return MAMBAINT_OK;
}

/* ---- making the roots ---- */

/* The commitment with the masks of a seed. */
static int32_t commit_masked(struct mbi_commitment *out, const struct mbi_proof_models *m,
                             const struct mbi_mask_seed *seed, const struct mbi_ntt *ntt,
                             mambaint_error *err)
{
    const struct mbi_masking masking = {seed, false};
    struct mbi_table used = m->vector;

    used.n = mbi_min_size(used.n, (size_t)m->root.rows << m->code.log_columns);
    return MBI_EXT(commit)(out, &used, m->root.log_rows + m->code.log_columns, &m->code, &masking,
                           ntt, err);
}

static int32_t make_ntt(struct mbi_ntt *ntt, const struct mbi_proof_models *m, mambaint_error *err)
{
    return mbi_ntt_init(ntt, &m->ctx->host, mbi_field_kernels_best(), m->code.log_length, err);
}

int32_t mbi_hidden_fill(struct mbi_proof_models *m, mambaint_error *err)
{
    const size_t bytes = sizeof(int16_t) << m->blur.bits;
    int16_t *old = (int16_t *)(uintptr_t)m->vector.data, *w = old;

    if (!m->blur.entries)
        return MAMBAINT_OK;
    if (m->vector.n < (size_t)1 << m->blur.bits) {
        if (!(w = mbi_alloc_aligned(&m->ctx->host, bytes)))
            return mbi_fail_memory(err, "the weights of a proof");
        memcpy(w, old, m->vector.n * sizeof(*w));
        mbi_free_aligned(&m->ctx->host, old);
        m->vector.n = (size_t)1 << m->blur.bits;
        m->vector.data = w;
    }
    mbi_blur_fill(w + m->blur.end, &m->blur, &m->hidden.seed);
    return MAMBAINT_OK;
}

/* All roots; the commitment of the last one is kept if it is the only one. */
static int32_t make_roots(struct mbi_proof_models *m, mambaint_error *err)
{
    const uint32_t n = m->said.roots.n;
    struct mbi_mask_seed seed;
    struct mbi_ntt ntt;
    int32_t rc = make_ntt(&ntt, m, err);

    if (rc < 0)
        return rc;
    mbi_progress(&m->ctx->host, "weights", 0, n);
    for (uint32_t i = 0; i < n && rc >= 0; i++) {
        struct mbi_commitment c = {.host = NULL};

        mbi_mask_seed_of(&seed, &m->hidden.seed, i);
        if ((rc = commit_masked(&c, m, &seed, &ntt, err)) >= 0)
            m->hidden.root[i] = c.root.digest;
        if (n > 1 || rc < 0)
            MBI_EXT(commitment_free)(&c);
        else
            m->commitment = c;
        mbi_progress(&m->ctx->host, "weights", i + 1, n);
    }
    mbi_mask_seed_forget(&seed);
    mbi_ntt_free(&ntt);
    return rc;
}

/* What the roots have in common, and the digest of it all. */
static void name_roots(struct mbi_proof_models *m)
{
    const struct mbi_digest *top = &m->hidden.tree[MBI_ROOTS_NODES(m->said.roots.n) - 1];
    struct mbi_root_claim claim;
    struct mbi_ext value;

    mbi_roots_tree(m->hidden.tree, m->hidden.root, m->said.roots.n);
    MBI_EXT(root_claim)(&claim, &m->said, top, &m->blur);
    value = MBI_EXT(root_value)(&claim, &m->blur, &m->vector);
    for (int i = 0; i < MBI_STATEMENT_DEGREE; i++)
        m->said.roots.value[i] = value.c[i];
    mbi_statement_hidden_digest(m->said.weights, &m->said.roots, top->byte);
}

int32_t mbi_hidden_make(struct mbi_proof_models *m, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    const uint32_t n = m->said.roots.n;
    int32_t rc = mbi_mask_seed_draw(&m->hidden.seed, err);

    mbi_proof_hash_weights(m->hidden.vector, m);
    if (rc < 0 || (rc = mbi_hidden_fill(m, err)) < 0)
        return rc;
    m->hidden.root = mbi_alloc(host, n, sizeof(*m->hidden.root));
    m->hidden.tree = mbi_alloc(host, MBI_ROOTS_NODES(n), sizeof(*m->hidden.tree));
    if (!m->hidden.root || !m->hidden.tree)
        return mbi_fail_memory(err, "a prover key");
    if ((rc = make_roots(m, err)) >= 0)
        name_roots(m);
    return rc;
}

void mbi_hidden_forget(struct mbi_hidden_key *k, const struct mbi_host *host)
{
    mbi_mask_seed_forget(&k->seed);
    mbi_free(host, k->root);
    mbi_free(host, k->tree);
    if (k->certificate.host)
        mbi_buf_free(&k->certificate);
    *k = (struct mbi_hidden_key){.root = NULL};
}

/* ---- one proof ---- */

/* Units of the counter go round all roots: each is opened no more often than it may be. */
static int32_t take_unit(uint64_t *unit, const struct mbi_proof_models *m, mambaint_error *err)
{
    struct mbi_prover_key_head head;
    const int32_t rc = mbi_prover_key_read(&head, m->prover_map.data, m->prover_map.size, err);

    return rc < 0 ? rc : mbi_budget_take(unit, m->prover_key, &head, err);
}

/* Anew, out of the seed, unless the key has the only one. */
static int32_t open_root(struct mbi_hidden_use *u, const struct mbi_proof_models *m,
                         mambaint_error *err)
{
    struct mbi_ntt ntt;
    int32_t rc;

    mbi_mask_seed_of(&u->weights, &m->hidden.seed, u->number);
    if (m->said.roots.n == 1) {
        u->opened = m->commitment;
        return MAMBAINT_OK;
    }
    if ((rc = make_ntt(&ntt, m, err)) < 0)
        return rc;
    mbi_progress(&m->ctx->host, "weights", 0, 1);
    rc = commit_masked(&u->opened, m, &u->weights, &ntt, err);
    mbi_progress(&m->ctx->host, "weights", 1, 1);
    mbi_ntt_free(&ntt);
    if (rc >= 0 && memcmp(&u->opened.root.digest, &m->hidden.root[u->number],
                          sizeof(u->opened.root.digest)) != 0)
        rc = mbi_fail(err, MAMBAINT_E_FORMAT,
                      "the prover key is damaged, or of another version of this library: its seed "
                      "makes another root than it says; make a new key");
    return rc;
}

/* What a part begins with is in no statement: its digest, and the pad of its link. */
static void add_before(struct mbi_buf *out, const struct mbi_boundaries *b)
{
    uint8_t digest[MBI_DIGEST_SIZE];

    if (!b || !b->vector[MBI_BEFORE])
        return;
    mbi_blake2b(digest, b->vector[MBI_BEFORE], b->bytes[MBI_BEFORE]);
    mbi_buf_add(out, digest, sizeof(digest));
    mbi_buf_add(out, &b->pad[MBI_BEFORE], sizeof(b->pad[MBI_BEFORE]));
    explicit_bzero(digest, sizeof(digest));
}

/* One that nobody knows, and that no other proof has: not if the system's generator is poor, nor if
 * the key was copied; if both, only if all that it depends on is the same. */
static int32_t draw_seed(struct mbi_hidden_use *u, const struct mbi_proof_models *m, uint64_t unit,
                         const struct mbi_statement *s, const struct mbi_boundaries *b,
                         mambaint_error *err)
{
    struct mbi_buf said;
    int32_t rc = mbi_mask_seed_draw(&u->seed, err);

    if (rc < 0)
        return rc;
    mbi_buf_init(&said, &m->ctx->host);
    mbi_statement_put(&said, s);
    add_before(&said, b);
    if (said.failed)
        rc = mbi_fail_memory(err, "the statement of a proof");
    else
        mbi_mask_seed_mix(&u->seed, &m->hidden.seed, unit, said.data, said.size);
    if (said.data)
        explicit_bzero(said.data, said.size);
    mbi_buf_free(&said);
    return rc;
}

int32_t mbi_hidden_begin(struct mbi_hidden_use *u, const struct mbi_proof_models *m,
                         const struct mbi_statement *s, const struct mbi_boundaries *b,
                         mambaint_error *err)
{
    const struct mbi_digest *top = &m->hidden.tree[MBI_ROOTS_NODES(m->said.roots.n) - 1];
    uint64_t unit = 0; /* a certificate takes the first one, and is made once */
    int32_t rc = s->lanes ? take_unit(&unit, m, err) : MAMBAINT_OK;

    u->number = (uint32_t)(unit % m->said.roots.n);
    if (rc < 0 || (rc = draw_seed(u, m, unit, s, b, err)) < 0 || (rc = open_root(u, m, err)) < 0)
        return rc;
    MBI_EXT(root_claim)(&u->claim, &m->said, top, &m->blur);
    return MAMBAINT_OK;
}

void mbi_hidden_end(struct mbi_hidden_use *u, const struct mbi_proof_models *m)
{
    if (m->said.roots.n > 1)
        MBI_EXT(commitment_free)(&u->opened);
    mbi_mask_seed_forget(&u->seed);
    mbi_mask_seed_forget(&u->weights);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Interleaved Reed-Solomon codes under a Merkle tree. */
#include "proof/commit.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/open.h"

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)
#define HASHED 16 /* columns, worth a thread's while */

/* ---- matrices ---- */

bool MBI_EXT(matrix_alloc)(struct mbi_matrix *m, const struct mbi_host *host)
{
    const size_t length = (size_t)1 << m->log_length, digests = mbi_merkle_size(length);
    size_t size;

    m->codeword = NULL;
    m->tree = NULL;
    if (!digests || !mbi_mul_size(&size, length, sizeof(*m->codeword)) ||
        !mbi_mul_size(&size, size, m->rows))
        return false;
    m->codeword = mbi_alloc_huge(host, size);
    m->tree = mbi_alloc_huge(host, digests * sizeof(*m->tree));
    return m->codeword && m->tree;
}

void MBI_EXT(matrix_free)(struct mbi_matrix *m, const struct mbi_host *host)
{
    mbi_free_aligned(host, m->codeword);
    mbi_free_aligned(host, m->tree);
    *m = (struct mbi_matrix){0};
}

/* The rows are transformed in place. */
int32_t MBI_EXT(matrix_encode)(struct mbi_matrix *m, size_t entries, const struct mbi_ntt *ntt,
                               mambaint_error *err)
{
    const size_t length = (size_t)1 << m->log_length;
    const struct mbi_ntt_job job = {.in = m->codeword,
                                    .in_row = length,
                                    .in_step = 1,
                                    .out = m->codeword,
                                    .out_row = length,
                                    .out_step = 1,
                                    .rows = m->rows,
                                    .ell = entries,
                                    .log_n = m->log_length};
    struct mbi_columns columns = {m->codeword, m->rows, length, 1, NULL};
    const int32_t rc = mbi_ntt_run(ntt, &job, err);

    if (rc < 0)
        return rc;
    mbi_merkle_leaves(m->tree, length, ntt->host, HASHED, mbi_hash_columns, &columns);
    (void)mbi_merkle_build(m->tree, length, ntt->host);
    return MAMBAINT_OK;
}

struct spreading {
    const struct mbi_matrix *m;
    const struct mbi_ext *entry;
    size_t columns;
};

/* Coordinate r mod D of row r div D. */
static void spread_rows(void *arg, size_t begin, size_t end)
{
    const struct spreading *a = arg;

    for (size_t r = begin; r < end; r++) {
        const struct mbi_ext *from = a->entry + r / MBI_EXT_D * a->columns;
        mbi_fe *to = a->m->codeword + (r << a->m->log_length);

        for (size_t i = 0; i < a->columns; i++)
            to[i] = from[i].c[r % MBI_EXT_D];
    }
}

int32_t MBI_EXT(matrix_of)(struct mbi_matrix *m, const struct mbi_ext *entry, size_t rows,
                           const struct mbi_layer *layer, const struct mbi_ntt *ntt,
                           mambaint_error *err)
{
    struct spreading a = {m, entry, (size_t)1 << layer->log_columns};

    *m = (struct mbi_matrix){.rows = MBI_EXT_D * rows, .log_length = layer->log_length};
    if (!MBI_EXT(matrix_alloc)(m, ntt->host))
        return mbi_fail_memory(err, "a layer of an opening");
    mbi_parallel_for(ntt->host, m->rows, BLOCK / mbi_min_size(a.columns, BLOCK), spread_rows, &a);
    return MBI_EXT(matrix_encode)(m, a.columns, ntt, err);
}

/* ---- commitments ---- */

struct widening {
    const struct mbi_commitment *of;
    const struct mbi_matrix *m;
    size_t rows; /* in use; those behind them are blind */
};

/* What is behind the entries of a row. Pads are in one row alone. */
static void hide_row(mbi_fe *row, const struct mbi_commitment *c, size_t r)
{
    mbi_mask_fill(row, c->code.masks, &c->seed, MBI_MASK_ROW, r);
    if (!c->blind)
        return;
    row += c->code.masks;
    if (r + 1 == c->root.rows)
        mbi_mask_fill(row, c->code.pads, &c->seed, MBI_MASK_ROUND, 0);
    else
        memset(row, 0, c->code.pads * sizeof(*row));
}

static void widen_rows(void *arg, size_t begin, size_t end)
{
    const struct widening *a = arg;
    const struct mbi_code *code = &a->of->code;
    const size_t columns = (size_t)1 << code->log_columns;

    for (size_t r = begin; r < end; r++) {
        mbi_fe *row = a->m->codeword + (r << a->m->log_length);

        if (r >= a->rows) {
            mbi_mask_fill(row, mbi_code_entries(code), &a->of->seed, MBI_MASK_BLIND, r - a->rows);
            continue;
        }
        MBI_EXT(table_load)(row, &a->of->vector, r * columns, columns);
        if (code->masks)
            hide_row(row + columns, a->of, r);
    }
}

static const char *vector_fault(const struct mbi_table *vector, unsigned bits,
                                const struct mbi_code *code, const struct mbi_masking *masking)
{
    if (bits < code->log_columns + (code->masks ? 1 : 0) || bits > MBI_MAX_BITS ||
        vector->n > (uint64_t)1 << bits)
        return "a vector does not have the size of its code";
    if (!masking != !code->masks)
        return "a code has masks without a seed, or none with one";
    return vector->type == MBI_TABLE_EXT ? "a vector is not over F" : NULL;
}

/* The rows in use, at the begin of their codewords; then the rest. */
static int32_t make(struct mbi_matrix *m, const struct mbi_commitment *of,
                    const struct mbi_ntt *ntt, mambaint_error *err)
{
    const size_t columns = (size_t)1 << of->code.log_columns;
    struct widening a = {of, m, (size_t)of->root.rows};

    m->rows = a.rows + (of->blind ? mbi_blind_rows(&of->code) : 0);
    if (!MBI_EXT(matrix_alloc)(m, ntt->host))
        return mbi_fail_memory(err, "a commitment");
    mbi_parallel_for(ntt->host, m->rows, BLOCK / mbi_min_size(columns, BLOCK), widen_rows, &a);
    return MBI_EXT(matrix_encode)(m, mbi_code_entries(&of->code) - (of->blind ? 0 : of->code.pads),
                                  ntt, err);
}

int32_t MBI_EXT(commit)(struct mbi_commitment *out, const struct mbi_table *vector, unsigned bits,
                        const struct mbi_code *code, const struct mbi_masking *masking,
                        const struct mbi_ntt *ntt, mambaint_error *err)
{
    const char *fault = MBI_EXT(code_fault)(code);
    struct mbi_matrix m = {.log_length = code->log_length};
    int32_t rc;

    *out = (struct mbi_commitment){.host = ntt->host, .code = *code, .vector = *vector};
    if (!fault)
        fault = vector_fault(vector, bits, code, masking);
    if (!fault && bits - code->log_columns >= 8 * sizeof(m.rows))
        fault = "a vector does not fit this machine";
    if (fault)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a commitment was planned wrongly: %s", fault);
    out->root.log_rows = bits - code->log_columns;
    out->root.rows = mbi_code_rows(code, vector->n);
    if (masking) {
        out->seed = *masking->seed;
        out->blind = masking->blind;
    }
    rc = make(&m, out, ntt, err);
    out->codeword = m.codeword;
    out->tree = m.tree;
    if (rc < 0)
        MBI_EXT(commitment_free)(out);
    else
        out->root.digest = *mbi_matrix_root(&m);
    return rc;
}

void MBI_EXT(commitment_free)(struct mbi_commitment *c)
{
    if (!c->host)
        return;
    mbi_free_aligned(c->host, c->codeword);
    mbi_free_aligned(c->host, c->tree);
    mbi_mask_seed_forget(&c->seed);
    *c = (struct mbi_commitment){0};
}
#endif

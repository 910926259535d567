/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of one run or chain, one behind the other: their file, and whether each follows the one
 * before. */
#include "proof/series.h"

#define HEAD 12 /* bytes before the first proof */
#define MAGIC "MIPS"

/* ---- the file ---- */

bool mbi_series_is(const void *data, size_t n) { return n >= 4 && !memcmp(data, MAGIC, 4); }

int32_t mbi_series_read(struct mbi_series *out, const void *data, size_t n, mambaint_error *err)
{
    const uint8_t *p = data;
    int32_t rc;

    if (!mbi_series_is(data, n))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "series: these bytes are no series of proofs");
    if (n < HEAD + MBI_DIGEST_SIZE)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "series: %zu bytes are too few; it was cut", n);
    if ((rc = mbi_proof_file_ends(p, n, "series", err)) < 0)
        return rc;
    *out = (struct mbi_series){.n = mbi_load32(p + 8),
                               .left = {.data = p, .size = n - MBI_DIGEST_SIZE, .pos = HEAD}};
    if (!out->n || out->n > MBI_SERIES_PROOFS)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "series: the number of proofs is not from 1 to %u",
                        MBI_SERIES_PROOFS);
    return MAMBAINT_OK;
}

int32_t mbi_series_next(struct mbi_proof_file *out, struct mbi_series *s, mambaint_error *err)
{
    const uint8_t *proof;
    mambaint_error why;
    uint32_t size;
    int32_t rc;

    if (s->next == s->n)
        return mbi_read_left(&s->left)
                   ? mbi_fail(err, MAMBAINT_E_FORMAT, "series: something is left behind its proofs")
                   : MAMBAINT_END;
    size = mbi_read32(&s->left);
    if (!(proof = mbi_read_bytes(&s->left, size)))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "series: it ends within proof %u of %u",
                        s->next + 1, s->n);
    s->next++;
    if ((rc = mbi_proof_file_read(out, proof, size, &why)) < 0)
        return mbi_fail(err, rc, "series: proof %u of %u: %.180s", s->next, s->n, why.message);
    return MAMBAINT_OK;
}

void mbi_series_begin(struct mbi_buf *out, uint32_t n)
{
    mbi_buf_add_text(out, MAGIC);
    mbi_buf_add32(out, MBI_PROOF_VERSION | (uint32_t)MBI_PROOF_PROFILE << 16);
    mbi_buf_add32(out, n);
}

void mbi_series_add(struct mbi_buf *out, const void *proof, size_t n)
{
    mbi_buf_add32(out, (uint32_t)n); /* of one proof, far below 2^32 */
    mbi_buf_add(out, proof, n);
}

void mbi_series_end(struct mbi_buf *out) { mbi_proof_file_end(out); }

void mbi_joined_init(struct mbi_joined *j, const struct mbi_host *host)
{
    *j = (struct mbi_joined){.n = 0};
    mbi_buf_init(&j->ids, host);
}

void mbi_joined_free(struct mbi_joined *j) { mbi_buf_free(&j->ids); }

/* Does a proof begin where those that were joined end? Both are hidden, or none is. */
static bool same_boundary(const struct mbi_joined *j, const struct mbi_statement *s)
{
    const uint8_t *a = j->said.boundary[MBI_BEHIND], *b = s->boundary[MBI_BEFORE];

    return a && b && !memcmp(a, b, mbi_statement_boundary_size(&s->models));
}

/* ---- the models of a chain ---- */

void mbi_chain_models_begin(struct mbi_blake2b *weights, struct mbi_statement_models *m)
{
    static const char domain[] = "mambaint-chain";

    memset(m, 0, sizeof(*m));
    mbi_blake2b_init(weights);
    mbi_blake2b_add(weights, domain, sizeof(domain) - 1);
}

const char *mbi_chain_models_add(struct mbi_blake2b *weights, struct mbi_statement_models *m,
                                 const struct mbi_statement_models *next)
{
    uint8_t n[4];

    if (next->n > MBI_STATEMENT_MODELS - m->n)
        return "all of them together have more than 16 models";
    for (uint32_t i = 0; i < next->n; i++)
        m->model[m->n++] = next->model[i];
    if (mbi_statement_is_hidden(next)) /* each proof says of its own roots */
        m->roots = (struct mbi_statement_roots){.n = 1, .openings = 1};
    mbi_store32(n, next->n);
    mbi_blake2b_add(weights, n, sizeof(n));
    mbi_blake2b_add(weights, next->weights, sizeof(next->weights));
    return NULL;
}

void mbi_chain_models_end(struct mbi_blake2b *weights, struct mbi_statement_models *m)
{
    mbi_blake2b_end(weights, m->weights);
}

/* ---- does a proof follow? ---- */

/* NULL, or why a proof of a run cannot stand behind those that were joined. */
static const char *continues_run(const struct mbi_joined *j, const struct mbi_statement *s)
{
    if (!j->n)
        return s->t0 ? "it does not begin at position 0" : NULL;
    if (s->t0 != j->said.lanes)
        return "it does not begin where the one before it ends";
    if (!same_boundary(j, s))
        return "it does not begin with the memory that the one before it hands on";
    if (mbi_load32(j->ids.data + j->ids.size - 4) != mbi_statement_id(s, 0))
        return "it does not begin with the last token of the one before it";
    if (j->said.n_outputs && s->n_outputs != s->lanes)
        return "not all of its tokens are an answer, but the ones before it had begun to answer";
    if (s->lanes > MBI_STATEMENT_STEPS - j->said.lanes)
        return "all of them together have too many steps";
    return NULL;
}

/* The same of a chain. */
static const char *continues_chain(const struct mbi_joined *j, const struct mbi_statement *s)
{
    if (!j->n)
        return s->boundary[MBI_BEFORE] ? "it does not begin with features" : NULL;
    if (!j->said.boundary[MBI_BEHIND])
        return "the one before it hands nothing on: it is the last of its chain";
    if (!s->boundary[MBI_BEFORE])
        return "it begins with features of its own";
    if (s->lanes != j->said.lanes || s->n_inputs != j->said.n_outputs)
        return "its model takes another number of values than the one before it hands on";
    if (!same_boundary(j, s))
        return "it does not begin with what the one before it hands on";
    return NULL;
}

static int32_t same_models(const struct mbi_joined *j, const struct mbi_proof_file *file,
                           mambaint_error *err)
{
    return mbi_statement_same_models(
        &file->statement.models, file->public_weights, &j->said.models, j->public_weights,
        "series: a proof is of another model than those before it", err);
}

/* Is it a proof of the kind that the first one is? */
static int32_t check_kind(const struct mbi_joined *j, const struct mbi_proof_file *file,
                          mambaint_error *err)
{
    const char *mode = mbi_statement_mode_name(&file->statement.models, file->public_weights);
    const char *before = mbi_statement_mode_name(&j->said.models, j->public_weights);
    const bool chain = !mbi_statement_is_of_tokens(&file->statement);

    if (file->type != MBI_PROOF_RUN)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "series: proof %u is not of a run", j->n + 1);
    if (j->n && chain != j->chain)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "series: proof %u is of %s, those before it are of %s", j->n + 1,
                        chain ? "features" : "tokens", chain ? "tokens" : "features");
    if (j->n && chain && mode != before)
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "series: the weights of proof %u are %s, those before it are %s", j->n + 1,
                        mode, before);
    return j->n && !chain ? same_models(j, file, err) : MAMBAINT_OK;
}

/* ---- what they say together ---- */

/* A part of a run: the ids that the one before had not. */
static void add_run(struct mbi_joined *j, const struct mbi_statement *s)
{
    const size_t known = j->n ? 1 : 0;

    if (!j->n) {
        j->said = *s;
    } else {
        j->said.lanes += s->lanes;
        j->said.n_outputs += s->n_outputs;
        j->said.boundary[MBI_BEHIND] = s->boundary[MBI_BEHIND];
    }
    mbi_buf_add(&j->ids, s->input + 4 * known, 4 * (s->n_inputs - known));
}

/* A part of a chain; NULL, or why there are too many. */
static const char *add_stage(struct mbi_joined *j, const struct mbi_proof_file *file)
{
    const struct mbi_statement *s = &file->statement;

    if (!j->n) {
        j->said = *s;
        mbi_chain_models_begin(&j->weights, &j->said.models);
    }
    if (j->n < MBI_STATEMENT_MODELS)
        j->size[j->n] = file->bound_size + file->body_size + MBI_DIGEST_SIZE;
    j->said.output_kind = s->output_kind;
    j->said.n_outputs = s->n_outputs;
    j->said.output = s->output;
    j->said.boundary[MBI_BEHIND] = s->boundary[MBI_BEHIND];
    return mbi_chain_models_add(&j->weights, &j->said.models, &s->models);
}

int32_t mbi_joined_add(struct mbi_joined *j, const struct mbi_proof_file *file, mambaint_error *err)
{
    const struct mbi_statement *s = &file->statement;
    const char *fault;
    int32_t rc = check_kind(j, file, err);

    if (rc < 0)
        return rc;
    if (!j->n) {
        j->public_weights = file->public_weights;
        j->chain = !mbi_statement_is_of_tokens(s);
    }
    fault = j->chain ? continues_chain(j, s) : continues_run(j, s);
    if (!fault && j->chain)
        fault = add_stage(j, file);
    if (fault)
        return mbi_fail(err, MAMBAINT_E_REFUSED, "series: proof %u: %s", j->n + 1, fault);
    if (!j->chain)
        add_run(j, s);
    j->n++;
    return j->ids.failed ? mbi_fail_memory(err, "the tokens of a proof") : MAMBAINT_OK;
}

int32_t mbi_joined_end(struct mbi_buf *out, struct mbi_joined *j, mambaint_error *err)
{
    if (!j->n || j->said.boundary[MBI_BEHIND])
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        j->chain ? "series: its last proof hands on what no other one takes"
                                 : "series: its last proof hands its memory on, but no other one "
                                   "follows");
    if (j->chain && j->n == 1)
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        "series: a chain of one proof, which stands alone");
    if (j->chain) {
        mbi_chain_models_end(&j->weights, &j->said.models);
    } else {
        j->said.input = j->ids.data;
        j->said.n_inputs = j->said.lanes + 1;
    }
    mbi_proof_file_begin(out, j->chain ? MBI_PROOF_CHAIN : MBI_PROOF_RUN, j->public_weights,
                         &j->said);
    mbi_proof_file_end(out);
    return out->failed ? mbi_fail_memory(err, "a statement") : MAMBAINT_OK;
}

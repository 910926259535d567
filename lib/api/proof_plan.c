/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what prover and verifier derive from models and the size of a run. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM

/*
 * What falls short of the profile's level is refused. Nobody has to walk for it: the numbers of
 * sums and claims are bounded, and what the walk has no step for is refused when it gets there.
 */
static int32_t find_level(struct mbi_proof_plan *p, const char *what, mambaint_error *err)
{
    const struct mbi_proof_shape most = MBI_EXT(proof_shape_most)(p->plan);

    p->level = MBI_EXT(proof_level)(p->plan, &most, &p->code);
    if (p->level < MBI_PROOF_LEVEL)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "a %s of models of this size would not reach %d bits of soundness", what,
                        MBI_PROOF_LEVEL);
    return MAMBAINT_OK;
}

int32_t mbi_proof_plan_try(const struct mbi_proof_plan *p, const struct mbi_host *host,
                           mambaint_error *err)
{
    struct mbi_proof_shape shape;

    if (MBI_EXT(proof_shape)(&shape, p->plan, host))
        return MAMBAINT_OK;
    return shape.fault
               ? mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: %s", shape.fault)
               : mbi_fail_memory(err, "a proof");
}

/* The rows of a weight, taken out of the vector piece by piece. */
static bool fill_table(struct mbi_table *t, const struct mbi_proof_models *m,
                       const struct mbi_plan *p, const struct mbi_var *v)
{
    const int16_t *from = m->vector.data;
    int16_t *to;

    t->type = MBI_TABLE_I16;
    t->n = (size_t)v->n[0] << mbi_row_log(v);
    if (!(t->data = to = mbi_alloc(&m->ctx->host, t->n, sizeof(*to))))
        return false;
    for (uint32_t k = 0; k < v->n_pieces; k++) {
        const struct mbi_piece *piece = &p->piece[v->first_piece + k];
        const size_t first = (size_t)piece->block << (piece->log_rows + piece->col_bits);

        for (size_t r = 0; r < (size_t)1 << piece->log_rows; r++)
            memcpy(to + ((piece->row + r) << mbi_row_log(v)) + piece->col,
                   from + first + (r << piece->col_bits), sizeof(*to) << piece->col_bits);
    }
    return true;
}

static int32_t make_tables(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                           mambaint_error *err)
{
    if (!(p->table = mbi_alloc(&m->ctx->host, p->plan->n_vars, sizeof(*p->table))))
        return mbi_fail_memory(err, "the weights of a proof");
    for (uint32_t i = 0; i < p->plan->n_vars; i++)
        if (p->plan->var[i].kind == MBI_VAR_WEIGHT &&
            !fill_table(&p->table[i], m, p->plan, &p->plan->var[i]))
            return mbi_fail_memory(err, "the weights of a proof");
    return MAMBAINT_OK;
}

/* Of hidden weights: the plan gets pads, and the code of the key what the opening of a proof needs.
 * The verifier computes both, too. */
static int32_t hide(struct mbi_proof_plan *p, const struct mbi_proof_models *m, mambaint_error *err)
{
    unsigned bits[2];
    int32_t rc;

    if (!mbi_statement_is_hidden(&m->said))
        return MAMBAINT_OK;
    if ((rc = MBI_EXT(plan_hide)(p->plan, err)) < 0)
        return rc;
    bits[0] = p->plan->bits;
    bits[1] = m->blur.bits;
    if (!MBI_EXT(code_fit)(&p->code, bits, 2))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "models of this size cannot be committed to");
    /* Or else the openings of a root together show more of it than its masks hide. */
    return (uint64_t)m->said.roots.openings * p->code.queries < p->code.masks
               ? MAMBAINT_OK
               : mbi_fail(err, MAMBAINT_E_INTERNAL, "a key has fewer masks than it shows columns");
}

int32_t mbi_proof_plan_run(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                           uint32_t lanes, uint32_t n_outputs, mambaint_error *err)
{
    const struct mbi_proof_part all = {.lanes = lanes, .n_outputs = n_outputs};

    return mbi_proof_plan_part(p, m, &all, err);
}

int32_t mbi_proof_plan_part(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                            const struct mbi_proof_part *part, mambaint_error *err)
{
    const struct mbi_plan_request q = {
        .graph = m->graph,
        .n_stages = m->n,
        .lanes = part->lanes,
        .public_weights = m->public_weights,
        .n_outputs = part->n_outputs,
        .param = m->param,
        .boundary = {part->boundary[MBI_BEFORE], part->boundary[MBI_BEHIND]}};
    int32_t rc;

    p->host = &m->ctx->host;
    if ((rc = mbi_plan_create(&p->plan, p->host, &q, err)) < 0)
        return rc;
    if (!m->public_weights)
        p->code = m->code; /* that of the weights */
    else if (!MBI_EXT(walk_code)(&p->code, p->plan))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "models of this size cannot be committed to");
    if ((rc = hide(p, m, err)) < 0 || (rc = find_level(p, "proof", err)) < 0)
        return rc;
    return m->public_weights ? make_tables(p, m, err) : MAMBAINT_OK;
}

int32_t mbi_proof_plan_certificate(struct mbi_proof_plan *p, const struct mbi_proof_models *m,
                                   mambaint_error *err)
{
    const struct mbi_plan_request q = {
        .graph = m->graph, .n_stages = m->n, .lanes = 1, .certificate = true};
    int32_t rc;

    p->host = &m->ctx->host;
    rc = mbi_plan_create(&p->plan, p->host, &q, err);
    p->code = m->code;
    if (rc >= 0)
        rc = hide(p, m, err);
    return rc < 0 ? rc : find_level(p, "certificate", err);
}

void mbi_proof_plan_close(struct mbi_proof_plan *p)
{
    const struct mbi_host *host = p->host;

    if (!host)
        return;
    for (uint32_t i = 0; p->table && i < p->plan->n_vars; i++)
        mbi_free(host, (void *)(uintptr_t)p->table[i].data);
    mbi_free(host, p->table);
    mbi_free_aligned(host, p->room.memory);
    mbi_plan_free(p->plan);
    *p = (struct mbi_proof_plan){.plan = NULL};
}
#endif

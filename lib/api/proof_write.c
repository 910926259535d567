/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a proof, in two halves: what it commits to, and the proof itself. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/boundary.h"

/* ---- boundaries ---- */

void mbi_boundaries_free(struct mbi_boundaries *b)
{
    for (int side = 0; side < MBI_SIDES; side++) {
        MBI_EXT(commitment_free)(&b->commitment[side]);
        if (!b->vector[side])
            continue;
        explicit_bzero(b->vector[side], b->bytes[side]);
        mbi_free_aligned(b->host[side], b->vector[side]);
    }
    explicit_bzero(b, sizeof(*b));
}

void mbi_boundaries_hand_on(struct mbi_boundaries *next, struct mbi_boundaries *b)
{
    next->host[MBI_BEFORE] = b->host[MBI_BEHIND];
    next->vector[MBI_BEFORE] = b->vector[MBI_BEHIND];
    next->bytes[MBI_BEFORE] = b->bytes[MBI_BEHIND];
    next->commitment[MBI_BEFORE] = b->commitment[MBI_BEHIND];
    next->pad[MBI_BEFORE] = b->pad[MBI_BEHIND];
    b->vector[MBI_BEHIND] = NULL;
    b->commitment[MBI_BEHIND] = (struct mbi_commitment){.host = NULL};
}

static int32_t take_vector(struct mbi_boundaries *b, enum mbi_side side,
                           const struct mbi_witness *witness, mambaint_error *err)
{
    const struct mbi_plan *plan = witness->plan;

    b->host[side] = plan->host;
    b->bytes[side] = sizeof(*b->vector[side]) << plan->boundary_bits[side];
    if (!(b->vector[side] = mbi_alloc_aligned(plan->host, b->bytes[side])))
        return mbi_fail_memory(err, "the memory between two proofs");
    mbi_boundary_vector(b->vector[side], witness, side);
    return MAMBAINT_OK;
}

static int32_t commit_side(struct mbi_boundaries *b, enum mbi_side side,
                           const struct mbi_plan *plan, const struct mbi_code *others,
                           mambaint_error *err)
{
    const struct mbi_table vector = {MBI_TABLE_I32, b->vector[side],
                                     (size_t)1 << plan->boundary_bits[side]};
    struct mbi_code code;
    struct mbi_ntt ntt;
    unsigned bits;
    int32_t rc;

    if (!MBI_EXT(boundary_code)(&code, plan, side, others))
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "what is handed on cannot be committed to");
    bits = (unsigned)mbi_max_size(plan->boundary_bits[side], code.log_columns);
    if ((rc = mbi_ntt_init(&ntt, plan->host, mbi_field_kernels_best(), code.log_length, err)) < 0)
        return rc;
    rc = MBI_EXT(commit)(&b->commitment[side], &vector, bits, &code, NULL, &ntt, err);
    mbi_ntt_free(&ntt);
    return rc;
}

/* What a run hands on, or features that it begins with, and the commitment to it. */
static int32_t make_boundaries(struct mbi_proof_draft *d, mambaint_error *err)
{
    const struct mbi_plan *plan = d->plan->plan;
    int32_t rc = MAMBAINT_OK;

    for (int side = 0; side < MBI_SIDES && rc >= 0; side++) {
        if (!plan->boundary[side])
            continue;
        d->said.boundary[side] = d->b->link[side]; /* when there is one */
        if (!d->b->vector[side] && (rc = take_vector(d->b, side, d->witness, err)) < 0)
            return rc;
        if (!mbi_plan_has_boundary(plan, side))
            continue;
        if (!d->b->commitment[side].host)
            rc = commit_side(d->b, side, plan, &d->plan->code, err);
        d->said.boundary[side] = d->b->commitment[side].root.digest.byte;
    }
    return rc;
}

/* ---- the first half ---- */

static enum mbi_proof_type type_of(const struct mbi_statement *s)
{
    return s->lanes ? MBI_PROOF_RUN : MBI_PROOF_CERTIFICATE;
}

static const struct mbi_mask_seed *seed_of(const struct mbi_proof_draft *d)
{
    return mbi_statement_is_hidden(&d->m->said) ? &d->use.seed : NULL;
}

static int32_t make_witness(struct mbi_proof_draft *d, const struct mbi_stage_run *run,
                            mambaint_error *err)
{
    const struct mbi_host *host = d->plan->plan->host;
    struct mbi_stage_run first = run[0];
    int32_t rc;

    first.token = d->ids;
    first.before = d->b ? d->b->vector[MBI_BEFORE] : NULL;
    mbi_progress(host, "witness", 0, 1);
    rc = mbi_witness_create(&d->witness, d->plan->plan, d->ids ? &first : run, seed_of(d), err);
    mbi_progress(host, "witness", 1, 1);
    return rc;
}

/* The pad of the link on a side: one of the first. */
static uint64_t link_pad(const struct mbi_plan *plan, enum mbi_side side)
{
    return side == MBI_BEHIND && plan->boundary[MBI_BEFORE] ? MBI_EXT_D : 0;
}

/* Both proofs at a boundary have the pad that the first one drew. */
static void share_pads(struct mbi_proof_draft *d)
{
    const struct mbi_plan *plan = d->plan->plan;

    if (mbi_plan_links(plan) && plan->boundary[MBI_BEFORE])
        mbi_witness_pads_set(d->witness, link_pad(plan, MBI_BEFORE), d->b->pad[MBI_BEFORE].c,
                             MBI_EXT_D);
    if (mbi_plan_links(plan) && plan->boundary[MBI_BEHIND])
        mbi_witness_pads_get(d->b->pad[MBI_BEHIND].c, d->witness, link_pad(plan, MBI_BEHIND),
                             MBI_EXT_D);
}

static int32_t commit_witness(struct mbi_proof_draft *d, mambaint_error *err)
{
    const struct mbi_proof_job job = {.plan = d->plan->plan, .code = d->plan->code};
    int32_t rc;

    mbi_progress(&d->m->ctx->host, "commit", 0, 1);
    rc = MBI_EXT(proof_commit)(&d->vector, &job, d->witness, seed_of(d), &d->watch.host, err);
    mbi_progress(&d->m->ctx->host, "commit", 1, 1);
    return rc;
}

int32_t mbi_proof_begin(struct mbi_proof_draft *d, const struct mbi_proof_models *m,
                        const struct mbi_proof_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, struct mbi_boundaries *b,
                        mambaint_error *err)
{
    int32_t rc;

    *d = (struct mbi_proof_draft){.m = m, .plan = plan, .said = *s, .b = b};
    mbi_watch_begin(&d->watch, &m->ctx->host);
    (void)mbi_scratch_open(&d->scratch, &d->watch.host); /* slower without it */
    if ((rc = mbi_proof_ids(&d->ids, s, &m->ctx->host, err)) < 0)
        return rc;
    if (mbi_statement_is_hidden(&m->said))
        rc = mbi_hidden_begin(&d->use, m, s, b, err);
    if (rc >= 0)
        rc = make_witness(d, run, err);
    if (rc < 0 || (rc = make_boundaries(d, err)) < 0)
        return rc;
    share_pads(d);
    return commit_witness(d, err);
}

/* ---- between two ---- */

static void put_link(uint8_t *out, const struct mbi_link *link)
{
    memcpy(out, link->name, sizeof(link->name));
    for (size_t i = 0; i < MBI_EXT_D; i++)
        mbi_store64(out + sizeof(link->name) + 8 * i, link->value.c[i]);
}

static int32_t name_of(struct mbi_digest *name, const struct mbi_proof_draft *d,
                       mambaint_error *err)
{
    struct mbi_buf bare;
    int32_t rc = MAMBAINT_OK;

    mbi_buf_init(&bare, &d->m->ctx->host);
    mbi_proof_file_bare(&bare, type_of(&d->said), d->m->public_weights, &d->said);
    if (bare.failed)
        rc = mbi_fail_memory(err, "the name of a proof");
    else
        mbi_proof_file_name(name->byte, bare.data, bare.size, d->vector.root.digest.byte);
    mbi_buf_free(&bare);
    return rc;
}

int32_t mbi_proof_link(struct mbi_proof_draft *left, struct mbi_proof_draft *right,
                       mambaint_error *err)
{
    const unsigned bits = mbi_link_bits(left->plan->plan, MBI_BEHIND);
    struct mbi_ext tau[MBI_PLAN_MAX_BITS + 1];
    struct mbi_link link;
    int32_t rc;

    if (!mbi_plan_links(left->plan->plan))
        return MAMBAINT_OK;
    if (!mbi_plan_links(right->plan->plan) || bits != mbi_link_bits(right->plan->plan, MBI_BEFORE))
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "two proofs do not fit together");
    if ((rc = name_of(&link.name[MBI_BEFORE], left, err)) < 0 ||
        (rc = name_of(&link.name[MBI_BEHIND], right, err)) < 0)
        return rc;
    MBI_EXT(link_point)(tau, &link, bits);
    link.value = mbi_ext_add(MBI_EXT(link_sum)(tau, bits, right->b->vector[MBI_BEFORE]),
                             right->b->pad[MBI_BEFORE]);
    put_link(left->b->link[MBI_BEHIND], &link);
    put_link(right->b->link[MBI_BEFORE], &link);
    return MAMBAINT_OK;
}

/* ---- the second half ---- */

/* Of hidden weights a proof names one of their roots, behind its statement. */
static void put_root(struct mbi_proof_writer *body, struct mbi_proof_job *job,
                     struct mbi_claim term[2], const struct mbi_proof_draft *d)
{
    const struct mbi_proof_models *m = d->m;

    if (!mbi_statement_is_hidden(&m->said))
        return;
    MBI_EXT(proof_begin)(&body->transcript, job);
    job->begun = true;
    mbi_put_root(body, &d->use.opened.root.digest, m->hidden.tree, m->said.roots.n, d->use.number);
    job->weights = d->use.opened.root;
    mbi_proof_know_roots(job, term, &d->use.claim, m);
}

static int32_t write_body(struct mbi_proof_writer *body, struct mbi_proof_job *job,
                          struct mbi_proof_draft *d, mambaint_error *err)
{
    struct mbi_commitment vector[2 + MBI_SIDES] = {d->vector}; /* then the weights', ... */
    size_t n = 1;
    int32_t rc;

    if (!d->m->public_weights)
        vector[n++] = mbi_statement_is_hidden(&d->m->said) ? d->use.opened : d->m->commitment;
    for (int side = 0; side < MBI_SIDES; side++)
        if (mbi_plan_has_boundary(job->plan, (enum mbi_side)side))
            vector[n++] = d->b->commitment[side];
    job->table = d->witness->table;
    rc = MBI_EXT(proof_prove)(job, d->witness, vector, body, &d->watch.host, err);
    return atomic_load(&d->watch.refused) ? mbi_fail_memory(err, "a proof") : rc;
}

int32_t mbi_proof_end(struct mbi_buf *out, struct mbi_proof_draft *d, mambaint_error *err)
{
    const enum mbi_proof_type type = type_of(&d->said);
    const struct mbi_host *host = &d->m->ctx->host;
    const size_t begin = out->size;
    struct mbi_proof_job job = {
        .plan = d->plan->plan, .code = d->plan->code, .weights = d->m->root, .token = d->ids};
    struct mbi_proof_writer body;
    struct mbi_claim term[2];
    struct mbi_buf bare;
    int32_t rc;

    mbi_proof_file_begin(out, type, d->m->public_weights, &d->said);
    if (out->failed)
        return mbi_fail_memory(err, "a proof");
    job.statement = out->data + begin;
    job.statement_size = out->size - begin;
    mbi_buf_init(&bare, host);
    mbi_proof_say_boundaries(&job, &bare, type, d->m->public_weights, &d->said);
    mbi_proof_writer_init(&body, host, type == MBI_PROOF_RUN ? "wit" : "cert");
    put_root(&body, &job, term, d);
    rc = bare.failed ? mbi_fail_memory(err, "a proof") : write_body(&body, &job, d, err);
    if (rc >= 0) {
        mbi_buf_add(out, body.bytes.data, body.bytes.size);
        mbi_proof_file_end(out);
        rc = out->failed ? mbi_fail_memory(err, "a proof") : MAMBAINT_OK;
    }
    mbi_proof_writer_free(&body);
    mbi_buf_free(&bare);
    return rc;
}

void mbi_proof_draft_close(struct mbi_proof_draft *d)
{
    if (!d->m)
        return;
    MBI_EXT(commitment_free)(&d->vector);
    mbi_scratch_close(&d->scratch, &d->watch.host);
    if (mbi_statement_is_hidden(&d->m->said))
        mbi_hidden_end(&d->use, d->m);
    mbi_witness_free(d->witness);
    mbi_free(&d->m->ctx->host, d->ids);
    *d = (struct mbi_proof_draft){.m = NULL};
}

int32_t mbi_proof_write(struct mbi_buf *out, const struct mbi_proof_models *m,
                        const struct mbi_proof_plan *plan, const struct mbi_statement *s,
                        const struct mbi_stage_run *run, mambaint_error *err)
{
    struct mbi_proof_draft d = {.m = NULL};
    int32_t rc = mbi_proof_begin(&d, m, plan, s, run, NULL, err);

    if (rc >= 0)
        rc = mbi_proof_end(out, &d, err);
    mbi_proof_draft_close(&d);
    return rc;
}
#endif

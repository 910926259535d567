/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier's side of the walk: every value comes from the proof. */
#include "base/intmath.h"
#include "proof/layout.h"
#include "proof/walk.h"
#if MBI_HAVE_SODIUM

static struct mbi_ext read_value(struct mbi_walk *w, const struct mbi_part *part)
{
    struct mbi_proof_reader *in = w->user;
    struct mbi_ext value;

    (void)part;
    if (w->hidden)
        w->hidden->next++;
    mbi_get_elements(value.c, MBI_EXT_D, in, "value");
    return value;
}

static void verify_sum(struct mbi_walk *w, struct mbi_ext *point, struct mbi_ext *value,
                       const struct mbi_sum_batch *batch, const struct mbi_walk_table *table)
{
    struct mbi_proof_reader *in = w->user;

    (void)table;
    if (!in->fault && w->hidden)
        (void)MBI_EXT(sum_verify_hidden)(point, value, batch, w->hidden, in);
    else if (!in->fault)
        (void)MBI_EXT(sum_verify)(point, value, batch, in);
}

static void verify_lookup(struct mbi_walk *w, struct mbi_lookup_end *end,
                          const struct mbi_lookup *l)
{
    struct mbi_proof_reader *in = w->user;

    if (!in->fault && w->hidden)
        (void)MBI_EXT(lookup_verify_hidden)(end, l, w->hidden, in);
    else if (!in->fault)
        (void)MBI_EXT(lookup_verify)(end, l, in);
}

static void verify_opening(struct mbi_walk *w, const struct mbi_opening *o)
{
    struct mbi_proof_reader *in = w->user;

    if (w->hidden && w->hidden->next != w->plan->n_pads)
        mbi_refuse(in, "its pads are not those of its plan");
    if (!in->fault)
        (void)MBI_EXT(open_verify_at)(o, w->forms, in, w->host);
}

static void refuse(struct mbi_walk *w)
{
    mbi_refuse(w->user, "a relation does not hold for what is public");
}

/* The bounds of all relations rest on it. */
static bool in_intervals(const struct mbi_proof_job *job, uint32_t var)
{
    const struct mbi_var *v = &job->plan->var[var];
    const mbi_fe lo = mbi_fe_from_i64(v->lo), span = mbi_fe_sub(mbi_fe_from_i64(v->hi), lo);
    bool inside = true;

    for (size_t r = 0; r < v->n[0]; r++)
        for (size_t c = 0; c < mbi_var_cols(v); c++) {
            const mbi_fe x = mbi_table_field(&job->table[var], mbi_var_place(v, r, c));

            inside &= mbi_fe_sub(x, lo) <= span;
        }
    return inside;
}

static void check_public(const struct mbi_proof_job *job, struct mbi_proof_reader *in)
{
    for (uint32_t i = 0; i < job->plan->n_vars; i++) {
        const struct mbi_var *v = &job->plan->var[i];
        const bool known = v->kind == MBI_VAR_PUBLIC
                               ? v->input <= MBI_PUBLIC_PARAM /* others follow from those */
                               : v->kind == MBI_VAR_WEIGHT && job->plan->public_weights;

        if (known && !in_intervals(job, i))
            mbi_refuse(in, "a public value lies outside of its interval");
    }
}

/* The root of the weights is of as many rows as their vector has. */
static void check_weights(const struct mbi_proof_job *job, struct mbi_proof_reader *in)
{
    const struct mbi_plan *plan = job->plan;
    const unsigned bits = job->weights_end ? job->weights_bits : plan->weight_bits;
    const uint64_t end =
        job->weights_end ? job->weights_end : mbi_weight_end(plan->piece, plan->n_pieces);
    const struct mbi_root root = mbi_walk_root(&job->code, bits, end);

    if (!plan->public_weights &&
        (job->weights.log_rows != root.log_rows || job->weights.rows != root.rows))
        mbi_refuse(in, "the root of the weights is of another size than the plan's");
}

/* What needs no byte of the proof. */
struct ahead {
    struct mbi_walk *walk;
    struct mbi_proof_reader *in;
    uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE], digest[MBI_DIGEST_SIZE];
};

#define KEPT ((size_t)360)     /* bytes for each term of a plan, or some more */
#define TERMS ((size_t)14)     /* of an operation of a language model */
#define HUGE ((size_t)1 << 21) /* a page; less than half of it is soon found */
#define MOST ((size_t)1 << 25) /* no model is so large; and a plan may still be refused */

size_t MBI_EXT(verify_room)(size_t operations)
{
    const size_t size = mbi_min_size(operations, MOST / (TERMS * KEPT)) * TERMS * KEPT;

    return size < HUGE / 2 ? 0 : (size + HUGE - 1) & ~(HUGE - 1);
}

static void look_ahead(void *arg, size_t begin, size_t end)
{
    struct ahead *a = arg;

    for (size_t i = begin; i < end; i++) {
        if (i == 0) {
            check_public(a->walk->job, a->in);
        } else {
            mbi_plan_share(a->share[i - 1], a->walk->plan, i - 1);
        }
    }
}

bool MBI_EXT(proof_verify)(const struct mbi_proof_job *job, struct mbi_proof_reader *in,
                           const struct mbi_host *host)
{
    static const struct mbi_walk_side side = {read_value,     verify_sum, verify_lookup,
                                              verify_opening, refuse,     true};
    struct mbi_hidden hidden = {.host = host, .next = mbi_plan_links(job->plan)};
    struct mbi_walk w = {.job = job,
                         .plan = job->plan,
                         .host = host,
                         .side = &side,
                         .transcript = &in->transcript,
                         .user = in,
                         .hidden = job->plan->n_pads ? &hidden : NULL};
    struct ahead ahead = {.walk = &w, .in = in};
    const struct mbi_plan *plan = job->plan;

    check_weights(job, in);
    w.witness = mbi_walk_root(&job->code, plan->bits, mbi_witness_end(plan));
    MBI_EXT(walk_expect)(&w, plan->n_terms * KEPT);
    mbi_parallel_for(host, 1 + (job->begun ? 0 : MBI_PLAN_SHARES), 1, look_ahead, &ahead);
    if (!job->begun)
        mbi_plan_join(ahead.digest, plan, (const uint8_t(*)[MBI_DIGEST_SIZE])ahead.share);
    w.digest = ahead.digest;
    MBI_EXT(walk_start)(&w);
    mbi_get_bytes(&w.witness.digest, sizeof(w.witness.digest), in, "root");
    if (!in->fault && !MBI_EXT(proof_is_named)(job, &w.witness.digest))
        mbi_refuse(in, "a link is of another proof");
    if (!in->fault && !MBI_EXT(walk)(&w))
        mbi_refuse(in, w.fault ? w.fault : "there is not enough memory to check it");
    MBI_EXT(walk_free)(&w);
    MBI_EXT(hidden_free)(&hidden);
    mbi_get_end(in);
    return !in->fault;
}
#endif

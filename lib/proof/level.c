/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a proof (how many sums, values and claims it has), found by a walk in which nothing
 * is proved, or bounded without one; and the soundness, which is that of the worst step.
 *                                                                             proof.md, soundness
 */
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/statement.h"

#define HASH 128 /* bits of collision resistance */

/* ---- the shape ---- */

static struct mbi_ext count_value(struct mbi_walk *w, const struct mbi_part *part)
{
    struct mbi_proof_shape *shape = w->user;

    (void)part;
    shape->bytes += MBI_EXT_BYTES;
    if (w->hidden)
        w->hidden->next++;
    return mbi_ext_from(0);
}

/* Pads of a sum-check or lookup, and n values that are 0, each with a pad. */
static void count_hidden(struct mbi_hidden *h, size_t pads, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        MBI_EXT(hidden_term)(h, h->next, mbi_ext_from(1));
        MBI_EXT(hidden_zero)(h, i, mbi_ext_from(0));
    }
    h->next += pads;
}

static void count_sum(struct mbi_walk *w, struct mbi_ext *point, struct mbi_ext *value,
                      const struct mbi_sum_batch *batch, const struct mbi_walk_table *table)
{
    struct mbi_proof_shape *shape = w->user;
    const char *fault = MBI_EXT(sum_fault)(batch);

    (void)table;
    if (fault)
        mbi_walk_cannot(w, fault);
    memset(point, 0, MBI_EXT(sum_rounds)(batch) * sizeof(*point));
    memset(value, 0, MBI_EXT(sum_values)(batch) * sizeof(*value));
    if (w->hidden) {
        count_hidden(w->hidden, MBI_EXT(sum_pads)(batch), 1);
        shape->bytes += MBI_FE_BYTES * MBI_EXT(sum_hidden_size)(batch);
    } else {
        shape->bytes += MBI_FE_BYTES * MBI_EXT(sum_size)(batch);
    }
    shape->rounds += MBI_EXT(sum_rounds)(batch);
    shape->batches++;
    if (batch->n_sums > shape->sums)
        shape->sums = batch->n_sums;
}

static void count_lookup(struct mbi_walk *w, struct mbi_lookup_end *end, const struct mbi_lookup *l)
{
    struct mbi_proof_shape *shape = w->user;

    memset(end, 0, sizeof(*end));
    if (w->hidden) {
        count_hidden(w->hidden, MBI_EXT(lookup_pads)(l), 3 + (size_t)l->bits);
        w->hidden->end[0] = w->hidden->end[1] = (struct mbi_affine){.n = 1};
        shape->bytes += MBI_FE_BYTES * MBI_EXT(lookup_hidden_size)(l);
    } else {
        shape->bytes += MBI_FE_BYTES * MBI_EXT(lookup_size)(l);
    }
}

static void count_opening(struct mbi_walk *w, const struct mbi_opening *o)
{
    struct mbi_proof_shape *shape = w->user;

    shape->terms += o->n_claims;
    for (size_t i = 0; i < o->n_claims; i++)
        shape->claims += !o->claim[i].joined;
}

static void nothing(struct mbi_walk *w) { (void)w; }

static bool count(struct mbi_proof_shape *out, const struct mbi_plan *plan,
                  const struct mbi_walk_side *side, const struct mbi_host *host)
{
    struct mbi_table *none = mbi_alloc(host, plan->n_vars, sizeof(*none)); /* all entries zero */
    struct mbi_transcript transcript;
    struct mbi_proof_job job = {.plan = plan, .table = none};
    struct mbi_hidden hidden = {.host = host, .next = mbi_plan_links(plan)};
    struct mbi_walk w = {.job = &job,
                         .plan = plan,
                         .host = host,
                         .side = side,
                         .transcript = &transcript,
                         .user = out,
                         .hidden = plan->n_pads ? &hidden : NULL};
    bool done = none != NULL;

    *out = (struct mbi_proof_shape){.bytes = sizeof(struct mbi_digest)};
    mbi_transcript_init(&transcript, "shape");
    done = done && MBI_EXT(walk)(&w);
    out->fault = w.fault;
    out->pads = hidden.next;
    MBI_EXT(hidden_free)(&hidden);
    MBI_EXT(walk_free)(&w);
    mbi_free(host, none);
    return done;
}

bool MBI_EXT(proof_shape)(struct mbi_proof_shape *out, const struct mbi_plan *plan,
                          const struct mbi_host *host)
{
    static const struct mbi_walk_side side = {count_value,   count_sum, count_lookup,
                                              count_opening, nothing,   false};

    return count(out, plan, &side, host);
}

bool MBI_EXT(proof_pads)(struct mbi_proof_shape *out, const struct mbi_plan *plan,
                         const struct mbi_host *host)
{
    static const struct mbi_walk_side side = {count_value, count_sum, count_lookup,
                                              NULL,        nothing,   false};

    return count(out, plan, &side, host);
}

/*
 * A claim is of a relation, or it is made together with a part of its own. A sum is of a relation,
 * or it takes the place of a part. Neither can be more than there are relations and parts. A hidden
 * proof has one more claim for each sum-check, n + 3 for a lookup, and one of its key.
 */
struct mbi_proof_shape MBI_EXT(proof_shape_most)(const struct mbi_plan *plan)
{
    const size_t n = (size_t)plan->n_relations + MBI_WALK_PARTS;

    return (struct mbi_proof_shape){.sums = n,
                                    .claims = plan->n_pads ? 2 * n + 4 + MBI_LOOKUP_BITS : n};
}

/* ---- the level ---- */

/* Bits of an error of `n` in |E| > 2^(64 D - 1). */
static unsigned of_field(uint64_t n)
{
    return 64 * MBI_EXT_D - 1 - (unsigned)mbi_bitlen(n ? n - 1 : 0);
}

/* Of the longest rows of a code, and of the most queries that are joined. */
static unsigned of_layers(const struct mbi_code *code)
{
    unsigned bits = of_field((uint64_t)1 << code->log_length);

    for (unsigned i = 0; i < code->depth; i++) {
        const unsigned fold = of_field((uint64_t)1 << code->further[i].log_length);
        const unsigned join = of_field(mbi_code_layer(code, i).queries);

        bits = fold < bits ? fold : bits;
        bits = join < bits ? join : bits;
    }
    return bits;
}

/*
 * Of a hidden opening: rows have no pads but one, over so many rounds, of which each has degree 3
 * with the pads and one more chance to fail; and two roots of a key have another common value if
 * their weights differ. (The blind row's (L + 1) / |E| is below 2^(log L + 1 - 64 D), as a fold.)
 */
static unsigned of_masks(const struct mbi_code *code)
{
    const unsigned rounds = of_field(3 * (code->pads / (2 * MBI_EXT_D)));
    const unsigned key = of_field((uint64_t)MBI_STATEMENT_ROOTS * MBI_MAX_BITS);

    return !code->masks ? HASH : rounds < key ? rounds : key;
}

/* Fractions of digits, or of weights, and of their counts. */
static unsigned of_fractions(const struct mbi_plan *plan)
{
    const struct mbi_lookup *l = &plan->lookup;

    if (!plan->large)
        return HASH;
    if (plan->direct)
        return of_field(l->begin[l->n] + l->counts[l->n] - l->counts[0]);
    return of_field(((uint64_t)1 << plan->bits) + 2 * (uint64_t)MBI_LOOKUP_SIZE);
}

/* Of the openings of what is handed on between models, which have codes of their own. */
static unsigned of_boundaries(const struct mbi_plan *plan)
{
    unsigned bits = HASH;

    for (int side = 0; side < MBI_SIDES && mbi_plan_is_linked(plan); side++) {
        struct mbi_code code;
        unsigned fold, positions;

        if (!plan->boundary[side])
            continue;
        if (!MBI_EXT(boundary_code)(&code, plan, (enum mbi_side)side, NULL))
            return 0;
        fold = of_layers(&code);
        positions = MBI_EXT(code_level)(&code);
        bits = fold < bits ? fold : bits;
        bits = positions < bits ? positions : bits;
    }
    return bits;
}

/* Two proofs show the same value of what goes from one to the other. */
static unsigned of_links(const struct mbi_plan *plan)
{
    const unsigned most =
        (unsigned)mbi_max_size(plan->boundary_bits[MBI_BEFORE], plan->boundary_bits[MBI_BEHIND]);

    return mbi_plan_links(plan) ? of_field(most + 1) : HASH;
}

unsigned MBI_EXT(proof_level)(const struct mbi_plan *plan, const struct mbi_proof_shape *shape,
                              const struct mbi_code *code)
{
    const unsigned bits[] = {
        HASH,
        of_field(MBI_SUM_DEGREE),                             /* a round of a sum-check */
        of_field(mbi_max_size(plan->bits, 2 * MBI_MAX_BITS)), /* a random point */
        of_fractions(plan),
        of_field(shape->sums),     /* sums are joined */
        of_field(shape->claims),   /* claims are joined */
        of_layers(code),           /* a fold; positions are joined */
        of_masks(code),            /* the pads of a hidden opening, and its key's roots */
        MBI_EXT(code_level)(code), /* the positions, in every layer */
        of_boundaries(plan),
        of_links(plan),
    };
    unsigned level = bits[0];

    for (size_t i = 1; i < MBI_COUNT(bits); i++)
        level = bits[i] < level ? bits[i] : level;
    return level;
}
#endif

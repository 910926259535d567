/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters of the proofs that docs/soundness.md is about, as the library derives them: one
 * line each, for tests/golden/soundness.py. Usage: proof_parameters
 */
#include "api/proof.h"
#include "arch/arch.h"
#include "base/intmath.h"
#include "proof/layout.h"
#include "proof/walk.h"
#include <stdio.h>

#define MAX_STAGES 3
#define PROOFS 1000 /* of a key with hidden weights: so many are asked for */

static const struct proof {
    const char *name;
    const char *preset[MAX_STAGES];
    bool public_weights, certificate;
    uint32_t lanes; /* of a model of tokens; half of them are answers */
    bool hidden;
} proofs[] = {
    {"simple-rwkv", {"simple-rwkv"}, false, false, 0, false},
    {"simple-mamba", {"simple-mamba"}, false, false, 0, false},
    {"simple-xlstm", {"simple-xlstm"}, false, false, 0, false},
    {"simple-rwkv, public weights", {"simple-rwkv"}, true, false, 0, false},
    {"chain of the three", {"simple-rwkv", "simple-mamba", "simple-xlstm"}, false, false, 0, false},
    {"certificate of simple-mamba", {"simple-mamba"}, false, true, 0, false},
    {"mi-tiny, 8 tokens", {"mi-tiny"}, false, false, 8, false},
    {"mi-1m, 64 tokens", {"mi-1m"}, false, false, 64, false},
    {"mi-1m-ternary, 64 tokens", {"mi-1m-ternary"}, false, false, 64, false},
    {"mi-1m, 128 tokens, public weights", {"mi-1m"}, true, false, 128, false},
    {"certificate of mi-1m", {"mi-1m"}, false, true, 0, false},
    {"mi-130m, 16 tokens", {"mi-130m"}, false, false, 16, false},
    {"certificate of mi-130m", {"mi-130m"}, false, true, 0, false},
    {"simple-rwkv, hidden", {"simple-rwkv"}, false, false, 0, true},
    {"chain of the three, hidden",
     {"simple-rwkv", "simple-mamba", "simple-xlstm"},
     false,
     false,
     0,
     true},
    {"certificate of simple-mamba, hidden", {"simple-mamba"}, false, true, 0, true},
    {"mi-tiny, 8 tokens, hidden", {"mi-tiny"}, false, false, 8, true},
    {"mi-1m, 64 tokens, hidden", {"mi-1m"}, false, false, 64, true},
    {"certificate of mi-1m, hidden", {"mi-1m"}, false, true, 0, true},
    {"mi-130m, 16 tokens, hidden", {"mi-130m"}, false, false, 16, true},
    {"certificate of mi-130m, hidden", {"mi-130m"}, false, true, 0, true},
};

static int32_t graph_of(struct mbi_graph **out, const char *preset, const struct mbi_host *host,
                        mambaint_error *err)
{
    const struct mbi_arch *arch = mbi_arch_of_preset(preset);
    struct mbi_config config;
    int32_t rc;

    mbi_config_init(&config, arch);
    if ((rc = mbi_config_preset(&config, preset, err)) < 0 ||
        (rc = arch->resolve(&config, true, err)) < 0)
        return rc;
    return mbi_arch_graph(out, host, &config, err);
}

/* What is counted of a large vector: limbs and their counts. */
static unsigned long long fractions(const struct mbi_plan *plan)
{
    const struct mbi_lookup *l = &plan->lookup;

    return plan->large ? (unsigned long long)(l->begin[l->n] + l->counts[l->n] - l->counts[0]) : 0;
}

/* What a key with hidden weights is: its roots, what lies behind the weights, and the rows of both
 * vectors. */
struct hidden {
    struct mbi_statement_roots roots;
    struct mbi_blur blur;
    unsigned long long rows[2];
    unsigned rounds;
};

/* The key, and the code of an opening. */
static int32_t find_hidden(struct hidden *h, struct mbi_code *code, const struct mbi_plan *plan,
                           mambaint_error *err)
{
    const uint64_t end = mbi_weight_end(plan->piece, plan->n_pieces);
    unsigned bits[2] = {plan->bits};
    int32_t rc = mbi_hidden_budget(&h->roots, end, plan->weight_bits, PROOFS, err);

    if (rc < 0)
        return rc;
    h->blur = mbi_blur_of(end, plan->weight_bits, h->roots.n, MBI_EXT_D);
    bits[1] = h->blur.bits;
    if (!mbi_hidden_code(code, h->blur.bits, h->roots.openings) ||
        !MBI_EXT(code_fit)(code, bits, 2))
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "no code");
    h->rows[0] = mbi_code_rows(code, mbi_witness_end(plan));
    h->rows[1] = mbi_code_rows(code, end + h->blur.entries);
    h->rounds = (unsigned)(code->pads / (2 * MBI_EXT_D));
    return MAMBAINT_OK;
}

static void print_code(const struct mbi_code *code)
{
    printf("|log_columns %u|log_length %u|queries %u|work %u|row %zu|depth %u", code->log_columns,
           code->log_length, code->queries, code->work, mbi_code_entries(code), code->depth);
    for (unsigned i = 0; i < code->depth; i++)
        printf("|log_columns%u %u|log_length%u %u|queries%u %u|work%u %u", i + 1,
               code->further[i].log_columns, i + 1, code->further[i].log_length, i + 1,
               code->further[i].queries, i + 1, code->further[i].work);
}

static int32_t print(const struct proof *p, const struct mbi_plan *plan,
                     const struct mbi_host *host, mambaint_error *err)
{
    const struct mbi_proof_shape most = MBI_EXT(proof_shape_most)(plan);
    struct mbi_proof_shape shape;
    struct hidden h = {.rounds = 0};
    struct mbi_code code;
    int32_t rc = MAMBAINT_OK;

    if (!p->hidden && !MBI_EXT(walk_code)(&code, plan))
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "no code");
    if (p->hidden && (rc = find_hidden(&h, &code, plan, err)) < 0)
        return rc;
    if (!MBI_EXT(proof_shape)(&shape, plan, host))
        return mbi_fail(err, MAMBAINT_E_NO_MEMORY, "no memory");
    printf("%s|degree %d|bits %u|weight_bits %u|rounds %zu|sums %zu|claims %zu|terms %zu|"
           "sums_most %zu|claims_most %zu|fractions %llu|pads %llu|level %u|batches %zu|"
           "lookup_bits %u|roots %u|openings %u|key_bits %u|witness_rows %llu|weight_rows %llu|"
           "open_rounds %u",
           p->name, MBI_EXT_D, plan->bits, plan->weight_bits, shape.rounds, shape.sums,
           shape.claims + (h.roots.n > 1), shape.terms, most.sums, most.claims, fractions(plan),
           (unsigned long long)plan->n_pads, MBI_EXT(proof_level)(plan, &most, &code),
           shape.batches, plan->large ? plan->lookup.bits : 0, h.roots.n, h.roots.openings,
           h.blur.bits, h.rows[0], h.rows[1], h.rounds);
    print_code(&code);
    printf("\n");
    return MAMBAINT_OK;
}

static int32_t parameters(const struct proof *p, const struct mbi_host *host, mambaint_error *err)
{
    struct mbi_graph *graph[MAX_STAGES] = {NULL};
    struct mbi_plan_request request = {.graph = (const struct mbi_graph *const *)graph,
                                       .lanes = p->lanes ? p->lanes : 1,
                                       .n_outputs = (p->lanes + 1) / 2,
                                       .public_weights = p->public_weights,
                                       .certificate = p->certificate};
    struct mbi_plan *plan = NULL;
    int32_t rc = MAMBAINT_OK;

    for (size_t s = 0; rc >= 0 && s < MAX_STAGES && p->preset[s]; s++)
        if ((rc = graph_of(&graph[s], p->preset[s], host, err)) >= 0)
            request.n_stages++;
    if (rc >= 0)
        rc = mbi_plan_create(&plan, host, &request, err);
    if (rc >= 0 && p->hidden)
        rc = MBI_EXT(plan_hide)(plan, err);
    if (rc >= 0)
        rc = print(p, plan, host, err);
    mbi_plan_free(plan);
    for (size_t s = 0; s < request.n_stages; s++)
        mbi_graph_free(graph[s]);
    return rc;
}

int main(void)
{
    struct mbi_host host;
    mambaint_error err;

    mbi_host_default(&host);
    for (size_t i = 0; i < MBI_COUNT(proofs); i++)
        if (parameters(&proofs[i], &host, &err) < 0) {
            fprintf(stderr, "%s: %s\n", proofs[i].name, err.message);
            return 1;
        }
    return 0;
}

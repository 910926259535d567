/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: a run in chunks, each proved alone from the memory that the one before handed on. */
#include "base/intmath.h"
#include "graph/element.h"
#include "proof/boundary.h"
#include "proof/statement.h"
#include "proof_case.h"

#define TINY "layers=1 d-model=8 vocab=11 heads=2 head-dim=4 d-state=4 chunk=4 "

static const char *const models[] = {
    TINY "rotation-pairs=1",
    TINY "rotation-pairs=2 hold=on gate=algebraic tied-head=on layers=2",
    TINY "rotation-pairs=0 gate=squareplus norm=bitshift hold=on",
    "layers=1 d-model=12 vocab=7 heads=3 head-dim=2 d-state=8 chunk=2 rotation-pairs=1",
    "layers=1 d-model=1 vocab=2 heads=1 head-dim=1 d-state=2 chunk=1 rotation-pairs=1 hold=on",
    "layers=2 d-model=5 vocab=9 heads=4 head-dim=1 d-state=4 chunk=1 rotation-pairs=2",
};

/* One chunk of the run of a case. */
struct chunk {
    const struct proof_case *c;
    struct mbi_plan *plan;
    struct mbi_witness *witness;
    struct mbi_stage_run run;
    const void **value;
    struct mbi_proof_job job;
    int32_t *vector[MBI_SIDES];
    struct mbi_commitment commitment[MBI_SIDES];
};

/* What a chunk is of. */
struct part {
    uint32_t begin, lanes, n_outputs;
    bool behind; /* it hands its memory on */
    bool public_weights, hidden;
};

static void commit_vector(struct chunk *k, enum mbi_side side)
{
    const struct mbi_host *host = &k->c->host;
    const struct mbi_table t = {MBI_TABLE_I32, k->vector[side],
                                (size_t)1 << k->plan->boundary_bits[side]};
    const unsigned bits =
        (unsigned)mbi_max_size(k->plan->boundary_bits[side], k->job.code.log_columns);
    struct mbi_ntt ntt;

    ck_assert_int_eq(
        mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), k->job.code.log_length, NULL),
        MAMBAINT_OK);
    ck_assert_int_eq(
        MBI_EXT(commit)(&k->commitment[side], &t, bits, &k->job.code, NULL, &ntt, NULL),
        MAMBAINT_OK);
    mbi_ntt_free(&ntt);
    k->job.boundary[side] = k->commitment[side].root.digest;
}

/* The values of the whole run from the chunk's first step on. */
static void set_run(struct chunk *k, uint32_t begin, const int32_t *before)
{
    const struct proof_stage *s = &k->c->stage[0];

    test_that(k->value = calloc(s->graph->n_nodes, sizeof(*k->value)));
    for (mbi_ref i = 0; i < s->graph->n_nodes; i++) {
        const struct mbi_node *node = &s->graph->node[i];

        k->value[i] = (const char *)s->value[i] +
                      (mbi_node_is_param(node) ? 0 : begin * mbi_type_row_size(&node->type));
    }
    k->run = (struct mbi_stage_run){k->value, k->c->token + begin, before};
}

static void commit_boundaries(struct chunk *k)
{
    for (int side = 0; side < MBI_SIDES; side++) {
        if (!k->plan->boundary[side])
            continue;
        test_that(k->vector[side] =
                      calloc((size_t)1 << k->plan->boundary_bits[side], sizeof(*k->vector[side])));
        mbi_boundary_vector(k->vector[side], k->witness, (enum mbi_side)side);
        if (mbi_plan_has_boundary(k->plan, (enum mbi_side)side))
            commit_vector(k, (enum mbi_side)side);
    }
}

/* Of a hidden one: the value that the proof beside it, whose name is made up, has as well. */
static void link_boundaries(struct chunk *k)
{
    struct mbi_commitment witness;
    struct mbi_digest own;
    struct mbi_ext pad;
    size_t number = 0;

    k->job.bare = CASE_STATEMENT;
    k->job.bare_size = sizeof(CASE_STATEMENT);
    ck_assert_int_eq(MBI_EXT(proof_commit)(&witness, &k->job, k->witness, NULL, &k->c->host, NULL),
                     MAMBAINT_OK);
    mbi_proof_file_name(own.byte, k->job.bare, k->job.bare_size, witness.root.digest.byte);
    MBI_EXT(commitment_free)(&witness);
    for (int side = 0; side < MBI_SIDES; side++) {
        const unsigned bits = mbi_link_bits(k->plan, (enum mbi_side)side);
        struct mbi_link *link = &k->job.link[side];
        struct mbi_ext tau[MBI_PLAN_MAX_BITS + 1];

        if (!k->plan->boundary[side])
            continue;
        link->name[MBI_SIDES - 1 - side] = own;
        MBI_EXT(link_point)(tau, link, bits);
        mbi_witness_pads_get(pad.c, k->witness, number++ * MBI_EXT_D, MBI_EXT_D);
        link->value = mbi_ext_add(MBI_EXT(link_sum)(tau, bits, k->vector[side]), pad);
    }
}

/* `before`: the vector of the boundary that it begins with; NULL: none. */
static void chunk_init(struct chunk *k, const struct proof_case *c, const struct part *part,
                       const int32_t *before)
{
    const void *const *const param[] = {(const void *const *)c->stage[0].param};
    const struct mbi_plan_request q = {.graph = c->graph,
                                       .n_stages = 1,
                                       .lanes = part->lanes,
                                       .public_weights = part->public_weights,
                                       .n_outputs = part->n_outputs,
                                       .param = param,
                                       .boundary = {before != NULL, part->behind}};
    const struct mbi_mask_seed seed = {{1, (uint8_t)part->begin}};
    mambaint_error err;

    *k = (struct chunk){.c = c};
    set_run(k, part->begin, before);
    test_check(mbi_plan_create(&k->plan, &c->host, &q, &err) == MAMBAINT_OK, "%s", err.message);
    if (part->hidden)
        test_check(MBI_EXT(plan_hide)(k->plan, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(
        mbi_witness_create(&k->witness, k->plan, &k->run, part->hidden ? &seed : NULL, NULL),
        MAMBAINT_OK);
    k->job = (struct mbi_proof_job){.plan = k->plan,
                                    .statement = CASE_STATEMENT,
                                    .statement_size = sizeof(CASE_STATEMENT),
                                    .weights = c->weights.root,
                                    .table = k->witness->table,
                                    .token = k->run.token};
    test_that(MBI_EXT(walk_code)(&k->job.code, k->plan));
    k->job.code.queries = 3; /* their errors are no matter */
    k->job.code.work = k->job.code.level = 0;
    commit_boundaries(k);
    if (mbi_plan_links(k->plan))
        link_boundaries(k);
}

static void chunk_free(struct chunk *k)
{
    for (int side = 0; side < MBI_SIDES; side++) {
        MBI_EXT(commitment_free)(&k->commitment[side]);
        free(k->vector[side]);
    }
    mbi_witness_free(k->witness);
    mbi_plan_free(k->plan);
    free(k->value);
}

static void prove(struct mbi_proof_writer *w, const struct chunk *k)
{
    prove_part(w, &k->job, k->witness, &k->c->weights, k->commitment, &k->c->host);
}

static const char *verify(const struct chunk *k, const struct mbi_proof_writer *w)
{
    struct mbi_proof_reader in;

    mbi_proof_reader_init(&in, w->bytes.data, w->bytes.size, "wit");
    return MBI_EXT(proof_verify)(&k->job, &in, &k->c->host) ? NULL : in.fault;
}

static const char *chunk_verdict(const struct chunk *k)
{
    struct mbi_proof_writer w;
    const char *fault;

    prove(&w, k);
    fault = verify(k, &w);
    mbi_proof_writer_free(&w);
    return fault;
}

static void holds(const struct chunk *k, const char *what, uint32_t begin)
{
    const uint32_t wrong = mbi_witness_check(k->witness);
    struct mbi_proof_shape shape;
    const char *fault;

    test_check(wrong == MBI_NONE, "%s, from step %u: relation %u of %u", what, begin, wrong,
               k->plan->n_relations);
    test_check(MBI_EXT(proof_shape)(&shape, k->plan, &k->c->host), "%s: %s", what,
               shape.fault ? shape.fault : "no memory");
    fault = chunk_verdict(k);
    test_check(!fault, "%s, from step %u: %s", what, begin, fault);
}

static size_t boundary_size(const struct chunk *k)
{
    return sizeof(int32_t)
           << k->plan->boundary_bits[k->plan->boundary[MBI_BEHIND] ? MBI_BEHIND : MBI_BEFORE];
}

/* Chunks of different lengths prove what the whole run gave, one after the other. */
START_TEST(a_run_in_chunks_is_proved)
{
    static const uint32_t length[] = {4, 8, 4, 3}; /* only the last one may end anywhere */
    struct test_random r;

    test_random_init(&r, "a_run_in_chunks_is_proved");
    for (size_t m = 0; m < MBI_COUNT(models); m++) {
        const struct token_settings set = {models[m], 19, 7, m % 2};
        int32_t *before = NULL;
        struct proof_case c;
        uint32_t begin = 0;

        case_init_tokens(&c, &set, &r);
        for (size_t i = 0; i < MBI_COUNT(length); i++) {
            const struct part part = {begin,
                                      length[i],
                                      i < 2 ? 0 : length[i],
                                      i + 1 < MBI_COUNT(length),
                                      set.public_weights,
                                      m % 2 == i % 2};
            struct chunk k;

            chunk_init(&k, &c, &part, before);
            holds(&k, models[m], begin);
            if (before)
                test_that(!memcmp(before, k.vector[MBI_BEFORE], boundary_size(&k)));
            free(before);
            before = k.vector[MBI_BEHIND];
            k.vector[MBI_BEHIND] = NULL;
            begin += length[i];
            chunk_free(&k);
        }
        ck_assert_ptr_null(before);
        case_free(&c);
    }
}
END_TEST

/* The same number of steps from a boundary to the next one; the case's run has three such parts. */
#define PART 4

static const struct part middle = {PART, PART, 0, true, false, false};

/* A case whose run is long enough, and its middle part, with what the first one handed on. */
static void middle_init(struct proof_case *c, struct chunk *k, const char *model,
                        struct test_random *r)
{
    const struct token_settings set = {model, 3 * PART, PART, false};
    const struct part first = {0, PART, 0, true, false, false};
    struct chunk before;

    case_init_tokens(c, &set, r);
    chunk_init(&before, c, &first, NULL);
    chunk_init(k, c, &middle, before.vector[MBI_BEHIND]);
    chunk_free(&before);
}

static void recommit(struct chunk *k, enum mbi_side side)
{
    MBI_EXT(commitment_free)(&k->commitment[side]);
    commit_vector(k, side);
}

/* A random element of a boundary's variables, in its vector. */
static int32_t *any_element(const struct chunk *k, enum mbi_side side, struct test_random *r)
{
    const struct mbi_var *v;
    size_t row, col;

    do
        v = &k->plan->var[test_random_below(r, k->plan->n_vars)];
    while (v->kind != MBI_VAR_BOUNDARY || v->side != side);
    row = (size_t)test_random_below(r, v->n[0]);
    col = (size_t)test_random_below(r, mbi_var_cols(v));
    return &k->vector[side][((size_t)v->block << mbi_var_bits(v)) + mbi_var_place(v, row, col)];
}

/* The memory that is committed to is that of the run, in every element and on both sides. */
START_TEST(another_memory_is_refused)
{
    struct test_random r;

    test_random_init(&r, "another_memory_is_refused");
    for (size_t m = 0; m < MBI_COUNT(models); m++) {
        struct proof_case c;
        struct chunk k;

        middle_init(&c, &k, models[m], &r);
        for (int i = 0; i < 6; i++) {
            const enum mbi_side side = i % 2 ? MBI_BEHIND : MBI_BEFORE;
            int32_t *x = any_element(&k, side, &r);
            const int32_t was = *x;

            *x = was + (test_random_below(&r, 2) ? 1 : -1) * (1 << test_random_below(&r, 8));
            recommit(&k, side);
            test_check(chunk_verdict(&k), "%s: %d in place of %d on side %d", models[m], *x, was,
                       side);
            *x = was;
            recommit(&k, side);
        }
        ck_assert_ptr_null(chunk_verdict(&k));
        chunk_free(&k);
        case_free(&c);
    }
}
END_TEST

/* What no variable has of a vector may be anything, and is another root. */
START_TEST(gaps_of_a_memory_are_not_read)
{
    struct test_random r;
    struct proof_case c;
    struct chunk k;
    struct mbi_digest was;

    test_random_init(&r, "gaps_of_a_memory_are_not_read");
    middle_init(&c, &k, models[3], &r); /* of 6 + 16 channels: a gap in every row */
    was = k.job.boundary[MBI_BEFORE];
    ck_assert_uint_eq(c.stage[0].graph->node[c.stage[0].graph->argmax].type.cols, 1);
    for (uint32_t i = 0; i < k.plan->n_vars; i++) {
        const struct mbi_var *v = &k.plan->var[i];

        if (v->kind == MBI_VAR_BOUNDARY && v->side == MBI_BEFORE && v->n[0] == 3)
            k.vector[MBI_BEFORE][((size_t)v->block << mbi_var_bits(v)) + v->n[2]] = 7;
    }
    recommit(&k, MBI_BEFORE);
    test_that(memcmp(&was, &k.job.boundary[MBI_BEFORE], sizeof(was)) != 0);
    ck_assert_ptr_null(chunk_verdict(&k));
    chunk_free(&k);
    case_free(&c);
}
END_TEST

/* A memory of another step than the one that a part ends with, or begins with: in a model whose
 * recurrence has chunks of one step the step before or behind. */
START_TEST(a_memory_of_another_step_is_refused)
{
    static const int steps[] = {-1, 1};
    struct test_random r;
    size_t differ = 0;

    test_random_init(&r, "a_memory_of_another_step_is_refused");
    for (size_t i = 0; i < 2 * MBI_COUNT(models); i++) {
        struct chunk k, other;
        struct proof_case c;

        middle_init(&c, &k, models[i / 2], &r);
        for (int side = 0; side < MBI_SIDES; side++) {
            const uint32_t chunk = mbi_boundary_chunk(c.graph[0]), end = side ? 2 * PART : PART;
            struct part part = middle;

            part.begin = 0;
            part.lanes = (uint32_t)((int)end + steps[i % 2] * (int)chunk);
            if (!part.lanes)
                continue;
            chunk_init(&other, &c, &part, NULL);
            if (memcmp(other.vector[MBI_BEHIND], k.vector[side], boundary_size(&k)) != 0) {
                memcpy(k.vector[side], other.vector[MBI_BEHIND], boundary_size(&k));
                recommit(&k, (enum mbi_side)side);
                test_check(chunk_verdict(&k), "%s: the memory of step %u in place of %u",
                           models[i / 2], part.lanes, end);
                mbi_boundary_vector(k.vector[side], k.witness, (enum mbi_side)side);
                recommit(&k, (enum mbi_side)side);
                differ++;
            }
            chunk_free(&other);
        }
        ck_assert_ptr_null(chunk_verdict(&k));
        chunk_free(&k);
        case_free(&c);
    }
    ck_assert_uint_ge(differ, MBI_COUNT(models)); /* small ones may have the same for some steps */
}
END_TEST

/* A run from another memory than the one that it says; and roots that are exchanged. */
START_TEST(roots_belong_to_a_proof)
{
    struct test_random r;
    struct mbi_proof_writer w;
    struct mbi_digest before;
    struct proof_case c;
    struct chunk k;

    test_random_init(&r, "roots_belong_to_a_proof");
    middle_init(&c, &k, models[0], &r);
    prove(&w, &k);
    ck_assert_ptr_null(verify(&k, &w));
    before = k.job.boundary[MBI_BEFORE];
    k.job.boundary[MBI_BEFORE] = k.job.boundary[MBI_BEHIND];
    test_that(verify(&k, &w));
    k.job.boundary[MBI_BEHIND] = before;
    test_that(verify(&k, &w));
    k.job.boundary[MBI_BEFORE] = before;
    test_that(verify(&k, &w));
    k.job.boundary[MBI_BEHIND] = k.commitment[MBI_BEHIND].root.digest;
    ck_assert_ptr_null(verify(&k, &w));
    mbi_proof_writer_free(&w);
    chunk_free(&k);
    case_free(&c);
}
END_TEST

/* Another value of a committed element, with all that follows from it by definitions. */
static void change(const struct chunk *k, uint32_t var, size_t row, size_t col, int64_t x)
{
    const struct mbi_var *v = &k->plan->var[var];

    mbi_witness_set(k->witness, var, row, col, x);
    mbi_witness_digits(k->witness, var);
    if (v->complement != MBI_NONE) {
        mbi_witness_set(k->witness, v->complement, row, col, v->hi - x);
        mbi_witness_digits(k->witness, v->complement);
    }
    for (uint32_t i = 0; i < k->plan->n_vars; i++) {
        if (k->plan->var[i].kind != MBI_VAR_DERIVED)
            continue;
        k->witness->done[i] = false;
        mbi_witness_compute(k->witness, i);
    }
    mbi_witness_count(k->witness);
}

/* The variables that only a part of a run has are bound like all others. */
START_TEST(every_value_of_a_part_is_bound)
{
    struct test_random r;

    test_random_init(&r, "every_value_of_a_part_is_bound");
    for (size_t m = 0; m < MBI_COUNT(models); m++) {
        struct proof_case c;
        struct chunk k;
        int tried = 0;

        middle_init(&c, &k, models[m], &r);
        while (tried < 10) {
            const uint32_t var = (uint32_t)test_random_below(&r, k.plan->n_vars);
            const struct mbi_var *v = &k.plan->var[var];
            const bool copy = var && k.plan->var[var - 1].kind == MBI_VAR_BOUNDARY;
            const size_t row = (size_t)test_random_below(&r, v->n[0]);
            const size_t col = (size_t)test_random_below(&r, mbi_var_cols(v));
            const int64_t was = mbi_witness_get(k.witness, var, row, col);
            const int64_t x = test_random_between(&r, v->lo, v->hi);
            const char *fault;

            if (v->kind != MBI_VAR_COMMITTED || x == was || (tried % 2 && !copy))
                continue;
            change(&k, var, row, col, x);
            fault = chunk_verdict(&k);
            test_check((mbi_witness_check(k.witness) == MBI_NONE) == !fault,
                       "%s: variable %u, row %zu, column %zu: %s", models[m], var, row, col,
                       fault ? fault : "accepted");
            change(&k, var, row, col, was);
            tried++;
        }
        ck_assert_ptr_null(chunk_verdict(&k));
        chunk_free(&k);
        case_free(&c);
    }
}
END_TEST

/* There is a plan for what can be said of a part, and for nothing else. */
START_TEST(parts_that_cannot_be_are_not_planned)
{
    static const struct {
        uint32_t lanes, n_outputs;
        bool certificate, before, behind, planned;
    } cases[] = {
        {4, 0, false, false, true, true},  {8, 8, false, true, true, true},
        {3, 1, false, true, false, true},  {3, 0, false, false, true, false},
        {6, 1, false, true, true, false},  {4, 0, false, true, false, false},
        {4, 5, false, false, true, false}, {1, 0, true, true, false, false},
        {1, 0, true, false, true, false},  {1, 0, true, false, false, true},
    };
    const struct token_settings set = {models[0], 1, 1, false};
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "parts_that_cannot_be_are_not_planned");
    case_init_tokens(&c, &set, &r);
    ck_assert_uint_eq(mbi_boundary_chunk(c.graph[0]), 4);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const struct mbi_plan_request q = {.graph = c.graph,
                                           .n_stages = 1,
                                           .lanes = cases[i].lanes,
                                           .certificate = cases[i].certificate,
                                           .n_outputs = cases[i].n_outputs,
                                           .boundary = {cases[i].before, cases[i].behind}};
        struct mbi_plan *plan;
        mambaint_error err;
        const int32_t rc = mbi_plan_create(&plan, &c.host, &q, &err);

        test_check((rc == MAMBAINT_OK) == cases[i].planned, "case %zu: %s", i,
                   rc < 0 ? err.message : "planned");
        mbi_plan_free(plan);
    }
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof chunks");
    TCase *t = tcase_create("chunks");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, a_run_in_chunks_is_proved);
    tcase_add_test(t, another_memory_is_refused);
    tcase_add_test(t, gaps_of_a_memory_are_not_read);
    tcase_add_test(t, a_memory_of_another_step_is_refused);
    tcase_add_test(t, roots_belong_to_a_proof);
    tcase_add_test(t, every_value_of_a_part_is_bound);
    tcase_add_test(t, parts_that_cannot_be_are_not_planned);
    suite_add_tcase(s, t);
    return test_main(s);
}

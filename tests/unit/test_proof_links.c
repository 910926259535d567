/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: models of features that take and hand on what is under a root, each proved alone. */
#include "base/intmath.h"
#include "graph/element.h"
#include "proof/boundary.h"
#include "proof_case.h"

/* The models of a case, as one proof of a chain. */
struct link {
    const struct proof_case *c;
    struct mbi_plan *plan;
    struct mbi_witness *witness;
    struct mbi_proof_job job;
    int32_t *vector[MBI_SIDES];
    struct mbi_commitment commitment[MBI_SIDES];
};

static void commit_vector(struct link *k, enum mbi_side side)
{
    const struct mbi_host *host = &k->c->host;
    const size_t n = (size_t)1 << k->plan->boundary_bits[side];
    const struct mbi_table t = {MBI_TABLE_I32, k->vector[side], n};
    struct mbi_code code;
    struct mbi_ntt ntt;
    unsigned bits;

    test_that(MBI_EXT(boundary_code)(&code, k->plan, side, NULL));
    bits = (unsigned)mbi_max_size(k->plan->boundary_bits[side], code.log_columns);
    ck_assert_int_eq(mbi_ntt_init(&ntt, host, mbi_field_kernels_best(), code.log_length, NULL),
                     MAMBAINT_OK);
    ck_assert_int_eq(MBI_EXT(commit)(&k->commitment[side], &t, bits, &code, NULL, &ntt, NULL),
                     MAMBAINT_OK);
    mbi_ntt_free(&ntt);
    k->job.boundary[side] = k->commitment[side].root.digest;
}

static void recommit(struct link *k, enum mbi_side side)
{
    MBI_EXT(commitment_free)(&k->commitment[side]);
    commit_vector(k, side);
}

/* Element (row, col) of what lies on a side, in its vector. */
static int32_t *element(const struct link *k, enum mbi_side side, size_t row, size_t col)
{
    for (uint32_t i = 0; i < k->plan->n_vars; i++) {
        const struct mbi_var *v = &k->plan->var[i];

        if (v->kind == MBI_VAR_BOUNDARY && v->side == side)
            return &k->vector[side]
                             [((size_t)v->block << mbi_var_bits(v)) + mbi_var_place(v, row, col)];
    }
    test_that(false);
    return NULL;
}

static const struct mbi_type *type_of(const struct link *k, enum mbi_side side)
{
    const struct mbi_graph *g = k->c->graph[side ? k->c->n_stages - 1 : 0];

    return &g->node[side ? g->link : 0].type;
}

/* The features of the case, as another proof would hand them on. */
static void fill_before(struct link *k)
{
    const struct mbi_type *t = type_of(k, MBI_BEFORE);

    for (size_t r = 0; r < k->c->lanes; r++)
        for (size_t c = 0; c < t->cols; c++)
            *element(k, MBI_BEFORE, r, c) =
                (int32_t)mbi_get(k->c->stage[0].value[0], t->dtype, r * t->cols + c);
}

static void link_init(struct link *k, const struct proof_case *c, bool before, bool behind,
                      bool public_weights)
{
    const struct mbi_plan_request q = {.graph = c->graph,
                                       .n_stages = c->n_stages,
                                       .lanes = c->lanes,
                                       .public_weights = public_weights,
                                       .boundary = {before, behind}};
    struct mbi_stage_run run[CASE_STAGES];
    mambaint_error err;

    *k = (struct link){.c = c};
    memcpy(run, c->run, sizeof(run));
    test_check(mbi_plan_create(&k->plan, &c->host, &q, &err) == MAMBAINT_OK, "%s", err.message);
    for (int side = 0; side < MBI_SIDES; side++)
        test_that(k->vector[side] =
                      calloc((size_t)1 << k->plan->boundary_bits[side], sizeof(*k->vector[side])));
    if (before)
        fill_before(k);
    run[0].before = before ? k->vector[MBI_BEFORE] : NULL;
    ck_assert_int_eq(mbi_witness_create(&k->witness, k->plan, run, NULL, NULL), MAMBAINT_OK);
    k->job = (struct mbi_proof_job){.plan = k->plan,
                                    .statement = CASE_STATEMENT,
                                    .statement_size = sizeof(CASE_STATEMENT),
                                    .weights = c->weights.root,
                                    .table = k->witness->table};
    test_that(MBI_EXT(walk_code)(&k->job.code, k->plan));
    if (behind)
        mbi_boundary_vector(k->vector[MBI_BEHIND], k->witness, MBI_BEHIND);
    for (int side = 0; side < MBI_SIDES; side++)
        if (k->plan->boundary[side])
            commit_vector(k, (enum mbi_side)side);
}

static void link_free(struct link *k)
{
    for (int side = 0; side < MBI_SIDES; side++) {
        MBI_EXT(commitment_free)(&k->commitment[side]);
        free(k->vector[side]);
    }
    mbi_witness_free(k->witness);
    mbi_plan_free(k->plan);
}

static void prove(struct mbi_proof_writer *w, const struct link *k)
{
    prove_part(w, &k->job, k->witness, &k->c->weights, k->commitment, &k->c->host);
}

static const char *verify(const struct link *k, const void *data, size_t n)
{
    struct mbi_proof_reader in;

    mbi_proof_reader_init(&in, data, n, "wit");
    return MBI_EXT(proof_verify)(&k->job, &in, &k->c->host) ? NULL : in.fault;
}

static const char *link_verdict(const struct link *k)
{
    struct mbi_proof_writer w;
    const char *fault;

    prove(&w, k);
    fault = verify(k, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    return fault;
}

/* ---- what holds ---- */

static const uint32_t widths[][3] = {{5}, {33, 7}, {1, 64, 2}, {WIDTH_MIXED}};
static const size_t stages[] = {1, 2, 3, 1};

static void case_of(struct proof_case *c, size_t i, uint32_t lanes, struct test_random *r)
{
    const struct case_settings set = {widths[i], stages[i], lanes, false, false};

    case_init(c, &set, r);
}

static void holds(const struct link *k, const char *what)
{
    struct mbi_proof_shape shape;
    const uint32_t wrong = mbi_witness_check(k->witness);
    const char *fault;

    test_check(wrong == MBI_NONE, "%s: relation %u of %u", what, wrong, k->plan->n_relations);
    test_check(MBI_EXT(proof_shape)(&shape, k->plan, &k->c->host), "%s: %s", what,
               shape.fault ? shape.fault : "no memory");
    ck_assert_uint_ge(MBI_EXT(proof_level)(k->plan, &shape, &k->job.code), 100);
    fault = link_verdict(k);
    test_check(!fault, "%s: %s", what, fault);
}

START_TEST(parts_of_chains_are_proved)
{
    struct test_random r;

    test_random_init(&r, "parts_of_chains_are_proved");
    for (size_t i = 0; i < MBI_COUNT(widths); i++)
        for (int sides = 1; sides < 4; sides++) {
            char what[64];
            struct proof_case c;
            struct link k;

            case_of(&c, i, sides == 3 ? 3 : 1, &r);
            if (sides > 1 && c.graph[c.n_stages - 1]->link == MBI_NONE) {
                case_free(&c);
                continue;
            }
            for (int public_weights = 0; public_weights < 2; public_weights++) {
                link_init(&k, &c, sides & 1, sides & 2, public_weights);
                snprintf(what, sizeof(what), "models %zu, sides %d, %s", i, sides,
                         public_weights ? "public" : "committed");
                ck_assert_int_eq(k.plan->input == MBI_NONE, sides & 1);
                ck_assert_int_eq(k.plan->output == MBI_NONE, sides >> 1);
                holds(&k, what);
                link_free(&k);
            }
            case_free(&c);
        }
}
END_TEST

/* Whatever the weights on both sides are, with codes of their own. */
START_TEST(both_neighbours_name_one_root)
{
    static const uint32_t all[] = {2, 200};
    static const struct case_settings set = {all, 2, 1, false, false};
    struct test_random r;
    struct proof_case both, one[2];
    struct link k[2];

    test_random_init(&r, "both_neighbours_name_one_root");
    case_init(&both, &set, &r);
    for (int s = 0; s < 2; s++) {
        const struct case_settings alone = {&all[s], 1, 1, false, false};

        case_init(&one[s], &alone, &r);
        for (mbi_ref i = 0; i < one[s].graph[0]->n_nodes; i++) {
            const struct mbi_type *t = &one[s].graph[0]->node[i].type;
            const bool param = mbi_node_is_param(&one[s].graph[0]->node[i]);

            memcpy(one[s].stage[0].value[i], both.stage[s].value[i],
                   (param ? t->rows : 1) * mbi_type_row_size(t));
        }
        case_uncommit(&one[s]);
        case_commit(&one[s]);
        link_init(&k[s], &one[s], s == 1, s == 0, false);
        holds(&k[s], s ? "the second" : "the first");
    }
    ck_assert_uint_ne(k[0].job.code.log_columns, k[1].job.code.log_columns);
    ck_assert_mem_eq(&k[0].job.boundary[MBI_BEHIND], &k[1].job.boundary[MBI_BEFORE],
                     sizeof(struct mbi_digest));
    for (int s = 0; s < 2; s++) {
        link_free(&k[s]);
        case_free(&one[s]);
    }
    case_free(&both);
}
END_TEST

/* ---- what does not ---- */

/* What is under a root is what the models took and handed on, in every element. */
START_TEST(other_values_are_refused)
{
    struct test_random r;

    test_random_init(&r, "other_values_are_refused");
    for (size_t i = 0; i < 3; i++) {
        struct proof_case c;
        struct link k;

        case_of(&c, i, i ? 1 : 2, &r);
        link_init(&k, &c, true, true, i == 1);
        for (int n = 0; n < 20; n++) {
            const enum mbi_side side = n % 2 ? MBI_BEHIND : MBI_BEFORE;
            const size_t row = (size_t)test_random_below(&r, c.lanes);
            const size_t col = (size_t)test_random_below(&r, type_of(&k, side)->cols);
            int32_t *x = element(&k, side, row, col);
            const int32_t was = *x;

            *x = was + (test_random_below(&r, 2) ? 1 : -1) * (1 << test_random_below(&r, 8));
            recommit(&k, side);
            test_check(link_verdict(&k), "models %zu: %d in place of %d on side %d", i, *x, was,
                       side);
            *x = was;
            recommit(&k, side);
        }
        ck_assert_ptr_null(link_verdict(&k));
        link_free(&k);
        case_free(&c);
    }
}
END_TEST

/* Beyond the ten values of a row there are six places more. */
START_TEST(gaps_are_not_read)
{
    struct test_random r;
    struct mbi_digest was;
    struct proof_case c;
    struct link k;

    test_random_init(&r, "gaps_are_not_read");
    case_of(&c, 0, 1, &r);
    link_init(&k, &c, true, true, false);
    for (int side = 0; side < MBI_SIDES; side++) {
        ck_assert_uint_eq(k.plan->boundary_bits[side], 4);
        was = k.job.boundary[side];
        k.vector[side][15] = -3;
        recommit(&k, (enum mbi_side)side);
        test_that(memcmp(&was, &k.job.boundary[side], sizeof(was)) != 0);
    }
    ck_assert_ptr_null(link_verdict(&k));
    link_free(&k);
    case_free(&c);
}
END_TEST

START_TEST(roots_belong_to_a_proof)
{
    struct test_random r;
    struct mbi_proof_writer w;
    struct mbi_digest before;
    struct proof_case c;
    struct link k;

    test_random_init(&r, "roots_belong_to_a_proof");
    case_of(&c, 1, 1, &r);
    link_init(&k, &c, true, true, false);
    prove(&w, &k);
    ck_assert_ptr_null(verify(&k, w.bytes.data, w.bytes.size));
    before = k.job.boundary[MBI_BEFORE];
    k.job.boundary[MBI_BEFORE] = k.job.boundary[MBI_BEHIND];
    test_that(verify(&k, w.bytes.data, w.bytes.size));
    k.job.boundary[MBI_BEHIND] = before;
    test_that(verify(&k, w.bytes.data, w.bytes.size));
    k.job.boundary[MBI_BEFORE] = before;
    test_that(verify(&k, w.bytes.data, w.bytes.size));
    k.job.boundary[MBI_BEHIND] = k.commitment[MBI_BEHIND].root.digest;
    ck_assert_ptr_null(verify(&k, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    link_free(&k);
    case_free(&c);
}
END_TEST

/* Any byte, of the openings of what is handed on, too, which are the last ones. */
START_TEST(changed_bytes_are_refused)
{
    struct test_random r;
    struct mbi_proof_writer w;
    struct proof_case c;
    struct link k;

    test_random_init(&r, "changed_bytes_are_refused");
    case_of(&c, 0, 1, &r);
    link_init(&k, &c, true, true, false);
    prove(&w, &k);
    for (size_t i = 0; i < 400; i++) {
        const size_t last = i < 300 ? 1100 : w.bytes.size; /* from the end on */
        const size_t at = w.bytes.size - 1 - (size_t)test_random_below(&r, last);
        const uint8_t bit = (uint8_t)(1u << test_random_below(&r, 8));

        w.bytes.data[at] ^= bit;
        test_check(verify(&k, w.bytes.data, w.bytes.size), "byte %zu of %zu", at, w.bytes.size);
        w.bytes.data[at] ^= bit;
    }
    test_that(verify(&k, w.bytes.data, w.bytes.size - 1));
    ck_assert_ptr_null(verify(&k, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    link_free(&k);
    case_free(&c);
}
END_TEST

/* ---- plans ---- */

START_TEST(links_that_cannot_be_are_not_planned)
{
    static const struct {
        uint32_t hidden;
        bool certificate, before, behind;
        int32_t rc;
    } cases[] = {
        {5, false, true, true, MAMBAINT_OK},
        {5, true, true, false, MAMBAINT_E_RANGE},
        {5, true, false, true, MAMBAINT_E_RANGE},
        {WIDTH_DIRECT, false, true, false, MAMBAINT_OK},
        {WIDTH_DIRECT, false, false, true, MAMBAINT_E_MISMATCH}, /* it has no link */
    };
    struct test_random r;

    test_random_init(&r, "links_that_cannot_be_are_not_planned");
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        const struct case_settings set = {&cases[i].hidden, 1, 1, false, false};
        struct mbi_plan_request q = {.n_stages = 1,
                                     .lanes = 1,
                                     .certificate = cases[i].certificate,
                                     .boundary = {cases[i].before, cases[i].behind}};
        struct mbi_plan *plan;
        struct proof_case c;
        mambaint_error err = {0, ""};
        int32_t rc;

        case_init(&c, &set, &r);
        q.graph = c.graph;
        rc = mbi_plan_create(&plan, &c.host, &q, &err);
        test_check(rc == cases[i].rc, "case %zu: %d, %s", i, rc, err.message);
        mbi_plan_free(plan);
        case_free(&c);
    }
}
END_TEST

/* Which of four plans it is, nobody can take for another one. */
START_TEST(sides_are_in_the_digest)
{
    uint8_t digest[4][MBI_DIGEST_SIZE];
    struct test_random r;
    struct proof_case c;
    struct link k;

    test_random_init(&r, "sides_are_in_the_digest");
    case_of(&c, 0, 1, &r);
    mbi_plan_digest(digest[0], c.plan);
    for (int sides = 1; sides < 4; sides++) {
        link_init(&k, &c, sides & 1, sides & 2, false);
        mbi_plan_digest(digest[sides], k.plan);
        link_free(&k);
        for (int i = 0; i < sides; i++)
            test_that(memcmp(digest[i], digest[sides], MBI_DIGEST_SIZE) != 0);
    }
    case_free(&c);
}
END_TEST

/* ---- links of hidden proofs ---- */

/* <vector, eq(tau)>, entry by entry; the first coordinate is that of a half that is zero. */
static struct mbi_ext slow_sum(const struct mbi_ext *tau, unsigned bits, const int32_t *vector)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t x = 0; x < (size_t)1 << (bits - 1); x++) {
        struct mbi_ext e = mbi_ext_from(mbi_fe_from_i64(vector[x]));

        for (unsigned k = 0; k < bits; k++)
            e = mbi_ext_mul(e, x >> (bits - 1 - k) & 1 ? tau[k]
                                                       : mbi_ext_sub(mbi_ext_from(1), tau[k]));
        sum = mbi_ext_add(sum, e);
    }
    return sum;
}

START_TEST(a_link_has_the_value_of_its_vector)
{
    struct mbi_ext tau[13];
    struct test_random r;
    int32_t vector[1 << 12];
    struct mbi_link link = {.value = {{0}}};

    test_random_init(&r, "a_link_has_the_value_of_its_vector");
    for (unsigned bits = 1; bits <= 13; bits++) {
        link.name[bits & 1].byte[bits] ^= 1;
        MBI_EXT(link_point)(tau, &link, bits);
        for (size_t i = 0; i < MBI_COUNT(vector); i++)
            vector[i] = i % 7 ? (int32_t)test_random_u64(&r) : i % 2 ? INT32_MIN : INT32_MAX;
        test_that(mbi_ext_equal(MBI_EXT(link_sum)(tau, bits, vector), slow_sum(tau, bits, vector)));
    }
}
END_TEST

/* All entries and the pad moved against each other: with the point of the vector alone it would be
 * the same value, whatever the point. */
START_TEST(no_constant_moves_into_the_pad)
{
    struct mbi_link link = {.value = {{0}}};
    struct mbi_ext tau[8], sum, moved;
    int32_t vector[1 << 7];

    MBI_EXT(link_point)(tau, &link, 8);
    for (size_t i = 0; i < MBI_COUNT(vector); i++)
        vector[i] = (int32_t)(i * i);
    sum = MBI_EXT(link_sum)(tau, 8, vector);
    for (size_t i = 0; i < MBI_COUNT(vector); i++)
        vector[i] += 5;
    moved = MBI_EXT(link_sum)(tau, 8, vector);
    test_that(!mbi_ext_equal(moved, mbi_ext_add(sum, mbi_ext_from(5))));
    tau[0] = mbi_ext_from(0); /* as if there were no other half */
    moved = MBI_EXT(link_sum)(tau, 8, vector);
    for (size_t i = 0; i < MBI_COUNT(vector); i++)
        vector[i] -= 5;
    sum = MBI_EXT(link_sum)(tau, 8, vector);
    test_that(mbi_ext_equal(moved, mbi_ext_add(sum, mbi_ext_from(5))));
    ck_assert_uint_eq(mbi_link_bits(&(struct mbi_plan){.boundary_bits = {7, 9}}, MBI_BEHIND), 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof links");
    TCase *t = tcase_create("links");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, parts_of_chains_are_proved);
    tcase_add_test(t, both_neighbours_name_one_root);
    tcase_add_test(t, other_values_are_refused);
    tcase_add_test(t, gaps_are_not_read);
    tcase_add_test(t, roots_belong_to_a_proof);
    tcase_add_test(t, changed_bytes_are_refused);
    tcase_add_test(t, links_that_cannot_be_are_not_planned);
    tcase_add_test(t, sides_are_in_the_digest);
    tcase_add_test(t, a_link_has_the_value_of_its_vector);
    tcase_add_test(t, no_constant_moves_into_the_pad);
    suite_add_tcase(s, t);
    return test_main(s);
}

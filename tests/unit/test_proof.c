/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: proofs of models, from the graph to the bytes. */
#include "graph/element.h"
#include "op/op_list.h"
#include "proof_case.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW) || MBI_EXT_D == 3
#define STRIDE 31 /* of the bytes that are damaged one by one */
#else
#define STRIDE 1
#endif

static const uint32_t chain[] = {16, 24, 20};

/* ---- what is true is accepted ---- */

START_TEST(runs_are_proved)
{
    struct test_random r;

    test_random_init(&r, "runs_are_proved");
    for (size_t n = 1; n <= 3; n++)
        for (uint32_t lanes = 1; lanes <= 5; lanes += 2)
            for (int public_weights = 0; public_weights < 2; public_weights++) {
                const struct case_settings set = {chain, n, lanes, public_weights != 0, false};
                struct proof_case c;
                const char *fault;

                case_init(&c, &set, &r);
                ck_assert_uint_eq(mbi_witness_check(c.witness), MBI_NONE);
                fault = verdict(&c);
                test_check(!fault, "%zu stages, %u lanes, %s weights: %s", n, lanes,
                           public_weights ? "public" : "committed", fault);
                case_free(&c);
            }
}
END_TEST

START_TEST(widths_that_are_no_powers_are_proved)
{
    static const uint32_t widths[] = {1, 2, 3, 7, 33, 100};
    struct test_random r;

    test_random_init(&r, "widths_that_are_no_powers_are_proved");
    for (size_t i = 0; i < MBI_COUNT(widths); i++) {
        const struct case_settings set = {&widths[i], 1, 1 + (uint32_t)i % 3, false, false};
        struct proof_case c;
        const char *fault;

        case_init(&c, &set, &r);
        case_weaken(&c);
        fault = verdict(&c);
        test_check(!fault, "%u wide: %s", widths[i], fault);
        case_free(&c);
    }
}
END_TEST

START_TEST(every_operation_is_proved)
{
    static const uint32_t mixed[] = {WIDTH_MIXED};
    struct test_random r;

    test_random_init(&r, "every_operation_is_proved");
    for (uint32_t lanes = 1; lanes <= 7; lanes++)
        for (int public_weights = 0; public_weights < 2; public_weights++) {
            const struct case_settings set = {mixed, 1, lanes, public_weights != 0, false};
            struct proof_case c;
            const char *fault;
            uint32_t wrong;

            case_init(&c, &set, &r);
            case_weaken(&c);
            wrong = mbi_witness_check(c.witness);
            test_check(wrong == MBI_NONE, "relation %u of %u", wrong, c.plan->n_relations);
            fault = verdict(&c);
            test_check(!fault, "%u lanes, %s weights: %s", lanes,
                       public_weights ? "public" : "committed", fault);
            case_free(&c);
        }
}
END_TEST

START_TEST(weights_are_certified)
{
    struct test_random r;

    test_random_init(&r, "weights_are_certified");
    for (size_t i = 0; i < MBI_COUNT(chain); i++) {
        const struct case_settings set = {&chain[i], 1, 1, false, true};
        struct proof_case c;
        const char *fault;

        case_init(&c, &set, &r);
        ck_assert_uint_eq(mbi_witness_check(c.witness), MBI_NONE);
        fault = verdict(&c);
        test_check(!fault, "%u wide: %s", chain[i], fault);
        case_free(&c);
    }
}
END_TEST

/* ---- what cannot be proved is refused before ---- */

static void too_wide(struct mbi_build *b, mbi_ref x)
{
    const mbi_ref y = mbi_requant(b, "wide", x, -24, INT32_MIN, INT32_MAX, 29);
    const mbi_ref z = mbi_requant(b, "wider", y, -30, INT32_MIN, INT32_MAX, 59);

    (void)mbi_build_end(b, z, mbi_argmax(b, "argmax", z));
}

static void groups(struct mbi_build *b, mbi_ref x)
{
    const mbi_ref y =
        mbi_mul(b, "groups", mbi_slice(b, "nine", x, 0, 9), mbi_slice(b, "few", x, 0, 3), 3);

    (void)mbi_build_end(b, y, mbi_argmax(b, "argmax", y));
}

START_TEST(plans_are_refused)
{
    static const struct {
        void (*build)(struct mbi_build *b, mbi_ref x);
        const char *words;
    } cases[] = {{too_wide, "62 bits"}, {groups, "in groups"}};

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        struct mbi_host host;
        struct mbi_graph *graph;
        struct mbi_build b;
        struct mbi_plan *plan;
        const struct mbi_graph *const *graphs = (const struct mbi_graph *const *)&graph;
        struct mbi_plan_request q = {.graph = graphs, .n_stages = 1, .lanes = 1};
        mambaint_error err;

        mbi_host_default(&host);
        ck_assert_int_eq(mbi_graph_create(&graph, &host, NULL), MAMBAINT_OK);
        mbi_build_begin(&b, graph, &err);
        cases[i].build(&b, mbi_build_features(&b, 10, 5));
        test_check(b.status >= 0, "%s", err.message);
        ck_assert_int_eq(mbi_plan_create(&plan, &host, &q, &err), MAMBAINT_E_UNSUPPORTED);
        test_check(strstr(err.message, cases[i].words), "%s", err.message);
        ck_assert_ptr_null(plan);
        q.lanes = 0;
        ck_assert_int_eq(mbi_plan_create(&plan, &host, &q, &err), MAMBAINT_E_RANGE);
        q.n_stages = 0;
        ck_assert_int_eq(mbi_plan_create(&plan, &host, &q, &err), MAMBAINT_E_RANGE);
        mbi_graph_free(graph);
    }
}
END_TEST

/* Gadgets that no operation has: the plan finds what the protocol could not show. */
static void check_fault(void (*declare)(struct mbi_gadget *g, uint32_t v), const char *words)
{
    struct mbi_host host;
    struct mbi_plan *plan;
    struct mbi_gadget g;

    mbi_host_default(&host);
    plan = mbi_alloc(&host, 1, sizeof(*plan));
    test_that(plan);
    plan->host = &host;
    g = (struct mbi_gadget){.plan = plan, .lanes = 2};
    declare(&g, mbi_gadget_var(&g, 3, 0, ((int64_t)1 << 61) - 1, true));
    if (words)
        test_check(plan->fault && strstr(plan->fault, words), "%s: %s", words, plan->fault);
    else
        test_check(!plan->fault, "%s", plan->fault);
    mbi_plan_free(plan);
}

static void sum_that_fits(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 3);
    mbi_gadget_linear(g, 1, v);
    mbi_gadget_linear(g, -1, v);
}
static void sum_too_large(struct mbi_gadget *g, uint32_t v)
{
    sum_that_fits(g, v);
    mbi_gadget_constant(g, 2); /* one side, or the other, reaches 2^62 */
}
static void term_too_large(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 3);
    mbi_gadget_linear(g, -3, v);
}
static void product_too_large(struct mbi_gadget *g, uint32_t v)
{
    (void)mbi_gadget_define(g, 3);
    mbi_gadget_product(g, 1, v, v);
}
static void range_too_wide(struct mbi_gadget *g, uint32_t v)
{
    (void)v;
    (void)mbi_gadget_var(g, 1, -((int64_t)1 << 61), (int64_t)1 << 61, true);
}
static void empty_range(struct mbi_gadget *g, uint32_t v)
{
    (void)v;
    (void)mbi_gadget_var(g, 1, 1, 0, false);
}
static void two_products(struct mbi_gadget *g, uint32_t v)
{
    const uint32_t bit = mbi_gadget_var(g, 3, 0, 1, false);

    (void)v;
    (void)mbi_gadget_define(g, 3);
    mbi_gadget_product(g, 1, bit, bit);
    mbi_gadget_linear(g, 1, bit);
}
static void later_variable(struct mbi_gadget *g, uint32_t v)
{
    const uint32_t sum = mbi_gadget_define(g, 3);

    (void)v;
    mbi_gadget_linear(g, 1, sum + 1);
}
static void read_of_later(struct mbi_gadget *g, uint32_t v)
{
    (void)v;
    (void)mbi_gadget_define(g, 3);
    mbi_gadget_linear(g, 1, mbi_gadget_var(g, 3, 0, 1, false));
}
static void letter_of_none(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 1);
    mbi_gadget_view(g, 1, mbi_view(v, mbi_along(0, 0), mbi_fixed(0), mbi_along(3, 0)));
}
static void fields_overlap(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 3);
    mbi_gadget_view(g, 1, mbi_view(v, mbi_along(0, 0), mbi_fixed(0), mbi_every(1, 1, 2)));
}
static void result_in_part(struct mbi_gadget *g, uint32_t v)
{
    const uint32_t n[] = {g->lanes, 2};

    (void)mbi_gadget_define(g, 3);
    mbi_gadget_letters(g, 2, n);
    mbi_gadget_linear(g, 1, v);
}
static void mask_of_three(struct mbi_gadget *g, uint32_t v)
{
    const uint32_t n[] = {g->lanes, 3, 3};

    (void)v;
    mbi_gadget_relate(g, 3);
    mbi_gadget_letters(g, 3, n);
    mbi_gadget_upto(g, 1, 2);
}
static void masked_sum(struct mbi_gadget *g, uint32_t v)
{
    const uint32_t n[] = {g->lanes, 2, 2};

    (void)mbi_gadget_define(g, 2);
    mbi_gadget_letters(g, 3, n);
    mbi_gadget_upto(g, 2, 1);
    mbi_gadget_linear(g, 1, v);
}
static void long_prefix(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 3);
    mbi_gadget_view(g, 1, mbi_view(v, mbi_along(0, 0), mbi_fixed(0), mbi_prefix(1, 3)));
}
static void token_beyond(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 3);
    mbi_gadget_view(g, 1, mbi_view(v, mbi_pick(0, 3), mbi_fixed(0), mbi_along(1, 0)));
}
static void diagonal(struct mbi_gadget *g, uint32_t v)
{
    mbi_gadget_relate(g, 2);
    mbi_gadget_view(g, 1, mbi_view(v, mbi_along(0, 0), mbi_fixed(0), mbi_along(0, 0)));
}

START_TEST(gadgets_are_checked)
{
    check_fault(sum_that_fits, NULL);
    check_fault(sum_too_large, "62 bits");
    check_fault(term_too_large, "62 bits");
    check_fault(product_too_large, "62 bits");
    check_fault(range_too_wide, "too wide");
    check_fault(empty_range, "empty");
    check_fault(two_products, "beside other terms");
    check_fault(later_variable, "before it is declared");
    check_fault(read_of_later, "before it is declared");
    check_fault(letter_of_none, "letter that is not there");
    check_fault(fields_overlap, "overlap");
    check_fault(result_in_part, "reach all");
    check_fault(mask_of_three, "power of two");
    check_fault(masked_sum, "has a mask");
    check_fault(long_prefix, "prefix is of rows");
    check_fault(token_beyond, "picks a token");
    check_fault(diagonal, "diagonal");
}
END_TEST

/* ---- the shape: sizes and soundness are known before a proof is made ---- */

START_TEST(shapes_are_known_before)
{
    struct test_random r;

    test_random_init(&r, "shapes_are_known_before");
    for (int kind = 0; kind < 4; kind++) {
        const struct case_settings set = {chain, kind == 2 ? 3 : 1, 1, kind == 1, kind == 3};
        struct mbi_proof_shape shape;
        struct mbi_proof_writer w;
        struct proof_case c;
        struct mbi_root root[2];
        uint64_t opening;

        case_init(&c, &set, &r);
        case_prove(&w, &c);
        test_that(MBI_EXT(proof_shape)(&shape, c.plan, &c.host));
        root[0].log_rows =
            c.plan->bits > c.job.code.log_columns ? c.plan->bits - c.job.code.log_columns : 0;
        root[0].rows = mbi_rows_in_use(c.plan->end, c.job.code.log_columns);
        root[1] = c.weights.root;
        opening = MBI_EXT(open_size_max)(&c.job.code, root, set.public_weights ? 1 : 2);
        test_that(w.bytes.size > shape.bytes && w.bytes.size <= shape.bytes + opening);
        ck_assert_uint_ge(MBI_EXT(proof_level)(c.plan, &shape, &c.job.code), 100);
        c.job.code.work = 0; /* the positions are the worst step, and tell */
        ck_assert_uint_lt(MBI_EXT(proof_level)(c.plan, &shape, &c.job.code), 100);
        mbi_proof_writer_free(&w);
        case_free(&c);
    }
}
END_TEST

/* ---- the witness: every digit that is read is bound ---- */

/* Is entry x of the witness vector a digit of a real element of a variable? */
static bool is_real(const struct mbi_plan *p, uint64_t x)
{
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const unsigned size = mbi_var_bits(v);
        const uint64_t block = x >> size, place = x & (((uint64_t)1 << size) - 1);

        if (v->kind == MBI_VAR_COMMITTED && ((v->bits > 1 && block >= p->box[v->first_box].digits &&
                                              block < p->box[v->first_box].digits + v->bits / 2) ||
                                             (v->bits % 2 && block == p->box[v->first_box].odd)))
            return place >> mbi_row_log(v) < v->n[0] &&
                   (place & (((uint64_t)1 << mbi_row_log(v)) - 1)) < v->n[2];
    }
    return false;
}

/* Another value for every entry that is committed to: one that is no digit is refused wherever
 * digits lie; a digit is refused if it is real, and accepted where nothing reads it. */
static void mutate_digits(struct proof_case *c, uint64_t stride, struct test_random *r)
{
    const struct mbi_plan *p = c->plan;
    mbi_fe *digit = case_widen(c, &c->witness->vector);

    for (uint64_t x = test_random_below(r, stride); x < p->end; x += stride) {
        const bool fours = x < p->to[2], twos = x >= p->from[1] && x < p->end;
        const mbi_fe was = digit[x];
        const unsigned base = fours ? 4 : 2;
        const char *fault;

        digit[x] = (was + 1 + test_random_below(r, base - 1)) % base;
        fault = verdict(c);
        if (is_real(p, x))
            test_check(fault, "entry %u is free", (unsigned)x);
        else
            test_check(!fault, "entry %u, which nothing reads: %s", (unsigned)x, fault);
        digit[x] = test_random_below(r, 2) ? base : base + test_random_below(r, MBI_FIELD_P - base);
        fault = verdict(c);
        if (fours || twos)
            test_check(fault, "entry %u may be no digit", (unsigned)x);
        else
            test_check(!fault, "entry %u, which nothing reads: %s", (unsigned)x, fault);
        digit[x] = was;
    }
}

START_TEST(every_digit_is_bound)
{
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "every_digit_is_bound");
    for (int kind = MBI_EXT_D == 2 ? 0 : 1; kind < (MBI_EXT_D == 2 ? 3 : 2); kind++) {
        static const uint32_t narrow = 3, mixed = WIDTH_MIXED;
        const struct case_settings set = {kind == 0   ? chain
                                          : kind == 1 ? &narrow
                                                      : &mixed,
                                          1, 1, kind == 1, false};

        case_init(&c, &set, &r);
        case_weaken(&c);
        mutate_digits(&c, kind == 2 ? 5 : 1, &r); /* others in every run */
        ck_assert_ptr_null(verdict(&c));
        case_free(&c);
    }
}
END_TEST

/* ---- provers that lie ---- */

/* The variables of the first rectifier, and one of its elements that is neither 0 nor the top.
 * Everything is in elements of F, so that a prover may put there what it likes. */
struct rectifier {
    struct proof_case *c;
    mbi_fe *digit;
    uint32_t y, u, v, r;
    mbi_fe *table[4]; /* of y, u, v, r */
    size_t col;
};

static int64_t get(const struct rectifier *q, uint32_t var)
{
    return (int64_t)q->table[var - q->y][q->col];
}

/* An element of F, with digits if it has them; else the first digit holds it. */
static void put(const struct rectifier *q, uint32_t var, mbi_fe x)
{
    const struct mbi_var *v = &q->c->plan->var[var];
    const struct mbi_box *box = &q->c->plan->box[v->first_box];
    const unsigned size = mbi_var_bits(v);
    const bool fits = x >> v->bits == 0;
    mbi_fe left = x;

    q->table[var - q->y][q->col] = x;
    for (uint32_t k = 0; k < v->bits / 2; k++) {
        q->digit[((box->digits + k) << size) + q->col] = fits ? left & 3 : k ? 0 : x;
        left >>= 2;
    }
    if (v->bits & 1)
        q->digit[(box->odd << size) + q->col] = fits ? left & 1 : 0;
}

/* Changes by a signed number. */
static void add(const struct rectifier *q, uint32_t var, int64_t by)
{
    put(q, var, mbi_fe_add(q->table[var - q->y][q->col], mbi_fe_from_i64(by)));
}

static void one_more(const struct rectifier *q) { add(q, q->y, 1); }
static void one_less(const struct rectifier *q) { add(q, q->y, -1); }
static void remainder_alone(const struct rectifier *q) { put(q, q->r, (mbi_fe)get(q, q->r) ^ 1); }

/* In the rest, the relation of the shift holds. */
static void rounded_down(const struct rectifier *q)
{
    add(q, q->y, -1);
    add(q, q->r, 128);
}
static void rounded_up(const struct rectifier *q)
{
    add(q, q->y, 1);
    add(q, q->r, -128);
}
static void wrapped(const struct rectifier *q) /* by 2^-k mod p */
{
    put(q, q->y, mbi_fe_add((mbi_fe)get(q, q->y), mbi_fe_inv(128)));
    add(q, q->r, -1);
}
static void above_inside(const struct rectifier *q)
{
    add(q, q->y, -1);
    put(q, q->u, 1);
}
static void below_inside(const struct rectifier *q)
{
    add(q, q->y, 1);
    put(q, q->v, 1);
}
static void both_sides(const struct rectifier *q)
{
    put(q, q->u, 5);
    put(q, q->v, 5);
}
static void clamped_to_zero(const struct rectifier *q)
{
    put(q, q->u, (mbi_fe)get(q, q->y));
    put(q, q->y, 0);
}
static void negative_excess(const struct rectifier *q)
{
    put(q, q->u, mbi_fe_from_i64(get(q, q->y) - 127));
    put(q, q->y, 127);
}

static const struct cheat {
    const char *name;
    void (*change)(const struct rectifier *q);
} cheats[] = {
    {"quotient one more", one_more},
    {"quotient one less", one_less},
    {"another remainder", remainder_alone},
    {"remainder of 2^k or more", rounded_down},
    {"negative remainder", rounded_up},
    {"quotient moved by 2^-k mod p", wrapped},
    {"u where nothing is above", above_inside},
    {"v where nothing is below", below_inside},
    {"u and v together", both_sides},
    {"clamped without need", clamped_to_zero},
    {"negative u", negative_excess},
};

/* The element is found: of 16 with random weights, nearly always one is inside. */
static bool find_rectifier(struct rectifier *q, struct proof_case *c)
{
    const struct mbi_stage_plan *s = &c->plan->stage[0];

    q->c = c;
    for (mbi_ref i = 0; i < s->graph->n_nodes; i++)
        if (s->node[i].var != MBI_NONE && s->graph->node[i].op == MBI_OP_requant)
            q->y = s->node[i].var;
    q->u = q->y + 1;
    q->v = q->y + 2;
    q->r = q->y + 3;
    for (uint32_t k = 0; k < 4; k++)
        q->table[k] = case_widen(c, &c->witness->table[q->y + k]);
    q->digit = case_widen(c, &c->witness->vector);
    for (q->col = 0; q->col < c->plan->var[q->y].n[2]; q->col++)
        if (get(q, q->y) > 1 && get(q, q->y) < 126)
            return true;
    return false;
}

/*
 * How far a lie goes. With everything that follows from it, output included, only the check that it
 * breaks is left to refuse it. If the digits of the range argument are true ones beside, only the
 * claim that the argument ends in is. Or the lie is in the commitment alone.
 */
enum depth { ALONE, WITH_ALL, BESIDE_TRUE_DIGITS, COMMITTED_ALONE, DEPTHS };

static void swap_digits(const struct rectifier *q, mbi_fe *other, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mbi_fe x = q->digit[i];

        q->digit[i] = other[i];
        other[i] = x;
    }
}

static const char *lie(const struct proof_case *c, const struct rectifier *q,
                       const struct cheat *cheat, enum depth depth)
{
    const size_t n = c->witness->vector.n;
    mbi_fe *copy = calloc(n, sizeof(*copy)), keep[4];
    struct mbi_table other = {MBI_TABLE_FIELD, copy, n};
    struct mbi_proof_writer w;
    const char *fault;

    test_that(copy);
    memcpy(copy, q->digit, n * sizeof(*copy));
    for (uint32_t k = 0; k < 4; k++)
        keep[k] = q->table[k][q->col];
    cheat->change(q);
    if (depth == WITH_ALL || depth == BESIDE_TRUE_DIGITS)
        case_derive(q->c);
    if (depth >= BESIDE_TRUE_DIGITS)
        swap_digits(q, copy, n);
    for (uint32_t k = 0; k < 4 && depth == COMMITTED_ALONE; k++)
        q->table[k][q->col] = keep[k];
    case_prove_with(&w, c, depth >= BESIDE_TRUE_DIGITS ? &other : NULL);
    fault = case_verify(c, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    free(copy);
    return fault;
}

START_TEST(lies_are_refused)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct test_random r;

    test_random_init(&r, "lies_are_refused");
    for (enum depth depth = ALONE; depth < DEPTHS; depth++)
        for (size_t i = 0; i < MBI_COUNT(cheats);) {
            struct rectifier q;
            struct proof_case c;

            case_init(&c, &set, &r);
            case_weaken(&c);
            if (find_rectifier(&q, &c)) {
                test_check(lie(&c, &q, &cheats[i], depth), "%s: accepted, %d", cheats[i].name,
                           depth);
                i++;
            }
            case_free(&c);
        }
}
END_TEST

/*
 * Sum-checks on values that are not the committed ones: the digits tell a lie for which the shift's
 * relation holds, the tables are true. Only the claims about the tables' values refuse it.
 */
START_TEST(tables_are_the_committed_ones)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct test_random r;
    struct rectifier q;
    struct proof_case c;
    bool found;

    test_random_init(&r, "tables_are_the_committed_ones");
    do {
        case_init(&c, &set, &r);
        case_weaken(&c);
        if (!(found = find_rectifier(&q, &c)))
            case_free(&c);
    } while (!found);
    for (uint32_t k = 0; k < 2; k++) {
        const mbi_fe y = q.table[0][q.col], excess = q.table[1 + k][q.col];

        (k ? below_inside : above_inside)(&q);
        case_derive(&c); /* the output is that of the lie */
        q.table[1 + k][q.col] = excess;
        if (!k)
            test_that(verdict(&c));
        q.table[0][q.col] = y;
        test_that(verdict(&c));
    }
    case_free(&c);
}
END_TEST

/* What the verifier knows differs from what was proved, by one. */
static const char *verdict_with(struct proof_case *c, uint32_t var, size_t row, size_t col)
{
    struct mbi_proof_writer w;
    const int64_t was = mbi_witness_get(c->witness, var, row, col);
    const char *fault;

    case_prove(&w, c);
    mbi_witness_set(c->witness, var, row, col, was ? was - 1 : 1); /* the job has these tables */
    fault = case_verify(c, w.bytes.data, w.bytes.size);
    mbi_witness_set(c->witness, var, row, col, was);
    mbi_proof_writer_free(&w);
    return fault;
}

START_TEST(other_statements_are_refused)
{
    const struct case_settings set = {chain, 2, 2, false, false};
    struct mbi_proof_writer w;
    struct test_random r;
    struct proof_case c;
    struct mbi_proof_job job;

    test_random_init(&r, "other_statements_are_refused");
    case_init(&c, &set, &r);
    case_weaken(&c);
    for (size_t col = 0; col < 10; col++)
        test_check(verdict_with(&c, c.plan->input, col % 2, col), "input %zu is free", col);
    for (size_t col = 0; col < 69; col++)
        test_check(verdict_with(&c, c.plan->output, col % 2, col), "output %zu is free", col);
    case_prove(&w, &c);
    job = c.job;
    c.job.statement = "b statement";
    test_that(case_verify(&c, w.bytes.data, w.bytes.size));
    c.job = job;
    c.job.statement_size--;
    test_that(case_verify(&c, w.bytes.data, w.bytes.size));
    c.job = job;
    c.job.weights.digest.byte[5] ^= 4;
    test_that(case_verify(&c, w.bytes.data, w.bytes.size));
    c.job = job;
    c.type = "cert";
    test_that(case_verify(&c, w.bytes.data, w.bytes.size));
    c.type = "wit";
    test_that(!case_verify(&c, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    case_free(&c);
}
END_TEST

/* A false output that both sides agree on, other weights than the committed ones, and a weight
 * outside of its interval. */
START_TEST(false_statements_have_no_proof)
{
    struct test_random r;

    test_random_init(&r, "false_statements_have_no_proof");
    for (int kind = 0; kind < 4; kind++) {
        const struct case_settings set = {chain, 1, 1, kind == 1, kind == 3};
        struct proof_case c;
        uint32_t weight = 0;

        case_init(&c, &set, &r);
        case_weaken(&c);
        while (c.plan->var[weight].kind != MBI_VAR_WEIGHT ||
               (kind == 2 && c.plan->var[weight].n[0] != 69)) /* the ones that a sum-check reads */
            weight++;
        if (kind < 2)
            mbi_witness_set(c.witness, c.plan->output, 0, 68,
                            mbi_witness_get(c.witness, c.plan->output, 0, 68) + 1);
        else
            mbi_witness_set(c.witness, weight, 2, 3, -128); /* which fits the type alone */
        if (kind == 3) {
            mbi_witness_set(c.witness, weight - 1, 2, 3, -128);
            mbi_witness_digits(c.witness, weight - 1);
        }
        test_check(verdict(&c), "kind %d is accepted", kind);
        case_free(&c);
    }
}
END_TEST

/* Where all is public, the claims are: they are checked, not opened. */
START_TEST(public_claims_are_checked)
{
    static const uint32_t direct[] = {WIDTH_DIRECT};
    struct test_random r;

    test_random_init(&r, "public_claims_are_checked");
    for (int public_weights = 0; public_weights < 2; public_weights++) {
        const struct case_settings set = {direct, 1, 3, public_weights != 0, false};
        struct proof_case c;
        const char *fault;

        case_init(&c, &set, &r);
        case_weaken(&c);
        fault = verdict(&c);
        test_check(!fault, "%s", fault);
        mbi_witness_set(c.witness, c.plan->output, 1, 4,
                        mbi_witness_get(c.witness, c.plan->output, 1, 4) + 1);
        fault = verdict(&c);
        test_that(fault && strstr(fault, public_weights ? "what is public" : "claims"));
        case_free(&c);
    }
}
END_TEST

/* ---- the bytes ---- */

START_TEST(bytes_are_bound)
{
    const struct case_settings set = {chain, 1, 1, false, false};
    struct mbi_proof_writer w;
    struct test_random r;
    struct proof_case c;

    test_random_init(&r, "bytes_are_bound");
    case_init(&c, &set, &r);
    case_prove(&w, &c);
    ck_assert_ptr_null(case_verify(&c, w.bytes.data, w.bytes.size));
    for (size_t at = 0; at < w.bytes.size; at += STRIDE) {
        const uint8_t flip = (uint8_t)(1 + test_random_below(&r, 255));

        w.bytes.data[at] ^= flip;
        test_check(case_verify(&c, w.bytes.data, w.bytes.size), "byte %zu is free", at);
        w.bytes.data[at] ^= flip;
    }
    for (size_t n = 0; n < w.bytes.size; n += 1 + n / 64) {
        uint8_t *cut = malloc(n + 1); /* its end is seen by the sanitizer */

        test_that(cut);
        memcpy(cut, w.bytes.data, n);
        test_check(case_verify(&c, cut, n), "%zu bytes are enough", n);
        free(cut);
    }
    ck_assert_ptr_null(case_verify(&c, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    case_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proof");
    TCase *t = tcase_create("proof");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, runs_are_proved);
    tcase_add_test(t, widths_that_are_no_powers_are_proved);
    tcase_add_test(t, every_operation_is_proved);
    tcase_add_test(t, weights_are_certified);
    tcase_add_test(t, plans_are_refused);
    tcase_add_test(t, gadgets_are_checked);
    tcase_add_test(t, shapes_are_known_before);
    tcase_add_test(t, every_digit_is_bound);
    tcase_add_test(t, lies_are_refused);
    tcase_add_test(t, tables_are_the_committed_ones);
    tcase_add_test(t, other_statements_are_refused);
    tcase_add_test(t, false_statements_have_no_proof);
    tcase_add_test(t, public_claims_are_checked);
    tcase_add_test(t, bytes_are_bound);
    suite_add_tcase(s, t);
    return test_main(s);
}

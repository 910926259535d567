/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/proof: every kind of index, letter, mask and term through the whole protocol. Definitions of
 * random integers are compared with committed copies: true ones are accepted, and one copy that is
 * off by one is refused.
 */
#include "graph/element.h"
#include "letters_case.h"
#include "proof_case.h"
#include "proof/layout.h"
#include "proof/relation.h"

#define MAX_COPIES 64
#define MAX_ZERO 4

/* A plan that no graph stands for. */
struct trial {
    struct proof_case c;
    struct mbi_gadget g;
    uint32_t copy[MAX_COPIES], of[MAX_COPIES]; /* variables */
    size_t n_copies;
    uint32_t zero[MAX_ZERO]; /* variables */
    size_t n_zero;
    uint32_t token[80];
};

static void trial_begin(struct trial *t, uint32_t lanes, bool counted, struct test_random *r)
{
    memset(t, 0, sizeof(*t));
    mbi_host_default(&t->c.host);
    ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK);
    test_that((t->c.plan = mbi_alloc(&t->c.host, 1, sizeof(*t->c.plan))));
    *t->c.plan = (struct mbi_plan){.host = &t->c.host,
                                   .lanes = lanes,
                                   .n_outputs = 1 + (uint32_t)test_random_below(r, lanes),
                                   .public_weights = true,
                                   .certificate = true,
                                   .small_bits = counted ? 0 : 30,
                                   .input = MBI_NONE,
                                   .output = MBI_NONE};
    t->g = (struct mbi_gadget){.plan = t->c.plan, .lanes = lanes};
    for (size_t i = 0; i < MBI_COUNT(t->token); i++)
        t->token[i] = (uint32_t)test_random_below(r, 5);
}

/* Compares a variable with a committed copy. */
static void compare(struct trial *t, uint32_t var)
{
    const struct mbi_var v = t->c.plan->var[var];
    const struct mbi_shape shape = {{v.n[0], v.n[1], v.n[2]}};

    ck_assert_uint_lt(t->n_copies, MAX_COPIES);
    t->of[t->n_copies] = var;
    t->copy[t->n_copies++] = mbi_gadget_table(&t->g, shape, v.lo, v.hi, true);
    mbi_gadget_relate(&t->g, v.n[2]);
    mbi_gadget_letters(&t->g, MBI_AXES, shape.n);
    mbi_gadget_view(&t->g, 1, mbi_gadget_entry(var));
    mbi_gadget_view(&t->g, -1, mbi_gadget_entry(t->copy[t->n_copies - 1]));
}

static bool is_copy(const struct trial *t, uint32_t var)
{
    for (size_t i = 0; i < t->n_copies; i++)
        if (t->copy[i] == var)
            return true;
    return false;
}

static void fill_randomly(struct trial *t, struct test_random *r)
{
    const struct mbi_plan *p = t->c.plan;

    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        if (v->kind == MBI_VAR_DERIVED || is_copy(t, i) ||
            (v->kind == MBI_VAR_PUBLIC && v->input == MBI_PUBLIC_LESS))
            continue;
        for (size_t row = 0; row < v->n[0]; row++)
            for (size_t col = 0; col < mbi_var_cols(v); col++)
                mbi_witness_set(t->c.witness, i, row, col,
                                v->lo +
                                    (int64_t)test_random_below(r, (uint64_t)(v->hi - v->lo) + 1));
    }
}

static void set_digits(const struct trial *t, uint32_t var)
{
    mbi_witness_digits(t->c.witness, var);
    mbi_witness_count(t->c.witness);
}

/* Everything that follows from it. */
static void follow(struct trial *t)
{
    const struct mbi_witness *w = t->c.witness;

    for (uint32_t i = 0; i < t->c.plan->n_vars; i++) {
        w->done[i] = false;
        mbi_witness_compute(w, i);
    }
    for (size_t k = 0; k < t->n_copies; k++) {
        const struct mbi_var *v = &t->c.plan->var[t->copy[k]];

        for (size_t row = 0; row < v->n[0]; row++)
            for (size_t col = 0; col < mbi_var_cols(v); col++)
                mbi_witness_set(w, t->copy[k], row, col, mbi_witness_get(w, t->of[k], row, col));
    }
    for (uint32_t i = 0; i < t->c.plan->n_vars; i++)
        if (t->c.plan->var[i].kind == MBI_VAR_COMMITTED)
            mbi_witness_digits(w, i);
    mbi_witness_count(w);
}

/* Public variables of LESS, as the witness of a graph has them. */
static void fill_less(struct trial *t)
{
    for (uint32_t i = 0; i < t->c.plan->n_vars; i++) {
        const struct mbi_var *v = &t->c.plan->var[i];

        for (size_t row = 0; v->kind == MBI_VAR_PUBLIC && row < v->n[0]; row++)
            for (size_t col = 0; col < v->n[2]; col++)
                mbi_witness_set(t->c.witness, i, row, col, col < t->token[(size_t)v->from + row]);
    }
}

static void trial_end(struct trial *t, struct test_random *r)
{
    struct mbi_plan *p = t->c.plan;

    mbi_plan_lay_out(p);
    mbi_plan_compare_relations(p);
    test_check(!p->fault, "%s", p->fault);
    t->c.run[0].token = t->token;
    t->c.type = "wit";
    ck_assert_int_eq(mbi_witness_create(&t->c.witness, p, t->c.run, NULL, NULL), MAMBAINT_OK);
    fill_less(t);
    fill_randomly(t, r);
    follow(t);
    t->c.job = (struct mbi_proof_job){.plan = p,
                                      .statement = CASE_STATEMENT,
                                      .statement_size = sizeof(CASE_STATEMENT),
                                      .table = t->c.witness->table,
                                      .token = t->token};
    test_that(MBI_EXT(walk_code)(&t->c.job.code, p));
    case_weaken(&t->c);
}

static void trial_free(struct trial *t)
{
    mbi_witness_free(t->c.witness);
    mbi_plan_free(t->c.plan);
}

/* True is accepted; each copy off by one somewhere is refused. */
static void judge(struct trial *t, const char *what, struct test_random *r)
{
    const uint32_t wrong = mbi_witness_check(t->c.witness);
    const char *fault;

    test_check(wrong == MBI_NONE, "%s, %u lanes: relation %u of %u", what, t->c.plan->lanes, wrong,
               t->c.plan->n_relations);
    fault = verdict(&t->c);
    test_check(!fault, "%s, %u lanes: %s", what, t->c.plan->lanes, fault);
    for (size_t k = 0; k < t->n_copies; k++) {
        const struct mbi_var *v = &t->c.plan->var[t->copy[k]];
        const size_t row = random_size(r, v->n[0]), col = random_size(r, mbi_var_cols(v));
        const int64_t was = mbi_witness_get(t->c.witness, t->copy[k], row, col);

        if (v->lo == v->hi)
            continue;
        mbi_witness_set(t->c.witness, t->copy[k], row, col, was < v->hi ? was + 1 : was - 1);
        set_digits(t, t->copy[k]);
        test_check(verdict(&t->c), "%s, %u lanes: copy %zu is free at %zu, %zu", what,
                   t->c.plan->lanes, k, row, col);
        mbi_witness_set(t->c.witness, t->copy[k], row, col, was);
        set_digits(t, t->copy[k]);
    }
}

/* ---- the plans ---- */

static uint32_t table_of(struct trial *t, uint32_t rows, uint32_t mid, uint32_t cols)
{
    return mbi_gadget_table(&t->g, (struct mbi_shape){{rows, mid, cols}}, -9, 14, true);
}

/* Offsets, fixed indices, broadcasts and numbers. */
static void linear_views(struct trial *t)
{
    const uint32_t lanes = t->g.lanes, x = table_of(t, lanes, 1, 7), w = table_of(t, 1, 1, 5);
    const uint32_t n[] = {lanes, 5};
    const uint32_t y = mbi_gadget_define(&t->g, 5);

    mbi_gadget_letters(&t->g, 2, n);
    mbi_gadget_view(&t->g, 3, mbi_view(x, mbi_along(0, -2), mbi_fixed(0), mbi_along(1, 1)));
    mbi_gadget_view(&t->g, -2, mbi_view(x, mbi_along(0, 1), mbi_fixed(0), mbi_along(1, -3)));
    mbi_gadget_view(&t->g, 1, mbi_view(w, mbi_fixed(0), mbi_fixed(0), mbi_along(1, 0)));
    mbi_gadget_view(&t->g, 5, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_fixed(6)));
    mbi_gadget_view(&t->g, 7, mbi_view(x, mbi_fixed(0), mbi_fixed(0), mbi_along(1, 4)));
    mbi_gadget_constant(&t->g, -11);
    compare(t, y);
}

/* Fields of bits: groups, every other column, three indices. */
static void fields(struct trial *t)
{
    const uint32_t lanes = t->g.lanes, x = table_of(t, lanes, 1, 12), v = table_of(t, lanes, 3, 4);
    const uint32_t n[] = {lanes, 3, 4}, pairs[] = {lanes, 6};
    const uint32_t y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{lanes, 3, 4}});
    uint32_t z;

    mbi_gadget_letters(&t->g, 3, n);
    mbi_gadget_result(&t->g, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
    mbi_gadget_view(&t->g, 1, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_pair(1, 2, 2)));
    mbi_gadget_view(&t->g, 3, mbi_view(v, mbi_along(0, -1), mbi_along(1, 0), mbi_along(2, 0)));
    mbi_gadget_view(&t->g, -4, mbi_view(v, mbi_along(0, 0), mbi_along(1, 1), mbi_fixed(2)));
    compare(t, y);
    z = mbi_gadget_define(&t->g, 6);
    mbi_gadget_letters(&t->g, 2, pairs);
    mbi_gadget_view(&t->g, 1, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_every(1, 1, 1)));
    mbi_gadget_view(&t->g, -1, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_every(1, 1, 0)));
    compare(t, z);
}

/* Sums over rows up to this one, in blocks and all, and what tokens pick. */
static void prefixes_and_picks(struct trial *t)
{
    const uint32_t lanes = t->g.lanes, x = table_of(t, lanes, 1, 3), w = table_of(t, 5, 1, 3);
    const uint32_t n[] = {lanes, 3}, more[] = {(lanes + 3) / 4 * 4, 3};
    const uint32_t last[] = {t->c.plan->n_outputs, 5}, from = lanes - t->c.plan->n_outputs;
    const uint32_t logits = table_of(t, lanes, 1, 5);
    uint32_t y = mbi_gadget_define(&t->g, 3), less;

    mbi_gadget_letters(&t->g, 2, n);
    mbi_gadget_view(&t->g, 1, mbi_view(x, mbi_prefix(0, 2), mbi_fixed(0), mbi_along(1, 0)));
    mbi_gadget_view(&t->g, 1, mbi_view(x, mbi_prefix(0, 12), mbi_fixed(0), mbi_along(1, 0)));
    mbi_gadget_view(&t->g, 1, mbi_view(w, mbi_pick(0, 1), mbi_fixed(0), mbi_along(1, 0)));
    compare(t, y);
    y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{more[0], 1, 3}});
    mbi_gadget_letters(&t->g, 2, more);
    mbi_gadget_view(&t->g, 1, mbi_view(x, mbi_prefix(0, 2), mbi_fixed(0), mbi_along(1, 0)));
    compare(t, y);
    less = mbi_gadget_less(&t->g, 5, (int32_t)from + 1);
    y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{last[0], 1, 5}});
    mbi_gadget_letters(&t->g, 2, last);
    mbi_gadget_view(&t->g, 1,
                    mbi_view(logits, mbi_along(0, (int32_t)from), mbi_fixed(0),
                             mbi_pick(0, (int32_t)from + 1)));
    mbi_gadget_linear(&t->g, 10, less);
    compare(t, y);
}

/* Sums of products: shared, single and absent letters, results of fields. */
static void contractions(struct trial *t)
{
    enum { C, I, H, P, J, LETTERS };
    const uint32_t lanes = t->g.lanes, log = 2;
    const uint32_t chunks = (lanes + 3) / 4, rows = 4 * chunks;
    const uint32_t n[LETTERS] = {chunks, 4, 3, 2, 4}, s[] = {chunks, 4, 4, 5};
    const uint32_t m = table_of(t, rows, 3, 4), x = table_of(t, lanes, 1, 6),
                   b = table_of(t, lanes, 1, 10);
    const struct mbi_axis row = mbi_pair(C, log, I), other = mbi_pair(C, log, J);
    uint32_t y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{rows, 1, 6}});

    mbi_gadget_letters(&t->g, LETTERS, n);
    mbi_gadget_upto(&t->g, J, I);
    mbi_gadget_result(&t->g, row, mbi_fixed(0), mbi_pair(H, 1, P));
    mbi_gadget_views(&t->g, 2, mbi_view(m, row, mbi_along(H, 0), mbi_along(J, 0)),
                     mbi_view(x, other, mbi_fixed(0), mbi_pair(H, 1, P)));
    compare(t, y);
    y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{rows, 1, 4}});
    mbi_gadget_letters(&t->g, 4, s); /* C, I, J, N */
    mbi_gadget_result(&t->g, row, mbi_fixed(0), mbi_along(2, 0));
    mbi_gadget_views(&t->g, 1, mbi_view(b, row, mbi_fixed(0), mbi_along(3, 5)),
                     mbi_view(b, mbi_pair(C, log, 2), mbi_fixed(0), mbi_along(3, 0)));
    compare(t, y);
    y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{lanes, 1, 2}});
    mbi_gadget_letters(&t->g, 3, (const uint32_t[]){lanes, 2, 7}); /* a square, and a lost letter */
    mbi_gadget_views(&t->g, 1, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_along(1, 0)),
                     mbi_view(x, mbi_along(0, -1), mbi_fixed(0), mbi_along(1, 4)));
    compare(t, y);
}

/* Where only a part of the rows of a sum of products is read: of as many bits. */
static void rows_in_part(struct trial *t)
{
    enum { C, I, P, J, LETTERS };
    const uint32_t lanes = t->g.lanes, chunks = (lanes + 3) / 4, rows = 4 * chunks;
    const uint32_t n[LETTERS] = {chunks, 4, 3, 4}, few[] = {lanes, 3};
    const uint32_t m = table_of(t, rows, 1, 4), x = table_of(t, lanes, 1, 3);
    const uint32_t y = mbi_gadget_define_table(&t->g, (struct mbi_shape){{rows, 1, 3}});
    uint32_t z;

    mbi_gadget_letters(&t->g, LETTERS, n);
    mbi_gadget_upto(&t->g, J, I);
    mbi_gadget_result(&t->g, mbi_pair(C, 2, I), mbi_fixed(0), mbi_along(P, 0));
    mbi_gadget_views(&t->g, 2, mbi_view(m, mbi_pair(C, 2, I), mbi_fixed(0), mbi_along(J, 0)),
                     mbi_view(x, mbi_pair(C, 2, J), mbi_fixed(0), mbi_along(P, 0)));
    z = mbi_gadget_define(&t->g, 3);
    mbi_gadget_letters(&t->g, 2, few);
    mbi_gadget_linear(&t->g, 1, y);
    compare(t, z);
}

/* Results with indices that no letter leads to, which are read beside their one entry too. */
static void single_entries(struct trial *t)
{
    const uint32_t lanes = t->g.lanes, x = table_of(t, lanes, 1, 5), w = table_of(t, lanes, 1, 5);
    const uint32_t n[] = {lanes, 3, 5}, inner[] = {lanes, 5, 5};
    const uint32_t y = mbi_gadget_define(&t->g, 5);
    uint32_t z, product;

    mbi_gadget_linear(&t->g, 2, x);
    product = mbi_gadget_define(&t->g, 1);
    mbi_gadget_letters(&t->g, 3, inner);
    mbi_gadget_result(&t->g, mbi_along(0, 0), mbi_fixed(0), mbi_fixed(0));
    mbi_gadget_views(&t->g, 1, mbi_view(x, mbi_along(0, 0), mbi_fixed(0), mbi_along(1, 0)),
                     mbi_view(w, mbi_along(0, 0), mbi_fixed(0), mbi_along(1, 0)));
    z = mbi_gadget_define_table(&t->g, (struct mbi_shape){{lanes, 3, 5}});
    mbi_gadget_letters(&t->g, 3, n);
    mbi_gadget_result(&t->g, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
    mbi_gadget_view(&t->g, 1, mbi_gadget_entry(y)); /* zero but for the middle index 0 */
    mbi_gadget_view(&t->g, 3, mbi_view(y, mbi_along(0, 0), mbi_fixed(1), mbi_along(2, 0)));
    mbi_gadget_view(&t->g, -1,
                    mbi_view(product, mbi_along(0, 0), mbi_along(1, -1), mbi_along(2, -4)));
    compare(t, z);
}

/* Relations that are zero: up to four factors, masks, views of everything. */
static void zero_products(struct trial *t)
{
    enum { C, I, H, J, LETTERS };
    const uint32_t lanes = t->g.lanes, chunks = (lanes + 3) / 4, rows = 4 * chunks;
    const uint32_t n[LETTERS] = {chunks, 4, 3, 4};
    const uint32_t a = table_of(t, lanes, 1, 3), m = table_of(t, rows, 3, 4);
    const struct mbi_axis row = mbi_pair(C, 2, I);
    const struct mbi_view of_i = mbi_view(a, row, mbi_fixed(0), mbi_along(H, 0)),
                          of_j = mbi_view(a, mbi_pair(C, 2, J), mbi_fixed(0), mbi_along(H, 0)),
                          pair = mbi_view(m, row, mbi_along(H, 0), mbi_along(J, 0)),
                          end = mbi_view(a, mbi_every(C, 2, 3), mbi_fixed(0), mbi_along(H, 0));
    const uint32_t x =
        mbi_gadget_table(&t->g, (struct mbi_shape){{rows, 3, 4}}, -300000, 300000, true);
    const uint32_t f = mbi_gadget_table(&t->g, (struct mbi_shape){{rows, 3, 4}}, -9, 9, true);

    /* x = a_i a_j m a_end + 3 (a_i - a_j) for j <= i; f = 0 there */
    mbi_gadget_relate(&t->g, 1);
    mbi_gadget_letters(&t->g, LETTERS, n);
    mbi_gadget_upto(&t->g, J, I);
    mbi_gadget_term(&t->g, 1, 4, (struct mbi_view[]){of_i, of_j, pair, end});
    mbi_gadget_view(&t->g, 3, of_i);
    mbi_gadget_view(&t->g, -3, of_j);
    mbi_gadget_view(&t->g, -1, mbi_view(x, row, mbi_along(H, 0), mbi_along(J, 0)));
    mbi_gadget_relate(&t->g, 1);
    mbi_gadget_letters(&t->g, LETTERS, n);
    mbi_gadget_upto(&t->g, J, I);
    mbi_gadget_view(&t->g, 1, mbi_view(f, row, mbi_along(H, 0), mbi_along(J, 0)));
    t->copy[MAX_COPIES - 2] = x;
    t->copy[MAX_COPIES - 1] = f;
}

/* ---- tests ---- */

static const uint32_t lane_counts[] = {1, 2, 3, 4, 5, 7, 8, 13};

START_TEST(relations_are_proved)
{
    static const struct {
        void (*declare)(struct trial *t);
        const char *name;
    } plans[] = {{linear_views, "linear views"},
                 {fields, "fields"},
                 {prefixes_and_picks, "prefixes and picks"},
                 {contractions, "contractions"},
                 {single_entries, "single entries"},
                 {rows_in_part, "rows in part"}};
    struct test_random r;

    test_random_init(&r, "relations_are_proved");
    for (size_t i = 0; i < MBI_COUNT(plans); i++)
        for (size_t k = 0; k < 2 * MBI_COUNT(lane_counts); k++) {
            const uint32_t lanes = lane_counts[k / 2];
            struct trial t;

            if ((plans[i].declare == rows_in_part && lanes < 3) || (k % 2 && (k / 2 + i) % 4))
                continue; /* counted digits take long */
            trial_begin(&t, lanes, k % 2, &r);
            plans[i].declare(&t);
            trial_end(&t, &r);
            judge(&t, plans[i].name, &r);
            trial_free(&t);
        }
}
END_TEST

/* ---- plans at random ---- */

#define PICKS 12

/* Of what is there, but for copies, which are made last. */
static struct mbi_view any_view(const struct trial *t, const uint32_t *range, uint32_t n,
                                uint32_t vars, struct test_random *r)
{
    uint32_t var;

    do
        var = (uint32_t)random_size(r, vars);
    while (is_copy(t, var));
    return random_view(var, range, n, PICKS, r);
}

/* A sum of views, or of a product of two under a mask, of what is there. */
static void random_terms(struct trial *t, const uint32_t *range, uint32_t n, uint32_t vars,
                         struct test_random *r)
{
    struct mbi_relation *d = &t->c.plan->relation[t->c.plan->n_relations - 1];
    const size_t terms = 1 + random_size(r, 3);

    if (random_size(r, 2)) {
        random_mask(d, r);
        mbi_gadget_views(&t->g, 1 + (int64_t)random_size(r, 3), any_view(t, range, n, vars, r),
                         any_view(t, range, n, vars, r));
        return;
    }
    for (size_t i = 0; i < terms; i++)
        mbi_gadget_view(&t->g, 1 - 2 * (int64_t)random_size(r, 2), any_view(t, range, n, vars, r));
    if (!random_size(r, 4))
        mbi_gadget_constant(&t->g, 5);
}

#define FAR ((int64_t)1 << 33) /* 3 terms of up to 4 views, each at most 9 times 14 */

/* Products of up to four views, less a committed variable by the letters, are zero. */
static void random_zero(struct trial *t, uint32_t vars, struct test_random *r)
{
    const uint32_t n = 1 + (uint32_t)random_size(r, 4);
    uint32_t range[MBI_AXES] = {1, 1, 1};
    uint32_t x;

    random_ranges(range, n < MBI_AXES ? n : MBI_AXES, r);
    x = mbi_gadget_table(&t->g, (struct mbi_shape){{range[0], range[1], range[2]}}, -FAR, FAR - 1,
                         true);
    mbi_gadget_relate(&t->g, 1);
    mbi_gadget_letters(&t->g, MBI_AXES, range);
    mbi_gadget_view(&t->g, -1, mbi_gadget_entry(x));
    for (size_t i = 1 + random_size(r, 3); i-- > 0;) {
        const int64_t c = 1 - 2 * (int64_t)random_size(r, 2);
        struct mbi_view view[MBI_TERM_VIEWS];
        uint32_t n_views = 0;

        for (size_t k = random_size(r, MBI_TERM_VIEWS + 1); k-- > 0;)
            view[n_views++] = any_view(t, range, MBI_AXES, vars, r);
        mbi_gadget_term(&t->g, c, n_views, view);
    }
    t->zero[t->n_zero++] = x;
}

/* The value of the variable that a relation of random_zero() begins with. */
static void fill_zero(struct trial *t)
{
    const struct mbi_plan *p = t->c.plan;

    for (size_t i = 0; i < t->n_zero; i++)
        for (uint32_t k = 0; k < p->n_relations; k++) {
            const struct mbi_relation *d = &p->relation[k];
            struct mbi_letters at = {{0}};

            if (d->defines != MBI_NONE || p->term[d->first_term].view[0].var != t->zero[i] ||
                p->term[d->first_term].c != -1)
                continue;
            do {
                const size_t col = at.at[1] * p->var[t->zero[i]].n[2] + at.at[2];

                mbi_witness_set(t->c.witness, t->zero[i], at.at[0], col, 0);
                mbi_witness_set(t->c.witness, t->zero[i], at.at[0], col,
                                mbi_relation_value(t->c.witness, d, &at));
            } while (mbi_letters_next(&at, d, true));
            set_digits(t, t->zero[i]);
        }
}

/* Each of these variables off by one somewhere. */
static void judge_zero(struct trial *t, struct test_random *r)
{
    for (size_t i = 0; i < t->n_zero; i++) {
        const struct mbi_var *v = &t->c.plan->var[t->zero[i]];
        const size_t row = random_size(r, v->n[0]), col = random_size(r, mbi_var_cols(v));
        const int64_t was = mbi_witness_get(t->c.witness, t->zero[i], row, col);

        mbi_witness_set(t->c.witness, t->zero[i], row, col, was + 1);
        set_digits(t, t->zero[i]);
        test_check(verdict(&t->c), "sum %zu of products is free at %zu, %zu", i, row, col);
        mbi_witness_set(t->c.witness, t->zero[i], row, col, was);
        set_digits(t, t->zero[i]);
    }
}

static void random_plan(struct trial *t, struct test_random *r)
{
    const size_t definitions = 1 + random_size(r, 4);

    for (size_t i = 0; i < 3; i++) {
        uint32_t n[MBI_AXES];

        random_ranges(n, MBI_AXES, r);
        table_of(t, n[0], random_size(r, 3) ? 1 : n[1], n[2]);
    }
    if (!random_size(r, 2))
        mbi_gadget_less(&t->g, 1 + (uint32_t)random_size(r, 6), (int32_t)random_size(r, 20));
    while (t->n_zero < MAX_ZERO && random_size(r, 2) && !t->c.plan->fault)
        random_zero(t, 3, r);
    for (size_t i = 0; i < definitions && !t->c.plan->fault; i++) {
        const uint32_t n = 1 + (uint32_t)random_size(r, 4), vars = t->c.plan->n_vars;
        uint32_t range[MBI_LETTERS];
        const uint32_t var = random_result(&t->g, range, n, r);

        random_terms(t, range, n, vars, r);
        if (!t->c.plan->fault && (i + 1 == definitions || !random_size(r, 3)))
            compare(t, var);
    }
}

/* What every relation says of integers is what the protocol says of them, or it has no step. */
START_TEST(random_relations_are_proved)
{
    size_t proved = 0, none = 0;
    struct test_random r;

    test_random_init(&r, "random_relations_are_proved");
    for (size_t round = 0; proved < 60; round++) {
        struct mbi_proof_shape shape;
        struct trial t;

        trial_begin(&t, 40, random_size(&r, 4) == 0, &r);
        random_plan(&t, &r);
        if (t.c.plan->fault) {
            mbi_plan_free(t.c.plan);
            continue;
        }
        trial_end(&t, &r);
        fill_zero(&t);
        follow(&t);
        if (MBI_EXT(proof_shape)(&shape, t.c.plan, &t.c.host)) {
            judge(&t, "random relations", &r);
            judge_zero(&t, &r);
            proved++;
        } else {
            test_that(shape.fault);
            none++;
        }
        trial_free(&t);
    }
    test_check(none < proved, "%zu of %zu plans have no proof", none, none + proved);
}
END_TEST

/* The values of a masked relation: outside of the mask they may be anything. */
static void fill_masked(struct trial *t, uint32_t x, uint32_t f)
{
    const struct mbi_witness *w = t->c.witness;
    const struct mbi_var *v = &t->c.plan->var[x];
    const uint32_t a = 0, m = 1; /* as they were declared */

    for (size_t row = 0; row < v->n[0]; row++)
        for (size_t col = 0; col < mbi_var_cols(v); col++) {
            const size_t h = col / 4, j = row / 4 * 4 + col % 4, end = row / 4 * 4 + 3;
            const uint32_t lanes = t->c.plan->lanes;
            const int64_t of_i = row < lanes ? mbi_witness_get(w, a, row, h) : 0;
            const int64_t of_j = j < lanes ? mbi_witness_get(w, a, j, h) : 0;
            const int64_t of_end = end < lanes ? mbi_witness_get(w, a, end, h) : 0;

            if (j > row)
                continue;
            mbi_witness_set(w, x, row, col,
                            of_i * of_j * mbi_witness_get(w, m, row, col) * of_end +
                                3 * (of_i - of_j));
            mbi_witness_set(w, f, row, col, 0);
        }
    set_digits(t, x);
    set_digits(t, f);
}

START_TEST(masks_say_what_holds)
{
    struct test_random r;

    test_random_init(&r, "masks_say_what_holds");
    for (size_t k = 0; k < MBI_COUNT(lane_counts); k++) {
        struct trial t;
        uint32_t changed[2];

        trial_begin(&t, lane_counts[k], k == 4, &r);
        zero_products(&t);
        changed[0] = t.copy[MAX_COPIES - 2];
        changed[1] = t.copy[MAX_COPIES - 1];
        trial_end(&t, &r);
        fill_masked(&t, changed[0], changed[1]);
        judge(&t, "zero products", &r);
        for (int i = 0; i < 20; i++) {
            const uint32_t var = changed[i % 2];
            const struct mbi_var *v = &t.c.plan->var[var];
            const size_t row = random_size(&r, v->n[0]), col = random_size(&r, mbi_var_cols(v));
            const int64_t was = mbi_witness_get(t.c.witness, var, row, col);

            mbi_witness_set(t.c.witness, var, row, col, was < v->hi ? was + 1 : was - 1);
            set_digits(&t, var);
            test_check((col % 4 > row % 4) == !verdict(&t.c), "%zu lanes: row %zu, column %zu",
                       (size_t)lane_counts[k], row, col);
            mbi_witness_set(t.c.witness, var, row, col, was);
            set_digits(&t, var);
        }
        trial_free(&t);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("relations");
    TCase *t = tcase_create("relations");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, relations_are_proved);
    tcase_add_test(t, random_relations_are_proved);
    tcase_add_test(t, masks_say_what_holds);
    suite_add_tcase(s, t);
    return test_main(s);
}

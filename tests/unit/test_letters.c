/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/proof/walk_letters.c: for random relations, views and factors, the weight of every entry of a
 * variable is the sum over all values of the letters that lead to it, added up one by one.
 */
#include "graph/element.h"
#include "letters_case.h"
#include "proof_case.h"
#include "proof/relation.h"
#include "proof/walk_terms.h"

#define PICKS 64 /* tokens that a view may begin with */

/* A plan of one relation, and weights of its letters. */
struct trial {
    struct mbi_host host;
    struct mbi_plan plan;
    struct mbi_proof_job job;
    struct mbi_walk walk;
    struct mbi_gadget g;
    struct mbi_weights weights;
    uint32_t token[4 * PICKS];
};

static void trial_init(struct trial *t, struct test_random *r)
{
    memset(t, 0, sizeof(*t));
    mbi_host_default(&t->host);
    t->plan = (struct mbi_plan){.host = &t->host, .lanes = 2 * PICKS, .n_outputs = 1};
    t->job = (struct mbi_proof_job){.plan = &t->plan, .token = t->token};
    t->walk = (struct mbi_walk){.job = &t->job, .plan = &t->plan, .host = &t->host};
    t->g = (struct mbi_gadget){.plan = &t->plan, .lanes = 1};
    for (size_t i = 0; i < MBI_COUNT(t->token); i++)
        t->token[i] = (uint32_t)random_size(r, 6);
}

static void trial_free(struct trial *t)
{
    MBI_EXT(walk_free)(&t->walk);
    mbi_plan_free_relations(&t->plan);
}

static struct mbi_ext *point(struct trial *t, size_t n, struct test_random *r)
{
    struct mbi_ext *z = MBI_EXT(walk_keep)(&t->walk, n + 1, sizeof(*z));

    test_that(z);
    random_point(z, n, r);
    return z;
}

/* ---- random things ---- */

/* Weights of an index of n values, of every kind that there is; nothing from n on. */
static struct mbi_form_factor random_factor(struct trial *t, uint32_t n, struct test_random *r)
{
    const unsigned bits = mbi_index_bits(n), z_bits = (unsigned)random_size(r, 5);
    struct mbi_table rows = {MBI_TABLE_EXT, point(t, (size_t)1 << bits, r), n};

    switch (random_size(r, 7)) {
    case 0:
        return MBI_EXT(form_ones)(0, bits, n);
    case 1:
        return MBI_EXT(form_eq)(0, bits, random_size(r, n + 1), point(t, bits, r));
    case 2:
        return MBI_EXT(form_rows)(0, bits, &rows, NULL);
    case 3:
        return MBI_EXT(form_shift)(
            0, bits, random_size(r, n + 1), random_size(r, 3) ? point(t, z_bits, r) : NULL, z_bits,
            random_size(r, ((size_t)1 << z_bits) + 1), (int32_t)random_size(r, 9) - 4);
    case 4: {
        struct mbi_form_factor f = MBI_EXT(form_eq)(0, bits, n, point(t, bits, r));

        f.rule[f.n_rules++] = (struct mbi_form_rule){
            MBI_FORM_BELOW, 0, 0, 0, (uint8_t)(bits / 2), random_size(r, 1 + (1u << bits / 2))};
        return f;
    }
    default:
        return MBI_EXT(form_eq)(0, bits, n, point(t, bits, r));
    }
}

static const struct mbi_form_factor *kept(struct trial *t, struct mbi_form_factor f)
{
    return MBI_EXT(walk_factor)(&t->walk, &f);
}

/* A relation of a view of a new variable; false if there is no such view. */
static bool random_relation(struct trial *t, struct test_random *r)
{
    uint32_t range[MBI_LETTERS], size[MBI_AXES];
    const uint32_t n = 1 + (uint32_t)random_size(r, 4);
    uint32_t var;

    random_ranges(range, n, r);
    random_ranges(size, MBI_AXES, r);
    size[1] = random_size(r, 2) ? 1 : size[1];
    var = mbi_gadget_table(&t->g, (struct mbi_shape){{size[0], size[1], size[2]}}, 0, 7, true);
    mbi_gadget_relate(&t->g, 1);
    mbi_gadget_letters(&t->g, n, range);
    mbi_gadget_view(&t->g, 1, random_view(var, range, n, PICKS, r));
    if (t->plan.fault)
        return false;
    t->weights = (struct mbi_weights){.relation = t->plan.relation, .scale = mbi_ext_from(1)};
    for (uint32_t k = 0; k < n; k++)
        t->weights.factor[k] = kept(t, random_factor(t, range[k], r));
    return true;
}

/* ---- factors that are kept ---- */

/* Something of it is another: what a hash may not see. */
static void change_factor(struct mbi_form_factor *f, struct trial *t, struct test_random *r)
{
    struct mbi_form_index *x = &f->index[random_size(r, f->n_indices)];
    struct mbi_form_rule *rule = &f->rule[f->n_rules ? random_size(r, f->n_rules) : 0];

    switch (random_size(r, 4)) {
    case 0:
        rule->n -= rule->n > 0;
        break;
    case 1:
        if (rule->order == MBI_FORM_BELOW && rule->high == MBI_MAX_BITS)
            rule->high = (uint8_t)random_size(r, 5);
        break;
    case 2:
        if (f->values.n)
            f->values.n--;
        break;
    default:
        if (x->weight == MBI_FORM_EQ && x->bits) {
            struct mbi_ext *z = point(t, x->bits, r);

            memcpy(z, x->z, x->bits * sizeof(*z));
            z[x->bits - 1] = random_ext(r);
            x->z = z;
        }
    }
}

static struct mbi_ext entry(const struct mbi_form_factor *f, unsigned bits, uint64_t x);

START_TEST(factors_are_kept_as_they_are)
{
    struct test_random r;
    size_t shared = 0;

    test_random_init(&r, "factors_are_kept_as_they_are");
    for (size_t round = 0; round < 2000; round++) {
        const uint32_t n = 1 + (uint32_t)random_size(&r, 20);
        const struct mbi_form_factor *first;
        struct mbi_form_factor f;
        struct trial t;

        trial_init(&t, &r);
        f = random_factor(&t, n, &r);
        first = kept(&t, f);
        shared += kept(&t, f) == first;
        change_factor(&f, &t, &r);
        for (uint64_t x = 0; x < (uint64_t)1 << mbi_index_bits(n); x++)
            test_check(mbi_ext_equal(entry(kept(&t, f), mbi_index_bits(n), x),
                                     entry(&f, mbi_index_bits(n), x)),
                       "round %zu: entry %u of %u", round, (unsigned)x, n);
        test_that(!t.walk.failed);
        trial_free(&t);
    }
    test_check(shared == 2000, "only %zu factors are kept once", shared);
}
END_TEST

/* More of them than there are hashes. */
START_TEST(factors_of_one_hash_are_told_apart)
{
    struct test_random r;
    struct trial t;

    test_random_init(&r, "factors_of_one_hash_are_told_apart");
    trial_init(&t, &r);
    for (uint64_t n = 0; n < 1 << 12; n++)
        test_that(kept(&t, MBI_EXT(form_ones)(0, 12, n))->rule[0].n == n);
    trial_free(&t);
}
END_TEST

/* ---- weights, one by one ---- */

static struct mbi_ext entry(const struct mbi_form_factor *f, unsigned bits, uint64_t x)
{
    const struct mbi_form form = {bits, mbi_ext_from(1), 1, {*f}};
    struct mbi_ext e;

    MBI_EXT(form_block)(&e, &form, x, 0);
    return e;
}

/* The weight of a place of the variable that a part is of. */
static struct mbi_ext part_entry(const struct mbi_plan *p, const struct mbi_part *part,
                                 const uint32_t x[MBI_AXES])
{
    const struct mbi_var *v = &p->var[part->var];
    struct mbi_ext e = part->scale;

    if (part->joint)
        return mbi_ext_mul(e,
                           entry(part->factor[0], mbi_var_bits(v),
                                 ((uint64_t)x[0] << mbi_row_log(v)) + (x[1] << v->log[2]) + x[2]));
    for (int k = 0; k < MBI_AXES; k++)
        e = mbi_ext_mul(e, entry(part->factor[k], v->log[k], x[k]));
    return e;
}

static bool axis_hits(const struct trial *t, const struct mbi_axis *a, const uint32_t *at,
                      uint32_t x, uint32_t n)
{
    int64_t i = a->from;

    for (uint32_t f = 0; f < a->n_fields; f++)
        i += (int64_t)at[a->field[f].letter] << a->field[f].shift;
    if (x >= n)
        return false;
    if (a->kind == MBI_AXIS_PICK)
        return t->token[i] == x;
    if (a->kind == MBI_AXIS_PREFIX)
        return x <= i && x >> a->log == i >> a->log;
    return i == x;
}

static bool next(uint32_t *at, const struct mbi_relation *r, uint32_t letters)
{
    for (uint32_t k = 0; k < r->n_letters; k++) {
        if (!(letters >> k & 1))
            continue;
        if (++at[k] < r->n[k])
            return true;
        at[k] = 0;
    }
    return false;
}

static struct mbi_ext slow_entry(const struct trial *t, const struct mbi_view *view,
                                 uint32_t letters, const uint32_t x[MBI_AXES])
{
    const struct mbi_relation *r = t->weights.relation;
    const struct mbi_var *v = &t->plan.var[view->var];
    uint32_t at[MBI_LETTERS] = {0};
    struct mbi_ext sum = mbi_ext_from(0);

    do {
        struct mbi_ext e = mbi_ext_from(1);
        bool hits = true;

        for (int k = 0; k < MBI_AXES; k++)
            hits &= axis_hits(t, &view->axis[k], at, x[k], v->n[k]);
        for (uint32_t k = 0; k < r->n_letters && hits; k++)
            if (letters >> k & 1)
                e = mbi_ext_mul(e, entry(t->weights.factor[k], mbi_index_bits(r->n[k]), at[k]));
        if (hits)
            sum = mbi_ext_add(sum, e);
    } while (next(at, r, letters));
    return sum;
}

static bool next_place(uint32_t x[MBI_AXES], const struct mbi_var *v)
{
    for (int k = 0; k < MBI_AXES; k++) {
        if (++x[k] < 1u << v->log[k])
            return true;
        x[k] = 0;
    }
    return false;
}

static uint32_t letters_of(const struct mbi_view *view, const struct mbi_relation *r)
{
    uint32_t letters = 0;

    for (uint32_t k = 0; k < r->n_letters; k++)
        letters |= (mbi_view_letters(view) >> k & 1) << k;
    return letters;
}

static bool same(struct mbi_ext a, struct mbi_ext b) { return mbi_ext_is_zero(mbi_ext_sub(a, b)); }

START_TEST(parts_are_sums_over_letters)
{
    size_t done = 0, joint = 0;
    struct test_random r;

    test_random_init(&r, "parts_are_sums_over_letters");
    for (size_t round = 0; done < 1500; round++) {
        struct trial t;

        trial_init(&t, &r);
        if (random_relation(&t, &r)) {
            const struct mbi_view *view = &t.plan.term[0].view[0];
            const uint32_t live = (uint32_t)random_size(&r, 1u << t.weights.relation->n_letters);
            const struct mbi_part p = MBI_EXT(part_of_view)(&t.walk, view, &t.weights, live);
            uint32_t x[MBI_AXES] = {0};

            test_that(!t.walk.failed);
            do
                test_check(
                    same(part_entry(&t.plan, &p, x),
                         slow_entry(&t, view, live | letters_of(view, t.weights.relation), x)),
                    "round %zu: entry (%u, %u, %u) of (%u, %u, %u)", round, x[0], x[1], x[2],
                    t.plan.var[0].n[0], t.plan.var[0].n[1], t.plan.var[0].n[2]);
            while (next_place(x, &t.plan.var[0]));
            joint += p.joint;
            done++;
        }
        trial_free(&t);
    }
    test_check(joint > 20, "only %zu of the parts are joint ones", joint);
}
END_TEST

#define SETS 3 /* of letters */
#define VARS 3
#define VIEWS 60

/* A range of as many bits, which has the same factors. */
static uint32_t near_range(uint32_t n, struct test_random *r)
{
    const uint32_t least = n > 1 ? (1u << (mbi_index_bits(n) - 1)) + 1 : 1;

    return least + (uint32_t)random_size(r, (1u << mbi_index_bits(n)) - least + 1);
}

/* Views of several variables by letters whose ranges are other ones, but factors the same: what the
 * walk knows of one is not that of another. */
START_TEST(axes_are_known_by_all_that_they_are)
{
    struct test_random r;
    size_t done = 0;

    test_random_init(&r, "axes_are_known_by_all_that_they_are");
    for (size_t round = 0; round < 60; round++) {
        uint32_t range[SETS][MBI_LETTERS], size[MBI_AXES];
        const uint32_t n = 1 + (uint32_t)random_size(&r, 3);
        struct trial t;

        trial_init(&t, &r);
        random_ranges(range[0], n, &r);
        random_ranges(size, MBI_AXES, &r);
        for (uint32_t k = 0; k < n; k++) {
            uint32_t least = range[0][k];

            for (int i = 1; i < SETS; i++) {
                range[i][k] = near_range(range[0][k], &r);
                least = range[i][k] < least ? range[i][k] : least;
            }
            t.weights.factor[k] = kept(&t, random_factor(&t, least, &r));
        }
        for (int i = 0; i < VARS; i++)
            (void)mbi_gadget_table(
                &t.g,
                (struct mbi_shape){
                    {near_range(size[0], &r), near_range(size[1], &r), near_range(size[2], &r)}},
                0, 7, true);
        for (int i = 0; i < VIEWS; i++) {
            const uint32_t *of = range[random_size(&r, SETS)];
            const uint32_t var = (uint32_t)random_size(&r, VARS);
            uint32_t x[MBI_AXES] = {0};
            struct mbi_part p;

            mbi_gadget_relate(&t.g, 1);
            mbi_gadget_letters(&t.g, n, of);
            mbi_gadget_view(&t.g, 1, random_view(var, of, n, PICKS, &r));
            if (t.plan.fault) { /* there is no such view */
                t.plan.fault = NULL;
                continue;
            }
            t.weights.relation = &t.plan.relation[t.plan.n_relations - 1];
            p = MBI_EXT(part_of_view)(&t.walk, t.plan.term[t.plan.n_terms - 1].view, &t.weights, 0);
            test_that(!t.walk.failed);
            do {
                const struct mbi_view *view = t.plan.term[t.plan.n_terms - 1].view;

                test_check(same(part_entry(&t.plan, &p, x),
                                slow_entry(&t, view, letters_of(view, t.weights.relation), x)),
                           "round %zu, view %d: entry (%u, %u, %u) of (%u, %u, %u)", round, i, x[0],
                           x[1], x[2], t.plan.var[var].n[0], t.plan.var[var].n[1],
                           t.plan.var[var].n[2]);
            } while (next_place(x, &t.plan.var[var]));
            done++;
        }
        trial_free(&t);
    }
    test_check(done > 1000, "only %zu views", done);
}
END_TEST

/* ---- terms of an opening ---- */

/* Terms that share a number share their value: they are of the same factors and of boxes that lie
 * in the same places of variables that are as large. */
START_TEST(terms_that_are_alike_have_one_number)
{
    const struct mbi_form_factor none = MBI_EXT(form_ones)(0, 0, 1);
    static struct mbi_box box[] = {{.log_rows = 3, .log_cols = 2, .bits = 5},
                                   {.col = 4, .log_rows = 3, .bits = 3}};
    struct mbi_var var[] = {
        {.kind = MBI_VAR_COMMITTED, .n = {8, 1, 5}, .log = {3, 0, 3}, .bits = 4, .n_boxes = 2},
        {.kind = MBI_VAR_COMMITTED, .n = {8, 1, 5}, .log = {3, 0, 3}, .bits = 9, .n_boxes = 2},
        {.kind = MBI_VAR_COMMITTED, .n = {8, 1, 6}, .log = {3, 0, 3}, .bits = 4, .n_boxes = 2},
        {.kind = MBI_VAR_COMMITTED, .n = {7, 1, 5}, .log = {3, 0, 3}, .bits = 4, .n_boxes = 2},
        {.kind = MBI_VAR_COMMITTED, .n = {8, 1, 5}, .log = {3, 0, 3}, .bits = 4, .n_boxes = 1},
        {.kind = MBI_VAR_COMMITTED,
         .n = {8, 1, 5},
         .log = {3, 0, 3},
         .bits = 4,
         .n_boxes = 2,
         .triangle = 3},
        {.kind = MBI_VAR_BOUNDARY, .n = {8, 1, 5}, .log = {3, 0, 3}, .n_boxes = 2},
    };
    static struct mbi_walk_terms terms;
    struct mbi_part part[MBI_COUNT(var)], other[MBI_AXES], list[2];
    uint32_t number[MBI_COUNT(var)], before, now;
    struct test_random r;
    struct trial t;

    test_random_init(&r, "terms_that_are_alike_have_one_number");
    trial_init(&t, &r);
    t.plan.var = var;
    t.plan.box = box;
    MBI_EXT(walk_terms_init)(&terms, &t.walk);
    for (uint32_t i = 0; i < MBI_COUNT(var); i++) {
        part[i] = (struct mbi_part){.var = i, .scale = random_ext(&r)};
        part[i].factor[0] = kept(&t, MBI_EXT(form_ones)(0, 3, 8));
        part[i].factor[1] = kept(&t, none);
        part[i].factor[2] = kept(&t, MBI_EXT(form_ones)(0, 3, 5));
        number[i] = MBI_EXT(walk_terms_add)(&terms, &part[i], var[i].n_boxes);
        test_that(!t.walk.failed);
        if (i == 1)
            test_that(number[1] == number[0] && terms.n == 2);
        for (uint32_t k = 0; k < i && i > 1; k++)
            test_check(number[i] > number[k], "variables %u and %u", i, k);
    }
    before = number[MBI_COUNT(var) - 1];
    for (int k = 0; k < MBI_AXES; k++) { /* another factor */
        other[k] = part[0];
        other[k].factor[k] = kept(&t, MBI_EXT(form_ones)(0, k == 1 ? 0 : 3, k == 1 ? 0 : 2));
        now = MBI_EXT(walk_terms_add)(&terms, &other[k], 2);
        test_that(now == terms.n - 2 && now > before);
        before = now;
    }
    for (uint32_t i = 0; i < 2; i++) { /* each variable has its own list */
        list[i] = (struct mbi_part){.var = i, .joint = true, .factor = {part[0].factor[0]}};
        now = MBI_EXT(walk_terms_add)(&terms, &list[i], 2);
        test_that(now == terms.n - 2 && now > before);
        before = now;
        now = MBI_EXT(walk_terms_add)(&terms, &list[i], 2);
        test_that(now == before && now == terms.n - 2);
    }
    MBI_EXT(walk_terms_free)(&terms);
    t.plan.var = NULL;
    t.plan.box = NULL;
    trial_free(&t);
}
END_TEST

/* ---- results ---- */

/* A definition of a variable whose entries have weights of their own. */
static bool random_definition(struct trial *t, struct mbi_part *part, struct test_random *r)
{
    uint32_t range[MBI_LETTERS], n = 1 + (uint32_t)random_size(r, 5);

    *part = (struct mbi_part){.scale = random_ext(r)};
    part->var = random_result(&t->g, range, n, r);
    mbi_gadget_constant(&t->g, 1);
    for (int k = 0; k < MBI_AXES; k++)
        part->factor[k] = kept(t, random_factor(t, t->plan.var[part->var].n[k], r));
    random_mask(&t->plan.relation[0], r);
    return !t->plan.fault;
}

/* All factors at some letters. */
static struct mbi_ext weight_at(const struct mbi_weights *l, const uint32_t *at)
{
    const struct mbi_relation *r = l->relation;
    const uint32_t whole = l->whole[0] | l->whole[1] | l->whole[2];
    struct mbi_ext e = l->scale;

    for (int k = 0; k < MBI_AXES; k++) {
        unsigned bits = 0;
        uint64_t x = 0;

        if (!l->whole[k])
            continue;
        for (uint32_t f = 0; f < r->result.axis[k].n_fields; f++) {
            bits += mbi_index_bits(r->n[r->result.axis[k].field[f].letter]);
            x += (uint64_t)at[r->result.axis[k].field[f].letter]
                 << r->result.axis[k].field[f].shift;
        }
        e = mbi_ext_mul(e, entry(l->whole_factor[k], bits, x));
    }
    for (uint32_t k = 0; k < r->n_letters; k++)
        if (!(whole >> k & 1))
            e = mbi_ext_mul(e, entry(l->factor[k], mbi_index_bits(r->n[k]), at[k]));
    return e;
}

START_TEST(weights_of_letters_are_those_of_the_result)
{
    struct test_random r;

    test_random_init(&r, "weights_of_letters_are_those_of_the_result");
    for (size_t round = 0; round < 2500; round++) {
        uint32_t at[MBI_LETTERS] = {0};
        struct mbi_part part;
        struct trial t;

        trial_init(&t, &r);
        test_check(random_definition(&t, &part, &r), "%s", t.plan.fault);
        t.weights = MBI_EXT(weights_of_part)(&t.walk, t.plan.relation, &part);
        do {
            uint32_t x[MBI_AXES] = {0};

            for (int k = 0; k < MBI_AXES; k++)
                for (uint32_t f = 0; f < t.plan.relation[0].result.axis[k].n_fields; f++)
                    x[k] += at[t.plan.relation[0].result.axis[k].field[f].letter]
                            << t.plan.relation[0].result.axis[k].field[f].shift;
            test_check(same(part_entry(&t.plan, &part, x),
                            mbi_ext_mul(part.scale, weight_at(&t.weights, at))),
                       "round %zu: entry (%u, %u, %u) of (%u, %u, %u)", round, x[0], x[1], x[2],
                       t.plan.var[0].n[0], t.plan.var[0].n[1], t.plan.var[0].n[2]);
        } while (next(at, t.plan.relation, (1u << t.plan.relation[0].n_letters) - 1));
        trial_free(&t);
    }
}
END_TEST

/* ---- sums ---- */

static uint64_t field_of(const struct mbi_relation *r, uint32_t letters, uint64_t x,
                         uint32_t letter)
{
    for (uint32_t k = r->n_letters; k-- > 0;)
        if (letters >> k & 1) {
            const unsigned bits = mbi_index_bits(r->n[k]);

            if (k == letter)
                return x & (((uint64_t)1 << bits) - 1);
            x >>= bits;
        }
    return 0;
}

/* The weight of place x of the sum; letters that are not in it do not count. */
static struct mbi_ext slow_sum_weight(const struct trial *t, uint32_t letters, uint64_t x)
{
    const struct mbi_relation *r = t->weights.relation;
    struct mbi_weights l = t->weights;
    struct mbi_form_factor ones[MBI_LETTERS];
    uint32_t at[MBI_LETTERS] = {0};

    for (uint32_t k = 0; k < r->n_letters; k++) {
        at[k] = (uint32_t)field_of(r, letters, x, k);
        if (at[k] >= r->n[k] && !(l.whole[0] >> k & 1) && !(l.whole[1] >> k & 1) &&
            !(l.whole[2] >> k & 1))
            return mbi_ext_from(0);
        ones[k] = MBI_EXT(form_ones)(0, mbi_index_bits(r->n[k]), r->n[k]);
        if (!(letters >> k & 1))
            l.factor[k] = &ones[k];
    }
    if (mbi_is_masked(r) && at[r->small] > at[r->large])
        return mbi_ext_from(0);
    return weight_at(&l, at);
}

START_TEST(weights_of_sums_are_products_under_the_mask)
{
    size_t masked = 0, whole = 0, failed = 0;
    struct test_random r;

    test_random_init(&r, "weights_of_sums_are_products_under_the_mask");
    for (size_t round = 0; round < 2500; round++) {
        struct mbi_part part;
        struct trial t;
        struct mbi_form f;
        uint32_t letters;

        trial_init(&t, &r);
        test_check(random_definition(&t, &part, &r), "%s", t.plan.fault);
        t.weights = MBI_EXT(weights_of_part)(&t.walk, t.plan.relation, &part);
        letters = (uint32_t)random_size(&r, 1u << t.plan.relation[0].n_letters) |
                  t.weights.whole[0] | t.weights.whole[1] | t.weights.whole[2];
        if (mbi_is_masked(&t.plan.relation[0]))
            letters |= 1u << t.plan.relation[0].small | 1u << t.plan.relation[0].large;
        f = MBI_EXT(sum_weight)(&t.walk, &t.weights, letters);
        failed += t.walk.failed;
        if (!t.walk.failed && f.n_factors && !MBI_EXT(form_fault)(&f)) {
            masked += mbi_is_masked(&t.plan.relation[0]);
            whole += t.weights.whole[0] || t.weights.whole[1] || t.weights.whole[2];
            for (uint64_t x = 0; x < (uint64_t)1 << f.bits; x++) {
                struct mbi_ext e;

                MBI_EXT(form_block)(&e, &f, x, 0);
                test_check(same(e, slow_sum_weight(&t, letters, x)), "round %zu: entry %u", round,
                           (unsigned)x);
            }
        }
        trial_free(&t);
    }
    test_check(masked > 10 && whole > 50, "%zu masked, %zu whole, %zu failed", masked, whole,
               failed);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("letters of relations");
    TCase *t = tcase_create("letters");

    tcase_set_timeout(t, 300);
    tcase_add_test(t, factors_are_kept_as_they_are);
    tcase_add_test(t, factors_of_one_hash_are_told_apart);
    tcase_add_test(t, parts_are_sums_over_letters);
    tcase_add_test(t, axes_are_known_by_all_that_they_are);
    tcase_add_test(t, terms_that_are_alike_have_one_number);
    tcase_add_test(t, weights_of_letters_are_those_of_the_result);
    tcase_add_test(t, weights_of_sums_are_products_under_the_mask);
    suite_add_tcase(s, t);
    return test_main(s);
}

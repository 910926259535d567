/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: tables, their extensions, linear forms; against definitions and closed forms. */
#include "base/intmath.h"
#include "ext_test.h"
#include "proof/form.h"

#define MAX_SLOW 12 /* bits of a table that the tests write out */

static struct mbi_ext one_minus(struct mbi_ext a) { return mbi_ext_sub(mbi_ext_from(1), a); }

static struct mbi_ext power_of(struct mbi_ext a, uint64_t n)
{
    struct mbi_ext r = mbi_ext_from(1);

    while (n--)
        r = mbi_ext_mul(r, a);
    return r;
}

/* ---- tables ---- */

START_TEST(eq_is_its_definition)
{
    struct mbi_ext a[MAX_SLOW], b[MAX_SLOW], table[1 << 8];
    struct mbi_eq_walk walk;
    struct test_random r;

    test_random_init(&r, "eq_is_its_definition");
    for (unsigned n = 0; n <= 8; n++) {
        const struct mbi_ext scale = random_ext(&r);

        random_point(a, n, &r);
        random_point(b, n, &r);
        MBI_EXT(eq_table)(table, a, n, scale);
        MBI_EXT(eq_walk_start)(&walk, a, n);
        for (size_t x = 0; x < (size_t)1 << n; x++) {
            const struct mbi_ext want = slow_eq(a, n, x);

            test_that(mbi_ext_equal(table[x], mbi_ext_mul(scale, want)));
            test_that(mbi_ext_equal(walk.prefix[n], want));
            test_that(mbi_ext_equal(MBI_EXT(eq_index)(a, n, x), want));
            MBI_EXT(eq_walk_next)(&walk);
        }
        MBI_EXT(eq_table)(table, a, n, mbi_ext_from(1));
        test_that(mbi_ext_equal(MBI_EXT(eq_points)(a, b, n), slow_at(table, b, n)));
    }
}
END_TEST

START_TEST(tables_of_every_type_have_their_extension)
{
    struct mbi_ext wide[1 << 11], point[11];
    struct test_random r;

    test_random_init(&r, "tables_of_every_type_have_their_extension");
    for (int type = MBI_TABLE_U8; type <= MBI_TABLE_EXT; type++)
        for (unsigned n = 0; n <= 11; n++) {
            const size_t size = (size_t)1 << n, entries = random_size(&r, size + 1);
            struct mbi_table t = random_table((enum mbi_table_type)type, entries, &r);

            for (size_t x = 0; x < size; x++) {
                wide[x] = mbi_table_ext(&t, x);
                test_that(x < entries || mbi_ext_equal(wide[x], mbi_ext_from(0)));
            }
            random_point(point, n, &r);
            test_that(mbi_ext_equal(MBI_EXT(table_at)(&t, point, n), slow_at(wide, point, n)));
            free_table(&t);
        }
}
END_TEST

START_TEST(entries_are_the_integers)
{
    const uint8_t u8 = 255;
    const int8_t i8 = -128;
    const uint16_t u16 = 65535;
    const int16_t i16 = -32768;
    const int32_t i32 = INT32_MIN;

    ck_assert_uint_eq(mbi_table_field(&(struct mbi_table){MBI_TABLE_U8, &u8, 1}, 0), 255);
    ck_assert_uint_eq(mbi_table_field(&(struct mbi_table){MBI_TABLE_I8, &i8, 1}, 0),
                      MBI_FIELD_P - 128);
    ck_assert_uint_eq(mbi_table_field(&(struct mbi_table){MBI_TABLE_U16, &u16, 1}, 0), 65535);
    ck_assert_uint_eq(mbi_table_field(&(struct mbi_table){MBI_TABLE_I16, &i16, 1}, 0),
                      MBI_FIELD_P - 32768);
    ck_assert_uint_eq(mbi_table_field(&(struct mbi_table){MBI_TABLE_I32, &i32, 1}, 0),
                      MBI_FIELD_P - (UINT64_C(1) << 31));
}
END_TEST

/* Rows beyond one reduction, columns beyond one block, a table that ends within a row. */
static void check_rows(enum mbi_table_type type, size_t rows, size_t cols, size_t entries,
                       const struct mbi_host *host, struct test_random *r)
{
    struct mbi_table t = random_table(type, entries, r);
    struct mbi_ext *weight = malloc(rows * sizeof(*weight)), *out = malloc(cols * sizeof(*out));

    test_that(weight && out);
    random_point(weight, rows, r);
    MBI_EXT(table_rows)(out, &t, cols, weight, rows, host);
    for (size_t c = 0; c < cols; c++) {
        struct mbi_ext sum = mbi_ext_from(0);

        for (size_t i = 0; i < rows; i++)
            sum = mbi_ext_add(sum, mbi_ext_mul(weight[i], mbi_table_ext(&t, i * cols + c)));
        test_check(mbi_ext_equal(out[c], sum), "type %d, %zu rows, column %zu of %zu", (int)type,
                   rows, c, cols);
    }
    free_table(&t);
    free(weight);
    free(out);
}

START_TEST(rows_are_summed_exactly)
{
    struct mbi_host host, pooled;
    struct test_random r;

    test_random_init(&r, "rows_are_summed_exactly");
    mbi_host_default(&host);
    mbi_host_default(&pooled);
    test_that(mbi_pool_create(&pooled.pool, &pooled, 3, NULL) == MAMBAINT_OK);
    for (int type = MBI_TABLE_U8; type <= MBI_TABLE_EXT; type++) {
        const enum mbi_table_type t = (enum mbi_table_type)type;

        check_rows(t, 1, 1, 1, &host, &r);
        check_rows(t, 5, 300, 5 * 300, &host, &r);
        check_rows(t, 5, 300, 4 * 300 + 280, &pooled, &r);
        check_rows(t, 9000, 3, 9000 * 3 - 4, &host, &r);
        check_rows(t, 70, 1030, 70 * 1030, &pooled, &r);
        check_rows(t, 3, 300, 0, &pooled, &r);
    }
    mbi_pool_free(&pooled, pooled.pool);
}
END_TEST

START_TEST(fold_fixes_the_first_variable)
{
    struct mbi_ext t[1 << 6], point[6];
    struct test_random r;

    test_random_init(&r, "fold_fixes_the_first_variable");
    for (unsigned n = 1; n <= 6; n++) {
        struct mbi_ext want;

        random_point(t, (size_t)1 << n, &r);
        random_point(point, n, &r);
        want = slow_at(t, point, n);
        for (unsigned k = 0; k < n; k++) {
            const size_t half = (size_t)1 << (n - 1 - k);

            MBI_EXT(table_fold)(t, t, t + half, half, point[k]);
        }
        test_that(mbi_ext_equal(t[0], want));
    }
}
END_TEST

/* ---- forms: what every test asks of one ---- */

/* The first bits at a random point, as many as there are; a random block of the rest. */
static void check_rest(const struct mbi_form *form, const struct mbi_ext *want,
                       struct test_random *r)
{
    struct mbi_ext block[1 << MBI_FORM_BLOCK_LOG], point[MAX_SLOW], rest[1 << MAX_SLOW];

    random_point(point, form->bits, r);
    memcpy(rest, want, sizeof(*rest) << form->bits);
    for (unsigned fixed = 0; fixed <= form->bits; fixed++) {
        const unsigned left = form->bits - fixed;
        const unsigned log = (unsigned)test_random_below(r, left + 1) % (MBI_FORM_BLOCK_LOG + 1);
        const size_t begin = random_size(r, (size_t)1 << (left - log)) << log;

        MBI_EXT(form_rest)(block, form, point, fixed, begin, log);
        for (size_t k = 0; k < (size_t)1 << log; k++)
            test_check(mbi_ext_equal(block[k], rest[begin + k]),
                       "entry %zu of 2^%u, the first %u bits at a point", begin + k, left, fixed);
        if (left) {
            const size_t half = (size_t)1 << (left - 1);

            MBI_EXT(table_fold)(rest, rest, rest + half, half, point[fixed]);
        }
    }
}

/* The form and near ones by one memo, at several places of one point: as without it. */
static void check_known(const struct mbi_form *form, struct test_random *r)
{
    struct mbi_form_memo *memo = calloc(1, sizeof(*memo));
    struct mbi_form near[4];
    struct mbi_ext point[MAX_SLOW + 3];

    test_that(memo);
    random_point(point, MAX_SLOW + 3, r);
    for (uint64_t i = 0; i < MBI_COUNT(near); i++) {
        near[i] = *form;
        for (unsigned k = 0; k < form->n_factors; k++) {
            struct mbi_form_factor *f = &near[i].factor[k];
            struct mbi_form_rule *rule = &f->rule[random_size(r, MBI_FORM_RULES)];

            if (f->kind == MBI_FORM_ROWS && f->values.n >= i)
                f->values.n -= (size_t)i;
            if (f->kind == MBI_FORM_RULED && rule < f->rule + f->n_rules && rule->n >= i)
                rule->n -= i;
        }
    }
    for (size_t i = 0; i < 24; i++) {
        const struct mbi_form *f = &near[random_size(r, MBI_COUNT(near))];
        const struct mbi_ext *at = point + random_size(r, 4);

        test_check(mbi_ext_equal(MBI_EXT(form_at_known)(f, at, memo), MBI_EXT(form_at)(f, at)),
                   "a form over 2^%u that was known", f->bits);
    }
    free(memo);
}

/* want: all entries. Every block size, and the extension at random points and at one index. */
static void check_form(const struct mbi_form *form, const struct mbi_ext *want,
                       struct test_random *r)
{
    struct mbi_ext block[1 << MBI_FORM_BLOCK_LOG], point[MAX_SLOW];
    const size_t size = (size_t)1 << form->bits;
    const char *fault = MBI_EXT(form_fault)(form);
    uint64_t index;

    test_check(!fault, "a good form is refused: %s", fault);
    for (unsigned log = 0; log <= MBI_FORM_BLOCK_LOG && log <= form->bits; log++)
        for (size_t begin = 0; begin < size; begin += (size_t)1 << log) {
            MBI_EXT(form_block)(block, form, begin, log);
            for (size_t k = 0; k < (size_t)1 << log; k++)
                test_check(mbi_ext_equal(block[k], want[begin + k]), "entry %zu of 2^%u, log %u",
                           begin + k, form->bits, log);
        }
    for (int i = 0; i < 2; i++) {
        random_point(point, form->bits, r);
        test_check(mbi_ext_equal(MBI_EXT(form_at)(form, point), slow_at(want, point, form->bits)),
                   "the extension over 2^%u", form->bits);
    }
    index = test_random_below(r, size);
    for (unsigned k = 0; k < form->bits; k++)
        point[k] = mbi_ext_from(index >> (form->bits - 1 - k) & 1);
    test_that(mbi_ext_equal(MBI_EXT(form_at)(form, point), want[index]));
    check_rest(form, want, r);
    check_known(form, r);
}

static void check_factor(struct mbi_form_factor f, unsigned bits, const struct mbi_ext *want,
                         struct test_random *r)
{
    struct mbi_form form = {.bits = bits, .scale = random_ext(r), .n_factors = 1, .factor = {f}};
    struct mbi_ext scaled[1 << MAX_SLOW];

    for (size_t x = 0; x < (size_t)1 << bits; x++)
        scaled[x] = mbi_ext_mul(form.scale, want[x]);
    check_form(&form, scaled, r);
}

/* ---- every factor against its definition ---- */

START_TEST(masks_end_every_index)
{
    struct mbi_ext z[6], x, ones[1 << 6], eq[1 << 6], power[1 << 6];
    struct test_random r;

    test_random_init(&r, "masks_end_every_index");
    for (unsigned n = 0; n <= 6; n++)
        for (uint64_t m = 0; m <= (uint64_t)1 << n; m++) {
            random_point(z, n, &r);
            x = random_ext(&r);
            for (uint64_t i = 0; i < (uint64_t)1 << n; i++) {
                ones[i] = mbi_ext_from(i < m);
                eq[i] = i < m ? slow_eq(z, n, i) : mbi_ext_from(0);
                power[i] = i < m ? power_of(x, i) : mbi_ext_from(0);
            }
            check_factor(MBI_EXT(form_ones)(0, n, m), n, ones, &r);
            check_factor(MBI_EXT(form_eq)(0, n, m, z), n, eq, &r);
            check_factor(MBI_EXT(form_power)(0, n, m, &x), n, power, &r);
        }
}
END_TEST

static void check_shift(unsigned n, uint64_t m, unsigned z_bits, uint64_t z_m, int32_t s,
                        struct test_random *r)
{
    struct mbi_ext z[MAX_SLOW], want[1 << 6];

    random_point(z, z_bits, r);
    for (int64_t x = 0; x < (int64_t)1 << n; x++)
        want[x] = x < (int64_t)m && x + s >= 0 && x + s < (int64_t)z_m
                      ? slow_eq(z, z_bits, (uint64_t)(x + s))
                      : mbi_ext_from(0);
    check_factor(MBI_EXT(form_shift)(0, n, m, z, z_bits, z_m, s), n, want, r);
}

START_TEST(shift_reads_a_neighbour)
{
    struct test_random r;

    test_random_init(&r, "shift_reads_a_neighbour");
    for (unsigned n = 0; n <= 4; n++)
        for (uint64_t m = 0; m <= (uint64_t)1 << n; m++)
            for (int32_t s = -(1 << n) - 1; s <= (1 << n) + 1; s++) {
                check_shift(n, (uint64_t)1 << n, n, m, s, &r);
                check_shift(n, m, n, test_random_below(&r, ((uint64_t)1 << n) + 1), s, &r);
            }
    for (int round = 0; round < 300; round++) { /* other lengths, as of a state's few entries */
        const unsigned n = (unsigned)test_random_below(&r, 7);
        const unsigned z_bits = (unsigned)test_random_below(&r, 7);

        check_shift(n, test_random_below(&r, ((uint64_t)1 << n) + 1), z_bits,
                    test_random_below(&r, ((uint64_t)1 << z_bits) + 1),
                    (int32_t)test_random_between(&r, -70, 70), &r);
    }
}
END_TEST

static struct mbi_ext upto_entry(uint64_t j, unsigned n, unsigned low, uint64_t m,
                                 const struct mbi_ext *z)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (uint64_t i = j; i < m && i >> low == j >> low; i++)
        sum = mbi_ext_add(sum, slow_eq(z, n, i));
    return sum;
}

/* Sum over j < m <= i of eq(z, i) eq(y, j): the sum over i times that over j. */
static struct mbi_ext band_entry(uint64_t x, unsigned n, unsigned low, uint64_t m,
                                 const struct mbi_ext *z, const struct mbi_ext *y)
{
    const uint64_t place = x & (((uint64_t)1 << low) - 1);
    struct mbi_ext sum = mbi_ext_from(0);

    for (uint64_t j = 0; j < place; j++)
        sum = mbi_ext_add(sum, slow_eq(y, low, j));
    return mbi_ext_mul(sum, upto_entry(x, n, low, m, z));
}

static void check_order(unsigned n, unsigned low, uint64_t m, struct test_random *r)
{
    struct mbi_ext z[6], y[6], upto[1 << 6], band[1 << 6], triangle[1 << 11], half[1 << 11];
    const uint64_t size = (uint64_t)1 << n, q = (uint64_t)1 << low;

    random_point(z, n, r);
    random_point(y, low, r);
    for (uint64_t i = 0; i < size; i++) {
        upto[i] = upto_entry(i, n, low, m, z);
        band[i] = band_entry(i, n, low, m, z, y);
        for (uint64_t j = 0; j < q && n + low <= 11; j++) {
            const bool in = i < m && j <= i % q;

            half[i * q + j] = in ? slow_eq(z, n, i) : mbi_ext_from(0);
            triangle[i * q + j] = mbi_ext_mul(half[i * q + j], slow_eq(y, low, j));
        }
    }
    check_factor(MBI_EXT(form_upto)(0, n, low, m, z), n, upto, r);
    check_factor(MBI_EXT(form_band)(0, n, low, m, z, y), n, band, r);
    if (n + low > 11)
        return;
    check_factor(MBI_EXT(form_triangle)(0, n, n, low, m, z, y), n + low, triangle, r);
    check_factor(MBI_EXT(form_triangle)(0, n, n, low, m, z, NULL), n + low, half, r);
}

START_TEST(orders_hold_within_blocks)
{
    struct test_random r;

    test_random_init(&r, "orders_hold_within_blocks");
    for (unsigned n = 0; n <= 4; n++)
        for (unsigned low = 0; low <= n; low++)
            for (uint64_t m = 0; m <= (uint64_t)1 << n; m++)
                check_order(n, low, m, &r);
    for (int round = 0; round < 12; round++) {
        const unsigned n = 5 + (unsigned)test_random_below(&r, 2);

        check_order(n, (unsigned)test_random_below(&r, n + 1),
                    test_random_below(&r, ((uint64_t)1 << n) + 1), &r);
    }
}
END_TEST

START_TEST(rows_and_lists_are_public_vectors)
{
    struct mbi_ext z[6], rows[1 << 6], plain[1 << 6], list[1 << 6], valued[1 << 6], bare[1 << 6];
    struct test_random r;

    test_random_init(&r, "rows_and_lists_are_public_vectors");
    for (unsigned n = 0; n <= 6; n++)
        for (int type = MBI_TABLE_U8; type <= MBI_TABLE_EXT; type++) {
            const size_t size = (size_t)1 << n, m = random_size(&r, size + 1);
            const uint64_t below = 1 + test_random_below(&r, size);
            struct mbi_table t = random_table((enum mbi_table_type)type, m, &r);
            uint32_t entry[1 << 6];

            random_point(z, n, &r);
            for (size_t i = 0; i < size; i++) {
                plain[i] = mbi_table_ext(&t, i);
                rows[i] = mbi_ext_mul(slow_eq(z, n, i), plain[i]);
                list[i] = valued[i] = bare[i] = mbi_ext_from(0);
            }
            for (size_t l = 0; l < m; l++) {
                const struct mbi_ext w = slow_eq(z, n, l);
                const uint32_t x = entry[l] = (uint32_t)test_random_below(&r, below);

                bare[x] = mbi_ext_add(bare[x], mbi_ext_from(1));
                list[x] = mbi_ext_add(list[x], w);
                valued[x] = mbi_ext_add(valued[x], mbi_ext_mul(w, mbi_table_ext(&t, l)));
            }
            check_factor(MBI_EXT(form_rows)(0, n, &t, NULL), n, plain, &r);
            check_factor(MBI_EXT(form_rows)(0, n, &t, z), n, rows, &r);
            check_factor(MBI_EXT(form_list)(0, n, below, entry, m, NULL, NULL, 0), n, bare, &r);
            check_factor(MBI_EXT(form_list)(0, n, below, entry, m, NULL, z, n), n, list, &r);
            check_factor(MBI_EXT(form_list)(0, n, below, entry, m, &t, z, n), n, valued, &r);
            free_table(&t);
        }
}
END_TEST

/* ---- any rules on any indices, against the sum over all of their readings ---- */

static bool rule_holds(const struct mbi_form_rule *rule, const uint64_t *index)
{
    const uint64_t window = ((uint64_t)1 << (rule->high - rule->low)) - 1;
    const uint64_t left = index[rule->left] >> rule->low & window;
    const uint64_t right = index[rule->right] >> rule->low & window;

    switch (rule->order) {
    case MBI_FORM_BELOW:
        return left < rule->n;
    case MBI_FORM_LESS:
        return left < right;
    case MBI_FORM_UPTO:
        return left <= right;
    case MBI_FORM_SUM:
        return left == right + rule->n;
    case MBI_FORM_EQUAL:
        return left == right;
    }
    return false;
}

static struct mbi_ext index_weight(const struct mbi_form_index *x, uint64_t value)
{
    if (x->weight == MBI_FORM_EQ)
        return slow_eq(x->z, x->bits, value);
    return x->weight == MBI_FORM_POWER ? power_of(*x->z, value) : mbi_ext_from(1);
}

/* Entry `entry` of a factor of rules in a form of `bits` bits. */
static struct mbi_ext slow_ruled(const struct mbi_form_factor *f, unsigned bits, uint64_t entry)
{
    struct mbi_ext sum = mbi_ext_from(0);
    unsigned total = 0;

    for (unsigned v = 0; v < f->n_indices; v++)
        total += f->index[v].bits;
    for (uint64_t all = 0; all < (uint64_t)1 << total; all++) {
        uint64_t index[MBI_FORM_INDICES], rest = all;
        struct mbi_ext w = mbi_ext_from(1);
        bool holds = true;

        for (unsigned v = 0; v < f->n_indices; v++) {
            const struct mbi_form_index *x = &f->index[v];

            index[v] = rest & (((uint64_t)1 << x->bits) - 1);
            rest >>= x->bits;
            if (x->at != MBI_FORM_SUMMED)
                holds &= index[v] ==
                         (entry >> (bits - x->at - x->bits) & (((uint64_t)1 << x->bits) - 1));
        }
        for (unsigned k = 0; k < f->n_rules && holds; k++)
            holds = rule_holds(&f->rule[k], index);
        if (!holds)
            continue;
        for (unsigned v = 0; v < f->n_indices; v++)
            w = mbi_ext_mul(w, index_weight(&f->index[v], index[v]));
        sum = mbi_ext_add(sum, w);
    }
    return sum;
}

/* Free indices are placed from the bit *at on. */
static struct mbi_form_factor random_factor(unsigned *at, struct mbi_ext z[3][4],
                                            struct test_random *r)
{
    struct mbi_form_factor f = {.kind = MBI_FORM_RULED,
                                .n_indices = (uint8_t)(1 + test_random_below(r, 3)),
                                .n_rules = (uint8_t)test_random_below(r, 5)};
    unsigned stateful = 0;

    for (unsigned v = 0; v < f.n_indices; v++) {
        const uint8_t bits = (uint8_t)test_random_below(r, 4);
        const bool is_free = test_random_below(r, 3) > 0;

        random_point(z[v], 4, r);
        f.index[v] = (struct mbi_form_index){bits, is_free ? (uint8_t)*at : MBI_FORM_SUMMED,
                                             (enum mbi_form_weight)test_random_below(r, 3), z[v]};
        *at += is_free ? bits : 0;
    }
    for (unsigned k = 0; k < f.n_rules; k++) {
        struct mbi_form_rule *rule = &f.rule[k];

        rule->order = (enum mbi_form_order)test_random_below(r, 5);
        if (rule->order != MBI_FORM_EQUAL && ++stateful > 3)
            rule->order = MBI_FORM_EQUAL;
        rule->left = (uint8_t)test_random_below(r, f.n_indices);
        rule->right = (uint8_t)test_random_below(r, f.n_indices);
        rule->low = test_random_below(r, 2) ? 0 : (uint8_t)test_random_below(r, 4);
        rule->high = MBI_MAX_BITS;
        if (test_random_below(r, 2))
            rule->high = (uint8_t)(rule->low + test_random_below(r, 4));
        rule->n = test_random_below(r, ((uint64_t)1 << f.index[rule->left].bits) + 1);
    }
    return f;
}

START_TEST(any_rules_are_one_automaton)
{
    struct mbi_ext z[3][4], want[1 << 9];
    struct test_random r;

    test_random_init(&r, "any_rules_are_one_automaton");
    for (int round = 0; round < 3000; round++) {
        unsigned bits = 0;
        struct mbi_form_factor f = random_factor(&bits, z, &r);

        for (size_t x = 0; x < (size_t)1 << bits; x++)
            want[x] = slow_ruled(&f, bits, x);
        check_factor(f, bits, want, &r);
    }
}
END_TEST

/* ---- forms of several factors ---- */

/* The indices of a triangle with others before, between and behind them. */
START_TEST(factors_interleave)
{
    struct mbi_ext z[4], y[2], h[2], want[1 << 10];
    const uint32_t list[3] = {1, 3, 1};
    struct test_random r;

    test_random_init(&r, "factors_interleave");
    for (uint64_t below = 0; below <= 16; below++) {
        struct mbi_form form = {.bits = 10, .scale = random_ext(&r), .n_factors = 3};

        random_point(z, 4, &r);
        random_point(y, 2, &r);
        random_point(h, 2, &r);
        form.factor[0] = MBI_EXT(form_list)(4, 2, 4, list, 3, NULL, h, 2);
        form.factor[1] = MBI_EXT(form_triangle)(0, 4, 8, 2, below, z, y);
        form.factor[2] = MBI_EXT(form_eq)(6, 2, 3, h);
        for (uint64_t x = 0; x < 1 << 10; x++) {
            const uint64_t i = x >> 6, l = x >> 4 & 3, k = x >> 2 & 3, j = x & 3;
            struct mbi_ext w = mbi_ext_from(0);

            for (unsigned entry = 0; entry < 3; entry++)
                if (list[entry] == l)
                    w = mbi_ext_add(w, slow_eq(h, 2, entry));
            w = mbi_ext_mul(form.scale, w);
            w = mbi_ext_mul(w, k < 3 ? slow_eq(h, 2, k) : mbi_ext_from(0));
            w = mbi_ext_mul(w, i < below && j <= i % 4
                                   ? mbi_ext_mul(slow_eq(z, 4, i), slow_eq(y, 2, j))
                                   : mbi_ext_from(0));
            want[x] = w;
        }
        check_form(&form, want, &r);
        /* The same with the triangle's indices swapped in the form, and as the last factor. */
        form.factor[1] = MBI_EXT(form_triangle)(6, 4, 0, 2, below, z, y);
        form.factor[0] = MBI_EXT(form_ones)(2, 4, 13);
        form.n_factors = 2;
        for (uint64_t x = 0; x < 1 << 10; x++) {
            const uint64_t j = x >> 8, k = x >> 4 & 15, i = x & 15;

            want[x] = k < 13 && i < below && j <= i % 4
                          ? mbi_ext_mul(form.scale, mbi_ext_mul(slow_eq(z, 4, i), slow_eq(y, 2, j)))
                          : mbi_ext_from(0);
        }
        check_form(&form, want, &r);
    }
}
END_TEST

START_TEST(a_form_without_bits_is_its_scale)
{
    struct mbi_form form = {.scale = mbi_ext_from(7)};
    struct test_random r;

    test_random_init(&r, "a_form_without_bits_is_its_scale");
    check_form(&form, &form.scale, &r);
}
END_TEST

/* ---- closed forms, for sizes that no table has ---- */

#define LARGE 30

/* e(c) = eq of two coordinates restricted to the bit c; full is the sum of both. */
static struct mbi_ext both_are(struct mbi_ext a, struct mbi_ext b, unsigned bit)
{
    return bit ? mbi_ext_mul(a, b) : mbi_ext_mul(one_minus(a), one_minus(b));
}

static struct mbi_ext full(struct mbi_ext a, struct mbi_ext b)
{
    return mbi_ext_add(both_are(a, b, 0), both_are(a, b, 1));
}

/* Sum over x < m of eq(a, x) eq(b, x). */
static struct mbi_ext prefix_closed(const struct mbi_ext *a, const struct mbi_ext *b, unsigned n,
                                    uint64_t m)
{
    struct mbi_ext sum = mbi_ext_from(0), head = mbi_ext_from(1);

    if (m >> n)
        return MBI_EXT(eq_points)(a, b, n);
    for (unsigned i = 0; i < n; i++) {
        const unsigned bit = m >> (n - 1 - i) & 1;

        if (bit) {
            struct mbi_ext term = mbi_ext_mul(head, both_are(a[i], b[i], 0));

            for (unsigned j = i + 1; j < n; j++)
                term = mbi_ext_mul(term, full(a[j], b[j]));
            sum = mbi_ext_add(sum, term);
        }
        head = mbi_ext_mul(head, both_are(a[i], b[i], bit));
    }
    return sum;
}

/* Sum over x of eq(a, x + 1) eq(b, x): the last zero of x, at i, turns, and the ones behind it. */
static struct mbi_ext shift_closed(const struct mbi_ext *a, const struct mbi_ext *b, unsigned n)
{
    struct mbi_ext sum = mbi_ext_from(0), head = mbi_ext_from(1);

    for (unsigned i = 0; i < n; i++) {
        struct mbi_ext term = mbi_ext_mul(head, mbi_ext_mul(a[i], one_minus(b[i])));

        for (unsigned j = i + 1; j < n; j++)
            term = mbi_ext_mul(term, mbi_ext_mul(one_minus(a[j]), b[j]));
        sum = mbi_ext_add(sum, term);
        head = mbi_ext_mul(head, full(a[i], b[i]));
    }
    return sum;
}

/* Sum over j <= i of eq(a, i) eq(b, j). */
static struct mbi_ext upto_closed(const struct mbi_ext *a, const struct mbi_ext *b, unsigned n)
{
    struct mbi_ext sum = mbi_ext_from(0), head = mbi_ext_from(1);

    for (unsigned k = 0; k < n; k++) {
        sum = mbi_ext_add(sum, mbi_ext_mul(head, mbi_ext_mul(a[k], one_minus(b[k]))));
        head = mbi_ext_mul(head, full(a[k], b[k]));
    }
    return mbi_ext_add(sum, head);
}

/* Sum over j <= i of eq(a, i) eq(c, i) eq(b, j) eq(d, j). */
static struct mbi_ext triangle_closed(const struct mbi_ext *a, const struct mbi_ext *c,
                                      const struct mbi_ext *b, const struct mbi_ext *d, unsigned n)
{
    struct mbi_ext equal = mbi_ext_from(1), greater = mbi_ext_from(0);

    for (unsigned k = 0; k < n; k++) {
        const struct mbi_ext i0 = both_are(a[k], c[k], 0), i1 = both_are(a[k], c[k], 1);
        const struct mbi_ext j0 = both_are(b[k], d[k], 0), j1 = both_are(b[k], d[k], 1);

        greater = mbi_ext_mul(greater, mbi_ext_mul(mbi_ext_add(i0, i1), mbi_ext_add(j0, j1)));
        greater = mbi_ext_add(greater, mbi_ext_mul(equal, mbi_ext_mul(i1, j0)));
        equal = mbi_ext_mul(equal, mbi_ext_add(mbi_ext_mul(i0, j0), mbi_ext_mul(i1, j1)));
    }
    return mbi_ext_add(equal, greater);
}

/* Sum over c of x^c eq(b, c), by repeated squaring. */
static struct mbi_ext power_closed(struct mbi_ext x, const struct mbi_ext *b, unsigned n)
{
    struct mbi_ext product = mbi_ext_from(1);

    for (unsigned i = n; i-- > 0; x = mbi_ext_mul(x, x))
        product = mbi_ext_mul(product, mbi_ext_add(one_minus(b[i]), mbi_ext_mul(b[i], x)));
    return product;
}

static struct mbi_ext factor_at(struct mbi_form_factor f, unsigned bits, const struct mbi_ext *b)
{
    const struct mbi_form form = {bits, mbi_ext_from(1), 1, {f}};
    const char *fault = MBI_EXT(form_fault)(&form);

    test_check(!fault, "a good form is refused: %s", fault);
    return MBI_EXT(form_at)(&form, b);
}

START_TEST(closed_forms_are_its_cases)
{
    struct mbi_ext a[LARGE], b[LARGE], point[32];
    struct test_random r;

    test_random_init(&r, "closed_forms_are_its_cases");
    for (unsigned n = 0; n <= LARGE; n++)
        for (int round = 0; round < 10; round++) {
            const uint64_t size = (uint64_t)1 << n, m = test_random_below(&r, size + 1);
            const unsigned h = n / 2; /* the triangle has two indices of h bits */

            random_point(a, n, &r);
            random_point(b, n, &r);
            random_point(point, n, &r);
            test_that(mbi_ext_equal(factor_at(MBI_EXT(form_eq)(0, n, m, a), n, b),
                                    prefix_closed(a, b, n, m)));
            test_that(mbi_ext_equal(factor_at(MBI_EXT(form_eq)(0, n, size, a), n, b),
                                    MBI_EXT(eq_points)(a, b, n)));
            test_that(mbi_ext_equal(factor_at(MBI_EXT(form_shift)(0, n, size, a, n, size, 1), n, b),
                                    shift_closed(a, b, n)));
            test_that(
                mbi_ext_equal(factor_at(MBI_EXT(form_shift)(0, n, size, a, n, size, -1), n, b),
                              shift_closed(b, a, n)));
            test_that(mbi_ext_equal(factor_at(MBI_EXT(form_upto)(0, n, n, size, a), n, b),
                                    upto_closed(a, b, n)));
            test_that(mbi_ext_equal(factor_at(MBI_EXT(form_power)(0, n, size, a), n, b),
                                    n ? power_closed(*a, b, n) : mbi_ext_from(1)));
            test_that(mbi_ext_equal(
                factor_at(MBI_EXT(form_triangle)(0, h, h, h, (uint64_t)1 << h, a, b), 2 * h, point),
                triangle_closed(a, point, b, point + h, h)));
        }
}
END_TEST

/* Identities between forms that hold for any size. */
START_TEST(large_forms_agree_with_each_other)
{
    struct mbi_ext z[LARGE], y[LARGE], b[LARGE];
    struct test_random r;

    test_random_init(&r, "large_forms_agree_with_each_other");
    for (unsigned n = 0; n <= LARGE; n++) {
        const uint64_t size = (uint64_t)1 << n, m = test_random_below(&r, size + 1);
        struct mbi_ext left, right;

        random_point(z, n, &r);
        random_point(y, n, &r);
        random_point(b, n, &r);
        /* sum over j < x <= i, plus sum over x <= i and j >= x, is the sum over x <= i alone; the
         * latter two bound i and j apart, by a shift of y: [j >= x] = upto. */
        left = factor_at(MBI_EXT(form_band)(0, n, n, size, z, y), n, b);
        right = factor_at((struct mbi_form_factor){MBI_FORM_RULED,
                                                   3,
                                                   2,
                                                   {{(uint8_t)n, 0, MBI_FORM_ONES, NULL},
                                                    {(uint8_t)n, MBI_FORM_SUMMED, MBI_FORM_EQ, z},
                                                    {(uint8_t)n, MBI_FORM_SUMMED, MBI_FORM_EQ, y}},
                                                   {{MBI_FORM_UPTO, 0, 1, 0, MBI_MAX_BITS, 0},
                                                    {MBI_FORM_UPTO, 0, 2, 0, MBI_MAX_BITS, 0}},
                                                   {0},
                                                   NULL},
                          n, b);
        test_that(mbi_ext_equal(mbi_ext_add(left, right),
                                factor_at(MBI_EXT(form_upto)(0, n, n, size, z), n, b)));
        /* eq below m is eq moved by 0, and m by 1 from its other end. */
        test_that(mbi_ext_equal(factor_at(MBI_EXT(form_eq)(0, n, m, z), n, b),
                                factor_at(MBI_EXT(form_shift)(0, n, size, z, n, m, 0), n, b)));
        test_that(mbi_ext_equal(
            factor_at(MBI_EXT(form_shift)(0, n, size, z, n, m, 1), n, b),
            factor_at(MBI_EXT(form_shift)(0, n, m ? m - 1 : 0, z, n, size, 1), n, b)));
        /* An index of a list is eq at that index. */
        if (m < size) {
            const uint32_t entry = (uint32_t)m;

            test_that(mbi_ext_equal(
                factor_at(MBI_EXT(form_list)(0, n, size, &entry, 1, NULL, NULL, 0), n, b),
                slow_eq(b, n, m)));
        }
    }
}
END_TEST

/* A block of a form that is too large for a table. */
START_TEST(blocks_of_large_forms)
{
    struct mbi_ext z[32], block[1 << MBI_FORM_BLOCK_LOG];
    struct test_random r;

    test_random_init(&r, "blocks_of_large_forms");
    for (int round = 0; round < 40; round++) {
        const uint64_t m = test_random_below(&r, (UINT64_C(1) << 32) + 1);
        const uint64_t begin = round % 2
                                   ? m & ~UINT64_C(255) & UINT32_MAX
                                   : test_random_below(&r, UINT64_C(1) << 32) & ~UINT64_C(255);
        const struct mbi_form form = {32, mbi_ext_from(1), 1, {MBI_EXT(form_eq)(0, 32, m, z)}};

        random_point(z, 32, &r);
        test_that(!MBI_EXT(form_fault)(&form));
        MBI_EXT(form_block)(block, &form, begin, MBI_FORM_BLOCK_LOG);
        for (uint64_t k = 0; k < 256; k++)
            test_that(mbi_ext_equal(block[k],
                                    begin + k < m ? slow_eq(z, 32, begin + k) : mbi_ext_from(0)));
    }
}
END_TEST

/* ---- faults ---- */

static void check_fault(const struct mbi_form *form, const char *words)
{
    const char *fault = MBI_EXT(form_fault)(form);

    test_check(fault && strstr(fault, words), "not refused for \"%s\": %s", words,
               fault ? fault : "no fault");
}

START_TEST(wrong_forms_are_named)
{
    struct mbi_ext z[4] = {{{0}}};
    const uint32_t list[2] = {1, 3};
    const uint8_t row[5] = {0};
    const struct mbi_table rows = {MBI_TABLE_U8, row, 5};
    const struct mbi_form good = {4, mbi_ext_from(1), 1, {MBI_EXT(form_band)(0, 4, 2, 16, z, z)}};
    struct mbi_form form;

    test_that(!MBI_EXT(form_fault)(&good));
    form = good, form.bits = 33;
    check_fault(&form, "too many bits");
    form = good, form.n_factors = MBI_FORM_FACTORS + 1;
    check_fault(&form, "too many bits or factors");
    form = good, form.bits = 5;
    check_fault(&form, "no factor");
    form = good, form.bits = 3;
    check_fault(&form, "outside its form");
    form = good, form.factor[0].index[2].at = 1;
    check_fault(&form, "share a bit");
    form = good, form.factor[0].n_indices = 0;
    check_fault(&form, "parts or none");
    form = good, form.factor[0].n_rules = MBI_FORM_RULES + 1;
    check_fault(&form, "parts or none");
    form = good, form.factor[0].index[1].bits = 33;
    check_fault(&form, "more than 32");
    form = good, form.factor[0].index[1].z = NULL;
    check_fault(&form, "lacks its point");
    form = good, form.factor[0].rule[1].right = 3;
    check_fault(&form, "index that is not there");
    form = good, form.factor[0].rule[1].high = 33;
    check_fault(&form, "bits that are not there");
    form = good, form.factor[0].rule[0].n = 17;
    check_fault(&form, "range is longer");
    form = good, form.factor[0].rule[3].order = MBI_FORM_LESS;
    check_fault(&form, "eight states");
    form = good, form.factor[0] = MBI_EXT(form_shift)(0, 4, 16, z, 4, 16, 1);
    form.factor[0].rule[2].n = UINT64_C(1) << 32;
    check_fault(&form, "too far");
    form = good, form.factor[0] = MBI_EXT(form_list)(0, 4, 3, list, 2, NULL, z, 1);
    check_fault(&form, "outside its range");
    form = good, form.factor[0] = MBI_EXT(form_list)(0, 4, 4, list, 2, NULL, z, 0);
    form.factor[0].index[1].weight = MBI_FORM_EQ;
    check_fault(&form, "longer than its weights");
    form = good, form.factor[0] = MBI_EXT(form_rows)(0, 2, &rows, z);
    check_fault(&form, "more rows");
    form = good, form.factor[0] = MBI_EXT(form_rows)(0, 4, &rows, z);
    form.factor[0].index[0].weight = MBI_FORM_POWER;
    check_fault(&form, "rows are made");
}
END_TEST

/* ---- vectors ---- */

struct line {
    const struct vectors *v;
    size_t at;
    uint64_t n[3];
    struct mbi_ext z[8], y[8];
    mbi_fe field[64];
    uint32_t list[64];
    struct mbi_table rows;
};

static uint64_t next_number(struct line *l) { return vectors_u64(l->v, l->at++); }

static void numbers(struct line *l, size_t n)
{
    for (size_t k = 0; k < n; k++)
        l->n[k] = next_number(l);
}

static const struct mbi_ext *next_point(struct line *l, struct mbi_ext *z, size_t n)
{
    l->at = vectors_ext(z, n, l->v, l->at);
    return z;
}

/* The factor of a line up to its point, and the bits of the form. */
static struct mbi_form_factor read_factor(unsigned *bits, struct line *l)
{
    const char *kind = vectors_word(l->v, 2);
    const unsigned n = *bits = (unsigned)next_number(l);

    if (!strcmp(kind, "ones"))
        return MBI_EXT(form_ones)(0, n, next_number(l));
    if (!strcmp(kind, "eq") || !strcmp(kind, "power")) {
        const uint64_t m = next_number(l);

        if (*kind == 'e')
            return MBI_EXT(form_eq)(0, n, m, next_point(l, l->z, n));
        return MBI_EXT(form_power)(0, n, m, next_point(l, l->z, 1));
    }
    if (!strcmp(kind, "shift")) {
        numbers(l, 3);
        l->list[0] = (uint32_t)next_number(l);
        next_point(l, l->z, (size_t)l->n[1]);
        return MBI_EXT(form_shift)(0, n, l->n[0], l->z, (unsigned)l->n[1], l->n[2],
                                   (int32_t)l->list[0]);
    }
    if (!strcmp(kind, "rows") || !strcmp(kind, "list")) {
        const size_t count = (size_t)next_number(l);

        for (size_t k = 0; k < count; k++)
            l->list[k] = (uint32_t)(l->field[k] = next_number(l));
        next_point(l, l->z, n);
        l->rows = (struct mbi_table){MBI_TABLE_FIELD, l->field, count};
        if (*kind == 'r')
            return MBI_EXT(form_rows)(0, n, &l->rows, l->z);
        return MBI_EXT(form_list)(0, n, (uint64_t)1 << n, l->list, count, NULL, l->z, n);
    }
    numbers(l, 2);
    next_point(l, l->z, n);
    if (!strcmp(kind, "upto"))
        return MBI_EXT(form_upto)(0, n, (unsigned)l->n[0], l->n[1], l->z);
    next_point(l, l->y, (size_t)l->n[0]);
    if (!strcmp(kind, "band"))
        return MBI_EXT(form_band)(0, n, (unsigned)l->n[0], l->n[1], l->z, l->y);
    test_check(!strcmp(kind, "triangle"), "line %zu: no kind %s", l->v->line, kind);
    *bits = n + (unsigned)l->n[0];
    return MBI_EXT(form_triangle)(0, n, n, (unsigned)l->n[0], l->n[1], l->z, l->y);
}

START_TEST(another_implementation_has_the_same_values)
{
    static struct vectors v;
    struct mbi_ext b[12], want;
    size_t seen = 0;

    vectors_open(&v, "golden/proof_forms.txt");
    while (vectors_next(&v)) {
        struct line l = {.v = &v, .at = 3};
        struct mbi_form_factor f;
        unsigned bits;

        if (!vectors_is(&v, "form") || vectors_u64(&v, 1) != MBI_EXT_D)
            continue;
        f = read_factor(&bits, &l);
        next_point(&l, b, bits);
        next_point(&l, &want, 1);
        test_check(mbi_ext_equal(factor_at(f, bits, b), want) && l.at == v.n, "line %zu: %s",
                   v.line, v.word[2]);
        seen++;
    }
    ck_assert_uint_gt(seen, 100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("forms");
    TCase *t = tcase_create("forms");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, eq_is_its_definition);
    tcase_add_test(t, tables_of_every_type_have_their_extension);
    tcase_add_test(t, entries_are_the_integers);
    tcase_add_test(t, rows_are_summed_exactly);
    tcase_add_test(t, fold_fixes_the_first_variable);
    tcase_add_test(t, masks_end_every_index);
    tcase_add_test(t, shift_reads_a_neighbour);
    tcase_add_test(t, orders_hold_within_blocks);
    tcase_add_test(t, rows_and_lists_are_public_vectors);
    tcase_add_test(t, any_rules_are_one_automaton);
    tcase_add_test(t, factors_interleave);
    tcase_add_test(t, a_form_without_bits_is_its_scale);
    tcase_add_test(t, closed_forms_are_its_cases);
    tcase_add_test(t, large_forms_agree_with_each_other);
    tcase_add_test(t, blocks_of_large_forms);
    tcase_add_test(t, wrong_forms_are_named);
    tcase_add_test(t, another_implementation_has_the_same_values);
    suite_add_tcase(s, t);
    return test_main(s);
}

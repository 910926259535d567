/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof/field and the kernels over F: against remainders taken bit by bit, and identities. */
#include "field_values.h"
#include "vectors.h"
#include "proof/kernels.h"

#define P MBI_FIELD_P

/* ---- slow arithmetic ---- */

/* a + b for a, b < p without a sum that could wrap. */
static mbi_fe slow_add(mbi_fe a, mbi_fe b) { return a >= P - b ? a - (P - b) : a + b; }

/* high 2^64 + low modulo p, from the top bit down. */
static mbi_fe slow_remainder(uint64_t high, uint64_t low)
{
    mbi_fe r = 0;

    for (int i = 127; i >= 0; i--)
        r = slow_add(slow_add(r, r), (i < 64 ? low >> i : high >> (i - 64)) & 1);
    return r;
}

static mbi_fe slow_mul(mbi_fe a, mbi_fe b)
{
    mbi_fe r = 0;

    for (int i = 63; i >= 0; i--) {
        r = slow_add(r, r);
        if (b >> i & 1)
            r = slow_add(r, a);
    }
    return r;
}

/* The 128-bit product by shifts and sums with carries. */
static uint64_t slow_wide(uint64_t *high, uint64_t a, uint64_t b)
{
    uint64_t h = 0, l = 0;

    for (int i = 63; i >= 0; i--) {
        h = h << 1 | l >> 63;
        l <<= 1;
        if (b >> i & 1) {
            l += a;
            h += l < a;
        }
    }
    *high = h;
    return l;
}

/* ---- words ---- */

static void check_wide(uint64_t a, uint64_t b)
{
    uint64_t want_high, high, halves_high;
    const uint64_t want = slow_wide(&want_high, a, b), low = mbi_mul_wide(&high, a, b);
    const uint64_t halves = mbi_mul_wide_halves(&halves_high, a, b);

    test_check(low == want && high == want_high, "%llx * %llx", (unsigned long long)a,
               (unsigned long long)b);
    test_check(halves == want && halves_high == want_high, "%llx * %llx by halves",
               (unsigned long long)a, (unsigned long long)b);
    test_that(mbi_fe_reduce(high, low) == slow_remainder(high, low));
}

/* Any two words, also those that are no elements. */
START_TEST(wide_products_and_their_remainders)
{
    static const uint64_t more[] = {UINT64_MAX, UINT64_MAX - 1, P, P + 1, UINT64_MAX << 32};
    struct test_random r;

    test_random_init(&r, "wide_products_and_their_remainders");
    for (size_t i = 0; i < MBI_COUNT(field_edge); i++) {
        for (size_t k = 0; k < MBI_COUNT(field_edge); k++)
            check_wide(field_edge[i], field_edge[k]);
        for (size_t k = 0; k < MBI_COUNT(more); k++)
            check_wide(field_edge[i], more[k]);
    }
    for (size_t i = 0; i < MBI_COUNT(more); i++)
        for (size_t k = 0; k < MBI_COUNT(more); k++)
            check_wide(more[i], more[k]);
    for (int i = 0; i < 20000; i++)
        check_wide(test_random_u64(&r), test_random_u64(&r));
}
END_TEST

/* Both corrections of the reduction, at their ends. */
START_TEST(remainders_of_all_pairs_of_edges)
{
    static const uint64_t word[] = {0,
                                    1,
                                    UINT32_MAX - 1,
                                    UINT32_MAX,
                                    (uint64_t)1 << 32,
                                    ((uint64_t)1 << 32) + 1,
                                    (uint64_t)1 << 63,
                                    P - 1,
                                    P,
                                    P + 1,
                                    UINT64_MAX - UINT32_MAX,
                                    UINT64_MAX - 1,
                                    UINT64_MAX};

    for (size_t i = 0; i < MBI_COUNT(word); i++)
        for (size_t k = 0; k < MBI_COUNT(word); k++)
            test_that(mbi_fe_reduce(word[i], word[k]) == slow_remainder(word[i], word[k]));
}
END_TEST

/* ---- elements ---- */

static void check_pair(mbi_fe a, mbi_fe b)
{
    test_that(mbi_fe_add(a, b) == slow_add(a, b));
    test_that(slow_add(mbi_fe_sub(a, b), b) == a);
    test_that(mbi_fe_sub(a, b) < P);
    test_that(mbi_fe_mul(a, b) == slow_mul(a, b));
    test_that(slow_add(mbi_fe_neg(a), a) == 0 && mbi_fe_neg(a) < P);
}

static void check_laws(mbi_fe a, mbi_fe b, mbi_fe c)
{
    test_that(mbi_fe_mul(a, mbi_fe_add(b, c)) == mbi_fe_add(mbi_fe_mul(a, b), mbi_fe_mul(a, c)));
    test_that(mbi_fe_mul(a, mbi_fe_sub(b, c)) == mbi_fe_sub(mbi_fe_mul(a, b), mbi_fe_mul(a, c)));
    test_that(mbi_fe_mul(mbi_fe_mul(a, b), c) == mbi_fe_mul(a, mbi_fe_mul(b, c)));
    test_that(mbi_fe_add(mbi_fe_add(a, b), c) == mbi_fe_add(a, mbi_fe_add(b, c)));
    test_that(mbi_fe_mul(a, b) == mbi_fe_mul(b, a));
}

START_TEST(sums_and_products)
{
    struct test_random r;

    test_random_init(&r, "sums_and_products");
    for (size_t i = 0; i < MBI_COUNT(field_edge); i++)
        for (size_t k = 0; k < MBI_COUNT(field_edge); k++) {
            check_pair(field_edge[i], field_edge[k]);
            for (size_t l = 0; l < MBI_COUNT(field_edge); l++)
                check_laws(field_edge[i], field_edge[k], field_edge[l]);
        }
    for (int i = 0; i < 20000; i++) {
        check_pair(field_random(&r), field_random(&r));
        check_laws(field_any(&r), field_any(&r), field_any(&r));
    }
}
END_TEST

/* As many as a sum's top word shows, and all at their greatest. */
START_TEST(sums_of_products_are_reduced_once)
{
    struct test_random r;

    test_random_init(&r, "sums_of_products_are_reduced_once");
    for (int round = 0; round < 200; round++) {
        const uint64_t n = test_random_below(&r, 50);
        struct mbi_fe_sum sum = {0};
        mbi_fe want = 0;

        for (uint64_t i = 0; i < n; i++) {
            const mbi_fe a = round ? field_any(&r) : P - 1, b = round ? field_any(&r) : P - 1;

            mbi_fe_sum_add(&sum, a, b);
            want = mbi_fe_add(want, mbi_fe_mul(a, b));
        }
        test_that(mbi_fe_sum_value(&sum) == want);
    }
    for (size_t i = 0; i < MBI_COUNT(field_edge); i++) {
        const struct mbi_fe_sum sum = {UINT64_MAX, UINT64_MAX, field_edge[i]};
        const mbi_fe two_64 = slow_remainder(1, 0), top = slow_mul(two_64, field_edge[i]);

        test_that(mbi_fe_sum_value(&sum) ==
                  slow_add(slow_remainder(UINT64_MAX, UINT64_MAX), slow_mul(top, two_64)));
    }
}
END_TEST

START_TEST(integers_become_elements)
{
    static const int64_t whole[] = {0, 1, 5, INT32_MAX, INT64_MAX};

    ck_assert_uint_eq(mbi_fe_from_u64(P), 0);
    ck_assert_uint_eq(mbi_fe_from_u64(P - 1), P - 1);
    ck_assert_uint_eq(mbi_fe_from_u64(UINT64_MAX), UINT32_MAX - 1);
    ck_assert_uint_eq(mbi_fe_from_i64(INT64_MIN), P - ((mbi_fe)1 << 63));
    for (size_t i = 0; i < MBI_COUNT(whole); i++) {
        ck_assert_uint_eq(mbi_fe_from_i64(whole[i]), (mbi_fe)whole[i]);
        ck_assert_uint_eq(mbi_fe_from_i64(-whole[i]), mbi_fe_neg((mbi_fe)whole[i]));
    }
}
END_TEST

START_TEST(powers_and_inverses)
{
    struct test_random r;

    test_random_init(&r, "powers_and_inverses");
    ck_assert_uint_eq(mbi_fe_inv(0), 0);
    ck_assert_uint_eq(mbi_fe_pow(0, 0), 1);
    for (size_t i = 0; i < 500; i++) {
        const mbi_fe a = i < MBI_COUNT(field_edge) ? field_edge[i] : field_random(&r);
        mbi_fe power = 1;

        test_that(mbi_fe_pow(a, P - 1) == (a != 0));
        test_that(mbi_fe_pow(a, P) == a);
        test_that(mbi_fe_inv(a) == mbi_fe_pow(a, P - 2));
        test_that(slow_mul(a, mbi_fe_inv(a)) == (a != 0));
        for (uint64_t n = 0; n < 10; n++, power = slow_mul(power, a))
            test_that(mbi_fe_pow(a, n) == power);
    }
}
END_TEST

START_TEST(many_inverses_at_once)
{
    mbi_fe x[40], inverse[40], work[40];
    struct test_random r;

    test_random_init(&r, "many_inverses_at_once");
    for (size_t n = 0; n <= 40; n++)
        for (int zeros = 0; zeros < 3; zeros++) { /* none, some, all */
            for (size_t i = 0; i < n; i++) {
                x[i] = zeros == 2 ? 0 : field_any(&r);
                x[i] += zeros == 0 && x[i] == 0;
                inverse[i] = x[i];
            }
            mbi_fe_inv_batch(inverse, work, n);
            for (size_t i = 0; i < n; i++)
                test_that(inverse[i] == mbi_fe_inv(x[i]));
        }
}
END_TEST

/* The order of the group is 2^32 * 3 * 5 * 17 * 257 * 65537. */
START_TEST(generator_and_roots_of_unity)
{
    static const uint32_t prime[] = {2, 3, 5, 17, 257, 65537};
    uint64_t order = (uint64_t)1 << 31;

    for (size_t i = 0; i < MBI_COUNT(prime); i++) {
        order *= prime[i];
        ck_assert_uint_ne(mbi_fe_pow(MBI_FIELD_GENERATOR, (P - 1) / prime[i]), 1);
    }
    ck_assert_uint_eq(order, P - 1);
    ck_assert_uint_eq(mbi_fe_root(0), 1);
    for (unsigned k = 1; k <= MBI_FIELD_TWO_ADICITY; k++) {
        const mbi_fe w = mbi_fe_root(k);

        ck_assert_uint_eq(mbi_fe_pow(w, (uint64_t)1 << (k - 1)), P - 1);
        ck_assert_uint_eq(mbi_fe_mul(w, w), mbi_fe_root(k - 1));
    }
}
END_TEST

START_TEST(bytes_are_canonical)
{
    static const uint64_t outside[] = {P, P + 1, UINT64_MAX};
    const size_t n = MBI_COUNT(field_edge);
    mbi_fe back[MBI_COUNT(field_edge)];
    uint8_t bytes[8 * MBI_COUNT(field_edge)];

    mbi_fe_to_bytes(bytes, field_edge, n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 8; k++)
            test_that(bytes[8 * i + k] == (uint8_t)(field_edge[i] >> (8 * k)));
    test_that(mbi_fe_from_bytes(back, bytes, n));
    test_same_bytes(back, field_edge, sizeof(back));
    test_that(mbi_fe_from_bytes(back, bytes, 0));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < MBI_COUNT(outside); k++) {
            mbi_fe_to_bytes(bytes, field_edge, n);
            mbi_fe_to_bytes(bytes + 8 * i, &outside[k], 1);
            test_that(!mbi_fe_from_bytes(back, bytes, n));
            for (size_t l = 0; l < n; l++)
                test_that(back[l] == (l == i ? 0 : field_edge[l]));
        }
}
END_TEST

/* ---- kernels: every length up to some vectors, any alignment, guards around the result ---- */

#define LENGTHS 70
#define GUARD 8
#define SPACE (LENGTHS + 4 + GUARD)
#define POISON UINT64_C(0xA5A5A5A5A5A5A5A5)

struct arrays {
    mbi_fe a[SPACE], b[SPACE], old[SPACE], out[SPACE], want[SPACE];
};

static void check_out(const struct arrays *x, size_t at, size_t n, const char *table,
                      const char *kernel)
{
    for (size_t i = 0; i < SPACE; i++) {
        const mbi_fe want = i < at || i >= at + n ? POISON : x->want[i];

        test_check(x->out[i] == want, "%s %s of %zu at %zu: element %zu", table, kernel, n, at, i);
    }
}

/* Fresh inputs; `out` is poisoned outside the result and holds `old` in it. */
static void prepare(struct arrays *x, size_t at, size_t n, struct test_random *r)
{
    field_fill(x->a, SPACE, r);
    field_fill(x->b, SPACE, r);
    field_fill(x->old, SPACE, r);
    for (size_t i = 0; i < SPACE; i++)
        x->out[i] = i < at || i >= at + n ? POISON : x->old[i];
}

static void check_kernels(const struct mbi_field_kernels *k, size_t at, size_t n,
                          struct test_random *r)
{
    const mbi_fe s = field_any(r);
    struct arrays x;
    mbi_fe sum = 0;

#define EACH(kernel, call, value)                                                                  \
    do {                                                                                           \
        prepare(&x, at, n, r);                                                                     \
        for (size_t i = at; i < at + n; i++)                                                       \
            x.want[i] = (value);                                                                   \
        call;                                                                                      \
        check_out(&x, at, n, k->name, kernel);                                                     \
    } while (0)
    EACH("add", k->add(x.out + at, x.a + at, x.b + at, n), mbi_fe_add(x.a[i], x.b[i]));
    EACH("sub", k->sub(x.out + at, x.a + at, x.b + at, n), mbi_fe_sub(x.a[i], x.b[i]));
    EACH("mul", k->mul(x.out + at, x.a + at, x.b + at, n), mbi_fe_mul(x.a[i], x.b[i]));
    EACH("mul in place", k->mul(x.out + at, x.out + at, x.b + at, n), mbi_fe_mul(x.old[i], x.b[i]));
    EACH("mul_add", k->mul_add(x.out + at, x.a + at, s, n),
         mbi_fe_add(x.old[i], mbi_fe_mul(x.a[i], s)));
    EACH("fold", k->fold(x.out + at, x.a + at, x.b + at, s, n),
         mbi_fe_add(x.a[i], mbi_fe_mul(s, mbi_fe_sub(x.b[i], x.a[i]))));
    EACH("fold in place", k->fold(x.out + at, x.out + at, x.b + at, s, n),
         mbi_fe_add(x.old[i], mbi_fe_mul(s, mbi_fe_sub(x.b[i], x.old[i]))));
#undef EACH
    prepare(&x, at, n, r);
    for (size_t i = at; i < at + n; i++)
        sum = mbi_fe_add(sum, mbi_fe_mul(x.a[i], x.b[i]));
    test_check(k->dot(x.a + at, x.b + at, n) == sum, "%s dot of %zu at %zu", k->name, n, at);
}

START_TEST(kernels_compute_what_they_say)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct test_random r;

    if (!k || !k->probe())
        return;
    test_random_init(&r, k->name);
    for (size_t at = 0; at < 4; at++)
        for (size_t n = 0; n <= LENGTHS; n++)
            check_kernels(k, at, n, &r);
}
END_TEST

/* All pairs of edges in every lane. */
START_TEST(kernels_at_the_edges)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    enum { N = 16 };
    mbi_fe a[N], b[N], out[N];

    if (!k || !k->probe())
        return;
    for (size_t i = 0; i < MBI_COUNT(field_edge); i++)
        for (size_t j = 0; j < MBI_COUNT(field_edge); j++) {
            for (size_t l = 0; l < N; l++) {
                a[l] = field_edge[i];
                b[l] = field_edge[j];
            }
            k->mul(out, a, b, N);
            for (size_t l = 0; l < N; l++)
                test_that(out[l] == slow_mul(a[l], b[l]));
            k->add(out, a, b, N);
            for (size_t l = 0; l < N; l++)
                test_that(out[l] == slow_add(a[l], b[l]));
            k->sub(out, a, b, N);
            for (size_t l = 0; l < N; l++)
                test_that(slow_add(out[l], b[l]) == a[l]);
        }
}
END_TEST

/* A long sum of greatest products: words of the vector sums come near to what they can hold. */
START_TEST(long_sums)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    const size_t n = 100003;
    mbi_fe *a;

    if (!k || !k->probe())
        return;
    ck_assert_ptr_nonnull(a = malloc(n * sizeof(*a)));
    for (size_t i = 0; i < n; i++)
        a[i] = P - 1;
    ck_assert_uint_eq(k->dot(a, a, n), n); /* (-1)^2 n */
    for (size_t i = 0; i < n; i++)
        a[i] = UINT32_MAX;
    ck_assert_uint_eq(k->dot(a, a, n), slow_mul(slow_mul(UINT32_MAX, UINT32_MAX), n));
    free(a);
}
END_TEST

/* Stages and powers of blocks, against the portable ones; those are tested by test_ntt.c. */
START_TEST(kernels_of_transforms_are_the_same)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    enum { LOG = 8, N = MBI_NTT_LANES << LOG };
    static mbi_fe want[N], got[N], root[1 << LOG];
    struct test_random r;
    mbi_fe step[MBI_NTT_LANES];

    if (!k || !k->probe())
        return;
    test_random_init(&r, "kernels_of_transforms_are_the_same");
    for (unsigned log_n = 0; log_n <= LOG; log_n++)
        for (unsigned first = 0; first <= log_n; first++) {
            field_fill(want, N, &r);
            field_fill(root, MBI_COUNT(root), &r);
            for (unsigned i = 0; i < log_n; i++)
                root[(size_t)1 << i] = 1;
            memcpy(got, want, sizeof(got));
            mbi_field_kernels_portable.ntt_stages(want, log_n, first, root);
            k->ntt_stages(got, log_n, first, root);
            test_same_bytes(got, want, sizeof(got));
        }
    for (size_t n = 0; n < 40; n++) {
        const mbi_fe start = field_any(&r);

        field_fill(want, N, &r);
        field_fill(step, MBI_NTT_LANES, &r);
        memcpy(got, want, sizeof(got));
        for (size_t i = 0; i < MBI_NTT_LANES * n; i++)
            want[i] = mbi_fe_mul(
                want[i], mbi_fe_mul(start, mbi_fe_pow(step[i % MBI_NTT_LANES], i / MBI_NTT_LANES)));
        k->ntt_powers(got, n, start, step);
        test_same_bytes(got, want, sizeof(got));
    }
}
END_TEST

START_TEST(the_best_table_can_run)
{
    size_t n = 0;

    test_that(mbi_field_kernels_best()->probe() > 0);
    while (mbi_field_kernels_at(n)) {
        test_that(mbi_field_kernels_at(n)->probe() <= mbi_field_kernels_best()->probe());
        printf("# kernels %s: %s\n", mbi_field_kernels_at(n)->name,
               mbi_field_kernels_at(n)->probe() ? "run here" : "cannot run here");
        n++;
    }
    test_that(mbi_field_kernels_at(0) == &mbi_field_kernels_portable);
}
END_TEST

/* ---- vectors of tests/golden/proof_field.py ---- */

START_TEST(vectors_of_the_field)
{
    struct vectors g;
    size_t n = 0;

    vectors_open(&g, "golden/proof_field.txt");
    while (vectors_next(&g)) {
        mbi_fe want, got;

        if (vectors_is(&g, "add"))
            got = mbi_fe_add(vectors_element(&g, 1), vectors_element(&g, 2));
        else if (vectors_is(&g, "sub"))
            got = mbi_fe_sub(vectors_element(&g, 1), vectors_element(&g, 2));
        else if (vectors_is(&g, "mul"))
            got = mbi_fe_mul(vectors_element(&g, 1), vectors_element(&g, 2));
        else if (vectors_is(&g, "inv"))
            got = mbi_fe_inv(vectors_element(&g, 1));
        else if (vectors_is(&g, "i64"))
            got = mbi_fe_from_i64(strtoll(g.word[1], NULL, 10));
        else if (vectors_is(&g, "root"))
            got = mbi_fe_root((unsigned)vectors_u64(&g, 1));
        else
            continue;
        want = vectors_element(&g, g.n - 1);
        test_check(got == want, "line %zu: %016llx", g.line, (unsigned long long)got);
        n++;
    }
    ck_assert_uint_gt(n, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("field");
    TCase *tc = tcase_create("field");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, wide_products_and_their_remainders);
    tcase_add_test(tc, remainders_of_all_pairs_of_edges);
    tcase_add_test(tc, sums_and_products);
    tcase_add_test(tc, sums_of_products_are_reduced_once);
    tcase_add_test(tc, integers_become_elements);
    tcase_add_test(tc, powers_and_inverses);
    tcase_add_test(tc, many_inverses_at_once);
    tcase_add_test(tc, generator_and_roots_of_unity);
    tcase_add_test(tc, bytes_are_canonical);
    tcase_add_loop_test(tc, kernels_compute_what_they_say, 0, 3);
    tcase_add_loop_test(tc, kernels_at_the_edges, 0, 3);
    tcase_add_loop_test(tc, long_sums, 0, 3);
    tcase_add_loop_test(tc, kernels_of_transforms_are_the_same, 0, 3);
    tcase_add_test(tc, the_best_table_can_run);
    tcase_add_test(tc, vectors_of_the_field);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof/ext and its kernels, compiled for each degree: against products of polynomials. */
#include "field_values.h"
#include "vectors.h"
#include "proof/ext.h"

#define D MBI_EXT_D
#define P MBI_FIELD_P

static struct mbi_ext any(struct test_random *r)
{
    struct mbi_ext x;

    field_fill(x.c, D, r);
    return x;
}

/* The polynomial's product, then X^D replaced from the top down. */
static struct mbi_ext slow_mul(struct mbi_ext a, struct mbi_ext b)
{
    mbi_fe c[2 * D - 1] = {0};
    struct mbi_ext r;

    for (int i = 0; i < D; i++)
        for (int k = 0; k < D; k++)
            c[i + k] = mbi_fe_add(c[i + k], mbi_fe_mul(a.c[i], b.c[k]));
    for (int i = 2 * D - 2; i >= D; i--)
        c[i - D] = mbi_fe_add(c[i - D], mbi_fe_mul(c[i], MBI_EXT_NONRESIDUE));
    memcpy(r.c, c, sizeof(r.c));
    return r;
}

static bool same(struct mbi_ext a, struct mbi_ext b) { return !memcmp(&a, &b, sizeof(a)); }

static void check_laws(struct mbi_ext a, struct mbi_ext b, struct mbi_ext c)
{
    const struct mbi_ext ab = mbi_ext_mul(a, b), zero = {{0}};

    test_that(same(ab, slow_mul(a, b)));
    test_that(same(ab, mbi_ext_mul(b, a)));
    test_that(same(mbi_ext_mul(ab, c), mbi_ext_mul(a, mbi_ext_mul(b, c))));
    test_that(same(mbi_ext_mul(a, mbi_ext_add(b, c)), mbi_ext_add(ab, mbi_ext_mul(a, c))));
    test_that(same(mbi_ext_mul(a, mbi_ext_sub(b, c)), mbi_ext_sub(ab, mbi_ext_mul(a, c))));
    test_that(same(mbi_ext_add(a, mbi_ext_neg(a)), zero));
    test_that(same(mbi_ext_scale(a, b.c[0]), mbi_ext_mul(a, mbi_ext_from(b.c[0]))));
    test_that(mbi_ext_equal(a, b) == same(a, b) && mbi_ext_equal(a, a));
    test_that(mbi_ext_is_zero(a) == same(a, zero));
}

static void check_alone(struct mbi_ext a)
{
    const struct mbi_ext x = {{0, 1}}, one = {{1}}, zero = {{0}}, inverse = mbi_ext_inv(a);
    struct mbi_ext conjugate = a, norm = a;

    test_that(same(mbi_ext_times_x(a), slow_mul(a, x)));
    test_that(same(slow_mul(a, inverse), mbi_ext_is_zero(a) ? zero : one));
    test_that(!mbi_ext_is_zero(a) || mbi_ext_is_zero(inverse));
    /* a -> a^p leaves F alone and comes back after D times; the product of all is in F. */
    for (int i = 1; i < D; i++) {
        conjugate = mbi_ext_pow(conjugate, P);
        norm = slow_mul(norm, conjugate);
    }
    test_that(same(mbi_ext_pow(conjugate, P), a));
    for (int i = 1; i < D; i++)
        test_that(norm.c[i] == 0);
}

/* 7 is no square and 2 no cube, or the polynomial would have a root. */
START_TEST(polynomial_is_irreducible)
{
    const struct mbi_ext x = {{0, 1}}, want = {{MBI_EXT_NONRESIDUE}};

    ck_assert_uint_eq((P - 1) % D, 0);
    ck_assert_uint_ne(mbi_fe_pow(MBI_EXT_NONRESIDUE, (P - 1) / D), 1);
    test_that(same(mbi_ext_pow(x, D), want));
}
END_TEST

START_TEST(sums_products_and_inverses)
{
    const struct mbi_ext zero = {{0}}, one = {{1}};
    struct test_random r;

    test_random_init(&r, "sums_products_and_inverses");
    check_alone(zero);
    check_alone(one);
    for (int i = 0; i < 2000; i++)
        check_laws(any(&r), any(&r), any(&r));
    for (int i = 0; i < 300; i++)
        check_alone(any(&r));
}
END_TEST

START_TEST(powers)
{
    struct test_random r;

    test_random_init(&r, "powers");
    for (int i = 0; i < 100; i++) {
        const struct mbi_ext a = any(&r);
        const uint64_t n = test_random_u64(&r) >> 1, m = test_random_u64(&r) >> 1;
        struct mbi_ext power = {{1}};

        for (uint64_t k = 0; k < 6; k++, power = slow_mul(power, a))
            test_that(same(mbi_ext_pow(a, k), power));
        test_that(same(slow_mul(mbi_ext_pow(a, n), mbi_ext_pow(a, m)), mbi_ext_pow(a, n + m)));
    }
}
END_TEST

START_TEST(many_inverses_at_once)
{
    struct mbi_ext x[20], inverse[20], work[20];
    struct test_random r;

    test_random_init(&r, "many_inverses_at_once");
    for (size_t n = 0; n <= 20; n++)
        for (int zeros = 0; zeros < 2; zeros++) {
            for (size_t i = 0; i < n; i++) {
                x[i] = any(&r);
                if (zeros && test_random_below(&r, 3))
                    memset(&x[i], 0, sizeof(x[i]));
                inverse[i] = x[i];
            }
            mbi_ext_inv_batch(inverse, work, n);
            for (size_t i = 0; i < n; i++)
                test_that(same(inverse[i], mbi_ext_inv(x[i])));
        }
}
END_TEST

START_TEST(bytes_are_canonical)
{
    struct mbi_ext x[5], back[5];
    uint8_t bytes[5 * MBI_EXT_BYTES];
    struct test_random r;

    test_random_init(&r, "bytes_are_canonical");
    for (size_t i = 0; i < 5; i++)
        x[i] = any(&r);
    mbi_ext_to_bytes(bytes, x, 5);
    for (size_t i = 0; i < sizeof(bytes); i++)
        test_that(bytes[i] == (uint8_t)(x[i / MBI_EXT_BYTES].c[i / 8 % D] >> (8 * (i % 8))));
    test_that(mbi_ext_from_bytes(back, bytes, 5));
    test_same_bytes(back, x, sizeof(x));
    for (size_t i = 0; i < 5 * D; i++) {
        mbi_ext_to_bytes(bytes, x, 5);
        memset(bytes + 8 * i, 0xFF, 8);
        test_that(!mbi_ext_from_bytes(back, bytes, 5));
        test_that(back[i / D].c[i % D] == 0);
    }
}
END_TEST

/* ---- kernels ---- */

#define LENGTHS 40
#define SPACE (LENGTHS + 12)
#define POISON 0xA5

struct arrays {
    struct mbi_ext a[SPACE], b[SPACE], old[SPACE], out[SPACE], want[SPACE];
    mbi_fe fa[SPACE], fb[SPACE];
};

static void prepare(struct arrays *x, size_t at, size_t n, struct test_random *r)
{
    for (size_t i = 0; i < SPACE; i++) {
        x->a[i] = any(r);
        x->b[i] = any(r);
        x->old[i] = any(r);
        x->fa[i] = field_any(r);
        x->fb[i] = field_any(r);
    }
    memset(x->out, POISON, sizeof(x->out));
    memset(x->want, POISON, sizeof(x->want));
    memcpy(x->out + at, x->old + at, n * sizeof(x->out[0]));
}

static void check_kernels(const struct mbi_field_kernels *k, size_t at, size_t n,
                          struct test_random *r)
{
    const struct mbi_ext s = any(r);
    struct arrays x;
    struct mbi_ext sum = {{0}}, sum_base = {{0}};

#define EACH(kernel, call, value)                                                                  \
    do {                                                                                           \
        prepare(&x, at, n, r);                                                                     \
        for (size_t i = at; i < at + n; i++)                                                       \
            x.want[i] = (value);                                                                   \
        call;                                                                                      \
        test_check(!memcmp(x.out, x.want, sizeof(x.out)), "%s %s of %zu at %zu", k->name, kernel,  \
                   n, at);                                                                         \
    } while (0)
    EACH("mul", mbi_ext_mul_array(k, x.out + at, x.a + at, x.b + at, n), slow_mul(x.a[i], x.b[i]));
    EACH("mul in place", mbi_ext_mul_array(k, x.out + at, x.a + at, x.out + at, n),
         slow_mul(x.a[i], x.old[i]));
    EACH("mul_add", mbi_ext_mul_add(k, x.out + at, x.a + at, s, n),
         mbi_ext_add(x.old[i], slow_mul(x.a[i], s)));
    EACH("mul_add_base", mbi_ext_mul_add_base(k, x.out + at, x.fa + at, s, n),
         mbi_ext_add(x.old[i], slow_mul(mbi_ext_from(x.fa[i]), s)));
    EACH("fold", mbi_ext_fold(k, x.out + at, x.a + at, x.b + at, s, n),
         mbi_ext_add(x.a[i], slow_mul(s, mbi_ext_sub(x.b[i], x.a[i]))));
    EACH("fold in place", mbi_ext_fold(k, x.out + at, x.out + at, x.b + at, s, n),
         mbi_ext_add(x.old[i], slow_mul(s, mbi_ext_sub(x.b[i], x.old[i]))));
    EACH("fold_base", mbi_ext_fold_base(k, x.out + at, x.fa + at, x.fb + at, s, n),
         mbi_ext_add(mbi_ext_from(x.fa[i]),
                     slow_mul(s, mbi_ext_from(mbi_fe_sub(x.fb[i], x.fa[i])))));
#undef EACH
    prepare(&x, at, n, r);
    for (size_t i = at; i < at + n; i++) {
        sum = mbi_ext_add(sum, slow_mul(x.a[i], x.b[i]));
        sum_base = mbi_ext_add(sum_base, slow_mul(x.a[i], mbi_ext_from(x.fb[i])));
    }
    test_check(same(mbi_ext_dot(k, x.a + at, x.b + at, n), sum), "%s dot of %zu at %zu", k->name, n,
               at);
    test_check(same(mbi_ext_dot_base(k, x.a + at, x.fb + at, n), sum_base),
               "%s dot_base of %zu at %zu", k->name, n, at);
}

START_TEST(kernels_compute_what_they_say)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct test_random r;

    if (!k || !k->probe())
        return;
    test_random_init(&r, k->name);
    for (int round = 0; round < 10; round++)
        for (size_t at = 0; at < 4; at++)
            for (size_t n = 0; n <= LENGTHS; n++)
                check_kernels(k, at, n, &r);
}
END_TEST

START_TEST(long_sums)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    const size_t n = 50001;
    struct mbi_ext *a, want = {{0}}, x;
    mbi_fe *b;

    if (!k || !k->probe())
        return;
    ck_assert_ptr_nonnull(a = malloc(n * sizeof(*a)));
    ck_assert_ptr_nonnull(b = malloc(n * sizeof(*b)));
    memset(&x, 0, sizeof(x));
    for (int i = 0; i < D; i++)
        x.c[i] = P - 1;
    for (size_t i = 0; i < n; i++) {
        a[i] = x;
        b[i] = P - 1;
        want = mbi_ext_add(want, slow_mul(x, x));
    }
    test_that(same(mbi_ext_dot(k, a, a, n), want));
    test_that(same(mbi_ext_dot_base(k, a, b, n), mbi_ext_scale(x, mbi_fe_neg(n))));
    free(a);
    free(b);
}
END_TEST

/* ---- vectors of tests/golden/proof_field.py ---- */

static struct mbi_ext element(const struct vectors *g, size_t i)
{
    struct mbi_ext x;

    for (size_t k = 0; k < D; k++)
        x.c[k] = vectors_element(g, i + k);
    return x;
}

START_TEST(vectors_of_the_extension)
{
    struct vectors g;
    size_t n = 0;

    vectors_open(&g, "golden/proof_field.txt");
    while (vectors_next(&g)) {
        struct mbi_ext got;

        if (!vectors_is(&g, "ext") || vectors_u64(&g, 1) != D)
            continue;
        if (!strcmp(vectors_word(&g, 2), "mul"))
            got = mbi_ext_mul(element(&g, 3), element(&g, 3 + D));
        else if (!strcmp(vectors_word(&g, 2), "inv"))
            got = mbi_ext_inv(element(&g, 3));
        else
            got = mbi_ext_pow(element(&g, 4), vectors_u64(&g, 3));
        test_check(same(got, element(&g, g.n - D)), "line %zu differs", g.line);
        n++;
    }
    ck_assert_uint_gt(n, 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ext");
    TCase *tc = tcase_create("ext");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, polynomial_is_irreducible);
    tcase_add_test(tc, sums_products_and_inverses);
    tcase_add_test(tc, powers);
    tcase_add_test(tc, many_inverses_at_once);
    tcase_add_test(tc, bytes_are_canonical);
    tcase_add_loop_test(tc, kernels_compute_what_they_say, 0, 3);
    tcase_add_loop_test(tc, long_sums, 0, 3);
    tcase_add_test(tc, vectors_of_the_extension);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

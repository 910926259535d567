/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof/ntt: against the definition, in all layouts, with all kernels, on some threads. */
#include "base/blake2b.h"
#include "field_values.h"
#include "vectors.h"
#include "proof/ntt.h"

#define OK(call) ck_assert_int_eq(call, MAMBAINT_OK)

/* A transformer that checks its memory. */
struct setup {
    struct test_host host;
    struct mbi_ntt ntt;
};

static void setup_make(struct setup *s, const struct mbi_field_kernels *k, unsigned log_max)
{
    test_host_init(&s->host);
    OK(mbi_ntt_init(&s->ntt, &s->host.host, k, log_max, NULL));
}

static void setup_free(struct setup *s)
{
    mbi_ntt_free(&s->ntt);
    test_host_check(&s->host);
}

static mbi_fe *elements(size_t n)
{
    mbi_fe *x = malloc((n + 1) * sizeof(*x));

    ck_assert_ptr_nonnull(x);
    return x;
}

/* The value at x of a polynomial, by Horner's rule. */
static mbi_fe value_at(const mbi_fe *c, size_t step, size_t n, mbi_fe x)
{
    mbi_fe r = 0;

    while (n-- > 0)
        r = mbi_fe_add(mbi_fe_mul(r, x), c[n * step]);
    return r;
}

/* ---- the definition ---- */

#define MAX_ROWS 19
#define MAX_LOG 8
#define POISON UINT64_C(0xA5A5A5A5A5A5A5A5)

/* One job in one layout: every value by definition, and what lies between rows is left alone. */
static void check_job(const struct mbi_ntt *t, struct mbi_ntt_job *job, size_t in_size,
                      size_t out_size, struct test_random *r)
{
    const size_t n = (size_t)1 << job->log_n;
    const mbi_fe w = mbi_fe_root(job->log_n);
    mbi_fe *in = elements(in_size), *out = elements(out_size);

    field_fill(in, in_size, r);
    for (size_t i = 0; i < out_size; i++)
        out[i] = POISON;
    job->in = in;
    job->out = out;
    OK(mbi_ntt_run(t, job, NULL));
    for (size_t row = 0; row < job->rows; row++) {
        mbi_fe x = 1;

        for (size_t j = 0; j < n; j++, x = mbi_fe_mul(x, w)) {
            mbi_fe *got = &out[row * job->out_row + j * job->out_step];

            test_check(*got == value_at(in + row * job->in_row, job->in_step, job->ell, x),
                       "2^%u from %zu, row %zu of %zu: value %zu", job->log_n, job->ell, row,
                       job->rows, j);
            *got = POISON;
        }
    }
    for (size_t i = 0; i < out_size; i++)
        test_check(out[i] == POISON, "written outside of the rows, at %zu", i);
    free(in);
    free(out);
}

static void check_layouts(const struct mbi_ntt *t, size_t rows, size_t ell, unsigned log_n,
                          struct test_random *r)
{
    const size_t n = (size_t)1 << log_n;
    struct mbi_ntt_job job = {.rows = rows, .ell = ell, .log_n = log_n};

    for (int leaves_in = 0; leaves_in < 2; leaves_in++)
        for (int leaves_out = 0; leaves_out < 2; leaves_out++) {
            job.in_row = leaves_in ? 1 : ell;
            job.in_step = leaves_in ? rows : 1;
            job.out_row = leaves_out ? 1 : n;
            job.out_step = leaves_out ? rows : 1;
            check_job(t, &job, rows * ell, rows * n, r);
        }
    job.in_row = 3 * ell + 1; /* gaps everywhere */
    job.in_step = 3;
    job.out_row = 1;
    job.out_step = rows + 2;
    check_job(t, &job, rows * job.in_row, n * job.out_step, r);
}

START_TEST(values_are_those_of_the_definition)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct test_random r;
    struct setup s;

    if (!k || !k->probe())
        return;
    test_random_init(&r, k->name);
    setup_make(&s, k, MAX_LOG);
    for (unsigned log_n = 0; log_n <= MAX_LOG; log_n++) {
        const size_t n = (size_t)1 << log_n;
        const size_t ell[] = {n, n / 2, n / 4, n - n / 3, n / 8 + 1, 1, 0};

        for (size_t i = 0; i < MBI_COUNT(ell); i++)
            for (size_t rows = 1; rows <= MAX_ROWS; rows += i == 0 && log_n < 8 ? 1 : 6)
                check_layouts(&s.ntt, rows, ell[i], log_n, &r);
    }
    setup_free(&s);
}
END_TEST

/* Lengths with roots of a longer table, and lengths of an odd logarithm. */
START_TEST(values_of_long_ones)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_best();
    struct test_random r;
    struct setup s;

    test_random_init(&r, "values_of_long_ones");
    setup_make(&s, k, 18);
    for (unsigned log_n = 13; log_n <= 18; log_n++) {
        const size_t n = (size_t)1 << log_n;
        const size_t ell = n / 2 + (size_t)test_random_below(&r, n / 2 + 1);
        mbi_fe *in = elements(ell), *out = elements(n);

        field_fill(in, ell, &r);
        OK(mbi_ntt_encode_rows(&s.ntt, out, in, 1, ell, log_n, NULL));
        for (int i = 0; i < 8; i++) {
            const size_t j = i == 0 ? 0 : i == 1 ? n - 1 : (size_t)test_random_below(&r, n);
            const mbi_fe x = mbi_fe_pow(mbi_fe_root(log_n), j);

            test_check(out[j] == value_at(in, 1, ell, x), "2^%u: value %zu", log_n, j);
        }
        free(in);
        free(out);
    }
    setup_free(&s);
}
END_TEST

/* ---- identities ---- */

START_TEST(inverse_gives_the_coefficients_back)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct test_random r;
    struct setup s;

    if (!k || !k->probe())
        return;
    test_random_init(&r, k->name);
    setup_make(&s, k, 16);
    for (unsigned log_n = 0; log_n <= 16; log_n++) {
        const size_t n = (size_t)1 << log_n, rows = log_n < 10 ? 9 : 1;
        mbi_fe *x = elements(rows * n), *y = elements(rows * n);
        struct mbi_ntt_job back = {.in = y,
                                   .in_row = 1,
                                   .in_step = rows,
                                   .out = y,
                                   .out_row = 1,
                                   .out_step = rows,
                                   .rows = rows,
                                   .ell = n,
                                   .log_n = log_n,
                                   .inverse = true};

        field_fill(x, rows * n, &r);
        OK(mbi_ntt_encode_leaves(&s.ntt, y, x, rows, n, log_n, NULL));
        OK(mbi_ntt_run(&s.ntt, &back, NULL)); /* in place */
        for (size_t row = 0; row < rows; row++)
            for (size_t i = 0; i < n; i++)
                test_check(y[i * rows + row] == x[row * n + i], "2^%u: %zu of row %zu", log_n, i,
                           row);
        free(x);
        free(y);
    }
    setup_free(&s);
}
END_TEST

/* NTT(a + s b) = NTT(a) + s NTT(b). */
START_TEST(transforms_are_linear)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_best();
    const unsigned log_n = 11;
    const size_t n = (size_t)1 << log_n;
    mbi_fe *x = elements(3 * n), *y = elements(3 * n), s;
    struct test_random r;
    struct setup set;

    test_random_init(&r, "transforms_are_linear");
    setup_make(&set, k, log_n);
    field_fill(x, 2 * n, &r);
    s = field_any(&r);
    for (size_t i = 0; i < n; i++)
        x[2 * n + i] = mbi_fe_add(x[i], mbi_fe_mul(s, x[n + i]));
    OK(mbi_ntt_encode_rows(&set.ntt, y, x, 3, n, log_n, NULL));
    for (size_t i = 0; i < n; i++)
        test_that(y[2 * n + i] == mbi_fe_add(y[i], mbi_fe_mul(s, y[n + i])));
    free(x);
    free(y);
    setup_free(&set);
}
END_TEST

/* ---- threads ---- */

/* More than one group of rows; the last group is no multiple of eight. */
START_TEST(threads_change_nothing)
{
    const unsigned log_n = 13;
    const size_t n = (size_t)1 << log_n, rows = 53, ell = n / 2 + 3;
    mbi_fe *x = elements(rows * ell), *want = elements(rows * n), *got = elements(rows * n);
    struct test_random r;
    struct setup s;

    test_random_init(&r, "threads_change_nothing");
    field_fill(x, rows * ell, &r);
    setup_make(&s, mbi_field_kernels_best(), log_n);
    OK(mbi_ntt_encode_rows(&s.ntt, want, x, rows, ell, log_n, NULL));
    for (uint32_t threads = 1; threads <= 5; threads++) {
        OK(mbi_pool_create(&s.host.host.pool, &s.host.host, threads, NULL));
        OK(mbi_ntt_encode_rows(&s.ntt, got, x, rows, ell, log_n, NULL));
        test_same_bytes(got, want, rows * n * sizeof(*got));
        OK(mbi_ntt_encode_leaves(&s.ntt, got, x, rows, ell, log_n, NULL));
        for (size_t row = 0; row < rows; row++)
            for (size_t j = 0; j < n; j++)
                test_that(got[j * rows + row] == want[row * n + j]);
        mbi_pool_free(&s.host.host, s.host.host.pool);
        s.host.host.pool = NULL;
    }
    free(x);
    free(want);
    free(got);
    setup_free(&s);
}
END_TEST

/* ---- refusals ---- */

static int32_t one_transform(const struct mbi_host *host, void *arg)
{
    mbi_fe *const x = arg;
    struct mbi_ntt t;
    int32_t rc = mbi_ntt_init(&t, host, &mbi_field_kernels_portable, 8, NULL);

    if (rc < 0)
        return rc;
    rc = mbi_ntt_encode_rows(&t, x, x, 1, 256, 8, NULL);
    mbi_ntt_free(&t);
    return rc;
}

START_TEST(memory_may_be_refused)
{
    mbi_fe x[256] = {0};

    ck_assert_uint_eq(test_refuse_each(one_transform, x), 4);
}
END_TEST

START_TEST(lengths_beyond_the_roots_are_refused)
{
    struct mbi_ntt_job job = {.rows = 1, .ell = 1, .log_n = 6};
    mambaint_error err;
    struct setup s;

    test_host_init(&s.host);
    ck_assert_int_eq(mbi_ntt_init(&s.ntt, &s.host.host, mbi_field_kernels_best(), 28, &err),
                     MAMBAINT_E_INVALID);
    setup_make(&s, mbi_field_kernels_best(), 5);
    ck_assert_int_eq(mbi_ntt_run(&s.ntt, &job, &err), MAMBAINT_E_INVALID);
    job.log_n = 5;
    job.ell = 33;
    ck_assert_int_eq(mbi_ntt_run(&s.ntt, &job, &err), MAMBAINT_E_INVALID);
    job.rows = job.ell = 0; /* nothing to do, nothing to read */
    OK(mbi_ntt_run(&s.ntt, &job, &err));
    setup_free(&s);
}
END_TEST

/* ---- vectors of tests/golden/proof_field.py ---- */

static void fill_sequence(mbi_fe *x, size_t n)
{
    mbi_fe v = 1;

    for (size_t i = 0; i < n; i++) {
        x[i] = v;
        v = mbi_fe_add(mbi_fe_mul(v, UINT64_C(6364136223846793005)), UINT64_C(1442695040888963407));
    }
}

static void check_vector(const struct vectors *g, const struct mbi_ntt *t, bool inverse)
{
    const unsigned log_n = (unsigned)vectors_u64(g, 1);
    const size_t n = (size_t)1 << log_n, ell = inverse ? n : (size_t)vectors_u64(g, 2);
    mbi_fe *x = elements(ell), *y = elements(n);
    const struct mbi_ntt_job job = {.in = x,
                                    .in_step = 1,
                                    .out = y,
                                    .out_step = 1,
                                    .rows = 1,
                                    .ell = ell,
                                    .log_n = log_n,
                                    .inverse = inverse};
    uint8_t *bytes = malloc(8 * n), digest[MBI_DIGEST_SIZE];
    char hex[2 * MBI_DIGEST_SIZE + 1];

    ck_assert_ptr_nonnull(bytes);
    fill_sequence(x, ell);
    OK(mbi_ntt_run(t, &job, NULL));
    mbi_fe_to_bytes(bytes, y, n);
    mbi_blake2b(digest, bytes, 8 * n);
    for (size_t i = 0; i < MBI_DIGEST_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    test_check(!strcmp(vectors_word(g, g->n - 1), hex), "%s, line %zu: %s", t->kernels->name,
               g->line, hex);
    free(x);
    free(y);
    free(bytes);
}

START_TEST(vectors_of_transforms)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_at((size_t)_i);
    struct vectors g;
    struct setup s;
    size_t n = 0;

    if (!k || !k->probe())
        return;
    setup_make(&s, k, 12);
    vectors_open(&g, "golden/proof_field.txt");
    while (vectors_next(&g))
        if (vectors_is(&g, "ntt") || vectors_is(&g, "intt")) {
            check_vector(&g, &s.ntt, vectors_is(&g, "intt"));
            n++;
        }
    ck_assert_uint_gt(n, 50);
    setup_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ntt");
    TCase *tc = tcase_create("ntt");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, values_are_those_of_the_definition, 0, 3);
    tcase_add_test(tc, values_of_long_ones);
    tcase_add_loop_test(tc, inverse_gives_the_coefficients_back, 0, 3);
    tcase_add_test(tc, transforms_are_linear);
    tcase_add_test(tc, threads_change_nothing);
    tcase_add_test(tc, memory_may_be_refused);
    tcase_add_test(tc, lengths_beyond_the_roots_are_refused);
    tcase_add_loop_test(tc, vectors_of_transforms, 0, 3);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

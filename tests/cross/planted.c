/* SPDX-License-Identifier: Apache-2.0 */
/* The stand-in for check sees every kind of failure: of these tests the first alone passes. */
#include "check.h"
#include <stdio.h>
#include <stdlib.h>

START_TEST(what_holds)
{
    const char text[] = "abc";

    ck_assert(1);
    ck_assert_msg(2 > 1, "%d", 1);
    ck_assert_int_eq(-1, -1);
    ck_assert_uint_lt(1, UINT64_MAX);
    ck_assert_float_eq_tol(1.0f, 1.5f, 0.5f);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, "abc");
    ck_assert_mem_ne(text, "abd", 3);
}
END_TEST

START_TEST(what_does_not_hold)
{
    const char text[] = "abc";

    switch (_i) {
    case 0:
        ck_assert(0);
        break;
    case 1:
        ck_assert_msg(1 > 2, "%d", 1);
        break;
    case 2:
        ck_assert_int_eq((int64_t)1 << 32, 0);
        break;
    case 3:
        ck_assert_uint_gt(1, UINT64_MAX);
        break;
    case 4:
        ck_assert_float_eq_tol(1.0f, 0.25f, 0.5f);
        break;
    case 5:
        ck_assert_ptr_null(text);
        break;
    case 6:
        ck_assert_str_eq(text, "ab");
        break;
    case 7:
        ck_assert_mem_eq(text, "abd", 3);
        break;
    case 8:
        exit(3);
    default:
        abort();
    }
}
END_TEST

static int fixtures;

static void before(void) { fixtures++; }

START_TEST(without_its_fixture) { ck_assert_int_eq(fixtures, 0); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("planted");
    TCase *plain = tcase_create("plain"), *fixed = tcase_create("fixed");
    SRunner *runner;
    int failed;

    tcase_add_test(plain, what_holds);
    tcase_add_loop_test(plain, what_does_not_hold, 0, 10);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(fixed, before, NULL);
    tcase_add_test(fixed, without_its_fixture);
    suite_add_tcase(suite, fixed);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    printf("# %d failed, 11 must\n", failed);
    return failed != 11;
}

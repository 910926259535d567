/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of libcheck's interface that tests/unit uses, for cross builds: distributions have no
 * libcheck for a foreign machine. Every test runs in a process of its own, as there; there is no
 * limit of time.
 */
#ifndef MBI_TESTS_CROSS_CHECK_H
#define MBI_TESTS_CROSS_CHECK_H

#include <stdint.h>
#include <string.h>

typedef struct suite Suite;
typedef struct tcase TCase;
typedef struct srunner SRunner;

enum print_output { CK_SILENT };

Suite *suite_create(const char *name);
void suite_add_tcase(Suite *suite, TCase *tc);
TCase *tcase_create(const char *name);
void tcase_set_timeout(TCase *tc, int seconds);
void tcase_add_checked_fixture(TCase *tc, void (*before)(void), void (*after)(void));
void check_add(TCase *tc, const char *name, void (*test)(int i), int from, int to);
SRunner *srunner_create(Suite *suite);
void srunner_set_tap(SRunner *runner, const char *file); /* standard output is the only one */
void srunner_run_all(SRunner *runner, enum print_output how);
int srunner_ntests_failed(const SRunner *runner);
void srunner_free(SRunner *runner);

/* Ends the test's process. */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define START_TEST(name)                                                                           \
    static void name(int _i)                                                                       \
    {                                                                                              \
        (void)_i;
#define END_TEST }
#define tcase_add_test(tc, test) check_add(tc, #test, test, 0, 1)
#define tcase_add_loop_test(tc, test, from, to) check_add(tc, #test, test, from, to)

#define ck_abort_msg(...) check_failed(__FILE__, __LINE__, __VA_ARGS__)
#define ck_assert_msg(expr, ...) ((expr) ? (void)0 : ck_abort_msg(__VA_ARGS__))
#define ck_assert(expr) ck_assert_msg(expr, "not so: %s", #expr)

/* Both sides are evaluated once. */
#define CHECK_PAIR(type, format, x, op, y)                                                         \
    do {                                                                                           \
        const type check_x = (x), check_y = (y);                                                   \
        ck_assert_msg(check_x op check_y, "not so: %s " #op " %s: " format ", " format, #x, #y,    \
                      check_x, check_y);                                                           \
    } while (0)
#define CHECK_INT(x, op, y) CHECK_PAIR(intmax_t, "%jd", x, op, y)
#define CHECK_UINT(x, op, y) CHECK_PAIR(uintmax_t, "%ju", x, op, y)
#define CHECK_FLOAT(type, x, op, y) CHECK_PAIR(type, "%.17g", x, op, y)
#define CHECK_MEM(x, op, y, n) ck_assert_msg(memcmp(x, y, n) op 0, "not so: %s " #op " %s", #x, #y)

#define ck_assert_int_eq(x, y) CHECK_INT(x, ==, y)
#define ck_assert_int_ne(x, y) CHECK_INT(x, !=, y)
#define ck_assert_int_lt(x, y) CHECK_INT(x, <, y)
#define ck_assert_int_le(x, y) CHECK_INT(x, <=, y)
#define ck_assert_int_gt(x, y) CHECK_INT(x, >, y)
#define ck_assert_int_ge(x, y) CHECK_INT(x, >=, y)
#define ck_assert_uint_eq(x, y) CHECK_UINT(x, ==, y)
#define ck_assert_uint_ne(x, y) CHECK_UINT(x, !=, y)
#define ck_assert_uint_lt(x, y) CHECK_UINT(x, <, y)
#define ck_assert_uint_le(x, y) CHECK_UINT(x, <=, y)
#define ck_assert_uint_gt(x, y) CHECK_UINT(x, >, y)
#define ck_assert_uint_ge(x, y) CHECK_UINT(x, >=, y)
#define ck_assert_float_eq(x, y) CHECK_FLOAT(float, x, ==, y)
#define ck_assert_double_lt(x, y) CHECK_FLOAT(double, x, <, y)
#define ck_assert_float_eq_tol(x, y, tol)                                                          \
    do {                                                                                           \
        const float check_gap = (x) - (y);                                                         \
        ck_assert_msg(check_gap <= (tol) && -check_gap <= (tol), "not so: %s is %s", #x, #y);      \
    } while (0)
#define ck_assert_ptr_eq(x, y) ck_assert_msg((x) == (y), "not so: %s == %s", #x, #y)
#define ck_assert_ptr_null(x) ck_assert_msg((x) == NULL, "not so: %s is NULL", #x)
#define ck_assert_ptr_nonnull(x) ck_assert_msg((x) != NULL, "not so: %s is not NULL", #x)
#define ck_assert_str_eq(x, y)                                                                     \
    do {                                                                                           \
        const char *check_x = (x), *check_y = (y);                                                 \
        ck_assert_msg(!strcmp(check_x, check_y), "not so: %s == %s: \"%s\", \"%s\"", #x, #y,       \
                      check_x, check_y);                                                           \
    } while (0)
#define ck_assert_mem_eq(x, y, n) CHECK_MEM(x, ==, y, n)
#define ck_assert_mem_ne(x, y, n) CHECK_MEM(x, !=, y, n)

#endif

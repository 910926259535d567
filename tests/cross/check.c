/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests of one suite, each in its own process, and prints TAP. */
#include "check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TESTS 128
#define MAX_CASES 16

struct test {
    const char *name;
    void (*run)(int i);
    int from, to;
};

struct tcase {
    const char *name;
    struct test test[MAX_TESTS];
    size_t n;
    void (*before)(void);
    void (*after)(void);
};

struct suite {
    const char *name;
    struct tcase *tcase[MAX_CASES];
    size_t n;
};

struct srunner {
    struct suite *suite;
    int done, failed;
};

static void *need(size_t size)
{
    void *block = calloc(1, size);

    if (!block)
        check_failed(__FILE__, __LINE__, "out of memory");
    return block;
}

_Noreturn void check_failed(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

Suite *suite_create(const char *name)
{
    Suite *suite = need(sizeof(*suite));

    suite->name = name;
    return suite;
}

void suite_add_tcase(Suite *suite, TCase *tc)
{
    if (suite->n == MAX_CASES)
        check_failed(__FILE__, __LINE__, "too many cases");
    suite->tcase[suite->n++] = tc;
}

TCase *tcase_create(const char *name)
{
    TCase *tc = need(sizeof(*tc));

    tc->name = name;
    return tc;
}

void tcase_set_timeout(TCase *tc, int seconds) { (void)tc, (void)seconds; }

void tcase_add_checked_fixture(TCase *tc, void (*before)(void), void (*after)(void))
{
    tc->before = before;
    tc->after = after;
}

void check_add(TCase *tc, const char *name, void (*test)(int i), int from, int to)
{
    if (tc->n == MAX_TESTS)
        check_failed(__FILE__, __LINE__, "too many tests");
    tc->test[tc->n++] = (struct test){name, test, from, to};
}

SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = need(sizeof(*runner));

    runner->suite = suite;
    return runner;
}

void srunner_set_tap(SRunner *runner, const char *file) { (void)runner, (void)file; }

/* In the child: no return. */
static _Noreturn void run_test(const struct tcase *tc, const struct test *test, int i)
{
    if (tc->before)
        tc->before();
    test->run(i);
    if (tc->after)
        tc->after();
    fflush(stdout);
    _exit(0);
}

static void run_one(SRunner *runner, const struct tcase *tc, const struct test *test, int i)
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (!child)
        run_test(tc, test, i);
    if (child < 0 || waitpid(child, &status, 0) != child)
        status = -1;
    runner->failed += status != 0;
    printf("%s %d - %s:%d\n", status ? "not ok" : "ok", ++runner->done, test->name, i);
    fflush(stdout);
}

static void run_tcase(SRunner *runner, const struct tcase *tc)
{
    for (size_t t = 0; t < tc->n; t++)
        for (int i = tc->test[t].from; i < tc->test[t].to; i++)
            run_one(runner, tc, &tc->test[t], i);
}

/* As there, the environment may choose one case by name. */
void srunner_run_all(SRunner *runner, enum print_output how)
{
    const char *only = getenv("CK_RUN_CASE");

    (void)how;
    for (size_t c = 0; c < runner->suite->n; c++)
        if (!only || !strcmp(only, runner->suite->tcase[c]->name))
            run_tcase(runner, runner->suite->tcase[c]);
    printf("1..%d\n", runner->done);
}

int srunner_ntests_failed(const SRunner *runner) { return runner->failed; }

void srunner_free(SRunner *runner)
{
    for (size_t c = 0; c < runner->suite->n; c++)
        free(runner->suite->tcase[c]);
    free(runner->suite);
    free(runner);
}

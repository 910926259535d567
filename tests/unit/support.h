/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share: a host that counts and refuses, scratch folders, seeded noise. */
#ifndef MBI_TESTS_SUPPORT_H
#define MBI_TESTS_SUPPORT_H

#include "base/host.h"
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>

/* ---- main() of a test program: prints TAP, gives the exit status ---- */

int test_main(Suite *suite);

/* ---- a host whose blocks are counted, and whose nth allocation can be refused ---- */

struct test_host {
    struct mbi_host host; /* pass &t.host to the library */
    atomic_size_t live;   /* blocks not freed */
    atomic_size_t bytes;  /* bytes in them */
    atomic_size_t peak;   /* most bytes so far */
    atomic_size_t calls;  /* allocations asked for since test_host_fail() */
    size_t fail_at;       /* refuse this call, counted from 1; 0: none */
    bool fail_from;       /* ... and every one after it */
};

/* Blocks have guards at both ends; freeing a damaged or foreign block stops the test. */
void test_host_init(struct test_host *t);

/* Refuse the nth allocation from now on (1 is the next); with `onwards`, all later ones too. */
void test_host_fail(struct test_host *t, size_t nth, bool onwards);

/* Fails the test if a block is alive. */
void test_host_check(struct test_host *t);

/*
 * Run `scenario` with the first allocation refused, then only the second, ... until it no longer
 * meets the refusal; then again with all allocations from the nth on refused. The scenario frees
 * all it made and returns the first status that was not OK; it must be E_NO_MEMORY whenever an
 * allocation was refused, and OK at the end. Returns how many allocations the scenario makes.
 */
size_t test_refuse_each(int32_t (*scenario)(const struct mbi_host *host, void *arg), void *arg);

/* ---- scratch folders ---- */

#define TEST_PATH 512

void test_dir_make(char dir[TEST_PATH]); /* a new empty folder */
void test_dir_remove(const char *dir);   /* with all files directly in it */
size_t test_dir_count(const char *dir);  /* number of entries */
void test_path(char out[TEST_PATH], const char *dir, const char *name);

/* Whole files, for tests that look at bytes. The block is malloc'd. */
uint8_t *test_file_read(size_t *size, const char *path);
void test_file_write(const char *path, const void *data, size_t n);

/* A file below tests/ by its path there, such as "golden/dyadic.txt", from any folder of work. */
FILE *test_data_open(const char *name);

/* ---- noise ---- */

/* The seed comes from MBI_TEST_SEED or the clock and is printed with the test's name. */
struct test_random {
    uint64_t state;
};

void test_random_init(struct test_random *r, const char *name);
uint64_t test_random_u64(struct test_random *r);
uint64_t test_random_below(struct test_random *r, uint64_t n);              /* 0 .. n-1, n > 0 */
int64_t test_random_between(struct test_random *r, int64_t lo, int64_t hi); /* both included */
void test_random_bytes(struct test_random *r, void *out, size_t n);

/*
 * An assertion for inner loops and for other threads: free while it holds, where those of check
 * report every success to the parent process.
 */
#define test_check(expr, ...)                                                                      \
    do {                                                                                           \
        if (!(expr))                                                                               \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

#define test_that(expr) test_check(expr, "not so: %s", #expr)

/* Bytes that must be equal; says where they first differ. */
void test_same_bytes(const void *got, const void *want, size_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share. */
#include "support.h"
#include "base/bytes.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* ---- host ---- */

#define GUARD 16
#define FILL 0xA5

/* A block is: size (8 bytes), guard, the caller's bytes, guard. */
#define HEAD 32

static void guard_check(const uint8_t *block, size_t size)
{
    for (size_t i = 0; i < GUARD; i++) {
        test_check(block[HEAD - GUARD + i] == FILL, "a write before a block of %zu", size);
        test_check(block[HEAD + size + i] == FILL, "a write past a block of %zu", size);
    }
}

static bool refused(struct test_host *t)
{
    const size_t call = atomic_fetch_add(&t->calls, 1) + 1;

    return t->fail_at && (call == t->fail_at || (t->fail_from && call > t->fail_at));
}

static void count(struct test_host *t, size_t size)
{
    const size_t now = atomic_fetch_add(&t->bytes, size) + size;
    size_t peak = atomic_load(&t->peak);

    while (now > peak && !atomic_compare_exchange_weak(&t->peak, &peak, now))
        continue;
    atomic_fetch_add(&t->live, 1);
}

static void release(struct test_host *t, uint8_t *block)
{
    const size_t size = (size_t)mbi_load64(block);

    guard_check(block, size);
    atomic_fetch_sub(&t->bytes, size);
    atomic_fetch_sub(&t->live, 1);
    memset(block, 0xDD, HEAD + size + GUARD); /* a use after this is seen */
    free(block);
}

/* A grown block always moves, so that a pointer kept across the call is stale. */
static void *alloc_counted(void *user, void *old, size_t size)
{
    struct test_host *t = user;
    uint8_t *block = old ? (uint8_t *)old - HEAD : NULL, *now;

    if (!size) {
        if (block)
            release(t, block);
        return NULL;
    }
    if (refused(t) || size > SIZE_MAX - HEAD - GUARD || !(now = malloc(HEAD + size + GUARD)))
        return NULL;
    memset(now, FILL, HEAD);
    mbi_store64(now, size);
    memset(now + HEAD, 0xCD, size);
    memset(now + HEAD + size, FILL, GUARD);
    count(t, size);
    if (block) {
        const size_t before = (size_t)mbi_load64(block);

        memcpy(now + HEAD, old, before < size ? before : size);
        release(t, block);
    }
    return now + HEAD;
}

void test_host_init(struct test_host *t)
{
    memset(t, 0, sizeof(*t));
    t->host.alloc = alloc_counted;
    t->host.alloc_user = t;
}

void test_host_fail(struct test_host *t, size_t nth, bool onwards)
{
    atomic_store(&t->calls, 0);
    t->fail_at = nth;
    t->fail_from = onwards;
}

void test_host_check(struct test_host *t)
{
    ck_assert_uint_eq(atomic_load(&t->live), 0);
    ck_assert_uint_eq(atomic_load(&t->bytes), 0);
}

static size_t refuse_each(int32_t (*scenario)(const struct mbi_host *host, void *arg), void *arg,
                          bool onwards)
{
    struct test_host t;

    for (size_t nth = 1;; nth++) {
        int32_t rc;
        bool met;

        test_host_init(&t);
        test_host_fail(&t, nth, onwards);
        rc = scenario(&t.host, arg);
        met = atomic_load(&t.calls) >= nth;
        ck_assert_msg(rc == (met ? MAMBAINT_E_NO_MEMORY : MAMBAINT_OK),
                      "allocation %zu refused%s: status %d", nth, onwards ? " and on" : "", rc);
        ck_assert_msg(!atomic_load(&t.live), "allocation %zu refused%s: %zu blocks left", nth,
                      onwards ? " and on" : "", atomic_load(&t.live));
        if (!met)
            return nth - 1;
    }
}

size_t test_refuse_each(int32_t (*scenario)(const struct mbi_host *host, void *arg), void *arg)
{
    refuse_each(scenario, arg, true);
    return refuse_each(scenario, arg, false);
}

/* ---- files ---- */

#define SIX_X                                                                                      \
    "XX"                                                                                           \
    "XX"                                                                                           \
    "XX" /* what mkdtemp() replaces */

void test_path(char out[TEST_PATH], const char *dir, const char *name)
{
    ck_assert_int_lt(snprintf(out, TEST_PATH, "%s/%s", dir, name), TEST_PATH);
}

void test_dir_make(char dir[TEST_PATH])
{
    const char *base = getenv("TMPDIR");

    test_path(dir, base && *base ? base : "/tmp", "mambaint-test-" SIX_X);
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static bool is_entry(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

size_t test_dir_count(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));)
        n += is_entry(e);
    closedir(d);
    return n;
}

void test_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    char path[TEST_PATH];

    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));)
        if (is_entry(e)) {
            test_path(path, dir, e->d_name);
            ck_assert_int_eq(unlink(path), 0);
        }
    closedir(d);
    ck_assert_int_eq(rmdir(dir), 0);
}

uint8_t *test_file_read(size_t *size, const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    long n;

    ck_assert_msg(f != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    ck_assert_int_ge(n = ftell(f), 0);
    rewind(f);
    ck_assert_ptr_nonnull(data = malloc((size_t)n + 1));
    ck_assert_uint_eq(fread(data, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    data[n] = 0;
    *size = (size_t)n;
    return data;
}

void test_file_write(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    ck_assert_msg(f != NULL, "cannot create %s", path);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

/* By the environment, by the folder this file was compiled from, or from the source folder. */
FILE *test_data_open(const char *name)
{
    const char *root = getenv("MBI_TEST_DIR"), *here = __FILE__, *slash = strrchr(here, '/');
    const char *place[3] = {root ? root : "tests", "tests", "."};
    char path[TEST_PATH];
    FILE *f = NULL;

    for (size_t i = 0; i < 3 && !f; i++) {
        test_path(path, place[i], name);
        f = fopen(path, "rb");
    }
    if (!f && slash) {
        snprintf(path, sizeof(path), "%.*s/../%s", (int)(slash - here), here, name);
        f = fopen(path, "rb");
    }
    ck_assert_msg(f != NULL, "cannot find tests/%s; set MBI_TEST_DIR to the folder tests", name);
    return f;
}

/* ---- noise: splitmix64 ---- */

void test_random_init(struct test_random *r, const char *name)
{
    const char *given = getenv("MBI_TEST_SEED");
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    r->state =
        given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    printf("# %s: MBI_TEST_SEED=%llu\n", name, (unsigned long long)r->state);
    fflush(stdout);
}

uint64_t test_random_u64(struct test_random *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t test_random_below(struct test_random *r, uint64_t n) { return test_random_u64(r) % n; }

int64_t test_random_between(struct test_random *r, int64_t lo, int64_t hi)
{
    const uint64_t span = (uint64_t)hi - (uint64_t)lo + 1; /* 0: all of them */
    const uint64_t step = span ? test_random_below(r, span) : test_random_u64(r);

    return (int64_t)((uint64_t)lo + step);
}

void test_random_bytes(struct test_random *r, void *out, size_t n)
{
    uint8_t *p = out;

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(test_random_u64(r) >> 56);
}

void test_same_bytes(const void *got, const void *want, size_t n)
{
    const uint8_t *g = got, *w = want;

    for (size_t i = 0; i < n; i++)
        test_check(g[i] == w[i], "byte %zu of %zu is %02x, not %02x", i, n, g[i], w[i]);
}

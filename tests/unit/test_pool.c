/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads: loops on them, forks, how many take part, how many are worth starting. */
#include "api/context.h"
#include "base/cores.h"
#include "base/intmath.h"
#include "base/team.h"
#include "support.h"
#include <mambaint.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#endif

/* A host on malloc with this many threads. */
static struct mbi_host pooled(uint32_t threads)
{
    struct mbi_host host;

    mbi_host_default(&host);
    test_that(mbi_pool_create(&host.pool, &host, threads, NULL) == MAMBAINT_OK);
    return host;
}

static void unpool(struct mbi_host *host)
{
    mbi_pool_free(host, host->pool);
    host->pool = NULL;
}

/* ---- loops ---- */

struct loop {
    const struct mbi_host *host;
    size_t n, grain;
    atomic_size_t parts, covered;
    atomic_uchar *seen;
    bool nested;
};

static void touch(void *arg, size_t begin, size_t end)
{
    struct loop *l = arg;

    test_that(begin < end && end <= l->n);
    test_that(begin % l->grain == 0);
    atomic_fetch_add(&l->parts, 1);
    atomic_fetch_add(&l->covered, end - begin);
    if (l->seen)
        for (size_t i = begin; i < end; i++)
            atomic_fetch_add(&l->seen[i], 1);
    if (l->nested) {
        struct loop inner = {.host = l->host, .n = 100, .grain = 3};

        mbi_parallel_for(l->host, inner.n, inner.grain, touch, &inner);
        test_that(atomic_load(&inner.covered) == 100);
        test_that(atomic_load(&inner.parts) <= 34);
    }
}

static void check_loop(const struct mbi_host *host, size_t n, size_t grain, bool nested)
{
    struct loop l = {.host = host, .n = n, .grain = grain, .nested = nested};

    ck_assert_ptr_nonnull(l.seen = calloc(n + 1, sizeof(*l.seen)));
    mbi_parallel_for(host, n, grain, touch, &l);
    test_that(atomic_load(&l.covered) == n);
    test_that(atomic_load(&l.parts) <= n / grain + (n % grain != 0));
    for (size_t i = 0; i < n; i++)
        test_that(atomic_load(&l.seen[i]) == 1);
    free(l.seen);
}

START_TEST(parallel_for_covers_everything_once)
{
    for (uint32_t threads = 0; threads <= 9; threads += 3) {
        struct test_host t;

        test_host_init(&t);
        ck_assert_int_eq(mbi_pool_create(&t.host.pool, &t.host, threads, NULL), MAMBAINT_OK);
        ck_assert_uint_eq(mbi_pool_threads(t.host.pool), threads ? threads : 1);
        ck_assert_int_eq(t.host.pool == NULL, threads <= 1);
        for (size_t n = 0; n < 70; n++)
            for (size_t grain = 1; grain < 40; grain += 5)
                check_loop(&t.host, n, grain, false);
        check_loop(&t.host, 100003, 64, false);
        check_loop(&t.host, 1000, 7, true);
        check_loop(&t.host, 10, SIZE_MAX, false);
        mbi_pool_free(&t.host, t.host.pool);
        test_host_check(&t);
    }
}
END_TEST

static void only_count(void *arg, size_t begin, size_t end)
{
    atomic_size_t *covered = arg;

    atomic_fetch_add(covered, end - begin);
}

static void count_loop(const struct mbi_host *host, size_t n, size_t grain)
{
    atomic_size_t covered = 0;

    mbi_parallel_for(host, n, grain, only_count, &covered);
    test_that(atomic_load(&covered) == n);
}

/* A range near the end of size_t must not overflow in the cutting. */
START_TEST(parallel_for_takes_huge_ranges)
{
    struct mbi_host host = pooled(5);

    count_loop(&host, SIZE_MAX, 1000);
    count_loop(&host, SIZE_MAX, 1);
    count_loop(&host, SIZE_MAX, SIZE_MAX / 2);
    unpool(&host);
}
END_TEST

/* Who ran which part, of parts that cannot all be done by one thread. */
struct dealt {
    atomic_uint arrived;
    uint32_t threads;
    pthread_t by[64];
};

static void meet(void *arg, size_t begin, size_t end)
{
    struct dealt *d = arg;

    test_that(end == begin + 1);
    d->by[begin] = pthread_self();
    atomic_fetch_add(&d->arrived, 1);
    while (atomic_load(&d->arrived) < d->threads)
        sched_yield();
}

/* As many parts as threads, each of which waits for all others: every thread has to come. */
START_TEST(every_thread_takes_part)
{
    for (uint32_t threads = 2; threads <= 64; threads += threads < 8 ? 1 : 28) {
        struct mbi_host host = pooled(threads);
        struct dealt d = {.threads = threads};

        mbi_parallel_for(&host, threads, 1, meet, &d);
        for (uint32_t i = 0; i < threads; i++)
            for (uint32_t k = 0; k < i; k++)
                ck_assert(!pthread_equal(d.by[i], d.by[k]));
        unpool(&host);
    }
}
END_TEST

/* Many short loops, with pauses in which the workers fall asleep. */
START_TEST(parallel_for_wakes_sleepers)
{
    struct mbi_host host = pooled(4);

    for (int i = 0; i < 20000; i++) {
        count_loop(&host, 64, 1);
        if (i % 200 == 0)
            usleep(200);
    }
    unpool(&host);
}
END_TEST

static void *run_loops(void *arg)
{
    for (int i = 0; i < 300; i++)
        check_loop(arg, 500, 3, i % 50 == 0);
    return NULL;
}

static void run_callers(struct mbi_host *host, size_t n, void *(*run)(void *))
{
    pthread_t caller[8];

    for (size_t i = 0; i < n; i++)
        test_that(!pthread_create(&caller[i], NULL, run, host));
    for (size_t i = 0; i < n; i++)
        test_that(!pthread_join(caller[i], NULL));
}

/* Several callers of one pool: the loops run one by one or on the caller, all complete. */
START_TEST(parallel_for_from_many_threads)
{
    struct mbi_host host = pooled(3);

    run_callers(&host, 4, run_loops);
    unpool(&host);
}
END_TEST

static void *run_random(void *arg)
{
    const struct mbi_host *host = arg;
    struct test_random r;

    test_random_init(&r, "parallel_for_survives_anything");
    r.state += (uint64_t)(uintptr_t)&r; /* callers differ; what they ask for does not matter */
    for (int i = 0; i < 400; i++) {
        const size_t n = (size_t)test_random_below(&r, test_random_below(&r, 2) ? 20 : 3000);

        check_loop(host, n, 1 + (size_t)test_random_below(&r, 40), test_random_below(&r, 8) == 0);
        if (test_random_below(&r, 16) == 0)
            usleep((useconds_t)test_random_below(&r, 150));
    }
    return NULL;
}

START_TEST(parallel_for_survives_anything)
{
    for (uint32_t threads = 2; threads <= 11; threads += 3) {
        struct mbi_host host = pooled(threads);

        run_callers(&host, 1 + threads % 3, run_random);
        unpool(&host);
    }
}
END_TEST

/* ---- the life of a pool ---- */

static int32_t pool_scenario(const struct mbi_host *host, void *arg)
{
    struct mbi_pool *pool;
    const int32_t rc = mbi_pool_create(&pool, host, 3, NULL);

    (void)arg;
    mbi_pool_free(host, pool);
    return rc;
}

START_TEST(pool_survives_refused_memory)
{
    ck_assert_uint_eq(test_refuse_each(pool_scenario, NULL), 1);
}
END_TEST

START_TEST(pool_takes_more_threads_than_it_can_use)
{
    struct mbi_host host = pooled(100);

    ck_assert_uint_eq(mbi_pool_threads(host.pool), 64);
    check_loop(&host, 6400, 10, false);
    unpool(&host);
}
END_TEST

/* Workers that have not begun, that look for work, and that sleep. */
START_TEST(pool_stops_at_any_time)
{
    for (int i = 0; i < 60; i++) {
        struct mbi_host host = pooled(5);

        if (i % 3)
            count_loop(&host, 1000, 1);
        if (i % 3 == 2)
            usleep((useconds_t)i * 100);
        unpool(&host);
    }
}
END_TEST

START_TEST(pools_are_independent)
{
    enum { N = 40 };
    struct mbi_host host[N];

    for (int i = 0; i < N; i++)
        host[i] = pooled(2 + (uint32_t)i % 3);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < N; i++)
            count_loop(&host[i], 500, 1);
    for (int i = 0; i < N; i++) { /* in another order than they were made */
        unpool(&host[i * 7 % N]);
        count_loop(&host[(i + 1) * 7 % N], 500, 1);
    }
}
END_TEST

/* ---- children ---- */

/* Runs `child` in a forked process, which has to end with status 0 within a minute. */
static void in_child(void (*child)(void *arg), void *arg)
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    test_that(pid >= 0);
    if (!pid) {
        alarm(60);
        child(arg);
        _exit(0);
    }
    test_that(waitpid(pid, &status, 0) == pid);
    test_check(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended with status %x", status);
}

static void die_unless(bool holds, int status)
{
    if (!holds)
        _exit(status);
}

static void plain_loop(const struct mbi_host *host, size_t n)
{
    atomic_size_t covered = 0;

    mbi_parallel_for(host, n, 1, only_count, &covered);
    die_unless(atomic_load(&covered) == n, 10);
}

/* Loops run on the only thread, the pool goes without waiting, and a new one has threads again. */
static void use_in_child(void *arg)
{
    struct mbi_host *host = arg;

    for (int i = 0; i < 100; i++)
        plain_loop(host, 1000);
    mbi_pool_free(host, host->pool);
#if !defined(THREAD_SANITIZED) /* it allows no thread after a fork */
    die_unless(mbi_pool_create(&host->pool, host, 3, NULL) == MAMBAINT_OK, 11);
    for (int i = 0; i < 100; i++)
        plain_loop(host, 1000);
    mbi_pool_free(host, host->pool);
#endif
}

static void fork_and_go_on(struct mbi_host *host)
{
    in_child(use_in_child, host);
    for (int i = 0; i < 100; i++)
        count_loop(host, 1000, 1);
}

/* Forked while the workers sleep, and while they look for work. */
START_TEST(a_forked_child_works_alone)
{
    struct mbi_host host = pooled(3);

    usleep(5000);
    fork_and_go_on(&host);
    for (int i = 0; i < 30; i++) {
        count_loop(&host, 1000, 1);
        fork_and_go_on(&host);
    }
    unpool(&host);
}
END_TEST

struct looper {
    struct mbi_host host;
    atomic_bool stop;
};

static void *loop_until_told(void *arg)
{
    struct looper *l = arg;

    while (!atomic_load(&l->stop))
        plain_loop(&l->host, 1000);
    return NULL;
}

/* Forked while another thread is in the middle of a loop, which the child never ends. */
START_TEST(a_child_does_not_wait_for_the_loops_of_its_parent)
{
    struct looper l = {.host = pooled(3)};
    pthread_t looping;

    ck_assert_int_eq(pthread_create(&looping, NULL, loop_until_told, &l), 0);
    for (int i = 0; i < 50; i++) {
        usleep(500);
        in_child(use_in_child, &l.host);
    }
    atomic_store(&l.stop, true);
    pthread_join(looping, NULL);
    unpool(&l.host);
}
END_TEST

#if defined(__linux__)

/* From here on, the first core of those that this process may use. */
static void use_one_core(void)
{
    cpu_set_t all, one;

    CPU_ZERO(&one);
    die_unless(!sched_getaffinity(0, sizeof(all), &all), 20);
    for (size_t i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    die_unless(!sched_setaffinity(0, sizeof(one), &one), 21);
}

/* Eight threads on one core: slow, but every loop ends. */
static void crowd(void *arg)
{
    struct mbi_host *host = arg;

    use_one_core();
    die_unless(mbi_pool_create(&host->pool, host, 8, NULL) == MAMBAINT_OK, 22);
    for (int i = 0; i < 3000; i++)
        plain_loop(host, 200);
    mbi_pool_free(host, host->pool);
}

START_TEST(more_threads_than_cores_finish)
{
    struct mbi_host host;

    mbi_host_default(&host);
    in_child(crowd, &host);
}
END_TEST

/* A context starts no thread that would have to share a core. */
static void ask_on_one_core(void *arg)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx;

    (void)arg;
    use_one_core();
    die_unless(mbi_usable_cores() == 1, 30);
    setup.threads = 4;
    die_unless(mambaint_context_create(&ctx, &setup, NULL) == MAMBAINT_OK, 31);
    die_unless(mbi_pool_threads(ctx->host.pool) == 1, 32);
    mambaint_context_unref(ctx);
}

START_TEST(contexts_obey_affinity)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    mambaint_context *ctx;

    in_child(ask_on_one_core, NULL);
    setup.threads = 2;
    ck_assert_int_eq(mambaint_context_create(&ctx, &setup, NULL), MAMBAINT_OK);
    ck_assert_uint_eq(mbi_pool_threads(ctx->host.pool), mbi_min_size(2, mbi_usable_cores()));
    mambaint_context_unref(ctx);
}
END_TEST
#endif

#if !defined(SANITIZED)

/* No room for another stack: the sentence says which thread, and those started are gone. */
static void start_without_memory(void *arg)
{
    const struct rlimit small = {.rlim_cur = 100 << 20, .rlim_max = RLIM_INFINITY};
    struct mbi_host *host = arg;
    mambaint_error err;

    setrlimit(RLIMIT_AS, &small);
    if (malloc(200 << 20)) /* an emulator may not limit memory: nothing to be seen */
        return;
    die_unless(mbi_pool_create(&host->pool, host, 64, &err) == MAMBAINT_E_UNSUPPORTED, 1);
    die_unless(strstr(err.message, "of 64") && !host->pool, 2);
}

START_TEST(pool_without_threads_is_an_error)
{
    struct mbi_host host;

    mbi_host_default(&host);
    in_child(start_without_memory, &host);
}
END_TEST
#endif

/* ---- how many take part ---- */

#define US ((uint64_t)1000)
#define MS (1000 * US)
#define SECOND (1000 * MS)

/*
 * A machine of as many cores as threads and some other processes that keep cores busy. When all
 * threads work, each `slice` one of them loses its core for as long, in the middle of a loop.
 */
struct machine {
    uint32_t cores, others;
    uint64_t slice;
    uint64_t now, worked, next_loss; /* worked: what one thread would have needed */
    uint64_t at_size[65];            /* time spent with so many threads */
};

/* One loop that takes one thread `alone`, on threads that cost 2 us to call. */
static void simulate_loop(struct machine *m, struct mbi_team *t, uint64_t alone)
{
    const uint32_t size = t->active;
    const uint64_t even = alone / size;
    uint64_t wall = alone;

    test_that(size >= 1 && size <= t->threads);
    if (size > 1) {
        wall = even + 2 * US;
        if (size + m->others > m->cores && m->now + wall > m->next_loss) {
            wall += m->slice;
            m->next_loss = m->now + wall + m->slice;
        }
    }
    mbi_team_note(t, size, wall, even);
    m->now += wall;
    m->worked += alone;
    m->at_size[size] += wall;
}

static void simulate(struct machine *m, struct mbi_team *t, uint64_t duration)
{
    const uint64_t end = m->now + duration;

    memset(m->at_size, 0, sizeof(m->at_size));
    m->worked = 0;
    m->next_loss = m->now;
    while (m->now < end) {
        simulate_loop(m, t, 60 * US);
        m->now += 2 * US;
        m->worked += 2 * US;
    }
}

/* The time spent with fewer than `size` threads. */
static uint64_t below(const struct machine *m, uint32_t size)
{
    uint64_t sum = 0;

    for (uint32_t i = 1; i < size; i++)
        sum += m->at_size[i];
    return sum;
}

START_TEST(a_quiet_machine_has_all_threads)
{
    for (uint32_t threads = 2; threads <= 8; threads++) {
        struct machine m = {.cores = threads};
        struct mbi_team t;

        mbi_team_init(&t, threads);
        simulate(&m, &t, SECOND);
        ck_assert_uint_eq(below(&m, threads), 0);
        ck_assert_uint_ge(10 * m.worked, 16 * SECOND);
    }
}
END_TEST

/* The promise: beside busy processes, two threads lose at most a few hundredths against one. */
START_TEST(a_busy_machine_costs_next_to_nothing)
{
    for (uint64_t slice = 1 * MS; slice <= 8 * MS; slice *= 2) {
        struct machine m = {.cores = 2, .others = 1, .slice = slice};
        struct mbi_team t;

        mbi_team_init(&t, 2);
        simulate(&m, &t, SECOND);
        ck_assert_uint_ge(100 * m.worked, 96 * SECOND);
        simulate(&m, &t, 10 * SECOND);
        ck_assert_uint_ge(1000 * m.worked, 992 * 10 * SECOND);
        m.others = 0; /* and it comes back when they go */
        simulate(&m, &t, 2 * SECOND);
        simulate(&m, &t, SECOND);
        ck_assert_uint_eq(below(&m, 2), 0);
    }
}
END_TEST

/* On a machine of many cores, one busy process costs about one thread, not all. */
START_TEST(one_busy_core_costs_one_thread)
{
    struct machine m = {.cores = 8, .others = 1, .slice = 3 * MS};
    struct mbi_team t;

    mbi_team_init(&t, 8);
    simulate(&m, &t, 3 * SECOND);
    ck_assert_uint_le(below(&m, 6), 3 * SECOND / 20);
    simulate(&m, &t, 3 * SECOND);
    ck_assert_uint_le(below(&m, 7) + m.at_size[8], 3 * SECOND / 50);
    m.others = 8; /* as many as cores: nothing is left to share */
    simulate(&m, &t, 5 * SECOND);
    ck_assert_uint_ge(100 * m.worked, 95 * 5 * SECOND);
    m.others = 0;
    simulate(&m, &t, 5 * SECOND);
    simulate(&m, &t, SECOND);
    ck_assert_uint_eq(below(&m, 8), 0);
}
END_TEST

/* A disturbance now and then must not keep the threads away for long. */
START_TEST(a_passing_disturbance_is_forgotten)
{
    struct machine m = {.cores = 2, .slice = 3 * MS};
    struct mbi_team t;
    uint64_t alone = 0;

    mbi_team_init(&t, 2);
    for (int i = 0; i < 50; i++) {
        m.others = 1;
        simulate(&m, &t, 3 * MS);
        alone += m.at_size[1];
        m.others = 0;
        simulate(&m, &t, 200 * MS);
        alone += m.at_size[1];
    }
    ck_assert_uint_le(alone, 50 * 20 * MS);
}
END_TEST

/* Loops so short that calling a second thread takes longer than it saves. */
START_TEST(threads_that_do_not_help_are_not_called)
{
    struct machine m = {.cores = 2};
    struct mbi_team t;
    uint64_t all;

    mbi_team_init(&t, 2);
    for (int i = 0; i < 1000000; i++)
        simulate_loop(&m, &t, 3 * US);
    all = m.at_size[1] + m.at_size[2];
    ck_assert_uint_ge(m.at_size[1], all / 10 * 9);
    ck_assert_uint_ge(m.worked, all / 100 * 98);
}
END_TEST

/* A machine that slept in a loop: its hour is not held against the threads for long. */
START_TEST(an_hour_lost_is_not_an_hour_alone)
{
    struct machine m = {.cores = 2};
    struct mbi_team t;

    mbi_team_init(&t, 2);
    mbi_team_note(&t, 2, 3600 * SECOND, 30 * US);
    ck_assert_uint_eq(t.active, 1);
    mbi_team_note(&t, 1, UINT64_MAX, 0); /* whatever a clock may say */
    simulate(&m, &t, 2 * SECOND);
    ck_assert_uint_eq(t.active, 2);
    mbi_team_note(&t, 2, UINT64_MAX, UINT64_MAX);
    simulate(&m, &t, 2 * SECOND);
    ck_assert_uint_eq(t.active, 2);
}
END_TEST

/* ---- how many are worth starting ---- */

/* A file below a scratch folder, with the folders on the way. */
static void put(const char *root, const char *path, const char *text)
{
    char full[2 * TEST_PATH];

    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(full, 0777);
        *p = '/';
    }
    test_file_write(full, text, strlen(text));
}

static void drop(const char *root)
{
    char command[2 * TEST_PATH];

    snprintf(command, sizeof(command), "rm -r '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

struct limit_case {
    const char *cgroup;     /* text of /proc/self/cgroup, NULL: no such file */
    const char *file[3][2]; /* path below /sys/fs/cgroup/, text */
    uint32_t cores;
};

#define NONE UINT32_MAX

static const struct limit_case limits[] = {
    {NULL, {{"cpu.max", "100000 100000\n"}}, NONE},
    {"0::/\n", {{NULL}}, NONE},
    /* version 2 */
    {"0::/\n", {{"cpu.max", "max 100000\n"}}, NONE},
    {"0::/\n", {{"cpu.max", "400000 100000\n"}}, 4},
    {"0::/a/b.slice\n", {{"a/b.slice/cpu.max", "150000 100000\n"}}, 2},
    {"0::/a/b.slice\n", {{"a/b.slice/cpu.max", "149999 100000\n"}}, 1},
    {"0::/a/b.slice\n", {{"a/b.slice/cpu.max", "1000 100000\n"}}, 1},
    {"0::/a/b\n", {{"a/b/cpu.max", "300000 100000"}, {"a/cpu.max", "200000 100000"}}, 2},
    {"0::/a/b\n",
     {{"a/b/cpu.max", "max 100000"}, {"a/cpu.max", "max 100000"}, {"cpu.max", "50000 10000"}},
     5},
    {"0::/a\n", {{"ab/cpu.max", "100000 100000"}}, NONE}, /* another group */
    {"0::/../other\n", {{"cpu.max", "600000 100000"}}, 6},
    /* version 1 */
    {"3:cpuset:/\n2:cpu,cpuacct:/x\n1:cpu2:/\n",
     {{"cpu/x/cpu.cfs_quota_us", "250000\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
     3},
    {"4:cpu:/x\n",
     {{"cpu/x/cpu.cfs_quota_us", "-1\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
     NONE},
    {"4:cpuacct,cpu:/docker/1234\n", /* the path is the host's, the mount the container's */
     {{"cpu,cpuacct/cpu.cfs_quota_us", "200000\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
     2},
    {"4:cpuacct:/x\n",
     {{"cpu/x/cpu.cfs_quota_us", "100000\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
     NONE},
    {"4:cpu:/x\n", {{"cpu/x/cpu.cfs_quota_us", "100000\n"}}, NONE}, /* half of it */
    /* both, and nonsense */
    {"1:cpu:/\n0::/\n",
     {{"unified/cpu.max", "700000 100000"},
      {"cpu/cpu.cfs_quota_us", "800000"},
      {"cpu/cpu.cfs_period_us", "100000"}},
     7},
    {"\n:\n::\n0::\n0::/", {{"cpu.max", "rubbish"}}, NONE},
    {"0::/\n", {{"cpu.max", "100000 0"}}, NONE},
    {"0::/\n", {{"cpu.max", "-5 100000"}}, NONE},
    {"0::/\n", {{"cpu.max", "9223372036854775807 1"}}, NONE},
    {"0::/\n", {{"cpu.max", "99999999999999999999999 1"}}, NONE},
};

START_TEST(control_groups_limit_the_cores)
{
    for (size_t i = 0; i < MBI_COUNT(limits); i++) {
        char root[TEST_PATH], path[TEST_PATH];

        test_dir_make(root);
        if (limits[i].cgroup)
            put(root, "/proc/self/cgroup", limits[i].cgroup);
        for (int k = 0; k < 3 && limits[i].file[k][0]; k++) {
            snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", limits[i].file[k][0]);
            put(root, path, limits[i].file[k][1]);
        }
        ck_assert_msg(mbi_cgroup_cores(root) == limits[i].cores, "case %zu: %u instead of %u", i,
                      mbi_cgroup_cores(root), limits[i].cores);
        drop(root);
    }
}
END_TEST

START_TEST(some_core_is_usable)
{
    const long all = sysconf(_SC_NPROCESSORS_CONF);

    ck_assert_uint_ge(mbi_usable_cores(), 1);
    if (all > 0)
        ck_assert_uint_le(mbi_usable_cores(), (size_t)all);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, parallel_for_covers_everything_once);
    tcase_add_test(t, parallel_for_takes_huge_ranges);
    tcase_add_test(t, every_thread_takes_part);
    tcase_add_test(t, parallel_for_wakes_sleepers);
    tcase_add_test(t, parallel_for_from_many_threads);
    tcase_add_test(t, parallel_for_survives_anything);
    tcase_add_test(t, pool_survives_refused_memory);
    tcase_add_test(t, pool_takes_more_threads_than_it_can_use);
    tcase_add_test(t, pool_stops_at_any_time);
    tcase_add_test(t, pools_are_independent);
    tcase_add_test(t, a_forked_child_works_alone);
    tcase_add_test(t, a_child_does_not_wait_for_the_loops_of_its_parent);
#if defined(__linux__)
    tcase_add_test(t, more_threads_than_cores_finish);
    tcase_add_test(t, contexts_obey_affinity);
#endif
#if !defined(SANITIZED)
    tcase_add_test(t, pool_without_threads_is_an_error);
#endif
    tcase_add_test(t, a_quiet_machine_has_all_threads);
    tcase_add_test(t, a_busy_machine_costs_next_to_nothing);
    tcase_add_test(t, one_busy_core_costs_one_thread);
    tcase_add_test(t, a_passing_disturbance_is_forgotten);
    tcase_add_test(t, threads_that_do_not_help_are_not_called);
    tcase_add_test(t, an_hour_lost_is_not_an_hour_alone);
    tcase_add_test(t, control_groups_limit_the_cores);
    tcase_add_test(t, some_core_is_usable);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's peaks: the loops of an instruction set on all threads, timed. */
#include "cpu/measure.h"
#include "base/intmath.h"
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)1 << 30) /* far beyond every cache */
#define READ_BYTES_LEAST ((size_t)1 << 26)
#define CACHE_DEFAULT ((size_t)256 << 10) /* a second-level cache where the system tells none */
#define SECOND UINT64_C(1000000000)       /* all times are in nanoseconds */
#define TRIAL_LEAST (SECOND / 50)         /* one shorter than this is no measurement */
#define TRIALS 9
#define TIME_MOST (SECOND / 2)

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t)) /* not every system tells a thread's time */
        clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

uint64_t mbi_cpu_now(void) { return nanoseconds(CLOCK_MONOTONIC); }

/* ---- trials ---- */

/* Every thread calls one loop on its own part of the memory. */
struct trial {
    const struct mbi_cpu_peaks *peaks;
    uint32_t what;
    char *data;
    size_t bytes; /* of a thread's part */
    size_t calls;
    _Atomic uint64_t sink;    /* what the loops return: somebody has to read it */
    _Atomic uint64_t longest; /* processor time of a part */
};

/* Written by the thread that will read it, so that it lies close; never zero, because pages of
 * zeros may be one page. */
static void fill_part(void *arg, size_t begin, size_t end)
{
    const struct trial *t = arg;

    memset(t->data + begin * t->bytes, 0x5a, (end - begin) * t->bytes);
}

static uint64_t call_loop(const struct trial *t, const char *data)
{
    switch (t->what) {
    case MBI_MEASURE_READ:
        return t->peaks->read(data, t->bytes);
    case MBI_MEASURE_MATVEC:
        return t->peaks->matvec(data, t->bytes);
    default:
        return t->peaks->matmul(data, 1024);
    }
}

/* Bytes or multiply-adds of one call. */
static uint64_t work_of(const struct trial *t)
{
    return t->what == MBI_MEASURE_MATMUL ? 1024 * (uint64_t)t->peaks->matmul_macs : t->bytes;
}

static void run_part(void *arg, size_t begin, size_t end)
{
    struct trial *t = arg;

    for (size_t i = begin; i < end; i++) {
        const uint64_t start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        uint64_t sum = 0, took, longest = atomic_load(&t->longest);

        for (size_t c = 0; c < t->calls; c++)
            sum += call_loop(t, t->data + i * t->bytes);
        took = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start;
        atomic_fetch_add(&t->sink, sum);
        while (took > longest && !atomic_compare_exchange_weak(&t->longest, &longest, took))
            continue;
    }
}

/*
 * In processor time, which other programs do not lengthen. But threads that wait for each other's
 * memory have to run at the same time, so then it is the clock's.
 */
static uint64_t time_once(struct trial *t, const struct mbi_host *host, size_t threads)
{
    const uint64_t begin = mbi_cpu_now();
    uint64_t wall;

    atomic_store(&t->longest, 0);
    mbi_parallel_for(host, threads, 1, run_part, t);
    wall = mbi_cpu_now() - begin + 1;
    return t->what == MBI_MEASURE_READ && threads > 1 ? wall : atomic_load(&t->longest) + 1;
}

/* The shortest of several trials: what disturbs one can only make it longer. */
static uint64_t time_best(struct trial *t, const struct mbi_host *host, size_t threads)
{
    const uint64_t begin = mbi_cpu_now();
    uint64_t best;

    for (t->calls = 1; (best = time_once(t, host, threads)) < TRIAL_LEAST; t->calls *= 2)
        continue;
    for (int i = 1; i < TRIALS && (i < 3 || mbi_cpu_now() - begin < TIME_MOST); i++) {
        const uint64_t ns = time_once(t, host, threads);

        best = ns < best ? ns : best;
    }
    return best;
}

/* work * SECOND / ns. The work of a trial and the remainder times SECOND fit: ns < 2^34 unless a
 * trial takes 17 seconds, and then the rate is a little too low. */
static uint64_t per_second(uint64_t work, uint64_t ns)
{
    return work / ns * SECOND + (ns >> 34 ? 0 : work % ns * SECOND / ns);
}

/* ---- memory ---- */

/* A number the system tells, or 0. */
static size_t system_number(int name)
{
    const long n = name < 0 ? 0 : sysconf(name);

    return n > 0 ? (size_t)n : 0;
}

/* 1 GiB; on a small machine a quarter of its memory. */
static size_t read_size(void)
{
    const size_t quarter = system_number(_SC_PHYS_PAGES) / 4;
    size_t bytes;

    if (!quarter || !mbi_mul_size(&bytes, quarter, system_number(_SC_PAGESIZE)))
        return READ_BYTES;
    return mbi_max_size(READ_BYTES_LEAST, mbi_min_size(bytes, READ_BYTES));
}

/* Three quarters of the second-level cache. */
static size_t matrix_size(void)
{
#ifdef _SC_LEVEL2_CACHE_SIZE
    const size_t cache = system_number(_SC_LEVEL2_CACHE_SIZE);
#else
    const size_t cache = 0;
#endif

    return mbi_max_size(cache ? cache : CACHE_DEFAULT, CACHE_DEFAULT) / 4 * 3;
}

/* Bytes of a thread's part, whole steps. */
static size_t part_size(uint32_t what, size_t threads)
{
    const size_t bytes = what == MBI_MEASURE_READ     ? read_size() / threads
                         : what == MBI_MEASURE_MATVEC ? matrix_size()
                                                      : MBI_PEAK_OPERANDS;

    return mbi_max_size(bytes / MBI_PEAK_STEP, 1) * MBI_PEAK_STEP;
}

int32_t mbi_cpu_measure(uint64_t *value, const struct mbi_host *host, uint32_t what,
                        const struct mbi_cpu_peaks *peaks, mambaint_error *err)
{
    const size_t threads = mbi_pool_threads(host->pool);
    struct trial t = {.peaks = peaks, .what = what, .bytes = part_size(what, threads)};
    uint64_t ns;

    if (what >= MBI_MEASURE_END)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "no such measurement");
    while (!(t.data = mbi_alloc_huge(host, threads * t.bytes))) {
        if (what != MBI_MEASURE_READ || threads * t.bytes <= READ_BYTES_LEAST)
            return mbi_fail_memory(err, "measuring the machine");
        t.bytes = t.bytes / 2 / MBI_PEAK_STEP * MBI_PEAK_STEP;
    }
    mbi_parallel_for(host, threads, 1, fill_part, &t);
    ns = time_best(&t, host, threads);
    mbi_free_aligned(host, t.data);
    *value = per_second(work_of(&t) * t.calls, ns);
    if (what == MBI_MEASURE_READ)
        *value *= threads;
    return MAMBAINT_OK;
}

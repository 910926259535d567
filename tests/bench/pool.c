/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker threads are worth on this machine: loops of several lengths on one thread and on
 * more, quiet and beside a process that keeps one core busy. Figures for people, no check.
 * Usage: pool [THREADS [PATIENCE]]
 *   PATIENCE  seconds to wait, for each figure, until no other process uses the machine
 */
#include "base/host.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPEATS 5
#define LOOPS 75     /* of a decode step */
#define BETWEEN_US 2 /* what a step does alone between two loops */
#define SECONDS_EACH 0.3
#define QUIET 0.05 /* cores that others may use */

static double clock_of(clockid_t id)
{
    struct timespec t;

    return clock_gettime(id, &t) ? 0 : (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- work that takes time and no memory ---- */

/* One unit is some tens of nanoseconds of arithmetic. */
static void units(void *arg, size_t begin, size_t end)
{
    static const uint64_t mul = 6364136223846793005u;
    atomic_uint *sink = arg;
    uint64_t x = begin;

    for (size_t i = begin; i < end; i++)
        for (int k = 0; k < 16; k++)
            x = x * mul + 1442695040888963407u;
    atomic_store_explicit(sink, (unsigned)x, memory_order_relaxed);
}

static double units_per_us(void)
{
    double best = 0;
    atomic_uint sink = 0;

    for (size_t i = 0; i < 50; i++) {
        const double begin = clock_of(CLOCK_MONOTONIC);
        double rate;

        units(&sink, i, i + 20000);
        rate = 20000 / (1e6 * (clock_of(CLOCK_MONOTONIC) - begin));
        best = rate > best ? rate : best;
    }
    return best;
}

static void nothing(void *arg, size_t begin, size_t end) { (void)arg, (void)begin, (void)end; }

/* ---- the others on this machine ---- */

/* A process that keeps a core busy until it is killed. */
static pid_t start_busy(void)
{
    const pid_t child = fork();

    if (child)
        return child;
    for (volatile unsigned i = 0;; i++)
        continue;
}

static void stop_busy(pid_t busy)
{
    kill(busy, SIGKILL);
    waitpid(busy, NULL, 0);
}

/* Seconds of processor time that all processes but ours have used; 0 where nobody tells. */
static double others_seconds(pid_t busy)
{
    unsigned long long t[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *f = fopen("/proc/stat", "r");
    clockid_t id;
    double all = 0;

    if (!f)
        return 0;
    if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) == 8)
        all = (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK);
    fclose(f);
    all -= clock_of(CLOCK_PROCESS_CPUTIME_ID);
    return busy && !clock_getcpuclockid(busy, &id) ? all - clock_of(id) : all;
}

/* Waits until the others have done next to nothing for a while. */
static void wait_for_quiet(double *patience)
{
    while (*patience > 0) {
        const struct timespec nap = {0, 250000000};
        const double before = others_seconds(0), begin = clock_of(CLOCK_MONOTONIC);

        nanosleep(&nap, NULL);
        *patience -= clock_of(CLOCK_MONOTONIC) - begin;
        if (others_seconds(0) - before <= QUIET * (clock_of(CLOCK_MONOTONIC) - begin))
            return;
    }
}

/* ---- measuring ---- */

struct job {
    const struct mbi_host *host[2];
    size_t units, between; /* of a loop, and between two; 0: loops of nothing */
    bool beside;           /* a busy process */
};

struct result {
    double median[2];
    double others; /* the most that other processes took in a repeat, in cores */
};

static void step(const struct mbi_host *host, const struct job *job)
{
    atomic_uint sink = 0;

    for (size_t i = 0; i < LOOPS; i++) {
        if (!job->units) {
            mbi_parallel_for(host, 1000, 1, nothing, NULL);
            continue;
        }
        units(&sink, i, i + job->between);
        mbi_parallel_for(host, job->units, 1, units, &sink);
    }
}

/* Seconds of a step, over at least SECONDS_EACH. */
static double time_steps(const struct mbi_host *host, const struct job *job)
{
    const double begin = clock_of(CLOCK_MONOTONIC);
    double now;
    long n = 0;

    do {
        step(host, job);
        n++;
    } while ((now = clock_of(CLOCK_MONOTONIC)) - begin < SECONDS_EACH);
    return (now - begin) / (double)n;
}

/* Both hosts one after the other, so that the weather is the same; returns what others used. */
static double time_pair(double t[2], const struct job *job)
{
    const pid_t busy = job->beside ? start_busy() : 0;
    const double before = others_seconds(busy), begin = clock_of(CLOCK_MONOTONIC);
    double others;

    for (int k = 0; k < 2; k++)
        t[k] = time_steps(job->host[k], job);
    others = (others_seconds(busy) - before) / (clock_of(CLOCK_MONOTONIC) - begin);
    if (busy)
        stop_busy(busy);
    return others;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct result measure(const struct job *job, double patience)
{
    double t[2][REPEATS], pair[2];
    struct result r = {{0}, 0};

    for (int i = 0; i < REPEATS;) {
        double others;

        wait_for_quiet(&patience);
        others = time_pair(pair, job);
        if (others > QUIET && patience > 0)
            continue;
        r.others = others > r.others ? others : r.others;
        t[0][i] = pair[0];
        t[1][i++] = pair[1];
    }
    for (int k = 0; k < 2; k++) {
        qsort(t[k], REPEATS, sizeof(t[k][0]), compare);
        r.median[k] = t[k][REPEATS / 2];
    }
    return r;
}

/* A new pool for each kind of loop, so that none is judged by the others. */
static int table(struct job *job, uint32_t threads, double patience)
{
    static const double us[] = {0, 10, 30, 100, 1000};
    const double rate = units_per_us();
    struct mbi_host alone, pooled;

    mbi_host_default(&alone);
    mbi_host_default(&pooled);
    job->host[0] = &alone;
    job->host[1] = &pooled;
    job->between = (size_t)(BETWEEN_US * rate);
    for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        mambaint_error err;
        struct result r;

        if (mbi_pool_create(&pooled.pool, &pooled, threads, &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        job->units = (size_t)(us[i] * rate);
        r = measure(job, patience);
        printf("%8.0f %14.2f %14.2f %8.2f %10.2f\n", us[i], 1e6 * r.median[0] / LOOPS,
               1e6 * r.median[1] / LOOPS, r.median[0] / r.median[1], r.others);
        fflush(stdout);
        mbi_pool_free(&pooled, pooled.pool);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const uint32_t threads = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2;
    const double patience = argc > 2 ? strtod(argv[2], NULL) : 5;
    struct job job = {.beside = false};

    printf("steps of %d loops, %d us between two; microseconds for a loop, medians of %d\n\n"
           " loop us       1 thread %6u threads     gain     others\nquiet\n",
           LOOPS, BETWEEN_US, REPEATS, threads);
    if (table(&job, threads, patience))
        return 1;
    printf("beside a busy process\n");
    job.beside = true;
    return table(&job, threads, patience);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark programs share: clocks and medians. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <time.h>

#define MAX_ROUNDS 101u

static inline double clock_seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of all threads of the process: other programs do not count. */
static inline double cpu_seconds(void) { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }
static inline double wall_seconds(void) { return clock_seconds(CLOCK_MONOTONIC); }

/* Sorts them. */
static inline double median(double *time, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k > 0 && time[k - 1] > time[k]; k--) {
            const double swap = time[k];

            time[k] = time[k - 1];
            time[k - 1] = swap;
        }
    return time[n / 2];
}

#endif

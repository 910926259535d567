/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the sampler on this machine: figures for people, no check. */
#include "base/intmath.h"
#include "base/philox.h"
#include "bench.h"
#include "sample/sampler.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 9u
#define CALLS 50u
#define RECENT 64u
#define NATS(x) ((int32_t)((x)*4096))

static const char usage[] = "usage: sampler [V ...]\n"
                            "Nanoseconds to choose a token of V (50280), by setting and logits.\n";

struct setting {
    const char *name;
    struct mbi_sampler set;
};

/* clang-format off */
static const struct setting settings[] = {
    {"greedy",                         {.top_p = MBI_TOP_P_OFF}},
    {"temperature 1",                  {.temperature = 256, .top_p = MBI_TOP_P_OFF}},
    {"default: T 0.8, top-p 0.95",     {.temperature = 205, .top_p = 62259}},
    {"T 1, top-k 40",                  {.temperature = 256, .top_k = 40, .top_p = MBI_TOP_P_OFF}},
    {"T 1, top-k 1000",                {.temperature = 256, .top_k = 1000, .top_p = MBI_TOP_P_OFF}},
    {"T 1, min-p 0.05",                {.temperature = 256, .top_p = MBI_TOP_P_OFF, .min_p = 3277}},
    {"T 2, top-p 0.99",                {.temperature = 512, .top_p = 64881}},
    {"all",                            {.temperature = 205, .top_k = 100, .top_p = 62259, .min_p = 3277,
                                        .repeat_penalty = 4096}},
};
/* clang-format on */

/* Sum of four uniform numbers, less their mean: near enough to a bell of width `sigma`. */
static int32_t bell(uint64_t at, double sigma)
{
    const uint64_t bits = mbi_philox_u64(1, at);
    double sum = 0;

    for (int i = 0; i < 4; i++)
        sum += (double)(bits >> (16 * i) & 0xffff) / 65536 - 0.5;
    return (int32_t)(sum * 1.732 * sigma * 4096);
}

/* Like a model that knows what comes next: a few tokens stand out of a broad field. */
static void fill_peaked(int32_t *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        z[i] = bell(i, 2.5);
    for (size_t i = 0; i < 30 && i < n; i++)
        z[(i * 7919 + 11) % n] = NATS(14) - (int32_t)i * 1500;
}

/* Like one that knows nothing: any order prefix with much weight is long. */
static void fill_flat(int32_t *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        z[i] = bell(i, 1);
}

static void fill_equal(int32_t *z, size_t n) { memset(z, 0, n * sizeof(*z)); }

struct logits {
    const char *name;
    void (*fill)(int32_t *z, size_t n);
};

static const struct logits kinds[] = {
    {"peaked", fill_peaked}, {"flat", fill_flat}, {"equal", fill_equal}};

static double measure(const struct mbi_sampler *set, int32_t *work, const int32_t *z, size_t n)
{
    int32_t recent[RECENT];
    double time[ROUNDS];
    uint64_t pos = 0;
    int64_t sum = 0;

    for (size_t i = 0; i < RECENT; i++)
        recent[i] = (int32_t)((i * 7919 + 11) % n);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        const double start = cpu_seconds();

        for (uint32_t i = 0; i < CALLS; i++)
            sum += mbi_sample(set, work, z, n, recent, RECENT, pos++);
        time[r] = (cpu_seconds() - start) / CALLS;
    }
    if (sum < 0) /* never, but the compiler cannot know */
        printf("%lld\n", (long long)sum);
    return 1e9 * median(time, ROUNDS);
}

static int measure_all(size_t n)
{
    int32_t *z = calloc(n, sizeof(*z));
    int32_t *work = calloc(n, sizeof(*work));

    for (size_t i = 0; z && work && i < MBI_COUNT(settings); i++) {
        printf("V %zu  %-30s", n, settings[i].name);
        for (size_t k = 0; k < MBI_COUNT(kinds); k++) {
            kinds[k].fill(z, n);
            printf("  %s %9.0f ns", kinds[k].name, measure(&settings[i].set, work, z, n));
        }
        printf("\n");
    }
    free(z);
    free(work);
    return z && work ? 0 : 2;
}

int main(int argc, char **argv)
{
    int status = argc > 1 ? 0 : measure_all(50280);

    for (int i = 1; i < argc && !status; i++) {
        const unsigned long n = strtoul(argv[i], NULL, 10);

        if (n < 1 || n > 1 << 17) {
            fputs(usage, stderr);
            return 2;
        }
        status = measure_all(n);
    }
    return status;
}

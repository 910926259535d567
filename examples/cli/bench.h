/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of bench share: what is asked, what was measured. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli.h"

#define BENCH_SETTINGS 16
#define BENCH_RUNS 33    /* decode, and two lists of 16 */
#define BENCH_REPEATS 25 /* at most, of each measurement */
#define BENCH_KERNELS 64

/* What a model needs, from the model itself. */
struct bench_model {
    const char *path;
    char *architecture, *digest;
    int32_t vocab, end_of_text;
    double parameters, token_bytes, token_macs, head_macs;
};

enum bench_kind { BENCH_DECODE, BENCH_PREFILL, BENCH_BATCH };

/* One figure. Shares are negative where there is none. */
struct bench_run {
    enum bench_kind kind;
    long size;   /* tokens of the prompt, or sessions */
    long tokens; /* of a repeat, by all sessions */
    size_t repeats;
    double rate, lowest, highest; /* tokens a second: the median of the repeats, and the ends */
    double cpu_rate;              /* tokens a second of processor time, of all threads together */
    double read_share;            /* of the read bandwidth */
    double mac_share; /* of the integer peak of all threads: matvec for decode, else matmul */
};

/* What one number of threads gives. Times in seconds, medians. */
struct bench_setting {
    long threads;
    double open_s, session_s, first_token_s;
    double anonymous, mapped, huge, peak; /* bytes; negative: the system does not tell */
    double read, matvec, matmul;          /* the machine's limits */
    struct bench_run run[BENCH_RUNS];
    size_t n_runs;
};

/* Where the time of a first run went; the entries are sorted. */
struct bench_profile {
    const char *name; /* of the run */
    double tokens, total_s;
    size_t n;
    struct {
        char name[48];
        double calls, s;
    } kernel[BENCH_KERNELS];
};

struct bench {
    const struct args *args;
    struct number_list threads, prompts, batches;
    long tokens;
    bool json, profile;
    struct bench_model model;
    char backend[32];
    struct bench_setting setting[BENCH_SETTINGS];
    size_t n_settings;
    struct bench_profile prefill_profile, decode_profile;
    struct progress progress;
    double sections, sections_done;
};

/* "decode", "prefill 512", "batch 4". */
void bench_name(char out[32], const struct bench_run *run);

/* ---- bench_measure.c ---- */

/* Everything for one number of threads; the first also gives the profile. CLI_DONE or a status. */
int bench_measure(struct bench *b, struct bench_setting *set);

/* ---- bench_compare.c ---- */

/* An earlier output of --json. */
struct bench_old;

int bench_old_read(struct bench_old **out, const char *path);
void bench_old_free(struct bench_old *old);
/* Say on standard error what makes a comparison unfair. */
void bench_old_warn(const struct bench_old *old, const struct bench *b);
/* The figure of that name at that number of threads: a run's rate, or a key of the setting.
 * Negative if there is none. */
double bench_old_find(const struct bench_old *old, long threads, const char *name);

/* ---- bench_print.c ---- */

void bench_print(const struct bench *b, const struct bench_old *old); /* NULL: none */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What bench found, as tables or as JSON. */
#include "bench.h"
#include <string.h>

#define MAX_COMPARED (BENCH_SETTINGS * (BENCH_RUNS + 6))

/* ---- what the earlier output is asked for ---- */

struct compared {
    long threads;
    char name[32];
    double before, now;
};

static double load_ms(const struct bench_setting *set)
{
    return (set->open_s + set->session_s) * 1e3;
}

/* The figures that both outputs have, in order; returns their number. */
static size_t compare(struct compared *out, size_t cap, const struct bench *b,
                      const struct bench_old *old)
{
    size_t n = 0;

    for (size_t i = 0; old && i < b->n_settings; i++) {
        const struct bench_setting *set = &b->setting[i];
        const struct {
            const char *name;
            double value;
        } other[] = {
            {"load_ms", load_ms(set)},         {"first_token_ms", set->first_token_s * 1e3},
            {"peak_rss_bytes", set->peak},     {"read_bandwidth_bytes_per_s", set->read},
            {"matvec_mac_per_s", set->matvec}, {"matmul_mac_per_s", set->matmul},
        };

        for (size_t k = 0; k < set->n_runs + sizeof(other) / sizeof(*other) && n < cap; k++) {
            struct compared *c = &out[n];

            c->threads = set->threads;
            if (k < set->n_runs) {
                bench_name(c->name, &set->run[k]);
                c->now = set->run[k].rate;
            } else {
                snprintf(c->name, sizeof(c->name), "%s", other[k - set->n_runs].name);
                c->now = other[k - set->n_runs].value;
            }
            c->before = bench_old_find(old, c->threads, c->name);
            if (c->before > 0 && c->now >= 0)
                n++;
        }
    }
    return n;
}

/* ---- tables ---- */

static void print_share(double share)
{
    if (share < 0)
        printf("%15s", "");
    else
        printf("%13.1f %%", 100 * share);
}

static void print_run(const struct bench_run *run)
{
    char name[32], ends[48];

    bench_name(name, run);
    snprintf(ends, sizeof(ends), "%.1f..%.1f", run->lowest, run->highest);
    printf("  %-14s %10.1f  %-19s %10.1f", name, run->rate, ends, run->cpu_rate);
    print_share(run->read_share);
    print_share(run->mac_share);
    putchar('\n');
}

static void print_memory(const struct bench_setting *set)
{
    const double mib = 1048576;

    printf("  memory         ");
    if (set->mapped >= 0)
        printf("%.1f MiB of its own, %.1f of them in huge pages; %.1f of the file; ",
               set->anonymous / mib, (set->huge < 0 ? 0 : set->huge) / mib, set->mapped / mib);
    printf("peak %.1f MiB\n", set->peak / mib);
}

static void print_setting(const struct bench *b, const struct bench_setting *set)
{
    printf("\n%ld thread%s\n", set->threads, set->threads == 1 ? "" : "s");
    printf("  machine        reads %.1f GB/s; %.1f and %.1f billion multiply-adds/s a thread\n",
           set->read / 1e9, set->matvec / 1e9, set->matmul / 1e9);
    printf("  load           %.1f ms: open %.1f, first session %.1f\n", load_ms(set),
           set->open_s * 1e3, set->session_s * 1e3);
    print_memory(set);
    printf("  first token    %.1f ms after %ld tokens of prompt\n", set->first_token_s * 1e3,
           b->prompts.at[0]);
    printf("  %-14s %10s  %-19s %10s%15s%15s\n", "", "tokens/s", "lowest..highest", "per CPU s",
           "of reading", "of arithmetic");
    for (size_t i = 0; i < set->n_runs; i++)
        print_run(&set->run[i]);
}

static void print_kernel(const char *name, double calls, double s, const struct bench_profile *p)
{
    printf("  %-24s %10.0f %12.2f %8.1f %%\n", name, calls, s / p->tokens * 1e6,
           100 * s / p->total_s);
}

static void print_profile(const struct bench_profile *p)
{
    double rest = p->total_s;

    printf("\n%-26s %10s %12s %10s\n", p->name, "calls", "us a token", "share");
    for (size_t i = 0; i < p->n; i++) {
        print_kernel(p->kernel[i].name, p->kernel[i].calls, p->kernel[i].s, p);
        rest -= p->kernel[i].s;
    }
    print_kernel("around them", 0, rest, p);
}

static void print_compared(const struct compared *c, size_t n)
{
    printf("\n%-9s %-28s %14s %14s %8s\n", "threads", "compared", "before", "now", "ratio");
    for (size_t i = 0; i < n; i++)
        printf("%-9ld %-28s %14.7g %14.7g %8.3f\n", c[i].threads, c[i].name, c[i].before, c[i].now,
               c[i].now / c[i].before);
}

static void print_text(const struct bench *b, const struct compared *c, size_t n)
{
    const struct bench_model *m = &b->model;

    printf("model          %s: %s, %.2f million parameters\n", m->path, m->architecture,
           m->parameters / 1e6);
    printf("a token        touches %.2f MB of weights and takes %.2f million multiply-adds\n",
           m->token_bytes / 1e6, m->token_macs / 1e6);
    printf("backend        %s\n", b->backend);
    for (size_t i = 0; i < b->n_settings; i++)
        print_setting(b, &b->setting[i]);
    if (b->profile) {
        print_profile(&b->prefill_profile);
        print_profile(&b->decode_profile);
    }
    if (n)
        print_compared(c, n);
}

/* ---- JSON ---- */

static void put_share(struct json *j, const char *key, double share)
{
    if (share >= 0)
        json_number(j, key, share);
}

static void put_bytes(struct json *j, const char *key, double bytes)
{
    if (bytes >= 0)
        json_integer(j, key, (long long)bytes);
}

static const struct bench_run *first_run(const struct bench *b, enum bench_kind kind)
{
    const struct bench_run *run = b->setting[0].run;

    while (run->kind != kind)
        run++;
    return run;
}

static void put_machine(struct json *j, const struct bench_setting *set)
{
    json_integer(j, "read_bandwidth_bytes_per_s", (long long)set->read);
    json_integer(j, "matvec_mac_per_s", (long long)set->matvec);
    json_integer(j, "matmul_mac_per_s", (long long)set->matmul);
}

/* The figures of the first setting and the first prompt. */
static void put_summary(struct json *j, const struct bench *b)
{
    const struct bench_setting *set = &b->setting[0];
    const struct bench_run *decode = first_run(b, BENCH_DECODE);
    const struct bench_run *prefill = first_run(b, BENCH_PREFILL);

    json_number(j, "decode_tokens_per_s", decode->rate);
    json_number(j, "prefill_tokens_per_s", prefill->rate);
    json_number(j, "first_token_ms", set->first_token_s * 1e3);
    json_number(j, "load_ms", load_ms(set));
    json_integer(j, "peak_rss_bytes", (long long)set->peak);
    json_integer(j, "bytes_per_token", (long long)b->model.token_bytes);
    json_integer(j, "prompt_tokens", b->prompts.at[0]);
    json_integer(j, "tokens", b->tokens);
    json_string(j, "backend", b->backend);
    json_integer(j, "threads", set->threads);
    put_machine(j, set);
    json_number(j, "decode_share", decode->read_share);
    json_number(j, "prefill_share", prefill->mac_share);
    json_string(j, "model_digest", b->model.digest);
    json_integer(j, "macs_per_token", (long long)b->model.token_macs);
    json_integer(j, "head_macs", (long long)b->model.head_macs);
}

static void put_settings(struct json *j, const struct bench *b)
{
    json_list(j, "settings");
    for (size_t i = 0; i < b->n_settings; i++) {
        const struct bench_setting *set = &b->setting[i];

        json_item(j);
        json_integer(j, "threads", set->threads);
        put_machine(j, set);
        json_number(j, "load_ms", load_ms(set));
        json_number(j, "open_ms", set->open_s * 1e3);
        json_number(j, "session_ms", set->session_s * 1e3);
        json_number(j, "first_token_ms", set->first_token_s * 1e3);
        put_bytes(j, "rss_anonymous_bytes", set->anonymous);
        put_bytes(j, "rss_file_bytes", set->mapped);
        put_bytes(j, "huge_page_bytes", set->huge);
        put_bytes(j, "peak_rss_bytes", set->peak);
        json_item_end(j);
    }
    json_list_end(j);
}

static void put_run(struct json *j, const struct bench_run *run, long threads)
{
    char name[32];

    bench_name(name, run);
    json_item(j);
    json_string(j, "name", name);
    json_integer(j, "threads", threads);
    json_integer(j, "tokens", run->tokens);
    json_integer(j, "repeats", (long long)run->repeats);
    json_number(j, "tokens_per_s", run->rate);
    json_number(j, "tokens_per_s_lowest", run->lowest);
    json_number(j, "tokens_per_s_highest", run->highest);
    json_number(j, "tokens_per_cpu_s", run->cpu_rate);
    put_share(j, "read_share", run->read_share);
    put_share(j, "mac_share", run->mac_share);
    json_item_end(j);
}

static void put_profile(struct json *j, const struct bench_profile *p)
{
    for (size_t i = 0; i < p->n; i++) {
        json_item(j);
        json_string(j, "run", p->name);
        json_string(j, "kernel", p->kernel[i].name);
        json_number(j, "calls", p->kernel[i].calls);
        json_number(j, "us_per_token", p->kernel[i].s / p->tokens * 1e6);
        json_number(j, "share", p->kernel[i].s / p->total_s);
        json_item_end(j);
    }
}

static void put_compared(struct json *j, const struct compared *c, size_t n)
{
    json_list(j, "compare");
    for (size_t i = 0; i < n; i++) {
        json_item(j);
        json_string(j, "name", c[i].name);
        json_integer(j, "threads", c[i].threads);
        json_number(j, "before", c[i].before);
        json_number(j, "now", c[i].now);
        json_number(j, "ratio", c[i].now / c[i].before);
        json_item_end(j);
    }
    json_list_end(j);
}

static void print_json(const struct bench *b, const struct compared *c, size_t n, bool compared)
{
    struct json j;

    json_open(&j, stdout);
    put_summary(&j, b);
    put_settings(&j, b);
    json_list(&j, "runs");
    for (size_t i = 0; i < b->n_settings; i++)
        for (size_t k = 0; k < b->setting[i].n_runs; k++)
            put_run(&j, &b->setting[i].run[k], b->setting[i].threads);
    json_list_end(&j);
    if (b->profile) {
        json_list(&j, "profile");
        put_profile(&j, &b->prefill_profile);
        put_profile(&j, &b->decode_profile);
        json_list_end(&j);
    }
    if (compared)
        put_compared(&j, c, n);
    json_close(&j);
}

void bench_print(const struct bench *b, const struct bench_old *old)
{
    struct compared c[MAX_COMPARED];
    const size_t n = compare(c, MAX_COMPARED, b, old);

    if (b->json)
        print_json(b, c, n, old != NULL);
    else
        print_text(b, c, n);
}

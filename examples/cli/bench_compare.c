/* SPDX-License-Identifier: Apache-2.0 */
/* An earlier output of bench --json, to compare with. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

#define MAX_FIGURES 8192
#define MAX_RUNS (BENCH_SETTINGS * BENCH_RUNS)

/* A number of an entry of "settings" or "runs". */
struct figure {
    size_t entry;
    char name[40];
    double value;
};

struct bench_old {
    char backend[32], digest[80];
    struct figure setting[MAX_FIGURES], run[MAX_FIGURES];
    size_t n_settings, n_runs;
    char run_name[MAX_RUNS][32];
};

/* "list[3].name": the entry, and the name; NULL if the path is another. */
static const char *inside(size_t *entry, const char *path, const char *list)
{
    const size_t len = strlen(list);
    char *end;

    if (strncmp(path, list, len) || path[len] != '[')
        return NULL;
    *entry = (size_t)strtoul(path + len + 1, &end, 10);
    return *entry < MAX_RUNS && !strncmp(end, "].", 2) ? end + 2 : NULL;
}

static void keep(struct figure *list, size_t *n, size_t entry, const char *name, const char *text)
{
    char *end;
    const double value = strtod(text, &end);

    if (*n == MAX_FIGURES || *end || !*text)
        return;
    list[*n] = (struct figure){.entry = entry, .value = value};
    snprintf(list[(*n)++].name, sizeof(list->name), "%s", name);
}

static void take(void *user, const char *path, const char *text)
{
    struct bench_old *old = user;
    const char *name;
    size_t entry;

    if (!strcmp(path, "backend"))
        snprintf(old->backend, sizeof(old->backend), "%s", text);
    else if (!strcmp(path, "model_digest"))
        snprintf(old->digest, sizeof(old->digest), "%s", text);
    else if ((name = inside(&entry, path, "settings")))
        keep(old->setting, &old->n_settings, entry, name, text);
    else if ((name = inside(&entry, path, "runs")) && !strcmp(name, "name"))
        snprintf(old->run_name[entry], sizeof(*old->run_name), "%s", text);
    else if (name)
        keep(old->run, &old->n_runs, entry, name, text);
}

int bench_old_read(struct bench_old **out, const char *path)
{
    size_t size;
    char *json = read_all(path, &size);
    struct bench_old *old = calloc(1, sizeof(*old));
    int status = CLI_DONE;

    if (!json)
        status = CLI_FAILED;
    else if (!old)
        status = fail_memory();
    else if (strlen(json) != size || !json_read(json, take, old) || !old->n_settings ||
             !old->n_runs)
        status = fail("'%s' is no output of 'mambaint bench --json'", path);
    free(json);
    if (status == CLI_DONE)
        *out = old;
    else
        bench_old_free(old);
    return status;
}

void bench_old_free(struct bench_old *old) { free(old); }

/* A number of one entry; negative if it has none. */
static double number(const struct figure *list, size_t n, size_t entry, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].entry == entry && !strcmp(list[i].name, name))
            return list[i].value;
    return -1;
}

double bench_old_find(const struct bench_old *old, long threads, const char *name)
{
    for (size_t i = 0; i < old->n_runs; i++) {
        const size_t entry = old->run[i].entry;

        if (!strcmp(old->run_name[entry], name) &&
            (long)number(old->run, old->n_runs, entry, "threads") == threads)
            return number(old->run, old->n_runs, entry, "tokens_per_s");
    }
    for (size_t i = 0; i < old->n_settings; i++)
        if (!strcmp(old->setting[i].name, name) &&
            (long)number(old->setting, old->n_settings, old->setting[i].entry, "threads") ==
                threads)
            return old->setting[i].value;
    return -1;
}

void bench_old_warn(const struct bench_old *old, const struct bench *b)
{
    bool common = false;

    if (strcmp(old->digest, b->model.digest))
        fputs("mambaint bench: the earlier output is of another model\n", stderr);
    if (strcmp(old->backend, b->backend))
        fprintf(stderr, "mambaint bench: the earlier output is of backend '%s', this of '%s'\n",
                old->backend, b->backend);
    for (size_t i = 0; i < b->n_settings; i++)
        if (bench_old_find(old, b->setting[i].threads, "threads") >= 0)
            common = true;
        else
            fprintf(stderr, "mambaint bench: the earlier output has nothing for %ld threads\n",
                    b->setting[i].threads);
    if (!common)
        fputs("mambaint bench: there is nothing to compare\n", stderr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The harness's command: reads the options, runs the checks, says how to repeat a failure. */
#include "bitexact.h"
#include "exec/backend.h"
#include <time.h>

static const char usage[] =
    "usage: bitexact [--op NAME] [--case K] [--backend NAME] [--cases N] [--count N] [--round R]\n"
    "                [--module FILE] [--graphs N] [--seed S] [--self-test | --bench]\n"
    "Compares every kernel with the reference, then runs N random graphs in every way.\n"
    "--cases N repeats each case N times, from the second time on with other sizes.\n"
    "--count N repeats them until every operation was compared N times over random inputs and N\n"
    "times over extreme ones; --round R does one repetition alone, counted from 0.\n"
    "--module FILE loads one more backend, which is compared in the graphs.\n";

size_t subject_list(struct subject out[MAX_SUBJECTS], const struct options *o)
{
    size_t n = 0;

    for (size_t i = 0; i < MAX_SUBJECTS; i++)
        out[i].variant = "";
    if (!o->backend || !strcmp(o->backend, "scalar")) {
        out[n].name = "scalar";
        mbi_cpu_kernels_scalar(&out[n++].kernels);
    }
#if MBI_HAVE_AVX2
    if (mbi_backend_avx2.probe() && (!o->backend || !strcmp(o->backend, "avx2"))) {
        out[n].name = "avx2";
        mbi_cpu_kernels_avx2(&out[n++].kernels);
    }
#endif
#if MBI_HAVE_AVX512
    if (mbi_backend_avx512.probe() && (!o->backend || !strcmp(o->backend, "avx512"))) {
        out[n].name = "avx512";
        mbi_cpu_kernels_avx512(&out[n++].kernels, false);
        if (__builtin_cpu_supports("avx512vnni")) {
            out[n].name = "avx512"; /* the backend takes this table here */
            out[n].variant = " with VNNI";
            mbi_cpu_kernels_avx512(&out[n++].kernels, true);
        }
    }
#endif
#if MBI_HAVE_NEON
    if (mbi_backend_neon.probe() && (!o->backend || !strcmp(o->backend, "neon"))) {
        out[n].name = "neon";
        mbi_cpu_kernels_neon(&out[n++].kernels, false);
        if (mbi_cpu_has_dot()) {
            out[n].name = "neon"; /* the backend takes this table here */
            out[n].variant = " with dot products";
            mbi_cpu_kernels_neon(&out[n++].kernels, true);
        }
    }
#endif
    return n;
}

static bool read_options(struct options *o, bool *self, bool *measure, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(argv[i], "--self-test")) {
            *self = true;
            continue;
        }
        if (!strcmp(argv[i], "--bench")) {
            *measure = true;
            continue;
        }
        if (!value)
            return false;
        if (!strcmp(argv[i], "--op"))
            o->op = value;
        else if (!strcmp(argv[i], "--backend"))
            o->backend = value;
        else if (!strcmp(argv[i], "--module"))
            o->module = value;
        else if (!strcmp(argv[i], "--case"))
            o->only = strtoll(value, NULL, 0);
        else if (!strcmp(argv[i], "--cases"))
            o->rounds = (uint32_t)strtoul(value, NULL, 0);
        else if (!strcmp(argv[i], "--count"))
            o->count = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i], "--round"))
            o->round = strtoll(value, NULL, 0);
        else if (!strcmp(argv[i], "--graphs"))
            o->graphs = (uint32_t)strtoul(value, NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            o->seed = strtoull(value, NULL, 0);
        else
            return false;
        i++;
    }
    return true;
}

/* Loads the module, and finds the backend by its own name. */
static int32_t find_backend(const struct options *o, mambaint_error *err)
{
    const struct mbi_backend *b;
    int32_t rc = MAMBAINT_OK;

    if (o->module)
        rc = mbi_backend_load(&b, o->module, err);
    if (rc >= 0 && o->backend && (rc = mbi_backend_find(&b, o->backend, err)) >= 0 &&
        strcmp(b->name, o->backend))
        rc = mbi_fail(err, MAMBAINT_E_NO_BACKEND, "'%s' is not one backend", o->backend);
    return rc;
}

/* A misspelt name must not pass for a check. */
static bool names_exist(const struct options *o)
{
    struct subject subject[MAX_SUBJECTS];
    mambaint_error err = {0, ""};
    bool found = !o->op;

    if (find_backend(o, &err) < 0) {
        fprintf(stderr, "bitexact: %s\n", err.message);
        return false;
    }
    for (uint32_t op = 1; op < mbi_op_count && !found; op++)
        found = !strcmp(o->op, mbi_op_table[op].name);
    found = found && (!o->op || subject_list(subject, o) > 0);
    if (!found)
        fprintf(stderr,
                "bitexact: no such operation, or the backend is compared in graphs alone\n");
    return found;
}

static void print_tally(const struct subject *subject, const struct tally *tally)
{
    for (uint32_t op = 1; op < MBI_OP_END; op++)
        if (tally[op].random + tally[op].extreme)
            printf("%s%s: %-12s compared over %8llu random and %8llu extreme inputs\n",
                   subject->name, subject->variant, mbi_op_table[op].name,
                   (unsigned long long)tally[op].random, (unsigned long long)tally[op].extreme);
}

static void print_graph_tally(const char *name, const struct graph_tally *tally)
{
    printf("%s: graphs run %llu times with every value kept and %llu without", name,
           (unsigned long long)tally->kept, (unsigned long long)tally->plain);
    for (uint32_t op = 1; op < MBI_OP_END; op++)
        if (!tally->node[op])
            printf("; none has %s", mbi_op_table[op].name);
    printf("\n");
}

static size_t run_graphs(const struct options *o)
{
    struct graph_tally tally[MBI_MAX_BACKENDS] = {{0}};
    const size_t bad = check_graphs(o, tally);

    for (size_t b = 0; mbi_backend_at(b); b++)
        if (tally[b].kept + tally[b].plain)
            print_graph_tally(mbi_backend_at(b)->name, &tally[b]);
    return bad;
}

static size_t run_checks(const struct options *o)
{
    struct subject subject[MAX_SUBJECTS];
    const size_t n = subject_list(subject, o);
    size_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        struct tally tally[MBI_OP_END] = {{0, 0}};

        bad += check_kernels(o, &subject[i], tally);
        print_tally(&subject[i], tally);
        fflush(stdout);
    }
    if (!o->op)
        bad += run_graphs(o);
    printf("seed %llu, %zu kernel tables, %u graphs: %zu failures\n", (unsigned long long)o->seed,
           n, o->op ? 0 : o->graphs, bad);
    return bad;
}

int main(int argc, char **argv)
{
    struct mbi_host alone, threaded;
    struct mbi_pool *pool = NULL;
    struct options o = {.only = -1,
                        .round = -1,
                        .kind = -1,
                        .rounds = 1,
                        .graphs = 60,
                        .seed = (uint64_t)time(NULL),
                        .host = &alone,
                        .threaded = &threaded};
    bool self = false, measure = false;
    size_t bad = 0;

    if (!read_options(&o, &self, &measure, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!names_exist(&o))
        return 2;
    mbi_host_default(&alone);
    mbi_host_default(&threaded);
    if (mbi_pool_create(&pool, &alone, 2, NULL) < 0)
        return 2;
    threaded.pool = pool;
    if (measure)
        bench(&o);
    else
        bad = self ? check_self(&o) : run_checks(&o);
    mbi_pool_free(&alone, pool);
    return bad ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the field's kernels and of transforms on this machine: figures for people, no check. */
#include "bench.h"
#include "proof/ntt.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: field [LOG_MAX]\n"
    "Nanoseconds of CPU time for one element of an array that fits the cache, for one butterfly, "
    "and\n"
    "for one value of a transform of up to 2^LOG_MAX (20), by table of kernels.\n";

#define ROUNDS 15u
#define N ((size_t)1024) /* elements of an array */
#define PASSES 20u       /* over it, in a round */
#define BLOCK_LOG 9u     /* of a block of transforms: 32 KiB */
#define TABLES 3u

struct work {
    const struct mbi_field_kernels *k;
    mbi_fe *a, *b, *out; /* 3 N each */
    mbi_fe *root;
};

struct loop {
    const char *name;
    void (*run)(const struct work *w);
    size_t steps; /* of a pass: what a figure is for one of */
};

static void f_add(const struct work *w) { w->k->add(w->out, w->a, w->b, N); }
static void f_mul(const struct work *w) { w->k->mul(w->out, w->a, w->b, N); }
static void f_mul_add(const struct work *w) { w->k->mul_add(w->out, w->a, w->b[0], N); }
static void f_fold(const struct work *w) { w->k->fold(w->out, w->a, w->b, w->b[0], N); }
static void f_dot(const struct work *w) { w->out[0] = w->k->dot(w->a, w->b, N); }

#define EXT_LOOPS(d)                                                                               \
    static void mul_##d(const struct work *w) { w->k->ext[d - 2]->mul(w->out, w->a, w->b, N); }    \
    static void mul_add_##d(const struct work *w)                                                  \
    {                                                                                              \
        w->k->ext[d - 2]->mul_add(w->out, w->a, w->b, N);                                          \
    }                                                                                              \
    static void mul_add_base_##d(const struct work *w)                                             \
    {                                                                                              \
        w->k->ext[d - 2]->mul_add_base(w->out, w->a, w->b, N);                                     \
    }                                                                                              \
    static void fold_##d(const struct work *w)                                                     \
    {                                                                                              \
        w->k->ext[d - 2]->fold(w->out, w->a, w->b, w->b, N);                                       \
    }                                                                                              \
    static void fold_base_##d(const struct work *w)                                                \
    {                                                                                              \
        w->k->ext[d - 2]->fold_base(w->out, w->a, w->b, w->b, N);                                  \
    }                                                                                              \
    static void dot_##d(const struct work *w) { w->k->ext[d - 2]->dot(w->out, w->a, w->b, N); }    \
    static void dot_base_##d(const struct work *w)                                                 \
    {                                                                                              \
        w->k->ext[d - 2]->dot_base(w->out, w->a, w->b, N);                                         \
    }

EXT_LOOPS(2)
EXT_LOOPS(3)

static void butterflies(const struct work *w) { w->k->ntt_stages(w->out, BLOCK_LOG, 0, w->root); }

static const struct loop loops[] = {
    {"F add", f_add, N},
    {"F mul", f_mul, N},
    {"F mul_add", f_mul_add, N},
    {"F fold", f_fold, N},
    {"F dot", f_dot, N},
    {"D = 2 mul", mul_2, N},
    {"D = 2 mul_add", mul_add_2, N},
    {"D = 2 mul_add_base", mul_add_base_2, N},
    {"D = 2 fold", fold_2, N},
    {"D = 2 fold_base", fold_base_2, N},
    {"D = 2 dot", dot_2, N},
    {"D = 2 dot_base", dot_base_2, N},
    {"D = 3 mul", mul_3, N},
    {"D = 3 mul_add", mul_add_3, N},
    {"D = 3 mul_add_base", mul_add_base_3, N},
    {"D = 3 fold", fold_3, N},
    {"D = 3 fold_base", fold_base_3, N},
    {"D = 3 dot", dot_3, N},
    {"D = 3 dot_base", dot_base_3, N},
    {"butterfly", butterflies, (BLOCK_LOG * MBI_NTT_LANES / 2) << BLOCK_LOG},
};

/* The tables of this machine. */
static size_t find_tables(const struct mbi_field_kernels *table[TABLES])
{
    size_t n = 0;

    for (size_t i = 0; n < TABLES && mbi_field_kernels_at(i); i++)
        if (mbi_field_kernels_at(i)->probe())
            table[n++] = mbi_field_kernels_at(i);
    return n;
}

/* Every table in every round, so that the weather is the same; ns[i] of table i. */
static void time_loop(double *ns, const struct loop *loop, struct work *w,
                      const struct mbi_field_kernels *const *table, size_t tables)
{
    double time[TABLES][ROUNDS];

    for (uint32_t r = 0; r < ROUNDS; r++)
        for (size_t i = 0; i < tables; i++) {
            const double start = cpu_seconds();

            w->k = table[i];
            for (uint32_t pass = 0; pass < PASSES; pass++)
                loop->run(w);
            time[i][r] = (cpu_seconds() - start) / (PASSES * (double)loop->steps);
        }
    for (size_t i = 0; i < tables; i++)
        ns[i] = 1e9 * median(time[i], ROUNDS);
}

static void print_row(const char *name, const double *ns, size_t tables)
{
    printf("%-24s", name);
    for (size_t i = 0; i < tables; i++)
        printf(" %9.2f", ns[i]);
    for (size_t i = 1; i < tables; i++)
        printf(" %8.2fx", ns[0] / ns[i]);
    printf("\n");
    fflush(stdout);
}

/* One row of 2^log_n values from half as many coefficients. */
static int time_transform(unsigned log_n, const struct mbi_field_kernels *const *table,
                          size_t tables)
{
    const size_t n = (size_t)1 << log_n;
    const unsigned rounds = log_n > 20 ? 3 : 7, calls = log_n < 16 ? 1u << (16 - log_n) : 1;
    mbi_fe *x = calloc(n, sizeof(*x)), *y = calloc(n, sizeof(*y));
    double time[TABLES][ROUNDS], ns[TABLES] = {0};
    struct mbi_host host;
    char name[32];

    mbi_host_default(&host);
    for (size_t i = 0; x && i < n; i++)
        x[i] = i * i;
    for (uint32_t r = 0; x && y && r < rounds; r++)
        for (size_t i = 0; i < tables; i++) {
            struct mbi_ntt t;
            double start;

            if (mbi_ntt_init(&t, &host, table[i], log_n, NULL) < 0)
                return 2;
            start = cpu_seconds();
            for (uint32_t call = 0; call < calls; call++)
                mbi_ntt_encode_rows(&t, y, x, 1, n / 2, log_n, NULL);
            time[i][r] = (cpu_seconds() - start) / ((double)n * calls);
            mbi_ntt_free(&t);
        }
    for (size_t i = 0; x && y && i < tables; i++)
        ns[i] = 1e9 * median(time[i], rounds);
    snprintf(name, sizeof(name), "transform to 2^%u", log_n);
    print_row(name, ns, tables);
    free(x);
    free(y);
    return x && y ? 0 : 2;
}

static int run(unsigned log_max)
{
    const struct mbi_field_kernels *table[TABLES];
    const size_t tables = find_tables(table);
    const size_t block = (size_t)MBI_NTT_LANES << BLOCK_LOG;
    struct work w = {.a = calloc(3 * N, 8),
                     .b = calloc(3 * N, 8),
                     .out = calloc(block, 8),
                     .root = calloc((size_t)1 << BLOCK_LOG, 8)};
    double ns[TABLES];
    int status = 0;

    if (!w.a || !w.b || !w.out || !w.root)
        return 2;
    for (size_t i = 0; i < 3 * N; i++) {
        w.a[i] = mbi_fe_pow(3, i + 1);
        w.b[i] = mbi_fe_pow(5, i + 1);
    }
    for (size_t i = 0; i < (size_t)1 << BLOCK_LOG; i++)
        w.root[i] = i & (i - 1) ? mbi_fe_pow(11, i) : 1; /* as good as roots for the clock */
    printf("%-24s", "ns");
    for (size_t i = 0; i < tables; i++)
        printf(" %9s", table[i]->name);
    printf("\n");
    for (size_t i = 0; i < MBI_COUNT(loops); i++) {
        time_loop(ns, &loops[i], &w, table, tables);
        print_row(loops[i].name, ns, tables);
    }
    for (unsigned k = 6; k <= log_max && !status; k += 2)
        status = time_transform(k, table, tables);
    free(w.a);
    free(w.b);
    free(w.out);
    free(w.root);
    return status;
}

int main(int argc, char **argv)
{
    const unsigned long log_max = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;

    if (argc > 2 || log_max > MBI_NTT_LOG_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    return run((unsigned)log_max);
}

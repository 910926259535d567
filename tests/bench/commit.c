/* SPDX-License-Identifier: Apache-2.0 */
/* Commitments and openings on this machine: time and size, figures for people, no check. */
#include "bench.h"
#include "proof/commit.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: commit [LOG_MAX]\n"
    "Openings of one vector of 2^11 .. 2^LOG_MAX (20) bytes with eight claims, of degree 2, 100 "
    "bits:\n"
    "bytes on average at the rates 1/2 to 1/16, and nanoseconds of CPU time for one entry.\n";

#define ROUNDS 5u
#define CLAIMS 8
#define WORK 16u
#define LEVEL 100u

struct work {
    unsigned bits;
    struct mbi_code code;
    struct mbi_host host;
    const struct mbi_field_kernels *kernels;
    struct mbi_ntt ntt;
    struct mbi_table table;
    struct mbi_ext z[CLAIMS][MBI_MAX_BITS];
    struct mbi_form form[CLAIMS];
    struct mbi_claim claim[CLAIMS];
    double commit[ROUNDS], open[ROUNDS], verify[ROUNDS];
};

/* Claims eq(z, .), with the work that the values take left out of the time. */
static void make_claims(struct work *w)
{
    for (size_t k = 0; k < CLAIMS; k++) {
        for (unsigned i = 0; i < w->bits; i++)
            for (int c = 0; c < MBI_EXT_D; c++)
                w->z[k][i].c[c] = mbi_fe_pow(3, 1 + (k * MBI_MAX_BITS + i) * MBI_EXT_D + (size_t)c);
        w->form[k] =
            (struct mbi_form){w->bits,
                              mbi_ext_from(1),
                              1,
                              {MBI_EXT(form_eq)(0, w->bits, (uint64_t)1 << w->bits, w->z[k])}};
        w->claim[k] = (struct mbi_claim){.form = &w->form[k]};
        w->claim[k].value = MBI_EXT(table_at)(&w->table, w->z[k], w->bits);
    }
}

static int one_round(struct work *w, unsigned r)
{
    struct mbi_commitment c;
    struct mbi_opening o = {w->code, NULL, 1, w->claim, CLAIMS};
    struct mbi_proof_writer out;
    struct mbi_proof_reader in;
    double start = cpu_seconds();
    int status = 2;

    if (MBI_EXT(commit)(&c, &w->table, w->bits, &w->code, &w->ntt, NULL) < 0)
        return 2;
    w->commit[r] = cpu_seconds() - start;
    o.root = &c.root;
    mbi_proof_writer_init(&out, &w->host, "bench");
    start = cpu_seconds();
    if (MBI_EXT(open_prove)(&o, &c, &out, &w->host, w->kernels, NULL) == MAMBAINT_OK) {
        w->open[r] = cpu_seconds() - start;
        mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "bench");
        start = cpu_seconds();
        status = MBI_EXT(open_verify)(&o, &in, &w->host) ? 0 : 2;
        w->verify[r] = cpu_seconds() - start;
    }
    mbi_proof_writer_free(&out);
    MBI_EXT(commitment_free)(&c);
    return status;
}

/* Without the grinding, which does not depend on the size. */
static int time_code(struct work *w)
{
    const double n = (double)((size_t)1 << w->bits) * 1e-9;
    int status = 0;

    w->code.work = 0;
    w->code.level = LEVEL - WORK;
    if (mbi_ntt_init(&w->ntt, &w->host, w->kernels, w->code.log_length, NULL) < 0)
        return 2;
    for (unsigned r = 0; r < ROUNDS && !status; r++)
        status = one_round(w, r);
    mbi_ntt_free(&w->ntt);
    printf("  %8.1f %8.1f %8.2f", median(w->commit, ROUNDS) / n, median(w->open, ROUNDS) / n,
           1e3 * median(w->verify, ROUNDS));
    return status;
}

static int run(unsigned log_max)
{
    struct work w = {.kernels = mbi_field_kernels_best()};
    uint8_t *data = malloc((size_t)1 << log_max);
    int status = mbi_hash_setup(NULL) < 0 || !data ? 2 : 0;

    mbi_host_default(&w.host);
    printf("%s\n%-5s %-6s %8s %8s %8s  %8s %8s %8s\n", w.kernels->name, "log N", "rate", "columns",
           "queries", "bytes", "commit", "open", "check ms");
    for (size_t i = 0; data && i < (size_t)1 << log_max; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    for (w.bits = 11; w.bits <= log_max && !status; w.bits += w.bits < 14 ? 1 : 2) {
        w.table = (struct mbi_table){MBI_TABLE_U8, data, (size_t)1 << w.bits};
        make_claims(&w);
        for (unsigned rate = 1; rate <= 4 && !status; rate++) {
            unsigned rows;

            if (!MBI_EXT(code_choose)(&w.code, &w.bits, 1, rate, WORK, LEVEL))
                continue;
            rows = w.bits - w.code.log_columns;
            printf("%-5u 1/%-4u %8u %8u %8llu", w.bits, 1u << rate, 1u << w.code.log_columns,
                   w.code.queries, (unsigned long long)MBI_EXT(open_size_mean)(&w.code, &rows, 1));
            status = time_code(&w);
            printf("\n");
            fflush(stdout);
        }
    }
    free(data);
    return status;
}

int main(int argc, char **argv)
{
    const unsigned long log_max = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;

    if (argc > 2 || log_max < 11 || log_max > MBI_MAX_BITS - 8) {
        fputs(usage, stderr);
        return 2;
    }
    return run((unsigned)log_max);
}

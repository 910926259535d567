/* SPDX-License-Identifier: Apache-2.0 */
/* Commitments and openings on this machine: time and size, figures for people, no check. */
#include "bench.h"
#include "proof/commit.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: commit [LOG_MAX [WEIGHTS WITNESS]]\n"
    "Openings of one vector of 2^11 .. 2^LOG_MAX (20) bytes with eight claims, of degree 2, 100 "
    "bits:\n"
    "bytes on average at the rates 1/2 to 1/16, and nanoseconds of CPU time for one entry. Then "
    "openings of\n"
    "two long vectors with thousands of claims about blocks of them, or of vectors of 2^WEIGHTS "
    "and\n"
    "2^WITNESS bytes alone: milliseconds, with one thread and two, the work of the proof "
    "included.\n";

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

    if (MBI_EXT(commit)(&c, &w->table, w->bits, &w->code, NULL, &w->ntt, NULL) < 0)
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

/* ---- two long vectors ---- */

#define BLOCKS 5000 /* claims about blocks of 2^LEAST .. 2^(LEAST + 14) entries */
#define LEAST 6
#define COVERED 4 /* times the entries of a vector, at most */

struct pair {
    unsigned bits[2]; /* of the witness, of the weights */
    struct mbi_code code;
    struct mbi_host host;
    const struct mbi_field_kernels *kernels;
    struct mbi_table table[2];
    struct mbi_commitment vector[2];
    struct mbi_root root[2];
    size_t n_claims;
    struct mbi_ext z[MBI_MAX_BITS];
    struct mbi_form form[BLOCKS];
    struct mbi_claim claim[BLOCKS];
};

/* One claim of many terms: what they are together is not known before the proof is made, so that it
 * is of the one value that is: the sum of all. */
static void make_blocks(struct pair *p)
{
    uint64_t covered[2] = {0, 0};
    struct mbi_ext sum = mbi_ext_from(0), weight[1 << 10];

    for (unsigned i = 0; i < MBI_MAX_BITS; i++)
        p->z[i] = (struct mbi_ext){{mbi_fe_pow(3, i + 1), mbi_fe_pow(5, i + 1)}};
    for (size_t k = 0; k < BLOCKS; k++) {
        const size_t v = k % 3 == 2;
        const unsigned most = p->bits[v] < LEAST + 14 ? p->bits[v] - LEAST : 14;
        unsigned bits = LEAST + (unsigned)((k * 2654435761u >> 16) % (most + 1)), low;

        if (covered[v] + ((uint64_t)1 << bits) > (uint64_t)COVERED << p->bits[v])
            bits = LEAST;
        covered[v] += (uint64_t)1 << bits;
        low = bits / 2;
        p->form[k] = (struct mbi_form){
            bits,
            mbi_ext_from(k + 1),
            2,
            {MBI_EXT(form_eq)(0, bits - low, ((uint64_t)1 << (bits - low)) - k % 2, p->z),
             MBI_EXT(form_eq)(bits - low, low, (uint64_t)1 << low, p->z + 16)}};
        p->claim[k] = (struct mbi_claim){.vector = v,
                                         .block = k % ((uint64_t)1 << (p->bits[v] - bits)),
                                         .form = &p->form[k],
                                         .joined = k > 0};
        for (size_t i = 0; i < (size_t)1 << (bits - low); i++) { /* rows of the block */
            struct mbi_ext row;

            MBI_EXT(eq_table)(weight, p->z + 16, low, p->form[k].scale);
            row = MBI_EXT(table_dot)(&p->table[v], (size_t)(p->claim[k].block << bits) + (i << low),
                                     weight, (size_t)1 << low);
            if (i < p->form[k].factor[0].rule[0].n)
                sum = mbi_ext_add(sum, mbi_ext_mul(row, MBI_EXT(eq_index)(p->z, bits - low, i)));
        }
    }
    p->n_claims = BLOCKS;
    p->claim[0].value = sum;
}

static int commit_pair(struct pair *p, size_t i)
{
    struct mbi_ntt ntt;
    int status = 2;

    if (mbi_ntt_init(&ntt, &p->host, p->kernels, p->code.log_length, NULL) < 0)
        return 2;
    if (MBI_EXT(commit)(&p->vector[i], &p->table[i], p->bits[i], &p->code, NULL, &ntt, NULL) >= 0)
        status = 0;
    p->root[i] = p->vector[i].root;
    mbi_ntt_free(&ntt);
    return status;
}

static int time_pair(struct pair *p, uint32_t threads)
{
    struct mbi_opening o = {p->code, p->root, 2, p->claim, p->n_claims};
    struct mbi_proof_writer out;
    struct mbi_proof_reader in;
    double start, cpu;
    int status = mbi_pool_create(&p->host.pool, &p->host, threads, NULL) < 0 ? 2 : 0;

    mbi_proof_writer_init(&out, &p->host, "bench");
    status = status ? status : commit_pair(p, 1);
    start = wall_seconds();
    cpu = cpu_seconds();
    status = status ? status : commit_pair(p, 0);
    printf("  %7u %8.0f %8.0f", threads, 1e3 * (wall_seconds() - start),
           1e3 * (cpu_seconds() - cpu));
    fflush(stdout);
    start = wall_seconds();
    cpu = cpu_seconds();
    if (!status)
        status = MBI_EXT(open_prove)(&o, p->vector, &out, &p->host, p->kernels, NULL) < 0 ? 2 : 0;
    printf(" %8.0f %8.0f %8zu", 1e3 * (wall_seconds() - start), 1e3 * (cpu_seconds() - cpu),
           out.bytes.size);
    start = cpu_seconds();
    mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "bench");
    if (!status)
        status = MBI_EXT(open_verify)(&o, &in, &p->host) ? 0 : 2;
    printf(" %8.2f\n", 1e3 * (cpu_seconds() - start));
    mbi_proof_writer_free(&out);
    for (size_t i = 0; i < 2; i++)
        MBI_EXT(commitment_free)(&p->vector[i]);
    mbi_pool_free(&p->host, p->host.pool);
    p->host.pool = NULL;
    return status;
}

static int run_pair(unsigned weights, unsigned witness)
{
    const size_t size = (size_t)1 << (weights > witness ? weights : witness);
    uint8_t *data = malloc(size);
    struct pair *p = calloc(1, sizeof(*p));
    unsigned log_rows[2];
    int status = data && p && MBI_EXT(code_of)(&p->code, weights, 2, LEVEL) ? 0 : 2;

    for (size_t i = 0; !status && i < size; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 30);
    if (!status) {
        mbi_host_default(&p->host);
        p->kernels = mbi_field_kernels_best();
        for (size_t i = 0; i < 2; i++) {
            p->bits[i] = i ? weights : witness;
            p->table[i] = (struct mbi_table){MBI_TABLE_U8, data, (size_t)1 << p->bits[i]};
            log_rows[i] = p->bits[i] - p->code.log_columns;
        }
        make_blocks(p);
        printf("\n2^%u and 2^%u, %zu terms: %llu bytes on average\n", weights, witness, p->n_claims,
               (unsigned long long)MBI_EXT(open_size_mean)(&p->code, log_rows, 2));
        for (unsigned i = 0; i <= p->code.depth; i++) {
            const struct mbi_layer a = mbi_code_layer(&p->code, i);

            printf("  layer %u: 2^%u of 2^%u, %u queries, work %u\n", i, a.log_columns,
                   a.log_length, a.queries, a.work);
        }
        printf("  %7s %8s %8s %8s %8s %8s %8s\n", "threads", "commit", "cpu", "open", "cpu",
               "bytes", "check");
    }
    for (uint32_t threads = 1; threads <= 2 && !status; threads++)
        status = time_pair(p, threads);
    free(p);
    free(data);
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
    const unsigned long weights = argc > 3 ? strtoul(argv[2], NULL, 10) : 20;
    const unsigned long witness = argc > 3 ? strtoul(argv[3], NULL, 10) : 22;
    int status = 0;

    if (argc == 3 || argc > 4 || (log_max < 11 && argc < 4) || log_max > MBI_MAX_BITS - 8 ||
        weights < 11 || weights > 27 || witness < 11 || witness > 27) {
        fputs(usage, stderr);
        return 2;
    }
    if (argc < 4)
        status = run((unsigned)log_max);
    else if (mbi_hash_setup(NULL) < 0)
        status = 2;
    return status ? status : run_pair((unsigned)weights, (unsigned)witness);
}

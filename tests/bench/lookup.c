/* SPDX-License-Identifier: Apache-2.0 */
/* The range argument by lookups on this machine: figures for people, no check. */
#include "bench.h"
#include "proof/hash.h"
#include "proof/lookup.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: lookup [LOG]...\n"
    "Range arguments of degree 2 for vectors of 2^LOG (16 20 22) entries, three quarters of them "
    "limbs\n"
    "of 4, 8 and 16 bits: nanoseconds for one entry, in CPU time on one thread and by the clock "
    "on\n"
    "two, for each table of kernels, and milliseconds to verify.\n";

#define ROUNDS 5u

struct work {
    struct mbi_lookup lookup;
    struct mbi_host one, two;
    const struct mbi_field_kernels *kernels;
    struct mbi_table table;
    double cpu[ROUNDS], wall[ROUNDS], verify[ROUNDS];
};

static int prove(struct mbi_proof_writer *out, const struct work *w, const struct mbi_host *host)
{
    struct mbi_lookup_end end;

    mbi_proof_writer_init(out, host, "bench");
    return MBI_EXT(lookup_prove)(&end, &w->lookup, &w->table, out, host, w->kernels, NULL);
}

static int one_round(struct work *w, unsigned r)
{
    struct mbi_lookup_end end;
    struct mbi_proof_writer out;
    struct mbi_proof_reader in;
    double start = cpu_seconds();
    int status = prove(&out, w, &w->one) < 0 ? 2 : 0;

    w->cpu[r] = cpu_seconds() - start;
    mbi_proof_reader_init(&in, out.bytes.data, out.bytes.size, "bench");
    start = cpu_seconds();
    if (!status && !MBI_EXT(lookup_verify)(&end, &w->lookup, &in))
        status = 2;
    w->verify[r] = cpu_seconds() - start;
    mbi_proof_writer_free(&out);
    start = wall_seconds();
    if (!status && prove(&out, w, &w->two) < 0)
        status = 2;
    w->wall[r] = wall_seconds() - start;
    mbi_proof_writer_free(&out);
    return status;
}

/* Limbs of three widths and what they count, in about three quarters of the vector. */
static int set_vector(struct work *w, unsigned bits, int32_t *vector)
{
    const uint64_t size = (uint64_t)1 << bits, limbs = size / 4 * 3;

    const unsigned width[] = {4, 8, 16};

    w->lookup = (struct mbi_lookup){.bits = bits, .n = bits < 19 ? 2 : 3}; /* no room for 2^16 */
    for (unsigned k = 0; k < w->lookup.n; k++) {
        w->lookup.size[k] = 1u << width[k];
        w->lookup.begin[k + 1] = k + 1 == w->lookup.n ? limbs : limbs / (4 >> k);
    }
    MBI_EXT(lookup_place)(&w->lookup, limbs);
    if (MBI_EXT(lookup_fault)(&w->lookup))
        return 2;
    for (unsigned k = 0; k < w->lookup.n; k++)
        for (uint64_t x = w->lookup.begin[k]; x < w->lookup.begin[k + 1]; x++)
            vector[x] = (int32_t)((uint32_t)x * 2654435761u >> (32 - width[k]));
    w->table = (struct mbi_table){MBI_TABLE_I32, vector, (size_t)1 << bits};
    return MBI_EXT(lookup_count)(vector, &w->lookup) ? 0 : 2;
}

static int run(unsigned bits, struct work *w)
{
    const double n = (double)((size_t)1 << bits) * 1e-9;
    int32_t *vector = calloc((size_t)1 << bits, sizeof(*vector));
    int status = vector ? set_vector(w, bits, vector) : 2;

    for (size_t i = 0; mbi_field_kernels_at(i) && !status; i++) {
        w->kernels = mbi_field_kernels_at(i);
        if (!w->kernels->probe())
            continue;
        for (unsigned r = 0; r < ROUNDS && !status; r++)
            status = one_round(w, r);
        printf("%-6u %-9s %8zu %10.1f %10.1f %10.2f\n", bits, w->kernels->name,
               8 * MBI_EXT(lookup_size)(&w->lookup), median(w->cpu, ROUNDS) / n,
               median(w->wall, ROUNDS) / n, 1e3 * median(w->verify, ROUNDS));
        fflush(stdout);
    }
    free(vector);
    return status;
}

int main(int argc, char **argv)
{
    static const unsigned standard[] = {16, 20, 22};
    struct work w = {0};
    int status = mbi_hash_setup(NULL) < 0 ? 2 : 0;

    mbi_host_default(&w.one);
    mbi_host_default(&w.two);
    if (mbi_pool_create(&w.two.pool, &w.two, 2, NULL) < 0)
        return 2;
    printf("%-6s %-9s %8s %10s %10s %10s\n", "log N", "kernels", "bytes", "ns", "ns on two",
           "check ms");
    for (int i = 1; i < argc && !status; i++) {
        const unsigned long bits = strtoul(argv[i], NULL, 10);

        if (bits < 12 || bits > MBI_LOOKUP_BITS) {
            fputs(usage, stderr);
            status = 2;
        } else {
            status = run((unsigned)bits, &w);
        }
    }
    for (size_t i = 0; i < 3 && argc < 2 && !status; i++)
        status = run(standard[i], &w);
    mbi_pool_free(&w.two, w.two.pool);
    return status;
}

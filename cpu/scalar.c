/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar backend: the reference kernels as they stand in lib/op. */
#include "cpu/cpu.h"

void mbi_cpu_kernels_scalar(struct mbi_cpu_kernels *k)
{
    *k = (struct mbi_cpu_kernels){.packs = false};
    for (uint32_t op = 1; op < MBI_OP_END; op++)
        k->op[op] =
            (struct mbi_cpu_op){.name = mbi_op_table[op].name, .eval = mbi_op_table[op].def->eval};
}

static int32_t probe(void) { return 1; }

MBI_CPU_BACKEND_TABLE(mbi_cpu_kernels_scalar, &mbi_cpu_peaks_scalar)

const struct mbi_backend mbi_backend_scalar = {
    MBI_CPU_BACKEND_COMMON,
    .name = "scalar",
    .probe = probe,
};

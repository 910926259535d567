/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the x86 kernels; compiled once for each instruction set. */
#include "cpu/x86/x86.h"

#define ADDRESS(name) &MBI_X86(name),
static const struct mbi_cpu_pattern *const patterns[] = {MBI_X86_PATTERNS(ADDRESS) NULL};
#undef ADDRESS

void MBI_X86(fill)(struct mbi_cpu_kernels *k)
{
#define REPLACE(name) k->op[MBI_OP_##name].eval = MBI_X86(name);
    MBI_X86_KERNELS(REPLACE)
#undef REPLACE
    k->op[MBI_OP_matvec] = MBI_X86(matvec);
    k->op[MBI_OP_scan] = MBI_X86(scan);
    k->packs = true;
    k->pattern = patterns;
}

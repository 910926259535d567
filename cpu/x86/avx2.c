/* SPDX-License-Identifier: Apache-2.0 */
/* The avx2 backend: its table of kernels and the question whether this machine can run them. */
#include "cpu/x86/x86.h"

void mbi_cpu_kernels_avx2(struct mbi_cpu_kernels *k)
{
    mbi_cpu_kernels_scalar(k);
    mbi_avx2_fill(k);
}

/* The compiler's test reads CPUID and asks whether the system saves the wide registers. */
int32_t mbi_avx2_probe(void) { return __builtin_cpu_supports("avx2") ? 2 : 0; }

MBI_CPU_BACKEND_TABLE(mbi_cpu_kernels_avx2, &mbi_cpu_peaks_avx2)

const struct mbi_backend mbi_backend_avx2 = {
    MBI_CPU_BACKEND_COMMON,
    .name = "avx2",
    .probe = mbi_avx2_probe,
};

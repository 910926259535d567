/* SPDX-License-Identifier: Apache-2.0 */
/* The avx512 backend: its tables of kernels and the question what this machine can run. */
#include "cpu/x86/x86.h"

void mbi_cpu_kernels_avx512(struct mbi_cpu_kernels *k, bool vnni)
{
    mbi_cpu_kernels_scalar(k);
    mbi_avx512_fill(k);
    if (vnni)
        mbi_vnni_fill(k);
}

/* The compiler's tests read CPUID and ask whether the system saves the wide registers. */
int32_t mbi_avx512_probe(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? 3
               : 0;
}

static bool has_vnni(void) { return __builtin_cpu_supports("avx512vnni") != 0; }

static void fill(struct mbi_cpu_kernels *k) { mbi_cpu_kernels_avx512(k, has_vnni()); }

MBI_CPU_BACKEND_TABLE(fill, has_vnni() ? &mbi_cpu_peaks_avx512 : &mbi_cpu_peaks_avx2)

const struct mbi_backend mbi_backend_avx512 = {
    MBI_CPU_BACKEND_COMMON,
    .name = "avx512",
    .probe = mbi_avx512_probe,
};

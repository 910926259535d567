/* SPDX-License-Identifier: Apache-2.0 */
/* The neon backend: its tables of kernels and the question what this machine can run. */
#include "cpu/neon/neon.h"
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

void mbi_cpu_kernels_neon(struct mbi_cpu_kernels *k, bool dot)
{
    mbi_cpu_kernels_scalar(k);
#define REPLACE(name) k->op[MBI_OP_##name].eval = mbi_neon_##name;
    MBI_NEON_KERNELS(REPLACE)
#undef REPLACE
    k->op[MBI_OP_matvec] = mbi_neon_matvec;
    k->op[MBI_OP_scan] = mbi_neon_scan;
    k->packs = true;
#if MBI_HAVE_NEON_DOT
    if (dot)
        k->op[MBI_OP_matvec] = mbi_neon_matvec_dot;
#else
    (void)dot;
#endif
}

/* Where the system does not tell, what the compiler was told to rely on holds. */
bool mbi_cpu_has_dot(void)
{
#if !MBI_HAVE_NEON_DOT
    return false;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__ARM_FEATURE_DOTPROD)
    return true;
#else
    return false;
#endif
}

static int32_t probe(void)
{
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMD ? 2 : 0;
#else
    return 2; /* every 64-bit Arm that runs a system has these instructions */
#endif
}

static void fill(struct mbi_cpu_kernels *k) { mbi_cpu_kernels_neon(k, mbi_cpu_has_dot()); }

static const struct mbi_cpu_peaks *peaks(void)
{
#if MBI_HAVE_NEON_DOT
    if (mbi_cpu_has_dot())
        return &mbi_neon_peaks_dot;
#endif
    return &mbi_neon_peaks;
}

MBI_CPU_BACKEND_TABLE(fill, peaks())

const struct mbi_backend mbi_backend_neon = {
    MBI_CPU_BACKEND_COMMON,
    .name = "neon",
    .probe = probe,
};

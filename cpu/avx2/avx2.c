/* SPDX-License-Identifier: Apache-2.0 */
/* The avx2 backend: its table of kernels and the question whether this machine can run them. */
#include "cpu/avx2/avx2.h"

void mbi_cpu_kernels_avx2(struct mbi_cpu_kernels *k)
{
    mbi_cpu_kernels_scalar(k);
#define REPLACE(name) k->eval[MBI_OP_##name] = mbi_avx2_##name;
    MBI_AVX2_KERNELS(REPLACE)
#undef REPLACE
}

/* The compiler's test reads CPUID and asks whether the system saves the wide registers. */
static int32_t probe(void) { return __builtin_cpu_supports("avx2") ? 2 : 0; }

static int32_t image_new(struct mbi_image **out, const struct mbi_program *program,
                         struct mbi_weights *w, mambaint_error *err)
{
    struct mbi_cpu_kernels kernels = {{NULL}};

    mbi_cpu_kernels_avx2(&kernels);
    return mbi_cpu_image_new(out, program, w, &kernels, err);
}

const struct mbi_backend mbi_backend_avx2 = {
    MBI_CPU_BACKEND_COMMON,
    .name = "avx2",
    .probe = probe,
    .image_new = image_new,
};

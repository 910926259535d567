/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar backend: the reference kernels as they stand in lib/op. */
#include "cpu/cpu.h"

void mbi_cpu_kernels_scalar(struct mbi_cpu_kernels *k)
{
    for (uint32_t op = 1; op < MBI_OP_END; op++)
        k->eval[op] = mbi_op_table[op].def->eval;
}

static int32_t probe(void) { return 1; }

static int32_t image_new(struct mbi_image **out, const struct mbi_program *program,
                         struct mbi_weights *w, mambaint_error *err)
{
    struct mbi_cpu_kernels kernels = {{NULL}};

    mbi_cpu_kernels_scalar(&kernels);
    return mbi_cpu_image_new(out, program, w, &kernels, err);
}

const struct mbi_backend mbi_backend_scalar = {
    MBI_CPU_BACKEND_COMMON,
    .name = "scalar",
    .probe = probe,
    .image_new = image_new,
};

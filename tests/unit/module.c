/* SPDX-License-Identifier: Apache-2.0 */
/* A module for test_module.c: the scalar backend under another name, or with one thing wrong. */
#include "cpu/cpu.h"

#ifndef NAME
#define NAME "fake"
#endif
#ifndef ABI
#define ABI MBI_BACKEND_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(struct mbi_backend)
#endif
#ifndef OPS
#define OPS MBI_OP_LIST_TEXT
#endif
#ifndef SYMBOL
#define SYMBOL mbi_backend_module
#endif
#ifndef GIVEN
#define GIVEN (&fake)
#endif
#ifndef PROBE
#define PROBE 1
#endif

static int32_t probe(void) { return PROBE; }
static const char *why(void) { return "it is a fake without a device"; }

MBI_CPU_BACKEND_TABLE(mbi_cpu_kernels_scalar, &mbi_cpu_peaks_scalar)

static const struct mbi_backend fake = {
    .abi = ABI,
    .struct_size = SIZE,
    .op_list = OPS,
    .name = NAME,
    .probe = probe,
    .why = why,
    .weights_new = weights_new,
    .weights_update = mbi_cpu_weights_update,
    .weights_free = mbi_cpu_weights_free,
    .image_new = image_new,
    .image_free = mbi_cpu_image_free,
    .memory_new = memory_new,
    .memory_free = mbi_cpu_memory_free,
    .memory_read = mbi_cpu_memory_read,
    .memory_write = mbi_cpu_memory_write,
    .memory_copy = mbi_cpu_memory_copy,
    .run = mbi_cpu_run,
    .peek = mbi_cpu_peek,
    .profile = mbi_cpu_profile,
    .measure = measure,
};

mbi_backend_module_fn SYMBOL;

MBI_EXPORT const struct mbi_backend *SYMBOL(void)
{
    (void)fake;
    return GIVEN;
}

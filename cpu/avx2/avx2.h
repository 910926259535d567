/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the avx2 backend, one file per family as in lib/op. */
#ifndef MBI_CPU_AVX2_AVX2_H
#define MBI_CPU_AVX2_AVX2_H

#include "cpu/cpu.h"

/*
 * Each gives the bits of the operation's reference kernel, for any part [begin, end) and any
 * alignment. Types, shapes and ends that are not worth a vector go to the reference.
 */
#define MBI_AVX2_KERNELS(KERNEL)                                                                   \
    KERNEL(matvec)                                                                                 \
    KERNEL(requant)                                                                                \
    KERNEL(requant_rows)                                                                           \
    KERNEL(requant_mul)                                                                            \
    KERNEL(add)                                                                                    \
    KERNEL(addsat)                                                                                 \
    KERNEL(mul)                                                                                    \
    KERNEL(norm_rms)                                                                               \
    KERNEL(norm_shift)                                                                             \
    KERNEL(gate)                                                                                   \
    KERNEL(conv)                                                                                   \
    KERNEL(decay)                                                                                  \
    KERNEL(rotate)                                                                                 \
    KERNEL(scan)                                                                                   \
    KERNEL(argmax)

#define MBI_AVX2_DECLARE(name) void mbi_avx2_##name(const struct mbi_op_args *args);
MBI_AVX2_KERNELS(MBI_AVX2_DECLARE)
#undef MBI_AVX2_DECLARE

#endif

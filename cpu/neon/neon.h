/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the neon backend, one file per family as in lib/op. */
#ifndef MBI_CPU_NEON_NEON_H
#define MBI_CPU_NEON_NEON_H

#include "cpu/cpu.h"

/*
 * Each gives the bits of the operation's reference kernel, for any part [begin, end) and any
 * alignment. Types, shapes and ends that are not worth a vector go to the reference.
 */
#define MBI_NEON_KERNELS(KERNEL)                                                                   \
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
    KERNEL(argmax)

#define MBI_NEON_DECLARE(name) void mbi_neon_##name(const struct mbi_op_args *args);
MBI_NEON_KERNELS(MBI_NEON_DECLARE)
#undef MBI_NEON_DECLARE

/* Kernels with more than one function. matvec_dot needs the dot product instructions. */
extern const struct mbi_cpu_op mbi_neon_matvec;
extern const struct mbi_cpu_op mbi_neon_matvec_dot;
extern const struct mbi_cpu_op mbi_neon_scan;

/* The machine's peaks without and with those. */
uint64_t mbi_neon_read(const void *data, size_t bytes);
extern const struct mbi_cpu_peaks mbi_neon_peaks;
extern const struct mbi_cpu_peaks mbi_neon_peaks_dot;

#endif

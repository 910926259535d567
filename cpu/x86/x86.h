/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 kernels, one file per family as in lib/op. The same sources are compiled for AVX2, for
 * AVX-512 (more registers, the same eight lanes) and, where it matters, for AVX-512 with VNNI; the
 * names tell the results apart.
 */
#ifndef MBI_CPU_X86_X86_H
#define MBI_CPU_X86_X86_H

#include "cpu/cpu.h"

#if defined(__AVX512VNNI__)
#define MBI_X86(name) mbi_vnni_##name
#elif defined(__AVX512F__)
#define MBI_X86(name) mbi_avx512_##name
#else
#define MBI_X86(name) mbi_avx2_##name
#endif

/*
 * Each gives the bits of the operation's reference kernel, for any part [begin, end) and any
 * alignment. Types, shapes and ends that are not worth a vector go to the reference.
 */
#define MBI_X86_KERNELS(KERNEL)                                                                    \
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

/* Whether this machine and its system have the instructions; higher is better. */
int32_t mbi_avx2_probe(void);
int32_t mbi_avx512_probe(void);

/* Puts the kernels of one instruction set into a table that holds the reference's. */
void mbi_avx2_fill(struct mbi_cpu_kernels *k);
void mbi_avx512_fill(struct mbi_cpu_kernels *k);
void mbi_vnni_fill(struct mbi_cpu_kernels *k);

#define MBI_X86_DECLARE(name) void MBI_X86(name)(const struct mbi_op_args *args);
MBI_X86_KERNELS(MBI_X86_DECLARE)
#undef MBI_X86_DECLARE

/* Kernels with more than one function, and the patterns. */
extern const struct mbi_cpu_op MBI_X86(matvec);
extern const struct mbi_cpu_op MBI_X86(scan);
#define MBI_X86_PATTERNS(PATTERN)                                                                  \
    PATTERN(matvec_requant_addsat)                                                                 \
    PATTERN(matvec_requant)                                                                        \
    PATTERN(matvec_requant_rows_addsat)                                                            \
    PATTERN(matvec_requant_rows)                                                                   \
    PATTERN(matvec_requant_mul_addsat)                                                             \
    PATTERN(matvec_requant_mul)                                                                    \
    PATTERN(slice_conv_gate_requant)                                                               \
    PATTERN(conv_gate_requant)                                                                     \
    PATTERN(leave)

#define MBI_X86_DECLARE(name) extern const struct mbi_cpu_pattern MBI_X86(name);
MBI_X86_PATTERNS(MBI_X86_DECLARE)
#undef MBI_X86_DECLARE

#endif

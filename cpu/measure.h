/* SPDX-License-Identifier: Apache-2.0 */
/* Time in the CPU backends: what the machine reaches at best, and where a run's time goes. */
#ifndef MBI_CPU_MEASURE_H
#define MBI_CPU_MEASURE_H

#include "exec/backend.h"

#define MBI_PEAK_STEP 4096      /* blocks of memory are multiples of this, and aligned to 64 */
#define MBI_PEAK_OPERANDS 12288 /* bytes that matmul may read: they fit every first cache */

/*
 * The innermost loops of one instruction set, the best known exact ones: kernels are compared with
 * them, so they load, multiply and add, and nothing else. Bytes are in [-127, 127]; sums may wrap.
 * Each returns a number that hangs on all it did, so that no compiler can leave any of it out.
 */
struct mbi_cpu_peaks {
    uint64_t (*read)(const void *data, size_t bytes);
    uint64_t (*matvec)(const void *weights, size_t bytes); /* a multiply-add a byte */
    uint64_t (*matmul)(const void *operands, size_t rounds);
    size_t matmul_macs; /* multiply-adds of a round */
};

extern const struct mbi_cpu_peaks mbi_cpu_peaks_scalar;
extern const struct mbi_cpu_peaks mbi_cpu_peaks_avx2;
extern const struct mbi_cpu_peaks mbi_cpu_peaks_avx512; /* needs VNNI */

/* The `measure` of a backend with these loops. */
int32_t mbi_cpu_measure(uint64_t *value, const struct mbi_host *host, uint32_t what,
                        const struct mbi_cpu_peaks *peaks, mambaint_error *err);

uint64_t mbi_cpu_now(void); /* nanoseconds of a clock that never goes back */

#endif

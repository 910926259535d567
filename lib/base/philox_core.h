/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds of base/philox.h, where they are compiled into what calls them: as C and as CUDA. */
#ifndef MBI_BASE_PHILOX_CORE_H
#define MBI_BASE_PHILOX_CORE_H

#include "base/compiler.h"

MBI_INLINE void mbi_philox_core(uint32_t out[4], uint64_t key, uint64_t counter_lo,
                                uint64_t counter_hi)
{
    uint32_t x0 = (uint32_t)counter_lo, x1 = (uint32_t)(counter_lo >> 32);
    uint32_t x2 = (uint32_t)counter_hi, x3 = (uint32_t)(counter_hi >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);

    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)x0 * 0xD2511F53u;
        const uint64_t b = (uint64_t)x2 * 0xCD9E8D57u;

        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the golden ratio and the root of 3: Weyl steps of the key */
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/* mbi_philox_u64() */
MBI_INLINE uint64_t mbi_philox_core_u64(uint64_t key, uint64_t counter)
{
    uint32_t x[4];

    mbi_philox_core(x, key, counter, 0);
    return x[0] | (uint64_t)x[1] << 32;
}

#endif

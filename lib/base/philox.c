/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32 with ten rounds. */
#include "base/philox.h"
#include "base/philox_core.h"

void mbi_philox(uint32_t out[4], uint64_t key, uint64_t counter_lo, uint64_t counter_hi)
{
    mbi_philox_core(out, key, counter_lo, counter_hi);
}

uint64_t mbi_philox_u64(uint64_t key, uint64_t counter)
{
    return mbi_philox_core_u64(key, counter);
}

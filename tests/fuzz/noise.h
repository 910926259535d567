/* SPDX-License-Identifier: Apache-2.0 */
/* Noise of the fuzz programs: the same for a seed, on every machine. */
#ifndef MBI_TESTS_FUZZ_NOISE_H
#define MBI_TESTS_FUZZ_NOISE_H

#include "base/philox.h"
#include <stdbool.h>

struct noise {
    uint64_t seed, n; /* n: how many numbers were drawn */
};

/* Below `below`, which is not 0. */
static inline uint64_t draw(struct noise *z, uint64_t below)
{
    return mbi_philox_u64(z->seed, z->n++) % below;
}

static inline bool chance(struct noise *z, uint64_t one_in) { return draw(z, one_in) == 0; }

#endif

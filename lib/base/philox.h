/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32-10, a counter-based generator (Salmon et al., SC 2011): no state, any order. */
#ifndef MBI_BASE_PHILOX_H
#define MBI_BASE_PHILOX_H

#include <stdint.h>

/* out = the 128-bit block of (key, counter); words are little end first. */
void mbi_philox(uint32_t out[4], uint64_t key, uint64_t counter_lo, uint64_t counter_hi);

/* The first 64 bits of the block of (key, counter). */
uint64_t mbi_philox_u64(uint64_t key, uint64_t counter);

#endif

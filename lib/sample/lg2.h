/* SPDX-License-Identifier: Apache-2.0 */
/* Base-2 logarithm in integers, and what a token costs. docs/arithmetic.md, "Evaluation". */
#ifndef MBI_SAMPLE_LG2_H
#define MBI_SAMPLE_LG2_H

#include <stddef.h>
#include <stdint.h>

/* log2(e) in Q16: turns logits, which are natural logarithms, into base-2 exponents. */
#define MBI_LOG2E_Q16 94548u

/* Exponents from here on weigh nothing: ex2w(2^21) = 0. */
#define MBI_EXPONENT_CAP ((uint32_t)1 << 21)

/*
 * lg2: log2(x) in Q16, rounded; x >= 1. The result differs from the true value by less than
 * 0.5002 units, and not at all where x is a power of two.
 */
int64_t mbi_lg2(uint64_t x);

/*
 * -log2 of the probability of `id` under n logits (i32 Q12, |z| < 2^28), in Q16: at least 0, below
 * 2^34 (u < 2^34 - 2^33 for logits of 28 bits, and the normaliser adds at most 17 units of one).
 */
int64_t mbi_token_cost(const int32_t *logits, size_t n, int32_t id);

#endif

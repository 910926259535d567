/* SPDX-License-Identifier: Apache-2.0 */
/* Base-2 logarithm by repeated squaring, and the cost of a token. */
#include "sample/lg2.h"
#include "base/intmath.h"

#define BITS 17 /* of the fraction: one more than the result, to round by */

/*
 * x = 2^n m with m in [1, 2), kept in Q31. Squaring m doubles its logarithm, whose whole part is
 * the next bit. A step drops less than 2^-31 of m by the shift and 2^-32 by halving, that is
 * 1.5 * 1.443 * 2^-31 of the logarithm, and step k weighs 2^-k; cutting x to 32 bits drops
 * 1.443 * 2^-31 more: in all under 3.7 * 2^-31, or 0.0002 units of Q16 below the true value before
 * rounding. m * m < 2^64.
 */
int64_t mbi_lg2(uint64_t x)
{
    const int n = mbi_bitlen(x) - 1;
    uint64_t m = n > 31 ? x >> (n - 31) : x << (31 - n);
    int64_t y = n;

    for (int k = 0; k < BITS; k++) {
        const uint64_t square = m * m;
        const int one = (int)(square >> 63);

        m = square >> (31 + one);
        y = 2 * y + one;
    }
    return mbi_rshift_half_up(y, 1);
}

/*
 * Cost = u_id + lg2(sum of ex2w(u) / 2^30), u = ((z_max - z) * log2(e)) >> 12. z_max - z < 2^29, so
 * the product is below 2^46. The sum is at least ex2w(0) = 2^30, so the cost is not negative; it is
 * at most 2^30 * n.
 */
int64_t mbi_token_cost(const int32_t *logits, size_t n, int32_t id)
{
    int32_t max = logits[0];
    uint64_t sum = 0;

    for (size_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) {
        const uint64_t u = ((uint64_t)((int64_t)max - logits[i]) * MBI_LOG2E_Q16) >> 12;

        sum += mbi_ex2w((uint32_t)(u < MBI_EXPONENT_CAP ? u : MBI_EXPONENT_CAP));
    }
    return (int64_t)(((uint64_t)((int64_t)max - logits[id]) * MBI_LOG2E_Q16) >> 12) + mbi_lg2(sum) -
           ((int64_t)30 << 16);
}

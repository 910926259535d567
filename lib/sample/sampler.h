/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded choice of a token from logits, in integers: the same token on every machine.
 * docs/arithmetic.md, "Sampling", is the normative text.
 */
#ifndef MBI_SAMPLE_SAMPLER_H
#define MBI_SAMPLE_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#define MBI_TOP_P_OFF 65536u
#define MBI_REPEAT_PENALTY_MAX ((int32_t)1000 << 12)
#define MBI_RECENT_MAX 256 /* ids that a penalty can look back to */

struct mbi_sampler {
    uint64_t seed;
    uint32_t temperature;   /* Q8, at most 65535; 0 takes the likeliest */
    uint32_t top_k;         /* 0: off */
    uint32_t top_p;         /* Q16, at most 65536; 65536: off */
    uint32_t min_p;         /* Q16, at most 65536; 0: off */
    int32_t repeat_penalty; /* Q12, 0 to MBI_REPEAT_PENALTY_MAX */
};

/*
 * Choose the token at absolute position `pos` from n logits (i32 Q12 of at most 28 bits,
 * 1 <= n <= 2^17). The penalty is subtracted once from each id among `recent`. `work` has room for
 * n numbers. Time is linear in n, whatever the logits and the settings.
 */
int32_t mbi_sample(const struct mbi_sampler *set, int32_t *work, const int32_t *logits, size_t n,
                   const int32_t *recent, size_t n_recent, uint64_t pos);

#endif

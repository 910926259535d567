/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a token is chosen: penalty, temperature, top-k, top-p, min-p, draw. Nothing is sorted: what
 * the order is asked for is always the first place where a running sum along it reaches a goal, and
 * that is found by sums over ranges of logits, then over parts of the one range that matters. Equal
 * logits have equal weights, so among them the place is a quotient.
 *
 * Compiles as C and as CUDA. Who includes it has defined MBI_CHOOSE, which every function here
 * begins with ("static", or what a device puts before it), and defines the four walks over
 * candidates and sums that are declared below: lib/sample/sampler.c as loops, cuda/draw.cu by all
 * threads of a block, where each of them follows the same path through this file.
 */
#ifndef MBI_SAMPLE_CHOOSE_H
#define MBI_SAMPLE_CHOOSE_H

#include "base/intmath.h"
#include "base/philox_core.h"
#include "sample/lg2.h"
#include "sample/sampler.h"

/*
 * Candidates are known by their distance from the best one: d = best - z, below 2^30 (28-bit
 * logits and penalties below 2^22). Their order is d ascending, then id ascending.
 */
struct mbi_field {
    const int32_t *z; /* by id */
    size_t n;
    int32_t best;
    uint32_t kappa;
};

/* Sums of the candidates with d in [lo, lo + size), by parts of it that are 2^shift wide. */
#define MBI_PARTS 1024u /* of a range */
struct mbi_sums {
    uint64_t *part; /* [MBI_PARTS]; at most 2^17 weights of 2^30, or 2^17 ones */
    uint64_t lo, size;
    int shift;
};

/* The distance at which a sum along the order reaches a goal. */
struct mbi_place {
    uint64_t d;
    uint64_t before, here; /* sums of all that are nearer, and of those at d */
};

/* ---- the walks ---- */

/* Add what the candidates weigh, or 1 for each of them, to the part that their distance is in. The
 * range of s is set; its parts hold anything. */
MBI_CHOOSE void mbi_sums_fill(const struct mbi_sums *s, const struct mbi_field *f, bool ones);
/* The sum of all parts. */
MBI_CHOOSE uint64_t mbi_sums_total(const struct mbi_sums *s);
/* The first part at which a sum that begins with *before reaches the goal; *before is then the sum
 * in front of it, *here its own. There is one. */
MBI_CHOOSE uint32_t mbi_sums_part(uint64_t *before, uint64_t *here, const struct mbi_sums *s,
                                  uint64_t goal);
/* Id of the candidate number `nth`, from 1 on, of those with this logit. */
MBI_CHOOSE int32_t mbi_field_nth(const struct mbi_field *f, int32_t z, uint64_t nth);

/* ---- weights ---- */

MBI_INLINE uint64_t mbi_field_distance(const struct mbi_field *f, size_t i)
{
    return (uint32_t)(f->best - f->z[i]);
}

/*
 * p = ex2w(u), u = (d * kappa) >> 12 capped. kappa <= 94548 * 256 < 2^25: the product is below
 * 2^55. Weights never rise with d.
 */
MBI_INLINE uint64_t mbi_field_weight(const struct mbi_field *f, uint64_t d)
{
    const uint64_t u = (d * f->kappa) >> 12;

    return mbi_ex2w((uint32_t)(u < MBI_EXPONENT_CAP ? u : MBI_EXPONENT_CAP));
}

/* A distance from which on weights are zero. kappa is not: the temperature is below 2^16. */
MBI_INLINE uint64_t mbi_field_weightless(const struct mbi_field *f)
{
    return (((uint64_t)MBI_EXPONENT_CAP << 12) + f->kappa - 1) / f->kappa;
}

/* The least distance that min-p leaves out: p * 2^16 < min_p * 2^30. It keeps the best. */
MBI_INLINE uint64_t mbi_field_too_light(const struct mbi_field *f, uint32_t min_p)
{
    uint64_t stays = 0, goes = mbi_field_weightless(f);

    while (goes - stays > 1) {
        const uint64_t mid = stays + (goes - stays) / 2;

        if (mbi_field_weight(f, mid) << 16 < (uint64_t)min_p << 30)
            goes = mid;
        else
            stays = mid;
    }
    return goes;
}

/* Floor of a * b / 2^64, by halves of 32 bits. */
MBI_INLINE uint64_t mbi_high_product(uint64_t a, uint64_t b)
{
    const uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
    const uint64_t x = a1 * b0, y = a0 * b1;
    const uint64_t middle = ((a0 * b0) >> 32) + (uint32_t)x + (uint32_t)y;

    return a1 * b1 + (x >> 32) + (y >> 32) + (middle >> 32);
}

/* ---- sums along the order ---- */

MBI_CHOOSE void mbi_sums_make(struct mbi_sums *s, const struct mbi_field *f, uint64_t lo,
                              uint64_t size, bool ones)
{
    s->lo = lo;
    s->size = size;
    s->shift = 0;
    while ((size - 1) >> s->shift >= MBI_PARTS)
        s->shift++;
    mbi_sums_fill(s, f, ones);
}

/* goal is at most the sum of all in `first`, which begins at distance 0; `finer` is room. */
MBI_CHOOSE struct mbi_place mbi_sums_find(const struct mbi_sums *first, struct mbi_sums *finer,
                                          const struct mbi_field *f, bool ones, uint64_t goal)
{
    const struct mbi_sums *s = first;
    struct mbi_place place = {0, 0, 0};

    for (;;) {
        place.d =
            s->lo + ((uint64_t)mbi_sums_part(&place.before, &place.here, s, goal) << s->shift);
        if (!s->shift)
            return place;
        mbi_sums_make(finer, f, place.d, (uint64_t)1 << s->shift, ones);
        s = finer;
    }
}

/* How many of the equals at the place it takes to reach the goal. */
MBI_CHOOSE uint64_t mbi_equals_needed(const struct mbi_field *f, const struct mbi_place *p,
                                      uint64_t goal)
{
    const uint64_t each = mbi_field_weight(f, p->d);

    return (goal - p->before + each - 1) / each;
}

/* ---- the settings ---- */

/*
 * top-k, min-p and top-p. Fills `s` with all weights that a draw can reach, and returns the sum of
 * those that are kept: a draw below it stays among them. total << 16 fits in u64.
 */
MBI_CHOOSE uint64_t mbi_choose_keep(struct mbi_sums *s, struct mbi_sums *finer,
                                    const struct mbi_field *f, const struct mbi_sampler *set)
{
    const uint64_t light =
        set->min_p ? mbi_field_too_light(f, set->min_p) : mbi_field_weightless(f);
    uint64_t end = mbi_field_weightless(f), total, goal;
    struct mbi_place last = {end, 0, 0};

    if (set->top_p >= MBI_TOP_P_OFF)
        end = light;
    if (set->top_k && set->top_k < f->n) {
        mbi_sums_make(s, f, 0, end, true);
        if (mbi_sums_total(s) >= set->top_k) {
            last = mbi_sums_find(s, finer, f, true, set->top_k);
            end = last.d + 1;
        }
    }
    mbi_sums_make(s, f, 0, end, false);
    total = mbi_sums_total(s);
    if (last.d < end) /* of those at the last distance some may be too many */
        total -= (last.before + last.here - set->top_k) * mbi_field_weight(f, last.d);
    if (set->top_p >= MBI_TOP_P_OFF)
        return total;
    /*
     * The shortest prefix with sum * 2^16 >= top_p * total. If that is none, the sum is zero, and
     * the draw takes the first candidate.
     */
    goal = (set->top_p * total + 65535) >> 16;
    last = mbi_sums_find(s, finer, f, false, goal);
    if (last.d >= light) {
        mbi_sums_make(finer, f, 0, light, false);
        return mbi_sums_total(finer);
    }
    return last.before + mbi_equals_needed(f, &last, goal) * mbi_field_weight(f, last.d);
}

/* The token at `pos` from candidates whose best is known; `s` and `finer` have parts, and nothing
 * else yet. */
MBI_CHOOSE int32_t mbi_choose(struct mbi_field *f, struct mbi_sums *s, struct mbi_sums *finer,
                              const struct mbi_sampler *set, uint64_t pos)
{
    struct mbi_place place;
    uint64_t goal;

    if (!set->temperature)
        return mbi_field_nth(f, f->best, 1);
    f->kappa = (MBI_LOG2E_Q16 << 8) / set->temperature;
    goal = mbi_choose_keep(s, finer, f, set);
    goal = mbi_high_product(mbi_philox_core_u64(set->seed, pos), goal) + 1;
    /* the first whose running sum exceeds goal - 1 */
    place = mbi_sums_find(s, finer, f, false, goal);
    return mbi_field_nth(f, f->best - (int32_t)place.d, mbi_equals_needed(f, &place, goal));
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampler: penalty, temperature, top-k, top-p, min-p, draw. Nothing is sorted: what the order
 * is asked for is always the first place where a running sum along it reaches a goal, and that is
 * found by sums over ranges of logits, then over parts of the one range that matters. Equal logits
 * have equal weights, so among them the place is a quotient.
 */
#include "sample/sampler.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "sample/lg2.h"
#include <string.h>

#define PARTS 1024u /* of a range */

/*
 * Candidates are known by their distance from the best one: d = best - z, below 2^30 (28-bit
 * logits and penalties below 2^22). Their order is d ascending, then id ascending.
 */
struct field {
    const int32_t *z; /* by id */
    size_t n;
    int32_t best;
    uint32_t kappa;
};

static uint64_t distance(const struct field *f, size_t i) { return (uint32_t)(f->best - f->z[i]); }

/*
 * p = ex2w(u), u = (d * kappa) >> 12 capped. kappa <= 94548 * 256 < 2^25: the product is below
 * 2^55. Weights never rise with d.
 */
static uint64_t weight(const struct field *f, uint64_t d)
{
    const uint64_t u = (d * f->kappa) >> 12;

    return mbi_ex2w((uint32_t)(u < MBI_EXPONENT_CAP ? u : MBI_EXPONENT_CAP));
}

/* A distance from which on weights are zero. kappa is not: the temperature is below 2^16. */
static uint64_t weightless(const struct field *f)
{
    return (((uint64_t)MBI_EXPONENT_CAP << 12) + f->kappa - 1) / f->kappa;
}

/* The least distance that min-p leaves out: p * 2^16 < min_p * 2^30. It keeps the best. */
static uint64_t too_light(const struct field *f, uint32_t min_p)
{
    uint64_t stays = 0, goes = weightless(f);

    while (goes - stays > 1) {
        const uint64_t mid = stays + (goes - stays) / 2;

        if (weight(f, mid) << 16 < (uint64_t)min_p << 30)
            goes = mid;
        else
            stays = mid;
    }
    return goes;
}

/* ---- sums along the order ---- */

/* Sums of the candidates with d in [lo, lo + size), by parts of it that are 2^shift wide. */
struct sums {
    uint64_t part[PARTS]; /* at most 2^17 weights of 2^30, or 2^17 ones */
    uint64_t lo, size;
    int shift;
};

static void set_range(struct sums *s, uint64_t lo, uint64_t size)
{
    *s = (struct sums){.lo = lo, .size = size};
    while ((size - 1) >> s->shift >= PARTS)
        s->shift++;
}

static void add_weights(struct sums *s, const struct field *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const uint64_t at = distance(f, i) - s->lo; /* wraps around below lo */

        if (at < s->size)
            s->part[at >> s->shift] += weight(f, s->lo + at);
    }
}

static void add_ones(struct sums *s, const struct field *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const uint64_t at = distance(f, i) - s->lo;

        if (at < s->size)
            s->part[at >> s->shift]++;
    }
}

static uint64_t total_of(const struct sums *s)
{
    uint64_t total = 0;

    for (size_t k = 0; k < PARTS; k++)
        total += s->part[k];
    return total;
}

/* The distance at which a sum along the order reaches a goal. */
struct place {
    uint64_t d;
    uint64_t before, here; /* sums of all that are nearer, and of those at d */
};

/* goal is at most the sum of all in `first`, which `add` filled from distance 0 on. */
static struct place find(const struct field *f, const struct sums *first,
                         void (*add)(struct sums *s, const struct field *f), uint64_t goal)
{
    const struct sums *s = first;
    uint64_t before = 0;
    struct sums finer;

    for (;;) {
        uint64_t lo = s->lo;
        size_t k = 0;

        for (; before + s->part[k] < goal; k++)
            before += s->part[k];
        lo += (uint64_t)k << s->shift;
        if (!s->shift)
            return (struct place){lo, before, s->part[k]};
        set_range(&finer, lo, (uint64_t)1 << s->shift);
        add(&finer, f);
        s = &finer;
    }
}

/* How many of the equals at the place it takes to reach the goal. */
static uint64_t equals_needed(const struct field *f, const struct place *p, uint64_t goal)
{
    const uint64_t each = weight(f, p->d);

    return (goal - p->before + each - 1) / each;
}

/* ---- the settings ---- */

/* Sum of the weights of what is nearer than `end`. */
static uint64_t sum_below(const struct field *f, uint64_t end)
{
    struct sums s;

    set_range(&s, 0, end);
    add_weights(&s, f);
    return total_of(&s);
}

/*
 * top-k, min-p and top-p. Fills `s` with all weights that a draw can reach, and returns the sum of
 * those that are kept: a draw below it stays among them. total << 16 fits in u64.
 */
static uint64_t keep(struct sums *s, const struct field *f, const struct mbi_sampler *set)
{
    const uint64_t light = set->min_p ? too_light(f, set->min_p) : weightless(f);
    uint64_t end = weightless(f), total, goal;
    struct place last = {.d = end};

    if (set->top_p >= MBI_TOP_P_OFF)
        end = light;
    if (set->top_k && set->top_k < f->n) {
        set_range(s, 0, end);
        add_ones(s, f);
        if (total_of(s) >= set->top_k) {
            last = find(f, s, add_ones, set->top_k);
            end = last.d + 1;
        }
    }
    set_range(s, 0, end);
    add_weights(s, f);
    total = total_of(s);
    if (last.d < end) /* of those at the last distance some may be too many */
        total -= (last.before + last.here - set->top_k) * weight(f, last.d);
    if (set->top_p >= MBI_TOP_P_OFF)
        return total;
    /*
     * The shortest prefix with sum * 2^16 >= top_p * total. If that is none, the sum is zero, and
     * the draw takes the first candidate.
     */
    goal = (set->top_p * total + 65535) >> 16;
    last = find(f, s, add_weights, goal);
    if (last.d >= light)
        return sum_below(f, light);
    return last.before + equals_needed(f, &last, goal) * weight(f, last.d);
}

/* Floor of a * b / 2^64, by halves of 32 bits. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    const uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
    const uint64_t x = a1 * b0, y = a0 * b1;
    const uint64_t middle = ((a0 * b0) >> 32) + (uint32_t)x + (uint32_t)y;

    return a1 * b1 + (x >> 32) + (y >> 32) + (middle >> 32);
}

/* Id of the candidate number `nth`, from 1 on, of those with this logit. */
static int32_t nth_id(const struct field *f, int32_t z, uint64_t nth)
{
    size_t i = 0;

    while (f->z[i] != z || --nth)
        i++;
    return (int32_t)i;
}

/* Ids may be recent twice: each is set from its logit, so the penalty is subtracted once. */
static const int32_t *penalise(int32_t *work, const struct mbi_sampler *set, const int32_t *logits,
                               size_t n, const int32_t *recent, size_t n_recent)
{
    if (!set->repeat_penalty || !n_recent)
        return logits;
    memcpy(work, logits, n * sizeof(*work));
    for (size_t i = 0; i < n_recent; i++)
        work[recent[i]] = logits[recent[i]] - set->repeat_penalty;
    return work;
}

int32_t mbi_sample(const struct mbi_sampler *set, int32_t *work, const int32_t *logits, size_t n,
                   const int32_t *recent, size_t n_recent, uint64_t pos)
{
    struct field f = {.z = penalise(work, set, logits, n, recent, n_recent), .n = n};
    struct place place;
    struct sums s;
    uint64_t goal;

    f.best = f.z[0];
    for (size_t i = 1; i < n; i++)
        f.best = f.z[i] > f.best ? f.z[i] : f.best;
    if (!set->temperature)
        return nth_id(&f, f.best, 1);
    f.kappa = (MBI_LOG2E_Q16 << 8) / set->temperature;
    goal = keep(&s, &f, set);
    goal = high_product(mbi_philox_u64(set->seed, pos), goal) + 1;
    place = find(&f, &s, add_weights, goal); /* the first whose running sum exceeds goal - 1 */
    return nth_id(&f, f.best - (int32_t)place.d, equals_needed(&f, &place, goal));
}

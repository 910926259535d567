/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler: penalty, order, temperature, top-k, top-p, min-p, draw. */
#include "sample/sampler.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "sample/lg2.h"

/*
 * A candidate is one number that sorts as the order asks: logit descending, then id ascending.
 * High half: the logit with its sign bit turned. Low half: the id, complemented.
 */
static uint64_t candidate(int32_t z, size_t id)
{
    return (uint64_t)((uint32_t)z ^ 0x80000000u) << 32 | (0xffffffffu - (uint32_t)id);
}

static int32_t candidate_id(uint64_t c) { return (int32_t)(0xffffffffu - (uint32_t)c); }

/*
 * Candidates as a heap: [0, left) is a heap whose top is the best that is left; what was taken
 * lies behind it, the first taken last. So the i-th of the order costs one sift, and what nobody
 * asks for is never sorted.
 */
struct order {
    uint64_t *c;
    size_t n, left;
    uint64_t best; /* high half of the first candidate */
    uint32_t kappa;
};

static void sift(uint64_t *c, size_t n, size_t i)
{
    const uint64_t x = c[i];

    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && c[k + 1] > c[k])
            k++;
        if (c[k] <= x)
            break;
        c[i] = c[k];
    }
    c[i] = x;
}

/* The i-th of the order, i at most one more than was ever asked for before. */
static uint64_t ranked(struct order *o, size_t i)
{
    if (i >= o->n - o->left) {
        const uint64_t top = o->c[0];

        o->left--;
        o->c[0] = o->c[o->left];
        sift(o->c, o->left, 0);
        o->c[o->left] = top;
    }
    return o->c[o->n - 1 - i];
}

/*
 * p = ex2w(u), u = ((z_max - z) * kappa) >> 12 capped. z_max - z < 2^30 (28-bit logits and
 * penalties below 2^22) and kappa <= 94548 * 256 < 2^25: the product is below 2^55.
 */
static uint64_t weight(const struct order *o, uint64_t c)
{
    const uint64_t u = ((o->best - (c >> 32)) * o->kappa) >> 12;

    return mbi_ex2w((uint32_t)(u < MBI_EXPONENT_CAP ? u : MBI_EXPONENT_CAP));
}

static bool seen_before(const int32_t *recent, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (recent[k] == recent[i])
            return true;
    return false;
}

static void fill(uint64_t *c, const struct mbi_sampler *set, const int32_t *logits, size_t n,
                 const int32_t *recent, size_t n_recent)
{
    for (size_t i = 0; i < n; i++)
        c[i] = candidate(logits[i], i);
    if (!set->repeat_penalty)
        return;
    for (size_t i = 0; i < n_recent; i++) {
        const size_t id = (size_t)recent[i];

        if (!seen_before(recent, i))
            c[id] = candidate(logits[id] - set->repeat_penalty, id);
    }
}

/* Floor of a * b / 2^64, by halves of 32 bits. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    const uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
    const uint64_t x = a1 * b0, y = a0 * b1;
    const uint64_t middle = ((a0 * b0) >> 32) + (uint32_t)x + (uint32_t)y;

    return a1 * b1 + (x >> 32) + (y >> 32) + (middle >> 32);
}

/* Sum of the weights after top-k. At most 2^30 * 2^17, so that sums times 2^16 fit in u64. */
static uint64_t total_of(struct order *o, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += weight(o, count < o->n ? ranked(o, i) : o->c[i]);
    return total;
}

/*
 * top-p: the shortest prefix with sum * 2^16 >= top_p * total. min-p: of it those with
 * p * 2^16 >= min_p * p_max, p_max = ex2w(0) = 2^30; weights fall along the order, so that is a
 * prefix again.
 * The first candidate always stays. Returns the sum of what is left.
 */
static uint64_t cut(struct order *o, const struct mbi_sampler *set, size_t count, uint64_t total)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        const uint64_t p = weight(o, ranked(o, i));

        if (i && p << 16 < (uint64_t)set->min_p << 30)
            break;
        sum += p;
        if (sum << 16 >= set->top_p * total)
            break;
    }
    return sum;
}

int32_t mbi_sample(const struct mbi_sampler *set, uint64_t *work, const int32_t *logits, size_t n,
                   const int32_t *recent, size_t n_recent, uint64_t pos)
{
    const size_t count = set->top_k ? mbi_min_size(set->top_k, n) : n;
    struct order o = {.c = work, .n = n, .left = n};
    uint64_t best, total, sum = 0, x;

    fill(work, set, logits, n, recent, n_recent);
    best = work[0];
    for (size_t i = 1; i < n; i++)
        best = work[i] > best ? work[i] : best;
    if (!set->temperature)
        return candidate_id(best);

    for (size_t i = n / 2; i-- > 0;)
        sift(work, n, i);
    o.best = best >> 32;
    o.kappa = (MBI_LOG2E_Q16 << 8) / set->temperature;
    total = total_of(&o, count);
    if (set->top_p < MBI_TOP_P_OFF || set->min_p)
        total = cut(&o, set, count, total);
    x = high_product(mbi_philox_u64(set->seed, pos), total);
    for (size_t i = 0;; i++) { /* x < total: ends before the sum does */
        const uint64_t c = ranked(&o, i);

        if ((sum += weight(&o, c)) > x)
            return candidate_id(c);
    }
}

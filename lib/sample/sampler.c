/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler on the host: the penalty, and the walks of sample/choose.h as loops. */
#include "sample/sampler.h"
#include <stdbool.h>
#include <string.h>

#define MBI_CHOOSE static
#include "sample/choose.h"

/* ---- sums along the order ---- */

/* Sums, their range and n are of one type; as copies they need not be read again after each sum. */
static void add_weights(const struct mbi_sums *sums, const struct mbi_field *field)
{
    const struct mbi_sums s = *sums;
    const struct mbi_field f = *field;

    for (size_t i = 0; i < f.n; i++) {
        const uint64_t at = mbi_field_distance(&f, i) - s.lo; /* wraps around below lo */

        if (at < s.size)
            s.part[at >> s.shift] += mbi_field_weight(&f, s.lo + at);
    }
}

static void add_ones(const struct mbi_sums *sums, const struct mbi_field *field)
{
    const struct mbi_sums s = *sums;
    const struct mbi_field f = *field;

    for (size_t i = 0; i < f.n; i++) {
        const uint64_t at = mbi_field_distance(&f, i) - s.lo;

        if (at < s.size)
            s.part[at >> s.shift]++;
    }
}

static void mbi_sums_fill(const struct mbi_sums *s, const struct mbi_field *f, bool ones)
{
    memset(s->part, 0, MBI_PARTS * sizeof(*s->part));
    if (ones)
        add_ones(s, f);
    else
        add_weights(s, f);
}

static uint64_t mbi_sums_total(const struct mbi_sums *s)
{
    uint64_t total = 0;

    for (size_t k = 0; k < MBI_PARTS; k++)
        total += s->part[k];
    return total;
}

static uint32_t mbi_sums_part(uint64_t *before, uint64_t *here, const struct mbi_sums *s,
                              uint64_t goal)
{
    uint32_t k = 0;

    for (; *before + s->part[k] < goal; k++)
        *before += s->part[k];
    *here = s->part[k];
    return k;
}

static int32_t mbi_field_nth(const struct mbi_field *f, int32_t z, uint64_t nth)
{
    size_t i = 0;

    while (f->z[i] != z || --nth)
        i++;
    return (int32_t)i;
}

/* ---- the choice ---- */

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
    struct mbi_field f = {.z = penalise(work, set, logits, n, recent, n_recent), .n = n};
    uint64_t part[2][MBI_PARTS];
    struct mbi_sums s = {.part = part[0]}, finer = {.part = part[1]};

    f.best = f.z[0];
    for (size_t i = 1; i < n; i++)
        f.best = f.z[i] > f.best ? f.z[i] : f.best;
    return mbi_choose(&f, &s, &finer, set, pos);
}

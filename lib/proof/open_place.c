/* SPDX-License-Identifier: Apache-2.0 */
/* Openings: where blocks lie in the stack. A verifier asks for the places of tens of thousands. */
#include "proof/open.h"
#if MBI_HAVE_SODIUM

#define OWN ((size_t)1 << MBI_PLACE_GROUP)

/* Behind each other for every number of coordinates k of a group: 2^k entries from 2^k on. */
static void fill(struct mbi_ext *table, const struct mbi_ext *z, unsigned n)
{
    table[1] = mbi_ext_from(1);
    for (unsigned k = 0; k < n; k++)
        for (size_t x = (size_t)1 << k; x < (size_t)2 << k; x++) {
            table[2 * x + 1] = mbi_ext_mul(table[x], z[k]);
            table[2 * x] = mbi_ext_sub(table[x], table[2 * x + 1]);
        }
}

void MBI_EXT(open_places_init)(struct mbi_open_places *p, const struct mbi_ext *alpha, unsigned n)
{
    for (unsigned at = 0, g = 0; at < n; at += MBI_PLACE_GROUP, g++)
        fill(p->table[g], alpha + at, n - at < MBI_PLACE_GROUP ? n - at : MBI_PLACE_GROUP);
}

/* Of whole groups. */
static struct mbi_ext first_groups(const struct mbi_open_places *p, unsigned groups, uint64_t place)
{
    struct mbi_ext r = mbi_ext_from(1);

    for (unsigned g = 0; g < groups; g++) {
        const unsigned behind = (groups - 1 - g) * MBI_PLACE_GROUP;
        const struct mbi_ext x = p->table[g][OWN + (place >> behind & (OWN - 1))];

        r = g ? mbi_ext_mul(r, x) : x;
    }
    return r;
}

struct mbi_ext MBI_EXT(open_place)(struct mbi_open_place *last, const struct mbi_open_places *p,
                                   unsigned bits, uint64_t place)
{
    const unsigned groups = bits ? (bits - 1) / MBI_PLACE_GROUP : 0;
    const unsigned left = bits - groups * MBI_PLACE_GROUP;
    const uint64_t own = (uint64_t)1 << left;
    struct mbi_ext x;

    if (!bits)
        return mbi_ext_from(1);
    x = p->table[groups][own + (place & (own - 1))];
    if (!groups)
        return x;
    if (last->bits != bits - left || last->place != place >> left)
        *last = (struct mbi_open_place){bits - left, place >> left,
                                        first_groups(p, groups, place >> left)};
    return mbi_ext_mul(last->value, x);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Random letters, indices, views and results of relations; compiled for each MBI_EXT_D. */
#ifndef MBI_TESTS_LETTERS_CASE_H
#define MBI_TESTS_LETTERS_CASE_H

#include "base/intmath.h"
#include "ext_test.h"
#include "proof/plan.h"

#define MAX_RANGE 9 /* of a letter */

static inline unsigned range_bits(uint32_t n) { return (unsigned)mbi_bitlen(n - 1); }

static inline void random_ranges(uint32_t *range, uint32_t n, struct test_random *r)
{
    for (uint32_t k = 0; k < n; k++)
        range[k] =
            random_size(r, 3) ? 1 + (uint32_t)random_size(r, MAX_RANGE) : 1u << random_size(r, 4);
}

/* Letters that are not in `used` as fields of an index, lowest first or one of them. */
static inline struct mbi_axis random_axis(uint32_t *used, const uint32_t *range, uint32_t n_letters,
                                          int axis, uint32_t picks, struct test_random *r)
{
    struct mbi_axis a = {.from = 0};
    uint8_t at = (uint8_t)random_size(r, 2);

    for (size_t tries = random_size(r, 5); tries && a.n_fields < MBI_FIELDS; tries--) {
        const uint8_t k = (uint8_t)random_size(r, n_letters);

        if (*used >> k & 1)
            continue;
        *used |= 1u << k;
        a.field[a.n_fields++] = (struct mbi_field){k, at};
        at = (uint8_t)(at + range_bits(range[k]) + random_size(r, 2));
    }
    if (a.n_fields == 1 && random_size(r, 3))
        a.field[0].shift = 0;
    if (a.n_fields <= 1 && !a.field[0].shift)
        a.from = (int32_t)random_size(r, 9) - (a.n_fields ? 4 : 1);
    else if (random_size(r, 2))
        a.from = (int32_t)random_size(r, 2) << random_size(r, 6);
    if (a.n_fields == 1 && !a.field[0].shift && axis == 0 && !random_size(r, 4)) {
        a.kind = MBI_AXIS_PREFIX;
        a.log = (uint8_t)random_size(r, 5);
        a.from = 0;
    } else if (a.n_fields == 1 && !a.field[0].shift && axis != 1 && !random_size(r, 4)) {
        a.kind = MBI_AXIS_PICK;
        a.from = (int32_t)random_size(r, picks);
    }
    return a;
}

static inline struct mbi_view random_view(uint32_t var, const uint32_t *range, uint32_t n_letters,
                                          uint32_t picks, struct test_random *r)
{
    struct mbi_view v = {.var = var};
    uint32_t used = 0;

    for (int k = 0; k < MBI_AXES; k++)
        v.axis[k] = random_axis(&used, range, n_letters, k, picks, r);
    if (v.axis[0].kind == MBI_AXIS_PLAIN && v.axis[0].n_fields == 1 && !v.axis[0].field[0].shift &&
        !random_size(r, 5)) /* row and picked column of a lane */
        v = mbi_view(var, v.axis[0], mbi_fixed(0),
                     mbi_pick(v.axis[0].field[0].letter, (int32_t)random_size(r, picks)));
    return v;
}

/* A new variable whose indices have letters as their fields, some of them none; the relation that
 * defines it is begun. */
static inline uint32_t random_result(struct mbi_gadget *g, uint32_t *range, uint32_t n,
                                     struct test_random *r)
{
    struct mbi_axis a[MBI_AXES] = {{.from = 0}};
    struct mbi_shape size = {{1, 1, 1}};
    uint32_t var;

    random_ranges(range, n, r);
    for (uint32_t k = 0; k < n; k++) {
        struct mbi_axis *axis = &a[random_size(r, MBI_AXES)];

        if (axis->n_fields == MBI_FIELDS || !random_size(r, 4))
            continue;
        if (axis->n_fields) /* a lower field */
            range[k] = 2u << range_bits(range[k]) / 2;
        axis->field[axis->n_fields++].letter = (uint8_t)k;
    }
    for (int k = 0; k < MBI_AXES; k++) {
        unsigned shift = 0;

        for (uint32_t f = a[k].n_fields; f-- > 0;) {
            a[k].field[f].shift = (uint8_t)shift;
            shift += range_bits(range[a[k].field[f].letter]);
            size.n[k] *= range[a[k].field[f].letter];
        }
    }
    var = mbi_gadget_define_table(g, size);
    mbi_gadget_letters(g, n, range);
    mbi_gadget_result(g, a[0], a[1], a[2]);
    return var;
}

/* A mask of two letters, where there may be one. */
static inline void random_mask(struct mbi_relation *d, struct test_random *r)
{
    const uint32_t small = (uint32_t)random_size(r, d->n_letters);
    const uint32_t large = (uint32_t)random_size(r, d->n_letters), n = d->n[small];

    if (small == large || n != d->n[large] || n == 1 || (n & (n - 1)) || !random_size(r, 2))
        return;
    d->small = (uint8_t)small;
    d->large = (uint8_t)large;
}

#endif

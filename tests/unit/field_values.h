/* SPDX-License-Identifier: Apache-2.0 */
/* Elements that tests of the field take: those at an edge of something, and any. */
#ifndef MBI_TESTS_FIELD_VALUES_H
#define MBI_TESTS_FIELD_VALUES_H

#include "proof/field.h"
#include "support.h"

static const mbi_fe field_edge[] = {
    0,
    1,
    2,
    7,
    UINT32_MAX - 1,
    UINT32_MAX,
    (mbi_fe)1 << 32,
    ((mbi_fe)1 << 32) + 1,
    ((mbi_fe)1 << 63) - 1,
    (mbi_fe)1 << 63,
    (MBI_FIELD_P - 1) / 2,
    (MBI_FIELD_P + 1) / 2,
    MBI_FIELD_P - ((mbi_fe)1 << 32),
    MBI_FIELD_P - ((mbi_fe)1 << 32) + 1,
    MBI_FIELD_P - 2,
    MBI_FIELD_P - 1,
};

static inline mbi_fe field_random(struct test_random *r)
{
    return mbi_fe_from_u64(test_random_u64(r));
}

/* An edge as often as not. */
static inline mbi_fe field_any(struct test_random *r)
{
    return test_random_below(r, 2) ? field_edge[test_random_below(r, MBI_COUNT(field_edge))]
                                   : field_random(r);
}

static inline void field_fill(mbi_fe *x, size_t n, struct test_random *r)
{
    for (size_t i = 0; i < n; i++)
        x[i] = field_any(r);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The straight-through rule at a clamp, for each width of the result. */
#include "train/op/straight.h"
#include "graph/type.h"
#include "train/vector.h"

#define INSIDE(q, lo, hi) (((q) != (lo)) & ((q) != (hi)))

#define STRAIGHT(type)                                                                             \
    MBI_CLONES static void add_##type(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,         \
                                      const type *MBI_RESTRICT q, type lo, type hi, size_t n)      \
    {                                                                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            dx[i] += INSIDE(q[i], lo, hi) ? d[i] : 0;                                              \
    }                                                                                              \
    MBI_CLONES static void copy_##type(float *MBI_RESTRICT dx, const float *MBI_RESTRICT d,        \
                                       const type *MBI_RESTRICT q, type lo, type hi, size_t n)     \
    {                                                                                              \
        for (size_t i = 0; i < n; i++)                                                             \
            dx[i] = INSIDE(q[i], lo, hi) ? d[i] : 0;                                               \
    }

STRAIGHT(int8_t)
STRAIGHT(int16_t)
STRAIGHT(int32_t)

void mbi_straight_add(float *dx, const float *d, const struct mbi_clamped *c, size_t at, size_t n)
{
    switch (c->dtype) {
    case MBI_I8:
        add_int8_t(dx, d, (const int8_t *)c->q + at, (int8_t)c->lo, (int8_t)c->hi, n);
        break;
    case MBI_I16:
        add_int16_t(dx, d, (const int16_t *)c->q + at, (int16_t)c->lo, (int16_t)c->hi, n);
        break;
    default:
        add_int32_t(dx, d, (const int32_t *)c->q + at, c->lo, c->hi, n);
    }
}

void mbi_straight_copy(float *dx, const float *d, const struct mbi_clamped *c, size_t at, size_t n)
{
    switch (c->dtype) {
    case MBI_I8:
        copy_int8_t(dx, d, (const int8_t *)c->q + at, (int8_t)c->lo, (int8_t)c->hi, n);
        break;
    case MBI_I16:
        copy_int16_t(dx, d, (const int16_t *)c->q + at, (int16_t)c->lo, (int16_t)c->hi, n);
        break;
    default:
        copy_int32_t(dx, d, (const int32_t *)c->q + at, c->lo, c->hi, n);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The straight-through rule at a clamp: the gradient passes where the integer lies strictly
 * inside, and stops where the clamp was reached.
 */
#ifndef MBI_TRAIN_OP_STRAIGHT_H
#define MBI_TRAIN_OP_STRAIGHT_H

#include <stddef.h>
#include <stdint.h>

/* `q` holds n results of type i8, i16 or i32 of a clamp to [lo, hi]. */
struct mbi_clamped {
    const void *q;
    uint32_t dtype;
    int32_t lo, hi;
};

/* dx += d where the results from `at` on are inside the clamp. */
void mbi_straight_add(float *dx, const float *d, const struct mbi_clamped *c, size_t at, size_t n);

/* dx = the same. */
void mbi_straight_copy(float *dx, const float *d, const struct mbi_clamped *c, size_t at, size_t n);

#endif

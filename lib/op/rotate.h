/* SPDX-License-Identifier: Apache-2.0 */
/* The rotation of one pair and its exact inverse, for kernels and tests. */
#ifndef MBI_OP_ROTATE_H
#define MBI_OP_ROTATE_H

#include <stdint.h>

/* Turn (x, y), both in Q8 with |.| <= 2^10, by phi / 256 of a full turn. */
void mbi_rotate_pair(int32_t *x, int32_t *y, int32_t phi);

/* Give back exactly what mbi_rotate_pair() was given. */
void mbi_rotate_pair_back(int32_t *x, int32_t *y, int32_t phi);

#endif

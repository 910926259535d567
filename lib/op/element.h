/* SPDX-License-Identifier: Apache-2.0 */
/* What the operation files share: ternary weights, work units, checks of inference. */
#ifndef MBI_OP_ELEMENT_H
#define MBI_OP_ELEMENT_H

#include "base/error.h"
#include "base/intmath.h"
#include "graph/element.h"
#include "op/op_list.h"
#include "proof/gadget.h"
#include "train/grad.h"

/* Weight k (-1, 0, 1) of a packed ternary row. */
static inline int32_t mbi_trit(const uint8_t *row, size_t k)
{
    return (int32_t)(row[k / 4] >> (2 * (k % 4)) & 3) - 1;
}

/* Units: every element of every lane; or every lane. */
size_t mbi_units_elements(const struct mbi_op_args *a);
size_t mbi_units_lanes(const struct mbi_op_args *a);

/* Set the result's type: the narrowest integer for the clamp [lo, hi] that the operation
 * promises, and the interval [min, max] that was proven inside it. */
int32_t mbi_infer_result(struct mbi_infer *q, uint32_t cols, int32_t frac, int64_t lo, int64_t hi,
                         int64_t min, int64_t max);

/* E_RANGE with the operation's name: a value may leave its type. */
int32_t mbi_infer_overflow(struct mbi_infer *q, const char *op);
/* E_INVALID: shapes, types or attributes do not fit together. */
int32_t mbi_infer_mismatch(struct mbi_infer *q, const char *op, const char *what);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the operation files share: work units and the common ends of inference. */
#include "op/element.h"

size_t mbi_units_elements(const struct mbi_op_args *a) { return a->lanes * a->out_type->cols; }
size_t mbi_units_lanes(const struct mbi_op_args *a) { return a->lanes; }

int32_t mbi_infer_result(struct mbi_infer *q, uint32_t cols, int32_t frac, int64_t lo, int64_t hi,
                         int64_t min, int64_t max)
{
    *q->out = (struct mbi_type){mbi_dtype_for(lo, hi), frac, 1, cols, min, max};
    return MAMBAINT_OK;
}

int32_t mbi_infer_overflow(struct mbi_infer *q, const char *op)
{
    return mbi_fail(q->err, MAMBAINT_E_RANGE,
                    "%s: this shape could overflow an integer; use fewer columns or another type",
                    op);
}

int32_t mbi_infer_mismatch(struct mbi_infer *q, const char *op, const char *what)
{
    return mbi_fail(q->err, MAMBAINT_E_INVALID, "%s: %s", op, what);
}

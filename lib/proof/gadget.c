/* SPDX-License-Identifier: Apache-2.0 */
/* The gadget of a narrowing shift with its clamp, which several operations end with. */
#include "proof/gadget.h"
#include "base/intmath.h"

/*
 * x + 2^(k-1) = 2^k (y + u - v) + r for k >= 1, 2^-k x = y + u - v otherwise, with y in [lo, hi],
 * r in [0, 2^k) and u, v >= 0; where the result may have to be clamped, u (hi - y) = 0 and
 * v (y - lo) = 0. So y + u - v is rsh(x, k), u is what lies above hi and v what lies below lo.
 */
struct shape {
    int64_t min, max; /* of rsh(x, k) */
    bool above, below, remainder;
};

static struct shape shape_of(const struct mbi_shift_clamp *q)
{
    struct shape s = {.min = mbi_rshift_half_up(q->x_lo, q->shift),
                      .max = mbi_rshift_half_up(q->x_hi, q->shift),
                      .remainder = q->shift > 0};

    s.above = s.max > q->hi;
    s.below = s.min < q->lo;
    return s;
}

/* A shift to the left has to stay below 2^62, of all that the checks admit. */
static bool too_far(const struct mbi_shift_clamp *q)
{
    const int64_t magnitude = mbi_max_i64(-q->x_lo, q->x_hi);

    return q->shift < -32 || (q->shift < 0 && magnitude >> (62 + q->shift));
}

/* v (y - end) = 0 */
static void only_at(struct mbi_gadget *g, uint32_t cols, uint32_t v, uint32_t y, int64_t end)
{
    mbi_gadget_relate(g, cols);
    mbi_gadget_product(g, 1, v, y);
    mbi_gadget_linear(g, -end, v);
}

uint32_t mbi_gadget_requant(struct mbi_gadget *g, uint32_t x, uint32_t cols,
                            const struct mbi_shift_clamp *q)
{
    const bool far = too_far(q);
    const struct shape s = far ? (struct shape){0} : shape_of(q);
    const int32_t shift = far ? 0 : q->shift;
    const int64_t lo = q->lo, hi = q->hi;
    const int64_t unit = (int64_t)1 << (shift > 0 ? shift : 0);
    const bool loose = !s.above && !s.below;
    const uint32_t y = mbi_gadget_var(g, cols, loose ? s.min : lo, loose ? s.max : hi, loose);
    const uint32_t u = s.above ? mbi_gadget_var(g, cols, 0, s.max - hi, true) : MBI_NONE;
    const uint32_t v = s.below ? mbi_gadget_var(g, cols, 0, lo - s.min, true) : MBI_NONE;
    const uint32_t r = s.remainder ? mbi_gadget_var(g, cols, 0, unit - 1, false) : MBI_NONE;

    if (far)
        mbi_gadget_fault(g, "its shift may leave 62 bits");
    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, shift > 0 ? 1 : (int64_t)1 << -shift, x);
    if (s.remainder) {
        mbi_gadget_constant(g, unit / 2);
        mbi_gadget_linear(g, -1, r);
    }
    mbi_gadget_linear(g, -unit, y);
    if (s.above)
        mbi_gadget_linear(g, -unit, u);
    if (s.below)
        mbi_gadget_linear(g, unit, v);
    if (s.above)
        only_at(g, cols, u, y, hi);
    if (s.below)
        only_at(g, cols, v, y, lo);
    return y;
}

void mbi_gadget_fill_requant(const struct mbi_gadget_fill *f, const struct mbi_shift_clamp *q,
                             size_t lane, size_t col, int64_t x)
{
    const struct shape s = shape_of(q);
    const int64_t y = mbi_rshift_half_up(x, q->shift);
    const int64_t unit = (int64_t)1 << (q->shift > 0 ? q->shift : 0);
    uint32_t var = q->first;

    mbi_gadget_set(f, var++, lane, col, mbi_clamp_i64(y, q->lo, q->hi));
    if (s.above)
        mbi_gadget_set(f, var++, lane, col, mbi_max_i64(y - q->hi, 0));
    if (s.below)
        mbi_gadget_set(f, var++, lane, col, mbi_max_i64(q->lo - y, 0));
    if (s.remainder)
        mbi_gadget_set(f, var, lane, col, x + unit / 2 - unit * y);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The gadget of a narrowing shift with its clamp, which several operations end with. */
#include "proof/gadget.h"
#include "base/intmath.h"

/*
 * x + 2^(k-1) = 2^k (y + u - v) + r for k >= 1, 2^-k x = y + u - v otherwise, with y in [lo, hi],
 * r in [0, 2^k) and u, v >= 0; where the result may have to be clamped, u (hi - y) = 0 and
 * v (y - lo) = 0. So y + u - v is rsh(x, k), u is what lies above hi and v what lies below lo.
 *
 * Joined, both are one w >= 0 and a bit for its side: y + (1 - 2 side) w, w (hi - y) = 0 for side 0
 * and w (lo - y) = 0 for side 1. The side of w = 0 is free.
 */
struct shape {
    int64_t min, max; /* of rsh(x, k) */
    bool above, below, remainder;
    bool joined;
    unsigned low; /* bits of the lower parts of u and v; 0: they are in one part */
};

/* u (hi - y) has to stay below 2^62, all its terms together. As u >= 0 and hi - y >= 0, the sum of
 * two parts of u, each >= 0, may stand for u there; of w as well. */
static unsigned low_bits(const struct mbi_shift_clamp *q, const struct shape *s)
{
    const int end = mbi_bitlen((uint64_t)mbi_max_i64(-q->lo, q->hi));
    const int wide = mbi_bitlen((uint64_t)mbi_max_i64(s->max - q->hi, q->lo - s->min));

    return wide + end < (s->joined ? 61 : 62) ? 0 : wide < 45 ? 16 : 28;
}

static struct shape shape_of(const struct mbi_shift_clamp *q)
{
    struct shape s = {.min = mbi_rshift_half_up(q->x_lo, q->shift),
                      .max = mbi_rshift_half_up(q->x_hi, q->shift),
                      .remainder = q->shift > 0};

    s.above = s.max > q->hi;
    s.below = s.min < q->lo;
    s.joined = q->joined && s.above && s.below;
    if (s.above || s.below)
        s.low = low_bits(q, &s);
    return s;
}

/* A shift to the left has to stay below 2^62, of all that the checks admit. */
static bool too_far(const struct mbi_shift_clamp *q)
{
    const int64_t magnitude = mbi_max_i64(-q->x_lo, q->x_hi);

    return q->shift < -32 || (q->shift < 0 && magnitude >> (62 + q->shift));
}

/* The same letters lead to the same element of all of them. */
static void begin(struct mbi_gadget *g, struct mbi_shape shape)
{
    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
}

struct mbi_view mbi_gadget_entry(uint32_t var)
{
    return mbi_view(var, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
}

/* v (y - end) = 0, where v may be in two parts */
static void only_at(struct mbi_gadget *g, struct mbi_shape shape, const uint32_t v[2], uint32_t y,
                    int64_t end)
{
    begin(g, shape);
    for (int i = 0; i < 2 && v[i] != MBI_NONE; i++) {
        mbi_gadget_views(g, 1, mbi_gadget_entry(v[i]), mbi_gadget_entry(y));
        mbi_gadget_view(g, -end, mbi_gadget_entry(v[i]));
    }
}

/* w (y - hi) = 0 for side 0, w (y - lo) = 0 for side 1 */
static void only_beside(struct mbi_gadget *g, struct mbi_shape shape,
                        const struct mbi_shift_clamp *q, const struct mbi_shifted *x)
{
    only_at(g, shape, x->u, x->y, q->hi);
    for (int i = 0; i < 2 && x->u[i] != MBI_NONE; i++)
        mbi_gadget_views(g, q->hi - q->lo, mbi_gadget_entry(x->u[i]), mbi_gadget_entry(x->side));
}

/* u, v or w: in [0, max], in one part or two. */
static void declare_over(struct mbi_gadget *g, struct mbi_shape shape, uint32_t v[2], int64_t max,
                         unsigned low)
{
    const int64_t mask = ((int64_t)1 << low) - 1;

    v[0] = mbi_gadget_table(g, shape, 0, low ? mask : max, true);
    if (low)
        v[1] = mbi_gadget_table(g, shape, 0, max >> low, true);
}

struct mbi_shifted mbi_gadget_shifted(struct mbi_gadget *g, struct mbi_shape shape,
                                      const struct mbi_shift_clamp *q)
{
    const struct shape s = too_far(q) ? (struct shape){0} : shape_of(q);
    const int64_t unit = (int64_t)1 << (q->shift > 0 ? q->shift : 0);
    const bool loose = !s.above && !s.below;
    struct mbi_shifted x = {
        MBI_NONE, {MBI_NONE, MBI_NONE}, {MBI_NONE, MBI_NONE}, MBI_NONE, MBI_NONE, s.low};

    if (too_far(q))
        mbi_gadget_fault(g, "its shift may leave 62 bits");
    x.y = mbi_gadget_table(g, shape, loose ? s.min : q->lo, loose ? s.max : q->hi, loose);
    if (s.joined) {
        declare_over(g, shape, x.u, mbi_max_i64(s.max - q->hi, q->lo - s.min), s.low);
        x.side = mbi_gadget_table(g, shape, 0, 1, false);
    } else if (s.above) {
        declare_over(g, shape, x.u, s.max - q->hi, s.low);
    }
    if (s.below && !s.joined)
        declare_over(g, shape, x.v, q->lo - s.min, s.low);
    if (s.remainder)
        x.r = mbi_gadget_table(g, shape, 0, unit - 1, false);
    return x;
}

/* The element of a variable that `at` leads to. */
static struct mbi_view at_var(const struct mbi_view *at, uint32_t var)
{
    struct mbi_view w = *at;

    w.var = var;
    return w;
}

void mbi_gadget_shifted_at(struct mbi_gadget *g, const struct mbi_shift_clamp *q,
                           const struct mbi_shifted *x, const struct mbi_view *at)
{
    const int64_t unit = (int64_t)1 << (q->shift > 0 ? q->shift : 0);

    if (x->r != MBI_NONE) {
        mbi_gadget_constant(g, unit / 2);
        mbi_gadget_view(g, -1, at_var(at, x->r));
    }
    mbi_gadget_view(g, -unit, at_var(at, x->y));
    for (int i = 0; i < 2 && x->u[i] != MBI_NONE; i++) {
        const int64_t c = mbi_lshift(unit, i ? (int)x->low : 0);

        mbi_gadget_view(g, -c, at_var(at, x->u[i]));
        if (x->side != MBI_NONE)
            mbi_gadget_views(g, 2 * c, at_var(at, x->u[i]), at_var(at, x->side));
    }
    for (int i = 0; i < 2 && x->v[i] != MBI_NONE; i++)
        mbi_gadget_view(g, mbi_lshift(unit, i ? (int)x->low : 0), at_var(at, x->v[i]));
}

void mbi_gadget_shifted_terms(struct mbi_gadget *g, const struct mbi_shift_clamp *q,
                              const struct mbi_shifted *x)
{
    const struct mbi_view at = mbi_gadget_entry(MBI_NONE);

    mbi_gadget_shifted_at(g, q, x, &at);
}

void mbi_gadget_shifted_ends(struct mbi_gadget *g, struct mbi_shape shape,
                             const struct mbi_shift_clamp *q, const struct mbi_shifted *x)
{
    if (x->side != MBI_NONE)
        only_beside(g, shape, q, x);
    else if (x->u[0] != MBI_NONE)
        only_at(g, shape, x->u, x->y, q->hi);
    if (x->v[0] != MBI_NONE)
        only_at(g, shape, x->v, x->y, q->lo);
}

/* Nothing is dropped and nothing clamped: a multiple, which is no variable of its own. */
static bool is_multiple(const struct mbi_shift_clamp *q)
{
    const struct shape s = shape_of(q);

    return !s.remainder && !s.above && !s.below;
}

uint32_t mbi_gadget_requant(struct mbi_gadget *g, uint32_t x, uint32_t cols,
                            const struct mbi_shift_clamp *q)
{
    const int64_t factor = q->shift < 0 && !too_far(q) ? (int64_t)1 << -q->shift : 1;
    const struct mbi_shape shape = {{g->lanes, 1, cols}};
    struct mbi_shifted all;

    if (!too_far(q) && is_multiple(q)) {
        all.y = mbi_gadget_define(g, cols);
        mbi_gadget_linear(g, factor, x);
        return all.y;
    }
    all = mbi_gadget_shifted(g, shape, q);
    begin(g, shape);
    mbi_gadget_view(g, factor, mbi_gadget_entry(x));
    mbi_gadget_shifted_terms(g, q, &all);
    mbi_gadget_shifted_ends(g, shape, q, &all);
    return all.y;
}

static uint32_t fill_over(const struct mbi_gadget_fill *f, uint32_t var, size_t lane, size_t col,
                          int64_t x, unsigned low)
{
    const int64_t over = mbi_max_i64(x, 0);

    mbi_gadget_set(f, var++, lane, col, low ? over & (((int64_t)1 << low) - 1) : over);
    if (low)
        mbi_gadget_set(f, var++, lane, col, over >> low);
    return var;
}

void mbi_gadget_fill_requant(const struct mbi_gadget_fill *f, const struct mbi_shift_clamp *q,
                             size_t lane, size_t col, int64_t x)
{
    const struct shape s = shape_of(q);
    const int64_t y = mbi_rshift_half_up(x, q->shift);
    const int64_t unit = (int64_t)1 << (q->shift > 0 ? q->shift : 0);
    uint32_t var = q->first;

    if (is_multiple(q))
        return;
    mbi_gadget_set(f, var++, lane, col, mbi_clamp_i64(y, q->lo, q->hi));
    if (s.joined) {
        var = fill_over(f, var, lane, col, mbi_max_i64(y - q->hi, q->lo - y), s.low);
        mbi_gadget_set(f, var++, lane, col, y < q->lo);
    } else if (s.above) {
        var = fill_over(f, var, lane, col, y - q->hi, s.low);
    }
    if (s.below && !s.joined)
        var = fill_over(f, var, lane, col, q->lo - y, s.low);
    if (s.remainder)
        mbi_gadget_set(f, var, lane, col, x + unit / 2 - unit * y);
}

struct mbi_view mbi_gadget_input(const struct mbi_gadget *g, size_t k)
{
    return g->in_is_param[k]
               ? mbi_view(g->in[k], mbi_fixed(0), mbi_fixed(0), mbi_along(MBI_LETTER_COL, 0))
               : mbi_element(g->in[k]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three ways back to a narrower integer: one rounding shift, then a clamp. The shift is the
 * same for all elements, or has a row's exponent added, or follows a product with a scale.
 */
#include "op/element.h"

/* Shifts to the left only widen: |x| 2^-s must stay below 2^62. */
static bool shift_fits(int64_t magnitude, int64_t shift)
{
    return shift > 0 ? shift <= 62 && magnitude < (int64_t)1 << 62
                     : shift >= -32 && magnitude < (int64_t)1 << (62 + shift);
}

static int64_t shift_clamp(int64_t x, int32_t shift, const struct mbi_requant_attr *q)
{
    return mbi_clamp_i64(mbi_rshift_half_up(x, shift), q->lo, q->hi);
}

/* Rounding and clamping are monotonic and a smaller shift spreads further, so the ends of the
 * input at the smallest and at the largest shift bound the result. */
static int32_t infer_shifts(struct mbi_infer *q, const char *op, int64_t lo, int64_t hi,
                            int64_t min_shift, int64_t max_shift)
{
    const struct mbi_requant_attr *at = q->attr;
    const int64_t magnitude = mbi_max_i64(-lo, hi);
    int64_t min, max;

    if (at->lo > at->hi)
        return mbi_infer_mismatch(q, op, "the clamp is empty");
    if (!shift_fits(magnitude, min_shift) || !shift_fits(magnitude, max_shift))
        return mbi_infer_overflow(q, op);
    min = mbi_min_i64(shift_clamp(lo, (int32_t)min_shift, at),
                      shift_clamp(lo, (int32_t)max_shift, at));
    max = mbi_max_i64(shift_clamp(hi, (int32_t)min_shift, at),
                      shift_clamp(hi, (int32_t)max_shift, at));
    return mbi_infer_result(q, q->in[0]->cols, at->frac, at->lo, at->hi, min, max);
}

/* ---- requant: y = clamp(rsh(x, shift), lo, hi)                     arithmetic.md, requant ---- */

static int32_t requant_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;

    return infer_shifts(q, "requant", q->in[0]->lo, q->in[0]->hi, at->shift, at->shift);
}

static void requant_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x, q->shift, q));
    }
}

static struct mbi_shift_clamp requant_gadget(const struct mbi_node *node, int64_t lo, int64_t hi)
{
    const int32_t *at = node->attr; /* struct mbi_requant_attr */

    return (struct mbi_shift_clamp){
        .x_lo = lo, .x_hi = hi, .shift = at[0], .lo = at[1], .hi = at[2]};
}

static void requant_declare(struct mbi_gadget *g)
{
    const struct mbi_shift_clamp q =
        requant_gadget(g->node, mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));

    g->out = mbi_gadget_requant(g, g->in[0], g->node->type.cols, &q);
}

static void requant_fill(const struct mbi_gadget_fill *f)
{
    struct mbi_shift_clamp q = requant_gadget(f->node, f->in_lo[0], f->in_hi[0]);
    const size_t cols = f->node->type.cols;

    q.first = f->first;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++)
            mbi_gadget_fill_requant(f, &q, t, i,
                                    mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i));
}

static const struct mbi_op_gadget requant_proof = {requant_declare, requant_fill};

/* clang-format off */
static const struct mbi_op_case requant_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}, .attr = {18, -128, 127, 5}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {15, -128, 127, 4}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {12, -32768, 32767, 11}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {0, 0, 127, 5}},
    {.cols = {67}, .dtype = {MBI_I16}, .attr = {0, -2047, 2047, 8}},
    {.cols = {67}, .dtype = {MBI_I8}, .attr = {-5, -8388608, 8388607, 10}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {31, -128, 127, 4}},
    {.cols = {16}, .dtype = {MBI_I32}, .lo = {-4194304}, .hi = {4194304}, .attr = {-1, -16777216, 16777216, 14}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant = {
    .n_attr = 4,
    .infer = requant_infer,
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(requant_eval),
    .grad = MBI_GRAD(requant),
    .gadget = &requant_proof,
    .cases = MBI_CASES(requant_cases),
    .n_cases = MBI_COUNT(requant_cases),
};

/* ---- requant_rows: y_i = clamp(rsh(x_i, shift + e_i), lo, hi) arithmetic.md, requant_rows ---- */

static int32_t requant_rows_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;
    const struct mbi_type *x = q->in[0], *e = q->in[1];

    if (e->dtype != MBI_I8 || (size_t)e->rows * e->cols != x->cols)
        return mbi_infer_mismatch(q, "requant_rows", "needs one i8 exponent for each element");
    return infer_shifts(q, "requant_rows", x->lo, x->hi, at->shift + e->lo, at->shift + e->hi);
}

static void requant_rows_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const size_t cols = a->out_type->cols;
    const int8_t *e = a->in[1];

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x, q->shift + e[i % cols], q));
    }
}

/*
 * Its proof. For every shift s <= K, rsh(x 2^(K-s), K) is rsh(x, s), also for s <= 0: so all
 * elements are shifted by the same K, behind a product with a power that is public.
 */
struct rows_gadget {
    struct mbi_shift_clamp q; /* of the product */
    int32_t top;              /* an exponent e has the power 2^(top-e) */
    bool fits;
};

enum { ROWS_POWER, ROWS_OUT }; /* variables */

static struct rows_gadget rows_gadget(const struct mbi_node *node, const struct mbi_type *e,
                                      int64_t lo, int64_t hi)
{
    const int32_t *at = node->attr; /* struct mbi_requant_attr */
    const int64_t least = at[0] + e->lo, most = at[0] + e->hi, all = mbi_max_i64(most, 0);
    struct rows_gadget w = {.top = (int32_t)(all - at[0])};

    w.fits = all - least <= 61 && mbi_max_i64(-lo, hi) >> (61 - (all - least)) == 0;
    if (!w.fits)
        return w;
    w.q = (struct mbi_shift_clamp){.x_lo = mbi_lshift(lo, (int)(lo < 0 ? all - least : all - most)),
                                   .x_hi = mbi_lshift(hi, (int)(hi > 0 ? all - least : all - most)),
                                   .shift = (int32_t)all,
                                   .lo = at[1],
                                   .hi = at[2],
                                   .joined = true};
    return w;
}

static void requant_rows_declare(struct mbi_gadget *g)
{
    const struct mbi_type *e = g->in_type[1];
    const struct rows_gadget w =
        rows_gadget(g->node, e, mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));
    const struct mbi_shape shape = {{g->lanes, 1, g->node->type.cols}};
    const struct mbi_axis each = mbi_along(2, 0), one = mbi_fixed(0);
    struct mbi_shifted y;
    uint32_t power;

    if (!w.fits || (e->rows > 1 && e->cols > 1)) {
        mbi_gadget_fault(g, w.fits ? "its exponents are a matrix"
                                   : "its exponents are so far apart that a sum may leave 62 bits");
        return;
    }
    power = mbi_gadget_powers(g, 1, w.top);
    y = mbi_gadget_shifted(g, shape, &w.q);
    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    mbi_gadget_views(g, 1, mbi_gadget_entry(g->in[0]),
                     e->rows > 1 ? mbi_view(power, each, one, one)
                                 : mbi_view(power, one, one, each));
    mbi_gadget_shifted_terms(g, &w.q, &y);
    mbi_gadget_shifted_ends(g, shape, &w.q, &y);
    g->out = y.y;
}

static void requant_rows_fill(const struct mbi_gadget_fill *f)
{
    struct rows_gadget w = rows_gadget(f->node, f->in_type[1], f->in_lo[0], f->in_hi[0]);
    const size_t cols = f->node->type.cols;
    const int8_t *e = f->in[1];

    w.q.first = f->first + ROWS_OUT;
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < cols; i++)
            mbi_gadget_fill_requant(
                f, &w.q, t, i,
                mbi_lshift(mbi_get(f->in[0], f->in_type[0]->dtype, t * cols + i), w.top - e[i]));
}

static const struct mbi_op_gadget requant_rows_proof = {requant_rows_declare, requant_rows_fill};

/* clang-format off */
static const struct mbi_op_case requant_rows_cases[] = {
    {.cols = {1, 1}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 67}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 67}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-6, INT32_MIN, INT32_MAX, 10}},
    {.cols = {40, 40}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8}, .lo = {0, -8}, .hi = {0, 15}, .attr = {-7, -134217728, 134217727, 12}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant_rows = {
    .n_attr = 4,
    .params = 1u << 1,
    .infer = requant_rows_infer,
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(requant_rows_eval),
    .grad = MBI_GRAD(requant_rows),
    .gadget = &requant_rows_proof,
    .cases = MBI_CASES(requant_rows_cases),
    .n_cases = MBI_COUNT(requant_rows_cases),
};

/* ---- requant_mul: y = clamp(rsh(x * m, shift + s), lo, hi)     arithmetic.md, requant_mul ---- */

static int32_t requant_mul_infer(struct mbi_infer *q)
{
    const struct mbi_requant_attr *at = q->attr;
    const struct mbi_type *x = q->in[0], *m = q->in[1], *s = q->in[2];

    if (m->dtype != MBI_I16 || s->dtype != MBI_I8 || m->cols != 1 || s->cols != 1 || m->lo < 0)
        return mbi_infer_mismatch(q, "requant_mul", "needs one i16 scale and one i8 exponent");
    return infer_shifts(q, "requant_mul", mbi_min_i64(x->lo, 0) * m->hi,
                        mbi_max_i64(x->hi, 0) * m->hi, at->shift + s->lo, at->shift + s->hi);
}

static void requant_mul_eval(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;
    const int64_t m = *(const int16_t *)a->in[1];
    const int32_t shift = q->shift + *(const int8_t *)a->in[2];

    for (size_t i = a->begin; i < a->end; i++) {
        const int64_t x = mbi_get(a->in[0], a->in_type[0]->dtype, i);

        mbi_put(a->out, a->out_type->dtype, i, shift_clamp(x * m, shift, q));
    }
}

/*
 * Its proof. The shift is one of [least, most] by a parameter; a choice says which. Were it one
 * relation for all, it might leave 62 bits. So the shifts are cut into `parts`: with floors
 * t_k = x m >> k step and t_0 = x m, a shift s in (k step, (k+1) step], or s <= step for k = 0, has
 *     rsh(x m, s) = rsh(t_k, s - k step) = rsh(t_k 2^((k+1) step - s), step)
 * so t_k meets a factor that is 0 for the shifts of other parts. Shifts beyond `last` leave nothing
 * of x m, and are in no part.
 */
#define MUL_PARTS 4
#define MUL_SHIFTS 96 /* -32 to 62: what infer admits */

struct mul_gadget {
    struct mbi_shift_clamp q; /* of the sum of t_k times its factor */
    int64_t lo, hi;           /* of x m */
    int32_t least, most, last;
    int32_t parts, step;
    bool fits;
};

/* Variables: the choice, a factor for each part, t_k and what its floor drops for k > 0, y. */
enum { MUL_CHOICE, MUL_FACTOR };
static uint32_t mul_floor(const struct mul_gadget *w, int32_t k)
{
    return (uint32_t)(MUL_FACTOR + w->parts + 2 * (k - 1));
}

/*
 * The parts are the fewest whose sums stay below 2^62. The first has the largest: below 2^58 for
 * x m times a power, 2^59 for the factor, which is a sum of such, and 2^59 and 2^60 for the two
 * terms of what the clamp cuts off.
 */
static struct mul_gadget mul_gadget(const struct mbi_node *node, const struct mbi_type *const *in,
                                    int64_t lo, int64_t hi)
{
    const int32_t *at = node->attr; /* struct mbi_requant_attr */
    const int64_t top = (int64_t)1 << 46;
    struct mul_gadget w = {.least = (int32_t)(at[0] + in[2]->lo),
                           .most = (int32_t)(at[0] + in[2]->hi)};
    int64_t magnitude;

    if (lo < -top || hi > top)
        return w;
    w.lo = mbi_min_i64(lo, 0) * in[1]->hi;
    w.hi = mbi_max_i64(hi, 0) * in[1]->hi;
    magnitude = mbi_max_i64(-w.lo, w.hi);
    w.last = (int32_t)mbi_min_i64(w.most, mbi_bitlen((uint64_t)magnitude));
    for (w.parts = 1; !w.fits && w.parts <= MUL_PARTS; w.parts++) {
        const int64_t all = mbi_max_i64(w.last, 0);

        w.step = (int32_t)((all + w.parts - 1) / w.parts);
        w.fits = w.step - w.least < 58 && magnitude >> (58 - mbi_max_i64(w.step - w.least, 0)) == 0;
    }
    w.parts--;
    w.q = (struct mbi_shift_clamp){.shift = w.step, .lo = at[1], .hi = at[2], .joined = true};
    if (w.fits && w.least <= w.last) {
        w.q.x_lo = mbi_lshift(w.lo, (int)mbi_max_i64(w.step - w.least, 0));
        w.q.x_hi = mbi_lshift(w.hi, (int)mbi_max_i64(w.step - w.least, 0));
    }
    return w;
}

/* The part of a shift, and its factor's power of two. Where nothing is ever left, there is one part
 * of no shift. */
static int32_t mul_part(const struct mul_gadget *w, int32_t shift)
{
    return shift <= w->step || !w->step ? 0 : (shift - 1) / w->step;
}

static int64_t mul_factor(const struct mul_gadget *w, int32_t shift, int32_t part)
{
    if (shift > w->last || mul_part(w, shift) != part)
        return 0;
    return (int64_t)1 << ((part + 1) * w->step - shift);
}

/* The choice of s among its values, and the factors: the first of them. */
static uint32_t declare_factors(struct mbi_gadget *g, const struct mul_gadget *w)
{
    const uint32_t n = (uint32_t)(w->most - w->least + 1);
    const struct mbi_shape cases = {{1, 1, n}}, one = {{1, 1, 1}};
    const uint32_t choice = mbi_gadget_choice(g, cases);
    int64_t c[MUL_SHIFTS];

    mbi_gadget_relate(g, 1);
    mbi_gadget_letters(g, MBI_AXES, one.n);
    for (uint32_t i = 0; i < n; i++)
        c[i] = (int64_t)i + g->in_type[2]->lo;
    mbi_gadget_chosen(g, choice, c, n);
    mbi_gadget_view(g, -1, mbi_view(g->in[2], mbi_fixed(0), mbi_fixed(0), mbi_fixed(0)));
    for (int32_t k = 0; k < w->parts; k++) {
        (void)mbi_gadget_define_table(g, one);
        for (uint32_t i = 0; i < n; i++)
            c[i] = mul_factor(w, w->least + (int32_t)i, k);
        mbi_gadget_chosen(g, choice, c, n);
    }
    return choice + MUL_FACTOR;
}

static struct mbi_view single(uint32_t var)
{
    return mbi_view(var, mbi_fixed(0), mbi_fixed(0), mbi_fixed(0));
}

/* c t_0 = c x m, or c t_k, times another factor if there is one. */
static void floor_term(struct mbi_gadget *g, int64_t c, uint32_t t, uint32_t factor)
{
    struct mbi_view view[3];
    uint32_t n = 0;

    if (t == MBI_NONE) {
        view[n++] = mbi_gadget_entry(g->in[0]);
        view[n++] = single(g->in[1]);
    } else {
        view[n++] = mbi_gadget_entry(t);
    }
    if (factor != MBI_NONE)
        view[n++] = single(factor);
    mbi_gadget_term(g, c, n, view);
}

/* t_(k-1) = 2^step t_k + what is dropped */
static uint32_t declare_floor(struct mbi_gadget *g, const struct mul_gadget *w, int32_t k,
                              uint32_t before)
{
    const struct mbi_shape shape = {{g->lanes, 1, g->node->type.cols}};
    const int64_t unit = (int64_t)1 << w->step;
    const uint32_t t = mbi_gadget_table(g, shape, mbi_rshift_floor(w->lo, k * w->step),
                                        mbi_rshift_floor(w->hi, k * w->step), true);
    const uint32_t dropped = mbi_gadget_table(g, shape, 0, unit - 1, false);

    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    floor_term(g, 1, before, MBI_NONE);
    mbi_gadget_view(g, -unit, mbi_gadget_entry(t));
    mbi_gadget_view(g, -1, mbi_gadget_entry(dropped));
    return t;
}

static void requant_mul_declare(struct mbi_gadget *g)
{
    const struct mul_gadget w =
        mul_gadget(g->node, g->in_type, mbi_gadget_lo(g, g->in[0]), mbi_gadget_hi(g, g->in[0]));
    const struct mbi_shape shape = {{g->lanes, 1, g->node->type.cols}};
    uint32_t t[MUL_PARTS] = {MBI_NONE}, factor;
    struct mbi_shifted y;

    if (!w.fits) {
        mbi_gadget_fault(g, "its exponents are so far apart that a product may leave 62 bits");
        return;
    }
    factor = declare_factors(g, &w);
    for (int32_t k = 1; k < w.parts; k++)
        t[k] = declare_floor(g, &w, k, t[k - 1]);
    y = mbi_gadget_shifted(g, shape, &w.q);
    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    for (int32_t k = 0; k < w.parts; k++)
        floor_term(g, 1, t[k], factor + (uint32_t)k);
    mbi_gadget_shifted_terms(g, &w.q, &y);
    mbi_gadget_shifted_ends(g, shape, &w.q, &y);
    g->out = y.y;
}

/* x m, its floors, and the one that the shift's part reads. */
static void fill_scaled(const struct mbi_gadget_fill *f, const struct mul_gadget *w, size_t lane,
                        size_t col, int32_t shift)
{
    const int64_t x = mbi_get(f->in[0], f->in_type[0]->dtype, lane * f->node->type.cols + col);
    const int32_t part = mul_part(w, shift);
    int64_t t = x * *(const int16_t *)f->in[1], read = part ? 0 : t;

    for (int32_t k = 1; k < w->parts; k++) {
        const int64_t next = mbi_rshift_floor(t, w->step);

        mbi_gadget_set(f, f->first + mul_floor(w, k), lane, col, next);
        mbi_gadget_set(f, f->first + mul_floor(w, k) + 1, lane, col, t - mbi_lshift(next, w->step));
        t = next;
        read = k == part ? t : read;
    }
    mbi_gadget_fill_requant(f, &w->q, lane, col, read * mul_factor(w, shift, part));
}

static void requant_mul_fill(const struct mbi_gadget_fill *f)
{
    struct mul_gadget w = mul_gadget(f->node, f->in_type, f->in_lo[0], f->in_hi[0]);
    const int32_t s = *(const int8_t *)f->in[2];

    w.q.first = f->first + mul_floor(&w, w.parts);
    mbi_gadget_set(f, f->first + MUL_CHOICE, 0, (size_t)(s - f->in_type[2]->lo), 1);
    for (size_t t = 0; t < f->lanes; t++)
        for (size_t i = 0; i < f->node->type.cols; i++)
            fill_scaled(f, &w, t, i, f->node->attr[0] + s);
}

static const struct mbi_op_gadget requant_mul_proof = {requant_mul_declare, requant_mul_fill};

/* clang-format off */
static const struct mbi_op_case requant_mul_cases[] = {
    {.cols = {1, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-3, -32768, 32767, 8}},
    {.cols = {67, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-6, INT32_MIN, INT32_MAX, 10}},
    {.cols = {67, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8}, .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-3, -32768, 32767, 8}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_requant_mul = {
    .n_attr = 4,
    .params = 1u << 1 | 1u << 2,
    .infer = requant_mul_infer,
    .units = MBI_KERNEL(mbi_units_elements),
    .eval = MBI_KERNEL(requant_mul_eval),
    .grad = MBI_GRAD(requant_mul),
    .gadget = &requant_mul_proof,
    .cases = MBI_CASES(requant_mul_cases),
    .n_cases = MBI_COUNT(requant_mul_cases),
};

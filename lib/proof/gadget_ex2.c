/* SPDX-License-Identifier: Apache-2.0 */
/* Gadgets of powers of two of a fraction: ex2w in full precision, ex2 with few integers. */
#include "base/intmath.h"
#include "proof/gadget.h"
#include "proof/witness.h"

static struct mbi_view column(uint32_t var, int32_t mid)
{
    return mbi_view(var, mbi_along(0, 0), mbi_fixed(mid), mbi_along(2, 0));
}

static void begin(struct mbi_gadget *g, const struct mbi_shape *shape)
{
    mbi_gadget_relate(g, shape->n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape->n);
}

/* ---- ex2w ---- */

/* Counted from the first: f, the one-hot e, t and rest of each step, rsh(t, e), rsh(., down). */
enum { W_F, W_HOT, W_STEP, W_SHIFTED = W_STEP + 10, W_SHIFTED_REST, W_RESULT, W_RESULT_REST };

#define W_STEPS 5
/* t0, then what each step takes t f >> 16 from. */
static const int64_t w_constant[W_STEPS + 1] = {1021409,   9900009,   59386118,
                                                257893817, 744257211, 1073741824};

static uint32_t step_var(const struct mbi_gadget_ex2w *x, int step)
{
    return x->first + W_STEP + 2 * ((uint32_t)step - 1);
}

void mbi_gadget_ex2w_vars(struct mbi_gadget *g, struct mbi_gadget_ex2w *x)
{
    const struct mbi_shape hot = {{x->shape.n[0], x->octaves, x->shape.n[2]}};
    const int64_t unit = (int64_t)1 << x->log_f, top = w_constant[W_STEPS];

    x->first = mbi_gadget_table(g, x->shape, 0, unit - 1, false);
    mbi_gadget_table(g, hot, 0, 1, false);
    for (int k = 1; k <= W_STEPS; k++) {
        mbi_gadget_table(g, x->shape, 0, w_constant[k], true);
        mbi_gadget_table(g, x->shape, 0, unit - 1, false);
    }
    mbi_gadget_table(g, x->shape, 0, top, true);
    mbi_gadget_table(g, x->shape, 0, ((int64_t)1 << (x->octaves - 1)) - 1, false);
    mbi_gadget_table(g, x->shape, 0, top >> x->down, true);
    mbi_gadget_table(g, x->shape, 0, ((int64_t)1 << x->down) - 1, false);
}

/* L = 2^log_f sum j hot_j + f and sum hot_j = 1. */
static void split_level(struct mbi_gadget *g, const struct mbi_gadget_ex2w *x, int64_t a, int64_t b,
                        struct mbi_view l)
{
    begin(g, &x->shape);
    mbi_gadget_constant(g, a);
    mbi_gadget_view(g, b, l);
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + W_F));
    for (int32_t j = 1; j < (int32_t)x->octaves; j++)
        mbi_gadget_view(g, -mbi_lshift(j, (int)x->log_f), column(x->first + W_HOT, j));
    begin(g, &x->shape);
    mbi_gadget_constant(g, -1);
    for (int32_t j = 0; j < (int32_t)x->octaves; j++)
        mbi_gadget_view(g, 1, column(x->first + W_HOT, j));
}

/* t_(k-1) f = 2^log_f (c_k - t_k) + r; both sides stay below 2^48. */
static void step(struct mbi_gadget *g, const struct mbi_gadget_ex2w *x, int k)
{
    const int64_t unit = (int64_t)1 << x->log_f;
    const struct mbi_view f = mbi_gadget_entry(x->first + W_F);

    begin(g, &x->shape);
    if (k > 1)
        mbi_gadget_views(g, 1, mbi_gadget_entry(step_var(x, k - 1)), f);
    else
        mbi_gadget_view(g, w_constant[0], f);
    mbi_gadget_constant(g, -unit * w_constant[k]);
    mbi_gadget_view(g, unit, mbi_gadget_entry(step_var(x, k)));
    mbi_gadget_view(g, -1, mbi_gadget_entry(step_var(x, k) + 1));
}

void mbi_gadget_ex2w_relations(struct mbi_gadget *g, const struct mbi_gadget_ex2w *x, int64_t a,
                               int64_t b, struct mbi_view l)
{
    const int top = (int)x->octaves - 1;
    const struct mbi_view t = mbi_gadget_entry(step_var(x, W_STEPS));

    split_level(g, x, a, b, l);
    for (int k = 1; k <= W_STEPS; k++)
        step(g, x, k);
    begin(g, &x->shape); /* t sum 2^(top - j) hot_j + 2^(top-1) = 2^top s + r, below 2^48 */
    for (int32_t j = 0; j <= top; j++)
        mbi_gadget_views(g, (int64_t)1 << (top - j), t, column(x->first + W_HOT, j));
    mbi_gadget_constant(g, (int64_t)1 << (top - 1));
    mbi_gadget_view(g, -((int64_t)1 << top), mbi_gadget_entry(x->first + W_SHIFTED));
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + W_SHIFTED_REST));
    begin(g, &x->shape);
    mbi_gadget_view(g, 1, mbi_gadget_entry(x->first + W_SHIFTED));
    mbi_gadget_constant(g, (int64_t)1 << (x->down - 1));
    mbi_gadget_view(g, -((int64_t)1 << x->down), mbi_gadget_entry(x->first + W_RESULT));
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + W_RESULT_REST));
}

/* Quotient and rest of a division by 2^log in two variables that lie side by side. */
static int64_t set_divided(const struct mbi_gadget_fill *f, uint32_t var, size_t row, size_t col,
                           int64_t x, int log)
{
    const int64_t q = mbi_rshift_floor(x, log);

    mbi_gadget_set(f, var, row, col, q);
    mbi_gadget_set(f, var + 1, row, col, x - mbi_lshift(q, log));
    return q;
}

int64_t mbi_gadget_fill_ex2w(const struct mbi_gadget_fill *f, const struct mbi_gadget_ex2w *x,
                             size_t row, size_t col, uint32_t level)
{
    const int64_t part = level & (((uint32_t)1 << x->log_f) - 1);
    const uint32_t e = level >> x->log_f;
    const int top = (int)x->octaves - 1;
    int64_t t = w_constant[0];

    mbi_gadget_set(f, x->first + W_F, row, col, part);
    for (uint32_t j = 0; j < x->octaves; j++)
        mbi_gadget_set(f, x->first + W_HOT, row, j * x->shape.n[2] + col, j == e);
    for (int k = 1; k <= W_STEPS; k++) {
        const int64_t product = t * part;

        t = w_constant[k] - mbi_rshift_floor(product, (int)x->log_f);
        mbi_gadget_set(f, step_var(x, k), row, col, t);
        mbi_gadget_set(f, step_var(x, k) + 1, row, col, product & (((int64_t)1 << x->log_f) - 1));
    }
    t = mbi_lshift(t, (int)mbi_max_i64(top - (int64_t)e, 0)) + ((int64_t)1 << (top - 1));
    t = set_divided(f, x->first + W_SHIFTED, row, col, t, top);
    return set_divided(f, x->first + W_RESULT, row, col, t + ((int64_t)1 << (x->down - 1)),
                       (int)x->down);
}

/* ---- ex2 ---- */

/*
 * With d = f - (f f >> 16) and rho = f f mod 2^16, the polynomial is P = 2^48 - 2^31 f - V,
 *   V = 1 + 188 f + 829560636 d + 3060 rho - 2594 f d - 466 d d,
 * which is in [1, 2^44) at every f: P >> 31 = z = 2^17 - f - v with v = ceil(V / 2^31). Then m =
 * z 2^(14-e) >> 16, or 0 for e >= 15. With e + 1 = 3 - s - 2 t + 4 E, two bits s and t, the power
 * is (1 + s) (1 + 3 t) B, where B = 16^(3-E) for E in 0 .. 3 and 0 above.
 */
enum { X_F, X_D, X_RHO, X_V, X_REST, X_S, X_T, X_B, X_W, X_E, X_Z, X_M, X_M_REST };

#define B_MIN (-2000) /* any range of 2^13 that has 4096, but neither q(4) nor q(-1) */

static void begin_define(struct mbi_gadget *g, const struct mbi_shape *shape)
{
    mbi_gadget_define_table(g, *shape);
    mbi_gadget_letters(g, MBI_AXES, shape->n);
    mbi_gadget_result(g, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
}

static void ex2_vars(struct mbi_gadget *g, struct mbi_gadget_ex2 *x)
{
    static const struct {
        int64_t lo, hi;
        bool loose;
    } range[] = {
        [X_F] = {0, 65535, false},
        [X_D] = {0, 16384, true},
        [X_RHO] = {0, 65535, false},
        [X_V] = {0, 5642, true},
        [X_REST] = {0, 0x7fffffff, false},
        [X_S] = {0, 1, false},
        [X_T] = {0, 1, false},
        [X_B] = {B_MIN, B_MIN + 8191, false},
        [X_W] = {0, 4095, false},
    };

    x->first = mbi_gadget_table(g, x->shape, range[0].lo, range[0].hi, range[0].loose);
    for (size_t k = 1; k < MBI_COUNT(range); k++)
        mbi_gadget_table(g, x->shape, range[k].lo, range[k].hi, range[k].loose);
    begin_define(g, &x->shape); /* E = w + 4 - B */
    mbi_gadget_constant(g, 4);
    mbi_gadget_view(g, 1, mbi_gadget_entry(x->first + X_W));
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + X_B));
    begin_define(g, &x->shape); /* z = 2^17 - f - v */
    mbi_gadget_constant(g, 1 << 17);
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + X_F));
    mbi_gadget_view(g, -1, mbi_gadget_entry(x->first + X_V));
    mbi_gadget_table(g, x->shape, 0, 32767, true);
    mbi_gadget_table(g, x->shape, 0, 65535, false);
    if (x->small != x->large)
        mbi_gadget_triangle(g, x->first, MBI_EX2_VARS, (uint8_t)mbi_bitlen(x->shape.n[2] - 1));
}

static struct mbi_view placed(const struct mbi_gadget_ex2 *x, uint32_t var)
{
    return mbi_view(x->first + var, x->at[0], x->at[1], x->at[2]);
}

static void begin_placed(struct mbi_gadget *g, const struct mbi_gadget_ex2 *x)
{
    mbi_gadget_relate(g, x->shape.n[2]);
    mbi_gadget_letters(g, x->n_letters, x->range);
    if (x->small != x->large)
        mbi_gadget_upto(g, x->small, x->large);
}

/* f f + 2^16 d = 2^16 f + rho; V + rest = 2^31 v. Below 2^33 and 2^46. */
static void fraction(struct mbi_gadget *g, const struct mbi_gadget_ex2 *x)
{
    const struct mbi_view f = placed(x, X_F);
    const struct mbi_view d = placed(x, X_D);
    const struct mbi_view rho = placed(x, X_RHO);

    begin_placed(g, x);
    mbi_gadget_views(g, 1, f, f);
    mbi_gadget_view(g, 1 << 16, d);
    mbi_gadget_view(g, -(1 << 16), f);
    mbi_gadget_view(g, -1, rho);
    begin_placed(g, x);
    mbi_gadget_constant(g, 1);
    mbi_gadget_view(g, 188, f);
    mbi_gadget_view(g, 829560636, d);
    mbi_gadget_view(g, 3060, rho);
    mbi_gadget_views(g, -2594, f, d);
    mbi_gadget_views(g, -466, d, d);
    mbi_gadget_view(g, 1, placed(x, X_REST));
    mbi_gadget_view(g, -((int64_t)1 << 31), placed(x, X_V));
}

/* L = 2^16 (2 - s - 2 t + 4 E) + f. */
static void octave(struct mbi_gadget *g, const struct mbi_gadget_ex2 *x)
{
    begin_placed(g, x);
    mbi_gadget_view(g, 1, x->plus);
    if (x->minus.var != MBI_NONE)
        mbi_gadget_view(g, -1, x->minus);
    mbi_gadget_constant(g, -(2 << 16));
    mbi_gadget_view(g, 1 << 16, placed(x, X_S));
    mbi_gadget_view(g, 2 << 16, placed(x, X_T));
    mbi_gadget_view(g, -(4 << 16), placed(x, X_E));
    mbi_gadget_view(g, -1, placed(x, X_F));
}

/*
 * B (2 B - 2 q(E)) = 0, 2 q = 8192 - 13530 E + 6975 E^2 - 1125 E^3, which is 2 16^(3-E) at E = 0
 * .. 3. It falls: q(-1) = 14911 and q(4) = -3164 lie outside of B's range, so B is 0 or E is in
 * 0 .. 3. And B = 0 asks for E >= 4, because w = E - 4 + B >= 0. |E| <= 6187: below 2^61.
 */
static void power(struct mbi_gadget *g, const struct mbi_gadget_ex2 *x)
{
    const struct mbi_view b = placed(x, X_B), e = placed(x, X_E);

    begin_placed(g, x);
    mbi_gadget_views(g, 2, b, b);
    mbi_gadget_view(g, -8192, b);
    mbi_gadget_views(g, 13530, b, e);
    mbi_gadget_term(g, -6975, 3, (struct mbi_view[]){b, e, e});
    mbi_gadget_term(g, 1125, 4, (struct mbi_view[]){b, e, e, e});
}

/* (1 + s) (1 + 3 t) B z = 2^16 m + r, below 2^34. */
static void shifted(struct mbi_gadget *g, const struct mbi_gadget_ex2 *x)
{
    const struct mbi_view b = placed(x, X_B);
    const struct mbi_view z = placed(x, X_Z);
    const struct mbi_view s = placed(x, X_S);
    const struct mbi_view t = placed(x, X_T);

    begin_placed(g, x);
    mbi_gadget_views(g, 1, b, z);
    mbi_gadget_term(g, 1, 3, (struct mbi_view[]){b, z, s});
    mbi_gadget_term(g, 3, 3, (struct mbi_view[]){b, z, t});
    mbi_gadget_term(g, 3, 4, (struct mbi_view[]){b, z, s, t});
    mbi_gadget_view(g, -(1 << 16), placed(x, X_M));
    mbi_gadget_view(g, -1, placed(x, X_M_REST));
}

void mbi_gadget_ex2(struct mbi_gadget *g, struct mbi_gadget_ex2 *x)
{
    ex2_vars(g, x);
    fraction(g, x);
    octave(g, x);
    power(g, x);
    shifted(g, x);
}

int64_t mbi_gadget_fill_ex2(const struct mbi_gadget_fill *f, uint32_t first, size_t row, size_t col,
                            uint32_t level)
{
    const int64_t part = level & 65535, e = (level >> 16) + 1, octave = e >> 2, back = 3 - (e & 3);
    const int64_t b = octave < 4 ? 1 << (12 - 4 * octave) : 0;
    const int64_t q = part * part >> 16, d = part - q, rho = part * part - (q << 16);
    const int64_t v = 1 + 188 * part + 829560636 * d + 3060 * rho - 2594 * part * d - 466 * d * d;
    const int64_t up = (v + 0x7fffffff) >> 31, z = (1 << 17) - part - up;
    const int64_t y = (b << back) * z;
    const int64_t all[] = {
        [X_F] = part,
        [X_D] = d,
        [X_RHO] = rho,
        [X_V] = up,
        [X_REST] = mbi_lshift(up, 31) - v,
        [X_S] = back & 1,
        [X_T] = back >> 1,
        [X_B] = b,
        [X_W] = octave - 4 + b,
        [X_E] = octave,
        [X_Z] = z,
        [X_M] = y >> 16,
        [X_M_REST] = y & 65535,
    };

    for (uint32_t k = 0; k < MBI_EX2_VARS; k++)
        mbi_gadget_set(f, first + k, row, col, all[k]);
    return all[X_M];
}

/* Outside of a triangle f, w and v are 0 and B is the least. */
void mbi_gadget_ex2_done(const struct mbi_gadget_fill *f, uint32_t first)
{
    const struct mbi_var *v = &f->witness->plan->var[first];

    for (size_t r = 0; v->triangle && r < v->n[0]; r++)
        for (size_t c = 0; c < mbi_var_cols(v); c++)
            if (!mbi_var_has(v, r, c)) {
                mbi_gadget_set(f, first + X_E, r, c, 4 - B_MIN);
                mbi_gadget_set(f, first + X_Z, r, c, 1 << 17);
            }
    mbi_gadget_computed(f, first + X_E);
    mbi_gadget_computed(f, first + X_Z);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dyadic-Cayley rotation: a running angle in 1/256 turns, summed exactly (turn), and pairs of
 * B and C turned by it through three lifting shears and a quadrant (rotate). Each shear is
 * inverted exactly by the shear of the opposite sign.
 */
#include "op/element.h"
#include "op/formula.h"
#include <string.h>

/* ---- turn: phi_t = phi_(t-1) + rsh(p_t, 2) mod 256                   arithmetic.md, turn ---- */

static int32_t turn_infer(struct mbi_infer *q)
{
    if (q->in[0]->dtype != MBI_I16 || q->in[0]->frac != 8)
        return mbi_infer_mismatch(q, "turn", "needs an i16 Q8 value");
    *q->out = (struct mbi_type){MBI_I16, 8, 1, q->in[0]->cols, 0, 255};
    return MAMBAINT_OK;
}

/* The phase is 0..255 in one byte; the dtype says the width, the interval the meaning. */
static size_t turn_state(struct mbi_state_field field[MBI_MAX_STATE_FIELDS],
                         const struct mbi_type *const in[MBI_MAX_IN], const void *attr)
{
    (void)attr;
    field[0] = (struct mbi_state_field){"phase", MBI_I8, in[0]->cols, -128, 127};
    return 1;
}

static size_t turn_units(const struct mbi_op_args *a) { return a->out_type->cols; }

static void turn_eval(const struct mbi_op_args *a)
{
    const size_t n = a->out_type->cols;
    const int16_t *p = a->in[0];
    uint8_t *phase = a->state[0];
    int16_t *phi = a->out;

    for (size_t t = 0; t < a->lanes; t++)
        for (size_t k = a->begin; k < a->end; k++) {
            phase[k] = (uint8_t)(phase[k] + mbi_rshift_half_up(p[t * n + k], 2));
            phi[t * n + k] = phase[k];
        }
}

/*
 * g = rsh(p, 2) is (p + 2 - r) / 4 with r in [0, 3]. The sum of all 4 g up to a lane is
 * 4 phi + 1024 m; so each 4 g is a multiple of 4, which fixes r, and phi in [0, 255] is the sum of
 * g modulo 256. g itself is no variable.
 */
enum { TURN_REST, TURN_STEP, TURN_PHASE, TURN_TURNS, TURN_BOUNDARY, TURN_BEFORE };

static void turn_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols, lanes = g->lanes;
    const int64_t lo = mbi_gadget_lo(g, g->in[0]), hi = mbi_gadget_hi(g, g->in[0]);
    const int64_t least = mbi_rshift_half_up(lo, 2), most = mbi_rshift_half_up(hi, 2);
    const uint32_t rest = mbi_gadget_var(g, cols, 0, 3, false);
    const uint32_t step = mbi_gadget_define(g, cols);
    const struct mbi_shape memory = {{1, 1, cols}};
    const int64_t begin = g->boundary[MBI_BEFORE] ? 255 : 0; /* the sums may begin there */
    uint32_t turns, before = MBI_NONE;

    mbi_gadget_linear(g, 1, g->in[0]);
    mbi_gadget_constant(g, 2);
    mbi_gadget_linear(g, -1, rest);
    g->out = mbi_gadget_var(g, cols, 0, 255, false);
    turns = mbi_gadget_var(g, cols, mbi_rshift_floor(mbi_min_i64(least * lanes, least), 8),
                           mbi_rshift_floor(mbi_max_i64(most * lanes, most) + begin, 8), true);
    if (begin)
        before = mbi_gadget_before(g, memory, 0, 255);
    mbi_gadget_relate(g, cols);
    mbi_gadget_view(g, 1,
                    mbi_view(step, mbi_prefix(MBI_LETTER_ROW, (uint8_t)mbi_bitlen(lanes - 1)),
                             mbi_fixed(0), mbi_along(MBI_LETTER_COL, 0)));
    mbi_gadget_linear(g, -4, g->out);
    mbi_gadget_linear(g, -1024, turns);
    if (begin)
        mbi_gadget_view(g, 4,
                        mbi_view(before, mbi_fixed(0), mbi_fixed(0), mbi_along(MBI_LETTER_COL, 0)));
    if (g->boundary[MBI_BEHIND])
        mbi_gadget_behind(
            g, memory, 0, 255,
            mbi_view(g->out, mbi_fixed((int32_t)lanes - 1), mbi_fixed(0), mbi_along(2, 0)));
}

static void turn_fill(const struct mbi_gadget_fill *f)
{
    const size_t n = f->node->type.cols;
    const int16_t *p = f->in[0];

    for (size_t k = 0; k < n; k++) {
        int64_t sum = f->boundary[MBI_BEFORE] ? mbi_gadget_get(f, f->first + TURN_BEFORE, 0, k) : 0;

        for (size_t t = 0; t < f->lanes; t++) {
            const int64_t g = mbi_rshift_half_up(p[t * n + k], 2);

            sum += g;
            mbi_gadget_set(f, f->first + TURN_REST, t, k, p[t * n + k] + 2 - 4 * g);
            mbi_gadget_set(f, f->first + TURN_PHASE, t, k, sum & 255);
            mbi_gadget_set(f, f->first + TURN_TURNS, t, k, mbi_rshift_floor(sum, 8));
        }
    }
}

static const struct mbi_op_gadget turn_proof = {turn_declare, turn_fill};

static const struct mbi_op_case turn_cases[] = {
    {.cols = {1}, .dtype = {MBI_I16}, .frac = {8}},
    {.cols = {19}, .dtype = {MBI_I16}, .frac = {8}},
};

const struct mbi_op_def mbi_op_turn = {
    .infer = turn_infer,
    .state = turn_state,
    .units = MBI_KERNEL(turn_units),
    .eval = MBI_KERNEL(turn_eval),
    .grad = MBI_GRAD(turn),
    .gadget = &turn_proof,
    .cases = MBI_CASES(turn_cases),
    .n_cases = MBI_COUNT(turn_cases),
};

/* ---- rotate                                                        arithmetic.md, rotate ---- */

static int32_t rotate_infer(struct mbi_infer *q)
{
    const struct mbi_rotate_attr *at = q->attr;
    const struct mbi_type *bc = q->in[0], *phi = q->in[1];

    if (bc->dtype != MBI_I8 || phi->dtype != MBI_I16 || phi->lo < 0 || phi->hi > 255)
        return mbi_infer_mismatch(q, "rotate", "needs i8 B and C and phases of 0 to 255");
    if (at->pairs < 1 || phi->cols != (uint32_t)at->pairs || bc->cols % 4 ||
        (uint64_t)at->pairs * 4 > bc->cols)
        return mbi_infer_mismatch(q, "rotate", "B and C have fewer pairs than there are phases");
    return mbi_infer_result(q, bc->cols, bc->frac, -128, 127, -128, 127);
}

static void rotate_half(int8_t *v, const int16_t *phi, size_t pairs)
{
    for (size_t k = 0; k < pairs; k++)
        mbi_rotate_bytes(v + 2 * k, phi[k]);
}

static void rotate_eval(const struct mbi_op_args *a)
{
    const struct mbi_rotate_attr *at = a->attr;
    const size_t n = a->out_type->cols, pairs = (size_t)at->pairs;
    const int16_t *phi = a->in[1];
    int8_t *y = a->out;

    for (size_t t = a->begin; t < a->end; t++) {
        memcpy(y + t * n, (const int8_t *)a->in[0] + t * n, n);
        rotate_half(y + t * n, phi + t * pairs, pairs);
        rotate_half(y + t * n + n / 2, phi + t * pairs, pairs);
    }
}

/* ---- proof ---- */

/*
 * Letters: lane, half (B or C) and pair. What depends on the angle alone has (lane, pair), what is
 * of a pair (lane, half, pair), and what is of an element (lane, 2 half + which of the pair, pair).
 */
enum { LANE, HALF, PAIR };

/* Variables, in this order; all are loose but for the result, bits and rests. */
enum {
    OUT,
    /* phi + 32 = 256 CARRY + 128 OPPOSITE + 64 QUARTER + LOW, all but the last in {0, 1} */
    CARRY,
    OPPOSITE,
    QUARTER,
    LOW,
    RHO,    /* derived: LOW - 32 */
    SIGN,   /* derived: 1 - 2 OPPOSITE */
    SQUARE, /* RHO RHO */
    T,      /* shear_t(RHO) */
    T_REST,
    S, /* shear_s(RHO) */
    S_REST,
    A, /* rsh(T y, 15), the first shear */
    A_REST,
    X1, /* derived: x - A */
    B,  /* rsh(S X1, 15), the second one */
    B_REST,
    Y1, /* derived: y + B */
    C,  /* rsh(T Y1, 15), the third one */
    C_REST,
    X2,    /* derived: X1 - C */
    OVER,  /* what the result lies above 127 */
    UNDER, /* what it lies below -128 */
    OUT_REST
};

/* Bounds over all angles, and over all pairs of i8 and all angles: formula.h. */
#define MAX_T 13573
#define MAX_S 23170
#define MAX_PAIR 1448

/* A rounding shift of what is at most `magnitude`. */
static struct mbi_shift_clamp rounded(int64_t magnitude, int32_t shift)
{
    return (struct mbi_shift_clamp){
        .x_lo = -magnitude, .x_hi = magnitude, .shift = shift, .lo = INT32_MIN, .hi = INT32_MAX};
}

/* The polynomials are odd and rise with rho. */
static struct mbi_shift_clamp t_gadget(void) { return rounded((int64_t)MAX_T << 23, 23); }

static struct mbi_shift_clamp s_gadget(void) { return rounded((int64_t)MAX_S << 21, 21); }

/* y = 8 of what is given, and rsh(8 v, 15) = rsh(v, 12). */
static struct mbi_shift_clamp a_gadget(void) { return rounded(MAX_T * 128, 12); }

static struct mbi_shift_clamp b_gadget(void) { return rounded((int64_t)MAX_S * MAX_PAIR, 15); }

static struct mbi_shift_clamp c_gadget(void) { return rounded((int64_t)MAX_T * MAX_PAIR, 15); }

/* An element of the input or of the result: 2 N half + 2 pair + which. */
static struct mbi_view of_pair(const struct mbi_gadget *g, uint32_t var, int32_t which)
{
    const uint8_t log = (uint8_t)mbi_bitlen(g->node->type.cols / 2 - 1);
    const struct mbi_axis col = {.n_fields = 2, .field = {{HALF, log}, {PAIR, 1}}, .from = which};

    return mbi_view(var, mbi_along(LANE, 0), mbi_fixed(0), col);
}

static struct mbi_view of_angle(uint32_t var)
{
    return mbi_view(var, mbi_along(LANE, 0), mbi_fixed(0), mbi_along(PAIR, 0));
}

static struct mbi_shape pair_shape(const struct mbi_gadget *g)
{
    return (struct mbi_shape){{g->lanes, 2, g->in_type[1]->cols}};
}

static struct mbi_shape angle_shape(const struct mbi_gadget *g)
{
    return (struct mbi_shape){{g->lanes, 1, g->in_type[1]->cols}};
}

static void relate(struct mbi_gadget *g, struct mbi_shape letters)
{
    mbi_gadget_relate(g, letters.n[2]);
    mbi_gadget_letters(g, MBI_AXES, letters.n);
}

/* A variable of (lane, half, pair), of the terms that come next. */
static void define_pair(struct mbi_gadget *g)
{
    const struct mbi_shape shape = pair_shape(g);

    (void)mbi_gadget_define_table(g, shape);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    mbi_gadget_result(g, mbi_along(LANE, 0), mbi_along(HALF, 0), mbi_along(PAIR, 0));
}

/* Begins a relation whose terms are a rounding shift's, all but what is shifted. */
static void begin_shift(struct mbi_gadget *g, struct mbi_shape shape, struct mbi_shift_clamp q)
{
    const struct mbi_shifted y = mbi_gadget_shifted(g, shape, &q);

    relate(g, shape);
    mbi_gadget_shifted_terms(g, &q, &y);
}

/* c rho rho2^n */
static void odd_power(struct mbi_gadget *g, int64_t c, uint32_t n)
{
    const struct mbi_view rho = of_angle(g->out + RHO), square = of_angle(g->out + SQUARE);

    mbi_gadget_term(g, c, 1 + n, (struct mbi_view[]){rho, square, square});
}

static void declare_angle(struct mbi_gadget *g)
{
    const struct mbi_shape shape = angle_shape(g);
    const uint32_t first = g->out, cols = shape.n[2];

    for (uint32_t i = CARRY; i < LOW; i++)
        (void)mbi_gadget_var(g, cols, 0, 1, false);
    (void)mbi_gadget_var(g, cols, 0, 63, false);
    (void)mbi_gadget_define(g, cols);
    mbi_gadget_linear(g, 1, first + LOW);
    mbi_gadget_constant(g, -32);
    (void)mbi_gadget_define(g, cols);
    mbi_gadget_constant(g, 1);
    mbi_gadget_linear(g, -2, first + OPPOSITE);
    (void)mbi_gadget_var(g, cols, 0, 1024, true);

    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, 1, g->in[1]);
    mbi_gadget_constant(g, 32);
    mbi_gadget_linear(g, -256, first + CARRY);
    mbi_gadget_linear(g, -128, first + OPPOSITE);
    mbi_gadget_linear(g, -64, first + QUARTER);
    mbi_gadget_linear(g, -1, first + LOW);
    mbi_gadget_relate(g, cols);
    mbi_gadget_linear(g, 1, first + SQUARE);
    mbi_gadget_product(g, -1, first + RHO, first + RHO);

    begin_shift(g, shape, t_gadget());
    odd_power(g, 3373226304, 0);
    odd_power(g, 169203, 1);
    odd_power(g, 11, 2);
    begin_shift(g, shape, s_gadget());
    odd_power(g, 1686634269, 0);
    odd_power(g, -169312, 1);
    odd_power(g, 5, 2);
}

static void declare_shears(struct mbi_gadget *g)
{
    const struct mbi_shape shape = pair_shape(g);
    const uint32_t first = g->out;

    begin_shift(g, shape, a_gadget());
    mbi_gadget_views(g, 1, of_angle(first + T), of_pair(g, g->in[0], 1));
    define_pair(g);
    mbi_gadget_view(g, 8, of_pair(g, g->in[0], 0));
    mbi_gadget_view(g, -1, mbi_gadget_entry(first + A));

    begin_shift(g, shape, b_gadget());
    mbi_gadget_views(g, 1, of_angle(first + S), mbi_gadget_entry(first + X1));
    define_pair(g);
    mbi_gadget_view(g, 8, of_pair(g, g->in[0], 1));
    mbi_gadget_view(g, 1, mbi_gadget_entry(first + B));

    begin_shift(g, shape, c_gadget());
    mbi_gadget_views(g, 1, of_angle(first + T), mbi_gadget_entry(first + Y1));
    define_pair(g);
    mbi_gadget_view(g, 1, mbi_gadget_entry(first + X1));
    mbi_gadget_view(g, -1, mbi_gadget_entry(first + C));
}

/* The pair behind its quadrant: with s = SIGN and k = QUARTER, X = s x - s k x - s k y, and
 * Y = s y + s k x - s k y. */
static void quadrant_terms(struct mbi_gadget *g, int32_t which)
{
    const struct mbi_view s = of_angle(g->out + SIGN), k = of_angle(g->out + QUARTER);
    const struct mbi_view x = mbi_gadget_entry(g->out + X2), y = mbi_gadget_entry(g->out + Y1);

    mbi_gadget_views(g, 1, s, which ? y : x);
    mbi_gadget_term(g, which ? 1 : -1, 3, (struct mbi_view[]){s, k, x});
    mbi_gadget_term(g, -1, 3, (struct mbi_view[]){s, k, y});
}

/* A variable of (lane, 2 half + which, pair). */
static struct mbi_view of_element(uint32_t var, int32_t which)
{
    return mbi_view(var, mbi_along(LANE, 0), mbi_every(HALF, 1, which), mbi_along(PAIR, 0));
}

/* v (out - end) = 0 */
static void only_at(struct mbi_gadget *g, uint32_t v, int32_t which, int64_t end)
{
    relate(g, pair_shape(g));
    mbi_gadget_views(g, 1, of_element(v, which), of_pair(g, g->out, which));
    mbi_gadget_view(g, -end, of_element(v, which));
}

static void declare_results(struct mbi_gadget *g)
{
    const struct mbi_shape shape = {{g->lanes, 4, g->in_type[1]->cols}};
    const uint32_t first = g->out;

    (void)mbi_gadget_table(g, shape, 0, mbi_rshift_half_up(MAX_PAIR, 3) - 127, true);
    (void)mbi_gadget_table(g, shape, 0, -128 - mbi_rshift_half_up(-MAX_PAIR, 3), true);
    (void)mbi_gadget_table(g, shape, 0, 7, false);
    for (int32_t which = 0; which < 2; which++) {
        relate(g, pair_shape(g));
        quadrant_terms(g, which);
        mbi_gadget_constant(g, 4);
        mbi_gadget_view(g, -8, of_pair(g, g->out, which));
        mbi_gadget_view(g, -8, of_element(first + OVER, which));
        mbi_gadget_view(g, 8, of_element(first + UNDER, which));
        mbi_gadget_view(g, -1, of_element(first + OUT_REST, which));
        only_at(g, first + OVER, which, 127);
        only_at(g, first + UNDER, which, -128);
    }
}

/* The pairs behind those that are turned. */
static void declare_rest(struct mbi_gadget *g)
{
    const uint32_t n = g->node->type.cols / 2, turned = 2 * g->in_type[1]->cols;

    for (uint32_t half = 0; half < 2 && turned < n; half++) {
        const struct mbi_axis col = mbi_along(MBI_LETTER_COL, (int32_t)(half * n + turned));

        mbi_gadget_relate(g, n - turned);
        mbi_gadget_view(g, 1, mbi_view(g->out, mbi_along(MBI_LETTER_ROW, 0), mbi_fixed(0), col));
        mbi_gadget_view(g, -1, mbi_view(g->in[0], mbi_along(MBI_LETTER_ROW, 0), mbi_fixed(0), col));
    }
}

static void rotate_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->node->type.cols;

    if (cols & (cols - 1)) {
        mbi_gadget_fault(g, "B and C are no power of two");
        return;
    }
    g->out = mbi_gadget_var(g, cols, -128, 127, false);
    declare_angle(g);
    declare_shears(g);
    declare_results(g);
    declare_rest(g);
}

/* One pair of B or C, in Q8, of which x and y are given. */
static void fill_pair(const struct mbi_gadget_fill *f, size_t t, size_t half, size_t k, int32_t phi,
                      const int8_t *pair)
{
    const size_t pairs = f->in_type[1]->cols, col = half * pairs + k;
    const int32_t rho = ((phi + 32) & 63) - 32;
    const int64_t shear_t = mbi_shear_t(rho), shear_s = mbi_shear_s(rho);
    struct mbi_shift_clamp q[] = {a_gadget(), b_gadget(), c_gadget()};
    int64_t x = pair[0] * 8, y = pair[1] * 8;
    int32_t result[2] = {pair[0] * 8, pair[1] * 8};

    for (uint32_t i = 0; i < 3; i++)
        q[i].first = f->first + (i == 0 ? A : i == 1 ? B : C);
    mbi_gadget_fill_requant(f, &q[0], t, col, shear_t * pair[1]);
    x -= mbi_rshift_half_up(shear_t * y, 15);
    mbi_gadget_fill_requant(f, &q[1], t, col, shear_s * x);
    y += mbi_rshift_half_up(shear_s * x, 15);
    mbi_gadget_fill_requant(f, &q[2], t, col, shear_t * y);
    mbi_rotate_pair(&result[0], &result[1], phi);
    for (size_t which = 0; which < 2; which++) {
        const int64_t r = mbi_rshift_half_up(result[which], 3);
        const size_t at = (2 * half + which) * pairs + k;

        mbi_gadget_set(f, f->first + OVER, t, at, mbi_max_i64(r - 127, 0));
        mbi_gadget_set(f, f->first + UNDER, t, at, mbi_max_i64(-128 - r, 0));
        mbi_gadget_set(f, f->first + OUT_REST, t, at, result[which] + 4 - 8 * r);
    }
}

static void fill_angle(const struct mbi_gadget_fill *f, size_t t, size_t k, int32_t phi)
{
    const int32_t turned = phi + 32;
    const int32_t rho = (turned & 63) - 32;
    struct mbi_shift_clamp q = t_gadget();

    mbi_gadget_set(f, f->first + CARRY, t, k, turned >> 8);
    mbi_gadget_set(f, f->first + OPPOSITE, t, k, turned >> 7 & 1);
    mbi_gadget_set(f, f->first + QUARTER, t, k, turned >> 6 & 1);
    mbi_gadget_set(f, f->first + LOW, t, k, turned & 63);
    mbi_gadget_set(f, f->first + SQUARE, t, k, rho * rho);
    q.first = f->first + T;
    mbi_gadget_fill_requant(f, &q, t, k, mbi_shear_t_wide(rho));
    q = s_gadget();
    q.first = f->first + S;
    mbi_gadget_fill_requant(f, &q, t, k, mbi_shear_s_wide(rho));
}

static void rotate_fill(const struct mbi_gadget_fill *f)
{
    const size_t n = f->node->type.cols, pairs = f->in_type[1]->cols;
    const int8_t *bc = f->in[0];
    const int16_t *phi = f->in[1];

    for (size_t t = 0; t < f->lanes; t++)
        for (size_t k = 0; k < pairs; k++) {
            fill_angle(f, t, k, phi[t * pairs + k]);
            for (size_t half = 0; half < 2; half++)
                fill_pair(f, t, half, k, phi[t * pairs + k], bc + t * n + half * (n / 2) + 2 * k);
        }
}

static const struct mbi_op_gadget rotate_proof = {rotate_declare, rotate_fill};

/* clang-format off */
static const struct mbi_op_case rotate_cases[] = {
    {.cols = {4, 1}, .dtype = {MBI_I8, MBI_I16}, .frac = {5, 8}, .lo = {0, 0}, .hi = {0, 255}, .attr = {1}},
    {.cols = {64, 4}, .dtype = {MBI_I8, MBI_I16}, .frac = {5, 8}, .lo = {0, 0}, .hi = {0, 255}, .attr = {4}},
    {.cols = {32, 8}, .dtype = {MBI_I8, MBI_I16}, .frac = {5, 8}, .lo = {0, 0}, .hi = {0, 255}, .attr = {8}},
};
/* clang-format on */

const struct mbi_op_def mbi_op_rotate = {
    .n_attr = 1,
    .infer = rotate_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(rotate_eval),
    .grad = MBI_GRAD(rotate),
    .gadget = &rotate_proof,
    .cases = MBI_CASES(rotate_cases),
    .n_cases = MBI_COUNT(rotate_cases),
};

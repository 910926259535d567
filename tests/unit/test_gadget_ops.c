/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: the gadgets of single operations. What the run says holds; nothing else does. */
#include "gadget_case.h"

/* ---- lies ---- */

/* Some integers of the node are others, which the ranges may refuse at once. */
struct lie {
    const struct gadget_case *c;
    bool outside;
};

static void tell(struct lie *l, uint32_t index, size_t row, size_t col, int64_t x)
{
    const uint32_t var = gadget_first(l->c) + index;

    if (gadget_admits(l->c, var, x))
        gadget_put(l->c, var, row, col, x);
    else
        l->outside = true;
}

static int64_t told(const struct lie *l, uint32_t index, size_t row, size_t col)
{
    return gadget_get(l->c, gadget_first(l->c) + index, row, col);
}

static void tell_more(struct lie *l, uint32_t index, size_t row, size_t col, int64_t by)
{
    tell(l, index, row, col, told(l, index, row, col) + by);
}

static bool is_refused(struct lie *l)
{
    const bool refused = l->outside || !gadget_accepted(l->c);

    gadget_reset(l->c);
    l->outside = false;
    return refused;
}

static void refuse(struct lie *l, const char *what)
{
    test_check(is_refused(l), "accepted: %s", what);
}

/* ---- what follows from another input ---- */

/* The node's variables as its own filling makes them of the values as they stand. */
static void refill(struct gadget_case *c, const struct gadget_set *set)
{
    const struct mbi_node *node = &c->graph->node[c->node];
    struct mbi_gadget_fill f = {.witness = c->witness,
                                .node = node,
                                .lanes = set->lanes,
                                .n_outputs = set->n_outputs,
                                .first = gadget_first(c)};
    const struct mbi_var *out = gadget_var(c, gadget_out(c));

    gadget_eval(c, c->node, set->lanes);
    f.out = c->value[c->node];
    for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++) {
        f.in[k] = c->value[c->in[k]];
        f.in_type[k] = &c->graph->node[c->in[k]].type;
        f.in_var[k] = c->plan->stage[0].node[c->in[k]].var;
        f.in_lo[k] = gadget_var(c, f.in_var[k])->lo;
        f.in_hi[k] = gadget_var(c, f.in_var[k])->hi;
    }
    mbi_op_table[node->op].def->gadget->fill(&f);
    for (size_t i = 0; out->kind == MBI_VAR_COMMITTED && i < gadget_size(c, gadget_out(c)); i++)
        gadget_put(c, gadget_out(c), i / out->n[2], i % out->n[2],
                   mbi_get(f.out, node->type.dtype, i));
}

static bool all_committed_are_honest(const struct gadget_case *c)
{
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        if (gadget_var(c, i)->kind == MBI_VAR_COMMITTED && !gadget_is_honest(c, i))
            return false;
    return true;
}

/* Everything that follows from an input of which one element is another one: refused, or it is
 * what the run says. */
static void other_inputs(struct gadget_case *c, const struct gadget_set *set, size_t samples,
                         struct test_random *r)
{
    for (size_t i = 0; i < samples; i++) {
        const size_t k = test_random_below(r, mbi_op_table[set->op].n_in);
        const struct mbi_type *t = &c->graph->node[c->in[k]].type;
        const size_t n = (size_t)t->cols * (set->shape.rows[k] ? t->rows : set->lanes);
        const size_t at = test_random_below(r, n);
        const int64_t was = mbi_get(c->value[c->in[k]], t->dtype, at);
        const int64_t x = test_random_below(r, 2)
                              ? test_random_between(r, t->lo, t->hi)
                              : mbi_clamp_i64(was + test_random_between(r, -2, 2), t->lo, t->hi);

        mbi_put(c->value[c->in[k]], t->dtype, at, x);
        refill(c, set);
        test_check(!gadget_accepted(c) || all_committed_are_honest(c),
                   "%s: input %zu at %zu: %lld is accepted for %lld", mbi_op_table[set->op].name, k,
                   at, (long long)x, (long long)was);
        mbi_put(c->value[c->in[k]], t->dtype, at, was);
        refill(c, set);
        test_that(gadget_accepted(c) && all_committed_are_honest(c));
        gadget_reset(c);
    }
}

/* ---- every case ---- */

static const uint32_t many_lanes[] = {1, 2, 3, 4, 5, 17, 63, 64, 65, 130};

/* What the run says holds, for all lanes; with few of them, lies are tried. */
static void try_set(struct gadget_set set, const char *name)
{
    struct test_random r;

    test_random_init(&r, name);
    for (size_t i = 0; i < MBI_COUNT(many_lanes); i++) {
        struct gadget_case c;

        set.lanes = many_lanes[i];
        gadget_init(&c, &set, &r);
        if (set.lanes <= 5 || set.lanes == 17) {
            gadget_other_elements(&c, 12, NULL, &r);
            gadget_other_pairs(&c, 12, NULL, &r);
            other_inputs(&c, &set, 12, &r);
        }
        gadget_free(&c);
    }
}

/* All cases of an operation's own. */
static void try_cases(uint32_t op, uint32_t derived, const char *name)
{
    const struct mbi_op_def *def = mbi_op_table[op].def;

    for (size_t i = 0; i < def->n_cases; i++)
        try_set((struct gadget_set){.op = op, .shape = def->cases[i], .derived = derived}, name);
}

/* ---- a clamp: its value, what lies above and below, all of one element ---- */

/* y, and y + 1 and y + 2 what is above and below, of what is x before the clamp to [lo, hi]. */
static void lie_of_clamp(struct lie *l, uint32_t y, size_t t, size_t i, int64_t lo, int64_t hi)
{
    const int64_t was = told(l, y, t, i), u = told(l, y + 1, t, i), v = told(l, y + 2, t, i);
    const int64_t x = was + u - v;

    for (int by = -1; by < 2; by += 2) {
        tell_more(l, y, t, i, by);
        tell_more(l, y + 1, t, i, -by);
        refuse(l, "off by one above");
        tell_more(l, y, t, i, by);
        tell_more(l, y + 2, t, i, by);
        refuse(l, "off by one below");
    }
    tell(l, y + 1, t, i, u + 3);
    tell(l, y + 2, t, i, v + 3);
    refuse(l, "above and below at once");
    tell(l, y, t, i, x);
    tell(l, y + 1, t, i, 0);
    tell(l, y + 2, t, i, 0);
    test_check(is_refused(l) == (x != was), "no clamp at all");
    tell(l, y, t, i, hi);
    tell(l, y + 1, t, i, x - hi);
    tell(l, y + 2, t, i, 0);
    test_check(is_refused(l) == (was != hi), "only what is above is the upper end");
    tell(l, y, t, i, lo);
    tell(l, y + 1, t, i, 0);
    tell(l, y + 2, t, i, lo - x);
    test_check(is_refused(l) == (was != lo), "only what is below is the lower end");
    tell(l, y, t, i, hi);
    tell(l, y + 1, t, i, 0);
    tell(l, y + 2, t, i, hi - x);
    test_check(is_refused(l) == (x != hi), "the upper end, and below it");
}

/* ---- conv ---- */

#define CONV_DERIVED (1u << 2)
#define CONV_SHAPE(lo_e, hi_e)                                                                     \
    {                                                                                              \
        .cols = {5, 4, 5, 5}, .rows = {0, 5, 1, 1}, .dtype = {MBI_I16, MBI_I8, MBI_I8, MBI_I16},   \
        .frac = {8}, .lo = {0, -127, lo_e, 0}, .hi = {                                             \
            0,                                                                                     \
            127,                                                                                   \
            hi_e,                                                                                  \
            0                                                                                      \
        }                                                                                          \
    }

enum { CONV_POWERS, CONV_Y, CONV_U, CONV_V, CONV_R };

START_TEST(conv_of_cases) { try_cases(MBI_OP_conv, CONV_DERIVED, "conv"); }
END_TEST

START_TEST(conv_of_other_exponents)
{
    static const int64_t end[][2] = {{-8, -1}, {-3, 0}, {0, 1}, {1, 1}, {7, 30}, {-20, 10}};

    for (size_t i = 0; i < MBI_COUNT(end); i++)
        try_set((struct gadget_set){.op = MBI_OP_conv,
                                    .shape = CONV_SHAPE(end[i][0], end[i][1]),
                                    .derived = CONV_DERIVED},
                "conv of other exponents");
}
END_TEST

/* Nothing saturates: y alone. */
START_TEST(conv_of_small_inputs)
{
    struct gadget_set set = {.op = MBI_OP_conv, .shape = CONV_SHAPE(2, 9), .derived = CONV_DERIVED};

    set.shape.lo[0] = -40;
    set.shape.hi[0] = 30;
    set.shape.lo[3] = -3;
    set.shape.hi[3] = 9;
    try_set(set, "conv of small inputs");
}
END_TEST

START_TEST(conv_that_reaches_too_far)
{
    const struct gadget_set far = {
        .op = MBI_OP_conv, .shape = CONV_SHAPE(-30, 30), .lanes = 3, .derived = CONV_DERIVED};
    const struct gadget_set secret = {.op = MBI_OP_conv, .shape = CONV_SHAPE(-8, 10), .lanes = 3};

    gadget_refused(&far, "62 bits");
    gadget_refused(&secret, "not public");
}
END_TEST

static const int64_t conv_tap[4] = {1, 2, 3, 64};

/* Five channels of exponent 1: sums at halves, and beyond both ends. */
static void conv_input(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                       struct test_random *r)
{
    (void)set;
    (void)r;
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = k == 1   ? conv_tap[i % 4]
               : k == 2 ? 1
               : k == 3 ? 10
                        : (int64_t)i * 1999 % 4003 - 2001;
}

START_TEST(conv_lies)
{
    const struct gadget_set set = {.op = MBI_OP_conv,
                                   .shape = CONV_SHAPE(-8, 10),
                                   .lanes = 9,
                                   .derived = CONV_DERIVED,
                                   .input = conv_input};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};
    int16_t *p, first;

    test_random_init(&r, "conv lies");
    gadget_init(&c, &set, &r);
    for (size_t t = 0; t < 9; t++)
        for (size_t i = 0; i < 5; i++) {
            for (int by = -1; by < 2; by += 2) {
                tell_more(&l, CONV_Y, t, i, by);
                tell_more(&l, CONV_R, t, i, -1024 * by);
                refuse(&l, "another quotient with its remainder");
            }
            lie_of_clamp(&l, CONV_Y, t, i, -32768, 32767);
        }
    /* everything one token early: a tap reads the next token */
    p = c.value[c.in[0]];
    first = p[0];
    memmove(p, p + 5, 8 * 5 * sizeof(*p));
    refill(&c, &set);
    ck_assert(!gadget_accepted(&c));
    /* and one late */
    memmove(p + 5, p, 8 * 5 * sizeof(*p));
    p[0] = first;
    refill(&c, &set);
    ck_assert(!gadget_accepted(&c));
    gadget_free(&c);
}
END_TEST

/* ---- turn ---- */

enum { TURN_REST, TURN_STEP, TURN_PHASE, TURN_TURNS };

START_TEST(turn_of_cases)
{
    const struct gadget_set narrow = {
        .op = MBI_OP_turn,
        .shape = {.cols = {6}, .dtype = {MBI_I16}, .frac = {8}, .lo = {5}, .hi = {1000}}};

    try_cases(MBI_OP_turn, 0, "turn");
    try_set(narrow, "turn of positive steps");
}
END_TEST

START_TEST(turn_lies)
{
    const struct gadget_set set = {
        .op = MBI_OP_turn, .shape = {.cols = {3}, .dtype = {MBI_I16}, .frac = {8}}, .lanes = 7};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};

    test_random_init(&r, "turn lies");
    gadget_init(&c, &set, &r);
    for (size_t t = 0; t < 7; t++)
        for (size_t i = 0; i < 3; i++)
            for (int by = -1; by < 2; by += 2) {
                tell_more(&l, TURN_PHASE, t, i, 256 * by);
                tell_more(&l, TURN_TURNS, t, i, -by);
                refuse(&l, "a phase off by a turn");
                tell_more(&l, TURN_PHASE, t, i, by);
                refuse(&l, "a phase off by one");
                /* a step rounded the other way, and all that follows from it */
                tell_more(&l, TURN_REST, t, i, -4 * by);
                for (size_t s = t; s < 7; s++)
                    tell_more(&l, TURN_PHASE, s, i, by);
                refuse(&l, "a step off by one");
                for (int part = 1; part < 4; part++) {
                    tell_more(&l, TURN_REST, t, i, -part * by);
                    refuse(&l, "a step that is no whole one");
                    tell_more(&l, TURN_REST, t, i, -part * by);
                    if (t < 6)
                        tell_more(&l, TURN_REST, t + 1, i, part * by);
                    refuse(&l, "a part of a step moved to the next one");
                }
            }
    gadget_free(&c);
}
END_TEST

/* ---- rotate ---- */

enum {
    OUT,
    CARRY,
    OPPOSITE,
    QUARTER,
    LOW,
    RHO,
    SIGN,
    SQUARE,
    T,
    T_REST,
    S,
    S_REST,
    A,
    A_REST,
    X1,
    B,
    B_REST,
    Y1,
    C,
    C_REST,
    X2,
    OVER,
    UNDER,
    OUT_REST
};

#define ROTATE_SHAPE                                                                               \
    {                                                                                              \
        .cols = {16, 3}, .dtype = {MBI_I8, MBI_I16}, .frac = {5, 8}, .lo = {0, 0}, .hi = {0, 255}, \
        .attr = {                                                                                  \
            3                                                                                      \
        }                                                                                          \
    }

START_TEST(rotate_of_cases)
{
    const struct gadget_set odd = {.op = MBI_OP_rotate, .shape = ROTATE_SHAPE};

    try_cases(MBI_OP_rotate, 0, "rotate");
    try_set(odd, "rotate of three pairs");
}
END_TEST

START_TEST(rotate_of_no_power_of_two)
{
    const struct gadget_set set = {.op = MBI_OP_rotate,
                                   .shape = {.cols = {12, 3},
                                             .dtype = {MBI_I8, MBI_I16},
                                             .frac = {5, 8},
                                             .hi = {0, 255},
                                             .attr = {3}},
                                   .lanes = 2};

    gadget_refused(&set, "power of two");
}
END_TEST

/* Lane t has the phase t, and pairs at the ends, on the axes and anywhere. */
static void all_phases(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                       struct test_random *r)
{
    static const int64_t end[] = {-128, 127, -127, 0, 1, -1, 64, -5};

    (void)set;
    for (size_t i = 0; i < rows * cols; i++)
        if (k)
            x[i] = (int64_t)(i / cols + 85 * (i % cols)) & 255;
        else if (i / cols % 2 == 0)
            x[i] = end[test_random_below(r, MBI_COUNT(end))];
}

START_TEST(rotate_by_all_phases)
{
    const struct gadget_set set = {
        .op = MBI_OP_rotate, .shape = ROTATE_SHAPE, .lanes = 512, .input = all_phases};
    struct test_random r;

    test_random_init(&r, "rotate by all phases");
    for (int i = 0; i < 8; i++) {
        struct gadget_case c;

        gadget_init(&c, &set, &r);
        gadget_free(&c);
    }
}
END_TEST

/* A rounding shift of x, in `var` and the variable behind it; the shift `wrong` is off by one. */
static int64_t follow_shift(struct lie *l, uint32_t var, uint32_t wrong, const size_t at[2],
                            int64_t x, int shift, int by)
{
    const int64_t y = mbi_rshift_half_up(x, shift) + (var == wrong ? by : 0);

    tell(l, var, at[0], at[1], y);
    tell(l, var + 1, at[0], at[1], x + ((int64_t)1 << (shift - 1)) - mbi_lshift(y, shift));
    return y;
}

static void follow_result(struct lie *l, size_t t, size_t place, size_t col, int64_t x)
{
    const int64_t y = mbi_rshift_half_up(x, 3);

    tell(l, OUT, t, col, mbi_clamp_i64(y, -128, 127));
    tell(l, OVER, t, place, mbi_max_i64(y - 127, 0));
    tell(l, UNDER, t, place, mbi_max_i64(-128 - y, 0));
    tell(l, OUT_REST, t, place, x + 4 - 8 * y);
}

/* All that follows from the angle as it is told, with one shift off by one. */
static void follow(struct lie *l, size_t t, size_t k, uint32_t wrong, int by)
{
    const size_t angle[2] = {t, k};
    const int64_t rho = told(l, LOW, t, k) - 32, sign = 1 - 2 * told(l, OPPOSITE, t, k);
    const int64_t quarter = told(l, QUARTER, t, k);
    int64_t shear_t, shear_s;

    tell(l, SQUARE, t, k, rho * rho);
    shear_t = follow_shift(l, T, wrong, angle, mbi_shear_t_wide(rho), 23, by);
    shear_s = follow_shift(l, S, wrong, angle, mbi_shear_s_wide(rho), 21, by);
    for (size_t half = 0; half < 2; half++) {
        const int8_t *pair = (const int8_t *)l->c->value[l->c->in[0]] + t * 16 + 8 * half + 2 * k;
        const size_t at[2] = {t, 3 * half + k};
        int64_t x = 8 * pair[0], y = 8 * pair[1];

        x -= follow_shift(l, A, wrong, at, shear_t * pair[1], 12, by);
        y += follow_shift(l, B, wrong, at, shear_s * x, 15, by);
        x -= follow_shift(l, C, wrong, at, shear_t * y, 15, by);
        follow_result(l, t, 6 * half + k, 8 * half + 2 * k,
                      sign * ((1 - quarter) * x - quarter * y));
        follow_result(l, t, 6 * half + 3 + k, 8 * half + 2 * k + 1,
                      sign * (quarter * x + (1 - quarter) * y));
    }
}

/* Every way to write an angle, and many that the ranges are against. */
static void lie_of_angle(struct lie *l, size_t t, size_t k)
{
    const int phi = ((const int16_t *)l->c->value[l->c->in[1]])[t * 3 + k];
    size_t accepted = 0;

    for (int carry = -1; carry < 3; carry++)
        for (int opposite = -1; opposite < 3; opposite++)
            for (int quarter = -2; quarter < 5; quarter++)
                for (int off = -1; off < 2; off++) {
                    const int low = phi + 32 - 256 * carry - 128 * opposite - 64 * quarter + off;

                    if (low < -100 || low > 200)
                        continue;
                    tell(l, CARRY, t, k, carry);
                    tell(l, OPPOSITE, t, k, opposite);
                    tell(l, QUARTER, t, k, quarter);
                    tell(l, LOW, t, k, low);
                    follow(l, t, k, MBI_NONE, 0);
                    accepted += !is_refused(l);
                }
    ck_assert_uint_eq(accepted, 1);
}

/* The result alone: as other integers, without its clamp, at an end that is not its own. */
static void lie_of_result(struct lie *l, size_t t, size_t half, size_t which, size_t k)
{
    const size_t at = (2 * half + which) * 3 + k, col = 8 * half + 2 * k + which;
    const int64_t y = told(l, OUT, t, col), u = told(l, OVER, t, at), v = told(l, UNDER, t, at);
    const int64_t x = y + u - v;
    const int64_t others[] = {-190, -181, -129, -128, -127, y - 1, y, y + 1, 126, 127, 128, x};

    for (size_t i = 0; i < MBI_COUNT(others); i++) {
        const int64_t other = others[i];

        for (int way = 0; way < 4; way++) {
            tell(l, OUT, t, col, other);
            tell(l, OVER, t, at, way == 0 ? x - other : way == 1 ? mbi_max_i64(x - other, 0) : 0);
            tell(l, UNDER, t, at, way == 0 ? 0 : way == 1 ? mbi_max_i64(other - x, 0) : other - x);
            if (way == 3)
                tell(l, OVER, t, at, 1);
            test_check(is_refused(l) ==
                           (other != y || (way == 0 && v) || (way == 2 && u) || way == 3),
                       "result %lld for %lld, %d", (long long)other, (long long)y, way);
        }
        tell(l, OUT, t, col, other);
        tell_more(l, OUT_REST, t, at, -8 * (other - y));
        if (other != y)
            refuse(l, "a result with its rest");
    }
    tell(l, OVER, t, at, u + 2);
    tell(l, UNDER, t, at, v + 2);
    refuse(l, "above and below at once");
}

/* Phases on both sides of what they are cut at; pairs that are small, and of the ends. */
static void some_phases(const struct gadget_set *set, size_t k, int64_t *x, size_t rows,
                        size_t cols, struct test_random *r)
{
    static const int64_t phase[] = {224, 31, 95, 255, 32, 160, 239, 96, 159};
    static const int64_t pair[4][2] = {{127, 127}, {-128, -128}, {1, 0}, {0, -1}};

    (void)set;
    (void)r;
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = k ? phase[i % MBI_COUNT(phase)] : pair[(i / 2 + i / cols) % 4][i % 2];
}

START_TEST(rotate_lies)
{
    const struct gadget_set set = {
        .op = MBI_OP_rotate, .shape = ROTATE_SHAPE, .lanes = 3, .input = some_phases};
    static const uint32_t shift[] = {T, S, A, B, C};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};

    test_random_init(&r, "rotate lies");
    gadget_init(&c, &set, &r);
    for (size_t t = 0; t < 3; t++)
        for (size_t k = 0; k < 3; k++) {
            lie_of_angle(&l, t, k);
            for (size_t i = 0; i < 2 * MBI_COUNT(shift); i++) {
                follow(&l, t, k, shift[i / 2], i % 2 ? 1 : -1);
                refuse(&l, "a shift off by one, with all that follows");
            }
            for (size_t i = 0; i < 4; i++)
                lie_of_result(&l, t, i / 2, i % 2, k);
        }
    for (size_t i = 0; i < 3 * 4; i++) { /* what passes: the last pair of B and of C */
        const size_t col = (i % 4 < 2 ? 6 : 12) + i % 4;
        const int64_t y = told(&l, OUT, i / 4, col);

        for (int64_t x = -128; x < 128; x++) {
            tell(&l, OUT, i / 4, col, x);
            test_check(is_refused(&l) == (x != y), "column %zu: %lld for %lld", col, (long long)x,
                       (long long)y);
        }
    }
    gadget_free(&c);
}
END_TEST

/* The quadrant and the angle beside it, with all that follows from them. */
START_TEST(rotate_by_another_phase)
{
    struct gadget_set set = {
        .op = MBI_OP_rotate, .shape = ROTATE_SHAPE, .lanes = 4, .input = all_phases};
    static const int by[] = {1, -1, 64, -64, 128, 32};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "rotate by another phase");
    gadget_init(&c, &set, &r);
    for (size_t i = 0; i < 12 * MBI_COUNT(by); i++) {
        int16_t *phi = (int16_t *)c.value[c.in[1]] + i % 12, was = *phi;

        *phi = (int16_t)((was + by[i / 12]) & 255);
        refill(&c, &set);
        ck_assert(!gadget_accepted(&c));
        *phi = was;
    }
    gadget_free(&c);
}
END_TEST

/* ---- gate ---- */

#define GATE_SHAPE(kind)                                                                           \
    {                                                                                              \
        .cols = {64}, .dtype = {MBI_I16}, .frac = {8}, .attr = { kind }                            \
    }

static void try_gate(int32_t kind, const char *name)
{
    const struct gadget_set narrow = {.op = MBI_OP_gate,
                                      .shape = {.cols = {9},
                                                .dtype = {MBI_I16},
                                                .frac = {8},
                                                .lo = {-2047},
                                                .hi = {700},
                                                .attr = {kind}}};

    try_set((struct gadget_set){.op = MBI_OP_gate, .shape = GATE_SHAPE(kind)}, name);
    try_set(narrow, name);
}

START_TEST(gate_hard) { try_gate(MBI_GATE_HARD, "hard gate"); }
END_TEST

START_TEST(gate_algebraic) { try_gate(MBI_GATE_ALGEBRAIC, "algebraic gate"); }
END_TEST

START_TEST(gate_squareplus) { try_gate(MBI_GATE_SQUAREPLUS, "squareplus gate"); }
END_TEST

static void in_turn(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                    struct test_random *r)
{
    (void)set;
    (void)k;
    (void)r;
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = (int64_t)i - 32768;
}

START_TEST(gate_of_every_number)
{
    for (int kind = MBI_GATE_HARD; kind <= MBI_GATE_SQUAREPLUS; kind++) {
        const struct gadget_set set = {
            .op = MBI_OP_gate, .shape = GATE_SHAPE(kind), .lanes = 1024, .input = in_turn};
        struct test_random r;
        struct gadget_case c;

        test_random_init(&r, "every number");
        gadget_init(&c, &set, &r);
        gadget_free(&c);
    }
}
END_TEST

static void around(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                   struct test_random *r)
{
    static const int64_t some[] = {-32768, -32767, -513, -512, -511, -257,  -256,
                                   -255,   -2,     -1,   0,    1,    2,     255,
                                   256,    257,    511,  512,  513,  32764, 32767};

    (void)set;
    (void)k;
    (void)r;
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = some[i % MBI_COUNT(some)];
}

START_TEST(hard_gate_lies)
{
    const struct gadget_set set = {
        .op = MBI_OP_gate,
        .shape = {.cols = {21}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_HARD}},
        .lanes = 1,
        .input = around};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};

    test_random_init(&r, "hard");
    gadget_init(&c, &set, &r);
    for (size_t i = 0; i < 21; i++)
        lie_of_clamp(&l, 1, 0, i, 0, 1024);
    gadget_free(&c);
}
END_TEST

enum { ABS, QUOTIENT, REST, REST_LEFT };

/* A magnitude, and the division that follows from it. */
static void tell_magnitude(struct lie *l, size_t i, int64_t m)
{
    const int64_t d = 256 + m, q = d > 0 ? (mbi_lshift(m, 14) - (m < 0 ? d - 1 : 0)) / d : 0;

    tell(l, ABS, 0, i, m);
    tell(l, QUOTIENT, 0, i, q);
    tell(l, REST, 0, i, mbi_lshift(m, 14) - q * d);
    tell(l, REST_LEFT, 0, i, d - 1 - mbi_lshift(m, 14) + q * d);
}

START_TEST(algebraic_gate_lies)
{
    const struct gadget_set set = {
        .op = MBI_OP_gate,
        .shape = {.cols = {21}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_ALGEBRAIC}},
        .lanes = 1,
        .input = around};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};

    test_random_init(&r, "algebraic");
    gadget_init(&c, &set, &r);
    for (size_t i = 0; i < 21; i++) {
        const int64_t m = told(&l, ABS, 0, i), q = told(&l, QUOTIENT, 0, i);

        if (m) {
            tell_magnitude(&l, i, -m);
            refuse(&l, "a magnitude of the wrong sign");
        }
        for (int by = -1; by < 2; by += 2) {
            tell_magnitude(&l, i, m + by);
            refuse(&l, "a magnitude off by one");
            for (int far = 1; far < 3; far++) {
                tell_more(&l, QUOTIENT, 0, i, by * far);
                tell_more(&l, REST, 0, i, -by * far * (256 + m));
                refuse(&l, "a quotient off by one with its remainder");
                tell_more(&l, QUOTIENT, 0, i, by * far);
                tell_more(&l, REST, 0, i, -by * far * (256 + m));
                tell_more(&l, REST_LEFT, 0, i, by * far * (256 + m));
                refuse(&l, "a remainder as large as its divisor");
            }
        }
        for (int64_t other = 0; other < 1 << 14; other += other == q - 1 ? 2 : 1) {
            const int64_t rest = (m << 14) - other * (256 + m);

            tell(&l, QUOTIENT, 0, i, other);
            tell(&l, REST, 0, i, rest);
            tell(&l, REST_LEFT, 0, i, 255 + m - rest);
            if (other != q)
                refuse(&l, "another quotient");
        }
    }
    gadget_free(&c);
}
END_TEST

enum { ROOT, BELOW, ABOVE };

START_TEST(squareplus_gate_lies)
{
    const struct gadget_set set = {
        .op = MBI_OP_gate,
        .shape = {.cols = {21}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_SQUAREPLUS}},
        .lanes = 1,
        .input = around};
    struct test_random r;
    struct gadget_case c;
    struct lie l = {&c, false};

    test_random_init(&r, "squareplus");
    gadget_init(&c, &set, &r);
    for (size_t i = 0; i < 21; i++) {
        const int16_t x = ((const int16_t *)c.value[c.in[0]])[i];
        const int64_t z = told(&l, ROOT, 0, i);

        for (int64_t other = -33100; other <= 33100; other++) {
            const int64_t below = (1 << 16) - other * (other - x);

            tell(&l, ROOT, 0, i, other);
            tell(&l, BELOW, 0, i, below);
            tell(&l, ABOVE, 0, i, 2 * other - x - below);
            test_check(is_refused(&l) == (other != z), "x = %d: %lld for %lld", x, (long long)other,
                       (long long)z);
        }
    }
    gadget_free(&c);
}
END_TEST

/* ---- embed and argmax ---- */

#define VOCABULARY 11
#define WIDTH 6

struct token_set {
    uint32_t lanes, n_outputs, vocabulary;
    bool ties; /* the table has few different rows */
};

enum { NODE_TOKEN, NODE_TABLE, NODE_EMBED, NODE_REQUANT, NODE_LOGITS, NODE_ARGMAX };

/* Of the last outputs each token is the answer to the one before it. */
static void token_run(struct gadget_case *c, const struct token_set *set, struct test_random *r)
{
    c->value = calloc(c->graph->n_nodes, sizeof(*c->value));
    c->token = calloc((size_t)set->lanes + 1, sizeof(*c->token));
    test_that(c->value && c->token);
    for (mbi_ref i = 0; i < c->graph->n_nodes; i++)
        test_that(c->value[i] = calloc(
                      (size_t)(set->lanes + set->vocabulary) * c->graph->node[i].type.cols, 8));
    for (size_t i = 0; i < (size_t)set->vocabulary * WIDTH; i++)
        ((int8_t *)c->value[NODE_TABLE])[i] =
            (int8_t)(set->ties ? test_random_between(r, 0, 1) : test_random_between(r, -127, 127));
    for (uint32_t t = 0; t <= set->lanes; t++) {
        const bool claimed = t > set->lanes - set->n_outputs;

        for (mbi_ref i = NODE_EMBED; claimed && i < c->graph->n_nodes; i++)
            gadget_eval(c, i, t);
        c->token[t] = claimed ? (uint32_t)((const int32_t *)c->value[c->graph->argmax])[t - 1]
                              : (uint32_t)test_random_below(r, set->vocabulary);
        if (t < set->lanes)
            ((int32_t *)c->value[NODE_TOKEN])[t] = (int32_t)c->token[t];
    }
    for (mbi_ref i = NODE_EMBED; i < c->graph->n_nodes; i++)
        gadget_eval(c, i, set->lanes);
    c->run = (struct mbi_stage_run){(const void *const *)c->value, c->token, NULL};
}

/* The case of `node` of a graph that embeds, widens and asks the same table. */
static void token_init(struct gadget_case *c, const struct token_set *set, mbi_ref node,
                       struct test_random *r)
{
    struct gadget_set plan = {.lanes = set->lanes, .n_outputs = set->n_outputs};
    struct mbi_build b;
    mambaint_error err;
    mbi_ref id, table, x;

    *c = (struct gadget_case){.node = node};
    mbi_host_default(&c->host);
    ck_assert_int_eq(mbi_graph_create(&c->graph, &c->host, NULL), MAMBAINT_OK);
    mbi_build_begin(&b, c->graph, &err);
    id = mbi_build_token(&b, set->vocabulary);
    table =
        gadget_param(&b, 0, (struct mbi_type){MBI_I8, 5, set->vocabulary, WIDTH, -127, 127}, false);
    x = mbi_requant(&b, "x", mbi_embed(&b, "embed", id, table), 1, -40, 40, 4);
    x = mbi_matvec(&b, "logits", x, table);
    (void)mbi_build_end(&b, x, mbi_argmax(&b, "argmax", x));
    test_check(b.status >= 0, "%s", err.message);
    c->in[0] = c->graph->node[node].in[0];
    token_run(c, set, r);
    test_check(gadget_plan(c, &plan, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_int_eq(mbi_witness_create(&c->witness, c->plan, &c->run, NULL, NULL), MAMBAINT_OK);
    ck_assert_uint_eq(mbi_witness_check(c->witness), MBI_NONE);
    c->honest = calloc(c->plan->n_vars, sizeof(*c->honest));
    c->is_other = calloc(c->plan->n_vars, 1);
    c->is_own = calloc(c->plan->n_relations + 1, 1);
    test_that(c->honest && c->is_other && c->is_own);
    gadget_find_relations(c);
    gadget_remember(c);
}

/* All relations of a plan, after everything that is derived or public has been made anew from the
 * tokens as they stand. */
static bool tokens_are_accepted(struct gadget_case *c)
{
    struct mbi_witness *w;
    bool accepted;

    ck_assert_int_eq(mbi_witness_create(&w, c->plan, &c->run, NULL, NULL), MAMBAINT_OK);
    accepted = mbi_witness_check(w) == MBI_NONE;
    mbi_witness_free(w);
    return accepted;
}

enum { LESS, BEST, BEHIND };

/* Logits of a claimed lane. */
static int32_t logit(const struct gadget_case *c, const struct token_set *set, size_t r, size_t v)
{
    return ((const int32_t *)
                c->value[NODE_LOGITS])[(set->lanes - set->n_outputs + r) * set->vocabulary + v];
}

START_TEST(argmax_of_cases)
{
    static const struct token_set sets[] = {
        {1, 1, 11, false},  {2, 1, 11, true}, {3, 3, 16, false},
        {5, 2, 11, true},   {9, 9, 2, true},  {4, 2, 1, true},
        {64, 63, 7, false}, {65, 1, 7, true}, {130, 66, 5, false}};
    struct test_random r;

    test_random_init(&r, "argmax");
    for (size_t i = 0; i < MBI_COUNT(sets); i++) {
        struct gadget_case c;

        token_init(&c, &sets[i], NODE_ARGMAX, &r);
        if (sets[i].lanes < 10) {
            gadget_other_elements(&c, 30, NULL, &r);
            gadget_other_pairs(&c, 30, NULL, &r);
        }
        gadget_free(&c);
    }
}
END_TEST

/* Any other token, with the best logit and the differences that it would want; one that is not
 * there would have all others below it. */
static void claim_another(struct gadget_case *c, const struct token_set *set, size_t r,
                          uint32_t token)
{
    uint32_t *claimed = &c->token[set->lanes - set->n_outputs + r + 1], was = *claimed;
    const bool is_there = token < set->vocabulary;
    const int32_t best = logit(c, set, r, is_there ? token : was) + !is_there;
    struct lie l = {c, false};

    *claimed = token;
    for (size_t v = 0; v < set->vocabulary; v++) {
        gadget_put(c, gadget_first(c) + LESS, r, v, v < token);
        tell(&l, BEHIND, r, v, best - logit(c, set, r, v) - (v < token));
    }
    tell(&l, BEST, r, 0, best);
    test_check(is_refused(&l) == (token != was), "token %u for %u", token, was);
    *claimed = was;
}

START_TEST(argmax_lies)
{
    for (int ties = 0; ties < 2; ties++) {
        const struct token_set set = {4, 3, VOCABULARY, ties};
        struct test_random r;
        struct gadget_case c;
        struct lie l = {&c, false};

        test_random_init(&r, "argmax lies");
        for (int again = 0; again < 4; again++) {
            token_init(&c, &set, NODE_ARGMAX, &r);
            for (size_t k = 0; k < set.n_outputs; k++) {
                /* the second best, an equal one of a higher number, one that is not there */
                for (uint32_t token = 0; token < VOCABULARY + 3; token++)
                    claim_another(&c, &set, k, token);
                for (int by = -2; by < 3; by++) {
                    tell_more(&l, BEST, k, 0, by);
                    for (size_t v = 0; v < VOCABULARY; v++)
                        tell_more(&l, BEHIND, k, v, by);
                    test_that(is_refused(&l) == (by != 0));
                    tell_more(&l, BEST, k, 0, by);
                    for (size_t v = 0; v < VOCABULARY; v++)
                        if (v != c.token[set.lanes - set.n_outputs + k + 1])
                            tell_more(&l, BEHIND, k, v, by);
                    test_that(is_refused(&l) == (by != 0));
                }
            }
            gadget_free(&c);
        }
    }
}
END_TEST

START_TEST(embed_of_the_tokens)
{
    struct test_random r;

    test_random_init(&r, "embed");
    for (uint32_t lanes = 1; lanes < 8; lanes++) {
        const struct token_set set = {lanes, 1, VOCABULARY, false};
        struct gadget_case c;

        token_init(&c, &set, NODE_EMBED, &r);
        ck_assert_int_eq(gadget_var(&c, gadget_out(&c))->kind, MBI_VAR_DERIVED);
        for (size_t t = 0; t < lanes; t++) {
            const int8_t *row = (const int8_t *)c.value[NODE_TABLE] + (size_t)c.token[t] * WIDTH;

            for (size_t k = 0; k < WIDTH; k++)
                ck_assert_int_eq(gadget_get(&c, gadget_out(&c), t, k), row[k]);
        }
        /* the run is of other tokens than the statement has */
        for (size_t t = 0; t < lanes; t++) {
            const uint32_t was = c.token[t];

            c.token[t] = (was + 1) % VOCABULARY;
            ck_assert(!tokens_are_accepted(&c));
            c.token[t] = was;
        }
        ck_assert(tokens_are_accepted(&c));
        gadget_free(&c);
    }
}
END_TEST

/* ---- graphs of tokens that no plan is made for ---- */

struct refused_graph {
    struct gadget_case c;
    struct mbi_build b;
    mambaint_error err;
    mbi_ref token, table;
};

static void refused_begin(struct refused_graph *g)
{
    const struct mbi_type table = {MBI_I8, 5, VOCABULARY, WIDTH, -127, 127};

    *g = (struct refused_graph){0};
    mbi_host_default(&g->c.host);
    ck_assert_int_eq(mbi_graph_create(&g->c.graph, &g->c.host, NULL), MAMBAINT_OK);
    mbi_build_begin(&g->b, g->c.graph, &g->err);
    g->token = mbi_build_token(&g->b, VOCABULARY);
    g->table = gadget_param(&g->b, 0, table, false);
}

static void refused_end(struct refused_graph *g, mbi_ref logits, mbi_ref argmax, const char *why)
{
    const struct gadget_set set = {.lanes = 2, .n_outputs = 1};

    (void)mbi_build_end(&g->b, logits, argmax);
    test_check(g->b.status >= 0, "%s", g->err.message);
    ck_assert_int_eq(gadget_plan(&g->c, &set, &g->err), MAMBAINT_E_UNSUPPORTED);
    test_check(strstr(g->err.message, why), "%s", g->err.message);
    gadget_free(&g->c);
}

START_TEST(embed_of_another_value)
{
    struct refused_graph g;
    mbi_ref x;

    refused_begin(&g);
    x = mbi_requant(&g.b, "x", g.token, 0, 0, VOCABULARY - 1, 0);
    x = mbi_requant(&g.b, "x", x, 0, INT32_MIN, INT32_MAX, 0);
    x = mbi_embed(&g.b, "x", x, g.table);
    refused_end(&g, x, mbi_argmax(&g.b, "argmax", x), "the token");
}
END_TEST

START_TEST(answer_that_is_no_argmax)
{
    struct refused_graph g;
    mbi_ref x;

    refused_begin(&g);
    x = mbi_embed(&g.b, "x", g.token, g.table);
    refused_end(&g, x, mbi_slice(&g.b, "x", x, 0, 1), "largest logits");
}
END_TEST

START_TEST(answer_that_is_read)
{
    struct refused_graph g;
    mbi_ref x;

    refused_begin(&g);
    x = mbi_embed(&g.b, "x", g.token, g.table);
    x = mbi_requant(&g.b, "x", mbi_argmax(&g.b, "x", x), 0, -128, 127, 0);
    x = mbi_matvec(&g.b, "x", x,
                   gadget_param(&g.b, 1, (struct mbi_type){MBI_I8, 0, 3, 1, -1, 1}, false));
    refused_end(&g, x, mbi_argmax(&g.b, "argmax", x), "stands in the statement alone");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gadgets-b");
    TCase *conv = tcase_create("conv"), *turn = tcase_create("turn");
    TCase *rotate = tcase_create("rotate"), *gate = tcase_create("gate");
    TCase *token = tcase_create("token");

    tcase_add_test(conv, conv_of_cases);
    tcase_add_test(conv, conv_of_other_exponents);
    tcase_add_test(conv, conv_of_small_inputs);
    tcase_add_test(conv, conv_that_reaches_too_far);
    tcase_add_test(conv, conv_lies);
    tcase_add_test(turn, turn_of_cases);
    tcase_add_test(turn, turn_lies);
    tcase_add_test(rotate, rotate_of_cases);
    tcase_add_test(rotate, rotate_of_no_power_of_two);
    tcase_add_test(rotate, rotate_by_all_phases);
    tcase_add_test(rotate, rotate_lies);
    tcase_add_test(rotate, rotate_by_another_phase);
    tcase_add_test(gate, gate_hard);
    tcase_add_test(gate, gate_algebraic);
    tcase_add_test(gate, gate_squareplus);
    tcase_add_test(gate, gate_of_every_number);
    tcase_add_test(gate, hard_gate_lies);
    tcase_add_test(gate, algebraic_gate_lies);
    tcase_add_test(gate, squareplus_gate_lies);
    tcase_add_test(token, argmax_of_cases);
    tcase_add_test(token, argmax_lies);
    tcase_add_test(token, embed_of_the_tokens);
    tcase_add_test(token, embed_of_another_value);
    tcase_add_test(token, answer_that_is_no_argmax);
    tcase_add_test(token, answer_that_is_read);
    suite_add_tcase(s, conv);
    suite_add_tcase(s, turn);
    suite_add_tcase(s, rotate);
    suite_add_tcase(s, gate);
    suite_add_tcase(s, token);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: the gadgets of single operations. What the run says holds; nothing else does. */
#include "gadget_case.h"

static const uint32_t lanes[] = {1, 5, 2};

/* Norms in groups that are no power of two have no proof. */
static bool in_odd_groups(const struct gadget_set *set)
{
    const uint32_t groups = (uint32_t)set->shape.attr[0];
    const bool norm = set->op == MBI_OP_norm_rms || set->op == MBI_OP_norm_shift;

    return norm && groups > 1 && (set->shape.cols[0] / groups & (set->shape.cols[0] / groups - 1));
}

static void honest_cases(uint32_t op, uint32_t derived, const char *name)
{
    const struct mbi_op_def *def = mbi_op_table[op].def;
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, name);
    for (size_t i = 0; i < 12 * def->n_cases; i++) {
        const struct gadget_set set = {
            .op = op,
            .shape = def->cases[i % def->n_cases],
            .lanes = i / def->n_cases ? 1 + (uint32_t)test_random_below(&r, 9) : 130,
            .derived = derived};

        if (in_odd_groups(&set)) {
            gadget_refused(&set, "not of a power of two");
            continue;
        }
        gadget_init(&c, &set, &r);
        gadget_free(&c);
    }
}

static void lies(uint32_t op, const struct mbi_op_case *shape, size_t cases, uint32_t derived,
                 gadget_free_element *is_free, const char *name)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, name);
    for (size_t i = 0; i < cases; i++) {
        const struct gadget_set set = {
            .op = op, .shape = shape[i], .lanes = lanes[i % MBI_COUNT(lanes)], .derived = derived};

        gadget_init(&c, &set, &r);
        gadget_other_elements(&c, 20, is_free, &r);
        gadget_other_pairs(&c, 20, is_free, &r);
        gadget_free(&c);
    }
}

static bool side_of_zero(const struct gadget_case *c, uint32_t var, size_t row, size_t col);

START_TEST(requant_cases) { honest_cases(MBI_OP_requant, 0, "requant_cases"); }
END_TEST

START_TEST(rows_cases) { honest_cases(MBI_OP_requant_rows, 1u << 1, "rows_cases"); }
END_TEST

START_TEST(mul_cases) { honest_cases(MBI_OP_requant_mul, 1u << 1 | 1u << 2, "mul_cases"); }
END_TEST

static const struct mbi_op_case requant_rows_shapes[] = {
    {.cols = {7, 7},
     .rows = {0, 1},
     .dtype = {MBI_I32, MBI_I8},
     .lo = {0, -8},
     .hi = {0, 15},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {7, 7},
     .rows = {0, 1},
     .dtype = {MBI_I32, MBI_I8},
     .lo = {-100000, -8},
     .hi = {90000, 15},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {7, 1},
     .rows = {0, 7},
     .dtype = {MBI_I8, MBI_I8},
     .lo = {0, 1},
     .hi = {0, 5},
     .attr = {0, -32768, 32767, 8}},
    {.cols = {7, 7},
     .rows = {0, 1},
     .dtype = {MBI_I8, MBI_I8},
     .lo = {0, -4},
     .hi = {0, -2},
     .attr = {0, -300, 32767, 8}},
    {.cols = {7, 7},
     .rows = {0, 1},
     .dtype = {MBI_I8, MBI_I8},
     .lo = {0, -4},
     .hi = {0, -2},
     .attr = {0, -32768, 32767, 8}},
    {.cols = {7, 7},
     .rows = {0, 1},
     .dtype = {MBI_I8, MBI_I8},
     .lo = {5, -4},
     .hi = {9, 4},
     .attr = {0, 7, 12, 8}},
};

START_TEST(rows_lies)
{
    lies(MBI_OP_requant_rows, requant_rows_shapes, MBI_COUNT(requant_rows_shapes), 1u << 1,
         side_of_zero, "rows_lies");
}
END_TEST

static const struct mbi_op_case requant_mul_shapes[] = {
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {0, 16384, 4},
     .hi = {0, 32767, 40},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {0, 16384, 4},
     .hi = {0, 32767, 40},
     .attr = {-6, INT32_MIN, INT32_MAX, 10}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {-100000, 16384, 4},
     .hi = {100000, 32767, 40},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {-4000, 16384, 4},
     .hi = {4000, 32767, 40},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {-4000000, 16384, 4},
     .hi = {4000000, 32767, 40},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I32, MBI_I16, MBI_I8},
     .lo = {-400000, 16384, -4},
     .hi = {4000000, 32767, 0},
     .attr = {-3, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I8, MBI_I16, MBI_I8},
     .lo = {0, 0, 30},
     .hi = {0, 32767, 40},
     .attr = {0, -32768, 32767, 8}},
    {.cols = {5, 1, 1},
     .rows = {0, 1, 1},
     .dtype = {MBI_I8, MBI_I16, MBI_I8},
     .lo = {0, 0, 10},
     .hi = {0, 32767, 40},
     .attr = {0, -32768, 32767, 8}},
};

START_TEST(mul_lies)
{
    lies(MBI_OP_requant_mul, requant_mul_shapes, MBI_COUNT(requant_mul_shapes), 1u << 1 | 1u << 2,
         side_of_zero, "mul_lies");
}
END_TEST

START_TEST(rms_cases) { honest_cases(MBI_OP_norm_rms, 0, "rms_cases"); }
END_TEST

START_TEST(shift_cases) { honest_cases(MBI_OP_norm_shift, 0, "shift_cases"); }
END_TEST

static const struct mbi_op_case norm_shapes[] = {
    {.cols = {7}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
    {.cols = {7}, .dtype = {MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
    {.cols = {16}, .dtype = {MBI_I32}, .attr = {2, 8, 16}},
    {.cols = {12}, .dtype = {MBI_I16}, .attr = {3, 14, 16}},
    {.cols = {6}, .dtype = {MBI_I8}, .attr = {1, 14, 8}},
    {.cols = {1}, .dtype = {MBI_I32}, .attr = {1, 10, 16}},
    {.cols = {6}, .dtype = {MBI_I32}, .lo = {-40000}, .hi = {3}, .attr = {1, 10, 16}},
};

START_TEST(rms_lies)
{
    lies(MBI_OP_norm_rms, norm_shapes, MBI_COUNT(norm_shapes), 0, NULL, "rms_lies");
}
END_TEST

START_TEST(shift_lies)
{
    lies(MBI_OP_norm_shift, norm_shapes, MBI_COUNT(norm_shapes), 0, NULL, "shift_lies");
}
END_TEST

/* ---- the end of many operations: y, u, v, r, or y, w, side, r ---- */

struct tail {
    uint32_t y, u, v, r; /* from the node's first variable on; MBI_NONE: none */
    bool joined;         /* u is w, v is side */
    int64_t unit;        /* r < unit */
};

/* That begins at variable y: y, then u and v or neither, then r. */
static struct tail tail_of(const struct gadget_case *c, uint32_t y)
{
    const uint32_t n = gadget_end(c) - gadget_first(c) - y, op = c->graph->node[c->node].op;
    struct tail t = {y, MBI_NONE, MBI_NONE, y + n - 1, false, 0};

    ck_assert(n == 2 || n == 4);
    if (n == 4) {
        t.u = y + 1;
        t.v = y + 2;
        t.joined = op == MBI_OP_requant_rows || op == MBI_OP_requant_mul;
    }
    t.unit = gadget_var(c, gadget_first(c) + t.r)->hi + 1;
    return t;
}

/* Of the variables from the node's first one on. */
static int64_t get(const struct gadget_case *c, uint32_t var, size_t row, size_t col)
{
    return gadget_get(c, gadget_first(c) + var, row, col);
}

static void put(const struct gadget_case *c, uint32_t var, size_t row, size_t col, int64_t x)
{
    gadget_put(c, gadget_first(c) + var, row, col, x);
}

static void add(const struct gadget_case *c, uint32_t var, size_t row, size_t col, int64_t x)
{
    put(c, var, row, col, get(c, var, row, col) + x);
}

/* z = rsh(x, k) with its clamp and its remainder. */
static void put_tail(const struct gadget_case *c, const struct tail *t, size_t row, size_t col,
                     int64_t x)
{
    const struct mbi_type *type = &c->graph->node[c->node].type;
    const int64_t z = mbi_rshift_half_up(x, mbi_bitlen((uint64_t)t->unit) - 1);
    const int64_t above = mbi_max_i64(z - type->hi, 0), below = mbi_max_i64(type->lo - z, 0);

    put(c, t->y, row, col, t->u == MBI_NONE ? z : mbi_clamp_i64(z, type->lo, type->hi));
    put(c, t->r, row, col, x + t->unit / 2 - z * t->unit);
    if (t->u == MBI_NONE)
        return;
    put(c, t->u, row, col, t->joined ? above + below : above);
    put(c, t->v, row, col, t->joined ? below > 0 : below);
}

/* q + 1 with r - 2^k and the reverse. */
static void lie_about_quotient(const struct gadget_case *c, uint32_t q, const struct tail *t,
                               size_t row, size_t col)
{
    for (int by = -1; by <= 1; by += 2) {
        add(c, q, row, col, by);
        add(c, t->r, row, col, -by * t->unit);
        test_that(!gadget_accepted(c));
        gadget_reset(c);
    }
}

/* u and v both there, the wrong side of a clamp, or not at its end. */
static void lie_about_clamp(const struct gadget_case *c, const struct tail *t, size_t row,
                            size_t col)
{
    const struct mbi_type *type = &c->graph->node[c->node].type;
    const int64_t u = get(c, t->u, row, col), v = get(c, t->v, row, col);
    const int64_t y = get(c, t->y, row, col);

    if (u || v) {
        put(c, t->y, row, col, y + u - v);
        put(c, t->u, row, col, 0);
        put(c, t->v, row, col, 0);
        gadget_falls_at(c, t->y, "not clamped");
    }
    if (!u && !v && y < type->hi) {
        put(c, t->u, row, col, y - type->hi);
        put(c, t->y, row, col, type->hi);
        gadget_falls_at(c, t->u, "less than nothing above");
    }
    if (!u && !v && y > type->lo) {
        put(c, t->v, row, col, type->lo - y);
        put(c, t->y, row, col, type->lo);
        gadget_falls_at(c, t->v, "less than nothing below");
    }
    add(c, t->u, row, col, 1);
    add(c, t->v, row, col, 1);
    gadget_falls(c, "u and v both there");
    add(c, t->y, row, col, -1);
    add(c, t->u, row, col, 1);
    gadget_falls(c, "above the clamp, but not at its end");
    add(c, t->y, row, col, 1);
    add(c, t->v, row, col, 1);
    gadget_falls(c, "below the clamp, but not at its end");
}

/* The same of w and its side. */
static void lie_about_side(const struct gadget_case *c, const struct tail *t, size_t row,
                           size_t col)
{
    const int64_t side = get(c, t->v, row, col), w = get(c, t->u, row, col);

    if (w >= 1 << 28) /* 2 w w has to stay below 2^62 */
        return;
    put(c, t->y, row, col, get(c, t->y, row, col) + (side ? -w : w));
    put(c, t->u, row, col, 0);
    if (w)
        gadget_falls_at(c, t->y, "not cut off");
    gadget_reset(c);
    if (w) { /* the same z from the other side, and with its sign left alone */
        put(c, t->v, row, col, 1 - side);
        gadget_falls(c, "the wrong side");
        put(c, t->v, row, col, 1 - side);
        add(c, t->y, row, col, side ? -2 * w : 2 * w);
        gadget_falls_once(c, "cut off at the other side");
    }
    for (int other = 0; other <= 1; other++) {
        const int64_t z = get(c, t->y, row, col) + (side ? -w : w);

        put(c, t->v, row, col, other);
        put(c, t->u, row, col, w + 1);
        put(c, t->y, row, col, other ? z + w + 1 : z - w - 1);
        gadget_falls_once(c, "cut off too much");
    }
    if (!w && get(c, t->y, row, col) < c->graph->node[c->node].type.hi) {
        put(c, t->v, row, col, 0);
        put(c, t->u, row, col, get(c, t->y, row, col) - c->graph->node[c->node].type.hi);
        put(c, t->y, row, col, c->graph->node[c->node].type.hi);
        gadget_falls_at(c, t->u, "less than nothing is cut off");
    }
}

static void lie_about_tail(const struct gadget_case *c, const struct tail *t, size_t row,
                           size_t col)
{
    lie_about_quotient(c, t->y, t, row, col);
    if (t->u == MBI_NONE)
        return;
    lie_about_quotient(c, t->u, t, row, col);
    if (t->joined)
        lie_about_side(c, t, row, col);
    else
        lie_about_clamp(c, t, row, col);
}

/* The side of nothing. */
static bool side_of_zero(const struct gadget_case *c, uint32_t var, size_t row, size_t col)
{
    const struct mbi_var *v = gadget_var(c, gadget_first(c) + var);
    const struct mbi_node *node = &c->graph->node[c->node];
    const bool last =
        var + 1 == gadget_end(c) - gadget_first(c) || var + 2 == gadget_end(c) - gadget_first(c);

    if (v->hi != 1 || v->n[2] != node->type.cols || !last)
        return false;
    for (uint32_t i = 1; i <= 2; i++) /* in one part or two */
        if (get(c, var - i, row, col) && gadget_first(c) + var - i != gadget_out(c))
            return false;
    return true;
}

START_TEST(rows_named)
{
    const struct gadget_set set = {
        .op = MBI_OP_requant_rows, .shape = requant_rows_shapes[0], .lanes = 5, .derived = 2};
    struct test_random r;
    struct gadget_case c;
    struct tail t;

    test_random_init(&r, "rows_named");
    gadget_init(&c, &set, &r);
    t = tail_of(&c, 1);
    for (size_t i = 0; i < 35; i++)
        lie_about_tail(&c, &t, i / 7, i % 7);
    gadget_free(&c);
}
END_TEST

/* What no plan is made for, by its sentence. */
START_TEST(refused)
{
    struct gadget_set set = {
        .op = MBI_OP_requant_rows, .shape = requant_rows_shapes[0], .lanes = 3};

    gadget_refused(&set, "exponents are not public");
    set.derived = 2;
    set.shape.attr[0] = -20; /* 2^20 2^32 2^10 */
    set.shape.lo[0] = -(1 << 20);
    set.shape.hi[0] = 1 << 20;
    set.shape.lo[1] = -12;
    set.shape.hi[1] = 30;
    gadget_refused(&set, "62 bits");
    set = (struct gadget_set){
        .op = MBI_OP_requant_mul, .shape = requant_mul_shapes[0], .lanes = 3, .derived = 6};
    set.shape.attr[0] = -12; /* 2^46 2^8 2^step */
    set.shape.hi[2] = 62;
    gadget_refused(&set, "62 bits");
}
END_TEST

/* ---- requant_mul ---- */

enum { CHOICE, FACTOR_0, FACTOR_1, FLOOR, DROPPED, OUT }; /* of two parts */

/* The result that follows from what is chosen. */
static void forge_scaled(const struct gadget_case *c)
{
    const struct tail t = tail_of(c, OUT);
    const int64_t m = ((const int16_t *)c->value[c->in[1]])[0];

    gadget_derive(c);
    for (size_t i = 0; i < 25; i++) {
        const int64_t x = gadget_get(c, c->plan->stage[0].node[c->in[0]].var, i / 5, i % 5) * m;

        put_tail(c, &t, i / 5, i % 5,
                 x * get(c, FACTOR_0, 0, 0) + get(c, FLOOR, i / 5, i % 5) * get(c, FACTOR_1, 0, 0));
    }
}

/* Several shifts whose sum is that of the parameter, with all that follows: s = 4 + at. */
static void other_shifts(const struct gadget_case *c, size_t at)
{
    if (at >= 5) {
        put(c, CHOICE, 0, at, 0);
        put(c, CHOICE, 0, 0, 1);
        put(c, CHOICE, 0, at - 4, 1);
        forge_scaled(c);
        gadget_falls_once(c, "two shifts with the right sum");
    }
    if (at >= 1 && at < 36) {
        put(c, CHOICE, 0, at, -1);
        put(c, CHOICE, 0, at - 1, 1);
        put(c, CHOICE, 0, at + 1, 1);
        forge_scaled(c);
        gadget_falls_at(c, CHOICE, "a choice of a shift is not of bits");
    }
}

START_TEST(mul_named)
{
    const struct gadget_set set = {
        .op = MBI_OP_requant_mul, .shape = requant_mul_shapes[4], .lanes = 5, .derived = 6};
    struct test_random r;
    struct gadget_case c;
    struct tail t;

    test_random_init(&r, "mul_named");
    for (int tries = 0; tries < 20; tries++) {
        size_t at = 0;
        int64_t step;

        gadget_init(&c, &set, &r);
        t = tail_of(&c, OUT); /* so there are two parts */
        step = gadget_var(&c, gadget_first(&c) + DROPPED)->hi + 1;
        while (!get(&c, CHOICE, 0, at))
            at++;
        put(&c, CHOICE, 0, at, 0);
        gadget_falls(&c, "no shift");
        put(&c, CHOICE, 0, (at + 1) % 37, 1);
        gadget_falls(&c, "two shifts");
        put(&c, CHOICE, 0, at, 0);
        put(&c, CHOICE, 0, at ? at - 1 : at + 1, 1);
        gadget_falls(&c, "another shift");
        other_shifts(&c, at);
        for (size_t i = 0; i < 25; i++) {
            for (int by = -1; by <= 1; by += 2) {
                add(&c, FLOOR, i / 5, i % 5, by);
                add(&c, DROPPED, i / 5, i % 5, -by * step);
                add(&c, t.r, i / 5, i % 5, by * get(&c, FACTOR_1, 0, 0));
                if (gadget_in_range(&c, gadget_first(&c) + FLOOR) &&
                    gadget_in_range(&c, gadget_first(&c) + t.r))
                    gadget_falls_at(&c, DROPPED, "another floor");
                gadget_reset(&c);
            }
            lie_about_tail(&c, &t, i / 5, i % 5);
        }
        gadget_free(&c);
    }
}
END_TEST

/* ---- norms ---- */

/* The variables of every norm, and of each. */
enum { DROP, TOP, LOW, HALF, REST, LARGE, POWER, LESS_1, LESS_2, ENDS, Q, SS, OWN };
enum {
    ROOT = OWN,
    OVER,
    UNDER,
    ZERO,
    BITS,
    S,
    FIRST,
    PAST,
    LEFT,
    M,
    CAPPED,
    RATIO,
    RATIO_REST,
    SPARE,
    M_POWER,
    FACTOR,
    RMS_Y
};
enum { E = OWN, BELOW, ABOVE, E_POWER, SHIFT_Y };

/* What is added to the true value of each, before all that follows from it. */
struct norm_lie {
    int32_t b, root, zero, k, ratio, capped, e;
    int32_t low, half, carry; /* of the first element: from top to low, rest to half, low to half */
    bool no_bit_b, no_bit_k, no_bit_e; /* other cases are chosen 1 and -1 times besides */
    bool two_b, two_k, two_e;          /* two cases are chosen, with all that the sums then say */
};

struct norm_at {
    const struct gadget_case *c;
    size_t lane, group, d;
    int32_t drop;
    int64_t q[32];
};

static struct norm_at norm_at(const struct gadget_case *c, size_t lane, size_t group)
{
    const struct mbi_node *node = &c->graph->node[c->node];
    const size_t n = (size_t)node->attr[0];

    return (struct norm_at){.c = c,
                            .lane = lane,
                            .group = group,
                            .d = node->type.cols / n,
                            .drop = (int32_t)gadget_var(c, gadget_first(c) + DROP)->n[2] - 1};
}

static int64_t element_of(const struct norm_at *n, size_t i)
{
    const struct gadget_case *c = n->c;

    return gadget_get(c, c->plan->stage[0].node[c->in[0]].var, n->lane, n->group * n->d + i);
}

static void put_group(const struct norm_at *n, uint32_t var, int64_t x)
{
    put(n->c, var, n->lane, n->group, x);
}

/* The only bit of a choice that is set. */
static void put_choice(const struct norm_at *n, uint32_t var, int64_t one)
{
    const size_t cases = gadget_var(n->c, gadget_first(n->c) + var)->n[2];

    ck_assert(one >= 0 && (size_t)one < cases);
    for (size_t i = 0; i < cases; i++)
        put(n->c, var, n->lane, n->group * cases + i, (int64_t)i == one);
}

static int64_t true_b(const struct norm_at *n)
{
    int64_t max = 0;

    for (size_t i = 0; i < n->d; i++)
        max = mbi_max_i64(max, mbi_max_i64(element_of(n, i), -1 - element_of(n, i)));
    return mbi_max_i64(0, mbi_bitlen((uint64_t)max) - 15);
}

/* q and what says it, with a shift by b, or times the sum of 2^-b and 2^-(b+1); returns ss. */
static int64_t forge_q(struct norm_at *n, struct norm_lie lie)
{
    const int64_t b = true_b(n) + lie.b, unit = (int64_t)1 << n->drop;
    const int64_t power = lie.two_b      ? 3 * unit >> (b + 1)
                          : lie.no_bit_b ? 5 * unit >> (b + 2)
                                         : unit >> b;
    int64_t ss = 0, large = b ? -1 : 0;

    put_choice(n, DROP, b);
    if (lie.two_b || lie.no_bit_b)
        put(n->c, DROP, n->lane, n->group * (size_t)(n->drop + 1) + (size_t)b + 1, 1);
    if (lie.no_bit_b)
        put(n->c, DROP, n->lane, n->group * (size_t)(n->drop + 1) + (size_t)b + 2, -1);
    for (size_t i = 0; i < n->d; i++) {
        const int64_t x = element_of(n, i) * power, f = x >> n->drop, rho = x - f * unit;
        const int64_t top = ((f + 32768) >> 14) - (i ? 0 : lie.low);
        const int64_t half = (rho >> (n->drop - 1)) + (i ? 0 : lie.half + 2 * lie.carry);
        const int64_t low = f + 32768 - top * 16384 - (i ? 0 : lie.carry);
        const size_t col = n->group * n->d + i;

        put(n->c, TOP, n->lane, col, top);
        put(n->c, LOW, n->lane, col, low);
        put(n->c, HALF, n->lane, col, half);
        put(n->c, REST, n->lane, col, rho - half * unit / 2 + (i ? 0 : lie.carry * unit));
        large += (top - 1) * (top - 2) / 2;
        n->q[i] = top * 16384 + low - 32768 + half;
        ss += n->q[i] * n->q[i];
    }
    put_group(n, LARGE, large);
    return ss;
}

/* The elements of the result from q, the factor of the group and the shift. */
static void forge_result(const struct norm_at *n, uint32_t y, int64_t factor)
{
    const struct tail t = tail_of(n->c, y);

    for (size_t i = 0; i < n->d; i++)
        put_tail(n->c, &t, n->lane, n->group * n->d + i, n->q[i] * factor);
}

/* k, or with two_k two of them whose sum first is still below s and above s / 2. Returns first, and
 * in `power` the sum of 2^(k_max - k). */
static int64_t forge_k(const struct norm_at *n, struct norm_lie lie, int64_t s, int64_t *power)
{
    const size_t k_max = gadget_var(n->c, gadget_first(n->c) + BITS)->n[2];
    size_t k = (size_t)mbi_max_i64(mbi_bitlen((uint64_t)s) + lie.k, 1);

    if (lie.two_k && s < (int64_t)3 << (k - 2))
        k--;
    put_choice(n, BITS, (int64_t)k - 1);
    *power = (int64_t)1 << (k_max - k);
    if (lie.no_bit_k) { /* 2^(k-1) + 1 - 2 */
        put(n->c, BITS, n->lane, n->group * k_max, 1);
        put(n->c, BITS, n->lane, n->group * k_max + 1, -1);
        *power += ((int64_t)1 << (k_max - 1)) - ((int64_t)1 << (k_max - 2));
        return ((int64_t)1 << (k - 1)) - 1;
    }
    if (!lie.two_k)
        return (int64_t)1 << (k - 1);
    put(n->c, BITS, n->lane, n->group * k_max + k - 2, 1);
    *power *= 3;
    return (int64_t)3 << (k - 2);
}

/* d, and what is compared with a multiple of it, without their common power of two. */
static int64_t without_twos(const struct norm_at *n, int64_t x)
{
    int64_t even = 1;

    while ((int64_t)n->d % (2 * even) == 0)
        even *= 2;
    return x / even;
}

/* Every variable of a group of norm_rms, as it follows from the lie. */
static void forge_rms(struct norm_at *n, struct norm_lie lie)
{
    const int64_t ss = forge_q(n, lie), all = ss << 16, d = (int64_t)n->d;
    const int64_t root = (int64_t)mbi_isqrt((uint64_t)(all / d)) + lie.root;
    const int64_t zero = !root + lie.zero, s = root + zero;
    int64_t power;
    const int64_t first = forge_k(n, lie, s, &power);
    const int64_t ratio = (first << 15) / (s ? s : 1) + lie.ratio;
    const int64_t capped = mbi_max_i64(ratio - 32767, 0) + lie.capped;

    put_group(n, ROOT, root);
    put_group(n, OVER, without_twos(n, all - d * root * root));
    put_group(n, UNDER, without_twos(n, d * (root + 1) * (root + 1) - all) - 1);
    put_group(n, ZERO, zero);
    put_group(n, PAST, s - first);
    put_group(n, LEFT, 2 * first - 1 - s);
    put_group(n, M, ratio - capped);
    put_group(n, CAPPED, capped);
    put_group(n, RATIO_REST, (first << 15) - s * ratio);
    put_group(n, SPARE, s - 1 - ((first << 15) - s * ratio));
    put_group(n, FACTOR, (ratio - capped) * power);
    forge_result(n, RMS_Y, (ratio - capped) * power);
}

static void forge_shift(struct norm_at *n, struct norm_lie lie)
{
    const int64_t ss = forge_q(n, lie), d = (int64_t)n->d;
    const size_t cases = gadget_var(n->c, gadget_first(n->c) + E)->n[2];
    int32_t e = 0;
    int64_t factor;

    while (ss << 16 >= d << (2 * e + 1))
        e++;
    e += lie.e;
    factor = (int64_t)1 << (cases - 1 - (size_t)e);
    put_choice(n, E, e);
    put_group(n, BELOW,
              (e ? without_twos(n, d << (2 * e - 2)) : 1) - 1 - without_twos(n, ss << 13));
    put_group(n, ABOVE,
              without_twos(n, ss << 13) - (e > 1 ? without_twos(n, d << (2 * e - 4)) : e));
    if (lie.two_e) { /* and 1: the bounds are then sums */
        factor += (int64_t)1 << (cases - 2);
        put(n->c, E, n->lane, n->group * cases + 1, 1);
        add(n->c, BELOW, n->lane, n->group, without_twos(n, d));
        add(n->c, ABOVE, n->lane, n->group, -1);
    }
    if (lie.no_bit_e) { /* 1 and not 2 */
        factor += ((int64_t)1 << (cases - 2)) - ((int64_t)1 << (cases - 3));
        put(n->c, E, n->lane, n->group * cases + 1, 1);
        put(n->c, E, n->lane, n->group * cases + 2, -1);
        add(n->c, BELOW, n->lane, n->group, -3 * without_twos(n, d));
        add(n->c, ABOVE, n->lane, n->group, without_twos(n, d) - 1);
    }
    forge_result(n, SHIFT_Y, factor);
}

/* Rows 0 and 1: of the size of 2^23, so that b is 9; row 2: zeros; row 3: all 2^20 or -2^20. */
static void norm_input(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                       struct test_random *r)
{
    (void)set;
    (void)k;
    ck_assert_uint_eq(rows, 4);
    for (size_t i = 0; i < cols; i++) {
        x[i] = test_random_between(r, -(1 << 22), 1 << 22);
        x[cols + i] = test_random_between(r, -(1 << 22), 1 << 22);
        x[2 * cols + i] = 0;
        x[3 * cols + i] = test_random_below(r, 2) ? 1 << 20 : -(1 << 20);
    }
    for (size_t i = 0; i < cols; i += 4) { /* every group has one */
        x[i] = (1 << 23) + (int64_t)test_random_below(r, 1000);
        x[cols + i] = -(1 << 23) - 1;
    }
}

static const struct gadget_set norm_sets[] = {
    {.op = MBI_OP_norm_rms,
     .shape = {.cols = {7}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
     .lanes = 4,
     .input = norm_input},
    {.op = MBI_OP_norm_rms,
     .shape = {.cols = {12}, .dtype = {MBI_I32}, .attr = {3, 8, 16}},
     .lanes = 4,
     .input = norm_input},
    {.op = MBI_OP_norm_rms,
     .shape = {.cols = {24}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
     .lanes = 4,
     .input = norm_input},
};

/* Without a lie, the forger says what the gadget says. */
static void forger_is_right(const struct gadget_case *c, size_t lane, size_t group, bool rms)
{
    struct norm_at n = norm_at(c, lane, group);

    if (rms)
        forge_rms(&n, (struct norm_lie){0});
    else
        forge_shift(&n, (struct norm_lie){0});
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        test_check(gadget_is_honest(c, i), "the forger's variable %u is another one",
                   i - gadget_first(c));
    test_that(gadget_accepted(c));
}

static void rms_lie(struct norm_at *n, struct norm_lie lie, uint32_t falls_at, const char *name)
{
    forge_rms(n, lie);
    gadget_falls_at(n->c, falls_at, name);
}

static void rms_lies_of_a_group(const struct gadget_case *c, size_t lane, size_t group)
{
    struct norm_at n = norm_at(c, lane, group);

    rms_lie(&n, (struct norm_lie){.b = 1}, LARGE, "b one more");
    rms_lie(&n, (struct norm_lie){.b = 2}, LARGE, "b two more");
    rms_lie(&n, (struct norm_lie){.b = -1}, TOP, "b one less");
    rms_lie(&n, (struct norm_lie){.root = 1}, OVER, "root one more");
    rms_lie(&n, (struct norm_lie){.root = -1}, UNDER, "root one less");
    rms_lie(&n, (struct norm_lie){.k = 1}, PAST, "k one more");
    rms_lie(&n, (struct norm_lie){.k = -1}, LEFT, "k one less");
    rms_lie(&n, (struct norm_lie){.ratio = 1}, RATIO_REST, "ratio one more");
    rms_lie(&n, (struct norm_lie){.ratio = -1}, SPARE, "ratio one less: the remainder is s");
    rms_lie(&n, (struct norm_lie){.low = get(n.c, TOP, n.lane, n.group * n.d) ? 1 : -1}, LOW,
            "low has a bit of top");
    rms_lie(&n, (struct norm_lie){.carry = get(n.c, LOW, n.lane, n.group * n.d) ? 1 : -1}, HALF,
            "two halves for one of low");
    rms_lie(&n, (struct norm_lie){.no_bit_b = true}, DROP, "a choice of b is not of bits");
    rms_lie(&n, (struct norm_lie){.no_bit_k = true}, BITS, "a choice of k is not of bits");
    if (get(c, HALF, lane, group * n.d)) /* of the first element */
        rms_lie(&n, (struct norm_lie){.half = -1}, REST, "rounded down at the half");
    else
        rms_lie(&n, (struct norm_lie){.half = 1}, REST, "rounded up before the half");
    if (get(c, RATIO, lane, group) < 32767) {
        const int32_t down = (int32_t)get(c, RATIO, lane, group) - 32767;

        rms_lie(&n, (struct norm_lie){.capped = down}, CAPPED, "m = 32767 for less");
    }
    forge_rms(&n, (struct norm_lie){.zero = 1});
    gadget_falls_once(c, "a root that is not zero is said to be zero");
    forge_rms(&n, (struct norm_lie){.capped = 1});
    gadget_falls_once(c, "a ratio below 32768 is capped");
    forge_rms(&n, (struct norm_lie){.two_b = true});
    gadget_falls_once(c, "two b");
    forge_rms(&n, (struct norm_lie){.two_k = true});
    gadget_falls_once(c, "two k");
    put_choice(&n, DROP, 0);
    gadget_falls(c, "another b alone");
    add(c, DROP, lane, group * ((size_t)n.drop + 1) + 3, 1);
    gadget_falls(c, "b is two numbers");
    add(c, FACTOR, lane, group, 1);
    gadget_falls(c, "another factor");
}

START_TEST(rms_named)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "rms_named");
    for (size_t i = 0; i < 10 * MBI_COUNT(norm_sets); i++) {
        const struct gadget_set *set = &norm_sets[i % MBI_COUNT(norm_sets)];
        const size_t groups = (size_t)set->shape.attr[0];
        struct norm_at n;
        struct tail t;

        gadget_init(&c, set, &r);
        t = tail_of(&c, RMS_Y);
        for (size_t k = 0; k < 4 * groups; k++)
            forger_is_right(&c, k / groups, k % groups, true);
        for (size_t k = 0; k < 2 * groups; k++)
            rms_lies_of_a_group(&c, k / groups, k % groups);
        n = norm_at(&c, 2, 0);
        rms_lie(&n, (struct norm_lie){.zero = -1}, PAST, "s = 0");
        rms_lie(&n, (struct norm_lie){.zero = 1}, ZERO, "s = 2 for zeros");
        rms_lie(&n, (struct norm_lie){.b = 1}, LARGE, "b = 1 for zeros");
        n = norm_at(&c, 3, 0);
        rms_lie(&n, (struct norm_lie){.capped = -1}, M, "m = 32768");
        forge_rms(&n, (struct norm_lie){.capped = 1});
        gadget_falls(&c, "m = 32766 for 32768");
        for (size_t k = 0; k < c.graph->node[c.node].type.cols; k++)
            lie_about_tail(&c, &t, 0, k);
        gadget_free(&c);
    }
}
END_TEST

static void shift_lie(struct norm_at *n, struct norm_lie lie, uint32_t falls_at, const char *name)
{
    forge_shift(n, lie);
    gadget_falls_at(n->c, falls_at, name);
}

START_TEST(shift_named)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "shift_named");
    for (size_t i = 0; i < 10 * MBI_COUNT(norm_sets); i++) {
        struct gadget_set set = norm_sets[i % MBI_COUNT(norm_sets)];
        const size_t groups = (size_t)set.shape.attr[0];
        struct norm_at n;

        set.op = MBI_OP_norm_shift;
        gadget_init(&c, &set, &r);
        for (size_t k = 0; k < 4 * groups; k++)
            forger_is_right(&c, k / groups, k % groups, false);
        for (size_t k = 0; k < 2 * groups; k++) {
            n = norm_at(&c, k / groups, k % groups);
            shift_lie(&n, (struct norm_lie){.b = 1}, LARGE, "b one more");
            shift_lie(&n, (struct norm_lie){.b = -1}, TOP, "b one less");
            shift_lie(&n, (struct norm_lie){.low = get(n.c, TOP, n.lane, n.group * n.d) ? 1 : -1},
                      LOW, "low has a bit of top");
            shift_lie(&n, (struct norm_lie){.carry = get(n.c, LOW, n.lane, n.group * n.d) ? 1 : -1},
                      HALF, "two halves for one of low");
            shift_lie(&n, (struct norm_lie){.no_bit_b = true}, DROP,
                      "a choice of b is not of bits");
            shift_lie(&n, (struct norm_lie){.no_bit_e = true}, E, "a choice of e is not of bits");
            forge_shift(&n, (struct norm_lie){.two_b = true});
            gadget_falls_once(&c, "two b");
            forge_shift(&n, (struct norm_lie){.two_e = true});
            gadget_falls_once(&c, "two e");
            shift_lie(&n, (struct norm_lie){.e = 1}, ABOVE, "e one more");
            shift_lie(&n, (struct norm_lie){.e = -1}, BELOW, "e one less");
        }
        n = norm_at(&c, 2, 0);
        shift_lie(&n, (struct norm_lie){.e = 1}, ABOVE, "e = 1 for zeros");
        gadget_free(&c);
    }
}
END_TEST

/* ---- the sizes of real models ---- */

/* x of a matvec with i8 or ternary weights and i8 vectors, and the clamps behind it. */
static void project_size(uint32_t op, int64_t weight, uint32_t cols, const int32_t attr[4],
                         struct test_random *r)
{
    const int64_t b = 128 * weight * cols;
    const bool rows = op == MBI_OP_requant_rows;
    struct gadget_set set = {.op = op,
                             .lanes = 65,
                             .derived = rows ? 2 : 6,
                             .shape = {.cols = {33, rows ? 33 : 1, 1},
                                       .rows = {0, 1, 1},
                                       .dtype = {MBI_I32, rows ? MBI_I8 : MBI_I16, MBI_I8},
                                       .lo = {-b, rows ? -8 : 16384, 4},
                                       .hi = {b, rows ? 15 : 32767, 40}}};
    struct gadget_case c;

    memcpy(set.shape.attr, attr, 4 * sizeof(*attr));
    gadget_init(&c, &set, r);
    gadget_free(&c);
}

START_TEST(project_sizes)
{
    static const uint32_t cols[] = {32, 128, 256, 768, 1536, 2048, 2560, 4096, 5120};
    static const int32_t attr[][4] = {
        {-3, -32768, 32767, 8}, {-6, INT32_MIN, INT32_MAX, 10}, {-7, -134217728, 134217727, 12}};
    struct test_random r;

    test_random_init(&r, "project_sizes");
    for (size_t i = 0; i < MBI_COUNT(cols); i++)
        for (size_t k = 0; k < MBI_COUNT(attr); k++) {
            project_size(MBI_OP_requant_rows, 127, cols[i], attr[k], &r);
            project_size(MBI_OP_requant_mul, 1, cols[i], attr[k], &r);
        }
}
END_TEST

START_TEST(norm_sizes)
{
    static const struct mbi_op_case shape[] = {
        {.cols = {32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
        {.cols = {768}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
        {.cols = {768}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 10, 16}},
        {.cols = {2560}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
        {.cols = {5120}, .attr = {80, 8, 16}},
        {.cols = {32}, .attr = {2, 8, 16}},
        {.cols = {32768}, .attr = {1, 14, 16}},
        {.cols = {32767}, .attr = {1, 14, 16}},
        {.cols = {16385}, .attr = {1, 0, 8}},
        {.cols = {8193}, .attr = {1, 0, 8}},
        {.cols = {4097}, .attr = {1, 0, 8}},
    };
    struct test_random r;

    test_random_init(&r, "norm_sizes");
    for (size_t i = 0; i < 2 * MBI_COUNT(shape); i++) {
        struct gadget_set set = {
            .op = i % 2 ? MBI_OP_norm_rms : MBI_OP_norm_shift, .shape = shape[i / 2], .lanes = 5};
        struct gadget_case c;

        set.shape.dtype[0] = MBI_I32;
        gadget_init(&c, &set, &r);
        gadget_free(&c);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gadgets");
    TCase *t = tcase_create("requant");

    tcase_add_test(t, requant_cases);
    tcase_add_test(t, rows_cases);
    tcase_add_test(t, mul_cases);
    tcase_add_test(t, rows_lies);
    tcase_add_test(t, mul_lies);
    tcase_add_test(t, rms_cases);
    tcase_add_test(t, shift_cases);
    tcase_add_test(t, rms_lies);
    tcase_add_test(t, shift_lies);
    tcase_add_test(t, rows_named);
    tcase_add_test(t, refused);
    tcase_add_test(t, mul_named);
    tcase_add_test(t, rms_named);
    tcase_add_test(t, shift_named);
    tcase_add_test(t, project_sizes);
    tcase_add_test(t, norm_sizes);
    tcase_set_timeout(t, 200);
    suite_add_tcase(s, t);
    return test_main(s);
}

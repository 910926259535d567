/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: the gadgets of decay and scan. What the run says holds; nothing else does. */
#include "gadget_case.h"

/* ---- decay ---- */

/* Counted from the node's first variable, as proof.md has them. */
enum { D_F, D_HOT, D_STEP, D_SHIFTED = 12, D_ELL = 14, D_AT = 16, D_ABOVE, D_SUM, D_C };

/* The usual elements, and some sums at the ends of the clamp and one beside them. */
static void decay_input(const struct gadget_set *set, size_t k, int64_t *x, size_t rows,
                        size_t cols, struct test_random *r)
{
    static const int64_t end[] = {-2817, -2816, -2815, -2561, -2560, -257, -256,   -255,
                                  -1,    0,     1,     767,   768,   769,  -32768, 32767};

    for (size_t i = 0; i < rows * cols && cols >= MBI_COUNT(end); i++)
        if (i % 3 == 0)
            x[i] = k ? 0 : end[test_random_below(r, MBI_COUNT(end))];
    (void)set;
}

static struct gadget_set decay_set(uint32_t cols, int32_t hold, uint32_t lanes, int64_t lo,
                                   int64_t hi)
{
    return (struct gadget_set){.op = MBI_OP_decay,
                               .shape = {.cols = {cols, cols},
                                         .rows = {0, 1},
                                         .dtype = {MBI_I16, MBI_I16},
                                         .frac = {8, 8},
                                         .lo = {lo, lo},
                                         .hi = {hi, hi},
                                         .attr = {hold}},
                               .lanes = lanes,
                               .input = decay_input};
}

START_TEST(decay_honest)
{
    static const int64_t range[][2] = {{0, 0}, {-100, 100}, {-1800, 900}, {-1408, 384}, {1, 2}};
    static const uint32_t lanes[] = {1, 5, 63, 64, 65, 130};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "decay");
    for (size_t k = 0; k < MBI_COUNT(range); k++)
        for (size_t t = 0; t < MBI_COUNT(lanes); t++)
            for (int32_t hold = 0; hold < 2; hold++) {
                const struct gadget_set set =
                    decay_set(t % 2 ? 16 : 37, hold, lanes[t], range[k][0], range[k][1]);

                gadget_init(&c, &set, &r);
                gadget_free(&c);
            }
}
END_TEST

START_TEST(decay_mutations)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "decay mutations");
    for (int round = 0; round < 8; round++) {
        const struct gadget_set set =
            decay_set(16, round % 2, 3, round & 2 ? -1800 : 0, round & 2 ? 900 : 0);

        gadget_init(&c, &set, &r);
        gadget_other_elements(&c, 8, NULL, &r);
        gadget_other_pairs(&c, 40, NULL, &r);
        gadget_free(&c);
    }
}
END_TEST

static void no_longer(const struct gadget_case *c, const char *what)
{
    test_check(!gadget_accepted(c), "%s is accepted", what);
    gadget_reset(c);
    test_check(gadget_accepted(c), "%s: the run is no longer accepted", what);
}

/* How many relations do not hold. */
static uint32_t count_broken(const struct gadget_case *c)
{
    uint32_t n = 0;

    gadget_derive(c);
    for (uint32_t i = 0; i < c->plan->n_relations; i++)
        n += c->is_own[i] && !gadget_relation_holds(c, i);
    return n;
}

/* A lie that everything else was made to follow: one relation stands in its way. */
static void only_one(const struct gadget_case *c, const char *what)
{
    const uint32_t n = count_broken(c);

    test_check(n == 1, "%s: %u relations do not hold", what, n);
    gadget_reset(c);
}

/* ex2w of another level, in all of its variables. */
static void put_ex2w(const struct gadget_case *c, struct mbi_gadget_ex2w x, uint32_t row,
                     uint32_t col, int64_t level)
{
    const struct mbi_gadget_fill f = {.witness = c->witness};

    x.first = gadget_first(c);
    mbi_gadget_fill_ex2w(&f, &x, row, col, (uint32_t)level);
}

static const struct mbi_gadget_ex2w decay_x = {
    .shape = {{2, 1, 16}}, .log_f = 8, .octaves = 15, .down = 11};

static int64_t own(const struct gadget_case *c, uint32_t var, size_t row, size_t col)
{
    return gadget_get(c, gadget_first(c) + var, row, col);
}

static void put_own(const struct gadget_case *c, uint32_t var, size_t row, size_t col, int64_t v)
{
    gadget_put(c, gadget_first(c) + var, row, col, v);
}

START_TEST(decay_other_shift)
{
    const struct gadget_set set = decay_set(16, 0, 2, 0, 0);
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "decay shift");
    gadget_init(&c, &set, &r);
    for (uint32_t i = 0; i < 16; i++) {
        const int64_t w = 768 - own(&c, D_C, 0, i);

        for (int64_t by = -512; by <= 512; by += by == -1     ? 2
                                                 : by == -256 ? 255
                                                 : by == 1    ? 255
                                                              : 256) {
            if (w + by < 0 || w + by >= 15 * 256 || !by)
                continue;
            put_ex2w(&c, decay_x, 0, i, w + by);
            only_one(&c, "2^-w of another w");
        }
    }
    gadget_free(&c);
}
END_TEST

/* The shift of t by what a one-hot says, and what follows. */
static void follow_hot(const struct gadget_case *c, size_t row, size_t col)
{
    int64_t power = 0, s;

    for (size_t j = 0; j < 15; j++)
        power += own(c, D_HOT, row, j * 16 + col) << (14 - j);
    put_own(c, D_SHIFTED, row, col, (own(c, D_STEP + 8, row, col) * power + 8192) >> 14);
    s = own(c, D_SHIFTED, row, col);
    put_own(c, D_SHIFTED + 1, row, col,
            own(c, D_STEP + 8, row, col) * power + 8192 - mbi_lshift(s, 14));
    put_own(c, D_ELL, row, col, (s + 1024) >> 11);
    put_own(c, D_ELL + 1, row, col, (s + 1024) & 2047);
}

START_TEST(one_hot)
{
    const struct gadget_set set = decay_set(16, 0, 2, 0, 0);
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "one-hot");
    for (int round = 0; round < 3; round++) {
        gadget_init(&c, &set, &r);
        for (uint32_t i = 0; i < 16; i++) {
            const uint32_t e = (uint32_t)(768 - own(&c, D_C, 1, i)) >> 8;

            for (uint32_t j = 0; j < 15; j++) { /* any two bits, or another one, or none */
                put_own(&c, D_HOT, 1, e * 16 + i, j > 7);
                put_own(&c, D_HOT, 1, j * 16 + i, j != e);
                follow_hot(&c, 1, i);
                no_longer(&c, "another one-hot");
            }
            put_own(&c, D_HOT, 1, e * 16 + i, 0);
            if (e > 2) { /* two that add up to it */
                put_own(&c, D_HOT, 1, 16 + i, 1);
                put_own(&c, D_HOT, 1, (e - 1) * 16 + i, 1);
            } else { /* 0 counts nothing: both, or none */
                put_own(&c, D_HOT, 1, i, e > 0);
                put_own(&c, D_HOT, 1, e * 16 + i, e > 0);
            }
            follow_hot(&c, 1, i);
            only_one(&c, "a one-hot that adds up");
        }
        gadget_free(&c);
    }
}
END_TEST

/* c by 1, by all, and at the wrong end; u and v both; with what follows made to. */
START_TEST(decay_clamp)
{
    const struct gadget_set set = decay_set(16, 1, 2, 0, 0);
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "decay clamp");
    gadget_init(&c, &set, &r);
    for (uint32_t i = 0; i < 16; i++) {
        const int64_t x = own(&c, D_SUM, 0, i);
        const int64_t lie[] = {-2816, -2815, -256, 0, 1, 767, 768};

        for (size_t k = 0; k < MBI_COUNT(lie); k++) {
            if (lie[k] == own(&c, D_C, 0, i))
                continue;
            for (int64_t both = 0; both < 2; both++) {
                put_own(&c, D_C, 0, i, lie[k]);
                put_own(&c, D_C + 1, 0, i, mbi_max_i64(x - lie[k], 0) + both);
                put_own(&c, D_C + 2, 0, i, mbi_max_i64(lie[k] - x, 0) + both);
                put_ex2w(&c, decay_x, 0, i, 768 - lie[k]);
                put_own(&c, D_AT, 0, i, lie[k] == -2816);
                put_own(&c, D_ABOVE, 0, i, lie[k] + 2815 + (lie[k] == -2816));
                no_longer(&c, "another clamp");
            }
        }
        put_own(&c, D_C + 1, 0, i, own(&c, D_C + 1, 0, i) + 1);
        put_own(&c, D_C + 2, 0, i, own(&c, D_C + 2, 0, i) + 1);
        no_longer(&c, "a clamp from both sides");
    }
    gadget_free(&c);
}
END_TEST

/* The zero test of 0 and of 1. */
START_TEST(decay_zero_test)
{
    const struct gadget_set set = decay_set(16, 1, 2, 0, 0);
    struct test_random r;
    struct gadget_case c;
    int seen[2] = {0};

    test_random_init(&r, "decay zero test");
    for (int round = 0; round < 4; round++) {
        gadget_init(&c, &set, &r);
        for (uint32_t i = 0; i < 32; i++) {
            const bool at = own(&c, D_AT, i / 16, i % 16);

            seen[at]++;
            ck_assert_int_eq(at, own(&c, D_C, i / 16, i % 16) == -2816);
            put_own(&c, D_AT, i / 16, i % 16, !at);
            if (at)
                no_longer(&c, "a zero test that says no");
            put_own(&c, D_AT, i / 16, i % 16, !at);
            if (!at) /* all that can follow does; of the other one it would have to be -1 */
                put_own(&c, D_ABOVE, i / 16, i % 16, own(&c, D_ABOVE, i / 16, i % 16) + 1);
            no_longer(&c, "another zero test");
        }
        gadget_free(&c);
    }
    test_that(seen[0] && seen[1]);
}
END_TEST

/* ---- scan ---- */

enum {
    S_WEIGHT,
    S_XW = 16,
    S_LEVEL = 18,
    S_PRODUCT,
    S_S,
    S_ABOVE,
    S_PAIR = 23,
    S_M = 36,
    S_IN = 38,
    S_Y_IN,
    S_KEEP = 41,
    S_IDLE = 54,
    S_BUSY,
    S_KEPT,
    S_XE,
    S_FOLD = 59,
    S_H,
    S_H16 = 62,
    S_OUT = 64,
    S_Y_OUT
};

enum { X_F, X_D, X_RHO, X_V, X_REST, X_S, X_T, X_B, X_W, X_E, X_Z, X_M, X_M_REST };

/* Decays are 0 (with hold) or 32 and above; of some streams whole chunks are 0, others small. */
static void scan_input(const struct gadget_set *set, size_t k, int64_t *x, size_t rows, size_t cols,
                       struct test_random *r)
{
    const bool hold = set->shape.attr[4];
    const unsigned kind = (unsigned)test_random_below(r, 4);

    if (k != 2)
        return;
    for (size_t i = 0; i < rows * cols; i++) {
        const size_t chunk = i / cols / (size_t)set->shape.attr[0];

        if (kind == 1)
            x[i] = test_random_between(r, 32, 1 << 17);
        if (kind == 2)
            x[i] = test_random_between(r, 0, 20) * 65536 / 4 + test_random_between(r, -1, 1);
        if (hold && chunk % 3 == 1)
            x[i] = 0;
        if (x[i] < 32)
            x[i] = hold ? 0 : 32;
    }
}

static struct gadget_set scan_set(const int32_t attr[5], uint32_t lanes)
{
    struct gadget_set set = {
        .op = MBI_OP_scan,
        .shape = {.cols = {(uint32_t)(attr[1] * attr[2]), 2 * (uint32_t)attr[3], (uint32_t)attr[1]},
                  .dtype = {MBI_I8, MBI_I8, MBI_I32},
                  .frac = {5, 5, 16},
                  .lo = {-128, -128, attr[4] ? 0 : 32},
                  .hi = {127, 127, 1 << 19}},
        .lanes = lanes,
        .input = scan_input};

    memcpy(set.shape.attr, attr, 5 * sizeof(*attr));
    return set;
}

static void scan_run(const int32_t attr[5], uint32_t lanes, int64_t lo, int64_t hi,
                     struct test_random *r)
{
    struct gadget_set set = scan_set(attr, lanes);
    struct gadget_case c;

    if (lo) {
        set.shape.lo[0] = set.shape.lo[1] = lo;
        set.shape.hi[0] = set.shape.hi[1] = hi;
    }
    gadget_init(&c, &set, r);
    gadget_free(&c);
}

START_TEST(scan_honest)
{
    static const int32_t attr[][5] = {
        {1, 1, 1, 2, 0},  {1, 2, 4, 4, 1},  {2, 1, 1, 2, 0},  {8, 2, 4, 4, 0},   {8, 2, 4, 8, 1},
        {16, 1, 7, 4, 0}, {16, 3, 2, 2, 1}, {64, 2, 4, 8, 0}, {64, 1, 5, 16, 1}, {4, 3, 1, 64, 1},
    };
    static const uint32_t lanes[] = {1, 2, 5, 8, 9, 63, 64, 65, 130};
    struct test_random r;

    test_random_init(&r, "scan");
    for (size_t k = 0; k < MBI_COUNT(attr); k++)
        for (size_t t = 0; t < MBI_COUNT(lanes); t++) {
            scan_run(attr[k], lanes[t], 0, 0, &r);
            scan_run(attr[k], t % 2 ? 3 : 7, -127, 127, &r);
            scan_run(attr[k], t % 2 ? 17 : 11, -100, 90, &r);
        }
}
END_TEST

START_TEST(scan_large)
{
    static const int32_t attr[][5] = {{128, 1, 8, 512, 0}, {256, 1, 3, 2, 0}, {64, 4, 16, 64, 1}};
    static const uint32_t lanes[] = {140, 300, 64};
    struct test_random r;

    test_random_init(&r, "large scan");
    for (size_t k = 0; k < MBI_COUNT(attr); k++)
        scan_run(attr[k], lanes[k], 0, 0, &r);
}
END_TEST

/* Nothing reads pairs of a later token. */
static bool is_later(const struct gadget_case *c, uint32_t var, size_t row, size_t col)
{
    return !mbi_var_has(gadget_var(c, gadget_first(c) + var), row, col);
}

START_TEST(scan_mutations)
{
    static const int32_t attr[][5] = {
        {4, 2, 2, 2, 1}, {4, 1, 3, 4, 0}, {8, 2, 2, 4, 1}, {1, 2, 2, 2, 1}, {4, 2, 2, 8, 0}};
    static const uint32_t lanes[] = {10, 7, 8, 4, 3};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "scan mutations");
    for (int round = 0; round < 3; round++)
        for (size_t k = 0; k < MBI_COUNT(attr); k++) {
            const struct gadget_set set = scan_set(attr[k], lanes[k]);

            gadget_init(&c, &set, &r);
            gadget_other_elements(&c, 4, is_later, &r);
            gadget_other_pairs(&c, 40, is_later, &r);
            gadget_free(&c);
        }
}
END_TEST

START_TEST(scan_refused)
{
    const struct gadget_set set = scan_set((int32_t[]){8, 2, 3, 4, 0}, 5);

    gadget_refused(&set, "power of two");
}
END_TEST

/* A lie about m of one pair, or of all, and everything that follows from it. */
#define Q 8
#define HEADS 2
#define DIM 2
#define STATE 8 /* sN = 2 */
#define LANES 19
#define SHIFT 7 /* 9 - sN */

static const int32_t small_scan[5] = {Q, HEADS, DIM, STATE, 1};

static size_t chunk_row(size_t t) { return t & ~(size_t)(Q - 1); }

static int64_t put_ex2(const struct gadget_case *c, uint32_t var, size_t row, size_t col,
                       int64_t level)
{
    const struct mbi_gadget_fill f = {.witness = c->witness};

    return mbi_gadget_fill_ex2(&f, gadget_first(c) + var, row, col, (uint32_t)level);
}

static void put_divided(const struct gadget_case *c, uint32_t var, size_t row, size_t col,
                        int64_t x, int shift)
{
    put_own(c, var, row, col, mbi_rshift_half_up(x, shift));
    put_own(c, var + 1, row, col,
            x + mbi_lshift(1, shift - 1) - mbi_lshift(mbi_rshift_half_up(x, shift), shift));
}

/* Everything behind xw, S and the pairs' m, as the relations have it. */
static void follow(const struct gadget_case *c)
{
    const size_t rows = gadget_var(c, gadget_first(c) + S_M)->n[0];

    for (size_t t = 0; t < rows; t++)
        for (size_t k = 0; k < HEADS * Q; k++)
            if (k % Q <= t % Q)
                put_divided(c, S_M, t, k, own(c, S_S, t, k % Q) * own(c, S_PAIR + X_M, t, k), 15);
    gadget_derive(c);
    for (size_t t = 0; t < LANES; t++)
        for (size_t p = 0; p < HEADS * DIM; p++)
            put_divided(c, S_Y_IN, t, p, own(c, S_IN, t, p), SHIFT);
    for (size_t t = 0; t < chunk_row(LANES - 1); t++)
        for (size_t p = 0; p < HEADS * DIM; p++)
            put_divided(c, S_XE, t, p,
                        own(c, S_XW, t, p) * own(c, S_PAIR + X_M, t | (Q - 1), p / DIM * Q + t % Q),
                        15);
    gadget_derive(c);
}

/* The same from the folds on: h_(-1) = before, in all elements. */
static void follow_state(const struct gadget_case *c, int64_t before)
{
    for (size_t k = 0; k < chunk_row(LANES - 1) / Q; k++)
        for (size_t i = 0; i < STATE * HEADS * DIM; i++) {
            const int64_t kept = own(c, S_KEPT, k * Q + Q - 1, i % (HEADS * DIM) / DIM);
            const int64_t h = k ? own(c, S_H, k - 1, i) : before;

            put_divided(c, S_H, k, i, h * kept + mbi_lshift(own(c, S_FOLD, k, i), 23), 15);
            put_divided(c, S_H16, k, i, own(c, S_H, k, i), 16);
        }
    gadget_derive(c);
    for (size_t t = Q; t < LANES; t++)
        for (size_t p = 0; p < HEADS * DIM; p++)
            put_divided(c, S_Y_OUT, t - Q, p, own(c, S_OUT, t, p) * own(c, S_KEPT, t, p / DIM), 16);
}

static void small_init(struct gadget_case *c, struct test_random *r)
{
    const struct gadget_set set = scan_set(small_scan, LANES);

    gadget_init(c, &set, r);
    follow(c);
    follow_state(c, 0);
    for (uint32_t i = gadget_first(c); i < gadget_end(c); i++)
        test_check(gadget_is_honest(c, i), "variable %u of the node does not follow", i);
}

static int64_t level_of(const struct gadget_case *c, size_t t, size_t h, size_t j)
{
    return own(c, S_LEVEL, t, h) - own(c, S_LEVEL, chunk_row(t) + j, h);
}

/* The exponent, the digit below it, both. */
START_TEST(ex2_of_another_level)
{
    static const int64_t by[] = {1,       -1,         2,         65535,      65536,
                                 -65536,  131072,     4 * 65536, 15 * 65536, -4 * 65536,
                                 1 << 20, -(1 << 20), 32768};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "ex2 level");
    for (int round = 0; round < 4; round++) {
        small_init(&c, &r);
        for (size_t k = 0; k < 60; k++) {
            const size_t t = test_random_below(&r, LANES), h = test_random_below(&r, HEADS);
            const size_t j = test_random_below(&r, t % Q + 1);
            const int64_t was = level_of(&c, t, h, j);
            const int64_t level = was + by[k % MBI_COUNT(by)];

            if (level < 0)
                continue;
            put_ex2(&c, S_PAIR, t, h * Q + j, level);
            follow(&c);
            follow_state(&c, 0);
            only_one(&c, "2^-L of another L");
        }
        gadget_free(&c);
    }
}
END_TEST

/* s, t, B and w of every combination, with m as they say: none but the one of the run. */
START_TEST(ex2_octave)
{
    static const int64_t power[] = {0, 1, 2, 8, 15, 16, 17, 255, 256, 4095, 4096, 5000, -1, -16};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "ex2 octave");
    small_init(&c, &r);
    for (size_t k = 0; k < 12; k++) {
        const size_t t = test_random_below(&r, LANES), h = test_random_below(&r, HEADS);
        const size_t j = test_random_below(&r, t % Q + 1), at = h * Q + j;
        const int64_t level = level_of(&c, t, h, j);
        const uint32_t x = S_PAIR;

        for (int64_t bits = 0; bits < 4; bits++)
            for (size_t b = 0; b < MBI_COUNT(power); b++)
                for (int64_t e = -1; e < 7; e++) {
                    const int64_t y =
                        mbi_lshift(power[b], (int)bits) *
                        ((1 << 17) - own(&c, x + X_F, t, at) - own(&c, x + X_V, t, at));

                    put_ex2(&c, S_PAIR, t, at, level);
                    if (own(&c, x + X_B, t, at) == power[b] && own(&c, x + X_E, t, at) == e &&
                        own(&c, x + X_S, t, at) == (bits & 1) &&
                        own(&c, x + X_T, t, at) == bits >> 1)
                        continue;
                    put_own(&c, x + X_S, t, at, bits & 1);
                    put_own(&c, x + X_T, t, at, bits >> 1);
                    put_own(&c, x + X_B, t, at, power[b]);
                    put_own(&c, x + X_W, t, at, e - 4 + power[b]);
                    put_own(&c, x + X_M, t, at, y >> 16);
                    put_own(&c, x + X_M_REST, t, at, y & 65535);
                    if (!gadget_admits(&c, gadget_first(&c) + x + X_W, e - 4 + power[b]) ||
                        !gadget_admits(&c, gadget_first(&c) + x + X_M, y >> 16))
                        continue;
                    follow(&c);
                    follow_state(&c, 0);
                    no_longer(&c, "another power of two");
                }
        gadget_reset(&c);
    }
    gadget_free(&c);
}
END_TEST

/* L_i - L_(j-1), as if the prefix sum began one token late. */
START_TEST(prefix_sum_off_by_one)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "prefix");
    for (int round = 0; round < 4; round++) {
        bool same = true;

        small_init(&c, &r);
        for (size_t t = 0; t < LANES; t++)
            for (size_t h = 0; h < HEADS; h++)
                for (size_t j = 1; j <= t % Q; j++) {
                    same &= own(&c, S_LEVEL, chunk_row(t) + j, h) ==
                            own(&c, S_LEVEL, chunk_row(t) + j - 1, h);
                    put_ex2(&c, S_PAIR, t, h * Q + j, level_of(&c, t, h, j - 1));
                }
        follow(&c);
        follow_state(&c, 0);
        if (same)
            test_that(gadget_accepted(&c));
        else
            only_one(&c, "a prefix sum that is off by one");
        gadget_free(&c);
    }
}
END_TEST

/* in with the M of j > i, which the relations leave to whoever fills them in. */
START_TEST(later_tokens)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "later");
    small_init(&c, &r);
    for (size_t t = 0; t < LANES; t++)
        for (size_t p = 0; p < HEADS * DIM; p++) {
            const int64_t was = own(&c, S_Y_IN, t, p);
            int64_t sum = 0;

            for (size_t j = 0; j < Q; j++)
                sum += own(&c, S_M, t, p / DIM * Q + j) * own(&c, S_XW, chunk_row(t) + j, p);
            put_divided(&c, S_Y_IN, t, p, sum, SHIFT);
            if (own(&c, S_Y_IN, t, p) != was)
                no_longer(&c, "a sum over later tokens");
        }
    /* and anything else there: nothing reads it */
    gadget_reset(&c);
    for (uint32_t x = S_S; x < S_M + 2; x++) {
        const struct mbi_var *v = gadget_var(&c, gadget_first(&c) + x);

        if (v->kind != MBI_VAR_COMMITTED)
            continue;
        ck_assert_int_eq(v->triangle, 3);
        for (size_t t = 0; t < LANES; t++)
            for (size_t j = t % Q + 1; j < Q; j++)
                for (size_t h = 0; h < v->n[1]; h++) {
                    ck_assert_int_eq(own(&c, x, t, h * Q + j), v->lo);
                    put_own(&c, x, t, h * Q + j,
                            v->lo + (int64_t)test_random_below(&r, (uint64_t)(v->hi - v->lo) + 1));
                }
    }
    follow(&c);
    test_that(gadget_accepted(&c));
    test_that(gadget_is_honest(&c, gadget_out(&c)));
    gadget_free(&c);
}
END_TEST

/* What a quotient rests on: q +- 1 with its rest -+ 2^k lies outside of these ranges. */
struct tight {
    uint32_t var;
    int64_t lo, hi;
};

static void all_tight(const struct gadget_case *c, const struct tight *t, size_t n, uint32_t from)
{
    for (size_t k = 0; k < n; k++) {
        const struct mbi_var *v = gadget_var(c, gadget_first(c) + from + t[k].var);

        test_check(v->kind == MBI_VAR_COMMITTED && !v->loose && v->lo == t[k].lo &&
                       v->hi == t[k].hi,
                   "variable %u of the node is not tight", from + t[k].var);
        test_that(v->complement != MBI_NONE || v->hi - v->lo == ((int64_t)1 << v->bits) - 1);
    }
}

START_TEST(tight_ranges)
{
    static const struct tight decay[] = {{D_F, 0, 255}, {D_HOT, 0, 1},      {3, 0, 255},
                                         {5, 0, 255},   {7, 0, 255},        {9, 0, 255},
                                         {11, 0, 255},  {13, 0, 16383},     {15, 0, 2047},
                                         {D_AT, 0, 1},  {D_ABOVE, 0, 4095}, {D_C, -2816, 768}};
    static const struct tight weight[] = {
        {0, 0, 65535}, {1, 0, 1},      {3, 0, 65535}, {5, 0, 65535}, {7, 0, 65535},
        {9, 0, 65535}, {11, 0, 65535}, {13, 0, 255},  {15, 0, 4095}, {S_XW + 1, 0, 1023}};
    static const struct tight ex2[] = {
        {X_F, 0, 65535}, {X_RHO, 0, 65535},  {X_REST, 0, 0x7fffffff}, {X_S, 0, 1},
        {X_T, 0, 1},     {X_B, -2000, 6191}, {X_W, 0, 4095},          {X_M_REST, 0, 65535}};
    static const struct tight scan[] = {{S_S, -32768, 32767},  {S_S + 2, 0, 3},
                                        {S_M + 1, 0, 32767},   {S_Y_IN + 1, 0, 127},
                                        {S_IDLE, 0, 1},        {S_BUSY, 0, (1 << 28) - 1},
                                        {S_XE + 1, 0, 32767},  {S_H + 1, 0, 32767},
                                        {S_H16 + 1, 0, 65535}, {S_Y_OUT + 1, 0, 65535}};
    const struct gadget_set set = decay_set(16, 1, 2, 0, 0);
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "tight");
    gadget_init(&c, &set, &r);
    all_tight(&c, decay, MBI_COUNT(decay), 0);
    gadget_free(&c);
    small_init(&c, &r);
    all_tight(&c, weight, MBI_COUNT(weight), S_WEIGHT);
    all_tight(&c, ex2, MBI_COUNT(ex2), S_PAIR);
    all_tight(&c, ex2, MBI_COUNT(ex2), S_KEEP);
    all_tight(&c, scan, MBI_COUNT(scan), 0);
    gadget_free(&c);
}
END_TEST

/* Where all has decayed the state is the same one. */
static void other_state(const struct gadget_case *c, const char *what)
{
    if (gadget_is_honest(c, gadget_first(c) + S_H) &&
        gadget_is_honest(c, gadget_first(c) + S_H + 1))
        gadget_reset(c);
    else
        no_longer(c, what);
}

/* h before the first token is zero; of a fold every token counts; chunks follow one another. */
START_TEST(other_states)
{
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "states");
    for (int round = 0; round < 4; round++) {
        small_init(&c, &r);
        follow_state(&c, 1 << 26);
        other_state(&c, "a state before the first token");
        for (size_t i = 0; i < STATE * HEADS * DIM; i++) { /* a token early */
            int64_t early = 0;

            for (size_t t = 0; t < Q - 1; t++)
                early += own(&c, S_XE, t, i % (HEADS * DIM)) *
                         ((const int8_t *)c.value[c.in[1]])[2 * t * STATE + i / (HEADS * DIM)];
            put_divided(&c, S_H, 0, i, mbi_lshift(early, 23), 15);
            put_divided(&c, S_H16, 0, i, own(&c, S_H, 0, i), 16);
        }
        gadget_derive(&c);
        for (size_t t = Q; t < LANES; t++)
            for (size_t p = 0; p < HEADS * DIM; p++)
                put_divided(&c, S_Y_OUT, t - Q, p,
                            own(&c, S_OUT, t, p) * own(&c, S_KEPT, t, p / DIM), 16);
        other_state(&c, "a state that is a token early");
        for (uint32_t v = S_H; v < S_OUT; v++)
            for (size_t i = 0; i < STATE * HEADS * DIM; i++) {
                const int64_t first = own(&c, v, 0, i);

                put_own(&c, v, 0, i, own(&c, v, 1, i));
                put_own(&c, v, 1, i, first);
            }
        other_state(&c, "swapped chunks");
        gadget_free(&c);
    }
}
END_TEST

/* ex2(L) that the state and the outputs are multiplied with; [L = 0] of 0, of 1 and of more. */
START_TEST(other_keep)
{
    struct test_random r;
    struct gadget_case c;
    int seen[2] = {0};

    test_random_init(&r, "keep");
    for (int round = 0; round < 6; round++) {
        small_init(&c, &r);
        for (size_t t = 0; t < LANES; t++)
            for (size_t h = 0; h < HEADS; h++) {
                const int64_t level = own(&c, S_LEVEL, t, h);
                const bool idle = own(&c, S_IDLE, t, h);

                ck_assert_int_eq(idle, !level);
                seen[idle]++;
                put_own(&c, S_IDLE, t, h, !idle);
                if (!idle)
                    put_own(&c, S_BUSY, t, h, own(&c, S_BUSY, t, h) + 1);
                gadget_derive(&c);
                follow_state(&c, 0);
                no_longer(&c, "another zero test");
                put_ex2(&c, S_KEEP, t, h, level + 1);
                gadget_derive(&c);
                follow_state(&c, 0);
                only_one(&c, "another decay of the state");
            }
        gadget_free(&c);
    }
    test_that(seen[0] && seen[1]);
}
END_TEST

/* Another weight of a token's input, and everything that follows from it. */
START_TEST(other_weight)
{
    const struct mbi_gadget_ex2w w = {
        .shape = {{24, 1, HEADS}}, .log_f = 16, .octaves = 9, .down = 12};
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "weight");
    small_init(&c, &r);
    for (size_t t = 0; t < LANES; t++)
        for (uint32_t h = 0; h < HEADS; h++) {
            const int64_t l = ((const int32_t *)c.value[c.in[2]])[t * HEADS + h];

            for (int64_t by = -65536; by <= 65536; by += by == -1 ? 2 : 65535 + (by == 65536)) {
                if (l + by < 0 || l + by >= 9 << 16)
                    continue;
                put_ex2w(&c, w, (uint32_t)t, h, l + by);
                for (size_t p = h * DIM; p < (h + 1) * DIM; p++)
                    put_divided(&c, S_XW, t, p,
                                ((1 << 18) - own(&c, S_WEIGHT + 14, t, h)) *
                                    ((const int8_t *)c.value[c.in[0]])[t * HEADS * DIM + p],
                                10);
                follow(&c);
                follow_state(&c, 0);
                only_one(&c, "another weight");
            }
        }
    gadget_free(&c);
}
END_TEST

/* S one too high is 2^15, which 16 bits do not hold. */
START_TEST(score_clamp)
{
    struct gadget_set set = scan_set((int32_t[]){4, 1, 1, 2, 0}, 3);
    struct test_random r;
    struct gadget_case c;

    test_random_init(&r, "score");
    set.shape.hi[1] = -128;
    set.shape.lo[1] = -128;
    gadget_init(&c, &set, &r);
    ck_assert_int_eq(own(&c, S_S, 0, 0), 32767);
    ck_assert_int_eq(own(&c, S_ABOVE, 0, 0), 1);
    put_own(&c, S_S, 0, 0, 32766);
    no_longer(&c, "a lower score");
    put_own(&c, S_ABOVE, 0, 0, 0);
    no_longer(&c, "a score that is not clamped");
    gadget_free(&c);
    set.shape.lo[1] = set.shape.hi[1] = -127;
    gadget_init(&c, &set, &r);
    gadget_free(&c);
    small_init(&c, &r);
    for (size_t k = 0; k < LANES * Q; k++) { /* one less, and one above */
        if (own(&c, S_ABOVE, k / Q, k % Q) || own(&c, S_S, k / Q, k % Q) == -32768)
            continue;
        put_own(&c, S_S, k / Q, k % Q, own(&c, S_S, k / Q, k % Q) - 1);
        put_own(&c, S_ABOVE, k / Q, k % Q, 1);
        follow(&c);
        follow_state(&c, 0);
        only_one(&c, "a clamp where there is none");
    }
    gadget_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gadgets of decay and scan");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 250);
    tcase_add_test(t, decay_honest);
    tcase_add_test(t, decay_mutations);
    tcase_add_test(t, decay_other_shift);
    tcase_add_test(t, one_hot);
    tcase_add_test(t, decay_clamp);
    tcase_add_test(t, decay_zero_test);
    tcase_add_test(t, scan_honest);
    tcase_add_test(t, scan_large);
    tcase_add_test(t, scan_mutations);
    tcase_add_test(t, scan_refused);
    tcase_add_test(t, tight_ranges);
    tcase_add_test(t, ex2_of_another_level);
    tcase_add_test(t, ex2_octave);
    tcase_add_test(t, prefix_sum_off_by_one);
    tcase_add_test(t, later_tokens);
    tcase_add_test(t, other_states);
    tcase_add_test(t, other_keep);
    tcase_add_test(t, other_weight);
    tcase_add_test(t, score_clamp);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/op: values that the arithmetic's text promises, each worked out here in another way. */
#include "base/intmath.h"
#include "op/op_list.h"
#include "op/formula.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define I8(cols, frac)                                                                             \
    {                                                                                              \
        MBI_I8, frac, 1, cols, -128, 127                                                           \
    }
#define I16(cols, frac)                                                                            \
    {                                                                                              \
        MBI_I16, frac, 1, cols, -32768, 32767                                                      \
    }
#define I32(cols, frac)                                                                            \
    {                                                                                              \
        MBI_I32, frac, 1, cols, INT32_MIN, INT32_MAX                                               \
    }

/* One operation with its types; inference has said yes. */
struct one {
    uint32_t op, params; /* bit k: input k is a parameter to inference */
    struct mbi_type in[MBI_MAX_IN], out;
    const void *attr;
};

static int32_t infer(struct one *n, mambaint_error *err)
{
    struct mbi_infer q = {.attr = n->attr, .out = &n->out, .err = err};

    for (size_t k = 0; k < mbi_op_table[n->op].n_in; k++) {
        q.in[k] = &n->in[k];
        q.in_is_param[k] = n->params >> k & 1;
    }
    return mbi_op_table[n->op].def->infer(&q);
}

static void expect(struct one *n, int32_t status)
{
    mambaint_error err = {0};

    ck_assert_int_eq(infer(n, &err), status);
    ck_assert_int_eq(err.code, status);
    ck_assert_msg(status == MAMBAINT_OK || *err.message, "a refusal without a sentence");
}

/* Evaluate `lanes` tokens; a parameter is an input whose bit is set in `params`. */
static void eval_at(struct one *n, void *out, const void *const *in, uint32_t params, size_t lanes,
                    void *const *state, uint64_t pos)
{
    const struct mbi_op_def *def = mbi_op_table[n->op].def;
    struct mbi_op_args a = {
        .out = out, .out_type = &n->out, .attr = n->attr, .lanes = lanes, .pos = pos};

    expect(n, MAMBAINT_OK);
    for (size_t k = 0; k < mbi_op_table[n->op].n_in; k++) {
        a.in[k] = in[k];
        a.in_type[k] = &n->in[k];
        a.in_is_param[k] = params >> k & 1;
    }
    for (size_t i = 0; state && i < MBI_MAX_STATE_FIELDS; i++)
        a.state[i] = state[i];
    a.end = def->units(&a);
    def->eval(&a);
    if (def->finish)
        def->finish(&a);
}

static void eval(struct one *n, void *out, const void *in0, const void *in1, uint32_t params,
                 size_t lanes)
{
    const void *const in[MBI_MAX_IN] = {in0, in1, NULL, NULL};

    eval_at(n, out, in, params, lanes, NULL, 0);
}

/* ---- the table ---- */

START_TEST(every_operation_is_whole)
{
    for (uint32_t op = 1; op < mbi_op_count; op++) {
        const struct mbi_op_row *row = &mbi_op_table[op];

        ck_assert_ptr_nonnull(row->def);
        ck_assert_uint_ge(row->n_in, 1);
        ck_assert_uint_le(row->n_in, MBI_MAX_IN);
        ck_assert_uint_le(row->def->n_attr, MBI_MAX_ATTR);
        ck_assert(row->def->infer && row->def->units && row->def->eval);
        ck_assert_ptr_nonnull(row->def->grad);
        ck_assert_uint_gt(row->def->n_cases, 0);
    }
}
END_TEST

/* Numbers are in files: they never change. */
START_TEST(numbers_are_fixed)
{
    ck_assert_str_eq(mbi_op_list_text,
                     "1:embed:2;2:matvec:2;3:requant:1;4:requant_rows:2;5:requant_mul:3;6:add:2;"
                     "7:addsat:2;8:mul:2;9:slice:1;10:concat:2;11:norm_rms:1;12:norm_shift:1;"
                     "13:gate:1;14:conv:4;15:decay:2;16:turn:1;17:rotate:2;18:scan:3;19:argmax:1;");
}
END_TEST

/* ---- requant ---- */

/* Halves go up, negative ones too: -1.5 becomes -1, not -2. */
START_TEST(requant_rounds_ties_up)
{
    const struct mbi_requant_attr half = {1, -128, 127, 5};
    struct one n = {.op = MBI_OP_requant, .in = {I32(7, 6)}, .attr = &half};
    const int32_t x[] = {-3, -2, -1, 0, 1, 2, 3};
    const int8_t want[] = {-1, -1, 0, 0, 1, 1, 2};
    int8_t y[7];

    eval(&n, y, x, NULL, 0, 1);
    ck_assert_uint_eq(n.out.dtype, MBI_I8);
    ck_assert_int_eq(n.out.frac, 5);
    test_same_bytes(y, want, sizeof(y));
}
END_TEST

/* The sum with half of 2^31 does not wrap, a left shift does not either. */
START_TEST(requant_survives_the_ends)
{
    const struct mbi_requant_attr right = {31, -128, 127, 0}, left = {-16, INT32_MIN, INT32_MAX, 0};
    struct one n = {.op = MBI_OP_requant, .in = {I32(4, 0)}, .attr = &right};
    const int32_t x[] = {INT32_MIN, INT32_MAX, 1 << 30, (1 << 30) - 1};
    const int8_t want[] = {-1, 1, 1, 0};
    int8_t y[4];
    int32_t z[4];

    eval(&n, y, x, NULL, 0, 1);
    test_same_bytes(y, want, sizeof(y));
    n.attr = &left;
    eval(&n, z, (const int32_t[]){-32768, 32767, -32769, 32768}, NULL, 0, 1);
    ck_assert_int_eq(z[0], INT32_MIN);
    ck_assert_int_eq(z[1], 32767 * 65536);
    ck_assert_int_eq(z[2], INT32_MIN);
    ck_assert_int_eq(z[3], INT32_MAX);
}
END_TEST

/* ReLU is a clamp from 0, and the interval says so. */
START_TEST(requant_clamp_bounds_the_interval)
{
    const struct mbi_requant_attr relu = {4, 0, 127, 5}, empty = {4, 3, 2, 5};
    struct one n = {.op = MBI_OP_requant, .in = {{MBI_I32, 9, 1, 8, -1000, 160}}, .attr = &relu};

    expect(&n, MAMBAINT_OK);
    ck_assert_int_eq(n.out.lo, 0);
    ck_assert_int_eq(n.out.hi, 10);
    n.attr = &empty;
    expect(&n, MAMBAINT_E_INVALID);
}
END_TEST

START_TEST(requant_rows_takes_each_exponent)
{
    const struct mbi_requant_attr at = {1, -32768, 32767, 8};
    struct one n = {
        .op = MBI_OP_requant_rows, .in = {I32(4, 0), {MBI_I8, 0, 1, 4, -8, 15}}, .attr = &at};
    const int32_t x[] = {100, 100, 100, -101, 6, 5, 7, 3};
    const int8_t e[] = {0, -1, -4, 1};
    const int16_t want[] = {50, 100, 800, -25, 3, 5, 56, 1};
    int16_t y[8];

    eval(&n, y, x, e, 2, 2);
    test_same_bytes(y, want, sizeof(y));
}
END_TEST

/* ---- matvec ---- */

START_TEST(matvec_refuses_what_could_overflow)
{
    struct one n = {.op = MBI_OP_matvec, .in = {I8(132104, 5), {MBI_I8, 0, 3, 132104, -127, 127}}};

    expect(&n, MAMBAINT_OK); /* 128 * 127 * 132104 = 2147482624 */
    ck_assert_int_eq(n.out.hi, 2147482624);
    ck_assert_int_eq(n.out.lo, -2147482624);
    n.in[0].cols = n.in[1].cols = 132105;
    expect(&n, MAMBAINT_E_RANGE);
    n.in[0].cols = n.in[1].cols = 1 << 24;
    n.in[1] = (struct mbi_type){MBI_TERNARY, 0, 3, 1 << 24, -1, 1};
    expect(&n, MAMBAINT_E_RANGE); /* 128 * 2^24 is one too many */
    n.in[0].cols = n.in[1].cols = (1 << 24) - 1;
    expect(&n, MAMBAINT_OK);
    n.in[1].cols--;
    expect(&n, MAMBAINT_E_INVALID);
}
END_TEST

/* Peak sums of the widest matrix: exact, at both ends. */
START_TEST(matvec_reaches_its_bound_exactly)
{
    enum { COLS = 132104 };
    struct one n = {.op = MBI_OP_matvec, .in = {I8(COLS, 5), {MBI_I8, 0, 2, COLS, -127, 127}}};
    int8_t *x = malloc(COLS), *w = malloc(2 * COLS);
    int32_t y[2];

    ck_assert(x && w);
    memset(x, -128, COLS);
    memset(w, -127, COLS);
    memset(w + COLS, 127, COLS);
    eval(&n, y, x, w, 2, 1);
    ck_assert_int_eq(y[0], 2147482624);
    ck_assert_int_eq(y[1], -2147482624);
    free(x);
    free(w);
}
END_TEST

/* Weight k of a row sits in bits 2 (k mod 4) of byte k / 4, with 1 added. */
START_TEST(ternary_rows_are_packed_as_said)
{
    struct one n = {.op = MBI_OP_matvec, .in = {I8(5, 5), {MBI_TERNARY, 0, 2, 5, -1, 1}}};
    const uint8_t w[] = {0 | 1 << 2 | 2 << 4 | 2 << 6, 2 | 1 << 2 | 1 << 4 | 1 << 6,
                         2 | 2 << 2 | 2 << 4 | 2 << 6, 0 | 1 << 2 | 1 << 4 | 1 << 6};
    const int8_t x[] = {1, 10, 100, 5, 50};
    int32_t y[2];

    eval(&n, y, x, w, 2, 1);
    ck_assert_int_eq(y[0], -1 + 100 + 5 + 50);
    ck_assert_int_eq(y[1], 1 + 10 + 100 + 5 - 50);
}
END_TEST

/* ---- sums and products ---- */

START_TEST(addsat_saturates_at_its_bits)
{
    const struct mbi_addsat_attr at = {24};
    struct one n = {.op = MBI_OP_addsat, .in = {I32(3, 10), I32(3, 10)}, .attr = &at};
    const int32_t a[] = {8388607, -8388608, INT32_MAX}, b[] = {1, -1, INT32_MAX};
    int32_t y[3];

    eval(&n, y, a, b, 0, 1);
    ck_assert_int_eq(y[0], 8388607);
    ck_assert_int_eq(y[1], -8388608);
    ck_assert_int_eq(y[2], 8388607);
    ck_assert_int_eq(n.out.lo, -8388608);
    ck_assert_int_eq(n.out.hi, 8388607);
    n.in[1].frac = 9;
    expect(&n, MAMBAINT_E_INVALID); /* terms of different scale */
}
END_TEST

START_TEST(add_refuses_to_wrap)
{
    struct one n = {.op = MBI_OP_add, .in = {I32(3, 0), {MBI_I8, 0, 1, 3, 0, 1}}};

    expect(&n, MAMBAINT_E_RANGE);
    n.in[0].hi--;
    expect(&n, MAMBAINT_OK);
}
END_TEST

/* One row for all lanes; and the sum stands where the parameter does, but values must agree. */
START_TEST(add_serves_a_parameter)
{
    struct one n = {.op = MBI_OP_add, .in = {I8(3, 5), I16(3, 12)}};
    const int8_t x[] = {1, 2, 3, -4, -5, 127};
    const int16_t d[] = {100, -200, 32000};
    const int32_t want[] = {101, -198, 32003, 96, -205, 32127};
    int32_t y[6];

    expect(&n, MAMBAINT_E_INVALID);
    n.params = 1u << 1;
    eval(&n, y, x, d, n.params, 2);
    test_same_bytes(y, want, sizeof(y));
    ck_assert_int_eq(n.out.frac, 12);
    n.in[1].rows = 2;
    expect(&n, MAMBAINT_E_INVALID);
}
END_TEST

START_TEST(mul_serves_groups)
{
    const struct mbi_mul_attr at = {2};
    struct one n = {.op = MBI_OP_mul, .in = {I8(4, 5), I16(2, 8)}, .attr = &at};
    const int8_t x[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const int16_t d[] = {10, -100, 7, 9};
    int32_t y[8];
    const int32_t of_param[] = {10, 20, -300, -400, 50, 60, -700, -800};
    const int32_t of_value[] = {10, 20, -300, -400, 35, 42, 63, 72};

    eval(&n, y, x, d, 2, 2);
    test_same_bytes(y, of_param, sizeof(y));
    eval(&n, y, x, d, 0, 2);
    test_same_bytes(y, of_value, sizeof(y));
    ck_assert_int_eq(n.out.frac, 13);
}
END_TEST

START_TEST(slice_and_concat_move_rows)
{
    const struct mbi_slice_attr part = {1, 2}, outside = {2, 2};
    struct one s = {.op = MBI_OP_slice, .in = {I8(3, 5)}, .attr = &part};
    struct one c = {.op = MBI_OP_concat, .in = {I8(3, 5), I8(1, 5)}};
    const int8_t x[] = {1, 2, 3, 4, 5, 6}, z[] = {7, 8};
    int8_t y[8];

    eval(&s, y, x, NULL, 0, 2);
    test_same_bytes(y, (const int8_t[]){2, 3, 5, 6}, 4);
    eval(&c, y, x, z, 0, 2);
    test_same_bytes(y, (const int8_t[]){1, 2, 3, 7, 4, 5, 6, 8}, 8);
    s.attr = &outside;
    expect(&s, MAMBAINT_E_INVALID);
}
END_TEST

/* ---- embed, argmax ---- */

START_TEST(embed_needs_a_row_for_every_token)
{
    struct one n = {.op = MBI_OP_embed,
                    .in = {{MBI_I32, 0, 1, 1, 0, 2}, {MBI_I8, 5, 3, 2, -127, 127}}};
    const int8_t table[] = {1, 2, 3, 4, 5, 6};
    const int32_t ids[] = {2, 0};
    int8_t y[4];

    eval(&n, y, ids, table, 2, 2);
    test_same_bytes(y, (const int8_t[]){5, 6, 1, 2}, 4);
    n.in[0].hi = 3;
    expect(&n, MAMBAINT_E_INVALID);
}
END_TEST

START_TEST(argmax_takes_the_lowest_of_equals)
{
    struct one n = {.op = MBI_OP_argmax, .in = {I32(5, 12)}};
    const int32_t x[] = {3,         9,         2, 9, 9, INT32_MIN, INT32_MIN, INT32_MIN,
                         INT32_MIN, INT32_MIN, 0, 1, 2, 3,         4};
    int32_t y[3];

    eval(&n, y, x, NULL, 0, 3);
    ck_assert_int_eq(y[0], 1);
    ck_assert_int_eq(y[1], 0);
    ck_assert_int_eq(y[2], 4);
}
END_TEST

/* ---- norms ---- */

/* Independent of the scale of the input, and right to a unit of the result. */
static void check_norm(uint32_t op, double tolerance)
{
    enum { D = 96 };
    const struct mbi_norm_attr at = {1, 8, 16};
    struct one n = {.op = op, .in = {I32(D, 10)}, .attr = &at};
    struct test_random r;
    int32_t x[D], twice[D];
    int16_t y[D], z[D];

    test_random_init(&r, mbi_op_table[op].name);
    for (int round = 0; round < 200; round++) {
        const int64_t top = (int64_t)1 << (8 + round % 7);
        double ss = 0;

        for (size_t i = 0; i < D; i++) {
            x[i] = (int32_t)test_random_between(&r, -top, top);
            twice[i] = 2 * x[i];
            ss += (double)x[i] * x[i];
        }
        eval(&n, y, x, NULL, 0, 1);
        eval(&n, z, twice, NULL, 0, 1);
        for (size_t i = 0; i < D; i++) {
            const double want = 256 * x[i] / sqrt(ss / D);

            ck_assert_msg(fabs(y[i] - want) <= tolerance * fabs(want) + 1, "%d is not %f", y[i],
                          want);
            ck_assert_int_le(abs(y[i] - z[i]), 1 + abs(y[i]) / 256);
        }
    }
}

/* m has 14 or 15 bits and s at least 8. */
START_TEST(norm_rms_divides_by_the_root_mean_square) { check_norm(MBI_OP_norm_rms, 0.01); }
END_TEST

/* The nearest power of two is wrong by at most half an octave. */
START_TEST(norm_shift_divides_by_the_nearest_power) { check_norm(MBI_OP_norm_shift, 0.4143); }
END_TEST

START_TEST(norm_of_nothing_is_nothing)
{
    const struct mbi_norm_attr at = {2, 5, 8}, odd = {3, 5, 8};
    struct one n = {.op = MBI_OP_norm_rms, .in = {I32(8, 10)}, .attr = &at};
    const int32_t x[8] = {0, 0, 0, 0, 700, 700, 700, 700};
    int8_t y[8];

    eval(&n, y, x, NULL, 0, 1);
    test_same_bytes(y, (const int8_t[]){0, 0, 0, 0, 32, 32, 32, 32}, 8);
    n.attr = &odd;
    expect(&n, MAMBAINT_E_INVALID);
}
END_TEST

/* ---- gate ---- */

static double gate_of(int32_t kind, double x)
{
    if (kind == MBI_GATE_HARD)
        return x * fmin(fmax(x / 4 + 0.5, 0), 1);
    if (kind == MBI_GATE_ALGEBRAIC)
        return x * (0.5 + x / (2 * (1 + fabs(x))));
    return (x + sqrt(x * x + 4)) / 2;
}

/* Every input against the real function: the sigmoid floors to 2^-15, squareplus to 2^-8. */
START_TEST(gates_are_their_functions)
{
    struct mbi_gate_attr at = {0};
    struct one n = {.op = MBI_OP_gate, .in = {I16(1, 8)}, .attr = &at};

    for (at.kind = MBI_GATE_HARD; at.kind <= MBI_GATE_SQUAREPLUS; at.kind++)
        for (int32_t v = -32768; v <= 32767; v++) {
            const double x = v / 256.0, want = gate_of(at.kind, x);
            const double error = at.kind == MBI_GATE_SQUAREPLUS ? 1 / 256.0 : fabs(x) / 32768;
            const int16_t in = (int16_t)v;
            int32_t y;

            eval(&n, &y, &in, NULL, 0, 1);
            ck_assert_msg(fabs(y / 8388608.0 - want) <= error + 1e-9, "kind %d, x %d: %d", at.kind,
                          v, y);
            ck_assert(y >= n.out.lo && y <= n.out.hi);
        }
}
END_TEST

/* ---- conv ---- */

/* Taps meet the inputs oldest first; the bias is added after rounding. */
START_TEST(conv_sees_four_tokens)
{
    struct one n = {
        .op = MBI_OP_conv,
        .in = {I16(1, 8), {MBI_I8, 0, 1, 4, -127, 127}, {MBI_I8, 0, 1, 1, -8, 10}, I16(1, 8)}};
    const int8_t w[] = {1, 2, 3, 4}, e[] = {1};
    const int16_t p[] = {10, 100, 1000, 10000, -32768}, bias[] = {5};
    const void *const in[] = {p, w, e, bias};
    int16_t old[3] = {0, 0, 7}, u[5];
    void *const state[MBI_MAX_STATE_FIELDS] = {old};

    eval_at(&n, u, in, 14, 5, state, 0);
    ck_assert_int_eq(u[0], 5 + (3 * 7 + 40 + 1) / 2);
    ck_assert_int_eq(u[1], 5 + (2 * 7 + 30 + 400) / 2);
    ck_assert_int_eq(u[2], 5 + (7 + 20 + 300 + 4000 + 1) / 2);
    ck_assert_int_eq(u[3], 5 + (10 + 200 + 3000 + 40000) / 2);
    ck_assert_int_eq(u[4], -32768);
    test_same_bytes(old, (const int16_t[]){1000, 10000, -32768}, sizeof(old));
}
END_TEST

/* ---- decay ---- */

/* Every v: 2^v to a unit, never falling; hold means 0 at the lower clamp and nowhere else. */
START_TEST(decay_is_a_power_of_two)
{
    struct mbi_decay_attr at = {0};
    struct one n = {.op = MBI_OP_decay, .in = {I16(1, 8), I16(1, 8)}, .attr = &at};
    const int16_t bias = -7;
    int32_t l, held, before = 0;

    for (int32_t v = -4000; v <= 2000; v++) {
        const int16_t dt = (int16_t)(v - bias);
        const double want = 65536 * exp2((v < -2816 ? -2816 : v > 768 ? 768 : v) / 256.0);

        at.hold = 0;
        eval(&n, &l, &dt, &bias, 2, 1);
        ck_assert_msg(fabs(l - want) < 1.05, "v %d: %d", v, l);
        ck_assert_int_ge(l, before);
        before = l;
        at.hold = 1;
        eval(&n, &held, &dt, &bias, 2, 1);
        ck_assert_int_eq(held, v <= -2816 ? 0 : l);
    }
    ck_assert_int_eq(before, 1 << 19);
    eval(&n, &l, &(const int16_t){-32768}, &bias, 2, 1); /* the sum saturates, it does not wrap */
    ck_assert_int_eq(l, 0);
}
END_TEST

/* ---- turn and rotate ---- */

START_TEST(turn_wraps_and_never_drifts)
{
    enum { TOKENS = 100000 };
    struct one n = {.op = MBI_OP_turn, .in = {I16(1, 8)}};
    int16_t *p = malloc(TOKENS * sizeof(*p)), *phi = malloc(TOKENS * sizeof(*phi));
    const void *const in[] = {p};
    uint8_t phase = 0;
    void *const state[MBI_MAX_STATE_FIELDS] = {&phase};
    int64_t sum = 0;
    struct test_random r;

    test_random_init(&r, "turn");
    ck_assert(p && phi);
    for (size_t t = 0; t < TOKENS; t++)
        p[t] = (int16_t)test_random_between(&r, -32768, 32767);
    eval_at(&n, phi, in, 0, TOKENS, state, 0);
    for (size_t t = 0; t < TOKENS; t++) {
        sum += (int64_t)floor(p[t] / 4.0 + 0.5);
        ck_assert_int_eq(phi[t], (int)((sum % 256 + 256) % 256));
    }
    ck_assert_uint_eq(phase, (uint8_t)phi[TOKENS - 1]);
    free(p);
    free(phi);
}
END_TEST

/* The three shears by themselves, to see what lies between them. */
static int32_t largest_inside(int32_t x, int32_t y, int32_t phi)
{
    const int32_t rho = ((phi + 32) & 63) - 32, t = mbi_shear_t(rho), s = mbi_shear_s(rho);
    int32_t most = 0;

    for (int step = 0; step < 3; step++) {
        if (step == 1)
            y += (s * x + (1 << 14)) >> 15;
        else
            x -= (t * y + (1 << 14)) >> 15;
        most = (int32_t)mbi_max_i64(most, mbi_max_i64(abs(x), abs(y)));
    }
    return most;
}

/* All 2^16 pairs of i8 at all 256 phases. */
START_TEST(rotation_is_exactly_invertible_and_close)
{
    int32_t most = 0;
    double worst = 0;

    for (int32_t phi = 0; phi < 256; phi++) {
        const double c = cos(phi * acos(-1) / 128), s = sin(phi * acos(-1) / 128);

        for (int32_t pair = 0; pair < 65536; pair++) {
            const int32_t x0 = ((pair & 255) - 128) * 8, y0 = ((pair >> 8) - 128) * 8;
            int32_t x = x0, y = y0;
            double dx, dy;

            most = (int32_t)mbi_max_i64(most, largest_inside(x, y, phi));
            mbi_rotate_pair(&x, &y, phi);
            dx = x - (c * x0 - s * y0);
            dy = y - (s * x0 + c * y0);
            worst = fmax(worst, dx * dx + dy * dy);
            mbi_rotate_pair_back(&x, &y, phi);
            if (x != x0 || y != y0)
                ck_abort_msg("(%d, %d) by %d comes back as (%d, %d)", x0, y0, phi, x, y);
        }
    }
    ck_assert_int_le(most, 1448);
    ck_assert_double_lt(sqrt(worst), 1.12);
}
END_TEST

/* ---- scan ---- */

#define MAX_SLOTS 256

/* One head and its memory. */
struct scan {
    struct one n;
    struct mbi_scan_attr at;
    int32_t h[4 * 4], L[MAX_SLOTS];
    int8_t b[MAX_SLOTS * 4];
    int16_t xw[MAX_SLOTS * 4];
};

static void scan_start(struct scan *s, int32_t chunk, int32_t hold)
{
    memset(s, 0, sizeof(*s));
    s->at = (struct mbi_scan_attr){chunk, 1, 4, 4, hold};
    s->n = (struct one){.op = MBI_OP_scan,
                        .in = {I8(4, 5), I8(8, 5), {MBI_I32, 16, 1, 1, 0, 1 << 19}},
                        .attr = &s->at};
}

static void scan_run(struct scan *s, int32_t *y, const int8_t *x, const int8_t *bc,
                     const int32_t *l, size_t lanes, uint64_t pos)
{
    const void *const in[] = {x, bc, l};
    void *const state[MBI_MAX_STATE_FIELDS] = {s->h, s->b, s->xw, s->L};

    eval_at(&s->n, y, in, 0, lanes, state, pos);
}

/* Half up, in the plainest form. */
static int64_t rounded(int64_t v, int s) { return (v + ((int64_t)1 << (s - 1))) >> s; }

/*
 * Q = 1 is the classical recurrence h = rsh(h a, 15) + u with a = 2^-l in Q15: written out here
 * with two nested loops for N = 4 (so sN = 1).
 */
START_TEST(chunk_of_one_is_the_classical_recurrence)
{
    enum { TOKENS = 3000 };
    static int8_t x[TOKENS * 4], bc[TOKENS * 8];
    static int32_t l[TOKENS], y[TOKENS * 4];
    int64_t h[4][4] = {{0}};
    struct test_random r;
    struct scan s;

    test_random_init(&r, "classical");
    test_random_bytes(&r, x, sizeof(x));
    test_random_bytes(&r, bc, sizeof(bc));
    for (size_t t = 0; t < TOKENS; t++)
        l[t] = (int32_t)test_random_between(&r, 32, t % 3 ? 4000 : 1 << 19);
    scan_start(&s, 1, 0);
    scan_run(&s, y, x, bc, l, TOKENS, 12345);
    for (size_t t = 0; t < TOKENS; t++) {
        const int8_t *b = bc + t * 8, *c = b + 4;
        const int64_t a = mbi_ex2((uint32_t)l[t]), w = mbi_input_weight((uint32_t)l[t]);
        int64_t dot = 0;

        for (int n = 0; n < 4; n++)
            dot += c[n] * b[n];
        for (int p = 0; p < 4; p++) {
            const int64_t xw = rounded(x[t * 4 + (size_t)p] * w, 10);
            const int64_t own = rounded(mbi_min_i64(rounded(dot, 1), 32767) * 32767, 15);
            int64_t carried = 0;

            for (int n = 0; n < 4; n++) {
                carried += c[n] * rounded(h[n][p], 16);
                h[n][p] = rounded(h[n][p] * a, 15) + b[n] * rounded(xw * 32767, 15) * 256;
            }
            ck_assert_int_eq(y[t * 4 + (size_t)p], rounded(own * xw, 8) + rounded(carried * a, 16));
        }
    }
    for (int n = 0; n < 4; n++)
        for (int p = 0; p < 4; p++)
            ck_assert_int_eq(s.h[n * 4 + p], h[n][p]);
}
END_TEST

/* A decay of 0 for a hundred thousand tokens, whatever the inputs: not a bit of h moves. */
START_TEST(hold_keeps_the_state_exactly)
{
    enum { RUN = 1000, RUNS = 100 };
    static int8_t x[RUN * 4], bc[RUN * 8];
    static int32_t l[RUN], y[RUN * 4];
    int32_t before[16];
    uint64_t pos = 0;
    struct test_random r;
    struct scan s;

    test_random_init(&r, "hold");
    scan_start(&s, 8, 1);
    for (int run = 0; run < RUNS + 1; run++) {
        test_random_bytes(&r, x, sizeof(x));
        test_random_bytes(&r, bc, sizeof(bc));
        for (size_t t = 0; t < RUN; t++)
            l[t] = run ? 0 : 500;
        scan_run(&s, y, x, bc, l, RUN, pos);
        pos += RUN;
        if (!run)
            memcpy(before, s.h, sizeof(before));
    }
    test_same_bytes(s.h, before, sizeof(before));
    ck_assert_int_ne(before[0], 0);
    scan_start(&s, 8, 0);
    memcpy(s.h, before, sizeof(before));
    scan_run(&s, y, x, bc, l, RUN, 0);
    ck_assert_int_lt(abs(s.h[0]), abs(before[0])); /* without hold each chunk costs 2^-15 */
}
END_TEST

/* Constant extremes at the slowest and other decays: |h| stays below 18, |y| in its interval. */
START_TEST(state_stays_below_its_bound)
{
    enum { RUN = 4096 };
    static int8_t x[RUN * 4], bc[RUN * 8];
    static int32_t l[RUN], y[RUN * 4];
    struct scan s;

    memset(x, -128, sizeof(x));
    memset(bc, -128, sizeof(bc));
    for (int32_t chunk = 1; chunk <= 256; chunk *= 4)
        for (int32_t decay = 32; decay <= 1 << 19; decay *= 8) {
            for (size_t t = 0; t < RUN; t++)
                l[t] = decay;
            scan_start(&s, chunk, 0);
            for (uint64_t pos = 0; pos < 5 * RUN; pos += RUN)
                scan_run(&s, y, x, bc, l, RUN, pos);
            for (size_t i = 0; i < 16; i++)
                ck_assert_int_lt(s.h[i], 18 << 26);
            for (size_t i = 0; i < RUN * 4; i++)
                ck_assert(y[i] >= s.n.out.lo && y[i] <= s.n.out.hi);
            ck_assert_int_gt(s.h[0], (decay > 100000 ? 15 : 1) << 26);
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("op");
    TCase *t = tcase_create("op");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, every_operation_is_whole);
    tcase_add_test(t, numbers_are_fixed);
    tcase_add_test(t, requant_rounds_ties_up);
    tcase_add_test(t, requant_survives_the_ends);
    tcase_add_test(t, requant_clamp_bounds_the_interval);
    tcase_add_test(t, requant_rows_takes_each_exponent);
    tcase_add_test(t, matvec_refuses_what_could_overflow);
    tcase_add_test(t, matvec_reaches_its_bound_exactly);
    tcase_add_test(t, ternary_rows_are_packed_as_said);
    tcase_add_test(t, addsat_saturates_at_its_bits);
    tcase_add_test(t, add_refuses_to_wrap);
    tcase_add_test(t, add_serves_a_parameter);
    tcase_add_test(t, mul_serves_groups);
    tcase_add_test(t, slice_and_concat_move_rows);
    tcase_add_test(t, embed_needs_a_row_for_every_token);
    tcase_add_test(t, argmax_takes_the_lowest_of_equals);
    tcase_add_test(t, norm_rms_divides_by_the_root_mean_square);
    tcase_add_test(t, norm_shift_divides_by_the_nearest_power);
    tcase_add_test(t, norm_of_nothing_is_nothing);
    tcase_add_test(t, gates_are_their_functions);
    tcase_add_test(t, conv_sees_four_tokens);
    tcase_add_test(t, decay_is_a_power_of_two);
    tcase_add_test(t, turn_wraps_and_never_drifts);
    tcase_add_test(t, rotation_is_exactly_invertible_and_close);
    tcase_add_test(t, chunk_of_one_is_the_classical_recurrence);
    tcase_add_test(t, hold_keeps_the_state_exactly);
    tcase_add_test(t, state_stays_below_its_bound);
    suite_add_tcase(s, t);
    return test_main(s);
}

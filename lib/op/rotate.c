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

static const struct mbi_op_case turn_cases[] = {
    {.cols = {1}, .dtype = {MBI_I16}, .frac = {8}},
    {.cols = {19}, .dtype = {MBI_I16}, .frac = {8}},
};

const struct mbi_op_def mbi_op_turn = {
    .infer = turn_infer,
    .state = turn_state,
    .units = turn_units,
    .eval = turn_eval,
    .grad = &mbi_grad_turn,
    .cases = turn_cases,
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
    .units = mbi_units_lanes,
    .eval = rotate_eval,
    .grad = &mbi_grad_rotate,
    .cases = rotate_cases,
    .n_cases = MBI_COUNT(rotate_cases),
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms: every group of a vector is divided by its root mean square, exactly scaled
 * (norm_rms: one square root and one division per group) or by the nearest power of two
 * (norm_shift: neither). Gains are folded into the next matrix, or follow as a product.
 */
#include "op/element.h"
#include "op/formula.h"

/* Shift that brings a group into 16 bits. max(r, -1-r) is the magnitude with -2^k counted as
 * 2^k - 1, so that -2^15 needs no shift. */
static int headroom_shift(const void *r, uint32_t dtype, size_t at, size_t d)
{
    int64_t max = 0;

    for (size_t i = 0; i < d; i++) {
        const int64_t v = mbi_get(r, dtype, at + i);

        max = mbi_max_i64(max, mbi_max_i64(v, -1 - v));
    }
    return (int)mbi_max_i64(0, mbi_bitlen((uint64_t)max) - 15);
}

/* ss = sum q_i^2 <= d 2^30, below 2^45 for d <= 2^15. */
static uint64_t sum_of_squares(const void *r, uint32_t dtype, size_t at, size_t d, int b)
{
    uint64_t ss = 0;

    for (size_t i = 0; i < d; i++) {
        const int64_t v = mbi_rshift_half_up(mbi_get(r, dtype, at + i), b);

        ss += (uint64_t)(v * v);
    }
    return ss;
}

static int32_t norm_infer(struct mbi_infer *q, const char *op)
{
    const struct mbi_norm_attr *at = q->attr;
    const struct mbi_type *r = q->in[0];
    const int64_t top = (int64_t)1 << (at->bits == 8 ? 7 : 15);

    if (r->dtype < MBI_I8 || r->dtype > MBI_I32 || (at->bits != 8 && at->bits != 16) ||
        at->frac < 0 || at->frac > 14)
        return mbi_infer_mismatch(q, op, "needs an integer vector and an 8 or 16 bit result");
    if (at->groups < 1 || r->cols % (uint32_t)at->groups || r->cols / (uint32_t)at->groups > 32768)
        return mbi_infer_mismatch(q, op,
                                  "groups must divide the vector into parts of at most 32768");
    return mbi_infer_result(q, r->cols, at->frac, -top, top - 1, -top, top - 1);
}

static size_t norm_units(const struct mbi_op_args *a)
{
    return a->lanes * (size_t)((const struct mbi_norm_attr *)a->attr)->groups;
}

static void normalise(const struct mbi_op_args *a,
                      struct mbi_norm_factor (*find)(uint64_t ss, size_t d))
{
    const struct mbi_norm_attr *at = a->attr;
    const size_t d = a->out_type->cols / (size_t)at->groups;
    const uint32_t dtype = a->in_type[0]->dtype;

    for (size_t u = a->begin; u < a->end; u++) {
        const int b = headroom_shift(a->in[0], dtype, u * d, d);
        const struct mbi_norm_factor f = find(sum_of_squares(a->in[0], dtype, u * d, d, b), d);

        for (size_t i = u * d; i < (u + 1) * d; i++) {
            const int64_t v = mbi_rshift_half_up(mbi_get(a->in[0], dtype, i), b);
            const int64_t y = mbi_rshift_half_up(v * f.mul, f.shift - at->frac);

            mbi_put(a->out, a->out_type->dtype, i, mbi_sat(y, at->bits));
        }
    }
}

/* ---- proofs ---- */

/*
 * All that does not depend on a run. The group of an element is its column >> log, and what belongs
 * to a group is a column of [lanes][groups].
 *
 * The result needs no wider clamp than `top`: with Q the largest |q|, s > 2^8 Q / sqrt(d) - 1 and
 * s >= 1 give s >= 2^7 Q / sqrt(d), and |q m 2^-(k+6-frac)| <= Q 2^(8+frac) / s <= 2^(frac+1)
 * sqrt(d); norm_shift stays below 2^frac sqrt(2 d).
 */
struct norm_shape {
    uint32_t lanes, groups, d;
    uint8_t log;   /* of d, if there are more groups than one */
    int32_t drop;  /* the largest b */
    int64_t q_max; /* the largest |q| */
    uint32_t odd;  /* d = odd 2^even, even <= 15 */
    int32_t even;
    int64_t top; /* the largest |y| before the clamp */
};

static struct norm_shape norm_shape(const struct mbi_node *node, const struct mbi_type *r,
                                    uint32_t lanes)
{
    const int32_t *at = node->attr; /* struct mbi_norm_attr */
    const int64_t max = mbi_max_i64(mbi_max_i64(r->hi, -1 - r->lo), 0);
    struct norm_shape n = {.lanes = lanes, .groups = (uint32_t)at[0]};

    n.odd = n.d = r->cols / n.groups;
    n.log = (uint8_t)mbi_bitlen(n.d - 1);
    n.drop = mbi_bitlen((uint64_t)max) - 15;
    n.drop = n.drop > 0 ? n.drop : 0;
    n.q_max = n.drop ? 32768 : mbi_type_magnitude(r);
    for (; n.odd % 2 == 0; n.odd /= 2)
        n.even++;
    n.top = mbi_min_i64(((int64_t)mbi_isqrt(n.d) + 1) << (at[1] + 1), n.q_max << (at[1] + 8)) + 1;
    return n;
}

/* Letters of all relations: lane, group, element of the group. */
enum { LANE, GROUP, IN, LETTERS };

static struct mbi_view of_group(uint32_t var)
{
    return mbi_view(var, mbi_along(LANE, 0), mbi_fixed(0), mbi_along(GROUP, 0));
}

/* A letter of one value has no bits to be a field of. */
static struct mbi_axis element_axis(const struct norm_shape *n)
{
    if (n->groups == 1)
        return mbi_along(IN, 0);
    return n->log ? mbi_pair(GROUP, n->log, IN) : mbi_along(GROUP, 0);
}

static struct mbi_view of_element(const struct norm_shape *n, uint32_t var)
{
    return mbi_view(var, mbi_along(LANE, 0), mbi_fixed(0), element_axis(n));
}

static void letters(struct mbi_gadget *g, const struct norm_shape *n, uint32_t in)
{
    const uint32_t range[LETTERS] = {n->lanes, n->groups, in};

    mbi_gadget_letters(g, LETTERS, range);
}

static void relate_groups(struct mbi_gadget *g, const struct norm_shape *n)
{
    mbi_gadget_relate(g, 1);
    letters(g, n, 1);
}

static void relate_elements(struct mbi_gadget *g, const struct norm_shape *n)
{
    mbi_gadget_relate(g, 1);
    letters(g, n, n->d);
}

/* A derived number for each group; summed over its elements if `in` is their number. */
static uint32_t define_group(struct mbi_gadget *g, const struct norm_shape *n, uint32_t in)
{
    const uint32_t var = mbi_gadget_define(g, n->groups);

    letters(g, n, in);
    mbi_gadget_result(g, mbi_along(LANE, 0), mbi_fixed(0), mbi_along(GROUP, 0));
    return var;
}

static uint32_t define_element(struct mbi_gadget *g, const struct norm_shape *n)
{
    const uint32_t var = mbi_gadget_define(g, n->d * n->groups);

    letters(g, n, n->d);
    mbi_gadget_result(g, mbi_along(LANE, 0), mbi_fixed(0), element_axis(n));
    return var;
}

/* c[i] for the case i that a group has chosen. */
static uint32_t define_chosen(struct mbi_gadget *g, const struct norm_shape *n, uint32_t choice,
                              const int64_t *c, int32_t cases)
{
    const uint32_t var = define_group(g, n, 1);

    mbi_gadget_chosen(g, choice, c, (uint32_t)cases);
    return var;
}

static uint32_t group_var(struct mbi_gadget *g, const struct norm_shape *n, int64_t hi)
{
    return mbi_gadget_var(g, n->groups, 0, hi, true);
}

/* ---- into 16 bits ---- */

/* Variables of every norm, in this order. Where no b but 0 is possible, those up to POWER are
 * zeros of one element, of which nothing is said. */
/* clang-format off */
enum {
    N_DROP,             /* the choice of b */
    N_TOP, N_LOW,       /* floor(r / 2^b) + 2^15 = 2^14 top + low, 2 bits and 14 */
    N_HALF, N_REST,     /* (r mod 2^b) 2^(drop-b), its first bit and the others */
    N_LARGE,            /* elements of the group that ask for this b, less 1; plus 1 if b = 0 */
    N_POWER,            /* 2^(drop-b) */
    N_LESS_1, N_LESS_2, /* top - 1, top - 2 */
    N_ENDS,             /* sum of their products: twice the number of elements with top 0 or 3 */
    N_Q, N_SS,
    N_OWN               /* the first of those that differ between norms */
};
/* clang-format on */

/*
 * r 2^(drop-b) = 2^drop (2^14 top + low - 2^15) + 2^(drop-1) half + rest
 */
static void declare_floor(struct mbi_gadget *g, const struct norm_shape *n, uint32_t first)
{
    const int64_t unit = (int64_t)1 << n->drop;

    relate_elements(g, n);
    mbi_gadget_views(g, 1, of_element(n, g->in[0]), of_group(first + N_POWER));
    mbi_gadget_constant(g, unit << 15);
    mbi_gadget_view(g, -(unit << 14), of_element(n, first + N_TOP));
    mbi_gadget_view(g, -unit, of_element(n, first + N_LOW));
    mbi_gadget_view(g, -unit / 2, of_element(n, first + N_HALF));
    mbi_gadget_view(g, -1, of_element(n, first + N_REST));
}

/* Some element does not fit with a smaller b, or b is 0. */
static void declare_large(struct mbi_gadget *g, const struct norm_shape *n, uint32_t first)
{
    relate_groups(g, n);
    mbi_gadget_view(g, 1, of_group(first + N_ENDS));
    mbi_gadget_constant(g, -2);
    mbi_gadget_view(g, 2, mbi_gadget_case(first + N_DROP, 0));
    mbi_gadget_view(g, -2, of_group(first + N_LARGE));
}

#define MAX_DROP 16 /* bits of i32 above those of i16 */

static uint32_t declare_drop(struct mbi_gadget *g, const struct norm_shape *n)
{
    const struct mbi_shape cases = {{n->lanes, n->groups, (uint32_t)n->drop + 1}};
    const uint32_t first = mbi_gadget_choice(g, cases), cols = n->d * n->groups;
    int64_t power[MAX_DROP + 1];

    for (int32_t b = 0; b <= n->drop; b++)
        power[b] = (int64_t)1 << (n->drop - b);
    (void)mbi_gadget_var(g, cols, 0, 3, false);
    (void)mbi_gadget_var(g, cols, 0, (1 << 14) - 1, false);
    (void)mbi_gadget_var(g, cols, 0, 1, false);
    (void)mbi_gadget_var(g, cols, 0, ((int64_t)1 << (n->drop - 1)) - 1, false);
    (void)group_var(g, n, n->d);
    (void)define_chosen(g, n, first, power, n->drop + 1);
    for (int i = 1; i <= 2; i++) {
        (void)define_element(g, n);
        mbi_gadget_view(g, 1, of_element(n, first + N_TOP));
        mbi_gadget_constant(g, -i);
    }
    (void)define_group(g, n, n->d);
    mbi_gadget_views(g, 1, of_element(n, first + N_LESS_1), of_element(n, first + N_LESS_2));
    declare_floor(g, n, first);
    declare_large(g, n, first);
    return first;
}

/* q = 2^14 top + low - 2^15 + half: halves go up. */
static void define_q(struct mbi_gadget *g, const struct norm_shape *n, uint32_t first)
{
    (void)define_element(g, n);
    if (!n->drop) {
        mbi_gadget_view(g, 1, of_element(n, g->in[0]));
        return;
    }
    mbi_gadget_view(g, 1 << 14, of_element(n, first + N_TOP));
    mbi_gadget_view(g, 1, of_element(n, first + N_LOW));
    mbi_gadget_constant(g, -(1 << 15));
    mbi_gadget_view(g, 1, of_element(n, first + N_HALF));
}

/* b, q and ss; returns the first variable. */
static uint32_t declare_q(struct mbi_gadget *g, const struct norm_shape *n)
{
    static const struct mbi_shape one = {{1, 1, 1}};
    uint32_t first;

    if (n->groups > 1 && (n->d & (n->d - 1)))
        mbi_gadget_fault(g, "its groups are not of a power of two elements");
    if (n->drop) {
        first = declare_drop(g, n);
    } else {
        first = mbi_gadget_table(g, one, 0, 0, true);
        for (int i = N_DROP + 1; i < N_Q; i++)
            (void)mbi_gadget_table(g, one, 0, 0, true);
    }
    define_q(g, n, first);
    (void)define_group(g, n, n->d);
    mbi_gadget_views(g, 1, of_element(n, first + N_Q), of_element(n, first + N_Q));
    return first;
}

static void fill_element(const struct mbi_gadget_fill *f, const struct norm_shape *n, size_t lane,
                         size_t col, int b)
{
    const int64_t r = mbi_get(f->in[0], f->in_type[0]->dtype, lane * n->d * n->groups + col);
    const int64_t floored = mbi_rshift_floor(r, b) + (1 << 15);
    const int64_t rest = mbi_lshift(r - mbi_lshift(mbi_rshift_floor(r, b), b), n->drop - b);

    mbi_gadget_set(f, f->first + N_TOP, lane, col, floored >> 14);
    mbi_gadget_set(f, f->first + N_LOW, lane, col, floored & ((1 << 14) - 1));
    mbi_gadget_set(f, f->first + N_HALF, lane, col, rest >> (n->drop - 1));
    mbi_gadget_set(f, f->first + N_REST, lane, col, rest & (((int64_t)1 << (n->drop - 1)) - 1));
}

/* What a group has in a run: its shift, and its sum of squares. */
struct norm_group {
    size_t lane, group, at; /* at: its first element of all */
    int b;
    uint64_t ss;
};

static struct norm_group norm_group(const struct mbi_gadget_fill *f, const struct norm_shape *n,
                                    size_t unit)
{
    struct norm_group u = {.lane = unit / n->groups, .group = unit % n->groups, .at = unit * n->d};
    const uint32_t dtype = f->in_type[0]->dtype;

    u.b = headroom_shift(f->in[0], dtype, u.at, n->d);
    u.ss = sum_of_squares(f->in[0], dtype, u.at, n->d, u.b);
    return u;
}

/* One number of a group. */
static void put_group(const struct mbi_gadget_fill *f, const struct norm_group *u, uint32_t var,
                      int64_t v)
{
    mbi_gadget_set(f, f->first + var, u->lane, u->group, v);
}

static void fill_q(const struct mbi_gadget_fill *f, const struct norm_shape *n,
                   const struct norm_group *u)
{
    const size_t begin = u->group * n->d;
    int64_t large = u->b ? -1 : 0;

    if (!n->drop)
        return;
    mbi_gadget_set(f, f->first + N_DROP, u->lane, u->group * ((size_t)n->drop + 1) + (size_t)u->b,
                   1);
    for (size_t i = begin; i < begin + n->d; i++) {
        int64_t top;

        fill_element(f, n, u->lane, i, u->b);
        top = mbi_gadget_get(f, f->first + N_TOP, u->lane, i);
        large += top == 0 || top == 3;
    }
    put_group(f, u, N_LARGE, large);
}

/* ---- out of it ---- */

/* y = sat(rsh(q factor, shift)), where the factor is a variable of the group. */
static struct mbi_shift_clamp norm_clamp(const struct norm_shape *n, const struct mbi_node *node,
                                         int32_t shift)
{
    const int64_t half = (int64_t)1 << (node->attr[2] - 1); /* struct mbi_norm_attr */

    return (struct mbi_shift_clamp){.x_lo = -mbi_lshift(n->top, shift),
                                    .x_hi = mbi_lshift(n->top, shift),
                                    .shift = shift,
                                    .lo = -half,
                                    .hi = half - 1};
}

static void declare_result(struct mbi_gadget *g, const struct norm_shape *n, uint32_t first,
                           uint32_t factor, int32_t shift)
{
    const struct mbi_shape shape = {{n->lanes, 1, n->d * n->groups}};
    const struct mbi_shift_clamp q = norm_clamp(n, g->node, shift);
    const struct mbi_view at = of_element(n, MBI_NONE);
    const struct mbi_shifted y = mbi_gadget_shifted(g, shape, &q);

    relate_elements(g, n);
    mbi_gadget_views(g, 1, of_element(n, first + N_Q), of_group(factor));
    mbi_gadget_shifted_at(g, &q, &y, &at);
    mbi_gadget_shifted_ends(g, shape, &q, &y);
    g->out = y.y;
}

static void fill_result(const struct mbi_gadget_fill *f, const struct norm_shape *n,
                        const struct norm_group *u, const struct mbi_shift_clamp *q, int64_t factor)
{
    for (size_t i = 0; i < n->d; i++) {
        const int64_t r = mbi_get(f->in[0], f->in_type[0]->dtype, u->at + i);

        mbi_gadget_fill_requant(f, q, u->lane, u->group * n->d + i,
                                mbi_rshift_half_up(r, u->b) * factor);
    }
}

/* ---- norm_rms                                                   arithmetic.md, norm_rms ---- */

static int32_t norm_rms_infer(struct mbi_infer *q) { return norm_infer(q, "norm_rms"); }

static void norm_rms_eval(const struct mbi_op_args *a) { normalise(a, mbi_norm_rms_factor); }

/*
 * With d = odd 2^even the root is that of 2^(16-even) ss // odd: the largest with
 * odd root^2 <= 2^(16-even) ss.
 */
/* clang-format off */
enum {
    RMS_ROOT = N_OWN,
    RMS_OVER, RMS_UNDER,            /* what is above odd root^2, and below the next one */
    RMS_ZERO,                       /* [root = 0] */
    RMS_BITS,                       /* the choice of k, from 1 on */
    RMS_S, RMS_FIRST,               /* s, 2^(k-1) */
    RMS_PAST, RMS_LEFT,             /* s - 2^(k-1), 2^k - 1 - s */
    RMS_M, RMS_CAPPED,              /* m; 1 if the ratio is 32768 */
    RMS_RATIO, RMS_REST, RMS_SPARE, /* 2^(14+k) // s, the remainder, s - 1 - remainder */
    RMS_POWER, RMS_FACTOR,          /* 2^(shift - (k+6-frac)), m times that */
    RMS_OUT
};
/* clang-format on */

#define RMS_MAX_BITS 24 /* of s */

struct rms_shape {
    struct norm_shape n;
    int64_t root_max;
    int32_t bits, shift; /* the largest k; the shift of q times the factor */
};

static struct rms_shape rms_shape(const struct mbi_node *node, const struct mbi_type *r,
                                  uint32_t lanes)
{
    struct rms_shape m = {.n = norm_shape(node, r, lanes)};

    m.root_max = m.n.q_max << 8;
    m.bits = mbi_bitlen((uint64_t)mbi_max_i64(m.root_max, 1));
    m.shift = (int32_t)mbi_max_i64(m.bits + 6 - node->attr[1], 0); /* struct mbi_norm_attr */
    return m;
}

/* root; odd root^2 is below 2^62 also where the range of the root may be wider than it is. */
static void declare_root(struct mbi_gadget *g, const struct rms_shape *m, uint32_t first)
{
    const struct norm_shape *n = &m->n;
    const bool loose = mbi_bitlen(n->odd) + 2 * mbi_bitlen((uint64_t)m->root_max) <= 60;
    const int64_t gap = n->odd * (2 * m->root_max + 1) - 1;
    const struct mbi_view root = of_group(first + RMS_ROOT);

    (void)mbi_gadget_var(g, n->groups, 0, m->root_max, loose);
    (void)group_var(g, n, gap);
    (void)group_var(g, n, gap);
    relate_groups(g, n);
    mbi_gadget_view(g, (int64_t)1 << (16 - n->even), of_group(first + N_SS));
    mbi_gadget_views(g, -(int64_t)n->odd, root, root);
    mbi_gadget_view(g, -1, of_group(first + RMS_OVER));
    relate_groups(g, n);
    mbi_gadget_view(g, 2 * (int64_t)n->odd, root);
    mbi_gadget_constant(g, (int64_t)n->odd - 1);
    mbi_gadget_view(g, -1, of_group(first + RMS_OVER));
    mbi_gadget_view(g, -1, of_group(first + RMS_UNDER));
}

/* s = root + zero, where zero can only be 1 if the root is 0; and 1 <= 2^(k-1) <= s < 2^k. */
static void declare_bits(struct mbi_gadget *g, const struct rms_shape *m, uint32_t first)
{
    const struct norm_shape *n = &m->n;
    const struct mbi_shape cases = {{n->lanes, n->groups, (uint32_t)m->bits}};
    int64_t power[RMS_MAX_BITS];

    for (int32_t i = 0; i < m->bits; i++)
        power[i] = (int64_t)1 << i;
    (void)mbi_gadget_var(g, n->groups, 0, 1, false);
    relate_groups(g, n);
    mbi_gadget_views(g, 1, of_group(first + RMS_ZERO), of_group(first + RMS_ROOT));
    (void)mbi_gadget_choice(g, cases);
    (void)define_group(g, n, 1);
    mbi_gadget_view(g, 1, of_group(first + RMS_ROOT));
    mbi_gadget_view(g, 1, of_group(first + RMS_ZERO));
    (void)define_chosen(g, n, first + RMS_BITS, power, m->bits);
    for (int i = 0; i < 2; i++)
        (void)group_var(g, n, power[m->bits - 1] - 1);
    relate_groups(g, n);
    mbi_gadget_view(g, 1, of_group(first + RMS_S));
    mbi_gadget_view(g, -1, of_group(first + RMS_FIRST));
    mbi_gadget_view(g, -1, of_group(first + RMS_PAST));
    relate_groups(g, n);
    mbi_gadget_view(g, 1, of_group(first + RMS_FIRST));
    mbi_gadget_constant(g, -1);
    mbi_gadget_view(g, -1, of_group(first + RMS_PAST));
    mbi_gadget_view(g, -1, of_group(first + RMS_LEFT));
}

/* 2^15 2^(k-1) = s ratio + rest, 0 <= rest < s; m = min(32767, ratio), as ratio <= 32768. */
static void declare_ratio(struct mbi_gadget *g, const struct rms_shape *m, uint32_t first)
{
    const struct norm_shape *n = &m->n;
    const struct mbi_view mul = of_group(first + RMS_M), capped = of_group(first + RMS_CAPPED);

    (void)mbi_gadget_var(g, n->groups, 1 << 14, INT16_MAX, false);
    (void)mbi_gadget_var(g, n->groups, 0, 1, false);
    (void)define_group(g, n, 1);
    mbi_gadget_view(g, 1, mul);
    mbi_gadget_view(g, 1, capped);
    for (int i = 0; i < 2; i++)
        (void)group_var(g, n, mbi_max_i64(m->root_max, 1) - 1);
    relate_groups(g, n);
    mbi_gadget_views(g, 1, capped, mul);
    mbi_gadget_view(g, -INT16_MAX, capped);
    relate_groups(g, n);
    mbi_gadget_view(g, 1 << 15, of_group(first + RMS_FIRST));
    mbi_gadget_views(g, -1, of_group(first + RMS_S), of_group(first + RMS_RATIO));
    mbi_gadget_view(g, -1, of_group(first + RMS_REST));
    relate_groups(g, n);
    mbi_gadget_view(g, 1, of_group(first + RMS_S));
    mbi_gadget_constant(g, -1);
    mbi_gadget_view(g, -1, of_group(first + RMS_REST));
    mbi_gadget_view(g, -1, of_group(first + RMS_SPARE));
}

/* The power of two that goes with k: every shift k + 6 - frac is `shift` behind it. */
static int64_t rms_power(const struct rms_shape *m, const struct mbi_node *node, int32_t k)
{
    return (int64_t)1 << (m->shift - (k + 6 - node->attr[1]));
}

static void declare_factor(struct mbi_gadget *g, const struct rms_shape *m, uint32_t first)
{
    const struct norm_shape *n = &m->n;
    int64_t power[RMS_MAX_BITS];

    for (int32_t i = 0; i < m->bits; i++)
        power[i] = rms_power(m, g->node, i + 1);
    (void)define_chosen(g, n, first + RMS_BITS, power, m->bits);
    (void)group_var(g, n, INT16_MAX * power[0]);
    relate_groups(g, n);
    mbi_gadget_views(g, 1, of_group(first + RMS_M), of_group(first + RMS_POWER));
    mbi_gadget_view(g, -1, of_group(first + RMS_FACTOR));
}

static void norm_rms_declare(struct mbi_gadget *g)
{
    const struct rms_shape m = rms_shape(g->node, g->in_type[0], g->lanes);
    const uint32_t first = declare_q(g, &m.n);

    declare_root(g, &m, first);
    declare_bits(g, &m, first);
    declare_ratio(g, &m, first);
    declare_factor(g, &m, first);
    declare_result(g, &m.n, first, first + RMS_FACTOR, m.shift);
}

/* Returns the factor. */
static int64_t fill_rms(const struct mbi_gadget_fill *f, const struct rms_shape *m,
                        const struct norm_group *u)
{
    const struct mbi_norm_factor factor = mbi_norm_rms_factor(u->ss, m->n.d);
    const int64_t root = mbi_isqrt((u->ss << 16) / m->n.d), s = mbi_max_i64(root, 1);
    const int64_t square = (int64_t)m->n.odd * root * root;
    const int64_t over = (int64_t)(u->ss << (16 - m->n.even)) - square;
    const int32_t k = factor.shift - 6;
    const int64_t power = (int64_t)1 << (k - 1), ratio = (power << 15) / s;
    const int64_t all = factor.mul * rms_power(m, f->node, k);

    put_group(f, u, RMS_ROOT, root);
    put_group(f, u, RMS_OVER, over);
    put_group(f, u, RMS_UNDER, m->n.odd * (2 * root + 1) - 1 - over);
    put_group(f, u, RMS_ZERO, !root);
    mbi_gadget_set(f, f->first + RMS_BITS, u->lane, u->group * (size_t)m->bits + (size_t)k - 1, 1);
    put_group(f, u, RMS_PAST, s - power);
    put_group(f, u, RMS_LEFT, 2 * power - 1 - s);
    put_group(f, u, RMS_M, factor.mul);
    put_group(f, u, RMS_CAPPED, ratio - factor.mul);
    put_group(f, u, RMS_REST, (power << 15) - s * ratio);
    put_group(f, u, RMS_SPARE, s - 1 - ((power << 15) - s * ratio));
    put_group(f, u, RMS_FACTOR, all);
    return all;
}

static void norm_rms_fill(const struct mbi_gadget_fill *f)
{
    const struct rms_shape m = rms_shape(f->node, f->in_type[0], f->lanes);
    struct mbi_shift_clamp q = norm_clamp(&m.n, f->node, m.shift);

    q.first = f->first + RMS_OUT;
    for (size_t unit = 0; unit < (size_t)f->lanes * m.n.groups; unit++) {
        const struct norm_group u = norm_group(f, &m.n, unit);

        fill_q(f, &m.n, &u);
        fill_result(f, &m.n, &u, &q, fill_rms(f, &m, &u));
    }
}

static const struct mbi_op_gadget norm_rms_proof = {norm_rms_declare, norm_rms_fill};

static const struct mbi_op_case norm_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
    {.cols = {67}, .dtype = {MBI_I32}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .lo = {-9}, .hi = {9}, .attr = {1, 5, 8}},
    {.cols = {96}, .dtype = {MBI_I32}, .attr = {3, 8, 16}},
    {.cols = {48}, .dtype = {MBI_I16}, .attr = {2, 14, 16}},
    {.cols = {48}, .dtype = {MBI_I32}, .attr = {1, 10, 16}},
};

const struct mbi_op_def mbi_op_norm_rms = {
    .n_attr = 3,
    .infer = norm_rms_infer,
    .units = MBI_KERNEL(norm_units),
    .eval = MBI_KERNEL(norm_rms_eval),
    .grad = MBI_GRAD(norm_rms),
    .gadget = &norm_rms_proof,
    .cases = MBI_CASES(norm_cases),
    .n_cases = MBI_COUNT(norm_cases),
};

/* ---- norm_shift                                                arithmetic.md, norm_shift ---- */

static int32_t norm_shift_infer(struct mbi_infer *q) { return norm_infer(q, "norm_shift"); }

static void norm_shift_eval(const struct mbi_op_args *a) { normalise(a, mbi_norm_shift_factor); }

/*
 * e is 0 for ss = 0 and not otherwise, as d <= 2^15. So with left = 2^13 ss and right = d, both
 * divided by the same power of two: left <= right 4^(e-1) - 1, or left <= 0 for e = 0; and left >=
 * right 4^(e-2), or left >= 1 for e = 1. Below 2^61.
 */
/* clang-format off */
enum {
    SHIFT_E = N_OWN,          /* the choice of e */
    SHIFT_BELOW, SHIFT_ABOVE, /* what is left to either end */
    SHIFT_FACTOR,             /* 2^(shift - (e-8-frac)) */
    SHIFT_OUT
};
/* clang-format on */

#define SHIFT_MAX 23 /* the largest e */

struct shift_shape {
    struct norm_shape n;
    int64_t left, right;
    int32_t e_max, shift; /* the shift of q times the factor */
};

static struct shift_shape shift_shape(const struct mbi_node *node, const struct mbi_type *r,
                                      uint32_t lanes)
{
    struct shift_shape h = {.n = norm_shape(node, r, lanes)};
    const int32_t both = h.n.even < 13 ? h.n.even : 13;

    h.left = (int64_t)1 << (13 - both);
    h.right = h.n.d >> both;
    h.e_max = mbi_norm_shift_factor((uint64_t)(h.n.q_max * h.n.q_max) * h.n.d, h.n.d).shift + 8;
    h.shift = (int32_t)mbi_max_i64(h.e_max - 8 - node->attr[1], 0); /* struct mbi_norm_attr */
    return h;
}

/* The least that is too much for e, and the least that e - 1 does not do for. */
static int64_t too_much(const struct shift_shape *h, int32_t e)
{
    return e ? h->right << (2 * e - 2) : 1;
}

static int64_t enough(const struct shift_shape *h, int32_t e) { return e ? too_much(h, e - 1) : 0; }

static int64_t shift_power(const struct shift_shape *h, const struct mbi_node *node, int32_t e)
{
    return (int64_t)1 << (h->shift - (e - 8 - node->attr[1]));
}

static void declare_e(struct mbi_gadget *g, const struct shift_shape *h, uint32_t first)
{
    const struct mbi_shape cases = {{h->n.lanes, h->n.groups, (uint32_t)h->e_max + 1}};
    const uint32_t n = (uint32_t)h->e_max + 1;
    int64_t above[SHIFT_MAX + 1], below[SHIFT_MAX + 1];

    for (int32_t e = 0; e <= h->e_max; e++) {
        above[e] = too_much(h, e);
        below[e] = -enough(h, e);
    }
    (void)mbi_gadget_choice(g, cases);
    (void)group_var(g, &h->n, above[h->e_max] - 1);
    (void)group_var(g, &h->n, above[h->e_max] - 1);
    relate_groups(g, &h->n);
    mbi_gadget_chosen(g, first + SHIFT_E, above, n);
    mbi_gadget_constant(g, -1);
    mbi_gadget_view(g, -h->left, of_group(first + N_SS));
    mbi_gadget_view(g, -1, of_group(first + SHIFT_BELOW));
    relate_groups(g, &h->n);
    mbi_gadget_view(g, h->left, of_group(first + N_SS));
    mbi_gadget_chosen(g, first + SHIFT_E, below, n);
    mbi_gadget_view(g, -1, of_group(first + SHIFT_ABOVE));
}

static void norm_shift_declare(struct mbi_gadget *g)
{
    const struct shift_shape h = shift_shape(g->node, g->in_type[0], g->lanes);
    const uint32_t first = declare_q(g, &h.n);
    int64_t power[SHIFT_MAX + 1];

    declare_e(g, &h, first);
    for (int32_t e = 0; e <= h.e_max; e++)
        power[e] = shift_power(&h, g->node, e);
    (void)define_chosen(g, &h.n, first + SHIFT_E, power, h.e_max + 1);
    declare_result(g, &h.n, first, first + SHIFT_FACTOR, h.shift);
}

static void norm_shift_fill(const struct mbi_gadget_fill *f)
{
    const struct shift_shape h = shift_shape(f->node, f->in_type[0], f->lanes);
    struct mbi_shift_clamp q = norm_clamp(&h.n, f->node, h.shift);

    q.first = f->first + SHIFT_OUT;
    for (size_t unit = 0; unit < (size_t)f->lanes * h.n.groups; unit++) {
        const struct norm_group u = norm_group(f, &h.n, unit);
        const int32_t e = mbi_norm_shift_factor(u.ss, h.n.d).shift + 8;
        const int64_t left = h.left * (int64_t)u.ss;

        fill_q(f, &h.n, &u);
        mbi_gadget_set(f, f->first + SHIFT_E, u.lane, u.group * ((size_t)h.e_max + 1) + (size_t)e,
                       1);
        put_group(f, &u, SHIFT_BELOW, too_much(&h, e) - 1 - left);
        put_group(f, &u, SHIFT_ABOVE, left - enough(&h, e));
        fill_result(f, &h.n, &u, &q, shift_power(&h, f->node, e));
    }
}

static const struct mbi_op_gadget norm_shift_proof = {norm_shift_declare, norm_shift_fill};

const struct mbi_op_def mbi_op_norm_shift = {
    .n_attr = 3,
    .infer = norm_shift_infer,
    .units = MBI_KERNEL(norm_units),
    .eval = MBI_KERNEL(norm_shift_eval),
    .grad = MBI_GRAD(norm_shift),
    .gadget = &norm_shift_proof,
    .cases = MBI_CASES(norm_cases),
    .n_cases = MBI_COUNT(norm_cases),
};

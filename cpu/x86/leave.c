/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of a recurrence, head by head in registers: the direct path is added, the head is
 * normalised, and its gate is made and applied.
 *   mul, requant, add, slice, norm_rms, requant, gate, requant, mul, requant  (arithmetic.md)
 */
#include "cpu/x86/narrow.h"
#include "cpu/x86/gate.h"
#include "cpu/x86/norm.h"

#define MAX_HEAD 256

enum { SKIP, SHIFT, ADD, SLICE_Z, NORM, CLAMP_Z, GATE_Z, SHIFT_Z, PRODUCT, NARROW, N_NODES };

/* clamp(rsh(x, s), lo, hi), s >= 0. */
struct narrow {
    __m256i s, lo, hi;
};

struct leaving {
    const struct mbi_op_args *node[N_NODES];
    size_t heads, dim, z_step;
    const int8_t *x;
    const int16_t *skip, *z;
    const int32_t *y;
    int8_t *out;
    __m256i left, lo, hi; /* of the direct path: x skip 2^left, clamped */
    struct narrow z_clamp, z_shift, last;
};

static struct narrow narrow_of(const struct mbi_op_args *a)
{
    const struct mbi_requant_attr *q = a->attr;

    return (struct narrow){_mm256_set1_epi32(q->shift), _mm256_set1_epi32(q->lo),
                           _mm256_set1_epi32(q->hi)};
}

static inline __m256i narrow8(__m256i x, const struct narrow *n)
{
    return clamp8(rsh8(x, n->s), n->lo, n->hi);
}

static void gather(const struct mbi_op_args *node[N_NODES], const struct mbi_op_args *a)
{
    for (size_t i = 0; i < N_NODES; i++, a = a->next)
        node[i] = a;
}

static struct leaving leaving_of(const struct mbi_op_args *a)
{
    struct leaving l;
    const struct mbi_requant_attr *direct;

    gather(l.node, a);
    direct = l.node[SHIFT]->attr;
    l.heads = l.node[SKIP]->in_type[1]->cols;
    l.dim = l.node[SKIP]->out_type->cols / l.heads;
    l.z_step = l.node[SLICE_Z]->in_type[0]->cols;
    l.x = l.node[SKIP]->in[0];
    l.skip = l.node[SKIP]->in[1];
    l.y = l.node[ADD]->in[0];
    l.z = (const int16_t *)l.node[SLICE_Z]->in[0] +
          ((const struct mbi_slice_attr *)l.node[SLICE_Z]->attr)->offset;
    l.out = (int8_t *)l.node[NARROW]->out;
    l.left = _mm256_set1_epi32(direct->shift);
    l.lo = _mm256_set1_epi32(direct->lo);
    l.hi = _mm256_set1_epi32(direct->hi);
    l.z_clamp = narrow_of(l.node[CLAMP_Z]);
    l.z_shift = narrow_of(l.node[SHIFT_Z]);
    l.last = narrow_of(l.node[NARROW]);
    return l;
}

/* y plus the direct path, its headroom and its sum of squares. */
static inline uint64_t add_direct(int32_t *sum, struct factor *f, const struct leaving *l, size_t t,
                                  size_t head)
{
    const size_t at = (t * l->heads + head) * l->dim;
    const __m256i skip = _mm256_set1_epi32(l->skip[head]);
    __m256i any = _mm256_setzero_si256(), squares = any, b;

    for (size_t i = 0; i < l->dim; i += LANES) {
        const __m256i direct =
            shift_clamp8(mul_i16(load8_i8(l->x + at + i), skip), l->left, l->lo, l->hi);
        const __m256i v = _mm256_add_epi32(load(l->y + at + i), direct);

        any = add_magnitudes(any, v);
        store(sum + i, v);
    }
    f->headroom = headroom_of(any);
    b = _mm256_set1_epi32(f->headroom);
    for (size_t i = 0; i < l->dim; i += LANES)
        squares = add_squares(squares, rsh8(load(sum + i), b));
    return squares_of(squares);
}

/* Normalised y, 16 bits, times the gate: both fit 16 bits. */
static inline void apply_gate(const struct leaving *l, const int32_t *sum, const struct factor *f,
                              size_t t, size_t head, int32_t kind)
{
    const __m256i lowest = _mm256_set1_epi32(-32768), highest = _mm256_set1_epi32(32767);
    const struct scaling s = scaling_of(f);
    const int16_t *z = l->z + t * l->z_step + head * l->dim;
    int8_t *out = l->out + (t * l->heads + head) * l->dim;

    for (size_t i = 0; i < l->dim; i += LANES) {
        const __m256i y = clamp8(scale8(load(sum + i), &s), lowest, highest);
        const __m256i gate = gate8(narrow8(load8(z, MBI_I16, i), &l->z_clamp), kind);

        store8(out, MBI_I8, i, narrow8(mul_i16(y, narrow8(gate, &l->z_shift)), &l->last));
    }
}

/* A shift below 1 (a head of almost nothing): the reference normalises, the rest is the same. */
static void tiny_head(const struct leaving *l, int32_t *sum, struct factor *f)
{
    const struct mbi_norm_attr one = {1, ((const struct mbi_norm_attr *)l->node[NORM]->attr)->frac,
                                      16};
    struct mbi_type in = *l->node[NORM]->in_type[0], out = *l->node[NORM]->out_type;
    int16_t y[MAX_HEAD];

    in.cols = out.cols = (uint32_t)l->dim;
    mbi_op_norm_rms.eval(&(struct mbi_op_args){.in = {sum},
                                               .out = y,
                                               .in_type = {&in},
                                               .out_type = &out,
                                               .attr = &one,
                                               .lanes = 1,
                                               .end = 1});
    for (size_t i = 0; i < l->dim;
         i++) /* doubled, so that a factor of 1 and a shift of 1 undo it */
        sum[i] = 2 * y[i];
    *f = (struct factor){0, 1, 1};
}

static inline void leave_lane(const struct leaving *l, size_t t, int32_t kind)
{
    const int frac = ((const struct mbi_norm_attr *)l->node[NORM]->attr)->frac;
    _Alignas(64) int32_t sum[NORM_GROUPS][MAX_HEAD];

    for (size_t head = 0; head < l->heads; head += NORM_GROUPS) {
        const size_t n = mbi_min_size(NORM_GROUPS, l->heads - head);
        struct factor f[NORM_GROUPS];
        uint64_t ss[NORM_GROUPS] = {0};

        for (size_t g = 0; g < n; g++)
            ss[g] = add_direct(sum[g], &f[g], l, t, head + g);
        factors_rms(f, ss, n, l->dim, frac);
        for (size_t g = 0; g < n; g++) {
            if (f[g].shift < 1)
                tiny_head(l, sum[g], &f[g]);
            apply_gate(l, sum[g], &f[g], t, head + g, kind);
        }
    }
}

static void eval(const struct mbi_op_args *a)
{
    const struct leaving l = leaving_of(a);
    const int32_t kind = ((const struct mbi_gate_attr *)l.node[GATE_Z]->attr)->kind;

    for (size_t t = a->begin; t < a->end; t++)
        if (kind == MBI_GATE_HARD)
            leave_lane(&l, t, MBI_GATE_HARD);
        else if (kind == MBI_GATE_ALGEBRAIC)
            leave_lane(&l, t, MBI_GATE_ALGEBRAIC);
        else
            leave_lane(&l, t, MBI_GATE_SQUAREPLUS);
}

static bool narrows(const struct mbi_op_args *a, uint32_t in, uint32_t out)
{
    const struct mbi_requant_attr *q = a->attr;

    return q->shift >= 0 && q->shift <= 31 && a->in_type[0]->dtype == in &&
           a->out_type->dtype == out;
}

/* The types and attributes of a Mamba-Integer block with the RMS norm. */
static bool fits(const struct mbi_op_args *a)
{
    const struct mbi_op_args *node[N_NODES];
    const struct mbi_requant_attr *direct;
    const struct mbi_norm_attr *norm;
    size_t heads, dim;

    gather(node, a);
    direct = node[SHIFT]->attr;
    norm = node[NORM]->attr;
    heads = node[SKIP]->in_type[1]->cols;
    dim = node[SKIP]->out_type->cols / heads;
    return dim % LANES == 0 && dim <= MAX_HEAD && node[SKIP]->in_is_param[1] &&
           node[SKIP]->in_type[0]->dtype == MBI_I8 && node[SKIP]->in_type[1]->dtype == MBI_I16 &&
           direct->shift >= -32 && direct->shift <= 31 && node[SHIFT]->out_type->dtype == MBI_I32 &&
           node[ADD]->in_type[0]->dtype == MBI_I32 && (size_t)norm->groups == heads &&
           norm->bits == 16 && narrows(node[CLAMP_Z], MBI_I16, MBI_I16) &&
           narrows(node[SHIFT_Z], MBI_I32, MBI_I16) &&
           node[PRODUCT]->in_type[0]->dtype == MBI_I16 &&
           ((const struct mbi_mul_attr *)node[PRODUCT]->attr)->group == 1 &&
           narrows(node[NARROW], MBI_I32, MBI_I8);
}

static size_t lanes_of(const struct mbi_op_args *a) { return a->lanes; }

const struct mbi_cpu_pattern MBI_X86(leave) = {
    .n = N_NODES,
    .op = {MBI_OP_mul, MBI_OP_requant, MBI_OP_add, MBI_OP_slice, MBI_OP_norm_rms, MBI_OP_requant,
           MBI_OP_gate, MBI_OP_requant, MBI_OP_mul, MBI_OP_requant},
    .reader = {SHIFT, ADD, NORM, CLAMP_Z, PRODUCT, GATE_Z, SHIFT_Z, PRODUCT, NARROW},
    .slot = {0, 1, 0, 0, 0, 0, 0, 1, 0},
    .fits = fits,
    .kernel = {.name = "mul+...+norm+gate+...", .eval = eval, .units = lanes_of}};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec for NEON on packed matrices (cpu/pack.h). A vector of sixteen bytes holds the same four
 * columns of four rows (or, ternary, the same sixteen), so that nothing is added across lanes until
 * the end. The true sums fit i32 by inference; what they pass on their way is exact modulo 2^32.
 *                                                                       arithmetic.md, matvec
 */
#include "cpu/neon/matvec.h"

/* ---- i8 x i8, |w| <= 127 ---- */

#define BYTE_LANES 2 /* lanes that share a pass over the weights: 16 sums in registers */

size_t mbi_neon_bytes_size(const struct mbi_type *x) { return mbi_align_size(x->cols, 64); }

int32_t mbi_neon_bytes_prepare(void *to, const void *x, const struct mbi_type *type)
{
    memcpy(to, x, type->cols);
    memset((char *)to + type->cols, 0, mbi_neon_bytes_size(type) - type->cols);
    return 0;
}

/* Four columns of four rows in two vectors: two sums a row. */
struct pair_sums {
    int32x4_t low, high;
};

/* Two steps: two products are at most 2 * 127 * 128 = 32512 together, so they fit 16 bits. */
static inline void add_two(struct pair_sums *s, int8x16_t w0, int8x16_t w1, int8x16_t x0,
                           int8x16_t x1)
{
    const int16x8_t low = vmull_s8(vget_low_s8(w0), vget_low_s8(x0));
    const int16x8_t high = vmull_high_s8(w0, x0);

    s->low = vpadalq_s16(s->low, vmlal_s8(low, vget_low_s8(w1), vget_low_s8(x1)));
    s->high = vpadalq_s16(s->high, vmlal_high_s8(high, w1, x1));
}

static inline void add_one(struct pair_sums *s, int8x16_t w, int8x16_t x)
{
    s->low = vpadalq_s16(s->low, vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    s->high = vpadalq_s16(s->high, vmull_high_s8(w, x));
}

MBI_ALWAYS_INLINE void bytes_group(const struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    struct pair_sums acc[BYTE_LANES][QUADS];
    size_t k = 0;

    for (size_t i = 0; i < lanes; i++)
        for (size_t q = 0; q < QUADS; q++)
            acc[i][q].low = acc[i][q].high = vdupq_n_s32(0);
    for (; k + 2 <= p->steps; k += 2, w += 2 * MBI_PACK_VECTOR)
        for (size_t q = 0; q < QUADS; q++) {
            const int8x16_t w0 = signed_quad(w + 16 * q);
            const int8x16_t w1 = signed_quad(w + MBI_PACK_VECTOR + 16 * q);

            for (size_t i = 0; i < lanes; i++)
                add_two(&acc[i][q], w0, w1, four_bytes(lane_at(p, t + i) + 4 * k),
                        four_bytes(lane_at(p, t + i) + 4 * k + 4));
        }
    for (size_t q = 0; q < QUADS && k < p->steps; q++)
        for (size_t i = 0; i < lanes; i++)
            add_one(&acc[i][q], signed_quad(w + 16 * q), four_bytes(lane_at(p, t + i) + 4 * k));
    for (size_t i = 0; i < lanes; i++) {
        int32x4_t sum[QUADS];

        for (size_t q = 0; q < QUADS; q++)
            sum[q] = vpaddq_s32(acc[i][q].low, acc[i][q].high);
        put_sums(p, t + i, group, sum);
    }
}

static void bytes_multiply(const struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        for (; t + BYTE_LANES <= p->lanes; t += BYTE_LANES)
            bytes_group(p, group, t, BYTE_LANES);
        if (t < p->lanes)
            bytes_group(p, group, t, 1);
    }
}

static const struct way way_bytes = {mbi_neon_bytes_size, mbi_neon_bytes_prepare, bytes_multiply};

/* ---- i8 or i16 x i8, any weights ---- */

static size_t words_size(const struct mbi_type *x)
{
    return mbi_align_size((size_t)x->cols * sizeof(int16_t), 64);
}

/* Inputs as i16, zeros behind them. */
static int32_t words_prepare(void *to, const void *x, const struct mbi_type *type)
{
    const size_t n = type->cols;
    int16_t *word = to;

    if (type->dtype == MBI_I16)
        memcpy(word, x, n * sizeof(*word));
    else
        for (size_t k = 0; k < n; k++)
            word[k] = ((const int8_t *)x)[k];
    memset(word + n, 0, words_size(type) - n * sizeof(*word));
    return 0;
}

/* Four columns of four rows: each row has a vector of four sums. Products are at most 2^22. */
static inline void words_quad(int32x4_t acc[4], int8x16_t w, int16x4_t x)
{
    const int16x8_t low = vmovl_s8(vget_low_s8(w)), high = vmovl_high_s8(w);

    acc[0] = vmlal_s16(acc[0], vget_low_s16(low), x);
    acc[1] = vmlal_s16(acc[1], vget_high_s16(low), x);
    acc[2] = vmlal_s16(acc[2], vget_low_s16(high), x);
    acc[3] = vmlal_s16(acc[3], vget_high_s16(high), x);
}

static inline void words_group(const struct product *p, size_t group, size_t t)
{
    const int16_t *x = (const int16_t *)(const void *)lane_at(p, t);
    const uint8_t *w = group_at(p, group);
    int32x4_t acc[QUADS][4], sum[QUADS];

    for (size_t q = 0; q < QUADS; q++)
        for (size_t r = 0; r < 4; r++)
            acc[q][r] = vdupq_n_s32(0);
    for (size_t k = 0; k < p->steps; k++, w += MBI_PACK_VECTOR)
        for (size_t q = 0; q < QUADS; q++)
            words_quad(acc[q], signed_quad(w + 16 * q), vld1_s16(x + 4 * k));
    for (size_t q = 0; q < QUADS; q++)
        sum[q] = vpaddq_s32(vpaddq_s32(acc[q][0], acc[q][1]), vpaddq_s32(acc[q][2], acc[q][3]));
    put_sums(p, t, group, sum);
}

static void words_multiply(const struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++)
        for (size_t t = 0; t < p->lanes; t++)
            words_group(p, group, t);
}

static const struct way way_words = {words_size, words_prepare, words_multiply};

/* ---- ternary x i8 ---- */

#define TRIT_STEPS 32 /* steps whose sums fit 16 bits */
#define TRIT_LANES 2

/* A step is sixteen columns; byte j of a row holds 4j .. 4j+3, so plane q needs the inputs q, 4
 * + q, 8 + q, 12 + q side by side. */
int32_t mbi_neon_trits_prepare(void *to, const void *x, const struct mbi_type *type)
{
    static const uint8_t planes[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const uint8x16_t order = vld1q_u8(planes);
    const size_t size = mbi_neon_bytes_size(type);
    int32x4_t sum = vdupq_n_s32(0);
    int8_t *out = to;

    mbi_neon_bytes_prepare(to, x, type);
    for (size_t k = 0; k < size; k += 16) {
        const int8x16_t v = vld1q_s8(out + k);

        sum = vpadalq_s16(sum, vpaddlq_s8(v));
        vst1q_s8(out + k, vqtbl1q_s8(v, order));
    }
    return -vaddvq_s32(sum); /* |sum| <= 2^7 cols, and inference keeps that below 2^31 */
}

/* Sums of 16 bits of four rows, four a row in two vectors. */
struct trit_sums {
    int16x8_t low, high;
};

static inline void add_plane(struct trit_sums *s, int8x16_t plane, int8x16_t x)
{
    s->low = vmlal_s8(s->low, vget_low_s8(plane), vget_low_s8(x));
    s->high = vmlal_high_s8(s->high, plane, x);
}

/*
 * Up to TRIT_STEPS steps. With weights of 0 to 2 a product is in [-256, 254]; a 16-bit lane takes
 * four a step, 128 in all: [-32768, 32512], so it cannot wrap.
 */
MBI_ALWAYS_INLINE void trits_steps(int32x4_t acc[TRIT_LANES][QUADS], const uint8_t *w,
                                   const int8_t *const *x, size_t steps, size_t lanes)
{
    for (size_t q = 0; q < QUADS; q++) {
        struct trit_sums s[TRIT_LANES];

        for (size_t i = 0; i < lanes; i++)
            s[i].low = s[i].high = vdupq_n_s16(0);
        for (size_t k = 0; k < steps; k++) {
            uint8x16_t four = vld1q_u8(w + k * MBI_PACK_VECTOR + 16 * q);

            for (size_t plane = 0; plane < 4; plane++, four = vshrq_n_u8(four, 2))
                for (size_t i = 0; i < lanes; i++)
                    add_plane(&s[i], vreinterpretq_s8_u8(vandq_u8(four, vdupq_n_u8(3))),
                              four_bytes(x[i] + 16 * k + 4 * plane));
        }
        for (size_t i = 0; i < lanes; i++)
            acc[i][q] =
                vaddq_s32(acc[i][q], vpaddq_s32(vpaddlq_s16(s[i].low), vpaddlq_s16(s[i].high)));
    }
}

MBI_ALWAYS_INLINE void trits_group(const struct product *p, size_t group, size_t t, size_t lanes)
{
    const uint8_t *w = group_at(p, group);
    int32x4_t acc[TRIT_LANES][QUADS];

    for (size_t i = 0; i < lanes; i++)
        for (size_t q = 0; q < QUADS; q++)
            acc[i][q] = vdupq_n_s32(p->offset[t + i]);
    for (size_t k = 0; k < p->steps; k += TRIT_STEPS) {
        const int8_t *x[TRIT_LANES];

        for (size_t i = 0; i < lanes; i++)
            x[i] = lane_at(p, t + i) + 16 * k;
        trits_steps(acc, w + k * MBI_PACK_VECTOR, x, mbi_min_size(TRIT_STEPS, p->steps - k), lanes);
    }
    for (size_t i = 0; i < lanes; i++)
        put_sums(p, t + i, group, acc[i]);
}

static void trits_multiply(const struct product *p)
{
    for (size_t group = p->begin; group < p->end; group++) {
        size_t t = 0;

        for (; t + TRIT_LANES <= p->lanes; t += TRIT_LANES)
            trits_group(p, group, t, TRIT_LANES);
        if (t < p->lanes)
            trits_group(p, group, t, 1);
    }
}

static const struct way way_trits = {mbi_neon_bytes_size, mbi_neon_trits_prepare, trits_multiply};

/* ---- the kernels ---- */

/* NULL: the reference. No architecture has ternary rows times i16. */
static const struct way *way_for(const struct mbi_op_args *a, bool dot)
{
    const bool narrow = a->in_type[0]->dtype == MBI_I8;
    const bool ternary = a->in_type[1]->dtype == MBI_TERNARY;

#if MBI_HAVE_NEON_DOT
    if (dot && narrow)
        return ternary ? &mbi_neon_way_dot_trits : &mbi_neon_way_dot_bytes;
#else
    (void)dot;
#endif
    if (ternary)
        return narrow ? &way_trits : NULL;
    return narrow && a->in_type[1]->lo >= -127 ? &way_bytes : &way_words;
}

static size_t offsets_size(size_t lanes) { return mbi_align_size(lanes * sizeof(int32_t), 64); }

/* The work: what the sums of each lane begin with, then the prepared lanes. */
static size_t work_size(const struct mbi_op_args *a, bool dot)
{
    const struct way *way = way_for(a, dot);

    return way ? offsets_size(a->lanes) + a->lanes * way->x_size(a->in_type[0]) : 0;
}

static void prepare(const struct mbi_op_args *a, bool dot)
{
    const struct way *way = way_for(a, dot);
    const size_t row = mbi_type_row_size(a->in_type[0]);
    int32_t *offset = a->work;

    for (size_t t = 0; way && t < a->lanes; t++)
        offset[t] =
            way->prepare((char *)a->work + offsets_size(a->lanes) + t * way->x_size(a->in_type[0]),
                         (const char *)a->in[0] + t * row, a->in_type[0]);
}

/* Parts are groups of sixteen rows. */
static size_t units(const struct mbi_op_args *a) { return mbi_pack_groups(a->in_type[1]); }

static void multiply(const struct mbi_op_args *a, bool dot)
{
    const struct mbi_type *matrix = a->in_type[1];
    const struct way *way = way_for(a, dot);

    if (!way) {
        reference_part(mbi_op_matvec.eval, a, a->begin * MBI_PACK_ROWS,
                       mbi_min_size(a->end * MBI_PACK_ROWS, matrix->rows));
        return;
    }
    way->multiply(&(struct product){.w = a->packed,
                                    .steps = mbi_pack_steps(matrix),
                                    .begin = a->begin,
                                    .end = a->end,
                                    .offset = a->work,
                                    .x = (const int8_t *)a->work + offsets_size(a->lanes),
                                    .x_size = way->x_size(a->in_type[0]),
                                    .lanes = a->lanes,
                                    .out = a->out,
                                    .rows = matrix->rows});
}

#define KERNEL(suffix, dot)                                                                        \
    static size_t work_size_##suffix(const struct mbi_op_args *a) { return work_size(a, dot); }    \
    static void prepare_##suffix(const struct mbi_op_args *a) { prepare(a, dot); }                 \
    static void eval_##suffix(const struct mbi_op_args *a) { multiply(a, dot); }

#define OP(suffix)                                                                                 \
    {                                                                                              \
        .name = "matvec", .eval = eval_##suffix, .units = units, .work_size = work_size_##suffix,  \
        .prepare = prepare_##suffix                                                                \
    }

KERNEL(plain, false)
const struct mbi_cpu_op mbi_neon_matvec = OP(plain);

#if MBI_HAVE_NEON_DOT
KERNEL(dot, true)
const struct mbi_cpu_op mbi_neon_matvec_dot = OP(dot);
#endif

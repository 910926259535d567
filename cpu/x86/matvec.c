/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec and the nodes behind it: chooses the way to multiply, prepares the inputs, and finishes
 * the sums while they are in registers. Weights are packed with an offset that makes them unsigned
 * (cpu/pack.h), so a row's sum is too large by that offset times the sum of the inputs; the offset
 * of a lane takes it back. All of it is exact modulo 2^32 and the true sum fits i32 by inference,
 * so it does not matter what the sums pass on their way.               arithmetic.md, matvec
 */
#include "cpu/x86/matvec.h"

static const struct way *way_for(const struct mbi_op_args *a)
{
    const bool narrow = a->in_type[0]->dtype == MBI_I8;

    if (a->in_type[1]->dtype == MBI_TERNARY && !narrow)
        return NULL; /* no architecture has it */
#if defined(__AVX512VNNI__)
    if (narrow)
        return a->in_type[1]->dtype == MBI_TERNARY ? &MBI_X86(way_planes) : &MBI_X86(way_bytes);
#endif
    return a->in_type[1]->dtype == MBI_TERNARY ? &MBI_X86(way_trits) : &MBI_X86(way_words);
}

static size_t offsets_size(size_t lanes) { return mbi_align_size(lanes * sizeof(int32_t), 64); }

static size_t work_size(const struct mbi_op_args *a)
{
    const struct way *way = way_for(a);

    return way ? offsets_size(a->lanes) + a->lanes * way->x_size(a->in_type[0]) : 0;
}

static void prepare(const struct mbi_op_args *a)
{
    const struct way *way = way_for(a);
    const uint32_t unit = a->in_type[1]->dtype == MBI_TERNARY ? 1 : 128;
    const size_t row = mbi_type_row_size(a->in_type[0]);
    uint32_t *offset = a->work;

    for (size_t t = 0; way && t < a->lanes; t++)
        offset[t] = 0 - unit * way->prepare((char *)a->work + offsets_size(a->lanes) +
                                                t * way->x_size(a->in_type[0]),
                                            (const char *)a->in[0] + t * row, a->in_type[0]);
}

static size_t units(const struct mbi_op_args *a)
{
    return (mbi_pack_groups(a->in_type[1]) + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
}

/* What these parts fetch of what the step fetches. */
static struct mbi_fetch fetch_part(const struct mbi_op_args *a)
{
    const size_t lines = (a->fetch.end - a->fetch.begin) / MBI_LINE;
    const size_t all = lines ? units(a) : 1;
    struct mbi_fetch f = a->fetch;

    if (!lines) /* as when one token is written */
        return f;
    f.begin = a->fetch.begin + lines * a->begin / all * MBI_LINE;
    f.end = a->fetch.begin + lines * a->end / all * MBI_LINE;
    return f;
}

static inline void multiply(const struct mbi_op_args *a, enum finish_kind kind)
{
    const struct mbi_type *matrix = a->in_type[1];
    const struct way *way = way_for(a);
    const size_t block = BLOCK_GROUPS * MBI_PACK_ROWS;
    struct product p;

    if (!way) {
        reference_part(mbi_op_matvec.eval, a, a->begin * block,
                       mbi_min_size(a->end * block, matrix->rows));
        return;
    }
    p.w = a->packed;
    p.steps = mbi_pack_steps(matrix);
    p.begin = a->begin * BLOCK_GROUPS;
    p.end = mbi_min_size(a->end * BLOCK_GROUPS, mbi_pack_groups(matrix));
    p.offset = a->work;
    p.x = (const char *)a->work + offsets_size(a->lanes);
    p.x_size = way->x_size(a->in_type[0]);
    p.lanes = a->lanes;
    p.fetch = fetch_part(a);
    p.finish = MBI_X86(finish_of)(a, kind);
    way->multiply(&p);
}

static void eval(const struct mbi_op_args *a) { multiply(a, FINISH_NONE); }
static void eval_shift(const struct mbi_op_args *a) { multiply(a, FINISH_SHIFT); }
static void eval_rows(const struct mbi_op_args *a) { multiply(a, FINISH_ROWS); }
static void eval_mul(const struct mbi_op_args *a) { multiply(a, FINISH_MUL); }

#define KERNEL(NAME, EVAL)                                                                         \
    {                                                                                              \
        .name = NAME, .eval = EVAL, .units = units, .work_size = work_size, .prepare = prepare     \
    }

const struct mbi_cpu_op MBI_X86(matvec) = KERNEL("matvec", eval);

static bool fits_shift(const struct mbi_op_args *a) { return way_for(a) && shift_fits(a); }
static bool fits_rows(const struct mbi_op_args *a) { return way_for(a) && rows_fit(a); }
static bool fits_mul(const struct mbi_op_args *a) { return way_for(a) && mul_fits(a); }

/* The three requants behind a matvec, each with and without the residual sum. */
#define MATVEC_PATTERNS(REQUANT, EVAL, FITS)                                                       \
    const struct mbi_cpu_pattern MBI_X86(matvec_##REQUANT##_addsat) = {                            \
        .n = 3,                                                                                    \
        .op = {MBI_OP_matvec, MBI_OP_##REQUANT, MBI_OP_addsat},                                    \
        .reader = {1, 2},                                                                          \
        .slot = {0, 1},                                                                            \
        .fits = FITS,                                                                              \
        .kernel = KERNEL("matvec+" #REQUANT "+addsat", EVAL)};                                     \
    const struct mbi_cpu_pattern MBI_X86(matvec_##REQUANT) = {                                     \
        .n = 2,                                                                                    \
        .op = {MBI_OP_matvec, MBI_OP_##REQUANT},                                                   \
        .reader = {1},                                                                             \
        .fits = FITS,                                                                              \
        .kernel = KERNEL("matvec+" #REQUANT, EVAL)};

MATVEC_PATTERNS(requant, eval_shift, fits_shift)
MATVEC_PATTERNS(requant_rows, eval_rows, fits_rows)
MATVEC_PATTERNS(requant_mul, eval_mul, fits_mul)

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows the sums of a product: nothing, or the nodes that turn them into narrow integers and
 * add them to the residual stream, done while the sums are in registers. Also the arithmetic that
 * the kernels of those nodes share.       arithmetic.md, requant, requant_rows, requant_mul, addsat
 */
#ifndef MBI_CPU_X86_FINISH_H
#define MBI_CPU_X86_FINISH_H

#include "cpu/x86/simd.h"

/* ---- clamp(rsh(x, s), lo, hi) ---- */

/* ceil(lo / 2^n): the floor, and one more if it dropped a bit. Shifts beyond 31 leave the sign. */
static inline __m256i ceil_shift(__m256i lo, __m256i n)
{
    const __m256i floor = _mm256_srav_epi32(lo, n);
    const __m256i exact = _mm256_cmpeq_epi32(_mm256_sllv_epi32(floor, n), lo);

    return _mm256_add_epi32(floor, _mm256_andnot_si256(exact, _mm256_set1_epi32(1)));
}

/*
 * clamp(x 2^n, lo, hi), 0 <= n <= 32. x 2^n > hi is x > floor(hi / 2^n), x 2^n < lo is
 * x < ceil(lo / 2^n); what is left lies in [lo, hi], so its shift in 32 bits is exact.
 */
static inline __m256i lshift_clamp(__m256i x, __m256i n, __m256i lo, __m256i hi)
{
    const __m256i over = _mm256_cmpgt_epi32(x, _mm256_srav_epi32(hi, n));
    const __m256i under = _mm256_cmpgt_epi32(ceil_shift(lo, n), x);
    const __m256i y = _mm256_blendv_epi8(_mm256_sllv_epi32(x, n), hi, over);

    return _mm256_blendv_epi8(y, lo, under);
}

/* clamp(rsh(x, s), lo, hi) with a shift for each lane, -32 <= s <= 31. */
static inline __m256i shift_clamp8(__m256i x, __m256i s, __m256i lo, __m256i hi)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i y = clamp8(rsh8(x, _mm256_max_epi32(s, zero)), lo, hi);
    const __m256i left = _mm256_cmpgt_epi32(zero, s);

    if (_mm256_testz_si256(left, left))
        return y;
    return _mm256_blendv_epi8(y, lshift_clamp(x, _mm256_sub_epi32(zero, s), lo, hi), left);
}

/* ---- clamp(rsh(x m, s), lo, hi) ---- */

/*
 * rsh(v, s) of four 64-bit v, 1 <= s <= 62, |v| <= 2^46: v + 2^62 + 2^(s-1) is positive and
 * below 2^63, so a logical shift floors it; 2^62 is a multiple of 2^s.
 */
static inline __m256i rsh_i64(__m256i v, int s)
{
    const int64_t offset = (int64_t)1 << 62, half = (int64_t)1 << (s - 1);
    const __m256i moved = _mm256_add_epi64(v, _mm256_set1_epi64x(offset + half));

    return _mm256_sub_epi64(_mm256_srl_epi64(moved, _mm_cvtsi32_si128(s)),
                            _mm256_set1_epi64x(offset >> s));
}

static inline __m256i clamp_i64(__m256i v, __m256i lo, __m256i hi)
{
    v = _mm256_blendv_epi8(v, hi, _mm256_cmpgt_epi64(v, hi));
    return _mm256_blendv_epi8(v, lo, _mm256_cmpgt_epi64(lo, v));
}

/* |x| <= 2^31 and m < 2^15, so a product is below 2^46. lo and hi are 64-bit lanes. */
static inline __m256i mul_shift_clamp8(__m256i x, __m256i m, int s, __m256i lo, __m256i hi)
{
    const __m256i even = clamp_i64(rsh_i64(_mm256_mul_epi32(x, m), s), lo, hi);
    const __m256i odd = clamp_i64(rsh_i64(_mm256_mul_epi32(odd_lanes(x), m), s), lo, hi);

    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

/* ---- sat(a + b, bits) ---- */

/*
 * The second term is first cut to [lo - a.hi, hi - a.lo]: beyond that the result is saturated
 * whatever the first is, and stays so. What is left must fit i32.
 */
struct cut {
    int64_t lo, hi; /* of the result */
    int64_t b_lo, b_hi;
};

static inline bool cut_fits(struct cut *cut, const struct mbi_type *a, const struct mbi_type *b,
                            int bits)
{
    cut->lo = -((int64_t)1 << (bits - 1));
    cut->hi = -cut->lo - 1;
    cut->b_lo = mbi_max_i64(b->lo, cut->lo - a->hi);
    cut->b_hi = mbi_min_i64(b->hi, cut->hi - a->lo);
    return mbi_clamp_i64(cut->b_lo, INT32_MIN, INT32_MAX) == cut->b_lo &&
           mbi_clamp_i64(cut->b_hi, INT32_MIN, INT32_MAX) == cut->b_hi &&
           mbi_min_i64(cut->b_lo, cut->b_hi) + a->lo >= INT32_MIN &&
           mbi_max_i64(cut->b_lo, cut->b_hi) + a->hi <= INT32_MAX;
}

static inline __m256i add_cut8(__m256i a, __m256i b, const struct cut *cut)
{
    b = clamp8(b, _mm256_set1_epi32((int32_t)cut->b_lo), _mm256_set1_epi32((int32_t)cut->b_hi));
    return clamp8(_mm256_add_epi32(a, b), _mm256_set1_epi32((int32_t)cut->lo),
                  _mm256_set1_epi32((int32_t)cut->hi));
}

/* ---- the nodes behind a matvec ---- */

enum finish_kind { FINISH_NONE, FINISH_SHIFT, FINISH_ROWS, FINISH_MUL };

struct finish {
    enum finish_kind kind;
    __m256i lo, hi, shift;  /* of the requant; FINISH_MUL: lo and hi in 64-bit lanes */
    const int8_t *exponent; /* FINISH_ROWS: of the rows */
    __m256i m;              /* FINISH_MUL: factor and shift */
    int s;
    const int32_t *base; /* the residual stream; NULL: nothing is added */
    struct cut cut;
    char *out;
    uint32_t dtype;
    size_t rows; /* in a lane of `out` and of `base` */
};

/* The addsat behind a requant, if there is one. */
static inline bool add_fits(const struct mbi_op_args *requant)
{
    const struct mbi_op_args *add = requant->next;
    struct cut cut;

    return !add || (add->in_type[0]->dtype == MBI_I32 &&
                    cut_fits(&cut, add->in_type[0], add->in_type[1],
                             ((const struct mbi_addsat_attr *)add->attr)->bits));
}

/* Which nodes behind a matvec are done here: asked with the matvec's arguments. */
static inline bool shift_fits(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;

    return q->shift >= -32 && q->shift <= 31 && add_fits(matvec->next);
}

static inline bool rows_fit(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;
    const struct mbi_type *e = matvec->next->in_type[1];

    return q->shift + e->lo >= -32 && q->shift + e->hi <= 31 && add_fits(matvec->next);
}

static inline bool mul_fits(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;
    const struct mbi_type *e = matvec->next->in_type[2];

    return q->shift + e->lo >= 1 && q->shift + e->hi <= 62 && add_fits(matvec->next);
}

static inline struct finish finish_of(const struct mbi_op_args *matvec, enum finish_kind kind)
{
    const struct mbi_op_args *last = matvec;
    struct finish f = {.kind = kind, .rows = matvec->out_type->cols};

    if (kind != FINISH_NONE) {
        const struct mbi_op_args *r = last = matvec->next;
        const struct mbi_requant_attr *q = r->attr;

        f.lo = kind == FINISH_MUL ? _mm256_set1_epi64x(q->lo) : _mm256_set1_epi32(q->lo);
        f.hi = kind == FINISH_MUL ? _mm256_set1_epi64x(q->hi) : _mm256_set1_epi32(q->hi);
        f.shift = _mm256_set1_epi32(q->shift);
        if (kind == FINISH_ROWS)
            f.exponent = r->in[1];
        if (kind == FINISH_MUL) {
            f.m = _mm256_set1_epi32(*(const int16_t *)r->in[1]);
            f.s = q->shift + *(const int8_t *)r->in[2];
        }
        if (r->next) {
            last = r->next;
            f.base = last->in[0];
            cut_fits(&f.cut, last->in_type[0], last->in_type[1],
                     ((const struct mbi_addsat_attr *)last->attr)->bits);
        }
    }
    f.out = last->out;
    f.dtype = last->out_type->dtype;
    return f;
}

/* Eight sums, those of `exponent` and `base` beside them. */
static inline __m256i finish8(const struct finish *f, __m256i sum, const int8_t *exponent,
                              const int32_t *base)
{
    if (f->kind == FINISH_SHIFT)
        sum = shift_clamp8(sum, f->shift, f->lo, f->hi);
    else if (f->kind == FINISH_ROWS)
        sum = shift_clamp8(sum, _mm256_add_epi32(f->shift, load8_i8(exponent)), f->lo, f->hi);
    else if (f->kind == FINISH_MUL)
        sum = mul_shift_clamp8(sum, f->m, f->s, f->lo, f->hi);
    return base ? add_cut8(load(base), sum, &f->cut) : sum;
}

/* The last rows, fewer than sixteen: through arrays that are long enough. */
static inline void finish_last(const struct finish *f, size_t t, size_t r, size_t n, __m256i a,
                               __m256i b)
{
    const size_t size = mbi_dtype_size(f->dtype);
    int8_t exponent[16] = {0};
    int32_t base[16] = {0};
    char out[16 * sizeof(int32_t)];

    if (f->exponent)
        memcpy(exponent, f->exponent + r, n);
    if (f->base)
        memcpy(base, f->base + t * f->rows + r, n * sizeof(*base));
    store8(out, f->dtype, 0, finish8(f, a, exponent, f->base ? base : NULL));
    store8(out, f->dtype, 8, finish8(f, b, exponent + 8, f->base ? base + 8 : NULL));
    memcpy(f->out + (t * f->rows + r) * size, out, n * size);
}

/* Sixteen sums of lane t, rows r .. r+15. */
static inline void finish16(const struct finish *f, size_t t, size_t r, __m256i a, __m256i b)
{
    const int32_t *base = f->base ? f->base + t * f->rows + r : NULL;
    const int8_t *exponent = f->exponent ? f->exponent + r : NULL;
    const size_t at = t * f->rows + r;

    if (r + 16 > f->rows) {
        finish_last(f, t, r, f->rows - r, a, b);
        return;
    }
    store8(f->out, f->dtype, at, finish8(f, a, exponent, base));
    store8(f->out, f->dtype, at + 8,
           finish8(f, b, exponent ? exponent + 8 : NULL, base ? base + 8 : NULL));
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Finishing the sums of a product.  arithmetic.md, requant, requant_rows, requant_mul, addsat */
#include "cpu/x86/finish.h"

struct finish MBI_X86(finish_of)(const struct mbi_op_args *matvec, enum finish_kind kind)
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

#if defined(__AVX512F__)

/* ---- sixteen rows in one vector ---- */

/* rsh8 on sixteen lanes. */
static inline __m512i rsh16(__m512i x, __m512i s)
{
    const __m512i bit =
        _mm512_and_si512(_mm512_srlv_epi32(_mm512_add_epi32(x, x), s), _mm512_set1_epi32(1));

    return _mm512_add_epi32(_mm512_srav_epi32(x, s), bit);
}

static inline __m512i clamp16(__m512i x, __m512i lo, __m512i hi)
{
    return _mm512_min_epi32(_mm512_max_epi32(x, lo), hi);
}

static inline __m512i wide(__m256i v) { return _mm512_broadcast_i64x4(v); }
static inline __m256i lower(__m512i v) { return _mm512_castsi512_si256(v); }
static inline __m256i upper(__m512i v) { return _mm512_extracti64x4_epi64(v, 1); }
static inline __m512i joined(__m256i a, __m256i b)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* shift_clamp8 on sixteen lanes; shifts to the left are rare. */
static inline __m512i shift_clamp16(__m512i x, __m512i s, const struct finish *f)
{
    if (MBI_UNLIKELY(_mm512_movepi32_mask(s)))
        return joined(shift_clamp8(lower(x), lower(s), f->lo, f->hi),
                      shift_clamp8(upper(x), upper(s), f->lo, f->hi));
    return clamp16(rsh16(x, s), wide(f->lo), wide(f->hi));
}

/* Rows of `mask` of lane t from row r on; kind, dtype and base are known where this is called. */
static inline void finish16(const struct finish *f, size_t t, size_t r, __mmask16 mask, __m512i sum,
                            enum finish_kind kind, uint32_t dtype, bool base)
{
    const size_t at = t * f->rows + r;

    if (kind == FINISH_SHIFT)
        sum = shift_clamp16(sum, wide(f->shift), f);
    else if (kind == FINISH_ROWS)
        sum = shift_clamp16(
            sum,
            _mm512_add_epi32(wide(f->shift),
                             _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, f->exponent + r))),
            f);
    else if (kind == FINISH_MUL)
        sum = joined(mul_shift_clamp8(lower(sum), f->m, f->s, f->lo, f->hi),
                     mul_shift_clamp8(upper(sum), f->m, f->s, f->lo, f->hi));
    if (base) {
        const __m512i old = _mm512_maskz_loadu_epi32(mask, f->base + at);

        sum = joined(add_cut8(lower(old), lower(sum), &f->cut),
                     add_cut8(upper(old), upper(sum), &f->cut));
    }
    if (dtype == MBI_I8)
        _mm512_mask_cvtsepi32_storeu_epi8(f->out + at, mask, sum);
    else if (dtype == MBI_I16)
        _mm512_mask_cvtsepi32_storeu_epi16(f->out + 2 * at, mask, sum);
    else
        _mm512_mask_storeu_epi32(f->out + 4 * at, mask, sum);
}

static inline void finish_tile(const struct finish *f, size_t r, size_t groups, size_t t,
                               size_t lanes, const void *sums, enum finish_kind kind,
                               uint32_t dtype, bool base)
{
    const char *sum = sums;

    for (size_t i = 0; i < lanes; i++)
        for (size_t g = 0; g < groups; g++, sum += 64) {
            const size_t row = r + 16 * g, left = mbi_min_size(f->rows - row, 16);
            const __mmask16 mask = (__mmask16)((1u << left) - 1);

            finish16(f, t + i, row, mask, _mm512_loadu_si512(sum), kind, dtype, base);
        }
}

#else

/* Eight sums, those of `exponent` and `base` beside them. */
static inline __m256i finish8(const struct finish *f, __m256i sum, const int8_t *exponent,
                              const int32_t *base, enum finish_kind kind)
{
    if (kind == FINISH_SHIFT)
        sum = shift_clamp8(sum, f->shift, f->lo, f->hi);
    else if (kind == FINISH_ROWS)
        sum = shift_clamp8(sum, _mm256_add_epi32(f->shift, load8_i8(exponent)), f->lo, f->hi);
    else if (kind == FINISH_MUL)
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
    store8(out, f->dtype, 0, finish8(f, a, exponent, f->base ? base : NULL, f->kind));
    store8(out, f->dtype, 8, finish8(f, b, exponent + 8, f->base ? base + 8 : NULL, f->kind));
    memcpy(f->out + (t * f->rows + r) * size, out, n * size);
}

/* Sixteen sums of lane t, rows r .. r+15; kind, dtype and base are known where this is called. */
static inline void finish16(const struct finish *f, size_t t, size_t r, __m256i a, __m256i b,
                            enum finish_kind kind, uint32_t dtype, bool base)
{
    const size_t at = t * f->rows + r;
    const int32_t *old = base ? f->base + at : NULL;
    const int8_t *exponent = kind == FINISH_ROWS ? f->exponent + r : NULL;

    if (r + 16 > f->rows) {
        finish_last(f, t, r, f->rows - r, a, b);
        return;
    }
    store8(f->out, dtype, at, finish8(f, a, exponent, old, kind));
    store8(f->out, dtype, at + 8,
           finish8(f, b, exponent ? exponent + 8 : NULL, old ? old + 8 : NULL, kind));
}

static inline void finish_tile(const struct finish *f, size_t r, size_t groups, size_t t,
                               size_t lanes, const void *sums, enum finish_kind kind,
                               uint32_t dtype, bool base)
{
    const char *sum = sums;

    for (size_t i = 0; i < lanes; i++)
        for (size_t g = 0; g < groups; g++, sum += 64)
            finish16(f, t + i, r + 16 * g, load(sum), load(sum + 32), kind, dtype, base);
}

#endif

/* The common combinations are compiled apart. */
void MBI_X86(finish_sums)(const struct finish *f, size_t r, size_t groups, size_t t, size_t lanes,
                          const void *sums)
{
    if (f->kind == FINISH_ROWS && f->dtype == MBI_I16 && !f->base)
        finish_tile(f, r, groups, t, lanes, sums, FINISH_ROWS, MBI_I16, false);
    else if (f->kind == FINISH_ROWS && f->dtype == MBI_I32 && f->base)
        finish_tile(f, r, groups, t, lanes, sums, FINISH_ROWS, MBI_I32, true);
    else if (f->kind == FINISH_MUL && f->dtype == MBI_I16 && !f->base)
        finish_tile(f, r, groups, t, lanes, sums, FINISH_MUL, MBI_I16, false);
    else if (f->kind == FINISH_MUL && f->dtype == MBI_I32 && f->base)
        finish_tile(f, r, groups, t, lanes, sums, FINISH_MUL, MBI_I32, true);
    else if (f->kind == FINISH_NONE)
        finish_tile(f, r, groups, t, lanes, sums, FINISH_NONE, MBI_I32, false);
    else
        finish_tile(f, r, groups, t, lanes, sums, f->kind, f->dtype, f->base != NULL);
}

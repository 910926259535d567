/* SPDX-License-Identifier: Apache-2.0 */
/* rotate for AVX2: eight pairs at a time.                             arithmetic.md, rotate */
#include "cpu/x86/simd.h"

/*
 * rho times the bracket, rounded: t and s are odd in rho and no bracket meets a tie, so the sign
 * may wait. |rho| <= 32 times 32 bits is below 2^37; bits `at` to `at` + 31 hold the result.
 */
#define TIMES_RHO(bracket, rho, at)                                                                \
    SELECT_BITS(_mm256_add_epi64(_mm256_mul_epu32(bracket, rho),                                   \
                                 _mm256_set1_epi64x((int64_t)1 << ((at)-1))),                      \
                _mm256_add_epi64(_mm256_mul_epu32(odd_lanes(bracket), odd_lanes(rho)),             \
                                 _mm256_set1_epi64x((int64_t)1 << ((at)-1))),                      \
                at)

/* The brackets of mbi_shear_t and mbi_shear_s fit u32, their products with rho^2 <= 2^10 too. */
static inline __m256i shear_t8(__m256i rho)
{
    const __m256i r2 = _mm256_mullo_epi32(rho, rho), m = _mm256_abs_epi32(rho);
    const __m256i inner =
        _mm256_add_epi32(_mm256_set1_epi32(169203), _mm256_mullo_epi32(r2, _mm256_set1_epi32(11)));
    const __m256i bracket =
        _mm256_add_epi32(_mm256_set1_epi32((int32_t)3373226304u), _mm256_mullo_epi32(r2, inner));

    return _mm256_sign_epi32(TIMES_RHO(bracket, m, 23), rho);
}

static inline __m256i shear_s8(__m256i rho)
{
    const __m256i r2 = _mm256_mullo_epi32(rho, rho), m = _mm256_abs_epi32(rho);
    const __m256i inner =
        _mm256_sub_epi32(_mm256_set1_epi32(169312), _mm256_mullo_epi32(r2, _mm256_set1_epi32(5)));
    const __m256i bracket =
        _mm256_sub_epi32(_mm256_set1_epi32(1686634269), _mm256_mullo_epi32(r2, inner));

    return _mm256_sign_epi32(TIMES_RHO(bracket, m, 21), rho);
}

/* rsh(f v, 15): |f| < 2^15 and |v| < 2^11, so the product is below 2^26. */
static inline __m256i shear(__m256i f, __m256i v)
{
    return _mm256_srai_epi32(_mm256_add_epi32(mul_i16(f, v), _mm256_set1_epi32(1 << 14)), 15);
}

struct turn {
    __m256i t, s;
    __m256i swap, negate; /* masks: odd quadrants; quadrants 2 and 3 */
};

static struct turn turn_by(const int16_t *phi)
{
    const __m256i turned =
        _mm256_add_epi32(_mm256_cvtepi16_epi32(load_half(phi)), _mm256_set1_epi32(32));
    const __m256i rho =
        _mm256_sub_epi32(_mm256_and_si256(turned, _mm256_set1_epi32(63)), _mm256_set1_epi32(32));

    return (struct turn){shear_t8(rho), shear_s8(rho),
                         _mm256_srai_epi32(_mm256_slli_epi32(turned, 25), 31),
                         _mm256_srai_epi32(_mm256_slli_epi32(turned, 24), 31)};
}

/* Eight pairs of i8, x in the low and y in the high byte of an i16. */
static void rotate8(int8_t *v, const struct turn *r)
{
    const __m256i pairs = _mm256_cvtepi16_epi32(load_half(v)), zero = _mm256_setzero_si256();
    const __m256i byte = _mm256_set1_epi32(255), half = _mm256_set1_epi32(4);
    const __m256i lowest = _mm256_set1_epi32(-128), highest = _mm256_set1_epi32(127);
    __m256i x = _mm256_slli_epi32(_mm256_srai_epi32(_mm256_slli_epi32(pairs, 24), 24), 3);
    __m256i y = _mm256_slli_epi32(_mm256_srai_epi32(pairs, 8), 3), old;

    x = _mm256_sub_epi32(x, shear(r->t, y));
    y = _mm256_add_epi32(y, shear(r->s, x));
    x = _mm256_sub_epi32(x, shear(r->t, y));
    old = x;
    x = _mm256_blendv_epi8(x, _mm256_sub_epi32(zero, y), r->swap);
    y = _mm256_blendv_epi8(y, old, r->swap);
    x = _mm256_blendv_epi8(x, _mm256_sub_epi32(zero, x), r->negate);
    y = _mm256_blendv_epi8(y, _mm256_sub_epi32(zero, y), r->negate);
    x = clamp8(_mm256_srai_epi32(_mm256_add_epi32(x, half), 3), lowest, highest);
    y = clamp8(_mm256_srai_epi32(_mm256_add_epi32(y, half), 3), lowest, highest);
    x = _mm256_or_si256(_mm256_and_si256(x, byte), _mm256_slli_epi32(_mm256_and_si256(y, byte), 8));
    store_half(v, _mm_packus_epi32(low_half(x), high_half(x)));
}

/* Pairs behind the last are turned by nothing, which leaves them as they are; they must be
 * there. */
static struct turn load_turn(const int16_t *phi, size_t n)
{
    int16_t some[LANES] = {0};

    if (n >= LANES)
        return turn_by(phi);
    memcpy(some, phi, n * sizeof(*phi));
    return turn_by(some);
}

void MBI_X86(rotate)(const struct mbi_op_args *a)
{
    const size_t pairs = (size_t)((const struct mbi_rotate_attr *)a->attr)->pairs;
    const size_t n = a->out_type->cols;
    int8_t *y = a->out;

    if (2 * mbi_align_size(pairs, LANES) > n / 2) {
        mbi_op_rotate.eval(a);
        return;
    }
    for (size_t t = a->begin; t < a->end; t++) {
        memcpy(y + t * n, (const int8_t *)a->in[0] + t * n, n);
        for (size_t k = 0; k < pairs; k += LANES) {
            const struct turn r = load_turn((const int16_t *)a->in[1] + t * pairs + k, pairs - k);

            rotate8(y + t * n + 2 * k, &r);
            rotate8(y + t * n + n / 2 + 2 * k, &r);
        }
    }
}

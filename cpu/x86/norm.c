/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The norms for AVX2: two passes over a group, with a root and a division, or a few comparisons,
 * between them.                                       arithmetic.md, norm_rms and norm_shift
 */
#include "cpu/x86/simd.h"

/* The magnitudes max(v, -1 - v) of a group, or-ed: only their highest bit is wanted. */
static int headroom_shift(const void *r, uint32_t dtype, size_t at, size_t d)
{
    __m256i any = _mm256_setzero_si256();
    uint32_t bits[LANES], all = 0;

    for (size_t i = 0; i < d; i += LANES) {
        const __m256i v = load8(r, dtype, at + i);

        any = _mm256_or_si256(any, _mm256_xor_si256(v, _mm256_srai_epi32(v, 31)));
    }
    store(bits, any);
    for (size_t i = 0; i < LANES; i++)
        all |= bits[i];
    return (int)mbi_max_i64(0, mbi_bitlen(all) - 15);
}

/* |q| <= 2^15, d <= 2^15: squares are at most 2^30 and their 64-bit sums below 2^45. */
static uint64_t sum_of_squares(const void *r, uint32_t dtype, size_t at, size_t d, __m256i b)
{
    __m256i sum = _mm256_setzero_si256();
    uint64_t part[4];

    for (size_t i = 0; i < d; i += LANES) {
        const __m256i q = rsh8(load8(r, dtype, at + i), b), odd = odd_lanes(q);

        sum = _mm256_add_epi64(sum, _mm256_mul_epi32(q, q));
        sum = _mm256_add_epi64(sum, _mm256_mul_epi32(odd, odd));
    }
    store(part, sum);
    return part[0] + part[1] + part[2] + part[3];
}

/* |q m| <= 2^15 * 32767 < 2^30, and half of 2^s, s <= 30, is at most 2^29: no sum wraps. The
 * narrowing store saturates to 16 bits and then, for an i8 result, to 8: what sat() does. */
static void scale(const struct mbi_op_args *a, size_t at, size_t d, __m256i b, int32_t m, int s)
{
    const __m256i factor = _mm256_set1_epi32(m), half = _mm256_set1_epi32(1 << (s - 1));
    const __m128i shift = _mm_cvtsi32_si128(s);

    for (size_t i = at; i < at + d; i += LANES) {
        const __m256i q = rsh8(load8(a->in[0], a->in_type[0]->dtype, i), b);
        const __m256i v = _mm256_add_epi32(_mm256_mullo_epi32(q, factor), half);

        store8(a->out, a->out_type->dtype, i, _mm256_sra_epi32(v, shift));
    }
}

/* Factor and shift of a group with d elements of sum of squares ss; a shift below 1 is left to
 * the reference. */
struct factor {
    int32_t m;
    int shift;
};

static struct factor factor_rms(uint64_t ss, size_t d, int frac)
{
    const uint32_t root = mbi_isqrt((ss << 16) / d), s = root ? root : 1;
    const int k = mbi_bitlen(s);

    return (struct factor){(int32_t)mbi_min_i64(32767, (int64_t)(((uint64_t)1 << (14 + k)) / s)),
                           k + 6 - frac};
}

static struct factor factor_shift(uint64_t ss, size_t d, int frac)
{
    int e = 0;

    while (ss << 16 >= (uint64_t)d << (2 * e + 1))
        e++;
    return (struct factor){1, e - 8 - frac};
}

static void norm(const struct mbi_op_args *a, struct factor (*factor)(uint64_t, size_t, int),
                 void (*reference)(const struct mbi_op_args *))
{
    const struct mbi_norm_attr *at = a->attr;
    const size_t d = a->out_type->cols / (size_t)at->groups;
    const uint32_t dtype = a->in_type[0]->dtype;

    if (d % LANES) {
        reference(a);
        return;
    }
    for (size_t u = a->begin; u < a->end; u++) {
        const __m256i b = _mm256_set1_epi32(headroom_shift(a->in[0], dtype, u * d, d));
        const struct factor f = factor(sum_of_squares(a->in[0], dtype, u * d, d, b), d, at->frac);

        if (f.shift < 1)
            reference_part(reference, a, u, u + 1);
        else
            scale(a, u * d, d, b, f.m, f.shift);
    }
}

void MBI_X86(norm_rms)(const struct mbi_op_args *a) { norm(a, factor_rms, mbi_op_norm_rms.eval); }

void MBI_X86(norm_shift)(const struct mbi_op_args *a)
{
    norm(a, factor_shift, mbi_op_norm_shift.eval);
}

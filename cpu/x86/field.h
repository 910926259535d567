/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The field of the proofs on vectors of 64-bit lanes: four with AVX2, eight with AVX-512. Every
 * function takes and gives canonical elements, as its namesake in proof/field.h. Include it only in
 * files that are compiled for one of the two.
 */
#ifndef MBI_CPU_X86_FIELD_H
#define MBI_CPU_X86_FIELD_H

#include "cpu/x86/x86.h"
#include "proof/kernels.h"
#include <immintrin.h>

/* What one file has for the table of another. */
extern const struct mbi_ext_kernels MBI_X86(ext_kernels_d2), MBI_X86(ext_kernels_d3);
void MBI_X86(hash_block)(uint64_t *h, const uint64_t *const word[16], uint64_t count, bool last);
void MBI_X86(ntt_stages)(mbi_fe *x, unsigned log_n, unsigned first, const mbi_fe *root);
void MBI_X86(ntt_powers)(mbi_fe *x, size_t n, mbi_fe start, const mbi_fe step[MBI_NTT_LANES]);

#if defined(__AVX512F__)

#define WIDTH 8
typedef __m512i vec;

static inline vec load(const mbi_fe *p) { return _mm512_loadu_si512(p); }
static inline void store(mbi_fe *p, vec v) { _mm512_storeu_si512(p, v); }
static inline vec all(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static inline vec zero(void) { return _mm512_setzero_si512(); }
static inline vec plus(vec a, vec b) { return _mm512_add_epi64(a, b); }
static inline vec minus(vec a, vec b) { return _mm512_sub_epi64(a, b); }
static inline vec both(vec a, vec b) { return _mm512_and_si512(a, b); }
static inline vec product(vec a, vec b) { return _mm512_mul_epu32(a, b); } /* of the low halves */
#define SHIFT_DOWN(v, n) _mm512_srli_epi64(v, n)
#define SHIFT_UP(v, n) _mm512_slli_epi64(v, n)

/* The low half of a, the high half of b. */
static inline vec halves(vec a, vec b) { return _mm512_mask_blend_epi32(0xAAAA, a, b); }

static inline vec epsilon(void) { return all(MBI_FIELD_EPSILON); }

static inline vec add(vec a, vec b)
{
    const vec other = minus(all(MBI_FIELD_P), b);

    return _mm512_mask_sub_epi64(minus(a, other), _mm512_cmplt_epu64_mask(a, other),
                                 minus(a, other), epsilon());
}

static inline vec sub(vec a, vec b)
{
    return _mm512_mask_sub_epi64(minus(a, b), _mm512_cmplt_epu64_mask(a, b), minus(a, b),
                                 epsilon());
}

/* low - a + small: as mbi_fe_reduce(), a below 2^32 and small at most 2^64 - 2^33 + 1. */
static inline vec finish(vec low, vec a, vec small)
{
    vec r = minus(low, a);

    r = _mm512_mask_sub_epi64(r, _mm512_cmplt_epu64_mask(low, a), r, epsilon());
    r = plus(r, small);
    r = _mm512_mask_add_epi64(r, _mm512_cmplt_epu64_mask(r, small), r, epsilon());
    return _mm512_min_epu64(r, plus(r, epsilon())); /* r - p wraps to more than r if r < p */
}

#else

#define WIDTH 4
typedef __m256i vec;

static inline vec load(const mbi_fe *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void store(mbi_fe *p, vec v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline vec all(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
static inline vec zero(void) { return _mm256_setzero_si256(); }
static inline vec plus(vec a, vec b) { return _mm256_add_epi64(a, b); }
static inline vec minus(vec a, vec b) { return _mm256_sub_epi64(a, b); }
static inline vec both(vec a, vec b) { return _mm256_and_si256(a, b); }
static inline vec product(vec a, vec b) { return _mm256_mul_epu32(a, b); } /* of the low halves */
#define SHIFT_DOWN(v, n) _mm256_srli_epi64(v, n)
#define SHIFT_UP(v, n) _mm256_slli_epi64(v, n)

/* The low half of a, the high half of b. */
static inline vec halves(vec a, vec b) { return _mm256_blend_epi32(a, b, 0xAA); }

static inline vec epsilon(void) { return all(MBI_FIELD_EPSILON); }

/* There are comparisons of signed lanes alone: a < b unsigned is a - 2^63 < b - 2^63 signed. */
#define TOP ((uint64_t)1 << 63)

/* 2^32 - 1 where a > b, signed. */
static inline vec epsilon_if_above(vec a, vec b)
{
    return SHIFT_DOWN(_mm256_cmpgt_epi64(a, b), 32);
}

static inline vec flip(vec a) { return _mm256_xor_si256(a, all(TOP)); }

/* a - (p - b), and p more if that wrapped. */
static inline vec add(vec a, vec b)
{
    const vec other = minus(all(MBI_FIELD_P ^ TOP), b), from = flip(a);

    return minus(minus(from, other), epsilon_if_above(other, from));
}

static inline vec sub(vec a, vec b)
{
    return minus(minus(a, b), epsilon_if_above(flip(b), flip(a)));
}

/* low - a + small: as mbi_fe_reduce(), a below 2^32 and small at most 2^64 - 2^33 + 1. */
static inline vec finish(vec low, vec a, vec small)
{
    const vec from = flip(low);
    vec less = minus(from, a), r;

    less = minus(less, epsilon_if_above(less, from));
    r = plus(less, small);
    r = plus(r, epsilon_if_above(less, r));
    return flip(plus(r, epsilon_if_above(r, all((MBI_FIELD_P - 1) ^ TOP))));
}

#endif

/* high 2^64 + low. */
static inline vec reduce(vec high, vec low)
{
    return finish(low, SHIFT_DOWN(high, 32), product(high, epsilon()));
}

/* b as two factors: itself and its upper half. */
struct factor {
    vec low, high;
};

static inline struct factor factor(vec b) { return (struct factor){b, SHIFT_DOWN(b, 32)}; }

/* The sums are those of mbi_mul_wide_halves(). */
static inline vec mul_by(vec a, struct factor b)
{
    const vec a1 = SHIFT_DOWN(a, 32), low = product(a, b.low);
    const vec middle = plus(product(a1, b.low), SHIFT_DOWN(low, 32));
    const vec other = plus(product(a, b.high), both(middle, epsilon()));
    const vec high = plus(plus(product(a1, b.high), SHIFT_DOWN(middle, 32)), SHIFT_DOWN(other, 32));

    return reduce(high, halves(low, SHIFT_UP(other, 32)));
}

static inline vec mul(vec a, vec b) { return mul_by(a, factor(b)); }

/*
 * a n for a constant n < 8: l + 2^32 h with l, h < 2^35, and the upper part of h, u < 8, stands for
 * u 2^64 = u (2^32 - 1).
 */
static inline vec mul_small(vec a, uint32_t n)
{
    const vec l = product(a, all(n)), h = product(SHIFT_DOWN(a, 32), all(n));
    const vec u = SHIFT_DOWN(h, 32);

    return finish(SHIFT_UP(h, 32), zero(), plus(l, product(u, epsilon())));
}

/*
 * Sums of products, s0 + 2^32 s1 + 2^64 s2 + 2^96 s3. A product adds at most three words of 32 bits
 * to each, less than 2^34, so 2^30 products fit.
 */
#define SUMS_MAX ((size_t)1 << 30)

struct sums {
    vec s[4];
};

static inline struct sums no_sum(void) { return (struct sums){{zero(), zero(), zero(), zero()}}; }

static inline void sum_product(struct sums *t, vec a, vec b)
{
    const vec m = epsilon(), a1 = SHIFT_DOWN(a, 32), b1 = SHIFT_DOWN(b, 32);
    const vec low = product(a, b), x = product(a1, b), y = product(a, b1), high = product(a1, b1);

    t->s[0] = plus(t->s[0], both(low, m));
    t->s[1] = plus(plus(t->s[1], SHIFT_DOWN(low, 32)), plus(both(x, m), both(y, m)));
    t->s[2] = plus(plus(t->s[2], both(high, m)), plus(SHIFT_DOWN(x, 32), SHIFT_DOWN(y, 32)));
    t->s[3] = plus(t->s[3], SHIFT_DOWN(high, 32));
}

/* The sum of any eight or four words. */
static inline mbi_fe sum_lanes(vec v)
{
    mbi_fe lane[WIDTH], sum = 0;

    store(lane, v);
    for (int i = 0; i < WIDTH; i++)
        sum = mbi_fe_add(sum, mbi_fe_from_u64(lane[i]));
    return sum;
}

/* s0 + 2^32 s1 + 2^64 s2 + 2^96 s3. */
static inline mbi_fe sums_value(const struct sums *t)
{
    mbi_fe r = sum_lanes(t->s[3]);

    for (int i = 2; i >= 0; i--)
        r = mbi_fe_add(mbi_fe_mul(r, (mbi_fe)1 << 32), sum_lanes(t->s[i]));
    return r;
}

#endif

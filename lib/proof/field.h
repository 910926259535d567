/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The field of the proofs: integers modulo p = 2^64 - 2^32 + 1, always canonical (below p). Its
 * multiplicative group has order 2^32 (2^32 - 1), so there are roots of unity of every order up to
 * 2^32. No function branches on a value.                                        proof.md, field
 */
#ifndef MBI_PROOF_FIELD_H
#define MBI_PROOF_FIELD_H

#include "base/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t mbi_fe;

#define MBI_FIELD_P UINT64_C(0xFFFFFFFF00000001)
#define MBI_FIELD_EPSILON UINT64_C(0xFFFFFFFF) /* 2^64 mod p */
#define MBI_FIELD_GENERATOR 7u                 /* of the multiplicative group */
#define MBI_FIELD_TWO_ADICITY 32

/* ~0 if the condition (0 or 1) holds, else 0. Compilers like to make branches of such masks, which
 * are mispredicted half of the time. */
MBI_INLINE uint64_t mbi_fe_mask(int condition)
{
    uint64_t mask = 0 - (uint64_t)condition;

    MBI_OPAQUE(mask);
    return mask;
}

/* a + b, as a - (p - b). */
MBI_INLINE mbi_fe mbi_fe_add(mbi_fe a, mbi_fe b)
{
    const uint64_t other = MBI_FIELD_P - b;

    return a - other + (MBI_FIELD_P & mbi_fe_mask(a < other));
}

MBI_INLINE mbi_fe mbi_fe_sub(mbi_fe a, mbi_fe b)
{
    return a - b + (MBI_FIELD_P & mbi_fe_mask(a < b));
}

MBI_INLINE mbi_fe mbi_fe_neg(mbi_fe a) { return mbi_fe_sub(0, a); }

/*
 * high 2^64 + low modulo p, for any two words: with high = a 2^32 + b it is low - a + b (2^32 - 1),
 * because 2^64 = 2^32 - 1 and 2^96 = -1 modulo p. Neither correction can wrap a second time: the
 * first takes 2^32 - 1 from at least 2^64 - 2^32 + 1, the second adds it to at most 2^64 - 2^33.
 */
MBI_INLINE mbi_fe mbi_fe_reduce(uint64_t high, uint64_t low)
{
    const uint64_t a = high >> 32, b = high & MBI_FIELD_EPSILON, product = (b << 32) - b;
    uint64_t r = low - a;

    r -= MBI_FIELD_EPSILON & mbi_fe_mask(low < a);
    r += product;
    r += MBI_FIELD_EPSILON & mbi_fe_mask(r < product);
    return r - (MBI_FIELD_P & mbi_fe_mask(r >= MBI_FIELD_P));
}

/*
 * The 128-bit product of two words, from products of their halves. No sum wraps: a product of
 * halves is at most (2^32 - 1)^2, and each sum adds at most twice 2^32 - 1 to one.
 */
MBI_INLINE uint64_t mbi_mul_wide_halves(uint64_t *high, uint64_t a, uint64_t b)
{
    const uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32);
    const uint64_t other = a0 * b1 + (middle & UINT32_MAX);

    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return other << 32 | (low & UINT32_MAX);
}

/* The same by what the machine has. */
MBI_INLINE uint64_t mbi_mul_wide(uint64_t *high, uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;

    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#else
    return mbi_mul_wide_halves(high, a, b);
#endif
}

MBI_INLINE mbi_fe mbi_fe_mul(mbi_fe a, mbi_fe b)
{
    uint64_t high;
    const uint64_t low = mbi_mul_wide(&high, a, b);

    return mbi_fe_reduce(high, low);
}

MBI_INLINE mbi_fe mbi_fe_from_u64(uint64_t x)
{
    return x - (MBI_FIELD_P & mbi_fe_mask(x >= MBI_FIELD_P));
}

/* Any int64_t: a negative x is p + x. |x| <= 2^63 < p. */
MBI_INLINE mbi_fe mbi_fe_from_i64(int64_t x)
{
    return (uint64_t)x + (MBI_FIELD_P & mbi_fe_mask(x < 0));
}

MBI_INLINE mbi_fe mbi_fe_pow(mbi_fe a, uint64_t n)
{
    mbi_fe r = 1;

    for (; n; n >>= 1) { /* the exponent is public */
        if (n & 1)
            r = mbi_fe_mul(r, a);
        a = mbi_fe_mul(a, a);
    }
    return r;
}

/*
 * A sum of products that is reduced once, at its end: high:middle:low in 192 bits. A product is
 * below 2^128, so 2^64 - 1 of them fit.
 */
struct mbi_fe_sum {
    uint64_t low, middle, high;
};

MBI_INLINE void mbi_fe_sum_add(struct mbi_fe_sum *s, mbi_fe a, mbi_fe b)
{
#if defined(__SIZEOF_INT128__)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    __extension__ const unsigned __int128 sum =
        ((unsigned __int128)s->middle << 64 | s->low) + product;

    s->low = (uint64_t)sum;
    s->middle = (uint64_t)(sum >> 64);
    s->high += sum < product;
#else
    uint64_t high;
    const uint64_t low = mbi_mul_wide(&high, a, b);

    s->low += low;
    high += s->low < low; /* a product's upper word is at most 2^64 - 2 */
    s->middle += high;
    s->high += s->middle < high;
#endif
}

/* 2^128 = -2^32 modulo p. */
MBI_INLINE mbi_fe mbi_fe_sum_value(const struct mbi_fe_sum *s)
{
    return mbi_fe_sub(mbi_fe_reduce(s->middle, s->low),
                      mbi_fe_reduce(s->high >> 32, s->high << 32));
}

/* A generator of the subgroup of order 2^log_n, log_n <= 32: g^((p-1) / 2^log_n). */
MBI_INLINE mbi_fe mbi_fe_root(unsigned log_n)
{
    return mbi_fe_pow(MBI_FIELD_GENERATOR, (MBI_FIELD_P - 1) >> log_n);
}

/* a^(p-2): 1/a, and 0 for 0. */
mbi_fe mbi_fe_inv(mbi_fe a);

/* x[i] = 1/x[i], and 0 for 0, with one inversion in all; `work` has room for n elements. */
void mbi_fe_inv_batch(mbi_fe *x, mbi_fe *work, size_t n);

#define MBI_FE_BYTES 8

/* Eight bytes an element, little end first. */
void mbi_fe_to_bytes(uint8_t *out, const mbi_fe *x, size_t n);

/* False if any is not below p; each of those is then 0. */
bool mbi_fe_from_bytes(mbi_fe *x, const uint8_t *in, size_t n);

#endif

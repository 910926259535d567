/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the float loops share: compilation for several instruction sets, a power of two that
 * vectorises, and the cutting up of scratch memory. Loops with sums say `omp simd reduction`;
 * lib/train/meson.build sets the flags that make the compiler read it.
 */
#ifndef MBI_TRAIN_VECTOR_H
#define MBI_TRAIN_VECTOR_H

#include "base/compiler.h"
#include "base/intmath.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Such a function is compiled for several instruction sets and the best copy is taken when the
 * library is loaded. Not under sanitizers, which cannot run that early, and not by clang, whose
 * copies of static functions collide between files. Sets are named by features, not by processors:
 * gcc inlines nothing into a copy for another processor. MBI_CLONES_FMA is for multiply-add alone.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && !defined(__clang__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MBI_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#define MBI_CLONES_FMA __attribute__((target_clones("default", "fma", "avx512f")))
#else
#define MBI_CLONES
#define MBI_CLONES_FMA
#endif

#define MBI_LN2 0.693147181f

/*
 * 2^x for x <= 126; 0 below -60, so that no denormal follows. x = n + f with n the nearest integer
 * (adding 1.5 2^23 rounds, and leaves n in the low bits); 2^f by its series to f^7, |f| <= 1/2,
 * truncated below 2^-27; n is added to the exponent.
 */
MBI_INLINE float mbi_exp2_fast(float x)
{
    const float y = x < -60 ? -60 : x;
    const float shifted = y + 12582912.0f;
    const float f = y - (shifted - 12582912.0f);
    float r = 1.525273380e-5f;
    uint32_t n, bits;

    r = r * f + 1.540353039e-4f;
    r = r * f + 1.333355815e-3f;
    r = r * f + 9.618129108e-3f;
    r = r * f + 5.550410866e-2f;
    r = r * f + 2.402265070e-1f;
    r = r * f + 6.931471806e-1f;
    r = r * f + 1.0f;
    memcpy(&n, &shifted, sizeof(n));
    memcpy(&bits, &r, sizeof(bits));
    bits += n << 23;
    memcpy(&r, &bits, sizeof(r));
    return x < -60 ? 0 : r;
}

void mbi_add_to(float *y, const float *x, size_t n);         /* y += x, apart */
void mbi_scale(float *y, const float *x, float s, size_t n); /* y = s x, apart */
float mbi_dot(const float *x, const float *y, size_t n);

/* Cuts float arrays off a block, each 64-byte aligned; without a block it only counts. */
struct mbi_carve {
    float *base;
    size_t used; /* floats */
};

MBI_INLINE float *mbi_carve(struct mbi_carve *c, size_t n)
{
    float *at = c->base ? c->base + c->used : NULL;

    c->used += mbi_align_size(n, 16);
    return at;
}

#endif

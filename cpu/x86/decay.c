/* SPDX-License-Identifier: Apache-2.0 */
/* decay for AVX2.                                                      arithmetic.md, decay */
#include "cpu/x86/simd.h"

/* ell of eight v in [MIN, MAX]: the exponent is at most 3584 << 8, below 2^21. */
static inline __m256i ell8(__m256i v)
{
    const __m256i L = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(MBI_DECAY_V_MAX), v), 8);

    return rsh8(ex2w_8(L), _mm256_set1_epi32(11));
}

/* n <= 8 elements, zeros behind them. */
static __m128i eight(const int16_t *x, size_t n)
{
    int16_t some[LANES] = {0};

    if (n == LANES)
        return load_half(x);
    memcpy(some, x, n * sizeof(*x));
    return load_half(some);
}

/* Saturating addition of i16 is sat16 of the sum. Parts begin anywhere, rows are done one by
 * one. */
void MBI_X86(decay)(const struct mbi_op_args *a)
{
    const struct mbi_decay_attr *at = a->attr;
    const __m256i lowest = _mm256_set1_epi32(MBI_DECAY_V_MIN);
    const __m256i none = _mm256_set1_epi32(at->hold ? 0 : -1);
    const size_t cols = a->out_type->cols;
    const int16_t *dt = a->in[0], *bias = a->in[1];

    for (size_t i = a->begin, n; i < a->end; i += n) {
        int32_t out[LANES];
        __m256i v, live;

        n = mbi_min_size(mbi_min_size(LANES, a->end - i), cols - i % cols);
        v = _mm256_cvtepi16_epi32(_mm_adds_epi16(eight(dt + i, n), eight(bias + i % cols, n)));
        live = _mm256_or_si256(_mm256_cmpgt_epi32(v, lowest), none);
        v = clamp8(v, lowest, _mm256_set1_epi32(MBI_DECAY_V_MAX));
        store(out, _mm256_and_si256(ell8(v), live));
        memcpy((int32_t *)a->out + i, out, n * sizeof(*out));
    }
}

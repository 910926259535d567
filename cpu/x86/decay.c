/* SPDX-License-Identifier: Apache-2.0 */
/* decay for AVX2.                                                      arithmetic.md, decay */
#include "cpu/x86/simd.h"

/* ell of eight v in [MIN, MAX]: the exponent is at most 3584 << 8, below 2^21. */
static inline __m256i ell8(__m256i v)
{
    const __m256i L = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(MBI_DECAY_V_MAX), v), 8);

    return rsh8(ex2w_8(L), _mm256_set1_epi32(11));
}

/* Saturating addition of i16 is sat16 of the sum. */
void MBI_X86(decay)(const struct mbi_op_args *a)
{
    const struct mbi_decay_attr *at = a->attr;
    const __m256i lowest = _mm256_set1_epi32(MBI_DECAY_V_MIN);
    const __m256i none = _mm256_set1_epi32(at->hold ? 0 : -1);
    const size_t n = a->out_type->cols, end = vector_end(a);
    const int16_t *dt = a->in[0], *bias = a->in[1];
    size_t c = a->begin % n;

    for (size_t i = a->begin; i < end; i += LANES) {
        int16_t b[LANES];
        __m256i v, live;

        for (size_t k = 0; k < LANES; k++, c = c + 1 < n ? c + 1 : 0)
            b[k] = bias[c];
        v = _mm256_cvtepi16_epi32(_mm_adds_epi16(load_half(dt + i), load_half(b)));
        live = _mm256_or_si256(_mm256_cmpgt_epi32(v, lowest), none);
        v = clamp8(v, lowest, _mm256_set1_epi32(MBI_DECAY_V_MAX));
        store8(a->out, MBI_I32, i, _mm256_and_si256(ell8(v), live));
    }
    reference_part(mbi_op_decay.eval, a, end, a->end);
}

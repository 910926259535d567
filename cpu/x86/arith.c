/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products for AVX2.                          arithmetic.md, add, addsat and mul */
#include "cpu/x86/narrow.h"

/* ---- add ---- */

/* The sum of two intervals fits i32 by inference. */
static inline void add_loop(const struct mbi_op_args *a, size_t end, uint32_t first,
                            uint32_t second)
{
    for (size_t i = a->begin; i < end; i += LANES)
        store8(a->out, MBI_I32, i,
               _mm256_add_epi32(load8(a->in[0], first, i), load8(a->in[1], second, i)));
}

/* The row of a parameter, which serves every lane, is the reference's. */
void MBI_X86(add)(const struct mbi_op_args *a)
{
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;
    const bool fits = loadable(first) && loadable(second) && !a->in_is_param[1];
    const size_t end = fits ? vector_end(a) : a->begin;

    if (first == MBI_I32 && second == MBI_I32)
        add_loop(a, end, MBI_I32, MBI_I32);
    else
        add_loop(a, end, first, second);
    reference_part(mbi_op_add.eval, a, end, a->end);
}

/* ---- addsat ---- */

static inline void addsat_loop(const struct mbi_op_args *a, size_t end, const struct cut *cut,
                               uint32_t first, uint32_t second)
{
    for (size_t i = a->begin; i < end; i += LANES)
        store8(a->out, MBI_I32, i,
               add_cut8(load8(a->in[0], first, i), load8(a->in[1], second, i), cut));
}

void MBI_X86(addsat)(const struct mbi_op_args *a)
{
    const struct mbi_addsat_attr *at = a->attr;
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;
    struct cut cut;
    const bool fits = loadable(first) && loadable(second) &&
                      cut_fits(&cut, a->in_type[0], a->in_type[1], at->bits);
    const size_t end = fits ? vector_end(a) : a->begin;

    if (fits && first == MBI_I32 && second == MBI_I32)
        addsat_loop(a, end, &cut, MBI_I32, MBI_I32);
    else if (fits)
        addsat_loop(a, end, &cut, first, second);
    reference_part(mbi_op_addsat.eval, a, end, a->end);
}

/* ---- mul ---- */

/* A lane of n >= 8 elements; the last step overlaps the one before. Products fit i32 by
 * inference. */
static inline void mul_lane(int32_t *y, const void *a, uint32_t first, const void *b,
                            uint32_t second, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t at = mbi_min_size(i, n - LANES);
        const __m256i p = load8(a, first, at), q = load8(b, second, at);

        store(y + at, first == MBI_I32 ? _mm256_mullo_epi32(p, q) : mul_i16(p, q));
    }
}

/* A factor for each group of a multiple of eight elements. */
static inline void mul_groups(int32_t *y, const void *a, uint32_t first, const void *b,
                              uint32_t second, size_t n, size_t group)
{
    for (size_t i = 0; i < n; i += group) {
        const int32_t factor =
            second == MBI_I8 ? ((const int8_t *)b)[i / group] : ((const int16_t *)b)[i / group];
        const __m256i q = _mm256_set1_epi32(factor);

        for (size_t k = i; k < i + group; k += LANES) {
            const __m256i p = load8(a, first, k);

            store(y + k, first == MBI_I32 ? _mm256_mullo_epi32(p, q) : mul_i16(p, q));
        }
    }
}

static inline void mul_loop(const struct mbi_op_args *a, uint32_t first, uint32_t second)
{
    const size_t n = a->out_type->cols,
                 group = (size_t)((const struct mbi_mul_attr *)a->attr)->group;
    const size_t step = a->in_is_param[1] ? 0 : a->in_type[1]->cols;

    for (size_t t = a->begin; t < a->end; t++) {
        const void *p = element_at(a->in[0], first, t * n);
        const void *q = element_at(a->in[1], second, t * step);
        int32_t *y = (int32_t *)a->out + t * n;

        if (group == 1)
            mul_lane(y, p, first, q, second, n);
        else
            mul_groups(y, p, first, q, second, n, group);
    }
}

void MBI_X86(mul)(const struct mbi_op_args *a)
{
    const struct mbi_mul_attr *at = a->attr;
    const uint32_t first = a->in_type[0]->dtype, second = a->in_type[1]->dtype;

    if (!loadable(first) || a->out_type->cols < LANES || (at->group > 1 && at->group % LANES))
        mbi_op_mul.eval(a);
    else if (first == MBI_I16 && second == MBI_I16)
        mul_loop(a, MBI_I16, MBI_I16);
    else if (first == MBI_I8 && second == MBI_I16)
        mul_loop(a, MBI_I8, MBI_I16);
    else
        mul_loop(a, first, second);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The loops over arrays of field elements. What is left of a vector goes to the portable loop. */
#include "cpu/x86/field.h"

#define PORTABLE mbi_field_kernels_portable

static void add_array(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        store(out + i, add(load(a + i), load(b + i)));
    PORTABLE.add(out + i, a + i, b + i, n - i);
}

static void sub_array(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        store(out + i, sub(load(a + i), load(b + i)));
    PORTABLE.sub(out + i, a + i, b + i, n - i);
}

static void mul_array(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        store(out + i, mul(load(a + i), load(b + i)));
    PORTABLE.mul(out + i, a + i, b + i, n - i);
}

static void mul_add(mbi_fe *out, const mbi_fe *a, mbi_fe s, size_t n)
{
    const struct factor by = factor(all(s));
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH)
        store(out + i, add(load(out + i), mul_by(load(a + i), by)));
    PORTABLE.mul_add(out + i, a + i, s, n - i);
}

static void fold(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, mbi_fe s, size_t n)
{
    const struct factor by = factor(all(s));
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const vec from = load(a + i);

        store(out + i, add(from, mul_by(sub(load(b + i), from), by)));
    }
    PORTABLE.fold(out + i, a + i, b + i, s, n - i);
}

static mbi_fe dot(const mbi_fe *a, const mbi_fe *b, size_t n)
{
    mbi_fe result = 0;
    size_t i = 0;

    while (i + WIDTH <= n) {
        struct sums t = no_sum();

        for (size_t k = 0; k < SUMS_MAX && i + WIDTH <= n; k++, i += WIDTH)
            sum_product(&t, load(a + i), load(b + i));
        result = mbi_fe_add(result, sums_value(&t));
    }
    return mbi_fe_add(result, PORTABLE.dot(a + i, b + i, n - i));
}

const struct mbi_field_kernels MBI_X86(field_kernels) = {
#if defined(__AVX512F__)
    .name = "avx512",
#else
    .name = "avx2",
#endif
    .probe = MBI_X86(probe),
    .add = add_array,
    .sub = sub_array,
    .mul = mul_array,
    .mul_add = mul_add,
    .fold = fold,
    .dot = dot,
    .ntt_stages = MBI_X86(ntt_stages),
    .ntt_powers = MBI_X86(ntt_powers),
    .hash_block = MBI_X86(hash_block),
    .ext = {&MBI_X86(ext_kernels_d2), &MBI_X86(ext_kernels_d3)},
};

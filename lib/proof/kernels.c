/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels over F in plain C, and the tables of this build. */
#include "proof/kernels.h"
#include "base/compiler.h"

#ifndef MBI_HAVE_AVX2
#define MBI_HAVE_AVX2 0
#endif
#ifndef MBI_HAVE_AVX512
#define MBI_HAVE_AVX512 0
#endif

static void add(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_fe_add(a[i], b[i]);
}

static void sub(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_fe_sub(a[i], b[i]);
}

static void mul(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_fe_mul(a[i], b[i]);
}

static void mul_add(mbi_fe *out, const mbi_fe *a, mbi_fe s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_fe_add(out[i], mbi_fe_mul(a[i], s));
}

static void fold(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, mbi_fe s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mbi_fe_add(a[i], mbi_fe_mul(mbi_fe_sub(b[i], a[i]), s));
}

static mbi_fe dot(const mbi_fe *a, const mbi_fe *b, size_t n)
{
    struct mbi_fe_sum sum = {0};

    for (size_t i = 0; i < n; i++)
        mbi_fe_sum_add(&sum, a[i], b[i]);
    return mbi_fe_sum_value(&sum);
}

/* ---- transforms ---- */

static void butterfly(mbi_fe *u, mbi_fe *v, mbi_fe w)
{
    for (int l = 0; l < MBI_NTT_LANES; l++) {
        const mbi_fe a = u[l], b = mbi_fe_mul(v[l], w);

        u[l] = mbi_fe_add(a, b);
        v[l] = mbi_fe_sub(a, b);
    }
}

/* The first pair of every run has w = 1. */
static void butterfly_of_1(mbi_fe *u, mbi_fe *v)
{
    for (int l = 0; l < MBI_NTT_LANES; l++) {
        const mbi_fe a = u[l], b = v[l];

        u[l] = mbi_fe_add(a, b);
        v[l] = mbi_fe_sub(a, b);
    }
}

static void ntt_stages(mbi_fe *x, unsigned log_n, unsigned first, const mbi_fe *root)
{
    const size_t n = (size_t)MBI_NTT_LANES << log_n;

    for (unsigned stage = first; stage < log_n; stage++) {
        const size_t half = (size_t)1 << stage, apart = MBI_NTT_LANES * half;

        for (mbi_fe *run = x; run < x + n; run += 2 * apart) {
            butterfly_of_1(run, run + apart);
            for (size_t i = 1; i < half; i++)
                butterfly(run + MBI_NTT_LANES * i, run + MBI_NTT_LANES * i + apart, root[half + i]);
        }
    }
}

static void ntt_powers(mbi_fe *x, size_t n, mbi_fe start, const mbi_fe step[MBI_NTT_LANES])
{
    mbi_fe power[MBI_NTT_LANES];

    for (int l = 0; l < MBI_NTT_LANES; l++)
        power[l] = start;
    for (; n--; x += MBI_NTT_LANES)
        for (int l = 0; l < MBI_NTT_LANES; l++) {
            x[l] = mbi_fe_mul(x[l], power[l]);
            power[l] = mbi_fe_mul(power[l], step[l]);
        }
}

/* ---- tables ---- */

static int32_t probe(void) { return 1; }

const struct mbi_field_kernels mbi_field_kernels_portable = {
    .name = "portable",
    .probe = probe,
    .add = add,
    .sub = sub,
    .mul = mul,
    .mul_add = mul_add,
    .fold = fold,
    .dot = dot,
    .ntt_stages = ntt_stages,
    .ntt_powers = ntt_powers,
    .ext = {&mbi_ext_kernels_d2, &mbi_ext_kernels_d3},
};

static const struct mbi_field_kernels *const tables[] = {
    &mbi_field_kernels_portable,
#if MBI_HAVE_AVX2
    &mbi_avx2_field_kernels,
#endif
#if MBI_HAVE_AVX512
    &mbi_avx512_field_kernels,
#endif
};

const struct mbi_field_kernels *mbi_field_kernels_at(size_t index)
{
    return index < MBI_COUNT(tables) ? tables[index] : NULL;
}

const struct mbi_field_kernels *mbi_field_kernels_best(void)
{
    const struct mbi_field_kernels *best = tables[0];

    for (size_t i = 1; i < MBI_COUNT(tables); i++)
        if (tables[i]->probe() > best->probe())
            best = tables[i];
    return best;
}

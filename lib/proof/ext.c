/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extension beyond sums and products, and its kernels in plain C. Compiled for each degree.
 *                                                                             proof.md, extension
 */
#include "proof/ext.h"

struct mbi_ext mbi_ext_pow(struct mbi_ext a, uint64_t n)
{
    struct mbi_ext r = {{1}};

    for (; n; n >>= 1) {
        if (n & 1)
            r = mbi_ext_mul(r, a);
        a = mbi_ext_mul(a, a);
    }
    return r;
}

#if MBI_EXT_D == 2
/* 1/(a + b X) = (a - b X) / (a^2 - 7 b^2); the norm is 0 for 0 alone, as 7 is no square. */
struct mbi_ext mbi_ext_inv(struct mbi_ext x)
{
    const mbi_fe a = x.c[0], b = mbi_fe_neg(x.c[1]);
    const mbi_fe norm = mbi_fe_sub(mbi_fe_mul(a, a), mbi_fe_mul(mbi_fe_mul(b, b), 7));

    return mbi_ext_scale((struct mbi_ext){{a, b}}, mbi_fe_inv(norm));
}
#else
/*
 * 1/(a + b X + c X^2) = (A + B X + C X^2) / (a A + 2 (b C + c B)) with A = a^2 - 2 b c,
 * B = 2 c^2 - a b, C = b^2 - a c; the norm is 0 for 0 alone, as 2 is no cube.
 */
struct mbi_ext mbi_ext_inv(struct mbi_ext x)
{
    const mbi_fe a = x.c[0], b = x.c[1], c = x.c[2], c2 = mbi_fe_add(c, c);
    const struct mbi_ext adjugate = {{
        mbi_fe_sub(mbi_fe_mul(a, a), mbi_fe_mul(b, c2)),
        mbi_fe_sub(mbi_fe_mul(c, c2), mbi_fe_mul(a, b)),
        mbi_fe_sub(mbi_fe_mul(b, b), mbi_fe_mul(a, c)),
    }};

    return mbi_ext_scale(adjugate, mbi_fe_inv(mbi_ext_mul(x, adjugate).c[0]));
}
#endif

static struct mbi_ext one_for_zero(struct mbi_ext x)
{
    x.c[0] |= mbi_ext_is_zero(x);
    return x;
}

/* As mbi_fe_inv_batch(). */
void mbi_ext_inv_batch(struct mbi_ext *x, struct mbi_ext *work, size_t n)
{
    struct mbi_ext all = {{1}};

    for (size_t i = 0; i < n; i++) {
        work[i] = all;
        all = mbi_ext_mul(all, one_for_zero(x[i]));
    }
    all = mbi_ext_inv(all);
    for (size_t i = n; i-- > 0;) {
        const struct mbi_ext inverse = mbi_ext_mul(all, work[i]);
        const uint64_t keep = mbi_fe_mask(!mbi_ext_is_zero(x[i]));

        all = mbi_ext_mul(all, one_for_zero(x[i]));
        for (int k = 0; k < MBI_EXT_D; k++)
            x[i].c[k] = inverse.c[k] & keep;
    }
}

void mbi_ext_to_bytes(uint8_t *out, const struct mbi_ext *x, size_t n)
{
    mbi_fe_to_bytes(out, (const mbi_fe *)x, n * MBI_EXT_D);
}

bool mbi_ext_from_bytes(struct mbi_ext *x, const uint8_t *in, size_t n)
{
    return mbi_fe_from_bytes((mbi_fe *)x, in, n * MBI_EXT_D);
}

/* ---- kernels ---- */

static struct mbi_ext get(const mbi_fe *a, size_t i)
{
    struct mbi_ext x;

    for (int k = 0; k < MBI_EXT_D; k++)
        x.c[k] = a[i * MBI_EXT_D + (size_t)k];
    return x;
}

static void put(mbi_fe *out, size_t i, struct mbi_ext x)
{
    for (int k = 0; k < MBI_EXT_D; k++)
        out[i * MBI_EXT_D + (size_t)k] = x.c[k];
}

static void mul(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(out, i, mbi_ext_mul(get(a, i), get(b, i)));
}

static void mul_add(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(out, i, mbi_ext_add(get(out, i), mbi_ext_mul(get(a, i), get(s, 0))));
}

static void mul_add_base(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(out, i, mbi_ext_add(get(out, i), mbi_ext_scale(get(s, 0), a[i])));
}

static void fold(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct mbi_ext from = get(a, i), way = mbi_ext_sub(get(b, i), from);

        put(out, i, mbi_ext_add(from, mbi_ext_mul(way, get(s, 0))));
    }
}

static void fold_base(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct mbi_ext way = mbi_ext_scale(get(s, 0), mbi_fe_sub(b[i], a[i]));

        put(out, i, mbi_ext_add(mbi_ext_from(a[i]), way));
    }
}

/* Sums of the coefficients 0 .. 2 D - 2 of the products of polynomials, then X^D is replaced. */
static void dot(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    struct mbi_fe_sum sum[2 * MBI_EXT_D - 1] = {{0}};
    struct mbi_ext r;

    for (size_t i = 0; i < n; i++, a += MBI_EXT_D, b += MBI_EXT_D)
        for (int k = 0; k < MBI_EXT_D; k++)
            for (int l = 0; l < MBI_EXT_D; l++)
                mbi_fe_sum_add(&sum[k + l], a[k], b[l]);
    for (int k = 0; k < MBI_EXT_D; k++) {
        r.c[k] = mbi_fe_sum_value(&sum[k]);
        if (k + MBI_EXT_D < 2 * MBI_EXT_D - 1)
            r.c[k] = mbi_fe_add(r.c[k], mbi_ext_beyond(mbi_fe_sum_value(&sum[k + MBI_EXT_D])));
    }
    put(out, 0, r);
}

static void dot_base(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)
{
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};

    for (size_t i = 0; i < n; i++, a += MBI_EXT_D)
        for (int k = 0; k < MBI_EXT_D; k++)
            mbi_fe_sum_add(&sum[k], a[k], b[i]);
    for (int k = 0; k < MBI_EXT_D; k++)
        out[k] = mbi_fe_sum_value(&sum[k]);
}

const struct mbi_ext_kernels MBI_EXT(ext_kernels) = {
    .mul = mul,
    .mul_add = mul_add,
    .mul_add_base = mul_add_base,
    .fold = fold,
    .fold_base = fold_base,
    .dot = dot,
    .dot_base = dot_base,
};

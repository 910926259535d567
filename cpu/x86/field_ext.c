/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops over arrays of extension elements, for both degrees: a vector's worth of elements is
 * taken apart into vectors of coefficients. What is left goes to the portable loop.
 */
#include "cpu/x86/field.h"
#include <string.h>

#define D_MAX 3

/* WIDTH elements, by coefficients; `d` is a constant wherever it is used. */
struct ext {
    vec c[D_MAX];
};

static inline struct ext no_ext(void) { return (struct ext){{zero(), zero(), zero()}}; }

/* ---- from elements to coefficients and back ---- */

/*
 * Three vectors hold 3 WIDTH words. Of the words of coefficient k, lane l of vector v has one if
 * v WIDTH + l = k modulo 3: with 8 lanes l = k + v, with 4 lanes l = k - v. So one selection of
 * lanes serves both if the last two vectors change places.
 */
#define SECOND (WIDTH == 8 ? WIDTH : 2 * WIDTH)
#define THIRD (WIDTH == 8 ? 2 * WIDTH : WIDTH)

#if WIDTH == 8
#define PAIR_LOW(a, b) _mm512_unpacklo_epi64(a, b)
#define PAIR_HIGH(a, b) _mm512_unpackhi_epi64(a, b)
/* a with b's lanes 0 3 6, or 1 4 7, or 2 5 */
#define PICK_0(a, b) _mm512_mask_blend_epi64(0x49, a, b)
#define PICK_1(a, b) _mm512_mask_blend_epi64(0x92, a, b)
#define PICK_2(a, b) _mm512_mask_blend_epi64(0x24, a, b)

static inline vec permute(vec v, int a, int b, int c, int d, int e, int f, int g, int h)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(a, b, c, d, e, f, g, h), v);
}

/* Lane i takes lane 3 i + k modulo 8. */
static inline vec sort_0(vec v) { return permute(v, 0, 3, 6, 1, 4, 7, 2, 5); }
static inline vec sort_1(vec v) { return permute(v, 1, 4, 7, 2, 5, 0, 3, 6); }
static inline vec sort_2(vec v) { return permute(v, 2, 5, 0, 3, 6, 1, 4, 7); }
/* The inverses; the others are their own. */
static inline vec unsort_1(vec v) { return permute(v, 5, 0, 3, 6, 1, 4, 7, 2); }

/* The order in which PAIR_LOW() leaves elements. */
static inline vec order_of_pairs(vec v) { return permute(v, 0, 4, 1, 5, 2, 6, 3, 7); }
#else
#define PAIR_LOW(a, b) _mm256_unpacklo_epi64(a, b)
#define PAIR_HIGH(a, b) _mm256_unpackhi_epi64(a, b)
/* a with b's lanes 0 3, or 1, or 2 */
#define PICK_0(a, b) _mm256_blend_epi32(a, b, 0xC3)
#define PICK_1(a, b) _mm256_blend_epi32(a, b, 0x0C)
#define PICK_2(a, b) _mm256_blend_epi32(a, b, 0x30)

/* Lane i takes lane 3 i + k modulo 4; each is its own inverse. */
static inline vec sort_0(vec v) { return _mm256_permute4x64_epi64(v, _MM_SHUFFLE(1, 2, 3, 0)); }
static inline vec sort_1(vec v) { return _mm256_permute4x64_epi64(v, _MM_SHUFFLE(2, 3, 0, 1)); }
static inline vec sort_2(vec v) { return _mm256_permute4x64_epi64(v, _MM_SHUFFLE(3, 0, 1, 2)); }
static inline vec unsort_1(vec v) { return sort_1(v); }

/* The order in which PAIR_LOW() leaves elements. */
static inline vec order_of_pairs(vec v)
{
    return _mm256_permute4x64_epi64(v, _MM_SHUFFLE(3, 1, 2, 0));
}
#endif

static inline struct ext load_ext(const mbi_fe *p, int d)
{
    const vec a = load(p), b = load(p + (d == 2 ? WIDTH : SECOND));

    if (d == 2)
        return (struct ext){{PAIR_LOW(a, b), PAIR_HIGH(a, b)}};

    const vec c = load(p + THIRD);

    return (struct ext){{
        sort_0(PICK_2(PICK_1(a, b), c)),
        sort_1(PICK_0(PICK_2(a, b), c)),
        sort_2(PICK_1(PICK_0(a, b), c)),
    }};
}

static inline void store_ext(mbi_fe *p, struct ext x, int d)
{
    if (d == 2) {
        store(p, PAIR_LOW(x.c[0], x.c[1]));
        store(p + WIDTH, PAIR_HIGH(x.c[0], x.c[1]));
        return;
    }

    const vec a = sort_0(x.c[0]), b = unsort_1(x.c[1]), c = sort_2(x.c[2]);

    store(p, PICK_2(PICK_1(a, b), c));
    store(p + SECOND, PICK_0(PICK_2(a, b), c));
    store(p + THIRD, PICK_1(PICK_0(a, b), c));
}

/* Elements of F in the order of load_ext(). */
static inline vec load_base(const mbi_fe *p, int d)
{
    return d == 2 ? order_of_pairs(load(p)) : load(p);
}

/* ---- products, with as few products of coefficients as Karatsuba's ---- */

struct ext_factor {
    struct factor c[D_MAX];
    struct factor sum[D_MAX]; /* c0 + c1, c0 + c2, c1 + c2 */
};

static inline struct ext_factor ext_factor(struct ext b, int d)
{
    struct ext_factor f = {0};

    for (int k = 0; k < d; k++)
        f.c[k] = factor(b.c[k]);
    f.sum[0] = factor(add(b.c[0], b.c[1]));
    if (d == 3) {
        f.sum[1] = factor(add(b.c[0], b.c[2]));
        f.sum[2] = factor(add(b.c[1], b.c[2]));
    }
    return f;
}

/* One element in every lane. */
static inline struct ext_factor ext_factor_of(const mbi_fe *s, int d)
{
    struct ext b = no_ext();

    for (int k = 0; k < d; k++)
        b.c[k] = all(s[k]);
    return ext_factor(b, d);
}

static inline struct ext mul_ext(struct ext a, const struct ext_factor *b, int d)
{
    const vec p0 = mul_by(a.c[0], b->c[0]), p1 = mul_by(a.c[1], b->c[1]);
    const vec cross = sub(sub(mul_by(add(a.c[0], a.c[1]), b->sum[0]), p0), p1);

    if (d == 2)
        return (struct ext){{add(p0, mul_small(p1, 7)), cross}};

    const vec p2 = mul_by(a.c[2], b->c[2]);
    const vec cross_02 = sub(sub(mul_by(add(a.c[0], a.c[2]), b->sum[1]), p0), p2);
    const vec cross_12 = sub(sub(mul_by(add(a.c[1], a.c[2]), b->sum[2]), p1), p2);

    return (struct ext){{
        add(p0, add(cross_12, cross_12)),
        add(cross, add(p2, p2)),
        add(cross_02, p1),
    }};
}

static inline struct ext add_ext(struct ext a, struct ext b, int d)
{
    for (int k = 0; k < d; k++)
        a.c[k] = add(a.c[k], b.c[k]);
    return a;
}

static inline struct ext sub_ext(struct ext a, struct ext b, int d)
{
    for (int k = 0; k < d; k++)
        a.c[k] = sub(a.c[k], b.c[k]);
    return a;
}

/* ---- loops: each returns how many elements it did ---- */

MBI_ALWAYS_INLINE size_t mul_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n, int d)
{
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const size_t at = i * (size_t)d;
        const struct ext_factor by = ext_factor(load_ext(b + at, d), d);

        store_ext(out + at, mul_ext(load_ext(a + at, d), &by, d), d);
    }
    return i;
}

MBI_ALWAYS_INLINE size_t mul_add_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n,
                                      int d)
{
    const struct ext_factor by = ext_factor_of(s, d);
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const size_t at = i * (size_t)d;

        store_ext(out + at, add_ext(load_ext(out + at, d), mul_ext(load_ext(a + at, d), &by, d), d),
                  d);
    }
    return i;
}

MBI_ALWAYS_INLINE size_t mul_add_base_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n,
                                           int d)
{
    const struct ext_factor by = ext_factor_of(s, d);
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const vec x = load_base(a + i, d);
        struct ext r = load_ext(out + i * (size_t)d, d);

        for (int k = 0; k < d; k++)
            r.c[k] = add(r.c[k], mul_by(x, by.c[k]));
        store_ext(out + i * (size_t)d, r, d);
    }
    return i;
}

MBI_ALWAYS_INLINE size_t fold_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s,
                                   size_t n, int d)
{
    const struct ext_factor by = ext_factor_of(s, d);
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const size_t at = i * (size_t)d;
        const struct ext from = load_ext(a + at, d);
        const struct ext way = sub_ext(load_ext(b + at, d), from, d);

        store_ext(out + at, add_ext(from, mul_ext(way, &by, d), d), d);
    }
    return i;
}

MBI_ALWAYS_INLINE size_t fold_base_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *b,
                                        const mbi_fe *s, size_t n, int d)
{
    const struct ext_factor by = ext_factor_of(s, d);
    size_t i = 0;

    for (; i + WIDTH <= n; i += WIDTH) {
        const vec from = load_base(a + i, d), way = sub(load_base(b + i, d), from);
        struct ext r = no_ext();

        for (int k = 0; k < d; k++)
            r.c[k] = mul_by(way, by.c[k]);
        r.c[0] = add(r.c[0], from);
        store_ext(out + i * (size_t)d, r, d);
    }
    return i;
}

static void add_to(mbi_fe *out, const mbi_fe *more, int d)
{
    for (int k = 0; k < d; k++)
        out[k] = mbi_fe_add(out[k], more[k]);
}

/* Coefficients 0 .. 2 d - 2 of the polynomials' products; a sum gets at most three a step. X^d is
 * replaced at the end. */
MBI_ALWAYS_INLINE size_t dot_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n, int d)
{
    struct sums t[2 * D_MAX - 1];
    size_t i = 0;

    for (int k = 0; k < 2 * d - 1; k++)
        t[k] = no_sum();
    for (; i + WIDTH <= n; i += WIDTH) {
        const struct ext x = load_ext(a + i * (size_t)d, d), y = load_ext(b + i * (size_t)d, d);

        for (int k = 0; k < d; k++)
            for (int l = 0; l < d; l++)
                sum_product(&t[k + l], x.c[k], y.c[l]);
    }
    for (int k = 0; k < d; k++) {
        out[k] = sums_value(&t[k]);
        if (k + d < 2 * d - 1)
            out[k] = mbi_fe_add(out[k], mbi_fe_mul(sums_value(&t[k + d]), d == 2 ? 7 : 2));
    }
    return i;
}

MBI_ALWAYS_INLINE size_t dot_base_loop(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n,
                                       int d)
{
    struct sums t[D_MAX];
    size_t i = 0;

    for (int k = 0; k < d; k++)
        t[k] = no_sum();
    for (; i + WIDTH <= n; i += WIDTH) {
        const struct ext x = load_ext(a + i * (size_t)d, d);
        const vec y = load_base(b + i, d);

        for (int k = 0; k < d; k++)
            sum_product(&t[k], x.c[k], y);
    }
    for (int k = 0; k < d; k++)
        out[k] = sums_value(&t[k]);
    return i;
}

/* ---- the two degrees ---- */

/* Sums take at most SUMS_MAX / 3 steps. */
#define DOT_MAX (SUMS_MAX / 4 * WIDTH)

/* A dot product in pieces that sums can take, the last one with what is left of a vector. */
#define DOT(name, d, step_b)                                                                       \
    static void name##_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)               \
    {                                                                                              \
        mbi_fe sum[D_MAX] = {0}, part[D_MAX];                                                      \
                                                                                                   \
        while (n >= WIDTH) {                                                                       \
            const size_t done = name##_loop(part, a, b, n < DOT_MAX ? n : DOT_MAX, d);             \
                                                                                                   \
            add_to(sum, part, d);                                                                  \
            a += d * done;                                                                         \
            b += step_b * done;                                                                    \
            n -= done;                                                                             \
        }                                                                                          \
        mbi_ext_kernels_d##d.name(part, a, b, n);                                                  \
        add_to(sum, part, d);                                                                      \
        memcpy(out, sum, d * sizeof(*out));                                                        \
    }

#define LOOPS(d)                                                                                   \
    static void mul_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n)                  \
    {                                                                                              \
        const size_t i = mul_loop(out, a, b, n, d);                                                \
                                                                                                   \
        mbi_ext_kernels_d##d.mul(out + d * i, a + d * i, b + d * i, n - i);                        \
    }                                                                                              \
    static void mul_add_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n)              \
    {                                                                                              \
        const size_t i = mul_add_loop(out, a, s, n, d);                                            \
                                                                                                   \
        mbi_ext_kernels_d##d.mul_add(out + d * i, a + d * i, s, n - i);                            \
    }                                                                                              \
    static void mul_add_base_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n)         \
    {                                                                                              \
        const size_t i = mul_add_base_loop(out, a, s, n, d);                                       \
                                                                                                   \
        mbi_ext_kernels_d##d.mul_add_base(out + d * i, a + i, s, n - i);                           \
    }                                                                                              \
    static void fold_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s,          \
                          size_t n)                                                                \
    {                                                                                              \
        const size_t i = fold_loop(out, a, b, s, n, d);                                            \
                                                                                                   \
        mbi_ext_kernels_d##d.fold(out + d * i, a + d * i, b + d * i, s, n - i);                    \
    }                                                                                              \
    static void fold_base_d##d(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s,     \
                               size_t n)                                                           \
    {                                                                                              \
        const size_t i = fold_base_loop(out, a, b, s, n, d);                                       \
                                                                                                   \
        mbi_ext_kernels_d##d.fold_base(out + d * i, a + i, b + i, s, n - i);                       \
    }                                                                                              \
    DOT(dot, d, d)                                                                                 \
    DOT(dot_base, d, 1)                                                                            \
                                                                                                   \
    const struct mbi_ext_kernels MBI_X86(ext_kernels_d##d) = {                                     \
        .mul = mul_d##d,                                                                           \
        .mul_add = mul_add_d##d,                                                                   \
        .mul_add_base = mul_add_base_d##d,                                                         \
        .fold = fold_d##d,                                                                         \
        .fold_base = fold_base_d##d,                                                               \
        .dot = dot_d##d,                                                                           \
        .dot_base = dot_base_d##d,                                                                 \
    };

LOOPS(2)
LOOPS(3)

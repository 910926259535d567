/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions of the field, where challenges live: F[X]/(X^2 - 7) in profile A, F[X]/(X^3 - 2) in
 * profile B. What uses them is compiled once for each, with MBI_EXT_D = 2 or 3, and names its
 * functions with MBI_EXT(). Such a file is listed in proof_ext_sources (lib/proof/meson.build).
 *                                                                             proof.md, extension
 */
#ifndef MBI_PROOF_EXT_H
#define MBI_PROOF_EXT_H

#include "proof/field.h"
#include "proof/kernels.h"

#ifndef MBI_EXT_D
#define MBI_EXT_D 2
#endif

#define MBI_EXT_JOIN(name, d) mbi_##name##_d##d
#define MBI_EXT_NAME(name, d) MBI_EXT_JOIN(name, d)
#define MBI_EXT(name) MBI_EXT_NAME(name, MBI_EXT_D)

/* c[0] + c[1] X + ...; X^D is MBI_EXT_NONRESIDUE. */
struct mbi_ext {
    mbi_fe c[MBI_EXT_D];
};

#define MBI_EXT_NONRESIDUE (MBI_EXT_D == 2 ? 7u : 2u)
#define MBI_EXT_BYTES (MBI_EXT_D * MBI_FE_BYTES)

static inline struct mbi_ext mbi_ext_from(mbi_fe a) { return (struct mbi_ext){{a}}; }

static inline struct mbi_ext mbi_ext_add(struct mbi_ext a, struct mbi_ext b)
{
    for (int i = 0; i < MBI_EXT_D; i++)
        a.c[i] = mbi_fe_add(a.c[i], b.c[i]);
    return a;
}

static inline struct mbi_ext mbi_ext_sub(struct mbi_ext a, struct mbi_ext b)
{
    for (int i = 0; i < MBI_EXT_D; i++)
        a.c[i] = mbi_fe_sub(a.c[i], b.c[i]);
    return a;
}

static inline struct mbi_ext mbi_ext_neg(struct mbi_ext a)
{
    return mbi_ext_sub((struct mbi_ext){{0}}, a);
}

/* a b for b in F. */
static inline struct mbi_ext mbi_ext_scale(struct mbi_ext a, mbi_fe b)
{
    for (int i = 0; i < MBI_EXT_D; i++)
        a.c[i] = mbi_fe_mul(a.c[i], b);
    return a;
}

/* a X^D for a in F. */
static inline mbi_fe mbi_ext_beyond(mbi_fe a)
{
    return MBI_EXT_NONRESIDUE == 2 ? mbi_fe_add(a, a) : mbi_fe_mul(a, MBI_EXT_NONRESIDUE);
}

/* a X. */
static inline struct mbi_ext mbi_ext_times_x(struct mbi_ext a)
{
    struct mbi_ext r;

    r.c[0] = mbi_ext_beyond(a.c[MBI_EXT_D - 1]);
    for (int i = 1; i < MBI_EXT_D; i++)
        r.c[i] = a.c[i - 1];
    return r;
}

/* Coefficient by coefficient; what goes beyond X^(D-1) takes its b times X^D. */
static inline struct mbi_ext mbi_ext_mul(struct mbi_ext a, struct mbi_ext b)
{
    mbi_fe beyond[MBI_EXT_D];
    struct mbi_ext r;

    for (int k = 1; k < MBI_EXT_D; k++)
        beyond[k] = mbi_ext_beyond(b.c[k]);
    for (int k = 0; k < MBI_EXT_D; k++) {
        struct mbi_fe_sum sum = {0};

        for (int i = 0; i < MBI_EXT_D; i++)
            mbi_fe_sum_add(&sum, a.c[i], i <= k ? b.c[k - i] : beyond[k - i + MBI_EXT_D]);
        r.c[k] = mbi_fe_sum_value(&sum);
    }
    return r;
}

static inline bool mbi_ext_equal(struct mbi_ext a, struct mbi_ext b)
{
    uint64_t differ = 0;

    for (int i = 0; i < MBI_EXT_D; i++)
        differ |= a.c[i] ^ b.c[i];
    return !differ;
}

static inline bool mbi_ext_is_zero(struct mbi_ext a)
{
    return mbi_ext_equal(a, (struct mbi_ext){{0}});
}

/* a^n; the exponent is public. */
#define mbi_ext_pow MBI_EXT(ext_pow)
struct mbi_ext mbi_ext_pow(struct mbi_ext a, uint64_t n);

/* 1/a, and 0 for 0. */
#define mbi_ext_inv MBI_EXT(ext_inv)
struct mbi_ext mbi_ext_inv(struct mbi_ext a);

/* x[i] = 1/x[i], and 0 for 0, with one inversion in all; `work` has room for n elements. */
#define mbi_ext_inv_batch MBI_EXT(ext_inv_batch)
void mbi_ext_inv_batch(struct mbi_ext *x, struct mbi_ext *work, size_t n);

/* MBI_EXT_BYTES an element: c[0] first, each as in mbi_fe_to_bytes(). */
#define mbi_ext_to_bytes MBI_EXT(ext_to_bytes)
void mbi_ext_to_bytes(uint8_t *out, const struct mbi_ext *x, size_t n);

/* False if any coefficient is not below p; each of those is then 0. */
#define mbi_ext_from_bytes MBI_EXT(ext_from_bytes)
bool mbi_ext_from_bytes(struct mbi_ext *x, const uint8_t *in, size_t n);

/* ---- the loops over arrays, by the kernels of this machine (proof/kernels.h) ---- */

static inline const struct mbi_ext_kernels *mbi_ext_kernels_of(const struct mbi_field_kernels *k)
{
    return k->ext[MBI_EXT_D - 2];
}

/* out[i] = a[i] b[i]. `out` may be `a` or `b`. */
static inline void mbi_ext_mul_array(const struct mbi_field_kernels *k, struct mbi_ext *out,
                                     const struct mbi_ext *a, const struct mbi_ext *b, size_t n)
{
    mbi_ext_kernels_of(k)->mul((mbi_fe *)out, (const mbi_fe *)a, (const mbi_fe *)b, n);
}

/* out[i] += s a[i]. `out` may be `a`. */
static inline void mbi_ext_mul_add(const struct mbi_field_kernels *k, struct mbi_ext *out,
                                   const struct mbi_ext *a, struct mbi_ext s, size_t n)
{
    mbi_ext_kernels_of(k)->mul_add((mbi_fe *)out, (const mbi_fe *)a, s.c, n);
}

/* out[i] += s a[i] for a in F. */
static inline void mbi_ext_mul_add_base(const struct mbi_field_kernels *k, struct mbi_ext *out,
                                        const mbi_fe *a, struct mbi_ext s, size_t n)
{
    mbi_ext_kernels_of(k)->mul_add_base((mbi_fe *)out, a, s.c, n);
}

/* out[i] = a[i] + s (b[i] - a[i]): a table's variable, where a is its half at 0 and b that at 1, is
 * set to s. `out` may be `a` or `b`. */
static inline void mbi_ext_fold(const struct mbi_field_kernels *k, struct mbi_ext *out,
                                const struct mbi_ext *a, const struct mbi_ext *b, struct mbi_ext s,
                                size_t n)
{
    mbi_ext_kernels_of(k)->fold((mbi_fe *)out, (const mbi_fe *)a, (const mbi_fe *)b, s.c, n);
}

/* The same for a, b in F. */
static inline void mbi_ext_fold_base(const struct mbi_field_kernels *k, struct mbi_ext *out,
                                     const mbi_fe *a, const mbi_fe *b, struct mbi_ext s, size_t n)
{
    mbi_ext_kernels_of(k)->fold_base((mbi_fe *)out, a, b, s.c, n);
}

/* The sum of a[i] b[i]. */
static inline struct mbi_ext mbi_ext_dot(const struct mbi_field_kernels *k, const struct mbi_ext *a,
                                         const struct mbi_ext *b, size_t n)
{
    struct mbi_ext r;

    mbi_ext_kernels_of(k)->dot(r.c, (const mbi_fe *)a, (const mbi_fe *)b, n);
    return r;
}

/* The same for b in F. */
static inline struct mbi_ext mbi_ext_dot_base(const struct mbi_field_kernels *k,
                                              const struct mbi_ext *a, const mbi_fe *b, size_t n)
{
    struct mbi_ext r;

    mbi_ext_kernels_of(k)->dot_base(r.c, (const mbi_fe *)a, b, n);
    return r;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables over {0,1}^n and their multilinear extensions. The first variable is the most significant
 * bit of an index, everywhere.                                             proof.md, linear forms
 */
#ifndef MBI_PROOF_POLY_H
#define MBI_PROOF_POLY_H

#include "base/host.h"
#include "proof/ext.h"

#define MBI_MAX_BITS 32 /* of an index */

enum mbi_table_type {
    MBI_TABLE_U8,
    MBI_TABLE_I8,
    MBI_TABLE_U16,
    MBI_TABLE_I16,
    MBI_TABLE_I32,
    MBI_TABLE_FIELD, /* mbi_fe */
    MBI_TABLE_EXT,   /* struct mbi_ext */
};

/* n entries; those from n to the next power of two (or any further one) are zero. */
struct mbi_table {
    enum mbi_table_type type;
    const void *data;
    size_t n;
};

/* Entry i of a table of any type but MBI_TABLE_EXT. */
static inline mbi_fe mbi_table_field(const struct mbi_table *t, size_t i)
{
    if (i >= t->n)
        return 0;
    switch (t->type) {
    case MBI_TABLE_U8:
        return ((const uint8_t *)t->data)[i];
    case MBI_TABLE_I8:
        return mbi_fe_from_i64(((const int8_t *)t->data)[i]);
    case MBI_TABLE_U16:
        return ((const uint16_t *)t->data)[i];
    case MBI_TABLE_I16:
        return mbi_fe_from_i64(((const int16_t *)t->data)[i]);
    case MBI_TABLE_I32:
        return mbi_fe_from_i64(((const int32_t *)t->data)[i]);
    case MBI_TABLE_FIELD:
        return ((const mbi_fe *)t->data)[i];
    case MBI_TABLE_EXT:
        break;
    }
    return 0;
}

/* Entry i of any table. */
static inline struct mbi_ext mbi_table_ext(const struct mbi_table *t, size_t i)
{
    if (t->type != MBI_TABLE_EXT)
        return mbi_ext_from(mbi_table_field(t, i));
    return i < t->n ? ((const struct mbi_ext *)t->data)[i] : mbi_ext_from(0);
}

/* out[i] = entry begin + i, i < n, of a table of any type but MBI_TABLE_EXT. */
void MBI_EXT(table_load)(mbi_fe *out, const struct mbi_table *t, size_t begin, size_t n);

/* out[x] = scale eq(z, x) for the 2^n indices x; n may be 0. */
void MBI_EXT(eq_table)(struct mbi_ext *out, const struct mbi_ext *z, unsigned n,
                       struct mbi_ext scale);
/* eq(a, b) for two points, and for a point and an index. */
struct mbi_ext MBI_EXT(eq_points)(const struct mbi_ext *a, const struct mbi_ext *b, unsigned n);
struct mbi_ext MBI_EXT(eq_index)(const struct mbi_ext *z, unsigned n, uint64_t x);

/* eq(z, x) for x = 0, 1, 2, ... in two multiplications each and no table. */
struct mbi_eq_walk {
    const struct mbi_ext *z;
    unsigned n; /* at most MBI_MAX_BITS */
    uint64_t x;
    struct mbi_ext prefix[MBI_MAX_BITS + 1]; /* of the first k bits; prefix[n] is eq(z, x) */
};

void MBI_EXT(eq_walk_start)(struct mbi_eq_walk *w, const struct mbi_ext *z, unsigned n);
void MBI_EXT(eq_walk_next)(struct mbi_eq_walk *w);

/* Sum over i < n of weight[i] table(begin + i). */
struct mbi_ext MBI_EXT(table_dot)(const struct mbi_table *t, size_t begin,
                                  const struct mbi_ext *weight, size_t n);
/* The extension of the table, of at most 2^n entries, at a point of n coordinates. */
struct mbi_ext MBI_EXT(table_at)(const struct mbi_table *t, const struct mbi_ext *point,
                                 unsigned n);
/* out[c] = sum over r < rows of weight[r] table(r cols + c): with an eq table, the first variables
 * are fixed. On the host's threads. */
void MBI_EXT(table_rows)(struct mbi_ext *out, const struct mbi_table *t, size_t cols,
                         const struct mbi_ext *weight, size_t rows, const struct mbi_host *host);
/* Fix the first variable at r: out[x] = low[x] + r (high[x] - low[x]). out may be low. */
void MBI_EXT(table_fold)(struct mbi_ext *out, const struct mbi_ext *low, const struct mbi_ext *high,
                         size_t n, struct mbi_ext r);

#endif

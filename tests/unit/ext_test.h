/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the proofs' extension share; compiled for each MBI_EXT_D. */
#ifndef MBI_TESTS_EXT_TEST_H
#define MBI_TESTS_EXT_TEST_H

#include "proof/poly.h"
#include "vectors.h"

static inline size_t random_size(struct test_random *r, size_t below)
{
    return (size_t)test_random_below(r, below);
}

static inline mbi_fe random_field(struct test_random *r)
{
    return mbi_fe_from_u64(test_random_u64(r));
}

static inline struct mbi_ext random_ext(struct test_random *r)
{
    struct mbi_ext x;

    for (int k = 0; k < MBI_EXT_D; k++)
        x.c[k] = random_field(r);
    return x;
}

static inline void random_point(struct mbi_ext *z, size_t n, struct test_random *r)
{
    for (size_t k = 0; k < n; k++)
        z[k] = random_ext(r);
}

/* eq(z, x) from its definition. */
static inline struct mbi_ext slow_eq(const struct mbi_ext *z, unsigned n, uint64_t x)
{
    const struct mbi_ext one = mbi_ext_from(1);
    struct mbi_ext r = one;

    for (unsigned k = 0; k < n; k++)
        r = mbi_ext_mul(r, x >> (n - 1 - k) & 1 ? z[k] : mbi_ext_sub(one, z[k]));
    return r;
}

/* The extension of 2^n entries from its definition. */
static inline struct mbi_ext slow_at(const struct mbi_ext *t, const struct mbi_ext *point,
                                     unsigned n)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t x = 0; x < (size_t)1 << n; x++)
        sum = mbi_ext_add(sum, mbi_ext_mul(t[x], slow_eq(point, n, x)));
    return sum;
}

/* Word i and the next ones as elements. */
static inline size_t vectors_ext(struct mbi_ext *x, size_t n, const struct vectors *v, size_t i)
{
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < MBI_EXT_D; c++)
            x[k].c[c] = vectors_u64(v, i++);
    return i;
}

static inline size_t table_width(enum mbi_table_type type)
{
    static const uint8_t width[] = {1, 1, 2, 2, 4, 8, sizeof(struct mbi_ext)};

    return width[type];
}

/* Random entries, a quarter of them the ends of their type; data from malloc(). */
static inline struct mbi_table random_table(enum mbi_table_type type, size_t n,
                                            struct test_random *r)
{
    uint8_t *data = malloc((n + 1) * table_width(type));

    test_that(data);
    test_random_bytes(r, data, n * table_width(type));
    for (size_t i = 0; i < n; i++) {
        const bool end = !test_random_below(r, 4), high = test_random_below(r, 2);

        if (type == MBI_TABLE_FIELD)
            ((mbi_fe *)(void *)data)[i] = end ? (high ? MBI_FIELD_P - 1 : 0) : random_field(r);
        else if (type == MBI_TABLE_EXT)
            ((struct mbi_ext *)(void *)data)[i] = random_ext(r);
        else if (end) /* 0 or all ones, and 0x80.. or 0x7F.. */
            for (size_t k = 0; k < table_width(type); k++)
                data[i * table_width(type) + k] = high ? 0xFF : 0;
        if (type == MBI_TABLE_I16 && i % 7 == 0)
            ((int16_t *)(void *)data)[i] = INT16_MIN;
        if (type == MBI_TABLE_I32 && i % 7 == 0)
            ((int32_t *)(void *)data)[i] = INT32_MIN;
    }
    return (struct mbi_table){type, data, n};
}

static inline void free_table(struct mbi_table *t)
{
    union {
        const void *given;
        void *owned;
    } data = {t->data};

    free(data.owned);
    t->data = NULL;
}

#endif

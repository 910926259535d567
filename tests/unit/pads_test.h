/* SPDX-License-Identifier: Apache-2.0 */
/* Pads for tests of what is sent hidden: random ones, and what they say of affine values. */
#ifndef MBI_TESTS_PADS_TEST_H
#define MBI_TESTS_PADS_TEST_H

#include "ext_test.h"
#include "proof/pads.h"

/* The committed ones, and those that a prover takes for them: the same, but in tests of lies. */
struct test_pads {
    mbi_fe *at, *used;
    struct mbi_pads pads;
};

static inline void pads_init(struct test_pads *p, size_t n, struct test_random *r)
{
    p->at = malloc((n * MBI_EXT_D + 1) * sizeof(*p->at));
    p->used = malloc((n * MBI_EXT_D + 1) * sizeof(*p->used));
    test_that(p->at && p->used);
    for (size_t i = 0; i < n * MBI_EXT_D; i++)
        p->at[i] = p->used[i] = random_field(r);
    p->pads = (struct mbi_pads){0, n, p->used};
}

static inline void pads_free(struct test_pads *p)
{
    free(p->at);
    free(p->used);
}

static inline struct mbi_ext pad_at(const struct test_pads *p, size_t pad)
{
    struct mbi_ext x;

    test_that(pad < p->pads.n);
    memcpy(x.c, p->at + pad * MBI_EXT_D, sizeof(x.c));
    return x;
}

/* The prover takes a pad for 0, which leaves it out, or for the one before it, used twice then. */
static inline void pads_spoil(struct test_pads *p, size_t pad, bool twice)
{
    mbi_fe *x = p->used + pad * MBI_EXT_D;

    if (twice && pad)
        memcpy(x, p->at + (pad - 1) * MBI_EXT_D, MBI_EXT_D * sizeof(*x));
    else
        memset(x, 0, MBI_EXT_D * sizeof(*x));
}

static inline void pads_restore(struct test_pads *p)
{
    memcpy(p->used, p->at, p->pads.n * MBI_EXT_D * sizeof(*p->at));
}

static inline struct mbi_ext affine_at(const struct test_pads *p, const struct mbi_hidden *h,
                                       const struct mbi_affine *a)
{
    struct mbi_ext x = a->known;

    test_that(a->first + a->n <= h->n_terms);
    for (size_t i = a->first; i < a->first + a->n; i++)
        x = mbi_ext_add(x, mbi_ext_mul(h->term[i].scale, pad_at(p, h->term[i].pad)));
    return x;
}

static inline bool zeros_hold(const struct test_pads *p, const struct mbi_hidden *h)
{
    bool hold = true;

    for (size_t i = 0; i < h->n_zero; i++)
        hold &= mbi_ext_is_zero(affine_at(p, h, &h->zero[i]));
    return hold;
}

#endif

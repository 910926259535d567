/* SPDX-License-Identifier: Apache-2.0 */
/* Every change of a proof's bytes, for tests that ask that none is accepted. */
#ifndef MBI_TESTS_PROOF_CHANGES_H
#define MBI_TESTS_PROOF_CHANGES_H

#include "ext_test.h"
#include "proof/stream.h"

/* What a test makes of the n bytes of a proof. */
typedef bool proof_accepts(const void *test, const uint8_t *proof, size_t n);

/* Every element of a proof: one more, another one, zero, not canonical. */
static inline void change_elements(proof_accepts *accepts, const void *test,
                                   const struct mbi_proof_writer *w, struct test_random *r)
{
    for (size_t at = 0; at < w->bytes.size; at += 8) {
        const mbi_fe x = mbi_load64(w->bytes.data + at);
        const uint64_t other[] = {mbi_fe_add(x, 1), random_field(r), 0,
                                  MBI_FIELD_P - x,  x + MBI_FIELD_P, MBI_FIELD_P,
                                  MBI_FIELD_P + 1,  UINT64_MAX};

        for (size_t i = 0; i < MBI_COUNT(other); i++) {
            if (other[i] == x)
                continue;
            mbi_store64(w->bytes.data + at, other[i]);
            test_check(!accepts(test, w->bytes.data, w->bytes.size),
                       "element %zu changed from %llu to %llu is accepted", at / 8,
                       (unsigned long long)x, (unsigned long long)other[i]);
        }
        mbi_store64(w->bytes.data + at, x);
    }
}

static inline void flip_bits(proof_accepts *accepts, const void *test,
                             const struct mbi_proof_writer *w)
{
    for (size_t bit = 0; bit < 8 * w->bytes.size; bit++) {
        w->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_check(!accepts(test, w->bytes.data, w->bytes.size), "bit %zu is free", bit);
        w->bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static inline void change_length(proof_accepts *accepts, const void *test,
                                 const struct mbi_proof_writer *w)
{
    uint8_t *longer = malloc(w->bytes.size + 1);

    test_that(longer);
    memcpy(longer, w->bytes.data, w->bytes.size);
    longer[w->bytes.size] = 0;
    test_that(accepts(test, longer, w->bytes.size));
    test_that(!accepts(test, longer, w->bytes.size + 1));
    free(longer);
    for (size_t n = 0; n < w->bytes.size; n++) {
        uint8_t *shorter = malloc(n + 1); /* its end is seen by the sanitizer */

        test_that(shorter);
        memcpy(shorter, w->bytes.data, n);
        test_check(!accepts(test, shorter, n), "%zu bytes are accepted", n);
        free(shorter);
    }
}

#endif

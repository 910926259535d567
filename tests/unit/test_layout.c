/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/proof/layout.c: in plans of random variables every digit has a block of its own, inside of
 * the range check of its width and of no other one; and a plan that is too large is refused.
 */
#include "proof/layout.h"
#include "proof/relation.h"
#include "support.h"
#include <stdlib.h>

#define MAX_OPEN ((uint64_t)1 << 23) /* entries that are looked at one by one */

static void add_var(struct mbi_plan *p, unsigned most, struct test_random *r)
{
    struct mbi_gadget g = {.plan = p, .lanes = 1};
    const unsigned bits = (unsigned)test_random_below(r, test_random_below(r, 3) ? 40 : 62);
    const uint64_t span =
        bits ? ((uint64_t)1 << (bits - 1)) + test_random_below(r, (uint64_t)1 << (bits - 1)) : 0;
    const int64_t lo = test_random_between(r, -1000, 1000);
    struct mbi_shape shape;
    unsigned all = (unsigned)test_random_below(r, most + 1);

    for (int k = 0; k < MBI_AXES; k++) {
        const unsigned log = (unsigned)test_random_below(r, all + 1);

        all -= log;
        shape.n[k] = 1 + (uint32_t)test_random_below(r, (uint64_t)1 << log);
    }
    mbi_gadget_table(&g, shape, lo, lo + (int64_t)span, test_random_below(r, 2));
}

/* The width that entry x is checked for; 0: none. */
static unsigned checked_width(const struct mbi_plan *p, uint64_t x)
{
    unsigned width = 0;

    if (p->digit_bits == MBI_DIGIT_MIN)
        return x < p->to[2] ? 2 : x >= p->from[1] && x < p->end ? 1 : 0;
    for (unsigned w = 1; w <= MBI_DIGIT_MAX; w++)
        if (x >= p->lookup.begin[w] && x < p->lookup.begin[w + 1]) {
            test_check(!width, "entry %zu is checked twice", (size_t)x);
            width = w;
        }
    return width;
}

/* Takes the entries of a digit. */
static void take(uint8_t *used, const struct mbi_plan *p, const struct mbi_var *v, uint64_t block,
                 unsigned width)
{
    const uint64_t begin = block << mbi_var_bits(v), end = (block + 1) << mbi_var_bits(v);

    test_check(end <= p->end && end <= (uint64_t)1 << p->bits, "a digit ends at %zu of %zu",
               (size_t)end, (size_t)p->end);
    test_check(checked_width(p, begin) == width && checked_width(p, end - 1) == width,
               "a digit of %u bits is checked for %u and %u", width, checked_width(p, begin),
               checked_width(p, end - 1));
    for (uint64_t x = begin; x < end && p->end <= MAX_OPEN; x++)
        test_check(!used[x]++, "entry %zu is of two digits", (size_t)x);
}

static void check_digits(const struct mbi_plan *p)
{
    uint8_t *used = calloc(p->end <= MAX_OPEN ? (size_t)p->end + 1 : 1, 1);

    test_that(used);
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        test_that((uint64_t)v->hi - (uint64_t)v->lo <= ((uint64_t)1 << v->bits) - 1);
        test_that(!v->loose || (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1);
        for (uint32_t k = 0; k < v->bits / p->digit_bits; k++)
            take(used, p, v, v->digits + k, p->digit_bits);
        if (v->bits % p->digit_bits)
            take(used, p, v, v->odd, v->bits % p->digit_bits);
    }
    if (p->digit_bits == MBI_DIGIT_MAX) {
        const char *fault = MBI_EXT(lookup_fault)(&p->lookup);

        test_check(!fault, "%s", fault);
        test_that(p->lookup.counts[1] == p->lookup.begin[MBI_DIGIT_MAX + 1] &&
                  p->lookup.counts[MBI_DIGIT_MAX + 1] == p->end && p->lookup.bits == p->bits);
    }
    free(used);
}

/* What is tight but not of whole bits has a complement. */
static void check_complements(const struct mbi_plan *p)
{
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const bool whole = (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1;

        test_that((v->complement == MBI_NONE) == whole);
        if (!whole)
            test_that(p->var[v->complement].lo == 0 && p->var[v->complement].bits == v->bits &&
                      p->var[v->complement].loose);
    }
}

START_TEST(every_digit_has_its_place)
{
    size_t large = 0, refused = 0;
    struct test_random r;

    test_random_init(&r, "every_digit_has_its_place");
    for (size_t round = 0; round < 600; round++) {
        struct mbi_host host;
        struct mbi_plan p = {.host = &host, .small_bits = MBI_DIGITS_BITS};
        const unsigned most = round % 3 == 0 ? 4 : round % 3 == 1 ? 12 : 24;

        mbi_host_default(&host);
        for (uint64_t n = test_random_below(&r, round % 3 == 2 ? 6 : 40); n-- > 0;)
            add_var(&p, most, &r);
        mbi_plan_add_complements(&p);
        mbi_plan_lay_out(&p);
        refused += p.fault != NULL;
        large += !p.fault && p.digit_bits == MBI_DIGIT_MAX;
        if (!p.fault) {
            check_digits(&p);
            check_complements(&p);
        }
        mbi_free(&host, p.var);
        mbi_free(&host, p.relation);
        mbi_free(&host, p.term);
    }
    test_check(large > 30 && refused > 3, "%zu large, %zu refused", large, refused);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("layout of digits");
    TCase *t = tcase_create("layout");

    tcase_set_timeout(t, 300);
    tcase_add_test(t, every_digit_has_its_place);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/proof/layout.c: in plans of random variables every digit has a block of its own, inside of
 * the range check of its width and of no other one; and a plan that is too large is refused.
 */
#include "base/intmath.h"
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
    if (p->n_vars && shape.n[2] > 1 && !(shape.n[2] & (shape.n[2] - 1)) && test_random_below(r, 2))
        mbi_gadget_triangle(&g, p->n_vars - 1, 1, (uint8_t)(mbi_bitlen(shape.n[2]) - 1));
}

/* The size that entry x is checked for; 0: none. */
static uint32_t checked_size(const struct mbi_plan *p, uint64_t x)
{
    uint32_t size = 0;

    if (!p->large)
        return x < p->to[2] ? 4 : x >= p->from[1] && x < p->end ? 2 : 0;
    for (unsigned k = 0; k < p->lookup.n; k++)
        if (x >= p->lookup.begin[k] && x < p->lookup.begin[k + 1]) {
            test_check(!size, "entry %zu is checked twice", (size_t)x);
            size = p->lookup.size[k];
        }
    return size;
}

/* Takes the entries of a digit. */
static void take(uint8_t *used, const struct mbi_plan *p, uint64_t begin, uint64_t end,
                 uint32_t size)
{
    test_check(end <= p->end && end <= (uint64_t)1 << p->bits, "a digit ends at %zu of %zu",
               (size_t)end, (size_t)p->end);
    test_check(checked_size(p, begin) == size && checked_size(p, end - 1) == size,
               "a digit below %u is checked for %u and %u", size, checked_size(p, begin),
               checked_size(p, end - 1));
    for (uint64_t x = begin; x < end && p->end <= MAX_OPEN; x++)
        test_check(!used[x]++, "entry %zu is of two digits", (size_t)x);
}

/* The boxes cover what is read, each entry once, and no more than what three cuts leave. */
static void check_boxes(const struct mbi_plan *p, const struct mbi_var *v)
{
    uint64_t cells = 0;

    for (uint32_t b = 0; b < v->n_boxes; b++)
        cells += (uint64_t)1 << p->box[v->first_box + b].bits;
    test_that(cells <= (uint64_t)1 << mbi_var_bits(v));
    test_that(p->large || v->n_boxes <= 1);
    for (size_t row = 0; v->n_boxes && row < v->n[0]; row++)
        for (size_t col = 0; col < v->n[2]; col++) {
            uint32_t has = 0;

            for (uint32_t b = 0; b < v->n_boxes; b++) {
                const struct mbi_box *box = &p->box[v->first_box + b];

                has += row >= box->row && row < box->row + ((size_t)1 << box->log_rows) &&
                       col >= box->col && col < box->col + ((size_t)1 << box->log_cols);
            }
            test_check(has == 1 || (!has && !mbi_var_has(v, row, col)), "%u boxes for an entry",
                       has);
        }
}

static void check_digits(const struct mbi_plan *p)
{
    uint8_t *used = calloc(p->end <= MAX_OPEN ? (size_t)p->end + 1 : 1, 1);

    test_that(used);
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];

        test_that((uint64_t)v->hi - (uint64_t)v->lo <= ((uint64_t)1 << v->bits) - 1);
        test_that(!v->loose || (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1);
        if (mbi_var_bits(v) < 16)
            check_boxes(p, v);
        for (uint32_t b = 0; b < v->n_boxes; b++)
            for (unsigned k = 0; k < mbi_var_digits(v); k++) {
                const struct mbi_box *box = &p->box[v->first_box + b];
                const uint64_t block = mbi_box_digit(v, box, k);

                take(used, p, block << box->bits, (block + 1) << box->bits,
                     mbi_var_digit(v, k).size);
            }
    }
    if (p->large) {
        const char *fault = MBI_EXT(lookup_fault)(&p->lookup);

        test_check(!fault, "%s", fault);
        test_that(p->lookup.counts[0] == p->lookup.begin[p->lookup.n] &&
                  p->lookup.counts[p->lookup.n] == p->end && p->lookup.bits == p->bits);
    }
    free(used);
}

/* What is tight but not of whole bits has a complement, or a class of its own. */
static void check_complements(const struct mbi_plan *p)
{
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        const bool whole = (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1;

        test_that(!v->exact || (p->large && !whole && mbi_var_digits(v) == 1 &&
                                mbi_var_digit(v, 0).size == (uint64_t)(v->hi - v->lo) + 1));
        test_that((v->complement == MBI_NONE) == (whole || v->exact));
        if (!whole && !v->exact)
            test_that(p->var[v->complement].lo == 0 && p->var[v->complement].bits == v->bits &&
                      p->var[v->complement].loose);
    }
}

START_TEST(every_digit_has_its_place)
{
    size_t large = 0, refused = 0, exact = 0;
    struct test_random r;

    test_random_init(&r, "every_digit_has_its_place");
    for (size_t round = 0; round < 600; round++) {
        struct mbi_host host;
        struct mbi_plan p = {.host = &host, .small_bits = MBI_DIGITS_BITS};
        const unsigned most = round % 3 == 0 ? 4 : round % 3 == 1 ? 12 : 24;

        mbi_host_default(&host);
        for (uint64_t n = test_random_below(&r, round % 3 == 2 ? 6 : 40); n-- > 0;)
            add_var(&p, most, &r);
        mbi_plan_lay_out(&p);
        refused += p.fault != NULL;
        large += !p.fault && p.large;
        for (uint32_t i = 0; i < p.n_vars; i++)
            exact += !p.fault && p.var[i].exact;
        if (!p.fault) {
            check_digits(&p);
            check_complements(&p);
        }
        mbi_free(&host, p.box);
        mbi_plan_free_relations(&p);
    }
    test_check(large > 30 && refused > 3 && exact > 30, "%zu large, %zu refused, %zu exact", large,
               refused, exact);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: commitments and their openings, complete for every shape, sound under every change. */
#include "commit_case.h"
#include <math.h>

/* ---- the plan ---- */

START_TEST(queries_are_those_of_the_bound)
{
    static const unsigned want[] = {0, 203, 124, 102, 93};

    for (unsigned rate = 1; rate <= MBI_CODE_RATE_MAX; rate++) {
        const double each = 1 - log2(1 + ldexp(1, -(int)rate));

        if (rate < MBI_COUNT(want))
            ck_assert_uint_eq(MBI_EXT(code_queries)(rate, 16, 100), want[rate]);
        for (unsigned bits = 1; bits <= 128; bits++) {
            const unsigned t = MBI_EXT(code_queries)(rate, 0, bits);

            test_that(t * each >= bits && (t - 1) * each < bits);
            ck_assert_uint_eq(MBI_EXT(code_queries)(rate, 9, bits + 9), t);
        }
        ck_assert_uint_eq(MBI_EXT(code_queries)(rate, 16, 10), 1);
    }
}
END_TEST

START_TEST(small_vectors_have_small_openings)
{
    struct mbi_code code;

    for (unsigned rate = 1; rate <= 4; rate++)
        for (unsigned bits = 4; bits <= 20; bits++) {
            test_that(MBI_EXT(code_choose)(&code, &bits, 1, rate, 16, 100));
            test_that(!MBI_EXT(code_fault)(&code));
            ck_assert_uint_eq(code.log_length - code.log_columns, rate);
            for (unsigned k = 0; k <= bits; k++) { /* no other is shorter */
                struct mbi_code other = code;
                const unsigned rows = bits - k, best = bits - code.log_columns;

                other.log_columns = k;
                other.log_length = k + rate;
                test_that(MBI_EXT(code_fault)(&other) ||
                          MBI_EXT(open_size_mean)(&other, &rows, 1) >=
                              MBI_EXT(open_size_mean)(&code, &best, 1));
            }
            if (bits <= 12 && rate == 2) {
                const unsigned rows = bits - code.log_columns;

                test_that(MBI_EXT(open_size_mean)(&code, &rows, 1) < 35 * 1024);
            }
        }
}
END_TEST

/* Vectors that need no layers have none; the layers of others are the best ones. */
START_TEST(long_vectors_have_further_layers)
{
    for (unsigned bits = 4; bits <= 27; bits++) {
        const unsigned longer = bits < 16 || bits > 23 ? bits : bits + 3 < 24 ? bits + 3 : 24;
        const unsigned both[] = {bits, longer}, flat = 28u * 1024;
        struct mbi_code code, alone;
        unsigned rows[2];

        test_that(MBI_EXT(code_of)(&code, bits, 2, 100));
        test_that(!MBI_EXT(code_fault)(&code));
        test_that((code.depth > 0) == (bits > 16));
        test_that(code.work == (bits > 16 ? 18 : 16) && MBI_EXT(code_level)(&code) >= 100);
        for (size_t i = 0; i < 2; i++)
            rows[i] = both[i] - code.log_columns;
        if (bits > 16)
            test_that(MBI_EXT(open_size_mean)(&code, rows, 2) < (bits - 10) * flat);
        test_that(MBI_EXT(code_of)(&alone, bits, 1, 100) && !MBI_EXT(code_fault)(&alone));
        test_that((alone.depth > 0) == (bits > 16) && MBI_EXT(code_level)(&alone) >= 100);
        rows[1] = bits - alone.log_columns;
        test_that(MBI_EXT(open_size_mean)(&alone, rows + 1, 1) <=
                  MBI_EXT(open_size_mean)(&code, rows, 1));
    }
    test_that(!MBI_EXT(code_of)(&(struct mbi_code){0}, 20, 0, 100));
    test_that(!MBI_EXT(code_of)(&(struct mbi_code){0}, 20, 3, 100));
}
END_TEST

/* With two further layers, whatever they are, openings are no shorter. */
START_TEST(no_other_layers_are_better)
{
    const unsigned both[] = {18, 21};
    struct mbi_code code, other;
    unsigned rows[2];
    uint64_t best;
    size_t equal = 0;

    test_that(MBI_EXT(code_of)(&code, 18, 2, 100) && code.depth >= 2);
    for (size_t i = 0; i < 2; i++)
        rows[i] = both[i] - code.log_columns;
    best = MBI_EXT(open_size_mean)(&code, rows, 2);
    other = code;
    for (unsigned k = 0; k < code.log_columns; k++)
        for (unsigned rate = 1; rate <= 4 && code.log_columns + rate <= 19; rate++) {
            other.further[0] =
                (struct mbi_layer){k, k + rate, MBI_EXT(code_queries)(rate, 18, 100), 18};
            if (MBI_EXT(code_fault)(&other) || code.log_columns - k > 8)
                continue;
            test_that(MBI_EXT(open_size_mean)(&other, rows, 2) >= best);
            equal += MBI_EXT(open_size_mean)(&other, rows, 2) == best;
        }
    ck_assert_uint_ge(equal, 1);
    other = code;
    for (other.depth = 0; other.depth < code.depth; other.depth++)
        test_that(MBI_EXT(open_size_mean)(&other, rows, 2) > best);
}
END_TEST

START_TEST(wrong_codes_are_named)
{
    static const struct {
        struct mbi_code code;
        const char *words;
    } wrong[] = {
        {FLAT(20, 28, 203, 16, 100), "too long"},
        {FLAT(8, 8, 203, 16, 0), "rate"},
        {FLAT(9, 8, 203, 16, 0), "rate"},
        {FLAT(8, 17, 203, 16, 0), "rate"},
        {FLAT(8, 9, 0, 16, 0), "queries"},
        {FLAT(8, 9, 4097, 16, 0), "queries"},
        {FLAT(8, 9, 203, 41, 0), "work"},
        {FLAT(8, 9, 202, 16, 100), "level"},
        {FLAT(8, 9, 203, 15, 100), "level"},
        {FLAT(8, 9, 4096, 16, 129), "few queries"},
        {FLAT(UINT32_MAX, 9, 203, 16, 0), "rate"},
        {FLAT(8, 9, 4096, 16, UINT32_MAX), "few queries"},
        {FLAT(8, UINT32_MAX, 203, 16, 0), "too long"},
#if MBI_EXT_D == 2
        {FLAT(18, 19, 400, 20, 109), "field"},
#endif
    };
    const struct mbi_code good = FLAT(8, 9, 203, 16, 100);
    unsigned bits[MBI_OPEN_VECTORS + 1] = {10, 33};
    struct mbi_code code;

    test_that(!MBI_EXT(code_fault)(&good));
    for (size_t i = 0; i < 7; i++) {
        static const char *const words[] = {"layers", "not shorter", "queries", "work",
                                            "rate",   "few queries", "too long"};
        const char *fault;

        code = good;
        code.depth = i ? 2 : MBI_CODE_DEPTH + 1;
        code.further[0] = (struct mbi_layer){7, 9, 124, 16};
        code.further[1] = (struct mbi_layer){6, 9, 102, 16};
        test_that(!i || !MBI_EXT(code_fault)(&code));
        code.further[1].log_columns += i == 1 ? 1 : 0;
        code.further[1].queries = i == 2 ? 0 : 102;
        code.further[0].work = i == 3 ? 41 : 16;
        code.further[0].log_length -= i == 4 ? 2 : 0;
        code.further[1].queries -= i == 5 ? 1 : 0;
        code.further[1].log_length = i == 6 ? 28 : 9;
        fault = MBI_EXT(code_fault)(&code);
        test_check(fault && strstr(fault, words[i]), "layer fault %zu: %s", i,
                   fault ? fault : "none");
    }
    for (size_t i = 0; i < MBI_COUNT(wrong); i++) {
        const char *fault = MBI_EXT(code_fault)(&wrong[i].code);

        test_check(fault && strstr(fault, wrong[i].words), "code %zu: %s", i,
                   fault ? fault : "no fault");
    }
    test_that(!MBI_EXT(code_choose)(&code, bits, 0, 1, 16, 100));
    test_that(!MBI_EXT(code_choose)(&code, bits, 2, 1, 16, 100));
    test_that(!MBI_EXT(code_choose)(&code, bits, MBI_OPEN_VECTORS + 1, 1, 16, 100));
    test_that(!MBI_EXT(code_choose)(&code, bits, 1, 0, 16, 100));
    test_that(!MBI_EXT(code_choose)(&code, bits, 1, MBI_CODE_RATE_MAX + 1, 16, 100));
    test_that(!MBI_EXT(code_choose)(&code, bits, 1, 1, 0, 129));
}
END_TEST

/* ---- completeness ---- */

START_TEST(true_claims_are_accepted)
{
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "true_claims_are_accepted");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned columns = 0; columns <= 9; columns++)
        for (unsigned round = 0; round < 12; round++) {
            const size_t n = round < 4 ? 1 : 1 + random_size(&r, MAX_VECTORS);
            unsigned rows[MAX_VECTORS];
            struct mbi_code code =
                FLAT(columns, columns + 1 + round % 3, 1 + round * 5, round % 5, 0);

            for (size_t i = 0; i < n; i++)
                rows[i] = round < 4 ? round : (unsigned)test_random_below(&r, MAX_BITS - columns);
            random_set(&s, code, rows, n, round == 5 ? 0 : 1 + random_size(&r, MAX_CLAIMS), &m, &r);
            check_complete(&s, &m);
            join_some(&s, &r);
            check_complete(&s, &m);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

START_TEST(true_claims_are_accepted_in_several_layers)
{
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "true_claims_are_accepted_in_several_layers");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned columns = 1; columns <= 8; columns++)
        for (unsigned round = 0; round < 4 * MBI_CODE_DEPTH; round++) {
            const size_t n = 1 + random_size(&r, MAX_VECTORS);
            unsigned rows[MAX_VECTORS];
            struct mbi_code code =
                FLAT(columns, columns + 1 + round % 3, 1 + round * 3, round % 3, 0);

            add_layers(&code, 1 + round % MBI_CODE_DEPTH, &r);
            for (size_t i = 0; i < n; i++)
                rows[i] = (unsigned)test_random_below(&r, 10 - columns);
            random_set(&s, code, rows, n, round == 5 ? 0 : 1 + random_size(&r, MAX_CLAIMS), &m, &r);
            check_complete(&s, &m);
            join_some(&s, &r);
            check_complete(&s, &m);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

/* Rows that are not in use take no memory where no form reaches them. */
START_TEST(openings_reach_as_far_as_entries_and_forms)
{
    enum { BITS = 16 };
    const struct mbi_code code = FLAT(9, 11, 20, 0, 0);
    static const struct {
        uint64_t rows, below, block;
        unsigned bits;
        size_t reach; /* chunks are of 2^13 */
    } of[] = {{1, 1 << 16, 0, 16, 1 << 16},  {1, 0, 0, 16, 1 << 13},
              {33, 1 << 14, 0, 16, 3 << 13}, {33, (1 << 15) + 1, 0, 16, 5 << 13},
              {1, 1 << 10, 39, 10, 5 << 13}, {1, 5, 40, 10, 6 << 13},
              {128, 1, 0, 16, 1 << 16},      {1, 1, 0, 0, 1 << 13}};
    struct mbi_ext z[BITS];
    struct test_random r;

    test_random_init(&r, "openings_reach_as_far_as_entries_and_forms");
    random_point(z, BITS, &r);
    for (size_t i = 0; i < MBI_COUNT(of); i++) {
        const struct mbi_root root = {.log_rows = BITS - 9, .rows = of[i].rows};
        const struct mbi_form form = {
            of[i].bits, mbi_ext_from(1), 1, {MBI_EXT(form_eq)(0, of[i].bits, of[i].below, z)}};
        const struct mbi_claim claim = {.block = of[i].block, .form = &form};
        const struct mbi_opening o = {code, &root, 1, &claim, 1};
        size_t reach;

        MBI_EXT(open_reach)(&reach, &o);
        test_check(reach == of[i].reach, "case %zu: %zu entries", i, reach);
    }
}
END_TEST

#define MANY 700

/* More claims than are expanded at a time, also about a whole vector that is longer than what is
 * expanded of a form, and one whose range ends early. Most entries are zero; in one of the two
 * commitments their rows are in use. */
START_TEST(many_claims_are_accepted)
{
    enum { BITS = 15, GIVEN = (1 << 13) + 77 };
    struct mbi_code code = FLAT(8, 10, 20, 0, 0);
    struct mbi_form *form = calloc(MANY, sizeof(*form));
    struct mbi_claim *claim = calloc(MANY, sizeof(*claim));
    struct mbi_ext z[BITS];
    struct mbi_commitment vector;
    struct mbi_opening o = {code, &vector.root, 1, claim, MANY};
    struct machine m;
    struct test_random r;
    struct mbi_table table;

    test_that(form && claim);
    test_random_init(&r, "many_claims_are_accepted");
    machine_init(&m, 2, mbi_field_kernels_best());
    table = random_table(MBI_TABLE_U16, 1 << BITS, &r);
    memset((uint16_t *)(uintptr_t)table.data + GIVEN, 0, 2 * ((1 << BITS) - GIVEN));
    random_point(z, BITS, &r);
    for (size_t k = 0; k < MANY; k++) {
        const unsigned bits = k % 100 ? (unsigned)(k % 12) : BITS;
        const uint64_t size = (uint64_t)1 << bits, block = k % ((uint64_t)1 << (BITS - bits));
        const uint64_t below = k == 100 ? size - 5 : size;
        const struct mbi_table part = {
            MBI_TABLE_U16, (const uint16_t *)table.data + (block << bits), (size_t)below};

        form[k] = (struct mbi_form){
            bits, mbi_ext_from(1), 1, {MBI_EXT(form_eq)(0, bits, below, z + BITS - bits)}};
        claim[k] = (struct mbi_claim){.block = block, .form = &form[k]};
        claim[k].value = MBI_EXT(table_at)(&part, z + BITS - bits, bits);
    }
    for (o.code.depth = 0; o.code.depth < 2; o.code.depth++) {
        struct mbi_proof_writer w;

        ck_assert_int_eq(MBI_EXT(commit)(&vector, &table, BITS, &code, NULL, &m.ntt, NULL),
                         MAMBAINT_OK);
        ck_assert_uint_eq(vector.root.rows, o.code.depth ? 33 : 128);
        table.n = GIVEN;
        o.code.further[0] = (struct mbi_layer){4, 6, 20, 0};
        mbi_proof_writer_init(&w, &m.host, "test");
        ck_assert_int_eq(MBI_EXT(open_prove)(&o, &vector, &w, &m.host, m.kernels, NULL),
                         MAMBAINT_OK);
        for (size_t wrong = 0; wrong < 3; wrong++) { /* none, one value, one more */
            struct mbi_proof_reader reader;
            mbi_fe *value = &claim[333 * wrong].value.c[0];

            *value = wrong ? mbi_fe_add(*value, 1) : *value;
            mbi_proof_reader_init(&reader, w.bytes.data, w.bytes.size, "test");
            test_that(MBI_EXT(open_verify)(&o, &reader, &m.host) == !wrong);
            *value = wrong ? mbi_fe_sub(*value, 1) : *value;
        }
        mbi_proof_writer_free(&w);
        MBI_EXT(commitment_free)(&vector);
    }
    free_table(&table);
    free(claim);
    free(form);
    machine_free(&m);
}
END_TEST

/* Those that are made when they are asked for are those that are kept. */
static void check_made(const struct mbi_ext *w, size_t n, const struct mbi_opening *o,
                       struct mbi_ext join, const struct machine *m)
{
    const size_t most = (size_t)1 << MBI_FORM_BLOCK_LOG;
    struct mbi_open_weights *f = MBI_EXT(open_weights)(o, join, &m->host, m->kernels);
    struct mbi_ext made[1 << MBI_FORM_BLOCK_LOG];

    test_that(f && MBI_EXT(open_weights_has)(f, 0));
    for (size_t begin = 0, size = 1; begin < n; begin += size, size = size % most + 1) {
        size = most - begin % most < size ? most - begin % most : size;
        MBI_EXT(open_weights_make)(made, f, 0, begin, size);
        test_check(!memcmp(made, w + begin, size * sizeof(*made)), "%zu weights from %zu on", size,
                   begin);
    }
    MBI_EXT(open_weights_free)(f, &m->host);
}

/* Claims about a whole vector that is longer than what is expanded at a time: masked at its parts'
 * ends and between them, several at one point. */
START_TEST(weights_of_long_vectors)
{
    enum { BITS = 14, CLAIMS = 7 };
    static const uint64_t below[CLAIMS] = {1 << BITS, 9000, 9216, 9100, 700, 0, 16383};
    const size_t n = (size_t)1 << BITS;
    struct mbi_ext *w = calloc(n, sizeof(*w)), *eq = calloc(2 * n, sizeof(*eq));
    struct mbi_ext z[2][BITS], power = mbi_ext_from(1), join;
    struct mbi_form form[CLAIMS];
    struct mbi_claim claim[CLAIMS];
    const struct mbi_root root = {.log_rows = 4};
    const struct mbi_opening o = {FLAT(10, 11, 4, 0, 0), &root, 1, claim, CLAIMS};
    struct mbi_ext *const vectors[] = {w};
    struct test_random r;
    struct machine m;

    test_random_init(&r, "weights_of_long_vectors");
    machine_init(&m, 2, mbi_field_kernels_best());
    test_that(w && eq);
    join = random_ext(&r);
    for (size_t i = 0; i < 2; i++) {
        random_point(z[i], BITS, &r);
        MBI_EXT(eq_table)(eq + i * n, z[i], BITS, mbi_ext_from(1));
    }
    for (size_t k = 0; k < CLAIMS; k++) {
        form[k] = (struct mbi_form){
            BITS, random_ext(&r), 1, {MBI_EXT(form_eq)(0, BITS, below[k], z[k == 3])}};
        claim[k] = (struct mbi_claim){.form = &form[k], .joined = k == 2};
    }
    test_that(MBI_EXT(open_fill)(vectors, &o, join, &m.host, m.kernels));
    check_made(w, n, &o, join, &m);
    for (size_t k = 0; k < CLAIMS; k++) {
        power = k && !claim[k].joined ? mbi_ext_mul(power, join) : power;
        for (size_t x = 0; x < below[k]; x++)
            w[x] = mbi_ext_sub(
                w[x], mbi_ext_mul(mbi_ext_mul(power, form[k].scale), eq[(k == 3) * n + x]));
    }
    for (size_t x = 0; x < n; x++)
        test_check(mbi_ext_is_zero(w[x]), "the weight of entry %zu", x);
    machine_free(&m);
    free(w);
    free(eq);
}
END_TEST

START_TEST(every_machine_writes_the_same_proof)
{
    struct mbi_code code = FLAT(9, 11, 40, 6, 0);
    struct test_random r;

    test_random_init(&r, "every_machine_writes_the_same_proof");
    check_machines(&code, &r);
    code.depth = 2;
    code.further[0] = (struct mbi_layer){6, 10, 30, 3};
    code.further[1] = (struct mbi_layer){3, 5, 20, 2};
    check_machines(&code, &r);
}
END_TEST

START_TEST(sizes_are_as_planned_on_average)
{
    const unsigned rows[] = {3, 2}, bits[] = {8, 7};
    const struct mbi_code code = FLAT(5, 7, 60, 0, 0);
    struct machine m;
    struct test_random r;
    struct set s;
    uint64_t total = 0, mean;
    const uint64_t rounds = 100;

    test_random_init(&r, "sizes_are_as_planned_on_average");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (uint64_t i = 0; i < rounds; i++) {
        struct mbi_proof_writer w;

        strict_set(&s, code, rows, 2, &m, &r);
        test_that(s.bits[0] == bits[0] && s.bits[1] == bits[1]);
        prove(&w, &s, &m);
        total += w.bytes.size;
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    mean = MBI_EXT(open_size_mean)(&code, rows, 2);
    test_check(total > rounds * mean * 98 / 100 && total < rounds * mean * 102 / 100,
               "%llu bytes in %llu, not %llu each", (unsigned long long)total,
               (unsigned long long)rounds, (unsigned long long)mean);
    machine_free(&m);
}
END_TEST

START_TEST(refused_memory_leaves_nothing)
{
    const unsigned rows = 2;
    const struct mbi_code code = FLAT(3, 5, 6, 2, 0);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "refused_memory_leaves_nothing");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned depth = 0; depth <= 2; depth++) {
        struct mbi_code deep = code;

        add_layers(&deep, depth, &r);
        random_set(&s, deep, &rows, 1, 2, &m, &r);
        test_that(test_refuse_each(commit_and_open, &s) > 10 + depth);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* ---- soundness: what a prover may try ---- */

static void check_cheat(const struct set *s, const struct machine *m, enum cheat cheat,
                        const char *words)
{
    struct mbi_proof_writer w;
    struct plain p;

    prove_plain(&p, &w, s, m, cheat);
    refused(s, &w, words);
    mbi_proof_writer_free(&w);
}

/* Enough queries to find a row that is wrong in all but a quarter of the columns at most. */
START_TEST(cheating_provers_are_refused)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = FLAT(3, 5, 60, 5, 0);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "cheating_provers_are_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int round = 0; round < 30; round++) {
        const size_t k = random_size(&r, 3);

        strict_set(&s, code, rows, 2, &m, &r);
        check_cheat(&s, &m, ROW, not_claims);
        check_cheat(&s, &m, ROW_FOR_CLAIMS, not_row);
        check_cheat(&s, &m, NO_WORK, "work");
        check_cheat(&s, &m, NOT_COMMITTED, not_path);
        s.claim[k].value = mbi_ext_add(s.claim[k].value, mbi_ext_from(1));
        check_cheat(&s, &m, HONEST, not_claims);
        check_cheat(&s, &m, ROW_FOR_CLAIMS, not_row);
        s.claim[(k + 1) % 3].value = /* errors that cancel in the sum of the claims */
            mbi_ext_sub(s.claim[(k + 1) % 3].value, mbi_ext_from(1));
        check_cheat(&s, &m, HONEST, not_claims);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* No claims: the row alone is checked, by the columns. */
START_TEST(a_row_is_checked_without_claims)
{
    static const unsigned rows[] = {2};
    const struct mbi_code code = FLAT(3, 5, 60, 0, 0);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "a_row_is_checked_without_claims");
    machine_init(&m, 1, mbi_field_kernels_best());
    strict_set(&s, code, rows, 1, &m, &r);
    s.o.n_claims = 0;
    check_complete(&s, &m);
    check_cheat(&s, &m, ROW, not_row);
    free_set(&s);
    machine_free(&m);
}
END_TEST

static void check_rate(struct mbi_code code, size_t wrong, const struct machine *m,
                       struct test_random *r)
{
    static const unsigned rows[] = {2, 1};
    const size_t length = (size_t)1 << code.log_length;
    const double p = pow(1 - (double)wrong / (double)length, code.queries);
    const int rounds = 600;
    int accepted = 0;
    double off;

    for (int i = 0; i < rounds; i++) {
        const size_t vector = random_size(r, 2), start = random_size(r, length);
        struct mbi_proof_writer w;
        const char *fault;
        struct set s;

        strict_set(&s, code, rows, 2, m, r);
        for (size_t k = 0; k < wrong; k++) { /* another for each, 5 is odd */
            const size_t row = random_size(r, (size_t)1 << rows[vector]);
            mbi_fe *x = &s.vector[vector].codeword[row * length + (start + 5 * k) % length];

            *x = mbi_fe_add(*x, 1 + test_random_below(r, 1000));
        }
        hash_again(&s, vector, m);
        prove(&w, &s, m);
        fault = verify(&s, w.bytes.data, w.bytes.size);
        test_check(!fault || strstr(fault, not_row), "another fault: %s", fault);
        accepted += !fault;
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    off = accepted - rounds * p;
    test_check(off * off <= 36 * rounds * p * (1 - p) + 4, "%d of %d accepted, not %g of them",
               accepted, rounds, p);
}

/* One symbol; as many as are still nearest to the codeword; and more, which is far. */
START_TEST(wrong_codewords_are_found_at_the_rate_of_the_bound)
{
    const struct mbi_code code = FLAT(2, 4, 8, 0, 0), few = FLAT(2, 4, 3, 0, 0),
                          half = FLAT(4, 5, 4, 0, 0);
    struct machine m;
    struct test_random r;

    test_random_init(&r, "wrong_codewords_are_found_at_the_rate_of_the_bound");
    machine_init(&m, 1, mbi_field_kernels_best());
    check_rate(code, 1, &m, &r);
    check_rate(few, 6, &m, &r);
    check_rate(few, 7, &m, &r);
    check_rate(half, 1, &m, &r);
    check_rate(half, 9, &m, &r);
    machine_free(&m);
}
END_TEST

/* ---- soundness: further layers ---- */

#define DEPTH 2

/* Enough queries in each layer to find what is far from it. */
static struct mbi_code deep_code(unsigned queries, unsigned work)
{
    struct mbi_code code = FLAT(5, 7, queries, work, 0);

    code.depth = DEPTH;
    code.further[0] = (struct mbi_layer){3, 5, queries, work};
    code.further[1] = (struct mbi_layer){2, 4, queries, work};
    return code;
}

static const char *cheat_at(struct plain *p, const struct set *s, const struct machine *m,
                            enum cheat cheat, unsigned layer)
{
    struct mbi_proof_writer w;
    const char *fault;

    p->cheat = cheat;
    p->layer = layer;
    cheat_plain(p, &w, s, m);
    fault = verify(s, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    return fault;
}

static void refused_at(const struct set *s, const struct machine *m, enum cheat cheat,
                       unsigned layer, const char *words)
{
    struct plain p = {.wrong = 0};
    const char *fault = cheat_at(&p, s, m, cheat, layer);

    test_check(fault && strstr(fault, words), "cheat %d at layer %u, not \"%s\": %s", (int)cheat,
               layer, words, fault ? fault : "accepted");
}

START_TEST(cheating_provers_are_refused_in_every_layer)
{
    static const unsigned rows[] = {2, 1};
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "cheating_provers_are_refused_in_every_layer");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int round = 0; round < 10; round++) {
        const size_t k = random_size(&r, 3);

        strict_set(&s, deep_code(60, 3), rows, 2, &m, &r);
        for (unsigned layer = 0; layer <= DEPTH; layer++) {
            refused_at(&s, &m, ROW, layer, not_claims);
            refused_at(&s, &m, ROW_FOR_CLAIMS, layer, layer < DEPTH ? not_claims : not_row);
            refused_at(&s, &m, NO_WORK, layer, "work");
            refused_at(&s, &m, NOT_COMMITTED, layer, not_path);
            refused_at(&s, &m, Q0, layer, not_claims);
        }
        refused_at(&s, &m, Q0, DEPTH + 1, not_claims); /* the rounds after the row */
        for (unsigned layer = 1; layer <= DEPTH; layer++) {
            refused_at(&s, &m, ORDER, layer, layer < DEPTH ? not_claims : not_row);
            refused_at(&s, &m, NOT_THE_ROOT, layer, not_path);
        }
        s.claim[k].value = mbi_ext_add(s.claim[k].value, mbi_ext_from(1));
        refused_at(&s, &m, HONEST, 0, not_claims);
        for (unsigned layer = 0; layer <= DEPTH; layer++) /* a row that gives the false claim */
            refused_at(&s, &m, ROW_FOR_CLAIMS, layer, layer < DEPTH ? not_claims : not_row);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* `wrong` columns of a further layer, or of the first vector, have another entry: how often is that
 * not found? */
static void check_layer_rate(unsigned layer, unsigned queries, size_t wrong,
                             const struct machine *m, struct test_random *r)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = deep_code(queries, 0);
    const size_t length = (size_t)1 << mbi_code_layer(&code, layer).log_length;
    const double chance = pow(1 - (double)wrong / (double)length, queries);
    const int rounds = 400;
    int accepted = 0;
    double off;

    for (int i = 0; i < rounds; i++) {
        struct plain p = {.wrong = wrong, .start = random_size(r, length)};
        const char *fault;
        struct set s;

        strict_set(&s, code, rows, 2, m, r);
        for (size_t k = 0; !layer && k < wrong; k++) {
            mbi_fe *x = &s.vector[0].codeword[k % 4 * length + (p.start + 5 * k) % length];

            *x = mbi_fe_add(*x, 1);
        }
        if (!layer)
            hash_again(&s, 0, m);
        fault = cheat_at(&p, &s, m, SYMBOLS, layer);
        test_check(!fault || strstr(fault, layer < DEPTH ? not_claims : not_row),
                   "another fault: %s", fault);
        accepted += !fault;
        free_set(&s);
    }
    off = accepted - rounds * chance;
    test_check(off * off <= 36 * rounds * chance * (1 - chance) + 4,
               "layer %u: %d of %d accepted, not %g of them", layer, accepted, rounds, chance);
}

START_TEST(wrong_codewords_are_found_in_every_layer)
{
    struct machine m;
    struct test_random r;

    test_random_init(&r, "wrong_codewords_are_found_in_every_layer");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned layer = 0; layer <= DEPTH; layer++) {
        check_layer_rate(layer, 8, 1, &m, &r);
        check_layer_rate(layer, 3, 6, &m, &r);
    }
    machine_free(&m);
}
END_TEST

/* Leaves in another order than the powers of the root. */
START_TEST(leaves_have_their_order)
{
    static const unsigned rows[] = {2};
    const struct mbi_code code = FLAT(3, 5, 30, 0, 0);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "leaves_have_their_order");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int order = 0; order < 2; order++) {
        struct mbi_proof_writer w;
        mbi_fe *x;

        strict_set(&s, code, rows, 1, &m, &r);
        x = s.vector[0].codeword;
        for (size_t k = 0; k < 4; k++, x += 32) {
            mbi_fe other[32];

            for (size_t j = 0; j < 32; j++) { /* backwards; bits reversed */
                size_t from = order ? 0 : 31 - j;

                for (size_t b = 0; order && b < 5; b++)
                    from |= (j >> b & 1) << (4 - b);
                other[j] = x[from];
            }
            memcpy(x, other, sizeof(other));
        }
        hash_again(&s, 0, &m);
        prove(&w, &s, &m);
        refused(&s, &w, not_row);
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* ---- soundness: every change of a proof ---- */

/* Exchanges two parts of n bytes that differ. */
static void swap_parts(const struct set *s, const struct mbi_proof_writer *w, size_t a, size_t b,
                       size_t n, const char *words)
{
    uint8_t *data = w->bytes.data, part[512];

    test_that(n <= sizeof(part) && b + n <= w->bytes.size && memcmp(data + a, data + b, n) != 0);
    for (int back = 0; back < 2; back++) {
        memcpy(part, data + a, n);
        memcpy(data + a, data + b, n);
        memcpy(data + b, part, n);
        if (!back)
            refused(s, w, words);
    }
}

/* Columns and digests of the first vector, whose columns begin at `at`. */
static void change_columns(const struct set *s, const struct mbi_proof_writer *w,
                           const struct plain *p, size_t at)
{
    const size_t column = 8 * (size_t)s->root[0].rows, path = at + p->n[0] * column;
    uint8_t *longer = malloc(w->bytes.size + column), digest[32];

    swap_parts(s, w, at, at + column, column, not_path);
    swap_parts(s, w, path, path + 32, 32, not_path);
    memcpy(digest, w->bytes.data + path, 32); /* a wrong sibling: the root */
    memcpy(w->bytes.data + path, s->root[0].digest.byte, 32);
    refused(s, w, not_path);
    memcpy(w->bytes.data + path, digest, 32);
    test_that(longer); /* a column twice */
    memcpy(longer, w->bytes.data, at + column);
    memcpy(longer + at + column, w->bytes.data + at, w->bytes.size - at);
    test_that(verify(s, longer, w->bytes.size + column));
    free(longer);
}

static void change_claims(struct set *s, const struct mbi_proof_writer *w)
{
    const char *const words = s->o.code.depth ? "" : not_claims; /* further on: any fault */
    for (size_t k = 0; k < s->o.n_claims; k++) {
        const struct mbi_claim claim = s->claim[k];
        const struct mbi_ext wrong = mbi_ext_add(slow_scale(&claim), mbi_ext_from(1));

        for (int c = 0; c < MBI_EXT_D; c++) {
            s->claim[k].value.c[c] = mbi_fe_add(claim.value.c[c], 1);
            refused(s, w, words);
            s->claim[k] = claim;
        }
        s->claim[k].scale = &wrong;
        refused(s, w, words);
        s->claim[k] = claim;
        s->claim[k].shift ^= 1;
        refused(s, w, words);
        s->claim[k] = claim;
        if (k) {
            s->claim[k] = s->claim[0];
            s->claim[0] = claim;
            refused(s, w, words);
            s->claim[0] = s->claim[k];
            s->claim[k] = claim;
        }
    }
    s->claim[s->o.n_claims - 1].block = 0;
    refused(s, w, words);
    s->claim[s->o.n_claims - 1].block = 1;
    s->o.n_claims--;
    refused(s, w, words);
    s->o.n_claims++;
}

/* What the verifier knows besides: roots, their order, the code. */
static void change_statement(struct set *s, const struct mbi_proof_writer *w)
{
    const char *const words = s->o.code.depth ? "" : not_claims; /* further on: any fault */
    const struct mbi_root root = s->root[0];
    const struct mbi_code code = s->o.code;

    s->root[0].digest.byte[31] ^= 1;
    refused(s, w, words);
    s->root[0] = s->root[1];
    s->root[1] = root;
    test_that(verify(s, w->bytes.data, w->bytes.size));
    s->root[1] = s->root[0];
    s->root[0] = root;
    s->root[0].digest = s->root[1].digest;
    s->root[1].digest = root.digest;
    refused(s, w, words);
    s->root[1].digest = s->root[0].digest;
    s->root[0] = root;
    s->root[0].rows--; /* what it says of zeros is absorbed, and a column is shorter */
    refused(s, w, words);
    s->root[0] = root;
    s->o.code.queries++;
    refused(s, w, words);
    s->o.code = code;
    s->o.code.work--;
    refused(s, w, words);
    s->o.code = code;
    s->o.code.log_length++;
    refused(s, w, words);
    s->o.code = code;
}

START_TEST(every_change_is_refused)
{
    static const unsigned rows[] = {2, 1};
    /* Another nonce that holds is no change if it leads to the same positions: one in 10^9. */
    const struct mbi_code code = FLAT(2, 5, 9, 6, 0);
    struct machine m;
    struct test_random r;

    test_random_init(&r, "every_change_is_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int round = 0; round < 6; round++) {
        struct mbi_proof_writer w;
        struct plain p;
        struct set s;
        size_t at;

        strict_set(&s, code, rows, 2, &m, &r);
        prove_plain(&p, &w, &s, &m, HONEST);
        at = 8 * MBI_EXT_D * (2 * 3 + 4);
        test_that(!verify(&s, w.bytes.data, w.bytes.size));
        change_elements(&s, &w, at);
        if (p.n[0] > 1)
            change_columns(&s, &w, &p, at + 8);
        change_claims(&s, &w);
        change_statement(&s, &w);
        change_length(&s, &w);
        flip_bits(&s, &w);
        test_that(!verify(&s, w.bytes.data, w.bytes.size)); /* all changes were taken back */
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* Every bit, every length, what is not canonical; another root. */
START_TEST(every_change_is_refused_in_several_layers)
{
    static const unsigned rows[] = {2, 1};
    struct mbi_code code = FLAT(3, 6, 7, 4, 0);
    struct machine m;
    struct test_random r;

    test_random_init(&r, "every_change_is_refused_in_several_layers");
    machine_init(&m, 1, mbi_field_kernels_best());
    code.depth = DEPTH;
    code.further[0] = (struct mbi_layer){2, 5, 6, 5};
    code.further[1] = (struct mbi_layer){1, 4, 5, 3};
    for (int round = 0; round < 2; round++) {
        const size_t root = 8 * MBI_EXT_D * 2 * 3; /* of layer 1, behind the rounds */
        struct mbi_proof_writer w;
        uint8_t before[32];
        struct plain p;
        struct set s;

        strict_set(&s, code, rows, 2, &m, &r);
        prove_plain(&p, &w, &s, &m, HONEST);
        test_that(!verify(&s, w.bytes.data, w.bytes.size));
        change_elements(&s, &w, root);
        memcpy(before, w.bytes.data + root, 32);
        memcpy(w.bytes.data + root, s.root[0].digest.byte, 32);
        test_that(verify(&s, w.bytes.data, w.bytes.size));
        memcpy(w.bytes.data + root, before, 32);
        s.o.code.further[1].queries++;
        test_that(verify(&s, w.bytes.data, w.bytes.size));
        s.o.code.further[1].queries--;
        s.o.code.depth--;
        test_that(verify(&s, w.bytes.data, w.bytes.size));
        s.o.code.depth++;
        change_statement(&s, &w);
        change_claims(&s, &w);
        change_length(&s, &w);
        flip_bits(&s, &w);
        test_that(!verify(&s, w.bytes.data, w.bytes.size)); /* all changes were taken back */
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

START_TEST(any_bytes_are_read_and_refused)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = FLAT(2, 4, 6, 0, 0);
    struct machine m;
    struct test_random r;
    struct set s;
    uint8_t proof[2000];

    test_random_init(&r, "any_bytes_are_read_and_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    strict_set(&s, code, rows, 2, &m, &r);
    for (int round = 0; round < 2000; round++) {
        test_random_bytes(&r, proof, sizeof(proof));
        for (size_t i = 7; i < sizeof(proof) && round % 3; i += 8)
            proof[i] &= 0x7F; /* canonical */
        if (round % 3 == 2)
            memset(proof, 0, sizeof(proof));
        test_that(verify(&s, proof, random_size(&r, sizeof(proof) + 1)));
    }
    s.claim[0].value = s.claim[1].value = s.claim[2].value = mbi_ext_from(0);
    memset(proof, 0, sizeof(proof)); /* zeros, which a reader gives after a fault, give zero */
    for (size_t n = 0; n < sizeof(proof); n++)
        test_that(verify(&s, proof, n));
    free_set(&s);
    machine_free(&m);
}
END_TEST

START_TEST(wrong_statements_are_named)
{
    static const char *const words[] = {"rate",
                                        "no vector or too many",
                                        "no vector or too many",
                                        "too long",
                                        "too long",
                                        "names a vector",
                                        "more bits than its vector",
                                        "longer than its index",
                                        "too many claims",
                                        "names a block",
                                        "joined to none",
                                        "digits that are not there",
                                        "row in use",
                                        "row in use"};
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = FLAT(2, 4, 6, 0, 0);
    struct machine m;
    struct test_random r;
    mambaint_error err;

    test_random_init(&r, "wrong_statements_are_named");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (size_t i = 0; i < MBI_COUNT(words); i++) {
        struct mbi_proof_writer w;
        struct set s;

        if (i == 8 && MBI_EXT_D == 3 && SIZE_MAX < UINT64_MAX)
            continue; /* more than this machine can count */
        strict_set(&s, code, rows, 2, &m, &r);
        mbi_proof_writer_init(&w, &m.host, "test");
        if (i == 0)
            s.o.code.log_columns = 5;
        if (i == 1)
            s.o.n_roots = 0;
        if (i == 2)
            s.o.n_roots = MBI_OPEN_VECTORS + 1;
        if (i == 3)
            s.root[0].log_rows = 66; /* which a shift may take for 2 */
        if (i == 4)
            s.root[1].log_rows = 30;
        if (i == 5)
            s.claim[2].vector = 2;
        if (i == 6)
            s.claim[1].form = &s.form[0];
        if (i == 7)
            s.form[1].factor[0].index[0].bits--;
        if (i == 8) {
            s.o.code.queries = 4096;
            s.o.code.level = MBI_EXT_D == 2 ? 123 : 128;
            s.o.n_claims = SIZE_MAX;
        }
        if (i == 9)
            s.claim[0].block = 1;
        if (i == 10)
            s.claim[0].joined = true;
        if (i == 11)
            s.claim[1].shift = 64;
        if (i == 12)
            s.root[0].rows = 0;
        if (i == 13)
            s.root[1].rows = 3;
        refused(&s, &w, words[i]);
        ck_assert_int_eq(MBI_EXT(open_prove)(&s.o, s.vector, &w, &m.host, m.kernels, &err),
                         MAMBAINT_E_INTERNAL);
        test_check(strstr(err.message, words[i]), "%s: %s", words[i], err.message);
        s.o.n_roots = 2;
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

START_TEST(wrong_commitments_are_named)
{
    static const unsigned rows[] = {1};
    const struct mbi_code code = FLAT(2, 4, 6, 0, 0), long_code = FLAT(12, 15, 6, 0, 0);
    struct mbi_ext wide[8] = {{{0}}};
    const struct mbi_table ext = {MBI_TABLE_EXT, wide, 8};
    struct mbi_commitment c;
    struct mbi_proof_writer w;
    struct machine m;
    struct test_random r;
    struct set s;
    mambaint_error err;

    test_random_init(&r, "wrong_commitments_are_named");
    machine_init(&m, 1, mbi_field_kernels_best());
    strict_set(&s, code, rows, 1, &m, &r);
    ck_assert_int_eq(MBI_EXT(commit)(&c, &ext, 3, &code, NULL, &m.ntt, &err), MAMBAINT_E_INTERNAL);
    test_that(strstr(err.message, "not over F"));
    ck_assert_int_eq(MBI_EXT(commit)(&c, &s.table[0], 2, &code, NULL, &m.ntt, &err),
                     MAMBAINT_E_INTERNAL);
    test_that(strstr(err.message, "size"));
    ck_assert_int_eq(MBI_EXT(commit)(&c, &s.table[0], 1, &code, NULL, &m.ntt, &err),
                     MAMBAINT_E_INTERNAL);
    ck_assert_int_eq(MBI_EXT(commit)(&c, &s.table[0], 33, &code, NULL, &m.ntt, &err),
                     MAMBAINT_E_INTERNAL);
    ck_assert_int_eq(MBI_EXT(commit)(&c, &s.table[0], 12, &long_code, NULL, &m.ntt, &err),
                     MAMBAINT_E_INVALID); /* the roots of unity do not reach */
    test_that(!c.codeword && !c.tree);
    mbi_proof_writer_init(&w, &m.host, "test");
    s.root[0].digest.byte[0] ^= 1;
    ck_assert_int_eq(MBI_EXT(open_prove)(&s.o, s.vector, &w, &m.host, m.kernels, &err),
                     MAMBAINT_E_INTERNAL);
    test_that(strstr(err.message, "not that of its commitment"));
    mbi_proof_writer_free(&w);
    free_set(&s);
    machine_free(&m);
}
END_TEST

/* ---- another implementation (tests/golden/proof_commit.py, where the cases are) ---- */

enum kind { EQ, SHIFT, ROWS, LIST, TRIANGLE, POWER };

static const struct golden {
    struct mbi_code code;
    unsigned bits[MAX_VECTORS];
    size_t n, n_claims;
    struct {
        size_t vector;
        enum kind kind;
        uint64_t block;
        unsigned less; /* bits than the vector */
        bool joined;
    } claim[MAX_CLAIMS];
} golden[] = {
    {FLAT(3, 4, 5, 0, 0), {5}, 1, 1, {{0, EQ, 0, 0, false}}},
    {FLAT(3, 5, 9, 6, 0),
     {5, 4},
     2,
     4,
     {{0, EQ, 0, 0, false},
      {1, SHIFT, 1, 1, false},
      {0, LIST, 5, 3, false},
      {1, ROWS, 0, 0, false}}},
    {FLAT(2, 4, 12, 3, 0),
     {2, 5, 3},
     3,
     4,
     {{2, POWER, 1, 1, false},
      {1, TRIANGLE, 1, 1, false},
      {0, ROWS, 1, 1, false},
      {1, ROWS, 0, 0, false}}},
    {FLAT(0, 1, 2, 0, 0), {2, 0}, 2, 1, {{0, TRIANGLE, 0, 0, false}}},
    {FLAT(4, 6, 7, 0, 0), {4}, 1, 0, {{0, EQ, 0, 0, false}}},
    {FLAT(8, 9, 203, 16, 100),
     {11, 10},
     2,
     4,
     {{0, EQ, 0, 0, false}, {1, EQ, 3, 2, false}, {0, ROWS, 0, 0, false}, {1, SHIFT, 9, 5, false}}},
    {FLAT(2, 4, 6, 0, 0),
     {3, 4},
     2,
     5,
     {{0, EQ, 0, 0, false},
      {1, ROWS, 1, 1, true},
      {1, POWER, 0, 0, false},
      {0, SHIFT, 0, 0, true},
      {0, ROWS, 1, 2, true}}},
    {{.log_columns = 4,
      .log_length = 6,
      .queries = 9,
      .work = 2,
      .depth = 1,
      .further = {{2, 4, 6, 3}}},
     {6, 5},
     2,
     3,
     {{0, EQ, 0, 0, false}, {1, SHIFT, 1, 1, false}, {1, ROWS, 0, 0, true}}},
    {{.log_columns = 6,
      .log_length = 7,
      .queries = 20,
      .depth = 2,
      .further = {{4, 6, 11, 2}, {1, 4, 7, 0}}},
     {7},
     1,
     2,
     {{0, POWER, 0, 0, false}, {0, LIST, 3, 2, false}}},
    {{.log_columns = 3,
      .log_length = 5,
      .queries = 8,
      .work = 1,
      .depth = 3,
      .further = {{2, 3, 9, 0}, {1, 3, 5, 1}, {0, 2, 3, 0}}},
     {3, 6},
     2,
     2,
     {{1, TRIANGLE, 0, 0, false}, {0, ROWS, 0, 0, false}}},
    {{.log_columns = 2,
      .log_length = 4,
      .queries = 7,
      .work = 1,
      .depth = 1,
      .further = {{1, 3, 6, 0}}},
     {4, 3, 5},
     3,
     4,
     {{2, EQ, 0, 0, false},
      {2, POWER, 1, 1, false},
      {0, ROWS, 0, 0, false},
      {2, TRIANGLE, 3, 2, true}}},
    /* hidden; pads are added */
    {{.log_columns = 3, .log_length = 5, .queries = 5, .work = 2, .masks = 6},
     {4},
     1,
     1,
     {{0, EQ, 0, 0, false}}},
    {{.log_columns = 2, .log_length = 6, .queries = 9, .masks = 20},
     {5, 4},
     2,
     4,
     {{0, EQ, 0, 0, false},
      {1, SHIFT, 1, 1, false},
      {0, LIST, 5, 3, false},
      {1, ROWS, 0, 0, true}}},
    {{.log_columns = 3, .log_length = 6, .queries = 7, .work = 1, .masks = 8},
     {5, 4, 5},
     3,
     0,
     {{0, EQ, 0, 0, false}}},
    {{.log_columns = 4,
      .log_length = 7,
      .queries = 9,
      .work = 2,
      .depth = 1,
      .further = {{2, 4, 6, 3}},
      .masks = 11},
     {6, 5},
     2,
     3,
     {{0, POWER, 0, 0, false}, {1, ROWS, 0, 0, false}, {1, EQ, 3, 3, true}}},
    {{.log_columns = 5,
      .log_length = 7,
      .queries = 8,
      .depth = 2,
      .further = {{4, 6, 11, 2}, {1, 4, 7, 0}},
      .masks = 17},
     {7, 6},
     2,
     2,
     {{1, TRIANGLE, 0, 0, false}, {0, LIST, 3, 2, false}}},
};

static void golden_masks(struct set *s)
{
    const unsigned queries = s->o.code.queries;

    for (size_t i = 0; i < s->o.n_roots; i++)
        for (size_t k = 0; k < sizeof(s->seed[i].byte); k++)
            s->seed[i].byte[k] = (uint8_t)(17 * i + 3 * k + 1);
    test_that(MBI_EXT(code_fit)(&s->o.code, s->bits, s->o.n_roots)); /* pads */
    s->o.code.queries = queries;
}

static uint32_t entry(size_t k, size_t x, uint32_t span)
{
    return ((uint32_t)(k + 3) * (uint32_t)(x + 1) * 2654435761u >> 16) % span;
}

static void golden_point(struct mbi_ext *z, size_t k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < MBI_EXT_D; c++)
            z[i].c[c] = mbi_fe_from_u64((k + 1 + i * MBI_EXT_D + c) * UINT64_C(0x9E3779B97F4A7C15));
}

static void golden_vector(struct set *s, size_t k)
{
    static const enum mbi_table_type types[] = {MBI_TABLE_U8, MBI_TABLE_U16, MBI_TABLE_I32};
    const size_t size = (size_t)1 << s->bits[k],
                 n = k % 3 == 2 ? size / 2 : size - (k % 3 == 1 ? mbi_min_size(3, size) : 0);
    void *data = malloc(4 * size);

    test_that(data);
    s->table[k] = (struct mbi_table){types[k % 3], data, n};
    for (size_t x = 0; x < n; x++)
        if (k % 3 == 0)
            ((uint8_t *)data)[x] = (uint8_t)entry(k, x, 256);
        else if (k % 3 == 1)
            ((uint16_t *)data)[x] = (uint16_t)entry(k, x, 65536);
        else
            ((int32_t *)data)[x] = -(int32_t)entry(k, x, 65536) * 16384 - (int32_t)x;
}

static struct mbi_form_factor golden_factor(struct set *s, size_t k, enum kind kind, unsigned bits)
{
    const uint64_t size = (uint64_t)1 << bits;
    const unsigned high = bits - bits / 2;
    const struct mbi_table rows = {MBI_TABLE_U8, s->rows[k], (size_t)size - 1};
    struct mbi_ext *z = s->z[k];

    for (size_t x = 0; kind == ROWS && x < size; x++)
        s->rows[k][x] = (uint8_t)entry(k, x, 256);
    for (size_t x = 0; x < MAX_LIST; x++)
        s->list[k][x] = entry(k, x, (uint32_t)size);
    switch (kind) {
    case EQ:
        return MBI_EXT(form_eq)(0, bits, size - 3, z);
    case SHIFT:
        return MBI_EXT(form_shift)(0, bits, size, z, bits, size, 2);
    case ROWS:
        return MBI_EXT(form_rows)(0, bits, &rows, z);
    case LIST:
        return MBI_EXT(form_list)(0, bits, size, s->list[k], MAX_LIST, NULL, z, 3);
    case TRIANGLE:
        return MBI_EXT(form_triangle)(0, high, high, bits / 2, (uint64_t)1 << high, z, z + high);
    case POWER:
        break;
    }
    return MBI_EXT(form_power)(0, bits, size - 3, z);
}

static void golden_set(struct set *s, const struct golden *g, const struct machine *m)
{
    memset(s, 0, sizeof(*s));
    s->o = (struct mbi_opening){g->code, s->root, g->n, s->claim, g->n_claims};
    for (size_t i = 0; i < g->n; i++) {
        s->bits[i] = g->bits[i];
        golden_vector(s, i);
    }
    if (g->code.masks)
        golden_masks(s);
    commit_all(s, m);
    for (size_t k = 0; k < g->n_claims; k++) {
        const size_t vector = g->claim[k].vector;
        const unsigned bits = g->bits[vector] - g->claim[k].less;

        golden_point(s->z[k], 100 * k, 2 * MAX_BITS);
        s->form[k] = (struct mbi_form){
            bits, mbi_ext_from(1), 1, {golden_factor(s, k, g->claim[k].kind, bits)}};
        s->claim[k] =
            (struct mbi_claim){.vector = vector, .block = g->claim[k].block, .form = &s->form[k]};
        s->claim[k].value = slow_value(s, k);
        if (g->claim[k].joined)
            join_claim(s, k);
    }
}

static void check_golden(const struct vectors *v, const struct golden *g, const struct machine *m)
{
    struct mbi_proof_writer w;
    struct mbi_digest digest;
    struct set s;
    size_t at = 3;

    golden_set(&s, g, m);
    for (size_t i = 0; i < g->n; i++)
        vectors_same(v, at++, s.root[i].digest.byte, 32);
    for (size_t k = 0; k < g->n_claims; k++) {
        struct mbi_ext value;

        at = vectors_ext(&value, 1, v, at);
        test_check(mbi_ext_equal(value, s.claim[k].value), "line %zu: value %zu", v->line, k);
    }
    prove(&w, &s, m);
    ck_assert_uint_eq(w.bytes.size, vectors_u64(v, at));
    mbi_hash_grind(&digest, w.bytes.data, w.bytes.size);
    if (w.bytes.size < 4096)
        vectors_same(v, at + 1, w.bytes.data, w.bytes.size);
    else
        vectors_same(v, at + 1, digest.byte, 32);
    test_that(!verify(&s, w.bytes.data, w.bytes.size));
    mbi_proof_writer_free(&w);
    free_set(&s);
}

START_TEST(another_implementation_writes_the_same_openings)
{
    struct machine m;
    struct vectors v;
    size_t seen = 0;

    machine_init(&m, 1, mbi_field_kernels_best());
    vectors_open(&v, "golden/proof_commit.txt");
    while (vectors_next(&v))
        if (vectors_u64(&v, 1) == MBI_EXT_D) {
            const size_t k = (size_t)vectors_u64(&v, 2);

            test_that(k == seen++ && k < MBI_COUNT(golden));
            check_golden(&v, &golden[k], &m);
        }
    ck_assert_uint_eq(seen, MBI_COUNT(golden));
    machine_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("commit");
    TCase *t = tcase_create("commit");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, queries_are_those_of_the_bound);
    tcase_add_test(t, small_vectors_have_small_openings);
    tcase_add_test(t, long_vectors_have_further_layers);
    tcase_add_test(t, no_other_layers_are_better);
    tcase_add_test(t, wrong_codes_are_named);
    tcase_add_test(t, true_claims_are_accepted);
    tcase_add_test(t, true_claims_are_accepted_in_several_layers);
    tcase_add_test(t, openings_reach_as_far_as_entries_and_forms);
    tcase_add_test(t, many_claims_are_accepted);
    tcase_add_test(t, weights_of_long_vectors);
    tcase_add_test(t, every_machine_writes_the_same_proof);
    tcase_add_test(t, sizes_are_as_planned_on_average);
    tcase_add_test(t, refused_memory_leaves_nothing);
    tcase_add_test(t, cheating_provers_are_refused);
    tcase_add_test(t, a_row_is_checked_without_claims);
    tcase_add_test(t, wrong_codewords_are_found_at_the_rate_of_the_bound);
    tcase_add_test(t, leaves_have_their_order);
    tcase_add_test(t, cheating_provers_are_refused_in_every_layer);
    tcase_add_test(t, wrong_codewords_are_found_in_every_layer);
    tcase_add_test(t, every_change_is_refused);
    tcase_add_test(t, every_change_is_refused_in_several_layers);
    tcase_add_test(t, any_bytes_are_read_and_refused);
    tcase_add_test(t, wrong_statements_are_named);
    tcase_add_test(t, wrong_commitments_are_named);
    tcase_add_test(t, another_implementation_writes_the_same_openings);
    suite_add_tcase(suite, t);
    return test_main(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: openings that hide, complete for every shape, sound under every change; masks. */
#include "commit_case.h"

static unsigned rounds_of(const unsigned *log_rows, size_t n)
{
    uint64_t first[MBI_OPEN_VECTORS];

    return MBI_EXT(open_stack)(first, log_rows, n);
}

/* Gives a code masks, and pads for the rounds of an opening of such vectors. */
static struct mbi_code hidden(struct mbi_code code, unsigned masks, const unsigned *log_rows,
                              size_t n)
{
    code.masks = masks;
    code.pads = 2 * MBI_EXT_D * rounds_of(log_rows, n);
    while ((size_t)1 << code.log_length <= mbi_code_entries(&code))
        code.log_length++;
    return code;
}

/* ---- the plan ---- */

START_TEST(bits_of_a_query_are_those_of_the_bound)
{
    for (unsigned length = 1; length <= 27; length++)
        for (unsigned rate = 1; rate <= length && rate <= MBI_CODE_RATE_MAX; rate++) {
            const size_t n = (size_t)1 << (length - rate);
            const uint32_t each = MBI_EXT(code_query_bits)(length, n);
            const unsigned t = MBI_EXT(code_queries)(rate, 0, 100);

            ck_assert_uint_eq(((100u << 20) + each - 1) / each, t); /* the table's */
            test_that(MBI_EXT(code_query_bits)(length, n + 1) <= each);
        }
    ck_assert_uint_eq(MBI_EXT(code_query_bits)(27, (size_t)1 << 27), 0);
    ck_assert_uint_eq(MBI_EXT(code_query_bits)(11, 390), 784877);
}
END_TEST

/* As many queries as the level takes, as many masks as they take, and one less is not enough. */
static void check_hidden(const struct mbi_code *code, uint32_t openings)
{
    struct mbi_code other = *code;

    test_check(!MBI_EXT(code_fault)(code), "%s", MBI_EXT(code_fault)(code));
    test_that(MBI_EXT(code_level)(code) >= 100);
    ck_assert_uint_eq(code->masks, openings * code->queries + 1);
    ck_assert_uint_eq(code->work, 18);
    other.queries--;
    other.masks = openings * other.queries + 1;
    test_that(MBI_EXT(code_fault)(&other));
}

START_TEST(hidden_codes_have_masks_for_all_openings)
{
    static const uint32_t openings[] = {1, 2, 64, 1000};

    for (unsigned bits = 4; bits <= 27; bits++)
        for (size_t i = 0; i < MBI_COUNT(openings); i++)
            for (size_t n = 1; n <= 2; n++) {
                const unsigned both[] = {bits, bits + 1};
                struct mbi_code code, fitted;

                if (!MBI_EXT(code_of_hidden)(&code, bits, n, 100, openings[i])) {
                    test_check(openings[i] > 2 && bits < 16, "no code for 2^%u, %u openings", bits,
                               openings[i]);
                    continue;
                }
                check_hidden(&code, openings[i]);
                fitted = code;
                test_that(MBI_EXT(code_fit)(&fitted, both, n));
                test_that(!MBI_EXT(code_fault)(&fitted));
                test_that(fitted.masks == code.masks && fitted.queries <= code.queries);
                test_that(fitted.pads < code.pads && fitted.pads % (2 * MBI_EXT_D) == 0);
            }
    test_that(!MBI_EXT(code_of_hidden)(&(struct mbi_code){0}, 12, 1, 100, 0));
    test_that(!MBI_EXT(code_of_hidden)(&(struct mbi_code){0}, 12, 1, 100, MBI_CODE_OPENINGS + 1));
    test_that(!MBI_EXT(code_of_hidden)(&(struct mbi_code){0}, 12, 0, 100, 1));
}
END_TEST

/* No other code of one layer, with the same work, has shorter openings. */
START_TEST(no_other_hidden_code_is_better)
{
    for (unsigned bits = 6; bits <= 14; bits++) {
        const unsigned both[] = {bits, bits};
        struct mbi_code code, fitted;
        unsigned rows[2];
        uint64_t least;

        test_that(MBI_EXT(code_of_hidden)(&code, bits, 2, 100, 1));
        fitted = code;
        test_that(MBI_EXT(code_fit)(&fitted, both, 2));
        rows[0] = rows[1] = bits - code.log_columns;
        least = MBI_EXT(open_size_mean)(&fitted, rows, 2);
        for (unsigned k = 0; k < bits; k++)
            for (unsigned rate = 1; rate <= 8; rate++) {
                struct mbi_code other = {
                    .log_columns = k, .log_length = k + rate, .work = 18, .level = 100};

                other.pads = 2 * MBI_EXT_D * (32 - k);
                for (other.queries = 1; other.queries <= 500; other.queries++) {
                    other.masks = other.queries + 1;
                    if (!MBI_EXT(code_fault)(&other))
                        break;
                }
                rows[0] = rows[1] = bits - k;
                if (!MBI_EXT(code_fault)(&other) && MBI_EXT(code_fit)(&other, both, 2))
                    test_that(MBI_EXT(open_size_mean)(&other, rows, 2) >= least);
            }
    }
}
END_TEST

static void check_choice(const struct vectors *v)
{
    const unsigned bits = (unsigned)vectors_u64(v, 2);
    const size_t n = vectors_u64(v, 3) ? 1 : 2;
    const unsigned both[] = {bits, bits + 1};
    struct mbi_code code, fitted;

    if (!strcmp(v->word[5], "none")) {
        test_that(!MBI_EXT(code_of_hidden)(&code, bits, n, 100, (uint32_t)vectors_u64(v, 4)));
        return;
    }
    test_that(MBI_EXT(code_of_hidden)(&code, bits, n, 100, (uint32_t)vectors_u64(v, 4)));
    fitted = code;
    test_that(MBI_EXT(code_fit)(&fitted, both, n));
    ck_assert_uint_eq(code.depth, vectors_u64(v, 5));
    ck_assert_uint_eq(code.log_columns, vectors_u64(v, 6));
    ck_assert_uint_eq(code.log_length, vectors_u64(v, 7));
    ck_assert_uint_eq(code.queries, vectors_u64(v, 8));
    ck_assert_uint_eq(code.masks, vectors_u64(v, 9));
    ck_assert_uint_eq(fitted.queries, vectors_u64(v, 10));
    ck_assert_uint_eq(fitted.pads, vectors_u64(v, 11));
    for (size_t i = 0; i < code.depth; i++) {
        ck_assert_uint_eq(code.further[i].log_columns, vectors_u64(v, 12 + 3 * i));
        ck_assert_uint_eq(code.further[i].log_length, vectors_u64(v, 13 + 3 * i));
        ck_assert_uint_eq(code.further[i].queries, vectors_u64(v, 14 + 3 * i));
        ck_assert_uint_eq(code.further[i].work, 18);
    }
}

START_TEST(another_implementation_chooses_the_same_codes)
{
    struct vectors v;
    size_t seen = 0;

    vectors_open(&v, "golden/proof_hidden.txt");
    while (vectors_next(&v))
        if (vectors_u64(&v, 1) == MBI_EXT_D) {
            check_choice(&v);
            seen++;
        }
    ck_assert_uint_gt(seen, 80);
}
END_TEST

START_TEST(wrong_hidden_codes_are_named)
{
    const unsigned rows[] = {1}, bits[] = {9}, long_bits[] = {33};
    const struct mbi_code good = hidden((struct mbi_code)FLAT(8, 10, 200, 16, 0), 201, rows, 1);
    struct mbi_code code = good;

    test_that(!MBI_EXT(code_fault)(&good));
    code.masks--;
    test_that(strstr(MBI_EXT(code_fault)(&code), "few masks"));
    code.masks = 0;
    test_that(strstr(MBI_EXT(code_fault)(&code), "few masks"));
    code.pads = 0;
    test_that(!MBI_EXT(code_fault)(&code));
    code = good;
    code.masks = 1024 - 256 - good.pads;
    test_that(strstr(MBI_EXT(code_fault)(&code), "distance"));
    code.masks--;
    test_that(!MBI_EXT(code_fault)(&code));
    code.level = 20;
    test_that(strstr(MBI_EXT(code_fault)(&code), "few queries"));
    code.masks = (1u << 27) + 1;
    test_that(strstr(MBI_EXT(code_fault)(&code), "many masks"));
    code = good;
    code.pads = (1u << 27) + 1;
    test_that(strstr(MBI_EXT(code_fault)(&code), "many masks"));
    test_that(!MBI_EXT(code_fit)(&code, bits, 0));
    test_that(!MBI_EXT(code_fit)(&code, long_bits, 1));
    code = good;
    test_that(MBI_EXT(code_fit)(&code, bits, 1) && code.pads == 2 * MBI_EXT_D);
}
END_TEST

/* ---- masks ---- */

/* Values of Python's hashlib: tests/golden/proof_commit.py has the same function. */
START_TEST(masks_are_those_of_the_text)
{
    static const struct {
        enum mbi_mask_use use;
        uint64_t number;
        mbi_fe first, ninth, last; /* of 20 */
    } want[] = {
        {MBI_MASK_ROW, 0, 0x94da66fd996302dd, 0xecd731897b95455a, 0xb6da182289f9ec28},
        {MBI_MASK_ROW, 1, 0xf75e4e6d8131dfbf, 0x70cc5f95b313f198, 0xf52783d111b65b},
        {MBI_MASK_ROW, 1099511627776, 0xe071e385fb1f6a8d, 0x895b32bf6c974ae8, 0x24e45aee27fa7896},
        {MBI_MASK_BLIND, 0, 0xdf2b1191b4b14ff, 0xa21c29f0b7d977d3, 0x19034fa935ecf741},
        {MBI_MASK_BLIND, 1, 0x261ba6c9294c3869, 0x8e4174f2371ebd8e, 0x322f501206c5ac52},
        {MBI_MASK_ROUND, 0, 0xd34ce7e91edc1067, 0x7076ce52647b75e3, 0x96e33de3e51ee53e},
        {MBI_MASK_PAD, 0, 0x6acd275317ce2234, 0x39626369a8d47369, 0x3e3efce806578999},
        {MBI_MASK_BLUR, 0, 0xae3878f8c1459e8f, 0x12ac63de60c74aa7, 0x3d2069dab8910236},
        {MBI_MASK_SEED, 7, 0xc2cb05ef6923e37c, 0xa7318b701f0a0066, 0xd3fcaf05e0acddcd},
    };
    static const uint8_t seed_of[32] = {0x7c, 0xe3, 0x23, 0x69, 0xef, 0x05, 0xcb, 0xc2,
                                        0x9c, 0x80, 0x2e, 0xb6, 0xa6, 0xc2, 0x9f, 0xc5,
                                        0xb9, 0xbd, 0xb3, 0x19, 0x5b, 0x58, 0x1b, 0xd0,
                                        0xa8, 0x0e, 0x51, 0x8b, 0x76, 0xb4, 0x14, 0x44};
    struct mbi_mask_seed seed, other;
    mbi_fe x[20];

    for (size_t i = 0; i < sizeof(seed.byte); i++)
        seed.byte[i] = (uint8_t)(3 * i + 1);
    for (size_t i = 0; i < MBI_COUNT(want); i++) {
        for (size_t n = 20; n > 0; n--) { /* the same, of any length */
            mbi_mask_fill(x, n, &seed, want[i].use, want[i].number);
            test_that(x[0] == want[i].first);
            test_that(n < 9 || x[8] == want[i].ninth);
            test_that(n < 20 || x[19] == want[i].last);
        }
    }
    mbi_mask_seed_of(&other, &seed, 7);
    test_same_bytes(other.byte, seed_of, sizeof(seed_of));
    mbi_mask_seed_forget(&other);
    for (size_t i = 0; i < sizeof(other.byte); i++)
        test_that(!other.byte[i]);
}
END_TEST

/* ---- commitments ---- */

/* The coefficients of a row of a codeword. */
static void decode(mbi_fe *out, const struct mbi_commitment *c, size_t row, const struct machine *m)
{
    const size_t length = (size_t)1 << c->code.log_length;
    const struct mbi_ntt_job job = {.in = c->codeword + row * length,
                                    .in_row = length,
                                    .in_step = 1,
                                    .out = out,
                                    .out_row = length,
                                    .out_step = 1,
                                    .rows = 1,
                                    .ell = length,
                                    .log_n = c->code.log_length,
                                    .inverse = true};

    ck_assert_int_eq(mbi_ntt_run(&m->ntt, &job, NULL), MAMBAINT_OK);
}

static void check_zeros(const mbi_fe *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        test_that(!x[i]);
}

static void check_masks(const mbi_fe *x, size_t n, const struct mbi_mask_seed *seed,
                        enum mbi_mask_use use, uint64_t number)
{
    mbi_fe *want = calloc(n + 1, sizeof(*want));

    test_that(want);
    mbi_mask_fill(want, n, seed, use, number);
    for (size_t i = 0; i < n; i++)
        test_that(x[i] == want[i] && x[i]);
    free(want);
}

/* Every coefficient of every row: entries, masks of its own, pads in the last one alone; then the
 * blind rows. */
static void check_rows(const struct set *s, size_t i, const struct machine *m)
{
    const struct mbi_commitment *c = &s->vector[i];
    const size_t columns = (size_t)1 << c->code.log_columns, masks = c->code.masks,
                 pads = c->code.pads, length = (size_t)1 << c->code.log_length,
                 n = columns + masks + pads;
    mbi_fe *x = calloc(length, sizeof(*x));

    test_that(x && c->blind == (i == 0));
    for (size_t r = 0; r < c->root.rows; r++) {
        decode(x, c, r, m);
        for (size_t k = 0; k < columns; k++)
            test_that(x[k] == mbi_table_field(&s->table[i], r * columns + k));
        check_masks(x + columns, masks, &s->seed[i], MBI_MASK_ROW, r);
        if (c->blind && r + 1 == c->root.rows)
            check_masks(x + columns + masks, pads, &s->seed[i], MBI_MASK_ROUND, 0);
        else
            check_zeros(x + columns + masks, pads);
        check_zeros(x + n, length - n);
    }
    for (size_t r = 0; c->blind && r < MBI_EXT_D; r++) {
        decode(x, c, (size_t)c->root.rows + r, m);
        check_masks(x, n, &s->seed[i], MBI_MASK_BLIND, r);
        check_zeros(x + n, length - n);
    }
    free(x);
}

START_TEST(rows_have_masks_of_their_own)
{
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "rows_have_masks_of_their_own");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned columns = 0; columns <= 5; columns++)
        for (unsigned high = 1; high <= 4; high++) {
            const unsigned rows[] = {high, 1, 2};
            const struct mbi_code code =
                hidden((struct mbi_code)FLAT(columns, columns + 2, 3, 0, 0), 4 + high, rows, 3);

            random_set(&s, code, rows, 3, 0, &m, &r);
            for (size_t i = 0; i < 3; i++)
                check_rows(&s, i, &m);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

/*
 * One row, ell = 2, three masks: whatever is in the row, for every three columns and all values of
 * theirs there is one choice of masks, so they are uniform. With a fourth they are not.
 */
START_TEST(any_columns_have_any_values)
{
    enum { ELL = 2, MASKS = 3, LOG = 4, LENGTH = 1 << LOG };
    struct test_random r;

    test_random_init(&r, "any_columns_have_any_values");
    for (size_t set = 0; set < (size_t)1 << LENGTH; set++) {
        mbi_fe x[MASKS], a[MASKS][MASKS + 1];
        size_t n = 0;

        for (size_t j = 0; j < LENGTH; j++)
            if (set >> j & 1 && n++ < MASKS)
                x[n - 1] = mbi_fe_pow(mbi_fe_root(LOG), j);
        if (n != MASKS)
            continue;
        for (size_t i = 0; i < MASKS; i++) { /* what masks have to give */
            for (size_t k = 0; k < MASKS; k++)
                a[i][k] = mbi_fe_pow(x[i], ELL + k);
            a[i][MASKS] = random_field(&r);
        }
        for (size_t i = 0; i < MASKS; i++) { /* no pivot is zero in any order of the columns */
            const mbi_fe inverse = mbi_fe_inv(a[i][i]);

            test_check(a[i][i], "columns %zx", set);
            for (size_t k = i; k <= MASKS; k++)
                a[i][k] = mbi_fe_mul(a[i][k], inverse);
            for (size_t l = 0; l < MASKS; l++) {
                const mbi_fe scale = a[l][i];

                for (size_t k = i; k <= MASKS && l != i; k++)
                    a[l][k] = mbi_fe_sub(a[l][k], mbi_fe_mul(scale, a[i][k]));
            }
        }
    }
}
END_TEST

/* Entries of columns over many seeds, of two vectors: the first bits of each, and of sums of two in
 * one row, fall into 16 classes as often as they should. Mean 15, 6 sigma: 33. */
START_TEST(columns_look_the_same_for_all_vectors)
{
    enum { SEEDS = 4000, COLUMNS = 3 };
    static const unsigned rows[] = {1};
    const struct mbi_code code =
        hidden((struct mbi_code)FLAT(1, 4, COLUMNS, 0, 0), COLUMNS + 1, rows, 1);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "columns_look_the_same_for_all_vectors");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int full = 0; full < 2; full++) {
        uint32_t count[2 + MBI_EXT_D][2 * COLUMNS][16] = {{{0}}};

        random_set(&s, code, rows, 1, 0, &m, &r);
        free_table(&s.table[0]);
        s.table[0] = random_table(MBI_TABLE_FIELD, 4, &r);
        memset((mbi_fe *)(uintptr_t)s.table[0].data, 0, 4 * sizeof(mbi_fe));
        for (size_t i = 0; i < 4 && full; i++)
            ((mbi_fe *)(uintptr_t)s.table[0].data)[i] = MBI_FIELD_P - 1;
        for (int seed = 0; seed < SEEDS; seed++) {
            free_commitments(&s);
            random_masks(&s, &r);
            commit_all(&s, &m);
            for (size_t row = 0; row < 2 + MBI_EXT_D; row++)
                for (size_t j = 0; j < 2 * COLUMNS; j++) {
                    const mbi_fe *x = s.vector[0].codeword + row * 16;
                    const mbi_fe sum = mbi_fe_add(x[5 * j % 3 + 1], x[5 * j % 3 + 2]);

                    count[row][j][(j < COLUMNS ? x[5 * j % 16] : sum) >> 60]++;
                }
        }
        for (size_t row = 0; row < 2 + MBI_EXT_D; row++)
            for (size_t j = 0; j < 2 * COLUMNS; j++) {
                double square = 0;

                for (size_t k = 0; k < 16; k++) {
                    const double off = count[row][j][k] - SEEDS / 16.0;

                    square += off * off / (SEEDS / 16.0);
                }
                test_check(square < 50, "row %zu, column %zu: %g", row, j, square);
            }
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* ---- completeness ---- */

START_TEST(true_claims_are_accepted_and_hidden)
{
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "true_claims_are_accepted_and_hidden");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned columns = 0; columns <= 8; columns++)
        for (unsigned round = 0; round < 12; round++) {
            const size_t n = round < 4 ? 1 : 1 + random_size(&r, MAX_VECTORS);
            unsigned rows[MAX_VECTORS];
            struct mbi_code code =
                FLAT(columns, columns + 1 + round % 3, 1 + round * 5, round % 5, 0);

            for (size_t i = 0; i < n; i++)
                rows[i] = round < 4 ? 1 + round : 1 + (unsigned)test_random_below(&r, 10 - columns);
            code = hidden(code, 2 + round * 5 + (unsigned)test_random_below(&r, 9), rows, n);
            random_set(&s, code, rows, n, round == 5 ? 0 : 1 + random_size(&r, MAX_CLAIMS), &m, &r);
            check_complete(&s, &m);
            join_some(&s, &r);
            check_complete(&s, &m);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

/* A vector of one row, and one of no entries; the second one has been committed to with a code of
 * more pads. */
START_TEST(short_vectors_have_two_rows)
{
    static const unsigned rows[] = {3, 1, 1};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(4, 6, 5, 0, 0), 8, rows, 3);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "short_vectors_have_two_rows");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned more = 0; more < 4; more++) {
        struct mbi_code other = code;
        struct mbi_masking masking;

        random_set(&s, code, rows, 3, 6, &m, &r);
        free_commitments(&s);
        s.table[0].n = 0;
        s.table[1].n = mbi_min_size(s.table[1].n, 9);
        commit_all(&s, &m);
        MBI_EXT(commitment_free)(&s.vector[1]);
        other.pads += more;
        masking = (struct mbi_masking){&s.seed[1], false};
        ck_assert_int_eq(
            MBI_EXT(commit)(&s.vector[1], &s.table[1], s.bits[1], &other, &masking, &m.ntt, NULL),
            MAMBAINT_OK);
        test_same_bytes(s.vector[1].root.digest.byte, s.root[1].digest.byte, 32);
        for (size_t i = 0; i < 3; i++)
            test_that(s.root[i].rows == 2 || i == 2);
        for (size_t k = 0; k < s.o.n_claims; k++)
            s.claim[k].value = slow_value(&s, k);
        check_complete(&s, &m);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

START_TEST(true_claims_are_hidden_in_several_layers)
{
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "true_claims_are_hidden_in_several_layers");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned columns = 1; columns <= 7; columns++)
        for (unsigned round = 0; round < 4 * MBI_CODE_DEPTH; round++) {
            const size_t n = 1 + random_size(&r, MAX_VECTORS);
            unsigned rows[MAX_VECTORS];
            struct mbi_code code =
                FLAT(columns, columns + 1 + round % 3, 1 + round * 3, round % 3, 0);

            add_layers(&code, 1 + round % MBI_CODE_DEPTH, &r);
            for (size_t i = 0; i < n; i++)
                rows[i] = 1 + (unsigned)test_random_below(&r, 9 - columns);
            code = hidden(code, 2 + round * 3 + (unsigned)test_random_below(&r, 40), rows, n);
            random_set(&s, code, rows, n, round == 5 ? 0 : 1 + random_size(&r, MAX_CLAIMS), &m, &r);
            check_complete(&s, &m);
            join_some(&s, &r);
            check_complete(&s, &m);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

static struct mbi_code with_layers(struct mbi_code code, unsigned depth)
{
    code.depth = depth;
    code.further[0] = (struct mbi_layer){code.log_columns - 1, code.log_columns + 3, 6, 5};
    code.further[1] = (struct mbi_layer){code.log_columns - 2, code.log_columns + 2, 6, 3};
    return code;
}

START_TEST(every_machine_hides_the_same_way)
{
    static const unsigned rows[] = {3, 1, 2};
    const struct mbi_code code =
        hidden((struct mbi_code)FLAT(9, 11, 40, 6, 0), 300, rows, 3); /* > BLOCK in all */
    struct test_random r;

    test_random_init(&r, "every_machine_hides_the_same_way");
    for (unsigned depth = 0; depth <= 2; depth++) {
        const struct mbi_code deep = with_layers(code, depth);

        check_machines(&deep, &r);
    }
}
END_TEST

/* With other seeds, no element of the rounds, the blind row's value and the row is the same. */
START_TEST(other_seeds_make_other_proofs)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(4, 7, 9, 0, 0), 10, rows, 2);
    const size_t size = MBI_EXT_D * (2 * 3 + 1 + mbi_code_entries(&code));
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "other_seeds_make_other_proofs");
    machine_init(&m, 1, mbi_field_kernels_best());
    strict_set(&s, code, rows, 2, &m, &r);
    for (int round = 0; round < 20; round++) {
        struct mbi_proof_writer one, other;
        const struct mbi_digest root = s.root[0].digest;

        prove(&one, &s, &m);
        free_commitments(&s);
        if (round % 2)
            test_random_bytes(&r, s.seed[0].byte, 32); /* the weights' may be the same */
        else
            random_masks(&s, &r);
        commit_all(&s, &m);
        test_that(memcmp(&root, &s.root[0].digest, sizeof(root)) != 0);
        prove(&other, &s, &m);
        for (size_t i = 0; i < size; i++)
            test_check(memcmp(one.bytes.data + 8 * i, other.bytes.data + 8 * i, 8) != 0,
                       "element %zu is the same", i);
        mbi_proof_writer_free(&one);
        mbi_proof_writer_free(&other);
    }
    free_set(&s);
    machine_free(&m);
}
END_TEST

START_TEST(refused_memory_leaves_nothing)
{
    static const unsigned rows[] = {2};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(3, 6, 6, 2, 0), 9, rows, 1);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "refused_memory_leaves_nothing");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned depth = 0; depth <= 2; depth++) {
        random_set(&s, with_layers(code, depth), rows, 1, 2, &m, &r);
        test_that(test_refuse_each(commit_and_open, &s) > 14 + depth);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* ---- soundness ---- */

static void check_cheat(const struct set *s, const struct machine *m, enum cheat cheat,
                        unsigned layer, const char *words)
{
    struct mbi_proof_writer w;
    struct plain p = {.cheat = cheat, .layer = layer, .other = SIZE_MAX};

    cheat_plain(&p, &w, s, m);
    refused(s, &w, words);
    mbi_proof_writer_free(&w);
}

START_TEST(cheating_provers_are_refused)
{
    static const unsigned rows[] = {2, 1};
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "cheating_provers_are_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned depth = 0; depth <= 2; depth++)
        for (int round = 0; round < 10; round++) {
            const size_t k = random_size(&r, 3);
            struct mbi_code code = with_layers((struct mbi_code)FLAT(3, 8, 60, 5, 0), depth);

            for (unsigned i = 0; i < 2; i++)
                code.further[i].queries = 60;
            strict_set(&s, hidden(code, 61, rows, 2), rows, 2, &m, &r);
            check_cheat(&s, &m, BLIND, 0, not_claims);
            for (unsigned layer = 0; layer <= depth; layer++) {
                check_cheat(&s, &m, ROW, layer, not_claims);
                check_cheat(&s, &m, ROW_FOR_CLAIMS, layer, layer < depth ? not_claims : not_row);
                check_cheat(&s, &m, NO_WORK, layer, "work");
                check_cheat(&s, &m, NOT_COMMITTED, layer, not_path);
                check_cheat(&s, &m, Q0, layer, not_claims);
            }
            s.claim[k].value = mbi_ext_add(s.claim[k].value, mbi_ext_from(1));
            check_cheat(&s, &m, HONEST, 0, not_claims);
            for (unsigned layer = 0; layer <= depth; layer++)
                check_cheat(&s, &m, ROW_FOR_CLAIMS, layer, layer < depth ? not_claims : not_row);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

/* ---- pads in a row that should have none ---- */

/* Adds x to a coefficient of a row of a vector. */
static void add_coefficient(struct set *s, size_t i, size_t row, size_t at, mbi_fe x,
                            const struct machine *m)
{
    struct mbi_commitment *c = &s->vector[i];
    const size_t length = (size_t)1 << c->code.log_length;

    for (size_t j = 0; j < length; j++) {
        mbi_fe *value = &c->codeword[row * length + j];

        *value =
            mbi_fe_add(*value, mbi_fe_mul(x, mbi_fe_pow(mbi_fe_root(c->code.log_length), j * at)));
    }
    hash_again(s, i, m);
}

/* Adds `more` to the second pad of a row. */
static void add_pad(struct set *s, size_t i, size_t row, struct mbi_ext more,
                    const struct machine *m)
{
    const struct mbi_code *c = &s->o.code;

    for (size_t k = 0; k < MBI_EXT_D; k++)
        add_coefficient(s, i, row, ((size_t)1 << c->log_columns) + c->masks + MBI_EXT_D + k,
                        more.c[k], m);
}

/*
 * One round, a pad g in row 0, both messages less g / 2: the claim may then be wrong by -g / 2, and
 * the row gives it, if nothing is said of pads in other rows.
 */
START_TEST(pads_in_other_rows_are_refused)
{
    static const unsigned rows[] = {1};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(3, 6, 20, 0, 0), 21, rows, 1);
    const mbi_fe half = mbi_fe_inv(2);
    struct machine m;
    struct test_random r;

    test_random_init(&r, "pads_in_other_rows_are_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (int round = 0; round < 8; round++) {
        const struct mbi_ext g = random_ext(&r);
        struct plain p = {.cheat = HONEST, .other = 0, .more = g};
        struct mbi_proof_writer w;
        struct set s;

        strict_set(&s, code, rows, 1, &m, &r);
        add_pad(&s, 0, 0, g, &m);
        s.o.n_claims = 1;
        if (round % 2) { /* 0: true claims and messages, and yet refused */
            p.shift = mbi_ext_neg(mbi_ext_scale(g, half));
            s.claim[0].value = mbi_ext_add(s.claim[0].value, p.shift);
        }
        cheat_plain(&p, &w, &s, &m);
        refused(&s, &w, not_claims);
        test_that(!p.gives);
        mbi_proof_writer_free(&w);
        p.no_claim = true;
        cheat_plain(&p, &w, &s, &m);
        ck_assert_int_eq(p.gives, round % 2);
        mbi_proof_writer_free(&w);
        p.no_claim = false;
        s.claim[0].value = slow_value(&s, 0);
        p.shift = mbi_ext_from(0);
        add_pad(&s, 0, 0, mbi_ext_neg(g), &m); /* without it, all is well */
        p.other = SIZE_MAX;
        cheat_plain(&p, &w, &s, &m);
        test_that(!verify(&s, w.bytes.data, w.bytes.size) && p.gives);
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* Nor in a row of another vector, which other openings may show with other pads. */
START_TEST(no_row_of_any_vector_has_pads)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(3, 6, 20, 0, 0), 21, rows, 2);
    struct machine m;
    struct test_random r;
    struct set s;

    test_random_init(&r, "no_row_of_any_vector_has_pads");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned depth = 0; depth < 2; depth++)
        for (size_t row = 0; row < 6; row++) { /* of the stack; the fourth has pads */
            const size_t i = row / 4, of = row % 4;
            struct plain p = {.cheat = HONEST, .other = row, .more = random_ext(&r)};
            struct mbi_proof_writer w;

            if (row == 3)
                continue;
            strict_set(&s, with_layers(code, depth), rows, 2, &m, &r);
            add_pad(&s, i, of, p.more, &m);
            cheat_plain(&p, &w, &s, &m);
            refused(&s, &w, not_claims);
            mbi_proof_writer_free(&w);
            free_set(&s);
        }
    machine_free(&m);
}
END_TEST

/*
 * A row with a coefficient more than masks and pads have, and a further layer that has it behind
 * the end of the folded row, where there is room: rows are no longer than they should be.
 */
START_TEST(rows_end_where_pads_do)
{
    static const unsigned rows[] = {2};
    struct mbi_code code =
        with_layers(hidden((struct mbi_code)FLAT(4, 7, 20, 0, 0), 21, rows, 1), 1);
    struct machine m;
    struct test_random r;

    test_random_init(&r, "rows_end_where_pads_do");
    machine_init(&m, 1, mbi_field_kernels_best());
    test_that(mbi_code_entries(&code) % 8);
    for (mbi_fe tail = 0; tail < 3; tail++) {
        struct plain p = {.cheat = HONEST, .other = SIZE_MAX, .tail = tail};
        struct mbi_proof_writer w;
        struct set s;

        strict_set(&s, code, rows, 1, &m, &r);
        add_coefficient(&s, 0, 0, mbi_code_entries(&code), tail, &m);
        cheat_plain(&p, &w, &s, &m);
        test_that(p.gives);
        if (tail)
            refused(&s, &w, not_claims);
        else
            test_that(!verify(&s, w.bytes.data, w.bytes.size));
        mbi_proof_writer_free(&w);
        free_set(&s);
    }
    machine_free(&m);
}
END_TEST

/* ---- every change ---- */

static void change_statement(struct set *s, const struct mbi_proof_writer *w)
{
    const struct mbi_code code = s->o.code;
    const struct mbi_root root = s->root[0];

    s->root[0].digest.byte[31] ^= 1;
    refused(s, w, "");
    s->root[0] = root;
    s->root[0].rows--;
    refused(s, w, "");
    s->root[0] = root;
    s->o.code.masks++;
    refused(s, w, "");
    s->o.code.pads--;
    refused(s, w, "pads");
    s->o.code = code;
    s->o.code.pads++;
    refused(s, w, "pads");
    s->o.code.masks--;
    refused(s, w, "pads");
    s->o.code = code;
    s->o.code.masks = s->o.code.pads = 0;
    refused(s, w, "");
    s->o.code = code;
    for (size_t k = 0; k < s->o.n_claims; k++)
        for (int c = 0; c < MBI_EXT_D; c++) {
            const mbi_fe value = s->claim[k].value.c[c];

            s->claim[k].value.c[c] = mbi_fe_add(value, 1);
            refused(s, w, "");
            s->claim[k].value.c[c] = value;
        }
}

START_TEST(every_change_is_refused)
{
    static const unsigned rows[] = {2, 1};
    struct machine m;
    struct test_random r;

    test_random_init(&r, "every_change_is_refused");
    machine_init(&m, 1, mbi_field_kernels_best());
    for (unsigned depth = 0; depth <= 2; depth++) {
        /* Another nonce that holds is no change if it leads to the same positions. */
        const struct mbi_code code =
            hidden(with_layers((struct mbi_code)FLAT(3, 5, 7, 6, 0), depth), 9, rows, 2);
        const size_t known = MBI_EXT_D * (2 * 3 + 1 + (depth ? 0 : mbi_code_entries(&code)));
        struct mbi_proof_writer w;
        struct set s;

        strict_set(&s, code, rows, 2, &m, &r);
        prove(&w, &s, &m);
        test_that(!verify(&s, w.bytes.data, w.bytes.size));
        change_elements(&s, &w, 8 * known);
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

/* ---- wrong calls ---- */

static void cannot_prove(struct set *s, const struct machine *m, const char *words)
{
    struct mbi_proof_writer w;
    mambaint_error err;

    mbi_proof_writer_init(&w, &m->host, "test");
    ck_assert_int_eq(MBI_EXT(open_prove)(&s->o, s->vector, &w, &m->host, m->kernels, &err),
                     MAMBAINT_E_INTERNAL);
    test_check(strstr(err.message, words), "%s: %s", words, err.message);
    mbi_proof_writer_free(&w);
}

START_TEST(wrong_calls_are_named)
{
    static const unsigned rows[] = {2, 1};
    const struct mbi_code code = hidden((struct mbi_code)FLAT(3, 6, 6, 0, 0), 7, rows, 2);
    struct mbi_code clear = code;
    struct mbi_commitment c;
    struct machine m;
    struct test_random r;
    struct set s;
    mambaint_error err;

    test_random_init(&r, "wrong_calls_are_named");
    machine_init(&m, 1, mbi_field_kernels_best());
    clear.masks = clear.pads = 0;
    strict_set(&s, code, rows, 2, &m, &r);
    ck_assert_int_eq(MBI_EXT(commit)(&c, &s.table[0], 5, &code, NULL, &m.ntt, &err),
                     MAMBAINT_E_INTERNAL);
    test_that(strstr(err.message, "without a seed"));
    for (unsigned bits = 3; bits <= 5; bits++) { /* one row; too short; a code in the clear */
        const struct mbi_masking masking = {&s.seed[0], true};
        const struct mbi_table t = {MBI_TABLE_I32, s.table[0].data, (size_t)1 << (bits - 1)};

        ck_assert_int_eq(
            MBI_EXT(commit)(&c, &t, bits, bits == 5 ? &clear : &code, &masking, &m.ntt, &err),
            bits == 4 ? MAMBAINT_OK : MAMBAINT_E_INTERNAL);
        test_that(bits == 4 || strstr(err.message, bits == 5 ? "with one" : "size of its code"));
        MBI_EXT(commitment_free)(&c);
    }
    s.root[1].rows = 1;
    cannot_prove(&s, &m, "single row");
    s.root[1].rows = 2;
    s.vector[1].seed = s.vector[0].seed; /* one mask in two rows */
    cannot_prove(&s, &m, "not that of its commitment");
    s.vector[1].seed = s.seed[1];
    s.vector[0].blind = false;
    cannot_prove(&s, &m, "not that of its commitment");
    s.vector[0].blind = s.vector[1].blind = true;
    cannot_prove(&s, &m, "not that of its commitment");
    s.vector[1].blind = false;
    s.vector[1].code.masks++;
    cannot_prove(&s, &m, "not that of its commitment");
    s.vector[1].code.masks--;
    s.o.code.pads -= 1;
    cannot_prove(&s, &m, "other pads");
    s.o.code.pads += 2;
    cannot_prove(&s, &m, "other pads");
    s.o.code.pads -= 1;
    s.vector[0].code.pads += 1;
    cannot_prove(&s, &m, "not that of its commitment");
    s.vector[0].code.pads -= 1;
    free_set(&s);
    machine_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("masked");
    TCase *t = tcase_create("masked");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, bits_of_a_query_are_those_of_the_bound);
    tcase_add_test(t, hidden_codes_have_masks_for_all_openings);
    tcase_add_test(t, no_other_hidden_code_is_better);
    tcase_add_test(t, another_implementation_chooses_the_same_codes);
    tcase_add_test(t, wrong_hidden_codes_are_named);
    tcase_add_test(t, masks_are_those_of_the_text);
    tcase_add_test(t, rows_have_masks_of_their_own);
    tcase_add_test(t, any_columns_have_any_values);
    tcase_add_test(t, columns_look_the_same_for_all_vectors);
    tcase_add_test(t, true_claims_are_accepted_and_hidden);
    tcase_add_test(t, short_vectors_have_two_rows);
    tcase_add_test(t, true_claims_are_hidden_in_several_layers);
    tcase_add_test(t, every_machine_hides_the_same_way);
    tcase_add_test(t, other_seeds_make_other_proofs);
    tcase_add_test(t, refused_memory_leaves_nothing);
    tcase_add_test(t, cheating_provers_are_refused);
    tcase_add_test(t, pads_in_other_rows_are_refused);
    tcase_add_test(t, no_row_of_any_vector_has_pads);
    tcase_add_test(t, rows_end_where_pads_do);
    tcase_add_test(t, every_change_is_refused);
    tcase_add_test(t, wrong_calls_are_named);
    suite_add_tcase(suite, t);
    return test_main(suite);
}

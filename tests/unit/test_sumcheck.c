/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: sum-check, complete for every degree and size, and sound under every change. */
#include "base/intmath.h"
#include "pads_test.h"
#include "proof/alike.h"
#include "proof/hash.h"
#include "proof_changes.h"

#define MAX_BITS 16
#define MAX_TABLES 32
#define MAX_SUMS 40
#define FEW_TABLES 8 /* of batches that are not gathered */
#define FEW_SUMS 4

static void setup(void) { ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK); }

/* ---- a batch that owns its parts ---- */

struct batch {
    struct mbi_sum_batch b;
    struct mbi_alike alike;
    struct mbi_table table[MAX_TABLES];
    struct mbi_sum sum[MAX_SUMS];
    struct mbi_form weight[MAX_SUMS][2];
    struct mbi_ext z[MAX_SUMS][2][MAX_BITS];
    struct mbi_sum_term term[MAX_SUMS][4];
    uint32_t number[MAX_SUMS][MAX_TABLES];
};

static struct mbi_ext slow_polynomial(const struct mbi_sum *s, const struct mbi_ext *value)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t i = 0; i < s->n_terms; i++) {
        struct mbi_ext product = mbi_ext_from(s->term[i].c);

        for (unsigned k = 0; k < s->term[i].degree; k++)
            product = mbi_ext_mul(product, value[s->table[s->term[i].factor[k]]]);
        sum = mbi_ext_add(sum, product);
    }
    return sum;
}

/* The true claim of sum k. */
static struct mbi_ext slow_sum(const struct batch *t, size_t k)
{
    const struct mbi_sum *s = &t->sum[k];
    struct mbi_ext sum = mbi_ext_from(0), value[MAX_TABLES], w;

    for (size_t x = 0; x < (size_t)1 << t->b.bits; x++) {
        for (size_t i = 0; i < t->b.n_tables; i++)
            value[i] = mbi_table_ext(&t->table[i], x);
        for (size_t i = 0; i < s->n_weights; i++) {
            MBI_EXT(form_block)(&w, &s->weight[i], x, 0);
            sum = mbi_ext_add(sum, mbi_ext_mul(w, slow_polynomial(s, value)));
        }
    }
    return sum;
}

/* Half of the bits each (the first one more) for a triangle, or all for a masked eq. */
static struct mbi_form random_weight(unsigned bits, struct mbi_ext *z, struct test_random *r)
{
    struct mbi_form form = {.bits = bits, .scale = random_ext(r), .n_factors = 1};
    const unsigned low = bits / 2, high = bits - low;

    random_point(z, bits, r);
    if (bits && test_random_below(r, 2))
        form.factor[0] = MBI_EXT(form_triangle)(
            0, high, high, low, 1 + test_random_below(r, UINT64_C(1) << high), z, z + high);
    else
        form.factor[0] =
            MBI_EXT(form_eq)(0, bits, 1 + test_random_below(r, UINT64_C(1) << bits), z);
    return form;
}

/* Sum k: `degree` - 1 is that of its first term; its tables are those of the batch, backwards. */
static void random_sum(struct batch *t, size_t k, unsigned degree, struct test_random *r)
{
    struct mbi_sum *s = &t->sum[k];

    *s = (struct mbi_sum){.weight = t->weight[k], .term = t->term[k], .table = t->number[k]};
    s->n_weights = 1 + random_size(r, 2);
    s->n_terms = 1 + random_size(r, 4);
    s->n_tables = t->b.n_tables;
    for (size_t i = 0; i < s->n_weights; i++)
        t->weight[k][i] = random_weight(t->b.bits, t->z[k][i], r);
    for (size_t i = 0; i < s->n_tables; i++)
        t->number[k][i] = (uint32_t)(s->n_tables - 1 - i);
    for (size_t i = 0; i < s->n_terms; i++) {
        struct mbi_sum_term *term = &t->term[k][i];

        term->c = test_random_below(r, 4) ? random_field(r) : 1;
        term->degree = (uint8_t)(i ? test_random_below(r, degree) : degree - 1);
        for (unsigned f = 0; f < term->degree; f++)
            term->factor[f] = (uint8_t)test_random_below(r, s->n_tables);
    }
    s->claim = slow_sum(t, k);
}

/* Tables of all types up to MBI_TABLE_FIELD, or with some of E, some of them short. */
static void random_batch(struct batch *t, unsigned bits, unsigned degree, size_t n_sums, bool wide,
                         struct test_random *r)
{
    memset(t, 0, sizeof(*t));
    t->b = (struct mbi_sum_batch){bits, t->sum, n_sums, 1 + random_size(r, FEW_TABLES), NULL};
    for (size_t i = 0; i < t->b.n_tables; i++) {
        const enum mbi_table_type type =
            wide && i % 2 ? MBI_TABLE_EXT
                          : (enum mbi_table_type)test_random_below(r, MBI_TABLE_EXT);
        const size_t size = (size_t)1 << bits;

        t->table[i] = random_table(type, size - random_size(r, 2) * (size / 3), r);
    }
    for (size_t k = 0; k < n_sums; k++)
        random_sum(t, k, k ? 1 + (unsigned)test_random_below(r, degree) : degree, r);
}

static void free_batch(struct batch *t)
{
    struct mbi_host host;

    mbi_host_default(&host);
    for (size_t i = 0; i < t->b.n_tables; i++)
        free_table(&t->table[i]);
    MBI_EXT(alike_free)(&t->alike, &host);
}

/* Gathers a batch if that makes a proof smaller, as whoever proves has to; again if it was. */
static bool gather(struct batch *t)
{
    struct mbi_host host;

    mbi_host_default(&host);
    MBI_EXT(alike_free)(&t->alike, &host);
    test_that(MBI_EXT(alike_find)(&t->alike, &t->b, &host));
    t->b.alike = MBI_EXT(alike_pays)(&t->alike, &t->b) ? &t->alike : NULL;
    return t->b.alike;
}

/* ---- proving and verifying ---- */

struct end {
    struct mbi_ext point[MAX_BITS + 5], value[MAX_TABLES];
};

/* What value k of an end should be: of the extension of a table, or of a list of them. */
static struct mbi_ext true_value(const struct batch *t, const struct mbi_ext *point, size_t k)
{
    struct mbi_ext sum = mbi_ext_from(0);

    if (!t->b.alike)
        return MBI_EXT(table_at)(&t->table[k], point, t->b.bits);
    for (uint32_t y = 0; y < t->alike.list[k].n; y++) {
        const struct mbi_table *table = &t->table[t->alike.table[t->alike.list[k].first + y]];

        sum = mbi_ext_add(sum, mbi_ext_mul(MBI_EXT(eq_index)(point + t->b.bits, t->alike.bits, y),
                                           MBI_EXT(table_at)(table, point, t->b.bits)));
    }
    return sum;
}

static void prove(struct end *end, struct mbi_proof_writer *w, const struct batch *t,
                  const struct mbi_host *host)
{
    mbi_proof_writer_init(w, host, "test");
    ck_assert_int_eq(MBI_EXT(sum_prove)(end->point, end->value, &t->b, t->table, w, host, NULL),
                     MAMBAINT_OK);
    test_that(!w->bytes.failed);
    test_that(w->bytes.size == 8 * MBI_EXT(sum_size)(&t->b));
}

/* Accepted, with nothing left over? */
static bool verify(struct end *end, const struct batch *t, const uint8_t *proof, size_t n)
{
    struct mbi_proof_reader reader;
    bool holds;

    mbi_proof_reader_init(&reader, proof, n, "test");
    holds = MBI_EXT(sum_verify)(end->point, end->value, &t->b, &reader);
    test_that(holds == !reader.fault);
    mbi_get_end(&reader);
    return holds && !reader.fault;
}

static bool refused(const struct batch *t, const struct mbi_proof_writer *w)
{
    struct end end;

    return !verify(&end, t, w->bytes.data, w->bytes.size);
}

static bool accepts(const void *t, const uint8_t *proof, size_t n)
{
    struct end end;

    return verify(&end, t, proof, n);
}

/* Both ends are the same, and they are the tables' extensions. */
static void check_complete(const struct batch *t, const struct mbi_host *host)
{
    struct end ours, theirs;
    struct mbi_proof_writer w;

    prove(&ours, &w, t, host);
    test_check(verify(&theirs, t, w.bytes.data, w.bytes.size), "refused: 2^%u, %zu sums", t->b.bits,
               t->b.n_sums);
    for (unsigned i = 0; i < MBI_EXT(sum_rounds)(&t->b); i++)
        test_that(mbi_ext_equal(ours.point[i], theirs.point[i]));
    for (size_t k = 0; k < MBI_EXT(sum_values)(&t->b); k++) {
        test_that(mbi_ext_equal(ours.value[k], theirs.value[k]));
        test_that(mbi_ext_equal(ours.value[k], true_value(t, ours.point, k)));
    }
    mbi_proof_writer_free(&w);
}

START_TEST(true_claims_are_accepted)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;

    test_random_init(&r, "true_claims_are_accepted");
    mbi_host_default(&host);
    for (unsigned bits = 0; bits <= 12; bits++)
        for (unsigned degree = 1; degree <= MBI_SUM_DEGREE; degree++)
            for (size_t n_sums = 1; n_sums <= (bits < 9 ? FEW_SUMS : 2); n_sums++) {
                random_batch(&t, bits, degree, n_sums, n_sums % 2 == 0, &r);
                check_complete(&t, &host);
                free_batch(&t);
            }
}
END_TEST

/* More blocks than slices, on threads. */
START_TEST(large_sums_are_cut_without_loss)
{
    struct mbi_host pooled;
    struct test_random r;
    struct batch t;

    test_random_init(&r, "large_sums_are_cut_without_loss");
    mbi_host_default(&pooled);
    test_that(mbi_pool_create(&pooled.pool, &pooled, 2, NULL) == MAMBAINT_OK);
    random_batch(&t, MAX_BITS, 3, 1, false, &r);
    check_complete(&t, &pooled);
    free_batch(&t);
    mbi_pool_free(&pooled, pooled.pool);
}
END_TEST

START_TEST(threads_write_the_same_proof)
{
    struct mbi_host host, pooled;
    struct test_random r;
    struct batch t;
    struct end end;
    struct mbi_proof_writer one, many;

    test_random_init(&r, "threads_write_the_same_proof");
    mbi_host_default(&host);
    mbi_host_default(&pooled);
    test_that(mbi_pool_create(&pooled.pool, &pooled, 4, NULL) == MAMBAINT_OK);
    for (int round = 0; round < 6; round++) {
        random_batch(&t, 10 + (unsigned)round % 3, 4, 2, round % 2, &r);
        prove(&end, &one, &t, &host);
        prove(&end, &many, &t, &pooled);
        test_that(one.bytes.size == many.bytes.size);
        test_same_bytes(many.bytes.data, one.bytes.data, one.bytes.size);
        mbi_proof_writer_free(&one);
        mbi_proof_writer_free(&many);
        free_batch(&t);
    }
    mbi_pool_free(&pooled, pooled.pool);
}
END_TEST

START_TEST(refused_memory_leaves_nothing)
{
    struct mbi_ext point[MAX_BITS + 5], value[MAX_TABLES];
    struct test_random r;
    struct test_host host;
    struct batch t;
    struct mbi_proof_writer w;
    mambaint_error err;

    test_random_init(&r, "refused_memory_leaves_nothing");
    random_batch(&t, 5, 3, 2, false, &r);
    test_host_init(&host);
    mbi_proof_writer_init(&w, &host.host, "test");
    for (size_t nth = 1; nth < 9; nth++) {
        test_host_fail(&host, nth, false);
        ck_assert_int_eq(MBI_EXT(sum_prove)(point, value, &t.b, t.table, &w, &host.host, &err),
                         MAMBAINT_E_NO_MEMORY);
        test_host_check(&host);
    }
    test_host_fail(&host, 9, true); /* the writer's */
    ck_assert_int_eq(MBI_EXT(sum_prove)(point, value, &t.b, t.table, &w, &host.host, &err),
                     MAMBAINT_OK);
    test_that(w.bytes.failed);
    mbi_proof_writer_free(&w);
    test_host_check(&host);
    free_batch(&t);
}
END_TEST

/* ---- soundness ---- */

/* Every claim's every coordinate, and two claims in each other's place. */
static void change_claims(struct batch *t, const struct mbi_proof_writer *w)
{
    for (size_t k = 0; k < t->b.n_sums; k++) {
        const struct mbi_ext claim = t->sum[k].claim;

        for (int c = 0; c < MBI_EXT_D; c++) {
            t->sum[k].claim.c[c] = mbi_fe_add(claim.c[c], 1);
            test_check(refused(t, w), "claim %zu may be another", k);
            t->sum[k].claim = claim;
        }
        if (k && !mbi_ext_equal(t->sum[0].claim, claim)) {
            t->sum[k].claim = t->sum[0].claim;
            t->sum[0].claim = claim;
            test_check(refused(t, w), "claims 0 and %zu may be swapped", k);
            t->sum[0].claim = t->sum[k].claim;
            t->sum[k].claim = claim;
        }
    }
}

/* What the verifier knows itself: another weight, another coefficient. */
static void change_statement(struct batch *t, const struct mbi_proof_writer *w)
{
    for (size_t k = 0; k < t->b.n_sums; k++) {
        const struct mbi_ext scale = t->weight[k][0].scale;
        const mbi_fe c = t->term[k][0].c;
        const bool gathered = t->b.alike;

        t->weight[k][0].scale = mbi_ext_add(scale, mbi_ext_from(1));
        test_check(refused(t, w), "the weight of sum %zu may be another", k);
        t->weight[k][0].scale = scale;
        t->term[k][0].c = mbi_fe_add(c, 1);
        if (gathered)
            (void)gather(t);
        test_check(refused(t, w), "the polynomial of sum %zu may be another", k);
        t->term[k][0].c = c;
        if (gathered)
            test_that(gather(t));
    }
}

/* A batch in which every table and term matters: no zero, no mask that may cut all. */
static void strict_batch(struct batch *t, unsigned bits, unsigned degree, size_t n_sums,
                         struct test_random *r)
{
    memset(t, 0, sizeof(*t));
    t->b = (struct mbi_sum_batch){bits, t->sum, n_sums, 4, NULL};
    for (size_t i = 0; i < 4; i++) /* entries of E are uniform: a zero would hide a change */
        t->table[i] = random_table(MBI_TABLE_EXT, (size_t)1 << bits, r);
    for (size_t k = 0; k < n_sums; k++) {
        struct mbi_sum *s = &t->sum[k];

        random_sum(t, k, degree, r);
        t->weight[k][0] = (struct mbi_form){
            bits, random_ext(r), 1, {MBI_EXT(form_eq)(0, bits, (uint64_t)1 << bits, t->z[k][0])}};
        s->n_weights = 1;
        s->n_terms = 2;
        for (size_t i = 0; i < 2; i++) { /* tables k, k + 1, ... and all in turn */
            t->term[k][i] = (struct mbi_sum_term){.c = 1 + test_random_below(r, 1000),
                                                  .degree = (uint8_t)(degree - 1)};
            for (unsigned f = 0; f < degree - 1; f++)
                t->term[k][i].factor[f] = (uint8_t)((k + f + 2 * i) % 4);
        }
        s->claim = slow_sum(t, k);
    }
}

START_TEST(every_change_is_refused)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;
    struct end end;
    struct mbi_proof_writer w;

    test_random_init(&r, "every_change_is_refused");
    mbi_host_default(&host);
    for (unsigned bits = 0; bits <= 6; bits++)
        for (unsigned degree = 3; degree <= MBI_SUM_DEGREE; degree++) {
            strict_batch(&t, bits, degree, 1 + bits % 3, &r);
            prove(&end, &w, &t, &host);
            test_that(!refused(&t, &w));
            change_elements(accepts, &t, &w, &r);
            change_claims(&t, &w);
            change_statement(&t, &w);
            change_length(accepts, &t, &w);
            if (degree == 3 && bits < 4)
                flip_bits(accepts, &t, &w);
            test_that(!refused(&t, &w)); /* all changes were taken back */
            mbi_proof_writer_free(&w);
            free_batch(&t);
        }
}
END_TEST

/* The prover goes through the motions for a false claim, or for other tables. */
START_TEST(false_claims_are_refused)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;
    struct end end;
    struct mbi_proof_writer w;

    test_random_init(&r, "false_claims_are_refused");
    mbi_host_default(&host);
    for (int round = 0; round < 100; round++) {
        const unsigned bits = (unsigned)test_random_below(&r, 7);
        const size_t n_sums = 1 + random_size(&r, 3), k = random_size(&r, n_sums);

        strict_batch(&t, bits, 2 + (unsigned)test_random_below(&r, 4), n_sums, &r);
        t.sum[k].claim = mbi_ext_add(t.sum[k].claim, mbi_ext_from(1));
        prove(&end, &w, &t, &host);
        test_that(refused(&t, &w));
        mbi_proof_writer_free(&w);
        if (n_sums > 1) { /* two errors that cancel in the sum of the claims */
            const size_t other = (k + 1) % n_sums;

            t.sum[other].claim = mbi_ext_sub(t.sum[other].claim, mbi_ext_from(1));
            prove(&end, &w, &t, &host);
            test_that(refused(&t, &w));
            mbi_proof_writer_free(&w);
        }
        free_batch(&t);
    }
}
END_TEST

START_TEST(any_bytes_are_read_and_refused)
{
    struct test_random r;
    struct batch t;
    struct end end;
    uint8_t proof[3000];

    test_random_init(&r, "any_bytes_are_read_and_refused");
    strict_batch(&t, 5, 4, 2, &r);
    for (int round = 0; round < 3000; round++) {
        test_random_bytes(&r, proof, sizeof(proof));
        for (size_t i = 7; i < sizeof(proof); i += 8)
            if (round % 3)
                proof[i] &= 0x7F; /* canonical */
        if (round % 3 == 2)
            memset(proof, 0, sizeof(proof));
        test_that(
            !verify(&end, &t, proof,
                    round % 2 ? 8 * MBI_EXT(sum_size)(&t.b) : random_size(&r, sizeof(proof))));
    }
    free_batch(&t);
}
END_TEST

/* Zeros, which is what a reader gives after a fault, would satisfy sums that are zero. */
START_TEST(no_bytes_prove_no_zero)
{
    struct test_random r;
    struct batch t;
    struct end end;
    const uint8_t zero[4000] = {0};

    test_random_init(&r, "no_bytes_prove_no_zero");
    for (unsigned bits = 0; bits <= 6; bits++) {
        size_t size;

        strict_batch(&t, bits, 5, 2, &r);
        t.sum[0].claim = t.sum[1].claim = mbi_ext_from(0);
        size = 8 * MBI_EXT(sum_size)(&t.b);
        for (size_t n = 0; n < size; n++)
            test_check(!verify(&end, &t, zero, n), "%zu of %zu bytes", n, size);
        test_that(verify(&end, &t, zero, size)); /* a true proof, of tables of zeros */
        free_batch(&t);
    }
}
END_TEST

START_TEST(wrong_plans_are_named)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;
    struct mbi_ext point[33], value[MAX_TABLES];
    struct mbi_proof_writer w;
    struct mbi_proof_reader reader;
    mambaint_error err;

    test_random_init(&r, "wrong_plans_are_named");
    mbi_host_default(&host);
    for (int fault = 0; fault < 7; fault++) {
        static const char *const words[] = {
            "too many bits",      "too many tables",     "sum names a table", "too many factors",
            "term names a table", "bits of another sum", "range is longer"};

        strict_batch(&t, 3, 3, 2, &r);
        if (fault == 0)
            t.b.bits = 33;
        if (fault == 1)
            t.sum[1].n_tables = MBI_SUM_TABLES + 1;
        if (fault == 2)
            t.number[1][3] = 4;
        if (fault == 3)
            t.term[1][1].degree = MBI_SUM_DEGREE;
        if (fault == 4)
            t.term[1][1].factor[1] = 4;
        if (fault == 5)
            t.weight[1][0].bits = 2, t.weight[1][0].factor[0] = MBI_EXT(form_ones)(0, 2, 4);
        if (fault == 6)
            t.weight[1][0].factor[0].rule[0].n = 9;
        mbi_proof_writer_init(&w, &host, "test");
        ck_assert_int_eq(MBI_EXT(sum_prove)(point, value, &t.b, t.table, &w, &host, &err),
                         MAMBAINT_E_INTERNAL);
        test_check(strstr(err.message, words[fault]), "%s", err.message);
        mbi_proof_reader_init(&reader, NULL, 0, "test");
        test_that(!MBI_EXT(sum_verify)(point, value, &t.b, &reader));
        test_check(strstr(reader.fault, words[fault]), "%s", reader.fault);
        mbi_proof_writer_free(&w);
        free_batch(&t);
    }
}
END_TEST

/* ---- gathered ---- */

/*
 * Layers that say the same of tables of their own, of every degree: of each a product with a linear
 * term, another one that reads the same first table, and one of fewer layers; then a sum that is
 * like no other. Every table and term matters.
 */
static void layered_batch(struct batch *t, unsigned bits, unsigned degree, size_t layers,
                          struct test_random *r)
{
    size_t n = 0;

    memset(t, 0, sizeof(*t));
    t->b = (struct mbi_sum_batch){bits, t->sum, 0, 2 * layers + 1, NULL};
    for (size_t i = 0; i < t->b.n_tables; i++)
        t->table[i] = random_table(MBI_TABLE_EXT, (size_t)1 << bits, r);
    for (size_t layer = 0; layer < layers; layer++)
        for (unsigned what = 0; what < (layer < layers / 2 ? 3 : 2); what++, n++) {
            struct mbi_sum *s = &t->sum[n];

            *s = (struct mbi_sum){t->weight[n], 1, t->term[n], 1 + (what == 0),
                                  t->number[n], 2, {{0}}};
            random_point(t->z[n][0], bits, r);
            t->weight[n][0] =
                (struct mbi_form){bits,
                                  random_ext(r),
                                  1,
                                  {MBI_EXT(form_eq)(0, bits, (uint64_t)1 << bits, t->z[n][0])}};
            t->term[n][0] = (struct mbi_sum_term){3 + what, (uint8_t)(degree - 1), {0, 1, 0, 1}};
            t->term[n][1] = (struct mbi_sum_term){7, 1, {1}};
            t->number[n][0] = (uint32_t)layer;
            t->number[n][1] = (uint32_t)(what == 2 ? 2 * layers : layers + layer);
        }
    t->weight[n][0] = t->weight[n - 1][0];
    t->sum[n] = (struct mbi_sum){t->weight[n], 1, t->term[n], 1, t->number[n], 1, {{0}}};
    t->term[n][0] = (struct mbi_sum_term){1, 1, {0}};
    t->number[n][0] = (uint32_t)(2 * layers);
    t->b.n_sums = n + 1;
    test_that(t->b.n_sums <= MAX_SUMS);
    for (size_t k = 0; k <= n; k++)
        t->sum[k].claim = slow_sum(t, k);
    test_that(gather(t));
}

START_TEST(what_is_alike_is_found)
{
    struct test_random r;
    struct batch t;

    test_random_init(&r, "what_is_alike_is_found");
    layered_batch(&t, 2, 3, 7, &r);
    ck_assert_uint_eq(t.alike.bits, 3);
    ck_assert_uint_eq(t.alike.n_families, 4);
    /* the first tables, the second ones, the first ones of three layers, and the last table as that
     * of three and of one */
    ck_assert_uint_eq(t.alike.n_lists, 5);
    ck_assert_uint_eq(t.alike.list[0].n, 7);
    ck_assert_uint_eq(t.alike.list[2].n, 3);
    ck_assert_uint_eq(t.alike.list[4].n, 1);
    ck_assert_uint_eq(MBI_EXT(sum_size)(&t.b), MBI_EXT_D * ((2 + 3) * 3 + 5));
    for (uint32_t y = 0; y < 7; y++)
        test_that(t.alike.table[y] == y && t.alike.table[7 + y] == 7 + y);
    free_batch(&t);
}
END_TEST

/* Another coefficient, factor or number of terms is another polynomial. */
START_TEST(what_differs_is_not_gathered)
{
    struct test_random r;
    struct batch t;

    test_random_init(&r, "what_differs_is_not_gathered");
    for (int change = 0; change < 4; change++) {
        layered_batch(&t, 2, 3, 7, &r);
        if (change == 0)
            t.term[3][0].c++; /* the first one of layer 1 */
        if (change == 1)
            t.term[3][0].degree = 1;
        if (change == 2)
            t.term[3][0].factor[1] = 0;
        if (change == 3)
            t.sum[3].n_terms = 1;
        test_that(gather(&t) == (t.alike.n_lists + t.alike.bits * 3 < t.b.n_tables));
        ck_assert_uint_eq(t.alike.n_families, 5);
        free_batch(&t);
    }
    strict_batch(&t, 2, 3, 1, &r);
    test_that(!gather(&t));
    ck_assert_uint_eq(t.alike.bits, 0);
    free_batch(&t);
}
END_TEST

START_TEST(gathered_claims_are_accepted)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;

    test_random_init(&r, "gathered_claims_are_accepted");
    mbi_host_default(&host);
    for (unsigned bits = 0; bits <= 8; bits += 1 + bits / 3)
        for (unsigned degree = 3; degree <= MBI_SUM_DEGREE; degree++) {
            layered_batch(&t, bits, degree, 4 * degree - 5, &r); /* enough for it to pay */
            check_complete(&t, &host);
            free_batch(&t);
        }
}
END_TEST

START_TEST(every_change_of_a_gathered_one_is_refused)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;
    struct end end;
    struct mbi_proof_writer w;

    test_random_init(&r, "every_change_of_a_gathered_one_is_refused");
    mbi_host_default(&host);
    for (unsigned bits = 0; bits <= 3; bits++) {
        layered_batch(&t, bits, 3, 7, &r);
        prove(&end, &w, &t, &host);
        test_that(!refused(&t, &w));
        change_elements(accepts, &t, &w, &r);
        change_claims(&t, &w);
        change_statement(&t, &w);
        change_length(accepts, &t, &w);
        if (bits < 2)
            flip_bits(accepts, &t, &w);
        t.b.alike = NULL; /* as if it were not */
        test_that(refused(&t, &w));
        mbi_proof_writer_free(&w);
        free_batch(&t);
    }
}
END_TEST

START_TEST(gathered_lies_are_refused)
{
    struct mbi_host host;
    struct test_random r;
    struct batch t;
    struct end end;
    struct mbi_proof_writer w;

    test_random_init(&r, "gathered_lies_are_refused");
    mbi_host_default(&host);
    for (int round = 0; round < 40; round++) {
        struct mbi_sum *one, *other;

        layered_batch(&t, (unsigned)round % 5, 3, 7, &r);
        one = &t.sum[random_size(&r, t.b.n_sums)];
        other = &t.sum[random_size(&r, t.b.n_sums)];
        one->claim = mbi_ext_add(one->claim, mbi_ext_from(1));
        if (other != one && round % 2)
            other->claim = mbi_ext_sub(other->claim, mbi_ext_from(1));
        prove(&end, &w, &t, &host);
        test_that(refused(&t, &w));
        mbi_proof_writer_free(&w);
        free_batch(&t);
    }
}
END_TEST

START_TEST(memory_for_gathering_is_refused_cleanly)
{
    struct mbi_ext point[MAX_BITS + 5], value[MAX_TABLES];
    struct test_random r;
    struct test_host host;
    struct mbi_alike alike;
    struct batch t;
    struct mbi_proof_writer w;

    test_random_init(&r, "memory_for_gathering_is_refused_cleanly");
    layered_batch(&t, 3, 3, 7, &r);
    test_host_init(&host);
    for (size_t nth = 1; nth <= 9; nth++) {
        test_host_fail(&host, nth, false);
        test_that(!MBI_EXT(alike_find)(&alike, &t.b, &host.host));
        test_host_check(&host);
    }
    for (size_t nth = 9; nth <= 10; nth++) { /* behind those of the sum-check itself */
        mbi_proof_writer_init(&w, &host.host, "test");
        test_that(mbi_buf_reserve(&w.bytes, 4096));
        test_host_fail(&host, nth, false);
        ck_assert_int_eq(MBI_EXT(sum_prove)(point, value, &t.b, t.table, &w, &host.host, NULL),
                         MAMBAINT_E_NO_MEMORY);
        mbi_proof_writer_free(&w);
        test_host_check(&host);
    }
    free_batch(&t);
}
END_TEST

/* ---- hidden ---- */

/* A batch whose claims are hidden by the first pads; t has their known parts. */
struct hidden {
    struct batch t;
    struct test_pads p;
    size_t claim_pad[MAX_SUMS];
    struct mbi_host host;
};

static void hide(struct hidden *h, struct test_random *r)
{
    const size_t n = h->t.b.n_sums;

    mbi_host_default(&h->host);
    pads_init(&h->p, n + MBI_EXT(sum_pads)(&h->t.b), r);
    for (size_t k = 0; k < n; k++) {
        h->claim_pad[k] = k;
        h->t.sum[k].claim = mbi_ext_add(h->t.sum[k].claim, pad_at(&h->p, k));
    }
}

static void free_hidden(struct hidden *h)
{
    pads_free(&h->p);
    free_batch(&h->t);
}

static void prove_hidden(struct mbi_proof_writer *w, struct hidden *h)
{
    struct end end;

    mbi_proof_writer_init(w, &h->host, "test");
    h->p.pads.next = h->t.b.n_sums;
    w->pads = &h->p.pads;
    ck_assert_int_eq(
        MBI_EXT(sum_prove)(end.point, end.value, &h->t.b, h->t.table, w, &h->host, NULL),
        MAMBAINT_OK);
    test_that(!w->bytes.failed);
    ck_assert_uint_eq(h->p.pads.next, h->p.pads.n); /* each is used once */
    test_that(w->bytes.size == 8 * MBI_EXT(sum_hidden_size)(&h->t.b));
}

/* Everything that it leaves to prove is true of the tables and of the pads. */
static bool end_holds(const struct hidden *h, const struct mbi_hidden *left, const struct end *end)
{
    bool holds = left->n_zero == 1 && zeros_hold(&h->p, left);

    ck_assert_uint_eq(left->next, h->p.pads.n);
    for (size_t k = 0; k < MBI_EXT(sum_values)(&h->t.b); k++) {
        const struct mbi_ext m = mbi_ext_mul(left->line.r, pad_at(&h->p, left->line.m + k));

        holds &= mbi_ext_equal(mbi_ext_sub(end->value[k], m), true_value(&h->t, end->point, k));
    }
    return holds;
}

static bool accepts_hidden(const void *test, const uint8_t *proof, size_t n)
{
    const struct hidden *h = test;
    struct mbi_hidden left = {.host = &h->host, .next = h->t.b.n_sums, .claim_pad = h->claim_pad};
    struct mbi_proof_reader reader;
    struct end end;
    bool holds;

    mbi_proof_reader_init(&reader, proof, n, "test");
    holds = MBI_EXT(sum_verify_hidden)(end.point, end.value, &h->t.b, &left, &reader);
    test_that(holds == !reader.fault);
    mbi_get_end(&reader);
    holds = holds && !reader.fault && end_holds(h, &left, &end);
    MBI_EXT(hidden_free)(&left);
    return holds;
}

static bool hidden_holds(struct hidden *h)
{
    struct mbi_proof_writer w;
    bool holds;

    prove_hidden(&w, h);
    holds = accepts_hidden(h, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    return holds;
}

START_TEST(hidden_claims_are_accepted)
{
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "hidden_claims_are_accepted");
    for (unsigned bits = 0; bits <= 10; bits++)
        for (unsigned degree = 1; degree <= MBI_SUM_DEGREE; degree++)
            for (size_t n_sums = 1; n_sums <= (bits < 7 ? FEW_SUMS : 2); n_sums++) {
                random_batch(&h.t, bits, degree, n_sums, n_sums % 2 == 0, &r);
                hide(&h, &r);
                test_check(hidden_holds(&h), "2^%u, degree %u, %zu sums", bits, degree, n_sums);
                free_hidden(&h);
            }
}
END_TEST

START_TEST(every_change_of_a_hidden_one_is_refused)
{
    struct mbi_proof_writer w;
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "every_change_of_a_hidden_one_is_refused");
    for (unsigned bits = 0; bits <= 5; bits++)
        for (unsigned degree = 2; degree <= MBI_SUM_DEGREE; degree++) {
            strict_batch(&h.t, bits, degree, 1 + bits % 3, &r);
            hide(&h, &r);
            prove_hidden(&w, &h);
            test_that(accepts_hidden(&h, w.bytes.data, w.bytes.size));
            change_elements(accepts_hidden, &h, &w, &r);
            change_length(accepts_hidden, &h, &w);
            if (degree == 3 && bits < 4)
                flip_bits(accepts_hidden, &h, &w);
            for (size_t k = 0; k < h.t.b.n_sums; k++) {
                h.t.sum[k].claim.c[1] = mbi_fe_add(h.t.sum[k].claim.c[1], 1);
                test_that(!accepts_hidden(&h, w.bytes.data, w.bytes.size));
                h.t.sum[k].claim.c[1] = mbi_fe_sub(h.t.sum[k].claim.c[1], 1);
            }
            test_that(accepts_hidden(&h, w.bytes.data, w.bytes.size));
            mbi_proof_writer_free(&w);
            free_hidden(&h);
        }
}
END_TEST

/* Every message and every point has a pad of its own, which the verifier knows of. */
START_TEST(every_pad_is_used_once)
{
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "every_pad_is_used_once");
    for (unsigned bits = 0; bits <= 4; bits++)
        for (unsigned degree = 2; degree <= MBI_SUM_DEGREE; degree++) {
            strict_batch(&h.t, bits, degree, 2, &r);
            hide(&h, &r);
            for (size_t i = h.t.b.n_sums; i < h.p.pads.n; i++)
                for (int twice = 0; twice < 2; twice++) {
                    pads_spoil(&h.p, i, twice);
                    test_check(!hidden_holds(&h), "pad %zu of %zu", i, h.p.pads.n);
                    pads_restore(&h.p);
                }
            test_that(hidden_holds(&h));
            free_hidden(&h);
        }
}
END_TEST

/* Honest tables and pads, and a claim that is wrong: no line ends it. */
START_TEST(hidden_lies_are_refused)
{
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "hidden_lies_are_refused");
    for (int round = 0; round < 100; round++) {
        const size_t n_sums = 1 + random_size(&r, 3), k = random_size(&r, n_sums);
        const unsigned bits = (unsigned)test_random_below(&r, 7);

        strict_batch(&h.t, bits, 2 + (unsigned)test_random_below(&r, 4), n_sums, &r);
        hide(&h, &r);
        h.t.sum[k].claim = mbi_ext_add(h.t.sum[k].claim, mbi_ext_from(1));
        test_that(!hidden_holds(&h));
        free_hidden(&h);
    }
}
END_TEST

START_TEST(hidden_ones_are_gathered)
{
    struct mbi_proof_writer w;
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "hidden_ones_are_gathered");
    for (unsigned bits = 0; bits <= 4; bits++) {
        layered_batch(&h.t, bits, 3, 7, &r);
        hide(&h, &r);
        prove_hidden(&w, &h);
        test_that(accepts_hidden(&h, w.bytes.data, w.bytes.size));
        change_elements(accepts_hidden, &h, &w, &r);
        change_length(accepts_hidden, &h, &w);
        mbi_proof_writer_free(&w);
        for (size_t i = h.t.b.n_sums; i < h.p.pads.n; i++) {
            pads_spoil(&h.p, i, i % 2);
            test_check(!hidden_holds(&h), "pad %zu of %zu", i, h.p.pads.n);
            pads_restore(&h.p);
        }
        h.t.sum[bits].claim = mbi_ext_add(h.t.sum[bits].claim, mbi_ext_from(1));
        test_that(!hidden_holds(&h));
        free_hidden(&h);
    }
}
END_TEST

/* A line is of no use at its origin, where it shows the values themselves. */
START_TEST(the_origin_of_a_line_is_refused)
{
    struct mbi_line line = {.r = mbi_ext_from(0)};
    struct mbi_hidden left = {0};
    struct mbi_ext h[5];
    struct mbi_host host;
    struct test_random r;

    test_random_init(&r, "the_origin_of_a_line_is_refused");
    mbi_host_default(&host);
    left.host = &host;
    for (unsigned i = 0; i < 5; i++)
        h[i] = random_ext(&r);
    test_that(!MBI_EXT(line_join)(&line, h, 4, &left));
    line.r.c[MBI_EXT_D - 1] = 1;
    test_that(MBI_EXT(line_join)(&line, h, 4, &left));
    ck_assert_uint_eq(left.n_terms, 8);
    MBI_EXT(hidden_free)(&left);
}
END_TEST

START_TEST(any_hidden_bytes_are_refused)
{
    struct test_random r;
    struct hidden h;
    uint8_t proof[3000];

    test_random_init(&r, "any_hidden_bytes_are_refused");
    strict_batch(&h.t, 5, 4, 2, &r);
    hide(&h, &r);
    for (int round = 0; round < 1000; round++) {
        test_random_bytes(&r, proof, sizeof(proof));
        for (size_t i = 7; i < sizeof(proof); i += 8)
            proof[i] &= 0x7F; /* canonical */
        if (round % 3 == 2)
            memset(proof, 0, sizeof(proof));
        test_that(!accepts_hidden(&h, proof, 8 * MBI_EXT(sum_hidden_size)(&h.t.b)));
    }
    free_hidden(&h);
}
END_TEST

/* ---- vectors: the products of proof_forms.py ---- */

static struct mbi_ext vector_coordinate(size_t k, size_t i)
{
    struct mbi_ext z;

    for (size_t c = 0; c < MBI_EXT_D; c++)
        z.c[c] = mbi_fe_from_u64((k + 1 + i * MBI_EXT_D + c) * UINT64_C(0x9E3779B97F4A7C15));
    return z;
}

static uint32_t vector_entry(size_t k, size_t x, uint32_t span)
{
    return ((uint32_t)((k + 3) * (x + 1)) * UINT32_C(2654435761) >> 16) % span;
}

enum { DIGITS, CLAMP, LINEAR, CONSTANT, MIXED };

/* d(d - 1)(d - 2)(d - 3); u (127 - y); a sum; a number; u + 3 u y. Tables have the numbers from
 * `first` on. */
static void vector_sum(struct batch *t, size_t k, int what, uint32_t first)
{
    static const struct mbi_sum_term term[5][4] = {
        {{1, 4, {0}}, {MBI_FIELD_P - 6, 3, {0}}, {11, 2, {0}}, {MBI_FIELD_P - 6, 1, {0}}},
        {{127, 1, {0}}, {MBI_FIELD_P - 1, 2, {0, 1}}},
        {{1, 1, {0}}},
        {{5, 0, {0}}},
        {{1, 1, {0}}, {3, 2, {0, 1}}},
    };
    static const uint8_t n_terms[5] = {4, 2, 1, 1, 2}, n_tables[5] = {1, 2, 1, 0, 2};
    const unsigned bits = t->b.bits;
    const uint64_t size = (uint64_t)1 << bits, cut = t->b.n_tables > 3 ? k % 4 : k;

    for (size_t i = 0; i < bits; i++)
        t->z[k][0][i] = vector_coordinate(10 * k, i);
    for (uint32_t i = 0; i < 2; i++)
        t->number[k][i] = first + i;
    t->weight[k][0] =
        (struct mbi_form){bits,
                          mbi_ext_from(1),
                          1,
                          {MBI_EXT(form_eq)(0, bits, size > cut ? size - cut : 1, t->z[k][0])}};
    t->sum[k] = (struct mbi_sum){t->weight[k],   1,    term[what], n_terms[what], t->number[k],
                                 n_tables[what], {{0}}};
    t->sum[k].claim = slow_sum(t, k);
}

#define VECTOR_CASES 6

/* One of them, with tables of its own. */
struct vector_batch {
    struct batch t;
    uint8_t digit[16];
    int8_t narrow[16];
    int16_t wide[16], entry[MAX_TABLES][4];
};

/* Three tables of digits and of integers. */
static void small_vector(struct vector_batch *b, size_t c)
{
    static const struct {
        unsigned bits;
        size_t n;
        int what[3];
    } shape[4] = {{0, 1, {CLAMP}},
                  {3, 1, {DIGITS}},
                  {3, 2, {CLAMP, LINEAR}},
                  {4, 3, {CLAMP, DIGITS, CONSTANT}}};
    const size_t size = (size_t)1 << shape[c].bits;
    struct batch *t = &b->t;

    t->b = (struct mbi_sum_batch){shape[c].bits, t->sum, shape[c].n, 3, NULL};
    for (size_t x = 0; x < size; x++) {
        b->digit[x] = (uint8_t)vector_entry(0, x, 4);
        b->narrow[x] = (int8_t)((int)vector_entry(1, x, 256) - 128);
        b->wide[x] = (int16_t)((int)vector_entry(2, x, 1 << 16) - (1 << 15));
    }
    t->table[0] = (struct mbi_table){MBI_TABLE_U8, b->digit, size};
    t->table[1] = (struct mbi_table){MBI_TABLE_I8, b->narrow, size > 4 ? size - 3 : 1};
    t->table[2] = (struct mbi_table){MBI_TABLE_I16, b->wide, size};
    for (size_t k = 0; k < shape[c].n; k++)
        vector_sum(t, k, shape[c].what[k], shape[c].what[k] == CLAMP || shape[c].what[k] == LINEAR);
}

/* Sums that are alike, so many that they are gathered, or too few. */
static void alike_vector(struct vector_batch *b, bool many)
{
    struct batch *t = &b->t;

    t->b = (struct mbi_sum_batch){2, t->sum, many ? 19 : 2, many ? 24 : 4, NULL};
    for (size_t i = 0; i < t->b.n_tables; i++) {
        for (size_t x = 0; x < 4; x++)
            b->entry[i][x] = (int16_t)((int)vector_entry(i, x, 256) - 128);
        t->table[i] = (struct mbi_table){MBI_TABLE_I16, b->entry[i], i % 3 == 2 ? 3 : 4};
    }
    for (uint32_t k = 0; k < t->b.n_sums; k++)
        if (k < 12)
            vector_sum(t, k, many && k % 2 ? MIXED : CLAMP, 2 * k);
        else if (k < 18)
            vector_sum(t, k, LINEAR, 4 * (k - 12) + 1);
        else
            vector_sum(t, k, CONSTANT, 0);
    test_that(gather(t) == many);
}

static void vector_batch(struct vector_batch *b, uint64_t number)
{
    test_that(number < VECTOR_CASES);
    memset(b, 0, sizeof(*b));
    if (number < 4)
        small_vector(b, (size_t)number);
    else
        alike_vector(b, number == 4);
}

static void free_vector(struct vector_batch *b)
{
    struct mbi_host host;

    mbi_host_default(&host);
    MBI_EXT(alike_free)(&b->t.alike, &host);
}

START_TEST(another_implementation_writes_the_same_proofs)
{
    static struct vectors v;
    struct mbi_host host;
    size_t seen = 0;

    mbi_host_default(&host);
    vectors_open(&v, "golden/proof_forms.txt");
    while (vectors_next(&v)) {
        struct vector_batch b;
        struct batch *t = &b.t;
        struct end end, want;
        struct mbi_proof_writer w;
        size_t at;

        if (!vectors_is(&v, "sumcheck") || vectors_u64(&v, 1) != MBI_EXT_D)
            continue;
        vector_batch(&b, vectors_u64(&v, 2));
        prove(&end, &w, t, &host);
        vectors_same(&v, 3, w.bytes.data, w.bytes.size);
        at = vectors_ext(want.point, MBI_EXT(sum_rounds)(&t->b), &v, 4);
        at = vectors_ext(want.value, MBI_EXT(sum_values)(&t->b), &v, at);
        test_that(at == v.n);
        test_that(verify(&end, t, w.bytes.data, w.bytes.size));
        for (unsigned i = 0; i < MBI_EXT(sum_rounds)(&t->b); i++)
            test_that(mbi_ext_equal(end.point[i], want.point[i]));
        for (size_t k = 0; k < MBI_EXT(sum_values)(&t->b); k++)
            test_that(mbi_ext_equal(end.value[k], want.value[k]));
        mbi_proof_writer_free(&w);
        free_vector(&b);
        seen++;
    }
    ck_assert_uint_eq(seen, VECTOR_CASES);
}
END_TEST

/* What is left of a hidden one, with the factors of all pads. */
static void same_ends(const struct vectors *v, struct hidden *h, const struct mbi_proof_writer *w)
{
    struct mbi_hidden left = {.host = &h->host, .next = h->t.b.n_sums, .claim_pad = h->claim_pad};
    struct mbi_ext factor[128] = {{{0}}}, want[128], known;
    struct mbi_proof_reader in;
    struct end end, said;
    size_t at = vectors_ext(said.point, MBI_EXT(sum_rounds)(&h->t.b), v, 4);

    at = vectors_ext(said.value, MBI_EXT(sum_values)(&h->t.b), v, at);
    at = vectors_ext(&known, 1, v, at);
    test_that(h->p.pads.n <= MBI_COUNT(want));
    at = vectors_ext(want, h->p.pads.n, v, at);
    test_that(at == v->n);
    mbi_proof_reader_init(&in, w->bytes.data, w->bytes.size, "test");
    test_that(MBI_EXT(sum_verify_hidden)(end.point, end.value, &h->t.b, &left, &in));
    for (unsigned i = 0; i < MBI_EXT(sum_rounds)(&h->t.b); i++)
        test_that(mbi_ext_equal(end.point[i], said.point[i]));
    for (size_t k = 0; k < MBI_EXT(sum_values)(&h->t.b); k++)
        test_that(mbi_ext_equal(end.value[k], said.value[k]));
    test_that(left.n_zero == 1 && mbi_ext_equal(left.zero[0].known, known));
    for (size_t i = left.zero[0].first; i < left.zero[0].first + left.zero[0].n; i++)
        factor[left.term[i].pad] = mbi_ext_add(factor[left.term[i].pad], left.term[i].scale);
    for (size_t i = 0; i < h->p.pads.n; i++)
        test_check(mbi_ext_equal(factor[i], want[i]), "pad %zu has another factor", i);
    MBI_EXT(hidden_free)(&left);
}

START_TEST(another_implementation_writes_the_same_hidden_proofs)
{
    static struct vectors v;
    struct test_random r;
    size_t seen = 0;

    test_random_init(&r, "another_implementation_writes_the_same_hidden_proofs");
    vectors_open(&v, "golden/proof_forms.txt");
    while (vectors_next(&v)) {
        struct mbi_proof_writer w;
        struct vector_batch b;
        struct hidden h;

        if (!vectors_is(&v, "hidden") || vectors_u64(&v, 1) != MBI_EXT_D)
            continue;
        vector_batch(&b, vectors_u64(&v, 2));
        mbi_host_default(&h.host);
        h.t = b.t;
        h.t.b.sum = h.t.sum;
        h.t.b.alike = b.t.b.alike ? &h.t.alike : NULL;
        for (size_t k = 0; k < h.t.b.n_sums; k++) {
            h.t.sum[k].weight = h.t.weight[k];
            h.t.sum[k].table = h.t.number[k];
        }
        pads_init(&h.p, h.t.b.n_sums + MBI_EXT(sum_pads)(&h.t.b), &r);
        for (size_t i = 0; i < h.p.pads.n; i++) {
            const struct mbi_ext x = vector_coordinate(1000, i);

            memcpy(h.p.used + i * MBI_EXT_D, x.c, sizeof(x.c));
        }
        memcpy(h.p.at, h.p.used, h.p.pads.n * MBI_EXT_D * sizeof(*h.p.at));
        for (size_t k = 0; k < h.t.b.n_sums; k++) {
            h.claim_pad[k] = k;
            h.t.sum[k].claim = mbi_ext_add(h.t.sum[k].claim, pad_at(&h.p, k));
        }
        prove_hidden(&w, &h);
        vectors_same(&v, 3, w.bytes.data, w.bytes.size);
        same_ends(&v, &h, &w);
        mbi_proof_writer_free(&w);
        pads_free(&h.p);
        free_vector(&b);
        seen++;
    }
    ck_assert_uint_eq(seen, VECTOR_CASES);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sumcheck");
    TCase *t = tcase_create("sumcheck");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, true_claims_are_accepted);
    tcase_add_test(t, large_sums_are_cut_without_loss);
    tcase_add_test(t, threads_write_the_same_proof);
    tcase_add_test(t, refused_memory_leaves_nothing);
    tcase_add_test(t, every_change_is_refused);
    tcase_add_test(t, false_claims_are_refused);
    tcase_add_test(t, any_bytes_are_read_and_refused);
    tcase_add_test(t, no_bytes_prove_no_zero);
    tcase_add_test(t, wrong_plans_are_named);
    tcase_add_test(t, what_is_alike_is_found);
    tcase_add_test(t, what_differs_is_not_gathered);
    tcase_add_test(t, gathered_claims_are_accepted);
    tcase_add_test(t, every_change_of_a_gathered_one_is_refused);
    tcase_add_test(t, gathered_lies_are_refused);
    tcase_add_test(t, memory_for_gathering_is_refused_cleanly);
    tcase_add_test(t, hidden_claims_are_accepted);
    tcase_add_test(t, every_change_of_a_hidden_one_is_refused);
    tcase_add_test(t, every_pad_is_used_once);
    tcase_add_test(t, hidden_lies_are_refused);
    tcase_add_test(t, hidden_ones_are_gathered);
    tcase_add_test(t, the_origin_of_a_line_is_refused);
    tcase_add_test(t, any_hidden_bytes_are_refused);
    tcase_add_test(t, another_implementation_writes_the_same_proofs);
    tcase_add_test(t, another_implementation_writes_the_same_hidden_proofs);
    suite_add_tcase(s, t);
    return test_main(s);
}

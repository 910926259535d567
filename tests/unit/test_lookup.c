/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: lookups, complete for every shape, and sound under every lie and every change. */
#include "base/intmath.h"
#include "proof/hash.h"
#include "pads_test.h"
#include "proof/lookup.h"
#include "proof_changes.h"

#define MAX_BITS 17
#define WIDTHS 16 /* class w - 1 is of size 2^w, or between 2^(w-1) and that */

static void setup(void) { ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK); }

/* ---- a lookup and its vector, in all types that hold it ---- */

struct test {
    struct mbi_lookup l;
    int32_t *vector;
    mbi_fe *field;
    struct mbi_table table; /* of one of the two, or of something narrow */
    void *narrow;
    struct mbi_host host;
};

static uint64_t limbs(const struct test *t) { return t->l.begin[t->l.n]; }
static uint64_t counts_end(const struct test *t) { return t->l.counts[t->l.n]; }

/* n[w] limbs of width w; false if they and their counts, from `gap` behind them, have no room. */
static bool set_shape(struct mbi_lookup *l, unsigned bits, const uint64_t n[WIDTHS + 1],
                      uint64_t gap)
{
    *l = (struct mbi_lookup){.bits = bits, .n = WIDTHS};
    for (unsigned w = 1; w <= WIDTHS; w++) {
        l->size[w - 1] = (uint32_t)1 << w;
        l->begin[w] = l->begin[w - 1] + n[w];
    }
    MBI_EXT(lookup_place)(l, l->begin[WIDTHS] + gap);
    return l->counts[WIDTHS] <= (uint64_t)1 << bits;
}

/* What the table shows after a change of the vector. */
static void show(struct test *t)
{
    for (size_t x = 0; x < (size_t)1 << t->l.bits; x++)
        t->field[x] = mbi_fe_from_i64(t->vector[x]);
}

enum content { RANDOM, ZEROS, TOPS };

/* Noise wherever there is no limb and no count, with the counts of the limbs. */
static void set_vector(struct test *t, enum content content, struct test_random *r)
{
    const size_t size = (size_t)1 << t->l.bits;

    t->vector = malloc(size * sizeof(*t->vector));
    t->field = malloc(size * sizeof(*t->field));
    t->narrow = NULL;
    mbi_host_default(&t->host);
    test_that(t->vector && t->field);
    test_random_bytes(r, t->vector, size * sizeof(*t->vector));
    for (unsigned w = 1; w <= WIDTHS; w++)
        for (uint64_t x = t->l.begin[w - 1]; x < t->l.begin[w]; x++) {
            const int32_t top = (int32_t)t->l.size[w - 1] - 1;

            t->vector[x] = content == ZEROS  ? 0
                           : content == TOPS ? top
                                             : (int32_t)test_random_below(r, t->l.size[w - 1]);
        }
    test_that(MBI_EXT(lookup_count)(t->vector, &t->l));
    show(t);
    t->table = (struct mbi_table){MBI_TABLE_I32, t->vector, size};
}

static void free_test(struct test *t)
{
    free(t->vector);
    free(t->field);
    free(t->narrow);
}

/* Some widths, as many limbs as fit or fewer. */
static void random_shape(struct test *t, unsigned bits, struct test_random *r)
{
    const uint64_t size = (uint64_t)1 << bits;
    const bool whole = test_random_below(r, 2);
    uint64_t n[WIDTHS + 1], gap;

    do {
        const unsigned few = 1 + (unsigned)test_random_below(r, 4);

        for (unsigned w = 0; w <= WIDTHS; w++) {
            n[w] =
                test_random_below(r, few) || w >= bits ? 0 : test_random_below(r, size / few + 1);
            if (test_random_below(r, 3) == 0)
                n[w] = mbi_min_size((size_t)n[w], 1);
        }
        gap = test_random_below(r, 2) ? 0 : test_random_below(r, size / 4 + 1);
    } while (!set_shape(&t->l, bits, n, gap));
    for (unsigned w = 2; w <= WIDTHS; w++)
        t->l.size[w - 1] -= (uint32_t)test_random_below(r, whole ? 1 : 1u << (w - 1));
    MBI_EXT(lookup_place)(&t->l, t->l.counts[0]);
}

/* ---- proving and verifying ---- */

static void prove(struct mbi_lookup_end *end, struct mbi_proof_writer *w, const struct test *t,
                  const struct mbi_host *host, const struct mbi_field_kernels *kernels)
{
    mbi_proof_writer_init(w, host, "test");
    ck_assert_int_eq(MBI_EXT(lookup_prove)(end, &t->l, &t->table, w, host, kernels, NULL),
                     MAMBAINT_OK);
    test_that(!w->bytes.failed);
    test_that(w->bytes.size == 8 * MBI_EXT(lookup_size)(&t->l));
}

static void prove_here(struct mbi_lookup_end *end, struct mbi_proof_writer *w, const struct test *t)
{
    prove(end, w, t, &t->host, mbi_field_kernels_best());
}

/* Accepted, with nothing left over? */
static bool verify(struct mbi_lookup_end *end, const struct mbi_lookup *l, const uint8_t *proof,
                   size_t n)
{
    struct mbi_proof_reader reader;
    bool holds;

    mbi_proof_reader_init(&reader, proof, n, "test");
    holds = MBI_EXT(lookup_verify)(end, l, &reader);
    test_that(holds == !reader.fault);
    mbi_get_end(&reader);
    return holds && !reader.fault;
}

/* The sum over the entries [begin, end) of eq(point, x) f(x). */
static struct mbi_ext sum_of(const struct test *t, const struct mbi_ext *point, uint64_t begin,
                             uint64_t end)
{
    struct mbi_ext sum = mbi_ext_from(0);
    struct mbi_eq_walk walk;

    MBI_EXT(eq_walk_start)(&walk, point, t->l.bits);
    for (size_t x = 0; x < end; x++) {
        const struct mbi_ext w = walk.prefix[t->l.bits];

        if (x >= begin)
            sum = mbi_ext_add(sum, mbi_ext_scale(w, mbi_table_field(&t->table, x)));
        if (x + 1 < (size_t)1 << t->l.bits)
            MBI_EXT(eq_walk_next)(&walk);
    }
    return sum;
}

static bool end_is_true(const struct test *t, const struct mbi_lookup_end *end)
{
    return mbi_ext_equal(end->limbs, sum_of(t, end->point, 0, limbs(t))) &&
           mbi_ext_equal(end->counts, sum_of(t, end->point, t->l.counts[0], counts_end(t)));
}

/* Accepted, and what is left to prove is true? */
static bool proves(const void *test, const uint8_t *proof, size_t n)
{
    const struct test *t = test;
    struct mbi_lookup_end end;

    return verify(&end, &t->l, proof, n) && end_is_true(t, &end);
}

/* Both ends are the same, and true. */
static void check_complete(const struct test *t)
{
    struct mbi_lookup_end ours, theirs;
    struct mbi_proof_writer w;

    prove_here(&ours, &w, t);
    test_check(verify(&theirs, &t->l, w.bytes.data, w.bytes.size), "refused: 2^%u", t->l.bits);
    for (unsigned i = 0; i < t->l.bits; i++)
        test_that(mbi_ext_equal(ours.point[i], theirs.point[i]));
    test_that(mbi_ext_equal(ours.limbs, theirs.limbs));
    test_that(mbi_ext_equal(ours.counts, theirs.counts));
    test_that(end_is_true(t, &theirs));
    mbi_proof_writer_free(&w);
}

/* A proof of what is not so, by a prover who goes through the motions. */
static void check_refused(const struct test *t, const char *lie)
{
    struct mbi_lookup_end end;
    struct mbi_proof_writer w;

    prove_here(&end, &w, t);
    test_check(!proves(t, w.bytes.data, w.bytes.size), "2^%u: accepted though %s", t->l.bits, lie);
    mbi_proof_writer_free(&w);
}

START_TEST(true_lookups_are_accepted)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "true_lookups_are_accepted");
    for (unsigned bits = 0; bits <= 14; bits++)
        for (int round = 0; round < (bits < 10 ? 20 : 4); round++) {
            random_shape(&t, bits, &r);
            set_vector(&t, (enum content)(round % 3), &r);
            check_complete(&t);
            t.table = (struct mbi_table){MBI_TABLE_FIELD, t.field, (size_t)1 << bits};
            for (size_t x = 0; x < (size_t)1 << bits; x++) /* anything where nothing is said */
                if (x >= limbs(&t) && (x < t.l.counts[0] || x >= counts_end(&t)))
                    t.field[x] = test_random_below(&r, 4) ? random_field(&r) : MBI_FIELD_P - 1;
            check_complete(&t);
            free_test(&t);
        }
}
END_TEST

/* As narrow as limbs and counts allow, and shorter where zeros follow. */
START_TEST(every_type_of_table_is_read)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "every_type_of_table_is_read");
    for (unsigned bits = 5; bits <= 13; bits += 4)
        for (int type = MBI_TABLE_U8; type <= MBI_TABLE_I16; type++) {
            const uint64_t n[WIDTHS + 1] = {0, 5, 0, 10};
            uint8_t *narrow;

            test_that(set_shape(&t.l, bits, n, 2));
            set_vector(&t, RANDOM, &r);
            narrow = t.narrow = malloc((size_t)counts_end(&t) * 2);
            test_that(narrow);
            for (size_t x = 0; x < counts_end(&t); x++)
                if (type == MBI_TABLE_U8 || type == MBI_TABLE_I8)
                    narrow[x] = (uint8_t)t.vector[x];
                else
                    ((uint16_t *)(void *)narrow)[x] = (uint16_t)t.vector[x];
            t.table = (struct mbi_table){(enum mbi_table_type)type, narrow, (size_t)counts_end(&t)};
            check_complete(&t);
            free_test(&t);
        }
}
END_TEST

/* Nothing at all, one limb, limbs and counts to the last entry, borders of tiles. */
START_TEST(shapes_at_the_edge)
{
    static const struct {
        unsigned bits, w[3];
        uint64_t n[3], gap;
    } shape[] = {
        {0, {1}, {0}, 0},
        {0, {1}, {0}, 1},
        {1, {1}, {0}, 2},
        {2, {1}, {2}, 0},
        {2, {1}, {1}, 0},
        {4, {1, 2, 3}, {1, 1, 0}, 8},
        {4, {3}, {8}, 0},
        {9, {8}, {256}, 0},
        {12, {11}, {2048}, 0},
        {12, {1, 2}, {2048, 2042}, 0},
        {12, {1, 2}, {2047, 2043}, 0},
        {13, {1}, {4096}, 0},
        {13, {1, 3}, {2048, 4096}, 0},
        {13, {4}, {8176}, 0},
        {13, {2}, {1}, 8187},
        {14, {1, 5, 13}, {4095, 1, 4062}, 0},
        {14, {1, 5}, {4096, 8192}, 4062},
        {14, {2}, {100}, 0},
        {17, {16}, {65536}, 0},
        {17, {1, 16}, {3, 20}, 4},
    };
    struct test_random r;
    struct test t;

    test_random_init(&r, "shapes_at_the_edge");
    for (size_t i = 0; i < MBI_COUNT(shape); i++)
        for (int content = RANDOM; content <= TOPS; content++) {
            uint64_t n[WIDTHS + 1] = {0};

            for (int k = 0; k < 3; k++)
                if (shape[i].n[k])
                    n[shape[i].w[k]] = shape[i].n[k];
            test_check(set_shape(&t.l, shape[i].bits, n, shape[i].gap), "shape %zu", i);
            ck_assert_ptr_null(MBI_EXT(lookup_fault)(&t.l));
            set_vector(&t, (enum content)content, &r);
            check_complete(&t);
            free_test(&t);
        }
}
END_TEST

START_TEST(threads_and_kernels_write_the_same_proof)
{
    struct mbi_host pooled;
    struct test_random r;
    struct test t;
    struct mbi_lookup_end end;
    struct mbi_proof_writer one, other;

    test_random_init(&r, "threads_and_kernels_write_the_same_proof");
    mbi_host_default(&pooled);
    test_that(mbi_pool_create(&pooled.pool, &pooled, 4, NULL) == MAMBAINT_OK);
    for (unsigned bits = 3; bits <= 15; bits += 3) {
        random_shape(&t, bits, &r);
        set_vector(&t, RANDOM, &r);
        prove(&end, &one, &t, &t.host, &mbi_field_kernels_portable);
        for (size_t i = 0; mbi_field_kernels_at(i); i++) {
            if (!mbi_field_kernels_at(i)->probe())
                continue;
            prove(&end, &other, &t, i % 2 ? &t.host : &pooled, mbi_field_kernels_at(i));
            test_that(one.bytes.size == other.bytes.size);
            test_same_bytes(other.bytes.data, one.bytes.data, one.bytes.size);
            mbi_proof_writer_free(&other);
        }
        mbi_proof_writer_free(&one);
        free_test(&t);
    }
    mbi_pool_free(&pooled, pooled.pool);
}
END_TEST

static int32_t prove_for(const struct mbi_host *host, void *arg)
{
    const struct test *t = arg;
    struct mbi_lookup_end end;
    struct mbi_proof_writer w;
    int32_t rc;

    mbi_proof_writer_init(&w, host, "test");
    rc = MBI_EXT(lookup_prove)(&end, &t->l, &t->table, &w, host, mbi_field_kernels_best(), NULL);
    if (rc == MAMBAINT_OK && w.bytes.failed)
        rc = MAMBAINT_E_NO_MEMORY;
    mbi_proof_writer_free(&w);
    return rc;
}

START_TEST(refused_memory_leaves_nothing)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "refused_memory_leaves_nothing");
    for (unsigned bits = 4; bits <= 13; bits += 9) {
        random_shape(&t, bits, &r);
        set_vector(&t, RANDOM, &r);
        test_that(test_refuse_each(prove_for, &t) > bits);
        free_test(&t);
    }
}
END_TEST

/* What the header promises, with a fifth for small tables and one block at a border of 2 MiB. */
START_TEST(memory_is_bounded)
{
    const uint64_t n[WIDTHS + 1] = {0, 0, 0, 0, 0, 0, 0, 0, 60000};
    const double entry = (double)sizeof(struct mbi_ext) * (1 << 16);
    struct test_random r;
    struct test_host host;
    struct test t;

    test_random_init(&r, "memory_is_bounded");
    test_that(set_shape(&t.l, 16, n, 0));
    set_vector(&t, RANDOM, &r);
    test_host_init(&host);
    ck_assert_int_eq(prove_for(&host.host, &t), MAMBAINT_OK);
    test_that((double)atomic_load(&host.peak) < 2.7 * entry + (1 << 21));
    test_host_check(&host);
    free_test(&t);
}
END_TEST

/* ---- lies ---- */

/* Two widths with room for others, so that a limb can be one of another width. */
static void lying_shape(struct test *t, unsigned bits, struct test_random *r)
{
    const uint64_t all = ((uint64_t)1 << bits) - 24;
    uint64_t n[WIDTHS + 1] = {0};

    n[3] = 1 + test_random_below(r, all / 2);
    n[4] = 1 + test_random_below(r, all / 2);
    test_that(set_shape(&t->l, bits, n, 0));
    set_vector(t, RANDOM, r);
    t->table = (struct mbi_table){MBI_TABLE_FIELD, t->field, (size_t)1 << bits};
}

static uint64_t some_limb(const struct test *t, unsigned w, struct test_random *r)
{
    return t->l.begin[w - 1] + test_random_below(r, t->l.begin[w] - t->l.begin[w - 1]);
}

START_TEST(limbs_out_of_range_are_refused)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "limbs_out_of_range_are_refused");
    for (unsigned bits = 5; bits <= 13; bits += 2)
        for (int round = 0; round < (bits < 10 ? 10 : 2); round++) {
            lying_shape(&t, bits, &r);
            for (unsigned w = 3; w <= 4; w++) {
                const mbi_fe lie[] = {(mbi_fe)1 << w,  MBI_FIELD_P - 1,       ((mbi_fe)1 << w) + 1,
                                      (mbi_fe)1 << 32, (MBI_FIELD_P + 1) / 2, random_field(&r)};
                const uint64_t x = some_limb(&t, w, &r);
                const mbi_fe was = t.field[x];
                mbi_fe *count = &t.field[t.l.counts[w - 1] + was];

                for (size_t i = 0; i < MBI_COUNT(lie); i++) {
                    t.field[x] = lie[i];
                    check_refused(&t, "a limb is out of range");
                    *count = mbi_fe_sub(*count, 1); /* counted by none */
                    check_refused(&t, "a limb is out of range and not counted");
                    *count = mbi_fe_add(*count, 1);
                    t.field[x] = was;
                }
            }
            free_test(&t);
        }
}
END_TEST

/* One more or one less, alone, for another value, or for a value of another width. */
START_TEST(wrong_counts_are_refused)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "wrong_counts_are_refused");
    for (unsigned bits = 5; bits <= 13; bits += 4)
        for (int round = 0; round < 8; round++) {
            const mbi_fe more = round % 2 ? MBI_FIELD_P - 1 : 1;
            mbi_fe *three, *four;
            uint64_t v;

            lying_shape(&t, bits, &r);
            three = t.field + t.l.counts[2];
            four = t.field + t.l.counts[3];
            v = test_random_below(&r, 8);
            three[v] = mbi_fe_add(three[v], more);
            check_refused(&t, "a count is off by one");
            three[v ^ 1] = mbi_fe_sub(three[v ^ 1], more);
            check_refused(&t, "a count is moved to another value");
            three[v ^ 1] = mbi_fe_add(three[v ^ 1], more);
            four[v] = mbi_fe_sub(four[v], more);
            check_refused(&t, "a count is moved to another width");
            three[v] = mbi_fe_sub(three[v], more);
            check_refused(&t, "a count is off by one");
            four[v] = mbi_fe_add(four[v], more);
            free_test(&t);
        }
}
END_TEST

/* A value that is right for width 4 but not for width 3, counted where it would be right. */
START_TEST(limbs_of_another_width_are_refused)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "limbs_of_another_width_are_refused");
    for (int round = 0; round < 20; round++) {
        uint64_t x;

        lying_shape(&t, 5 + (unsigned)round % 3, &r);
        x = some_limb(&t, 3, &r);
        t.field[t.l.counts[2] + t.field[x]]--;
        t.field[x] = 8 + test_random_below(&r, 8);
        t.field[t.l.counts[3] + t.field[x]]++;
        check_refused(&t, "a limb of width 3 is counted as one of width 4");
        free_test(&t);
    }
}
END_TEST

/* A vector other than the one of the proof: the end says so. */
START_TEST(another_vector_is_no_end)
{
    struct test_random r;
    struct test t;

    test_random_init(&r, "another_vector_is_no_end");
    for (unsigned bits = 5; bits <= 13; bits += 4) {
        struct mbi_lookup_end end;
        struct mbi_proof_writer w;

        lying_shape(&t, bits, &r);
        prove_here(&end, &w, &t);
        for (int round = 0; round < 20; round++) {
            const uint64_t x = random_size(&r, (size_t)1 << bits);
            const bool real = x < limbs(&t) || (x >= t.l.counts[0] && x < counts_end(&t));
            const mbi_fe was = t.field[x];

            t.field[x] = mbi_fe_add(was, 1);
            test_check(proves(&t, w.bytes.data, w.bytes.size) == !real, "entry %llu",
                       (unsigned long long)x);
            t.field[x] = was;
        }
        test_that(proves(&t, w.bytes.data, w.bytes.size));
        mbi_proof_writer_free(&w);
        free_test(&t);
    }
}
END_TEST

/* ---- changed proofs ---- */

/*
 * The last layer's values so changed that its check still holds: what is left to prove is false
 * then. (In an earlier layer the next one finds it.)
 */
static void change_values(const struct test *t, const struct mbi_proof_writer *w,
                          struct test_random *r)
{
    struct mbi_lookup_end end;

    for (unsigned k = 0, at = 1; k < t->l.bits; k++, at += 2 * k + 2) {
        uint8_t *bytes = w->bytes.data + (at + 2 * k) * MBI_EXT_BYTES, was[4 * MBI_EXT_BYTES];
        const struct mbi_ext e = random_ext(r);
        struct mbi_ext v[4];
        bool accepted;

        memcpy(was, bytes, sizeof(was));
        test_that(mbi_ext_from_bytes(v, bytes, 4));
        v[0] = mbi_ext_add(v[0], mbi_ext_mul(e, v[2])); /* p0 q1 + p1 q0 stays */
        v[1] = mbi_ext_sub(v[1], mbi_ext_mul(e, v[3]));
        mbi_ext_to_bytes(bytes, v, 4);
        accepted = verify(&end, &t->l, w->bytes.data, w->bytes.size);
        test_check(accepted == (k + 1 == t->l.bits), "values of layer %u", k);
        test_that(!accepted || !end_is_true(t, &end));
        memcpy(bytes, was, sizeof(was));
    }
}

/* The same proof for another shape. */
static void change_shape(struct test *t, const struct mbi_proof_writer *w)
{
    const struct mbi_lookup l = t->l;
    struct mbi_lookup_end end;

    t->l.begin[3]++; /* the first limb of width 4 is one of width 3 */
    test_that(!proves(t, w->bytes.data, w->bytes.size));
    t->l = l;
    t->l.begin[3]--;
    test_that(!proves(t, w->bytes.data, w->bytes.size));
    t->l = l;
    for (unsigned k = 4; k <= WIDTHS; k++) /* one limb of width 4 fewer */
        t->l.begin[k]--;
    test_that(!proves(t, w->bytes.data, w->bytes.size));
    t->l = l;
    t->l.bits++;
    test_that(!verify(&end, &t->l, w->bytes.data, w->bytes.size));
    t->l = l;
}

START_TEST(every_change_is_refused)
{
    struct test_random r;
    struct test t;
    struct mbi_lookup_end end;
    struct mbi_proof_writer w;

    test_random_init(&r, "every_change_is_refused");
    for (unsigned bits = 5; bits <= 8; bits++) {
        lying_shape(&t, bits, &r);
        while (t.l.begin[3] < 2 || limbs(&t) < t.l.begin[3] + 2) {
            free_test(&t);
            lying_shape(&t, bits, &r);
        }
        prove_here(&end, &w, &t);
        test_that(proves(&t, w.bytes.data, w.bytes.size));
        change_elements(proves, &t, &w, &r);
        change_values(&t, &w, &r);
        change_shape(&t, &w);
        change_length(proves, &t, &w);
        if (bits == 5)
            flip_bits(proves, &t, &w);
        test_that(proves(&t, w.bytes.data, w.bytes.size)); /* all changes were taken back */
        mbi_proof_writer_free(&w);
        free_test(&t);
    }
}
END_TEST

/* Zeros, which is also what a reader gives after a fault, would be right in every layer if the
 * product might be zero. */
START_TEST(zeros_prove_nothing)
{
    struct test_random r;
    struct test t;
    struct mbi_lookup_end end;
    uint8_t *zeros;

    test_random_init(&r, "zeros_prove_nothing");
    for (unsigned bits = 0; bits <= 14; bits++) {
        random_shape(&t, bits, &r);
        zeros = calloc(MBI_EXT(lookup_size)(&t.l), 8);
        test_that(zeros);
        test_that(!verify(&end, &t.l, zeros, 8 * MBI_EXT(lookup_size)(&t.l)));
        test_that(!verify(&end, &t.l, NULL, 0));
        free(zeros);
    }
}
END_TEST

START_TEST(any_bytes_are_read_and_refused)
{
    struct test_random r;
    struct test t;
    struct mbi_lookup_end end;
    uint8_t proof[3000];

    test_random_init(&r, "any_bytes_are_read_and_refused");
    for (int round = 0; round < 3000; round++) {
        random_shape(&t, 1 + (unsigned)round % 8, &r);
        test_random_bytes(&r, proof, sizeof(proof));
        for (size_t i = 7; i < sizeof(proof); i += 8)
            if (round % 3)
                proof[i] &= 0x7F; /* canonical */
        test_that(
            !verify(&end, &t.l, proof,
                    round % 2 ? 8 * MBI_EXT(lookup_size)(&t.l) : random_size(&r, sizeof(proof))));
    }
}
END_TEST

/* ---- plans and counting ---- */

static void check_fault(const struct mbi_lookup *l, const char *part)
{
    const char *fault = MBI_EXT(lookup_fault)(l);
    const int32_t entry[1] = {0};
    const struct mbi_table table = {MBI_TABLE_I32, entry, 1};
    struct mbi_lookup_end end;
    struct mbi_proof_writer w;
    struct mbi_proof_reader in;
    struct mbi_host host;
    mambaint_error err;

    test_check(fault && strstr(fault, part), "%s is not said, but %s", part,
               fault ? fault : "none");
    mbi_host_default(&host);
    mbi_proof_writer_init(&w, &host, "test");
    ck_assert_int_eq(
        MBI_EXT(lookup_prove)(&end, l, &table, &w, &host, mbi_field_kernels_best(), &err),
        MAMBAINT_E_INTERNAL);
    test_that(!w.bytes.size);
    mbi_proof_writer_free(&w);
    mbi_proof_reader_init(&in, NULL, 0, "test");
    test_that(!MBI_EXT(lookup_verify)(&end, l, &in));
    test_that(in.fault == fault);
}

START_TEST(wrong_plans_are_named)
{
    const uint64_t n[WIDTHS + 1] = {0, 3, 5};
    struct mbi_lookup good, l;

    test_that(set_shape(&good, 4, n, 1));
    ck_assert_ptr_null(MBI_EXT(lookup_fault)(&good));
    l = good;
    l.bits = MBI_LOOKUP_BITS + 1;
    check_fault(&l, "too many bits");
    l.bits = 200;
    check_fault(&l, "too many bits");
    l = good;
    l.bits = 3;
    check_fault(&l, "does not fit");
    l = good;
    l.n = MBI_LOOKUP_CLASSES + 1;
    check_fault(&l, "too many classes");
    l = good;
    l.size[1] = l.size[0];
    check_fault(&l, "sizes of a lookup");
    l = good;
    l.size[WIDTHS - 1] = MBI_LOOKUP_SIZE + 1;
    check_fault(&l, "sizes of a lookup");
    l = good;
    l.size[0] = 0;
    check_fault(&l, "sizes of a lookup");
    l = good;
    l.begin[0] = 1;
    check_fault(&l, "begin at 0");
    l = good;
    l.begin[1] = 9;
    check_fault(&l, "not in order");
    l = good;
    MBI_EXT(lookup_place)(&l, 7);
    check_fault(&l, "not behind");
    l = good;
    l.counts[0]--; /* two counts of three */
    check_fault(&l, "of its classes");
    l = good;
    for (unsigned w = 2; w <= WIDTHS; w++)
        l.counts[w]++; /* a gap */
    check_fault(&l, "of its classes");
    l = good;
    l.counts[8] = 0; /* back, and 2^64 further */
    check_fault(&l, "of its classes");
    l = good;
    MBI_EXT(lookup_place)(&l, UINT64_MAX - 1); /* beyond 2^64 */
    check_fault(&l, "of its classes");
}
END_TEST

START_TEST(a_table_of_the_extension_is_no_vector)
{
    const uint64_t n[WIDTHS + 1] = {0};
    const struct mbi_table table = {MBI_TABLE_EXT, NULL, 0};
    struct mbi_lookup_end end;
    struct mbi_proof_writer w;
    struct mbi_lookup l;
    struct mbi_host host;
    mambaint_error err;

    test_that(set_shape(&l, 4, n, 1));
    mbi_host_default(&host);
    mbi_proof_writer_init(&w, &host, "test");
    ck_assert_int_eq(
        MBI_EXT(lookup_prove)(&end, &l, &table, &w, &host, mbi_field_kernels_best(), &err),
        MAMBAINT_E_INTERNAL);
    mbi_proof_writer_free(&w);
}
END_TEST

START_TEST(counts_are_of_what_is_in_range)
{
    const uint64_t n[WIDTHS + 1] = {0, 3, 4};
    int32_t f[16] = {0, 1, 1, 3, 2, 3, 0, 77, 9, 9, 9, 9, 9, 9, 88, 99};
    const int32_t want[16] = {0, 1, 1, 3, 2, 3, 0, 77, 1, 2, 1, 0, 1, 2, 88, 99};
    struct mbi_lookup l;

    test_that(set_shape(&l, 4, n, 1));
    test_that(MBI_EXT(lookup_count)(f, &l));
    test_same_bytes(f, want, sizeof(f));
    f[1] = 2;
    test_that(!MBI_EXT(lookup_count)(f, &l));
    ck_assert_int_eq(f[9], 1);
    f[1] = -1;
    test_that(!MBI_EXT(lookup_count)(f, &l));
    ck_assert_int_eq(f[9], 1);
}
END_TEST

/* ---- hidden ---- */

struct hidden {
    struct test t;
    struct test_pads p;
};

static void prove_hidden(struct mbi_proof_writer *w, struct hidden *h)
{
    struct mbi_lookup_end end;

    mbi_proof_writer_init(w, &h->t.host, "test");
    h->p.pads.next = 0;
    w->pads = &h->p.pads;
    ck_assert_int_eq(MBI_EXT(lookup_prove)(&end, &h->t.l, &h->t.table, w, &h->t.host,
                                           mbi_field_kernels_best(), NULL),
                     MAMBAINT_OK);
    test_that(!w->bytes.failed);
    ck_assert_uint_eq(h->p.pads.next, h->p.pads.n); /* each is used once */
    test_that(w->bytes.size == 8 * MBI_EXT(lookup_hidden_size)(&h->t.l));
}

/* Accepted, and all that is left to prove is true of vector and pads? */
static bool proves_hidden(const void *test, const uint8_t *proof, size_t n)
{
    const struct hidden *h = test;
    struct mbi_hidden left = {.host = &h->t.host};
    struct mbi_proof_reader reader;
    struct mbi_lookup_end end;
    bool holds;

    mbi_proof_reader_init(&reader, proof, n, "test");
    holds = MBI_EXT(lookup_verify_hidden)(&end, &h->t.l, &left, &reader);
    test_that(holds == !reader.fault);
    mbi_get_end(&reader);
    holds = holds && !reader.fault;
    if (holds) {
        ck_assert_uint_eq(left.next, h->p.pads.n);
        ck_assert_uint_eq(left.n_zero, 3 + h->t.l.bits);
        end.limbs = affine_at(&h->p, &left, &left.end[0]);
        end.counts = affine_at(&h->p, &left, &left.end[1]);
        holds = zeros_hold(&h->p, &left) && end_is_true(&h->t, &end);
    }
    MBI_EXT(hidden_free)(&left);
    return holds;
}

static bool hidden_holds(struct hidden *h)
{
    struct mbi_proof_writer w;
    bool holds;

    prove_hidden(&w, h);
    holds = proves_hidden(h, w.bytes.data, w.bytes.size);
    mbi_proof_writer_free(&w);
    return holds;
}

START_TEST(hidden_lookups_are_accepted)
{
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "hidden_lookups_are_accepted");
    for (unsigned bits = 0; bits <= 14; bits++)
        for (int round = 0; round < (bits < 9 ? 8 : 2); round++) {
            random_shape(&h.t, bits, &r);
            set_vector(&h.t, (enum content)(round % 3), &r);
            pads_init(&h.p, MBI_EXT(lookup_pads)(&h.t.l), &r);
            test_check(hidden_holds(&h), "2^%u", bits);
            pads_free(&h.p);
            free_test(&h.t);
        }
}
END_TEST

/* Every change, every pad left out or used twice, a limb out of range, and a wrong count. */
START_TEST(every_change_of_a_hidden_one_is_refused)
{
    struct mbi_proof_writer w;
    struct test_random r;
    struct hidden h;

    test_random_init(&r, "every_change_of_a_hidden_one_is_refused");
    for (unsigned bits = 5; bits <= 7; bits++) {
        mbi_fe was;

        lying_shape(&h.t, bits, &r);
        pads_init(&h.p, MBI_EXT(lookup_pads)(&h.t.l), &r);
        prove_hidden(&w, &h);
        test_that(proves_hidden(&h, w.bytes.data, w.bytes.size));
        change_elements(proves_hidden, &h, &w, &r);
        change_length(proves_hidden, &h, &w);
        if (bits == 5)
            flip_bits(proves_hidden, &h, &w);
        mbi_proof_writer_free(&w);
        for (size_t i = 0; i < h.p.pads.n; i++)
            for (int twice = 0; twice < 2; twice++) {
                pads_spoil(&h.p, i, twice);
                test_check(!hidden_holds(&h), "pad %zu of %zu", i, h.p.pads.n);
                pads_restore(&h.p);
            }
        was = h.t.field[0];
        h.t.field[0] = 8;
        test_that(!hidden_holds(&h));
        h.t.field[0] = was;
        h.t.field[h.t.l.counts[2]]++;
        test_that(!hidden_holds(&h));
        h.t.field[h.t.l.counts[2]]--;
        test_that(hidden_holds(&h));
        pads_free(&h.p);
        free_test(&h.t);
    }
}
END_TEST

/* With a product of 0 all layers could be zeros. */
START_TEST(hidden_zeros_prove_nothing)
{
    struct test_random r;
    struct hidden h;
    uint8_t *zeros;

    test_random_init(&r, "hidden_zeros_prove_nothing");
    for (unsigned bits = 0; bits <= 10; bits++) {
        lying_shape(&h.t, bits < 5 ? 5 : bits, &r);
        pads_init(&h.p, MBI_EXT(lookup_pads)(&h.t.l), &r);
        memset(h.p.at, 0, h.p.pads.n * MBI_EXT_D * sizeof(*h.p.at));
        zeros = calloc(MBI_EXT(lookup_hidden_size)(&h.t.l), 8);
        test_that(zeros);
        test_that(!proves_hidden(&h, zeros, 8 * MBI_EXT(lookup_hidden_size)(&h.t.l)));
        free(zeros);
        pads_free(&h.p);
        free_test(&h.t);
    }
}
END_TEST

/* ---- another implementation ---- */

/* tests/golden/proof_lookup.py: noise, in which limbs and counts are set. */
static void vector_case(struct test *t, size_t k)
{
    static const struct {
        unsigned bits, n;
        uint32_t size[3];
        uint64_t limbs[3], first;
    } shape[] = {
        {0, 0, {0}, {0}, 1},
        {2, 1, {2}, {2}, 2},
        {3, 1, {4}, {3}, 4},
        {5, 3, {2, 4, 8}, {5, 1, 7}, 14},
        {5, 2, {3, 5}, {6, 2}, 9},
        {6, 1, {32}, {20}, 25},
        {13, 3, {8, 16, 1024}, {100, 3000, 1500}, 5000},
        {13, 1, {2}, {10}, 20},
        {13, 3, {1, 1025, 1026}, {7, 3000, 2000}, 5007},
    };
    size_t size;

    test_that(k < MBI_COUNT(shape));
    t->l = (struct mbi_lookup){.bits = shape[k].bits, .n = shape[k].n};
    for (unsigned c = 0; c < shape[k].n; c++) {
        t->l.size[c] = shape[k].size[c];
        t->l.begin[c + 1] = t->l.begin[c] + shape[k].limbs[c];
    }
    MBI_EXT(lookup_place)(&t->l, shape[k].first);
    size = (size_t)1 << t->l.bits;
    t->vector = malloc(size * sizeof(*t->vector));
    t->field = NULL;
    t->narrow = NULL;
    mbi_host_default(&t->host);
    test_that(t->vector);
    for (uint64_t x = 0; x < size; x++)
        t->vector[x] = (int32_t)((x * 2654435761 + 12345) % ((uint64_t)1 << 31));
    for (unsigned c = 0; c < t->l.n; c++)
        for (uint64_t x = t->l.begin[c]; x < t->l.begin[c + 1]; x++)
            t->vector[x] =
                (int32_t)((uint64_t)(uint32_t)((x + 3) * 2654435761) * t->l.size[c] >> 32);
    test_that(MBI_EXT(lookup_count)(t->vector, &t->l));
    t->table = (struct mbi_table){MBI_TABLE_I32, t->vector, size};
}

START_TEST(another_implementation_writes_the_same_proofs)
{
    static struct vectors v;
    size_t seen = 0;

    vectors_open(&v, "golden/proof_lookup.txt");
    while (vectors_next(&v)) {
        struct mbi_lookup_end end, want;
        struct mbi_proof_writer w;
        struct test t;
        size_t at;

        if (!vectors_is(&v, "lookup") || vectors_u64(&v, 1) != MBI_EXT_D)
            continue;
        vector_case(&t, (size_t)vectors_u64(&v, 2));
        prove_here(&end, &w, &t);
        vectors_same(&v, 3, w.bytes.data, w.bytes.size);
        at = vectors_ext(want.point, t.l.bits, &v, 4);
        at = vectors_ext(&want.limbs, 1, &v, at);
        at = vectors_ext(&want.counts, 1, &v, at);
        test_that(at == v.n);
        test_that(verify(&end, &t.l, w.bytes.data, w.bytes.size));
        for (unsigned i = 0; i < t.l.bits; i++)
            test_that(mbi_ext_equal(end.point[i], want.point[i]));
        test_that(mbi_ext_equal(end.limbs, want.limbs));
        test_that(mbi_ext_equal(end.counts, want.counts));
        mbi_proof_writer_free(&w);
        free_test(&t);
        seen++;
    }
    ck_assert_uint_eq(seen, 9);
}
END_TEST

/* A value that is affine: what is known, and the sum of w^i times the factor of pad i. */
static void same_affine(const struct vectors *v, size_t *at, const struct mbi_hidden *h,
                        const struct mbi_affine *a, struct mbi_ext w)
{
    struct mbi_ext want[2], sum = mbi_ext_from(0);

    *at = vectors_ext(want, 2, v, *at);
    for (size_t i = a->first; i < a->first + a->n; i++) {
        struct mbi_ext x = h->term[i].scale;

        for (size_t k = 0; k < h->term[i].pad; k++)
            x = mbi_ext_mul(x, w);
        sum = mbi_ext_add(sum, x);
    }
    test_that(mbi_ext_equal(want[0], a->known));
    test_that(mbi_ext_equal(want[1], sum));
}

static void same_ends(const struct vectors *v, const struct hidden *h,
                      const struct mbi_proof_writer *w)
{
    struct mbi_hidden left = {.host = &h->t.host};
    struct mbi_lookup_end end, want;
    struct mbi_proof_reader in;
    size_t at = vectors_ext(want.point, h->t.l.bits, v, 4);

    mbi_proof_reader_init(&in, w->bytes.data, w->bytes.size, "test");
    test_that(MBI_EXT(lookup_verify_hidden)(&end, &h->t.l, &left, &in));
    for (unsigned i = 0; i < h->t.l.bits; i++)
        test_that(mbi_ext_equal(end.point[i], want.point[i]));
    for (size_t i = 0; i < left.n_zero; i++)
        same_affine(v, &at, &left, &left.zero[i], pad_at(&h->p, 0));
    for (int i = 0; i < 2; i++)
        same_affine(v, &at, &left, &left.end[i], pad_at(&h->p, 0));
    test_that(at == v->n);
    MBI_EXT(hidden_free)(&left);
}

START_TEST(another_implementation_writes_the_same_hidden_proofs)
{
    static struct vectors v;
    struct test_random r;
    size_t seen = 0;

    test_random_init(&r, "another_implementation_writes_the_same_hidden_proofs");
    vectors_open(&v, "golden/proof_lookup.txt");
    while (vectors_next(&v)) {
        struct mbi_proof_writer w;
        struct hidden h;

        if (!vectors_is(&v, "hidden") || vectors_u64(&v, 1) != MBI_EXT_D)
            continue;
        vector_case(&h.t, (size_t)vectors_u64(&v, 2));
        pads_init(&h.p, MBI_EXT(lookup_pads)(&h.t.l), &r);
        for (size_t i = 0; i < h.p.pads.n * MBI_EXT_D; i++)
            h.p.at[i] = h.p.used[i] = mbi_fe_from_u64((1001 + i) * UINT64_C(0x9E3779B97F4A7C15));
        prove_hidden(&w, &h);
        vectors_same(&v, 3, w.bytes.data, w.bytes.size);
        same_ends(&v, &h, &w);
        mbi_proof_writer_free(&w);
        pads_free(&h.p);
        free_test(&h.t);
        seen++;
    }
    ck_assert_uint_eq(seen, 6);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lookup");
    TCase *t = tcase_create("lookup");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, true_lookups_are_accepted);
    tcase_add_test(t, every_type_of_table_is_read);
    tcase_add_test(t, shapes_at_the_edge);
    tcase_add_test(t, threads_and_kernels_write_the_same_proof);
    tcase_add_test(t, refused_memory_leaves_nothing);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, limbs_out_of_range_are_refused);
    tcase_add_test(t, wrong_counts_are_refused);
    tcase_add_test(t, limbs_of_another_width_are_refused);
    tcase_add_test(t, another_vector_is_no_end);
    tcase_add_test(t, every_change_is_refused);
    tcase_add_test(t, zeros_prove_nothing);
    tcase_add_test(t, any_bytes_are_read_and_refused);
    tcase_add_test(t, wrong_plans_are_named);
    tcase_add_test(t, a_table_of_the_extension_is_no_vector);
    tcase_add_test(t, counts_are_of_what_is_in_range);
    tcase_add_test(t, hidden_lookups_are_accepted);
    tcase_add_test(t, every_change_of_a_hidden_one_is_refused);
    tcase_add_test(t, hidden_zeros_prove_nothing);
    tcase_add_test(t, another_implementation_writes_the_same_proofs);
    tcase_add_test(t, another_implementation_writes_the_same_hidden_proofs);
    suite_add_tcase(s, t);
    return test_main(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lib/proof: hash, transcript, work, and the two ends of a proof. */
#include "base/intmath.h"
#include "proof/hash.h"
#include "proof/stream.h"
#include "support.h"
#include "vectors.h"

#define VECTORS "golden/proof_stream.txt"
#define MAX_PROOF 4096

static void setup(void) { ck_assert_int_eq(mbi_hash_setup(NULL), MAMBAINT_OK); }

static struct mbi_host pooled(uint32_t threads)
{
    struct mbi_host host;

    mbi_host_default(&host);
    test_that(mbi_pool_create(&host.pool, &host, threads, NULL) == MAMBAINT_OK);
    return host;
}

/* ---- vectors ---- */

static enum mbi_hash_domain use_of(const char *name)
{
    static const char *const use[] = {"leaf", "node", "transcript", "grind"};

    for (int i = 0; i < 4; i++)
        if (!strcmp(name, use[i]))
            return (enum mbi_hash_domain)i;
    ck_abort_msg("no use: %s", name);
    return MBI_HASH_LEAF;
}

/* At once by the short forms, and in three pieces. */
static void check_hash(const struct vectors *v)
{
    const enum mbi_hash_domain use = use_of(vectors_word(v, 1));
    const size_t n = (size_t)vectors_u64(v, 3), cut = n / 3;
    uint8_t data[1000], salt[MBI_SALT_SIZE], got[64];
    struct mbi_digest digest;
    struct mbi_hash h;
    bool zero = true;

    vectors_bytes(salt, sizeof(salt), v, 2);
    vectors_pattern(data, n);
    for (size_t i = 0; i < sizeof(salt); i++)
        zero &= !salt[i];
    mbi_hash_init(&h, use, zero ? NULL : salt);
    mbi_hash_add(&h, data, cut);
    mbi_hash_add(&h, NULL, 0);
    mbi_hash_add(&h, data + cut, n - cut);
    mbi_hash_end(&h, got);
    vectors_same(v, 4, got, use == MBI_HASH_TRANSCRIPT ? 64 : 32);

    if (use == MBI_HASH_LEAF)
        mbi_hash_leaf(&digest, data, n, zero ? NULL : salt);
    else if (use == MBI_HASH_GRIND && zero)
        mbi_hash_grind(&digest, data, n);
    else if (use == MBI_HASH_NODE && zero && n == 64)
        mbi_hash_node(&digest, (const struct mbi_digest *)data);
    else
        return;
    vectors_same(v, 4, &digest, sizeof(digest));
}

START_TEST(hashes_equal_the_other_implementation)
{
    struct vectors v;
    size_t n = 0;

    setup();
    vectors_open(&v, VECTORS);
    while (vectors_next(&v))
        if (vectors_is(&v, "hash")) {
            check_hash(&v);
            n++;
        }
    ck_assert_uint_gt(n, 0);
}
END_TEST

/* Both ends at once; the reader reads what was written in an earlier pass. */
struct ends {
    struct mbi_host host;
    struct mbi_proof_writer w;
    struct mbi_proof_reader r;
};

static void check_elements(const struct vectors *v, struct ends *e, const char *tag, size_t n)
{
    mbi_fe x[32], y[32];

    for (size_t i = 0; i < n; i++)
        x[i] = vectors_u64(v, 3 + i);
    mbi_put_elements(&e->w, tag, x, n);
    mbi_get_elements(y, n, &e->r, tag);
    test_same_bytes(y, x, n * sizeof(*x));
}

static void check_draw(const struct vectors *v, struct ends *e, size_t n)
{
    mbi_fe x[32], y[32];

    mbi_transcript_draw(x, n, &e->w.transcript);
    mbi_transcript_draw(y, n, &e->r.transcript);
    for (size_t i = 0; i < n; i++)
        test_check(x[i] == vectors_u64(v, 2 + i) && y[i] == x[i], "line %zu: draw", v->line);
}

static void check_indices(const struct vectors *v, struct ends *e, size_t n, bool positions)
{
    const unsigned bits = (unsigned)vectors_u64(v, 2);
    uint32_t x[256], y[256];
    size_t left = n;

    if (n == 1) {
        x[0] = mbi_transcript_draw_bits(&e->w.transcript, bits);
        y[0] = mbi_transcript_draw_bits(&e->r.transcript, bits);
    } else {
        mbi_transcript_draw_indices(x, n, &e->w.transcript, bits);
        mbi_transcript_draw_indices(y, n, &e->r.transcript, bits);
    }
    test_same_bytes(y, x, n * sizeof(*x));
    if (positions)
        left = mbi_sort_positions(x, n);
    test_check(v->n == 3 + left + 1, "line %zu: %zu positions", v->line, left);
    for (size_t i = 0; i < left; i++)
        test_check(x[i] == vectors_u64(v, 3 + i), "line %zu: index %zu", v->line, i);
}

static void check_bytes(const struct vectors *v, struct ends *e, bool in_proof)
{
    const char *tag = vectors_word(v, 1);
    uint8_t data[256], back[256];
    const size_t n = vectors_bytes(data, sizeof(data), v, 2);

    if (!in_proof) {
        mbi_transcript_absorb(&e->w.transcript, tag, data, n);
        mbi_transcript_absorb(&e->r.transcript, tag, data, n);
        return;
    }
    mbi_put_bytes(&e->w, tag, data, n);
    mbi_get_bytes(back, n, &e->r, tag);
    test_same_bytes(back, data, n);
}

static void check_work(const struct vectors *v, struct ends *e)
{
    const unsigned bits = (unsigned)vectors_u64(v, 1);

    mbi_put_work(&e->w, bits);
    mbi_get_work(&e->r, bits);
    if (bits)
        test_check(mbi_load64(e->w.bytes.data + e->w.bytes.size - 8) == vectors_u64(v, 2),
                   "line %zu: nonce", v->line);
}

static void check_step(const struct vectors *v, struct ends *e)
{
    if (vectors_is(v, "absorb"))
        check_bytes(v, e, false);
    else if (vectors_is(v, "bytes"))
        check_bytes(v, e, true);
    else if (vectors_is(v, "elements"))
        check_elements(v, e, vectors_word(v, 1), (size_t)vectors_u64(v, 2));
    else if (vectors_is(v, "draw"))
        check_draw(v, e, (size_t)vectors_u64(v, 1));
    else if (vectors_is(v, "indices"))
        check_indices(v, e, (size_t)vectors_u64(v, 1), false);
    else if (vectors_is(v, "positions"))
        check_indices(v, e, (size_t)vectors_u64(v, 1), true);
    else if (vectors_is(v, "work"))
        check_work(v, e);
    else
        ck_abort_msg("line %zu: no such step", v->line);
    vectors_same(v, v->n - 1, e->w.transcript.state, 64);
    vectors_same(v, v->n - 1, e->r.transcript.state, 64);
}

/* The proofs of the file in its order. */
static size_t read_proofs(uint8_t proof[][MAX_PROOF], size_t *size, size_t cap)
{
    struct vectors v;
    size_t n = 0;

    vectors_open(&v, VECTORS);
    while (vectors_next(&v))
        if (vectors_is(&v, "proof")) {
            test_that(n < cap);
            size[n] = vectors_bytes(proof[n], MAX_PROOF, &v, 1);
            n++;
        }
    return n;
}

START_TEST(transcripts_equal_the_other_implementation)
{
    static uint8_t proof[4][MAX_PROOF];
    size_t size[4], n = 0, steps = 0;
    const size_t proofs = read_proofs(proof, size, 4);
    struct ends e = {.host = pooled(2)};
    bool inside = false;
    struct vectors v;

    setup();
    vectors_open(&v, VECTORS);
    while (vectors_next(&v)) {
        if (vectors_is(&v, "start")) {
            mbi_proof_writer_init(&e.w, &e.host, vectors_word(&v, 1));
            mbi_proof_reader_init(&e.r, proof[n], size[n], vectors_word(&v, 1));
            vectors_same(&v, 2, e.w.transcript.state, 64);
            inside = true;
        } else if (vectors_is(&v, "proof")) {
            ck_assert_uint_eq(e.w.bytes.size, size[n]);
            test_same_bytes(e.w.bytes.data, proof[n], size[n]);
            mbi_get_end(&e.r);
            ck_assert_ptr_null(e.r.fault);
            mbi_proof_writer_free(&e.w);
            inside = false;
            n++;
        } else if (inside) {
            check_step(&v, &e);
            steps++;
        }
    }
    ck_assert_uint_eq(n, proofs);
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_gt(steps, 20 * n);
    mbi_pool_free(&e.host, e.host.pool);
}
END_TEST

/* ---- what a challenge depends on ---- */

static mbi_fe challenge(const struct mbi_transcript *t)
{
    struct mbi_transcript copy = *t;
    mbi_fe x;

    mbi_transcript_draw(&x, 1, &copy);
    return x;
}

/* Steps written as letters, so that a test is a list of transcripts that must all differ. */
static void play(struct mbi_transcript *t, const char *steps)
{
    static const mbi_fe value[] = {1, 2, 3};
    uint8_t seed[MBI_SEED_SIZE], bytes[8];
    uint32_t index[2];
    mbi_fe x[2];

    mbi_transcript_init(t, "test");
    for (; *steps; steps++)
        switch (*steps) {
        case '1':
        case '2':
        case '3': /* a value */
            mbi_store64(bytes, value[*steps - '1']);
            mbi_transcript_absorb(t, "value", bytes, 8);
            break;
        case 'p': /* values 1 and 2 as one message */
            mbi_transcript_absorb(t, "value", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0", 16);
            break;
        case 'o': /* value 1 under another tag */
            mbi_transcript_absorb(t, "other", "\1\0\0\0\0\0\0", 8);
            break;
        case 's': /* a shorter and a longer value 1 */
            mbi_transcript_absorb(t, "value", "\1\0\0\0\0\0\0", 7);
            break;
        case 'l':
            mbi_transcript_absorb(t, "value", "\1\0\0\0\0\0\0\0\0", 9);
            break;
        case 'e':
            mbi_transcript_absorb(t, "value", NULL, 0);
            break;
        case 'm': /* a letter moves from the tag to the data */
            mbi_transcript_absorb(t, "valu", "e\1\0\0\0\0\0\0", 8);
            break;
        case 'a': /* what a draw says, as a message */
            mbi_transcript_absorb(t, "chal", NULL, 0);
            break;
        case 'z':
            mbi_transcript_draw(x, 0, t);
            break;
        case 'd':
            mbi_transcript_draw(x, 1, t);
            break;
        case 'D':
            mbi_transcript_draw(x, 2, t);
            break;
        case 'i':
            mbi_transcript_draw_indices(index, 1, t, 5);
            break;
        case 'I':
            mbi_transcript_draw_indices(index, 2, t, 5);
            break;
        case 'w':
            mbi_transcript_draw_seed(seed, t);
            break;
        default:
            ck_abort_msg("no step %c", *steps);
        }
}

START_TEST(challenges_depend_on_every_step_and_its_place)
{
    static const char *const scripts[] = {
        "",     "1",    "2",    "12", "21",  "p",  "123", "13", "23",  "132", "o",
        "o2",   "s",    "l",    "e",  "ee",  "m",  "a",   "z",  "d",   "dd",  "D",
        "i",    "ii",   "I",    "w",  "di",  "id", "1d",  "d1", "1d2", "12d", "d12",
        "1d2d", "12dd", "dd12", "11", "111", "e1", "1e",  "zd", "dz",  "az",  "za",
    };
    mbi_fe got[MBI_COUNT(scripts)];
    struct mbi_transcript t;

    setup();
    for (size_t i = 0; i < MBI_COUNT(scripts); i++) {
        play(&t, scripts[i]);
        got[i] = challenge(&t);
        play(&t, scripts[i]);
        test_that(challenge(&t) == got[i]); /* and on nothing else */
        for (size_t k = 0; k < i; k++)
            test_check(got[i] != got[k], "'%s' and '%s' have one challenge", scripts[i],
                       scripts[k]);
    }
    mbi_transcript_init(&t, "tes");
    ck_assert_uint_ne(challenge(&t), got[0]);
}
END_TEST

/* A build without one of its absorbs would have the challenges of a transcript without the step. */
START_TEST(leaving_any_absorb_out_changes_the_challenge)
{
    static const char script[] = "1d2oi3wsDle";
    struct mbi_transcript t;
    mbi_fe whole;

    setup();
    play(&t, script);
    whole = challenge(&t);
    for (size_t i = 0; i + 1 < sizeof(script); i++) {
        char part[sizeof(script)];

        memcpy(part, script, i);
        memcpy(part + i, script + i + 1, sizeof(script) - i - 1);
        play(&t, part);
        test_check(challenge(&t) != whole, "step %zu can be left out", i);
    }
}
END_TEST

#define MANY 4096

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/*
 * The prover's choice is the value; whatever it is, the challenge is neither zero nor another's,
 * and each of its bits is set about half of the time (fixed data; 6 standard deviations).
 */
START_TEST(challenges_cannot_be_chosen)
{
    static uint64_t x[MANY];
    unsigned set[64] = {0};

    setup();
    for (size_t i = 0; i < MANY; i++) {
        struct mbi_transcript t;
        uint8_t value[8];

        mbi_store64(value, i);
        mbi_transcript_init(&t, "test");
        mbi_transcript_absorb(&t, "value", value, sizeof(value));
        x[i] = challenge(&t);
        test_that(x[i] > 0 && x[i] < MBI_FIELD_P);
        for (int b = 0; b < 64; b++)
            set[b] += (unsigned)(x[i] >> b & 1);
    }
    qsort(x, MANY, sizeof(*x), compare_u64);
    for (size_t i = 1; i < MANY; i++)
        test_that(x[i] != x[i - 1]);
    for (int b = 0; b < 64; b++)
        test_check(set[b] > MANY / 2 - 192 && set[b] < MANY / 2 + 192, "bit %d: %u", b, set[b]);
}
END_TEST

START_TEST(draws_ratchet)
{
    static uint64_t x[MANY];
    struct mbi_transcript t;

    setup();
    mbi_transcript_init(&t, "test");
    for (size_t i = 0; i < MANY / 2; i++)
        mbi_transcript_draw(&x[i], 1, &t);
    mbi_transcript_draw(x + MANY / 2, MANY / 2, &t);
    qsort(x, MANY, sizeof(*x), compare_u64);
    for (size_t i = 1; i < MANY; i++)
        test_that(x[i] != x[i - 1]);
}
END_TEST

START_TEST(indices_are_below_their_power_of_two)
{
    struct mbi_transcript t;
    uint32_t x[500];

    setup();
    mbi_transcript_init(&t, "test");
    for (unsigned bits = 0; bits <= 32; bits++) {
        uint32_t any = 0, all = UINT32_MAX;
        const uint32_t mask = bits < 32 ? ((uint32_t)1 << bits) - 1 : UINT32_MAX;

        mbi_transcript_draw_indices(x, 500, &t, bits);
        for (size_t i = 0; i < 500; i++) {
            any |= x[i];
            all &= x[i];
        }
        ck_assert_uint_eq(any, mask); /* each bit is set in one and clear in another */
        ck_assert_uint_eq(all, 0);
    }
}
END_TEST

START_TEST(positions_are_sorted_and_each_stays_once)
{
    struct test_random r;

    test_random_init(&r, "positions_are_sorted_and_each_stays_once");
    for (int round = 0; round < 3000; round++) {
        uint32_t x[64];
        bool seen[64] = {false};
        const size_t n = (size_t)test_random_below(&r, 65);
        const uint64_t below = 1 + test_random_below(&r, 64);
        size_t left, k = 0;

        for (size_t i = 0; i < n; i++) {
            x[i] = (uint32_t)test_random_below(&r, below);
            seen[x[i]] = true;
        }
        left = mbi_sort_positions(x, n);
        for (uint32_t i = 0; i < 64; i++)
            if (seen[i]) {
                test_that(k < left && x[k] == i);
                k++;
            }
        test_that(k == left);
    }
}
END_TEST

/* ---- work ---- */

START_TEST(work_finds_the_smallest_nonce_on_any_threads)
{
    uint8_t seed[MBI_SEED_SIZE];

    setup();
    for (uint32_t threads = 1; threads <= 4; threads++) {
        struct mbi_host host = pooled(threads);

        for (unsigned bits = 0; bits <= 13; bits++) {
            uint64_t nonce = 0;

            memset(seed, (int)bits + 1, sizeof(seed));
            while (!mbi_work_holds(seed, nonce, bits))
                nonce++;
            ck_assert_uint_eq(mbi_work_find(&host, seed, bits), nonce);
        }
        mbi_pool_free(&host, host.pool);
    }
}
END_TEST

/* What a verifier makes of these eight bytes as the nonce; positions drawn behind it. */
static const char *try_nonce(uint32_t pos[4], uint64_t nonce, unsigned bits)
{
    struct mbi_proof_reader r;
    uint8_t proof[8];

    mbi_store64(proof, nonce);
    mbi_proof_reader_init(&r, proof, sizeof(proof), "test");
    mbi_get_work(&r, bits);
    mbi_transcript_draw_indices(pos, 4, &r.transcript, 32);
    mbi_get_end(&r);
    return r.fault;
}

START_TEST(wrong_nonces_are_refused)
{
    const unsigned bits = 9;
    struct mbi_proof_writer w;
    struct mbi_host host;
    uint32_t pos[4], first[4] = {0};
    uint64_t honest, held = 0;

    setup();
    mbi_host_default(&host);
    mbi_proof_writer_init(&w, &host, "test");
    mbi_put_work(&w, bits);
    ck_assert_uint_eq(w.bytes.size, 8);
    honest = mbi_load64(w.bytes.data);
    for (uint64_t nonce = 0; nonce < 8192; nonce++) {
        const char *fault = try_nonce(pos, nonce, bits);

        if (fault) {
            test_that(nonce != honest);
            continue;
        }
        test_that(nonce >= honest); /* the smallest was written */
        if (held++ == 0)
            memcpy(first, pos, sizeof(pos));
        else /* another nonce, other positions */
            test_that(memcmp(first, pos, sizeof(pos)) != 0);
    }
    ck_assert_uint_gt(held, 3); /* 16 on average; fixed data */
    ck_assert_uint_lt(held, 40);
    ck_assert_ptr_nonnull(try_nonce(pos, honest, 30)); /* asked for more */
    mbi_proof_writer_free(&w);
}
END_TEST

/* ---- the two ends ---- */

#define N_ELEMENTS 5
#define N_BYTES 21

/* A proof with one of everything; what the verifier ends with. */
struct seen {
    uint8_t bytes[N_BYTES];
    mbi_fe x[N_ELEMENTS], y[2], drawn[3];
    uint32_t pos[7];
    struct mbi_transcript end;
};

static void write_all(struct mbi_proof_writer *w)
{
    static const mbi_fe x[N_ELEMENTS] = {0, 1, MBI_FIELD_P - 1, MBI_FIELD_EPSILON, 12345};
    static const mbi_fe y[2] = {77, 78};
    uint8_t bytes[N_BYTES];
    uint32_t pos[7];
    mbi_fe drawn[3];

    vectors_pattern(bytes, sizeof(bytes));
    mbi_transcript_absorb(&w->transcript, "statement", "all", 3);
    mbi_put_bytes(w, "root", bytes, sizeof(bytes));
    mbi_transcript_draw(drawn, 3, &w->transcript);
    mbi_put_elements(w, "x", x, N_ELEMENTS);
    mbi_put_work(w, 6);
    mbi_transcript_draw_indices(pos, 7, &w->transcript, 11);
    mbi_put_elements(w, "y", y, 2);
}

static const char *read_all(struct seen *s, const uint8_t *proof, size_t n)
{
    struct mbi_proof_reader r;

    memset(s, 0xEE, sizeof(*s));
    mbi_proof_reader_init(&r, proof, n, "all");
    mbi_transcript_absorb(&r.transcript, "statement", "all", 3);
    mbi_get_bytes(s->bytes, N_BYTES, &r, "root");
    mbi_transcript_draw(s->drawn, 3, &r.transcript);
    mbi_get_elements(s->x, N_ELEMENTS, &r, "x");
    mbi_get_work(&r, 6);
    mbi_transcript_draw_indices(s->pos, 7, &r.transcript, 11);
    mbi_get_elements(s->y, 2, &r, "y");
    mbi_get_end(&r);
    s->end = r.transcript;
    return r.fault;
}

#define ALL_SIZE (N_BYTES + 8 * N_ELEMENTS + 8 + 16)

/* The honest proof, with room behind it. */
static void make_all(uint8_t proof[ALL_SIZE + 1])
{
    struct mbi_proof_writer w;
    struct mbi_host host;
    struct seen s;

    setup();
    mbi_host_default(&host);
    mbi_proof_writer_init(&w, &host, "all");
    write_all(&w);
    test_that(!w.bytes.failed && w.bytes.size == ALL_SIZE);
    memcpy(proof, w.bytes.data, ALL_SIZE);
    proof[ALL_SIZE] = 0;
    test_that(!read_all(&s, proof, ALL_SIZE));
    test_same_bytes(&s.end, &w.transcript, sizeof(s.end));
    mbi_proof_writer_free(&w);
}

static bool all_zero(const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

START_TEST(a_proof_cut_anywhere_is_refused)
{
    uint8_t proof[ALL_SIZE + 1];
    struct seen s;

    make_all(proof);
    for (size_t n = 0; n < ALL_SIZE; n++) {
        uint8_t *cut = malloc(n); /* so that a sanitizer sees a read past its end */

        test_that(cut || !n);
        if (n)
            memcpy(cut, proof, n);
        ck_assert_ptr_nonnull(read_all(&s, cut, n));
        /* Nothing behind the cut is read, and a value that is cut is nothing. */
        test_that(n >= N_BYTES || all_zero(s.bytes, sizeof(s.bytes)));
        test_that(n >= N_BYTES + 8 * N_ELEMENTS || all_zero(s.x, sizeof(s.x)));
        test_that(all_zero(s.y, sizeof(s.y)));
        free(cut);
    }
    ck_assert_ptr_nonnull(read_all(&s, NULL, 0));
}
END_TEST

START_TEST(a_byte_more_is_refused)
{
    uint8_t proof[ALL_SIZE + 1];
    struct seen s;

    make_all(proof);
    for (unsigned last = 0; last < 256; last++) {
        proof[ALL_SIZE] = (uint8_t)last;
        ck_assert_ptr_nonnull(read_all(&s, proof, ALL_SIZE + 1));
    }
}
END_TEST

/* Any flipped bit is refused or makes other challenges from there on. */
START_TEST(every_bit_counts)
{
    uint8_t proof[ALL_SIZE + 1];
    struct seen honest, s;

    make_all(proof);
    read_all(&honest, proof, ALL_SIZE);
    for (size_t bit = 0; bit < 8 * ALL_SIZE; bit++) {
        const char *fault;

        proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
        fault = read_all(&s, proof, ALL_SIZE);
        test_check(fault || memcmp(&s.end, &honest.end, sizeof(s.end)) != 0, "bit %zu", bit);
        if (bit < 8 * N_BYTES)
            test_check(memcmp(s.drawn, honest.drawn, sizeof(s.drawn)) != 0, "bit %zu", bit);
        else /* sent after its challenge: no other one */
            test_same_bytes(s.drawn, honest.drawn, sizeof(s.drawn));
        if (bit >= 8 * N_BYTES && bit < 8 * (ALL_SIZE - 16))
            test_check(memcmp(s.pos, honest.pos, sizeof(s.pos)) != 0, "bit %zu", bit);
        proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(elements_that_are_not_canonical_are_refused)
{
    static const uint64_t bad[] = {MBI_FIELD_P, MBI_FIELD_P + 1, UINT64_MAX - 1, UINT64_MAX};
    uint8_t proof[ALL_SIZE + 1], saved[8];
    struct seen s;

    make_all(proof);
    for (size_t i = 0; i < N_ELEMENTS; i++) {
        uint8_t *at = proof + N_BYTES + 8 * i;

        memcpy(saved, at, 8);
        for (size_t k = 0; k < MBI_COUNT(bad); k++) {
            mbi_store64(at, bad[k]);
            ck_assert_str_eq(read_all(&s, proof, ALL_SIZE),
                             "a number of the proof is not below the field's prime");
            test_that(all_zero(s.x, sizeof(s.x)) && all_zero(s.y, sizeof(s.y)));
        }
        memcpy(at, saved, 8);
    }
    for (size_t k = 0; k < MBI_COUNT(bad); k++) { /* bytes are bytes */
        memcpy(saved, proof, 8);
        mbi_store64(proof, bad[k]);
        const char *fault = read_all(&s, proof, ALL_SIZE);

        test_that(!fault || strcmp(fault, "a number of the proof is not below the field's prime"));
        memcpy(proof, saved, 8);
    }
}
END_TEST

START_TEST(the_first_fault_stays)
{
    const uint8_t proof[24] = {1, 2, 3};
    struct mbi_proof_reader r;
    uint8_t bytes[4] = {9, 9, 9, 9};
    mbi_fe x[2] = {9, 9};

    setup();
    mbi_proof_reader_init(&r, proof, sizeof(proof), "test");
    mbi_get_elements(x, 1, &r, "x");
    ck_assert_uint_eq(x[0], 0x030201);
    mbi_refuse(&r, "the first thing is wrong");
    mbi_refuse(&r, "another thing is wrong");
    mbi_get_elements(x, 2, &r, "x");
    mbi_get_bytes(bytes, sizeof(bytes), &r, "x");
    mbi_get_work(&r, 3);
    mbi_get_end(&r);
    ck_assert_str_eq(r.fault, "the first thing is wrong");
    test_that(all_zero(x, sizeof(x)) && all_zero(bytes, sizeof(bytes)));
    ck_assert_ptr_null(mbi_get_view(1, &r, "x"));
    ck_assert_uint_eq(r.bytes.pos, 8);
}
END_TEST

START_TEST(absurd_lengths_are_refused)
{
    static const size_t n[] = {25, SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1};
    const uint8_t proof[24] = {0};
    struct mbi_proof_reader r;

    setup();
    for (size_t i = 0; i < MBI_COUNT(n); i++) {
        mbi_proof_reader_init(&r, proof, sizeof(proof), "test");
        ck_assert_ptr_nonnull(mbi_get_view(8, &r, "x"));
        ck_assert_ptr_null(mbi_get_view(n[i], &r, "x"));
        ck_assert_str_eq(r.fault, "the proof ends too early");
    }
}
END_TEST

static int32_t write_scenario(const struct mbi_host *host, void *arg)
{
    struct mbi_proof_writer w;
    int32_t rc;

    (void)arg;
    mbi_proof_writer_init(&w, host, "all");
    write_all(&w);
    rc = w.bytes.failed ? MAMBAINT_E_NO_MEMORY : MAMBAINT_OK;
    mbi_proof_writer_free(&w);
    return rc;
}

START_TEST(refused_memory_is_noticed)
{
    setup();
    ck_assert_uint_gt(test_refuse_each(write_scenario, NULL), 0);
}
END_TEST

/* Swapped values, a wrong tag and a wrong number of values, as seen by the reader. */
START_TEST(the_ends_must_agree)
{
    static const mbi_fe x[3] = {5, 6, 7};
    struct mbi_proof_writer w;
    struct mbi_proof_reader r;
    struct mbi_host host;
    mbi_fe y[3], want;

    setup();
    mbi_host_default(&host);
    mbi_proof_writer_init(&w, &host, "test");
    mbi_put_elements(&w, "x", x, 3);
    want = challenge(&w.transcript);
    for (int wrong = 0; wrong < 5; wrong++) {
        uint8_t proof[24];

        memcpy(proof, w.bytes.data, 24);
        if (wrong == 1) {
            memcpy(proof, w.bytes.data + 8, 8);
            memcpy(proof + 8, w.bytes.data, 8);
        }
        mbi_proof_reader_init(&r, proof, sizeof(proof), wrong == 4 ? "tesu" : "test");
        if (wrong == 3) {
            mbi_get_elements(y, 1, &r, "x");
            mbi_get_elements(y, 2, &r, "x");
        } else {
            mbi_get_elements(y, 3, &r, wrong == 2 ? "y" : "x");
        }
        mbi_get_end(&r);
        ck_assert_ptr_null(r.fault);
        test_check((challenge(&r.transcript) == want) == !wrong, "case %d", wrong);
    }
    mbi_proof_writer_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proof_stream");
    TCase *tc = tcase_create("vectors");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, hashes_equal_the_other_implementation);
    tcase_add_test(tc, transcripts_equal_the_other_implementation);
    suite_add_tcase(suite, tc);

    tc = tcase_create("transcript");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, challenges_depend_on_every_step_and_its_place);
    tcase_add_test(tc, leaving_any_absorb_out_changes_the_challenge);
    tcase_add_test(tc, challenges_cannot_be_chosen);
    tcase_add_test(tc, draws_ratchet);
    tcase_add_test(tc, indices_are_below_their_power_of_two);
    tcase_add_test(tc, positions_are_sorted_and_each_stays_once);
    tcase_add_test(tc, work_finds_the_smallest_nonce_on_any_threads);
    tcase_add_test(tc, wrong_nonces_are_refused);
    suite_add_tcase(suite, tc);

    tc = tcase_create("ends");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_proof_cut_anywhere_is_refused);
    tcase_add_test(tc, a_byte_more_is_refused);
    tcase_add_test(tc, every_bit_counts);
    tcase_add_test(tc, elements_that_are_not_canonical_are_refused);
    tcase_add_test(tc, the_first_fault_stays);
    tcase_add_test(tc, absurd_lengths_are_refused);
    tcase_add_test(tc, refused_memory_is_noticed);
    tcase_add_test(tc, the_ends_must_agree);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

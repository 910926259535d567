/* SPDX-License-Identifier: Apache-2.0 */
/* States: saved and loaded exactly, bound to their model, refused when damaged. */
#include "api/session.h"
#include "base/bytes.h"
#include "tiny.h"

#define VOCAB 300
#define Q 8 /* chunk of the tiny model */
#define HEAD 96
#define DIGEST 32

static struct tiny tiny;
static mambaint_model *model;

static void setup(void)
{
    tiny_make(&tiny, tiny_options("preset", "mi-tiny", "seed", "3", NULL));
    model = tiny_open(&tiny, NULL);
}

static void teardown(void)
{
    mambaint_model_unref(model);
    tiny_free(&tiny);
}

struct saved {
    uint8_t *bytes; /* malloc'd */
    size_t size;
};

static struct saved save(mambaint_session *s)
{
    mambaint_state *st;
    struct saved v;

    OK(mambaint_state_get(&st, s, NULL));
    ck_assert_int_eq(mambaint_state_save(NULL, 0, &v.size, st), MAMBAINT_E_SPACE);
    v.bytes = malloc(v.size);
    ck_assert(v.bytes != NULL);
    OK(mambaint_state_save(v.bytes, v.size, NULL, st));
    mambaint_state_free(st);
    return v;
}

static int32_t load_into(mambaint_session *s, const uint8_t *bytes, size_t size,
                         mambaint_error *err)
{
    mambaint_state *st;
    int32_t rc = mambaint_state_load(&st, model, bytes, size, err);

    if (rc < 0)
        return rc;
    rc = mambaint_state_set(s, st, err);
    mambaint_state_free(st);
    return rc;
}

/* Make the digest fit the bytes again, so that only the values can give a change away. */
static void seal(struct saved *v)
{
    mbi_blake2b(v->bytes + v->size - DIGEST, v->bytes, v->size - DIGEST);
}

static size_t generate(char *out, mambaint_session *s, int steps)
{
    size_t total = 0, n;

    for (int i = 0; i < steps; i++) {
        const int32_t rc = mambaint_session_next(out + total, 2048, &n, s, NULL);

        test_that(rc >= 0);
        total += n;
        if (rc == MAMBAINT_END)
            break;
    }
    return total;
}

static void random_ids(int32_t *ids, size_t n, struct test_random *r)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)test_random_below(r, VOCAB);
}

/* At 0, 1, around the convolution's window, every place of two chunks, and later on. */
START_TEST(saved_and_restored_anywhere)
{
    struct test_random r;
    int32_t ids[600];
    char want[50 * 2048], got[50 * 2048];

    test_random_init(&r, "saved_and_restored_anywhere");
    random_ids(ids, 600, &r);
    for (size_t at = 0; at < 600; at += at < 3 * Q ? 1 : 97) {
        mambaint_session *a = tiny_session(model, tiny_options("seed", "5", NULL));
        mambaint_session *b =
            tiny_session(model, tiny_options("seed", "5", "backend", "scalar", NULL));
        struct saved v, w;
        size_t n;

        OK(mambaint_session_feed(b, ids + 100, 50, NULL)); /* something to be replaced */
        OK(mambaint_session_feed(a, ids, at, NULL));
        v = save(a);
        OK(load_into(b, v.bytes, v.size, NULL));
        w = save(b);
        ck_assert_uint_eq(v.size, w.size);
        ck_assert_mem_eq(v.bytes, w.bytes, v.size);
        OK(mambaint_session_feed(a, ids + at, 1, NULL));
        OK(mambaint_session_feed(b, ids + at, 1, NULL));
        n = generate(want, a, 50);
        ck_assert_uint_eq(generate(got, b, 50), n);
        ck_assert_mem_eq(got, want, n);
        free(v.bytes);
        free(w.bytes);
        mambaint_session_free(a);
        mambaint_session_free(b);
    }
}
END_TEST

/* Turns, an unfinished character, a begun stop string and an undelivered piece are in the state. */
START_TEST(a_conversation_is_all_in_the_state)
{
    mambaint_session *a = tiny_session(model, tiny_options("stop", "abcd", NULL));
    mambaint_session *b = tiny_session(model, tiny_options("stop", "abcd", NULL));
    char want[2048], got[2048];
    size_t n, m;

    OK(mambaint_session_say(a, MAMBAINT_ROLE_USER, "q", 1, NULL));
    for (int step = 0; step < 60; step++) {
        struct saved v = save(a);
        int32_t rc;

        OK(load_into(b, v.bytes, v.size, NULL));
        free(v.bytes);
        if (step % 3 == 2) { /* the step is kept; the state is taken before it is delivered */
            rc = mambaint_session_next(NULL, 0, &n, a, NULL);
            v = save(a);
            OK(load_into(b, v.bytes, v.size, NULL));
            free(v.bytes);
            if (rc == MAMBAINT_E_SPACE) {
                OK(mambaint_session_next(want, sizeof(want), &n, a, NULL));
                OK(mambaint_session_next(got, sizeof(got), &m, b, NULL));
                ck_assert_uint_eq(n, m);
                ck_assert_mem_eq(want, got, n);
            }
            continue;
        }
        if (step % 3 == 1) {
            static const int32_t mixed[] = {16 + 0xE2, 16 + 0x82, 16 + 'a', 16 + 'b', 16 + 'c'};
            const int32_t id = mixed[step / 3 % 5];

            rc = mambaint_session_force(a, id, NULL);
            ck_assert_int_eq(mambaint_session_force(b, id, NULL), rc);
            OK(mambaint_session_piece(want, sizeof(want), &n, a));
            OK(mambaint_session_piece(got, sizeof(got), &m, b));
        } else {
            rc = mambaint_session_next(want, sizeof(want), &n, a, NULL);
            ck_assert_int_eq(mambaint_session_next(got, sizeof(got), &m, b, NULL), rc);
        }
        ck_assert_uint_eq(n, m);
        ck_assert_mem_eq(want, got, n);
    }
    mambaint_session_free(a);
    mambaint_session_free(b);
}
END_TEST

START_TEST(a_state_is_a_value)
{
    static const int32_t ids[] = {0, 50, 60, 70};
    mambaint_session *a = tiny_session(model, NULL);
    mambaint_session *b = tiny_session(model, tiny_options("seed", "77", "temperature", "2", NULL));
    mambaint_state *one, *two;
    uint8_t x[32], y[32], sum[32];
    struct saved v;

    OK(mambaint_session_feed(a, ids, 4, NULL));
    OK(mambaint_session_feed(b, ids, 4, NULL)); /* sampler settings are not in it */
    OK(mambaint_state_get(&one, a, NULL));
    OK(mambaint_state_get(&two, b, NULL));
    OK(mambaint_state_digest(x, one));
    OK(mambaint_state_digest(y, two));
    ck_assert_mem_eq(x, y, 32);
    v = save(a);
    mbi_blake2b(sum, v.bytes, v.size - DIGEST);
    ck_assert_mem_eq(x, sum, 32);
    OK(mambaint_session_feed(b, ids, 1, NULL));
    mambaint_state_free(two);
    OK(mambaint_state_get(&two, b, NULL));
    OK(mambaint_state_digest(y, two));
    ck_assert_mem_ne(x, y, 32);
    free(v.bytes);
    mambaint_session_free(a); /* a state outlives its session */
    OK(mambaint_state_set(b, one, NULL));
    mambaint_session_free(b);
    mambaint_state_free(one);
    mambaint_state_free(two);
}
END_TEST

/* ---- other models ---- */

START_TEST(another_models_state_is_refused)
{
    static const struct {
        const char *key, *value, *word;
    } cases[] = {
        {"seed", "4", "model"},        {"layers", "1", "model"},  {"chunk", "4", "model"},
        {"vocab", "301", "tokenizer"}, {"d-state", "8", "model"}, {"hold", "on", "model"},
    };
    mambaint_session *s = tiny_session(model, NULL);
    struct saved v = save(s);

    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        mambaint_error err = {0, ""};
        struct tiny other;
        mambaint_model *m;
        mambaint_session *strange;
        mambaint_state *st;

        tiny_make(&other, tiny_options("preset", "mi-tiny", "seed", "3", cases[i].key,
                                       cases[i].value, NULL));
        m = tiny_open(&other, NULL);
        ck_assert_int_eq(mambaint_state_load(&st, m, v.bytes, v.size, &err), MAMBAINT_E_MISMATCH);
        ck_assert(st == NULL);
        ck_assert_msg(strstr(err.message, cases[i].word), "%s", err.message);
        strange = tiny_session(m, NULL);
        OK(mambaint_state_get(&st, s, NULL));
        ck_assert_int_eq(mambaint_state_set(strange, st, NULL), MAMBAINT_E_MISMATCH);
        mambaint_state_free(st);
        mambaint_session_free(strange);
        mambaint_model_unref(m);
        tiny_free(&other);
    }
    free(v.bytes);
    mambaint_session_free(s);
}
END_TEST

/* ---- damage ---- */

START_TEST(every_flipped_byte_and_every_cut_is_refused)
{
    struct test_random r;
    mambaint_session *s = tiny_session(model, NULL);
    int32_t ids[100];
    uint8_t *longer;
    struct saved v;
    mambaint_state *st;

    test_random_init(&r, "every_flipped_byte_and_every_cut_is_refused");
    random_ids(ids, 100, &r);
    OK(mambaint_session_feed(s, ids, 100, NULL));
    v = save(s);
    longer = calloc(v.size + 1, 1);
    memcpy(longer, v.bytes, v.size);
    ck_assert_int_eq(mambaint_state_load(&st, model, longer, v.size + 1, NULL), MAMBAINT_E_FORMAT);
    free(longer);
    for (size_t i = 0; i < v.size; i++) {
        const uint8_t bit = (uint8_t)(1u << test_random_below(&r, 8));
        mambaint_error err = {0, ""};
        uint8_t *cut = malloc(i + 1); /* so that a read past the end is seen */

        v.bytes[i] ^= bit;
        test_check(mambaint_state_load(&st, model, v.bytes, v.size, &err) < 0 && !st,
                   "byte %zu, bit %u is not noticed", i, bit);
        test_that(err.message[0]);
        v.bytes[i] ^= bit;
        memcpy(cut, v.bytes, i);
        test_check(mambaint_state_load(&st, model, cut, i, NULL) == MAMBAINT_E_FORMAT,
                   "cut to %zu bytes is accepted", i);
        free(cut);
    }
    OK(mambaint_state_load(&st, model, v.bytes, v.size, NULL));
    mambaint_state_free(st);
    free(v.bytes);
    mambaint_session_free(s);
}
END_TEST

/* With a fitting digest a change is either refused by its value or harmless. */
START_TEST(forged_states_are_refused_or_harmless)
{
    struct test_random r;
    mambaint_session *s = tiny_session(model, NULL), *victim = tiny_session(model, NULL);
    char text[4 * 2048];
    int32_t ids[100];
    size_t refused = 0, accepted = 0;
    struct saved v;

    test_random_init(&r, "forged_states_are_refused_or_harmless");
    random_ids(ids, 100, &r);
    OK(mambaint_session_feed(s, ids, 100, NULL));
    v = save(s);
    for (int round = 0; round < 6000; round++) {
        uint8_t *copy = malloc(v.size);

        memcpy(copy, v.bytes, v.size);
        for (size_t k = 0, n = 1 + (size_t)test_random_below(&r, 4); k < n; k++)
            v.bytes[HEAD + test_random_below(&r, v.size - HEAD - DIGEST)] =
                (uint8_t)test_random_u64(&r);
        seal(&v);
        if (load_into(victim, v.bytes, v.size, NULL) < 0) {
            refused++;
        } else {
            accepted++;
            OK(mambaint_session_feed(victim, ids, 1 + (size_t)test_random_below(&r, 20), NULL));
            generate(text, victim, 3);
        }
        memcpy(v.bytes, copy, v.size);
        free(copy);
    }
    ck_assert_uint_gt(refused, 100);
    ck_assert_uint_gt(accepted, 100);
    free(v.bytes);
    mambaint_session_free(s);
    mambaint_session_free(victim);
}
END_TEST

/* Offsets of the session part, from its start. */
enum { AT_POSITION = 0, AT_PHASE = 8, AT_ENDED = 12, AT_KEPT = 16, AT_N_HELD = 20, AT_HELD = 24 };
#define AT_HISTORY (AT_HELD + MBI_HELD_MAX)
#define AT_LOGITS (AT_HISTORY + 4 * MBI_HISTORY)

START_TEST(impossible_session_parts_are_refused)
{
    static const int32_t ids[] = {0, 50, 60, 70};
    const struct mbi_graph *graph = model->model->graph;
    const struct mbi_type *logit = &graph->node[graph->logits].type;
    const struct {
        size_t at;
        uint32_t value;
        bool refused;
    } cases[] = {
        {AT_POSITION + 4, 1, false},         /* position beyond 2^32: a multiple of Q more */
        {AT_POSITION + 4, 0x40000000, true}, /* beyond 2^62 */
        {AT_POSITION, 5, true},              /* contradicts the memory of the chunk */
        {AT_POSITION, 0, true},              /* fresh, with memory */
        {AT_PHASE, MBI_PHASE_ANSWER, false},
        {AT_PHASE, MBI_PHASE_END, true},
        {AT_PHASE, MBI_PHASE_FRESH, true},
        {AT_ENDED, MBI_ENDED_STOP, false},
        {AT_ENDED, MBI_ENDED_END, true},
        {AT_KEPT, 2, true},
        {AT_N_HELD, 1, false}, /* a held NUL */
        {AT_N_HELD, MBI_STOP_MAX + 4, false},
        {AT_N_HELD, MBI_STOP_MAX + 5, true},
        {AT_N_HELD, MBI_HELD_MAX + 1, true},
        {AT_N_HELD, 0xffffffff, true},
        {AT_HELD, 'x', true}, /* bytes behind what is held */
        {AT_HISTORY, VOCAB - 1, false},
        {AT_HISTORY, VOCAB, true},
        {AT_HISTORY, 0xffffffff, true},
        {AT_HISTORY + 4 * 4, 1, true}, /* more ids than were fed */
        {AT_LOGITS, (uint32_t)logit->hi + 1, true},
        {AT_LOGITS, (uint32_t)logit->hi, false},
        {AT_LOGITS, (uint32_t)(logit->lo - 1), true},
        {AT_LOGITS, (uint32_t)logit->lo, false},
    };
    mambaint_session *s = tiny_session(model, NULL);
    struct saved v;
    size_t session;

    OK(mambaint_session_feed(s, ids, 4, NULL));
    v = save(s);
    session = HEAD + (size_t)mbi_load64(v.bytes + 80);
    for (size_t i = 0; i < MBI_COUNT(cases); i++) {
        uint8_t *at = v.bytes + session + cases[i].at;
        const uint32_t old = mbi_load32(at);
        char text[4 * 2048];
        int32_t rc;

        mbi_store32(at, cases[i].value);
        seal(&v);
        rc = load_into(s, v.bytes, v.size, NULL);
        ck_assert_msg(rc == (cases[i].refused ? MAMBAINT_E_FORMAT : MAMBAINT_OK), "case %zu: %d", i,
                      rc);
        if (rc == MAMBAINT_OK)
            generate(text, s, 4);
        mbi_store32(at, old);
    }
    free(v.bytes);
    mambaint_session_free(s);
}
END_TEST

START_TEST(versions_are_told_apart)
{
    mambaint_session *s = tiny_session(model, NULL);
    struct saved v = save(s);
    mambaint_state *st;

    v.bytes[8] = 2;
    seal(&v);
    ck_assert_int_eq(mambaint_state_load(&st, model, v.bytes, v.size, NULL), MAMBAINT_E_VERSION);
    v.bytes[8] = 1;
    v.bytes[12] = 1; /* reserved */
    seal(&v);
    ck_assert_int_eq(mambaint_state_load(&st, model, v.bytes, v.size, NULL), MAMBAINT_E_FORMAT);
    free(v.bytes);
    mambaint_session_free(s);
}
END_TEST

/* Positions across 2^31, 2^32 and beyond: the same steps, the same memory. */
START_TEST(positions_may_be_huge)
{
    static const uint64_t far[] = {(uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 61};
    struct test_random r;
    int32_t ids[700];

    test_random_init(&r, "positions_may_be_huge");
    random_ids(ids, 700, &r);
    for (size_t i = 0; i < MBI_COUNT(far); i++) {
        mambaint_session *near = tiny_session(model, NULL);
        mambaint_session *one = tiny_session(model, tiny_options("prefill-chunk", "1", NULL));
        mambaint_session *many = tiny_session(model, tiny_options("prefill-chunk", "64", NULL));
        struct saved v, x, y;
        size_t session;

        OK(mambaint_session_feed(near, ids, 600, NULL));
        v = save(near);
        session = HEAD + (size_t)mbi_load64(v.bytes + 80);
        mbi_store64(v.bytes + session, far[i] - 256 + 600 % 256); /* a bit before; p mod Q stays */
        seal(&v);
        OK(load_into(one, v.bytes, v.size, NULL));
        OK(load_into(many, v.bytes, v.size, NULL));
        free(v.bytes);
        OK(mambaint_session_feed(near, ids, 700, NULL));
        OK(mambaint_session_feed(one, ids, 700, NULL));
        OK(mambaint_session_feed(many, ids, 700, NULL));
        v = save(near);
        x = save(one);
        y = save(many);
        ck_assert_mem_eq(x.bytes, y.bytes, x.size);
        ck_assert_mem_eq(v.bytes, x.bytes, session); /* the memory does not know the position */
        ck_assert_mem_eq(v.bytes + session + 8, x.bytes + session + 8,
                         v.size - session - 8 - DIGEST);
        ck_assert_uint_eq(mbi_load64(x.bytes + session), far[i] - 256 + 600 % 256 + 700);
        free(v.bytes);
        free(x.bytes);
        free(y.bytes);
        mambaint_session_free(near);
        mambaint_session_free(one);
        mambaint_session_free(many);
    }
}
END_TEST

/* Pack and set alike on a model of another kind: no rotation, Q = 1, ternary. */
START_TEST(other_shapes_have_states_too)
{
    static const char *const chunk[] = {"1", "4"};

    for (size_t i = 0; i < 2; i++) {
        struct tiny t;
        mambaint_model *m;
        mambaint_session *a, *b;
        mambaint_state *st;
        struct saved v, w;
        struct test_random r;
        int32_t ids[40];

        test_random_init(&r, "other_shapes_have_states_too");
        random_ids(ids, 40, &r);
        tiny_make(&t, tiny_options("preset", "mi-tiny-ternary", "chunk", chunk[i], "rotation-pairs",
                                   "0", "norm", "bitshift", "gate", "squareplus", NULL));
        m = tiny_open(&t, NULL);
        a = tiny_session(m, NULL);
        b = tiny_session(m, NULL);
        OK(mambaint_session_feed(a, ids, 33, NULL));
        v = save(a);
        OK(mambaint_state_load(&st, m, v.bytes, v.size, NULL));
        OK(mambaint_state_set(b, st, NULL));
        mambaint_state_free(st);
        OK(mambaint_session_feed(a, ids + 33, 7, NULL));
        OK(mambaint_session_feed(b, ids + 33, 7, NULL));
        free(v.bytes);
        v = save(a);
        w = save(b);
        ck_assert_mem_eq(v.bytes, w.bytes, v.size);
        free(v.bytes);
        free(w.bytes);
        mambaint_session_free(a);
        mambaint_session_free(b);
        mambaint_model_unref(m);
        tiny_free(&t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tc = tcase_create("state");

    tcase_set_timeout(tc, 240);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, saved_and_restored_anywhere);
    tcase_add_test(tc, a_conversation_is_all_in_the_state);
    tcase_add_test(tc, a_state_is_a_value);
    tcase_add_test(tc, another_models_state_is_refused);
    tcase_add_test(tc, every_flipped_byte_and_every_cut_is_refused);
    tcase_add_test(tc, forged_states_are_refused_or_harmless);
    tcase_add_test(tc, impossible_session_parts_are_refused);
    tcase_add_test(tc, versions_are_told_apart);
    tcase_add_test(tc, positions_may_be_huge);
    tcase_add_test(tc, other_shapes_have_states_too);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

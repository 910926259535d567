/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: turns, pieces, stop strings, batches, cancelling, failures; the same bits always. */
#include "api/session.h"
#include "tiny.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define VOCAB 300
#define BYTE(c) (16 + (int32_t)(uint8_t)(c)) /* id of a byte in the tokenizer of tiny models */
enum { EOT = 0, SYSTEM = 1, USER = 2, ASSISTANT = 3, END_OF_TURN = 4 };

static struct tiny tiny;
static mambaint_model *model, *threaded; /* the same; `threaded` has worker threads */

static void setup(void)
{
    struct mbi_host host;
    mambaint_context *ctx;

    mbi_host_default(&host);
    tiny_make(&tiny, tiny_options("preset", "mi-tiny", "seed", "3", NULL));
    model = tiny_open(&tiny, NULL);
    ck_assert_ptr_nonnull(ctx = tiny_context(&host, 3));
    threaded = tiny_open(&tiny, ctx);
    mambaint_context_unref(ctx);
}

static void teardown(void)
{
    mambaint_model_unref(model);
    mambaint_model_unref(threaded);
    tiny_free(&tiny);
}

static void feed(mambaint_session *s, const int32_t *ids, size_t n)
{
    mambaint_error err = {0, ""};

    ck_assert_msg(mambaint_session_feed(s, ids, n, &err) == MAMBAINT_OK, "%s", err.message);
}

static void say(mambaint_session *s, int32_t role, const char *text)
{
    mambaint_error err = {0, ""};

    ck_assert_msg(mambaint_session_say(s, role, text, strlen(text), &err) == MAMBAINT_OK, "%s",
                  err.message);
}

static void digest_of(uint8_t out[32], mambaint_session *s)
{
    mambaint_state *st;

    OK(mambaint_state_get(&st, s, NULL));
    OK(mambaint_state_digest(out, st));
    mambaint_state_free(st);
}

static void same_state(mambaint_session *a, mambaint_session *b)
{
    uint8_t x[32], y[32];

    digest_of(x, a);
    digest_of(y, b);
    ck_assert_mem_eq(x, y, 32);
}

static void same_logits(const mambaint_session *a, const mambaint_session *b)
{
    int32_t x[VOCAB], y[VOCAB];

    OK(mambaint_session_logits(x, VOCAB, NULL, a));
    OK(mambaint_session_logits(y, VOCAB, NULL, b));
    ck_assert_mem_eq(x, y, sizeof(x));
}

static uint64_t position(const mambaint_session *s)
{
    char text[32];

    OK(mambaint_session_text(text, sizeof(text), NULL, s, "position"));
    return strtoull(text, NULL, 10);
}

/* Up to `steps` pieces, one after the other, until END. */
static size_t run_on(char *out, mambaint_session *s, int steps)
{
    size_t total = 0, n;
    int32_t rc;

    for (int i = 0; i < steps; i++) {
        rc = mambaint_session_next(out + total, 2048, &n, s, NULL);
        ck_assert_int_ge(rc, 0);
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

/* ---- turns ---- */

/* say and the opening of the answer feed exactly what decisions.md says, and nothing between. */
START_TEST(turns_are_made_of_these_tokens)
{
    static const int32_t want[] = {
        EOT,         SYSTEM,      BYTE('B'),   END_OF_TURN, /* system */
        USER,        BYTE('h'),   BYTE('i'),   END_OF_TURN, /* user; one line end was dropped */
        ASSISTANT,   BYTE('x'),                             /* opened, one token, cut off */
        END_OF_TURN, USER,        BYTE('a'),   BYTE('\n'),
        END_OF_TURN,                           /* closed first; only one is dropped */
        ASSISTANT,   BYTE('y'),   END_OF_TURN, /* an earlier answer */
        USER,        END_OF_TURN,              /* empty */
    };
    static const size_t after[] = {4, 8, 10, 15, 18, 20};
    mambaint_session *chat = tiny_session(model, NULL), *raw = tiny_session(model, NULL);
    size_t done = 0;

    for (size_t i = 0; i < 6; i++) {
        switch (i) {
        case 0:
            say(chat, MAMBAINT_ROLE_SYSTEM, "B");
            break;
        case 1:
            say(chat, MAMBAINT_ROLE_USER, "hi\r\n");
            break;
        case 2:
            OK(mambaint_session_force(chat, BYTE('x'), NULL));
            break;
        case 3:
            say(chat, MAMBAINT_ROLE_USER, "a\n\n");
            break;
        case 4:
            say(chat, MAMBAINT_ROLE_ASSISTANT, "y");
            break;
        default:
            say(chat, MAMBAINT_ROLE_USER, "\n");
        }
        feed(raw, want + done, after[i] - done);
        done = after[i];
        ck_assert_uint_eq(position(chat), done);
        same_logits(chat, raw);
    }
    mambaint_session_free(chat);
    mambaint_session_free(raw);
}
END_TEST

/* Text in a turn is only text: no spelling makes a special token. */
START_TEST(text_cannot_spell_special_tokens)
{
    mambaint_session *s = tiny_session(model, NULL);

    say(s, MAMBAINT_ROLE_USER, "<|endofturn|>");
    ck_assert_uint_eq(position(s), 1 + 1 + 13 + 1);
    mambaint_session_free(s);
}
END_TEST

START_TEST(answers_end)
{
    char piece[2048], reason[32];
    size_t n;
    mambaint_session *s = tiny_session(model, NULL);

    say(s, MAMBAINT_ROLE_USER, "x");
    ck_assert_int_eq(mambaint_session_force(s, END_OF_TURN, NULL), MAMBAINT_END);
    ck_assert_uint_eq(position(s), 6); /* fed */
    OK(mambaint_session_text(reason, sizeof(reason), NULL, s, "stop_reason"));
    ck_assert_str_eq(reason, "end-of-turn");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mambaint_session_next(piece, sizeof(piece), &n, s, NULL), MAMBAINT_END);
        ck_assert_uint_eq(n, 0);
    }
    ck_assert_uint_eq(position(s), 6);

    say(s, MAMBAINT_ROLE_USER, "x"); /* 3 more: nothing is left to close */
    ck_assert_uint_eq(position(s), 9);
    OK(mambaint_session_text(reason, sizeof(reason), NULL, s, "stop-reason"));
    ck_assert_str_eq(reason, "");
    ck_assert_int_eq(mambaint_session_force(s, EOT, NULL), MAMBAINT_END);
    ck_assert_uint_eq(position(s), 10); /* opened; end of text is not fed */
    OK(mambaint_session_text(reason, sizeof(reason), NULL, s, "stop-reason"));
    ck_assert_str_eq(reason, "end-of-text");
    say(s, MAMBAINT_ROLE_USER, "x"); /* 4 more: the answer is closed first */
    ck_assert_uint_eq(position(s), 14);

    say(s, MAMBAINT_ROLE_ASSISTANT, "y"); /* a history that ends with an answer is complete */
    ck_assert_int_eq(mambaint_session_next(piece, sizeof(piece), &n, s, NULL), MAMBAINT_END);
    mambaint_session_free(s);
}
END_TEST

/* For callers that sample: the assistant's id opens the answer, and the next turn closes it. */
START_TEST(an_answer_can_be_opened_by_feeding)
{
    static const int32_t open[] = {ASSISTANT, BYTE('o')};
    mambaint_session *s = tiny_session(model, NULL);

    say(s, MAMBAINT_ROLE_USER, "x");
    feed(s, open, 2);
    OK(mambaint_session_force(s, BYTE('k'), NULL));
    ck_assert_uint_eq(position(s), 4 + 2 + 1);
    say(s, MAMBAINT_ROLE_USER, "x");
    ck_assert_uint_eq(position(s), 7 + 4);
    feed(s, open + 1, 1); /* raw text instead of an answer */
    say(s, MAMBAINT_ROLE_USER, "x");
    ck_assert_uint_eq(position(s), 11 + 1 + 3);
    mambaint_session_free(s);
}
END_TEST

/* ---- pieces ---- */

static void check_piece(mambaint_session *s, int32_t id, int32_t rc, const char *want)
{
    char piece[2048];
    size_t n;

    ck_assert_int_eq(mambaint_session_force(s, id, NULL), rc);
    OK(mambaint_session_piece(piece, sizeof(piece), &n, s));
    ck_assert_msg(n == strlen(want) && !memcmp(piece, want, n), "piece '%.*s' instead of '%s'",
                  (int)n, piece, want);
}

START_TEST(pieces_are_whole_characters)
{
    static const int32_t eot = EOT;
    mambaint_session *s = tiny_session(model, NULL);

    feed(s, &eot, 1);
    check_piece(s, BYTE(0xE2), MAMBAINT_OK, "");
    check_piece(s, BYTE(0x82), MAMBAINT_OK, "");
    check_piece(s, BYTE(0xAC), MAMBAINT_OK, "\xE2\x82\xAC");
    check_piece(s, BYTE('a'), MAMBAINT_OK, "a");
    check_piece(s, BYTE(0xF0), MAMBAINT_OK, "");
    check_piece(s, BYTE('b'), MAMBAINT_OK,
                "\xEF\xBF\xBD"
                "b");
    check_piece(s, BYTE(0x80), MAMBAINT_OK, "\xEF\xBF\xBD");
    check_piece(s, 280, MAMBAINT_OK, ""); /* an unused token */
    check_piece(s, BYTE(0xC3), MAMBAINT_OK, "");
    check_piece(s, USER, MAMBAINT_OK, ""); /* a special token has no bytes */
    check_piece(s, BYTE(0xA4), MAMBAINT_OK, "\xC3\xA4");
    check_piece(s, BYTE(0xC3), MAMBAINT_OK, "");
    check_piece(s, EOT, MAMBAINT_END, "\xEF\xBF\xBD"); /* unfinished at the end */
    check_piece(s, BYTE('c'), MAMBAINT_OK, "c");       /* forced on */
    mambaint_session_free(s);
}
END_TEST

START_TEST(stop_strings_are_withheld)
{
    static const int32_t eot = EOT;
    mambaint_session *s = tiny_session(model, tiny_options("stop", "abc", "stop", "bx", NULL));
    char reason[32], piece[64];
    size_t n;

    feed(s, &eot, 1);
    check_piece(s, BYTE('a'), MAMBAINT_OK, "");
    check_piece(s, BYTE('b'), MAMBAINT_OK, "");
    check_piece(s, BYTE('a'), MAMBAINT_OK, "ab");
    check_piece(s, BYTE('z'), MAMBAINT_OK, "az");
    check_piece(s, BYTE('a'), MAMBAINT_OK, "");
    check_piece(s, BYTE('b'), MAMBAINT_OK, "");
    check_piece(s, BYTE('x'), MAMBAINT_END, "a"); /* the earliest match is of the second string */
    OK(mambaint_session_text(reason, sizeof(reason), NULL, s, "stop-reason"));
    ck_assert_str_eq(reason, "stop");
    ck_assert_int_eq(mambaint_session_next(piece, sizeof(piece), &n, s, NULL), MAMBAINT_END);
    feed(s, &eot, 1);
    check_piece(s, BYTE('a'), MAMBAINT_OK, "");
    check_piece(s, BYTE('b'), MAMBAINT_OK, "");
    check_piece(s, BYTE('c'), MAMBAINT_END, "");
    check_piece(s, BYTE('a'), MAMBAINT_OK, "");
    check_piece(s, END_OF_TURN, MAMBAINT_END, "a"); /* a begun one that never came */
    feed(s, &eot, 1);
    check_piece(s, BYTE('a'), MAMBAINT_OK, "");
    feed(s, &eot, 1); /* what was held back is dropped by new text */
    check_piece(s, BYTE('d'), MAMBAINT_OK, "d");
    mambaint_session_free(s);
}
END_TEST

/* The stream of random bytes with random stop strings equals: all bytes, cut at the first match. */
START_TEST(stop_strings_equal_a_search_in_the_whole)
{
    struct test_random r;

    test_random_init(&r, "stop_strings_equal_a_search_in_the_whole");
    for (int round = 0; round < 300; round++) {
        const int32_t eot = EOT;
        char stop[2][8] = {"", ""}, all[64], got[64 * 3];
        size_t n = 0, want = SIZE_MAX;
        mambaint_session *s;
        int32_t rc = MAMBAINT_OK;
        size_t len, n_all;

        for (int i = 0; i < 2; i++)
            for (size_t k = 0, m = 1 + (size_t)test_random_below(&r, 5); k < m; k++)
                stop[i][k] = (char)('a' + test_random_below(&r, 2));
        s = tiny_session(model, tiny_options("stop", stop[0], "stop", stop[1], NULL));
        feed(s, &eot, 1);
        for (n_all = 0; n_all < 40 && rc == MAMBAINT_OK; n_all++) {
            all[n_all] = (char)('a' + test_random_below(&r, 2));
            rc = mambaint_session_force(s, BYTE(all[n_all]), NULL);
            OK(mambaint_session_piece(got + n, sizeof(got) - n, &len, s));
            n += len;
        }
        all[n_all] = 0;
        for (int i = 0; i < 2; i++) {
            const char *at = strstr(all, stop[i]);

            if (at && (size_t)(at - all) < want)
                want = (size_t)(at - all);
        }
        test_that((rc == MAMBAINT_END) == (want != SIZE_MAX));
        if (want != SIZE_MAX)
            test_that(n == want);
        test_that(!memcmp(got, all, n));
        mambaint_session_free(s);
    }
}
END_TEST

/* A too small buffer keeps the step; piece or the next call delivers it, once. */
START_TEST(a_small_buffer_keeps_the_step)
{
    static const int32_t eot = EOT;
    mambaint_session *a = tiny_session(model, NULL), *b = tiny_session(model, NULL);
    char want[2048], got[2048];
    int met = 0;

    feed(a, &eot, 1);
    feed(b, &eot, 1);
    for (int i = 0; i < 60; i++) {
        size_t n, m, need;
        int32_t rc = mambaint_session_next(want, sizeof(want), &n, a, NULL);

        ck_assert_int_ge(rc, 0);
        rc = mambaint_session_next(NULL, 0, &need, b, NULL);
        if (n) {
            ck_assert_int_eq(rc, MAMBAINT_E_SPACE);
            ck_assert_uint_eq(need, n);
            same_state(b, b);
            met++;
            if (i % 2)
                OK(mambaint_session_piece(got, sizeof(got), &m, b));
            else
                OK(mambaint_session_next(got, sizeof(got), &m, b, NULL));
            ck_assert_uint_eq(m, n);
            ck_assert_mem_eq(got, want, n);
        }
        ck_assert_uint_eq(position(a), position(b));
    }
    ck_assert_int_gt(met, 10);
    same_state(a, b);
    mambaint_session_free(a);
    mambaint_session_free(b);
}
END_TEST

START_TEST(token_tells_what_was_chosen)
{
    static const int32_t eot = EOT;
    mambaint_session *s = tiny_session(model, tiny_options("temperature", "0", NULL));
    int32_t z[VOCAB], id, logprob, best = 0;
    char piece[2048];
    size_t n;

    feed(s, &eot, 1);
    ck_assert_int_eq(mambaint_session_token(&id, &logprob, s), MAMBAINT_E_INVALID);
    for (int i = 0; i < 20; i++) {
        OK(mambaint_session_logits(z, VOCAB, NULL, s));
        for (int k = best = 0; k < VOCAB; k++)
            best = z[k] > z[best] ? k : best;
        if (mambaint_session_next(piece, sizeof(piece), &n, s, NULL) == MAMBAINT_END)
            break;
        OK(mambaint_session_token(&id, &logprob, s));
        ck_assert_int_eq(id, best);
        ck_assert(logprob < 0 && logprob > -(9 << 16)); /* the best of 300 is not below 1 in 512 */
        OK(mambaint_session_token(&id, NULL, s));
    }
    mambaint_session_free(s);
}
END_TEST

/* ---- the same bits ---- */

#define LONG 400

/* Fed in parts of any size, with any chunk, thread count and backend: one state, one text. */
START_TEST(nothing_changes_a_bit)
{
    static const char *const chunk[] = {"1", "7", "64", "512"};
    static const char *const backend[] = {"scalar", "auto"};
    char want[32 * 2048], got[32 * 2048];
    int32_t ids[LONG];
    struct test_random r;
    mambaint_session *first;
    size_t n_want;

    test_random_init(&r, "nothing_changes_a_bit");
    random_ids(ids, LONG, &r);
    first = tiny_session(model, tiny_options("backend", "scalar", "seed", "9", NULL));
    feed(first, ids, LONG);
    n_want = run_on(want, first, 30);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct mbi_host host;
        mambaint_context *ctx;
        mambaint_model *m;

        mbi_host_default(&host);
        ctx = tiny_context(&host, threads);
        m = tiny_open(&tiny, ctx);
        mambaint_context_unref(ctx);
        for (size_t i = 0; i < 4; i++)
            for (size_t k = 0; k < 2; k++) {
                mambaint_session *s =
                    tiny_session(m, tiny_options("backend", backend[k], "prefill-chunk", chunk[i],
                                                 "seed", "9", NULL));

                for (size_t at = 0; at < LONG;) {
                    const size_t n = 1 + (size_t)test_random_below(&r, LONG - at);

                    feed(s, ids + at, n);
                    at += n;
                }
                ck_assert_uint_eq(run_on(got, s, 30), n_want);
                ck_assert_mem_eq(got, want, n_want);
                same_state(s, first);
                mambaint_session_free(s);
            }
        mambaint_model_unref(m);
    }
    mambaint_session_free(first);
}
END_TEST

/* ---- batches ---- */

#define MANY 40 /* more than two groups */

static const size_t batch_sizes[] = {1, 3, 16, 17, MANY};

/* Session i of a batch: samplers of all kinds, so that one batch has them all. */
static mambaint_session *member(mambaint_model *m, size_t i)
{
    static const char *const sampler[][4] = {
        {"temperature", "0", "stop", "q"},     {"temperature", "0.8", "stop", "q"},
        {"top-k", "5", "repeat-penalty", "2"}, {"min-p", "0.02", "temperature", "1.5"},
        {"top-p", "0.5", "repeat-last", "8"},
    };
    const char *const *o = sampler[i % MBI_COUNT(sampler)];
    char seed[32];

    snprintf(seed, sizeof(seed), "%zu", i);
    return tiny_session(m, tiny_options("seed", seed, o[0], o[1], o[2], o[3], NULL));
}

/* The same again for each session of a batch, to be stepped alone. */
static void make_pairs(mambaint_session **all, mambaint_session **one, size_t n,
                       struct test_random *r)
{
    for (size_t i = 0; i < n; i++) {
        int32_t ids[30];
        const size_t len = 1 + (size_t)test_random_below(r, 30);

        random_ids(ids, len, r);
        for (int k = 0; k < 2; k++) {
            mambaint_session *s = member(k ? threaded : model, i);

            if (i % 5) /* every fifth is asked, and some of the others are fresh */
                feed(s, ids, i % 11 == 1 ? 0 : len);
            else
                say(s, MAMBAINT_ROLE_USER, "what?");
            if (i % 7 == 2) /* a kept step */
                mambaint_session_next(NULL, 0, &(size_t){0}, s, NULL);
            *(k ? &all[i] : &one[i]) = s;
        }
    }
}

static void free_pairs(mambaint_session **all, mambaint_session **one, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        same_state(one[i], all[i]);
        mambaint_session_free(one[i]);
        mambaint_session_free(all[i]);
    }
}

/* The single call that status i of a batch has to equal. */
static void same_step(mambaint_session *one, mambaint_session *all, int32_t status)
{
    char want[2048], got[2048];
    size_t n, m;

    ck_assert_int_eq(mambaint_session_next(want, sizeof(want), &n, one, NULL), status);
    ck_assert_uint_eq(position(one), position(all));
    if (status < 0)
        return;
    OK(mambaint_session_piece(got, sizeof(got), &m, all));
    ck_assert_uint_eq(m, n);
    ck_assert_mem_eq(got, want, n);
}

/* Sessions in all conditions, stepped together and one by one. */
START_TEST(a_batch_equals_separate_calls)
{
    const size_t many = batch_sizes[_i];
    mambaint_session *one[MANY], *all[MANY];
    int32_t status[MANY];
    struct test_random r;

    test_random_init(&r, "a_batch_equals_separate_calls");
    make_pairs(all, one, many, &r);
    for (int step = 0; step < 40; step++) {
        int32_t rc, first = MAMBAINT_OK;

        for (size_t i = 0; i < many && step == 20; i += 4) {
            mambaint_session_cancel(one[i]);
            mambaint_session_cancel(all[i]);
        }
        rc = mambaint_session_next_many(status, all, many, NULL);
        for (size_t i = 0; i < many; i++) {
            if (step == 20 && i % 4 == 0)
                ck_assert_int_eq(status[i], MAMBAINT_E_CANCELLED);
            same_step(one[i], all[i], status[i]);
            first = first < 0 ? first : status[i] < 0 ? status[i] : MAMBAINT_OK;
        }
        ck_assert_int_eq(rc, first);
    }
    free_pairs(all, one, many);
}
END_TEST

/* A device that does something else at its nth run: cancels sessions, or fails. */
static struct {
    struct mbi_backend backend;
    const struct mbi_backend *real;
    int runs, at;
    mambaint_session *cancel[4];
    int32_t result;
} device;

static int32_t device_run(struct mbi_image *image, const struct mbi_batch *batch,
                          mambaint_error *err)
{
    if (++device.runs == device.at) {
        for (int i = 0; i < 4; i++)
            mambaint_session_cancel(device.cancel[i]);
        if (device.result < 0)
            return mbi_fail(err, device.result, "the device fails");
    }
    return device.real->run(image, batch, err);
}

/* The sessions run on that device from now on. */
static void use_device(mambaint_session **s, size_t n, int at, int32_t result)
{
    memset(&device, 0, sizeof(device));
    device.real = s[0]->set.backend;
    device.backend = *device.real;
    device.backend.run = device_run;
    device.at = at;
    device.result = result;
    for (size_t i = 0; i < n; i++)
        s[i]->set.backend = &device.backend;
}

static void leave_device(mambaint_session **s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i]->set.backend = device.real;
}

/* While the first group runs: who is in it finishes the step, who waits for his turn does not. */
START_TEST(a_cancel_reaches_the_groups_that_wait)
{
    mambaint_session *one[MANY], *all[MANY];
    int32_t status[MANY];
    struct test_random r;

    test_random_init(&r, "a_cancel_reaches_the_groups_that_wait");
    make_pairs(all, one, MANY, &r);
    for (size_t i = 0; i < MANY; i++) { /* whatever they were, they are in the middle of a text */
        feed(one[i], (const int32_t[]){BYTE('a')}, 1);
        feed(all[i], (const int32_t[]){BYTE('a')}, 1);
    }
    use_device(all, MANY, 1, 0);
    device.cancel[0] = all[3];
    device.cancel[1] = all[16];
    device.cancel[2] = all[38];
    for (int call = 0; call < 3; call++) {
        ck_assert_int_eq(mambaint_session_next_many(status, all, MANY, NULL),
                         call == 2 ? MAMBAINT_OK : MAMBAINT_E_CANCELLED);
        for (size_t i = 0; i < MANY; i++) {
            const bool stopped = call == 0 ? i == 16 || i == 38 : call == 1 && i == 3;

            ck_assert_int_eq(status[i] == MAMBAINT_E_CANCELLED, stopped);
            if (stopped)
                mambaint_session_cancel(one[i]);
            same_step(one[i], all[i], status[i]);
        }
    }
    leave_device(all, MANY);
    free_pairs(all, one, MANY);
}
END_TEST

/* Each run of a call in turn: its group is as it was before, the others have stepped. */
START_TEST(a_failing_group_does_not_disturb_the_others)
{
    int failures = 0;

    for (int at = 1;; at++) {
        mambaint_session *one[MANY], *all[MANY];
        int32_t status[MANY], rc;
        struct test_random r;

        test_random_init(&r, "a_failing_group_does_not_disturb_the_others");
        make_pairs(all, one, MANY, &r);
        use_device(all, MANY, at, MAMBAINT_E_IO);
        rc = mambaint_session_next_many(status, all, MANY, NULL);
        leave_device(all, MANY);
        ck_assert_int_lt(rc, 0); /* some are fresh */
        for (size_t i = 0; i < MANY; i++) {
            if (status[i] == MAMBAINT_E_IO) { /* and goes on when the device does */
                same_state(one[i], all[i]);
                ck_assert_int_ge(mambaint_session_next_many(&status[i], &all[i], 1, NULL), 0);
                failures++;
            }
            same_step(one[i], all[i], status[i]);
        }
        free_pairs(all, one, MANY);
        if (device.runs < at)
            break;
    }
    ck_assert_int_gt(failures, 3 * 10); /* two runs of each of three groups */
}
END_TEST

struct canceller {
    mambaint_session **s;
    atomic_bool stop;
    unsigned sent[MANY]; /* read when the thread has ended */
    struct test_random r;
};

static void *cancel_often(void *arg)
{
    struct canceller *c = arg;

    while (!atomic_load(&c->stop)) {
        const size_t i = (size_t)test_random_below(&c->r, MANY);

        mambaint_session_cancel(c->s[i]);
        c->sent[i]++;
        usleep((useconds_t)test_random_below(&c->r, 300));
    }
    return NULL;
}

/* From another thread at any moment: a step is made or it is not, and nobody else loses one. */
START_TEST(cancels_cost_single_steps)
{
    mambaint_session *one[MANY], *all[MANY];
    int32_t status[MANY];
    unsigned stopped[MANY] = {0};
    struct canceller c = {.s = all};
    pthread_t thread;

    test_random_init(&c.r, "cancels_cost_single_steps");
    make_pairs(all, one, MANY, &c.r);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_often, &c), 0);
    for (int step = 0; step < 150; step++) {
        mambaint_session_next_many(status, all, MANY, NULL);
        for (size_t i = 0; i < MANY; i++)
            if (status[i] == MAMBAINT_E_CANCELLED)
                stopped[i]++;
            else
                same_step(one[i], all[i], status[i]);
    }
    atomic_store(&c.stop, true);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_le(stopped[i], c.sent[i]);
        mambaint_session_next(NULL, 0, &(size_t){0}, all[i],
                              NULL); /* takes a cancel that is left */
    }
    for (size_t i = 0; i < MANY; i++) {
        mambaint_session_free(one[i]);
        mambaint_session_free(all[i]);
    }
}
END_TEST

START_TEST(a_batch_of_strangers_is_refused)
{
    static const int32_t eot = EOT;
    mambaint_model *twin = tiny_open(&tiny, NULL);
    mambaint_session *s[3] = {tiny_session(model, NULL), tiny_session(twin, NULL), NULL};
    mambaint_session *twice[2] = {s[0], s[0]};
    int32_t status[3];

    feed(s[0], &eot, 1);
    ck_assert_int_eq(mambaint_session_next_many(status, s, 2, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_session_next_many(status, twice, 2, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_session_next_many(status, s + 2, 1, NULL), MAMBAINT_E_INVALID);
    ck_assert_int_eq(mambaint_session_next_many(NULL, s, 1, NULL), MAMBAINT_E_INVALID);
    OK(mambaint_session_next_many(NULL, NULL, 0, NULL));
    ck_assert_uint_eq(position(s[0]), 1);
    mambaint_session_free(s[0]);
    mambaint_session_free(s[1]);
    mambaint_model_unref(twin);
}
END_TEST

/* Undo, retry, fork: a state set again gives the same continuation. */
START_TEST(going_back_is_exact)
{
    mambaint_session *s = tiny_session(model, tiny_options("seed", "4", NULL));
    mambaint_session *fork = tiny_session(model, tiny_options("seed", "4", NULL));
    mambaint_state *start, *asked;
    char first[40 * 2048], again[40 * 2048];
    uint8_t x[32], y[32];
    size_t n, m;

    OK(mambaint_state_get(&start, s, NULL));
    say(s, MAMBAINT_ROLE_USER, "one");
    OK(mambaint_state_get(&asked, s, NULL));
    n = run_on(first, s, 40);
    OK(mambaint_state_set(s, asked, NULL));
    m = run_on(again, s, 40);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(first, again, n);
    OK(mambaint_state_set(fork, asked, NULL));
    m = run_on(again, fork, 40);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(first, again, n);
    same_state(s, fork);
    OK(mambaint_state_set(s, start, NULL));
    OK(mambaint_state_digest(x, start));
    digest_of(y, s);
    ck_assert_mem_eq(x, y, 32);
    ck_assert_uint_eq(position(s), 0);
    mambaint_state_free(start);
    mambaint_state_free(asked);
    mambaint_session_free(s);
    mambaint_session_free(fork);
}
END_TEST

/* ---- scoring ---- */

START_TEST(score_is_the_sum_of_the_tokens)
{
    static const char text[] = "One document.\n<|endoftext|>\n\n<|endoftext|>\nAnother \xff one";
    mambaint_session *s = tiny_session(model, NULL);
    const int32_t eot = EOT;
    int64_t bits, want = 0, part, sum = 0;
    uint64_t tokens, bytes, n = 0, n_tokens = 0, n_bytes = 0;
    size_t pos = 0, len;
    const char *doc = text;

    say(s, MAMBAINT_ROLE_USER, "not touched");
    OK(mambaint_session_score(&bits, &tokens, &bytes, s, text, sizeof(text) - 1, NULL));
    ck_assert_uint_eq(position(s), 1 + 1 + 11 + 1);
    while (pos < sizeof(text) - 1) { /* the same by stepping */
        const char *end = strstr(text + pos, "\n<|endoftext|>\n");
        mambaint_session *t = tiny_session(model, NULL);

        doc = text + pos;
        len = end ? (size_t)(end - doc) : strlen(doc);
        pos += len + (end ? 15 : 0);
        feed(t, &eot, 1);
        for (size_t i = 0; i < len + (end != NULL); i++) {
            int32_t id, logprob;

            ck_assert_int_ge(mambaint_session_force(t, i < len ? BYTE(doc[i]) : EOT, NULL), 0);
            OK(mambaint_session_token(&id, &logprob, t));
            want -= logprob;
            n++;
        }
        n_bytes += len;
        mambaint_session_free(t);
    }
    ck_assert_int_eq(bits, want);
    ck_assert_uint_eq(tokens, n);
    ck_assert_uint_eq(bytes, n_bytes);
    for (pos = 0; pos < sizeof(text) - 1; pos += len) { /* in parts that end with separators */
        const char *end = strstr(text + pos, "\n<|endoftext|>\n");

        len = end ? (size_t)(end - text) + 15 - pos : sizeof(text) - 1 - pos;
        OK(mambaint_session_score(&part, &tokens, NULL, s, text + pos, len, NULL));
        sum += part;
        n_tokens += tokens;
    }
    ck_assert_int_eq(sum, want);
    ck_assert_uint_eq(n_tokens, n);
    OK(mambaint_session_score(&bits, &tokens, &bytes, s, NULL, 0, NULL));
    ck_assert(!bits && !tokens && !bytes);
    mambaint_session_free(s);
}
END_TEST

/* ---- cancelling ---- */

START_TEST(a_cancel_stops_the_next_call_once)
{
    static const int32_t ids[3] = {EOT, BYTE('a'), BYTE('b')};
    mambaint_session *s = tiny_session(model, NULL);
    mambaint_session *twin = tiny_session(model, NULL);
    char piece[2048];
    int64_t bits;
    size_t n;

    feed(twin, ids, 3);
    mambaint_session_cancel(s);
    ck_assert_int_eq(mambaint_session_feed(s, ids, 3, NULL), MAMBAINT_E_CANCELLED);
    ck_assert_uint_eq(position(s), 0);
    feed(s, ids, 3);
    mambaint_session_cancel(s);
    ck_assert_int_eq(mambaint_session_say(s, MAMBAINT_ROLE_USER, "x", 1, NULL),
                     MAMBAINT_E_CANCELLED);
    mambaint_session_cancel(s);
    ck_assert_int_eq(mambaint_session_next(piece, sizeof(piece), &n, s, NULL),
                     MAMBAINT_E_CANCELLED);
    mambaint_session_cancel(s);
    ck_assert_int_eq(mambaint_session_force(s, 20, NULL), MAMBAINT_E_CANCELLED);
    mambaint_session_cancel(s);
    ck_assert_int_eq(mambaint_session_score(&bits, NULL, NULL, s, "abc", 3, NULL),
                     MAMBAINT_E_CANCELLED);
    same_state(s, twin);
    ck_assert_int_ge(mambaint_session_next(piece, sizeof(piece), &n, s, NULL), 0);
    ck_assert_int_ge(mambaint_session_next(piece, sizeof(piece), &n, twin, NULL), 0);
    same_state(s, twin);
    mambaint_session_free(s);
    mambaint_session_free(twin);
}
END_TEST

static void *cancel_soon(void *arg)
{
    usleep(20000);
    mambaint_session_cancel(arg);
    return NULL;
}

/* From another thread, in the middle of a long call: the chunks that were done are undone. */
START_TEST(a_cancel_from_another_thread_undoes_the_call)
{
    enum { N = 400000 };
    int32_t *ids = calloc(N, sizeof(*ids));
    char *text = calloc(N, 1);
    mambaint_session *s = tiny_session(model, NULL);
    mambaint_session *twin = tiny_session(model, NULL);
    struct test_random r;
    pthread_t thread;
    int64_t bits;

    ck_assert(ids && text);
    test_random_init(&r, "a_cancel_from_another_thread_undoes_the_call");
    random_ids(ids, N, &r);
    memset(text, 'x', N);
    feed(s, ids, 50);
    feed(twin, ids, 50);
    for (int call = 0; call < 3; call++) {
        int32_t rc;

        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, s), 0);
        rc = call == 0   ? mambaint_session_feed(s, ids, N, NULL)
             : call == 1 ? mambaint_session_say(s, MAMBAINT_ROLE_USER, text, N, NULL)
                         : mambaint_session_score(&bits, NULL, NULL, s, text, N, NULL);
        pthread_join(thread, NULL);
        ck_assert_int_eq(rc, MAMBAINT_E_CANCELLED);
        same_state(s, twin);
    }
    feed(s, ids + 50, 70);
    feed(twin, ids + 50, 70);
    same_state(s, twin);
    free(ids);
    free(text);
    mambaint_session_free(s);
    mambaint_session_free(twin);
}
END_TEST

/* ---- threads ---- */

struct worker {
    mambaint_model *model;
    char text[60 * 2048];
    size_t n;
    char seed[8];
};

static void *chat(void *arg)
{
    struct worker *w = arg;
    mambaint_session *s = tiny_session(w->model, tiny_options("seed", w->seed, NULL));

    say(s, MAMBAINT_ROLE_USER, "hello");
    w->n = run_on(w->text, s, 60);
    mambaint_session_free(s);
    return NULL;
}

/* One model and one context with threads of its own, eight sessions on eight threads. */
START_TEST(sessions_share_a_model_across_threads)
{
    enum { N = 8 };
    struct mbi_host host;
    mambaint_context *ctx;
    mambaint_model *m;
    struct worker *w = calloc(N, sizeof(*w)), *want = calloc(1, sizeof(*want));
    pthread_t thread[N];

    ck_assert(w && want);
    mbi_host_default(&host);
    ctx = tiny_context(&host, 2);
    m = tiny_open(&tiny, ctx);
    for (int i = 0; i < N; i++) {
        w[i].model = m;
        snprintf(w[i].seed, sizeof(w[i].seed), "%d", i);
        ck_assert_int_eq(pthread_create(&thread[i], NULL, chat, &w[i]), 0);
    }
    mambaint_context_unref(ctx);
    for (int i = 0; i < N; i++) {
        pthread_join(thread[i], NULL);
        *want = (struct worker){.model = model};
        memcpy(want->seed, w[i].seed, sizeof(want->seed));
        chat(want);
        ck_assert_uint_eq(w[i].n, want->n);
        ck_assert_mem_eq(w[i].text, want->text, want->n);
    }
    mambaint_model_unref(m);
    free(w);
    free(want);
}
END_TEST

/* ---- children ---- */

#define FORKED 5

/* Texts of a few sessions that step together; the model is large enough for several threads. */
static size_t chat_together(char *out, mambaint_session **s)
{
    size_t total = 0;

    for (int step = 0; step < 30; step++) {
        int32_t status[FORKED];

        test_that(mambaint_session_next_many(status, s, FORKED, NULL) >= 0);
        for (int i = 0; i < FORKED; i++) {
            size_t n;

            test_that(mambaint_session_piece(out + total, 2048, &n, s[i]) == MAMBAINT_OK);
            total += n;
        }
    }
    return total;
}

/* The child goes on with the sessions of its parent, without its threads, and frees everything. */
static void go_on_in_child(int to, mambaint_model *m, mambaint_context *ctx, mambaint_session **s)
{
    static char text[30 * FORKED * 2048];
    size_t n;

    alarm(60);
    n = chat_together(text, s);
    for (int i = 0; i < FORKED; i++)
        mambaint_session_free(s[i]);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    for (size_t at = 0; at < n;) {
        const ssize_t put = write(to, text + at, n - at);

        if (put < 0)
            _exit(1);
        at += (size_t)put;
    }
    _exit(0);
}

static size_t read_all(char *out, size_t cap, int from)
{
    size_t n = 0;
    ssize_t got;

    while ((got = read(from, out + n, cap - n)) > 0)
        n += (size_t)got;
    ck_assert_int_eq(got, 0);
    return n;
}

START_TEST(a_forked_child_goes_on_alone)
{
    static char want[30 * FORKED * 2048], got[30 * FORKED * 2048];
    mambaint_session *s[FORKED];
    mambaint_context *ctx;
    mambaint_model *m;
    struct mbi_host host;
    struct tiny large;
    int channel[2], status;
    size_t n;
    pid_t child;

    tiny_make(&large, tiny_options("preset", "mi-1m", "layers", "2", NULL));
    mbi_host_default(&host);
    ck_assert_ptr_nonnull(ctx = tiny_context(&host, 3));
    m = tiny_open(&large, ctx);
    for (size_t i = 0; i < FORKED; i++) {
        s[i] = member(m, i);
        say(s[i], MAMBAINT_ROLE_USER, "go on");
    }
    chat_together(want, s);
    ck_assert_int_eq(pipe(channel), 0);
    fflush(stdout);
    ck_assert_int_ge(child = fork(), 0);
    if (!child)
        go_on_in_child(channel[1], m, ctx, s);
    close(channel[1]);
    n = chat_together(want, s);
    ck_assert_uint_eq(read_all(got, sizeof(got), channel[0]), n);
    ck_assert_mem_eq(got, want, n);
    close(channel[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < FORKED; i++)
        mambaint_session_free(s[i]);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    tiny_free(&large);
}
END_TEST

/* ---- memory ---- */

/* After creation, stepping and feeding allocate nothing. */
START_TEST(stepping_allocates_nothing)
{
    struct test_host t;
    mambaint_context *ctx;
    mambaint_model *m;
    mambaint_session *s[3];
    int32_t ids[200], status[3];
    struct test_random r;
    char piece[2048];
    size_t n;

    test_host_init(&t);
    test_random_init(&r, "stepping_allocates_nothing");
    random_ids(ids, 200, &r);
    ctx = tiny_context(&t.host, 2);
    m = tiny_open(&tiny, ctx);
    for (int i = 0; i < 3; i++)
        s[i] =
            tiny_session(m, tiny_options("stop", "ab", "repeat-penalty", "1", "top-k", "40", NULL));
    say(s[2], MAMBAINT_ROLE_USER, "asked");
    test_host_fail(&t, 0, false);
    feed(s[0], ids, 200);
    feed(s[1], ids, 1);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_ge(mambaint_session_next(piece, sizeof(piece), &n, s[0], NULL), 0);
        ck_assert_int_ge(mambaint_session_next_many(status, s, 3, NULL), 0);
        ck_assert_int_ge(mambaint_session_force(s[1], BYTE('a'), NULL), 0);
    }
    ck_assert_uint_eq(atomic_load(&t.calls), 0);
    for (int i = 0; i < 3; i++)
        mambaint_session_free(s[i]);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    test_host_check(&t);
}
END_TEST

struct handles {
    mambaint_context *ctx;
    mambaint_model *m;
    mambaint_session *s;
    mambaint_state *st, *loaded;
    mambaint_tokenizer *t;
    mambaint_options *profiled;
    void *saved;
};

/* Every call that may allocate, in a row; the first status that is not OK. */
static int32_t everything(struct handles *h)
{
    char text[2048];
    int32_t ids[64], status, rc;
    int64_t bits;
    size_t n;

    rc = mambaint_session_create(&h->s, h->m, h->profiled, NULL);
    if (rc < 0 || (rc = mambaint_session_say(h->s, MAMBAINT_ROLE_USER, "hi", 2, NULL)) < 0)
        return rc;
    rc = mambaint_session_text(NULL, 0, &n, h->s, "profile");
    if (rc != MAMBAINT_E_SPACE)
        return rc;
    for (int i = 0; i < 3; i++)
        if ((rc = mambaint_session_next(text, sizeof(text), &n, h->s, NULL)) < 0)
            return rc;
    if ((rc = mambaint_session_next_many(&status, &h->s, 1, NULL)) < 0 ||
        (rc = mambaint_state_get(&h->st, h->s, NULL)) < 0)
        return rc;
    mambaint_state_save(NULL, 0, &n, h->st);
    h->saved = malloc(n);
    if ((rc = mambaint_state_save(h->saved, n, NULL, h->st)) < 0 ||
        (rc = mambaint_state_load(&h->loaded, h->m, h->saved, n, NULL)) < 0 ||
        (rc = mambaint_state_set(h->s, h->loaded, NULL)) < 0 ||
        (rc = mambaint_session_score(&bits, NULL, NULL, h->s, "some text", 9, NULL)) < 0 ||
        (rc = mambaint_tokenizer_of(&h->t, h->m)) < 0 ||
        (rc = mambaint_tokenizer_encode(ids, 64, &n, h->t, "hello", 5, 0)) < 0 ||
        (rc = mambaint_tokenizer_decode(text, sizeof(text), &n, h->t, ids, n)) < 0)
        return rc;
    rc = mambaint_model_text(NULL, 0, &n, h->m, "graph");
    return rc == MAMBAINT_E_SPACE ? MAMBAINT_OK : rc;
}

static int32_t scenario(const struct mbi_host *host, void *arg)
{
    const struct tiny *t = arg;
    struct handles h = {.profiled = tiny_options("profile", "on", NULL)};
    int32_t rc = MAMBAINT_E_NO_MEMORY;

    if ((h.ctx = tiny_context(host, 1)) &&
        (rc = mambaint_model_open_memory(&h.m, h.ctx, t->bytes, t->size, NULL, NULL)) >= 0)
        rc = everything(&h);
    mambaint_context_unref(h.ctx); /* first: destruction order does not matter */
    mambaint_model_unref(h.m);
    mambaint_session_free(h.s);
    mambaint_state_free(h.st);
    mambaint_state_free(h.loaded);
    mambaint_tokenizer_unref(h.t);
    mambaint_options_free(h.profiled);
    free(h.saved);
    return rc;
}

/* Lines "kernel calls nanoseconds", the longest first; every kernel once a token or more. */
START_TEST(a_profile_counts_every_kernel)
{
    static const int32_t ids[] = {1, 2, 3};
    mambaint_session *s = tiny_session(model, tiny_options("profile", "on", NULL));
    mambaint_session *without = tiny_session(model, NULL);
    unsigned long long calls, ns, before = UINT64_MAX;
    char text[4096], name[64];
    bool matvec = false;
    int used;

    OK(mambaint_session_text(text, sizeof(text), NULL, s, "profile"));
    ck_assert_str_eq(text, "");
    OK(mambaint_session_feed(s, ids, 3, NULL));
    OK(mambaint_session_force(s, 50, NULL));
    OK(mambaint_session_text(text, sizeof(text), NULL, s, "profile"));
    ck_assert(text[0]);
    for (const char *line = text; *line; line += used) {
        used = 0;
        ck_assert_int_eq(sscanf(line, "%63s %llu %llu\n%n", name, &calls, &ns, &used), 3);
        ck_assert_int_gt(used, 0);
        ck_assert_uint_ge(calls, 2); /* two runs */
        ck_assert_uint_le(ns, before);
        before = ns;
        matvec |= !strncmp(name, "matvec", 6);
    }
    ck_assert(matvec);
    OK(mambaint_session_feed(without, ids, 3, NULL));
    OK(mambaint_session_force(without, 50, NULL));
    same_state(s, without); /* to the bit */
    OK(mambaint_session_text(text, sizeof(text), NULL, without, "profile"));
    ck_assert_str_eq(text, "");
    mambaint_session_free(s);
    mambaint_session_free(without);
}
END_TEST

START_TEST(out_of_memory_leaves_nothing)
{
    ck_assert_uint_gt(test_refuse_each(scenario, &tiny), 50);
}
END_TEST

/* A call that ran out of memory may be repeated, and then gives what it would have given. */
START_TEST(a_session_survives_running_out_of_memory)
{
    struct test_host t;
    mambaint_context *ctx;
    mambaint_model *m;
    mambaint_session *s, *twin = tiny_session(model, NULL);
    mambaint_state *st, *old;
    uint8_t *saved;
    int64_t bits;
    size_t size;

    test_host_init(&t);
    ctx = tiny_context(&t.host, 1);
    m = tiny_open(&tiny, ctx);
    s = tiny_session(m, NULL);
    OK(mambaint_state_get(&old, s, NULL));
    mambaint_state_save(NULL, 0, &size, old);
    saved = malloc(size);
    OK(mambaint_state_save(saved, size, NULL, old));
    say(twin, MAMBAINT_ROLE_USER, "a longer text to say");
    for (int call = 0; call < 5; call++)
        for (size_t nth = 1;; nth++) {
            int32_t rc;

            test_host_fail(&t, nth, false);
            rc = call == 0
                     ? mambaint_session_say(s, MAMBAINT_ROLE_USER, "a longer text to say", 20, NULL)
                 : call == 1 ? mambaint_state_get(&st, s, NULL)
                 : call == 2 ? mambaint_state_load(&st, m, saved, size, NULL)
                 : call == 3 ? mambaint_session_score(&bits, NULL, NULL, s, "some text", 9, NULL)
                             : mambaint_state_set(s, old, NULL);
            test_host_fail(&t, 0, false);
            if (rc == MAMBAINT_OK) {
                ck_assert_uint_gt(nth, 1); /* it was refused at least once */
                if (call == 1 || call == 2)
                    mambaint_state_free(st);
                break;
            }
            ck_assert_int_eq(rc, MAMBAINT_E_NO_MEMORY);
            ck_assert_uint_eq(position(s), call ? position(twin) : 0);
            if (call)
                same_state(s, twin);
        }
    ck_assert_uint_eq(position(s), 0); /* the last call went back */
    mambaint_state_free(old);
    mambaint_session_free(s);
    mambaint_session_free(twin);
    mambaint_model_unref(m);
    mambaint_context_unref(ctx);
    test_host_check(&t);
    free(saved);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");

    tcase_set_timeout(tc, 240);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, turns_are_made_of_these_tokens);
    tcase_add_test(tc, text_cannot_spell_special_tokens);
    tcase_add_test(tc, answers_end);
    tcase_add_test(tc, an_answer_can_be_opened_by_feeding);
    tcase_add_test(tc, pieces_are_whole_characters);
    tcase_add_test(tc, stop_strings_are_withheld);
    tcase_add_test(tc, stop_strings_equal_a_search_in_the_whole);
    tcase_add_test(tc, a_small_buffer_keeps_the_step);
    tcase_add_test(tc, token_tells_what_was_chosen);
    tcase_add_test(tc, nothing_changes_a_bit);
    tcase_add_loop_test(tc, a_batch_equals_separate_calls, 0, MBI_COUNT(batch_sizes));
    tcase_add_test(tc, a_cancel_reaches_the_groups_that_wait);
    tcase_add_test(tc, a_failing_group_does_not_disturb_the_others);
    tcase_add_test(tc, cancels_cost_single_steps);
    tcase_add_test(tc, a_batch_of_strangers_is_refused);
    tcase_add_test(tc, going_back_is_exact);
    tcase_add_test(tc, score_is_the_sum_of_the_tokens);
    tcase_add_test(tc, a_cancel_stops_the_next_call_once);
    tcase_add_test(tc, a_cancel_from_another_thread_undoes_the_call);
    tcase_add_test(tc, sessions_share_a_model_across_threads);
    tcase_add_test(tc, a_forked_child_goes_on_alone);
    tcase_add_test(tc, stepping_allocates_nothing);
    tcase_add_test(tc, a_profile_counts_every_kernel);
    tcase_add_test(tc, out_of_memory_leaves_nothing);
    tcase_add_test(tc, a_session_survives_running_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_main(suite);
}

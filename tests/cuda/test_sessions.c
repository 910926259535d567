/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions on a backend that draws by itself, beside sessions on the reference: the same calls in a
 * random order must give the same codes, texts, tokens, logits and states.
 * Usage: test-sessions MODULE BACKEND ROUNDS [SEED]
 */
#include "exec/backend.h"
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 18 /* sessions: more than step together */
#define ROOM 8192

static uint64_t seed, random_state;
static const char *doing = "starting";
static mambaint_error error;

static void check(bool right, const char *what)
{
    if (right)
        return;
    printf("not so: %s, while %s, seed %llu (%s)\n", what, doing, (unsigned long long)seed,
           error.message);
    exit(1);
}

#define OK(call) check((call) >= 0, #call)
#define IS(condition) check(condition, #condition)

static uint64_t below(uint64_t n)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % n;
}

/* ---- pairs of sessions ---- */

static mambaint_model *model;
static const char *name;
static size_t vocab;
static struct {
    unsigned long long steps, ends, failures, groups;
} count;

struct pair {
    mambaint_session *want, *got;
};

static void set(mambaint_options *o, const char *key, const char *value)
{
    OK(mambaint_options_set(o, key, value, &error));
}

static mambaint_session *session_new(const mambaint_options *o)
{
    mambaint_session *s;

    OK(mambaint_session_create(&s, model, o, &error));
    return s;
}

/* Temperatures at which a model that was never trained says everything, or always the same. */
static struct pair pair_new(void)
{
    static const char *const temperature[] = {"0", "0.8", "1", "200"};
    mambaint_options *o;
    struct pair p;
    char text[32];

    OK(mambaint_options_create(&o));
    set(o, "temperature", temperature[below(4)]);
    snprintf(text, sizeof(text), "%u", (unsigned)below(1000));
    set(o, "seed", text);
    if (below(2))
        set(o, "top-k", below(2) ? "3" : "40");
    if (below(2))
        set(o, "top-p", below(2) ? "0.5" : "1");
    if (!below(3))
        set(o, "min-p", "0.05");
    if (below(2))
        set(o, "repeat-penalty", below(2) ? "0.5" : "20");
    snprintf(text, sizeof(text), "%u", (unsigned)below(257));
    if (below(2))
        set(o, "repeat-last", text);
    if (!below(3))
        set(o, "stop", "e");
    if (!below(4))
        set(o, "record", "on");
    set(o, "prefill-chunk", below(2) ? "5" : "64");
    set(o, "backend", "scalar");
    p.want = session_new(o);
    set(o, "backend", name);
    p.got = session_new(o);
    mambaint_options_free(o);
    return p;
}

static void pair_free(struct pair *p)
{
    mambaint_session_free(p->want);
    mambaint_session_free(p->got);
}

/* ---- what must be equal ---- */

static void same_step(int32_t rc_want, int32_t rc_got, const struct pair *p)
{
    char want[ROOM], got[ROOM];
    size_t n = 0, m = 0;

    IS(rc_want == rc_got);
    IS(mambaint_session_piece(want, sizeof(want), &n, p->want) >= 0);
    IS(mambaint_session_piece(got, sizeof(got), &m, p->got) >= 0);
    IS(n == m && !memcmp(want, got, n));
    count.steps++;
    count.ends += rc_want == MAMBAINT_END;
}

static void same_text(const struct pair *p, const char *key)
{
    char want[64], got[64];

    OK(mambaint_session_text(want, sizeof(want), NULL, p->want, key));
    OK(mambaint_session_text(got, sizeof(got), NULL, p->got, key));
    IS(!strcmp(want, got));
}

static void same_token(const struct pair *p)
{
    int32_t want = 0, got = 0, p_want = 0, p_got = 0;
    const int32_t rc = mambaint_session_token(&want, &p_want, p->want);

    IS(mambaint_session_token(&got, &p_got, p->got) == rc);
    IS(want == got && p_want == p_got);
}

static void same_logits(const struct pair *p)
{
    int32_t *want = calloc(vocab, sizeof(*want)), *got = calloc(vocab, sizeof(*got));
    const int32_t rc = mambaint_session_logits(want, vocab, NULL, p->want);

    IS(mambaint_session_logits(got, vocab, NULL, p->got) == rc);
    IS(!memcmp(want, got, vocab * sizeof(*want)));
    free(want);
    free(got);
}

static void same_state(const struct pair *p)
{
    uint8_t want[32], got[32];
    mambaint_state *a, *b;

    OK(mambaint_state_get(&a, p->want, &error));
    OK(mambaint_state_get(&b, p->got, &error));
    OK(mambaint_state_digest(want, a));
    OK(mambaint_state_digest(got, b));
    IS(!memcmp(want, got, 32));
    mambaint_state_free(a);
    mambaint_state_free(b);
}

/* ---- calls ---- */

static void next(struct pair *p)
{
    char want[ROOM], got[ROOM];
    size_t n, m, cap = below(8) ? ROOM : 0;
    const int32_t rc_want = mambaint_session_next(want, cap, &n, p->want, NULL);
    const int32_t rc_got = mambaint_session_next(got, cap, &m, p->got, &error);

    IS(n == m && (rc_want < 0 || !memcmp(want, got, n)));
    same_step(rc_want, rc_got, p);
}

/* Many sessions in one call, a few times. */
static void next_many(struct pair *pair, size_t n)
{
    mambaint_session *want[MOST], *got[MOST];
    int32_t rc_want[MOST], rc_got[MOST];
    size_t which[MOST], k = 0;

    for (size_t i = 0; i < n; i++)
        if (below(4)) {
            which[k] = i;
            want[k] = pair[i].want;
            got[k++] = pair[i].got;
        }
    for (uint64_t i = below(12) + 1; i; i--) {
        mambaint_session_next_many(rc_want, want, k, NULL);
        mambaint_session_next_many(rc_got, got, k, &error);
        for (size_t j = 0; j < k; j++)
            same_step(rc_want[j], rc_got[j], &pair[which[j]]);
    }
    count.groups++;
}

static void feed(struct pair *p)
{
    int32_t ids[40];
    const size_t n = 1 + (size_t)below(40);

    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)below(vocab);
    OK(mambaint_session_feed(p->want, ids, n, &error));
    OK(mambaint_session_feed(p->got, ids, n, &error));
}

static void say(struct pair *p)
{
    const int32_t role = below(3) ? MAMBAINT_ROLE_USER : MAMBAINT_ROLE_SYSTEM;
    const size_t len = (size_t)below(5);

    OK(mambaint_session_say(p->want, role, "word", len, &error));
    OK(mambaint_session_say(p->got, role, "word", len, &error));
}

static void force(struct pair *p)
{
    const int32_t id = below(8) ? (int32_t)below(vocab) : (int32_t)below(5);
    const int32_t rc = mambaint_session_force(p->want, id, NULL);

    same_step(rc, mambaint_session_force(p->got, id, &error), p);
}

static void cancel(struct pair *p)
{
    char piece[ROOM];
    size_t n;

    mambaint_session_cancel(p->want);
    mambaint_session_cancel(p->got);
    IS(mambaint_session_next(piece, sizeof(piece), &n, p->want, NULL) == MAMBAINT_E_CANCELLED);
    IS(mambaint_session_next(piece, sizeof(piece), &n, p->got, NULL) == MAMBAINT_E_CANCELLED);
}

/* One session's state into another one, on both sides; the reference's may go to the other side. */
static void move_state(struct pair *from, struct pair *to)
{
    mambaint_state *a, *b;

    OK(mambaint_state_get(&a, from->want, &error));
    OK(mambaint_state_get(&b, from->got, &error));
    OK(mambaint_state_set(to->want, a, &error));
    OK(mambaint_state_set(to->got, below(2) ? a : b, &error));
    mambaint_state_free(a);
    mambaint_state_free(b);
}

/* Steps of the other side alone, until one fails; then it is where it was before that one. */
static void fail(struct pair *p)
{
    char piece[ROOM];
    size_t n;

    if (strcmp(name, "drawing"))
        return;
    for (int i = 0; i < 20; i++) {
        int32_t rc;

        setenv("MBI_DRAW_FAIL", "1", 1);
        rc = mambaint_session_next(piece, sizeof(piece), &n, p->got, &error);
        unsetenv("MBI_DRAW_FAIL");
        if (rc < 0) {
            count.failures += rc == MAMBAINT_E_INTERNAL;
            break;
        }
        same_step(mambaint_session_next(piece, sizeof(piece), &n, p->want, NULL), rc, p);
    }
    same_text(p, "position");
}

static void same_receipt(const struct pair *p)
{
    static uint8_t want[1 << 20], got[1 << 20];
    size_t n = 0, m = 0;
    const int32_t rc = mambaint_receipt_create(want, sizeof(want), &n, p->want, NULL);

    IS(mambaint_receipt_create(got, sizeof(got), &m, p->got, &error) == rc);
    IS(rc < 0 || (n == m && !memcmp(want, got, n)));
}

/* ---- rounds ---- */

static void call(struct pair *pair, size_t n)
{
    static const char *const names[] = {"stepping",       "stepping many", "feeding",
                                        "saying",         "forcing",       "cancelling",
                                        "moving a state", "failing",       "looking"};
    struct pair *p = &pair[below(n)];
    const uint64_t what = below(20);

    doing = names[what < 9 ? what : 0];
    switch (what) {
    case 1:
        next_many(pair, n);
        return;
    case 2:
        feed(p);
        return;
    case 3:
        say(p);
        return;
    case 4:
        force(p);
        return;
    case 5:
        cancel(p);
        return;
    case 6:
        move_state(p, &pair[below(n)]);
        return;
    case 7:
        fail(p);
        return;
    case 8:
        same_state(p);
        return;
    default:
        for (uint64_t i = below(24) + 1; i; i--) {
            next(p);
            if (!below(6))
                same_token(p);
            if (!below(12))
                same_logits(p);
        }
        same_text(p, "position");
        same_text(p, "stop-reason");
    }
}

static void round_of_calls(void)
{
    const size_t n = below(6) ? 1 + (size_t)below(4) : MOST;
    struct pair pair[MOST];

    doing = "starting";
    for (size_t i = 0; i < n; i++) {
        pair[i] = pair_new();
        if (below(2))
            say(&pair[i]);
        else
            feed(&pair[i]);
    }
    for (int i = 0; i < 40; i++)
        call(pair, n);
    doing = "ending";
    for (size_t i = 0; i < n; i++) {
        same_token(&pair[i]);
        same_receipt(&pair[i]);
        same_state(&pair[i]);
        same_logits(&pair[i]);
        pair_free(&pair[i]);
    }
}

/* Every other round is of a model with the sizes of most, whose heads' state is copied ahead of its
 * use (cuda/decode_mix.h); the others are small. */
static void model_make(uint64_t which)
{
    static const char *const usual[][2] = {{"heads", "2"},          {"head-dim", "64"},
                                           {"d-state", "64"},       {"chunk", "8"},
                                           {"rotation-pairs", "8"}, {"layers", "2"}};
    char path[] = "/tmp/mambaint-sessions-XXXXXX";
    const int file = mkstemp(path);
    mambaint_options *o;

    IS(file >= 0);
    close(file);
    OK(mambaint_options_create(&o));
    set(o, "preset", "mi-tiny");
    set(o, "vocab", "280");
    set(o, "seed", "3");
    for (size_t i = 0; which % 2 && i < sizeof(usual) / sizeof(*usual); i++)
        set(o, usual[i][0], usual[i][1]);
    OK(mambaint_model_synth(NULL, path, o, &error));
    mambaint_options_free(o);
    OK(mambaint_model_open(&model, NULL, path, NULL, &error));
    unlink(path);
}

int main(int argc, char **argv)
{
    const struct mbi_backend *b;
    mambaint_session *s;
    int32_t eot = 0;

    if (argc < 4) {
        fputs("usage: test-sessions MODULE BACKEND ROUNDS [SEED]\n", stderr);
        return 2;
    }
    name = argv[2];
    seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    OK(mbi_backend_load(&b, argv[1], &error));
    if (!b->probe()) {
        printf("%s\n", b->why ? b->why() : "it cannot run here");
        return 77;
    }
    for (uint64_t which = 0; which < 2; which++) {
        model_make(which);
        s = session_new(NULL);
        OK(mambaint_session_feed(s, &eot, 1, &error));
        mambaint_session_logits(NULL, 0, &vocab, s);
        mambaint_session_free(s);
        for (uint64_t i = which; i < strtoull(argv[3], NULL, 10); i += 2) {
            random_state = seed + i * 1000003;
            round_of_calls();
        }
        mambaint_model_unref(model);
    }
    printf("%llu steps, %llu at an end, %llu groups, %llu failures: all equal\n", count.steps,
           count.ends, count.groups, count.failures);
    return 0;
}

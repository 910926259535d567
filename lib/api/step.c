/* SPDX-License-Identifier: Apache-2.0 */
/* Steps: open the answer if a turn was said, choose a token, feed it, make the piece. */
#include "api/receipt.h"
#include "base/intmath.h"
#include "sample/lg2.h"

/* One session of a group on its way through a step. */
struct step {
    mambaint_session *s;
    int32_t *status;
    int32_t id;
    bool forced; /* the id is the caller's */
    bool opened;
    int32_t overwritten; /* history entry that opening took the place of */
};

static bool under_way(const struct step *st) { return *st->status == MAMBAINT_OK; }

static void fail_step(struct step *st, int32_t rc)
{
    mambaint_session *s = st->s;

    if (st->opened) { /* close again: the copy made before opening becomes the memory */
        int32_t *const logits = s->logits;

        mbi_session_swap_memory(s);
        mbi_ahead_forget(s);
        s->logits = s->before;
        s->before = logits;
        s->talk->position--;
        s->talk->history[s->talk->position % MBI_HISTORY] = st->overwritten;
        s->talk->phase = MBI_PHASE_ASKED;
    }
    *st->status = rc;
}

/*
 * Feed one token to each session that `wants` picks, all in one run. What fails is marked failed;
 * `err` keeps the first failure.
 */
static void feed_each(struct step *st, size_t n, bool (*wants)(const struct step *st),
                      int32_t (*token)(const struct step *st), mambaint_error *err)
{
    mambaint_session *s[MBI_GROUP];
    int32_t ids[MBI_GROUP], rc;
    size_t which[MBI_GROUP], count = 0;

    for (size_t i = 0; i < n; i++)
        if (under_way(&st[i]) && wants(&st[i])) {
            which[count] = i;
            ids[count] = token(&st[i]);
            s[count++] = st[i].s;
        }
    if (!count || (rc = mbi_session_advance_each(s, ids, count, err)) >= 0)
        return;
    for (size_t i = 0; i < count; i++)
        fail_step(&st[which[i]], rc);
}

/* ---- opening ---- */

static bool wants_opening(const struct step *st) { return st->s->talk->phase == MBI_PHASE_ASKED; }

static int32_t opening_token(const struct step *st)
{
    return mbi_tokenizer_role(st->s->tokenizer, MBI_ROLE_ASSISTANT);
}

static void open_answers(struct step *st, size_t n, mambaint_error *err)
{
    bool opening[MBI_GROUP] = {false};

    for (size_t i = 0; i < n; i++) {
        mambaint_session *s = st[i].s;
        int32_t rc;

        if (!under_way(&st[i]) || !wants_opening(&st[i]))
            continue;
        if ((rc = mbi_ahead_settle(s, err)) < 0 ||
            (rc = s->set.backend->memory_copy(s->spare, s->memory, err)) < 0) {
            fail_step(&st[i], rc);
            continue;
        }
        opening[i] = true;
        st[i].overwritten = s->talk->history[s->talk->position % MBI_HISTORY];
    }
    feed_each(st, n, wants_opening, opening_token, err);
    for (size_t i = 0; i < n; i++)
        if (opening[i] && under_way(&st[i])) {
            st[i].opened = true;
            st[i].s->talk->phase = MBI_PHASE_ANSWER;
        }
}

/* ---- choosing ---- */

static int32_t choose(mambaint_session *s)
{
    const struct mbi_talk *talk = s->talk;
    const uint64_t last = mbi_min_size(s->set.repeat_last, MBI_HISTORY);
    const uint64_t n = talk->position < last ? talk->position : last;
    int32_t recent[MBI_HISTORY];

    for (uint64_t i = 0; i < n; i++)
        recent[i] = talk->history[(talk->position - 1 - i) % MBI_HISTORY];
    return mbi_sample(&s->set.sampler, s->work, s->logits, s->vocab, recent, (size_t)n,
                      talk->position);
}

static void choose_each(void *arg, size_t begin, size_t end)
{
    struct step *st = arg;

    for (size_t i = begin; i < end; i++)
        if (under_way(&st[i]) && st[i].id < 0)
            st[i].id = choose(st[i].s);
}

/* What the device has drawn is taken; the others draw from their logits here. */
static void choose_all(struct step *st, size_t n, mambaint_error *err)
{
    size_t here = 0;

    for (size_t i = 0; i < n; i++) {
        const struct mbi_ahead *a = st[i].s->ahead;
        int32_t rc;

        if (!under_way(&st[i]))
            continue;
        if (a->n_ids)
            st[i].id = a->id[0];
        else if ((rc = mbi_ahead_logits(st[i].s, err)) < 0)
            fail_step(&st[i], rc);
        else
            here++;
    }
    if (here)
        mbi_parallel_for(st[0].s->host, n, 1, choose_each, st);
}

/* ---- the end of a step ---- */

/* End of text is not fed: the conversation stays one, and a turn left open can still be closed. */
static bool wants_feeding(const struct step *st)
{
    return st->id != mbi_tokenizer_eot(st->s->tokenizer);
}

static int32_t chosen_token(const struct step *st) { return st->id; }

/* Is this the last token of its answer? */
static bool closes(const struct step *st)
{
    return st->id == mbi_tokenizer_role(st->s->tokenizer, MBI_ROLE_END);
}

/*
 * Feed what was chosen, where the device draws: what it has fed already is taken, the others do a
 * batch of steps together. Its size is the least that one of them asks for, but for those that end
 * here, and such that all run out of tokens at the same time.
 */
static void draw_each(struct step *st, size_t n, mambaint_error *err)
{
    mambaint_session *s[MBI_GROUP];
    int32_t ids[MBI_GROUP], rc;
    size_t which[MBI_GROUP], count = 0, steps = MBI_DRAW_STEPS, lasting = 0;

    for (size_t i = 0; i < n; i++) {
        struct mbi_ahead *a = st[i].s->ahead;

        if (!under_way(&st[i]) || !wants_feeding(&st[i]))
            continue;
        if (a->fed) {
            mbi_ahead_take(st[i].s);
            steps = mbi_min_size(steps, a->fed + 1);
            continue;
        }
        if (st[i].opened) /* the copy before it is still needed */
            steps = 1;
        if (!closes(&st[i])) {
            steps = mbi_min_size(steps, a->size);
            lasting++;
        }
        which[count] = i;
        ids[count] = st[i].id;
        s[count++] = st[i].s;
    }
    if (!count || (rc = mbi_ahead_draw_each(s, ids, count, lasting ? steps : 1, err)) >= 0)
        return;
    for (size_t i = 0; i < count; i++)
        fail_step(&st[which[i]], rc);
}

static void finish(struct step *st)
{
    mambaint_session *s = st->s;
    struct mbi_talk *talk = s->talk;
    const char *bytes;
    size_t len;
    bool special;

    if (talk->kept) /* forced on: the piece before this step is given up */
        mbi_talk_delivered(talk);
    mbi_record_add(s, st->forced ? MBI_RECEIPT_FORCED : MBI_RECEIPT_DRAWN, 0, &st->id, 1);
    talk->ended = MBI_ENDED_NOT;
    talk->token = st->id;
    if (!wants_feeding(st)) {
        talk->ended = MBI_ENDED_TEXT;
    } else if (st->id == mbi_tokenizer_role(s->tokenizer, MBI_ROLE_END)) {
        talk->ended = MBI_ENDED_TURN;
        talk->phase = MBI_PHASE_TEXT;
    } else if (mbi_tokenizer_token(&bytes, &len, &special, s->tokenizer, st->id) && !special) {
        mbi_talk_add(talk, &s->set, bytes, len);
    }
    mbi_talk_render(talk, &s->set);
    if (talk->ended && !talk->n_piece)
        *st->status = MAMBAINT_END;
}

/* Status of a session that has nothing to step for; OK otherwise. */
static int32_t ready(mambaint_session *s, bool forced, mambaint_error *err)
{
    struct mbi_talk *talk = s->talk;
    const int32_t rc = mbi_session_cancelled(s, err);

    if (rc < 0)
        return rc;
    if (!talk->position)
        return mbi_fail(err, MAMBAINT_E_INVALID, "next: nothing was said or fed yet");
    if (!forced && talk->ended) {
        talk->n_piece = 0;
        return MAMBAINT_END;
    }
    return mbi_record_reserve(s, 1, err);
}

/*
 * One step of n <= MBI_GROUP sessions. forced: their tokens, or NULL to choose. status is OK where
 * a piece was made, END where the answer was or is complete and nothing is left to say, else an
 * error and the session is as it was. The piece is not delivered yet.
 */
static void step_group(int32_t *status, mambaint_session *const *s, const int32_t *forced, size_t n,
                       mambaint_error *err)
{
    struct step st[MBI_GROUP];

    for (size_t i = 0; i < n; i++) {
        st[i] = (struct step){.s = s[i],
                              .status = &status[i],
                              .id = forced ? forced[i] : -1,
                              .forced = forced != NULL};
        status[i] = ready(s[i], forced != NULL, err);
    }
    open_answers(st, n, err);
    if (!forced)
        choose_all(st, n, err);
    if (!forced && s[0]->ahead->rows)
        draw_each(st, n, err);
    else
        feed_each(st, n, wants_feeding, chosen_token, err);
    for (size_t i = 0; i < n; i++)
        if (under_way(&st[i]))
            finish(&st[i]);
}

/* ---- the calls ---- */

int32_t mambaint_session_next(char *buf, size_t cap, size_t *len, mambaint_session *session,
                              mambaint_error *err)
{
    struct mbi_talk *talk;
    int32_t rc = MAMBAINT_OK;

    if (!session || !len || (!buf && cap))
        return mbi_fail(err, MAMBAINT_E_INVALID, "buf, len and session must not be NULL");
    talk = session->talk;
    *len = 0;
    if (talk->kept)
        rc = mbi_session_cancelled(session, err);
    else
        step_group(&rc, &session, NULL, 1, err);
    if (rc != MAMBAINT_OK)
        return rc;
    *len = talk->n_piece;
    if (talk->n_piece > cap) {
        talk->kept = 1;
        return mbi_fail(err, MAMBAINT_E_SPACE, "next: the piece has %u bytes, the buffer %zu",
                        talk->n_piece, cap);
    }
    if (cap)
        memcpy(buf, talk->piece, talk->n_piece);
    mbi_talk_delivered(talk);
    return MAMBAINT_OK;
}

/* One model, one backend, no session twice. */
static bool one_kind(mambaint_session *const *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!s[i] || s[i]->model != s[0]->model || s[i]->set.backend != s[0]->set.backend)
            return false;
        for (size_t k = 0; k < i; k++)
            if (s[k] == s[i])
                return false;
    }
    return true;
}

/* Sessions whose last piece was kept deliver it; the others step. */
static void next_group(int32_t *status, mambaint_session *const *s, size_t n, mambaint_error *err)
{
    mambaint_session *stepping[MBI_GROUP];
    int32_t result[MBI_GROUP];
    size_t which[MBI_GROUP], count = 0;

    for (size_t i = 0; i < n; i++)
        if (s[i]->talk->kept) {
            status[i] = mbi_session_cancelled(s[i], err);
        } else {
            which[count] = i;
            stepping[count++] = s[i];
        }
    if (count)
        step_group(result, stepping, NULL, count, err);
    for (size_t i = 0; i < count; i++)
        status[which[i]] = result[i];
    for (size_t i = 0; i < n; i++)
        if (status[i] == MAMBAINT_OK)
            mbi_talk_delivered(s[i]->talk);
}

int32_t mambaint_session_next_many(int32_t *status, mambaint_session *const *sessions, size_t n,
                                   mambaint_error *err)
{
    int32_t first = MAMBAINT_OK;

    if ((!status || !sessions) && n)
        return mbi_fail(err, MAMBAINT_E_INVALID, "status and sessions must not be NULL");
    if (!one_kind(sessions, n))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "next_many: the sessions must be different ones of one model and backend");
    for (size_t at = 0; at < n; at += MBI_GROUP) {
        const size_t count = mbi_min_size(MBI_GROUP, n - at);
        mambaint_error *const to = first < 0 ? NULL : err; /* the first failure is told */

        next_group(status + at, sessions + at, count, to);
        for (size_t i = at; i < at + count; i++)
            if (first >= 0 && status[i] < 0)
                first = status[i];
    }
    return first;
}

int32_t mambaint_session_force(mambaint_session *session, int32_t id, mambaint_error *err)
{
    int32_t rc;

    if (!session)
        return mbi_fail(err, MAMBAINT_E_INVALID, "session must not be NULL");
    if (id < 0 || (size_t)id >= session->vocab)
        return mbi_fail(err, MAMBAINT_E_RANGE, "force: id %d is outside the vocabulary of %zu", id,
                        session->vocab);
    step_group(&rc, &session, &id, 1, err);
    if (rc < 0)
        return rc;
    rc = session->talk->ended ? MAMBAINT_END : MAMBAINT_OK;
    mbi_talk_delivered(session->talk);
    return rc;
}

int32_t mambaint_session_piece(char *buf, size_t cap, size_t *len, const mambaint_session *session)
{
    int32_t rc;

    if (!session || !len || (!buf && cap))
        return MAMBAINT_E_INVALID;
    rc = mbi_give_bytes(buf, cap, len, session->talk->piece, session->talk->n_piece);
    if (rc == MAMBAINT_OK && session->talk->kept)
        mbi_talk_delivered(session->talk);
    return rc;
}

int32_t mambaint_session_token(int32_t *id, int32_t *logprob_q16, const mambaint_session *session)
{
    const mambaint_session *s = session;
    const int32_t *from;
    int32_t rc;

    if (!id || !s || s->talk->token < 0)
        return MAMBAINT_E_INVALID;
    *id = s->talk->token;
    if (!logprob_q16)
        return MAMBAINT_OK;
    if ((rc = mbi_ahead_logits(s, NULL)) < 0)
        return rc;
    /* A token that was not fed left the logits it was chosen from in place. */
    from = *id == mbi_tokenizer_eot(s->tokenizer) ? s->logits : s->before;
    *logprob_q16 = (int32_t)-mbi_min_i64(mbi_token_cost(from, s->vocab, *id), INT32_MAX);
    return MAMBAINT_OK;
}

int32_t mambaint_session_logits(int32_t *q16, size_t cap, size_t *need,
                                const mambaint_session *session)
{
    int32_t rc;

    if (!session || !session->talk->position || (!q16 && cap))
        return MAMBAINT_E_INVALID;
    if (need)
        *need = session->vocab;
    if (cap < session->vocab)
        return MAMBAINT_E_SPACE;
    if ((rc = mbi_ahead_logits(session, NULL)) < 0)
        return rc;
    for (size_t i = 0; i < session->vocab; i++) /* 28 bits Q12 */
        q16[i] = (int32_t)mbi_lshift(session->logits[i], 4);
    return MAMBAINT_OK;
}

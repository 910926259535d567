/* SPDX-License-Identifier: Apache-2.0 */
/* Putting tokens into sessions: the runs, and going back when one fails. */
#include "api/receipt.h"
#include "base/intmath.h"

int32_t mbi_session_cancelled(mambaint_session *s, mambaint_error *err)
{
    if (!atomic_exchange(&s->cancel, false))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_CANCELLED, "cancelled; the session is where it was before");
}

/* The new logits lie in `before`; the old ones are those the token was chosen from. */
static void commit(mambaint_session *s, const int32_t *ids, size_t n)
{
    struct mbi_talk *talk = s->talk;
    int32_t *const logits = s->before;

    s->before = s->logits;
    s->logits = logits;
    for (size_t i = 0; i < n; i++)
        talk->history[(talk->position + i) % MBI_HISTORY] = ids[i];
    talk->position += n;
    s->ahead->unread = 0;
}

/*
 * One chunk is one run, and a run that fails has changed nothing; more chunks start from a copy of
 * the memory.
 */
int32_t mbi_session_advance(mambaint_session *s, const int32_t *ids, size_t n, mambaint_error *err)
{
    const struct mbi_backend *backend = s->set.backend;
    const bool copied = n > s->set.prefill_chunk;
    int32_t rc = mbi_ahead_settle(s, err);

    if (rc >= 0 && copied)
        rc = backend->memory_copy(s->spare, s->memory, err);
    if (rc < 0)
        return rc;
    for (size_t done = 0; rc >= 0 && done < n;) {
        const size_t part = mbi_min_size(n - done, s->set.prefill_chunk);
        const struct mbi_run run = {s->memory, s->talk->position + done, ids + done, part};
        const struct mbi_batch batch = {&run, 1, false};

        if ((rc = mbi_session_cancelled(s, err)) >= 0)
            rc = backend->run(s->image, &batch, err);
        done += part;
    }
    if (rc >= 0)
        rc = backend->peek(s->before, s->image, s->program->graph->logits, 0, 1, err);
    if (rc >= 0)
        commit(s, ids, n);
    else if (copied)
        mbi_session_swap_memory(s);
    return rc;
}

int32_t mbi_session_advance_each(mambaint_session *const *s, const int32_t *ids, size_t n,
                                 mambaint_error *err)
{
    const struct mbi_backend *backend = s[0]->set.backend;
    struct mbi_run run[MBI_GROUP];
    const struct mbi_batch batch = {run, n, false};
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; rc >= 0 && i < n; i++)
        if ((rc = mbi_ahead_settle(s[i], err)) >= 0)
            rc = mbi_ahead_logits(s[i], err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        run[i] = (struct mbi_run){s[i]->memory, s[i]->talk->position, &ids[i], 1};
    rc = backend->run(s[0]->image, &batch, err);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = backend->peek(s[i]->before, s[0]->image, s[0]->program->graph->logits, i, 1, err);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        commit(s[i], &ids[i], 1);
    return rc;
}

/* ---- feed ---- */

int32_t mambaint_session_feed(mambaint_session *session, const int32_t *ids, size_t n,
                              mambaint_error *err)
{
    struct mbi_talk *talk;
    int32_t rc;

    if (!session || (!ids && n))
        return mbi_fail(err, MAMBAINT_E_INVALID, "session and ids must not be NULL");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= session->vocab)
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "feed: id %d at position %zu is outside the vocabulary of %zu", ids[i],
                            i, session->vocab);
    if (!n)
        return MAMBAINT_OK;
    if ((rc = mbi_record_reserve(session, n, err)) < 0 ||
        (rc = mbi_session_advance(session, ids, n, err)) < 0)
        return rc;
    mbi_record_add(session, MBI_RECEIPT_FED, 0, ids, n);
    talk = session->talk;
    mbi_talk_clear(talk);
    if (talk->phase == MBI_PHASE_ASKED &&
        ids[0] == mbi_tokenizer_role(session->tokenizer, MBI_ROLE_ASSISTANT))
        talk->phase = MBI_PHASE_ANSWER;
    else if (talk->phase != MBI_PHASE_ANSWER)
        talk->phase = MBI_PHASE_TEXT;
    return MAMBAINT_OK;
}

/* ---- say ---- */

static void add_id(struct mbi_buf *ids, int32_t id) { mbi_buf_add(ids, &id, sizeof(id)); }

/* The ids of a turn, with what has to come before it. */
static int32_t turn_ids(struct mbi_buf *ids, const mambaint_session *s, int32_t role,
                        const char *text, size_t len, mambaint_error *err)
{
    const struct mbi_tokenizer *t = s->tokenizer;
    const int32_t begin = mbi_tokenizer_role(t, (enum mbi_role)role);
    const int32_t end = mbi_tokenizer_role(t, MBI_ROLE_END);
    int32_t rc;

    if (begin < 0 || end < 0 || mbi_tokenizer_role(t, MBI_ROLE_ASSISTANT) < 0)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                        "say: the tokenizer of this model has no tokens for turns; use feed");
    if (len && text[len - 1] == '\n')
        len -= len > 1 && text[len - 2] == '\r' ? 2 : 1;
    if (s->talk->phase == MBI_PHASE_FRESH)
        add_id(ids, mbi_tokenizer_eot(t));
    if (s->talk->phase == MBI_PHASE_ANSWER)
        add_id(ids, end);
    add_id(ids, begin);
    if ((rc = mbi_tokenizer_encode(ids, t, text ? text : "", len, 0, err)) < 0)
        return rc;
    add_id(ids, end);
    return ids->failed ? mbi_fail_memory(err, "a turn") : MAMBAINT_OK;
}

int32_t mbi_session_turn(mambaint_session *s, int32_t role, const int32_t *ids, size_t n,
                         mambaint_error *err)
{
    int32_t rc;

    if ((rc = mbi_record_reserve(s, n, err)) < 0 || (rc = mbi_session_advance(s, ids, n, err)) < 0)
        return rc;
    mbi_record_add(s, MBI_RECEIPT_SAID, (uint32_t)role, ids, n);
    mbi_talk_clear(s->talk);
    s->talk->phase = role == MAMBAINT_ROLE_ASSISTANT ? MBI_PHASE_TEXT : MBI_PHASE_ASKED;
    s->talk->ended = role == MAMBAINT_ROLE_ASSISTANT ? MBI_ENDED_TURN : MBI_ENDED_NOT;
    return MAMBAINT_OK;
}

int32_t mambaint_session_say(mambaint_session *session, int32_t role, const char *text, size_t len,
                             mambaint_error *err)
{
    struct mbi_buf ids;
    int32_t rc;

    if (!session || (!text && len))
        return mbi_fail(err, MAMBAINT_E_INVALID, "session and text must not be NULL");
    if (role < MAMBAINT_ROLE_SYSTEM || role > MAMBAINT_ROLE_ASSISTANT)
        return mbi_fail(err, MAMBAINT_E_INVALID, "say: %d is no role that speaks", role);
    mbi_buf_init(&ids, session->host);
    rc = turn_ids(&ids, session, role, text, len, err);
    if (rc >= 0)
        rc = mbi_session_turn(session, role, (const int32_t *)(const void *)ids.data,
                              ids.size / sizeof(int32_t), err);
    mbi_buf_free(&ids);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a receipt: what it says is run again. */
#include "api/receipt.h"

/* A session that repeats a receipt. */
struct rerun {
    const struct mbi_receipt *receipt;
    mambaint_session *s;
    size_t drawn; /* tokens so far */
};

/* ---- is it about this model, and this start? ---- */

static int32_t check_model(const struct mbi_receipt *r, const mambaint_model *m,
                           mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    mbi_tokenizer_digest(digest, m->model->tokenizer);
    if (memcmp(digest, r->tokenizer, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "receipt: of a model with another tokenizer");
    if ((rc = mbi_model_locked_digest(digest, m, err)) < 0)
        return rc;
    if (memcmp(digest, r->model, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "receipt: of another model");
    return MAMBAINT_OK;
}

static int32_t state_digest(uint8_t digest[MBI_DIGEST_SIZE], mambaint_session *s,
                            mambaint_error *err)
{
    mambaint_state *now;
    const int32_t rc = mambaint_state_get(&now, s, err);

    if (rc < 0)
        return rc;
    mambaint_state_digest(digest, now);
    mambaint_state_free(now);
    return MAMBAINT_OK;
}

/* At position 0 there is one state, in which nothing was fed. */
static int32_t start(const struct rerun *run, const mambaint_state *state, mambaint_error *err)
{
    const struct mbi_receipt *r = run->receipt;
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc = MAMBAINT_OK;

    if (r->position && !state)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "receipt: it starts from a state, after %llu tokens; give that state",
                        (unsigned long long)r->position);
    if (!r->position && state)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "receipt: it starts with nothing in memory, not from a state");
    if ((state && (rc = mambaint_state_set(run->s, state, err)) < 0) ||
        (rc = state_digest(digest, run->s, err)) < 0)
        return rc;
    if (memcmp(digest, r->start, sizeof(digest)) != 0)
        return state ? mbi_fail(err, MAMBAINT_E_MISMATCH,
                                "receipt: it starts from another state than the given one")
                     : mbi_fail(err, MAMBAINT_E_REFUSED,
                                "receipt: the state that it starts from is not the empty one of "
                                "this model, though it says so");
    if (run->s->talk->position != r->position)
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        "receipt: the state that it starts from has another position than it says");
    if (run->s->talk->kept) /* a receipt is made after that piece was taken */
        mbi_talk_delivered(run->s->talk);
    return MAMBAINT_OK;
}

/* ---- the parts ---- */

/* A turn is what mambaint_session_say() makes: its tokens around ordinary ones. */
static bool is_turn(const mambaint_session *s, uint32_t role, const int32_t *ids, size_t n)
{
    const struct mbi_tokenizer *t = s->tokenizer;
    const int32_t end = mbi_tokenizer_role(t, MBI_ROLE_END);
    size_t i = 0;

    if (end < 0 || mbi_tokenizer_role(t, MBI_ROLE_ASSISTANT) < 0 || n < 2 || ids[n - 1] != end)
        return false;
    if (s->talk->phase == MBI_PHASE_FRESH && ids[i++] != mbi_tokenizer_eot(t))
        return false;
    if (s->talk->phase == MBI_PHASE_ANSWER && ids[i++] != end)
        return false;
    if (i + 1 >= n || ids[i++] != mbi_tokenizer_role(t, (enum mbi_role)role))
        return false;
    for (; i < n - 1; i++) {
        const char *text;
        size_t len;
        bool special;

        if (!mbi_tokenizer_token(&text, &len, &special, t, ids[i]) || special)
            return false;
    }
    return true;
}

static int32_t put_in(const struct rerun *run, const struct mbi_receipt_part *p,
                      mambaint_error *err)
{
    mambaint_session *s = run->s;
    int32_t *ids = mbi_alloc(s->host, p->n, sizeof(*ids)), rc;

    if (!ids)
        return mbi_fail_memory(err, "the tokens of a receipt");
    for (size_t i = 0; i < p->n; i++)
        ids[i] = (int32_t)mbi_receipt_id(p, i);
    if (p->kind == MBI_RECEIPT_FED)
        rc = mambaint_session_feed(s, ids, p->n, err);
    else if (is_turn(s, p->role, ids, p->n))
        rc = mbi_session_turn(s, (int32_t)p->role, ids, p->n, err);
    else
        rc = mbi_fail(err, MAMBAINT_E_REFUSED, "receipt: one of its turns is none of this model's");
    mbi_free(s->host, ids);
    return rc;
}

static int32_t draw(struct rerun *run, int32_t want, mambaint_error *err)
{
    mambaint_session *s = run->s;
    char piece[MBI_PIECE_MAX];
    size_t len;
    int32_t rc;

    if (s->talk->ended)
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        "receipt: it draws token %zu, but run again, the answer was complete "
                        "before it",
                        run->drawn + 1);
    if ((rc = mambaint_session_next(piece, sizeof(piece), &len, s, err)) < 0)
        return rc;
    run->drawn++;
    if (s->talk->token != want)
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        "receipt: drawn token %zu is %d in it, but run again, it is %d", run->drawn,
                        want, s->talk->token);
    return MAMBAINT_OK;
}

static int32_t step(struct rerun *run, const struct mbi_receipt_part *p, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; i < p->n && rc >= 0; i++) {
        const int32_t id = (int32_t)mbi_receipt_id(p, i);

        rc = p->kind == MBI_RECEIPT_DRAWN ? draw(run, id, err)
                                          : mambaint_session_force(run->s, id, err);
    }
    return rc;
}

static int32_t check_ids(const struct mbi_receipt_part *p, size_t vocab, mambaint_error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (mbi_receipt_id(p, i) >= vocab)
            return mbi_fail(err, MAMBAINT_E_RANGE,
                            "receipt: token %u is outside the vocabulary of %zu",
                            mbi_receipt_id(p, i), vocab);
    return MAMBAINT_OK;
}

static int32_t repeat(struct rerun *run, mambaint_error *err)
{
    struct mbi_reader parts = run->receipt->parts;
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc = MAMBAINT_OK;

    for (uint32_t i = 0; i < run->receipt->n_parts && rc >= 0; i++) {
        const struct mbi_receipt_part p = mbi_receipt_next(&parts);
        const bool steps = p.kind == MBI_RECEIPT_DRAWN || p.kind == MBI_RECEIPT_FORCED;

        if ((rc = check_ids(&p, run->s->vocab, err)) >= 0)
            rc = steps ? step(run, &p, err) : put_in(run, &p, err);
    }
    if (rc < 0 || (rc = state_digest(digest, run->s, err)) < 0)
        return rc;
    if (memcmp(digest, run->receipt->end, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_REFUSED,
                        "receipt: run again, the tokens are those in it, but the state at the end "
                        "is another");
    return MAMBAINT_OK;
}

/* ---- the call ---- */

static void take_settings(struct mbi_session_settings *set, const struct mbi_receipt *r)
{
    set->sampler = r->sampler;
    set->repeat_last = r->repeat_last;
    set->n_stops = r->n_stops;
    memcpy(set->stop, r->stop, sizeof(set->stop));
}

int32_t mambaint_receipt_check(mambaint_model *model, const mambaint_state *start_state,
                               const void *receipt, size_t len, const mambaint_options *options,
                               mambaint_error *err)
{
    struct mbi_receipt r;
    struct rerun run = {.receipt = &r};
    int32_t rc;

    if (!model || !receipt)
        return mbi_fail(err, MAMBAINT_E_INVALID, "model and receipt must not be NULL");
    if ((rc = mbi_model_needs_text(model, err)) < 0 ||
        (rc = mbi_receipt_read(&r, receipt, len, err)) < 0 ||
        (rc = check_model(&r, model, err)) < 0 ||
        (rc = mambaint_session_create(&run.s, model, options, err)) < 0)
        return rc;
    take_settings(&run.s->set, &r);
    if ((rc = start(&run, start_state, err)) >= 0)
        rc = repeat(&run, err);
    mambaint_session_free(run.s);
    return rc < 0 ? rc : MAMBAINT_ACCEPTED;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking ahead: a backend that draws by itself does several steps at a time, and calls take its
 * tokens one by one. Its memory is then ahead of the conversation. Whoever else wants the memory
 * has it brought back to where the conversation is: from the copy that was made before those
 * steps, and by feeding again what was taken since.
 */
#include "api/session.h"
#include "base/intmath.h"

int32_t mbi_ahead_create(mambaint_session *s, mambaint_error *err)
{
    const struct mbi_backend *backend = s->set.backend;

    if (!(s->ahead = mbi_alloc(s->host, 1, sizeof(*s->ahead))))
        return mbi_fail_memory(err, "a session");
    s->ahead->size = 1;
    return backend->draw ? backend->rows_new(&s->ahead->rows, s->program, err) : MAMBAINT_OK;
}

void mbi_ahead_free(mambaint_session *s)
{
    if (s->ahead && s->ahead->rows)
        s->set.backend->rows_free(s->ahead->rows);
    mbi_free(s->host, s->ahead);
}

void mbi_session_swap_memory(mambaint_session *s)
{
    struct mbi_memory *const m = s->memory;

    s->memory = s->spare;
    s->spare = m;
}

/* ---- back ---- */

void mbi_ahead_back(mambaint_session *s)
{
    struct mbi_ahead *a = s->ahead;

    if (a->fed) {
        mbi_session_swap_memory(s);
        a->behind = a->since;
    }
    a->n_ids = a->fed = 0;
    a->size = 1;
}

void mbi_ahead_forget(mambaint_session *s)
{
    struct mbi_ahead *a = s->ahead;

    a->n_ids = a->fed = a->behind = a->unread = 0;
    a->size = 1;
}

/* Feed what the memory lacks: ids of the conversation, at most MBI_DRAW_STEPS. */
static int32_t catch_up(mambaint_session *s, mambaint_error *err)
{
    const struct mbi_talk *talk = s->talk;
    const uint64_t pos = talk->position - s->ahead->behind;
    int32_t ids[MBI_DRAW_STEPS], rc;
    const struct mbi_run run = {s->memory, pos, ids, s->ahead->behind};
    const struct mbi_batch batch = {&run, 1, false};

    if (!run.n)
        return MAMBAINT_OK;
    for (size_t i = 0; i < run.n; i++)
        ids[i] = talk->history[(pos + i) % MBI_HISTORY];
    if ((rc = s->set.backend->run(s->image, &batch, err)) >= 0)
        s->ahead->behind = 0;
    return rc;
}

int32_t mbi_ahead_settle(mambaint_session *s, mambaint_error *err)
{
    mbi_ahead_back(s);
    return catch_up(s, err);
}

/* The row of a token is that of its position. The logits change last: before is made of them. */
int32_t mbi_ahead_logits(const mambaint_session *s, mambaint_error *err)
{
    struct mbi_ahead *a = s->ahead;
    const struct mbi_backend *backend = s->set.backend;
    const uint64_t pos = s->talk->position;
    const size_t size = s->vocab * sizeof(*s->logits);
    int32_t rc;

    if (!a->unread)
        return MAMBAINT_OK;
    if ((rc = backend->rows_read(s->work, a->rows, pos - 1, err)) < 0)
        return rc;
    if (a->unread == 1)
        memcpy(s->before, s->logits, size);
    else if ((rc = backend->rows_read(s->before, a->rows, pos - 2, err)) < 0)
        return rc;
    memcpy(s->logits, s->work, size);
    a->unread = 0;
    return MAMBAINT_OK;
}

/* ---- ahead ---- */

/* The conversation goes on by a token whose logits are on the device. */
static void go_on(mambaint_session *s, int32_t id)
{
    struct mbi_ahead *a = s->ahead;

    s->talk->history[s->talk->position % MBI_HISTORY] = id;
    s->talk->position++;
    a->unread = a->unread ? 2 : 1;
}

void mbi_ahead_take(mambaint_session *s)
{
    struct mbi_ahead *a = s->ahead;

    go_on(s, a->id[0]);
    a->n_ids--;
    a->fed--;
    a->since++;
    memmove(a->id, a->id + 1, a->n_ids * sizeof(*a->id));
}

/* The copies to go back to, once all memories are where their conversations are. */
static int32_t copy_each(mambaint_session *const *s, size_t n, size_t steps, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = catch_up(s[i], err);
    for (size_t i = 0; rc >= 0 && steps > 1 && i < n; i++)
        rc = s[i]->set.backend->memory_copy(s[i]->spare, s[i]->memory, err);
    return rc;
}

/* What a session has of a batch of steps. */
static void take_batch(mambaint_session *s, int32_t fed, const int32_t *ids, size_t made,
                       size_t steps)
{
    struct mbi_ahead *a = s->ahead;

    go_on(s, fed);
    memcpy(a->id, ids, made * sizeof(*ids));
    a->n_ids = (uint32_t)made;
    a->fed = (uint32_t)made - 1;
    a->since = 1;
    if (steps == a->size)
        a->size = (uint32_t)mbi_min_size(2 * steps, MBI_DRAW_STEPS);
}

int32_t mbi_ahead_draw_each(mambaint_session *const *s, const int32_t *ids, size_t n, size_t steps,
                            mambaint_error *err)
{
    const struct mbi_tokenizer *t = s[0]->tokenizer;
    struct mbi_draw draw[MBI_GROUP];
    int32_t drawn[MBI_GROUP * MBI_DRAW_STEPS], rc;
    const struct mbi_draws draws = {
        draw, n, steps, {mbi_tokenizer_eot(t), mbi_tokenizer_role(t, MBI_ROLE_END)}};
    size_t made = 0;

    if ((rc = copy_each(s, n, steps, err)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        draw[i] = (struct mbi_draw){.memory = s[i]->memory,
                                    .rows = s[i]->ahead->rows,
                                    .pos = s[i]->talk->position,
                                    .id = ids[i],
                                    .sampler = &s[i]->set.sampler,
                                    .repeat_last = s[i]->set.repeat_last,
                                    .history = s[i]->talk->history};
    rc = s[0]->set.backend->draw(drawn, &made, s[0]->image, &draws, err);
    for (size_t i = 0; i < n; i++)
        if (rc >= 0)
            take_batch(s[i], ids[i], drawn + i * steps, made, steps);
        else if (steps > 1)
            mbi_session_swap_memory(s[i]);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming: pull pieces from a session until the answer is complete; states as files. */
#include "answer.h"
#include <stdlib.h>
#include <string.h>

#define PIECE 2048 /* always enough */

void answer_free(struct answer *a)
{
    free(a->text);
    free(a->ids);
    *a = (struct answer){0};
}

static int keep_text(struct answer *a, const char *piece, size_t n)
{
    if (a->cap - a->size < n) {
        const size_t cap = 2 * a->cap + PIECE;
        char *more = realloc(a->text, cap);

        if (!more)
            return fail_memory();
        a->text = more;
        a->cap = cap;
    }
    memcpy(a->text + a->size, piece, n);
    a->size += n;
    return CLI_DONE;
}

static int keep_id(struct answer *a, int32_t id)
{
    if (a->n_ids == a->cap_ids) {
        const size_t cap = 2 * a->cap_ids + 256;
        int32_t *more = realloc(a->ids, cap * sizeof(*more));

        if (!more)
            return fail_memory();
        a->ids = more;
        a->cap_ids = cap;
    }
    a->ids[a->n_ids++] = id;
    return CLI_DONE;
}

static int add_piece(struct answer *a, const char *piece, size_t n)
{
    if (!n)
        return CLI_DONE;
    a->last = piece[n - 1];
    if (!a->echo)
        return keep_text(a, piece, n);
    return fwrite(piece, 1, n, a->echo) == n && !fflush(a->echo) ? CLI_DONE : fail_output();
}

static unsigned long long position(const mambaint_session *session)
{
    char text[32] = "";

    mambaint_session_text(text, sizeof(text), NULL, session, "position");
    return strtoull(text, NULL, 10);
}

/* One step. *rc is the library's word on it; the token counts if it went into the state. */
static int step(int32_t *rc, struct answer *a, mambaint_session *session)
{
    const unsigned long long before = a->echo ? 0 : position(session);
    char piece[PIECE];
    mambaint_error err;
    size_t n;
    int32_t id;
    int status;

    if ((*rc = mambaint_session_next(piece, sizeof(piece), &n, session, &err)) < 0)
        return fail_error(*rc, &err);
    if ((status = add_piece(a, piece, n)) != CLI_DONE || a->echo)
        return status;
    if (position(session) == before || mambaint_session_token(&id, NULL, session) < 0)
        return CLI_DONE;
    return keep_id(a, id);
}

int answer_stream(struct answer *a, mambaint_session *session, long tokens)
{
    int32_t rc = MAMBAINT_OK;
    int status = CLI_DONE;

    for (long i = 0; i < tokens && rc == MAMBAINT_OK && status == CLI_DONE; i++)
        status = step(&rc, a, session);
    if (status == CLI_INTERRUPTED)
        snprintf(a->stop_reason, sizeof(a->stop_reason), "interrupted");
    else if (rc == MAMBAINT_END)
        mambaint_session_text(a->stop_reason, sizeof(a->stop_reason), NULL, session, "stop-reason");
    else
        snprintf(a->stop_reason, sizeof(a->stop_reason), "length");
    return status;
}

int session_save(mambaint_session *session, const char *path)
{
    mambaint_state *state = NULL;
    mambaint_error err;
    size_t need = 0;
    void *data = NULL;
    int32_t rc = mambaint_state_get(&state, session, &err);
    int status;

    if (rc < 0)
        return fail_error(rc, &err);
    mambaint_state_save(NULL, 0, &need, state);
    if (!(data = malloc(need)) || mambaint_state_save(data, need, &need, state) < 0)
        status = fail_memory();
    else if ((status = write_all(path, data, need)) == CLI_DONE)
        fprintf(stderr, "saved the state (%zu bytes) to %s\n", need, path);
    free(data);
    mambaint_state_free(state);
    return status;
}

int session_load(mambaint_session *session, const mambaint_model *model, const char *path)
{
    mambaint_state *state = NULL;
    mambaint_error err;
    size_t size;
    char *data = read_all(path, &size);
    int32_t rc;

    if (!data)
        return CLI_FAILED;
    if ((rc = mambaint_state_load(&state, model, data, size, &err)) >= 0)
        rc = mambaint_state_set(session, state, &err);
    mambaint_state_free(state);
    free(data);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

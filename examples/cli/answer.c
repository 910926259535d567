/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming: pull pieces from a session until the answer is complete; states as files. */
#include "answer.h"
#include <stdlib.h>

void answer_free(struct answer *a)
{
    free(a->text);
    free(a->ids);
    *a = (struct answer){0};
}

static bool keep_text(struct answer *a, const char *piece, size_t n)
{
    char *more = realloc(a->text, a->size + n + 1);

    if (!more)
        return false;
    a->text = more;
    for (size_t i = 0; i < n; i++)
        a->text[a->size++] = piece[i];
    a->text[a->size] = '\0';
    return true;
}

static bool keep_id(struct answer *a, int32_t id)
{
    int32_t *more = realloc(a->ids, (a->n_ids + 1) * sizeof(*a->ids));

    if (!more)
        return false;
    a->ids = more;
    a->ids[a->n_ids++] = id;
    return true;
}

int answer_stream(struct answer *a, mambaint_session *session, long tokens, FILE *echo)
{
    char piece[2048]; /* always enough */
    mambaint_error err;
    int32_t rc = MAMBAINT_OK, id, logprob;
    size_t n;

    a->stop_reason = "length";
    for (long i = 0; i < tokens && rc == MAMBAINT_OK; i++) {
        rc = mambaint_session_next(piece, sizeof(piece), &n, session, &err);
        if (rc < 0)
            break;
        if (rc == MAMBAINT_OK && mambaint_session_token(&id, &logprob, session) == MAMBAINT_OK &&
            !keep_id(a, id))
            return fail("out of memory");
        if (!keep_text(a, piece, n))
            return fail("out of memory");
        if (echo && n) {
            fwrite(piece, 1, n, echo);
            fflush(echo);
        }
    }
    if (rc == MAMBAINT_END)
        a->stop_reason = "end";
    if (rc == MAMBAINT_E_CANCELLED) {
        a->stop_reason = "interrupted";
        return CLI_INTERRUPTED;
    }
    return rc < 0 ? fail_error(&err) : CLI_DONE;
}

int session_save(mambaint_session *session, const char *path)
{
    mambaint_state *state = NULL;
    mambaint_error err;
    size_t need = 0;
    void *data = NULL;
    int status;

    if (mambaint_state_get(&state, session, &err) < 0)
        return fail_error(&err);
    mambaint_state_save(NULL, 0, &need, state);
    if (!(data = malloc(need)) || mambaint_state_save(data, need, &need, state) < 0)
        status = fail("out of memory");
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
    int status = CLI_DONE;

    if (!data)
        return CLI_FAILED;
    if (mambaint_state_load(&state, model, data, size, &err) < 0 ||
        mambaint_state_set(session, state, &err) < 0)
        status = fail_error(&err);
    mambaint_state_free(state);
    free(data);
    return status;
}

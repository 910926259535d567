/* SPDX-License-Identifier: Apache-2.0 */
/* An answer as it streams out of a session, and a session's state as a file. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "cli.h"

struct answer {
    char *text; /* NUL-terminated; NULL while empty */
    size_t size;
    int32_t *ids;
    size_t n_ids;
    const char *stop_reason; /* "end", "length", "interrupted" */
};

/* Pull at most `tokens` steps. Pieces go to `echo` as they come (NULL: nowhere). */
int answer_stream(struct answer *a, mambaint_session *session, long tokens, FILE *echo);
void answer_free(struct answer *a);

int session_save(mambaint_session *session, const char *path);
int session_load(mambaint_session *session, const mambaint_model *model, const char *path);

#endif

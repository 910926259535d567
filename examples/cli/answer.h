/* SPDX-License-Identifier: Apache-2.0 */
/* An answer as it streams out of a session, and a session's state as a file. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "cli.h"

struct answer {
    FILE *echo; /* where pieces go as they come; NULL: text and ids are kept instead */
    char *text;
    size_t size, cap;
    int32_t *ids; /* of the tokens that went into the state */
    size_t n_ids, cap_ids;
    char last;            /* byte of the text; 0 while there is none */
    char stop_reason[24]; /* the session's, or "length", "interrupted" */
};

/* Pull at most `tokens` steps. */
int answer_stream(struct answer *a, mambaint_session *session, long tokens);
void answer_free(struct answer *a);

/* The receipt of a session with the option record (receipt.c). */
int receipt_save(mambaint_session *session, const char *path);

int session_save(mambaint_session *session, const char *path);
int session_load(mambaint_session *session, const mambaint_model *model, const char *path);

#endif

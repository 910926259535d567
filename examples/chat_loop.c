/* SPDX-License-Identifier: Apache-2.0 */
/* A whole chat program: a line in, the answer out as it is made, until the input ends. */
#include <mambaint.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    mambaint_model *model = NULL;
    mambaint_session *chat = NULL;
    mambaint_error error = {0, "usage: chat_loop MODEL"};
    char line[4096], piece[256];
    size_t n;
    int32_t rc = -1;

    if (argc == 2)
        rc = mambaint_model_open(&model, NULL, argv[1], NULL, &error);
    if (rc >= 0)
        rc = mambaint_session_create(&chat, model, NULL, &error);
    while (rc >= 0 && fgets(line, sizeof(line), stdin)) {
        rc = mambaint_session_say(chat, MAMBAINT_ROLE_USER, line, strlen(line), &error);
        while (rc == MAMBAINT_OK) {
            rc = mambaint_session_next(piece, sizeof(piece), &n, chat, &error);
            if (rc >= 0)
                fwrite(piece, 1, n, stdout);
            fflush(stdout);
        }
        putchar('\n');
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", error.message);
    mambaint_session_free(chat);
    mambaint_model_unref(model);
    return rc < 0;
}

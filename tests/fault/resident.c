/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model keeps resident: no more than its file (laid out anew, so that the file's own pages
 * go back), for each session three states (the state, a kernel's copy of it, and the one to go back
 * to) and its buffers, and a constant. docs/performance.md names both.
 * Usage: resident PRESET FILE
 *   FILE  where the model is made; removed again
 * Status 77 and a sentence: the system does not say what a process keeps resident.
 */
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SESSIONS 3
#define BUFFERS ((double)(10 << 20)) /* of a session */
#define CONSTANT ((double)(24 << 20))

static void must(int32_t rc, const mambaint_error *err)
{
    if (rc >= 0)
        return;
    printf("%s\n", err->message);
    exit(1);
}

/* Bytes; negative if the system does not say. */
static double resident(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    double bytes = -1;

    while (file && bytes < 0 && fgets(line, sizeof(line), file))
        if (!strncmp(line, "Rss:", 4))
            bytes = 1024 * strtod(line + 4, NULL);
    if (file)
        fclose(file);
    return bytes;
}

static double state_size(mambaint_session *s)
{
    mambaint_error err = {0, ""};
    mambaint_state *state;
    size_t need;

    must(mambaint_state_get(&state, s, &err), &err);
    mambaint_state_save(NULL, 0, &need, state);
    mambaint_state_free(state);
    return (double)need;
}

/* A prompt of several chunks, then steps alone and together. */
static void run(mambaint_session *const s[SESSIONS])
{
    mambaint_error err = {0, ""};
    int32_t ids[200], status[SESSIONS];
    char piece[2048];
    size_t n;

    for (int i = 0; i < 200; i++)
        ids[i] = i % 250;
    for (int k = 0; k < SESSIONS; k++) {
        must(mambaint_session_feed(s[k], ids, 200, &err), &err);
        must(mambaint_session_next(piece, sizeof(piece), &n, s[k], &err), &err);
    }
    for (int i = 0; i < 8; i++)
        must(mambaint_session_next_many(status, s, SESSIONS, &err), &err);
}

static mambaint_options *preset_options(const char *preset)
{
    mambaint_error err = {0, "no memory"};
    mambaint_options *options;

    must(mambaint_options_create(&options), &err);
    must(mambaint_options_set(options, "preset", preset, &err), &err);
    return options;
}

int main(int argc, char **argv)
{
    const double before = resident();
    mambaint_session *s[SESSIONS];
    mambaint_options *options;
    mambaint_model *model;
    mambaint_error err = {0, ""};
    struct stat file;
    double grown, allowed;

    if (argc != 3) {
        printf("usage: resident PRESET FILE\n");
        return 2;
    }
    if (before < 0) {
        printf("SKIP: this system does not say what a process keeps resident\n");
        return 77;
    }
    options = preset_options(argv[1]);
    must(mambaint_model_synth(NULL, argv[2], options, &err), &err);
    mambaint_options_free(options);
    must(mambaint_model_open(&model, NULL, argv[2], NULL, &err), &err);
    for (int k = 0; k < SESSIONS; k++)
        must(mambaint_session_create(&s[k], model, NULL, &err), &err);
    run(s);
    if (stat(argv[2], &file) || remove(argv[2]))
        return 1;
    grown = resident() - before;
    allowed = (double)file.st_size + CONSTANT + SESSIONS * (3 * state_size(s[0]) + BUFFERS);
    printf("%.1f MiB resident, %.1f allowed: file %.1f, %d states of %.1f\n", grown / 1048576,
           allowed / 1048576, (double)file.st_size / 1048576, SESSIONS, state_size(s[0]) / 1048576);
    for (int k = 0; k < SESSIONS; k++)
        mambaint_session_free(s[k]);
    mambaint_model_unref(model);
    return grown > allowed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a long call: a bar for each on the terminal, and how long each took. */
#include "cli.h"
#include <string.h>
#include <sys/resource.h>

#define MOST_THREADS 256
#define ENTRY 64 /* bytes of JSON for a stage */

/* The time since a stage began is its own. */
static void end_stage(struct stages *s)
{
    size_t i = 0;

    while (i < s->n && strcmp(s->stage[i].name, s->now) != 0)
        i++;
    if (i == MOST_STAGES)
        return;
    if (i == s->n) {
        s->stage[i].name = s->now;
        s->stage[s->n++].seconds = 0;
    }
    s->stage[i].seconds += now_seconds() - s->begin;
}

void stages_end(struct stages *s)
{
    if (!s->now)
        return;
    progress_end(&s->bar);
    end_stage(s);
    s->now = NULL;
}

static void show(void *user, const char *stage, uint64_t done, uint64_t total)
{
    struct stages *s = user;

    if (!s->now || strcmp(s->now, stage) != 0) {
        stages_end(s);
        s->now = stage;
        s->begin = now_seconds();
        progress_begin(&s->bar, stage);
    }
    progress_show(&s->bar, (double)done, (double)total, "");
}

int stages_context(mambaint_context **out, struct stages *stages, const struct args *args)
{
    mambaint_context_setup setup = MAMBAINT_CONTEXT_SETUP_INIT;
    const char *text = args_text(args, "threads", "auto");
    long threads = MOST_THREADS;
    mambaint_error err;
    int32_t rc;

    if (strcmp(text, "auto") && !args_number(&threads, args, "threads", 1, 1, MOST_THREADS))
        return CLI_USAGE;
    setup.threads = (uint32_t)threads;
    setup.progress = show;
    setup.progress_user = stages;
    rc = mambaint_context_create(out, &setup, &err);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

void stages_json(struct json *j, const struct stages *s)
{
    char text[MOST_STAGES * ENTRY + 2] = "{";
    size_t n = 1;

    for (size_t i = 0; i < s->n; i++)
        n += (size_t)snprintf(text + n, ENTRY, "%s\"%.24s\": %.3f", i ? ", " : "", s->stage[i].name,
                              1e3 * s->stage[i].seconds);
    snprintf(text + n, sizeof(text) - n, "}");
    json_raw(j, "phases", text);
}

long long peak_bytes(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) ? 0 : 1024LL * usage.ru_maxrss;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error. */
#include "cli.h"
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ERASE_LINE "\r\033[K"

bool stderr_is_terminal(void) { return isatty(STDERR_FILENO); }

double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void time_text(char out[32], double seconds)
{
    const long s = seconds < 0 || seconds > 359999 ? 359999 : (long)(seconds + 0.5);

    if (s >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%02ld:%02ld", s / 60, s % 60);
}

/* A line that the next one replaces. One that wraps could not be erased, so it is cut. */
static void show_line(const char *line)
{
    struct winsize size;
    int width = 80;

    if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 1)
        width = size.ws_col;
    fprintf(stderr, ERASE_LINE "%.*s", width - 1, line);
    fflush(stderr);
}

void progress_begin(struct progress *p, const char *label)
{
    *p = (struct progress){label, now_seconds(), now_seconds(), false};
}

void progress_show(struct progress *p, double done, double total, const char *detail)
{
    const double now = now_seconds(), share = total > 0 ? done / total : 0;
    const bool terminal = stderr_is_terminal();
    char line[256], bar[21], left[32];

    if (now - p->start < 1 || now - p->last < (terminal ? 0.1 : 10))
        return;
    p->last = now;
    p->drawn = true;
    for (int i = 0; i < 20; i++)
        bar[i] = i < 20 * share ? '#' : '.';
    bar[20] = '\0';
    time_text(left, share > 0 ? (now - p->start) * (1 - share) / share : 359999);
    snprintf(line, sizeof(line), "%s [%s] %3.0f%%  %s left  %s", p->label, bar, 100 * share, left,
             detail);
    if (terminal)
        show_line(line);
    else
        fprintf(stderr, "%s\n", line);
}

void progress_end(struct progress *p)
{
    if (p->drawn && stderr_is_terminal())
        fputs(ERASE_LINE, stderr);
}

static void *show_time(void *arg)
{
    struct busy *b = arg;
    bool drawn = false;

    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        struct timespec until;
        char took[32], line[80];

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (!pthread_cond_timedwait(&b->wake, &b->lock, &until))
            continue;
        time_text(took, now_seconds() - b->start);
        snprintf(line, sizeof(line), "%s  %s", b->label, took);
        show_line(line);
        drawn = true;
    }
    pthread_mutex_unlock(&b->lock);
    if (drawn)
        fputs(ERASE_LINE, stderr);
    return NULL;
}

void busy_begin(struct busy *b, const char *label)
{
    *b = (struct busy){.label = label, .start = now_seconds()};
    if (!stderr_is_terminal())
        return;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
    b->running = !pthread_create(&b->thread, NULL, show_time, b); /* else it goes without */
}

void busy_end(struct busy *b)
{
    if (!b->running)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Progress bars and Ctrl-C. */
#include "cli.h"
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool stderr_is_terminal(void) { return isatty(STDERR_FILENO); }

double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(struct progress *p, const char *label)
{
    *p = (struct progress){label, now_seconds(), now_seconds(), false};
}

static void time_text(char out[32], double seconds)
{
    const long s = seconds < 0 || seconds > 359999 ? 359999 : (long)(seconds + 0.5);

    if (s >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%02ld:%02ld", s / 60, s % 60);
}

void progress_show(struct progress *p, double done, double total, const char *detail)
{
    const double now = now_seconds(), share = total > 0 ? done / total : 0;
    const bool terminal = stderr_is_terminal();
    char bar[21], left[32];

    if (now - p->start < 1 || now - p->last < (terminal ? 0.1 : 10))
        return;
    p->last = now;
    p->drawn = true;
    for (int i = 0; i < 20; i++)
        bar[i] = i < 20 * share ? '#' : '.';
    bar[20] = '\0';
    time_text(left, share > 0 ? (now - p->start) * (1 - share) / share : 359999);
    fprintf(stderr, "%s%s [%s] %3.0f%%  %s  %s left%s", terminal ? "\r\033[K" : "", p->label, bar,
            100 * share, detail, left, terminal ? "" : "\n");
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->drawn && stderr_is_terminal())
        fputs("\r\033[K", stderr);
}

static volatile sig_atomic_t interrupt_count;
static mambaint_session *volatile interrupt_session;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    if (interrupt_count++)
        _exit(CLI_INTERRUPTED);
    if (interrupt_session)
        mambaint_session_cancel(interrupt_session);
}

void interrupts_begin(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void interrupts_session(mambaint_session *session) { interrupt_session = session; }
bool interrupted(void) { return interrupt_count > 0; }
void interrupts_clear(void) { interrupt_count = 0; }

/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and its kin. A signal handler can reach nothing but variables of the file. */
#include "cli.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t count, holding, at_prompt, other_signal;
static mambaint_session *volatile running;
static const char *volatile told;

static void tell(const char *text)
{
    const ssize_t put = text ? write(STDERR_FILENO, text, strlen(text)) : 0;

    (void)put; /* a message that cannot be told is no reason to do anything else */
}

static void on_signal(int number)
{
    if (number != SIGINT)
        other_signal = 1;
    if (at_prompt) {
        count = 1;
        return;
    }
    if (!holding || count)
        _exit(CLI_INTERRUPTED);
    count = 1;
    tell(told);
    if (running)
        mambaint_session_cancel(running);
}

/* Without SA_RESTART, so that a read that waits for the user comes back. */
void interrupts_begin(void)
{
    struct sigaction action, old;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN) /* nohup stays in force */
        sigaction(SIGHUP, &action, NULL);
}

void interrupts_hold(const char *note)
{
    told = note;
    holding = 1;
}

void interrupts_session(mambaint_session *session) { running = session; }
void interrupts_at_prompt(bool on) { at_prompt = on; }
bool interrupted(void) { return count > 0; }
bool terminated(void) { return other_signal > 0; }
void interrupts_clear(void) { count = 0; }

/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and its kin. A signal handler can reach nothing but variables of the file. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t count, holding, at_prompt, other_signal;
static mambaint_session *volatile running;
static const char *volatile told;
static int wake[2] = {-1, -1}; /* a pipe: the handler may run on another thread than the waiting */

/* What cannot be written is no reason to do anything else. */
static void tell(int fd, const char *text)
{
    const ssize_t put = write(fd, text, strlen(text));

    (void)put;
}

static void on_signal(int number)
{
    if (number != SIGINT)
        other_signal = 1;
    if (at_prompt) {
        count = 1;
        tell(wake[1], "!");
        return;
    }
    if (!(holding || running) || count)
        _exit(CLI_INTERRUPTED);
    count = 1;
    if (told)
        tell(STDERR_FILENO, told);
    if (running)
        mambaint_session_cancel(running);
}

static void take(int number)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void interrupts_begin(void)
{
    struct sigaction old;

    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
        wake[0] = wake[1] = -1; /* then a signal is noticed with the next key */
    take(SIGINT);
    take(SIGTERM);
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN) /* nohup stays in force */
        take(SIGHUP);
}

void interrupts_hold(const char *note)
{
    told = note;
    holding = 1;
}

void interrupts_session(mambaint_session *session) { running = session; }

void interrupts_at_prompt(bool on) { at_prompt = on; }

static void drain(void)
{
    char bytes[64];

    while (read(wake[0], bytes, sizeof(bytes)) > 0)
        continue;
}

bool interrupts_wait_input(void)
{
    struct pollfd from[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = wake[0], .events = POLLIN}};

    while (!count && !other_signal) {
        const int ready = poll(from, 2, -1);

        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0 && from[0].revents && !count && !other_signal)
            return true;
        drain();
    }
    return false;
}

bool interrupted(void) { return count > 0; }
bool terminated(void) { return other_signal > 0; }
void interrupts_clear(void) { count = 0; }

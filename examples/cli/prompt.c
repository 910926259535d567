/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from a person at a terminal, with editing and history, or from a file or pipe. */
#include "prompt.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#if CLI_HAVE_LIBEDIT
#include <histedit.h>
#endif

struct prompt {
    bool terminal;
    char *line;
    size_t cap;
#if CLI_HAVE_LIBEDIT
    EditLine *edit;
    History *history;
#endif
};

static const char *const sign = "> ";

#if CLI_HAVE_LIBEDIT
static char *show_sign(EditLine *edit)
{
    static char text[] = "> ";

    (void)edit;
    return text;
}

static bool line_is_empty(EditLine *edit)
{
    const LineInfo *line = el_line(edit);

    return line->buffer == line->lastchar;
}

/* One byte of input; 0 at its end, -1 after a signal. A Ctrl-D that was typed before the line was
 * asked for reads as a zero byte, because it came while the terminal kept whole lines. */
static int read_byte(EditLine *edit, char *byte)
{
    ssize_t got;

    do
        got = interrupts_wait_input() ? read(STDIN_FILENO, byte, 1) : -1;
    while (got > 0 && !*byte && !line_is_empty(edit));
    return got > 0 && !*byte ? 0 : (int)got;
}

/* The library's own reader goes on after a signal; this one lets Ctrl-C through. Bytes that are no
 * character are passed over. */
static int read_character(EditLine *edit, wchar_t *out)
{
    mbstate_t state;
    char byte;
    int got;

    memset(&state, 0, sizeof(state));
    while ((got = read_byte(edit, &byte)) > 0) {
        const size_t n = mbrtowc(out, &byte, 1, &state);

        if (n == (size_t)-1)
            memset(&state, 0, sizeof(state));
        else if (n != (size_t)-2)
            return 1;
    }
    return got;
}

static bool editor_open(struct prompt *p)
{
    HistEvent event;

    p->edit = el_init("mambaint", stdin, stderr, stderr);
    p->history = history_init();
    if (!p->edit || !p->history)
        return false;
    history(p->history, &event, H_SETSIZE, 500);
    el_set(p->edit, EL_PROMPT, show_sign);
    el_set(p->edit, EL_EDITOR, "emacs");
    el_set(p->edit, EL_SIGNAL, 0);
    el_set(p->edit, EL_GETCFN, read_character);
    el_set(p->edit, EL_HIST, history, p->history);
    el_set(p->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    return true;
}

static void editor_close(struct prompt *p)
{
    if (p->history)
        history_end(p->history);
    if (p->edit)
        el_end(p->edit);
}

/* Bytes read into p->line; -1: none. */
static ssize_t edit_line(struct prompt *p)
{
    HistEvent event;
    int n = 0;
    const char *text = el_gets(p->edit, &n);

    if (!text || n <= 0)
        return -1;
    if (n > 1)
        history(p->history, &event, H_ENTER, text);
    free(p->line);
    p->line = strdup(text);
    return p->line ? n : -1;
}
#endif

struct prompt *prompt_open(bool terminal)
{
    struct prompt *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->terminal = terminal;
#if CLI_HAVE_LIBEDIT
    if (terminal && !editor_open(p)) {
        prompt_close(p);
        return NULL;
    }
#endif
    return p;
}

void prompt_close(struct prompt *p)
{
    if (!p)
        return;
#if CLI_HAVE_LIBEDIT
    editor_close(p);
#endif
    free(p->line);
    free(p);
}

/* One attempt; a signal ends it. */
static ssize_t read_once(struct prompt *p)
{
#if CLI_HAVE_LIBEDIT
    if (p->terminal)
        return edit_line(p);
#endif
    if (p->terminal) {
        fputs(sign, stderr);
        fflush(stderr);
        if (!interrupts_wait_input())
            return -1;
    }
    return getline(&p->line, &p->cap, stdin);
}

char *prompt_line(struct prompt *p, size_t *len)
{
    ssize_t n;

    interrupts_clear();
    if (p->terminal)
        interrupts_at_prompt(true);
    while ((n = read_once(p)) < 0 && interrupted() && !terminated()) {
        fputs("\n(Ctrl-D or /quit leaves)\n", stderr);
        interrupts_clear();
    }
    if (p->terminal)
        interrupts_at_prompt(false);
    if (n < 0 || terminated())
        return NULL;
    if (n && p->line[n - 1] == '\n')
        p->line[--n] = '\0';
    *len = (size_t)n;
    return p->line;
}

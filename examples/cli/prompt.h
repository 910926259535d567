/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from a person at a terminal, or from a file or pipe. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli.h"

struct prompt;

/* NULL if out of memory. On a terminal lines can be edited, if the build has libedit. */
struct prompt *prompt_open(bool terminal);
void prompt_close(struct prompt *p);

/* The next line without its end, NUL added behind, until the next call; NULL at the end of the
 * input or when a signal other than Ctrl-C came. On a terminal Ctrl-C drops the line. */
char *prompt_line(struct prompt *p, size_t *len);

#endif

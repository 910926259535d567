/* SPDX-License-Identifier: Apache-2.0 */
/* JSON out: the few shapes the tool prints. */
#include "cli.h"
#include <math.h>

static void key_text(struct json *j, const char *text, size_t len)
{
    fputc('"', j->to);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            fprintf(j->to, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", j->to);
        else if (c < 0x20 || c == 0x7f)
            fprintf(j->to, "\\u%04x", c);
        else
            fputc(c, j->to);
    }
    fputc('"', j->to);
}

static void member(struct json *j, const char *key)
{
    size_t len = 0;

    if (j->need_comma)
        fputs(", ", j->to);
    j->need_comma = true;
    while (key[len])
        len++;
    key_text(j, key, len);
    fputs(": ", j->to);
}

void json_open(struct json *j, FILE *to, const char *bracket)
{
    *j = (struct json){to, false};
    fputs(bracket, to);
}

void json_close(struct json *j, const char *bracket)
{
    fputs(bracket, j->to);
    fputc('\n', j->to);
    fflush(j->to);
}

void json_text(struct json *j, const char *key, const char *text, size_t len)
{
    member(j, key);
    key_text(j, text, len);
}

void json_number(struct json *j, const char *key, double value)
{
    member(j, key);
    if (isfinite(value))
        fprintf(j->to, "%.10g", value);
    else
        fputs("null", j->to);
}

void json_integer(struct json *j, const char *key, long long value)
{
    member(j, key);
    fprintf(j->to, "%lld", value);
}

void json_ids(struct json *j, const char *key, const int32_t *ids, size_t n)
{
    member(j, key);
    fputc('[', j->to);
    for (size_t i = 0; i < n; i++)
        fprintf(j->to, "%s%d", i ? ", " : "", ids[i]);
    fputc(']', j->to);
}

void json_bool(struct json *j, const char *key, bool value)
{
    member(j, key);
    fputs(value ? "true" : "false", j->to);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in: the values of a text, with their paths. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8
#define MAX_PATH 128
#define MAX_VALUE 256

struct reader {
    const char *p;
    int depth;
    char path[MAX_PATH];
    void (*take)(void *user, const char *path, const char *text);
    void *user;
};

static bool read_value(struct reader *r);

static void skip_space(struct reader *r) { r->p += strspn(r->p, " \t\r\n"); }

/* Is this the next character? Then it is taken, and white space on both sides. */
static bool next_is(struct reader *r, char c)
{
    skip_space(r);
    if (*r->p != c)
        return false;
    r->p++;
    skip_space(r);
    return true;
}

/* The space behind a quote belongs to the string. */
static bool string_begins(struct reader *r)
{
    skip_space(r);
    if (*r->p != '"')
        return false;
    r->p++;
    return true;
}

/* What an escape stands for; of \uXXXX what is no ASCII becomes '?'. 0: no escape. */
static char read_escape(struct reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = *r->p, *known = c ? strchr(from, c) : NULL;
    char hex[5] = "", *end;
    long code;

    if (c)
        r->p++;
    if (known)
        return to[known - from];
    if (c != 'u' || strspn(r->p, "0123456789abcdefABCDEF") < 4)
        return 0;
    memcpy(hex, r->p, 4);
    r->p += 4;
    code = strtol(hex, &end, 16);
    return code > 0 && code < 128 ? (char)code : '?';
}

/* The opening quote is taken already. */
static bool read_string(struct reader *r, char out[MAX_VALUE])
{
    size_t n = 0;

    while (*r->p != '"') {
        char c = *r->p;

        if ((unsigned char)c < ' ')
            return false;
        r->p++;
        if (c == '\\' && !(c = read_escape(r)))
            return false;
        if (n + 1 < MAX_VALUE)
            out[n++] = c;
    }
    out[n] = '\0';
    r->p++;
    return true;
}

/* A number, true, false or null, as it is spelled. */
static bool read_word(struct reader *r)
{
    const size_t len = strspn(r->p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
    char text[MAX_VALUE];

    if (!len || len >= sizeof(text))
        return false;
    memcpy(text, r->p, len);
    text[len] = '\0';
    r->p += len;
    r->take(r->user, r->path, text);
    return true;
}

/* Go into an object's member, or with a NULL key into a list's item, and out again. */
static bool read_inside(struct reader *r, const char *key, size_t index)
{
    const size_t len = strlen(r->path);
    char *end = r->path + len;
    const size_t room = sizeof(r->path) - len;
    const int n = key ? snprintf(end, room, "%s%s", len ? "." : "", key)
                      : snprintf(end, room, "[%zu]", index);
    const bool fine = n >= 0 && (size_t)n < room && read_value(r);

    *end = '\0';
    return fine;
}

static bool read_list(struct reader *r)
{
    size_t n = 0;

    if (next_is(r, ']'))
        return true;
    do {
        if (!read_inside(r, NULL, n++))
            return false;
    } while (next_is(r, ','));
    return next_is(r, ']');
}

static bool read_object(struct reader *r)
{
    char key[MAX_VALUE];

    if (next_is(r, '}'))
        return true;
    do {
        if (!string_begins(r) || !read_string(r, key) || !next_is(r, ':') ||
            !read_inside(r, key, 0))
            return false;
    } while (next_is(r, ','));
    return next_is(r, '}');
}

static bool read_value(struct reader *r)
{
    char text[MAX_VALUE];
    bool fine;

    if (r->depth == MAX_DEPTH)
        return false;
    r->depth++;
    if (next_is(r, '{')) {
        fine = read_object(r);
    } else if (next_is(r, '[')) {
        fine = read_list(r);
    } else if (string_begins(r)) {
        fine = read_string(r, text);
        if (fine)
            r->take(r->user, r->path, text);
    } else {
        fine = read_word(r);
    }
    r->depth--;
    return fine;
}

bool json_read(const char *json, void (*take)(void *user, const char *path, const char *text),
               void *user)
{
    struct reader r = {.p = json, .take = take, .user = user};
    const bool fine = read_value(&r);

    skip_space(&r);
    return fine && !*r.p;
}

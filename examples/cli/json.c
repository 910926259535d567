/* SPDX-License-Identifier: Apache-2.0 */
/* JSON out: the few shapes the tool prints. */
#include "cli.h"
#include <math.h>
#include <string.h>

/* Lowest and highest second byte for a first byte (RFC 3629), so that no surrogate, no overlong
 * form and nothing beyond U+10FFFF passes. */
static bool second_byte_ok(unsigned char first, unsigned char second)
{
    const unsigned char lo = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char hi = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return second >= lo && second <= hi;
}

/* Bytes of the character that begins here; 0 if it is none. */
static size_t character(const unsigned char *p, size_t len)
{
    const size_t n = p[0] < 0x80                   ? 1
                     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                   : 0;

    if (n > len || (n > 1 && !second_byte_ok(p[0], p[1])))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return n;
}

static void put_character(FILE *to, const unsigned char *p, size_t n)
{
    if (!n)
        fputs("\xef\xbf\xbd", to);
    else if (n > 1)
        fwrite(p, 1, n, to);
    else if (*p == '"' || *p == '\\')
        fprintf(to, "\\%c", *p);
    else if (*p == '\n')
        fputs("\\n", to);
    else if (*p < 0x20 || *p == 0x7f)
        fprintf(to, "\\u%04x", *p);
    else
        fputc(*p, to);
}

static void put_text(FILE *to, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;

    fputc('"', to);
    for (size_t i = 0; i < len;) {
        const size_t n = character(p + i, len - i);

        put_character(to, p + i, n);
        i += n ? n : 1;
    }
    fputc('"', to);
}

static void member(struct json *j, const char *key)
{
    if (j->need_comma)
        fputs(", ", j->to);
    j->need_comma = true;
    put_text(j->to, key, strlen(key));
    fputs(": ", j->to);
}

void json_open(struct json *j, FILE *to)
{
    *j = (struct json){to, false};
    fputc('{', to);
}

void json_close(struct json *j) { fputs("}\n", j->to); }

void json_text(struct json *j, const char *key, const char *text, size_t len)
{
    member(j, key);
    put_text(j->to, text, len);
}

void json_string(struct json *j, const char *key, const char *text)
{
    json_text(j, key, text ? text : "", text ? strlen(text) : 0);
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

void json_digests(struct json *j, const char *key, char (*hex)[65], size_t n)
{
    member(j, key);
    fputc('[', j->to);
    for (size_t i = 0; i < n; i++)
        fprintf(j->to, "%s\"%s\"", i ? ", " : "", hex[i]);
    fputc(']', j->to);
}

void json_raw(struct json *j, const char *key, const char *json)
{
    member(j, key);
    fputs(json ? json : "null", j->to);
}

void json_list(struct json *j, const char *key)
{
    member(j, key);
    fputc('[', j->to);
    j->need_comma = false;
}

void json_item(struct json *j)
{
    fputs(j->need_comma ? ", {" : "{", j->to);
    j->need_comma = false;
}

void json_item_end(struct json *j)
{
    fputc('}', j->to);
    j->need_comma = true;
}

void json_list_end(struct json *j)
{
    fputc(']', j->to);
    j->need_comma = true;
}

void json_bool(struct json *j, const char *key, bool value)
{
    member(j, key);
    fputs(value ? "true" : "false", j->to);
}

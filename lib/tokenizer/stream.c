/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of whole characters. */
#include "tokenizer/stream.h"
#include "base/intmath.h"
#include "base/utf8.h"
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct pieces {
    char *out;
    size_t cap, len; /* len may grow beyond cap; the text is then only measured */
};

static void put(struct pieces *p, const void *bytes, size_t n)
{
    if (n && p->len <= p->cap && n <= p->cap - p->len)
        memcpy(p->out + p->len, bytes, n);
    p->len += n;
}

/*
 * Characters that begin in what is held, with up to three of the n > 0 new bytes. Returns how many
 * bytes are used up; fewer than are held if even all new bytes do not finish the last character.
 */
static size_t add_held(struct pieces *p, const struct mbi_stream_text *s, const char *bytes,
                       size_t n)
{
    uint8_t all[6]; /* at most three bytes are held */
    const size_t n_all = s->n_held + mbi_min_size(n, 3);
    size_t pos = 0;

    memcpy(all, s->held, s->n_held);
    memcpy(all + s->n_held, bytes, n_all - s->n_held);
    while (pos < s->n_held) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, all + pos, n_all - pos);

        if (step < 0)
            break;
        if (step > 0)
            put(p, all + pos, (size_t)step);
        else
            put(p, REPLACEMENT, 3);
        pos += step > 0 ? (size_t)step : 1;
    }
    return pos;
}

/* The characters of text[0..n). Returns where an unfinished one begins, n if none does. */
static size_t add_whole(struct pieces *p, const uint8_t *text, size_t n)
{
    size_t begin = 0, pos = 0;
    int step = 1;

    while (pos < n && step >= 0) {
        uint32_t code;

        step = text[pos] < 128 ? 1 : mbi_utf8_decode(&code, text + pos, n - pos);
        if (step > 0) {
            pos += (size_t)step;
            continue;
        }
        put(p, text + begin, pos - begin);
        if (step == 0) {
            put(p, REPLACEMENT, 3);
            pos++;
        }
        begin = pos;
    }
    put(p, text + begin, pos - begin);
    return pos;
}

int32_t mbi_stream_text_add(struct mbi_stream_text *s, char *out, size_t cap, size_t *len,
                            const char *bytes, size_t n)
{
    struct pieces p = {out, cap, 0};
    size_t used, pos = 0;

    *len = 0;
    if (!n)
        return MAMBAINT_OK;
    used = add_held(&p, s, bytes, n);
    if (used >= s->n_held) {
        pos = used - s->n_held;
        pos += add_whole(&p, (const uint8_t *)bytes + pos, n - pos);
        used = s->n_held;
    }
    *len = p.len;
    if (p.len > cap)
        return MAMBAINT_E_SPACE;
    /* Kept is what is unfinished, fewer than four bytes: of the held ones, and of the new ones. */
    s->n_held -= used;
    memmove(s->held, s->held + used, s->n_held);
    memcpy(s->held + s->n_held, bytes + pos, n - pos);
    s->n_held += n - pos;
    return MAMBAINT_OK;
}

int32_t mbi_stream_text_end(struct mbi_stream_text *s, char *out, size_t cap, size_t *len)
{
    struct pieces p = {out, cap, 0};

    for (size_t i = 0; i < s->n_held; i++)
        put(&p, REPLACEMENT, 3);
    *len = p.len;
    if (p.len > cap)
        return MAMBAINT_E_SPACE;
    s->n_held = 0;
    return MAMBAINT_OK;
}

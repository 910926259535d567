/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of whole characters. */
#include "tokenizer/stream.h"
#include "base/utf8.h"
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct pieces {
    char *out;
    size_t cap, len; /* len may grow beyond cap; the text is then only measured */
};

static void put(struct pieces *p, const void *bytes, size_t n)
{
    if (p->len <= p->cap && n <= p->cap - p->len)
        memcpy(p->out + p->len, bytes, n);
    p->len += n;
}

/* The next up to four bytes of what is held followed by the new bytes. */
static size_t look(uint8_t window[4], const struct mbi_stream_text *s, const char *bytes, size_t n,
                   size_t pos)
{
    size_t k = 0;

    for (; k < 4 && pos + k < s->n_held + n; k++)
        window[k] = pos + k < s->n_held ? s->held[pos + k] : (uint8_t)bytes[pos + k - s->n_held];
    return k;
}

int32_t mbi_stream_text_add(struct mbi_stream_text *s, char *out, size_t cap, size_t *len,
                            const char *bytes, size_t n)
{
    struct pieces p = {out, cap, 0};
    uint8_t window[4] = {0};
    size_t pos = 0, k;

    while ((k = look(window, s, bytes, n, pos)) > 0) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, window, k);

        if (step < 0) /* unfinished, so fewer than four bytes are left */
            break;
        if (step > 0)
            put(&p, window, (size_t)step);
        else
            put(&p, REPLACEMENT, 3);
        pos += step > 0 ? (size_t)step : 1;
    }
    *len = p.len;
    if (p.len > cap)
        return MAMBAINT_E_SPACE;
    memcpy(s->held, window, k);
    s->n_held = k;
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

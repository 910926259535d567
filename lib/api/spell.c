/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, digests and the text of tokens, spelled for people and for JSON. */
#include "api/spell.h"
#include "base/utf8.h"

void mbi_spell_decimal(struct mbi_buf *out, int64_t v, int32_t frac)
{
    const uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v, one = (uint64_t)1 << frac;
    uint64_t rest = size & (one - 1);

    mbi_buf_addf(out, "%s%llu", v < 0 ? "-" : "", (unsigned long long)(size >> frac));
    if (rest)
        mbi_buf_add8(out, '.');
    for (; rest; rest &= one - 1) {
        rest *= 10; /* below 10 * 2^32 */
        mbi_buf_add8(out, (uint8_t)('0' + (rest >> frac)));
    }
}

void mbi_spell_digest(struct mbi_buf *out, const uint8_t digest[MBI_DIGEST_SIZE])
{
    char text[2 * MBI_DIGEST_SIZE + 1];

    mbi_hex(text, digest, MBI_DIGEST_SIZE);
    mbi_buf_add_text(out, text);
}

/* Of what a terminal or a reader could take for something else, its number: controls, what turns
 * the direction of writing, what cannot be seen. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
           c >= 0xe0000;
}

void mbi_spell_escaped(struct mbi_buf *out, const uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const int len = mbi_utf8_decode(&c, text + i, n - i);

        if (len <= 0)
            mbi_buf_addf(out, "\\x%02x", text[i]);
        else if (c == '\n')
            mbi_buf_add_text(out, "\\n");
        else if (c == '"' || c == '\\')
            mbi_buf_addf(out, "\\%c", (char)c);
        else if (is_hidden(c))
            mbi_buf_addf(out, "\\u{%x}", c);
        else
            mbi_buf_add(out, text + i, (size_t)len);
        i += len > 0 ? (size_t)len : 1;
    }
}

void mbi_spell_json(struct mbi_buf *out, const uint8_t *text, size_t n)
{
    mbi_buf_add8(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const int len = mbi_utf8_decode(&c, text + i, n - i);

        if (len <= 0)
            mbi_buf_add_text(out, "\\ufffd");
        else if (c == '"' || c == '\\')
            mbi_buf_addf(out, "\\%c", (char)c);
        else if (c < 0x20 || c == 0x7f)
            mbi_buf_addf(out, "\\u%04x", c);
        else
            mbi_buf_add(out, text + i, (size_t)len);
        i += len > 0 ? (size_t)len : 1;
    }
    mbi_buf_add8(out, '"');
}

/* ---- tokens ---- */

/* Ordinary tokens from i on give their bytes; *i becomes the next special one, or the end. */
static void add_ordinary(struct mbi_buf *out, const struct mbi_spelled *s, size_t *i,
                         const struct mbi_lexicon *t)
{
    const char *text;
    size_t len;
    bool special;

    for (; *i < s->n; ++*i) {
        if (!t->token(&text, &len, &special, t->of, mbi_spelled_id(s, *i)) || special)
            return;
        mbi_buf_add(out, text, len);
    }
}

/* Text in quotes, special tokens by their spelling outside of them. */
static void add_quoted(struct mbi_buf *out, const struct mbi_spelled *s,
                       const struct mbi_lexicon *t)
{
    struct mbi_buf part;

    mbi_buf_init(&part, out->host);
    for (size_t i = 0; i < s->n;) {
        const size_t before = i;
        const char *text = "";
        size_t len = 0;
        bool special;

        part.size = 0;
        add_ordinary(&part, s, &i, t);
        mbi_buf_add8(out, ' ');
        if (i > before) {
            mbi_buf_add8(out, '"');
            mbi_spell_escaped(out, part.data, part.size);
            mbi_buf_add8(out, '"');
        } else if (t->token(&text, &len, &special, t->of, mbi_spelled_id(s, i++))) {
            mbi_spell_escaped(out, (const uint8_t *)text, len);
        }
    }
    out->failed |= part.failed;
    mbi_buf_free(&part);
    mbi_buf_add8(out, '\n');
}

void mbi_spell_tokens(struct mbi_buf *out, const char *what, const struct mbi_spelled *s,
                      const struct mbi_lexicon *t)
{
    mbi_buf_addf(out, "%s, %zu token%s:", what, s->n, s->n == 1 ? "" : "s");
    for (size_t i = 0; i < s->n; i++)
        mbi_buf_addf(out, " %d", mbi_spelled_id(s, i));
    mbi_buf_add8(out, '\n');
    if (t) {
        mbi_buf_addf(out, "%s as text:", what);
        add_quoted(out, s, t);
    }
}

void mbi_spell_ids(struct mbi_buf *out, const struct mbi_spelled *s)
{
    for (size_t i = 0; i < s->n; i++)
        mbi_buf_addf(out, "%s%d", i ? ", " : "", mbi_spelled_id(s, i));
}

void mbi_spell_text(struct mbi_buf *out, const struct mbi_spelled *s, const struct mbi_lexicon *t)
{
    for (size_t i = 0; i < s->n; i++) /* one that is special, and on from there */
        add_ordinary(out, s, &i, t);
}

void mbi_spell_json_text(struct mbi_buf *out, const struct mbi_spelled *s,
                         const struct mbi_lexicon *t)
{
    struct mbi_buf text;

    if (!t) {
        mbi_buf_add_text(out, "null");
        return;
    }
    mbi_buf_init(&text, out->host);
    mbi_spell_text(&text, s, t);
    mbi_spell_json(out, text.data, text.size);
    out->failed |= text.failed;
    mbi_buf_free(&text);
}

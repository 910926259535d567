/* SPDX-License-Identifier: Apache-2.0 */
/* The two pre-tokenizers as scanners over code points. */
#include "tokenizer/pretokenize.h"
#include "base/utf8.h"
#include "tokenizer/unicode.h"

#define NO_CODE UINT32_MAX /* of an invalid byte and of the end of the text */
#define OTHER (MBI_CHAR_OTHER | MBI_CHAR_UNASSIGNED)
#define WORDLIKE (OTHER | MBI_CHAR_LETTER | MBI_CHAR_NUMBER)

struct text {
    const uint8_t *at;
    size_t n;
};

/* One character; past the end its length and class are zero. */
struct character {
    uint32_t code, class;
    size_t len;
};

static struct character character_at(const struct text *t, size_t pos)
{
    struct character c = {NO_CODE, 0, 0};
    int len;

    if (pos >= t->n)
        return c;
    len = mbi_utf8_decode(&c.code, t->at + pos, t->n - pos);
    if (len <= 0)
        return (struct character){NO_CODE, MBI_CHAR_OTHER, 1};
    c.class = mbi_unicode_class(c.code);
    c.len = (size_t)len;
    return c;
}

/* Where the run of characters of these classes that begins at pos ends. */
static size_t run(const struct text *t, size_t pos, uint32_t classes)
{
    for (;;) {
        const struct character c = character_at(t, pos);

        if (!(c.class & classes))
            return pos;
        pos += c.len;
    }
}

static bool is_newline(uint8_t b) { return b == '\n' || b == '\r'; }

/* Length of an English contraction at the start, or 0. `fold` takes either case. */
static size_t contraction(const struct text *t, bool fold)
{
    uint8_t a, b;

    if (t->n < 2 || t->at[0] != '\'')
        return 0;
    a = t->at[1];
    b = t->n > 2 ? t->at[2] : 0;
    if (fold && a == 0xc5 && b == 0xbf) /* U+017F, the long s: its folded form is s */
        return 3;
    if (fold) { /* bit 5 is the case of a letter, and makes no letter of anything else */
        a |= 32;
        b |= 32;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ where the text begins with a space: the last one belongs to what follows. */
static size_t spaces(const struct text *t)
{
    size_t pos = 0, last = 0;

    for (;;) {
        const struct character c = character_at(t, pos);

        if (!(c.class & MBI_CHAR_SPACE))
            return pos == t->n || last == 0 ? pos : last;
        last = pos;
        pos += c.len;
    }
}

/* \s*[\r\n]+ : up to the last line end of the spaces at the start, or 0. */
static size_t lines(const struct text *t)
{
    size_t end = run(t, 0, MBI_CHAR_SPACE);

    while (end > 0 && !is_newline(t->at[end - 1]))
        end--;
    return end;
}

static size_t piece_gpt2(const struct text *t)
{
    const struct character first = character_at(t, 0);
    const size_t length = contraction(t, false);
    size_t pos = 0;
    struct character c = first;

    if (length)
        return length;
    if (first.code == ' ') {
        c = character_at(t, 1);
        pos = 1;
    }
    if (!(c.class & WORDLIKE)) /* spaces, or one space at the end */
        return spaces(t);
    return run(t, pos, c.class & OTHER ? OTHER : c.class);
}

static size_t piece_cl100k(const struct text *t)
{
    const struct character first = character_at(t, 0);
    const struct character second = character_at(t, first.len);
    size_t pos = contraction(t, true);

    if (pos)
        return pos;
    if (first.class & MBI_CHAR_LETTER)
        return run(t, 0, MBI_CHAR_LETTER);
    if (first.class & MBI_CHAR_NUMBER) {
        pos = first.len;
        for (int i = 1; i < 3 && character_at(t, pos).class & MBI_CHAR_NUMBER; i++)
            pos += character_at(t, pos).len;
        return pos;
    }
    if (second.class & MBI_CHAR_LETTER && !is_newline(t->at[0]))
        return run(t, first.len, MBI_CHAR_LETTER);
    if (first.class & OTHER || (first.code == ' ' && second.class & OTHER)) {
        pos = run(t, first.len, OTHER);
        while (pos < t->n && is_newline(t->at[pos]))
            pos++;
        return pos;
    }
    pos = lines(t);
    return pos ? pos : spaces(t);
}

size_t mbi_pretokenize(enum mbi_pretokenizer pre, const char *text, size_t n)
{
    const struct text t = {(const uint8_t *)text, n};

    return pre == MBI_PRE_CL100K ? piece_cl100k(&t) : piece_gpt2(&t);
}

const char *mbi_pretokenizer_name(enum mbi_pretokenizer pre)
{
    return pre == MBI_PRE_CL100K ? "cl100k" : "gpt-2";
}

int mbi_pretokenizer_from_name(const char *name)
{
    for (int pre = MBI_PRE_GPT2; pre <= MBI_PRE_CL100K; pre++)
        if (!strcmp(name, mbi_pretokenizer_name((enum mbi_pretokenizer)pre)))
            return pre;
    return 0;
}

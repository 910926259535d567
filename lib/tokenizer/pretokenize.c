/* SPDX-License-Identifier: Apache-2.0 */
/* The two pre-tokenizers as scanners over code points. */
#include "tokenizer/pretokenize.h"
#include "base/bytes.h"
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

/* Class of a byte that is a character by itself, 0 for other bytes and behind the end. */
static uint32_t byte_class_at(const struct text *t, size_t pos)
{
    return pos < t->n ? mbi_byte_class[t->at[pos]] : 0;
}

static struct character wide_character_at(const struct text *t, size_t pos)
{
    struct character c = {NO_CODE, 0, 0};
    const int len = mbi_utf8_decode(&c.code, t->at + pos, t->n - pos);

    if (len <= 0)
        return (struct character){NO_CODE, MBI_CHAR_OTHER, 1};
    c.class = mbi_unicode_class(c.code);
    c.len = (size_t)len;
    return c;
}

static struct character character_at(const struct text *t, size_t pos)
{
    if (pos >= t->n)
        return (struct character){NO_CODE, 0, 0};
    if (t->at[pos] < 128)
        return (struct character){t->at[pos], mbi_byte_class[t->at[pos]], 1};
    return wide_character_at(t, pos);
}

/*
 * Where the run of characters of these classes goes on, from a byte that is none by itself. The
 * letters of one script follow each other in the table, so one look finds many of them.
 */
static size_t wide_run(const struct text *t, size_t pos, uint32_t classes)
{
    struct mbi_char_range range = {1, 0, 0};

    while (pos < t->n && t->at[pos] >= 128) {
        uint32_t code;
        const int len = mbi_utf8_decode(&code, t->at + pos, t->n - pos);

        if (len > 0 && (code < range.first || code > range.last))
            range = mbi_unicode_range(code);
        if (!((len > 0 ? range.class : MBI_CHAR_OTHER) & classes))
            break;
        pos += len > 0 ? (size_t)len : 1;
    }
    return pos;
}

/*
 * How many of eight bytes, the lowest first, are ASCII letters before one is not. The sums stay
 * below 256 in every byte: 0x7f + 0x1f and 0x7f + 0x05.
 */
static size_t leading_letters(uint64_t x)
{
    const uint64_t each = 0x0101010101010101u;
    const uint64_t small = (x | 0x20 * each) & 0x7f * each;
    const uint64_t from_a = small + (0x80 - 'a') * each, past_z = small + (0x7f - 'z') * each;
    const uint64_t other = ~(from_a & ~past_z & ~x) & 0x80 * each;
    const uint64_t below = (other & (~other + 1)) - 1; /* the bits under the first 0x80 */

    return other ? (size_t)(((below & each) * each) >> 56) - 1 : 8;
}

/* Where the run of characters of these classes that begins at pos ends. */
static size_t run(const struct text *t, size_t pos, uint32_t classes)
{
    for (;;) {
        size_t end = 8;

        if (classes == MBI_CHAR_LETTER)
            for (; end == 8 && t->n - pos >= 8; pos += end)
                end = leading_letters(mbi_load64(t->at + pos));
        while (byte_class_at(t, pos) & classes)
            pos++;
        if (pos == t->n || t->at[pos] < 128 || (end = wide_run(t, pos, classes)) == pos)
            return pos;
        pos = end;
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
    const size_t pos = t->at[0] == ' ' ? 1 : 0;
    uint32_t class = byte_class_at(t, pos);
    size_t length;

    if (class == MBI_CHAR_LETTER) /* most pieces of most texts */
        return run(t, pos, MBI_CHAR_LETTER);
    if ((length = contraction(t, false)) > 0)
        return length;
    class = character_at(t, pos).class;
    if (!(class & WORDLIKE)) /* spaces, or one space at the end */
        return spaces(t);
    return run(t, pos, class & OTHER ? OTHER : class);
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

/*
 * Before a space behind an ASCII letter: a piece that holds a letter goes on with letters or not at
 * all, and no alternative looks at what follows a letter.
 */
size_t mbi_pretokenize_cut(const char *text, size_t begin, size_t n)
{
    for (size_t i = begin; i < n; i++)
        if (text[i] == ' ' && i > 0 && mbi_byte_class[(uint8_t)text[i - 1]] == MBI_CHAR_LETTER)
            return i;
    return n;
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

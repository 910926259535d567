/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from text without floats or locales, and how alike two words are. */
#include "base/text.h"
#include "base/intmath.h"
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits up to the first other character, which *end receives. False without one or above max. */
static bool parse_digits(uint64_t *out, const char **end, const char *text, uint64_t max)
{
    uint64_t v = 0;

    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++) {
        const uint64_t digit = (uint64_t)(*text - '0');

        if (v > max / 10 || digit > max - 10 * v)
            return false;
        v = 10 * v + digit;
    }
    *out = v;
    *end = text;
    return true;
}

bool mbi_parse_u64(uint64_t *out, const char *text)
{
    const char *end;
    uint64_t v;

    if (!parse_digits(&v, &end, text, UINT64_MAX) || *end)
        return false;
    *out = v;
    return true;
}

bool mbi_parse_i64(int64_t *out, const char *text)
{
    const bool negative = *text == '-';
    const uint64_t max = (uint64_t)INT64_MAX + negative;
    const char *end;
    uint64_t v;

    if (!parse_digits(&v, &end, text + negative, max) || *end)
        return false;
    /* -(2^63) has no positive twin, hence the detour by one. */
    *out = negative && v ? -(int64_t)(v - 1) - 1 : (int64_t)v;
    return true;
}

#define MAX_FRAC 60

/*
 * The decimals at `text` times 2^bits: *floor, and whether anything is left below it. A multiple
 * of 2^-bits has at most `bits` decimals, so that further decimals matter only as "not zero".
 * *end receives what follows them.
 */
static bool parse_decimals(uint64_t *floor, bool *rest, const char **end, const char *text,
                           int bits)
{
    const size_t n = strspn(text, "0123456789");
    uint8_t digit[MAX_FRAC + 1] = {0};

    *floor = 0;
    *rest = false;
    *end = text + n;
    if (!n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (i < (size_t)bits)
            digit[i] = (uint8_t)(text[i] - '0');
        else
            *rest |= text[i] != '0';
    }
    for (int b = 0; b < bits; b++) { /* twice the decimals; the carry is the next bit */
        int carry = 0;

        for (int i = bits - 1; i >= 0; i--) {
            const int v = 2 * digit[i] + carry;

            carry = v >= 10;
            digit[i] = (uint8_t)(v - 10 * carry);
        }
        *floor = 2 * *floor + (uint64_t)carry;
    }
    for (int i = 0; i < bits; i++)
        *rest |= digit[i] != 0;
    return true;
}

bool mbi_parse_fixed_part(int64_t *out, const char **end, const char *text, int frac)
{
    const bool negative = *text == '-';
    const int bits = frac + 1; /* one more, to round by */
    uint64_t whole = 0, low = 0;
    bool rest = false;

    if (frac < 0 || frac > MAX_FRAC)
        return false;
    *end = text + negative;
    if (**end != '.' && !parse_digits(&whole, end, *end, (uint64_t)INT64_MAX >> bits))
        return false;
    if (**end == '.' && !parse_decimals(&low, &rest, end, *end + 1, bits))
        return false;
    /* x = |value| * 2^bits lies in [m, m + 1); halves go up, so towards zero if negative. */
    const uint64_t m = (whole << bits) + low;

    *out = negative ? -(int64_t)((m + rest) >> 1) : (int64_t)((m + 1) >> 1);
    return true;
}

bool mbi_parse_fixed(int64_t *out, const char *text, int frac)
{
    const char *end;
    int64_t v;

    if (!mbi_parse_fixed_part(&v, &end, text, frac) || *end)
        return false;
    *out = v;
    return true;
}

static char key_char(char c) { return c == '_' ? '-' : c; }

bool mbi_key_equal(const char *a, const char *b)
{
    while (*a && key_char(*a) == key_char(*b))
        a++, b++;
    return key_char(*a) == key_char(*b);
}

#define MAX_WORD 64

/* One row of the usual table; words longer than MAX_WORD count as wholly different. */
size_t mbi_edit_distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    size_t row[MAX_WORD + 1];

    if (n > MAX_WORD || m > MAX_WORD)
        return mbi_max_size(n, m);
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t replace = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = mbi_min_size(replace, mbi_min_size(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

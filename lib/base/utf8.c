/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 by the table of RFC 3629, section 4. */
#include "base/utf8.h"

/*
 * Length of a character by its first byte, 0 if none starts so, and the range of the second
 * byte, which is what excludes overlong forms, surrogates and values above U+10FFFF.
 */
static int character_length(uint8_t first, uint8_t *lo, uint8_t *hi)
{
    *lo = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *hi = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

int mbi_utf8_decode(uint32_t *code, const uint8_t *text, size_t n)
{
    uint8_t lo, hi;
    int length;
    uint32_t c;

    if (!n)
        return -1;
    length = character_length(text[0], &lo, &hi);
    if (length < 2) {
        *code = text[0];
        return length;
    }
    c = text[0] & (0x7Fu >> length);
    for (int i = 1; i < length; i++) {
        if ((size_t)i == n)
            return -1;
        if (text[i] < lo || text[i] > hi)
            return 0;
        c = c << 6 | (text[i] & 0x3Fu);
        lo = 0x80;
        hi = 0xBF;
    }
    *code = c;
    return length;
}

/* What is no code point of Unicode is written as U+FFFD, so that the result is always valid. */
size_t mbi_utf8_encode(uint8_t out[4], uint32_t code)
{
    size_t n;

    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        code = 0xFFFD;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((0xF00u >> n & 0xF0) | code);
    return n;
}

size_t mbi_utf8_whole(const uint8_t *text, size_t n)
{
    uint32_t code;

    for (size_t back = 1; back <= 3 && back <= n; back++)
        if (mbi_utf8_decode(&code, text + n - back, back) == -1)
            return n - back;
    return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as printable text and back. */
#include "tokenizer/spelling.h"
#include "base/utf8.h"

#define FIRST_MOVED 0x100u
/* The three groups of bytes that do not stand for themselves: 00-20, 7f-a0, ad. */
#define GROUP1 0x21u           /* size of the first group */
#define GROUP2 (0xa1u - 0x7fu) /* size of the second */

static uint32_t code_of_byte(uint8_t b)
{
    if (b < GROUP1)
        return FIRST_MOVED + b;
    if (b >= 0x7f && b < 0xa1)
        return FIRST_MOVED + GROUP1 + (b - 0x7fu);
    return b == 0xad ? FIRST_MOVED + GROUP1 + GROUP2 : b;
}

/* The byte a code point stands for, or -1. */
static int byte_of_code(uint32_t code)
{
    const uint32_t moved = code - FIRST_MOVED;

    if (code < FIRST_MOVED)
        return code_of_byte((uint8_t)code) == code ? (int)code : -1;
    if (moved < GROUP1)
        return (int)moved;
    if (moved < GROUP1 + GROUP2)
        return (int)(moved - GROUP1 + 0x7f);
    return moved == GROUP1 + GROUP2 ? 0xad : -1;
}

size_t mbi_spell(char *out, const uint8_t *raw, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += mbi_utf8_encode((uint8_t *)out + len, code_of_byte(raw[i]));
    return len;
}

size_t mbi_unspell(uint8_t *out, const char *text, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n;) {
        uint32_t code;
        const int step = mbi_utf8_decode(&code, (const uint8_t *)text + i, n - i);
        const int byte = step > 0 ? byte_of_code(code) : -1;

        if (byte < 0)
            return SIZE_MAX;
        out[len++] = (uint8_t)byte;
        i += (size_t)step;
    }
    return len;
}

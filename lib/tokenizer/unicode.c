/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up the class of a code point. */
#include "tokenizer/unicode.h"

static uint32_t ascii_class(uint32_t code)
{
    if ((code | 32) - 'a' < 26)
        return MBI_CHAR_LETTER;
    if (code - '0' < 10)
        return MBI_CHAR_NUMBER;
    return code == ' ' || code - '\t' < 5 ? MBI_CHAR_SPACE : MBI_CHAR_OTHER;
}

uint32_t mbi_unicode_class(uint32_t code)
{
    size_t lo = 0, hi = mbi_unicode_table_size;

    if (code < 128)
        return ascii_class(code);
    if (code > 0x10ffff)
        return MBI_CHAR_UNASSIGNED;
    while (hi - lo > 1) { /* the entry sought is in [lo, hi) */
        const size_t mid = lo + (hi - lo) / 2;

        if (mbi_unicode_table[mid] >> 3 <= code)
            lo = mid;
        else
            hi = mid;
    }
    return 1u << (mbi_unicode_table[lo] & 7);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up the class of a code point. */
#include "tokenizer/unicode.h"

#define O MBI_CHAR_OTHER
#define L MBI_CHAR_LETTER
#define N MBI_CHAR_NUMBER
#define S MBI_CHAR_SPACE

/* clang-format off */
const uint8_t mbi_byte_class[256] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, /* the controls 09 to 0D */
    O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};
/* clang-format on */

struct mbi_char_range mbi_unicode_range(uint32_t code)
{
    const uint32_t block = code / MBI_UNICODE_BLOCK;
    size_t lo = mbi_unicode_index[MBI_UNICODE_INDEXED / MBI_UNICODE_BLOCK];
    size_t hi = mbi_unicode_table_size;

    if (code > 0x10ffff)
        return (struct mbi_char_range){0x110000, UINT32_MAX, MBI_CHAR_UNASSIGNED};
    if (code < MBI_UNICODE_INDEXED) {
        lo = mbi_unicode_index[block];
        hi = mbi_unicode_index[block + 1] + 1u;
    }
    while (hi - lo > 1) { /* the entry sought is in [lo, hi) */
        const size_t mid = lo + (hi - lo) / 2;

        if (mbi_unicode_table[mid] >> 3 <= code)
            lo = mid;
        else
            hi = mid;
    }
    return (struct mbi_char_range){
        .first = mbi_unicode_table[lo] >> 3,
        .last = hi < mbi_unicode_table_size ? (mbi_unicode_table[hi] >> 3) - 1 : 0x10ffff,
        .class = 1u << (mbi_unicode_table[lo] & 7),
    };
}

uint32_t mbi_unicode_class(uint32_t code)
{
    return code < 128 ? mbi_byte_class[code] : mbi_unicode_range(code).class;
}

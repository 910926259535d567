/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of code points for the pre-tokenizers, from a generated table of one Unicode version. */
#ifndef MBI_TOKENIZER_UNICODE_H
#define MBI_TOKENIZER_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* Bits, so that a set of classes is one number. */
#define MBI_CHAR_OTHER 1u       /* assigned, none of the next three; invalid bytes count here too */
#define MBI_CHAR_LETTER 2u      /* general category L */
#define MBI_CHAR_NUMBER 4u      /* general category N */
#define MBI_CHAR_SPACE 8u       /* property White_Space */
#define MBI_CHAR_UNASSIGNED 16u /* general category Cn */

#define MBI_UNICODE_VERSION "14.0.0"

/* Class of a code point, one bit. Above U+10FFFF: unassigned. */
uint32_t mbi_unicode_class(uint32_t code);

/* Classes of the bytes below 128, which are characters by themselves; 0 for the others. */
extern const uint8_t mbi_byte_class[256];

/* The code points around one that have its class and no other between them. */
struct mbi_char_range {
    uint32_t first, last, class;
};
struct mbi_char_range mbi_unicode_range(uint32_t code);

/*
 * The table, written by unicode_table.py: sorted entries code << 3 | k, where class 1 << k holds
 * from `code` up to the next entry. The first entry has code 0.
 */
extern const uint32_t mbi_unicode_table[];
extern const size_t mbi_unicode_table_size;

/*
 * For each block of codes below MBI_UNICODE_INDEXED, and for the first code behind them, the number
 * of the entry that holds the block's first code.
 */
#define MBI_UNICODE_BLOCK 128u
#define MBI_UNICODE_INDEXED 0x20000u
extern const uint16_t mbi_unicode_index[];

#endif

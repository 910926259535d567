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

/*
 * The table, written by unicode_table.py: sorted entries code << 3 | k, where class 1 << k holds
 * from `code` up to the next entry. The first entry has code 0.
 */
extern const uint32_t mbi_unicode_table[];
extern const size_t mbi_unicode_table_size;

#endif

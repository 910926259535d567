/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 defines it: no surrogates, no overlong forms, at most U+10FFFF. */
#ifndef MBI_BASE_UTF8_H
#define MBI_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decode the character at text[0..n). Returns its length in bytes (1 to 4) and stores the code
 * point; returns 0 if the bytes are no character (then one byte is to be taken as it is);
 * returns -1 if they are a proper prefix of one and more bytes could complete it.
 */
int mbi_utf8_decode(uint32_t *code, const uint8_t *text, size_t n);

/* Write a code point as UTF-8 and return the number of bytes, 1 to 4. */
size_t mbi_utf8_encode(uint8_t out[4], uint32_t code);

/* Length of the longest prefix of text that does not end inside an unfinished character. */
size_t mbi_utf8_whole(const uint8_t *text, size_t n);

#endif

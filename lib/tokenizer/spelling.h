/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte spelling of GPT-2: every byte has a printable code point, so that tokens which are any
 * bytes can be stored as text. Bytes 21-7e, a1-ac and ae-ff stand for themselves; the other 68
 * take U+0100 .. U+0143 in their order.
 */
#ifndef MBI_TOKENIZER_SPELLING_H
#define MBI_TOKENIZER_SPELLING_H

#include <stddef.h>
#include <stdint.h>

/* Spell n bytes; writes at most 2 n characters and returns how many. No NUL is added. */
size_t mbi_spell(char *out, const uint8_t *raw, size_t n);

/* Back to bytes; writes at most n bytes. SIZE_MAX if the text is not a spelling. */
size_t mbi_unspell(uint8_t *out, const char *text, size_t n);

#endif

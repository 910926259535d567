/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting text into the pieces that byte-pair encoding works on, as the two published regular
 * expressions do:
 *
 *   gpt-2   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   cl100k  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 *            ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * Bytes that are no UTF-8 are characters of their own that are neither space, letter nor number.
 */
#ifndef MBI_TOKENIZER_PRETOKENIZE_H
#define MBI_TOKENIZER_PRETOKENIZE_H

#include "tokenizer/tokenizer.h"

/*
 * Length of the first piece of text[0..n), n > 0; at least 1. All pieces of a text together cost
 * linear time: no character is looked at more than a fixed number of times.
 */
size_t mbi_pretokenize(enum mbi_pretokenizer pre, const char *text, size_t n);

/*
 * The first place from `begin` on where every pre-tokenizer begins a piece whatever surrounds it,
 * so that the texts before and behind it have the same pieces apart as together; n if there is
 * none.
 */
size_t mbi_pretokenize_cut(const char *text, size_t begin, size_t n);

/* The stored name, "gpt-2" or "cl100k", and back; 0 for an unknown name. */
const char *mbi_pretokenizer_name(enum mbi_pretokenizer pre);
int mbi_pretokenizer_from_name(const char *name);

#endif

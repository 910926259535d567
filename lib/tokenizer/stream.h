/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to pieces of whole characters: a token may end inside a character, and the piece then ends
 * before it. A piece is always valid UTF-8. The state has a fixed size and no pointers, so that a
 * session can save it.
 */
#ifndef MBI_TOKENIZER_STREAM_H
#define MBI_TOKENIZER_STREAM_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

struct mbi_stream_text {
    uint8_t held[8]; /* the beginning of a character, at most 3 bytes */
    size_t n_held;
};

/* Largest piece for n bytes: each held or new byte may become U+FFFD, three bytes. */
#define MBI_STREAM_MAX(n) (3 * ((n) + 3))

/*
 * Add the n bytes of a token, and store in out[0..*len) the text that is now whole. A byte that is
 * no part of a character becomes U+FFFD. E_SPACE if the text is longer than cap: *len is then the
 * size needed and nothing has changed.
 */
int32_t mbi_stream_text_add(struct mbi_stream_text *s, char *out, size_t cap, size_t *len,
                            const char *bytes, size_t n);

/* The end: what is held becomes U+FFFD, one for each byte. E_SPACE as above; 9 bytes always do. */
int32_t mbi_stream_text_end(struct mbi_stream_text *s, char *out, size_t cap, size_t *len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting words. Words are kept in a crit-bit tree, so that the time is linear in the bytes
 * whatever they are; a small table of recent words in front makes usual text fast.
 */
#ifndef MBI_TOKENIZER_WORDS_H
#define MBI_TOKENIZER_WORDS_H

#include "base/bytes.h"

struct mbi_word {
    size_t begin; /* offset into bytes */
    uint32_t len;
    uint64_t count;
};

struct mbi_word_node; /* both private to words.c */
struct mbi_recent_word;

struct mbi_words {
    const struct mbi_host *host;
    struct mbi_buf bytes; /* of all words */
    struct mbi_word *word;
    struct mbi_word_node *node; /* one less than words */
    uint32_t n, cap, root;
    struct mbi_recent_word *recent;
};

/* False if memory is refused; free is right in either case. */
bool mbi_words_init(struct mbi_words *w, const struct mbi_host *host);
void mbi_words_free(struct mbi_words *w);

/*
 * Count `times` occurrences of text[0..len), 0 < len < 2^32; `room` >= len bytes may be read there.
 * False if memory is refused; nothing is counted then.
 */
bool mbi_words_add(struct mbi_words *w, const uint8_t *text, size_t len, size_t room,
                   uint64_t times);

static inline const uint8_t *mbi_word_bytes(const struct mbi_words *w, uint32_t i)
{
    return w->bytes.data + w->word[i].begin;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short words as two numbers, so that tables of words compare and hash them at once: the bytes of
 * the word, lowest first, zeros behind them, and the length in the highest byte. No two words have
 * the same key, and none has the key 0, 0.
 */
#ifndef MBI_TOKENIZER_WORD_KEY_H
#define MBI_TOKENIZER_WORD_KEY_H

#include "base/bytes.h"

#define MBI_WORD_KEY_MAX 15u /* bytes of the longest word that has a key */

struct mbi_word_key {
    uint64_t low, high;
};

/* Of text[0..n), 1 <= n <= MBI_WORD_KEY_MAX. As many as `room` bytes, at least n, may be read. */
static inline struct mbi_word_key mbi_word_key(const uint8_t *text, size_t n, size_t room)
{
    struct mbi_word_key key;
    uint8_t padded[16] = {0};

    if (room < sizeof(padded)) {
        memcpy(padded, text, n);
        text = padded;
    }
    key.low = mbi_load64(text);
    key.high = mbi_load64(text + 8);
    if (n < 8)
        key.low &= ((uint64_t)1 << 8 * n) - 1;
    key.high &= n > 8 ? ((uint64_t)1 << 8 * (n - 8)) - 1 : 0;
    key.high |= (uint64_t)n << 56;
    return key;
}

static inline bool mbi_word_key_equal(const struct mbi_word_key *x, const struct mbi_word_key *y)
{
    return x->low == y->low && x->high == y->high;
}

/* The upper `bits` bits are well mixed. Words can be found that collide: tables must bear that. */
static inline uint64_t mbi_word_key_hash(const struct mbi_word_key *key)
{
    return (key->low * 0x9e3779b97f4a7c15u + key->high) * 0xd6e8feb86659fd93u;
}

#endif

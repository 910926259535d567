/* SPDX-License-Identifier: Apache-2.0 */
/* Words and how often each occurs. */
#include "tokenizer/words.h"
#include "base/intmath.h"
#include "tokenizer/word_key.h"

#define RECENT_BITS 15   /* of the table of recent words, 768 KiB */
#define LEAF 0x80000000u /* a child that is a word, not a node */

/* Words that have a key; longer ones are rare. */
struct mbi_recent_word {
    struct mbi_word_key key;
    uint32_t word;
};

/*
 * A word is read as 9-bit symbols: 256 + byte, and zeros after its end, so that no word is a prefix
 * of another. A node tells its two subtrees apart by one bit, the first in which they differ.
 */
struct mbi_word_node {
    uint32_t at;   /* which symbol */
    uint32_t mask; /* which bit of it */
    uint32_t child[2];
};

static uint32_t symbol(const uint8_t *text, size_t len, size_t at)
{
    return at < len ? 0x100u | text[at] : 0;
}

bool mbi_words_init(struct mbi_words *w, const struct mbi_host *host)
{
    *w = (struct mbi_words){.host = host};
    mbi_buf_init(&w->bytes, host);
    w->recent = mbi_alloc(host, (size_t)1 << RECENT_BITS, sizeof(*w->recent));
    return w->recent != NULL;
}

void mbi_words_free(struct mbi_words *w)
{
    mbi_buf_free(&w->bytes);
    mbi_free(w->host, w->word);
    mbi_free(w->host, w->node);
    mbi_free(w->host, w->recent);
}

static bool make_room(struct mbi_words *w)
{
    const uint32_t cap = w->cap ? 2 * w->cap : 4096;
    struct mbi_word *word;
    struct mbi_word_node *node;

    if (w->n < w->cap)
        return true;
    if (w->cap >= LEAF / 2 || !(word = mbi_realloc(w->host, w->word, cap, sizeof(*word))))
        return false;
    w->word = word;
    if (!(node = mbi_realloc(w->host, w->node, cap, sizeof(*node))))
        return false;
    w->node = node;
    w->cap = cap;
    return true;
}

/* Store a new word. Its number is w->n before the call. */
static bool store(struct mbi_words *w, const uint8_t *text, size_t len, uint64_t times)
{
    if (!make_room(w) || !mbi_buf_reserve(&w->bytes, len)) {
        w->bytes.failed = false; /* refused now is not refused for ever */
        return false;
    }
    w->word[w->n++] = (struct mbi_word){w->bytes.size, (uint32_t)len, times};
    mbi_buf_add(&w->bytes, text, len);
    return true;
}

static uint32_t side(const struct mbi_word_node *node, const uint8_t *text, size_t len)
{
    return (symbol(text, len, node->at) & node->mask) != 0;
}

/* The one word that can be equal to the text. */
static uint32_t closest(const struct mbi_words *w, const uint8_t *text, size_t len)
{
    uint32_t at = w->root;

    while (!(at & LEAF))
        at = w->node[at].child[side(&w->node[at], text, len)];
    return at & ~LEAF;
}

static bool is_word(const struct mbi_words *w, uint32_t i, const uint8_t *text, size_t len)
{
    return w->word[i].len == len && !memcmp(mbi_word_bytes(w, i), text, len);
}

/* Where two different words part: the symbol, and its highest bit that differs. */
static struct mbi_word_node parting(const struct mbi_words *w, uint32_t other, const uint8_t *text,
                                    size_t len)
{
    const uint8_t *const bytes = mbi_word_bytes(w, other);
    const size_t other_len = w->word[other].len, both = mbi_min_size(len, other_len);
    size_t at = 0;

    while (at < both && text[at] == bytes[at])
        at++;
    return (struct mbi_word_node){
        .at = (uint32_t)at,
        .mask = 1u << (mbi_bitlen(symbol(text, len, at) ^ symbol(bytes, other_len, at)) - 1),
    };
}

/* Add a word that differs from all others; `other` is the closest. */
static bool insert(struct mbi_words *w, uint32_t other, const uint8_t *text, size_t len,
                   uint64_t times)
{
    struct mbi_word_node node = parting(w, other, text, len);
    const uint32_t which = side(&node, text, len), number = w->n - 1;
    uint32_t *link = &w->root;

    if (!store(w, text, len, times))
        return false;
    while (!(*link & LEAF)) {
        struct mbi_word_node *const next = &w->node[*link];

        if (next->at > node.at || (next->at == node.at && next->mask < node.mask))
            break;
        link = &next->child[side(next, text, len)];
    }
    node.child[which] = (w->n - 1) | LEAF;
    node.child[!which] = *link;
    *link = number;
    w->node[number] = node;
    return true;
}

/* Find or store the word, count it and give its number. */
static bool count(uint32_t *number, struct mbi_words *w, const uint8_t *text, size_t len,
                  uint64_t times)
{
    uint32_t other;

    *number = w->n;
    if (w->n == 0) {
        w->root = LEAF;
        return store(w, text, len, times);
    }
    other = closest(w, text, len);
    if (!is_word(w, other, text, len))
        return insert(w, other, text, len, times);
    w->word[other].count += times;
    *number = other;
    return true;
}

bool mbi_words_add(struct mbi_words *w, const uint8_t *text, size_t len, size_t room,
                   uint64_t times)
{
    struct mbi_recent_word *recent;
    struct mbi_word_key key;
    uint32_t number;

    if (len > MBI_WORD_KEY_MAX)
        return count(&number, w, text, len, times);
    key = mbi_word_key(text, len, room);
    recent = &w->recent[mbi_word_key_hash(&key) >> (64 - RECENT_BITS)];
    if (mbi_word_key_equal(&recent->key, &key)) {
        w->word[recent->word].count += times;
        return true;
    }
    if (!count(&number, w, text, len, times))
        return false;
    *recent = (struct mbi_recent_word){key, number};
    return true;
}

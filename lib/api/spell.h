/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, digests and the text of tokens, spelled for people and for JSON. */
#ifndef MBI_API_SPELL_H
#define MBI_API_SPELL_H

#include "base/blake2b.h"
#include "base/bytes.h"
#include <stdbool.h>

/* v / 2^frac with all its digits, 0 <= frac <= 32. */
void mbi_spell_decimal(struct mbi_buf *out, int64_t v, int32_t frac);
void mbi_spell_digest(struct mbi_buf *out, const uint8_t digest[MBI_DIGEST_SIZE]);

/* Text that can be read only as what it is: what a terminal could take for something else as
 * escapes. */
void mbi_spell_escaped(struct mbi_buf *out, const uint8_t *text, size_t n);
/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
void mbi_spell_json(struct mbi_buf *out, const uint8_t *text, size_t n);

/* Ids as they lie in files: little endian, 4 bytes each, below the vocabulary. */
struct mbi_spelled {
    const uint8_t *ids;
    size_t n;
};

static inline int32_t mbi_spelled_id(const struct mbi_spelled *s, size_t i)
{
    return (int32_t)mbi_load32(s->ids + 4 * i);
}

/* What ids stand for: mbi_tokenizer_token() and its tokenizer. Whoever has no tokenizer needs no
 * code of one. */
struct mbi_tokenizer;
struct mbi_lexicon {
    bool (*token)(const char **text, size_t *len, bool *special, const struct mbi_tokenizer *t,
                  int32_t id);
    const struct mbi_tokenizer *of;
};

/* `what, 3 tokens: 1 2 3` and a line end; with a lexicon a line `what as text: "..."` more, in
 * which special tokens stand outside of the quotes. */
void mbi_spell_tokens(struct mbi_buf *out, const char *what, const struct mbi_spelled *s,
                      const struct mbi_lexicon *t);
/* Numbers with commas between. */
void mbi_spell_ids(struct mbi_buf *out, const struct mbi_spelled *s);
/* The bytes of ordinary tokens. */
void mbi_spell_text(struct mbi_buf *out, const struct mbi_spelled *s, const struct mbi_lexicon *t);
/* The same as a JSON string; null without a lexicon. */
void mbi_spell_json_text(struct mbi_buf *out, const struct mbi_spelled *s,
                         const struct mbi_lexicon *t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON lines as sequences of tokens with a mask: which tokens count in the loss. A line is one of
 *   {"instruction": text, "input": text, "output": text}      input may be empty or missing
 *   {"turns": [user, assistant, user, assistant, ...]}
 *   {"ids": [...], "targets": [...]}       tokens as they are; target -1: no loss
 * The first two may have "system": text. Answers and the end-of-turn tokens after them count.
 */
#ifndef MBI_TRAIN_JSONL_H
#define MBI_TRAIN_JSONL_H

#include "tokenizer/tokenizer.h"

/* Sequences one after the other. Position i reads input[i] and should predict target[i]. */
struct mbi_sequences {
    struct mbi_buf input, target; /* int32 */
    struct mbi_buf loss;          /* u8: 1 if the prediction counts */
    struct mbi_buf length;        /* u32 a sequence; the top bit: it gets a window of its own */
};

#define MBI_SEQUENCE_ALONE 0x80000000u

void mbi_sequences_init(struct mbi_sequences *s, const struct mbi_host *host);
void mbi_sequences_free(struct mbi_sequences *s);
bool mbi_sequences_failed(const struct mbi_sequences *s);

/* Append the sequence of one line (without its line end); `number` and `name` are for errors. */
int32_t mbi_jsonl_add(struct mbi_sequences *out, const struct mbi_tokenizer *t, const char *line,
                      size_t len, size_t number, const char *name, mambaint_error *err);

#endif

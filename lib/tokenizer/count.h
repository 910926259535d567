/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of training, counting words and joining symbols, share. */
#ifndef MBI_TOKENIZER_COUNT_H
#define MBI_TOKENIZER_COUNT_H

#include "tokenizer/tokenizer.h"
#include "tokenizer/words.h"

struct mbi_count_part; /* private to count.c: what one thread counts */

/*
 * Documents wait in one text until there are enough of them for all threads; large ones do not
 * wait. `end` says where the shares of a text end; shares have the same words apart as together.
 */
struct mbi_tokenizer_trainer {
    const struct mbi_host *host;
    enum mbi_pretokenizer pre;
    struct mbi_count_part *part; /* one for each thread */
    uint32_t n_parts;
    struct mbi_buf waiting; /* text */
    struct mbi_buf end;     /* size_t */
};

/* All words so far, counted; the trainer keeps them, and more text may follow. */
int32_t mbi_tokenizer_trainer_words(const struct mbi_words **out, struct mbi_tokenizer_trainer *tr,
                                    mambaint_error *err);

#endif

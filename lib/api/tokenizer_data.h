/* SPDX-License-Identifier: Apache-2.0 */
/* Text for training a tokenizer: documents of a block of bytes or of a file. */
#ifndef MBI_API_TOKENIZER_DATA_H
#define MBI_API_TOKENIZER_DATA_H

#include "tokenizer/tokenizer.h"

int32_t mbi_tokenizer_add_text(struct mbi_tokenizer_trainer *tr, const char *text, size_t len,
                               mambaint_error *err);
int32_t mbi_tokenizer_add_file(struct mbi_tokenizer_trainer *tr, const struct mbi_host *host,
                               const char *path, mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Import of the two files in which GPT-2's tokenizer was published. */
#ifndef MBI_CONVERT_GPT2_TOKENIZER_H
#define MBI_CONVERT_GPT2_TOKENIZER_H

#include "tokenizer/tokenizer.h"

/*
 * Read encoder.json (an object from spelled token to id) and vocab.bpe (one merge a line, in rank
 * order, under an optional line "#version: ..."). Ids are kept; "<|endoftext|>" becomes the end of
 * text; there are no roles. E_UNSUPPORTED where the library was built without jansson.
 */
int32_t mbi_convert_gpt2(struct mbi_tokenizer **out, const struct mbi_host *host,
                         const char *encoder_json_path, const char *vocab_bpe_path,
                         mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Normal form C of Unicode, for imported tokenizers that ask for it. */
#ifndef MBI_TOKENIZER_NORMALIZE_H
#define MBI_TOKENIZER_NORMALIZE_H

#include "base/bytes.h"

/*
 * Append text[0..n) in NFC. Bytes that are no UTF-8 are kept and separate what is normalised, and
 * so do code points that Unicode 14.0 does not assign: the result does not depend on the version
 * of utf8proc. Time is O(n log n) for any text. E_UNSUPPORTED without utf8proc.
 */
int32_t mbi_normalize_nfc(struct mbi_buf *out, const char *text, size_t n, mambaint_error *err);

#endif

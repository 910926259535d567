/* SPDX-License-Identifier: Apache-2.0 */
/* A text as documents: it is cut at each separator line. */
#ifndef MBI_SAMPLE_DOCUMENT_H
#define MBI_SAMPLE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#define MBI_DOCUMENT_SEPARATOR "\n<|endoftext|>\n"

/*
 * The next document of text[*pos..len): its start and length, whether a separator follows, and
 * *pos moved behind that. False when nothing is left; after a last separator nothing is. Separators
 * do not overlap: the first from the left counts.
 */
bool mbi_document_next(const char **doc, size_t *doc_len, bool *separated, const char *text,
                       size_t len, size_t *pos);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a text into documents. */
#include "sample/document.h"
#include <string.h>

bool mbi_document_next(const char **doc, size_t *doc_len, bool *separated, const char *text,
                       size_t len, size_t *pos)
{
    const size_t mark = sizeof(MBI_DOCUMENT_SEPARATOR) - 1;
    const char *at;

    if (*pos >= len)
        return false;
    *doc = at = text + *pos;
    while (len - (size_t)(at - text) >= mark) {
        const char *line = memchr(at, '\n', len - mark - (size_t)(at - text) + 1);

        if (!line)
            break;
        if (!memcmp(line, MBI_DOCUMENT_SEPARATOR, mark)) {
            *doc_len = (size_t)(line - *doc);
            *separated = true;
            *pos = (size_t)(line - text) + mark;
            return true;
        }
        at = line + 1;
    }
    *doc_len = len - *pos;
    *separated = false;
    *pos = len;
    return true;
}

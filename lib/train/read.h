/* SPDX-License-Identifier: Apache-2.0 */
/* Data files as bytes: found by name, checked by SHA-256, unpacked from .xz. */
#ifndef MBI_TRAIN_READ_H
#define MBI_TRAIN_READ_H

#include "base/bytes.h"
#include "base/file.h"

#define MBI_SHA256_SIZE 32

struct mbi_text {
    const struct mbi_host *host;
    const uint8_t *data;
    size_t size;
    struct mbi_map map;
    struct mbi_buf unpacked;
};

/*
 * Open `name`, or `name`.xz where that is the file; in the folder `dir` first, if that is not NULL.
 * With `sha256` (of the stored file, so before unpacking) the first file that has it is taken, and
 * E_MISMATCH if there are files but none has it. Close also after a failure.
 */
int32_t mbi_text_open(struct mbi_text *out, const struct mbi_host *host, const char *dir,
                      const char *name, const uint8_t *sha256, mambaint_error *err);
void mbi_text_close(struct mbi_text *text);

#endif

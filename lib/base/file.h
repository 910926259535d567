/* SPDX-License-Identifier: Apache-2.0 */
/* Files: read-only mappings, and saves that leave the old file or the new one, never a mixture. */
#ifndef MBI_BASE_FILE_H
#define MBI_BASE_FILE_H

#include "base/host.h"

/* A file as bytes. Mapped where the system can, read into memory otherwise. */
struct mbi_map {
    const uint8_t *data;
    size_t size;
    void *owned; /* memory to free, or NULL */
    bool mapped;
};

int32_t mbi_map_open(struct mbi_map *out, const struct mbi_host *host, const char *path,
                     mambaint_error *err);
/* All of it is about to be read: map its pages at once, which is faster than one by one. */
void mbi_map_populate(const struct mbi_map *map);
/* Give the pages that were read back to the system; what is read again comes from its cache. */
void mbi_map_release(const struct mbi_map *map);
void mbi_map_close(struct mbi_map *map, const struct mbi_host *host);

/*
 * A save in progress: a new file beside the target. commit = flush, fsync, close, rename over the
 * target, fsync the directory. Any failure removes the new file and leaves the target alone.
 * A leftover of a killed process never blocks the next save.
 */
struct mbi_save;
int32_t mbi_save_begin(struct mbi_save **out, const struct mbi_host *host, const char *path,
                       mambaint_error *err);
/* Right after the beginning: nobody but the owner may read the file. */
int32_t mbi_save_private(struct mbi_save *save, mambaint_error *err);
int32_t mbi_save_write(struct mbi_save *save, const void *data, size_t n, mambaint_error *err);
int32_t mbi_save_commit(struct mbi_save *save, mambaint_error *err); /* frees it, either way */
void mbi_save_abort(struct mbi_save *save);                          /* NULL is fine */

/* Save one block of bytes. */
int32_t mbi_file_save(const struct mbi_host *host, const char *path, const void *data, size_t n,
                      mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Files on POSIX systems. */
#include "base/file.h"
#include "base/bytes.h"
#include "base/intmath.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 30) /* most systems refuse more than 2 GiB in one call */

/* For what has no size to go by, such as a pipe: read until the end. */
static int32_t read_all(struct mbi_map *out, const struct mbi_host *host, int fd, const char *path,
                        mambaint_error *err)
{
    struct mbi_buf buf;

    mbi_buf_init(&buf, host);
    for (;;) {
        ssize_t got;

        if (!mbi_buf_reserve(&buf, 65536)) {
            mbi_buf_free(&buf);
            return mbi_fail(err, MAMBAINT_E_NO_MEMORY, "out of memory for the file '%s'", path);
        }
        got = read(fd, buf.data + buf.size, mbi_min_size(buf.cap - buf.size, PIECE));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            mbi_fail_errno(err, "read", path);
            mbi_buf_free(&buf);
            return MAMBAINT_E_IO;
        }
        if (!got)
            break;
        buf.size += (size_t)got;
    }
    *out = (struct mbi_map){.data = buf.data, .size = buf.size, .owned = buf.data};
    return MAMBAINT_OK;
}

static int32_t map_descriptor(struct mbi_map *out, const struct mbi_host *host, int fd,
                              const char *path, mambaint_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mbi_fail_errno(err, "look at", path);
    if (S_ISDIR(st.st_mode))
        return mbi_fail(err, MAMBAINT_E_IO, "cannot read '%s': it is a directory", path);
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        void *data;

        if ((uintmax_t)st.st_size > PTRDIFF_MAX)
            return mbi_fail(err, MAMBAINT_E_RANGE, "'%s' is too large for this machine", path);
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data != MAP_FAILED) {
            *out = (struct mbi_map){.data = data, .size = (size_t)st.st_size, .mapped = true};
            return MAMBAINT_OK;
        }
    }
    return read_all(out, host, fd, path, err);
}

int32_t mbi_map_open(struct mbi_map *out, const struct mbi_host *host, const char *path,
                     mambaint_error *err)
{
    int32_t rc;
    int fd;

    *out = (struct mbi_map){0};
    while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (fd < 0)
        return mbi_fail_errno(err, "open", path);
    rc = map_descriptor(out, host, fd, path, err);
    close(fd); /* nothing was written, so nothing can be lost here */
    return rc;
}

/* The system's calls want it without const. */
static void *address_of(const struct mbi_map *map)
{
    void *address;

    memcpy(&address, &map->data, sizeof(address));
    return address;
}

void mbi_map_populate(const struct mbi_map *map)
{
#if defined(MADV_POPULATE_READ)
    if (map->mapped)
        madvise(address_of(map), map->size, MADV_POPULATE_READ);
#else
    (void)map;
#endif
}

void mbi_map_release(const struct mbi_map *map)
{
    if (map->mapped)
        madvise(address_of(map), map->size, MADV_DONTNEED);
}

void mbi_map_close(struct mbi_map *map, const struct mbi_host *host)
{
    if (map->mapped)
        munmap(address_of(map), map->size);
    mbi_free(host, map->owned);
    *map = (struct mbi_map){0};
}

struct mbi_save {
    const struct mbi_host *host;
    char *path;       /* as the caller gave it, for sentences */
    char *target;     /* links resolved */
    const char *base; /* file name within target */
    char temp[128];   /* name of the new file */
    int dir, fd;      /* -1: not open */
    bool created;     /* the new file exists */
    size_t used;
    uint8_t buf[32768];
};

/* Where the bytes have to end up: a link is followed, anything but a file is left alone. */
static int32_t find_target(struct mbi_save *s, mambaint_error *err)
{
    struct stat st;
    char *slash;

    if (!(s->target = mbi_alloc(s->host, PATH_MAX, 1)))
        return mbi_fail_memory(err, "a file name");
    if (!realpath(s->path, s->target)) {
        if (errno != ENOENT)
            return mbi_fail_errno(err, "write", s->path);
        if (!lstat(s->path, &st))
            return mbi_fail(err, MAMBAINT_E_IO, "cannot write '%s': a link to nothing", s->path);
        if (strlen(s->path) >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return mbi_fail_errno(err, "write", s->path);
        }
        strcpy(s->target, s->path);
    } else if (stat(s->target, &st) < 0) {
        return mbi_fail_errno(err, "look at", s->path);
    } else if (!S_ISREG(st.st_mode)) {
        return mbi_fail(err, MAMBAINT_E_IO, "cannot write '%s': it is not a regular file", s->path);
    }
    slash = strrchr(s->target, '/');
    s->base = slash ? slash + 1 : s->target;
    if (!*s->base)
        return mbi_fail(err, MAMBAINT_E_IO, "cannot write '%s': no file name", s->path);
    return MAMBAINT_OK;
}

static int32_t open_directory(struct mbi_save *s, mambaint_error *err)
{
    const size_t length = (size_t)(s->base - s->target);
    char *name = length ? mbi_strndup(s->host, s->target, length) : mbi_strndup(s->host, ".", 1);
    int32_t rc = MAMBAINT_OK;

    if (!name)
        return mbi_fail_memory(err, "a file name");
    while ((s->dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (s->dir < 0)
        rc = mbi_fail_errno(err, "open the directory of", s->path);
    mbi_free(s->host, name);
    return rc;
}

/* A name that is taken, by another save or by a leftover of a killed one, is just passed over. */
static int32_t create_temp(struct mbi_save *s, mambaint_error *err)
{
    const size_t length = strlen(s->base);
    const int keep = (int)mbi_utf8_whole((const uint8_t *)s->base, mbi_min_size(length, 64));
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    for (uint32_t attempt = 0; attempt < 1000; attempt++) {
        const uint32_t salt = (uint32_t)now.tv_nsec + attempt;

        snprintf(s->temp, sizeof(s->temp), ".%.*s.%lx-%08x.tmp", keep, s->base,
                 (unsigned long)getpid(), salt);
        s->fd = openat(s->dir, s->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (s->fd >= 0) {
            s->created = true;
            return MAMBAINT_OK;
        }
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    return mbi_fail_errno(err, "create a file beside", s->path);
}

int32_t mbi_save_begin(struct mbi_save **out, const struct mbi_host *host, const char *path,
                       mambaint_error *err)
{
    struct mbi_save *s;
    int32_t rc;

    *out = NULL;
    if (!(s = mbi_alloc(host, 1, sizeof(*s))))
        return mbi_fail_memory(err, "a file to be saved");
    s->host = host;
    s->dir = s->fd = -1;
    if (!(s->path = mbi_strndup(host, path, strlen(path)))) {
        mbi_save_abort(s);
        return mbi_fail_memory(err, "a file name");
    }
    if ((rc = find_target(s, err)) < 0 || (rc = open_directory(s, err)) < 0 ||
        (rc = create_temp(s, err)) < 0) {
        mbi_save_abort(s);
        return rc;
    }
    *out = s;
    return MAMBAINT_OK;
}

int32_t mbi_save_private(struct mbi_save *save, mambaint_error *err)
{
    if (fchmod(save->fd, S_IRUSR | S_IWUSR) < 0)
        return mbi_fail_errno(err, "protect", save->path);
    return MAMBAINT_OK;
}

static int32_t write_all(struct mbi_save *s, const uint8_t *data, size_t n, mambaint_error *err)
{
    while (n) {
        const ssize_t put = write(s->fd, data, mbi_min_size(n, PIECE));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            errno = put ? errno : ENOSPC; /* a file that takes nothing would be asked forever */
            return mbi_fail_errno(err, "write", s->path);
        }
        data += put;
        n -= (size_t)put;
    }
    return MAMBAINT_OK;
}

static int32_t flush(struct mbi_save *s, mambaint_error *err)
{
    const size_t n = s->used;

    s->used = 0;
    return write_all(s, s->buf, n, err);
}

int32_t mbi_save_write(struct mbi_save *save, const void *data, size_t n, mambaint_error *err)
{
    int32_t rc;

    if (n > sizeof(save->buf) - save->used) {
        if ((rc = flush(save, err)) < 0)
            return rc;
        if (n >= sizeof(save->buf))
            return write_all(save, data, n, err);
    }
    if (n)
        memcpy(save->buf + save->used, data, n);
    save->used += n;
    return MAMBAINT_OK;
}

static int sync_descriptor(int fd)
{
    int rc;

    while ((rc = fsync(fd)) < 0 && errno == EINTR)
        continue;
    return rc;
}

/* A file system without synced directories says EINVAL; then there is nothing to wait for. */
static int32_t sync_directory(struct mbi_save *s, mambaint_error *err)
{
    if (sync_descriptor(s->dir) < 0 && errno != EINVAL)
        return mbi_fail_errno(err, "sync the directory of", s->path);
    return MAMBAINT_OK;
}

static int32_t commit(struct mbi_save *s, mambaint_error *err)
{
    int32_t rc;
    int closed;

    if ((rc = flush(s, err)) < 0)
        return rc;
    if (sync_descriptor(s->fd) < 0)
        return mbi_fail_errno(err, "sync", s->path);
    closed = close(s->fd);
    s->fd = -1; /* whatever close says, the descriptor is gone */
    if (closed < 0 && errno != EINTR)
        return mbi_fail_errno(err, "close", s->path);
    if (renameat(s->dir, s->temp, s->dir, s->base) < 0)
        return mbi_fail_errno(err, "replace", s->path);
    s->created = false;
    return sync_directory(s, err);
}

int32_t mbi_save_commit(struct mbi_save *save, mambaint_error *err)
{
    const int32_t rc = commit(save, err);

    mbi_save_abort(save);
    return rc;
}

void mbi_save_abort(struct mbi_save *save)
{
    if (!save)
        return;
    if (save->fd >= 0)
        close(save->fd);
    if (save->created)
        unlinkat(save->dir, save->temp, 0);
    if (save->dir >= 0)
        close(save->dir);
    mbi_free(save->host, save->target);
    mbi_free(save->host, save->path);
    mbi_free(save->host, save);
}

int32_t mbi_file_save(const struct mbi_host *host, const char *path, const void *data, size_t n,
                      mambaint_error *err)
{
    struct mbi_save *save;
    int32_t rc;

    if ((rc = mbi_save_begin(&save, host, path, err)) < 0)
        return rc;
    if ((rc = mbi_save_write(save, data, n, err)) < 0) {
        mbi_save_abort(save);
        return rc;
    }
    return mbi_save_commit(save, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in and out. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

/* Make room for more behind n bytes and a NUL. On failure the block is gone. */
static char *grow(char *data, size_t n, size_t *cap)
{
    char *more;

    if (data && n < *cap)
        return data;
    *cap = 2 * n + 65536;
    if (!(more = realloc(data, *cap + 1)))
        free(data);
    return more;
}

static char *read_descriptor(int fd, const char *path, size_t *size)
{
    size_t cap = 0, n = 0;
    char *data = NULL;
    ssize_t got;

    do {
        if (!(data = grow(data, n, &cap))) {
            fail("out of memory while reading '%s'", path);
            return NULL;
        }
        got = read(fd, data + n, cap - n);
        n += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0) {
        fail("cannot read '%s': %s", path, strerror(errno));
        free(data);
        return NULL;
    }
    data[n] = '\0';
    *size = n;
    return data;
}

char *read_all(const char *path, size_t *size)
{
    char *data;
    int fd;

    if (!strcmp(path, "-"))
        return read_descriptor(STDIN_FILENO, "standard input", size);
    while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (fd < 0) {
        fail("cannot open '%s': %s", path, strerror(errno));
        return NULL;
    }
    data = read_descriptor(fd, path, size);
    close(fd);
    return data;
}

/* ---- writing ---- */

/* A save under way: a new file beside the target takes its place in the end. */
struct save {
    char target[PATH_MAX]; /* links resolved */
    char temp[PATH_MAX];
    int dir, fd; /* -1: not open */
    bool created;
};

static int fail_write(const char *path)
{
    return fail("cannot write '%s': %s", path, strerror(errno));
}

/* Where the bytes have to end up: a link is followed, anything but a file is left alone. */
static int find_target(char target[PATH_MAX], const char *path)
{
    struct stat st;

    if (realpath(path, target)) {
        if (stat(target, &st))
            return fail_write(path);
        return S_ISREG(st.st_mode) ? CLI_DONE
                                   : fail("cannot write '%s': it is not a regular file", path);
    }
    if (errno != ENOENT)
        return fail_write(path);
    if (!lstat(path, &st))
        return fail("cannot write '%s': a link to nothing", path);
    if (!*path || path[strlen(path) - 1] == '/')
        return fail("cannot write '%s': no file name", path);
    if (snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX)
        return fail("cannot write '%s': the name is too long", path);
    return CLI_DONE;
}

static int open_directory(const char *target)
{
    const char *slash = strrchr(target, '/');
    char name[PATH_MAX] = ".";

    if (slash)
        snprintf(name, sizeof(name), "%.*s", (int)(slash - target) + 1, target);
    return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A name that is taken, by another save or by what a killed one left, is passed over. */
static bool create_temp(struct save *s)
{
    for (int i = 0; i < 1000; i++) {
        if (snprintf(s->temp, sizeof(s->temp), "%s.%ld-%d.tmp", s->target, (long)getpid(), i) >=
            (int)sizeof(s->temp)) {
            errno = ENAMETOOLONG;
            return false;
        }
        s->fd = open(s->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (s->fd >= 0)
            return s->created = true;
        if (errno != EEXIST)
            return false;
    }
    return false;
}

static bool write_bytes(int fd, const char *data, size_t size)
{
    while (size) {
        const ssize_t put = write(fd, data, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            errno = put ? errno : ENOSPC;
            return false;
        }
        data += put;
        size -= (size_t)put;
    }
    return true;
}

/* File systems without synced directories say EINVAL; then there is nothing to wait for. */
static bool commit(struct save *s)
{
    int closed;

    if (fsync(s->fd))
        return false;
    closed = close(s->fd);
    s->fd = -1;
    if (closed || rename(s->temp, s->target))
        return false;
    s->created = false;
    return !fsync(s->dir) || errno == EINVAL;
}

static void save_end(struct save *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->created)
        unlink(s->temp);
    if (s->dir >= 0)
        close(s->dir);
}

int write_all(const char *path, const void *data, size_t size)
{
    struct save s = {.dir = -1, .fd = -1};
    int status = find_target(s.target, path);

    if (status != CLI_DONE)
        return status;
    if ((s.dir = open_directory(s.target)) < 0 || !create_temp(&s) ||
        !write_bytes(s.fd, data, size) || !commit(&s))
        status = fail_write(path);
    save_end(&s);
    return status;
}

int check_writable(const char *path)
{
    char target[PATH_MAX];
    int status = find_target(target, path), dir;

    if (status != CLI_DONE)
        return status;
    if ((dir = open_directory(target)) < 0)
        return fail_write(path);
    if (faccessat(dir, ".", W_OK | X_OK, 0))
        status = fail_write(path);
    close(dir);
    return status;
}

long long file_size(const char *path)
{
    struct stat st;

    if (stat(path, &st)) {
        fail("cannot look at '%s': %s", path, strerror(errno));
        return -1;
    }
    return (long long)st.st_size;
}

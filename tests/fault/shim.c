/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: makes the nth system call on the files of one folder go wrong.
 * Environment:
 *   FAULT_DIR   the folder; calls on other files are passed on and not counted
 *   FAULT_LOG   file that receives a line for each counted call; may be missing
 *   FAULT_AT    number of the call that goes wrong, from 1; 0 or missing: none
 *   FAULT_KIND  EIO ENOSPC EINTR  the call fails and was not made
 *               SHORT             a write or read moves at most half of its bytes
 *               KILL, KILLED      the program dies before or after the call
 */

/* Under other settings the C library's headers give these functions other names or bodies. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FD 1024

static atomic_bool ours[MAX_FD]; /* descriptors of files in the folder, and of the folder */
static atomic_uint calls;
static int log_fd = -1;

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

/* The next definition of a function. A pointer to an object cannot be cast to one to a function. */
static void find_next(void *function, const char *name)
{
    void *const found = dlsym(RTLD_NEXT, name);

    memcpy(function, &found, sizeof(found));
}

static bool in_folder(const char *path)
{
    const char *folder = setting("FAULT_DIR");

    return *folder && !strncmp(path, folder, strlen(folder));
}

static bool is_ours(int fd) { return fd >= 0 && fd < MAX_FD && ours[fd]; }

static void mark(int fd, bool value)
{
    if (fd >= 0 && fd < MAX_FD)
        ours[fd] = value;
}

static bool is_kind(const char *kind) { return !strcmp(setting("FAULT_KIND"), kind); }

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void note(unsigned number, const char *name, int fd, const char *path)
{
    char line[512];
    const int n = snprintf(line, sizeof(line), "%u %s %d %s\n", number, name, fd, path);

    if (log_fd < 0 && *setting("FAULT_LOG"))
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, setting("FAULT_LOG"),
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log_fd >= 0 && syscall(SYS_write, log_fd, line, (size_t)n) != n)
        _exit(99);
}

/* What becomes of a call. */
struct fate {
    bool fails, shortened, dies_after;
};

static struct fate count(const char *name, int fd, const char *path)
{
    const unsigned number = atomic_fetch_add(&calls, 1) + 1;
    struct fate fate = {false, false, false};

    note(number, name, fd, path);
    if (number != (unsigned)strtoul(setting("FAULT_AT"), NULL, 10))
        return fate;
    if (is_kind("KILL"))
        die();
    fate.dies_after = is_kind("KILLED");
    fate.shortened = is_kind("SHORT");
    fate.fails = !fate.dies_after && !fate.shortened;
    if (fate.fails)
        errno = is_kind("ENOSPC") ? ENOSPC : is_kind("EINTR") ? EINTR : EIO;
    return fate;
}

static void finish(struct fate fate)
{
    if (fate.dies_after)
        die();
}

/* ---- opening ---- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    const bool counted = *path == '/' ? in_folder(path) : is_ours(dir);
    struct fate fate = {false, false, false};
    int fd;

    if (counted && (fate = count("open", dir, path)).fails)
        return -1;
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    mark(fd, counted);
    finish(fate);
    return fd;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
        va_start(args, flags);                                                                     \
        mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                         \
        va_end(args);                                                                              \
        return open_at(AT_FDCWD, path, flags, mode);                                               \
    }

#define OPENAT(name)                                                                               \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
        va_start(args, flags);                                                                     \
        mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                         \
        va_end(args);                                                                              \
        return open_at(dir, path, flags, mode);                                                    \
    }

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int openat(int dir, const char *path, int flags, ...);
int openat64(int dir, const char *path, int flags, ...);
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* ---- moving bytes ---- */

ssize_t write(int fd, const void *data, size_t n)
{
    struct fate fate = {false, false, false};
    ssize_t put;

    if (is_ours(fd) && (fate = count("write", fd, "")).fails)
        return -1;
    put = syscall(SYS_write, fd, data, fate.shortened ? (n + 1) / 2 : n);
    finish(fate);
    return put;
}

static ssize_t read_counted(int fd, void *data, size_t n)
{
    struct fate fate = {false, false, false};
    ssize_t got;

    if (is_ours(fd) && (fate = count("read", fd, "")).fails)
        return -1;
    got = syscall(SYS_read, fd, data, fate.shortened ? (n + 1) / 2 : n);
    finish(fate);
    return got;
}

ssize_t read(int fd, void *data, size_t n) { return read_counted(fd, data, n); }

/* What a fortified read() becomes. */
ssize_t __read_chk(int fd, void *data, size_t n, size_t room);
ssize_t __read_chk(int fd, void *data, size_t n, size_t room)
{
    if (n > room)
        abort();
    return read_counted(fd, data, n);
}

/* Where off_t has 32 bits the program's mmap() is mmap64() or takes an offset that fits both. */
static void *map(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    void *(*next)(void *, size_t, int, int, int, off64_t);
    struct fate fate = {false, false, false};
    void *mapped;

    if (is_ours(fd) && (fate = count("mmap", fd, "")).fails)
        return MAP_FAILED;
    find_next(&next, "mmap64");
    mapped = next(at, n, protection, flags, fd, offset);
    finish(fate);
    return mapped;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    return map(at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset);
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return map(at, n, protection, flags, fd, offset);
}

/* ---- the rest ---- */

#define ON_DESCRIPTOR(name, parameters, arguments)                                                 \
    int name parameters;                                                                           \
    int name parameters                                                                            \
    {                                                                                              \
        int(*next) parameters;                                                                     \
        struct fate fate = {false, false, false};                                                  \
        int rc;                                                                                    \
        if (is_ours(fd) && (fate = count(#name, fd, "")).fails)                                    \
            return -1;                                                                             \
        find_next(&next, #name);                                                                   \
        rc = next arguments;                                                                       \
        finish(fate);                                                                              \
        return rc;                                                                                 \
    }

ON_DESCRIPTOR(fsync, (int fd), (fd))
ON_DESCRIPTOR(fdatasync, (int fd), (fd))
ON_DESCRIPTOR(fstat, (int fd, struct stat *st), (fd, st))
ON_DESCRIPTOR(fstat64, (int fd, struct stat64 *st), (fd, st))
ON_DESCRIPTOR(unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
ON_DESCRIPTOR(renameat, (int fd, const char *old, int dir, const char *path), (fd, old, dir, path))

/* A close that fails has closed all the same, as on Linux. */
int close(int fd)
{
    const bool counted = is_ours(fd);
    struct fate fate = {false, false, false};
    int rc;

    if (counted)
        fate = count("close", fd, "");
    mark(fd, false);
    rc = (int)syscall(SYS_close, fd);
    finish(fate);
    if (!fate.fails)
        return rc;
    errno = is_kind("ENOSPC") ? ENOSPC : is_kind("EINTR") ? EINTR : EIO;
    return -1;
}

int rename(const char *old, const char *path)
{
    struct fate fate = {false, false, false};
    int rc;

    if (in_folder(path) && (fate = count("rename", -1, path)).fails)
        return -1;
    rc = (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, path, 0);
    finish(fate);
    return rc;
}

int unlink(const char *path)
{
    struct fate fate = {false, false, false};
    int rc;

    if (in_folder(path) && (fate = count("unlink", -1, path)).fails)
        return -1;
    rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    finish(fate);
    return rc;
}

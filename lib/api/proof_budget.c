/* SPDX-License-Identifier: Apache-2.0 */
/* How many proofs a key with hidden weights can still make: a counter in its file, raised first. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define USED_UP                                                                                    \
    "the prover key '%.80s' is used up: all of its %llu proofs were made. One more could tell "    \
    "the "                                                                                         \
    "weights; make a new key (mambaint_prover_key_save(), 'mambaint proof key'), and give those "  \
    "who verify the key that goes with it"

static int32_t damaged(const char *path, mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_FORMAT,
                    "the prover key '%.80s' is damaged: its counter is not sound, so that nobody "
                    "knows how many proofs were made with it; make a new key",
                    path);
}

/* Each process that comes has a descriptor of its own, and waits here for the others. */
static int32_t open_locked(int *fd, const char *path, mambaint_error *err)
{
    while ((*fd = open(path, O_RDWR | O_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (*fd < 0) {
        mambaint_error why = {0, ""};

        mbi_fail_errno(&why, "write", path);
        return mbi_fail(err, MAMBAINT_E_IO,
                        "%.160s; each hidden proof is counted in the prover key, so it has to be "
                        "where it can be changed",
                        why.message);
    }
    while (flock(*fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return mbi_fail_errno(err, "lock", path);
    return MAMBAINT_OK;
}

static bool read_at(int fd, void *data, size_t n, size_t at)
{
    uint8_t *p = data;

    while (n) {
        const ssize_t got = pread(fd, p, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        at += (size_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* In one call: the counter lies within a sector, which a disk writes or does not. What is cut all
 * the same has a digest that does not hold. */
static int32_t write_counter(int fd, const struct mbi_counter *c, size_t at, const char *path,
                             mambaint_error *err)
{
    ssize_t put;
    int rc;

    while ((put = pwrite(fd, c, sizeof(*c), (off_t)at)) < 0 && errno == EINTR)
        continue;
    if (put != (ssize_t)sizeof(*c)) {
        errno = put < 0 ? errno : ENOSPC;
        return mbi_fail_errno(err, "write", path);
    }
    while ((rc = fsync(fd)) < 0 && errno == EINTR)
        continue;
    return rc < 0 ? mbi_fail_errno(err, "sync", path) : MAMBAINT_OK;
}

/* The file is locked. */
static int32_t take(uint64_t *number, int fd, const char *path,
                    const struct mbi_prover_key_head *head, mambaint_error *err)
{
    const uint64_t all = mbi_statement_openings(&head->models.roots);
    uint8_t digest[MBI_DIGEST_SIZE];
    struct mbi_counter c;

    if (!read_at(fd, digest, sizeof(digest), head->sealed - sizeof(digest)) ||
        memcmp(digest, head->digest, sizeof(digest)) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "the prover key '%.80s' was replaced while it was in use; try again", path);
    if (!read_at(fd, &c, sizeof(c), head->size) || !mbi_counter_get(number, &c, head->digest) ||
        !*number || *number > all)
        return damaged(path, err);
    if (*number == all)
        return mbi_fail(err, MAMBAINT_E_RANGE, USED_UP, path, (unsigned long long)all - 1);
    mbi_counter_put(&c, *number + 1, head->digest);
    return write_counter(fd, &c, head->size, path, err);
}

int32_t mbi_budget_take(uint64_t *number, const char *path, const struct mbi_prover_key_head *head,
                        mambaint_error *err)
{
    int fd;
    int32_t rc = open_locked(&fd, path, err);

    if (rc >= 0)
        rc = take(number, fd, path, head, err);
    if (fd >= 0)
        close(fd); /* and the lock goes; what was written is on the disk */
    return rc;
}

int32_t mbi_budget_left(uint64_t *left, const struct mbi_prover_key_head *head, const void *data,
                        size_t n, mambaint_error *err)
{
    const uint64_t all = mbi_statement_openings(&head->models.roots);
    struct mbi_counter c;
    uint64_t taken;

    if (n < head->size || n - head->size < MBI_PROVER_KEY_ALIGN)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "prover key: it ends before its counter; it was cut");
    memcpy(&c, (const uint8_t *)data + head->size, sizeof(c));
    if (!mbi_counter_get(&taken, &c, head->digest) || !taken || taken > all)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "prover key: its counter is not sound, so that nobody knows how many "
                        "proofs were made with it; make a new key");
    *left = all - taken;
    return MAMBAINT_OK;
}
#endif

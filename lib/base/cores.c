/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads are worth starting. */
#include "base/cores.h"
#include "base/intmath.h"
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 4096

/* The first bytes of a small file, NUL-terminated; false if it cannot be read. */
static bool read_text(char text[TEXT_MAX], const char *root, const char *mount, const char *group,
                      const char *name)
{
    char path[TEXT_MAX];
    const int n = snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, group, name);
    ssize_t got;
    int fd;

    if (n < 0 || (size_t)n >= sizeof(path) || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    got = read(fd, text, TEXT_MAX - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* ---- one group ---- */

/* Time per period as cores, half up; a limit that cannot be read is none. */
static uint32_t cores_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= INT32_MAX)
        return UINT32_MAX;
    if (quota < period)
        return 1;
    return (uint32_t)(quota / period + (quota % period >= period - quota % period));
}

/* Version 2: "QUOTA PERIOD" or "max PERIOD". */
static uint32_t limit_2(const char *root, const char *mount, const char *group)
{
    char text[TEXT_MAX];
    long long quota, period;

    if (!read_text(text, root, mount, group, "cpu.max") ||
        sscanf(text, "%lld %lld", &quota, &period) != 2)
        return UINT32_MAX;
    return cores_of(quota, period);
}

/* Version 1: a number each, the quota -1 if there is none. */
static uint32_t limit_1(const char *root, const char *mount, const char *group)
{
    char text[TEXT_MAX];
    long long quota, period;

    if (!read_text(text, root, mount, group, "cpu.cfs_quota_us") ||
        sscanf(text, "%lld", &quota) != 1 ||
        !read_text(text, root, mount, group, "cpu.cfs_period_us") ||
        sscanf(text, "%lld", &period) != 1)
        return UINT32_MAX;
    return cores_of(quota, period);
}

/* ---- a group and all above it ---- */

/*
 * The smallest limit on the way up. In a container the path may be the host's and mean nothing
 * below this mount, whose own limit is then the container's.
 */
static uint32_t smallest(uint32_t (*limit)(const char *, const char *, const char *),
                         const char *root, const char *mount, const char *path)
{
    char group[TEXT_MAX];
    uint32_t least = UINT32_MAX;
    size_t n = strlen(path);

    memcpy(group, path, n + 1);
    for (;;) {
        while (n && group[n - 1] == '/')
            n--;
        group[n] = 0;
        least = (uint32_t)mbi_min_size(least, limit(root, mount, group));
        if (!n)
            return least;
        while (n && group[n - 1] != '/')
            n--;
    }
}

static bool has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);

    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ',') && (!p[n] || p[n] == ','))
            return true;
    return false;
}

/* A line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH; version 2 names no controllers. */
static uint32_t limit_of_line(const char *root, char *line)
{
    static const char *const mounts_2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static const char *const mounts_1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char *controllers = strchr(line, ':'), *path;
    uint32_t least = UINT32_MAX;

    if (!controllers || !(path = strchr(++controllers, ':')))
        return least;
    *path++ = 0;
    if (*controllers && !has_word(controllers, "cpu"))
        return least;
    for (int i = 0; i < 2; i++)
        least = (uint32_t)mbi_min_size(least, *controllers
                                                  ? smallest(limit_1, root, mounts_1[i], path)
                                                  : smallest(limit_2, root, mounts_2[i], path));
    return least;
}

uint32_t mbi_cgroup_cores(const char *root)
{
    char text[TEXT_MAX], *next;
    uint32_t least = UINT32_MAX;

    if (!read_text(text, root, "/proc/self", "", "cgroup"))
        return least;
    for (char *line = text; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        least = (uint32_t)mbi_min_size(least, limit_of_line(root, line));
    }
    return least;
}

/* ---- cores ---- */

static uint32_t allowed_cores(void)
{
    long n;

#if defined(__linux__)
    cpu_set_t set[64]; /* one is of 1024 cores, and the system wants room for all it could have */

    if (!sched_getaffinity(0, sizeof(set), set) && CPU_COUNT_S(sizeof(set), set) > 0)
        return (uint32_t)CPU_COUNT_S(sizeof(set), set);
#endif
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)mbi_min_size((size_t)n, UINT32_MAX) : 1;
}

uint32_t mbi_usable_cores(void)
{
    return (uint32_t)mbi_min_size(allowed_cores(), mbi_cgroup_cores(""));
}

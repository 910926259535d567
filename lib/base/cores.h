/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads are worth starting: the cores that this process may use. */
#ifndef MBI_BASE_CORES_H
#define MBI_BASE_CORES_H

#include <stdint.h>

/*
 * At least 1: the cores that the calling thread may run on, but no more than the share of them
 * that its control groups allow. Reads a few small files; asked when threads are started.
 */
uint32_t mbi_usable_cores(void);

/*
 * The cores' worth of time that the control groups of this process allow, version 1 or 2, rounded
 * to the nearest and at least 1; UINT32_MAX if there is no limit. `root` comes before every path
 * that is read: "" but in tests.
 */
uint32_t mbi_cgroup_cores(const char *root);

#endif

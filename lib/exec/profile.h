/* SPDX-License-Identifier: Apache-2.0 */
/* Counting in a profile, for every backend. */
#ifndef MBI_EXEC_PROFILE_H
#define MBI_EXEC_PROFILE_H

#include "exec/backend.h"
#include <string.h>

/* One call of a kernel. What comes after the table is full counts with its last entry. */
static inline void mbi_profile_add(struct mbi_profile *p, const char *name, uint64_t ns)
{
    size_t i = 0;

    while (i < p->n && p->entry[i].name != name && strcmp(p->entry[i].name, name))
        i++;
    if (i == p->n && p->n == MBI_PROFILE_MAX) {
        i--;
    } else if (i == p->n) {
        p->entry[i].name = name;
        p->entry[i].calls = p->entry[i].ns = 0;
        p->n++;
    }
    p->entry[i].calls++;
    p->entry[i].ns += ns;
}

#endif

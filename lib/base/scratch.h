/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large blocks that go from one step of a long computation to the next one. Memory that the system
 * gives for the first time has to be cleared by it, which costs more than most of what is done with
 * it; so a host with a scratch keeps what mbi_alloc_huge() gave until the scratch is closed. It
 * asks for more only if no free part is large enough, and first gives back what is wholly free:
 * there is never more than without it, but for what is left over between blocks.
 */
#ifndef MBI_BASE_SCRATCH_H
#define MBI_BASE_SCRATCH_H

#include "base/host.h"
#include <pthread.h>

struct mbi_scratch_part;

struct mbi_scratch {
    pthread_mutex_t lock;
    struct mbi_scratch_part *first;
};

/* From now on the host has this scratch; false if the system has no lock for it, and then the host
 * is what it was. Both stay where they are until the end. */
bool mbi_scratch_open(struct mbi_scratch *s, struct mbi_host *host);

/* Every block has to be free by now. */
void mbi_scratch_close(struct mbi_scratch *s, struct mbi_host *host);

/* For host.c: a block of whole huge pages, or NULL; and whether a block was one of these, and is
 * free now. */
void *mbi_scratch_take(const struct mbi_host *host, size_t size);
bool mbi_scratch_give(const struct mbi_host *host, void *block);

#endif

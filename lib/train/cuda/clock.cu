/* SPDX-License-Identifier: Apache-2.0 */
/* Events and the sums of the times between them. */
#include "train/cuda/clock.h"

#include <cstring>

#define EVENTS 4096 /* marks between two readings; later ones are not counted */

struct mbi_clock {
    const struct mbi_host *host;
    cudaEvent_t event[EVENTS];
    const char *name[EVENTS];
    uint32_t made, used;
    struct mbi_profile profile;
};

void mbi_clock_create(struct mbi_clock **out, const struct mbi_host *host)
{
    *out = (struct mbi_clock *)host->alloc(host->alloc_user, NULL, sizeof(**out));
    if (*out) {
        memset((void *)*out, 0, sizeof(**out));
        (*out)->host = host;
    }
}

void mbi_clock_free(struct mbi_clock *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->made; i++)
        cudaEventDestroy(c->event[i]);
    c->host->alloc(c->host->alloc_user, c, 0);
}

void mbi_clock_mark(struct mbi_clock *c, const char *name, cudaStream_t stream)
{
    if (c->used == EVENTS)
        return;
    if (c->used == c->made) {
        if (cudaEventCreate(&c->event[c->made]))
            return;
        c->made++;
    }
    c->name[c->used] = name;
    if (!cudaEventRecord(c->event[c->used], stream))
        c->used++;
}

const struct mbi_profile *mbi_clock_read(struct mbi_clock *c)
{
    for (uint32_t i = 1; i < c->used; i++) {
        float ms;

        if (c->name[i] && !cudaEventElapsedTime(&ms, c->event[i - 1], c->event[i]))
            mbi_profile_add(&c->profile, c->name[i], (uint64_t)((double)ms * 1000000));
    }
    c->used = 0;
    return &c->profile;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of regions, in the order of their addresses within each region. */
#include "base/scratch.h"
#include "base/intmath.h"

/* Regions follow each other in any order; the parts of one are neighbours in the list. */
struct mbi_scratch_part {
    struct mbi_scratch_part *next;
    uint8_t *at, *region;
    size_t size;
    bool used;
};

static bool is_whole(const struct mbi_scratch_part *p)
{
    return p->at == p->region && (!p->next || p->next->region != p->region);
}

static struct mbi_scratch_part *add_part(const struct mbi_host *plain,
                                         struct mbi_scratch_part **link, uint8_t *at,
                                         uint8_t *region, size_t size)
{
    struct mbi_scratch_part *p = mbi_alloc(plain, 1, sizeof(*p));

    if (p) {
        *p = (struct mbi_scratch_part){*link, at, region, size, false};
        *link = p;
    }
    return p;
}

/* The free part with the least size that is enough; NULL if there is none. */
static struct mbi_scratch_part *find_part(const struct mbi_scratch *s, size_t size)
{
    struct mbi_scratch_part *best = NULL;

    for (struct mbi_scratch_part *p = s->first; p; p = p->next)
        if (!p->used && p->size >= size && (!best || p->size < best->size))
            best = p;
    return best;
}

/* Gives regions back in which nothing is used. */
static void drop_regions(struct mbi_scratch *s, const struct mbi_host *plain)
{
    for (struct mbi_scratch_part **link = &s->first, *p; (p = *link);) {
        if (p->used || !is_whole(p)) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        mbi_free_aligned(plain, p->region);
        mbi_free(plain, p);
    }
}

static struct mbi_scratch_part *add_region(struct mbi_scratch *s, const struct mbi_host *plain,
                                           size_t size)
{
    uint8_t *region = mbi_alloc_huge(plain, size);
    struct mbi_scratch_part *p = region ? add_part(plain, &s->first, region, region, size) : NULL;

    if (!p)
        mbi_free_aligned(plain, region);
    return p;
}

/* Leaves what is behind `size` to a part of its own; without memory for that, the block is larger
 * than it has to be. */
static void split_part(struct mbi_scratch_part *p, const struct mbi_host *plain, size_t size)
{
    if (p->size > size && add_part(plain, &p->next, p->at + size, p->region, p->size - size))
        p->size = size;
}

static struct mbi_host without(const struct mbi_host *host)
{
    struct mbi_host plain = *host;

    plain.scratch = NULL;
    return plain;
}

void *mbi_scratch_take(const struct mbi_host *host, size_t size)
{
    const struct mbi_host plain = without(host);
    struct mbi_scratch *s = host->scratch;
    struct mbi_scratch_part *p;

    if (!mbi_add_size(&size, size, MBI_HUGE_PAGE - 1))
        return NULL;
    size = size / MBI_HUGE_PAGE * MBI_HUGE_PAGE;
    pthread_mutex_lock(&s->lock);
    if (!(p = find_part(s, size))) {
        drop_regions(s, &plain);
        p = add_region(s, &plain, size);
    }
    if (p) {
        split_part(p, &plain, size);
        p->used = true;
    }
    pthread_mutex_unlock(&s->lock);
    return p ? p->at : NULL;
}

/* Free neighbours of one region become one part. */
static void join_parts(struct mbi_scratch *s, const struct mbi_host *plain)
{
    for (struct mbi_scratch_part *p = s->first, *next; p; p = next) {
        next = p->next;
        if (!next || p->used || next->used || p->region != next->region)
            continue;
        p->size += next->size;
        p->next = next->next;
        mbi_free(plain, next);
        next = p;
    }
}

bool mbi_scratch_give(const struct mbi_host *host, void *block)
{
    const struct mbi_host plain = without(host);
    struct mbi_scratch *s = host->scratch;
    struct mbi_scratch_part *p;

    pthread_mutex_lock(&s->lock);
    p = s->first;
    while (p && p->at != block)
        p = p->next;
    if (p) {
        p->used = false;
        join_parts(s, &plain);
    }
    pthread_mutex_unlock(&s->lock);
    return p;
}

bool mbi_scratch_open(struct mbi_scratch *s, struct mbi_host *host)
{
    *s = (struct mbi_scratch){.first = NULL};
    if (pthread_mutex_init(&s->lock, NULL))
        return false;
    host->scratch = s;
    return true;
}

void mbi_scratch_close(struct mbi_scratch *s, struct mbi_host *host)
{
    if (host->scratch != s)
        return;
    host->scratch = NULL;
    drop_regions(s, host);
    pthread_mutex_destroy(&s->lock);
}

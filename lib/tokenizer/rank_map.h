/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash table from a pair of token ids to the rank of its merge. A slot is one number, so that
 * the table is small and a look at a slot is one load. The hash is keyed with a digest of the
 * content, so that no content can be made that collides with itself.
 */
#ifndef MBI_TOKENIZER_RANK_MAP_H
#define MBI_TOKENIZER_RANK_MAP_H

#include "base/blake2b.h"
#include "base/host.h"

#define MBI_RANK_NONE UINT32_MAX
#define MBI_RANK_BITS 20 /* ranks are below 2^20 */
#define MBI_ID_BITS 17   /* ids are below 2^17 */

struct mbi_rank_map {
    uint64_t *slot; /* left id, right id, rank from the top; UINT64_MAX: free */
    size_t mask;    /* slots - 1; slots are a power of two, at most half of them taken */
    uint64_t multiply, add;
};

/* Room for n pairs. False if memory is refused. */
bool mbi_rank_map_init(struct mbi_rank_map *map, const struct mbi_host *host, size_t n,
                       const uint8_t key[MBI_DIGEST_SIZE]);
void mbi_rank_map_free(struct mbi_rank_map *map, const struct mbi_host *host);

/* The slot that holds the pair, or the free one where it belongs. */
static inline uint64_t *mbi_rank_map_slot(const struct mbi_rank_map *map, uint64_t pair)
{
    uint64_t x = pair * map->multiply + map->add;
    size_t i;

    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    for (i = (size_t)(x >> 32) & map->mask;
         map->slot[i] >> MBI_RANK_BITS != pair && map->slot[i] != UINT64_MAX;
         i = (i + 1) & map->mask) {
    }
    return &map->slot[i];
}

static inline uint32_t mbi_rank_map_get(const struct mbi_rank_map *map, uint32_t left,
                                        uint32_t right)
{
    const uint64_t slot = *mbi_rank_map_slot(map, (uint64_t)left << MBI_ID_BITS | right);

    return slot == UINT64_MAX ? MBI_RANK_NONE : (uint32_t)slot & ((1u << MBI_RANK_BITS) - 1);
}

/* Add a pair. False if it is there already; there must be room. */
bool mbi_rank_map_add(struct mbi_rank_map *map, uint32_t left, uint32_t right, uint32_t rank);

#endif

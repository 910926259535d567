/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table from a pair of token ids to a number. The hash is keyed with a digest of the
 * content it will hold, so that no content can be made that collides with itself; what is stored
 * does not depend on the key.
 */
#ifndef MBI_TOKENIZER_PAIR_MAP_H
#define MBI_TOKENIZER_PAIR_MAP_H

#include "base/blake2b.h"
#include "base/host.h"

#define MBI_PAIR_NONE UINT32_MAX

struct mbi_pair_slot {
    uint32_t left, right;
    uint32_t value; /* MBI_PAIR_NONE: the slot is free */
};

struct mbi_pair_map {
    struct mbi_pair_slot *slot;
    size_t mask; /* slots - 1; slots are a power of two */
    size_t used; /* at most half of the slots */
    uint64_t multiply, add;
};

/* Room for n pairs before it grows. False if memory is refused. */
bool mbi_pair_map_init(struct mbi_pair_map *map, const struct mbi_host *host, size_t n,
                       const uint8_t key[MBI_DIGEST_SIZE]);
void mbi_pair_map_free(struct mbi_pair_map *map, const struct mbi_host *host);

static inline size_t mbi_pair_hash(const struct mbi_pair_map *map, uint32_t left, uint32_t right)
{
    uint64_t x = ((uint64_t)left << 32 | right) * map->multiply + map->add;

    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    return (size_t)(x >> 32) & map->mask;
}

/* The slot that holds the pair, or the free one where it belongs. */
static inline struct mbi_pair_slot *mbi_pair_map_slot(const struct mbi_pair_map *map, uint32_t left,
                                                      uint32_t right)
{
    size_t i = mbi_pair_hash(map, left, right);

    while (map->slot[i].value != MBI_PAIR_NONE &&
           (map->slot[i].left != left || map->slot[i].right != right))
        i = (i + 1) & map->mask;
    return &map->slot[i];
}

static inline uint32_t mbi_pair_map_get(const struct mbi_pair_map *map, uint32_t left,
                                        uint32_t right)
{
    return mbi_pair_map_slot(map, left, right)->value;
}

/* Add a pair that is not there yet. False if memory is refused; the map is then as before. */
bool mbi_pair_map_add(struct mbi_pair_map *map, const struct mbi_host *host, uint32_t left,
                      uint32_t right, uint32_t value);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of merges: creation and filling. */
#include "tokenizer/rank_map.h"
#include "base/bytes.h"

#define MIN_SLOTS 64

bool mbi_rank_map_init(struct mbi_rank_map *map, const struct mbi_host *host, size_t n,
                       const uint8_t key[MBI_DIGEST_SIZE])
{
    size_t slots = MIN_SLOTS;

    while (slots / 2 < n)
        slots *= 2;
    *map = (struct mbi_rank_map){
        .slot = mbi_realloc(host, NULL, slots, sizeof(*map->slot)),
        .mask = slots - 1,
        .multiply = mbi_load64(key) | 1,
        .add = mbi_load64(key + 8),
    };
    if (map->slot)
        memset(map->slot, 0xff, slots * sizeof(*map->slot));
    return map->slot != NULL;
}

void mbi_rank_map_free(struct mbi_rank_map *map, const struct mbi_host *host)
{
    mbi_free(host, map->slot);
    *map = (struct mbi_rank_map){0};
}

bool mbi_rank_map_add(struct mbi_rank_map *map, uint32_t left, uint32_t right, uint32_t rank)
{
    const uint64_t pair = (uint64_t)left << MBI_ID_BITS | right;
    uint64_t *const slot = mbi_rank_map_slot(map, pair);

    if (*slot != UINT64_MAX)
        return false;
    *slot = pair << MBI_RANK_BITS | rank;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The table from pairs of ids to numbers: creation and growth. */
#include "tokenizer/pair_map.h"
#include "base/bytes.h"
#include "base/intmath.h"

#define MIN_SLOTS 64
#define MAX_SLOTS ((size_t)1 << 31) /* the hash has 32 bits */

static bool set_slots(struct mbi_pair_map *map, const struct mbi_host *host, size_t slots)
{
    map->slot = slots > MAX_SLOTS ? NULL : mbi_alloc(host, slots, sizeof(*map->slot));
    if (!map->slot)
        return false;
    for (size_t i = 0; i < slots; i++)
        map->slot[i].value = MBI_PAIR_NONE;
    map->mask = slots - 1;
    return true;
}

bool mbi_pair_map_init(struct mbi_pair_map *map, const struct mbi_host *host, size_t n,
                       const uint8_t key[MBI_DIGEST_SIZE])
{
    size_t slots = MIN_SLOTS;

    *map = (struct mbi_pair_map){.multiply = mbi_load64(key) | 1, .add = mbi_load64(key + 8)};
    while (slots / 2 < n && slots <= MAX_SLOTS)
        slots *= 2;
    return set_slots(map, host, slots);
}

void mbi_pair_map_free(struct mbi_pair_map *map, const struct mbi_host *host)
{
    mbi_free(host, map->slot);
    *map = (struct mbi_pair_map){0};
}

static bool grow(struct mbi_pair_map *map, const struct mbi_host *host)
{
    const struct mbi_pair_map old = *map;

    if (!set_slots(map, host, 2 * (old.mask + 1))) {
        *map = old;
        return false;
    }
    for (size_t i = 0; i <= old.mask; i++)
        if (old.slot[i].value != MBI_PAIR_NONE)
            *mbi_pair_map_slot(map, old.slot[i].left, old.slot[i].right) = old.slot[i];
    mbi_free(host, old.slot);
    return true;
}

bool mbi_pair_map_add(struct mbi_pair_map *map, const struct mbi_host *host, uint32_t left,
                      uint32_t right, uint32_t value)
{
    if (map->used >= (map->mask + 1) / 2 && !grow(map, host))
        return false;
    *mbi_pair_map_slot(map, left, right) = (struct mbi_pair_slot){left, right, value};
    map->used++;
    return true;
}

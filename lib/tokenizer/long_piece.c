/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long pieces: the ranks of all pairs are the leaves of a tree of minima, so that the lowest rank,
 * the leftmost of equals, is found in one walk from the root.
 *
 * A symbol is kept at the position of its first byte; its length is that of its token, so the
 * next symbol is found from it, and the symbol before position p from start[p - 1].
 */
#include "base/intmath.h"
#include "tokenizer/encode.h"

#define FAN 16 /* children of a tree node: one cache line of ranks */
#define NO_RANK MBI_RANK_NONE

void mbi_long_piece_free(struct mbi_long_piece *p)
{
    mbi_free(p->host, p->id);
    mbi_free(p->host, p->start);
    mbi_free(p->host, p->rank);
    *p = (struct mbi_long_piece){.host = p->host, .nodes = p->nodes};
}

/* Sizes of the levels for n positions, each padded to whole nodes. Returns their sum. */
static size_t set_levels(struct mbi_long_piece *p, size_t n)
{
    size_t total = 0;

    p->levels = 0;
    do {
        p->level_size[p->levels] = mbi_align_size(n, FAN);
        total += p->level_size[p->levels++];
        n = (n + FAN - 1) / FAN;
    } while (n > 1);
    return total;
}

/* About 12.3 bytes for each byte of the piece. */
static bool reserve_long(struct mbi_long_piece *p, size_t n)
{
    const size_t total = set_levels(p, n);

    if (n > p->cap) {
        mbi_long_piece_free(p);
        set_levels(p, n);
        p->id = mbi_alloc(p->host, n, sizeof(*p->id));
        p->start = mbi_alloc(p->host, n, sizeof(*p->start));
        p->rank = mbi_alloc(p->host, total, sizeof(*p->rank));
        if (!p->id || !p->start || !p->rank)
            return false;
        p->cap = n;
    }
    p->level[0] = p->rank;
    for (int i = 1; i < p->levels; i++)
        p->level[i] = p->level[i - 1] + p->level_size[i - 1];
    memset(p->rank, 0xff, total * sizeof(*p->rank)); /* NO_RANK everywhere */
    return true;
}

static uint32_t node_min(const uint32_t *child)
{
    uint32_t least = child[0];

    for (int i = 1; i < FAN; i++)
        least = child[i] < least ? child[i] : least;
    return least;
}

static void set_rank(struct mbi_long_piece *p, size_t at, uint32_t rank)
{
    p->level[0][at] = rank;
    for (int i = 1; i < p->levels; i++) {
        const uint32_t least = node_min(p->level[i - 1] + at / FAN * FAN);

        p->nodes++;
        at /= FAN;
        if (p->level[i][at] == least)
            return;
        p->level[i][at] = least;
    }
}

/* Position of the lowest rank, the leftmost of equals; false if no pair is a merge. */
static bool find_lowest(size_t *at, struct mbi_long_piece *p)
{
    const uint32_t least = node_min(p->level[p->levels - 1]);
    size_t node = 0;

    p->nodes += (uint64_t)p->levels;
    if (least == NO_RANK)
        return false;
    for (int i = p->levels - 1; i >= 0; i--) {
        node *= FAN;
        while (p->level[i][node] != least)
            node++;
    }
    *at = node;
    return true;
}

static void join(struct mbi_long_piece *p, const struct mbi_tokenizer *t, size_t at, size_t n)
{
    const uint32_t made = t->result[p->level[0][at]];
    const size_t right = at + mbi_token_len(t, p->id[at]);
    const size_t end = at + mbi_token_len(t, made);

    p->id[at] = made;
    p->start[end - 1] = (uint32_t)at;
    set_rank(p, right, NO_RANK);
    set_rank(p, at, end < n ? mbi_rank_map_get(&t->rank, made, p->id[end]) : NO_RANK);
    if (at > 0) {
        const uint32_t before = p->start[at - 1];

        set_rank(p, before, mbi_rank_map_get(&t->rank, p->id[before], made));
    }
}

static void fill_long(struct mbi_long_piece *p, const struct mbi_tokenizer *t, const uint8_t *text,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->id[i] = (uint32_t)t->byte[text[i]];
        p->start[i] = (uint32_t)i;
    }
    for (size_t i = 0; i + 1 < n; i++)
        p->level[0][i] = mbi_rank_map_get(&t->rank, p->id[i], p->id[i + 1]);
    for (int i = 1; i < p->levels; i++)
        for (size_t k = 0; k < p->level_size[i - 1] / FAN; k++)
            p->level[i][k] = node_min(p->level[i - 1] + k * FAN);
}

int32_t mbi_encode_long(struct mbi_buf *out, struct mbi_long_piece *p,
                        const struct mbi_tokenizer *t, const uint8_t *text, size_t n,
                        mambaint_error *err)
{
    size_t at;

    if (n >= UINT32_MAX)
        return mbi_fail(err, MAMBAINT_E_RANGE, "encode: a word of %zu bytes is too long", n);
    if (!reserve_long(p, n))
        return mbi_fail_memory(err, "encoding a long word");
    fill_long(p, t, text, n);
    while (find_lowest(&at, p))
        join(p, t, at, n);
    for (size_t i = 0; i < n; i += mbi_token_len(t, p->id[i])) {
        const int32_t id = (int32_t)p->id[i];

        mbi_buf_add(out, &id, sizeof(id));
    }
    return MAMBAINT_OK;
}

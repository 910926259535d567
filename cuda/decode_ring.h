/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of weights. A block knows which rows of every matrix of a step are its own, and each
 * of its warps which units of these, so a warp asks for them in the order of the step, into a ring
 * in shared memory that only it reads, as soon as there is room. They come as fast as memory gives
 * them, also while the block waits for others or does something else.
 */
#ifndef MBI_CUDA_DECODE_RING_H
#define MBI_CUDA_DECODE_RING_H

#include "cuda/decode_phase.h"
#include "cuda/matrix_dot.h"

#define MBI_UNIT 2048u /* a column block of int8, four of ternary */

/* Units of a warp that are asked for ahead: as many as hide what a layer does besides, and what a
 * unit takes to come; fewer where there is no room. */
#define MBI_RING_MOST 6
#define MBI_RING_LEAST 2

/* A warp's units of its block's share: [begin, end) of those of its `tiles` column blocks. */
struct mbi_units {
    uint32_t tiles, begin, end;
};

static __device__ __forceinline__ struct mbi_units mbi_units_of(const struct mbi_decode_part *part)
{
    const uint32_t warp = threadIdx.x / MBI_WARP;
    struct mbi_units u;

    u.tiles = part->share.n * part->col_blocks;
    const uint32_t all = part->ternary ? (u.tiles + 3) / 4 : u.tiles;

    u.begin = all * warp / MBI_DECODE_WARPS;
    u.end = all * (warp + 1) / MBI_DECODE_WARPS;
    return u;
}

struct mbi_ring {
    const struct mbi_decode_part *part; /* [n_parts], shared */
    char *slot;                         /* this warp's units */
    const uint8_t *from;                /* what is asked for next, `left` bytes of this part */
    uint32_t left, next, n_parts, depth, head, tail, groups;
};

static __device__ __forceinline__ void mbi_ring_open(struct mbi_ring *r)
{
    while (!r->left && r->next < r->n_parts) {
        const struct mbi_decode_part *part = &r->part[r->next];
        const struct mbi_units u = mbi_units_of(part);
        const uint32_t tile = part->ternary ? MBI_UNIT / 4 : MBI_UNIT, size = u.tiles * tile;
        const uint32_t end = u.end * MBI_UNIT < size ? u.end * MBI_UNIT : size;

        r->next++;
        r->from = part->packed + (size_t)part->share.first * part->col_blocks * tile +
                  (size_t)u.begin * MBI_UNIT;
        r->left = u.begin < u.end ? end - u.begin * MBI_UNIT : 0;
    }
}

/* Ask for the next unit, if there is one; it is a group of copies also if there is none. */
static __device__ __forceinline__ void mbi_ring_push(struct mbi_ring *r)
{
    const uint32_t lane = threadIdx.x % MBI_WARP;

    mbi_ring_open(r);
    if (r->left) {
        MBI_UNROLL
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t at = (i * MBI_WARP + lane) * 16;

            if (at < r->left)
                mbi_copy16(r->slot + r->tail * MBI_UNIT + at, r->from + at, true);
        }
        r->from += MBI_UNIT;
        r->left -= r->left < MBI_UNIT ? r->left : MBI_UNIT;
        r->tail = r->tail + 1 == r->depth ? 0 : r->tail + 1;
    }
    mbi_copy_commit();
    r->groups++;
}

static __device__ __forceinline__ void mbi_ring_start(struct mbi_ring *r,
                                                      const struct mbi_decode_part *part,
                                                      uint32_t n_parts, char *ring, uint32_t depth)
{
    *r = {};
    r->part = part;
    r->n_parts = n_parts;
    r->depth = depth;
    r->slot = ring + (size_t)(threadIdx.x / MBI_WARP) * depth * MBI_UNIT;
    for (uint32_t i = 0; i < depth; i++)
        mbi_ring_push(r);
}

/* At most `n` groups stay under way, or a few less: how many is part of the instruction. */
static __device__ __forceinline__ void mbi_ring_leave(uint32_t n)
{
    if (n >= 5)
        mbi_copy_wait<5>();
    else if (n >= 3)
        mbi_copy_wait<3>();
    else if (n >= 1)
        mbi_copy_wait<1>();
    else
        mbi_copy_wait<0>();
}

/* The next unit of the warp. Its place is free then: a push has to follow. */
template <bool ternary>
static __device__ __forceinline__ void mbi_ring_take(struct mbi_ring *r, mbi_dot_unit<ternary> &u)
{
    const uint4 *p = (const uint4 *)(r->slot + r->head * MBI_UNIT) + threadIdx.x % MBI_WARP;

    mbi_ring_leave(r->depth - 1);
    __syncwarp();
    MBI_UNROLL
    for (uint32_t i = 0; i < 4; i++)
        u.w[i] = p[i * MBI_WARP];
    __syncwarp();
    r->head = r->head + 1 == r->depth ? 0 : r->head + 1;
}

/* Waits for a group of copies that was closed when `groups` were. */
static __device__ __forceinline__ void mbi_ring_wait(const struct mbi_ring *r, uint32_t groups)
{
    mbi_ring_leave(r->groups - groups);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loop of a product with few vectors, which reads the matrix once and is bound by that:
 * a warp multiplies 16 rows with 8 vectors a tile, over some of the column blocks. The vectors
 * lie in shared memory, the weights come straight from device memory in the order of
 * cuda/matrix.h, a unit (2048 bytes) ahead of their use.
 */
#ifndef MBI_CUDA_MATRIX_DOT_H
#define MBI_CUDA_MATRIX_DOT_H

#include "cuda/matrix.h"

/* Bytes between the vectors in shared memory: rows of 16 bytes then lie in different banks. */
static __host__ __device__ inline uint32_t mbi_dot_pitch(uint32_t col_blocks)
{
    return col_blocks * MBI_BLOCK_COLS + 16;
}

/* Bytes of a[r] of a product of a ternary matrix: the weights plus 1. */
static __device__ __forceinline__ uint32_t mbi_trits(uint32_t word, int r)
{
    return (word >> (2 * r)) & 0x03030303u;
}

/* Where this lane reads vectors 8 tile .. 8 tile + 7 in shared memory. Vectors that are not there
 * are the last one instead: their sums are for nobody. */
static __device__ __forceinline__ const uint8_t *mbi_dot_vector(const uint8_t *x, uint32_t pitch,
                                                                uint32_t lanes, uint32_t tile)
{
    const uint32_t l = threadIdx.x % MBI_WARP, n = 8 * tile + l % 8;

    return x + (size_t)(n < lanes ? n : lanes - 1) * pitch + l / 8 * 16;
}

/* Column blocks from, from + step .. below `end` of a row of blocks; end = 0: none. */
struct mbi_dot_range {
    const uint8_t *row_block;
    uint32_t from, step, end;
};

/* A unit: one column block of int8, four of ternary, `step` apart. */
template <bool ternary> struct mbi_dot_unit {
    static const uint32_t blocks = ternary ? 4 : 1;
    uint4 w[4];

    /* At column block b of a range; blocks beyond its end are left out. */
    __device__ __forceinline__ void fetch(const mbi_dot_range &r, uint32_t b)
    {
        const uint32_t size = MBI_BLOCK_ROWS * MBI_BLOCK_COLS / (ternary ? 4 : 1);
        const uint32_t l = threadIdx.x % MBI_WARP;

#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t block = ternary ? b + i * r.step : b;
            const uint4 *p = (const uint4 *)(r.row_block + (size_t)block * size);

            if (block < r.end)
                w[i] = mbi_stream(p + (ternary ? 0 : i * MBI_WARP) + l);
        }
    }
};

/* Sums of 16 rows and tiles of 8 vectors, in the order of c of mbi_mma(). Wrap-around: only the
 * whole sum need fit. */
template <bool ternary, bool wide, int tiles> struct mbi_dot_sums {
    int32_t c[tiles][4];                  /* wide: of the high bytes */
    int32_t low[wide ? tiles : 1][4];     /* wide: of the low bytes, unsigned */
    int32_t ones[ternary ? tiles : 1][4]; /* ternary: sums of x, as the weights are 1 too large */
    int32_t ones_low[ternary && wide ? tiles : 1][4];

    __device__ __forceinline__ void clear(void)
    {
#pragma unroll
        for (int t = 0; t < tiles; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                c[t][i] = 0;
                low[wide ? t : 0][i] = ones[ternary ? t : 0][i] = 0;
                ones_low[ternary && wide ? t : 0][i] = 0;
            }
    }

    /* Products q and q + 1 of a block with the four operands b of a tile. */
    __device__ __forceinline__ void pair(int t, const uint32_t a[2][4], const uint32_t b[4],
                                         const uint32_t b_low[4])
    {
        const uint32_t one[4] = {0x01010101u, 0x01010101u, 0x01010101u, 0x01010101u};

#pragma unroll
        for (int i = 0; i < 2; i++) {
            mbi_mma(c[t], a[i], b + 2 * i);
            if (ternary)
                mbi_mma(ones[ternary ? t : 0], one, b + 2 * i);
            if (wide)
                mbi_mma_u8(low[wide ? t : 0], a[i], b_low + 2 * i);
            if (ternary && wide)
                mbi_mma_u8(ones_low[ternary && wide ? t : 0], one, b_low + 2 * i);
        }
    }

    /* Left operands of products 2 half and 2 half + 1 of column block i of the unit. */
    __device__ __forceinline__ void left(uint32_t a[2][4], const mbi_dot_unit<ternary> &u, int i,
                                         int half) const
    {
        const uint32_t word[4] = {u.w[i].x, u.w[i].y, u.w[i].z, u.w[i].w};

#pragma unroll
        for (int q = 0; q < 2; q++) {
            const uint4 w = u.w[2 * half + q];
            const uint32_t whole[4] = {w.x, w.y, w.z, w.w};

#pragma unroll
            for (int r = 0; r < 4; r++)
                a[q][r] = ternary ? mbi_trits(word[2 * half + q], r) : whole[r];
        }
    }

    /* Half a column block of the unit with the right operands of its two products. */
    __device__ __forceinline__ void products(const mbi_dot_unit<ternary> &u, int i, int half,
                                             const uint32_t b[4])
    {
        uint32_t a[2][4];

        left(a, u, i, half);
        pair(0, a, b, b);
    }

    /* One column block of the unit; x[t] is where this lane finds its columns, low bytes `plane`
     * further on. */
    __device__ __forceinline__ void block(const mbi_dot_unit<ternary> &u, int i,
                                          const uint8_t *const x[tiles], uint32_t at,
                                          uint32_t plane)
    {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t a[2][4], b[4], b_low[4] = {0, 0, 0, 0};

            left(a, u, i, half);
#pragma unroll
            for (int t = 0; t < tiles; t++) {
                mbi_load_matrices(b, x[t] + at + 64 * half);
                if (wide)
                    mbi_load_matrices(b_low, x[t] + at + 64 * half + plane);
                pair(t, a, b, b_low);
            }
        }
    }

    /* The unit fetched at block b of the range; x[t] holds columns from block `first` on. */
    __device__ __forceinline__ void add(const mbi_dot_unit<ternary> &u, const mbi_dot_range &r,
                                        uint32_t b, const uint8_t *const x[tiles], uint32_t first,
                                        uint32_t plane)
    {
#pragma unroll
        for (uint32_t i = 0; i < mbi_dot_unit<ternary>::blocks; i++)
            if (b + i * r.step < r.end)
                block(u, (int)i, x, (b + i * r.step - first) * MBI_BLOCK_COLS, plane);
    }

    __device__ __forceinline__ int32_t sum(int t, int i) const
    {
        uint32_t v = (uint32_t)c[t][i];

        if (ternary)
            v -= (uint32_t)ones[ternary ? t : 0][i];
        if (wide)
            v = (v << 8) + (uint32_t)low[wide ? t : 0][i];
        if (ternary && wide)
            v -= (uint32_t)ones_low[ternary && wide ? t : 0][i];
        return (int32_t)v;
    }
};

/*
 * Adds the blocks of a range to the sums. Its first unit has been fetched into u already, so that
 * it can be under way while x is not there yet; in the end u is the first unit of the range
 * `next`.
 */
template <bool ternary, bool wide, int tiles>
static __device__ __forceinline__ void mbi_dot_blocks(
    mbi_dot_sums<ternary, wide, tiles> &s, mbi_dot_unit<ternary> &u, const mbi_dot_range &range,
    const mbi_dot_range &next, const uint8_t *const x[tiles], uint32_t first, uint32_t plane)
{
    const uint32_t unit = range.step * mbi_dot_unit<ternary>::blocks;
    uint32_t b = range.from;

    while (b < range.end) {
        const uint32_t after = b + unit;
        mbi_dot_unit<ternary> ahead;

        if (after < range.end)
            ahead.fetch(range, after);
        else
            ahead.fetch(next, next.from);
        s.add(u, range, b, x, first, plane);
        u = ahead;
        b = after;
    }
    if (range.from >= range.end)
        u.fetch(next, next.from);
}

#endif

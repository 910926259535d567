/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with a matrix on the device: how matrices are packed, and what follows a sum. All sums
 * are exact int32, so they may be made in any order.
 *
 * A packed matrix is cut into blocks of 16 rows and 128 columns, each in the order in which the
 * lanes of a warp hold the left operand of mbi_mma(), four products a block; blocks of the same
 * rows follow each other. Rows and columns beyond the matrix are weight 0.
 *   int8: 2048 bytes a block, product q (columns 32 q ..) at 512 q, lane l at 16 l: a[0..3].
 *   ternary: 512 bytes a block, lane l at 16 l: word q is product q; byte b of a[r] is
 *   (word >> (8 b + 2 r)) & 3, the weight plus 1.
 */
#ifndef MBI_CUDA_MATRIX_H
#define MBI_CUDA_MATRIX_H

#include "cuda/device.h"

#define MBI_BLOCK_ROWS 16
#define MBI_BLOCK_COLS 128

/* A matrix on the device. */
struct mbi_cuda_matrix {
    const uint8_t *packed;
    uint32_t dtype; /* MBI_I8 or MBI_TERNARY */
    uint32_t rows, cols;
};

static __host__ __device__ inline uint32_t mbi_row_blocks(const struct mbi_cuda_matrix *m)
{
    return (m->rows + MBI_BLOCK_ROWS - 1) / MBI_BLOCK_ROWS;
}
static __host__ __device__ inline uint32_t mbi_col_blocks(const struct mbi_cuda_matrix *m)
{
    return (m->cols + MBI_BLOCK_COLS - 1) / MBI_BLOCK_COLS;
}
static __host__ __device__ inline uint32_t mbi_block_size(uint32_t dtype)
{
    return MBI_BLOCK_ROWS * MBI_BLOCK_COLS / (dtype == MBI_TERNARY ? 4 : 1);
}

enum mbi_finish_kind { MBI_FINISH_NONE, MBI_FINISH_SHIFT, MBI_FINISH_ROWS, MBI_FINISH_MUL };

/*
 * What becomes of a sum: nothing (i32), or requant, requant_rows, requant_mul, and then perhaps
 * addsat with a value of i32. The same formulas as in lib/op/requant.c and lib/op/arith.c.
 */
struct mbi_cuda_finish {
    void *out;          /* [lanes][rows] */
    const int32_t *add; /* [lanes][rows], NULL: none; may be `out` */
    const int8_t *exponent;
    const int16_t *scale;
    uint32_t dtype; /* of out */
    int32_t kind;   /* enum mbi_finish_kind */
    int32_t shift, lo, hi;
    int32_t bits; /* of addsat */
};

/* What is written on the way besides, as i32 [lanes][rows]; NULL: not kept. */
struct mbi_cuda_kept {
    int32_t *sum;
    int32_t *rounded; /* before the addition */
};

/* What finishing takes from memory for a row. */
struct mbi_finish_row {
    int32_t exponent, scale;
};

static __device__ __forceinline__ struct mbi_finish_row mbi_finish_row(
    const struct mbi_cuda_finish *f, uint32_t row)
{
    if (f->kind == MBI_FINISH_ROWS)
        return {f->exponent[row], 0};
    if (f->kind == MBI_FINISH_MUL)
        return {*f->exponent, *f->scale};
    return {0, 0};
}

/* `added` is what addsat adds, if it does. */
static __device__ __forceinline__ int64_t mbi_finished(const struct mbi_cuda_finish *f, int32_t sum,
                                                       struct mbi_finish_row r, bool adds,
                                                       int32_t added)
{
    const int s = f->shift + r.exponent;
    int64_t v = sum;

    if (f->kind == MBI_FINISH_ROWS && s > 0 && s < 32 && f->dtype != MBI_I64) {
        const int32_t w = mbi_clamp_i32((sum >> s) + ((sum >> (s - 1)) & 1), f->lo, f->hi);

        if (!adds)
            return w;
        const int32_t top = (int32_t)((uint32_t)INT32_MAX >> (32 - f->bits));

        return mbi_clamp_i32(mbi_add_sat(w, added), -top - 1, top);
    }
    if (f->kind == MBI_FINISH_NONE)
        return v;
    if (f->kind == MBI_FINISH_MUL)
        v = mbi_rshift_half_up(v * r.scale, s);
    else
        v = mbi_rsh_i32(sum, s);
    v = mbi_clamp_i64(v, f->lo, f->hi);
    return adds ? mbi_sat(v + added, f->bits) : v;
}

/* Element `at` of out, which is [lane][row]. */
static __device__ __forceinline__ void mbi_finish(const struct mbi_cuda_finish *f, int32_t sum,
                                                  uint32_t row, size_t at)
{
    const int64_t v = mbi_finished(f, sum, mbi_finish_row(f, row), f->add, f->add ? f->add[at] : 0);

    switch (f->dtype) {
    case MBI_I8:
        ((int8_t *)f->out)[at] = (int8_t)v;
        break;
    case MBI_I16:
        ((int16_t *)f->out)[at] = (int16_t)v;
        break;
    case MBI_I32:
        ((int32_t *)f->out)[at] = (int32_t)v;
        break;
    default:
        ((int64_t *)f->out)[at] = v;
    }
}

/* Bytes of a packed matrix; 0 if it is larger than a size. */
size_t mbi_cuda_packed_size(uint32_t dtype, uint32_t rows, uint32_t cols);

/* From row-major rows in device memory, as a parameter lies on the host. */
cudaError_t mbi_cuda_pack(uint8_t *packed, const void *raw, uint32_t dtype, uint32_t rows,
                          uint32_t cols, cudaStream_t stream);

/*
 * out = finish(W x) for every lane: x is [lanes][cols] of i8 or i16, rows without gaps, at any
 * alignment of its type. Chooses the kernel by the number of lanes. `kept` may be NULL.
 */
cudaError_t mbi_cuda_matmul(const struct mbi_cuda_matrix *m, const void *x, uint32_t x_dtype,
                            uint32_t lanes, const struct mbi_cuda_finish *finish,
                            const struct mbi_cuda_kept *kept, cudaStream_t stream);

#endif

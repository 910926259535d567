/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout in which the vector kernels read a matrix. Rows are taken in groups of sixteen; of
 * each group come the first four bytes of its rows, row by row, then the next four, and so on: one
 * vector of 64 bytes is the same columns of sixteen rows, so that every lane sums its own row and
 * nothing has to be added across lanes. Weights are unsigned there: i8 plus 128, ternary plus 1 as
 * stored (four a byte), which is what the byte products of all instruction sets want; the kernels
 * take the offset back with one sum over the input. Bytes behind the last column hold anything,
 * since their inputs are zero; rows behind the last are computed and dropped.
 */
#ifndef MBI_CPU_PACK_H
#define MBI_CPU_PACK_H

#include "base/host.h"
#include "base/intmath.h"
#include "graph/op.h"

#define MBI_PACK_ROWS 16
#define MBI_PACK_BYTES 4 /* of a row, side by side */
#define MBI_PACK_VECTOR ((size_t)(MBI_PACK_ROWS * MBI_PACK_BYTES))

/* Vectors of a group: steps of four i8 or sixteen ternary columns. */
static inline size_t mbi_pack_steps(const struct mbi_type *matrix)
{
    return (mbi_type_row_size(matrix) + MBI_PACK_BYTES - 1) / MBI_PACK_BYTES;
}

static inline size_t mbi_pack_groups(const struct mbi_type *matrix)
{
    return ((size_t)matrix->rows + MBI_PACK_ROWS - 1) / MBI_PACK_ROWS;
}

size_t mbi_packed_size(const struct mbi_type *matrix);

/* Lay out i8 or ternary rows; shared among the host's threads. `to` is aligned to 64 bytes. */
void mbi_pack(void *to, const struct mbi_type *matrix, const void *rows,
              const struct mbi_host *host);

#endif

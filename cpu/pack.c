/* SPDX-License-Identifier: Apache-2.0 */
/* Laying out matrices for the vector kernels. */
#include "cpu/pack.h"
#include <string.h>

struct packing {
    uint8_t *to;
    const struct mbi_type *matrix;
    const uint8_t *rows;
};

size_t mbi_packed_size(const struct mbi_type *matrix)
{
    return mbi_pack_groups(matrix) * mbi_pack_steps(matrix) * MBI_PACK_VECTOR;
}

/* Four bytes of a row; behind the row's end zeros. */
static uint32_t row_bytes(const uint8_t *row, size_t size, size_t at)
{
    uint32_t bytes = 0;

    memcpy(&bytes, row + at, mbi_min_size(MBI_PACK_BYTES, size - at));
    return bytes;
}

/* Whole steps first, where the length of a copy is a constant; rows behind the last repeat it. */
static void pack_group(const struct packing *p, size_t group)
{
    const size_t size = mbi_type_row_size(p->matrix), steps = mbi_pack_steps(p->matrix);
    const uint32_t flip = p->matrix->dtype == MBI_TERNARY ? 0 : 0x80808080u;
    uint8_t *to = p->to + group * steps * MBI_PACK_VECTOR;
    const uint8_t *row[MBI_PACK_ROWS];

    for (size_t r = 0; r < MBI_PACK_ROWS; r++)
        row[r] = p->rows + size * mbi_min_size(group * MBI_PACK_ROWS + r, p->matrix->rows - 1);
    for (size_t k = 0; k < size / MBI_PACK_BYTES; k++, to += MBI_PACK_VECTOR)
        for (size_t r = 0; r < MBI_PACK_ROWS; r++) {
            uint32_t bytes;

            memcpy(&bytes, row[r] + k * MBI_PACK_BYTES, sizeof(bytes));
            bytes ^= flip;
            memcpy(to + r * MBI_PACK_BYTES, &bytes, sizeof(bytes));
        }
    for (size_t r = 0; r < MBI_PACK_ROWS && size % MBI_PACK_BYTES; r++) {
        const uint32_t bytes =
            flip ^ row_bytes(row[r], size, size / MBI_PACK_BYTES * MBI_PACK_BYTES);

        memcpy(to + r * MBI_PACK_BYTES, &bytes, sizeof(bytes));
    }
}

static void pack_part(void *arg, size_t begin, size_t end)
{
    for (size_t group = begin; group < end; group++)
        pack_group(arg, group);
}

void mbi_pack(void *to, const struct mbi_type *matrix, const void *rows,
              const struct mbi_host *host)
{
    struct packing p = {to, matrix, rows};

    mbi_parallel_for(host, mbi_pack_groups(matrix), 1, pack_part, &p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Value types: an integer type, a shape, a fixed-point position and a proven interval. */
#ifndef MBI_GRAPH_TYPE_H
#define MBI_GRAPH_TYPE_H

#include <stddef.h>
#include <stdint.h>

enum mbi_dtype { MBI_TERNARY = 1, MBI_I8 = 2, MBI_I16 = 3, MBI_I32 = 4, MBI_I64 = 5 };

/*
 * One lane of a value has `cols` elements (rows = 1); a parameter is rows x cols, row major.
 * An element v stands for v / 2^frac and every v is in [lo, hi]. Ternary parameters hold four
 * elements a byte, element k of a row in bits 2 (k mod 4) as value + 1; rows are padded with 1.
 */
struct mbi_type {
    uint32_t dtype; /* enum mbi_dtype */
    int32_t frac;
    uint32_t rows, cols;
    int64_t lo, hi;
};

const char *mbi_dtype_name(uint32_t dtype);

/* Bytes of an element; 0 for ternary, which is packed by rows. */
size_t mbi_dtype_size(uint32_t dtype);

/* Bytes of one row (a lane of a value, a row of a parameter). */
size_t mbi_type_row_size(const struct mbi_type *t);

/* Smallest of i8, i16, i32, i64 that holds [lo, hi]. */
uint32_t mbi_dtype_for(int64_t lo, int64_t hi);

/* Largest magnitude in the interval. */
int64_t mbi_type_magnitude(const struct mbi_type *t);

#endif

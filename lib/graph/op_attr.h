/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of the operations: plain data, int32 fields only, so that the canonical bytes of a
 * graph need no knowledge of any operation. docs/arithmetic.md gives their meaning.
 */
#ifndef MBI_GRAPH_OP_ATTR_H
#define MBI_GRAPH_OP_ATTR_H

#include <stdint.h>

#define MBI_MAX_ATTR 6 /* int32 fields */

/* requant: clamp(rsh(x, shift), lo, hi). requant_rows: the row's exponent is added to shift.
 * requant_mul: x is first multiplied by the scale, whose exponent is added to shift. */
struct mbi_requant_attr {
    int32_t shift, lo, hi;
    int32_t frac; /* of the result */
};

struct mbi_addsat_attr {
    int32_t bits;
};

struct mbi_mul_attr {
    int32_t group; /* element i of the first input meets element i / group of the second */
};

struct mbi_slice_attr {
    int32_t offset, count;
};

struct mbi_norm_attr {
    int32_t groups; /* independent slices of equal size */
    int32_t frac;   /* of the result */
    int32_t bits;   /* of the result: 8 or 16 */
};

enum mbi_gate { MBI_GATE_HARD = 1, MBI_GATE_ALGEBRAIC = 2, MBI_GATE_SQUAREPLUS = 3 };

struct mbi_gate_attr {
    int32_t kind; /* enum mbi_gate */
};

struct mbi_decay_attr {
    int32_t hold; /* 1: the lower clamp means a decay of exactly zero */
};

struct mbi_rotate_attr {
    int32_t pairs; /* rotated pairs of B and of C: elements (2k, 2k+1), k < pairs */
};

struct mbi_scan_attr {
    int32_t chunk;                    /* Q */
    int32_t heads, head_dim, d_state; /* H, P, N */
    int32_t hold;                     /* 1: a chunk with no decay keeps h exactly */
};

#endif

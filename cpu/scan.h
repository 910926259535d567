/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan by chunks: what the vector kernels of every processor share. The rows that a call brings to
 * one chunk are done together; a part says which they are and where everything of them lies.
 *                                                                       arithmetic.md, scan
 */
#ifndef MBI_CPU_SCAN_H
#define MBI_CPU_SCAN_H

#include "base/intmath.h"
#include "graph/op.h"
#include <string.h>

#define MAX_CHUNK 256
#define MAX_STATE 512
#define TILE 4096     /* elements of a tile of S, C, M or B: rows are chosen to fit */
#define SCAN_SLICE 16 /* columns of a head that are done together */

enum { FIELD_H, FIELD_B, FIELD_XW, FIELD_L };

/* The rows [from, to) of one chunk, brought by the lanes from `lane` on. */
struct part {
    const struct mbi_op_args *a;
    const struct mbi_scan_attr *at;
    size_t lane, from, to;
    size_t chunk, heads, dim, n; /* Q, H, P, N */
    size_t s_cols;               /* a row of S and M: Q, at least 16 */
};

/* Before the first one: next_part() makes it. */
static inline struct part part_of(const struct mbi_op_args *a)
{
    const struct mbi_scan_attr *at = a->attr;

    return (struct part){.a = a,
                         .at = at,
                         .chunk = (size_t)at->chunk,
                         .heads = (size_t)at->heads,
                         .dim = (size_t)at->head_dim,
                         .n = (size_t)at->d_state,
                         .s_cols = mbi_max_size((size_t)at->chunk, 16)};
}

static inline bool next_part(struct part *p)
{
    p->lane += p->to - p->from;
    p->from = (size_t)((p->a->pos + p->lane) % p->chunk);
    p->to = mbi_min_size(p->chunk, p->from + p->a->lanes - p->lane);
    return p->lane < p->a->lanes;
}

/* Other shapes go to the reference. */
static inline bool shape_fits(const struct part *p)
{
    return p->n >= 16 && p->dim % SCAN_SLICE == 0;
}

/* Rows of a tile of S, C and M. */
static inline size_t tile_rows(const struct part *p)
{
    return mbi_min_size(TILE / p->s_cols, TILE / p->n);
}

/* ---- inputs and outputs, by row of the chunk; those before `from` are in the state alone ---- */

static inline const int8_t *x_row(const struct part *p, size_t head, size_t j)
{
    return (const int8_t *)p->a->in[0] + ((p->lane + j - p->from) * p->heads + head) * p->dim;
}

static inline const int8_t *b_row(const struct part *p, size_t j)
{
    return j >= p->from ? (const int8_t *)p->a->in[1] + (p->lane + j - p->from) * 2 * p->n
                        : (const int8_t *)p->a->state[FIELD_B] + j * p->n;
}

static inline const int8_t *c_row(const struct part *p, size_t i)
{
    return (const int8_t *)p->a->in[1] + ((p->lane + i - p->from) * 2 + 1) * p->n;
}

static inline int32_t l_input(const struct part *p, size_t head, size_t j)
{
    return ((const int32_t *)p->a->in[2])[(p->lane + j - p->from) * p->heads + head];
}

static inline int32_t *y_row(const struct part *p, size_t head, size_t i)
{
    return (int32_t *)p->a->out + ((p->lane + i - p->from) * p->heads + head) * p->dim;
}

/* ---- the state; row Q - 1 has no slots ---- */

static inline int32_t *h_rows(const struct part *p, size_t head)
{
    return (int32_t *)p->a->state[FIELD_H] + head * p->n * p->dim;
}

static inline int16_t *xw_slot(const struct part *p, size_t head, size_t j)
{
    return (int16_t *)p->a->state[FIELD_XW] + (j * p->heads + head) * p->dim;
}

static inline int32_t *l_slot(const struct part *p, size_t head, size_t j)
{
    return (int32_t *)p->a->state[FIELD_L] + j * p->heads + head;
}

/* The chunk's rows are through. */
static inline void clear_slots(const struct part *p, size_t head)
{
    for (size_t j = 0; j + 1 < p->chunk; j++) {
        memset(xw_slot(p, head, j), 0, p->dim * sizeof(int16_t));
        *l_slot(p, head, j) = 0;
    }
}

static inline int s_shift(const struct part *p) { return mbi_bitlen(p->n) - 2; } /* log2(N) - 1 */

#endif

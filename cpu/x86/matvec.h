/* SPDX-License-Identifier: Apache-2.0 */
/* Products of packed matrices: what the ways to do them share. */
#ifndef MBI_CPU_X86_MATVEC_H
#define MBI_CPU_X86_MATVEC_H

#include "cpu/pack.h"
#include "cpu/x86/finish.h"

#define BLOCK_GROUPS 4 /* groups of sixteen rows that a part consists of */

/* Groups [begin, end) of a packed matrix times all prepared inputs. */
struct product {
    const uint8_t *w;
    size_t steps; /* vectors of a group */
    size_t begin, end;
    const int32_t *offset; /* of each lane: what its sums begin with */
    const char *x;         /* lanes of x_size bytes */
    size_t x_size, lanes;
    struct mbi_fetch fetch; /* what is left of it */
    struct finish finish;
};

/*
 * Where the `lines` lines are that a pass over a block fetches in its step 0, those of the other
 * steps behind them; or NULL. At the end of a base they are its last ones, again if need be.
 */
static inline const char *fetch_next(struct product *p, size_t lines)
{
    const size_t size = p->steps * lines * MBI_LINE;
    struct mbi_fetch *f = &p->fetch;
    const size_t at = f->size ? f->begin % f->size : 0;
    const char *base;

    if (f->begin >= f->end || size > f->size)
        return NULL;
    base = f->base[f->begin / f->size];
    f->begin += mbi_min_size(size, f->size - at);
    return base + mbi_min_size(at, f->size - size);
}

/* Those of step k, if there are any. (A plain inline function that only fetches is taken for one
 * that does nothing, and its calls are removed: gcc 12.) */
MBI_ALWAYS_INLINE void fetch_step(const char *from, size_t lines, size_t k)
{
    for (size_t i = 0; from && i < lines; i++)
        _mm_prefetch(from + (k * lines + i) * MBI_LINE, _MM_HINT_T1);
}

/* A way to multiply: inputs are brought into an order of its own, once for all rows. */
struct way {
    size_t (*x_size)(const struct mbi_type *x); /* bytes of a prepared lane, a multiple of 64 */
    /* Prepares a lane of n elements; returns its sum modulo 2^32. */
    uint32_t (*prepare)(void *to, const void *x, const struct mbi_type *type);
    void (*multiply)(struct product *p);
};

static inline const uint8_t *group_at(const struct product *p, size_t group)
{
    return p->w + group * p->steps * MBI_PACK_VECTOR;
}

static inline const void *lane_at(const struct product *p, size_t t)
{
    return p->x + t * p->x_size;
}

/* u8 x i16 by 16-bit products, and 0..2 x i8 by byte products: every x86 with AVX2. */
extern const struct way MBI_X86(way_words);
extern const struct way MBI_X86(way_trits);
/* u8 x i8 by the byte products of VNNI. */
extern const struct way MBI_X86(way_bytes);
extern const struct way MBI_X86(way_planes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Products of packed matrices: what the ways to do them share. */
#ifndef MBI_CPU_NEON_MATVEC_H
#define MBI_CPU_NEON_MATVEC_H

#include "cpu/neon/simd.h"
#include "cpu/pack.h"

#define QUADS 4 /* vectors of four rows in a group */

/* Groups [begin, end) of a packed matrix times all prepared inputs. */
struct product {
    const uint8_t *w;
    size_t steps; /* vectors of a group */
    size_t begin, end;
    const int32_t *offset; /* of each lane: what its sums begin with */
    const int8_t *x;       /* lanes of x_size bytes */
    size_t x_size, lanes;
    int32_t *out;
    size_t rows; /* of the matrix */
};

/* A way to multiply: inputs are brought into an order of its own, once for all rows. */
struct way {
    size_t (*x_size)(const struct mbi_type *x); /* bytes of a prepared lane, a multiple of 64 */
    /* Prepares a lane; returns what its sums begin with. */
    int32_t (*prepare)(void *to, const void *x, const struct mbi_type *type);
    void (*multiply)(const struct product *p);
};

static inline const uint8_t *group_at(const struct product *p, size_t group)
{
    return p->w + group * p->steps * MBI_PACK_VECTOR;
}

static inline const int8_t *lane_at(const struct product *p, size_t t)
{
    return p->x + t * p->x_size;
}

/* Four inputs, four times. */
static inline int8x16_t four_bytes(const int8_t *x)
{
    return vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)x));
}

/* i8 weights of four rows as they were before packing. */
static inline int8x16_t signed_quad(const uint8_t *w)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(w), vdupq_n_u8(0x80)));
}

/* The sums of a group for one lane; those of rows behind the last are dropped. */
static inline void put_sums(const struct product *p, size_t t, size_t group,
                            const int32x4_t sum[QUADS])
{
    const size_t r = group * MBI_PACK_ROWS, n = mbi_min_size(MBI_PACK_ROWS, p->rows - r);
    int32_t all[MBI_PACK_ROWS], *y = p->out + t * p->rows + r;

    if (n == MBI_PACK_ROWS) {
        for (size_t q = 0; q < QUADS; q++)
            vst1q_s32(y + 4 * q, sum[q]);
        return;
    }
    for (size_t q = 0; q < QUADS; q++)
        vst1q_s32(all + 4 * q, sum[q]);
    memcpy(y, all, n * sizeof(*y));
}

/* Prepared inputs: as they are, zeros behind them. Ternary weights are stored with 1 added, so
 * their sums begin with minus the sum of the inputs. */
size_t mbi_neon_bytes_size(const struct mbi_type *x);
int32_t mbi_neon_bytes_prepare(void *to, const void *x, const struct mbi_type *type);
int32_t mbi_neon_trits_prepare(void *to, const void *x, const struct mbi_type *type);

/* i8 x i8 and ternary x i8 by the dot product instructions. */
extern const struct way mbi_neon_way_dot_bytes, mbi_neon_way_dot_trits;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows the sums of a product: nothing, or the nodes that turn them into narrow integers and
 * add them to the residual stream, done before the sums have gone to memory.
 */
#ifndef MBI_CPU_X86_FINISH_H
#define MBI_CPU_X86_FINISH_H

#include "cpu/x86/narrow.h"

enum finish_kind { FINISH_NONE, FINISH_SHIFT, FINISH_ROWS, FINISH_MUL };

struct finish {
    enum finish_kind kind;
    __m256i lo, hi, shift;  /* of the requant; FINISH_MUL: lo and hi in 64-bit lanes */
    const int8_t *exponent; /* FINISH_ROWS: of the rows */
    __m256i m;              /* FINISH_MUL: factor and shift */
    int s;
    const int32_t *base; /* the residual stream; NULL: nothing is added */
    struct cut cut;
    char *out;
    uint32_t dtype;
    size_t rows; /* in a lane of `out` and of `base` */
};

/* The addsat behind a requant, if there is one. */
static inline bool add_fits(const struct mbi_op_args *requant)
{
    const struct mbi_op_args *add = requant->next;
    struct cut cut;

    return !add || (add->in_type[0]->dtype == MBI_I32 &&
                    cut_fits(&cut, add->in_type[0], add->in_type[1],
                             ((const struct mbi_addsat_attr *)add->attr)->bits));
}

/* Which nodes behind a matvec are done here: asked with the matvec's arguments. */
static inline bool shift_fits(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;

    return q->shift >= -32 && q->shift <= 31 && add_fits(matvec->next);
}

static inline bool rows_fit(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;
    const struct mbi_type *e = matvec->next->in_type[1];

    return q->shift + e->lo >= -32 && q->shift + e->hi <= 31 && add_fits(matvec->next);
}

static inline bool mul_fits(const struct mbi_op_args *matvec)
{
    const struct mbi_requant_attr *q = matvec->next->attr;
    const struct mbi_type *e = matvec->next->in_type[2];

    return q->shift + e->lo >= 1 && q->shift + e->hi <= 62 && add_fits(matvec->next);
}

struct finish MBI_X86(finish_of)(const struct mbi_op_args *matvec, enum finish_kind kind);

/*
 * The sums of a tile: `groups` times sixteen rows from r on, `lanes` lanes from t on, a lane's rows
 * side by side. Sums of rows behind the last are dropped.
 */
void MBI_X86(finish_sums)(const struct finish *f, size_t r, size_t groups, size_t t, size_t lanes,
                          const void *sums);

#endif

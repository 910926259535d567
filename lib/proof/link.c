/* SPDX-License-Identifier: Apache-2.0 */
/* The point and the value of a link. */
#include "proof/link.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/form.h"

/* The order is normative. The value comes after it. */
void MBI_EXT(link_point)(struct mbi_ext *tau, const struct mbi_link *l, unsigned bits)
{
    mbi_fe x[(MBI_PLAN_MAX_BITS + 1) * MBI_EXT_D];
    uint8_t version[16], length[8];
    struct mbi_transcript t;

    mbi_transcript_init(&t, "link");
    mbi_store64(version, 2);
    mbi_store64(version + 8, MBI_EXT_D);
    mbi_store64(length, bits);
    mbi_transcript_absorb(&t, "protocol", version, sizeof(version));
    mbi_transcript_absorb(&t, "left", &l->name[MBI_BEFORE], sizeof(l->name[0]));
    mbi_transcript_absorb(&t, "right", &l->name[MBI_BEHIND], sizeof(l->name[0]));
    mbi_transcript_absorb(&t, "bits", length, sizeof(length));
    mbi_transcript_draw(x, (size_t)bits * MBI_EXT_D, &t);
    for (unsigned k = 0; k < bits; k++)
        memcpy(tau[k].c, &x[k * MBI_EXT_D], sizeof(tau[k].c));
}

#define BLOCK_LOG ((unsigned)MBI_FORM_BLOCK_LOG)

struct mbi_ext MBI_EXT(link_sum)(const struct mbi_ext *tau, unsigned bits, const int32_t *vector)
{
    const size_t n = (size_t)1 << (bits - 1);
    const struct mbi_table table = {MBI_TABLE_I32, vector, n};
    const unsigned log = bits < BLOCK_LOG ? bits : BLOCK_LOG;
    const struct mbi_form form = {.bits = bits,
                                  .scale = mbi_ext_from(1),
                                  .n_factors = 1,
                                  .factor = {MBI_EXT(form_eq)(0, bits, n, tau)}};
    struct mbi_ext w[(size_t)1 << MBI_FORM_BLOCK_LOG], sum = mbi_ext_from(0);

    for (size_t at = 0; at < n; at += (size_t)1 << log) {
        MBI_EXT(form_block)(w, &form, at, log);
        sum = mbi_ext_add(
            sum, MBI_EXT(table_dot)(&table, at, w, mbi_min_size((size_t)1 << log, n - at)));
    }
    return sum;
}
#endif

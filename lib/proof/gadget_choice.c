/* SPDX-License-Identifier: Apache-2.0 */
/* One of several cases, as bits of which one is set: any function of the case is then a sum. */
#include "proof/gadget.h"

uint32_t mbi_gadget_choice(struct mbi_gadget *g, struct mbi_shape shape)
{
    const uint32_t var = mbi_gadget_table(g, shape, 0, 1, false), cases = shape.n[2];

    mbi_gadget_relate(g, 1);
    mbi_gadget_letters(g, 2, shape.n);
    for (uint32_t i = 0; i < cases; i++)
        mbi_gadget_view(g, 1, mbi_gadget_case(var, i));
    mbi_gadget_constant(g, -1);
    return var;
}

struct mbi_view mbi_gadget_case(uint32_t var, uint32_t i)
{
    return mbi_view(var, mbi_along(0, 0), mbi_along(1, 0), mbi_fixed((int32_t)i));
}

void mbi_gadget_chosen(struct mbi_gadget *g, uint32_t var, const int64_t *c, uint32_t cases)
{
    for (uint32_t i = 0; i < cases; i++)
        mbi_gadget_view(g, c[i], mbi_gadget_case(var, i));
}

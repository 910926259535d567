/* SPDX-License-Identifier: Apache-2.0 */
/* Where the pads of a hidden proof lie: how many it takes follows from the shape of the proof. */
#include "base/intmath.h"
#include "proof/layout.h"
#include "proof/walk.h"
#if MBI_HAVE_SODIUM

/* The vector gets so many bits, and what is looked up in it as many; or, if it is counts alone, as
 * that of the weights, whichever is longer, twice. */
static void set_bits(struct mbi_plan *plan, unsigned bits)
{
    struct mbi_lookup *l = &plan->lookup;

    plan->bits = bits;
    if (plan->large && !plan->direct)
        l->bits = bits;
    if (plan->direct)
        mbi_plan_place_counts(plan);
}

/*
 * Where the vector's own entries end; of a large one from a multiple of a power of two on that is
 * not below their number, so that claims about pads are about a block that is not larger. False if
 * the vector has no room for them.
 */
static bool place_pads(struct mbi_plan *plan, uint64_t n)
{
    const uint64_t size = n * MBI_EXT_D, unit = (uint64_t)1 << mbi_bitlen(size - 1);

    plan->n_pads = n;
    plan->pads_at = plan->large ? (plan->end + unit - 1) & ~(unit - 1) : plan->end;
    plan->pads_end = plan->pads_at + size;
    plan->pad_bits = (unsigned)mbi_bitlen(plan->pads_at ^ (plan->pads_end - 1));
    return plan->pads_end <= (uint64_t)1 << plan->bits;
}

int32_t MBI_EXT(plan_hide)(struct mbi_plan *plan, mambaint_error *err)
{
    plan->n_pads = 1; /* which makes it a hidden one */
    for (unsigned bits = plan->bits; bits <= MBI_PLAN_MAX_BITS; bits++) {
        struct mbi_proof_shape shape;

        set_bits(plan, bits);
        if (!MBI_EXT(proof_pads)(&shape, plan, plan->host))
            return shape.fault ? mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "this cannot be proved: %s",
                                          shape.fault)
                               : mbi_fail_memory(err, "the plan of a proof");
        if (place_pads(plan, shape.pads))
            return MAMBAINT_OK;
    }
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "this cannot be proved: its variables and pads are too large for one proof");
}
#endif

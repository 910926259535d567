/* SPDX-License-Identifier: Apache-2.0 */
/* What hidden proofs claim of their boundaries, in the place of vectors that are committed. */
#include "proof/link.h"
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

bool MBI_EXT(walk_is_tie)(const struct mbi_walk *w, const struct mbi_relation *r)
{
    const struct mbi_term *t = &w->plan->term[r->first_term];

    return w->hidden && r->n_terms == 2 && t[1].n == 1 &&
           w->plan->var[t[1].view[0].var].kind == MBI_VAR_BOUNDARY;
}

/* The weight of entry i of a boundary variable is that of the entry of the vector it lies in: what
 * it is tied to takes its place. */
static void add_variable(struct mbi_walk *w, uint32_t claim, const struct mbi_var *v,
                         const struct mbi_ext *tau, unsigned bits)
{
    const struct mbi_relation *r = &w->plan->relation[v->relation];
    const struct mbi_term *t = &w->plan->term[r->first_term];
    const unsigned before = bits - mbi_var_bits(v);
    struct mbi_weights l = {.relation = r, .scale = mbi_ext_from(1)};
    const struct mbi_ext *z = tau + before;
    struct mbi_part p;

    for (uint32_t k = 0; k < MBI_AXES; k++) {
        const struct mbi_form_factor f = MBI_EXT(form_eq)(0, v->log[k], v->n[k], z);

        l.factor[k] = MBI_EXT(walk_factor)(w, &f);
        z += v->log[k];
    }
    p = MBI_EXT(part_of_view)(w, &t->view[0], &l, (1u << r->n_letters) - 1);
    p.claim = claim;
    p.scale = mbi_ext_mul(mbi_ext_times(p.scale, t->c), MBI_EXT(eq_index)(tau, before, v->block));
    MBI_EXT(walk_part)(w, &p);
}

void MBI_EXT(walk_links)(struct mbi_walk *w)
{
    size_t pad = 0;

    for (int side = 0; side < MBI_SIDES && w->hidden; side++) {
        const struct mbi_link *link = &w->job->link[side];
        const unsigned bits = mbi_link_bits(w->plan, (enum mbi_side)side);
        struct mbi_ext *tau;
        uint32_t claim;

        if (!w->plan->boundary[side] || !(tau = MBI_EXT(walk_keep)(w, bits, sizeof(*tau))))
            continue;
        MBI_EXT(link_point)(tau, link, bits);
        claim = MBI_EXT(walk_claim)(w, link->value);
        MBI_EXT(walk_pad)(w, claim, pad++, mbi_ext_neg(mbi_ext_from(1)));
        for (uint32_t i = 0; i < w->plan->n_vars && !w->failed; i++)
            if (w->plan->var[i].kind == MBI_VAR_BOUNDARY &&
                w->plan->var[i].side == (enum mbi_side)side)
                add_variable(w, claim, &w->plan->var[i], tau, bits);
    }
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of many weights: the lookup is in the vector of weights itself, so that nothing but
 * its counts is committed to besides.                            proof.md, protocol, certificates
 */
#include "proof/layout.h"
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

/* Of the opening, with room for all terms. */
struct claims {
    struct mbi_claim *claim;
    struct mbi_form form[2];
    size_t n;
};

/* A hidden proof's pads, which are a part of the last claim's value, leave it: another term of it,
 * or the only one, if it has none. */
static void add_pads(struct claims *c, struct mbi_walk *w, const struct mbi_affine *value,
                     bool joined)
{
    struct mbi_claim *claim = &c->claim[c->n];

    *claim = (struct mbi_claim){.value = value->known, .joined = joined};
    if (!w->hidden->failed)
        c->n += MBI_EXT(walk_pad_term)(claim, w, &w->hidden->term[value->first], value->n);
}

/* <all of a vector below `below`, scale eq(point, .)> = value */
static void add(struct claims *c, size_t vector, unsigned bits, const struct mbi_ext *point,
                uint64_t below, struct mbi_ext scale, struct mbi_ext value)
{
    struct mbi_form *form = &c->form[vector];

    *form = (struct mbi_form){
        .bits = bits,
        .scale = scale,
        .n_factors = 1,
        .factor = {MBI_EXT(form_eq)(0, bits, below, point)},
    };
    c->claim[c->n++] = (struct mbi_claim){.vector = vector, .form = form, .value = value};
}

/* The product of 1 - r over coordinates [begin, end) of a point: these bits are zero. */
static struct mbi_ext zero_bits(const struct mbi_ext *r, unsigned begin, unsigned end)
{
    struct mbi_ext x = mbi_ext_from(1);

    for (; begin < end; begin++)
        x = mbi_ext_mul(x, mbi_ext_sub(mbi_ext_from(1), r[begin]));
    return x;
}

/* The sum over x < below of eq(point, x). */
static struct mbi_ext sum_below(const struct mbi_lookup *l, const struct mbi_ext *point,
                                uint64_t below)
{
    const struct mbi_form_factor f = MBI_EXT(form_eq)(0, l->bits, below, point);

    return MBI_EXT(factor_total)(&f, l->bits);
}

/* What is looked up is a weight less the smallest one of its class: the sum of the latter. */
static struct mbi_ext sum_of_lo(const struct mbi_plan *p, const struct mbi_ext *point)
{
    const struct mbi_lookup *l = &p->lookup;
    struct mbi_ext sum = mbi_ext_from(0), before = sum;

    for (uint32_t k = 0; k < l->n; k++) {
        const struct mbi_ext here = sum_below(l, point, l->begin[k + 1]);

        sum = mbi_ext_add(sum, mbi_ext_times(mbi_ext_sub(here, before), p->weight_lo[k]));
        before = here;
    }
    return sum;
}

/* Weights and counts at the lookup's point. */
static void claim_end(struct claims *c, struct mbi_walk *w, const struct mbi_lookup_end *end)
{
    const struct mbi_plan *p = w->plan;
    const struct mbi_lookup *l = &p->lookup;
    const unsigned weights = l->bits - p->weight_bits, counts = l->bits - p->bits;
    const struct mbi_ext *r = end->point;

    add(c, 1, p->weight_bits, r + weights, l->begin[l->n], zero_bits(r, 0, weights),
        mbi_ext_add(end->limbs, sum_of_lo(p, r)));
    if (w->hidden)
        add_pads(c, w, &w->hidden->end[0], true);
    add(c, 0, p->bits, r + counts, p->end, mbi_ext_mul(r[0], zero_bits(r, 1, counts)), end->counts);
    if (w->hidden)
        add_pads(c, w, &w->hidden->end[1], true);
}

void MBI_EXT(walk_certificate)(struct mbi_walk *w)
{
    const struct mbi_root root[] = {w->witness, w->job->weights};
    struct mbi_opening o = {.code = w->job->code, .root = root, .n_roots = MBI_COUNT(root)};
    struct mbi_lookup_end *end = MBI_EXT(walk_keep)(w, 1, sizeof(*end));
    struct claims c = {.n = 0};

    if (w->failed)
        return;
    w->side->lookup(w, end, &w->plan->lookup);
    if (w->hidden && w->hidden->failed)
        w->failed = true;
    if (w->failed || !w->side->open)
        return;
    c.claim = MBI_EXT(walk_keep)(w, 4 + w->job->n_claims + (w->hidden ? w->hidden->n_zero : 0),
                                 sizeof(*c.claim));
    if (w->failed)
        return;
    for (size_t i = 0; w->hidden && i < w->hidden->n_zero; i++)
        add_pads(&c, w, &w->hidden->zero[i], false);
    claim_end(&c, w, end);
    for (size_t i = 0; i < w->job->n_claims; i++)
        c.claim[c.n++] = w->job->claim[i];
    if (w->failed)
        return;
    o.claim = c.claim;
    o.n_claims = c.n;
    w->side->open(w, &o);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Boundaries between proofs: variables, their places, their vectors. */
#include "proof/boundary.h"
#include "base/intmath.h"
#include "proof/relation.h"
#include "proof/witness.h"
#include <string.h>

uint32_t mbi_boundary_chunk(const struct mbi_graph *g)
{
    uint32_t most = 1;

    for (mbi_ref i = 0; i < g->n_nodes; i++) {
        const struct mbi_op_def *def = g->node[i].op ? mbi_op_table[g->node[i].op].def : NULL;

        if (def && def->period)
            most = (uint32_t)mbi_max_i64(def->period(g->node[i].attr), most);
    }
    return most;
}

/* ---- variables ---- */

static uint32_t add_var(struct mbi_gadget *g, enum mbi_side side, struct mbi_shape shape,
                        int64_t lo, int64_t hi)
{
    const struct mbi_var v = {.kind = MBI_VAR_BOUNDARY,
                              .n = {shape.n[0], shape.n[1], shape.n[2]},
                              .lo = lo,
                              .hi = hi,
                              .relation = g->plan->n_relations,
                              .side = side};

    if (!g->boundary[side])
        mbi_gadget_fault(g, "it has no boundary there");
    if (lo < INT32_MIN || hi > INT32_MAX)
        mbi_gadget_fault(g, "its memory has more than 32 bits");
    return mbi_plan_add_var(g->plan, &v);
}

/* value - boundary = 0, in this order: a boundary behind is filled from the first term. */
static void tie(struct mbi_gadget *g, struct mbi_shape shape, struct mbi_view value, uint32_t var)
{
    mbi_gadget_relate(g, shape.n[2]);
    mbi_gadget_letters(g, MBI_AXES, shape.n);
    mbi_gadget_view(g, 1, value);
    mbi_gadget_view(g, -1, mbi_gadget_entry(var));
}

uint32_t mbi_gadget_before(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi)
{
    const uint32_t var = add_var(g, MBI_BEFORE, shape, lo, hi);
    const uint32_t own = mbi_gadget_table(g, shape, lo, hi, false);

    tie(g, shape, mbi_gadget_entry(own), var);
    return own;
}

void mbi_gadget_behind(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi,
                       struct mbi_view value)
{
    tie(g, shape, value, add_var(g, MBI_BEHIND, shape, lo, hi));
}

bool mbi_boundary_is_said(const struct mbi_plan *p, uint32_t first)
{
    bool said[MBI_SIDES] = {false};

    for (uint32_t i = first; i < p->n_vars; i++)
        if (p->var[i].kind == MBI_VAR_BOUNDARY)
            said[p->var[i].side] = true;
    return said[MBI_BEFORE] == p->boundary[MBI_BEFORE] &&
           said[MBI_BEHIND] == p->boundary[MBI_BEHIND];
}

/* ---- places ---- */

static bool is_of(const struct mbi_var *v, enum mbi_side side)
{
    return v->kind == MBI_VAR_BOUNDARY && v->side == side;
}

/* Larger variables first, otherwise in their order: the same on both sides. Returns the end. */
static uint64_t place(struct mbi_plan *p, enum mbi_side side)
{
    uint64_t at = 0;

    for (unsigned bits = MBI_PLAN_MAX_BITS; bits-- > 0;)
        for (uint32_t i = 0; i < p->n_vars; i++)
            if (is_of(&p->var[i], side) && mbi_var_bits(&p->var[i]) == bits) {
                p->var[i].block = at >> bits;
                at += (uint64_t)1 << bits;
            }
    return at;
}

void mbi_boundary_lay_out(struct mbi_plan *p)
{
    const unsigned most = mbi_plan_is_linked(p) ? MBI_PLAN_LINK_BITS : MBI_PLAN_MAX_BITS;

    for (int side = 0; side < MBI_SIDES; side++) {
        const uint64_t end = p->boundary[side] ? place(p, (enum mbi_side)side) : 0;

        p->boundary_bits[side] = end > 1 ? (unsigned)mbi_bitlen(end - 1) : 0;
        if (p->boundary_bits[side] > most)
            mbi_plan_fault(p, "the memory of the model, or what it hands on, is too large");
    }
}

/* ---- values ---- */

/* Where element (row, col) of a variable lies in the vector of its boundary. */
static size_t place_of(const struct mbi_var *v, size_t row, size_t col)
{
    return ((size_t)v->block << mbi_var_bits(v)) + mbi_var_place(v, row, col);
}

void mbi_boundary_read(const struct mbi_witness *w, uint32_t first, uint32_t end,
                       const int32_t *vector)
{
    for (uint32_t i = first; i < end; i++) {
        const struct mbi_var *v = &w->plan->var[i];

        if (!is_of(v, MBI_BEFORE) || !vector)
            continue;
        for (size_t r = 0; r < v->n[0]; r++)
            for (size_t c = 0; c < mbi_var_cols(v); c++) {
                const int32_t x = vector[place_of(v, r, c)];

                mbi_witness_set(w, i, r, c, x);
                mbi_witness_set(w, i + 1, r, c, x); /* the committed one */
            }
    }
}

void mbi_boundary_copy(const struct mbi_witness *w, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const struct mbi_var *v = &w->plan->var[i];

        for (size_t r = 0; r < v->n[0] && is_of(v, MBI_BEFORE); r++)
            for (size_t c = 0; c < mbi_var_cols(v); c++)
                mbi_witness_set(w, i, r, c, mbi_witness_get(w, i + 1, r, c));
    }
}

void mbi_boundary_fill(const struct mbi_witness *w, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const struct mbi_var *v = &w->plan->var[i];
        const struct mbi_view *value;

        if (!is_of(v, MBI_BEHIND))
            continue;
        value = &w->plan->term[w->plan->relation[v->relation].first_term].view[0];
        for (size_t r = 0; r < v->n[0]; r++)
            for (size_t c = 0; c < mbi_var_cols(v); c++) {
                const struct mbi_letters at = {
                    {(uint32_t)r, (uint32_t)(c / v->n[2]), (uint32_t)(c % v->n[2])}};

                mbi_witness_set(w, i, r, c, mbi_view_value(w, value, &at));
            }
    }
}

void mbi_boundary_vector(int32_t *vector, const struct mbi_witness *w, enum mbi_side side)
{
    memset(vector, 0, sizeof(*vector) << w->plan->boundary_bits[side]);
    for (uint32_t i = 0; i < w->plan->n_vars; i++) {
        const struct mbi_var *v = &w->plan->var[i];

        for (size_t r = 0; r < v->n[0] && is_of(v, side); r++)
            for (size_t c = 0; c < mbi_var_cols(v); c++)
                vector[place_of(v, r, c)] = (int32_t)mbi_witness_get(w, i, r, c);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Relations over the integers: what definitions give, and what has to be zero. */
#include "proof/witness.h"

static bool has_letter(const struct mbi_view *w, uint32_t letter)
{
    for (int k = 0; k < MBI_AXES; k++)
        for (uint32_t f = 0; f < w->axis[k].n_fields; f++)
            if (w->axis[k].field[f].letter == letter)
                return true;
    return false;
}

bool mbi_letters_next(struct mbi_letters *l, const struct mbi_relation *r, bool outer)
{
    for (uint32_t k = r->n_letters; k-- > 0;) {
        if ((r->defines == MBI_NONE || has_letter(&r->result, k)) != outer)
            continue;
        if (++l->at[k] < r->n[k])
            return true;
        l->at[k] = 0;
    }
    return false;
}

/* x of an axis, which may lead outside of the variable. */
static int64_t index_at(const struct mbi_witness *w, const struct mbi_axis *a,
                        const struct mbi_letters *at)
{
    int64_t x = a->from;

    for (uint32_t k = 0; k < a->n_fields; k++)
        x += (int64_t)at->at[a->field[k].letter] << a->field[k].shift;
    return a->kind == MBI_AXIS_PICK ? (int64_t)w->known.token[x] : x;
}

int64_t mbi_view_value(const struct mbi_witness *w, const struct mbi_view *view,
                       const struct mbi_letters *at)
{
    const struct mbi_var *v = &w->plan->var[view->var];
    const bool prefix = view->axis[0].kind == MBI_AXIS_PREFIX;
    int64_t x[MBI_AXES], sum = 0;
    size_t col;

    for (int k = 0; k < MBI_AXES; k++) {
        x[k] = index_at(w, &view->axis[k], at);
        if ((x[k] < 0 || x[k] >= v->n[k]) && !(prefix && k == 0))
            return 0;
    }
    col = (size_t)x[1] * v->n[2] + (size_t)x[2];
    if (!prefix)
        return mbi_witness_get(w, view->var, (size_t)x[0], col);
    for (int64_t s = x[0] >> view->axis[0].log << view->axis[0].log; s <= x[0] && s < v->n[0]; s++)
        sum += mbi_witness_get(w, view->var, (size_t)s, col);
    return sum;
}

static int64_t terms_at(const struct mbi_witness *w, const struct mbi_relation *r,
                        const struct mbi_letters *at)
{
    int64_t sum = 0;

    if (mbi_is_masked(r) && at->at[r->small] > at->at[r->large])
        return 0;
    for (uint32_t i = 0; i < r->n_terms; i++) {
        const struct mbi_term *t = &w->plan->term[r->first_term + i];
        int64_t x = t->c;

        for (uint32_t k = 0; k < t->n && x; k++)
            x *= mbi_view_value(w, &t->view[k], at);
        sum += x;
    }
    return sum;
}

int64_t mbi_relation_value(const struct mbi_witness *w, const struct mbi_relation *r,
                           const struct mbi_letters *outer)
{
    struct mbi_letters at = *outer;
    int64_t sum = 0;

    if (r->defines == MBI_NONE)
        return terms_at(w, r, &at);
    do
        sum += terms_at(w, r, &at);
    while (mbi_letters_next(&at, r, false));
    return sum;
}

/* The place of a result, whose fields reach every entry once. */
static void put_result(const struct mbi_witness *w, const struct mbi_relation *r,
                       const struct mbi_letters *at, int64_t v)
{
    const struct mbi_view *view = &r->result;
    const size_t row = (size_t)index_at(w, &view->axis[0], at);
    const size_t mid = (size_t)index_at(w, &view->axis[1], at);
    const size_t col = (size_t)index_at(w, &view->axis[2], at);

    mbi_witness_set(w, view->var, row, mid * w->plan->var[view->var].n[2] + col, v);
}

void mbi_witness_compute(const struct mbi_witness *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];
    const struct mbi_relation *r;
    struct mbi_letters at = {{0}};

    if (v->kind != MBI_VAR_DERIVED || w->done[var])
        return;
    r = &w->plan->relation[v->relation];
    do
        put_result(w, r, &at, mbi_relation_value(w, r, &at));
    while (mbi_letters_next(&at, r, true));
    w->done[var] = true;
}

void mbi_gadget_compute(const struct mbi_gadget_fill *f, uint32_t var)
{
    mbi_witness_compute(f->witness, var);
}

void mbi_gadget_computed(const struct mbi_gadget_fill *f, uint32_t var)
{
    f->witness->done[var] = true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of a factor's entries, and what parts of variables are worth whose tables are known. Factors
 * are the walk's, and most of them belong to many parts: what was found of them is kept.
 */
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

#define TOTALS 512u      /* by hash */
#define ENTRIES 64u      /* for each axis, by hash */
#define ENTRIES_BITS 12u /* at most: larger ones are not kept */

struct mbi_walk_known {
    struct total {
        const struct mbi_form_factor *factor;
        unsigned bits;
        struct mbi_ext value;
    } total[TOTALS];
    struct entries {
        const struct mbi_form_factor *factor;
        unsigned bits;
        struct mbi_ext *entry; /* room for 2^room; NULL: none yet */
        unsigned room;
    } entries[MBI_AXES][ENTRIES];
};

/* NULL for want of memory. */
static struct mbi_walk_known *find_known(struct mbi_walk *w)
{
    if (!w->of_factors)
        w->of_factors = MBI_EXT(walk_keep)(w, 1, sizeof(*w->of_factors));
    return w->of_factors;
}

static size_t hash_of(const struct mbi_form_factor *f)
{
    return (size_t)((uintptr_t)f / sizeof(void *) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

struct mbi_ext MBI_EXT(walk_total)(struct mbi_walk *w, const struct mbi_form_factor *f,
                                   unsigned bits)
{
    struct mbi_walk_known *known = find_known(w);
    struct total *t;

    if (!known)
        return mbi_ext_from(0);
    t = &known->total[hash_of(f) % TOTALS];
    if (t->factor != f || t->bits != bits)
        *t = (struct total){f, bits, MBI_EXT(factor_total)(f, bits)};
    return t->value;
}

/* ---- entries ---- */

/* The factor of one axis of a part; *own has to be freed. NULL for want of memory. */
static const struct mbi_ext *expand(struct mbi_walk *w, struct mbi_ext **own,
                                    const struct mbi_part *part, int axis)
{
    const struct mbi_form_factor *f = part->factor[axis];
    const unsigned bits = w->plan->var[part->var].log[axis];
    struct mbi_walk_known *known = find_known(w);
    struct entries *e;

    *own = NULL;
    if (bits > ENTRIES_BITS || !known) {
        if ((*own = mbi_alloc(w->host, (size_t)1 << bits, sizeof(**own))))
            MBI_EXT(walk_expand)(*own, f, bits);
        else
            w->failed = true;
        return *own;
    }
    e = &known->entries[axis][hash_of(f) % ENTRIES];
    if (e->factor == f && e->bits == bits)
        return e->entry;
    if (!e->entry || e->room < bits) {
        e->entry = MBI_EXT(walk_room)(w, (size_t)1 << bits, sizeof(*e->entry));
        e->room = bits;
        e->factor = NULL;
    }
    if (!e->entry)
        return NULL;
    MBI_EXT(walk_expand)(e->entry, f, bits);
    e->factor = f;
    e->bits = bits;
    return e->entry;
}

/* ---- values ---- */

/* Sum over rows and middle of their weights, times the row's product with the last weights. */
static struct mbi_ext fold_rows(const struct mbi_var *v, const struct mbi_table *table,
                                const struct mbi_ext *row, const struct mbi_ext *mid,
                                const struct mbi_ext *col)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t r = 0; r < v->n[0]; r++)
        for (size_t m = 0; m < v->n[1]; m++) {
            const size_t begin = mbi_var_place(v, r, m * v->n[2]);

            sum = mbi_ext_add(sum, mbi_ext_mul(mbi_ext_mul(row[r], mid[m]),
                                               MBI_EXT(table_dot)(table, begin, col, v->n[2])));
        }
    return sum;
}

struct mbi_ext MBI_EXT(walk_part_value)(struct mbi_walk *w, const struct mbi_part *part,
                                        const struct mbi_table *table)
{
    struct mbi_ext *own[MBI_AXES], sum = mbi_ext_from(0);
    const struct mbi_ext *e[MBI_AXES];

    if (part->joint) {
        mbi_walk_cannot(w, "a list of places is of what is public");
        return sum;
    }
    for (int k = 0; k < MBI_AXES; k++)
        e[k] = expand(w, &own[k], part, k);
    if (e[0] && e[1] && e[2])
        sum = fold_rows(&w->plan->var[part->var], table, e[0], e[1], e[2]);
    for (int k = 0; k < MBI_AXES; k++)
        mbi_free(w->host, own[k]);
    return mbi_ext_mul(sum, part->scale);
}

/* The sum of a factor's entries below n <= 2^bits, of which `entry` has all. */
static struct mbi_ext sum_below(const struct mbi_ext *entry, uint64_t n)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (uint64_t x = 0; x < n; x++)
        sum = mbi_ext_add(sum, entry[x]);
    return sum;
}

/* [col < token of the row]: of each row the sum of the first columns' weights. */
static struct mbi_ext less_value(struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    struct mbi_ext *own_row = NULL, *own_col = NULL, sum = mbi_ext_from(0), below;
    const bool closed = MBI_EXT(factor_below)(&below, part->factor[2], v->log[2], 0);
    const struct mbi_ext *row = expand(w, &own_row, part, 0);
    const struct mbi_ext *col = closed ? NULL : expand(w, &own_col, part, 2);

    for (size_t r = 0; row && (closed || col) && w->job->token && r < v->n[0]; r++) {
        const uint64_t n = mbi_min_u64(w->job->token[(size_t)v->from + r], v->n[2]);

        if (closed)
            (void)MBI_EXT(factor_below)(&below, part->factor[2], v->log[2], n);
        else
            below = sum_below(col, n);
        sum = mbi_ext_add(sum, mbi_ext_mul(row[r], below));
    }
    mbi_free(w->host, own_row);
    mbi_free(w->host, own_col);
    return mbi_ext_mul(mbi_ext_mul(sum, part->scale),
                       MBI_EXT(walk_total)(w, part->factor[1], v->log[1]));
}

struct mbi_ext MBI_EXT(walk_public_value)(struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];

    return v->kind == MBI_VAR_PUBLIC && v->input == MBI_PUBLIC_LESS && !part->joint
               ? less_value(w, part)
               : MBI_EXT(walk_part_value)(w, part, &w->job->table[part->var]);
}
#endif

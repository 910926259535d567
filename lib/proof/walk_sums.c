/* SPDX-License-Identifier: Apache-2.0 */
/* Relations at a random point, sum-checks of those with products, and the variables that are
 * replaced by what defines them. */
#include "proof/alike.h"
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

/* Adds scale times a term of at most one view, weighted by its letters, to a claim. */
static void add_linear(struct mbi_walk *w, uint32_t claim, const struct mbi_term *t,
                       const struct mbi_weights *l, struct mbi_ext scale)
{
    const uint32_t all = (1u << l->relation->n_letters) - 1;
    struct mbi_part p;

    scale = mbi_ext_mul(mbi_ext_times(scale, t->c), l->scale);
    if (t->n) {
        p = MBI_EXT(part_of_view)(w, &t->view[0], l, all);
        p.claim = claim;
        p.scale = mbi_ext_mul(p.scale, scale);
        MBI_EXT(walk_part)(w, &p);
        return;
    }
    for (uint32_t k = 0; k < l->relation->n_letters; k++)
        scale = mbi_ext_mul(
            scale, MBI_EXT(walk_total)(w, l->factor[k], mbi_index_bits(l->relation->n[k])));
    MBI_EXT(walk_take)(w, claim, scale);
}

/* ---- sums ---- */

#define ALL_LETTERS ((1u << MBI_LETTERS) - 1)

/* A sum-check under construction: `sum` and `table` have room for what is added. */
struct batch {
    uint32_t *latest, *before; /* the last table of a variable, and the one before a table */
    struct mbi_form *weight;   /* of the last sum, and its relation */
    const struct mbi_relation *of_weight;
    unsigned bits;
    struct mbi_sum *sum;
    struct mbi_walk_table *table;
    uint32_t *letters; /* by table, of its sum: a bit for each */
    struct mbi_weights
        *weights;      /* by product, of its two tables: of the letters that its sum lacks;
                                    NULL: sums of relations, which have all */
    size_t *claim_pad; /* by sum, of products whose value is sent hidden */
    uint32_t n_sums, n_tables;
};

static bool batch_init(struct batch *b, struct mbi_walk *w, uint32_t n_sums, uint32_t n_tables)
{
    *b = (struct batch){.sum = MBI_EXT(walk_keep)(w, n_sums, sizeof(*b->sum)),
                        .table = MBI_EXT(walk_keep)(w, n_tables, sizeof(*b->table)),
                        .letters = MBI_EXT(walk_keep)(w, n_tables, sizeof(*b->letters))};
    return b->sum && b->table && b->letters;
}

/* Of the index of a sum over some letters. */
static unsigned bits_of(const struct mbi_relation *r, uint32_t letters)
{
    unsigned bits = 0;

    for (uint32_t k = 0; k < r->n_letters; k++)
        bits += letters >> k & 1 ? mbi_index_bits(r->n[k]) : 0;
    return bits;
}

/* A view over the letters of the sum; it is summed over those of its own that the sum lacks, with
 * these weights, if there are any. */
static uint32_t add_table(struct batch *b, const struct mbi_view *view,
                          const struct mbi_relation *r, const struct mbi_weights *l,
                          uint32_t letters)
{
    struct mbi_walk_table *t = &b->table[b->n_tables];
    const uint32_t own = mbi_view_letters(view);
    unsigned left = b->bits;

    *t = (struct mbi_walk_table){.view = *view, .relation = r};
    for (uint32_t k = 0; k < MBI_LETTERS; k++) {
        t->shift[k] = MBI_MAX_BITS;
        if (k >= r->n_letters)
            continue;
        if (letters >> k & 1) {
            left -= mbi_index_bits(r->n[k]);
            t->shift[k] = (uint8_t)left;
        } else if (own >> k & 1) {
            t->summed |= 1u << k;
        }
    }
    b->letters[b->n_tables] = letters;
    t->weight = l ? l->factor : NULL;
    return b->n_tables++;
}

/* The letters where a batch ends, as long as they are those of one table after the other. */
struct batch_end {
    const struct mbi_ext *point;
    struct mbi_weights at;
};

static bool same_letters(const struct mbi_relation *a, const struct mbi_relation *b)
{
    bool same = a->n_letters == b->n_letters;

    for (uint32_t k = 0; same && k < a->n_letters; k++)
        same = a->n[k] == b->n[k];
    return same;
}

/* Letters of the sum have the factor eq at their bits of the point, others those of the table. */
static void set_letters(struct batch_end *end, struct mbi_walk *w, const struct batch *b,
                        uint32_t i)
{
    const struct mbi_relation *r = b->table[i].relation;
    struct mbi_weights *l = &end->at;
    unsigned at = 0;

    if (!b->weights && l->relation && same_letters(l->relation, r)) {
        l->relation = r;
        return;
    }
    if (b->weights)
        *l = b->weights[i / 2];
    else
        *l = (struct mbi_weights){.relation = r, .scale = mbi_ext_from(1)};
    for (uint32_t k = 0; k < r->n_letters; k++) {
        const unsigned bits = mbi_index_bits(r->n[k]);
        struct mbi_form_factor f;

        if (!(b->letters[i] >> k & 1))
            continue;
        f = MBI_EXT(form_eq)(0, bits, r->n[k], end->point + at);
        l->factor[k] = MBI_EXT(walk_factor)(w, &f);
        at += bits;
    }
}

/* Adds what a claim says of table i. */
static void add_end(struct mbi_walk *w, const struct batch *b, uint32_t i, uint32_t claim,
                    struct batch_end *end, struct mbi_ext scale)
{
    struct mbi_part p;

    set_letters(end, w, b, i);
    p = MBI_EXT(part_of_view)(w, &b->table[i].view, &end->at, b->letters[i]);
    p.claim = claim;
    p.scale = mbi_ext_mul(p.scale, scale);
    MBI_EXT(walk_part)(w, &p);
}

/* Claims the tables of each list at once, each with its member's share. */
static void claim_lists(struct mbi_walk *w, const struct batch *b, const struct mbi_alike *a,
                        const struct mbi_ext *point, const struct mbi_ext *value)
{
    struct mbi_ext *share = MBI_EXT(walk_keep)(w, (size_t)1 << a->bits, sizeof(*share));
    struct batch_end end = {.point = point};

    if (w->failed)
        return;
    MBI_EXT(eq_table)(share, point + b->bits, a->bits, mbi_ext_from(1));
    for (uint32_t i = 0; i < a->n_lists; i++) {
        const uint32_t claim = MBI_EXT(walk_end)(w, value[i], i);

        for (uint32_t y = 0; y < a->list[i].n; y++)
            add_end(w, b, a->table[a->list[i].first + y], claim, &end, share[y]);
    }
}

static void claim_tables(struct mbi_walk *w, const struct batch *b, const struct mbi_ext *point,
                         const struct mbi_ext *value)
{
    struct batch_end end = {.point = point};

    for (uint32_t i = 0; i < b->n_tables; i++)
        add_end(w, b, i, MBI_EXT(walk_end)(w, value[i], i), &end, mbi_ext_from(1));
}

/* Runs the batch and claims its tables at the point where it ends, one by one or by lists. */
static void run_batch(struct mbi_walk *w, struct batch *b)
{
    struct mbi_sum_batch batch = {b->bits, b->sum, b->n_sums, b->n_tables, NULL};
    struct mbi_ext *value = MBI_EXT(walk_keep)(w, b->n_tables, sizeof(*value)), *point;
    struct mbi_alike alike;

    if (w->failed)
        return;
    if (!MBI_EXT(alike_find)(&alike, &batch, w->host)) {
        w->failed = true;
        return;
    }
    if (MBI_EXT(alike_pays)(&alike, &batch))
        batch.alike = &alike;
    point = MBI_EXT(walk_keep)(w, MBI_EXT(sum_rounds)(&batch), sizeof(*point));
    if (w->hidden) {
        MBI_EXT(hidden_clear)(w->hidden);
        w->hidden->claim_pad = b->claim_pad;
    }
    if (point) {
        w->side->sum(w, point, value, &batch, b->table);
        MBI_EXT(walk_zeros)(w);
    }
    if (point && batch.alike)
        claim_lists(w, b, &alike, point, value);
    else if (point)
        claim_tables(w, b, point, value);
    MBI_EXT(alike_free)(&alike, w->host);
}

/* ---- relations that are zero ---- */

/* The random point at which all relations are taken, for each letter: shorter indices use its
 * begin. */
struct tau {
    const struct mbi_ext *z[MBI_LETTERS];
    /* The range that a letter had last, and its factor. */
    uint32_t n[MBI_LETTERS];
    const struct mbi_form_factor *factor[MBI_LETTERS];
};

static struct mbi_weights weights_at(struct mbi_walk *w, const struct mbi_relation *r,
                                     struct tau *tau)
{
    struct mbi_weights l = {.relation = r, .scale = mbi_ext_from(1)};

    for (uint32_t k = 0; k < r->n_letters; k++) {
        if (tau->n[k] != r->n[k]) {
            const struct mbi_form_factor f =
                MBI_EXT(form_eq)(0, mbi_index_bits(r->n[k]), r->n[k], tau->z[k]);

            tau->factor[k] = MBI_EXT(walk_factor)(w, &f);
            tau->n[k] = r->n[k];
        }
        l.factor[k] = tau->factor[k];
    }
    return l;
}

static void claim_relation(struct mbi_walk *w, const struct mbi_relation *r, struct tau *tau)
{
    const struct mbi_weights l = weights_at(w, r, tau);
    const uint32_t claim = MBI_EXT(walk_claim)(w, mbi_ext_from(0));

    for (uint32_t i = 0; i < r->n_terms; i++)
        add_linear(w, claim, &w->plan->term[r->first_term + i], &l, mbi_ext_from(1));
}

static bool same_axis(const struct mbi_axis *a, const struct mbi_axis *b)
{
    bool same =
        a->kind == b->kind && a->log == b->log && a->from == b->from && a->n_fields == b->n_fields;

    for (uint32_t k = 0; same && k < a->n_fields; k++)
        same = a->field[k].letter == b->field[k].letter && a->field[k].shift == b->field[k].shift;
    return same;
}

static bool same_view(const struct mbi_view *a, const struct mbi_view *b)
{
    return a->var == b->var && same_axis(&a->axis[0], &b->axis[0]) &&
           same_axis(&a->axis[1], &b->axis[1]) && same_axis(&a->axis[2], &b->axis[2]);
}

/* The number of a view among the tables; it is added if it is not there. */
static uint32_t find_table(struct batch *b, const struct mbi_view *view,
                           const struct mbi_relation *r)
{
    uint32_t i = b->latest[view->var];

    while (i != MBI_NONE &&
           !(same_view(&b->table[i].view, view) && same_letters(b->table[i].relation, r)))
        i = b->before[i];
    if (i != MBI_NONE)
        return i;
    i = add_table(b, view, r, NULL, ALL_LETTERS);
    b->before[i] = b->latest[view->var];
    return b->latest[view->var] = i;
}

/* What find_table() looks at; `latest` has room for all variables. */
static bool find_tables(struct batch *b, struct mbi_walk *w, uint32_t n_tables, uint32_t *latest)
{
    b->latest = latest;
    b->before = MBI_EXT(walk_keep)(w, n_tables, sizeof(*b->before));
    for (uint32_t i = 0; i < w->plan->n_vars; i++)
        latest[i] = MBI_NONE;
    return b->before;
}

static bool same_weight(const struct mbi_relation *a, const struct mbi_relation *b)
{
    return same_letters(a, b) && a->small == b->small && a->large == b->large;
}

/* A relation with products, as one sum over its letters. */
static void add_relation(struct mbi_walk *w, struct batch *b, const struct mbi_relation *r,
                         struct tau *tau)
{
    struct mbi_form *weight = b->of_weight && same_weight(b->of_weight, r)
                                  ? b->weight
                                  : MBI_EXT(walk_keep)(w, 1, sizeof(*weight));
    struct mbi_sum_term *term = MBI_EXT(walk_keep)(w, r->n_terms, sizeof(*term));
    uint32_t *table =
        MBI_EXT(walk_keep)(w, mbi_min_size(r->n_views, MBI_SUM_TABLES), sizeof(*table));
    size_t n_tables = 0;

    if (w->failed)
        return;
    if (weight != b->weight) {
        const struct mbi_weights l = weights_at(w, r, tau);

        *weight = MBI_EXT(sum_weight)(w, &l, ALL_LETTERS);
    }
    b->weight = weight;
    b->of_weight = r;
    for (uint32_t i = 0; i < r->n_terms && !w->failed; i++) {
        const struct mbi_term *t = &w->plan->term[r->first_term + i];

        term[i] = (struct mbi_sum_term){.c = mbi_fe_from_i64(t->c), .degree = (uint8_t)t->n};
        for (uint32_t k = 0; k < t->n; k++) {
            const uint32_t number = find_table(b, &t->view[k], r);
            size_t own = 0;

            while (own < n_tables && table[own] != number)
                own++;
            if (own == MBI_SUM_TABLES) {
                mbi_walk_cannot(w, "a relation has too many views");
                return;
            }
            if (own == n_tables)
                table[n_tables++] = number;
            term[i].factor[k] = (uint8_t)own;
        }
    }
    b->sum[b->n_sums++] = (struct mbi_sum){.weight = weight,
                                           .n_weights = 1,
                                           .term = term,
                                           .n_terms = r->n_terms,
                                           .table = table,
                                           .n_tables = n_tables,
                                           .claim = mbi_ext_from(0)};
}

static bool is_zero_product(const struct mbi_relation *r)
{
    return r->defines == MBI_NONE && r->is_product;
}

/* Relations with products by size: of each the next one that is like it, or MBI_NONE. */
static uint32_t *find_likes(struct mbi_walk *w)
{
    const struct mbi_plan *p = w->plan;
    uint32_t *next = MBI_EXT(walk_room)(w, p->n_relations, sizeof(*next));
    uint32_t *last = MBI_EXT(walk_room)(w, p->n_relations, sizeof(*last)); /* of those like it */

    for (uint32_t i = 0; next && last && i < p->n_relations; i++) {
        const struct mbi_relation *r = &p->relation[i];

        if (!is_zero_product(r))
            continue;
        next[i] = MBI_NONE;
        if (r->like != i)
            next[last[r->like]] = i;
        last[r->like] = i;
    }
    return last ? next : NULL;
}

/* One sum-check for all relations with products of the size of relation `first`. */
static void check_products(struct mbi_walk *w, uint32_t first, const uint32_t *next,
                           struct tau *tau, uint32_t *latest)
{
    const struct mbi_plan *p = w->plan;
    uint32_t n = 0, n_views = 0;
    struct batch b;

    for (uint32_t i = first; i != MBI_NONE; i = next[i], n++)
        n_views += p->relation[i].n_views;
    if (!batch_init(&b, w, n, n_views) || !find_tables(&b, w, n_views, latest))
        return;
    b.bits = bits_of(&p->relation[first], ALL_LETTERS);
    for (uint32_t i = first; i != MBI_NONE && !w->failed; i = next[i])
        add_relation(w, &b, &p->relation[i], tau);
    run_batch(w, &b);
}

void MBI_EXT(walk_relations)(struct mbi_walk *w)
{
    const struct mbi_plan *p = w->plan;
    unsigned bits[MBI_LETTERS] = {0};
    uint32_t *latest = MBI_EXT(walk_keep)(w, p->n_vars, sizeof(*latest)), *next = find_likes(w);
    struct tau tau = {.n = {0}}; /* no letter has the range 0 */

    for (uint32_t i = 0; i < p->n_relations; i++)
        for (uint32_t k = 0; k < p->relation[i].n_letters; k++)
            bits[k] = (unsigned)mbi_max_size(bits[k], mbi_index_bits(p->relation[i].n[k]));
    for (uint32_t k = 0; k < MBI_LETTERS; k++)
        tau.z[k] = MBI_EXT(walk_draw)(w, bits[k]);
    for (uint32_t i = 0; i < p->n_relations && !w->failed; i++)
        if (p->relation[i].defines == MBI_NONE && !p->relation[i].is_product &&
            !MBI_EXT(walk_is_tie)(w, &p->relation[i]))
            claim_relation(w, &p->relation[i], &tau);
    if (!w->failed)
        MBI_EXT(walk_links)(w);
    for (uint32_t i = 0; i < p->n_relations && !w->failed; i++)
        if (is_zero_product(&p->relation[i]) && p->relation[i].like == i)
            check_products(w, i, next, &tau, latest);
}

/* ---- products ---- */

static bool is_public(const struct mbi_walk *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    return v->kind == MBI_VAR_PUBLIC || (v->kind == MBI_VAR_WEIGHT && w->plan->public_weights);
}

/* The letters that the sum-check of a product is over: those of both views, those of a mask, and
 * those whose factor does not fall apart. */
static uint32_t sum_letters(const struct mbi_term *t, const struct mbi_weights *l)
{
    const struct mbi_relation *r = l->relation;
    uint32_t letters = mbi_view_letters(&t->view[0]) & mbi_view_letters(&t->view[1]);

    if (mbi_is_masked(r))
        letters |= 1u << r->small | 1u << r->large;
    return letters | l->whole[0] | l->whole[1] | l->whole[2];
}

/* The value of a view of public integers at some letters. */
static mbi_fe public_at(const struct mbi_walk *w, const struct mbi_view *view,
                        const uint32_t at[MBI_LETTERS])
{
    const struct mbi_var *v = &w->plan->var[view->var];
    int64_t x[MBI_AXES];

    for (int k = 0; k < MBI_AXES; k++) {
        x[k] = view->axis[k].from;
        for (uint32_t f = 0; f < view->axis[k].n_fields; f++)
            x[k] += (int64_t)at[view->axis[k].field[f].letter] << view->axis[k].field[f].shift;
        if (x[k] < 0 || x[k] >= v->n[k])
            return 0;
    }
    return mbi_table_field(&w->job->table[view->var],
                           mbi_var_place(v, (size_t)x[0], (size_t)x[1] * v->n[2] + (size_t)x[2]));
}

/* What a public view and the factor of one of its letters are together: rows for that letter, in
 * which the other ones are summed up with their own factors. */
static const struct mbi_form_factor *public_rows(struct mbi_walk *w, const struct mbi_view *view,
                                                 const struct mbi_weights *l, uint32_t shared)
{
    const struct mbi_relation *r = l->relation;
    struct mbi_ext *e[MBI_LETTERS] = {NULL};
    struct mbi_ext *rows = MBI_EXT(walk_keep)(w, r->n[shared], sizeof(*rows));
    const struct mbi_table table = {MBI_TABLE_EXT, rows, r->n[shared]};
    uint32_t at[MBI_LETTERS] = {0}, k = 0;
    struct mbi_form_factor f;

    for (k = 0; k < r->n_letters; k++)
        if (mbi_view_letters(view) >> k & 1) {
            const unsigned bits = mbi_index_bits(r->n[k]);

            if (!(e[k] = MBI_EXT(walk_keep)(w, (size_t)1 << bits, sizeof(*e[k]))))
                return l->factor[shared];
            MBI_EXT(walk_expand)(e[k], l->factor[k], bits);
        }
    if (w->failed)
        return l->factor[shared];
    do {
        struct mbi_ext x = mbi_ext_from(1);

        for (k = 0; k < r->n_letters; k++)
            if (e[k])
                x = mbi_ext_mul(x, e[k][at[k]]);
        rows[at[shared]] = mbi_ext_add(rows[at[shared]], mbi_ext_scale(x, public_at(w, view, at)));
        for (k = 0; k < r->n_letters; k++) {
            if (!e[k])
                continue;
            if (++at[k] < r->n[k])
                break;
            at[k] = 0;
        }
    } while (k < r->n_letters);
    f = MBI_EXT(form_rows)(0, mbi_index_bits(r->n[shared]), &table, NULL);
    return MBI_EXT(walk_factor)(w, &f);
}

static bool is_plain(const struct mbi_view *v)
{
    return v->axis[0].kind == MBI_AXIS_PLAIN && v->axis[2].kind == MBI_AXIS_PLAIN;
}

/* The view of a product that is public, where that makes it linear in the other one; or 2. */
static unsigned public_view(const struct mbi_walk *w, const struct mbi_term *t, uint32_t letters)
{
    if (!letters || (letters & (letters - 1)))
        return 2;
    for (unsigned k = 0; k < 2; k++)
        if (is_public(w, t->view[k].var) && is_plain(&t->view[k]) &&
            w->plan->var[t->view[k].var].input != MBI_PUBLIC_LESS)
            return k;
    return 2;
}

static void replace_half_public(struct mbi_walk *w, const struct mbi_part *part,
                                struct mbi_weights *l, const struct mbi_term *t, unsigned known,
                                uint32_t letters)
{
    const uint32_t letter = (uint32_t)mbi_bitlen(letters) - 1;
    uint32_t live;
    struct mbi_part p;

    l->factor[letter] = public_rows(w, &t->view[known], l, letter);
    live = ~mbi_view_letters(&t->view[known]);
    p = MBI_EXT(part_of_view)(w, &t->view[!known], l, live);
    p.claim = part->claim;
    p.scale = mbi_ext_mul(mbi_ext_mul(p.scale, l->scale), mbi_ext_times(part->scale, t->c));
    MBI_EXT(walk_part)(w, &p);
}

/* A letter that neither view has: its factor is summed up. */
static struct mbi_ext lost_letters(struct mbi_walk *w, const struct mbi_term *t,
                                   const struct mbi_weights *l, uint32_t letters)
{
    struct mbi_ext x = mbi_ext_from(1);

    letters |= mbi_view_letters(&t->view[0]) | mbi_view_letters(&t->view[1]);
    for (uint32_t k = 0; k < l->relation->n_letters; k++)
        if (!(letters >> k & 1))
            x = mbi_ext_mul(
                x, MBI_EXT(walk_total)(w, l->factor[k], mbi_index_bits(l->relation->n[k])));
    return x;
}

static bool is_of(const struct mbi_part *part, uint32_t var)
{
    return part->claim != MBI_NONE && part->var == var;
}

/* A part of a variable that is a product, whose sum is to be checked. */
struct product {
    size_t part;
    const struct mbi_relation *relation;
    uint32_t letters;
};

/* Its value is sent. */
static void add_product(struct mbi_walk *w, struct batch *b, const struct product *x)
{
    struct mbi_part *part = &w->part[x->part], one = *part;
    const struct mbi_term *t = &w->plan->term[x->relation->first_term];
    struct mbi_weights *l = &b->weights[b->n_sums];
    struct mbi_form *weight = MBI_EXT(walk_keep)(w, 1, sizeof(*weight));
    struct mbi_sum_term *term = MBI_EXT(walk_keep)(w, 1, sizeof(*term));
    uint32_t *table = MBI_EXT(walk_keep)(w, 2, sizeof(*table));
    struct mbi_ext value;

    if (w->failed)
        return;
    *l = MBI_EXT(weights_of_part)(w, x->relation, part);
    one.scale = mbi_ext_from(1);
    if (w->hidden) { /* what is sent is the value and a pad */
        b->claim_pad[b->n_sums] = w->hidden->next;
        MBI_EXT(walk_pad)(w, part->claim, w->hidden->next, part->scale);
    }
    value = w->side->value(w, &one);
    MBI_EXT(walk_take)(w, part->claim, mbi_ext_mul(part->scale, value));
    part->claim = MBI_NONE;
    *weight = MBI_EXT(sum_weight)(w, l, x->letters);
    weight->scale = mbi_ext_mul(weight->scale, lost_letters(w, t, l, x->letters));
    *term = (struct mbi_sum_term){mbi_fe_from_i64(t->c), 2, {0, 1}};
    table[0] = add_table(b, &t->view[0], x->relation, l, x->letters);
    table[1] = add_table(b, &t->view[1], x->relation, l, x->letters);
    b->sum[b->n_sums++] = (struct mbi_sum){weight, 1, term, 1, table, 2, value};
}

/* Those of n products whose sums are as long as that of the first one, by one sum-check; returns
 * how many are left, which are moved to the begin. */
static uint32_t sum_products(struct mbi_walk *w, struct product *x, uint32_t n)
{
    const unsigned bits = bits_of(x[0].relation, x[0].letters);
    uint32_t left = 0, here = 0;
    struct batch b;

    for (uint32_t i = 0; i < n; i++)
        here += bits_of(x[i].relation, x[i].letters) == bits;
    if (!batch_init(&b, w, here, 2 * here) ||
        !(b.weights = MBI_EXT(walk_keep)(w, here, sizeof(*b.weights))) ||
        (w->hidden && !(b.claim_pad = MBI_EXT(walk_keep)(w, here, sizeof(*b.claim_pad)))))
        return 0;
    b.bits = bits;
    for (uint32_t i = 0; i < n && !w->failed; i++)
        if (bits_of(x[i].relation, x[i].letters) == bits)
            add_product(w, &b, &x[i]);
        else
            x[left++] = x[i];
    if (!w->failed)
        run_batch(w, &b);
    return left;
}

/* Parts of a product of which one view is public are replaced; the others are listed (or, with a
 * NULL list, counted). */
static uint32_t find_products(struct mbi_walk *w, uint32_t var, struct product *x)
{
    const struct mbi_relation *r = &w->plan->relation[w->plan->var[var].relation];
    const struct mbi_term *t = &w->plan->term[r->first_term];
    const size_t n_parts = w->n_parts;
    uint32_t n = 0;

    for (size_t i = w->first[var].first; i < n_parts && !w->failed; i = w->part[i].next) {
        const struct mbi_part part = w->part[i];
        struct mbi_weights l;
        unsigned known;

        if (!is_of(&part, var))
            continue;
        if (!x) {
            n++;
            continue;
        }
        l = MBI_EXT(weights_of_part)(w, r, &part);
        x[n] = (struct product){i, r, sum_letters(t, &l)};
        known = public_view(w, t, x[n].letters);
        if (known == 2) {
            n++;
            continue;
        }
        w->part[i].claim = MBI_NONE;
        replace_half_public(w, &part, &l, t, known, x[n].letters);
    }
    return n;
}

/* ---- variables that are not committed ---- */

static void replace_linear(struct mbi_walk *w, uint32_t var, const struct mbi_relation *r)
{
    const size_t n_parts = w->n_parts;

    for (size_t i = w->first[var].first; i < n_parts && !w->failed; i = w->part[i].next) {
        const struct mbi_part part = w->part[i];
        struct mbi_weights l;

        if (!is_of(&part, var))
            continue;
        w->part[i].claim = MBI_NONE;
        l = MBI_EXT(weights_of_part)(w, r, &part);
        if (l.whole[0] || l.whole[1] || l.whole[2])
            mbi_walk_cannot(w, "a sum has a weight that does not fall apart");
        for (uint32_t k = 0; k < r->n_terms && !w->failed; k++)
            add_linear(w, part.claim, &w->plan->term[r->first_term + k], &l, part.scale);
    }
}

static void take_public(struct mbi_walk *w, uint32_t var)
{
    for (size_t i = w->first[var].first; i != SIZE_MAX; i = w->part[i].next) {
        struct mbi_part *part = &w->part[i];

        if (!is_of(part, var))
            continue;
        MBI_EXT(walk_take)(w, part->claim, MBI_EXT(walk_public_value)(w, part));
        part->claim = MBI_NONE;
    }
}

/* What is handed on between proofs has an opening of its own: what a part is worth is sent, and
 * claimed by itself. */
static void send_boundary(struct mbi_walk *w, uint32_t var)
{
    const size_t n_parts = w->n_parts; /* those behind are new */

    for (size_t i = w->first[var].first; i < n_parts && !w->failed; i = w->part[i].next) {
        struct mbi_part one = w->part[i];
        struct mbi_ext value;

        if (!is_of(&one, var))
            continue;
        one.scale = mbi_ext_from(1);
        value = w->side->value(w, &one);
        MBI_EXT(walk_take)(w, one.claim, mbi_ext_mul(w->part[i].scale, value));
        w->part[i].claim = MBI_NONE;
        one.claim = MBI_EXT(walk_claim)(w, value);
        MBI_EXT(walk_part)(w, &one);
    }
}

static bool has_parts(const struct mbi_walk *w, uint32_t var)
{
    for (size_t i = w->first[var].first; i != SIZE_MAX; i = w->part[i].next)
        if (is_of(&w->part[i], var))
            return true;
    return false;
}

/* A list of places is no weight of an index: it has no letters to fall apart into. */
static bool has_list(const struct mbi_walk *w, uint32_t var)
{
    for (size_t i = w->first[var].first; i != SIZE_MAX; i = w->part[i].next)
        if (is_of(&w->part[i], var) && w->part[i].joint)
            return true;
    return false;
}

/*
 * Derived variables by rank: 0 where no definition reads it, else one more than the highest of
 * those that do. Within a rank nothing depends on each other. Returns the end of the ranks.
 */
static uint32_t find_ranks(uint32_t *rank, const struct mbi_plan *p)
{
    uint32_t end = 0;

    for (uint32_t i = p->n_vars; i-- > 0;) { /* a definition reads what was declared before it */
        const struct mbi_relation *r = &p->relation[p->var[i].relation];

        if (p->var[i].kind != MBI_VAR_DERIVED)
            continue;
        end = rank[i] >= end ? rank[i] + 1 : end;
        for (uint32_t k = 0; k < r->n_terms; k++)
            for (uint32_t v = 0; v < p->term[r->first_term + k].n; v++) {
                uint32_t *of = &rank[p->term[r->first_term + k].view[v].var];

                *of = *of > rank[i] ? *of : rank[i] + 1;
            }
    }
    return end;
}

/* Derived variables by rank, the last one of each first: those of rank k are var[begin[k]] ..
 * var[begin[k + 1]]. */
struct ranks {
    uint32_t *var, *begin, end;
};

static bool sort_ranks(struct ranks *s, struct mbi_walk *w)
{
    const struct mbi_plan *p = w->plan;
    uint32_t *rank = MBI_EXT(walk_keep)(w, p->n_vars, sizeof(*rank));

    if (!rank)
        return false;
    s->end = find_ranks(rank, p);
    s->var = MBI_EXT(walk_keep)(w, p->n_vars, sizeof(*s->var));
    s->begin = MBI_EXT(walk_keep)(w, (size_t)s->end + 2, sizeof(*s->begin));
    if (!s->var || !s->begin)
        return false;
    for (uint32_t i = 0; i < p->n_vars; i++)
        if (p->var[i].kind == MBI_VAR_DERIVED)
            s->begin[rank[i] + 2]++;
    for (uint32_t k = 2; k < s->end + 2; k++)
        s->begin[k] += s->begin[k - 1];
    for (uint32_t i = p->n_vars; i-- > 0;)
        if (p->var[i].kind == MBI_VAR_DERIVED)
            s->var[s->begin[rank[i] + 1]++] = i;
    return true;
}

/* Something is claimed of it. */
static bool is_claimed(struct mbi_walk *w, uint32_t var)
{
    if (!has_parts(w, var))
        return false;
    if (has_list(w, var))
        mbi_walk_cannot(w, "a list of places is of what is not committed");
    return !w->failed;
}

static bool is_product(const struct mbi_walk *w, uint32_t var)
{
    return w->plan->relation[w->plan->var[var].relation].is_product;
}

/* The variables of one rank. */
static void replace_rank(struct mbi_walk *w, const uint32_t *var, uint32_t n_vars)
{
    struct product *x;
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_vars && !w->failed; i++) {
        if (!is_claimed(w, var[i]))
            continue;
        if (is_product(w, var[i]))
            n += find_products(w, var[i], NULL);
        else
            replace_linear(w, var[i], &w->plan->relation[w->plan->var[var[i]].relation]);
    }
    if (!n || w->failed || !(x = MBI_EXT(walk_keep)(w, n, sizeof(*x))))
        return;
    n = 0;
    for (uint32_t i = 0; i < n_vars && !w->failed; i++)
        if (is_product(w, var[i]) && is_claimed(w, var[i]))
            n += find_products(w, var[i], x + n);
    while (n && !w->failed)
        n = sum_products(w, x, n);
}

void MBI_EXT(walk_replace)(struct mbi_walk *w)
{
    struct ranks s = {.end = 0};

    if (!sort_ranks(&s, w))
        return;
    for (uint32_t k = 0; k < s.end && !w->failed; k++)
        replace_rank(w, s.var + s.begin[k], s.begin[k + 1] - s.begin[k]);
    for (uint32_t i = w->plan->n_vars; i-- > 0 && !w->failed;)
        if (is_public(w, i))
            take_public(w, i);
    for (uint32_t i = w->plan->n_vars; i-- > 0 && !w->failed && mbi_plan_is_linked(w->plan);)
        if (w->plan->var[i].kind == MBI_VAR_BOUNDARY)
            send_boundary(w, i);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From relations to claims. Every relation is taken at a random point; what is linear becomes a
 * claim at once, products go through sum-checks. Then the variables that are not committed are
 * replaced in all claims, the last one first, by what defines them.
 */
#include "proof/walk.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

#define LEVEL 100                   /* bits of soundness of profile A; of profile B with D = 3 */
#define WORK 16                     /* bits, before positions are drawn */
#define VERSION 1                   /* of the protocol */
#define MAX_PARTS ((size_t)1 << 20) /* of all claims: each sum of a graph may make two of one */

/* ---- memory ---- */

static void *keep(struct mbi_walk *w, size_t n, size_t size)
{
    if (w->n_blocks == w->block_cap) {
        const size_t cap = 2 * w->block_cap + 16;
        void **more = mbi_realloc(w->host, w->block, cap, sizeof(*more));

        if (!more) {
            w->failed = true;
            return NULL;
        }
        w->block = more;
        w->block_cap = cap;
    }
    w->block[w->n_blocks] = mbi_alloc(w->host, n ? n : 1, size);
    if (!w->block[w->n_blocks]) {
        w->failed = true;
        return NULL;
    }
    return w->block[w->n_blocks++];
}

static struct mbi_ext *keep_point(struct mbi_walk *w, size_t n)
{
    return keep(w, n, sizeof(struct mbi_ext));
}

void MBI_EXT(walk_free)(struct mbi_walk *w)
{
    for (size_t i = 0; i < w->n_blocks; i++)
        mbi_free(w->host, w->block[i]);
    mbi_free(w->host, w->block);
    mbi_free(w->host, w->part);
    mbi_free(w->host, w->value);
}

static struct mbi_ext *draw_point(struct mbi_walk *w, size_t n)
{
    struct mbi_ext *z = keep_point(w, n);

    if (z)
        mbi_transcript_draw(z->c, n * MBI_EXT_D, w->transcript);
    return z;
}

/* ---- claims and their parts ---- */

static uint32_t add_claim(struct mbi_walk *w, struct mbi_ext value)
{
    if (w->n_claims == w->claim_cap) {
        const size_t cap = 2 * w->claim_cap + 64;
        struct mbi_ext *more = mbi_realloc(w->host, w->value, cap, sizeof(*more));

        if (!more) {
            w->failed = true;
            return 0;
        }
        w->value = more;
        w->claim_cap = cap;
    }
    w->value[w->n_claims] = value;
    return (uint32_t)w->n_claims++;
}

static void add_part(struct mbi_walk *w, const struct mbi_part *part)
{
    if (w->n_parts >= MAX_PARTS) {
        w->failed = true;
        return;
    }
    if (w->n_parts == w->part_cap) {
        const size_t cap = 2 * w->part_cap + 64;
        struct mbi_part *more = mbi_realloc(w->host, w->part, cap, sizeof(*more));

        if (!more) {
            w->failed = true;
            return;
        }
        w->part = more;
        w->part_cap = cap;
    }
    w->part[w->n_parts++] = *part;
}

/* value -= x */
static void take_from(struct mbi_walk *w, uint32_t claim, struct mbi_ext x)
{
    if (claim < w->n_claims)
        w->value[claim] = mbi_ext_sub(w->value[claim], x);
}

/* c a for a signed constant. */
static struct mbi_ext scaled(struct mbi_ext a, int64_t c)
{
    return mbi_ext_scale(a, mbi_fe_from_i64(c));
}

/* ---- factors ---- */

static unsigned bits_of(uint32_t n) { return (unsigned)mbi_bitlen(n - 1); }

static struct mbi_form form_of(const struct mbi_form_factor *f, unsigned bits)
{
    return (struct mbi_form){bits, mbi_ext_from(1), 1, {*f}};
}

/* The sum of a factor's entries: the extension where every bit is one half, times their number. */
static struct mbi_ext total(const struct mbi_form_factor *f, unsigned bits)
{
    const struct mbi_form form = form_of(f, bits);
    struct mbi_ext half[MBI_MAX_BITS];

    for (unsigned k = 0; k < bits; k++)
        half[k] = mbi_ext_from((MBI_FIELD_P + 1) / 2);
    return mbi_ext_scale(MBI_EXT(form_at)(&form, half), (mbi_fe)1 << bits);
}

void MBI_EXT(walk_expand)(struct mbi_ext *out, const struct mbi_form_factor *f, unsigned bits)
{
    const struct mbi_form form = form_of(f, bits);
    const unsigned log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;

    for (size_t x = 0; x < (size_t)1 << bits; x += (size_t)1 << log)
        MBI_EXT(form_block)(out + x, &form, x, log);
}

/* A factor moved so that its free index begins at bit `at` of a form. */
static struct mbi_form_factor moved(const struct mbi_form_factor *f, unsigned at)
{
    struct mbi_form_factor r = *f;

    for (unsigned k = 0; k < r.n_indices; k++)
        if (r.index[k].at != MBI_FORM_SUMMED)
            r.index[k].at = (uint8_t)(r.index[k].at + at);
    return r;
}

struct mbi_form MBI_EXT(walk_form)(const struct mbi_walk *w, const struct mbi_part *part)
{
    struct mbi_form form = {.scale = part->scale};
    unsigned row_bits = 0;

    if (part->var == MBI_NONE) {
        form.bits = w->plan->bits;
    } else {
        row_bits = w->plan->var[part->var].row_bits;
        form.bits = row_bits + w->plan->var[part->var].col_bits;
        form.factor[form.n_factors++] = part->row;
    }
    form.factor[form.n_factors++] = moved(&part->col, row_bits);
    return form;
}

struct mbi_ext MBI_EXT(walk_part_value)(struct mbi_walk *w, const struct mbi_part *part,
                                        const struct mbi_table *table)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    const size_t rows = (size_t)1 << v->row_bits, cols = (size_t)1 << v->col_bits;
    struct mbi_ext *row = mbi_alloc(w->host, rows + cols, sizeof(*row)), *col;
    struct mbi_ext sum = mbi_ext_from(0);

    if (!row) {
        w->failed = true;
        return sum;
    }
    col = row + rows;
    MBI_EXT(walk_expand)(row, &part->row, v->row_bits);
    MBI_EXT(walk_expand)(col, &part->col, v->col_bits);
    for (size_t r = 0; r < v->rows; r++)
        sum = mbi_ext_add(sum,
                          mbi_ext_mul(row[r], MBI_EXT(table_dot)(table, r * cols, col, v->cols)));
    mbi_free(w->host, row);
    return mbi_ext_mul(sum, part->scale);
}

/* ---- letters ---- */

/* What each letter of a relation is weighted with. */
struct letters {
    struct mbi_form_factor factor[MBI_LETTERS];
    uint32_t n[MBI_LETTERS]; /* ranges */
};

static bool has_letter(const struct mbi_view *v, unsigned letter)
{
    return v->row == letter || v->col == letter;
}

/* A factor eq(z, x + s) with its masks, as form_eq() and form_shift() make them. */
struct shift {
    const struct mbi_ext *z;
    unsigned z_bits;
    uint64_t below, z_below;
    int64_t s;
};

static bool read_shift(struct shift *out, const struct mbi_form_factor *f)
{
    const bool moved = f->n_indices == 2;

    if (f->kind != MBI_FORM_RULED || f->index[0].weight == MBI_FORM_POWER ||
        f->n_rules != (moved ? 3 : 1) || f->rule[0].order != MBI_FORM_BELOW)
        return false;
    *out = (struct shift){f->index[0].z, f->index[0].bits, f->rule[0].n, f->rule[0].n, 0};
    if (!moved)
        return f->n_indices == 1;
    if (f->rule[1].order != MBI_FORM_BELOW || f->rule[2].order != MBI_FORM_SUM)
        return false;
    out->z = f->index[1].z;
    out->z_bits = f->index[1].bits;
    out->z_below = f->rule[1].n;
    out->s = f->rule[2].left == 0 ? -(int64_t)f->rule[2].n : (int64_t)f->rule[2].n;
    return true;
}

/* The same, entry by entry, for factors that are no shift. */
static struct mbi_form_factor rows_of_index(struct mbi_walk *w, const struct mbi_form_factor *f,
                                            uint32_t n, int32_t from, uint32_t all)
{
    struct mbi_ext *letter = keep_point(w, (size_t)1 << bits_of(n)), *index = keep_point(w, all);
    const struct mbi_table rows = {MBI_TABLE_EXT, index, all};

    if (w->failed)
        return *f;
    MBI_EXT(walk_expand)(letter, f, bits_of(n));
    for (uint32_t x = 0; x < all; x++) {
        const int64_t at = (int64_t)x - from;

        if (at >= 0 && at < n)
            index[x] = letter[at];
    }
    return MBI_EXT(form_rows)(0, bits_of(all), &rows, NULL);
}

/*
 * The factor of a letter of range n as one of a variable's index x, which is the letter plus `from`
 * and has the range `all`: eq(z, x - from + s) where the letter x - from is in its own range. The
 * lower end of that range is 0 <= x - from, which needs no rule of its own if from <= 0, or if
 * s <= 0: then it follows from 0 <= x - from + s. Where the letter leads outside of the variable,
 * nothing is counted.
 */
static struct mbi_form_factor of_index(struct mbi_walk *w, const struct mbi_form_factor *f,
                                       uint32_t n, int32_t from, uint32_t all)
{
    struct shift q;
    uint64_t below;

    if (bits_of(n) == bits_of(all) && !from && n <= all)
        return *f;
    if (!read_shift(&q, f) || (from > 0 && q.s > 0) || q.s - from != (int32_t)(q.s - from))
        return rows_of_index(w, f, n, from, all);
    below = (uint64_t)mbi_clamp_i64((int64_t)q.below + from, 0, all);
    return MBI_EXT(form_shift)(0, bits_of(all), below, q.z, q.z_bits, q.z_below,
                               (int32_t)(q.s - from));
}

static struct mbi_part part_of_view(struct mbi_walk *w, const struct mbi_view *view,
                                    const struct letters *l)
{
    const struct mbi_var *v = &w->plan->var[view->var];
    struct mbi_part p = {.var = view->var, .scale = mbi_ext_from(1)};

    p.row = view->row == MBI_LETTER_NONE
                ? MBI_EXT(form_ones)(0, 0, 1)
                : of_index(w, &l->factor[view->row], l->n[view->row], 0, v->rows);
    p.col = view->col == MBI_LETTER_NONE
                ? MBI_EXT(form_ones)(0, 0, 1)
                : of_index(w, &l->factor[view->col], l->n[view->col], view->col_from, v->cols);
    return p;
}

/* A claim of one view where its letters are weighted. */
static void claim_view(struct mbi_walk *w, const struct mbi_view *view, const struct letters *l,
                       struct mbi_ext value)
{
    struct mbi_part p = part_of_view(w, view, l);

    p.claim = add_claim(w, value);
    add_part(w, &p);
}

/* Adds scale times a term of at most one view, weighted by its letters, to a claim. A letter of the
 * result that the term does not have is summed up. */
static void add_linear(struct mbi_walk *w, uint32_t claim, const struct mbi_term *t,
                       const struct letters *l, struct mbi_ext scale)
{
    struct mbi_part p;

    scale = scaled(scale, t->c);
    for (unsigned k = MBI_LETTER_ROW; k <= MBI_LETTER_COL; k++)
        if (!t->n || !has_letter(&t->view[0], k))
            scale = mbi_ext_mul(scale, total(&l->factor[k], bits_of(l->n[k])));
    if (!t->n) {
        take_from(w, claim, scale);
        return;
    }
    p = part_of_view(w, &t->view[0], l);
    p.claim = claim;
    p.scale = scale;
    add_part(w, &p);
}

/* ---- sums ---- */

#define SUM_LETTERS 2 /* that a sum-check can have */

/* A sum-check under construction: `sum` and `table` have room for what is added. */
struct batch {
    unsigned bits;
    struct mbi_sum *sum;
    struct mbi_walk_table *table;
    struct letters *letters; /* by table: what the letters are weighted with behind the sum */
    uint32_t n_sums, n_tables;
    uint8_t letter[SUM_LETTERS]; /* of the sum, in the order of its bits */
    unsigned n_letters;
};

static bool batch_init(struct batch *b, struct mbi_walk *w, uint32_t n_sums, uint32_t n_tables)
{
    *b = (struct batch){.sum = keep(w, n_sums, sizeof(*b->sum)),
                        .table = keep(w, n_tables, sizeof(*b->table)),
                        .letters = keep(w, n_tables, sizeof(*b->letters))};
    return b->sum && b->table && b->letters;
}

/* Places the letters of the sum in the index of its tables. */
static void set_letters(struct batch *b, const uint8_t *letter, unsigned n, const struct letters *l)
{
    b->bits = 0;
    b->n_letters = n;
    for (unsigned k = 0; k < n; k++) {
        b->letter[k] = letter[k];
        b->bits += bits_of(l->n[letter[k]]);
    }
}

/* The weight of a sum: the factors of its letters. */
static struct mbi_form sum_weight(const struct batch *b, const struct letters *l)
{
    struct mbi_form form = {.bits = b->bits, .scale = mbi_ext_from(1)};
    unsigned at = 0;

    for (unsigned k = 0; k < b->n_letters; k++) {
        form.factor[form.n_factors++] = moved(&l->factor[b->letter[k]], at);
        at += bits_of(l->n[b->letter[k]]);
    }
    return form;
}

static uint32_t add_table(struct batch *b, const struct mbi_view *view, const struct letters *l)
{
    struct mbi_walk_table *t = &b->table[b->n_tables];
    unsigned left = b->bits;

    *t = (struct mbi_walk_table){.view = *view, .summed = MBI_LETTER_NONE};
    for (unsigned k = 0; k < MBI_LETTERS; k++) {
        t->range[k] = l->n[k];
        t->shift[k] = MBI_MAX_BITS; /* not in the table */
    }
    t->range[MBI_LETTER_NONE] = 1;
    t->shift[MBI_LETTER_NONE] = MBI_MAX_BITS;
    for (unsigned k = 0; k < b->n_letters; k++) {
        const uint8_t letter = b->letter[k];

        left -= bits_of(l->n[letter]);
        t->bits[letter] = (uint8_t)bits_of(l->n[letter]);
        t->shift[letter] = (uint8_t)left;
    }
    for (uint8_t k = 0; k < MBI_LETTERS; k++)
        if (has_letter(view, k) && t->shift[k] == MBI_MAX_BITS) {
            t->summed = k;
            t->weight = l->factor[k];
            t->n = l->n[k];
        }
    b->letters[b->n_tables] = *l;
    return b->n_tables++;
}

/* Runs the batch and claims each of its tables at the point where it ends. */
static void run_batch(struct mbi_walk *w, struct batch *b)
{
    const struct mbi_sum_batch batch = {b->bits, b->sum, b->n_sums, b->n_tables};
    struct mbi_ext *point = keep_point(w, b->bits), *value = keep_point(w, b->n_tables);

    if (w->failed)
        return;
    w->side->sum(w, point, value, &batch, b->table);
    for (uint32_t i = 0; i < b->n_tables; i++) {
        struct letters l = b->letters[i];
        unsigned at = 0;

        for (unsigned k = 0; k < b->n_letters; k++) {
            const uint8_t letter = b->letter[k];
            const unsigned bits = bits_of(l.n[letter]);

            l.factor[letter] = MBI_EXT(form_eq)(0, bits, l.n[letter], point + at);
            at += bits;
        }
        claim_view(w, &b->table[i].view, &l, value[i]);
    }
}

/* ---- relations that are zero ---- */

/* The random point at which all relations are taken: shorter indices use its begin. */
struct tau {
    const struct mbi_ext *row, *col;
};

static struct letters letters_at(const struct mbi_relation *r, const struct tau *tau)
{
    struct letters l = {.n = {r->rows, r->cols, r->sum}};

    l.factor[MBI_LETTER_ROW] = MBI_EXT(form_eq)(0, bits_of(r->rows), r->rows, tau->row);
    l.factor[MBI_LETTER_COL] = MBI_EXT(form_eq)(0, bits_of(r->cols), r->cols, tau->col);
    l.factor[MBI_LETTER_SUM] = MBI_EXT(form_ones)(0, bits_of(r->sum), r->sum);
    return l;
}

static void claim_relation(struct mbi_walk *w, const struct mbi_relation *r, const struct tau *tau)
{
    const struct letters l = letters_at(r, tau);
    const uint32_t claim = add_claim(w, mbi_ext_from(0));

    for (uint32_t i = 0; i < r->n_terms; i++)
        add_linear(w, claim, &w->plan->term[r->first_term + i], &l, mbi_ext_from(1));
}

static bool same_view(const struct mbi_view *a, const struct mbi_view *b)
{
    return a->var == b->var && a->row == b->row && a->col == b->col && a->col_from == b->col_from;
}

/* The number of a view among the tables from `first` on; it is added if it is not there. */
static uint32_t find_table(struct batch *b, const struct mbi_view *view, const struct letters *l)
{
    for (uint32_t i = 0; i < b->n_tables; i++)
        if (same_view(&b->table[i].view, view) &&
            b->letters[i].n[MBI_LETTER_ROW] == l->n[MBI_LETTER_ROW] &&
            b->letters[i].n[MBI_LETTER_COL] == l->n[MBI_LETTER_COL])
            return i;
    return add_table(b, view, l);
}

/* A relation with products, as one sum over rows and columns. */
static void add_relation(struct mbi_walk *w, struct batch *b, const struct mbi_relation *r,
                         const struct tau *tau)
{
    const struct letters l = letters_at(r, tau);
    struct mbi_form *weight = keep(w, 1, sizeof(*weight));
    struct mbi_sum_term *term = keep(w, r->n_terms, sizeof(*term));
    uint32_t *table = keep(w, MBI_SUM_TABLES, sizeof(*table));
    size_t n_tables = 0;

    if (w->failed)
        return;
    *weight = sum_weight(b, &l);
    for (uint32_t i = 0; i < r->n_terms && !w->failed; i++) {
        const struct mbi_term *t = &w->plan->term[r->first_term + i];

        term[i] = (struct mbi_sum_term){.c = mbi_fe_from_i64(t->c), .degree = (uint8_t)t->n};
        for (uint32_t k = 0; k < t->n; k++) {
            const uint32_t number = find_table(b, &t->view[k], &l);
            size_t own = 0;

            while (own < n_tables && table[own] != number)
                own++;
            /* A table has to know both letters of the sum; none of more is planned for. */
            if (own == MBI_SUM_TABLES || t->view[k].row != MBI_LETTER_ROW ||
                t->view[k].col != MBI_LETTER_COL) {
                w->failed = true;
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

static bool same_size(const struct mbi_relation *a, const struct mbi_relation *b)
{
    return bits_of(a->rows) == bits_of(b->rows) && bits_of(a->cols) == bits_of(b->cols);
}

/* One sum-check for all relations with products of the size of relation `first`. */
static void check_products(struct mbi_walk *w, uint32_t first, const struct tau *tau)
{
    static const uint8_t letter[] = {MBI_LETTER_ROW, MBI_LETTER_COL};
    const struct mbi_plan *p = w->plan;
    const struct mbi_relation *like = &p->relation[first];
    const struct letters l = letters_at(like, tau);
    uint32_t n = 0, n_views = 0;
    struct batch b;

    for (uint32_t i = first; i < p->n_relations; i++)
        if (is_zero_product(&p->relation[i]) && same_size(like, &p->relation[i])) {
            n++;
            n_views += MBI_TERM_VIEWS * p->relation[i].n_terms;
        }
    if (!batch_init(&b, w, n, n_views))
        return;
    set_letters(&b, letter, MBI_COUNT(letter), &l);
    for (uint32_t i = first; i < p->n_relations && !w->failed; i++)
        if (is_zero_product(&p->relation[i]) && same_size(like, &p->relation[i]))
            add_relation(w, &b, &p->relation[i], tau);
    run_batch(w, &b);
}

static bool is_first_of_size(const struct mbi_plan *p, uint32_t relation)
{
    for (uint32_t i = 0; i < relation; i++)
        if (is_zero_product(&p->relation[i]) && same_size(&p->relation[i], &p->relation[relation]))
            return false;
    return true;
}

static void check_relations(struct mbi_walk *w)
{
    const struct mbi_plan *p = w->plan;
    unsigned rows = 0, cols = 0;
    struct tau tau;

    for (uint32_t i = 0; i < p->n_relations; i++) {
        rows = (unsigned)mbi_max_size(rows, bits_of(p->relation[i].rows));
        cols = (unsigned)mbi_max_size(cols, bits_of(p->relation[i].cols));
    }
    tau.row = draw_point(w, rows);
    tau.col = draw_point(w, cols);
    for (uint32_t i = 0; i < p->n_relations && !w->failed; i++)
        if (p->relation[i].defines == MBI_NONE && !p->relation[i].is_product)
            claim_relation(w, &p->relation[i], &tau);
    for (uint32_t i = 0; i < p->n_relations && !w->failed; i++)
        if (is_zero_product(&p->relation[i]) && is_first_of_size(p, i))
            check_products(w, i, &tau);
}

/* ---- variables that are not committed ---- */

static bool is_public(const struct mbi_walk *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];

    return v->kind == MBI_VAR_PUBLIC || (v->kind == MBI_VAR_WEIGHT && w->plan->public_weights);
}

/* The letters of a definition, weighted as a part of the variable is. */
static struct letters letters_of_part(const struct mbi_relation *r, const struct mbi_part *part)
{
    struct letters l = {.n = {r->rows, r->cols, r->sum}};

    l.factor[MBI_LETTER_ROW] = part->row;
    l.factor[MBI_LETTER_COL] = part->col;
    l.factor[MBI_LETTER_SUM] = MBI_EXT(form_ones)(0, bits_of(r->sum), r->sum);
    return l;
}

/* What a public view and the factor of one of its letters are together: rows for that letter, in
 * which the other one is summed up with its own factor. */
static struct mbi_form_factor public_rows(struct mbi_walk *w, const struct mbi_view *view,
                                          const struct letters *l, uint8_t shared)
{
    const struct mbi_var *v = &w->plan->var[view->var];
    const struct mbi_table *table = &w->job->table[view->var];
    const uint8_t other = view->row == shared ? view->col : view->row;
    const unsigned bits = bits_of(l->n[shared]);
    const uint32_t n_other = other == MBI_LETTER_NONE ? 1 : l->n[other];
    struct mbi_ext *weight = keep_point(w, (size_t)1 << bits_of(n_other));
    struct mbi_ext *own = keep_point(w, (size_t)1 << bits);
    struct mbi_ext *sum = keep_point(w, l->n[shared]);
    struct mbi_table rows;

    if (!weight || !own || !sum)
        return MBI_EXT(form_ones)(0, bits, l->n[shared]);
    if (other == MBI_LETTER_NONE)
        weight[0] = mbi_ext_from(1);
    else
        MBI_EXT(walk_expand)(weight, &l->factor[other], bits_of(n_other));
    MBI_EXT(walk_expand)(own, &l->factor[shared], bits);
    for (uint32_t s = 0; s < l->n[shared]; s++) {
        for (uint32_t o = 0; o < n_other; o++) {
            const size_t row = view->row == shared ? s : o, col = view->row == shared ? o : s;
            const int64_t at = (int64_t)col + view->col_from;

            if (at >= 0 && at < v->cols)
                sum[s] = mbi_ext_add(
                    sum[s], mbi_ext_scale(weight[o], mbi_table_field(table, (row << v->col_bits) +
                                                                                (size_t)at)));
        }
        sum[s] = mbi_ext_mul(sum[s], own[s]);
    }
    rows = (struct mbi_table){MBI_TABLE_EXT, sum, l->n[shared]};
    return MBI_EXT(form_rows)(0, bits, &rows, NULL);
}

/* The letters that both views of a product have, which its sum-check is over. */
static unsigned shared_letters(uint8_t letter[MBI_LETTERS], const struct mbi_term *t)
{
    unsigned n = 0;

    for (uint8_t k = 0; k < MBI_LETTERS; k++)
        if (has_letter(&t->view[0], k) && has_letter(&t->view[1], k))
            letter[n++] = k;
    return n;
}

/* A product with a public view is linear in the other one. */
static void replace_half_public(struct mbi_walk *w, const struct mbi_part *part,
                                const struct mbi_relation *r, const struct mbi_term *t,
                                unsigned known)
{
    struct letters l = letters_of_part(r, part);
    uint8_t letter[MBI_LETTERS];
    struct mbi_part p;

    if (shared_letters(letter, t) != 1) {
        w->failed = true;
        return;
    }
    l.factor[letter[0]] = public_rows(w, &t->view[known], &l, letter[0]);
    p = part_of_view(w, &t->view[!known], &l);
    p.claim = part->claim;
    p.scale = scaled(part->scale, t->c);
    add_part(w, &p);
}

/* The sum of one part of a variable that is a product: its value is sent. */
static void add_product(struct mbi_walk *w, struct batch *b, const struct mbi_part *part,
                        const struct mbi_relation *r, const struct mbi_term *t)
{
    const struct letters l = letters_of_part(r, part);
    struct mbi_form *weight = keep(w, 1, sizeof(*weight));
    struct mbi_sum_term *term = keep(w, 1, sizeof(*term));
    uint32_t *table = keep(w, 2, sizeof(*table));
    uint8_t letter[MBI_LETTERS];
    struct mbi_ext value;
    struct mbi_part one = *part;

    if (w->failed)
        return;
    set_letters(b, letter, shared_letters(letter, t), &l);
    one.scale = mbi_ext_from(1);
    value = w->side->value(w, &one);
    take_from(w, part->claim, mbi_ext_mul(part->scale, value));
    *weight = sum_weight(b, &l);
    *term = (struct mbi_sum_term){mbi_fe_from_i64(t->c), 2, {0, 1}};
    table[0] = add_table(b, &t->view[0], &l);
    table[1] = add_table(b, &t->view[1], &l);
    b->sum[b->n_sums++] = (struct mbi_sum){weight, 1, term, 1, table, 2, value};
}

/* All claims about a variable that is one product, by one sum-check. */
static void replace_product(struct mbi_walk *w, uint32_t var, const struct mbi_relation *r,
                            uint32_t n)
{
    const struct mbi_term *t = &w->plan->term[r->first_term];
    const size_t n_parts = w->n_parts;
    uint8_t letter[MBI_LETTERS];
    const unsigned shared = shared_letters(letter, t);
    struct batch b;

    if (!batch_init(&b, w, n, 2 * n))
        return;
    for (size_t i = 0; i < n_parts && !w->failed; i++) {
        const struct mbi_part part = w->part[i];

        if (part.claim == MBI_NONE || part.var != var)
            continue;
        w->part[i].claim = MBI_NONE;
        if (shared == 1 && is_public(w, t->view[0].var))
            replace_half_public(w, &part, r, t, 0);
        else if (shared == 1 && is_public(w, t->view[1].var))
            replace_half_public(w, &part, r, t, 1);
        else
            add_product(w, &b, &part, r, t);
    }
    if (b.n_sums && !w->failed)
        run_batch(w, &b);
}

static void replace_linear(struct mbi_walk *w, uint32_t var, const struct mbi_relation *r)
{
    const size_t n_parts = w->n_parts;

    for (size_t i = 0; i < n_parts && !w->failed; i++) {
        const struct mbi_part part = w->part[i];
        struct letters l;

        if (part.claim == MBI_NONE || part.var != var)
            continue;
        w->part[i].claim = MBI_NONE;
        l = letters_of_part(r, &part);
        for (uint32_t k = 0; k < r->n_terms; k++)
            add_linear(w, part.claim, &w->plan->term[r->first_term + k], &l, part.scale);
    }
}

static void take_public(struct mbi_walk *w, uint32_t var)
{
    for (size_t i = 0; i < w->n_parts; i++) {
        struct mbi_part *part = &w->part[i];

        if (part->claim == MBI_NONE || part->var != var)
            continue;
        take_from(w, part->claim, MBI_EXT(walk_part_value)(w, part, &w->job->table[var]));
        part->claim = MBI_NONE;
    }
}

static uint32_t parts_of(const struct mbi_walk *w, uint32_t var)
{
    uint32_t n = 0;

    for (size_t i = 0; i < w->n_parts; i++)
        n += w->part[i].claim != MBI_NONE && w->part[i].var == var;
    return n;
}

/* A definition reads what was declared before it. */
static void replace_variables(struct mbi_walk *w)
{
    for (uint32_t i = w->plan->n_vars; i-- > 0 && !w->failed;) {
        const struct mbi_var *v = &w->plan->var[i];
        const uint32_t n = parts_of(w, i);

        if (!n)
            continue;
        if (is_public(w, i))
            take_public(w, i);
        if (v->kind != MBI_VAR_DERIVED)
            continue;
        if (w->plan->relation[v->relation].is_product)
            replace_product(w, i, &w->plan->relation[v->relation], n);
        else
            replace_linear(w, i, &w->plan->relation[v->relation]);
    }
}

/* ---- ranges ---- */

/*
 * All digits below 4, and below 2: the sums over the digits of d (d-1) (d-2) (d-3), and of d (d-1),
 * each times eq with a random point, are zero.
 */
static void check_ranges(struct mbi_walk *w)
{
    static const uint32_t table[] = {0};
    const struct mbi_plan *p = w->plan;
    const struct mbi_sum_term four[] = {{mbi_fe_from_i64(-6), 1, {0}},
                                        {11, 2, {0, 0}},
                                        {mbi_fe_from_i64(-6), 3, {0, 0, 0}},
                                        {1, 4, {0, 0, 0, 0}}};
    const struct mbi_sum_term two[] = {{mbi_fe_from_i64(-1), 1, {0}}, {1, 2, {0, 0}}};
    const struct mbi_ext *z = draw_point(w, p->bits);
    struct mbi_ext *point = keep_point(w, p->bits), value = mbi_ext_from(0);
    struct mbi_form weight[3];
    const struct mbi_sum sum[] = {{&weight[0], 1, four, MBI_COUNT(four), table, 1, mbi_ext_from(0)},
                                  {&weight[1], 2, two, MBI_COUNT(two), table, 1, mbi_ext_from(0)}};
    const struct mbi_sum_batch batch = {p->bits, sum, p->end > p->twos ? 2 : 1, 1};
    const struct mbi_walk_table digits = {.view = {.var = MBI_NONE}};
    struct mbi_part part = {.var = MBI_NONE, .scale = mbi_ext_from(1)};

    if (w->failed)
        return;
    for (int i = 0; i < 3; i++) {
        const uint64_t below = i == 0 ? p->fours : i == 1 ? p->end : p->twos;
        const struct mbi_form_factor f = MBI_EXT(form_eq)(0, p->bits, below, z);

        weight[i] = form_of(&f, p->bits);
    }
    weight[2].scale = mbi_ext_neg(weight[2].scale);
    w->side->sum(w, point, &value, &batch, &digits);
    part.col = MBI_EXT(form_eq)(0, p->bits, (uint64_t)1 << p->bits, point);
    part.claim = add_claim(w, value);
    add_part(w, &part);
}

/* ---- the opening ---- */

static size_t terms_of(const struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    if (!v)
        return 1;
    if (v->kind != MBI_VAR_WEIGHT && v->kind != MBI_VAR_COMMITTED)
        return 0; /* sort_parts() has refused it */
    return v->kind == MBI_VAR_WEIGHT ? v->n_pieces : v->bits / 2 + (v->bits & 1);
}

/* The witness vector, or the digits of a variable in it. */
static void put_digits(struct mbi_claim *claim, struct mbi_form *form, const struct mbi_walk *w,
                       const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    for (size_t k = 0; k < terms_of(w, part); k++) {
        form[k] = MBI_EXT(walk_form)(w, part);
        if (!v)
            continue;
        claim[k].block = k < v->bits / 2 ? v->digits + k : v->odd;
        form[k].scale = mbi_ext_scale(form[k].scale, (mbi_fe)1 << 2 * k);
    }
}

/*
 * left = right + n where one of them is the free index, which becomes row + index: the free one is
 * left (row + x = i + n) or right (i = row + x + n). Then n is a signed number, and which of the
 * two is left follows from its sign.
 */
static void cut_sum(struct mbi_form_rule *rule, uint32_t row)
{
    const int64_t n = rule->left == 0 ? (int64_t)rule->n - row : -(int64_t)rule->n - row;

    /* x = i + n */
    rule->left = n < 0 ? 1 : 0;
    rule->right = n < 0 ? 0 : 1;
    rule->n = (uint64_t)(n < 0 ? -n : n);
}

/* The entries [row, row + 2^log) of a factor, of which `bits` is the length. */
static struct mbi_form_factor cut(struct mbi_walk *w, struct mbi_ext *scale,
                                  const struct mbi_form_factor *f, unsigned bits, uint32_t row,
                                  unsigned log)
{
    struct mbi_form_factor r = *f;
    struct mbi_form_index *x = &r.index[0];

    if (r.kind == MBI_FORM_ROWS && x->weight == MBI_FORM_ONES) {
        const size_t n = r.values.n > row ? r.values.n - row : 0;

        x->bits = (uint8_t)log;
        r.values.data = (const struct mbi_ext *)r.values.data + (n ? row : 0);
        r.values.n = mbi_min_size(n, (size_t)1 << log);
        return r;
    }
    if (r.kind != MBI_FORM_RULED || x->at == MBI_FORM_SUMMED || x->weight == MBI_FORM_POWER) {
        w->failed = true;
        return r;
    }
    x->bits = (uint8_t)log;
    if (x->weight == MBI_FORM_EQ) {
        *scale = mbi_ext_mul(*scale, MBI_EXT(eq_index)(x->z, bits - log, row >> log));
        x->z += bits - log;
    }
    for (unsigned k = 0; k < r.n_rules; k++) {
        struct mbi_form_rule *rule = &r.rule[k];

        if (rule->order == MBI_FORM_BELOW && rule->left == 0) {
            rule->n = rule->n > row ? rule->n - row : 0;
            rule->n = mbi_min_size(rule->n, (size_t)1 << log);
        } else if (rule->order == MBI_FORM_SUM) {
            cut_sum(rule, row);
        }
    }
    return r;
}

/* The pieces of a weight. */
static void put_pieces(struct mbi_claim *claim, struct mbi_form *form, struct mbi_walk *w,
                       const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];

    for (size_t k = 0; k < v->n_pieces; k++) {
        const struct mbi_piece *piece = &w->plan->piece[v->first_piece + k];
        struct mbi_ext scale = part->scale;
        const struct mbi_form_factor row =
            cut(w, &scale, &part->row, v->row_bits, piece->row, piece->log_rows);

        form[k] = (struct mbi_form){.bits = (unsigned)piece->log_rows + piece->col_bits,
                                    .scale = scale,
                                    .n_factors = 2,
                                    .factor = {row, moved(&part->col, piece->log_rows)}};
        claim[k].vector = 1;
        claim[k].block = piece->block;
    }
}

/* One term of an opening for each block of a part. Returns how many. */
static size_t put_terms(struct mbi_claim *claim, struct mbi_form *form, struct mbi_walk *w,
                        const struct mbi_part *part)
{
    const size_t n = terms_of(w, part);

    for (size_t k = 0; k < n; k++)
        claim[k] = (struct mbi_claim){.form = &form[k], .joined = true};
    if (part->var != MBI_NONE && w->plan->var[part->var].kind == MBI_VAR_WEIGHT)
        put_pieces(claim, form, w, part);
    else
        put_digits(claim, form, w, part);
    return n;
}

/* The offset of a committed variable leaves the claim's value. */
static void take_offset(struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    if (v && v->kind == MBI_VAR_COMMITTED && v->lo)
        take_from(w, part->claim,
                  scaled(mbi_ext_mul(part->scale, mbi_ext_mul(total(&part->row, v->row_bits),
                                                              total(&part->col, v->col_bits))),
                         v->lo));
}

/* Of a range of one value: it has no digits, and is its offset. */
static bool is_constant(const struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];

    return v->kind == MBI_VAR_COMMITTED && !v->bits;
}

/* Parts by claim, in the order in which they were added. */
struct order {
    size_t *next, *first; /* of a part, of a claim: SIZE_MAX is the end */
    size_t n_terms;
};

static bool sort_parts(struct order *o, struct mbi_walk *w)
{
    o->next = keep(w, w->n_parts, sizeof(*o->next));
    o->first = keep(w, w->n_claims, sizeof(*o->first));
    if (w->failed)
        return false;
    for (size_t i = 0; i < w->n_claims; i++)
        o->first[i] = SIZE_MAX;
    for (size_t i = w->n_parts; i-- > 0;) {
        const uint32_t claim = w->part[i].claim;

        if (claim == MBI_NONE)
            continue;
        if (!terms_of(w, &w->part[i]) && !is_constant(w, &w->part[i]))
            w->failed = true; /* a variable that is neither committed nor replaced */
        take_offset(w, &w->part[i]);
        o->next[i] = o->first[claim];
        o->first[claim] = i;
        o->n_terms += terms_of(w, &w->part[i]);
    }
    return !w->failed;
}

static void open_claims(struct mbi_walk *w)
{
    const struct mbi_root root[] = {w->witness, w->job->weights};
    struct mbi_opening o = {
        .code = w->job->code, .root = root, .n_roots = w->plan->public_weights ? 1 : 2};
    struct order order = {0};
    struct mbi_claim *claim;
    struct mbi_form *form;

    if (!sort_parts(&order, w))
        return;
    claim = keep(w, order.n_terms, sizeof(*claim));
    form = keep(w, order.n_terms, sizeof(*form));
    if (w->failed)
        return;
    for (size_t i = 0; i < w->n_claims; i++) {
        const size_t begin = o.n_claims;

        for (size_t k = order.first[i]; k != SIZE_MAX; k = order.next[k])
            o.n_claims += put_terms(claim + o.n_claims, form + o.n_claims, w, &w->part[k]);
        if (o.n_claims > begin) {
            claim[begin].joined = false;
            claim[begin].value = w->value[i];
        } else if (!mbi_ext_is_zero(w->value[i])) {
            w->side->contradiction(w);
        }
    }
    o.claim = claim;
    w->side->open(w, &o);
}

/* ---- the whole ---- */

/* The elements of a public variable, whatever the statement says of them. */
static void absorb_public(struct mbi_walk *w, uint32_t var)
{
    const struct mbi_var *v = &w->plan->var[var];
    const size_t n = (size_t)v->rows * v->cols;
    uint8_t *bytes = keep(w, n, MBI_FE_BYTES);

    if (!bytes)
        return;
    for (size_t i = 0; i < n; i++)
        mbi_store64(
            bytes + MBI_FE_BYTES * i,
            mbi_table_field(&w->job->table[var], (i / v->cols << v->col_bits) + i % v->cols));
    mbi_transcript_absorb(w->transcript, "public", bytes, n * MBI_FE_BYTES);
}

void MBI_EXT(walk_start)(struct mbi_walk *w)
{
    uint8_t digest[MBI_DIGEST_SIZE], protocol[16];

    mbi_store64(protocol, VERSION);
    mbi_store64(protocol + 8, MBI_EXT_D);
    mbi_transcript_absorb(w->transcript, "protocol", protocol, sizeof(protocol));
    mbi_plan_digest(digest, w->plan);
    mbi_transcript_absorb(w->transcript, "plan", digest, sizeof(digest));
    mbi_transcript_absorb(w->transcript, "statement", w->job->statement, w->job->statement_size);
    mbi_transcript_absorb(w->transcript, "weights", &w->job->weights.digest,
                          sizeof(struct mbi_digest));
    for (uint32_t i = 0; i < w->plan->n_vars; i++)
        if (w->plan->var[i].kind == MBI_VAR_PUBLIC)
            absorb_public(w, i);
}

bool MBI_EXT(walk)(struct mbi_walk *w)
{
    check_relations(w);
    if (!w->failed)
        replace_variables(w);
    if (!w->failed)
        check_ranges(w);
    if (!w->failed)
        open_claims(w);
    return !w->failed;
}

/* The smallest openings of the weights and a witness of the same size. */
bool MBI_EXT(weight_code)(struct mbi_code *code, unsigned weight_bits)
{
    const unsigned bits[] = {weight_bits, weight_bits};
    uint64_t best = UINT64_MAX;

    for (unsigned rate = 1; rate <= 4; rate++) {
        struct mbi_code c;
        unsigned rows[2];
        uint64_t size;

        if (!MBI_EXT(code_choose)(&c, bits, 2, rate, WORK, LEVEL))
            continue;
        rows[0] = rows[1] = weight_bits - c.log_columns;
        size = MBI_EXT(open_size_mean)(&c, rows, 2);
        if (size < best) {
            best = size;
            *code = c;
        }
    }
    return best != UINT64_MAX;
}

bool MBI_EXT(walk_code)(struct mbi_code *code, const struct mbi_plan *plan)
{
    return MBI_EXT(weight_code)(code, plan->public_weights ? plan->bits : plan->weight_bits);
}
#endif

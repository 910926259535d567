/* SPDX-License-Identifier: Apache-2.0 */
/* The claims that are left, as terms of one opening: digits of variables, pieces of weights. */
#include "proof/walk_terms.h"
#if MBI_HAVE_SODIUM

/* The form of a part over the bits of its variable, but for the part's scale. */
static void put_form(struct mbi_form *form, const struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    form->scale = mbi_ext_from(1);
    form->bits = form->n_factors = 0;
    if (!v || part->joint) {
        form->bits = v ? mbi_var_bits(v) : w->plan->bits;
        form->factor[form->n_factors++] = *part->factor[0];
        return;
    }
    for (int k = 0; k < MBI_AXES; k++) {
        if (v->log[k])
            form->factor[form->n_factors++] = MBI_EXT(factor_moved)(part->factor[k], form->bits);
        else
            form->scale = mbi_ext_mul(form->scale, MBI_EXT(factor_total)(part->factor[k], 0));
        form->bits += v->log[k];
    }
}

static size_t terms_of(const struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    if (!v)
        return 1;
    if (v->kind == MBI_VAR_BOUNDARY)
        return 1;
    if (v->kind != MBI_VAR_WEIGHT && v->kind != MBI_VAR_COMMITTED)
        return 0; /* sort_parts() has refused it */
    return v->kind == MBI_VAR_WEIGHT ? v->n_pieces : (size_t)v->n_boxes * mbi_var_digits(v);
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

/* The entries of a list that lie in [row, row + 2^log). */
static struct mbi_form_factor cut_list(struct mbi_walk *w, const struct mbi_form_factor *f,
                                       uint32_t row, unsigned log)
{
    const size_t n = f->values.n;
    uint32_t *list = MBI_EXT(walk_keep)(w, n, sizeof(*list));
    struct mbi_ext *value = MBI_EXT(walk_keep)(w, n, sizeof(*value));
    const struct mbi_table values = {MBI_TABLE_EXT, value, n};
    size_t kept = 0;

    if (w->failed)
        return *f;
    for (size_t l = 0; l < n; l++)
        if (f->list[l] >= row && f->list[l] - row < (uint64_t)1 << log) {
            list[kept] = f->list[l] - row;
            value[kept++] = mbi_table_ext(&f->values, l);
        }
    return MBI_EXT(form_list)(0, log, (uint64_t)1 << log, list, kept, &values, NULL,
                              f->index[1].bits);
}

static struct mbi_form_factor cut_rows(const struct mbi_form_factor *f, uint32_t row, unsigned log)
{
    struct mbi_form_factor r = *f;
    const size_t n = r.values.n > row ? r.values.n - row : 0;

    r.index[0].bits = (uint8_t)log;
    r.values.data = (const struct mbi_ext *)r.values.data + (n ? row : 0);
    r.values.n = mbi_min_size(n, (size_t)1 << log);
    return r;
}

/* Of rules, where they are of a kind that can be cut. */
static bool cut_rules(struct mbi_form_factor *r, struct mbi_ext *scale, unsigned bits, uint32_t row,
                      unsigned log)
{
    struct mbi_form_index *x = &r->index[0];
    const struct mbi_ext *z = x->z;

    if (x->at == MBI_FORM_SUMMED || x->weight == MBI_FORM_POWER)
        return false;
    x->bits = (uint8_t)log;
    if (x->weight == MBI_FORM_EQ)
        x->z = z + (bits - log);
    for (unsigned k = 0; k < r->n_rules; k++) {
        struct mbi_form_rule *rule = &r->rule[k];

        if (rule->low || rule->high < bits) {
            return false;
        } else if (rule->order == MBI_FORM_BELOW && rule->left == 0) {
            rule->n = rule->n > row ? rule->n - row : 0;
            rule->n = mbi_min_u64(rule->n, (uint64_t)1 << log);
        } else if (rule->order == MBI_FORM_SUM) {
            cut_sum(rule, row);
        } else if (rule->order != MBI_FORM_BELOW) {
            return false;
        }
    }
    if (x->weight == MBI_FORM_EQ)
        *scale = mbi_ext_mul(*scale, MBI_EXT(eq_index)(z, bits - log, row >> log));
    return true;
}

/* All entries of a factor, which is of no kind that can be cut. */
static struct mbi_form_factor as_rows(struct mbi_walk *w, const struct mbi_form_factor *f,
                                      unsigned bits)
{
    struct mbi_ext *e = MBI_EXT(walk_keep)(w, (size_t)1 << bits, sizeof(*e));
    const struct mbi_table rows = {MBI_TABLE_EXT, e, (size_t)1 << bits};

    if (e)
        MBI_EXT(walk_expand)(e, f, bits);
    return e ? MBI_EXT(form_rows)(0, bits, &rows, NULL) : *f;
}

struct mbi_form_factor MBI_EXT(walk_cut)(struct mbi_walk *w, struct mbi_ext *scale,
                                         const struct mbi_form_factor *f, unsigned bits,
                                         uint32_t row, unsigned log)
{
    struct mbi_form_factor r = *f;

    if (log == bits)
        return r;
    if (f->kind == MBI_FORM_LIST && f->index[1].weight == MBI_FORM_ONES)
        return cut_list(w, f, row, log);
    if (f->kind == MBI_FORM_ROWS && f->index[0].weight == MBI_FORM_ONES)
        return cut_rows(f, row, log);
    if (f->kind == MBI_FORM_RULED && cut_rules(&r, scale, bits, row, log))
        return r;
    r = as_rows(w, f, bits);
    return w->failed ? r : cut_rows(&r, row, log);
}

/* Adds a factor of some bits to a form; of none it is a number. */
static void add_factor(struct mbi_form *form, const struct mbi_form_factor *f, unsigned bits)
{
    if (bits)
        form->factor[form->n_factors++] = MBI_EXT(factor_moved)(f, form->bits);
    else
        form->scale = mbi_ext_mul(form->scale, MBI_EXT(factor_total)(f, 0));
    form->bits += bits;
}

struct mbi_form_factor MBI_EXT(walk_list)(struct mbi_walk *w, const struct mbi_form_factor *f,
                                          const struct mbi_var *v, const struct mbi_box *box)
{
    const size_t n = f->values.n;
    uint32_t *list = MBI_EXT(walk_keep)(w, n, sizeof(*list));
    struct mbi_ext *value = MBI_EXT(walk_keep)(w, n, sizeof(*value));
    const struct mbi_table values = {MBI_TABLE_EXT, value, n};
    size_t kept = 0;

    if (w->failed)
        return *f;
    for (size_t l = 0; l < n; l++) {
        const uint32_t row = f->list[l] >> mbi_row_log(v);
        const uint32_t col = f->list[l] & (((uint32_t)1 << v->log[2]) - 1);
        const uint32_t mid = (f->list[l] >> v->log[2]) & (((uint32_t)1 << v->log[1]) - 1);

        if (row < box->row || row - box->row >= (uint64_t)1 << box->log_rows || col < box->col ||
            col - box->col >= (uint64_t)1 << box->log_cols)
            continue;
        list[kept] = (uint32_t)mbi_box_place(v, box, row, mid, col);
        value[kept++] = mbi_table_ext(&f->values, l);
    }
    return MBI_EXT(form_list)(0, box->bits, (uint64_t)1 << box->bits, list, kept, &values, NULL,
                              f->index[1].bits);
}

/* The pieces of a weight: the forms. */
static void put_piece_forms(struct mbi_claim *claim, struct mbi_walk *w,
                            const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    struct mbi_form *form = MBI_EXT(walk_keep)(w, v->n_pieces, sizeof(*form));
    const struct mbi_ext own = MBI_EXT(factor_total)(part->factor[1], 0);

    for (size_t k = 0; k < v->n_pieces && !w->failed; k++) {
        const struct mbi_piece *piece = &w->plan->piece[v->first_piece + k];
        struct mbi_ext scale = own;
        const struct mbi_form_factor row =
            MBI_EXT(walk_cut)(w, &scale, part->factor[0], v->log[0], piece->row, piece->log_rows);
        const struct mbi_form_factor col =
            MBI_EXT(walk_cut)(w, &scale, part->factor[2], v->log[2], piece->col, piece->col_bits);

        form[k] = (struct mbi_form){.bits = (unsigned)piece->log_rows + piece->col_bits,
                                    .scale = scale,
                                    .n_factors = 2,
                                    .factor = {row, MBI_EXT(factor_moved)(&col, piece->log_rows)}};
        claim[k].form = &form[k];
    }
}

/* The same: where they are. */
static void put_pieces(struct mbi_claim *claim, struct mbi_walk *w, struct mbi_walk_terms *terms,
                       const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    uint32_t first = 0;

    if (part->joint) {
        mbi_walk_cannot(w, "a list of places is of what is public");
        return;
    }
    if (terms)
        first = MBI_EXT(walk_terms_add)(terms, part, v->n_pieces);
    for (uint32_t k = 0; k < v->n_pieces; k++) {
        const struct mbi_piece *piece = &w->plan->piece[v->first_piece + k];

        claim[k].scale = &part->scale;
        claim[k].vector = 1;
        claim[k].block = piece->block;
        claim[k].bits = (uint8_t)(piece->log_rows + piece->col_bits);
        claim[k].number = first + k;
    }
    if (!terms)
        put_piece_forms(claim, w, part);
}

static bool is_weight(const struct mbi_walk *w, const struct mbi_part *part)
{
    return part->var != MBI_NONE && w->plan->var[part->var].kind == MBI_VAR_WEIGHT;
}

/* ---- forms ---- */

/* The form of a part in one of its variable's boxes, but for the part's scale. */
static void put_box_form(struct mbi_form *form, struct mbi_walk *w, const struct mbi_part *part,
                         const struct mbi_box *box)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    struct mbi_form_factor f;

    form->scale = mbi_ext_from(1);
    form->bits = form->n_factors = 0;
    if (part->joint) {
        f = MBI_EXT(walk_list)(w, part->factor[0], v, box);
        add_factor(form, &f, box->bits);
        return;
    }
    f = MBI_EXT(walk_cut)(w, &form->scale, part->factor[0], v->log[0], box->row, box->log_rows);
    add_factor(form, &f, box->log_rows);
    add_factor(form, part->factor[1], v->log[1]);
    f = MBI_EXT(walk_cut)(w, &form->scale, part->factor[2], v->log[2], box->col, box->log_cols);
    add_factor(form, &f, box->log_cols);
}

#define ROOM ((size_t)1 << 14) /* bytes that memory is taken for at a time */

/* Forms lie one behind the other, and end with the factors that they have. */
struct forms {
    uint8_t *room;
    size_t left;
    const struct mbi_part *part; /* the last one, and its forms, by box */
    const struct mbi_form **form;
};

/* A new one, of the whole variable or vector, or of a box; NULL for want of memory. */
static const struct mbi_form *add_form(struct forms *f, struct mbi_walk *w,
                                       const struct mbi_part *part, const struct mbi_box *box)
{
    struct mbi_form *form;
    size_t size;

    if (f->left < sizeof(*form)) {
        if (!(f->room = MBI_EXT(walk_keep)(w, ROOM, 1)))
            return NULL;
        f->left = ROOM;
    }
    form = (struct mbi_form *)(void *)f->room;
    if (box)
        put_box_form(form, w, part, box);
    else
        put_form(form, w, part);
    size = offsetof(struct mbi_form, factor) + form->n_factors * sizeof(form->factor[0]);
    f->room += size;
    f->left -= size;
    return form;
}

/* Those of a part, by box; NULL for want of memory. */
static const struct mbi_form *const *find_forms(struct forms *f, struct mbi_walk *w,
                                                const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];
    const size_t n = v && v->kind == MBI_VAR_COMMITTED ? v->n_boxes : 1;

    if (f->part && MBI_EXT(walk_alike)(w, f->part, part))
        return f->form;
    if (!(f->form = MBI_EXT(walk_keep)(w, n, sizeof(*f->form))))
        return NULL;
    for (size_t k = 0; k < n; k++)
        if (!(f->form[k] = add_form(f, w, part, n > 1 ? &w->plan->box[v->first_box + k] : NULL)))
            return NULL;
    f->part = part;
    return f->form;
}

/* The vectors of an opening: the witness, the weights unless they are public, the boundaries. */
static size_t boundary_vector(const struct mbi_plan *p, enum mbi_side side)
{
    const size_t first = p->public_weights ? 1 : 2;

    if (mbi_plan_is_linked(p))
        return 0; /* of an opening of its own */
    return first + (side == MBI_BEHIND && p->boundary[MBI_BEFORE]);
}

/* The block of a part that has no boxes: the witness vector, or what lies in one of a boundary. */
static void put_whole(struct mbi_claim *claim, const struct mbi_walk *w,
                      const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    claim->scale = &part->scale;
    claim->bits = (uint8_t)(v ? mbi_var_bits(v) : w->plan->bits);
    if (!v)
        return;
    claim->vector = boundary_vector(w->plan, v->side);
    claim->block = v->block;
}

/* The digits of a variable in a box. */
static void put_box(struct mbi_claim *claim, const struct mbi_part *part, const struct mbi_var *v,
                    const struct mbi_box *box)
{
    for (unsigned k = 0; k < mbi_var_digits(v); k++, claim++) {
        claim->scale = &part->scale;
        claim->bits = box->bits;
        claim->block = mbi_box_digit(v, box, k);
        claim->shift = (uint8_t)mbi_var_digit(v, k).shift; /* less than v->bits */
    }
}

/* The witness vector, or the digits of a variable in it, box by box: with forms, or with numbers
 * of their terms. */
static void put_digits(struct mbi_claim *claim, struct forms *forms, struct mbi_walk *w,
                       struct mbi_walk_terms *terms, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];
    const bool boxes = v && v->kind == MBI_VAR_COMMITTED;
    const unsigned n = boxes ? mbi_var_digits(v) : 1;
    const struct mbi_form *const *form = terms ? NULL : find_forms(forms, w, part);
    const uint32_t n_boxes = boxes ? v->n_boxes : 1;
    const uint32_t first = terms ? MBI_EXT(walk_terms_add)(terms, part, n_boxes) : 0;

    for (uint32_t b = 0; (form || terms) && b < n_boxes; b++, claim += n) {
        if (boxes)
            put_box(claim, part, v, &w->plan->box[v->first_box + b]);
        else
            put_whole(claim, w, part);
        for (unsigned k = 0; k < n; k++) {
            claim[k].form = form ? form[b] : NULL;
            claim[k].number = first + b;
        }
    }
}

/* ---- terms ---- */

/* One term of an opening for each block of a part. Returns how many. */
static size_t put_terms(struct mbi_claim *claim, struct forms *forms, struct mbi_walk *w,
                        struct mbi_walk_terms *terms, const struct mbi_part *part)
{
    const size_t n = terms_of(w, part);

    for (size_t k = 0; k < n; k++)
        claim[k] = (struct mbi_claim){.joined = true};
    if (is_weight(w, part))
        put_pieces(claim, w, terms, part);
    else if (n)
        put_digits(claim, forms, w, terms, part);
    return n;
}

/* The sum of all weights of a part. */
static struct mbi_ext part_total(struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = &w->plan->var[part->var];
    struct mbi_ext x = part->scale;

    if (part->joint)
        return mbi_ext_mul(x, MBI_EXT(walk_total)(w, part->factor[0], mbi_var_bits(v)));
    for (int k = 0; k < MBI_AXES; k++)
        x = mbi_ext_mul(x, MBI_EXT(walk_total)(w, part->factor[k], v->log[k]));
    return x;
}

/* The offset of a committed variable leaves the claim's value. */
static void take_offset(struct mbi_walk *w, const struct mbi_part *part)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];

    if (v && v->kind == MBI_VAR_COMMITTED && v->lo)
        MBI_EXT(walk_take)(w, part->claim, mbi_ext_times(part_total(w, part), v->lo));
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
    o->next = MBI_EXT(walk_keep)(w, w->n_parts, sizeof(*o->next));
    o->first = MBI_EXT(walk_keep)(w, w->n_claims, sizeof(*o->first));
    if (w->failed)
        return false;
    for (size_t i = 0; i < w->n_claims; i++)
        o->first[i] = SIZE_MAX;
    for (size_t i = w->n_parts; i-- > 0;) {
        const uint32_t claim = w->part[i].claim;

        if (claim == MBI_NONE)
            continue;
        if (!terms_of(w, &w->part[i]) && !is_constant(w, &w->part[i]))
            mbi_walk_cannot(w, "a variable is neither committed nor replaced");
        take_offset(w, &w->part[i]);
        o->next[i] = o->first[claim];
        o->first[claim] = i;
        o->n_terms += terms_of(w, &w->part[i]);
    }
    return !w->failed;
}

static struct mbi_root boundary_root(const struct mbi_walk *w, enum mbi_side side,
                                     const struct mbi_code *code)
{
    const unsigned bits = w->plan->boundary_bits[side];
    struct mbi_root root = mbi_walk_root(code, bits, (uint64_t)1 << bits);

    root.digest = w->job->boundary[side];
    return root;
}

/* The pads of values, by claim. */
struct pad_order {
    size_t *next, *first; /* SIZE_MAX is the end */
    size_t n_claims;      /* with pads */
};

static bool sort_pads(struct pad_order *o, struct mbi_walk *w)
{
    if (!w->hidden)
        return true;
    o->next = MBI_EXT(walk_keep)(w, w->n_pads, sizeof(*o->next));
    o->first = MBI_EXT(walk_keep)(w, w->n_claims, sizeof(*o->first));
    if (w->failed)
        return false;
    for (size_t i = 0; i < w->n_claims; i++)
        o->first[i] = SIZE_MAX;
    for (size_t i = w->n_pads; i-- > 0;) {
        const uint32_t claim = w->pad[i].claim;

        o->n_claims += o->first[claim] == SIZE_MAX;
        o->next[i] = o->first[claim];
        o->first[claim] = i;
    }
    return true;
}

/* Minus the pads of a claim's value as a term, if there are some: the coordinates of each are
 * neighbours in the block of all. Returns how many terms. */
static size_t put_pads(struct mbi_claim *claim, struct mbi_walk *w, const struct pad_order *o,
                       size_t number)
{
    const size_t first = o->first ? o->first[number] : SIZE_MAX;
    struct mbi_pad_term *term;
    size_t n = 0;

    if (first == SIZE_MAX)
        return 0;
    for (size_t i = first; i != SIZE_MAX; i = o->next[i])
        n++;
    if (!(term = MBI_EXT(walk_keep)(w, n, sizeof(*term))))
        return 0;
    n = 0;
    for (size_t i = first; i != SIZE_MAX; i = o->next[i])
        term[n++] = w->pad[i].term;
    *claim = (struct mbi_claim){.joined = true};
    return MBI_EXT(walk_pad_term)(claim, w, term, n);
}

/* The opening that a claim is of: that of a boundary by itself, or MBI_SIDES. */
static enum mbi_side opening_of(const struct mbi_walk *w, const struct order *order, size_t claim)
{
    const size_t part = order->first[claim];
    const uint32_t var = part == SIZE_MAX ? MBI_NONE : w->part[part].var;

    if (!mbi_plan_is_linked(w->plan) || var == MBI_NONE ||
        w->plan->var[var].kind != MBI_VAR_BOUNDARY)
        return MBI_SIDES;
    return w->plan->var[var].side;
}

/* The claims of one opening, in order; pads lie in the witness vector. Returns how many terms they
 * have. */
static size_t put_claims(struct mbi_claim *claim, struct forms *forms, struct mbi_walk *w,
                         struct mbi_walk_terms *at_point, const struct order *order,
                         const struct pad_order *pads, enum mbi_side of)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_claims; i++) {
        const size_t begin = n;

        if (opening_of(w, order, i) != of)
            continue;
        for (size_t k = order->first[i]; k != SIZE_MAX; k = order->next[k])
            n += put_terms(claim + n, forms, w, at_point, &w->part[k]);
        if (of == MBI_SIDES)
            n += put_pads(claim + n, w, pads, i);
        if (n > begin) {
            claim[begin].joined = false;
            claim[begin].value = w->value[i];
        } else if (!mbi_ext_is_zero(w->value[i])) {
            w->side->contradiction(w);
        }
    }
    return n;
}

static void open_vectors(struct mbi_walk *w, const struct mbi_opening *o)
{
    if (w->failed)
        return;
    w->side->open(w, o);
    w->opened += o->n_roots;
}

/* The vector of a boundary alone, in its own code. Returns how many terms were put. */
static size_t open_boundary(struct mbi_walk *w, enum mbi_side side, struct mbi_claim *claim,
                            struct forms *forms, const struct order *order)
{
    struct mbi_opening o = {.n_roots = 1, .claim = claim};
    struct mbi_root root;

    if (!MBI_EXT(boundary_code)(&o.code, w->plan, side, &w->job->code)) {
        mbi_walk_cannot(w, "what is handed on cannot be committed to");
        return 0;
    }
    root = boundary_root(w, side, &o.code);
    o.root = &root;
    o.n_claims = put_claims(claim, forms, w, NULL, order, NULL, side);
    open_vectors(w, &o);
    return o.n_claims;
}

void MBI_EXT(walk_open)(struct mbi_walk *w)
{
    const bool linked = mbi_plan_is_linked(w->plan);
    struct mbi_root root[2 + MBI_SIDES] = {w->witness, w->job->weights};
    struct mbi_opening o = {
        .code = w->job->code, .root = root, .n_roots = w->plan->public_weights ? 1 : 2};
    struct mbi_walk_terms *at_point = NULL;
    struct mbi_open_forms forms_at = {.at = MBI_EXT(walk_terms_at)};
    struct forms forms = {.room = NULL};
    struct order order = {0};
    struct pad_order pads = {0};
    struct mbi_claim *claim;

    for (int side = 0; side < MBI_SIDES && !linked; side++)
        if (mbi_plan_has_boundary(w->plan, (enum mbi_side)side))
            root[o.n_roots++] = boundary_root(w, (enum mbi_side)side, &w->job->code);
    if (!sort_parts(&order, w) || !sort_pads(&pads, w))
        return;
    claim = MBI_EXT(walk_room)(w, order.n_terms + pads.n_claims + w->job->n_claims, sizeof(*claim));
    if (w->side->at_point && o.code.depth)
        at_point = MBI_EXT(walk_keep)(w, 1, sizeof(*at_point));
    if (w->failed)
        return;
    if (at_point)
        MBI_EXT(walk_terms_init)(at_point, w);
    forms_at.user = at_point;
    o.claim = claim;
    o.n_claims = put_claims(claim, &forms, w, at_point, &order, &pads, MBI_SIDES);
    for (size_t k = 0; k < w->job->n_claims; k++)
        claim[o.n_claims++] = w->job->claim[k];
    w->forms = at_point ? &forms_at : NULL;
    open_vectors(w, &o);
    w->forms = NULL;
    if (at_point)
        MBI_EXT(walk_terms_free)(at_point);
    claim += o.n_claims;
    for (int side = 0; side < MBI_SIDES && linked && !w->failed; side++)
        if (w->plan->boundary[side])
            claim += open_boundary(w, (enum mbi_side)side, claim, &forms, &order);
}

#endif

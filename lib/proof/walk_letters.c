/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From weights of letters to weights of a variable's indices, and back. What an index weighs is
 * the sum over all values of the letters that lead to it; the forms here say that without a table
 * where they can, and as a table of rows where not.
 */
#include "proof/walk_parts.h"
#if MBI_HAVE_SODIUM

static struct mbi_form form_of(const struct mbi_form_factor *f, unsigned bits)
{
    return (struct mbi_form){bits, mbi_ext_from(1), 1, {*f}};
}

void MBI_EXT(walk_expand)(struct mbi_ext *out, const struct mbi_form_factor *f, unsigned bits)
{
    const struct mbi_form form = form_of(f, bits);
    const unsigned log = bits < MBI_FORM_BLOCK_LOG ? bits : MBI_FORM_BLOCK_LOG;

    for (size_t x = 0; x < (size_t)1 << bits; x += (size_t)1 << log)
        MBI_EXT(form_block)(out + x, &form, x, log);
}

struct mbi_form_factor MBI_EXT(factor_moved)(const struct mbi_form_factor *f, unsigned at)
{
    struct mbi_form_factor r = *f;

    for (unsigned k = 0; k < r.n_indices; k++)
        if (r.index[k].at != MBI_FORM_SUMMED)
            r.index[k].at = (uint8_t)(r.index[k].at + at);
    return r;
}

/* ---- factors that are known ---- */

/* A factor eq(z, x + s) with its masks, as form_eq() and form_shift() make them; z = NULL: 1. */
struct shift {
    const struct mbi_ext *z;
    unsigned z_bits;
    uint64_t below, z_below;
    int64_t s;
};

static bool sees_all(const struct mbi_form_rule *r)
{
    return r->low == 0 && r->high == MBI_MAX_BITS;
}

static bool read_shift(struct shift *out, const struct mbi_form_factor *f)
{
    const bool moved = f->n_indices == 2;

    if (f->kind != MBI_FORM_RULED || f->index[0].weight == MBI_FORM_POWER ||
        f->n_rules != (moved ? 3 : 1) || f->rule[0].order != MBI_FORM_BELOW ||
        !sees_all(&f->rule[0]))
        return false;
    *out = (struct shift){f->index[0].weight == MBI_FORM_EQ ? f->index[0].z : NULL,
                          f->index[0].bits, f->rule[0].n, f->rule[0].n, 0};
    if (!moved)
        return f->n_indices == 1;
    if (f->rule[1].order != MBI_FORM_BELOW || f->rule[2].order != MBI_FORM_SUM ||
        f->index[1].weight == MBI_FORM_POWER)
        return false;
    out->z = f->index[1].weight == MBI_FORM_EQ ? f->index[1].z : NULL;
    out->z_bits = f->index[1].bits;
    out->z_below = f->rule[1].n;
    out->s = f->rule[2].left == 0 ? -(int64_t)f->rule[2].n : (int64_t)f->rule[2].n;
    return true;
}

/* eq(z, x) [x < below], or without eq. */
static bool read_eq(struct shift *out, const struct mbi_form_factor *f)
{
    return read_shift(out, f) && f->n_indices == 1;
}

/* The sum over x < n <= 2^bits of eq(z, x): from the lowest bit on, that of those read so far. */
static struct mbi_ext eq_below(const struct mbi_ext *z, unsigned bits, uint64_t n)
{
    struct mbi_ext sum = mbi_ext_from(n >> bits);

    for (unsigned k = bits; k-- > 0 && !(n >> bits);) {
        const struct mbi_ext one = mbi_ext_from(1);

        if (n >> (bits - 1 - k) & 1)
            sum = mbi_ext_sub(one, mbi_ext_mul(z[k], mbi_ext_sub(one, sum)));
        else
            sum = mbi_ext_sub(sum, mbi_ext_mul(z[k], sum));
    }
    return sum;
}

bool MBI_EXT(factor_below)(struct mbi_ext *out, const struct mbi_form_factor *f, unsigned bits,
                           uint64_t n)
{
    struct shift q;

    if (!read_eq(&q, f))
        return false;
    n = mbi_min_u64(n, q.below);
    *out = q.z ? eq_below(q.z, bits, n) : mbi_ext_from(n);
    return true;
}

/* Unless it has a closed form, the extension where every bit is one half, times the number of
 * entries. */
struct mbi_ext MBI_EXT(factor_total)(const struct mbi_form_factor *f, unsigned bits)
{
    struct mbi_ext half[MBI_MAX_BITS] = {{{0}}}, sum;
    struct mbi_form form;

    if (MBI_EXT(factor_below)(&sum, f, bits, (uint64_t)1 << bits))
        return sum;
    form = form_of(f, bits);
    for (unsigned k = 0; k < bits; k++)
        half[k] = mbi_ext_from((MBI_FIELD_P + 1) / 2);
    return mbi_ext_scale(MBI_EXT(form_at)(&form, half), (mbi_fe)1 << bits);
}

/* ---- one index of a view ---- */

static struct mbi_form_factor rows_of(const struct mbi_ext *entry, uint32_t n)
{
    const struct mbi_table rows = {MBI_TABLE_EXT, entry, n};

    return MBI_EXT(form_rows)(0, mbi_index_bits(n), &rows, NULL);
}

/* The entries of a letter's factor; NULL for want of memory. */
static const struct mbi_ext *entries(struct mbi_walk *w, const struct mbi_weights *l,
                                     uint8_t letter)
{
    const unsigned bits = mbi_index_bits(l->relation->n[letter]);
    struct mbi_ext *e = MBI_EXT(walk_keep)(w, (size_t)1 << bits, sizeof(*e));

    if (e)
        MBI_EXT(walk_expand)(e, l->factor[letter], bits);
    return e;
}

/* Every entry of the index by adding up all values of its letters. */
static struct mbi_form_factor by_entries(struct mbi_walk *w, const struct mbi_axis *a,
                                         const struct mbi_weights *l, uint32_t all)
{
    struct mbi_ext *index = MBI_EXT(walk_keep)(w, all, sizeof(*index));
    const struct mbi_ext *e[MBI_FIELDS] = {NULL};
    uint32_t at[MBI_FIELDS] = {0}, k = 0;

    for (uint32_t f = 0; f < a->n_fields; f++)
        e[f] = entries(w, l, a->field[f].letter);
    if (w->failed)
        return MBI_EXT(form_ones)(0, mbi_index_bits(all), all);
    do {
        int64_t x = a->from;
        struct mbi_ext product = mbi_ext_from(1);

        for (uint32_t f = 0; f < a->n_fields; f++) {
            x += (int64_t)at[f] << a->field[f].shift;
            product = f ? mbi_ext_mul(product, e[f][at[f]]) : e[f][at[f]];
        }
        if (x >= 0 && x < all)
            index[x] = mbi_ext_add(index[x], product);
        for (k = 0; k < a->n_fields; k++) {
            if (++at[k] < l->relation->n[a->field[k].letter])
                break;
            at[k] = 0;
        }
    } while (k < a->n_fields);
    return rows_of(index, all);
}

/* w(s) = sum over the x of the letter with s <= x in one block */
static struct mbi_form_factor by_prefix(struct mbi_walk *w, const struct mbi_axis *a,
                                        const struct mbi_weights *l, uint32_t all)
{
    const uint32_t n = l->relation->n[a->field[0].letter];
    const struct mbi_ext *e = entries(w, l, a->field[0].letter);
    struct mbi_ext *index = MBI_EXT(walk_keep)(w, all, sizeof(*index)), sum = mbi_ext_from(0);

    if (w->failed)
        return MBI_EXT(form_ones)(0, mbi_index_bits(all), all);
    for (uint32_t x = n > all ? n : all; x-- > 0;) {
        if (a->log < 32 && ((x + 1) & (((uint64_t)1 << a->log) - 1)) == 0)
            sum = mbi_ext_from(0);
        if (x < n)
            sum = mbi_ext_add(sum, e[x]);
        if (x < all)
            index[x] = sum;
    }
    return rows_of(index, all);
}

/*
 * The factor of a letter of range n as one of a variable's index x, which is the letter plus `from`
 * and has the range `all`: eq(z, x - from + s) where the letter x - from is in its own range. The
 * lower end of that range is 0 <= x - from, which needs no rule of its own if from <= 0, or if
 * s <= 0: then it follows from 0 <= x - from + s. Where the letter leads outside of the variable,
 * nothing is counted.
 */
static struct mbi_form_factor by_letter(struct mbi_walk *w, const struct mbi_axis *a,
                                        const struct mbi_weights *l, uint32_t all)
{
    const struct mbi_form_factor *f = l->factor[a->field[0].letter];
    const uint32_t n = l->relation->n[a->field[0].letter];
    const int64_t from = a->from;
    struct shift q;
    uint64_t below;

    if (mbi_index_bits(n) == mbi_index_bits(all) && !from && n <= all)
        return *f;
    if (!read_shift(&q, f) || (from > 0 && q.s > 0) || q.s - from != (int32_t)(q.s - from))
        return by_entries(w, a, l, all);
    below = (uint64_t)mbi_clamp_i64((int64_t)q.below + from, 0, all);
    return MBI_EXT(form_shift)(0, mbi_index_bits(all), below, q.z, q.z_bits, q.z_below,
                               (int32_t)(q.s - from));
}

/* The coordinates of `bits` bits of a field with shift `shift`; without eq they are one half. */
static void put_coordinates(struct mbi_ext *z, unsigned all_bits, unsigned shift, unsigned bits,
                            const struct mbi_ext *from)
{
    for (unsigned k = 0; k < bits; k++)
        z[all_bits - shift - bits + k] = from ? from[k] : mbi_ext_from((MBI_FIELD_P + 1) / 2);
}

/* Of one field: the letter is below its range, on the bits of its own. */
static bool add_mask(struct mbi_form_factor *f, uint64_t below, unsigned shift, unsigned bits)
{
    const struct mbi_form_rule rule = {MBI_FORM_BELOW,          0,    0, (uint8_t)shift,
                                       (uint8_t)(shift + bits), below};

    if (f->n_rules == 3)
        return false;
    f->rule[f->n_rules++] = rule;
    return true;
}

/*
 * Fields whose factors are all eq, or ones: eq of a point that is put together from theirs, and
 * from the bits of `from`. False if it is not so simple.
 */
static bool by_fields(struct mbi_form_factor *out, struct mbi_walk *w, struct mbi_ext *scale,
                      const struct mbi_axis *a, const struct mbi_weights *l, uint32_t all)
{
    const unsigned bits = mbi_index_bits(all);
    struct mbi_ext *z = MBI_EXT(walk_keep)(w, bits, sizeof(*z));

    if (!z || a->from < 0 || (uint32_t)a->from >= all)
        return false;
    for (unsigned k = 0; k < bits; k++)
        z[bits - 1 - k] = mbi_ext_from((uint64_t)a->from >> k & 1);
    *out = MBI_EXT(form_eq)(0, bits, all, z);
    for (uint32_t f = 0; f < a->n_fields; f++) {
        const struct mbi_field *field = &a->field[f];
        const uint32_t n = l->relation->n[field->letter];
        const unsigned own = mbi_index_bits(n);
        struct shift q;

        if (field->shift + own > bits || !read_eq(&q, l->factor[field->letter]))
            return false;
        put_coordinates(z, bits, field->shift, own, q.z);
        if (!q.z)
            *scale = mbi_ext_scale(*scale, (mbi_fe)1 << own);
        q.below = mbi_min_u64(q.below, n);
        if (q.below < (uint64_t)1 << own && q.below << field->shift != all &&
            !add_mask(out, q.below, field->shift, own))
            return false;
    }
    return true;
}

/* The place in the variable that value x of the letter picks; UINT32_MAX: it is outside. */
static uint32_t picked(const struct mbi_walk *w, const struct mbi_axis *pick,
                       const struct mbi_axis *row, const struct mbi_var *v, uint32_t all,
                       uint32_t x)
{
    const uint32_t token = w->job->token[(size_t)x + (size_t)pick->from];
    const int64_t at = row ? (int64_t)x + row->from : 0;

    if (token >= all || at < 0 || (row && at >= v->n[0]))
        return UINT32_MAX;
    return row ? (uint32_t)mbi_var_place(v, (size_t)at, token) : token;
}

/*
 * The indices that lanes pick: of a variable's axis with the range `all`, or if there is a row, of
 * the variable. What a lane picks outside has no weight.
 */
static struct mbi_form_factor by_pick(struct mbi_walk *w, const struct mbi_axis *pick,
                                      const struct mbi_axis *row, const struct mbi_weights *l,
                                      const struct mbi_var *v, uint32_t all)
{
    const uint8_t letter = pick->field[0].letter;
    const uint32_t n = l->relation->n[letter];
    const unsigned bits = row ? mbi_var_bits(v) : mbi_index_bits(all);
    const struct mbi_ext *e = entries(w, l, letter);
    uint32_t *list = MBI_EXT(walk_keep)(w, n, sizeof(*list));
    struct mbi_ext *value = MBI_EXT(walk_keep)(w, n, sizeof(*value));
    const struct mbi_table values = {MBI_TABLE_EXT, value, n};
    size_t inside = 0;

    if (w->failed || bits > 31)
        return MBI_EXT(form_ones)(0, bits, 0);
    for (uint32_t x = 0; w->job->token && x < n; x++) /* none: of a shape, which has no statement */
        if ((list[inside] = picked(w, pick, row, v, all, x)) != UINT32_MAX)
            value[inside++] = e[x];
    return MBI_EXT(form_list)(0, bits, row ? (uint64_t)1 << bits : all, list, inside, &values, NULL,
                              mbi_index_bits(n));
}

static struct mbi_form_factor factor_of(struct mbi_walk *w, struct mbi_ext *scale,
                                        const struct mbi_axis *a, const struct mbi_weights *l,
                                        const struct mbi_var *v, uint32_t all)
{
    struct mbi_form_factor f;

    if (a->kind == MBI_AXIS_PICK)
        return by_pick(w, a, NULL, l, v, all);
    if (a->kind == MBI_AXIS_PREFIX)
        return by_prefix(w, a, l, all);
    if (a->n_fields == 1 && !a->field[0].shift)
        return by_letter(w, a, l, all);
    if (by_fields(&f, w, scale, a, l, all))
        return f;
    *scale = mbi_ext_from(1);
    return by_entries(w, a, l, all);
}

/* ---- axes that are known ---- */

#define HASHES_MIN 64u
#define HASHES_MAX 1024u
#define TERMS_OF_HASH 8u

/* An axis of a view as a factor of its index, which the ranges and factors of its letters give: in
 * a model of many layers, which have the same views, few are new. */
struct mbi_walk_axis {
    struct mbi_axis axis;
    uint32_t all, n[MBI_FIELDS];
    const struct mbi_form_factor *letter[MBI_FIELDS], *factor; /* factor NULL: there is none */
    bool scaled;
    struct mbi_ext scale; /* 1, unless it is scaled */
};

/* The last one of each hash, of which a larger plan has more. */
struct mbi_walk_axes {
    const struct mbi_form_factor *none; /* of an index of one entry that no letter leads to */
    uint32_t hashes;
    struct mbi_walk_axis axis[];
};

/* NULL for want of memory. */
static struct mbi_walk_axes *find_axes(struct mbi_walk *w)
{
    const size_t entry = sizeof(w->axes->axis[0]);
    uint32_t n = HASHES_MIN;

    if (w->axes)
        return w->axes;
    while (n < HASHES_MAX && n * TERMS_OF_HASH < w->plan->n_terms)
        n *= 2;
    w->axes = MBI_EXT(walk_keep)(w, 1, sizeof(*w->axes) + n * entry);
    if (w->axes) {
        const struct mbi_form_factor one = MBI_EXT(form_eq)(0, 0, 1, NULL);

        w->axes->hashes = n;
        w->axes->none = MBI_EXT(walk_factor)(w, &one);
    }
    return w->axes;
}

static uint64_t hash_axis(const struct mbi_axis *a, const struct mbi_weights *l, uint32_t all)
{
    uint64_t h = (uint32_t)a->from + ((uint64_t)a->kind << 62) + ((uint64_t)a->log << 32);

    h = 31 * h + all;
    for (uint32_t f = 0; f < a->n_fields; f++) {
        h = 31 * h + a->field[f].shift;
        h = 31 * h + (uintptr_t)l->factor[a->field[f].letter] / sizeof(void *);
    }
    return h * UINT64_C(0x9E3779B97F4A7C15) >> 32;
}

static bool is_known_axis(const struct mbi_walk_axis *known, const struct mbi_axis *a,
                          const struct mbi_weights *l, uint32_t all)
{
    const struct mbi_axis *b = &known->axis;
    bool same = known->factor && known->all == all && a->kind == b->kind && a->log == b->log &&
                a->from == b->from && a->n_fields == b->n_fields;

    for (uint32_t f = 0; same && f < a->n_fields; f++)
        same = a->field[f].shift == b->field[f].shift &&
               known->letter[f] == l->factor[a->field[f].letter] &&
               known->n[f] == l->relation->n[a->field[f].letter];
    return same;
}

static void find_axis(struct mbi_walk_axis *known, struct mbi_walk *w, const struct mbi_axis *a,
                      const struct mbi_weights *l, const struct mbi_var *v, uint32_t all)
{
    uint8_t *room = w->room;
    struct mbi_form_factor f;

    *known = (struct mbi_walk_axis){.axis = *a, .all = all, .scale = mbi_ext_from(1)};
    for (uint32_t k = 0; k < a->n_fields; k++) {
        known->letter[k] = l->factor[a->field[k].letter];
        known->n[k] = l->relation->n[a->field[k].letter];
    }
    f = factor_of(w, &known->scale, a, l, v, all);
    known->scaled = !mbi_ext_equal(known->scale, mbi_ext_from(1));
    known->factor = MBI_EXT(walk_factor)(w, &f);
    MBI_EXT(walk_give_back)(w, room, known->factor);
}

static const struct mbi_form_factor nothing = {
    .kind = MBI_FORM_RULED, .n_indices = 1, .n_rules = 1, .rule = {{.high = MBI_MAX_BITS}}};

/* An index that is a letter has that one's factor; one of a single entry has that of none. NULL:
 * it is not so simple. */
static const struct mbi_form_factor *plain_axis(const struct mbi_axis *a,
                                                const struct mbi_walk_axes *axes,
                                                const struct mbi_weights *l, uint32_t all)
{
    uint32_t n;

    if (a->kind != MBI_AXIS_PLAIN || a->from || a->n_fields > 1)
        return NULL;
    if (!a->n_fields)
        return all == 1 ? axes->none : NULL;
    n = l->relation->n[a->field[0].letter];
    return !a->field[0].shift && n <= all && mbi_index_bits(n) == mbi_index_bits(all)
               ? l->factor[a->field[0].letter]
               : NULL;
}

/* The scale is multiplied into *scale. After a failure it is another factor. */
static const struct mbi_form_factor *axis_of(struct mbi_walk *w, struct mbi_ext *scale,
                                             const struct mbi_axis *a, struct mbi_walk_axes *axes,
                                             const struct mbi_weights *l, const struct mbi_var *v,
                                             uint32_t all)
{
    const struct mbi_form_factor *plain = axes ? plain_axis(a, axes, l, all) : &nothing;
    struct mbi_walk_axis *known;

    if (plain)
        return plain;
    known = &axes->axis[hash_axis(a, l, all) % axes->hashes];
    if (!is_known_axis(known, a, l, all))
        find_axis(known, w, a, l, v, all);
    if (known->scaled)
        *scale = mbi_ext_mul(*scale, known->scale);
    return known->factor;
}

/* ---- views ---- */

/* Row and picked column of one lane: a list of places in the variable. */
static bool is_joint(const struct mbi_view *v)
{
    return v->axis[2].kind == MBI_AXIS_PICK && v->axis[0].n_fields == 1 &&
           v->axis[0].field[0].letter == v->axis[2].field[0].letter;
}

struct mbi_part MBI_EXT(part_of_view)(struct mbi_walk *w, const struct mbi_view *view,
                                      const struct mbi_weights *l, uint32_t live)
{
    const struct mbi_var *v = &w->plan->var[view->var];
    struct mbi_part p = {.var = view->var, .scale = mbi_ext_from(1)};
    struct mbi_walk_axes *axes = find_axes(w);

    if (is_joint(view)) {
        const struct mbi_form_factor f = by_pick(w, &view->axis[2], &view->axis[0], l, v, v->n[2]);

        p.joint = true;
        p.factor[0] = MBI_EXT(walk_factor)(w, &f);
    }
    for (int k = 0; k < MBI_AXES && !p.joint; k++)
        p.factor[k] = axis_of(w, &p.scale, &view->axis[k], axes, l, v, v->n[k]);
    live &= ~mbi_view_letters(view);
    for (uint32_t k = 0; k < l->relation->n_letters && live; k++, live >>= 1)
        if (live & 1)
            p.scale = mbi_ext_mul(
                p.scale, MBI_EXT(walk_total)(w, l->factor[k], mbi_index_bits(l->relation->n[k])));
    return p;
}

/* ---- results ---- */

/* The factor of one index of a result, for each of the letters that are its fields. */
static bool split(struct mbi_walk *w, struct mbi_weights *l, const struct mbi_axis *a,
                  const struct mbi_form_factor *f)
{
    const struct mbi_relation *r = l->relation;
    unsigned bits = 0;
    struct shift q;

    for (uint32_t k = 0; k < a->n_fields; k++)
        bits += mbi_index_bits(r->n[a->field[k].letter]);
    if (!read_eq(&q, f) || q.below != (uint64_t)r->n[a->field[0].letter] << a->field[0].shift)
        return false;
    for (uint32_t k = 0; k < a->n_fields; k++) {
        const uint32_t n = r->n[a->field[k].letter];
        const unsigned own = mbi_index_bits(n);
        const struct mbi_form_factor of =
            MBI_EXT(form_eq)(0, own, n, q.z ? q.z + (bits - a->field[k].shift - own) : NULL);

        l->factor[a->field[k].letter] = MBI_EXT(walk_factor)(w, &of);
    }
    return true;
}

struct mbi_weights MBI_EXT(weights_of_part)(struct mbi_walk *w, const struct mbi_relation *r,
                                            const struct mbi_part *part)
{
    struct mbi_weights l = {.relation = r, .scale = mbi_ext_from(1)};

    for (int k = 0; k < MBI_AXES; k++) {
        const struct mbi_axis *a = &r->result.axis[k];

        if (!a->n_fields) /* of one entry, with a weight all the same */
            l.scale = mbi_ext_mul(l.scale, MBI_EXT(walk_total)(w, part->factor[k], 0));
        if (a->n_fields == 1)
            l.factor[a->field[0].letter] = part->factor[k];
        if (a->n_fields < 2 || split(w, &l, a, part->factor[k]))
            continue;
        l.whole_factor[k] = part->factor[k];
        for (uint32_t f = 0; f < a->n_fields; f++)
            l.whole[k] |= 1u << a->field[f].letter;
    }
    for (uint32_t k = 0; k < r->n_letters; k++)
        if (!l.factor[k]) {
            const struct mbi_form_factor ones =
                MBI_EXT(form_ones)(0, mbi_index_bits(r->n[k]), r->n[k]);

            l.factor[k] = MBI_EXT(walk_factor)(w, &ones);
        }
    return l;
}

/* ---- the weight of a sum ---- */

/* Where a letter's bits begin in the index of a sum over `letters`. */
static unsigned letter_at(const struct mbi_relation *r, uint32_t letters, uint32_t letter)
{
    unsigned at = 0;

    for (uint32_t k = 0; k < letter; k++)
        at += letters >> k & 1 ? mbi_index_bits(r->n[k]) : 0;
    return at;
}

/* The factor that has the letter `large` of a mask (alone, or as the low bits of a whole one),
 * together with that of `small`, which it takes in. */
static bool mask_factor(struct mbi_form_factor *f, const struct mbi_weights *l, unsigned at,
                        uint32_t letters)
{
    const struct mbi_relation *r = l->relation;
    const unsigned low = mbi_index_bits(r->n[r->small]);
    struct shift i, j;

    if (!read_eq(&i, f) || !read_eq(&j, l->factor[r->small]) || j.below < r->n[r->small])
        return false;
    *f = MBI_EXT(form_triangle)(at, i.z_bits, letter_at(r, letters, r->small), low, i.below, i.z,
                                j.z);
    return true;
}

static const char no_weight[] = "the weight of one of its sums has no form";

static void under_mask(struct mbi_walk *w, struct mbi_form_factor *f, const struct mbi_weights *l,
                       unsigned at, uint32_t letters)
{
    if (!mask_factor(f, l, at, letters))
        mbi_walk_cannot(w, no_weight);
}

/* The letters of a whole factor lie one behind the other, the highest field first. */
static bool is_run(const struct mbi_relation *r, const struct mbi_axis *a, uint32_t letters)
{
    for (uint32_t f = 1; f < a->n_fields; f++)
        if (letter_at(r, letters, a->field[f].letter) !=
            letter_at(r, letters, a->field[f - 1].letter) +
                mbi_index_bits(r->n[a->field[f - 1].letter]))
            return false;
    return true;
}

struct mbi_form MBI_EXT(sum_weight)(struct mbi_walk *w, const struct mbi_weights *l,
                                    uint32_t letters)
{
    const struct mbi_relation *r = l->relation;
    struct mbi_form form = {.bits = letter_at(r, letters, r->n_letters), .scale = l->scale};
    uint32_t done = mbi_is_masked(r) ? 1u << r->small : 0;

    for (int k = 0; k < MBI_AXES; k++) {
        const struct mbi_axis *a = &r->result.axis[k];
        const unsigned at = l->whole[k] ? letter_at(r, letters, a->field[0].letter) : 0;
        struct mbi_form_factor f;

        if (!l->whole[k])
            continue;
        f = *l->whole_factor[k];
        done |= l->whole[k];
        if ((l->whole[k] & letters) != l->whole[k] || !is_run(r, a, letters))
            mbi_walk_cannot(w, no_weight);
        else if (mbi_is_masked(r) && (l->whole[k] >> r->large & 1) &&
                 a->field[a->n_fields - 1].letter == r->large)
            under_mask(w, &f, l, at, letters);
        else if (mbi_is_masked(r) && (l->whole[k] >> r->large & 1))
            mbi_walk_cannot(w, no_weight);
        else
            f = MBI_EXT(factor_moved)(&f, at);
        form.factor[form.n_factors++] = f;
    }
    for (uint32_t k = 0; k < r->n_letters; k++) {
        struct mbi_form_factor f = *l->factor[k];

        if (!(letters >> k & 1) || (done >> k & 1))
            continue;
        if (mbi_is_masked(r) && k == r->large)
            under_mask(w, &f, l, letter_at(r, letters, k), letters);
        else if (mbi_index_bits(r->n[k]))
            f = MBI_EXT(factor_moved)(&f, letter_at(r, letters, k));
        else
            form.scale = mbi_ext_mul(form.scale, MBI_EXT(factor_total)(&f, 0));
        if (mbi_index_bits(r->n[k]))
            form.factor[form.n_factors++] = f;
    }
    return form;
}
#endif

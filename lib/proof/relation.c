/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables, terms and relations, and the intervals of what the checks admit: a relation that could
 * reach 2^62 on any admitted values is a fault, so that equality in F is equality in Z.
 */
#include "proof/relation.h"
#include "base/intmath.h"

void mbi_plan_fault(struct mbi_plan *p, const char *fault)
{
    if (!p->fault)
        p->fault = fault;
}

/* Room for one more element of an array, or NULL and a fault. */
static void *grow(struct mbi_plan *p, void *array, uint32_t n, uint32_t *cap, size_t size)
{
    const uint32_t more = *cap ? 2 * *cap : 64;
    void *bigger;

    if (n < *cap)
        return array;
    bigger = *cap <= UINT32_MAX / 4 ? mbi_realloc(p->host, array, more, size) : NULL;
    if (!bigger) {
        mbi_plan_fault(p, "there is not enough memory for its plan");
        p->no_memory = true;
    } else {
        *cap = more;
    }
    return bigger;
}

static uint8_t index_bits(uint32_t n) { return (uint8_t)mbi_bitlen(n - 1); }

uint32_t mbi_plan_add_var(struct mbi_plan *p, const struct mbi_var *v)
{
    struct mbi_var *array = grow(p, p->var, p->n_vars, &p->var_cap, sizeof(*array));

    if (!array)
        return MBI_NONE;
    p->var = array;
    array[p->n_vars] = *v;
    array[p->n_vars].row_bits = index_bits(v->rows);
    array[p->n_vars].col_bits = index_bits(v->cols);
    return p->n_vars++;
}

/* ---- committed variables ---- */

static uint32_t range_bits(int64_t lo, int64_t hi)
{
    return (uint32_t)mbi_bitlen((uint64_t)hi - (uint64_t)lo);
}

uint32_t mbi_gadget_var(struct mbi_gadget *g, uint32_t cols, int64_t lo, int64_t hi, bool loose)
{
    struct mbi_var v = {.kind = MBI_VAR_COMMITTED,
                        .rows = g->lanes,
                        .cols = cols,
                        .lo = lo,
                        .hi = hi,
                        .bits = range_bits(lo, hi),
                        .loose = loose,
                        .complement = MBI_NONE};

    if (lo > hi || lo <= -MBI_PLAN_BOUND || hi >= MBI_PLAN_BOUND || v.bits > 61)
        mbi_plan_fault(g->plan, "a range is empty or too wide");
    else if (loose)
        v.hi = lo + (int64_t)(((uint64_t)1 << v.bits) - 1);
    return mbi_plan_add_var(g->plan, &v);
}

static bool is_tight(const struct mbi_var *v)
{
    return v->loose || (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1;
}

void mbi_plan_add_complements(struct mbi_plan *p)
{
    const uint32_t n = p->n_vars;

    for (uint32_t i = 0; i < n && !p->fault; i++) {
        const struct mbi_var v = p->var[i];
        struct mbi_gadget g = {.plan = p, .lanes = v.rows};
        uint32_t other;

        if (v.kind != MBI_VAR_COMMITTED || is_tight(&v))
            continue;
        other = mbi_gadget_var(&g, v.cols, 0, v.hi - v.lo, true);
        p->var[i].complement = other;
        mbi_gadget_relate(&g, v.cols);
        mbi_gadget_constant(&g, v.hi);
        mbi_gadget_linear(&g, -1, i);
        mbi_gadget_linear(&g, -1, other);
    }
}

void mbi_gadget_fault(struct mbi_gadget *g, const char *why)
{
    mbi_plan_fault(g->plan, why);
    g->plan->fault_op = g->node->op;
}

int64_t mbi_gadget_lo(const struct mbi_gadget *g, uint32_t var)
{
    return var < g->plan->n_vars ? g->plan->var[var].lo : 0;
}

int64_t mbi_gadget_hi(const struct mbi_gadget *g, uint32_t var)
{
    return var < g->plan->n_vars ? g->plan->var[var].hi : 0;
}

/* ---- relations ---- */

static void begin(struct mbi_gadget *g, uint32_t defines, uint32_t cols)
{
    struct mbi_plan *p = g->plan;
    struct mbi_relation *array =
        grow(p, p->relation, p->n_relations, &p->relation_cap, sizeof(*array));

    if (!array)
        return;
    p->relation = array;
    array[p->n_relations++] = (struct mbi_relation){
        .defines = defines, .rows = g->lanes, .cols = cols, .sum = 1, .first_term = p->n_terms};
}

uint32_t mbi_gadget_define(struct mbi_gadget *g, uint32_t cols)
{
    const struct mbi_var v = {
        .kind = MBI_VAR_DERIVED, .rows = g->lanes, .cols = cols, .relation = g->plan->n_relations};
    const uint32_t var = mbi_plan_add_var(g->plan, &v);

    begin(g, var, cols);
    return var;
}

void mbi_gadget_relate(struct mbi_gadget *g, uint32_t cols) { begin(g, MBI_NONE, cols); }

static struct mbi_relation *current(struct mbi_plan *p)
{
    return p->n_relations && !p->fault ? &p->relation[p->n_relations - 1] : NULL;
}

void mbi_gadget_sum_to(struct mbi_gadget *g, uint32_t n)
{
    struct mbi_relation *r = current(g->plan);

    if (r)
        r->sum = n;
}

static uint32_t letter_range(const struct mbi_relation *r, uint8_t letter)
{
    return letter == MBI_LETTER_ROW   ? r->rows
           : letter == MBI_LETTER_COL ? r->cols
           : letter == MBI_LETTER_SUM ? r->sum
                                      : 1;
}

static const char *view_fault(const struct mbi_plan *p, const struct mbi_relation *r,
                              const struct mbi_view *w)
{
    const struct mbi_var *v;

    if (w->var >= p->n_vars || (r->defines != MBI_NONE && w->var >= r->defines))
        return "a relation reads a variable before it is declared";
    v = &p->var[w->var];
    if (letter_range(r, w->row) > v->rows)
        return "a relation reads beyond a variable";
    if ((w->row == MBI_LETTER_NONE && v->rows != 1) ||
        (w->col == MBI_LETTER_NONE && (v->cols != 1 || w->col_from)))
        return "a relation leaves out an index";
    if (w->row == w->col && w->row != MBI_LETTER_NONE)
        return "a relation reads a diagonal";
    return NULL;
}

/* a b, or a value beyond every bound. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;

    if (a && b &&
        (a == INT64_MIN || b == INT64_MIN || (a < 0 ? -a : a) > INT64_MAX / (b < 0 ? -b : b)))
        return (a < 0) == (b < 0) ? INT64_MAX : -INT64_MAX;
    product = a * b;
    return product;
}

struct interval {
    int64_t lo, hi;
};

static struct interval interval_times(struct interval a, struct interval b)
{
    const int64_t corner[] = {times(a.lo, b.lo), times(a.lo, b.hi), times(a.hi, b.lo),
                              times(a.hi, b.hi)};
    struct interval r = {corner[0], corner[0]};

    for (int i = 1; i < 4; i++) {
        r.lo = mbi_min_i64(r.lo, corner[i]);
        r.hi = mbi_max_i64(r.hi, corner[i]);
    }
    return r;
}

/* What the protocol has a step for: a definition by one product or by no product; a sum that is
 * zero for every row and column, in which no letter is summed and no factor lacks a letter. */
static const char *term_fault(const struct mbi_relation *r, const struct mbi_term *t)
{
    if (r->defines != MBI_NONE)
        return r->n_terms && (r->is_product || t->n > 1)
                   ? "a definition has a product beside other terms"
                   : NULL;
    for (uint32_t k = 0; k < t->n; k++) {
        const struct mbi_view *w = &t->view[k];

        if (w->row == MBI_LETTER_SUM || w->col == MBI_LETTER_SUM)
            return "a relation that is zero has a sum";
        if (t->n > 1 && (w->row != MBI_LETTER_ROW || w->col != MBI_LETTER_COL))
            return "a product lacks a letter";
    }
    return NULL;
}

/* What a view may be: zero outside of the variable. */
static struct interval view_interval(const struct mbi_plan *p, const struct mbi_relation *r,
                                     const struct mbi_view *w)
{
    const struct mbi_var *v = &p->var[w->var];
    const int64_t end = (int64_t)letter_range(r, w->col) + w->col_from;

    if (w->col_from < 0 || end > v->cols)
        return (struct interval){mbi_min_i64(v->lo, 0), mbi_max_i64(v->hi, 0)};
    return (struct interval){v->lo, v->hi};
}

/* What a term may be, summed over its letter. */
static struct interval term_interval(const struct mbi_plan *p, const struct mbi_relation *r,
                                     const struct mbi_term *t)
{
    struct interval x = {t->c, t->c};
    bool summed = false;

    for (uint32_t k = 0; k < t->n; k++) {
        x = interval_times(x, view_interval(p, r, &t->view[k]));
        summed |= t->view[k].row == MBI_LETTER_SUM || t->view[k].col == MBI_LETTER_SUM;
    }
    if (summed)
        x = interval_times(x, (struct interval){r->sum, r->sum});
    return x;
}

/* Adds a term to the interval of the variable that is being defined; of a relation, each side of
 * which is a part of the terms, the sum of magnitudes counts. */
static void add_interval(struct mbi_plan *p, const struct mbi_relation *r, struct interval x)
{
    int64_t magnitude = 0;

    if (x.lo <= -MBI_PLAN_BOUND || x.hi >= MBI_PLAN_BOUND) {
        mbi_plan_fault(p, "a relation may leave 62 bits");
        return;
    }
    for (uint32_t i = 0; i < r->n_terms && magnitude < MBI_PLAN_BOUND; i++) {
        const struct interval y = term_interval(p, r, &p->term[r->first_term + i]);

        magnitude += mbi_max_i64(-y.lo, y.hi);
    }
    if (magnitude >= MBI_PLAN_BOUND)
        mbi_plan_fault(p, "a relation may leave 62 bits");
    if (r->defines != MBI_NONE) {
        p->var[r->defines].lo += x.lo;
        p->var[r->defines].hi += x.hi;
    }
}

void mbi_gadget_term(struct mbi_gadget *g, struct mbi_term term)
{
    struct mbi_plan *p = g->plan;
    struct mbi_relation *r = current(p);
    struct mbi_term *array;
    const char *fault;

    if (!r || !term.c || !(array = grow(p, p->term, p->n_terms, &p->term_cap, sizeof(*array))))
        return;
    p->term = array;
    fault = term_fault(r, &term);
    for (uint32_t k = 0; k < term.n && !fault; k++)
        fault = view_fault(p, r, &term.view[k]);
    if (fault) {
        mbi_plan_fault(p, fault);
        return;
    }
    array[p->n_terms++] = term;
    r->n_terms++;
    r->is_product |= term.n > 1;
    add_interval(p, r, term_interval(p, r, &term));
}

void mbi_gadget_constant(struct mbi_gadget *g, int64_t c)
{
    mbi_gadget_term(g, (struct mbi_term){.c = c});
}

static struct mbi_view element_of(uint32_t var)
{
    return (struct mbi_view){var, MBI_LETTER_ROW, MBI_LETTER_COL, 0};
}

void mbi_gadget_linear(struct mbi_gadget *g, int64_t c, uint32_t var)
{
    mbi_gadget_term(g, (struct mbi_term){c, 1, {element_of(var)}});
}

void mbi_gadget_product(struct mbi_gadget *g, int64_t c, uint32_t var, uint32_t other)
{
    mbi_gadget_term(g, (struct mbi_term){c, 2, {element_of(var), element_of(other)}});
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables, terms and relations, and the intervals of what the checks admit: a relation that could
 * reach 2^62 on any admitted values is a fault, so that equality in F is equality in Z.
 */
#include "proof/relation.h"
#include "base/intmath.h"
#include <string.h>

void mbi_plan_fault(struct mbi_plan *p, const char *fault)
{
    if (!p->fault)
        p->fault = fault;
}

/* Room for one more element of an array, or NULL and a fault. */
static void *grow(struct mbi_plan *p, void *array, uint32_t n, uint32_t *cap, size_t size)
{
    const uint32_t more = *cap ? 2 * *cap : 64;
    void *bigger = NULL;
    size_t bytes;

    if (n < *cap)
        return array;
    if (*cap <= UINT32_MAX / 4 && mbi_mul_size(&bytes, more, size))
        bigger = mbi_alloc_huge(p->host, bytes);
    if (!bigger) {
        mbi_plan_fault(p, "there is not enough memory for its plan");
        p->no_memory = true;
        return NULL;
    }
    if (n)
        memcpy(bigger, array, n * size);
    mbi_free_aligned(p->host, array);
    *cap = more;
    return bigger;
}

/* Room for n elements, if there is memory; they may also do with less, and grow. */
static void *expect(struct mbi_plan *p, uint32_t *cap, uint32_t n, size_t size)
{
    void *array = mbi_alloc_huge(p->host, n * size);

    *cap = array ? n : 0;
    return array;
}

#define FEW 64u       /* operations */
#define MANY 1000000u /* more of them cannot be */

/* Views stay where they are, so that terms can point at them: blocks, each linked to the one before
 * it. */
struct mbi_view_block {
    struct mbi_view_block *before;
    uint32_t n, cap;
    struct mbi_view view[];
};

static struct mbi_view_block *add_views(struct mbi_plan *p, uint32_t cap)
{
    struct mbi_view_block *b =
        mbi_alloc_huge(p->host, sizeof(*b) + cap * sizeof(b->view[0])); /* far below 2^32 */

    if (!b)
        return NULL;
    b->before = p->views;
    b->n = 0;
    b->cap = cap;
    return p->views = b;
}

#define VIEWS_MIN 128u /* of a block */

/* A copy of n views, which no one changes; NULL and a fault for want of memory. */
static const struct mbi_view *keep_views(struct mbi_plan *p, const struct mbi_view *view,
                                         uint32_t n)
{
    struct mbi_view_block *b = p->views;
    struct mbi_view *kept;

    if (!b || b->n + n > b->cap)
        b = add_views(p, !b ? VIEWS_MIN : b->cap < MANY ? 2 * b->cap : b->cap);
    if (!b) {
        mbi_plan_fault(p, "there is not enough memory for its plan");
        p->no_memory = true;
        return NULL;
    }
    kept = b->view + b->n;
    b->n += n;
    for (uint32_t k = 0; k < n; k++)
        kept[k] = view[k];
    return kept;
}

void mbi_plan_free_relations(struct mbi_plan *p)
{
    while (p->views) {
        struct mbi_view_block *b = p->views;

        p->views = b->before;
        mbi_free_aligned(p->host, b);
    }
    mbi_free_aligned(p->host, p->var);
    mbi_free_aligned(p->host, p->relation);
    mbi_free_aligned(p->host, p->term);
}

void mbi_plan_expect(struct mbi_plan *p, size_t operations)
{
    const uint32_t n = (uint32_t)operations;

    if (p->n_vars || p->var || operations < FEW || operations > MANY)
        return;
    p->var = expect(p, &p->var_cap, 10 * n, sizeof(*p->var));
    p->relation = expect(p, &p->relation_cap, 8 * n, sizeof(*p->relation));
    p->term = expect(p, &p->term_cap, 32 * n, sizeof(*p->term));
    (void)add_views(p, 40 * n); /* 2 MB and more of a large plan: in huge pages */
}

static uint8_t index_bits(uint32_t n) { return (uint8_t)mbi_bitlen(n - 1); }

uint32_t mbi_plan_add_var(struct mbi_plan *p, const struct mbi_var *v)
{
    struct mbi_var *array = grow(p, p->var, p->n_vars, &p->var_cap, sizeof(*array));

    if (!array)
        return MBI_NONE;
    p->var = array;
    array[p->n_vars] = *v;
    for (int k = 0; k < MBI_AXES; k++) {
        array[p->n_vars].log[k] = index_bits(v->n[k]);
        if (!v->n[k])
            mbi_plan_fault(p, "a variable is empty");
    }
    return p->n_vars++;
}

static struct mbi_shape usual(const struct mbi_gadget *g, uint32_t cols)
{
    return (struct mbi_shape){{g->lanes, 1, cols}};
}

static struct mbi_var shaped(struct mbi_var v, struct mbi_shape shape)
{
    for (int k = 0; k < MBI_AXES; k++)
        v.n[k] = shape.n[k];
    return v;
}

/* ---- committed variables ---- */

static uint32_t range_bits(int64_t lo, int64_t hi)
{
    return (uint32_t)mbi_bitlen((uint64_t)hi - (uint64_t)lo);
}

uint32_t mbi_gadget_table(struct mbi_gadget *g, struct mbi_shape shape, int64_t lo, int64_t hi,
                          bool loose)
{
    struct mbi_var v = {.kind = MBI_VAR_COMMITTED,
                        .lo = lo,
                        .hi = hi,
                        .bits = range_bits(lo, hi),
                        .loose = loose,
                        .complement = MBI_NONE};

    v = shaped(v, shape);
    if (lo > hi || lo <= -MBI_PLAN_BOUND || hi >= MBI_PLAN_BOUND || v.bits > 61)
        mbi_plan_fault(g->plan, "a range is empty or too wide");
    else if (loose)
        v.hi = lo + (int64_t)(((uint64_t)1 << v.bits) - 1);
    return mbi_plan_add_var(g->plan, &v);
}

void mbi_gadget_triangle(struct mbi_gadget *g, uint32_t first, uint32_t n, uint8_t log)
{
    for (uint32_t i = first; i < first + n && i < g->plan->n_vars; i++)
        if (g->plan->var[i].kind == MBI_VAR_COMMITTED)
            g->plan->var[i].triangle = log;
}

uint32_t mbi_gadget_var(struct mbi_gadget *g, uint32_t cols, int64_t lo, int64_t hi, bool loose)
{
    return mbi_gadget_table(g, usual(g, cols), lo, hi, loose);
}

bool mbi_var_is_tight(const struct mbi_var *v)
{
    return v->loose || (uint64_t)v->hi - (uint64_t)v->lo == ((uint64_t)1 << v->bits) - 1;
}

/* Element by element, of three letters. */
static struct mbi_view whole(uint32_t var)
{
    return mbi_view(var, mbi_along(0, 0), mbi_along(1, 0), mbi_along(2, 0));
}

void mbi_plan_add_complements(struct mbi_plan *p)
{
    const uint32_t n = p->n_vars;

    for (uint32_t i = 0; i < n; i++)
        p->var[i].complement = MBI_NONE;
    for (uint32_t i = 0; i < n && !p->fault; i++) {
        const struct mbi_var v = p->var[i];
        struct mbi_gadget g = {.plan = p, .lanes = v.n[0]};
        const struct mbi_shape shape = {{v.n[0], v.n[1], v.n[2]}};
        uint32_t other;

        if (v.kind != MBI_VAR_COMMITTED || v.exact || mbi_var_is_tight(&v))
            continue;
        other = mbi_gadget_table(&g, shape, 0, v.hi - v.lo, true);
        p->var[i].complement = other;
        mbi_gadget_relate(&g, v.n[2]);
        mbi_gadget_letters(&g, MBI_AXES, v.n);
        mbi_gadget_constant(&g, v.hi);
        mbi_gadget_view(&g, -1, whole(i));
        mbi_gadget_view(&g, -1, whole(other));
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

/* ---- what is public ---- */

uint32_t mbi_gadget_powers(struct mbi_gadget *g, size_t k, int32_t top)
{
    const struct mbi_var *e = g->in[k] < g->plan->n_vars ? &g->plan->var[g->in[k]] : NULL;
    struct mbi_var v;

    if (!e || e->kind != MBI_VAR_PUBLIC || e->input != MBI_PUBLIC_PARAM || top < e->hi ||
        top - e->lo > 61) {
        mbi_gadget_fault(g, "its exponents are not public, or too far apart");
        return MBI_NONE;
    }
    v = *e;
    v.input = MBI_PUBLIC_POWER;
    v.from = top;
    v.lo = (int64_t)1 << (top - e->hi);
    v.hi = (int64_t)1 << (top - e->lo);
    return mbi_plan_add_var(g->plan, &v);
}

uint32_t mbi_gadget_less(struct mbi_gadget *g, uint32_t cols, int32_t from)
{
    const struct mbi_var v = {.kind = MBI_VAR_PUBLIC,
                              .n = {g->plan->n_outputs, 1, cols},
                              .hi = 1,
                              .input = MBI_PUBLIC_LESS,
                              .from = from};

    if (!g->plan->n_outputs)
        mbi_gadget_fault(g, "no token is claimed");
    return mbi_plan_add_var(g->plan, &v);
}

/* ---- relations ---- */

static void begin(struct mbi_gadget *g, uint32_t defines, struct mbi_shape shape)
{
    struct mbi_plan *p = g->plan;
    struct mbi_relation *array =
        grow(p, p->relation, p->n_relations, &p->relation_cap, sizeof(*array));
    struct mbi_relation r = {
        .defines = defines, .n_letters = 3, .n = {1, 1, 1}, .first_term = p->n_terms};

    if (!array)
        return;
    r.n[MBI_LETTER_ROW] = shape.n[0];
    r.n[MBI_LETTER_COL] = shape.n[2];
    r.result = mbi_element(defines);
    p->relation = array;
    array[p->n_relations++] = r;
}

uint32_t mbi_gadget_define_table(struct mbi_gadget *g, struct mbi_shape shape)
{
    const struct mbi_var v =
        shaped((struct mbi_var){.kind = MBI_VAR_DERIVED, .relation = g->plan->n_relations}, shape);
    const uint32_t var = mbi_plan_add_var(g->plan, &v);

    begin(g, var, shape);
    return var;
}

uint32_t mbi_gadget_define(struct mbi_gadget *g, uint32_t cols)
{
    return mbi_gadget_define_table(g, usual(g, cols));
}

void mbi_gadget_relate(struct mbi_gadget *g, uint32_t cols) { begin(g, MBI_NONE, usual(g, cols)); }

static struct mbi_relation *current(struct mbi_plan *p)
{
    return p->n_relations && !p->fault ? &p->relation[p->n_relations - 1] : NULL;
}

void mbi_gadget_letters(struct mbi_gadget *g, uint32_t n, const uint32_t *range)
{
    struct mbi_relation *r = current(g->plan);

    if (!r)
        return;
    if (n > MBI_LETTERS || r->n_terms) {
        mbi_plan_fault(g->plan, "a relation has too many letters, or gets them too late");
        return;
    }
    r->n_letters = n;
    for (uint32_t k = 0; k < n; k++) {
        r->n[k] = range[k];
        if (!range[k])
            mbi_plan_fault(g->plan, "a letter has no range");
    }
}

void mbi_gadget_result(struct mbi_gadget *g, struct mbi_axis row, struct mbi_axis mid,
                       struct mbi_axis col)
{
    struct mbi_relation *r = current(g->plan);

    if (r)
        r->result = mbi_view(r->defines, row, mid, col);
}

void mbi_gadget_upto(struct mbi_gadget *g, uint8_t small, uint8_t large)
{
    struct mbi_relation *r = current(g->plan);

    if (!r)
        return;
    if (small < r->n_letters && r->n[small] == 1)
        return; /* says nothing */
    r->small = small;
    r->large = large;
    if (small >= r->n_letters || large >= r->n_letters || small == large || r->n_terms ||
        r->n[small] != r->n[large] || (r->n[small] & (r->n[small] - 1)))
        mbi_plan_fault(g->plan, "a mask is not of two letters of one power of two");
}

/* ---- views ---- */

/* The index is a number, a letter plus a number, or fields of bits. */
static bool axis_is_shape(const struct mbi_axis *a)
{
    return a->n_fields > 1 || (a->n_fields && a->field[0].shift);
}

static uint64_t field_mask(const struct mbi_relation *r, const struct mbi_field *f)
{
    return (((uint64_t)1 << index_bits(r->n[f->letter])) - 1) << f->shift;
}

static bool fields_are_disjoint(const struct mbi_relation *r, const struct mbi_axis *a)
{
    uint64_t taken = a->from < 0 ? UINT64_MAX : (uint64_t)a->from;

    for (uint32_t k = 0; k < a->n_fields; k++) {
        const uint64_t mask = field_mask(r, &a->field[k]);

        if (taken & mask)
            return false;
        taken |= mask;
    }
    return taken < (uint64_t)1 << 31;
}

static int64_t axis_last(const struct mbi_relation *r, const struct mbi_axis *a)
{
    int64_t last = a->from;

    for (uint32_t k = 0; k < a->n_fields; k++)
        last += (int64_t)(r->n[a->field[k].letter] - 1) << a->field[k].shift;
    return last;
}

static const char *axis_fault(const struct mbi_relation *r, const struct mbi_axis *a)
{
    if (a->n_fields > MBI_FIELDS || a->kind > MBI_AXIS_PICK)
        return "a view has an index that is none";
    for (uint32_t k = 0; k < a->n_fields; k++)
        if (a->field[k].letter >= r->n_letters || a->field[k].shift > 30)
            return "a view names a letter that is not there";
    if (axis_is_shape(a) && !fields_are_disjoint(r, a))
        return "the fields of an index overlap";
    if (a->kind != MBI_AXIS_PLAIN && (a->n_fields != 1 || a->field[0].shift))
        return "a prefix or a pick has more than a letter";
    if (a->kind == MBI_AXIS_PREFIX && (a->from || a->log > 32))
        return "a prefix does not begin at its letter";
    if (a->kind == MBI_AXIS_PICK && a->from < 0)
        return "a view picks a token that is not there";
    return NULL;
}

/* No field is of the letter of one before it. */
static bool fields_differ(const struct mbi_axis *a)
{
    uint32_t before = 0;

    for (uint32_t k = 0; k < a->n_fields; k++) {
        if (before >> a->field[k].letter & 1)
            return false;
        before |= 1u << a->field[k].letter;
    }
    return true;
}

/* A letter leads to one index; but the index that a lane picks may stand beside the lane. */
static const char *diagonal_fault(const struct mbi_view *w)
{
    const struct mbi_axis *a = w->axis;
    const uint32_t row = mbi_axis_letters(&a[0]), mid = mbi_axis_letters(&a[1]),
                   col = mbi_axis_letters(&a[2]);
    const bool pick =
        a[2].kind == MBI_AXIS_PICK && a[0].kind == MBI_AXIS_PLAIN && !axis_is_shape(&a[0]);

    if ((mid & (row | col)) || (row & col && !pick) || !fields_differ(&a[0]) ||
        !fields_differ(&a[1]) || !fields_differ(&a[2]))
        return "a relation reads a diagonal";
    return NULL;
}

/* Row and picked column by one letter are a list of places, of a variable without a middle. */
static bool is_list(const struct mbi_plan *p, const struct mbi_view *w)
{
    const struct mbi_axis *row = &w->axis[0], *mid = &w->axis[1], *col = &w->axis[2];

    if (col->kind != MBI_AXIS_PICK || !row->n_fields ||
        row->field[0].letter != col->field[0].letter)
        return true;
    return p->var[w->var].n[1] == 1 && !mid->n_fields && !mid->from;
}

static const char *view_fault(const struct mbi_plan *p, const struct mbi_relation *r,
                              const struct mbi_view *w)
{
    const char *fault = NULL;

    if (w->var >= p->n_vars || (r->defines != MBI_NONE && w->var >= r->defines))
        return "a relation reads a variable before it is declared";
    for (int k = 0; k < MBI_AXES && !fault; k++)
        fault = axis_fault(r, &w->axis[k]);
    if (!fault && w->axis[0].kind == MBI_AXIS_PICK && axis_last(r, &w->axis[0]) > (int64_t)p->lanes)
        fault = "a view picks a token that is not there";
    if (!fault && w->axis[2].kind == MBI_AXIS_PICK && axis_last(r, &w->axis[2]) > (int64_t)p->lanes)
        fault = "a view picks a token that is not there";
    if (!fault && (w->axis[1].kind != MBI_AXIS_PLAIN || w->axis[2].kind == MBI_AXIS_PREFIX))
        fault = "a prefix is of rows, a pick of rows or columns";
    if (!fault && !is_list(p, w))
        fault = "a pick of one lane has a middle index";
    return fault ? fault : diagonal_fault(w);
}

/* The result of a definition: fields that reach every entry of the variable, each once. */
static const char *result_fault(const struct mbi_plan *p, const struct mbi_relation *r)
{
    const struct mbi_var *v = &p->var[r->defines];

    for (int k = 0; k < MBI_AXES; k++) {
        const struct mbi_axis *a = &r->result.axis[k];
        const char *fault = axis_fault(r, a);
        uint64_t taken = 0;

        if (fault)
            return fault;
        for (uint32_t f = 0; f < a->n_fields; f++) {
            const uint32_t n = r->n[a->field[f].letter];

            taken |= field_mask(r, &a->field[f]);
            if (f && (n & (n - 1)))
                return "a lower field of a result is not of a power of two";
        }
        if (a->kind != MBI_AXIS_PLAIN || a->from || axis_last(r, a) + 1 != v->n[k] ||
            taken != ((uint64_t)1 << v->log[k]) - 1)
            return "a definition does not reach all of its variable";
        for (uint32_t f = 1; f < a->n_fields; f++)
            if (a->field[f].shift >= a->field[f - 1].shift)
                return "the fields of a result are not in their order";
    }
    return diagonal_fault(&r->result);
}

/* ---- intervals ---- */

/* a b, or a value beyond every bound. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;

    if (__builtin_mul_overflow(a, b, &product) || product == INT64_MIN)
        return (a < 0) == (b < 0) ? INT64_MAX : -INT64_MAX;
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

static bool in_result(const struct mbi_relation *r, uint8_t letter)
{
    return mbi_view_letters(&r->result) >> letter & 1;
}

/* What the protocol has a step for: a definition by one product or by no product; a sum that is
 * zero for every value of its letters. */
static const char *term_fault(const struct mbi_relation *r, const struct mbi_term *t)
{
    if (t->n > MBI_TERM_VIEWS)
        return "a term has too many factors";
    if (r->defines == MBI_NONE)
        return NULL;
    if (t->n > 2 || (r->n_terms && (r->is_product || t->n > 1)))
        return "a definition has a product beside other terms";
    return t->n < 2 && mbi_is_masked(r) ? "a definition without a product has a mask" : NULL;
}

/* What a view may be: zero outside of the variable. */
static struct interval view_interval(const struct mbi_plan *p, const struct mbi_relation *r,
                                     const struct mbi_view *w)
{
    const struct mbi_var *v = &p->var[w->var];
    struct interval x = {v->lo, v->hi};

    for (int k = 0; k < MBI_AXES; k++) {
        const struct mbi_axis *a = &w->axis[k];

        if (a->kind == MBI_AXIS_PREFIX) {
            const int64_t n = mbi_min_i64((int64_t)1 << (a->log < 32 ? a->log : 32), v->n[k]);

            x = interval_times(x, (struct interval){0, n});
        }
        if (a->kind == MBI_AXIS_PLAIN && (a->from < 0 || axis_last(r, a) >= v->n[k]))
            x = (struct interval){mbi_min_i64(x.lo, 0), mbi_max_i64(x.hi, 0)};
    }
    return x;
}

/* What a term may be, summed over the letters that a definition does not have. */
static struct interval term_interval(const struct mbi_plan *p, const struct mbi_relation *r,
                                     const struct mbi_term *t)
{
    struct interval x = {t->c, t->c};

    for (uint32_t k = 0; k < t->n; k++)
        x = interval_times(x, view_interval(p, r, &t->view[k]));
    for (uint8_t k = 0; k < r->n_letters && r->defines != MBI_NONE; k++)
        if (!in_result(r, k))
            x = interval_times(x, (struct interval){mbi_is_masked(r) ? 0 : r->n[k], r->n[k]});
    return x;
}

/* Adds a term to the interval of the variable that is being defined; of a relation, each side of
 * which is a part of the terms, the sum of magnitudes counts. */
static void add_interval(struct mbi_plan *p, struct mbi_relation *r, struct interval x)
{
    if (x.lo <= -MBI_PLAN_BOUND || x.hi >= MBI_PLAN_BOUND) {
        mbi_plan_fault(p, "a relation may leave 62 bits");
        return;
    }
    r->magnitude += mbi_max_i64(-x.lo, x.hi); /* of two numbers below 2^62 */
    if (r->magnitude >= MBI_PLAN_BOUND)
        mbi_plan_fault(p, "a relation may leave 62 bits");
    if (r->defines != MBI_NONE) {
        p->var[r->defines].lo += x.lo;
        p->var[r->defines].hi += x.hi;
    }
}

/* ---- terms ---- */

void mbi_gadget_term(struct mbi_gadget *g, int64_t c, uint32_t n, const struct mbi_view *view)
{
    struct mbi_term term = {c, n, view};
    struct mbi_plan *p = g->plan;
    struct mbi_relation *r = current(p);
    struct mbi_term *array;
    const char *fault;

    if (!r || !c || !(array = grow(p, p->term, p->n_terms, &p->term_cap, sizeof(*array))))
        return;
    p->term = array;
    fault = term_fault(r, &term);
    if (!fault && r->defines != MBI_NONE && !r->n_terms)
        fault = result_fault(p, r);
    for (uint32_t k = 0; k < n && !fault; k++)
        fault = view_fault(p, r, &view[k]);
    if (fault) {
        mbi_plan_fault(p, fault);
        return;
    }
    if (n && !(term.view = keep_views(p, view, n)))
        return;
    array[p->n_terms++] = term;
    r->n_terms++;
    r->n_views += n;
    r->is_product |= n > 1 || mbi_is_masked(r);
    add_interval(p, r, term_interval(p, r, &term));
}

void mbi_gadget_constant(struct mbi_gadget *g, int64_t c) { mbi_gadget_term(g, c, 0, NULL); }

void mbi_gadget_view(struct mbi_gadget *g, int64_t c, struct mbi_view a)
{
    mbi_gadget_term(g, c, 1, &a);
}

void mbi_gadget_views(struct mbi_gadget *g, int64_t c, struct mbi_view a, struct mbi_view b)
{
    mbi_gadget_term(g, c, 2, (struct mbi_view[]){a, b});
}

void mbi_gadget_linear(struct mbi_gadget *g, int64_t c, uint32_t var)
{
    mbi_gadget_view(g, c, mbi_element(var));
}

void mbi_gadget_product(struct mbi_gadget *g, int64_t c, uint32_t var, uint32_t other)
{
    mbi_gadget_views(g, c, mbi_element(var), mbi_element(other));
}

/* ---- sizes ---- */

/* The bits of all letters as one number, of which those that are not there have none. */
static uint64_t size_of(const struct mbi_relation *r)
{
    uint64_t size = 0;

    for (uint32_t k = 0; k < r->n_letters; k++)
        size |= (uint64_t)index_bits(r->n[k]) << 8 * k;
    return size;
}

#define SIZES 64u /* that are kept; beyond them relations are compared with all others */

void mbi_plan_compare_relations(struct mbi_plan *p)
{
    uint32_t first[SIZES], n = 0;
    uint64_t size[SIZES];

    for (uint32_t i = 0; i < p->n_relations; i++) {
        struct mbi_relation *r = &p->relation[i];
        const uint64_t own = size_of(r);
        uint32_t k = 0;

        r->like = i;
        if (r->defines != MBI_NONE || !r->is_product)
            continue;
        while (k < n && size[k] != own)
            k++;
        if (k < n) {
            r->like = first[k];
        } else if (n < SIZES) {
            size[n] = own;
            first[n++] = i;
        }
        for (k = n < SIZES ? i : first[SIZES - 1] + 1; k < i && r->like == i; k++)
            if (p->relation[k].like == k && p->relation[k].defines == MBI_NONE &&
                p->relation[k].is_product && size_of(&p->relation[k]) == own)
                r->like = k;
    }
}

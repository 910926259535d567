/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of an opening at one point, without forms. */
#include "proof/walk_terms.h"
#if MBI_HAVE_SODIUM

void MBI_EXT(walk_terms_init)(struct mbi_walk_terms *t, struct mbi_walk *w)
{
    *t = (struct mbi_walk_terms){.walk = w, .busy = ATOMIC_FLAG_INIT};
}

void MBI_EXT(walk_terms_free)(struct mbi_walk_terms *t)
{
    mbi_free(t->walk->host, t->term);
    mbi_free(t->walk->host, t->value);
}

/* ---- numbers ---- */

static struct mbi_walk_term term_of(const struct mbi_walk *w, const struct mbi_part *part,
                                    uint32_t box)
{
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &w->plan->var[part->var];
    struct mbi_walk_term t = {{part->factor[0], part->factor[1], part->factor[2]}, .row = 0};

    if (!v) {
        t.log[0] = t.log_rows = (uint8_t)w->plan->bits;
        return t;
    }
    memcpy(t.log, v->log, sizeof(t.log));
    t.log_rows = v->log[0];
    t.log_cols = v->log[2];
    if (v->kind == MBI_VAR_WEIGHT) {
        const struct mbi_piece *p = &w->plan->piece[v->first_piece + box];

        t.row = p->row;
        t.col = p->col;
        t.log_rows = p->log_rows;
        t.log_cols = p->col_bits;
    } else if (v->kind == MBI_VAR_COMMITTED) {
        const struct mbi_box *b = &w->plan->box[v->first_box + box];

        t.row = b->row;
        t.col = b->col;
        t.log_rows = b->log_rows;
        t.log_cols = b->log_cols;
        t.list = part->joint ? b : NULL;
        t.var = part->joint ? part->var : 0;
    }
    return t;
}

bool MBI_EXT(walk_alike)(const struct mbi_walk *w, const struct mbi_part *a,
                         const struct mbi_part *b)
{
    const struct mbi_var *v, *u;
    bool same = a->joint == b->joint;

    for (int k = 0; same && k < MBI_AXES; k++)
        same = a->factor[k] == b->factor[k];
    if (!same || a->var == b->var)
        return same;
    if (a->var == MBI_NONE || b->var == MBI_NONE || a->joint)
        return false;
    v = &w->plan->var[a->var];
    u = &w->plan->var[b->var];
    for (int k = 0; same && k < MBI_AXES; k++)
        same = v->n[k] == u->n[k];
    return same && v->kind == u->kind && v->triangle == u->triangle && v->n_boxes == u->n_boxes &&
           v->n_pieces == u->n_pieces;
}

static size_t hash_part(const struct mbi_walk *w, const struct mbi_part *part)
{
    uint64_t h = part->var == MBI_NONE ? 0 : w->plan->var[part->var].n[0];

    for (int k = 0; k < MBI_AXES; k++)
        h = 31 * h + (uintptr_t)part->factor[k] / sizeof(void *);
    return (size_t)(h * UINT64_C(0x9E3779B97F4A7C15) >> 32) % MBI_TERM_HASHES;
}

static bool add_numbers(struct mbi_walk_terms *t, const struct mbi_part *part, uint32_t n)
{
    if (t->n + n > t->cap) {
        const uint32_t cap = 2 * t->cap + n + 256;
        struct mbi_walk_term *more = mbi_realloc(t->walk->host, t->term, cap, sizeof(*more));

        if (!more)
            return false;
        t->term = more;
        t->cap = cap;
    }
    for (uint32_t k = 0; k < n; k++)
        t->term[t->n++] = term_of(t->walk, part, k);
    return true;
}

uint32_t MBI_EXT(walk_terms_add)(struct mbi_walk_terms *t, const struct mbi_part *part, uint32_t n)
{
    struct mbi_walk_numbered *last = &t->last[hash_part(t->walk, part)];

    if (part->joint && t->walk->plan->var[part->var].kind != MBI_VAR_COMMITTED)
        mbi_walk_cannot(t->walk, "a list of places is of what is handed on");
    if (last->part && MBI_EXT(walk_alike)(t->walk, last->part, part))
        return last->number;
    *last = (struct mbi_walk_numbered){part, t->n};
    if (add_numbers(t, part, n))
        return last->number;
    t->walk->failed = true;
    last->part = NULL;
    return 0;
}

/* ---- axes ---- */

#define HASHES 512u

/* An axis of a box, or of a piece of a weight, at a point. */
struct axis {
    const struct mbi_form_factor *factor;
    const struct mbi_ext *point;
    uint32_t from;
    uint8_t bits, log;
    struct mbi_ext value;
};

/* Numbers begin .. end, which a thread evaluates, and what it has found. */
struct share {
    struct mbi_walk_terms *terms;
    const struct mbi_ext *point; /* where it ends */
    size_t begin, end;
    struct axis known[HASHES]; /* the last one of each hash */
};

static size_t hash_axis(const struct axis *a)
{
    uint64_t h = (uintptr_t)a->factor / sizeof(void *);

    h = 31 * h + (uintptr_t)a->point / sizeof(*a->point);
    h = 31 * h + a->from + ((uint64_t)a->log << 32);
    return (size_t)(h * UINT64_C(0x9E3779B97F4A7C15) >> 32) % HASHES;
}

/* Alone with the walk, for as long as a factor is cut: that is seldom, and soon done. */
static void enter(struct mbi_walk_terms *t)
{
    while (atomic_flag_test_and_set_explicit(&t->busy, memory_order_acquire))
        ;
}

static void leave(struct mbi_walk_terms *t)
{
    atomic_flag_clear_explicit(&t->busy, memory_order_release);
}

/* A form of one factor; the walk is entered, and left. */
static struct mbi_ext evaluate(struct mbi_walk_terms *t, const struct mbi_form *form,
                               const struct mbi_ext *point)
{
    const char *fault = t->walk->failed ? NULL : MBI_EXT(form_fault)(form);
    bool failed;

    if (fault)
        mbi_walk_cannot(t->walk, fault);
    failed = t->walk->failed;
    leave(t);
    return failed ? mbi_ext_from(0) : MBI_EXT(form_at)(form, point);
}

static struct mbi_ext cut_at(struct mbi_walk_terms *t, const struct axis *a)
{
    struct mbi_form form = {.bits = a->log, .scale = mbi_ext_from(1), .n_factors = 1};

    enter(t);
    form.factor[0] = MBI_EXT(walk_cut)(t->walk, &form.scale, a->factor, a->bits, a->from, a->log);
    return evaluate(t, &form, a->point);
}

/* The entries [from, from + 2^log) of a factor over `bits` bits, at a point. */
static struct mbi_ext axis_at(struct share *s, const struct mbi_form_factor *f, unsigned bits,
                              uint32_t from, unsigned log, const struct mbi_ext *point)
{
    const struct axis a = {f, point, from, (uint8_t)bits, (uint8_t)log, {{0}}};
    struct axis *known = &s->known[hash_axis(&a)];

    if (known->factor != f || known->point != point || known->from != from || known->log != log ||
        known->bits != bits) {
        *known = a;
        known->value = cut_at(s->terms, &a);
    }
    return known->value;
}

/* ---- terms ---- */

/* The list of places in a variable, of which each box has its own. */
static struct mbi_ext list_at(struct mbi_walk_terms *t, const struct mbi_walk_term *x,
                              const struct mbi_ext *end)
{
    const struct mbi_var *v = &t->walk->plan->var[x->var];
    struct mbi_form form = {.bits = x->list->bits, .scale = mbi_ext_from(1), .n_factors = 1};

    enter(t);
    form.factor[0] = MBI_EXT(walk_list)(t->walk, x->factor[0], v, x->list);
    return evaluate(t, &form, end - x->list->bits);
}

/* Its columns have the last coordinates, rows the first. */
static struct mbi_ext term_at(struct share *s, const struct mbi_walk_term *x)
{
    const struct mbi_ext *col = s->point - x->log_cols, *mid = col - x->log[1];
    struct mbi_ext r;

    if (x->list)
        return list_at(s->terms, x, s->point);
    r = axis_at(s, x->factor[0], x->log[0], x->row, x->log_rows, mid - x->log_rows);
    if (x->factor[1])
        r = mbi_ext_mul(r, axis_at(s, x->factor[1], x->log[1], 0, x->log[1], mid));
    if (x->factor[2])
        r = mbi_ext_mul(r, axis_at(s, x->factor[2], x->log[2], x->col, x->log_cols, col));
    return r;
}

static void evaluate_shares(void *arg, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        struct share *s = (struct share *)arg + i;

        for (size_t k = s->begin; k < s->end; k++)
            s->terms->value[k] = term_at(s, &s->terms->term[k]);
    }
}

const struct mbi_ext *MBI_EXT(walk_terms_at)(void *user, const struct mbi_ext *end)
{
    struct mbi_walk_terms *t = user;
    const struct mbi_host *host = t->walk->host;
    const size_t n = mbi_pool_threads(host->pool) > 1 ? 2 : 1;
    struct share *share = MBI_EXT(walk_keep)(t->walk, n, sizeof(*share));

    if (!t->value)
        t->value = mbi_alloc(host, t->n + 1, sizeof(*t->value));
    if (!share || !t->value)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        share[i].terms = t;
        share[i].point = end;
        share[i].begin = t->n * i / n;
        share[i].end = t->n * (i + 1) / n;
    }
    mbi_parallel_for(host, n, 1, evaluate_shares, share);
    return t->walk->failed ? NULL : t->value;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of an opening at one point, without forms. */
#include "proof/walk_terms.h"
#if MBI_HAVE_SODIUM

#define KNOWN 4096u /* hashes */

bool MBI_EXT(walk_terms_init)(struct mbi_walk_terms *t, struct mbi_walk *w, size_t n)
{
    *t = (struct mbi_walk_terms){.walk = w, .busy = ATOMIC_FLAG_INIT};
    t->place = MBI_EXT(walk_keep)(w, n, sizeof(*t->place));
    return !w->failed;
}

bool MBI_EXT(walk_found_init)(struct mbi_walk_found *f, struct mbi_walk_terms *t)
{
    *f = (struct mbi_walk_found){.terms = t, .last = UINT32_MAX};
    f->known = MBI_EXT(walk_keep)(t->walk, KNOWN, sizeof(*f->known));
    return f->known != NULL;
}

uint32_t MBI_EXT(walk_terms_add)(struct mbi_walk_terms *t, const struct mbi_part *part,
                                 uint32_t box)
{
    t->place[t->n] = (struct mbi_term_place){(uint32_t)(part - t->walk->part), box};
    return t->n++;
}

/* ---- axes ---- */

static size_t hash_axis(const struct mbi_known_axis *a)
{
    uint64_t h = (uintptr_t)a->factor / sizeof(void *);

    h = 31 * h + (uintptr_t)a->point / sizeof(*a->point);
    h = 31 * h + a->from + ((uint64_t)a->log << 32);
    return (size_t)(h * UINT64_C(0x9E3779B97F4A7C15) >> 32) % KNOWN;
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

static struct mbi_ext cut_at(struct mbi_walk_terms *t, const struct mbi_known_axis *a)
{
    struct mbi_form form = {.bits = a->log, .scale = mbi_ext_from(1), .n_factors = 1};

    enter(t);
    form.factor[0] = MBI_EXT(walk_cut)(t->walk, &form.scale, a->factor, a->bits, a->from, a->log);
    return evaluate(t, &form, a->point);
}

/* The entries [from, from + 2^log) of a factor over `bits` bits, at a point. */
static struct mbi_ext axis_at(struct mbi_walk_found *t, const struct mbi_form_factor *f,
                              unsigned bits, uint32_t from, unsigned log,
                              const struct mbi_ext *point)
{
    const struct mbi_known_axis a = {f, point, from, (uint8_t)bits, (uint8_t)log, {{0}}};
    struct mbi_known_axis *known = &t->known[hash_axis(&a)];

    if (known->factor != f || known->point != point || known->from != from || known->log != log ||
        known->bits != bits) {
        *known = a;
        known->value = cut_at(t->terms, &a);
    }
    return known->value;
}

/* ---- terms ---- */

static struct mbi_ext piece_at(struct mbi_walk_found *t, const struct mbi_part *part,
                               const struct mbi_var *v, uint32_t number,
                               const struct mbi_ext *point)
{
    const struct mbi_piece *p = &t->terms->walk->plan->piece[v->first_piece + number];
    struct mbi_ext r = axis_at(t, part->factor[1], 0, 0, 0, point);

    r = mbi_ext_mul(r, axis_at(t, part->factor[0], v->log[0], p->row, p->log_rows, point));
    return mbi_ext_mul(
        r, axis_at(t, part->factor[2], v->log[2], p->col, p->col_bits, point + p->log_rows));
}

static struct mbi_ext box_at(struct mbi_walk_found *t, const struct mbi_part *part,
                             const struct mbi_var *v, const struct mbi_box *box,
                             const struct mbi_ext *point)
{
    const struct mbi_ext *mid = point + box->log_rows, *col = mid + v->log[1];
    const struct mbi_ext row =
        axis_at(t, part->factor[0], v->log[0], box->row, box->log_rows, point);

    return mbi_ext_mul(mbi_ext_mul(row, axis_at(t, part->factor[1], v->log[1], 0, v->log[1], mid)),
                       axis_at(t, part->factor[2], v->log[2], box->col, box->log_cols, col));
}

/* The list of places in a variable, of which each box has its own. */
static struct mbi_ext list_at(struct mbi_walk_terms *t, const struct mbi_part *part,
                              const struct mbi_box *box, const struct mbi_ext *point)
{
    struct mbi_form form = {.bits = box->bits, .scale = mbi_ext_from(1), .n_factors = 1};

    enter(t);
    form.factor[0] =
        MBI_EXT(walk_list)(t->walk, part->factor[0], &t->walk->plan->var[part->var], box);
    return evaluate(t, &form, point);
}

static struct mbi_ext term_at(struct mbi_walk_found *t, const struct mbi_term_place *at,
                              const struct mbi_ext *point)
{
    const struct mbi_plan *plan = t->terms->walk->plan;
    const struct mbi_part *part = &t->terms->walk->part[at->part];
    const struct mbi_var *v = part->var == MBI_NONE ? NULL : &plan->var[part->var];
    struct mbi_box whole = {.row = 0};

    if (!v)
        return axis_at(t, part->factor[0], plan->bits, 0, plan->bits, point);
    if (v->kind == MBI_VAR_WEIGHT)
        return piece_at(t, part, v, at->box, point);
    whole.log_rows = v->log[0];
    whole.log_cols = v->log[2];
    whole.bits = (uint8_t)mbi_var_bits(v);
    if (v->kind == MBI_VAR_COMMITTED)
        whole = plan->box[v->first_box + at->box];
    return part->joint ? list_at(t->terms, part, &whole, point) : box_at(t, part, v, &whole, point);
}

struct mbi_ext MBI_EXT(walk_terms_at)(void *user, uint32_t number, const struct mbi_ext *point)
{
    struct mbi_walk_found *t = user;

    if (number != t->last || point != t->last_point) {
        t->last = number;
        t->last_point = point;
        t->last_value = term_at(t, &t->terms->place[number], point);
    }
    return t->last_value;
}
#endif

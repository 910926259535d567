/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan is, as 32 bytes.                                               proof.md, plan */
#include "base/bytes.h"
#include "proof/hash.h"
#include "proof/plan.h"
#include <string.h>
#if MBI_HAVE_SODIUM

#define ROOM ((size_t)1 << 12) /* bytes that are hashed at a time */

/* Numbers on their way into the hash. */
struct digest {
    struct mbi_hash hash;
    size_t n;
    uint8_t bytes[ROOM];
};

static void hash_bytes(struct digest *s)
{
    mbi_hash_add(&s->hash, s->bytes, s->n);
    s->n = 0;
}

static void add32(struct digest *s, uint32_t v)
{
    if (s->n + sizeof(v) > ROOM)
        hash_bytes(s);
    mbi_store32(s->bytes + s->n, v);
    s->n += sizeof(v);
}

static void add64(struct digest *s, uint64_t v)
{
    add32(s, (uint32_t)v);
    add32(s, (uint32_t)(v >> 32));
}

/* Where the digits of a committed variable lie. */
static void add_digits(struct digest *s, const struct mbi_plan *p, const struct mbi_var *v)
{
    add32(s, v->bits);
    if (p->large) {
        add32(s, v->digit_bits);
        add32(s, v->exact);
        add32(s, v->n_boxes);
    }
    for (uint32_t k = 0; k < v->n_boxes; k++) {
        const struct mbi_box *box = &p->box[v->first_box + k];

        if (p->large) {
            add32(s, box->row);
            add32(s, box->log_rows);
            add32(s, box->col);
            add32(s, box->log_cols);
        }
        add64(s, box->digits);
        add64(s, box->odd);
    }
    if (!p->large && !v->n_boxes) {
        add64(s, 0);
        add64(s, 0);
    }
}

/* The regions of the witness vector. */
static void add_regions(struct digest *s, const struct mbi_plan *p)
{
    const struct mbi_lookup *l = &p->lookup;

    add32(s, p->large ? MBI_DIGIT_MAX : MBI_DIGIT_MIN);
    for (uint32_t k = MBI_DIGIT_MIN; !p->large && k > 0; k--) {
        add64(s, p->from[k]);
        add64(s, p->to[k]);
    }
    if (p->large)
        add32(s, l->n);
    for (uint32_t k = 0; p->large && k < l->n; k++) {
        add32(s, l->size[k]);
        add64(s, l->begin[k + 1]);
        add64(s, l->counts[k + 1]);
    }
    add32(s, p->bits);
    if (p->n_pads) {
        add64(s, p->pads_at);
        add64(s, p->n_pads);
    }
}

static void add_var(struct digest *s, const struct mbi_plan *p, const struct mbi_var *v)
{
    add32(s, v->kind);
    for (int k = 0; k < MBI_AXES; k++)
        add32(s, v->n[k]);
    add64(s, (uint64_t)v->lo);
    add64(s, (uint64_t)v->hi);
    if (v->kind == MBI_VAR_PUBLIC) {
        add32(s, v->input);
        add32(s, v->stage);
        add32(s, v->param);
        add32(s, (uint32_t)v->from);
    }
    if (v->kind == MBI_VAR_WEIGHT) {
        add32(s, v->first_piece);
        add32(s, v->n_pieces);
    }
    if (v->kind == MBI_VAR_DERIVED)
        add32(s, v->relation);
    if (v->kind == MBI_VAR_BOUNDARY) {
        add32(s, v->side);
        add64(s, v->block);
    }
    if (v->kind == MBI_VAR_COMMITTED)
        add_digits(s, p, v);
}

#define NO_FIELD 7u /* as a letter */

/* Kind, log and fields in one number: 2, 5 and 8 bits each. There are as many views as of anything,
 * and a verifier hashes them all. */
static uint32_t packed_axis(const struct mbi_axis *a)
{
    uint32_t fields = 0;

    for (uint32_t f = MBI_FIELDS; f-- > 0;) {
        const struct mbi_field *of = &a->field[f];

        fields <<= 8;
        fields |= f < a->n_fields ? (uint32_t)of->letter | (uint32_t)of->shift << 3 : NO_FIELD;
    }
    return (uint32_t)a->kind | (uint32_t)a->log << 2 | fields << 7;
}

static void add_view(struct digest *s, const struct mbi_view *w)
{
    add32(s, w->var);
    for (int k = 0; k < MBI_AXES; k++) {
        add32(s, (uint32_t)w->axis[k].from);
        add32(s, packed_axis(&w->axis[k]));
    }
}

static void add_relation(struct digest *s, const struct mbi_plan *p, const struct mbi_relation *r)
{
    add32(s, r->n_letters);
    for (uint32_t k = 0; k < r->n_letters; k++)
        add32(s, r->n[k]);
    add32(s, r->small);
    add32(s, r->large);
    add32(s, r->defines);
    if (r->defines != MBI_NONE)
        add_view(s, &r->result);
    add32(s, r->n_terms);
    for (uint32_t i = 0; i < r->n_terms; i++) {
        const struct mbi_term *t = &p->term[r->first_term + i];

        add64(s, (uint64_t)t->c);
        add32(s, t->n);
        for (uint32_t k = 0; k < t->n; k++)
            add_view(s, &t->view[k]);
    }
}

static void end_digest(uint8_t out[MBI_DIGEST_SIZE], struct digest *s)
{
    hash_bytes(s);
    mbi_hash_end(&s->hash, out);
}

static void begin_digest(struct digest *s, const char *what)
{
    s->n = 0;
    mbi_hash_init(&s->hash, MBI_HASH_PLAIN, NULL);
    mbi_hash_add(&s->hash, what, strlen(what));
}

static size_t share_begin(size_t n, size_t k) { return n * k / MBI_PLAN_SHARES; }

void mbi_plan_share(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan, size_t k)
{
    const size_t vars = share_begin(plan->n_vars, k + 1);
    const size_t relations = share_begin(plan->n_relations, k + 1);
    struct digest s;

    begin_digest(&s, "mambaint-share");
    for (size_t i = share_begin(plan->n_vars, k); i < vars; i++)
        add_var(&s, plan, &plan->var[i]);
    for (size_t i = share_begin(plan->n_relations, k); i < relations; i++)
        add_relation(&s, plan, &plan->relation[i]);
    end_digest(out, &s);
}

void mbi_plan_join(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan,
                   const uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE])
{
    struct digest s;

    begin_digest(&s, "mambaint-plan");
    add32(&s, (uint32_t)plan->n_stages);
    add32(&s, plan->lanes);
    add32(&s, plan->n_outputs);
    add32(&s, plan->public_weights);
    add32(&s, plan->n_vars);
    add32(&s, plan->n_pieces);
    for (uint32_t i = 0; i < plan->n_pieces; i++) {
        add32(&s, plan->piece[i].row);
        add32(&s, plan->piece[i].log_rows);
        add32(&s, plan->piece[i].col_bits);
        add64(&s, plan->piece[i].block);
    }
    add32(&s, plan->weight_bits);
    add32(&s, plan->n_relations);
    add_regions(&s, plan);
    hash_bytes(&s);
    mbi_hash_add(&s.hash, share, MBI_PLAN_SHARES * MBI_DIGEST_SIZE);
    end_digest(out, &s);
}

void mbi_plan_digest(uint8_t out[MBI_DIGEST_SIZE], const struct mbi_plan *plan)
{
    uint8_t share[MBI_PLAN_SHARES][MBI_DIGEST_SIZE];

    for (size_t k = 0; k < MBI_PLAN_SHARES; k++)
        mbi_plan_share(share[k], plan, k);
    mbi_plan_join(out, plan, (const uint8_t(*)[MBI_DIGEST_SIZE])share);
}
#endif

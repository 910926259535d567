/* SPDX-License-Identifier: Apache-2.0 */
/* Openings: what is wrong with a statement, and what both sides do. */
#include "proof/open.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* ---- faults of a statement ---- */

static const char *root_fault(const struct mbi_opening *o)
{
    unsigned log_rows[MBI_OPEN_VECTORS], rounds;
    uint64_t first[MBI_OPEN_VECTORS];

    if (!o->n_roots || o->n_roots > MBI_OPEN_VECTORS)
        return "an opening has no vector or too many";
    for (size_t i = 0; i < o->n_roots; i++) {
        log_rows[i] = o->root[i].log_rows;
        if (log_rows[i] > MBI_MAX_BITS)
            return "the vectors of an opening are too long";
        if (!o->root[i].rows || o->root[i].rows > (uint64_t)1 << log_rows[i])
            return "a vector of an opening has no row in use or too many";
        if (o->code.masks && o->root[i].rows < 2)
            return "a hidden vector has a single row";
    }
    rounds = MBI_EXT(open_stack)(first, log_rows, o->n_roots);
    if (rounds + o->code.log_columns > MBI_MAX_BITS)
        return "the vectors of an opening are too long";
    if (o->code.masks && o->code.pads != 2 * MBI_EXT_D * rounds)
        return "an opening has other pads than for its rounds";
    return NULL;
}

/* known: its form is without a fault. formless: it may have none. */
static const char *claim_fault(const struct mbi_claim *c, const struct mbi_opening *o, bool known,
                               bool formless)
{
    const char *fault;

    if (c->vector >= o->n_roots)
        return "a claim names a vector that is not there";
    if (c->shift >= 64)
        return "a claim is of digits that are not there";
    if (!c->form && (!formless || !o->code.depth))
        return "a claim has no form";
    fault = known || !c->form ? NULL : MBI_EXT(form_fault)(c->form);
    if (!fault && mbi_claim_bits(c) > mbi_open_bits(o, c->vector))
        fault = "a form has more bits than its vector";
    if (!fault && c->block >> (mbi_open_bits(o, c->vector) - mbi_claim_bits(c)))
        fault = "a claim names a block that is not there";
    return fault;
}

const char *MBI_EXT(open_fault_of)(const struct mbi_opening *o, bool formless)
{
    const char *fault = MBI_EXT(code_fault)(&o->code);

    if (!fault)
        fault = root_fault(o);
    if (!fault && 64 * MBI_EXT_D - 1 < o->code.level + (unsigned)mbi_bitlen(o->n_claims))
        fault = "an opening has too many claims for its level";
    if (!fault && o->n_claims && o->claim[0].joined)
        fault = "the first claim is joined to none";
    for (size_t k = 0; k < o->n_claims && !fault; k++)
        fault =
            claim_fault(&o->claim[k], o, k && o->claim[k].form == o->claim[k - 1].form, formless);
    return fault;
}

const char *MBI_EXT(open_fault)(const struct mbi_opening *o)
{
    return MBI_EXT(open_fault_of)(o, false);
}

/* ---- the transcript ---- */

void MBI_EXT(open_stack_init)(struct mbi_open_stack *s, const struct mbi_opening *o)
{
    unsigned log_rows[MBI_OPEN_VECTORS];

    for (size_t i = 0; i < o->n_roots; i++)
        log_rows[i] = o->root[i].log_rows;
    s->rounds = MBI_EXT(open_stack)(s->first, log_rows, o->n_roots);
}

struct mbi_ext MBI_EXT(open_draw)(struct mbi_transcript *t)
{
    struct mbi_ext r;

    mbi_transcript_draw(r.c, MBI_EXT_D, t);
    return r;
}

static void absorb_words(struct mbi_transcript *t, const char *tag, const uint64_t *word, size_t n)
{
    uint8_t bytes[8 * 8];

    for (size_t i = 0; i < n; i++)
        mbi_store64(bytes + 8 * i, word[i]);
    mbi_transcript_absorb(t, tag, bytes, 8 * n);
}

static void absorb_code(struct mbi_transcript *t, const struct mbi_opening *o)
{
    const struct mbi_code *c = &o->code;
    const uint64_t code[] = {c->log_columns, c->log_length, c->queries,
                             c->work,        o->n_roots,    o->n_claims};

    absorb_words(t, "code", code, MBI_COUNT(code));
    for (unsigned i = 0; i < c->depth; i++) {
        const struct mbi_layer *a = &c->further[i];
        const uint64_t layer[] = {a->log_columns, a->log_length, a->queries, a->work};

        absorb_words(t, "layer", layer, MBI_COUNT(layer));
    }
    if (c->masks) {
        const uint64_t masks[] = {c->masks, c->pads};

        absorb_words(t, "masks", masks, MBI_COUNT(masks));
    }
}

#define FURTHER ((uint64_t)1 << 63) /* beside the vector of a term that begins no claim */

#define CLAIMS 64 /* that are hashed at a time */

/* Each claim, without its form, at once: there are many, and few bytes of each. */
static void absorb_claims(struct mbi_transcript *t, const struct mbi_opening *o)
{
    uint8_t bytes[CLAIMS * (16 + MBI_EXT_BYTES)];
    struct mbi_hash h;
    size_t size = 16 * o->n_claims, n = 0;

    for (size_t k = 0; k < o->n_claims; k++)
        size += o->claim[k].joined ? 0 : MBI_EXT_BYTES;
    mbi_transcript_absorb_begin(&h, t, "claims", size);
    for (size_t k = 0; k < o->n_claims; k++) {
        const bool joined = o->claim[k].joined;

        if (n + 16 + MBI_EXT_BYTES > sizeof(bytes)) {
            mbi_hash_add(&h, bytes, n);
            n = 0;
        }
        mbi_store64(bytes + n, o->claim[k].vector | (joined ? FURTHER : 0));
        mbi_store64(bytes + n + 8, o->claim[k].block);
        n += 16;
        if (!joined)
            MBI_EXT(ext_to_bytes)(bytes + n, &o->claim[k].value, 1);
        n += joined ? 0 : MBI_EXT_BYTES;
    }
    mbi_hash_add(&h, bytes, n);
    mbi_transcript_absorb_end(t, &h);
}

/* code and counts | each root | the claims; of a further term there is no value */
static void absorb_statement(struct mbi_transcript *t, const struct mbi_opening *o)
{
    uint8_t bytes[16 + sizeof(struct mbi_digest)];

    absorb_code(t, o);
    for (size_t i = 0; i < o->n_roots; i++) {
        mbi_store64(bytes, o->root[i].log_rows);
        mbi_store64(bytes + 8, o->root[i].rows);
        memcpy(bytes + 16, &o->root[i].digest, sizeof(struct mbi_digest));
        mbi_transcript_absorb(t, "vector", bytes, sizeof(bytes));
    }
    absorb_claims(t, o);
}

struct mbi_ext MBI_EXT(open_join)(struct mbi_ext *join, struct mbi_open_pads *pads,
                                  struct mbi_transcript *t, const struct mbi_opening *o,
                                  const struct mbi_open_stack *stack)
{
    struct mbi_ext sum = mbi_ext_from(0);

    absorb_statement(t, o);
    if (o->code.masks)
        MBI_EXT(open_pads_draw)(pads, t, o, stack);
    *join = MBI_EXT(open_draw)(t);
    for (size_t k = o->n_claims; k-- > 0;)
        if (!o->claim[k].joined)
            sum = mbi_ext_add(mbi_ext_mul(sum, *join), o->claim[k].value);
    return sum;
}

size_t MBI_EXT(open_positions)(uint32_t *position, const struct mbi_layer *layer,
                               struct mbi_transcript *t)
{
    mbi_transcript_draw_indices(position, layer->queries, t, layer->log_length);
    return mbi_sort_positions(position, layer->queries);
}

/* ---- sums ---- */

/* Sums of 2^32 products at most, reduced once. */
struct mbi_ext MBI_EXT(open_fold_base)(const mbi_fe *column, const struct mbi_ext *weight,
                                       size_t rows)
{
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};
    struct mbi_ext r;

    for (size_t i = 0; i < rows; i++)
        for (int k = 0; k < MBI_EXT_D; k++)
            mbi_fe_sum_add(&sum[k], weight[i].c[k], column[i]);
    for (int k = 0; k < MBI_EXT_D; k++)
        r.c[k] = mbi_fe_sum_value(&sum[k]);
    return r;
}

struct mbi_ext MBI_EXT(open_fold)(const mbi_fe *column, const struct mbi_ext *weight, size_t rows)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t i = 0; i < rows; i++) {
        struct mbi_ext entry;

        memcpy(entry.c, column + MBI_EXT_D * i, sizeof(entry.c));
        sum = mbi_ext_add(sum, mbi_ext_mul(entry, weight[i]));
    }
    return sum;
}

struct mbi_ext MBI_EXT(open_join_values)(struct mbi_ext claim, struct mbi_ext join,
                                         const struct mbi_ext *value, size_t n)
{
    struct mbi_ext sum = mbi_ext_from(0);

    for (size_t j = n; j-- > 0;)
        sum = mbi_ext_mul(mbi_ext_add(sum, value[j]), join);
    return mbi_ext_add(claim, sum);
}
#endif

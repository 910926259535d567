/* SPDX-License-Identifier: Apache-2.0 */
/* The claim that the weights under one root of a key are those under all others. */
#include "proof/roots.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* The order is normative. The statement's own value comes after it. */
static void draw_tau(struct mbi_ext *tau, const struct mbi_statement_models *m,
                     const struct mbi_digest *tree, const struct mbi_blur *b)
{
    uint8_t counts[12], version[16];
    struct mbi_transcript t;
    uint8_t names[MBI_DIGEST_SIZE];
    mbi_fe x[MBI_MAX_BITS * MBI_EXT_D];

    mbi_transcript_init(&t, "key");
    mbi_store64(version, 2);
    mbi_store64(version + 8, MBI_EXT_D);
    mbi_transcript_absorb(&t, "protocol", version, sizeof(version));
    mbi_statement_names_digest(names, m);
    mbi_transcript_absorb(&t, "models", names, sizeof(names));
    mbi_store32(counts, m->roots.n);
    mbi_store32(counts + 4, m->roots.openings);
    mbi_store32(counts + 8, b->bits);
    mbi_transcript_absorb(&t, "roots", counts, sizeof(counts));
    mbi_transcript_absorb(&t, "tree", tree, sizeof(*tree));
    mbi_transcript_draw(x, (size_t)b->bits * MBI_EXT_D, &t);
    for (unsigned k = 0; k < b->bits; k++)
        memcpy(tau[k].c, &x[k * MBI_EXT_D], sizeof(tau[k].c));
}

/* 2^(16 k) X^i, for entry 4 i + k. */
static void weigh_blur(struct mbi_root_claim *c, const struct mbi_blur *b)
{
    for (unsigned j = 0; j < b->entries; j++) {
        const unsigned i = j / MBI_BLUR_PARTS, k = j % MBI_BLUR_PARTS;

        c->entry[j] = (uint32_t)b->end + j; /* below 2^MBI_MAX_BITS */
        c->weight[j] = mbi_ext_from(0);
        c->weight[j].c[i] = (mbi_fe)1 << 16 * k;
    }
}

static struct mbi_form form_of(unsigned bits, struct mbi_form_factor f)
{
    return (struct mbi_form){.bits = bits, .scale = mbi_ext_from(1), .n_factors = 1, .factor = {f}};
}

void MBI_EXT(root_claim)(struct mbi_root_claim *out, const struct mbi_statement_models *m,
                         const struct mbi_digest *tree, const struct mbi_blur *b)
{
    const struct mbi_table weight = {MBI_TABLE_EXT, out->weight, b->entries};

    out->n_terms = 0;
    if (!b->entries)
        return;
    draw_tau(out->tau, m, tree, b);
    weigh_blur(out, b);
    out->n_terms = 2;
    out->value = mbi_ext_from(0);
    for (int i = 0; i < MBI_EXT_D && i < MBI_STATEMENT_DEGREE; i++)
        out->value.c[i] = m->roots.value[i];
    out->form[0] = form_of(b->bits, MBI_EXT(form_eq)(0, b->bits, b->end, out->tau));
    out->form[1] = form_of(b->bits, MBI_EXT(form_list)(0, b->bits, (uint64_t)1 << b->bits,
                                                       out->entry, b->entries, &weight, NULL,
                                                       (unsigned)mbi_bitlen(b->entries - 1)));
}

void MBI_EXT(root_claim_terms)(struct mbi_claim *out, const struct mbi_root_claim *c, size_t vector)
{
    for (size_t k = 0; k < c->n_terms; k++)
        out[k] = (struct mbi_claim){
            .vector = vector, .form = &c->form[k], .value = c->value, .joined = k > 0};
}

#define BLOCK ((size_t)1 << MBI_FORM_BLOCK_LOG)

struct mbi_ext MBI_EXT(root_value)(const struct mbi_root_claim *c, const struct mbi_blur *b,
                                   const struct mbi_table *vector)
{
    const unsigned log = b->bits < MBI_FORM_BLOCK_LOG ? b->bits : MBI_FORM_BLOCK_LOG;
    struct mbi_ext w[BLOCK], sum = mbi_ext_from(0);

    for (size_t k = 0; k < c->n_terms; k++)
        for (uint64_t at = k ? b->end >> log << log : 0; at < b->end + b->entries;
             at += (uint64_t)1 << log) {
            const size_t n = mbi_min_size((size_t)1 << log, vector->n - (size_t)at);

            MBI_EXT(form_block)(w, &c->form[k], at, log);
            sum = mbi_ext_add(sum, MBI_EXT(table_dot)(vector, (size_t)at, w, n));
        }
    return sum;
}
#endif

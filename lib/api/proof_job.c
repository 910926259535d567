/* SPDX-License-Identifier: Apache-2.0 */
/* What prover and verifier tell the protocol: memory, tokens, roots and links. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM

/* ---- memory ---- */

static void *watched(void *user, void *old, size_t size)
{
    struct mbi_watch *w = user;
    void *block = w->from->alloc(w->from->alloc_user, old, size);

    if (size && !block)
        atomic_store(&w->refused, true);
    return block;
}

void mbi_watch_begin(struct mbi_watch *w, const struct mbi_host *from)
{
    w->host = *from;
    w->host.alloc = watched;
    w->host.alloc_user = w;
    w->from = from;
    atomic_init(&w->refused, false);
}

/* ---- what is known ---- */

int32_t mbi_proof_ids(uint32_t **ids, const struct mbi_statement *s, const struct mbi_host *host,
                      mambaint_error *err)
{
    *ids = NULL;
    if (!mbi_statement_is_of_tokens(s))
        return MAMBAINT_OK;
    if (!(*ids = mbi_alloc(host, s->n_inputs, sizeof(**ids))))
        return mbi_fail_memory(err, "the tokens of a proof");
    for (size_t i = 0; i < s->n_inputs; i++)
        (*ids)[i] = mbi_statement_id(s, i);
    return MAMBAINT_OK;
}

void mbi_proof_know_roots(struct mbi_proof_job *job, struct mbi_claim term[2],
                          const struct mbi_root_claim *claim, const struct mbi_proof_models *m)
{
    job->weights_end = m->blur.end + m->blur.entries;
    job->weights_bits = m->blur.bits;
    MBI_EXT(root_claim_terms)(term, claim, 1);
    job->claim = term;
    job->n_claims = claim->n_terms;
}

static void get_link(struct mbi_link *out, const uint8_t *link)
{
    for (int i = 0; i < MBI_SIDES; i++)
        memcpy(&out->name[i], link + (size_t)i * sizeof(out->name[0]), sizeof(out->name[0]));
    for (size_t i = 0; i < MBI_EXT_D; i++)
        out->value.c[i] = mbi_load64(link + sizeof(out->name) + 8 * i);
}

void mbi_proof_say_boundaries(struct mbi_proof_job *job, struct mbi_buf *bare,
                              enum mbi_proof_type type, bool public_weights,
                              const struct mbi_statement *s)
{
    const bool hidden = mbi_statement_is_hidden(&s->models);

    for (int side = 0; side < MBI_SIDES; side++)
        if (s->boundary[side] && hidden)
            get_link(&job->link[side], s->boundary[side]);
        else if (s->boundary[side])
            memcpy(job->boundary[side].byte, s->boundary[side], MBI_DIGEST_SIZE);
    if (!hidden || (!s->boundary[MBI_BEFORE] && !s->boundary[MBI_BEHIND]))
        return;
    mbi_proof_file_bare(bare, type, public_weights, s);
    job->bare = bare->data;
    job->bare_size = bare->size;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading a proof: what is written or read is absorbed in the same call. */
#include "proof/stream.h"
#if MBI_HAVE_SODIUM
#include <assert.h>

#define ELEMENT 8 /* bytes */

/* ---- the prover ---- */

void mbi_proof_writer_init(struct mbi_proof_writer *w, const struct mbi_host *host,
                           const char *type)
{
    mbi_transcript_init(&w->transcript, type);
    mbi_buf_init(&w->bytes, host);
    w->pads = NULL;
}

void mbi_proof_writer_free(struct mbi_proof_writer *w) { mbi_buf_free(&w->bytes); }

/* Absorb what was written last; after a refused allocation there is no proof to agree with. */
static void absorb_last(struct mbi_proof_writer *w, const char *tag, size_t n)
{
    if (!w->bytes.failed)
        mbi_transcript_absorb(&w->transcript, tag, n ? w->bytes.data + w->bytes.size - n : NULL, n);
}

void mbi_put_elements(struct mbi_proof_writer *w, const char *tag, const mbi_fe *x, size_t n)
{
    if (n > SIZE_MAX / ELEMENT || !mbi_buf_reserve(&w->bytes, n * ELEMENT)) {
        w->bytes.failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        assert(x[i] < MBI_FIELD_P);
        mbi_buf_add64(&w->bytes, x[i]);
    }
    absorb_last(w, tag, n * ELEMENT);
}

void mbi_put_bytes(struct mbi_proof_writer *w, const char *tag, const void *data, size_t n)
{
    mbi_buf_add(&w->bytes, data, n);
    absorb_last(w, tag, n);
}

void mbi_put_work(struct mbi_proof_writer *w, unsigned bits)
{
    uint8_t seed[MBI_SEED_SIZE];

    if (!bits || w->bytes.failed)
        return;
    mbi_transcript_draw_seed(seed, &w->transcript);
    mbi_buf_add64(&w->bytes, mbi_work_find(w->bytes.host, seed, bits));
    absorb_last(w, "nonce", 8);
}

/* ---- the verifier ---- */

void mbi_proof_reader_init(struct mbi_proof_reader *r, const void *data, size_t n, const char *type)
{
    static const uint8_t nothing[1] = {0};

    mbi_transcript_init(&r->transcript, type);
    r->bytes = (struct mbi_reader){.data = n ? data : nothing, .size = n};
    r->fault = NULL;
}

void mbi_proof_reader_over(struct mbi_proof_reader *r, const struct mbi_transcript *transcript,
                           const struct mbi_proof_writer *w, size_t from)
{
    const bool there = !w->bytes.failed && from < w->bytes.size;

    mbi_proof_reader_init(r, there ? w->bytes.data + from : NULL, there ? w->bytes.size - from : 0,
                          "over");
    r->transcript = *transcript;
}

void mbi_refuse(struct mbi_proof_reader *r, const char *fault)
{
    if (!r->fault)
        r->fault = fault;
}

const uint8_t *mbi_get_view(size_t n, struct mbi_proof_reader *r, const char *tag)
{
    const uint8_t *p = r->fault ? NULL : mbi_read_bytes(&r->bytes, n);

    if (p)
        mbi_transcript_absorb(&r->transcript, tag, p, n);
    else
        mbi_refuse(r, "the proof ends too early");
    return p;
}

void mbi_get_bytes(void *out, size_t n, struct mbi_proof_reader *r, const char *tag)
{
    const uint8_t *p = mbi_get_view(n, r, tag);

    if (p && n)
        memcpy(out, p, n);
    else if (n)
        memset(out, 0, n);
}

void mbi_get_elements(mbi_fe *x, size_t n, struct mbi_proof_reader *r, const char *tag)
{
    const size_t size = n <= SIZE_MAX / ELEMENT ? n * ELEMENT : SIZE_MAX; /* which nobody has */
    const uint8_t *p = mbi_get_view(size, r, tag);
    bool canonical = true;

    for (size_t i = 0; p && i < n; i++) {
        x[i] = mbi_load64(p + i * ELEMENT);
        canonical &= x[i] < MBI_FIELD_P;
    }
    if (!canonical)
        mbi_refuse(r, "a number of the proof is not below the field's prime");
    for (size_t i = 0; r->fault && i < n; i++)
        x[i] = 0;
}

void mbi_get_work(struct mbi_proof_reader *r, unsigned bits)
{
    uint8_t seed[MBI_SEED_SIZE];
    const uint8_t *nonce;

    if (!bits)
        return;
    mbi_transcript_draw_seed(seed, &r->transcript);
    nonce = mbi_get_view(8, r, "nonce");
    if (nonce && !mbi_work_holds(seed, mbi_load64(nonce), bits))
        mbi_refuse(r, "the nonce does not show the work that is asked for");
}

void mbi_get_end(struct mbi_proof_reader *r)
{
    if (mbi_read_left(&r->bytes))
        mbi_refuse(r, "there are bytes after the end of the proof");
}
#endif

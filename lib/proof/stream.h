/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a proof. The prover writes values and the verifier reads them, both through the
 * same transcript, and there is no other way to write or to get one: so nothing of a proof is left
 * out of the challenges that come after it. Needs MBI_HAVE_SODIUM.         proof.md, transcript
 */
#ifndef MBI_PROOF_STREAM_H
#define MBI_PROOF_STREAM_H

#include "base/bytes.h"
#include "proof/field.h"
#include "proof/hash.h"
#include <stdbool.h>

/* ---- the transcript ---- */

/* A chain of BLAKE2b-512: every absorb and every draw replaces the state. */
struct mbi_transcript {
    uint8_t state[64];
};

#define MBI_TAG_MAX 15   /* bytes of a tag: more is a mistake of ours */
#define MBI_WORK_MAX 40u /* bits of a proof of work */
#define MBI_SEED_SIZE 32

/* `type`: what kind of proof this is, such as "wit", "cert" or "chain". */
void mbi_transcript_init(struct mbi_transcript *t, const char *type);
/* What both sides know already; tags and lengths are absorbed too. */
void mbi_transcript_absorb(struct mbi_transcript *t, const char *tag, const void *data, size_t n);
/* The same of n bytes in pieces: mbi_hash_add() adds them to what begins here. */
void mbi_transcript_absorb_begin(struct mbi_hash *h, const struct mbi_transcript *t,
                                 const char *tag, size_t n);
void mbi_transcript_absorb_end(struct mbi_transcript *t, struct mbi_hash *h);
/* n uniform elements of F (16 bytes each, reduced). One of E is its coordinates in order. */
void mbi_transcript_draw(mbi_fe *out, size_t n, struct mbi_transcript *t);
/* n independent uniform integers below 2^bits, bits <= 32; some may be equal. */
void mbi_transcript_draw_indices(uint32_t *out, size_t n, struct mbi_transcript *t, unsigned bits);
/* A uniform integer below 2^bits, bits <= 32. */
uint32_t mbi_transcript_draw_bits(struct mbi_transcript *t, unsigned bits);
/* What a proof of work is about. */
void mbi_transcript_draw_seed(uint8_t seed[MBI_SEED_SIZE], struct mbi_transcript *t);

/*
 * Query positions from drawn indices: ascending, each once; returns how many are left. They are
 * drawn with repetition because the bound on t independent queries is the one that was proved.
 */
size_t mbi_sort_positions(uint32_t *x, size_t n);

/* The hash of seed and nonce has `bits` zeros at its low end. */
bool mbi_work_holds(const uint8_t seed[MBI_SEED_SIZE], uint64_t nonce, unsigned bits);
/* The smallest such nonce, for any number of threads; 2^bits trials on average. */
uint64_t mbi_work_find(const struct mbi_host *host, const uint8_t seed[MBI_SEED_SIZE],
                       unsigned bits);

/* ---- the prover's end ---- */

struct mbi_pads;

struct mbi_proof_writer {
    struct mbi_transcript transcript;
    struct mbi_buf bytes;  /* .failed after a refused allocation */
    struct mbi_pads *pads; /* of a proof that hides what it sends (proof/pads.h); or NULL */
};

void mbi_proof_writer_init(struct mbi_proof_writer *w, const struct mbi_host *host,
                           const char *type);
void mbi_proof_writer_free(struct mbi_proof_writer *w);

/* Canonical elements, 8 bytes each. */
void mbi_put_elements(struct mbi_proof_writer *w, const char *tag, const mbi_fe *x, size_t n);
void mbi_put_bytes(struct mbi_proof_writer *w, const char *tag, const void *data, size_t n);
/* Does work of `bits` bits (0: none, and nothing is written) and writes its nonce. */
void mbi_put_work(struct mbi_proof_writer *w, unsigned bits);

/* ---- the verifier's end ---- */

/* Over bytes that may be hostile. The first fault stays in `fault`; reads after it give zeros, so
 * that a verifier looks once after each part. */
struct mbi_proof_reader {
    struct mbi_transcript transcript;
    struct mbi_reader bytes;
    const char *fault; /* NULL, or what is wrong, as a part of a sentence */
};

/* The reader keeps `data`; NULL is fine for no bytes. */
void mbi_proof_reader_init(struct mbi_proof_reader *r, const void *data, size_t n,
                           const char *type);
/* Over the bytes of a writer from `from` on, where it had this transcript. */
void mbi_proof_reader_over(struct mbi_proof_reader *r, const struct mbi_transcript *transcript,
                           const struct mbi_proof_writer *w, size_t from);
/* A fault that the caller found; an earlier one stays. */
void mbi_refuse(struct mbi_proof_reader *r, const char *fault);

/* Elements below p; others are a fault. */
void mbi_get_elements(mbi_fe *x, size_t n, struct mbi_proof_reader *r, const char *tag);
void mbi_get_bytes(void *out, size_t n, struct mbi_proof_reader *r, const char *tag);
/* The same bytes where they lie; NULL after a fault. */
const uint8_t *mbi_get_view(size_t n, struct mbi_proof_reader *r, const char *tag);
/* The nonce of work of `bits` bits (0: none). Another that holds as well is accepted. */
void mbi_get_work(struct mbi_proof_reader *r, unsigned bits);
/* Nothing may be left. */
void mbi_get_end(struct mbi_proof_reader *r);

#endif

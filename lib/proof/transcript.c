/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of hashes that challenges come from, and the work that a prover does for them. */
#include "proof/stream.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"
#include "proof/hash.h"
#include <assert.h>
#include <stdatomic.h>

/* ---- the chain ---- */

#define BLOCK 64
#define WORDS 16 /* of a block of the hash */

/* The last byte of a label. It keeps draws, ratchets and absorbs apart whatever their tags are. */
enum kind { ABSORB, DRAW, RATCHET };

/* state | tag and zeros, 15 bytes | kind | u64 n; the caller may add data. */
static void begin(struct mbi_hash *h, const struct mbi_transcript *t, const char *tag,
                  enum kind kind, uint64_t n)
{
    uint8_t label[MBI_TAG_MAX + 1 + 8] = {0};
    const size_t length = strlen(tag);

    assert(length > 0 && length <= MBI_TAG_MAX);
    memcpy(label, tag, mbi_min_size(length, MBI_TAG_MAX));
    label[MBI_TAG_MAX] = (uint8_t)kind;
    mbi_store64(label + MBI_TAG_MAX + 1, n);
    mbi_hash_init(h, MBI_HASH_TRANSCRIPT, NULL);
    mbi_hash_add(h, t->state, sizeof(t->state));
    mbi_hash_add(h, label, sizeof(label));
}

void mbi_transcript_init(struct mbi_transcript *t, const char *type)
{
    memset(t, 0, sizeof(*t));
    mbi_transcript_absorb(t, "type", type, strlen(type));
}

void mbi_transcript_absorb_begin(struct mbi_hash *h, const struct mbi_transcript *t,
                                 const char *tag, size_t n)
{
    begin(h, t, tag, ABSORB, n);
}

void mbi_transcript_absorb_end(struct mbi_transcript *t, struct mbi_hash *h)
{
    mbi_hash_end(h, t->state);
}

void mbi_transcript_absorb(struct mbi_transcript *t, const char *tag, const void *data, size_t n)
{
    struct mbi_hash h;

    mbi_transcript_absorb_begin(&h, t, tag, n);
    mbi_hash_add(&h, data, n);
    mbi_transcript_absorb_end(t, &h);
}

/* Block number i of what one draw takes. */
static void draw_block(uint8_t out[BLOCK], const struct mbi_transcript *t, const char *tag,
                       uint64_t i)
{
    struct mbi_hash h;

    begin(&h, t, tag, DRAW, i);
    mbi_hash_end(&h, out);
}

/* The end of a draw of n values: the same state never gives challenges twice. */
static void ratchet(struct mbi_transcript *t, const char *tag, uint64_t n)
{
    struct mbi_hash h;

    begin(&h, t, tag, RATCHET, n);
    mbi_hash_end(&h, t->state);
}

void mbi_transcript_draw(mbi_fe *out, size_t n, struct mbi_transcript *t)
{
    uint8_t block[BLOCK] = {0};

    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = block + i % 4 * 16;

        if (i % 4 == 0)
            draw_block(block, t, "chal", i / 4);
        out[i] = mbi_fe_reduce(mbi_load64(p + 8), mbi_load64(p));
    }
    ratchet(t, "chal", n);
}

void mbi_transcript_draw_indices(uint32_t *out, size_t n, struct mbi_transcript *t, unsigned bits)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << (bits & 63)) - 1);
    uint8_t block[BLOCK] = {0};

    assert(bits <= 32);
    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0)
            draw_block(block, t, "bits", i / 16);
        out[i] = mbi_load32(block + i % 16 * 4) & mask;
    }
    ratchet(t, "bits", n);
}

uint32_t mbi_transcript_draw_bits(struct mbi_transcript *t, unsigned bits)
{
    uint32_t x;

    mbi_transcript_draw_indices(&x, 1, t, bits);
    return x;
}

void mbi_transcript_draw_seed(uint8_t seed[MBI_SEED_SIZE], struct mbi_transcript *t)
{
    uint8_t block[BLOCK];

    draw_block(block, t, "seed", 0);
    memcpy(seed, block, MBI_SEED_SIZE);
    ratchet(t, "seed", 1);
}

/* By insertion: there are a few hundred at most. */
size_t mbi_sort_positions(uint32_t *x, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t v = x[i];
        size_t at = kept;

        while (at > 0 && x[at - 1] > v)
            at--;
        if (at > 0 && x[at - 1] == v)
            continue;
        memmove(x + at + 1, x + at, (kept - at) * sizeof(*x)); /* kept <= i */
        x[at] = v;
        kept++;
    }
    return kept;
}

/* ---- work ---- */

bool mbi_work_holds(const uint8_t seed[MBI_SEED_SIZE], uint64_t nonce, unsigned bits)
{
    uint8_t text[MBI_SEED_SIZE + 8];
    struct mbi_digest digest;

    assert(bits <= MBI_WORK_MAX);
    memcpy(text, seed, MBI_SEED_SIZE);
    mbi_store64(text + MBI_SEED_SIZE, nonce);
    mbi_hash_grind(&digest, text, sizeof(text));
    return !(mbi_load64(digest.byte) & ((UINT64_C(1) << bits) - 1));
}

/* Which of eight nonces from `nonce` on hold: bits of the lanes. */
static unsigned eight_hold(const struct mbi_field_kernels *k, const uint8_t seed[MBI_SEED_SIZE],
                           uint64_t nonce, unsigned bits)
{
    uint64_t m[WORDS][MBI_HASH_LANES] = {{0}};
    const uint64_t *word[WORDS];
    struct mbi_hash_lanes h;
    unsigned holding = 0;

    for (size_t l = 0; l < MBI_HASH_LANES; l++) {
        for (size_t i = 0; i < MBI_SEED_SIZE / 8; i++)
            m[i][l] = mbi_load64(seed + 8 * i);
        m[MBI_SEED_SIZE / 8][l] = nonce + l;
    }
    for (size_t i = 0; i < WORDS; i++)
        word[i] = m[i];
    mbi_hash_lanes_init(&h, MBI_HASH_GRIND, NULL);
    k->hash_block(*h.h, word, MBI_SEED_SIZE + 8, true);
    for (size_t l = 0; l < MBI_HASH_LANES; l++)
        holding |= (unsigned)!(h.h[0][l] & ((UINT64_C(1) << bits) - 1)) << l;
    return holding;
}

#define TRIALS ((size_t)1 << 12) /* at a time */
#define TRIALS_GRAIN 64

struct search {
    const uint8_t *seed;
    uint64_t base;
    unsigned bits;
    atomic_size_t found; /* the smallest of this round that holds, or TRIALS */
};

/* Of the nonces begin .. end - 1, or TRIALS if none does or a smaller one was found elsewhere. */
static size_t first_that_holds(const struct search *s, size_t begin, size_t end)
{
    const struct mbi_field_kernels *k = mbi_field_kernels_best();
    const size_t step = k->hash_block ? MBI_HASH_LANES : 1;

    for (size_t i = begin; i < end && i < atomic_load_explicit(&s->found, memory_order_relaxed);
         i += step) {
        unsigned holding = step > 1 ? eight_hold(k, s->seed, s->base + i, s->bits)
                                    : mbi_work_holds(s->seed, s->base + i, s->bits);

        for (size_t found = i; holding; found++, holding >>= 1)
            if (holding & 1)
                return found;
    }
    return TRIALS;
}

static void try_nonces(void *arg, size_t begin, size_t end)
{
    struct search *s = arg;
    size_t best = first_that_holds(s, begin, end);

    for (size_t old = atomic_load(&s->found); best < old;)
        if (atomic_compare_exchange_weak(&s->found, &old, best))
            break;
}

/* A round is looked at whole, up to the smallest that holds: the answer is that of one thread. */
uint64_t mbi_work_find(const struct mbi_host *host, const uint8_t seed[MBI_SEED_SIZE],
                       unsigned bits)
{
    struct search s = {.seed = seed, .bits = bits};

    for (;; s.base += TRIALS) {
        atomic_init(&s.found, TRIALS);
        mbi_parallel_for(host, TRIALS, TRIALS_GRAIN, try_nonces, &s);
        if (atomic_load(&s.found) < TRIALS)
            return s.base + atomic_load(&s.found);
    }
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b (RFC 7693) without a key and with a 32-byte result. */
#include "base/blake2b.h"
#include "base/blake2b_tables.h"
#include "base/bytes.h"

#define BLOCK 128

static inline uint64_t rotate(uint64_t x, int n) { return x >> n | x << (64 - n); }

static inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

static void compress(struct mbi_blake2b *s, const uint8_t *block, uint64_t last)
{
    uint64_t m[16], v[16];

    for (int i = 0; i < 16; i++)
        m[i] = mbi_load64(block + 8 * i);
    for (int i = 0; i < 8; i++) {
        v[i] = s->h[i];
        v[i + 8] = mbi_blake2b_iv[i];
    }
    v[12] ^= s->count; /* the counter's high word is zero: inputs are below 2^64 bytes */
    v[14] ^= last;

    for (int r = 0; r < 12; r++)
        MBI_BLAKE2B_ROUND(mix, v, m, mbi_blake2b_order[r]);
    for (int i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[i + 8];
}

void mbi_blake2b_init(struct mbi_blake2b *s)
{
    memset(s, 0, sizeof(*s));
    memcpy(s->h, mbi_blake2b_iv, sizeof(mbi_blake2b_iv));
    s->h[0] ^= 0x01010000 ^ MBI_DIGEST_SIZE; /* fan-out 1, depth 1, no key */
}

/* A full block is kept until more bytes come, because the last block is compressed differently. */
void mbi_blake2b_add(struct mbi_blake2b *s, const void *data, size_t n)
{
    const uint8_t *p = data;

    while (n) {
        size_t take = BLOCK - s->used;

        if (!take) {
            s->count += BLOCK;
            compress(s, s->block, 0);
            s->used = 0;
            for (; n > BLOCK; n -= BLOCK, p += BLOCK) {
                s->count += BLOCK;
                compress(s, p, 0);
            }
            take = BLOCK;
        }
        if (take > n)
            take = n;
        memcpy(s->block + s->used, p, take);
        s->used += take;
        p += take;
        n -= take;
    }
}

void mbi_blake2b_end(struct mbi_blake2b *s, uint8_t out[MBI_DIGEST_SIZE])
{
    s->count += s->used;
    memset(s->block + s->used, 0, BLOCK - s->used);
    compress(s, s->block, UINT64_MAX);
    for (int i = 0; i < MBI_DIGEST_SIZE / 8; i++)
        mbi_store64(out + 8 * i, s->h[i]);
}

void mbi_blake2b(uint8_t out[MBI_DIGEST_SIZE], const void *data, size_t n)
{
    struct mbi_blake2b s;

    mbi_blake2b_init(&s);
    mbi_blake2b_add(&s, data, n);
    mbi_blake2b_end(&s, out);
}

void mbi_blake2b_add_field(struct mbi_blake2b *s, const void *data, size_t n)
{
    uint8_t length[8];

    mbi_store64(length, n);
    mbi_blake2b_add(s, length, sizeof(length));
    mbi_blake2b_add(s, data, n);
}

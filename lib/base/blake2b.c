/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b (RFC 7693) without a key and with a 32-byte result. */
#include "base/blake2b.h"
#include "base/bytes.h"

#define BLOCK 128

static const uint64_t iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Order of the message words in each round; rounds 10 and 11 repeat rounds 0 and 1. */
static const uint8_t sigma[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

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
        v[i + 8] = iv[i];
    }
    v[12] ^= s->count; /* the counter's high word is zero: inputs are below 2^64 bytes */
    v[14] ^= last;

    for (int r = 0; r < 12; r++) {
        const uint8_t *p = sigma[r];

        mix(v, 0, 4, 8, 12, m[p[0]], m[p[1]]);
        mix(v, 1, 5, 9, 13, m[p[2]], m[p[3]]);
        mix(v, 2, 6, 10, 14, m[p[4]], m[p[5]]);
        mix(v, 3, 7, 11, 15, m[p[6]], m[p[7]]);
        mix(v, 0, 5, 10, 15, m[p[8]], m[p[9]]);
        mix(v, 1, 6, 11, 12, m[p[10]], m[p[11]]);
        mix(v, 2, 7, 8, 13, m[p[12]], m[p[13]]);
        mix(v, 3, 4, 9, 14, m[p[14]], m[p[15]]);
    }
    for (int i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[i + 8];
}

void mbi_blake2b_init(struct mbi_blake2b *s)
{
    memset(s, 0, sizeof(*s));
    memcpy(s->h, iv, sizeof(iv));
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

/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b of libsodium under the personal strings of the proofs. */
#include "proof/hash.h"
#include "base/blake2b_tables.h"
#include "base/bytes.h"
#if MBI_HAVE_SODIUM
#include <sodium.h>

/* Sixteen bytes each, zeros behind the text. */
static const uint8_t personal[][crypto_generichash_blake2b_PERSONALBYTES] = {
    [MBI_HASH_LEAF] = "MIPF leaf",
    [MBI_HASH_NODE] = "MIPF node",
    [MBI_HASH_TRANSCRIPT] = "MIPF transcript",
    [MBI_HASH_GRIND] = "MIPF grind",
    [MBI_HASH_MASK] = "MIPF mask",
    [MBI_HASH_PLAIN] = "",
};

_Static_assert(crypto_generichash_blake2b_SALTBYTES == MBI_SALT_SIZE, "the size of a salt");
_Static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof(((struct mbi_hash *)0)->state),
               "libsodium's state fits");
_Static_assert(_Alignof(crypto_generichash_blake2b_state) <= 64, "libsodium's state is aligned");

int32_t mbi_hash_setup(mambaint_error *err)
{
    if (sodium_init() < 0) /* 1: it was ready */
        return mbi_fail(err, MAMBAINT_E_INTERNAL,
                        "libsodium does not start, so no proof can be made or checked; is the "
                        "system's random generator available?");
    return MAMBAINT_OK;
}

/* The calls below fail for sizes out of range only, and these are constants within it. */

void mbi_hash_init(struct mbi_hash *h, enum mbi_hash_domain domain, const uint8_t *salt)
{
    h->size =
        domain == MBI_HASH_TRANSCRIPT || domain == MBI_HASH_MASK ? 64 : sizeof(struct mbi_digest);
    (void)crypto_generichash_blake2b_init_salt_personal((void *)h->state, NULL, 0, h->size, salt,
                                                        personal[domain]);
}

void mbi_hash_add(struct mbi_hash *h, const void *data, size_t n)
{
    if (n)
        (void)crypto_generichash_blake2b_update((void *)h->state, data, n);
}

void mbi_hash_end(struct mbi_hash *h, uint8_t *out)
{
    (void)crypto_generichash_blake2b_final((void *)h->state, out, h->size);
}

void mbi_hash_lanes_init(struct mbi_hash_lanes *h, enum mbi_hash_domain domain, const uint8_t *salt)
{
    for (int i = 0; i < 8; i++)
        for (size_t l = 0; l < MBI_HASH_LANES; l++)
            h->h[i][l] = mbi_blake2b_iv[i];
    for (size_t l = 0; l < MBI_HASH_LANES; l++) {
        h->h[0][l] ^= 0x01010000 ^ sizeof(struct mbi_digest); /* fan-out 1, depth 1, no key */
        for (size_t i = 0; i < 2; i++) {
            h->h[4 + i][l] ^= salt ? mbi_load64(salt + l * MBI_SALT_SIZE + 8 * i) : 0;
            h->h[6 + i][l] ^= mbi_load64(personal[domain] + 8 * i);
        }
    }
}

void mbi_hash_lanes_end(const struct mbi_hash_lanes *h, struct mbi_digest out[MBI_HASH_LANES])
{
    for (size_t l = 0; l < MBI_HASH_LANES; l++)
        for (size_t i = 0; i < sizeof(*out) / 8; i++)
            mbi_store64(out[l].byte + 8 * i, h->h[i][l]);
}

void mbi_hash_plain(uint8_t out[32], const void *data, size_t n)
{
    struct mbi_hash h;

    mbi_hash_init(&h, MBI_HASH_PLAIN, NULL);
    mbi_hash_add(&h, data, n);
    mbi_hash_end(&h, out);
}

static void hash(struct mbi_digest *out, enum mbi_hash_domain domain, const void *data, size_t n,
                 const uint8_t *salt)
{
    (void)crypto_generichash_blake2b_salt_personal(out->byte, sizeof(out->byte), data, n, NULL, 0,
                                                   salt, personal[domain]);
}

void mbi_hash_leaf(struct mbi_digest *out, const void *data, size_t n, const uint8_t *salt)
{
    hash(out, MBI_HASH_LEAF, data, n, salt);
}

void mbi_hash_node(struct mbi_digest *out, const struct mbi_digest pair[2])
{
    hash(out, MBI_HASH_NODE, pair, 2 * sizeof(*pair), NULL);
}

void mbi_hash_grind(struct mbi_digest *out, const void *data, size_t n)
{
    hash(out, MBI_HASH_GRIND, data, n, NULL);
}
#endif

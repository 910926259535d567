/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of hidden proofs, and what they expand to. */
#include "proof/masks.h"
#include "base/bytes.h"
#if MBI_HAVE_SODIUM
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 64 /* bytes of a hash */

int32_t mbi_mask_seed_draw(struct mbi_mask_seed *seed, mambaint_error *err)
{
    if (getentropy(seed->byte, sizeof(seed->byte)))
        return mbi_fail(err, MAMBAINT_E_IO,
                        "the system gives no random bytes (%s), so nothing can be hidden: prove "
                        "with zk=off, or on another system",
                        strerror(errno));
    return MAMBAINT_OK;
}

/* The words of one block that are below p; returns how many. */
static size_t draw_block(mbi_fe out[BLOCK / 8], const struct mbi_mask_seed *seed,
                         enum mbi_mask_use use, uint64_t number, uint64_t block)
{
    uint8_t name[20], bytes[BLOCK];
    struct mbi_hash h;
    size_t n = 0;

    mbi_store32(name, (uint32_t)use);
    mbi_store64(name + 4, number);
    mbi_store64(name + 12, block);
    mbi_hash_init(&h, MBI_HASH_MASK, NULL);
    mbi_hash_add(&h, seed->byte, sizeof(seed->byte));
    mbi_hash_add(&h, name, sizeof(name));
    mbi_hash_end(&h, bytes);
    for (size_t i = 0; i < BLOCK / 8; i++) {
        out[n] = mbi_load64(bytes + 8 * i);
        n += out[n] < MBI_FIELD_P;
    }
    explicit_bzero(&h, sizeof(h));
    explicit_bzero(bytes, sizeof(bytes));
    return n;
}

void mbi_mask_fill(mbi_fe *out, size_t n, const struct mbi_mask_seed *seed, enum mbi_mask_use use,
                   uint64_t number)
{
    mbi_fe word[BLOCK / 8 + 1]; /* one is written behind the last that counts */

    for (uint64_t block = 0; n; block++) {
        size_t k = draw_block(word, seed, use, number, block);

        k = k < n ? k : n;
        memcpy(out, word, k * sizeof(*out));
        out += k;
        n -= k;
    }
    explicit_bzero(word, sizeof(word));
}

void mbi_mask_seed_of(struct mbi_mask_seed *out, const struct mbi_mask_seed *seed, uint64_t number)
{
    mbi_fe word[sizeof(out->byte) / 8];

    mbi_mask_fill(word, sizeof(word) / sizeof(*word), seed, MBI_MASK_SEED, number);
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        mbi_store64(out->byte + 8 * i, word[i]);
    explicit_bzero(word, sizeof(word));
}

void mbi_mask_seed_forget(struct mbi_mask_seed *seed)
{
    explicit_bzero(seed->byte, sizeof(seed->byte));
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a key's roots, and what makes their common value say nothing. */
#include "proof/roots.h"
#if MBI_HAVE_SODIUM
#include "base/intmath.h"

/* ---- the tree ---- */

/* No column of four rows is a leaf of this tree. */
static const uint8_t salt[MBI_SALT_SIZE] = "roots";

void mbi_roots_tree(struct mbi_digest *tree, const struct mbi_digest *root, uint32_t n)
{
    const struct mbi_digest *from = tree;
    struct mbi_digest *to = tree + n;

    for (uint32_t i = 0; i < n; i++)
        mbi_hash_leaf(&tree[i], &root[i], sizeof(*root), salt);
    for (; n > 1; n /= 2)
        for (uint32_t i = 0; i < n / 2; i++, from += 2)
            mbi_hash_node(to++, from);
}

static unsigned log_of(uint32_t n) { return (unsigned)mbi_bitlen(n) - 1; }

size_t mbi_root_size(uint32_t n) { return 4 + sizeof(struct mbi_digest) * (1 + log_of(n)); }

#define MOST (4 + 32 * 13) /* of 2^12 roots */

void mbi_put_root(struct mbi_proof_writer *w, const struct mbi_digest *root,
                  const struct mbi_digest *tree, uint32_t n, uint32_t number)
{
    uint8_t bytes[MOST], *p = bytes + 4;
    uint32_t at = number;

    mbi_store32(bytes, number);
    memcpy(p, root, sizeof(*root));
    p += sizeof(*root);
    for (uint32_t left = n; left > 1; left /= 2, at /= 2, p += sizeof(*tree)) {
        memcpy(p, &tree[at ^ 1], sizeof(*tree));
        tree += left;
    }
    mbi_put_bytes(w, "key", bytes, (size_t)(p - bytes));
}

/* The root of the tree in which leaf `at` of n has this digest and this path. */
static void climb(struct mbi_digest *node, const uint8_t *path, uint32_t n, uint32_t at)
{
    for (; n > 1; n /= 2, at /= 2, path += sizeof(*node)) {
        struct mbi_digest pair[2];

        pair[at & 1] = *node;
        memcpy(&pair[~at & 1], path, sizeof(*pair));
        mbi_hash_node(node, pair);
    }
}

bool mbi_get_root(struct mbi_root_part *out, const struct mbi_statement_models *m,
                  enum mbi_proof_type type, struct mbi_proof_reader *r)
{
    const uint32_t n = m->roots.n;
    const uint8_t *p = mbi_get_view(mbi_root_size(n), r, "key");
    uint8_t digest[MBI_DIGEST_SIZE];

    if (!p)
        return false;
    out->number = mbi_load32(p);
    if (out->number >= n || (out->number && type == MBI_PROOF_CERTIFICATE)) {
        mbi_refuse(r, "the number of its root is not one that the key has for it");
        return false;
    }
    memcpy(&out->root, p + 4, sizeof(out->root));
    mbi_hash_leaf(&out->tree, &out->root, sizeof(out->root), salt);
    climb(&out->tree, p + 4 + sizeof(out->root), n, out->number);
    mbi_statement_hidden_digest(digest, &m->roots, out->tree.byte);
    if (memcmp(digest, m->weights, sizeof(digest)) != 0)
        mbi_refuse(r, "the root of its weights is none of those that the key stands for");
    return !r->fault;
}

/* ---- what all roots have in common ---- */

struct mbi_blur mbi_blur_of(uint64_t end, unsigned weight_bits, uint32_t n_roots, unsigned degree)
{
    struct mbi_blur b = {.end = end, .bits = weight_bits};
    unsigned bits;

    if (n_roots < 2)
        return b;
    b.entries = MBI_BLUR_PARTS * degree;
    bits = (unsigned)mbi_bitlen(end + b.entries - 1);
    b.bits = bits > weight_bits ? bits : weight_bits;
    return b;
}

void mbi_mask_seed_mix(struct mbi_mask_seed *seed, const struct mbi_mask_seed *key, uint64_t unit,
                       const void *data, size_t n)
{
    static const char domain[] = "mambaint-proof-seed";
    struct mbi_blake2b h;
    uint8_t number[8];

    mbi_store64(number, unit);
    mbi_blake2b_init(&h);
    mbi_blake2b_add(&h, domain, sizeof(domain) - 1);
    mbi_blake2b_add(&h, seed->byte, sizeof(seed->byte));
    mbi_blake2b_add(&h, key->byte, sizeof(key->byte));
    mbi_blake2b_add(&h, number, sizeof(number));
    mbi_blake2b_add(&h, data, n);
    mbi_blake2b_end(&h, seed->byte);
    explicit_bzero(&h, sizeof(h));
}

/* A coordinate u < p has the digits u_k of 16 bits; u less a constant is uniform, as u is. */
void mbi_blur_fill(int16_t *entry, const struct mbi_blur *b, const struct mbi_mask_seed *seed)
{
    mbi_fe u[4];
    const unsigned n = b->entries / MBI_BLUR_PARTS;

    mbi_mask_fill(u, n, seed, MBI_MASK_BLUR, 0);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < MBI_BLUR_PARTS; k++)
            entry[MBI_BLUR_PARTS * i + k] = (int16_t)((int32_t)(u[i] >> 16 * k & 0xffff) - 32768);
}
#endif

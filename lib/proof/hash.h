/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of the proofs: BLAKE2b of libsodium, with a personal string for each use, so that a
 * digest made for one use is never a digest of another. Only with MBI_HAVE_SODIUM; without it the
 * functions do not exist.                                                  proof.md, transcript
 */
#ifndef MBI_PROOF_HASH_H
#define MBI_PROOF_HASH_H

#include "base/error.h"
#include "proof/kernels.h"

enum mbi_hash_domain {
    MBI_HASH_LEAF,       /* 32 bytes */
    MBI_HASH_NODE,       /* 32 bytes */
    MBI_HASH_TRANSCRIPT, /* 64 bytes */
    MBI_HASH_GRIND,      /* 32 bytes */
    MBI_HASH_MASK,       /* 64 bytes */
    MBI_HASH_PLAIN,      /* 32 bytes, without a personal string: as mbi_blake2b(), but faster */
};

#define MBI_SALT_SIZE 16

/* Bytes alone, so that digests in a file can be read where they lie. */
struct mbi_digest {
    uint8_t byte[32];
};

/*
 * Makes libsodium ready (several times and from several threads is fine). Whoever makes or checks
 * a proof calls it first: the digests do not depend on it, but libsodium chooses its code there.
 */
int32_t mbi_hash_setup(mambaint_error *err);

/* A hash under way; the bytes are libsodium's. */
struct mbi_hash {
    _Alignas(64) uint8_t state[384];
    size_t size; /* of the result */
};

/* salt: MBI_SALT_SIZE bytes, or NULL, which is all zeros. */
void mbi_hash_init(struct mbi_hash *h, enum mbi_hash_domain domain, const uint8_t *salt);
void mbi_hash_add(struct mbi_hash *h, const void *data, size_t n);
void mbi_hash_end(struct mbi_hash *h, uint8_t *out); /* as many bytes as the domain has */

/*
 * Eight hashes at once, of messages of equal length, where this machine has a kernel for it
 * (proof/kernels.h): its states, block by block through that kernel, and the digests of 32 bytes.
 */
struct mbi_hash_lanes {
    uint64_t h[8][MBI_HASH_LANES];
};

/* salt: MBI_SALT_SIZE bytes for each, or NULL. */
void mbi_hash_lanes_init(struct mbi_hash_lanes *h, enum mbi_hash_domain domain,
                         const uint8_t *salt);
void mbi_hash_lanes_end(const struct mbi_hash_lanes *h, struct mbi_digest out[MBI_HASH_LANES]);

void mbi_hash_plain(uint8_t out[32], const void *data, size_t n);
void mbi_hash_leaf(struct mbi_digest *out, const void *data, size_t n, const uint8_t *salt);
void mbi_hash_node(struct mbi_digest *out, const struct mbi_digest pair[2]);
void mbi_hash_grind(struct mbi_digest *out, const void *data, size_t n);

#endif

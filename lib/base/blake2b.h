/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b with a 32-byte result (RFC 7693), the one hash of the core. */
#ifndef MBI_BASE_BLAKE2B_H
#define MBI_BASE_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

#define MBI_DIGEST_SIZE 32

struct mbi_blake2b {
    uint64_t h[8];
    uint64_t count; /* bytes absorbed; inputs are below 2^64 bytes */
    uint8_t block[128];
    size_t used;
};

void mbi_blake2b_init(struct mbi_blake2b *s);
void mbi_blake2b_add(struct mbi_blake2b *s, const void *data, size_t n);
void mbi_blake2b_end(struct mbi_blake2b *s, uint8_t out[MBI_DIGEST_SIZE]);
void mbi_blake2b(uint8_t out[MBI_DIGEST_SIZE], const void *data, size_t n);

/* Absorb a length (u64, little endian), then the bytes: fields cannot run into each other. */
void mbi_blake2b_add_field(struct mbi_blake2b *s, const void *data, size_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The constants of BLAKE2b (RFC 7693), in sight of every loop over its rounds. */
#ifndef MBI_BASE_BLAKE2B_TABLES_H
#define MBI_BASE_BLAKE2B_TABLES_H

#include <stdint.h>

static const uint64_t mbi_blake2b_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Order of the message words in each round; rounds 10 and 11 repeat rounds 0 and 1. */
static const uint8_t mbi_blake2b_order[12][16] = {
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

/* A round with the order p of the words m: how words are mixed is the caller's. */
#define MBI_BLAKE2B_ROUND(mix, v, m, p)                                                            \
    do {                                                                                           \
        mix(v, 0, 4, 8, 12, (m)[(p)[0]], (m)[(p)[1]]);                                             \
        mix(v, 1, 5, 9, 13, (m)[(p)[2]], (m)[(p)[3]]);                                             \
        mix(v, 2, 6, 10, 14, (m)[(p)[4]], (m)[(p)[5]]);                                            \
        mix(v, 3, 7, 11, 15, (m)[(p)[6]], (m)[(p)[7]]);                                            \
        mix(v, 0, 5, 10, 15, (m)[(p)[8]], (m)[(p)[9]]);                                            \
        mix(v, 1, 6, 11, 12, (m)[(p)[10]], (m)[(p)[11]]);                                          \
        mix(v, 2, 7, 8, 13, (m)[(p)[12]], (m)[(p)[13]]);                                           \
        mix(v, 3, 4, 9, 14, (m)[(p)[14]], (m)[(p)[15]]);                                           \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b of several messages, one in each lane: a round's shuffles of words cost nothing then. */
#include "base/blake2b_tables.h"
#include "cpu/x86/field.h"

#define WORDS 16

#if WIDTH == 8
static inline vec differ(vec a, vec b) { return _mm512_xor_si512(a, b); }
#define ROTATE(v, n) _mm512_ror_epi64(v, n)
#else
static inline vec differ(vec a, vec b) { return _mm256_xor_si256(a, b); }

/* By n bits, of which 63 and whole bytes are asked for. */
static inline vec rotate(vec v, int n)
{
    const long long low = n == 32   ? 0x0302010007060504
                          : n == 24 ? 0x0201000706050403
                                    : 0x0100070605040302;

    if (n == 63)
        return _mm256_or_si256(plus(v, v), SHIFT_DOWN(v, 63));
    return _mm256_shuffle_epi8(
        v, _mm256_setr_epi64x(low, low + 0x0808080808080808, low, low + 0x0808080808080808));
}
#define ROTATE(v, n) rotate(v, n)
#endif

static inline void mix(vec *v, int a, int b, int c, int d, vec x, vec y)
{
    v[a] = plus(plus(v[a], v[b]), x);
    v[d] = ROTATE(differ(v[d], v[a]), 32);
    v[c] = plus(v[c], v[d]);
    v[b] = ROTATE(differ(v[b], v[c]), 24);
    v[a] = plus(plus(v[a], v[b]), y);
    v[d] = ROTATE(differ(v[d], v[a]), 16);
    v[c] = plus(v[c], v[d]);
    v[b] = ROTATE(differ(v[b], v[c]), 63);
}

/* Of the WIDTH lanes from `lane` on. */
static void compress(uint64_t *h, const uint64_t *const word[WORDS], size_t lane, uint64_t count,
                     uint64_t last)
{
    vec m[WORDS], v[WORDS];

    for (int i = 0; i < WORDS; i++)
        m[i] = load(word[i] + lane);
    for (int i = 0; i < 8; i++) {
        v[i] = load(h + MBI_HASH_LANES * i + lane);
        v[i + 8] = all(mbi_blake2b_iv[i]);
    }
    v[12] = differ(v[12], all(count));
    v[14] = differ(v[14], all(last));
#pragma GCC unroll 12
    for (int r = 0; r < 12; r++)
        MBI_BLAKE2B_ROUND(mix, v, m, mbi_blake2b_order[r]);
    for (int i = 0; i < 8; i++) {
        uint64_t *to = h + MBI_HASH_LANES * i + lane;

        store(to, differ(load(to), differ(v[i], v[i + 8])));
    }
}

void MBI_X86(hash_block)(uint64_t *h, const uint64_t *const word[WORDS], uint64_t count, bool last)
{
    for (size_t lane = 0; lane < MBI_HASH_LANES; lane += WIDTH)
        compress(h, word, lane, count, last ? UINT64_MAX : 0);
}

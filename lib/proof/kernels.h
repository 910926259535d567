/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops where a proof spends its time, as a table that a machine may have faster. All take and
 * give canonical elements and give the same ones, whatever the table; any n, any alignment.
 */
#ifndef MBI_PROOF_KERNELS_H
#define MBI_PROOF_KERNELS_H

#include "proof/field.h"

/*
 * Arrays over an extension of degree D: D words of F an element, c[0] first. `s` is one element.
 * What each loop does: proof/ext.h.
 */
struct mbi_ext_kernels {
    void (*mul)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
    void (*mul_add)(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n);
    void (*mul_add_base)(mbi_fe *out, const mbi_fe *a, const mbi_fe *s, size_t n);
    void (*fold)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s, size_t n);
    void (*fold_base)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, const mbi_fe *s, size_t n);
    void (*dot)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
    void (*dot_base)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
};

/* Transforms are done side by side in blocks: element j of the l-th is x[MBI_NTT_LANES j + l]. */
#define MBI_NTT_LANES 8

/* Hashes, too: word i of the message of lane l is word[i][l], that of its state h[LANES i + l]. */
#define MBI_HASH_LANES 8

/* `out` may be `a` or `b`; otherwise arrays do not overlap. */
struct mbi_field_kernels {
    const char *name;
    int32_t (*probe)(void); /* 0: cannot run on this machine; otherwise higher is better */

    void (*add)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
    void (*sub)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
    void (*mul)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, size_t n);
    /* out[i] += s a[i] */
    void (*mul_add)(mbi_fe *out, const mbi_fe *a, mbi_fe s, size_t n);
    /* out[i] = a[i] + s (b[i] - a[i]) */
    void (*fold)(mbi_fe *out, const mbi_fe *a, const mbi_fe *b, mbi_fe s, size_t n);
    /* the sum of a[i] b[i] */
    mbi_fe (*dot)(const mbi_fe *a, const mbi_fe *b, size_t n);

    /*
     * Stages first .. log_n - 1 of transforms whose elements came in bit-reversed order. Stage k
     * makes of (u, v), 2^k elements apart, (u + w v, u - w v) with w = root[2^k + i] for the i-th
     * pair of a run.
     */
    void (*ntt_stages)(mbi_fe *x, unsigned log_n, unsigned first, const mbi_fe *root);
    /* x[j][l] *= start step[l]^j for j < n */
    void (*ntt_powers)(mbi_fe *x, size_t n, mbi_fe start, const mbi_fe step[MBI_NTT_LANES]);

    /* A block of eight messages of BLAKE2b, `count` bytes with it; `last`: it ends them. NULL where
     * one message at a time is as fast. */
    void (*hash_block)(uint64_t *h, const uint64_t *const word[16], uint64_t count, bool last);

    const struct mbi_ext_kernels *ext[2]; /* of degree 2 and 3 */
};

/* Plain C, for every machine; what the others are compared with. */
extern const struct mbi_field_kernels mbi_field_kernels_portable;
extern const struct mbi_field_kernels mbi_avx2_field_kernels;
extern const struct mbi_field_kernels mbi_avx512_field_kernels;

extern const struct mbi_ext_kernels mbi_ext_kernels_d2, mbi_ext_kernels_d3;

/* The tables of this build; NULL past the end. Some may be unable to run here. */
const struct mbi_field_kernels *mbi_field_kernels_at(size_t index);

/* The best for this machine: asked once and then handed down. */
const struct mbi_field_kernels *mbi_field_kernels_best(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel of single tokens is told, and what its blocks tell each other.
 * cuda/decode_plan.cu fills these from a program, cuda/decode.cu walks them.
 */
#ifndef MBI_CUDA_DECODE_PHASE_H
#define MBI_CUDA_DECODE_PHASE_H

#include "cuda/decode.h"
#include "cuda/mixer.h"

#define MBI_DECODE_LANES 8 /* a tile of a product */

#ifdef MBI_EMULATE
#define MBI_DECODE_THREADS 64
#elif !defined(MBI_DECODE_THREADS)
#define MBI_DECODE_THREADS 384
#endif
#define MBI_DECODE_WARPS (MBI_DECODE_THREADS / MBI_WARP)
#define MBI_DECODE_PHASES 8 /* that a block has before it: a power of two */

enum mbi_phase_kind { MBI_PHASE_PRODUCT, MBI_PHASE_MIX, MBI_PHASE_HEAD, MBI_PHASE_CHOOSE };

/* A block's share of a part of the stream of weights, in blocks of rows. */
struct mbi_decode_share {
    uint32_t first, n;
};

/* A matrix as a part of that stream; each block puts in its share. */
struct alignas(16) mbi_decode_part {
    const uint8_t *packed;
    uint32_t row_blocks, col_blocks, ternary;
    uint32_t inverse; /* of col_blocks, if more than 1: 2^32 / it, rounded up */
    struct mbi_decode_share share;
};

struct alignas(16) mbi_phase {
    int32_t kind;
    uint32_t part; /* of a product: its place in the stream of weights */
    uint32_t turn; /* which of the two residuals is read, or written by a product behind a mixer */
    uint32_t normed; /* x is the norm of the residual; else what the mixer gave */

    /* the first product makes its residual: rows of the table, requantised; NULL elsewhere */
    const int8_t *table;
    const int32_t *token;
    struct mbi_cuda_clamp embed;

    struct mbi_cuda_matrix matrix;
    uint32_t norm_op;
    int32_t norm_frac, norm_bits;
    uint64_t norm_inverse;
    struct mbi_cuda_finish finish; /* `out` of the head alone */

    struct mbi_cuda_mixer mixer;
    uint32_t near; /* bytes of what a head has from before, if it is copied; cuda/decode_mix.h */
    int32_t *argmax;
};

/*
 * Words by which blocks tell each other values (mbi_word_put()), each [lanes][..]: what goes into a
 * mixer, what comes out of it, four bytes a word, the residual, two in turn, and the best logit of
 * each block, [blocks][lanes][2].
 */
struct mbi_decode_words {
    uint64_t *p, *g, *residual[2], *best;
};

/* Where things lie in a block's shared memory; `ring` has `depth` units for each warp. */
struct mbi_decode_space {
    uint32_t parts, shears, sums, x, residual, team, mix, before, ring, depth, size;
    uint32_t most_rows; /* of a block's share of a product */
};

struct mbi_decode_args {
    const struct mbi_phase *phase;
    const struct mbi_decode_part *part;
    const uint32_t *shears;               /* [MBI_SHEARS], of rotations: cuda/decode_mix.h */
    const struct mbi_decode_share *share; /* [blocks][n_parts] */
    const struct mbi_cuda_run *runs;
    const uint32_t *live;
    const int32_t *drawn;
    uint32_t n_phases, n_parts, lanes;
    uint32_t tag; /* of phase 0; the others' follow */
    struct mbi_decode_words words;
    struct mbi_decode_space space;
};

struct mbi_cuda_decode {
    void (*kernel)(const struct mbi_decode_args);
    struct mbi_phase *phase; /* on the device, as all below */
    struct mbi_decode_part *part;
    struct mbi_decode_share *share;
    uint32_t *shears;
    char *memory; /* the words */
    size_t memory_size;
    uint32_t n_phases, n_parts, blocks, most_lanes, tag;
    struct mbi_decode_words words;
    struct mbi_decode_space space[MBI_DECODE_LANES + 1]; /* by lanes */
};

/* Does the kernel run here with these sizes? Fills blocks and spaces. */
bool mbi_cuda_decode_size_up(struct mbi_cuda_decode *d, const struct mbi_phase *phases,
                             const struct mbi_decode_part *parts);

#endif

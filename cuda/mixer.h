/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run of nodes between the two products of a layer, done at once: convolution, gate, rotation,
 * decay, recurrence, the direct path, the norm of each head and its gate. It is found by its
 * operations and by who reads what, never by the architecture.
 */
#ifndef MBI_CUDA_MIXER_H
#define MBI_CUDA_MIXER_H

#include "cuda/backend.h"

extern "C" {
#include "op/formula.h"
}

struct mbi_cuda_clamp {
    int32_t shift, lo, hi;
};

struct mbi_cuda_mixer {
    const int16_t *p; /* [lanes][p_cols]: what goes in */
    int8_t *g;        /* [lanes][H P]: what comes out */
    int8_t *x;        /* [lanes][H P], [lanes][2 N]: what the recurrence reads */
    int8_t *bc;
    int16_t *phi;   /* [lanes][pairs] */
    int32_t *l, *y; /* [lanes][H], [lanes][H P] */
    uint32_t p_cols;
    uint32_t at_channels, channels, at_x, at_bc, at_turn, at_dt,
        at_z;       /* in p, or in the channels */
    uint32_t pairs; /* 0: no rotation */
    struct mbi_scan_attr scan;
    size_t conv_memory, turn_memory, scan_memory;
    const int8_t *taps, *taps_exponent;
    const int16_t *taps_bias, *dt_bias, *skip;
    int32_t hold;
    int32_t conv_gate, z_gate; /* enum mbi_gate */
    uint32_t norm_op;
    int32_t norm_frac, norm_bits;
    uint64_t norm_inverse; /* of P */
    struct mbi_cuda_clamp channel, direct, z, gated_z, out;
};

/* Where the values go if all are kept, by their place in the pattern (cuda/mixer.cu). */
#define MBI_MIXER_PLACES 22
struct mbi_cuda_mixer_values {
    void *at[MBI_MIXER_PLACES];
};

/* Is the run of the order from `s` on one? Returns its nodes and fills *m; 0: it is not.
 * *before: the nodes before the recurrence, which is one. */
uint32_t mbi_cuda_mixer_match(struct mbi_cuda_mixer *m, uint32_t *before,
                              const struct mbi_image *image, uint32_t s);

/* The places of the values of a mixer that begins at `s`; false: one has another type than the
 * kernels write. */
bool mbi_cuda_mixer_keep(struct mbi_cuda_mixer_values *v, const struct mbi_image *image,
                         uint32_t s);

/* What the recurrence reads, for whole runs; and what becomes of it, for `lanes` lanes. With
 * `values` (or NULL) every value of the pattern is written as well, the slices too. */
cudaError_t mbi_cuda_mixer_enter(const struct mbi_cuda_mixer *m,
                                 const struct mbi_cuda_mixer_values *values,
                                 const struct mbi_cuda_run *runs, uint32_t n_runs, uint32_t max_n,
                                 cudaStream_t stream);
cudaError_t mbi_cuda_mixer_leave(const struct mbi_cuda_mixer *m,
                                 const struct mbi_cuda_mixer_values *values, size_t lanes,
                                 cudaStream_t stream);

/* ---- elements, for kernels ---- */

static __device__ __forceinline__ int32_t mbi_clamped(const struct mbi_cuda_clamp *c, int32_t v)
{
    if (c->shift > 0 && c->shift < 32)
        return mbi_clamp_i32((v >> c->shift) + ((v >> (c->shift - 1)) & 1), c->lo, c->hi);
    if (c->shift == 0 || c->shift == -1) /* what is beyond 32 bits is beyond the clamp */
        return mbi_clamp_i32(c->shift ? mbi_add_sat(v, v) : v, c->lo, c->hi);
    return (int32_t)mbi_clamp_i64(mbi_rshift_half_up(v, c->shift), c->lo, c->hi);
}

/* The same where the shift is from 0 to 31. */
static __device__ __forceinline__ int32_t mbi_clamped_right(const struct mbi_cuda_clamp *c,
                                                            int32_t v)
{
    return mbi_clamp_i32(mbi_rsh_any(v, c->shift), c->lo, c->hi);
}

/* mbi_conv_of() in 32 bits: the sum is below 2^24, so only a shift to the left can leave them. */
static __device__ __forceinline__ int32_t mbi_conv_at(const int32_t x[4], const int32_t w[4],
                                                      int32_t e, int32_t bias)
{
    const int32_t sum = w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];

    if (e >= 0 && e < 32)
        return mbi_clamp_i32(bias + (e ? (sum >> e) + ((sum >> (e - 1)) & 1) : sum), -32768, 32767);
    return (int32_t)mbi_sat(bias + mbi_rshift_half_up(sum, e), 16);
}

/* mbi_gate_of(), its commonest kind in 32 bits. */
static __device__ __forceinline__ int32_t mbi_gate_at(int32_t x, int32_t kind)
{
    return kind == MBI_GATE_HARD ? x * mbi_clamp_i32(x + 512, 0, 1024) * 32 : mbi_gate_of(x, kind);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training facet of an operation. forward is the float twin (`--arithmetic float`): the same
 * computation in real numbers with the smooth functions that the integers approximate (SiLU, 2^-l,
 * RMS norm), no rounding and no clamp but those of the model's definition. backward is the
 * gradient: of the twin, or, when `integers` is set, of the integer step by the straight-through
 * rule (identity inside a clamp, zero outside, the smooth derivative of what is smooth).
 */
#ifndef MBI_TRAIN_OP_OP_GRAD_H
#define MBI_TRAIN_OP_OP_GRAD_H

#include "graph/op.h"
#include "train/grad.h"

/*
 * One node over a slice of the batch: `streams` runs of `tokens` consecutive tokens, each from the
 * zero state at position 0; lane = stream * tokens + token. A real value is integer / 2^frac;
 * parameters are real too (weights already divided by their exponents).
 */
struct mbi_grad_args {
    const struct mbi_type *in_type[MBI_MAX_IN];
    const struct mbi_type *out_type;
    bool in_is_param[MBI_MAX_IN];
    const void *attr;
    size_t streams, tokens, lanes;
    bool integers; /* the forward pass was the integer step */

    const void *in_int[MBI_MAX_IN]; /* integers alone; NULL in the float twin */
    const void *out_int;
    const float *in[MBI_MAX_IN]; /* [lanes][cols] or a parameter's [rows][cols]; in the integer
                                    mode only those that needs_in names, else NULL */
    float *out;                  /* forward writes it; backward reads it if needs_out */

    const float *d_out;      /* [lanes][cols] */
    float *d_in[MBI_MAX_IN]; /* added to; NULL where no gradient is wanted */

    void *scratch;                   /* scratch() bytes, 64-byte aligned, contents undefined */
    const struct mbi_linalg *linalg; /* of matrix products; NULL: own loops */
};

struct mbi_op_grad {
    uint32_t needs_in; /* bit k: backward reads in[k] in the integer mode too */
    bool needs_out;
    bool no_grad; /* the result has no gradient (argmax, the token's id) */
    /* Token ids are the one integer input of the float twin: embed reads in_int[0] always. */
    void (*forward)(const struct mbi_grad_args *a);
    void (*backward)(const struct mbi_grad_args *a);
    size_t (*scratch)(const struct mbi_grad_args *a); /* NULL: none */
};

#endif

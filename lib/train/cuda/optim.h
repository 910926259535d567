/* SPDX-License-Identifier: Apache-2.0 */
/* The optimiser and the quantisation of masters on the device; both element by element as on the
 * CPU. */
#ifndef MBI_TRAIN_CUDA_OPTIM_H
#define MBI_TRAIN_CUDA_OPTIM_H

#include "train/cuda/math.h"

/* Sums of squares, one for every MBI_SQUARES floats. */
#define MBI_SQUARES 16384
cudaError_t mbi_squares(double *sums, const float *x, size_t n, cudaStream_t stream);

/* One step: the numbers as in lib/train/optim.c. `decays` has a byte for every 16 floats. */
struct mbi_adam_args {
    float *master, *moment1, *moment2;
    const float *gradient;
    const uint8_t *decays;
    size_t n;
    float beta1, beta2, rate, shrink, scale, unbias2;
};
cudaError_t mbi_adam(const struct mbi_adam_args *a, cudaStream_t stream);

/* One parameter; the same integers as mbi_quantise() makes of the same floats. All in device
 * memory. */
struct mbi_quantise_args {
    uint32_t dtype, quant; /* enum mbi_quant */
    uint32_t rows, cols;
    const float *master;
    void *integer;
    int8_t *exponent; /* by rows, or one of ternary; else NULL */
    int16_t *scale;   /* of ternary */
    int32_t exponent_lo, exponent_hi;
    float limit;          /* largest magnitude of an integer */
    float factor, fixed;  /* of fixed point: 2^frac and 2^-frac */
    float *unit;          /* ternary: the real value of a 1, for products */
    double *sum;          /* ternary: MBI_QUANTISE_SUMS of them */
    float *real;          /* real values, or NULL */
    mbi_operand *operand; /* the same, but of ternary the integers, or NULL */
};
#define MBI_QUANTISE_SUMS 257 /* and the factor */
cudaError_t mbi_quantise_device(const struct mbi_quantise_args *a, cudaStream_t stream);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training facet of an operation: its float twin (forward) and its gradient (backward). The
 * definitions live in lib/train/op/<family>.c, beside the other floats; here are the names only,
 * so that lib/op can point at them without a float.
 */
#ifndef MBI_TRAIN_GRAD_H
#define MBI_TRAIN_GRAD_H

struct mbi_op_grad; /* train/op/op_grad.h */

#define MBI_GRAD_DECLARE(name) extern const struct mbi_op_grad mbi_grad_##name
MBI_GRAD_DECLARE(embed);
MBI_GRAD_DECLARE(matvec);
MBI_GRAD_DECLARE(requant);
MBI_GRAD_DECLARE(requant_rows);
MBI_GRAD_DECLARE(requant_mul);
MBI_GRAD_DECLARE(add);
MBI_GRAD_DECLARE(addsat);
MBI_GRAD_DECLARE(mul);
MBI_GRAD_DECLARE(slice);
MBI_GRAD_DECLARE(concat);
MBI_GRAD_DECLARE(norm_rms);
MBI_GRAD_DECLARE(norm_shift);
MBI_GRAD_DECLARE(gate);
MBI_GRAD_DECLARE(conv);
MBI_GRAD_DECLARE(decay);
MBI_GRAD_DECLARE(turn);
MBI_GRAD_DECLARE(rotate);
MBI_GRAD_DECLARE(scan);
MBI_GRAD_DECLARE(argmax);
#undef MBI_GRAD_DECLARE

#endif

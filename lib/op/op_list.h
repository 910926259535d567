/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation, once: number, name, number of inputs. Numbers are stored in files and proofs:
 * append, never reuse. docs/arithmetic.md has a section for each.
 */
#ifndef MBI_OP_OP_LIST_H
#define MBI_OP_OP_LIST_H

#include "graph/op.h"

/* clang-format off */
#define MBI_OP_LIST(OP)                                                                           \
    OP( 1, embed,        2) /* token, table            row `token` of the table                */ \
    OP( 2, matvec,       2) /* x, W                    W x, exact                              */ \
    OP( 3, requant,      1) /* x                       clamp(rsh(x, shift), lo, hi)            */ \
    OP( 4, requant_rows, 2) /* x, e                    clamp(rsh(x_i, shift + e_i), lo, hi)    */ \
    OP( 5, requant_mul,  3) /* x, m, s                 clamp(rsh(x * m, shift + s), lo, hi)    */ \
    OP( 6, add,          2) /* a, b                    a + b                                   */ \
    OP( 7, addsat,       2) /* a, b                    a + b, saturated                        */ \
    OP( 8, mul,          2) /* a, b                    a_i * b_(i / group)                     */ \
    OP( 9, slice,        1) /* x                       elements [offset, offset + count)       */ \
    OP(10, concat,       2) /* a, b                    a, then b                               */ \
    OP(11, norm_rms,     1) /* r                       r / rms(r) per group                    */ \
    OP(12, norm_shift,   1) /* r                       r / 2^k, 2^k nearest rms(r)             */ \
    OP(13, gate,         1) /* x                       x * s(x)                                */ \
    OP(14, conv,         4) /* p, w, e, bias           causal convolution over 4 tokens        */ \
    OP(15, decay,        2) /* dt, bias                decay exponent 2^v                      */ \
    OP(16, turn,         1) /* p                       running angle in 1/256 turns            */ \
    OP(17, rotate,       2) /* BC, phi                 B and C turned by three lifting shears  */ \
    OP(18, scan,         3) /* x, BC, l                chunk-exact selective recurrence        */ \
    OP(19, argmax,       1) /* x                       index of the largest, lowest on ties    */

enum mbi_op {
#define OP_ENUM(num, name, n_in) MBI_OP_##name = num,
    MBI_OP_LIST(OP_ENUM)
#undef OP_ENUM
    MBI_OP_END
};

#define OP_DECLARE(num, name, n_in) extern const struct mbi_op_def mbi_op_##name;
MBI_OP_LIST(OP_DECLARE)
#undef OP_DECLARE
/* clang-format on */

/* The list as mbi_op_list_text has it, for what is built without op_list.c. */
#define MBI_OP_TEXT(num, name, n_in) #num ":" #name ":" #n_in ";"
#define MBI_OP_LIST_TEXT MBI_OP_LIST(MBI_OP_TEXT)

#endif

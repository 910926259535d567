/* SPDX-License-Identifier: Apache-2.0 */
/* One function per operation for those who compose graphs: attributes in, value out. */
#ifndef MBI_OP_BUILD_H
#define MBI_OP_BUILD_H

#include "graph/graph.h"
#include "op/op_list.h"

static inline mbi_ref mbi_embed(struct mbi_build *b, const char *label, mbi_ref id, mbi_ref table)
{
    return mbi_build_node(b, MBI_OP_embed, label, (mbi_ref[]){id, table}, NULL);
}

static inline mbi_ref mbi_matvec(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref w)
{
    return mbi_build_node(b, MBI_OP_matvec, label, (mbi_ref[]){x, w}, NULL);
}

static inline mbi_ref mbi_requant(struct mbi_build *b, const char *label, mbi_ref x, int32_t shift,
                                  int32_t lo, int32_t hi, int32_t frac)
{
    const struct mbi_requant_attr attr = {shift, lo, hi, frac};

    return mbi_build_node(b, MBI_OP_requant, label, &x, &attr);
}

static inline mbi_ref mbi_requant_rows(struct mbi_build *b, const char *label, mbi_ref x,
                                       mbi_ref exponent, const struct mbi_requant_attr *attr)
{
    return mbi_build_node(b, MBI_OP_requant_rows, label, (mbi_ref[]){x, exponent}, attr);
}

static inline mbi_ref mbi_requant_mul(struct mbi_build *b, const char *label, mbi_ref x,
                                      mbi_ref scale, mbi_ref exponent,
                                      const struct mbi_requant_attr *attr)
{
    return mbi_build_node(b, MBI_OP_requant_mul, label, (mbi_ref[]){x, scale, exponent}, attr);
}

static inline mbi_ref mbi_add(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref y)
{
    return mbi_build_node(b, MBI_OP_add, label, (mbi_ref[]){x, y}, NULL);
}

static inline mbi_ref mbi_addsat(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref y,
                                 int32_t bits)
{
    const struct mbi_addsat_attr attr = {bits};

    return mbi_build_node(b, MBI_OP_addsat, label, (mbi_ref[]){x, y}, &attr);
}

static inline mbi_ref mbi_mul(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref y,
                              uint32_t group)
{
    const struct mbi_mul_attr attr = {(int32_t)group};

    return mbi_build_node(b, MBI_OP_mul, label, (mbi_ref[]){x, y}, &attr);
}

static inline mbi_ref mbi_slice(struct mbi_build *b, const char *label, mbi_ref x, uint32_t offset,
                                uint32_t count)
{
    const struct mbi_slice_attr attr = {(int32_t)offset, (int32_t)count};

    return mbi_build_node(b, MBI_OP_slice, label, &x, &attr);
}

static inline mbi_ref mbi_norm(struct mbi_build *b, const char *label, mbi_ref x, uint32_t op,
                               uint32_t groups, int32_t frac, int32_t bits)
{
    const struct mbi_norm_attr attr = {(int32_t)groups, frac, bits};

    return mbi_build_node(b, op, label, &x, &attr);
}

static inline mbi_ref mbi_gate(struct mbi_build *b, const char *label, mbi_ref x, uint32_t kind)
{
    const struct mbi_gate_attr attr = {(int32_t)kind};

    return mbi_build_node(b, MBI_OP_gate, label, &x, &attr);
}

static inline mbi_ref mbi_conv(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref w,
                               mbi_ref exponent, mbi_ref bias)
{
    return mbi_build_node(b, MBI_OP_conv, label, (mbi_ref[]){x, w, exponent, bias}, NULL);
}

static inline mbi_ref mbi_decay(struct mbi_build *b, const char *label, mbi_ref dt, mbi_ref bias,
                                uint32_t hold)
{
    const struct mbi_decay_attr attr = {(int32_t)hold};

    return mbi_build_node(b, MBI_OP_decay, label, (mbi_ref[]){dt, bias}, &attr);
}

static inline mbi_ref mbi_turn(struct mbi_build *b, const char *label, mbi_ref p)
{
    return mbi_build_node(b, MBI_OP_turn, label, &p, NULL);
}

static inline mbi_ref mbi_rotate(struct mbi_build *b, const char *label, mbi_ref bc, mbi_ref phi,
                                 uint32_t pairs)
{
    const struct mbi_rotate_attr attr = {(int32_t)pairs};

    return mbi_build_node(b, MBI_OP_rotate, label, (mbi_ref[]){bc, phi}, &attr);
}

static inline mbi_ref mbi_scan(struct mbi_build *b, const char *label, mbi_ref x, mbi_ref bc,
                               mbi_ref l, const struct mbi_scan_attr *attr)
{
    return mbi_build_node(b, MBI_OP_scan, label, (mbi_ref[]){x, bc, l}, attr);
}

static inline mbi_ref mbi_argmax(struct mbi_build *b, const char *label, mbi_ref x)
{
    return mbi_build_node(b, MBI_OP_argmax, label, &x, NULL);
}

#endif

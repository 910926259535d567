/* SPDX-License-Identifier: Apache-2.0 */
/* gate for x86.                                                         arithmetic.md, gate */
#include "cpu/x86/gate.h"

static inline void gate_loop(const struct mbi_op_args *a, size_t end, int32_t kind)
{
    for (size_t i = a->begin; i < end; i += LANES)
        store8(a->out, MBI_I32, i, gate8(load8(a->in[0], MBI_I16, i), kind));
}

void MBI_X86(gate)(const struct mbi_op_args *a)
{
    const struct mbi_gate_attr *at = a->attr;
    const size_t end = vector_end(a);

    if (at->kind == MBI_GATE_HARD)
        gate_loop(a, end, MBI_GATE_HARD);
    else if (at->kind == MBI_GATE_ALGEBRAIC)
        gate_loop(a, end, MBI_GATE_ALGEBRAIC);
    else
        gate_loop(a, end, MBI_GATE_SQUAREPLUS);
    reference_part(mbi_op_gate.eval, a, end, a->end);
}

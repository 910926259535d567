/* SPDX-License-Identifier: Apache-2.0 */
/* The harness tests itself: kernels with one planted error each must be found. */
#include "bitexact.h"

/* The last element of every part is off by one. */
static void plant_last_element(const struct mbi_op_args *a)
{
    int32_t *y = a->out;

    mbi_op_gate.eval(a);
    y[a->end - 1] ^= 1;
}

/* Wrong only where a part does not begin at 0. */
static void plant_later_part(const struct mbi_op_args *a)
{
    int32_t *y = a->out;

    mbi_op_gate.eval(a);
    if (a->begin)
        y[a->begin] ^= 1;
}

/* A byte behind the output. */
static void plant_overrun(const struct mbi_op_args *a)
{
    const size_t n = a->lanes * a->out_type->cols;

    mbi_op_gate.eval(a);
    ((uint8_t *)a->out)[n * sizeof(int32_t)] = 0;
}

/* Right for all but the largest sums. */
static void plant_peak(const struct mbi_op_args *a)
{
    int32_t *y = a->out;

    mbi_op_matvec.eval(a);
    for (size_t t = 0; t < a->lanes; t++)
        for (size_t r = a->begin; r < a->end; r++)
            if (y[t * a->out_type->cols + r] > a->out_type->hi / 10 * 9)
                y[t * a->out_type->cols + r]--;
}

/* Right for all but one number of columns behind the last whole vector, which no case lists. */
static void plant_tail(const struct mbi_op_args *a)
{
    int32_t *y = a->out;

    mbi_op_matvec.eval(a);
    if (a->in_type[1]->cols % 16 == 5)
        y[a->begin] ^= 1;
}

/* Right wherever the output begins as vectors would like it to. */
static void plant_misaligned(const struct mbi_op_args *a)
{
    int32_t *y = a->out;

    mbi_op_gate.eval(a);
    if ((uintptr_t)y % 64 == 36)
        y[a->begin] ^= 1;
}

/* The memory is one token too old after a run of several. */
static void plant_state(const struct mbi_op_args *a)
{
    int16_t *old = a->state[0];

    mbi_op_conv.eval(a);
    if (a->lanes > 1)
        old[a->begin] = (int16_t)(old[a->begin] + 1);
}

/* Outputs are right, the state is not, and only at a chunk's end. */
static void plant_fold(const struct mbi_op_args *a)
{
    const struct mbi_scan_attr *at = a->attr;
    int32_t *h = a->state[0];

    mbi_op_scan.eval(a);
    if (!a->begin && (a->pos + a->lanes) % (uint64_t)at->chunk == 0)
        h[0] ^= 1;
}

static size_t expect_found(const struct options *o, uint32_t op, mbi_kernel wrong, const char *what)
{
    struct subject planted = {.name = "planted"};
    struct options quiet = *o;
    struct tally tally[MBI_OP_END] = {{0, 0}};

    mbi_cpu_kernels_scalar(&planted.kernels);
    planted.kernels.op[op].eval = wrong;
    quiet.op = mbi_op_table[op].name;
    quiet.only = -1;
    quiet.count = 3000;
    quiet.quiet = true;
    if (check_kernels(&quiet, &planted, tally))
        return 0;
    printf("self-test: not found: %s\n", what);
    return 1;
}

size_t check_self(const struct options *o)
{
    return expect_found(o, MBI_OP_gate, plant_last_element, "a wrong last element") +
           expect_found(o, MBI_OP_gate, plant_later_part, "an error in later parts") +
           expect_found(o, MBI_OP_gate, plant_overrun, "a byte behind the output") +
           expect_found(o, MBI_OP_matvec, plant_peak, "an error in the largest sums") +
           expect_found(o, MBI_OP_matvec, plant_tail, "an error in one tail") +
           expect_found(o, MBI_OP_gate, plant_misaligned, "an error at one misalignment") +
           expect_found(o, MBI_OP_conv, plant_state, "a wrong memory") +
           expect_found(o, MBI_OP_scan, plant_fold, "a wrong fold");
}

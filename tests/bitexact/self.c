/* SPDX-License-Identifier: Apache-2.0 */
/* The harness tests itself: kernels with one planted error each must be found. */
#include "bitexact.h"
#include "exec/backend.h"

#ifndef MBI_VERIFY
#define MBI_VERIFY 0
#endif

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

/* ---- fused kernels: two of the reference's, one after the other ---- */

static void whole(const struct mbi_op_def *def, const struct mbi_op_args *a)
{
    struct mbi_op_args all = *a;

    all.begin = 0;
    all.end = def->units(a);
    def->eval(&all);
}

static void eval_both(const struct mbi_op_args *a)
{
    whole(&mbi_op_matvec, a);
    whole(&mbi_op_requant, a->next);
}

/* Wrong for odd sizes, and only for several lanes. */
static void plant_both(const struct mbi_op_args *a)
{
    eval_both(a);
    if (a->lanes > 1 && a->next->out_type->cols % 2)
        *(uint8_t *)a->next->out ^= 1;
}

static size_t one_part(const struct mbi_op_args *a)
{
    (void)a;
    return 1;
}

#define BOTH(NAME, EVAL)                                                                           \
    static const struct mbi_cpu_pattern NAME = {                                                   \
        .n = 2,                                                                                    \
        .op = {MBI_OP_matvec, MBI_OP_requant},                                                     \
        .reader = {1},                                                                             \
        .kernel = {.name = "matvec+requant", .eval = EVAL, .units = one_part}};                    \
                                                                                                   \
    static int32_t NAME##_image(struct mbi_image **out, const struct mbi_program *program,         \
                                struct mbi_weights *w, mambaint_error *err)                        \
    {                                                                                              \
        static const struct mbi_cpu_pattern *const list[] = {&NAME, NULL};                         \
        struct mbi_cpu_kernels kernels;                                                            \
                                                                                                   \
        mbi_cpu_kernels_scalar(&kernels);                                                          \
        kernels.pattern = list;                                                                    \
        return mbi_cpu_image_new(out, program, w, &kernels, err);                                  \
    }

BOTH(right, eval_both)
BOTH(wrong, plant_both)

typedef int32_t (*image_maker)(struct mbi_image **out, const struct mbi_program *program,
                               struct mbi_weights *w, mambaint_error *err);

static size_t fused_failures(const struct options *o, image_maker image_new, uint32_t graphs)
{
    struct graph_tally tally[MBI_MAX_BACKENDS] = {{0}};
    struct mbi_backend planted = mbi_backend_scalar;
    struct options quiet = *o;

    planted.image_new = image_new;
    quiet.planted = &planted;
    quiet.backend = NULL;
    quiet.graphs = graphs;
    quiet.kind = GRAPH_PRODUCTS;
    quiet.quiet = true;
    return check_graphs(&quiet, tally);
}

/* The right ones must pass, so that what is found is what was planted. */
static size_t expect_fused(const struct options *o)
{
    if (MBI_VERIFY) /* nothing is fused */
        return 0;
    if (fused_failures(o, right_image, 15)) {
        printf("self-test: a right fused kernel fails\n");
        return 1;
    }
    if (!fused_failures(o, wrong_image, 100)) {
        printf("self-test: not found: an error in some sizes of a fused kernel\n");
        return 1;
    }
    return 0;
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
           expect_found(o, MBI_OP_scan, plant_fold, "a wrong fold") + expect_fused(o);
}

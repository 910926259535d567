/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the kernels on this machine: figures for people, no check. */
#include "bitexact.h"
#include <time.h>

/* Shapes that models have; lanes of 1 are decoding, many are prefill or training. */
struct shape {
    uint32_t op;
    size_t lanes;
    struct mbi_op_case c;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define MATVEC(LANES, COLS, ROWS, X, W, TOP)                                                       \
    {                                                                                              \
        MBI_OP_matvec, LANES,                                                                      \
        {                                                                                          \
            .cols = {COLS, COLS}, .rows = {0, ROWS}, .dtype = {X, W}, .lo = {0, -(TOP)}, .hi = {   \
                0,                                                                                 \
                TOP                                                                                \
            }                                                                                      \
        }                                                                                          \
    }
#define SCAN(LANES, Q, H, P, N)                                                                    \
    {                                                                                              \
        MBI_OP_scan, LANES,                                                                        \
        {                                                                                          \
            .cols = {(H) * (P), 2 * (N), (H)}, .dtype = {MBI_I8, MBI_I8, MBI_I32},                 \
            .frac = {5, 5, 16}, .lo = {-128, -128, 0}, .hi = {127, 127, 1 << 14}, .attr = {        \
                Q,                                                                                 \
                H,                                                                                 \
                P,                                                                                 \
                N,                                                                                 \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* clang-format off */
static const struct shape shapes[] = {
    MATVEC(1, 256, 1160, MBI_I8, MBI_I8, 127),
    MATVEC(1, 768, 3352, MBI_I8, MBI_I8, 127),
    MATVEC(1, 768, 50280, MBI_I8, MBI_I8, 127),
    MATVEC(64, 128, 652, MBI_I8, MBI_I8, 127),
    MATVEC(512, 256, 1160, MBI_I8, MBI_I8, 127),
    MATVEC(512, 768, 3352, MBI_I8, MBI_I8, 127),
    MATVEC(512, 1536, 768, MBI_I8, MBI_I8, 127),
    MATVEC(64, 256, 1160, MBI_I16, MBI_I8, 127),
    MATVEC(1, 768, 3352, MBI_I8, MBI_TERNARY, 1),
    MATVEC(512, 768, 3352, MBI_I8, MBI_TERNARY, 1),
    SCAN(1, 64, 8, 64, 64),
    SCAN(512, 64, 8, 64, 64),
    SCAN(512, 64, 4, 64, 64),
    SCAN(512, 8, 8, 16, 16),
    SCAN(512, 1, 8, 64, 64),
    {MBI_OP_requant, 512, {.cols = {512}, .dtype = {MBI_I32}, .attr = {18, -128, 127, 5}}},
    {MBI_OP_requant_rows, 512, {.cols = {1160, 1160}, .rows = {0, 1}, .dtype = {MBI_I32, MBI_I8},
        .lo = {0, -8}, .hi = {0, 15}, .attr = {-3, -32768, 32767, 8}}},
    {MBI_OP_requant_mul, 512, {.cols = {1160, 1, 1}, .rows = {0, 1, 1}, .dtype = {MBI_I32, MBI_I16, MBI_I8},
        .lo = {0, 16384, 4}, .hi = {0, 32767, 40}, .attr = {-3, -32768, 32767, 8}}},
    {MBI_OP_norm_rms, 512, {.cols = {256}, .dtype = {MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}}},
    {MBI_OP_norm_rms, 512, {.cols = {512}, .dtype = {MBI_I32}, .attr = {8, 8, 16}}},
    {MBI_OP_norm_shift, 512, {.cols = {256}, .dtype = {MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {1, 5, 8}}},
    {MBI_OP_gate, 512, {.cols = {512}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_HARD}}},
    {MBI_OP_gate, 512, {.cols = {512}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_ALGEBRAIC}}},
    {MBI_OP_gate, 512, {.cols = {512}, .dtype = {MBI_I16}, .frac = {8}, .attr = {MBI_GATE_SQUAREPLUS}}},
    {MBI_OP_conv, 512, {.cols = {640, 4, 640, 640}, .rows = {0, 640, 1, 1}, .dtype = {MBI_I16, MBI_I8, MBI_I8, MBI_I16},
        .frac = {8}, .lo = {0, -127, -8, 0}, .hi = {0, 127, 10, 0}}},
    {MBI_OP_mul, 512, {.cols = {512, 512}, .dtype = {MBI_I16, MBI_I16}, .lo = {0, -16384}, .hi = {0, 16384}, .attr = {1}}},
    {MBI_OP_mul, 512, {.cols = {512, 8}, .rows = {0, 1}, .dtype = {MBI_I8, MBI_I16}, .attr = {64}}},
    {MBI_OP_add, 512, {.cols = {512, 512}, .dtype = {MBI_I32, MBI_I32}, .lo = {-1000000, -1000000}, .hi = {1000000, 1000000}}},
    {MBI_OP_addsat, 512, {.cols = {256, 256}, .dtype = {MBI_I32, MBI_I32}, .lo = {-8388608}, .hi = {8388607}, .attr = {24}}},
    {MBI_OP_decay, 512, {.cols = {8, 8}, .rows = {0, 1}, .dtype = {MBI_I16, MBI_I16}, .frac = {8, 8}, .attr = {0}}},
    {MBI_OP_turn, 512, {.cols = {8}, .dtype = {MBI_I16}, .frac = {8}}},
    {MBI_OP_rotate, 512, {.cols = {128, 8}, .dtype = {MBI_I8, MBI_I16}, .frac = {5, 8}, .hi = {0, 255}, .attr = {8}}},
    {MBI_OP_argmax, 512, {.cols = {4096}, .dtype = {MBI_I32}}},
};
/* clang-format on */

struct setting {
    struct mbi_op_args args;
    struct mbi_type type[MBI_MAX_IN], out_type;
    void *block[2 * MBI_MAX_IN + 1];
    size_t n_blocks;
};

/* Aligned as weights and values are in a program. */
static void *add_block(struct setting *s, const struct mbi_host *host, size_t size)
{
    void *block = mbi_alloc_aligned(host, size + 64);

    if (!block)
        exit(2);
    return s->block[s->n_blocks++] = block;
}

static void set_up(struct setting *s, const struct mbi_host *host, const struct shape *shape)
{
    const struct mbi_op_row *row = &mbi_op_table[shape->op];
    struct mbi_infer q = {.attr = shape->c.attr, .out = &s->out_type};
    const struct mbi_type *in[MBI_MAX_IN] = {NULL};
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    struct source source = {1, 0};
    size_t n;

    s->args = (struct mbi_op_args){
        .attr = shape->c.attr, .lanes = shape->lanes, .out_type = &s->out_type};
    for (size_t k = 0; k < row->n_in; k++) {
        const size_t rows = shape->c.rows[k] ? shape->c.rows[k] : shape->lanes;
        void *data;

        s->type[k] = case_type(&shape->c, k);
        q.in[k] = in[k] = s->args.in_type[k] = &s->type[k];
        s->args.in_is_param[k] = shape->c.rows[k] != 0;
        s->args.in[k] = data = add_block(s, host, rows * mbi_type_row_size(&s->type[k]));
        fill_array(data, &s->type[k], rows, FILL_UNIFORM, &source, NULL, NULL);
    }
    if (row->def->infer(&q) < 0)
        exit(2);
    s->args.out = add_block(s, host, shape->lanes * mbi_type_row_size(&s->out_type));
    n = row->def->state ? row->def->state(field, in, shape->c.attr) : 0;
    for (size_t i = 0; i < n; i++)
        s->args.state[i] = add_block(s, host, field[i].count * mbi_dtype_size(field[i].dtype));
}

/* Seconds of one call: the best of several rounds of at least 20 ms. */
static double measure(struct setting *s, const struct mbi_op_def *def,
                      const struct mbi_cpu_op *kernel)
{
    double best = 1e9;

    s->args.begin = 0;
    s->args.end = kernel_units(kernel, def, &s->args);
    for (int round = 0; round < 5; round++) {
        const double start = seconds();
        double used = 0;
        size_t calls = 0;

        for (; used < 0.02; used = seconds() - start, calls++) {
            if (kernel->prepare)
                kernel->prepare(&s->args);
            kernel->eval(&s->args);
            if (def->finish)
                def->finish(&s->args);
            s->args.pos += s->args.lanes;
        }
        best = used / (double)calls < best ? used / (double)calls : best;
    }
    return best;
}

static void print_shape(const struct shape *shape)
{
    printf("%-12s %4zu lanes ", mbi_op_table[shape->op].name, shape->lanes);
    for (size_t k = 0; k < mbi_op_table[shape->op].n_in && k < 2; k++)
        printf(" %s %ux%u", mbi_dtype_name(shape->c.dtype[k]),
               shape->c.rows[k] ? shape->c.rows[k] : 1, shape->c.cols[k]);
}

void bench(const struct options *o)
{
    struct subject subject[MAX_SUBJECTS];
    const size_t n = subject_list(subject, o);

    for (size_t i = 0; i < MBI_COUNT(shapes); i++) {
        struct setting s = {.n_blocks = 0};
        const struct mbi_op_row *row = &mbi_op_table[shapes[i].op];

        if (o->op && strcmp(o->op, row->name))
            continue;
        set_up(&s, o->host, &shapes[i]);
        print_shape(&shapes[i]);
        for (size_t k = 0; k < n; k++) {
            struct extra extra;
            double t;

            extra_make(&extra, &s.args, &subject[k].kernels, shapes[i].op, o->host);
            if (extra.copy)
                subject[k].kernels.op[shapes[i].op].copy_make(&s.args);
            t = measure(&s, row->def, &subject[k].kernels.op[shapes[i].op]);
            const double elements = (double)shapes[i].lanes * (double)s.out_type.cols;

            printf("  %s %.3f ns/value", subject[k].name, 1e9 * t / elements);
            if (shapes[i].op == MBI_OP_matvec)
                printf(" %.1f GMAC/s", 1e-9 * elements * (double)s.type[0].cols / t);
            extra_free(&extra, o->host);
        }
        printf("\n");
        for (size_t k = 0; k < s.n_blocks; k++)
            mbi_free_aligned(o->host, s.block[k]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training facets: every float twin against a plain double-precision computation, every
 * gradient against central differences of that computation, in the twin and after the integer
 * kernel.
 */
#include "op/op_list.h"
#include "support.h"
#include "train/linalg.h"
#include "train/op/op_grad.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 1e-5 /* of central differences; the truncation is of order STEP^2 */

/* ---- one node ---- */

struct node;
typedef void reference(const struct node *n, double *y);

/* A case: shape, ranges and what it has to compute. Several streams, so that a value that leaks
 * from one into the next is seen. */
struct grad_case {
    const char *name;
    uint32_t op;
    uint32_t cols[MBI_MAX_IN], rows[MBI_MAX_IN]; /* rows 0: a value */
    uint32_t dtype[MBI_MAX_IN];
    int32_t frac[MBI_MAX_IN];
    int64_t lo[MBI_MAX_IN], hi[MBI_MAX_IN]; /* integers that the inputs take */
    int32_t attr[MBI_MAX_ATTR];
    uint32_t streams, tokens;
    uint32_t fixed; /* inputs without a gradient: bit k */
    reference *twin;
    reference *integer;         /* of the integer step; NULL: the twin's */
    int64_t clamp_lo, clamp_hi; /* of the integer step; equal: none */
    double units; /* worst distance of the integer result from `integer`; 0: not compared */
};

struct node {
    const struct grad_case *c;
    const struct mbi_op_row *row;
    struct mbi_type in_type[MBI_MAX_IN], out_type;
    size_t n_in[MBI_MAX_IN], n_out; /* elements */
    double *in[MBI_MAX_IN], *out;
    float *in_f[MBI_MAX_IN], *out_f, *d_out, *d_in[MBI_MAX_IN];
    void *in_int[MBI_MAX_IN], *out_int;
    struct mbi_grad_args args;
};

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    ck_assert_ptr_nonnull(p);
    return p;
}

static void put(void *array, uint32_t dtype, size_t i, int64_t v)
{
    switch (dtype) {
    case MBI_I8:
        ((int8_t *)array)[i] = (int8_t)v;
        break;
    case MBI_I16:
        ((int16_t *)array)[i] = (int16_t)v;
        break;
    default:
        ((int32_t *)array)[i] = (int32_t)v;
    }
}

static int64_t get(const void *array, uint32_t dtype, size_t i)
{
    return dtype == MBI_I8    ? ((const int8_t *)array)[i]
           : dtype == MBI_I16 ? ((const int16_t *)array)[i]
                              : ((const int32_t *)array)[i];
}

static size_t lanes(const struct node *n) { return (size_t)n->c->streams * n->c->tokens; }

static void node_init(struct node *n, const struct grad_case *c)
{
    struct mbi_infer q = {.attr = c->attr, .out = &n->out_type};

    *n = (struct node){.c = c, .row = &mbi_op_table[c->op]};
    for (size_t k = 0; k < n->row->n_in; k++) {
        n->in_type[k] = (struct mbi_type){c->dtype[k], c->frac[k], c->rows[k] ? c->rows[k] : 1,
                                          c->cols[k],  c->lo[k],   c->hi[k]};
        n->n_in[k] = (c->rows[k] ? c->rows[k] : lanes(n)) * (size_t)c->cols[k];
        n->in[k] = zeroed(n->n_in[k], sizeof(double));
        n->in_f[k] = zeroed(n->n_in[k], sizeof(float));
        n->d_in[k] = zeroed(n->n_in[k], sizeof(float));
        n->in_int[k] = zeroed(n->n_in[k], 4);
        n->args.in_type[k] = q.in[k] = &n->in_type[k];
        n->args.in_is_param[k] = q.in_is_param[k] = c->rows[k] > 0;
    }
    ck_assert_int_eq(n->row->def->infer(&q), MAMBAINT_OK);
    n->n_out = lanes(n) * n->out_type.cols;
    n->out = zeroed(n->n_out, sizeof(double));
    n->out_f = zeroed(n->n_out, sizeof(float));
    n->d_out = zeroed(n->n_out, sizeof(float));
    n->out_int = zeroed(n->n_out, 4);
    n->args.out_type = &n->out_type;
    n->args.attr = c->attr;
    n->args.streams = c->streams;
    n->args.tokens = c->tokens;
    n->args.lanes = lanes(n);
    n->args.in_int[0] = n->in_int[0]; /* the token's id, also in the twin */
    for (size_t k = 0; k < n->row->n_in; k++)
        n->args.in[k] = n->in_f[k];
    n->args.out = n->out_f;
    n->args.d_out = n->d_out;
}

static void node_free(struct node *n)
{
    for (size_t k = 0; k < n->row->n_in; k++) {
        free(n->in[k]);
        free(n->in_f[k]);
        free(n->d_in[k]);
        free(n->in_int[k]);
    }
    free(n->out);
    free(n->out_f);
    free(n->d_out);
    free(n->out_int);
}

/* Call a facet with scratch memory full of NaN bytes, guarded behind. */
static void call(struct node *n, void (*facet)(const struct mbi_grad_args *))
{
    const struct mbi_op_grad *g = n->row->def->grad;
    const size_t size = g->scratch ? g->scratch(&n->args) : 0;
    const size_t room = (size + 63) / 64 * 64 + 64;
    uint8_t *block = aligned_alloc(64, room);

    ck_assert_ptr_nonnull(block);
    memset(block, 0xFF, room);
    n->args.scratch = block;
    facet(&n->args);
    for (size_t i = size; i < room; i++)
        ck_assert_uint_eq(block[i], 0xFF);
    free(block);
}

static double uniform(struct test_random *r)
{
    return (double)test_random_between(r, -1000000, 1000000) / 1000000;
}

/*
 * Random integers and the reals they stand for. Between the integers the first input of the twin is
 * shifted by a quarter of 2^-8, so that no value lies at a corner of a ReLU or of a clamp.
 */
static void fill(struct node *n, struct test_random *r, bool integers)
{
    const struct grad_case *c = n->c;

    for (size_t k = 0; k < n->row->n_in; k++)
        for (size_t i = 0; i < n->n_in[k]; i++) {
            int64_t v = test_random_between(r, c->lo[k], c->hi[k]);

            /* The corners of the hard gate and of the decay: a step beside them. */
            if (integers && c->op == MBI_OP_gate && (v == 512 || v == -512))
                v++;
            if (integers && c->op == MBI_OP_decay && k == 0)
                v |= 1;
            if (integers && c->op == MBI_OP_decay && k == 1)
                v &= ~(int64_t)1;
            put(n->in_int[k], c->dtype[k], i, v);
            n->in[k][i] = ldexp((double)v, -c->frac[k]);
            if (!integers && k == 0)
                n->in[k][i] += 1.0 / 1024;
            if (k > 0 && c->op == MBI_OP_conv && k == 1)
                n->in[k][i] = ldexp((double)v, -6);
        }
    for (size_t i = 0; integers && c->op == MBI_OP_conv && i < n->n_in[2]; i++)
        put(n->in_int[2], MBI_I8, i, 6);
    for (size_t k = 0; k < n->row->n_in; k++)
        for (size_t i = 0; i < n->n_in[k]; i++) {
            n->in_f[k][i] = (float)n->in[k][i];
            n->d_in[k][i] = (float)(i % 3); /* gradients are added to what is there */
        }
    for (size_t i = 0; i < n->n_out; i++)
        n->d_out[i] = (float)uniform(r);
}

static double loss(struct node *n, reference *f)
{
    double sum = 0;

    f(n, n->out);
    for (size_t i = 0; i < n->n_out; i++)
        sum += n->out[i] * (double)n->d_out[i];
    return sum;
}

/* Every element of every input: the gradient against (f(x + s) - f(x - s)) / 2s. */
static void check_gradient(struct node *n, reference *f, double tolerance)
{
    for (size_t k = 0; k < n->row->n_in; k++) {
        double *want = zeroed(n->n_in[k], sizeof(*want)), scale = 1e-3;

        if (n->c->fixed >> k & 1) {
            free(want);
            continue;
        }
        for (size_t i = 0; i < n->n_in[k]; i++) {
            const double x = n->in[k][i];
            double up;

            n->in[k][i] = x + STEP;
            up = loss(n, f);
            n->in[k][i] = x - STEP;
            want[i] = (up - loss(n, f)) / (2 * STEP);
            n->in[k][i] = x;
            scale = fmax(scale, fabs(want[i]));
        }
        for (size_t i = 0; i < n->n_in[k]; i++)
            ck_assert_msg(
                fabs((double)n->d_in[k][i] - (double)(i % 3) - want[i]) < tolerance * scale + 4e-7,
                "%s: input %zu, element %zu: gradient %.9g, differences %.9g (scale %g)",
                n->c->name, k, i, (double)n->d_in[k][i] - (double)(i % 3), want[i], scale);
        free(want);
    }
}

/* ---- the computations, one loop each ---- */

static void ref_embed(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t i = 0; i < d; i++)
            y[t * d + i] = n->in[1][(size_t)((const int32_t *)n->in_int[0])[t] * d + i];
}

static void ref_matvec(const struct node *n, double *y)
{
    const size_t rows = n->out_type.cols, cols = n->in_type[0].cols;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t r = 0; r < rows; r++) {
            y[t * rows + r] = 0;
            for (size_t i = 0; i < cols; i++)
                y[t * rows + r] += n->in[0][t * cols + i] * n->in[1][r * cols + i];
        }
}

static void ref_copy(const struct node *n, double *y)
{
    memcpy(y, n->in[0], n->n_out * sizeof(*y));
}

static void ref_relu(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = fmax(n->in[0][i], 0);
}

static void ref_add(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = n->in[0][i] + n->in[1][i % n->n_in[1]]; /* one row of a parameter */
}

static void ref_mul(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols, group = (size_t)n->c->attr[0], nb = d / group;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t i = 0; i < d; i++)
            y[t * d + i] = n->in[0][t * d + i] * n->in[1][(n->c->rows[1] ? 0 : t * nb) + i / group];
}

static void ref_slice(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t i = 0; i < d; i++)
            y[t * d + i] = n->in[0][t * n->in_type[0].cols + (size_t)n->c->attr[0] + i];
}

static void ref_concat(const struct node *n, double *y)
{
    const size_t na = n->in_type[0].cols, nb = n->in_type[1].cols;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t i = 0; i < na + nb; i++)
            y[t * (na + nb) + i] = i < na ? n->in[0][t * na + i] : n->in[1][t * nb + i - na];
}

static void ref_norm(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols / (size_t)n->c->attr[0];

    for (size_t g = 0; g < n->n_out; g += d) {
        double ss = 0;

        for (size_t i = g; i < g + d; i++)
            ss += n->in[0][i] * n->in[0][i];
        for (size_t i = g; i < g + d; i++)
            y[i] = n->in[0][i] / sqrt(ss / (double)d + 1e-6);
    }
}

static void ref_silu(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = n->in[0][i] / (1 + exp(-n->in[0][i]));
}

static void ref_squareplus(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = (n->in[0][i] + sqrt(n->in[0][i] * n->in[0][i] + 4)) / 2;
}

static void ref_hard(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = n->in[0][i] * fmin(fmax(n->in[0][i] / 4 + 0.5, 0), 1);
}

static void ref_algebraic(const struct node *n, double *y)
{
    for (size_t i = 0; i < n->n_out; i++)
        y[i] = n->in[0][i] * (0.5 + 0.5 * n->in[0][i] / (1 + fabs(n->in[0][i])));
}

static void ref_conv(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols, tokens = n->c->tokens;

    for (size_t t = 0; t < lanes(n); t++)
        for (size_t i = 0; i < d; i++) {
            y[t * d + i] = n->in[3][i];
            for (size_t j = 0; j < 4 && j <= t % tokens; j++)
                y[t * d + i] += n->in[1][i * 4 + 3 - j] * n->in[0][(t - j) * d + i];
        }
}

static void ref_decay(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols;

    for (size_t i = 0; i < n->n_out; i++) {
        const double v = n->in[0][i] + n->in[1][i % d];

        y[i] = n->c->attr[0] && v <= -11 ? 0 : exp2(fmin(fmax(v, -11), 3));
    }
}

static void ref_turn(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols;

    for (size_t i = 0; i < n->n_out; i++)
        y[i] = n->in[0][i] / 4 + (i / d % n->c->tokens ? y[i - d] : 0);
}

static void turn_pair(double *to, const double *from, double turns)
{
    const double angle = 2 * acos(-1) * turns, x = from[0], y = from[1];

    to[0] = x * cos(angle) - y * sin(angle);
    to[1] = x * sin(angle) + y * cos(angle);
}

static void ref_rotate(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols, pairs = n->in_type[1].cols;

    memcpy(y, n->in[0], n->n_out * sizeof(*y));
    for (size_t t = 0; t < lanes(n); t++)
        for (size_t k = 0; k < pairs; k++)
            for (size_t half = 0; half < 2; half++) {
                const size_t at = t * d + half * d / 2 + 2 * k;

                turn_pair(y + at, n->in[0] + at, n->in[1][t * pairs + k]);
            }
}

/* One token after the other: h = 2^-l h + (1 - 2^-l) B x, y = C h. */
static void ref_scan(const struct node *n, double *y)
{
    const size_t heads = (size_t)n->c->attr[1], dim = (size_t)n->c->attr[2];
    const size_t d_state = (size_t)n->c->attr[3];
    double *h = zeroed(heads * dim * d_state, sizeof(*h));

    for (size_t t = 0; t < lanes(n); t++) {
        const double *b = n->in[1] + t * 2 * d_state, *c = b + d_state;

        if (t % n->c->tokens == 0)
            memset(h, 0, heads * dim * d_state * sizeof(*h));
        for (size_t i = 0; i < heads * dim; i++) {
            const double a = exp2(-n->in[2][t * heads + i / dim]),
                         x = n->in[0][t * heads * dim + i];

            y[t * heads * dim + i] = 0;
            for (size_t s = 0; s < d_state; s++) {
                h[i * d_state + s] = a * h[i * d_state + s] + (1 - a) * b[s] * x;
                y[t * heads * dim + i] += c[s] * h[i * d_state + s];
            }
        }
    }
    free(h);
}

/* ---- the cases ---- */

/* clang-format off */
#define I8 MBI_I8
#define I16 MBI_I16
#define I32 MBI_I32
#define ALL INT32_MIN, INT32_MAX
static const struct grad_case cases[] = {
    {"embed", MBI_OP_embed, .cols = {1, 5}, .rows = {0, 7}, .dtype = {I32, I8}, .frac = {0, 5},
     .lo = {0, -127}, .hi = {6, 127}, .streams = 2, .tokens = 9, .fixed = 1, .twin = ref_embed, .units = 1e-9},
    {"matvec", MBI_OP_matvec, .cols = {7, 7}, .rows = {0, 5}, .dtype = {I8, I8}, .frac = {5, 6},
     .lo = {-128, -127}, .hi = {127, 127}, .streams = 2, .tokens = 3, .twin = ref_matvec},
    {"requant", MBI_OP_requant, .cols = {13}, .dtype = {I32}, .frac = {10}, .lo = {-6000}, .hi = {6000},
     .attr = {5, -128, 127, 5}, .streams = 2, .tokens = 3, .twin = ref_copy, .clamp_lo = -128, .clamp_hi = 127, .units = 0.5},
    {"requant to 16 bits", MBI_OP_requant, .cols = {13}, .dtype = {I32}, .frac = {14}, .lo = {-500000}, .hi = {500000},
     .attr = {3, -32768, 32767, 11}, .streams = 2, .tokens = 3, .twin = ref_copy, .clamp_lo = -32768, .clamp_hi = 32767, .units = 0.5},
    {"requant, no clamp", MBI_OP_requant, .cols = {13}, .dtype = {I8}, .frac = {5}, .lo = {-128}, .hi = {127},
     .attr = {-5, ALL, 10}, .streams = 2, .tokens = 3, .twin = ref_copy, .units = 1e-9},
    {"requant, ReLU", MBI_OP_requant, .cols = {13}, .dtype = {I16}, .frac = {5}, .lo = {-200}, .hi = {200},
     .attr = {0, 0, 127, 5}, .streams = 2, .tokens = 3, .twin = ref_relu, .clamp_lo = 0, .clamp_hi = 127, .units = 1e-9},
    {"requant_rows", MBI_OP_requant_rows, .cols = {13, 13}, .rows = {0, 1}, .dtype = {I32, I8}, .frac = {5},
     .lo = {-400000, -2}, .hi = {400000, 2}, .attr = {3, -32768, 32767, 8}, .streams = 2, .tokens = 3, .fixed = 2,
     .twin = ref_copy, .clamp_lo = -32768, .clamp_hi = 32767},
    {"requant_mul", MBI_OP_requant_mul, .cols = {13, 1, 1}, .rows = {0, 1, 1}, .dtype = {I32, I16, I8}, .frac = {5},
     .lo = {-400000, 16384, 12}, .hi = {400000, 32767, 14}, .attr = {3, -32768, 32767, 8}, .streams = 2, .tokens = 9,
     .fixed = 6, .twin = ref_copy, .clamp_lo = -32768, .clamp_hi = 32767},
    {"add", MBI_OP_add, .cols = {9, 9}, .dtype = {I32, I16}, .frac = {10, 10}, .lo = {-5000, -5000}, .hi = {5000, 5000},
     .streams = 2, .tokens = 3, .twin = ref_add, .units = 1e-9},
    {"add a parameter", MBI_OP_add, .cols = {9, 9}, .rows = {0, 1}, .dtype = {I32, I16}, .frac = {10, 10},
     .lo = {-5000, -5000}, .hi = {5000, 5000}, .streams = 2, .tokens = 3, .twin = ref_add, .units = 1e-9},
    {"addsat", MBI_OP_addsat, .cols = {37, 37}, .dtype = {I32, I32}, .frac = {10, 10}, .lo = {-5000, -5000},
     .hi = {5000, 5000}, .attr = {13}, .streams = 2, .tokens = 3, .twin = ref_add, .clamp_lo = -4096, .clamp_hi = 4095, .units = 1e-9},
    {"mul", MBI_OP_mul, .cols = {9, 9}, .dtype = {I16, I16}, .frac = {8, 11}, .lo = {-2000, -9000}, .hi = {2000, 9000},
     .attr = {1}, .streams = 2, .tokens = 3, .twin = ref_mul, .units = 1e-9},
    {"mul by a parameter", MBI_OP_mul, .cols = {9, 9}, .rows = {0, 1}, .dtype = {I16, I16}, .frac = {8, 8},
     .lo = {-2000, -600}, .hi = {2000, 600}, .attr = {1}, .streams = 2, .tokens = 3, .twin = ref_mul, .units = 1e-9},
    {"mul by heads", MBI_OP_mul, .cols = {21, 3}, .rows = {0, 1}, .dtype = {I8, I16}, .frac = {5, 8},
     .lo = {-128, -600}, .hi = {127, 600}, .attr = {7}, .streams = 2, .tokens = 3, .twin = ref_mul, .units = 1e-9},
    {"mul by a narrow value", MBI_OP_mul, .cols = {24, 8}, .dtype = {I8, I8}, .frac = {5, 5}, .lo = {-128, -128},
     .hi = {127, 127}, .attr = {3}, .streams = 2, .tokens = 3, .twin = ref_mul, .units = 1e-9},
    {"slice", MBI_OP_slice, .cols = {11}, .dtype = {I16}, .frac = {8}, .lo = {-2000}, .hi = {2000}, .attr = {3, 5},
     .streams = 2, .tokens = 3, .twin = ref_slice, .units = 1e-9},
    {"concat", MBI_OP_concat, .cols = {5, 3}, .dtype = {I16, I16}, .frac = {8, 8}, .lo = {-2000, -2000}, .hi = {2000, 2000},
     .streams = 2, .tokens = 3, .twin = ref_concat, .units = 1e-9},
    {"norm_rms", MBI_OP_norm_rms, .cols = {24}, .dtype = {I32}, .frac = {10}, .lo = {-3000}, .hi = {3000}, .attr = {1, 5, 8},
     .streams = 2, .tokens = 3, .twin = ref_norm, .clamp_lo = -128, .clamp_hi = 127, .units = 0.52},
    {"norm_rms of heads", MBI_OP_norm_rms, .cols = {57}, .dtype = {I32}, .frac = {14}, .lo = {-60000}, .hi = {60000},
     .attr = {3, 8, 16}, .streams = 2, .tokens = 3, .twin = ref_norm, .clamp_lo = -32768, .clamp_hi = 32767, .units = 1},
    {"norm_rms, saturated", MBI_OP_norm_rms, .cols = {24}, .dtype = {I32}, .frac = {10}, .lo = {-3000}, .hi = {3000},
     .attr = {1, 7, 8}, .streams = 2, .tokens = 3, .twin = ref_norm, .clamp_lo = -128, .clamp_hi = 127, .units = 0.52},
    {"norm_shift, twin", MBI_OP_norm_shift, .cols = {24}, .dtype = {I32}, .frac = {10}, .lo = {-3000}, .hi = {3000},
     .attr = {2, 10, 16}, .streams = 2, .tokens = 3, .twin = ref_norm},
    {"gate hard", MBI_OP_gate, .cols = {31}, .dtype = {I16}, .frac = {8}, .lo = {-1200}, .hi = {1200}, .attr = {MBI_GATE_HARD},
     .streams = 2, .tokens = 3, .twin = ref_silu, .integer = ref_hard, .units = 1e-9},
    {"gate algebraic", MBI_OP_gate, .cols = {31}, .dtype = {I16}, .frac = {8}, .lo = {-1200}, .hi = {1200},
     .attr = {MBI_GATE_ALGEBRAIC}, .streams = 2, .tokens = 3, .twin = ref_silu, .integer = ref_algebraic, .units = 1200},
    {"gate squareplus", MBI_OP_gate, .cols = {31}, .dtype = {I16}, .frac = {8}, .lo = {-1200}, .hi = {1200},
     .attr = {MBI_GATE_SQUAREPLUS}, .streams = 2, .tokens = 3, .twin = ref_squareplus, .units = 32768},
    {"conv", MBI_OP_conv, .cols = {11, 4, 11, 11}, .rows = {0, 11, 1, 1}, .dtype = {I16, I8, I8, I16}, .frac = {8, 6, 0, 8},
     .lo = {-2000, -127, -8, -300}, .hi = {2000, 127, 10, 300}, .streams = 3, .tokens = 9, .fixed = 4, .twin = ref_conv,
     .clamp_lo = -32768, .clamp_hi = 32767, .units = 0.5},
    {"conv, one token", MBI_OP_conv, .cols = {11, 4, 11, 11}, .rows = {0, 11, 1, 1}, .dtype = {I16, I8, I8, I16},
     .frac = {8, 6, 0, 8}, .lo = {-2000, -127, -8, -300}, .hi = {2000, 127, 10, 300}, .streams = 3, .tokens = 1, .fixed = 4,
     .twin = ref_conv, .clamp_lo = -32768, .clamp_hi = 32767, .units = 0.5},
    {"conv, saturated", MBI_OP_conv, .cols = {11, 4, 11, 11}, .rows = {0, 11, 1, 1}, .dtype = {I16, I8, I8, I16},
     .frac = {8, 6, 0, 8}, .lo = {-32768, -127, -8, -300}, .hi = {32767, 127, 10, 300}, .streams = 3, .tokens = 6, .fixed = 4,
     .twin = ref_conv, .clamp_lo = -32768, .clamp_hi = 32767, .units = 0.5},
    {"decay", MBI_OP_decay, .cols = {5, 5}, .rows = {0, 1}, .dtype = {I16, I16}, .frac = {8, 8}, .lo = {-1900, -1900},
     .hi = {900, 900}, .attr = {0}, .streams = 2, .tokens = 9, .twin = ref_decay, .units = 0.6},
    {"decay, held", MBI_OP_decay, .cols = {5, 5}, .rows = {0, 1}, .dtype = {I16, I16}, .frac = {8, 8}, .lo = {-2500, -1900},
     .hi = {900, 900}, .attr = {1}, .streams = 2, .tokens = 9, .twin = ref_decay, .units = 0.6},
    {"turn", MBI_OP_turn, .cols = {3}, .dtype = {I16}, .frac = {8}, .lo = {-300}, .hi = {300}, .streams = 2, .tokens = 9,
     .twin = ref_turn},
    {"rotate", MBI_OP_rotate, .cols = {24, 5}, .dtype = {I8, I16}, .frac = {5, 8}, .lo = {-128, 0}, .hi = {127, 255},
     .attr = {5}, .streams = 2, .tokens = 9, .twin = ref_rotate, .clamp_lo = -128, .clamp_hi = 127, .units = 0.7},
    {"rotate all", MBI_OP_rotate, .cols = {8, 2}, .dtype = {I8, I16}, .frac = {5, 8}, .lo = {-128, 0}, .hi = {127, 255},
     .attr = {2}, .streams = 2, .tokens = 9, .twin = ref_rotate, .clamp_lo = -128, .clamp_hi = 127, .units = 0.7},
    {"scan", MBI_OP_scan, .cols = {6, 8, 2}, .dtype = {I8, I8, I32}, .frac = {5, 5, 16}, .lo = {-128, -128, 32},
     .hi = {127, 127, 1 << 14}, .attr = {8, 2, 3, 4, 0}, .streams = 2, .tokens = 150, .twin = ref_scan, .units = 300},
    {"scan, slow decays", MBI_OP_scan, .cols = {3, 4, 3}, .dtype = {I8, I8, I32}, .frac = {5, 5, 16}, .lo = {-128, -128, 32},
     .hi = {127, 127, 600}, .attr = {64, 3, 1, 2, 0}, .streams = 1, .tokens = 200, .twin = ref_scan, .units = 800},
    {"scan, fast decays", MBI_OP_scan, .cols = {4, 8, 1}, .dtype = {I8, I8, I32}, .frac = {5, 5, 16}, .lo = {-128, -128, 0},
     .hi = {127, 127, 1 << 19}, .attr = {16, 1, 4, 4, 0}, .streams = 2, .tokens = 70, .twin = ref_scan, .units = 300},
    {"scan, whole chunks", MBI_OP_scan, .cols = {4, 4, 2}, .dtype = {I8, I8, I32}, .frac = {5, 5, 16}, .lo = {-128, -128, 32},
     .hi = {127, 127, 1 << 13}, .attr = {64, 2, 2, 2, 0}, .streams = 2, .tokens = 128, .twin = ref_scan, .units = 300},
    {"scan, one token", MBI_OP_scan, .cols = {4, 4, 2}, .dtype = {I8, I8, I32}, .frac = {5, 5, 16}, .lo = {-128, -128, 32},
     .hi = {127, 127, 1 << 13}, .attr = {1, 2, 2, 2, 1}, .streams = 5, .tokens = 1, .twin = ref_scan, .units = 300},
};
#define N_CASES (int)MBI_COUNT(cases)
/* clang-format on */

/* ---- the twin ---- */

START_TEST(twin_is_what_it_says)
{
    struct test_random r;
    struct node n;

    test_random_init(&r, cases[_i].name);
    node_init(&n, &cases[_i]);
    fill(&n, &r, false);
    call(&n, n.row->def->grad->forward);
    cases[_i].twin(&n, n.out);
    for (size_t i = 0; i < n.n_out; i++)
        ck_assert_msg(fabs((double)n.out_f[i] - n.out[i]) < 2e-5 * (1 + fabs(n.out[i])),
                      "%s: element %zu: %.9g, in double %.9g", cases[_i].name, i,
                      (double)n.out_f[i], n.out[i]);
    node_free(&n);
}
END_TEST

START_TEST(twin_gradient_is_its_slope)
{
    struct test_random r;
    struct node n;

    test_random_init(&r, cases[_i].name);
    node_init(&n, &cases[_i]);
    fill(&n, &r, false);
    call(&n, n.row->def->grad->forward);
    for (size_t k = 0; k < n.row->n_in; k++)
        n.args.d_in[k] = cases[_i].fixed >> k & 1 ? NULL : n.d_in[k];
    call(&n, n.row->def->grad->backward);
    check_gradient(&n, cases[_i].twin, 2e-5);
    node_free(&n);
}
END_TEST

/* ---- after the integer kernel ---- */

static void run_stream(struct node *n, size_t stream)
{
    const struct mbi_op_def *def = n->row->def;
    struct mbi_state_field field[MBI_MAX_STATE_FIELDS];
    struct mbi_op_args a = {.out_type = &n->out_type, .attr = n->c->attr, .lanes = n->c->tokens};
    const size_t first = stream * n->c->tokens;
    size_t fields = 0;

    for (size_t k = 0; k < n->row->n_in; k++) {
        a.in[k] =
            (char *)n->in_int[k] + (n->c->rows[k] ? 0 : first * mbi_type_row_size(&n->in_type[k]));
        a.in_is_param[k] = n->c->rows[k] > 0;
        a.in_type[k] = &n->in_type[k];
    }
    a.out = (char *)n->out_int + first * mbi_type_row_size(&n->out_type);
    if (def->state)
        fields = def->state(field, a.in_type, n->c->attr);
    for (size_t k = 0; k < fields; k++)
        a.state[k] = zeroed(field[k].count, mbi_dtype_size(field[k].dtype));
    a.end = def->units(&a);
    def->eval(&a);
    if (def->finish)
        def->finish(&a);
    for (size_t k = 0; k < fields; k++)
        free(a.state[k]);
}

/* Real inputs of the gradient are those it asks for; the others are NULL. */
static void integer_step(struct node *n, struct test_random *r)
{
    const struct mbi_op_grad *g = n->row->def->grad;

    fill(n, r, true);
    for (size_t s = 0; s < n->c->streams; s++)
        run_stream(n, s);
    n->args.integers = true;
    n->args.out_int = n->out_int;
    n->args.out = NULL;
    for (size_t k = 0; k < n->row->n_in; k++) {
        n->args.in_int[k] = n->in_int[k];
        n->args.in[k] = g->needs_in >> k & 1 ? n->in_f[k] : NULL;
        n->args.d_in[k] = n->c->fixed >> k & 1 ? NULL : n->d_in[k];
    }
}

static bool clamped(const struct node *n, size_t i)
{
    const int64_t v = get(n->out_int, n->out_type.dtype, i);

    return n->c->clamp_lo < n->c->clamp_hi && (v == n->c->clamp_lo || v == n->c->clamp_hi);
}

static reference *integer_reference(const struct grad_case *c)
{
    return c->integer ? c->integer : c->twin;
}

/* The twin stands for the integers: they differ by roundings. */
START_TEST(integers_are_near)
{
    const struct grad_case *c = &cases[_i];
    struct test_random r;
    struct node n;

    test_random_init(&r, c->name);
    node_init(&n, c);
    integer_step(&n, &r);
    integer_reference(c)(&n, n.out);
    for (size_t i = 0; c->units > 0 && i < n.n_out; i++) {
        const double v = (double)get(n.out_int, n.out_type.dtype, i);
        const double distance = fabs(v - ldexp(n.out[i], n.out_type.frac));

        ck_assert_msg(clamped(&n, i) || distance <= c->units,
                      "%s: element %zu: integer %g, real %.6f, %g units apart", c->name, i, v,
                      ldexp(n.out[i], n.out_type.frac), distance);
    }
    node_free(&n);
}
END_TEST

/* The slope of the smooth computation, without what a clamp stopped. */
START_TEST(integer_gradient_is_straight_through)
{
    const struct grad_case *c = &cases[_i];
    struct test_random r;
    struct node n;

    test_random_init(&r, c->name);
    node_init(&n, c);
    integer_step(&n, &r);
    if (c->op == MBI_OP_norm_shift) { /* has a rule of its own, below */
        node_free(&n);
        return;
    }
    call(&n, n.row->def->grad->backward);
    for (size_t i = 0; i < n.n_out; i++)
        if (clamped(&n, i) &&
            !(c->op == MBI_OP_rotate && i % (n.out_type.cols / 2) >= 2 * (size_t)n.in_type[1].cols))
            n.d_out[i] = 0;
    check_gradient(&n, integer_reference(c), 2e-5);
    node_free(&n);
}
END_TEST

/* Something has to reach the clamps, or the test above shows nothing. */
START_TEST(clamps_are_reached)
{
    size_t inside = 0, reached = 0;
    struct test_random r;
    struct node n;

    if (cases[_i].clamp_lo == cases[_i].clamp_hi || strcmp(cases[_i].name, "norm_rms") == 0 ||
        strcmp(cases[_i].name, "norm_rms of heads") == 0 || strncmp(cases[_i].name, "conv", 4) == 0)
        return;
    test_random_init(&r, cases[_i].name);
    node_init(&n, &cases[_i]);
    integer_step(&n, &r);
    for (size_t i = 0; i < n.n_out; i++)
        *(clamped(&n, i) ? &reached : &inside) += 1;
    ck_assert_uint_gt(inside, 0);
    ck_assert_uint_gt(reached, 0);
    node_free(&n);
}
END_TEST

/* The factor of every group that the kernel took, held while the direction is differentiated. */
static double taken[64];

static void ref_shift(const struct node *n, double *y)
{
    const size_t d = n->out_type.cols / (size_t)n->c->attr[0];

    ref_norm(n, y);
    for (size_t i = 0; i < n->n_out; i++)
        y[i] *= taken[i / d];
}

START_TEST(norm_shift_keeps_the_power_of_two_taken)
{
    const struct grad_case c = {
        "norm_shift",     MBI_OP_norm_shift, .cols = {64},        .dtype = {MBI_I32}, .frac = {10},
        .lo = {-1048576}, .hi = {1048576},   .attr = {2, 10, 16}, .streams = 2,       .tokens = 8};
    struct test_random r;
    struct node n;

    test_random_init(&r, c.name);
    node_init(&n, &c);
    fill(&n, &r, true);
    integer_step(&n, &r);
    /* Groups of very different size, so that many powers occur. */
    for (size_t i = 0; i < n.n_out; i++) {
        const int64_t v = get(n.in_int[0], MBI_I32, i) >> (i / 32 % 16);

        put(n.in_int[0], MBI_I32, i, v);
        n.in[0][i] = ldexp((double)v, -10);
        n.in_f[0][i] = (float)n.in[0][i];
    }
    for (size_t s = 0; s < c.streams; s++)
        run_stream(&n, s);
    for (size_t g = 0; g < n.n_out / 32; g++) {
        size_t big = g * 32;
        double ss = 0, s;

        for (size_t i = g * 32; i < g * 32 + 32; i++) {
            ss += n.in[0][i] * n.in[0][i];
            if (fabs(n.in[0][i]) > fabs(n.in[0][big]))
                big = i;
        }
        s = ldexp((double)get(n.out_int, n.out_type.dtype, big), -10) / n.in[0][big];
        taken[g] = exp2(rint(log2(s))) * sqrt(ss / 32 + 1e-6);
        ck_assert(taken[g] > 0.7 && taken[g] < 1.4143);
    }
    call(&n, n.row->def->grad->backward);
    check_gradient(&n, ref_shift, 1e-4);
    node_free(&n);
}
END_TEST

/* ---- several nodes ---- */

/* turn, rotate and scan in a row: how a gradient reaches the angles through the recurrence. */
static const struct grad_case turn_case = {
    "turn",       MBI_OP_turn, .cols = {2},  .dtype = {MBI_I16}, .frac = {8},
    .lo = {-300}, .hi = {300}, .streams = 2, .tokens = 80,       .twin = ref_turn};
static const struct grad_case rotate_case = {
    "rotate",       MBI_OP_rotate,   .cols = {8, 2},    .dtype = {MBI_I8, MBI_I16},
    .frac = {5, 8}, .lo = {-128, 0}, .hi = {127, 255},  .attr = {2},
    .streams = 2,   .tokens = 80,    .twin = ref_rotate};
static const struct grad_case scan_case = {"scan",
                                           MBI_OP_scan,
                                           .cols = {4, 8, 2},
                                           .dtype = {MBI_I8, MBI_I8, MBI_I32},
                                           .frac = {5, 5, 16},
                                           .lo = {-128, -128, 32},
                                           .hi = {127, 127, 1 << 15},
                                           .attr = {8, 2, 2, 4, 0},
                                           .streams = 2,
                                           .tokens = 80,
                                           .twin = ref_scan};

static double chain_loss(struct node *turn, struct node *rotate, struct node *scan)
{
    ref_turn(turn, rotate->in[1]);
    ref_rotate(rotate, scan->in[1]);
    return loss(scan, ref_scan);
}

static void step_back(struct node *n, size_t inputs)
{
    for (size_t k = 0; k < inputs; k++) {
        memset(n->d_in[k], 0, n->n_in[k] * sizeof(float));
        n->args.d_in[k] = n->d_in[k];
    }
    call(n, n->row->def->grad->backward);
}

START_TEST(gradients_chain)
{
    struct node turn, rotate, scan;
    struct test_random r;

    test_random_init(&r, "gradients_chain");
    node_init(&turn, &turn_case);
    node_init(&rotate, &rotate_case);
    node_init(&scan, &scan_case);
    fill(&turn, &r, false);
    fill(&rotate, &r, false);
    fill(&scan, &r, false);
    call(&turn, mbi_grad_turn.forward);
    memcpy(rotate.in_f[1], turn.out_f, turn.n_out * sizeof(float));
    call(&rotate, mbi_grad_rotate.forward);
    memcpy(scan.in_f[1], rotate.out_f, rotate.n_out * sizeof(float));
    step_back(&scan, 3);
    memcpy(rotate.d_out, scan.d_in[1], rotate.n_out * sizeof(float));
    step_back(&rotate, 2);
    memcpy(turn.d_out, rotate.d_in[1], turn.n_out * sizeof(float));
    step_back(&turn, 1);
    for (size_t i = 0; i < turn.n_in[0]; i++) {
        const double p = turn.in[0][i];
        double up, want;

        turn.in[0][i] = p + STEP;
        up = chain_loss(&turn, &rotate, &scan);
        turn.in[0][i] = p - STEP;
        want = (up - chain_loss(&turn, &rotate, &scan)) / (2 * STEP);
        turn.in[0][i] = p;
        ck_assert_msg(fabs((double)turn.d_in[0][i] - want) < 1e-3 * (1 + fabs(want)),
                      "element %zu: gradient %.9g, differences %.9g", i, (double)turn.d_in[0][i],
                      want);
    }
    node_free(&turn);
    node_free(&rotate);
    node_free(&scan);
}
END_TEST

/* A node may read one value twice, and both gradients go to the same place. */
START_TEST(one_value_in_both_places)
{
    const struct grad_case add = {
        "add",          MBI_OP_add,   .cols = {19, 19}, .dtype = {MBI_I16, MBI_I16},
        .lo = {-9, -9}, .hi = {9, 9}, .streams = 1,     .tokens = 3};
    const struct grad_case mul = {
        "mul",          MBI_OP_mul,   .cols = {19, 19}, .dtype = {MBI_I16, MBI_I16},
        .lo = {-9, -9}, .hi = {9, 9}, .attr = {1},      .streams = 1,
        .tokens = 3};
    struct test_random r;

    test_random_init(&r, "one_value_in_both_places");
    for (size_t k = 0; k < 2; k++) {
        struct node n;

        node_init(&n, k ? &mul : &add);
        fill(&n, &r, false);
        memset(n.d_in[0], 0, n.n_in[0] * sizeof(float));
        n.args.in[1] = n.args.in[0];
        n.args.d_in[0] = n.args.d_in[1] = n.d_in[0];
        call(&n, n.row->def->grad->backward);
        for (size_t i = 0; i < n.n_in[0]; i++)
            ck_assert_float_eq_tol(n.d_in[0][i], 2 * n.d_out[i] * (k ? n.in_f[0][i] : 1), 1e-5f);
        node_free(&n);
    }
}
END_TEST

/* A gradient that nobody wants is left out and changes nothing in the others. */
START_TEST(unwanted_gradients_are_left_out)
{
    const struct grad_case *c = &cases[_i];
    struct test_random r;
    struct node n;

    test_random_init(&r, c->name);
    node_init(&n, c);
    fill(&n, &r, false);
    call(&n, n.row->def->grad->forward);
    for (size_t only = 0; only < n.row->n_in; only++) {
        float *all = zeroed(n.n_in[only], sizeof(*all));

        if (c->fixed >> only & 1) {
            free(all);
            continue;
        }
        for (size_t k = 0; k < n.row->n_in; k++)
            n.args.d_in[k] = c->fixed >> k & 1 ? NULL : n.d_in[k];
        memset(n.d_in[only], 0, n.n_in[only] * sizeof(float));
        call(&n, n.row->def->grad->backward);
        memcpy(all, n.d_in[only], n.n_in[only] * sizeof(float));
        for (size_t k = 0; k < n.row->n_in; k++)
            n.args.d_in[k] = k == only ? n.d_in[k] : NULL;
        memset(n.d_in[only], 0, n.n_in[only] * sizeof(float));
        call(&n, n.row->def->grad->backward);
        test_same_bytes(n.d_in[only], all, n.n_in[only] * sizeof(float));
        free(all);
    }
    node_free(&n);
}
END_TEST

START_TEST(argmax_chooses_and_has_no_slope)
{
    const struct grad_case c = {"argmax",   MBI_OP_argmax, .cols = {5},  .dtype = {MBI_I32},
                                .lo = {-3}, .hi = {3},     .streams = 1, .tokens = 2};
    const float x[] = {1, 4, -2, 4, 0, -5, -6, -5, -9, -7}; /* the first of equals */
    struct node n;

    node_init(&n, &c);
    memcpy(n.in_f[0], x, sizeof(x));
    call(&n, mbi_grad_argmax.forward);
    ck_assert_float_eq(n.out_f[0], 1);
    ck_assert_float_eq(n.out_f[1], 0);
    n.args.d_in[0] = n.d_in[0];
    n.d_out[0] = 1;
    call(&n, mbi_grad_argmax.backward);
    for (size_t i = 0; i < n.n_in[0]; i++)
        ck_assert_float_eq(n.d_in[0][i], 0);
    ck_assert(mbi_grad_argmax.no_grad);
    node_free(&n);
}
END_TEST

START_TEST(every_operation_has_both_directions)
{
    for (uint32_t i = 1; i < mbi_op_count; i++) {
        ck_assert_ptr_nonnull(mbi_op_table[i].def->grad);
        ck_assert(mbi_op_table[i].def->grad->forward != NULL);
        ck_assert(mbi_op_table[i].def->grad->backward != NULL);
    }
}
END_TEST

/* ---- matrix products ---- */

static double element(const float *x, size_t ld, bool trans, size_t row, size_t col)
{
    return (double)(trans ? x[col * ld + row] : x[row * ld + col]);
}

/* Every pair of transpositions, sizes around the blocks, strides above the widths. */
START_TEST(products_agree_with_sums)
{
    static const size_t size[] = {1, 2, 5, 7, 16, 33, 64, 130};
    enum { LD = 140 };
    const bool ta = _i & 1, tb = _i & 2;
    float *a = zeroed(LD * LD, sizeof(*a)), *b = zeroed(LD * LD, sizeof(*b));
    float *c = zeroed(LD * LD, sizeof(*c));
    const struct mbi_linalg linalg = mbi_linalg_open();
    struct test_random r;

    test_random_init(&r, "products_agree_with_sums");
    for (size_t round = 0; round < 120; round++) {
        const size_t m = size[test_random_below(&r, 8)], n = size[test_random_below(&r, 8)];
        const size_t k = size[test_random_below(&r, 8)];
        const float alpha = round % 4 < 2 ? 1 : 0.5f, beta = (float)(round % 3) / 2;

        for (size_t i = 0; i < LD * LD; i++) {
            a[i] = (float)uniform(&r);
            b[i] = (float)uniform(&r);
            c[i] = beta > 0 ? (float)(i % 5) : NAN; /* with beta = 0, C is not read */
        }
        mbi_sgemm(round & 1 ? &linalg : NULL, ta, tb, m, n, k, alpha, a, LD, b, LD, beta, c, LD);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double want = beta > 0 ? (double)beta * (double)((i * LD + j) % 5) : 0;

                for (size_t p = 0; p < k; p++)
                    want += (double)alpha * element(a, LD, ta, i, p) * element(b, LD, tb, p, j);
                ck_assert_msg(fabs((double)c[i * LD + j] - want) < 2e-5,
                              "%zu x %zu x %zu at %zu, %zu: %g, not %g", m, n, k, i, j,
                              (double)c[i * LD + j], want);
            }
        for (size_t i = 0; i < m; i++) /* nothing beyond the columns */
            for (size_t j = n; j < LD; j++)
                ck_assert(beta > 0 ? c[i * LD + j] == (float)((i * LD + j) % 5)
                                   : isnan(c[i * LD + j]));
    }
    free(a);
    free(b);
    free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grad");
    TCase *t = tcase_create("grad");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, every_operation_has_both_directions);
    tcase_add_loop_test(t, products_agree_with_sums, 0, 4);
    tcase_add_loop_test(t, twin_is_what_it_says, 0, N_CASES);
    tcase_add_loop_test(t, twin_gradient_is_its_slope, 0, N_CASES);
    tcase_add_loop_test(t, integers_are_near, 0, N_CASES);
    tcase_add_loop_test(t, clamps_are_reached, 0, N_CASES);
    tcase_add_loop_test(t, integer_gradient_is_straight_through, 0, N_CASES);
    tcase_add_loop_test(t, unwanted_gradients_are_left_out, 0, N_CASES);
    tcase_add_test(t, norm_shift_keeps_the_power_of_two_taken);
    tcase_add_test(t, gradients_chain);
    tcase_add_test(t, one_value_in_both_places);
    tcase_add_test(t, argmax_chooses_and_has_no_slope);
    suite_add_tcase(s, t);
    return test_main(s);
}

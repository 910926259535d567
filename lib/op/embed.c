/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a model: the row of a token, and the token of the largest logit. */
#include "op/element.h"
#include <string.h>

/* ---- embed: y = table[token]                                        arithmetic.md, embed ---- */

static int32_t embed_infer(struct mbi_infer *q)
{
    const struct mbi_type *id = q->in[0], *table = q->in[1];

    if (id->dtype != MBI_I32 || id->cols != 1 || table->dtype == MBI_TERNARY)
        return mbi_infer_mismatch(q, "embed", "needs one token and an integer table");
    if (id->lo < 0 || id->hi >= table->rows)
        return mbi_infer_mismatch(q, "embed", "the table has fewer rows than there are tokens");
    *q->out = (struct mbi_type){table->dtype, table->frac, 1, table->cols, table->lo, table->hi};
    return MAMBAINT_OK;
}

static void embed_eval(const struct mbi_op_args *a)
{
    const size_t size = mbi_type_row_size(a->out_type);
    const int32_t *id = a->in[0];
    const char *table = a->in[1];
    char *y = a->out;

    for (size_t t = a->begin; t < a->end; t++)
        memcpy(y + t * size, table + (size_t)id[t] * size, size);
}

/* Linear: a view of the table whose row is the token of the lane, which is public. */
static void embed_declare(struct mbi_gadget *g)
{
    if (g->node->in[0] || !g->takes_tokens)
        mbi_gadget_fault(g, "its number is not the token that the graph takes in");
    g->out = mbi_gadget_define(g, g->node->type.cols);
    mbi_gadget_view(g, 1,
                    mbi_view(g->in[1], mbi_pick(MBI_LETTER_ROW, 0), mbi_fixed(0),
                             mbi_along(MBI_LETTER_COL, 0)));
}

static const struct mbi_op_gadget embed_proof = {embed_declare, NULL};

static const struct mbi_op_case embed_cases[] = {
    {.cols = {1, 5},
     .rows = {0, 7},
     .dtype = {MBI_I32, MBI_I8},
     .frac = {0, 5},
     .lo = {0, -127},
     .hi = {6, 127}},
    {.cols = {1, 64},
     .rows = {0, 300},
     .dtype = {MBI_I32, MBI_I8},
     .frac = {0, 5},
     .lo = {0, -127},
     .hi = {299, 127}},
};

const struct mbi_op_def mbi_op_embed = {
    .params = 1u << 1,
    .infer = embed_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(embed_eval),
    .grad = MBI_GRAD(embed),
    .gadget = &embed_proof,
    .cases = MBI_CASES(embed_cases),
    .n_cases = MBI_COUNT(embed_cases),
};

/* ---- argmax: the lowest index among the largest                     arithmetic.md, argmax ---- */

static int32_t argmax_infer(struct mbi_infer *q)
{
    const uint32_t n = q->in[0]->cols;

    *q->out = (struct mbi_type){MBI_I32, 0, 1, 1, 0, (int64_t)n - 1};
    return MAMBAINT_OK;
}

static void argmax_eval(const struct mbi_op_args *a)
{
    const size_t n = a->in_type[0]->cols;
    const uint32_t dtype = a->in_type[0]->dtype;
    int32_t *y = a->out;

    for (size_t t = a->begin; t < a->end; t++) {
        size_t best = 0;

        for (size_t i = 1; i < n; i++)
            if (mbi_get(a->in[0], dtype, t * n + i) > mbi_get(a->in[0], dtype, t * n + best))
                best = i;
        y[t] = (int32_t)best;
    }
}

/*
 * The claim that of the last n lanes, token t + 1 is the lowest index y of a largest logit of t:
 * with best = logits(y), logits(v) <= best for v >= y, and < best for v < y. So
 * logits(v) - best + [v < y] + d(v) = 0 with d >= 0 and d(y) = 0. No token is beyond the logits.
 */
enum { LESS, BEST, BEHIND };

static void argmax_declare(struct mbi_gadget *g)
{
    const uint32_t cols = g->in_type[0]->cols, n = g->n_outputs, logits = g->in[0];
    const int64_t lo = mbi_gadget_lo(g, logits), hi = mbi_gadget_hi(g, logits);
    const int32_t from = (int32_t)(g->lanes - n);
    const uint32_t letters[] = {n, cols};
    const struct mbi_axis row = mbi_along(MBI_LETTER_ROW, 0), one = mbi_fixed(0);
    const uint32_t less = mbi_gadget_less(g, cols, from + 1);
    const uint32_t best = mbi_gadget_table(g, (struct mbi_shape){{n, 1, 1}}, lo, hi, true);

    g->out = mbi_gadget_table(g, (struct mbi_shape){{n, 1, cols}}, 0, hi - lo, true);
    mbi_gadget_relate(g, cols);
    mbi_gadget_letters(g, 2, letters);
    mbi_gadget_view(
        g, 1, mbi_view(logits, mbi_along(MBI_LETTER_ROW, from), one, mbi_along(MBI_LETTER_COL, 0)));
    mbi_gadget_view(g, -1, mbi_view(best, row, one, one));
    mbi_gadget_linear(g, 1, less);
    mbi_gadget_linear(g, 1, g->out);
    mbi_gadget_relate(g, 1);
    mbi_gadget_letters(g, 1, letters);
    mbi_gadget_view(g, 1, mbi_view(g->out, row, one, mbi_pick(MBI_LETTER_ROW, from + 1)));
    mbi_gadget_relate(g, 1);
    mbi_gadget_letters(g, 1, letters);
    mbi_gadget_view(g, 1, mbi_view(less, row, one, mbi_fixed((int32_t)cols - 1)));
}

static void argmax_fill(const struct mbi_gadget_fill *f)
{
    const size_t cols = f->in_type[0]->cols, n = f->n_outputs;
    const int32_t *y = f->out;

    for (size_t r = 0; r < n; r++) {
        const size_t t = f->lanes - n + r;
        const int64_t best = mbi_gadget_get(f, f->in_var[0], t, (size_t)y[t]);

        mbi_gadget_set(f, f->first + BEST, r, 0, best);
        for (size_t v = 0; v < cols; v++)
            mbi_gadget_set(f, f->first + BEHIND, r, v,
                           best - mbi_gadget_get(f, f->in_var[0], t, v) -
                               mbi_gadget_get(f, f->first + LESS, r, v));
    }
}

static const struct mbi_op_gadget argmax_proof = {argmax_declare, argmax_fill};

static const struct mbi_op_case argmax_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}},
    {.cols = {33}, .dtype = {MBI_I32}, .lo = {-3}, .hi = {3}},
    {.cols = {300}, .dtype = {MBI_I32}},
};

const struct mbi_op_def mbi_op_argmax = {
    .infer = argmax_infer,
    .units = MBI_KERNEL(mbi_units_lanes),
    .eval = MBI_KERNEL(argmax_eval),
    .grad = MBI_GRAD(argmax),
    .gadget = &argmax_proof,
    .cases = MBI_CASES(argmax_cases),
    .n_cases = MBI_COUNT(argmax_cases),
};

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
    .units = mbi_units_lanes,
    .eval = embed_eval,
    .grad = &mbi_grad_embed,
    .cases = embed_cases,
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

static const struct mbi_op_case argmax_cases[] = {
    {.cols = {1}, .dtype = {MBI_I32}},
    {.cols = {33}, .dtype = {MBI_I32}, .lo = {-3}, .hi = {3}},
    {.cols = {300}, .dtype = {MBI_I32}},
};

const struct mbi_op_def mbi_op_argmax = {
    .infer = argmax_infer,
    .units = mbi_units_lanes,
    .eval = argmax_eval,
    .grad = &mbi_grad_argmax,
    .cases = argmax_cases,
    .n_cases = MBI_COUNT(argmax_cases),
};

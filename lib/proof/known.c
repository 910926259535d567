/* SPDX-License-Identifier: Apache-2.0 */
/* Variables that follow from public parameters and tokens. */
#include "proof/known.h"
#include "graph/element.h"

int64_t mbi_typed_at(const struct mbi_type *t, const void *data, size_t row, size_t col)
{
    if (t->dtype == MBI_TERNARY) {
        const uint8_t *packed = (const uint8_t *)data + row * mbi_type_row_size(t);

        return (packed[col / 4] >> (2 * (col % 4)) & 3) - 1;
    }
    return mbi_get(data, t->dtype, row * t->cols + col);
}

bool mbi_is_known(const struct mbi_plan *p, const struct mbi_var *v)
{
    if (v->kind != MBI_VAR_PUBLIC || v->input == MBI_PUBLIC_OUTPUT)
        return false;
    return v->input != MBI_PUBLIC_INPUT || p->takes_tokens;
}

int64_t mbi_known_at(const struct mbi_plan *p, const struct mbi_var *v,
                     const struct mbi_known *from, size_t row, size_t col)
{
    int64_t x;

    if (v->input == MBI_PUBLIC_INPUT)
        return from->token[row];
    if (v->input == MBI_PUBLIC_LESS)
        return col < from->token[(size_t)v->from + row];
    x = mbi_typed_at(&p->stage[v->stage].graph->param[v->param].type,
                     from->param[v->stage][v->param], row, col);
    return v->input == MBI_PUBLIC_POWER ? (int64_t)1 << (v->from - x) : x;
}

int32_t mbi_known_tables(struct mbi_table *table, const struct mbi_plan *p,
                         const struct mbi_known *from, mambaint_error *err)
{
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        mbi_fe *x;

        if (!mbi_is_known(p, v) || v->input == MBI_PUBLIC_LESS)
            continue;
        table[i] = (struct mbi_table){MBI_TABLE_FIELD, NULL, (size_t)v->n[0] << mbi_row_log(v)};
        if (!(table[i].data = x = mbi_alloc_aligned(p->host, table[i].n * sizeof(*x))))
            return mbi_fail_memory(err, "what is public of a proof");
        for (size_t row = 0; row < v->n[0]; row++)
            for (size_t col = 0; col < v->n[2]; col++)
                x[mbi_var_place(v, row, col)] = mbi_fe_from_i64(mbi_known_at(p, v, from, row, col));
    }
    return MAMBAINT_OK;
}

void mbi_known_free(struct mbi_table *table, const struct mbi_plan *p)
{
    for (uint32_t i = 0; table && i < p->n_vars; i++)
        if (mbi_is_known(p, &p->var[i]))
            mbi_free_aligned(p->host, (void *)(uintptr_t)table[i].data);
}

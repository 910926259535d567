/* SPDX-License-Identifier: Apache-2.0 */
/* Variables that follow from public parameters and tokens. */
#include "proof/known.h"
#include "base/intmath.h"
#include "graph/element.h"

int64_t mbi_typed_at(const struct mbi_type *t, const void *data, size_t row, size_t col)
{
    if (t->dtype == MBI_TERNARY) {
        const uint8_t *packed = (const uint8_t *)data + row * mbi_type_row_size(t);

        return (packed[col / 4] >> (2 * (col % 4)) & 3) - 1;
    }
    return mbi_get(data, t->dtype, row * t->cols + col);
}

/* Of bytes, which exponents mostly are: within what *lo and *hi have been set to. */
static void bytes_ends(int64_t *lo, int64_t *hi, const int8_t *x, size_t n)
{
    int8_t least = x[0], most = x[0];

    for (size_t i = 1; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    *lo = mbi_min_i64(*lo, least);
    *hi = mbi_max_i64(*hi, most);
}

void mbi_typed_ends(int64_t *lo, int64_t *hi, const struct mbi_type *t, const void *data)
{
    const size_t n = (size_t)t->rows * t->cols;

    *lo = t->hi;
    *hi = t->lo;
    if (t->dtype == MBI_I8 && n) {
        bytes_ends(lo, hi, data, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t x = t->dtype == MBI_TERNARY ? mbi_typed_at(t, data, i / t->cols, i % t->cols)
                                                  : mbi_get(data, t->dtype, i);

        *lo = mbi_min_i64(*lo, x);
        *hi = mbi_max_i64(*hi, x);
    }
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

/* A parameter keeps its own type, where tables have it; powers lie in their interval. */
static enum mbi_table_type type_of(const struct mbi_plan *p, const struct mbi_var *v)
{
    if (v->input == MBI_PUBLIC_POWER && v->hi <= INT32_MAX)
        return MBI_TABLE_I32;
    if (v->input != MBI_PUBLIC_PARAM)
        return MBI_TABLE_FIELD;
    switch (p->stage[v->stage].graph->param[v->param].type.dtype) {
    case MBI_I8:
        return MBI_TABLE_I8;
    case MBI_I16:
        return MBI_TABLE_I16;
    case MBI_I32:
        return MBI_TABLE_I32;
    default:
        return MBI_TABLE_FIELD;
    }
}

static size_t width_of(enum mbi_table_type type)
{
    return type == MBI_TABLE_I8    ? sizeof(int8_t)
           : type == MBI_TABLE_I16 ? sizeof(int16_t)
           : type == MBI_TABLE_I32 ? sizeof(int32_t)
                                   : sizeof(mbi_fe);
}

/* One row, of a variable whose middle index has one value. */
static void fill_row(void *x, enum mbi_table_type type, const struct mbi_plan *p,
                     const struct mbi_var *v, const struct mbi_known *from, size_t row)
{
    const size_t width = width_of(type);
    int32_t *narrow = x;
    mbi_fe *field = x;

    if (v->input == MBI_PUBLIC_POWER && type == MBI_TABLE_I32) {
        const struct mbi_type *t = &p->stage[v->stage].graph->param[v->param].type;
        const int8_t *e = from->param[v->stage][v->param];

        if (t->dtype == MBI_I8) /* as exponents mostly are */
            for (size_t col = 0; col < v->n[2]; col++)
                narrow[col] = (int32_t)((int64_t)1 << (v->from - e[row * t->cols + col]));
        else
            for (size_t col = 0; col < v->n[2]; col++)
                narrow[col] = (int32_t)mbi_known_at(p, v, from, row, col);
        return;
    }
    if (type != MBI_TABLE_FIELD) {
        memcpy(x, (const char *)from->param[v->stage][v->param] + row * v->n[2] * width,
               v->n[2] * width);
        return;
    }
    for (size_t col = 0; col < v->n[2]; col++)
        field[col] = mbi_fe_from_i64(mbi_known_at(p, v, from, row, col));
}

int32_t mbi_known_tables(struct mbi_table *table, const struct mbi_plan *p,
                         const struct mbi_known *from, mambaint_error *err)
{
    for (uint32_t i = 0; i < p->n_vars; i++) {
        const struct mbi_var *v = &p->var[i];
        size_t width;
        char *x;

        if (!mbi_is_known(p, v) || v->input == MBI_PUBLIC_LESS)
            continue;
        table[i] = (struct mbi_table){type_of(p, v), NULL, (size_t)v->n[0] << mbi_row_log(v)};
        width = width_of(table[i].type);
        if (!(table[i].data = x = mbi_alloc_aligned(p->host, table[i].n * width)))
            return mbi_fail_memory(err, "what is public of a proof");
        for (size_t row = 0; row < v->n[0]; row++)
            fill_row(x + mbi_var_place(v, row, 0) * width, table[i].type, p, v, from, row);
    }
    return MAMBAINT_OK;
}

void mbi_known_free(struct mbi_table *table, const struct mbi_plan *p)
{
    for (uint32_t i = 0; table && i < p->n_vars; i++)
        if (mbi_is_known(p, &p->var[i]))
            mbi_free_aligned(p->host, (void *)(uintptr_t)table[i].data);
}

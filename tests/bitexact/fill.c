/* SPDX-License-Identifier: Apache-2.0 */
/* Where test values come from: the interval of their type and a seed. */
#include "bitexact.h"
#include "base/philox.h"
#include "graph/element.h"

uint64_t source_u64(struct source *s) { return mbi_philox_u64(s->seed, s->count++); }
uint64_t source_below(struct source *s, uint64_t n) { return source_u64(s) % n; }

int64_t source_between(struct source *s, int64_t lo, int64_t hi)
{
    return lo + (int64_t)source_below(s, (uint64_t)(hi - lo) + 1);
}

void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);

    if (!p) {
        fprintf(stderr, "bitexact: out of memory\n");
        exit(2);
    }
    return p;
}

const char *fill_name(enum fill f)
{
    static const char *const name[FILL_COUNT] = {"lo",      "hi",       "alternating", "zero",
                                                 "one-hot", "extremes", "uniform",     "sparse",
                                                 "near",    "aligned"};
    return name[f];
}

int64_t array_get(const void *array, uint32_t dtype, size_t i) { return mbi_get(array, dtype, i); }

/* Element `col` of a row; ternary rows are packed, their spare places hold zero. */
static int64_t row_get(const void *row, uint32_t dtype, size_t col)
{
    if (dtype == MBI_TERNARY)
        return (((const uint8_t *)row)[col / 4] >> (2 * (col % 4)) & 3) - 1;
    return array_get(row, dtype, col);
}

static void row_put(void *row, uint32_t dtype, size_t col, int64_t v)
{
    switch (dtype) {
    case MBI_TERNARY: {
        uint8_t *byte = (uint8_t *)row + col / 4;
        const unsigned at = 2 * (col % 4);

        *byte = (uint8_t)((*byte & ~(3u << at)) | (unsigned)(v + 1) << at);
        break;
    }
    case MBI_I8:
        ((int8_t *)row)[col] = (int8_t)v;
        break;
    case MBI_I16:
        ((int16_t *)row)[col] = (int16_t)v;
        break;
    case MBI_I32:
        ((int32_t *)row)[col] = (int32_t)v;
        break;
    default:
        ((int64_t *)row)[col] = v;
    }
}

struct wish {
    enum fill fill;
    size_t hot; /* FILL_ONE_HOT: the place */
    const void *matrix;
    const struct mbi_type *matrix_type;
};

static int64_t value(const struct mbi_type *t, const struct wish *w, size_t i, struct source *s)
{
    const int64_t zero = mbi_clamp_i64(0, t->lo, t->hi);

    switch (w->fill) {
    case FILL_LO:
        return t->lo;
    case FILL_HI:
        return t->hi;
    case FILL_ALTERNATING:
        return i % 2 ? t->hi : t->lo;
    case FILL_ZERO:
        return zero;
    case FILL_ONE_HOT:
        return i != w->hot ? zero : source_below(s, 2) ? t->lo : t->hi;
    case FILL_EXTREMES:
        return source_below(s, 2) ? t->lo : t->hi;
    case FILL_SPARSE:
        return source_below(s, 8) ? zero : source_between(s, t->lo, t->hi);
    case FILL_NEAR: {
        const int64_t anchor[3] = {t->lo, zero, t->hi};

        return mbi_clamp_i64(anchor[source_below(s, 3)] + source_between(s, -2, 2), t->lo, t->hi);
    }
    case FILL_ALIGNED:
        if (w->matrix && w->matrix_type->cols == t->cols)
            return row_get(w->matrix, w->matrix_type->dtype, i % t->cols) < 0 ? t->lo : t->hi;
        return source_below(s, 2) ? t->lo : t->hi;
    default:
        return source_between(s, t->lo, t->hi);
    }
}

void fill_array(void *array, const struct mbi_type *t, size_t rows, enum fill f, struct source *s,
                const void *matrix, const struct mbi_type *matrix_type)
{
    const size_t row_size = mbi_type_row_size(t);
    const struct wish w = {f, rows ? (size_t)source_below(s, rows * t->cols) : 0, matrix,
                           matrix_type};

    for (size_t r = 0; r < rows; r++) {
        char *row = (char *)array + r * row_size;

        if (t->dtype == MBI_TERNARY)
            memset(row, 0x55, row_size);
        for (size_t c = 0; c < t->cols; c++)
            row_put(row, t->dtype, c, value(t, &w, r * t->cols + c, s));
    }
}

struct mbi_type case_type(const struct mbi_op_case *c, size_t k)
{
    const uint32_t dtype = c->dtype[k];
    const int64_t top = dtype == MBI_TERNARY ? 1 : INT64_MAX >> (64 - 8 * mbi_dtype_size(dtype));
    struct mbi_type t = {dtype,      c->frac[k], c->rows[k] ? c->rows[k] : 1,
                         c->cols[k], c->lo[k],   c->hi[k]};

    if (!t.lo && !t.hi) {
        t.hi = top;
        t.lo = dtype == MBI_TERNARY ? -1 : -top - 1;
    }
    return t;
}

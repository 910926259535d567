/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of weights against declared intervals: what all bounds of the arithmetic rest on. */
#include "model/check.h"
#include "base/intmath.h"
#include <stdatomic.h>

#define GRAIN 65536 /* elements: below this, a second thread is not worth waking */

struct job {
    const struct mbi_type *type;
    const void *data;
    atomic_bool bad;
};

/* Minimum and maximum first, so that the loops vectorise; one comparison at the end. */
#define INSIDE(name, element)                                                                      \
    static bool name(const element *x, size_t n, int64_t lo, int64_t hi)                           \
    {                                                                                              \
        element min = x[0], max = x[0];                                                            \
                                                                                                   \
        for (size_t i = 1; i < n; i++) {                                                           \
            min = x[i] < min ? x[i] : min;                                                         \
            max = x[i] > max ? x[i] : max;                                                         \
        }                                                                                          \
        return min >= lo && max <= hi;                                                             \
    }
INSIDE(inside_i8, int8_t)
INSIDE(inside_i16, int16_t)
INSIDE(inside_i32, int32_t)
#undef INSIDE

/* Fields of two bits: none is 3, and those behind the last column are 1. */
static bool row_is_ternary(const uint8_t *row, size_t cols)
{
    const size_t n = (cols + 3) / 4;
    const unsigned used = (unsigned)(cols % 4);
    uint8_t threes = 0;

    for (size_t i = 0; i < n; i++)
        threes |= row[i] & (row[i] >> 1) & 0x55;
    return !threes && (!used || row[n - 1] >> (2 * used) == 0x55 >> (2 * used));
}

static bool rows_are_ternary(const struct job *job, size_t begin, size_t end)
{
    const size_t size = mbi_type_row_size(job->type);
    const uint8_t *data = job->data;

    for (size_t r = begin; r < end; r++)
        if (!row_is_ternary(data + r * size, job->type->cols))
            return false;
    return true;
}

static void check_part(void *arg, size_t begin, size_t end)
{
    struct job *job = arg;
    const struct mbi_type *t = job->type;
    const size_t n = end - begin;
    bool good;

    switch (t->dtype) {
    case MBI_TERNARY:
        good = rows_are_ternary(job, begin, end);
        break;
    case MBI_I8:
        good = inside_i8((const int8_t *)job->data + begin, n, t->lo, t->hi);
        break;
    case MBI_I16:
        good = inside_i16((const int16_t *)job->data + begin, n, t->lo, t->hi);
        break;
    default:
        good = inside_i32((const int32_t *)job->data + begin, n, t->lo, t->hi);
        break;
    }
    if (!good)
        atomic_store(&job->bad, true);
}

bool mbi_param_valid(const struct mbi_host *host, const struct mbi_param *param, const void *data)
{
    struct job job = {.type = &param->type, .data = data};
    const struct mbi_type *t = &param->type;

    if (t->dtype == MBI_TERNARY)
        mbi_parallel_for(host, t->rows, GRAIN / t->cols + 1, check_part, &job);
    else
        mbi_parallel_for(host, (size_t)t->rows * t->cols, GRAIN, check_part, &job);
    return !atomic_load(&job.bad);
}

/* Fields that are 1, which stands for zero; the padding of a row is 1 as well. */
uint64_t mbi_ternary_zeros(const struct mbi_param *param, const void *data)
{
    const size_t size = mbi_type_row_size(&param->type);
    const size_t n = size * param->type.rows;
    const uint8_t *bytes = data;
    uint64_t others = 0;

    for (size_t i = 0; i < n; i++) {
        const unsigned x = bytes[i] ^ 0x55u;
        const unsigned set = (x | x >> 1) & 0x55u; /* a bit for each field that is not 1 */

        others += (set & 1) + (set >> 2 & 1) + (set >> 4 & 1) + (set >> 6);
    }
    return (uint64_t)param->type.rows * param->type.cols - others;
}

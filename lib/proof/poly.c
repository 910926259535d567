/* SPDX-License-Identifier: Apache-2.0 */
/* Tables over {0,1}^n and their multilinear extensions. */
#include "proof/poly.h"
#include "base/intmath.h"
#include <string.h>

/* ---- eq ---- */

/* eq of one coordinate and a bit. */
static struct mbi_ext eq_bit(struct mbi_ext z, unsigned bit)
{
    return bit ? z : mbi_ext_sub(mbi_ext_from(1), z);
}

/* Each variable doubles the table: from the end, so that no entry is read after it is written. */
void MBI_EXT(eq_table)(struct mbi_ext *out, const struct mbi_ext *z, unsigned n,
                       struct mbi_ext scale)
{
    out[0] = scale;
    for (unsigned k = 0; k < n; k++)
        for (size_t x = (size_t)1 << k; x-- > 0;) {
            const struct mbi_ext all = out[x], one = mbi_ext_mul(all, z[k]);

            out[2 * x + 1] = one;
            out[2 * x] = mbi_ext_sub(all, one);
        }
}

/* a b + (1 - a)(1 - b) = 1 - a - b + 2 a b. */
struct mbi_ext MBI_EXT(eq_points)(const struct mbi_ext *a, const struct mbi_ext *b, unsigned n)
{
    struct mbi_ext r = mbi_ext_from(1);

    for (unsigned k = 0; k < n; k++) {
        const struct mbi_ext both = mbi_ext_mul(a[k], b[k]);
        const struct mbi_ext sum = mbi_ext_add(a[k], b[k]);
        const struct mbi_ext other = mbi_ext_sub(mbi_ext_from(1), sum);

        r = mbi_ext_mul(r, mbi_ext_add(other, mbi_ext_add(both, both)));
    }
    return r;
}

struct mbi_ext MBI_EXT(eq_index)(const struct mbi_ext *z, unsigned n, uint64_t x)
{
    struct mbi_ext r = mbi_ext_from(1);

    for (unsigned k = 0; k < n; k++)
        r = mbi_ext_mul(r, eq_bit(z[k], x >> (n - 1 - k) & 1));
    return r;
}

/* The prefixes longer than k bits, for the index x. */
static void walk_from(struct mbi_eq_walk *w, unsigned k)
{
    for (; k < w->n; k++)
        w->prefix[k + 1] = mbi_ext_mul(w->prefix[k], eq_bit(w->z[k], w->x >> (w->n - 1 - k) & 1));
}

void MBI_EXT(eq_walk_start)(struct mbi_eq_walk *w, const struct mbi_ext *z, unsigned n)
{
    w->z = z;
    w->n = n;
    w->x = 0;
    w->prefix[0] = mbi_ext_from(1);
    walk_from(w, 0);
}

/* The bits that change are the trailing ones of x and the zero before them. */
void MBI_EXT(eq_walk_next)(struct mbi_eq_walk *w)
{
    unsigned kept = w->n;

    while (kept && (w->x >> (w->n - kept) & 1))
        kept--;
    w->x++;
    if (kept)
        walk_from(w, kept - 1);
}

/* ---- sums of entries times weights ---- */

#define BLOCK 256 /* entries that a thread holds on its stack */

static bool is_narrow(const struct mbi_table *t) { return t->type < MBI_TABLE_I32; }

/* Entries begin .. begin + n of a narrow table, of which all are present: |out| < 2^16. */
static void load_narrow(int32_t *out, const struct mbi_table *t, size_t begin, size_t n)
{
    switch (t->type) {
    case MBI_TABLE_U8:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const uint8_t *)t->data)[begin + i];
        break;
    case MBI_TABLE_I8:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const int8_t *)t->data)[begin + i];
        break;
    case MBI_TABLE_U16:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const uint16_t *)t->data)[begin + i];
        break;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const int16_t *)t->data)[begin + i];
    }
}

void MBI_EXT(table_load)(mbi_fe *out, const struct mbi_table *t, size_t begin, size_t n)
{
    const size_t there = mbi_min_size(n, begin < t->n ? t->n - begin : 0);
    int32_t x[BLOCK];

    if (t->type == MBI_TABLE_FIELD && there)
        memcpy(out, (const mbi_fe *)t->data + begin, there * sizeof(*out));
    else if (!is_narrow(t))
        for (size_t i = 0; i < there; i++)
            out[i] = mbi_table_field(t, begin + i);
    else
        for (size_t i = 0; i < there; i += BLOCK) {
            const size_t part = mbi_min_size(BLOCK, there - i);

            load_narrow(x, t, begin + i, part);
            for (size_t k = 0; k < part; k++)
                out[i + k] = mbi_fe_from_i64(x[k]);
        }
    for (size_t i = there; i < n; i++)
        out[i] = 0;
}

/* low + 2^32 high: sums of products with the two halves of a weight. */
static mbi_fe join_halves(int64_t low, int64_t high)
{
    const mbi_fe upper = mbi_fe_mul(mbi_fe_from_i64(high), (mbi_fe)1 << 32);

    return mbi_fe_add(mbi_fe_from_i64(low), upper);
}

/* n <= BLOCK: |entry| < 2^16 and half a weight is below 2^32, so |sum| < 2^56. */
static struct mbi_ext dot_narrow(const int32_t *x, const struct mbi_ext *weight, size_t n)
{
    struct mbi_ext r;

    for (int k = 0; k < MBI_EXT_D; k++) {
        int64_t low = 0, high = 0;

        for (size_t i = 0; i < n; i++) {
            low += x[i] * (int64_t)(weight[i].c[k] & UINT32_MAX);
            high += x[i] * (int64_t)(weight[i].c[k] >> 32);
        }
        r.c[k] = join_halves(low, high);
    }
    return r;
}

/* w times entry i. */
static struct mbi_ext times_entry(struct mbi_ext w, const struct mbi_table *t, size_t i)
{
    if (t->type == MBI_TABLE_EXT)
        return mbi_ext_mul(w, ((const struct mbi_ext *)t->data)[i]);
    return mbi_ext_scale(w, mbi_table_field(t, i));
}

/* Reduced once. */
static struct mbi_ext dot_field(const mbi_fe *x, const struct mbi_ext *weight, size_t n)
{
    struct mbi_fe_sum sum[MBI_EXT_D] = {{0}};
    struct mbi_ext r;

    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < MBI_EXT_D; k++)
            mbi_fe_sum_add(&sum[k], weight[i].c[k], x[i]);
    for (int k = 0; k < MBI_EXT_D; k++)
        r.c[k] = mbi_fe_sum_value(&sum[k]);
    return r;
}

struct mbi_ext MBI_EXT(table_dot)(const struct mbi_table *t, size_t begin,
                                  const struct mbi_ext *weight, size_t n)
{
    struct mbi_ext sum = mbi_ext_from(0);
    int32_t x[BLOCK];
    mbi_fe y[BLOCK];

    n = mbi_min_size(n, begin < t->n ? t->n - begin : 0);
    if (t->type == MBI_TABLE_FIELD)
        return dot_field((const mbi_fe *)t->data + begin, weight, n);
    if (t->type == MBI_TABLE_EXT)
        for (size_t i = 0; i < n; i++)
            sum = mbi_ext_add(sum, times_entry(weight[i], t, begin + i));
    else if (!is_narrow(t))
        for (size_t i = 0; i < n; i += BLOCK) {
            const size_t part = mbi_min_size(BLOCK, n - i);

            MBI_EXT(table_load)(y, t, begin + i, part);
            sum = mbi_ext_add(sum, dot_field(y, weight + i, part));
        }
    else
        for (size_t i = 0; i < n; i += BLOCK) {
            const size_t part = mbi_min_size(BLOCK, n - i);

            load_narrow(x, t, begin + i, part);
            sum = mbi_ext_add(sum, dot_narrow(x, weight + i, part));
        }
    return sum;
}

/* The last variables in a table of eq, the first ones by walking. */
struct mbi_ext MBI_EXT(table_at)(const struct mbi_table *t, const struct mbi_ext *point, unsigned n)
{
    const unsigned low = n < 8 ? n : 8;
    struct mbi_ext weight[BLOCK], sum = mbi_ext_from(0);
    struct mbi_eq_walk high;

    MBI_EXT(eq_table)(weight, point + (n - low), low, mbi_ext_from(1));
    MBI_EXT(eq_walk_start)(&high, point, n - low);
    for (size_t begin = 0; begin < t->n && begin >> low < (uint64_t)1 << (n - low);
         begin += (size_t)1 << low) {
        const struct mbi_ext part = MBI_EXT(table_dot)(t, begin, weight, (size_t)1 << low);

        sum = mbi_ext_add(sum, mbi_ext_mul(high.prefix[n - low], part));
        MBI_EXT(eq_walk_next)(&high);
    }
    return sum;
}

/* ---- the first variables fixed ---- */

struct rows {
    struct mbi_ext *out;
    const struct mbi_table *table;
    const struct mbi_ext *weight;
    size_t cols, rows;
};

/* Rows that are summed before a reduction: |sum| < 2^(12 + 16 + 32) = 2^60. */
#define ROWS ((size_t)1 << 12)

/* The entries of row r from column c on, at most `want`. */
static size_t present(const struct rows *a, size_t r, size_t c, size_t want)
{
    const size_t begin = r * a->cols + c;

    return begin < a->table->n ? mbi_min_size(want, a->table->n - begin) : 0;
}

/* Columns c .. c + n, n <= BLOCK, of a narrow table, and at most ROWS rows from r on. */
static void add_narrow_rows(const struct rows *a, size_t c, size_t n, size_t r, size_t rows)
{
    int64_t low[MBI_EXT_D][BLOCK] = {{0}}, high[MBI_EXT_D][BLOCK] = {{0}};
    int32_t x[BLOCK];

    for (size_t end = r + rows; r < end; r++) {
        const size_t here = present(a, r, c, n);

        load_narrow(x, a->table, r * a->cols + c, here);
        for (int k = 0; k < MBI_EXT_D; k++) {
            const int64_t w0 = (int64_t)(a->weight[r].c[k] & UINT32_MAX);
            const int64_t w1 = (int64_t)(a->weight[r].c[k] >> 32);

            for (size_t i = 0; i < here; i++) {
                low[k][i] += x[i] * w0;
                high[k][i] += x[i] * w1;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < MBI_EXT_D; k++)
            a->out[c + i].c[k] = mbi_fe_add(a->out[c + i].c[k], join_halves(low[k][i], high[k][i]));
}

static void add_wide_rows(const struct rows *a, size_t c, size_t n)
{
    for (size_t r = 0; r < a->rows; r++) {
        const size_t here = present(a, r, c, n), begin = r * a->cols + c;

        for (size_t i = 0; i < here; i++)
            a->out[c + i] =
                mbi_ext_add(a->out[c + i], times_entry(a->weight[r], a->table, begin + i));
    }
}

static void rows_part(void *arg, size_t begin, size_t end)
{
    const struct rows *a = arg;

    for (size_t block = begin; block < end; block++) {
        const size_t c = block * BLOCK, n = mbi_min_size(BLOCK, a->cols - c);

        for (size_t i = 0; i < n; i++)
            a->out[c + i] = mbi_ext_from(0);
        if (!is_narrow(a->table))
            add_wide_rows(a, c, n);
        else
            for (size_t r = 0; r < a->rows; r += ROWS)
                add_narrow_rows(a, c, n, r, mbi_min_size(ROWS, a->rows - r));
    }
}

void MBI_EXT(table_rows)(struct mbi_ext *out, const struct mbi_table *t, size_t cols,
                         const struct mbi_ext *weight, size_t rows, const struct mbi_host *host)
{
    struct rows a = {out, t, weight, cols, rows};

    mbi_parallel_for(host, cols / BLOCK + (cols % BLOCK != 0), 1, rows_part, &a);
}

void MBI_EXT(table_fold)(struct mbi_ext *out, const struct mbi_ext *low, const struct mbi_ext *high,
                         size_t n, struct mbi_ext r)
{
    for (size_t x = 0; x < n; x++)
        out[x] = mbi_ext_add(low[x], mbi_ext_mul(r, mbi_ext_sub(high[x], low[x])));
}

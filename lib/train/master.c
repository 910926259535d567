/* SPDX-License-Identifier: Apache-2.0 */
/* Float masters to integer parameters: fixed point, a power of two per row, ternary. */
#include "train/master.h"
#include "base/intmath.h"
#include "train/vector.h"
#include <math.h>
#include <string.h>

#define SUMS 256          /* parts of a mean; fixed, so that threads do not change it */
#define ROW_LIMIT 127     /* largest magnitude of a weight with a power of two per row */
#define MAGIC 12582912.0f /* 1.5 2^23: adding it rounds a float below 2^22 to an integer */

/* ---- blocks ---- */

int32_t mbi_layout_create(struct mbi_layout *out, const struct mbi_host *host,
                          const struct mbi_graph *graph, mambaint_error *err)
{
    *out = (struct mbi_layout){.host = host, .graph = graph};
    if (!(out->at = mbi_alloc(host, (size_t)graph->n_params + 1, sizeof(*out->at))))
        return mbi_fail_memory(err, "the parameters");
    for (uint32_t i = 0; i < graph->n_params; i++) {
        const struct mbi_type *t = &graph->param[i].type;
        size_t n;

        out->at[i] = SIZE_MAX;
        if (graph->param[i].quant == MBI_QUANT_DERIVED)
            continue;
        out->at[i] = out->total;
        if (!mbi_mul_size(&n, t->rows, t->cols) || n > SIZE_MAX / 64 ||
            out->total > SIZE_MAX / 64 - n) {
            mbi_layout_free(out);
            return mbi_fail_memory(err, "the parameters");
        }
        out->total += mbi_align_size(n, MBI_LAYOUT_STEP);
    }
    return MAMBAINT_OK;
}

void mbi_layout_free(struct mbi_layout *layout)
{
    if (layout->host)
        mbi_free(layout->host, layout->at);
    layout->at = NULL;
}

float *mbi_layout_block(const struct mbi_layout *layout)
{
    return mbi_alloc_aligned(layout->host, layout->total * sizeof(float) + 1);
}

bool mbi_block_finite(const struct mbi_layout *layout, const float *block)
{
    for (size_t i = 0; i < layout->total; i++)
        if (!isfinite(block[i]))
            return false;
    return true;
}

int32_t mbi_params_create(void ***out, const struct mbi_host *host, const struct mbi_graph *graph,
                          mambaint_error *err)
{
    void **param = mbi_alloc(host, (size_t)graph->n_params + 1, sizeof(*param));

    *out = NULL;
    if (!param)
        return mbi_fail_memory(err, "the parameters");
    for (uint32_t i = 0; i < graph->n_params; i++) {
        const struct mbi_type *t = &graph->param[i].type;
        size_t size;

        if (!mbi_mul_size(&size, mbi_type_row_size(t), t->rows) || size == SIZE_MAX ||
            !(param[i] = mbi_alloc_aligned(host, size + 1))) {
            mbi_params_free(host, graph, param);
            return mbi_fail_memory(err, "the parameters");
        }
    }
    *out = param;
    return MAMBAINT_OK;
}

void mbi_params_free(const struct mbi_host *host, const struct mbi_graph *graph, void **param)
{
    if (!param)
        return;
    for (uint32_t i = 0; i < graph->n_params; i++)
        mbi_free_aligned(host, param[i]);
    mbi_free(host, param);
}

/* ---- one row ---- */

/* Not a number becomes lo. */
static inline float clamp(float x, float lo, float hi) { return x > lo ? (x < hi ? x : hi) : lo; }

/* Nearest integer of w * scale in [lo, hi], ties to even; |lo|, |hi| < 2^22. The sum has a name
 * because machines that add floats in a wider type round only what is stored. */
static inline float nearest(float w, float scale, float lo, float hi)
{
    const float moved = clamp(w * scale, lo, hi) + MAGIC;

    return moved - MAGIC;
}

MBI_CLONES static void row_i8(int8_t *q, float *real, const float *w, size_t n, float scale,
                              float unit, float limit)
{
    for (size_t k = 0; k < n; k++)
        q[k] = (int8_t)(int32_t)nearest(w[k], scale, -limit, limit);
    if (real)
        for (size_t k = 0; k < n; k++)
            real[k] = (float)q[k] * unit;
}

MBI_CLONES static void row_i16(int16_t *q, float *real, const float *w, size_t n, float scale,
                               float unit, float limit)
{
    for (size_t k = 0; k < n; k++)
        q[k] = (int16_t)(int32_t)nearest(w[k], scale, -limit, limit);
    if (real)
        for (size_t k = 0; k < n; k++)
            real[k] = (float)q[k] * unit;
}

static void row_ternary(uint8_t *q, float *real, const float *w, size_t n, float scale, float unit)
{
    for (size_t k = 0; k < n; k += 4) {
        uint32_t byte = 0x55; /* four zeros, which also pad the row */

        for (size_t j = 0; j < 4 && k + j < n; j++) {
            const float t = nearest(w[k + j], scale, -1, 1);

            byte += (uint32_t)((int32_t)t) << (2 * j);
            if (real)
                real[k + j] = t * unit;
        }
        q[k / 4] = (uint8_t)byte;
    }
}

/* Largest magnitude; eight running maxima, because the compiler may not reorder one. */
MBI_CLONES static float row_max(const float *w, size_t n)
{
    float m[8] = {0}, most = 0;
    size_t k = 0;

    for (; k + 8 <= n; k += 8)
        for (size_t j = 0; j < 8; j++) {
            const float a = fabsf(w[k + j]);

            m[j] = a > m[j] ? a : m[j];
        }
    for (; k < n; k++)
        most = fabsf(w[k]) > most ? fabsf(w[k]) : most;
    for (size_t j = 0; j < 8; j++)
        most = m[j] > most ? m[j] : most;
    return most;
}

/* floor(log2(127 / most)), exact: 127 = 0.9921875 2^7 and most = f 2^k with f in [1/2, 1). */
static int32_t row_exponent(float most, const struct mbi_type *range)
{
    int k = 0;
    float f;

    if (!(most > 0))
        return (int32_t)range->hi;
    f = frexpf(clamp(most, 0, 1e30f), &k);
    return (int32_t)mbi_clamp_i64(f <= 0.9921875f ? 7 - k : 6 - k, range->lo, range->hi);
}

/* ---- one parameter ---- */

struct job {
    const struct mbi_param *p;
    void *integer;
    int8_t *exponent; /* of each row, or NULL */
    const struct mbi_type *exponent_type;
    const float *master;
    float *real;
    float scale, unit; /* fixed point and ternary: the same for all rows */
    double sum[SUMS];
};

static void quantise_rows(void *arg, size_t begin, size_t end)
{
    const struct job *j = arg;
    const struct mbi_type *t = &j->p->type;
    const size_t cols = t->cols, size = mbi_type_row_size(t);

    for (size_t r = begin; r < end; r++) {
        const float *w = j->master + r * cols;
        float *real = j->real ? j->real + r * cols : NULL;
        char *q = (char *)j->integer + r * size;

        if (t->dtype == MBI_TERNARY) {
            row_ternary((uint8_t *)q, real, w, cols, j->scale, j->unit);
        } else if (j->exponent) {
            const int32_t e = row_exponent(row_max(w, cols), j->exponent_type);

            j->exponent[r] = (int8_t)e;
            row_i8((int8_t *)q, real, w, cols, ldexpf(1, e), ldexpf(1, -e), ROW_LIMIT);
        } else if (t->dtype == MBI_I8) {
            row_i8((int8_t *)q, real, w, cols, j->scale, j->unit, (float)t->hi);
        } else {
            row_i16((int16_t *)(void *)q, real, w, cols, j->scale, j->unit, (float)t->hi);
        }
    }
}

static void sum_magnitudes(void *arg, size_t begin, size_t end)
{
    struct job *j = arg;
    const struct mbi_type *t = &j->p->type;
    const size_t n = (size_t)t->rows * t->cols;

    for (size_t s = begin; s < end; s++) {
        double sum = 0;

        for (size_t i = n / SUMS * s + mbi_min_size(s, n % SUMS),
                    stop = n / SUMS * (s + 1) + mbi_min_size(s + 1, n % SUMS);
             i < stop; i++)
            sum += fabs((double)j->master[i]);
        j->sum[s] = sum;
    }
}

/* mean|W| = m 2^-s with 2^14 <= m < 2^15. */
static void set_ternary_scale(struct job *j, const struct mbi_host *host, int16_t *m, int8_t *s,
                              const struct mbi_type *s_type)
{
    double mean = 0;
    int k = 0;

    mbi_parallel_for(host, SUMS, 16, sum_magnitudes, j);
    for (size_t i = 0; i < SUMS; i++)
        mean += j->sum[i];
    mean /= (double)j->p->type.rows * j->p->type.cols;
    if (!(mean > 1e-30)) /* all zero, or not a number */
        mean = 1e-30;
    if (mean > 1e30)
        mean = 1e30;
    *m = (int16_t)mbi_clamp_i64(lrint(frexp(mean, &k) * 32768), 1 << 14, (1 << 15) - 1);
    *s = (int8_t)mbi_clamp_i64(15 - k, s_type->lo, s_type->hi);
    j->scale = (float)(1 / mean);
    j->unit = ldexpf((float)*m, -*s);
}

void mbi_quantise(void *const *param, float *real, const struct mbi_host *host,
                  const struct mbi_graph *graph, uint32_t index, const float *master)
{
    const struct mbi_param *p = &graph->param[index];
    struct job j = {.p = p, .integer = param[index], .master = master, .real = real};

    if (p->quant == MBI_QUANT_TERNARY) {
        set_ternary_scale(&j, host, param[p->scale], param[p->exponent],
                          &graph->param[p->exponent].type);
    } else if (p->quant == MBI_QUANT_ROWS) {
        j.exponent = param[p->exponent];
        j.exponent_type = &graph->param[p->exponent].type;
    } else {
        j.scale = ldexpf(1, p->type.frac);
        j.unit = ldexpf(1, -p->type.frac);
    }
    mbi_parallel_for(host, p->type.rows, 1 + (1 << 14) / (size_t)p->type.cols, quantise_rows, &j);
}

void mbi_quantise_all(void *const *param, float *real, const struct mbi_layout *layout,
                      const float *master)
{
    for (uint32_t i = 0; i < layout->graph->n_params; i++)
        if (layout->at[i] != SIZE_MAX)
            mbi_quantise(param, real ? real + layout->at[i] : NULL, layout->host, layout->graph, i,
                         master + layout->at[i]);
}

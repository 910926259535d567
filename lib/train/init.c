/* SPDX-License-Identifier: Apache-2.0 */
/* Initial masters: normal, uniform, constant and the spectrum of decays. */
#include "train/init.h"
#include "base/intmath.h"
#include "base/philox.h"
#include <math.h>

#define TWO_PI 6.283185307179586
#define GRAIN 4096

struct draw {
    const struct mbi_param *p;
    float *w;
    uint64_t key, stream;
    double value; /* the init's value, over sqrt(cols) where it asks for that */
};

/* Two normals from 64 bits each way: Box-Muller; u > 0 so that the logarithm is finite. */
static void normal_pair(double out[2], uint32_t a, uint32_t b)
{
    const double u = ((double)a + 0.5) / 4294967296.0, angle = TWO_PI * (double)b / 4294967296.0;
    const double radius = sqrt(-2 * log(u));

    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/* Four numbers of unit scale for the elements 4 i .. 4 i + 3. */
static void draw_four(double out[4], const struct draw *d, size_t i)
{
    uint32_t word[4];

    mbi_philox(word, d->key, i, d->stream);
    if (d->p->init == MBI_INIT_NORMAL) {
        normal_pair(out, word[0], word[1]);
        normal_pair(out + 2, word[2], word[3]);
        return;
    }
    for (int k = 0; k < 4; k++)
        out[k] = ((double)word[k] + 0.5) / 2147483648.0 - 1;
}

static double band_scale(const struct mbi_param *p, size_t row)
{
    for (size_t b = 0; b < MBI_MAX_BANDS && p->band[b].end; b++)
        if (row < p->band[b].end)
            return p->band[b].scale_q8 / 256.0;
    return 1;
}

static void draw_part(void *arg, size_t begin, size_t end)
{
    const struct draw *d = arg;
    const size_t n = (size_t)d->p->type.rows * d->p->type.cols;

    for (size_t i = begin; i < end; i++) {
        double x[4];

        draw_four(x, d, i);
        for (size_t k = 0; k < 4 && 4 * i + k < n; k++)
            d->w[4 * i + k] =
                (float)(x[k] * d->value * band_scale(d->p, (4 * i + k) / d->p->type.cols));
    }
}

static void spectrum(float *w, size_t heads, double most, const struct mbi_init_settings *set)
{
    const double x = fmin(most, log2((double)(set->longest > 1 ? set->longest : 1)));

    for (size_t h = 0; h < heads; h++)
        w[h] = set->decay == MBI_DECAY_HIPPO ? (float)(log2((double)h + 1) - x)
               : heads > 1                   ? (float)(-x * (double)h / (double)(heads - 1))
                                             : 0;
}

void mbi_init_param(float *master, const struct mbi_host *host, const struct mbi_graph *graph,
                    uint32_t index, const struct mbi_init_settings *set)
{
    const struct mbi_param *p = &graph->param[index];
    const size_t n = (size_t)p->type.rows * p->type.cols;
    struct draw d = {p, master, set->seed, index, p->init_q16 / 65536.0};

    switch (p->init) {
    case MBI_INIT_NORMAL:
    case MBI_INIT_UNIFORM:
        d.value /= sqrt(p->type.cols);
        mbi_parallel_for(host, n / 4 + (n % 4 != 0), GRAIN, draw_part, &d);
        break;
    case MBI_INIT_SPECTRUM:
        spectrum(master, n, d.value, set);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            master[i] = p->init == MBI_INIT_CONST ? (float)d.value : 0;
    }
}

void mbi_init_masters(float *master, const struct mbi_layout *layout,
                      const struct mbi_init_settings *set)
{
    for (uint32_t i = 0; i < layout->graph->n_params; i++)
        if (layout->at[i] != SIZE_MAX)
            mbi_init_param(master + layout->at[i], layout->host, layout->graph, i, set);
}

int32_t mbi_synth_params(void *const *param, const struct mbi_host *host,
                         const struct mbi_graph *graph, const struct mbi_init_settings *set,
                         mambaint_error *err)
{
    for (uint32_t i = 0; i < graph->n_params; i++) {
        const struct mbi_type *t = &graph->param[i].type;
        float *master;

        if (graph->param[i].quant == MBI_QUANT_DERIVED)
            continue;
        if (!(master = mbi_alloc(host, (size_t)t->rows * t->cols, sizeof(*master))))
            return mbi_fail_memory(err, "random weights");
        mbi_init_param(master, host, graph, i, set);
        mbi_quantise(param, NULL, host, graph, i, master);
        mbi_free(host, master);
    }
    return MAMBAINT_OK;
}

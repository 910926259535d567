/* SPDX-License-Identifier: Apache-2.0 */
/* The optimiser: sums in a fixed order, so that no number depends on threads. */
#include "train/optim.h"
#include "base/intmath.h"
#include "train/vector.h"
#include <math.h>

#define BLOCK ((size_t)1 << 14) /* floats that one thread takes in a row */
#define EPSILON 1e-8
#define FINAL_RATE 0.05
#define PI 3.141592653589793

struct sum {
    float *const *part;
    size_t n_parts, total;
    double *partial;
};

MBI_CLONES static double block_sum(float *const *part, size_t n_parts, size_t begin, size_t end)
{
    float *const to = part[0];
    double square = 0;

    for (size_t p = 1; p < n_parts; p++)
        mbi_add_to(to + begin, part[p] + begin, end - begin);
    for (size_t i = begin; i < end; i++)
        square += (double)to[i] * (double)to[i];
    return square;
}

static void sum_blocks(void *arg, size_t begin, size_t end)
{
    const struct sum *s = arg;

    for (size_t b = begin; b < end; b++)
        s->partial[b] =
            block_sum(s->part, s->n_parts, b * BLOCK, mbi_min_size((b + 1) * BLOCK, s->total));
}

size_t mbi_gradient_partials(const struct mbi_layout *layout) { return layout->total / BLOCK + 1; }

double mbi_gradient_sum(const struct mbi_layout *layout, float *const *part, size_t n_parts,
                        double *partial)
{
    struct sum s = {part, n_parts, layout->total, partial};
    const size_t n = mbi_gradient_partials(layout);
    double square = 0;

    mbi_parallel_for(layout->host, n, 1, sum_blocks, &s);
    for (size_t b = 0; b < n; b++)
        square += partial[b];
    return sqrt(square);
}

struct adam {
    float *master, *moment1, *moment2;
    const float *gradient;
    const uint8_t *decays;
    size_t total;
    float beta1, beta2, rate, shrink, scale, unbias2;
};

/*
 * m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g g,  w = w shrink - rate m / (sqrt(v unbias2) + eps)
 * where rate holds 1 / (1 - b1^step), unbias2 = 1 / (1 - b2^step) and shrink = 1 - rate decay.
 */
MBI_CLONES static void adam_run(const struct adam *a, size_t begin, size_t end, float shrink)
{
    float *MBI_RESTRICT w = a->master, *MBI_RESTRICT m = a->moment1, *MBI_RESTRICT v = a->moment2;
    const float *MBI_RESTRICT gradient = a->gradient;

    for (size_t i = begin; i < end; i++) {
        const float g = gradient[i] * a->scale;

        m[i] = a->beta1 * m[i] + (1 - a->beta1) * g;
        v[i] = a->beta2 * v[i] + (1 - a->beta2) * g * g;
        w[i] = w[i] * shrink - a->rate * m[i] / (sqrtf(v[i] * a->unbias2) + (float)EPSILON);
    }
}

/* Runs of groups that all decay or all do not; they end where a block ends, whoever works on it. */
static void adam_block(const struct adam *a, size_t at, size_t stop)
{
    while (at < stop) {
        const uint8_t mark = a->decays[at / MBI_LAYOUT_STEP];
        size_t to = at;

        while (to < stop && a->decays[to / MBI_LAYOUT_STEP] == mark)
            to += MBI_LAYOUT_STEP;
        adam_run(a, at, to, mark ? a->shrink : 1);
        at = to;
    }
}

static void adam_blocks(void *arg, size_t begin, size_t end)
{
    const struct adam *a = arg;

    for (size_t b = begin; b < end; b++)
        adam_block(a, b * BLOCK, mbi_min_size((b + 1) * BLOCK, a->total));
}

void mbi_adam_step(const struct mbi_layout *layout, float *master, float *moment1, float *moment2,
                   const float *gradient, const uint8_t *decays, double norm, uint64_t step,
                   const struct mbi_adam_settings *set)
{
    struct adam a = {master,
                     moment1,
                     moment2,
                     gradient,
                     decays,
                     layout->total,
                     .beta1 = (float)set->beta1,
                     .beta2 = (float)set->beta2};

    a.rate = (float)(set->rate / (1 - pow(set->beta1, (double)step)));
    a.unbias2 = (float)(1 / (1 - pow(set->beta2, (double)step)));
    a.shrink = (float)(1 - set->rate * set->decay);
    a.scale = set->clip > 0 && norm > set->clip ? (float)(set->clip / norm) : 1;
    mbi_parallel_for(layout->host, layout->total / BLOCK + 1, 1, adam_blocks, &a);
}

void mbi_decay_marks(uint8_t *out, const struct mbi_layout *layout)
{
    for (uint32_t i = 0; i < layout->graph->n_params; i++) {
        const struct mbi_param *p = &layout->graph->param[i];
        const size_t n = (size_t)p->type.rows * p->type.cols;

        if (layout->at[i] == SIZE_MAX || !p->is_matrix)
            continue;
        memset(out + layout->at[i] / MBI_LAYOUT_STEP, 1,
               mbi_align_size(n, MBI_LAYOUT_STEP) / MBI_LAYOUT_STEP);
    }
}

double mbi_learning_rate(double rate, uint64_t step, uint64_t warmup, uint64_t steps)
{
    double part;

    if (step <= warmup)
        return warmup ? rate * (double)step / (double)warmup : rate;
    if (step >= steps)
        return rate * FINAL_RATE;
    part = (double)(step - warmup) / (double)(steps - warmup);
    return rate * (FINAL_RATE + (1 - FINAL_RATE) * (1 + cos(PI * part)) / 2);
}

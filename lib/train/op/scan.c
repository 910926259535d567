/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training facet of the recurrence, in real numbers, per head with L_i = l_0 + ... + l_i:
 *
 *   y_i = sum_(j<=i) (C_i . B_j) 2^-(L_i - L_j) w_j x_j + 2^-L_i C_i h,    w = 1 - 2^-l
 *   h'  = 2^-L_end h + sum_j B_j 2^-(L_end - L_j) w_j x_j
 *
 * A stream is cut into chunks of CHUNK tokens, whatever the model's own chunk is: real arithmetic
 * does not care. Inside a chunk everything is a product of matrices. What B, C and the states take
 * part in covers all heads at once ([tokens x width], width = heads x head_dim, the decays on the
 * rows); what the decays between two tokens take part in goes head by head. The forward pass of the
 * trainer keeps no states, so the backward pass first finds those at the starts of chunks.
 *
 * Rows of a chunk beyond the stream's end do not exist: every loop runs to the chunk's own q.
 */
#include "train/linalg.h"
#include "train/op/op_grad.h"
#include "train/vector.h"
#include <math.h>

#define CHUNK 32

struct shape {
    size_t heads, dim, width, n; /* width = heads * dim, n = d_state */
    size_t chunks;               /* of a stream */
};

/* The parts of scratch. [heads][CHUNK] arrays have CHUNK as the row stride, squares q. */
struct work {
    float *w, *keep, *rest;  /* [heads][CHUNK]: 1 - 2^-l, 2^-L_i, 2^-(L_end - L_i) */
    float *L, *dL;           /* [heads][CHUNK] */
    float *end;              /* [heads]: 2^-L_end */
    float *xw, *dxw;         /* [q][width]: w x and its gradient */
    float *scaled, *product; /* [q][width] */
    float *s, *ds, *m, *dm;  /* [q][q]: C B^T, M = S 2^-(L_i - L_j), gradients */
    float *decay;            /* [q][q]: 2^-(L_i - L_j) */
    float *h;                /* [chunks][n][width]: states at the starts; forward: one */
    float *dh;               /* [n][width] */
};

/* One chunk of one stream. */
struct chunk {
    const struct mbi_grad_args *a;
    struct shape sh;
    struct work k;
    size_t index, first, q; /* first: its first lane */
};

static struct shape shape_of(const struct mbi_grad_args *a)
{
    const struct mbi_scan_attr *at = a->attr;

    return (struct shape){(size_t)at->heads, (size_t)at->head_dim,
                          (size_t)at->heads * (size_t)at->head_dim, (size_t)at->d_state,
                          (a->tokens + CHUNK - 1) / CHUNK};
}

static size_t lay_out(struct work *k, const struct shape *sh, void *scratch)
{
    struct mbi_carve c = {scratch, 0};
    const size_t rows = CHUNK * sh->width, row = sh->heads * CHUNK, square = CHUNK * CHUNK;
    float **const per_head[] = {&k->w, &k->keep, &k->rest, &k->L, &k->dL};
    float **const wide[] = {&k->xw, &k->dxw, &k->scaled, &k->product};
    float **const squares[] = {&k->s, &k->ds, &k->m, &k->dm, &k->decay};

    for (size_t i = 0; i < MBI_COUNT(per_head); i++)
        *per_head[i] = mbi_carve(&c, row);
    for (size_t i = 0; i < MBI_COUNT(wide); i++)
        *wide[i] = mbi_carve(&c, rows);
    for (size_t i = 0; i < MBI_COUNT(squares); i++)
        *squares[i] = mbi_carve(&c, square);
    k->end = mbi_carve(&c, sh->heads);
    k->h = mbi_carve(&c, sh->chunks * sh->n * sh->width);
    k->dh = mbi_carve(&c, sh->n * sh->width);
    return c.used * sizeof(float);
}

static size_t scratch(const struct mbi_grad_args *a)
{
    const struct shape sh = shape_of(a);
    struct work k;

    return lay_out(&k, &sh, NULL);
}

static const float *x_of(const struct chunk *c) { return c->a->in[0] + c->first * c->sh.width; }
static const float *b_of(const struct chunk *c) { return c->a->in[1] + c->first * 2 * c->sh.n; }
static const float *c_of(const struct chunk *c) { return b_of(c) + c->sh.n; }
static float *h_of(const struct chunk *c, size_t index)
{
    return c->k.h + index * c->sh.n * c->sh.width;
}

static void enter(struct chunk *c, size_t stream, size_t index)
{
    c->index = index;
    c->first = stream * c->a->tokens + index * CHUNK;
    c->q = mbi_min_size(CHUNK, c->a->tokens - index * CHUNK);
}

/* ---- loops ---- */

/* y = rows of x, scaled head by head by f[head][row]. */
MBI_CLONES static void scale_heads(float *MBI_RESTRICT y, const float *MBI_RESTRICT x,
                                   const float *MBI_RESTRICT f, size_t q, size_t heads, size_t dim)
{
    for (size_t i = 0; i < q; i++)
        for (size_t h = 0; h < heads; h++)
            for (size_t p = 0; p < dim; p++)
                y[(i * heads + h) * dim + p] = f[h * CHUNK + i] * x[(i * heads + h) * dim + p];
}

MBI_CLONES static void scale_heads_add(float *MBI_RESTRICT y, const float *MBI_RESTRICT x,
                                       const float *MBI_RESTRICT f, size_t q, size_t heads,
                                       size_t dim)
{
    for (size_t i = 0; i < q; i++)
        for (size_t h = 0; h < heads; h++)
            for (size_t p = 0; p < dim; p++)
                y[(i * heads + h) * dim + p] += f[h * CHUNK + i] * x[(i * heads + h) * dim + p];
}

/* y[row][head part] = f[head] x, for states: the same factor in every row. */
MBI_CLONES static void scale_state(float *y, const float *x, const float *MBI_RESTRICT f, size_t n,
                                   size_t heads, size_t dim)
{
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < heads; h++)
            for (size_t p = 0; p < dim; p++)
                y[(i * heads + h) * dim + p] = f[h] * x[(i * heads + h) * dim + p];
}

/* decay_ij = 2^-(L_i - L_j) and m = s decay for j <= i, m = 0 above. */
MBI_CLONES static void decay_square(float *MBI_RESTRICT decay, float *MBI_RESTRICT m,
                                    const float *MBI_RESTRICT s, const float *MBI_RESTRICT L,
                                    size_t q)
{
    for (size_t i = 0; i < q; i++) {
        for (size_t j = 0; j <= i; j++) {
            decay[i * q + j] = mbi_exp2_fast(L[j] - L[i]);
            m[i * q + j] = s[i * q + j] * decay[i * q + j];
        }
        for (size_t j = i + 1; j < q; j++)
            m[i * q + j] = 0;
    }
}

/*
 * From dm: ds += dm decay, and with T = dm m the slopes of the decays: row i loses and column j
 * gains T_ij ln 2. The diagonal has no decay, so T_ii is left out.
 */
MBI_CLONES static void square_back(float *MBI_RESTRICT ds, float *MBI_RESTRICT dL,
                                   const float *MBI_RESTRICT dm, const float *MBI_RESTRICT decay,
                                   const float *MBI_RESTRICT s, size_t q)
{
    for (size_t i = 0; i < q; i++) {
        float sum = 0;

#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < i; j++) {
            const float e = dm[i * q + j] * decay[i * q + j];
            const float t = e * s[i * q + j];

            ds[i * q + j] += e;
            dL[j] += MBI_LN2 * t;
            sum += t;
        }
        dL[i] -= MBI_LN2 * sum;
        ds[i * q + i] += dm[i * q + i];
    }
}

/* ---- what both directions need of a chunk ---- */

/* For every head w, L, 2^-L_i, 2^-(L_end - L_i), 2^-L_end. expm1 keeps small w exact. */
static void decays(const struct chunk *c)
{
    const struct work *k = &c->k;

    for (size_t h = 0; h < c->sh.heads; h++) {
        const float *l = c->a->in[2] + c->first * c->sh.heads + h;
        float *L = k->L + h * CHUNK, sum = 0;

        for (size_t i = 0; i < c->q; i++) {
            k->w[h * CHUNK + i] = -expm1f(-MBI_LN2 * l[i * c->sh.heads]);
            L[i] = sum += l[i * c->sh.heads];
        }
        for (size_t i = 0; i < c->q; i++) {
            k->keep[h * CHUNK + i] = mbi_exp2_fast(-L[i]);
            k->rest[h * CHUNK + i] = mbi_exp2_fast(L[i] - sum);
        }
        k->end[h] = k->keep[h * CHUNK + c->q - 1];
    }
    scale_heads(k->xw, x_of(c), k->w, c->q, c->sh.heads, c->sh.dim);
}

/* h at the end of the chunk from h at its start. `to` may be `from`. */
static void next_state(const struct chunk *c, float *to, const float *from)
{
    const struct shape *sh = &c->sh;

    scale_heads(c->k.scaled, c->k.xw, c->k.rest, c->q, sh->heads, sh->dim);
    scale_state(to, from, c->k.end, sh->n, sh->heads, sh->dim);
    mbi_sgemm(c->a->linalg, true, false, sh->n, sh->width, c->q, 1, b_of(c), 2 * sh->n, c->k.scaled,
              sh->width, 1, to, sh->width);
}

/* S = C B^T, shared by the heads. */
static void scores(const struct chunk *c)
{
    mbi_sgemm(c->a->linalg, false, true, c->q, c->q, c->sh.n, 1, c_of(c), 2 * c->sh.n, b_of(c),
              2 * c->sh.n, 0, c->k.s, c->q);
}

/* ---- forward ---- */

static void chunk_forward(const struct chunk *c)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;
    float *y = c->a->out + c->first * sh->width;

    decays(c);
    scores(c);
    mbi_sgemm(c->a->linalg, false, false, c->q, sh->width, sh->n, 1, c_of(c), 2 * sh->n, k->h,
              sh->width, 0, k->product, sh->width);
    scale_heads(y, k->product, k->keep, c->q, sh->heads, sh->dim);
    for (size_t h = 0; h < sh->heads; h++) {
        decay_square(k->decay, k->m, k->s, k->L + h * CHUNK, c->q);
        mbi_sgemm(c->a->linalg, false, false, c->q, sh->dim, c->q, 1, k->m, c->q,
                  k->xw + h * sh->dim, sh->width, 1, y + h * sh->dim, sh->width);
    }
    next_state(c, k->h, k->h);
}

static void forward(const struct mbi_grad_args *a)
{
    struct chunk c = {.a = a, .sh = shape_of(a)};

    lay_out(&c.k, &c.sh, a->scratch);
    for (size_t s = 0; s < a->streams; s++) {
        memset(c.k.h, 0, c.sh.n * c.sh.width * sizeof(float));
        for (size_t i = 0; i < c.sh.chunks; i++) {
            enter(&c, s, i);
            chunk_forward(&c);
        }
    }
}

/* ---- backward ---- */

static float *d_bc(const struct chunk *c)
{
    return c->a->d_in[1] ? c->a->d_in[1] + c->first * 2 * c->sh.n : NULL;
}

/* The reading of the carried state, 2^-L_i C_i h: to C, to the decays, to h. h is zero before the
 * first chunk. `dy` scaled by 2^-L stays in `scaled` for the state's gradient. */
static void carried_back(const struct chunk *c, const float *dy)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;
    const float *h = h_of(c, c->index);

    scale_heads(k->scaled, dy, k->keep, c->q, sh->heads, sh->dim);
    mbi_sgemm(c->a->linalg, false, false, c->q, sh->width, sh->n, 1, c_of(c), 2 * sh->n, h,
              sh->width, 0, k->product, sh->width);
    for (size_t i = 0; i < c->q; i++)
        for (size_t p = 0; p < sh->heads; p++)
            k->dL[p * CHUNK + i] -=
                MBI_LN2 * mbi_dot(k->scaled + i * sh->width + p * sh->dim,
                                  k->product + i * sh->width + p * sh->dim, sh->dim);
    if (d_bc(c))
        mbi_sgemm(c->a->linalg, false, true, c->q, sh->n, sh->width, 1, k->scaled, sh->width, h,
                  sh->width, 1, d_bc(c) + sh->n, 2 * sh->n);
}

/*
 * The writing of the next state, sum_j B_j 2^-(L_end - L_j) xw_j: to B, xw and the decays. The last
 * row has no decay between itself and the end, so it moves no L.
 */
static void written_back(const struct chunk *c)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;

    scale_heads(k->scaled, k->xw, k->rest, c->q, sh->heads, sh->dim);
    mbi_sgemm(c->a->linalg, false, false, c->q, sh->width, sh->n, 1, b_of(c), 2 * sh->n, k->dh,
              sh->width, 0, k->product, sh->width);
    scale_heads(k->dxw, k->product, k->rest, c->q, sh->heads, sh->dim);
    for (size_t i = 0; i + 1 < c->q; i++)
        for (size_t p = 0; p < sh->heads; p++) {
            const float slope =
                MBI_LN2 * mbi_dot(k->scaled + i * sh->width + p * sh->dim,
                                  k->product + i * sh->width + p * sh->dim, sh->dim);

            k->dL[p * CHUNK + i] += slope;
            k->dL[p * CHUNK + c->q - 1] -= slope;
        }
    if (d_bc(c))
        mbi_sgemm(c->a->linalg, false, true, c->q, sh->n, sh->width, 1, k->scaled, sh->width, k->dh,
                  sh->width, 1, d_bc(c), 2 * sh->n);
}

/* The decay of h over the whole chunk. */
static void kept_back(const struct chunk *c)
{
    const struct shape *sh = &c->sh;
    const float *h = h_of(c, c->index);

    for (size_t p = 0; p < sh->heads; p++) {
        float sum = 0;

        for (size_t n = 0; n < sh->n; n++)
            sum += mbi_dot(c->k.dh + n * sh->width + p * sh->dim, h + n * sh->width + p * sh->dim,
                           sh->dim);
        c->k.dL[p * CHUNK + c->q - 1] -= MBI_LN2 * c->k.end[p] * sum;
    }
}

/* Token to token inside the chunk, head by head. dxw is added to; ds sums over the heads. */
static void inside_back(const struct chunk *c, const float *dy)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;

    memset(k->ds, 0, c->q * c->q * sizeof(float));
    for (size_t h = 0; h < sh->heads; h++) {
        const size_t at = h * sh->dim;

        decay_square(k->decay, k->m, k->s, k->L + h * CHUNK, c->q);
        mbi_sgemm(c->a->linalg, false, true, c->q, c->q, sh->dim, 1, dy + at, sh->width, k->xw + at,
                  sh->width, 0, k->dm, c->q);
        mbi_sgemm(c->a->linalg, true, false, c->q, sh->dim, c->q, 1, k->m, c->q, dy + at, sh->width,
                  1, k->dxw + at, sh->width);
        square_back(k->ds, k->dL + h * CHUNK, k->dm, k->decay, k->s, c->q);
    }
    if (!d_bc(c))
        return;
    mbi_sgemm(c->a->linalg, true, false, c->q, sh->n, c->q, 1, k->ds, c->q, c_of(c), 2 * sh->n, 1,
              d_bc(c), 2 * sh->n);
    mbi_sgemm(c->a->linalg, false, false, c->q, sh->n, c->q, 1, k->ds, c->q, b_of(c), 2 * sh->n, 1,
              d_bc(c) + sh->n, 2 * sh->n);
}

/* From xw = w x and L to x and l: dw/dl = 2^-l ln 2, and l_j is in every L_i from i = j on. */
static void inputs_back(const struct chunk *c)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;

    if (c->a->d_in[0])
        scale_heads_add(c->a->d_in[0] + c->first * sh->width, k->dxw, k->w, c->q, sh->heads,
                        sh->dim);
    if (!c->a->d_in[2])
        return;
    for (size_t h = 0; h < sh->heads; h++) {
        float sum = 0;

        for (size_t i = c->q; i-- > 0;) {
            const size_t at = i * sh->width + h * sh->dim;
            const float dw = mbi_dot(k->dxw + at, x_of(c) + at, sh->dim);

            sum += k->dL[h * CHUNK + i];
            c->a->d_in[2][(c->first + i) * sh->heads + h] +=
                sum + MBI_LN2 * (1 - k->w[h * CHUNK + i]) * dw;
        }
    }
}

static void chunk_back(const struct chunk *c)
{
    const struct shape *sh = &c->sh;
    const struct work *k = &c->k;
    const float *dy = c->a->d_out + c->first * sh->width;
    const bool has_next = c->index + 1 < sh->chunks, has_state = c->index > 0;

    decays(c);
    memset(k->dL, 0, sh->heads * CHUNK * sizeof(float));
    if (has_next)
        written_back(c);
    else
        memset(k->dxw, 0, c->q * sh->width * sizeof(float));
    scores(c);
    inside_back(c, dy);
    if (has_state) {
        carried_back(c, dy);
        if (has_next) {
            kept_back(c);
            scale_state(k->dh, k->dh, k->end, sh->n, sh->heads, sh->dim);
        }
        mbi_sgemm(c->a->linalg, true, false, sh->n, sh->width, c->q, 1, c_of(c), 2 * sh->n,
                  k->scaled, sh->width, has_next, k->dh, sh->width);
    }
    inputs_back(c);
}

static void backward(const struct mbi_grad_args *a)
{
    struct chunk c = {.a = a, .sh = shape_of(a)};

    lay_out(&c.k, &c.sh, a->scratch);
    memset(c.k.h, 0, c.sh.n * c.sh.width * sizeof(float));
    for (size_t s = 0; s < a->streams; s++) {
        for (size_t i = 0; i + 1 < c.sh.chunks; i++) {
            enter(&c, s, i);
            decays(&c);
            next_state(&c, h_of(&c, i + 1), h_of(&c, i));
        }
        for (size_t i = c.sh.chunks; i-- > 0;) {
            enter(&c, s, i);
            chunk_back(&c);
        }
    }
}

const struct mbi_op_grad mbi_grad_scan = {
    .needs_in = 7,
    .forward = forward,
    .backward = backward,
    .scratch = scratch,
};

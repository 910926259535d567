/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transforms, in two levels. Element n = n1 C + n2 of a polynomial of R C elements, with value
 * j = j1 + R j2 and w of order R C:
 *
 *     y[j1][n2] = w^(n2 j1) sum over n1 of x[n1 C + n2] (w^C)^(n1 j1)
 *     X[j1 + R j2] = sum over n2 of y[j1][n2] (w^R)^(n2 j2)
 *
 * Both sums are transforms of about the square root of the length, which fit a cache. Eight of them
 * are copied side by side into a block and done together, so that one load of a root serves eight
 * and vectors need no shuffle.                                                proof.md, transforms
 */
#include "proof/ntt.h"
#include "base/intmath.h"
#include <string.h>

#define LANES MBI_NTT_LANES
#define LOG_ONE_LEVEL 5            /* up to this length the second sum is all */
#define GROUP ((size_t)1 << 18)    /* elements of y at a time: rows are done in groups */
#define LOG_EIGHT_ROWS 21          /* the longest of which y has eight: 128 MiB */
#define PARTS_EACH 4               /* of a loop for every thread */
#define LINE (64 / sizeof(mbi_fe)) /* y's rows are this much apart from a power of two */

/* ---- roots ---- */

static unsigned log_inner(unsigned log_n) /* of R */
{
    return log_n <= LOG_ONE_LEVEL ? 0 : log_n / 2;
}

/* Blocks get at most this long for any length up to 2^log_max. */
static unsigned log_block(unsigned log_max)
{
    const unsigned two_levels = log_max - log_inner(log_max);

    return two_levels > LOG_ONE_LEVEL ? two_levels : LOG_ONE_LEVEL;
}

static void fill_roots(mbi_fe *root, unsigned log_n, bool inverse)
{
    root[0] = 0; /* no stage reads it */
    for (unsigned k = 0; k < log_n; k++) {
        const mbi_fe forward = mbi_fe_root(k + 1), w = inverse ? mbi_fe_inv(forward) : forward;
        mbi_fe power = 1;

        for (size_t i = 0; i < (size_t)1 << k; i++, power = mbi_fe_mul(power, w))
            root[((size_t)1 << k) + i] = power;
    }
}

int32_t mbi_ntt_init(struct mbi_ntt *t, const struct mbi_host *host,
                     const struct mbi_field_kernels *kernels, unsigned log_max, mambaint_error *err)
{
    *t = (struct mbi_ntt){.host = host, .kernels = kernels, .log_max = log_max};
    if (log_max > MBI_NTT_LOG_MAX)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "transforms of 2^%u elements are asked for; at most 2^%d can be done",
                        log_max, MBI_NTT_LOG_MAX);
    for (int i = 0; i < 2; i++) {
        t->root[i] = mbi_alloc_aligned(host, sizeof(mbi_fe) << log_block(log_max));
        if (!t->root[i]) {
            mbi_ntt_free(t);
            return mbi_fail_memory(err, "the roots of unity");
        }
        fill_roots(t->root[i], log_block(log_max), i == 1);
    }
    return MAMBAINT_OK;
}

void mbi_ntt_free(struct mbi_ntt *t)
{
    for (int i = 0; i < 2; i++)
        mbi_free_aligned(t->host, t->root[i]);
    memset(t, 0, sizeof(*t));
}

/* ---- one block ---- */

/* Eight lanes in an array: the distances between lanes and between elements, and what is there. */
struct strip {
    size_t lane, element;
    size_t lanes; /* at most LANES; the others are 0 */
    size_t
        whole; /* elements that all of these lanes have; then one that `edge` lanes have, then 0 */
    size_t edge;
};

/* The next index in bit-reversed order: counts from the top bit down. All ones is the last. */
static size_t next_reversed(size_t r, unsigned bits)
{
    size_t bit = (size_t)1 << bits >> 1;

    for (; r & bit; bit >>= 1)
        r ^= bit;
    return r | bit;
}

static void load_lanes(mbi_fe to[LANES], const mbi_fe *from, size_t apart, size_t n)
{
    if (apart == 1 && n == LANES) {
        memcpy(to, from, LANES * sizeof(*to));
        return;
    }
    for (size_t l = 0; l < n; l++)
        to[l] = from[l * apart];
    for (size_t l = n; l < LANES; l++)
        to[l] = 0;
}

/*
 * Into bit-reversed order. Where only the first n / 2^s of n elements are not 0, each pair of the
 * first s stages has a 0 on its right and leaves two copies of the left: these stages are done by
 * copying, and the number of the next one is returned.
 */
static unsigned gather(mbi_fe *x, unsigned log_n, const mbi_fe *in, const struct strip *s)
{
    const size_t used = s->whole + (s->edge != 0);
    unsigned skip = 0;
    size_t to = 0;

    while (skip < log_n && ((size_t)1 << log_n >> (skip + 1)) >= used)
        skip++;
    for (size_t i = 0; i < (size_t)1 << (log_n - skip); i++) {
        const size_t lanes = i < s->whole ? s->lanes : i == s->whole ? s->edge : 0;
        mbi_fe *first = x + (LANES * to << skip);

        load_lanes(first, in + (lanes ? i * s->element : 0), s->lane, lanes);
        for (size_t k = 1; k < (size_t)1 << skip; k++)
            memcpy(first + LANES * k, first, LANES * sizeof(*first));
        to = next_reversed(to, log_n - skip);
    }
    return skip;
}

static void scatter(mbi_fe *out, size_t n, const mbi_fe *x, const struct strip *s)
{
    for (; n--; x += LANES, out += s->element) {
        if (s->lane == 1 && s->lanes == LANES) {
            memcpy(out, x, LANES * sizeof(*out));
            continue;
        }
        for (size_t l = 0; l < s->lanes; l++)
            out[l * s->lane] = x[l];
    }
}

/* ---- a run ---- */

struct run {
    const struct mbi_ntt *t;
    const struct mbi_ntt_job *job;
    unsigned log_r, log_c;
    size_t r, c;              /* R and C; R = 1: one level */
    mbi_fe w, scale;          /* of order R C; what the inverse multiplies with */
    mbi_fe *y;                /* of the group: [row][j1][n2] */
    size_t pitch;             /* from one j1 to the next */
    mbi_fe *blocks;           /* one for every part of a loop */
    size_t parts, row0, rows; /* the group */
    bool rows_are_lanes;      /* of the second level; otherwise j1 is */
    size_t items;             /* blocks of the present loop */
    void (*item)(const struct run *run, mbi_fe *x, size_t i);
};

static void transform(const struct run *run, mbi_fe *x, unsigned log_n, const mbi_fe *in,
                      const struct strip *s)
{
    const unsigned first = gather(x, log_n, in, s);

    run->t->kernels->ntt_stages(x, log_n, first, run->t->root[run->job->inverse]);
}

/* Columns n2 .. n2 + 7 of one polynomial. */
static void first_level(const struct run *run, mbi_fe *x, size_t i)
{
    const struct mbi_ntt_job *job = run->job;
    const size_t strips = run->c / LANES, row = i / strips, n2 = i % strips * LANES;
    const size_t there = job->ell > n2 ? job->ell - n2 : 0, rest = there % run->c;
    const struct strip from = {
        .lane = job->in_step,
        .element = run->c * job->in_step,
        .lanes = LANES,
        .whole = there / run->c + (rest >= LANES),
        .edge = rest < LANES ? rest : 0,
    };
    const struct strip to = {.lane = 1, .element = run->pitch, .lanes = LANES};
    mbi_fe step[LANES];

    transform(run, x, run->log_r, job->in + (run->row0 + row) * job->in_row + n2 * job->in_step,
              &from);
    step[0] = mbi_fe_pow(run->w, n2);
    for (size_t l = 1; l < LANES; l++)
        step[l] = mbi_fe_mul(step[l - 1], run->w);
    run->t->kernels->ntt_powers(x, run->r, run->scale, step);
    scatter(run->y + row * run->r * run->pitch + n2, run->r, x, &to);
}

/* Rows j1 .. j1 + 7 of y of one polynomial, or row j1 of eight polynomials. */
static void second_level(const struct run *run, mbi_fe *x, size_t i)
{
    const struct mbi_ntt_job *job = run->job;
    const size_t strips = run->rows_are_lanes ? run->r : run->r / LANES;
    const size_t row = i / strips * (run->rows_are_lanes ? LANES : 1);
    const size_t j1 = i % strips * (run->rows_are_lanes ? 1 : LANES);
    struct strip from = {.lane = run->pitch, .element = 1, .lanes = LANES, .whole = run->c};
    struct strip to = {.lane = job->out_step, .element = run->r * job->out_step, .lanes = LANES};

    if (run->rows_are_lanes) {
        from.lane = run->r * run->pitch;
        to.lane = job->out_row;
        from.lanes = to.lanes = mbi_min_size(run->rows - row, LANES);
    }
    transform(run, x, run->log_c, run->y + (row * run->r + j1) * run->pitch, &from);
    scatter(job->out + (run->row0 + row) * job->out_row + j1 * job->out_step, run->c, x, &to);
}

/* Eight whole polynomials. */
static void one_level(const struct run *run, mbi_fe *x, size_t i)
{
    static const mbi_fe ones[LANES] = {1, 1, 1, 1, 1, 1, 1, 1};
    const struct mbi_ntt_job *job = run->job;
    const size_t row = i * LANES, lanes = mbi_min_size(job->rows - row, LANES);
    const struct strip from = {
        .lane = job->in_row, .element = job->in_step, .lanes = lanes, .whole = job->ell};
    const struct strip to = {.lane = job->out_row, .element = job->out_step, .lanes = lanes};

    transform(run, x, run->log_c, job->in + row * job->in_row, &from);
    if (job->inverse)
        run->t->kernels->ntt_powers(x, run->c, run->scale, ones);
    scatter(job->out + row * job->out_row, run->c, x, &to);
}

/* ---- loops ---- */

static void do_parts(void *arg, size_t begin, size_t end)
{
    const struct run *run = arg;
    const size_t each = (run->items + run->parts - 1) / run->parts;

    for (size_t part = begin; part < end; part++) {
        mbi_fe *x = run->blocks + part * LANES * run->c;
        const size_t last = mbi_min_size((part + 1) * each, run->items);

        for (size_t i = part * each; i < last; i++)
            run->item(run, x, i);
    }
}

static void loop(struct run *run, size_t items,
                 void (*item)(const struct run *run, mbi_fe *x, size_t i))
{
    run->items = items;
    run->item = item;
    mbi_parallel_for(run->t->host, run->parts, 1, do_parts, run);
}

static size_t in_eights(size_t n) { return n / LANES + (n % LANES != 0); }

static void two_levels(struct run *run, size_t group)
{
    const size_t rows = run->job->rows;

    for (run->row0 = 0; run->row0 < rows; run->row0 += run->rows) {
        run->rows = mbi_min_size(group, rows - run->row0);
        loop(run, run->rows * (run->c / LANES), first_level);
        loop(run,
             run->rows_are_lanes ? in_eights(run->rows) * run->r : run->rows * (run->r / LANES),
             second_level);
    }
}

/* Rows as lanes write whole lines where rows are neighbours, if eight rows are not too much. */
static void choose_lanes(struct run *run)
{
    const struct mbi_ntt_job *job = run->job;

    run->rows_are_lanes = job->out_row == 1 && job->out_step != 1 && job->rows >= LANES &&
                          job->log_n <= LOG_EIGHT_ROWS;
}

int32_t mbi_ntt_run(const struct mbi_ntt *t, const struct mbi_ntt_job *job, mambaint_error *err)
{
    struct run run = {.t = t, .job = job, .scale = 1};
    size_t group, size;

    if (job->log_n > t->log_max || job->ell > (size_t)1 << job->log_n)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "a transform of %zu elements to 2^%u; the roots are for 2^%u", job->ell,
                        job->log_n, t->log_max);
    run.log_r = log_inner(job->log_n);
    run.log_c = job->log_n - run.log_r;
    run.r = (size_t)1 << run.log_r;
    run.c = (size_t)1 << run.log_c;
    run.pitch = run.c + LINE;
    run.w = mbi_fe_root(job->log_n);
    if (job->inverse) {
        run.w = mbi_fe_inv(run.w);
        run.scale = mbi_fe_inv((mbi_fe)1 << job->log_n);
    }
    run.parts = mbi_pool_threads(t->host->pool) * PARTS_EACH;
    choose_lanes(&run);
    group = mbi_max_size(GROUP >> job->log_n, 1);
    if (run.rows_are_lanes)
        group = in_eights(group) * LANES;
    group = mbi_min_size(group, job->rows);

    run.blocks = mbi_alloc_huge(t->host, run.parts * run.c * LANES * sizeof(mbi_fe));
    if (run.blocks && run.r > 1 && mbi_mul_size(&size, group * run.r, run.pitch * sizeof(mbi_fe)))
        run.y = mbi_alloc_huge(t->host, size);
    if (run.blocks && run.r == 1)
        loop(&run, in_eights(job->rows), one_level);
    else if (run.y)
        two_levels(&run, group);
    mbi_free_aligned(t->host, run.y);
    mbi_free_aligned(t->host, run.blocks);
    return run.blocks && (run.y || run.r == 1) ? MAMBAINT_OK
                                               : mbi_fail_memory(err, "a transform's copy");
}

int32_t mbi_ntt_encode_rows(const struct mbi_ntt *t, mbi_fe *out, const mbi_fe *in, size_t rows,
                            size_t ell, unsigned log_n, mambaint_error *err)
{
    const struct mbi_ntt_job job = {.in = in,
                                    .in_row = ell,
                                    .in_step = 1,
                                    .out = out,
                                    .out_row = (size_t)1 << log_n,
                                    .out_step = 1,
                                    .rows = rows,
                                    .ell = ell,
                                    .log_n = log_n};

    return mbi_ntt_run(t, &job, err);
}

int32_t mbi_ntt_encode_leaves(const struct mbi_ntt *t, mbi_fe *out, const mbi_fe *in, size_t rows,
                              size_t ell, unsigned log_n, mambaint_error *err)
{
    const struct mbi_ntt_job job = {.in = in,
                                    .in_row = ell,
                                    .in_step = 1,
                                    .out = out,
                                    .out_row = 1,
                                    .out_step = rows,
                                    .rows = rows,
                                    .ell = ell,
                                    .log_n = log_n};

    return mbi_ntt_run(t, &job, err);
}

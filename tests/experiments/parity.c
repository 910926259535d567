/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State tracking: a one-layer model learns the parity of bit strings when its state may rotate, and
 * stays at chance when it may not. Afterwards its turns are snapped to half turns and its decay is
 * held, and it stays exact for as long as one cares to run it: integers do not drift.
 *
 *   parity --seed 1 --pairs 4 [--steps 1400] [--snap] [--long 100000]
 *
 * Tokens: 0 begins a string, 1 and 2 are the bits 0 and 1. The target at every bit is the parity of
 * the string so far, told as token 1 or 2.
 */
#include "arch/arch.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "base/text.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH 64
#define CONTEXT (LENGTH + 1)
#define BATCH 32
#define TRIALS 256
#define DIM 32

struct task {
    uint64_t seed, steps;
};

static int bit_of(uint64_t key, uint64_t sequence, uint64_t t)
{
    return (int)(mbi_philox_u64(key, sequence << 20 | t) & 1);
}

/* One string with its running parities; position t predicts the parity after bit t. */
static void fill_string(int32_t *input, int32_t *target, uint64_t key, uint64_t sequence, size_t n)
{
    int parity = 0;

    input[0] = 0;
    target[0] = 1;
    for (size_t t = 1; t < n; t++) {
        const int bit = bit_of(key, sequence, t);

        parity ^= bit;
        input[t] = 1 + bit;
        target[t] = 1 + parity;
    }
}

/* Lengths 16, 32, 64 in turn. */
static void fill(void *self, uint64_t step, int32_t *input, int32_t *target, float *weight)
{
    const struct task *task = self;
    const size_t length = step < task->steps * 3 / 10   ? 16
                          : step < task->steps * 6 / 10 ? 32
                                                        : LENGTH;

    for (size_t s = 0; s < BATCH; s++) {
        fill_string(input + s * CONTEXT, target + s * CONTEXT, task->seed, step * BATCH + s,
                    CONTEXT);
        for (size_t t = 0; t < CONTEXT; t++)
            weight[s * CONTEXT + t] = t >= 1 && t <= length ? 1.0f : 0.0f;
    }
}

/* ---- running the integer program ---- */

struct runner {
    const struct mbi_backend *backend;
    struct mbi_program *program;
    struct mbi_image *image;
    struct mbi_memory *memory;
};

static int32_t runner_open(struct runner *r, const struct mbi_host *host, const struct mbi_graph *g,
                           struct mbi_weights *w, mambaint_error *err)
{
    int32_t rc = mbi_program_create(&r->program, host, g, 256, 256, false, err);

    if (rc == MAMBAINT_OK)
        rc = r->backend->image_new(&r->image, r->program, w, err);
    if (rc == MAMBAINT_OK)
        rc = r->backend->memory_new(&r->memory, r->program, err);
    return rc;
}

static void runner_close(struct runner *r)
{
    if (r->memory)
        r->backend->memory_free(r->memory);
    if (r->image)
        r->backend->image_free(r->image);
    mbi_program_free(r->program);
}

/* Answers (between the two bits) that were wrong: all, and those of the last quarter, where what
 * a short memory can guess at the beginning is no help. */
struct wrong {
    size_t all, late;
};

/* One string of n positions from the zero state. */
static struct wrong count_wrong(struct runner *r, const int32_t *input, const int32_t *target,
                                size_t n, const void *zero)
{
    struct wrong bad = {0, 0};
    int32_t logits[3];
    mambaint_error err;

    r->backend->memory_write(r->memory, zero, &err);
    for (size_t at = 0; at < n; at += 256) {
        struct mbi_run run = {r->memory, at, input + at, mbi_min_size(256, n - at)};
        struct mbi_batch batch = {&run, 1, true};

        if (r->backend->run(r->image, &batch, &err) < 0) {
            fprintf(stderr, "parity: %s\n", err.message);
            exit(1);
        }
        for (size_t t = 0; t < run.n; t++) {
            r->backend->peek(logits, r->image, r->program->graph->logits, t, 1, &err);
            if (at + t && (logits[2] > logits[1] ? 2 : 1) != target[at + t]) {
                bad.all++;
                bad.late += 4 * (at + t) > 3 * (n - 1);
            }
        }
    }
    return bad;
}

/* Fresh strings of n bits; prints what share of the answers was right. */
static void tell(struct runner *r, uint64_t seed, const char *what, size_t n, size_t strings)
{
    int32_t *input = calloc(n + 1, sizeof(*input)), *target = calloc(n + 1, sizeof(*target));
    void *zero = calloc(1, r->program->state_size + 1);
    struct wrong sum = {0, 0};
    size_t whole = 0;

    for (size_t s = 0; s < strings; s++) {
        struct wrong bad;

        fill_string(input, target, seed ^ 0x5eed, s, n + 1);
        bad = count_wrong(r, input, target, n + 1, zero);
        sum.all += bad.all;
        sum.late += bad.late;
        whole += !bad.all;
    }
    printf("%s length %zu: %.2f %% right, last quarter %.2f %%, %zu of %zu strings without a "
           "mistake\n",
           what, n, 100 - 100.0 * (double)sum.all / (double)(n * strings),
           100 - 100.0 * (double)sum.late / (double)((n / 4) * strings), whole, strings);
    free(input);
    free(target);
    free(zero);
}

/* ---- snapping ---- */

/* The normalised row that the first projection sees for each token: it depends on nothing else. */
static void token_rows(int8_t row[3][DIM], const struct mbi_graph *g, const void *const *param)
{
    const int8_t *table = param[mbi_graph_find_param(g, "token_embd.weight")];
    int32_t r[3 * DIM];
    const struct mbi_norm_attr attr = {1, 5, 8};
    const struct mbi_type in = {MBI_I32, 10, 1, DIM, INT32_MIN, INT32_MAX};
    const struct mbi_type out = {MBI_I8, 5, 1, DIM, -128, 127};
    struct mbi_op_args a = {.in = {r},
                            .out = row,
                            .in_type = {&in},
                            .out_type = &out,
                            .attr = &attr,
                            .lanes = 3,
                            .end = 3};

    for (size_t i = 0; i < 3 * DIM; i++)
        r[i] = table[i] * 32;
    for (uint32_t op = 1; op < mbi_op_count; op++)
        if (!strcmp(mbi_op_table[op].name, "norm_rms"))
            mbi_op_table[op].def->eval(&a);
}

static int64_t dot(const int8_t *w, const int8_t *x)
{
    int64_t sum = 0;

    for (size_t i = 0; i < DIM; i++)
        sum += w[i] * x[i];
    return sum;
}

/* Distance of a sum from the nearest multiple of 2^bits plus `want`, if bits > 0. */
static int64_t miss(int64_t sum, int64_t want, int bits)
{
    const int64_t period = (int64_t)1 << bits, half = period / 2;

    if (!bits)
        return llabs(sum - want);
    return llabs(((sum - want + half) & (period - 1)) - half);
}

/* Move single weights by one as long as that brings the sums of the three tokens nearer. */
static int64_t nudge(int8_t *w, int8_t row[3][DIM], const int64_t want[3], int bits)
{
    int64_t best = INT64_MAX;

    for (bool better = true; better;) {
        better = false;
        for (size_t i = 0; i < 2 * DIM * DIM * 4; i++) {
            const size_t a = i / 4 % DIM, b = i / 4 / DIM % DIM;
            const int da = i & 1 ? 1 : -1, db = i >= 4 * DIM * DIM ? 0 : i & 2 ? 1 : -1;
            int64_t total = 0;

            if (w[a] + da > 127 || w[a] + da < -127 || w[b] + db > 127 || w[b] + db < -127)
                continue;
            w[a] = (int8_t)(w[a] + da);
            w[b] = (int8_t)(w[b] + db);
            for (size_t k = 0; k < 3; k++)
                total += miss(dot(w, row[k]), want[k], bits);
            if (total < best) {
                best = total;
                better = true;
                continue;
            }
            w[a] = (int8_t)(w[a] - da);
            w[b] = (int8_t)(w[b] - db);
        }
    }
    return best;
}

struct shape {
    uint32_t heads, inner, state, pairs;
};

/*
 * Turns: a sum of want 2^(e-3) makes the pre-activation `want`, which is want / 4 of 1/256 turn;
 * bit 1 is half a turn (512), the others none. Where training left a pair unused it stays unused.
 */
static void snap_turns(const struct shape *sh, int8_t *weight, const int8_t *exponent,
                       int8_t row[3][DIM])
{
    const size_t at = 2 * sh->inner + 2 * sh->state + sh->heads;

    for (size_t k = 0; k < sh->pairs; k++) {
        int8_t *w = weight + (at + k) * DIM;
        const int shift = exponent[at + k] - 3;
        const int64_t unit = shift > 0 ? (int64_t)1 << shift : 1;
        const int64_t turned = dot(w, row[2]) / unit, rest = turned & 1023;
        const int64_t half = rest > 256 && rest < 768 ? 512 : 0;
        const int64_t want[3] = {0, 0, half * unit};

        fprintf(stderr, "pair %zu: bit 1 turned %lld/1024, now %lld, off by %lld sums\n", k,
                (long long)rest, (long long)half,
                (long long)nudge(w, row, want, 10 + (shift > 0 ? shift : 0)));
    }
}

/* Decays: the begin token writes (v = 2), the bits hold (v <= -11). */
static void snap_decays(const struct shape *sh, int8_t *weight, int8_t *exponent, int16_t *bias,
                        int8_t row[3][DIM])
{
    const size_t at = 2 * sh->inner + 2 * sh->state;

    for (size_t h = 0; h < sh->heads; h++) {
        int8_t *w = weight + (at + h) * DIM;
        const int64_t want[3] = {16 * 256 << 2, 0, 0}; /* e = 5: the sum is the value times 4 */

        memset(w, 0, DIM);
        exponent[at + h] = 5;
        nudge(w, row, want, 0);
        bias[h] = -14 * 256;
        fprintf(stderr, "head %zu: v = %lld, %lld, %lld in 1/256\n", h,
                (long long)(dot(w, row[0]) >> 2) + bias[h],
                (long long)(dot(w, row[1]) >> 2) + bias[h],
                (long long)(dot(w, row[2]) >> 2) + bias[h]);
    }
}

static void *own(const void *const *param, const struct mbi_graph *g, const char *name)
{
    union {
        const void *in;
        void *out;
    } p = {param[mbi_graph_find_param(g, name)]}; /* the trainer is done with them */

    return p.out;
}

static void snap(const struct shape *sh, const struct mbi_graph *g, const void *const *param)
{
    int8_t row[3][DIM];

    token_rows(row, g, param);
    snap_turns(sh, own(param, g, "blk.0.ssm_in.weight"), own(param, g, "blk.0.ssm_in.exponent"),
               row);
    snap_decays(sh, own(param, g, "blk.0.ssm_in.weight"), own(param, g, "blk.0.ssm_in.exponent"),
                own(param, g, "blk.0.ssm_dt.bias"), row);
}

/* ---- the whole ---- */

struct command_line {
    uint64_t seed, steps, pairs, far, rate;
    bool snap;
};

static bool read_args(struct command_line *c, int argc, char **argv)
{
    *c = (struct command_line){1, 1400, 4, 100000, 30, false};
    for (int i = 1; i < argc; i++) {
        uint64_t *to = !strcmp(argv[i], "--seed")    ? &c->seed
                       : !strcmp(argv[i], "--steps") ? &c->steps
                       : !strcmp(argv[i], "--pairs") ? &c->pairs
                       : !strcmp(argv[i], "--rate")  ? &c->rate
                       : !strcmp(argv[i], "--long")  ? &c->far
                                                     : NULL;

        if (!strcmp(argv[i], "--snap"))
            c->snap = true;
        else if (!to || i + 1 == argc || !mbi_parse_u64(to, argv[++i]))
            return false;
    }
    return true;
}

static int32_t configure(struct mbi_config *config, uint64_t pairs, mambaint_error *err)
{
    static const char *const flag[][2] = {{"layers", "1"},    {"d-model", "32"}, {"heads", "2"},
                                          {"head-dim", "16"}, {"d-state", "8"},  {"vocab", "3"},
                                          {"chunk", "64"},    {"hold", "on"}};
    char text[24];
    bool known;
    int32_t rc = MAMBAINT_OK;

    mbi_config_init(config, mbi_arch_find("mamba-integer"));
    snprintf(text, sizeof(text), "%llu", (unsigned long long)pairs);
    for (size_t i = 0; rc == MAMBAINT_OK && i < MBI_COUNT(flag); i++)
        rc = mbi_config_set(config, flag[i][0], flag[i][1], &known, err);
    if (rc == MAMBAINT_OK)
        rc = mbi_config_set(config, "rotation-pairs", text, &known, err);
    return rc == MAMBAINT_OK ? config->arch->resolve(config, true, err) : rc;
}

/* Turns start a tenth of the usual size, for text; this task is about turning, so they start at a
 * quarter turn. */
static bool widen_turns(struct mbi_graph *g)
{
    struct mbi_param *p = &g->param[mbi_graph_find_param(g, "blk.0.ssm_in.weight")];

    for (size_t i = 0; i < MBI_MAX_BANDS; i++)
        if (p->band[i].end == p->type.rows && p->band[i].scale_q8 < 64)
            p->band[i].scale_q8 = 256;
    return true;
}

static int32_t train(struct mbi_trainer *tr, uint64_t steps, mambaint_error *err)
{
    struct mbi_train_report report;
    int32_t rc = MAMBAINT_OK;

    while (rc == MAMBAINT_OK && (rc = mbi_trainer_step(tr, &report, err)) == MAMBAINT_OK)
        if (report.step % 50 == 0)
            fprintf(stderr, "step %llu of %llu: loss %.4f\n", (unsigned long long)report.step,
                    (unsigned long long)steps, (double)report.loss_q20 / 1048576);
    return rc == MAMBAINT_END ? MAMBAINT_OK : rc;
}

int main(int argc, char **argv)
{
    struct command_line c;
    struct mbi_host host;
    struct mbi_config config;
    struct mbi_graph *graph = NULL;
    struct mbi_trainer *tr = NULL;
    struct runner r = {0};
    mambaint_error err = {0};
    int32_t rc;

    if (!read_args(&c, argc, argv)) {
        fputs("usage: parity [--seed N] [--pairs N] [--steps N] [--snap] [--long N]\n", stderr);
        return 2;
    }
    struct task task = {c.seed, c.steps};
    const struct mbi_batch_source source = {fill, &task};
    const struct mbi_trainer_settings set = {.integers = true,
                                             .batch = BATCH,
                                             .context = CONTEXT,
                                             .steps = c.steps,
                                             .warmup = 40,
                                             .rate_q40 = c.rate * ((uint64_t)1 << 40) / 10000,
                                             .clip_q40 = (uint64_t)1 << 40,
                                             .beta1_q40 = 9 * ((uint64_t)1 << 40) / 10,
                                             .beta2_q40 = 97 * ((uint64_t)1 << 40) / 100,
                                             .init = {c.seed, 2 * LENGTH, MBI_DECAY_OCTAVES}};

    mbi_host_default(&host);
    if ((rc = mbi_backend_find(&r.backend, NULL, &err)) < 0 ||
        (rc = configure(&config, c.pairs, &err)) < 0 ||
        (rc = mbi_arch_graph(&graph, &host, &config, &err)) < 0 || !widen_turns(graph) ||
        (rc = mbi_trainer_create(&tr, &host, graph, r.backend, &source, &set, &err)) < 0 ||
        (rc = train(tr, c.steps, &err)) < 0 ||
        (rc = runner_open(&r, &host, graph, mbi_trainer_weights(tr, &err), &err)) < 0) {
        fprintf(stderr, "parity: %s\n", err.message);
        return 1;
    }
    printf("seed %llu, %llu rotated pairs\n", (unsigned long long)c.seed,
           (unsigned long long)c.pairs);
    tell(&r, c.seed, "trained,", LENGTH, TRIALS);
    tell(&r, c.seed, "trained,", 4 * LENGTH, TRIALS / 4);
    if (c.snap) {
        snap(&(struct shape){2, 32, 8, (uint32_t)c.pairs}, graph, mbi_trainer_params(tr, &err));
        if ((rc = r.backend->weights_update(mbi_trainer_weights(tr, &err), &err)) < 0)
            return 1;
        tell(&r, c.seed, "snapped,", LENGTH, TRIALS);
        tell(&r, c.seed, "snapped,", c.far, 1);
    }
    runner_close(&r);
    mbi_trainer_free(tr);
    mbi_graph_free(graph);
    return 0;
}

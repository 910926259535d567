/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training on the device against training on the CPU: gradients of whole models and of a graph with
 * every operation, losses, integers, runs of steps, checkpoints that change sides. The kernels run
 * on a GPU, or under the emulator where this is compiled with MBI_EMULATE. Under MBI_TRAIN_FP32
 * nothing is rounded before products, so that what is left of a difference is the order of sums.
 */
#include "tests/cuda/mirror.h"

#include <cmath>
#include <ctime>
#include <string>
#include <vector>

extern "C" {
#include "arch/arch.h"
#include "train/device.h"
#include "train/trainer.h"
extern const struct mbi_train_device mbi_train_module;
}

#ifdef MBI_TRAIN_FP32
#define TOLERANCE 1e-4
#define LEAST(n) 1e-3
#else
#define TOLERANCE 2e-2
#define LEAST(n) ((n) < 64 ? 1e-1 : 1e-2)
#endif

static bool failed;

#define CHECK(what, ...)                                                                           \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            printf("not ok: %s:%d: ", __FILE__, __LINE__);                                         \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            failed = true;                                                                         \
        }                                                                                          \
    } while (0)

/* ---- noise ---- */

static uint64_t noise_state;

static uint64_t noise(void)
{
    uint64_t z = noise_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float uniform(void) { return (float)(noise() >> 40) / 8388608.0f - 1; }

/* ---- models ---- */

struct model {
    struct mbi_host host;
    struct mbi_graph *graph;
    struct mbi_layout layout;
    std::vector<float> master;
};

static void masters(struct model *m, float more)
{
    const struct mbi_init_settings set = {noise(), 16, MBI_DECAY_OCTAVES};

    MUST(mbi_layout_create(&m->layout, &m->host, m->graph, &error));
    m->master.assign(m->layout.total, 0);
    mbi_init_masters(m->master.data(), &m->layout, &set);
    for (uint32_t i = 0; i < m->graph->n_params; i++) {
        const struct mbi_type *t = &m->graph->param[i].type;

        for (size_t k = 0; m->layout.at[i] != SIZE_MAX && k < (size_t)t->rows * t->cols; k++)
            m->master[m->layout.at[i] + k] += more * uniform();
    }
}

static void model_make(struct model *m, const char *const *flags)
{
    struct mbi_config c;
    bool known;

    mbi_host_default(&m->host);
    mbi_config_init(&c, mbi_arch_at(0));
    MUST(mbi_config_preset(&c, *flags, &error));
    for (flags++; *flags; flags += 2)
        MUST(mbi_config_set(&c, flags[0], flags[1], &known, &error));
    MUST(c.arch->resolve(&c, true, &error));
    MUST(mbi_arch_graph(&m->graph, &m->host, &c, &error));
    masters(m, 0.05f);
}

static void model_free(struct model *m)
{
    mbi_layout_free(&m->layout);
    mbi_graph_free(m->graph);
}

/* ---- a graph with what models have not ---- */

static mbi_ref param(struct mbi_build *b, const char *name, uint32_t dtype, int32_t frac,
                     uint32_t rows, uint32_t cols)
{
    struct mbi_param p = {};

    snprintf(p.name, sizeof(p.name), "%s", name);
    p.type = {
        dtype, frac, rows, cols, dtype == MBI_I8 ? -127 : -32767, dtype == MBI_I8 ? 127 : 32767};
    p.is_vector = rows == 1;
    p.is_matrix = rows > 1;
    p.quant = MBI_QUANT_FIXED;
    p.init = MBI_INIT_NORMAL;
    p.init_q16 = 1 << 16;
    p.exponent = p.scale = MBI_NONE;
    return mbi_build_param(b, &p);
}

static mbi_ref node(struct mbi_build *b, uint32_t op, std::vector<mbi_ref> in,
                    std::vector<int32_t> attr = {})
{
    in.resize(MBI_MAX_IN);
    attr.resize(MBI_MAX_ATTR);
    return mbi_build_node(b, op, "test", in.data(), attr.data());
}

enum { VOCAB = 11 };

/* 8 columns for each token. */
static mbi_ref graph_begin(struct model *m, struct mbi_build *b)
{
    mbi_host_default(&m->host);
    MUST(mbi_graph_create(&m->graph, &m->host, &error));
    mbi_build_begin(b, m->graph, &error);
    const mbi_ref token = mbi_build_token(b, VOCAB);

    return node(b, MBI_OP_embed, {token, param(b, "table", MBI_I8, 5, VOCAB, 8)});
}

static void graph_end(struct model *m, struct mbi_build *b, mbi_ref logits)
{
    MUST(mbi_build_end(b, logits, node(b, MBI_OP_argmax, {logits})));
    masters(m, 0.3f);
}

static void odd_make(struct model *m)
{
    struct mbi_build b;
    const mbi_ref e = graph_begin(m, &b);
    const mbi_ref front = node(&b, MBI_OP_slice, {e}, {0, 4});
    const mbi_ref back = node(&b, MBI_OP_slice, {e}, {4, 4});
    const mbi_ref turned = node(&b, MBI_OP_concat, {back, front});
    const mbi_ref square = node(&b, MBI_OP_mul, {e, e}, {1});
    const mbi_ref both = node(&b, MBI_OP_mul, {turned, e}, {1});
    const mbi_ref narrow = node(&b, MBI_OP_mul, {turned, front}, {2});
    mbi_ref s = node(&b, MBI_OP_add, {node(&b, MBI_OP_add, {both, narrow}), square});
    s = node(&b, MBI_OP_add, {s, s});
    s = node(&b, MBI_OP_add, {s, param(&b, "bias", MBI_I16, 10, 1, 8)});
    const mbi_ref relu = node(&b, MBI_OP_requant, {s}, {5, 0, 127, 5});
    mbi_ref g = node(&b, MBI_OP_requant, {s}, {2, -2047, 2047, 8});
    g = node(&b, MBI_OP_requant, {node(&b, MBI_OP_gate, {g}, {MBI_GATE_HARD})}, {18, -128, 127, 5});
    mbi_ref y = node(&b, MBI_OP_concat, {relu, g});
    y = node(&b, MBI_OP_mul, {y, param(&b, "skip", MBI_I16, 8, 1, 4)}, {4});
    y = node(&b, MBI_OP_requant, {y}, {8, -128, 127, 5});
    y = node(&b, MBI_OP_norm_shift, {node(&b, MBI_OP_requant, {y}, {-5, INT32_MIN, INT32_MAX, 10})},
             {2, 10, 16});
    y = node(&b, MBI_OP_requant, {y}, {5, -128, 127, 5});
    mbi_ref out = node(&b, MBI_OP_matvec, {y, param(&b, "head", MBI_I8, 6, VOCAB, 16)});
    out = node(&b, MBI_OP_add, {out, param(&b, "head.bias", MBI_I16, 11, 1, VOCAB)});
    out = node(&b, MBI_OP_requant, {out}, {0, INT32_MIN, INT32_MAX, 11});
    out = node(&b, MBI_OP_addsat, {out, out}, {14});
    graph_end(m, &b, out);
}

/* A value that is read through one slice alone: beyond it there is nothing to look for. */
static void slice_make(struct model *m)
{
    struct mbi_build b;
    const mbi_ref e = graph_begin(m, &b);
    const mbi_ref back = node(&b, MBI_OP_slice, {e}, {4, 4});
    const mbi_ref r = node(&b, MBI_OP_requant, {back}, {0, -100, 100, 5});
    mbi_ref y = node(&b, MBI_OP_mul, {r, r}, {1});

    y = node(&b, MBI_OP_requant, {y}, {5, -128, 127, 5});
    y = node(&b, MBI_OP_matvec, {y, param(&b, "head", MBI_I8, 6, VOCAB, 4)});
    y = node(&b, MBI_OP_requant, {y}, {0, INT32_MIN, INT32_MAX, 11});
    graph_end(m, &b, y);
}

/* ---- one batch on both sides ---- */

struct sides {
    struct model *m;
    size_t streams, tokens;
    std::vector<int32_t> id, target;
    std::vector<float> weight, gradient[2];
    double loss[2], norm;
    float scale;
};

static void fill(struct sides *s)
{
    const uint64_t vocab = (uint64_t)s->m->graph->node[0].type.hi + 1;
    float total = 0;

    for (size_t i = 0; i < s->streams * s->tokens; i++) {
        /* half of the tokens are of a few kinds, and some positions do not count */
        s->id.push_back((int32_t)(noise() % (noise() % 2 ? vocab : 7)));
        s->target.push_back((int32_t)(noise() % vocab));
        s->weight.push_back((float)(i ? noise() % 3 : 1));
        total += s->weight.back();
    }
    s->scale = total > 0 ? 1 / total : 1;
}

static void **cpu_params(const struct model *m, float *real)
{
    void **param;

    MUST(mbi_params_create(&param, &m->host, m->graph, &error));
    mbi_quantise_all(param, real, &m->layout, m->master.data());
    return param;
}

static void on_cpu(struct sides *s)
{
    const struct model *m = s->m;
    std::vector<float> real(m->layout.total);
    void **param = cpu_params(m, real.data());
    struct mbi_tape_setup setup = {};
    struct mbi_tape_plan *plan;
    struct mbi_tape *tape;

    setup.mode = MBI_TAPE_INTEGERS;
    setup.layout = &m->layout;
    setup.real = real.data();
    setup.param = param;
    setup.backend = mirror_cpu();
    setup.streams = s->streams;
    setup.lanes = s->streams * s->tokens;
    MUST(setup.backend->weights_new(&setup.weights, &m->host, m->graph, (const void *const *)param,
                                    &error));
    MUST(mbi_tape_plan_create(&plan, &setup, &error));
    MUST(mbi_tape_create(&tape, plan, &error));
    s->gradient[0].assign(m->layout.total, 0);
    MUST(mbi_tape_forward(tape, s->id.data(), s->streams, s->tokens, &error));
    s->loss[0] = mbi_tape_loss(tape, s->target.data(), s->weight.data(), s->scale);
    MUST(mbi_tape_backward(tape, s->gradient[0].data(), &error));
    mbi_tape_free(tape);
    mbi_tape_plan_free(plan);
    setup.backend->weights_free(setup.weights);
    mbi_params_free(&m->host, m->graph, param);
}

static void same_params(const struct model *m, void *const *got, void *const *want)
{
    for (uint32_t i = 0; i < m->graph->n_params; i++)
        CHECK(!memcmp(got[i], want[i], mirror_size(&m->graph->param[i].type)),
              "the integers of %s differ", m->graph->param[i].name);
}

/* Twice: the second time everything has to come out the same. */
static void on_device(struct sides *s, const struct mbi_backend *backend)
{
    const struct model *m = s->m;
    void **param = cpu_params(m, NULL), **got;
    struct mbi_tape_setup setup = {};
    struct mbi_tape_plan *plan;
    struct mbi_train_state *state;
    std::vector<uint8_t> decays(m->layout.total / MBI_LAYOUT_STEP + 1);
    std::vector<float> again(m->layout.total);

    setup.mode = MBI_TAPE_INTEGERS;
    setup.layout = &m->layout;
    setup.backend = backend;
    setup.param = param;
    setup.streams = s->streams;
    setup.lanes = s->streams * s->tokens;
    setup.elsewhere = true;
    MUST(mbi_params_create(&got, &m->host, m->graph, &error));
    MUST(
        backend->weights_new(&setup.weights, &m->host, m->graph, (const void *const *)got, &error));
    MUST(mbi_tape_plan_create(&plan, &setup, &error));
    mbi_decay_marks(decays.data(), &m->layout);
    const struct mbi_train_setup train = {plan, decays.data(), s->tokens};

    MUST(mbi_train_module.create(&state, &train, &error));
    MUST(mbi_train_module.write(state, MBI_TRAIN_MASTER, m->master.data(), &error));
    MUST(mbi_train_module.quantise(state, &error));
    MUST(mbi_train_module.params(state, got, &error));
    same_params(m, got, param);
    s->gradient[1].assign(m->layout.total, 0);
    for (int round = 0; round < 2; round++) {
        struct mbi_train_batch batch = {
            s->id.data(), s->target.data(), s->weight.data(), s->scale, 0, 0};

        MUST(mbi_train_module.batch(state, &batch, &error));
        CHECK(!round || (batch.loss == s->loss[1] && batch.norm == s->norm),
              "a second batch has loss %.17g and norm %.17g, not %.17g and %.17g", batch.loss,
              batch.norm, s->loss[1], s->norm);
        s->loss[1] = batch.loss;
        s->norm = batch.norm;
        MUST(mbi_train_module.read(state, MBI_TRAIN_GRADIENT,
                                   round ? again.data() : s->gradient[1].data(), &error));
    }
    CHECK(!memcmp(again.data(), s->gradient[1].data(), again.size() * sizeof(float)),
          "a second batch has another gradient");
    mbi_train_module.free(state);
    mbi_tape_plan_free(plan);
    backend->weights_free(setup.weights);
    mbi_params_free(&m->host, m->graph, param);
    mbi_params_free(&m->host, m->graph, got);
}

static double length(const float *x, const float *minus, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i] - (minus ? (double)minus[i] : 0);

        sum += v * v;
    }
    return sqrt(sum);
}

/* A few bits of all bits, to be compared by eye between two ways of running the same seed. */
static uint32_t digest(const std::vector<float> &x)
{
    uint64_t h = 0;

    for (const float &v : x) {
        uint32_t bits;

        memcpy(&bits, &v, sizeof(bits));
        h = (h ^ bits) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (uint32_t)(h >> 32);
}

static void compare(const struct sides *s, const char *name)
{
    const struct model *m = s->m;
    const double norm = length(s->gradient[0].data(), NULL, m->layout.total);
    double worst = 0;

    for (uint32_t i = 0; i < m->graph->n_params; i++) {
        const struct mbi_param *p = &m->graph->param[i];
        const size_t at = m->layout.at[i], n = (size_t)p->type.rows * p->type.cols;

        if (at == SIZE_MAX)
            continue;
        const double size = length(&s->gradient[0][at], NULL, n);
        const double off = length(&s->gradient[1][at], &s->gradient[0][at], n);
        /* What hardly matters is a difference of large numbers, the more so if it is few numbers:
         * it is held to a part of the whole gradient. */
        const double part = off / fmax(size, LEAST(n) * norm);

        if (getenv("MBI_TEST_VERBOSE"))
            printf("  %-28s norm %.3e, off by %.2e\n", p->name, size, part);
        CHECK(size > 0 || off <= 1e-6 * norm, "%s: %s should have no gradient", name, p->name);
        CHECK(part < TOLERANCE, "%s: the gradient of %s (%.3e) is off by %.3e of it", name, p->name,
              size, part);
        worst = fmax(worst, part);
    }
    CHECK(fabs(s->loss[1] - s->loss[0]) <= 1e-6 * fabs(s->loss[0]), "%s: loss %.9g, not %.9g", name,
          s->loss[1], s->loss[0]);
    CHECK(fabs(s->norm - length(s->gradient[1].data(), NULL, m->layout.total)) <= 1e-9 * s->norm,
          "%s: norm", name);
    printf("%-32s loss %.6f, off by %.1e; gradient off by at most %.1e (%08x)\n", name, s->loss[0],
           fabs(s->loss[1] / s->loss[0] - 1), worst, digest(s->gradient[1]));
    fflush(stdout);
}

static void check_model(struct model *m, const char *name, size_t streams, size_t tokens,
                        const struct mbi_backend *backend)
{
    struct sides s = {};

    s.m = m;
    s.streams = streams;
    s.tokens = tokens;
    fill(&s);
    on_cpu(&s);
    on_device(&s, backend);
    compare(&s, name);
    model_free(m);
}

struct gradient_case {
    const char *name;
    size_t streams, tokens;
    const char *flags[20];
};

static const struct gradient_case cases[] = {
    {"int8, rms, hard", 2, 80, {"mi-tiny"}},
    {"ternary, bitshift, algebraic",
     2,
     70,
     {"mi-tiny-ternary", "norm", "bitshift", "gate", "algebraic"}},
    {"squareplus, hold, odd sizes",
     3,
     7,
     {"mi-tiny", "gate", "squareplus", "hold", "on", "rotation-pairs", "0", "heads", "3",
      "head-dim", "5", "d-state", "4", "d-model", "18", "tied-head", "off"}},
    {"one token", 3, 1, {"mi-tiny", "norm", "bitshift"}},
    {"cut heads and states",
     1,
     70,
     {"mi-tiny", "heads", "1", "head-dim", "72", "d-state", "128", "layers", "1"}},
    {"several heads a block",
     2,
     129,
     {"mi-tiny", "heads", "8", "head-dim", "4", "layers", "1", "rotation-pairs", "8"}},
    {"many chunks",
     1,
     600,
     {"mi-tiny", "heads", "2", "head-dim", "4", "layers", "1", "d-state", "4", "d-model", "8",
      "rotation-pairs", "1"}},
};

/* ---- runs ---- */

enum { BATCH = 3, CONTEXT = 9, STEPS = 20 };

static void fill_counting(void *self, uint64_t step, int32_t *input, int32_t *target, float *weight)
{
    (void)self;
    for (size_t i = 0; i < BATCH * CONTEXT; i++) {
        input[i] = (int32_t)((step * 5 + i * (1 + i / CONTEXT)) % 20);
        target[i] = (int32_t)((step * 5 + (i + 1) * (1 + i / CONTEXT)) % 20);
        weight[i] = i % 7 ? 1 : 0;
    }
}

struct run {
    struct mbi_trainer *trainer;
    struct mbi_train_report report[STEPS + 1];
};

static void run_start(struct run *r, const struct model *m, const struct mbi_backend *backend)
{
    const struct mbi_batch_source source = {fill_counting, NULL};
    const bool device = !backend->view;
    struct mbi_trainer_settings set = {};

    set.integers = true;
    set.batch = BATCH;
    set.context = CONTEXT;
    set.steps = STEPS;
    set.warmup = 3;
    set.rate_q40 = (uint64_t)1 << 34; /* 1/64 */
    set.decay_q40 = (uint64_t)1 << 36;
    set.clip_q40 = (uint64_t)1 << 40;
    set.beta1_q40 = (uint64_t)989560464998;
    set.beta2_q40 = (uint64_t)1044535993958;
    set.init = {3, 16, MBI_DECAY_OCTAVES};
    memset(r->report, 0, sizeof(r->report));
    MUST(mbi_trainer_create_on(&r->trainer, &m->host, m->graph, backend,
                               device ? &mbi_train_module : NULL, &source, &set, &error));
}

static void run_to(struct run *r, uint64_t step)
{
    while (mbi_trainer_steps_made(r->trainer) < step) {
        const uint64_t at = mbi_trainer_steps_made(r->trainer) + 1;

        MUST(mbi_trainer_step(r->trainer, &r->report[at], &error));
    }
}

static void run_save(struct run *r, const struct model *m, const char *path)
{
    struct mbi_container_writer *w;

    MUST(mbi_container_writer_create(&w, &m->host, &error));
    mbi_container_add_text(w, "general.architecture", "mamba-integer", 13);
    mbi_container_add_text(w, "general.type", "checkpoint", 10);
    MUST(mbi_trainer_write(r->trainer, w, &error));
    MUST(mbi_container_save(w, path, &error));
    mbi_container_writer_free(w);
}

static void run_load(struct run *r, const struct model *m, const char *path)
{
    struct mbi_container *c;

    MUST(mbi_container_open(&c, &m->host, path, 0, &error));
    MUST(mbi_trainer_read(r->trainer, c, &error));
    mbi_container_close(c);
}

static std::vector<char> file_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    std::vector<char> all;
    int c;

    while (f && (c = getc(f)) != EOF)
        all.push_back((char)c);
    if (f)
        fclose(f);
    return all;
}

static bool same_report(const struct mbi_train_report *a, const struct mbi_train_report *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* The same bytes twice and across stop and resume, whatever side wrote the checkpoint; and a loss
 * that stays beside the CPU's. */
static void check_runs(const char *folder, const struct mbi_backend *device)
{
    static const char *const flags[] = {"mi-tiny", "layers", "1", NULL};
    const std::string at(folder);
    const std::string half = at + "/half.gguf", end = at + "/end.gguf", other = at + "/other.gguf";
    struct model m = {};
    struct run first, second, cpu;

    model_make(&m, flags);
    run_start(&first, &m, device);
    run_to(&first, STEPS / 2);
    run_save(&first, &m, half.c_str());
    run_to(&first, STEPS);
    run_save(&first, &m, end.c_str());

    run_start(&second, &m, device);
    run_to(&second, 2); /* something to forget */
    run_load(&second, &m, half.c_str());
    run_to(&second, STEPS);
    run_save(&second, &m, other.c_str());
    CHECK(file_of(end.c_str()) == file_of(other.c_str()), "stop and resume gave other bytes");
    for (int i = STEPS / 2 + 1; i <= STEPS; i++)
        CHECK(same_report(&first.report[i], &second.report[i]), "step %d: another report", i);
    CHECK(same_report(&first.report[1], &second.report[1]), "the first step differs");

    run_start(&cpu, &m, mirror_cpu());
    run_to(&cpu, STEPS);
    printf("a run of %d steps: loss %.4f to %.4f, on the CPU %.4f\n", STEPS,
           (double)first.report[1].loss_q20 / 1048576,
           (double)first.report[STEPS].loss_q20 / 1048576,
           (double)cpu.report[STEPS].loss_q20 / 1048576);
    for (int i = 1; i <= STEPS; i++)
        CHECK(fabs((double)first.report[i].loss_q20 / (double)cpu.report[i].loss_q20 - 1) < 0.05,
              "step %d: the CPU has loss %.4f", i, (double)cpu.report[i].loss_q20 / 1048576);
    CHECK(first.report[STEPS].loss_q20 < first.report[1].loss_q20, "nothing was learnt");

    /* A checkpoint changes sides and comes back as it was; the integers are those of its
     * masters. */
    run_load(&cpu, &m, half.c_str());
    run_save(&cpu, &m, other.c_str());
    CHECK(file_of(half.c_str()) == file_of(other.c_str()), "the CPU reads another checkpoint");
    run_load(&second, &m, other.c_str());
    run_save(&second, &m, end.c_str());
    CHECK(file_of(half.c_str()) == file_of(end.c_str()), "the device reads another checkpoint");
    const void *const *got = mbi_trainer_params(second.trainer, &error);
    const void *const *want = mbi_trainer_params(cpu.trainer, &error);

    CHECK(got && want, "no integers: %s", error.message);
    same_params(&m, (void *const *)got, (void *const *)want);
    run_to(&second, STEPS / 2 + 1);
    CHECK(same_report(&first.report[STEPS / 2 + 1], &second.report[STEPS / 2 + 1]),
          "a checkpoint through the CPU goes on in another way");
    for (struct run *r : {&first, &second, &cpu})
        mbi_trainer_free(r->trainer);
    remove(half.c_str());
    remove(end.c_str());
    remove(other.c_str());
    model_free(&m);
}

/* ---- without a module ---- */

/* A backend whose values are elsewhere needs the file beside its own code. */
static void check_loader(void)
{
    const struct mbi_train_device *device = NULL;
    static struct mbi_backend b;

    CHECK(mbi_train_device_find(&device, mirror_cpu(), &error) == MAMBAINT_OK && !device,
          "the host needs no module");
    b = mirror_backend();
    CHECK(mbi_train_device_find(&device, &b, &error) == MAMBAINT_E_NO_BACKEND && !device &&
              strstr(error.message, "train-mirror.so"),
          "a missing module: %s", error.message);
    b.device_view = NULL;
    CHECK(mbi_train_device_find(&device, &b, &error) == MAMBAINT_E_UNSUPPORTED && !device,
          "a backend that shows nothing: %s", error.message);
}

/* ---- speed ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A backend whose runs are timed. */
static const struct mbi_backend *timed_backend;
static double run_seconds;

static int32_t timed_run(struct mbi_image *image, const struct mbi_batch *batch,
                         mambaint_error *err)
{
    const double start = now();
    const int32_t rc = timed_backend->run(image, batch, err);

    run_seconds += now() - start;
    return rc;
}

/* Steps of a preset on synthetic ids: a table of where the time goes, and the speed of it all.
 * Beside a backend of the CPU only what is not forward means something. */
static void speed(const char *preset, size_t streams, size_t tokens, int steps,
                  const struct mbi_backend *backend)
{
    const char *const flags[] = {preset, NULL};
    struct mbi_backend timed = *backend;
    struct mbi_adam_settings adam = {1e-4, 0.9, 0.95, 0.1, 1};
    struct mbi_tape_setup setup = {};
    struct mbi_tape_plan *plan;
    struct mbi_train_state *state;
    struct sides s = {};
    struct model m = {};
    double start = 0, batches = 0, updates = 0, forward = 0, all = 0;
    size_t parameters = 0;
    void **param;

    timed_backend = backend;
    timed.run = timed_run;
    model_make(&m, flags);
    MUST(mbi_pool_create(&m.host.pool, &m.host, 16, &error));
    s.m = &m;
    s.streams = streams;
    s.tokens = tokens;
    fill(&s);
    param = cpu_params(&m, NULL);
    setup.mode = MBI_TAPE_INTEGERS;
    setup.layout = &m.layout;
    setup.backend = &timed;
    setup.param = param;
    setup.streams = streams;
    setup.lanes = streams * tokens;
    setup.elsewhere = true;
    MUST(timed.weights_new(&setup.weights, &m.host, m.graph, (const void *const *)param, &error));
    MUST(mbi_tape_plan_create(&plan, &setup, &error));
    std::vector<uint8_t> decays(m.layout.total / MBI_LAYOUT_STEP + 1);

    mbi_decay_marks(decays.data(), &m.layout);
    const struct mbi_train_setup train = {plan, decays.data(), tokens};

    MUST(mbi_train_module.create(&state, &train, &error));
    MUST(mbi_train_module.write(state, MBI_TRAIN_MASTER, m.master.data(), &error));
    MUST(mbi_train_module.quantise(state, &error));
    for (int i = -1; i < 2 * steps; i++) { /* one to warm up, then without and with the clock */
        struct mbi_train_batch batch = {
            s.id.data(), s.target.data(), s.weight.data(), s.scale, 0, 0};

        if (i == 0)
            run_seconds = batches = updates = 0;
        if (i == steps) {
            forward = run_seconds;
            all = batches + updates;
            mbi_train_module.profile(state, true);
        }
        start = now();
        MUST(mbi_train_module.batch(state, &batch, &error));
        batches += now() - start;
        start = now();
        MUST(mbi_train_module.step(state, batch.norm, (uint64_t)i + 2, &adam, &error));
        MUST(mbi_train_module.quantise(state, &error));
        updates += now() - start;
        printf("  step %d: loss %.4f, norm %.4f\n", i + 2, batch.loss * (double)s.scale,
               batch.norm);
    }
    const struct mbi_profile *p = mbi_train_module.profile(state, false);

    for (size_t i = 0; p && i < p->n; i++)
        printf("  %-28s %6.3f ms a step, %llu calls\n", p->entry[i].name,
               (double)p->entry[i].ns * 1e-6 / steps,
               (unsigned long long)(p->entry[i].calls / (uint64_t)steps));
    for (uint32_t i = 0; i < m.graph->n_params; i++)
        if (m.layout.at[i] != SIZE_MAX)
            parameters += (size_t)m.graph->param[i].type.rows * m.graph->param[i].type.cols;
    for (double seconds : {all, all - forward}) {
        const double rate = (double)(streams * tokens) * steps / seconds;

        printf(
            "%s, backend %s, %zu x %zu tokens, %s: %.2f ms a step, %.0f tokens/s, %.2f %% of the "
            "peak\n",
            preset, backend->name, streams, tokens,
            seconds < all ? "without the forward pass" : "all", seconds / steps * 1e3, rate,
            100 * 6 * (double)parameters * rate / 989e12);
    }
    mbi_train_module.free(state);
    mbi_tape_plan_free(plan);
    timed.weights_free(setup.weights);
    mbi_params_free(&m.host, m.graph, param);
    mbi_pool_free(&m.host, m.host.pool);
    model_free(&m);
}

/* The backend of this device, where the build has it. */
static bool find_device(struct mbi_backend *b, const char *module)
{
    const struct mbi_backend *found;

    const int32_t rc = module ? mbi_backend_load(&found, module, &error)
                              : mbi_backend_find(&found, "cuda", &error);

    if (rc < 0 || !found->probe() || !found->device_view) {
        if (module)
            printf("%s: %s\n", module, rc < 0 ? error.message : "it cannot run here");
        return false;
    }
    *b = *found;
    return true;
}

static void check_all(const struct mbi_backend *backend)
{
    struct model m = {};

    printf("beside backend '%s':\n", backend->name);
    odd_make(&m);
    check_model(&m, "operations that models have not", 3, 6, backend);
    m = {};
    slice_make(&m);
    check_model(&m, "a value read by a slice alone", 3, 6, backend);
    for (const struct gradient_case &c : cases) {
        m = {};
        model_make(&m, c.flags);
        check_model(&m, c.name, c.streams, c.tokens, backend);
    }
}

/* Usage: test-train [--module FILE] [FOLDER [PRESET STREAMS TOKENS STEPS]]; FOLDER for checkpoints,
 * FILE the backend's. */
int main(int argc, char **argv)
{
    const char *seed = getenv("MBI_TEST_SEED");
    const bool named = argc > 2 && !strcmp(argv[1], "--module");
    struct mbi_backend backend = mirror_backend(), device;
    const bool found = find_device(&device, named ? argv[2] : NULL);

    argc -= named ? 2 : 0;
    argv += named ? 2 : 0;
    failed |= named && !found;

    noise_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("MBI_TEST_SEED=%llu\n", (unsigned long long)noise_state);
    check_loader();
    check_all(&backend);
    if (found) {
        check_all(&device);
        backend = device;
    }
    check_runs(argc > 1 ? argv[1] : ".", &backend);
    if (argc > 5)
        speed(argv[2], (size_t)atoi(argv[3]), (size_t)atoi(argv[4]), atoi(argv[5]), &backend);
    printf(failed ? "failed\n" : "ok\n");
    return failed;
}

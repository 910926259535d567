/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA driver by itself. Drawing: tokens, logits and states of several streams, and where they
 * end at stops, are those of the reference's runs and the sampler. Where the device has no memory
 * left: what fails has changed nothing, and what comes after works. Under the emulator, whose
 * memory is refused on demand. Usage: test-driver MODULE
 */
#include "arch/arch.h"
#include "exec/backend.h"
#include "sample/sampler.h"
#include "train/init.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 24

static mambaint_error error;

static void check(bool right, const char *what)
{
    if (right)
        return;
    printf("not so: %s (%s)\n", what, error.message);
    exit(1);
}

#define OK(call) check((call) >= 0, #call)
#define IS(condition) check(condition, #condition)

struct model {
    struct mbi_host host;
    struct mbi_graph *graph;
    struct mbi_program *program;
    void **param;
    int32_t ids[TOKENS];
};

static void model_make(struct model *m)
{
    const struct mbi_init_settings set = {.seed = 7};
    struct mbi_config config;

    mbi_host_default(&m->host);
    mbi_config_init(&config, mbi_arch_of_preset("mi-tiny"));
    OK(mbi_config_preset(&config, "mi-tiny", &error));
    OK(config.arch->resolve(&config, true, &error));
    OK(mbi_arch_graph(&m->graph, &m->host, &config, &error));
    OK(mbi_params_create(&m->param, &m->host, m->graph, &error));
    OK(mbi_program_create(&m->program, &m->host, m->graph, TOKENS, MBI_DRAW_STREAMS, false,
                          &error));
    OK(mbi_synth_params(m->param, &m->host, m->graph, &set, &error));
    for (int32_t i = 0; i < TOKENS; i++)
        m->ids[i] = i * i % 256;
}

static void model_free(struct model *m)
{
    mbi_program_free(m->program);
    mbi_params_free(&m->host, m->graph, m->param);
    mbi_graph_free(m->graph);
}

/* A stream on a backend. */
struct stream {
    const struct mbi_backend *b;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct mbi_memory *memory;
};

static void stream_open(struct stream *s, const struct mbi_backend *b, struct model *m)
{
    s->b = b;
    OK(b->weights_new(&s->weights, &m->host, m->graph, (const void *const *)m->param, &error));
    OK(b->image_new(&s->image, m->program, s->weights, &error));
    OK(b->memory_new(&s->memory, m->program, &error));
}

static void stream_close(struct stream *s)
{
    s->b->memory_free(s->memory);
    s->b->image_free(s->image);
    s->b->weights_free(s->weights);
}

static int32_t stream_run(struct stream *s, const struct model *m, size_t from, size_t n)
{
    const struct mbi_run run = {s->memory, from, m->ids + from, n};
    const struct mbi_batch batch = {&run, 1, false};

    return s->b->run(s->image, &batch, &error);
}

static void *state_of(struct stream *s, const struct model *m)
{
    void *live = calloc(1, m->program->state_size);

    IS(live != NULL);
    OK(s->b->memory_read(live, s->memory, &error));
    return live;
}

/* A state is put in; the run behind it finds no memory for its scratch; the state is still
 * there. */
static void check_state_after_failure(const struct mbi_backend *cuda, struct model *m)
{
    const size_t first = 9, size = m->program->state_size;
    struct stream want, got;
    void *before, *kept, *end, *want_end;

    stream_open(&want, mbi_backend_at(0), m); /* the reference */
    stream_open(&got, cuda, m);
    OK(stream_run(&want, m, 0, first));
    before = state_of(&want, m);
    OK(got.b->memory_write(got.memory, before, &error));
    setenv("MBI_EMULATE_REFUSE", "1", 1);
    IS(stream_run(&got, m, first, TOKENS - first) == MAMBAINT_E_NO_MEMORY);
    unsetenv("MBI_EMULATE_REFUSE");
    kept = state_of(&got, m);
    IS(!memcmp(kept, before, size));
    OK(stream_run(&got, m, first, TOKENS - first));
    OK(stream_run(&want, m, first, TOKENS - first));
    end = state_of(&got, m);
    want_end = state_of(&want, m);
    IS(!memcmp(end, want_end, size));
    free(before);
    free(kept);
    free(end);
    free(want_end);
    stream_close(&want);
    stream_close(&got);
}

/* What cannot be made is an error, and leaves the device usable. */
static void check_creation(const struct mbi_backend *cuda, struct model *m)
{
    struct stream s;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct mbi_memory *memory;

    stream_open(&s, cuda, m);
    setenv("MBI_EMULATE_REFUSE", "1", 1);
    IS(cuda->weights_new(&weights, &m->host, m->graph, (const void *const *)m->param, &error) ==
       MAMBAINT_E_NO_MEMORY);
    IS(cuda->image_new(&image, m->program, s.weights, &error) == MAMBAINT_E_NO_MEMORY);
    IS(cuda->memory_new(&memory, m->program, &error) == MAMBAINT_E_NO_MEMORY);
    IS(!weights && !image && !memory);
    OK(stream_run(&s, m, 0, 1)); /* takes none */
    unsetenv("MBI_EMULATE_REFUSE");
    OK(stream_run(&s, m, 1, 5));
    stream_close(&s);
}

/* ---- drawing ---- */

#define VOCAB_MOST 512
#define BEFORE 5 /* tokens of a stream before it draws */

struct drawer {
    struct stream want, got; /* `got` but for the first shares the image of the first */
    struct mbi_rows *rows;
    struct mbi_sampler set;
    uint64_t pos;
    int32_t history[MBI_RECENT_MAX];
    int32_t id;                    /* to be fed next */
    int32_t drawn[MBI_DRAW_STEPS]; /* as the reference draws */
    int32_t logits[MBI_DRAW_STEPS][VOCAB_MOST];
    void *state[MBI_DRAW_STEPS + 1]; /* after so many steps */
};

static size_t vocab_of(const struct model *m) { return m->graph->node[m->graph->logits].type.cols; }

/* A stream of its own settings, a few tokens long, on both sides. */
static void drawer_open(struct drawer *d, const struct mbi_backend *cuda, struct model *m, size_t k)
{
    static const uint32_t temperature[] = {0, 205, 256, 51200};

    memset(d, 0, sizeof(*d));
    stream_open(&d->want, mbi_backend_at(0), m);
    stream_open(&d->got, cuda, m);
    OK(cuda->rows_new(&d->rows, m->program, &error));
    d->set = (struct mbi_sampler){.seed = k, .temperature = temperature[k % 4], .top_p = 65536};
    if (k % 3 == 1)
        d->set.top_k = 5;
    if (k % 3 == 2)
        d->set.top_p = 50000;
    if (k % 5)
        d->set.repeat_penalty = 1 << 12;
    OK(stream_run(&d->want, m, 0, BEFORE));
    OK(stream_run(&d->got, m, 0, BEFORE));
    memcpy(d->history, m->ids, BEFORE * sizeof(*m->ids));
    d->pos = BEFORE;
    d->id = (int32_t)(k * 17 % 256);
}

static void drawer_close(struct drawer *d)
{
    d->got.b->rows_free(d->rows);
    stream_close(&d->want);
    stream_close(&d->got);
    for (size_t i = 0; i <= MBI_DRAW_STEPS; i++)
        free(d->state[i]);
}

/* Steps on the reference. */
static void drawer_expect(struct drawer *d, const struct model *m, size_t steps)
{
    int32_t history[MBI_RECENT_MAX], recent[MBI_RECENT_MAX], work[VOCAB_MOST], id = d->id;

    memcpy(history, d->history, sizeof(history));
    for (size_t i = 0; i < steps; i++) {
        const uint64_t pos = d->pos + i;
        const struct mbi_run run = {d->want.memory, pos, &id, 1};
        const struct mbi_batch batch = {&run, 1, false};
        size_t n = 0;

        OK(d->want.b->run(d->want.image, &batch, &error));
        OK(d->want.b->peek(d->logits[i], d->want.image, m->graph->logits, 0, 1, &error));
        free(d->state[i + 1]);
        d->state[i + 1] = state_of(&d->want, m);
        history[pos % MBI_RECENT_MAX] = id;
        for (; n < 64 && n <= pos; n++)
            recent[n] = history[(pos - n) % MBI_RECENT_MAX];
        id = d->drawn[i] = mbi_sample(&d->set, work, d->logits[i], vocab_of(m), recent, n, pos + 1);
    }
}

static bool stops(const struct mbi_draws *draws, int32_t id)
{
    return id == draws->stop[0] || id == draws->stop[1];
}

/* Is this what the reference did in `made` steps? Goes on from there. */
static void drawer_compare(struct drawer *d, const struct model *m, const int32_t *ids, size_t made)
{
    int32_t logits[VOCAB_MOST];
    void *state = state_of(&d->got, m);

    IS(!memcmp(ids, d->drawn, made * sizeof(*ids)));
    IS(!memcmp(state, d->state[made], m->program->state_size));
    for (size_t i = 0; i < made; i++) {
        OK(d->got.b->rows_read(logits, d->rows, d->pos + i, &error));
        IS(!memcmp(logits, d->logits[i], vocab_of(m) * sizeof(*logits)));
    }
    OK(d->want.b->memory_write(d->want.memory, d->state[made], &error));
    for (size_t i = 0; i < made; i++) {
        d->history[d->pos++ % MBI_RECENT_MAX] = d->id;
        d->id = d->drawn[i];
    }
    free(state);
}

/* Every other batch is given stops: the last stream's third token, and no token. */
static size_t draw_batch(struct drawer *d, const struct model *m, size_t n, size_t steps, bool stop)
{
    struct mbi_draw draw[MBI_DRAW_STREAMS];
    struct mbi_draws draws = {draw, n, steps, {-1, -1}};
    int32_t ids[MBI_DRAW_STREAMS * MBI_DRAW_STEPS];
    size_t made = 0, last = 0;

    for (size_t k = 0; k < n; k++) {
        drawer_expect(&d[k], m, steps);
        draw[k] = (struct mbi_draw){d[k].got.memory, d[k].rows, d[k].pos,    d[k].id,
                                    &d[k].set,       64,        d[k].history};
    }
    if (stop)
        draws.stop[steps % 2] = d[n - 1].drawn[steps > 2 ? 2 : 0];
    OK(d->got.b->draw(ids, &made, d->got.image, &draws, &error));
    for (size_t k = 0; k < n; k++) {
        size_t i = 0;

        while (i < steps && !stops(&draws, d[k].drawn[i]))
            i++;
        last = i + 1 > last ? i + 1 : last;
    }
    IS(made == steps || made == last);
    for (size_t k = 0; k < n; k++) {
        size_t i = 0; /* what a stream drew after its stop is nobody's */

        while (i < made && !stops(&draws, d[k].drawn[i]))
            i++;
        IS(!memcmp(ids + k * steps, d[k].drawn, (i < made ? i + 1 : made) * sizeof(*ids)));
        if (!stop || n == 1)
            drawer_compare(&d[k], m, ids + k * steps, made);
    }
    return made;
}

/* The first draw of an image finds no memory; the stream goes on where it was. */
static void check_draw_after_failure(const struct mbi_backend *cuda, struct model *m)
{
    struct drawer d;
    struct mbi_draws draws;
    struct mbi_draw draw;
    int32_t ids[1];
    size_t made;

    drawer_open(&d, cuda, m, 3);
    draw = (struct mbi_draw){d.got.memory, d.rows, d.pos, d.id, &d.set, 64, d.history};
    draws = (struct mbi_draws){&draw, 1, 1, {-1, -1}};
    setenv("MBI_EMULATE_REFUSE", "1", 1);
    IS(cuda->draw(ids, &made, d.got.image, &draws, &error) == MAMBAINT_E_NO_MEMORY);
    unsetenv("MBI_EMULATE_REFUSE");
    IS(!made);
    draw_batch(&d, m, 1, 3, false);
    drawer_close(&d);
}

static void check_draws(const struct mbi_backend *cuda, struct model *m)
{
    static const size_t streams[] = {1, 2, 8, 9, MBI_DRAW_STREAMS};
    static const size_t steps[] = {1, 2, 8, 3, 5};
    struct drawer *d = calloc(MBI_DRAW_STREAMS, sizeof(*d));
    size_t early = 0;

    IS(d != NULL && vocab_of(m) <= VOCAB_MOST);
    for (size_t k = 0; k < 5; k++) {
        const size_t n = streams[k];

        for (size_t i = 0; i < n; i++)
            drawer_open(&d[i], cuda, m, i + k);
        for (size_t i = 0; i < (n > 2 ? 3 : 5); i++)
            draw_batch(d, m, n, steps[i], false);
        if (n == 1)
            for (size_t i = 2; i < 5; i++)
                early += draw_batch(d, m, n, steps[i], true) < steps[i];
        draw_batch(d, m, n, MBI_DRAW_STEPS, true);
        for (size_t i = 0; i < n; i++)
            drawer_close(&d[i]);
    }
    IS(early >= 2); /* the kernel of single tokens is in use, and ends at stops */
    free(d);
}

int main(int argc, char **argv)
{
    const struct mbi_backend *cuda;
    struct model m = {.graph = NULL};

    IS(argc == 2);
    OK(mbi_backend_load(&cuda, argv[1], &error));
    model_make(&m);
    check_draws(cuda, &m);
    check_draw_after_failure(cuda, &m);
    check_state_after_failure(cuda, &m);
    check_creation(cuda, &m);
    model_free(&m);
    puts("ok");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times a module's runs alone: no tokenizer, no sampler, no logits fetched, the argmax of each
 * stream read after every run. Of one token and few streams also whole steps: logits fetched and
 * tokens drawn on the host, and, where the module draws, on the device. Weights are drawn as a
 * model's that was never trained. Usage: bench-runs MODULE PRESET TOKENSxSTREAMS...
 */
#include "arch/arch.h"
#include "exec/backend.h"
#include "sample/sampler.h"
#include "train/init.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST_STREAMS 256

static mambaint_error error;

static void need(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "bench-runs: %s: %s\n", what, error.message);
    exit(1);
}

#define OK(call) need((call) >= 0, #call)

struct model {
    struct mbi_host host;
    struct mbi_graph *graph;
    void **param;
    struct mbi_weights *weights;
};

static void model_make(struct model *m, const struct mbi_backend *b, const char *preset)
{
    const struct mbi_init_settings set = {.seed = 1};
    struct mbi_config config;

    mbi_host_default(&m->host);
    need(mbi_arch_of_preset(preset) != NULL, "no such preset");
    mbi_config_init(&config, mbi_arch_of_preset(preset));
    OK(mbi_config_preset(&config, preset, &error));
    OK(config.arch->resolve(&config, true, &error));
    OK(mbi_arch_graph(&m->graph, &m->host, &config, &error));
    OK(mbi_params_create(&m->param, &m->host, m->graph, &error));
    OK(mbi_synth_params(m->param, &m->host, m->graph, &set, &error));
    OK(b->weights_new(&m->weights, &m->host, m->graph, (const void *const *)m->param, &error));
}

static void model_free(struct model *m, const struct mbi_backend *b)
{
    b->weights_free(m->weights);
    mbi_params_free(&m->host, m->graph, m->param);
    mbi_graph_free(m->graph);
}

static double microseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* One run of every stream, and its argmax. */
static double time_run(const struct mbi_backend *b, struct mbi_image *image, struct mbi_run *run,
                       size_t streams, mbi_ref argmax)
{
    const struct mbi_batch batch = {run, streams, false};
    int32_t chosen[MOST_STREAMS];
    const double begin = microseconds();

    OK(b->run(image, &batch, &error));
    OK(b->peek(chosen, image, argmax, 0, streams, &error));
    for (size_t i = 0; i < streams; i++)
        run[i].pos += run[i].n;
    return microseconds() - begin;
}

/* ---- whole steps ---- */

struct drawer {
    struct mbi_rows *rows;
    int32_t history[MBI_RECENT_MAX];
    int32_t id;
};

/* MBI_DRAW_STEPS steps of every stream: fetch, draw, and feed what was drawn. */
static void steps_here(const struct mbi_backend *b, struct mbi_image *image, struct mbi_run *run,
                       struct drawer *d, size_t streams, const struct mbi_sampler *set,
                       const struct mbi_graph *g)
{
    const struct mbi_batch batch = {run, streams, false};
    const size_t vocab = g->node[g->logits].type.cols;
    int32_t *z = calloc(vocab, sizeof(*z)), *work = calloc(vocab, sizeof(*work));

    need(z && work, "no memory");
    for (int k = 0; k < MBI_DRAW_STEPS; k++) {
        for (size_t i = 0; i < streams; i++)
            run[i].in = &d[i].id;
        OK(b->run(image, &batch, &error));
        for (size_t i = 0; i < streams; i++) {
            OK(b->peek(z, image, g->logits, i, 1, &error));
            d[i].id = mbi_sample(set, work, z, vocab, NULL, 0, ++run[i].pos);
        }
    }
    free(z);
    free(work);
}

static void steps_there(const struct mbi_backend *b, struct mbi_image *image, struct mbi_run *run,
                        struct drawer *d, size_t streams, const struct mbi_sampler *set)
{
    struct mbi_draw draw[MBI_DRAW_STREAMS];
    const struct mbi_draws draws = {draw, streams, MBI_DRAW_STEPS, {-1, -1}};
    int32_t ids[MBI_DRAW_STREAMS * MBI_DRAW_STEPS];
    size_t made;

    for (size_t i = 0; i < streams; i++)
        draw[i] =
            (struct mbi_draw){run[i].memory, d[i].rows, run[i].pos, d[i].id, set, 0, d[i].history};
    OK(b->draw(ids, &made, image, &draws, &error));
    for (size_t i = 0; i < streams; i++) {
        d[i].id = ids[i * MBI_DRAW_STEPS + MBI_DRAW_STEPS - 1];
        run[i].pos += MBI_DRAW_STEPS;
    }
}

/* Greedy, and as a session is by itself. */
static void time_steps(const struct mbi_backend *b, struct mbi_image *image,
                       const struct mbi_program *program, struct mbi_run *run, const char *preset,
                       size_t streams)
{
    static const struct mbi_sampler set[] = {{.top_p = MBI_TOP_P_OFF},
                                             {.temperature = 205, .top_p = 62259}};
    static const size_t batches = 40;
    struct drawer d[MBI_DRAW_STREAMS] = {{.id = 0}};

    for (size_t i = 0; i < streams && b->draw; i++)
        OK(b->rows_new(&d[i].rows, program, &error));
    for (size_t way = 0; way < (b->draw ? 4 : 2); way++) {
        double begin = 0, us;

        for (size_t k = 0; k < batches; k++) {
            begin = k == batches / 4 ? microseconds() : begin;
            if (way / 2)
                steps_there(b, image, run, d, streams, &set[way % 2]);
            else
                steps_here(b, image, run, d, streams, &set[way % 2], program->graph);
        }
        us = (microseconds() - begin) / (double)((batches - batches / 4) * MBI_DRAW_STEPS);
        printf("%s, steps of %zu streams, %s, drawn on the %s: %.1f us, %.0f tokens/s\n", preset,
               streams, way % 2 ? "temperature 0.8" : "greedy", way / 2 ? "device" : "host", us,
               (double)streams / us * 1e6);
    }
    for (size_t i = 0; i < streams && b->draw; i++)
        b->rows_free(d[i].rows);
}

/* The first quarter warms up. */
static void time_shape(const struct mbi_backend *b, struct model *m, const char *preset,
                       size_t tokens, size_t streams)
{
    const size_t repeats = tokens == 1 ? 400 : 8;
    struct mbi_run run[MOST_STREAMS];
    struct mbi_memory *memory[MOST_STREAMS];
    struct mbi_program *program;
    struct mbi_image *image;
    int32_t *ids = calloc(tokens * streams, sizeof(*ids));
    double sum = 0;

    need(ids != NULL, "no memory");
    for (size_t i = 0; i < tokens * streams; i++)
        ids[i] = (int32_t)(i * 37 % 256);
    OK(mbi_program_create(&program, &m->host, m->graph, tokens * streams, streams, false, &error));
    OK(b->image_new(&image, program, m->weights, &error));
    for (size_t i = 0; i < streams; i++) {
        OK(b->memory_new(&memory[i], program, &error));
        run[i] = (struct mbi_run){memory[i], 0, ids + i * tokens, tokens};
    }
    for (size_t k = 0; k < repeats; k++) {
        const double t = time_run(b, image, run, streams, m->graph->argmax);

        sum += k >= repeats / 4 ? t : 0;
    }
    sum /= (double)(repeats - repeats / 4);
    printf("%s, %zu tokens x %zu streams: %.1f us, %.0f tokens/s\n", preset, tokens, streams, sum,
           (double)(tokens * streams) / sum * 1e6);
    if (tokens == 1 && streams <= MBI_DRAW_STREAMS)
        time_steps(b, image, program, run, preset, streams);
    b->image_free(image);
    for (size_t i = 0; i < streams; i++)
        b->memory_free(memory[i]);
    mbi_program_free(program);
    free(ids);
}

int main(int argc, char **argv)
{
    const struct mbi_backend *b;
    struct model m = {.graph = NULL};

    if (argc < 4) {
        fputs("usage: bench-runs MODULE PRESET TOKENSxSTREAMS...\n", stderr);
        return 2;
    }
    OK(mbi_backend_load(&b, argv[1], &error));
    if (!b->probe()) {
        fprintf(stderr, "bench-runs: %s\n", b->why ? b->why() : "it cannot run here");
        return 77;
    }
    model_make(&m, b, argv[2]);
    for (int i = 3; i < argc; i++) {
        unsigned long tokens = 0, streams = 0;

        need(sscanf(argv[i], "%lux%lu", &tokens, &streams) == 2 && tokens && streams &&
                 streams <= MOST_STREAMS,
             "not TOKENSxSTREAMS");
        time_shape(b, &m, argv[2], tokens, streams);
    }
    model_free(&m, b);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times a module's runs alone: no tokenizer, no sampler, no logits fetched, the argmax of each
 * stream read after every run. Weights are drawn as a model's that was never trained. Usage: bench-
 * runs MODULE PRESET TOKENSxSTREAMS...
 */
#include "arch/arch.h"
#include "exec/backend.h"
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

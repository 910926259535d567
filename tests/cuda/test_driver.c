/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA driver where the device has no memory left: what fails has changed nothing, and what
 * comes after works. Under the emulator, whose memory is refused on demand. Usage: test-driver
 * MODULE
 */
#include "arch/arch.h"
#include "exec/backend.h"
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
    OK(mbi_program_create(&m->program, &m->host, m->graph, TOKENS, 1, false, &error));
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

int main(int argc, char **argv)
{
    const struct mbi_backend *cuda;
    struct model m = {.graph = NULL};

    IS(argc == 2);
    OK(mbi_backend_load(&cuda, argv[1], &error));
    model_make(&m);
    check_state_after_failure(cuda, &m);
    check_creation(cuda, &m);
    model_free(&m);
    puts("ok");
    return 0;
}

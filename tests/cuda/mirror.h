/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend that computes on the CPU and shows its values in the device's memory: what the training
 * module can be looked at with, apart from a backend for that device.
 */
#ifndef MBI_TESTS_CUDA_MIRROR_H
#define MBI_TESTS_CUDA_MIRROR_H

#include "cuda/device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "cpu/cpu.h"
}

/* Stops the program with a sentence. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        const int64_t mirror_rc = (int64_t)(call);                                                 \
                                                                                                   \
        if (mirror_rc < 0) {                                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, error.message);          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define MUST_CUDA(call)                                                                            \
    do {                                                                                           \
        const cudaError_t mirror_e = (call);                                                       \
                                                                                                   \
        if (mirror_e != cudaSuccess) {                                                             \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,                          \
                    cudaGetErrorString(mirror_e));                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static mambaint_error error;

struct mirror_weights {
    const struct mbi_graph *graph;
    struct mbi_weights *weights; /* of the CPU */
    void **host, **device;       /* the integers, twice */
};

struct mirror_image {
    const struct mbi_program *program;
    struct mbi_image *image;
    void **device; /* by value */
};

static const struct mbi_backend *mirror_cpu(void)
{
    const struct mbi_backend *best;

    MUST(mbi_backend_find(&best, "auto", &error));
    return best->view ? best : &mbi_backend_scalar;
}

static size_t mirror_size(const struct mbi_type *t) { return mbi_type_row_size(t) * t->rows; }

static int32_t mirror_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                                  const struct mbi_graph *graph, const void *const *param,
                                  mambaint_error *err)
{
    struct mirror_weights *w = new mirror_weights();

    w->graph = graph;
    w->host = new void *[graph->n_params]();
    w->device = new void *[graph->n_params]();
    for (uint32_t i = 0; i < graph->n_params; i++) {
        const size_t size = mirror_size(&graph->param[i].type);

        w->host[i] = aligned_alloc(64, (size + 64) / 64 * 64);
        memcpy(w->host[i], param[i], size);
        MUST_CUDA(cudaMalloc(&w->device[i], size + 1));
        MUST_CUDA(cudaMemcpy(w->device[i], param[i], size, cudaMemcpyHostToDevice));
    }
    *out = (struct mbi_weights *)w;
    return mirror_cpu()->weights_new(&w->weights, host, graph, (const void *const *)w->host, err);
}

static int32_t mirror_weights_update(struct mbi_weights *, mambaint_error *err)
{
    snprintf(err->message, sizeof(err->message), "the host's integers are not those in use");
    return MAMBAINT_E_INTERNAL;
}

static void mirror_weights_free(struct mbi_weights *weights)
{
    struct mirror_weights *w = (struct mirror_weights *)weights;

    mirror_cpu()->weights_free(w->weights);
    for (uint32_t i = 0; i < w->graph->n_params; i++) {
        free(w->host[i]);
        cudaFree(w->device[i]);
    }
    delete[] w->host;
    delete[] w->device;
    delete w;
}

static int32_t mirror_image_new(struct mbi_image **out, const struct mbi_program *program,
                                struct mbi_weights *w, mambaint_error *err)
{
    struct mirror_image *m = new mirror_image();

    m->program = program;
    m->device = new void *[program->graph->n_nodes]();
    for (mbi_ref i = 0; i < program->graph->n_nodes; i++)
        if (program->graph->node[i].op)
            MUST_CUDA(
                cudaMalloc(&m->device[i],
                           program->lanes * mbi_type_row_size(&program->graph->node[i].type) + 1));
    *out = (struct mbi_image *)m;
    return mirror_cpu()->image_new(&m->image, program, ((struct mirror_weights *)w)->weights, err);
}

static void mirror_image_free(struct mbi_image *image)
{
    struct mirror_image *m = (struct mirror_image *)image;

    mirror_cpu()->image_free(m->image);
    for (mbi_ref i = 0; i < m->program->graph->n_nodes; i++)
        cudaFree(m->device[i]);
    delete[] m->device;
    delete m;
}

static int32_t mirror_run(struct mbi_image *image, const struct mbi_batch *batch,
                          mambaint_error *err)
{
    struct mirror_image *m = (struct mirror_image *)image;
    const int32_t rc = mirror_cpu()->run(m->image, batch, err);
    size_t lanes = 0;

    for (size_t i = 0; i < batch->n_runs; i++)
        lanes += batch->run[i].n;
    for (mbi_ref i = 0; rc >= 0 && m->program->keep && i < m->program->graph->n_nodes; i++)
        if (m->device[i])
            MUST_CUDA(cudaMemcpy(m->device[i], mirror_cpu()->view(m->image, i),
                                 lanes * mbi_type_row_size(&m->program->graph->node[i].type),
                                 cudaMemcpyHostToDevice));
    return rc;
}

static const void *mirror_device_view(const struct mbi_image *image, mbi_ref value)
{
    return ((const struct mirror_image *)image)->device[value];
}

static void *mirror_device_param(struct mbi_weights *w, uint32_t param)
{
    return ((struct mirror_weights *)w)->device[param];
}

static int32_t mirror_device_changed(struct mbi_weights *weights, mambaint_error *err)
{
    struct mirror_weights *w = (struct mirror_weights *)weights;

    for (uint32_t i = 0; i < w->graph->n_params; i++)
        MUST_CUDA(cudaMemcpy(w->host[i], w->device[i], mirror_size(&w->graph->param[i].type),
                             cudaMemcpyDeviceToHost));
    return mirror_cpu()->weights_update(w->weights, err);
}

static struct mbi_backend mirror_backend(void)
{
    struct mbi_backend b = *mirror_cpu();

    b.name = "mirror";
    b.weights_new = mirror_weights_new;
    b.weights_update = mirror_weights_update;
    b.weights_free = mirror_weights_free;
    b.image_new = mirror_image_new;
    b.image_free = mirror_image_free;
    b.run = mirror_run;
    b.peek = NULL;
    b.view = NULL;
    b.device_view = mirror_device_view;
    b.device_param = mirror_device_param;
    b.device_changed = mirror_device_changed;
    return b;
}

#endif

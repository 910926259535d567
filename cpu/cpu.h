/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU backends: one driver, several kernel tables. A table starts from the reference kernels
 * and replaces those it has faster.
 */
#ifndef MBI_CPU_CPU_H
#define MBI_CPU_CPU_H

#include "exec/backend.h"
#include "op/op_list.h"

#ifndef MBI_HAVE_AVX2
#define MBI_HAVE_AVX2 0
#endif

typedef void (*mbi_kernel)(const struct mbi_op_args *args);

struct mbi_cpu_kernels {
    mbi_kernel eval[MBI_OP_END];
};

extern const struct mbi_backend mbi_backend_scalar;
extern const struct mbi_backend mbi_backend_avx2;

/* The reference kernels. */
void mbi_cpu_kernels_scalar(struct mbi_cpu_kernels *k);
/* Replace what the AVX2 files have faster. */
void mbi_cpu_kernels_avx2(struct mbi_cpu_kernels *k);

/* What a table of kernels needs to be a backend. */
int32_t mbi_cpu_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                            const struct mbi_graph *graph, const void *const *param,
                            mambaint_error *err);
int32_t mbi_cpu_weights_update(struct mbi_weights *w, mambaint_error *err);
void mbi_cpu_weights_free(struct mbi_weights *w);
int32_t mbi_cpu_image_new(struct mbi_image **out, const struct mbi_program *program,
                          struct mbi_weights *w, const struct mbi_cpu_kernels *kernels,
                          mambaint_error *err);
void mbi_cpu_image_free(struct mbi_image *image);
int32_t mbi_cpu_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                           mambaint_error *err);
void mbi_cpu_memory_free(struct mbi_memory *m);
int32_t mbi_cpu_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err);
int32_t mbi_cpu_memory_write(struct mbi_memory *m, const void *live, mambaint_error *err);
int32_t mbi_cpu_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                            mambaint_error *err);
int32_t mbi_cpu_run(struct mbi_image *image, const struct mbi_batch *batch, mambaint_error *err);
int32_t mbi_cpu_peek(void *out, struct mbi_image *image, mbi_ref value, size_t lane, size_t n,
                     mambaint_error *err);
const void *mbi_cpu_view(const struct mbi_image *image, mbi_ref value);

/* The part of a vtable that every CPU backend shares. */
#define MBI_CPU_BACKEND_COMMON                                                                     \
    .abi = MBI_BACKEND_ABI, .struct_size = sizeof(struct mbi_backend),                             \
    .op_list = mbi_op_list_text, .weights_new = mbi_cpu_weights_new,                               \
    .weights_update = mbi_cpu_weights_update, .weights_free = mbi_cpu_weights_free,                \
    .image_free = mbi_cpu_image_free, .memory_new = mbi_cpu_memory_new,                            \
    .memory_free = mbi_cpu_memory_free, .memory_read = mbi_cpu_memory_read,                        \
    .memory_write = mbi_cpu_memory_write, .memory_copy = mbi_cpu_memory_copy, .run = mbi_cpu_run,  \
    .peek = mbi_cpu_peek, .view = mbi_cpu_view

#endif

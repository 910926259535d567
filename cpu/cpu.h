/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU backends: one driver, several kernel tables. A table starts from the reference kernels
 * and replaces those it has faster; it may ask for matrices in a layout of its own, keep a copy of
 * a state in another form, and do several neighbouring nodes at once.
 */
#ifndef MBI_CPU_CPU_H
#define MBI_CPU_CPU_H

#include "cpu/measure.h"
#include "exec/backend.h"
#include "op/op_list.h"

#ifndef MBI_HAVE_AVX2
#define MBI_HAVE_AVX2 0
#endif
#ifndef MBI_HAVE_AVX512
#define MBI_HAVE_AVX512 0
#endif
#ifndef MBI_HAVE_NEON
#define MBI_HAVE_NEON 0
#endif
#ifndef MBI_HAVE_NEON_DOT
#define MBI_HAVE_NEON_DOT 0
#endif

typedef void (*mbi_kernel)(const struct mbi_op_args *args);

/* A kernel, and what it wants beside an operation's own arguments. Any but eval may be NULL. */
struct mbi_cpu_op {
    const char *name;
    mbi_kernel eval;                                   /* the parts [begin, end) */
    size_t (*units)(const struct mbi_op_args *a);      /* number of parts; NULL: the operation's */
    size_t (*work_size)(const struct mbi_op_args *a);  /* bytes of a->work for a->lanes lanes */
    mbi_kernel prepare;                                /* fills a->work, once before the parts */
    size_t (*copy_size)(const struct mbi_op_args *a);  /* bytes of a->copy; state[] is not set */
    mbi_kernel copy_make;                              /* fills a->copy from state[] */
    size_t (*copy_front)(const struct mbi_op_args *a); /* bytes of it that a run at a->pos reads */
};

/*
 * Neighbours in a program's order that one kernel does at once. Only the last node's value is
 * written, so each inner value must have one reader: node `reader`, at input `slot`. Kernels get
 * the nodes' arguments as a chain (a->next).
 */
struct mbi_cpu_pattern {
    uint8_t n;
    uint8_t op[MBI_FUSE_MAX];
    uint8_t reader[MBI_FUSE_MAX], slot[MBI_FUSE_MAX]; /* of the nodes but the last */
    bool (*fits)(const struct mbi_op_args *a); /* are these types and attributes done? NULL: all */
    struct mbi_cpu_op kernel;
};

struct mbi_cpu_kernels {
    struct mbi_cpu_op op[MBI_OP_END];
    bool packs;                                   /* matvec reads the layout of cpu/pack.h */
    const struct mbi_cpu_pattern *const *pattern; /* tried in order at every node; NULL ends */
};

extern const struct mbi_backend mbi_backend_scalar;
extern const struct mbi_backend mbi_backend_avx2;
extern const struct mbi_backend mbi_backend_avx512;
extern const struct mbi_backend mbi_backend_neon;

/* The reference kernels. */
void mbi_cpu_kernels_scalar(struct mbi_cpu_kernels *k);
/* The same with what the files of an instruction set have faster. `vnni`: also what needs VNNI. */
void mbi_cpu_kernels_avx2(struct mbi_cpu_kernels *k);
void mbi_cpu_kernels_avx512(struct mbi_cpu_kernels *k, bool vnni);
/* `dot`: also what needs the dot products of Armv8.2, which this machine has or not. */
void mbi_cpu_kernels_neon(struct mbi_cpu_kernels *k, bool dot);
bool mbi_cpu_has_dot(void);

/* What a table of kernels needs to be a backend. */
int32_t mbi_cpu_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                            const struct mbi_graph *graph, const void *const *param,
                            const struct mbi_cpu_kernels *kernels, mambaint_error *err);
int32_t mbi_cpu_weights_update(struct mbi_weights *w, mambaint_error *err);
void mbi_cpu_weights_free(struct mbi_weights *w);
int32_t mbi_cpu_image_new(struct mbi_image **out, const struct mbi_program *program,
                          struct mbi_weights *w, const struct mbi_cpu_kernels *kernels,
                          mambaint_error *err);
void mbi_cpu_image_free(struct mbi_image *image);
int32_t mbi_cpu_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                           const struct mbi_cpu_kernels *kernels, mambaint_error *err);
void mbi_cpu_memory_free(struct mbi_memory *m);
int32_t mbi_cpu_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err);
int32_t mbi_cpu_memory_write(struct mbi_memory *m, const void *live, mambaint_error *err);
int32_t mbi_cpu_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                            mambaint_error *err);
int32_t mbi_cpu_run(struct mbi_image *image, const struct mbi_batch *batch, mambaint_error *err);
int32_t mbi_cpu_peek(void *out, struct mbi_image *image, mbi_ref value, size_t lane, size_t n,
                     mambaint_error *err);
const void *mbi_cpu_view(const struct mbi_image *image, mbi_ref value);
const struct mbi_profile *mbi_cpu_profile(struct mbi_image *image, bool on);

/* The part of a vtable that every CPU backend shares, with MBI_CPU_BACKEND_TABLE before it. */
#define MBI_CPU_BACKEND_COMMON                                                                     \
    .abi = MBI_BACKEND_ABI, .struct_size = sizeof(struct mbi_backend),                             \
    .op_list = mbi_op_list_text, .weights_new = weights_new,                                       \
    .weights_update = mbi_cpu_weights_update, .weights_free = mbi_cpu_weights_free,                \
    .image_new = image_new, .image_free = mbi_cpu_image_free, .memory_new = memory_new,            \
    .memory_free = mbi_cpu_memory_free, .memory_read = mbi_cpu_memory_read,                        \
    .memory_write = mbi_cpu_memory_write, .memory_copy = mbi_cpu_memory_copy, .run = mbi_cpu_run,  \
    .peek = mbi_cpu_peek, .view = mbi_cpu_view, .profile = mbi_cpu_profile, .measure = measure

/* The functions that need to know the table (fill(struct mbi_cpu_kernels *)) and the peaks. */
#define MBI_CPU_BACKEND_TABLE(fill, peaks)                                                         \
    static int32_t weights_new(struct mbi_weights **out, const struct mbi_host *host,              \
                               const struct mbi_graph *graph, const void *const *param,            \
                               mambaint_error *err)                                                \
    {                                                                                              \
        struct mbi_cpu_kernels kernels = {.packs = false};                                         \
                                                                                                   \
        fill(&kernels);                                                                            \
        return mbi_cpu_weights_new(out, host, graph, param, &kernels, err);                        \
    }                                                                                              \
    static int32_t image_new(struct mbi_image **out, const struct mbi_program *program,            \
                             struct mbi_weights *w, mambaint_error *err)                           \
    {                                                                                              \
        struct mbi_cpu_kernels kernels = {.packs = false};                                         \
                                                                                                   \
        fill(&kernels);                                                                            \
        return mbi_cpu_image_new(out, program, w, &kernels, err);                                  \
    }                                                                                              \
    static int32_t memory_new(struct mbi_memory **out, const struct mbi_program *program,          \
                              mambaint_error *err)                                                 \
    {                                                                                              \
        struct mbi_cpu_kernels kernels = {.packs = false};                                         \
                                                                                                   \
        fill(&kernels);                                                                            \
        return mbi_cpu_memory_new(out, program, &kernels, err);                                    \
    }                                                                                              \
    static int32_t measure(uint64_t *value, const struct mbi_host *host, uint32_t what,            \
                           mambaint_error *err)                                                    \
    {                                                                                              \
        return mbi_cpu_measure(value, host, what, peaks, err);                                     \
    }

#endif

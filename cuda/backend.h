/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the CUDA driver share: weights, memories and images from the inside. */
#ifndef MBI_CUDA_BACKEND_H
#define MBI_CUDA_BACKEND_H

#include "cuda/matrix.h"
#include "cuda/node.h"

/* ---- what a module cannot take from the library ---- */

/* OK, or the code and sentence of a failed call; `doing` says what for. */
int32_t mbi_cuda_check(cudaError_t e, mambaint_error *err, const char *doing);
void *mbi_cuda_alloc(const struct mbi_host *host, size_t n, size_t size); /* zeroed */
void mbi_cuda_free(const struct mbi_host *host, void *p);
size_t mbi_cuda_row_size(const struct mbi_type *t);
uint32_t mbi_cuda_inputs(uint32_t op);
bool mbi_cuda_is_param(const struct mbi_node *node);

/*
 * Everything is put into one stream of the device, so that it happens in the order of the calls and
 * a call waits only for what it brings back. Steps are recorded on a stream of their own.
 */
#define MBI_STREAM ((cudaStream_t)0)

/* ---- weights ---- */

struct mbi_weights {
    const struct mbi_host *host;
    const struct mbi_graph *graph;
    const void *const *param; /* on the host */
    char **raw;               /* on the device, by parameter; NULL: only packed */
    uint8_t **packed;         /* of those that are multiplied with; NULL: not one of them */
    bool *wants_raw;          /* some node reads it as it is */
};

struct mbi_cuda_matrix mbi_cuda_matrix_of(const struct mbi_weights *w, uint32_t param);

/* ---- memories ---- */

/* Where each node's part of a stream's memory begins, by mbi_ref; returns the whole size. */
size_t mbi_cuda_memory_layout(size_t *offset, const struct mbi_program *program);

struct mbi_memory {
    const struct mbi_host *host;
    const struct mbi_program *program; /* of the graph: layouts alone */
    char *device;
    size_t size;
    uint64_t pos; /* of the next token; known once something ran */
    bool ran;
    bool lost;  /* a run failed after parts of it were done; until a state is put in */
    char *live; /* what was written from outside and not run since; NULL: nothing */
};

/* What was written from outside goes to the device, in the layout of position `pos`. */
int32_t mbi_cuda_memory_settle(struct mbi_memory *m, uint64_t pos, mambaint_error *err);

/* ---- images ---- */

struct mbi_cuda_mixer; /* cuda/mixer.h */
struct mbi_cuda_mixer_values;

enum mbi_cuda_step_kind { MBI_STEP_NODE, MBI_STEP_MATMUL, MBI_STEP_ENTER, MBI_STEP_LEAVE };

/* One launch, or a few: a node, a product with what follows it, or a side of a mixer. */
struct mbi_cuda_step {
    enum mbi_cuda_step_kind kind;
    uint32_t first, n;         /* of the program's order */
    struct mbi_cuda_node node; /* the first of them */
    struct mbi_cuda_matrix matrix;
    struct mbi_cuda_finish finish;
    struct mbi_cuda_kept kept;
    struct mbi_cuda_mixer *mixer;         /* both owned by the step that enters it */
    struct mbi_cuda_mixer_values *values; /* NULL: what is inside is not kept */
};

/* A step shape that was seen; from its second time on recorded, to be started as a whole. */
struct mbi_cuda_recorded {
    uint32_t n_runs, lanes, max_n, out_lanes; /* lanes = 0: none yet */
    cudaGraphExec_t exec;
};

#define MBI_RECORDED 16

struct mbi_image {
    const struct mbi_program *program;
    struct mbi_weights *weights;
    char *scratch;     /* values, where the program has them */
    size_t *memory_at; /* by mbi_ref */
    struct mbi_cuda_step *step;
    uint32_t n_steps, n_body;
    void *work; /* of the recurrence */
    size_t work_size;
    char *upload;              /* pinned: runs, then what goes in */
    struct mbi_cuda_run *runs; /* on the device; behind them what goes in */
    size_t upload_size;
    cudaStream_t recorder;
    bool pending; /* the upload may still be under way */
    char *logits; /* pinned: those of the last run's outputs, once asked for; NULL: never */
    uint32_t out_lanes;
    bool fetched;
    struct mbi_cuda_recorded recorded[MBI_RECORDED];
    uint32_t next_record;
    struct mbi_cuda_decode *decode; /* NULL: this program is not one that decodes at once */
    struct mbi_cuda_batch *batch_upload, *batch; /* pinned, on the device; NULL: never drew */
    struct mbi_profile *profile;
    bool profiling;
};

void mbi_cuda_forget_records(struct mbi_image *image);

/* ---- the vtable's functions of the other files ---- */

extern "C" {
int32_t mbi_cuda_weights_new(struct mbi_weights **out, const struct mbi_host *host,
                             const struct mbi_graph *graph, const void *const *param,
                             mambaint_error *err);
int32_t mbi_cuda_weights_update(struct mbi_weights *w, mambaint_error *err);
void mbi_cuda_weights_free(struct mbi_weights *w);
void *mbi_cuda_device_param(struct mbi_weights *w, uint32_t param);
int32_t mbi_cuda_device_changed(struct mbi_weights *w, mambaint_error *err);

int32_t mbi_cuda_memory_new(struct mbi_memory **out, const struct mbi_program *program,
                            mambaint_error *err);
void mbi_cuda_memory_free(struct mbi_memory *m);
int32_t mbi_cuda_memory_read(void *live, const struct mbi_memory *m, mambaint_error *err);
int32_t mbi_cuda_memory_write(struct mbi_memory *m, const void *live, mambaint_error *err);
int32_t mbi_cuda_memory_copy(struct mbi_memory *to, const struct mbi_memory *from,
                             mambaint_error *err);

int32_t mbi_cuda_image_new(struct mbi_image **out, const struct mbi_program *program,
                           struct mbi_weights *w, mambaint_error *err);
void mbi_cuda_image_free(struct mbi_image *image);

int32_t mbi_cuda_measure(uint64_t *value, const struct mbi_host *host, uint32_t what,
                         mambaint_error *err);
}

#endif

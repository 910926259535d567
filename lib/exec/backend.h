/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend vtable: how a device runs programs. A backend gets whole programs, so fusing is
 * its own to do; backends differ in speed, never in a bit of a result. It receives host services
 * and calls nothing else of the library.
 */
#ifndef MBI_EXEC_BACKEND_H
#define MBI_EXEC_BACKEND_H

#include "exec/program.h"

struct mbi_sampler; /* sample/sampler.h */

#define MBI_BACKEND_ABI 2

struct mbi_weights; /* a graph's parameters on a device, shared by images */
struct mbi_image;   /* a program on a device, with its scratch memory: one thread at a time */
struct mbi_memory;  /* one stream's state on a device */
struct mbi_rows;    /* one stream's last logits on a device */

/* n consecutive tokens (or vectors of features) of one stream. */
struct mbi_run {
    struct mbi_memory *memory; /* read and advanced */
    uint64_t pos;              /* absolute position of the first */
    const void *in;            /* rows of value 0: int32 ids, each in [0, vocab), or i8 features */
    size_t n;                  /* at least 1 */
};

struct mbi_batch {
    const struct mbi_run *run;
    size_t n_runs;
    bool all_outputs; /* outputs of every lane; otherwise of the last lane of each run */
};

/*
 * A stream that draws its tokens on the device. Fed is `id` at `pos`; then the sampler draws the
 * token of pos + 1 from the logits, as mbi_sample() would, which is fed and drawn from in turn.
 */
struct mbi_draw {
    struct mbi_memory *memory; /* read and advanced */
    struct mbi_rows *rows;     /* keeps the logits */
    uint64_t pos;
    int32_t id; /* in [0, vocab) */
    const struct mbi_sampler *sampler;
    uint32_t repeat_last;   /* at most MBI_RECENT_MAX ids before a token are recent */
    const int32_t *history; /* MBI_RECENT_MAX ids: that of position p < pos at p mod them */
};

#define MBI_DRAW_STREAMS 16 /* at most, of one call */
#define MBI_DRAW_STEPS 8    /* likewise */
#define MBI_DRAW_STOPS 2

struct mbi_draws {
    const struct mbi_draw *draw;
    size_t n_draws, n_steps;
    int32_t stop[MBI_DRAW_STOPS]; /* steps may end once every stream has drawn one; -1: none */
};

/* Logits of this many steps are kept at least: one batch of them and the step before it. */
#define MBI_ROWS_MIN (MBI_DRAW_STEPS + 1)

/* What a device reaches at best; the numbers of mambaint_machine_measure(). */
enum mbi_measure {
    MBI_MEASURE_READ,   /* bytes/s of memory, read once and in order, by all threads together */
    MBI_MEASURE_MATVEC, /* 8-bit multiply-adds/s of a thread, matrix times vector */
    MBI_MEASURE_MATMUL, /* 8-bit multiply-adds/s of a thread, matrix times matrix */
    MBI_MEASURE_END
};

/* Where the time of an image's runs went. */
#define MBI_PROFILE_MAX 64

struct mbi_profile_entry {
    const char *name; /* of a kernel; static */
    uint64_t calls, ns;
};

struct mbi_profile {
    size_t n;
    struct mbi_profile_entry entry[MBI_PROFILE_MAX]; /* in the order of first use */
};

struct mbi_backend {
    uint32_t abi; /* MBI_BACKEND_ABI */
    uint32_t struct_size;
    const char *op_list; /* mbi_op_list_text of its build */
    const char *name;

    /* 0: cannot run on this machine; otherwise higher is better. */
    int32_t (*probe)(void);
    /* Why probe says 0, as a clause without a full stop: static text; NULL: nothing to add. */
    const char *(*why)(void);

    /* Parameters in host byte order, by index in graph->param; they stay the caller's and must
     * outlive the weights. update tells that their values (not addresses) have changed. */
    int32_t (*weights_new)(struct mbi_weights **out, const struct mbi_host *host,
                           const struct mbi_graph *graph, const void *const *param,
                           mambaint_error *err);
    int32_t (*weights_update)(struct mbi_weights *w, mambaint_error *err);
    void (*weights_free)(struct mbi_weights *w);

    int32_t (*image_new)(struct mbi_image **out, const struct mbi_program *program,
                         struct mbi_weights *w, mambaint_error *err);
    void (*image_free)(struct mbi_image *image);

    /* Memory starts as zero and serves every image of the same graph; `program` must outlive it.
     * read and write move program->state_size bytes in the live layout. */
    int32_t (*memory_new)(struct mbi_memory **out, const struct mbi_program *program,
                          mambaint_error *err);
    void (*memory_free)(struct mbi_memory *m);
    int32_t (*memory_read)(void *live, const struct mbi_memory *m, mambaint_error *err);
    int32_t (*memory_write)(struct mbi_memory *m, const void *live, mambaint_error *err);
    int32_t (*memory_copy)(struct mbi_memory *to, const struct mbi_memory *from,
                           mambaint_error *err);

    /* At most program->lanes tokens in all. Lanes are numbered through the runs in order. A run
     * that fails has changed no memory. */
    int32_t (*run)(struct mbi_image *image, const struct mbi_batch *batch, mambaint_error *err);

    /* Copy rows [lane, lane + n) of a value of the last run: an output (lanes with outputs are
     * numbered from 0), or with keep any value. */
    int32_t (*peek)(void *out, struct mbi_image *image, mbi_ref value, size_t lane, size_t n,
                    mambaint_error *err);
    /* The same in place, valid until the next run; NULL where the device's memory is elsewhere. */
    const void *(*view)(const struct mbi_image *image, mbi_ref value);

    /*
     * For a trainer on the same device; NULL where the device is the host. Addresses are the
     * device's. A value has its rows as in the host's memory, and is complete when run returns. A
     * parameter's integers (by index, row major) may be overwritten there; device_changed then
     * tells so.
     */
    const void *(*device_view)(const struct mbi_image *image, mbi_ref value);
    void *(*device_param)(struct mbi_weights *w, uint32_t param);
    int32_t (*device_changed)(struct mbi_weights *w, mambaint_error *err);

    /* Count the time of an image's runs from now on, or stop. Returns the counts so far, which are
     * the image's; NULL if it never counted, or for want of memory. */
    const struct mbi_profile *(*profile)(struct mbi_image *image, bool on);

    /* An upper limit of this machine with the instructions that the backend uses, on the host's
     * threads. `what` is one of enum mbi_measure. Takes about a second. */
    int32_t (*measure)(uint64_t *value, const struct mbi_host *host, uint32_t what,
                       mambaint_error *err);

    /*
     * Drawing on the device; all four or none. NULL where the device is the host, which draws by
     * itself between runs.
     *
     * draw does n_steps steps of each stream, or fewer as `stop` allows: the same for all, and
     * *made of them. ids has n_steps numbers for each stream: ids[d * n_steps + i] is what stream d
     * drew after step i, so `made` tokens were fed, of which the last drawn is not one. After a
     * failure the memories may be anywhere between; only one of a single step has changed none.
     *
     * rows_read gives the logits after the token of position `pos`, if that was fed by draw and
     * fewer than MBI_ROWS_MIN steps before the last one.
     */
    int32_t (*rows_new)(struct mbi_rows **out, const struct mbi_program *program,
                        mambaint_error *err);
    void (*rows_free)(struct mbi_rows *rows);
    int32_t (*rows_read)(int32_t *logits, const struct mbi_rows *rows, uint64_t pos,
                         mambaint_error *err);
    int32_t (*draw)(int32_t *ids, size_t *made, struct mbi_image *image,
                    const struct mbi_draws *draws, mambaint_error *err);
};

/*
 * The backends of this build, then the modules that were loaded, in the order of loading. `index`
 * counts all of them; NULL past the end. What has an index keeps it for the life of the process.
 */
#define MBI_MAX_BACKENDS 8
const struct mbi_backend *mbi_backend_at(size_t index);

/*
 * By name. NULL or "auto" takes the best built-in backend that runs here, never a module's. "cuda"
 * looks for its module where the library lies, once it is asked for.
 */
int32_t mbi_backend_find(const struct mbi_backend **out, const char *name, mambaint_error *err);

/*
 * A module is a shared object that exports one function of this name and type. It is built with
 * this header and op/op_list.h, brings its own copy of what it calls, and stays for the life of the
 * process.
 */
#define MBI_BACKEND_SYMBOL "mbi_backend_module"
typedef const struct mbi_backend *mbi_backend_module_fn(void);

/* Loads a module, or finds it loaded. One of another interface or list of operations is refused. */
int32_t mbi_backend_load(const struct mbi_backend **out, const char *path, mambaint_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole models, every way to run them: three models made from a seed read streams of tokens on
 * every backend that runs here, with one and two threads, in chunks of 1, 7, 64 and 512 tokens,
 * one, three and sixteen streams at a time. The logits of every token and the end states must have
 * the digests of tests/golden/whole.txt, which each stream gave alone, token by token, on the
 * scalar backend.
 */
#include "api/model.h"
#include "base/intmath.h"
#include "base/philox.h"
#include "exec/backend.h"
#include <mambaint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAMS 16
#define SHORTEST 70 /* tokens of a stream: every one passes the end of a chunk of the recurrence */
#define SEED "20240601"
#define DIGITS 32 /* of a digest in the file: its first half */
#define MAX_LINES 512
#define BLOCK 64 /* rows of logits that are looked at together */

/* ---- models ---- */

struct kind {
    const char *name, *preset, *chunk; /* chunk: the preset's if NULL */
};

static const struct kind kinds[] = {
    {"mi-1m", "mi-1m", NULL},
    {"mi-1m-ternary", "mi-1m-ternary", NULL},
    {"mi-1m-chunk-1", "mi-1m", "1"},
};

static void stop(const char *what, const mambaint_error *err)
{
    fprintf(stderr, "whole: %s: %s\n", what, err->message);
    exit(2);
}

static void *need(size_t n, size_t size)
{
    void *block = calloc(n ? n : 1, size);

    if (!block) {
        fprintf(stderr, "whole: out of memory\n");
        exit(2);
    }
    return block;
}

/* The file lives no longer than it takes to open it. */
static mambaint_model *make_model(const struct kind *kind)
{
    const char *dir = getenv("TMPDIR");
    mambaint_options *options = NULL;
    mambaint_model *model = NULL;
    mambaint_error err = {0, "out of memory"};
    char path[512];
    int failed;

    snprintf(path, sizeof(path), "%s/mambaint-whole-%ld.gguf", dir && *dir ? dir : "/tmp",
             (long)getpid());
    failed = mambaint_options_create(&options) < 0 ||
             mambaint_options_set(options, "preset", kind->preset, &err) < 0 ||
             mambaint_options_set(options, "seed", SEED, &err) < 0 ||
             (kind->chunk && mambaint_options_set(options, "chunk", kind->chunk, &err) < 0) ||
             mambaint_model_synth(NULL, path, options, &err) < 0 ||
             mambaint_model_open(&model, NULL, path, NULL, &err) < 0;
    unlink(path);
    mambaint_options_free(options);
    if (failed)
        stop(kind->name, &err);
    return model;
}

/* Every stream has tokens of its own. */
static int32_t token(uint32_t stream, uint64_t position, uint32_t vocab)
{
    return (int32_t)(mbi_philox_u64(stream, position) % vocab);
}

/* ---- the file of digests ---- */

/* What a stream of some length gives: the digest of the logits of all its tokens, one after
 * another, and that of the last logits and the state behind them, all little end first. */
struct digests {
    char all[DIGITS + 1], end[DIGITS + 1];
};

struct line {
    char model[24];
    size_t tokens;
    unsigned stream;
    struct digests d;
};

struct book {
    struct line *line;
    size_t n;
};

static bool equal(const char *a, const char *b) { return !strcmp(a, b); }

/* The digest of a model stands on a line with tokens = 0. */
static void read_book(struct book *b, const char *path)
{
    FILE *f = fopen(path, "r");
    char text[200];

    b->line = need(MAX_LINES, sizeof(*b->line));
    b->n = 0;
    while (f && b->n < MAX_LINES && fgets(text, sizeof(text), f)) {
        struct line *l = &b->line[b->n];

        if (sscanf(text, "%23s %zu %u %32s %32s", l->model, &l->tokens, &l->stream, l->d.all,
                   l->d.end) == 5 &&
            l->model[0] != '#')
            b->n++;
    }
    if (!f || !b->n) {
        fprintf(stderr, "whole: no digests in %s\n", path);
        exit(2);
    }
    fclose(f);
}

static const struct digests *look_up(const struct book *b, const char *model, size_t tokens,
                                     unsigned stream)
{
    for (size_t i = 0; i < b->n; i++)
        if (equal(b->line[i].model, model) && b->line[i].tokens == tokens &&
            b->line[i].stream == stream)
            return &b->line[i].d;
    fprintf(stderr, "whole: no digests of %s, %zu tokens, stream %u; make them with --make\n",
            model, tokens, stream);
    exit(2);
}

static void model_digest(struct digests *d, const mambaint_model *model)
{
    uint8_t digest[32];

    mambaint_model_digest(digest, model);
    mbi_hex(d->all, digest, DIGITS / 2);
    mbi_hex(d->end, digest + DIGITS / 2, DIGITS / 2);
}

/* ---- a way to run a model ---- */

struct way {
    const struct mbi_backend *backend;
    const struct mbi_host *host;
    unsigned threads;
    size_t chunk, streams, first; /* the streams from `first` on */
    bool all;                     /* logits of every token; otherwise of the last of a run alone */
    bool plant;                   /* an error: the last token is another one */
};

struct stream {
    struct mbi_memory *memory;
    struct mbi_blake2b all;
    int32_t *last; /* logits of the last token, little end first */
    size_t done;
};

struct machine {
    const struct mbi_graph *graph;
    const struct way *way;
    struct mbi_program *program;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct stream stream[STREAMS];
    int32_t *ids, *logits, *bytes; /* a block of rows as they are, and little end first */
    size_t vocab;
};

static void open_machine(struct machine *m, const struct mbi_model *model, const struct way *w)
{
    const struct mbi_backend *b = w->backend;
    const size_t lanes = w->chunk * w->streams;
    mambaint_error err = {0, ""};

    *m = (struct machine){.graph = model->graph, .way = w};
    m->vocab = model->graph->node[model->graph->logits].type.cols;
    m->ids = need(lanes, sizeof(*m->ids));
    m->logits = need(BLOCK * m->vocab, sizeof(*m->logits));
    m->bytes = need(BLOCK * m->vocab, sizeof(*m->bytes));
    if (mbi_program_create(&m->program, w->host, m->graph, lanes, w->all ? lanes : w->streams,
                           false, &err) < 0 ||
        b->weights_new(&m->weights, w->host, m->graph, model->param, &err) < 0 ||
        b->image_new(&m->image, m->program, m->weights, &err) < 0)
        stop(b->name, &err);
    for (size_t s = 0; s < w->streams; s++) {
        if (b->memory_new(&m->stream[s].memory, m->program, &err) < 0)
            stop(b->name, &err);
        m->stream[s].last = need(m->vocab, sizeof(int32_t));
        mbi_blake2b_init(&m->stream[s].all);
    }
}

static void close_machine(struct machine *m)
{
    const struct mbi_backend *b = m->way->backend;

    for (size_t s = 0; s < m->way->streams; s++) {
        b->memory_free(m->stream[s].memory);
        free(m->stream[s].last);
    }
    b->image_free(m->image);
    b->weights_free(m->weights);
    mbi_program_free(m->program);
    free(m->ids);
    free(m->logits);
    free(m->bytes);
}

/* Runs of a chunk each; the first of stream s is shorter, so that streams are at different
 * positions. Stream k of the batch is `which[k]`. */
static size_t next_runs(struct mbi_run run[STREAMS], size_t which[STREAMS], struct machine *m,
                        size_t tokens)
{
    size_t n_runs = 0, lane = 0;

    for (size_t s = 0; s < m->way->streams; s++) {
        struct stream *st = &m->stream[s];
        const size_t wanted =
            st->done ? m->way->chunk : 1 + (m->way->chunk - 1 + s) % m->way->chunk;
        const size_t n = mbi_min_size(tokens - st->done, wanted);

        if (!n)
            continue;
        for (size_t i = 0; i < n; i++)
            m->ids[lane + i] =
                token((uint32_t)(m->way->first + s), st->done + i, (uint32_t)m->vocab);
        if (m->way->plant && s == 0 && st->done + n == tokens)
            m->ids[lane + n - 1] ^= 1;
        run[n_runs] = (struct mbi_run){st->memory, st->done, m->ids + lane, n};
        which[n_runs++] = s;
        lane += n;
        st->done += n;
    }
    return n_runs;
}

/* Take the logits of n <= BLOCK lanes from `lane` on into a stream's digest. */
static void take_logits(struct machine *m, struct stream *st, size_t lane, size_t n)
{
    mambaint_error err = {0, ""};

    if (m->way->backend->peek(m->logits, m->image, m->graph->logits, lane, n, &err) < 0)
        stop(m->way->backend->name, &err);
    mbi_copy_le(m->bytes, m->logits, n * m->vocab, sizeof(*m->logits));
    if (m->way->all)
        mbi_blake2b_add(&st->all, m->bytes, n * m->vocab * sizeof(*m->bytes));
    memcpy(st->last, m->bytes + (n - 1) * m->vocab, m->vocab * sizeof(*m->bytes));
}

/* One batch; false when every stream is at its end. */
static bool run_batch(struct machine *m, size_t tokens)
{
    struct mbi_run run[STREAMS];
    size_t which[STREAMS], lane = 0;
    const size_t n_runs = next_runs(run, which, m, tokens);
    const struct mbi_batch batch = {run, n_runs, m->way->all};
    mambaint_error err = {0, ""};

    if (!n_runs)
        return false;
    if (m->way->backend->run(m->image, &batch, &err) < 0)
        stop(m->way->backend->name, &err);
    for (size_t k = 0; k < n_runs; k++) {
        const size_t rows = m->way->all ? run[k].n : 1;

        for (size_t r = 0; r < rows; r += BLOCK)
            take_logits(m, &m->stream[which[k]], lane + r, mbi_min_size(BLOCK, rows - r));
        lane += rows;
    }
    return true;
}

static void end_digest(struct digests *d, struct machine *m, struct stream *st)
{
    uint8_t digest[MBI_DIGEST_SIZE], *packed = need(m->program->packed_size, 1);
    void *live = mbi_alloc_aligned(m->way->host, m->program->state_size);
    struct mbi_blake2b end;

    if (!live || m->way->backend->memory_read(live, st->memory, NULL) < 0)
        stop(m->way->backend->name, &(mambaint_error){0, "the state cannot be read"});
    mbi_state_pack(packed, m->program, live);
    mbi_blake2b_init(&end);
    mbi_blake2b_add(&end, st->last, m->vocab * sizeof(*st->last));
    mbi_blake2b_add(&end, packed, m->program->packed_size);
    mbi_blake2b_end(&end, digest);
    mbi_hex(d->end, digest, DIGITS / 2);
    mbi_blake2b_end(&st->all, digest);
    mbi_hex(d->all, digest, DIGITS / 2);
    mbi_free_aligned(m->way->host, live);
    free(packed);
}

static void run_way(struct digests d[STREAMS], const struct mbi_model *model, const struct way *w,
                    size_t tokens)
{
    struct machine m;

    open_machine(&m, model, w);
    while (run_batch(&m, tokens))
        continue;
    for (size_t s = 0; s < w->streams; s++)
        end_digest(&d[s], &m, &m.stream[s]);
    close_machine(&m);
}

/* ---- the checks ---- */

static const size_t chunks[] = {1, 7, 64, 512}, batches[] = {1, 3, 16};

struct plan {
    size_t tokens;
    bool every, few, make, plant;
    const char *backend; /* NULL: all */
    const char *module;  /* a shared object with one more backend, or NULL */
    const char *model;   /* NULL: all */
    size_t most_streams;
    struct book book;
    struct mbi_host host[2]; /* with one thread, with two */
    size_t done, bad;
};

/* The tokens of a run are shared among its streams. */
static size_t stream_tokens(const struct plan *p, size_t streams)
{
    return mbi_max_size(p->tokens / streams, SHORTEST);
}

static void check_way(struct plan *p, const struct kind *kind, const struct mbi_model *model,
                      const struct way *w)
{
    const size_t tokens = stream_tokens(p, w->streams);
    struct digests got[STREAMS];

    run_way(got, model, w, tokens);
    p->done++;
    for (unsigned s = 0; s < w->streams; s++) {
        const struct digests *want = look_up(&p->book, kind->name, tokens, s);

        if ((!w->all || equal(got[s].all, want->all)) && equal(got[s].end, want->end))
            continue;
        p->bad++;
        printf("DIFFERENT  %s, backend %s, threads %u, chunk %zu, %zu streams of %zu tokens, "
               "logits of %s: stream %u\n",
               kind->name, w->backend->name, w->threads, w->chunk, w->streams, tokens,
               w->all ? "every token" : "the last tokens", s);
    }
}

/*
 * Without --every a part of the ways that still meets each chunk, batch and number of threads with
 * each model and backend; with --few, and of the slow reference, a third of that.
 */
static bool in_part(size_t kind, const struct way *w, size_t chunk, size_t batch, bool few)
{
    const size_t turn = kind + chunk + batch;

    if ((turn + w->threads) % 2 != w->all)
        return false;
    return !few || batch == (kind + chunk) % MBI_COUNT(batches);
}

static void check_backend(struct plan *p, size_t kind, const struct mbi_model *model,
                          const struct mbi_backend *backend)
{
    for (size_t i = 0; i < 4 * MBI_COUNT(chunks) * MBI_COUNT(batches); i++) {
        const bool few = p->few || equal(backend->name, "scalar");
        const size_t chunk = i / 4 % MBI_COUNT(chunks), batch = i / 4 / MBI_COUNT(chunks);
        const unsigned threads = 1 + (unsigned)(i / 2 % 2);
        const struct way w = {.backend = backend,
                              .host = &p->host[threads - 1],
                              .threads = threads,
                              .chunk = chunks[chunk],
                              .streams = batches[batch],
                              .all = i % 2,
                              .plant = p->plant};

        if (w.streams <= p->most_streams && (p->every || in_part(kind, &w, chunk, batch, few)))
            check_way(p, &kinds[kind], model, &w);
    }
}

static void check_model(struct plan *p, size_t kind, const mambaint_model *model)
{
    const struct digests *want = look_up(&p->book, kinds[kind].name, 0, 0);
    struct digests got;

    model_digest(&got, model);
    if (!equal(got.all, want->all) || !equal(got.end, want->end)) {
        p->bad++;
        printf("DIFFERENT  %s: its weights are not those of whole.txt; they are drawn in floats\n",
               kinds[kind].name);
        return;
    }
    for (size_t b = 0; mbi_backend_at(b); b++)
        if (mbi_backend_at(b)->probe() &&
            (!p->backend || equal(p->backend, mbi_backend_at(b)->name))) {
            const size_t before = p->done;

            check_backend(p, kind, model->model, mbi_backend_at(b));
            printf("%s, backend %s: %zu ways\n", kinds[kind].name, mbi_backend_at(b)->name,
                   p->done - before);
            fflush(stdout);
        }
}

/* Each stream alone, token by token, on the scalar backend. */
static void make_lines(const struct plan *p, size_t kind, const mambaint_model *model)
{
    struct digests d[STREAMS];

    model_digest(&d[0], model);
    printf("%s 0 0 %s %s\n", kinds[kind].name, d[0].all, d[0].end);
    for (size_t i = 0; i < MBI_COUNT(batches); i++) {
        const bool again = i && stream_tokens(p, batches[i]) == stream_tokens(p, batches[i - 1]);

        for (size_t s = again ? batches[i - 1] : 0; s < batches[i]; s++) {
            const struct way alone = {.backend = mbi_backend_at(0),
                                      .host = &p->host[0],
                                      .threads = 1,
                                      .chunk = 1,
                                      .streams = 1,
                                      .first = s,
                                      .all = true};
            const size_t tokens = stream_tokens(p, batches[i]);

            run_way(d, model->model, &alone, tokens);
            printf("%s %zu %zu %s %s\n", kinds[kind].name, tokens, s, d[0].all, d[0].end);
        }
    }
}

static bool read_options(struct plan *p, int argc, char **argv)
{
    const char *file = NULL;

    for (int i = 1; i < argc; i++) {
        if (equal(argv[i], "--every"))
            p->every = true;
        else if (equal(argv[i], "--few"))
            p->few = true;
        else if (equal(argv[i], "--make"))
            p->make = true;
        else if (equal(argv[i], "--plant"))
            p->plant = true;
        else if (argv[i][0] != '-')
            file = argv[i];
        else if (i + 1 == argc)
            return false;
        else if (equal(argv[i], "--tokens"))
            p->tokens = strtoul(argv[++i], NULL, 10);
        else if (equal(argv[i], "--streams"))
            p->most_streams = strtoul(argv[++i], NULL, 10);
        else if (equal(argv[i], "--backend"))
            p->backend = argv[++i];
        else if (equal(argv[i], "--module"))
            p->module = argv[++i];
        else if (equal(argv[i], "--model"))
            p->model = argv[++i];
        else
            return false;
    }
    if (file)
        read_book(&p->book, file);
    return p->tokens > 0 && p->make == !file;
}

int main(int argc, char **argv)
{
    struct plan p = {.tokens = 2000, .most_streams = STREAMS};
    const struct mbi_backend *backend;
    mambaint_error err = {0, ""};

    if (!read_options(&p, argc, argv)) {
        fprintf(stderr,
                "usage: whole [--tokens N] [--every | --few] [--backend NAME] [--model NAME]\n"
                "             [--streams MOST] [--module FILE-OF-A-BACKEND] FILE\n"
                "       whole --plant ...          makes an error, which must be found\n"
                "       whole --make [--tokens N]  prints the lines of FILE for N tokens\n");
        return 2;
    }
    if (p.module && mbi_backend_load(&backend, p.module, &err) < 0)
        stop("--module", &err);
    if (p.backend && mbi_backend_find(&backend, p.backend, &err) < 0)
        stop("--backend", &err);
    mbi_host_default(&p.host[0]);
    mbi_host_default(&p.host[1]);
    if (mbi_pool_create(&p.host[1].pool, &p.host[0], 2, &err) < 0)
        stop("two threads", &err);
    for (size_t k = 0; k < MBI_COUNT(kinds); k++) {
        mambaint_model *model;

        if (p.model && !equal(p.model, kinds[k].name))
            continue;
        model = make_model(&kinds[k]);
        if (p.make)
            make_lines(&p, k, model);
        else
            check_model(&p, k, model);
        mambaint_model_unref(model);
    }
    mbi_pool_free(&p.host[0], p.host[1].pool);
    free(p.book.line);
    if (!p.make)
        printf("%zu ways over %zu tokens, %zu different\n", p.done, p.tokens, p.bad);
    if (p.plant) /* one stream of each way has the error, and no other may suffer */
        return !p.done || p.bad != p.done;
    return p.bad || (!p.make && !p.done);
}

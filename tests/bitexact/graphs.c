/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each random graph is run token by token on the scalar backend with all values kept; then on every
 * backend, in runs of other lengths, with threads, beside a second stream, with and without keeping
 * (so with and without fused kernels). Every value and the end state must be equal.
 */
#include "bitexact.h"
#include "exec/backend.h"

#define TOKENS 80

static void **make_params(const struct mbi_graph *g, struct source *s)
{
    void **param = need(g->n_params + 1, sizeof(*param));

    for (uint32_t i = 0; i < g->n_params; i++) {
        const struct mbi_type *t = &g->param[i].type;

        param[i] = need(t->rows, mbi_type_row_size(t));
        fill_array(param[i], t, t->rows, source_below(s, 3) ? FILL_UNIFORM : FILL_EXTREMES, s, NULL,
                   NULL);
    }
    return param;
}

/* ---- running ---- */

/* A graph with its parameters, tokens, and what the scalar backend made of them. */
struct scene {
    const struct options *o;
    struct mbi_graph *graph;
    void **param;
    char *in; /* rows of value 0: ids or features */
    size_t in_row;
    uint64_t pos;
    uint32_t number;
    char **want; /* by mbi_ref: TOKENS rows */
    uint8_t *want_state;
};

/* A way to run it. */
struct way {
    const struct mbi_backend *backend;
    const struct mbi_host *host;
    size_t lanes;
    bool keep, all_outputs, two_streams;
};

struct machine {
    struct mbi_program *program;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct mbi_memory *memory[2];
};

static void machine_close(struct machine *m, const struct mbi_backend *backend)
{
    backend->memory_free(m->memory[0]);
    backend->memory_free(m->memory[1]);
    backend->image_free(m->image);
    backend->weights_free(m->weights);
    mbi_program_free(m->program);
}

static int32_t machine_open(struct machine *m, const struct scene *c, const struct way *w,
                            mambaint_error *err)
{
    const struct mbi_backend *b = w->backend;
    const size_t lanes = w->two_streams ? 2 * w->lanes : w->lanes;
    const size_t out_lanes = w->all_outputs ? lanes : 2;
    int32_t rc;

    if ((rc = mbi_program_create(&m->program, w->host, c->graph, lanes, out_lanes, w->keep, err)) <
            0 ||
        (rc = b->weights_new(&m->weights, w->host, c->graph, (const void *const *)c->param, err)) <
            0 ||
        (rc = b->image_new(&m->image, m->program, m->weights, err)) < 0 ||
        (rc = b->memory_new(&m->memory[0], m->program, err)) < 0 ||
        (rc = b->memory_new(&m->memory[1], m->program, err)) < 0)
        return rc;
    return MAMBAINT_OK;
}

static size_t complain(const struct scene *c, const struct way *w, mbi_ref node, size_t token,
                       const char *what)
{
    const struct mbi_graph *g = c->graph;
    const char *op =
        node < g->n_nodes && g->node[node].op ? mbi_op_table[g->node[node].op].name : "-";

    if (c->o->quiet)
        return 1;
    printf("graph %u, backend %s, %zu lanes, keep %d, all outputs %d, streams %d, threads %d: "
           "node %u (%s), token %zu: %s\n",
           c->number, w->backend->name, w->lanes, w->keep, w->all_outputs, w->two_streams ? 2 : 1,
           w->host == c->o->host ? 1 : 2, node, op, token, what);
    printf("  again: bitexact --graphs %u --seed %llu\n", c->o->graphs,
           (unsigned long long)c->o->seed);
    return 1;
}

/* n rows of a value from row `lane` of the last run against those from `token` on. */
static size_t check_value(const struct scene *c, const struct way *w, struct machine *m,
                          mbi_ref node, size_t lane, size_t token, size_t n)
{
    const size_t row = mbi_type_row_size(&c->graph->node[node].type);
    char *got = need(n, row);
    size_t bad = 0;

    if (w->backend->peek(got, m->image, node, lane, n, NULL) < 0)
        bad = complain(c, w, node, token, "cannot be read");
    for (size_t t = 0; t < n && !bad; t++)
        if (memcmp(got + t * row, c->want[node] + (token + t) * row, row))
            bad = complain(c, w, node, token + t, "differs from the scalar backend token by token");
    free(got);
    return bad;
}

static bool is_output(const struct mbi_graph *g, mbi_ref i)
{
    return i == g->logits || i == g->argmax || i == g->link;
}

/* The tokens [token, token + n) of each stream are through: compare what can be read. */
static size_t check_run(const struct scene *c, const struct way *w, struct machine *m, size_t token,
                        size_t n)
{
    const size_t streams = w->two_streams ? 2 : 1;
    const bool all = w->keep || w->all_outputs;
    size_t bad = 0;

    for (mbi_ref i = 0; i < c->graph->n_nodes && !bad; i++) {
        if (!is_value(c->graph, i) || (!w->keep && !is_output(c->graph, i)))
            continue;
        for (size_t k = 0; k < streams && !bad; k++)
            bad = all ? check_value(c, w, m, i, k * n, token, n)
                      : check_value(c, w, m, i, k, token + n - 1, 1);
    }
    return bad;
}

static void pack_state(uint8_t *packed, struct machine *m, const struct way *w, size_t stream)
{
    void *live = need(m->program->state_size, 1);

    w->backend->memory_read(live, m->memory[stream], NULL);
    mbi_state_pack(packed, m->program, live);
    free(live);
}

static size_t check_state(const struct scene *c, const struct way *w, struct machine *m)
{
    uint8_t *packed = need(m->program->packed_size, 1);
    size_t bad = 0;

    for (size_t k = 0; k < (w->two_streams ? 2 : 1); k++) {
        pack_state(packed, m, w, k);
        if (memcmp(packed, c->want_state, m->program->packed_size))
            bad += complain(c, w, MBI_NONE, TOKENS, "the end state differs");
    }
    free(packed);
    return bad;
}

/* Each stream gets the same tokens, in runs of random lengths up to the program's lanes. */
static size_t run_way(const struct scene *c, const struct way *w, struct source *s)
{
    struct machine m = {.program = NULL};
    mambaint_error err = {0};
    size_t bad = 0;

    if (machine_open(&m, c, w, &err) < 0)
        bad = complain(c, w, MBI_NONE, 0, err.message);
    for (size_t token = 0, n; token < TOKENS && !bad; token += n) {
        n = mbi_min_size(TOKENS - token, w->lanes - (size_t)source_below(s, (w->lanes + 3) / 4));
        const char *in = c->in + token * c->in_row;
        const struct mbi_run run[2] = {{m.memory[0], c->pos + token, in, n},
                                       {m.memory[1], c->pos + token, in, n}};
        const struct mbi_batch batch = {run, w->two_streams ? 2 : 1, w->all_outputs};

        if (w->backend->run(m.image, &batch, &err) < 0)
            bad = complain(c, w, MBI_NONE, token, err.message);
        else
            bad = check_run(c, w, &m, token, n);
    }
    if (!bad)
        bad = check_state(c, w, &m);
    machine_close(&m, w->backend);
    return bad;
}

/* Token by token on the scalar backend. */
static size_t run_reference(struct scene *c)
{
    const struct way w = {&mbi_backend_scalar, c->o->host, 1, true, true, false};
    struct machine m = {.program = NULL};
    mambaint_error err = {0};
    int32_t rc = machine_open(&m, c, &w, &err);

    for (size_t t = 0; t < TOKENS && rc >= 0; t++) {
        const struct mbi_run run = {m.memory[0], c->pos + t, c->in + t * c->in_row, 1};
        const struct mbi_batch batch = {&run, 1, true};

        if ((rc = w.backend->run(m.image, &batch, &err)) < 0)
            break;
        for (mbi_ref i = 0; i < c->graph->n_nodes; i++)
            if (is_value(c->graph, i))
                w.backend->peek(c->want[i] + t * mbi_type_row_size(&c->graph->node[i].type),
                                m.image, i, 0, 1, &err);
    }
    if (rc >= 0) {
        c->want_state = need(m.program->packed_size, 1);
        pack_state(c->want_state, &m, &w, 0);
    }
    machine_close(&m, w.backend);
    return rc < 0 ? complain(c, &w, MBI_NONE, 0, err.message) : 0;
}

static void count_nodes(struct graph_tally *tally, const struct mbi_graph *g)
{
    for (mbi_ref i = 0; i < g->n_nodes; i++)
        tally->node[g->node[i].op]++;
}

static size_t check_ways(const struct scene *c, struct source *s, struct graph_tally *tally)
{
    static const size_t lanes[] = {1, 2, 7, 33, TOKENS};
    size_t bad = 0;

    for (size_t b = 0; mbi_backend_at(b) && !bad; b++) {
        const struct mbi_backend *backend = c->o->planted ? c->o->planted : mbi_backend_at(b);

        if (!backend->probe() || (c->o->backend && strcmp(c->o->backend, backend->name)))
            continue;
        for (size_t i = 0; i < 4 * MBI_COUNT(lanes) && !bad; i++) {
            const struct way w = {.backend = backend,
                                  .host = source_below(s, 2) ? c->o->host : c->o->threaded,
                                  .lanes = lanes[i / 4],
                                  .keep = i % 4 < 2,
                                  .all_outputs = i % 2 == 0,
                                  .two_streams = source_below(s, 2) == 0};
            bad += run_way(c, &w, s);
            *(w.keep ? &tally[b].kept : &tally[b].plain) += 1;
        }
        count_nodes(&tally[b], c->graph);
    }
    return bad;
}

static size_t check_graph(const struct options *o, uint32_t number, struct graph_tally *tally)
{
    struct source s = {o->seed ^ number, (uint64_t)1 << 48};
    struct scene c = {.o = o, .number = number};
    mambaint_error err = {0};
    size_t bad;

    if (!(c.graph = make_random(o, number, &s, &err))) {
        printf("graph %u, seed %llu: %s\n", number, (unsigned long long)o->seed, err.message);
        return 1;
    }
    c.param = make_params(c.graph, &s);
    c.want = need(c.graph->n_nodes, sizeof(*c.want));
    for (mbi_ref i = 0; i < c.graph->n_nodes; i++)
        c.want[i] = need(TOKENS, mbi_type_row_size(&c.graph->node[i].type));
    c.in_row = mbi_type_row_size(&c.graph->node[0].type);
    c.in = need(TOKENS, c.in_row);
    fill_array(c.in, &c.graph->node[0].type, TOKENS, FILL_UNIFORM, &s, NULL, NULL);
    c.pos = source_below(&s, 1000) * 256;
    bad = run_reference(&c);
    if (!bad)
        bad = check_ways(&c, &s, tally);
    for (mbi_ref i = 0; i < c.graph->n_nodes; i++)
        free(c.want[i]);
    for (uint32_t i = 0; i < c.graph->n_params; i++)
        free(c.param[i]);
    free(c.want);
    free(c.want_state);
    free(c.param);
    free(c.in);
    mbi_graph_free(c.graph);
    return bad;
}

size_t check_graphs(const struct options *o, struct graph_tally *tally)
{
    size_t bad = 0;

    for (uint32_t i = 0; i < o->graphs && !(bad && o->quiet); i++)
        bad += check_graph(o, i, tally);
    return bad;
}

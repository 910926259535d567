/* SPDX-License-Identifier: Apache-2.0 */
/* lib/exec and the CPU driver: programs, lanes, streams, and states as bytes. */
#include "base/intmath.h"
#include "cpu/cpu.h"
#include "op/op_list.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 20, WIDTH = 8, HEADS = 2, DIM = 2, N = 4, CHUNK = 8, TOKENS = 45 };

/* ---- a graph with every kind of memory, a body and a tail ---- */

static mbi_ref param(struct mbi_build *b, const char *name, struct mbi_type type)
{
    struct mbi_param p = {.type = type, .is_vector = type.rows == 1};

    snprintf(p.name, sizeof(p.name), "%s", name);
    return mbi_build_param(b, &p);
}

static mbi_ref node(struct mbi_build *b, uint32_t op, const void *attr, mbi_ref in0, mbi_ref in1,
                    mbi_ref in2, mbi_ref in3)
{
    const mbi_ref in[MBI_MAX_IN] = {in0, in1, in2, in3};

    return mbi_build_node(b, op, "test", in, attr);
}

static mbi_ref one(struct mbi_build *b, uint32_t op, const void *attr, mbi_ref x)
{
    return node(b, op, attr, x, MBI_NONE, MBI_NONE, MBI_NONE);
}

static mbi_ref requant(struct mbi_build *b, mbi_ref x, int32_t shift, int32_t top, int32_t frac)
{
    const struct mbi_requant_attr at = {shift, -top - 1, top, frac};

    return one(b, MBI_OP_requant, &at, x);
}

static mbi_ref slice(struct mbi_build *b, mbi_ref x, int32_t offset, int32_t count)
{
    const struct mbi_slice_attr at = {offset, count};

    return one(b, MBI_OP_slice, &at, x);
}

/* u: what the convolution makes of the token's row, i8 Q5. */
static mbi_ref convolved(struct mbi_build *b, mbi_ref token)
{
    const struct mbi_gate_attr hard = {MBI_GATE_HARD};
    const mbi_ref table = param(b, "table", (struct mbi_type){MBI_I8, 5, VOCAB, 16, -127, 127});
    const mbi_ref taps = param(b, "taps", (struct mbi_type){MBI_I8, 0, 16, 4, -127, 127});
    const mbi_ref e = param(b, "e", (struct mbi_type){MBI_I8, 0, 1, 16, -8, 10});
    const mbi_ref bias = param(b, "bias", (struct mbi_type){MBI_I16, 8, 1, 16, -32768, 32767});
    mbi_ref x = node(b, MBI_OP_embed, NULL, token, table, MBI_NONE, MBI_NONE);

    x = node(b, MBI_OP_conv, NULL, requant(b, x, -3, 32767, 8), taps, e, bias);
    return requant(b, one(b, MBI_OP_gate, &hard, x), 18, 127, 5);
}

/* Columns of u: 0-3 x, 4-11 B and C, 12-13 decay, 14 turn. */
static mbi_ref recurrent(struct mbi_build *b, mbi_ref u)
{
    const struct mbi_decay_attr decay = {1};
    const struct mbi_rotate_attr pairs = {1};
    const struct mbi_scan_attr scan = {CHUNK, HEADS, DIM, N, 1};
    const mbi_ref dt_bias = param(b, "dt", (struct mbi_type){MBI_I16, 8, 1, HEADS, -32768, 32767});
    const mbi_ref l = node(b, MBI_OP_decay, &decay, requant(b, slice(b, u, 12, 2), -4, 32767, 8),
                           dt_bias, MBI_NONE, MBI_NONE);
    const mbi_ref phi = one(b, MBI_OP_turn, NULL, requant(b, slice(b, u, 14, 1), -2, 32767, 8));
    const mbi_ref bc = node(b, MBI_OP_rotate, &pairs, slice(b, u, 4, 8), phi, MBI_NONE, MBI_NONE);

    return node(b, MBI_OP_scan, &scan, slice(b, u, 0, 4), bc, l, MBI_NONE);
}

static int32_t make_graph(struct mbi_graph **out, const struct mbi_host *host, mambaint_error *err)
{
    const struct mbi_norm_attr norm = {1, 5, 8};
    struct mbi_build b;
    mbi_ref token, u, y, head, logits;
    int32_t rc;

    if ((rc = mbi_graph_create(out, host, err)) < 0)
        return rc;
    mbi_build_begin(&b, *out, err);
    token = mbi_build_token(&b, VOCAB);
    u = convolved(&b, token);
    y = node(&b, MBI_OP_concat, NULL, requant(&b, recurrent(&b, u), 9, 127, 5), slice(&b, u, 0, 4),
             MBI_NONE, MBI_NONE);
    y = one(&b, MBI_OP_norm_rms, &norm, y);
    head = param(&b, "head", (struct mbi_type){MBI_I8, 0, VOCAB, WIDTH, -127, 127});
    logits = requant(&b, node(&b, MBI_OP_matvec, NULL, y, head, MBI_NONE, MBI_NONE), 2, 32767, 12);
    if ((rc = mbi_build_end(&b, logits, one(&b, MBI_OP_argmax, NULL, logits))) < 0) {
        mbi_graph_free(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- a world: graph, parameters, tokens ---- */

struct world {
    struct mbi_host host;
    struct mbi_graph *graph;
    void *param[8];
    int32_t ids[TOKENS];
};

static void fill(void *array, const struct mbi_type *t, struct test_random *r)
{
    for (size_t i = 0; i < (size_t)t->rows * t->cols; i++) {
        const int64_t v = test_random_between(r, mbi_max_i64(t->lo, -900), mbi_min_i64(t->hi, 900));

        if (t->dtype == MBI_I8)
            ((int8_t *)array)[i] = (int8_t)v;
        else
            ((int16_t *)array)[i] = (int16_t)v;
    }
}

static void world_open(struct world *w, const char *name)
{
    mambaint_error err = {0};
    struct test_random r;

    test_random_init(&r, name);
    mbi_host_default(&w->host);
    ck_assert_msg(make_graph(&w->graph, &w->host, &err) == MAMBAINT_OK, "%s", err.message);
    ck_assert_uint_le(w->graph->n_params, MBI_COUNT(w->param));
    for (uint32_t i = 0; i < w->graph->n_params; i++) {
        const struct mbi_type *t = &w->graph->param[i].type;

        ck_assert_ptr_nonnull(w->param[i] = calloc(t->rows, mbi_type_row_size(t)));
        fill(w->param[i], t, &r);
    }
    for (size_t i = 0; i < TOKENS; i++)
        w->ids[i] = (int32_t)test_random_below(&r, VOCAB);
}

static void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->graph->n_params; i++)
        free(w->param[i]);
    mbi_graph_free(w->graph);
}

/* A program on the scalar backend with two streams. */
struct machine {
    const struct mbi_backend *backend;
    struct mbi_program *program;
    struct mbi_weights *weights;
    struct mbi_image *image;
    struct mbi_memory *memory[2];
};

static void machine_close(struct machine *m)
{
    m->backend->memory_free(m->memory[0]);
    m->backend->memory_free(m->memory[1]);
    m->backend->image_free(m->image);
    m->backend->weights_free(m->weights);
    mbi_program_free(m->program);
}

static int32_t machine_try(struct machine *m, const struct world *w, const struct mbi_host *host,
                           size_t lanes, size_t out_lanes, bool keep, mambaint_error *err)
{
    int32_t rc;

    *m = (struct machine){.backend = &mbi_backend_scalar};
    if ((rc = mbi_program_create(&m->program, host, w->graph, lanes, out_lanes, keep, err)) < 0 ||
        (rc = m->backend->weights_new(&m->weights, host, w->graph, (const void *const *)w->param,
                                      err)) < 0 ||
        (rc = m->backend->image_new(&m->image, m->program, m->weights, err)) < 0 ||
        (rc = m->backend->memory_new(&m->memory[0], m->program, err)) < 0)
        return rc;
    return m->backend->memory_new(&m->memory[1], m->program, err);
}

static void machine_open(struct machine *m, const struct world *w, size_t lanes, size_t out_lanes,
                         bool keep)
{
    ck_assert_int_eq(machine_try(m, w, &w->host, lanes, out_lanes, keep, NULL), MAMBAINT_OK);
}

static void run_tokens(struct machine *m, const struct world *w, size_t from, size_t n, bool all)
{
    const struct mbi_run run = {m->memory[0], from, w->ids + from, n};
    const struct mbi_batch batch = {&run, 1, all};

    ck_assert_int_eq(m->backend->run(m->image, &batch, NULL), MAMBAINT_OK);
}

static void peek(void *out, struct machine *m, mbi_ref value, size_t lane, size_t n)
{
    ck_assert_int_eq(m->backend->peek(out, m->image, value, lane, n, NULL), MAMBAINT_OK);
}

static void packed_state(uint8_t *packed, struct machine *m, size_t stream)
{
    void *live = malloc(m->program->state_size);

    ck_assert_ptr_nonnull(live);
    ck_assert_int_eq(m->backend->memory_read(live, m->memory[stream], NULL), MAMBAINT_OK);
    mbi_state_pack(packed, m->program, live);
    free(live);
}

/* ---- lanes ---- */

/* Logits of the last token alone are those of all tokens, at every length of a run. */
START_TEST(last_lane_equals_all_lanes)
{
    int16_t all[TOKENS * VOCAB], last[VOCAB];
    int32_t best[TOKENS], one_best;
    struct machine whole, tail;
    struct world w;

    world_open(&w, "last lane");
    machine_open(&whole, &w, TOKENS, TOKENS, false);
    run_tokens(&whole, &w, 0, TOKENS, true);
    peek(all, &whole, w.graph->logits, 0, TOKENS);
    peek(best, &whole, w.graph->argmax, 0, TOKENS);
    for (size_t n = 1; n <= TOKENS; n++) {
        machine_open(&tail, &w, n, 1, false);
        run_tokens(&tail, &w, 0, n, false);
        peek(last, &tail, w.graph->logits, 0, 1);
        peek(&one_best, &tail, w.graph->argmax, 0, 1);
        test_same_bytes(last, all + (n - 1) * VOCAB, sizeof(last));
        ck_assert_int_eq(one_best, best[n - 1]);
        machine_close(&tail);
    }
    machine_close(&whole);
    world_close(&w);
}
END_TEST

/* The graph has both parts, and something crosses from one to the other. */
START_TEST(body_and_tail_are_found)
{
    bool crossing = false;
    struct machine m;
    struct world w;

    world_open(&w, "body and tail");
    machine_open(&m, &w, 4, 1, false);
    ck_assert_uint_gt(m.program->n_body, 0);
    ck_assert_uint_lt(m.program->n_body, m.program->n_order);
    for (mbi_ref i = 0; i < w.graph->n_nodes; i++)
        crossing |= m.program->value[i].crosses;
    ck_assert(crossing);
    ck_assert(m.program->value[w.graph->logits].in_tail);
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* Shared buffers change nothing; keeping makes every value readable and costs memory. */
START_TEST(keep_changes_no_value)
{
    int16_t kept[TOKENS * VOCAB], shared[TOKENS * VOCAB];
    struct machine a, b;
    struct world w;

    world_open(&w, "keep");
    machine_open(&a, &w, TOKENS, 1, true);
    machine_open(&b, &w, TOKENS, TOKENS, false);
    ck_assert_uint_eq(a.program->out_lanes, TOKENS);
    ck_assert_uint_gt(a.program->scratch_size, b.program->scratch_size);
    run_tokens(&a, &w, 0, TOKENS, true);
    run_tokens(&b, &w, 0, TOKENS, true);
    peek(kept, &a, w.graph->logits, 0, TOKENS);
    peek(shared, &b, w.graph->logits, 0, TOKENS);
    test_same_bytes(shared, kept, sizeof(kept));
    machine_close(&a);
    machine_close(&b);
    world_close(&w);
}
END_TEST

/* No two values that live at one step overlap. */
START_TEST(live_values_do_not_overlap)
{
    struct machine m;
    struct world w;

    world_open(&w, "overlap");
    machine_open(&m, &w, 9, 3, true);
    for (mbi_ref i = 0; i < w.graph->n_nodes; i++)
        for (mbi_ref k = 0; k < i; k++) {
            const struct mbi_value_plan *a = &m.program->value[i], *b = &m.program->value[k];

            if (a->row_size && b->row_size)
                ck_assert(a->offset + 9 * a->row_size <= b->offset ||
                          b->offset + 9 * b->row_size <= a->offset);
        }
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* Value i, read by the node at step s, is where a node done together with that one could write. */
static bool overwritten_early(const struct mbi_program *p, uint32_t s, mbi_ref i)
{
    const struct mbi_value_plan *a = &p->value[i];

    for (uint32_t k = s; k < p->n_order && k < s + MBI_FUSE_MAX; k++) {
        const struct mbi_value_plan *b = &p->value[p->order[k]];

        if (a->offset < b->offset + p->lanes * b->row_size &&
            b->offset < a->offset + p->lanes * a->row_size)
            return true;
    }
    return false;
}

/* A backend may do MBI_FUSE_MAX neighbours at once: what they read stays until the last is
 * written. */
START_TEST(fused_nodes_do_not_overwrite_what_they_read)
{
    struct machine m;
    struct world w;

    world_open(&w, "fused");
    machine_open(&m, &w, 9, 9, false);
    for (uint32_t s = 0; s < m.program->n_order; s++) {
        const struct mbi_node *node = &w.graph->node[m.program->order[s]];

        for (size_t k = 0; k < mbi_op_table[node->op].n_in; k++)
            if (!mbi_node_is_param(&w.graph->node[node->in[k]]))
                ck_assert_msg(!overwritten_early(m.program, s, node->in[k]),
                              "step %u overwrites value %u", s, node->in[k]);
    }
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* Two streams in one batch are what each is alone. */
START_TEST(streams_do_not_meet)
{
    enum { FIRST = 13, SECOND = 6 };
    int16_t alone[2][VOCAB], together[2][VOCAB];
    uint8_t *state[2][2];
    struct machine m;
    struct world w;

    world_open(&w, "streams");
    machine_open(&m, &w, FIRST + SECOND, 2, false);
    for (size_t i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(state[i / 2][i % 2] = malloc(m.program->packed_size));
    for (size_t i = 0; i < 2; i++) {
        const struct mbi_run run = {m.memory[i], 0, w.ids + i, i ? SECOND : FIRST};
        const struct mbi_batch batch = {&run, 1, false};

        ck_assert_int_eq(m.backend->run(m.image, &batch, NULL), MAMBAINT_OK);
        peek(alone[i], &m, w.graph->logits, 0, 1);
        packed_state(state[0][i], &m, i);
    }
    machine_close(&m);
    machine_open(&m, &w, FIRST + SECOND, 2, false);
    {
        const struct mbi_run run[2] = {{m.memory[0], 0, w.ids, FIRST},
                                       {m.memory[1], 0, w.ids + 1, SECOND}};
        const struct mbi_batch batch = {run, 2, false};

        ck_assert_int_eq(m.backend->run(m.image, &batch, NULL), MAMBAINT_OK);
    }
    peek(together, &m, w.graph->logits, 0, 2);
    test_same_bytes(together, alone, sizeof(alone));
    for (size_t i = 0; i < 2; i++) {
        packed_state(state[1][i], &m, i);
        test_same_bytes(state[1][i], state[0][i], m.program->packed_size);
    }
    machine_close(&m);
    for (size_t i = 0; i < 4; i++)
        free(state[i / 2][i % 2]);
    world_close(&w);
}
END_TEST

START_TEST(too_many_lanes_are_refused)
{
    struct machine m;
    struct world w;
    mambaint_error err = {0};

    world_open(&w, "lanes");
    machine_open(&m, &w, 4, 2, false);
    {
        const struct mbi_run five = {m.memory[0], 0, w.ids, 5};
        const struct mbi_run three = {m.memory[0], 0, w.ids, 3};

        ck_assert_int_eq(m.backend->run(m.image, &(struct mbi_batch){&five, 1, false}, &err),
                         MAMBAINT_E_INTERNAL);
        ck_assert_int_eq(m.backend->run(m.image, &(struct mbi_batch){&three, 1, true}, &err),
                         MAMBAINT_E_INTERNAL);
    }
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* ---- states ---- */

/* Bytes of one field inside a packed state. */
static uint8_t *field_bytes(uint8_t *packed, const struct mbi_program *p, const char *name,
                            const struct mbi_state_field **field)
{
    for (size_t i = 0; i < p->n_parts; i++) {
        if (!strcmp(p->part[i].field.name, name)) {
            *field = &p->part[i].field;
            return packed;
        }
        packed += p->part[i].field.count * mbi_dtype_size(p->part[i].field.dtype);
    }
    ck_abort_msg("no state field '%s'", name);
}

/* A state taken out and put into other memory goes on as if nothing had happened. */
START_TEST(state_round_trip)
{
    enum { CUT = 21 };
    int16_t want[VOCAB], got[VOCAB];
    struct machine m;
    struct world w;
    uint8_t *packed, *again;
    void *live;

    world_open(&w, "round trip");
    machine_open(&m, &w, TOKENS, 1, false);
    packed = malloc(m.program->packed_size);
    again = malloc(m.program->packed_size);
    live = malloc(m.program->state_size);
    ck_assert(packed && again && live);
    run_tokens(&m, &w, 0, CUT, false);
    packed_state(packed, &m, 0);
    run_tokens(&m, &w, CUT, TOKENS - CUT, false);
    peek(want, &m, w.graph->logits, 0, 1);

    memset(live, 0xA5, m.program->state_size);
    ck_assert_int_eq(mbi_state_unpack(live, m.program, packed, CUT, NULL), MAMBAINT_OK);
    mbi_state_pack(again, m.program, live);
    test_same_bytes(again, packed, m.program->packed_size);
    ck_assert_int_eq(m.backend->memory_write(m.memory[1], live, NULL), MAMBAINT_OK);
    ck_assert_int_eq(m.backend->memory_copy(m.memory[0], m.memory[1], NULL), MAMBAINT_OK);
    run_tokens(&m, &w, CUT, TOKENS - CUT, false);
    peek(got, &m, w.graph->logits, 0, 1);
    test_same_bytes(got, want, sizeof(want));
    free(packed);
    free(again);
    free(live);
    machine_close(&m);
    world_close(&w);
}
END_TEST

static void set32(uint8_t *bytes, int64_t v)
{
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (uint8_t)((uint64_t)v >> (8 * i));
}

static void expect_refused(struct machine *m, const uint8_t *packed, uint64_t pos)
{
    void *live = malloc(m->program->state_size);
    mambaint_error err = {0};

    ck_assert_ptr_nonnull(live);
    ck_assert_int_eq(mbi_state_unpack(live, m->program, packed, pos, &err), MAMBAINT_E_FORMAT);
    ck_assert(strstr(err.message, "state") != NULL);
    free(live);
}

/* What the kernels' bounds rest on: |h| < 18, decays that exist, inputs no larger than their decay
 * allows, empty slots. The position decides which slots are in use. */
START_TEST(states_that_cannot_be_are_refused)
{
    enum { POS = 3 };
    const struct mbi_state_field *f = NULL;
    struct machine m;
    struct world w;
    uint8_t *good, *bad, *at;

    world_open(&w, "bad states");
    machine_open(&m, &w, TOKENS, 1, false);
    good = malloc(m.program->packed_size);
    bad = malloc(m.program->packed_size);
    ck_assert(good && bad);
    run_tokens(&m, &w, 0, CHUNK + POS, false);
    packed_state(good, &m, 0);

#define DAMAGE(name)                                                                               \
    (memcpy(bad, good, m.program->packed_size), at = field_bytes(bad, m.program, name, &f))
    DAMAGE("h");
    set32(at, f->hi + 1);
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("h");
    set32(at + 4, INT32_MIN);
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.L"); /* falls from one row to the next */
    set32(at, 1 << 19);
    set32(at + 4 * HEADS, 32);
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.L"); /* more than a token's decay can be */
    set32(at, (1 << 19) + 1);
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.xw"); /* 32767 needs a decay above 8 */
    at[0] = 0xFF, at[1] = 0x7F;
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.B"); /* a slot that no token has filled */
    at[POS * N] = 1;
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.xw");
    at[2 * POS * HEADS * DIM + 1] = 1;
    expect_refused(&m, bad, CHUNK + POS);
    DAMAGE("slots.L");
    set32(at + 4 * POS * HEADS, 32);
    expect_refused(&m, bad, CHUNK + POS);
#undef DAMAGE
    expect_refused(&m, good, CHUNK); /* the same bytes at a chunk's start */

    free(good);
    free(bad);
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* Noise is refused or is a state; never anything else. */
START_TEST(noise_is_no_crash)
{
    struct machine m;
    struct world w;
    struct test_random r;
    uint8_t *noise;
    void *live;

    world_open(&w, "noise");
    test_random_init(&r, "noise bytes");
    machine_open(&m, &w, TOKENS, 1, false);
    noise = malloc(m.program->packed_size);
    live = malloc(m.program->state_size);
    ck_assert(noise && live);
    for (int i = 0; i < 2000; i++) {
        int32_t rc;

        test_random_bytes(&r, noise, m.program->packed_size);
        for (size_t k = 0; i % 2 && k < m.program->packed_size; k++)
            noise[k] = test_random_below(&r, 50) ? 0 : noise[k];
        rc = mbi_state_unpack(live, m.program, noise, test_random_u64(&r), NULL);
        ck_assert(rc == MAMBAINT_OK || rc == MAMBAINT_E_FORMAT);
    }
    free(noise);
    free(live);
    machine_close(&m);
    world_close(&w);
}
END_TEST

/* ---- refusals ---- */

static int32_t build_and_run(const struct mbi_host *host, void *arg)
{
    const struct world *w = arg;
    struct mbi_graph *graph = NULL;
    struct machine m;
    int32_t rc = make_graph(&graph, host, NULL);

    mbi_graph_free(graph);
    if (rc < 0)
        return rc;
    rc = machine_try(&m, w, host, 7, 2, false, NULL);
    if (rc == MAMBAINT_OK) {
        const struct mbi_run run = {m.memory[0], 0, w->ids, 7};

        rc = m.backend->run(m.image, &(struct mbi_batch){&run, 1, false}, NULL);
    }
    machine_close(&m);
    return rc;
}

START_TEST(refused_memory_leaves_nothing)
{
    struct world w;

    world_open(&w, "refused memory");
    ck_assert_uint_gt(test_refuse_each(build_and_run, &w), 5);
    world_close(&w);
}
END_TEST

/* Lanes that no machine has memory for. */
START_TEST(absurd_lanes_are_an_error)
{
    struct mbi_program *p = NULL;
    mambaint_error err = {0};
    struct world w;

    world_open(&w, "absurd lanes");
    ck_assert_int_eq(mbi_program_create(&p, &w.host, w.graph, SIZE_MAX / 2, 1, false, &err),
                     MAMBAINT_E_NO_MEMORY);
    ck_assert_ptr_null(p);
    world_close(&w);
}
END_TEST

START_TEST(backends_are_found_by_name)
{
    const struct mbi_backend *b = NULL;
    mambaint_error err = {0};

    ck_assert_int_eq(mbi_backend_find(&b, "scalar", &err), MAMBAINT_OK);
    ck_assert_ptr_eq(b, &mbi_backend_scalar);
    ck_assert_int_eq(mbi_backend_find(&b, NULL, &err), MAMBAINT_OK);
    ck_assert_ptr_nonnull(b);
    for (size_t i = 0; mbi_backend_at(i); i++)
        ck_assert_int_le(mbi_backend_at(i)->probe(), b->probe());
    ck_assert_int_eq(mbi_backend_find(&b, "abacus", &err), MAMBAINT_E_NO_BACKEND);
    ck_assert_ptr_null(b);
    ck_assert(strstr(err.message, "backend") != NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exec");
    TCase *t = tcase_create("exec");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, last_lane_equals_all_lanes);
    tcase_add_test(t, body_and_tail_are_found);
    tcase_add_test(t, keep_changes_no_value);
    tcase_add_test(t, live_values_do_not_overlap);
    tcase_add_test(t, fused_nodes_do_not_overwrite_what_they_read);
    tcase_add_test(t, streams_do_not_meet);
    tcase_add_test(t, too_many_lanes_are_refused);
    tcase_add_test(t, state_round_trip);
    tcase_add_test(t, states_that_cannot_be_are_refused);
    tcase_add_test(t, noise_is_no_crash);
    tcase_add_test(t, refused_memory_leaves_nothing);
    tcase_add_test(t, absurd_lanes_are_an_error);
    tcase_add_test(t, backends_are_found_by_name);
    suite_add_tcase(s, t);
    return test_main(s);
}

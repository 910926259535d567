/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States. Saved form, little endian, of one size for a model (docs/container.md, "States"):
 *   magic "MBISTATE", version u32 = 1, zero u32, model digest [32], tokenizer digest [32],
 *   size of the graph part u64, size of the session part u64, graph part, session part,
 *   digest [32] of all bytes before it, which is the digest of the state.
 * Graph part: the memory of each node in node order, fields in their order, without gaps.
 * Session part: position u64, phase u32, ended u32, kept u32, n_held u32, held [MBI_HELD_MAX] with
 *   zeros behind n_held, history [256] i32 from the oldest on with zeros behind it, logits [V] i32.
 */
#include "api/state.h"
#include "api/receipt.h"
#include "base/intmath.h"

#define MAGIC "MBISTATE"
#define VERSION 1
#define HEAD (8 + 4 + 4 + 2 * MBI_DIGEST_SIZE + 8 + 8)
#define POSITION_MAX ((uint64_t)1 << 62)

struct mambaint_state {
    mambaint_context *ctx;
    size_t size;
    uint8_t *bytes; /* the saved form */
};

/* ---- the shape of a saved state ---- */

struct shape {
    size_t graph, session, total;
};

/* A vocabulary has at most 2^17 tokens, so nothing overflows. */
static struct shape shape_of(const mambaint_model *m)
{
    const size_t vocab = mbi_tokenizer_vocab(m->model->tokenizer);
    struct shape s;

    s.graph = m->layout->packed_size;
    s.session = 8 + 4 * 4 + MBI_HELD_MAX + 4 * MBI_HISTORY + 4 * vocab;
    s.total = HEAD + s.graph + s.session + MBI_DIGEST_SIZE;
    return s;
}

size_t mbi_state_saved_size(const mambaint_model *m)
{
    return m->model->tokenizer ? shape_of(m).total : 0;
}

bool mbi_state_is(const uint8_t *data, size_t size) { return size >= 8 && !memcmp(data, MAGIC, 8); }

/* Where the parts lie once the head was checked. */
struct parts {
    const uint8_t *model, *tokenizer;
    struct mbi_reader graph, session;
};

static int32_t read_parts(struct parts *p, const uint8_t *data, size_t size, mambaint_error *err)
{
    struct mbi_reader r = {.data = data, .size = size};
    uint32_t version, zero;
    uint64_t graph, session;

    if (!mbi_state_is(data, size))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "state: these bytes are no saved state");
    mbi_read_bytes(&r, 8);
    version = mbi_read32(&r);
    if (!r.failed && version != VERSION)
        return mbi_fail(err, MAMBAINT_E_VERSION, "state: version %u; this library reads version %d",
                        version, VERSION);
    zero = mbi_read32(&r);
    p->model = mbi_read_bytes(&r, MBI_DIGEST_SIZE);
    p->tokenizer = mbi_read_bytes(&r, MBI_DIGEST_SIZE);
    graph = mbi_read64(&r);
    session = mbi_read64(&r);
    if (r.failed || zero || mbi_read_left(&r) < MBI_DIGEST_SIZE ||
        graph > mbi_read_left(&r) - MBI_DIGEST_SIZE ||
        session != mbi_read_left(&r) - MBI_DIGEST_SIZE - graph)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "state: %zu bytes are not what its head announces; it was cut or damaged",
                        size);
    p->graph =
        (struct mbi_reader){.data = mbi_read_bytes(&r, (size_t)graph), .size = (size_t)graph};
    p->session =
        (struct mbi_reader){.data = mbi_read_bytes(&r, (size_t)session), .size = (size_t)session};
    return MAMBAINT_OK;
}

int32_t mbi_state_check(const uint8_t *data, size_t size, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    struct parts p;
    const int32_t rc = read_parts(&p, data, size, err);

    if (rc < 0)
        return rc;
    mbi_blake2b(digest, data, size - MBI_DIGEST_SIZE);
    if (memcmp(digest, data + size - MBI_DIGEST_SIZE, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "state: the digest does not match: it was damaged or changed");
    return MAMBAINT_OK;
}

/* ---- writing ---- */

static uint8_t *put32(uint8_t *at, uint32_t v)
{
    mbi_store32(at, v);
    return at + 4;
}

static uint8_t *put64(uint8_t *at, uint64_t v)
{
    mbi_store64(at, v);
    return at + 8;
}

static uint8_t *put(uint8_t *at, const void *data, size_t n)
{
    memcpy(at, data, n);
    return at + n;
}

static size_t history_size(uint64_t position)
{
    return position < MBI_HISTORY ? (size_t)position : MBI_HISTORY;
}

static void write_session(uint8_t *at, const mambaint_session *s)
{
    const struct mbi_talk *talk = s->talk;
    const size_t n = history_size(talk->position);

    at = put64(at, talk->position);
    at = put32(at, talk->phase);
    at = put32(at, talk->ended);
    at = put32(at, talk->kept);
    at = put32(at, talk->n_held);
    at = put(at, talk->held, MBI_HELD_MAX);
    for (size_t i = 0; i < MBI_HISTORY; i++)
        at = put32(at, i < n ? (uint32_t)talk->history[(talk->position - n + i) % MBI_HISTORY] : 0);
    if (talk->position)
        mbi_copy_le(at, s->logits, s->vocab, sizeof(*s->logits));
    else
        memset(at, 0, s->vocab * sizeof(*s->logits));
}

static int32_t write_state(struct mambaint_state *st, mambaint_session *s, void *live,
                           mambaint_error *err)
{
    const struct shape shape = shape_of(s->model);
    uint8_t model[MBI_DIGEST_SIZE], tokenizer[MBI_DIGEST_SIZE], *at = st->bytes;
    int32_t rc;

    if ((rc = mbi_model_locked_digest(model, s->model, err)) < 0 ||
        (rc = mbi_ahead_settle(s, err)) < 0 || (rc = mbi_ahead_logits(s, err)) < 0 ||
        (rc = s->set.backend->memory_read(live, s->memory, err)) < 0)
        return rc;
    mbi_tokenizer_digest(tokenizer, s->tokenizer);
    at = put(at, MAGIC, 8);
    at = put32(at, VERSION);
    at = put32(at, 0);
    at = put(at, model, sizeof(model));
    at = put(at, tokenizer, sizeof(tokenizer));
    at = put64(at, shape.graph);
    at = put64(at, shape.session);
    mbi_state_pack(at, s->program, live);
    write_session(at + shape.graph, s);
    at += shape.graph + shape.session;
    mbi_blake2b(at, st->bytes, (size_t)(at - st->bytes));
    return MAMBAINT_OK;
}

static int32_t create(mambaint_state **out, mambaint_context *ctx, size_t size, mambaint_error *err)
{
    mambaint_state *st = mbi_alloc(&ctx->host, 1, sizeof(*st));

    if (!st)
        return mbi_fail_memory(err, "a state");
    st->ctx = ctx;
    mambaint_context_ref(ctx);
    st->size = size;
    if (!(st->bytes = mbi_alloc(&ctx->host, size, 1))) {
        mambaint_state_free(st);
        return mbi_fail_memory(err, "a state");
    }
    *out = st;
    return MAMBAINT_OK;
}

int32_t mambaint_state_get(mambaint_state **out, mambaint_session *session, mambaint_error *err)
{
    mambaint_state *st = NULL;
    void *live;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !session)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and session must not be NULL");
    if ((rc = create(&st, session->model->ctx, shape_of(session->model).total, err)) < 0)
        return rc;
    live = mbi_alloc_aligned(session->host, session->program->state_size);
    rc = live ? write_state(st, session, live, err) : mbi_fail_memory(err, "a state");
    mbi_free_aligned(session->host, live);
    if (rc < 0) {
        mambaint_state_free(st);
        return rc;
    }
    *out = st;
    return MAMBAINT_OK;
}

/* ---- reading ---- */

static bool all_zero(const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* What the code that uses a talk relies on. A fresh one holds nothing at all. */
static bool talk_valid(const struct mbi_talk *t, const struct mbi_tokenizer *tokenizer)
{
    const bool turns = mbi_tokenizer_role(tokenizer, MBI_ROLE_ASSISTANT) >= 0 &&
                       mbi_tokenizer_role(tokenizer, MBI_ROLE_END) >= 0;

    return t->position < POSITION_MAX && t->phase < MBI_PHASE_END && t->ended < MBI_ENDED_END &&
           t->kept <= 1 && t->n_held <= MBI_HELD_MAX - MBI_MAX_TOKEN_BYTES * !t->kept &&
           all_zero(t->held + t->n_held, MBI_HELD_MAX - t->n_held) &&
           (t->phase == MBI_PHASE_FRESH) == !t->position && (turns || t->phase < MBI_PHASE_ASKED) &&
           (t->position || (!t->ended && !t->kept && !t->n_held));
}

static int32_t refuse_session_part(mambaint_error *err)
{
    return mbi_fail(err, MAMBAINT_E_FORMAT, "state: its session part holds an impossible value");
}

static int32_t read_history(struct mbi_talk *talk, struct mbi_reader *r, size_t vocab,
                            mambaint_error *err)
{
    const size_t n = history_size(talk->position);

    for (size_t i = 0; i < MBI_HISTORY; i++) {
        const uint32_t id = mbi_read32(r);

        if (id >= vocab || (i >= n && id))
            return refuse_session_part(err);
        if (i < n)
            talk->history[(talk->position - n + i) % MBI_HISTORY] = (int32_t)id;
    }
    return MAMBAINT_OK;
}

/* The session part; the reader has exactly the bytes that the model asks for. */
static int32_t read_session(struct mbi_talk *talk, int32_t *logits, struct mbi_reader r,
                            const mambaint_model *m, mambaint_error *err)
{
    const struct mbi_graph *graph = m->model->graph;
    const struct mbi_type *type = &graph->node[graph->logits].type;
    int32_t rc;

    memset(talk, 0, sizeof(*talk));
    talk->token = -1;
    talk->position = mbi_read64(&r);
    talk->phase = mbi_read32(&r);
    talk->ended = mbi_read32(&r);
    talk->kept = mbi_read32(&r);
    talk->n_held = mbi_read32(&r);
    if (talk->n_held > MBI_HELD_MAX)
        return refuse_session_part(err);
    memcpy(talk->held, mbi_read_bytes(&r, MBI_HELD_MAX), MBI_HELD_MAX);
    if (!talk_valid(talk, m->model->tokenizer))
        return refuse_session_part(err);
    if ((rc = read_history(talk, &r, type->cols, err)) < 0)
        return rc;
    mbi_copy_le(logits, mbi_read_bytes(&r, 4 * (size_t)type->cols), type->cols, 4);
    for (size_t i = 0; i < type->cols; i++)
        if (logits[i] < type->lo || logits[i] > type->hi || (!talk->position && logits[i]))
            return refuse_session_part(err);
    return MAMBAINT_OK;
}

/* Is this a state of the model? Says which of the two it is bound to differs. */
static int32_t check_binding(const struct parts *p, const mambaint_model *m, mambaint_error *err)
{
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    mbi_tokenizer_digest(digest, m->model->tokenizer);
    if (memcmp(digest, p->tokenizer, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "state: made with another tokenizer");
    if ((rc = mbi_model_locked_digest(digest, m, err)) < 0)
        return rc;
    if (memcmp(digest, p->model, MBI_DIGEST_SIZE) != 0)
        return mbi_fail(err, MAMBAINT_E_MISMATCH, "state: made by another model");
    return MAMBAINT_OK;
}

/* A state taken apart for one model, every value checked. */
struct unpacked {
    struct mbi_talk talk;
    int32_t *logits;
    void *live;
};

static int32_t unpack(struct unpacked *u, const mambaint_model *m, const uint8_t *data, size_t size,
                      mambaint_error *err)
{
    const struct shape shape = shape_of(m);
    struct parts p;
    int32_t rc;

    if ((rc = read_parts(&p, data, size, err)) < 0 || (rc = check_binding(&p, m, err)) < 0)
        return rc;
    if (p.graph.size != shape.graph || p.session.size != shape.session)
        return mbi_fail(err, MAMBAINT_E_FORMAT,
                        "state: its parts have other sizes than the model's");
    if ((rc = read_session(&u->talk, u->logits, p.session, m, err)) < 0)
        return rc;
    if (!u->talk.position && !all_zero(p.graph.data, p.graph.size))
        return refuse_session_part(err);
    return mbi_state_unpack(u->live, m->layout, p.graph.data, u->talk.position, err);
}

static void free_unpacked(struct unpacked *u, const struct mbi_host *host)
{
    if (!u)
        return;
    mbi_free(host, u->logits);
    mbi_free_aligned(host, u->live);
    mbi_free(host, u);
}

static int32_t create_unpacked(struct unpacked **out, const mambaint_model *m, const uint8_t *data,
                               size_t size, mambaint_error *err)
{
    const struct mbi_host *host = &m->ctx->host;
    struct unpacked *u = mbi_alloc(host, 1, sizeof(*u));
    int32_t rc;

    if (u) {
        u->logits = mbi_alloc(host, mbi_tokenizer_vocab(m->model->tokenizer), sizeof(*u->logits));
        u->live = mbi_alloc_aligned(host, m->layout->state_size);
    }
    rc =
        u && u->logits && u->live ? unpack(u, m, data, size, err) : mbi_fail_memory(err, "a state");
    if (rc < 0) {
        free_unpacked(u, host);
        u = NULL;
    }
    *out = u;
    return rc;
}

int32_t mambaint_state_load(mambaint_state **out, const mambaint_model *model, const void *buf,
                            size_t len, mambaint_error *err)
{
    struct unpacked *u;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !model || !buf)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out, model and buf must not be NULL");
    if ((rc = mbi_model_needs_text(model, err)) < 0 || (rc = mbi_state_check(buf, len, err)) < 0 ||
        (rc = create_unpacked(&u, model, buf, len, err)) < 0)
        return rc;
    free_unpacked(u, &model->ctx->host);
    if ((rc = create(out, model->ctx, len, err)) >= 0)
        memcpy((*out)->bytes, buf, len);
    return rc;
}

/* The live memory goes through the spare one, so that a failure leaves the session alone. */
int32_t mambaint_state_set(mambaint_session *session, const mambaint_state *state,
                           mambaint_error *err)
{
    mambaint_session *s = session;
    struct unpacked *u;
    int32_t rc;

    if (!s || !state)
        return mbi_fail(err, MAMBAINT_E_INVALID, "session and state must not be NULL");
    if ((rc = create_unpacked(&u, s->model, state->bytes, state->size, err)) < 0)
        return rc;
    mbi_ahead_back(s);
    rc = s->set.backend->memory_write(s->spare, u->live, err);
    if (rc >= 0) {
        mbi_session_swap_memory(s);
        mbi_ahead_forget(s);
        *s->talk = u->talk;
        memcpy(s->logits, u->logits, s->vocab * sizeof(*s->logits));
        if (s->talk->kept)
            mbi_talk_render(s->talk, &s->set);
        mbi_record_begin(s, state->bytes + state->size - MBI_DIGEST_SIZE);
    }
    free_unpacked(u, s->host);
    return rc;
}

/* ---- values ---- */

int32_t mambaint_state_digest(uint8_t out[32], const mambaint_state *state)
{
    if (!out || !state)
        return MAMBAINT_E_INVALID;
    memcpy(out, state->bytes + state->size - MBI_DIGEST_SIZE, MBI_DIGEST_SIZE);
    return MAMBAINT_OK;
}

int32_t mambaint_state_save(void *buf, size_t cap, size_t *need, const mambaint_state *state)
{
    if (!state || (!buf && cap))
        return MAMBAINT_E_INVALID;
    return mbi_give_bytes(buf, cap, need, state->bytes, state->size);
}

void mambaint_state_free(mambaint_state *state)
{
    mambaint_context *ctx;

    if (!state)
        return;
    ctx = state->ctx;
    mbi_free(&ctx->host, state->bytes);
    mbi_free(&ctx->host, state);
    mambaint_context_unref(ctx);
}

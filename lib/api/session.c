/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: settings, creation, questions, scoring. */
#include "api/session.h"
#include "api/options.h"
#include "api/receipt.h"
#include "base/intmath.h"
#include "base/text.h"
#include "sample/document.h"
#include "sample/score.h"
#include <stdio.h>

#define CHUNK_DEFAULT 64
#define CHUNK_MAX 4096
#define TEMPERATURE_DEFAULT 205 /* 0.8 in Q8 */
#define TOP_P_DEFAULT 62259     /* 0.95 in Q16 */
#define REPEAT_LAST_DEFAULT 64

/* ---- settings ---- */

static int32_t read_stops(struct mbi_session_settings *set, const mambaint_options *o,
                          mambaint_error *err)
{
    const char *text;

    for (size_t i = 0; (text = mbi_option_at(o, "stop", i)); i++) {
        const size_t len = strlen(text);

        if (i == MBI_STOPS_MAX)
            return mbi_fail(err, MAMBAINT_E_RANGE, "option stop: more than %d stop strings",
                            MBI_STOPS_MAX);
        if (!len || len > MBI_STOP_MAX)
            return mbi_fail(err, MAMBAINT_E_RANGE, "option stop: a stop string has 1 to %d bytes",
                            MBI_STOP_MAX);
        set->stop[i].len = (uint32_t)len;
        memcpy(set->stop[i].text, text, len);
        set->n_stops++;
    }
    return MAMBAINT_OK;
}

static int32_t read_sampler(struct mbi_sampler *s, const mambaint_options *o, mambaint_error *err)
{
    int64_t temperature = TEMPERATURE_DEFAULT, top_p = TOP_P_DEFAULT, min_p = 0, penalty = 0;
    int32_t rc;

    if ((rc = mbi_option_fixed(&temperature, o, "temperature", 8, 0, 255, err)) < 0 ||
        (rc = mbi_option_u32(&s->top_k, o, "top-k", 0, INT32_MAX, err)) < 0 ||
        (rc = mbi_option_fixed(&top_p, o, "top-p", 16, 0, 1, err)) < 0 ||
        (rc = mbi_option_fixed(&min_p, o, "min-p", 16, 0, 1, err)) < 0 ||
        (rc = mbi_option_fixed(&penalty, o, "repeat-penalty", 12, 0, 1000, err)) < 0 ||
        (rc = mbi_option_u64(&s->seed, o, "seed", 0, UINT64_MAX, err)) < 0)
        return rc;
    s->temperature = (uint32_t)temperature;
    s->top_p = (uint32_t)top_p;
    s->min_p = (uint32_t)min_p;
    s->repeat_penalty = (int32_t)penalty;
    return MAMBAINT_OK;
}

int32_t mbi_session_settings_read(struct mbi_session_settings *set, const mambaint_options *options,
                                  mambaint_error *err)
{
    int32_t rc;

    memset(set, 0, sizeof(*set));
    set->prefill_chunk = CHUNK_DEFAULT;
    set->repeat_last = REPEAT_LAST_DEFAULT;
    if ((rc = mbi_option_u32(&set->prefill_chunk, options, "prefill-chunk", 1, CHUNK_MAX, err)) <
            0 ||
        (rc = mbi_option_u32(&set->repeat_last, options, "repeat-last", 0, MBI_HISTORY, err)) < 0 ||
        (rc = mbi_option_bool(&set->profile, options, "profile", err)) < 0 ||
        (rc = mbi_option_bool(&set->record, options, "record", err)) < 0 ||
        (rc = read_sampler(&set->sampler, options, err)) < 0 ||
        (rc = read_stops(set, options, err)) < 0)
        return rc;
    return mbi_backend_find(&set->backend, mbi_option(options, "backend"), err);
}

/* ---- creation ---- */

static int32_t load(mambaint_session *s, mambaint_error *err)
{
    const struct mbi_graph *graph = s->model->model->graph;
    const struct mbi_backend *backend = s->set.backend;
    const size_t lanes = mbi_max_size(s->set.prefill_chunk, MBI_GROUP);
    struct mbi_weights *weights;
    int32_t rc;

    if ((rc = mbi_model_weights(&weights, s->model, backend, err)) < 0 ||
        (rc = mbi_program_create(&s->program, s->host, graph, lanes, MBI_GROUP, false, err)) < 0 ||
        (rc = backend->image_new(&s->image, s->program, weights, err)) < 0 ||
        (rc = backend->memory_new(&s->memory, s->program, err)) < 0)
        return rc;
    rc = backend->memory_new(&s->spare, s->program, err);
    return rc < 0 ? rc : mbi_ahead_create(s, err);
}

static int32_t start_profile(const mambaint_session *s, mambaint_error *err)
{
    const struct mbi_backend *backend = s->set.backend;

    if (!s->set.profile)
        return MAMBAINT_OK;
    if (!backend->profile)
        return mbi_fail(err, MAMBAINT_E_UNSUPPORTED, "backend '%s' cannot give a profile",
                        backend->name);
    return backend->profile(s->image, true) ? MAMBAINT_OK : mbi_fail_memory(err, "a profile");
}

static int32_t allocate(mambaint_session *s, mambaint_error *err)
{
    s->talk = mbi_alloc(s->host, 1, sizeof(*s->talk));
    s->logits = mbi_alloc(s->host, s->vocab, sizeof(*s->logits));
    s->before = mbi_alloc(s->host, s->vocab, sizeof(*s->before));
    s->work = mbi_alloc(s->host, s->vocab, sizeof(*s->work));
    if (!s->talk || !s->logits || !s->before || !s->work)
        return mbi_fail_memory(err, "a session");
    mbi_talk_clear(s->talk);
    return MAMBAINT_OK;
}

/* The digest of the zero state is what a receipt starts with. */
static int32_t start_record(mambaint_session *s, mambaint_error *err)
{
    mambaint_state *zero;
    uint8_t digest[MBI_DIGEST_SIZE];
    int32_t rc;

    mbi_buf_init(&s->record.parts, s->host);
    if (!s->set.record)
        return MAMBAINT_OK;
    if ((rc = mambaint_state_get(&zero, s, err)) < 0)
        return rc;
    mambaint_state_digest(digest, zero);
    mambaint_state_free(zero);
    mbi_record_begin(s, digest);
    return MAMBAINT_OK;
}

int32_t mambaint_session_create(mambaint_session **out, mambaint_model *model,
                                const mambaint_options *options, mambaint_error *err)
{
    struct mbi_session_settings set;
    mambaint_session *s;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !model)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and model must not be NULL");
    if ((rc = mbi_model_needs_text(model, err)) < 0 ||
        (rc = mbi_session_settings_read(&set, options, err)) < 0)
        return rc;
    if (!(s = mbi_alloc(&model->ctx->host, 1, sizeof(*s))))
        return mbi_fail_memory(err, "a session");
    s->model = model;
    mambaint_model_ref(model);
    s->host = &model->ctx->host;
    s->tokenizer = model->model->tokenizer;
    s->vocab = mbi_tokenizer_vocab(s->tokenizer);
    s->set = set;
    atomic_init(&s->cancel, false);
    if ((rc = allocate(s, err)) < 0 || (rc = load(s, err)) < 0 ||
        (rc = start_profile(s, err)) < 0 || (rc = start_record(s, err)) < 0) {
        mambaint_session_free(s);
        return rc;
    }
    *out = s;
    return MAMBAINT_OK;
}

void mambaint_session_free(mambaint_session *session)
{
    const struct mbi_backend *backend;
    mambaint_model *model;

    if (!session)
        return;
    backend = session->set.backend;
    model = session->model;
    mbi_ahead_free(session);
    backend->memory_free(session->memory);
    backend->memory_free(session->spare);
    backend->image_free(session->image);
    mbi_program_free(session->program);
    mbi_free(session->host, session->talk);
    mbi_free(session->host, session->logits);
    mbi_free(session->host, session->before);
    mbi_free(session->host, session->work);
    mbi_free(session->host, session->record.parts.data);
    mbi_free(session->host, session);
    mambaint_model_unref(model); /* last: the host is the context's */
}

void mambaint_session_cancel(mambaint_session *session)
{
    if (session)
        atomic_store(&session->cancel, true);
}

/* ---- questions ---- */

/* The longest first: each round finds the next one below the last. */
static void add_profile(struct mbi_buf *out, const struct mbi_profile *p)
{
    bool told[MBI_PROFILE_MAX] = {false};

    for (size_t shown = 0; shown < p->n; shown++) {
        const struct mbi_profile_entry *e;
        size_t longest = p->n;

        for (size_t i = 0; i < p->n; i++)
            if (!told[i] && (longest == p->n || p->entry[i].ns > p->entry[longest].ns))
                longest = i;
        told[longest] = true;
        e = &p->entry[longest];
        mbi_buf_addf(out, "%s %llu %llu\n", e->name, (unsigned long long)e->calls,
                     (unsigned long long)e->ns);
    }
}

static int32_t profile_text(char *buf, size_t cap, size_t *need, const mambaint_session *s)
{
    struct mbi_buf text;
    int32_t rc;

    mbi_buf_init(&text, s->host);
    if (s->set.profile)
        add_profile(&text, s->set.backend->profile(s->image, true));
    rc = text.failed ? MAMBAINT_E_NO_MEMORY
                     : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

int32_t mambaint_session_text(char *buf, size_t cap, size_t *need, const mambaint_session *session,
                              const char *key)
{
    static const char *const reason[] = {"", "end-of-turn", "end-of-text", "stop"};
    char text[64];
    int n;

    if (!session || !key)
        return MAMBAINT_E_INVALID;
    if (mbi_key_equal(key, "backend"))
        n = snprintf(text, sizeof(text), "%s", session->set.backend->name);
    else if (mbi_key_equal(key, "position"))
        n = snprintf(text, sizeof(text), "%llu", (unsigned long long)session->talk->position);
    else if (mbi_key_equal(key, "seed"))
        n = snprintf(text, sizeof(text), "%llu", (unsigned long long)session->set.sampler.seed);
    else if (mbi_key_equal(key, "prefill-chunk"))
        n = snprintf(text, sizeof(text), "%u", session->set.prefill_chunk);
    else if (mbi_key_equal(key, "stop-reason"))
        n = snprintf(text, sizeof(text), "%s", reason[session->talk->ended]);
    else if (mbi_key_equal(key, "profile"))
        return profile_text(buf, cap, need, session);
    else
        return MAMBAINT_E_INVALID;
    return mbi_give_text(buf, cap, need, text, (size_t)n);
}

/* ---- scoring ---- */

/* End of text, the document, and end of text again where a separator follows. */
static int32_t document_ids(struct mbi_buf *ids, const struct mbi_tokenizer *t, const char *doc,
                            size_t len, bool separated, mambaint_error *err)
{
    const int32_t eot = mbi_tokenizer_eot(t);
    int32_t rc;

    ids->size = 0;
    mbi_buf_add(ids, &eot, sizeof(eot));
    if ((rc = mbi_tokenizer_encode(ids, t, doc, len, 0, err)) < 0)
        return rc;
    if (separated)
        mbi_buf_add(ids, &eot, sizeof(eot));
    return ids->failed ? mbi_fail_memory(err, "the tokens of a document") : MAMBAINT_OK;
}

static int32_t score_text(struct mbi_score *sum, uint64_t *bytes, struct mbi_scorer *scorer,
                          mambaint_session *s, const char *text, size_t len, mambaint_error *err)
{
    struct mbi_buf ids;
    const char *doc;
    size_t doc_len, pos = 0;
    bool separated;
    int32_t rc = MAMBAINT_OK;

    mbi_buf_init(&ids, s->host);
    while (rc >= 0 && mbi_document_next(&doc, &doc_len, &separated, text, len, &pos)) {
        *bytes += doc_len;
        if ((rc = document_ids(&ids, s->tokenizer, doc, doc_len, separated, err)) >= 0)
            rc = mbi_scorer_add(scorer, (const int32_t *)(const void *)ids.data,
                                ids.size / sizeof(int32_t), err);
    }
    mbi_buf_free(&ids);
    return rc < 0 ? rc : mbi_scorer_finish(sum, scorer, err);
}

int32_t mambaint_session_score(int64_t *bits_q16, uint64_t *tokens, uint64_t *bytes,
                               mambaint_session *session, const char *text, size_t len,
                               mambaint_error *err)
{
    struct mbi_score sum = {0, 0};
    struct mbi_scorer *scorer;
    struct mbi_weights *weights;
    const struct mbi_graph *graph;
    uint64_t n_bytes = 0;
    int32_t rc;

    if (!bits_q16 || !session || (!text && len))
        return mbi_fail(err, MAMBAINT_E_INVALID, "bits_q16, session and text must not be NULL");
    graph = session->program->graph;
    if ((rc = mbi_session_cancelled(session, err)) < 0 ||
        (rc = mbi_model_weights(&weights, session->model, session->set.backend, err)) < 0 ||
        (rc = mbi_scorer_create(&scorer, session->host, session->set.backend, graph, weights,
                                mbi_score_lanes(graph), err)) < 0)
        return rc;
    mbi_scorer_watch(scorer, &session->cancel);
    rc = score_text(&sum, &n_bytes, scorer, session, text, len, err);
    mbi_scorer_free(scorer);
    if (rc < 0)
        return rc;
    *bits_q16 = sum.bits_q16;
    if (tokens)
        *tokens = sum.tokens;
    if (bytes)
        *bytes = n_bytes;
    return MAMBAINT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The trainer object: joins data, tokenizer, architecture and the training loop. */
#include "api/context.h"
#include "api/tokenizer_data.h"
#include "api/trainer_options.h"
#include "base/intmath.h"
#include "model/model.h"
#include "sample/document.h"
#include "sample/score.h"
#include <mambaint/train.h>
#include <string.h>

#define KEY_SETTINGS "mambaint.train.settings"

/* The held-out text as documents of ids. */
struct validation {
    struct mbi_buf ids;       /* int32, all documents */
    struct mbi_document *doc; /* they point into ids */
    uint64_t *bytes;          /* of each */
    size_t n;
    struct mbi_scorer *scorer;
};

struct mambaint_trainer {
    mambaint_context *ctx;
    struct mbi_trainer_options opt; /* its pointers into the options are NULL after creation */
    char *name, *license;
    struct mbi_tokenizer *tokenizer;
    struct mbi_graph *graph;
    const struct mbi_backend *backend;
    struct mbi_mix mix;
    struct mbi_buf settings; /* as text */
    struct mbi_trainer *trainer;
    struct validation valid;
};

static const struct mbi_host *host_of(const mambaint_trainer *tr) { return &tr->ctx->host; }

/* ---- tokenizer ---- */

static int32_t train_tokenizer(mambaint_trainer *tr, mambaint_error *err)
{
    const struct mbi_trainer_options *o = &tr->opt;
    const uint32_t vocab = o->config.v[o->config.arch->vocab_field];
    struct mbi_tokenizer_trainer *learner;
    bool any = false;
    int32_t rc = mbi_tokenizer_trainer_create(&learner, host_of(tr), o->pre, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < o->n_data; i++) {
        const struct mbi_data_option *d = &o->data[i];
        struct mbi_text text;

        if (d->kind != MBI_DATA_TEXT)
            continue;
        any = true;
        rc = mbi_text_open(&text, host_of(tr), o->dir, d->name, d->has_sha256 ? d->sha256 : NULL,
                           err);
        if (rc >= 0)
            rc = mbi_tokenizer_add_text(learner, (const char *)text.data, text.size, err);
        mbi_text_close(&text);
    }
    if (rc >= 0 && !any)
        rc = mbi_fail(err, MAMBAINT_E_INVALID,
                      "no data is text, so there is nothing to train a tokenizer on; give one");
    if (rc >= 0)
        rc = mbi_tokenizer_trainer_build(&tr->tokenizer, learner, vocab, NULL, NULL, err);
    mbi_tokenizer_trainer_free(learner);
    return rc;
}

static int32_t open_tokenizer(struct mbi_tokenizer **out, mambaint_trainer *tr, mambaint_error *err)
{
    struct mbi_container *file;
    int32_t rc = mbi_container_open(&file, host_of(tr), tr->opt.tokenizer, 0, err);

    if (rc < 0)
        return rc;
    rc = mbi_tokenizer_read(out, host_of(tr), file, err);
    mbi_container_close(file);
    return rc;
}

/* A run that goes on keeps its tokenizer; one that is named as well must be the same. */
static int32_t resume_tokenizer(mambaint_trainer *tr, struct mbi_container *checkpoint,
                                mambaint_error *err)
{
    uint8_t own[MBI_DIGEST_SIZE], other[MBI_DIGEST_SIZE];
    struct mbi_tokenizer *named = NULL;
    int32_t rc = mbi_tokenizer_read(&tr->tokenizer, host_of(tr), checkpoint, err);

    if (rc < 0 || !tr->opt.tokenizer || (rc = open_tokenizer(&named, tr, err)) < 0)
        return rc;
    mbi_tokenizer_digest(own, tr->tokenizer);
    mbi_tokenizer_digest(other, named);
    mbi_tokenizer_unref(named);
    if (!memcmp(own, other, sizeof(own)))
        return MAMBAINT_OK;
    return mbi_fail(err, MAMBAINT_E_MISMATCH,
                    "the checkpoint is of another run: option 'tokenizer' differs");
}

static int32_t make_tokenizer(mambaint_trainer *tr, struct mbi_container *checkpoint,
                              mambaint_error *err)
{
    struct mbi_config *c = &tr->opt.config;
    uint32_t *vocab = &c->v[c->arch->vocab_field];
    int32_t rc = checkpoint          ? resume_tokenizer(tr, checkpoint, err)
                 : tr->opt.tokenizer ? open_tokenizer(&tr->tokenizer, tr, err)
                                     : train_tokenizer(tr, err);

    if (rc < 0)
        return rc;
    if (tr->opt.vocab_given && *vocab != mbi_tokenizer_vocab(tr->tokenizer))
        return mbi_fail(err, checkpoint ? MAMBAINT_E_MISMATCH : MAMBAINT_E_INVALID,
                        "option vocab is %u, but the tokenizer has %u tokens", *vocab,
                        mbi_tokenizer_vocab(tr->tokenizer));
    *vocab = mbi_tokenizer_vocab(tr->tokenizer);
    if ((rc = c->arch->resolve(c, true, err)) < 0)
        return rc;
    return mbi_arch_graph(&tr->graph, host_of(tr), c, err);
}

/* ---- data ---- */

static int32_t open_data(struct mbi_text *text, const mambaint_trainer *tr,
                         const struct mbi_data_option *d, mambaint_error *err)
{
    return mbi_text_open(text, host_of(tr), tr->opt.dir, d->name, d->has_sha256 ? d->sha256 : NULL,
                         err);
}

static int32_t read_source(mambaint_trainer *tr, const struct mbi_data_option *d,
                           mambaint_error *err)
{
    struct mbi_mix *mix = &tr->mix;
    struct mbi_source *source = NULL;
    struct mbi_text text;
    int32_t rc = open_data(&text, tr, d, err);

    if (rc >= 0)
        rc =
            mbi_source_create(&source, host_of(tr), tr->tokenizer, d->kind, (const char *)text.data,
                              text.size, d->name, tr->opt.set.context, err);
    mbi_text_close(&text);
    if (rc < 0)
        return rc;
    mix->weight_q16[mix->n_sources] = d->weight_q16;
    mix->source[mix->n_sources++] = source;
    mbi_log(host_of(tr), MBI_LOG_INFO, "data '%.200s': %zu tokens, %zu windows, %zu cut short",
            d->name, source->n, source->n_windows, source->n_cut);
    return MAMBAINT_OK;
}

static int32_t read_sources(mambaint_trainer *tr, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    tr->mix.seed = tr->opt.set.init.seed;
    tr->mix.batch = tr->opt.set.batch;
    tr->mix.context = tr->opt.set.context;
    tr->mix.eot = mbi_tokenizer_eot(tr->tokenizer);
    for (size_t i = 0; rc >= 0 && i < tr->opt.n_data; i++)
        rc = read_source(tr, &tr->opt.data[i], err);
    return rc;
}

/* ---- validation ---- */

static size_t count_documents(const struct mbi_text *text)
{
    size_t n = 0, pos = 0, len;
    const char *doc;
    bool separated;

    while (mbi_document_next(&doc, &len, &separated, (const char *)text->data, text->size, &pos))
        n++;
    return n;
}

/* An end-of-text token, the document, and one more where the file has a separator. */
static int32_t encode_documents(mambaint_trainer *tr, const struct mbi_text *text,
                                mambaint_error *err)
{
    const int32_t eot = mbi_tokenizer_eot(tr->tokenizer);
    struct validation *v = &tr->valid;
    size_t pos = 0, len;
    const char *doc;
    bool separated;
    int32_t rc = MAMBAINT_OK;

    while (rc >= 0 &&
           mbi_document_next(&doc, &len, &separated, (const char *)text->data, text->size, &pos)) {
        const size_t before = v->ids.size;

        mbi_buf_add(&v->ids, &eot, sizeof(eot));
        rc = mbi_tokenizer_encode(&v->ids, tr->tokenizer, doc, len, 0, err);
        if (separated)
            mbi_buf_add(&v->ids, &eot, sizeof(eot));
        v->bytes[v->n] = len;
        v->doc[v->n++].n = (v->ids.size - before) / sizeof(eot);
    }
    return rc < 0 ? rc : v->ids.failed ? mbi_fail_memory(err, "the held-out text") : MAMBAINT_OK;
}

static int32_t read_validation(mambaint_trainer *tr, mambaint_error *err)
{
    struct validation *v = &tr->valid;
    const int32_t *at;
    struct mbi_text text;
    int32_t rc = open_data(&text, tr, &tr->opt.valid, err);

    if (rc >= 0) {
        const size_t n = count_documents(&text);

        v->doc = mbi_alloc(host_of(tr), n + 1, sizeof(*v->doc));
        v->bytes = mbi_alloc(host_of(tr), n + 1, sizeof(*v->bytes));
        rc = v->doc && v->bytes ? encode_documents(tr, &text, err)
                                : mbi_fail_memory(err, "the held-out text");
    }
    mbi_text_close(&text);
    at = (const int32_t *)(const void *)v->ids.data;
    for (size_t i = 0; rc >= 0 && i < v->n; i++) {
        v->doc[i].ids = at;
        at += v->doc[i].n;
    }
    return rc;
}

/* The integer step, by the same function as mambaint_session_score(). */
static int32_t score_integers(struct mbi_score *sum, mambaint_trainer *tr, size_t n,
                              mambaint_error *err)
{
    struct validation *v = &tr->valid;
    struct mbi_weights *weights = mbi_trainer_weights(tr->trainer, err);
    int32_t rc = MAMBAINT_OK;

    if (!weights)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "the weights could not be updated");
    if (!v->scorer)
        rc = mbi_scorer_create(&v->scorer, host_of(tr), tr->backend, tr->graph, weights,
                               mbi_score_lanes(tr->graph), err);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = mbi_scorer_add(v->scorer, v->doc[i].ids, v->doc[i].n, err);
    return rc < 0 ? rc : mbi_scorer_finish(sum, v->scorer, err);
}

static int32_t score_twin(struct mbi_score *sum, mambaint_trainer *tr, size_t n,
                          mambaint_error *err)
{
    struct validation *v = &tr->valid;
    const int32_t rc = mbi_trainer_score_float(tr->trainer, v->doc, n, err);

    for (size_t i = 0; rc >= 0 && i < n; i++) {
        sum->bits_q16 += v->doc[i].bits_q16;
        sum->tokens += v->doc[i].n ? v->doc[i].n - 1 : 0;
    }
    return rc;
}

static int32_t validate(mambaint_train_report *r, mambaint_trainer *tr, mambaint_error *err)
{
    const struct validation *v = &tr->valid;
    const bool last = r->step == r->steps || !tr->opt.valid_limit;
    const size_t n = last ? v->n : (size_t)mbi_min_i64((int64_t)v->n, (int64_t)tr->opt.valid_limit);
    struct mbi_score sum = {0, 0};
    int32_t rc =
        tr->opt.set.integers ? score_integers(&sum, tr, n, err) : score_twin(&sum, tr, n, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        r->valid_bytes += v->bytes[i];
    r->valid_bits_q16 = sum.bits_q16;
    r->valid_tokens = sum.tokens;
    if (r->valid_bytes)
        r->valid_bits_per_byte_q20 =
            ((uint64_t)sum.bits_q16 * 16 + r->valid_bytes / 2) / r->valid_bytes;
    r->flags |= MAMBAINT_TRAIN_VALIDATED | (n == v->n ? MAMBAINT_TRAIN_WHOLE : 0);
    return MAMBAINT_OK;
}

/* ---- creation ---- */

static int32_t resume(mambaint_trainer *tr, struct mbi_container *checkpoint, mambaint_error *err)
{
    const char *text;
    size_t n;
    int32_t rc = mbi_container_text(&text, &n, checkpoint, KEY_SETTINGS, err);

    if (rc < 0 || (rc = mbi_trainer_options_compare((const char *)tr->settings.data,
                                                    tr->settings.size, text, n, err)) < 0)
        return rc;
    if ((rc = mbi_trainer_read(tr->trainer, checkpoint, err)) < 0)
        return rc;
    return mbi_container_refuse_unread(checkpoint, "mambaint.", err);
}

static int32_t open_checkpoint(struct mbi_container **out, const mambaint_trainer *tr,
                               mambaint_error *err)
{
    char type[16];
    int32_t rc = mbi_container_open(out, host_of(tr), tr->opt.resume, 0, err);

    if (rc < 0)
        return rc;
    if (mbi_container_word(type, sizeof(type), *out, "general.type", NULL) < 0 ||
        strcmp(type, "checkpoint")) {
        mbi_container_close(*out);
        *out = NULL;
        return mbi_fail(err, MAMBAINT_E_FORMAT, "'%.150s' is no checkpoint of a training run",
                        tr->opt.resume);
    }
    return MAMBAINT_OK;
}

static int32_t build_parts(mambaint_trainer *tr, struct mbi_container *checkpoint,
                           mambaint_error *err)
{
    const struct mbi_batch_source source = mbi_mix_batches(&tr->mix);
    int32_t rc;

    if ((rc = mbi_backend_find(&tr->backend, tr->opt.backend, err)) < 0 ||
        (rc = make_tokenizer(tr, checkpoint, err)) < 0 || (rc = read_sources(tr, err)) < 0 ||
        (tr->opt.has_valid && (rc = read_validation(tr, err)) < 0))
        return rc;
    mbi_trainer_options_text(&tr->settings, &tr->opt, &tr->mix, tr->tokenizer);
    if (tr->settings.failed)
        return mbi_fail_memory(err, "a trainer");
    if ((rc = mbi_trainer_create(&tr->trainer, host_of(tr), tr->graph, tr->backend, &source,
                                 &tr->opt.set, err)) < 0)
        return rc;
    return checkpoint ? resume(tr, checkpoint, err) : MAMBAINT_OK;
}

static int32_t copy_text(char **out, const mambaint_trainer *tr, const char *text,
                         mambaint_error *err)
{
    *out = mbi_strndup(host_of(tr), text, strlen(text));
    return *out ? MAMBAINT_OK : mbi_fail_memory(err, "a trainer");
}

static int32_t build(mambaint_trainer *tr, const mambaint_options *options, mambaint_error *err)
{
    struct mbi_container *checkpoint = NULL;
    int32_t rc;

    mbi_buf_init(&tr->settings, host_of(tr));
    mbi_buf_init(&tr->valid.ids, host_of(tr));
    if ((rc = mbi_trainer_options_read(&tr->opt, options, err)) < 0 ||
        (rc = copy_text(&tr->name, tr, tr->opt.name ? tr->opt.name : "model", err)) < 0 ||
        (rc = copy_text(&tr->license, tr, tr->opt.license ? tr->opt.license : "", err)) < 0 ||
        (tr->opt.resume && (rc = open_checkpoint(&checkpoint, tr, err)) < 0))
        return rc;
    rc = build_parts(tr, checkpoint, err);
    mbi_container_close(checkpoint);
    tr->opt.dir = tr->opt.tokenizer = tr->opt.resume = tr->opt.backend = NULL;
    tr->opt.name = tr->opt.license = NULL;
    return rc;
}

int32_t mambaint_trainer_create(mambaint_trainer **out, mambaint_context *ctx,
                                const mambaint_options *options, mambaint_error *err)
{
    mambaint_context *own;
    mambaint_trainer *tr;
    int32_t rc;

    if (out)
        *out = NULL;
    if (!out || !options)
        return mbi_fail(err, MAMBAINT_E_INVALID, "out and options must not be NULL");
    if ((rc = mbi_context_take(&own, ctx, options, err)) < 0)
        return rc;
    if (!(tr = mbi_alloc(&own->host, 1, sizeof(*tr)))) {
        mambaint_context_unref(own);
        return mbi_fail_memory(err, "a trainer");
    }
    tr->ctx = own;
    if ((rc = build(tr, options, err)) < 0) {
        mambaint_trainer_free(tr);
        return rc;
    }
    *out = tr;
    return MAMBAINT_OK;
}

void mambaint_trainer_free(mambaint_trainer *tr)
{
    mambaint_context *ctx;

    if (!tr)
        return;
    ctx = tr->ctx;
    mbi_scorer_free(tr->valid.scorer);
    mbi_free(&ctx->host, tr->valid.doc);
    mbi_free(&ctx->host, tr->valid.bytes);
    mbi_buf_free(&tr->valid.ids);
    mbi_trainer_free(tr->trainer);
    mbi_mix_clear(&tr->mix);
    mbi_graph_free(tr->graph);
    mbi_tokenizer_unref(tr->tokenizer);
    mbi_buf_free(&tr->settings);
    mbi_free(&ctx->host, tr->name);
    mbi_free(&ctx->host, tr->license);
    mbi_free(&ctx->host, tr);
    mambaint_context_unref(ctx);
}

/* ---- steps ---- */

static bool report_valid(const mambaint_train_report *r)
{
    return r->struct_size >= offsetof(mambaint_train_report, step) && r->struct_size <= 4096;
}

/* Give as much of the report as the caller knows of; what only the caller knows is zero. */
static void give_report(mambaint_train_report *to, const mambaint_train_report *from)
{
    const size_t size = to->struct_size, known = mbi_min_size(size, sizeof(*from));

    memset(to, 0, size);
    memcpy(to, from, known);
    to->struct_size = size;
}

static mambaint_train_report status_of(const mambaint_trainer *tr)
{
    mambaint_train_report r = MAMBAINT_TRAIN_REPORT_INIT;

    r.step = mbi_trainer_steps_made(tr->trainer);
    r.steps = tr->opt.set.steps;
    r.step_tokens = (uint64_t)tr->opt.set.batch * tr->opt.set.context;
    r.tokens = r.step * r.step_tokens;
    r.flags = r.step == r.steps ? MAMBAINT_TRAIN_DONE : 0;
    return r;
}

static bool due(uint64_t step, uint64_t every) { return every && step % every == 0; }

static int32_t step(mambaint_train_report *r, mambaint_trainer *tr, mambaint_error *err)
{
    struct mbi_train_report made = {0};
    int32_t rc = mbi_trainer_step(tr->trainer, &made, err);

    if (rc < 0)
        return rc;
    *r = status_of(tr);
    if (rc == MAMBAINT_END)
        return rc;
    r->counted = made.counted;
    r->loss_q20 = made.loss_q20;
    r->lr_q40 = made.rate_q40;
    r->grad_norm_q20 = made.norm_q20;
    if (due(r->step, tr->opt.save_every))
        r->flags |= MAMBAINT_TRAIN_SAVE_DUE;
    if (tr->opt.has_valid && (r->step == r->steps || due(r->step, tr->opt.valid_every)))
        rc = validate(r, tr, err);
    return rc;
}

int32_t mambaint_trainer_step(mambaint_train_report *report, mambaint_trainer *trainer,
                              mambaint_error *err)
{
    mambaint_train_report made;
    int32_t rc;

    if (!trainer)
        return mbi_fail(err, MAMBAINT_E_INVALID, "trainer must not be NULL");
    if (report && !report_valid(report))
        return mbi_fail(err, MAMBAINT_E_INVALID, "struct_size of the report is not set");
    if ((rc = step(&made, trainer, err)) >= 0 && report)
        give_report(report, &made);
    return rc;
}

int32_t mambaint_trainer_status(mambaint_train_report *report, const mambaint_trainer *trainer)
{
    mambaint_train_report r;

    if (!report || !trainer || !report_valid(report))
        return MAMBAINT_E_INVALID;
    r = status_of(trainer);
    give_report(report, &r);
    return MAMBAINT_OK;
}

int32_t mambaint_trainer_text(char *buf, size_t cap, size_t *need, const mambaint_trainer *trainer)
{
    struct mbi_buf text;
    int32_t rc;

    if (!trainer)
        return MAMBAINT_E_INVALID;
    mbi_buf_init(&text, host_of(trainer));
    mbi_buf_addf(&text, "parameters = %llu\nbackend = %s\n",
                 (unsigned long long)mbi_model_parameters(trainer->graph), trainer->backend->name);
    for (size_t i = 0; i < trainer->mix.n_sources; i++) {
        const struct mbi_source *s = trainer->mix.source[i];

        mbi_buf_addf(&text, "data.%zu = %.200s\ndata.%zu.tokens = %zu\ndata.%zu.windows = %zu\n", i,
                     trainer->opt.data[i].name, i, s->n, i, s->n_windows);
    }
    mbi_buf_add(&text, trainer->settings.data, trainer->settings.size);
    rc = text.failed ? MAMBAINT_E_NO_MEMORY
                     : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

/* ---- files ---- */

static void add_word(struct mbi_container_writer *w, const char *key, const char *word)
{
    mbi_container_add_text(w, key, word, strlen(word));
}

int32_t mambaint_trainer_save(mambaint_trainer *trainer, const char *path, mambaint_error *err)
{
    struct mbi_container_writer *w;
    int32_t rc;

    if (!trainer || !path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "trainer and path must not be NULL");
    if ((rc = mbi_container_writer_create(&w, host_of(trainer), err)) < 0)
        return rc;
    add_word(w, "general.architecture", trainer->opt.config.arch->name);
    add_word(w, "general.type", "checkpoint");
    add_word(w, "general.name", trainer->name);
    mbi_config_write(w, &trainer->opt.config);
    mbi_tokenizer_write(w, trainer->tokenizer);
    mbi_container_add_text(w, KEY_SETTINGS, (const char *)trainer->settings.data,
                           trainer->settings.size);
    if ((rc = mbi_trainer_write(trainer->trainer, w, err)) >= 0)
        rc = mbi_container_save(w, path, err);
    mbi_container_writer_free(w);
    return rc;
}

int32_t mambaint_trainer_export(mambaint_trainer *trainer, const char *path, mambaint_error *err)
{
    struct mbi_model_parts parts;

    if (!trainer || !path)
        return mbi_fail(err, MAMBAINT_E_INVALID, "trainer and path must not be NULL");
    parts = (struct mbi_model_parts){
        .config = &trainer->opt.config,
        .graph = trainer->graph,
        .tokenizer = trainer->tokenizer,
        .param = mbi_trainer_params(trainer->trainer, err),
        .name = trainer->name,
        .license = trainer->license,
    };
    if (!parts.param)
        return err ? err->code : MAMBAINT_E_INTERNAL; /* the sentence is there already */
    return mbi_model_save(host_of(trainer), path, &parts, err);
}

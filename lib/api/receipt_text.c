/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts told in words and as JSON. */
#include "api/receipt.h"
#include "api/spell.h"
#include "base/text.h"
#include <stdio.h>

static const char *const kinds[] = {"", "fed", "said", "drawn", "forced"};
static const char *const roles[] = {"", "system", "user", "assistant"};

static struct mbi_spelled ids_of(const struct mbi_receipt_part *p)
{
    return (struct mbi_spelled){p->ids, p->n};
}

/* ---- in words ---- */

static void say_number(struct mbi_buf *out, const char *name, int64_t v, int32_t frac)
{
    mbi_buf_add_text(out, name);
    mbi_spell_decimal(out, v, frac);
}

static void say_settings(struct mbi_buf *out, const struct mbi_receipt *r)
{
    const struct mbi_sampler *s = &r->sampler;

    mbi_buf_addf(out, "sampler: seed %llu, ", (unsigned long long)s->seed);
    say_number(out, "temperature ", s->temperature, 8);
    mbi_buf_addf(out, ", top-k %u", s->top_k);
    say_number(out, ", top-p ", s->top_p, 16);
    say_number(out, ", min-p ", s->min_p, 16);
    say_number(out, ", repeat-penalty ", s->repeat_penalty, 12);
    mbi_buf_addf(out, ", repeat-last %u", r->repeat_last);
    for (uint32_t i = 0; i < r->n_stops; i++) {
        mbi_buf_add_text(out, ", stop \"");
        mbi_spell_escaped(out, (const uint8_t *)r->stop[i].text, r->stop[i].len);
        mbi_buf_add8(out, '"');
    }
    mbi_buf_add8(out, '\n');
}

static void say_parts(struct mbi_buf *out, const struct mbi_receipt *r, const struct mbi_lexicon *t)
{
    struct mbi_reader parts = r->parts;

    for (uint32_t i = 0; i < r->n_parts; i++) {
        const struct mbi_receipt_part p = mbi_receipt_next(&parts);
        const struct mbi_spelled ids = ids_of(&p);
        char what[32];

        snprintf(what, sizeof(what), "%s%s%s", kinds[p.kind], p.role ? " by " : "", roles[p.role]);
        mbi_spell_tokens(out, what, &ids, t);
    }
}

static void add_words(struct mbi_buf *out, const struct mbi_receipt *r, const struct mbi_lexicon *t)
{
    mbi_buf_add_text(out, "model: ");
    mbi_spell_digest(out, r->model);
    mbi_buf_add_text(out, "\ntokenizer: ");
    mbi_spell_digest(out, r->tokenizer);
    if (r->position)
        mbi_buf_addf(out, "\nstart: after %llu tokens, state ", (unsigned long long)r->position);
    else
        mbi_buf_add_text(out, "\nstart: nothing in memory, state ");
    mbi_spell_digest(out, r->start);
    mbi_buf_add8(out, '\n');
    say_settings(out, r);
    say_parts(out, r, t);
    mbi_buf_add_text(out, "end: state ");
    mbi_spell_digest(out, r->end);
    mbi_buf_add_text(out,
                     "\nnot shown: who ran it, when and where (whoever has the model can make such "
                     "a receipt, for any\nprompt and seed), what was tried before, how good the "
                     "model is, and whether the text is true\n");
}

/* ---- as JSON ---- */

static void add_digest(struct mbi_buf *out, const char *key, const uint8_t digest[MBI_DIGEST_SIZE])
{
    mbi_buf_addf(out, "\"%s\": \"", key);
    mbi_spell_digest(out, digest);
    mbi_buf_add8(out, '"');
}

static void add_settings(struct mbi_buf *out, const struct mbi_receipt *r)
{
    const struct mbi_sampler *s = &r->sampler;

    mbi_buf_addf(out, "\"sampler\": {\"seed\": \"%llu\"", (unsigned long long)s->seed);
    say_number(out, ", \"temperature\": ", s->temperature, 8);
    mbi_buf_addf(out, ", \"top_k\": %u", s->top_k);
    say_number(out, ", \"top_p\": ", s->top_p, 16);
    say_number(out, ", \"min_p\": ", s->min_p, 16);
    say_number(out, ", \"repeat_penalty\": ", s->repeat_penalty, 12);
    mbi_buf_addf(out, ", \"repeat_last\": %u, \"stop\": [", r->repeat_last);
    for (uint32_t i = 0; i < r->n_stops; i++) {
        mbi_buf_add_text(out, i ? ", " : "");
        mbi_spell_json(out, (const uint8_t *)r->stop[i].text, r->stop[i].len);
    }
    mbi_buf_add_text(out, "]}, ");
}

static void add_part(struct mbi_buf *out, const struct mbi_receipt_part *p,
                     const struct mbi_lexicon *t)
{
    const struct mbi_spelled ids = ids_of(p);

    mbi_buf_addf(out, "{\"kind\": \"%s\", \"role\": ", kinds[p->kind]);
    if (p->role)
        mbi_buf_addf(out, "\"%s\"", roles[p->role]);
    else
        mbi_buf_add_text(out, "null");
    mbi_buf_add_text(out, ", \"ids\": [");
    mbi_spell_ids(out, &ids);
    mbi_buf_add_text(out, "], \"text\": ");
    mbi_spell_json_text(out, &ids, t);
    mbi_buf_add8(out, '}');
}

/* Number and text of all drawn tokens. */
static void add_drawn(struct mbi_buf *out, const struct mbi_receipt *r, const struct mbi_lexicon *t)
{
    struct mbi_reader parts = r->parts;
    struct mbi_buf text;
    size_t n = 0;

    mbi_buf_init(&text, out->host);
    for (uint32_t i = 0; i < r->n_parts; i++) {
        const struct mbi_receipt_part p = mbi_receipt_next(&parts);
        const struct mbi_spelled ids = ids_of(&p);

        if (p.kind != MBI_RECEIPT_DRAWN)
            continue;
        n += p.n;
        if (t)
            mbi_spell_text(&text, &ids, t);
    }
    mbi_buf_addf(out, "\"tokens\": %zu, \"text\": ", n);
    if (t)
        mbi_spell_json(out, text.data, text.size);
    else
        mbi_buf_add_text(out, "null");
    out->failed |= text.failed;
    mbi_buf_free(&text);
}

static void add_json(struct mbi_buf *out, const struct mbi_receipt *r, const struct mbi_lexicon *t)
{
    struct mbi_reader parts = r->parts;

    mbi_buf_addf(out, "{\"version\": %d, ", MBI_RECEIPT_VERSION);
    add_digest(out, "model_digest", r->model);
    mbi_buf_add_text(out, ", ");
    add_digest(out, "tokenizer_digest", r->tokenizer);
    mbi_buf_addf(out, ", \"start\": {\"position\": %llu, ", (unsigned long long)r->position);
    add_digest(out, "state_digest", r->start);
    mbi_buf_add_text(out, "}, \"end\": {");
    add_digest(out, "state_digest", r->end);
    mbi_buf_add_text(out, "}, ");
    add_settings(out, r);
    mbi_buf_add_text(out, "\"parts\": [");
    for (uint32_t i = 0; i < r->n_parts; i++) {
        const struct mbi_receipt_part p = mbi_receipt_next(&parts);

        mbi_buf_add_text(out, i ? ", " : "");
        add_part(out, &p, t);
    }
    mbi_buf_add_text(out, "], ");
    add_drawn(out, r, t);
    mbi_buf_add8(out, '}');
}

/* ---- the call ---- */

/* The tokenizer has to be that of the receipt, so that every id of it has a text; an id that a
 * hostile receipt invents has none. */
static int32_t fits(const struct mbi_receipt *r, const struct mbi_tokenizer *t)
{
    uint8_t digest[MBI_DIGEST_SIZE];

    if (!t)
        return MAMBAINT_OK;
    mbi_tokenizer_digest(digest, t);
    return memcmp(digest, r->tokenizer, sizeof(digest)) ? MAMBAINT_E_MISMATCH : MAMBAINT_OK;
}

int32_t mambaint_receipt_text(char *buf, size_t cap, size_t *need, const void *receipt, size_t len,
                              const mambaint_tokenizer *tokenizer, const char *key)
{
    const struct mbi_tokenizer *of = tokenizer ? tokenizer->tokenizer : NULL;
    const struct mbi_lexicon lexicon = {mbi_tokenizer_token, of}, *t = of ? &lexicon : NULL;
    struct mbi_host host;
    struct mbi_receipt r;
    struct mbi_buf text;
    int32_t rc;

    if (!receipt || !key || (!mbi_key_equal(key, "text") && !mbi_key_equal(key, "json")))
        return MAMBAINT_E_INVALID;
    if ((rc = mbi_receipt_read(&r, receipt, len, NULL)) < 0 || (rc = fits(&r, of)) < 0)
        return rc;
    mbi_host_default(&host);
    mbi_buf_init(&text, t ? &tokenizer->ctx->host : &host);
    if (mbi_key_equal(key, "text"))
        add_words(&text, &r, t);
    else
        add_json(&text, &r, t);
    rc = text.failed ? MAMBAINT_E_NO_MEMORY
                     : mbi_give_text(buf, cap, need, (const char *)text.data, text.size);
    mbi_buf_free(&text);
    return rc;
}

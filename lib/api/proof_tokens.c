/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of text: what goes in, and what the model answers greedily. */
#include "api/proof.h"
#if MBI_HAVE_SODIUM
#include "api/options.h"
#include "api/session.h"
#include "base/intmath.h"
#include "graph/element.h"

#define TOKENS_DEFAULT 64
#define PIECE 2048 /* always enough */
#define SHOWN 20   /* bytes of a wrong id that a sentence repeats */
#define DIGITS "0123456789"
#define BLANKS " \t"

static void add_id(struct mbi_buf *list, int32_t id) { mbi_buf_add(list, &id, sizeof(id)); }

static size_t count(const struct mbi_buf *list) { return list->size / sizeof(int32_t); }

static const int32_t *ids_of(const struct mbi_buf *list)
{
    return (const int32_t *)(const void *)list->data;
}

/* ---- what goes in ---- */

/* One id, and *text behind it and the comma. */
static int32_t read_id(struct mbi_buf *list, const char **text, uint32_t vocab, mambaint_error *err)
{
    const char *begin = *text + strspn(*text, BLANKS);
    const size_t digits = strspn(begin, DIGITS);
    const char *end = begin + digits + strspn(begin + digits, BLANKS);
    const int shown = (int)mbi_min_size(strcspn(begin, ","), SHOWN);
    uint32_t id = 0;

    if (!digits || (*end && *end != ','))
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option ids: number %zu, '%.*s', is no id: they are whole numbers with "
                        "commas between",
                        count(list) + 1, shown, begin);
    for (size_t i = 0; i < digits && id < vocab; i++)
        id = 10 * id + (uint32_t)(begin[i] - '0'); /* below 10 * 2^17 + 10 */
    if (id >= vocab)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "option ids: number %zu, %.*s, is outside the vocabulary of %u",
                        count(list) + 1, shown, begin, vocab);
    add_id(list, (int32_t)id);
    *text = end + (*end == ',');
    if (*end == ',' && !**text)
        return mbi_fail(err, MAMBAINT_E_INVALID, "option ids: nothing follows the last comma");
    return MAMBAINT_OK;
}

static int32_t read_ids(struct mbi_buf *list, const char *text, uint32_t vocab, uint32_t most,
                        mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    if (!text[strspn(text, BLANKS)])
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        "option ids: there is none; a model answers to one token at least");
    while (rc >= 0 && *text && count(list) <= most)
        rc = read_id(list, &text, vocab, err);
    return rc;
}

/* End of text, then the text, as mambaint_session_score() and 'mambaint generate' begin. */
static int32_t read_text(struct mbi_buf *list, const char *text, const struct mbi_tokenizer *t,
                         mambaint_error *err)
{
    add_id(list, mbi_tokenizer_eot(t));
    return mbi_tokenizer_encode(list, t, text, strlen(text), 0, err);
}

static int32_t read_prompt(struct mbi_buf *list, const mambaint_model *m,
                           const mambaint_options *options, uint32_t most, mambaint_error *err)
{
    const char *text = mbi_option(options, "prompt"), *ids = mbi_option(options, "ids");
    const struct mbi_tokenizer *t = m->model->tokenizer;
    int32_t rc;

    if (mbi_option(options, "features"))
        return mbi_fail(err, MAMBAINT_E_MISMATCH,
                        "option features: the model takes text; give it the option prompt or ids");
    if (!text == !ids)
        return mbi_fail(err, MAMBAINT_E_INVALID,
                        text ? "options prompt and ids: one of them says what the model answers to"
                             : "option prompt: what is the model to answer to? (or option ids)");
    rc = text ? read_text(list, text, t, err)
              : read_ids(list, ids, mbi_tokenizer_vocab(t), most, err);
    if (rc >= 0 && list->failed)
        rc = mbi_fail_memory(err, "the tokens of a proof");
    return rc;
}

/* ---- what comes out ---- */

/* One token; false behind the last one. */
static int32_t answer_token(struct mbi_buf *list, bool *more, mambaint_session *s,
                            mambaint_error *err)
{
    char piece[PIECE];
    size_t len;
    int32_t id, rc = mambaint_session_next(piece, sizeof(piece), &len, s, err);

    if (rc < 0)
        return rc;
    if (mambaint_session_token(&id, NULL, s) < 0)
        return mbi_fail(err, MAMBAINT_E_INTERNAL, "a step gave no token");
    add_id(list, id);
    *more = s->talk->ended == MBI_ENDED_NOT;
    return list->failed ? mbi_fail_memory(err, "the tokens of a proof") : MAMBAINT_OK;
}

/* The session begins with what is in the list. */
static int32_t answer(struct mbi_buf *list, uint32_t *n_outputs, uint32_t most, mambaint_session *s,
                      mambaint_error *err)
{
    int32_t rc = mambaint_session_feed(s, ids_of(list), count(list), err);
    bool more = true;

    for (*n_outputs = 0; *n_outputs < most && more && rc >= 0; ++*n_outputs) {
        rc = answer_token(list, &more, s, err);
        mbi_progress(s->host, "answer", *n_outputs + 1, most);
    }
    return rc;
}

/* A session of the same backend that takes the likeliest token. */
static int32_t open_session(mambaint_session **out, mambaint_model *m,
                            const mambaint_options *options, mambaint_error *err)
{
    const char *backend = mbi_option(options, "backend");
    mambaint_options *greedy;
    int32_t rc = mambaint_options_create(&greedy);

    if (rc < 0)
        return mbi_fail_memory(err, "options");
    rc = mambaint_options_set(greedy, "temperature", "0", err);
    if (rc >= 0 && backend)
        rc = mambaint_options_set(greedy, "backend", backend, err);
    if (rc >= 0)
        rc = mambaint_session_create(out, m, greedy, err);
    mambaint_options_free(greedy);
    return rc;
}

int32_t mbi_proof_answer(struct mbi_buf *list, uint32_t *n_outputs, mambaint_model *m,
                         const mambaint_options *options, uint32_t most, mambaint_error *err)
{
    uint32_t tokens = TOKENS_DEFAULT;
    mambaint_session *s;
    int32_t rc;

    if ((rc = mbi_option_u32(&tokens, options, "tokens", 1, most, err)) < 0 ||
        (rc = read_prompt(list, m, options, most, err)) < 0)
        return rc;
    if (count(list) + tokens - 1 > most)
        return mbi_fail(err, MAMBAINT_E_RANGE,
                        "a prompt of %zu tokens and an answer of %u take %zu steps; %s of at most "
                        "%u",
                        count(list), tokens, count(list) + tokens - 1,
                        most > MBI_STATEMENT_LANES ? "proofs in chunks are" : "a proof is", most);
    if ((rc = open_session(&s, m, options, err)) < 0)
        return rc;
    rc = answer(list, n_outputs, tokens, s, err);
    mambaint_session_free(s);
    return rc;
}

int32_t mbi_proof_answer_check(const struct mbi_kept_run *run, const int32_t *ids, size_t lanes,
                               uint32_t n_outputs, mambaint_error *err)
{
    const mbi_ref argmax = run->graph->argmax;
    const uint32_t dtype = run->graph->node[argmax].type.dtype;

    for (size_t t = lanes - n_outputs; t < lanes; t++)
        if (mbi_get(run->value[argmax], dtype, t) != ids[t + 1])
            return mbi_fail(err, MAMBAINT_E_INTERNAL,
                            "the answer is another one when its tokens are run at once");
    return MAMBAINT_OK;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* From one line of JSON to tokens, targets and the mask of the loss. */
#include "train/jsonl.h"
#include <string.h>
#if MBI_HAVE_JANSSON
#include <jansson.h>
#endif

void mbi_sequences_init(struct mbi_sequences *s, const struct mbi_host *host)
{
    mbi_buf_init(&s->input, host);
    mbi_buf_init(&s->target, host);
    mbi_buf_init(&s->loss, host);
    mbi_buf_init(&s->length, host);
}

void mbi_sequences_free(struct mbi_sequences *s)
{
    mbi_buf_free(&s->input);
    mbi_buf_free(&s->target);
    mbi_buf_free(&s->loss);
    mbi_buf_free(&s->length);
}

bool mbi_sequences_failed(const struct mbi_sequences *s)
{
    return s->input.failed || s->target.failed || s->loss.failed || s->length.failed;
}

#if MBI_HAVE_JANSSON

/* Where errors are, and what is being written. */
struct line {
    struct mbi_sequences *out;
    const struct mbi_tokenizer *t;
    const char *name;
    size_t number;
    size_t first; /* bytes of out->input before this sequence */
    mambaint_error *err;
};

static int32_t bad(const struct line *l, const char *what)
{
    return mbi_fail(l->err, MAMBAINT_E_FORMAT, "'%.80s', line %zu: %s", l->name, l->number, what);
}

/* A token of a conversation; `counts` says whether predicting it is part of the loss. */
static void put(struct line *l, int32_t id, bool counts)
{
    const uint8_t mask = counts;

    if (l->out->input.size > l->first) { /* it is the target of the token before it */
        mbi_buf_add(&l->out->target, &id, sizeof(id));
        mbi_buf_add(&l->out->loss, &mask, 1);
    }
    mbi_buf_add(&l->out->input, &id, sizeof(id));
}

static int32_t put_text(struct line *l, const json_t *text, bool counts)
{
    struct mbi_buf ids;
    int32_t rc;

    mbi_buf_init(&ids, l->out->input.host);
    rc = mbi_tokenizer_encode(&ids, l->t, json_string_value(text), json_string_length(text), 0,
                              l->err);
    for (size_t i = 0; rc >= 0 && i < ids.size / sizeof(int32_t); i++) {
        int32_t id;

        memcpy(&id, ids.data + i * sizeof(id), sizeof(id));
        put(l, id, counts);
    }
    mbi_buf_free(&ids);
    return rc;
}

/* role, text, end of turn */
static int32_t put_turn(struct line *l, enum mbi_role role, const json_t *text, const json_t *more)
{
    const bool answer = role == MBI_ROLE_ASSISTANT;
    int32_t rc;

    put(l, mbi_tokenizer_role(l->t, role), false);
    if ((rc = put_text(l, text, answer)) < 0 || (more && (rc = put_text(l, more, answer)) < 0))
        return rc;
    put(l, mbi_tokenizer_role(l->t, MBI_ROLE_END), answer);
    return MAMBAINT_OK;
}

static int32_t begin(struct line *l, const json_t *record)
{
    const json_t *system = json_object_get(record, "system");

    for (int role = MBI_ROLE_SYSTEM; role <= MBI_ROLE_END; role++)
        if (mbi_tokenizer_role(l->t, (enum mbi_role)role) < 0)
            return mbi_fail(l->err, MAMBAINT_E_UNSUPPORTED,
                            "'%.80s' holds turns, but the tokenizer has no tokens for them",
                            l->name);
    if (system && !json_is_string(system))
        return bad(l, "\"system\" must be text");
    put(l, mbi_tokenizer_eot(l->t), false);
    return system ? put_turn(l, MBI_ROLE_SYSTEM, system, NULL) : MAMBAINT_OK;
}

/* The last token predicts nothing that counts. */
static int32_t end(struct line *l)
{
    const int32_t eot = mbi_tokenizer_eot(l->t);
    const uint8_t mask = 0;
    const uint32_t n = (uint32_t)((l->out->input.size - l->first) / sizeof(int32_t));

    mbi_buf_add(&l->out->target, &eot, sizeof(eot));
    mbi_buf_add(&l->out->loss, &mask, 1);
    mbi_buf_add(&l->out->length, &n, sizeof(n));
    return MAMBAINT_OK;
}

/* user = instruction, a blank line and the input if there is one */
static int32_t add_instruction(struct line *l, const json_t *record)
{
    const json_t *instruction = json_object_get(record, "instruction");
    const json_t *input = json_object_get(record, "input");
    const json_t *output = json_object_get(record, "output");
    json_t *joined = NULL;
    int32_t rc;

    if (!json_is_string(instruction) || !json_is_string(output) ||
        (input && !json_is_string(input)))
        return bad(l, "\"instruction\", \"input\" and \"output\" must be texts");
    if (input && json_string_length(input)) {
        joined = json_sprintf("%s\n\n%s", json_string_value(instruction), json_string_value(input));
        if (!joined)
            return mbi_fail_memory(l->err, "a data file");
    }
    if ((rc = begin(l, record)) >= 0 &&
        (rc = put_turn(l, MBI_ROLE_USER, joined ? joined : instruction, NULL)) >= 0 &&
        (rc = put_turn(l, MBI_ROLE_ASSISTANT, output, NULL)) >= 0)
        rc = end(l);
    json_decref(joined);
    return rc;
}

/* A last turn of the user has no answer and is left out. */
static int32_t add_turns(struct line *l, const json_t *record)
{
    const json_t *turns = json_object_get(record, "turns");
    const size_t n = json_array_size(turns) / 2 * 2;
    int32_t rc;

    if (!n)
        return bad(l, "\"turns\" must be a list of at least two texts");
    if ((rc = begin(l, record)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(turns, i);

        if (!json_is_string(text))
            return bad(l, "\"turns\" must be a list of texts");
        if ((rc = put_turn(l, i % 2 ? MBI_ROLE_ASSISTANT : MBI_ROLE_USER, text, NULL)) < 0)
            return rc;
    }
    return end(l);
}

static int32_t add_ids(struct line *l, const json_t *record)
{
    const json_t *ids = json_object_get(record, "ids"),
                 *targets = json_object_get(record, "targets");
    const size_t n = json_array_size(ids);
    const json_int_t vocab = mbi_tokenizer_vocab(l->t);
    const uint32_t length = (uint32_t)n | MBI_SEQUENCE_ALONE;

    if (!n || json_array_size(targets) != n || n >= MBI_SEQUENCE_ALONE)
        return bad(l, "\"ids\" and \"targets\" must be lists of the same length, at least 1");
    for (size_t i = 0; i < n; i++) {
        const json_t *in = json_array_get(ids, i), *to = json_array_get(targets, i);
        const int32_t id = (int32_t)json_integer_value(in);
        const uint8_t mask = json_integer_value(to) >= 0;
        const int32_t target = mask ? (int32_t)json_integer_value(to) : 0;

        if (!json_is_integer(in) || !json_is_integer(to) || json_integer_value(in) < 0 ||
            json_integer_value(in) >= vocab || json_integer_value(to) < -1 ||
            json_integer_value(to) >= vocab)
            return bad(l, "an id is outside the vocabulary");
        mbi_buf_add(&l->out->input, &id, sizeof(id));
        mbi_buf_add(&l->out->target, &target, sizeof(target));
        mbi_buf_add(&l->out->loss, &mask, 1);
    }
    mbi_buf_add(&l->out->length, &length, sizeof(length));
    return MAMBAINT_OK;
}

static int32_t add_record(struct line *l, const json_t *record)
{
    if (json_object_get(record, "turns"))
        return add_turns(l, record);
    if (json_object_get(record, "ids"))
        return add_ids(l, record);
    if (json_object_get(record, "instruction"))
        return add_instruction(l, record);
    return bad(l, "no object with \"instruction\", \"turns\" or \"ids\"");
}

int32_t mbi_jsonl_add(struct mbi_sequences *out, const struct mbi_tokenizer *t, const char *text,
                      size_t len, size_t number, const char *name, mambaint_error *err)
{
    struct line l = {out, t, name, number, out->input.size, err};
    json_error_t why;
    json_t *record = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    int32_t rc = record ? add_record(&l, record) : bad(&l, why.text);

    json_decref(record);
    if (rc >= 0 && mbi_sequences_failed(out))
        rc = mbi_fail_memory(err, "a data file");
    return rc;
}

#else

int32_t mbi_jsonl_add(struct mbi_sequences *out, const struct mbi_tokenizer *t, const char *text,
                      size_t len, size_t number, const char *name, mambaint_error *err)
{
    (void)out, (void)t, (void)text, (void)len, (void)number;
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "'%.120s': this build cannot read JSON lines (no jansson)", name);
}

#endif

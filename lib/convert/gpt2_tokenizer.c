/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-2's encoder.json and vocab.bpe to a tokenizer. */
#include "convert/gpt2_tokenizer.h"
#include "tokenizer/build.h"

#if MBI_HAVE_JANSSON

#include <jansson.h>

#define MAX_DEPTH 64
#define END_OF_TEXT "<|endoftext|>"

/* Whether brackets nest no deeper than MAX_DEPTH: the parser recurses, and its limit is higher. */
static bool is_shallow(const struct mbi_map *file)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < file->size; i++) {
        const uint8_t b = file->data[i];

        if (in_string && b == '\\')
            i++;
        else if (b == '"')
            in_string = !in_string;
        else if (!in_string && (b == '{' || b == '['))
            depth++;
        else if (!in_string && (b == '}' || b == ']'))
            depth--;
        if (depth > MAX_DEPTH)
            return false;
    }
    return true;
}

static int32_t parse(json_t **out, const struct mbi_map *file, const char *path,
                     mambaint_error *err)
{
    json_error_t why;

    *out = NULL;
    if (!is_shallow(file))
        return mbi_fail(err, MAMBAINT_E_FORMAT, "'%s' nests deeper than %d", path, MAX_DEPTH);
    *out = json_loadb((const char *)file->data, file->size, JSON_REJECT_DUPLICATES, &why);
    if (!*out && json_error_code(&why) == json_error_out_of_memory)
        return mbi_fail_memory(err, "the vocabulary");
    if (!*out)
        return mbi_fail(err, MAMBAINT_E_FORMAT, "'%s', line %d: %s", path, why.line, why.text);
    if (json_is_object(*out))
        return MAMBAINT_OK;
    json_decref(*out);
    *out = NULL;
    return mbi_fail(err, MAMBAINT_E_FORMAT, "'%s' is not a JSON object of tokens and ids", path);
}

/* Spelled tokens by id. There are as many ids as tokens, so each is used exactly once. */
static int32_t order_tokens(const char **token, json_t *object, size_t n, const char *path,
                            mambaint_error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

        if (id < 0 || (size_t)id >= n || token[id])
            return mbi_fail(err, MAMBAINT_E_FORMAT,
                            "'%s': the ids are not the numbers 0 to %zu, each once", path, n - 1);
        token[id] = key;
    }
    return MAMBAINT_OK;
}

static int32_t add_tokens(struct mbi_tokenizer_build *b, int32_t *eot, const char *const *token,
                          size_t n, mambaint_error *err)
{
    int32_t rc = MAMBAINT_OK;

    *eot = -1;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        const bool end = !strcmp(token[i], END_OF_TEXT);

        if (end)
            *eot = (int32_t)i;
        rc = mbi_tokenizer_build_spelled(b, token[i], strlen(token[i]),
                                         end ? MBI_TOKEN_CONTROL : MBI_TOKEN_NORMAL, err);
    }
    return rc < 0 ? rc : mbi_tokenizer_build_seal(b, err);
}

static int32_t add_merges(struct mbi_tokenizer_build *b, const struct mbi_map *file,
                          mambaint_error *err)
{
    const char *at = (const char *)file->data;
    const char *const end = at + file->size;
    int32_t rc = MAMBAINT_OK;

    for (size_t line = 0; rc >= 0 && at < end; line++) {
        const char *const newline = memchr(at, '\n', (size_t)(end - at));
        const char *const next = newline ? newline + 1 : end;
        size_t len = (size_t)((newline ? newline : end) - at);

        if (len > 0 && at[len - 1] == '\r')
            len--;
        if (len > 0 && (line > 0 || len < 9 || memcmp(at, "#version:", 9)))
            rc = mbi_tokenizer_build_merge_text(b, at, len, err);
        at = next;
    }
    return rc;
}

static int32_t convert(struct mbi_tokenizer **out, const struct mbi_host *host, json_t *object,
                       const char **token, const struct mbi_map *merges, const char *path,
                       mambaint_error *err)
{
    static const int32_t no_role[5] = {-1, -1, -1, -1, -1};
    const size_t n = json_object_size(object);
    struct mbi_tokenizer_build b;
    int32_t rc, eot;

    if ((rc = order_tokens(token, object, n, path, err)) < 0)
        return rc;
    if ((rc = mbi_tokenizer_build_begin(&b, host, MBI_PRE_GPT2, false, (uint32_t)n, err)) >= 0 &&
        (rc = add_tokens(&b, &eot, token, n, err)) >= 0 && (rc = add_merges(&b, merges, err)) >= 0)
        return mbi_tokenizer_build_finish(out, &b, eot, no_role, err);
    mbi_tokenizer_build_abort(&b);
    return rc;
}

int32_t mbi_convert_gpt2(struct mbi_tokenizer **out, const struct mbi_host *host,
                         const char *encoder_json_path, const char *vocab_bpe_path,
                         mambaint_error *err)
{
    struct mbi_map encoder = {0}, merges = {0};
    json_t *object = NULL;
    const char **token = NULL;
    size_t n;
    int32_t rc;

    *out = NULL;
    if ((rc = mbi_map_open(&encoder, host, encoder_json_path, err)) < 0)
        return rc;
    if ((rc = mbi_map_open(&merges, host, vocab_bpe_path, err)) >= 0 &&
        (rc = parse(&object, &encoder, encoder_json_path, err)) >= 0) {
        n = json_object_size(object);
        if (n == 0 || n > MBI_MAX_VOCAB)
            rc = mbi_fail(err, MAMBAINT_E_RANGE, "'%s' has %zu tokens; allowed are up to %u",
                          encoder_json_path, n, MBI_MAX_VOCAB);
        else if (!(token = mbi_alloc(host, n, sizeof(*token))))
            rc = mbi_fail_memory(err, "the vocabulary");
        else
            rc = convert(out, host, object, token, &merges, encoder_json_path, err);
    }
    mbi_free(host, token);
    json_decref(object);
    mbi_map_close(&merges, host);
    mbi_map_close(&encoder, host);
    return rc;
}

#else

int32_t mbi_convert_gpt2(struct mbi_tokenizer **out, const struct mbi_host *host,
                         const char *encoder_json_path, const char *vocab_bpe_path,
                         mambaint_error *err)
{
    (void)host;
    *out = NULL;
    return mbi_fail(err, MAMBAINT_E_UNSUPPORTED,
                    "cannot import '%s' and '%s': this library was built without jansson",
                    encoder_json_path, vocab_bpe_path);
}

#endif

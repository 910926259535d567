/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer train, encode, decode, import. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

/* Takes over the tokenizer. */
static int save(mambaint_tokenizer *tokenizer, const char *path, bool json)
{
    mambaint_error err;
    uint8_t digest[32];
    char hex[65];
    struct json j;
    const int32_t rc = mambaint_tokenizer_save(tokenizer, path, &err);
    const int vocab = mambaint_tokenizer_vocab(tokenizer);

    mambaint_tokenizer_digest(digest, tokenizer);
    mambaint_tokenizer_unref(tokenizer);
    if (rc < 0)
        return fail_error(rc, &err);
    digest_hex(hex, digest);
    if (json) {
        json_open(&j, stdout);
        json_integer(&j, "vocab", vocab);
        json_string(&j, "tokenizer_digest", hex);
        json_close(&j);
    } else {
        printf("%s: %d tokens, digest %s\n", path, vocab, hex);
    }
    return CLI_DONE;
}

static int run_train(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_error err;
    struct busy busy;
    int32_t rc = MAMBAINT_OK;
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) != CLI_DONE)
        return status;
    for (size_t i = 0; i < args->n_operands && rc >= 0; i++)
        rc = mambaint_options_set(args->options, "data", args->operand[i], &err);
    busy_begin(&busy, "tokenizer train");
    if (rc >= 0)
        rc = mambaint_tokenizer_train(&tokenizer, NULL, NULL, 0, args->options, &err);
    busy_end(&busy);
    return rc < 0 ? fail_input(rc, &err) : save(tokenizer, out, args_switch(args, "json"));
}

static int run_import(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_error err;
    int32_t rc;
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) != CLI_DONE)
        return status;
    rc = mambaint_tokenizer_import(&tokenizer, NULL, args->operand[0], args->operand[1], &err);
    return rc < 0 ? fail_error(rc, &err) : save(tokenizer, out, args_switch(args, "json"));
}

/* ---- using ---- */

/* --tokenizer FILE or --model FILE: a tokenizer, or the one inside a model. */
static int open_tokenizer(mambaint_tokenizer **out, const struct args *args)
{
    const char *path = args_text(args, "model", NULL);
    mambaint_error err;
    int32_t rc;

    if (!path || args_text(args, "tokenizer", NULL))
        path = args_needed(args, "tokenizer", "which tokenizer?");
    if (!path)
        return CLI_USAGE;
    rc = mambaint_tokenizer_open(out, NULL, path, &err);
    return rc < 0 ? fail_error(rc, &err) : CLI_DONE;
}

static int encode(const struct args *args, const mambaint_tokenizer *t, const char *text,
                  size_t len)
{
    const uint32_t flags = args_switch(args, "special") ? MAMBAINT_ENCODE_SPECIAL : 0;
    struct json j;
    size_t n;
    int32_t *ids = encode_text(&n, t, text, len, flags);

    if (!ids)
        return CLI_FAILED;
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_ids(&j, "ids", ids + 1, n);
        json_close(&j);
    } else {
        for (size_t i = 1; i <= n; i++)
            printf("%d%c", ids[i], i < n ? ' ' : '\n');
    }
    free(ids);
    return CLI_DONE;
}

static int run_encode(struct args *args)
{
    const char *text = args_text(args, "prompt", NULL);
    mambaint_tokenizer *tokenizer = NULL;
    size_t len = text ? strlen(text) : 0;
    char *owned = NULL;
    int status = open_tokenizer(&tokenizer, args);

    if (status == CLI_DONE && !text && !(text = owned = read_all("-", &len)))
        status = CLI_FAILED;
    if (status == CLI_DONE)
        status = encode(args, tokenizer, text, len);
    free(owned);
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

static int decode(const struct args *args, const mambaint_tokenizer *t, const int32_t *ids,
                  size_t n)
{
    size_t need = 0;
    struct json j;
    int32_t rc = mambaint_tokenizer_decode(NULL, 0, &need, t, ids, n);
    char *text = NULL;

    if (rc == MAMBAINT_E_SPACE) {
        text = malloc(need);
        rc = text ? mambaint_tokenizer_decode(text, need, &need, t, ids, n) : MAMBAINT_E_NO_MEMORY;
    }
    if (rc == MAMBAINT_E_RANGE)
        fail("an id is outside the vocabulary of %d", mambaint_tokenizer_vocab(t));
    else if (rc < 0)
        fail("cannot decode: %s", mambaint_status_name(rc));
    if (rc < 0) {
        free(text);
        return CLI_FAILED;
    }
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_text(&j, "text", text ? text : "", need);
        json_close(&j);
    } else if (need) {
        fwrite(text, 1, need, stdout);
    }
    free(text);
    return CLI_DONE;
}

struct ids {
    int32_t *id;
    size_t n, cap;
};

/* Numbers apart by white space, commas or brackets, so that the output of encode, plain or as a
 * JSON list, can come back. */
static int add_ids(struct ids *ids, const char *text, size_t len)
{
    static const char apart[] = " \t\r\n,[]";
    const char *const end = text + len;

    for (const char *p = text + strspn(text, apart); p < end; p += strspn(p, apart)) {
        char *stop;
        long id;

        errno = 0;
        id = strtol(p, &stop, 10);
        if (stop == p || errno || id < 0 || id > INT32_MAX || (*stop && !strchr(apart, *stop))) {
            fail("'%.20s' is no list of token ids", p);
            return CLI_USAGE;
        }
        if (ids->n == ids->cap) {
            const size_t cap = 2 * ids->cap + 256;
            int32_t *more = realloc(ids->id, cap * sizeof(*more));

            if (!more)
                return fail_memory();
            ids->id = more;
            ids->cap = cap;
        }
        ids->id[ids->n++] = (int32_t)id;
        p = stop;
    }
    return CLI_DONE;
}

/* From arguments, or from standard input. */
static int read_ids(struct ids *ids, const struct args *args)
{
    int status = CLI_DONE;
    size_t size;
    char *text;

    for (size_t i = 0; i < args->n_operands && status == CLI_DONE; i++)
        status = add_ids(ids, args->operand[i], strlen(args->operand[i]));
    if (args->n_operands)
        return status;
    if (!(text = read_all("-", &size)))
        return CLI_FAILED;
    status = add_ids(ids, text, size);
    free(text);
    return status;
}

static int run_decode(struct args *args)
{
    mambaint_tokenizer *tokenizer = NULL;
    struct ids ids = {0};
    int status = open_tokenizer(&tokenizer, args);

    if (status == CLI_DONE)
        status = read_ids(&ids, args);
    if (status == CLI_DONE)
        status = decode(args, tokenizer, ids.id, ids.n);
    free(ids.id);
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

/* ---- the commands ---- */

static const struct flag flags_train[] = {
    {"vocab", 0, FLAG_OPTION, "N", "number of tokens, at least 272 (2048)"},
    {"pre", 0, FLAG_OPTION, "NAME", "how text is cut into words: gpt-2 or cl100k (gpt-2)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (same result)"},
    {0},
};

static const struct flag flags_tokenizer[] = {
    {"tokenizer", 't', FLAG_TEXT, "FILE", "a tokenizer file"},
    {"model", 'm', FLAG_TEXT, "FILE", "or a model file, for the tokenizer inside"},
    {0},
};

static const struct flag flags_encode[] = {
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text (default: standard input, to the byte)"},
    {"special", 0, FLAG_SWITCH, NULL, "spellings of special tokens become their ids"},
    {0},
};

const struct command command_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "Train a byte-pair tokenizer on text files.",
    .operands = "FILE ...",
    .min_operands = 1,
    .max_operands = MANY_OPERANDS,
    .flags = (const struct flag *const[]){flags_out, flags_train, flags_json, flags_help, NULL},
    .examples =
        "  mambaint tokenizer train stories.txt --vocab 4096 --out stories.tokenizer\n"
        "  mambaint tokenizer train books.txt.xz talk.jsonl --pre cl100k -o mixed.tokenizer\n",
    .run = run_train,
};

const struct command command_tokenizer_encode = {
    .name = "tokenizer encode",
    .summary = "Text to ids.",
    .operands = "",
    .flags =
        (const struct flag *const[]){flags_tokenizer, flags_encode, flags_json, flags_help, NULL},
    .examples = "  mambaint tokenizer encode -m storyteller.gguf -p \"Once upon a time\"\n"
                "  mambaint tokenizer encode -t stories.tokenizer --json < story.txt\n",
    .run = run_encode,
};

const struct command command_tokenizer_decode = {
    .name = "tokenizer decode",
    .summary = "Ids to text.",
    .operands = "[ID ...]",
    .max_operands = MANY_OPERANDS,
    .flags = (const struct flag *const[]){flags_tokenizer, flags_json, flags_help, NULL},
    .examples = "  mambaint tokenizer decode -m storyteller.gguf 404 511 290\n"
                "  mambaint tokenizer decode -t stories.tokenizer < ids.txt\n",
    .run = run_decode,
};

const struct command command_tokenizer_import = {
    .name = "tokenizer import",
    .summary = "Import a tokenizer in the two files of GPT-2.",
    .operands = "ENCODER.json VOCAB.bpe",
    .min_operands = 2,
    .max_operands = 2,
    .flags = (const struct flag *const[]){flags_out, flags_json, flags_help, NULL},
    .examples = "  mambaint tokenizer import encoder.json vocab.bpe --out gpt2.tokenizer\n",
    .run = run_import,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer train, encode, decode, import. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int save(mambaint_tokenizer *tokenizer, const char *path, bool json)
{
    mambaint_error err;
    uint8_t digest[32];
    char hex[65];
    struct json j;

    if (mambaint_tokenizer_save(tokenizer, path, &err) < 0)
        return fail_error(&err);
    mambaint_tokenizer_digest(digest, tokenizer);
    digest_hex(hex, digest);
    if (json) {
        json_open(&j, stdout, "{");
        json_integer(&j, "vocab", mambaint_tokenizer_vocab(tokenizer));
        json_text(&j, "tokenizer_digest", hex, 64);
        json_close(&j, "}");
    } else {
        printf("%s: %d tokens, digest %s\n", path, mambaint_tokenizer_vocab(tokenizer), hex);
    }
    return CLI_DONE;
}

static const char *out_path(const struct args *args)
{
    const char *out = args_text(args, "out", NULL);

    if (!out)
        fprintf(stderr, "mambaint %s: where to? Name a file with --out FILE.\n",
                args->command->name);
    return out;
}

static int run_train(struct args *args)
{
    const char *out = out_path(args);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_error err;
    int status = CLI_DONE;

    if (!out)
        return CLI_USAGE;
    for (size_t i = 0; i < args->n_operands; i++)
        if (mambaint_options_set(args->options, "data", args->operand[i], &err) < 0)
            return fail_error(&err);
    if (mambaint_tokenizer_train(&tokenizer, NULL, NULL, 0, args->options, &err) < 0)
        return fail_error(&err);
    status = save(tokenizer, out, args_switch(args, "json"));
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

static int run_import(struct args *args)
{
    const char *out = out_path(args);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_error err;
    int status;

    if (!out)
        return CLI_USAGE;
    if (mambaint_tokenizer_import(&tokenizer, NULL, args->operand[0], args->operand[1], &err) < 0)
        return fail_error(&err);
    status = save(tokenizer, out, args_switch(args, "json"));
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

/* --tokenizer FILE or --model FILE: a tokenizer, or the one inside a model. */
static int open_tokenizer(mambaint_tokenizer **out, const struct args *args)
{
    const char *path = args_text(args, "tokenizer", args_text(args, "model", NULL));
    mambaint_error err;

    if (!path) {
        fprintf(stderr, "mambaint %s: which tokenizer? Name one with --tokenizer FILE.\n",
                args->command->name);
        return CLI_USAGE;
    }
    return mambaint_tokenizer_open(out, NULL, path, &err) < 0 ? fail_error(&err) : CLI_DONE;
}

static int encode(const struct args *args, const mambaint_tokenizer *t, const char *text, size_t len)
{
    const uint32_t flags = args_switch(args, "special") ? MAMBAINT_ENCODE_SPECIAL : 0;
    size_t n = 0;
    int32_t *ids, rc = mambaint_tokenizer_encode(NULL, 0, &n, t, text, len, flags);
    struct json j;

    if (rc < 0 && rc != MAMBAINT_E_SPACE)
        return fail("cannot encode: %s", mambaint_status_name(rc));
    if (!(ids = malloc((n + 1) * sizeof(*ids))) ||
        mambaint_tokenizer_encode(ids, n, &n, t, text, len, flags) < 0) {
        free(ids);
        return fail("out of memory");
    }
    if (args_switch(args, "json")) {
        json_open(&j, stdout, "{");
        json_ids(&j, "ids", ids, n);
        json_close(&j, "}");
    } else {
        for (size_t i = 0; i < n; i++)
            printf("%d%c", ids[i], i + 1 < n ? ' ' : '\n');
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

/* Ids from arguments, or from standard input: anything that is no digit parts them. */
static int32_t *read_ids(const struct args *args, size_t *n)
{
    size_t size = 0, cap = 0;
    char *text = NULL;
    int32_t *ids = NULL;

    if (!args->n_operands && !(text = read_all("-", &size)))
        return NULL;
    cap = size / 2 + args->n_operands + 1;
    ids = malloc(cap * sizeof(*ids));
    *n = 0;
    for (size_t i = 0; ids && i < args->n_operands; i++)
        ids[(*n)++] = (int32_t)strtol(args->operand[i], NULL, 10);
    for (char *p = text; ids && p && *p;) {
        char *end;
        const long id = strtol(p, &end, 10);

        if (end == p) {
            p++;
            continue;
        }
        ids[(*n)++] = id < 0 || id > INT32_MAX ? -1 : (int32_t)id;
        p = end;
    }
    free(text);
    if (!ids)
        fail("out of memory");
    return ids;
}

static int decode(const struct args *args, const mambaint_tokenizer *t, const int32_t *ids, size_t n)
{
    size_t size = 0;
    int32_t rc = mambaint_tokenizer_decode(NULL, 0, &size, t, ids, n);
    char *text;
    struct json j;

    if (rc < 0 && rc != MAMBAINT_E_SPACE)
        return fail("cannot decode: an id is not from 0 to %d", mambaint_tokenizer_vocab(t) - 1);
    if (!(text = malloc(size + 1)) || mambaint_tokenizer_decode(text, size, &size, t, ids, n) < 0) {
        free(text);
        return fail("out of memory");
    }
    if (args_switch(args, "json")) {
        json_open(&j, stdout, "{");
        json_text(&j, "text", text, size);
        json_close(&j, "}");
    } else {
        fwrite(text, 1, size, stdout);
    }
    free(text);
    return CLI_DONE;
}

static int run_decode(struct args *args)
{
    mambaint_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    int status = open_tokenizer(&tokenizer, args);

    if (status == CLI_DONE && !(ids = read_ids(args, &n)))
        status = CLI_FAILED;
    if (status == CLI_DONE)
        status = decode(args, tokenizer, ids, n);
    free(ids);
    mambaint_tokenizer_unref(tokenizer);
    return status;
}

static const struct flag flags_train[] = {
    {"vocab", 0, FLAG_OPTION, "N", "number of tokens, at least 272 (2048)"},
    {"pre", 0, FLAG_OPTION, "NAME", "how text is cut into words: gpt-2 or cl100k (gpt-2)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (same result)"},
    {"out", 'o', FLAG_TEXT, "FILE", "where to save"},
    {0},
};

static const struct flag flags_out[] = {
    {"out", 'o', FLAG_TEXT, "FILE", "where to save"},
    {0},
};

static const struct flag flags_tokenizer[] = {
    {"tokenizer", 't', FLAG_TEXT, "FILE", "a tokenizer file"},
    {"model", 'm', FLAG_TEXT, "FILE", "or a model file, for the tokenizer inside"},
    {0},
};

static const struct flag flags_encode[] = {
    {"prompt", 'p', FLAG_TEXT, "TEXT", "the text (default: standard input)"},
    {"special", 0, FLAG_SWITCH, NULL, "spellings of special tokens become their ids"},
    {0},
};

const struct command command_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "Train a byte-pair tokenizer on text files.",
    .operands = "FILE ...",
    .min_operands = 1,
    .max_operands = MAX_OPERANDS,
    .flags = (const struct flag *const[]){flags_train, flags_json, flags_help, NULL},
    .examples = "  mambaint tokenizer train stories.txt --vocab 4096 --out stories.tokenizer\n",
    .run = run_train,
};

const struct command command_tokenizer_encode = {
    .name = "tokenizer encode",
    .summary = "Text to ids.",
    .operands = "",
    .flags = (const struct flag *const[]){flags_tokenizer, flags_encode, flags_json, flags_help,
                                          NULL},
    .examples = "  mambaint tokenizer encode -m storyteller.gguf -p \"Once upon a time\"\n",
    .run = run_encode,
};

const struct command command_tokenizer_decode = {
    .name = "tokenizer decode",
    .summary = "Ids to text.",
    .operands = "[ID ...]",
    .max_operands = MAX_OPERANDS,
    .flags = (const struct flag *const[]){flags_tokenizer, flags_json, flags_help, NULL},
    .examples = "  mambaint tokenizer decode -m storyteller.gguf 404 511 290\n",
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

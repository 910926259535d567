/* SPDX-License-Identifier: Apache-2.0 */
/* proof: what a proof says without checking it, and keys for those who check. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD 16   /* bytes of a file before the statement (docs/proof-files.md) */
#define DIGEST 32 /* ... and at its end */

char *statement_text(const mambaint_statement *statement, const mambaint_tokenizer *tokenizer,
                     const char *key)
{
    size_t need = 0;
    char *text;

    if (mambaint_statement_text_with(NULL, 0, &need, statement, tokenizer, key) !=
            MAMBAINT_E_SPACE ||
        !(text = malloc(need)))
        return NULL;
    if (mambaint_statement_text_with(text, need, &need, statement, tokenizer, key) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- inspect ---- */

/* saved: bytes of the statement alone, saved as a file; 0: of several proofs. */
static int print_json(const mambaint_statement *s, const mambaint_tokenizer *tokenizer, size_t size,
                      size_t saved)
{
    char *json = statement_text(s, tokenizer, "json");
    struct json j;

    if (!json)
        return fail_memory();
    json_open(&j, stdout);
    json_raw(&j, "statement", json);
    json_integer(&j, "file_bytes", (long long)size);
    if (saved) {
        json_integer(&j, "head_bytes", HEAD);
        json_integer(&j, "statement_bytes", (long long)(saved - HEAD - DIGEST));
        json_integer(&j, "body_bytes", (long long)(size - saved));
    }
    json_close(&j);
    free(json);
    return CLI_DONE;
}

/* Each proof of a linked chain. */
static void print_size(void *user, const char *path, const char *text)
{
    const char **before = user;

    if (strncmp(path, "proof_sizes[", 12))
        return;
    printf("%s%s", *before, text);
    *before = " + ";
}

static bool print_sizes(const mambaint_statement *s)
{
    char *json = statement_text(s, NULL, "json");
    const char *before = ", the proofs ";
    const bool ok = json && json_read(json, print_size, &before);

    free(json);
    return ok;
}

static int print_words(const mambaint_statement *s, const mambaint_tokenizer *tokenizer,
                       size_t size, size_t saved)
{
    bool ok = true;

    char *words = statement_text(s, tokenizer, "text");

    if (!words)
        return fail_memory();
    printf("This is what the file says; 'mambaint verify' finds out whether it is true.\n%s"
           "bytes: %zu",
           words, size);
    if (saved)
        printf(" = head %d + statement %zu + body %zu + digest %d", HEAD, saved - HEAD - DIGEST,
               size - saved, DIGEST);
    else
        ok = print_sizes(s);
    putchar('\n');
    free(words);
    return ok ? CLI_DONE : fail_memory();
}

static int save_statement(const char *path, const mambaint_statement *s, size_t size)
{
    void *data = malloc(size);
    int status = CLI_FAILED;

    if (data && mambaint_statement_save(data, size, NULL, s) == MAMBAINT_OK)
        status = write_all(path, data, size);
    else
        fail_memory();
    free(data);
    return status;
}

/* One that is named has to fit the tokens of the statement. */
static int open_tokenizer(mambaint_tokenizer **out, const char *path, const mambaint_statement *s)
{
    mambaint_error err;
    int32_t rc;

    if (!path)
        return CLI_DONE;
    if ((rc = mambaint_tokenizer_open(out, NULL, path, &err)) < 0)
        return fail_error(rc, &err);
    rc = mambaint_statement_match_text(s, *out, NULL, 0, NULL, 0, &err);
    return rc < 0 ? fail("%s: %s", path, err.message) : CLI_DONE;
}

static int inspect_proof(struct args *args)
{
    const char *out = args_text(args, "statement", NULL);
    mambaint_tokenizer *tokenizer = NULL;
    mambaint_statement *s = NULL;
    size_t size, saved = 0;
    char *data = read_all(args->operand[0], &size);
    bool series; /* of proofs: several heads, bodies, ... */
    mambaint_error err;
    int32_t rc;
    int status;

    if (!data)
        return CLI_FAILED;
    rc = mambaint_statement_read(&s, NULL, data, size, &err);
    series = size >= 4 && !memcmp(data, "MIPS", 4);
    free(data);
    if (rc < 0)
        return fail("%s: %s", args->operand[0], err.message);
    mambaint_statement_save(NULL, 0, &saved, s);
    status = open_tokenizer(&tokenizer, args_text(args, "tokenizer", NULL), s);
    if (status == CLI_DONE && out)
        status = save_statement(out, s, saved);
    if (series)
        saved = 0;
    if (status == CLI_DONE)
        status = args_switch(args, "json") ? print_json(s, tokenizer, size, saved)
                                           : print_words(s, tokenizer, size, saved);
    mambaint_tokenizer_unref(tokenizer);
    mambaint_statement_free(s);
    return status;
}

/* ---- inspect: prover's keys ---- */

bool is_prover_key(const char *path)
{
    FILE *f = fopen(path, "rb");
    char magic[4] = "";
    const bool is = f && fread(magic, sizeof(magic), 1, f) == 1 && !memcmp(magic, "MIPK", 4);

    if (f)
        fclose(f);
    return is;
}

char *prover_key_text(const char *path, const char *key, mambaint_error *err)
{
    size_t need = 0;
    char *text = NULL;

    if (mambaint_prover_key_text(NULL, 0, &need, path, key, err) == MAMBAINT_E_SPACE &&
        (text = malloc(need)) &&
        mambaint_prover_key_text(text, need, &need, path, key, err) != MAMBAINT_OK) {
        free(text);
        text = NULL;
    }
    return text;
}

struct counts {
    long long all, left;
};

static void take_count(void *user, const char *path, const char *text)
{
    struct counts *c = user;

    if (!strcmp(path, "proofs") && strcmp(text, "null"))
        c->all = strtoll(text, NULL, 10);
    if (!strcmp(path, "proofs_left") && strcmp(text, "null"))
        c->left = strtoll(text, NULL, 10);
}

bool prover_key_left(long long *all, long long *left, const char *path)
{
    struct counts c = {-1, -1};
    mambaint_error err;
    char *json = prover_key_text(path, "json", &err);
    const bool counted = json && json_read(json, take_count, &c) && c.left >= 0;

    free(json);
    *all = c.all;
    *left = c.left;
    return counted;
}

static int inspect_prover_key(struct args *args)
{
    const char *path = args->operand[0];
    const bool as_json = args_switch(args, "json");
    mambaint_error err = {0, ""};
    char *text = prover_key_text(path, as_json ? "json" : "text", &err);
    struct json j;

    if (!text)
        return err.message[0] ? fail("%s: %s", path, err.message) : fail_memory();
    if (as_json) {
        json_open(&j, stdout);
        json_raw(&j, "prover_key", text);
        json_integer(&j, "file_bytes", file_size(path));
        json_close(&j);
    } else {
        printf("%sbytes: %lld\n", text, file_size(path));
    }
    free(text);
    return CLI_DONE;
}

static int inspect(struct args *args)
{
    return is_prover_key(args->operand[0]) ? inspect_prover_key(args) : inspect_proof(args);
}

static const struct flag inspect_flags[] = {
    {"statement", 0, FLAG_TEXT, "FILE", "also save the statement, for 'verify --expect'"},
    {"tokenizer", 0, FLAG_TEXT, "FILE", "a tokenizer, or the model with it: show tokens as text"},
    {0},
};

const struct command command_proof_inspect = {
    .name = "proof inspect",
    .summary = "Show what a proof says, without checking it, or a prover's key.",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .flags = (const struct flag *const[]){inspect_flags, flags_json, flags_help, NULL},
    .examples = "  mambaint proof inspect run.proof\n"
                "  mambaint proof inspect run.proof --statement run.statement --json\n"
                "  mambaint proof inspect simple.mipk\n",
    .run = inspect,
};

/* ---- join ---- */

static int save_series(const char *out, char *const *data, const size_t *size, size_t n)
{
    mambaint_proof *series = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_proof_join(&series, NULL, (const void *const *)data, size, n, &err);
    const void *bytes;
    size_t n_bytes;
    int status;

    if (rc < 0)
        return fail_error(rc, &err);
    bytes = mambaint_proof_data(series, &n_bytes);
    if ((status = write_all(out, bytes, n_bytes)) == CLI_DONE)
        printf("%s: %zu bytes, %zu proofs; 'mambaint verify' finds out whether they are true\n",
               out, n_bytes, n);
    mambaint_proof_free(series);
    return status;
}

static int join(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    char **data = calloc(args->n_operands, sizeof(*data));
    size_t *size = calloc(args->n_operands, sizeof(*size));
    int status = out ? CLI_DONE : CLI_USAGE;

    if (status == CLI_DONE && (!data || !size))
        status = fail_memory();
    if (status == CLI_DONE)
        status = check_writable(out);
    for (size_t i = 0; status == CLI_DONE && i < args->n_operands; i++)
        if (!(data[i] = read_all(args->operand[i], &size[i])))
            status = CLI_FAILED;
    if (status == CLI_DONE)
        status = save_series(out, data, size, args->n_operands);
    for (size_t i = 0; data && i < args->n_operands; i++)
        free(data[i]);
    free(data);
    free(size);
    return status;
}

static const struct flag join_flags[] = {{0}};

const struct command command_proof_join = {
    .name = "proof join",
    .summary = "Put proofs that follow each other into one file.",
    .operands = "FILE ...",
    .min_operands = 1,
    .max_operands = MANY_OPERANDS,
    .flags = (const struct flag *const[]){flags_out, join_flags, flags_help, NULL},
    .examples = "  mambaint proof join one.proof two.proof three.proof --out chain.proof\n",
    .run = join,
};

/* ---- key ---- */

/* Proofs of a prover's key with hidden weights. */
static void json_left(struct json *j, const char *path)
{
    long long all, left;

    if (!path || !prover_key_left(&all, &left, path))
        return;
    json_integer(j, "proofs", all);
    json_integer(j, "proofs_left", left);
}

static void print_left(const char *path)
{
    long long all, left;

    if (prover_key_left(&all, &left, path))
        printf("%s: makes %lld proofs, of which %lld are left; keep it secret, and no copy of it\n",
               path, all, left);
}

static int save_key(const struct args *args, const char *out, const mambaint_key *key,
                    struct stages *stages)
{
    const double start = now_seconds();
    size_t size = 0;
    int32_t rc = mambaint_key_save(NULL, 0, &size, key);
    void *data = rc == MAMBAINT_E_SPACE ? malloc(size) : NULL;
    uint8_t digest[32];
    struct json j;
    char hex[65];
    int status;

    if (data)
        rc = mambaint_key_save(data, size, &size, key);
    stages_end(stages);
    if (!data || rc < 0) {
        free(data);
        return fail("cannot make the key: %s",
                    mambaint_status_name(rc == MAMBAINT_E_SPACE ? MAMBAINT_E_NO_MEMORY : rc));
    }
    status = write_all(out, data, size);
    free(data);
    if (status != CLI_DONE || mambaint_key_digest(digest, key) < 0)
        return status;
    digest_hex(hex, digest);
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_string(&j, "model_id", hex);
        json_integer(&j, "key_bytes", (long long)size);
        json_number(&j, "certify_ms", 1e3 * (now_seconds() - start));
        stages_json(&j, stages);
        json_left(&j, args_text(args, "prover-key", NULL));
        json_close(&j);
    } else {
        printf("%s: %zu bytes, model id %s\n", out, size, hex);
    }
    return CLI_DONE;
}

static int make_verifier_key(const struct args *args, const char *out, const struct models *models,
                             struct stages *stages)
{
    mambaint_key *key = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_key_create(&key, models->model, models->n, args->options, &err);
    const int status = rc < 0 ? fail_option(rc, &err) : save_key(args, out, key, stages);

    mambaint_key_free(key);
    return status;
}

/* Of hidden weights the key comes out of that of the prover, which is made if it is not there. */
static int make_hidden_key(const struct args *args, const char *out, const struct models *models,
                           struct stages *stages)
{
    const char *path = args_text(args, "prover-key", NULL);
    mambaint_error err;
    int32_t rc = mambaint_options_set(args->options, "prover-key", path, &err);
    int status;

    if (rc >= 0 && access(path, F_OK) < 0) {
        if ((status = check_writable(path)) != CLI_DONE)
            return status;
        rc = mambaint_prover_key_save(NULL, path, models->model, models->n, args->options, &err);
    } else if (rc >= 0 && args_text(args, "proofs", NULL)) {
        return fail("%s is there already, and makes as many proofs as it was made for; --proofs is "
                    "of a new one",
                    path);
    }
    if (rc < 0)
        return fail_option(rc, &err);
    if ((status = make_verifier_key(args, out, models, stages)) == CLI_DONE &&
        !args_switch(args, "json"))
        print_left(path);
    return status;
}

/* The library saves it: it is too large to be handed over. */
static int make_prover_key(const struct args *args, const char *out, const struct models *models,
                           struct stages *stages)
{
    const double start = now_seconds();
    uint8_t digest[32];
    mambaint_error err;
    const int32_t rc =
        mambaint_prover_key_save(digest, out, models->model, models->n, args->options, &err);
    struct json j;
    char hex[65];
    long long size;

    stages_end(stages);
    if (rc < 0)
        return fail_option(rc, &err);
    digest_hex(hex, digest);
    if ((size = file_size(out)) < 0)
        return CLI_FAILED;
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_string(&j, "model_id", hex);
        json_integer(&j, "key_bytes", size);
        json_number(&j, "commit_ms", 1e3 * (now_seconds() - start));
        stages_json(&j, stages);
        json_integer(&j, "peak_rss_bytes", peak_bytes());
        json_left(&j, out);
        json_close(&j);
    } else {
        printf("%s: %lld bytes, for the prover alone; model id %s\n", out, size, hex);
        print_left(out);
    }
    return CLI_DONE;
}

/* Which kind, by the flags. NULL: they do not go together. */
typedef int make_fn(const struct args *args, const char *out, const struct models *models,
                    struct stages *stages);

static make_fn *kind_of(const struct args *args)
{
    const char *zk = args_text(args, "zk", "off");
    const bool hidden = strcmp(zk, "off") != 0, prover = args_switch(args, "prover");
    const bool from = args_text(args, "prover-key", NULL) != NULL;
    const char *what = NULL;

    if (!hidden && (from || args_text(args, "proofs", NULL)))
        what = "--prover-key and --proofs go with --zk on";
    else if (hidden && prover && from)
        what = "--prover makes the prover's key alone, as --out; leave out one of the two";
    else if (hidden && !prover && !from)
        what = "with --zk on there is a prover's key, too: where is it, or where to? --prover-key";
    if (what)
        fprintf(stderr, "mambaint proof key: %s\n", what);
    return what ? NULL : prover ? make_prover_key : from ? make_hidden_key : make_verifier_key;
}

static int set_zk(const struct args *args)
{
    static const char *const key[] = {"zk", "proofs"};
    mambaint_error err;

    for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++) {
        const char *value = args_text(args, key[i], NULL);

        if (value && mambaint_options_set(args->options, key[i], value, &err) < 0)
            return fail_memory();
    }
    return CLI_DONE;
}

static int make_key(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    make_fn *make = out ? kind_of(args) : NULL;
    struct stages stages = {.now = NULL};
    struct models models = {.n = 0};
    int status;

    if (!make)
        return CLI_USAGE;
    if ((status = set_zk(args)) == CLI_DONE && (status = check_writable(out)) == CLI_DONE &&
        (status = stages_context(&models.ctx, &stages, args)) == CLI_DONE &&
        (status = open_models(&models, args)) == CLI_DONE)
        status = make(args, out, &models, &stages);
    stages_end(&stages);
    close_models(&models);
    mambaint_context_unref(models.ctx);
    return status;
}

static const struct flag key_flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file; repeated: a chain, in that order"},
    {"prover", 0, FLAG_SWITCH, NULL,
     "instead the prover's own key, for 'prove --prover-key': large, and it has the weights"},
    {"zk", 0, FLAG_TEXT, "off", "on: of proofs that hide the weights"},
    {"prover-key", 0, FLAG_TEXT, "FILE",
     "with --zk on: the prover's key that it goes with; made if it is not there"},
    {"proofs", 0, FLAG_TEXT, "N", "with --zk on: how many proofs a new prover's key makes (1000)"},
    {"threads", 0, FLAG_TEXT, "N", "threads to use, or auto (default; the key is the same)"},
    {0},
};

const struct command command_proof_key = {
    .name = "proof key",
    .summary = "Make the key with which others verify proofs, without the weights.",
    .operands = "",
    .many_models = true,
    .flags = (const struct flag *const[]){flags_out, key_flags, flags_json, flags_help, NULL},
    .examples = "  mambaint proof key -m simple.gguf --out simple.mivk\n"
                "  mambaint proof key -m one.gguf -m two.gguf --out chain.mivk --json\n"
                "  mambaint proof key --prover -m simple.gguf --out simple.mipk\n",
    .run = make_key,
};

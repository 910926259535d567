/* SPDX-License-Identifier: Apache-2.0 */
/* prove: run models on features and save the proof of what came out. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* What the statement of a proof says, for the report. */
struct said {
    char model_id[65];
    int32_t *outputs;
    size_t n, cap;
    bool failed;
};

static void take(void *user, const char *path, const char *text)
{
    struct said *s = user;

    if (!strcmp(path, "model_id"))
        snprintf(s->model_id, sizeof(s->model_id), "%s", text);
    if (strncmp(path, "outputs[", 8) || s->failed)
        return;
    if (s->n == s->cap) {
        int32_t *more = realloc(s->outputs, (s->cap = 2 * s->cap + 64) * sizeof(*more));

        if (!more) {
            s->failed = true;
            return;
        }
        s->outputs = more;
    }
    s->outputs[s->n++] = (int32_t)strtol(text, NULL, 10);
}

static int read_statement(struct said *s, const void *data, size_t size)
{
    mambaint_statement *statement = NULL;
    char *json = NULL;
    mambaint_error err;
    int32_t rc = mambaint_statement_read(&statement, NULL, data, size, &err);
    int status = rc < 0 ? fail_error(rc, &err) : CLI_DONE;

    if (status == CLI_DONE &&
        (!(json = statement_text(statement, "json")) || !json_read(json, take, s) || s->failed))
        status = fail_memory();
    free(json);
    mambaint_statement_free(statement);
    return status;
}

static long long peak_bytes(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) ? 0 : 1024LL * usage.ru_maxrss;
}

static int report(const struct args *args, const char *out, const mambaint_proof *proof,
                  double seconds)
{
    struct said said = {.n = 0};
    int64_t trace = 0, bits = 0;
    size_t size;
    const void *data = mambaint_proof_data(proof, &size);
    const int status = read_statement(&said, data, size);
    struct json j;

    mambaint_proof_number(proof, "log2-trace", &trace);
    mambaint_proof_number(proof, "soundness-bits", &bits);
    if (status == CLI_DONE && args_switch(args, "json")) {
        json_open(&j, stdout);
        json_number(&j, "prove_ms", 1e3 * seconds);
        json_integer(&j, "proof_bytes", (long long)size);
        json_integer(&j, "peak_rss_bytes", peak_bytes());
        json_integer(&j, "log2_trace", trace);
        json_integer(&j, "soundness_bits", bits);
        json_string(&j, "model_id", said.model_id);
        json_ids(&j, "outputs", said.outputs, said.n);
        json_close(&j);
    }
    if (status == CLI_DONE)
        fprintf(stderr,
                "%s: %zu bytes in %.0f ms; 2^%d values committed, %d bits of soundness\n"
                "model id: %s\n",
                out, size, 1e3 * seconds, (int)trace, (int)bits, said.model_id);
    free(said.outputs);
    return status;
}

static int prove(const struct args *args, const char *out, const struct models *models)
{
    const double start = now_seconds();
    mambaint_proof *proof = NULL;
    mambaint_error err;
    const int32_t rc = mambaint_proof_create(&proof, models->model, models->n, args->options, &err);
    const double seconds = now_seconds() - start;
    const void *data;
    size_t size;
    int status;

    if (rc < 0)
        return fail_option(rc, &err);
    data = mambaint_proof_data(proof, &size);
    if ((status = write_all(out, data, size)) == CLI_DONE)
        status = report(args, out, proof, seconds);
    mambaint_proof_free(proof);
    return status;
}

static int run(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    struct models models = {NULL, 0};
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) == CLI_DONE &&
        (status = open_models(&models, args)) == CLI_DONE)
        status = prove(args, out, &models);
    close_models(&models);
    return status;
}

static const struct flag flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file; repeated: a chain, in that order"},
    {"features", 0, FLAG_OPTION, "A,B,...", "what goes in: decimals from -4 to 3.96875"},
    {"weights", 0, FLAG_OPTION, "NAME",
     "committed: who verifies needs a key alone (default); public: the model"},
    {"zk", 0, FLAG_OPTION, "off", "zero-knowledge is not there yet"},
    {"backend", 0, FLAG_OPTION, "NAME",
     "auto, scalar, avx2, avx512, neon or cuda (the proof is the same)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use, or auto (default; the proof is the same)"},
    {0},
};

const struct command command_prove = {
    .name = "prove",
    .summary = "Run a model that takes features, or a chain, and prove what came out.",
    .operands = "",
    .many_models = true,
    .flags = (const struct flag *const[]){flags_out, flags, flags_json, flags_help, NULL},
    .examples =
        "  mambaint prove -m simple.gguf --features 0.5,-1.25,0,0,0,0,0,0,0,1 --out run.proof\n"
        "  mambaint prove -m one.gguf -m two.gguf --features 1,1,1,1,1,1,1,1,1,1 \\\n"
        "      --weights public --out chain.proof --json\n",
    .run = run,
};

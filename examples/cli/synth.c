/* SPDX-License-Identifier: Apache-2.0 */
/* synth: a model of any shape with random weights, for measurements and tests. */
#include "cli.h"
#include <stdlib.h>

static int describe(const char *path, const struct args *args)
{
    mambaint_model *model = NULL;
    mambaint_error err;
    char *parameters, *digest;
    struct json j;
    const int32_t rc = mambaint_model_open(&model, NULL, path, args->options, &err);

    if (rc < 0)
        return fail_error(rc, &err);
    parameters = model_text(model, "parameters");
    digest = model_text(model, "model-digest");
    if (args_switch(args, "json")) {
        json_open(&j, stdout);
        json_integer(&j, "parameters", parameters ? strtoll(parameters, NULL, 10) : 0);
        json_string(&j, "model_digest", digest);
        json_close(&j);
    } else if (parameters && digest) {
        printf("%s: %s parameters, digest %s\n", path, parameters, digest);
    }
    free(parameters);
    free(digest);
    mambaint_model_unref(model);
    return CLI_DONE;
}

static int run(struct args *args)
{
    const char *out = args_needed(args, "out", "where to?");
    mambaint_error err;
    struct busy busy;
    int32_t rc;
    int status;

    if (!out)
        return CLI_USAGE;
    if ((status = check_writable(out)) != CLI_DONE)
        return status;
    busy_begin(&busy, "synth");
    rc = mambaint_model_synth(NULL, out, args->options, &err);
    busy_end(&busy);
    return rc < 0 ? fail_option(rc, &err) : describe(out, args);
}

static const struct flag flags[] = {
    {"seed", 0, FLAG_OPTION, "N", "same seed, same weights (0)"},
    {"name", 0, FLAG_OPTION, "TEXT", "name of the model"},
    {"license", 0, FLAG_OPTION, "TEXT", "its licence"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (same result)"},
    {0},
};

const struct command command_synth = {
    .name = "synth",
    .summary = "Make a model of any shape with random weights.",
    .operands = "",
    .flags =
        (const struct flag *const[]){flags_out, flags_shape, flags, flags_json, flags_help, NULL},
    .examples = "  mambaint synth --preset mi-130m --out mi-130m.gguf\n"
                "  mambaint synth --preset mi-1m --chunk 1 --weights ternary --out small.gguf\n"
                "  mambaint synth --preset simple-mamba --out simple.gguf\n",
    .run = run,
};

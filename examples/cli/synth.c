/* SPDX-License-Identifier: Apache-2.0 */
/* synth: a model of any shape with random weights, for measurements and tests. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

static int describe(const char *path, bool json)
{
    mambaint_model *model = NULL;
    mambaint_error err;
    char *parameters, *digest;
    struct json j;

    if (mambaint_model_open(&model, NULL, path, NULL, &err) < 0)
        return fail_error(&err);
    parameters = model_text(model, "parameters");
    digest = model_text(model, "model-digest");
    if (json) {
        json_open(&j, stdout, "{");
        json_integer(&j, "parameters", parameters ? strtoll(parameters, NULL, 10) : 0);
        json_text(&j, "model_digest", digest ? digest : "", digest ? strlen(digest) : 0);
        json_close(&j, "}");
    } else {
        printf("%s: %s parameters, digest %s\n", path, parameters, digest);
    }
    free(parameters);
    free(digest);
    mambaint_model_unref(model);
    return CLI_DONE;
}

static int run(struct args *args)
{
    const char *out = args_text(args, "out", NULL);
    mambaint_error err;

    if (!out) {
        fputs("mambaint synth: where to? Name a file with --out FILE.\n", stderr);
        return CLI_USAGE;
    }
    if (mambaint_model_synth(NULL, out, args->options, &err) < 0)
        return fail_error(&err);
    return describe(out, args_switch(args, "json"));
}

static const struct flag flags[] = {
    {"preset", 0, FLAG_OPTION, "NAME", "mi-tiny mi-1m mi-10m mi-91m mi-130m mi-1b mi-2.8b, each also -ternary"},
    {"out", 'o', FLAG_TEXT, "FILE", "where to save"},
    {"seed", 0, FLAG_OPTION, "N", "same seed, same weights (0)"},
    {"layers", 0, FLAG_OPTION, "N", "number of blocks"},
    {"d-model", 0, FLAG_OPTION, "N", "width of the residual stream"},
    {"heads", 0, FLAG_OPTION, "N", "heads of a block"},
    {"head-dim", 0, FLAG_OPTION, "N", "width of a head"},
    {"d-state", 0, FLAG_OPTION, "N", "width of a head's state, a power of two"},
    {"vocab", 0, FLAG_OPTION, "N", "number of tokens, at least 272"},
    {"chunk", 0, FLAG_OPTION, "N", "tokens between roundings of the state: 1, or a power of two"},
    {"rotation-pairs", 0, FLAG_OPTION, "N", "rotated pairs of B and C"},
    {"hold", 0, FLAG_OPTION, "on|off", "the lowest decay keeps the state exactly"},
    {"norm", 0, FLAG_OPTION, "NAME", "rms or bitshift"},
    {"gate", 0, FLAG_OPTION, "NAME", "hard, algebraic or squareplus"},
    {"weights", 0, FLAG_OPTION, "NAME", "int8 or ternary projections"},
    {"head-weights", 0, FLAG_OPTION, "NAME", "int8 or ternary head"},
    {"tied-head", 0, FLAG_OPTION, "on|off", "the head is the embedding table"},
    {0},
};

const struct command command_synth = {
    .name = "synth",
    .summary = "Make a model of any shape with random weights.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_json, flags_help, NULL},
    .any_option = true,
    .examples = "  mambaint synth --preset mi-130m --out mi-130m.gguf\n"
                "  mambaint synth --preset mi-1m --chunk 1 --weights ternary --out small.gguf\n",
    .run = run,
};

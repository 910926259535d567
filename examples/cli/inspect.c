/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: what a model is made of. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

static void print_section(const mambaint_model *model, const char *title, const char *key)
{
    char *text = model_text(model, key);

    if (text && *text)
        printf("\n%s\n%s", title, text);
    free(text);
}

static void print_line(const mambaint_model *model, const char *key)
{
    char *text = model_text(model, key);

    if (text)
        printf("%-17s %s\n", key, text);
    free(text);
}

static void print_text(const mambaint_model *model, const struct args *args)
{
    static const char *const line[] = {"architecture", "name",        "license",
                                       "parameters",   "vocab",       "file-size",
                                       "weight-bytes", "token-bytes", "state-size",
                                       "model-digest", "graph-digest", "tokenizer-digest"};

    for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++)
        print_line(model, line[i]);
    print_section(model, "configuration", "config");
    print_section(model, "decay spectrum (half-lives in tokens at rest)", "decay-spectrum");
    print_section(model, "ternary zeros", "ternary-zeros");
    if (args_switch(args, "metadata"))
        print_section(model, "metadata", "metadata");
    if (args_switch(args, "tensors"))
        print_section(model, "tensors", "tensors");
    if (args_switch(args, "graph"))
        print_section(model, "step graph", "graph");
    if (args_switch(args, "intervals"))
        print_section(model, "intervals", "intervals");
}

static void print_json(const mambaint_model *model)
{
    static const char *const text[] = {"architecture", "name", "license", "model_digest",
                                       "graph_digest", "tokenizer_digest", "config",
                                       "decay_spectrum", "ternary_zeros"};
    static const char *const number[] = {"parameters", "vocab", "file_size", "weight_bytes",
                                         "token_bytes", "state_size"};
    struct json j;

    json_open(&j, stdout, "{");
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        char *value = model_text(model, text[i]);

        if (value)
            json_text(&j, text[i], value, strlen(value));
        free(value);
    }
    for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
        char *value = model_text(model, number[i]);

        if (value)
            json_integer(&j, number[i], strtoll(value, NULL, 10));
        free(value);
    }
    json_close(&j, "}");
}

static int run(struct args *args)
{
    mambaint_model *model = NULL;
    const int status = open_model(&model, args);

    if (status == CLI_DONE) {
        if (args_switch(args, "json"))
            print_json(model);
        else
            print_text(model, args);
    }
    mambaint_model_unref(model);
    return status;
}

static const struct flag flags[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file"},
    {"metadata", 0, FLAG_SWITCH, NULL, "also every key of the file"},
    {"tensors", 0, FLAG_SWITCH, NULL, "also every tensor"},
    {"graph", 0, FLAG_SWITCH, NULL, "also the step graph, a line a node"},
    {"intervals", 0, FLAG_SWITCH, NULL, "also the proven interval of every value"},
    {0},
};

const struct command command_inspect = {
    .name = "inspect",
    .summary = "Show what a model is made of.",
    .operands = "",
    .flags = (const struct flag *const[]){flags, flags_json, flags_help, NULL},
    .examples = "  mambaint inspect -m storyteller.gguf\n"
                "  mambaint inspect -m storyteller.gguf --graph --intervals\n",
    .run = run,
};

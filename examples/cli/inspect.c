/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: what a model is made of. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

/* What a model can tell, in the order of the output. Keys as in JSON; the library and a reader of
 * text take '-' for '_'. */
static const struct {
    const char *key, *title; /* title: a section of lines; NULL: one line */
    bool number;
    bool asked; /* only with the flag of that name */
} facts[] = {
    {"architecture", NULL, false, false},
    {"name", NULL, false, false},
    {"license", NULL, false, false},
    {"parameters", NULL, true, false},
    {"vocab", NULL, true, false},
    {"file_size", NULL, true, false},
    {"weight_bytes", NULL, true, false},
    {"token_bytes", NULL, true, false},
    {"state_size", NULL, true, false},
    {"model_digest", NULL, false, false},
    {"graph_digest", NULL, false, false},
    {"tokenizer_digest", NULL, false, false},
    {"config", "configuration", false, false},
    {"decay_spectrum", "decay spectrum (half-lives in tokens at rest)", false, false},
    {"ternary_zeros", "ternary zeros", false, false},
    {"metadata", "metadata", false, true},
    {"tensors", "tensors", false, true},
    {"graph", "step graph", false, true},
    {"intervals", "intervals", false, true},
};

static void print_fact(size_t i, const char *text)
{
    char name[32];

    if (!*text)
        return;
    if (facts[i].title) {
        printf("\n%s\n%s", facts[i].title, text);
        return;
    }
    snprintf(name, sizeof(name), "%s", facts[i].key);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : *p;
    printf("%-17s %s\n", name, text);
}

static int print_facts(const mambaint_model *model, const struct args *args)
{
    const bool json = args_switch(args, "json");
    struct json j;

    if (json)
        json_open(&j, stdout);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        char *text;

        if (facts[i].asked && !args_switch(args, facts[i].key))
            continue;
        if (!(text = model_text(model, facts[i].key)))
            return fail_memory();
        if (!json)
            print_fact(i, text);
        else if (facts[i].number)
            json_integer(&j, facts[i].key, strtoll(text, NULL, 10));
        else
            json_string(&j, facts[i].key, text);
        free(text);
    }
    if (json)
        json_close(&j);
    return CLI_DONE;
}

static int run(struct args *args)
{
    mambaint_model *model = NULL;
    int status = open_model(&model, args);

    if (status == CLI_DONE)
        status = print_facts(model, args);
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
                "  mambaint inspect -m storyteller.gguf --graph --intervals\n"
                "  mambaint inspect -m storyteller.gguf --json --tensors\n",
    .run = run,
};

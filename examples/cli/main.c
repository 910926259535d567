/* SPDX-License-Identifier: Apache-2.0 */
/* mambaint: language models that compute in integers only. This file picks the command. */
#include "cli.h"
#include <string.h>

static const struct command *const commands[] = {
    &command_chat,    &command_generate, &command_train,           &command_eval,
    &command_inspect, &command_check,    &command_synth,           &command_bench,
    &command_tokenizer_train, &command_tokenizer_encode, &command_tokenizer_decode,
    &command_tokenizer_import, NULL,
};

static void print_help(FILE *to)
{
    fprintf(to, "mambaint %s: language models that compute in integers only\n\n"
                "usage: mambaint COMMAND [FLAGS] [ARGUMENTS]\n\n",
            mambaint_version());
    for (size_t i = 0; commands[i]; i++)
        fprintf(to, "  %-18s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'mambaint COMMAND --help' explains a command with examples.\n"
          "Standard output holds the result alone; messages go to standard error.\n"
          "Status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.\n",
          to);
}

/* A command's name is one word or two; returns how many of argv it takes, 0 if it is another. */
static int name_words(const struct command *c, int argc, char **argv)
{
    const char *space = strchr(c->name, ' ');
    const size_t first = space ? (size_t)(space - c->name) : strlen(c->name);

    if (argc < 2 || strlen(argv[1]) != first || strncmp(argv[1], c->name, first))
        return 0;
    if (!space)
        return 1;
    return argc > 2 && !strcmp(argv[2], space + 1) ? 2 : 0;
}

static int run(const struct command *c, int argc, char **argv)
{
    struct args args;
    bool exit_now;
    int status = args_parse(&args, c, argc, argv, &exit_now);

    if (status == CLI_DONE && !exit_now)
        status = c->run(&args);
    args_free(&args);
    if (status == CLI_DONE && (fflush(stdout) || ferror(stdout)))
        status = fail("cannot write to standard output");
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        print_help(stdout);
        return CLI_DONE;
    }
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        printf("mambaint %s\n", mambaint_version());
        return CLI_DONE;
    }
    for (size_t i = 0; commands[i]; i++) {
        const int words = name_words(commands[i], argc, argv);

        if (words)
            return run(commands[i], argc - 1 - words, argv + 1 + words);
    }
    if (argc > 1)
        fprintf(stderr, "mambaint: '%s' is not a command\n\n", argv[1]);
    print_help(stderr);
    return CLI_USAGE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* mambaint: language models that compute in integers only. This file picks the command. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_chat,
    &command_generate,
    &command_train,
    &command_eval,
    &command_inspect,
    &command_check,
    &command_synth,
    &command_bench,
    &command_tokenizer_train,
    &command_tokenizer_encode,
    &command_tokenizer_decode,
    &command_tokenizer_import,
    &command_receipt,
    &command_prove,
    &command_verify,
    &command_proof_inspect,
    &command_proof_join,
    &command_proof_key,
    NULL,
};

static void print_help(FILE *to)
{
    fprintf(to,
            "mambaint %s: language models that compute in integers only\n\n"
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

    if (!argc || strlen(argv[0]) != first || strncmp(argv[0], c->name, first))
        return 0;
    if (!space)
        return 1;
    return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

static const struct command *find_command(int *words, int argc, char **argv)
{
    for (size_t i = 0; commands[i]; i++)
        if ((*words = name_words(commands[i], argc, argv)))
            return commands[i];
    return NULL;
}

/* The commands of which `word` is the first of two, such as "tokenizer". False: there is none. */
static bool print_group(FILE *to, const char *word)
{
    const size_t len = strlen(word);
    bool any = false;

    for (size_t i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;

        if (strncmp(name, word, len) || name[len] != ' ')
            continue;
        fprintf(to, "%s  mambaint %-18s %s\n", any ? "" : "usage:\n", name, commands[i]->summary);
        any = true;
    }
    return any;
}

static int run_command(const struct command *c, int argc, char **argv)
{
    struct args args;
    int status = args_parse(&args, c, argc, argv);

    if (status == CLI_DONE && args_switch(&args, "help"))
        args_help(c);
    else if (status == CLI_DONE)
        status = c->run(&args);
    args_free(&args);
    return status;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

/* No command, an unknown one, or a call for help. */
static int other(int argc, char **argv, bool help)
{
    FILE *to = help ? stdout : stderr;

    if (argc == 1 && !strcmp(argv[0], "--version")) {
        printf("mambaint %s\n", mambaint_version());
        return CLI_DONE;
    }
    if (argc && print_group(to, argv[0]))
        return help ? CLI_DONE : CLI_USAGE;
    if (argc && !is_help(argv[0])) {
        fprintf(stderr, "mambaint: '%s' is not a command\n\n", argv[0]);
        to = stderr;
    }
    print_help(to);
    return to == stdout ? CLI_DONE : CLI_USAGE;
}

static int dispatch(int argc, char **argv)
{
    const bool help = argc > 1 && is_help(argv[0]); /* "help generate" is "generate --help" */
    const struct command *c;
    int words;

    if (help) {
        argc--;
        argv++;
    }
    if (!(c = find_command(&words, argc, argv)))
        return other(argc, argv, help || (argc && is_help(argv[argc > 1 ? 1 : 0])));
    if (help) {
        args_help(c);
        return CLI_DONE;
    }
    return run_command(c, argc - words, argv + words);
}

/* A file must not be opened under the number of a stream that the caller closed: it would receive
 * messages. What takes the number here refuses to be written. */
static bool occupy_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    int status;

    if (!occupy_streams())
        return CLI_FAILED;
    signal(SIGPIPE, SIG_IGN); /* a write that fails says so */
    interrupts_begin();
    setlocale(LC_CTYPE, ""); /* for line editing */
    status = dispatch(argc > 0 ? argc - 1 : 0, argv + 1);
    errno = EIO; /* of a failure that was not this moment's */
    if ((fflush(stdout) || ferror(stdout)) && status == CLI_DONE)
        status = fail_output();
    return status;
}

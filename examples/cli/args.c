/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines and configuration files. */
#include "cli.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

const struct flag flags_json[] = {
    {"json", 0, FLAG_SWITCH, NULL, "print the result as JSON"},
    {0},
};

const struct flag flags_help[] = {
    {"help", 'h', FLAG_SWITCH, NULL, "show this help"},
    {0},
};

const struct flag flags_model[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file"},
    {"backend", 0, FLAG_OPTION, "NAME", "auto, scalar or avx2 (the result is the same)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use (default: every processor it may use)"},
    {"prefill-chunk", 0, FLAG_OPTION, "N", "tokens taken at once while reading (same result)"},
    {0},
};

const struct flag flags_sampler[] = {
    {"temperature", 0, FLAG_OPTION, "T", "0 takes the likeliest token (default 0.8)"},
    {"top-k", 0, FLAG_OPTION, "K", "choose among the K likeliest (0: all)"},
    {"top-p", 0, FLAG_OPTION, "P", "choose among the likeliest that reach P together (0.95)"},
    {"min-p", 0, FLAG_OPTION, "P", "drop what is less likely than P times the likeliest (0)"},
    {"repeat-penalty", 0, FLAG_OPTION, "X", "subtracted from logits of recent tokens (0)"},
    {"repeat-last", 0, FLAG_OPTION, "N", "how many tokens count as recent (64)"},
    {"seed", 0, FLAG_OPTION, "N", "same seed, same text, on every machine (0)"},
    {"stop", 0, FLAG_OPTION, "TEXT", "end before this text; may be repeated"},
    {0},
};

static const struct flag *find_flag(const struct command *c, const char *name, size_t len,
                                    char letter)
{
    for (size_t g = 0; c->flags[g]; g++)
        for (const struct flag *f = c->flags[g]; f->name; f++)
            if (name ? strlen(f->name) == len && !strncmp(f->name, name, len)
                     : letter && f->letter == letter)
                return f;
    return NULL;
}

static int usage(const struct command *c, const char *what, const char *arg)
{
    fprintf(stderr, "mambaint %s: %s '%s'\nTry 'mambaint %s --help'.\n", c->name, what, arg,
            c->name);
    return CLI_USAGE;
}

/* A flag that an earlier group of the command has too is told once, in the command's words. */
static void help_flags(const struct command *c, size_t group)
{
    for (const struct flag *f = c->flags[group]; f->name; f++) {
        char left[48];

        if (find_flag(c, f->name, strlen(f->name), 0) != f)
            continue;
        snprintf(left, sizeof(left), "%c%c%s --%s %s", f->letter ? '-' : ' ',
                 f->letter ? f->letter : ' ', f->letter ? "," : " ", f->name,
                 f->value ? f->value : "");
        printf("  %-28s %s\n", left, f->help);
    }
}

void args_help(const struct command *c)
{
    printf("usage: mambaint %s [FLAGS]%s%s\n\n%s\n\n", c->name, *c->operands ? " " : "",
           c->operands, c->summary);
    for (size_t g = 0; c->flags[g]; g++)
        help_flags(c, g);
    printf("\nexamples:\n%s", c->examples);
}

static int keep(struct args *args, const struct flag *flag, const char *value)
{
    if (args->n_given == sizeof(args->given) / sizeof(args->given[0]))
        return usage(args->command, "too many flags at", flag->name);
    args->given[args->n_given] = flag;
    args->value[args->n_given++] = value;
    return CLI_DONE;
}

static int set_option(const struct args *args, const char *key, const char *value)
{
    mambaint_error err;

    if (mambaint_options_set(args->options, key, value, &err) == MAMBAINT_OK)
        return CLI_DONE;
    fprintf(stderr, "mambaint %s: --%s: %s\n", args->command->name, key, err.message);
    return CLI_USAGE;
}

/* One flag at argv[*i]; moves *i over a value that stands alone. */
static int take_flag(struct args *args, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *name = arg[1] == '-' ? arg + 2 : NULL;
    const char *equals = name ? strchr(name, '=') : NULL;
    const size_t len = name ? (equals ? (size_t)(equals - name) : strlen(name)) : 0;
    const struct flag *f = find_flag(args->command, name, len, name ? 0 : arg[1]);
    const char *value = equals ? equals + 1 : NULL;
    char key[64];

    if ((!name && arg[2]) || (!f && (!name || !args->command->any_option)) || len >= sizeof(key))
        return usage(args->command, "unknown flag", arg);
    if (f && f->kind == FLAG_SWITCH)
        return equals ? usage(args->command, "takes no value:", arg) : keep(args, f, "on");
    if (!value && *i + 1 >= argc)
        return usage(args->command, "a value is missing after", arg);
    if (!value)
        value = argv[++*i];
    if (f && f->kind == FLAG_TEXT)
        return keep(args, f, value);
    snprintf(key, sizeof(key), "%.*s", (int)(f ? strlen(f->name) : len), f ? f->name : name);
    return set_option(args, key, value);
}

/* --config comes first, wherever it stands: what else is given overrides the file. */
static int take_config(struct args *args, int argc, char **argv)
{
    if (!find_flag(args->command, "config", 6, 0))
        return CLI_DONE;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--config") && i + 1 < argc)
            return args_config(args->options, argv[i + 1]);
        if (!strncmp(argv[i], "--config=", 9))
            return args_config(args->options, argv[i] + 9);
    }
    return CLI_DONE;
}

/* Every processor this process may use, unless --threads says otherwise. */
static int default_threads(const struct args *args)
{
    char text[16];
    cpu_set_t set;
    int n = 1;

    if (!sched_getaffinity(0, sizeof(set), &set))
        n = CPU_COUNT(&set);
    snprintf(text, sizeof(text), "%d", n < 1 ? 1 : n > 256 ? 256 : n);
    return set_option(args, "threads", text);
}

int args_parse(struct args *args, const struct command *command, int argc, char **argv,
               bool *exit_now)
{
    bool flags_over = false;
    int status;

    *args = (struct args){.command = command};
    *exit_now = false;
    if (mambaint_options_create(&args->options) < 0)
        return fail("out of memory");
    if ((status = default_threads(args)))
        return status;
    if ((status = take_config(args, argc, argv)))
        return status;
    for (int i = 0; i < argc; i++) {
        if (!flags_over && !strcmp(argv[i], "--")) {
            flags_over = true;
        } else if (!flags_over && argv[i][0] == '-' && argv[i][1]) {
            if ((status = take_flag(args, argc, argv, &i)))
                return status;
        } else if (args->n_operands < command->max_operands) {
            args->operand[args->n_operands++] = argv[i];
        } else {
            return usage(command, "unexpected argument", argv[i]);
        }
    }
    if (args_switch(args, "help")) {
        args_help(command);
        *exit_now = true;
    } else if (args->n_operands < command->min_operands) {
        fprintf(stderr, "mambaint %s: missing %s\nTry 'mambaint %s --help'.\n", command->name,
                command->operands, command->name);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

void args_free(struct args *args)
{
    mambaint_options_free(args->options);
    args->options = NULL;
}

const char *args_text(const struct args *args, const char *flag, const char *fallback)
{
    for (size_t i = args->n_given; i-- > 0;) /* the last one counts */
        if (!strcmp(args->given[i]->name, flag))
            return args->value[i];
    return fallback;
}

bool args_switch(const struct args *args, const char *flag)
{
    return args_text(args, flag, NULL) != NULL;
}

bool args_number(long *out, const struct args *args, const char *flag, long fallback, long lo,
                 long hi)
{
    const char *text = args_text(args, flag, NULL);
    char *end;

    *out = fallback;
    if (!text)
        return true;
    errno = 0;
    *out = strtol(text, &end, 10);
    if (!errno && *text && !*end && *out >= lo && *out <= hi)
        return true;
    fprintf(stderr, "mambaint %s: --%s: '%s' is not a number from %ld to %ld\n",
            args->command->name, flag, text, lo, hi);
    return false;
}

/* Cut white space at both ends, in place. */
static char *trim(char *text)
{
    size_t n;

    while (*text == ' ' || *text == '\t')
        text++;
    n = strlen(text);
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t' || text[n - 1] == '\r'))
        text[--n] = '\0';
    return text;
}

int args_config(mambaint_options *options, const char *path)
{
    size_t size;
    char *text = read_all(path, &size), *next;
    int line = 0, status = text ? CLI_DONE : CLI_FAILED;
    mambaint_error err;

    for (char *p = text; p && status == CLI_DONE; p = next) {
        char *equals;

        line++;
        if ((next = strchr(p, '\n')))
            *next++ = '\0';
        p = trim(p);
        if (!*p || *p == '#')
            continue;
        if (!(equals = strchr(p, '='))) {
            status = fail("%s:%d: expected 'key = value'", path, line);
            break;
        }
        *equals = '\0';
        if (mambaint_options_set(options, trim(p), trim(equals + 1), &err) < 0)
            status = fail("%s:%d: %s", path, line, err.message);
    }
    free(text);
    return status;
}

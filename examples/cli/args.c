/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines and configuration files. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 256

const struct flag flags_json[] = {
    {"json", 0, FLAG_SWITCH, NULL, "print the result as JSON"},
    {0},
};

const struct flag flags_help[] = {
    {"help", 'h', FLAG_SWITCH, NULL, "show this help"},
    {0},
};

const struct flag flags_out[] = {
    {"out", 'o', FLAG_TEXT, "FILE", "where to save"},
    {0},
};

const struct flag flags_model[] = {
    {"model", 'm', FLAG_TEXT, "FILE", "the model file"},
    {"backend", 0, FLAG_OPTION, "NAME",
     "auto, scalar, avx2, avx512, neon or cuda (the result is the same)"},
    {"threads", 0, FLAG_OPTION, "N", "threads to use, or auto: one for every core (default)"},
    {"prefill-chunk", 0, FLAG_OPTION, "N", "tokens taken at once while reading (same result)"},
    {0},
};

const struct flag flags_shape[] = {
    {"preset", 0, FLAG_OPTION, "NAME",
     "mi-tiny mi-1m mi-10m mi-91m mi-130m mi-1b mi-2.8b, each also -ternary; simple simple-rwkv "
     "simple-mamba simple-xlstm"},
    {"architecture", 0, FLAG_OPTION, "NAME",
     "family of the model: mamba-integer or simple (the preset's)"},
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
    {"features-in", 0, FLAG_OPTION, "N", "simple: numbers that go in"},
    {"hidden", 0, FLAG_OPTION, "N", "simple: width of the hidden layer"},
    {"outputs", 0, FLAG_OPTION, "N", "simple: numbers that come out"},
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

/* ---- finding flags ---- */

/* As in the library's keys, '-' and '_' are equal. */
static bool same_name(const char *name, const char *text, size_t len)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] != text[i] && !(name[i] == '-' && text[i] == '_'))
            return false;
    return true;
}

static const struct flag *find_name(const struct command *c, const char *name, size_t len)
{
    for (size_t g = 0; c->flags[g]; g++)
        for (const struct flag *f = c->flags[g]; f->name; f++)
            if (same_name(f->name, name, len))
                return f;
    return NULL;
}

static const struct flag *find_letter(const struct command *c, char letter)
{
    for (size_t g = 0; c->flags[g]; g++)
        for (const struct flag *f = c->flags[g]; f->name; f++)
            if (f->letter && f->letter == letter)
                return f;
    return NULL;
}

/* ---- help ---- */

/* A flag that an earlier group of the command has too is told once, in the command's words. */
static void help_flags(const struct command *c, size_t group)
{
    for (const struct flag *f = c->flags[group]; f->name; f++) {
        char left[48];

        if (find_name(c, f->name, strlen(f->name)) != f)
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

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

#define LONGEST_NAME 31

/* How many letters to insert, drop or change. Names are at most LONGEST_NAME long. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[LONGEST_NAME + 1];

    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t change = corner + (a[i - 1] != b[j - 1]);

            corner = row[j];
            row[j] = smaller(change, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

/* The flag that was meant, if one is spelled much like it; NULL otherwise. */
static const char *nearest(const struct command *c, const char *name, size_t len)
{
    const char *best = NULL;
    size_t least = 3;

    if (len > LONGEST_NAME)
        return NULL;
    for (size_t g = 0; c->flags[g]; g++)
        for (const struct flag *f = c->flags[g]; f->name; f++) {
            const size_t d = distance(name, len, f->name, strlen(f->name));

            if (d < least) {
                least = d;
                best = f->name;
            }
        }
    return best;
}

static int usage(const struct command *c, const char *what, const char *arg)
{
    fprintf(stderr, "mambaint %s: %s '%s'\nTry 'mambaint %s --help'.\n", c->name, what, arg,
            c->name);
    return CLI_USAGE;
}

static int unknown_flag(const struct command *c, const char *arg, const char *name, size_t len)
{
    const char *meant = nearest(c, name, len);

    if (meant)
        fprintf(stderr, "mambaint %s: '%s' is unknown; did you mean '--%s'?\n", c->name, arg,
                meant);
    return meant ? CLI_USAGE : usage(c, "unknown flag", arg);
}

/* ---- keeping values ---- */

static int keep(struct args *args, const struct flag *flag, const char *value)
{
    if (!strcmp(flag->name, "model") && !args->command->many_models &&
        args_text(args, "model", NULL))
        return usage(args->command, "one model is enough; what about", value);
    if (args->n_given == MAX_FLAGS)
        return usage(args->command, "too many flags at", flag->name);
    if (!(args->value[args->n_given] = strdup(value)))
        return fail_memory();
    args->given[args->n_given++] = flag;
    return CLI_DONE;
}

static bool parse_number(long *out, const char *text, long lo, long hi)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return !errno && *text && !*end && *out >= lo && *out <= hi;
}

/* Options are read by the call that needs them. Threads are read by all, so a mistake in them is
 * told here, where it is known to be one of usage. */
static int set_option(struct args *args, const char *where, const char *key, const char *value)
{
    mambaint_error err;
    long n = args_processors();

    if (!strcmp(key, "threads") && strcmp(value, "auto") &&
        !parse_number(&n, value, 1, MAX_THREADS)) {
        fprintf(stderr, "mambaint %s: %s: '%s' is neither auto nor a number from 1 to %d\n",
                args->command->name, where, value, MAX_THREADS);
        return CLI_USAGE;
    }
    if (!strcmp(key, "threads"))
        args->threads = n;
    if (mambaint_options_set(args->options, key, value, &err) == MAMBAINT_OK)
        return CLI_DONE;
    fprintf(stderr, "mambaint %s: %s: %s\n", args->command->name, where, err.message);
    return CLI_USAGE;
}

/* A flag that takes a value; f is NULL for a key that the library alone may know. */
static int take_value(struct args *args, const char *where, const struct flag *f, const char *key,
                      const char *value)
{
    return f && f->kind == FLAG_TEXT ? keep(args, f, value)
                                     : set_option(args, where, f ? f->name : key, value);
}

/* ---- configuration files ---- */

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

static int take_switch(struct args *args, const char *where, const struct flag *f,
                       const char *value)
{
    if (!strcmp(value, "on"))
        return keep(args, f, value);
    if (!strcmp(value, "off"))
        return CLI_DONE;
    fprintf(stderr, "mambaint %s: %s: '%s' is neither on nor off\n", args->command->name, where,
            value);
    return CLI_USAGE;
}

/* "key = value", an empty line, or a comment. */
static int take_line(struct args *args, const char *where, char *line)
{
    char *text = trim(line), *equals = strchr(text, '='), *key, *value;
    const struct flag *f;

    if (!*text || *text == '#')
        return CLI_DONE;
    if (!equals) {
        fprintf(stderr, "mambaint %s: %s: expected 'key = value'\n", args->command->name, where);
        return CLI_USAGE;
    }
    *equals = '\0';
    key = trim(text);
    value = trim(equals + 1);
    f = find_name(args->command, key, strlen(key));
    return f && f->kind == FLAG_SWITCH ? take_switch(args, where, f, value)
                                       : take_value(args, where, f, key, value);
}

static int take_file(struct args *args, const char *path)
{
    size_t size;
    char *text = read_all(path, &size), *next;
    int line = 0, status = text ? CLI_DONE : CLI_FAILED;

    for (char *p = text; p && status == CLI_DONE; p = next) {
        char where[512];

        if ((next = strchr(p, '\n')))
            *next++ = '\0';
        snprintf(where, sizeof(where), "%s:%d", path, ++line);
        status = take_line(args, where, p);
    }
    free(text);
    return status;
}

/* --config comes first, wherever it stands: what else is given overrides the file. */
static int take_config(struct args *args, int argc, char **argv)
{
    int status = CLI_DONE;

    if (!find_name(args->command, "config", 6))
        return CLI_DONE;
    for (int i = 0; i < argc && status == CLI_DONE && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--config") && i + 1 < argc)
            status = take_file(args, argv[++i]);
        else if (!strncmp(argv[i], "--config=", 9))
            status = take_file(args, argv[i] + 9);
    }
    return status;
}

/* ---- the command line ---- */

/* --name, --name=value, --name value. Moves *i over a value that stands alone. */
static int take_long(struct args *args, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *name = arg + 2, *equals = strchr(name, '=');
    const size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = find_name(args->command, name, len);
    char where[LONGEST_NAME + 3];

    if (!f)
        return unknown_flag(args->command, arg, name, len);
    if (f->kind == FLAG_SWITCH)
        return equals ? usage(args->command, "takes no value:", arg) : keep(args, f, "on");
    if (!equals && *i + 1 >= argc)
        return usage(args->command, "a value is missing after", arg);
    snprintf(where, sizeof(where), "--%s", f->name);
    return take_value(args, where, f, f->name, equals ? equals + 1 : argv[++*i]);
}

/* -h, -n5, -n 5. */
static int take_short(struct args *args, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const struct flag *f = find_letter(args->command, arg[1]);

    if (!f || (f->kind == FLAG_SWITCH && arg[2]))
        return usage(args->command, "unknown flag", arg);
    if (f->kind == FLAG_SWITCH)
        return keep(args, f, "on");
    if (!arg[2] && *i + 1 >= argc)
        return usage(args->command, "a value is missing after", arg);
    return take_value(args, arg, f, f->name, arg[2] ? arg + 2 : argv[++*i]);
}

static int take_operand(struct args *args, const char *arg)
{
    if (args->n_operands == args->command->max_operands)
        return usage(args->command, "unexpected argument", arg);
    args->operand[args->n_operands++] = arg;
    return CLI_DONE;
}

static int take_all(struct args *args, int argc, char **argv)
{
    bool flags_over = false;
    int status = CLI_DONE;

    for (int i = 0; i < argc && status == CLI_DONE; i++) {
        if (flags_over || argv[i][0] != '-' || !argv[i][1])
            status = take_operand(args, argv[i]);
        else if (argv[i][1] != '-')
            status = take_short(args, argc, argv, &i);
        else if (argv[i][2])
            status = take_long(args, argc, argv, &i);
        else
            flags_over = true;
    }
    return status;
}

long args_processors(void)
{
    cpu_set_t set;
    int n = 1;

    if (!sched_getaffinity(0, sizeof(set), &set))
        n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

int args_parse(struct args *args, const struct command *command, int argc, char **argv)
{
    int status;

    *args = (struct args){.command = command};
    args->operand = calloc((size_t)argc + 1, sizeof(*args->operand));
    if (!args->operand || mambaint_options_create(&args->options) < 0)
        return fail_memory();
    if ((status = set_option(args, "threads", "threads", "auto")) ||
        (status = take_config(args, argc, argv)) || (status = take_all(args, argc, argv)))
        return status;
    if (args->n_operands < command->min_operands && !args_switch(args, "help")) {
        fprintf(stderr, "mambaint %s: missing %s\nTry 'mambaint %s --help'.\n", command->name,
                command->operands, command->name);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

void args_free(struct args *args)
{
    for (size_t i = 0; i < args->n_given; i++)
        free(args->value[i]);
    free(args->operand);
    mambaint_options_free(args->options);
}

/* ---- what was given ---- */

const char *args_text(const struct args *args, const char *flag, const char *fallback)
{
    for (size_t i = args->n_given; i-- > 0;) /* the last one counts */
        if (!strcmp(args->given[i]->name, flag))
            return args->value[i];
    return fallback;
}

size_t args_count(const struct args *args, const char *flag)
{
    size_t n = 0;

    for (size_t i = 0; i < args->n_given; i++)
        n += !strcmp(args->given[i]->name, flag);
    return n;
}

bool args_switch(const struct args *args, const char *flag)
{
    return args_text(args, flag, NULL) != NULL;
}

const char *args_needed(const struct args *args, const char *flag, const char *question)
{
    const char *text = args_text(args, flag, NULL);

    if (!text)
        fprintf(stderr, "mambaint %s: %s Name it with --%s FILE.\n", args->command->name, question,
                flag);
    return text;
}

bool args_number(long *out, const struct args *args, const char *flag, long fallback, long lo,
                 long hi)
{
    const char *text = args_text(args, flag, NULL);

    *out = fallback;
    if (!text || parse_number(out, text, lo, hi))
        return true;
    fprintf(stderr, "mambaint %s: --%s: '%s' is not a number from %ld to %ld\n",
            args->command->name, flag, text, lo, hi);
    return false;
}

/* One number of a list, up to the comma or the end; moves *text behind it. */
static bool parse_item(long *out, const char **text, long lo, long hi)
{
    const size_t len = strcspn(*text, ",");
    char item[24];

    if (len >= sizeof(item))
        return false;
    memcpy(item, *text, len);
    item[len] = '\0';
    *text += len + ((*text)[len] == ',' && (*text)[len + 1]);
    return parse_number(out, item, lo, hi);
}

bool args_list(struct number_list *out, const struct args *args, const char *flag, long fallback,
               long lo, long hi)
{
    const char *text = args_text(args, flag, NULL), *rest = text;
    const size_t most = sizeof(out->at) / sizeof(*out->at);

    *out = (struct number_list){.n = 1, .at = {fallback}};
    if (!text)
        return true;
    out->n = 0;
    do {
        if (out->n == most || !parse_item(&out->at[out->n++], &rest, lo, hi)) {
            fprintf(stderr,
                    "mambaint %s: --%s: '%s' is no list of up to %zu numbers from %ld to %ld\n",
                    args->command->name, flag, text, most, lo, hi);
            return false;
        }
    } while (*rest);
    return true;
}
